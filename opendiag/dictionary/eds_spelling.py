"""How numbers and values are spelt in an EDS; the way back is `eds_values`.

Indices, types and identities are hexadecimal, counts are decimal. Values are decimal, save the 32-bit words of the
communication profile: COB-IDs and mappings are read in hexadecimal.
"""

from __future__ import annotations

import math
import re

from opendiag.dictionary.datatypes import DataType, Value, encode_value
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.errors import WireError

_REALS = (DataType.REAL32, DataType.REAL64)
_TIMES = (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)
_COMMUNICATION = range(0x1000, 0x2000)
_BREAKS = re.compile(r"[\r\n]+")
_HEXADECIMAL = re.compile(r"(0[xX])([0-9a-fA-F]+)")


class Number(str):
    """Text that means a number and may be spelt another way."""

    __slots__ = ()


def hexadecimal(value: int, digits: int = 4) -> Number:
    """As in 0x1000."""
    return Number(f"0x{value:0{digits}X}")


def decimal(value: int) -> Number:
    """Of booleans too: 0 or 1."""
    return Number(int(value))


def one_line(text: str) -> str:
    """A line of an EDS ends where the text breaks, and spaces around it do not count."""
    return _BREAKS.sub(" ", text).strip()


def factor_text(factor: float) -> str:
    """The shortest decimal that is this number exactly; "" for what is no factor."""
    if not factor or not math.isfinite(factor):
        return ""
    return repr(int(factor)) if factor == int(factor) and abs(factor) < 1e15 else repr(factor)


def value_text(value: Value | NodeIdPlus | None, variable: Variable) -> str:
    """A default, a limit or a configured value of this variable; "" for none."""
    if value is None:
        return ""
    if isinstance(value, NodeIdPlus):
        return formula_text(value)
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, str):
        return _time(value, variable.data_type) if variable.data_type in _TIMES else one_line(value)
    if variable.data_type in _REALS and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, float):
        return repr(value)
    if variable.data_type == DataType.UNSIGNED32 and variable.index in _COMMUNICATION and value >= 0:
        return hexadecimal(value, 8)
    return decimal(value)


def formula_text(formula: NodeIdPlus) -> str:
    """As in $NODEID+0x180."""
    offset = formula.offset
    return f"$NODEID{'-' if offset < 0 else '+'}0x{abs(offset):X}" if offset else "$NODEID"


def _time(text: str, data_type: int) -> str:
    """Its 48 bits as one number, as the reader takes them; what is no time stays as it is."""
    try:
        return hexadecimal(int.from_bytes(encode_value(data_type, text), "little"), 12)
    except WireError:
        return one_line(text)


def in_style_of(old: str, new: str) -> str:
    """A new number in the way the old one is written: hexadecimal of so many digits, or decimal."""
    if not isinstance(new, Number) or new.startswith("-"):
        return new
    number = int(new, 0)
    match = _HEXADECIMAL.fullmatch(old)
    if match is None:
        return str(number) if (old.isascii() and old.isdigit() and old[:1] != "0") or old == "0" else new
    prefix, digits = match.groups()
    text = f"{number:0{len(digits)}X}"
    return prefix + (text.lower() if digits != digits.upper() else text)
