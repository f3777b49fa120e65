"""Error frames, sorted by what they tell about a bus: nobody acknowledges, bits that cannot be read, bus-off.

The bits are those of Linux (`can/error.h`); `opendiag.decode.error_frame` puts a single frame into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from opendiag.frame import Frame


class BusError(Enum):
    """What one error frame says; a frame may say several."""

    ACK = "no acknowledge"
    FORM = "form error"
    STUFF = "bit stuffing error"
    BIT = "bit error"
    CRC = "CRC error"
    BUS_OFF = "bus-off"
    RESTARTED = "controller restarted"
    TX_PASSIVE = "transmit error counter high"
    RX_PASSIVE = "receive error counter high"
    OVERFLOW = "frames lost in the adapter"
    TX_TIMEOUT = "transmit timeout"
    OTHER = "other"


#: What a wrong bit rate, swapped wires or a missing termination look like.
CODING = (BusError.FORM, BusError.STUFF, BusError.BIT, BusError.CRC)

_TX_TIMEOUT, _ARBITRATION, _CONTROLLER, _PROTOCOL = 0x001, 0x002, 0x004, 0x008
_NO_ACK, _BUS_OFF, _RESTARTED, _COUNTERS = 0x020, 0x040, 0x100, 0x200
_CLASSES = {
    _TX_TIMEOUT: BusError.TX_TIMEOUT,
    _NO_ACK: BusError.ACK,
    _BUS_OFF: BusError.BUS_OFF,
    _RESTARTED: BusError.RESTARTED,
}
#: data[1]: warning and passive alike, since both say in which direction it goes wrong
_CONTROLLER_BITS = {0x01: BusError.OVERFLOW, 0x14: BusError.RX_PASSIVE, 0x28: BusError.TX_PASSIVE}
#: data[2]; 19h also has the bits "could not send a dominant / recessive bit"
_VIOLATIONS = {0x02: BusError.FORM, 0x04: BusError.STUFF, 0x19: BusError.BIT}
#: data[3]: places in the frame that name the error by themselves
_CRC_PLACES, _ACK_PLACES = (0x08, 0x18), (0x19, 0x1B)


def errors_of(frame: Frame) -> set[BusError]:
    """Everything that an error frame says; lost arbitration is no error. Empty when that is all there is."""
    data = frame.data.ljust(8, b"\0")
    found = {error for bit, error in _CLASSES.items() if frame.can_id & bit}
    if frame.can_id & _CONTROLLER:
        found |= {error for bits, error in _CONTROLLER_BITS.items() if data[1] & bits}
    if frame.can_id & _PROTOCOL:
        found |= _violations(data)
    if not found and frame.can_id & ~(_ARBITRATION | _COUNTERS | _CONTROLLER):
        found.add(BusError.OTHER)
    return found


def _violations(data: bytes) -> set[BusError]:
    if data[3] in _ACK_PLACES:  # drivers give it as a form or bit error at the acknowledge slot
        return {BusError.ACK}
    found = {error for bits, error in _VIOLATIONS.items() if data[2] & bits}
    if not found and data[3] in _CRC_PLACES:
        found.add(BusError.CRC)
    return found


@dataclass(slots=True)
class Tally:
    """How often, and when first and last, in monotonic seconds."""

    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def add(self, now: float) -> None:
        """One more."""
        if not self.count:
            self.first_at = now
        self.count += 1
        self.last_at = now


class ErrorTally:
    """All error frames of one bus. ``tx_errors`` and ``rx_errors`` are the counters last told, None: never told."""

    def __init__(self) -> None:
        self.all = Tally()
        self.by_kind: dict[BusError, Tally] = {}
        self.tx_errors: int | None = None
        self.rx_errors: int | None = None

    def add(self, frame: Frame, now: float) -> None:
        """Count an error frame."""
        self.all.add(now)
        for error in errors_of(frame):
            self.by_kind.setdefault(error, Tally()).add(now)
        if len(frame.data) == 8 and (frame.can_id & _COUNTERS or frame.data[6] or frame.data[7]):
            self.tx_errors, self.rx_errors = frame.data[6], frame.data[7]

    def count(self, *kinds: BusError) -> int:
        """How many frames said this, ever; one that says two of them counts twice."""
        return sum(self.by_kind[kind].count for kind in kinds if kind in self.by_kind)

    def seen_since(self, since: float, *kinds: BusError) -> bool:
        """True when one of these was seen at ``since`` or later."""
        return any(self.by_kind[kind].last_at >= since for kind in kinds if kind in self.by_kind)

    @property
    def is_bus_off(self) -> bool:
        """Bus-off was told, and no restart after it."""
        off, restarted = self.by_kind.get(BusError.BUS_OFF), self.by_kind.get(BusError.RESTARTED)
        return off is not None and (restarted is None or restarted.last_at < off.last_at)

    def text(self, *kinds: BusError) -> str:
        """As in "12 x form error, 3 x bit error"."""
        found = [f"{self.by_kind[kind].count} x {kind.value}" for kind in kinds if kind in self.by_kind]
        return ", ".join(found)
