"""An SLCAN adapter: text lines from the host go to the bus model, frames of the bus come back as text lines.

One class, with the firmware's habits as switches. Written from what the firmwares do; it knows nothing of our codec.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from emulators.bus_model import BusModel, Tap

from opendiag.frame import Frame

_FD_LENGTH = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64]
_BASE_RATES = [10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000]
_FRAME_LINE = re.compile(r"([trdb])([0-9A-Fa-f]{3})([0-9A-Fa-f])((?:[0-9A-Fa-f]{2})*)")
_LONG_FRAME_LINE = re.compile(r"([TRDB])([0-9A-Fa-f]{8})([0-9A-Fa-f])((?:[0-9A-Fa-f]{2})*)")


@dataclass
class Habits:
    """What a firmware does. ``s7`` and ``s9`` are bit rates; None: refused.

    ``confirm`` "z": a frame that was taken is answered with z or Z (with ``auto_poll`` on), "cr": with an empty line.
    ``tx_slots`` frames wait for the bus at most; one more is answered with BEL, or dropped by a mute firmware.
    ``listen`` is what makes it silent: the command "L", or "M1" or "m1" before "O".
    ``stamps``: the longest kind of time stamp, "" none, "Z1", "Z2" (see ``z2_tick_s``).
    ``repeats_last``: an empty line sends the last frame again, as CANable's firmware does.
    ``no_frame_replies``: commands are answered, frames are not. ``bus_off_bit``: bit 4 of F says it. ``long_remote``:
    remote frames with a DLC above 8 are taken. ``needs_rate``: O without S is refused. ``close_refused``: C of a closed
    channel is answered with BEL.
    """

    replies: bool = True
    version: bytes | None = b"V1013"
    serial_number: bytes | None = b"NA123"
    detail: bytes | None = None
    s7: int = 800_000
    s9: int | None = None
    s8_refused: bool = False
    data_rates: dict[str, int] | None = None
    listen: str = "L"
    confirm: str = "z"
    tx_slots: int = 8
    stamps: str = "Z1"
    z2_tick_s: float = 1e-6
    z2_period: int = 3_600_000_000
    status: str = "F"
    auto_poll: bool = True
    auto_poll_on: bool = False
    filters: bool = True
    retransmit: bool = False
    repeats_last: bool = False
    needs_rate: bool = True
    close_refused: bool = False
    bus_off_bit: bool = False
    no_frame_replies: bool = False
    long_remote: bool = False


_MUTE = Habits(
    replies=False,
    serial_number=None,
    s7=750_000,
    listen="M1",
    stamps="",
    status="",
    auto_poll=False,
    auto_poll_on=True,
    filters=False,
    retransmit=True,
    repeats_last=True,
    needs_rate=False,
)
HABITS: dict[str, Habits] = {
    "lawicel": Habits(),
    "usbtin": Habits(version=b"V0105", serial_number=b"N0512", tx_slots=3, auto_poll=False, auto_poll_on=True),
    "canable": replace(_MUTE, version=b"4c6e4ac github.com/normaldotcom/canable-fw.git"),
    "canable2": replace(
        _MUTE,
        version=b"16e7497-dirty github.com/normaldotcom/canable2.git",
        s9=83_333,
        data_rates={"2": 2_000_000, "5": 5_000_000},
        status="E",
    ),
    "cantact": replace(_MUTE, version=None, listen="m1", retransmit=False, repeats_last=False),
    "weact": Habits(
        version=b"V1014",
        detail=b"vhardware=USB2CANFDV1, software=b7c3e2a, url=github.com/Nakakiyo092/usb2canfdv1",
        data_rates={"0": 500_000, "1": 1_000_000, "2": 2_000_000, "4": 4_000_000, "5": 5_000_000, "8": 8_000_000},
        tx_slots=64,
        stamps="Z2",
        auto_poll=False,
        auto_poll_on=True,
        needs_rate=False,
        close_refused=True,
        bus_off_bit=True,
        long_remote=True,
    ),
    "weact-stock": Habits(
        version=b"WeAct Studio 2024.01.10 V1.0.0.0",
        serial_number=None,
        data_rates={"0": 500_000, "1": 1_000_000, "2": 2_000_000, "3": 3_000_000, "4": 4_000_000, "5": 5_000_000},
        listen="M1",
        confirm="cr",
        tx_slots=64,
        stamps="",
        status="E",
        auto_poll=False,
        auto_poll_on=True,
        filters=False,
        retransmit=True,
        needs_rate=False,
    ),
    "elmue": Habits(
        version=b"+Board: Multiboard\tMCU: STM32G431\tDevID: 1128\tFirmware: 2492419\tSlcan: 105\tClock: 160",
        serial_number=None,
        s9=83_333,
        data_rates={"0": 500_000, "1": 1_000_000, "2": 2_000_000, "4": 4_000_000, "5": 5_000_000, "8": 8_000_000},
        listen="M1",
        confirm="cr",
        tx_slots=64,
        stamps="",
        status="",
        auto_poll=False,
        auto_poll_on=True,
        filters=False,
        retransmit=True,
        needs_rate=False,
    ),
}


class SlcanDevice:
    """``dialect`` is a key of `HABITS`; ``habits`` change single ones of them.

    ``piece`` cuts what goes to the host into pieces of so many bytes, ``hold`` keeps it back until `flush`.
    ``lose_replies`` swallows so many of the next answers. ``seconds`` is the clock of time stamps.
    ``lines`` keeps what the host sent, ``dropped`` counts frames a mute firmware threw away.
    """

    def __init__(self, bus: BusModel, dialect: str = "lawicel", *, name: str = "slcan", **habits: Any) -> None:
        self.bus = bus
        self.habits = replace(HABITS[dialect], **habits)
        self.transmit: Callable[[bytes], None] = lambda data: None
        self.tap: Tap = bus.attach(name, self._heard, self._went_wrong)
        self.piece = 0
        self.hold = False
        self.lose_replies = 0
        self.seconds: Callable[[], float] = time.monotonic
        self.lines: list[bytes] = []
        self.dropped = 0
        self._held = b""
        self._output = threading.Lock()
        self.power_cycle()

    def power_cycle(self) -> None:
        """As it comes up after it was plugged in."""
        self.bus.stop(self.tap)
        self._input = b""
        self._last = ""
        self._rate: int | None = None if self.habits.needs_rate else 125_000
        self._data_rate: int | None = 2_000_000 if self.habits.data_rates else None
        self._silent = False
        self._stamps = ""
        self._pushing = self.habits.auto_poll_on
        self._fifo: list[bytes] = []
        self._flags = 0
        self._register = 0
        self._code, self._mask = 0, 0xFFFF_FFFF
        self.loopback = False

    # --- the host's side

    def receive(self, data: bytes) -> None:
        *lines, self._input = (self._input + data).split(b"\r")
        for line in lines:
            self.lines.append(line)
            with self.bus.lock:
                answer = self._command(line.decode("latin-1"))
            if answer is not None:
                self._reply(answer)

    def flush(self) -> None:
        """What was held back goes out at once."""
        with self._output:
            held, self._held = self._held, b""
            self.hold = False
        self.transmit(held)

    def raw(self, data: bytes) -> None:
        """Bytes to the host, whatever they are."""
        with self._output:
            if self.hold:
                self._held += data
            elif self.piece:
                for start in range(0, len(data), self.piece):
                    self.transmit(data[start : start + self.piece])
                    time.sleep(0.0005)
            else:
                self.transmit(data)

    def set_flags(self, flags: int) -> None:
        """What the next F tells, besides the state."""
        self._flags |= flags

    def set_register(self, register: int) -> None:
        """What E tells from now on."""
        self._register |= register

    def _reply(self, answer: bytes) -> None:
        if not self.habits.replies and answer in (b"\r", b"\a", b"z\r", b"Z\r"):
            return
        if self.lose_replies:
            self.lose_replies -= 1
            return
        self.raw(answer)

    def _command(self, line: str) -> bytes | None:
        if not line:
            return self._command(self._last) if self.habits.repeats_last and self._last else b"\r"
        if line[0] in "tTrRdDbB":
            return self._send(line)
        done = {
            "S": self._set_rate,
            "s": self._set_timing,
            "Y": self._set_data_rate,
            "O": self._open,
            "L": self._listen,
            "C": self._close,
            "V": lambda _: self._text(self.habits.version),
            "v": lambda _: self._text(self.habits.detail),
            "N": lambda _: self._text(self.habits.serial_number),
            "F": self._status,
            "E": self._error_register,
            "Z": self._set_stamps,
            "X": self._set_auto_poll,
            "P": self._poll,
            "A": self._retransmit_or_poll,
            "M": self._filter_or_mode,
            "m": self._filter_or_mode,
        }.get(line[0])
        return b"\a" if done is None else done(line)

    def _text(self, text: bytes | None) -> bytes:
        return b"\a" if text is None else text + b"\r"

    def _set_rate(self, line: str) -> bytes:
        rates = [*_BASE_RATES, self.habits.s7, None if self.habits.s8_refused else 1_000_000, self.habits.s9]
        index = int(line[1:]) if re.fullmatch(r"S\d", line) else 99
        rate = rates[index] if index < len(rates) else None
        if self.tap.up or rate is None:
            return b"\a"
        self._rate = rate
        return b"\r"

    def _set_timing(self, line: str) -> bytes:
        """BTR0 and BTR1 of an SJA1000 at 16 MHz."""
        if self.tap.up or not self.habits.replies or not re.fullmatch(r"s[0-9A-Fa-f]{4}", line):
            return b"\a"
        btr0, btr1 = bytes.fromhex(line[1:])
        quanta = 1 + (btr1 & 15) + 1 + (btr1 >> 4 & 7) + 1
        self._rate = 8_000_000 // ((btr0 & 63) + 1) // quanta
        return b"\r"

    def _set_data_rate(self, line: str) -> bytes:
        rate = (self.habits.data_rates or {}).get(line[1:])
        if self.tap.up or rate is None:
            return b"\a"
        self._data_rate = rate
        return b"\r"

    def _open(self, line: str) -> bytes:
        return self._start(self._silent) if line == "O" else b"\a"

    def _listen(self, line: str) -> bytes:
        return self._start(True) if line == "L" and self.habits.listen == "L" else b"\a"

    def _start(self, silent: bool) -> bytes:
        if self.tap.up or self._rate is None:
            return b"\a"
        self.tap.bit_rate, self.tap.data_bit_rate = self._rate, self._data_rate
        self.tap.listen_only, self.tap.loopback = silent, self.loopback
        self._flags = self._register = 0
        self.bus.start(self.tap)
        return b"\r"

    def _close(self, line: str) -> bytes:
        refused = line != "C" or (self.habits.close_refused and not self.tap.up)
        self.bus.stop(self.tap)
        return b"\a" if refused else b"\r"

    def _status(self, line: str) -> bytes:
        if self.habits.status != "F" or not self.tap.up:
            return b"\a"
        flags, self._flags = self._flags, 0
        if self.tap.bus_off and self.habits.bus_off_bit:
            flags |= 0x10
        flags |= {"warning": 0x04, "passive": 0x24, "bus-off": 0x24}.get(self.tap.state, 0)
        return b"F%02X\r" % flags

    def _error_register(self, line: str) -> bytes:
        return b"CANable Error Register: %X" % self._register if self.habits.status == "E" else b"\a"

    def _set_stamps(self, line: str) -> bytes:
        allowed = {"": "", "Z1": "01", "Z2": "012"}[self.habits.stamps]
        if self.tap.up or line[1:] not in allowed or not line[1:]:
            return b"\a"
        self._stamps = line
        return b"\r"

    def _set_auto_poll(self, line: str) -> bytes:
        if self.tap.up or not self.habits.auto_poll or line not in ("X0", "X1"):
            return b"\a"
        self._pushing = line == "X1"
        return b"\r"

    def _poll(self, line: str) -> bytes:
        if self._pushing or not self.tap.up:
            return b"\a"
        return self._fifo.pop(0) if self._fifo else b"\r"

    def _retransmit_or_poll(self, line: str) -> bytes:
        if line == "A" and not self._pushing and self.tap.up:
            polled, self._fifo = b"".join(self._fifo), []
            return polled + b"A\r"
        if not self.habits.retransmit or self.tap.up or line not in ("A0", "A1"):
            return b"\a"
        self.tap.one_shot = line == "A0"
        return b"\r"

    def _filter_or_mode(self, line: str) -> bytes:
        if self.tap.up:
            return b"\a"
        if self.habits.filters and re.fullmatch(r"[Mm][0-9A-Fa-f]{8}", line):
            setting = int(line[1:], 16)
            self._code, self._mask = (setting, self._mask) if line[0] == "M" else (self._code, setting)
            return b"\r"
        if line[1:] in ("0", "1") and line[0] == self.habits.listen[0]:
            self._silent = line[1] == "1"
            return b"\r"
        return b"\a"

    def _send(self, line: str) -> bytes | None:
        found = _FRAME_LINE.fullmatch(line) or _LONG_FRAME_LINE.fullmatch(line)
        frame = self._frame(found) if found else None
        if frame is None or not self.tap.up or self.tap.listen_only:
            return b"\a"
        if len(self.tap.waiting) >= self.habits.tx_slots or self.tap.bus_off:
            self.dropped += not self.habits.replies
            self._flags |= 0x02
            return b"\a"
        self._last = line
        self.tap.send(frame)
        if self.habits.no_frame_replies:
            return None
        if self.habits.confirm == "cr" or not self._pushing:
            return b"\r"
        return b"Z\r" if frame.extended else b"z\r"

    def _frame(self, found: re.Match[str]) -> Frame | None:
        kind, can_id, code, data = found[1], int(found[2], 16), int(found[3], 16), bytes.fromhex(found[4])
        fd = kind in "dDbB"
        if fd and not self.habits.data_rates:
            return None
        remote = kind in "rR"
        length = 0 if remote else _FD_LENGTH[code] if fd else min(code, 8)
        if length != len(data) or (code > 8 and not fd and not (remote and self.habits.long_remote)):
            return None
        try:
            return Frame(can_id, data, kind.isupper(), remote, fd=fd, brs=kind in "bB", dlc=code if remote else -1)
        except ValueError:
            return None

    # --- the bus's side

    def _heard(self, frame: Frame) -> None:
        if frame.fd and not self.habits.data_rates:
            self._flags |= 0x80
            return
        if self.habits.filters and not self._accepts(frame):
            return
        line = self._line(frame)
        if self._pushing:
            self.raw(line)
        elif len(self._fifo) < 32:
            self._fifo.append(line)
        else:
            self._flags |= 0x01

    def _accepts(self, frame: Frame) -> bool:
        """The SJA1000's single filter, on identifiers only."""
        seen = frame.can_id << 3 if frame.extended else frame.can_id << 21
        care = ~self._mask & (0xFFFF_FFF8 if frame.extended else 0xFFE0_0000)
        return (seen ^ self._code) & care == 0

    def _line(self, frame: Frame) -> bytes:
        kind = "r" if frame.remote else "b" if frame.brs else "d" if frame.fd else "t"
        head = f"{kind.upper()}{frame.can_id:08X}" if frame.extended else f"{kind}{frame.can_id:03X}"
        stamp = ""
        if self._stamps == "Z1":
            stamp = f"{int(self.seconds() * 1000) % 60000:04X}"
        elif self._stamps == "Z2":
            stamp = f"{int(self.seconds() / self.habits.z2_tick_s) % self.habits.z2_period:08X}"
        data = "" if frame.remote else frame.data.hex().upper()
        return f"{head}{frame.dlc:X}{data}{stamp}\r".encode()

    def _went_wrong(self, kind: str) -> None:
        if kind in ("ack", "mismatch"):
            self._flags |= 0x80
            self._register |= 0x04
