"""A bus for other programs: a TCP server that talks the socketcand protocol, as python-can's ``socketcand`` does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from opendiag.adapters.socketcand_codec import error_message
from opendiag.adapters.uri import SIM_PORT
from opendiag.errors import AdapterNotFound
from opendiag.frame import Frame
from opendiag.master.serve_client import ServedClient

#: How often the listening thread looks whether it should end.
_LOOK_S = 0.1
#: How long clients may take to read what waits for them when the server ends, and the threads after that.
_PATIENCE_S = 0.3
_END_S = 0.3


class ServedBus(Protocol):
    """One endpoint of a bus, as an adapter of the client's own would be."""

    def send(self, frame: Frame) -> None:
        """To everybody on the bus but this endpoint. Raise SendFailed, AdapterClosed."""

    def subscribe(self, callback: Callable[[Frame], None]) -> Callable[[], None]:
        """Called once. Frames of everybody else go there, from any thread, until the result is called.

        That is the end of the endpoint. The callback never waits.
        """


class BusServer:
    """Listens as soon as it is made, on this computer only unless ``host`` says otherwise.

    ``attach(name)`` gives a client its endpoint; ``port`` 0 is any free one, `address` says which. A client that
    does not read is disconnected once ``queue_limit`` frames wait for it. ``report`` is told who came and who left why,
    from threads of the server; it must not wait. Frames are sent with their time, and the computer's if they have none.

    Raises AdapterNotFound when it cannot listen there.
    """

    def __init__(
        self,
        attach: Callable[[str], ServedBus],
        host: str = "127.0.0.1",
        port: int = SIM_PORT,
        channel: str = "sim",
        *,
        report: Callable[[str], None] = lambda sentence: None,
        queue_limit: int = 10_000,
        max_clients: int = 32,
    ) -> None:
        self.attach = attach
        self.channel = channel
        self.report = report
        self.queue_limit = queue_limit
        self.max_clients = max_clients
        #: How much of what clients sent was no request.
        self.rejected = 0
        self._lock = threading.Lock()
        self._clients: set[ServedClient] = set()
        self._closing = False
        self._listener = _listener(host, port)
        self._listener.settimeout(_LOOK_S)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name=f"opendiag serve {self.address[1]}", daemon=True)
        self._thread.start()

    @property
    def clients(self) -> list[str]:
        """The names of those that are connected."""
        with self._lock:
            return sorted(client.name for client in self._clients)

    def close(self) -> None:
        """Tell the clients and end all threads, within a second. Closing again does nothing."""
        with self._lock:
            self._closing = True
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.finish("the server ends", error_message("the server ends"))
        patience = time.monotonic() + _PATIENCE_S
        for client in clients:
            client.join(patience)
        for client in clients:
            client.cut()
        end = time.monotonic() + _END_S
        for client in clients:
            client.join(end)

    def __enter__(self) -> BusServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def count_rejected(self) -> None:
        """For clients: another one that was no request."""
        with self._lock:
            self.rejected += 1

    def forget(self, client: ServedClient) -> None:
        """For clients: this one has ended."""
        with self._lock:
            self._clients.discard(client)

    def _accept(self) -> None:
        with self._listener:
            while not self._closing:
                try:
                    connection, peer = self._listener.accept()
                except TimeoutError:
                    continue
                except OSError:  # the client is gone already, or there are no more file handles for now
                    time.sleep(0.05)
                    continue
                self._welcome(connection, f"{peer[0]}:{peer[1]}")

    def _welcome(self, connection: socket.socket, name: str) -> None:
        connection.settimeout(None)
        with contextlib.suppress(OSError):  # it is gone already: its threads will see that
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client = ServedClient(self, connection, name)
        with self._lock:
            refused = self._closing or len(self._clients) >= self.max_clients
            if not refused:
                self._clients.add(client)
        if refused:
            with connection, contextlib.suppress(OSError):
                connection.sendall(error_message("too many clients"))
            self.report(f"{name} was refused: {self.max_clients} clients are connected")
            return
        client.start()


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AdapterNotFound(
            f"{host}:{port}", f"cannot listen there ({reason}): another server may run already; choose another port"
        ) from error
