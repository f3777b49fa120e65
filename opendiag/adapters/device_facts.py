"""What an adapter tells about itself, and what can be done to it beside sending and receiving.

Each function takes a name as `parse_interface` gives it, and raises AdapterError with a sentence where the adapter
cannot do it. Linux's own driver may go on using a gs_usb adapter meanwhile; the serial ones have to be free.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opendiag.adapters import linux_can
from opendiag.adapters.drivers import driver_of, installed
from opendiag.adapters.linux_can import CanLink, up_command
from opendiag.adapters.open import failure
from opendiag.adapters.uri import Interface, format_bit_rate
from opendiag.errors import AdapterError, AdapterNotFound

if TYPE_CHECKING:
    from opendiag.adapters.gs_usb_find import GsUsbInfo

_GS_USB = ("gs_usb", "cantact", "candlelight")
#: Bit rates of CiA 301.
_RATES = (10_000, 20_000, 50_000, 125_000, 250_000, 500_000, 800_000, 1_000_000)
_STATUS_S = 0.3
#: Why a serial port did not open: said as for any other command.
_OPENING = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.ENOTTY)
_LISTED = "`opendiag ports` lists what is here"


def facts(interface: Interface) -> dict[str, str]:
    """By name, in the order to show them. Nothing is sent on the bus, but a serial adapter leaves the bus."""
    if interface.adapter in _GS_USB:
        info, channel = _chosen(interface)
        return _gs_usb_facts(info, channel)
    if interface.adapter == "socketcan":
        return _link_facts(_link(interface))
    if interface.adapter == "slcan":
        return _slcan_facts(interface)
    if interface.adapter == "usbcan":
        return _usbcan_facts(interface)
    if interface.adapter in ("sim", "virtual"):
        raise AdapterError(f"a {'simulated' if interface.adapter == 'sim' else 'virtual'} bus has no adapter")
    raise AdapterError(f"{interface.adapter} is not asked about itself; gs_usb, usbcan, slcan and socketcan can be")


def identify(interface: Interface, on: bool) -> str:
    """Let it blink, or stop that. Returns which adapter it is."""
    info, _ = _gs_usb_of(interface, "blink")
    from opendiag.adapters import gs_usb_find

    with _sentences(interface):
        gs_usb_find.identify(info, on)
    return info.name


def termination(interface: Interface, on: bool | None = None) -> bool:
    """Switch the 120 ohm resistor of the channel if asked to. Returns whether it is on."""
    info, channel = _gs_usb_of(interface, "switch a resistor")
    from opendiag.adapters import gs_usb_find

    with _sentences(interface):
        return gs_usb_find.termination(info, channel, on)


def clear_filter(interface: Interface) -> None:
    """Remove the filter that is stored in a USB-CAN Analyzer."""
    if interface.adapter != "usbcan":
        raise AdapterError(f"{interface.adapter} stores no filter that opendiag knows of; a USB-CAN Analyzer can")
    driver_of(interface)
    from opendiag.adapters.usbcan import clear_stored_filter, port_of

    with _sentences(interface):
        clear_stored_filter(port_of(interface.channel), _baud(interface))


# --- which adapter


def _chosen(interface: Interface) -> tuple[GsUsbInfo, int]:
    driver_of(interface)
    from opendiag.adapters import gs_usb_find

    with _sentences(interface):
        return gs_usb_find.choose(interface.channel, interface.adapter)


def _gs_usb_of(interface: Interface, what: str) -> tuple[GsUsbInfo, int]:
    """The adapter and the channel, also where Linux has made a CAN interface of it."""
    if interface.adapter in _GS_USB:
        return _chosen(interface)
    if interface.adapter == "socketcan":
        link = _link(interface)
        if link.driver == "gs_usb" and installed("usb"):
            from opendiag.adapters import gs_usb_find

            with _sentences(interface):
                for info in gs_usb_find.find_devices():
                    if link.name in info.kernel_interfaces:
                        return info, info.kernel_interfaces.index(link.name)
    raise AdapterError(f"{interface} cannot {what} as far as opendiag knows; gs_usb adapters can")


def _link(interface: Interface) -> CanLink:
    link = linux_can.can_link(interface.channel)
    if link is None:
        raise AdapterNotFound(str(interface), f"there is no {interface.channel}: {_LISTED}")
    return link


def _baud(interface: Interface) -> int:
    text = interface.options.get("baud", "0")
    if not (text.isascii() and text.isdecimal()):
        raise AdapterError(f"{interface}: baud is {text!r}: expected a whole number")
    return int(text)


@contextmanager
def _sentences(interface: Interface) -> Iterator[None]:
    """Drivers raise python-can's errors."""
    import can

    try:
        yield
    except can.CanError as error:
        if error.error_code == errno.ENOENT:
            raise AdapterNotFound(str(interface), f"there is no {interface.channel}: {_LISTED}") from error
        if error.error_code in _OPENING and (driver := driver_of(interface)).serial_port:
            raise failure(interface, driver, error) from error
        text = re.sub(r" \[Error Code -?\d+\]$", "", str(error)).rstrip(".")
        raise AdapterError(text if str(interface.channel) in text else f"{interface}: {text}") from error


