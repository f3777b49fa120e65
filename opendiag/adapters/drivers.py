"""What opendiag knows about python-can's interfaces: what they need installed, and what they can do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from opendiag.adapters.uri import ADAPTERS, Interface, format_bit_rate, plugins
from opendiag.errors import BadInterface, MissingDependency


@dataclass(frozen=True)
class Driver:
    """``backend`` is python-can's name for it; ``library`` what to install with pip and ``module`` what that brings.

    ``software`` is the manufacturer's, which pip does not install. ``sets_rate`` False: the bit rate is not set
    through it. ``silent`` is what makes it listen only, None when it cannot. ``numbered``: its channels are numbers.
    ``extra`` are options that its constructor takes without naming them.
    """

    backend: str
    library: str = ""
    module: str = ""
    software: str = ""
    sets_rate: bool = True
    silent: Mapping[str, object] | None = None
    numbered: bool = False
    serial_port: bool = False
    extra: Mapping[str, type] = field(default_factory=dict)


def _serial(backend: str, silent: Mapping[str, object] | None = None, sets_rate: bool = True) -> Driver:
    return Driver(backend, "pyserial", "serial", silent=silent, sets_rate=sets_rate, serial_port=True)


_ON_WINDOWS = ", which exists on Windows only"
_DRIVERS: Mapping[str, Driver] = {
    "socketcan": Driver("socketcan", sets_rate=False, silent={}),
    "socketcand": Driver("socketcand", sets_rate=False, silent={}),
    "virtual": Driver("virtual", sets_rate=False, silent={}),
    "udp_multicast": Driver("udp_multicast", "msgpack", "msgpack", sets_rate=False, silent={}),
    "slcan": _serial("slcan", {"listen_only": True}),
    "usbcan": _serial("seeedstudio", {"operation_mode": "silent"}),
    "seeedstudio": _serial("seeedstudio", {"operation_mode": "silent"}),
    "robotell": _serial("robotell"),
    "serial": _serial("serial", {}, sets_rate=False),
    "cantact": Driver("cantact", "cantact", "cantact", silent={"monitor": True}, numbered=True),
    "gs_usb": Driver("gs_usb", "gs_usb", "gs_usb", numbered=True),
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
_YES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def driver_of(interface: Interface) -> Driver:
    """Raises BadInterface for what is not python-can's, MissingDependency when the library is not installed."""
    name = interface.adapter
    driver = _DRIVERS.get(name)
    if driver is None:
        if name not in plugins():
            raise BadInterface(str(interface), f"{name} is no interface of python-can")
        return Driver(name)
    if name == "cantact" and not installed("cantact") and installed("gs_usb"):
        driver = _DRIVERS["gs_usb"]
    if driver.module and not installed(driver.module):
        raise MissingDependency(str(interface), driver.library)
    return driver


def installed(module: str) -> bool:
    """Without importing it: that takes long, and some say on stderr what they miss."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def arguments(interface: Interface, driver: Driver, bus_class: Callable[..., Any], listen_only: bool) -> dict[str, Any]:
    """What the bus is made with, but for the channel. Raises BadInterface."""
    named = inspect.signature(bus_class).parameters
    made = _options(interface, driver, named)
    if driver.sets_rate:
        if interface.bit_rate is not None:
            made["bitrate"] = interface.bit_rate
        elif interface.adapter in ADAPTERS:
            raise BadInterface(str(interface), f"no bit rate: expected one, as in {_with_rate(interface)}")
        _check_rate(interface, bus_class)
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
    kinds = {name.lower(): (name, _kind(named[name])) for name in named if name not in _RESERVED}
    kinds |= {name: (name, kind) for name, kind in driver.extra.items()}
    made = {}
    for key, text in interface.options.items():
        if key not in kinds:
            raise BadInterface(str(interface), _unknown_option(interface.adapter, key, sorted(kinds)))
        name, kind = kinds[key]
        try:
            made[name] = _YES[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            expected = {bool: "yes or no", int: "a whole number"}.get(kind, "a number")
            raise BadInterface(str(interface), f"option {key} is {text!r}: expected {expected}") from None
    return made


def _kind(parameter: inspect.Parameter) -> type:
    """From the default where there is one, else from how it is annotated; a text where neither says anything."""
    for kind in (bool, int, float):
        if type(parameter.default) is kind:
            return kind
    annotation = parameter.annotation if isinstance(parameter.annotation, type) else None
    if parameter.default is None and (annotation is int or "int" in str(parameter.annotation).split("[")[-1]):
        return int
    return str


def _unknown_option(adapter: str, key: str, known: list[str]) -> str:
    if not known:
        return f"{adapter} takes no options, so no {key} either"
    close = get_close_matches(key, known, n=1)
    meant = f": did you mean {close[0]}?" if close else ""
    return f"{adapter} has no option {key}{meant or '; it takes ' + ', '.join(known)}"


def _check_rate(interface: Interface, bus_class: object) -> None:
    """Serial adapters have a table of the rates they can do."""
    rates = getattr(bus_class, "_BITRATES", None) or getattr(bus_class, "BITRATE", None)
    if isinstance(rates, dict) and interface.bit_rate is not None and interface.bit_rate not in rates:
        listed = ", ".join(format_bit_rate(rate) for rate in sorted(rates))
        seen = format_bit_rate(interface.bit_rate)
        raise BadInterface(str(interface), f"{interface.adapter} cannot do {seen}: it can do {listed}")


def _with_rate(interface: Interface) -> str:
    return str(Interface(interface.adapter, interface.channel, 500_000, interface.options))


def missing_software(driver: Driver) -> str:
    """A sentence about what is to be installed; "" when nothing is known."""
    return f"its driver is not installed: it needs {driver.software}" if driver.software else ""
