"""What `opendiag top` works out from frames: states, answering times, emergencies and chosen values of each node.

No clock and no bus here: `TopModel.feed` takes frames with the time they came at, `TopModel.nodes` gives what is to be
shown at a time. What a listener to the whole network knows anyway (heartbeats, frames, our own transfers) comes as
`NodeFacts`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opendiag.cia402.states import PdsState
from opendiag.cli.top_snapshot import EmcyShown, NodeShown, Range, SignalShown
from opendiag.decode.decoder import Decoder
from opendiag.decode.records import Record
from opendiag.decode.values import axis_of
from opendiag.frame import Frame
from opendiag.wire.nmt import NmtState
from opendiag.wire.sdo_abort import SdoAbortCode

#: (index, subindex) of an object whose value is wanted.
Key = tuple[int, int]

_STATUSWORD = 0x041
_AXES = range(0x6000, 0xA000)
#: Frames per second are counted over this time.
_WINDOW_S = 1.0
_VALUES = ("tpdo", "rpdo", "sdo.read", "sdo.write")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the network knows of a node. ``frames`` counts those it sent; the others are as in `NodeShown`."""

    name: str | None = None
    frames: int = 0
    nmt: NmtState | None = None
    heartbeat: Range | None = None
    losses: int = 0
    lost_s: float | None = None
    boot_ups: int = 0
    sdo: Range | None = None


@dataclass(slots=True)
class _NodeSeen:
    """What the frames said of one node so far."""

    pds: dict[int, PdsState] = field(default_factory=dict)
    emcy: tuple[int, str, float] | None = None
    emcy_count: int = 0
    response_min_ns: int | None = None
    response_max_ns: int = 0
    unanswered: int = 0
    aborts: int = 0
    values: dict[Key, tuple[Record, float]] = field(default_factory=dict)
    problems: dict[Key, str] = field(default_factory=dict)
    rates: deque[tuple[float, int]] = field(default_factory=deque)


class TopModel:
    """``signals`` by node-ID: the objects whose values are wanted, in the order they are shown.

    ``started_at``: since when the frames in `NodeFacts` are counted.
    """

    def __init__(
        self, decoder: Decoder, signals: Mapping[int, Sequence[Key]] | None = None, started_at: float = 0.0
    ) -> None:
        self._decoder = decoder
        self._signals = dict(signals or {})
        self._started_at = started_at
        self._seen: dict[int, _NodeSeen] = {}

    # --- frames in ---

    def feed(self, frame: Frame, now: float) -> None:
        """Take a frame that came at ``now``."""
        for record in self._decoder.feed(frame):
            if record.node is not None:
                self._take(record, self._node(record.node), now)

    def _take(self, record: Record, seen: _NodeSeen, now: float) -> None:
        service = record.service
        if service == "boot-up":
            seen.pds.clear()
        elif service == "emcy":
            seen.emcy = _code(record), record.text, now
            seen.emcy_count += 1
        elif service.startswith("sdo"):
            self._transfer(record, seen)
        if record.index is not None and record.raw is not None and record.status == "ok" and service in _VALUES:
            self._value(record, seen, now)

    def _transfer(self, record: Record, seen: _NodeSeen) -> None:
        if record.status == "unanswered" or record.abort_code == SdoAbortCode.TIMED_OUT:
            seen.unanswered += 1
            return
        seen.aborts += record.status == "aborted"
        if record.response_ns is not None and record.response_ns >= 0:
            least = seen.response_min_ns
            seen.response_min_ns = record.response_ns if least is None else min(least, record.response_ns)
            seen.response_max_ns = max(seen.response_max_ns, record.response_ns)

    def _value(self, record: Record, seen: _NodeSeen, now: float) -> None:
        index, subindex = record.index or 0, record.subindex or 0
        if index in _AXES and index & 0x7FF == _STATUSWORD and record.state is not None:
            seen.pds[axis_of(index)] = PdsState[record.state]
        if (index, subindex) in self._signals.get(record.node or 0, ()):
            seen.values[index, subindex] = record, now
            seen.problems.pop((index, subindex), None)

    def problem(self, node_id: int, key: Key, text: str) -> None:
        """Asking the node for this object brought nothing, for this reason."""
        self._node(node_id).problems[key] = text

    def last_value_at(self, node_id: int, key: Key) -> float | None:
        """When the last PDO or SDO transfer of somebody had it."""
        found = self._node(node_id).values.get(key)
        return None if found is None else found[1]

    def _node(self, node_id: int) -> _NodeSeen:
        seen = self._seen.get(node_id)
        if seen is None:
            seen = self._seen[node_id] = _NodeSeen(rates=deque([(self._started_at, 0)]))
        return seen

    # --- the picture ---

    def nodes(self, now: float, facts: Mapping[int, NodeFacts]) -> tuple[NodeShown, ...]:
        """Nodes in ``facts`` and those with chosen objects, by node-ID."""
        return tuple(self._shown(node_id, now, facts.get(node_id)) for node_id in sorted({*facts, *self._signals}))

    def _shown(self, node_id: int, now: float, known: NodeFacts | None) -> NodeShown:
        seen = self._node(node_id)
        known = known or NodeFacts()
        return NodeShown(
            node_id=node_id,
            name=known.name,
            heard=known.frames > 0,
            nmt=known.nmt,
            pds=tuple(sorted(seen.pds.items())),
            heartbeat=known.heartbeat,
            losses=known.losses,
            lost_s=known.lost_s,
            boot_ups=known.boot_ups,
            sdo=known.sdo or _responses(seen),
            unanswered=seen.unanswered,
            aborts=seen.aborts,
            frames_per_s=_rate(seen.rates, now, known.frames),
            emcy=_emcy(seen, now),
            signals=tuple(self._signal(node_id, seen, key, now) for key in self._signals.get(node_id, ())),
        )

    def _signal(self, node_id: int, seen: _NodeSeen, key: Key, now: float) -> SignalShown:
        record, at = seen.values.get(key, (None, now))
        name = record.name if record is not None else self._name(node_id, key)
        return SignalShown(*key, name, record, max(now - at, 0.0), seen.problems.get(key, ""))

    def _name(self, node_id: int, key: Key) -> str | None:
        """What the object is called, from the dictionary that the traffic or the user gave the node."""
        return self._decoder.bus(None).node(node_id).describe(*key).name


def _code(record: Record) -> int:
    code = record.details.get("code", 0)
    return code if isinstance(code, int) else 0


def _emcy(seen: _NodeSeen, now: float) -> EmcyShown | None:
    if seen.emcy is None:
        return None
    code, text, at = seen.emcy
    return EmcyShown(code, text, max(now - at, 0.0), seen.emcy_count)


def _responses(seen: _NodeSeen) -> Range | None:
    """Of transfers of other masters, too."""
    least = seen.response_min_ns
    return None if least is None else Range(least / 1e6, seen.response_max_ns / 1e6)


def _rate(rates: deque[tuple[float, int]], now: float, frames: int) -> float:
    """Frames per second, from the counts of the pictures of the last second and the one before them."""
    rates.append((now, frames))
    while len(rates) > 2 and rates[1][0] <= now - _WINDOW_S:
        rates.popleft()
    since, before = rates[0]
    return (frames - before) / (now - since) if now > since else 0.0
