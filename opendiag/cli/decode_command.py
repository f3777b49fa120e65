"""`opendiag decode`: a capture as rows, JSON lines, CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from opendiag.adapters.can_filter import CanFilter
from opendiag.cli import export
from opendiag.cli.filters import KINDS, filter_option, make_filter
from opendiag.cli.options import EdsChoice, eds_options, source
from opendiag.cli.run import Run
from opendiag.cli.show import show
from opendiag.logs import open_log


@click.command(short_help="Say what a capture of a CANopen bus means.")
@click.argument("file", required=False, metavar="[FILE|-]")
@eds_options
@click.option("--frames", "by_frame", is_flag=True, help="One line for each frame, with what it says.")
@click.option("--changes", is_flag=True, help="Only what differs from the time before.")
@click.option("--node", "nodes", multiple=True, metavar="N", help="Only this node. May be repeated.")
@click.option("--only", metavar="KINDS", help=f"Only these services, by comma: {','.join(KINDS)}.")
@click.option("--object", "objects", multiple=True, metavar="6041[:00]", help="Only this object. May be repeated.")
@filter_option
@click.option("--from", "start", type=float, metavar="S", help="Only from S seconds after the first frame.")
@click.option("--to", "end", type=float, metavar="S", help="Only up to S seconds after the first frame.")
@click.option("--time", type=click.Choice(["a", "z", "d"]), help="The capture was made with candump -t a, z or d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="F", help="Write a Parquet file.")
@click.option("-q", "--quiet", is_flag=True, help="No summary and no hints on stderr.")
def command(
    file: str | None,
    eds: EdsChoice,
    by_frame: bool,
    changes: bool,
    nodes: tuple[str, ...],
    only: str | None,
    objects: tuple[str, ...],
    frame_filter: CanFilter | None,
    start: float | None,
    end: float | None,
    time: str | None,
    as_json: bool,
    as_csv: bool,
    parquet: Path | None,
    quiet: bool,
) -> None:
    """Say what a capture of a CANopen bus means.

    FILE is candump output of any kind, a candump log, or text with such lines in it; - is standard input.
    Every SDO transfer, PDO value, NMT command, heartbeat and EMCY is one row.
    """
    if sum((by_frame, as_json, as_csv, parquet is not None)) > 1:
        raise click.UsageError("choose one of --frames, --json, --csv and --parquet")
    if by_frame and (changes or objects):
        raise click.UsageError("--frames shows frames, and --changes and --object choose values: take one or the other")
    chosen = make_filter(nodes, only, objects, changes, start, end, frame_filter)
    given, name = source(file)
    if parquet is not None:
        export.check_target(parquet, file)
    with open_log(given, time=time) as log:
        run = Run(log, eds, chosen)
        if parquet is not None:
            export.write_parquet(run.records(), parquet)
        else:
            show(run, by_frame=by_frame, as_json=as_json, as_csv=as_csv)
    run.finish(name, quiet)
