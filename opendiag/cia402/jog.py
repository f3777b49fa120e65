"""Jogging: the shaft moves while somebody keeps a key pressed, and no longer.

``keep_alive`` is the dead man's switch. It is asked at every look, and when it says no, when it fails, or when it could
not be asked in time, the drive ramps to standstill and is disabled.
"""

from __future__ import annotations

from collections.abc import Callable

from opendiag.cia402.device_limits import check_position, check_profile
from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.motion import (
    BIT_13,
    FLICKER,
    IMMEDIATELY,
    MODE_BITS,
    NEW_SET_POINT,
    REFUSED,
    Patience,
    Watch,
    bit_12,
    check_limits,
    enter_mode,
    foreign_halt,
    limit_switch,
    look,
    ready,
    safely,
)
from opendiag.cia402.objects import (
    ACCELERATION,
    DECELERATION,
    POSITION,
    PROFILE_VELOCITY,
    SUPPORTED_MODES,
    TARGET_POSITION,
    TARGET_VELOCITY,
    VELOCITY,
)
from opendiag.cia402.power import disable, is_still
from opendiag.errors import FollowingErrorTooLarge, LimitReached, MotionFailed, MotionTimeout
from opendiag.services.plans import Now, Plan, Sleep

KeepAlive = Callable[[], bool]
_WHAT = "jogging"
#: A step of a jog by position is given anew when less than this part of it is left.
_RENEW = 0.5


def jog(
    link: DriveLink,
    velocity: int,
    keep_alive: KeepAlive,
    *,
    step: int | None = None,
    acceleration: int | None = None,
    deceleration: int | None = None,
    late_s: float = 0.25,
    watch: Watch | None = None,
) -> Plan[int]:
    """Turn at this velocity as long as ``keep_alive()``; then ramp to standstill and disable. Gives the position.

    ``step`` in position units: jog by short moves in profile position, each this far from where the shaft is, so that a
    drive that hears nothing more stops by itself; for drives without profile velocity, or as the safer way. ``late_s``:
    longer than this between two looks counts as a key that was let go. Raise OutsideLimits, NotEnabled, DriveFault,
    ModeRefused, LimitReached, FollowingErrorTooLarge, MotionTimeout, SdoError.
    """
    profile = velocity, acceleration, deceleration
    yield from safely(link, _check(link, profile, step), leave=REFUSED)
    return (yield from safely(link, _jog(link, profile, step, _DeadMan(keep_alive, late_s), watch)))


def can_jog_by_velocity(link: DriveLink) -> Plan[bool]:
    """Has the drive the mode profile velocity? One that does not say may have it."""
    supported = yield from link.read_if_there(SUPPORTED_MODES)
    return not supported or bool(supported >> (Mode.PV - 1) & 1)


class _DeadMan:
    """``alive`` until the key is let go once."""

    def __init__(self, keep_alive: KeepAlive, late_s: float) -> None:
        self._keep_alive = keep_alive
        self._late_s = late_s
        self._asked_at: float | None = None

    def ask(self) -> Plan[bool]:
        now = yield Now()
        late = self._asked_at is not None and now - self._asked_at > self._late_s
        self._asked_at = now
        return not late and bool(self._keep_alive())


def _check(link: DriveLink, profile: tuple[int, int | None, int | None], step: int | None) -> Plan[None]:
    yield from ready(link, _WHAT)
    first = TARGET_VELOCITY if step is None else PROFILE_VELOCITY
    velocity = profile[0] if step is None else abs(profile[0])
    yield from check_profile(link, velocity, profile[1], profile[2], (first, ACCELERATION, DECELERATION))
    if step is not None:
        if step <= 0 or not profile[0]:
            what = f"a step of {step}" if step <= 0 else "a velocity of 0"
            raise MotionFailed(link.node_id, _WHAT, f"{what} leads nowhere; nothing was sent")
        yield from _next_target(link, profile[0], step)


def _next_target(link: DriveLink, velocity: int, step: int) -> Plan[tuple[int, int]]:
    """Where the shaft is, and where the next step leads. Raise OutsideLimits."""
    position = yield from link.read(POSITION)
    target = position + (step if velocity > 0 else -step)
    yield from check_position(link, target)
    return position, target


