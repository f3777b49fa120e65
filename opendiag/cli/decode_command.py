"""`opendiag decode`: a capture as rows, JSON lines, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from opendiag.cli import export, output
from opendiag.cli.options import EdsChoice, eds_options, node_id, object_key, source
from opendiag.cli.progress import progress
from opendiag.decode.records import Record
from opendiag.decode.render import row
from opendiag.frame import Frame
from opendiag.logs import LogReader, open_log

#: --only word -> services of the record schema.
KINDS = {
    "sdo": ("sdo", "sdo.read", "sdo.write"),
    "pdo": ("tpdo", "rpdo"),
    "nmt": ("nmt", "boot-up"),
    "emcy": ("emcy",),
    "hb": ("heartbeat", "guarding", "boot-up"),
    "sync": ("sync",),
    "time": ("time",),
    "lss": ("lss",),
    "err": ("error-frame",),
    "unknown": ("unknown",),
}


#: Services that identifiers of any other protocol may look like.
_NO_PROOF = ("tpdo", "rpdo", "emcy", "unknown", "error-frame")
#: PDOs without a mapping that get a hint of their own.
_HINTS = 3


@dataclass(frozen=True)
class Filter:
    """Which records to show. Every frame is decoded all the same: the context may lie outside."""

    nodes: frozenset[int]
    services: frozenset[str]
    objects: frozenset[tuple[int, int | None]]
    changes: bool
    start_ns: int | None
    end_ns: int | None

    def passes(self, record: Record, zero_ns: int) -> bool:
        if self.changes and not record.changed:
            return False
        if self.nodes and record.node not in self.nodes:
            return False
        if self.services and record.service not in self.services:
            return False
        if self.objects and not self._has_object(record):
            return False
        return self._in_time(record, zero_ns)

    def _has_object(self, record: Record) -> bool:
        key = record.index or 0, record.subindex
        return record.index is not None and (key in self.objects or (key[0], None) in self.objects)

    def _in_time(self, record: Record, zero_ns: int) -> bool:
        if record.time_ns is None or (self.start_ns is None and self.end_ns is None):
            return True
        at = record.time_ns - zero_ns
        return (self.start_ns or 0) <= at and (self.end_ns is None or at <= self.end_ns)


@click.command(short_help="Say what a capture of a CANopen bus means.")
@click.argument("file", required=False, metavar="[FILE|-]")
@eds_options
@click.option("--frames", "by_frame", is_flag=True, help="One line for each frame, with what it says.")
@click.option("--changes", is_flag=True, help="Only what differs from the time before.")
@click.option("--node", "nodes", multiple=True, metavar="N", help="Only this node. May be repeated.")
@click.option("--only", metavar="KINDS", help=f"Only these services, by comma: {','.join(KINDS)}.")
@click.option("--object", "objects", multiple=True, metavar="6041[:00]", help="Only this object. May be repeated.")
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
    chosen = Filter(
        frozenset(node_id(text) for text in nodes),
        _services(only),
        frozenset(object_key(text) for text in objects),
        changes,
        None if start is None else round(start * 1e9),
        None if end is None else round(end * 1e9),
    )
    given, name = source(file)
    with open_log(given, time=time) as log:
        run = Run(log, eds, chosen)
        printer = output.Printer(live=log.bytes_total is None)
        if by_frame:
            _print_frames(run, printer)
        elif as_json:
            for record in run.records():
                printer.json(record.to_dict())
        elif as_csv:
            export.write_csv(run.records())
        elif parquet is not None:
            export.write_parquet(run.records(), parquet)
        else:
            _print_rows(run, printer)
    output.log_notes(log)
    if not quiet:
        for line in run.summary(name):
            output.note(line)


def _services(only: str | None) -> frozenset[str]:
    if not only:
        return frozenset()
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    for word in words:
        if word not in KINDS:
            raise click.BadParameter(f"--only does not know {word!r}: it knows {', '.join(KINDS)}")
    return frozenset(service for word in words for service in KINDS[word])


class Run:
    """One pass over a capture, and what is worth saying about it afterwards."""

    def __init__(self, log: LogReader, eds: EdsChoice, chosen: Filter) -> None:
        self.log = log
        self.eds = eds
        self.chosen = chosen
        self.decoder = eds.decoder()
        self.zero_ns: int | None = None
        self.end_ns: int | None = None
        self.home: str | None = None
        self.is_canopen = False
        self.unmapped: dict[tuple[int, str, int], None] = {}

    def frames(self) -> Iterator[Frame]:
        with progress(self.log) as advance:
            for frame in self.log:
                if self.zero_ns is None:
                    self.zero_ns, self.home = frame.time_ns, frame.channel
                self.end_ns = frame.time_ns
                yield frame
                advance()

    def records(self) -> Iterator[Record]:
        """What passes the filter."""
        for frame in self.frames():
            yield from self._passing(self.decoder.feed(frame))
        yield from self._passing(self.decoder.finish())

    def _passing(self, records: list[Record]) -> Iterator[Record]:
        for record in records:
            if "mapping-unknown" in record.flags:
                self.unmapped[record.node or 0, record.service, record.number or 0] = None
            elif not self.is_canopen and record.service not in _NO_PROOF:
                self.is_canopen = record.status not in ("malformed", "stray")
            if self.chosen.passes(record, self.zero_ns or 0):
                yield record

    def summary(self, name: str) -> Iterator[str]:
        """What was read, where names come from, and what would tell more."""
        log = self.log
        channels = f", {', '.join(log.channels)}" if log.channels else ""
        plural = "" if log.frames == 1 else "s"
        yield f"{name}: {log.format}, {self._times()}, {log.frames} frame{plural}{channels}. {self.eds.sentence()}"
        yield from self._unmapped_hints()
        if self.decoder.frames and not self.is_canopen:
            yield "No SDO, NMT, heartbeat or SYNC in this capture: this may not be a CANopen bus."
        for node, dictionary in self.eds.by_node.items():
            if dictionary.findings:
                count = len(dictionary.findings)
                yield f"EDS of node {node}: {count} findings; opendiag eds show {dictionary.name} lists them."

    def _unmapped_hints(self) -> Iterator[str]:
        if len(self.unmapped) > _HINTS:
            names = [f"{service.upper()}{number} of node {node}" for node, service, number in self.unmapped]
            first, rest = ", ".join(names[:_HINTS]), len(names) - _HINTS
            yield f"No mapping is known for {first} and {rest} more: give --eds NODE=FILE."
            return
        for node, service, number in self.unmapped:
            index = (0x1A00 if service == "tpdo" else 0x1600) + number - 1
            yield (
                f"{service.upper()}{number} of node {node}: {index:04X}h, its mapping, is not read or written in this "
                f"capture; give --eds {node}=FILE."
            )

    def _times(self) -> str:
        if self.zero_ns is None:
            return "no times"
        span = (self.end_ns or self.zero_ns) - self.zero_ns
        if self.log.time_kind in ("absolute", "local"):
            began = datetime.fromtimestamp(self.zero_ns / 1e9, tz=timezone.utc).isoformat(" ", "milliseconds")
            zone = began if self.log.time_kind == "absolute" else began[:-6] + " local time"
            return f"{span / 1e9:.6f} s from {zone}"
        return f"{span / 1e9:.6f} s"


def _print_rows(run: Run, printer: output.Printer) -> None:
    previous: Any = None
    for record in run.records():
        with_time = run.zero_ns is not None
        if previous is None:
            printer.heading(with_time)
        made = row(record, run.zero_ns, run.home)
        if previous is not None and record.frames == previous.frames and record.can_id == previous.can_id:
            made = output.continued(made)
        printer.row(made, with_time)
        previous = record


def _print_frames(run: Run, printer: output.Printer) -> None:
    from opendiag.decode.explain import Explainer
    from opendiag.decode.render import frame_text

    explainer = Explainer(run.decoder)
    for number, frame in enumerate(run.frames(), 1):
        sentence = explainer.explain(frame).sentence
        node = run.decoder.bus(frame.channel).connections.lookup(frame).connection.node_id
        if run.chosen.nodes and node not in run.chosen.nodes:
            continue
        at = "" if frame.time_ns is None else f"{(frame.time_ns - (run.zero_ns or 0)) / 1e9:12.6f}  "
        printer.hanging(f"{number:<7} {at}{frame_text(frame):<36}  ", sentence)
