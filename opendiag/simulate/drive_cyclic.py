"""Modes of a simulated drive that a master feeds with set-points all the time: ip, csp, csv and cst."""

from __future__ import annotations

from opendiag.simulate.drive_mode import BIT_12, NEW_SET_POINT, ModeOfOperation
from opendiag.simulate.drive_velocity import ProfileTorque
from opendiag.simulate.motor import STEP_S


class CyclicPosition(ModeOfOperation):
    """Follow 607Ah, in a straight line over the interpolation time 60C2h and one step.

    The step more lets a set-point come a little late without a jerk; the demand lags by that much. With 60B0h as
    offset.
    """

    follows = True
    cyclic = True

    def enter(self) -> None:
        self._target = self.axis.demand.position
        self._velocity = 0.0

    def _wanted(self) -> float:
        return self.axis.cyclic_target

    @property
    def _active(self) -> bool:
        return True

    def plan(self) -> None:
        axis = self.axis
        if self._active:
            self._follow(axis.within_limits(self._wanted()))
        else:
            axis.brake(axis.deceleration)

    def _follow(self, target: float) -> None:
        axis, demand = self.axis, self.axis.demand
        rest = target - demand.position
        if target != self._target:
            self._target = target
            limit = axis.speed_limit
            self._velocity = min(max(rest / (axis.interpolation_s + STEP_S), -limit), limit)
        if abs(self._velocity) >= axis.speed_limit and abs(rest) > abs(self._velocity) * axis.interpolation_s * 2:
            axis.limited = True
        if abs(rest) <= abs(self._velocity) * STEP_S * 1.0001:
            demand.velocity = rest / STEP_S
            demand.position = target
        else:
            demand.velocity = self._velocity
            demand.position += self._velocity * STEP_S

    def status(self) -> int:
        return (BIT_12 if self._active and not self.halted else 0) | self.following_error()


class InterpolatedPosition(CyclicPosition):
    """The same with the set-point in 60C1h, while bit 4 of the controlword is set. Sub-mode 60C0h: linear only."""

    def _wanted(self) -> float:
        return self.axis.interpolation_target

    @property
    def _active(self) -> bool:
        return bool(self.axis.controlword & NEW_SET_POINT)


class CyclicVelocity(ModeOfOperation):
    """Follow 60FFh and its offset 60B1h, in a straight line over the interpolation time."""

    holds = False
    cyclic = True

    def enter(self) -> None:
        self._target = self.axis.demand.velocity
        self._rate = 0.0

    def plan(self) -> None:
        axis, demand = self.axis, self.axis.demand
        wanted = axis.target_velocity + axis.value(0x60B1) / axis.scale.velocity
        if wanted != self._target:
            self._target = wanted
            self._rate = abs(wanted - demand.velocity) / (axis.interpolation_s + STEP_S)
        demand.ramp(axis.slowed(wanted, axis.deceleration), self._rate, max(self._rate, axis.deceleration))

    def status(self) -> int:
        return 0 if self.halted else BIT_12


class CyclicTorque(ProfileTorque):
    """Current as 6071h and its offset 60B2h ask for it, at once."""

    cyclic = True

    def _offset(self) -> int:
        return self.axis.value(0x60B2)

    def _slope(self) -> float:
        return 0.0

    def status(self) -> int:
        return 0 if self.halted else BIT_12
