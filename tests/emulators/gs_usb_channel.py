"""One CAN channel of a gs_usb adapter: mailboxes, echoes, what it hears, and what it says of errors."""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from emulators import gs_usb_kinds as kinds
from emulators import gs_usb_wire as wire
from emulators.bus_model import BusModel
from emulators.gs_usb_kinds import Kind
from emulators.gs_usb_pipe import InPipe

from opendiag.frame import Frame


@dataclass
class Behaviour:
    """How the device misbehaves. May be changed while it runs.

    ``echo``            "queued" (written to a mailbox), "completed" (acknowledged on the bus), "missing", "twice",
                        "out of range" (an identifier nobody gave), "wrong channel" (one that does not exist)
    ``echo_zeroed``     an echo has no can_id, length and data
    ``echo_always``     even when the channel is stopped
    ``stalls``          without it unknown requests are answered with junk and wrong ones taken
    ``zero_first_byte`` of the next IN packet, after an OUT transfer of 20 or 76 bytes (4 modulo 8)
    ``buffer_by_echo``  the low byte of the echo_id chooses the transmit buffer; a busy one is not written,
                        one from 16 on loses the frame, one above 63 ends the firmware
    ``lifo``            the newest frame leaves first
    ``loses_rtr``       received remote frames look like data frames
    ``overflow_flag``   on the frame after those that found the buffer full
    ``drop_every``      each n-th received frame finds USB busy and vanishes without a trace; 0: none
    ``keeps_old``       start and stop leave what is in the buffer
    ``stale``           so many old frames come first after each start
    ``cut``             the next frames for the host end after so many bytes
    ``odd_errors``      old firmware's mixes of state change and bus error in one frame
    ``bus_off_after_s`` how long until it comes back by itself; None: never
    ``stuck_after``     so many frames without an acknowledge and the OUT endpoint takes nothing more
    """

    echo: str = "queued"
    echo_zeroed: bool = False
    echo_always: bool = False
    stalls: bool = True
    zero_first_byte: bool = False
    buffer_by_echo: bool = False
    lifo: bool = False
    loses_rtr: bool = False
    overflow_flag: bool = True
    drop_every: int = 0
    keeps_old: bool = False
    stale: int = 0
    cut: list[int] = field(default_factory=list)
    odd_errors: bool = False
    bus_off_after_s: float | None = 0.1
    stuck_after: int = 0


