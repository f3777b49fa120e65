"""`opendiag nodes`: who is on the bus of a capture."""

from __future__ import annotations

import click

from opendiag.cli import output
from opendiag.cli.options import EdsChoice, eds_options, source
from opendiag.cli.run import Run
from opendiag.decode.summary import NodeSummary, Summary
from opendiag.logs import open_log


@click.command(short_help="List the nodes in a capture and what they do.")
@click.argument("file", required=False, metavar="[FILE|-]")
@eds_options
@click.option("--time", type=click.Choice(["a", "z", "d"]), help="The capture was made with candump -t a, z or d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each node.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def command(file: str | None, eds: EdsChoice, time: str | None, as_json: bool, quiet: bool) -> None:
    """List the nodes in a capture, the COB-IDs they use, their state and what was said to them."""
    given, name = source(file)
    with open_log(given, time=time) as log:
        run = Run(log, eds)
        summary = Summary(run.decoder)
        for frame in run.frames():
            for record in summary.feed(frame):
                run.note(record, shown=False)
        summary.finish()
    nodes = summary.nodes()
    if as_json:
        for node in nodes:
            output.Printer().json(node.to_dict())
    elif nodes:
        _print(nodes)
    else:
        output.note("No frame in this capture belongs to a node.")
    run.finish(name, quiet)


def _print(nodes: list[NodeSummary]) -> None:
    several = len({node.channel for node in nodes}) > 1
    rows = [_cells(node, several) for node in nodes]
    headings = ["node", "COB-IDs seen", "NMT", "402 state", "reads", "writes", "aborts", "open", "EMCY", "heartbeat"]
    output.table(rows, headings, right=(0, 4, 5, 6, 7, 8))


def _cells(node: NodeSummary, with_channel: bool) -> list[str]:
    name = f"{node.channel}/{node.node_id}" if with_channel else str(node.node_id)
    return [
        name,
        ", ".join(node.cob_ids()),
        node.nmt_state or "-",
        node.pds_state or "-",
        *(str(count) for count in (node.reads, node.writes, node.aborts, node.open, node.emcy)),
        node.heartbeat_text(),
    ]
