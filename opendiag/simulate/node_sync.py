"""SYNC on a simulated node: which frame is one (1005h), and the producer (1006h, 1019h)."""

from __future__ import annotations

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.sdo_abort import SdoAbortCode

_COB_ID, _PERIOD, _OVERFLOW = 0x1005, 0x1006, 0x1019
#: A shorter period is more than a bus can carry.
_SHORTEST_US = 100


class SyncService:
    """Bit 30 of 1005h makes the node the producer; it then sends as long as it is not stopped."""

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store
        self._next: float | None = None
        self._count = 1
        self._cob = self._configured()
        for index, hook in ((_COB_ID, self._moved), (_PERIOD, self._changed), (_OVERFLOW, self._counter_changed)):
            if (index, 0) in store.variables:
                store.on_write(index, 0, hook)

    def _number(self, index: int) -> int:
        return int.from_bytes(self._store.values.get((index, 0), b""), "little")

    def _configured(self) -> CobId:
        return CobId.decode(self._number(_COB_ID) or 0x80)

    def start(self, now: float) -> None:
        """The node has booted, or was told to go on."""
        self._cob = self._configured()
        self._changed(b"", now)

    def stop(self) -> None:
        self._next = None

    def _moved(self, data: bytes, now: float) -> None:
        new = self._configured()
        moved = (new.can_id, new.extended) != (self._cob.can_id, self._cob.extended)
        if (moved and self._cob.bit_30) or (not new.extended and is_restricted(new.can_id)):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        self._cob = new
        self._changed(data, now)

    def _changed(self, data: bytes, now: float) -> None:
        if 0 < self._number(_PERIOD) < _SHORTEST_US:
            raise SdoRefusal(SdoAbortCode.VALUE_TOO_LOW)
        period = self._number(_PERIOD) / 1e6
        self._next = now + period if self._cob.bit_30 and period else None
        self._count = 1

    def _counter_changed(self, data: bytes, now: float) -> None:
        if self._number(_PERIOD):
            raise SdoRefusal(SdoAbortCode.DEVICE_STATE)
        if data[0] == 1 or data[0] > 240:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)

    def is_sync(self, frame: Frame) -> bool:
        same = frame.can_id == self._cob.can_id and frame.extended == self._cob.extended
        return same and not (frame.remote or frame.error or frame.fd)

    def frames(self, now: float) -> list[Frame]:
        """The SYNC, when this node is to send it now."""
        period = self._number(_PERIOD) / 1e6
        if self._next is None or now < self._next or not period:
            return []
        self._next += period
        if self._next <= now:
            self._next = now + period
        overflow = self._number(_OVERFLOW)
        data = bytes([self._count]) if overflow else b""
        self._count = self._count % overflow + 1 if overflow else 1
        return [Frame(self._cob.can_id, data, extended=self._cob.extended)]

    def deadline(self) -> float | None:
        return self._next
