"""Time stamps of captures: what kind they are, and one running time out of them.

candump's -t z (since the start) and -t d (since the frame before) look alike. Times that decrease can only be
differences; otherwise only whoever made the capture knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECONDS = re.compile(r"(\d+)\.(\d{1,9})$")
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)\.(\d{1,9})$")
#: candump writes absolute seconds with ten digits.
_EPOCH_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Stamp:
    """``kind`` absolute (since the epoch), local (a date without a zone, kept as if it were UTC) or relative."""

    kind: str
    ns: int


def parse_stamp(text: str) -> Stamp | None:
    """None for what is no time."""
    if (seconds := _SECONDS.match(text)) is not None:
        whole, fraction = seconds[1], seconds[2]
        ns = int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0"))
        return Stamp("absolute" if len(whole.lstrip("0")) >= _EPOCH_DIGITS else "relative", ns)
    if (local := _LOCAL.match(text)) is None:
        return None
    from datetime import datetime, timezone

    try:
        moment = datetime.fromisoformat(f"{local[1]} {local[2]}").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return Stamp("local", int(moment.timestamp()) * 1_000_000_000 + int(local[3].ljust(9, "0")))


class RunningTime:
    """Time in ns for each frame. ``kind`` is none, absolute, local, zero or delta once the first stamp was seen.

    ``forced`` is candump's -t letter where the user knows it.
    """

    def __init__(self, forced: str | None = None, looks_like_delta: bool = False) -> None:
        self.kind = "none"
        self.decreased_at: int | None = None
        self._delta = forced == "d" or (forced is None and looks_like_delta)
        self._forced = forced
        self._last = 0

    def of(self, stamp: Stamp | None, line: int) -> int | None:
        if stamp is None:
            return None
        if stamp.kind != "relative" or self._forced == "a":
            self.kind = "local" if stamp.kind == "local" else "absolute"
            return stamp.ns
        if self._delta:
            self.kind = "delta"
            self._last += stamp.ns
            return self._last
        self.kind = "zero"
        if stamp.ns < self._last and self._forced is None and self.decreased_at is None:
            self.decreased_at = line
        self._last = stamp.ns
        return stamp.ns
