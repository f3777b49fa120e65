"""candump's console output, whatever its options: times, colours, direction, swapped, binary, ASCII, raw DLC.

can0  665   [8]  40 78 60 00 00 00 00 00
(1436509052.249713)  can0  RX - -  665   [8]  40 78 60 00 00 00 00 00   '@x`.....'
"""

from __future__ import annotations

import re

from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame
from opendiag.logs.candump_frame import NotAFrame, make_frame, unquoted
from opendiag.logs.times import NONE, parse_stamp, stamp

NAME = "candump console"

#: Nearly every line of a capture, in one quick step; what it does not take goes the long way.
_PLAIN = re.compile(
    r" *(?:\(([0-9]{1,12})\.([0-9]{6,9})\) +)?([A-Za-z][0-9A-Za-z_.:-]*) +(?:([RT]X) - - +)?"
    r"([0-9A-Fa-f]{3,8}) +\[([0-8])\] ([0-9A-Fa-f ]{0,24})\r?\n?$"
)
_LINE = re.compile(
    r"(?:\((?P<time>[-0-9:.T ]+)\)\s+)?"
    r"(?:(?P<channel>[A-Za-z][\w.:-]*)\s+)?"
    r"(?:(?P<direction>[RT]X)\s+(?P<flags>[B-] [E-]|[S-] [R-])\s+)?"
    r"(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})\s+"
    r"(?:\[(?P<length>[0-9]{1,4})\]|\{(?P<dlc>[0-9A-Fa-f])\})"
    r"(?P<rest>(?:\s.*)?)$"
)
#: Very old builds: <0x19fa0300> [8] 9a d3 ...
_OLD = re.compile(r"<0x(?P<id>[0-9A-Fa-f]{1,8})>\s+\[(?P<length>[0-9]{1,2})\](?P<rest>(?:\s.*)?)$")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_BINARY = re.compile(r"[01]{8}")
#: What may stand behind the data: the ASCII column, an error frame's mark, a remark.
_TAIL = re.compile(r"\s*(?:$|['`]|ERRORFRAME|[#;]|//)")
#: Left-overs of quoting, which may stick to the last byte. Whatever is behind them is no data any more.
_GLUED = re.compile(r"[\\<|]")
_REMOTE = re.compile(r"\s*remote request\b")


def parse(line: str) -> tuple[Frame, str] | None:
    """The frame and the kind of its time stamp, None for a line of another shape.

    Raises NotAFrame for a line that has the shape and does not hold together.
    """
    plain = _PLAIN.match(line)
    if plain is not None and (frame := _plain_frame(*plain.groups())) is not None:
        return frame
    line = unquoted(line)
    found = _LINE.match(line)
    if found is None:
        return _parse_old(line)
    kind, time_ns = parse_stamp(found["time"]) if found["time"] else (NONE, None)
    return _frame(found, time_ns), kind


def _plain_frame(
    seconds: str | None,
    fraction: str,
    channel: str,
    direction: str | None,
    id_text: str,
    length: str,
    data_text: str,
) -> tuple[Frame, str] | None:
    """None for what needs a closer look."""
    extended = len(id_text) == 8
    if not extended and len(id_text) != 3:
        return None
    number, count = int(id_text, 16), int(length)
    # Three characters for each byte: digits without spaces are somebody else's format.
    if number > (MAX_EXTENDED_ID if extended else MAX_STANDARD_ID) or len(data_text) != 3 * count:
        return None
    try:
        data = bytes.fromhex(data_text)
    except ValueError:
        return None
    if len(data) != count:
        return None
    kind, ns = stamp(seconds, fraction) if seconds is not None else (NONE, None)
    heard = direction and direction.lower()
    # Positional: keywords cost a quarter of the time of a line.
    return Frame(number, data, extended, False, False, False, False, False, count, channel, heard, ns), kind


def _frame(found: re.Match[str], time_ns: int | None) -> Frame:
    length, raw_dlc, flags = found["length"], found["dlc"], found["flags"] or ""
    if (length and len(length) > 2) or "S" in flags or "R" in flags:
        raise NotAFrame("log-can-xl", "a CAN XL frame, which is not read")
    fd = length is not None and len(length) == 2
    dlc = int(raw_dlc, 16) if raw_dlc else int(length)
    remote = _REMOTE.match(found["rest"]) is not None
    return make_frame(
        found["id"],
        b"" if remote else _data(found["rest"], dlc if fd else min(dlc, 8)),
        remote=remote,
        fd=fd,
        brs="B" in flags,
        esi="E" in flags,
        dlc=-1 if fd else dlc,
        channel=found["channel"],
        direction=found["direction"] and found["direction"].lower(),
        time_ns=time_ns,
    )


def _parse_old(line: str) -> tuple[Frame, str] | None:
    found = _OLD.match(line)
    if found is None:
        return None
    digits = found["id"]
    id_text = digits.rjust(3 if len(digits) <= 3 else 8, "0")
    return make_frame(id_text, _data(found["rest"], int(found["length"]))), NONE


def _data(rest: str, count: int) -> bytes:
    """The ``count`` bytes of the data column, however they are written."""
    rest = _GLUED.split(rest, maxsplit=1)[0]
    tokens = rest.split(None, count)
    tail = tokens[count] if len(tokens) > count else ""
    tokens = tokens[:count]
    if count > 1 and tokens and "`" in tokens[0]:  # -S: one token, the last byte first
        tail = " ".join(rest.split()[1:])
        tokens = tokens[0].split("`")[::-1]
    # -i: by width, because 11110000 could be hexadecimal too.
    shape, base = (_BINARY, 2) if tokens and len(tokens[0]) == 8 else (_HEX, 16)
    for token in tokens:
        if not shape.fullmatch(token):
            raise _mismatch(count, f"and {token[:20]!r} is none of them")
    if len(tokens) != count:
        raise _mismatch(count, f"{len(tokens)} found")
    if not _TAIL.match(tail):
        raise _mismatch(count, "and more follow" if _HEX.match(tail) else f"and {tail[:20]!r} follows")
    return bytes(int(token, base) for token in tokens)


def _mismatch(count: int, seen: str) -> NotAFrame:
    return NotAFrame("log-length-mismatch", f"{count} byte{'' if count == 1 else 's'} announced, {seen}")
