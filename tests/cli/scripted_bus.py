"""A station for simulated buses that sends what a test tells it to."""

from __future__ import annotations

from opendiag.frame import Frame


class Script:
    """Sends frames at their times, whatever happens."""

    def __init__(self, *timed: tuple[float, Frame]) -> None:
        self._timed = sorted(timed, key=lambda pair: pair[0])
        self._due: list[Frame] = []

    def receive(self, frame: Frame, now: float) -> None:
        """Deaf."""

    def tick(self, now: float) -> None:
        while self._timed and self._timed[0][0] <= now:
            self._due.append(self._timed.pop(0)[1])

    def deadline(self) -> float | None:
        return self._timed[0][0] if self._timed else None

    def frames_to_send(self) -> list[Frame]:
        due, self._due = self._due, []
        return due

    def events(self) -> list[object]:
        return []
