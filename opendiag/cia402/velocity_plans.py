"""Profile velocity: ramp to a velocity and stay there. It goes on turning when the plan is over."""

from __future__ import annotations

from opendiag.cia402.device_limits import check_profile, device_limits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.motion import (
    BIT_12,
    BIT_13,
    REACHED,
    REFUSED,
    Patience,
    Watch,
    check_limits,
    enter_mode,
    foreign_halt,
    limit_switch,
    look,
    ready,
    safely,
)
from opendiag.cia402.objects import ACCELERATION, DECELERATION, TARGET_VELOCITY, VELOCITY, VELOCITY_DEMAND
from opendiag.errors import LimitReached, MotionFailed
from opendiag.services.plans import Now, Plan, Sleep

_PROFILE = (TARGET_VELOCITY, ACCELERATION, DECELERATION)


def run(
    link: DriveLink,
    velocity: int,
    *,
    acceleration: int | None = None,
    deceleration: int | None = None,
    wait: bool = True,
    timeout_s: float | None = None,
    tolerance: int | None = None,
    watch: Watch | None = None,
) -> Plan[int]:
    """Turn at this velocity. Gives the measured one, once the drive says that it is reached.

    ``wait`` False: done when the target is written. ``timeout_s`` None: as long as it gets closer. ``tolerance`` None:
    the velocity window 606Dh, at least a twentieth. Raise OutsideLimits, NotEnabled, DriveFault, ModeRefused,
    LimitReached, MotionFailed, MotionTimeout, SdoError.
    """
    what = f"a velocity of {velocity}"
    profile = velocity, acceleration, deceleration
    window = yield from safely(link, _check(link, what, profile, tolerance), leave=REFUSED)
    return (yield from safely(link, _run(link, what, profile, wait, timeout_s, window, watch)))


def stop(link: DriveLink, *, timeout_s: float | None = None, watch: Watch | None = None) -> Plan[int]:
    """Ramp to standstill and stay enabled; as `run` with 0."""
    return (yield from run(link, 0, timeout_s=timeout_s, watch=watch))


def run_for(
    link: DriveLink,
    velocity: int,
    seconds: float,
    *,
    acceleration: int | None = None,
    deceleration: int | None = None,
    watch: Watch | None = None,
) -> Plan[int]:
    """Turn at this velocity for so long, counted from when it is reached, then stop. Gives the last one measured.

    What keeps it from stopping so, a halt for instance, is made up for by bringing the drive to rest.
    """
    yield from run(link, velocity, acceleration=acceleration, deceleration=deceleration, watch=watch)
    measured = yield from safely(link, _stay(link, f"a velocity of {velocity}", velocity, seconds, watch))
    yield from safely(link, stop(link, watch=watch))
    return measured


def _check(link: DriveLink, what: str, profile: tuple[int, int | None, int | None], tolerance: int | None) -> Plan[int]:
    """Gives how far off the velocity may be."""
    yield from ready(link, what)
    yield from check_profile(link, *profile, _PROFILE)
    if tolerance is not None:
        return tolerance
    limits = yield from device_limits(link)
    return max(limits.velocity_window or 0, abs(profile[0]) // 20, 1)


def _run(
    link: DriveLink,
    what: str,
    profile: tuple[int, int | None, int | None],
    wait: bool,
    timeout_s: float | None,
    window: int,
    watch: Watch | None,
) -> Plan[int]:
    yield from enter_mode(link, Mode.PV)
    velocity, acceleration, deceleration = profile
    for index, value in ((ACCELERATION, acceleration), (DECELERATION, deceleration), (TARGET_VELOCITY, velocity)):
        if value is not None:
            yield from link.write(index, value)
    if not wait:
        return (yield from link.read(VELOCITY))
    patience = Patience(link, what, timeout_s)
    fresh, best = False, float("inf")
    while True:
        word, measured = yield from _look(link, what, velocity, watch)
        fresh = fresh or not word & REACHED
        if word & REACHED and not patience.halted and (yield from _arrived(link, velocity, measured, window, fresh)):
            return measured
        if not velocity and word & BIT_12 and abs(measured) <= max(window, link.still_speed):
            return measured
        off = abs(velocity - measured)
        if off < best - window / 4:
            best = off
            patience.progress()
        elif off > window and patience.doubtful():
            yield from _doubt(link, what, velocity)
        yield from patience.check()
        yield Sleep(link.timing.poll_s)


def _look(link: DriveLink, what: str, velocity: int, watch: Watch | None) -> Plan[tuple[int, int]]:
    """Statusword and velocity, or what they say against going on."""
    word = yield from look(link, what, watch)
    if word & BIT_13:
        raise MotionFailed(link.node_id, what, "the drive reports its maximum slippage (bit 13)")
    yield from check_limits(link, what, word, (velocity > 0) - (velocity < 0))
    return word, (yield from link.read(VELOCITY))


def _arrived(link: DriveLink, velocity: int, measured: int, window: int, fresh: bool) -> Plan[bool]:
    """Bit 10 may be left over, or mean a halt: the velocity, or its demand, has to bear it out.

    One that fell since the target was written needs less of that.
    """
    if abs(velocity - measured) <= (max(window, abs(velocity) // 2) if fresh else window):
        return True
    return (yield from link.read_if_there(VELOCITY_DEMAND)) == velocity


def _doubt(link: DriveLink, what: str, velocity: int) -> Plan[None]:
    yield from foreign_halt(link, what)
    if (switch := (yield from limit_switch(link, (velocity > 0) - (velocity < 0)))) is not None:
        raise LimitReached(link.node_id, what, switch)


def _stay(link: DriveLink, what: str, velocity: int, seconds: float, watch: Watch | None) -> Plan[int]:
    began = yield Now()
    while True:
        _, measured = yield from _look(link, what, velocity, watch)
        left = began + seconds - (yield Now())
        if left <= 0:
            return measured
        yield Sleep(min(left, link.timing.poll_s))
