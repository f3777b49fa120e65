"""What was heard of one CAN-ID, and of one node. Times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from opendiag.frame import Frame
from opendiag.wire.cob_id import Connection, Service
from opendiag.wire.emcy import Emcy
from opendiag.wire.nmt import NmtCommand, NmtState

#: Called for each frame of this CAN-ID.
Action = Callable[["CanIdSeen", Frame, float], None]

#: What only the node itself sends.
FROM_NODE = (Service.ERROR_CONTROL, Service.SDO_RESPONSE, Service.EMCY, Service.TPDO)
_KEPT_BOOT_UPS = 16


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
    max_s: float = 0.0
    last_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more answer."""
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
    """One node. ``state`` is the one it told last itself; a boot-up tells INITIALISING."""

    node_id: int
    can_ids: list[CanIdSeen] = field(default_factory=list)
    state: NmtState | None = None
    state_at: float = 0.0
    beat_at: float | None = None
    #: Between the last three heartbeats.
    gaps: tuple[float, ...] = ()
    boot_ups: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_BOOT_UPS))
    boot_up_count: int = 0
    emcy: Emcy | None = None
    emcy_at: float = 0.0
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
    def heartbeat_s(self) -> float | None:
        """How long it takes from one to the next; None before there were two. A change of state may send one early."""
        return max(self.gaps, default=None)

    def error_control(self, data: bytes, now: float) -> None:
        """A boot-up, a heartbeat or the answer to node guarding; anything else is left alone."""
        if len(data) != 1:
            return
        value = data[0]
        if value == 0:
            self.boot_ups.append(now)
            self.boot_up_count += 1
            self.state, self.state_at = NmtState.INITIALISING, now
            self.beat_at, self.gaps = None, ()
            return
        if not value & 0x7F:
            return
        if self.state is None or value & 0x7F != self.state:
            try:
                self.state = NmtState(value & 0x7F)
            except ValueError:
                return
        if self.beat_at is not None:
            self.gaps = (*self.gaps[-1:], now - self.beat_at)
        self.beat_at = self.state_at = now

    def booted_since(self, since: float) -> float | None:
        """When it last booted, if that was after ``since``."""
        return self.boot_ups[-1] if self.boot_ups and self.boot_ups[-1] > since else None
