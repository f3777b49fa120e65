"""Profile torque: let the motor pull with a torque. How fast it turns is up to the load, and to whoever watches."""

from __future__ import annotations

from opendiag.cia402.device_limits import check, device_limits, fits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.motion import (
    REACHED,
    REFUSED,
    Patience,
    Watch,
    check_limits,
    enter_mode,
    foreign_halt,
    look,
    ready,
    safely,
)
from opendiag.cia402.objects import TARGET_TORQUE, TORQUE_DEMAND, TORQUE_SLOPE
from opendiag.errors import MotionTimeout, OutsideLimits
from opendiag.services.plans import Now, Plan, Sleep


def apply(
    link: DriveLink,
    torque: int,
    slope: int | None = None,
    *,
    wait: bool = True,
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> Plan[int]:
    """Ramp to a torque (6071h) and hold it. Gives the torque demand once it is there.

    ``slope`` in units of the torque per second; None: what the drive has in 6087h. A drive without 6087h is given the
    ramp in steps, one a poll. Raise OutsideLimits, NotEnabled, DriveFault, ModeRefused, LimitReached, MotionFailed,
    MotionTimeout, SdoError.
    """
    what = f"a torque of {torque}"
    own = yield from safely(link, _check(link, what, torque, slope), leave=REFUSED)
    return (yield from safely(link, _apply(link, what, torque, slope, own, wait, timeout_s, watch)))


def _check(link: DriveLink, what: str, torque: int, slope: int | None) -> Plan[bool]:
    """Gives whether the drive makes the ramp itself."""
    yield from ready(link, what)
    limits = yield from device_limits(link)
    check(link, "torque", torque, limits.torque)
    fits(link, "torque", torque, TARGET_TORQUE)
    if slope is None:
        return True
    if slope <= 0:
        raise OutsideLimits(link.node_id, "torque slope", str(slope), "1 and above", "or no torque is ever reached")
    own = (yield from link.read_if_there(TORQUE_SLOPE)) is not None
    if own:
        fits(link, "torque slope", slope, TORQUE_SLOPE)
    return own


def _apply(
    link: DriveLink,
    what: str,
    torque: int,
    slope: int | None,
    own: bool,
    wait: bool,
    timeout_s: float | None,
    watch: Watch | None,
) -> Plan[int]:
    yield from enter_mode(link, Mode.TQ)
    if slope is not None and own:
        yield from link.write(TORQUE_SLOPE, slope)
    elif slope is not None:
        yield from _ramp(link, what, torque, slope, watch)
    yield from link.write(TARGET_TORQUE, torque)
    if not wait:
        return torque
    return (yield from _await(link, what, torque, timeout_s, watch))


def _ramp(link: DriveLink, what: str, torque: int, slope: int, watch: Watch | None) -> Plan[None]:
    start = yield from link.read(TARGET_TORQUE)
    began = yield Now()
    while True:
        yield from look(link, what, watch)
        step = int(slope * ((yield Now()) - began))
        if step >= abs(torque - start):
            return
        yield from link.write(TARGET_TORQUE, start + (step if torque > start else -step))
        yield Sleep(link.timing.poll_s)


def _await(link: DriveLink, what: str, torque: int, timeout_s: float | None, watch: Watch | None) -> Plan[int]:
    """Bit 10 may be left over from the torque before: where the drive shows its demand, that has to be there too."""
    patience = Patience(link, what, timeout_s)
    last: int | None = None
    while True:
        word = yield from look(link, what, watch)
        yield from check_limits(link, what, word, (torque > 0) - (torque < 0))
        demand = yield from link.read_if_there(TORQUE_DEMAND)
        there = demand is None or abs(demand - torque) <= max(abs(torque) // 50, 1)
        if word & REACHED and there and not patience.halted:
            return torque if demand is None else demand
        if demand != last:
            patience.progress()
        elif patience.doubtful():
            yield from foreign_halt(link, what)
        last = demand
        yield from patience.tick()
        if (error := patience.exhausted()) is not None:
            shown = "" if there else f"; the drive's torque demand (6074h) is {demand}"
            raise MotionTimeout(link.node_id, what, error.reason + shown)
        yield Sleep(link.timing.poll_s)
