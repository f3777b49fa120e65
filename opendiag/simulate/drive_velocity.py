"""Modes of a simulated drive without a position: velocity (vl), profile velocity and profile torque."""

from __future__ import annotations

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_mode import BIT_12, REACHED, STANDING, ModeOfOperation, Window
from opendiag.simulate.motor import STEP_S

_ENABLE_RAMP, _UNLOCK_RAMP, _REFERENCE = 1 << 4, 1 << 5, 1 << 6
#: Ampere that the torque may be off to count as reached.
_TORQUE_WINDOW_A = 0.05


class ProfileVelocity(ModeOfOperation):
    """Ramp to 60FFh and stay there. Bit 10: within 606Dh for 606Eh; bit 12: below 606Fh for 6070h."""

    holds = False

    def __init__(self, axis: Axis) -> None:
        super().__init__(axis)
        self._reached, self._slow = Window(), Window()

    def plan(self) -> None:
        axis = self.axis
        wanted = axis.target_velocity
        axis.demand.ramp(axis.slowed(wanted, axis.deceleration), axis.acceleration, axis.deceleration)
        self._watch(wanted)

    def _watch(self, wanted: float) -> None:
        axis, speed = self.axis, self.axis.motor.velocity
        per = abs(axis.scale.velocity)
        self._reached.step(abs(wanted - speed) <= max(axis.value(0x606D) / per, STANDING))
        self._slow.step(abs(speed) <= max(axis.value(0x606F) / per, STANDING))

    def status(self) -> int:
        axis = self.axis
        if self.halted:
            return (REACHED | BIT_12) if self.standing else 0
        reached = self._reached.lasts(axis.value(0x606E))
        return (REACHED if reached else 0) | (BIT_12 if self._slow.lasts(axis.value(0x6070)) else 0)


class VelocityMode(ModeOfOperation):
    """Mode vl of frequency converters: 6042h in rpm, over the ramp 6048h and 6049h (6046h: least and most).

    Controlword bits 4 (0: stop on the quick stop ramp), 5 (0: the ramp stays where it is) and 6 (0: its input is 0).
    The dimension factor 604Ch is applied, the set-point factor 604Bh is not.
    """

    holds = False

    def _per_rpm(self) -> float:
        """Units of 6042h per turn of the motor and second."""
        above, below = self.axis.value(0x604C, 1), self.axis.value(0x604C, 2)
        return 60.0 * (below / above if above and below else 1.0)

    def _ramp(self, index: int) -> float:
        speed, seconds = self.axis.value(index, 1), self.axis.value(index, 2)
        return speed / seconds / self._per_rpm() if speed and seconds else self.axis.acceleration

    def wanted(self) -> float:
        """Turns per second, within 6046h."""
        asked = self.axis.value(0x6042)
        least, most = self.axis.value(0x6046, 1), self.axis.value(0x6046, 2)
        amount = min(max(abs(asked), least if asked else 0), most or abs(asked))
        return (amount if asked > 0 else -amount) / self._per_rpm()

    def shown(self, turns_s: float) -> float:
        """A velocity in the units of 6043h and 6044h."""
        return turns_s * self._per_rpm()

    def plan(self) -> None:
        axis, word = self.axis, self.axis.controlword
        if not word & _ENABLE_RAMP:
            axis.brake(self._ramp(0x604A))
        elif word & _UNLOCK_RAMP:
            wanted = self.wanted() if word & _REFERENCE else 0.0
            down = self._ramp(0x6049)
            axis.demand.ramp(axis.slowed(wanted, down), self._ramp(0x6048), down)
        else:
            axis.demand.ramp(axis.demand.velocity, 1.0, 1.0)

    def status(self) -> int:
        return 0


class ProfileTorque(ModeOfOperation):
    """Current as 6071h asks for it, over the slope 6087h where there is one; the speed limit takes it away."""

    holds = False
    by_torque = True

    def __init__(self, axis: Axis) -> None:
        super().__init__(axis)
        self._current = 0.0

    def enter(self) -> None:
        self._current = 0.0

    def _target(self) -> float:
        highest = self.axis.highest_current
        wanted = self.axis.torque_to_a(self.axis.value(0x6071) + self._offset())
        return min(max(wanted, -highest), highest)

    def _offset(self) -> int:
        return 0

    def _slope(self) -> float:
        """A per step."""
        return self.axis.torque_to_a(self.axis.value(0x6087)) * STEP_S

    def plan(self) -> None:
        target, slope = self._target(), self._slope()
        change = target - self._current
        self._current += min(max(change, -slope), slope) if slope else change

    def wish(self) -> float:
        return self._current

    def regulate(self) -> float:
        axis = self.axis
        axis.take_hold()
        too_fast = abs(axis.motor.velocity) > axis.speed_limit and axis.motor.velocity * self._current > 0
        axis.limited = axis.limited or too_fast or abs(self._current) >= axis.highest_current
        axis.cascade.limited = False
        return 0.0 if too_fast else self._current

    def status(self) -> int:
        wanted = 0.0 if self.halted else self._target()
        return REACHED if abs(self.axis.motor.current - wanted) < _TORQUE_WINDOW_A else 0
