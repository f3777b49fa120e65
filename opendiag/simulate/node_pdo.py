"""The PDOs of a simulated node: when they are sent, what a received one writes, and who may change them.

A first form: transmission types 0..240, 254 and 255. PDOs that are asked for by remote frame (252, 253) and
multiplexed ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from opendiag.dictionary import datatypes
from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.pdo import MappingEntry, unpack
from opendiag.wire.sdo_abort import SdoAbortCode

_RPDO, _TPDO = range(0x1400, 0x1600), range(0x1800, 0x1A00)
_TO_MAPPING = 0x200
_LAST_SYNC_TYPE = 240
_EVENT_TYPES = (254, 255)
_MAX_BITS = 64
_UNUSED = CobId(0, bit_31=True)
#: How often event-driven TPDOs are compared with what was sent last.
SAMPLE_S = 0.01
_READABLE = ("ro", "rw", "rwr", "rww", "const", "")
_WRITABLE = ("wo", "rw", "rww", "rwr", "")


@dataclass(slots=True)
class Pdo:
    """One PDO as it is configured now. ``inhibit`` and ``event`` in seconds."""

    index: int
    cob: CobId = _UNUSED
    kind: int = 255
    inhibit: float = 0.0
    event: float = 0.0
    entries: list[MappingEntry] = field(default_factory=list)
    sent: bytes | None = None
    sent_at: float = float("-inf")
    looked_at: float = float("-inf")
    syncs: int = 0
    staged: bytes | None = None

    @property
    def active(self) -> bool:
        return not self.cob.bit_31 and bool(self.entries)

    @property
    def bits(self) -> int:
        return sum(entry.bits for entry in self.entries)

    def carries(self, frame: Frame) -> bool:
        same = frame.can_id == self.cob.can_id and frame.extended == self.cob.extended
        return same and self.active and not (frame.remote or frame.error or frame.fd)

    def frame(self, data: bytes) -> Frame:
        return Frame(self.cob.can_id, data, extended=self.cob.extended)

    def due(self) -> float | None:
        """When an event-driven PDO is to be looked at again."""
        if not self.active or self.kind not in _EVENT_TYPES:
            return None
        look = self.looked_at + SAMPLE_S
        if self.event:
            look = min(look, self.sent_at + self.event)
        return max(look, self.sent_at + self.inhibit)


class PdoSet:
    """All PDOs of a node. ``too_short(index)`` is called for a received PDO with less data than it maps."""

    def __init__(self, store: DictionaryStore, too_short: Callable[[Pdo, float], None]) -> None:
        self._store = store
        self._too_short = too_short
        self.running = False
        self.tpdos = [Pdo(index) for index in sorted(store.dictionary.objects) if index in _TPDO]
        self.rpdos = [Pdo(index) for index in sorted(store.dictionary.objects) if index in _RPDO]
        for pdo in (*self.tpdos, *self.rpdos):
            self._watch(pdo)
            self._load(pdo)

    # --- configuration ----------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Take all parameters from the store again, after a reset."""
        for pdo in (*self.tpdos, *self.rpdos):
            self._load(pdo)
            pdo.staged = None

    def _load(self, pdo: Pdo) -> None:
        pdo.cob = CobId.decode(self._number(pdo.index, 1, 1 << 31))
        pdo.kind = self._number(pdo.index, 2, 255)
        pdo.inhibit = self._number(pdo.index, 3, 0) / 10_000 if pdo.index in _TPDO else 0.0
        pdo.event = self._number(pdo.index, 5, 0) / 1000
        self._load_mapping(pdo)

    def _load_mapping(self, pdo: Pdo) -> None:
        mapping = pdo.index + _TO_MAPPING
        slots = range(1, self._number(mapping, 0, 0) + 1)
        pdo.entries = [MappingEntry.decode(self._number(mapping, slot, 0)) for slot in slots]
        if pdo.bits > _MAX_BITS or not all(entry.bits for entry in pdo.entries):
            pdo.entries = []
        pdo.sent, pdo.sent_at, pdo.syncs = None, float("-inf"), 0

    def _number(self, index: int, subindex: int, otherwise: int) -> int:
        raw = self._store.values.get((index, subindex))
        return otherwise if raw is None else int.from_bytes(raw, "little")

    def _watch(self, pdo: Pdo) -> None:
        mapping = pdo.index + _TO_MAPPING
        for subindex, check in ((1, self._check_cob), (2, self._check_kind), (3, None), (5, None)):
            self._store.on_write(pdo.index, subindex, self._hook(pdo, check))
        for index, subindex in self._store.variables:
            if index == mapping:
                hook = self._hook(pdo, self._entry_check(subindex) if subindex else self._check_count)
                self._store.on_write(mapping, subindex, hook)

    def _hook(self, pdo: Pdo, check: Callable[[Pdo, int], None] | None) -> Callable[[bytes, float], float]:
        def written(data: bytes, now: float) -> float:
            if check is not None:
                check(pdo, int.from_bytes(data, "little"))
            self._load(pdo)
            return 0.0

        return written

    def _check_cob(self, pdo: Pdo, value: int) -> None:
        new = CobId.decode(value)
        if new.bit_31:
            return
        moved = (new.can_id, new.extended) != (pdo.cob.can_id, pdo.cob.extended)
        if (moved and not pdo.cob.bit_31) or (not new.extended and is_restricted(new.can_id)):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)

    def _check_kind(self, pdo: Pdo, value: int) -> None:
        if value > _LAST_SYNC_TYPE and value not in _EVENT_TYPES:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)

    def _entry_check(self, subindex: int) -> Callable[[Pdo, int], None]:
        def check(pdo: Pdo, value: int) -> None:
            if not pdo.cob.bit_31 or self._number(pdo.index + _TO_MAPPING, 0, 0):
                raise SdoRefusal(SdoAbortCode.UNSUPPORTED_ACCESS)
            if value:
                self._check_entry(pdo, MappingEntry.decode(value))

        return check

    def _check_entry(self, pdo: Pdo, entry: MappingEntry) -> None:
        if entry.is_dummy and pdo.index in _RPDO:
            return
        variable = self._store.variables.get((entry.index, entry.subindex))
        if variable is None:
            known = entry.index in self._store.dictionary.objects
            raise SdoRefusal(SdoAbortCode.NO_SUCH_SUBINDEX if known else SdoAbortCode.NO_SUCH_OBJECT)
        fits = entry.bits == datatypes.bit_width(variable.data_type)
        right = variable.access in (_READABLE if pdo.index in _TPDO else _WRITABLE)
        if not (variable.pdo_mappable and fits and right):
            raise SdoRefusal(SdoAbortCode.CANNOT_BE_MAPPED)

    def _check_count(self, pdo: Pdo, value: int) -> None:
        if not pdo.cob.bit_31:
            raise SdoRefusal(SdoAbortCode.UNSUPPORTED_ACCESS)
        if value > 0x40:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        mapping = pdo.index + _TO_MAPPING
        if any((mapping, slot) not in self._store.variables for slot in range(1, value + 1)):
            raise SdoRefusal(SdoAbortCode.PDO_TOO_LONG)
        entries = [MappingEntry.decode(self._number(mapping, slot, 0)) for slot in range(1, value + 1)]
        for entry in entries:
            self._check_entry(pdo, entry)
        if sum(entry.bits for entry in entries) > _MAX_BITS:
            raise SdoRefusal(SdoAbortCode.PDO_TOO_LONG)

    # --- traffic ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The node is OPERATIONAL: event-driven PDOs are sent once, whatever they hold."""
        self.running = True
        for pdo in self.tpdos:
            pdo.sent, pdo.sent_at, pdo.looked_at, pdo.syncs = None, float("-inf"), float("-inf"), 0

    def stop(self) -> None:
        """The node has left OPERATIONAL. What waited for a SYNC is gone."""
        self.running = False
        for pdo in self.rpdos:
            pdo.staged = None

    def receive(self, frame: Frame, now: float) -> bool:
        """Take a received PDO; True if the frame was one and has changed something at once."""
        changed = False
        for pdo in self.rpdos if self.running else ():
            if not pdo.carries(frame):
                continue
            if 8 * len(frame.data) < pdo.bits:
                self._too_short(pdo, now)
            elif pdo.kind <= _LAST_SYNC_TYPE:
                pdo.staged = frame.data
            else:
                self._apply(pdo, frame.data, now)
                changed = True
        return changed

    def sync(self, now: float) -> list[Frame]:
        """A SYNC has come: sample what is to be sent first, then let the received values act."""
        if not self.running:
            return []
        frames = [frame for pdo in self.tpdos if (frame := self._at_sync(pdo, now))]
        for pdo in self.rpdos:
            if pdo.staged is not None:
                data, pdo.staged = pdo.staged, None
                self._apply(pdo, data, now)
        return frames

    def _at_sync(self, pdo: Pdo, now: float) -> Frame | None:
        if not pdo.active or pdo.kind > _LAST_SYNC_TYPE:
            return None
        pdo.syncs += 1
        if pdo.kind and pdo.syncs < pdo.kind:
            return None
        data = self._sample(pdo, now)
        if not pdo.kind and data == pdo.sent:
            return None
        pdo.syncs, pdo.sent, pdo.sent_at = 0, data, now
        return pdo.frame(data)

    def poll(self, now: float, *, at_once: bool = False) -> list[Frame]:
        """Event-driven PDOs that are due. ``at_once``: something was written, do not wait for the next sample."""
        frames = []
        for pdo in self.tpdos if self.running else ():
            due = pdo.due()
            if due is None or now < (pdo.sent_at + pdo.inhibit if at_once else due):
                continue
            pdo.looked_at = now
            data = self._sample(pdo, now)
            if data != pdo.sent or (pdo.event and now >= pdo.sent_at + pdo.event):
                pdo.sent, pdo.sent_at = data, now
                frames.append(pdo.frame(data))
        return frames

    def deadline(self) -> float | None:
        """When `poll` is wanted."""
        if not self.running:
            return None
        return min((due for pdo in self.tpdos if (due := pdo.due()) is not None), default=None)

    def _sample(self, pdo: Pdo, now: float) -> bytes:
        whole = offset = 0
        for entry in pdo.entries:
            whole |= (self._read(entry, now) & (1 << entry.bits) - 1) << offset
            offset += entry.bits
        return whole.to_bytes((offset + 7) // 8, "little")

    def _read(self, entry: MappingEntry, now: float) -> int:
        try:
            raw = self._store.read(entry.index, entry.subindex, now)
        except SdoRefusal:
            return 0
        return int.from_bytes(raw, "little") if isinstance(raw, bytes) else 0

    def _apply(self, pdo: Pdo, data: bytes, now: float) -> None:
        """Write the mapped objects in order. One that refuses its value keeps the old one."""
        values = unpack(data, [entry.bits for entry in pdo.entries])
        for entry, value in zip(pdo.entries, values, strict=False):
            if entry.is_dummy:
                continue
            raw = value.to_bytes((entry.bits + 7) // 8, "little")
            try:
                self._store.check_write(entry.index, entry.subindex, len(raw), now)
                self._store.write(entry.index, entry.subindex, raw, now)
            except SdoRefusal:
                continue
