"""NMT of one node, or of all: commands, what the nodes tell about themselves, and their supervision.

A command is confirmed by the state that a node tells after it. Of a node whose heartbeat was not heard yet, 1017h is
read to know how long that may take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from opendiag.errors import NmtStateNotReached, SdoAborted, SdoError, WireError
from opendiag.frame import Frame
from opendiag.master.arguments import nmt_state
from opendiag.master.transfers import PendingTransfer
from opendiag.services.guarding import GuardedNode
from opendiag.services.heartbeat import NodeFound, NodeLife, NodeLost, StateChanged
from opendiag.services.heartbeat import told as decode
from opendiag.services.nmt import TOLD_AFTER, command_frame
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtState

if TYPE_CHECKING:
    from opendiag.master.network import Network

#: How long a node may take from a reset to its boot-up message.
BOOT_S = 5.0
_RESETS = (NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION)
HEARTBEAT = 0x1017
#: A heartbeat of the period in 1017h is waited for so many periods, and a bit longer.
_PERIODS, _MARGIN_S = 1.5, 0.1


def heartbeat_wait_s(period_s: float) -> float:
    """How long the next heartbeat may take, by 1017h."""
    return _PERIODS * period_s + _MARGIN_S


def told_period(asked: PendingTransfer) -> float:
    """Seconds in 1017h, which was asked for; 0 where the device has no such object. Raise SdoError."""
    try:
        return int.from_bytes(asked.result()[:2], "little") / 1000
    except SdoAborted:
        return 0.0


def may_ask(command: NmtCommand) -> bool:
    """A node that was stopped answers no SDO, and one that is reset tells the end of it without a heartbeat."""
    return command not in (NmtCommand.STOP, *_RESETS)


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
    the new one after the command. 1017h is read of a node whose heartbeat was not heard: after the command, before it
    when the node is to stop. Of a node that has none nothing can be awaited. A reset waits for the boot-up message.
    Without ``timeout_s`` that is as long as two heartbeats take, 1.5 by 1017h, or 5 s for a reset. All nodes are those
    that have told a state or answered here.

    Raise NmtStateNotReached, also for a node that is lost; SdoTimeout of the one node that does not say whether it has
    a heartbeat, as one that is not there; AdapterError, BlockingCall. The command was sent, except with BlockingCall.
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
        pump = self._network.pump
        with pump.lock:
            awaited = self._awaited(command) if confirm else []
            unknown = [node_id for node_id in awaited if command not in _RESETS and self._wait_s(node_id) is None]
            told = _Told(command, awaited)
        if awaited:
            pump.check_may_wait("waiting for the state that a node tells")
        asked: dict[int, PendingTransfer] = {}
        try:
            if not may_ask(command):
                self._ask(unknown, asked)
                pump.wait(_Either(_Told(command, awaited), asked))
            now = self._send(command, told)
            if may_ask(command):
                self._ask(unknown, asked)
            self._confirm(command, told, asked, now, timeout_s)
        finally:
            pump.remove(told)
            for transfer in asked.values():
                transfer.cancel()

    def _send(self, command: NmtCommand, told: _Told) -> float:
        """Returns when that was."""
        network, pump = self._network, self._network.pump
        with pump.lock:  # nothing is heard between the command and the listening
            pump.check_open()
            now = pump.catch_up()
            for node_id in told.missing:
                pump.add(told, 0x700 + node_id)
                pump.add(told, 0x80 + node_id)
            pump.send(command_frame(command, self._node_id), now)
        network.dispatcher.run_posted()
        return now

    def _ask(self, unknown: Iterable[int], asked: dict[int, PendingTransfer]) -> None:
        for node_id in unknown:
            asked[node_id] = self._network[node_id].begin_upload(HEARTBEAT)

    def _confirm(
        self,
        command: NmtCommand,
        told: _Told,
        asked: Mapping[int, PendingTransfer],
        sent_at: float,
        timeout_s: float | None,
    ) -> None:
        pump = self._network.pump
        pump.wait(_Either(told, asked))
        waits, silent = [0.0], None
        for node_id in tuple(told.missing):
            transfer = asked.get(node_id)
            try:
                wait_s = self._wait_s(node_id) if transfer is None else heartbeat_wait_s(told_period(transfer))
            except SdoError as error:
                silent = error
                continue
            if transfer is not None and not told_period(transfer):
                told.missing.pop(node_id, None)
            waits.append(wait_s or 0.0)
        if silent is not None and self._node_id:
            raise silent
        wait_s = timeout_s if timeout_s is not None else BOOT_S if command in _RESETS else max(waits)
        if not pump.wait(told, sent_at + wait_s):
            raise NmtStateNotReached(command.text, told.expected.text, _texts(told.missing), wait_s) from silent

    def _awaited(self, command: NmtCommand) -> list[int]:
        raise NotImplementedError

    def _wait_s(self, node_id: int) -> float | None:
        """How long it may take to tell its state; None: nobody knows whether it tells one."""
        monitor, slack_s = self._network.monitor, self._network.timeout_s
        life, guarded = monitor.heartbeats.nodes.get(node_id), monitor.guarding.nodes.get(node_id)
        if guarded is not None:
            return 2 * guarded.guard_time_s + slack_s
        period_s = monitor.period(node_id)
        if life is not None and life.period_max_s is not None and period_s != 0:
            return 2 * life.period_max_s + slack_s
        return heartbeat_wait_s(period_s) if period_s else None


class _Either:
    """Waited for: each node has told, or all that were asked have answered, or have not."""

    def __init__(self, told: _Told, asked: Mapping[int, PendingTransfer]) -> None:
        self._told = told
        self._asked = asked

    @property
    def done(self) -> bool:
        return self._told.done or all(transfer.done for transfer in self._asked.values())


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
        """The one it told last; None: it told none. A node that fell silent keeps it, while `lost` is True."""
        return None if self.life is None else self.life.state

    @property
    def lost(self) -> bool:
        """It is supervised or guarded, and has fallen silent."""
        return any(one is not None and one.lost for one in (self.life, self.guarded))

    def wait_for(self, state: NmtState | str, timeout_s: float) -> None:
        """Until the node has told this state last, and is not lost. Its name will do, as in "OPERATIONAL".

        Raise NmtStateNotReached, AdapterError, BlockingCall; ValueError, TypeError for what is no state.
        """
        state = nmt_state(state)
        network, until = self._network, self._network.clock.now() + timeout_s
        network.pump.check_may_wait("waiting for the state that a node tells")
        with network.events(StateChanged, NodeFound, NodeLost, node_id=self._node_id) as events:
            while self.lost or self.state is not state:
                rest_s = max(until - network.clock.now(), 0.0)
                if events.get(rest_s) is None and (self.lost or self.state is not state):
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

        Raise ValueError for a time that is not positive or a factor outside 1..255, AdapterError; ValueRefused for a
        node whose heartbeat is heard, or known by 1017h: it is supervised by that.
        """
        return self._network.monitor.guard(self._node_id, guard_time_s, life_time_factor)

    def unguard(self) -> None:
        """Ask no more."""
        self._network.monitor.unguard(self._node_id)

    def _awaited(self, command: NmtCommand) -> list[int]:
        if command not in _RESETS and self._node_id not in self._network.monitor.guarding.nodes:
            return [] if self._network.monitor.period(self._node_id) == 0 else [self._node_id]
        return [self._node_id]

    def __repr__(self) -> str:
        state = "state not known" if self.state is None else self.state.text
        return f"<NMT of node {self._node_id}: {'lost, was ' if self.lost else ''}{state}>"


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
        if command in _RESETS:
            lives = monitor.heartbeats.nodes.items()
            return sorted(node_id for node_id, life in lives if life.state is not None and not life.lost)
        guarded = set(monitor.guarding.nodes)
        return sorted(guarded | {node_id for node_id in monitor.heard if monitor.period(node_id) != 0})


def _texts(states: dict[int, NmtState | None]) -> dict[int, str | None]:
    return {node_id: None if state is None else state.text for node_id, state in states.items()}
