"""A bus under full load: frames into an adapter's buffer in real time, whether or not the host keeps up."""

from __future__ import annotations

import struct
import threading
import time

from emulators import gs_usb_kinds as kinds
from emulators import gs_usb_wire as wire
from emulators.gs_usb_device import GsUsbDevice

#: Frames of 8 bytes that 1 Mbit/s carries in a second.
FULL_LOAD = 8500
_SLICE_S = 0.001


def numbered(device: GsUsbDevice, channel: int, count: int, rate: int = FULL_LOAD, can_id: int = 0x181) -> list[bytes]:
    """What the started channel hears from now on: frames whose data counts from 0, one transfer each."""
    head = wire.HEADER.pack(wire.FROM_BUS, can_id + channel, 8, channel, 0, 0)
    if not device.channels[channel].flags & kinds.HW_TIMESTAMP:
        return [head + struct.pack("<Q", number) for number in range(count)]
    pack = struct.Struct("<QI").pack
    now, step = device.now_us(), 1e6 / rate
    return [head + pack(number, int(now + number * step) & 0xFFFFFFFF) for number in range(count)]


class FullLoad:
    """Every started channel hears ``rate`` frames per second for ``seconds``; the data counts them, from 0 up.

    ``offered`` is what the bus had, ``dropped`` what found the buffer full, ``late_s`` how far the generator fell
    behind at worst. `delivered` is what the host took. The numbers of those that were dropped are in ``missing``, as
    (channel, number).
    """

    def __init__(self, device: GsUsbDevice, seconds: float, rate: int = FULL_LOAD, can_id: int = 0x181) -> None:
        self.device = device
        self.offered = self.dropped = 0
        self.late_s = 0.0
        self.missing: set[tuple[int, int]] = set()
        self._rate = rate
        self._before = device.delivered
        self._frames = [numbered(device, channel, int(seconds * rate), rate, can_id) for channel in self._started()]
        self._thread = threading.Thread(target=self._run, name="full load", daemon=True)

    @property
    def delivered(self) -> int:
        return self.device.delivered - self._before

    def start(self) -> None:
        self._thread.start()

    def wait(self, timeout_s: float = 60.0) -> None:
        """Until the last frame is in the buffer. Raise TimeoutError."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError("the full load did not end")

    def _started(self) -> list[int]:
        return [channel.number for channel in self.device.channels if channel.started]

    def _run(self) -> None:
        start = time.monotonic()
        total = len(self._frames[0]) if self._frames else 0
        done = 0
        while done < total:
            behind = time.monotonic() - start - done / self._rate
            self.late_s = max(self.late_s, behind)
            if behind < _SLICE_S:
                time.sleep(_SLICE_S)
                continue
            until = min(done + int(behind * self._rate), total)
            # On the bus the channels' frames come in turn.
            batch = [
                frame for turn in zip(*(frames[done:until] for frames in self._frames), strict=True) for frame in turn
            ]
            fit = self.device.pipe.put_many(batch)
            self.offered += len(batch)
            self.dropped += len(batch) - fit
            for frame in batch[fit:]:
                self.missing.add((frame[9], int.from_bytes(frame[12:20], "little")))
            done = until
