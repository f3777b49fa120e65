"""Where a scope gets its samples: TPDOs that are there, a free TPDO mapped for it, SDO polling.

What is changed in the device is read first and written back by `Mapped.put_back`. The node's NMT state is never
changed: a drive that leaves OPERATIONAL may stop its motor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.dictionary.model import object_text
from opendiag.errors import ObjectNotFound, OpenDiagError, PdoMappingRefused, SdoAborted, SdoError, ValueRefused
from opendiag.master.node import Node
from opendiag.master.node_pdo import Tpdo
from opendiag.services.pdo_parameters import (
    COB_ID,
    CYCLIC,
    EVENT_DRIVEN,
    EVENT_TIMER,
    INHIBIT_TIME,
    TRANSMISSION_TYPE,
    PdoParameters,
)
from opendiag.services.pdo_plans import MAX_PDO_BITS, PdoSettings, map_pdo
from opendiag.wire.cob_id import CobId, Service
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import MappingEntry

Key = tuple[int, int]
#: Free in the predefined connection set, and of lower priority than all PDOs.
_FREE_CAN_IDS = range(0x681, 0x6E0)
_OFF = 1 << 31
#: An event timer up to this much longer than what is wanted will do.
_NEAR = 1.5
_SYNC_LISTEN_S = 0.25
_FIRST_S = 0.2
#: Bits of a frame of 8 bytes with stuff bits and the gap, and the share of the bus that a scope may take.
_FRAME_BITS, _SHARE = 135, 0.4


@dataclass(slots=True, eq=False)
class Source:
    """``pdo`` None: SDO. ``period_s`` None: whenever the device finds that something happened."""

    keys: tuple[Key, ...]
    text: str
    period_s: float | None = None
    pdo: Tpdo | None = None


@dataclass(slots=True, eq=False)
class Mapped:
    """A TPDO that was mapped for the scope. ``held`` is what the device had in the objects of it, by subindex order."""

    pdo: Tpdo
    held: dict[Key, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, pdo: Tpdo, slots: int) -> Mapped:
        """Read what is to be written back later. Raise SdoError."""
        made, known = cls(pdo), pdo.parameters
        subs = [(known.communication, sub) for sub in (COB_ID, TRANSMISSION_TYPE, INHIBIT_TIME, EVENT_TIMER)]
        subs += [(known.mapping, sub) for sub in range(max(slots, known_count(known)) + 1)]
        for key in subs:
            try:
                made.held[key] = pdo.node.upload(*key)
            except SdoAborted:
                continue
        return made

    def put_back(self) -> list[str]:
        """Write it all as it was, whatever fails; give what could not be, in words."""
        node, known = self.pdo.node, self.pdo.known
        cob, count = (known.communication, COB_ID), (known.mapping, 0)
        before = self.held[cob]
        off = (int.from_bytes(before, "little") | _OFF).to_bytes(4, "little")
        steps = [(cob, off)]
        if count in self.held:
            steps.append((count, b"\0"))
            steps += [(key, raw) for key, raw in self.held.items() if key[0] == known.mapping and key[1]]
            steps.append((count, self.held[count]))
        steps += [(key, raw) for key, raw in self.held.items() if key[0] == known.communication and key != cob]
        steps += [(cob, before)] if before != off else []
        failed: list[str] = []
        for key, raw in steps:
            try:
                node.download(*key, raw)
            except SdoAborted as error:
                try:  # some devices refuse what is there already
                    same = node.upload(*key) == raw
                except OpenDiagError:
                    same = False
                if not same:
                    failed.append(f"{object_text(*key)}: {error.text}")
            except OpenDiagError as error:
                return [*failed, str(error)]
        return failed


def known_count(parameters: PdoParameters) -> int:
    """Entries that its mapping has."""
    return len(parameters.entries)


class Finder:
    """Finds a source for each object. ``period_s`` is how often samples are wanted; ``by``: auto, pdo or sdo.

    ``mapped`` are the TPDOs that were changed, also when `find` raises; ``notes`` say what is worth knowing.
    """

    def __init__(self, node: Node, period_s: float, by: str, may_map: bool) -> None:
        self.node = node
        self.period_s = period_s
        self.mapped: list[Mapped] = []
        self.notes: list[str] = []
        self._by = by
        self._may_map = may_map
        self._sync_s: float | None = None

    def find(self, keys: Sequence[Key]) -> list[Source]:
        """Raise ValueRefused where ``by`` is "pdo" and an object comes with none; SdoError, AdapterError."""
        left = list(dict.fromkeys(keys))
        sources: list[Source] = []
        if self._by != "sdo" and self._pdos_come():
            self._sync_s = self._listen_for_sync()
            tpdos = self._tpdos()
            sources += self._existing(tpdos, left, strong=True)
            if self._may_map:
                sources += self._map(tpdos, left)
            sources += self._existing(tpdos, left, strong=False)
        if left and self._by == "pdo":
            names = ", ".join(object_text(*key) for key in left)
            raise ValueRefused(f"node {self.node.node_id}", f"no TPDO carries {names}, and none is free to")
        if left:
            sources.append(Source(tuple(left), "SDO polling", self.period_s))
        return sources

    def _pdos_come(self) -> bool:
        """PDOs are sent in OPERATIONAL only; a node that does not tell is asked by what it sends."""
        network, node_id = self.node.network, self.node.node_id
        told = told_state(network.watch, node_id, network.clock.now())
        if told.state is NmtState.OPERATIONAL or self._by == "pdo":
            return True
        heard = network.watch.node(node_id).can_ids
        if told.state is None and any(seen.connection.service is Service.TPDO and seen.count for seen in heard):
            return True
        state = "tells no NMT state" if told.state is None else f"is {told.state.text}"
        self.notes.append(
            f"Node {node_id} {state}, and PDOs come in OPERATIONAL only: SDO is polled. `opendiag nmt start {node_id}` "
            "changes that."
        )
        return False

    def _tpdos(self) -> list[Tpdo]:
        found = []
        for tpdo in self.node.pdo.tpdos:
            try:
                if not tpdo.parameters.multiplexed:
                    found.append(tpdo)
            except SdoAborted:
                continue
        return found

    def _listen_for_sync(self) -> float | None:
        """The period of SYNC; None: fewer than three came."""
        network = self.node.network
        times: list[int] = []
        until = network.clock.now() + _SYNC_LISTEN_S
        with network.frames() as frames:
            while (left := until - network.clock.now()) > 0:
                frame = frames.get(left)
                if frame is not None and frame.can_id == 0x80 and not frame.extended and frame.time_ns is not None:
                    times.append(frame.time_ns)
        return (times[-1] - times[0]) / (len(times) - 1) / 1e9 if len(times) > 2 else None

    # --- TPDOs that are there ---

    def _existing(self, tpdos: Sequence[Tpdo], left: list[Key], strong: bool) -> list[Source]:
        """Those that carry something wanted. ``strong``: often enough, and also when nothing changes."""
        sources = []
        for tpdo in tpdos:
            parameters = tpdo.parameters
            carried = [key for key in left if _carries(tpdo, key)] if parameters.active else []
            if not carried:
                continue
            period_s = self._period_of(parameters)
            good = period_s is not None and period_s <= _NEAR * self.period_s
            waits = parameters.transmission_type in CYCLIC and self._sync_s is None
            if (strong and not good) or waits or not (strong or parameters.transmission_type <= 255):
                continue
            how = f"every {period_s * 1000:g} ms" if period_s else "when something changes"
            sources.append(Source(tuple(carried), f"{tpdo.name} as it is, {how}", period_s, tpdo))
            left[:] = [key for key in left if key not in carried]
        return sources

    def _period_of(self, parameters: PdoParameters) -> float | None:
        kind = parameters.transmission_type
        if kind in CYCLIC:
            return None if self._sync_s is None else round(kind * self._sync_s, 6)
        if kind in EVENT_DRIVEN and parameters.event_s:
            return max(parameters.event_s, parameters.inhibit_s)
        return None

    # --- a free TPDO ---

    def _map(self, tpdos: Sequence[Tpdo], left: list[Key]) -> list[Source]:
        """Map what is left into TPDOs that are switched off or empty, as far as they go."""
        sources: list[Source] = []
        free = [tpdo for tpdo in tpdos if not tpdo.parameters.active]
        while left and free:
            tpdo = free.pop(0)
            entries = self._fitting(tpdo, left)
            if not entries:
                break
            source = self._mapped(tpdo, entries)
            if source is not None:
                sources.append(source)
                left[:] = [key for key in left if key not in source.keys]
        return sources

    def _fitting(self, tpdo: Tpdo, left: Sequence[Key]) -> list[MappingEntry]:
        entries: list[MappingEntry] = []
        for key in left:
            try:
                entry = tpdo.entry(key)
            except (ObjectNotFound, ValueRefused):
                continue
            if sum(each.bits for each in entries) + entry.bits <= MAX_PDO_BITS:
                entries.append(entry)
        return entries

    def _mapped(self, tpdo: Tpdo, entries: Sequence[MappingEntry]) -> Source | None:
        """None where the device does not want it, or the PDO does not come; all is as it was then."""
        period_s, node = self._affordable(len(entries)), self.node
        by_sync = self._sync_s is not None and self._sync_s <= _NEAR * period_s
        every = min(max(round(period_s / self._sync_s), 1), 240) if by_sync and self._sync_s else 0
        settings = PdoSettings(
            tuple(entries),
            every or 255,
            0.0,
            0.0 if every else max(round(period_s, 3), 0.001),
            CobId(self._free_can_id()),
        )
        saved = Mapped.of(tpdo, len(entries))
        # Without its state the node is never sent to PRE-OPERATIONAL.
        plan = map_pdo(node.node_id, True, tpdo.number, settings, state=None)
        self.mapped.append(saved)
        try:
            node.network.run(plan)
            tpdo.refresh()
        except PdoMappingRefused as error:
            self.mapped.remove(saved)
            self.notes.append(f"{tpdo.text} could not be mapped: {error.reason}.")
            return None
        if not self._comes(tpdo, period_s):
            self.give_back(saved)
            self.notes.append(f"{tpdo.name} was mapped and did not come; it is as it was before.")
            return None
        reached = every * self._sync_s if every and self._sync_s else settings.event_s
        how = f"with SYNC, every {(reached or 0) * 1000:g} ms" if every else f"every {(reached or 0) * 1000:g} ms"
        keys = tuple((entry.index, entry.subindex) for entry in entries)
        return Source(keys, f"{tpdo.name} mapped for this, {how}", reached, tpdo)

    def _affordable(self, objects: int) -> float:
        """The period, longer where the bus has no room for so many frames."""
        bit_rate = self.node.network.bit_rate
        if not bit_rate:
            return self.period_s
        least_s = _FRAME_BITS * (len(self.mapped) + 1) / (bit_rate * _SHARE)
        if self.period_s >= least_s:
            return self.period_s
        self.notes.append(
            f"Every {self.period_s * 1000:g} ms would take more than {_SHARE:.0%} of a bus with {bit_rate // 1000} "
            f"kbit/s: every {least_s * 1000:.1f} ms instead."
        )
        return round(least_s + 0.0005, 3)

    def _comes(self, tpdo: Tpdo, period_s: float) -> bool:
        with tpdo.samples() as samples:
            return samples.get(_FIRST_S + 3 * period_s) is not None

    def _free_can_id(self) -> int:
        """One that was never heard, and that no PDO of the node has."""
        taken = {pdo.known.cob.can_id for pdo in (*self.node.pdo.tpdos, *self.node.pdo.rpdos)}
        watch = self.node.network.watch
        heard = {can_id for can_id, seen in watch.can_ids.items() if seen.count} | set(watch.own)
        return next(can_id for can_id in _FREE_CAN_IDS if can_id not in taken | heard)

    def give_back(self, saved: Mapped) -> None:
        """Put a TPDO back, and say what of it could not be."""
        failed = saved.put_back()
        self.mapped.remove(saved)
        if failed:
            self.notes.append(f"{saved.pdo.text} could not be put back as it was: {'; '.join(failed)}.")
            return
        try:
            saved.pdo.refresh()
        except SdoError:
            return


def _carries(tpdo: Tpdo, key: Key) -> bool:
    """In its full width, as far as that is known."""
    for entry in tpdo.parameters.entries:
        if (entry.index, entry.subindex) == key:
            try:
                return entry.bits >= tpdo.entry(key).bits
            except (ObjectNotFound, ValueRefused):
                return True
    return False
