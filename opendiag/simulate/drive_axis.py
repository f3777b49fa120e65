"""What the modes of a simulated drive work on: motor, demand, loops, and the objects in units of the shaft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from opendiag.cia402.objects import AXIS_STEP
from opendiag.dictionary.datatypes import is_signed
from opendiag.services.object_store import DictionaryStore
from opendiag.simulate.drive_units import DriveObjects, DriveUnits, Scale, scale_of
from opendiag.simulate.motion import Cascade, Demand
from opendiag.simulate.motor import Motor

_DEFAULT_INTERPOLATION_S = 0.004
_NO_LIMIT_TURNS_S = 170.0
_PROFILE = range(0x6000, 0x6800)
_WINDOW_OFF = 0xFFFF_FFFF
_FULL_RANGE = 0xFFFF_FFFE
#: Settings that change only when the objects they are made of are written.
_SELDOM = ("scale", "range", "rated_current")
SCALE_OBJECTS = (0x6075, 0x607B, 0x607E, 0x608B, 0x608C, 0x608F, 0x6091, 0x6092, 0x60A8, 0x60A9, 0x60AA)

_T = TypeVar("_T")


class _Setting(Generic[_T]):
    """Worked out once and kept until `Axis.forget`: the loops ask for it 2000 times a second."""

    def __init__(self, work_out: Callable[[Any], _T]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, axis: None, owner: type) -> _Setting[_T]: ...

    @overload
    def __get__(self, axis: object, owner: type) -> _T: ...

    def __get__(self, axis: object | None, owner: type) -> _T | _Setting[_T]:
        if axis is None:
            return self
        value = axis.__dict__[self._name] = self._work_out(axis)
        return value


class Axis:
    """Positions in turns of the motor, speeds in turns per second, currents in A.

    ``offset`` is what homing moves: the position object shows the motor in user units plus this. ``number`` counts from
    0: its objects 6000h..67FFh lie 800h times that higher. ``limited``: a limit takes something away from the demand.
    """

    def __init__(
        self, store: DictionaryStore, motor: Motor, units: DriveUnits, objects: DriveObjects, number: int = 0
    ) -> None:
        self.store = store
        self.motor = motor
        self.units = units
        self.objects = objects
        self.number = number
        self._shift = number * AXIS_STEP
        self.demand = Demand()
        self.cascade = Cascade(motor)
        self.controlword = 0
        self.offset = 0
        self.outside_window = False
        self.limited = False
        self._signed = {key: is_signed(variable.data_type) for key, variable in store.variables.items()}
        settings = [name for name, made in vars(type(self)).items() if isinstance(made, _Setting)]
        self._settings = [name for name in settings if name not in _SELDOM]

    def forget(self, everything: bool = False) -> None:
        """Objects may have been written: work the settings out again; ``everything``: units and ranges, too."""
        kept = self.__dict__
        for name in self._settings:
            kept.pop(name, None)
        if everything:
            for name in _SELDOM:
                kept.pop(name, None)

    # --- objects ----------------------------------------------------------------------------------------------------

    def index(self, index: int) -> int:
        """The object's number on this axis."""
        return index + self._shift if index in _PROFILE else index

    def has(self, index: int, subindex: int = 0) -> bool:
        return (self.index(index), subindex) in self.store.values

    def value(self, index: int, subindex: int = 0, default: int = 0) -> int:
        """An object's number as stored; ``default`` where the drive has no such object."""
        key = (index + self._shift if 0x6000 <= index < 0x6800 else index, subindex)
        raw = self.store.values.get(key)
        return default if raw is None else int.from_bytes(raw, "little", signed=self._signed[key])

    # --- units ------------------------------------------------------------------------------------------------------

    @_Setting
    def scale(self) -> Scale:
        return scale_of(self.value, self.units)

    def turns(self, position: float) -> float:
        """Where the motor is when the position object shows ``position``."""
        return (position - self.offset) / self.scale.position

    def counts(self, turns: float) -> int:
        """What the position object shows there; within 607Bh where the drive has a range."""
        shown = round(turns * self.scale.position) + self.offset
        span = self.range
        return shown if span is None else (shown - span[0]) % (span[1] - span[0] + 1) + span[0]

    def increments(self, turns: float) -> int:
        """The same in increments of the encoder, as 6063h and 60FCh have it."""
        per_turn = self.scale.increments
        return round(turns * per_turn + self.offset * per_turn / self.scale.position)

    @_Setting
    def range(self) -> tuple[int, int] | None:
        """607Bh, where it is narrower than what 32 bits hold."""
        low, high = self.value(0x607B, 1), self.value(0x607B, 2)
        return (low, high) if low < high and high - low < _FULL_RANGE else None

    def speed(self, index: int, subindex: int = 0) -> float:
        """A profile velocity, bounded by the drive's limit."""
        return min(abs(self.value(index, subindex)) / abs(self.scale.velocity), self.speed_limit)

    def velocity(self, index: int, subindex: int = 0) -> float:
        """A velocity with its sign, bounded by the drive's limit."""
        wanted, limit = self.value(index, subindex) / self.scale.velocity, self.speed_limit
        return min(max(wanted, -limit), limit)

    @_Setting
    def speed_limit(self) -> float:
        per = abs(self.scale.velocity)
        limits = [self.value(0x607F) / per, self.value(0x6080) / 60.0]
        limits += [self.value(self.objects.speed_limit) / per] if self.objects.speed_limit else []
        return min([_NO_LIMIT_TURNS_S, *(limit for limit in limits if limit > 0)])

    # --- ramps ------------------------------------------------------------------------------------------------------

    def ramp(self, index: int, subindex: int = 0) -> float:
        """An acceleration; never 0, so that every ramp ends."""
        return max(self.value(index, subindex, 1), 1) / self.scale.acceleration

    def _bounded(self, ramp: float, limit: int) -> float:
        return min(ramp, self.ramp(limit)) if self.value(limit) else ramp

    @_Setting
    def acceleration(self) -> float:
        return self._bounded(self.ramp(0x6083), 0x60C5)

    @_Setting
    def deceleration(self) -> float:
        return self._bounded(self.ramp(0x6084 if self.has(0x6084) else 0x6083), 0x60C6)

    @_Setting
    def quick_deceleration(self) -> float:
        return self.ramp(0x6085) if self.value(0x6085) else self.deceleration

    # --- current and torque -----------------------------------------------------------------------------------------

    @_Setting
    def rated_current(self) -> float:
        return (self.value(0x6075) or 3000) / 1000

    def torque_to_a(self, value: float) -> float:
        return value / 1000 * (self.rated_current if self.units.per_mille else 1.0)

    def a_to_torque(self, amperes: float) -> int:
        return round(amperes * 1000 / (self.rated_current if self.units.per_mille else 1.0))

    @_Setting
    def highest_current(self) -> float:
        """6072h, 6073h, and what the power stage can do."""
        limits = [self.torque_to_a(self.value(index)) for index in (0x6072, 0x6073) if self.value(index)]
        return min([*limits, self.motor.data.peak_current_a] if limits else [self.rated_current])

    # --- set-points -------------------------------------------------------------------------------------------------

    @_Setting
    def interpolation_s(self) -> float:
        period, exponent = self.value(0x60C2, 1), self.value(0x60C2, 2)
        return period * 10.0**exponent if period and -6 <= exponent <= 0 else _DEFAULT_INTERPOLATION_S

    @_Setting
    def cyclic_target(self) -> float:
        """607Ah and its offset 60B0h in turns."""
        return self.turns(self.value(0x607A) + self.value(0x60B0))

    @_Setting
    def interpolation_target(self) -> float:
        """60C1h:01 in turns."""
        return self.turns(self.value(0x60C1, 1))

    @_Setting
    def target_velocity(self) -> float:
        """60FFh in turns per second."""
        return self.velocity(0x60FF)

    @_Setting
    def limits(self) -> tuple[float, float] | None:
        """The software position limits 607Dh in turns, where they are in use."""
        low, high = self.value(0x607D, 1), self.value(0x607D, 2)
        if low >= high:
            return None
        ends = self.turns(low), self.turns(high)
        return min(ends), max(ends)

    def within_limits(self, turns: float) -> float:
        """Bound a target by the software position limits; ``limited`` tells that it was."""
        limits = self.limits
        if limits is None or limits[0] <= turns <= limits[1]:
            return turns
        self.limited = True
        return limits[0] if turns < limits[0] else limits[1]

    def slowed(self, velocity: float, deceleration: float) -> float:
        """Bound a velocity so that the shaft can still stop before a software position limit."""
        limits = self.limits
        if limits is None or not velocity:
            return velocity
        room = limits[1] - self.demand.position if velocity > 0 else self.demand.position - limits[0]
        highest = (2 * deceleration * room) ** 0.5 if room > 0 else 0.0
        if abs(velocity) <= highest:
            return velocity
        self.limited = True
        return highest if velocity > 0 else -highest

    def end_of_travel(self) -> int:
        """-1 or 1 where the shaft has to brake now to stop at that software position limit, else 0."""
        limits, motor = self.limits, self.motor
        if limits is None:
            return 0
        way = motor.velocity * abs(motor.velocity) / (2 * self.quick_deceleration)
        if motor.position + min(way, 0.0) <= limits[0]:
            return -1
        return 1 if motor.position + max(way, 0.0) >= limits[1] else 0

    # --- the loops --------------------------------------------------------------------------------------------------

    def brake(self, deceleration: float) -> None:
        """One step of a ramp to rest."""
        self.demand.ramp(0.0, deceleration, deceleration)

    def regulate(self, *, hold_position: bool = True) -> float:
        """The current that makes the shaft follow the demand."""
        return self.cascade.current(self.demand, self.highest_current, hold_position=hold_position)

    def take_hold(self) -> None:
        """Begin where the motor is, and as fast as it turns."""
        self.demand.take(self.motor)
        self.cascade.reset()

    def look(self, follows: bool) -> None:
        """Compare the position with its demand, where the mode ``follows`` one."""
        window = self.value(0x6065, 0, _WINDOW_OFF)
        off = abs((self.demand.position - self.motor.position) * self.scale.position)
        self.outside_window = follows and window not in (0, _WINDOW_OFF) and off > window
