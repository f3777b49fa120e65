"""The serial protocol of the USB-CAN Analyzer (Seeed 114991193, Waveshare USB-CAN-A and their like).

    AA C8 23 01 11 22 33 44 55 66 77 88 55      variable: kind, identifier, data, 55; 5 to 15 bytes, no checksum
    AA 55 01 01 01 23 01 00 00 08 ... 00 93     fixed: 20 bytes with a checksum
    AA 55 04 <rx errors> <tx errors> ... sum    status, also among variable frames

The kind of a variable frame is C0 + 20 if extended + 10 if remote + the number of data bytes. Numbers are
little-endian. A remote frame carries as many bytes without a meaning as it asks for, in both directions. Data may hold
55 and AA: the length comes from the kind alone, and 55 at the end only confirms it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from opendiag.frame import MAX_EXTENDED_ID, Frame

#: bit/s -> the code of it, as the adapter has them.
BIT_RATES = {
    1_000_000: 0x01,
    800_000: 0x02,
    500_000: 0x03,
    400_000: 0x04,
    250_000: 0x05,
    200_000: 0x06,
    125_000: 0x07,
    100_000: 0x08,
    50_000: 0x09,
    20_000: 0x0A,
    10_000: 0x0B,
    5_000: 0x0C,
}
#: Of the serial line, in baud; the place is the code. The adapter keeps the one that was set.
BAUD_RATES = (2_000_000, 1_228_800, 115_200, 38_400, 19_200, 9_600)
CLOCK_HZ = 36_000_000
MAX_FILTER_IDS = 100

START, END, MESSAGE = 0xAA, 0x55, 0x55
MESSAGE_SIZE = 20
CAN_FRAME, STATUS, _BAUD, _ALLOW, _BLOCK = 0x01, 0x04, 0x06, 0x10, 0x11
EXTENDED, REMOTE = 0x20, 0x10
FIXED = struct.Struct("<BBIB8sB")  # from byte 3: extended, remote, identifier, dlc, data, 0


def checksum(message: bytes) -> int:
    """Of a 20-byte message, with or without its last byte: the sum of bytes 2 to 18."""
    return sum(message[2:19]) & 0xFF


def _message(code: int, content: bytes = b"") -> bytes:
    body = bytes((START, MESSAGE, code)) + content.ljust(MESSAGE_SIZE - 4, b"\0")
    return body + bytes((checksum(body),))


STATUS_REQUEST = _message(STATUS)
#: An empty block list: nothing is kept back any more.
CLEAR_FILTER = bytes((START, MESSAGE, _BLOCK, 0, _BLOCK))


@dataclass(frozen=True, slots=True)
class ManualTiming:
    """In time quanta of ``prescaler`` / 36 MHz: both segments around the sample point, and the jump width.

    Two independent descriptions agree on how it is sent; nobody is known to have tried it on hardware.
    """

    bs1: int
    bs2: int
    prescaler: int
    sjw: int = 1

    def __post_init__(self) -> None:
        limits = (
            ("bs1", self.bs1, 16),
            ("bs2", self.bs2, 8),
            ("prescaler", self.prescaler, 1024),
            ("sjw", self.sjw, 4),
        )
        for name, value, limit in limits:
            if not 1 <= value <= limit:
                raise ValueError(f"{name} {value} is outside 1..{limit}")

    @property
    def bit_rate(self) -> float:
        return CLOCK_HZ / ((1 + self.bs1 + self.bs2) * self.prescaler)


def parse_timing(text: str) -> ManualTiming:
    """Text like "13,4,10" or "13,4,10,1": bs1, bs2, prescaler, sjw. Raise ValueError."""
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"timing {text!r} is not bs1,bs2,prescaler or bs1,bs2,prescaler,sjw")
    return ManualTiming(*map(int, parts))


@dataclass(frozen=True, slots=True)
class Settings:
    """How the adapter takes part in the bus. Raises ValueError for what it cannot do.

    A bit of ``filter_mask`` that is 1 must be in an identifier as in ``filter_id``. ``timing`` replaces ``bit_rate``,
    and leaves no room for ``loopback``, ``silent`` and ``one_shot``.
    """

    bit_rate: int = 500_000
    fixed: bool = False
    extended_only: bool = False
    filter_id: int = 0
    filter_mask: int = 0
    loopback: bool = False
    silent: bool = False
    one_shot: bool = False
    timing: ManualTiming | None = None

    def __post_init__(self) -> None:
        for name, value in (("filter_id", self.filter_id), ("filter_mask", self.filter_mask)):
            if not 0 <= value <= MAX_EXTENDED_ID:
                raise ValueError(f"{name} {value:#x} is outside 0..{MAX_EXTENDED_ID:#x}")
        if self.timing and (self.loopback or self.silent or self.one_shot):
            raise ValueError(
                "the adapter takes either a manual timing, or loop-back, listen-only and one-shot: "
                "both use the same bytes of its configuration"
            )
        if not self.timing and self.bit_rate not in BIT_RATES:
            rates = ", ".join(str(rate) for rate in sorted(BIT_RATES))
            raise ValueError(f"the adapter has no bit rate of {self.bit_rate} bit/s; it has {rates}")

    @property
    def actual_bit_rate(self) -> float:
        return self.timing.bit_rate if self.timing else self.bit_rate


def pack_settings(settings: Settings) -> bytes:
    """The adapter answers nothing to it."""
    timing = settings.timing
    code = (0x02 if settings.fixed else 0x12) | (0x01 if timing else 0)
    content = struct.pack(
        "<BBII",
        0 if timing else BIT_RATES[settings.bit_rate],
        2 if settings.extended_only else 1,
        settings.filter_id,
        settings.filter_mask,
    )
    if timing:
        content += struct.pack("<BBBH", timing.sjw - 1, timing.bs1 - 1, timing.bs2 - 1, timing.prescaler)
    else:
        content += bytes((settings.loopback | settings.silent << 1, settings.one_shot))
    return _message(code, content)


def pack_baud(baud: int) -> bytes:
    """The adapter keeps it, over power-off too, and is deaf for `blink_s` after it. Raise ValueError."""
    if baud not in BAUD_RATES:
        raise ValueError(f"the adapter has no {baud} baud; it has {', '.join(map(str, BAUD_RATES))}")
    return _message(_BAUD, bytes((BAUD_RATES.index(baud),)))


def pack_stored_filter(identifiers: list[int], *, block: bool = False) -> bytes:
    """Only these are received from now on, or all but these; kept over power-off. Raise ValueError."""
    if not 0 < len(identifiers) <= MAX_FILTER_IDS:
        raise ValueError(f"{len(identifiers)} identifiers in a stored filter; 1 to {MAX_FILTER_IDS} fit")
    body = struct.pack(f"<BB{len(identifiers)}I", _BLOCK if block else _ALLOW, len(identifiers), *identifiers)
    return bytes((START, MESSAGE)) + body + bytes((sum(body) & 0xFF,))


def blink_s(baud: int) -> float:
    """How long the adapter hears nothing after power-on: 0.7 s for each time its light blinks."""
    return 0.7 * (BAUD_RATES.index(baud) + 1 if baud in BAUD_RATES else len(BAUD_RATES))


def pack_frame(frame: Frame, *, fixed: bool = False) -> bytes:
    """Raise ValueError for what the adapter cannot carry."""
    if frame.error or frame.fd or frame.dlc > 8:
        what = "error frame" if frame.error else "CAN FD frame" if frame.fd else f"frame with a DLC of {frame.dlc}"
        raise ValueError(f"a USB-CAN Analyzer sends no {what}")
    dlc = frame.dlc
    content = bytes(dlc) if frame.remote else frame.data
    if fixed:
        kinds = (1 + frame.extended, 1 + frame.remote)
        return _message(CAN_FRAME, FIXED.pack(*kinds, frame.can_id, dlc, content, 0))
    kind = 0xC0 | frame.extended << 5 | frame.remote << 4 | dlc
    identifier = frame.can_id.to_bytes(4 if frame.extended else 2, "little")
    return b"".join((bytes((START, kind)), identifier, content, b"\x55"))


def frame_bits(frame: Frame) -> int:
    """On the bus, with as many stuff bits as there can be and the gap after it."""
    bits = 0 if frame.remote else 8 * len(frame.data)
    if frame.extended:
        return 64 + bits + (54 + bits - 1) // 4 + 3
    return 44 + bits + (34 + bits - 1) // 4 + 3


@dataclass(frozen=True, slots=True)
class Status:
    """The error counters of the adapter's CAN controller; what the four ``flags`` mean is not known."""

    rx_errors: int
    tx_errors: int
    flags: bytes

    @property
    def bus_state(self) -> str:
        """As the counters have it. They do not tell bus-off from error-passive."""
        worst = max(self.rx_errors, self.tx_errors)
        return "error-passive" if worst >= 128 else "error-warning" if worst >= 96 else "error-active"
