"""`opendiag watch`: what goes on on a bus, as `decode` says it of a capture, or as candump writes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from opendiag.adapters.can_filter import CanFilter
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.filters import KINDS, filter_option, make_filter
from opendiag.cli.live_log import LiveLog
from opendiag.cli.options import EdsChoice, eds_options
from opendiag.cli.raw import TIMES, RawLines, channel_name
from opendiag.cli.run import Run
from opendiag.cli.show import show
from opendiag.errors import AdapterError


def _raw_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those of candump; the command gets what `RawLines` takes as ``raw``, None without any of them."""

    @click.option("--raw", "raw_", is_flag=True, help="Frames as candump prints them, nothing decoded.")
    @click.option("-t", "--time", type=click.Choice(TIMES), default=None, help="Time of raw lines, as candump's -t.")
    @click.option("-x", "--direction", is_flag=True, help="Raw lines with RX or TX and the flags of CAN FD.")
    @click.option("-a", "--ascii", is_flag=True, help="Raw lines with the data as text.")
    @click.option("-8", "--raw-dlc", is_flag=True, help="Raw lines with length codes above 8.")
    @click.option("-L", "--log", is_flag=True, help="Raw lines of candump's log format.")
    @wraps(command)
    def wrapped(*args: Any, raw_: bool, **options: Any) -> Any:
        names = ("time", "direction", "ascii", "raw_dlc", "log")
        asked = {name: value for name in names if (value := options.pop(name))}
        return command(*args, raw=asked if raw_ or asked else None, **options)

    return wrapped


@click.command(short_help="Say what goes on on a bus, live.")
@live.interface_option
@eds_options
@click.option("--frames", "by_frame", is_flag=True, help="One line for each frame, with what it says.")
@_raw_options
@click.option("--changes", is_flag=True, help="Only what differs from the time before.")
@click.option("--node", "nodes", multiple=True, metavar="N", help="Only this node. May be repeated.")
@click.option("--only", metavar="KINDS", help=f"Only these services, by comma: {','.join(KINDS)}.")
@click.option("--object", "objects", multiple=True, metavar="6041[:00]", help="Only this object. May be repeated.")
@filter_option
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N frames.")
@click.option("--listen-only", is_flag=True, help="The adapter acknowledges nothing, where it can be told so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values.")
@click.option("-q", "--quiet", is_flag=True, help="No summary and no hints on stderr.")
def command(
    interface: str | None,
    eds: EdsChoice,
    by_frame: bool,
    raw: dict[str, Any] | None,
    changes: bool,
    nodes: tuple[str, ...],
    only: str | None,
    objects: tuple[str, ...],
    frame_filter: CanFilter | None,
    seconds: float | None,
    count: int | None,
    listen_only: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Say what goes on on a bus until Ctrl-C. Sends nothing.

    The same rows, filters and summary as `opendiag decode`; with --raw the same lines as candump.
    """
    if sum((by_frame, as_json, as_csv, raw is not None)) > 1:
        raise click.UsageError("choose one of --frames, --json, --csv and the options of raw lines")
    if by_frame and (changes or objects):
        raise click.UsageError("--frames shows frames, and --changes and --object choose values: take one or the other")
    if raw is not None and (changes or objects or nodes or only):
        raise click.UsageError("raw lines are not decoded: --filter chooses among them")
    chosen = make_filter(nodes, only, objects, changes, None, None, frame_filter)
    with live.network(interface, eds, listen_only=listen_only, sends=False, quiet=quiet) as network:
        run = Run(LiveLog(network, seconds, count), eds, chosen)
        name = network.name
        failure: AdapterError | None = None
        try:
            if raw is None:
                show(run, by_frame=by_frame, as_json=as_json, as_csv=as_csv)
            else:
                _print_raw(run, RawLines(channel_name(name), **raw))
        except AdapterError as error:
            failure = error
    try:
        if raw is None:
            run.finish(name, quiet)
        else:
            _finish_raw(run, name, quiet)
    finally:
        if failure is not None:
            raise failure


def _print_raw(run: Run, lines: RawLines) -> None:
    wanted = run.chosen.frames
    printer = output.Printer(live=True)
    for frame in run.frames():
        if wanted is None or wanted.matches(frame):
            run.shown += 1
            printer.line(lines.line(frame))


def _finish_raw(run: Run, name: str, quiet: bool) -> None:
    """As `Run.finish`, without what it says about CANopen."""
    findings = run.log.findings
    output.log_notes(findings)
    if not quiet:
        of = "" if run.chosen.frames is None else f", {run.shown} of them shown"
        output.note(f"{name}: {run.log.frames} frame{'s' * (run.log.frames != 1)}{of}.")
    if findings:
        sys.exit(EXIT_FINDINGS)
