"""Where lines come from: files and streams, packed or not, in any encoding, never more than a bounded piece at once."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from opendiag.errors import LogNotFound, NotALog

#: The longest line that is looked at. The longest frame, 64 bytes in binary digits, takes 700 characters.
_LONGEST_LINE = 1 << 13
_HEAD_BYTES = 4096
_GZIP = b"\x1f\x8b"
_DAMAGES = (OSError, EOFError, zlib.error, UnicodeError)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how a PowerShell redirection begins


class Damaged(Exception):
    """The rest of the source cannot be read; what came before was fine."""


def open_file(path: Path, name: str) -> IO[bytes]:
    """Raises LogNotFound."""
    try:
        return path.open("rb")
    except OSError as error:
        raise LogNotFound(name, (error.strerror or str(error)).lower()) from None


def regular_size(raw: IO[bytes]) -> int | None:
    """Bytes of a regular file; None for a pipe or a device, which must not be read twice."""
    status = os.fstat(raw.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def lines_of(stream: Any, name: str) -> Iterator[str]:
    """The lines of a stream of bytes or text, or of an iterable of lines.

    Reads nothing before the first line but what is there already. Raises NotALog for what is no text, LogNotFound
    for a packed file that is damaged from the start, and while iterating Damaged.
    """
    if isinstance(stream, io.TextIOWrapper):
        with suppress(ValueError, io.UnsupportedOperation):  # too late once something was read
            stream.reconfigure(errors="replace")
    head = _head(stream, name)
    if head.startswith(_GZIP):
        import gzip

        return lines_of(gzip.GzipFile(fileobj=stream), name)
    if head.startswith(_UTF16):
        import codecs

        return _text(codecs.getreader("utf-16")(stream, "replace"))
    if b"\0" in head:
        raise NotALog(name, None)
    readline = getattr(stream, "readline", None)
    return _text(stream if readline is None else iter(partial(readline, _LONGEST_LINE), b""))


def _head(stream: Any, name: str) -> bytes:
    peek = getattr(stream, "peek", None)
    if peek is None:
        return b""
    try:
        return bytes(peek(_HEAD_BYTES)[:_HEAD_BYTES])
    except _DAMAGES as error:
        raise LogNotFound(name, f"damaged: {error}") from None


def _text(lines: Iterable[Any]) -> Iterator[str]:
    """UTF-8 keeps a no-break space what it is; any other byte is replaced, never fatal.

    Of a line that is too long only the beginning is kept: its end could look like a frame.
    """
    whole = True
    try:
        for line in lines:
            if not line:
                break  # the end of a stream of text
            if whole:
                yield line if isinstance(line, str) else line.decode("utf-8", "replace")
            whole = len(line) < _LONGEST_LINE or line[-1:] in ("\n", b"\n")
    except _DAMAGES as error:
        raise Damaged(str(error)) from None
