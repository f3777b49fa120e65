"""What the values of an EDS mean: numbers in all their spellings, node-ID formulas, text, bytes, factors.

Every reader here takes a section and a key, returns None when there is nothing to read, and writes a finding
instead of raising.
"""

from __future__ import annotations

import math
import re
import struct
from typing import NamedTuple

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.eds_sections import Entry, Notes, Section
from opendiag.dictionary.model import NodeIdPlus
from opendiag.findings import Severity

_NODE_ID = re.compile(r"\$?NODE_?ID", re.IGNORECASE)  # in a text without blanks
_TERM = re.compile(r"([+-]?)([^+-]+)")
#: Of the integer types but BOOLEAN.
_RANGES = {t: span for t in map(int, DataType) if (span := datatypes.integer_range(t)) and t != DataType.BOOLEAN}
_MAX_FORMULA = 200
_LIMITS = ("lowlimit", "highlimit")
_WORDS = {"true": 1, "yes": 1, "false": 0, "no": 0}
_TEXT_TYPES = (DataType.VISIBLE_STRING, DataType.UNICODE_STRING)
_BYTE_TYPES = (DataType.OCTET_STRING, DataType.DOMAIN)
_TIME_TYPES = (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)
_REALS = {DataType.REAL32: ("<I", "<f"), DataType.REAL64: ("<Q", "<d")}


class _Number(NamedTuple):
    """``code`` and ``remark`` are set when the spelling was odd."""

    value: int
    code: str = ""
    remark: str = ""


def _spelt(text: str) -> _Number:
    """Read a number however it is spelt. Raise ValueError when it is none, or none of 64 bits."""
    number = _any_spelling(text)
    if number.value.bit_length() > 64:
        raise ValueError("a number of more than 64 bits")
    return number


def _any_spelling(text: str) -> _Number:
    try:
        return _Number(int(text, 0))
    except ValueError:
        pass
    body, semicolon, _ = text.partition(";")
    if semicolon:
        return _Number(_spelt(body.strip()).value, "eds-comment-in-value", "the text behind ; is ignored")
    if text.isascii() and text.isdigit():
        return _leading_zero(text)
    lower = text.lower()
    if lower in _WORDS:
        return _Number(_WORDS[lower], "eds-number-form", f"read as {_WORDS[lower]}")
    for pattern, base in ((r"(0x[0-9a-f]+)[ul]+", 16), (r"([0-9]+)[ul]+", 10), (r"([0-9a-f]+)h?", 16)):
        if found := re.fullmatch(pattern, lower):
            value = int(found[1], base)
            return _Number(value, "eds-number-form", f"read as {value:#x}")
    raise ValueError(f"{text!r} is not a number")


def _leading_zero(text: str) -> _Number:
    """CiA 306 counts a number with a leading 0 as octal; 08 and 09 can only be meant decimal."""
    decimal = int(text)
    if set(text) & {"8", "9"}:
        return _Number(decimal, "eds-octal-number", f"8 and 9 are no octal digits: read as decimal {decimal}")
    octal = int(text, 8)
    if octal == decimal:
        return _Number(decimal)
    return _Number(octal, "eds-octal-number", f"a leading 0 means octal: read as {octal}")


def read_number(section: Section, key: str, notes: Notes) -> int | None:
    """Read an unsigned number of the file itself (a count, a type, an index, an identity)."""
    entry = section.get(key)
    return None if entry is None else entry_number(entry, section, notes)


def entry_number(entry: Entry, section: Section, notes: Notes) -> int | None:
    """Like `read_number`, for an entry already at hand."""
    try:
        plain = int(entry.value, 0)
        if 0 <= plain < 1 << 64:
            return plain
    except ValueError:
        pass
    try:
        number = _spelt(entry.value)
    except ValueError:
        bad_value(entry, section, "not a number", notes)
        return None
    _remark(number, entry, section, notes)
    if number.value < 0:
        bad_value(entry, section, "a negative number", notes)
        return None
    return number.value