class Channel:
    """``timing`` and ``data_timing`` are prop_seg, phase_seg1, phase_seg2, sjw, brp as the host sent them.

    ``pending`` waits for a mailbox. All of it is used under the lock of the bus model.
    """

    def __init__(
        self,
        model: BusModel,
        name: str,
        number: int,
        kind: Kind,
        behaviour: Behaviour,
        pipe: InPipe,
        now_us: Callable[[], int],
        complain: Callable[[str], None],
    ) -> None:
        self.number = number
        self.timing: tuple[int, ...] | None = None
        self.data_timing: tuple[int, ...] | None = None
        self.started = False
        self.flags = 0
        self.termination = False
        self.identifying = False
        self.pending: deque[tuple[Frame | None, bytes]] = deque()
        self.unacknowledged = 0
        self.tap = model.attach(name, self._heard, self._error)
        self._model = model
        self._kind = kind
        self._behaviour = behaviour
        self._pipe = pipe
        self._now_us = now_us
        self._complain = complain
        self._in_mailboxes = 0
        self._busy: set[int] = set()
        self._overflow = False
        self._heard_so_far = 0
        self._run = 0

    # --- start and stop

    def start(self, flags: int, bit_rate: int, data_bit_rate: int | None) -> None:
        self.stop()
        tap = self.tap
        tap.bit_rate = bit_rate
        tap.data_bit_rate = data_bit_rate
        tap.listen_only = bool(flags & kinds.LISTEN_ONLY)
        tap.loopback = bool(flags & kinds.LOOP_BACK)
        tap.one_shot = bool(flags & kinds.ONE_SHOT)
        self.started, self.flags = True, flags
        for number in range(self._behaviour.stale):
            self.to_host(wire.pack_host_frame(Frame(0x700 + number % 0x100, b"stale"), self.number))
        self._model.start(tap)

    def stop(self) -> None:
        self._run += 1
        self.started, self.flags = False, 0
        self.pending.clear()
        self._model.stop(self.tap)
        self._in_mailboxes = 0
        self._busy.clear()

    def recover(self, run: int | None = None) -> None:
        """Back from bus-off, unless it was stopped since."""
        with self._model.lock:
            if self.started and self.tap.bus_off and run in (None, self._run):
                self._model.recover(self.tap)

    # --- from the host

    def transmit(self, frame: Frame | None, echo_id: int, data: bytes) -> bool:
        """``frame`` is None when the bus cannot carry it, ``data`` what the host sent. False: the firmware ended."""
        if self._behaviour.buffer_by_echo:
            return self._transmit_by_echo(frame, echo_id & 0xFF, data)
        if self.started:
            self.pending.append((frame, data))
            self._fill_mailboxes()
        elif self._behaviour.echo_always:
            self._echo(data)
        return True

    def _transmit_by_echo(self, frame: Frame | None, buffer: int, data: bytes) -> bool:
        if buffer > 63:
            self._complain(f"echo_id {buffer} stops the firmware")
            return False
        if self.started and (buffer in self._busy or buffer >= self._kind.mailboxes):
            self._complain(f"buffer {buffer} of channel {self.number} is busy or none: the frame is lost")
        elif self.started and frame is not None:
            self._busy.add(buffer)
            run = self._run

            def done(acknowledged: bool) -> None:
                if self._run == run:
                    self._busy.discard(buffer)
                    self._count(acknowledged)

            self.tap.send(frame, done)
        if self.started or self._behaviour.echo_always:
            self._echo(data)
        return True

    def _fill_mailboxes(self) -> None:
        while self.pending and self._in_mailboxes < self._kind.mailboxes:
            frame, data = self.pending.popleft()
            if frame is not None:
                self._in_mailboxes += 1
                if self._behaviour.echo != "completed":
                    self._echo(data)
                self._send(frame, data)
            elif self._behaviour.echo != "completed":
                self._echo(data)
        self._pipe.on_ready()  # the OUT endpoint may have room again

    def _send(self, frame: Frame, data: bytes) -> None:
        run = self._run

        def done(acknowledged: bool) -> None:
            if self._run != run:
                return
            self._in_mailboxes -= 1
            self._count(acknowledged)
            if acknowledged and self._behaviour.echo == "completed":
                self._echo(data)
            self._fill_mailboxes()

        self.tap.send(frame, done)

    def _count(self, acknowledged: bool) -> None:
        self.unacknowledged = 0 if acknowledged else self.unacknowledged + 1

    def _echo(self, data: bytes) -> None:
        behaviour = self._behaviour
        if behaviour.echo == "missing":
            return
        size = 76 if data[10] & wire.FD else 20
        echo = bytearray(data[:size].ljust(size, b"\0"))
        if behaviour.echo_zeroed:
            echo[4:9] = bytes(5)
            echo[12:] = bytes(size - 12)
        if behaviour.echo == "out of range":
            echo[0:4] = struct.pack("<I", 0x1234)
        if behaviour.echo == "wrong channel":
            echo[9] = self._kind.channels + 3
        for _ in range(2 if behaviour.echo == "twice" else 1):
            self.to_host(bytes(echo))

    # --- to the host

    def to_host(self, frame: bytes) -> None:
        """Adds what the mode of the channel adds."""
        if self.flags & kinds.HW_TIMESTAMP:
            frame += struct.pack("<I", self._now_us())
        if self.flags & kinds.PAD and not frame[10] & wire.FD:
            frame = frame.ljust(self._kind.packet, b"\0")
        if self._overflow:
            frame = frame[:10] + bytes([frame[10] | wire.OVERFLOW]) + frame[11:]
        fits = self._pipe.put(frame)
        self._overflow = not fits and self._behaviour.overflow_flag

    def _heard(self, frame: Frame) -> None:
        behaviour = self._behaviour
        self._heard_so_far += 1
        if behaviour.drop_every and self._heard_so_far % behaviour.drop_every == 0:
            self._pipe.dropped += 1
            return
        if frame.fd and not self.flags & kinds.FD:
            self._bus_error(wire.PROT | wire.BUSERROR, d2=0x02)
            return
        if behaviour.loses_rtr and frame.remote:
            frame = Frame(frame.can_id, bytes(min(frame.dlc, 8)), extended=frame.extended)
        self.to_host(wire.pack_host_frame(frame, self.number))

    # --- errors

    def error_frame(self, classes: int, d1: int = 0, d2: int = 0, tx: int = 0, rx: int = 0) -> None:
        data = bytes((0, d1, d2, 0, 0, 0, min(tx, 255), min(rx, 255)))
        self.to_host(wire.pack_host_frame(Frame(classes, data, error=True), self.number))

    def _error(self, kind: str) -> None:
        tap, told = self.tap, self._kind.errors
        if kind == "bus-off":
            self._come_back_later()
        if told == "none" or not self.started:
            return
        if kind == "ack":
            self._bus_error(wire.PROT | wire.BUSERROR | wire.ACK, d2=0)
        elif kind == "mismatch":
            self._bus_error(wire.PROT | wire.BUSERROR, d2=0x04)
        elif kind == "bus-off":
            self.error_frame(wire.BUSOFF | (wire.CNT if told == "state" else 0))
        elif kind == "active":
            classes = wire.RESTARTED | (wire.CRTL | wire.CNT if told == "state" else 0)
            self.error_frame(classes, 0x40 if told == "state" else 0)
        else:
            self.error_frame(wire.CRTL | wire.CNT, self._state_bits(kind), 0, tap.tx_errors, tap.rx_errors)

    def _state_bits(self, kind: str) -> int:
        transmitter, receiver, limit = (0x08, 0x04, 96) if kind == "warning" else (0x20, 0x10, 128)
        if self._kind.errors == "state":
            return transmitter | receiver
        return (transmitter if self.tap.tx_errors >= limit else 0) | (receiver if self.tap.rx_errors >= limit else 0)

    def _bus_error(self, classes: int, d2: int) -> None:
        told = self._kind.errors
        if self._behaviour.odd_errors:
            self.error_frame(0x4C, 0x30 if self.tap.state == "passive" else 0x0C, d2)
        elif told == "always" or (told == "on request" and self.flags & kinds.BERR):
            self.error_frame(classes, 0, d2)

    def _come_back_later(self) -> None:
        after = self._behaviour.bus_off_after_s
        if after is not None and not self.flags & kinds.BUS_OFF_RECOVERY:
            timer = threading.Timer(after, self.recover, (self._run,))
            timer.daemon = True
            timer.start()
