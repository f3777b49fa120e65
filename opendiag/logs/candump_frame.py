"""What candump's console and log formats share: identifiers and their flag bits."""

from __future__ import annotations

import re

from opendiag.frame import MAX_STANDARD_ID, Frame

_ERROR_FLAG = 0x2000_0000
_EXTENDED_FLAG = 0x8000_0000


_QUOTING = re.compile(r"[\s>|]+")


class NotAFrame(ValueError):
    """A line has the shape of a frame and cannot be one. ``code`` is the finding's code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def make_frame(
    id_text: str,
    data: bytes,
    *,
    remote: bool = False,
    fd: bool = False,
    brs: bool = False,
    esi: bool = False,
    dlc: int = -1,
    channel: str | None = None,
    direction: str | None = None,
    time_ns: int | None = None,
) -> Frame:
    """Three digits are an 11-bit identifier, more a 29-bit one; bit 29 of that marks an error frame.

    Raises NotAFrame for what no CAN bus carries.
    """
    number = int(id_text, 16)
    extended = len(id_text) > 3
    error = extended and bool(number & _ERROR_FLAG)
    number &= ~(_EXTENDED_FLAG | _ERROR_FLAG) if extended else -1
    if not extended and number > MAX_STANDARD_ID:
        raise NotAFrame("log-not-a-frame", f"identifier {id_text} has three digits and is above 7FF")
    try:
        return Frame(
            number,
            data,
            extended=extended and not error,
            remote=remote,
            error=error,
            fd=fd,
            brs=brs,
            esi=esi,
            dlc=dlc,
            channel=channel,
            direction=direction,
            time_ns=time_ns,
        )
    except ValueError as impossible:
        raise NotAFrame("log-not-a-frame", str(impossible)) from None


def unquoted(line: str) -> str:
    """Without the indentation and the marks of a quotation in front."""
    quoting = _QUOTING.match(line)
    return line if quoting is None else line[quoting.end() :]
