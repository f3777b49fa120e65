"""The time of day from a counter in an adapter that wraps around."""

from __future__ import annotations

import time

#: A counter that is further away from what the host expects than this was reset, or jumped.
_JUMP_NS = 500_000_000
#: How fast an estimate of the delay on the way is given up: crystals differ by up to 100 ppm.
_DRIFT_PPM = 200


class HostClock:
    """Nanoseconds since the epoch, as it was when this was made; steps of the system's clock do not reach it."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset


class DeviceClock:
    """``tick_ns`` is what the counter counts, ``period`` at how many ticks it begins again.

    Frames take some time from the adapter to the host, never less than none: so the smallest difference that was seen
    between both clocks is taken for the true one, and it is let go slowly, as crystals drift. Results never go back.
    """

    def __init__(self, tick_ns: int, period: int) -> None:
        self._tick_ns = tick_ns
        self._period = period
        self._half = (period - 1) // 2
        self._last_ticks: int | None = None
        self._ticks = 0
        self._offset = 0
        self._at_ns = 0
        self._last_ns = 0

    def anchor(self, ticks: int, host_ns: int) -> None:
        """The counter was asked for and stood at ``ticks`` when the host's clock was at ``host_ns``.

        Events from before may still be on their way, so this moves no limit below which results do not go.
        """
        self._unwrap(ticks, host_ns)

    def time_ns(self, ticks: int, host_ns: int) -> int:
        """Of an event at ``ticks`` that the host learnt of at ``host_ns``."""
        self._unwrap(ticks, host_ns)
        now = self._ticks * self._tick_ns + self._offset  # never later than the host: see `_unwrap`
        if now > self._last_ns:
            self._last_ns = now
        return self._last_ns

    def _unwrap(self, ticks: int, host_ns: int) -> None:
        """Of every frame, so it is kept short. The offset is never more than what was just seen."""
        if self._last_ticks is None:
            self._ticks = ticks
            self._offset = host_ns - ticks * self._tick_ns
        else:
            step = (ticks - self._last_ticks) % self._period
            waited = host_ns - self._at_ns
            if step > self._half or waited > self._half * self._tick_ns:
                # The step that fits best: the host's clock says how many whole periods passed; -1 is a little back.
                step += round((waited // self._tick_ns - step) / self._period) * self._period
            self._ticks += step
            seen = host_ns - self._ticks * self._tick_ns
            offset = self._offset + waited * _DRIFT_PPM // 1_000_000
            if offset > seen or seen - offset > _JUMP_NS:
                offset = seen
            self._offset = offset
        self._last_ticks = ticks
        self._at_ns = host_ns
