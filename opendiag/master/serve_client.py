"""One client of a `BusServer`: a thread that reads its requests and one that writes what it gets."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from opendiag.adapters.socketcand_codec import (
    ECHO,
    GREETING,
    OK,
    Echo,
    Mode,
    Open,
    Request,
    RequestParser,
    Send,
    error_message,
    frame_message,
)
from opendiag.errors import AdapterClosed, OpenDiagError
from opendiag.frame import Frame

if TYPE_CHECKING:
    from opendiag.master.serve import BusServer, ServedBus

#: python-can takes the answer to "rawmode" for a wrong one when a frame comes along with it. Frames wait this long
#: after it, or until the client says something: then it has read the answer.
_HOLD_S = 0.25
#: Answers that may wait for a client that does not read.
_MAX_ANSWERS = 200
#: How long a client that will send nothing more may take to read the rest.
_REST_S = 0.5


class ServedClient:
    """``name`` is its address."""

    def __init__(self, server: BusServer, connection: socket.socket, name: str) -> None:
        self.name = name
        self._server = server
        self._socket = connection
        self._parser = RequestParser()
        self._endpoint: ServedBus | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._raw = False
        self._untold = 0
        self._hold_until = 0.0
        self._wake = threading.Condition()
        self._answers: deque[bytes] = deque([GREETING])
        self._frames: deque[bytes] = deque()
        self._reason = ""
        self._last_words = b""
        self._reader = threading.Thread(target=self._run, name=f"opendiag serve {name} in", daemon=True)
        self._writer = threading.Thread(target=self._write, name=f"opendiag serve {name} out", daemon=True)

    def start(self) -> None:
        self._server.report(f"{self.name} is connected")
        self._writer.start()
        self._reader.start()

    def join(self, until: float) -> None:
        """Wait for its threads until that moment (monotonic s) at most."""
        for thread in (self._writer, self._reader):
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def finish(self, reason: str, last_words: bytes = b"") -> None:
        """Send what waits and ``last_words``, then hang up. The first reason counts."""
        with self._wake:
            if not self._reason:
                self._reason, self._last_words = reason, last_words
            self._wake.notify_all()

    def cut(self, reason: str = "") -> None:
        """Hang up now; what waits is lost. Never waits."""
        with self._wake:
            self._reason = self._reason or reason or "cut off"
            self._answers.clear()
            self._frames.clear()
            self._wake.notify_all()
        with contextlib.suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    # --- what it gets -----------------------------------------------------------------------------------------------

    def deliver(self, frame: Frame) -> None:
        """A frame of somebody else. Never waits."""
        if not self._raw:
            return
        message = frame_message(frame, time.time())
        if message:
            self._put(self._frames, message, self._server.queue_limit)
        else:
            self._untold += 1

    def _answer(self, message: bytes) -> None:
        self._put(self._answers, message, _MAX_ANSWERS)

    def _put(self, queue: deque[bytes], message: bytes, limit: int) -> None:
        with self._wake:
            if self._reason:
                return
            full = len(queue) >= limit
            if not full:
                queue.append(message)
                self._wake.notify_all()
        if full:
            self.cut(f"it does not read: {limit} messages wait for it")

    def _write(self) -> None:
        try:
            while True:
                batch, last = self._next_batch()
                if batch:
                    self._socket.sendall(batch)
                if last:
                    break
        except OSError:
            self.finish("the connection was lost")
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _next_batch(self) -> tuple[bytes, bool]:
        """What to send now, and True when nothing comes after it."""
        with self._wake:
            while not self._reason and not self._answers:
                held = self._hold_until - time.monotonic()
                if self._frames and held <= 0:
                    break
                self._wake.wait(held if self._frames else None)
            batch = [*self._answers]
            self._answers.clear()
            if self._hold_until == math.inf:
                self._hold_until = time.monotonic() + _HOLD_S
            if self._reason or time.monotonic() >= self._hold_until:
                batch += self._frames
                self._frames.clear()
            if self._reason:
                batch.append(self._last_words)
            return b"".join(batch), bool(self._reason)

    # --- what it wants ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while data := self._socket.recv(4096):
                self._release()
                for request in self._parser.feed(data):
                    self._handle(request)
            self.finish("closed by the client")
        except OSError:
            self.finish("the connection was lost")
        except Exception as error:  # of the bus behind: this client ends, the others go on
            self.finish(f"{type(error).__name__}: {error}", error_message("the bus failed"))
        finally:
            self._end()

    def _end(self) -> None:
        try:
            self._unsubscribe()
        finally:
            self._writer.join(_REST_S)
            self.cut()
            self._writer.join()
            self._socket.close()
            self._server.forget(self)
        missed = f"; {self._untold} remote or FD frames were not sent: socketcand has none" if self._untold else ""
        self._server.report(f"{self.name} left: {self._reason}{missed}")

    def _release(self) -> None:
        with self._wake:
            self._hold_until = 0.0
            self._wake.notify_all()

    def _handle(self, request: Request) -> None:
        match request:
            case Open(channel):
                self._open(channel)
            case Mode("raw") if self._endpoint:
                with self._wake:
                    self._hold_until = math.inf  # from when the answer is sent
                    self._answers.append(OK)
                    self._raw = True
                    self._wake.notify_all()
            case Mode("raw"):
                self._answer(error_message("no bus yet: send < open CHANNEL > first"))
            case Mode(name):
                self._answer(error_message(f"no {name}mode here, rawmode only"))
            case Send(frame):
                self._send(frame)
            case Echo():
                self._answer(ECHO)
            case _:
                self._server.count_rejected()
                self._answer(error_message(f"request not understood: {request.reason}; seen: {request.seen}"))

    def _open(self, channel: str) -> None:
        if self._endpoint:
            self._answer(error_message("this connection has a bus already"))
        elif channel != self._server.channel:
            self._answer(error_message(f"no bus named {channel} here, it is {self._server.channel}"))
        else:
            try:
                endpoint = self._server.attach(self.name)
                self._unsubscribe = endpoint.subscribe(self.deliver)
            except OpenDiagError as error:
                self._answer(error_message(f"cannot open {channel}: {error}"))
                return
            self._endpoint = endpoint
            self._answer(OK)

    def _send(self, frame: Frame) -> None:
        if not self._endpoint:
            self._answer(error_message("no bus yet: send < open CHANNEL > first"))
            return
        try:
            self._endpoint.send(frame)
        except AdapterClosed as error:
            self.finish(str(error), error_message(f"the bus is gone: {error}"))
        except OpenDiagError as error:
            self._answer(error_message(f"not sent: {error}"))
