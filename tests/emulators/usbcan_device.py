"""A USB-CAN Analyzer on the bus model, down to its bytes. It shares nothing with the driver's codec, on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from emulators.bus_model import BusModel

from opendiag.frame import Frame

RATES = (1_000_000, 800_000, 500_000, 400_000, 250_000, 200_000, 125_000, 100_000, 50_000, 20_000, 10_000, 5_000)
BAUDS = (2_000_000, 1_228_800, 115_200, 38_400, 19_200, 9_600)


@dataclass
class Stored:
    """What the adapter keeps without power."""

    baud: int = 2_000_000
    allow: frozenset[int] = frozenset()
    block: frozenset[int] = frozenset()
    transparent: bool = False
    #: (frame, period in seconds): sent as soon as there is power, with no host at all.
    autonomous: tuple[tuple[Frame, float], ...] = ()


class UsbCanDevice:
    """Every switch is an attribute and may be changed while it runs.

    ``blink_s``         one blink of the light; the adapter is deaf for as many as its baud rate has (0.7 in reality).
    ``blinking``        begin with the blinks of power-on.
    ``awake``           on the bus with 250 kbit/s before it was configured; so is one that sends by itself.
    ``settle_s``        deaf after a configuration.
    ``answers_status``  False: a clone that does not know the request.
    ``filler``          what remote frames carry towards the host.
    ``host_baud``       gives the baud rate of the host; if it is another one, both sides see garbage. None: no matter.
    ``mangle``          bytes towards the host pass through it: loss, insertion, damage.
    ``chunk``           bytes per write towards the host, 0: all at once; ``gap_s`` is the pause between two chunks.
    ``types_strict``    frame type 1 lets standard frames through only (sources do not agree), instead of both kinds.
    ``end_byte``        False: the end byte of variable frames is left out.
    ``status_flags``    bytes 5 to 8 of a status reply.
    ``counters``        (rx errors, tx errors) to report instead of those of the bus model.

    ``configured`` lists the 20-byte configurations that were taken, ``rejected`` counts messages that were not,
    ``sent_at`` lists when (monotonic, s) frames of the host came.
    """

    def __init__(self, bus: BusModel, **switches: object) -> None:
        self.transmit: Callable[[bytes], None] = lambda data: None
        self.stored = Stored()
        self.blink_s = 0.0
        self.blinking = False
        self.awake = False
        self.settle_s = 0.0
        self.answers_status = True
        self.filler = b"\x55\xaa\xc8\x55\xaa\xc1\x00\x55"
        self.host_baud: Callable[[], int] | None = None
        self.mangle: Callable[[bytes], bytes] | None = None
        self.chunk = 0
        self.gap_s = 0.0
        self.types_strict = False
        self.end_byte = True
        self.status_flags = b"\0\0\0\0"
        self.counters: tuple[int, int] | None = None
        for name, value in switches.items():
            if name not in vars(self):
                raise TypeError(f"the emulator has no switch {name}")
            setattr(self, name, value)
        self.configured: list[bytes] = []
        self.requests = 0
        self.rejected = 0
        self.sent_at: list[float] = []
        self._bus = bus
        self._output = threading.Lock()
        self._power = 0
        self.tap = bus.attach("analyzer", self._on_frame)
        self.power_on()

    # --- power, storage, buttons

    def power_on(self) -> None:
        """It remembers what is stored and nothing else; 250 kbit/s is what it leaves the factory with."""
        self._power += 1
        self._buffer = b""
        self.fixed = False
        self._extended_only = False
        self._filter = (0, 0)
        self.baud = self.stored.baud
        self._deaf_until = 0.0
        if self.blinking:
            self._blink()
        self.tap.bit_rate = 250_000
        self.tap.listen_only = self.tap.loopback = self.tap.one_shot = False
        if self.awake or self.stored.autonomous:
            self._bus.start(self.tap)
        if self.stored.autonomous:
            threading.Thread(target=self._autonomous, args=(self._power,), name="offline sender", daemon=True).start()

    def power_off(self) -> None:
        self._power += 1
        self._bus.stop(self.tap)

    def jumper(self) -> None:
        """DEFAULT shorted at power-on."""
        self.power_off()
        self.stored = Stored()
        self.power_on()

    def _autonomous(self, power: int) -> None:
        due = [(time.monotonic(), frame, period) for frame, period in self.stored.autonomous]
        while self._power == power:
            now = time.monotonic()
            due = [self._send_due(at, frame, period, now) for at, frame, period in due]
            time.sleep(0.005)

    def _send_due(self, at: float, frame: Frame, period: float, now: float) -> tuple[float, Frame, float]:
        if at <= now:
            self.tap.send(frame)
            at += period
        return at, frame, period

    def _blink(self) -> None:
        self._deaf_until = time.monotonic() + self.blink_s * (BAUDS.index(self.stored.baud) + 1)

    @property
    def deaf(self) -> bool:
        return time.monotonic() < self._deaf_until

    # --- from the host

    def receive(self, data: bytes) -> None:
        if self.deaf:
            return
        self.baud = self.stored.baud
        if self._other_baud():
            data = bytes((byte * 7 + 3) & 0x7F for byte in data[::2])
        if self.stored.transparent:
            self.tap.send(Frame(0x001, data[:8]))
            return
        self._buffer += data
        while self._buffer and not self.deaf:
            if self._buffer[0] != 0xAA:
                self._buffer = self._buffer[1:]
                continue
            size = self._size()
            if size is None:
                self._buffer = self._buffer[1:]
            elif len(self._buffer) < size or size < 0:
                return
            else:
                message, self._buffer = self._buffer[:size], self._buffer[size:]
                self._handle(message)
        if self.deaf:
            self._buffer = b""

    def _size(self) -> int | None:
        """-1: too short to tell; None: nothing begins like this. No time limit: what is missing is waited for."""
        buffer = self._buffer
        if len(buffer) < 2:
            return -1
        if buffer[1] == 0x55:
            if len(buffer) < 4:
                return -1
            return 5 + 4 * buffer[3] if buffer[2] in (0x10, 0x11) else 20
        if buffer[1] & 0xC0 != 0xC0 or buffer[1] & 0x0F > 8:
            return None
        return 3 + (4 if buffer[1] & 0x20 else 2) + (buffer[1] & 0x0F)

    def _handle(self, message: bytes) -> None:
        if message[1] != 0x55:
            self._variable(message)
        elif sum(message[2:-1]) & 0xFF != message[-1]:
            self.rejected += 1
        elif message[2] in (0x02, 0x03, 0x12, 0x13):
            self._configure(message)
        elif message[2] == 0x01 and self.fixed:
            width = message[9]
            self._send(
                int.from_bytes(message[5:9], "little"), message[10 : 10 + width], message[3] == 2, message[4] == 2
            )
        elif message[2] == 0x04:
            self._status()
        elif message[2] == 0x06 and message[3] < len(BAUDS):
            self.stored.baud = BAUDS[message[3]]
            self._blink()
        elif message[2] in (0x10, 0x11):
            numbers = [int.from_bytes(message[at : at + 4], "little") for at in range(4, len(message) - 1, 4)]
            self.stored.allow = frozenset(numbers if message[2] == 0x10 else ())
            self.stored.block = frozenset(numbers if message[2] == 0x11 else ())
            self._deaf_until = time.monotonic() + self.blink_s
        else:
            self.rejected += 1

    def _variable(self, message: bytes) -> None:
        if self.fixed or message[-1] != 0x55:
            self.rejected += 1
            return
        width = 4 if message[1] & 0x20 else 2
        number = int.from_bytes(message[2 : 2 + width], "little")
        self._send(number, message[2 + width : -1], bool(message[1] & 0x20), bool(message[1] & 0x10))

    def _send(self, number: int, data: bytes, extended: bool, remote: bool) -> None:
        self.sent_at.append(time.monotonic())
        number &= 0x1FFF_FFFF if extended else 0x7FF
        if remote:
            self.tap.send(Frame(number, b"", extended, True, dlc=len(data)))
        else:
            self.tap.send(Frame(number, data, extended))

    def _configure(self, message: bytes) -> None:
        manual = message[2] & 1
        if not manual and not 1 <= message[3] <= len(RATES):
            self.rejected += 1
            return
        self.configured.append(message)
        self._bus.stop(self.tap)
        self.fixed = message[2] < 0x10
        self._extended_only = message[4] == 2
        self._filter = (int.from_bytes(message[5:9], "little"), int.from_bytes(message[9:13], "little"))
        if manual:
            prescaler = int.from_bytes(message[16:18], "little")
            self.tap.bit_rate = round(36_000_000 / ((1 + message[14] + 1 + message[15] + 1) * prescaler))
            mode, once = 0, False
        else:
            self.tap.bit_rate = RATES[message[3] - 1]
            mode, once = message[13], message[14] == 1
        self.tap.loopback, self.tap.listen_only, self.tap.one_shot = bool(mode & 1), bool(mode & 2), once
        self._bus.start(self.tap)
        self._deaf_until = time.monotonic() + self.settle_s

    def _status(self) -> None:
        self.requests += 1
        if self.answers_status:
            self.send_status()

    def send_status(self) -> None:
        """Also without having been asked."""
        rx, tx = self.counters or (self.tap.rx_errors, self.tap.tx_errors)
        body = bytes((0x04, min(rx, 255), min(tx, 255))) + self.status_flags + bytes(10)
        self._output_bytes(b"\xaa\x55" + body + bytes((sum(body) & 0xFF,)))

    # --- to the host

    def _on_frame(self, frame: Frame) -> None:
        if not self._passes(frame):
            return
        self._output_bytes(self.encode(frame))

    def _passes(self, frame: Frame) -> bool:
        if self._extended_only and not frame.extended:
            return False
        if self.types_strict and not self._extended_only and frame.extended:
            return False
        number, mask = self._filter
        if (frame.can_id ^ number) & mask:
            return False
        if self.stored.allow:
            return frame.can_id in self.stored.allow
        return frame.can_id not in self.stored.block

    def encode(self, frame: Frame) -> bytes:
        data = self.filler[: frame.dlc] if frame.remote else frame.data
        if self.fixed:
            body = bytes((0x01, 2 if frame.extended else 1, 2 if frame.remote else 1))
            body += frame.can_id.to_bytes(4, "little") + bytes((frame.dlc,)) + (data + self.filler)[:8] + b"\0"
            return b"\xaa\x55" + body + bytes((sum(body) & 0xFF,))
        kind = 0xC0 + (0x20 if frame.extended else 0) + (0x10 if frame.remote else 0) + frame.dlc
        number = frame.can_id.to_bytes(4 if frame.extended else 2, "little")
        return bytes((0xAA, kind)) + number + data + (b"\x55" if self.end_byte else b"")

    def _output_bytes(self, data: bytes) -> None:
        if self.deaf:
            return
        if self._other_baud():
            data = bytes((byte * 5 + 1) & 0x7F for byte in data[::2])
        if self.mangle is not None:
            data = self.mangle(data)
        with self._output:
            if not self.chunk:
                self.transmit(data)
                return
            for start in range(0, len(data), self.chunk):
                self.transmit(data[start : start + self.chunk])
                if self.gap_s:
                    time.sleep(self.gap_s)

    def _other_baud(self) -> bool:
        return self.host_baud is not None and self.host_baud() != self.baud

    def garbage(self, data: bytes) -> None:
        """Bytes to the host that mean nothing, between two messages."""
        with self._output:
            self.transmit(data)
