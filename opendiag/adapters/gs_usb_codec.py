"""The gs_usb protocol: requests, structures and frames as bytes.

candleLight, CANable, CANtact Pro and CANnectivity speak it; Linux has it in drivers/net/can/usb/gs_usb.c. All numbers
are little-endian. A frame in either direction, offsets in bytes:

    0 echo id   4 CAN-ID, bits 31 extended, 30 remote, 29 error   8 DLC   9 channel   10 flags   11 reserved
    12 data, 8 bytes, or 64 in CAN FD   20 or 76 the device's clock in microseconds, if it was asked for
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from opendiag.adapters.bit_timing import BitTiming, Limits
from opendiag.adapters.error_frame_codec import ErrorNews as ErrorNews
from opendiag.adapters.error_frame_codec import describe_error as describe_error
from opendiag.frame import FD_LENGTHS, MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame


class Request(IntEnum):
    """Vendor requests to the interface. wValue is the channel, or 1 in HOST_FORMAT and DEVICE_CONFIG."""

    HOST_FORMAT = 0
    BITTIMING = 1
    MODE = 2
    BERR = 3
    BT_CONST = 4
    DEVICE_CONFIG = 5
    TIMESTAMP = 6
    IDENTIFY = 7
    #: On a CANtact Pro 8 is DATA_BITTIMING, and reading it corrupts its memory.
    GET_USER_ID = 8
    SET_USER_ID = 9
    DATA_BITTIMING = 10
    BT_CONST_EXT = 11
    SET_TERMINATION = 12
    GET_TERMINATION = 13
    GET_STATE = 14
    SET_FILTER = 15
    GET_FILTER = 16
    GET_TDC_CONST = 17
    SET_TDC = 18
    GET_TDC = 19
    BUS_OFF_RECOVERY = 32


class Feature(IntFlag):
    """What a channel can do; those of `MODE_FLAGS` are asked for when it starts."""

    LISTEN_ONLY = 1 << 0
    LOOP_BACK = 1 << 1
    TRIPLE_SAMPLE = 1 << 2
    ONE_SHOT = 1 << 3
    HW_TIMESTAMP = 1 << 4
    IDENTIFY = 1 << 5
    USER_ID = 1 << 6
    PAD_PKTS_TO_MAX_PKT_SIZE = 1 << 7
    FD = 1 << 8
    REQ_USB_QUIRK_LPC546XX = 1 << 9
    BT_CONST_EXT = 1 << 10
    TERMINATION = 1 << 11
    BERR_REPORTING = 1 << 12
    GET_STATE = 1 << 13
    ELM = 1 << 14
    PRIVATE = 1 << 15
    FILTER = 1 << 16
    TDC = 1 << 17
    BUS_OFF_RECOVERY = 1 << 18


MODE_FLAGS = (
    Feature.LISTEN_ONLY
    | Feature.LOOP_BACK
    | Feature.TRIPLE_SAMPLE
    | Feature.ONE_SHOT
    | Feature.HW_TIMESTAMP
    | Feature.PAD_PKTS_TO_MAX_PKT_SIZE
    | Feature.FD
    | Feature.BERR_REPORTING
    | Feature.TDC
    | Feature.BUS_OFF_RECOVERY
)
_KNOWN_FEATURES = (1 << 19) - 1

#: What HOST_FORMAT carries: the host is little-endian.
HOST_FORMAT = (0xBEEF).to_bytes(4, "little")
#: What IDENTIFY and SET_TERMINATION carry.
ON, OFF = (1).to_bytes(4, "little"), (0).to_bytes(4, "little")

_STATES = ("error-active", "error-warning", "error-passive", "bus-off", "stopped", "sleeping")


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """How many channels a device has, and its versions."""

    channels: int
    sw_version: int
    hw_version: int

    @classmethod
    def unpack(cls, data: bytes) -> DeviceConfig:
        """From 12 bytes. Raise ValueError for any other number."""
        last_channel, sw_version, hw_version = _unpack("<3xBII", data, "a device configuration")
        return cls(last_channel + 1, sw_version, hw_version)


@dataclass(frozen=True, slots=True)
class BtConst:
    """What a channel can do; ``data_limits`` are those of CAN FD's data phase, None without CAN FD."""

    feature: Feature
    limits: Limits
    data_limits: Limits | None


