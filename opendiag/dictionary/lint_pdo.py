"""Checks of the PDOs: communication and mapping parameters, and every mapped object."""

from __future__ import annotations

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.lint_report import HELD, Report
from opendiag.dictionary.model import Variable, object_text
from opendiag.dictionary.pdos import Mapped, Pdo, number_of, pdos_of
from opendiag.findings import Severity
from opendiag.wire.pdo import MappingEntry

_MAX_BITS = 64
_MAX_ENTRIES = 64
#: Entries to name in one sentence.
_ENOUGH = 4
_SYNC = 0x1005
_RESERVED_TYPES = range(241, 252)
_SYNCHRONOUS = (*range(241), 252)
_REMOTE = (252, 253)
#: A TPDO reads the object and an RPDO writes it: access that rules this out.
_NOT_READ = ("wo",)
_NOT_WRITTEN = ("ro", "const")
#: Meant for PDOs of the other direction.
_FOR_RPDO, _FOR_TPDO = "rww", "rwr"
#: A modular device, or one with dynamic channels, gets these objects later.
_DYNAMIC = range(0xA000, 0xB000)


def check_pdos(report: Report) -> None:
    pdos = list(pdos_of(report.dictionary, report.node_id))
    _check_granularity(report, pdos)
    for pdo in pdos:
        if _is_whole(report, pdo):
            _check_communication(report, pdo)
        if pdo.mapping in report.dictionary.objects:
            _check_mapping(report, pdo)


def _is_whole(report: Report, pdo: Pdo) -> bool:
    """Are both parameters there? False without a communication parameter."""
    objects = report.dictionary.objects
    communication, mapping = objects.get(pdo.communication), objects.get(pdo.mapping)
    if communication is None:
        sentence = f"{pdo.name} has a mapping ({pdo.mapping:04X}h) and no communication parameter"
        evidence = f"{pdo.communication:04X}h is missing."
        report.add("lint-pdo-no-communication", Severity.WARNING, sentence, mapping, advice=evidence)
        return False
    if mapping is None:
        sentence = f"{pdo.name} has a communication parameter ({pdo.communication:04X}h) and no mapping"
        evidence = f"{pdo.mapping:04X}h is missing: nobody can tell what it carries."
        report.add("lint-pdo-no-mapping", Severity.WARNING, sentence, communication, advice=evidence)
    return True


def _check_communication(report: Report, pdo: Pdo) -> None:
    found = report.dictionary.objects[pdo.communication]
    for subindex, what in ((1, "COB-ID"), (2, "transmission type")):
        if subindex not in found.members:
            sentence = f"{pdo.name} has no {what} ({object_text(pdo.communication, subindex)})"
            report.add("lint-pdo-member-missing", Severity.WARNING, sentence, found)
    kind, variable = pdo.transmission_type, found.members.get(2)
    if kind is None or variable is None:
        return
    code = "lint-transmission-type"
    if kind in _RESERVED_TYPES or kind > 255:
        sentence = f"{pdo.name} has the transmission type {kind}, which is reserved"
        report.add(code, Severity.ERROR, sentence, variable, HELD)
    elif kind in _REMOTE and not pdo.transmit:
        sentence = f"{pdo.name} has the transmission type {kind}, which only a TPDO can have"
        report.add(code, Severity.WARNING, sentence, variable, HELD)
    elif not pdo.valid:
        return
    elif kind in _REMOTE and pdo.cob_id is not None and pdo.cob_id.bit_30:
        sentence = f"{pdo.name} is sent on request (type {kind}), and its COB-ID allows no remote frame (bit 30)"
        report.add(code, Severity.WARNING, sentence, variable, HELD)
    elif kind in _SYNCHRONOUS and _SYNC not in report.dictionary.objects:
        sentence = f"{pdo.name} goes with SYNC (type {kind}), and the device has no {_SYNC:04X}h (COB-ID SYNC)"
        report.add(code, Severity.WARNING, sentence, variable, HELD)


def _check_mapping(report: Report, pdo: Pdo) -> None:
    found = report.dictionary.objects[pdo.mapping]
    zero = found.members.get(0)
    if pdo.count is not None and zero is not None and not pdo.multiplexed and pdo.count > _MAX_ENTRIES:
        sentence = f"{zero.text} maps {pdo.count} objects; {_MAX_ENTRIES} are possible"
        report.add("lint-mapping-count", Severity.ERROR, sentence, zero, HELD)
        return
    _check_missing(report, pdo, zero)
    for mapped in pdo.mapped:
        _check_entry(report, pdo, mapped)
    if pdo.bits > _MAX_BITS:
        first = next(each for each in pdo.mapped if each.bit + each.entry.bits > _MAX_BITS)
        sentence = f"{pdo.name} maps {pdo.bits} bits, and a frame has {_MAX_BITS}"
        report.add("lint-pdo-too-long", Severity.ERROR, sentence, first.variable, HELD)


