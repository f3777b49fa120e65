"""Checks against the tables of CiA 301, 302 and 402: a device may differ, and one ought to know."""

from __future__ import annotations

from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import is_integer
from opendiag.dictionary.lint_report import Report
from opendiag.dictionary.model import ObjectType, Variable
from opendiag.dictionary.pdos import number_of
from opendiag.findings import Severity

_COMMUNICATION = range(0x1000, 0x2000)
_DRIVE = range(0x6000, 0xA000)
_PROFILE_402 = 402
_READ_ONLY, _READS, _TO_BE_WRITTEN = ("ro", "const"), ("ro", "const", "rw", "rwr", "rww"), ("wo", "rww")
_ONE_VALUE = (ObjectType.VAR, ObjectType.DOMAIN)
_NAMES = {"cia301": "CiA 301", "cia302": "CiA 302", "cia402": "CiA 402"}


def check_standard(report: Report) -> None:
    device_type = number_of(report.dictionary.get(0x1000, 0), report.node_id)
    is_drive = device_type is not None and device_type & 0xFFFF == _PROFILE_402
    for index in sorted(report.dictionary.objects):
        if index in _COMMUNICATION or (is_drive and index in _DRIVE):
            _check_object(report, index)


def _check_object(report: Report, index: int) -> None:
    found, kind = report.dictionary.objects[index], builtin.object_type(index)
    if kind is not None and (kind in _ONE_VALUE) != (found.object_type in _ONE_VALUE):
        sentence = f"{index:04X}h is {found.object_type.name}, and {builtin.object_name(index)} is {kind.name}"
        report.add("lint-standard-object", Severity.INFO, sentence, found, ("objecttype",))
        return
    types: dict[tuple[int, int], list[tuple[Variable, Variable]]] = {}
    for variable in found.members.values():
        standard = builtin.get(index, variable.subindex)
        if standard is None:
            continue
        if variable.data_type != standard.data_type and is_integer(standard.data_type):
            types.setdefault((variable.data_type, standard.data_type), []).append((variable, standard))
        _check_access(report, variable, standard)
    for pairs in types.values():
        variable, standard = pairs[0]
        more = f" (and {len(pairs) - 1} more members)" if len(pairs) > 1 else ""
        sentence = f"{variable.text}{more} is {variable.type_name}, in {_source(standard)} {standard.type_name}"
        report.add("lint-standard-type", Severity.INFO, sentence, variable, ("datatype",))


def _source(standard: Variable) -> str:
    return _NAMES.get(standard.source, standard.source)


def _check_access(report: Report, variable: Variable, standard: Variable) -> None:
    """What the standard lets others write may be fixed in a device, unless it is made for that, as a controlword is."""
    if not variable.access:
        return
    if standard.access in _READS and variable.access == "wo":
        lacks = "read"
    elif standard.access in _TO_BE_WRITTEN and variable.access in _READ_ONLY:
        lacks = "written"
    else:
        return
    sentence = (
        f"{variable.text} is {variable.access} and cannot be {lacks}, in {_source(standard)} it is {standard.access}"
    )
    report.add("lint-standard-access", Severity.INFO, sentence, variable, ("accesstype",))