def bad_value(entry: Entry, section: Section, what: str, notes: Notes, assumed: str = "read as if left out") -> None:
    """Note a value that cannot be used; it is kept as written."""
    section.refuse(entry.key)
    sentence = f"{entry.key} of [{section.name}] is {what}"
    notes.add("eds-bad-value", entry.line, sentence, f"{entry.key}={entry.value}", assumed)


def _remark(number: _Number, entry: Entry, section: Section, notes: Notes) -> None:
    if number.code:
        sentence = f"odd number for {entry.key} of [{section.name}]"
        severity = Severity.WARNING if number.code == "eds-octal-number" else Severity.INFO
        notes.add(number.code, entry.line, sentence, f"{entry.key}={entry.value}", number.remark, severity)


def read_value(section: Section, key: str, data_type: int, notes: Notes) -> Value | NodeIdPlus | None:
    """Read a default, limit or configured value of this data type."""
    entry = section.get(key)
    return None if entry is None else entry_value(entry, section, data_type, notes)


def entry_value(entry: Entry, section: Section, data_type: int, notes: Notes) -> Value | NodeIdPlus | None:
    """Like `read_value`, for an entry already at hand."""
    span = _RANGES.get(data_type)
    if span is not None:
        try:
            plain = int(entry.value, 0)
            if span[0] <= plain <= span[1]:
                return plain  # by far the most
        except ValueError:
            pass
    if data_type in _TEXT_TYPES:
        return entry.value
    if data_type in _BYTE_TYPES:
        return _bytes(entry, section, notes)
    try:
        if data_type in _REALS:
            return _real(entry, section, data_type, notes)
        if "NODE" in entry.value.upper() and _NODE_ID.search("".join(entry.value.split())):
            return _node_id_formula(entry, section, notes)
        if data_type in _TIME_TYPES:
            return _time(entry, section, data_type, notes)
        number = _spelt(entry.value)
    except ValueError:
        if datatypes.bit_width(data_type) is None:
            return entry.value
        bad_value(entry, section, f"no value of type {datatypes.type_name(data_type)}", notes)
        return None
    _remark(number, entry, section, notes)
    return _fit(number.value, entry, section, data_type, notes)


def _bytes(entry: Entry, section: Section, notes: Notes) -> bytes | None:
    """Hexadecimal digits are bytes; NULL and 0 say that there are none; other text is bytes letter by letter."""
    text = entry.value
    if text.upper() in ("NULL", "0"):
        return None
    try:
        return bytes.fromhex(text.removeprefix("0x").removeprefix("0X"))
    except ValueError:
        sentence = f"{entry.key} of [{section.name}] is not hexadecimal"
        assumed = "its letters are the bytes"
        notes.add("eds-text-bytes", entry.line, sentence, f"{entry.key}={text}", assumed, Severity.INFO)
        return text.encode()


def _time(entry: Entry, section: Section, data_type: int, notes: Notes) -> Value:
    """Its 48 bits as one number; or days and milliseconds, as lely-core writes them. Raise ValueError."""
    days, blank, ms = entry.value.partition(" ")
    if blank and days.isdigit() and ms.isdigit() and len(days) <= 5 and len(ms) <= 10:
        bits = int(days) << 32 | int(ms)
        number = _Number(bits, "eds-number-form", f"read as {days} days and {ms} ms")
    else:
        number = _spelt(entry.value)
    if not 0 <= number.value < 1 << 48:
        raise ValueError(f"{entry.value!r} is no 48 bits of time")
    value = datatypes.decode_value(data_type, number.value.to_bytes(6, "little"))
    _remark(number, entry, section, notes)
    return value


def _node_id_formula(entry: Entry, section: Section, notes: Notes) -> NodeIdPlus:
    """``$NODEID+0x180``, ``0x180+$NODEID``, ``$NODEID``. Raise ValueError for anything but one $NODEID plus numbers."""
    body, times = _NODE_ID.subn("n", "".join(entry.value.partition(";")[0].split()))
    terms = _TERM.findall(body) if len(body) <= _MAX_FORMULA else []
    if times != 1 or "".join(sign + term for sign, term in terms) != body:
        raise ValueError(f"{entry.value!r} is no sum of $NODEID and a number")
    offset = 0
    for position, (sign, term) in enumerate(terms):
        if (position and not sign) or (term == "n" and sign == "-"):
            raise ValueError(f"{entry.value!r} is no sum of $NODEID and a number")
        value = 0 if term == "n" else _spelt(term).value
        offset += -value if sign == "-" else value
    if offset.bit_length() > 64:
        raise ValueError("a number of more than 64 bits")
    if "$" not in entry.value:
        number = _Number(0, "eds-number-form", f"read as $NODEID+{offset:#x}")
        _remark(number, entry, section, notes)
    return NodeIdPlus(offset)


