"""Time stamps of captures: what kind they are, and one running time out of them.

candump's -t z (since the start) and -t d (since the frame before) look alike. A time since the start does not
decrease within a channel, so times that often do are differences; otherwise only whoever made the capture knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Kinds of one stamp. ABSOLUTE is since the epoch, LOCAL a date without a zone, kept as if it were UTC.
ABSOLUTE, LOCAL, SINCE_START, RELATIVE, NONE = "absolute", "local", "since start", "relative", "none"

#: No clock shows more digits; a longer row of them is no time.
_SECONDS = re.compile(r"\s*([0-9]{1,12})\.([0-9]{1,9})\s*$")
_LOCAL = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{1,9})\s*$")
#: candump pads seconds since the epoch to ten digits, -t d and -t z to three.
_EPOCH_DIGITS = 10
_EPOCH_NS = 10**9 * 10**9
#: Of the pairs of stamps in one channel: differences decrease in about half of them, a disturbed clock seldom.
_DELTA_SHARE = 10


def parse_stamp(text: str) -> tuple[str, int | None]:
    """Kind and nanoseconds of what stands in the brackets; (NONE, None) for what is no time."""
    if (seconds := _SECONDS.match(text)) is not None:
        return stamp(seconds[1], seconds[2])
    if (local := _LOCAL.match(text)) is None:
        return NONE, None
    from datetime import datetime, timezone

    try:
        moment = datetime.fromisoformat(f"{local[1]} {local[2]}").replace(tzinfo=timezone.utc)
    except ValueError:
        return NONE, None
    return LOCAL, int(moment.timestamp()) * 10**9 + int(local[3].ljust(9, "0"))


def stamp(seconds: str, fraction: str) -> tuple[str, int]:
    """The same for digits before and behind the point."""
    ns = int(seconds + fraction.ljust(9, "0"))
    if ns >= _EPOCH_NS:
        return ABSOLUTE, ns
    return SINCE_START if len(seconds) >= _EPOCH_DIGITS else RELATIVE, ns


class _Backsteps:
    """Notices times that decrease within a channel. A start from 0 again is another capture."""

    def __init__(self) -> None:
        self._last: dict[str | None, int] = {}

    def seen(self, channel: str | None, ns: int) -> bool | None:
        """None for the first stamp of a channel."""
        last = self._last.get(channel)
        self._last[channel] = ns
        return None if last is None else 0 < ns < last


def look_like_delta(stamps: Iterable[tuple[str | None, int]]) -> bool:
    """Are these relative times, each with its channel, differences?"""
    backsteps = _Backsteps()
    pairs = decreases = 0
    for channel, ns in stamps:
        seen = backsteps.seen(channel, ns)
        pairs += seen is not None
        decreases += seen is True
    return decreases > 0 and decreases * _DELTA_SHARE >= pairs


class RunningTime:
    """Nanoseconds for each frame. ``kind`` is none, absolute, local, zero or delta once the first stamp was seen.

    ``forced`` is candump's -t letter (a, z, d) where the user knows it. Raises ValueError for another one.
    """

    def __init__(self, forced: str | None = None, *, delta: bool = False) -> None:
        if forced not in (None, "a", "z", "d"):
            raise ValueError(f"time is {forced!r}; it is one of candump's letters a, z and d")
        self.kind = NONE
        self.decreased_at: int | None = None
        self._delta = forced == "d" or (forced is None and delta)
        self._forced = forced
        self._sum = 0
        self._backsteps = _Backsteps()

    def of(self, kind: str, ns: int, channel: str | None, line: int) -> int:
        """The frame's time; ``line`` is where it was seen."""
        if kind in (ABSOLUTE, LOCAL):
            self.kind = kind
            return ns
        if self._forced == "a":
            self.kind = ABSOLUTE
            return ns
        if self._delta and (kind == RELATIVE or self._forced):
            self.kind = "delta"
            self._sum += ns
            return self._sum
        self.kind = "zero"
        backwards = kind == RELATIVE and self._forced is None and self._backsteps.seen(channel, ns)
        if backwards and self.decreased_at is None:
            self.decreased_at = line
        return ns
