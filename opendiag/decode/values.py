"""From an object's bytes to its value, its unit and words: what a drive engineer wants to read beside the number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opendiag.cia402 import words
from opendiag.cia402.homing import method_text
from opendiag.cia402.modes import mode_text
from opendiag.cia402.states import controlword_command, pds_state
from opendiag.decode.node_view import NodeView
from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import Variable, object_text
from opendiag.errors import WireError
from opendiag.services.emcy import emcy_text
from opendiag.services.pdo_layout import Field
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import MappingEntry, sign_extend

#: (indices, subindices) whose numbers are identifiers, codes or signatures and read better in hexadecimal.
_HEX_OBJECTS = (
    ((0x1000, 0x1002, 0x1005, 0x1012, 0x1014), range(1)),
    ((0x1003, 0x1010, 0x1011, 0x1018), range(1, 0xFF)),
    (range(0x1200, 0x1300), range(1, 3)),
    (range(0x1400, 0x1600), range(1, 2)),
    (range(0x1600, 0x1800), range(1, 0xFF)),
    (range(0x1800, 0x1A00), range(1, 2)),
    (range(0x1A00, 0x1C00), range(1, 0xFF)),
)


@dataclass(frozen=True)
class Meaning:
    """The part of a record that `interpret` knows. The fields are those of `Record`."""

    name: str | None = None
    type: str | None = None
    value: Value | None = None
    scaled: float | None = None
    unit: str | None = None
    state: str | None = None
    bits: tuple[str, ...] = ()
    text: str = ""
    names_from: str | None = None
    flags: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """By name, worked out once: a meaning is used as often as its value returns."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def interpret(node: NodeView, index: int, subindex: int, raw: bytes, bits: int | None = None) -> Meaning:
    """Never raises. ``bits`` is the width in a PDO; None for the bytes of an SDO transfer."""
    key = index, subindex, raw, bits, node.mode(axis_of(index)) if index >= 0x6000 else None
    known: Meaning | None = node.meanings.get(key)
    if known is None:  # buses repeat themselves
        known = node.meanings[key] = _interpret(node, index, subindex, raw, bits)
    return known


def _interpret(node: NodeView, index: int, subindex: int, raw: bytes, bits: int | None) -> Meaning:
    described = node.describe(index, subindex)
    variable = described.variable
    if variable is None:
        return Meaning(text=guesses(raw, bits), flags=("not-in-dictionary",))
    value, flags = _decode(variable, raw, bits)
    notes: list[str] = []
    state = None
    named: tuple[str, ...] = ()
    scaled = unit = None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if value is None:
            length = f"{len(raw)} byte{'s' * (len(raw) != 1)}"
            notes.append(f"{length} where {variable.type_name} has {datatypes.byte_width(variable.data_type)}")
    else:
        special = _special(node, index, subindex)
        if special is not None and isinstance(value, int):
            state, named, text = special(node, index, value)
            notes.append(text)
        elif isinstance(value, int):
            named, text = _named(variable, value)
            notes.append(text)
        if variable.unit:
            unit = variable.unit
            scaled = None if variable.factor == 1 else _scale(value, variable.factor)
            notes.append(_scaled_text(variable, value))
    return Meaning(
        name=described.name,
        type=variable.type_name,
        value=value,
        scaled=scaled,
        unit=unit,
        state=state,
        bits=named,
        text="; ".join(note for note in notes if note),
        names_from=described.names_from,
        flags=flags,
    )


def _decode(variable: Variable, raw: bytes, bits: int | None) -> tuple[Value | None, tuple[str, ...]]:
    own_bits = datatypes.bit_width(variable.data_type)
    if bits is not None and bits != own_bits and datatypes.is_integer(variable.data_type):
        number = int.from_bytes(raw, "little")
        if variable.data_type == datatypes.DataType.BOOLEAN and number < 2:
            return bool(number), ("mapped-width",)
        signed = datatypes.is_signed(variable.data_type)
        return (sign_extend(number, bits) if signed else number), ("mapped-width",)
    if bits is not None and own_bits is None:
        return Field("", 0, 0, bits, 0, variable.data_type).decode(int.from_bytes(raw, "little")), ()
    if bits is not None and own_bits != bits:
        return None, ("length-mismatch",)
    try:
        return datatypes.decode_value(variable.data_type, raw), ()
    except WireError:
        return None, ("length-mismatch",)


