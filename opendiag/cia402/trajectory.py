"""Motions of one axis as functions of time: trapezoids, jerk-limited S-curves, ramps, and several axes in step.

All values are in whatever unit the caller has; times in seconds. The greatest velocity, acceleration and jerk that were
given are never exceeded, and the end is met exactly.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_HALVINGS = 200


class Point(NamedTuple):
    """One moment of a trajectory: per second, and per second squared."""

    position: float
    velocity: float
    acceleration: float


class Trajectory(Protocol):
    """A motion from time 0 to ``duration_s``. Before and after that it stays at its ends."""

    @property
    def duration_s(self) -> float: ...

    def at(self, time_s: float) -> Point: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A constant jerk (0: a constant acceleration) for ``duration_s``, from ``start`` on."""

    duration_s: float
    start: Point
    jerk: float = 0.0

    def at(self, time_s: float) -> Point:
        """``time_s`` counts from the beginning of the piece."""
        (p, v, a), j, t = self.start, self.jerk, time_s
        return Point(p + t * (v + t * (a / 2 + t * j / 6)), v + t * (a + t * j / 2), a + t * j)


class Pieces:
    """Pieces one after the other. ``end`` is what holds afterwards: given, not summed up."""

    __slots__ = ("_begins", "_pieces", "duration_s", "end", "start")

    def __init__(self, pieces: Iterable[Piece], start: Point, end: Point) -> None:
        self._pieces = tuple(piece for piece in pieces if piece.duration_s > 0)
        begins, total = [], 0.0
        for piece in self._pieces:
            begins.append(total)
            total += piece.duration_s
        self._begins = tuple(begins)
        self.duration_s = total
        self.start, self.end = start, end

    def at(self, time_s: float) -> Point:
        """Where it is then: at rest at its beginning before time 0, and as at its end after ``duration_s``."""
        if time_s >= self.duration_s:
            return self.end
        if time_s <= 0:
            return self.start
        found = bisect_right(self._begins, time_s) - 1
        return self._pieces[found].at(time_s - self._begins[found])

    def __repr__(self) -> str:
        return f"<from {self.start.position:g} to {self.end.position:g} in {self.duration_s:g} s>"


def _check(**limits: float | None) -> None:
    for name, value in limits.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} {value} is not positive")


@dataclass(frozen=True, slots=True)
class _Limits:
    """``deceleration`` counts where the speed falls; where it falls and rises again, the smaller of both."""

    acceleration: float
    deceleration: float
    jerk: float | None

    def ramp_s(self, before: float, after: float) -> tuple[float, float]:
        """(seconds of constant acceleration, seconds of each of the two parts with jerk) between two velocities."""
        change = abs(after - before)
        if before * after < 0:
            limit = min(self.acceleration, self.deceleration)
        else:
            limit = self.acceleration if abs(after) > abs(before) else self.deceleration
        if self.jerk is None:
            return change / limit, 0.0
        if change >= limit * limit / self.jerk:
            return change / limit - limit / self.jerk, limit / self.jerk
        return 0.0, math.sqrt(change / self.jerk)

    def way(self, before: float, after: float) -> float:
        """A ramp is symmetric about its middle, with and without jerk."""
        flat, bent = self.ramp_s(before, after)
        return (before + after) / 2 * (flat + 2 * bent)

    def pieces(self, start: Point, after: float) -> list[Piece]:
        """A ramp from here to that velocity."""
        p, before, _ = start
        flat, bent = self.ramp_s(before, after)
        if not flat and not bent:
            return []
        acceleration = (after - before) / (flat + bent)
        if not bent:
            return [Piece(flat, Point(p, before, acceleration))]
        jerk = acceleration / bent
        first = Piece(bent, Point(p, before, 0.0), jerk)
        then = first.at(bent)
        second = Piece(flat, Point(then.position, then.velocity, acceleration))
        after_that = second.at(flat)
        return [first, second, Piece(bent, Point(after_that.position, after_that.velocity, acceleration), -jerk)]


