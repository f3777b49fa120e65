"""`opendiag pdo why`: why a TPDO does not appear, or an RPDO has no effect."""

from __future__ import annotations

import sys
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.pdo_arguments import can_id, take_one_pdo, with_interface
from opendiag.diagnose.pdo_why import PdoReport, examine_pdo
from opendiag.dictionary.pdos import number_of
from opendiag.master.node_pdo import Pdo
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import communication_index

_MARKS: dict[bool | None, tuple[str, dict[str, Any]]] = {
    True: ("ok", {"fg": "green"}),
    False: ("BROKEN", {"fg": "red"}),
    None: ("-", {"fg": "yellow"}),
}


@click.command("why", short_help="Say why a PDO does not come, or has no effect.")
@click.argument("node", metavar="NODE")
@click.argument("which", nargs=-1, required=True, metavar="tpdo|rpdo N")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--cob-id", "expected", callback=can_id, metavar="HEX", help="Where it is looked for, as in 1E5. Without "
              "it: where the EDS says, else the default.")  # fmt: skip
@click.option("--listen", "listen_s", callback=live.seconds, default="1.5s", show_default=True, metavar="TIME",
              help="How long to listen at least.")  # fmt: skip
@click.option("--at-most", "most_s", callback=live.seconds, default="10s", show_default=True, metavar="TIME",
              help="How long to listen when a period of the PDO is long.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def why(
    node: str,
    which: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    expected: CobId | None,
    listen_s: float,
    most_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say why TPDO N of NODE does not come, or why RPDO N has no effect. Transmits SDO read requests; changes nothing.

    Reads how the PDO is configured, listens for it and for SYNC, and says what is in the way, the most certain first,
    with the command that helps. Exit code 1 when anything was found.
    """
    number, words = node_id(node), list(which)
    transmit, pdo_number = take_one_pdo(words)
    if words:
        raise click.UsageError(f"{words[0]} is too much: one PDO at a time")
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        peer = live.node(network, number, eds)
        pdo = peer.pdo.tpdo(pdo_number) if transmit else peer.pdo.rpdo(pdo_number)
        plan = examine_pdo(
            number,
            transmit,
            pdo_number,
            network.watch,
            expected=expected or _configured(pdo),
            listen_s=listen_s,
            most_s=max(most_s, listen_s),
            timeout_s=timeout_s,
        )
        report = network.run(plan)
    printer = output.Printer()
    if as_json:
        printer.json(_for_interface(report.to_dict(), interface))
    else:
        print_report(report, printer, interface)
    if not report.ok:
        sys.exit(EXIT_FINDINGS)


def _for_interface(content: Any, interface: str | None) -> Any:
    """Every advice in it as it is to be typed for this bus."""
    if isinstance(content, dict):
        return {
            name: with_interface(value, interface)
            if name == "advice" and isinstance(value, str)
            else _for_interface(value, interface)
            for name, value in content.items()
        }
    return [_for_interface(each, interface) for each in content] if isinstance(content, list) else content


def _configured(pdo: Pdo) -> CobId | None:
    """What the EDS given with --eds says; nothing is sent to find out."""
    dictionary = pdo.node.view.dictionary
    if dictionary is None:
        return None
    word = number_of(dictionary.get(communication_index(pdo.transmit, pdo.number), 1), pdo.node.node_id)
    return None if word is None or CobId.decode(word).bit_31 else CobId.decode(word)


def print_report(report: PdoReport, printer: output.Printer, interface: str | None = None) -> None:
    """The steps, and then each finding with its advice. Commands in it are for ``interface``."""
    for step in report.steps:
        mark, colour = _MARKS[step.ok]
        printer.hanging(f"{step.name:<9} {mark:<7} ", step.sentence, **colour)
    printer.line("")
    if not report.findings:
        times = f"{report.count} time{'s' * (report.count != 1)} in {report.listened_s:.1f} s"
        printer.line(f"{report.name} of node {report.node_id} comes: {times}. Nothing is wrong with it.")
    for finding in report.findings:
        colour = {"fg": "red"} if finding.severity.name == "ERROR" else {"fg": "yellow"}
        evidence = f" [{finding.evidence}]" if finding.evidence else ""
        printer.hanging(f"{finding.code}: ", f"{finding.sentence}{evidence}", **colour)
        if finding.advice:
            printer.hanging("    ", with_interface(finding.advice, interface))