def guesses(raw: bytes, bits: int | None = None) -> str:
    """What bytes of unknown type would be as a number, "" where that says nothing new. ``bits`` as in `interpret`."""
    width = 8 * len(raw) if bits is None else bits
    if width % 8 == 0 and len(raw) not in (1, 2, 4, 8):
        return f"as text: {raw.decode('ascii')!r}" if len(raw) > 1 and _printable(raw) else ""
    unsigned = int.from_bytes(raw, "little")
    signed = sign_extend(unsigned, width)
    return f"as i{width}: {signed}" if unsigned == signed else f"as u{width}: {unsigned}, as i{width}: {signed}"


def _printable(raw: bytes) -> bool:
    return all(32 <= byte < 127 for byte in raw)


def value_text(value: Value, raw: bytes, hexadecimal: bool, unit: str | None = None) -> str:
    """The value as a person would write it. ``unit`` is that of the value itself, not of a scaled one."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, bytes):
        text = hex_text(value)
    elif isinstance(value, str):
        text = repr(value)
    elif isinstance(value, float):
        text = f"{value:.9g}"
    else:
        text = f"0x{int.from_bytes(raw, 'little'):0{2 * len(raw)}X}" if hexadecimal else str(value)
    return f"{text} {unit}" if unit else text


def said(node: NodeView, index: int, subindex: int, raw: bytes, bits: int | None = None) -> str:
    """The value with its unit and in words, as in "219 mA" and "0x0227: OPERATION ENABLED; ..."."""
    meaning = interpret(node, index, subindex, raw, bits)
    if meaning.value is None:
        value = hex_text(raw)
    else:
        unit = meaning.unit if meaning.scaled is None else None
        value = value_text(meaning.value, raw, bool(meaning.bits) or is_hex(index, subindex), unit)
    if not meaning.text:
        return value
    return f"{value} {meaning.text}" if meaning.text.startswith("=") else f"{value}: {meaning.text}"


def is_hex(index: int, subindex: int) -> bool:
    """True for objects whose number is an identifier, a code or a set of bits."""
    if index >= 0x6000:
        return _drive_index(index) in (0x603F, 0x6040, 0x6041)
    return any(index in indices and subindex in subindices for indices, subindices in _HEX_OBJECTS)


def hex_text(raw: bytes, limit: int = 24) -> str:
    """As in "F0 16 00 00"; long data are cut with their length said."""
    text = raw[:limit].hex(" ").upper()
    return text if len(raw) <= limit else f"{text} .. ({len(raw)} bytes)"


# -- words for single objects -------------------------------------------------------------------------------------

_Special = Callable[[NodeView, int, int], tuple[str | None, tuple[str, ...], str]]


def _drive_index(index: int) -> int:
    """Index of the first axis for an object of any axis of a CiA 402 device (axis k adds k * 800h)."""
    return 0x6000 + (index - 0x6000) % 0x800 if 0x6000 <= index <= 0x9FFF else index


def axis_of(index: int) -> int:
    """Axis 0..7 of an object of the profile area."""
    return (index - 0x6000) // 0x800 if 0x6000 <= index <= 0x9FFF else 0


def _special(node: NodeView, index: int, subindex: int) -> _Special | None:
    if index >= 0x6000:
        return _DRIVE.get(_drive_index(index)) if node.may_be_drive and subindex == 0 else None
    if index in (0x1010, 0x1011):
        return _signature if subindex else None
    if 0x1200 <= index <= 0x12FF:
        return _cob_id if subindex in (1, 2) else None
    if 0x1400 <= index <= 0x15FF or 0x1800 <= index <= 0x19FF:
        return _cob_id if subindex == 1 else None
    if 0x1600 <= index <= 0x17FF or 0x1A00 <= index <= 0x1BFF:
        return _mapping_entry if subindex else None
    if index in (0x1003, 0x1016):
        return (_history if index == 0x1003 else _consumer_heartbeat) if subindex else None
    return _COMMUNICATION.get(index)


def _statusword(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    state, mode = pds_state(value), node.mode(axis_of(index))
    head = state.value if state is not None else "no valid PDS state"
    text = ", ".join(words.statusword_text(value, mode))
    named = tuple(words.statusword_bits(value, mode))
    return (state.name if state is not None else None), named, f"{head}; {text}" if text else head


def _controlword(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    command = controlword_command(value)
    named = tuple(words.controlword_text(value, node.mode(axis_of(index))))
    head = command.value if command is not None else "no state command"
    return None, named, "; ".join(part for part in (head, ", ".join(named)) if part)


def _mode(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    return None, (), mode_text(value)


def _homing_method(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    return None, (), method_text(value)


def _error_code(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    return None, (), error_text(node, value)


def error_text(node: NodeView, code: int) -> str:
    """EMCY or 603Fh: the vendor's words if the vendor is known, then CiA 402's for drives, then CiA 301's."""
    return emcy_text(code, 402 if node.may_be_drive else 301, node.vendor_id)


