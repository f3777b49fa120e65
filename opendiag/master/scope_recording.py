"""What a scope has recorded: signals over time, what happened meanwhile, and how regularly the samples came."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from opendiag.dictionary.model import object_text

#: An interval this much longer than the period is a gap.
_GAP = 1.5
_LATE_S = 0.0005


@dataclass(frozen=True, slots=True)
class SignalStatistics:
    """``rate_hz`` is what was reached; ``gaps`` intervals were longer than one and a half periods. None: not known."""

    count: int
    rate_hz: float | None
    shortest_s: float | None
    longest_s: float | None
    gaps: int | None
    least: float | None
    greatest: float | None
    mean: float | None


@dataclass(slots=True, eq=False)
class Signal:
    """One object over time. ``times_s`` are those of the network's clock, ``values`` in ``unit``.

    ``source`` says how the samples come; ``period_s`` how often they should, None where nothing says so. ``steps``: the
    value is a state or bits, and stays until the next sample. ``shown``: somebody asked for it, and not the trigger
    alone.
    """

    index: int
    subindex: int
    name: str
    unit: str = ""
    source: str = ""
    period_s: float | None = None
    steps: bool = False
    shown: bool = True
    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, int]:
        return self.index, self.subindex

    @property
    def object(self) -> str:
        """As in "6064:00"."""
        return object_text(self.index, self.subindex)

    @property
    def title(self) -> str:
        """Name and unit, as in "Position actual value [counts]"."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def add(self, time_s: float, value: float) -> None:
        """One more sample; one that comes late is put where it belongs."""
        if self.times_s and time_s < self.times_s[-1]:
            place = bisect_left(self.times_s, time_s)
            self.times_s.insert(place, time_s)
            self.values.insert(place, value)
            return
        self.times_s.append(time_s)
        self.values.append(value)

    def forget_before(self, time_s: float) -> None:
        """Drop what is older."""
        place = bisect_left(self.times_s, time_s)
        if place:
            del self.times_s[:place]
            del self.values[:place]

    def cut(self, from_s: float, to_s: float, zero_s: float) -> None:
        """Keep what lies between, and let the times count from ``zero_s``."""
        self.forget_before(from_s)
        end = bisect_left(self.times_s, to_s)
        self.times_s = [time_s - zero_s for time_s in self.times_s[:end]]
        self.values = self.values[:end]

    def statistics(self) -> SignalStatistics:
        times, values = self.times_s, self.values
        steps = [b - a for a, b in pairwise(times)]
        span = times[-1] - times[0] if len(times) > 1 else 0.0
        gaps = None
        if self.period_s:
            gaps = sum(step > _GAP * self.period_s + _LATE_S for step in steps)
        return SignalStatistics(
            len(times),
            len(steps) / span if span else None,
            min(steps, default=None),
            max(steps, default=None),
            gaps,
            min(values, default=None),
            max(values, default=None),
            sum(values) / len(values) if values else None,
        )


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened meanwhile: the trigger, an EMCY, a change of state."""

    time_s: float
    text: str


@dataclass(slots=True, eq=False)
class Recording:
    """``zero_s``: the trigger, or the beginning, on the network's clock; all other times count from it.

    ``triggered`` None: nobody asked for a trigger. ``notes`` are what is to be known of how it came about. ``lost``
    frames came faster than they could be taken.
    """

    node_id: int
    signals: list[Signal]
    zero_s: float
    triggered: bool | None = None
    happenings: list[Happening] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: int = 0

    @property
    def shown(self) -> list[Signal]:
        """Those that somebody asked for."""
        return [signal for signal in self.signals if signal.shown]

    @property
    def empty(self) -> bool:
        return not any(signal.times_s for signal in self.shown)

    def rows(self) -> Iterator[tuple[float, list[float | None]]]:
        """(seconds, one value for each signal, None where it has no sample at that time), in the order of time."""
        columns = self.shown
        by_time: dict[float, list[float | None]] = {}
        for place, signal in enumerate(columns):
            for time_s, value in zip(signal.times_s, signal.values, strict=True):
                row = by_time.get(time_s)
                if row is None:
                    row = by_time[time_s] = [None] * len(columns)
                row[place] = value
        for time_s in sorted(by_time):
            yield time_s, by_time[time_s]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "node": self.node_id,
            "zero_s": self.zero_s,
            "triggered": self.triggered,
            "lost": self.lost,
            "notes": self.notes,
            "happenings": [{"time_s": each.time_s, "text": each.text} for each in self.happenings],
            "signals": [
                {
                    "object": signal.object,
                    "name": signal.name,
                    "unit": signal.unit,
                    "source": signal.source,
                    "period_s": signal.period_s,
                    "statistics": {name: getattr(statistics, name) for name in SignalStatistics.__dataclass_fields__},
                    "times_s": signal.times_s,
                    "values": signal.values,
                }
                for signal in self.shown
                for statistics in (signal.statistics(),)
            ],
        }
