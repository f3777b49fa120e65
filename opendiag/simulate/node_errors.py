"""The objects by which a simulated node tells about errors: 1001h, 1003h, 1014h, 1015h and 1029h."""

from __future__ import annotations

from collections.abc import Hashable

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.emcy import EmcyProducer
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.emcy import ErrorEntry
from opendiag.wire.sdo_abort import SdoAbortCode

_REGISTER, _HISTORY, _COB_ID, _INHIBIT, _BEHAVIOUR = 0x1001, 0x1003, 0x1014, 0x1015, 0x1029
_GENERIC, _COMMUNICATION = 0x01, 0x10


class ErrorObjects:
    """An EMCY producer whose register, history, COB-ID and inhibit time are objects.

    Communication errors are kept by a key until they are over: as long as there is one, its bits stay in 1001h.
    """

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store
        self._failures: set[Hashable] = set()
        slots = 0
        while (_HISTORY, slots + 1) in store.variables:  # a file may list the first and the last one only
            slots += 1
        self.producer = EmcyProducer(self._configured(), slots=slots)
        for index, hook in ((_HISTORY, self._clear), (_COB_ID, self._move), (_INHIBIT, self._set_inhibit)):
            if (index, 0) in store.variables:
                store.on_write(index, 0, hook)
        self.reload()

    def reload(self) -> None:
        """Take everything from the store again, after a reset; what was still to be sent is forgotten."""
        self.producer.reset()
        self._failures.clear()
        self.producer.cob = self._configured()
        self._set_inhibit(b"", 0.0)
        self.producer.register = self.register
        self.producer.history.clear()
        for slot in range(1, min(self._number(_HISTORY), self.producer.history.maxlen or 0) + 1):
            self.producer.history.append(ErrorEntry.decode(self._store.values[_HISTORY, slot]))

    def _number(self, index: int, subindex: int = 0) -> int:
        return int.from_bytes(self._store.values.get((index, subindex), b""), "little")

    @property
    def register(self) -> int:
        """1001h."""
        return self._number(_REGISTER)

    @property
    def behaviour(self) -> int:
        """What a communication error does to the NMT state: 1029h:01."""
        return self._number(_BEHAVIOUR, 1)

    @property
    def failing(self) -> frozenset[Hashable]:
        """Keys of the communication errors that are there."""
        return frozenset(self._failures)

    # --- reporting --------------------------------------------------------------------------------------------------

    def report(self, code: int, register: int, data: bytes, now: float) -> None:
        """Take an error into register and history, and send it. Code 0 is no entry of the history."""
        register |= (_GENERIC | _COMMUNICATION) if self._failures else 0
        self.producer.report(code, register, data, now)
        if (_REGISTER, 0) in self._store.values:
            self._store.set(_REGISTER, 0, register)
        history = self.producer.history
        for slot, entry in enumerate(history, 1):
            self._store.values[_HISTORY, slot] = entry.encode()
        if history:
            self._store.values[_HISTORY, 0] = bytes([len(history)])

    def fail(self, key: Hashable, code: int, data: bytes, now: float) -> bool:
        """A communication error begins; False: it is there already, and nothing is sent."""
        if key in self._failures:
            return False
        self._failures.add(key)
        self.report(code, self.register, data, now)
        return True

    def recover(self, key: Hashable, now: float) -> None:
        """It is over. Nothing is sent if it was not there."""
        if key not in self._failures:
            return
        self._failures.discard(key)
        register = self.register & ~_COMMUNICATION
        self.report(0, register if register & ~_GENERIC else 0, b"", now)

    # --- objects ----------------------------------------------------------------------------------------------------

    def _clear(self, data: bytes, now: float) -> None:
        if any(data):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        self.producer.history.clear()
        for index, sub in self._store.values:
            if index == _HISTORY and sub:
                self._store.values[index, sub] = bytes(4)

    def _configured(self) -> CobId:
        raw = self._store.values.get((_COB_ID, 0))
        return CobId(0x80 + self._store.node_id) if raw is None else CobId.decode(int.from_bytes(raw, "little"))

    def _move(self, data: bytes, now: float) -> None:
        new, old = CobId.decode(int.from_bytes(data, "little")), self.producer.cob
        moved = (new.can_id, new.extended) != (old.can_id, old.extended)
        if (moved and not (old.bit_31 or new.bit_31)) or (not new.extended and is_restricted(new.can_id)):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        self.producer.cob = new

    def _set_inhibit(self, data: bytes, now: float) -> None:
        self.producer.inhibit_s = self._number(_INHIBIT) / 10_000

    # --- the machine ------------------------------------------------------------------------------------------------

    def frames(self, now: float, allowed: bool) -> list[Frame]:
        """Messages that are due. Not ``allowed`` (node stopped): they are dropped."""
        self.producer.allowed = allowed
        self.producer.tick(now)
        return self.producer.frames_to_send()

    def deadline(self) -> float | None:
        return self.producer.deadline()
