"""From what a person types to the bytes of an object: numbers, names, units, text, as the dictionary describes it.

    parse_value("0x227", variable)              parse_value("profile position", variable)
    parse_value("21.9 %", variable)             parse_value("halt + bit 4", variable)
    parse_value("u16:551", None)                parse_value("hex:27 02", None)

The way back, from bytes to words, is `opendiag.decode.values`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from opendiag.dictionary.datatypes import (
    SIGNED_BITS,
    UNSIGNED_BITS,
    DataType,
    bit_width,
    byte_width,
    encode_value,
    integer_range,
    is_integer,
)
from opendiag.dictionary.limits import check_access, check_limits
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.errors import ValueRefused, WireError

ReadFile = Callable[[str], bytes]

_REALS = (DataType.REAL32, DataType.REAL64)
_STRINGS = (DataType.VISIBLE_STRING, DataType.UNICODE_STRING)
_TIMES = (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)
_BOOLEANS = {"true": 1, "on": 1, "false": 0, "off": 0}
_NOT_FINITE = ("nan", "inf", "infinity")
_TYPES: dict[str, DataType] = {
    **{f"u{bits}": DataType(data_type) for data_type, bits in UNSIGNED_BITS.items() if bits > 1},
    **{f"i{bits}": DataType(data_type) for data_type, bits in SIGNED_BITS.items()},
    "f32": DataType.REAL32,
    "f64": DataType.REAL64,
    "str": DataType.VISIBLE_STRING,
    "hex": DataType.OCTET_STRING,
}
_TYPED = re.compile(rf"({'|'.join(_TYPES)}):(.*)", re.DOTALL | re.IGNORECASE)
#: The exponent is kept short: the number becomes an exact fraction.
_PHYSICAL = re.compile(
    r"([+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(?:\s*([^\s0-9.].*)|\s+(\S.*))"
)
_COUNTED_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?) (\S.*)")
_BIT = re.compile(r"bit\s*([0-9]{1,2})", re.IGNORECASE)
_NAME_AND_SHORT = re.compile(r"(.*\S)\s*\(([^()]+)\)")
_HEX_BYTES = re.compile(r"\s*(?:(?:0x)?[0-9a-f]{2}[\s,:]*)+", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.|$)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", '"': '"', "'": "'"}
_NAMES_SHOWN = 12
#: What 1010h and 1011h take: four letters, written as a number.
_SIGNATURES = {0x1010: "save", 0x1011: "load"}
#: A physical value may be rounded by this part of it, and no more.
_TOLERANCE = Fraction(1, 100)
_TEXT_SHOWN = 60


class _NoValue(ValueError):
    """The reason alone; `parse_value` knows the object."""


def parse_value(
    text: str,
    variable: Variable | None,
    *,
    node_id: int | None = None,
    what: str = "",
    force: bool = False,
    read_file: ReadFile | None = None,
) -> bytes:
    """The bytes to write. Without a variable the text says its type: "u16:551", "i32:-5", "f32:1.5", "hex:27 02".

    ``node_id`` resolves limits that depend on it; without it they are not checked. ``what`` names the object in the
    sentence of an error. ``force`` writes what limits or access rights forbid, never what the type cannot hold.
    ``read_file`` gives the content of a file named as "@file". A plain number is always the raw one; with a unit
    behind it, it is rounded to the nearest raw number. Raises ValueRefused.
    """
    try:
        if variable is None:
            return _typed(text, read_file)
        if not force:
            _check(lambda: check_access(variable, what))
        raw = _described(text, variable, force, read_file)
        if not force:
            _check(lambda: check_limits(_resolved(variable, node_id), raw, node_id or 0, what))
        return raw
    except (_NoValue, WireError) as error:
        named = "value" if variable is None else f"{variable.text} {variable.name}".rstrip()
        raise ValueRefused(what or named, str(error)) from None


def _typed(text: str, read_file: ReadFile | None) -> bytes:
    if text.startswith("@"):
        return _from_file(text[1:], read_file)
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        raise _NoValue(
            f"no dictionary tells the type, and neither does {_quoted(text)}: write it as in u16:551, i32:-5, "
            "f32:1.5, str:text, hex:27 02 or @file"
        )
    return _of_type(found[2], Variable(0, 0, "", _TYPES[found[1].lower()]), False, read_file)


def _described(text: str, variable: Variable, force: bool, read_file: ReadFile | None) -> bytes:
    """A type in front of the value must agree with the dictionary's."""
    found = None if variable.data_type in _STRINGS else _TYPED.fullmatch(text.strip())
    if found is None:
        return _of_type(text, variable, force, read_file)
    raw = _of_type(found[2], Variable(0, 0, "", _TYPES[found[1].lower()]), force, read_file)
    width = byte_width(variable.data_type)
    if width not in (None, len(raw)):
        raise _NoValue(f"{_quoted(text)} has {len(raw)} bytes where {variable.type_name} has {width}")
    return raw


