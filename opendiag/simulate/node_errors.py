"""What a simulated node tells about errors: EMCY messages, error register 1001h and error history 1003h."""

from __future__ import annotations

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.emcy import Emcy
from opendiag.wire.sdo_abort import SdoAbortCode

_REGISTER, _HISTORY, _COB_ID, _INHIBIT = 0x1001, 0x1003, 0x1014, 0x1015


class EmcyProducer:
    """Queues messages for as long as the inhibit time 1015h asks for it."""

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store
        self._waiting: list[Emcy] = []
        self._free_at = float("-inf")
        if (_HISTORY, 0) in store.variables:
            store.on_write(_HISTORY, 0, self._clear)
        self._cob = self._configured()
        if (_COB_ID, 0) in store.variables:
            store.on_write(_COB_ID, 0, self._move)

    def reset(self) -> None:
        """Forget what was still to be sent; the history is the store's."""
        self._waiting.clear()
        self._free_at = float("-inf")
        self._cob = self._configured()

    def report(self, code: int, register: int, data: bytes, now: float) -> None:
        """Take an error into register and history, and send it. Code 0 is no entry of the history."""
        emcy = Emcy(code, register, data.ljust(5, b"\0")[:5])
        if (_REGISTER, 0) in self._store.values:
            self._store.set(_REGISTER, 0, register)
        if code:
            self._remember(code | int.from_bytes(emcy.manufacturer[:2], "little") << 16)
        self._waiting.append(emcy)

    def _remember(self, entry: int) -> None:
        values = self._store.values
        slots = 0
        while (_HISTORY, slots + 1) in values:  # a file may list the first and the last one only
            slots += 1
        if not slots:
            return
        count = min(int.from_bytes(values[_HISTORY, 0], "little") + 1, slots)
        for slot in range(count, 1, -1):
            values[_HISTORY, slot] = values[_HISTORY, slot - 1]
        values[_HISTORY, 1] = entry.to_bytes(4, "little")
        values[_HISTORY, 0] = bytes([count])

    def _clear(self, data: bytes, now: float) -> None:
        if any(data):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        for index, sub in self._store.values:
            if index == _HISTORY and sub:
                self._store.values[index, sub] = bytes(4)

    def _configured(self) -> CobId:
        raw = self._store.values.get((_COB_ID, 0))
        return CobId(0x80 + self._store.node_id) if raw is None else CobId.decode(int.from_bytes(raw, "little"))

    def _move(self, data: bytes, now: float) -> None:
        new, old = CobId.decode(int.from_bytes(data, "little")), self._cob
        moved = (new.can_id, new.extended) != (old.can_id, old.extended)
        if (moved and not (old.bit_31 or new.bit_31)) or (not new.extended and is_restricted(new.can_id)):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        self._cob = new

    def frames(self, now: float, allowed: bool) -> list[Frame]:
        """Messages that are due. Not ``allowed`` (node stopped): they are dropped."""
        if not allowed or self._cob.bit_31:
            self._waiting.clear()
        raw = self._store.values.get((_INHIBIT, 0), b"")
        inhibit = int.from_bytes(raw, "little") / 10_000
        frames = []
        while self._waiting and now >= self._free_at:
            frames.append(Frame(self._cob.can_id, self._waiting.pop(0).encode(), extended=self._cob.extended))
            self._free_at = now + inhibit if inhibit else self._free_at
        return frames

    def deadline(self) -> float | None:
        return self._free_at if self._waiting else None
