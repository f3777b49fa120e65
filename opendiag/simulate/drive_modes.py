"""Modes of operation of a simulated drive: each makes a current out of objects and controlword, step by step."""

from __future__ import annotations

from opendiag.cia402.modes import Mode
from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.motor import STEP_S

NEW_SET_POINT, IMMEDIATELY, RELATIVE, HALT = 1 << 4, 1 << 5, 1 << 6, 1 << 8
REACHED, BIT_12, BIT_13 = 1 << 10, 1 << 12, 1 << 13
#: Turns per second under which the shaft counts as standing.
STANDING = 0.02


class ModeOfOperation:
    """What all modes share. This one holds the shaft where it is: mode 0, and modes that nothing is known of."""

    #: Whether the position has to follow its demand, so that there can be a following error.
    follows = False

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    def enter(self) -> None:
        """The mode begins, or the motor has just come under control."""

    def command(self, before: int, now: int) -> None:
        """A controlword was written."""

    def step(self) -> float:
        """One step of `STEP_S`; gives the current in A."""
        self.axis.brake(self.axis.deceleration)
        return self.axis.regulate()

    def status(self) -> int:
        """Bits 10, 12 and 13 of the statusword."""
        return 0

    @property
    def standing(self) -> bool:
        return abs(self.axis.motor.velocity) < STANDING

    @property
    def halted(self) -> bool:
        return bool(self.axis.controlword & HALT)

    def following_error(self) -> int:
        """Bit 13 where the window 6065h is left."""
        return BIT_13 if self.axis.outside_window else 0


class ProfilePosition(ModeOfOperation):
    """Set-points by handshake, with one in reserve."""

    follows = True

    def enter(self) -> None:
        self._now: tuple[float, float, float, float] | None = None
        self._next: tuple[float, float, float, float] | None = None
        self._acknowledge = False
        self._arrived = True

    def command(self, before: int, now: int) -> None:
        if not now & NEW_SET_POINT:
            self._release()
        elif not before & NEW_SET_POINT and not self._acknowledge:
            self._accept(now)

    def _release(self) -> None:
        if self._next is None and not self.axis.controlword & NEW_SET_POINT:
            self._acknowledge = False

    def _accept(self, controlword: int) -> None:
        axis = self.axis
        target = axis.turns(axis.value(0x607A))
        if controlword & RELATIVE:
            target = self._base() + axis.value(0x607A) / axis.units.counts_per_turn
        set_point = (axis.within_limits(target), axis.speed(0x6081), axis.acceleration, axis.deceleration)
        self._acknowledge = True
        if controlword & IMMEDIATELY or self._arrived:
            self._now, self._next = set_point, None
            self._arrived = False
        else:
            self._next = set_point

    def _base(self) -> float:
        """What a relative set-point counts from (60F2h, bits 0 and 1)."""
        option = self.axis.value(0x60F2) & 3
        latest = self._next or self._now
        if option == 2:
            return self.axis.motor.position
        if option == 1 or latest is None:
            return self.axis.demand.position
        return latest[0]

    def step(self) -> float:
        axis = self.axis
        if self._now is None:
            return super().step()
        if axis.demand.go(*self._now):
            self._arrived = True
            if self._next is not None:
                self._now, self._next, self._arrived = self._next, None, False
                self._release()
        return axis.regulate()

    def status(self) -> int:
        axis = self.axis
        bits = (BIT_12 if self._acknowledge else 0) | self.following_error()
        if self.halted:
            return bits | (REACHED if self.standing else 0)
        if self._now is None:
            return bits | REACHED
        off = abs(self._now[0] - axis.motor.position) * axis.units.counts_per_turn
        there = self._arrived and off <= max(axis.value(0x6067), 1)
        return bits | (REACHED if there else 0)


class ProfileVelocity(ModeOfOperation):
    """Ramp to 60FFh and stay there."""

    def _target(self) -> float:
        axis = self.axis
        limit = axis.speed_limit
        return min(max(axis.value(0x60FF) / axis.units.velocity_per_turn_s, -limit), limit)

    def step(self) -> float:
        axis = self.axis
        axis.demand.ramp(self._target(), axis.acceleration, axis.deceleration)
        return axis.regulate(hold_position=False)

    def status(self) -> int:
        axis = self.axis
        wanted = 0.0 if self.halted else self._target()
        window = max(axis.value(0x606D) / axis.units.velocity_per_turn_s, STANDING)
        reached = abs(wanted - axis.motor.velocity) <= window
        return (REACHED if reached else 0) | (BIT_12 if self.standing else 0)


class ProfileTorque(ModeOfOperation):
    """Current as 6071h asks for it; the speed limit takes it away."""

    def _target(self) -> float:
        highest = self.axis.highest_current
        return min(max(self.axis.torque_to_a(self.axis.value(0x6071)), -highest), highest)

    def step(self) -> float:
        axis = self.axis
        current = self._target()
        axis.demand.take(axis.motor)
        axis.cascade.reset()
        too_fast = abs(axis.motor.velocity) > axis.speed_limit and axis.motor.velocity * current > 0
        return 0.0 if too_fast else current

    def status(self) -> int:
        return REACHED if abs(self.axis.motor.current - (0.0 if self.halted else self._target())) < 0.05 else 0


class CyclicPosition(ModeOfOperation):
    """Follow 607Ah, in a straight line over the interpolation time 60C2h."""

    follows = True

    def enter(self) -> None:
        self._target = self.axis.demand.position
        self._velocity = 0.0
        self.limited = False

    def _wanted(self) -> int:
        return self.axis.value(0x607A)

    @property
    def _active(self) -> bool:
        return True

    def step(self) -> float:
        axis = self.axis
        if self._active:
            self._follow(axis.within_limits(axis.turns(self._wanted())))
        else:
            axis.brake(axis.deceleration)
        return axis.regulate()

    def _follow(self, target: float) -> None:
        demand = self.axis.demand
        if target != self._target:
            self._target = target
            velocity = (target - demand.position) / self.axis.interpolation_s
            limit = self.axis.speed_limit
            self.limited = abs(velocity) > limit
            self._velocity = min(max(velocity, -limit), limit)
        rest = target - demand.position
        if abs(rest) <= abs(self._velocity) * STEP_S * 1.0001:
            demand.velocity = rest / STEP_S
            demand.position = target
        else:
            demand.velocity = self._velocity
            demand.position += self._velocity * STEP_S

    def status(self) -> int:
        return (BIT_12 if self._active and not self.halted else 0) | self.following_error()


class InterpolatedPosition(CyclicPosition):
    """The same with the set-point in 60C1h, while bit 4 of the controlword is set."""

    def _wanted(self) -> int:
        return self.axis.value(0x60C1, 1)

    @property
    def _active(self) -> bool:
        return bool(self.axis.controlword & NEW_SET_POINT)


MODES: dict[int, type[ModeOfOperation]] = {
    Mode.PP: ProfilePosition,
    Mode.PV: ProfileVelocity,
    Mode.TQ: ProfileTorque,
    Mode.IP: InterpolatedPosition,
    Mode.CSP: CyclicPosition,
}
