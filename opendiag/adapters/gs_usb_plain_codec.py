"""The frame that nearly every transfer of a gs_usb adapter is, read in a fraction of the time.

Classic, from the bus, nothing odd about it, and alone in its transfer. Everything else is `FrameSplitter`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from opendiag.adapters.gs_usb_codec import FROM_BUS, Layout
from opendiag.frame import MAX_STANDARD_ID, Frame

_TIMED = struct.Struct("<IIBBBB8sI").unpack
_UNTIMED = struct.Struct("<IIBBBB8s").unpack
_EXTENDED = 1 << 31
#: Above it a CAN-ID has bits that say that it is an error or a remote frame.
_LAST_EXTENDED = 0x9FFF_FFFF
#: How long two clocks are taken to agree (at 100 ppm they are 10 us apart by then), and how far back a time may lie.
_GOOD_NS = 100_000_000
_KEEP_NS = 2 * _GOOD_NS


class _Blank:
    """A frame whose fields can be set one by one, before it becomes one."""

    __slots__ = Frame.__slots__

    can_id: int
    data: bytes
    extended: bool
    remote: bool
    error: bool
    fd: bool
    brs: bool
    esi: bool
    dlc: int
    channel: str | None
    direction: str | None
    time_ns: int | None


def _made(can_id: int, data: bytes, extended: bool, dlc: int, time_ns: int) -> Frame:
    """The frame's own constructor checks what is known here, and takes five times as long."""
    blank = _Blank()
    blank.can_id = can_id
    blank.data = data
    blank.extended = extended
    blank.remote = blank.error = blank.fd = blank.brs = blank.esi = False
    blank.dlc = dlc
    blank.channel = None
    blank.direction = "rx"
    blank.time_ns = time_ns
    blank.__class__ = Frame  # type: ignore[assignment]
    return blank  # type: ignore[return-value]


def _constructed(can_id: int, data: bytes, extended: bool, dlc: int, time_ns: int) -> Frame:
    return Frame(can_id, data, extended, direction="rx", time_ns=time_ns)


def _fastest() -> Callable[[int, bytes, bool, int, int], Frame]:
    """Not every Python need allow that an object becomes one of another class."""
    try:
        same = _made(1, b"\1", False, 1, 1) == _constructed(1, b"\1", False, 1, 1)
    except TypeError:
        same = False
    return _made if same else _constructed


_frame = _fastest()


class PlainFrames:
    """``stamp`` makes a time (ns) from a device's clock (us) and the time of the transfer.

    ``size`` (bytes) is that of the transfers to hand to `read`; 0 when channels that differ make that impossible.
    """

    def __init__(self, layouts: Sequence[Layout], stamp: Callable[[int, int], int]) -> None:
        timed = {layout.timestamps for layout in layouts}
        self.size = 0 if len(timed) != 1 else 24 if timed == {True} else 20
        self.read = self._read_timed if timed == {True} else self._read
        self._channels = len(layouts)
        self._stamp = stamp
        self._last_us = 0
        self._offset_ns = 0
        self._until_ns = 0

    def _read(self, data: bytes, now_ns: int) -> tuple[int, Frame] | None:
        """Channel and frame of a transfer of ``size`` bytes that arrived at ``now_ns``; None if it is not plain."""
        echo_id, can_id, dlc, channel, flags, _, payload = _UNTIMED(data)
        if echo_id != FROM_BUS or flags or dlc > 8 or channel >= self._channels:
            return None
        data = payload if dlc == 8 else payload[:dlc]
        if can_id <= MAX_STANDARD_ID:
            return channel, _frame(can_id, data, False, dlc, now_ns)
        if _EXTENDED <= can_id <= _LAST_EXTENDED:
            return channel, _frame(can_id - _EXTENDED, data, True, dlc, now_ns)
        return None

    def _read_timed(self, data: bytes, now_ns: int) -> tuple[int, Frame] | None:
        echo_id, can_id, dlc, channel, flags, _, payload, us = _TIMED(data)
        if echo_id != FROM_BUS or flags or dlc > 8 or channel >= self._channels:
            return None
        time_ns = us * 1000 + self._offset_ns
        # Also where they are equal: an adapter that has no clock after all says 0 each time.
        if us <= self._last_us or not self._until_ns - _KEEP_NS < time_ns <= now_ns < self._until_ns:
            time_ns = self._ask_clock(us, now_ns)
        self._last_us = us
        data = payload if dlc == 8 else payload[:dlc]
        if can_id <= MAX_STANDARD_ID:
            return channel, _frame(can_id, data, False, dlc, time_ns)
        if _EXTENDED <= can_id <= _LAST_EXTENDED:
            return channel, _frame(can_id - _EXTENDED, data, True, dlc, time_ns)
        return None

    def _ask_clock(self, us: int, now_ns: int) -> int:
        """Between two clocks that agreed just now a difference is enough."""
        time_ns = self._stamp(us, now_ns)
        self._offset_ns = time_ns - us * 1000
        self._until_ns = now_ns + _GOOD_NS
        return time_ns
