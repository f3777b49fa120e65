"""candump's log files (-l, -L) and cansend's notation.

(1436509052.249713) can0 665#4078600000000000
(1436509052.249713) can0 1F334455#R8 R
123##5112233445566778899AABBCC
"""

from __future__ import annotations

import re

from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame
from opendiag.logs.candump_frame import NotAFrame, make_frame, unquoted
from opendiag.logs.times import NONE, parse_stamp, stamp

NAME = "candump log"

#: Nearly every line of a log, in one quick step; what it does not take goes the long way.
_PLAIN = re.compile(
    r"\(([0-9]{1,12})\.([0-9]{6,9})\) +([A-Za-z][0-9A-Za-z_.:-]*) "
    r"([0-9A-Fa-f]{3,8})#([0-9A-Fa-f]{0,16})(?: ([RT]))?\r?\n?$"
)
_LINE = re.compile(
    r"(?:\((?P<time>[-0-9:.T ]+)\)\s+)?"
    r"(?P<cansend>cansend\s+)?"
    # Where neither time nor cansend tells that this is a frame, an interface has a number: "see 123#" is prose.
    r"(?:(?(time)|(?(cansend)|(?=\S*[0-9])))(?P<channel>[A-Za-z][\w.:-]*)\s+)?"
    r"(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})#"
    r"(?P<body>[0-9A-Fa-fRr._#]*)"
    r"(?:\s+(?P<direction>[RT]))?"
    r"\s*(?:[\\;<|].*|//.*|\s#.*)?$"  # a remark, left-overs of quoting
)
_XL = re.compile(r"(?:\([-0-9:.T ]+\)\s+)?(?:\S+\s+)?[0-9A-Fa-f]{5}#[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{8}#")
_REMOTE = re.compile(r"[Rr](?P<length>[0-9A-Fa-f]?)(?:_(?P<dlc>[0-9A-Fa-f]))?$")
_CLASSIC = re.compile(r"(?P<data>(?:[0-9A-Fa-f]{2}\.?)*)(?:_(?P<dlc>[0-9A-Fa-f]))?$")
_FD = re.compile(r"#(?P<flags>[0-9A-Fa-f])(?P<data>(?:[0-9A-Fa-f]{2}\.?)*)$")
_BRS, _ESI = 1, 2
_DIRECTIONS = {None: None, "R": "rx", "T": "tx"}


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
        if _XL.match(line):
            raise NotAFrame("log-can-xl", "a CAN XL frame, which is not read")
        return None
    kind, time_ns = parse_stamp(found["time"]) if found["time"] else (NONE, None)
    return _frame(found["id"], found["body"], found["channel"], _DIRECTIONS[found["direction"]], time_ns), kind


def _plain_frame(
    seconds: str, fraction: str, channel: str, id_text: str, data_text: str, direction: str | None
) -> tuple[Frame, str] | None:
    """None for what needs a closer look."""
    extended = len(id_text) == 8
    if (not extended and len(id_text) != 3) or len(data_text) % 2:
        return None
    number = int(id_text, 16)
    if number > (MAX_EXTENDED_ID if extended else MAX_STANDARD_ID):
        return None
    data = bytes.fromhex(data_text)
    kind, ns = stamp(seconds, fraction)
    heard = _DIRECTIONS[direction]
    # Positional: keywords cost a quarter of the time of a line.
    return Frame(number, data, extended, False, False, False, False, False, len(data), channel, heard, ns), kind


def _frame(id_text: str, body: str, channel: str | None, direction: str | None, time_ns: int | None) -> Frame:
    if (classic := _CLASSIC.match(body)) is not None:
        data = bytes.fromhex(classic["data"].replace(".", ""))
        dlc = int(classic["dlc"], 16) if classic["dlc"] else -1
        return make_frame(id_text, data, dlc=dlc, channel=channel, direction=direction, time_ns=time_ns)
    if (remote := _REMOTE.match(body)) is not None:
        dlc = int(remote["dlc"] or remote["length"] or "0", 16)
        return make_frame(id_text, b"", remote=True, dlc=dlc, channel=channel, direction=direction, time_ns=time_ns)
    if (fd := _FD.match(body)) is not None:
        data, flags = bytes.fromhex(fd["data"].replace(".", "")), int(fd["flags"], 16)
        brs, esi = bool(flags & _BRS), bool(flags & _ESI)
        return make_frame(
            id_text, data, fd=True, brs=brs, esi=esi, channel=channel, direction=direction, time_ns=time_ns
        )
    raise NotAFrame("log-not-a-frame", f"{body[:40]!r} behind the identifier is no data: whole bytes in hexadecimal")


def format_log_line(frame: Frame, digits: int | None = None) -> str:
    """The line `candump -L` writes, without a line end.

    ``digits`` is how many the seconds' fraction has, 6 or 9; left out, 9 where 6 would lose something. A frame
    without a time gets 0, one without a channel can0: the format has no way to leave them out.
    """
    seconds, rest = divmod(frame.time_ns or 0, 10**9)
    if digits is None:
        digits = 9 if rest % 1000 else 6
    direction = {"rx": " R", "tx": " T"}.get(frame.direction or "", "")
    fraction = f"{rest // 10 ** (9 - digits):0{digits}d}"
    return f"({seconds:010d}.{fraction}) {frame.channel or 'can0'} {frame.id_text}#{_body(frame)}{direction}"


def _body(frame: Frame) -> str:
    data = frame.data.hex().upper()
    if frame.fd:
        return f"#{(_BRS if frame.brs else 0) | (_ESI if frame.esi else 0):X}{data}"
    raw_dlc = f"_{frame.dlc:X}" if frame.dlc > 8 else ""
    if frame.remote:
        return f"R{min(frame.dlc, 8) or ''}{raw_dlc}"
    return data + raw_dlc
