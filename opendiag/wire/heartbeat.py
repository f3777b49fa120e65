"""NMT error control, 700h + node-ID: boot-up, heartbeat and node guarding, which are three things.

Boot-up is the single byte 00h, sent once after initialisation. A heartbeat is the producer's state, sent by
itself. In node guarding the master asks with a remote frame and the answer's bit 7 toggles. A lone state byte
with bit 7 clear can be a heartbeat or a guarding answer: whether a remote frame came before it tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.wire.nmt import NmtState

TOGGLE = 0x80


@dataclass(frozen=True, slots=True)
class ErrorControl:
    """``toggle`` is meaningful in node guarding only; a heartbeat has it clear."""

    state: NmtState
    toggle: bool = False

    def encode(self) -> bytes:
        return bytes([self.state | (TOGGLE if self.toggle else 0)])

    @classmethod
    def decode(cls, data: bytes) -> ErrorControl:
        """Raise WireError unless it is one byte that holds a known state."""
        if len(data) != 1:
            raise WireError(f"boot-up, heartbeat and guarding have 1 byte, not {len(data)}", data)
        try:
            return cls(NmtState(data[0] & 0x7F), bool(data[0] & TOGGLE))
        except ValueError:
            raise WireError(f"unknown NMT state {data[0] & 0x7F:02X}h", data) from None

    @property
    def is_boot_up(self) -> bool:
        return self.state is NmtState.INITIALISING and not self.toggle
