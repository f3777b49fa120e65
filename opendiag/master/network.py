"""A live CANopen network: nodes by number, transfers, frames in and out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from opendiag.decode.decoder import Decoder
from opendiag.diagnose.watch import BusWatch
from opendiag.diagnose.why import AdapterFacts
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.library import Library, load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import AdapterError, MissingDependency, SdoError, SdoProtocolError, WireError
from opendiag.frame import Frame
from opendiag.master.arguments import checked_node_id
from opendiag.master.bus_services import BusServices
from opendiag.master.clock import Clock
from opendiag.master.cyclic import Cyclic
from opendiag.master.dispatcher import Dispatcher
from opendiag.master.events import AdapterLost, EventHub
from opendiag.master.explain import adapter_facts, explain
from opendiag.master.monitor import TELLING, Monitor
from opendiag.master.node import Node
from opendiag.master.node_nmt import NetworkNmt
from opendiag.master.pdo_traffic import PdoTraffic
from opendiag.master.plan_runner import RunningPlan, run_plan
from opendiag.master.port import Port
from opendiag.master.pump import Pump
from opendiag.master.scan import NetworkScan
from opendiag.master.streams import Callbacks, FrameStream
from opendiag.master.transfers import Endings, PendingTransfer
from opendiag.master.variable import NodeVariable
from opendiag.services.base import Machine, Oddity
from opendiag.services.plans import Plan
from opendiag.services.scan_result import ScanResult
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import LateAnswer, SdoClient, SdoTransfer, TransferDone

if TYPE_CHECKING:
    import can
    import canopen

T = TypeVar("T")
_LOG = logging.getLogger("opendiag")
#: What plans may still do after `Network.close`.
_PLANS_END_S = 1.0
Dictionaries = Mapping[int, "str | Path | ObjectDictionary"]
#: An object of a node: (node-ID, index or name) or (node-ID, index, subindex).
Item = tuple[int, int | str] | tuple[int, int, int]


class Network(BusServices):
    """Made by `opendiag.connect`. Any number of threads may use it; close it, or use ``with``.

    ``watch`` knows what was heard on the bus, ``oddities`` what peers did that the standard does not have.
    """

    def __init__(
        self,
        port: Port,
        clock: Clock,
        dictionaries: Mapping[int, ObjectDictionary] | None = None,
        library: Library | None = None,
        timeout_s: float = 0.5,
        bit_rate: int | None = None,
    ) -> None:
        self.port = port
        self.clock = clock
        self.timeout_s = timeout_s
        self.bit_rate = bit_rate
        self.library = library or Library()
        self.watch = BusWatch(self.clock.now())
        self.oddities: list[Oddity] = []
        self._dictionaries = dict(dictionaries or {})
        for node_id in self._dictionaries:
            self.watch.expect(node_id)
        self._nodes: dict[int, Node] = {}
        self.pump = Pump(port, self.clock, self._handle, self._failed)
        self.dispatcher = Dispatcher(self.pump, thread=self.clock.runs)
        self.pump.after_step = None if self.clock.runs else self.dispatcher.run_posted
        self._callbacks = Callbacks(self.pump, self.dispatcher)
        self.hub = EventHub(self.pump, self.dispatcher)
        self.cyclic = Cyclic(self.pump, self.hub.publish)
        self.monitor = Monitor(self)
        self.nmt = NetworkNmt(self)
        for node_id, dictionary in self._dictionaries.items():
            self.monitor.use(node_id, dictionary)
        self._on_close: list[Callable[[], object]] = []
        self._pdo_traffic: PdoTraffic | None = None
        self._plans: list[RunningPlan[Any]] = []
        self.endings = Endings()
        self.pump.start()

    @property
    def name(self) -> str:
        """As in "socketcan:can0"."""
        return self.port.name

    def __repr__(self) -> str:
        return f"<network on {self.name}>"

    # --- nodes ---

    def __getitem__(self, node_id: int) -> Node:
        """The node, present or not: nothing is sent. Raise ValueError outside 1..127."""
        node = self._nodes.get(checked_node_id(node_id))
        return self.node(node_id) if node is None or node_id not in self.watch.expected_nodes else node

    def node(
        self,
        node_id: int,
        dictionary: str | Path | ObjectDictionary | None = None,
        channel: SdoChannel | None = None,
    ) -> Node:
        """The node, with this EDS or DCF and this SDO channel from now on.

        Raises ValueError outside 1..127, UnknownDictionary, DictionaryFileError.
        """
        checked_node_id(node_id)
        if channel is not None and channel.node_id != node_id:
            raise ValueError(f"the SDO channel is that of node {channel.node_id}, not of node {node_id}")
        given = None if dictionary is None else loaded(node_id, dictionary)  # a large file takes its time: no lock
        with self.pump.lock:
            node = self._nodes.get(node_id)
            if node is None or channel not in (None, node.client.channel):
                before = self._dictionaries.get(node_id) if node is None else node.view.dictionary
                made = Node(self, node_id, given or before, channel or SdoChannel.default(node_id))
                if node is not None:
                    self._retire(node)
                self._nodes[node_id] = node = made
                self.watch.uses(made.client.channel)
            elif given is not None:
                node.use(given)
            self.watch.expect(node_id)
            self._tell_channel(node)
            if given is not None:
                self.monitor.use(node_id, given)
            return node

    def _retire(self, node: Node) -> None:
        """Another channel takes its place."""
        now = self.clock.now()
        node.client.cancel_all(now)
        self.pump.drain(node.client, now)
        self.pump.remove(node.client)

    def _tell_channel(self, node: Node) -> None:
        """What the node's file says of its SDO server, which may be switched off."""
        request, response = (node.view.configured(0x1200, subindex) for subindex in (1, 2))
        if request is not None or response is not None:
            self.watch.sdo_server_configured(node.node_id, request, response)

    @property
    def nodes(self) -> Mapping[int, Node]:
        """The nodes that were asked for so far, and those that were heard, by node-ID."""
        with self.pump.lock:
            for heard in self.watch.heard_nodes():
                if (node_id := heard.node_id) not in self._nodes:  # nobody works with it yet
                    dictionary = self._dictionaries.get(node_id)
                    self._nodes[node_id] = Node(self, node_id, dictionary, SdoChannel.default(node_id))
            return dict(sorted(self._nodes.items()))

    def known_node(self, node_id: int) -> Node | None:
        """The node, if it was asked for or listed before."""
        return self._nodes.get(node_id)

    @property
    def nodes_in_use(self) -> frozenset[int]:
        """Nodes that somebody works with here, or has just asked for something."""
        with self.pump.lock:
            busy = {node_id for node_id, node in self._nodes.items() if node.client.deadline() is not None}
            return frozenset((self._nodes.keys() & self.watch.expected_nodes) | busy)

    def dictionary_of(self, node_id: int) -> ObjectDictionary | None:
        """What was given for the node, or found for it so far."""
        node = self._nodes.get(node_id)
        return self._dictionaries.get(node_id) if node is None else node.view.dictionary

    def scan(
        self,
        addresses: Iterable[int] = range(1, 128),
        *,
        listen_s: float = 1.0,
        timeout_s: float = 0.1,
        passive: bool = False,
    ) -> ScanResult:
        """Listen, then ask every address who it is; ``passive`` only listens and sends nothing. See `NetworkScan`."""
        return NetworkScan(self, addresses, listen_s=listen_s, timeout_s=timeout_s, passive=passive).run()

    # --- objects ---

    def read(self, node_id: int, key: int | str, subindex: int | None = None) -> Value:
        """As ``network[node_id][key].read()``."""
        return self._variable(node_id, key, subindex).read()

    def write(self, node_id: int, key: int | str, value: Value, subindex: int | None = None) -> None:
        """As ``network[node_id][key].write(value)``."""
        self._variable(node_id, key, subindex).write(value)

    @overload
    def read_many(self, items: Iterable[Item], errors: Literal["raise"] = "raise") -> list[Value]: ...

    @overload
    def read_many(self, items: Iterable[Item], errors: Literal["return"]) -> list[Value | SdoError]: ...

    def read_many(
        self, items: Iterable[Item], errors: Literal["raise", "return"] = "raise"
    ) -> list[Value] | list[Value | SdoError]:
        """Read (node-ID, index or name[, subindex]) of many nodes at once: nodes work side by side, values in order.

        A transfer that fails, or brings another number of bytes than the type has, raises its SdoError, or stands in
        its place with ``errors="return"``.
        """
        self.pump.check_may_wait("reading objects")
        variables = [self._variable(item[0], item[1], item[2] if len(item) > 2 else None) for item in items]
        pending: list[PendingTransfer] = []
        results: list[Value | SdoError] = []
        try:
            for variable in variables:
                pending.append(variable.node.begin_upload(variable.index, variable.subindex))
            for variable, transfer in zip(variables, pending, strict=True):
                try:
                    results.append(_decoded(variable, transfer.result()))
                except SdoError as error:
                    if errors == "raise":
                        raise
                    results.append(error)
        finally:
            for transfer in pending:
                transfer.cancel()
        return results

    def _variable(self, node_id: int, key: int | str, subindex: int | None) -> NodeVariable:
        variable = self[node_id].variable(key)
        return variable if subindex is None else NodeVariable(variable.node, variable.index, subindex)

    # --- frames ---

    def send(self, frame: Frame) -> None:
        """Send any frame. Raise SendFailed, AdapterError."""
        with self.pump.lock:
            self.pump.check_open()
            self.pump.send(frame, self.clock.now())
        self.dispatcher.run_posted()

    def frames(self) -> FrameStream:
        """Every frame from now on, received and sent. Close it when done."""
        return FrameStream(self.pump)

    def subscribe(self, callback: Callable[[Frame], object]) -> Callable[[], None]:
        """Call a function with every frame, on a thread of its own; call the result to end that.

        What waits for the bus raises BlockingCall there.
        """
        return self._callbacks.add(callback)

    def decoder(self) -> Decoder:
        """A decoder for the frames of `frames`: it knows the dictionaries given and what the nodes have said so far."""
        with self.pump.lock:
            views = [node.view for node in self._nodes.values()]
            by_node = {view.node_id: view.dictionary for view in views if view.dictionary is not None}
            copies = [view.copy() for view in views]
            return Decoder({**self._dictionaries, **by_node}, library=self.library, known=copies)

    @property
    def pdo_traffic(self) -> PdoTraffic:
        """What is listened for in PDOs; `Node.pdo` is the way to it."""
        if self._pdo_traffic is None:
            with self.pump.lock:
                if self._pdo_traffic is None:
                    self._pdo_traffic = PdoTraffic(self)
        return self._pdo_traffic

    def sleep(self, seconds: float) -> None:
        """Let the bus run that long, on its own clock."""
        self.pump.check_may_wait("sleeping on the bus")
        self.pump.wait(_NEVER, self.clock.now() + seconds)

    def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end and give its result."""
        return run_plan(self, plan)

    def begin(self, plan: Plan[T]) -> RunningPlan[T]:
        """Start a plan and go on. It runs by itself where the bus is read by itself; `Network.close` cancels it."""
        self.pump.check_open()
        return RunningPlan(self, plan)

    def plan_begun(self, running: RunningPlan[Any]) -> None:
        """It wants to hear of transfers that end, and of the end of the bus."""
        self._plans.append(running)

    def plan_ended(self, running: RunningPlan[Any]) -> None:
        if running in self._plans:
            self._plans.remove(running)

    # --- other libraries ---

    def can_bus(self) -> can.BusABC:
        """The same bus for whoever wants a python-can one: it sends through here and hears what comes in here."""
        from opendiag.adapters.shared_bus import SharedBus

        frames = self.frames()
        return SharedBus(self.name, self.send, frames.receive, frames.close)

    def canopen(self) -> canopen.Network:
        """A connected `canopen.Network` on the same bus, for scripts written for that package.

        Raises MissingDependency when it is not installed.
        """
        try:
            import canopen as library
        except ImportError as error:
            raise MissingDependency("Network.canopen()", "canopen") from error
        bus = self.can_bus()
        made: Any = library.Network(bus)
        made.connect()
        self._on_close.append(made.disconnect)
        return cast("canopen.Network", made)

    # --- the end ---

    def close(self) -> None:
        """Plans get PlanCancelled and a second to bring to rest what they move; transfers are cancelled (SdoCancelled),
        and devices told so; the threads end; the adapter is released.

        Closing again does nothing. Raise BlockingCall where nothing may wait while a drive is enabled: it is stopped.
        """
        self.check_may_end_drives()
        try:
            self.end_drives()
            self.cyclic.close()
            self._end_plans()
            while self._on_close:
                end = self._on_close.pop()
                try:
                    end()
                except Exception:  # another library's: it must not keep the adapter
                    _LOG.exception("closing %r", end)
            self._cancel_all()
        finally:
            self.pump.close()
            self.dispatcher.close()

    def _end_plans(self) -> None:
        for running in tuple(self._plans):
            running.cancel("the network is closed")
        until = self.clock.now() + _PLANS_END_S
        for running in tuple(self._plans):
            with contextlib.suppress(AdapterError):  # the plan was told as well
                self.pump.wait(running, until)
            running.abandon()

    def _cancel_all(self) -> None:
        with self.pump.lock:
            if self.pump.failure is None:
                now = self.clock.now()
                for node in self._nodes.values():
                    node.client.cancel_all(now)
                    self.pump.drain(node.client, now)

    def _failed(self, error: AdapterError) -> None:
        """The bus is gone: nothing that was begun will end otherwise."""
        with self.pump.lock:
            for node in self._nodes.values():
                node.client.fail_all(lambda transfer: error)
            for running in tuple(self._plans):
                running.bus_failed(error)
            self.endings.bus_failed()
            self.cyclic.fail(error)
            self.hub.publish(AdapterLost(self.clock.now(), error))

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- what the bus tells ---

    def started(self, node_id: int) -> None:
        """A boot-up: what was only written to the node is forgotten."""
        node = self._nodes.get(node_id)
        if node is not None:
            node.view.reset()

    def facts(self) -> AdapterFacts:
        """What the adapter says of itself, as far as it does."""
        return adapter_facts(self)

    def _handle(self, machine: Machine, event: object, now: float) -> None:
        if isinstance(event, TransferDone):
            self._ended(machine, event.transfer, now)
            self.endings.ended(event.transfer)
        elif isinstance(event, LateAnswer):
            self.watch.late_answer(event.channel, event.late_by_s, now)
        elif isinstance(event, Oddity):
            self.oddities.append(event)
        else:
            self.monitor.handle(machine, event, now)

    def _ended(self, machine: Machine, transfer: SdoTransfer, now: float) -> None:
        """Remember what was read; say why nothing was."""
        node = self._nodes.get(transfer.node_id)
        error = transfer.error
        if node is None:
            return
        if error is None:
            if (raw := transfer.small_data) is not None:
                raw = node.fitted(transfer, raw)
                node.view.learn(transfer.index, transfer.subindex, raw, transfer.action == "write")
                if transfer.index in TELLING:
                    self.monitor.learned(node.node_id, transfer.index, transfer.subindex, raw)
            return
        if isinstance(error, SdoError) and isinstance(machine, SdoClient):
            explain(self, machine.channel, transfer, error, now)


class _Never:
    """Waited for by whoever only lets time pass."""

    done = False


_NEVER = _Never()


def _decoded(variable: NodeVariable, raw: bytes) -> Value:
    """Raise SdoProtocolError when the number of bytes is not the type's."""
    try:
        return variable.decode(raw)
    except WireError as error:
        where = variable.node.node_id, variable.index, variable.subindex
        raise SdoProtocolError(*where, "read", error.reason) from error


def loaded(node_id: int, given: str | Path | ObjectDictionary) -> ObjectDictionary:
    """The dictionary of a node. Raise ValueError outside 1..127, UnknownDictionary, DictionaryFileError."""
    if not 1 <= node_id <= 127:
        raise ValueError(f"node-ID {node_id} is outside 1..127")
    return given if isinstance(given, ObjectDictionary) else load(given)
