"""A capture, frame by frame. Every line is tried as each known format; what is no frame is counted, never fatal."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from opendiag.errors import LogNotFound, NotALog
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.logs import candump_console, candump_log
from opendiag.logs.candump_frame import NotAFrame
from opendiag.logs.times import RunningTime, Stamp

_Parser = Callable[[str], "tuple[Frame, Stamp | None] | None"]
#: One entry for each format of text lines: name and parser.
LINE_FORMATS: tuple[tuple[str, _Parser], ...] = (
    (candump_log.NAME, candump_log.parse),
    (candump_console.NAME, candump_console.parse),
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DROPS = re.compile(r"DROPCOUNT: dropped (\d+) CAN frame")
#: The lines that candump -e adds below an error frame: the frame's own bytes say the same.
_ERROR_DETAIL = re.compile(
    r"\s+(?:tx-timeout|lost-arbitration|controller-problem|protocol-violation|transceiver-status"
    r"|no-acknowledgement-on-tx|bus-off|bus-error|restarted-after-bus-off|error-counter-tx-rx)"
)
_LOOK_AHEAD_LINES = 2000
_LISTED_LINES = 20

_SENTENCES = {
    "log-unreadable-line": (Severity.INFO, "no CAN frame in {lines}"),
    "log-length-mismatch": (Severity.WARNING, "the number of bytes does not fit in {lines}"),
    "log-not-a-frame": (Severity.WARNING, "a frame that no CAN bus carries in {lines}"),
    "log-can-xl": (Severity.WARNING, "CAN XL, which is not read, in {lines}"),
    "log-drop-count": (Severity.WARNING, "candump dropped frames: the capture has a gap before {lines}"),
    "log-time-ambiguous": (Severity.WARNING, "the times decrease in {lines}: they may be differences, see --time d"),
}
_ASSUMED = {
    "log-unreadable-line": "skipped",
    "log-length-mismatch": "skipped",
    "log-not-a-frame": "skipped",
    "log-can-xl": "skipped",
    "log-time-ambiguous": "taken as time since the start",
}


@dataclass(slots=True)
class _Oddity:
    count: int = 0
    lines: list[int] = field(default_factory=list)
    example: str = ""


class LogReader:
    """Iterate over it once. The counters grow while it is read.

    ``format`` names what was found, ``time_kind`` is none, absolute, local, zero or delta, ``unread`` counts the
    lines that are no frames. ``bytes_total`` is None for a stream.
    """

    def __init__(
        self, name: str, lines: Iterable[Any], time: RunningTime, raw: IO[bytes] | None, total: int | None
    ) -> None:
        self.name = name
        self.frames = 0
        self.lines = 0
        self.unread = 0
        self.channels: list[str] = []
        self.bytes_total = total
        self._raw = raw
        self._source = lines
        self._time = time
        self._found: dict[str, None] = {}
        self._oddities: dict[str, _Oddity] = {}
        self._first_line = ""
        self._error_frame = False

    @property
    def format(self) -> str:
        return " and ".join(self._found) or "unknown format"

    @property
    def time_kind(self) -> str:
        return self._time.kind

    @property
    def bytes_read(self) -> int:
        """Of the file as it is on disk, compressed or not."""
        if self._raw is None:
            return 0
        return self.bytes_total or 0 if self._raw.closed else self._raw.tell()

    @property
    def findings(self) -> list[Finding]:
        """One for each kind of oddity, with how often and where it was seen."""
        return [self._finding(code, oddity) for code, oddity in self._oddities.items()]

    def __iter__(self) -> Iterator[Frame]:
        """Raises NotALog at the end when there was no frame."""
        try:
            yield from self._read()
        finally:
            if self._raw is not None:
                self._raw.close()
        if not self.frames:
            raise NotALog(self.name, self.lines, self._first_line)

    def _read(self) -> Iterator[Frame]:
        formats = LINE_FORMATS
        for line in self._source:
            self.lines += 1
            text = line if isinstance(line, str) else line.decode("latin-1")
            if "\x1b" in text:
                text = _COLOUR.sub("", text)
            try:
                for place, (name, parse) in enumerate(formats):
                    parsed = parse(text)
                    if parsed is not None:
                        if place:  # what fitted last is tried first
                            formats = (formats[place], *formats[:place], *formats[place + 1 :])
                        yield self._frame(name, *parsed)
                        break
                else:
                    self._other(text)
            except NotAFrame as error:
                self._note(error.code, text)
                self.unread += 1
        if self._time.decreased_at is not None:
            self._note("log-time-ambiguous", "", self._time.decreased_at)

    def _frame(self, name: str, frame: Frame, stamp: Stamp | None) -> Frame:
        self.frames += 1
        self._found[name] = None
        self._error_frame = frame.error
        if frame.channel is not None and frame.channel not in self.channels:
            self.channels.append(frame.channel)
        if stamp is None:
            return frame
        return replace(frame, time_ns=self._time.of(stamp, self.lines))

    def _other(self, text: str) -> None:
        stripped = text.strip()
        if not stripped or (self._error_frame and _ERROR_DETAIL.match(text)):
            return
        if (drops := _DROPS.search(stripped)) is not None:
            self._note("log-drop-count", f"{drops[1]} dropped")
            return
        if not self._first_line:
            self._first_line = "".join(c if c.isprintable() else "." for c in stripped[:60])
        self.unread += 1
        self._note("log-unreadable-line", stripped)

    def _note(self, code: str, example: str, line: int | None = None) -> None:
        oddity = self._oddities.setdefault(code, _Oddity())
        oddity.count += 1
        oddity.example = oddity.example or example.strip()[:60]
        if len(oddity.lines) < _LISTED_LINES:
            oddity.lines.append(line or self.lines)

    def _finding(self, code: str, oddity: _Oddity) -> Finding:
        severity, sentence = _SENTENCES[code]
        listed = ", ".join(map(str, oddity.lines)) + (", .." if oddity.count > len(oddity.lines) else "")
        lines = f"line {listed}" if oddity.count == 1 else f"{oddity.count} lines ({listed})"
        return Finding(
            code,
            severity,
            sentence.format(lines=lines),
            self.name,
            oddity.lines[0],
            oddity.example,
            _ASSUMED.get(code, ""),
        )


def open_log(source: str | Path | IO[str] | IO[bytes], *, time: str | None = None) -> LogReader:
    """A reader of a file (gzip too) or of an open stream of text or bytes.

    ``time``: candump's -t letter (a, z, d) where the capture does not tell it.
    Raises LogNotFound for what cannot be read, NotALog for a binary file.
    """
    if not isinstance(source, (str, Path)):
        name = getattr(source, "name", "")
        known = name if isinstance(name, str) and not name.startswith("<") else "standard input"
        return LogReader(known, source, RunningTime(time), None, None)
    name = str(source)
    raw = _open(Path(source), name)
    total = raw.seek(0, io.SEEK_END) if raw.seekable() else None
    if total is None:
        return LogReader(name, raw, RunningTime(time), raw, None)
    looks_like_delta = _decreases(islice(_lines(raw, name), _LOOK_AHEAD_LINES))
    return LogReader(name, _lines(raw, name), RunningTime(time, looks_like_delta), raw, total)


def _open(path: Path, name: str) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise LogNotFound(name, (error.strerror or str(error)).lower()) from None


def _lines(raw: IO[bytes], name: str) -> Iterable[Any]:
    """Lines from the start of the file, whatever it is packed or written in."""
    raw.seek(0)
    head = raw.read(4096)
    raw.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return _unpacked(raw, name)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # a PowerShell redirection writes UTF-16
        return codecs.getreader("utf-16")(raw, "replace")
    if b"\0" in head:
        raise NotALog(name, None)
    return raw


def _unpacked(raw: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from gzip.GzipFile(fileobj=raw)
    except (OSError, EOFError) as error:
        raise LogNotFound(name, f"the gzip file is damaged: {error}") from None


def _decreases(lines: Iterable[Any]) -> bool:
    """True when relative times decrease within these lines."""
    last = -1
    for line in lines:
        text = line if isinstance(line, str) else line.decode("latin-1")
        stamp = _stamp(_COLOUR.sub("", text))
        if stamp is None or stamp.kind != "relative":
            continue
        if stamp.ns < last:
            return True
        last = stamp.ns
    return False


def _stamp(text: str) -> Stamp | None:
    for _, parse in LINE_FORMATS:
        try:
            parsed = parse(text)
        except NotAFrame:
            return None
        if parsed is not None:
            return parsed[1]
    return None
