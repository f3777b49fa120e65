"""One frame as somebody types or pastes it."""

from __future__ import annotations

import re
from dataclasses import replace

from opendiag.errors import LogError
from opendiag.frame import Frame
from opendiag.logs import candump_console, candump_log
from opendiag.logs.candump_frame import NotAFrame, make_frame

_BARE = re.compile(r"\s*(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{1,3})(?P<data>(?:[\s,]+(?:0x)?[0-9A-Fa-f]{2})*)\s*$")
_EXPECTED = "expected a frame such as 665#4041600000000000 or '665 [8] 40 41 60 00 00 00 00 00'"


class NotALine(LogError, ValueError):
    """A text that is no frame; the sentence says what was seen and what was expected."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.text!r} is no frame: {self.reason}"


def parse_line(text: str) -> Frame:
    """A frame in any notation a capture has, or as "665 40 41 60 00 00 00 00 00". Raises NotALine."""
    try:
        for parse in (candump_log.parse, candump_console.parse):
            parsed = parse(text)
            if parsed is not None:
                frame, stamp = parsed
                return frame if stamp is None else replace(frame, time_ns=stamp.ns)
        found = _BARE.match(text)
        if found is None:
            raise NotALine(text, _EXPECTED)
        digits = found["id"]
        data = bytes(int(token, 16) for token in re.split(r"[\s,]+", found["data"]) if token)
        return make_frame(digits.rjust(3, "0"), data)
    except NotAFrame as error:
        raise NotALine(text, str(error)) from None
