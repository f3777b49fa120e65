"""The objects by which a simulated node shows that it is alive and watches others: 100Ch, 100Dh, 1016h and 1017h."""

from __future__ import annotations

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.guarding import GuardingSlave, MasterFound, MasterLost
from opendiag.services.heartbeat import HeartbeatConsumer, HeartbeatProducer, NodeFound, NodeLost
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.nmt import NmtState
from opendiag.wire.sdo_abort import SdoAbortCode

_GUARD_TIME, _LIFE_TIME_FACTOR, _CONSUMER, _PRODUCER = 0x100C, 0x100D, 0x1016, 0x1017
_BASE = 0x700

SupervisionEvent = NodeLost | NodeFound | MasterLost | MasterFound


class Supervision:
    """Heartbeat producer and consumer and guarding slave, as the objects configure them.

    ``silent``: no heartbeat, whatever 1017h says.
    """

    def __init__(self, store: DictionaryStore, node_id: int, silent: bool) -> None:
        self._store = store
        self._silent = silent
        self.producer = HeartbeatProducer(_BASE + node_id)
        self.guarding = GuardingSlave(node_id)
        self.consumer = HeartbeatConsumer()
        self._entries = sorted(sub for index, sub in store.variables if index == _CONSUMER and sub)
        self._watched: dict[int, float] = {}
        for index in (_PRODUCER, _GUARD_TIME, _LIFE_TIME_FACTOR):
            if (index, 0) in store.variables:
                store.on_write(index, 0, self._producer_hook if index == _PRODUCER else self._guarding_hook)
        for sub in self._entries:
            store.on_write(_CONSUMER, sub, self._consumer_hook)

    def start(self, now: float) -> None:
        """The node has booted."""
        self.guarding.reset()
        self._configure_guarding()
        self.producer.configure(self._period_s, now)
        self._watch()

    def stop(self) -> None:
        """The node is reset, or power is gone."""
        self.producer.stop()
        self.guarding.reset()
        for node_id in self._watched:
            self.consumer.forget(node_id)
        self._watched = {}

    def enter(self, state: NmtState) -> None:
        """The state to tell from now on."""
        self.producer.state = self.guarding.state = state

    # --- objects ----------------------------------------------------------------------------------------------------

    def _number(self, index: int, subindex: int = 0) -> int:
        return int.from_bytes(self._store.values.get((index, subindex), b""), "little")

    @property
    def _period_s(self) -> float:
        return 0.0 if self._silent else self._number(_PRODUCER) / 1000

    def _producer_hook(self, data: bytes, now: float) -> None:
        self._configure_guarding()
        self.producer.configure(self._period_s, now)

    def _guarding_hook(self, data: bytes, now: float) -> None:
        self._configure_guarding()

    def _configure_guarding(self) -> None:
        self.guarding.enabled = not self._period_s  # the heartbeat has priority (CiA 301)
        self.guarding.guard_time_s = self._number(_GUARD_TIME) / 1000
        self.guarding.life_time_factor = self._number(_LIFE_TIME_FACTOR)

    def _configured(self) -> list[tuple[int, float]]:
        values = [self._number(_CONSUMER, sub) for sub in self._entries]
        pairs = [(value >> 16 & 0xFF, (value & 0xFFFF) / 1000) for value in values]
        return [(node, time_s) for node, time_s in pairs if 1 <= node <= 127 and time_s]

    def _consumer_hook(self, data: bytes, now: float) -> None:
        nodes = [node for node, _ in self._configured()]
        if len(nodes) != len(set(nodes)):
            raise SdoRefusal(SdoAbortCode.PARAMETER_INCOMPATIBLE)
        self._watch()

    def _watch(self) -> None:
        """Begin anew with the nodes whose entry has changed, from their next heartbeat on."""
        wanted = dict(self._configured())
        for node_id, time_s in self._watched.items():
            if wanted.get(node_id) != time_s:
                self.consumer.forget(node_id)
        for node_id, time_s in wanted.items():
            if self._watched.get(node_id) != time_s:
                self.consumer.supervise(node_id, time_s)
        self._watched = wanted

    def failures(self) -> set[int]:
        """Node-IDs that are lost now; 0 stands for the master of node guarding."""
        lost = {node_id for node_id in self._watched if self.consumer.nodes[node_id].lost}
        return lost | {0} if self.guarding.lost and self.guarding.enabled and self.guarding.life_time_s else lost

    # --- the machine ------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame, now: float) -> None:
        if _BASE < frame.can_id <= _BASE + 127:
            self.guarding.receive(frame, now)
            if frame.can_id - _BASE in self._watched:
                self.consumer.receive(frame, now)

    def tick(self, now: float) -> None:
        self.producer.tick(now)
        self.guarding.tick(now)
        self.consumer.tick(now)

    def deadline(self) -> float | None:
        times = (self.producer.deadline(), self.guarding.deadline(), self.consumer.deadline())
        return min((time for time in times if time is not None), default=None)

    def frames_to_send(self) -> list[Frame]:
        return [*self.guarding.frames_to_send(), *self.producer.frames_to_send()]

    def events(self) -> list[SupervisionEvent]:
        heard = [event for event in self.consumer.events() if isinstance(event, NodeLost | NodeFound)]
        return [*heard, *self.guarding.events()]
