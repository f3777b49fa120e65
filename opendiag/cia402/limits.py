"""Limits that a script sets for its own motions, on top of the drive's: checked before anything is sent, and while
the motor moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import CURRENT, POSITION, TORQUE, VELOCITY
from opendiag.cia402.units import Units
from opendiag.errors import LimitReached, OutsideLimits
from opendiag.services.plans import Now, Plan

_WHOSE = "which this script set as its limit"
#: A motion at the limit overshoots it a little, and measuring a velocity or a current flickers. The window of the
#: position may be left by that part of its width.
_OVERSHOOT, _STRAY = 1.1, 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """In the units of the script; a number without a unit is in the drive's default ones, text names its own.

    ``position`` is a window, as in (-1, 5) or ("-10 mm", "80 mm"). ``velocity``, ``acceleration`` and ``current`` are
    magnitudes. ``time_s`` is for each motion. None: no limit.

    While the motor moves they act after the fact, and with some room for overshoot and flicker: 1 % of the window's
    width, 10 % of a velocity or a current. Beyond that it still needs its stopping distance.
    """

    position: tuple[float | str, float | str] | None = None
    velocity: float | str | None = None
    acceleration: float | str | None = None
    current: float | str | None = None
    time_s: float | None = None

    @classmethod
    def of(cls, given: Limits | Mapping[str, Any] | None) -> Limits:
        """Raise ValueError for a name that is no limit."""
        if given is None or isinstance(given, Limits):
            return given or cls()
        unknown = given.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"no limit {', '.join(sorted(map(str, unknown)))}: expected {known}")
        return cls(**given)

    def __bool__(self) -> bool:
        return self != Limits()

    def in_device_units(self, units: Units) -> ScriptLimits:
        """Raise UnknownTarget for a unit that the drive does not have, ValueError for what is no limit."""
        window = None
        if self.position is not None:
            low, high = sorted(units.counts("position", end) for end in self.position)
            window = low, high
        if self.time_s is not None and not self.time_s > 0:
            raise ValueError(f"a limit of {self.time_s} s is not positive")
        velocity, acceleration, current = (
            None if each is None else abs(units.counts(quantity, each))
            for quantity, each in (
                ("velocity", self.velocity),
                ("acceleration", self.acceleration),
                ("current", self.current),
            )
        )
        return ScriptLimits(units, window, velocity, acceleration, current, self.time_s)


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """The same in the drive's counts."""

    units: Units
    position: tuple[int, int] | None = None
    velocity: int | None = None
    acceleration: int | None = None
    current: int | None = None
    time_s: float | None = None

    # --- before ---

    def check_position(self, node_id: int, counts: int) -> None:
        """Raise OutsideLimits."""
        if self.position is not None and not self.position[0] <= counts <= self.position[1]:
            low, high = (self._text("position", end) for end in self.position)
            raise OutsideLimits(node_id, "position", self._text("position", counts), f"{low} to {high}", _WHOSE)

    def check(self, node_id: int, quantity: str, counts: int) -> None:
        """A velocity, an acceleration or a current, whatever its sign. Raise OutsideLimits."""
        most: int | None = getattr(self, quantity)
        if most is not None and abs(counts) > most:
            allowed = f"{self._text(quantity, most)} either way"
            raise OutsideLimits(node_id, quantity, self._text(quantity, counts), allowed, _WHOSE)

    def check_time(self, node_id: int, seconds: float) -> None:
        """How long a motion will take. Raise OutsideLimits."""
        if self.time_s is not None and seconds > self.time_s:
            raise OutsideLimits(node_id, "duration", f"{seconds:g} s", f"{self.time_s:g} s", _WHOSE)

    # --- while it moves ---

    @property
    def watched(self) -> bool:
        """Is there anything to look at while the motor moves?"""
        return not (self.position is None and self.velocity is None and self.current is None and self.time_s is None)

    def watch(self, link: DriveLink, what: str, began: float | None = None) -> Plan[None]:
        """One look at what is limited. ``began``: when the motion did. Raise LimitReached, SdoError."""
        if self.time_s is not None and began is not None and (yield Now()) - began > self.time_s:
            raise LimitReached(link.node_id, what, f"it takes longer than {self.time_s:g} s, {_WHOSE}")
        if self.position is not None:
            counts = yield from link.read(POSITION, 0, link.timing.answer_s)
            room = _STRAY * (self.position[1] - self.position[0])
            if not self.position[0] - room <= counts <= self.position[1] + room:
                self._left(link, what, "position", counts, self.position[counts > self.position[1]])
        if self.velocity is not None:
            counts = yield from link.read(VELOCITY, 0, link.timing.answer_s)
            if abs(counts) > self.velocity * _OVERSHOOT:
                self._left(link, what, "velocity", counts, self.velocity)
        if self.current is not None:
            counts = yield from self._current(link)
            if abs(counts) > self.current * _OVERSHOOT:
                self._left(link, what, "current", counts, self.current)

    def _current(self, link: DriveLink) -> Plan[int]:
        """Where there is no current to be had, the torque stands for it."""
        counts = yield from link.read_if_there(CURRENT)
        if counts is None:
            counts = yield from link.read(TORQUE)
        return counts

    def _left(self, link: DriveLink, what: str, quantity: str, counts: int, limit: int) -> None:
        shown, allowed = self._text(quantity, counts), self._text(quantity, limit)
        raise LimitReached(link.node_id, what, f"{quantity} {shown} is beyond {allowed}, {_WHOSE}")

    def _text(self, quantity: str, counts: float) -> str:
        return f"{self.units.from_device(quantity, counts):.6g} {self.units.default(quantity)}"
