"""Beside a cyclic motion: feeding an axis by SDO that has no PDOs for it, and saying what went wrong."""

from __future__ import annotations

from collections.abc import Callable

from opendiag.cia402.cyclic_checks import WHAT
from opendiag.cia402.cyclic_motion import CyclicMotion, Failure, Rules, Trouble
from opendiag.cia402.cyclic_pdos import CyclicMode
from opendiag.cia402.link import SdoWords
from opendiag.cia402.pdo_words import CyclicAxis
from opendiag.cia402.states import PdsState
from opendiag.errors import DriveError, FollowingErrorTooLarge, MotionFailed, NotEnabled
from opendiag.services.plans import Now, Plan, Sleep


def feed(motion: CyclicMotion, axis: CyclicAxis, mode: CyclicMode, told: Callable[[float], None]) -> Plan[None]:
    """By SDO, as often as the device answers, without end. Set-points that it is too slow for are counted.

    ``told(now)`` is called after each statusword. Raise SdoError, AdapterError.
    """
    link, words, seen = axis.link, SdoWords(), 0
    while True:
        began = motion.cycles
        if not axis.pdos.views:
            actual = (yield from link.read(*mode.actual[:2])) if motion.positions else None
            word = yield from words.read_status(link, None)
            now = yield Now()
            axis.told_by_sdo(word, actual, now)
            motion.look(axis, now)
            told(now)
        if axis.pdos.set_point is None and axis.ever and motion.cycles > seen:
            axis.set_points_missed += motion.cycles - seen - 1 if motion.moving else 0
            seen = motion.cycles
            yield from link.write(mode.set_point[0], motion.set_points[axis.number], mode.set_point[1])
            axis.set_points_sent += 1
        if motion.cycles == began:
            yield Sleep(motion.period_s / 4)


def error_of(failure: Failure, rules: Rules) -> Plan[DriveError]:
    """What to raise for the first trouble of a motion."""
    axis, link, value = failure.axis, failure.axis.link, failure.value
    during = "it followed a trajectory"
    if failure.trouble is Trouble.LEFT:
        if axis.state in (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE):
            return (yield from link.fault(during))
        return NotEnabled(link.node_id, axis.state.value if axis.state else "no state", during)
    if failure.trouble is Trouble.FOLLOWING_ERROR:
        return FollowingErrorTooLarge(link.node_id, WHAT, f"it reports one (bit 13); the greatest was {value}")
    if failure.trouble is Trouble.TOO_FAR:
        return FollowingErrorTooLarge(link.node_id, WHAT, f"it is {value} off, and {rules.following_limit} is allowed")
    if failure.trouble is Trouble.SILENT:
        return MotionFailed(link.node_id, WHAT, f"no TPDO came after {value} SYNCs in a row")
    return MotionFailed(link.node_id, WHAT, f"{value} set-points in a row did not leave")
