"""`opendiag record`: the frames of a bus in a file, all of them or those around a trigger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from opendiag.adapters.can_filter import CanFilter
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.filters import filter_option
from opendiag.cli.live_log import LiveLog
from opendiag.cli.options import EdsChoice, eds_options
from opendiag.cli.ring import Ring
from opendiag.cli.trigger import compile_trigger
from opendiag.decode.records import Record
from opendiag.errors import AdapterError
from opendiag.frame import Frame
from opendiag.logs import LogWriter, check_target, open_writer

#: What has been written is on the disk after so many seconds, whatever happens to the computer then.
_FLUSH_S = 1.0
#: A silent bus is looked at this often, to see whether the time after a trigger is over.
_LOOK_S = 0.2


@click.command(short_help="Write the frames of a bus into a file.")
@click.argument("file", type=click.Path(path_type=Path))
@live.interface_option
@eds_options
@click.option("--trigger", "expression", metavar="EXPR", help="Keep only frames around this, as in 'state==FAULT'.")
@click.option("--pre", metavar="TIME", callback=live.seconds, help="Time before the trigger. [default: 10s]")
@click.option("--post", metavar="TIME", callback=live.seconds, help="Time after the trigger. [default: 30s]")
@filter_option
@click.option("--once", is_flag=True, help="End when the time after the first trigger is over.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N frames on the bus.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--listen-only", is_flag=True, help="The adapter acknowledges nothing, where it can be told so.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def command(
    file: Path,
    interface: str | None,
    eds: EdsChoice,
    expression: str | None,
    pre: float | None,
    post: float | None,
    frame_filter: CanFilter | None,
    once: bool,
    seconds: float | None,
    count: int | None,
    force: bool,
    listen_only: bool,
    quiet: bool,
) -> None:
    """Write the frames of a bus into FILE until Ctrl-C. Sends nothing.

    The suffix says the format: .log (candump -L), .log.gz, .asc, .blf, .csv, .db, .trc. With --trigger only the time
    before and after each trigger is written; docs/how-to/record-a-fault.md lists what an expression may say.
    """
    if expression is None and (pre is not None or post is not None or once):
        raise click.UsageError("--pre, --post and --once belong to --trigger")
    fires = None if expression is None else compile_trigger(expression)
    ring = None if fires is None else Ring(10.0 if pre is None else pre, 30.0 if post is None else post)
    with (
        live.network(interface, eds, listen_only=listen_only, sends=False, quiet=quiet) as network,
        _Target(file, force) as writer,
    ):
        if ring is None:
            writer.open()
        log = LiveLog(network, seconds, count, look_s=_LOOK_S)
        failure: AdapterError | None = None
        try:
            if ring is None or fires is None:
                _keep(_passing(_frames(log), frame_filter), writer)
            else:
                _keep(_passing(_around(log, ring, fires, eds, once), frame_filter), writer)
        except AdapterError as error:  # what came before is in the file
            failure = error
        findings = log.findings
    output.log_notes(findings)
    if not quiet:
        output.note(_summary(file, log, writer.writer, ring, frame_filter))
    if failure is not None:
        raise failure
    if findings:
        sys.exit(EXIT_FINDINGS)


class _Target:
    """The file, which comes into being with the first frame that is to be kept: an older one stays until then."""

    def __init__(self, file: Path, force: bool) -> None:
        check_target(file, overwrite=force)
        self._file = file
        self._force = force
        self.writer: LogWriter | None = None

    def open(self) -> LogWriter:
        """The writer, made when it is first wanted."""
        if self.writer is None:
            self.writer = open_writer(self._file, overwrite=self._force)
        return self.writer

    def flush(self) -> None:
        """What was written is on the disk."""
        if self.writer is not None:
            self.writer.flush()

    def __enter__(self) -> _Target:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.writer is not None:
            self.writer.close()


def _frames(log: LiveLog) -> Iterator[Frame | None]:
    with EndOfStream(True) as end:
        yield from end.read(log)


def _passing(frames: Iterator[Frame | None], frame_filter: CanFilter | None) -> Iterator[Frame | None]:
    """Without those that the filter does not let pass; a trigger sees all of them."""
    if frame_filter is None:
        return frames
    return (frame if frame is None or frame_filter.matches(frame) else None for frame in frames)


def _keep(frames: Iterator[Frame | None], target: _Target) -> None:
    flushed = time.monotonic()
    for frame in frames:
        if frame is not None:
            target.open().write(frame)
        if time.monotonic() - flushed > _FLUSH_S:
            target.flush()
            flushed = time.monotonic()


def _around(
    log: LiveLog, ring: Ring, fires: Callable[[Record], bool], eds: EdsChoice, once: bool
) -> Iterator[Frame | None]:
    """The frames that the ring gives out."""
    decoder = eds.decoder()
    now = log.network.clock.now
    last_ns, seen_at = round(now() * 1e9), now()
    for frame in _frames(log):
        if frame is None:  # the clock of the frames may be another one, or have been set since
            ring.advance(last_ns + round((now() - seen_at) * 1e9))
            yield None
        else:
            if frame.time_ns is not None:
                last_ns, seen_at = frame.time_ns, now()
            records = decoder.feed(frame)
            yield from ring.add(frame)
            if any(map(fires, records)):
                yield from ring.fire()
        if once and ring.windows and not ring.recording:
            return


def _summary(
    file: Path, log: LiveLog, writer: LogWriter | None, ring: Ring | None, frame_filter: CanFilter | None
) -> str:
    if writer is None:
        return f"{file} was not written: the trigger never fired ({log.frames} frames on the bus)."
    said = f"{file}: {writer.format}, {writer.frames} frame{'s' * (writer.frames != 1)}"
    if ring is not None:
        fired = f"fired {ring.triggers} time{'s' * (ring.triggers != 1)}" if ring.triggers else "never fired"
        said += f" of {ring.seen} on the bus{'' if frame_filter is None else ', filtered'}; the trigger {fired}"
        if ring.cut:
            said += f"; {ring.cut} frames left the buffer before their time"
    elif frame_filter is not None:
        said += f" of {log.frames} on the bus pass the filter"
    if writer.dropped:
        said += f"; {writer.dropped} that this format cannot hold"
    return said + "."
