"""What each node of a capture did, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from opendiag.cia402.states import PdsState
from opendiag.decode.decoder import Decoder
from opendiag.decode.records import Record
from opendiag.decode.values import axis_of
from opendiag.frame import Frame
from opendiag.wire.cob_id import Service

_SDO = {Service.SDO_REQUEST: 0, Service.SDO_RESPONSE: 1}


@dataclass(slots=True)
class NodeSummary:
    """``reads`` and ``writes`` count finished SDO transfers; ``open`` those without an end in the capture.

    Heartbeat periods in ns, None until two heartbeats with times were seen.
    """

    node_id: int
    channel: str | None
    labels: dict[str, set[str]] = field(default_factory=dict)
    nmt_state: str | None = None
    axis_states: dict[int, str] = field(default_factory=dict)
    reads: int = 0
    writes: int = 0
    aborts: int = 0
    open: int = 0
    emcy: int = 0
    boot_ups: int = 0
    heartbeats: int = 0
    heartbeat_min_ns: int | None = None
    heartbeat_max_ns: int | None = None
    last_heartbeat_ns: int | None = None

    @property
    def pds_state(self) -> str | None:
        """As in "FAULT"; of several axes "1: FAULT, 2: SWITCHED ON"."""
        if len(self.axis_states) < 2:
            return next(iter(self.axis_states.values()), None)
        return ", ".join(f"{axis + 1}: {state}" for axis, state in sorted(self.axis_states.items()))

    def cob_ids(self) -> list[str]:
        """As in "665/5E5 SDO", "4E5 TPDO4"."""
        out = []
        for label, ids in self.labels.items():
            order = sorted(ids, reverse=label.startswith("SDO"))
            out.append(f"{'/'.join(order)} {label}")
        return out

    def heartbeat_text(self) -> str:
        """As in "99/103 ms (min/max)", "2 seen", "none seen"."""
        if not self.heartbeats:
            return "none seen"
        if self.heartbeat_min_ns is None or self.heartbeat_max_ns is None:
            return f"{self.heartbeats} seen"
        low, high = self.heartbeat_min_ns / 1e6, self.heartbeat_max_ns / 1e6
        return f"{low:.0f}/{high:.0f} ms (min/max)"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        out = asdict(self)
        del out["labels"], out["axis_states"]
        return {**out, "pds_state": self.pds_state, "cob_ids": self.cob_ids()}


class Summary:
    """Feed it the frames of a capture, then ask for `nodes`."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._nodes: dict[tuple[str, int], NodeSummary] = {}

    def feed(self, frame: Frame) -> list[Record]:
        """Count a frame; gives the records that the decoder made of it."""
        connection = self._decoder.bus(frame.channel).connections.lookup(frame).connection
        if connection.node_id:
            label = "SDO" if connection.service in _SDO else connection.label
            label = {"NMT error control": "heartbeat"}.get(label, label)
            node = self._node(frame.channel, connection.node_id)
            node.labels.setdefault(label, set()).add(frame.id_text)
        records = self._decoder.feed(frame)
        for record in records:
            self._count(record)
        return records

    def finish(self) -> None:
        """The capture ends here."""
        for record in self._decoder.finish():
            self._count(record)

    def nodes(self) -> list[NodeSummary]:
        """In order of channel and node-ID."""
        return [self._nodes[key] for key in sorted(self._nodes)]

    def _node(self, channel: str | None, node_id: int) -> NodeSummary:
        key = channel or "", node_id
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = NodeSummary(node_id, channel)
        return node

    def _count_nmt(self, record: Record) -> None:
        if record.details.get("command") not in ("RESET_NODE", "RESET_COMMUNICATION"):
            return
        for (channel, node_id), node in self._nodes.items():
            if channel == (record.channel or "") and record.node in (None, node_id):
                node.axis_states.clear()
                node.last_heartbeat_ns = None

    def _count(self, record: Record) -> None:
        if record.service == "nmt":
            self._count_nmt(record)
        if record.node is None or record.service == "nmt":
            return
        node = self._node(record.channel, record.node)
        if record.service.startswith("sdo"):
            _count_sdo(node, record)
        elif record.service == "emcy":
            node.emcy += record.status == "ok" and bool(record.value)  # code 0 says that an error is gone
        elif record.service in ("heartbeat", "boot-up", "guarding"):
            _count_state(node, record)
        if record.state is not None and record.index is not None:
            node.axis_states[axis_of(record.index)] = PdsState[record.state].value


def _forget_state(node: NodeSummary) -> None:
    """The node starts again: what state it was in before says nothing."""
    node.axis_states.clear()
    node.nmt_state = "BOOT-UP"
    node.last_heartbeat_ns = None  # a restart is not a late heartbeat


def _count_sdo(node: NodeSummary, record: Record) -> None:
    if record.status == "aborted":
        node.aborts += 1
    elif record.status in ("unanswered", "incomplete"):
        node.open += 1
    elif record.status in ("ok", "damaged"):
        if record.service == "sdo.read":
            node.reads += 1
        else:
            node.writes += 1


def _count_state(node: NodeSummary, record: Record) -> None:
    if record.service == "boot-up":
        node.boot_ups += 1
        _forget_state(node)
        return
    if record.state is not None:
        node.nmt_state = record.state.replace("_", "-")
    if record.service != "heartbeat":
        return
    node.heartbeats += 1
    if record.time_ns is not None and node.last_heartbeat_ns is not None:
        period = record.time_ns - node.last_heartbeat_ns
        low, high = node.heartbeat_min_ns, node.heartbeat_max_ns
        node.heartbeat_min_ns = period if low is None else min(low, period)
        node.heartbeat_max_ns = period if high is None else max(high, period)
    node.last_heartbeat_ns = record.time_ns
