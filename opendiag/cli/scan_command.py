"""`opendiag scan`: who is on the bus."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, EXIT_INTERRUPTED, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.progress import counted
from opendiag.diagnose.report import finding_to_dict
from opendiag.diagnose.situation import seconds
from opendiag.errors import AdapterError
from opendiag.master.scan import NetworkScan
from opendiag.services.scan_result import FoundNode, ScanResult
from opendiag.wire.nmt import NmtState

#: Longer than the heartbeats of most nodes.
_LISTEN_S, _LISTEN_PASSIVE_S = 2.5, 5.0
#: A node that was heard longer ago than this may be gone.
_LONG_AGO_S = 2.0


def _timeout(context: click.Context, parameter: click.Parameter, text: str) -> float:
    value = live.seconds(context, parameter, text) or 0.0
    if not 0.001 <= value <= 60:
        raise click.BadParameter(f"{text} is no time for an answer: expected 1ms to 60s")
    return value


@click.command(short_help="Find the nodes of a bus and who they are.")
@click.argument("nodes", nargs=-1, metavar="[NODE|FROM-TO]...")
@live.interface_option
@eds_options
@click.option("--from", "first", metavar="NODE", help="First node-ID to ask, 1 if not given.")
@click.option("--to", "last", metavar="NODE", help="Last node-ID to ask, 127 if not given.")
@click.option("--passive", is_flag=True, help="Only listen: transmit nothing.")
@click.option("--listen-only", is_flag=True, help="With --passive: the adapter does not acknowledge either.")
@click.option(
    "--for",
    "listen_s",
    callback=live.seconds,
    metavar="TIME",
    help="How long to listen at first: 2.5s, with --passive 5s. Longer than the heartbeats of the nodes.",
)
@click.option(
    "--timeout",
    "timeout_s",
    callback=_timeout,
    default="100ms",
    show_default=True,
    metavar="TIME",
    help="Time that a node may take for each answer.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    nodes: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    first: str | None,
    last: str | None,
    passive: bool,
    listen_only: bool,
    listen_s: float | None,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Listen who is on the bus, then ask every node-ID for its device type and identity.

    Transmits SDO read requests of 1000h and 1018h, no faster than the bus carries them; --passive transmits nothing.
    Exit code 1 when no node was found, or something is odd.
    """
    if listen_only and not passive:
        raise click.UsageError("--listen-only transmits nothing: it goes with --passive")
    addresses = _addresses(nodes, first, last)
    if listen_s is None:
        listen_s = _LISTEN_PASSIVE_S if passive else _LISTEN_S
    interruption: BaseException | None = None
    with (
        live.network(interface, eds, listen_only=listen_only, sends=not passive, quiet=quiet) as network,
        nullcontext(lambda: None) if passive else counted("asking", len(addresses), rows=False) as advance,
    ):
        scan = NetworkScan(
            network,
            addresses,
            listen_s=listen_s,
            timeout_s=timeout_s,
            passive=passive,
            progress=_steps(advance),
        )
        try:
            found = scan.run()
        except (KeyboardInterrupt, AdapterError) as error:
            interruption, found = error, scan.result()
    _print(found, as_json)
    if isinstance(interruption, AdapterError):
        raise interruption
    if not quiet:
        _tell(found, listen_s, passive, interruption is not None)
    if interruption is not None:
        sys.exit(EXIT_INTERRUPTED)
    if not found.nodes or found.findings:
        sys.exit(EXIT_FINDINGS)


def _steps(advance: Callable[[], None]) -> Callable[[int], None]:
    shown = 0

    def progress(done: int) -> None:
        nonlocal shown
        for _ in range(done - shown):
            advance()
        shown = max(shown, done)

    return progress


