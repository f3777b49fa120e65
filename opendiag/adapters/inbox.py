"""What a reader thread hands to whoever takes frames from a bus."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from threading import Event

from opendiag.frame import Frame

#: Nobody takes frames: about 12 s of a full bus at 1 Mbit/s, some 50 MB.
LIMIT = 100_000


class Inbox:
    """One thread puts, any may take. ``lost`` counts frames that came while ``limit`` others waited to be taken."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.lost = 0
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._failure: Exception | None = None
        self._ended = self._interrupted = False
        # Whoever waits clears it, looks again, and waits: so nothing is missed, and `put` costs a look as a rule.
        self._news = Event()

    def put(self, frames: Sequence[Frame]) -> None:
        """Nothing is taken in after a failure."""
        if not frames or self._failure:
            return
        if len(self._frames) >= self._limit:
            self.lost += len(frames)
            return
        self._frames.extend(frames)
        if not self._news.is_set():
            self._news.set()

    def fail(self, failure: Exception) -> None:
        """Every `take` raises this from now on, once what came before is taken. The first failure stays."""
        self._failure = self._failure or failure
        self._news.set()

    def interrupt(self) -> None:
        """The `take` that waits, or else the next one that would, gives what is there. From any thread."""
        self._interrupted = True
        self._news.set()

    def take(self, timeout_s: float | None) -> list[Frame]:
        """All that is there; waits for the first, for ever if None. An empty list when none came in time.

        Raise what `fail` was given.
        """
        if self._ended and self._failure is not None:
            raise self._failure.with_traceback(None)  # it would grow each time
        frames = self._all()
        if frames or (timeout_s is not None and timeout_s <= 0 and self._failure is None):
            return frames
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._news.clear()
            failure = self._failure  # before the frames: what came before it is taken first
            frames = self._all()
            if frames or (self._interrupted and failure is None):
                self._interrupted = False
                return frames
            if failure is not None:
                self._ended = True
                self._news.set()  # for the others who wait
                raise failure.with_traceback(None)
            rest = None if until is None else until - time.monotonic()
            if (rest is not None and rest <= 0) or not self._news.wait(rest):
                return self._all()

    def _all(self) -> list[Frame]:
        frames = self._frames
        taken: list[Frame] = []
        try:
            for _ in range(len(frames)):
                taken.append(frames.popleft())
        except IndexError:  # another thread takes as well
            pass
        return taken
