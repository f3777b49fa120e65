"""The objects by which a simulated node takes part in SYNC and TIME: 1005h, 1006h, 1012h and 1019h."""

from __future__ import annotations

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sync import SyncConsumer, SyncProducer
from opendiag.services.time_stamp import TimeConsumer, TimeProducer
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sync import MAX_COUNTER
from opendiag.wire.time_stamp import TimeOfDay

_SYNC, _PERIOD, _TIME, _OVERFLOW = 0x1005, 0x1006, 0x1012, 0x1019
#: A shorter period is more than a bus can carry.
_SHORTEST_US = 100
_BEGINNING = TimeOfDay(0, 0)


def _check_move(new: CobId, old: CobId, in_use: bool) -> None:
    moved = (new.can_id, new.extended) != (old.can_id, old.extended)
    if (moved and in_use) or (not new.extended and is_restricted(new.can_id)):
        raise SdoRefusal(SdoAbortCode.INVALID_VALUE)


class SyncObjects:
    """Bit 30 of 1005h makes the node the producer; it then sends as long as it is not stopped."""

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store
        self.producer = SyncProducer()
        self.consumer = SyncConsumer()
        self._load()
        for index, hook in ((_SYNC, self._moved), (_PERIOD, self._changed), (_OVERFLOW, self._counter_changed)):
            if (index, 0) in store.variables:
                store.on_write(index, 0, hook)

    def _number(self, index: int) -> int:
        return int.from_bytes(self._store.values.get((index, 0), b""), "little")

    def _load(self) -> None:
        overflow = self._number(_OVERFLOW)
        overflow = overflow if 2 <= overflow <= MAX_COUNTER else 0  # a file may have any default
        self.producer.cob = self.consumer.cob = CobId.decode(self._number(_SYNC) or 0x80)
        self.producer.period_s = self._number(_PERIOD) / 1e6
        self.producer.overflow = self.consumer.overflow = overflow

    def start(self, now: float) -> None:
        """The node has booted, or is stopped no more: the counter begins with 1."""
        self._load()
        self.consumer.reset()
        if self.producer.cob.bit_30:
            self.producer.start(now)
        else:
            self.producer.stop()

    def stop(self) -> None:
        self.producer.stop()

    def _moved(self, data: bytes, now: float) -> None:
        old = self.producer.cob
        _check_move(CobId.decode(self._number(_SYNC)), old, old.bit_30)
        self.start(now)

    def _changed(self, data: bytes, now: float) -> None:
        if 0 < self._number(_PERIOD) < _SHORTEST_US:
            raise SdoRefusal(SdoAbortCode.VALUE_TOO_LOW)
        self.start(now)

    def _counter_changed(self, data: bytes, now: float) -> None:
        if self._number(_PERIOD):
            raise SdoRefusal(SdoAbortCode.DEVICE_STATE)
        if data[0] == 1 or data[0] > MAX_COUNTER:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        self.start(now)

    def is_sync(self, frame: Frame) -> bool:
        return self.consumer.is_sync(frame)

    def frames(self, now: float) -> list[Frame]:
        """The SYNC, when this node is to send it now."""
        self.producer.tick(now)
        return self.producer.frames_to_send()

    def deadline(self) -> float | None:
        return self.producer.deadline()


class TimeObjects:
    """Bit 31 of 1012h: the node keeps the TIME it is told. Bit 30: it may tell it, when `produce` says how often.

    Its clock starts at 1984-01-01 with power.
    """

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store
        self._on_since = 0.0
        self.producer = TimeProducer(time_of_day=self.time_of_day)
        self.consumer = TimeConsumer()
        self._load()
        if (_TIME, 0) in store.variables:
            store.on_write(_TIME, 0, self._moved)

    def power_on(self, now: float) -> None:
        """The clock starts."""
        self._on_since = now
        self.consumer.latest = None

    def time_of_day(self, now: float) -> TimeOfDay:
        """What the node's clock shows."""
        return self.consumer.time_of_day(now) or _BEGINNING.later(now - self._on_since)

    def produce(self, period_s: float, now: float) -> None:
        """Tell the time every ``period_s`` seconds, at once for the first time; 0: no more."""
        self.producer.period_s = period_s
        self.producer.start(now)

    def _load(self) -> None:
        value = int.from_bytes(self._store.values.get((_TIME, 0), b""), "little")
        self.producer.cob = self.consumer.cob = CobId.decode(value or 0x100)

    def start(self, now: float) -> None:
        """The node has booted."""
        self._load()
        self.producer.start(now)

    def stop(self) -> None:
        self.producer.stop()

    def _moved(self, data: bytes, now: float) -> None:
        old = self.producer.cob
        _check_move(CobId.decode(int.from_bytes(data, "little")), old, old.bit_30 or old.bit_31)
        self._load()

    def receive(self, frame: Frame, now: float) -> None:
        if self.consumer.cob.bit_31:
            self.consumer.receive(frame, now)

    def frames(self, now: float) -> list[Frame]:
        """The TIME, when this node is to send it now."""
        self.producer.tick(now)
        frames = self.producer.frames_to_send()
        return frames if self.producer.cob.bit_30 else []

    def deadline(self) -> float | None:
        return self.producer.deadline() if self.producer.cob.bit_30 else None
