"""Heartbeat, both ends: sending one's own state (1017h), and noticing that another node has fallen silent (1016h).

Node guarding shares the CAN-ID: its answers tell a state, but they are no heartbeats (`guarding`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.periods import Periods, elapsed_s
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import NmtState

_BASE = 0x700
_EVENTS_KEPT = 10_000
_LEARNED_FROM = 2  # intervals, that is three heartbeats
#: A learned consumer time leaves room for one lost heartbeat, and for a host that reads late.
_LEARNED_FACTOR, _HOST_S = 2.0, 0.1
#: 1017h holds no longer one. Who was silent for longer was away.
_LONGEST_PERIOD_S = 65.535
#: As CiA 301 has it, and as it was said before that.
_BOOT_UPS = (b"\0", b"")

By = Literal["heartbeat", "guarding"]


@dataclass(frozen=True, slots=True)
class BootedUp:
    """The node has sent its boot-up message: it was switched on or reset, and is PRE_OPERATIONAL now."""

    node_id: int
    at: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The node has told another NMT state than before (None: it had told none)."""

    node_id: int
    at: float
    state: NmtState
    before: NmtState | None


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The node was silent for ``allowed_s`` since ``last_heard`` (None: never heard, only guarding can tell that)."""

    node_id: int
    at: float
    last_heard: float | None
    allowed_s: float
    by: By


@dataclass(frozen=True, slots=True)
class NodeFound:
    """A lost node is heard again. ``gap_s`` since it was heard before; ``losses`` so far: flapping shows there."""

    node_id: int
    at: float
    gap_s: float
    losses: int
    by: By


@dataclass(frozen=True, slots=True)
class ErrorControlMalformed:
    """A frame on the node's error control CAN-ID that CiA 301 does not have; it counts as no sign of life."""

    node_id: int
    at: float
    data: bytes
    reason: str


HeartbeatEvent = BootedUp | StateChanged | NodeLost | NodeFound | ErrorControlMalformed


def told(data: bytes) -> ErrorControl:
    """What a node tells. Raise WireError for what none can: another length or state, or 80h, boot-up with a toggle."""
    message = ErrorControl.decode(data)
    if message.toggle and message.state is NmtState.INITIALISING:
        raise WireError("80h is boot-up with a toggle bit, which no node can tell", data)
    return message


