"""Checks of which objects and members there are, what they are called, and who may access them."""

from __future__ import annotations

from collections.abc import Iterator

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.lint_report import HELD, Report
from opendiag.dictionary.model import Object, ObjectType, Variable
from opendiag.dictionary.pdos import number_of
from opendiag.findings import Severity

_MANDATORY = {0x1000: "device type", 0x1001: "error register", 0x1018: "identity"}
_FIRST_OBJECT = 0x1000
_GUARD_TIME, _LIFE_TIME_FACTOR, _CONSUMER, _PRODUCER = 0x100C, 0x100D, 0x1016, 0x1017
_WITH_MEMBERS = (ObjectType.ARRAY, ObjectType.RECORD)
#: FFh describes the object itself.
_LAST_SUBINDEX = 0xFE
#: Their sub-index 0 counts what is in use, not what is there.
_COUNTS = ((0x1003, 0x1003), (0x1600, 0x17FF), (0x1A00, 0x1BFF), (0x1FA0, 0x1FCF))
_NO_LENGTH = (DataType.VISIBLE_STRING, DataType.OCTET_STRING, DataType.UNICODE_STRING, DataType.DOMAIN)
_PDO_BITS = 64
#: Sub-indices to name in one sentence.
_ENOUGH = 4


def check_objects(report: Report) -> None:
    objects = report.dictionary.objects
    for index, name in _MANDATORY.items():
        if index not in objects:
            sentence = f"no {index:04X}h ({name}), which every CANopen device has"
            report.add("lint-mandatory-missing", Severity.WARNING, sentence)
    identity = objects.get(0x1018)
    if identity is not None and 1 not in identity.members:
        report.add("lint-mandatory-missing", Severity.WARNING, "no 1018:01 (vendor-ID)", identity)
    _check_error_control(report)
    for index in sorted(objects):
        found = objects[index]
        if index < _FIRST_OBJECT:
            continue
        if found.object_type in _WITH_MEMBERS and found.members:
            _check_members(report, found)
        for variable in found.members.values():
            _check_access(report, variable)


def _check_error_control(report: Report) -> None:
    objects = report.dictionary.objects
    guarded = _GUARD_TIME in objects and _LIFE_TIME_FACTOR in objects
    if _PRODUCER not in objects and not guarded:
        sentence = "neither heartbeat (1017h) nor node guarding (100Ch and 100Dh)"
        advice = "Nobody can notice that the device is gone."
        report.add("lint-no-error-control", Severity.WARNING, sentence, advice=advice)
    producer, guard, factor = (report.dictionary.get(index, 0) for index in (_PRODUCER, _GUARD_TIME, _LIFE_TIME_FACTOR))
    if producer is not None and all(number_of(each, report.node_id) for each in (producer, guard, factor)):
        sentence = "heartbeat and node guarding are both switched on"
        advice = "Only one of them is allowed; heartbeat comes first."
        report.add("lint-two-error-controls", Severity.WARNING, sentence, producer, HELD, advice)
    _check_consumers(report, objects.get(_CONSUMER))


def _check_consumers(report: Report, consumers: Object | None) -> None:
    watched: dict[int, int] = {}
    for subindex, variable in sorted(consumers.members.items()) if consumers is not None else ():
        word = number_of(variable, report.node_id) if subindex else None
        if word is None or not word & 0xFFFF:
            continue
        node = word >> 16 & 0xFF
        if node in watched and 1 <= node <= 127:
            sentence = f"{variable.text} watches node {node}, which 1016:{watched[node]:02X} does already"
            report.add("lint-heartbeat-consumer", Severity.ERROR, sentence, variable, HELD, "Devices refuse that.")
        watched.setdefault(node, subindex)


def _check_members(report: Report, found: Object) -> None:
    text = f"{found.index:04X}h"
    if 0 not in found.members:
        sentence = f"{text} has members and no sub-index 0"
        advice = "Programs that ask it how many members there are get an abort."
        report.add("lint-no-subindex-0", Severity.WARNING, sentence, found, advice=advice)
    else:
        _check_highest(report, found, found.members[0])
    # The members of an array are alike: that they share their name is usual.
    for name, same in _same_names(found) if found.object_type is ObjectType.RECORD else ():
        which = ", ".join(f"{variable.subindex:02X}" for variable in same[:_ENOUGH]) + ", .." * (len(same) > _ENOUGH)
        sentence = f"{len(same)} members of {text} are called {name!r}: {which}"
        report.add("lint-same-name", Severity.INFO, sentence, same[1], ("parametername",))


def _check_highest(report: Report, found: Object, zero: Variable) -> None:
    if any(first <= found.index <= last for first, last in _COUNTS) or zero.access not in ("ro", "const"):
        return
    said = number_of(zero, report.node_id)
    members = [subindex for subindex in found.members if 0 < subindex <= _LAST_SUBINDEX]
    highest = max(members, default=0)
    if said is None or said == highest:
        return
    sentence = f"{zero.text} says that {said} is the highest sub-index, and the file has {highest}"
    severity = Severity.WARNING if said < highest else Severity.INFO
    report.add("lint-highest-subindex", severity, sentence, zero, HELD)


def _same_names(found: Object) -> Iterator[tuple[str, list[Variable]]]:
    known: dict[str, list[Variable]] = {}
    for subindex in sorted(found.members):
        variable = found.members[subindex]
        known.setdefault(variable.name.casefold(), []).append(variable)
    for same in known.values():
        if len(same) > 1:
            yield same[0].name, same


def _check_access(report: Report, variable: Variable) -> None:
    text = variable.text
    if variable.access in ("rwr", "rww") and not variable.pdo_mappable:
        sentence = f"{text} is {variable.access}, which is about PDOs, and cannot be mapped into one"
        report.add("lint-access", Severity.INFO, sentence, variable, ("accesstype",))
    elif variable.access == "const" and variable.pdo_mappable:
        sentence = f"{text} is a constant that can be mapped into a PDO"
        report.add("lint-access", Severity.INFO, sentence, variable, ("pdomapping",))
    if variable.pdo_mappable and variable.data_type in _NO_LENGTH:
        held = variable.configured(report.node_id or 1)
        if not isinstance(held, str | bytes) or 8 * len(held) > _PDO_BITS:
            sentence = f"{text} can be mapped into a PDO, and a {variable.type_name} has no fixed length"
            report.add("lint-mappable-type", Severity.INFO, sentence, variable, ("pdomapping",))
