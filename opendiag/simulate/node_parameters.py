"""Store and restore parameters on a simulated node: 1010h and 1011h with their signatures."""

from __future__ import annotations

from collections.abc import Callable

from opendiag.errors import SdoRefusal
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.sdo_abort import SdoAbortCode

_STORE, _RESTORE = 0x1010, 0x1011
_SAVE, _LOAD = b"save", b"load"
#: What a subindex stands for; higher ones are the manufacturer's.
_AREAS = {1: range(0x1000, 0x10000), 2: range(0x1000, 0x2000), 3: range(0x6000, 0xA000)}
_MANUFACTURER = range(0x2000, 0x6000)
#: Commands and records of what has happened: no parameters.
_VOLATILE = frozenset((0x1003, _STORE, _RESTORE, 0x6040))
_SAVES_ON_COMMAND = 1


class ParameterService:
    """``duration(now)`` gives the seconds that storing takes; the SDO answer comes at their end."""

    def __init__(self, store: DictionaryStore, duration: Callable[[float], float]) -> None:
        self._store = store
        self._duration = duration
        for index, subindex in list(store.variables):
            if subindex and index in (_STORE, _RESTORE):
                store.on_write(index, subindex, self._hook(index, subindex))
                store.on_read(index, subindex, lambda now: _SAVES_ON_COMMAND.to_bytes(4, "little"))

    def _hook(self, index: int, subindex: int) -> Callable[[bytes, float], float]:
        def written(data: bytes, now: float) -> float:
            if data != (_SAVE if index == _STORE else _LOAD):
                raise SdoRefusal(SdoAbortCode.CANNOT_STORE)
            indices = _AREAS.get(subindex, _MANUFACTURER)
            area = {i for i in self._store.dictionary.objects if i in indices and i not in _VOLATILE}
            if index == _RESTORE:
                self._store.forget(area)
                return 0.0
            self._store.save(area)
            return self._duration(now)

        return written
