"""What was heard of one CAN-ID, and of one node. Times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from opendiag.frame import Frame
from opendiag.services.emcy import EmcyConsumer, EmcyReceived
from opendiag.services.heartbeat import HeartbeatConsumer, NodeLife
from opendiag.wire.cob_id import Connection, Service
from opendiag.wire.emcy import Emcy
from opendiag.wire.nmt import NmtCommand, NmtState

#: Called for each frame of this CAN-ID.
Action = Callable[["CanIdSeen", Frame, float], None]

#: What only the node itself sends.
FROM_NODE = (Service.ERROR_CONTROL, Service.SDO_RESPONSE, Service.EMCY, Service.TPDO)
_KEPT_BOOT_UPS = 16
_TOLD = frozenset(state for state in NmtState if state)


@dataclass(slots=True, eq=False)
class CanIdSeen:
    """``connection`` is what the predefined connection set, or a channel in use, makes of it."""

    can_id: int
    extended: bool
    connection: Connection
    action: Action | None = None
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def text(self) -> str:
        """3 or 8 hexadecimal digits and an h, as in "605h"."""
        return f"{self.can_id:08X}h" if self.extended else f"{self.can_id:03X}h"


@dataclass(slots=True)
class Latency:
    """From a request of ours to the first answer, in seconds."""

    count: int = 0
    total_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0
    last_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more answer."""
        self.min_s = min(self.min_s, seconds) if self.count else seconds
        self.count += 1
        self.total_s += seconds
        self.last_s = seconds
        self.max_s = max(self.max_s, seconds)

    @property
    def mean_s(self) -> float:
        """0.0 without an answer."""
        return self.total_s / self.count if self.count else 0.0


@dataclass(slots=True, eq=False)
class NodeHeard:
    """One node. ``state_at``: when it told its state last; ``boot_ups``: when it booted, the latest times."""

    node_id: int
    heartbeats: HeartbeatConsumer
    emergencies: EmcyConsumer
    can_ids: list[CanIdSeen] = field(default_factory=list)
    state_at: float = 0.0
    boot_ups: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_BOOT_UPS))
    #: The last NMT command for this node alone, and when.
    command: tuple[NmtCommand, float] | None = None

    @property
    def last(self) -> CanIdSeen | None:
        """The CAN-ID it was heard on last; None: never heard."""
        return max((seen for seen in self.can_ids if seen.count), key=lambda seen: seen.last_at, default=None)

    @property
    def last_at(self) -> float | None:
        """When it was heard last, on any service."""
        last = self.last
        return None if last is None else last.last_at

    @property
    def service(self) -> str:
        """What it was heard with last, as in "heartbeat, STOPPED" or "TPDO1"."""
        last = self.last
        if last is None:
            return "never heard"
        if last.connection.service is not Service.ERROR_CONTROL or self.state is None:
            return last.connection.label
        if self.state is NmtState.INITIALISING:
            return "boot-up"
        return f"heartbeat, {self.state.text}"

    @property
    def life(self) -> NodeLife | None:
        """What it told about itself; None: nothing."""
        return self.heartbeats.nodes.get(self.node_id)

    @property
    def state(self) -> NmtState | None:
        """The one it told last itself; a boot-up tells INITIALISING."""
        if self.boot_ups and self.boot_ups[-1] == self.state_at:
            return NmtState.INITIALISING
        return None if self.life is None else self.life.state

    @property
    def boot_up_count(self) -> int:
        return 0 if self.life is None else self.life.boot_ups

    @property
    def heartbeat_s(self) -> float | None:
        """How long it takes from one to the next; None before there were two. A change of state may send one early."""
        return None if self.life is None else max(self.life.latest, default=None)

    @property
    def last_emcy(self) -> EmcyReceived | None:
        """The last one that had an error code."""
        received = self.emergencies.received.get(self.node_id, ())
        return next((one for one in reversed(received) if one.emcy is not None), None)

    @property
    def emcy(self) -> Emcy | None:
        last = self.last_emcy
        return None if last is None else last.emcy

    @property
    def emcy_at(self) -> float:
        last = self.last_emcy
        return 0.0 if last is None else last.at

    def told(self, data: bytes, now: float) -> None:
        """A boot-up, a heartbeat or the answer to node guarding; anything else is left alone."""
        if data == b"\0":
            self.boot_ups.append(now)
            self.state_at = now
        elif len(data) == 1 and data[0] & 0x7F in _TOLD:
            self.state_at = now

    def booted_since(self, since: float) -> float | None:
        """When it last booted, if that was after ``since``."""
        return self.boot_ups[-1] if self.boot_ups and self.boot_ups[-1] > since else None
