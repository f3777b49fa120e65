"""From the name of an interface to an open python-can bus, or to a sentence about what is in the way."""

from __future__ import annotations

import errno
import importlib
import logging
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

from opendiag.adapters import linux_can
from opendiag.adapters.drivers import Driver, arguments, channel_of, driver_of, missing_library, missing_software
from opendiag.adapters.linux_can import CanLink, restart_command, set_up_command, up_command
from opendiag.adapters.socketcand_probe import probe
from opendiag.adapters.uri import Interface, format_bit_rate, server_of
from opendiag.errors import AdapterError, AdapterNotFound, BadInterface, MissingDependency

if TYPE_CHECKING:
    import can


def open_bus(interface: Interface, *, listen_only: bool = False) -> can.BusABC:
    """Own frames are not received. ``listen_only``: the adapter does not even acknowledge, where that can be set.

    Where nothing can be set and nothing needs to be, nobody may send; `interface_notes` says more. A simulated
    bus is none of python-can's and refused.

    Raises BadInterface (unknown option, no bit rate, no listen-only mode), MissingDependency, AdapterNotFound.
    """
    if interface.adapter == "sim":
        raise BadInterface(str(interface), "a simulated bus is not opened through python-can")
    # What drivers miss is said in our errors; python-can would say it on stderr as well.
    logging.getLogger("can").addHandler(_QUIET)
    driver = driver_of(interface)
    bus_class = _bus_class(interface, driver)
    made = arguments(interface, driver, bus_class, listen_only)
    channel = channel_of(interface, driver)
    if interface.adapter == "socketcan":
        link = _check_link(interface)
        if link and link.fd:
            made.setdefault("fd", True)  # else the kernel withholds CAN FD frames, and says nothing
    elif interface.adapter == "socketcand":
        server = server_of(interface)
        probe(server.host.strip("[]"), server.port, server.channel)
        channel = server.channel
        made |= {"host": server.host.strip("[]"), "port": server.port}
    return _made(interface, driver, bus_class, channel, made)


def interface_notes(interface: Interface, *, listen_only: bool = False) -> list[str]:
    """Sentences about what the name says and opening it cannot bring about; nothing is opened."""
    rate = interface.bit_rate and format_bit_rate(interface.bit_rate)
    if interface.adapter == "socketcan":
        link = linux_can.can_link(interface.channel)
        return _link_notes(link, interface.bit_rate, listen_only) if link else []
    if rate and interface.adapter == "socketcand":
        return [f"the bit rate is set where the server runs: {rate} is not verified"]
    if rate and interface.adapter in ("virtual", "udp_multicast", "serial"):
        return [f"a {interface.adapter} bus has no bit rate: {rate} is not used"]
    return []


def actual_bit_rate(interface: Interface) -> int | None:
    """In bit/s: what the system has set where it can be asked, else what the name says."""
    link = linux_can.can_link(interface.channel) if interface.adapter == "socketcan" else None
    return (link.bit_rate if link else None) or interface.bit_rate


_QUIET = logging.NullHandler()


def _bus_class(interface: Interface, driver: Driver) -> Any:
    from can.interfaces import BACKENDS

    try:
        module, name = driver.ours.split(":") if driver.ours else BACKENDS[driver.backend]
        return getattr(importlib.import_module(module), name)
    except KeyError:
        raise AdapterNotFound(str(interface), f"this python-can has no interface {driver.backend}") from None
    except Exception as error:  # each wrapper fails in its own way where the driver is missing
        raise _missing(interface, driver, error) from error


def _made(interface: Interface, driver: Driver, bus_class: Any, channel: int | str, made: dict[str, Any]) -> can.BusABC:
    import can

    if "state" in made:
        made["state"] = can.BusState[made["state"]]
    try:
        bus: can.BusABC = bus_class(channel, **made) if channel != "" else bus_class(**made)
    except (can.CanInterfaceNotImplementedError, ImportError, NameError, AttributeError) as error:
        raise _missing(interface, driver, error) from error
    except Exception as error:  # drivers raise what they like
        raise failure(interface, driver, error) from error
    return bus


# --- what is in the way ----------------------------------------------------------------------------------------------


def _missing(interface: Interface, driver: Driver, error: Exception) -> AdapterError | MissingDependency:
    if isinstance(error, ModuleNotFoundError) and driver.library:
        return missing_library(interface, driver)
    software = missing_software(driver)
    if software and isinstance(error, (NameError, AttributeError)):
        return AdapterNotFound(str(interface), software)  # what the wrapper stumbled over says nothing
    return AdapterNotFound(str(interface), f"{software} ({_text(error)})" if software else _text(error))


