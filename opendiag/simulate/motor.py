"""A motor with its load, its power supply and its warmth, for drives that exist in memory only.

The model is a first form: a current loop of first order, torque proportional to current, inertia with dry and viscous
friction, a supply with an inner resistance in front of a capacitor, and one thermal mass. It is stepped on a fixed
grid of `STEP_S` from power-on, so what it does depends on the commands and on their times, not on how often somebody
looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

STEP_S = 0.0005
_TURN = 2 * math.pi
#: The bus capacitor is bled above this: regenerated energy has to go somewhere.
_BLEEDER_V = 60.0
#: Below this the supply of the control electronics ends, and with it any current.
_BROWN_OUT_V = 6.0
_MASK = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class MotorData:
    """A small integrated stepper servo. Torque in Nm, inertia in kg m2, thermal resistance in K/W."""

    torque_per_a: float = 0.15
    resistance_ohm: float = 0.8
    current_time_constant_s: float = 0.0008
    inertia: float = 6e-5
    dry_friction: float = 0.012
    viscous_friction: float = 5e-5
    peak_current_a: float = 12.0
    supply_v: float = 48.0
    supply_ohm: float = 0.35
    capacitor_f: float = 0.0022
    idle_power_w: float = 3.0
    ambient_c: float = 25.0
    thermal_resistance: float = 3.2
    thermal_time_constant_s: float = 420.0


_SMALL = MotorData()


class Motor:
    """``position`` in turns, ``velocity`` in turns per second, ``current`` in A, ``bus`` in V, ``temperature`` in degC.

    ``control`` gives the commanded current in A and is called once per step; None: the power stage is off.
    ``held``: somebody keeps the shaft from turning. ``stops``: positions of the hard stops in turns. ``brake_torque``
    in Nm: what a holding brake takes while it is ``braked``; 0: there is none. ``watch(before, after)`` hears each
    move.
    """

    def __init__(self, data: MotorData = _SMALL, *, seed: int = 0) -> None:
        self.data = data
        self.position = 0.0
        self.velocity = 0.0
        self.current = 0.0
        self.supply = data.supply_v
        self.bus = data.supply_v
        self.ambient = data.ambient_c
        self.temperature = data.ambient_c + 2.0
        self.load_torque = 0.0
        self.held = False
        self.stops: tuple[float, float] | None = None
        self.control: Callable[[], float] | None = None
        self.touches_stop = False
        self.brake_torque = 0.0
        self.braked = False
        self.watch: Callable[[float, float], None] | None = None
        self._seed = seed
        self._began = 0.0
        self._steps = 0
        self._lag = 1 - math.exp(-STEP_S / data.current_time_constant_s)
        self._warmth = math.exp(-STEP_S / data.thermal_time_constant_s)

    def start(self, now: float) -> None:
        """Begin the grid of steps here. What turned before the power came is not known."""
        self._began, self._steps = now, 0
        self.current = 0.0
        self.bus = self.supply

    @property
    def energised(self) -> bool:
        return self.control is not None

    @property
    def steps(self) -> int:
        """Steps done since `start`."""
        return self._steps

    def advance(self, now: float) -> None:
        """Step up to ``now``. A time that is past already does nothing."""
        due = int((now - self._began) / STEP_S + 1e-6)
        while self._steps < due:
            if self._at_rest():
                self._rest(due - self._steps)
                return
            self._step()

    def _at_rest(self) -> bool:
        idle = self.control is None and abs(self.current) < 1e-4 and self.velocity == 0.0
        return idle and abs(self.load_torque) <= self._dry_friction and abs(self.bus - self._idle_bus()) < 0.01

    @property
    def _dry_friction(self) -> float:
        return self.data.dry_friction + (self.brake_torque if self.braked else 0.0)

    def _rest(self, steps: int) -> None:
        """All steps at once: nothing moves, and only the temperature goes on."""
        self._steps += steps
        self.current = 0.0
        self.bus = self._idle_bus()
        target = self._final_temperature(self._idle_power())
        self.temperature = target + (self.temperature - target) * self._warmth**steps

    def _idle_power(self) -> float:
        return self.data.idle_power_w if self.supply > _BROWN_OUT_V else 0.0

    def _idle_bus(self) -> float:
        if self.supply <= _BROWN_OUT_V:
            return self.supply
        return self.supply - self.data.supply_ohm * self.data.idle_power_w / self.supply

    def _final_temperature(self, power_w: float) -> float:
        return self.ambient + self.data.thermal_resistance * power_w

    def _step(self) -> None:
        self._steps += 1
        data = self.data
        self._step_current()
        self._step_shaft(self.current * data.torque_per_a)
        loss = self.current * self.current * data.resistance_ohm
        self._step_bus(loss + self.current * data.torque_per_a * self.velocity * _TURN)
        target = self._final_temperature(self._idle_power() + loss)
        self.temperature = target + (self.temperature - target) * self._warmth

    def _step_current(self) -> None:
        """Current follows its command as far as the bus voltage drives it against the winding and the back-EMF."""
        data = self.data
        if self.control is None or self.bus < _BROWN_OUT_V:
            self.current -= self.current * self._lag
            return
        wanted = min(max(self.control(), -data.peak_current_a), data.peak_current_a)
        back_emf = self.velocity * _TURN * data.torque_per_a
        highest = (self.bus - back_emf) / data.resistance_ohm
        lowest = (-self.bus - back_emf) / data.resistance_ohm
        self.current += (min(max(wanted, lowest), highest) - self.current) * self._lag
        self.current = min(max(self.current, -data.peak_current_a), data.peak_current_a)

    def _step_shaft(self, torque: float) -> None:
        self.touches_stop = False
        if self.held:
            self.velocity = 0.0
            return
        data = self.data
        per_step = STEP_S / (_TURN * data.inertia)
        dry = self._dry_friction if self.braked else data.dry_friction
        friction = (dry + data.viscous_friction * abs(self.velocity) * _TURN) * per_step
        velocity = self.velocity + (torque - self.load_torque) * per_step
        velocity = 0.0 if abs(velocity) <= friction else velocity - math.copysign(friction, velocity)
        self.velocity = velocity
        before = self.position
        self.position += velocity * STEP_S
        if self.stops is not None and not self.stops[0] <= self.position <= self.stops[1]:
            self.position = min(max(self.position, self.stops[0]), self.stops[1])
            self.velocity = 0.0
            self.touches_stop = True
        if self.watch is not None and self.position != before:
            self.watch(before, self.position)

    def _step_bus(self, motor_power: float) -> None:
        """The supply feeds the capacitor and never takes back: braking lifts the bus."""
        data = self.data
        load = (motor_power + self._idle_power()) / max(self.bus, _BROWN_OUT_V)
        rate = STEP_S / data.capacitor_f
        if self.supply >= self.bus:
            fed = rate / data.supply_ohm
            self.bus = (self.bus + fed * self.supply - rate * load) / (1 + fed)
        else:
            self.bus -= rate * load
            if load > 0:
                self.bus = max(self.bus, self.supply - 1.0)
        self.bus = min(max(self.bus, 0.0), _BLEEDER_V)

    def noise(self, channel: int, sigma: float) -> float:
        """What a measurement at this moment is off by: the same for everybody who looks in the same step."""
        x = (self._seed * 0x9E3779B1 + self._steps * 0x85EBCA6B + channel * 0xC2B2AE35 + 0x27D4EB2F) & _MASK
        x = (x ^ x >> 15) * 0x2C1B3C6D & _MASK
        x = (x ^ x >> 12) * 0x297A2D39 & _MASK
        x ^= x >> 15
        # The sum of four bytes is close enough to a bell curve, and has an end.
        total = (x & 0xFF) + (x >> 8 & 0xFF) + (x >> 16 & 0xFF) + (x >> 24)
        return sigma * (total - 510) / 147.8
