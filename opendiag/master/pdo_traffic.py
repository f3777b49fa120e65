"""The PDOs that somebody on this network listens to: frames to the samples of the right PDO, by the mapping in force.

A PDO that is mapped anew, through here or by another master whose SDO transfers are heard, is read by its new mapping
from the next frame on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from opendiag.decode.sdo_observer import SdoObserver
from opendiag.decode.sdo_records import sdo_record
from opendiag.diagnose.pdo_why_facts import default_cob
from opendiag.frame import Frame
from opendiag.master.pdo_sample import BACKLOG, PdoSample, PdoStream, Reading
from opendiag.master.streams import sent_frame
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.pdo import communication_index, mapping_index

if TYPE_CHECKING:
    from opendiag.master.network import Network
    from opendiag.master.node import Node

_LOG = logging.getLogger("opendiag")
_ERROR_CONTROL = 0x700
Callback = Callable[[PdoSample], object]
_Handler = Callable[[Frame, float], None]
#: What waits for the callbacks: of which PDO, how it is read, the frame, and when it came.
_Item = tuple["PdoChannel", Reading, Frame, float]


class PdoChannel:
    """One PDO of one node: how it is read now, and who listens. All of it under the pump's lock.

    ``was_read``: the device was asked for its parameters since it started.
    """

    def __init__(self, traffic: PdoTraffic, node: Node, transmit: bool, number: int) -> None:
        self.traffic = traffic
        self.node = node
        self.transmit = transmit
        self.number = number
        self.was_read = False
        self.last: _Item | None = None
        self.on_change: Callable[[], None] | None = None
        self._waiting = traffic.waiting
        self.subscriptions: tuple[_Subscription, ...] = ()
        self._streams: tuple[PdoStream, ...] = ()
        self.reading = self._read()

    @property
    def key(self) -> tuple[int, bool]:
        """CAN-ID, and whether it has 29 bits."""
        cob = self.reading.parameters.cob
        return cob.can_id, cob.extended

    def _read(self) -> Reading:
        view, transmit, number = self.node.view, self.transmit, self.number
        parameters = PdoParameters.from_objects(view.number, transmit, number)
        if view.number(communication_index(transmit, number), 1) is None:
            parameters = _with_default_id(parameters, view.node_id)
        known = view.number(mapping_index(transmit, number), 0) is not None and not parameters.missing
        return Reading(view, parameters, known)

    def renew(self) -> None:
        """What is known of the node has changed."""
        before = self.reading.parameters
        self.reading = self._read()
        if before != self.reading.parameters and self.on_change is not None:
            self.on_change()

    # --- listeners ---

    def add(self, callback: Callback) -> Callable[[], None]:
        """Returns what ends it."""
        network = self.traffic.network
        subscription = _Subscription(callback)
        with network.pump.lock:
            network.pump.check_open()
            self.subscriptions = (*self.subscriptions, subscription)

        def end() -> None:
            subscription.active = False
            with network.pump.lock:
                self.subscriptions = tuple(other for other in self.subscriptions if other is not subscription)

        return end

    def open(self) -> PdoStream:
        """A stream of the samples from now on."""
        pump = self.traffic.network.pump

        def close(stream: PdoStream) -> None:
            with pump.lock:
                self._streams = tuple(other for other in self._streams if other is not stream)

        stream = PdoStream(pump, close)
        with pump.lock:
            pump.check_open()
            self._streams = (*self._streams, stream)
        return stream

    # --- frames ---

    def receive(self, frame: Frame, now: float) -> None:
        """A frame with its CAN-ID."""
        reading = self.reading
        if frame.extended != reading.extended or frame.remote or frame.error:
            return
        self.last = item = self, reading, frame, now
        if self.subscriptions:
            traffic, waiting = self.traffic, self._waiting
            if len(waiting) < BACKLOG:
                waiting.append(item)
            else:
                traffic.lose()
            if not traffic.posted:
                traffic.post()
        for stream in self._streams:
            stream.put(reading, frame, now)


class _Subscription:
    """One of possibly several of the same function."""

    __slots__ = ("active", "function")

    def __init__(self, function: Callback) -> None:
        self.function = function
        self.active = True


def _with_default_id(parameters: PdoParameters, node_id: int) -> PdoParameters:
    """Nobody has said its COB-ID: the first four have one by default (CiA 301)."""
    cob = default_cob(node_id, parameters.transmit, parameters.number)
    return parameters if cob is None else replace(parameters, cob=cob)


class PdoTraffic:
    """Made with the first PDO that somebody asks for. It hears every frame of the bus.

    ``lost`` counts samples that came while ``BACKLOG`` were waiting for slow callbacks: the oldest are kept.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._channels: dict[tuple[int, bool, int], PdoChannel] = {}
        self._handlers: dict[int, _Handler] = {}
        self._learners: dict[int, _Learner] = {}
        self.waiting: deque[_Item] = deque()
        self.posted = False
        self.lost = 0
        network.pump.listen(self)

    def channel(self, node: Node, transmit: bool, number: int) -> PdoChannel:
        """The same one each time."""
        key = node.node_id, transmit, number
        with self.network.pump.lock:
            channel = self._channels.get(key)
            if channel is None or channel.node is not node:
                made = self._channels[key] = PdoChannel(self, node, transmit, number)
                channel = made
                learner = self._learners.get(node.node_id)
                if learner is None or learner.node is not node:
                    self._learners[node.node_id] = _Learner(self, node)
                self._sort()
            return channel

    def changed(self, node: Node) -> None:
        """What is known of this node is not what it was."""
        with self.network.pump.lock:
            for channel in self._of(node):
                channel.renew()
            self._sort()

    def restarted(self, node: Node) -> None:
        """The device has what it has stored again: ask it when somebody wants to know."""
        for channel in self._of(node):
            channel.was_read = False
        self.changed(node)

    def _of(self, node: Node) -> list[PdoChannel]:
        return [channel for channel in self._channels.values() if channel.node is node]

    def _sort(self) -> None:
        """Handlers by CAN-ID; 11 and 29 bits with the same number share a place, and look themselves."""
        handlers: dict[int, tuple[_Handler, ...]] = {}

        def put(can_id: int, handler: _Handler) -> None:
            handlers[can_id] = (*handlers.get(can_id, ()), handler)

        for channel in self._channels.values():
            if channel.key[0]:
                put(channel.key[0], channel.receive)
        for learner in self._learners.values():
            sdo = learner.node.client.channel
            put(sdo.request_id, learner.request)
            put(sdo.response_id, learner.response)
            put(_ERROR_CONTROL + learner.node.node_id, learner.error_control)
        self._handlers = {can_id: found[0] if len(found) == 1 else _each(found) for can_id, found in handlers.items()}

    # --- to the callbacks ---

    def post(self) -> None:
        """Have what waits delivered. What comes while callbacks run waits for the same call of `_deliver`."""
        self.posted = True
        if not self.network.dispatcher.post(self._deliver, None):
            self.posted = False  # the next sample tries again

    def lose(self) -> None:
        """One more than may wait."""
        if not self.lost:
            _LOG.warning("callbacks are slower than the bus: PDO samples are lost for them")
        self.lost += 1

    def _deliver(self, _: None) -> None:
        """Runs where callbacks run. One that raises is logged; the others never notice."""
        self.posted = False  # before the first look: what comes after the last one is posted anew
        waiting = self.waiting
        for _number in range(len(waiting)):
            channel, reading, frame, now = waiting.popleft()
            sample = reading.sample(frame, now)
            for subscription in channel.subscriptions:
                try:
                    if subscription.active:
                        subscription.function(sample)
                except Exception as error:
                    self.network.dispatcher.failures.tell(subscription.function, sample.name, error)

    # --- as the pump's listener ---

    def received(self, frame: Frame, now: float) -> None:
        handler = self._handlers.get(frame.can_id)
        if handler is not None:
            handler(frame, now)

    def sent(self, frame: Frame, now: float) -> None:
        handler = self._handlers.get(frame.can_id)
        if handler is not None:
            handler(sent_frame(frame, now), now)

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        pass


