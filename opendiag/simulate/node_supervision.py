"""How a simulated node shows that it is alive, and how it watches others: heartbeat 1016h, 1017h and node guarding."""

from __future__ import annotations

from collections.abc import Callable

from opendiag.errors import SdoRefusal, WireError
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import NmtState
from opendiag.wire.sdo_abort import SdoAbortCode

_CONSUMER, _PRODUCER = 0x1016, 0x1017
_BASE = 0x700


class HeartbeatProducer:
    """Sends the state every 1017h milliseconds, and answers node guarding while that is 0."""

    def __init__(self, store: DictionaryStore, node_id: int, silent: bool) -> None:
        self._store = store
        self._can_id = _BASE + node_id
        self._silent = silent
        self._toggle = False
        self._next: float | None = None
        if (_PRODUCER, 0) in store.variables:
            store.on_write(_PRODUCER, 0, self._changed)

    @property
    def period(self) -> float:
        """Seconds; 0: no heartbeat."""
        raw = self._store.values.get((_PRODUCER, 0), b"")
        return 0.0 if self._silent else int.from_bytes(raw, "little") / 1000

    def start(self, now: float) -> None:
        """The node has booted."""
        self._toggle = False
        self._next = now + self.period if self.period else None

    def stop(self) -> None:
        self._next = None

    def _changed(self, data: bytes, now: float) -> None:
        self._next = now + self.period if self.period else None

    def frames(self, now: float, state: NmtState) -> list[Frame]:
        """The heartbeat, when it is due. One that is long overdue is sent once."""
        if self._next is None or now < self._next:
            return []
        self._next += self.period
        if self._next <= now:
            self._next = now + self.period
        return [Frame(self._can_id, ErrorControl(state).encode())]

    def deadline(self) -> float | None:
        return self._next

    def answer(self, frame: Frame, state: NmtState) -> list[Frame]:
        """The answer to the master's remote frame of node guarding."""
        asked = frame.remote and frame.can_id == self._can_id and not (frame.extended or frame.error)
        if not asked or self.period:
            return []
        answer = Frame(self._can_id, ErrorControl(state, self._toggle).encode())
        self._toggle = not self._toggle
        return [answer]


class HeartbeatConsumer:
    """Watches the nodes in 1016h, each from its first heartbeat on. ``lost`` and ``found`` get node-ID and time."""

    def __init__(
        self, store: DictionaryStore, lost: Callable[[int, float], None], found: Callable[[int, float], None]
    ) -> None:
        self._store = store
        self._lost, self._found = lost, found
        self._due: dict[int, float] = {}
        self._missing: set[int] = set()
        self._entries = sorted(sub for index, sub in store.variables if index == _CONSUMER and sub)
        for sub in self._entries:
            store.on_write(_CONSUMER, sub, self._changed)

    def reset(self) -> None:
        self._due.clear()
        self._missing.clear()

    def _watched(self) -> list[tuple[int, float]]:
        values = [int.from_bytes(self._store.values[_CONSUMER, sub], "little") for sub in self._entries]
        pairs = [(value >> 16 & 0xFF, (value & 0xFFFF) / 1000) for value in values]
        return [(node, time) for node, time in pairs if 1 <= node <= 127 and time]

    def _changed(self, data: bytes, now: float) -> None:
        nodes = [node for node, _ in self._watched()]
        if len(nodes) != len(set(nodes)):
            raise SdoRefusal(SdoAbortCode.PARAMETER_INCOMPATIBLE)
        self._due = {node: due for node, due in self._due.items() if node in nodes}

    def receive(self, frame: Frame, now: float) -> None:
        node = frame.can_id - _BASE
        if not 1 <= node <= 127 or frame.remote or frame.extended or frame.error:
            return
        time = dict(self._watched()).get(node)
        if time is None:
            return
        try:
            ErrorControl.decode(frame.data)
        except WireError:
            return
        self._due[node] = now + time
        if node in self._missing:
            self._missing.discard(node)
            self._found(node, now)

    def tick(self, now: float) -> None:
        for node in [node for node, due in self._due.items() if now >= due]:
            del self._due[node]
            self._missing.add(node)
            self._lost(node, now)

    def deadline(self) -> float | None:
        return min(self._due.values(), default=None)