def _jog(
    link: DriveLink,
    profile: tuple[int, int | None, int | None],
    step: int | None,
    dead_man: _DeadMan,
    watch: Watch | None,
) -> Plan[int]:
    yield from enter_mode(link, Mode.PV if step is None else Mode.PP)
    for index, value in ((ACCELERATION, profile[1]), (DECELERATION, profile[2])):
        if value is not None:
            yield from link.write(index, value)
    if (yield from dead_man.ask()):
        if step is None:
            yield from _by_velocity(link, profile[0], dead_man, watch)
        else:
            yield from _by_steps(link, profile[0], step, dead_man, watch)
    yield from _ramp_down(link, step is None, watch)
    yield from disable(link)
    return (yield from link.read(POSITION))


def _by_velocity(link: DriveLink, velocity: int, dead_man: _DeadMan, watch: Watch | None) -> Plan[None]:
    yield from link.write(TARGET_VELOCITY, velocity)
    patience, direction = Patience(link, _WHAT, None), (velocity > 0) - (velocity < 0)
    while (yield from dead_man.ask()):
        word = yield from look(link, _WHAT, watch)
        yield from check_limits(link, _WHAT, word, direction)
        measured = yield from link.read_if_there(VELOCITY)
        if measured is None or not velocity or abs(measured) > abs(velocity) // 20:
            patience.progress()
        yield from _stuck(link, patience, direction)
        yield Sleep(link.timing.poll_s)


def _by_steps(link: DriveLink, velocity: int, step: int, dead_man: _DeadMan, watch: Watch | None) -> Plan[None]:
    """Each target replaces the one before, so that there is never more than one step to go."""
    yield from link.write(PROFILE_VELOCITY, abs(velocity))
    direction, target, anchor = (1 if velocity > 0 else -1), None, None
    patience = Patience(link, _WHAT, None)
    while (yield from dead_man.ask()):
        word = yield from look(link, _WHAT, watch)
        if word & BIT_13:
            raise FollowingErrorTooLarge(link.node_id, _WHAT, "the drive reports a following error (bit 13)")
        yield from check_limits(link, _WHAT, word, direction)
        position = yield from link.read(POSITION)
        if anchor is None or abs(position - anchor) > FLICKER:
            anchor = position
            patience.progress()
        yield from _stuck(link, patience, direction)
        if target is None or (target - position) * direction <= _RENEW * step:
            target = position + direction * step
            yield from check_position(link, target)
            yield from _give(link, target, watch)
        yield Sleep(link.timing.poll_s)


def _stuck(link: DriveLink, patience: Patience, direction: int) -> Plan[None]:
    """Raise what keeps the shaft from moving; MotionTimeout where nothing tells."""
    yield from patience.tick()
    if patience.doubtful():
        yield from foreign_halt(link, _WHAT)
        if (switch := (yield from limit_switch(link, direction))) is not None:
            raise LimitReached(link.node_id, _WHAT, switch)
    if (error := patience.exhausted()) is not None:
        raise error


def _give(link: DriveLink, target: int, watch: Watch | None) -> Plan[None]:
    """One set-point by handshake, at once."""
    if not (yield from bit_12(link, False, _WHAT, watch)):
        raise MotionFailed(link.node_id, _WHAT, "the drive keeps bit 12 set, so it takes no new set-point")
    yield from link.write(TARGET_POSITION, target)
    yield from link.change(set_bits=NEW_SET_POINT | IMMEDIATELY, clear_bits=MODE_BITS, during=_WHAT)
    if not (yield from bit_12(link, True, _WHAT, watch)):
        raise MotionFailed(link.node_id, _WHAT, "the drive did not acknowledge a set-point (bit 12)")
    yield from link.change(clear_bits=NEW_SET_POINT, during=_WHAT)


def _ramp_down(link: DriveLink, by_velocity: bool, watch: Watch | None) -> Plan[None]:
    """With the drive's own ramp. The halt that this may need goes with the word that disables."""
    if by_velocity:
        yield from link.write(TARGET_VELOCITY, 0)
    else:
        yield from link.change(set_bits=HALT, clear_bits=MODE_BITS, during=_WHAT)
    began = yield Now()
    while (yield from is_still(link)) is False:
        yield from look(link, _WHAT, watch)
        if (yield Now()) - began >= link.timing.stop_s:
            speed = yield from link.read_if_there(VELOCITY)
            reason = f"{link.timing.stop_s:g} s after the key was let go it still turns ({speed})"
            raise MotionTimeout(link.node_id, _WHAT, reason)
        yield Sleep(link.timing.poll_s)
    link.controlword &= ~HALT