def move(
    start: float,
    end: float,
    *,
    velocity: float,
    acceleration: float,
    deceleration: float | None = None,
    jerk: float | None = None,
    start_velocity: float = 0.0,
    end_velocity: float = 0.0,
) -> Pieces:
    """From one position to another: a trapezoid, or with ``jerk`` an S-curve (both ends without acceleration).

    Raise ValueError for a limit that is not positive, and for an end that is faster than ``velocity``.
    """
    _check(velocity=velocity, acceleration=acceleration, deceleration=deceleration, jerk=jerk)
    for what in (start, end, start_velocity, end_velocity):
        if not math.isfinite(what):
            raise ValueError(f"{what} is no place to go from or to")
    if max(abs(start_velocity), abs(end_velocity)) > velocity:
        raise ValueError(f"it begins or ends faster than {velocity:g}")
    limits = _Limits(acceleration, deceleration or acceleration, jerk)
    distance = end - start
    peak = _peak(limits, distance, velocity, start_velocity, end_velocity)
    ways = limits.way(start_velocity, peak) + limits.way(peak, end_velocity)
    cruise = max((distance - ways) / peak, 0.0) if peak else 0.0
    first = Point(start, start_velocity, 0.0)
    pieces = limits.pieces(first, peak)
    here = pieces[-1].at(pieces[-1].duration_s) if pieces else first
    pieces.append(Piece(cruise, Point(here.position, peak, 0.0)))
    here = Point(here.position + cruise * peak, peak, 0.0)
    pieces += limits.pieces(here, end_velocity)
    return Pieces(pieces, first, Point(end, end_velocity, 0.0))


def _peak(limits: _Limits, distance: float, velocity: float, before: float, after: float) -> float:
    """The velocity to go to between both ends, with its sign, as near to ``velocity`` as the distance allows."""
    sign = 1.0 if distance >= limits.way(before, after) else -1.0
    low = max(sign * before, sign * after)

    def way(peak: float) -> float:
        return sign * (limits.way(before, sign * peak) + limits.way(sign * peak, after))

    high = velocity
    if way(high) <= sign * distance:
        return sign * high
    for _ in range(_HALVINGS):  # left of the root, and nowhere else, the way is too short
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if way(middle) <= sign * distance:
            low = middle
        else:
            high = middle
    return sign * low


def trapezoid(start: float, end: float, velocity: float, acceleration: float) -> Pieces:
    """From rest to rest. Raise as `move`."""
    return move(start, end, velocity=velocity, acceleration=acceleration)


def s_curve(start: float, end: float, velocity: float, acceleration: float, jerk: float) -> Pieces:
    """From rest to rest without a jump of the acceleration. Raise as `move`."""
    return move(start, end, velocity=velocity, acceleration=acceleration, jerk=jerk)


def ramp(
    before: float,
    after: float,
    *,
    acceleration: float,
    jerk: float | None = None,
    start: float = 0.0,
    hold_s: float = 0,
) -> Pieces:
    """From one velocity to another, which is then held for ``hold_s``. Raise ValueError as `move`.

    For modes that follow a velocity. For a torque take `slope`.
    """
    _check(acceleration=acceleration, jerk=jerk)
    first = Point(start, before, 0.0)
    pieces = _Limits(acceleration, acceleration, jerk).pieces(first, after)
    here = pieces[-1].at(pieces[-1].duration_s) if pieces else first
    pieces.append(Piece(hold_s, Point(here.position, after, 0.0)))
    return Pieces(pieces, first, Point(here.position + hold_s * after, after, 0.0))


def slope(before: float, after: float, *, rate: float, hold_s: float = 0.0) -> Pieces:
    """A value that changes by ``rate`` a second and is then held: a torque. Raise ValueError as `move`."""
    _check(rate=rate)
    lasts = abs(after - before) / rate
    pieces = [Piece(lasts, Point(before, math.copysign(rate, after - before), 0.0))]
    pieces.append(Piece(hold_s, Point(after, 0.0, 0.0)))
    return Pieces(pieces, Point(before, 0.0, 0.0), Point(after, 0.0, 0.0))