class HeartbeatProducer:
    """Sends ``state`` every ``period_s`` seconds (0: never) from `start` on. Boot-up counts as the first one."""

    def __init__(self, can_id: int, period_s: float = 0.0, state: NmtState = NmtState.PRE_OPERATIONAL) -> None:
        self.can_id = can_id
        self.period_s = period_s
        self.state = state
        self._next: float | None = None
        self._frames: list[Frame] = []

    def start(self, now: float, *, at_once: bool = False) -> None:
        """The first one comes after a period, or ``at_once``."""
        self._next = (now if at_once else now + self.period_s) if self.period_s > 0 else None

    def stop(self) -> None:
        """Fall silent until `start`."""
        self._next = None

    def configure(self, period_s: float, now: float) -> None:
        """Another period, from now on."""
        self.period_s = period_s
        self.start(now)

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing on the bus concerns a producer."""

    def tick(self, now: float) -> None:
        """One that is long overdue is sent once."""
        if self._next is None or now < self._next:
            return
        self._next += self.period_s
        if self._next <= now:
            self._next = now + self.period_s
        self._frames.append(Frame(self.can_id, ErrorControl(self.state).encode()))

    def deadline(self) -> float | None:
        return self._next

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[HeartbeatEvent]:
        return []


@dataclass(slots=True, eq=False)
class NodeLife:
    """What one node has told about itself. Times are seconds on the clock of the machine.

    ``state`` is what it told last; a boot-up message says PRE_OPERATIONAL. ``count`` heartbeats and ``last_heard``
    go without guarding answers. ``last_heard`` is when it was read, ``last_ns`` the adapter's time if it has one.
    ``periods`` are those between two heartbeats since the last boot-up, by the adapter's times, without the gaps in
    which the node was lost; a node may send one early when its state changes. ``learned``: the consumer time comes
    from the ``latest`` of them. ``toggled`` is bit 7 of what came last after a remote frame. ``beating``: `last_heard`
    was a heartbeat, not a boot-up. ``booted_at``: the last boot-up that was heard.
    """

    node_id: int
    state: NmtState | None = None
    last_heard: float | None = None
    last_ns: int | None = None
    beating: bool = False
    toggled: bool | None = None
    count: int = 0
    boot_ups: int = 0
    booted_at: float | None = None
    lost: bool = False
    losses: int = 0
    lost_at: float | None = None
    malformed: int = 0
    supervised: bool = False
    learned: bool = False
    consumer_time_s: float | None = None
    periods: Periods = field(default_factory=Periods)
    latest: deque[float] = field(default_factory=lambda: deque(maxlen=_LEARNED_FROM))

    @property
    def period_s(self) -> float | None:
        """Mean; None before two heartbeats, like the others."""
        return self.periods.mean_s

    @property
    def period_min_s(self) -> float | None:
        return self.periods.min_s

    @property
    def period_max_s(self) -> float | None:
        return self.periods.max_s

    @property
    def jitter_s(self) -> float | None:
        return self.periods.jitter_s

    @property
    def due(self) -> float | None:
        """When it will be lost if it stays silent; None: not supervised yet, or lost already."""
        if not self.supervised or self.lost or self.last_heard is None or self.consumer_time_s is None:
            return None
        return self.last_heard + self.consumer_time_s

    def learn(self) -> None:
        """Take the consumer time from the latest periods, if it is to be learned and there are enough."""
        if self.learned and len(self.latest) == _LEARNED_FROM:
            self.consumer_time_s = _learned(max(self.latest))


def _learned(period_s: float) -> float:
    return max(_LEARNED_FACTOR * period_s, period_s + _HOST_S)


class HeartbeatConsumer:
    """Keeps what every node tells, and says when a supervised one falls silent and when it is back.

    A machine. ``nodes`` holds all that were heard or are supervised. Feed it the remote frames of node guarding too,
    own ones included: the answer that follows one is then not taken for a heartbeat.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, NodeLife] = {}
        self._asked: set[int] = set()
        self._events: deque[HeartbeatEvent] = deque(maxlen=_EVENTS_KEPT)
        self._changed = False
        self._soonest: float | None = None

    def supervise(self, node_id: int, consumer_time_s: float | None = None) -> NodeLife:
        """Report the node lost when it is silent for so long.

        It begins with the node's first heartbeat or boot-up; for a node that is heard already, with the last one.
        None: the time is learned from three heartbeats: twice the period, and 0.1 s more than it at least.
        Raise ValueError for a node-ID outside 1..127 or a time that is not positive.
        """
        if not 1 <= node_id <= 127:
            raise ValueError(f"node-ID {node_id} is outside 1..127")
        if consumer_time_s is not None and not consumer_time_s > 0:
            raise ValueError(f"consumer time {consumer_time_s} s of node {node_id} is not positive")
        life = self._node(node_id)
        life.supervised, life.learned, life.lost = True, consumer_time_s is None, False
        life.consumer_time_s = consumer_time_s
        life.learn()
        self._changed = True
        return life

    def forget(self, node_id: int) -> None:
        """End the supervision, and drop what is known of the node."""
        self.nodes.pop(node_id, None)
        self._asked.discard(node_id)
        self._changed = True

    def receive(self, frame: Frame, now: float) -> None:
        node_id = frame.can_id & 0x7F
        function = frame.can_id - node_id
        if function not in (_BASE, 0x80) or not node_id or frame.extended or frame.error or frame.fd:
            return
        if function == _BASE and frame.remote:
            self._asked.add(node_id)
        elif function == _BASE:
            self._error_control(self._node(node_id), frame, now)
        elif not frame.data and not frame.remote:  # how boot-up was said before CiA 301 had a message for it
            self._boot_up(self._node(node_id), frame, now)

    def _node(self, node_id: int) -> NodeLife:
        life = self.nodes.get(node_id)
        if life is None:
            life = self.nodes[node_id] = NodeLife(node_id)
        return life

    def _error_control(self, life: NodeLife, frame: Frame, now: float) -> None:
        try:
            message = told(frame.data)
        except WireError as error:
            life.malformed += 1
            self._events.append(ErrorControlMalformed(life.node_id, now, frame.data, error.reason))
            return
        guarded = life.node_id in self._asked
        self._asked.discard(life.node_id)
        if message.is_boot_up:
            self._boot_up(life, frame, now)
            return
        # A node that does not answer remote frames, but has a heartbeat, never sets the toggle bit.
        answers = message.toggle or (guarded and life.toggled is not False)
        if guarded or message.toggle:
            life.toggled = message.toggle
        if not answers:
            self._heartbeat(life, frame, now)
        self._state(life, message.state, now)

    def _boot_up(self, life: NodeLife, frame: Frame, now: float) -> None:
        self._heard(life, frame, now)
        life.boot_ups += 1
        life.booted_at = now
        life.beating = False
        life.toggled = None
        life.periods = Periods()
        life.latest.clear()
        self._events.append(BootedUp(life.node_id, now))
        self._state(life, NmtState.PRE_OPERATIONAL, now)

    def _heartbeat(self, life: NodeLife, frame: Frame, now: float) -> None:
        before, lost = life.last_heard, life.lost
        life.count += 1
        if life.beating and before is not None and not lost:
            period_s = elapsed_s(life.last_ns, frame.time_ns, now - before)
            life.periods.add(period_s)
            life.latest.append(period_s)
            life.learn()
        self._heard(life, frame, now)
        life.beating = True

    def _heard(self, life: NodeLife, frame: Frame, now: float) -> None:
        if life.lost:
            gap_s = now - (life.last_heard if life.last_heard is not None else now)
            life.lost = False
            life.latest.clear()
            if life.learned and frame.data not in _BOOT_UPS:  # it may send more slowly now: three heartbeats will tell
                life.consumer_time_s = max(life.consumer_time_s or 0.0, _learned(min(gap_s, _LONGEST_PERIOD_S)))
            self._events.append(NodeFound(life.node_id, now, gap_s, life.losses, "heartbeat"))
        life.last_heard, life.last_ns = now, frame.time_ns
        self._changed = True

    def _state(self, life: NodeLife, state: NmtState, now: float) -> None:
        if state is not life.state:
            before, life.state = life.state, state
            self._events.append(StateChanged(life.node_id, now, state, before))

    def tick(self, now: float) -> None:
        due = self.deadline()
        if due is None or now < due:
            return
        for life in self.nodes.values():
            if life.due is not None and now >= life.due:
                self._lose(life, now)
        self._changed = True

    def _lose(self, life: NodeLife, now: float) -> None:
        life.lost, life.lost_at = True, now
        life.losses += 1
        self._events.append(NodeLost(life.node_id, now, life.last_heard, life.consumer_time_s or 0.0, "heartbeat"))

    def deadline(self) -> float | None:
        if self._changed:
            times = (life.due for life in self.nodes.values())
            self._soonest = min((time for time in times if time is not None), default=None)
            self._changed = False
        return self._soonest

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[HeartbeatEvent]:
        events = list(self._events)
        self._events.clear()
        return events