def _check_missing(report: Report, pdo: Pdo, zero: Variable | None) -> None:
    """Entries that are counted and say nothing. A PDO that is not in use may be left half-configured."""
    if not pdo.missing or zero is None:
        return
    zeros = [sub for sub in pdo.missing if number_of(report.dictionary.get(pdo.mapping, sub), report.node_id) == 0]
    severity = Severity.WARNING if pdo.valid else Severity.INFO
    which = ", ".join(object_text(pdo.mapping, subindex) for subindex in pdo.missing[:_ENOUGH])
    more = ", .." * (len(pdo.missing) > _ENOUGH)
    what = "0 (nothing) in" if len(zeros) == len(pdo.missing) else "no value for"
    sentence = f"{zero.text} counts {pdo.count} mapped objects, and there is {what} {which}{more}"
    first = report.dictionary.get(pdo.mapping, pdo.missing[0])
    report.add("lint-mapping-gap", severity, sentence, first or zero, HELD)


def _check_entry(report: Report, pdo: Pdo, mapped: Mapped) -> None:
    entry = mapped.entry
    if _is_placeholder(entry):
        _check_dummy(report, pdo, mapped)
        return
    what = f"{pdo.name} maps {object_text(entry.index, entry.subindex)}"
    target = report.dictionary.get(entry.index, entry.subindex)
    if target is None:
        if not _comes_later(report, entry):
            _add(report, "lint-mapping-nowhere", Severity.ERROR, f"{what}, which does not exist", mapped)
        return
    name = report.dictionary.name_of(target)
    if not target.pdo_mappable:
        sentence = f"{what} ({name}), which cannot be mapped"
        _add(report, "lint-mapping-not-mappable", Severity.WARNING, sentence, mapped, "Its PDOMapping is not 1.")
    if target.access in (_NOT_READ if pdo.transmit else _NOT_WRITTEN):
        does = "reads" if pdo.transmit else "writes"
        sentence = f"{what} ({name}), which is {target.access}: {'a TPDO' if pdo.transmit else 'an RPDO'} {does} it"
        _add(report, "lint-mapping-direction", Severity.ERROR, sentence, mapped)
    elif target.access == (_FOR_RPDO if pdo.transmit else _FOR_TPDO):
        sentence = f"{what} ({name}), which is {target.access}: meant for {'an RPDO' if pdo.transmit else 'a TPDO'}"
        _add(report, "lint-mapping-direction", Severity.WARNING, sentence, mapped)
    _check_length(report, what, mapped, target)


def _check_length(report: Report, what: str, mapped: Mapped, target: Variable) -> None:
    bits, width = mapped.entry.bits, datatypes.bit_width(target.data_type)
    if width is None or bits == width:
        return
    sentence = f"{what} with {bits} bits, and {target.type_name} has {width}"
    # Many devices move a BOOLEAN as a whole byte.
    byte = target.data_type == DataType.BOOLEAN and bits == 8
    _add(report, "lint-mapping-length", Severity.WARNING if byte else Severity.ERROR, sentence, mapped)


def _is_placeholder(entry: MappingEntry) -> bool:
    """Data types below 20h fill a gap."""
    return 0 < entry.index < 0x20


def _check_dummy(report: Report, pdo: Pdo, mapped: Mapped) -> None:
    entry, dummies = mapped.entry, report.dictionary.dummies
    what = f"{pdo.name} has a gap of {entry.bits} bits as {datatypes.type_name(entry.index)}"
    width = datatypes.bit_width(entry.index)
    if pdo.transmit:
        _add(report, "lint-dummy", Severity.WARNING, f"{what}, which only an RPDO can have", mapped)
    elif dummies is not None and entry.index not in dummies:
        sentence = f"{what}, which [DummyUsage] does not allow"
        _add(report, "lint-dummy", Severity.WARNING, sentence, mapped)
    elif width is not None and width != entry.bits:
        _add(report, "lint-dummy", Severity.INFO, f"{what}, which has {width}", mapped)


def _check_granularity(report: Report, pdos: list[Pdo]) -> None:
    """Once for the file: the number in [DeviceInfo] is as likely to be wrong as all the mappings."""
    granularity = report.dictionary.device.granularity
    if not granularity or granularity > _MAX_BITS:
        return
    finer = [(pdo, each.entry) for pdo in pdos for each in pdo.mapped if each.entry.bits % granularity]
    if finer:
        pdo, entry = finer[0]
        where, more = object_text(entry.index, entry.subindex), len(finer) - 1
        sentence = (
            f"Granularity says steps of {granularity} bits, and {pdo.name} maps {where} with {entry.bits}"
            + f" (so do {more} more entries)" * bool(more)
        )
        report.add_device("lint-mapping-granularity", Severity.WARNING, sentence, "Granularity")


def _comes_later(report: Report, entry: MappingEntry) -> bool:
    """Does the object, or the member, come with a module or a dynamic channel?"""
    dictionary = report.dictionary
    if any(entry.index in module.fixed or entry.index in module.extends for module in dictionary.modules.values()):
        return True
    return bool(dictionary.device.dynamic_channels) and entry.index in _DYNAMIC


def _add(report: Report, code: str, severity: Severity, sentence: str, mapped: Mapped, advice: str = "") -> None:
    report.add(code, severity, sentence, mapped.variable, HELD, advice)
