"""Where the live side takes its time from."""

from __future__ import annotations

import time
from typing import Protocol

#: Below this, waiting by sleeping overshoots by more than it waits.
_SPIN_S = 0.0004


class Clock(Protocol):
    """Seconds that never go back. ``runs`` is False for a clock that only `sleep_until` moves."""

    runs: bool

    def now(self) -> float: ...

    def sleep_until(self, moment: float) -> None: ...


class RealClock:
    """Counts on from ``start``, or from the seconds since the epoch when it was made, and is never set back."""

    runs = True

    def __init__(self, start: float | None = None) -> None:
        self._start = (time.time() if start is None else start) - time.perf_counter()

    def now(self) -> float:
        return self._start + time.perf_counter()

    def sleep_until(self, moment: float) -> None:
        """To within some 10 µs: the end of the wait is spun, not slept."""
        while (rest := moment - self.now()) > 0:
            time.sleep(rest - _SPIN_S if rest > 2 * _SPIN_S else 0)


class ManualClock:
    """Moves when somebody waits, and then at once to the end of the wait: simulated time without real time.

    What one thread waits for moves the time of all. Transfers of several threads go well together; two threads that
    sleep do not.
    """

    runs = False

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def sleep_until(self, moment: float) -> None:
        self._now = max(self._now, moment)
