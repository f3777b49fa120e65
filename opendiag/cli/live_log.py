"""A live bus in the shape of a capture, so that `watch` is `decode` on other frames."""

from __future__ import annotations

from collections.abc import Iterator

from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.master.network import Network


class LiveLog:
    """Iterate over it once: the frames of a network until ``seconds`` are over, or ``count`` frames came."""

    bytes_total: int | None = None
    bytes_read = 0
    time_kind = "absolute"
    channels: tuple[str, ...] = ()

    def __init__(self, network: Network, seconds: float | None = None, count: int | None = None) -> None:
        self.network = network
        self.format = "live"
        self.frames = 0
        self._seconds = seconds
        self._count = count
        self._stream = network.frames()

    @property
    def findings(self) -> list[Finding]:
        """What of the bus is missing here."""
        lost = self._stream.lost
        if not lost:
            return []
        sentence = f"{lost} frame{'s' * (lost != 1)} came faster than they could be taken, and are lost"
        return [Finding("live-lost", Severity.ERROR, sentence)]

    def __iter__(self) -> Iterator[Frame]:
        clock = self.network.clock
        until = None if self._seconds is None else clock.now() + self._seconds
        with self._stream as stream:
            while self._count is None or self.frames < self._count:
                frame = stream.get(None if until is None else max(until - clock.now(), 0.0))
                if frame is None:
                    return
                self.frames += 1
                yield frame
                if until is not None and clock.now() >= until:
                    return
