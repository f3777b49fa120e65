"""What can be reached from this computer, on computers that only exist here."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import can
import pytest

from opendiag.adapters import linux_can, ports
from opendiag.adapters.linux_can import CanLink
from opendiag.adapters.ports import PortInfo, list_ports
from opendiag.adapters.uri import parse_interface

WAIT_S = 5.0


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A computer with nothing: no interfaces, libraries, drivers or simulator."""
    monkeypatch.setattr(linux_can, "SYS_NET", tmp_path / "net")
    monkeypatch.setattr(linux_can, "_details", lambda name: {})
    monkeypatch.setattr(ports, "installed", lambda module: False)
    monkeypatch.setattr(can, "detect_available_configs", lambda names, timeout: [])
    monkeypatch.setattr(ports, "running_simulator", lambda host, port: None)


def network(tmp_path: Path, name: str, kind: str = "280", flags: str = "0x40081", driver: str = "") -> None:
    path = tmp_path / "net" / name
    path.mkdir(parents=True)
    (path / "type").write_text(f"{kind}\n")
    (path / "flags").write_text(f"{flags}\n")
    if driver:
        (tmp_path / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (path / "device").mkdir()
        (path / "device" / "driver").symlink_to(tmp_path / "drivers" / driver)


def test_a_bare_computer_says_what_it_could_not_look_for() -> None:
    assert list_ports() == [
        PortInfo(
            "", "USB adapters", "not looked for", False, "pyusb is not installed: pip install pyusb libusb-package"
        ),
        PortInfo("", "serial adapters", "not looked for", False, "pyserial is not installed: pip install pyserial"),
        PortInfo("sim:stepim", "simulated StepIM drive, built in", "node 101", True),
    ]


# --- SocketCAN -------------------------------------------------------------------------------------------------------


def test_can_interfaces_up_and_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network(tmp_path, "can0", driver="gs_usb")
    network(tmp_path, "can1", flags="0x40080")
    network(tmp_path, "vcan0")
    network(tmp_path, "eth0", kind="1")
    (tmp_path / "net" / "bonding_masters").write_text("")
    details = {
        "can0": {
            "linkinfo": {
                "info_kind": "can",
                "info_data": {"state": "BUS-OFF", "bittiming": {"bitrate": 250_000}, "ctrlmode": ["LISTEN-ONLY"]},
            }
        }
    }
    monkeypatch.setattr(linux_can, "_details", lambda name: details.get(name, {}))
    off = "bus-off: sudo ip link set can0 down; sudo ip link set can0 up"
    up = "sudo ip link set can1 up type can bitrate 500000"
    assert list(ports.socketcan_ports()) == [
        PortInfo("socketcan:can0", "CAN interface (gs_usb)", "up, 250k, BUS-OFF, listen-only", True, off),
        PortInfo("socketcan:can1", "CAN interface", "down", False, up),
        PortInfo("socketcan:vcan0", "virtual CAN interface", "up", True),
    ]


def test_a_vanishing_interface_is_none(tmp_path: Path) -> None:
    network(tmp_path, "can0")
    (tmp_path / "net" / "can0" / "flags").write_text("?")
    assert linux_can.can_link("can0") == CanLink("can0", up=False)
    for name in ("can1", "", "../can0", "."):
        assert linux_can.can_link(name) is None, name


@pytest.mark.parametrize(
    ("output", "bit_rate"),
    [
        (b'[{"linkinfo": {"info_data": {"bittiming": {"bitrate": 125000}}}}]', 125_000),
        (b'[{"ifname": "can0"}]', None),
        (b"[]", None),
        (b"[1]", None),
        (b"can0: <NOARP,UP>", None),
    ],
)
def test_what_ip_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: bytes, bit_rate: int | None) -> None:
    monkeypatch.undo()
    network(tmp_path, "can0")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: SimpleNamespace(stdout=output))
    link = linux_can.can_link("can0", tmp_path / "net")
    assert link is not None and link.bit_rate == bit_rate


