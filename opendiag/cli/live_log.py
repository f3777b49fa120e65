"""A live bus in the shape of a capture, so that `watch` is `decode` on other frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opendiag.findings import Finding, Severity
from opendiag.master.network import Network


class LiveLog:
    """Iterate over it once: the frames of a network until ``seconds`` are over, or ``count`` frames came.

    With ``look_s`` a None comes whenever the bus was silent for that long.
    """

    bytes_total: int | None = None
    bytes_read = 0
    time_kind = "absolute"
    channels: tuple[str, ...] = ()

    def __init__(
        self, network: Network, seconds: float | None = None, count: int | None = None, look_s: float | None = None
    ) -> None:
        self.network = network
        self.format = "live"
        self.frames = 0
        self._seconds = seconds
        self._count = count
        self._look_s = look_s
        self._stream = network.frames()

    @property
    def findings(self) -> list[Finding]:
        """What of the bus is missing here."""
        lost = self._stream.lost
        if not lost:
            return []
        sentence = f"{lost} frame{'s' * (lost != 1)} came faster than they could be taken, and are lost"
        return [Finding("live-lost", Severity.ERROR, sentence)]

    def __iter__(self) -> Iterator[Any]:
        clock = self.network.clock
        until = None if self._seconds is None else clock.now() + self._seconds
        with self._stream as stream:
            while self._count is None or self.frames < self._count:
                waits = [] if until is None else [max(until - clock.now(), 0.0)]
                frame = stream.get(min(waits + ([] if self._look_s is None else [self._look_s]), default=None))
                if frame is not None:
                    self.frames += 1
                    yield frame
                elif self._look_s is not None:
                    yield None
                if until is not None and clock.now() >= until:
                    return
