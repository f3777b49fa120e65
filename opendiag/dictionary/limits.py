"""What a dictionary allows to be written: access rights and limits, asked before anything is sent."""

from __future__ import annotations

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.errors import ValueRefused, WireError

_NOT_WRITABLE = ("ro", "const")
_SOURCES = {"eds": "its EDS", "xdd": "its XDD", "cia301": "CiA 301", "cia302": "CiA 302", "cia402": "CiA 402"}


def check_access(variable: Variable, what: str) -> None:
    """Raise ValueRefused for an object that the dictionary says cannot be written."""
    if variable.access in _NOT_WRITABLE:
        kind = "a constant" if variable.access == "const" else "read-only"
        raise ValueRefused(what, f"{kind} according to {_SOURCES.get(variable.source, variable.source)}")


def check_limits(variable: Variable, raw: bytes, node_id: int, what: str) -> None:
    """Raise ValueRefused for a number below LowLimit or above HighLimit."""
    try:
        value = datatypes.decode_value(variable.data_type, raw)
    except WireError as error:
        raise ValueRefused(what, error.reason) from error
    low, high = _limit(variable.low, node_id), _limit(variable.high, node_id)
    if isinstance(value, str | bytes) or (low is None and high is None):
        return
    if low is not None and value < low:
        raise ValueRefused(what, f"{value} is below its lower limit {low}" + _span(low, high))
    if high is not None and value > high:
        raise ValueRefused(what, f"{value} is above its upper limit {high}" + _span(low, high))


def _limit(limit: Value | NodeIdPlus | None, node_id: int) -> float | None:
    resolved = limit.resolve(node_id) if isinstance(limit, NodeIdPlus) else limit
    return None if resolved is None or isinstance(resolved, str | bytes) else resolved


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (allowed: {low}..{high})"
