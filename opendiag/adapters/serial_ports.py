"""The serial ports of this computer that may be CAN adapters, and what other programs do to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opendiag.adapters.udev import BRLTTY, INSTALL, SERIAL, SerialId

#: Where Linux describes USB devices, terminals and processes, and where udev keeps what it knows.
SYS_USB = Path("/sys/bus/usb/devices")
SYS_TTY = Path("/sys/class/tty")
PROC = Path("/proc")
UDEV_DATA = Path("/run/udev/data")
#: Names that stay the same; the second kind for adapters without a serial number.
BY_ID, BY_PATH = Path("/dev/serial/by-id"), Path("/dev/serial/by-path")

#: (vendor, product) -> the kernel's module for it.
_MODULES = {(0x1A86, 0x7523): "ch341", (0x0403, 0x6001): "ftdi_sio"}
#: Linux makes several of these, whether anything is behind them or not.
_BUILT_IN = "/dev/ttyS"
_MODEM_MODULE = "cdc_acm"


@dataclass(frozen=True)
class SerialPort:
    """``adapter`` "" for a port that nothing is known about; ``device`` "" for an adapter without a port.

    ``built_in``: it is one of the computer itself, not on USB. ``note``, ``fix``, ``driver``, ``serial`` as in
    `PortInfo`.
    """

    device: str
    adapter: str
    description: str
    detail: str
    accessible: bool = True
    note: str = ""
    fix: str = ""
    driver: str = ""
    serial: str = ""
    built_in: bool = False


def found_ports() -> Iterator[SerialPort]:
    """What pyserial finds, and what it would find if nothing were in the way."""
    from serial.tools.list_ports import comports  # type: ignore[import-not-found, import-untyped, unused-ignore]

    for port in sorted(comports(), key=lambda port: str(port.device)):
        yield _port(port)
    yield from _without_port()


def _port(port: Any) -> SerialPort:
    device, key = str(port.device), (port.vid or 0, port.pid or 0)
    known = SERIAL.get(key)
    accessible, note, fix = _access(device)
    if known is not None and accessible:
        note, fix = _other_programs(device, known)
    return SerialPort(
        device,
        known.adapter if known else "",
        known.description if known else str(port.description or "serial port"),
        _detail(port, device),
        accessible,
        note,
        fix,
        _driver(device),
        str(port.serial_number or ""),
        device.startswith(_BUILT_IN) and not port.vid and not _stable_name(device, BY_ID),
    )


def _detail(port: Any, device: str) -> str:
    if not port.vid:
        return str(port.hwid or "")
    parts = [f"USB {port.vid:04x}:{port.pid:04x}"]
    if port.serial_number:
        parts.append(f"serial number {port.serial_number}")
    if stable := _stable_name(device, BY_ID if port.serial_number else BY_PATH):
        parts.append(f"also {stable}")
    return ", ".join(parts)


def _stable_name(device: str, directory: Path) -> str:
    """A link to it that stays the same when ports are counted otherwise; "" when there is none."""
    try:
        return next((str(link) for link in sorted(directory.iterdir()) if link.resolve() == Path(device).resolve()), "")
    except OSError:
        return ""


def _driver(device: str) -> str:
    try:
        return (SYS_TTY / Path(device).name / "device" / "driver").readlink().name
    except OSError:
        return ""


# --- what is in the way


def _access(device: str) -> tuple[bool, str, str]:
    """Accessible or not, and if not: why, and the line that helps."""
    path = Path(device)
    if sys.platform == "win32" or not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return True, "", ""
    group, members = _group_of(path)
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    if user and user in members:
        return False, f"no permission yet: you are in the group {group} since you logged in; log in again", ""
    return False, f"no permission: join the group {group}, then log in again", f"sudo usermod -aG {group} $USER"


def _group_of(path: Path) -> tuple[str, list[str]]:
    try:
        import grp

        entry = grp.getgrgid(path.stat().st_gid)
    except (ImportError, KeyError, OSError):
        return "dialout", []
    if entry.gr_name == "root":  # nobody joins that one
        return "dialout", []
    return entry.gr_name, list(entry.gr_mem)


def _other_programs(device: str, known: SerialId) -> tuple[str, str]:
    """What may disturb a port that can be used."""
    if known.modem and _runs("ModemManager") and "ID_MM_" not in _udev_data(device):
        return "ModemManager writes into it for some seconds after it is plugged in", INSTALL[0]
    return ("many other things have this chip", "") if known.common else ("", "")


def _udev_data(device: str) -> str:
    try:
        number = Path(device).stat().st_rdev
        return _read(UDEV_DATA / f"c{os.major(number)}:{os.minor(number)}")
    except OSError:
        return ""


def _without_port() -> Iterator[SerialPort]:
    """Adapters that Linux sees and has made no serial port of."""
    for place in sorted(SYS_USB.glob("*")):
        try:
            key = int(_read(place / "idVendor"), 16), int(_read(place / "idProduct"), 16)
        except ValueError:  # an interface, not a device
            continue
        known = SERIAL.get(key)
        if known is None or any(place.glob(f"{place.name}:*/tty*")):
            continue
        serial = _read(place / "serial")
        number = f", serial number {serial}" if serial else ""
        detail = f"USB {key[0]:04x}:{key[1]:04x} at {place.name}{number}"
        if key == BRLTTY and _runs("brltty"):
            note = "no serial port: the braille service brltty takes it for a braille display"
            fix = "sudo apt remove brltty"
        else:
            module = _MODULES.get(key, _MODEM_MODULE)
            note = f"no serial port: Linux's driver for it ({module}) is not there, or another program has it"
            fix = f"sudo modprobe {module}"
        yield SerialPort("", known.adapter, known.description, detail, False, note, fix, serial=serial)


def _runs(name: str) -> bool:
    """Is there a process of this name?"""
    return any(_read(process / "comm") == name for process in PROC.glob("[0-9]*"))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
