"""`opendiag emcy`: emergency messages as they come, and the error history of a node."""

from __future__ import annotations

from typing import Any

import click

from opendiag.cli import live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.verbs import verb_argument
from opendiag.master.network import Network
from opendiag.master.node_emcy import HISTORY
from opendiag.services.emcy import EmcyReceived, emcy_text
from opendiag.wire.emcy import error_register_names

_VERBS = ("history", "clear")
_RESET: dict[str, Any] = {"fg": "green"}
_ERROR: dict[str, Any] = {"fg": "red"}


@click.command(short_help="Show emergency messages, read and clear error histories.")
@verb_argument(_VERBS, "[history|clear", required=False)
@click.argument("node", required=False, metavar="NODE]")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--node", "nodes", multiple=True, metavar="N", help="Only messages of this node. May be repeated.")
@click.option("--no-ask", is_flag=True, help="Send nothing: texts of the vendor need --eds then.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each message or entry.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    verb: str | None,
    node: str | None,
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    nodes: tuple[str, ...],
    no_ask: bool,
    seconds: float | None,
    count: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show emergency messages (EMCY) until Ctrl-C, with the texts of CiA 301, CiA 402 and the vendor.

    A node that reports something is asked who it is (1018h), to know whose texts are its own; --no-ask sends nothing.

    `emcy history NODE` reads the errors that a node remembers (1003h), newest first; `emcy clear NODE` has it forget
    them.
    """
    if verb is not None and node is None:
        raise click.UsageError(f"{verb}: which node? Give its node-ID")
    if verb is not None and (seconds is not None or count is not None or nodes or no_ask):
        raise click.UsageError(f"--for, --count, --node and --no-ask are for messages as they come, not for {verb}")
    wanted = {node_id(text) for text in nodes}
    number = node_id(node) if node is not None else 0
    asks = verb is not None or not no_ask
    with live.network(interface, eds, timeout_s=timeout_s, sends=asks, quiet=quiet) as network:
        printer = output.Printer(live=True)
        if verb is None:
            _Live(network, eds, wanted, printer, as_json, asks).run(seconds, count, quiet)
        elif verb == "history":
            _history(network, number, eds, printer, as_json)
        else:
            _clear(network, number, eds, printer, as_json)


# --- what a node remembers -------------------------------------------------------------------------------------------


def _history(network: Network, number: int, eds: EdsChoice, printer: output.Printer, as_json: bool) -> None:
    node = live.node(network, number, eds)
    node.identify()
    entries = node.emcy.history()
    for place, entry in enumerate(entries, 1):
        if as_json:
            information = entry.information
            printer.json({"node": number, "entry": place, "code": entry.code, "info": information, "text": entry.text})
            continue
        more = f"  (additional information {entry.information:04X}h)" if entry.information else ""
        printer.hanging(f"{place:>3}  {entry.code:04X}h  ", f"{entry.text}{more}")
    if not entries and not as_json:
        printer.line(f"node {number} remembers no error (1003h)")


def _clear(network: Network, number: int, eds: EdsChoice, printer: output.Printer, as_json: bool) -> None:
    """Says how many there were, and how many there are now."""
    node = live.node(network, number, eds)
    before = int.from_bytes(node.upload(HISTORY, 0), "little")
    node.emcy.clear()
    after = int.from_bytes(node.upload(HISTORY, 0), "little")
    if as_json:
        printer.json({"node": number, "before": before, "after": after})
    elif before:
        printer.line(f"node {number}: {before} error{'s' * (before != 1)} forgotten, {after} left (1003h)")
    else:
        printer.line(f"node {number} remembered no error (1003h)")


# --- as they come ----------------------------------------------------------------------------------------------------


class _Live:
    """``nodes`` empty: of all of them."""

    def __init__(
        self, network: Network, eds: EdsChoice, nodes: set[int], printer: output.Printer, as_json: bool, asks: bool
    ) -> None:
        self._network = network
        self._eds = eds
        self._nodes = nodes
        self._printer = printer
        self._as_json = as_json
        self._asks = asks
        self._known: set[int] = set()
        self._began = network.clock.now()

    def run(self, seconds: float | None, count: int | None, quiet: bool) -> None:
        """Until Ctrl-C, that time, or so many of them. Raise AdapterError."""
        clock = self._network.clock
        until = None if seconds is None else self._began + seconds
        shown = 0
        with self._network.events(EmcyReceived) as events:
            try:
                while (count is None or shown < count) and (until is None or clock.now() < until):
                    event = events.get(None if until is None else max(until - clock.now(), 0.0))
                    if event is not None and (not self._nodes or event.node_id in self._nodes):
                        shown += 1
                        self._show(event)
            except KeyboardInterrupt:
                pass
        if not quiet:
            output.note(f"{self._network.name}: {shown} emergency message{'s' * (shown != 1)}.")

    def _show(self, event: EmcyReceived) -> None:
        text = self._text(event)
        if self._as_json:
            self._printer.json(_fields(event, text))
            return
        code = "-" if event.emcy is None else f"{event.emcy.code:04X}h"
        head = f"{event.at - self._began:12.6f}  {event.node_id:<5}  {code:<5}  "
        parts = [text]
        if event.emcy is not None and event.emcy.register:
            parts.append(f"error register: {', '.join(error_register_names(event.emcy.register))}")
        if event.emcy is not None and any(event.emcy.manufacturer):
            parts.append(f"manufacturer {event.emcy.manufacturer.hex(' ').upper()}")
        self._printer.hanging(head, "; ".join(parts), **(_RESET if event.is_reset else _ERROR))

    def _text(self, event: EmcyReceived) -> str:
        """In the words of the node's vendor, where these are known or can be asked for."""
        if event.node_id not in self._known:
            self._known.add(event.node_id)
            node = live.node(self._network, event.node_id, self._eds)
            if self._asks:
                node.identify()
        view = self._network[event.node_id].view
        if event.emcy is None or not event.complete:
            return event.text
        return emcy_text(event.emcy.code, view.profile, view.vendor_id)


def _fields(event: EmcyReceived, text: str) -> dict[str, Any]:
    emcy = event.emcy
    return {
        "t": round(event.at, 6),
        "node": event.node_id,
        "code": None if emcy is None else emcy.code,
        "register": None if emcy is None else emcy.register,
        "bits": [] if emcy is None else error_register_names(emcy.register),
        "manufacturer": None if emcy is None else emcy.manufacturer.hex(),
        "text": text,
        "reset": event.is_reset,
        "complete": event.complete,
        "raw": event.data.hex(),
    }
