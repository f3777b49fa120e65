"""One row for each identifier: the last data, which bytes of them changed, and how often it comes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from opendiag.frame import Frame

#: The period is the mean of so many.
_PERIODS = 10
#: (kind, extended, identifier); the kinds are data, remote and error frames.
Key = tuple[int, bool, int]


@dataclass
class Row:
    """``data`` and ``before`` are the last two; ``changed`` are the bits in which they differ, for each byte.

    ``noisy`` are bits that do not count as changes. ``new``: it came for the first time. Times in ns.
    """

    frame: Frame
    count: int = 0
    before: bytes = b""
    changed: bytes = b""
    noisy: bytes = b""
    new: bool = True
    last_ns: int = 0
    changed_ns: int = 0
    marked: bytes = b""
    times: deque[int] = field(default_factory=lambda: deque(maxlen=_PERIODS + 1))

    @property
    def data(self) -> bytes:
        return self.frame.data

    @property
    def period_ms(self) -> float | None:
        """None until it came twice."""
        if len(self.times) < 2:
            return None
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) / 1e6

    @property
    def has_changed(self) -> bool:
        """The last frame was another one than the one before."""
        return self.new or any(self.changed) or len(self.data) != len(self.before)


class SniffTable:
    """``learning``: whatever changes now is noise and not shown as a change later: counters, measured values."""

    def __init__(self, learning: bool = False) -> None:
        self.rows: dict[Key, Row] = {}
        self.learning = learning

    def feed(self, frame: Frame) -> Row:
        """The frame's row, brought up to date."""
        key = (2 if frame.error else 1 if frame.remote else 0, frame.extended, frame.can_id)
        now_ns = frame.time_ns or 0
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Row(frame, changed_ns=now_ns)
            row.new = not self.learning
        else:
            row.new = False
            row.before = row.data
            row.changed = self._difference(row, frame.data)
            row.frame = frame
            if any(row.changed) or len(frame.data) != len(row.before):
                row.changed_ns = now_ns
                row.marked = row.changed
        row.count += 1
        row.last_ns = now_ns
        row.times.append(now_ns)
        return row

    def _difference(self, row: Row, data: bytes) -> bytes:
        """Bits that differ from the frame before and are no noise; bytes that are new count with all their bits."""
        before = row.data
        bits = bytes(a ^ b for a, b in zip(before, data, strict=False)) + b"\xff" * max(len(data) - len(before), 0)
        if self.learning:
            longest = max(len(bits), len(row.noisy))
            pairs = zip(bits.ljust(longest, b"\0"), row.noisy.ljust(longest, b"\0"), strict=True)
            row.noisy = bytes(a | b for a, b in pairs)
        return bytes(bit & ~noise & 0xFF for bit, noise in zip(bits, row.noisy.ljust(len(bits), b"\0"), strict=False))

    def sorted(self) -> list[Row]:
        """By identifier, standard ones first, then remote and error frames."""
        return [row for _, row in sorted(self.rows.items(), key=lambda item: item[0])]
