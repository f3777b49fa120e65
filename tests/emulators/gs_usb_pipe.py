"""The IN endpoint of a gs_usb adapter: the frames that wait for the host, and how USB packets cut and join them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class Gone(Exception):
    """The device is not plugged in any more."""


class Overflow(Exception):
    """A packet does not fit into the rest of the host's buffer."""


class InPipe:
    """``packet`` is wMaxPacketSize, ``room`` how many frames it holds. ``delivered`` and ``dropped`` count them.

    ``lifo``: the newest leaves first. ``zero_next``: the first byte of the next transfer is read as 0. ``cut``: the
    next frames end after so many bytes. ``on_ready`` is called, from any thread, when something came.
    """

    def __init__(self, packet: int, room: int, lifo: bool = False) -> None:
        self.packet = packet
        self.room = room
        self.lifo = lifo
        self.zero_next = False
        self.cut: list[int] = []
        self.delivered = self.dropped = 0
        self.plugged = True
        self.on_ready: Callable[[], None] = lambda: None
        self._queue: deque[bytes] = deque()
        self._rest = b""
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, frame: bytes) -> bool:
        """False when it is full; the frame is dropped then."""
        with self._lock:
            if len(self._queue) >= self.room:
                self.dropped += 1
                return False
            self._queue.append(frame[: self.cut.pop(0)] if self.cut else frame)
            self._ready.notify()
        self.on_ready()
        return True

    def put_many(self, frames: list[bytes]) -> int:
        """How many of them found room; the others are dropped."""
        with self._lock:
            fit = min(max(self.room - len(self._queue), 0), len(frames))
            self._queue.extend(frames[:fit])
            self.dropped += len(frames) - fit
            self._ready.notify()
        self.on_ready()
        return fit

    def inject(self, *transfers: bytes) -> None:
        """These bytes come next whatever they are, and whether or not there is room."""
        with self._lock:
            self._queue.extend(transfers)
            self._ready.notify()
        self.on_ready()

    def clear(self) -> None:
        with self._lock:
            self._queue.clear()
            self._rest = b""

    def unplug(self) -> None:
        """Whoever waits hears `Gone`."""
        with self._lock:
            self.plugged = False
            self._queue.clear()
            self._rest = b""
            self._ready.notify_all()
        self.on_ready()

    def pop(self, max_len: int, timeout_s: float = 0.0, *, partial: bool = True) -> bytes | None:
        """One IN transfer: it ends with a short packet, or when the host's buffer is full.

        None when nothing came in time; with ``partial`` what came of an unfinished one. Raise Gone, Overflow.
        """
        with self._lock:
            queue = self._queue
            if queue and not self.lifo and not self.zero_next and not self._rest:  # by far the most
                frame = queue[0]
                if len(frame) <= max_len and len(frame) % self.packet:
                    self.delivered += 1
                    return queue.popleft()
            transfer = self._transfer(max_len)
            if transfer is None and timeout_s > 0:
                deadline = time.monotonic() + timeout_s
                while transfer is None and (rest := deadline - time.monotonic()) > 0:
                    self._ready.wait(rest)
                    transfer = self._transfer(max_len)
            if transfer is None and partial and (self._queue or self._rest):
                transfer = self._packets(max_len, unfinished=True)
            return transfer

    def _transfer(self, max_len: int) -> bytes | None:
        if not self.plugged:
            raise Gone
        queue = self._queue
        if not self._rest:
            if not queue:
                return None
            frame = queue[-1] if self.lifo else queue[0]
            if len(frame) <= max_len and len(frame) % self.packet:
                self.delivered += 1
                return self._leaves(queue.pop() if self.lifo else queue.popleft())
        return self._packets(max_len)

    def _packets(self, max_len: int, unfinished: bool = False) -> bytes | None:
        packet, queue = self.packet, self._queue
        stream = self._rest
        taken = 0
        while len(stream) < max_len and not len(stream) % packet and taken < len(queue):
            stream += queue[-1 - taken] if self.lifo else queue[taken]
            taken += 1
        if len(stream) < max_len and not len(stream) % packet and not unfinished:
            return None
        for _ in range(taken):
            self.delivered += 1
            _ = queue.pop() if self.lifo else queue.popleft()
        transfer, self._rest = stream[:max_len], stream[max_len:]
        if self._rest and max_len % packet:
            self._rest = b""
            raise Overflow
        return self._leaves(transfer)

    def _leaves(self, transfer: bytes) -> bytes:
        if self.zero_next and transfer:
            self.zero_next = False
            return b"\0" + transfer[1:]
        return transfer
