"""What a drive's own objects, and its dictionary, allow as targets: read once, compared before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import (
    ENCODER_RESOLUTION,
    FEED_CONSTANT,
    GEAR_RATIO,
    MAX_ACCELERATION,
    MAX_CURRENT,
    MAX_DECELERATION,
    MAX_MOTOR_SPEED,
    MAX_PROFILE_VELOCITY,
    MAX_TORQUE,
    POSITION_WINDOW,
    RANGE_LIMIT,
    SI_VELOCITY,
    SOFTWARE_LIMITS,
    TARGET_POSITION,
    VELOCITY_WINDOW,
)
from opendiag.dictionary.datatypes import integer_range
from opendiag.errors import OutsideLimits
from opendiag.services.plans import Plan

_NO_LIMIT = (0, 0xFFFF_FFFF)
_VELOCITY_NOTATION, _VELOCITY_DIMENSION = 0x608B, 0x608C
_OLD_RPM = 0xA4
_REVOLUTIONS, _SECONDS, _MINUTES = 0xB4, 0x03, 0x47


@dataclass(frozen=True, slots=True)
class Bound:
    """``whose`` names the object that says so."""

    low: float
    high: float
    whose: str


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """In the device's units. The windows are None where the drive has none, or has it switched off."""

    position: tuple[Bound, ...] = ()
    velocity: tuple[Bound, ...] = ()
    acceleration: tuple[Bound, ...] = ()
    deceleration: tuple[Bound, ...] = ()
    torque: tuple[Bound, ...] = ()
    position_window: int | None = None
    velocity_window: int | None = None


_READ: WeakKeyDictionary[DriveLink, tuple[float | None, DeviceLimits]] = WeakKeyDictionary()


def device_limits(link: DriveLink) -> Plan[DeviceLimits]:
    """Read once from the device, and again after it has booted, or after `forget_limits`."""
    booted = link.booted_at()
    known = _READ.get(link)
    if known is None or known[0] != booted:
        known = _READ[link] = booted, (yield from _read(link))
    return known[1]


def forget_limits(link: DriveLink) -> None:
    """Somebody has written the objects: read them again before the next motion."""
    _READ.pop(link, None)


def _read(link: DriveLink) -> Plan[DeviceLimits]:
    software = yield from _span(link, SOFTWARE_LIMITS)
    span = yield from _span(link, RANGE_LIMIT)
    profile_velocity = yield from _highest(link, MAX_PROFILE_VELOCITY)
    motor_speed = yield from _motor_speed(link)
    torque = yield from _highest(link, MAX_CURRENT if link.quirks.torque_in_ma else MAX_TORQUE)
    up = yield from _highest(link, MAX_ACCELERATION)
    down = yield from _highest(link, MAX_DECELERATION)
    window = yield from link.read_if_there(POSITION_WINDOW)
    return DeviceLimits(
        tuple(bound for bound in (software, span) if bound is not None),
        tuple(bound for bound in (profile_velocity, motor_speed) if bound is not None),
        () if up is None else (up,),
        () if down is None else (down,),
        () if torque is None else (torque,),
        None if window in (None, 0xFFFF_FFFF) else window,
        (yield from link.read_if_there(VELOCITY_WINDOW)),
    )


def _span(link: DriveLink, index: int) -> Plan[Bound | None]:
    """Two limits that are not in use are equal, or the wrong way round."""
    low = yield from link.read_if_there(index, 1)
    high = yield from link.read_if_there(index, 2)
    if low is None or high is None or low >= high:
        return None
    return Bound(low, high, f"{index:04X}h")


def _highest(link: DriveLink, index: int) -> Plan[Bound | None]:
    value = yield from link.read_if_there(index)
    return None if value is None or value in _NO_LIMIT else Bound(-value, value, f"{index:04X}h")