def unpack_bt_const(data: bytes) -> BtConst:
    """From the answer to BT_CONST (40 bytes) or BT_CONST_EXT (72 bytes). Bits that nobody knows are left out.

    A device with CAN FD and the short answer has the same limits in both phases. Raise ValueError for any other
    length, and for limits that no controller has.
    """
    long = len(data) == 72
    numbers = _unpack("<18I" if long else "<10I", data, "bit timing constants")
    feature = Feature(numbers[0] & _KNOWN_FEATURES)
    clock_hz = numbers[1]
    limits = Limits(clock_hz, *numbers[2:10])
    if not feature & Feature.FD:
        return BtConst(feature, limits, None)
    return BtConst(feature, limits, Limits(clock_hz, *numbers[10:18]) if long else limits)


def pack_bit_timing(timing: BitTiming) -> bytes:
    """For BITTIMING and DATA_BITTIMING."""
    return struct.pack("<5I", timing.prop_seg, timing.phase_seg1, timing.phase_seg2, timing.sjw, timing.brp)


def pack_mode(start: bool, flags: Feature = Feature(0)) -> bytes:  # noqa: B008 - immutable
    """For MODE. Bits outside `MODE_FLAGS` are left out."""
    return struct.pack("<II", start, flags & MODE_FLAGS if start else 0)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """``state`` is a bus state, or "stopped" or "sleeping"."""

    state: str
    rx_errors: int
    tx_errors: int


def unpack_state(data: bytes) -> ChannelState:
    """From 12 bytes. Raise ValueError for any other number, and for a state that does not exist."""
    state, rx_errors, tx_errors = _unpack("<III", data, "a channel's state")
    if state >= len(_STATES):
        raise ValueError(f"a channel's state is 0..{len(_STATES) - 1}, the adapter says {state}")
    return ChannelState(_STATES[state], rx_errors, tx_errors)


def _unpack(layout: str, data: bytes, what: str) -> tuple[int, ...]:
    size = struct.calcsize(layout)
    if len(data) != size:
        raise ValueError(f"{what} of {len(data)} bytes, expected {size}")
    return struct.unpack(layout, data)


# --- frames ---------------------------------------------------------------------------------------------------------

_EXTENDED = 1 << 31
_REMOTE = 1 << 30
_ERROR = 1 << 29

_OVERFLOW, _FD, _BRS, _ESI = 1, 2, 4, 8

#: The echo id of a frame that came from the bus.
FROM_BUS = 0xFFFF_FFFF
#: The lowest that is taken for it. A CANtact Pro that was sent 20 or 76 bytes zeroes the first byte of what it sends
#: next (NXP erratum USB.15).
_FROM_BUS_DAMAGED = 0xFFFF_FF00

