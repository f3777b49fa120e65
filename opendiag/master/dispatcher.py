"""Calls the user's functions where nothing else depends on them: one after the other, on a thread of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

_LOG = logging.getLogger("opendiag")
#: Calls that may wait for a slow function: some 10 s of a full bus at 1 Mbit/s.
BACKLOG = 100_000
#: While several calls come at a time, the thread sleeps so long between two looks, and is not woken for each.
_GATHER_S = 0.001
_JOIN_S = 1.0

#: A function that goes on failing in the same way is told of so often.
_AGAIN_S = 10.0
#: Functions and ways of failing that are kept in mind.
_KNOWN_MOST = 256

_Call = tuple[Callable[[Any], object], Any]


class Pump(Protocol):
    """What is needed of the pump: does the calling thread hold its lock, and may nothing wait for the bus on it?"""

    @property
    def owned(self) -> bool: ...

    def forbid_waiting(self, forbidden: bool = True) -> None: ...


class Failures:
    """What functions of the caller raised: the first time in full, then how often, every 10 s and at the end."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[tuple[object, type], list[float]] = {}  # [when told, how often since]

    def tell(self, function: Callable[..., object], argument: object, error: Exception) -> None:
        """It raised this; call it where that is being handled. Another class of error is told in full again."""
        key, now = (function, type(error)), self._now()
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KNOWN_MOST:
                del self._known[next(iter(self._known))]
            self._known[key] = [now, 0]
            _LOG.error("callback %r failed on %s", function, getattr(argument, "id_text", argument), exc_info=error)
            return
        known[1] += 1
        if now - known[0] >= _AGAIN_S:
            _LOG.error("callback %r failed %s, now with %r", function, _again(known[1]), error)
            known[:] = now, 0

    def close(self) -> None:
        """Tell what was not told yet."""
        for (function, kind), (_, count) in self._known.items():
            if count:
                _LOG.error("callback %r failed %s, with %s", function, _again(count), kind.__name__)
        self._known.clear()


def _again(count: float) -> str:
    return "once more" if count == 1 else f"{count:g} more times"


class Dispatcher:
    """A function that raises is logged with its traceback, then counted: see `Failures`; the others never notice.

    With a ``thread``, which starts with the first `post`. Without one, on a clock that only waiting moves, `run_posted`
    makes the calls: whoever has let time pass finds them made. ``lost`` counts calls that came while ``BACKLOG`` were
    waiting: the oldest are kept.
    """

    def __init__(self, pump: Pump, thread: bool = True) -> None:
        self._pump = pump
        self._threaded = thread
        self._calls: deque[_Call] = deque()
        self._wake = threading.Event()
        self._idle = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._running = threading.Lock()
        self.failures = Failures()
        self.lost = 0

    def post(self, function: Callable[[Any], object], argument: Any) -> bool:
        """Have ``function(argument)`` called soon, after what was posted before. From any thread; never waits.

        False: too many calls wait, and this one will not be made.
        """
        calls = self._calls
        if len(calls) >= BACKLOG:
            self._lose()
            return False
        calls.append((function, argument))
        if self._idle:
            self._idle = False
            self._wake.set()
        elif self._thread is None and self._threaded:
            self._start()
        return True

    def _lose(self) -> None:
        if not self.lost:
            _LOG.warning("callbacks are slower than the bus: frames and events are lost for them")
        self.lost += 1

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="opendiag callbacks", daemon=True)
                self._thread.start()

    def run_posted(self) -> None:
        """Make the calls here and now, where there is no thread for them. Does nothing inside one of them.

        Nor with the pump's lock held: whoever let go of it last calls this again.
        """
        if self._threaded or not self._calls or self._pump.owned or not self._running.acquire(blocking=False):
            return
        self._pump.forbid_waiting()
        try:
            while self._calls:
                self._call(*self._calls.popleft())
        finally:
            self._pump.forbid_waiting(False)
            self._running.release()

    def close(self) -> None:
        """Calls that were posted are still made, then the thread ends. Not waited for in one of them."""
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread is None:
            self.run_posted()
        elif thread is not threading.current_thread():
            thread.join(_JOIN_S)
        self.failures.close()

    def _call(self, function: Callable[[Any], object], argument: Any) -> None:
        try:
            function(argument)
        except Exception as error:
            self.failures.tell(function, argument, error)

    def _run(self) -> None:
        self._pump.forbid_waiting()
        calls = self._calls
        while True:
            made = 0
            while calls:
                self._call(*calls.popleft())
                made += 1
            if made > 1 and not self._closed:
                time.sleep(_GATHER_S)
                if calls:
                    continue
            self._idle = True
            if not calls:  # looked at once more: one may have come before it was known that this thread must be woken
                if self._closed:
                    return
                self._wake.wait()
            self._idle = False
            self._wake.clear()
