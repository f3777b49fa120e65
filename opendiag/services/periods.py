"""How regular something is: what was between two of it, counted up without keeping every one."""

from __future__ import annotations

from dataclasses import dataclass


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
