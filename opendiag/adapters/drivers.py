"""What opendiag knows about its own drivers and python-can's: what they need installed, and what they can do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from opendiag.adapters.uri import ADAPTERS, MAX_DATA_BIT_RATE, Interface, parse_bit_rate, plugins
from opendiag.errors import BadInterface, MissingDependency


@dataclass(frozen=True)
class Driver:
    """``backend`` is python-can's name for it; ``library`` what to install with pip and ``module`` what that brings.

    ``ours`` is the class of a driver of our own, as in "module:Class", always made with ``given``; ``needs`` names the
    part of opendiag that brings its library. ``software`` is the manufacturer's, which pip does not install.
    ``sets_rate`` False: the bit rate is not set through it. ``timing_option`` takes the place of a bit rate. ``silent``
    is what makes it listen only, None when it cannot. ``numbered``: its channels are numbers. ``extra`` are options
    that the constructor takes without naming them.
    """

    backend: str
    library: str = ""
    module: str = ""
    software: str = ""
    sets_rate: bool = True
    timing_option: str = ""
    silent: Mapping[str, object] | None = None
    numbered: bool = False
    serial_port: bool = False
    extra: Mapping[str, type] = field(default_factory=dict)
    ours: str = ""
    given: Mapping[str, object] = field(default_factory=dict)
    needs: str = ""


def _gs_usb(device: str) -> Driver:
    ours = "opendiag.adapters.gs_usb:GsUsbBus"
    given = {"device": device}
    return Driver("gs_usb", "pyusb", "usb", timing_option="timing", silent=_SILENT, ours=ours, given=given, needs="usb")


def _serial_adapter(backend: str, ours: str, timing_option: str) -> Driver:
    return Driver(
        backend,
        "pyserial",
        "serial",
        timing_option=timing_option,
        silent=_SILENT,
        serial_port=True,
        ours=ours,
        needs="serial",
    )


def _serial(backend: str, silent: Mapping[str, object] | None = None, sets_rate: bool = True) -> Driver:
    return Driver(backend, "pyserial", "serial", silent=silent, sets_rate=sets_rate, serial_port=True)


_SILENT: Mapping[str, object] = {"listen_only": True}
_ON_WINDOWS = ", which exists on Windows only"
_DRIVERS: Mapping[str, Driver] = {
    "socketcan": Driver("socketcan", sets_rate=False, silent={}),
    "socketcand": Driver("socketcand", sets_rate=False, silent={}),
    "virtual": Driver("virtual", sets_rate=False, silent={}),
    "udp_multicast": Driver("udp_multicast", "msgpack", "msgpack", sets_rate=False, silent={}),
    "slcan": _serial_adapter("slcan", "opendiag.adapters.slcan:SlcanBus", "btr"),
    "usbcan": _serial_adapter("usbcan", "opendiag.adapters.usbcan:UsbCanBus", "timing"),
    "gs_usb": _gs_usb("gs_usb"),
    "cantact": _gs_usb("cantact"),
    "candlelight": _gs_usb("candlelight"),
    "robotell": _serial("robotell"),
    "serial": _serial("serial", {}, sets_rate=False),
    "canalystii": Driver("canalystii", "canalystii", "canalystii"),
    "nixnet": Driver("nixnet", "nixnet", "nixnet"),
    "neovi": Driver("neovi", "python-ics", "ics"),
    "pcan": Driver("pcan", software="PEAK's driver with PCAN-Basic (peak-system.com)", silent={"state": "PASSIVE"}),
    "kvaser": Driver(
        "kvaser",
        software="Kvaser's CANlib (kvaser.com/download)",
        silent={"driver_mode": False},
        numbered=True,
        extra={"single_handle": bool, "accept_virtual": bool, "no_init_access": bool, "override_exclusive": bool},
    ),
    "vector": Driver(
        "vector",
        software="Vector's driver with the XL Driver Library (vector.com)",
        silent={"listen_only": True},
        numbered=True,
    ),
    "ixxat": Driver(
        "ixxat",
        software="HMS's VCI driver" + _ON_WINDOWS,
        numbered=True,
        extra={"unique_hardware_id": str, "extended": bool},
    ),
    "systec": Driver("systec", software="SYS TEC's USB-CANmodul driver" + _ON_WINDOWS),
    "usb2can": Driver("usb2can", software="8devices' USB2CAN driver and pywin32" + _ON_WINDOWS),
    "nican": Driver("nican", software="NI-CAN" + _ON_WINDOWS),
    "etas": Driver("etas", software="ETAS's BOA driver" + _ON_WINDOWS),
    "iscan": Driver("iscan", software="Thorsis's isCAN driver"),
    "neousys": Driver("neousys", software="Neousys's WDT_DIO driver"),
}

#: What is set by opendiag, or is none of a name's business.
_RESERVED = {"self", "channel", "bitrate", "timing", "can_filters", "receive_own_messages", "state", "protocol"}
_RESERVED |= {"listen_only", "monitor", "operation_mode", "index", "kwargs"}
#: The same of our own drivers, which say everything else themselves.
_OURS_RESERVED = {"self", "channel", "bitrate", "can_filters", "receive_own_messages"}
#: What a text says of an option that is on or off.
YES_OR_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def driver_of(interface: Interface) -> Driver:
    """Raises BadInterface for an adapter that nobody drives, MissingDependency when the library is not installed."""
    name = interface.adapter
    driver = _DRIVERS.get(name)
    if driver is None:
        if name not in plugins():
            raise BadInterface(str(interface), f"{name} is no interface of python-can")
        return Driver(name)
    if driver.module and not installed(driver.module):
        raise missing_library(interface, driver)
    return driver


def missing_library(interface: Interface, driver: Driver) -> MissingDependency:
    return MissingDependency(str(interface), driver.library, driver.needs)


def installed(module: str) -> bool:
    """Without importing it: that takes long, and some say on stderr what they miss."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def arguments(interface: Interface, driver: Driver, bus_class: Callable[..., Any], listen_only: bool) -> dict[str, Any]:
    """What the bus is made with, but for the channel. Raises BadInterface."""
    named = inspect.signature(bus_class).parameters
    made = {**driver.given, **_options(interface, driver, named)}
    if driver.sets_rate:
        if interface.bit_rate is not None:
            made["bitrate"] = interface.bit_rate
        elif interface.adapter in ADAPTERS and not made.get(driver.timing_option):
            raise BadInterface(str(interface), f"no bit rate: expected one, as in {_with_rate(interface)}")
    if "receive_own_messages" in named:
        made["receive_own_messages"] = False
    if listen_only:
        if driver.silent is None:
            raise BadInterface(str(interface), f"{interface.adapter} cannot be told to listen only here")
        made.update(driver.silent)
    return made


