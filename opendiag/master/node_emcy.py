"""What a node reports as errors: its EMCY messages, and its error history 1003h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opendiag.errors import SdoAborted
from opendiag.services.emcy import EmcyReceived, emcy_text
from opendiag.wire.emcy import ErrorEntry
from opendiag.wire.sdo_abort import SdoAbortCode

if TYPE_CHECKING:
    from opendiag.master.node import Node

HISTORY = 0x1003
_NOT_THERE = (SdoAbortCode.NO_SUCH_SUBINDEX, SdoAbortCode.NO_DATA)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One error of 1003h. ``information`` is the high word, whose meaning is the maker's."""

    code: int
    information: int
    text: str


class NodeEmcy:
    """Made by `Node.emcy`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._consumer = node.network.watch.emergencies

    @property
    def received(self) -> list[EmcyReceived]:
        """Oldest first, the latest 256 since the network was opened."""
        with self._node.network.pump.lock:
            return list(self._consumer.received.get(self._node.node_id, ()))

    @property
    def count(self) -> int:
        """All that came, kept or not."""
        return self._consumer.counts[self._node.node_id]

    @property
    def active(self) -> list[EmcyReceived]:
        """Errors that were reported and not taken back, oldest first."""
        with self._node.network.pump.lock:
            return self._consumer.active(self._node.node_id)

    def history(self) -> list[HistoryEntry]:
        """Read 1003h: the errors that the device remembers, newest first. Raise SdoError, AdapterError."""
        node = self._node
        count = int.from_bytes(node.upload(HISTORY, 0), "little")
        entries = []
        for subindex in range(1, count + 1):
            try:
                raw = node.upload(HISTORY, subindex)
            except SdoAborted as error:
                if error.code in _NOT_THERE:  # it was cleared meanwhile, or counts more than it has
                    break
                raise
            entry = ErrorEntry.decode(raw.ljust(4, b"\0")[:4])
            text = emcy_text(entry.code, node.view.profile, node.view.vendor_id)
            entries.append(HistoryEntry(entry.code, entry.information, text))
        return entries

    def clear(self) -> None:
        """Have the device forget its error history (0 to 1003h:00). Raise SdoError, AdapterError."""
        self._node.download(HISTORY, 0, b"\0")

    def __repr__(self) -> str:
        return f"<EMCY of node {self._node.node_id}: {self.count} received, {len(self.active)} active>"
