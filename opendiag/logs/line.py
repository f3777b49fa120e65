"""One frame as somebody types or pastes it."""

from __future__ import annotations

import re

from opendiag.errors import NotALine
from opendiag.frame import Frame
from opendiag.logs import candump_console, candump_log, pasted
from opendiag.logs.candump_frame import NotAFrame, make_frame

_BARE = re.compile(r"\s*(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{1,3})(?P<data>(?:[\s,]+(?:0x)?[0-9A-Fa-f]{2})*)\s*$")
_SHORT_ID = re.compile(r"\s*(?:0x)?(?P<id>[0-9A-Fa-f]{1,2})(?=#|\s+[\[{])")
_ODD_ID = re.compile(r"\s*(?:0x)?(?P<id>[0-9A-Fa-f]{4,7}|[0-9A-Fa-f]{9,})(?=#|\s|$)")
_PROMPT = re.compile(r"\s*[$#%]\s+")
_EXPECTED = "expected a frame such as 665#4041600000000000 or '665 [8] 40 41 60 00 00 00 00 00'"


def parse_line(text: str) -> Frame:
    """A frame in any notation a capture has, or as "665 40 41 60 00 00 00 00 00".

    An identifier of up to three digits has 11 bits, one of eight digits 29 bits. Raises NotALine.
    """
    line = pasted.plain(text)
    if (prompt := _PROMPT.match(line)) is not None:
        line = line[prompt.end() :]
    if (short := _SHORT_ID.match(line)) is not None:
        line = short["id"].rjust(3, "0") + line[short.end() :]
    try:
        frame = _read(line)
    except NotAFrame as error:
        raise NotALine(text, str(error)) from None
    if frame is not None:
        return frame
    if (odd := _ODD_ID.match(line)) is not None:
        reason = f"an identifier has 3 digits (11 bits) or 8 (29 bits), {odd['id']} has {len(odd['id'])}"
        raise NotALine(text, reason)
    raise NotALine(text, _EXPECTED)


def _read(line: str) -> Frame | None:
    for candidate in (line, pasted.cleaned(line)):
        for parse in (candump_log.parse, candump_console.parse):
            if candidate is not None and (parsed := parse(candidate)) is not None:
                return parsed[0]
    found = _BARE.match(line)
    if found is None:
        return None
    data = bytes(int(token, 16) for token in re.split(r"[\s,]+", found["data"]) if token)
    return make_frame(found["id"].rjust(3, "0"), data)
