"""What the bits of a PDO are: a mapping compiled once, values in and out of it many times.

Every field keeps its own bits, wherever it begins, however wide it is and whether the dictionary knows it or not. A
field is read by its mapped width: an INTEGER8 mapped with 4 bits counts -8..7, an UNSIGNED32 with 16 bits 0..65535.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.model import ObjectDictionary, Variable, object_text
from opendiag.errors import WireError
from opendiag.wire.pdo import MAX_BITS, MappingEntry, sign_extend

_CODES: dict[int | None, tuple[int, str]] = {
    **{DataType[f"UNSIGNED{bits}"]: (bits, code) for bits, code in ((8, "B"), (16, "H"), (32, "I"), (64, "Q"))},
    **{DataType[f"INTEGER{bits}"]: (bits, code) for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))},
    DataType.REAL32: (32, "f"),
    DataType.REAL64: (64, "d"),
}
_WHOLE: tuple[int | None, ...] = (DataType.REAL32, DataType.REAL64, DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)
_TEXT = (DataType.VISIBLE_STRING, DataType.UNICODE_STRING)
_FromBits = Callable[[int], Value]


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped object. ``offset`` and ``bits`` say where it is; ``data_type`` is None where the dictionary lacks it.

    ``name`` is the dictionary's, else "2F00:00"; it is unique in its layout (``"Statusword (6041:00, bit 16)"``).
    """

    name: str
    index: int
    subindex: int
    bits: int
    offset: int
    data_type: int | None
    variable: Variable | None = None

    @property
    def size(self) -> int:
        """Bytes that hold its bits."""
        return (self.bits + 7) // 8

    @property
    def _is_whole(self) -> bool:
        """Is it a REAL or a time of its own width?"""
        kind = self.data_type
        return kind is not None and kind in _WHOLE and self.bits == datatypes.bit_width(kind)

    def decode(self, bits: int) -> Value:
        """The value of an unsigned number of this width.

        BOOLEAN: bool (an int above 1 in a wider field). Integers: int, by the mapped width. Times and REALs of their
        own width, and strings of whole bytes: as `datatypes.decode_value`. All else: bytes, the last one filled up
        with zero bits; also what is no text in its coding.
        """
        kind = self.data_type
        if kind is None:
            return bits.to_bytes(self.size, "little")
        if datatypes.is_integer(kind):
            if kind == DataType.BOOLEAN:
                return bool(bits) if bits < 2 else bits
            return sign_extend(bits, self.bits) if datatypes.is_signed(kind) else bits
        raw = bits.to_bytes(self.size, "little")
        if self._is_whole:
            return datatypes.decode_value(kind, raw)
        if kind in _TEXT and self.bits % 8 == 0:
            text = datatypes.decode_value(kind, raw)
            return text if self._is_exact(text, raw) else raw
        return raw

    def _is_exact(self, text: Value, raw: bytes) -> bool:
        try:
            return datatypes.encode_value(self.data_type or 0, text).ljust(self.size, b"\0") == raw
        except WireError:
            return False

    def encode(self, value: Value) -> int:
        """The bits, the inverse of `decode`. Raise WireError for what is not of this type or does not fit."""
        kind = self.data_type
        try:
            if isinstance(value, bytes):
                return self._from_bytes(value)
            if kind is None or datatypes.is_integer(kind):
                return self._from_integer(value)
            if self._is_whole:
                return int.from_bytes(datatypes.encode_value(kind, value), "little")
            if kind in _TEXT and self.bits % 8 == 0:
                raw = datatypes.encode_value(kind, value)
                if len(raw) > self.size:
                    raise WireError(f"{value!r} does not fit {self.size} bytes")
                return int.from_bytes(raw, "little")
            raise WireError(f"{self.size} bytes are wanted, not {value!r}")
        except WireError as error:
            raise WireError(f"{self.name}: {error.reason}") from None

    def _from_bytes(self, value: bytes) -> int:
        kind = self.data_type
        if kind is not None and (self._is_whole or datatypes.is_integer(kind)):
            raise WireError(f"{datatypes.type_name(kind)} takes no bytes: {value!r}")
        bits = int.from_bytes(value, "little")
        if len(value) != self.size or bits >> self.bits:
            raise WireError(f"{value!r} is not {self.bits} bits in {self.size} bytes")
        return bits

    def _from_integer(self, value: Value) -> int:
        if not isinstance(value, int):
            raise WireError(f"an integer is wanted, not {value!r}")
        signed = self.data_type is not None and datatypes.is_signed(self.data_type)
        low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if signed else (0, (1 << self.bits) - 1)
        if not low <= value <= high:
            raise WireError(f"{value} is outside {low}..{high} of {self.bits} bits")
        return int(value) & (1 << self.bits) - 1


