"""Node guarding, both ends: the master asks each node with a remote frame, the node answers and watches the asking.

The answer's bit 7 toggles and is clear in the first answer after boot-up. Life time = guard time x life time factor
(100Ch, 100Dh). A node with a heartbeat is not guarded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.heartbeat import By, ErrorControlMalformed, NodeFound, NodeLost, StateChanged, told
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import NmtState

_BASE = 0x700
_BY: By = "guarding"
_EVENTS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class ToggleError:
    """An answer repeated the toggle bit of the one before. CiA 301 has it taken for no answer."""

    node_id: int
    at: float
    expected: bool


@dataclass(frozen=True, slots=True)
class MasterLost:
    """Life guarding of this node: nobody has asked it for its life time."""

    node_id: int
    at: float
    last_asked: float
    allowed_s: float


@dataclass(frozen=True, slots=True)
class MasterFound:
    """Somebody asks again, after ``gap_s``."""

    node_id: int
    at: float
    gap_s: float


MasterEvent = StateChanged | NodeLost | NodeFound | ToggleError | ErrorControlMalformed


@dataclass(slots=True, eq=False)
class GuardedNode:
    """``state`` as it was answered last. ``asked`` and ``answered`` count; ``toggle_errors`` are no answers.

    ``toggle`` is what bit 7 of the next answer must be, None: anything; ``next_at`` when it is asked again; its life
    time runs from ``since``; ``open_at`` is when the first question was asked that is not answered.
    """

    node_id: int
    guard_time_s: float
    life_time_factor: int
    state: NmtState | None = None
    last_heard: float | None = None
    asked: int = 0
    answered: int = 0
    toggle_errors: int = 0
    lost: bool = False
    losses: int = 0
    lost_at: float | None = None
    toggle: bool | None = None
    next_at: float | None = None
    since: float | None = None
    open_at: float | None = None

    @property
    def life_time_s(self) -> float:
        """How long it may be silent."""
        return self.guard_time_s * self.life_time_factor

    @property
    def due(self) -> float | None:
        """When it will be lost without an answer; None: not asked yet, or lost already.

        Each question has a guard time to be answered: with a factor of 1 the life time is over when one is asked.
        """
        if self.lost or self.since is None:
            return None
        if self.life_time_factor > 1:
            return self.since + self.life_time_s
        asked_at = self.next_at if self.open_at is None else self.open_at
        return (self.since if asked_at is None else asked_at) + self.guard_time_s


class GuardingMaster:
    """Asks the nodes it is to `guard`, checks their toggle bit, and says when one stays silent for its life time.

    A machine. ``nodes`` are those that are guarded. Asking goes on when one is lost, so that its return is seen.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, GuardedNode] = {}
        self._frames: list[Frame] = []
        self._events: deque[MasterEvent] = deque(maxlen=_EVENTS_KEPT)

    def guard(self, node_id: int, guard_time_s: float, life_time_factor: int) -> GuardedNode:
        """Ask every ``guard_time_s``, at once for the first time.

        Raise ValueError for a node-ID outside 1..127, a time that is not positive or a factor outside 1..255.
        """
        if not 1 <= node_id <= 127:
            raise ValueError(f"node-ID {node_id} is outside 1..127")
        if not guard_time_s > 0 or not 1 <= life_time_factor <= 255:
            raise ValueError(f"node {node_id} cannot be guarded with {guard_time_s} s times {life_time_factor}")
        self.nodes[node_id] = GuardedNode(node_id, guard_time_s, life_time_factor)
        return self.nodes[node_id]

    def stop(self, node_id: int) -> None:
        """Ask this node no more."""
        self.nodes.pop(node_id, None)

    def receive(self, frame: Frame, now: float) -> None:
        node = self.nodes.get(frame.can_id - _BASE)
        if node is None or frame.extended or frame.remote or frame.error or frame.fd:
            return
        try:
            message = told(frame.data)
        except WireError as error:
            self._events.append(ErrorControlMalformed(node.node_id, now, frame.data, error.reason))
            return
        if message.is_boot_up:
            node.toggle = False
            self._state(node, NmtState.PRE_OPERATIONAL, now)
        elif node.toggle is not None and message.toggle != node.toggle:
            node.toggle_errors += 1
            self._events.append(ToggleError(node.node_id, now, node.toggle))
        else:
            self._answer(node, message, now)

    def _answer(self, node: GuardedNode, message: ErrorControl, now: float) -> None:
        before = node.last_heard if node.last_heard is not None else node.since
        node.toggle = not message.toggle
        node.answered += 1
        node.last_heard = node.since = now
        node.open_at = None
        if node.lost:
            node.lost = False
            gap_s = now - (now if before is None else before)
            self._events.append(NodeFound(node.node_id, now, gap_s, node.losses, _BY))
        self._state(node, message.state, now)

    def _state(self, node: GuardedNode, state: NmtState, now: float) -> None:
        if state is not node.state:
            before, node.state = node.state, state
            self._events.append(StateChanged(node.node_id, now, state, before))

    def tick(self, now: float) -> None:
        for node in self.nodes.values():
            if node.due is not None and now >= node.due:
                node.lost, node.lost_at, node.toggle = True, now, None
                node.losses += 1
                self._events.append(NodeLost(node.node_id, now, node.last_heard, node.life_time_s, _BY))
            if node.next_at is None or now >= node.next_at:
                self._ask(node, now)

    def _ask(self, node: GuardedNode, now: float) -> None:
        node.next_at = now + node.guard_time_s if node.next_at is None else node.next_at + node.guard_time_s
        if node.next_at <= now:
            node.next_at = now + node.guard_time_s
        if node.since is None:
            node.since = now
        if node.open_at is None:
            node.open_at = now
        node.asked += 1
        self._frames.append(Frame(_BASE + node.node_id, remote=True, dlc=1))

    def deadline(self) -> float | None:
        """For a node that was not asked yet: at once."""
        times = [node.next_at or 0.0 for node in self.nodes.values()]
        times += [node.due for node in self.nodes.values() if node.due is not None]
        return min(times, default=None)

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[MasterEvent]:
        events = list(self._events)
        self._events.clear()
        return events


