"""The objects of CiA 301, CiA 302 and CiA 402 for when no file is given: names, types, units, bits, enumerations.

Whether a device at 6000h and above is a drive is not known here; who asks must.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from opendiag.dictionary.model import ObjectType, Variable
from opendiag.dictionary.tables.cia301 import CIA301, CIA302
from opendiag.dictionary.tables.cia402 import CIA402
from opendiag.dictionary.tables.rows import Item, Row

_AXIS_STEP = 0x800
_DRIVE_FIRST, _DRIVE_LAST = 0x6000, 0x9FFF
_ROWS: list[tuple[Row, str]] = sorted(
    [(row, source) for table, source in ((CIA301, "cia301"), (CIA302, "cia302"), (CIA402, "cia402")) for row in table],
    key=lambda pair: pair[0].index,
)
_STARTS = [row.index for row, _ in _ROWS]


@lru_cache(maxsize=4096)
def get(index: int, subindex: int) -> Variable | None:
    """The variable as the standards describe it, or None."""
    found = _find(index)
    if found is None:
        return None
    row, source = found
    item = _item(row, subindex)
    if item is None:
        return None
    name = object_name(index) if row.object_type in (ObjectType.VAR, ObjectType.DOMAIN) else item.name.format(subindex)
    return Variable(
        index,
        subindex,
        name or item.name,
        item.data_type,
        item.access,
        pdo_mappable=item.pdo,
        unit=item.unit,
        factor=item.factor,
        bits=item.bits,
        values=item.values,
        source=source,
    )


def indices() -> Iterator[int]:
    """Every index of the tables, of the first axis only, in order."""
    for row, _ in _ROWS:
        yield from range(row.index, max(row.index, row.last) + 1)


def object_name(index: int) -> str | None:
    """As in "Statusword", "Statusword (axis 2)", "TPDO mapping parameter 4"."""
    found = _find(index)
    if found is None:
        return None
    row, _ = found
    if row.last:
        return f"{row.name} {index - row.index + row.first_number}"
    axis = _axis(index)
    return f"{row.name} (axis {axis + 1})" if axis else row.name


def object_type(index: int) -> ObjectType | None:
    """VAR, ARRAY, RECORD or DOMAIN; None where the standards have no such object."""
    found = _find(index)
    return None if found is None else found[0].object_type


def name_of(variable: Variable) -> str:
    """As in "Statusword" and "Identity object.Vendor-ID"; the form of `ObjectDictionary.name_of`."""
    found = _find(variable.index)
    if found is None or found[0].object_type in (ObjectType.VAR, ObjectType.DOMAIN):
        return variable.name
    return f"{object_name(variable.index)}.{variable.name}"


def _find(index: int) -> tuple[Row, str] | None:
    if index > _DRIVE_LAST:
        return None
    index -= _axis(index) * _AXIS_STEP
    place = bisect_right(_STARTS, index) - 1
    if place < 0:
        return None
    row, _ = found = _ROWS[place]
    return found if row.index <= index <= max(row.index, row.last) else None


def _axis(index: int) -> int:
    """0 for the first axis; axis k of a multi-axis drive adds k * 800h (CiA 402)."""
    return (index - _DRIVE_FIRST) // _AXIS_STEP if index >= _DRIVE_FIRST else 0


def _item(row: Row, subindex: int) -> Item | None:
    item = row.members.get(subindex)
    if item is None and row.each is not None and 1 <= subindex <= row.last_subindex:
        return row.each
    return item
