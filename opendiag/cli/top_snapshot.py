"""What `opendiag top` shows at one moment: plain values, for the screen and for JSON alike."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from opendiag.cia402.states import PdsState
from opendiag.decode.records import Record
from opendiag.dictionary.model import object_text
from opendiag.wire.nmt import NmtState

#: Version of the JSON form.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Range:
    """Least and most of something, in ms."""

    min_ms: float
    max_ms: float

    def to_list(self) -> list[float]:
        return [round(self.min_ms, 3), round(self.max_ms, 3)]


@dataclass(frozen=True, slots=True)
class BusShown:
    """``load`` and ``peak`` are 0..1, None without a bit rate. ``state`` and the counters: None where nobody tells."""

    name: str
    bit_rate: int | None = None
    load: float | None = None
    peak: float | None = None
    frames: int = 0
    frames_per_s: float = 0.0
    error_frames: int = 0
    errors_per_s: float = 0.0
    state: str | None = None
    tx_errors: int | None = None
    rx_errors: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {field.name: _rounded(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class EmcyShown:
    """The last one; ``count`` of all of them, ``age_s`` since it came."""

    code: int
    text: str
    age_s: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "text": self.text, "age_s": round(self.age_s, 3), "count": self.count}


@dataclass(frozen=True, slots=True)
class SignalShown:
    """A chosen object. ``record`` is the last one that had its value, ``age_s`` since then; None: not seen yet.

    ``problem`` says why asking for it brought nothing.
    """

    index: int
    subindex: int
    name: str | None = None
    record: Record | None = None
    age_s: float = 0.0
    problem: str = ""

    @property
    def object_text(self) -> str:
        return object_text(self.index, self.subindex)

    def to_dict(self) -> dict[str, Any]:
        record = self.record.to_dict() if self.record is not None else {}
        return {
            "index": self.index,
            "sub": self.subindex,
            "name": self.name,
            "value": record.get("value"),
            "scaled": record.get("scaled"),
            "unit": record.get("unit"),
            "text": record.get("text"),
            "raw": record.get("raw"),
            "svc": record.get("svc"),
            "age_s": None if self.record is None else round(self.age_s, 3),
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True)
class NodeShown:
    """``heard``: it said anything at all. ``pds`` by axis, 0 the first.

    ``heartbeat`` between two of them; ``losses``: how often it stayed away longer than it should, ``lost_s`` for how
    long it does so now. ``sdo`` from request to first answer. ``aborts`` are those of the node, ``unanswered`` counts
    transfers that somebody gave up.
    """

    node_id: int
    name: str | None = None
    heard: bool = True
    nmt: NmtState | None = None
    pds: tuple[tuple[int, PdsState], ...] = ()
    heartbeat: Range | None = None
    losses: int = 0
    lost_s: float | None = None
    boot_ups: int = 0
    sdo: Range | None = None
    unanswered: int = 0
    aborts: int = 0
    frames_per_s: float = 0.0
    emcy: EmcyShown | None = None
    signals: tuple[SignalShown, ...] = ()

    @property
    def lost(self) -> bool:
        """Its heartbeat or its guarding stays away now."""
        return self.lost_s is not None

    def to_dict(self) -> dict[str, Any]:
        return {
            "node": self.node_id,
            "name": self.name,
            "heard": self.heard,
            "nmt": None if self.nmt is None else self.nmt.name,
            "pds": [{"axis": axis + 1, "state": state.name} for axis, state in self.pds],
            "heartbeat_ms": None if self.heartbeat is None else self.heartbeat.to_list(),
            "lost": self.lost,
            "lost_s": _rounded(self.lost_s),
            "losses": self.losses,
            "boot_ups": self.boot_ups,
            "sdo_ms": None if self.sdo is None else self.sdo.to_list(),
            "unanswered": self.unanswered,
            "aborts": self.aborts,
            "frames_per_s": round(self.frames_per_s, 3),
            "emcy": None if self.emcy is None else self.emcy.to_dict(),
            "signals": [signal.to_dict() for signal in self.signals],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``at`` in seconds of the network's clock (live: since the epoch), ``elapsed_s`` since the beginning."""

    at: float
    elapsed_s: float
    bus: BusShown
    nodes: tuple[NodeShown, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "v": SCHEMA_VERSION,
            "t": round(self.at, 6),
            "elapsed_s": round(self.elapsed_s, 3),
            "bus": self.bus.to_dict(),
            "nodes": [node.to_dict() for node in self.nodes],
        }


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
