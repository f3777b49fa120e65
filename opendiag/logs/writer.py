"""Captures written to a file: candump's log format by ourselves, the formats of other tools through python-can.

    with open_writer("field.log") as log:
        for frame in frames:
            log.write(frame)

candump's format is the one that keeps everything a frame has. Knows frames and nothing of CANopen.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from opendiag.errors import LogExists, LogNotWritten, MissingDependency
from opendiag.frame import Frame
from opendiag.logs.candump_log import format_log_line

#: Suffix -> name of the format.
FORMATS = {
    ".log": "candump log",
    ".gz": "candump log, packed",
    ".asc": "Vector ASC",
    ".blf": "Vector BLF",
    ".csv": "python-can CSV",
    ".db": "python-can SQLite",
    ".trc": "PEAK TRC",
    ".mf4": "ASAM MDF 4",
}
#: What a reader takes for the name of an interface.
_CHANNEL = re.compile(r"(?!cansend$)[A-Za-z][0-9A-Za-z_.:-]*")
_NOT_IN_CHANNEL = re.compile(r"[^0-9A-Za-z_.:-]")


class LogWriter:
    """``frames`` were written, ``dropped`` were not, because the format has no place for them.

    `open_writer` makes one. Every method raises LogNotWritten when the file cannot be written, as on a full disk.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.format = name
        self.frames = 0
        self.dropped = 0
        self._closed = False

    def write(self, frame: Frame) -> None:
        """Add a frame. Raises ValueError after `close`."""
        if self._closed:
            raise ValueError(f"{self.path} is closed: no frame can be added")
        try:
            written = self._write(frame)
        except OSError as error:
            raise _not_written(self.path, error) from None
        self.frames += written
        self.dropped += not written

    def flush(self) -> None:
        """Hand over to the system what was written, so that another program can read it."""
        try:
            self._flush()
        except OSError as error:
            raise _not_written(self.path, error) from None

    def close(self) -> None:
        """Complete the file. Closing it again does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._close()
        except OSError as error:
            raise _not_written(self.path, error) from None

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, frame: Frame) -> bool:
        raise NotImplementedError

    def _flush(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class _CandumpWriter(LogWriter):
    """Times have as many digits as they need, so that nothing of them is lost."""

    def __init__(self, path: Path, name: str, file: IO[str]) -> None:
        super().__init__(path, name)
        self._file = file
        self._channels: dict[str, str] = {}

    def _write(self, frame: Frame) -> bool:
        name = frame.channel
        if name is not None and (channel := self._channel(name)) != name:
            frame = replace(frame, channel=channel)
        self._file.write(format_log_line(frame) + "\n")
        return True

    def _channel(self, name: str) -> str:
        """What the file calls it."""
        known = self._channels.get(name)
        if known is None:
            known = self._channels[name] = _readable(name, set(self._channels.values()))
        return known

    def _flush(self) -> None:
        self._file.flush()

    def _close(self) -> None:
        self._file.close()


class _PythonCanWriter(LogWriter):
    """python-can opens the file, by its suffix. Its TRC drops with a log message what it does not know."""

    def __init__(self, path: Path, name: str, suffix: str) -> None:
        super().__init__(path, name)
        import can

        self._message = can.Message
        self._holds_classic_data_only = suffix == ".trc"
        try:
            self._writer: Any = can.Logger(str(path))
        except NotImplementedError:
            raise MissingDependency(f"writing {suffix}", "asammdf") from None

    def _write(self, frame: Frame) -> bool:
        if self._holds_classic_data_only and (frame.error or frame.remote or frame.fd):
            return False
        self._writer.on_message_received(self._of(frame))
        return True

    def _of(self, frame: Frame) -> Any:
        """As `opendiag.adapters.message` does it for frames to send, here with time and direction."""
        return self._message(
            timestamp=(frame.time_ns or 0) / 1e9,
            arbitration_id=frame.can_id,
            data=None if frame.remote else frame.data,
            dlc=min(frame.dlc, 8) if frame.remote else None,
            is_extended_id=frame.extended,
            is_remote_frame=frame.remote,
            is_error_frame=frame.error,
            is_fd=frame.fd,
            is_rx=frame.direction != "tx",
            bitrate_switch=frame.brs,
            error_state_indicator=frame.esi,
            channel=frame.channel,
        )

    def _flush(self) -> None:
        file = getattr(self._writer, "file", None)
        if file is not None:
            file.flush()

    def _close(self) -> None:
        self._writer.stop()


def open_writer(path: str | Path, *, overwrite: bool = False) -> LogWriter:
    """A new capture in the format that the name's suffix says; ``FORMATS`` lists them.

    A frame without time gets 0, one without channel can0 or the first one. Raises LogExists for a
    file that is there already (unless ``overwrite``), LogNotWritten for another suffix and where nothing can be
    written, MissingDependency for .mf4 without its library.
    """
    path = Path(path)
    suffix = check_target(path, overwrite=overwrite)
    try:
        if suffix in (".log", ".gz"):
            return _CandumpWriter(path, FORMATS[suffix], _open_text(path, suffix, "w" if overwrite else "x"))
        return _open_python_can(path, suffix)
    except FileExistsError:
        raise LogExists(str(path)) from None
    except OSError as error:
        raise _not_written(path, error) from None


def check_target(path: str | Path, *, overwrite: bool = False) -> str:
    """What `open_writer` would refuse, before anything is there to be written. Gives the suffix."""
    path = Path(path)
    suffix = _format_suffix(path)
    if path.exists() and not overwrite:
        raise LogExists(str(path))
    directory = path.absolute().parent
    if not directory.is_dir():
        raise LogNotWritten(str(path), "no such file or directory")
    if path.is_dir():
        raise LogNotWritten(str(path), "is a directory")
    if not os.access(path if path.exists() else directory, os.W_OK):
        raise LogNotWritten(str(path), "permission denied")
    return suffix


def _format_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    if suffix in FORMATS and not (suffix == ".gz" and inner in FORMATS and inner != ".log"):
        return suffix
    known = ", ".join(name if name != ".gz" else ".log.gz" for name in FORMATS)
    seen = f"{inner}.gz" if suffix == ".gz" else suffix
    what = f"no capture is written as {seen!r}" if seen else "the name has no suffix that says the format"
    raise LogNotWritten(str(path), f"{what}; it takes {known}")


def _open_text(path: Path, suffix: str, mode: str) -> IO[str]:
    if suffix == ".log":
        return path.open(mode, encoding="ascii", newline="\n")
    import gzip

    return io.TextIOWrapper(gzip.GzipFile(path, f"{mode}b"), encoding="ascii", newline="\n")


def _open_python_can(path: Path, suffix: str) -> LogWriter:
    """An SQLite file that is there already would be added to."""
    if suffix == ".db":
        path.unlink(missing_ok=True)
        path.touch()  # its thread would fail unheard
    try:
        return _PythonCanWriter(path, FORMATS[suffix], suffix)
    except MissingDependency:
        raise
    except ValueError as error:
        raise LogNotWritten(str(path), str(error)) from None


def _readable(name: str, taken: set[str]) -> str:
    """The name itself if a reader can read it, else one near to it; never one that another channel has."""
    near = name
    if not _CHANNEL.fullmatch(name):
        near = _NOT_IN_CHANNEL.sub("_", name).lstrip("_.:-") or "0"
        near = near if _CHANNEL.fullmatch(near) else f"can{near}"
    numbered = (f"{near}_{number}" for number in range(2, len(taken) + 3))
    return next(free for free in (near, *numbered) if free not in taken)


def _not_written(path: Path, error: OSError) -> LogNotWritten:
    return LogNotWritten(str(path), (error.strerror or str(error)).lower())
