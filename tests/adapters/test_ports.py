"""What can be reached from this computer, on computers that only exist here."""

from __future__ import annotations

import socket
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import can
import pytest
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend
from usb import core as usb_core

from opendiag.adapters import gs_usb_find, linux_can, ports, serial_ports
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
    monkeypatch.setattr(serial_ports, "SYS_USB", tmp_path / "usb")


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
    usb, serial = "pip install 'opendiag[usb]'", "pip install 'opendiag[serial]'"
    assert list_ports() == [
        PortInfo("", "USB adapters", "not looked for", False, "pyusb is not installed", usb),
        PortInfo("", "serial adapters", "not looked for", False, "pyserial is not installed", serial),
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
    off = "sudo ip link set can0 down; sudo ip link set can0 up"
    up = "sudo ip link set can1 up type can bitrate 500000"
    found = list(ports.socketcan_ports())
    assert [(port.uri, port.description, port.detail, port.usable) for port in found] == [
        ("socketcan:can0", "CAN interface (gs_usb)", "up, 250k, BUS-OFF, listen-only", True),
        ("socketcan:can1", "CAN interface", "down", False),
        ("socketcan:vcan0", "virtual CAN interface", "up", True),
    ]
    assert [(port.note, port.fix) for port in found] == [("it is bus-off", off), ("it is down", up), ("", "")]
    assert found[0].driver == "gs_usb"


def test_what_a_can_interface_tells_about_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    link = CanLink("can0", True, "ERROR-PASSIVE", 500_000, data_bit_rate=2_000_000, tx_errors=130, rx_errors=7)
    monkeypatch.setattr(linux_can, "can_links", lambda: [replace(link, clock_hz=24_000_000, device="1-2.3:1.0")])
    (port,) = ports.socketcan_ports()
    assert port.detail == "up, 500k, data 2M, ERROR-PASSIVE, errors TX 130 RX 7, 24 MHz, at 1-2.3"
    assert port.clock_hz == 24_000_000


def test_a_vanishing_interface_is_none(tmp_path: Path) -> None:
    network(tmp_path, "can0")
    (tmp_path / "net" / "can0" / "flags").write_text("?")
    assert linux_can.can_link("can0") == CanLink("can0", up=False)
    for name in ("can1", "", "../can0", "."):
        assert linux_can.can_link(name) is None, name


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
    other, analyzer, canable = ports.serial_ports()
    assert (other.uri, other.description, other.detail, other.usable) == (
        "slcan:COM1",
        "Communications Port",
        "ACPI",
        False,
    )
    assert other.note == "if it is a CAN adapter: slcan:COM1 or usbcan:COM1"
    assert (analyzer.uri, analyzer.usable, analyzer.channels) == ("usbcan:COM5", True, 1)
    assert (analyzer.detail, analyzer.note) == ("USB 1a86:7523", "many other things have this chip")
    assert (canable.uri, canable.serial, canable.note) == ("slcan:COM9", "AB12", "")
    assert canable.detail == "USB 16d0:117e, serial number AB12"


# --- gs_usb, on an emulated USB


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBackend:
    """Nothing is plugged in yet."""
    backend = FakeBackend()
    monkeypatch.setattr(ports, "installed", lambda module: module == "usb")
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: backend)
    monkeypatch.setattr(gs_usb_find, "SYS_USB", tmp_path / "usb")
    return backend


def test_every_channel_of_a_usb_adapter_has_a_name_that_opens_it(usb: FakeBackend) -> None:
    bus = BusModel()
    usb.plug(GsUsbDevice(bus, "pro"), (2, 3))
    usb.plug(GsUsbDevice(bus, "candlelight", label="c"), (4,))
    first, second, candlelight = ports.usb_ports()
    assert [port.uri for port in (first, second, candlelight)] == [
        "cantact:/1-2.3",
        "cantact:/1-2.3/1",
        "candlelight:001D00395642500E20363439",
    ]
    assert second.description == "LinkLayer Labs CANtact Pro"
    assert second.detail == "channel 1 of 2, 24 MHz, CAN FD, firmware 2, no serial number, USB 1d50:606f at 1-2.3"
    assert (second.channels, second.clock_hz, second.usable, second.note) == (2, 24_000_000, True, "")
    for port in (first, second, candlelight):
        named = parse_interface(port.uri)
        info, channel = gs_usb_find.choose(named.channel, named.adapter)
        assert (info.path, channel) == {first: ("1-2.3", 0), second: ("1-2.3", 1), candlelight: ("1-4", 0)}[port]


