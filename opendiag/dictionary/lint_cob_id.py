"""Checks of the CAN-IDs of a device: which may be configured, and whether two services want the same one.

Without a node-ID a formula stays one: then formulas are compared with formulas and numbers with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opendiag.dictionary.lint_report import HELD, Report
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.dictionary.pdos import pdos_of, said
from opendiag.findings import Severity
from opendiag.frame import MAX_STANDARD_ID
from opendiag.wire.cob_id import CobId, is_restricted

_NODE_IDS = (1, 127)
_SYNC, _TIME, _EMCY, _SDO = 0x1005, 0x1012, 0x1014, 0x1200
_EXTENDED = 1 << 29
_UNUSED = ((0x001, 0x07F), (0x101, 0x180))


@dataclass(frozen=True, slots=True)
class _Use:
    """A CAN-ID in use. ``of_node``: the node-ID is still to be added. Without a variable it is predefined.

    ``idle``: a PDO that maps nothing.
    """

    what: str
    cob: CobId
    of_node: bool
    sends: bool
    variable: Variable | None = None
    idle: bool = False


def check_cob_ids(report: Report) -> None:
    uses = list(_predefined(report)) + list(_configured(report))
    known: dict[tuple[int, bool, bool], _Use] = {}
    for use in uses:
        if use.variable is not None and not _is_fit(report, use, use.variable):
            continue
        first = known.setdefault((use.cob.can_id, use.cob.extended, use.of_node), use)
        if first is not use and use.variable is not None:
            _clash(report, first, use, use.variable)


def _predefined(report: Report) -> Iterator[_Use]:
    """What a device has whether the file says so or not."""
    yield _Use("NMT", CobId(0), False, False)
    yield _fixed(report, "the SDO answers", 0x580, True)
    yield _fixed(report, "the SDO requests", 0x600, False)
    yield _fixed(report, "heartbeat and boot-up", 0x700, True)


def _fixed(report: Report, what: str, base: int, sends: bool) -> _Use:
    return _Use(what, CobId(base + (report.node_id or 0)), report.node_id is None, sends)


def _configured(report: Report) -> Iterator[_Use]:
    for index, what in ((_SYNC, "SYNC"), (_TIME, "TIME"), (_EMCY, "EMCY")):
        variable = report.dictionary.get(index, 0)
        cob = _cob_id(report, variable)
        if variable is not None and cob is not None and _is_used(index, cob):
            yield _Use(what, cob, _is_open(report, variable), index == _EMCY, variable)
    for pdo in pdos_of(report.dictionary, report.node_id):
        variable = report.dictionary.get(pdo.communication, 1)
        cob = _cob_id(report, variable)
        if variable is not None and cob is not None and not cob.bit_31:
            yield _Use(pdo.name, cob, _is_open(report, variable), pdo.transmit, variable, pdo.count == 0)


def _is_used(index: int, cob: CobId) -> bool:
    """A SYNC is listened to in any case; TIME is used by who consumes (bit 31) or produces it (bit 30)."""
    if index == _TIME:
        return cob.bit_31 or cob.bit_30
    return index == _SYNC or not cob.bit_31


def _is_open(report: Report, variable: Variable) -> bool:
    return report.node_id is None and isinstance(said(variable), NodeIdPlus)


def _cob_id(report: Report, variable: Variable | None) -> CobId | None:
    """Of a formula without a node-ID what is to be added to it."""
    value = said(variable)
    if isinstance(value, NodeIdPlus):
        value = value.resolve(report.node_id or 0)
    return CobId.decode(value) if isinstance(value, int) and value >= 0 else None


def _is_fit(report: Report, use: _Use, variable: Variable) -> bool:
    """May the CAN-ID be configured at all? If not, that it clashes with others is no news."""
    word = said(variable)
    number = word.resolve(report.node_id or _NODE_IDS[-1]) if isinstance(word, NodeIdPlus) else word
    if isinstance(number, int) and not number & _EXTENDED and number & _EXTENDED - 1 > MAX_STANDARD_ID:
        sentence = f"the COB-ID of {use.what} ({variable.text}) does not fit 11 bits, and bit 29 is not set"
        report.add("lint-cob-id-range", Severity.ERROR, sentence, variable, HELD)
        return False
    if use.cob.extended:
        return True
    can_ids = [use.cob.can_id + node_id for node_id in _NODE_IDS] if use.of_node else [use.cob.can_id]
    if not all(is_restricted(can_id) for can_id in can_ids):
        return True
    sentence = f"{use.what} ({variable.text}) uses the CAN-ID {_text(use)}, which CiA 301 does not allow here"
    # Nothing is sent on these, so that a device may work with them all the same.
    unused = any(first <= can_ids[0] <= last for first, last in _UNUSED)
    severity = Severity.WARNING if unused else Severity.ERROR
    report.add("lint-cob-id-restricted", severity, sentence, variable, HELD, _hint(use, variable))
    return False


def _text(use: _Use) -> str:
    return f"{use.cob.text}h + node-ID" if use.of_node else f"{use.cob.text}h"


def _hint(use: _Use, variable: Variable) -> str:
    if isinstance(said(variable), NodeIdPlus) or use.cob.can_id & 0x7F or not use.cob.can_id:
        return ""
    return f"Is $NODEID+0x{use.cob.can_id:X} meant?"


def _clash(report: Report, first: _Use, use: _Use, variable: Variable) -> None:
    both = first.variable is not None and not (first.sends or use.sends)
    # Two RPDOs may listen to the same frame; two senders, or a sender and a listener of another kind, may not.
    severity = Severity.INFO if first.idle or use.idle else Severity.WARNING if both else Severity.ERROR
    where = f" ({first.variable.text})" if first.variable is not None else ""
    sentence = f"{use.what} ({variable.text}) and {first.what}{where} both use the CAN-ID {_text(use)}"
    report.add("lint-cob-id-clash", severity, sentence, variable, HELD)
