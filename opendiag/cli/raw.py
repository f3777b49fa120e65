"""Frames as candump writes them: its console lines, and its log lines.

can0  665   [8]  40 41 60 00 00 00 00 00
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from opendiag.frame import Frame
from opendiag.logs import format_log_line

#: candump's -t letters: absolute, date, since the first frame, since the frame before.
TIMES = ("a", "A", "z", "d")
_CHANNEL = re.compile(r"[A-Za-z][\w.:-]*[0-9]|[A-Za-z]{2,}", re.ASCII)
_UNFIT = re.compile(r"[^\w.-]+", re.ASCII)
_DIRECTIONS = {"tx": "TX", "rx": "RX", None: "RX"}
#: Where candump puts a standard identifier once it has seen an extended one.
_INDENT = " " * 5


@dataclass
class RawLines:
    """``time`` is candump's -t letter or "" for none; ``channel`` names the bus of frames that do not name it.

    ``direction``, ``ascii``, ``raw_dlc`` are candump's -x, -a and -8. ``log``: lines of a log file instead (-L).
    """

    channel: str
    time: str = ""
    direction: bool = False
    ascii: bool = False
    raw_dlc: bool = False
    log: bool = False
    _first_ns: int | None = None
    _last_ns: int | None = None
    _indent: str = field(default="", init=False)

    def line(self, frame: Frame) -> str:
        """Without a line end."""
        channel = frame.channel or self.channel
        if self.log:
            shown = frame.direction if self.direction else None
            return format_log_line(replace(frame, channel=channel, direction=shown), 6)
        if frame.extended or frame.error:
            self._indent = _INDENT
        time = f" {self._stamp(frame.time_ns or 0)}" if self.time else ""
        flags = ""
        if self.direction:
            marks = f"{'B' if frame.brs else '-'} {'E' if frame.esi else '-'}"
            flags = f"  {_DIRECTIONS[frame.direction]} {marks}"
        return f"{time}  {channel}{flags}  {self._frame(frame)}".rstrip()

    def _frame(self, frame: Frame) -> str:
        indent = "" if frame.extended or frame.error else self._indent
        head = f"{indent}{frame.id_text}  {_length(frame, self.raw_dlc)}  "
        if frame.remote:
            return f"{head}remote request"
        data = frame.data.hex(" ").upper()
        room = 0 if frame.fd else 23
        if frame.error:
            return f"{head}{data.ljust(room)}   ERRORFRAME"
        if self.ascii:
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in frame.data)
            return f"{head}{data.ljust(room)}   '{text}'"
        return head + data

    def _stamp(self, ns: int) -> str:
        """In brackets, with microseconds."""
        if self.time == "A":  # in the time zone of this computer, as candump has it
            moment = datetime.fromtimestamp(ns // 10**9).astimezone()
            return f"({moment:%Y-%m-%d %H:%M:%S}.{ns % 10**9 // 1000:06d})"
        if self.time == "a":
            return f"({ns // 10**9:010d}.{ns % 10**9 // 1000:06d})"
        reference = self._first_ns if self.time == "z" else self._last_ns
        if self._first_ns is None:
            self._first_ns = ns
        self._last_ns = ns
        since = max(ns - (ns if reference is None else reference), 0)
        return f"({since // 10**9:03d}.{since % 10**9 // 1000:06d})"


def _length(frame: Frame, raw_dlc: bool) -> str:
    """As wide for both kinds, because a length of CAN FD has two digits."""
    if frame.fd:
        return f"[{len(frame.data):02d}]"
    if raw_dlc and frame.dlc > 8:
        return f" {{{frame.dlc:X}}}"
    return f" [{min(frame.dlc, 8)}]"


def channel_name(interface: str) -> str:
    """A name that readers of captures take for a channel: can0 of "socketcan:can0", ttyUSB0 of "slcan:/dev/ttyUSB0".

    Where the channel has none, the adapter's name and what is there of the channel: cantact0, sim.
    """
    adapter, _, channel = interface.partition("@")[0].partition(":")
    base = channel.partition("?")[0].rsplit("/", 1)[-1]
    if _CHANNEL.fullmatch(base):
        return base
    name = _UNFIT.sub("", f"{adapter}{base}")
    return name if _CHANNEL.fullmatch(name) else "can0"