# --- what they say


def _gs_usb_facts(info: GsUsbInfo, channel: int) -> dict[str, str]:
    from opendiag.adapters.gs_usb_codec import Feature

    names = " ".join(text for text in (info.manufacturer, info.product) if text)
    made = {
        "adapter": names or info.kind,
        "USB": f"{info.vid:04x}:{info.pid:04x} at {info.path}",
        "serial number": info.serial or "none: it is known by its place only",
        "firmware": f"version {info.sw_version}, hardware version {info.hw_version}",
        "channel": f"{channel} of {info.channels}",
    }
    if info.kernel_interfaces:
        made["Linux has it as"] = ", ".join(info.kernel_interfaces)
    if info.constants is None:
        return made
    limits, features = info.constants.limits, info.constants.feature
    made["clock"] = f"{limits.clock_hz / 1e6:g} MHz"
    made["bit rates"] = _rates(info)
    made["bit timing"] = (
        f"tseg1 {limits.tseg1_min}-{limits.tseg1_max}, tseg2 {limits.tseg2_min}-{limits.tseg2_max}, "
        f"sjw 1-{limits.sjw_max}, brp {limits.brp_min}-{limits.brp_max}"
    )
    made["features"] = ", ".join(
        (feature.name or "").lower().replace("_", "-") for feature in Feature if feature & features
    )
    made["confirms"] = "frames handed to its CAN controller, not their acknowledge"
    if info.kind == "CANnectivity":
        made["confirms"] = "frames that were acknowledged on the bus"
    if not features & (Feature.GET_STATE | Feature.BERR_REPORTING) and info.kind == "CANtact Pro":
        made["bus state"] = "unknown: it has no error frames and no error counters"
    return made | _asked(info, channel)


def _asked(info: GsUsbInfo, channel: int) -> dict[str, str]:
    """What a channel says now, where it can be asked; without an answer it is left out."""
    import can

    from opendiag.adapters import gs_usb_find
    from opendiag.adapters.gs_usb_codec import Feature, Request, unpack_state
    from opendiag.adapters.usb_stream import ask

    made = {}
    if info.features and info.features & Feature.TERMINATION:
        try:
            made["termination"] = "on" if gs_usb_find.termination(info, channel) else "off"
        except can.CanError as error:
            made["termination"] = f"unknown: {error}"
    if info.features and info.features & Feature.GET_STATE:
        import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]

        try:
            state = unpack_state(ask(info.device, Request.GET_STATE, channel, 12))
            made["bus state"] = f"{state.state}, errors TX {state.tx_errors} RX {state.rx_errors}"
        except (usb.core.USBError, NotImplementedError, ValueError) as error:
            made["bus state"] = f"unknown: {error}"
    return made


