"""Frames of a live bus for those who only listen: an iterator, and callbacks on a thread of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from opendiag.errors import AdapterClosed
from opendiag.frame import Frame
from opendiag.master.arguments import checked_function
from opendiag.master.dispatcher import Dispatcher
from opendiag.master.pump import Pump

#: Frames that may wait for a slow listener: some 10 s of a full bus at 1 Mbit/s.
BACKLOG = 100_000


def sent_frame(frame: Frame, now: float) -> Frame:
    """One of our own frames as a listener gets it."""
    return replace(frame, direction="tx", time_ns=round(now * 1e9))


class FrameStream:
    """Every frame from the moment it is opened, received and sent. Close it, or use ``with``.

    ``lost`` counts frames that came while ``BACKLOG`` were waiting to be read: the oldest are kept.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._frames: deque[Frame] = deque()
        self._closed = False
        self.lost = 0
        pump.listen(self)

    def received(self, frame: Frame, now: float) -> None:
        if len(self._frames) < BACKLOG:
            self._frames.append(frame)
        else:
            self.lost += 1

    def sent(self, frame: Frame, now: float) -> None:
        self.received(sent_frame(frame, now), now)

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        pass

    def get(self, timeout_s: float | None = None) -> Frame | None:
        """The next frame; None when none came in time, or the stream is closed. Raise AdapterError, BlockingCall."""
        if not self.done:
            self._pump.check_may_wait("waiting for a frame")
            until = None if timeout_s is None else self._pump.clock.now() + timeout_s
            self._pump.wait(self, until)
        return self._frames.popleft() if self._frames else None

    def receive(self, timeout_s: float | None = None) -> Frame | None:
        """As `get`, without the frames that were sent from here."""
        clock = self._pump.clock
        until = None if timeout_s is None else clock.now() + timeout_s
        while (frame := self.get(None if until is None else max(until - clock.now(), 0.0))) is not None:
            if frame.direction != "tx":
                break
        return frame

    def __iter__(self) -> Iterator[Frame]:
        """Until the stream or the network is closed. Raise AdapterError when the bus goes."""
        while True:
            try:
                frame = self.get()
            except AdapterClosed:
                if self._pump.failure is not None:
                    raise
                return
            if frame is None:
                return
            yield frame

    def clear(self) -> None:
        """Forget what has come so far."""
        self._frames.clear()

    @property
    def done(self) -> bool:
        """A frame is waiting, or none will come."""
        return bool(self._frames) or self._closed

    def close(self) -> None:
        """What has come can still be taken."""
        self._closed = True
        self._pump.unlisten(self)

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Subscription:
    """One of possibly several of the same function."""

    __slots__ = ("active", "function")

    def __init__(self, function: Callable[[Frame], object]) -> None:
        self.function = function
        self.active = True

    def __call__(self, frame: Frame) -> None:
        if self.active:
            self.function(frame)

    def __repr__(self) -> str:
        return repr(self.function)


class Callbacks:
    """Has functions called with every frame, on the thread of the dispatcher."""

    def __init__(self, pump: Pump, dispatcher: Dispatcher) -> None:
        self._pump = pump
        self._dispatcher = dispatcher
        self._subscriptions: list[_Subscription] = []

    def add(self, function: Callable[[Frame], object]) -> Callable[[], None]:
        """Returns what ends it. Raise AdapterError when the bus is gone, TypeError for what cannot be called."""
        checked_function(function)
        made = _Subscription(function)
        with self._pump.lock:
            self._pump.check_open()
            if not self._subscriptions:
                self._pump.listen(self)
            self._subscriptions = [*self._subscriptions, made]
        return lambda: self._remove(made)

    def _remove(self, ended: _Subscription) -> None:
        ended.active = False
        with self._pump.lock:
            self._subscriptions = [other for other in self._subscriptions if other is not ended]
            if not self._subscriptions:
                self._pump.unlisten(self)

    def received(self, frame: Frame, now: float) -> None:
        for subscription in self._subscriptions:
            self._dispatcher.post(subscription, frame)

    def sent(self, frame: Frame, now: float) -> None:
        self.received(sent_frame(frame, now), now)

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        pass