class GuardingSlave:
    """Answers the master's remote frames with ``state``, and says when they stay out for the life time.

    A machine. Life guarding begins with the first remote frame; there is none while guard time or factor is 0.
    ``enabled`` False (a heartbeat is sent): remote frames are not answered.
    """

    def __init__(self, node_id: int, guard_time_s: float = 0.0, life_time_factor: int = 0) -> None:
        self.node_id = node_id
        self.state = NmtState.PRE_OPERATIONAL
        self.enabled = True
        self.guard_time_s = guard_time_s
        self.life_time_factor = life_time_factor
        self.lost = False
        self._toggle = False
        self._asked_at: float | None = None
        self._frames: list[Frame] = []
        self._events: deque[MasterLost | MasterFound] = deque(maxlen=_EVENTS_KEPT)

    @property
    def life_time_s(self) -> float:
        """0: no life guarding."""
        return self.guard_time_s * self.life_time_factor

    def reset(self) -> None:
        """The node has booted: the next answer has its toggle bit clear, life guarding waits to be asked."""
        self._toggle = self.lost = False
        self._asked_at = None

    def receive(self, frame: Frame, now: float) -> None:
        asked = frame.remote and frame.can_id == _BASE + self.node_id and not (frame.extended or frame.error)
        if not asked or not self.enabled:
            return
        if self.lost and self._asked_at is not None:
            self._events.append(MasterFound(self.node_id, now, now - self._asked_at))
        self.lost = False
        self._asked_at = now
        self._frames.append(Frame(_BASE + self.node_id, ErrorControl(self.state, self._toggle).encode()))
        self._toggle = not self._toggle

    def tick(self, now: float) -> None:
        due = self.deadline()
        if due is not None and now >= due:
            self.lost = True
            self._events.append(MasterLost(self.node_id, now, self._asked_at or 0.0, self.life_time_s))

    def deadline(self) -> float | None:
        if self.lost or not self.enabled or self._asked_at is None or not self.life_time_s:
            return None
        return self._asked_at + self.life_time_s

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[MasterLost | MasterFound]:
        events = list(self._events)
        self._events.clear()
        return events
