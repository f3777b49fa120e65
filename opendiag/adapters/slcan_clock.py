"""The time of frames from SLCAN's time stamps."""

from __future__ import annotations

from opendiag.adapters.device_clock import DeviceClock

_MS = 1_000_000
#: Z1: 4 digits, milliseconds that begin again every minute.
_MINUTE = 60_000
#: Z2: 8 digits; microseconds that begin again every hour, or milliseconds, as the firmware has it.
_HOUR_US = 3_600_000_000
_LEARN_NS = 50 * _MS
#: Ticks in a millisecond: 1 or 1000.
_BETWEEN = 30


class StampClock:
    """``wrong`` counts time stamps that no adapter can mean; such frames get the host's time.

    Firmware agrees on what 4 digits mean, but not on 8: the first 50 ms tell milliseconds from microseconds. Until
    then the host's time counts.
    """

    def __init__(self) -> None:
        self.wrong = 0
        self.reset()

    def reset(self) -> None:
        """The adapter counts from somewhere else now."""
        self._short = DeviceClock(_MS, _MINUTE)
        self._long: DeviceClock | None = None
        self._first: tuple[int, int] | None = None

    def time_ns(self, digits: int, ticks: int, host_ns: int) -> int:
        if digits == 4:
            if ticks >= _MINUTE:
                self.wrong += 1
                return host_ns
            return self._short.time_ns(ticks, host_ns)
        if self._long is None:
            self._learn(ticks, host_ns)
            if self._long is None:
                return host_ns
        return self._long.time_ns(ticks, host_ns)

    def _learn(self, ticks: int, host_ns: int) -> None:
        if self._first is None or ticks < self._first[0]:
            self._first = ticks, host_ns
            return
        passed_ns = host_ns - self._first[1]
        if passed_ns < _LEARN_NS:
            return
        per_ms = (ticks - self._first[0]) * _MS / passed_ns
        self._long = DeviceClock(1000, _HOUR_US) if per_ms > _BETWEEN else DeviceClock(_MS, 1 << 32)