def _rates(info: GsUsbInfo) -> str:
    from opendiag.adapters.bit_timing import bit_timing

    possible, others = [], []
    for rate in _RATES:
        try:
            bit_timing(info.constants.limits, rate)  # type: ignore[union-attr]
            possible.append(format_bit_rate(rate))
        except ValueError:
            others.append(format_bit_rate(rate))
    return ", ".join(possible) + (f"; not {', '.join(others)}" if others else "")


def _link_facts(link: CanLink) -> dict[str, str]:
    made = {"interface": f"{link.name}, {'up' if link.up else f'down: {up_command(link)}'}"}
    made["driver"] = link.driver or ("none: a virtual interface" if link.virtual else "unknown")
    if link.device:
        made["device"] = link.device
    point = f", sample point {link.sample_point * 100:g} %" if link.sample_point else ""
    made["bit rate"] = f"{format_bit_rate(link.bit_rate)}{point}" if link.bit_rate else "none set"
    if link.data_bit_rate:
        made["data bit rate"] = f"{link.data_bit_rate / 1e6:g}M"
    if link.clock_hz:
        made["clock"] = f"{link.clock_hz / 1e6:g} MHz"
    made["state"] = link.state or "unknown"
    if link.tx_errors is not None:
        made["error counters"] = f"TX {link.tx_errors}, RX {link.rx_errors}"
    made["modes"] = ", ".join(link.modes) or "none"
    made["after bus-off"] = f"again after {link.restart_ms} ms" if link.restart_ms else "stays off until down and up"
    if link.tx_queue is not None:
        made["transmit queue"] = f"{link.tx_queue} frames"
    if link.termination_ohm is not None:
        made["termination"] = f"{link.termination_ohm} ohm" if link.termination_ohm else "off"
    if counted := {name: number for name, number in link.counted.items() if number}:
        made["counted"] = ", ".join(f"{name} {number}" for name, number in counted.items())
    return made


def _slcan_facts(interface: Interface) -> dict[str, str]:
    driver_of(interface)
    from opendiag.adapters.slcan import adapter_info

    with _sentences(interface):
        dialect = interface.options.get("dialect", "auto")
        return adapter_info(interface.channel, _baud(interface), dialect, interface.bit_rate)


def _usbcan_facts(interface: Interface) -> dict[str, str]:
    driver_of(interface)
    from opendiag.adapters.serial_line import SerialLine
    from opendiag.adapters.usbcan import port_of
    from opendiag.adapters.usbcan_codec import BAUD_RATES, STATUS_REQUEST
    from opendiag.adapters.usbcan_parser_codec import Parser
    from opendiag.adapters.usbcan_setup import ADVICE, answers

    baud = _baud(interface)
    bauds = (baud,) if baud else BAUD_RATES
    with _sentences(interface):
        line = SerialLine(port_of(interface.channel), bauds[0])
        try:
            if not answers(line, bauds):
                tried = ", ".join(map(str, bauds))
                raise AdapterNotFound(str(interface), f"no USB-CAN Analyzer answers at {tried} baud. {ADVICE}")
            parser = Parser()
            line.write(STATUS_REQUEST)
            until = time.monotonic() + _STATUS_S
            while not parser.statuses and time.monotonic() < until:
                parser.feed(line.read(0.05), time.monotonic_ns())
        finally:
            line.close()
    made = {"adapter": "USB-CAN Analyzer", "port": line.port, "serial line": f"{line.baud} baud"}
    if parser.statuses:
        status = parser.statuses[-1]
        made["error counters"] = f"TX {status.tx_errors}, RX {status.rx_errors}: {status.bus_state}"
        made["flags"] = f"{status.flags.hex(' ')} (nobody knows their meaning)"
    made["stored filter"] = "cannot be read; `opendiag adapter clear-filter` removes one"
    made["by itself"] = "it may hold frames that it sends without a program, which nothing tells"
    return made
