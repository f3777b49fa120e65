"""Frames on their way through an adapter that echoes each, with the number we gave it, when it has taken it."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

from opendiag.adapters.bus import QueueFull
from opendiag.frame import Frame

#: As Linux has it; a CANtact Pro uses the number as that of a transmit buffer, and has 16 of them.
SLOTS = 10
#: An echo that did not come for so long, though one of a later frame did, will not come any more.
LOST_S = 0.5
#: When none comes at all, the adapter is full of frames that nobody acknowledges: one more in this time, no flood.
STUCK_S = 2.0
_LOOK_S = 0.05


class EchoSlots:
    """Any thread takes slots, one thread confirms them.

    ``bit_rate`` paces: where the echo does not mean that the frame has left, a slot is used again only after the time
    that the frames before it take on the bus. ``timeouts`` counts echoes that did not come, ``unexpected`` those that
    nobody waited for: of a number that is out of range, or a second time.
    """

    def __init__(self, name: str, bit_rate: int | None = None) -> None:
        self.timeouts = 0
        self.unexpected = 0
        self._name = name
        self._bit_s = 1 / bit_rate if bit_rate else 0.0
        self._busy_until = 0.0
        self._ready_at = [0.0] * SLOTS
        self._echoed_at = 0.0
        self._given_up_at = 0.0
        self._failure: Exception | None = None
        self._looking = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget what is on its way: the adapter was started anew."""
        free: SimpleQueue[int] = SimpleQueue()
        for slot in range(SLOTS):
            free.put(slot)
        self._failure = None
        # Replaced as one: what was taken before belongs to what was pending before.
        self._now: tuple[dict[int, tuple[Frame, float]], SimpleQueue[int]] = ({}, free)

    def fail(self, failure: Exception) -> None:
        """Whoever takes a slot gets this until `reset`."""
        self._failure = failure
        self._now[1].put(-1)

    def take(self, frame: Frame, timeout_s: float) -> int:
        """A number for this frame. Raise QueueFull, or what `fail` was given."""
        now = self._now
        pending, free = now
        if self._failure:
            raise self._failure
        try:
            slot = free.get_nowait()
        except Empty:
            slot = self._wait(free, timeout_s)
        if slot < 0:
            free.put(-1)  # for the next one who waits
            raise self._failure or self._anew()
        if self._bit_s:
            self._pace(slot, free, frame, timeout_s)
            if self._now is not now:
                raise self._failure or self._anew()
        pending[slot] = (frame, time.monotonic())
        return slot

    def _anew(self) -> QueueFull:
        return QueueFull(f"{self._name} was just started again")

    def give_back(self, slot: int) -> None:
        """The frame could not be written."""
        pending, free = self._now
        if pending.pop(slot, None):
            free.put(slot)

    def confirm(self, echo_id: int) -> Frame | None:
        """The frame that we had given this number; None and counted when there is none."""
        pending, free = self._now
        entry = pending.pop(echo_id, None)
        if entry is None:
            self.unexpected += 1
            return None
        frame, sent_at = entry
        self._echoed_at = max(self._echoed_at, sent_at)
        free.put(echo_id)
        return frame

    def waiting(self) -> tuple[int, float]:
        """How many frames wait for their echo, and for how long the first of them, in s."""
        pending = list(self._now[0].values())
        return len(pending), time.monotonic() - min(sent_at for _, sent_at in pending) if pending else 0.0

    def _wait(self, free: SimpleQueue[int], timeout_s: float) -> int:
        until = time.monotonic() + timeout_s
        while True:
            slot = self._overdue()
            if slot is not None:
                return slot
            left = until - time.monotonic()
            if left <= 0:
                raise QueueFull(
                    f"{self._name}: {SLOTS} frames wait to be sent since {self.waiting()[1]:.1f} s: nobody "
                    "acknowledges them. Is another device on the bus, at this bit rate, and is the bus terminated?"
                )
            try:
                return free.get(timeout=min(left, _LOOK_S))
            except Empty:
                continue

    def _overdue(self) -> int | None:
        with self._looking:
            pending = self._now[0]
            waiting = sorted((sent_at, slot) for slot, (_, sent_at) in list(pending.items()))
            if not waiting:
                return None
            now = time.monotonic()
            sent_at, slot = waiting[0]
            passed_over = self._echoed_at > sent_at and now - sent_at > LOST_S
            stuck = now - max(sent_at, self._given_up_at) > STUCK_S
            if not (passed_over or stuck) or pending.pop(slot, None) is None:
                return None
            self._given_up_at = now
            self.timeouts += 1
            return slot

    def _pace(self, slot: int, free: SimpleQueue[int], frame: Frame, timeout_s: float) -> None:
        now = time.monotonic()
        wait_s = self._ready_at[slot] - now
        if wait_s > timeout_s:
            free.put(slot)
            raise QueueFull(f"{self._name}: the bus needs {wait_s:.2g} s more for the frames that wait to be sent")
        if wait_s > 0:
            time.sleep(wait_s)
        self._busy_until = max(self._busy_until, now) + frame_bits(frame) * self._bit_s
        self._ready_at[slot] = self._busy_until


def frame_bits(frame: Frame) -> int:
    """Bits on the bus at most, with all stuff bits and the pause behind it; of FD frames as if none were faster."""
    length = 0 if frame.remote else len(frame.data)
    head = 54 if frame.extended else 34
    stuffed = head + 8 * length + (28 if frame.fd else 0)
    return stuffed + (stuffed - 1) // 4 + 13
