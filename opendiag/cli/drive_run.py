"""`opendiag drive run`: a sequence of motions from a YAML file."""

from __future__ import annotations

from typing import Any

import click

from opendiag.cia402.limits import Limits
from opendiag.cia402.sequence import ACTIONS, load_sequence
from opendiag.cli.drive_arguments import drive_options, energising_options, limits_of
from opendiag.cli.drive_session import perform
from opendiag.errors import SequenceError


@click.command(short_help="Run a sequence of motions from a YAML file.")
@click.argument("file", metavar="SEQUENCE.yaml")
@drive_options
@energising_options
def run(file: str, axis: int, units: str | None, **given: Any) -> None:
    """Run a sequence: everything in it is checked first, also against the drives, then its steps are carried out.

    --report FILE.html writes a page with plots of position, velocity and current. Drives, axes, units and limits stand
    in the file.
    """
    if axis or units:
        raise click.UsageError("--axis and --units: they stand in the sequence, with its axes")
    if limits_of(given) != Limits():
        raise click.UsageError("--limit-position, --limit-velocity, --limit-current: limits stand in the sequence")
    try:
        sequence = load_sequence(file)
    except SequenceError as error:
        raise click.UsageError("\n".join(error.lines)) from None
    moving = sum(1 for each in sequence.all_steps() if ACTIONS[each.action].moves)
    what = f" and carry out {moving} motion{'s' * (moving != 1)} ({sequence.name})"
    perform("run", sequence, what, show_steps=True, **given)