@pytest.mark.parametrize("failure", [FileNotFoundError("ip"), subprocess.TimeoutExpired("ip", 2)])
def test_without_ip_the_rate_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def run(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.undo()
    network(tmp_path, "vcan7")
    monkeypatch.setattr(subprocess, "run", run)
    assert linux_can.can_link("vcan7", tmp_path / "net") == CanLink("vcan7", up=True, virtual=True)


# --- serial and USB --------------------------------------------------------------------------------------------------


def serial_port(device: str, vid: int | None = None, pid: int | None = None, **more: str | None) -> SimpleNamespace:
    values = {"description": "n/a", "hwid": "n/a", "serial_number": None, **more}
    return SimpleNamespace(device=device, vid=vid, pid=pid, **values)


def with_library(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    """A module that only exists here, and all the packages above it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    for end in range(1, len(parts)):
        setattr(sys.modules[".".join(parts[:end])], parts[end], sys.modules[".".join(parts[: end + 1])])
    for member, value in members.items():
        setattr(sys.modules[name], member, value)


def test_serial_ports_are_known_by_their_usb_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        serial_port("COM9", 0x16D0, 0x117E, serial_number="AB12"),
        serial_port("COM5", 0x1A86, 0x7523),
        serial_port("COM1", hwid="ACPI", description="Communications Port"),
    ]
    with_library(monkeypatch, "serial.tools.list_ports", comports=lambda: found)
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    assert list(ports.serial_ports()) == [
        PortInfo(
            "slcan:COM1", "Communications Port", "ACPI", False, "if it is a CAN adapter: slcan:COM1 or usbcan:COM1"
        ),
        PortInfo(
            "usbcan:COM5",
            "CH340 serial chip, as in the USB-CAN Analyzer",
            "USB 1a86:7523",
            True,
            "many other things have this chip",
        ),
        PortInfo("slcan:COM9", "CANable 2 with SLCAN firmware", "USB 16d0:117e, serial number AB12", True),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="ports have no permissions there")
def test_a_port_without_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "ttyACM0"
    device.touch()
    with_library(monkeypatch, "serial.tools.list_ports", comports=lambda: [serial_port(str(device), 0xAD50, 0x60C4)])
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (port,) = ports.serial_ports()
    assert (port.usable, port.note[:28]) == (False, "no permission: sudo usermod ")


class UsbDevice:
    def __init__(self, vendor: int, product: int, texts: tuple[str, str] | None = None) -> None:
        self.idVendor, self.idProduct, self.bus, self.address = vendor, product, 1, 7
        self._texts = texts

    @property
    def manufacturer(self) -> str:
        if self._texts is None:
            raise ValueError("The device has no langid (permission issue, no string descriptors supported)")
        return self._texts[0]

    @property
    def product(self) -> str:
        if self._texts is None:
            raise ValueError("The device has no langid (permission issue, no string descriptors supported)")
        return self._texts[1]


def with_usb(monkeypatch: pytest.MonkeyPatch, *devices: UsbDevice, libraries: tuple[str, ...] = ("gs_usb",)) -> None:
    with_library(monkeypatch, "usb.core", find=lambda **kwargs: iter(devices), NoBackendError=ZeroDivisionError)
    monkeypatch.setattr(ports, "installed", lambda module: module in ("usb", *libraries))


def test_usb_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    with_usb(
        monkeypatch,
        UsbDevice(0x1D50, 0x606F, ("LinkLayer Labs", "CANtact Pro")),
        UsbDevice(0x1D50, 0x606F),
        UsbDevice(0x1209, 0x2323, ("bytewerk", "candleLight USB to CAN adapter")),
        UsbDevice(0x0483, 0xDF11, ("", "")),
        UsbDevice(0x046D, 0xC534, ("Logitech", "USB Receiver")),
    )
    found = list(ports.usb_ports())
    assert [(port.uri, port.description, port.usable) for port in found] == [
        ("cantact:0", "LinkLayer Labs CANtact Pro", True),
        ("cantact:1", "LinkLayer Labs CANtact Pro", True),
        ("gs_usb:0", "candleLight, CANable, CANtact or a relative (gs_usb)", True),
        ("gs_usb:1", "bytewerk candleLight USB to CAN adapter", True),
        ("", "boot loader of an adapter", False),
    ]
    assert found[0].detail == "USB 1d50:606f, bus 1 address 7"


def test_usb_adapters_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_usb(monkeypatch, UsbDevice(0x1D50, 0x606F), libraries=())
    assert [port.note for port in ports.usb_ports()] == ["needs gs_usb: pip install gs_usb"]
    network(tmp_path, "can0", driver="gs_usb")
    assert [port.note for port in ports.usb_ports()] == ["Linux has made a CAN interface of it: use socketcan"]


def test_pyusb_without_libusb(monkeypatch: pytest.MonkeyPatch) -> None:
    with_usb(monkeypatch)
    sys.modules["usb.core"].find = lambda **kwargs: 1 // 0  # type: ignore[attr-defined]
    assert [port.note for port in ports.usb_ports()] == ["libusb is not installed: pip install libusb-package"]


def test_channels_of_manufacturers_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "pcan": [{"interface": "pcan", "channel": "PCAN_USBBUS1", "device_name": "PCAN-USB FD"}],
        "kvaser": [{"interface": "kvaser", "channel": 0, "serial": 123}, {"interface": "kvaser"}],
    }
    monkeypatch.setattr(can, "detect_available_configs", lambda names, timeout: found.get(names[0], []))
    assert list(ports.vendor_ports()) == [
        PortInfo("pcan:PCAN_USBBUS1", "pcan channel", "PCAN-USB FD", True),
        PortInfo("kvaser:0", "kvaser channel", "123", True),
    ]


def test_a_library_that_fails_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def comports() -> list[SimpleNamespace]:
        raise RuntimeError("registry")

    with_library(monkeypatch, "serial.tools.list_ports", comports=comports)
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    found = {port.description: port for port in list_ports()}
    assert found["serial adapters"].note == "RuntimeError: registry"
    assert "simulated StepIM drive, built in" in found


# --- simulators ------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[tuple[int, list[bytes]]]:
    """(port, answers): a server that gives one answer to each thing it hears, and the first unasked."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(WAIT_S)
                for answer in answers:
                    connection.sendall(answer)
                    if not connection.recv(100):
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], answers
        with socket.socket() as last:  # lets a server that nobody asked come to its end
            last.connect_ex(listener.getsockname())
        thread.join(WAIT_S)


def test_a_running_simulator_comes_first(monkeypatch: pytest.MonkeyPatch, answering: tuple[int, list[bytes]]) -> None:
    port, answers = answering
    answers += [b"< hi >", b"< ok >"]
    monkeypatch.undo()
    found = list(ports.simulator_ports(port=port))
    assert [info.uri for info in found] == [f"socketcand:127.0.0.1:{port}/sim", "sim:stepim"]


@pytest.mark.parametrize(
    "said", [[b"< hi >", b"< error no bus named sim here >"], [b"SSH-2.0-OpenSSH_9.2p1\r\n"], [b""], []]
)
def test_another_server_is_no_simulator(
    monkeypatch: pytest.MonkeyPatch, answering: tuple[int, list[bytes]], said: list[bytes]
) -> None:
    port, answers = answering
    answers += said
    monkeypatch.undo()
    assert ports.running_simulator(port=port) is None


def test_every_name_can_be_parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network(tmp_path, "can0")
    with_library(
        monkeypatch, "serial.tools.list_ports", comports=lambda: [serial_port(r"\\.\COM12"), serial_port("/dev/a@b?c")]
    )
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    names = [port.uri for port in list_ports() if port.uri]
    assert names == ["socketcan:can0", r"slcan:/dev/a%40b%3Fc", r"slcan:\\.\COM12", "sim:stepim"]
    assert [str(parse_interface(name)) for name in names] == names


def test_socketcan_delivers_no_own_frames_unless_it_is_told_to():
    """Its mark "not received" is on everything that was sent on this computer."""
    made = type("SocketcanBus", (), {"__module__": "can.interfaces.socketcan.socketcan"})
    for asked in (0, 1):
        bus = made()
        bus.socket = type("S", (), {"getsockopt": lambda self, level, name, asked=asked: asked})()
        assert linux_can.delivers_own_frames(bus) is bool(asked)
    assert linux_can.delivers_own_frames(made())
    assert linux_can.delivers_own_frames(object())
