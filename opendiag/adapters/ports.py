"""What a bus can be reached through on this computer, with the name to give to ``-i``.

Nothing is hidden: what is there and cannot be used is listed with the reason, and so is what could not be looked for.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from opendiag.adapters import linux_can
from opendiag.adapters.drivers import installed
from opendiag.adapters.linux_can import CanLink, set_up_command
from opendiag.adapters.socketcand_probe import probe
from opendiag.adapters.uri import SIM_PORT, Interface, format_bit_rate, parse_interface
from opendiag.errors import AdapterNotFound

LOOPBACK = "127.0.0.1"
#: A server on the same computer answers at once.
_PROBE_S = 0.3

#: (vendor, product) of serial adapters -> (adapter, what it is). The first two are also in many other things.
_SERIAL: dict[tuple[int, int], tuple[str, str]] = {
    (0x1A86, 0x7523): ("usbcan", "CH340 serial chip, as in the USB-CAN Analyzer"),
    (0x0403, 0x6001): ("usbcan", "FT232 serial chip, as in some USB-CAN Analyzers"),
    (0xAD50, 0x60C4): ("slcan", "CANtact or CANable with SLCAN firmware"),
    (0x16D0, 0x117E): ("slcan", "CANable 2 with SLCAN firmware"),
}
_COMMON_CHIPS = {(0x1A86, 0x7523), (0x0403, 0x6001)}

#: (vendor, product) of adapters that speak gs_usb.
_GS_USB: dict[tuple[int, int], str] = {
    (0x1D50, 0x606F): "candleLight, CANable, CANtact or a relative (gs_usb)",
    (0x1D50, 0x6070): "CANtact Pro with firmware of 2020 (gs_usb)",
    (0x1209, 0x2323): "candleLight (gs_usb)",
    (0x1209, 0xCA01): "CANnectivity (gs_usb)",
    (0x1CD2, 0x606F): "CES CANext FD (gs_usb)",
    (0x16D0, 0x10B8): "ABE CANdebugger FD (gs_usb)",
    (0x16D0, 0x0F30): "Xylanta SAINT3 (gs_usb)",
}
#: Adapters whose boot loader waits for firmware.
_DFU = {(0x0483, 0xDF11), (0x1209, 0xCA02)}

#: python-can's interfaces that find their channels by themselves when their driver is installed.
_VENDORS = ("pcan", "kvaser", "vector", "ixxat", "systec", "canalystii", "neovi", "nixnet")
_VENDOR_S = 2.0
_QUIET = logging.NullHandler()


@dataclass(frozen=True)
class PortInfo:
    """``uri`` is what `connect` takes, but for a bit rate; "" for a kind of adapter that could not be looked for.

    ``usable``: as it is now. ``note`` is a sentence about why not, or what is to be known; "" when there is nothing.
    """

    uri: str
    description: str
    detail: str
    usable: bool
    note: str = ""


def list_ports() -> list[PortInfo]:
    """SocketCAN, USB and serial adapters, and simulators, in the order in which they are best tried."""
    sources = (socketcan_ports, usb_ports, vendor_ports, serial_ports, simulator_ports)
    return [port for source in sources for port in _guarded(source)]


def running_simulator(host: str = LOOPBACK, port: int = SIM_PORT) -> Interface | None:
    """The one that `opendiag sim --serve` offers here, None when there is none. Waits 0.3 s for an answer at most."""
    try:
        probe(host, port, "sim", _PROBE_S)
    except AdapterNotFound:
        return None
    return parse_interface(f"socketcand:{host}:{port}/sim")


def socketcan_ports() -> Iterator[PortInfo]:
    for link in linux_can.can_links():
        kind = "virtual CAN interface" if link.virtual else "CAN interface"
        driver = f" ({link.driver})" if link.driver else ""
        yield PortInfo(f"socketcan:{link.name}", f"{kind}{driver}", _link_detail(link), link.up, _link_note(link))


def usb_ports() -> Iterator[PortInfo]:
    """Adapters that speak gs_usb; Linux has made CAN interfaces of them as a rule."""
    if not installed("usb"):
        yield _not_looked_for("USB adapters", "pyusb is not installed: pip install pyusb libusb-package")
        return
    import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        devices = list(usb.core.find(find_all=True, backend=_libusb()) or ())
    except usb.core.NoBackendError:
        yield _not_looked_for("USB adapters", "libusb is not installed: pip install libusb-package")
        return
    numbers = {"cantact": count(), "gs_usb": count()}
    for device in devices:
        key = (device.idVendor, device.idProduct)
        where = f"USB {key[0]:04x}:{key[1]:04x}, bus {device.bus} address {device.address}"
        if key in _DFU:
            yield PortInfo("", "boot loader of an adapter", where, False, "it waits for firmware: plug it in again")
        elif key in _GS_USB:
            names = [_usb_text(device, "manufacturer"), _usb_text(device, "product")]
            adapter = "cantact" if "CANtact Pro" in names[1] or key == (0x1D50, 0x6070) else "gs_usb"
            description = " ".join(filter(None, names)) or _GS_USB[key]
            for _ in range(2 if adapter == "cantact" else 1):  # a Pro has two channels
                yield PortInfo(f"{adapter}:{next(numbers[adapter])}", description, where, *_usb_state(adapter))


def vendor_ports() -> Iterator[PortInfo]:
    """Channels that the installed drivers of manufacturers name; none of them says that it is not installed."""
    import can

    logging.getLogger("can").addHandler(_QUIET)
    for adapter in _VENDORS:
        for found in can.detect_available_configs([adapter], timeout=_VENDOR_S):
            facts: dict[str, object] = {**found}
            channel = facts.get("channel")
            if channel is None or channel == "":
                continue
            named = [str(facts[key]) for key in ("device_name", "serial") if key in facts]
            yield PortInfo(str(Interface(adapter, str(channel))), f"{adapter} channel", ", ".join(named), True)


def serial_ports() -> Iterator[PortInfo]:
    """Every serial port; what it is where its USB identity tells."""
    if not installed("serial"):
        yield _not_looked_for("serial adapters", "pyserial is not installed: pip install pyserial")
        return
    from serial.tools.list_ports import comports  # type: ignore[import-not-found, import-untyped, unused-ignore]

    for port in sorted(comports(), key=lambda port: str(port.device)):
        key = (port.vid or 0, port.pid or 0)
        adapter, description = _SERIAL.get(key, ("", str(port.description or "serial port")))
        serial = f", serial number {port.serial_number}" if port.serial_number else ""
        detail = f"USB {key[0]:04x}:{key[1]:04x}{serial}" if port.vid else str(port.hwid or "")
        name = str(Interface(adapter or "slcan", port.device))
        note = _access_note(port.device)
        usable = bool(adapter) and not note
        if not adapter:
            note = f"if it is a CAN adapter: {name} or {Interface('usbcan', port.device)}"
        elif not note and key in _COMMON_CHIPS:
            note = "many other things have this chip"
        yield PortInfo(name, description, detail, usable, note)


def simulator_ports(host: str = LOOPBACK, port: int = SIM_PORT) -> Iterator[PortInfo]:
    found = running_simulator(host, port)
    if found:
        yield PortInfo(str(found), "simulator that runs on this computer", f"{host}:{port}", True, "`sim` means it too")
    yield PortInfo("sim:stepim", "simulated StepIM drive, built in", "node 101", True)


def _guarded(source: Callable[[], Iterator[PortInfo]]) -> list[PortInfo]:
    """One kind of adapter whose library fails does not hide the others."""
    found: list[PortInfo] = []
    try:
        found.extend(source())
    except Exception as error:  # of a library
        what = source.__name__.replace("_ports", "")
        found.append(_not_looked_for(f"{what} adapters", f"{type(error).__name__}: {error}"))
    return found


def _not_looked_for(what: str, why: str) -> PortInfo:
    return PortInfo("", what, "not looked for", False, why)


def _link_detail(link: CanLink) -> str:
    rate = [] if link.bit_rate is None else [format_bit_rate(link.bit_rate)]
    silent = ["listen-only"] if link.listen_only else []
    return ", ".join(["up" if link.up else "down", *rate, *([link.state] if link.state else []), *silent])


def _link_note(link: CanLink) -> str:
    if not link.up:
        return f"sudo ip link set {link.name} up" if link.virtual else set_up_command(link.name, link.bit_rate)
    if link.state == "BUS-OFF":
        return f"bus-off: sudo ip link set {link.name} down; sudo ip link set {link.name} up"
    return ""


def _access_note(device: str) -> str:
    path = Path(device)
    if sys.platform == "win32" or not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return ""
    return "no permission: sudo usermod -aG dialout $USER, then log in again"


def _libusb() -> Any:
    """The libusb that pip installs, if it did; None lets pyusb look for the system's."""
    if not installed("libusb_package"):
        return None
    import libusb_package  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return libusb_package.get_libusb1_backend()


def _usb_text(device: Any, name: str) -> str:
    """Empty where the system does not let us ask the device."""
    try:
        return str(getattr(device, name) or "")
    except Exception:  # pyusb: ValueError or USBError, NotImplementedError from some backends
        return ""


def _usb_state(adapter: str) -> tuple[bool, str]:
    if any(link.driver == "gs_usb" for link in linux_can.can_links()):
        return False, "Linux has made a CAN interface of it: use socketcan"
    library = adapter if installed(adapter) or not installed("gs_usb") else "gs_usb"
    if not installed(library):
        return False, f"needs {library}: pip install {library}"
    return True, ""