def _addresses(nodes: tuple[str, ...], first: str | None, last: str | None) -> list[int]:
    """In order. Raise click.UsageError, click.BadParameter."""
    if nodes and (first is not None or last is not None):
        raise click.UsageError("give node-IDs, or --from and --to, not both")
    if not nodes:
        return _span(first or "1", last or "127")
    found: dict[int, None] = {}
    for text in nodes:
        ends = re.fullmatch(r"(\w+)-(\w+)", text)
        found.update(dict.fromkeys(_span(ends[1], ends[2]) if ends else [node_id(text)]))
    return sorted(found)


def _span(first: str, last: str) -> list[int]:
    low, high = node_id(first), node_id(last)
    if low > high:
        raise click.BadParameter(f"from node-ID {low} to {high} there is none")
    return list(range(low, high + 1))


# --- what is printed ---


def _print(found: ScanResult, as_json: bool) -> None:
    if as_json:
        output.Printer().json(_to_dict(found))
    elif found.nodes:
        headings = ["node", "name or identity", "device type", "NMT", "response ms", "how"]
        output.table([_cells(node) for node in found.nodes], headings, right=(0, 4))


def _cells(node: FoundNode) -> list[str]:
    return [
        str(node.node_id),
        node.name or _identity(node) or "-",
        node.device or "-",
        _state(node),
        "-" if node.response_s is None else f"{node.response_s * 1000:.1f}",
        _how(node),
    ]


def _state(node: FoundNode) -> str:
    """A boot-up tells only that there was one; what comes after it depends on the device."""
    if node.state is None:
        return "-"
    return "booted" if node.state is NmtState.INITIALISING else node.state.text


def _identity(node: FoundNode) -> str:
    """As in "vendor 2E1h product A5A5h"."""
    parts = [("vendor", node.vendor_id), ("product", node.product_code)]
    return " ".join(f"{name} {value:X}h" for name, value in parts if value is not None)


def _how(node: FoundNode) -> str:
    if node.how == "answered":
        return f"answered; {node.error}" if node.error else "answered"
    ago = f" {seconds(node.heard_s)} ago" if node.heard_s is not None and node.heard_s > _LONG_AGO_S else ""
    heard = f"heard ({node.heard}{ago})"
    return f"{heard}; {node.error}" if node.error else heard


def _tell(found: ScanResult, listened_s: float, passive: bool, interrupted: bool) -> None:
    """On stderr: what was odd, and what the table means."""
    output.log_notes(found.findings)
    if found.stopped:
        output.note(f"Stopped after {found.asked} of {found.addresses} node-IDs: {found.stopped.rstrip('.')}.")
    if not found.nodes and not found.findings:
        output.note(
            f"No node was heard in {seconds(listened_s)}. Nodes without a heartbeat say nothing by themselves."
            if passive
            else f"No node was heard, and {_none_of(found.asked)} answered."
        )
    elif interrupted:
        output.note(f"Broken off: {found.asked} of {found.addresses} node-IDs were asked.")


def _none_of(count: int) -> str:
    return "the one that was asked has not" if count == 1 else f"none of {count} node-IDs"


def _to_dict(found: ScanResult) -> dict[str, Any]:
    return {
        "nodes": [_node_dict(node) for node in found.nodes],
        "findings": [finding_to_dict(finding) for finding in found.findings],
        "addresses": found.addresses,
        "asked": found.asked,
        "took_s": round(found.took_s, 6),
        "stopped": found.stopped,
    }


def _node_dict(node: FoundNode) -> dict[str, Any]:
    return {
        "node": node.node_id,
        "how": node.how,
        "name": node.name,
        "device_type": node.device_type,
        "device": node.device,
        "vendor_id": node.vendor_id,
        "product_code": node.product_code,
        "revision": node.revision,
        "serial": node.serial,
        "state": None if node.state is None else node.state.name,
        "response_ms": None if node.response_s is None else round(node.response_s * 1000, 3),
        "heard": node.heard,
        "heard_s": None if node.heard_s is None else round(node.heard_s, 3),
        "error": node.error,
    }
