"""SLCAN's text lines to frames and back, as the Lawicel CAN232 and CANUSB manuals define them, with what came later:
CAN FD (d, D, b, B), time stamps of 8 digits, the ``s`` and ``e`` lines of the Linux driver, CANable's error register.

A line ends with CR; BEL alone is a refusal. Nothing here raises for what an adapter sends: what is no line is counted.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from opendiag.frame import FD_LENGTHS, Frame

#: The longest line is a CAN FD frame of 64 bytes, or the version text of some firmware; what goes on is none.
MAX_LINE = 1024

_LINES = re.compile(
    rb"(?:t([0-9A-Fa-f]{3})([0-8])((?:[0-9A-Fa-f]{2})*)"
    rb"|T([0-9A-Fa-f]{8})([0-8])((?:[0-9A-Fa-f]{2})*)"
    rb"|([^\r\x07]*))([\r\x07])"
)
_FRAME = re.compile(rb"(?:([trdb])([0-9A-Fa-f]{3})|([TRDBx])([0-9A-Fa-f]{8}))([0-9A-Fa-f])([0-9A-Fa-f]*)")
_STATUS = re.compile(rb"F([0-9A-Fa-f]{2})")
_STATE = re.compile(rb"s([awpb])([0-9]{3})([0-9]{3})")
_ERRORS = re.compile(rb"e([1-9])([abBcfoOs]{1,9})")
_REGISTER = re.compile(rb"CANable Error Register: ([0-9A-F]{1,8})")
_REPORT = re.compile(rb"E([0-3])([0-9A-F])[0-9A-F]{2}([0-9A-F]{2})([0-9A-F]{2})")
_TEXT = re.compile(rb"[VvN][\x20-\x7e]{1,}|\+[\t\n\x20-\x7e]+|[\x20-\x7e]*(?:github|gitlab|WeAct)[\x20-\x7e]*")

_PLAIN = {b"%d" % length: 2 * length for length in range(9)}
_STATES = {b"a": "error-active", b"w": "error-warning", b"p": "error-passive", b"b": "bus-off"}
_REPORT_STATES = ("error-active", "error-warning", "error-passive", "bus-off")

# Bits of a Linux error frame: its identifier, and its bytes 1 to 3.
_CONTROLLER, _PROTOCOL, _NO_ACK, _BUS_OFF, _BUS_ERROR, _COUNTERS = 0x004, 0x008, 0x020, 0x040, 0x080, 0x200
#: State -> data byte 1 when it is the receiver's, the transmitter's counter that led to it.
_STATE_BITS = {"error-active": (0x40, 0x40), "error-warning": (0x04, 0x08), "error-passive": (0x10, 0x20)}
#: Letter of an ``e`` line -> identifier bits, and bits of data bytes 1, 2 and 3.
_LETTERS = {
    ord("a"): (_BUS_ERROR | _PROTOCOL | _NO_ACK, 0, 0, 0x19),
    ord("b"): (_BUS_ERROR | _PROTOCOL, 0, 0x08, 0),
    ord("B"): (_BUS_ERROR | _PROTOCOL, 0, 0x10, 0),
    ord("c"): (_BUS_ERROR | _PROTOCOL, 0, 0, 0x08),
    ord("f"): (_BUS_ERROR | _PROTOCOL, 0, 0x02, 0),
    ord("o"): (_CONTROLLER, 0x01, 0, 0),
    ord("O"): (_CONTROLLER, 0x02, 0, 0),
    ord("s"): (_BUS_ERROR | _PROTOCOL, 0, 0x04, 0),
}
#: The last error in a report of the ElmüSoft firmware, as such a letter.
_REPORT_LETTERS = {b"1": b"s", b"2": b"f", b"3": b"a", b"4": b"B", b"5": b"b", b"6": b"c"}


class Kind(Enum):
    """``REFUSED`` is BEL; ``SENT`` is z or Z; ``REGISTER`` is CANable's error register."""

    OK = "CR"
    REFUSED = "BEL"
    SENT = "z"
    STATUS = "F"
    REGISTER = "E"
    STATE = "s"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Answer:
    """``at``: so many frames of the same `Splitter.feed` came before it. ``value``: the flags or the register.

    ``state`` with ``rx_errors`` and ``tx_errors`` belong to STATE, ``text`` to TEXT.
    """

    kind: Kind
    at: int = 0
    value: int = 0
    text: str = ""
    state: str = ""
    rx_errors: int = 0
    tx_errors: int = 0


