"""A bus served to other programs, talked to by python-can's own socketcand client and by plain sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import can
import pytest

from opendiag.adapters.message import from_message, to_message
from opendiag.errors import AdapterClosed, AdapterNotFound, SendFailed
from opendiag.frame import Frame
from opendiag.master.serve import BusServer

WAIT_S = 5.0


class Endpoint:
    """Of a `Hub`: what one sends, the others get."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.callback: Callable[[Frame], None] | None = None

    def send(self, frame: Frame) -> None:
        if self.hub.failure:
            raise self.hub.failure
        self.hub.give(frame, self)

    def subscribe(self, callback: Callable[[Frame], None]) -> Callable[[], None]:
        self.callback = callback
        self.hub.endpoints.append(self)
        return lambda: self.hub.endpoints.remove(self)


class Hub:
    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.seen: list[Frame] = []
        self.failure: Exception | None = None

    def attach(self, name: str) -> Endpoint:
        return Endpoint(self)

    def give(self, frame: Frame, sender: Endpoint | None = None) -> None:
        self.seen.append(frame)
        for endpoint in list(self.endpoints):
            if endpoint is not sender and endpoint.callback:
                endpoint.callback(frame)


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def server(hub: Hub, reports: list[str]) -> Iterator[BusServer]:
    with BusServer(hub.attach, port=0, report=reports.append, queue_limit=500) as made:
        yield made
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("opendiag serve")] == []


@contextlib.contextmanager
def client(server: BusServer, channel: str = "sim") -> Iterator[can.BusABC]:
    host, port = server.address
    bus = can.Bus(interface="socketcand", host=host, port=port, channel=channel, ignore_config=True)
    try:
        yield bus
    finally:
        bus.shutdown()


class Plain:
    """A client without manners."""

    def __init__(self, server: BusServer) -> None:
        self.socket = socket.create_connection(server.address, WAIT_S)
        self.socket.settimeout(WAIT_S)
        self.got = b""
        self.read_to(b"< hi >")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_to(self, end: bytes) -> bytes:
        """What came up to and with ``end``."""
        while end not in self.got:
            data = self.socket.recv(4096)
            assert data, f"hung up after {self.got!r}"
            self.got += data
        before, _, self.got = self.got.partition(end)
        return before + end

    def read_all(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                self.got += data
        return self.got

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def opened(server: BusServer) -> Plain:
    plain = Plain(server)
    plain.send(b"< open sim >")
    plain.read_to(b"< ok >")
    plain.send(b"< rawmode >")
    plain.read_to(b"< ok >")
    return plain


# --- python-can ------------------------------------------------------------------------------------------------------


def test_two_clients_exchange_frames_with_each_other_and_the_bus(server: BusServer, hub: Hub) -> None:
    frames = [Frame(0x601, bytes.fromhex("4041600000000000")), Frame(0x80), Frame(0x1ABCDEF0, b"\1", extended=True)]
    with client(server) as one, client(server) as other:
        for frame in frames:
            one.send(to_message(frame))
        for frame in frames:
            assert _same(other.recv(WAIT_S), frame)
        other.send(to_message(Frame(0x581, b"\x60")))
        assert _same(one.recv(WAIT_S), Frame(0x581, b"\x60")), "and not one of its own"
        hub.give(Frame(0x701, b"\5"))
        assert _same(one.recv(WAIT_S), Frame(0x701, b"\5"))
        assert _same(other.recv(WAIT_S), Frame(0x701, b"\5"))
    assert [frame.can_id for frame in hub.seen] == [0x601, 0x80, 0x1ABCDEF0, 0x581, 0x701]
    wait_until(lambda: not hub.endpoints and not server.clients)


def _same(message: can.Message | None, frame: Frame) -> bool:
    assert message is not None, "nothing came"
    got = from_message(message)
    return (got.can_id, got.data, got.extended) == (frame.can_id, frame.data, frame.extended)


def test_a_remote_frame_reaches_the_bus_but_no_client(server: BusServer, hub: Hub, reports: list[str]) -> None:
    with client(server) as one, client(server) as other:
        one.send(to_message(Frame(0x665, remote=True, dlc=8)))
        one.send(to_message(Frame(0x5, b"\1")))
        assert _same(other.recv(WAIT_S), Frame(0x5, b"\1"))
    assert hub.seen[0] == Frame(0x665, remote=True, dlc=8)
    wait_until(lambda: any("1 remote or FD frames were not sent" in sentence for sentence in reports))


def test_a_busy_bus_does_not_disturb_the_opening(server: BusServer, hub: Hub) -> None:
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.001):
            hub.give(Frame(0x123, b"\1"))

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        for _ in range(5):
            with client(server) as bus:
                assert _same(bus.recv(WAIT_S), Frame(0x123, b"\1"))
    finally:
        stop.set()
        thread.join()


