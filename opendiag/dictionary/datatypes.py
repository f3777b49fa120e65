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

SIGNED_BITS: dict[int, int] = {
    T.INTEGER8: 8,
    T.INTEGER16: 16,
    T.INTEGER24: 24,
    T.INTEGER32: 32,
    T.INTEGER40: 40,
    T.INTEGER48: 48,
    T.INTEGER56: 56,
    T.INTEGER64: 64,
}
UNSIGNED_BITS: dict[int, int] = {
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
_STRING_CODECS = {T.VISIBLE_STRING: "latin-1", T.UNICODE_STRING: "utf-16-le"}
BIT_WIDTHS: dict[int, int] = {
    **SIGNED_BITS,
    **UNSIGNED_BITS,
    T.REAL32: 32,
    T.REAL64: 64,
    T.TIME_OF_DAY: 48,
    T.TIME_DIFFERENCE: 48,
}


def type_name(data_type: int) -> str:
    """As in "UNSIGNED16", or "type 0040h" for a type of the device's own."""
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
    if (bits := SIGNED_BITS.get(data_type)) is not None:
        return -(1 << bits - 1), (1 << bits - 1) - 1
    if (bits := UNSIGNED_BITS.get(data_type)) is not None:
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
        return time.isoformat() if data_type == T.TIME_OF_DAY else _duration_text(time)
    if width is not None:
        number = int.from_bytes(raw, "little", signed=is_signed(data_type))
        return bool(number) if data_type == T.BOOLEAN and number < 2 else number
    if data_type == T.VISIBLE_STRING:
        return raw.rstrip(b"\0").decode("latin-1")
    if data_type == T.UNICODE_STRING:
        return raw.decode("utf-16-le", "replace").rstrip("\0")
    return raw


def encode_value(data_type: int, value: Value) -> bytes:
    """Turn a value into bytes: the inverse of `decode_value`.

    Raises WireError when the value is not of this type or does not fit. Numbers are never rounded or cut. A
    type without a width of its own (OCTET_STRING, DOMAIN, a type of the device's own) takes bytes only.
    """
    if data_type in _FLOAT_FORMATS:
        return _encode_real(data_type, value)
    if data_type in _TIME_TYPES:
        return _encode_time(data_type, value)
    if (span := integer_range(data_type)) is not None:
        if not isinstance(value, int):
            raise WireError(f"{type_name(data_type)} takes an integer, not {value!r}")
        if not span[0] <= value <= span[1]:
            raise WireError(f"{value} is outside {span[0]}..{span[1]} of {type_name(data_type)}")
        return int(value).to_bytes(byte_width(data_type) or 1, "little", signed=span[0] < 0)
    if data_type in _STRING_CODECS:
        return _encode_text(data_type, value)
    if not isinstance(value, bytes):
        raise WireError(f"{type_name(data_type)} takes bytes, not {value!r}")
    return value


def _encode_real(data_type: int, value: Value) -> bytes:
    if not isinstance(value, int | float):
        raise WireError(f"{type_name(data_type)} takes a number, not {value!r}")
    try:
        return struct.pack(_FLOAT_FORMATS[DataType(data_type)], value)
    except (OverflowError, struct.error) as error:
        raise WireError(f"a number too large for {type_name(data_type)}") from error


def _encode_text(data_type: int, value: Value) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"{type_name(data_type)} takes text, not {value!r}")
    try:
        return value.encode(_STRING_CODECS[DataType(data_type)])
    except UnicodeEncodeError as error:
        raise WireError(f"{type_name(data_type)} cannot hold {value[error.start]!r}") from error


def _duration_text(time: TimeOfDay) -> str:
    seconds, ms = divmod(time.ms, 1000)
    return f"P{time.days}DT{f'{seconds}.{ms:03d}'.rstrip('0').rstrip('.')}S"


def _encode_time(data_type: int, value: Value) -> bytes:
    """Read back the text that `decode_value` writes."""
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        time = _time_of_day(value) if data_type == T.TIME_OF_DAY else _time_difference(value)
    except ValueError as error:
        like = "1984-01-02T00:00:01.500" if data_type == T.TIME_OF_DAY else "P1DT1.5S"
        raise WireError(f"{type_name(data_type)} takes text such as {like}, not {value!r}") from error
    return time.encode()


def _time_of_day(text: str) -> TimeOfDay:
    from datetime import datetime

    day, plus, rest = text.partition("+")
    moment = datetime.fromisoformat(day)
    ms = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000
    if plus:
        ms += int(rest.removesuffix("ms"))
    if moment.tzinfo is not None or moment.microsecond % 1000:
        raise ValueError(text)
    return TimeOfDay(ms, (moment - datetime(1984, 1, 1)).days)


def _time_difference(text: str) -> TimeOfDay:
    days, t, seconds = text.removeprefix("P").removesuffix("S").partition("DT")
    whole, _, fraction = seconds.partition(".")
    digits = (days, whole, fraction or "0")
    if not t or len(fraction) > 3 or not all(part.isascii() and part.isdigit() for part in digits):
        raise ValueError(text)
    return TimeOfDay(int(whole) * 1000 + int(fraction.ljust(3, "0")), int(days))
