"""Emergency object (EMCY), 080h + node-ID unless 1014h says otherwise: what went wrong, in eight bytes."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.wire.limits import little_endian

LENGTH = 8

#: Bits of the error register 1001h.
ERROR_REGISTER_BITS = {
    0: "generic",
    1: "current",
    2: "voltage",
    3: "temperature",
    4: "communication",
    5: "device profile",
    6: "reserved bit 6",
    7: "manufacturer",
}

#: Error code -> text. A key of four digits that ends in 00 stands for its whole class, one that ends in 000 for
#: all classes below it that are not listed.
CODES = {
    0x0000: "error reset or no error",
    0x1000: "generic error",
    0x2000: "current",
    0x2100: "current, device input side",
    0x2200: "current inside the device",
    0x2300: "current, device output side",
    0x3000: "voltage",
    0x3100: "mains voltage",
    0x3200: "voltage inside the device",
    0x3300: "output voltage",
    0x4000: "temperature",
    0x4100: "ambient temperature",
    0x4200: "device temperature",
    0x5000: "device hardware",
    0x6000: "device software",
    0x6100: "internal software",
    0x6200: "user software",
    0x6300: "data set",
    0x7000: "additional modules",
    0x8000: "monitoring",
    0x8100: "communication",
    0x8110: "CAN overrun: frames lost",
    0x8120: "CAN in error passive mode",
    0x8130: "life guard error or heartbeat error",
    0x8140: "recovered from bus-off",
    0x8150: "CAN-ID collision",
    0x8200: "protocol error",
    0x8210: "PDO not processed: length error",
    0x8220: "PDO length exceeded",
    0x8230: "DAM MPDO not processed: destination object not available",
    0x8240: "unexpected SYNC data length",
    0x8250: "RPDO timeout",
    0x9000: "external error",
    0xF000: "additional functions",
    0xFF00: "device specific",
}


def code_text(code: int) -> str:
    """Text of a CiA 301 error code, or of its class: every code has one."""
    for mask in (0xFFFF, 0xFF00, 0xF000):
        text = CODES.get(code & mask)
        if text is not None and (code & mask or not code & 0xFF00):
            return text if code else CODES[0]
    return "unlisted error"


def error_register_names(register: int) -> list[str]:
    """Names of the bits set in 1001h, lowest first."""
    return [name for bit, name in ERROR_REGISTER_BITS.items() if register >> bit & 1]


@dataclass(frozen=True, slots=True)
class Emcy:
    """``code`` 0000h says that an error is gone; ``manufacturer`` is five bytes whose meaning is the maker's."""

    code: int
    register: int
    manufacturer: bytes = bytes(5)

    def encode(self) -> bytes:
        """Raise WireError unless there are five manufacturer bytes, and code and register fit their 16 and 8 bits."""
        if len(self.manufacturer) != 5:
            raise WireError(f"EMCY has 5 manufacturer bytes, not {len(self.manufacturer)}", self.manufacturer)
        code, register = little_endian("error code", self.code, 2), little_endian("error register", self.register, 1)
        return code + register + self.manufacturer

    @classmethod
    def decode(cls, data: bytes) -> Emcy:
        """Raise WireError unless it is eight bytes."""
        if len(data) != LENGTH:
            raise WireError(f"EMCY has {LENGTH} bytes, not {len(data)}", data)
        return cls(int.from_bytes(data[:2], "little"), data[2], data[3:])

    @property
    def text(self) -> str:
        return code_text(self.code)


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One entry of the error history 1003h. ``information`` is the high word, whose meaning is the maker's."""

    code: int
    information: int = 0

    def encode(self) -> bytes:
        """Raise WireError unless both fit 16 bits."""
        return little_endian("error code", self.code, 2) + little_endian("information", self.information, 2)

    @classmethod
    def decode(cls, data: bytes) -> ErrorEntry:
        """Raise WireError unless it is four bytes."""
        if len(data) != 4:
            raise WireError(f"an entry of the error history has 4 bytes, not {len(data)}", data)
        return cls(int.from_bytes(data[:2], "little"), int.from_bytes(data[2:], "little"))

    @property
    def text(self) -> str:
        return code_text(self.code)
