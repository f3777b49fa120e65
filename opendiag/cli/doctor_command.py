"""`opendiag doctor`: from the adapter to the node, and where it breaks."""

from __future__ import annotations

import sys
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.diagnose.ladder import doctor
from opendiag.diagnose.report import Report

_MARKS: dict[bool | None, tuple[str, dict[str, Any]]] = {
    True: ("ok", {"fg": "green"}),
    False: ("BROKEN", {"fg": "red"}),
    None: ("-", {"dim": True}),
}


@click.command(short_help="Find out why a node does not answer.")
@click.argument("node", required=False, metavar="[NODE]")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--probe", is_flag=True, help="Ask every node-ID, not only when NODE is not heard.")
@click.option("--no-probe", is_flag=True, help="Ask no other node than NODE.")
@click.option(
    "--listen",
    "listen_s",
    callback=live.seconds,
    default="2.5s",
    show_default=True,
    metavar="TIME",
    help="How long to listen at first: longer than the heartbeats of the nodes.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    node: str | None,
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    probe: bool,
    no_probe: bool,
    listen_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check the way to NODE, step by step: adapter, bus, bit rate, nodes, node, SDO, health.

    Transmits SDO read requests: to NODE, and to every node-ID when NODE is not heard. Without NODE: to the only node
    there is. The first broken step is explained, with what to do. Exit code 1 when anything was found.
    """
    if probe and no_probe:
        raise click.UsageError("--probe and --no-probe: take one")
    number = None if node is None else node_id(node)
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        peer = None if number is None else live.node(network, number, eds)
        plan = doctor(
            number,
            network.watch,
            network.facts,
            channel=None if peer is None else peer.client.channel,
            probe=True if probe else False if no_probe else None,
            listen_s=listen_s,
            timeout_s=timeout_s,
        )
        report = network.run(plan)
    printer = output.Printer()
    if as_json:
        printer.json(report.to_dict())
    else:
        _print(report, printer)
    if not report.ok:
        sys.exit(EXIT_FINDINGS)


def _print(report: Report, printer: output.Printer) -> None:
    for step in report.steps:
        mark, colour = _MARKS[step.ok]
        sentences = [step.sentence]
        for finding in step.findings:
            sentences += [part for part in (finding.sentence, finding.advice) if part and part not in sentences]
        printer.hanging(f"{step.name:<9} {mark:<7} ", sentences[0], **colour)
        for sentence in sentences[1:]:
            printer.hanging(" " * 18, sentence, **colour)
