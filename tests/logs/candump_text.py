"""What candump prints for a list of frames, for any set of options.

`test_candump_text` compares it byte for byte with the recordings of a real candump in tests/vectors/candump.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from opendiag.frame import Frame

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "candump"
COLOUR, PLAIN = "\x1b[1m\x1b[34m", "\x1b[0m"


@dataclass(frozen=True)
class Options:
    """candump's options. ``nanoseconds`` (-N) and ``raw_dlc`` (-8) exist in newer versions only."""

    log: bool = False
    time: str = ""
    nanoseconds: bool = False
    extra: bool = False
    ascii: bool = False
    binary: bool = False
    swapped: bool = False
    raw_dlc: bool = False
    colour: int = 0


#: File in tests/vectors/candump -> the options it was recorded with. -e and -d add lines only, to these frames.
RECORDED = {
    "none": Options(),
    "any": Options(),
    "ta": Options(time="a"),
    "tA": Options(time="A"),
    "td": Options(time="d"),
    "tz": Options(time="z"),
    "x": Options(extra=True),
    "x_rx": Options(extra=True, time="a"),
    "a": Options(ascii=True),
    "e": Options(),
    "d": Options(),
    "c": Options(colour=1),
    "cc": Options(colour=2),
    "ccc": Options(colour=3),
    "S": Options(swapped=True),
    "i": Options(binary=True),
    "S_a": Options(swapped=True, ascii=True),
    "i_S": Options(binary=True, swapped=True),
    "i_a": Options(binary=True, ascii=True),
    "extA": Options(extra=True, time="A"),
    "tz_x_a": Options(time="z", extra=True, ascii=True),
    "ta_x_a_e_d": Options(time="a", extra=True, ascii=True),
    "c_ta": Options(colour=1, time="a"),
    "ccc_tz_x_a_e": Options(colour=3, time="z", extra=True, ascii=True),
    "cc_S_td": Options(colour=2, swapped=True, time="d"),
    "L": Options(log=True),
    "l": Options(log=True),
    "Lx": Options(log=True, extra=True),
}
#: Of options that the recording candump does not have: written by `candump_lines`, not by candump.
WRITTEN = {
    "written_8": Options(raw_dlc=True),
    "written_i_S_8": Options(raw_dlc=True, binary=True, swapped=True),
    "written_L_8": Options(log=True, raw_dlc=True),
    "written_L_N": Options(log=True, nanoseconds=True),
    "written_ta_N": Options(time="a", nanoseconds=True),
    "written_tA_N_x_a": Options(time="A", nanoseconds=True, extra=True, ascii=True),
    "written_td_N": Options(time="d", nanoseconds=True),
}


def frame_of(row: dict) -> Frame:
    """A row of frames.json."""
    error = row.get("error", False)
    return Frame(
        int(row["id"], 16),
        bytes.fromhex(row.get("data", "")),
        extended=len(row["id"]) == 8 and not error,
        remote=row.get("remote", False),
        error=error,
        fd=row.get("fd", False),
        brs=row.get("brs", False),
        esi=row.get("esi", False),
        dlc=row.get("dlc", -1),
    )


SENT = [frame_of(row) for row in json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))]


def candump_lines(frames: Iterable[Frame], options: Options) -> list[str]:
    """One line for each frame, without the lines that -e and -d add."""
    return list(_log_lines(frames, options) if options.log else _console_lines(frames, options))


def _seconds(ns: int, whole_digits: int, options: Options) -> str:
    digits = 9 if options.nanoseconds else 6
    seconds, rest = divmod(ns, 10**9)
    return f"{seconds:0{whole_digits}d}.{rest // 10 ** (9 - digits):0{digits}d}"


def _log_lines(frames: Iterable[Frame], options: Options) -> Iterable[str]:
    for frame in frames:
        direction = f" {'T' if frame.direction == 'tx' else 'R'}" if options.extra else ""
        yield f"({_seconds(frame.time_ns or 0, 10, options)}) {frame.channel} {_log_body(frame, options)}{direction}"


def _log_body(frame: Frame, options: Options) -> str:
    data = "".join(f"{byte:02X}" for byte in frame.data)
    if frame.fd:
        return f"{frame.id_text}##{4 | frame.brs | frame.esi << 1:X}{data}"  # 4: FDF, set by today's kernels
    raw = f"_{frame.dlc:X}" if options.raw_dlc and frame.dlc > 8 else ""
    if frame.remote:
        return f"{frame.id_text}#R{min(frame.dlc, 8) or ''}{raw}"
    return f"{frame.id_text}#{data}{raw}"


def _console_lines(frames: Iterable[Frame], options: Options) -> Iterable[str]:
    first = last = None
    indent = ""
    for frame in frames:
        time_ns = frame.time_ns or 0
        first, last = (time_ns, time_ns) if first is None else (first, last)
        stamp = _stamp(time_ns, first, last, options)
        last = time_ns
        if frame.extended or frame.error:
            indent = "     "  # from here on for all the short identifiers
        channel = f"{frame.channel}"
        rest = f"{_extra(frame, options)}  {'' if frame.extended or frame.error else indent}{_body(frame, options)}"
        if options.colour == 0:
            yield f" {stamp} {channel}{rest}"
        elif options.colour == 1:
            yield f" {stamp} {COLOUR}{channel}{PLAIN}{rest}"
        elif options.colour == 2:
            yield f" {stamp} {COLOUR}{channel}{rest}{PLAIN}"
        else:
            yield f" {COLOUR}{stamp} {channel}{rest}{PLAIN}"


def _stamp(ns: int, first: int, last: int, options: Options) -> str:
    if options.time == "A":
        seconds = datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        return f"({seconds}.{_seconds(ns % 10**9, 1, options).split('.')[1]}) "
    if options.time == "a":
        return f"({_seconds(ns, 10, options)}) "
    if options.time:
        return f"({_seconds(ns - (last if options.time == 'd' else first), 3, options)}) "
    return ""


def _extra(frame: Frame, options: Options) -> str:
    if not options.extra:
        return ""
    return f"  {'TX' if frame.direction == 'tx' else 'RX'} {'B' if frame.brs else '-'} {'E' if frame.esi else '-'}"


def _body(frame: Frame, options: Options) -> str:
    length = len(frame.data)
    if frame.fd:
        start = f"{frame.id_text}  [{length:02d}] "
    elif options.raw_dlc and frame.dlc > 8:
        start = f"{frame.id_text}   {{{frame.dlc:X}}} "
    else:
        start = f"{frame.id_text}   [{min(frame.dlc, 8)}] "
    if frame.remote:
        return f"{start} remote request"
    tokens = [f"{byte:08b}" if options.binary else f"{byte:02X}" for byte in frame.data]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in frame.data)
    width = (9 if options.binary else 3) * 8
    mark = "'"
    if options.swapped:
        data, text, mark = "`".join(reversed(tokens)), text[::-1], "`"
        data = f" {data}" if data else ""
    else:
        data = "".join(f" {token}" for token in tokens)
    if frame.error:
        return f"{start}{data:{width}}   ERRORFRAME"
    if options.ascii and length <= 8:
        return f"{start}{data:{width}}   {mark}{text}{mark}"
    return start + data
