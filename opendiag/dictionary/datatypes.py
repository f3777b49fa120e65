"""CiA 301 data types: numbers, widths, and values to and from the bytes of an SDO transfer or a PDO field.

All multi-byte values travel low byte first. A type outside the standard's list (a device's own DEFTYPE or
DEFSTRUCT) keeps its number and has no width: its bytes stay bytes.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from opendiag.errors import WireError
from opendiag.wire.time_stamp import TimeOfDay

Value = bool | int | float | str | bytes


class DataType(IntEnum):
    """Index of the type's own dictionary entry. PDO_COMMUNICATION and the next three are records."""

    BOOLEAN = 0x01
    INTEGER8 = 0x02
    INTEGER16 = 0x03
    INTEGER32 = 0x04
    UNSIGNED8 = 0x05
    UNSIGNED16 = 0x06
    UNSIGNED32 = 0x07
    REAL32 = 0x08
    VISIBLE_STRING = 0x09
    OCTET_STRING = 0x0A
    UNICODE_STRING = 0x0B
    TIME_OF_DAY = 0x0C
    TIME_DIFFERENCE = 0x0D
    DOMAIN = 0x0F
    INTEGER24 = 0x10
    REAL64 = 0x11
    INTEGER40 = 0x12
    INTEGER48 = 0x13
    INTEGER56 = 0x14
    INTEGER64 = 0x15
    UNSIGNED24 = 0x16
    UNSIGNED40 = 0x18
    UNSIGNED48 = 0x19
    UNSIGNED56 = 0x1A
    UNSIGNED64 = 0x1B
    PDO_COMMUNICATION = 0x20
    PDO_MAPPING = 0x21
    SDO_PARAMETER = 0x22
    IDENTITY = 0x23


T = DataType

SIGNED_BITS = {
    T.INTEGER8: 8,
    T.INTEGER16: 16,
    T.INTEGER24: 24,
    T.INTEGER32: 32,
    T.INTEGER40: 40,
    T.INTEGER48: 48,
    T.INTEGER56: 56,
    T.INTEGER64: 64,
}
UNSIGNED_BITS = {
    T.BOOLEAN: 1,
    T.UNSIGNED8: 8,
    T.UNSIGNED16: 16,
    T.UNSIGNED24: 24,
    T.UNSIGNED32: 32,
    T.UNSIGNED40: 40,
    T.UNSIGNED48: 48,
    T.UNSIGNED56: 56,
    T.UNSIGNED64: 64,
}
_FLOAT_FORMATS = {T.REAL32: "<f", T.REAL64: "<d"}
_TIME_TYPES = (T.TIME_OF_DAY, T.TIME_DIFFERENCE)
BIT_WIDTHS: dict[int, int] = {
    **SIGNED_BITS,
    **UNSIGNED_BITS,
    T.REAL32: 32,
    T.REAL64: 64,
    T.TIME_OF_DAY: 48,
    T.TIME_DIFFERENCE: 48,
}


def type_name(data_type: int) -> str:
    """"UNSIGNED16", or "type 0040h" for a type of the device's own."""
    try:
        return DataType(data_type).name
    except ValueError:
        return f"type {data_type:04X}h"


def bit_width(data_type: int) -> int | None:
    """Bits of one value; None for strings, domains and types of the device's own."""
    return BIT_WIDTHS.get(data_type)


def byte_width(data_type: int) -> int | None:
    """Bytes of one value in an SDO transfer; None where the length is the value's own."""
    bits = BIT_WIDTHS.get(data_type)
    return None if bits is None else (bits + 7) // 8


def is_signed(data_type: int) -> bool:
    """True for INTEGER8..INTEGER64."""
    return data_type in SIGNED_BITS


def is_integer(data_type: int) -> bool:
    """True for BOOLEAN, UNSIGNEDn and INTEGERn."""
    return data_type in SIGNED_BITS or data_type in UNSIGNED_BITS


def integer_range(data_type: int) -> tuple[int, int] | None:
    """Smallest and largest value of an integer type, None for the others."""
    if (bits := SIGNED_BITS.get(data_type)) is not None:  # type: ignore[call-overload]
        return -(1 << bits - 1), (1 << bits - 1) - 1
    if (bits := UNSIGNED_BITS.get(data_type)) is not None:  # type: ignore[call-overload]
        return 0, (1 << bits) - 1
    return None


def decode_value(data_type: int, raw: bytes) -> Value:
    """Raise WireError when the number of bytes is not the type's."""
    width = byte_width(data_type)
    if width is not None and len(raw) != width:
        raise WireError(f"{len(raw)} bytes where {type_name(data_type)} has {width}", raw)
    if data_type in _FLOAT_FORMATS:
        return float(struct.unpack(_FLOAT_FORMATS[DataType(data_type)], raw)[0])
    if data_type in _TIME_TYPES:
        time = TimeOfDay.decode(raw)
        return time.isoformat() if data_type == T.TIME_OF_DAY else f"P{time.days}DT{time.ms / 1000:g}S"
    if width is not None:
        number = int.from_bytes(raw, "little", signed=is_signed(data_type))
        return bool(number) if data_type == T.BOOLEAN and number < 2 else number
    if data_type == T.VISIBLE_STRING:
        return raw.rstrip(b"\0").decode("latin-1")
    if data_type == T.UNICODE_STRING:
        return raw.decode("utf-16-le", "replace").rstrip("\0")
    return raw
