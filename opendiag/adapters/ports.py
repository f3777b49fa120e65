"""What a bus can be reached through on this computer, with the name to give to ``-i``.

What is there and cannot be used is listed with the reason, and so is what could not be looked for. What is left out is
counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opendiag.adapters import linux_can
from opendiag.adapters.drivers import installed
from opendiag.adapters.linux_can import CanLink, restart_command, up_command
from opendiag.adapters.socketcand_probe import probe
from opendiag.adapters.udev import BOOT_LOADERS, INSTALL
from opendiag.adapters.uri import SIM_PORT, Interface, format_bit_rate, parse_interface
from opendiag.errors import AdapterNotFound

if TYPE_CHECKING:
    from opendiag.adapters.gs_usb_find import GsUsbInfo

LOOPBACK = "127.0.0.1"
#: A server on the same computer answers at once.
_PROBE_S = 0.3

#: python-can's interfaces that find their channels by themselves when their driver is installed.
_VENDORS = ("pcan", "kvaser", "vector", "ixxat", "systec", "canalystii", "neovi", "nixnet")
_VENDOR_S = 2.0
_QUIET = logging.NullHandler()


@dataclass(frozen=True)
class PortInfo:
    """``uri`` is what `connect` takes, but for a bit rate; "" for a kind of adapter that could not be looked for.

    ``usable``: as it is now. ``note`` is a sentence about why not, or what is to be known, and ``fix`` a line to type
    that helps; both "" when there is nothing. ``driver`` is the operating system's, ``serial`` the serial number,
    ``channels`` and ``clock_hz`` those of the whole adapter; "" and None where they are unknown.
    """

    uri: str
    description: str
    detail: str
    usable: bool
    note: str = ""
    fix: str = ""
    driver: str = ""
    serial: str = ""
    channels: int | None = None
    clock_hz: int | None = None


def list_ports(everything: bool = False) -> list[PortInfo]:
    """SocketCAN, USB and serial adapters, and simulators, in the order in which they are best tried.

    ``everything``: serial ports of the computer itself, too. Nothing is sent on any bus, and no adapter is disturbed.
    """
    serial = all_serial_ports if everything else serial_ports
    sources = (socketcan_ports, usb_ports, vendor_ports, serial, simulator_ports)
    return [port for source in sources for port in _guarded(source)]


def running_simulator(host: str = LOOPBACK, port: int = SIM_PORT) -> Interface | None:
    """The one that `opendiag sim --serve` offers here, None when there is none. Waits 0.3 s for an answer at most."""
    try:
        probe(host, port, "sim", _PROBE_S)
    except AdapterNotFound:
        return None
    return parse_interface(f"socketcand:{host}:{port}/sim")


# --- SocketCAN -------------------------------------------------------------------------------------------------------


def socketcan_ports() -> Iterator[PortInfo]:
    for link in linux_can.can_links():
        kind = "virtual CAN interface" if link.virtual else "CAN interface"
        driver = f" ({link.driver})" if link.driver else ""
        note, fix = _link_note(link)
        yield PortInfo(
            f"socketcan:{link.name}",
            f"{kind}{driver}",
            _link_detail(link),
            link.up,
            note,
            fix,
            driver=link.driver,
            clock_hz=link.clock_hz,
        )


def _link_detail(link: CanLink) -> str:
    parts = ["up" if link.up else "down"]
    if link.bit_rate is not None:
        parts.append(format_bit_rate(link.bit_rate))
    if link.data_bit_rate is not None:
        parts.append(f"data {link.data_bit_rate / 1e6:g}M")
    if link.state:
        parts.append(link.state)
    if link.tx_errors is not None and link.rx_errors is not None:
        parts.append(f"errors TX {link.tx_errors} RX {link.rx_errors}")
    if link.listen_only:
        parts.append("listen-only")
    if link.clock_hz:
        parts.append(_megahertz(link.clock_hz))
    if link.device:
        parts.append(f"at {link.device.partition(':')[0]}")
    return ", ".join(parts)


def _link_note(link: CanLink) -> tuple[str, str]:
    if not link.up:
        return "it is down", up_command(link)
    if link.state == "BUS-OFF":
        return "it is bus-off", restart_command(link)
    return "", ""


# --- USB -------------------------------------------------------------------------------------------------------------


def usb_ports() -> Iterator[PortInfo]:
    """Every channel of adapters that speak gs_usb; Linux has made CAN interfaces of them as a rule."""
    if not installed("usb"):
        yield _not_looked_for("USB adapters", "pyusb is not installed", "pip install 'opendiag[usb]'")
        return
    import can

    from opendiag.adapters import gs_usb_find

    try:
        found = gs_usb_find.find_devices()
        waiting = gs_usb_find.usb_devices(None, BOOT_LOADERS)
    except can.CanInitializationError as error:
        what, _, fix = str(error).partition(": ")
        yield _not_looked_for("USB adapters", what, fix)
        return
    serials = Counter(info.serial for info in found)
    for info in found:
        for number in range(info.channels or 1):
            yield _usb_channel(info, number, unique=serials[info.serial] == 1)
    for device in waiting:
        where = f"USB {device.idVendor:04x}:{device.idProduct:04x} at {gs_usb_find.path_of(device)}"
        note = "it waits for firmware: plug it in again without pressing its button"
        yield PortInfo("", "boot loader of an adapter", where, False, note)


def _usb_channel(info: GsUsbInfo, number: int, unique: bool) -> PortInfo:
    note, fix = _usb_note(info, number)
    names = " ".join(text for text in (info.manufacturer, info.product) if text)
    return PortInfo(
        str(Interface(info.family, _usb_name(info, number, unique))),
        names or info.kind,
        _usb_detail(info, number),
        not note,
        note,
        fix,
        driver="gs_usb" if info.kernel_driver else "",
        serial=info.serial or "",
        channels=info.channels,
        clock_hz=info.clock_hz,
    )


def _usb_name(info: GsUsbInfo, number: int, unique: bool) -> str:
    """By its serial number where that says which one, else by its place."""
    serial = info.serial or ""
    if not unique or "/" in serial or len(serial) < 4:
        return info.channel_name(number)
    return f"{serial}/{number}" if number else serial


def _usb_detail(info: GsUsbInfo, number: int) -> str:
    parts = []
    if info.channels:
        parts.append(f"channel {number} of {info.channels}")
    if info.clock_hz:
        parts.append(_megahertz(info.clock_hz))
    if info.fd:
        parts.append("CAN FD")
    if info.sw_version is not None:
        parts.append(f"firmware {info.sw_version}")
    parts.append(f"serial number {info.serial}" if info.serial else "no serial number")
    parts.append(f"USB {info.vid:04x}:{info.pid:04x} at {info.path}")
    return ", ".join(parts)


def _usb_note(info: GsUsbInfo, number: int) -> tuple[str, str]:
    """Why it cannot be used just so, and what helps."""
    interfaces = info.kernel_interfaces
    if number < len(interfaces):
        return f"Linux has made {interfaces[number]} of it: use socketcan:{interfaces[number]}", ""
    if info.problem:
        return info.problem, INSTALL[0] if info.problem.startswith("no permission") else ""
    if info.kernel_driver:
        return "Linux's own driver has it: use its CAN interface, or the option detach_kernel_driver=yes", ""
    return "", ""


# --- others ----------------------------------------------------------------------------------------------------------


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
            serial = str(facts.get("serial", ""))
            uri = str(Interface(adapter, str(channel)))
            yield PortInfo(uri, f"{adapter} channel", ", ".join(named), True, driver=adapter, serial=serial)


def serial_ports() -> Iterator[PortInfo]:
    """Every serial port but those of the computer itself, and adapters that should be one and are not."""
    return _serial_ports(everything=False)


def all_serial_ports() -> Iterator[PortInfo]:
    """Those of the computer itself, too."""
    return _serial_ports(everything=True)


def _serial_ports(everything: bool) -> Iterator[PortInfo]:
    if not installed("serial"):
        yield _not_looked_for("serial adapters", "pyserial is not installed", "pip install 'opendiag[serial]'")
        return
    from opendiag.adapters.serial_ports import found_ports

    left_out = 0
    for port in found_ports():
        if port.built_in and not everything:
            left_out += 1
            continue
        uri = str(Interface(port.adapter or "slcan", port.device)) if port.device else ""
        note = port.note
        if not port.adapter:
            guess = f"if it is a CAN adapter: {uri} or {Interface('usbcan', port.device)}"
            note = f"{note}; {guess}" if note else guess
        usable = bool(port.adapter and port.device and port.accessible)
        channels = 1 if port.adapter else None
        yield PortInfo(
            uri, port.description, port.detail, usable, note, port.fix, port.driver, port.serial, channels=channels
        )
    if left_out:
        counted = f"{left_out} left out"
        yield PortInfo("", "serial ports of the computer itself", counted, False, "`opendiag ports --all` lists them")


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
        what = source.__name__.removeprefix("all_").replace("_ports", "")
        found.append(_not_looked_for(f"{what} adapters", f"{type(error).__name__}: {error}"))
    return found


def _not_looked_for(what: str, why: str, fix: str = "") -> PortInfo:
    return PortInfo("", what, "not looked for", False, why, fix)


def _megahertz(hertz: int) -> str:
    return f"{hertz / 1e6:g} MHz"
