"""Why a TPDO does not appear, and why an RPDO has no effect: a plan that reads, listens and says what it found.

It reads the parameters of the PDO and those of SYNC and heartbeat by SDO, and the mapped objects where it matters
whether they change; it listens for as long as the parameters call for. It starts and writes nothing. A node without a
heartbeat is asked for its state by node guarding, if that has no consequences (its life time is 0).

Findings come with the most certain first: proofs (errors) before likelihoods (warnings), and among them in this order:

 1. the device has no such PDO
 2. the node is not OPERATIONAL
 3. switched off, impossible CAN-ID, empty mapping, reserved type: nothing can be sent
 4. only a remote frame would make it come
 5. another sender of its CAN-ID
 6. no SYNC, SYNC on another CAN-ID, a SYNC counter that never comes
 7. it comes on another CAN-ID than expected
 8. it comes seldom: every n-th SYNC, a long event timer, the inhibit time
 9. nothing happens that would make the node send it
10. none of these

What the traffic shows (8..10) is not said of a PDO that cannot be sent for a reason above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from opendiag.diagnose import pdo_why_causes as causes
from opendiag.diagnose import pdo_why_codes as codes
from opendiag.diagnose import pdo_why_traffic as traffic
from opendiag.diagnose.codes import BUS_EMPTY, NODE_ABSENT
from opendiag.diagnose.pdo_why_facts import PdoFacts, Told, default_cob, objects_text, own_frames, told_state
from opendiag.diagnose.pdo_why_report import PdoReport, report, unreachable
from opendiag.diagnose.sdo_watch import key_of
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import AdapterError, SdoAborted, SdoError
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.services.pdo_parameters import EVENT_DRIVEN, PdoParameters
from opendiag.services.plans import Now, Plan, SdoRead, Send, WaitFor
from opendiag.wire.cob_id import CobId, Service
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import MAX_ENTRIES, communication_index, mapping_index

__all__ = ["PdoReport", "examine_pdo", "why_no_rpdo", "why_no_tpdo"]

#: Listening goes on until a period has certainly passed.
_MARGIN = 1.2
_GUARDING_S = 0.1
#: Longer than the period of a usual heartbeat.
_HEARTBEAT_S = 2.5
#: Of other nodes that may have the same CAN-ID, and of their PDOs.
_MOST_NODES, _FIRST_PDOS = 8, 4
_OWN_PDOS = 8
_PROOF = Severity.ERROR
_COMMON = ((0x1005, 0), (0x1006, 0), (0x1019, 0), (0x1017, 0))
_ERROR_CONTROL = 0x700

_Cause = Callable[[PdoFacts], Finding | None]
#: What keeps a PDO from being sent at all.
_PROOFS: tuple[_Cause, ...] = (
    causes.nmt,
    causes.off,
    causes.bad_cob_id,
    causes.empty,
    causes.transmission_type,
    causes.remote_only,
    traffic.clash,
    traffic.no_sync,
    traffic.sync_counter,
    causes.moved,
)
_LIKELY: tuple[_Cause, ...] = (traffic.inhibit, traffic.rare, traffic.event)
_RPDO_PROOFS: tuple[_Cause, ...] = (
    causes.nmt,
    causes.off,
    causes.bad_cob_id,
    causes.empty,
    causes.transmission_type,
    traffic.length,
    causes.moved,
)
#: Codes that leave nothing to say about the traffic.
_NOTHING_SENT = (codes.OFF, codes.EMPTY, codes.TYPE, codes.RTR, codes.NO_SYNC, codes.SYNC_COB_ID, codes.SYNC_COUNTER)


def why_no_tpdo(
    node_id: int,
    number: int,
    watch: BusWatch,
    *,
    expected: CobId | None = None,
    listen_s: float = 1.5,
    most_s: float = 10.0,
    timeout_s: float | None = None,
) -> Plan[list[Finding]]:
    """Why TPDO ``number`` does not appear; empty when it does, and all is well. Arguments as in `examine_pdo`."""
    made = yield from examine_pdo(
        node_id, True, number, watch, expected=expected, listen_s=listen_s, most_s=most_s, timeout_s=timeout_s
    )
    return list(made.findings)


def why_no_rpdo(
    node_id: int,
    number: int,
    watch: BusWatch,
    *,
    expected: CobId | None = None,
    listen_s: float = 1.5,
    most_s: float = 10.0,
    timeout_s: float | None = None,
) -> Plan[list[Finding]]:
    """Why RPDO ``number`` has no effect; empty when it has. Arguments as in `examine_pdo`."""
    made = yield from examine_pdo(
        node_id, False, number, watch, expected=expected, listen_s=listen_s, most_s=most_s, timeout_s=timeout_s
    )
    return list(made.findings)


def examine_pdo(
    node_id: int,
    transmit: bool,
    number: int,
    watch: BusWatch,
    *,
    expected: CobId | None = None,
    listen_s: float = 1.5,
    most_s: float = 10.0,
    timeout_s: float | None = None,
) -> Plan[PdoReport]:
    """Look at one PDO. ``watch`` is fed by whoever runs the plan.

    ``expected`` is where it is looked for, without it that of the predefined connection set. It listens for
    ``listen_s``, and longer, up to ``most_s``, if a period that is to be seen is longer. ``timeout_s`` is for each SDO
    read. Raises ValueError for a node-ID outside 1..127 or a PDO outside 1..512, SdoError, AdapterError.
    """
    if not (1 <= node_id <= 127 and 1 <= number <= 512):
        raise ValueError(f"PDO {number} of node {node_id}: a node-ID is 1..127, a PDO number 1..512")
    made = _Examination(node_id, transmit, number, watch, timeout_s)
    return made.run(expected or default_cob(node_id, transmit, number), listen_s, most_s)


class _Examination:
    def __init__(self, node_id: int, transmit: bool, number: int, watch: BusWatch, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._transmit, self._number = transmit, number
        self._facts = PdoFacts(node_id, watch, PdoParameters(transmit, number))

    def run(self, expected: CobId | None, listen_s: float, most_s: float) -> Plan[PdoReport]:
        f = self._facts
        f.expected = expected
        f.started = f.now = yield Now()
        f.told = told_state(f.watch, f.node_id, f.now)
        if f.told.state is NmtState.STOPPED:  # it would not answer
            return self._stopped()
        try:
            yield from self._read()
        except SdoError as error:
            if (yield from self._is_stopped()):
                return self._stopped()
            if any(each.code in (BUS_EMPTY, NODE_ABSENT) for each in error.why) and f.watch.heard_nodes():
                error = yield from self._once_more(error)  # others were heard meanwhile: the bus is not empty
            if not error.why:
                raise error
            return unreachable(f.node_id, f.name, "SDO", f"{error.summary}.", error.why)
        if (absent := causes.none(f)) is not None:
            return unreachable(f.node_id, f.name, "COB-ID", absent.sentence, (absent,))
        yield from self._ask_state()
        f.told_before = f.told
        yield from self._listen(listen_s, most_s)
        if f.parameters.transmit and (traffic.is_suspicious(f) or not (f.came or self._proofs())):
            yield from self._others()
        return report(f, tuple(self._findings()))

    def _is_stopped(self) -> Plan[bool]:
        """It does not answer SDO: wait for what its heartbeat says."""
        f = self._facts
        can_id = _ERROR_CONTROL + f.node_id
        f.now = yield Now()
        if told_state(f.watch, f.node_id, f.now).state is None:
            yield WaitFor(lambda frame: frame.can_id == can_id and not (frame.remote or frame.extended), _HEARTBEAT_S)
        f.now = yield Now()
        f.told = told_state(f.watch, f.node_id, f.now)
        return f.told.state is NmtState.STOPPED

    def _once_more(self, before: SdoError) -> Plan[SdoError]:
        """With what was heard since, the reason may be another one."""
        try:
            yield SdoRead(self._facts.node_id, communication_index(self._transmit, self._number), 1, self._timeout_s)
        except SdoError as error:
            return error
        return before

    def _stopped(self) -> PdoReport:
        found = causes.nmt(self._facts)
        assert found is not None
        return unreachable(self._facts.node_id, self._facts.name, "state", found.sentence, (found,))

    # --- reading ---

    def _read(self) -> Plan[None]:
        f = self._facts
        communication, mapping = (index(self._transmit, self._number) for index in (communication_index, mapping_index))
        highest = yield from self._number_at(communication, 0)
        wanted = (1, 2, 3, 5, 6) if self._transmit else (1, 2, 5)
        for subindex in wanted:
            if subindex <= 2 or highest is None or subindex <= highest:
                yield from self._number_at(communication, subindex)
        count = yield from self._number_at(mapping, 0)
        for subindex in range(1, count + 1 if count and count <= MAX_ENTRIES else 1):
            yield from self._number_at(mapping, subindex)
        for index, subindex in _COMMON:
            yield from self._number_at(index, subindex)
        f.parameters = PdoParameters.from_objects(
            lambda index, subindex: f.numbers.get((index, subindex)), self._transmit, self._number
        )

    def _number_at(self, index: int, subindex: int) -> Plan[int | None]:
        f = self._facts
        try:
            raw = yield SdoRead(f.node_id, index, subindex, self._timeout_s)
        except SdoAborted as error:
            if error.why:
                raise
            f.refused[index, subindex] = error
            return None
        f.numbers[index, subindex] = value = int.from_bytes(raw, "little")
        return value

    def _values(self) -> Plan[dict[tuple[int, int], bytes]]:
        """What the mapped objects hold; those that cannot be read are left out."""
        values: dict[tuple[int, int], bytes] = {}
        for entry in self._facts.parameters.entries:
            key = entry.index, entry.subindex
            if entry.is_dummy or key in values:
                continue
            try:
                values[key] = yield SdoRead(self._facts.node_id, *key, self._timeout_s)
            except SdoAborted:
                continue
        return values

    # --- the state of the node ---

    def _ask_state(self) -> Plan[None]:
        """By node guarding, of a node that does not tell and to which the question has no consequences."""
        f = self._facts
        f.told = told_state(f.watch, f.node_id, (yield Now()))
        if f.told.sure or f.numbers.get((0x1017, 0)):
            return
        guard, factor = (yield from self._number_at(0x100C, 0)), (yield from self._number_at(0x100D, 0))
        if guard is None or factor is None or guard * factor:
            return
        can_id = _ERROR_CONTROL + f.node_id
        try:
            yield Send(Frame(can_id, remote=True, dlc=1))
        except AdapterError:
            return  # some adapters send no remote frames
        yield WaitFor(lambda frame: frame.can_id == can_id and not (frame.remote or frame.extended), _GUARDING_S)

    def _settle_state(self) -> None:
        """A PDO of its own tells that a node is OPERATIONAL when nothing else does."""
        f = self._facts
        f.told = told_state(f.watch, f.node_id, f.now)
        if f.told.sure or f.told.state is NmtState.OPERATIONAL:
            return
        own = key_of(f.cob.can_id, f.cob.extended)
        since = max(f.watch.node(f.node_id).state_at, f.started)
        for seen in f.watch.node(f.node_id).can_ids:
            is_other = key_of(seen.can_id, seen.extended) != own
            if seen.connection.service is Service.TPDO and is_other and seen.last_at >= since and seen.count:
                f.told = Told(NmtState.OPERATIONAL, f"it sends {seen.connection.label}")

    # --- listening ---

    def _listen(self, listen_s: float, most_s: float) -> Plan[None]:
        f = self._facts
        looks_at_values = f.by_event or not f.parameters.transmit
        if looks_at_values and f.parameters.active:
            f.before = yield from self._values()
        own, syncs = own_frames(f.watch, f.cob), own_frames(f.watch, f.sync_cob)
        f.started = f.now = yield Now()
        wanted_s = listen_s
        while (left := f.started + wanted_s - f.now) > 0:
            yield WaitFor(f.listener.suits, left)
            f.now = yield Now()
            f.own = own_frames(f.watch, f.cob) - own
            f.syncs_sent = own_frames(f.watch, f.sync_cob) - syncs
            self._settle_state()
            wanted_s = max(wanted_s, min(self._wanted_s(), most_s))
        if looks_at_values and f.parameters.active:
            f.after = yield from self._values()

    def _wanted_s(self) -> float:
        """How long it has to be listened to before anything can be said."""
        f, p = self._facts, self._facts.parameters
        heartbeat_s = f.numbers.get((0x1017, 0), 0) / 1000
        wanted = [] if f.told.sure or f.came else [_MARGIN * heartbeat_s]
        if any(finding.code in _NOTHING_SENT for finding in self._proofs()):
            return max(wanted, default=0.0)
        if f.by_sync and not f.came:
            period_s = f.sync_period_s or f.numbers.get((0x1006, 0), 0) / 1e6
            cycles = max(f.kind, 1) + (f.numbers.get((0x1019, 0), 0) if p.sync_start else 0)
            wanted.append(_MARGIN * period_s * cycles)
        if f.kind in EVENT_DRIVEN:
            wanted.append(_MARGIN * max(p.inhibit_s, 0.0 if f.came else p.event_s))
        return max(wanted, default=0.0)

    # --- who else ---

    def _others(self) -> Plan[None]:
        """Other PDOs with the same CAN-ID: of this node, and of the others that were heard."""
        f = self._facts
        f.same_id += yield from self._same_id(f.node_id, _OWN_PDOS, besides=self._number)
        others = [node.node_id for node in f.watch.heard_nodes() if node.node_id != f.node_id]
        for node_id in [node_id for node_id in others if f.heard_besides(node_id)][:_MOST_NODES]:
            f.same_id += yield from self._same_id(node_id, _FIRST_PDOS)

    def _same_id(self, node_id: int, count: int, besides: int = 0) -> Plan[list[tuple[int, str]]]:
        f = self._facts
        found = []
        for number in (n for n in range(1, count + 1) if n != besides):
            try:
                raw = yield SdoRead(node_id, communication_index(True, number), 1, self._timeout_s)
                mapped = yield SdoRead(node_id, mapping_index(True, number), 0, self._timeout_s)
            except SdoAborted:
                continue
            except SdoError:
                break  # it is silent: not asked again
            cob = CobId.decode(int.from_bytes(raw, "little"))
            same = (cob.can_id, cob.extended) == (f.cob.can_id, f.cob.extended)
            if same and not cob.bit_31 and any(mapped):
                found.append((node_id, f"TPDO{number}"))
        return found

    # --- findings ---

    def _proofs(self) -> list[Finding]:
        return _all(self._facts, _PROOFS if self._transmit else _RPDO_PROOFS)

    def _findings(self) -> list[Finding]:
        found = self._proofs()
        found += self._of_tpdo(found) if self._transmit else self._of_rpdo(found)
        return sorted(found, key=lambda each: -each.severity)

    def _of_tpdo(self, found: list[Finding]) -> list[Finding]:
        """What the traffic makes likely, unless it cannot be sent anyway."""
        f = self._facts
        if any(each.code in (*_NOTHING_SENT, codes.NMT, codes.COB_ID) and each.severity >= _PROOF for each in found):
            return []
        likely = _all(f, _LIKELY)
        held = [each for each in likely if each.code == codes.INHIBIT]
        if held or f.came:
            return held
        if not (found or likely):
            return [_silent(f)]
        if any(each.code == codes.NMT for each in found):  # it may not run at all: nothing is sure
            return [replace(each, severity=Severity.WARNING) for each in likely]
        return likely

    def _of_rpdo(self, found: list[Finding]) -> list[Finding]:
        f = self._facts
        if any(each.code in _NOTHING_SENT for each in found):
            return []
        if (missing := traffic.not_sent(f)) is not None:
            return [missing]
        if (no_sync := traffic.no_sync(f)) is not None:
            return [no_sync]
        return [] if any(each.code == codes.NMT for each in found) else _all(f, (traffic.no_effect,))


def _silent(f: PdoFacts) -> Finding:
    keys = objects_text((entry.index, entry.subindex) for entry in f.parameters.entries) if f.parameters.entries else ""
    return causes.finding(
        f,
        codes.SILENT,
        f"{f.who} should come on CAN-ID {f.cob.text}h and did not in {f.listened_s:.1f} s; nothing that can be read "
        "says why.",
        f"Switch it off and on again (bit 31 of {f.sub(1)}), or save and restart the node: some devices take a new "
        f"mapping only then. Does it answer `opendiag read {f.node_id} {keys.split(',')[0].split(' ')[0] or '1A00'}`?",
        severity=Severity.WARNING,
    )


def _all(f: PdoFacts, wanted: Iterable[_Cause]) -> list[Finding]:
    return [found for cause in wanted if (found := cause(f)) is not None]
