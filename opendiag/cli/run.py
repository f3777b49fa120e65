"""One pass over a capture, and what is worth saying about it afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Protocol

from opendiag.cli import EXIT_FINDINGS, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.filters import NOTHING_PASSES, Filter, PassedFrames
from opendiag.cli.options import EdsChoice
from opendiag.cli.progress import progress
from opendiag.decode.records import Record
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.wire.cob_id import Connection, Service

#: Services that identifiers of any other protocol may look like.
_NO_PROOF = ("tpdo", "rpdo", "emcy", "unknown", "error-frame")
#: PDOs without a mapping that get a hint of their own.
_HINTS = 3


class FrameSource(Protocol):
    """What a capture and a live bus have in common."""

    frames: int
    bytes_total: int | None

    @property
    def format(self) -> str: ...
    @property
    def time_kind(self) -> str: ...
    @property
    def channels(self) -> Sequence[str]: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def findings(self) -> list[Finding]: ...
    def __iter__(self) -> Iterator[Frame]: ...


class Run:
    """``zero_ns`` is the time of the first frame, ``home`` its channel, which rows need not mention."""

    def __init__(self, log: FrameSource, eds: EdsChoice, chosen: Filter | None = None) -> None:
        self.log = log
        self.eds = eds
        self.chosen = chosen or Filter()
        self._passed = None if self.chosen.frames is None else PassedFrames(self.chosen.frames)
        self.decoder = eds.decoder()
        self.live = log.bytes_total is None
        self.zero_ns: int | None = None
        self.home: str | None = None
        self._end_ns: int | None = None
        self._is_canopen = False
        self._unmapped: dict[Connection, str] = {}
        self._started = False
        self.shown = 0

    def frames(self) -> Iterator[Frame]:
        """Ctrl-C ends a stream, as its end does: it is the only way to end a live one."""
        with progress(self.log) as advance, EndOfStream(self.live) as end:
            for frame in end.read(self.log):
                if not self._started:
                    self._started = True
                    self.zero_ns, self.home = frame.time_ns, frame.channel
                if frame.time_ns is not None:
                    self._end_ns = frame.time_ns
                if self._passed is not None:
                    self._passed.add(frame)
                yield frame
                advance()

    def records(self) -> Iterator[Record]:
        """What passes the filter."""
        for frame in self.frames():
            yield from self._passing(self.decoder.feed(frame))
        yield from self._passing(self.decoder.finish())

    def _passing(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            passes = self.chosen.shows(record, self.zero_ns or 0)
            passes = passes and (self._passed is None or self._passed.any(record.frames))
            self.note(record, passes)
            if passes:
                self.shown += 1
                yield record

    def note(self, record: Record, shown: bool) -> None:
        """Remember of a record what the summary says."""
        if shown and "mapping-unknown" in record.flags:
            service = Service.TPDO if record.service == "tpdo" else Service.RPDO
            connection = Connection(service, record.node or 0, record.number or 0)
            self._unmapped[connection] = record.details["missing"]
        if record.service not in _NO_PROOF and record.status not in ("malformed", "stray"):
            self._is_canopen = True

    def finish(self, name: str, quiet: bool) -> None:
        """Say on stderr what was read and what was not; exit with 1 when part of the capture is lost."""
        output.log_notes(self.log.findings)
        for line in () if quiet else self._summary(name):
            output.note(line)
        if any(finding.severity is Severity.ERROR for finding in self.log.findings):
            sys.exit(EXIT_FINDINGS)

    def _summary(self, name: str) -> Iterator[str]:
        log = self.log
        channels = f", {', '.join(log.channels)}" if log.channels else ""
        frames = f"{log.frames} frame{'s' * (log.frames != 1)}"
        yield f"{name}: {log.format}, {self._times()}, {frames}{channels}. {self.eds.sentence(self.decoder)}"
        if self.chosen.wants_times and self.zero_ns is None:
            yield "The frames have no times: --from and --to changed nothing."
        if self.chosen.active and not self.shown:
            yield NOTHING_PASSES
        yield from self._unmapped_hints()
        yield from self.eds.oddities()
        if log.frames and not self._is_canopen:
            yield "No SDO, NMT, heartbeat or SYNC came by: this may not be a CANopen bus."

    def _unmapped_hints(self) -> Iterator[str]:
        names = [f"{connection.label} of node {connection.node_id}" for connection in self._unmapped]
        if len(names) > _HINTS:
            first, rest = ", ".join(names[:_HINTS]), len(names) - _HINTS
            yield f"No mapping is known for {first} and {rest} more: give --eds NODE=FILE."
            return
        for name, (connection, missing) in zip(names, self._unmapped.items(), strict=True):
            if self.eds.by_node.get(connection.node_id, self.eds.fallback) is None:
                yield f"{name}: {missing}; give --eds {connection.node_id}=FILE."
            else:
                yield f"{name}: {missing}, and the EDS does not tell it either."

    def _times(self) -> str:
        if self.zero_ns is None:
            return "no times"
        span = f"{((self._end_ns or self.zero_ns) - self.zero_ns) / 1e9:.6f} s"
        if self.log.time_kind not in ("absolute", "local"):
            return span
        try:
            began = datetime.fromtimestamp(self.zero_ns / 1e9, tz=timezone.utc).isoformat(" ", "milliseconds")
        except (ValueError, OverflowError, OSError):  # a time stamp beyond the calendar
            return span
        return f"{span} from {began if self.log.time_kind == 'absolute' else began[:-6] + ' local time'}"