_HEADER = struct.Struct("<IIBBBB")
_SHORT = struct.Struct("<IIBBBB8s")
_SHORT_TIMED = struct.Struct("<IIBBBB8sI")
_TIMESTAMP = struct.Struct("<I")
_TO_DEVICE = {
    (False, False): _SHORT,
    (False, True): struct.Struct("<IIBBBB9s"),
    (True, False): struct.Struct("<IIBBBB64s"),
    (True, True): struct.Struct("<IIBBBB65s"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a channel was started: its device's clock in frames, CAN FD, and one byte more towards the device.

    ``pad_lpc`` keeps clear of the erratum of the CANtact Pro's controller.
    """

    timestamps: bool = False
    fd: bool = False
    pad_lpc: bool = False


def pack_frame(frame: Frame, echo_id: int, channel: int, layout: Layout) -> bytes:
    """A frame to send. A channel with CAN FD takes classic frames in the long form, too.

    Raise ValueError for an error frame, and for CAN FD on a channel without it.
    """
    can_id = frame.can_id
    flags = 0  # always, in classic frames: old candleLight firmware sends the byte back as it came
    if frame.extended:
        can_id |= _EXTENDED
    if frame.remote:
        can_id |= _REMOTE
    elif frame.fd:
        if not layout.fd:
            raise ValueError("a CAN FD frame needs a channel that was opened with fd")
        flags = _FD | (_BRS if frame.brs else 0) | (_ESI if frame.esi else 0)
    elif frame.error:
        raise ValueError("error frames cannot be sent")
    if not 0 <= echo_id < _FROM_BUS_DAMAGED:
        raise ValueError(f"echo id {echo_id:#x} is outside 0..{_FROM_BUS_DAMAGED - 1:#x}")
    return _TO_DEVICE[layout.fd, layout.pad_lpc].pack(echo_id, can_id, frame.dlc, channel, flags, 0, frame.data)


class HostFrame(NamedTuple):
    """A frame from a device.

    ``echo_id`` is that of a frame that was sent, None in a frame from the bus. What else an echo carries differs from
    device to device, and may be nothing at all: who sent the frame knows better. ``timestamp_us`` wraps at 2^32.
    ``overflow``: the device lost frames before this one.
    """

    channel: int
    echo_id: int | None
    frame: Frame
    timestamp_us: int | None
    overflow: bool


class FrameSplitter:
    """What a device sends, one transfer after the other.

    ``max_packet`` is the largest packet (bytes) of the endpoint: to it frames are filled up, on demand, and then more
    of them may be in a transfer. ``stamp`` makes a time (ns) from a device's clock (us) and the time of the transfer.

    Counted is what is left out: ``short`` transfers that end within a frame, ``malformed`` frames, and those of an
    ``unknown_channel``. ``repaired_echo_ids`` counts frames whose damaged echo id was read as "from the bus".
    """

    def __init__(
        self, layouts: Sequence[Layout], max_packet: int, stamp: Callable[[int, int], int] | None = None
    ) -> None:
        self.short = 0
        self.malformed = 0
        self.unknown_channel = 0
        self.repaired_echo_ids = 0
        self._max_packet = max(1, max_packet)
        self._stamp = stamp
        self._timed = [layout.timestamps for layout in layouts]
        self._channels = len(layouts)
        # Nearly every transfer is one classic frame; with mixed channels none is taken for that.
        self._usual = -1 if len(set(self._timed)) != 1 else 24 if self._timed[0] else 20

    def split(self, data: bytes, now_ns: int | None = None) -> list[HostFrame]:
        """The frames of one transfer that arrived at ``now_ns``, which is their time if the device gives none.

        Any bytes will do; nothing is raised.
        """
        if len(data) == self._usual:
            us: int | None
            if self._usual == 20:
                echo_id, can_id, dlc, channel, flags, _, payload = _SHORT.unpack(data)
                us = None
            else:
                echo_id, can_id, dlc, channel, flags, _, payload, us = _SHORT_TIMED.unpack(data)
            extended = _EXTENDED <= can_id <= _EXTENDED + MAX_EXTENDED_ID
            if (extended or can_id <= MAX_STANDARD_ID) and not flags and dlc <= 8 and channel < self._channels:
                own = None if echo_id == FROM_BUS else echo_id
                if own is None or own < _FROM_BUS_DAMAGED:
                    time_ns = now_ns if us is None else self._time_ns(us, now_ns)
                    direction = "rx" if own is None else "tx"
                    can_id &= MAX_EXTENDED_ID
                    frame = Frame(can_id, payload[:dlc], extended, direction=direction, time_ns=time_ns)
                    return [HostFrame(channel, own, frame, us, False)]
        return self._split(bytes(data), now_ns)

    def _split(self, data: bytes, now_ns: int | None) -> list[HostFrame]:
        found: list[HostFrame] = []
        at = 0
        while at < len(data):
            if len(data) - at < _HEADER.size:
                self.short += 1
                break
            size, host_frame = self._read(data, at, now_ns)
            if host_frame is not None:
                found.append(host_frame)
            at = self._next(data, at, size)
        return found

    def _read(self, data: bytes, at: int, now_ns: int | None) -> tuple[int, HostFrame | None]:
        """What begins at ``at``, where a header fits: how long it is, and the frame if it is one."""
        echo_id, can_id, dlc, channel, flags, _ = _HEADER.unpack_from(data, at)
        end = at + (76 if flags & _FD else 20)
        if channel >= self._channels:
            self.unknown_channel += 1
            return end - at + (4 if self._usual == 24 else 0), None
        us: int | None = None
        size = end - at
        if self._timed[channel]:
            size += 4
            # A device that leaves the clock out is believed all the same.
            us = _TIMESTAMP.unpack_from(data, end)[0] if end + 4 <= len(data) else None
        own: int | None = echo_id
        if echo_id >= _FROM_BUS_DAMAGED:
            own = None
            self.repaired_echo_ids += echo_id != FROM_BUS
        if self._complete(data[at + 12 : end], can_id, dlc, flags, own):
            time_ns = self._time_ns(us, now_ns)
            frame = _frame(data[at + 12 : end], can_id, dlc, flags, "rx" if own is None else "tx", time_ns)
        elif own is None:
            return size, None
        else:
            # The echo is what counts: it says that there is room for another frame.
            frame = Frame(0, direction="tx", time_ns=now_ns)
        return size, HostFrame(channel, own, frame, us, bool(flags & _OVERFLOW))

    def _complete(self, payload: bytes, can_id: int, dlc: int, flags: int, own: int | None) -> bool:
        """Whether this is a frame; what is none is counted, unless it is an echo."""
        bits = can_id & MAX_EXTENDED_ID
        impossible = (
            dlc > 15
            or (bits > MAX_STANDARD_ID and not can_id & (_EXTENDED | _ERROR))
            or (flags & _FD and can_id & (_REMOTE | _ERROR) == _REMOTE)
        )
        if impossible:
            self.malformed += own is None
            return False
        if len(payload) < _length(can_id, dlc, flags):
            self.short += own is None
            return False
        return True

    def _next(self, data: bytes, at: int, size: int) -> int:
        """Where the frame after the one at ``at`` begins, or the end of ``data``."""
        end = len(data)
        after = at + size
        if after >= end or not data[after:].strip(b"\0"):
            return end
        packets = -(-size // self._max_packet)
        boundary = at + packets * self._max_packet
        if boundary <= end and not data[after:boundary].strip(b"\0"):
            return boundary
        if self._plausible(data, after):
            return after
        if boundary <= end:
            return boundary  # filled up with what was in the device's memory
        self.malformed += 1
        return end

    def _plausible(self, data: bytes, at: int) -> bool:
        if len(data) - at < _SHORT.size:
            return False
        echo_id, _, dlc, channel, flags, reserved = _HEADER.unpack_from(data, at)
        known_id = echo_id >= _FROM_BUS_DAMAGED or echo_id < 0x100
        return known_id and dlc <= 15 and channel < self._channels and flags <= 15 and not reserved

    def _time_ns(self, us: int | None, now_ns: int | None) -> int | None:
        if us is None or now_ns is None or self._stamp is None:
            return now_ns
        return self._stamp(us, now_ns)


def _length(can_id: int, dlc: int, flags: int) -> int:
    if can_id & _ERROR:
        return min(dlc, 8)
    if can_id & _REMOTE:
        return 0
    return FD_LENGTHS[dlc] if flags & _FD else min(dlc, 8)


def _frame(payload: bytes, can_id: int, dlc: int, flags: int, direction: str, time_ns: int | None) -> Frame:
    error = bool(can_id & _ERROR)
    fd = bool(flags & _FD) and not error
    return Frame(
        can_id & MAX_EXTENDED_ID,
        payload[: _length(can_id, dlc, flags)],
        extended=bool(can_id & _EXTENDED) and not error,
        remote=bool(can_id & _REMOTE) and not error,
        error=error,
        fd=fd,
        brs=fd and bool(flags & _BRS),
        esi=fd and bool(flags & _ESI),
        dlc=-1 if error else dlc,
        direction=direction,
        time_ns=time_ns,
    )