def channel_of(interface: Interface, driver: Driver) -> int | str:
    """Raises BadInterface for a channel that should be a number."""
    if not driver.numbered:
        return interface.channel
    if not (interface.channel.isascii() and interface.channel.isdecimal() and len(interface.channel) < 6):
        expected = f"expected a number, as in {ADAPTERS[interface.adapter]}"
        raise BadInterface(str(interface), f"{interface.channel!r} is no channel of {interface.adapter}: {expected}")
    return int(interface.channel)


def _options(interface: Interface, driver: Driver, named: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    kinds = {name.lower(): (name, _kind(named[name])) for name in named if name not in _reserved(driver, named)}
    kinds |= {name: (name, kind) for name, kind in driver.extra.items()}
    made = {}
    for key, text in interface.options.items():
        if key not in kinds:
            raise BadInterface(str(interface), _unknown_option(interface.adapter, key, sorted(kinds)))
        name, kind = kinds[key]
        try:
            made[name] = _value(name, kind, text)
        except ValueError as error:
            raise BadInterface(str(interface), f"option {key} is {text!r}: {error}") from None
    return made


def _reserved(driver: Driver, named: Mapping[str, inspect.Parameter]) -> set[str]:
    if not driver.ours:
        return _RESERVED
    collected = {name for name, parameter in named.items() if parameter.kind is parameter.VAR_KEYWORD}
    unwritable = {name for name, parameter in named.items() if parameter.annotation in ("Any", Any)}
    return _OURS_RESERVED | collected | unwritable | set(driver.given)


def _value(name: str, kind: type, text: str) -> object:
    """Raises ValueError, which says what is expected."""
    if kind is bool:
        if text.lower() not in YES_OR_NO:
            raise ValueError("expected yes or no")
        return YES_OR_NO[text.lower()]
    if kind is int and name == "data_bitrate":
        return parse_bit_rate(text, MAX_DATA_BIT_RATE)
    try:
        return int(text, 16) if kind is int and text.lower().startswith("0x") else kind(text)
    except ValueError:
        raise ValueError("expected a whole number" if kind is int else "expected a number") from None


def _kind(parameter: inspect.Parameter) -> type:
    """From the default where there is one, else from how it is annotated; a text where neither says anything."""
    for kind in (bool, int, float):
        if type(parameter.default) is kind:
            return kind
    annotation = parameter.annotation
    named = annotation.__name__ if isinstance(annotation, type) else str(annotation).split("[")[-1]
    if parameter.default is None:
        for kind in (bool, int, float):
            if kind.__name__ in named:
                return kind
    return str


def _unknown_option(adapter: str, key: str, known: list[str]) -> str:
    if not known:
        return f"{adapter} takes no options, so no {key} either"
    close = get_close_matches(key, known, n=1)
    meant = f": did you mean {close[0]}?" if close else ""
    return f"{adapter} has no option {key}{meant or '; it takes ' + ', '.join(known)}"


def _with_rate(interface: Interface) -> str:
    return str(Interface(interface.adapter, interface.channel, 500_000, interface.options))


def missing_software(driver: Driver) -> str:
    """A sentence about what is to be installed; "" when nothing is known."""
    return f"its driver is not installed: it needs {driver.software}" if driver.software else ""
