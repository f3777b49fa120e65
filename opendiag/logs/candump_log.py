"""candump's log files (-l, -L) and cansend's notation.

(1436509052.249713) can0 665#4078600000000000
(1436509052.249713) can0 1F334455#R8 R
123##5112233445566778899AABBCC
"""

from __future__ import annotations

import re

from opendiag.frame import Frame
from opendiag.logs.candump_frame import NotAFrame, make_frame
from opendiag.logs.times import Stamp, parse_stamp

NAME = "candump log"

_LINE = re.compile(
    r"[\s>|]*"
    r"(?:\((?P<time>[-\d:. ]+)\)\s+)?"
    r"(?:cansend\s+)?"
    r"(?:(?P<channel>[A-Za-z][\w.:-]*)\s+)?"
    r"(?:0x)?(?P<id>[0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})#"
    r"(?P<body>[0-9A-Fa-fRr._#:]*)"
    r"(?:\s+(?P<direction>[RT]))?\s*$"
)
_XL = re.compile(r"[\s>|]*(?:\([-\d:. ]+\)\s+)?(?:\S+\s+)?[0-9A-Fa-f]{5}#[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{8}#")
_REMOTE = re.compile(r"[Rr](?P<length>[0-9A-Fa-f]?)(?:_(?P<dlc>[0-9A-Fa-f]))?$")
_CLASSIC = re.compile(r"(?P<data>(?:[0-9A-Fa-f]{2}\.?)*)(?:_(?P<dlc>[0-9A-Fa-f]))?$")
_FD = re.compile(r"#(?P<flags>[0-9A-Fa-f])(?P<data>(?:[0-9A-Fa-f]{2}\.?)*)$")
_BRS, _ESI = 1, 2


def parse(line: str) -> tuple[Frame, Stamp | None] | None:
    """The frame and its time stamp, None for a line of another shape.

    Raises NotAFrame for a line that has the shape and does not hold together.
    """
    found = _LINE.match(line)
    if found is None:
        if _XL.match(line):
            raise NotAFrame("log-can-xl", "a CAN XL frame")
        return None
    direction = {"R": "rx", "T": "tx"}.get(found["direction"] or "")
    frame = _frame(found["id"], found["body"], found["channel"], direction)
    return frame, parse_stamp(found["time"]) if found["time"] else None


def _frame(id_text: str, body: str, channel: str | None, direction: str | None) -> Frame:
    if (classic := _CLASSIC.match(body)) is not None:
        data = bytes.fromhex(classic["data"].replace(".", ""))
        dlc = int(classic["dlc"], 16) if classic["dlc"] else -1
        return make_frame(id_text, data, dlc=dlc, channel=channel, direction=direction)
    if (remote := _REMOTE.match(body)) is not None:
        dlc = int(remote["dlc"] or remote["length"] or "0", 16)
        return make_frame(id_text, b"", remote=True, dlc=dlc, channel=channel, direction=direction)
    if (fd := _FD.match(body)) is not None:
        data, flags = bytes.fromhex(fd["data"].replace(".", "")), int(fd["flags"], 16)
        brs, esi = bool(flags & _BRS), bool(flags & _ESI)
        return make_frame(id_text, data, fd=True, brs=brs, esi=esi, channel=channel, direction=direction)
    raise NotAFrame("log-not-a-frame", f"{body[:40]!r} behind the identifier is no data: whole bytes in hexadecimal")


def format_log_line(frame: Frame, digits: int = 6) -> str:
    """The line `candump -L` writes; ``digits`` of the seconds' fraction, 6 or 9."""
    time_ns = frame.time_ns or 0
    fraction = time_ns % 1_000_000_000 // 10 ** (9 - digits)
    stamp = f"({time_ns // 1_000_000_000:010d}.{fraction:0{digits}d})"
    direction = {"rx": " R", "tx": " T"}.get(frame.direction or "", "")
    return f"{stamp} {frame.channel or 'can0'} {frame.id_text}#{_body(frame)}{direction}"


def _body(frame: Frame) -> str:
    data = frame.data.hex().upper()
    if frame.fd:
        return f"#{(_BRS if frame.brs else 0) | (_ESI if frame.esi else 0):X}{data}"
    raw_dlc = f"_{frame.dlc:X}" if frame.dlc > 8 else ""
    if frame.remote:
        return f"R{min(frame.dlc, 8) or ''}{raw_dlc}"
    return data + raw_dlc
