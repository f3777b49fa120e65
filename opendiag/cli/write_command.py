"""`opendiag write`: one object of a node, by its type and within its limits."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from opendiag.cli import EXIT_FINDINGS, live, objects, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.progress import transfer_progress
from opendiag.dictionary.value_text import parse_value
from opendiag.errors import SdoTimeout
from opendiag.master.node import Node
from opendiag.master.variable import NodeVariable

#: Writes longer than this show their progress.
_LONG = 1000


# Negative numbers are values, not options.
@click.command(short_help="Write an object of a node.", context_settings={"ignore_unknown_options": True})
@click.argument("node", metavar="NODE")
@click.argument("wanted", metavar="OBJECT")
@click.argument("value", metavar="VALUE")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--block", is_flag=True, help="Use a block transfer: faster for large objects.")
@click.option("--force", is_flag=True, help="Write even what access rights or limits of the dictionary forbid.")
@click.option("--verify", is_flag=True, help="Read the object afterwards and compare.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    node: str,
    wanted: str,
    value: str,
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    block: bool,
    force: bool,
    verify: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write VALUE to OBJECT of NODE. Transmits SDO requests.

    VALUE follows the object's type: a number (100, -5, 0x1F), the name of a value ("profile position"), names of bits
    joined by +, a number with its unit ("1.5 rev"), text, bytes in hexadecimal, or @FILE. Limits and access rights are
    checked before anything is sent. An object that no dictionary knows takes its type along: u16:100, i32:-5, hex:0A0B.
    """
    if value.startswith("--"):
        raise click.NoSuchOption(value)
    number = node_id(node)
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        peer = live.node(network, number, eds)
        variable = _one(peer, wanted)
        _know(variable)
        raw = parse_value(
            value,
            variable.description,
            node_id=number,
            what=variable.text,
            force=force,
            read_file=lambda name: Path(name).read_bytes(),
        )
        with transfer_progress(variable.text, len(raw) > _LONG) as progress:
            peer.download(variable.index, variable.subindex, raw, block=block, progress=progress)
        record = variable.record(raw, "sdo.write")
        printer = output.Printer()
        if as_json:
            printer.json(record.to_dict())
        else:
            objects.print_record(record, printer)
        if verify:
            _verify(variable, raw, quiet)


def _know(variable: NodeVariable) -> None:
    """Ask the node who it is, to know the object's type. If it is silent, nothing of the write was sent."""
    try:
        variable.node.dictionary  # noqa: B018 - it is read here
    except SdoTimeout as silent:
        where = variable.node.node_id, variable.index, variable.subindex
        error = SdoTimeout(*where, "write", silent.waited_s, silent.attempts)
        error.why = silent.why
        output.note("Nothing was written: the node was asked who it is first (1018h), and did not answer.")
        raise error from None


def _one(peer: Node, wanted: str) -> NodeVariable:
    found = objects.find(peer, wanted)
    if not isinstance(found, NodeVariable):
        raise click.BadParameter(f"{wanted} has members: say which one, as in {found.index:04X}:01")
    return found


def _verify(variable: NodeVariable, raw: bytes, quiet: bool) -> None:
    back = variable.node.upload(variable.index, variable.subindex)
    if back != raw:
        output.note(f"{variable.text} was written as {raw.hex(' ').upper()} and reads {back.hex(' ').upper()}")
        sys.exit(EXIT_FINDINGS)
    if not quiet:
        output.note("read back: the same")
