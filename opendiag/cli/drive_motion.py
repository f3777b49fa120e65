"""`opendiag drive enable`, `home` and `move`: each enables the drive, does its work, and disables it again."""

from __future__ import annotations

from typing import Any

import click

from opendiag.cia402.sequence import Amount
from opendiag.cli import live
from opendiag.cli.drive_arguments import NumbersCommand, amount, drive_options, energising_options
from opendiag.cli.drive_session import FOR_EVER_S, amount_of, perform, step, verb_sequence
from opendiag.cli.options import node_id


@click.command(short_help="Hold a drive enabled until Ctrl-C.")
@click.argument("node", metavar="NODE")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="Disable it after this time, as in 10s.")
@drive_options
@energising_options
def enable(node: str, seconds: float | None, **given: Any) -> None:
    """Enable NODE and hold it, standing still, until a key, Ctrl-C or the time of --for; then disable it.

    Its state is shown meanwhile. A drive in a fault stays there: `drive reset` comes first.
    Exit code 0 also when a key or Ctrl-C ends it; `drive move` and `drive home` have 130 then.
    """
    number = node_id(node)
    held = (1.0 if given["dry_run"] else FOR_EVER_S) if seconds is None else seconds
    sequence = verb_sequence(
        "enable",
        number,
        lambda name: (step("enable", name), step("wait", name, seconds={"wait": held}), step("disable", name)),
        given,
    )
    perform(
        "enable",
        sequence,
        " and held" + ("" if seconds is None else f" for {seconds:g} s"),
        stopping_is_ok=True,
        **given,
    )


@click.command(short_help="Find the home position.")
@click.argument("node", metavar="NODE")
@click.option("--method", type=click.IntRange(-128, 127), metavar="N", help="6098h; without it, what the drive has.")
@click.option("--offset", callback=amount("position"), metavar="VALUE", help="The position that home gets.")
@click.option("--speed", callback=amount("velocity", True), metavar="VALUE", help="To search the switch.")
@click.option("--zero-speed", callback=amount("velocity", True), metavar="VALUE", help="To search the zero.")
@click.option("--acceleration", callback=amount("acceleration", True), metavar="VALUE")
@click.option("--timeout", "motion_s", callback=live.seconds, metavar="TIME", help="For the homing; usually 60s.")
@drive_options
@energising_options
def home(node: str, method: int | None, motion_s: float | None, **given: Any) -> None:
    """Enable NODE, let it find its home position, and disable it."""
    number = node_id(node)
    options = {key: amount_of(given.pop(key)) for key in ("offset", "speed", "zero_speed", "acceleration")}
    value = None if method is None else Amount(method, None, 0)
    sequence = verb_sequence(
        "home",
        number,
        lambda name: (
            step("enable", name),
            step("home", name, value, seconds={"timeout": motion_s}, **options),
            step("disable", name),
        ),
        given,
    )
    perform("home", sequence, None, **given)


@click.command(cls=NumbersCommand, short_help="Go to a position.")
@click.argument("node", metavar="NODE")
@click.argument("target", metavar="POSITION", callback=amount("position"))
@click.option("--relative", is_flag=True, help="By that distance.")
@click.option("--velocity", callback=amount("velocity", True), metavar="VALUE", help="As in 300rpm.")
@click.option("--acceleration", callback=amount("acceleration", True), metavar="VALUE", help="As in 50rev/s^2.")
@click.option("--deceleration", callback=amount("acceleration", True), metavar="VALUE")
@click.option("--timeout", "motion_s", callback=live.seconds, metavar="TIME",
              help="For the motion; without it, as long as the shaft turns.")  # fmt: skip
@drive_options
@energising_options
def move(node: str, target: str, relative: bool, motion_s: float | None, **given: Any) -> None:
    """Enable NODE, go to POSITION (as in 2.5rev, -90deg, 10mm), and disable it.

    What is not given stays as the drive has it.
    """
    number = node_id(node)
    options = {key: amount_of(given.pop(key)) for key in ("velocity", "acceleration", "deceleration")}
    action = "move_by" if relative else "move"
    sequence = verb_sequence(
        "move",
        number,
        lambda name: (
            step("enable", name),
            step(action, name, amount_of(target), seconds={"timeout": motion_s}, **options),
            step("disable", name),
        ),
        given,
    )
    perform("move", sequence, None, **given)