def _each(handlers: tuple[_Handler, ...]) -> _Handler:
    """All of them, one after the other."""

    def handle(frame: Frame, now: float) -> None:
        for handler in handlers:
            handler(frame, now)

    return handle


class _Learner:
    """Follows what SDO transfers, ours and those of other masters, say of a node's PDOs."""

    def __init__(self, traffic: PdoTraffic, node: Node) -> None:
        self.node = node
        self._traffic = traffic
        self._observer = SdoObserver()
        self._following = False
        self._count = 0

    def request(self, frame: Frame, now: float) -> None:
        """Only transfers of objects that configure a PDO are followed, from their first frame on."""
        data = frame.data
        if frame.extended != self.node.client.channel.request_extended or frame.remote or frame.error or frame.fd:
            return
        if not self._following:
            if len(data) < 4 or not _configures(data[1] | data[2] << 8):
                return
            self._following = True
        self._feed(True, frame)

    def response(self, frame: Frame, now: float) -> None:
        channel = self.node.client.channel
        if self._following and frame.extended == channel.response_extended and not frame.remote:
            self._feed(False, frame)

    def error_control(self, frame: Frame, now: float) -> None:
        if frame.data == b"\0" and not (frame.extended or frame.remote or frame.error):
            self.node.view.reset()
            self._traffic.restarted(self.node)

    def _feed(self, from_client: bool, frame: Frame) -> None:
        self._count += 1
        for transfer in self._observer.feed(from_client, frame.data, self._count, frame.time_ns):
            record = sdo_record(self.node.view, 1, None, None, transfer)
            if record.status == "ok" and record.index is not None and record.raw is not None:
                written = transfer.kind == "write"
                self.node.view.learn(record.index, record.subindex or 0, record.raw, written)
                self._traffic.changed(self.node)
            self._following = from_client  # what a request ends is the transfer before it


def _configures(index: int) -> bool:
    """PDO parameters, and what stores and restores them."""
    return 0x1400 <= index <= 0x1BFF or index in (0x1010, 0x1011)
