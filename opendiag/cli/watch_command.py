"""`opendiag watch`: what goes on on a bus, as `decode` says it of a capture."""

from __future__ import annotations

import click

from opendiag.cli import live
from opendiag.cli.filters import KINDS, make_filter
from opendiag.cli.live_log import LiveLog
from opendiag.cli.options import EdsChoice, eds_options
from opendiag.cli.run import Run
from opendiag.cli.show import show
from opendiag.errors import AdapterError


@click.command(short_help="Say what goes on on a bus, live.")
@live.interface_option
@eds_options
@click.option("--frames", "by_frame", is_flag=True, help="One line for each frame, with what it says.")
@click.option("--changes", is_flag=True, help="Only what differs from the time before.")
@click.option("--node", "nodes", multiple=True, metavar="N", help="Only this node. May be repeated.")
@click.option("--only", metavar="KINDS", help=f"Only these services, by comma: {','.join(KINDS)}.")
@click.option("--object", "objects", multiple=True, metavar="6041[:00]", help="Only this object. May be repeated.")
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
    changes: bool,
    nodes: tuple[str, ...],
    only: str | None,
    objects: tuple[str, ...],
    seconds: float | None,
    count: int | None,
    listen_only: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Say what goes on on a bus until Ctrl-C. Sends nothing.

    The same rows, filters and summary as `opendiag decode`.
    """
    if sum((by_frame, as_json, as_csv)) > 1:
        raise click.UsageError("choose one of --frames, --json and --csv")
    if by_frame and (changes or objects):
        raise click.UsageError("--frames shows frames, and --changes and --object choose values: take one or the other")
    chosen = make_filter(nodes, only, objects, changes, None, None)
    with live.network(interface, eds, listen_only=listen_only, quiet=quiet) as network:
        run = Run(LiveLog(network, seconds, count), eds, chosen)
        name = network.name
        failure: AdapterError | None = None
        try:
            show(run, by_frame=by_frame, as_json=as_json, as_csv=as_csv)
        except AdapterError as error:
            failure = error
    try:
        run.finish(name, quiet)
    finally:
        if failure is not None:
            raise failure