Stamp = Callable[[int, int, int], int]


class Splitter:
    """Takes the bytes as they come. ``stamp(digits, ticks, host_ns)`` tells the time of a frame with a time stamp.

    ``malformed`` counts lines that are none, ``skipped`` their bytes. ``last_ns`` is the time of the latest frame: the
    times of later ones are not before it.
    """

    def __init__(self, stamp: Stamp) -> None:
        self.malformed = 0
        self.skipped = 0
        self.last_ns = 0
        self._stamp = stamp
        self._rest = b""
        self._endless = False
        self._answers: list[Answer] = []

    def feed(self, data: bytes, host_ns: int) -> tuple[list[Frame], list[Answer]]:
        """Frames and answers that are complete now; ``host_ns`` is when ``data`` came."""
        if self._rest:
            data = self._rest + data
        end = max(data.rfind(b"\r"), data.rfind(b"\a")) + 1
        self._rest = data[end:]
        if len(self._rest) > MAX_LINE:
            self._drop_rest()
        frames: list[Frame] = []
        if end:
            self._lines(data[:end], host_ns, frames)
        answers, self._answers = self._answers, []
        return frames, answers

    def idle(self) -> list[Answer]:
        """The adapter is silent: what it ends without CR is complete too."""
        found = _REGISTER.fullmatch(self._rest) if self._rest else None
        if not found:
            return []
        self._rest = b""
        return [Answer(Kind.REGISTER, value=int(found[1], 16))]

    def reset(self) -> None:
        """What came so far belongs to nothing that follows."""
        if self._rest:
            self._drop_rest()
        self._endless = False

    def _drop_rest(self) -> None:
        self.malformed += not self._endless
        self._endless = True
        self.skipped += len(self._rest)
        self._rest = b""

    def _lines(self, block: bytes, host_ns: int, frames: list[Frame]) -> None:
        lines = _LINES.findall(block)
        if self._endless:  # the end of a line whose beginning was thrown away
            first = lines.pop(0)
            self.skipped += sum(map(len, first))
            self._endless = False
        last = max(self.last_ns, host_ns)
        for can_id, dlc, data, long_id, long_dlc, long_data, other, end in lines:
            if end == b"\r":
                # By far the most: no time stamp, nothing special.
                if can_id and len(data) == _PLAIN[dlc] and can_id < b"8":
                    frames.append(Frame(int(can_id, 16), unhexlify(data), direction="rx", time_ns=last))
                    self.last_ns = last
                    continue
                if long_id and len(long_data) == _PLAIN[long_dlc] and long_id < b"2":
                    frames.append(Frame(int(long_id, 16), unhexlify(long_data), True, direction="rx", time_ns=last))
                    self.last_ns = last
                    continue
            if can_id:
                other = b"t" + can_id + dlc + data
            elif long_id:
                other = b"T" + long_id + long_dlc + long_data
            self._line(other, end, host_ns, frames)

    def _line(self, line: bytes, end: bytes, host_ns: int, frames: list[Frame]) -> None:
        if end == b"\a":
            if line:
                self._not_a_line(line)
            self._answers.append(Answer(Kind.REFUSED, len(frames)))
        elif not line:
            self._answers.append(Answer(Kind.OK, len(frames)))
        elif line in (b"z", b"Z"):
            self._answers.append(Answer(Kind.SENT, len(frames)))
        elif not (self._frame(line, host_ns, frames) or self._answer(line, host_ns, frames)):
            self._not_a_line(line)

    def _not_a_line(self, line: bytes) -> None:
        self.malformed += 1
        self.skipped += len(line) + 1

    def _frame(self, line: bytes, host_ns: int, frames: list[Frame]) -> bool:
        found = _FRAME.fullmatch(line)
        if not found:
            return False
        kind, can_id, long_kind, long_id, code, rest = found.groups()
        letter = (kind or long_kind.replace(b"x", b"T")).lower()
        dlc, fd, remote = int(code, 16), letter in b"db", letter == b"r"
        length = 0 if remote else FD_LENGTHS[dlc] if fd else min(dlc, 8)
        digits = len(rest) - 2 * length
        if digits not in (0, 4, 8):
            return False
        data, ticks = rest[: 2 * length], rest[2 * length :]
        time_ns = max(self._stamp(digits, int(ticks, 16), host_ns) if digits else host_ns, self.last_ns)
        try:
            frame = Frame(
                int(can_id or long_id, 16),
                unhexlify(data),
                extended=kind is None,
                remote=remote,
                fd=fd,
                brs=letter == b"b",
                dlc=dlc,
                direction="rx",
                time_ns=time_ns,
            )
        except ValueError:
            return False
        self.last_ns = time_ns
        frames.append(frame)
        return True

    def _answer(self, line: bytes, host_ns: int, frames: list[Frame]) -> bool:
        at = len(frames)
        if found := _STATUS.fullmatch(line):
            self._answers.append(Answer(Kind.STATUS, at, int(found[1], 16)))
        elif found := _STATE.fullmatch(line):
            self._state(_STATES[found[1]], int(found[2]), int(found[3]), host_ns, frames)
        elif found := _ERRORS.fullmatch(line):
            if int(found[1]) != len(found[2]):
                return False
            self._error(found[2], host_ns, frames)
        elif found := _REPORT.fullmatch(line):
            state = _REPORT_STATES[int(found[1])]
            if found[2] in _REPORT_LETTERS:
                self._error(_REPORT_LETTERS[found[2]], host_ns, frames)
            self._state(state, int(found[4], 16), int(found[3], 16), host_ns, frames)
        elif found := _REGISTER.match(line):
            return self._register(line, found, host_ns, frames)
        elif _TEXT.fullmatch(line):
            self._answers.append(Answer(Kind.TEXT, at, text=line.decode("ascii")))
        else:
            return False
        return True

    def _register(self, line: bytes, found: re.Match[bytes], host_ns: int, frames: list[Frame]) -> bool:
        """It ends without CR: a frame may follow, and D and B are digits too."""
        at = len(frames)
        for end in range(found.start(1) + 1, found.end() + 1):
            if end == len(line) or self._frame(line[end:], host_ns, frames):
                self._answers.append(Answer(Kind.REGISTER, at, int(line[found.start(1) : end], 16)))
                return True
        return False

    def _state(self, state: str, rx_errors: int, tx_errors: int, host_ns: int, frames: list[Frame]) -> None:
        self._answers.append(Answer(Kind.STATE, len(frames), state=state, rx_errors=rx_errors, tx_errors=tx_errors))
        self.last_ns = max(self.last_ns, host_ns)
        frames.append(state_frame(state, self.last_ns, (rx_errors, tx_errors)))

    def _error(self, letters: bytes, host_ns: int, frames: list[Frame]) -> None:
        can_id, data = 0, bytearray(8)
        for letter in letters:
            bits, *detail = _LETTERS[letter]
            can_id |= bits
            for position, value in enumerate(detail, 1):
                data[position] |= value
        self.last_ns = max(self.last_ns, host_ns)
        frames.append(Frame(can_id, bytes(data), error=True, direction="rx", time_ns=self.last_ns))


