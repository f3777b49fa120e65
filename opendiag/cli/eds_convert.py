"""`opendiag eds convert` and `opendiag eds to-dbc`: device files in other formats."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from opendiag.cli import output
from opendiag.cli.device_files import check_target, force_option, node_option, read, strict_option, written
from opendiag.dictionary.model import ObjectDictionary

_DCF = ".dcf"
_SUFFIXES = (".eds", _DCF)
_DBC_ENCODING = "cp1252"


@click.command(short_help="Write a device file as EDS or DCF.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@node_option("Node-ID of the device that a DCF configures. [default: that of IN]")
@click.option("--canonical", is_flag=True, help="Write everything afresh, in the order of CiA 306.")
@strict_option
@force_option
def convert(source: str, target: Path, node: int | None, canonical: bool, strict: bool, force: bool) -> None:
    """Write the device file IN as OUT: an EDS (.eds) or a DCF (.dcf), by the suffix of OUT.

    IN is an EDS, DCF, XDD, XDC or XPD, by path or bundled name; - is standard input. From an EDS or DCF everything that
    need not change is kept as it is written, unknown keys and comments too, unless --canonical is given.
    """
    from opendiag.dictionary.eds_write import write

    suffix = target.suffix.lower()
    if suffix not in _SUFFIXES:
        raise click.UsageError(f"{target}: {' and '.join(_SUFFIXES)} can be written, the suffix says which")
    if node is not None and suffix != _DCF:
        raise click.UsageError("--node is for a DCF: an EDS describes a device of any node-ID")
    dictionary = read(source, strict=strict)
    check_target(target, force)
    if node is not None:
        dictionary.commissioning = replace(dictionary.commissioning, node_id=node)
    write(dictionary, target, canonical=canonical)
    output.log_notes(dictionary.findings)
    output.note(f"{target}: {len(dictionary)} objects{_for_node(dictionary, suffix)}.")
    if suffix == _DCF and dictionary.node_id is None:
        output.note("It names no node-ID: --node says which.")


def _for_node(dictionary: ObjectDictionary, suffix: str) -> str:
    return f" for node {dictionary.node_id}" if suffix == _DCF and dictionary.node_id is not None else ""


@click.command("to-dbc", short_help="Write a DBC file of one node.")
@click.argument("file", metavar="FILE|NAME|-")
@node_option("Node-ID of the device. [default: that of a DCF]")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="OUT", help="File to write.")
@click.option("--sdo", is_flag=True, help="Also SDO requests and answers, multiplexed, with values of up to 4 bytes.")
@strict_option
@force_option
def to_dbc(file: str, node: int | None, target: Path | None, sdo: bool, strict: bool, force: bool) -> None:
    """Write a DBC file of one node: its PDOs as the file maps them, EMCY, heartbeat, NMT.

    For tools that know CAN but not CANopen. Without -o it goes to standard output.
    """
    from opendiag.dictionary.dbc import dbc_text

    dictionary = read(file, strict=strict)
    number = dictionary.node_id if node is None else node
    if number is None:
        raise click.UsageError(f"{dictionary.name} is for any node: say which with --node N")
    if target is not None:
        check_target(target, force)
    text = dbc_text(dictionary, number, sdo=sdo)
    if target is None:
        click.echo(text if sys.stdout.isatty() else text.encode(_DBC_ENCODING), nl=False)
        return
    written(target, text.encode(_DBC_ENCODING))
    output.note(f"{target}: {text.count(chr(10) + 'BO_ ')} messages of node {number}.")
