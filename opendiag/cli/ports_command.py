"""`opendiag ports`: what -i can name here."""

from __future__ import annotations

from dataclasses import asdict

import click

from opendiag.adapters.ports import list_ports
from opendiag.cli import output


@click.command(short_help="List adapters and buses that can be used here.")
@click.option("--all", "everything", is_flag=True, help="Serial ports of the computer itself, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
def command(everything: bool, as_json: bool) -> None:
    """List adapters and buses that can be used here, channel by channel. Nothing is sent on any bus.

    The first column is what -i takes. What is plugged in and cannot be used is listed with the reason and, where there
    is one, a line to type that helps.
    """
    found = list_ports(everything)
    if as_json:
        printer = output.Printer()
        for port in found:
            printer.json(asdict(port))
        return
    rows = [[port.uri, "yes" if port.usable else "no", port.description, port.detail] for port in found if port.uri]
    output.table(rows, ["-i", "usable", "what it is", ""])
    for port in found:
        if port.note:
            output.note(f"{port.uri or f'{port.description}, {port.detail}'}: {port.note}")
        if port.fix:
            output.note(f"    {port.fix}")
