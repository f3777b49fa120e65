"""NMT of one node, or of all: commands, what the nodes tell about themselves, and their supervision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from opendiag.errors import NmtStateNotReached, WireError
from opendiag.frame import Frame
from opendiag.services.guarding import GuardedNode
from opendiag.services.heartbeat import NodeLife, StateChanged
from opendiag.services.heartbeat import told as decode
from opendiag.services.nmt import TOLD_AFTER, command_frame
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtState

if TYPE_CHECKING:
    from opendiag.master.network import Network

#: How long a node may take from a reset to its boot-up message.
BOOT_S = 5.0
_RESETS = (NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION)


class _Told:
    """What nodes tell after a command, until all have told what was awaited. A machine of the pump."""

    def __init__(self, command: NmtCommand, node_ids: Iterable[int]) -> None:
        self.expected = TOLD_AFTER[command]
        self._boot_up = command in _RESETS
        self.missing: dict[int, NmtState | None] = dict.fromkeys(node_ids)

    @property
    def done(self) -> bool:
        return not self.missing

    def receive(self, frame: Frame, now: float) -> None:
        node_id = frame.can_id & 0x7F
        if frame.remote or frame.fd or node_id not in self.missing:
            return
        if frame.can_id < 0x700:  # how boot-up was said before CiA 301 had a message for it
            if self._boot_up and not frame.data:
                del self.missing[node_id]
            return
        try:
            told = decode(frame.data)
        except WireError:
            return
        if told.is_boot_up if self._boot_up else told.state is self.expected:
            del self.missing[node_id]
        else:
            self.missing[node_id] = NmtState.PRE_OPERATIONAL if told.is_boot_up else told.state

    def tick(self, now: float) -> None:
        """Nothing here depends on time."""

    def deadline(self) -> float | None:
        return None

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[object]:
        return []


class _Commands:
    """The five commands, to one node or to all (``_node_id`` 0).

    With ``confirm`` each waits until every node that tells its state, by heartbeat or because it is guarded, has told
    the new one; of a node that does neither nothing can be awaited. A reset waits for the boot-up message. Without
    ``timeout_s`` that is as long as two heartbeats take, or 5 s for a reset.

    Raise NmtStateNotReached, AdapterError, BlockingCall.
    """

    def __init__(self, network: Network, node_id: int) -> None:
        self._network = network
        self._node_id = node_id

    def start(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """To OPERATIONAL: PDOs are exchanged."""
        self._command(NmtCommand.START, confirm, timeout_s)

    def stop(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """To STOPPED: nothing works any more but NMT, and error control."""
        self._command(NmtCommand.STOP, confirm, timeout_s)

    def pre_operational(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """To PRE_OPERATIONAL: SDOs work, PDOs do not."""
        self._command(NmtCommand.ENTER_PRE_OPERATIONAL, confirm, timeout_s)

    def reset(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As if power had gone and come back."""
        self._command(NmtCommand.RESET_NODE, confirm, timeout_s)

    def reset_communication(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """The objects 1000h..1FFFh go back to what is stored, and the node boots."""
        self._command(NmtCommand.RESET_COMMUNICATION, confirm, timeout_s)

    def _command(self, command: NmtCommand, confirm: bool, timeout_s: float | None) -> None:
        network, pump = self._network, self._network.pump
        with pump.lock:
            awaited = self._awaited(command) if confirm else []
            told = _Told(command, awaited)
        if awaited:
            pump.check_may_wait("waiting for the state that a node tells")
        try:
            with pump.lock:  # nothing is heard between the command and the listening
                pump.check_open()
                now = pump.catch_up()
                for node_id in awaited:
                    pump.add(told, 0x700 + node_id)
                    pump.add(told, 0x80 + node_id)
                pump.send(command_frame(command, self._node_id), now)
            network.dispatcher.run_posted()
            wait_s = self._patience(command, awaited) if timeout_s is None else timeout_s
            if awaited and not pump.wait(told, now + wait_s):
                raise NmtStateNotReached(command.text, told.expected.text, _texts(told.missing), wait_s)
        finally:
            pump.remove(told)

    def _awaited(self, command: NmtCommand) -> list[int]:
        raise NotImplementedError

    def _tells(self, node_id: int) -> bool:
        """By itself, or asked by us."""
        monitor = self._network.monitor
        life, guarded = monitor.heartbeats.nodes.get(node_id), monitor.guarding.nodes.get(node_id)
        beats = life is not None and not life.lost and life.period_s is not None and life.supervised
        return beats or (guarded is not None and not guarded.lost)

    def _patience(self, command: NmtCommand, node_ids: Iterable[int]) -> float:
        if command in _RESETS:
            return BOOT_S
        monitor, periods = self._network.monitor, [0.0]
        for node_id in node_ids:
            life, guarded = monitor.heartbeats.nodes.get(node_id), monitor.guarding.nodes.get(node_id)
            periods.append(guarded.guard_time_s if guarded is not None else (life and life.period_max_s) or 0.0)
        return 2 * max(periods) + self._network.timeout_s


class NodeNmt(_Commands):
    """Made by `Node.nmt`."""

    @property
    def life(self) -> NodeLife | None:
        """What the node has told so far: its state, when, how regularly, and whether it is lost. None: nothing."""
        return self._network.monitor.heartbeats.nodes.get(self._node_id)

    @property
    def guarded(self) -> GuardedNode | None:
        """How guarding goes, while `guard` is on."""
        return self._network.monitor.guarding.nodes.get(self._node_id)

    @property
    def state(self) -> NmtState | None:
        """The one it told last; None: it told none. A lost node keeps it: see `lost`."""
        return None if self.life is None else self.life.state

    @property
    def lost(self) -> bool:
        """It is supervised or guarded, and has fallen silent."""
        return any(one is not None and one.lost for one in (self.life, self.guarded))

    def wait_for(self, state: NmtState, timeout_s: float) -> None:
        """Until the node has told this state last. Raise NmtStateNotReached, AdapterError, BlockingCall."""
        network, until = self._network, self._network.clock.now() + timeout_s
        network.pump.check_may_wait("waiting for the state that a node tells")
        with network.events(StateChanged, node_id=self._node_id) as events:
            while self.state is not state:
                if events.get(max(until - network.clock.now(), 0.0)) is None and self.state is not state:
                    raise NmtStateNotReached("", state.text, _texts({self._node_id: self.state}), timeout_s)

    def supervise(self, consumer_time_s: float | None = None) -> NodeLife:
        """Report the node lost (`NodeLost`) when its heartbeat stays out for so long; it is by default.

        None: as 1016h of another node or twice 1017h says, if these were read or written through here, else learned
        from the node. Raise ValueError for a time that is not positive.
        """
        return self._network.monitor.supervise(self._node_id, consumer_time_s)

    def unsupervise(self) -> None:
        """Do not report it lost any more."""
        self._network.monitor.unsupervise(self._node_id)

    def guard(self, guard_time_s: float, life_time_factor: int = 3) -> GuardedNode:
        """Ask the node for its state every so often: node guarding, for a node without heartbeat.

        Raise ValueError for a time that is not positive or a factor outside 1..255, AdapterError.
        """
        return self._network.monitor.guard(self._node_id, guard_time_s, life_time_factor)

    def unguard(self) -> None:
        """Ask no more."""
        self._network.monitor.unguard(self._node_id)

    def _awaited(self, command: NmtCommand) -> list[int]:
        return [self._node_id] if command in _RESETS or self._tells(self._node_id) else []

    def __repr__(self) -> str:
        return f"<NMT of node {self._node_id}: {self.state.text if self.state is not None else 'state not known'}>"


class NetworkNmt(_Commands):
    """Made by `Network.nmt`: one command for all nodes."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, ALL_NODES)

    @property
    def states(self) -> dict[int, NmtState]:
        """By node-ID, of those that have told one."""
        nodes = sorted(self._network.monitor.heartbeats.nodes.items())
        return {node_id: life.state for node_id, life in nodes if life.state is not None}

    def _awaited(self, command: NmtCommand) -> list[int]:
        monitor = self._network.monitor
        known = {*monitor.heartbeats.nodes, *monitor.guarding.nodes}
        if command in _RESETS:
            lives = monitor.heartbeats.nodes
            return sorted(n for n in known if n in lives and lives[n].state is not None and not lives[n].lost)
        return sorted(node_id for node_id in known if self._tells(node_id))


def _texts(states: dict[int, NmtState | None]) -> dict[int, str | None]:
    return {node_id: None if state is None else state.text for node_id, state in states.items()}
