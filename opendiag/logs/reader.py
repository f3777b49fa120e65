"""A capture, frame by frame. Every line is tried as each known format; what is no frame is counted, never fatal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from opendiag.errors import NotALog
from opendiag.findings import Finding
from opendiag.frame import Frame
from opendiag.logs import candump_console, candump_log, pasted
from opendiag.logs.candump_frame import NotAFrame
from opendiag.logs.oddities import Oddities, printable
from opendiag.logs.source import Damaged, lines_of, open_file, regular_size
from opendiag.logs.times import RELATIVE, RunningTime, look_like_delta

_Parsed = tuple[Frame, str]
_Parser = Callable[[str], "_Parsed | None"]
#: One entry for each format of text lines: name and parser.
LINE_FORMATS: tuple[tuple[str, _Parser], ...] = (
    (candump_log.NAME, candump_log.parse),
    (candump_console.NAME, candump_console.parse),
)
_DROPS = re.compile(r"DROPCOUNT: dropped ([0-9]{1,10}) CAN frame")
#: The lines that candump -e adds below an error frame: the frame's own bytes say the same.
_ERROR_DETAIL = re.compile(
    r"[\s>|]+(?:tx-timeout|lost-arbitration|controller-problem|protocol-violation|transceiver-status"
    r"|no-acknowledgement-on-tx|bus-off|bus-error|restarted-after-bus-off|error-counter-tx-rx)"
)
_LOOK_AHEAD_LINES = 2000


class _AnyFormat:
    """Reads a line in whichever format fits; what fitted last is tried first."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._formats = LINE_FORMATS

    def parse(self, line: str) -> _Parsed | None:
        """None for a line of no known shape. Raises NotAFrame."""
        for place, (name, parse) in enumerate(self._formats):
            parsed = parse(line)
            if parsed is not None:
                if place or not self.found:
                    self._prefer(place, name)
                return parsed
        text = pasted.cleaned(line)
        return None if text is None else self.parse(text)

    def _prefer(self, place: int, name: str) -> None:
        self._formats = (self._formats[place], *self._formats[:place], *self._formats[place + 1 :])
        if name not in self.found:
            self.found.append(name)


class LogReader:
    """Iterate over it once. The counters grow while it is read.

    ``format`` names what was found, ``time_kind`` is none, absolute, local, zero or delta, ``unread`` counts the
    lines that are no frames. ``bytes_total`` is None for a stream. A file that is not read to its end is closed by
    `close` or by leaving a ``with`` block.
    """

    def __init__(self, name: str, lines: Iterator[str], time: RunningTime, file: IO[bytes] | None = None) -> None:
        self.name = name
        self.frames = 0
        self.lines = 0
        self.unread = 0
        self.channels: list[str] = []
        self.bytes_total = None if file is None else regular_size(file)
        self._source = lines
        self._file = file
        self._time = time
        self._format = _AnyFormat()
        self._oddities = Oddities(name)
        self._first_line = ""
        self._error_frame = False

    @property
    def format(self) -> str:
        return " and ".join(self._format.found) or "unknown format"

    @property
    def time_kind(self) -> str:
        return self._time.kind

    @property
    def bytes_read(self) -> int:
        """Of the file as it is on disk, compressed or not."""
        if self._file is None:
            return 0
        return self.bytes_total or 0 if self._file.closed else self._file.tell()

    @property
    def findings(self) -> list[Finding]:
        """One for each kind of oddity, with how often and where it was seen."""
        return self._oddities.findings()

    def close(self) -> None:
        """Close the file; a stream belongs to whoever opened it."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Raises NotALog at the end when there was no frame."""
        try:
            yield from self._read()
        except Damaged as error:
            self._oddities.note("log-damaged", self.lines, str(error))
        finally:
            self.close()
        if self._time.decreased_at is not None:
            self._oddities.note("log-time-ambiguous", self._time.decreased_at, "")
        if not self.frames:
            raise NotALog(self.name, self.lines, self._first_line)

    def _read(self) -> Iterator[Frame]:
        parse = self._format.parse
        for text in self._source:
            self.lines += 1
            line = pasted.plain(text)
            try:
                parsed = parse(line)
            except NotAFrame as error:
                self._unreadable(error.code, line)
                continue
            if parsed is None:
                self._other(line)
            else:
                yield self._frame(*parsed)

    def _frame(self, frame: Frame, kind: str) -> Frame:
        self.frames += 1
        self._error_frame = frame.error
        channel, time_ns = frame.channel, frame.time_ns
        if channel is not None and channel not in self.channels:
            self.channels.append(channel)
        if time_ns is None:
            return frame
        running_ns = self._time.of(kind, time_ns, channel, self.lines)
        return frame if running_ns == time_ns else replace(frame, time_ns=running_ns)

    def _other(self, line: str) -> None:
        if not line.strip() or (self._error_frame and _ERROR_DETAIL.match(line)):
            return
        if (drops := _DROPS.search(line)) is not None:
            self._oddities.note("log-drop-count", self.lines, "", int(drops[1]))
            return
        self._unreadable("log-unreadable-line", line)

    def _unreadable(self, code: str, line: str) -> None:
        self.unread += 1
        self._first_line = self._first_line or printable(line)
        self._oddities.note(code, self.lines, line)


def open_log(source: str | Path | IO[str] | IO[bytes], *, time: str | None = None) -> LogReader:
    """A reader of a file (gzip too) or of an open stream of text or bytes.

    ``time``: candump's -t letter (a, z, d) where the capture does not tell it.
    Raises LogNotFound for what cannot be read, NotALog for a binary file, ValueError for another letter.
    """
    if not isinstance(source, (str, Path)):
        name = getattr(source, "name", "")
        known = name if isinstance(name, str) and not name.startswith("<") else ""
        name = known or "standard input"
        return LogReader(name, _when_asked(source, name), RunningTime(time))
    name, path = str(source), Path(source)
    running = RunningTime(time, delta=time is None and _has_differences(path, name))
    file = open_file(path, name)
    try:
        return LogReader(name, lines_of(file, name), running, file)
    except BaseException:
        file.close()
        raise


def _when_asked(stream: Any, name: str) -> Iterator[str]:
    """Nothing of a stream is read before the first frame is asked for."""
    yield from lines_of(stream, name)


def _has_differences(path: Path, name: str) -> bool:
    """A first look at the head of a file; never at a pipe, whose frames must come as they arrive."""
    if not path.is_file():
        return False
    with open_file(path, name) as file:
        return look_like_delta(_relative_stamps(islice(lines_of(file, name), _LOOK_AHEAD_LINES)))


def _relative_stamps(lines: Iterable[str]) -> Iterator[tuple[str | None, int]]:
    parse = _AnyFormat().parse
    with suppress(Damaged):
        for line in lines:
            with suppress(NotAFrame):
                parsed = parse(pasted.plain(line))
                if parsed is not None and parsed[1] == RELATIVE and parsed[0].time_ns is not None:
                    yield parsed[0].channel, parsed[0].time_ns
