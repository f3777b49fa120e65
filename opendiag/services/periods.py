"""How regular something is: what was between two of it, counted up without keeping every one."""

from __future__ import annotations

from dataclasses import dataclass

#: Where the adapter's times are apart from the times of reading by more than this, its clock was set meanwhile.
_SET_S = 10.0


def elapsed_s(before_ns: int | None, ns: int | None, read_s: float) -> float:
    """Seconds between two frames: by the adapter's times, where both have one.

    ``read_s`` is what was between reading them: frames that waited in the adapter were read all at once.
    """
    if before_ns is None or ns is None:
        return read_s
    seconds = (ns - before_ns) / 1e9
    return read_s if seconds < 0 or abs(seconds - read_s) > _SET_S else seconds


@dataclass(slots=True)
class Periods:
    """All in seconds; None without a period. ``jitter_s`` is the standard deviation."""

    count: int = 0
    min_s: float | None = None
    max_s: float | None = None
    _mean: float = 0.0
    _squares: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        off = seconds - self._mean
        self._mean += off / self.count
        self._squares += off * (seconds - self._mean)
        self.min_s = seconds if self.min_s is None else min(self.min_s, seconds)
        self.max_s = seconds if self.max_s is None else max(self.max_s, seconds)

    @property
    def mean_s(self) -> float | None:
        return self._mean if self.count else None

    @property
    def jitter_s(self) -> float | None:
        return float((self._squares / self.count) ** 0.5) if self.count else None
