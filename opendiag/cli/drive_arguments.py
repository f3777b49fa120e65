"""What the verbs of `opendiag drive` share: numbers with units, limits, and the question before anything moves."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from opendiag.cli import live, output
from opendiag.cli.options import eds_options

if TYPE_CHECKING:
    from opendiag.cia402.limits import Limits
    from opendiag.master.drive import Drive
    from opendiag.master.network import Network

_NEGATIVE = re.compile(r"^-(?=[\d.])")
_MINUS = "\u2212"
_WINDOW = re.compile(r"\s*(\S.*?)\s*\.\.\s*(\S.*?)\s*")


class NumbersCommand(click.Command):
    """A command to which -2.5rev is an argument and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_NEGATIVE.sub(_MINUS, word) for word in args])


def amount(quantity: str, positive: bool = False) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback: a number with a unit of that quantity, as in 2.5rev; it gives the text."""

    def check(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
        return None if text is None else _amount(text, quantity, positive)

    return check


def _amount(text: str, quantity: str, positive: bool = False) -> str:
    from opendiag.cia402.units import KNOWN, Units

    text = text.replace(_MINUS, "-")
    try:
        value, unit = Units.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    known = KNOWN["torque" if quantity == "current" else quantity]
    if unit and unit not in known:
        from opendiag.cia402.sequence_yaml import meant

        raise click.BadParameter(f"no unit {unit!r} of {quantity}{meant(unit, known)}")
    if positive and value <= 0:
        raise click.BadParameter(f"{text} must be above 0")
    return text


def _window(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    found = _WINDOW.fullmatch(text.replace(_MINUS, "-"))
    if found is None:
        raise click.BadParameter(f"{text!r} is no window: expected one such as -1rev..5rev")
    low, high = _amount(found[1], "position"), _amount(found[2], "position")
    from opendiag.cia402.units import Units

    (least, unit), (most, other) = Units.parse(low), Units.parse(high)
    if unit == other and least >= most:
        raise click.BadParameter(f"{text!r} is no window: {low} is not below {high}")
    return low, high


def _wrapped(command: Callable[..., Any], *options: Callable[[Any], Any]) -> Callable[..., Any]:
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def drive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which bus, which axis, which units; the command gets interface, eds, axis, units, answer_s, as_json, quiet."""
    return _wrapped(
        command,
        live.interface_option,
        eds_options,
        click.option(
            "--axis",
            type=click.IntRange(0, 7),
            default=0,
            metavar="K",
            help="Axis of a drive with several: 0 is the first.",
        ),
        click.option(
            "--units",
            type=click.Path(exists=True, dir_okay=False),
            metavar="FILE",
            help="What the drive's objects count (YAML); without it the drive is asked.",
        ),
        click.option(
            "--answer-time",
            "answer_s",
            default="500ms",
            show_default=True,
            metavar="TIME",
            callback=live.seconds,
            help="Time that the drive may take for each answer.",
        ),
        click.option("--json", "as_json", is_flag=True, help="JSON."),
        click.option("-q", "--quiet", is_flag=True, help="No notes on stderr."),
    )


def energising_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """For verbs that energise; the command gets yes, dry_run, report, and limits."""
    return _wrapped(
        command,
        click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on."),
        click.option("--dry-run", is_flag=True, help="Show the frames that would be sent, decoded. Nothing is sent."),
        click.option("--limit-position", callback=_window, metavar="LOW..HIGH", help="As in -1rev..5rev."),
        click.option("--limit-velocity", callback=amount("velocity", True), metavar="VALUE", help="As in 600rpm."),
        click.option("--limit-current", callback=amount("current", True), metavar="VALUE", help="As in 2A."),
        click.option(
            "--report",
            "reports",
            multiple=True,
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Write what happened: .html with plots, or .json. May be repeated.",
        ),
    )


def limits_of(given: dict[str, Any]) -> Limits:
    """From the --limit options, which are taken out of ``given``."""
    from opendiag.cia402.limits import Limits

    return Limits(
        position=given.pop("limit_position"),
        velocity=given.pop("limit_velocity"),
        current=given.pop("limit_current"),
    )


def check_can_ask(yes: bool, what: str) -> None:
    """Before the bus is opened. Raise click.UsageError where nobody can be asked and nobody has said yes."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError(
            f"{what} energises the motor, and there is no terminal to ask on: --yes says that it may"
        )


def ask(network: Network, drives: Sequence[Drive], what: str, yes: bool, quiet: bool) -> None:
    """Name adapter, drives and what is to come. Raise click.Abort unless somebody says yes, or has said it before."""
    names = " and ".join(map(drive_name, drives))
    text = f"{names} on {network.name} will be energised{what}"
    if yes:
        if not quiet:
            output.note(text)
        return
    try:
        clear = click.confirm(f"{text}. Is everybody clear of it?", default=False, err=True)
    except click.Abort:
        output.note("")
        clear = False
    if not clear:
        output.note("Nothing was sent: the drive was only read.")
        raise click.Abort


def drive_name(drive: Drive) -> str:
    """As in "node 101 (stepIM)", or with its axis."""
    name = drive.node.view.dictionary.name if drive.node.view.dictionary is not None else ""
    axis = f" axis {drive.link.axis}" if drive.link.axis else ""
    return f"node {drive.node_id}{axis}" + (f" ({name})" if name else "")
