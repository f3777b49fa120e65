"""What adapters tell about themselves, asked of emulated ones."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from emulators.bench_slcan import Canable2Bench
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import device_facts, gs_usb_find, linux_can
from opendiag.adapters.linux_can import CanLink
from opendiag.adapters.open import open_bus
from opendiag.adapters.serial_ports import SerialPort
from opendiag.adapters.uri import parse_interface
from opendiag.errors import AdapterError, AdapterNotFound


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBackend:
    backend = FakeBackend()
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: backend)
    monkeypatch.setattr(gs_usb_find, "SYS_USB", tmp_path / "usb")
    return backend


@pytest.fixture
def analyzer(tmp_path: Path) -> Iterator[UsbCanBench]:
    bench = UsbCanBench(BusModel(), tmp_path, counters=(3, 130), status_flags=b"\x01\x02\x03\x04")
    yield bench
    bench.close()


def facts(text: str) -> dict[str, str]:
    return device_facts.facts(parse_interface(text))


# --- gs_usb


def test_a_cantact_pro_tells_its_limits(usb: FakeBackend) -> None:
    device = GsUsbDevice(BusModel(), "pro")
    usb.plug(device, (2, 3))
    said = facts("cantact:/1-2.3/1")
    assert said["adapter"] == "LinkLayer Labs CANtact Pro"
    assert said["serial number"].startswith("none")
    assert (said["channel"], said["clock"]) == ("1 of 2", "24 MHz")
    assert said["bit rates"] == "10k, 20k, 50k, 125k, 250k, 500k, 800k, 1M"
    assert said["features"] == "listen-only, loop-back, identify, fd"
    assert said["bus state"].startswith("unknown")
    assert "not their acknowledge" in said["confirms"]
    assert usb.claims == 0
    assert not device.complaints


def test_what_it_cannot_do_is_said(usb: FakeBackend) -> None:
    usb.plug(GsUsbDevice(BusModel(), "candlelight", clock=42_000_000), (1,))
    assert facts("gs_usb:0")["bit rates"].endswith("; not 800k")


def test_state_and_resistor_of_one_that_has_them(usb: FakeBackend) -> None:
    device = GsUsbDevice(BusModel(), "candlelight_fd")
    usb.plug(device, (1,))
    where = parse_interface("candlelight:0")
    assert facts("candlelight:0")["termination"] == "off"
    assert "errors TX 0 RX 0" in facts("candlelight:0")["bus state"]
    assert device_facts.termination(where, True)
    assert device.channels[0].termination
    assert facts("candlelight:0")["termination"] == "on"
    assert not device_facts.termination(where, False)
    assert not device.channels[0].termination


def test_blinking_begins_and_ends(usb: FakeBackend) -> None:
    device = GsUsbDevice(BusModel(), "pro")
    usb.plug(device, (1,)).kernel_bound = True  # Linux may have it
    name = device_facts.identify(parse_interface("cantact:0"), True)
    assert name == "CANtact Pro at USB 1-1"
    assert device.channels[0].identifying
    device_facts.identify(parse_interface("cantact:0"), False)
    assert not device.channels[0].identifying


def test_the_adapter_behind_a_can_interface_is_found(
    usb: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = GsUsbDevice(BusModel(), "pro")
    plug = usb.plug(device, (1,))
    plug.kernel_bound = True
    place = tmp_path / "usb" / "1-1"
    (place / "1-1:1.0" / "net" / "can5").mkdir(parents=True)
    (place / "busnum").write_text("1")
    (place / "devnum").write_text(str(plug.address))
    monkeypatch.setattr(linux_can, "can_link", lambda name: CanLink(name, up=True, driver="gs_usb"))
    device_facts.identify(parse_interface("socketcan:can5"), True)
    assert device.channels[0].identifying
    with pytest.raises(AdapterError, match="socketcan:can7 cannot blink"):
        device_facts.identify(parse_interface("socketcan:can7"), True)


@pytest.mark.parametrize("kind", ["cantact", "candlelight"])
def test_a_resistor_that_cannot_be_switched(usb: FakeBackend, kind: str) -> None:
    usb.plug(GsUsbDevice(BusModel(), kind), (1,))
    with pytest.raises(AdapterError, match="cannot switch its termination"):
        device_facts.termination(parse_interface("gs_usb:0"))


def test_nothing_plugged_in(usb: FakeBackend) -> None:
    with pytest.raises(AdapterError, match="is it plugged in"):
        facts("cantact:0")


# --- serial


def test_an_analyzer_tells_its_counters_and_is_not_configured(analyzer: UsbCanBench) -> None:
    said = facts(f"usbcan:{analyzer.channel}")
    assert said["serial line"].endswith("baud")
    assert said["error counters"] == "TX 130, RX 3: error-passive"
    assert said["flags"].startswith("01 02 03 04")
    assert analyzer.device.configured == []


def test_the_stored_filter_is_cleared(analyzer: UsbCanBench) -> None:
    analyzer.device.stored.allow = frozenset({5})
    device_facts.clear_filter(parse_interface(f"usbcan:{analyzer.channel}"))
    assert not analyzer.device.stored.allow
    assert analyzer.device.configured == []


def test_analyzers_are_counted_as_for_opening(analyzer: UsbCanBench, monkeypatch: pytest.MonkeyPatch) -> None:
    port = SerialPort(analyzer.channel, "usbcan", "", "")
    monkeypatch.setattr("opendiag.adapters.usbcan.found_ports", lambda: iter([port]))
    assert facts("usbcan:0")["port"] == analyzer.channel
    device_facts.clear_filter(parse_interface("usbcan:0"))
    with pytest.raises(AdapterError, match="no USB-CAN Analyzer number 1"):
        facts("usbcan:1")


def test_an_slcan_adapter_tells_its_dialect(tmp_path: Path) -> None:
    bench = Canable2Bench(BusModel(), tmp_path)
    try:
        assert facts(f"slcan:{bench.channel}")["dialect"] == "canable2"
    finally:
        bench.close()


@pytest.mark.parametrize("adapter", ["slcan", "usbcan"])
def test_a_port_that_is_not_there(adapter: str, tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFound, match=r"there is no .*nothing"):
        facts(f"{adapter}:{tmp_path}/nothing")


@pytest.mark.parametrize("adapter", ["slcan", "usbcan"])
@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "no permission: sudo usermod -aG dialout"), (errno.EBUSY, "it is in use: close the other program")],
)
def test_a_port_that_does_not_open_is_said_as_for_other_commands(
    monkeypatch: pytest.MonkeyPatch, adapter: str, number: int, said: str
) -> None:
    def refuse(port: str, *args: object, **options: object) -> None:
        raise serial.SerialException(number, f"could not open port {port}: {os.strerror(number)}")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(AdapterNotFound) as asked:
        facts(f"{adapter}:/dev/ttyACM0")
    assert asked.value.reason.startswith(said)
    with pytest.raises(AdapterNotFound) as opened:
        open_bus(parse_interface(f"{adapter}:/dev/ttyACM0@500k"))
    assert opened.value.reason == asked.value.reason


# --- others


def test_a_can_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    link = CanLink(
        "can0", True, "ERROR-WARNING", 500_000, driver="gs_usb", sample_point=0.875, tx_errors=97, rx_errors=0,
        modes=("FD",), counted={"bus_off": 2, "restarts": 0}, tx_queue=10,
    )  # fmt: skip
    monkeypatch.setattr(linux_can, "can_link", lambda name: link)
    said = facts("socketcan:can0")
    assert said["bit rate"] == "500k, sample point 87.5 %"
    assert said["error counters"] == "TX 97, RX 0"
    assert said["counted"] == "bus_off 2"
    assert said["after bus-off"].startswith("stays off")


def test_what_nobody_asks() -> None:
    with pytest.raises(AdapterError, match="pcan is not asked about itself"):
        facts("pcan:PCAN_USBBUS1")
    with pytest.raises(AdapterError, match="a simulated bus has no adapter"):
        facts("sim:stepim")
    with pytest.raises(AdapterError, match="stores no filter"):
        device_facts.clear_filter(parse_interface("slcan:/dev/ttyACM0"))
    with pytest.raises(AdapterError, match="baud is 'fast'"):
        facts("usbcan:/dev/null?baud=fast")
