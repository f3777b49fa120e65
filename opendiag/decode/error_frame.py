"""CAN error frames as SocketCAN reports them: what the controller saw, in words.

The identifier holds error classes, the eight data bytes their detail (Linux, `can/error.h`). They come from the
local adapter, not from the bus: they tell what this adapter saw.
"""

from __future__ import annotations

from opendiag.frame import Frame

_TX_TIMEOUT, _LOST_ARBITRATION, _CONTROLLER, _PROTOCOL = 0x001, 0x002, 0x004, 0x008
_TRANSCEIVER, _NO_ACK, _BUS_OFF, _BUS_ERROR, _RESTARTED, _COUNTERS = 0x010, 0x020, 0x040, 0x080, 0x100, 0x200

_PLAIN = {
    _TX_TIMEOUT: "transmit timeout",
    _NO_ACK: "no acknowledge: no other node on the bus, wrong bit rate, or a broken line",
    _BUS_OFF: "bus-off: the controller has left the bus",
    _BUS_ERROR: "bus error",
    _RESTARTED: "controller restarted",
}
#: data[1]
_CONTROLLER_BITS = {
    0x01: "receive buffer overflow, frames lost",
    0x02: "transmit buffer overflow",
    0x04: "receive error warning",
    0x08: "transmit error warning",
    0x10: "receive error passive",
    0x20: "transmit error passive",
    0x40: "back to error active",
}
#: data[2]
_PROTOCOL_BITS = {
    0x01: "single bit error",
    0x02: "frame format error",
    0x04: "bit stuffing error",
    0x08: "could not send a dominant bit",
    0x10: "could not send a recessive bit",
    0x20: "bus overload",
    0x40: "active error announcement",
    0x80: "while sending",
}
#: data[3], place in the frame
_LOCATIONS = {
    0x02: "identifier bits 28..21",
    0x03: "start of frame",
    0x04: "SRR bit",
    0x05: "IDE bit",
    0x06: "identifier bits 20..18",
    0x07: "identifier bits 17..13",
    0x08: "CRC sequence",
    0x09: "reserved bit 0",
    0x0A: "data field",
    0x0B: "data length code",
    0x0C: "RTR bit",
    0x0D: "reserved bit 1",
    0x0E: "identifier bits 4..0",
    0x0F: "identifier bits 12..5",
    0x12: "intermission",
    0x18: "CRC delimiter",
    0x19: "acknowledge slot",
    0x1A: "end of frame",
    0x1B: "acknowledge delimiter",
}


def explain(frame: Frame) -> str:
    """Every class that is set, with its detail, and the error counters where the driver gives them."""
    data = frame.data.ljust(8, b"\0")
    parts = []
    if frame.can_id & _LOST_ARBITRATION:
        bit = f" in bit {data[0]}" if data[0] else ""
        parts.append(f"lost arbitration{bit}")
    if frame.can_id & _CONTROLLER:
        parts.append(_bits(data[1], _CONTROLLER_BITS) or "controller problem")
    if frame.can_id & _PROTOCOL:
        location = _LOCATIONS.get(data[3])
        violation = _bits(data[2], _PROTOCOL_BITS) or "protocol violation"
        parts.append(f"{violation} at {location}" if location else violation)
    if frame.can_id & _TRANSCEIVER:
        parts.append(f"transceiver status {data[4]:02X}h")
    parts += [text for bit, text in _PLAIN.items() if frame.can_id & bit]
    if frame.can_id & _COUNTERS or data[6] or data[7]:
        parts.append(f"error counters: transmit {data[6]}, receive {data[7]}")
    return "; ".join(parts) or "error of unknown class"


def _bits(value: int, names: dict[int, str]) -> str:
    return ", ".join(name for bit, name in names.items() if value & bit)
