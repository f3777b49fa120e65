"""A PDO as records: one for each mapped object, one for what does not fit the mapping."""

from __future__ import annotations

from typing import Any

from opendiag.decode.connection_set import Link
from opendiag.decode.node_view import NodeView
from opendiag.decode.pdo_view import Mapping, cut_pdo, mapping_of
from opendiag.decode.records import Record
from opendiag.decode.values import Meaning, guesses, interpret
from opendiag.dictionary.datatypes import byte_width
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.wire.cob_id import Connection
from opendiag.wire.pdo import MappingEntry, Mpdo


class PdoReader:
    """Keeps the mappings of one bus until somebody changes them."""

    def __init__(self) -> None:
        self._mappings: dict[Connection, Mapping] = {}

    def forget(self, node_id: int) -> None:
        """Mappings of this node must be looked up again."""
        for connection in [c for c in self._mappings if c.node_id == node_id]:
            del self._mappings[connection]

    def mapping(self, node: NodeView, connection: Connection) -> Mapping:
        mapping = self._mappings.get(connection)
        if mapping is None:
            mapping = self._mappings[connection] = mapping_of(node, connection)
        return mapping

    def read(self, node: NodeView, link: Link, frame: Frame, number: int, frame_flags: tuple[str, ...]) -> list[Record]:
        """Records of one PDO frame; ``number`` is the frame's in the capture."""
        mapping = self.mapping(node, link.connection)
        flags = frame_flags if link.valid else (*frame_flags, "pdo-not-valid")
        base: dict[str, Any] = {
            "service": link.connection.service.value.lower(),
            "frames": (number,),
            "time_ns": frame.time_ns,
            "channel": frame.channel,
            "can_id": frame.can_id,
            "node": node.node_id,
            "number": link.connection.number,
            "mapping_from": mapping.source,
        }
        if mapping.multiplexed:
            return [_multiplexed(node, frame, base, flags)]
        if mapping.source is None:
            flags = (*flags, "mapping-unknown")
            if node.repeats(link.connection, frame.data):
                flags = (*flags, "unchanged")
            details = {"missing": mapping.missing}
            return [Record(**base, raw=frame.data, text=guesses(frame.data), flags=flags, details=details)]
        return _fields(node, mapping, frame, base, flags)


def _fields(
    node: NodeView, mapping: Mapping, frame: Frame, base: dict[str, Any], flags: tuple[str, ...]
) -> list[Record]:
    cut = cut_pdo(node, mapping, frame.data)
    records = [_field(node, entry, offset, raw, base, flags) for entry, offset, raw in cut]
    end = sum(entry.bits for entry, _, _ in cut)
    if end != 8 * len(frame.data) or len(cut) < len(mapping.entries):
        leftover = _leftover(mapping, frame, base, flags, end)
        if leftover is not None:
            records.append(leftover)
    return records or [Record(**base, raw=frame.data, text="no object is mapped", flags=flags)]


def _field(
    node: NodeView, entry: MappingEntry, offset: int, raw: bytes, base: dict[str, Any], flags: tuple[str, ...]
) -> Record:
    meaning = _meaning(node, entry, raw)
    fields = {**base, **meaning.fields}
    if node.repeats((entry.index, entry.subindex), raw):
        fields["flags"] = (*flags, *meaning.flags, "unchanged")
    elif flags:
        fields["flags"] = flags + meaning.flags
    return Record(
        index=entry.index, subindex=entry.subindex, bit_offset=offset, bit_width=entry.bits, raw=raw, **fields
    )


def _meaning(node: NodeView, entry: MappingEntry, raw: bytes) -> Meaning:
    if entry.is_dummy:
        return Meaning(name="dummy", text="not used by the receiver", flags=("dummy",))
    return interpret(node, entry.index, entry.subindex, raw, entry.bits)


def _leftover(
    mapping: Mapping, frame: Frame, base: dict[str, Any], flags: tuple[str, ...], offset: int
) -> Record | None:
    """Bits that no mapped object takes, or mapped objects that the frame does not reach."""
    available = 8 * len(frame.data)
    if mapping.bits > available:
        text = f"too short: the mapping has {_size(mapping.bits)}, the frame {_size(available)}"
        rest = (int.from_bytes(frame.data, "little") >> offset).to_bytes((available - offset + 7) // 8, "little")
        return Record(**base, status="malformed", raw=rest, text=text, flags=(*flags, "pdo-too-short"))
    if available - mapping.bits < 8:
        return None  # padding up to the next byte
    text = f"too long: the mapping has {_size(mapping.bits)}, the frame {_size(available)}"
    rest = frame.data[(mapping.bits + 7) // 8 :]
    return Record(**base, raw=rest, text=text, flags=(*flags, "pdo-too-long"))


def _size(bits: int) -> str:
    count, unit = (bits // 8, "byte") if bits % 8 == 0 else (bits, "bit")
    return f"{count} {unit}{'s' * (count != 1)}"


def _multiplexed(node: NodeView, frame: Frame, base: dict[str, Any], flags: tuple[str, ...]) -> Record:
    try:
        mpdo = Mpdo.decode(frame.data)
    except WireError as error:
        return Record(**base, status="malformed", raw=frame.data, text=error.reason, flags=flags)
    variable = node.describe(mpdo.index, mpdo.subindex).variable
    width = 4
    if variable is not None:
        width = min(byte_width(variable.data_type) or 4, 4)
    raw = mpdo.data[:width]
    meaning = interpret(node, mpdo.index, mpdo.subindex, raw)
    fields = dict(meaning.fields)
    role = "to node" if mpdo.destination else "from node"
    fields["text"] = "; ".join(part for part in (f"multiplexed, {role} {mpdo.node_id}", meaning.text) if part)
    fields["flags"] = (*flags, *meaning.flags, "multiplexed")
    return Record(**base, index=mpdo.index, subindex=mpdo.subindex, raw=raw, **fields)
