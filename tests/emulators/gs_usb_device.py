"""A gs_usb adapter from its USB side: control requests, an OUT and an IN endpoint; the other side is a bus model.

It shares no code with the driver. What a host does against the rules is noted in ``complaints``.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from dataclasses import fields, replace
from typing import Any

from emulators import gs_usb_kinds as kinds
from emulators import gs_usb_wire as wire
from emulators.bus_model import BusModel
from emulators.gs_usb_channel import Behaviour, Channel
from emulators.gs_usb_kinds import KINDS, Kind
from emulators.gs_usb_pipe import Gone, InPipe, Overflow

__all__ = ["Behaviour", "Gone", "GsUsbDevice", "Kind", "Overflow", "Stall"]

STATES = ("active", "warning", "passive", "bus-off")
COMMON_RATES = (10_000, 20_000, 33_333, 50_000, 62_500, 83_333, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000)

HABITS: dict[str, dict[str, Any]] = {
    "pro": {
        "echo_always": True,
        "stalls": False,
        "zero_first_byte": True,
        "buffer_by_echo": True,
        "lifo": True,
        "loses_rtr": True,
        "overflow_flag": False,
        "bus_off_after_s": None,
    },
    "candlelight": {"keeps_old": True},
    "cantact": {"keeps_old": True},
    "canable": {"keeps_old": True},
    "cannectivity": {"echo": "completed", "echo_zeroed": True},
}


class Stall(Exception):
    """The device refuses the request."""


class GsUsbDevice:
    """``switches`` are fields of `Kind` or of `Behaviour`; ``kind`` sets them to what is real.

    ``log`` has every vendor request as (bmRequestType, bRequest, wValue, wIndex, data), with wLength in place of the
    data for those that ask; ``outs`` the latest OUT transfers. ``timestamp_start``: microseconds on its counter when
    it is made.
    """

    def __init__(
        self, model: BusModel, kind: str = "candlelight", *, timestamp_start: int = 0, label: str = "", **switches: Any
    ) -> None:
        of_kind = {item.name for item in fields(Kind)}
        self.kind: Kind = replace(KINDS[kind], **{key: value for key, value in switches.items() if key in of_kind})
        rest = {key: value for key, value in switches.items() if key not in of_kind}
        self.behaviour = Behaviour(**{**HABITS.get(kind, {}), **rest})
        self.model = model
        self.log: list[tuple[int, int, int, int, bytes | int]] = []
        self.outs: deque[bytes] = deque(maxlen=256)
        self.complaints: list[str] = []
        self.dead = False
        self.damaged = False
        self.user_id = bytes(4)
        self.filters = bytes(80)
        self._zero_us = time.monotonic_ns() // 1000 - timestamp_start
        self.pipe = InPipe(self.kind.packet, self.kind.buffer * self.kind.channels, self.behaviour.lifo)
        self.pipe.cut = self.behaviour.cut
        shared = (self.kind, self.behaviour, self.pipe, self.now_us, self.complaints.append)
        self.channels = [
            Channel(model, f"{label or kind}:{number}", number, *shared) for number in range(self.kind.channels)
        ]

    def now_us(self) -> int:
        return (time.monotonic_ns() // 1000 - self._zero_us) & 0xFFFFFFFF

    # --- power

    def unplug(self) -> None:
        """It loses power, and whoever waits for it hears `Gone`."""
        self.pipe.unplug()
        self.power_cycle()

    def plug(self) -> None:
        self.power_cycle()
        self.pipe.plugged = True
        self.dead = False

    def power_cycle(self) -> None:
        with self.model.lock:
            self.usb_reset()
            for channel in self.channels:
                channel.timing = channel.data_timing = None
                channel.termination = channel.identifying = False
                channel.unacknowledged = 0

    def usb_reset(self) -> None:
        """The firmware enumerates again: all channels stop, the rest of its memory stays as it is."""
        with self.model.lock:
            for channel in self.channels:
                channel.stop()
            self.pipe.clear()

    # --- control requests

    def control(self, request_type: int, request: int, value: int, index: int, data: bytes | int) -> bytes:
        """``data`` is what the host sends, or how much it asks for. Raise Stall or Gone."""
        if not self.pipe.plugged:
            raise Gone
        if self.dead:
            raise Stall
        if request_type & 0x60 == 0x40:
            self.log.append((request_type, request, value, index, data))
            with self.model.lock:
                return self._vendor(request_type, request, value, index, data)
        if request_type & 0x80 and isinstance(data, int):
            return self._standard(request, value)[:data]
        return b""

    def _standard(self, request: int, value: int) -> bytes:
        if request == 6:
            found = self.kind.descriptor(value >> 8, value & 0xFF)
            if found is None:
                raise Stall
            return found
        return b"\x01" if request == 8 else bytes(2)

    def _vendor(self, request_type: int, request: int, value: int, index: int, data: bytes | int) -> bytes:
        try:
            if request_type not in (0x41, 0xC1) or index != 0:
                self._refuse(f"request {request} with bmRequestType {request_type:#x} and wIndex {index}")
            if isinstance(data, int):
                return self._answer(request, value, data)
            self._take(request, value, data)
            return b""
        except Stall:
            if self.behaviour.stalls:
                raise
            return bytes((request * 37 + n * 91) & 0xFF for n in range(data)) if isinstance(data, int) else b""

    def _refuse(self, complaint: str) -> None:
        self.complaints.append(complaint)
        raise Stall

    def _need(self, feature: int, request: int) -> None:
        if not self.kind.feature & feature:
            self._refuse(f"request {request} without the feature bit {feature:#x}")

    def _of(self, value: int, request: int) -> Channel:
        if value >= len(self.channels):
            self._refuse(f"request {request} for channel {value}")
        return self.channels[value]

    def _answer(self, request: int, value: int, length: int) -> bytes:
        kind = self.kind
        if request == wire.DEVICE_CONFIG:
            answer = struct.pack("<4B2I", 0, 0, 0, kind.channels - 1, kind.sw_version, kind.hw_version)
        elif request == wire.TIMESTAMP:
            self._need(kinds.HW_TIMESTAMP, request)
            answer = struct.pack("<I", self.now_us())
        elif request == wire.GET_USER_ID and kind.data_timing_request != request:
            self._need(kinds.USER_ID, request)
            answer = self.user_id
        elif request == wire.GET_FILTER:
            self._need(kinds.FILTER, request)
            answer = self.filters
        else:
            answer = self._answer_of_channel(request, self._of(value, request))
        if len(answer) != length:
            self.complaints.append(f"request {request} asks for {length} of {len(answer)} bytes")
        if length < len(answer):
            raise Stall
        return answer

    def _answer_of_channel(self, request: int, channel: Channel) -> bytes:
        kind = self.kind
        if request == wire.BT_CONST:
            return struct.pack("<10I", kind.feature, kind.clock, *kind.limits)
        if request == wire.BT_CONST_EXT:
            self._need(kinds.BT_CONST_EXT, request)
            return struct.pack("<18I", kind.feature, kind.clock, *kind.limits, *(kind.data_limits or kind.limits))
        if request == wire.GET_TERMINATION:
            self._need(kinds.TERMINATION, request)
            return struct.pack("<I", channel.termination)
        if request == wire.GET_STATE:
            self._need(kinds.GET_STATE, request)
            state = STATES.index(channel.tap.state) if channel.started else 4
            return struct.pack("<3I", state, channel.tap.rx_errors, channel.tap.tx_errors)
        if request == wire.GET_TDC_CONST:
            self._need(kinds.TDC, request)
            return struct.pack("<7I", 0, 127, 0, 127, 0, 127, 7)
        if request == kind.data_timing_request:
            # The CANtact Pro's firmware takes it for an OUT request, and its timing from a pointer that nobody set.
            channel.data_timing = None
            self.damaged = True
        self._refuse(f"request {request} is not one that answers")
        raise AssertionError

    def _take(self, request: int, value: int, data: bytes) -> None:
        sizes = {wire.HOST_FORMAT: 4, wire.BITTIMING: 20, wire.MODE: 8, wire.BERR: 4, wire.IDENTIFY: 4}
        sizes |= {wire.SET_USER_ID: 4, wire.SET_TERMINATION: 4, wire.SET_FILTER: 80, wire.SET_TDC: 16}
        sizes |= {wire.BUS_OFF_RECOVERY: 0, self.kind.data_timing_request: 20}
        if len(data) != sizes.get(request):
            self._refuse(f"request {request} with {len(data)} bytes")
        if request == wire.HOST_FORMAT:
            if data != b"\xef\xbe\x00\x00":
                self.complaints.append(f"host format {data.hex()}")
        elif request == wire.SET_USER_ID:
            self._need(kinds.USER_ID, request)
            self.user_id = data
        elif request == wire.SET_FILTER:
            self._need(kinds.FILTER, request)
            self.filters = data
        else:
            self._take_for_channel(self._of(value, request), request, data)

    def _take_for_channel(self, channel: Channel, request: int, data: bytes) -> None:
        kind = self.kind
        if request == wire.BITTIMING:
            channel.timing = self._timing(data, kind.limits, channel)
        elif request == kind.data_timing_request:
            self._need(kinds.FD, request)
            channel.data_timing = self._timing(data, kind.data_limits or kind.limits, channel)
        elif request == wire.MODE:
            self._mode(channel, *struct.unpack("<II", data))
        elif request == wire.IDENTIFY:
            self._need(kinds.IDENTIFY, request)
            channel.identifying = data[0] == 1
        elif request == wire.SET_TERMINATION:
            self._need(kinds.TERMINATION, request)
            channel.termination = data[0] == 1
        elif request == wire.SET_TDC:
            self._need(kinds.TDC, request)
        elif request == wire.BUS_OFF_RECOVERY:
            self._need(kinds.BUS_OFF_RECOVERY, request)
            channel.recover()

    def _timing(self, data: bytes, limits: tuple[int, ...], channel: Channel) -> tuple[int, ...]:
        prop, phase1, phase2, sjw, brp = timing = struct.unpack("<5I", data)
        tseg1_min, tseg1_max, tseg2_min, tseg2_max, sjw_max, brp_min, brp_max, brp_inc = limits
        good = (
            tseg1_min <= prop + phase1 <= tseg1_max
            and tseg2_min <= phase2 <= tseg2_max
            and 1 <= sjw <= sjw_max
            and brp_min <= brp <= brp_max
            and brp % brp_inc == 0
        )
        if not good:
            self._refuse(f"timing {timing} is out of limits")
        if channel.started:
            self._refuse(f"timing while channel {channel.number} is started")
        return timing

    def bit_rate(self, timing: tuple[int, ...]) -> int:
        """Rounded to the usual rate it is meant to be: a real bus bears 0.5 %, the bus model nothing."""
        prop, phase1, phase2, _, brp = timing
        exact = self.kind.clock / (brp * (1 + prop + phase1 + phase2))
        usual = min(COMMON_RATES, key=lambda rate: abs(rate - exact))
        return usual if abs(usual - exact) <= usual * 0.005 else round(exact)

    def _mode(self, channel: Channel, mode: int, flags: int) -> None:
        if mode != 1:
            channel.stop()
            return
        unknown = flags & ~(self.kind.feature & kinds.MODE_FLAGS)
        if unknown:
            self._refuse(f"start with the flags {unknown:#x}, which it does not have")
        data_timing = channel.data_timing if flags & kinds.FD else None
        if channel.timing is None or (flags & kinds.FD and data_timing is None):
            self._refuse(f"start of channel {channel.number} without bit timing")
            return
        if not self.behaviour.keeps_old and not any(other.started for other in self.channels):
            self.pipe.clear()
        channel.start(flags, self.bit_rate(channel.timing), data_timing and self.bit_rate(data_timing))

    # --- OUT endpoint

    def bulk_out(self, data: bytes) -> bool:
        """One transfer. False: the endpoint takes nothing now (NAK). Raise Gone."""
        with self.model.lock:
            if not self.takes_out():
                return False
            data = bytes(data)
            self.outs.append(data)
            if self.behaviour.zero_first_byte and len(data) % 8 == 4:
                self.pipe.zero_next = True
            if len(data) < 20 or len(data) > 77:
                self.complaints.append(f"OUT transfer of {len(data)} bytes")
                return True
            echo_id, can_id, dlc, number, flags, reserved = wire.HEADER.unpack_from(data)
            if number >= len(self.channels) or echo_id == wire.FROM_BUS or reserved:
                self.complaints.append(f"OUT frame for channel {number}, echo_id {echo_id:#x}, reserved {reserved:#x}")
                return True
            channel = self.channels[number]
            frame = self._frame(channel, can_id, dlc, flags, data)
            self.dead = not channel.transmit(frame, echo_id, data)
        return True

    def takes_out(self) -> bool:
        if not self.pipe.plugged:
            raise Gone
        limit = self.behaviour.stuck_after
        stuck = limit and any(channel.unacknowledged >= limit for channel in self.channels)
        waiting = sum(len(channel.pending) for channel in self.channels)
        return not (self.dead or stuck or waiting >= self.kind.pool * len(self.channels))

    def _frame(self, channel: Channel, can_id: int, dlc: int, flags: int, data: bytes) -> Any:
        try:
            if not channel.started:
                raise ValueError(f"channel {channel.number} is stopped")
            if flags & ~(wire.FD | wire.BRS | wire.ESI) or (flags and not channel.flags & kinds.FD):
                raise ValueError(f"flags {flags:#x} on a channel started with {channel.flags:#x}")
            return wire.unpack_out_frame(can_id, dlc, flags, data[12:])
        except ValueError as error:
            self.complaints.append(f"OUT frame that does not go: {error}")
            return None

    # --- IN endpoint

    def pop_in(self, max_len: int, timeout_s: float = 0.0, *, partial: bool = True) -> bytes | None:
        """See `InPipe.pop`."""
        return self.pipe.pop(max_len, timeout_s, partial=partial)

    def preload(self, transfers: list[bytes]) -> None:
        """These come next, as fast as the host takes them; the buffer's size does not matter."""
        self.pipe.inject(*transfers)

    def inject(self, *transfers: bytes) -> None:
        self.pipe.inject(*transfers)

    def error_frame(self, number: int, classes: int, d1: int = 0, d2: int = 0, tx: int = 0, rx: int = 0) -> None:
        """One with these class bits, whatever this firmware would say."""
        with self.model.lock:
            self.channels[number].error_frame(classes, d1, d2, tx, rx)

    @property
    def delivered(self) -> int:
        return self.pipe.delivered

    @property
    def dropped(self) -> int:
        return self.pipe.dropped
