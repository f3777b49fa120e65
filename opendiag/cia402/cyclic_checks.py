"""What is checked before axes follow trajectories: periods, ways, limits, and where each drive stands. Only reads."""

from __future__ import annotations

from collections.abc import Sequence

from opendiag.cia402.cyclic_motion import POSITION_MODES
from opendiag.cia402.cyclic_pdos import CYCLIC_MODES
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode, mode_label, supported_modes
from opendiag.cia402.objects import MODE, MODE_DISPLAY, POSITION, POSITION_DEMAND, SOFTWARE_LIMITS, SUPPORTED_MODES
from opendiag.cia402.rest import is_still
from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import Extent, Shifted, Trajectory, extent
from opendiag.errors import ModeRefused, MotionFailed, OutsideLimits
from opendiag.services.plans import Plan

WHAT = "following the trajectory"
#: Modes in which the position demand is where the drive holds its shaft.
_POSITIONING = (Mode.PP, Mode.HM, Mode.IP, Mode.CSP)
#: Counts that a start may be off, at least.
_SLACK = 2


def check_axes(links: Sequence[DriveLink], trajectories: Sequence[Trajectory]) -> None:
    """Raise ValueError unless there is one trajectory for each axis, and each axis is there once."""
    if not links or len(links) != len(trajectories):
        raise ValueError(f"{len(links)} drives and {len(trajectories)} trajectories")
    if len({(link.node_id, link.axis) for link in links}) != len(links):
        raise ValueError("the same axis twice")


def check_trajectory(link: DriveLink, trajectory: Trajectory, mode: int, period_s: float) -> Extent:
    """From rest to rest where positions are commanded, and nothing that the object cannot hold.

    Raise OutsideLimits; ValueError for values that are no numbers.
    """
    found = extent(trajectory)
    if mode in POSITION_MODES:
        for what, time_s in (("begins", 0.0), ("ends", trajectory.duration_s)):
            speed = trajectory.at(time_s).velocity
            if abs(speed) * period_s >= 1:
                text = f"a trajectory that {what} with velocity"
                raise OutsideLimits(link.node_id, text, f"{speed:g}", "0..0", "as axes start and stop at rest")
    values = (found.velocity, -found.velocity) if mode == Mode.CSV else (found.lowest, found.highest)
    _check_range(link, values, mode)
    return found


def _check_range(link: DriveLink, values: Sequence[float], mode: int) -> None:
    bits = CYCLIC_MODES[mode].set_point[2]
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1
    for value in values:
        if not least <= round(value) <= most:
            raise OutsideLimits(link.node_id, "a set-point", f"{value:g}", f"{least}..{most}", "what its object holds")


def look_at(link: DriveLink, mode: int, enable: bool) -> Plan[tuple[int | None, int]]:
    """(the mode at work, where a positioning axis stands). Raise NotEnabled, DriveFault, ModeRefused,
    MotionFailed, SdoError.
    """
    yield from link.status()
    if link.state is PdsState.OPERATION_ENABLED or not enable:
        yield from link.check_enabled()
    if (yield from is_still(link)) is False:
        raise MotionFailed(link.node_id, WHAT, "it is still moving: stop it first; nothing was sent")
    supported = yield from link.read_if_there(SUPPORTED_MODES)
    if supported and not supported >> (mode - 1) & 1:
        has = ", ".join(each.name.lower() for each in supported_modes(supported)) or "none of the standard's"
        reason = f"the drive has {has} (6502:00 is {supported:08X}h); nothing was sent"
        raise ModeRefused(link.node_id, mode_label(mode), None, reason)
    before = yield from link.read_if_there(MODE_DISPLAY)
    if before is None:
        before = yield from link.read_if_there(MODE)
    if mode not in POSITION_MODES:
        return before, 0
    stands = yield from link.read(POSITION)
    if link.state is PdsState.OPERATION_ENABLED and before in _POSITIONING:
        demand = yield from link.read_if_there(POSITION_DEMAND)
        stands = stands if demand is None else demand
    return before, stands


def placed(
    link: DriveLink, trajectory: Trajectory, found: Extent, stands: int, relative: bool, period_s: float
) -> Plan[Trajectory]:
    """The trajectory from where the drive stands, within its software limits 607Dh. Raise OutsideLimits."""
    low, high = found.lowest, found.highest
    if relative:
        trajectory = Shifted(trajectory, stands)
        low, high = low + stands, high + stands
    else:
        start = trajectory.at(0.0).position
        slack = max(_SLACK, round(found.velocity * period_s))
        if abs(start - stands) > slack:
            allowed = f"{stands - slack}..{stands + slack}"
            raise OutsideLimits(link.node_id, "the trajectory's start", f"{start:g}", allowed, "where it stands")
    _check_range(link, (low, high), Mode.CSP)
    least = yield from link.read_if_there(SOFTWARE_LIMITS, 1)
    most = yield from link.read_if_there(SOFTWARE_LIMITS, 2)
    if least is not None and most is not None and least < most:
        for value in (low, high):
            if not least <= round(value) <= most:
                raise OutsideLimits(link.node_id, "a position", f"{value:g}", f"{least}..{most}", "its 607Dh")
    return trajectory