class PdoLayout:
    """``entries`` in wire order; ``variables`` says what the objects are: a dictionary, or variables by
    (index, subindex).

    ``fields`` are the objects that have a value: dummies (0001h..0007h) and entries of width 0 have none. ``bits`` is
    the width of it all, ``length`` the same in bytes. Raise WireError for more than 512 bits.
    """

    __slots__ = (
        "_cuts",
        "_finish",
        "_packs",
        "_struct",
        "bits",
        "decode_exact",
        "entries",
        "fields",
        "length",
        "names",
    )

    def __init__(
        self,
        entries: Iterable[MappingEntry],
        variables: ObjectDictionary | Mapping[tuple[int, int], Variable] | None = None,
    ) -> None:
        self.entries = tuple(entries)
        self.bits = sum(entry.bits for entry in self.entries)
        if self.bits > MAX_BITS:
            raise WireError(f"{self.bits} mapped bits; a PDO has at most {MAX_BITS}")
        self.length = (self.bits + 7) // 8
        self.fields = _fields(self.entries, variables)
        self.names = tuple(field.name for field in self.fields)
        self._cuts = tuple((field.offset, (1 << field.bits) - 1, _reader(field)) for field in self.fields)
        #: For a layout of whole bytes: all at once, and what is then left to do by (position, function).
        self._struct, self._finish, self._packs = _compile(self.fields, self.length)
        #: As `decode`, for data of exactly ``length`` bytes, in the shortest time.
        self.decode_exact: Callable[[bytes], tuple[Value, ...]] = self.decode
        if self._struct is not None and not self._finish:
            self.decode_exact = self._struct.unpack

    def decode(self, data: bytes) -> tuple[Value, ...]:
        """One value for each of ``fields``; bytes behind the mapping are not looked at.

        Raise WireError when the data are too short for the mapping.
        """
        layout = self._struct
        if layout is not None:
            try:
                values: tuple[Value, ...] = layout.unpack_from(data)
            except struct.error:
                raise self._too_short(data) from None
            if not self._finish:
                return values
            finished = list(values)
            for position, read in self._finish:
                finished[position] = read(int.from_bytes(finished[position], "little"))  # type: ignore[arg-type]
            return tuple(finished)
        if len(data) < self.length:
            raise self._too_short(data)
        whole = int.from_bytes(data, "little")
        cuts = self._cuts
        return tuple([read(whole >> offset & mask) if read else whole >> offset & mask for offset, mask, read in cuts])

    def _too_short(self, data: bytes) -> WireError:
        return WireError(f"{len(data)} data bytes where the mapping has {self.length}", data)

    def decode_available(self, data: bytes) -> tuple[Value, ...]:
        """The same, as far as the data reach: the values of the first fields. For who tells of a short frame."""
        whole, bits = int.from_bytes(data, "little"), 8 * len(data)
        reached = [field for field in self.fields if field.offset + field.bits <= bits]
        return tuple(field.decode(whole >> field.offset & (1 << field.bits) - 1) for field in reached)

    def encode(self, values: Sequence[Value]) -> bytes:
        """The inverse of `decode`; dummies and the bits up to the next byte are 0.

        Raise WireError when there is not one value for each field, or one is not of its type or does not fit.
        """
        if self._packs and self._struct is not None:
            try:
                return self._struct.pack(*values)
            except (struct.error, OverflowError, TypeError):
                pass  # the long way says which value it is
        if len(values) != len(self.fields):
            raise WireError(f"{len(values)} values for {len(self.fields)} mapped objects")
        whole = 0
        for field, value in zip(self.fields, values, strict=True):
            whole |= field.encode(value) << field.offset
        return whole.to_bytes(self.length, "little")


def _fields(
    entries: tuple[MappingEntry, ...], variables: ObjectDictionary | Mapping[tuple[int, int], Variable] | None
) -> tuple[Field, ...]:
    fields: list[Field] = []
    names: set[str] = set()
    offset = 0
    for entry in entries:
        if entry.bits and not entry.is_dummy:
            variable, name = _look_up(entry, variables)
            if name in names:
                where = object_text(entry.index, entry.subindex)
                name = f"{name}, bit {offset}" if name == where else f"{name} ({where}, bit {offset})"
            names.add(name)
            data_type = None if variable is None else int(variable.data_type)
            fields.append(Field(name, entry.index, entry.subindex, entry.bits, offset, data_type, variable))
        offset += entry.bits
    return tuple(fields)


def _look_up(
    entry: MappingEntry, variables: ObjectDictionary | Mapping[tuple[int, int], Variable] | None
) -> tuple[Variable | None, str]:
    where = object_text(entry.index, entry.subindex)
    if isinstance(variables, ObjectDictionary):
        variable = variables.get(entry.index, entry.subindex)
        return variable, where if variable is None else variables.name_of(variable)
    variable = None if variables is None else variables.get((entry.index, entry.subindex))
    return variable, where if variable is None else variable.name


def _reader(field: Field) -> _FromBits | None:
    """What makes a value of the bits; None where they are the value."""
    kind = field.data_type
    if kind is None or not datatypes.is_integer(kind):
        return field.decode
    if kind == DataType.BOOLEAN:
        return bool if field.bits == 1 else field.decode
    if not datatypes.is_signed(kind):
        return None
    sign, span = 1 << field.bits - 1, 1 << field.bits
    return lambda bits: bits - span if bits & sign else bits


def _compile(
    fields: tuple[Field, ...], length: int
) -> tuple[struct.Struct | None, tuple[tuple[int, _FromBits], ...], bool]:
    """(a `struct` of the whole PDO, what it leaves to do by position, is it good for packing?).

    The struct is None unless every field is of whole bytes.
    """
    parts, at, packs = ["<"], 0, True
    finish: list[tuple[int, _FromBits]] = []
    for position, field in enumerate(fields):
        if field.offset % 8 or field.bits % 8:
            return None, (), False
        parts.append("x" * (field.offset // 8 - at))
        at = field.offset // 8 + field.size
        width, code = _CODES.get(field.data_type, (0, ""))
        if width == field.bits:
            parts.append(code)
            continue
        packs = False
        parts.append(f"{field.size}s")
        if field.data_type is not None:
            finish.append((position, _reader(field) or int))
    parts.append("x" * (length - at))
    return struct.Struct("".join(parts)), tuple(finish), packs