def _of_type(text: str, variable: Variable, force: bool, read_file: ReadFile | None) -> bytes:
    data_type = variable.data_type
    if text.startswith("@") and data_type not in _STRINGS:  # a string may begin with it
        raw = _from_file(text[1:], read_file)
        if byte_width(data_type) not in (None, len(raw)):
            raise _NoValue(f"{text} holds {len(raw)} bytes where {variable.type_name} has {byte_width(data_type)}")
        return raw
    if data_type in _STRINGS:
        return encode_value(data_type, _unescaped(text))
    if data_type in _TIMES:
        return encode_value(data_type, text.strip())
    if data_type in _REALS:
        return encode_value(data_type, _real(text.strip(), variable, force))
    if is_integer(data_type):
        return _integer_bytes(text.strip(), variable)
    return _from_hex(text, variable)


def _check(rule: Callable[[], None]) -> None:
    """Say of a rule of the dictionary that it can be overridden."""
    try:
        rule()
    except ValueRefused as error:
        raise _NoValue(f"{error.reason} (can be forced)") from None


def _resolved(variable: Variable, node_id: int | None) -> Variable:
    """Without limits that nobody can tell as long as the node-ID is not known."""
    if node_id is not None:
        return variable
    low, high = (None if isinstance(limit, NodeIdPlus) else limit for limit in (variable.low, variable.high))
    return replace(variable, low=low, high=high)


# -- numbers ------------------------------------------------------------------------------------------------------


def _integer_bytes(text: str, variable: Variable) -> bytes:
    number = _integer(text, variable)
    try:
        return encode_value(variable.data_type, number)
    except WireError as error:
        width = bit_width(variable.data_type) or 0
        as_bits = number - (1 << width)
        if text[:2].lower() in ("0x", "0b") and variable.data_type in SIGNED_BITS and -(1 << width - 1) <= as_bits < 0:
            raise _NoValue(f"{error}; the same bits are {as_bits}") from None
        raise


def _integer(text: str, variable: Variable) -> int:
    signature = _SIGNATURES.get(variable.index)
    if signature is not None and variable.subindex and text.casefold() == signature:
        return int.from_bytes(signature.encode(), "little")
    readings: tuple[Callable[[str, Variable], int | None], ...] = (
        lambda text, _: _number(text),
        lambda text, variable: _named(text, variable.values, whole=True),
        _boolean,
        _scaled,
        lambda text, variable: _named(text, variable.values),
        _bits,
    )
    for reading in readings:
        number = reading(text, variable)
        if number is not None:
            return number
    raise _NoValue(f"{_quoted(text)} is no {variable.type_name}: expected {_expected(variable)}")


def _number(text: str) -> int | None:
    """Decimal, 0x.., 0b.., with a sign and underscores; None for what does not look like one."""
    digits = text.lstrip("+-").lower()
    if not text.isascii() or not digits[:1].isdigit() or len(text) - len(digits) > 1:
        return None
    if digits.startswith("0o"):
        raise _NoValue(f"{_quoted(text)} is octal: write it as a decimal number, as 0x.. or as 0b..")
    try:
        return int(text, 0)
    except ValueError:
        if re.fullmatch(r"0[0-9_]*", digits):
            raise _NoValue(f"{_quoted(text)} may be octal or decimal: write it without the zero in front") from None
        return None


def _boolean(text: str, variable: Variable) -> int | None:
    return _BOOLEANS.get(text.lower()) if variable.data_type == DataType.BOOLEAN else None


def _real(text: str, variable: Variable, force: bool) -> float:
    number = _number(text)
    exact = Fraction(number) if number is not None else _physical(text, variable)
    not_finite = text.lstrip("+-").lower() in _NOT_FINITE
    if not_finite and not force:
        raise _NoValue(f"{_quoted(text)} is no finite number (can be forced)")
    try:
        value = float(exact) if exact is not None else float(text if text.isascii() else "")
    except OverflowError:
        value = math.inf
    except ValueError:
        raise _NoValue(f"{_quoted(text)} is no {variable.type_name}: expected {_expected(variable)}") from None
    if not math.isfinite(value) and not not_finite:
        raise _NoValue(f"{_quoted(text)} is too large for {variable.type_name}")
    return value


# -- units --------------------------------------------------------------------------------------------------------


def _scaled(text: str, variable: Variable) -> int | None:
    physical = _physical(text, variable)
    if physical is None:
        return None
    nearest = round(physical)
    if abs(physical - nearest) * 2 == 1:
        below = math.floor(physical)
        raise _NoValue(f"{_quoted(text)} is halfway between the raw numbers {below} and {below + 1}: write one of them")
    if abs(physical - nearest) > abs(physical) * _TOLERANCE:
        raise _NoValue(
            f"{_quoted(text)} is {float(physical):.6g} raw units, which are whole: write {nearest} if that will do"
        )
    return nearest


def _physical(text: str, variable: Variable) -> Fraction | None:
    """The raw number, not yet rounded, of a number with one of the variable's units; None without such a unit."""
    found = _PHYSICAL.fullmatch(text)
    if found is None:
        return None
    given = _unit_key(found[2] or found[3])
    views = list(_views(variable))
    factors = {factor for unit, factor in views if unit == given}
    factors = factors or {factor for unit, factor in views if unit.startswith(f"{given} ")}
    if len(factors) > 1:
        raise _NoValue(f"{_quoted(text)} fits more than one unit: it takes {' and '.join(_units(variable))}")
    try:
        return Fraction(found[1].replace("_", "")) / factors.pop() if factors else None
    except ValueError:  # more digits than Python reads
        return None


