"""`opendiag pdo`: the process data of a node: how they are configured, what they carry, why they do not come."""

from __future__ import annotations

import click

from opendiag.cli.pdo_map import map_
from opendiag.cli.pdo_send import send
from opendiag.cli.pdo_show import show
from opendiag.cli.pdo_watch import watch
from opendiag.cli.pdo_why import why


@click.group(short_help="Show, map and watch process data, and say why it does not come.")
def command() -> None:
    """Show, map, watch and send process data (PDOs), and say why one does not come.

    TPDOs are those that the node transmits, RPDOs those that it receives.
    """


for each in (show, map_, why, watch, send):
    command.add_command(each)
