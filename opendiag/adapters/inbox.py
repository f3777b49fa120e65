"""What a reader thread hands to whoever takes frames from a bus."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Lock

from opendiag.frame import Frame

#: Nobody takes frames: about 12 s of a full bus at 1 Mbit/s, some 50 MB.
LIMIT = 100_000


class Inbox:
    """One thread puts, any may take. ``lost`` counts frames that came while ``limit`` others waited to be taken."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.lost = 0
        self._limit = limit
        self._queue: SimpleQueue[list[Frame] | None] = SimpleQueue()
        self._put = self._taken = 0
        self._failure: Exception | None = None
        self._ended = False
        self._taking = Lock()

    def put(self, frames: list[Frame]) -> None:
        """The list is given away: the caller does not change it any more."""
        if not frames or self._failure:
            return
        if self._put - self._taken >= self._limit:
            self.lost += len(frames)
            return
        self._put += len(frames)
        self._queue.put(frames)

    def fail(self, failure: Exception) -> None:
        """Every `take` raises this from now on, once what came before is taken. The first failure stays."""
        self._failure = self._failure or failure
        self._queue.put(None)

    def take(self, timeout_s: float | None) -> list[Frame]:
        """All that is there; waits for the first, for ever if None. An empty list when none came in time.

        Raise what `fail` was given.
        """
        if self._ended and self._failure:
            raise self._failure.with_traceback(None)  # it would grow each time
        try:
            frames = self._queue.get(timeout_s is None or timeout_s > 0, timeout_s)
        except Empty:
            frames = []
        if frames is None:
            self._ended = True
            self._queue.put(None)  # for those who wait
            return self.take(timeout_s)
        if not frames:
            return []
        if not self._queue.empty():
            frames = frames + self._more()
        with self._taking:
            self._taken += len(frames)
        return frames

    def _more(self) -> list[Frame]:
        more: list[Frame] = []
        while True:
            try:
                frames = self._queue.get_nowait()
            except Empty:
                return more
            if frames is None:
                self._queue.put(None)
                return more
            more += frames