def _real(entry: Entry, section: Section, data_type: int, notes: Notes) -> float:
    """Decimal, or ``0x`` and the bits of the IEEE 754 number. Raise ValueError."""
    text = entry.value.partition(";")[0].strip()
    if text[:2].lower() == "0x":
        bits, real = _REALS[DataType(data_type)]
        try:
            return float(struct.unpack(real, struct.pack(bits, int(text, 16)))[0])
        except struct.error as error:
            raise ValueError(f"{text!r} has more bits than the type") from error
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    plain = plain[:-1] if plain[-1:] in ("f", "F") and plain[-2:-1] in "0123456789." else plain  # as in C
    value = float(plain)
    if plain != text:
        _remark(_Number(0, "eds-number-form", f"read as {plain}"), entry, section, notes)
    return value


def _fit(value: int, entry: Entry, section: Section, data_type: int, notes: Notes) -> Value | None:
    """Bring a number into the range of its type.

    Hexadecimal two's complement of the type's own width is the usual way to write a negative number and no
    finding; the same in decimal, or of a greater width, or a minus sign on an unsigned type, is one.
    """
    span = datatypes.integer_range(data_type)
    if span is None:
        return value
    low, high = span
    if data_type == DataType.BOOLEAN and value in (0, 1):
        return bool(value)
    if low <= value <= high:
        return value
    bits = datatypes.BIT_WIDTHS[data_type]
    is_hex = entry.value[:2].lower() == "0x"
    # A decimal limit beyond the type bounds nothing, rather than being a negative number in disguise.
    key = entry.key.lower()
    wrapped = _wrapped(value, bits, low < 0) if is_hex or key not in _LIMITS else None
    if wrapped is None and key == ("lowlimit" if value < low else "highlimit"):
        _does_not_fit("eds-out-of-range", entry, section, data_type, notes, "kept, though it bounds nothing")
        return value
    if wrapped is None:
        section.refuse(entry.key)
        _does_not_fit("eds-out-of-range", entry, section, data_type, notes, "read as if left out")
    elif not (low < 0 and 0 < value < 1 << bits and is_hex):
        _does_not_fit("eds-wrapped-number", entry, section, data_type, notes, f"read as {wrapped}")
    return wrapped


def _does_not_fit(code: str, entry: Entry, section: Section, data_type: int, notes: Notes, assumed: str) -> None:
    severity = Severity.INFO if code == "eds-wrapped-number" else Severity.WARNING
    sentence = f"{entry.key} of [{section.name}] does not fit {datatypes.type_name(data_type)}"
    notes.add(code, entry.line, sentence, f"{entry.key}={entry.value}", assumed, severity)


def _wrapped(value: int, bits: int, signed: bool) -> int | None:
    """Return the number that has the same low bits, if value is a two's complement of some usual width."""
    half = 1 << bits - 1
    if not signed:
        return value + (half << 1) if bits > 1 and -half <= value < 0 else None
    for width in (bits, 16, 32, 64):
        if width >= bits and -half <= value - (1 << width) < 0:
            return value - (1 << width)
    return None


def read_factor(section: Section, key: str, notes: Notes) -> float:
    """Read a decimal number or a fraction such as ``1/4096``; 1.0 when it is missing or cannot be used."""
    entry = section.get(key)
    if entry is None:
        return 1.0
    numerator, _, denominator = entry.value.partition("/")
    try:
        factor = float(numerator) / float(denominator or "1")
    except (ValueError, ZeroDivisionError):
        factor = 0.0
    if factor and math.isfinite(factor):
        return factor
    bad_value(entry, section, "no factor", notes)
    return 1.0
