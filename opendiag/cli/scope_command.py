"""`opendiag scope`: objects of a node over time, with a trigger, as table, file or plot."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.scope_output import HEADINGS, WRITERS, check_targets, statistics_rows, write
from opendiag.cli.trigger import Trigger, compile_signal_trigger
from opendiag.errors import ObjectNotFound
from opendiag.master.network import Network
from opendiag.master.scope import MOST_SIGNALS, Scope
from opendiag.master.scope_recording import Recording

_HERTZ = {"khz": 1000.0, "hz": 1.0}


def _rate(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """A period, or a frequency, in seconds: 1ms, 0.5s, 200Hz, 1kHz."""
    unit = next((unit for unit in _HERTZ if text.lower().endswith(unit)), "")
    if not unit:
        period = live.seconds(context, parameter, text) or 0.0
    else:
        try:
            period = 1 / (float(text[: -len(unit)]) * _HERTZ[unit])
        except (ValueError, ZeroDivisionError):
            period = 0.0
    if not 0.0001 <= period <= 10:
        raise click.BadParameter(f"{text!r} is no rate: expected 0.1ms to 10s, or as in 200Hz")
    return period


@click.command(short_help="Sample objects of a node over time, with trigger and plot.")
@click.argument("objects", nargs=-1, required=True, metavar="OBJECT[,OBJECT]...")
@click.option("--node", "node", required=True, metavar="N", help="The node.")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--trigger", "expression", metavar="EXPR", help="Begin when this is true: 'state==FAULT', '6064>1000', "
              "'606C rising 500', emcy.")  # fmt: skip
@click.option("--pre", "pre_s", metavar="TIME", callback=live.seconds, help="Keep this much from before the trigger.")
@click.option("--wait", "wait_s", metavar="TIME", callback=live.seconds, help="Wait no longer for the trigger.")
@click.option("--for", "for_s", metavar="TIME", callback=live.seconds, default="1s", show_default=True,
              help="How long to record.")  # fmt: skip
@click.option("--rate", "period_s", metavar="TIME", callback=_rate, default="5ms", show_default=True,
              help="How often samples are wanted: 1ms, 200Hz.")  # fmt: skip
@click.option("--by", type=click.Choice(["auto", "pdo", "sdo"]), default="auto", show_default=True,
              help="How samples are taken.")  # fmt: skip
@click.option("--no-map", is_flag=True, help="Change no TPDO of the node.")
@click.option("-o", "--output", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help=f"Write it there; the suffix says how: {', '.join(WRITERS)}. May be repeated.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all samples.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    objects: tuple[str, ...],
    node: str,
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    expression: str | None,
    pre_s: float | None,
    wait_s: float | None,
    for_s: float,
    period_s: float,
    by: str,
    no_map: bool,
    files: tuple[Path, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Sample OBJECTs of a node: up to 8, as in 6064,606C or "Position actual value". Starts no node, moves nothing.

    A TPDO that carries an object often enough is listened to. Else a free TPDO is mapped for it and put back
    afterwards, with SYNC where there is one. Else SDO is polled. It says which. With --trigger, --pre keeps what came
    before.

    Ctrl-C ends it; what came until then is kept. Exit code 1 when nothing came, or the trigger never did.
    """
    number = node_id(node)
    names = [name.strip() for text in objects for name in text.split(",") if name.strip()]
    if not 1 <= len(names) <= MOST_SIGNALS:
        raise click.UsageError(f"{len(names)} objects: expected 1 to {MOST_SIGNALS}")
    if expression is None and (pre_s is not None or wait_s is not None):
        raise click.UsageError("--pre and --wait belong to --trigger")
    trigger = None if expression is None else compile_signal_trigger(expression)
    check_targets(files, force)
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        live.node(network, number, eds)
        scope = _scope(network, number, names, period_s, by, not no_map, trigger)
        with scope:
            told = 0 if quiet else _say_sources(scope)
            fires = None if trigger is None else trigger.test
            recording = scope.record(for_s, fires=fires, what=expression or "", pre_s=pre_s or 0.0, wait_s=wait_s)
        for text in () if quiet else scope.notes[told:]:
            output.note(text)
    _tell(recording, files, expression, quiet, as_json)


def _scope(
    network: Network, number: int, names: list[str], period_s: float, by: str, may_map: bool, trigger: Trigger | None
) -> Scope:
    also = () if trigger is None else trigger.objects
    network.node(number).identify()
    try:
        return Scope(network, number, names, period_s=period_s, by=by, may_map=may_map, also=also)
    except ObjectNotFound as error:
        raise click.BadParameter(f"{error}: expected an object such as 6064, 1018:01 or Statusword") from None


def _say_sources(scope: Scope) -> int:
    """Where the samples come from, before they do; gives how many notes of the scope were said."""
    for source in scope.sources:
        keys = ", ".join(f"{index:04X}:{subindex:02X}" for index, subindex in source.keys)
        output.note(f"{keys}: {source.text}.")
    for text in scope.notes:
        output.note(text)
    return len(scope.notes)


def _tell(recording: Recording, files: tuple[Path, ...], expression: str | None, quiet: bool, as_json: bool) -> None:
    title = f"Node {recording.node_id}" + (f", {expression}" if expression else "")
    for file in files:
        write(recording, file, title)
    if as_json:
        output.Printer().json({"title": title, **recording.to_dict()})
    else:
        output.table(statistics_rows(recording), HEADINGS, right=(3, 4, 5, 6, 7, 8))
    if not quiet:
        if recording.lost:
            output.note(f"{recording.lost} frames came faster than they could be taken, and are lost.")
        for file in files:
            output.note(f"{file}: written.")
        if recording.triggered is False:
            output.note(f"The trigger {expression} never came; this is what came last.")
    if recording.triggered is False or recording.empty:
        sys.exit(EXIT_FINDINGS)
