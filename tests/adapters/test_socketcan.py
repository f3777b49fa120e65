"""How an open SocketCAN bus fares, by what the kernel says; with the kernel itself it is test_socketcan_lab.py."""

from __future__ import annotations

import errno
import struct
from types import SimpleNamespace
from typing import Any

import can
import pytest

from opendiag.adapters import linux_can, socketcan
from opendiag.adapters.linux_can import CanLink
from opendiag.adapters.socketcan import SocketCanHealth, health_of
from opendiag.errors import AdapterClosed, SendFailed
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.master import port as port_module
from opendiag.master.clock import RealClock
from opendiag.master.port import CanPort


class Kernel:
    """``link`` is what it says about can0; ``dropped`` what it says about the socket."""

    def __init__(self) -> None:
        self.link: CanLink | None = CanLink("can0", True, "ERROR-ACTIVE", 250_000, tx_errors=0, rx_errors=1)
        self.dropped: int | None = 0
        self.asked = 0
        self.fd = 0
        self.now = 100.0

    def can_link(self, name: str) -> CanLink | None:
        assert name == "can0"
        self.asked += 1
        return self.link

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        if not size:
            return self.fd if name == 5 else 0  # own frames are not received
        if self.dropped is None:
            raise OSError(errno.EBADF, "closed")
        return struct.pack("=9I", *range(8), self.dropped)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(linux_can, "can_link", made.can_link)
    monkeypatch.setattr(socketcan, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def health(kernel: Kernel) -> SocketCanHealth:
    return SocketCanHealth("can0", kernel)


def link(**values: Any) -> CanLink:
    return CanLink("can0", **{"up": True, "bit_rate": 250_000, **values})


def test_state_and_counters_are_asked_for_twice_a_second(kernel: Kernel, health: SocketCanHealth) -> None:
    for _ in range(1000):
        assert (health.bus_state, health.tx_errors, health.rx_errors) == ("error-active", 0, 1)
    assert kernel.asked == 1
    kernel.link = link(state="BUS-OFF", tx_errors=255, rx_errors=None)
    kernel.now += 0.4
    assert health.bus_state == "error-active"
    kernel.now += 0.2
    assert (health.bus_state, health.tx_errors, health.rx_errors) == ("bus-off", 255, None)
    assert kernel.asked == 2


def test_an_interface_that_is_down_or_gone_has_no_state(kernel: Kernel, health: SocketCanHealth) -> None:
    kernel.link = link(up=False, state="ERROR-ACTIVE")
    kernel.now += 1
    assert health.bus_state is None
    kernel.link = None
    kernel.now += 1
    assert health.bus_state is health.tx_errors is health.rx_errors is None


@pytest.mark.parametrize(
    ("number", "now", "sentence"),
    [
        (
            errno.ENOBUFS,
            link(state="ERROR-PASSIVE"),
            "transmit buffer full: nobody acknowledges (is another node on, does the bit rate fit, is the bus "
            "terminated?)",
        ),
        (errno.ENOBUFS, link(virtual=True), "transmit buffer full: can0 is slower than what is sent"),
        (
            errno.ENETDOWN,
            link(up=False),
            "can0 is down: sudo ip link set can0 up type can bitrate 250000",
        ),
        (errno.ENETDOWN, link(up=False, virtual=True), "can0 is down: sudo ip link set can0 up"),
        (
            errno.ENODEV,
            None,
            "can0 is gone: plug it in again, then sudo ip link set can0 up type can bitrate 250000",
        ),
        (errno.EIO, link(), ""),
        (None, link(), ""),
    ],
)
def test_errors_in_words(
    kernel: Kernel, health: SocketCanHealth, number: int | None, now: CanLink | None, sentence: str
) -> None:
    kernel.link = now
    assert health.explain(number) == sentence


def test_a_full_buffer_of_a_controller_that_is_bus_off(kernel: Kernel, health: SocketCanHealth) -> None:
    kernel.link = link(state="BUS-OFF")
    assert health.explain(errno.ENOBUFS).endswith(
        "; can0 is bus-off: sudo ip link set can0 down; sudo ip link set can0 up"
    )


def test_a_virtual_interface_is_removed_not_unplugged(kernel: Kernel) -> None:
    kernel.link = link(virtual=True)
    health = SocketCanHealth("can0", kernel)
    kernel.link = None
    assert health.explain(errno.ENODEV) == "can0 was removed"


def test_only_what_happened_since_is_found(kernel: Kernel) -> None:
    kernel.link = link(counted={"bus_off": 3, "rx_over_errors": 1, "rx_packets": 5})
    health = SocketCanHealth("can0", kernel)
    assert health.findings() == []
    counted = {"bus_off": 4, "rx_over_errors": 3, "rx_dropped": 7, "error_passive": 2, "bus_error": 9, "restarts": 1}
    kernel.link = link(counted={**counted, "rx_packets": 50})
    kernel.dropped = 1
    assert [(finding.code, finding.severity, finding.sentence) for finding in health.findings()] == [
        ("adapter-lost", Severity.ERROR, "1 frame came faster than they were taken, and are lost"),
        (
            "adapter-lost",
            Severity.ERROR,
            "the adapter of can0 lost frames 2 times: they came faster than it could take them",
        ),
        ("adapter-lost", Severity.ERROR, "the driver of can0 dropped 7 received frames"),
        ("adapter-trouble", Severity.WARNING, "can0 went bus-off once"),
        ("adapter-trouble", Severity.WARNING, "the controller of can0 was restarted once"),
        ("adapter-trouble", Severity.WARNING, "the controller of can0 became error-passive 2 times"),
        ("adapter-trouble", Severity.WARNING, "9 bus errors on can0"),
    ]


def test_what_was_found_stays_when_the_socket_is_closed(kernel: Kernel, health: SocketCanHealth) -> None:
    kernel.dropped = 5
    health.end()
    kernel.dropped = kernel.link = None
    health.end()
    assert [finding.sentence[:8] for finding in health.findings()] == ["5 frames"]


def test_a_kernel_that_does_not_count(kernel: Kernel, health: SocketCanHealth) -> None:
    kernel.dropped = None
    assert health.findings() == []


# --- through a port --------------------------------------------------------------------------------------------------


class SocketcanBus(can.BusABC):
    """As python-can's, by its module's name."""

    __module__ = "can.interfaces.socketcan.socketcan"

    def __init__(self, kernel: Kernel) -> None:
        self.socket = kernel
        self.channel = "can0"
        self.failure: Exception | None = None
        super().__init__("can0")

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        if self.failure:
            raise self.failure

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if self.failure:
            raise self.failure
        return None, True


@pytest.fixture
def bus(kernel: Kernel) -> Any:
    with SocketcanBus(kernel) as made:
        yield made


def test_a_port_passes_on_what_the_kernel_says(kernel: Kernel, bus: SocketcanBus) -> None:
    port = CanPort(bus, "socketcan:can0", RealClock().now)
    assert (port.bus_state, port.tx_errors, port.rx_errors) == ("error-active", 0, 1)
    kernel.dropped = 2
    port.close()
    assert [finding.code for finding in port.findings()] == ["adapter-lost"]


def test_sentences_of_a_port(kernel: Kernel, bus: SocketcanBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "_QUEUE_FULL_S", -1.0)
    port = CanPort(bus, "socketcan:can0", RealClock().now)
    for bus.failure in (
        can.CanOperationError("Failed to transmit: No buffer space available", errno.ENOBUFS),
        can.CanOperationError("Transmit buffer full"),
    ):
        with pytest.raises(SendFailed, match="cannot send: transmit buffer full: nobody acknowledges"):
            port.send(Frame(1))
    kernel.link = link(up=False)
    bus.failure = can.CanOperationError("Failed to transmit: Network is down", errno.ENETDOWN)
    with pytest.raises(SendFailed, match="can0 is down: sudo ip link set can0 up type can bitrate 250000"):
        port.send(Frame(1))
    with pytest.raises(AdapterClosed, match="socketcan:can0: can0 is down: sudo ip link"):
        port.receive(0)
    kernel.link = None
    bus.failure = can.CanOperationError("Failed to transmit: No such device", errno.ENODEV)
    with pytest.raises(AdapterClosed, match="socketcan:can0: can0 is gone: plug it in again"):
        port.send(Frame(1))
    bus.failure = can.CanOperationError("Error receiving: odd", errno.EIO)
    with pytest.raises(AdapterClosed, match=r"socketcan:can0: gone: Error receiving: odd$"):
        port.receive(0)


def test_other_buses_have_no_such_health() -> None:
    assert health_of(object()) is None
    with can.Bus("test_health", "virtual") as bus:
        assert health_of(bus) is None
        port = CanPort(bus, "virtual:x", RealClock().now)
        assert (port.bus_state, port.tx_errors, port.rx_errors, port.findings()) == (None, None, None, [])


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            link(mtu=16),
            "can0 has no CAN FD: sudo ip link set can0 down; sudo ip link set can0 up type can bitrate 250000 "
            "dbitrate 2000000 fd on",
        ),
        (
            link(mtu=16, virtual=True),
            "can0 has no CAN FD: sudo ip link set can0 down; sudo ip link set can0 mtu 72; sudo ip link set can0 up",
        ),
        (link(mtu=72), "can0 was opened without CAN FD: leave out fd=no"),
        (link(), "Failed to transmit: Invalid argument"),
    ],
)
def test_why_a_can_fd_frame_cannot_be_sent(kernel: Kernel, now: CanLink, said: str) -> None:
    class Refusing:
        channel = "can0"
        socket = kernel

        def send(self, message: can.Message) -> None:
            raise can.CanOperationError("Failed to transmit: Invalid argument", errno.EINVAL)

    Refusing.__module__ = "can.interfaces.socketcan.socketcan"
    kernel.link = now
    opened = CanPort(Refusing(), "socketcan:can0", RealClock().now, borrowed=True)  # type: ignore[arg-type]
    with pytest.raises(SendFailed) as error:
        opened.send(Frame(0x123, bytes(12), fd=True))
    assert error.value.reason == said
    with pytest.raises(SendFailed, match="Invalid argument"):
        opened.send(Frame(0x123))
    assert opened.given == 0