def _motor_speed(link: DriveLink) -> Plan[Bound | None]:
    """6080h counts rpm whatever the other velocities count: without a way to compare them it is left to the drive."""
    limit = yield from link.read_if_there(MAX_MOTOR_SPEED)
    if limit is None or limit in _NO_LIMIT:
        return None
    per_rpm = yield from _velocity_per_rpm(link)
    if per_rpm is None:
        return None
    return Bound(-limit * per_rpm, limit * per_rpm, f"{MAX_MOTOR_SPEED:04X}h ({limit} rpm)")


def _velocity_per_rpm(link: DriveLink) -> Plan[float | None]:
    """What one rpm of the motor is in the drive's velocities, as far as its objects tell."""
    si = (yield from link.read_if_there(SI_VELOCITY)) or 0
    exponent, unit, time = si >> 24, si >> 16 & 0xFF, si >> 8 & 0xFF
    if unit == _REVOLUTIONS and time in (_SECONDS, _MINUTES):
        exponent -= 256 if exponent > 127 else 0
        return 10.0**-exponent / (60 if time == _SECONDS else 1)
    if si == 0 and (yield from link.read_if_there(_VELOCITY_DIMENSION)) == _OLD_RPM:
        notation = yield from link.read_if_there(_VELOCITY_NOTATION)
        return 10.0 ** -(notation or 0)
    if si == 0:
        per_turn = yield from _positions_per_turn(link)
        return None if per_turn is None else per_turn / 60
    return None


def _positions_per_turn(link: DriveLink) -> Plan[float | None]:
    """Position units per turn of the motor: velocities count them per second where nothing else is said."""
    resolution = yield from _ratio(link, ENCODER_RESOLUTION)
    gear = yield from _ratio(link, GEAR_RATIO)
    feed = yield from _ratio(link, FEED_CONSTANT)
    if feed is not None:
        return feed / (gear or 1.0)
    return None if resolution is None or resolution <= 1 else resolution / (gear or 1.0)


def _ratio(link: DriveLink, index: int) -> Plan[float | None]:
    above = yield from link.read_if_there(index, 1)
    below = yield from link.read_if_there(index, 2)
    return above / below if above and below else None


# --- comparing -------------------------------------------------------------------------------------------------------


def check(link: DriveLink, what: str, value: float, bounds: tuple[Bound, ...]) -> None:
    """Raise OutsideLimits."""
    for bound in bounds:
        if not bound.low <= value <= bound.high:
            allowed = f"{bound.low:.12g} .. {bound.high:.12g}"
            raise OutsideLimits(link.node_id, what, f"{value:.12g}", allowed, bound.whose)


def fits(link: DriveLink, what: str, value: int, index: int, subindex: int = 0) -> None:
    """Compare with the object's type and with the limits that its dictionary gives. Raise OutsideLimits."""
    variable = link.variable(index, subindex)
    span = None if variable is None else integer_range(variable.data_type)
    if variable is None or span is None:
        return
    name = f"{link.index(index):04X}:{subindex:02X}"
    low = variable.low if isinstance(variable.low, int) else span[0]
    high = variable.high if isinstance(variable.high, int) else span[1]
    by_type = Bound(*span, f"the range of {name}")
    check(
        link,
        what,
        value,
        (by_type, Bound(low, high, f"the dictionary's limits of {name}")) if low < high else (by_type,),
    )


def check_position(link: DriveLink, target: int, *, what: str = "target position") -> Plan[None]:
    """Raise OutsideLimits by 607Dh, 607Bh, the type or the dictionary."""
    limits = yield from device_limits(link)
    check(link, what, target, limits.position)
    fits(link, what, target, TARGET_POSITION)


def check_profile(
    link: DriveLink,
    velocity: int | None,
    acceleration: int | None,
    deceleration: int | None,
    objects: tuple[int, int, int],
) -> Plan[None]:
    """``objects`` are those to be written: velocity, acceleration and deceleration. Raise OutsideLimits."""
    limits = yield from device_limits(link)
    for what, value, index, bounds in (
        ("velocity", velocity, objects[0], limits.velocity),
        ("acceleration", acceleration, objects[1], limits.acceleration),
        ("deceleration", deceleration, objects[2], limits.deceleration),
    ):
        if value is not None:
            check(link, what, value, bounds)
            fits(link, what, value, index)
