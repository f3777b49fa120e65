"""Serial ports on computers that only exist here: permissions, other programs, adapters without a port."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from opendiag.adapters import serial_ports
from opendiag.adapters.serial_ports import found_ports

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files of Linux")


class Computer:
    """Its files are below a directory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.ports: list[SimpleNamespace] = []
        for name in ("SYS_USB", "SYS_TTY", "PROC", "UDEV_DATA", "BY_ID", "BY_PATH"):
            (root / name).mkdir()
            monkeypatch.setattr(serial_ports, name, root / name)
        monkeypatch.setattr(list_ports, "comports", lambda: self.ports)

    def port(self, name: str, vid: int, pid: int, serial: str | None = None) -> Path:
        device = self.root / name
        device.touch()
        self.ports.append(
            SimpleNamespace(device=str(device), vid=vid, pid=pid, serial_number=serial, description="n/a", hwid="n/a")
        )
        return device

    def process(self, name: str) -> None:
        place = self.root / "PROC" / str(len(list((self.root / "PROC").iterdir())) + 1)
        place.mkdir()
        (place / "comm").write_text(f"{name}\n")

    def usb(self, place: str, vid: int, pid: int, tty: str = "") -> None:
        path = self.root / "SYS_USB" / place
        path.mkdir()
        (path / "idVendor").write_text(f"{vid:04x}\n")
        (path / "idProduct").write_text(f"{pid:04x}\n")
        (path / f"{place}:1.0" / tty).mkdir(parents=True)


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Computer:
    return Computer(tmp_path, monkeypatch)


def test_names_that_stay_the_same(computer: Computer) -> None:
    canable = computer.port("ttyACM0", 0x16D0, 0x117E, "AB12")
    analyzer = computer.port("ttyUSB0", 0x1A86, 0x7523)
    (computer.root / "BY_ID" / "usb-Protofusion-AB12-if00").symlink_to(canable)
    (computer.root / "BY_ID" / "usb-1a86-if00").symlink_to(analyzer)
    (computer.root / "BY_PATH" / "pci-usb-0:1:1.0").symlink_to(analyzer)
    first, second = found_ports()
    assert first.detail == (f"USB 16d0:117e, serial number AB12, also {computer.root}/BY_ID/usb-Protofusion-AB12-if00")
    assert second.detail.endswith("/BY_PATH/pci-usb-0:1:1.0"), "two of them have the same name by id"


def test_the_driver_is_named(computer: Computer) -> None:
    computer.port("ttyUSB0", 0x1A86, 0x7523)
    (computer.root / "drivers" / "ch341-uart").mkdir(parents=True)
    (computer.root / "SYS_TTY" / "ttyUSB0" / "device").mkdir(parents=True)
    (computer.root / "SYS_TTY" / "ttyUSB0" / "device" / "driver").symlink_to(computer.root / "drivers" / "ch341-uart")
    assert [port.driver for port in found_ports()] == ["ch341-uart"]


def test_without_permission_the_group_to_join_is_named(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.port("ttyACM0", 0xAD50, 0x60C4)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(serial_ports, "_group_of", lambda path: ("uucp", ["ann"]))
    monkeypatch.setenv("USER", "bob")
    (port,) = found_ports()
    assert (port.accessible, port.fix) == (False, "sudo usermod -aG uucp $USER")
    assert port.note == "no permission: join the group uucp, then log in again"
    monkeypatch.setenv("USER", "ann")
    (port,) = found_ports()
    assert (port.accessible, port.fix) == (False, "")
    assert port.note.endswith("log in again")


def test_modemmanager_writes_into_slcan_adapters(computer: Computer) -> None:
    device = computer.port("ttyACM0", 0xAD50, 0x60C4)
    assert [port.note for port in found_ports()] == [""]
    computer.process("ModemManager")
    (port,) = found_ports()
    assert "ModemManager" in port.note
    assert (port.accessible, port.fix) == (
        True,
        "opendiag udev | sudo tee /etc/udev/rules.d/70-opendiag.rules",
    )
    number = device.stat().st_rdev
    data = computer.root / "UDEV_DATA" / f"c{os.major(number)}:{os.minor(number)}"
    data.write_text("E:ID_MM_PORT_IGNORE=1\n")
    assert [port.note for port in found_ports()] == [""], "the rules are there"


def test_brltty_takes_the_ch340_away(computer: Computer) -> None:
    computer.usb("1-2", 0x1A86, 0x7523)
    (port,) = found_ports()
    assert (port.device, port.adapter, port.accessible) == ("", "usbcan", False)
    assert (port.fix, port.detail) == ("sudo modprobe ch341", "USB 1a86:7523 at 1-2")
    computer.process("brltty")
    (port,) = found_ports()
    assert "braille" in port.note
    assert port.fix == "sudo apt remove brltty"


@pytest.mark.parametrize("tty", ["ttyUSB0", "tty/ttyACM0"])
def test_an_adapter_with_a_port_is_listed_once(computer: Computer, tty: str) -> None:
    computer.usb("1-2", 0x1A86, 0x7523, tty)
    computer.usb("1-3", 0x046D, 0xC534)
    assert list(found_ports()) == []
