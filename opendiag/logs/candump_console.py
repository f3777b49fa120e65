"""candump's console output, whatever its options: times, colours, direction, swapped, binary, ASCII, raw DLC.

can0  665   [8]  40 78 60 00 00 00 00 00
(1436509052.249713)  can0  RX - -  665   [8]  40 78 60 00 00 00 00 00   '@x`.....'
"""

from __future__ import annotations

import re

from opendiag.frame import Frame
from opendiag.logs.candump_frame import NotAFrame, make_frame
from opendiag.logs.times import Stamp, parse_stamp

NAME = "candump console"

_LINE = re.compile(
    r"[\s>|]*"
    r"(?:\((?P<time>[-\d:. ]+)\)\s+)?"
    r"(?:(?P<channel>[A-Za-z][\w.:-]*)\s+)?"
    r"(?:(?P<direction>[RT]X)\s+(?P<flags>[B-] [E-]|S R|[S-] [R-])\s+)?"
    r"(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})\s+"
    r"(?:\[(?P<length>\d+)\]|\{(?P<dlc>[0-9A-Fa-f]+)\})"
    r"(?P<rest>(?:\s.*)?)$"
)
#: Very old builds: <0x19fa0300> [8] 9a d3 ...
_OLD = re.compile(r"[\s>|]*<0x(?P<id>[0-9A-Fa-f]{1,8})>\s+\[(?P<length>\d+)\](?P<rest>(?:\s.*)?)$")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_BINARY = re.compile(r"[01]{8}")
#: What may stand behind the data: the ASCII column, an error frame's mark, a remark, left-overs of quoting.
_TAIL = re.compile(r"\s*(?:$|'|ERRORFRAME|[#;\\<|]|//)")
_REMOTE = re.compile(r"\s*remote request\b")


def parse(line: str) -> tuple[Frame, Stamp | None] | None:
    """The frame and its time stamp, None for a line of another shape.

    Raises NotAFrame for a line that has the shape and does not hold together.
    """
    found = _LINE.match(line)
    if found is None:
        return _parse_old(line)
    length, raw_dlc, flags = found["length"], found["dlc"], found["flags"] or ""
    if (length and len(length) > 2) or "S" in flags or "R" in flags:
        raise NotAFrame("log-can-xl", "a CAN XL frame")
    fd = length is not None and len(length) == 2
    dlc = int(raw_dlc, 16) if raw_dlc else int(length)
    count = dlc if fd else min(dlc, 8)
    remote = _REMOTE.match(found["rest"]) is not None
    data = b"" if remote else _data(found["rest"], count)
    frame = make_frame(
        found["id"],
        data,
        remote=remote,
        fd=fd,
        brs="B" in flags,
        esi="E" in flags,
        dlc=-1 if fd else dlc,
        channel=found["channel"],
        direction=found["direction"].lower() if found["direction"] else None,
    )
    return frame, parse_stamp(found["time"]) if found["time"] else None


def _parse_old(line: str) -> tuple[Frame, Stamp | None] | None:
    found = _OLD.match(line)
    if found is None:
        return None
    digits = found["id"]
    return make_frame(digits.rjust(3 if len(digits) <= 3 else 8, "0"), _data(found["rest"], int(found["length"]))), None


def _data(rest: str, count: int) -> bytes:
    """The first ``count`` bytes of the data column, however they are written."""
    if "`" in rest.split("'", 1)[0]:
        return _swapped(rest, count)
    tokens = rest.split(None, count)
    tail = tokens[count] if len(tokens) > count else ""
    tokens = tokens[:count]
    shape = _BINARY if tokens and len(tokens[0]) == 8 else _HEX
    for token in tokens:
        if not shape.fullmatch(token):
            raise NotAFrame("log-length-mismatch", f"{count} bytes are announced, and {token!r} is none")
    if len(tokens) < count:
        raise NotAFrame("log-length-mismatch", f"{count} bytes are announced, {len(tokens)} are there")
    if not _TAIL.match(tail):
        what = "more follow" if _HEX.match(tail) else f"{tail[:20]!r} follows"
        raise NotAFrame("log-length-mismatch", f"{count} bytes are announced, and {what}")
    return bytes(int(token, 2 if shape is _BINARY else 16) for token in tokens)


def _swapped(rest: str, count: int) -> bytes:
    """Candump -S: the last byte first, joined by backticks."""
    tokens = rest.split(None, 1)[0].split("`")
    if len(tokens) != count:
        raise NotAFrame("log-length-mismatch", f"{count} bytes are announced, {len(tokens)} are there")
    shape, base = (_BINARY, 2) if len(tokens[0]) == 8 else (_HEX, 16)
    if not all(shape.fullmatch(token) for token in tokens):
        raise NotAFrame("log-length-mismatch", "swapped data that are no bytes")
    return bytes(int(token, base) for token in reversed(tokens))
