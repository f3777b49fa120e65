"""Homing of a simulated drive: limit and home switches, index pulse, hard stop, and the current position.

A first form: the shaft travels to where the switch is, backs off slowly, goes on to the next index pulse where the
method has one, and what is there becomes the home position. There is one index pulse per turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_modes import BIT_12, BIT_13, NEW_SET_POINT, REACHED, ModeOfOperation
from opendiag.simulate.motor import STEP_S

#: Turns that a switch needs to be left, and seconds after which a search is given up.
_BACK_OFF, _GIVE_UP_S = 0.02, 120.0
_HOME_ON_EDGE_CURRENT, _HOME_ON_EDGE_TIME = 0x2F22, 0x2F23
_DEFAULT_EDGE_MA, _DEFAULT_EDGE_MS = 2000, 500
_NEGATIVE_LIMIT, _POSITIVE_LIMIT = (1, 17), (2, 18)
_HERE = (35, 37)
_INDEX_ONLY = {33: -1, 34: 1}
_HOME_SWITCH = (*range(3, 15), *range(19, 31))
_WITH_INDEX = (*range(1, 15), -3, -4)


@dataclass(slots=True)
class Switches:
    """Where the axis has its limit switches and its home switch, in turns of the motor."""

    negative: float = -5.0
    positive: float = 5.0
    home: float = 0.0


class Homing(ModeOfOperation):
    """Method 6098h, begun by bit 4 of the controlword."""

    follows = True

    def __init__(self, axis: Axis, switches: Switches, without_reached: bool) -> None:
        super().__init__(axis)
        self._switches = switches
        self._without_reached = without_reached
        self._legs: list[tuple[float, float]] = []
        self.done = False
        self.failed = False
        self._running = False
        self._pushes = 0

    def enter(self) -> None:
        self._running = False
        self._legs = []

    def command(self, before: int, now: int) -> None:
        if now & ~before & NEW_SET_POINT:
            self._begin(self.axis.value(0x6098))
        elif not now & NEW_SET_POINT and self._running:
            self._running = False

    def _begin(self, method: int) -> None:
        self.done = self.failed = False
        self._running = True
        self._elapsed = self._pressed = 0.0
        self._legs, self._pushes = [], 0
        away = 1
        fast, slow = self.axis.speed(0x6099, 1), self.axis.speed(0x6099, 2)
        if method in _HERE:
            return
        if method in _INDEX_ONLY:
            self._legs = [(self._index(self.axis.motor.position, _INDEX_ONLY[method]), slow)]
            return
        if -4 <= method <= -1:
            self._pushes = -1 if method in (-1, -3) else 1
            self._then_index = method in _WITH_INDEX
            return
        if method in _NEGATIVE_LIMIT:
            target = self._switches.negative
        elif method in _POSITIVE_LIMIT:
            target, away = self._switches.positive, -1
        elif method in _HOME_SWITCH:
            target = self._switches.home
            away = 1 if target < self.axis.motor.position else -1
        else:
            self._fail()
            return
        left = target + away * _BACK_OFF
        self._legs = [(target, fast), (left, slow)]
        if method in _WITH_INDEX:
            self._legs.append((self._index(left, away), slow))

    @staticmethod
    def _index(position: float, direction: int) -> float:
        """The next index pulse."""
        return math.floor(position) + 1.0 if direction > 0 else math.ceil(position) - 1.0

    def step(self) -> float:
        if not self._running or self.done or self.failed:
            return super().step()
        self._elapsed += STEP_S
        if self._elapsed > _GIVE_UP_S:
            self._fail()
        elif self._pushes:
            return self._push()
        elif not self._legs:
            self._finish()
        else:
            self._travel()
        return self.axis.regulate()

    def _travel(self) -> None:
        target, speed = self._legs[0]
        ramp = self.axis.ramp(0x609A)
        if self.axis.demand.go(target, speed, ramp, ramp):
            self._legs.pop(0)

    def _push(self) -> float:
        """Towards the hard stop, until the current says for long enough that the shaft is there."""
        axis = self.axis
        ramp = axis.ramp(0x609A)
        axis.demand.ramp(self._pushes * axis.speed(0x6099, 1), ramp, ramp)
        limit = min(axis.value(_HOME_ON_EDGE_CURRENT, 0, _DEFAULT_EDGE_MA) / 1000, axis.highest_current)
        wanted = axis.regulate(hold_position=False)
        current = min(max(wanted, -limit), limit)
        self._pressed = self._pressed + STEP_S if abs(wanted) >= limit and self.standing else 0.0
        if self._pressed * 1000 >= axis.value(_HOME_ON_EDGE_TIME, 0, _DEFAULT_EDGE_MS):
            axis.demand.take(axis.motor)
            axis.cascade.reset()
            if self._then_index:
                self._legs = [(self._index(axis.motor.position, -self._pushes), axis.speed(0x6099, 2))]
            self._pushes = 0
        return current

    def _finish(self) -> None:
        axis = self.axis
        axis.offset = axis.value(0x607C) - round(axis.demand.position * axis.units.counts_per_turn)
        self._running = False
        self.done = True

    def _fail(self) -> None:
        self._running = False
        self.failed = True

    @property
    def searching(self) -> bool:
        """A hard stop is looked for: the demand runs ahead of the shaft, and that is no following error."""
        return bool(self._pushes)

    def status(self) -> int:
        if self.failed:
            return BIT_13 | (REACHED if self.standing else 0)
        if self.done:
            return BIT_12 | (0 if self._without_reached else REACHED)
        return 0 if self._running else REACHED