def hold(position: float, duration_s: float) -> Pieces:
    """Stay there."""
    here = Point(position, 0.0, 0.0)
    return Pieces([Piece(duration_s, here)], here, here)


# --- made of others ------------------------------------------------------------------------------------------------


class Chain:
    """One trajectory after the other. Raise ValueError for none, and where two do not meet."""

    __slots__ = ("_begins", "_parts", "duration_s")

    def __init__(self, parts: Sequence[Trajectory]) -> None:
        if not parts:
            raise ValueError("a chain of no trajectories")
        begins, total = [], 0.0
        for before, part in zip((None, *parts), parts, strict=False):
            if before is not None:
                _check_meet(before.at(before.duration_s), part.at(0.0))
            begins.append(total)
            total += part.duration_s
        self._begins, self._parts = tuple(begins), tuple(parts)
        self.duration_s = total

    def at(self, time_s: float) -> Point:
        found = max(bisect_right(self._begins, time_s) - 1, 0)
        return self._parts[found].at(time_s - self._begins[found])


def _check_meet(end: Point, begin: Point) -> None:
    """The acceleration may jump, as it does in a trapezoid."""
    for name, left, right in zip(("position", "velocity"), end, begin, strict=False):
        if abs(left - right) > 1e-6 * max(1.0, abs(left), abs(right)):
            raise ValueError(f"two trajectories do not meet: {name} {left:g} is followed by {right:g}")


class Stretched:
    """The same way in another time: ``factor`` 2 takes twice as long, at half the velocity."""

    __slots__ = ("_factor", "_inner", "duration_s")

    def __init__(self, inner: Trajectory, duration_s: float) -> None:
        self._inner = inner
        self._factor = duration_s / inner.duration_s if inner.duration_s else 1.0
        self.duration_s = duration_s

    def at(self, time_s: float) -> Point:
        if time_s >= self.duration_s:
            point = self._inner.at(self._inner.duration_s)
        else:
            point = self._inner.at(time_s / self._factor)
        return Point(point.position, point.velocity / self._factor, point.acceleration / self._factor**2)


class Shifted:
    """The same way from another place."""

    __slots__ = ("_by", "_inner", "duration_s")

    def __init__(self, inner: Trajectory, by: float) -> None:
        self._inner, self._by = inner, by
        self.duration_s = inner.duration_s

    def at(self, time_s: float) -> Point:
        position, velocity, acceleration = self._inner.at(time_s)
        return Point(position + self._by, velocity, acceleration)


def synchronised(trajectories: Sequence[Trajectory]) -> tuple[Trajectory, ...]:
    """All of them begin and end together: each is stretched to the slowest one, which goes as it is.

    Raise ValueError for one that does not begin and end at rest: stretched, it would have other velocities there.
    """
    for each in trajectories:
        ends = each.at(0.0).velocity, each.at(each.duration_s).velocity
        if any(ends):
            raise ValueError(f"only motions from rest to rest can be stretched: this one has velocities {ends}")
    longest = max((each.duration_s for each in trajectories), default=0.0)
    return tuple(each if each.duration_s == longest else Stretched(each, longest) for each in trajectories)


@dataclass(frozen=True, slots=True)
class Extent:
    """The outermost values of a trajectory, as far as they are sampled."""

    lowest: float
    highest: float
    velocity: float
    acceleration: float


def extent(trajectory: Trajectory, samples: int = 2000) -> Extent:
    """Look at it at so many moments, and at both ends. Raise ValueError for a value that is no number."""
    step = trajectory.duration_s / samples
    points = [trajectory.at(count * step) for count in range(samples)] + [trajectory.at(trajectory.duration_s)]
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError("the trajectory has values that are no numbers")
    positions = [point.position for point in points]
    fastest = max(abs(point.velocity) for point in points)
    return Extent(min(positions), max(positions), fastest, max(abs(point.acceleration) for point in points))
