"""The way to a bus, as the pump sees it, and the one that leads through python-can or a driver of our own."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from opendiag.errors import AdapterClosed, AdapterError, SendFailed
from opendiag.findings import Finding
from opendiag.frame import Frame

if TYPE_CHECKING:
    import can

    from opendiag.adapters.bus import AdapterBus
    from opendiag.adapters.socketcan import SocketCanHealth

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

    # A port may have interrupt(): from any thread, it ends the `receive` that waits, or else the next one, early.

    def close(self) -> None:
        """A `receive` that waits ends soon. Closing again does nothing."""


#: The adapter is not there any more, or was closed.
_GONE = (errno.ENODEV, errno.ENXIO, errno.EBADF, errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED)


class CanPort:
    """Any python-can bus. One that was ``borrowed`` is left open by `close`.

    ``notes`` are sentences about what was asked of the adapter and could not be had; ``unreadable`` counts messages
    that no CAN bus can carry. ``taken`` and ``given`` count frames from and to the adapter.
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
        from opendiag.adapters.bus import AdapterBus
        from opendiag.adapters.linux_can import delivers_own_frames
        from opendiag.adapters.message import from_message, to_message
        from opendiag.adapters.socketcan import health_of
        from opendiag.adapters.socketcand_probe import has_ended

        self._only_others = not delivers_own_frames(bus)
        self.name = name
        self.listen_only = listen_only or bool(getattr(bus, "listen_only", False))
        self.bus = bus
        self._adapter: AdapterBus | None = bus if isinstance(bus, AdapterBus) else None
        self._health: SocketCanHealth | None = health_of(bus)
        self._now = now
        self._borrowed = borrowed
        self._closed = False
        self._from_message = from_message
        self._to_message = to_message
        self._has_ended = has_ended
        self.unreadable = 0
        self.taken = self.given = 0
        self._offset: float | None = None
        if self._adapter is not None:
            self.interrupt = self._adapter.interrupt
        self.notes: list[str] = list(getattr(bus, "notes", ()))

    # --- what the adapter says of itself

    @property
    def bus_state(self) -> str | None:
        """error-active, error-warning, error-passive or bus-off; None where the adapter does not tell."""
        known = self._adapter or self._health
        return known.bus_state if known else None

    @property
    def tx_errors(self) -> int | None:
        """The transmit error counter, None where the adapter does not tell."""
        known = self._adapter or self._health
        return known.tx_errors if known else None

    @property
    def rx_errors(self) -> int | None:
        """The receive error counter, None where the adapter does not tell."""
        known = self._adapter or self._health
        return known.rx_errors if known else None

    def findings(self) -> list[Finding]:
        """What was odd about the adapter so far, above all frames that are missing. Works after `close`, too."""
        known = self._adapter or self._health
        return known.findings() if known else []

    # --- frames

    def send(self, frame: Frame) -> None:
        if self._closed:
            raise AdapterClosed(self.name, "closed")
        if self.listen_only:
            raise SendFailed(self.name, "opened to listen only")
        try:
            if self._adapter is not None:
                self._adapter.send_frame(frame)
            else:
                self._send_message(self._to_message(frame))
        except Exception as error:  # every driver has its own way
            raise self._not_sent(error, frame) from error
        self.given += 1

    def _send_message(self, message: can.Message) -> None:
        patience: float | None = None
        while True:
            try:
                self.bus.send(message)
                return
            except Exception as error:
                patience = patience or time.monotonic() + _QUEUE_FULL_S
                if _errno(error) != errno.ENOBUFS or time.monotonic() >= patience:
                    raise
            time.sleep(0.001)

    def _not_sent(self, error: Exception, frame: Frame) -> AdapterError:
        code = _errno(error)
        if self._adapter is not None:  # whose sentences say it all
            return (AdapterClosed if code in _GONE else SendFailed)(self.name, _reason(error))
        explained = self._health.explain(code) if self._health else ""
        if self._health and frame.fd and code == errno.EINVAL:
            explained = self._health.explain_fd()
        if code in _GONE:
            return AdapterClosed(self.name, explained or self._gone(error))
        return SendFailed(self.name, explained or _reason(error))

    def receive(self, until: float) -> list[Frame]:
        if self._closed:
            raise AdapterClosed(self.name, "closed")
        wait_s = min(max(until - self._now(), 0.0), SLICE_S)
        try:
            if self._adapter is not None and not self.bus.filters:
                taken = self._adapter.take(wait_s)
                self.taken += len(taken)
                return taken
            message = self.bus.recv(wait_s)
        except Exception as error:  # every driver has its own way to say that the adapter is gone
            raise AdapterClosed(self.name, "closed" if self._closed else self._gone(error)) from error
        if message is None:
            if self._has_ended(self.bus):
                raise AdapterClosed(self.name, "closed" if self._closed else "the server ended the connection")
            return []
        self.taken += 1
        return self._frames(message)

    def _frames(self, message: can.Message) -> list[Frame]:
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
        if self._adapter is not None:
            return _reason(error)
        explained = self._health.explain(_errno(error)) if self._health else ""
        return explained or f"gone: {_reason(error)}"

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._health:
            self._health.end()
        if not self._borrowed:
            self.bus.shutdown()


def _errno(error: BaseException) -> int | None:
    code = getattr(error, "error_code", None) or getattr(error, "errno", None)
    if code is None and "Transmit buffer full" in str(error):  # python-can's socketcan, which has no number for it
        return errno.ENOBUFS
    return code


def _reason(error: BaseException) -> str:
    text = re.sub(r" \[Error Code -?\d+\]$", "", str(error))
    return text.rstrip(".") or type(error).__name__
