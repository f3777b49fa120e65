"""TIME_OF_DAY: the payload of the TIME service (100h by default) and a data type of its own.

28 bits of milliseconds after midnight, 4 reserved bits, 16 bits of days since 1984-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.errors import WireError

MS_PER_DAY = 86_400_000
LENGTH = 6
#: Days from 1970-01-01 to 1984-01-01.
_DAYS_TO_1984 = 5113


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """``ms`` after midnight (0..2^28-1; above 86 399 999 it is no time of day), ``days`` since 1984-01-01."""

    ms: int
    days: int

    def encode(self) -> bytes:
        if not 0 <= self.ms < 1 << 28 or not 0 <= self.days < 1 << 16:
            raise WireError(f"TIME_OF_DAY holds 28 bits of ms and 16 bits of days, not {self.ms} and {self.days}")
        return self.ms.to_bytes(4, "little") + self.days.to_bytes(2, "little")

    @classmethod
    def decode(cls, data: bytes) -> TimeOfDay:
        """Raise WireError unless it is six bytes; the four reserved bits are ignored."""
        if len(data) != LENGTH:
            raise WireError(f"TIME has {LENGTH} bytes, not {len(data)}", data)
        return cls(int.from_bytes(data[:4], "little") & 0x0FFF_FFFF, int.from_bytes(data[4:], "little"))

    @classmethod
    def from_epoch(cls, seconds: float) -> TimeOfDay:
        """Of seconds since 1970-01-01 (UTC, or local time as the bus has it), rounded to milliseconds.

        Raise WireError before 1984 and after the 65536 days that follow.
        """
        days, ms = divmod(round(seconds * 1000), MS_PER_DAY)
        made = cls(ms, days - _DAYS_TO_1984)
        made.encode()
        return made

    @property
    def epoch_s(self) -> float:
        """Seconds since 1970-01-01."""
        return (self.days + _DAYS_TO_1984) * 86_400 + self.ms / 1000

    def later(self, seconds: float) -> TimeOfDay:
        """So many seconds after it; after the last day that it can hold, day 0 comes again."""
        days, ms = divmod(self.ms + round(seconds * 1000), MS_PER_DAY)
        return TimeOfDay(ms, (self.days + days) & 0xFFFF)

    def isoformat(self) -> str:
        """As in "1984-01-02T00:00:01.500"; time past midnight that is no time of day stays "+<ms> ms"."""
        from datetime import date, timedelta

        day = (date(1984, 1, 1) + timedelta(days=self.days)).isoformat()
        if self.ms >= MS_PER_DAY:
            return f"{day}+{self.ms} ms"
        seconds, ms = divmod(self.ms, 1000)
        return f"{day}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"
