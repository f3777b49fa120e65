"""SYNC, 080h unless 1005h says otherwise: empty, or one byte that counts 1..N (N in 1019h, 2..240)."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.errors import WireError

MAX_COUNTER = 240


@dataclass(frozen=True, slots=True)
class Sync:
    """``counter`` 1..240, or None in a SYNC without one."""

    counter: int | None = None

    def encode(self) -> bytes:
        if self.counter is None:
            return b""
        _check(self.counter)
        return bytes([self.counter])

    @classmethod
    def decode(cls, data: bytes) -> Sync:
        """Raise WireError for more than one byte or a counter outside 1..240."""
        if not data:
            return cls()
        if len(data) > 1:
            raise WireError(f"SYNC has no byte or 1 byte (the counter), not {len(data)}", data)
        _check(data[0])
        return cls(data[0])


def _check(counter: int) -> None:
    if not 1 <= counter <= MAX_COUNTER:
        raise WireError(f"SYNC counter {counter} is outside 1..{MAX_COUNTER}", bytes([counter & 0xFF]))
