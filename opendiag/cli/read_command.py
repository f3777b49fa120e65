"""`opendiag read`: objects of a node, as values with units and words."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from opendiag.cli import EXIT_SDO, live, objects, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.progress import transfer_progress
from opendiag.errors import SdoAborted
from opendiag.master.variable import NodeVariable


@click.command(short_help="Read objects of a node.")
@click.argument("node", metavar="NODE")
@click.argument("wanted", nargs=-1, required=True, metavar="OBJECT...")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--block", is_flag=True, help="Ask for block transfers: faster for large objects.")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write the bytes here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    node: str,
    wanted: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    block: bool,
    file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read objects of NODE. Transmits SDO requests.

    OBJECT is an index in hexadecimal (6041), with a subindex (1018:01), or a name (Statusword, "Identity Object").
    An array or record without a subindex is read whole. What the device refuses is said, and the rest is read.
    """
    number = node_id(node)
    if file is not None and as_json:
        raise click.UsageError("choose one of --output and --json")
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        peer = live.node(network, number, eds)
        printer = output.Printer(live=True)
        if file is not None:
            _into_file(list(objects.variables(peer, wanted[0])) if len(wanted) == 1 else [], file, block, quiet)
            return
        refused = False
        for text in wanted:
            for place, variable in enumerate(objects.variables(peer, text)):
                try:
                    raw = peer.upload(variable.index, variable.subindex, block=block)
                except SdoAborted as error:
                    if not place or not objects.is_gap(error):
                        output.note(f"opendiag: {error}")
                        refused = True
                    continue
                record = variable.record(raw)
                if as_json:
                    printer.json(record.to_dict())
                else:
                    objects.print_record(record, printer)
    if refused:
        sys.exit(EXIT_SDO)


def _into_file(found: list[NodeVariable], file: Path, block: bool, quiet: bool) -> None:
    """A single object's bytes, however large. What the file held before stays there until all of them came."""
    if len(found) != 1:
        raise click.UsageError("--output takes one object, with its subindex if it has several members")
    variable = found[0]
    if file.is_dir():
        raise click.UsageError(f"--output: {file} is a directory")
    part = file.with_name(f"{file.name}.part")
    try:
        target = part.open("w+b")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None
    try:
        with target, transfer_progress(f"{variable.text}") as progress:
            variable.node.upload(variable.index, variable.subindex, block=block, into=target, progress=progress)
            size = target.tell()
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    if not quiet:
        output.note(f"{file}: {size} byte{'s' * (size != 1)} of {variable.text}")
