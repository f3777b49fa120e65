"""`opendiag udev`: the rules that let users of a Linux computer open its adapters."""

from __future__ import annotations

import sys

import click

from opendiag.adapters.udev import INSTALL, rules
from opendiag.cli import output


@click.command(short_help="Print the udev rules that adapters need on Linux.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr.")
def command(quiet: bool) -> None:
    """Print the udev rules that adapters need on Linux: access for the user at the computer, and no ModemManager.

    stdout has the file, stderr says where it belongs. Nothing is changed.
    """
    click.echo(rules(), nl=False)
    if quiet:
        return
    if sys.platform != "linux":
        output.note("These rules are for Linux; here the adapters need none.")
    output.note("\n".join(["To install them:", *(f"  {line}" for line in INSTALL)]))
