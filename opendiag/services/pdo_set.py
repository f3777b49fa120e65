"""All PDOs of a device, on the objects it keeps in a store: who changes them, what they carry and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from opendiag.dictionary import datatypes
from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.pdo_consumer import PdoError, PdoTrouble, RPdo
from opendiag.services.pdo_multiplexed import MpdoProducer, dispatched, scanned
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.services.pdo_producer import TPdo
from opendiag.services.pdo_rules import PdoRules
from opendiag.wire.pdo import (
    DAM_MPDO,
    MAX_PDOS,
    RPDO_OBJECTS,
    TPDO_OBJECTS,
    MappingEntry,
    Mpdo,
    communication_index,
    mapping_index,
    sign_extend,
    unpack,
)

#: How often event-driven TPDOs are compared with what was sent last.
SAMPLE_S = 0.01
_MAX_BITS = 64
_MPDO_BYTES = 4


_Producer = TypeVar("_Producer", TPdo, MpdoProducer)


class PdoSet:
    """``trouble(event)`` is called when something is wrong with a received PDO, and when it is over: an EMCY each.

    ``refused`` counts values of received PDOs that their objects did not take: those keep what they had.
    """

    def __init__(
        self, store: DictionaryStore, trouble: Callable[[PdoTrouble], None], *, look_s: float | None = SAMPLE_S
    ) -> None:
        self._store = store
        self._trouble = trouble
        self._look_s = look_s
        self._rules = PdoRules(store)
        self.running = False
        self.refused = 0
        self.reload()
        for number in self._numbers(RPDO_OBJECTS[0]):
            self._watch(False, number)
        for number in self._numbers(TPDO_OBJECTS[0]):
            self._watch(True, number)

    def _numbers(self, first: int) -> list[int]:
        return [index - first + 1 for index in sorted(self._store.dictionary.objects) if 0 <= index - first < MAX_PDOS]

    # --- configuration ----------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Take all parameters from the store again, after a reset."""
        self.tpdos = [self._tpdo(number) for number in self._numbers(TPDO_OBJECTS[0])]
        self.mpdos = [self._mpdo(tpdo.parameters) for tpdo in self.tpdos]
        self.rpdos = [self._rpdo(number) for number in self._numbers(RPDO_OBJECTS[0])]
        self._machines: list[TPdo | MpdoProducer | RPdo] = [*self.tpdos, *self.mpdos, *self.rpdos]
        for machine in self._machines:
            machine.running = self.running
        self._select()

    def _select(self) -> None:
        """Those that have something to do: most of a device's PDOs are switched off."""
        self._producing: list[TPdo | MpdoProducer] = [t for t in self.tpdos if t.parameters.active]
        self._producing += [mpdo for mpdo in self.mpdos if mpdo.parameters.valid and mpdo.parameters.multiplexed]
        self._consuming = [rpdo for rpdo in self.rpdos if rpdo.parameters.active]
        self._watched = [rpdo for rpdo in self._consuming if rpdo.parameters.event_s]

    def parameters(self, transmit: bool, number: int) -> PdoParameters:
        """As they are in the store now. A mapping that does not fit a frame maps nothing."""
        read = PdoParameters.from_objects(self._rules.number_at, transmit, number)
        return read if read.bits <= _MAX_BITS else replace(read, entries=())

    def _tpdo(self, number: int) -> TPdo:
        def sample(now: float) -> bytes:
            return self._sample(made.parameters.entries, now)

        made = TPdo(self.parameters(True, number), sample, self._look_s)
        return made

    def _mpdo(self, parameters: PdoParameters) -> MpdoProducer:
        return MpdoProducer(parameters, self._store.node_id, self._scan, self._look_s)

    def _rpdo(self, number: int) -> RPdo:
        def apply(data: bytes, now: float) -> None:
            self._apply(made, data, now)

        made = RPdo(self.parameters(False, number), apply)
        return made

    def _watch(self, transmit: bool, number: int) -> None:
        for index in (communication_index(transmit, number), mapping_index(transmit, number)):
            found = self._store.dictionary.objects.get(index)
            for subindex in found.members if found else ():
                self._store.on_write(index, subindex, self._hook(transmit, number, index, subindex))

    def _hook(self, transmit: bool, number: int, index: int, subindex: int) -> Callable[[bytes, float], float]:
        def written(data: bytes, now: float) -> float:
            which = (transmit, number)
            machines = [m for m in self._machines if (m.parameters.transmit, m.parameters.number) == which]
            self._rules.check(machines[0].parameters, index, subindex, int.from_bytes(data, "little"))
            new = self.parameters(transmit, number)
            for machine in machines:
                machine.configure(new, now)
            self._select()
            self._tell(self.rpdos)
            return 0.0

        return written

    # --- traffic ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The node is OPERATIONAL: event-driven PDOs are sent once, whatever they hold."""
        self.running = True
        for machine in self._machines:
            machine.start()

    def stop(self) -> None:
        """The node has left OPERATIONAL. What waited for a SYNC is gone."""
        self.running = False
        for machine in self._machines:
            machine.stop()

    def receive(self, frame: Frame, now: float) -> bool:
        """Take a received PDO or a remote frame; True if it was for one of these PDOs. Then call `poll`."""
        if not self.running:
            return False
        if frame.remote:
            for tpdo in self.tpdos:
                tpdo.receive(frame, now)
            return False
        meant = [rpdo for rpdo in self._consuming if rpdo.carries(frame)]
        for rpdo in meant:
            rpdo.receive(frame, now)
        self._tell(meant)
        return bool(meant)

    def sync(self, now: float, counter: int | None = None) -> list[Frame]:
        """A SYNC has come: sample what is to be sent first, then let the received values act."""
        for tpdo in self.tpdos:
            tpdo.sync(now, counter)
        for rpdo in self._consuming:
            rpdo.sync(now)
        self._tell(self._consuming)
        return self._frames()

    def poll(self, now: float, *, at_once: bool = False) -> list[Frame]:
        """Frames that are due. ``at_once``: something was written, do not wait for the next look."""
        if not self.running:
            return []
        for producer in self._producing:
            if at_once:
                producer.look(now)
            else:
                producer.tick(now)
        for rpdo in self._watched:
            rpdo.tick(now)
        self._tell(self._watched)
        return self._frames()

    def trigger(self, number: int, now: float) -> None:
        """An event of TPDO ``number`` (1..512) that its data do not show. Raise LookupError when there is none."""
        _numbered(self.tpdos, number).trigger(now)

    def send_mpdo(self, number: int, mpdo: Mpdo, now: float) -> bool:
        """Send by TPDO ``number``; False when it is no multiplexed one or not on. Raise LookupError as `trigger`."""
        return _numbered(self.mpdos, number).send(mpdo, now)

    def _frames(self) -> list[Frame]:
        return [frame for producer in self._producing for frame in producer.frames_to_send()]

    def _tell(self, rpdos: list[RPdo]) -> None:
        for rpdo in rpdos:
            for event in rpdo.events():
                self._trouble(event)

    def deadline(self) -> float | None:
        """When `poll` is wanted."""
        if not self.running:
            return None
        times = [machine.deadline() for machine in (*self._producing, *self._watched)]
        return min((time for time in times if time is not None), default=None)

    # --- values -----------------------------------------------------------------------------------------------------

    def _sample(self, entries: tuple[MappingEntry, ...], now: float) -> bytes:
        whole = offset = 0
        for entry in entries:
            whole |= (self._read(entry, now) & (1 << entry.bits) - 1) << offset
            offset += entry.bits
        return whole.to_bytes((offset + 7) // 8, "little")

    def _read(self, entry: MappingEntry, now: float) -> int:
        raw = self._raw(entry.index, entry.subindex, now) or b""
        return int.from_bytes(raw, "little", signed=self._is_signed(entry.index, entry.subindex))

    def _raw(self, index: int, subindex: int, now: float) -> bytes | None:
        try:
            raw = self._store.read(index, subindex, now)
        except SdoRefusal:
            return None
        return raw if isinstance(raw, bytes) else None

    def _is_signed(self, index: int, subindex: int) -> bool:
        variable = self._store.variables.get((index, subindex))
        return variable is not None and datatypes.is_signed(variable.data_type)

    def _scan(self, now: float) -> Iterator[tuple[int, int, bytes]]:
        for index, subindex in scanned(self._rules.number_at):
            raw = self._raw(index, subindex, now)
            if raw is not None and len(raw) <= _MPDO_BYTES:
                yield index, subindex, raw

    def _apply(self, rpdo: RPdo, data: bytes, now: float) -> None:
        """Write the mapped objects in order. One that refuses its value keeps the old one."""
        if rpdo.parameters.multiplexed:
            self._apply_mpdo(rpdo, Mpdo.decode(data), now)
            return
        entries = rpdo.parameters.entries
        for entry, bits in zip(entries, unpack(data, [entry.bits for entry in entries]), strict=True):
            if not entry.is_dummy and not self._write(entry, bits, now):
                self.refused += 1

    def _apply_mpdo(self, rpdo: RPdo, mpdo: Mpdo, now: float) -> None:
        by_destination = rpdo.parameters.multiplexed == DAM_MPDO
        if by_destination != mpdo.destination:
            return
        if not by_destination:
            for index, subindex in dispatched(self._rules.number_at, mpdo):
                self.refused += not self._write_mpdo(index, subindex, mpdo.data, now)
        elif mpdo.node_id in (0, self._store.node_id):
            if self._write_mpdo(mpdo.index, mpdo.subindex, mpdo.data, now):
                rpdo.settle({PdoError.NO_DESTINATION}, now)
            else:
                self.refused += 1
                rpdo.tell(PdoError.NO_DESTINATION, now)

    def _write_mpdo(self, index: int, subindex: int, data: bytes, now: float) -> bool:
        width = self._store.width(index, subindex) or _MPDO_BYTES
        variable = self._store.variables.get((index, subindex))
        if variable is None or not variable.pdo_mappable or width > _MPDO_BYTES:
            return False
        return self._store_bytes(index, subindex, data[:width], now)

    def _write(self, entry: MappingEntry, bits: int, now: float) -> bool:
        """The mapped width is the object's own, or the value must fit it."""
        size = self._store.width(entry.index, entry.subindex) or (entry.bits + 7) // 8
        signed = self._is_signed(entry.index, entry.subindex)
        try:
            raw = (sign_extend(bits, entry.bits) if signed else bits).to_bytes(size, "little", signed=signed)
        except OverflowError:
            return False
        return self._store_bytes(entry.index, entry.subindex, raw, now)

    def _store_bytes(self, index: int, subindex: int, raw: bytes, now: float) -> bool:
        try:
            self._store.check_write(index, subindex, len(raw), now)
            self._store.write(index, subindex, raw, now)
        except SdoRefusal:
            return False
        return True


def _numbered(machines: list[_Producer], number: int) -> _Producer:
    for machine in machines:
        if machine.parameters.number == number:
            return machine
    raise LookupError(f"there is no TPDO{number}")
