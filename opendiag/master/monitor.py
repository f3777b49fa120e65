"""Watches the nodes of a bus by itself: heartbeats and their absence, guarding, EMCY, SYNC, and who was reset."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opendiag.decode.node_view import NodeView
from opendiag.errors import AdapterError, ValueRefused, WireError
from opendiag.frame import Frame
from opendiag.services.base import Machine
from opendiag.services.guarding import GuardedNode, GuardingMaster
from opendiag.services.heartbeat import BootedUp, ErrorControlMalformed, NodeLife, StateChanged
from opendiag.services.sync import SyncConsumer
from opendiag.services.time_stamp import TimeConsumer
from opendiag.wire.cob_id import CobId
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtMessage
from opendiag.wire.sync import MAX_COUNTER

if TYPE_CHECKING:
    from opendiag.dictionary.model import ObjectDictionary
    from opendiag.master.network import Network

_LOG = logging.getLogger("opendiag")
_ERROR_CONTROL, _EMCY = 0x700, 0x80
_NODES = range(1, 128)
#: A node that was told to reset may be silent for so long before it is reported lost.
RESTART_S = 5.0
#: Of a heartbeat's period (1017h): leaves room for one that is lost, and for a host that reads late.
_FACTOR, _HOST_S = 2.0, 0.1
_RESETS = (NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION)
DEVICE_TYPE, EMCY_COB_ID, CONSUMED, PRODUCED, IDENTITY = 0x1000, 0x1014, 0x1016, 0x1017, 0x1018
SYNC_OVERFLOW = 0x1019
#: Objects that say how a node is to be watched.
TELLING = frozenset((DEVICE_TYPE, EMCY_COB_ID, CONSUMED, PRODUCED, IDENTITY, SYNC_OVERFLOW))


class _Fed:
    """A machine of the watch on the pump: the watch has given it the frame already, its events and deadline count."""

    def __init__(self, machine: Machine, heard: Callable[[Frame, float], None]) -> None:
        self._heard = heard
        self.tick = machine.tick
        self.deadline = machine.deadline
        self.frames_to_send = machine.frames_to_send
        self.events = machine.events

    def receive(self, frame: Frame, now: float) -> None:
        self._heard(frame, now)


class _OnSync:
    """One of possibly several of the same function. ``failing``: it raised at the last SYNC."""

    __slots__ = ("failing", "function")

    def __init__(self, function: Callable[[float], object]) -> None:
        self.function = function
        self.failing = False


class _SyncHeard(SyncConsumer):
    """Calls ``then`` after each SYNC."""

    def __init__(self, cob: CobId, then: Callable[[Frame, float], None]) -> None:
        super().__init__(cob)
        self._then = then

    def receive(self, frame: Frame, now: float) -> None:
        super().receive(frame, now)
        self._then(frame, now)


class Monitor:
    """Every node that is heard is supervised from its first heartbeat on, unless that was switched off.

    Its consumer time is the one that was given, else the shortest that a node has for it in 1016h, else twice its
    period in 1017h, as far as these were read or written through this network; else it is learned from the node.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._watch = network.watch
        self._pump = network.pump
        self.heartbeats = network.watch.heartbeats
        self.emergencies = network.watch.emergencies
        self.guarding = GuardingMaster()
        self._guarded: set[int] = set()
        self._given: dict[int, float] = {}
        self._unsupervised: set[int] = set()
        self._consumers: dict[tuple[int, int], tuple[int, float]] = {}
        self._restarting: dict[int, int] = {}
        self._sync_functions: list[_OnSync] = []
        self._beats = _Fed(self.heartbeats, self._beat)
        self._errors = _Fed(self.emergencies, lambda frame, now: None)
        for node_id in _NODES:
            self._pump.add(self._beats, _ERROR_CONTROL + node_id)
            self._pump.add(self._beats, _EMCY + node_id)
            self._pump.add(self._errors, _EMCY + node_id)
        self.syncs: SyncConsumer = self._sync_machine(CobId(_EMCY))
        self.times = TimeConsumer()
        self._pump.add(self.times, self.times.cob.can_id)
        self._pump.listen(self)

    # --- as a listener of the pump ---

    def received(self, frame: Frame, now: float) -> None:
        self._watch.received(frame, now)
        if not frame.can_id and frame.direction != "tx" and not (frame.error or frame.extended or frame.remote):
            self._commanded(frame)

    def sent(self, frame: Frame, now: float) -> None:
        self._watch.sent(frame, now, None)
        if not frame.can_id and not (frame.extended or frame.remote):
            self._commanded(frame)

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        self._watch.send_failed(reason, now)

    @property
    def heard(self) -> set[int]:
        """Nodes that have told a state or answered us; a PDO may be anybody's. Call it with the lock held."""
        told = {node_id for node_id, life in self.heartbeats.nodes.items() if life.state is not None}
        return told | {n.node_id for n in self._watch.heard_nodes() if self._watch.latency(n.node_id) is not None}

    # --- supervision ---

    def supervise(self, node_id: int, consumer_time_s: float | None) -> NodeLife:
        """Raise ValueError for a time that is not positive."""
        with self._pump.lock:
            if consumer_time_s is None:
                self._given.pop(node_id, None)
            else:
                if not consumer_time_s > 0:
                    raise ValueError(f"consumer time {consumer_time_s} s of node {node_id} is not positive")
                self._given[node_id] = consumer_time_s
            self._unsupervised.discard(node_id)
            life = self._supervise(node_id)
            self._pump.drain(self._beats, self._pump.clock.now())
            return life

    def given(self, node_id: int) -> float | None:
        """The consumer time that somebody asked for; None: it is worked out."""
        return self._given.get(node_id)

    def unsupervise(self, node_id: int) -> None:
        with self._pump.lock:
            self._unsupervised.add(node_id)
            life = self.heartbeats.nodes.get(node_id)
            if life is not None:
                life.supervised = False

    def period(self, node_id: int) -> float | None:
        """Of its heartbeat, as 1017h holds it, in seconds; 0: it has none; None: not known."""
        return self._period(node_id)

    def _supervise(self, node_id: int) -> NodeLife:
        """With what is known now. A node that was not heard for longer than that is waited for first."""
        time_s = self._consumer_time(node_id)
        life = self.heartbeats.nodes.get(node_id)
        if life is not None and life.last_heard is not None:
            silent_s = self._pump.clock.now() - life.last_heard
            if life.lost or (time_s is not None and silent_s >= time_s):
                self._restarting[node_id] = 1
                return life
        life = self.heartbeats.supervise(node_id, time_s)
        life.supervised = node_id not in self._unsupervised and self._period(node_id) != 0
        self._pump.keep(self._beats)  # what is learned here may give it a deadline without a frame having come
        return life

    def _period(self, node_id: int) -> float | None:
        """As 1017h holds it, in seconds; None: not known."""
        node = self._network.known_node(node_id)
        period_ms = None if node is None else node.view.seen(PRODUCED, 0)
        return None if period_ms is None else period_ms / 1000

    def _consumer_time(self, node_id: int) -> float | None:
        given = self._given.get(node_id)
        if given is not None:
            return given
        consumed = [time_s for watched, time_s in self._consumers.values() if watched == node_id and time_s]
        if consumed:
            return min(consumed)
        period_s = self._period(node_id)
        return max(_FACTOR * period_s, period_s + _HOST_S) if period_s else None

    def _commanded(self, frame: Frame) -> None:
        """A node that is reset on purpose is silent for a while, and is not lost for that."""
        try:
            message = NmtMessage.decode(frame.data)
        except WireError:
            return
        if message.command not in _RESETS:
            return
        for life in tuple(self.heartbeats.nodes.values()):
            concerned = message.node_id in (ALL_NODES, life.node_id)
            if concerned and life.supervised and not life.lost and life.consumer_time_s is not None:
                self._restarting[life.node_id] = 0
                self.heartbeats.supervise(life.node_id, max(life.consumer_time_s, RESTART_S))

    def _beat(self, frame: Frame, now: float) -> None:
        node_id = frame.can_id & 0x7F
        beats = self._restarting.get(node_id)
        if (
            beats is not None and frame.can_id > _ERROR_CONTROL and not frame.remote
        ):  # one may have been on its way still; a node without boot-up is known by the next
            self._restarting[node_id] = beats + 1
            if beats:
                self._restarted(node_id)

    def _booted_by_itself(self, node_id: int) -> None:
        """Its period may be another one now, or none: it has as long as after a reset on purpose to show it."""
        life = self.heartbeats.nodes.get(node_id)
        if life is not None and life.supervised and not life.lost and life.consumer_time_s is not None:
            self._restarting[node_id] = 1
            self.heartbeats.supervise(node_id, max(life.consumer_time_s, RESTART_S))

    def _restarted(self, node_id: int) -> None:
        self._restarting.pop(node_id, None)
        self._supervise(node_id)

    # --- guarding ---

    def guard(self, node_id: int, guard_time_s: float, life_time_factor: int) -> GuardedNode:
        """Raise ValueError, AdapterError; ValueRefused for a node with a heartbeat, which CiA 301 does not guard."""
        with self._pump.lock:
            self._pump.check_open()
            self._refuse_to_guard(node_id)
            node = self.guarding.guard(node_id, guard_time_s, life_time_factor)
            if node_id not in self._guarded:
                self._guarded.add(node_id)
                self._pump.add(self.guarding, _ERROR_CONTROL + node_id)
            self._pump.drain(self.guarding, self._pump.clock.now())
            return node

    def _refuse_to_guard(self, node_id: int) -> None:
        life, period_s = self.heartbeats.nodes.get(node_id), self._period(node_id)
        beats = life is not None and life.beating and not life.lost and period_s is None
        if period_s or beats:
            how = f"every {period_s * 1000:g} ms (1017h)" if period_s else "which was heard"
            reason = f"it has a heartbeat, {how}: supervise() it, or switch its heartbeat off (0 to 1017h) before"
            raise ValueRefused(f"guarding node {node_id}", reason)

    def unguard(self, node_id: int) -> None:
        with self._pump.lock:
            self.guarding.stop(node_id)
            self._pump.drain(self.guarding, self._pump.clock.now())

    # --- what was learned ---

    def learned(self, node_id: int, index: int, subindex: int, raw: bytes) -> None:
        """An object of `TELLING` was read or written. Call it with the lock held."""
        value = int.from_bytes(raw, "little")
        if index == EMCY_COB_ID and not subindex:
            self.move_emcy(node_id, value)
        elif index == PRODUCED and not subindex:
            self._supervise(node_id)
        elif index == SYNC_OVERFLOW and not subindex and (value == 0 or 2 <= value <= MAX_COUNTER):
            self.syncs.overflow = value
        elif index == CONSUMED and subindex:
            watched, time_s = value >> 16 & 0xFF, (value & 0xFFFF) / 1000
            before = self._consumers.get((node_id, subindex), (0, 0.0))
            self._consumers[node_id, subindex] = watched, time_s
            for one in {watched, before[0]}:
                if one in self.heartbeats.nodes:
                    self._supervise(one)
        elif index in (DEVICE_TYPE, IDENTITY):
            self.identify(node_id)

    def identify(self, node_id: int) -> None:
        """Whose error codes the node uses, as far as is known by now."""
        node = self._network.known_node(node_id)
        if node is not None:
            self.emergencies.identify(node_id, node.view.profile, node.view.vendor_id)

    def move_emcy(self, node_id: int, cob_id: int) -> None:
        """1014h of the node holds this."""
        cob = CobId.decode(cob_id)
        self._watch.emcy_configured(node_id, cob)
        if (cob.can_id, cob.extended) != (_EMCY + node_id, False):
            self._pump.add(self._errors, cob.can_id, cob.extended)

    def use(self, node_id: int, dictionary: ObjectDictionary) -> None:
        """What the node's file says."""
        variable = dictionary.get(EMCY_COB_ID, 0)
        cob_id = None if variable is None else variable.configured(node_id)
        if isinstance(cob_id, int):
            self.move_emcy(node_id, cob_id)
        view = NodeView(node_id, dictionary)
        self.emergencies.identify(node_id, view.profile, view.vendor_id)
        self.identify(node_id)

    # --- SYNC ---

    def use_sync(self, cob: CobId, overflow: int) -> None:
        """SYNC has this CAN-ID and this counter from now on."""
        with self._pump.lock:
            if (cob.can_id, cob.extended) != (self.syncs.cob.can_id, self.syncs.cob.extended):
                self._pump.remove(self.syncs)
                self._pump.after_sent.pop((self.syncs.cob.can_id, self.syncs.cob.extended), None)
                self.syncs = self._sync_machine(cob)
            self.syncs.overflow = overflow

    def _sync_machine(self, cob: CobId) -> SyncConsumer:
        machine = _SyncHeard(cob, self._synced)
        self._pump.add(machine, cob.can_id, cob.extended)
        self._pump.after_sent[cob.can_id, cob.extended] = self._synced
        return machine

    def on_sync(self, function: Callable[[float], object]) -> Callable[[], None]:
        call = _OnSync(function)

        def end() -> None:
            with self._pump.lock:
                self._sync_functions = [other for other in self._sync_functions if other is not call]

        with self._pump.lock:
            self._pump.check_open()
            self._sync_functions = [*self._sync_functions, call]
        return end

    def _synced(self, frame: Frame, now: float) -> None:
        if frame.remote or frame.fd:
            return
        for call in self._sync_functions:
            try:
                call.function(now)
                call.failing = False
            except AdapterError:
                pass  # the listeners know, and whoever waits
            except Exception:
                if not call.failing:  # a thousand times a second would bury everything else
                    _LOG.exception("%r failed after SYNC", call.function)
                call.failing = True

    # --- events of the machines ---

    def handle(self, machine: Machine, event: Any, now: float) -> None:
        """Publish it, and do what follows from it. Call it with the lock held."""
        if machine is self.guarding and isinstance(event, (StateChanged, ErrorControlMalformed)):
            return  # the heartbeat consumer hears the same frame, and tells it
        if isinstance(event, BootedUp):
            self._network.started(event.node_id)
            self.emergencies.restarted(event.node_id)
            if event.node_id in self._restarting or self._consumer_time(event.node_id) is not None:
                self._restarted(event.node_id)
            else:
                self._booted_by_itself(event.node_id)
        elif isinstance(event, StateChanged) and event.before is None:
            life = self.heartbeats.nodes.get(event.node_id)
            if life is not None and not life.supervised:
                self._supervise(event.node_id)
        self._network.hub.publish(event)
