"""What the bits of a PDO are: its mapping, from the traffic's own SDO transfers or from the dictionary.

The first entries of a mapping count, as many as subindex 0 says; slots behind them are left-overs.
"""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.decode.node_view import NodeView
from opendiag.wire import pdo
from opendiag.wire.cob_id import Connection, Service
from opendiag.wire.pdo import DAM_MPDO, SAM_MPDO, MappingEntry, unpack

#: Modes of operation (6060h, 6061h of any axis): they give other objects their meaning.
_MODE_OBJECTS = (0x60, 0x61)


@dataclass(frozen=True, slots=True)
class Mapping:
    """``entries`` in wire order. ``source`` is traffic, eds:<name> or None; ``missing`` says what is not known."""

    entries: tuple[MappingEntry, ...] = ()
    source: str | None = None
    missing: str = ""
    multiplexed: bool = False

    @property
    def bits(self) -> int:
        return sum(entry.bits for entry in self.entries)


def mapping_index(connection: Connection) -> int:
    """Index of the mapping parameter, 1600h.. or 1A00h.."""
    return pdo.mapping_index(connection.service is Service.TPDO, connection.number)


def mapping_of(node: NodeView, connection: Connection) -> Mapping:
    """The mapping in force, or one without entries that says what is missing."""
    index = mapping_index(connection)
    it = f"{index:04X}h, its mapping,"
    count = node.number(index, 0)
    if count is None:
        return Mapping(missing=f"{it} is not read or written in this capture")
    source = "traffic" if node.seen(index, 0) is not None else node.origin
    if count in (SAM_MPDO, DAM_MPDO):
        return Mapping(source=source, multiplexed=True)
    entries = []
    for subindex in range(1, count + 1):
        word = node.number(index, subindex)
        if word is None:
            return Mapping(missing=f"{it} has {count} entries, and number {subindex} is not known")
        if node.seen(index, subindex) is None:
            source = node.origin  # one entry that only the file knows makes it the file's mapping
        if (entry := MappingEntry.decode(word)).bits:  # a width of 0 maps nothing
            entries.append(entry)
    return Mapping(tuple(entries), source)


def cut_pdo(node: NodeView, mapping: Mapping, data: bytes) -> list[tuple[MappingEntry, int, bytes]]:
    """(entry, bit offset, its bits as bytes) of the mapped objects, as far as the data reach.

    A mode of operation among them is noted first: it tells how to read the statusword of the same PDO.
    """
    fields = unpack(data, [entry.bits for entry in mapping.entries])
    cut, offset = [], 0
    for entry, bits in zip(mapping.entries, fields, strict=False):
        raw = bits.to_bytes((entry.bits + 7) // 8, "little")
        if entry.index >= 0x6000 and entry.index & 0x7FF in _MODE_OBJECTS:
            node.observe(entry.index, entry.subindex, raw)
        cut.append((entry, offset, raw))
        offset += entry.bits
    return cut
