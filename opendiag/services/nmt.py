"""NMT as tables, and both ends of it: who may say what in which state, the slave, and what a master awaits.

Not here: the messages (`opendiag.wire.nmt`) and how a node tells its state (`heartbeat`, `guarding`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.wire.cob_id import Service
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtMessage, NmtState

_EVENTS_KEPT = 1000

#: The state that each command leads to. INITIALISING ends by itself in PRE_OPERATIONAL, with the boot-up message.
_LEADS_TO = {
    NmtCommand.START: NmtState.OPERATIONAL,
    NmtCommand.STOP: NmtState.STOPPED,
    NmtCommand.ENTER_PRE_OPERATIONAL: NmtState.PRE_OPERATIONAL,
    NmtCommand.RESET_NODE: NmtState.INITIALISING,
    NmtCommand.RESET_COMMUNICATION: NmtState.INITIALISING,
}
_LISTENING = (NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL, NmtState.STOPPED)

#: (state, command) -> next state (CiA 301). What is not in it changes nothing: a node that initialises hears nothing.
TRANSITIONS: Mapping[tuple[NmtState, NmtCommand], NmtState] = MappingProxyType(
    {(state, command): after for state in _LISTENING for command, after in _LEADS_TO.items()}
)
#: Command -> the state that the node tells next, when all goes well.
TOLD_AFTER: Mapping[NmtCommand, NmtState] = MappingProxyType(
    {
        command: NmtState.PRE_OPERATIONAL if after is NmtState.INITIALISING else after
        for command, after in _LEADS_TO.items()
    }
)

_ALWAYS = frozenset({Service.NMT, Service.ERROR_CONTROL, Service.LSS_REQUEST, Service.LSS_RESPONSE})
_CONFIGURING = _ALWAYS | {Service.SDO_REQUEST, Service.SDO_RESPONSE, Service.SYNC, Service.TIME, Service.EMCY}
#: State -> services that are at work (CiA 301). INITIALISING: none, its end sends the boot-up message.
MAY: Mapping[NmtState, frozenset[Service]] = MappingProxyType(
    {
        NmtState.INITIALISING: frozenset(),
        NmtState.STOPPED: _ALWAYS,
        NmtState.PRE_OPERATIONAL: _CONFIGURING,
        NmtState.OPERATIONAL: _CONFIGURING | {Service.TPDO, Service.RPDO},
    }
)
#: Number of an error behaviour in 1029h -> state -> state after it (CiA 301). What is not in it stays as it is.
ERROR_BEHAVIOUR: Mapping[int, Mapping[NmtState, NmtState]] = MappingProxyType(
    {
        0: {NmtState.OPERATIONAL: NmtState.PRE_OPERATIONAL},
        1: {},
        2: {NmtState.OPERATIONAL: NmtState.STOPPED, NmtState.PRE_OPERATIONAL: NmtState.STOPPED},
    }
)


@dataclass(frozen=True, slots=True)
class NmtChanged:
    """The node itself has entered the state. INITIALISING: it was reset or switched off."""

    node_id: int
    at: float
    state: NmtState


def command_frame(command: NmtCommand, node_id: int = ALL_NODES) -> Frame:
    """Raise WireError for a node-ID outside 0..127."""
    return Frame(0x000, NmtMessage(command, node_id).encode())


def boot_up_frame(node_id: int) -> Frame:
    """What a node sends once, when it enters PRE_OPERATIONAL after a reset."""
    return Frame(0x700 + node_id, ErrorControl(NmtState.INITIALISING).encode())


class NmtSlave:
    """The state of one node. It begins INITIALISING; `boot` starts the ``boot_s`` seconds until the boot-up message.

    A machine, except that the device decides what its resets do: `command` tells which one a frame is, the device
    does its own part, and `obey` takes the step. A device without a part of its own uses `receive`. ``boot_up``: the
    frames to say boot-up with, where they are not the one of CiA 301. Raise ValueError for a node-ID outside 1..127.
    """

    def __init__(self, node_id: int, boot_s: float = 0.0, *, boot_up: Sequence[Frame] | None = None) -> None:
        if not 1 <= node_id <= 127:
            raise ValueError(f"node-ID {node_id} is outside 1..127")
        self.node_id = node_id
        self.boot_s = boot_s
        self.state = NmtState.INITIALISING
        self.malformed = 0
        self._boot_up = [boot_up_frame(node_id)] if boot_up is None else list(boot_up)
        self._boots_at: float | None = None
        self._frames: list[Frame] = []
        self._events: deque[NmtChanged] = deque(maxlen=_EVENTS_KEPT)

    def may(self, service: Service) -> bool:
        """Is this service at work in the state as it is?"""
        return service in MAY[self.state]

    def command(self, frame: Frame) -> NmtCommand | None:
        """The command that this frame has for this node. One that cannot be read is counted in ``malformed``."""
        if frame.can_id or frame.extended or frame.remote or frame.error or frame.fd:
            return None
        try:
            message = NmtMessage.decode(frame.data)
        except WireError:
            self.malformed += 1
            return None
        return message.command if message.node_id in (ALL_NODES, self.node_id) else None

    def obey(self, command: NmtCommand, now: float) -> None:
        """Take the step of the table, if there is one."""
        after = TRANSITIONS.get((self.state, command))
        if after is not None:
            self.enter(after, now)
        if after is NmtState.INITIALISING:
            self.boot(now)

    def boot(self, now: float) -> None:
        """Power is there, or a reset is done: boot-up and PRE_OPERATIONAL come ``boot_s`` later, in `tick`."""
        self._boots_at = now + self.boot_s

    def enter(self, state: NmtState, now: float) -> None:
        """Change the state without a command: error behaviour, self-starting node, power gone."""
        self._boots_at = None
        if state is not self.state:
            self.state = state
            self._events.append(NmtChanged(self.node_id, now, state))

    def react(self, behaviour: int, now: float) -> None:
        """Do what the error behaviour of 1029h asks for. A number that CiA 301 does not have changes nothing."""
        after = ERROR_BEHAVIOUR.get(behaviour, {}).get(self.state)
        if after is not None:
            self.enter(after, now)

    def receive(self, frame: Frame, now: float) -> None:
        command = self.command(frame)
        if command is not None:
            self.obey(command, now)
            self.tick(now)

    def tick(self, now: float) -> None:
        if self._boots_at is None or now < self._boots_at:
            return
        self._frames += self._boot_up
        self.enter(NmtState.PRE_OPERATIONAL, now)

    def deadline(self) -> float | None:
        return self._boots_at

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[NmtChanged]:
        events = list(self._events)
        self._events.clear()
        return events
