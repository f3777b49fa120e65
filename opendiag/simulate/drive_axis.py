"""What the modes of a simulated drive work on: motor, demand, loops, and the objects in units of the shaft."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.dictionary.datatypes import is_signed
from opendiag.services.object_store import DictionaryStore
from opendiag.simulate.motion import Cascade, Demand
from opendiag.simulate.motor import Motor

_DEFAULT_INTERPOLATION_S = 0.004
_NO_LIMIT_TURNS_S = 170.0
_WINDOW_OFF = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class DriveUnits:
    """What one turn, one turn per second (squared) and one ampere are in the objects of a drive.

    ``per_mille``: currents and torques are 1/1000 of the rated current 6075h, as in CiA 402; otherwise mA.
    """

    counts_per_turn: int = 4096
    velocity_per_turn_s: float = 4096.0
    acceleration_per_turn_s2: float = 4096.0
    per_mille: bool = True


class Axis:
    """Positions in turns of the motor, speeds in turns per second, currents in A.

    ``offset`` is what homing moves: the position object shows counts of the motor plus this.
    """

    def __init__(self, store: DictionaryStore, motor: Motor, units: DriveUnits) -> None:
        self.store = store
        self.motor = motor
        self.units = units
        self.demand = Demand()
        self.cascade = Cascade(motor)
        self.controlword = 0
        self.offset = 0
        self.outside_window = False
        self._signed = {key: is_signed(variable.data_type) for key, variable in store.variables.items()}

    def value(self, index: int, subindex: int = 0, default: int = 0) -> int:
        """An object's number as stored; ``default`` where the drive has no such object."""
        raw = self.store.values.get((index, subindex))
        return default if raw is None else int.from_bytes(raw, "little", signed=self._signed[index, subindex])

    def turns(self, counts: int) -> float:
        """Where the motor is when the position object shows ``counts``."""
        return (counts - self.offset) / self.units.counts_per_turn

    def counts(self, turns: float) -> int:
        return round(turns * self.units.counts_per_turn) + self.offset

    def speed(self, index: int, subindex: int = 0) -> float:
        """A profile velocity, bounded by the drive's limit."""
        return min(abs(self.value(index, subindex)) / self.units.velocity_per_turn_s, self.speed_limit)

    @property
    def speed_limit(self) -> float:
        limits = (self.value(0x20EE), self.value(0x607F))
        return min([_NO_LIMIT_TURNS_S, *(x / self.units.velocity_per_turn_s for x in limits if x > 0)])

    def ramp(self, index: int, subindex: int = 0) -> float:
        """An acceleration; never 0, so that every ramp ends."""
        return max(self.value(index, subindex, 1), 1) / self.units.acceleration_per_turn_s2

    @property
    def acceleration(self) -> float:
        return self.ramp(0x6083)

    @property
    def deceleration(self) -> float:
        return self.ramp(0x6084 if (0x6084, 0) in self.store.values else 0x6083)

    @property
    def quick_deceleration(self) -> float:
        return self.ramp(0x6085) if self.value(0x6085) else self.deceleration

    @property
    def rated_current(self) -> float:
        return (self.value(0x6075) or 3000) / 1000

    def torque_to_a(self, value: int) -> float:
        return value / 1000 * (self.rated_current if self.units.per_mille else 1.0)

    def a_to_torque(self, amperes: float) -> int:
        return round(amperes * 1000 / (self.rated_current if self.units.per_mille else 1.0))

    @property
    def highest_current(self) -> float:
        """6073h, and what the power stage can do."""
        limit = self.value(0x6073)
        return min(self.torque_to_a(limit) if limit else self.rated_current, self.motor.data.peak_current_a)

    @property
    def interpolation_s(self) -> float:
        period, exponent = self.value(0x60C2, 1), self.value(0x60C2, 2)
        return period * 10.0**exponent if period and -6 <= exponent <= 0 else _DEFAULT_INTERPOLATION_S

    def within_limits(self, turns: float) -> float:
        """Bound a target by the software position limits 607Dh, where they are in use."""
        low, high = self.value(0x607D, 1), self.value(0x607D, 2)
        if low >= high:
            return turns
        return min(max(turns, self.turns(low)), self.turns(high))

    def brake(self, deceleration: float) -> None:
        """One step of a ramp to rest."""
        self.demand.ramp(0.0, deceleration, deceleration)

    def regulate(self, *, hold_position: bool = True) -> float:
        """The current that makes the shaft follow the demand."""
        return self.cascade.current(self.demand, self.highest_current, hold_position=hold_position)

    def look(self, follows: bool) -> None:
        """Compare the position with its demand, where the mode ``follows`` one."""
        window = self.value(0x6065, 0, _WINDOW_OFF)
        off = abs(self.demand.position - self.motor.position) * self.units.counts_per_turn
        self.outside_window = follows and window not in (0, _WINDOW_OFF) and off > window
