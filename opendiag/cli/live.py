"""What commands on a live bus share: -i, the network it opens, and what is to be said about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from opendiag.cli import output
from opendiag.cli.options import EdsChoice
from opendiag.errors import SdoTimeout
from opendiag.findings import Severity
from opendiag.master.connect import connect
from opendiag.master.network import Network
from opendiag.master.node import Node
from opendiag.master.port import Port

SIMULATED = (
    "No interface given: a simulated StepIM (node 101) answers, a new one each time. "
    "-i ADAPTER:CHANNEL@BITRATE takes a real bus."
)
NOT_SERVED = "No simulator runs here (`opendiag sim` starts one): a new simulated StepIM (node 101) answers."
SERVED = "No interface given: the simulator that runs here answers. -i ADAPTER:CHANNEL@BITRATE takes a real bus."
#: The readers of adapters tell it what goes on. By name: importing them takes long.
_NEWS = logging.getLogger("opendiag.adapters")
#: "s" comes after those that end with it.
_UNITS = {"ms": 0.001, "min": 60.0, "s": 1.0, "h": 3600.0}


def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A time as an option: 10, 10s, 500ms, 2min, 1h."""
    if text is None:
        return None
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        value = float(text.removesuffix(unit)) * _UNITS.get(unit, 1.0)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise click.BadParameter(f"{text!r} is no time: expected one such as 10, 10s, 500ms, 2min or 1h")
    return value


def _timeout(context: click.Context, parameter: click.Parameter, text: str) -> float:
    value = seconds(context, parameter, text) or 0.0
    if not 0.001 <= value <= 3600:
        raise click.BadParameter(f"{text} is no time for an answer: expected 1ms to 1h")
    return value


def interface_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """-i; the command gets the text as ``interface``, or None."""

    @click.option(
        "-i",
        "--interface",
        envvar="OPENDIAG_INTERFACE",
        metavar="ADAPTER:CHANNEL@BITRATE",
        help="The bus, as in socketcan:can0, slcan:/dev/ttyACM0@500k or sim:stepim. `opendiag ports` lists what is "
        "here; OPENDIAG_INTERFACE holds the usual one. Without it: a simulated StepIM.",
    )
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    return wrapped


def timeout_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--timeout, for each answer; the command gets seconds as ``timeout_s``."""

    @click.option(
        "--timeout",
        "timeout_s",
        callback=_timeout,
        default="500ms",
        show_default=True,
        metavar="TIME",
        help="Time that a node may take for each answer.",
    )
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    return wrapped


@contextmanager
def network(
    interface: str | None,
    eds: EdsChoice | None = None,
    *,
    timeout_s: float = 0.5,
    listen_only: bool = False,
    sends: bool = True,
    unconfirmed: bool = False,
    quiet: bool = False,
) -> Iterator[Network]:
    """The network on that bus. Says on stderr when it is the simulated one, and what devices did that was odd.

    ``sends``: what whoever sends through this adapter should know is said too. ``unconfirmed``: nothing but the adapter
    tells whether a frame was sent, so it is said if it does not.
    """
    made = connect(
        "sim" if interface is None else interface,
        dictionaries=dict(eds.by_node) if eds is not None else None,
        library=eds.library if eds is not None else None,
        timeout_s=timeout_s,
        listen_only=listen_only,
    )
    if not quiet:
        tell_notes(made.port, sends)
    least = Severity.INFO
    news = None if quiet else _News()
    try:
        if interface is None and not quiet:
            output.note(SIMULATED if made.name == "sim" else SERVED)
        elif interface == "sim" and made.name == "sim" and not quiet:
            output.note(NOT_SERVED)
        yield made
    except SdoTimeout:
        least = Severity.WARNING  # the error says itself how often it was tried
        raise
    finally:
        made.close()
        if news is not None:
            news.close()
        _tell_findings(made, unconfirmed, quiet)
        for oddity in () if quiet else made.oddities:
            if oddity.finding.severity >= least:
                output.note(str(oddity.finding))


class _News(logging.Handler):
    """Says at once that an adapter is gone and looked for, and that it is back."""

    def __init__(self) -> None:
        super().__init__()
        self._level_before = _NEWS.level
        _NEWS.setLevel(logging.INFO)
        _NEWS.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        output.note(record.getMessage())

    def close(self) -> None:
        _NEWS.removeHandler(self)
        _NEWS.setLevel(self._level_before)
        super().close()


def tell_notes(port: Port, sends: bool = True) -> None:
    """What was asked of the adapter and could not be had, and what whoever sends through it should know."""
    for_senders = () if sends else getattr(getattr(port, "bus", None), "notes", ())
    for text in getattr(port, "notes", ()):
        if text not in for_senders:
            output.note(f"{port.name}: {text}")


def _tell_findings(made: Network, unconfirmed: bool, quiet: bool) -> None:
    """What was odd about the adapter. What it lost is always said; what may be quite normal when nothing came."""
    port = made.port
    asked = getattr(port, "findings", None)
    least = Severity.ERROR if quiet else Severity.WARNING
    if not quiet and getattr(port, "taken", None) == 0:
        least = Severity.INFO
    mute = "adapter-mute" if unconfirmed and not quiet and getattr(port, "given", None) else ""
    output.log_notes(
        finding for finding in (asked() if asked else ()) if finding.severity >= least or finding.code == mute
    )


def node(made: Network, node_id: int, eds: EdsChoice) -> Node:
    """The node with the dictionary that --eds gives it."""
    return made.node(node_id, eds.by_node.get(node_id, eds.fallback))
