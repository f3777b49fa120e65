"""How a row of the standards' tables is written.

A row describes an index. A range of indices that look alike (PDO parameters, SDO channels) is one row with ``last``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import ObjectType

_NONE: Mapping[int, str] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """What a value is: everything of a `Variable` that does not depend on where it stands."""

    name: str
    data_type: DataType
    access: str
    pdo: bool = False
    unit: str = ""
    factor: float = 1.0
    bits: Mapping[int, str] = field(default_factory=lambda: _NONE)
    values: Mapping[int, str] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True)
class Row:
    """``members`` by subindex; ``each`` describes all further ones up to ``last_subindex``.

    In the name of ``each``, ``{}`` is the subindex. ``last`` is the last index of a range of alike objects; their
    names get their number in the range, which counts from ``first_number``.
    """

    index: int
    name: str
    object_type: ObjectType
    members: Mapping[int, Item]
    each: Item | None = None
    last_subindex: int = 0
    last: int = 0
    first_number: int = 1


def var(
    index: int,
    name: str,
    data_type: DataType,
    access: str,
    *,
    pdo: bool = False,
    unit: str = "",
    factor: float = 1.0,
    bits: Mapping[int, str] = _NONE,
    values: Mapping[int, str] = _NONE,
    last: int = 0,
) -> Row:
    """A single value."""
    item = Item(name, data_type, access, pdo, unit, factor, bits, values)
    kind = ObjectType.DOMAIN if data_type is DataType.DOMAIN else ObjectType.VAR
    return Row(index, name, kind, {0: item}, last=last)


_HIGHEST = Item("Highest sub-index supported", DataType.UNSIGNED8, "const")


def array(
    index: int,
    name: str,
    each: Item | None = None,
    last_subindex: int = 0,
    *,
    count: Item = _HIGHEST,
    members: Mapping[int, Item] | None = None,
) -> Row:
    """Alike values 1..last_subindex; ``members`` gives some of them, or all, names of their own."""
    return Row(index, name, ObjectType.ARRAY, {0: count, **(members or {})}, each, last_subindex)


def named_array(
    index: int,
    name: str,
    data_type: DataType,
    access: str,
    names: Sequence[str],
    *,
    pdo: bool = False,
    unit: str = "",
) -> Row:
    """Values of one type with a name each, from subindex 1 on."""
    members = {sub: Item(text, data_type, access, pdo, unit) for sub, text in enumerate(names, 1)}
    return Row(index, name, ObjectType.ARRAY, {0: _HIGHEST, **members})


def record(
    index: int,
    name: str,
    members: Mapping[int, Item],
    *,
    last: int = 0,
    first_number: int = 1,
    count: Item = _HIGHEST,
) -> Row:
    """Values that differ. Without ``members`` only the object's name is known: what it holds is the device's own."""
    return Row(index, name, ObjectType.RECORD, {0: count, **members}, last=last, first_number=first_number)
