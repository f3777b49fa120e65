"""Profile position mode of a simulated drive: set-points by handshake, with one in reserve."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_mode import (
    BIT_12,
    IMMEDIATELY,
    NEW_SET_POINT,
    ON_SET_POINT,
    REACHED,
    RELATIVE,
    ModeOfOperation,
    Window,
)

_WINDOW_OFF = 0xFFFF_FFFF
_TO_DEMAND, _TO_ACTUAL = 1, 2
_NEGATIVE_ONLY, _POSITIVE_ONLY, _SHORTEST = 1, 2, 3


@dataclass(frozen=True, slots=True)
class SetPoint:
    """Turns, turns per second, turns per second squared. ``clipped``: a limit has moved the target."""

    target: float
    speed: float
    up: float
    down: float
    clipped: bool = False


class ProfilePosition(ModeOfOperation):
    """Bit 5 replaces the set-point under way; without it one waits. With bit 9 the one under way is not stopped at.

    Positioning option 60F2h: bits 0 and 1 say what a relative set-point counts from, bits 6 and 7 which way round a
    rotary axis (607Bh) goes. The other bits are ignored, as is the end velocity 6082h.
    """

    follows = True

    def __init__(self, axis: Axis) -> None:
        super().__init__(axis)
        self._window = Window()

    def enter(self) -> None:
        self._now: SetPoint | None = None
        self._next: SetPoint | None = None
        self._passes = False
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
        axis.forget()
        asked = axis.value(0x607A)
        relative = bool(controlword & RELATIVE)
        target = self._base() + asked / axis.scale.position if relative else self._absolute(asked)
        bounded = axis.within_limits(target)
        made = SetPoint(bounded, axis.speed(0x6081), axis.acceleration, axis.deceleration, bounded != target)
        self._acknowledge = True
        self._passes = False
        if controlword & IMMEDIATELY or self._arrived:
            self._now, self._next = made, None
            self._arrived = False
        else:
            self._next, self._passes = made, bool(controlword & ON_SET_POINT)

    def _base(self) -> float:
        """What a relative set-point counts from."""
        option = self.axis.value(0x60F2) & 3
        latest = self._next or self._now
        if option == _TO_ACTUAL:
            return self.axis.motor.position
        if option == _TO_DEMAND or latest is None:
            return self.axis.demand.position
        return latest.target

    def _absolute(self, asked: int) -> float:
        """On a rotary axis the same position is there once in every range."""
        axis = self.axis
        span = axis.range
        if span is None:
            return axis.turns(asked)
        around = span[1] - span[0] + 1
        here = round(axis.demand.position * axis.scale.position) + axis.offset
        ahead = (asked - here) % around
        way = axis.value(0x60F2) >> 6 & 3
        shown = (here - span[0]) % around + span[0]
        by_way = {0: asked - shown, _POSITIVE_ONLY: ahead, _NEGATIVE_ONLY: ahead - around if ahead else 0}
        by_way[_SHORTEST] = ahead if ahead <= around // 2 else ahead - around
        return axis.turns(here + by_way[way])

    def plan(self) -> None:
        axis, now = self.axis, self._now
        if now is None:
            super().plan()
            return
        axis.limited = axis.limited or now.clipped
        if self._passes and self._next is not None:
            self._pass(now, self._next)
        elif axis.demand.go(now.target, now.speed, now.up, now.down):
            self._arrived = True
            if self._next is not None:
                self._follow(self._next)
        self._window.step(self._arrived and self._near(now.target))

    def _pass(self, now: SetPoint, following: SetPoint) -> None:
        """On to the set-point without braking, and past it with the next one's profile."""
        demand = self.axis.demand
        before = now.target - demand.position
        demand.ramp(math.copysign(now.speed, before), now.up, now.down)
        if (now.target - demand.position) * before <= 0:
            self._follow(following)

    def _follow(self, following: SetPoint) -> None:
        self._now, self._next, self._arrived, self._passes = following, None, False, False
        self._release()

    def _near(self, target: float) -> bool:
        """Within the position window 6067h."""
        window = self.axis.value(0x6067)
        off = abs(target - self.axis.motor.position) * abs(self.axis.scale.position)
        return window == _WINDOW_OFF or off <= max(window, 1)

    def status(self) -> int:
        bits = (BIT_12 if self._acknowledge else 0) | self.following_error()
        if self.halted:
            return bits | (REACHED if self.standing else 0)
        if self._now is None:
            return bits | REACHED
        there = self._arrived and self._window.lasts(self.axis.value(0x6068))
        return bits | (REACHED if there else 0)
