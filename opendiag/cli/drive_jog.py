"""`opendiag drive jog`: turn while a key is held, or for some time."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from opendiag.cia402.jog import jog as jog_plan
from opendiag.cia402.sequence import Sequence
from opendiag.cia402.sequence_check import check_sequence
from opendiag.cia402.sequence_timeline import Timeline
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.drive_arguments import NumbersCommand, amount, ask, drive_options, energising_options
from opendiag.cli.drive_console import Console, DeadMan
from opendiag.cli.drive_session import amount_of, bottom_line, ended_by, perform, plain, step, verb_sequence
from opendiag.cli.drive_words import assumed_units, prospect
from opendiag.cli.options import EdsChoice, node_id
from opendiag.errors import SequenceError

if TYPE_CHECKING:
    from opendiag.master.drive import Drive

_ARROWS = ("left", "right", "up", "down")
_HINT = "hold \u2192 or \u2190; any other key ends"
_IDLE_S = 0.02


@click.command(cls=NumbersCommand, short_help="Turn while an arrow key is held.")
@click.argument("node", metavar="NODE")
@click.option("--velocity", required=True, callback=amount("velocity"), metavar="VALUE", help="As in 60rpm.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds,
              help="Turn for this time instead. Needed where there is no terminal.")  # fmt: skip
@click.option("--hold", "hold_s", metavar="TIME", callback=live.seconds, default="300ms", show_default=True,
              help="For how long one press of a key counts; a held key is repeated by the terminal.")  # fmt: skip
@drive_options
@energising_options
def jog(node: str, velocity: str, seconds: float | None, hold_s: float, **given: Any) -> None:
    """Turn NODE at a velocity while an arrow key is held: right or up forwards, left or down backwards.

    The drive is enabled while the key is held and disabled when it is let go. Some terminals repeat a held key only
    after half a second: --hold 700ms bridges that, and lets the motor run on as long when the key is let go.
    Exit code 0 when a key or Ctrl-C ends that, and 130 when it ends --for before its time.
    """
    number = node_id(node)
    if seconds is not None:
        sequence = verb_sequence(
            "jog",
            number,
            lambda name: (
                step("enable", name),
                step("velocity", name, amount_of(velocity), seconds={"for": seconds}),
                step("disable", name),
            ),
            given,
        )
        perform("jog", sequence, None, **given)
        return
    if not sys.stdin.isatty():
        raise click.UsageError("jog needs a terminal whose keys can be held, or --for TIME")
    if given["dry_run"] or given["reports"]:
        raise click.UsageError("--dry-run and --report go with --for")
    _by_hand(number, velocity, hold_s, **given)


def _by_hand(
    number: int,
    velocity: str,
    hold_s: float,
    *,
    interface: str | None,
    eds: EdsChoice,
    axis: int,
    units: str | None,
    answer_s: float,
    as_json: bool,
    quiet: bool,
    yes: bool,
    **given: Any,
) -> None:
    printer = output.Printer(live=True)
    sequence = _sequence(number, velocity, {"axis": axis, "units": units, **given})
    ended = ""
    with live.network(interface, eds, timeout_s=answer_s, quiet=quiet) as network:
        live.node(network, number, eds)
        (name, spec), *_ = sequence.axes.items()
        drive = network.drive(number, axis=spec.axis, units=spec.units, limits=spec.limits)
        drive.know()
        counts = _checked(drive, velocity, sequence)
        for text in () if quiet else assumed_units(sequence, {name: drive}):
            output.note(text)
        what = f" and turned at {velocity} while an arrow key is held, from {_place(drive)}"
        ask(network, (drive,), prospect(sequence, {name: drive}, what), yes, quiet)
        timeline = Timeline("jog", "jog")
        dead_man = DeadMan(hold_s, time.monotonic)
        console = Console(
            lambda: bottom_line({name: drive}, timeline),
            hint=_HINT,
            meaning=_ARROWS,
            pressed=dead_man.press,
        )
        with drive:
            network.begin(timeline.follow(name, drive.plans))
            try:
                with console:
                    _follow(drive, counts, dead_man)
            except KeyboardInterrupt as interruption:
                ended = ended_by(interruption)
            finally:
                timeline.outcome = "ok"
        end = drive.status
        position, unit = _place(drive).split(" ", 1)
    if as_json:
        state = None if end.state is None else end.state.name
        printer.json({"node": number, "axis": axis, "state": state, "position": float(position), "unit": unit})
    else:
        rest = "NOT CONFIRMED TO BE AT REST: use the emergency stop" if drive.link.at_rest is False else "at rest"
        printer.line(f"{name}: at {position} {unit}, {end}, {rest}")
        if ended.startswith("Ended"):
            output.note(ended)
    if drive.link.at_rest is False:
        sys.exit(EXIT_FINDINGS)


def _sequence(number: int, velocity: str, given: dict[str, Any]) -> Sequence:
    """What turning by hand comes to, as far as it can be checked beforehand."""
    value = amount_of(velocity)
    return verb_sequence(
        "jog",
        number,
        lambda name: (step("enable", name), step("velocity", name, value), step("disable", name)),
        given,
    )


def _place(drive: Drive) -> str:
    unit = drive.network.run(drive.plans.units()).default("position")
    return f"{drive.network.run(drive.plans.read('position')):.6g} {unit}"


def _checked(drive: Drive, velocity: str, sequence: Sequence) -> int:
    """In counts. Raise click.UsageError for what does not fit, before anything is asked of anybody."""
    axes: dict[str, Any] = dict.fromkeys(sequence.axes, drive.plans)
    try:
        drive.network.run(check_sequence(sequence, axes))
    except SequenceError as error:
        raise click.UsageError("\n".join(plain(error))) from None
    return drive.network.run(drive.plans.units()).counts("velocity", velocity)


def _follow(drive: Drive, counts: int, dead_man: DeadMan) -> None:
    """Until Ctrl-C, or the key that stands for it. Raise what the drive does wrong."""
    while True:
        direction = dead_man.direction
        if not direction:
            drive.alive()
            drive.network.sleep(_IDLE_S)
            continue
        drive.enable()
        drive.run(jog_plan(drive.link, direction * counts, lambda d=direction: dead_man.direction == d))  # type: ignore[misc]
