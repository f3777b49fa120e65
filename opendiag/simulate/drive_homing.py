"""Homing of a simulated drive, method by method as CiA 402 draws it, on switches, index pulse, hard stop or nothing.

Each method is a search that goes on step by step: run until a switch changes, and take the place where it did. That
place, or the next index pulse beyond it, is the home position: the shaft goes back there and stands. An edge is latched
where it is, however fast it was passed, so that the speeds 6099h decide how long homing takes and not where it ends.

The standard leaves methods -1 and below to the makers. Assumed here, as a StepIM has them by the names of its objects:
-1 and -2 push towards the negative or positive hard stop with the current 2F22h until the shaft has stood for 2F23h,
and -3 and -4 then go back to the first index pulse. Directions are those of the motor: polarity (607Eh) turns only what
the objects show.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_mode import BIT_12, BIT_13, NEW_SET_POINT, REACHED, ModeOfOperation
from opendiag.simulate.drive_world import Switches
from opendiag.simulate.motor import STEP_S

#: Seconds after which a search is given up.
_GIVE_UP_S = 120.0
_DEFAULT_EDGE_MA, _DEFAULT_EDGE_MS = 2000, 500
HERE, HARD_STOP = (35, 37), (-1, -2, -3, -4)
_LOWER, _UPPER = 0, 1
_WITH_INDEX = 16

Search = Generator[None, None, None]
#: Gives the direction in which home was passed.
Directed = Generator[None, None, int]


@dataclass(frozen=True, slots=True)
class HomeSwitchSearch:
    """``edge`` of the home switch is passed in direction ``crossing``; that is where home is.

    ``first``: which way to go when the switch is not active. ``turns_back``: at a limit switch, instead of an error.
    """

    edge: int
    crossing: int
    first: int
    turns_back: bool = True


#: The methods by home switch, without index pulse; 16 less is the same with one. 19 and 20 are for a switch that is
#: active up to the positive end of travel, 21 and 22 for one that is active up to the negative end.
HOME_SWITCH = {
    19: HomeSwitchSearch(_LOWER, -1, 1, turns_back=False),
    20: HomeSwitchSearch(_LOWER, 1, 1, turns_back=False),
    21: HomeSwitchSearch(_UPPER, 1, -1, turns_back=False),
    22: HomeSwitchSearch(_UPPER, -1, -1, turns_back=False),
    23: HomeSwitchSearch(_LOWER, -1, 1),
    24: HomeSwitchSearch(_LOWER, 1, 1),
    25: HomeSwitchSearch(_UPPER, -1, 1),
    26: HomeSwitchSearch(_UPPER, 1, 1),
    27: HomeSwitchSearch(_UPPER, 1, -1),
    28: HomeSwitchSearch(_UPPER, -1, -1),
    29: HomeSwitchSearch(_LOWER, 1, -1),
    30: HomeSwitchSearch(_LOWER, -1, -1),
}
_LIMIT_SWITCH = {17: -1, 18: 1}
_INDEX_ONLY = {33: -1, 34: 1}
#: What a simulated drive can do where its objects do not say otherwise.
METHODS = frozenset(
    (
        *(method - with_index for method in (*HOME_SWITCH, *_LIMIT_SWITCH) for with_index in (0, _WITH_INDEX)),
        *(*_INDEX_ONLY, *HERE, *HARD_STOP),
    )
)


class _Failed(Exception):
    """The search has nowhere left to go."""


class Homing(ModeOfOperation):
    """Method 6098h, begun by bit 4 of the controlword; clearing it ends the search without a result."""

    follows = True

    def __init__(self, axis: Axis, switches: Switches, without_reached: bool) -> None:
        super().__init__(axis)
        self._switches = switches
        self._without_reached = without_reached
        self._search: Search | None = None
        self.done = False
        self.failed = False
        self._home = 0.0
        self._force_a: float | None = None

    @property
    def seeks(self) -> bool:  # type: ignore[override]
        """Limit switches are what it looks for."""
        return self._search is not None

    @property
    def pushes(self) -> bool:
        """A hard stop is looked for: the demand runs ahead of the shaft, and that is no following error."""
        return self._force_a is not None

    def enter(self) -> None:
        self._stop()

    def _stop(self) -> None:
        self._search = None
        if self._force_a is not None:
            self._force_a = None
            self.axis.take_hold()

    def command(self, before: int, now: int) -> None:
        if now & ~before & NEW_SET_POINT:
            self._begin(self.axis.value(0x6098))
        elif not now & NEW_SET_POINT:
            self._stop()

    def _begin(self, method: int) -> None:
        self.done = self.failed = False
        self._elapsed = 0.0
        self._force_a = None
        self._home = self.axis.motor.position
        self._search = self._searching(method)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        if self._search is None:
            super().plan()
            return
        self._elapsed += STEP_S
        try:
            if self._elapsed > _GIVE_UP_S:
                raise _Failed
            next(self._search)
        except StopIteration:
            self._finish()
        except _Failed:
            self._stop()
            self.failed = True

    def regulate(self) -> float:
        if self._force_a is None:
            return super().regulate()
        wanted = self.axis.regulate(hold_position=False)
        return min(max(wanted, -self._force_a), self._force_a)

    def _finish(self) -> None:
        axis = self.axis
        offset = -axis.value(0x607C) if axis.units.zero_is_home_plus_offset else axis.value(0x607C)
        axis.offset = offset - round(self._home * axis.scale.position)
        axis.forget()
        self._search = None
        self.done = True

    # --- searches ---------------------------------------------------------------------------------------------------

    def _searching(self, method: int) -> Search:
        plain = method + _WITH_INDEX if 1 <= method < _WITH_INDEX else method
        direction = 0
        if method in HERE:
            return
        if plain in _LIMIT_SWITCH:
            direction = yield from self._limit_switch(_LIMIT_SWITCH[plain])
        elif plain in HOME_SWITCH:
            direction = yield from self._home_switch(HOME_SWITCH[plain])
        elif method in HARD_STOP:
            direction = yield from self._hard_stop(-1 if method in (-1, -3) else 1)
        elif method not in _INDEX_ONLY:
            raise _Failed
        if plain != method or method in _INDEX_ONLY or method in (-3, -4):
            yield from self._index(direction or _INDEX_ONLY[method])
        yield from self._go_home()

    def _limit_switch(self, direction: int) -> Directed:
        """Onto the switch and off it again: home is where it lets go."""
        yield from self._run(
            direction, fast=True, until=lambda position: self._switches.at_limit(position) == direction
        )
        yield from self._run(-direction, fast=False, until=lambda p: self._switches.at_limit(p) != direction)
        self._home = self._switches.negative if direction < 0 else self._switches.positive
        return -direction

    def _home_switch(self, search: HomeSwitchSearch) -> Directed:
        """From wherever the axis is to the side that the wanted edge is passed from, and over it."""
        direction, crossing = search.first, search.crossing
        near = _LOWER if direction > 0 else _UPPER
        if not self._active():
            entered = yield from self._reach_switch(search)
            if crossing == entered and search.edge == (near if entered == direction else 1 - near):
                self._home = self._switches.home_edges[search.edge]
                return crossing
        edge = self._switches.home_edges[search.edge]
        out = -1 if search.edge == _LOWER else 1  # the way off the switch over the wanted edge
        yield from self._run(out, fast=crossing != out, until=lambda position: (position - edge) * out > 0)
        if crossing != out:
            yield from self._run(crossing, fast=False, until=lambda position: (position - edge) * crossing > 0)
        self._home = edge
        return crossing

    def _reach_switch(self, search: HomeSwitchSearch) -> Directed:
        """Gives the direction in which the switch was reached."""
        direction = search.first
        for way in (direction, -direction):
            yield from self._run(way, fast=True, until=partial(self._at_home_or_limit, way))
            if self._active():
                return way
            if not search.turns_back:
                break
        raise _Failed

    def _at_home_or_limit(self, direction: int, position: float) -> bool:
        return self._switches.at_home(position) or self._switches.at_limit(position) == direction

    def _hard_stop(self, direction: int) -> Directed:
        """Until the current says for long enough that the shaft is there."""
        axis, objects = self.axis, self.axis.objects
        ramp = axis.ramp(0x609A)
        edge_a = axis.value(objects.edge_current, 0, _DEFAULT_EDGE_MA) / 1000
        edge_s = axis.value(objects.edge_time, 0, _DEFAULT_EDGE_MS) / 1000
        self._force_a = min(edge_a, axis.highest_current)
        pressed = 0.0
        while pressed < edge_s:
            axis.demand.ramp(direction * axis.speed(0x6099, 1), ramp, ramp)
            full = abs(axis.motor.current) >= 0.95 * self._force_a
            pressed = pressed + STEP_S if full and self.standing else 0.0
            yield
        axis.take_hold()
        self._force_a = None
        self._home = axis.motor.position
        return -direction

    def _index(self, direction: int) -> Search:
        """On to the first index pulse beyond the place that was found."""
        pulse = self._switches.next_index(self._home, direction)
        yield from self._run(direction, fast=False, until=lambda position: (position - pulse) * direction >= 0)
        self._home = pulse

    def _run(self, direction: int, *, fast: bool, until: Callable[[float], bool]) -> Search:
        """Turn until the shaft is where the condition holds; at once where it holds already."""
        axis, demand = self.axis, self.axis.demand
        ramp, speed = axis.ramp(0x609A), axis.speed(0x6099, 1 if fast else 2)
        while not until(axis.motor.position):
            demand.ramp(direction * speed, ramp, ramp)
            yield

    def _go_home(self) -> Search:
        axis = self.axis
        ramp = axis.ramp(0x609A)
        while not axis.demand.go(self._home, axis.speed(0x6099, 2), ramp, ramp):
            yield

    def _active(self) -> bool:
        return self._switches.at_home(self.axis.motor.position)

    # --- bits -------------------------------------------------------------------------------------------------------

    def status(self) -> int:
        if self.failed:
            return BIT_13 | (REACHED if self.standing else 0)
        if self.done:
            return BIT_12 | (0 if self._without_reached else REACHED)
        if self._search is None or self.halted:
            return REACHED if self.standing else 0
        return 0
