"""Read how a PDO of a device is configured, and change it in the five steps of CiA 301, as plans.

What was changed is put back when a step fails, so that a device is never left half configured without being told of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opendiag.dictionary.model import object_text
from opendiag.errors import AdapterError, OpenDiagError, PdoMappingRefused, SdoAborted, SdoError, ValueRefused
from opendiag.frame import Frame
from opendiag.services.pdo_parameters import (
    COB_ID,
    EVENT_TIMER,
    INHIBIT_TIME,
    SYNC_START,
    TRANSMISSION_TYPE,
    PdoParameters,
    describe,
    is_allowed,
    not_for_a_pdo,
)
from opendiag.services.plans import Plan, SdoRead, SdoWrite, Send, Sleep
from opendiag.wire.cob_id import PREDEFINED_PEER, CobId, Service, is_restricted
from opendiag.wire.nmt import NmtCommand, NmtMessage, NmtState
from opendiag.wire.pdo import (
    DAM_MPDO,
    MAX_ENTRIES,
    MAX_PDOS,
    SAM_MPDO,
    MappingEntry,
    communication_index,
    mapping_index,
)
from opendiag.wire.sdo_abort import SdoAbortCode as Abort

#: Of a PDO on classic CAN.
MAX_PDO_BITS = 64
_ABSENT = (Abort.NO_SUCH_OBJECT, Abort.NO_SUCH_SUBINDEX, Abort.WRITE_ONLY, Abort.UNSUPPORTED_ACCESS)
_OFF = 1 << 31
#: Bytes of each subindex of a communication parameter.
_SIZES = {COB_ID: 4, TRANSMISSION_TYPE: 1, INHIBIT_TIME: 2, EVENT_TIMER: 2, SYNC_START: 1}
_WORDS = {
    COB_ID: "COB-ID",
    TRANSMISSION_TYPE: "transmission type",
    INHIBIT_TIME: "inhibit time",
    EVENT_TIMER: "event timer",
    SYNC_START: "SYNC start value",
}
#: A device is given this long to follow an NMT command, which it does not confirm.
_SETTLE_S = 0.02
_Key = tuple[int, int]


def read_pdo(node_id: int, transmit: bool, number: int) -> Plan[PdoParameters]:
    """What the device itself says. Objects that it does not have are as CiA 301 has them by default.

    Raise ValueError for a number outside 1..512, SdoError: an abort when the device has no such PDO.
    """
    held = yield from _read(node_id, transmit, number, 0)
    return _parameters(held, transmit, number)


def _parameters(held: dict[_Key, int], transmit: bool, number: int) -> PdoParameters:
    return PdoParameters.from_objects(lambda index, subindex: held.get((index, subindex)), transmit, number)


def _read(node_id: int, transmit: bool, number: int, slots: int) -> Plan[dict[_Key, int]]:
    """All values by (index, subindex). Of the mapping at least ``slots`` entries, as far as there are so many."""
    if not 1 <= number <= MAX_PDOS:
        raise ValueError(f"PDO number {number} is outside 1..{MAX_PDOS}")
    index, mapping = communication_index(transmit, number), mapping_index(transmit, number)
    held: dict[_Key, int] = {}
    held[index, COB_ID] = int.from_bytes((yield SdoRead(node_id, index, COB_ID)), "little")
    highest = yield from _optional(node_id, index, 0, held)
    held.pop((index, 0), None)
    for subindex in (TRANSMISSION_TYPE, INHIBIT_TIME, EVENT_TIMER, *([SYNC_START] if transmit else [])):
        if highest is None or subindex <= highest:
            yield from _optional(node_id, index, subindex, held)
    count = yield from _optional(node_id, mapping, 0, held)
    used = 0 if count is None or count in (SAM_MPDO, DAM_MPDO) else min(count, MAX_ENTRIES)
    for subindex in range(1, max(used, slots) + 1):
        if (yield from _optional(node_id, mapping, subindex, held)) is None:
            break
    return held


def _optional(node_id: int, index: int, subindex: int, held: dict[_Key, int]) -> Plan[int | None]:
    """Read it where the device has it."""
    try:
        raw = yield SdoRead(node_id, index, subindex)
    except SdoAborted as error:
        if error.code not in _ABSENT:
            raise
        return None
    held[index, subindex] = int.from_bytes(raw, "little")
    return held[index, subindex]


# --- mapping -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PdoSettings:
    """What is wanted of a PDO; None leaves it as it is. Raise ValueRefused by `check`, before anything is sent.

    ``cob_id`` is the CAN-ID (29 bits where it does not fit 11), or a `CobId` with its flags. ``enable`` False leaves
    the PDO switched off. ``multiplexed`` is SAM_MPDO or DAM_MPDO in place of ``entries``.
    """

    entries: tuple[MappingEntry, ...] | None = None
    transmission_type: int | None = None
    inhibit_s: float | None = None
    event_s: float | None = None
    cob_id: int | CobId | None = None
    sync_start: int | None = None
    enable: bool = True
    multiplexed: int = 0

    def check(self, what: str, transmit: bool) -> None:
        """Raise ValueRefused for what no device can hold; ``what`` is the PDO, as in "TPDO1 of node 5"."""
        entries = self.entries or ()
        bits = sum(entry.bits for entry in entries)
        kind = self.transmission_type
        if len(entries) > MAX_ENTRIES:
            raise ValueRefused(what, f"it takes {MAX_ENTRIES} entries at most, not {len(entries)}")
        if bits > MAX_PDO_BITS:
            raise ValueRefused(what, f"the objects have {bits} bits, and a PDO has {MAX_PDO_BITS}")
        for entry in entries:
            if not 1 <= entry.bits <= 0xFF:
                raise ValueRefused(what, f"{object_text(entry.index, entry.subindex)} cannot have {entry.bits} bits")
        if kind is not None and not (0 <= kind <= 255 and is_allowed(kind, transmit)):
            why = describe(kind, transmit) if 0 <= kind <= 255 else "outside 0..255"
            raise ValueRefused(what, f"transmission type {kind}: {why}")
        _check_range(what, "inhibit time", self.inhibit_s, 6.5535)
        _check_range(what, "event timer", self.event_s, 65.535)
        if self.sync_start is not None and not (transmit and 0 <= self.sync_start <= 240):
            raise ValueRefused(what, f"SYNC start value {self.sync_start}: a TPDO takes 0..240")
        if isinstance(self.cob_id, int) and not 0 < self.cob_id < 1 << 29:
            raise ValueRefused(what, f"CAN-ID {self.cob_id:X}h: 11 or 29 bits are wanted, without flags")
        cob = CobId(self.cob_id, self.cob_id > 0x7FF) if isinstance(self.cob_id, int) else self.cob_id
        if cob is not None and (reason := not_for_a_pdo(cob)):
            raise ValueRefused(what, f"CAN-ID {cob.text}h: {reason}, and no PDO may have it")


def _check_range(what: str, name: str, seconds: float | None, most_s: float) -> None:
    if seconds is not None and not 0 <= seconds <= most_s:
        raise ValueRefused(what, f"{name} {seconds:g} s is outside 0..{most_s:g} s")


@dataclass(slots=True)
class _Job:
    """One mapping on its way. ``held`` is what the device held before, ``done`` what was written, in order."""

    node_id: int
    pdo: PdoParameters
    held: dict[_Key, int]
    state: NmtState | None
    name_of: Callable[[MappingEntry], str]
    done: dict[_Key, int] = field(default_factory=dict)
    left_operational: bool = False

    def size(self, key: _Key) -> int:
        index, subindex = key
        return _SIZES[subindex] if index == self.pdo.communication else 4 if subindex else 1

    def what(self, key: _Key, value: int) -> str:
        """The access in words."""
        index, subindex = key
        if index == self.pdo.communication:
            shown = f"{CobId.decode(value).text}h" if subindex == COB_ID else str(value)
            return f"{object_text(index, subindex)}, the {_WORDS[subindex]} ({shown})"
        if not subindex:
            return f"{object_text(index, subindex)}, the number of entries ({value})"
        return f"entry {subindex}, {_entry_text(MappingEntry.decode(value), self.name_of)}"


def _entry_text(entry: MappingEntry, name_of: Callable[[MappingEntry], str]) -> str:
    name = "a dummy" if entry.is_dummy else name_of(entry)
    where = object_text(entry.index, entry.subindex)
    return f"{where}{f' {name}' if name and name != where else ''} ({entry.bits} bit{'s' * (entry.bits != 1)})"


def map_pdo(
    node_id: int,
    transmit: bool,
    number: int,
    settings: PdoSettings,
    *,
    state: NmtState | None = None,
    pre_operational: bool = False,
    name_of: Callable[[MappingEntry], str] = lambda entry: "",
) -> Plan[PdoParameters]:
    """Configure a PDO in the five steps of CiA 301, and give what the device holds afterwards, read back.

    ``state`` is the node's as far as it is known: one that is OPERATIONAL and refuses a step because of its state is
    sent to PRE-OPERATIONAL, and back when all is over; ``pre_operational`` does that first of all. A mapping that is
    there already is not written again.

    Raise ValueRefused before anything is sent; PdoMappingRefused naming the step, when everything is put back as far
    as the device lets it; SdoError when the device does not have this PDO or does not answer, AdapterError.
    """
    name = f"{'TPDO' if transmit else 'RPDO'}{number} of node {node_id}"
    settings.check(name, transmit)
    held = yield from _read(node_id, transmit, number, len(settings.entries or ()))
    job = _Job(node_id, _parameters(held, transmit, number), held, state, name_of)
    steps = _steps(job, settings, _wanted_cob(job, settings, name))
    try:
        if pre_operational and state is not NmtState.PRE_OPERATIONAL:
            yield from _pre_operational(job)
        for step, key, value in steps:
            yield from _write(job, step, key, value)
        found = yield from read_pdo(node_id, transmit, number)
        _compare(job, found)
    except GeneratorExit:  # nobody runs the plan any more
        raise
    except AdapterError:  # there is no way to the device
        raise
    except BaseException as error:
        left = yield from _put_back(job)
        yield from _back_to_operational(job)
        if isinstance(error, PdoMappingRefused):
            error.left = left
            error.args = (*error.args[:10], left)
        raise
    yield from _back_to_operational(job)
    return found


def _wanted_cob(job: _Job, settings: PdoSettings, name: str) -> CobId:
    """The COB-ID to end with. Raise ValueRefused when there is none to take."""
    pdo, given = job.pdo, settings.cob_id
    off = not settings.enable
    if isinstance(given, CobId):
        return CobId(given.can_id, given.extended, off, given.bit_30)
    if given is not None:
        return CobId(given, given > 0x7FF, off, pdo.cob.bit_30)
    if pdo.cob.can_id:
        return CobId(pdo.cob.can_id, pdo.cob.extended, off, pdo.cob.bit_30)
    service = Service.TPDO if pdo.transmit else Service.RPDO
    for code, peer in PREDEFINED_PEER.items():
        if peer == (service, pdo.number):
            return CobId((code << 7) + job.node_id, False, off, pdo.cob.bit_30)
    raise ValueRefused(name, "it has no CAN-ID, and CiA 301 has none for it by default: say which (cob_id)")


_Step = tuple[int, _Key, int]


def _steps(job: _Job, settings: PdoSettings, cob: CobId) -> list[_Step]:
    """(step of CiA 301, object, value) in the order to write them."""
    pdo, index, mapping = job.pdo, job.pdo.communication, job.pdo.mapping
    steps: list[_Step] = [(1, (index, COB_ID), pdo.cob.encode() | _OFF)] if pdo.valid else []
    words = None if settings.entries is None else [entry.encode() for entry in settings.entries]
    count = settings.multiplexed or (None if words is None else len(words))
    before = [job.held.get((mapping, slot)) for slot in range(1, (count or 0) + 1)]
    same = count == job.held.get((mapping, 0)) and (bool(settings.multiplexed) or words == before)
    if count is not None and not same:
        steps.append((2, (mapping, 0), 0))
        steps += [(3, (mapping, slot), word) for slot, word in enumerate(words or (), 1)]
        if count:
            steps.append((4, (mapping, 0), count))
    for subindex, value in (
        (TRANSMISSION_TYPE, settings.transmission_type),
        (INHIBIT_TIME, None if settings.inhibit_s is None else round(settings.inhibit_s * 10_000)),
        (EVENT_TIMER, None if settings.event_s is None else round(settings.event_s * 1000)),
        (SYNC_START, settings.sync_start),
    ):
        # What a device does not have counts as 0: nothing is to be written to leave it so.
        if value is not None and value != job.held.get((index, subindex), 0 if subindex != TRANSMISSION_TYPE else None):
            steps.append((5, (index, subindex), value))
    if not cob.bit_31 or (cob.can_id, cob.extended) != (pdo.cob.can_id, pdo.cob.extended):
        steps.append((5, (index, COB_ID), cob.encode()))
    return steps


def _write(job: _Job, step: int, key: _Key, value: int) -> Plan[None]:
    """Raise PdoMappingRefused."""
    data = value.to_bytes(job.size(key), "little")
    request = SdoWrite(job.node_id, *key, data)
    before = dict(job.done)
    job.done[key] = value  # also when there is no answer: it alone may have been lost
    try:
        try:
            yield request
        except SdoAborted as error:
            insists = error.code == Abort.DEVICE_STATE and job.state is NmtState.OPERATIONAL
            if not insists or job.left_operational:
                raise
            yield from _pre_operational(job)
            yield request
    except SdoAborted as error:
        job.done = before
        cause = _cause(job, step, key, value, error.code)
        raise _refused(job, step, key, value, error.text, error.code, cause) from error
    except SdoError as error:
        reason = error.summary.partition(": ")[2] or error.summary
        raise _refused(job, step, key, value, reason, None, "") from error


def _refused(
    job: _Job, step: int, key: _Key, value: int, reason: str, code: int | None, cause: str
) -> PdoMappingRefused:
    what = job.what(key, value)
    return PdoMappingRefused(job.node_id, *key, "write", job.pdo.name, step, what, reason, code, cause)


def _command(command: NmtCommand, node_id: int) -> Send:
    return Send(Frame(0, NmtMessage(command, node_id).encode()))


def _pre_operational(job: _Job) -> Plan[None]:
    """A node that is not known to be OPERATIONAL is not started afterwards."""
    job.left_operational = job.state is NmtState.OPERATIONAL
    yield _command(NmtCommand.ENTER_PRE_OPERATIONAL, job.node_id)
    yield Sleep(_SETTLE_S)


def _back_to_operational(job: _Job) -> Plan[None]:
    if job.left_operational:
        job.left_operational = False
        yield _command(NmtCommand.START, job.node_id)


def _compare(job: _Job, found: PdoParameters) -> None:
    """Raise PdoMappingRefused when the device took a value and holds another one."""
    wanted = _parameters({**job.held, **job.done}, found.transmit, found.number)
    index, mapping = found.communication, found.mapping
    if (wanted.entries, wanted.multiplexed) != (found.entries, found.multiplexed):
        key, step = (mapping, 0), 4
        held = ", ".join(_entry_text(entry, job.name_of) for entry in found.entries) or "nothing"
        reason = f"it was taken, but read back the mapping is {held}"
    elif wanted.cob != found.cob:
        key, step = (index, COB_ID), 5
        off = " and switched off" if found.cob.bit_31 else ""
        reason = f"it was taken, but read back it is {found.cob.text}h{off}"
    else:
        return
    raise _refused(job, step, key, job.done.get(key, 0), reason, None, "")


# --- the way back --------------------------------------------------------------------------------------------------


def _put_back(job: _Job) -> Plan[str]:
    """Write what the device held before. Returns what could not be put back, in words, or ""."""
    failed = []
    for key, value in _way_back(job):
        try:
            yield SdoWrite(job.node_id, *key, value.to_bytes(job.size(key), "little"))
        except OpenDiagError as error:
            reason = error.text if isinstance(error, SdoAborted) else str(error)
            failed.append(f"{job.what(key, value)}: {reason}")
            if not isinstance(error, SdoAborted):
                failed.append("nothing further was tried")
                break
    return "; ".join(failed)


def _way_back(job: _Job) -> Sequence[tuple[_Key, int]]:
    """(object, value) in the order that a device takes: off, parameters, mapping, on."""
    index, mapping = job.pdo.communication, job.pdo.mapping
    back: list[tuple[_Key, int]] = []
    if not job.done:
        return back
    switched = job.done.get((index, COB_ID))
    if switched is not None and not switched & _OFF:
        back.append(((index, COB_ID), switched | _OFF))
    back += [(key, job.held[key]) for key in job.done if key[0] == index and key[1] != COB_ID and key in job.held]
    if (mapping, 0) in job.done:
        count = job.held.get((mapping, 0), 0)
        if job.done[mapping, 0]:
            back.append(((mapping, 0), 0))
        back += [(key, job.held[key]) for key in job.done if key[0] == mapping and key[1] and key in job.held]
        if count or not job.done[mapping, 0]:
            back.append(((mapping, 0), count))
    if switched is not None:
        back.append(((index, COB_ID), job.held[index, COB_ID]))
    return back


# --- likely causes -------------------------------------------------------------------------------------------------


def _cause(job: _Job, step: int, key: _Key, value: int, code: int) -> str:
    """What this abort at this step mostly means; "" when nothing is known."""
    index, subindex = key
    if code == Abort.DEVICE_STATE:
        if job.left_operational:
            return "PRE-OPERATIONAL did not help: the device may be energised or busy"
        if job.state is None:
            return "the node's state is not known: it may have to be PRE-OPERATIONAL first (pre_operational=True)"
        return "the device may be energised or busy"
    if step == 3:
        return _entry_cause(job, subindex, MappingEntry.decode(value), code)
    if code in (Abort.READ_ONLY, Abort.UNSUPPORTED_ACCESS):
        fixed = "PDO" if index == job.pdo.communication else "mapping"
        return f"this {fixed} is fixed in the device" + ("" if fixed == "PDO" else ": leave the objects as they are")
    if step == 4:
        return _count_cause(value, code)
    if step == 5:
        return _parameter_cause(subindex, value, code)
    return ""


def _entry_cause(job: _Job, slot: int, entry: MappingEntry, code: int) -> str:
    slots = sum(1 for index, subindex in job.held if index == job.pdo.mapping and subindex)
    if code == Abort.NO_SUCH_SUBINDEX and slot > slots:
        return f"the device has {slots} entries for this PDO"
    if entry.is_dummy:
        return "only RPDOs take dummies" if job.pdo.transmit else "the device takes no dummy of this type"
    if code in (Abort.NO_SUCH_OBJECT, Abort.NO_SUCH_SUBINDEX):
        return "the device does not have this object"
    if code in (Abort.CANNOT_BE_MAPPED, Abort.INVALID_VALUE, Abort.PARAMETER_INCOMPATIBLE):
        way = "a TPDO (it must be readable)" if job.pdo.transmit else "an RPDO (it must be writable)"
        return f"the device does not let this object into {way}, or not with {entry.bits} bits"
    if code == Abort.PDO_TOO_LONG:
        return "the device takes fewer bits than these in one PDO"
    if code in (Abort.READ_ONLY, Abort.UNSUPPORTED_ACCESS):
        return "the mapping is fixed in the device: leave the objects as they are"
    return ""


def _count_cause(count: int, code: int) -> str:
    if code == Abort.PDO_TOO_LONG:
        return "the device takes fewer entries or bits than these in one PDO"
    if code in (Abort.INVALID_VALUE, Abort.VALUE_TOO_HIGH):
        return f"the device does not take {count} entries" if count < SAM_MPDO else "the device has no multiplexed PDO"
    if code in (Abort.NO_SUCH_OBJECT, Abort.CANNOT_BE_MAPPED):
        return "one of the entries cannot be mapped: this device checks them here"
    return ""


def _parameter_cause(subindex: int, value: int, code: int) -> str:
    if code in (Abort.NO_SUCH_OBJECT, Abort.NO_SUCH_SUBINDEX):
        return f"the device has no {_WORDS[subindex]} for this PDO"
    if subindex == COB_ID:
        cob = CobId.decode(value)
        if not cob.extended and is_restricted(cob.can_id):
            return f"CAN-ID {cob.text}h belongs to another service"
        return "the device does not take this CAN-ID, or takes none with 29 bits, or checks the whole mapping here"
    if subindex == TRANSMISSION_TYPE:
        return f"the device does not have transmission type {value}"
    return ""
