"""What of a capture is sent again, when, and how it is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from opendiag.adapters.can_filter import CanFilter
from opendiag.frame import Frame

#: 29 bits or 11, and the number.
Identifier = tuple[bool, int]


class NoTimes(ValueError):
    """The capture does not say when its frames came."""


@dataclass(frozen=True)
class Choice:
    """``ids`` are replaced. ``gap_s`` takes the place of the capture's times, ``max_gap_s`` shortens its silences.

    ``speed`` 2 halves all times of the capture, those that ``max_gap_s`` shortened too.
    """

    frames: CanFilter | None = None
    channel: str | None = None
    ids: Mapping[Identifier, Identifier] = field(default_factory=dict)
    speed: float = 1.0
    gap_s: float | None = None
    max_gap_s: float | None = None


class Pass:
    """Once through a capture. The counters grow while `timed` is read.

    ``frames`` are those to be sent; ``seconds`` is the time of the last one after the first. ``errors`` counts error
    frames, which no adapter sends.
    """

    def __init__(self, choice: Choice) -> None:
        self.frames = 0
        self.seconds = 0.0
        self.errors = 0
        self.channels: list[str] = []
        self.identifiers: set[Identifier] = set()
        self._choice = choice
        self._last_ns: int | None = None

    def timed(self, log: Iterable[Frame]) -> Iterator[tuple[float, Frame]]:
        """Seconds after the first frame, and the frame as it is to be sent. Raise NoTimes."""
        for frame in log:
            if not self._wanted(frame):
                continue
            self.seconds = self._moment(frame)
            self.frames += 1
            if frame.channel is not None and frame.channel not in self.channels:
                self.channels.append(frame.channel)
            made = self._changed(frame)
            self.identifiers.add((made.extended, made.can_id))
            yield self.seconds, made

    def _wanted(self, frame: Frame) -> bool:
        choice = self._choice
        if choice.channel is not None and frame.channel != choice.channel:
            return False
        if choice.frames is not None and not choice.frames.matches(frame):
            return False
        self.errors += frame.error
        return not frame.error

    def _moment(self, frame: Frame) -> float:
        """A time that goes back counts as no time gone by."""
        choice = self._choice
        if choice.gap_s is not None:
            return self.frames * choice.gap_s
        if frame.time_ns is None:
            raise NoTimes
        gap_s = 0.0 if self._last_ns is None else max(frame.time_ns - self._last_ns, 0) / 1e9
        self._last_ns = frame.time_ns
        if choice.max_gap_s is not None:
            gap_s = min(gap_s, choice.max_gap_s)
        return self.seconds + gap_s / choice.speed

    def _changed(self, frame: Frame) -> Frame:
        before = frame.extended, frame.can_id
        extended, can_id = self._choice.ids.get(before, before)
        return replace(frame, can_id=can_id, extended=extended, channel=None, direction=None, time_ns=None)