def _views(variable: Variable) -> Iterator[tuple[str, Fraction]]:
    """Units and what one raw count is in them. A unit such as "0.1 ms" is also one of "ms"."""
    for unit, factor in ((variable.unit, variable.factor), (variable.alt_unit, variable.alt_factor)):
        if not unit or not factor or not math.isfinite(factor):
            continue
        per_count = Fraction(repr(factor))  # as it is written: 0.1 is a tenth
        yield _unit_key(unit), per_count
        counted = _COUNTED_UNIT.fullmatch(_unit_key(unit))
        if counted is not None and Fraction(counted[1]):
            yield counted[2], per_count * Fraction(counted[1])


def _unit_key(unit: str) -> str:
    return " ".join(unit.replace("\u00b5", "u").replace("\u03bc", "u").split())


def _units(variable: Variable) -> list[str]:
    return [unit for unit in (variable.unit, variable.alt_unit) if unit]


# -- names --------------------------------------------------------------------------------------------------------


def _name_key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _named(text: str, names: Mapping[int, str], whole: bool = False) -> int | None:
    """The number with this name. "homing (hm)" is also "homing" and "hm", and unless ``whole``, "hom".

    Raises _NoValue when several have it.
    """
    given = _name_key(text)
    if not given or not names:
        return None
    keys = {number: _name_key(name) for number, name in names.items()}
    parts = {n: found.groups() for n, key in keys.items() if (found := _NAME_AND_SHORT.fullmatch(key)) is not None}
    fits = [number for number, key in keys.items() if key == given]
    fits = fits or [number for number, short in parts.items() if given in short]
    if not whole:
        fits = fits or [number for number, key in keys.items() if key.startswith(given)]
    if len(fits) > 1:
        raise _NoValue(
            f"{_quoted(text)} may be {_listed({n: names[n] for n in fits})}: write more of it, or the number"
        )
    return fits[0] if fits else None


def _bits(text: str, variable: Variable) -> int | None:
    """Names of bits, or "bit 3", joined by + or |."""
    width = bit_width(variable.data_type) or 0
    bits = [_bit(text, variable)]
    if bits[0] is None:
        bits = [_bit(part.strip(), variable) for part in re.split(r"[+|]", text)]
    number = 0
    for bit in bits:
        if bit is None:
            return None
        if bit >= width:
            raise _NoValue(f"{variable.type_name} has the bits 0..{width - 1}, not bit {bit}")
        number |= 1 << bit
    span = integer_range(variable.data_type)
    return number - (1 << width) if span is not None and number > span[1] else number


def _bit(text: str, variable: Variable) -> int | None:
    bit = _named(text, variable.bits, whole=True)
    if bit is None and (numbered := _BIT.fullmatch(text)) is not None:
        return int(numbered[1])
    return _named(text, variable.bits) if bit is None else bit


# -- text and bytes -----------------------------------------------------------------------------------------------


def _unescaped(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return _ESCAPE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise _NoValue(
            f"the text has {found[0]!r}, which means nothing: it takes \\n \\r \\t \\0 \\xNN \\uNNNN and \\\\"
        )
    return _ESCAPES[code]


def _from_hex(text: str, variable: Variable) -> bytes:
    if not _HEX_BYTES.fullmatch(text):
        raise _NoValue(f"{_quoted(text)} is no {variable.type_name}: expected whole bytes, as in 01 02 ff, or @file")
    return bytes.fromhex(re.sub(r"0x|[\s,:]", "", text, flags=re.IGNORECASE))


def _from_file(name: str, read_file: ReadFile | None) -> bytes:
    if read_file is None:
        raise _NoValue(f"@{name} names a file, and files are not read here: write the bytes, as in 01 02 ff")
    if not name:
        raise _NoValue("@ names no file: expected @file")
    try:
        return read_file(name)
    except OSError as error:
        raise _NoValue(f"cannot read {name}: {(error.strerror or str(error)).lower()}") from None


# -- sentences ----------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _TEXT_SHOWN else f"{text[:_TEXT_SHOWN]!r}.."


def _expected(variable: Variable) -> str:
    if variable.data_type == DataType.BOOLEAN:
        ways = ["true or false (on or off, 1 or 0)"]
    elif variable.data_type in _REALS:
        ways = ["a number such as 1.5 or -2e3"]
    else:
        ways = ["a whole number such as 20, 0x14 or 0b10100"]
    if units := _units(variable):
        ways.append(f"a number with its unit ({' or '.join(units)})")
    if variable.values:
        ways.append(f"one of {_listed(variable.values)}")
    if variable.bits:
        ways.append(f"bits joined by +, of {_listed(variable.bits)}")
    return ", or ".join(ways)


def _listed(names: Mapping[int, str]) -> str:
    shown = [f"{number} {name!r}" for number, name in list(names.items())[:_NAMES_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