def _history(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    code, additional = value & 0xFFFF, value >> 16
    more = f", additional information {additional:04X}h" if additional else ""
    return None, (), f"{code:04X}h {error_text(node, code)}{more}" if value else "no error"


def _cob_id(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    cob_id = CobId.decode(value)
    if not cob_id.can_id:
        return None, (), "no CAN-ID set"
    valid = "not valid" if cob_id.bit_31 else "valid"
    return None, (), f"CAN-ID {cob_id.text}, {valid}"


def _sync_cob_id(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    cob_id = CobId.decode(value)
    role = "produces" if cob_id.bit_30 else "does not produce"
    return None, (), f"CAN-ID {cob_id.text}, {role} {'SYNC' if index == 0x1005 else 'TIME'}"


def _mapping_entry(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    if not value:
        return None, (), "empty slot"
    entry = MappingEntry.decode(value)
    name = "dummy" if entry.is_dummy else node.describe(entry.index, entry.subindex).name or "not in the dictionary"
    return None, (), f"{object_text(entry.index, entry.subindex)} {name}, {entry.bits} bits"


def _signature(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    for text, what in (("save", "store parameters"), ("load", "restore defaults")):
        if value == int.from_bytes(text.encode(), "little"):
            return None, (), f'signature "{text}": {what}'
    return None, (), "on command" if value & 1 and value < 4 else ""


def _consumer_heartbeat(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    watched, period_ms = value >> 16 & 0xFF, value & 0xFFFF
    if not 1 <= watched <= 127 or not period_ms:
        return None, (), "not used"
    return None, (), f"expects a heartbeat of node {watched} within {period_ms} ms"


def _device_type(node: NodeView, index: int, value: int) -> tuple[str | None, tuple[str, ...], str]:
    return None, (), f"device profile {value & 0xFFFF}" if value & 0xFFFF else "no standard profile"


_COMMUNICATION: dict[int, _Special] = {
    0x1000: _device_type,
    0x1005: _sync_cob_id,
    0x1012: _sync_cob_id,
    0x1014: _cob_id,
}
_DRIVE: dict[int, _Special] = {
    0x603F: _error_code,
    0x6040: _controlword,
    0x6041: _statusword,
    0x6060: _mode,
    0x6061: _mode,
    0x6098: _homing_method,
}


# -- generic words ------------------------------------------------------------------------------------------------


def _named(variable: Variable, value: int) -> tuple[tuple[str, ...], str]:
    if value in variable.values:
        return (), variable.values[value]
    if variable.bits:
        set_bits = (bit for bit in range(value.bit_length()) if value >> bit & 1)
        named = tuple(variable.bits.get(bit, f"bit {bit}") for bit in set_bits)
        return named, ", ".join(named) or "no bit set"
    return (), ""


def _scale(value: float, factor: float) -> float:
    """Without the noise of binary fractions: 219 * 0.1 is 21.9."""
    return float(f"{value * factor:.12g}")


def _scaled_text(variable: Variable, value: float) -> str:
    """The number in other units, as in "= 1511.868164 rev (4096 counts per rev)", "= 21.9 % of rated current"."""
    parts = []
    if variable.factor != 1:
        parts.append(f"= {_scale(value, variable.factor):.10g} {variable.unit}")
    if variable.alt_unit:
        parts.append(f"= {_scale(value, variable.alt_factor):.10g} {variable.alt_unit}")
        per = 1 / variable.alt_factor if variable.alt_factor else 0
        if per > 1 and per == int(per) and variable.factor == 1:
            parts.append(f"({int(per)} {variable.unit} per {variable.alt_unit})")
    return " ".join(parts)
