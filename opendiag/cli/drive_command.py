"""`opendiag drive`: look at CiA 402 drives, enable, home, move and stop them."""

from __future__ import annotations

import click

from opendiag.cli.drive_jog import jog
from opendiag.cli.drive_motion import enable, home, move
from opendiag.cli.drive_power import disable, reset, stop
from opendiag.cli.drive_run import run
from opendiag.cli.drive_status import status, why


@click.group(short_help="State, enable, home, move and stop a CiA 402 drive, and why it does not.")
def command() -> None:
    """Look at a CiA 402 drive, enable, home, move and stop it, and say why it does not.

    enable, home, move, jog and run energise the motor: they ask first, or need --yes where there is no terminal, and
    leave the drive disabled. While it is energised Space (any key) and Ctrl-C stop it: quick stop, then disable.

    Exit codes: 0 ok, 1 the drive did not do it, or does not confirm that it is at rest, 2 a wrong call or a value
    outside of a limit, 3 bus or adapter, 4 SDO abort or time-out, 130 stopped by hand.
    """


for each in (status, why, enable, disable, home, move, jog, stop, reset, run):
    command.add_command(each)
