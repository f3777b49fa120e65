"""The way to a bus, as the pump sees it, and the one that leads through python-can."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from opendiag.errors import AdapterClosed, SendFailed
from opendiag.frame import Frame

if TYPE_CHECKING:
    import can

#: How long a full transmit queue is waited for.
_QUEUE_FULL_S = 0.1
#: Times of frames that are further away from the clock are not counted from where it counts.
_FAR_S = 60.0
#: Longest uninterrupted wait for a frame: what another thread asks for meanwhile is noticed after that.
SLICE_S = 0.02


class Port(Protocol):
    """``name`` as the user knows it. ``runs_in_thread``: a thread may wait in `receive` while nobody asks."""

    name: str
    listen_only: bool
    runs_in_thread: bool

    def send(self, frame: Frame) -> None:
        """From any thread. Raise SendFailed, AdapterClosed."""

    def receive(self, until: float) -> list[Frame]:
        """Wait for frames until that moment at most; an empty list may come early. Raise AdapterClosed."""

    def close(self) -> None:
        """A `receive` that waits ends soon. Closing again does nothing."""


class CanPort:
    """Any python-can bus. One that was ``borrowed`` is left open by `close`.

    ``notes`` are sentences about what was asked of the adapter and could not be had; ``unreadable`` counts messages
    that no CAN bus can carry.
    """

    runs_in_thread = True

    def __init__(
        self,
        bus: can.BusABC,
        name: str,
        now: Callable[[], float],
        *,
        borrowed: bool = False,
        listen_only: bool = False,
    ) -> None:
        from opendiag.adapters.linux_can import delivers_own_frames
        from opendiag.adapters.message import from_message, to_message

        self._only_others = not delivers_own_frames(bus)
        self.name = name
        self.listen_only = listen_only or bool(getattr(bus, "listen_only", False))
        self.bus = bus
        self._now = now
        self._borrowed = borrowed
        self._closed = False
        self._from_message = from_message
        self._to_message = to_message
        self.unreadable = 0
        self._offset: float | None = None
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None:
        if self._closed:
            raise AdapterClosed(self.name, "closed")
        if self.listen_only:
            raise SendFailed(self.name, "opened to listen only")
        message = self._to_message(frame)
        patience: float | None = None
        while True:
            try:
                self.bus.send(message)
                return
            except Exception as error:  # every driver has its own way
                patience = patience or time.monotonic() + _QUEUE_FULL_S
                code = getattr(error, "error_code", None) or getattr(error, "errno", None)
                if code == errno.ENOBUFS and time.monotonic() < patience:
                    time.sleep(0.001)
                    continue
                if code in (errno.ENODEV, errno.ENXIO, errno.EBADF):
                    raise AdapterClosed(self.name, f"gone: {_reason(error)}") from error
                raise SendFailed(self.name, _reason(error)) from error

    def receive(self, until: float) -> list[Frame]:
        if self._closed:
            raise AdapterClosed(self.name, "closed")
        try:
            message = self.bus.recv(min(max(until - self._now(), 0.0), SLICE_S))
        except Exception as error:  # every driver has its own way to say that the adapter is gone
            raise AdapterClosed(self.name, "closed" if self._closed else self._gone(error)) from error
        if message is None:
            return []
        message.channel = None  # one network is one bus
        if self._only_others:
            message.is_rx = True
        if message.timestamp:
            message.timestamp += self._since_epoch(message.timestamp)
        try:
            return [self._from_message(message)]
        except ValueError:  # a message that no CAN bus can carry
            self.unreadable += 1
            return []

    def _since_epoch(self, timestamp: float) -> float:
        """What is to be added to the times of an adapter that counts from somewhere else."""
        if self._offset is None:
            away = self._now() - timestamp
            self._offset = away if abs(away) > _FAR_S else 0.0
        return self._offset

    def _gone(self, error: Exception) -> str:
        if self.name.startswith("socketcand:"):  # python-can says it with a traceback of its own
            return "the server ended the connection"
        return f"gone: {_reason(error)}"

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._borrowed:
            self.bus.shutdown()


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