def state_frame(state: str, time_ns: int, counters: tuple[int, int] | None = None) -> Frame:
    """The error frame that Linux makes of a new state; ``counters`` are those of received and of sent frames."""
    if state == "bus-off":
        return Frame(_BUS_OFF, bytes(8), error=True, direction="rx", time_ns=time_ns)
    rx_errors, tx_errors = counters or (0, 0)
    received, sent = _STATE_BITS[state]
    bits = (received if rx_errors >= tx_errors else 0) | (sent if tx_errors >= rx_errors else 0)
    data = bytes([0, bits, 0, 0, 0, 0, min(tx_errors, 255), min(rx_errors, 255)])
    can_id = _CONTROLLER | (_COUNTERS if counters else 0)
    return Frame(can_id, data, error=True, direction="rx", time_ns=time_ns)


def encode(frame: Frame) -> bytes:
    """The line that sends it, with its CR. Raise ValueError for an error frame: no adapter sends one."""
    if frame.error:
        raise ValueError("SLCAN cannot send an error frame")
    kind = "r" if frame.remote else "b" if frame.brs else "d" if frame.fd else "t"
    head = f"{kind.upper()}{frame.can_id:08X}" if frame.extended else f"{kind}{frame.can_id:03X}"
    return f"{head}{frame.dlc:X}{frame.data.hex().upper()}\r".encode()