def failure(interface: Interface, driver: Driver, error: Exception) -> AdapterError:
    """What a driver raised while it was opened, as a sentence that says what to do."""
    # The channel is in the name already, which the sentence begins with.
    text = re.sub(rf"^(\w+ (on )?)?{re.escape(interface.channel)}: ", "", _text(error))
    number = _errno(error)
    if driver.ours and (number == errno.EINVAL or isinstance(error.__cause__, ValueError)):
        return BadInterface(str(interface), text)
    if driver.ours and not driver.serial_port:
        return AdapterNotFound(str(interface), text)  # it says itself what is to be done
    if number == errno.EACCES and sys.platform == "win32":
        number = errno.EBUSY  # Windows has one number for both, and ports have no permissions there
    if number in (errno.EACCES, errno.EPERM):
        return AdapterNotFound(str(interface), f"no permission: {_permission(interface, driver)}")
    if number == errno.EBUSY:
        said = "" if driver.ours else f" ({text})"
        return AdapterNotFound(str(interface), f"it is in use: close the other program that has it{said}")
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return AdapterNotFound(str(interface), f"there is no {interface.channel}: `opendiag ports` lists what is here")
    if number == errno.ENOTTY:
        reason = f"{interface.channel} is no serial port: `opendiag ports` lists what is here"
        return AdapterNotFound(str(interface), reason)
    if number in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        return AdapterNotFound(str(interface), "this system has no SocketCAN: try `sudo modprobe can_raw`")
    if driver.software and re.search("librar|driver|load", text, re.IGNORECASE):
        return AdapterNotFound(str(interface), f"{missing_software(driver)} ({text})")
    if isinstance(error, (ValueError, KeyError)) and number is None:
        return BadInterface(str(interface), f"{driver.backend} does not take it: {text}")
    return AdapterNotFound(str(interface), text)


def _permission(interface: Interface, driver: Driver) -> str:
    if driver.serial_port:
        return f"sudo usermod -aG dialout $USER, then log in again (`ls -l {interface.channel}` shows the group)"
    return "a udev rule has to give your user access to the USB device"


def _errno(error: BaseException | None) -> int | None:
    """Of the operating system, wherever in the chain of causes it is, or only in a text."""
    while error is not None:
        number = getattr(error, "error_code", None) or (error.errno if isinstance(error, OSError) else None)
        if isinstance(number, int) and number:
            return number
        for pattern, number in _IN_TEXTS.items():
            if re.search(pattern, str(error)):
                return number
        error = error.__cause__ or error.__context__
    return None


#: pyserial says these in words only, most of them on Windows.
_IN_TEXTS = {
    r"PermissionError\(13|Access is denied": errno.EACCES,
    r"FileNotFoundError\(2": errno.ENOENT,
    r"Inappropriate ioctl": errno.ENOTTY,
}


#: Some libraries print pages.
_TEXT_LENGTH = 600


def _text(error: BaseException) -> str:
    text = " ".join(re.sub(r" \[Error Code -?\d+\]$", "", str(error)).split())
    text = (text if len(text) <= _TEXT_LENGTH else f"{text[:_TEXT_LENGTH]}...").rstrip(".")
    return text if text and not isinstance(error, KeyError) else f"{type(error).__name__} {text}".strip()


# --- SocketCAN -------------------------------------------------------------------------------------------------------


def _check_link(interface: Interface) -> CanLink | None:
    """None where nothing can be looked up."""
    name, rate = interface.channel, interface.bit_rate
    if not hasattr(socket, "AF_CAN"):
        raise AdapterNotFound(str(interface), "SocketCAN exists on Linux only; `opendiag ports` lists what is here")
    if not linux_can.SYS_NET.is_dir():
        return None  # what cannot be looked up is left to the kernel
    link = linux_can.can_link(name)
    if link is None:
        raise AdapterNotFound(str(interface), _no_link(name))
    if not link.up:
        command = set_up_command(name, rate) if rate and not link.virtual else up_command(link)
        raise AdapterNotFound(str(interface), f"{name} is down: {command}")
    if rate and link.bit_rate and rate != link.bit_rate:
        seen = format_bit_rate(link.bit_rate)
        command = set_up_command(name, rate, link.listen_only, up=True)
        raise AdapterNotFound(
            str(interface), f"{name} runs at {seen}, not {format_bit_rate(rate)}: name that rate or none, or {command}"
        )
    return link


def _no_link(name: str) -> str:
    if name.startswith("vcan"):
        return f"there is no {name}: sudo ip link add {name} type vcan; sudo ip link set {name} up"
    others = ", ".join(link.name for link in linux_can.can_links())
    seen = f"the CAN interfaces here are {others}" if others else "there is no CAN interface here"
    return f"there is no {name}: {seen}; is the adapter plugged in? then {set_up_command(name, None)}"


def _link_notes(link: CanLink, bit_rate: int | None, listen_only: bool) -> list[str]:
    notes = []
    if bit_rate and link.bit_rate is None:
        why = "has no bit rate" if link.virtual else "does not tell its bit rate"
        notes.append(f"{link.name} {why}: {format_bit_rate(bit_rate)} is not verified; the system sets it")
    if link.state == "BUS-OFF":
        notes.append(f"{link.name} is bus-off: {restart_command(link)}")
    if listen_only and not link.listen_only and not link.virtual:
        command = set_up_command(link.name, bit_rate or link.bit_rate, True, up=link.up)
        notes.append(f"{link.name} acknowledges what it hears, although nothing is sent: {command}")
    return notes
