"""What the objects of a simulated drive count: fixed by its maker, or made of gear, feed, units and polarity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_POLARITY, _POSITION_SIGN, _VELOCITY_SIGN = 0x607E, 1 << 7, 1 << 6
_INCREMENTS, _MINUTE = 0xB5, 0x47
#: How many of a unit a turn is: revolutions, gon, degrees, arc minutes and seconds, radian.
_ANGLES = {0xB4: 1.0, 0x40: 400.0, 0x41: 360.0, 0x42: 21_600.0, 0x43: 1_296_000.0, 0x10: 2 * math.pi}
#: How many metres a unit is: metre, inch, foot.
_LENGTHS = {0x01: 1.0, 0xC1: 0.0254, 0xC2: 0.3048}
#: Dimension index 608Ch: revolutions per minute.
_RPM = 0xA4

Value = Callable[[int, int, int], int]


@dataclass(frozen=True, slots=True)
class DriveUnits:
    """What one turn, one turn per second (squared) and one ampere are in the objects of a drive.

    ``per_mille``: currents and torques are 1/1000 of the rated current 6075h, as in CiA 402; otherwise mA. ``derived``:
    these are what a drive has whose own objects (608Fh, 6091h, 6092h, 60A8h..60AAh) say nothing; otherwise they are
    fixed. Polarity (607Eh) turns the sign of positions and velocities in both. ``zero_is_home_plus_offset``: home gets
    the position -607Ch, as older editions of CiA 402 draw it, and not 607Ch.
    """

    counts_per_turn: int = 4096
    velocity_per_turn_s: float = 4096.0
    acceleration_per_turn_s2: float = 4096.0
    per_mille: bool = True
    derived: bool = True
    zero_is_home_plus_offset: bool = False


@dataclass(frozen=True, slots=True)
class DriveObjects:
    """Indices of what each maker has in an object of its own; 0: this drive has none.

    Limits: ``speed_limit``, ``under_voltage`` and ``over_voltage`` (mV). Homing on a hard stop: ``edge_current`` (mA)
    and ``edge_time`` (ms). ``brake_times`` (ms): subindex 1 to close the holding brake, 2 to open it. ``lost_syncs``:
    how many SYNCs in a row may be missing.
    """

    speed_limit: int = 0
    under_voltage: int = 0
    over_voltage: int = 0
    edge_current: int = 0
    edge_time: int = 0
    brake_times: int = 0
    lost_syncs: int = 0


@dataclass(frozen=True, slots=True)
class Scale:
    """User units per turn, per turn per second and per turn per second squared of the motor.

    ``increments`` of the encoder per turn. Position and velocity are negative where 607Eh turns them round.
    """

    position: float
    velocity: float
    acceleration: float
    increments: float


def scale_of(value: Value, units: DriveUnits) -> Scale:
    """``value(index, subindex, default)`` gives an object's number.

    A turn of the motor is 1/gear (6091h) turns of the shaft behind it. That turn is an angle in the position unit
    60A8h; where that is none, the feed 6092h in position units; without that, positions count increments (608Fh), and
    there is no gear. Velocities are in 60A9h (or 608Bh, 608Ch) of that shaft, else in position units per second;
    accelerations in 60AAh, else in velocity units per second.
    """
    position, velocity, acceleration = (
        _derived(value, units)
        if units.derived
        else (units.counts_per_turn, units.velocity_per_turn_s, units.acceleration_per_turn_s2)
    )
    polarity = value(_POLARITY, 0, 0)
    return Scale(
        -position if polarity & _POSITION_SIGN else position,
        -velocity if polarity & _VELOCITY_SIGN else velocity,
        acceleration,
        _increments(value, units),
    )


def _ratio(value: Value, index: int) -> float | None:
    above, below = value(index, 1, 0), value(index, 2, 0)
    return above / below if above and below else None


def _increments(value: Value, units: DriveUnits) -> float:
    found = _ratio(value, 0x608F) if units.derived else None
    return found if found and found > 1 else units.counts_per_turn


def _derived(value: Value, units: DriveUnits) -> tuple[float, float, float]:
    increments = _increments(value, units)
    gear, feed = _ratio(value, 0x6091) or 1.0, _ratio(value, 0x6092)
    unit = value(0x60A8, 0, 0)
    length = feed / gear * _LENGTHS[_numerator(unit)] * _ten(unit) if feed and _numerator(unit) in _LENGTHS else None
    position = _per_turn(unit, increments, gear, None) if _numerator(unit) in _ANGLES else None
    position = position or (feed / gear if feed else increments)
    velocity = _per_turn(value(0x60A9, 0, 0), increments, gear, length)
    if velocity is None and value(0x608C, 0, 0) == _RPM:
        velocity = 60.0 / 10.0 ** value(0x608B, 0, 0) / gear
    velocity = velocity or position
    return position, velocity, _per_turn(value(0x60AA, 0, 0), increments, gear, length) or velocity


def _numerator(unit: int) -> int:
    return unit >> 16 & 0xFF


def _ten(unit: int) -> float:
    exponent = unit >> 24 & 0xFF
    return math.pow(10.0, exponent - 256 if exponent > 127 else exponent)


def _per_turn(unit: int, increments: float, gear: float, length: float | None) -> float | None:
    """What a turn of the motor (per second) is in an SI unit of 60A8h..60AAh; None: it does not say.

    ``length``: how many metres a turn of the motor is, where that is known.
    """
    numerator = _numerator(unit)
    if numerator in _ANGLES:
        size = _ANGLES[numerator] / gear
    elif numerator == _INCREMENTS:
        size = increments
    elif numerator in _LENGTHS and length is not None:
        size = length / _LENGTHS[numerator]
    else:
        return None
    return size * (60.0 if unit >> 8 & 0xFF == _MINUTE else 1.0) / _ten(unit)
