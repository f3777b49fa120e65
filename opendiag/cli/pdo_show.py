"""`opendiag pdo show`: how the PDOs of a node are configured."""

from __future__ import annotations

from typing import Any

import click

from opendiag.cli import live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.pdo_arguments import contents, summary, take_pdo, to_dict
from opendiag.master.node import Node
from opendiag.master.node_pdo import Pdo


@click.command(short_help="Show how PDOs are configured.")
@click.argument("node", metavar="NODE")
@click.argument("which", nargs=-1, metavar="[tpdo|rpdo [N]]...")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each PDO, on a line.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def show(
    node: str,
    which: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show the PDOs of NODE: CAN-ID, transmission type, times, mapped objects. Transmits SDO read requests.

    Without more: all that the node has. tpdo or rpdo: those; tpdo 1 or tpdo1: that one.
    """
    number, words = node_id(node), list(which)
    wanted: list[tuple[bool, int | None]] = []
    while words:
        wanted.append(take_pdo(words))
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        printer = output.Printer(live=True)
        for pdo in chosen(live.node(network, number, eds), wanted):
            if as_json:
                printer.json(as_dict(pdo))
            else:
                print_pdo(pdo, printer)


def chosen(peer: Node, wanted: list[tuple[bool, int | None]]) -> list[Pdo]:
    """Those that were asked for, each once; all of the node when none was."""
    found: dict[tuple[bool, int], Pdo] = {}
    for transmit, number in wanted or [(False, None), (True, None)]:
        if number is None:
            several: list[Any] = list(peer.pdo.tpdos if transmit else peer.pdo.rpdos)
        else:
            several = [peer.pdo.tpdo(number) if transmit else peer.pdo.rpdo(number)]
        for pdo in several:
            found.setdefault((transmit, pdo.number), pdo)
    return list(found.values())


def print_pdo(pdo: Pdo, printer: output.Printer) -> None:
    """A line for the PDO and one for each object in it."""
    parameters = pdo.parameters
    style: dict[str, Any] = {} if parameters.active else {"dim": True}
    printer.hanging(f"{parameters.name:<6}  ", f"{summary(parameters)}; {contents(parameters)}", **style)
    for row in pdo.show():
        unit = f" ({row.unit})" if row.unit else ""
        where = "" if row.name == row.text or not row.type else row.text
        name = row.name if where else "dummy" if row.name == "dummy" else "not in the dictionary"
        printer.line(f"        bit {row.bit:>2}  {row.bits:>2} bits  {where or row.text:<8} {name}{unit}", **style)


def as_dict(pdo: Pdo) -> dict[str, Any]:
    """JSON form: the parameters and the mapped objects."""
    objects = [
        {
            "index": row.index,
            "subindex": row.subindex,
            "name": row.name,
            "type": row.type,
            "unit": row.unit,
            "bit": row.bit,
            "bits": row.bits,
        }
        for row in pdo.show()
    ]
    return {"node": pdo.node.node_id, **to_dict(pdo.parameters), "objects": objects}