def test_two_adapters_with_one_serial_number_are_named_by_their_place(usb: FakeBackend) -> None:
    bus = BusModel()
    for place in (1, 2):
        usb.plug(GsUsbDevice(bus, "canable", label=f"c{place}"), (place,))
    assert [port.uri for port in ports.usb_ports()] == ["candlelight:/1-1", "candlelight:/1-2"]


def test_what_linux_has_made_of_an_adapter(usb: FakeBackend, tmp_path: Path) -> None:
    plug = usb.plug(GsUsbDevice(BusModel(), "pro"), (1,))
    plug.kernel_bound = True
    (port, _) = ports.usb_ports()
    assert (port.usable, port.driver) == (False, "gs_usb")
    assert "detach_kernel_driver=yes" in port.note
    place = tmp_path / "usb" / "1-1"
    for number in (0, 1):
        (place / "1-1:1.0" / "net" / f"can{number}").mkdir(parents=True)
    (place / "busnum").write_text("1")
    (place / "devnum").write_text(str(plug.address))
    assert [port.note for port in ports.usb_ports()] == [
        "Linux has made can0 of it: use socketcan:can0",
        "Linux has made can1 of it: use socketcan:can1",
    ]


def test_a_usb_adapter_without_permission(usb: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    usb.plug(GsUsbDevice(BusModel(), "pro"), (1,))
    denied = usb_core.USBError("Access denied (insufficient permissions)", -3, 13)
    monkeypatch.setattr(usb, "open_device", lambda plug: (_ for _ in ()).throw(denied))
    (port,) = ports.usb_ports()
    assert (port.usable, port.fix) == (False, "opendiag udev | sudo tee /etc/udev/rules.d/70-opendiag.rules")
    assert port.note.startswith("no permission")


def test_usb_without_libusb(usb: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: None)
    assert [(port.note, port.fix) for port in ports.usb_ports()] == [
        ("libusb is not installed", "pip install libusb-package")
    ]


def test_a_boot_loader_is_no_adapter(usb: FakeBackend) -> None:
    usb.plug(GsUsbDevice(BusModel(), "candlelight", vendor=0x0483, product=0xDF11), (1,))
    (port,) = ports.usb_ports()
    assert (port.uri, port.usable) == ("", False)
    assert "waits for firmware" in port.note


def test_channels_of_manufacturers_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "pcan": [{"interface": "pcan", "channel": "PCAN_USBBUS1", "device_name": "PCAN-USB FD"}],
        "kvaser": [{"interface": "kvaser", "channel": 0, "serial": 123}, {"interface": "kvaser"}],
    }
    monkeypatch.setattr(can, "detect_available_configs", lambda names, timeout: found.get(names[0], []))
    assert list(ports.vendor_ports()) == [
        PortInfo("pcan:PCAN_USBBUS1", "pcan channel", "PCAN-USB FD", True, driver="pcan"),
        PortInfo("kvaser:0", "kvaser channel", "123", True, driver="kvaser", serial="123"),
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


def test_serial_ports_of_the_computer_itself_are_counted_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wired").symlink_to("/dev/ttyS7")
    monkeypatch.setattr(serial_ports, "BY_ID", tmp_path)
    monkeypatch.setattr(serial_ports, "_access", lambda device: (True, "", ""))
    found = [serial_port(f"/dev/ttyS{number}") for number in (0, 1, 7)] + [serial_port("/dev/ttyUSB0", 0x0403, 0x6015)]
    with_library(monkeypatch, "serial.tools.list_ports", comports=lambda: found)
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    lasting, usb, others = ports.serial_ports()
    assert (lasting.uri, usb.uri) == ("slcan:/dev/ttyS7", "slcan:/dev/ttyUSB0")
    assert (others.uri, others.description, others.detail) == ("", "serial ports of the computer itself", "2 left out")
    assert others.note == "`opendiag ports --all` lists them"
    uris = [port.uri for port in list_ports(everything=True) if "/dev" in port.uri]
    assert uris == ["slcan:/dev/ttyS0", "slcan:/dev/ttyS1", "slcan:/dev/ttyS7", "slcan:/dev/ttyUSB0"]


def test_a_port_of_an_unknown_chip_without_permission_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_ports, "_access", lambda device: (False, "no permission: join x", "sudo usermod x"))
    found = [serial_port("/dev/ttyUSB0", 0x0403, 0x6015)]
    with_library(monkeypatch, "serial.tools.list_ports", comports=lambda: found)
    monkeypatch.setattr(ports, "installed", lambda module: module == "serial")
    (port,) = ports.serial_ports()
    assert port.note.startswith("no permission: join x; if it is a CAN adapter: slcan:/dev/ttyUSB0 or ")
    assert (port.usable, port.fix) == (False, "sudo usermod x")
