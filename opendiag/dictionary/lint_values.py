"""Checks of defaults, configured values and limits against each other and against their data type."""

from __future__ import annotations

from typing import TypeGuard

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.lint_report import Report
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.errors import WireError
from opendiag.findings import Severity

_LAST_NODE_ID = 127
_READ_ONLY = ("ro", "const")
_DEFAULT, _VALUE = ("DefaultValue", "defaultvalue"), ("ParameterValue", "parametervalue")


def check_values(report: Report) -> None:
    for variable in report.dictionary.variables():
        _check_limits(report, variable)
        if variable.default is not None:
            _check_value(report, variable, variable.default, _DEFAULT)
        if variable.value is not None:
            _check_value(report, variable, variable.value, _VALUE)
            _check_configured(report, variable)


def _at(report: Report, *values: Value | NodeIdPlus | None) -> str:
    """Says with which node-ID a formula was worked out."""
    if not any(isinstance(value, NodeIdPlus) for value in values):
        return ""
    return f" at node-ID {_LAST_NODE_ID if report.node_id is None else report.node_id}"


def _resolved(report: Report, value: Value | NodeIdPlus | None) -> Value | None:
    """Without a node-ID the highest one: if that one fits, all do."""
    if isinstance(value, NodeIdPlus):
        return value.resolve(_LAST_NODE_ID if report.node_id is None else report.node_id)
    return value


def _check_limits(report: Report, variable: Variable) -> None:
    low, high = _resolved(report, variable.low), _resolved(report, variable.high)
    for name, limit in (("LowLimit", low), ("HighLimit", high)):
        reason = "" if limit is None else _unfit(variable, limit)
        if reason and not _is_known(report, variable, name.lower()):
            sentence = f"{name} of {variable.text}: {reason}"
            report.add("lint-limit-type", Severity.WARNING, sentence, variable, (name.lower(),))
    if _is_number(low) and _is_number(high) and low > high:
        sentence = f"LowLimit of {variable.text} is {low}, above its HighLimit {high}"
        report.add("lint-limits-crossed", Severity.ERROR, sentence, variable, ("lowlimit",), "No value is allowed.")


def _is_known(report: Report, variable: Variable, key: str) -> bool:
    """Has the reader of the file said so already?"""
    line, _ = report.places.of(variable, key)
    return any(finding.code == "eds-out-of-range" and finding.line == line for finding in report.dictionary.findings)


def _check_value(report: Report, variable: Variable, held: Value | NodeIdPlus, named: tuple[str, str]) -> None:
    name, key = named
    value = _resolved(report, held)
    if value is None:
        return
    is_default = named is _DEFAULT
    if reason := _unfit(variable, value):
        code = "lint-default-type" if is_default else "lint-value-type"
        report.add(code, Severity.ERROR, f"{name} of {variable.text}{_at(report, held)}: {reason}", variable, (key,))
        return
    low, high = _resolved(report, variable.low), _resolved(report, variable.high)
    beyond = ""
    if _is_number(value) and _is_number(low) and value < low:
        beyond = f"below its LowLimit {low}"
    elif _is_number(value) and _is_number(high) and value > high:
        beyond = f"above its HighLimit {high}"
    if beyond and _is_number(value):
        code = "lint-default-limits" if is_default else "lint-value-limits"
        severity = Severity.WARNING if is_default or variable.access in _READ_ONLY else Severity.ERROR
        advice = "" if is_default else "The device will refuse it, or the limit is wrong."
        at = _at(report, held, variable.low, variable.high)
        sentence = f"{name} of {variable.text} is {value}{at}, {beyond}"
        report.add(code, severity, sentence, variable, (key,), advice)


def _check_configured(report: Report, variable: Variable) -> None:
    """A DCF that sets what cannot be written."""
    if variable.access not in _READ_ONLY or variable.default is None:
        return
    value, default = _resolved(report, variable.value), _resolved(report, variable.default)
    if value != default:
        sentence = f"{variable.text} cannot be written, and its ParameterValue is not its DefaultValue"
        report.add("lint-value-read-only", Severity.INFO, sentence, variable, ("parametervalue",))


def _is_number(value: Value | None) -> TypeGuard[int | float]:
    return isinstance(value, int | float)


def _unfit(variable: Variable, value: Value) -> str:
    """Why the value is none of the type, "" if it is one."""
    if datatypes.bit_width(variable.data_type) is None:
        return ""
    try:
        datatypes.encode_value(variable.data_type, value)
    except WireError as error:
        return error.reason
    return ""
