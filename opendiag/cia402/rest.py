"""Bringing a drive to rest, whatever it does and whatever else goes wrong.

The quick stop is the first frame, without a look before it: it energises no drive, in no state. What is thrown in
meanwhile (Ctrl-C, a plan that is cancelled) is kept until it is over, as this is what whoever throws it wants done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from opendiag.cia402.link import HALT, KEPT, DriveLink, SdoWords
from opendiag.cia402.objects import POSITION, VELOCITY, VL_ACTUAL_VELOCITY
from opendiag.cia402.path import COMMAND_WORDS, ENERGISED
from opendiag.cia402.states import Command, PdsState
from opendiag.errors import AdapterError, DriveError, NotAtRest, SdoAborted, SdoError, SendFailed, WireError
from opendiag.frame import Frame
from opendiag.services.plans import Now, Plan, Send, Sleep
from opendiag.wire.nmt import NmtCommand, NmtMessage

S, C = PdsState, Command
#: Looks at position and velocity that must show standstill, one after the other.
LOOKS = 4
#: What a position may stray at standstill, where nothing better is known.
_STRAY = 2
#: Quick stops in a row that were taken and did not last: somebody else writes the controlword.
_OVERRULED = 3
#: And for so long, in seconds: drives look at the controlword every few milliseconds only.
_OVERRULED_S = 0.03
#: Whatever way the words take otherwise: this one is confirmed, asks anew, and works without PDOs.
_BY_SDO = SdoWords(urgent=True)
_LONGEST_ANSWER_S = 1.0
#: Attempts, should the time not go on.
_MOST = 2_500


def make_safe(link: DriveLink) -> Plan[bool]:
    """Quick stop, standstill, disable voltage: again and again until the drive says that it is disabled and stands.

    Needs no knowledge of the state. True when the drive said so itself; False when it did not within
    ``timing.rest_s``, or nothing can be sent any more. One that does not answer gets the NMT command stop, which is
    "connection lost" (6007h) to most drives; one that is enabled again after each quick stop goes PRE-OPERATIONAL,
    where no PDO reaches it. Raises only what was thrown in from outside, when it is over.
    """
    at_rest, interruption = yield from bring_to_rest(link)
    if interruption is not None:
        raise interruption
    return at_rest


def rest_after(link: DriveLink, error: BaseException) -> Plan[None]:
    """Bring the drive to rest because of an error, and note in it how that went.

    Only a DriveError has room for that note: for another of ours, raise NotAtRest when the drive does not confirm it;
    what is no error of ours (Ctrl-C, an exit) is never replaced: ``link.at_rest`` tells.
    """
    at_rest, interruption = yield from bring_to_rest(link, error)
    if isinstance(error, DriveError):
        error.at_rest = at_rest
    elif not at_rest and isinstance(error, Exception):
        raise NotAtRest(link.node_id, "quick stop and disable voltage") from error
    if interruption is not None and not isinstance(interruption, Exception):
        raise interruption from error


@dataclass(slots=True)
class _Effort:
    """How far it is. Times in seconds, None until known."""

    patience_s: float
    began: float | None = None
    answered_at: float = 0.0
    stopping_since: float | None = None
    overruled: int = 0
    overruled_since: float = 0.0
    failed: bool = False
    told: list[NmtCommand] = field(default_factory=list)


def bring_to_rest(link: DriveLink, because: BaseException | None = None) -> Plan[tuple[bool, BaseException | None]]:
    """As `make_safe`; what was thrown in meanwhile comes out as the second value."""
    link.revoke()
    link.at_rest = None
    link.on_rest(because)
    effort = _Effort(link.timing.answer_s)
    interruption: BaseException | None = None
    at_rest: bool | None = None
    for _ in range(_MOST):
        try:
            with link.in_a_hurry():
                at_rest = yield from _attempt(link, effort)
            effort.failed = True
        except GeneratorExit:  # abandoned: nothing may be sent any more
            link.at_rest = False
            raise
        except SendFailed:
            effort.failed = True
        except AdapterError:
            at_rest = False
        except (SdoError, WireError, DriveError):
            effort.failed = True
            effort.patience_s = min(2 * effort.patience_s, _LONGEST_ANSWER_S)
        except BaseException as thrown:
            effort.failed = True
            interruption = interruption or thrown
        if at_rest is not None:
            break
    link.at_rest = bool(at_rest)
    return link.at_rest, interruption


def _attempt(link: DriveLink, effort: _Effort) -> Plan[bool | None]:
    """True or False: it is decided. None: try again."""
    if effort.failed:
        yield Sleep(link.timing.poll_s)
    now = yield Now()
    if effort.began is None:
        effort.began = effort.answered_at = now
    if effort.failed:
        if now - effort.began >= link.timing.rest_s:
            yield from _last_resort(link)
            return False
        yield from _insist(link, effort, now)
    yield from _order(link, link.controlword & KEPT & ~HALT | COMMAND_WORDS[C.QUICK_STOP], effort)
    yield from _look(link, effort)
    if link.state is S.OPERATION_ENABLED:
        _count_overruled(link, effort)
        return None
    if link.state in ENERGISED and not (yield from _ramp_is_over(link, effort)):
        return None
    yield from _order(link, link.controlword & KEPT & ~HALT, effort)
    yield from _look(link, effort)
    if link.state is None or link.state in ENERGISED:
        return None
    while (yield from is_still(link, effort.patience_s)) is False:  # it runs out
        if (yield Now()) - effort.began >= link.timing.rest_s:
            return False
        yield from _look(link, effort)
        if link.state is None or link.state in ENERGISED:
            return None
    return True


def _order(link: DriveLink, word: int, effort: _Effort) -> Plan[None]:
    """Write a word. A drive that refuses it may be disabled all the same: its statusword tells."""
    try:
        yield from link.control(word, effort.patience_s, _BY_SDO)
    except SdoAborted as error:
        if error.by_client:
            raise
    effort.answered_at = yield Now()


def _look(link: DriveLink, effort: _Effort) -> Plan[None]:
    yield from link.status(effort.patience_s, _BY_SDO)
    effort.answered_at = yield Now()


def _count_overruled(link: DriveLink, effort: _Effort) -> None:
    if not effort.overruled:
        effort.overruled_since = link.status_at
    effort.overruled += 1


def _ramp_is_over(link: DriveLink, effort: _Effort) -> Plan[bool]:
    """Wait while the drive brakes: until it leaves that by itself, stands still, or takes too long. False: it is on."""
    if effort.stopping_since is None:
        effort.stopping_since = yield Now()
    while link.state in ENERGISED:
        if link.state is S.OPERATION_ENABLED:
            _count_overruled(link, effort)
            return False
        if (yield Now()) - effort.stopping_since >= link.timing.stop_s:
            return True
        if link.state is S.QUICK_STOP_ACTIVE and (yield from is_still(link, effort.patience_s)):
            return True
        yield Sleep(link.timing.poll_s)
        yield from _look(link, effort)
    return True


def _insist(link: DriveLink, effort: _Effort, now: float) -> Plan[None]:
    """What else can be done about a drive that does not listen, or that listens to somebody else.

    NMT stop is followed by PRE-OPERATIONAL: SDO works there, to see what became of it.
    """
    if now - effort.answered_at >= link.timing.silence_s and NmtCommand.STOP not in effort.told:
        yield from _tell(link, NmtCommand.STOP)
        yield Sleep(link.timing.poll_s)
        yield from _tell(link, NmtCommand.ENTER_PRE_OPERATIONAL)
        effort.told += [NmtCommand.STOP, NmtCommand.ENTER_PRE_OPERATIONAL]
    elif (
        effort.overruled >= _OVERRULED
        and now - effort.overruled_since >= _OVERRULED_S
        and NmtCommand.ENTER_PRE_OPERATIONAL not in effort.told
    ):
        yield from _tell(link, NmtCommand.ENTER_PRE_OPERATIONAL)
        effort.told.append(NmtCommand.ENTER_PRE_OPERATIONAL)


def _last_resort(link: DriveLink) -> Plan[None]:
    """The time is over. It may hear what it does not answer."""
    with contextlib.suppress(SdoError, WireError):
        yield from link.control(link.controlword & KEPT & ~HALT, link.timing.answer_s, _BY_SDO)
    yield from _tell(link, NmtCommand.STOP)


def _tell(link: DriveLink, command: NmtCommand) -> Plan[None]:
    yield Send(Frame(0, NmtMessage(command, link.node_id).encode()))


# --- standstill -----------------------------------------------------------------------------------------------------


def is_still(link: DriveLink, patience_s: float | None = None) -> Plan[bool | None]:
    """Does the shaft stand? None where the drive shows neither its position nor its velocity.

    A shaft that turns has a position that goes one way from look to look, and a velocity that keeps its sign; one that
    stands has an encoder that flickers. So neither needs the units that the drive counts in.
    """
    positions, speeds = [], []
    for look in range(LOOKS):
        if look:
            yield Sleep(link.timing.look_s * (1 + look / 8))  # uneven: a turn between two looks must not hide
        positions.append((yield from _shown(link, (POSITION,), patience_s)))
        speeds.append((yield from _shown(link, (VELOCITY, VL_ACTUAL_VELOCITY), patience_s)))
        if positions[0] is None and speeds[0] is None:
            return None
    limit = link.still_speed
    known = [speed for speed in speeds if speed is not None]
    if known and (all(speed > limit for speed in known) or all(speed < -limit for speed in known)):
        return False
    return not goes_one_way([position for position in positions if position is not None], link.still_window)


def goes_one_way(positions: Sequence[int], window: int | None) -> bool:
    """Do these positions belong to a shaft that turns? ``window``: what they may stray at standstill, if known."""
    span = max(positions, default=0) - min(positions, default=0)
    if span <= (_STRAY if window is None else window):
        return False
    steps = [after - before for before, after in pairwise(positions)]
    return window is not None or all(step >= 0 for step in steps) or all(step <= 0 for step in steps)


def _shown(link: DriveLink, objects: Sequence[int], patience_s: float | None) -> Plan[int | None]:
    """The first of these that the drive has."""
    for index in objects:
        try:
            return (yield from link.read(index, 0, patience_s))
        except SdoAborted as error:
            if error.by_client:
                raise
    return None
