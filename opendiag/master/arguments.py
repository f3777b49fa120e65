"""What callers give, looked at before anything is sent: a mistake is told in the words of the call."""

from __future__ import annotations

from operator import index
from typing import Any

from opendiag.wire.nmt import NmtState


def checked_node_id(node_id: Any) -> int:
    """Raise TypeError for what is no whole number, ValueError outside 1..127."""
    try:
        number = index(node_id)
    except TypeError:
        number = None
    if number is None or isinstance(node_id, bool):
        raise TypeError(f"a node-ID is a whole number 1..127, not {node_id!r}") from None
    if not 1 <= number <= 127:
        raise ValueError(f"node-ID {number} is outside 1..127")
    return number


def checked_key(key: Any) -> None:
    """Of an object. Raise TypeError for what is neither a number, a name nor a pair of numbers."""
    numbers = key if isinstance(key, tuple) and len(key) == 2 else (key,)
    wrong = any(isinstance(one, bool) or not isinstance(one, int) for one in numbers)
    if wrong and not isinstance(key, str):
        raise TypeError(f"an object is node[0x6041], node[0x1018, 1] or node['Statusword'], and not node[{key!r}]")


def checked_function(function: Any) -> None:
    """Raise TypeError for what cannot be called."""
    if not callable(function):
        raise TypeError(f"a function to call is expected, not {function!r}")


def event_classes(kinds: Any) -> tuple[type, ...]:
    """Of one class, or a tuple of them. Raise TypeError for what is no class of events."""
    found = kinds if isinstance(kinds, tuple) else (kinds,)
    for one in found:
        if not isinstance(one, type) or (one.__module__ == "builtins" and one is not object):
            raise TypeError(f"{one!r} is no class of events: expected one such as opendiag.services.heartbeat.BootedUp")
    return found


def kind_text(wanted: Any, node_id: int | None) -> str:
    """What is waited for, and whose, as in "BootedUp of node 5"."""
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    names = [one.__name__ if isinstance(one, type) else f"an event that {_name(one)} agrees to" for one in kinds]
    return (" or ".join(names) or "any event") + ("" if node_id is None else f" of node {node_id}")


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", None) or repr(function))


def nmt_state(state: Any) -> NmtState:
    """By itself, its number or its name, as in "PRE-OPERATIONAL". Raise ValueError, TypeError."""
    if isinstance(state, str):
        name = state.strip().upper().replace("-", "_").replace(" ", "_")
        if name in NmtState.__members__:
            return NmtState[name]
    elif isinstance(state, int) and not isinstance(state, bool) and state in tuple(NmtState):
        return NmtState(state)
    elif not isinstance(state, int):
        raise TypeError(f"an NMT state is expected, such as NmtState.OPERATIONAL, not {state!r}")
    raise ValueError(f"{state!r} is no NMT state: expected one of {', '.join(one.text for one in NmtState)}")
