"""Demand values and control loops of a simulated drive: ramps, positioning, and the cascade down to a current."""

from __future__ import annotations

import math

from opendiag.simulate.motor import STEP_S, Motor

#: Bandwidths in 1/s. Far enough below the step and the current loop to be stable with any plausible load.
_POSITION_GAIN = 30.0
_VELOCITY_GAIN = 180.0
_INTEGRAL_S = 0.03


class Demand:
    """Where the shaft should be now: ``position`` in turns, ``velocity`` in turns per second."""

    def __init__(self) -> None:
        self.position = 0.0
        self.velocity = 0.0

    def take(self, motor: Motor) -> None:
        """Begin where the motor is."""
        self.position, self.velocity = motor.position, motor.velocity

    def ramp(self, target: float, up: float, down: float) -> None:
        """One step towards a velocity. ``up`` and ``down`` in turns per second squared."""
        self.velocity = _towards(self.velocity, target, up * STEP_S, down * STEP_S)
        self.position += self.velocity * STEP_S

    def go(self, target: float, speed: float, up: float, down: float) -> bool:
        """One step towards a position, arriving at rest; True when it is there."""
        distance = target - self.position
        step = down * STEP_S
        if abs(self.velocity) <= step and abs(distance) <= max(step * STEP_S, 1e-9):
            self.position, self.velocity = target, 0.0
            return True
        half = step / 2
        brake = math.sqrt(half * half + 2 * down * abs(distance)) - half
        wish = math.copysign(min(speed, brake, abs(distance) / STEP_S), distance)
        # The last steps round the ramp off, which takes a little more than the deceleration asked for.
        self.velocity = _towards(self.velocity, wish, up * STEP_S, 1.1 * step)
        self.position += self.velocity * STEP_S
        return False


def _towards(velocity: float, target: float, up: float, down: float) -> float:
    """Change a velocity by at most ``up`` away from zero or ``down`` towards it."""
    slower = velocity * target < 0 or abs(target) < abs(velocity)
    if velocity * target < 0:
        target = 0.0
    limit = down if slower else up
    return velocity + min(max(target - velocity, -limit), limit)


class Cascade:
    """Position and velocity loop; gives a current in A."""

    def __init__(self, motor: Motor) -> None:
        self._motor = motor
        self._integral = 0.0
        data = motor.data
        self._a_per_velocity = 2 * math.pi * data.inertia * _VELOCITY_GAIN / data.torque_per_a
        self._a_per_acceleration = 2 * math.pi * data.inertia / data.torque_per_a
        self._last_velocity = 0.0
        self.limited = False

    def reset(self) -> None:
        self._integral = 0.0
        self._last_velocity = self._motor.velocity

    def current(self, demand: Demand, highest: float, *, hold_position: bool = True) -> float:
        """One step. ``highest`` in A bounds the result; ``limited`` tells that it did."""
        motor = self._motor
        wanted = demand.velocity
        if hold_position:
            wanted += _POSITION_GAIN * (demand.position - motor.position)
        error = wanted - motor.velocity
        ahead = (demand.velocity - self._last_velocity) / STEP_S * self._a_per_acceleration
        self._last_velocity = demand.velocity
        current = self._a_per_velocity * error + self._integral + ahead
        self.limited = abs(current) > highest
        if not self.limited:
            self._integral += self._a_per_velocity * error * STEP_S / _INTEGRAL_S
        return min(max(current, -highest), highest)
