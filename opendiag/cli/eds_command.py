"""`opendiag eds`: look into device files, check, compare and convert them."""

from __future__ import annotations

import click

from opendiag.cli.eds_convert import convert, to_dbc
from opendiag.cli.eds_diff import diff
from opendiag.cli.eds_lint import lint
from opendiag.cli.eds_show import show


@click.group(short_help="Look into EDS, DCF and XDD files, check and convert them.")
def command() -> None:
    """Look into EDS, DCF, XDD, XDC and XPD files, check, compare and convert them.

    FILE is a path or a bundled name.
    """


for each in (show, lint, diff, convert, to_dbc):
    command.add_command(each)