def test_frames_have_the_computers_time_or_their_own(server: BusServer, hub: Hub) -> None:
    with client(server) as bus:
        bus.send(to_message(Frame(0x1)))  # whoever has spoken gets frames at once
        wait_until(lambda: hub.seen)
        hub.give(Frame(0x2, time_ns=2_500_000_000))
        hub.give(Frame(0x3))
        first, second = bus.recv(WAIT_S), bus.recv(WAIT_S)
        assert first is not None and first.timestamp == 2.5
        assert second is not None and second.timestamp == pytest.approx(time.time(), abs=WAIT_S)


def test_an_error_frame_arrives_as_one(server: BusServer, hub: Hub) -> None:
    with client(server) as bus:
        hub.give(Frame(0x4, bytes(8), error=True))
        message = bus.recv(WAIT_S)
        assert message is not None and message.is_error_frame and message.arbitration_id == 4


def test_the_end_of_the_server_is_an_error_for_python_can(server: BusServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with client(server) as bus:
        server.close()
        with pytest.raises(can.CanError, match="Failed to receive"):
            bus.recv(WAIT_S)


# --- everybody else --------------------------------------------------------------------------------------------------


def test_requests_out_of_order_are_answered(server: BusServer) -> None:
    with Plain(server) as plain:
        for request, answer in [
            (b"< rawmode >", b"< error no bus yet: send . open CHANNEL . first >"),
            (b"< send 123 0 >", b"< error no bus yet: send . open CHANNEL . first >"),
            (b"< echo >", b"< echo >"),
            (b"< bcmmode >", b"< error no bcmmode here, rawmode only >"),
            (b"< open can7 >", b"< error no bus named can7 here, it is sim >"),
            (b"< open sim >", b"< ok >"),
            (b"< open sim >", b"< error this connection has a bus already >"),
        ]:
            plain.send(request)
            assert plain.read_to(b">").strip() == answer


def test_garbage_is_answered_counted_and_ends_nothing(server: BusServer, hub: Hub) -> None:
    with opened(server) as plain, opened(server) as other:
        plain.send(b"GET / HTTP/1.1\r\n< send 123 2 1 >" + b"<" + b"\xff" * 1000 + b"< send 123 1 A >")
        assert b"length 2, but 1 data byte" in plain.read_to(b"longer than 256 bytes")
        assert b" 0A >" in other.read_to(b" 0A >")
    assert server.rejected >= 3
    assert hub.seen == [Frame(0x123, b"\x0a")]


def test_frames_come_in_any_pieces(server: BusServer, hub: Hub) -> None:
    with opened(server) as plain:
        for byte in b"< send 1ABCDEF0 3 1 2 FF >":
            plain.send(bytes([byte]))
        wait_until(lambda: hub.seen)
    assert hub.seen == [Frame(0x1ABCDEF0, b"\1\2\xff", extended=True)]


def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on(
    server: BusServer, hub: Hub, reports: list[str]
) -> None:
    with opened(server) as lazy, client(server) as busy:
        lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end = time.monotonic() + WAIT_S
        given = 0
        while len(server.clients) == 2 and time.monotonic() < end:
            for _ in range(100):
                hub.give(Frame(0x123, bytes(8)))
            given += 100
            for _ in range(100):
                assert busy.recv(WAIT_S) is not None
        assert any("left: it does not read: 500 messages wait for it" in sentence for sentence in reports), given
        assert len(server.clients) == 1
        hub.give(Frame(0x7))
        assert _same(busy.recv(WAIT_S), Frame(0x7))


def test_a_client_that_only_asks_is_cut_off(server: BusServer, reports: list[str]) -> None:
    with opened(server) as rude:
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                rude.send(b"< echo >" * 100)
                if not server.clients:
                    break
        wait_until(lambda: any("it does not read: 200 messages" in sentence for sentence in reports))


def test_what_the_bus_refuses_is_said(server: BusServer, hub: Hub) -> None:
    with opened(server) as plain:
        hub.failure = SendFailed("sim", "bus-off")
        plain.send(b"< send 123 0 >")
        assert plain.read_to(b" >") == b"< error not sent: sim cannot send: bus-off >"
        hub.failure = AdapterClosed("sim", "closed")
        plain.send(b"< send 123 0 >")
        assert plain.read_all() == b"< error the bus is gone: sim: closed >"


def test_a_bus_that_breaks_ends_its_client_only(server: BusServer, hub: Hub, reports: list[str]) -> None:
    with opened(server) as plain:
        hub.failure = RuntimeError("a bug")
        plain.send(b"< send 123 0 >")
        assert plain.read_all() == b"< error the bus failed >"
    hub.failure = None
    wait_until(lambda: any("left: RuntimeError: a bug" in sentence for sentence in reports))
    with opened(server) as plain:
        plain.send(b"< echo >")
        plain.read_to(b"< echo >")


def test_a_bus_that_cannot_be_attached_is_said() -> None:
    def attach(name: str) -> Endpoint:
        raise AdapterNotFound("sim", "no place left")

    with BusServer(attach, port=0) as server, Plain(server) as plain:
        plain.send(b"< open sim >")
        assert plain.read_to(b" >") == b"< error cannot open sim: cannot open sim: no place left >"


def test_too_many_clients(hub: Hub, reports: list[str]) -> None:
    with BusServer(hub.attach, port=0, max_clients=1, report=reports.append) as server:
        with opened(server), socket.create_connection(server.address, WAIT_S) as second:
            second.settimeout(WAIT_S)
            assert second.recv(200) == b"< error too many clients >"
        wait_until(lambda: not server.clients)
        opened(server).socket.close()


# --- the end ---------------------------------------------------------------------------------------------------------


def test_closing_in_mid_transfer_ends_within_a_second(hub: Hub) -> None:
    server = BusServer(hub.attach, port=0, queue_limit=10**6)
    clients = [opened(server) for _ in range(3)]
    stop = threading.Event()

    def chatter() -> None:
        while not stop.is_set():
            hub.give(Frame(0x123, bytes(8)))

    def talk() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                clients[0].send(b"< send 321 8 1 2 3 4 5 6 7 8 >")
                clients[0].socket.recv(65536)

    threads = [threading.Thread(target=chatter), threading.Thread(target=talk)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    begin = time.monotonic()
    server.close()
    took = time.monotonic() - begin
    stop.set()
    for thread in threads:
        thread.join(WAIT_S)
    for plain in clients:
        plain.socket.close()
    assert took < 1.5, "a second, and some for a busy computer"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("opendiag serve")]
    assert hub.endpoints == []
    server.close()


def test_the_last_frames_and_a_word_arrive_before_the_end(server: BusServer, hub: Hub) -> None:
    with opened(server) as plain:
        hub.give(Frame(0x701, b"\4"))
        server.close()
        assert plain.read_all().endswith(b" 04 >< error the server ends >")
    with pytest.raises(OSError):
        socket.create_connection(server.address, WAIT_S)


def test_a_port_that_is_taken(server: BusServer, hub: Hub) -> None:
    with pytest.raises(AdapterNotFound, match="another server may run already"):
        BusServer(hub.attach, port=server.address[1])
    assert server.address[0] == "127.0.0.1"
