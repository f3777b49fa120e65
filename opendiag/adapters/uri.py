"""The name of a way to the bus, as ``-i`` and ``connect()`` take it: ``ADAPTER:CHANNEL@BITRATE?key=value&...``.

    socketcan:can0@500k   cantact:0/1@1M   usbcan:COM5@500k   slcan:/dev/ttyACM0@500k   pcan:PCAN_USBBUS1@250k
    virtual:test   sim   sim:stepim,drive.eds=5   socketcand:192.168.1.7:29536/can0

Of USB adapters the channel says which one and which of its channels: 0, 0/1, SERIAL/1, /1-2.3/1 (its USB port).

Everything but the adapter can be left out where the adapter can do without. A channel may contain colons; what it
cannot contain as it stands (``%``, ``?``, ``@``) is written as in a URL (``%3F``). An ``@`` that is followed by another
one belongs to the channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from urllib.parse import unquote

from opendiag.errors import BadInterface

#: Of the slowest adapter; most begin at 10 kbit/s and say so.
MIN_BIT_RATE = 5_000
MAX_BIT_RATE = 1_000_000
#: Of the data phase of CAN FD.
MAX_DATA_BIT_RATE = 8_000_000

#: The TCP port of socketcand, which a running simulator listens on too.
SIM_PORT = 29536

#: The adapters by the name users write -> one example of each.
ADAPTERS: Mapping[str, str] = {
    "socketcan": "socketcan:can0",
    "cantact": "cantact:0@500k",
    "candlelight": "candlelight:0@500k",
    "usbcan": "usbcan:COM5@500k",
    "slcan": "slcan:/dev/ttyACM0@500k",
    "sim": "sim:stepim",
    "socketcand": f"socketcand:127.0.0.1:{SIM_PORT}/can0",
    "virtual": "virtual:test",
    "gs_usb": "gs_usb:0@500k",
    "pcan": "pcan:PCAN_USBBUS1@500k",
    "kvaser": "kvaser:0@500k",
    "vector": "vector:0@500k",
    "ixxat": "ixxat:0@500k",
    "canalystii": "canalystii:0@500k",
    "etas": "etas:ETAS://USB/ES582.1:1234567/CAN:1@500k",
    "iscan": "iscan:0@500k",
    "neousys": "neousys:0@500k",
    "neovi": "neovi:1@500k",
    "nican": "nican:CAN0@500k",
    "nixnet": "nixnet:CAN1@500k",
    "robotell": "robotell:/dev/ttyUSB0@500k",
    "serial": "serial:/dev/ttyUSB0",
    "systec": "systec:0@500k",
    "udp_multicast": "udp_multicast:239.74.163.2",
    "usb2can": "usb2can:ED000200@500k",
}
#: What a sentence about a wrong name lists; the rest is python-can's and found by its name.
_COMMON = (
    "socketcan",
    "cantact",
    "candlelight",
    "usbcan",
    "slcan",
    "pcan",
    "kvaser",
    "vector",
    "socketcand",
    "virtual",
    "sim",
)
#: Names of python-can, of products and of firmware -> what is to be written here.
_OTHER_NAMES: Mapping[str, str] = {
    "seeedstudio": "usbcan",
    "lawicel": "slcan",
    "canusb": "slcan",
    "canable": "candlelight, or slcan where its firmware makes it a serial port",
    "candle": "candlelight",
    "cannectivity": "gs_usb",
    "opendiag_gs_usb": "gs_usb",
    "opendiag_usbcan": "usbcan",
    "opendiag_slcan": "slcan",
}
#: These can do without a channel.
_NO_CHANNEL = frozenset({"sim", "udp_multicast"})

_RATE = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*([km]?)(?:bit/s|bit|bps|bd)?", re.IGNORECASE | re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_BLANKS = " \t\r\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST_PORT = re.compile(r"[\w.-]{2,}:\d+(/.*)?", re.ASCII)


@dataclass(frozen=True)
class Interface:
    """``adapter`` in lower case; ``channel`` "" where none was named; ``bit_rate`` in bit/s; ``options`` as written.

    ``str()`` is the normalised text, and `parse_interface` of it gives the same interface again.
    """

    adapter: str
    channel: str = ""
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        channel = f":{_quoted(self.channel, '%?@ ')}" if self.channel else ""
        rate = "" if self.bit_rate is None else f"@{format_bit_rate(self.bit_rate)}"
        options = "&".join(f"{key}={_quoted(value, '%& ')}" for key, value in self.options.items())
        return f"{self.adapter}{channel}{rate}{'?' if options else ''}{options}"


@dataclass(frozen=True)
class SimDevice:
    """One device of a ``sim:`` channel: a bundled name or an EDS file, and the node-ID if it was said."""

    name: str
    node_id: int | None = None


@dataclass(frozen=True)
class Server:
    """Where a socketcand server listens, and the name of the bus it serves."""

    host: str
    port: int
    channel: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.channel}"


def parse_interface(text: str) -> Interface:
    """Raises BadInterface, which says what was seen, what is expected and what was probably meant."""
    text = text.strip(_BLANKS)
    head, _, options = text.partition("?")
    named, at, rate = head.rpartition("@")
    name, colon, channel = (named if at else head).partition(":")
    name, channel = name.strip(_BLANKS), unquote(channel.strip(_BLANKS))
    adapter = name.lower()
    if adapter not in ADAPTERS and (adapter in _OTHER_NAMES or adapter not in plugins()):
        raise BadInterface(text, _not_an_adapter(head, name, channel if colon else None))
    if _CONTROL.search(channel):
        raise BadInterface(text, "there is a control character in it")
    if not channel and adapter not in _NO_CHANNEL:
        raise BadInterface(text, f"no channel: expected {_example(adapter)}")
    if adapter == "socketcand":
        channel = str(_server(text, channel))
    interface = Interface(adapter, channel, _bit_rate(text, rate) if at else None, _options(text, options))
    if adapter == "sim":
        sim_devices(interface)
    return interface


def sim_devices(interface: Interface) -> tuple[SimDevice, ...]:
    """What ``sim:stepim,axis.eds=5`` names; nothing for ``sim``. A comma cannot be part of a file name here.

    Raises BadInterface.
    """
    if not interface.channel:
        return ()
    if _HOST_PORT.fullmatch(interface.channel):
        server = interface.channel.partition("/")[0]
        raise BadInterface(str(interface), f"for a simulator that runs elsewhere write socketcand:{server}/sim")
    return tuple(_device(str(interface), item.strip(_BLANKS)) for item in interface.channel.split(","))


def server_of(interface: Interface) -> Server:
    """Where a ``socketcand`` interface leads. Raises BadInterface."""
    return _server(str(interface), interface.channel)


def parse_bit_rate(text: str, most: int = MAX_BIT_RATE) -> int:
    """Bit/s of "500k", "1M", "83.3k" or "125000"; ``most`` is what the bus can do.

    Raises ValueError, whose text says what is expected.
    """
    found = _RATE.fullmatch(text.strip(_BLANKS))
    expected = f"expected {format_bit_rate(MIN_BIT_RATE)} to {format_bit_rate(most)}"
    if not found:
        raise ValueError(f"{text!r} is no bit rate: {expected}, such as {'500k' if most == MAX_BIT_RATE else '2M'}")
    unit = {"": 1, "k": 1000, "m": 1_000_000}[found[2].lower()]
    rate = round(float(found[1]) * unit)
    if MIN_BIT_RATE <= rate <= most:
        return rate
    meant = f"; did you mean {rate}k?" if not found[2] and MIN_BIT_RATE <= rate * 1000 <= most else ""
    which = "classic CAN" if most == MAX_BIT_RATE else "CAN FD data"
    raise ValueError(f"{text.strip(_BLANKS)} is no bit rate of {which}: {expected}{meant}")


def format_bit_rate(bit_rate: int) -> str:
    """As in "500k" and "1M"."""
    return f"{bit_rate // MAX_BIT_RATE}M" if bit_rate and bit_rate % MAX_BIT_RATE == 0 else f"{bit_rate / 1000:g}k"


def plugins() -> frozenset[str]:
    """Names of the python-can interfaces that other installed packages bring."""
    return frozenset(point.name.lower() for point in entry_points(group="can.interface"))


def _bit_rate(text: str, rate: str) -> int:
    if not rate.strip(_BLANKS):
        raise BadInterface(text, "no bit rate after the @: expected one such as @500k, or no @")
    try:
        return parse_bit_rate(rate)
    except ValueError as error:
        hint = " (an @ that belongs to the channel is written %40)" if "/" in rate or "." in rate else ""
        raise BadInterface(text, f"{error}{hint}") from None


def _options(text: str, tail: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in tail.split("&") if tail else ():
        name, equals, value = item.partition("=")
        key = name.strip(_BLANKS).lower().replace("-", "_")
        if not equals or not _KEY.fullmatch(key):
            raise BadInterface(text, f"{item!r} is no option: expected key=value, several of them joined with &")
        if key in options:
            raise BadInterface(text, f"option {key} is given twice")
        options[key] = unquote(value.strip(_BLANKS))
        if _CONTROL.search(options[key]):
            raise BadInterface(text, f"there is a control character in option {key}")
    return options


def _device(text: str, item: str) -> SimDevice:
    name, equals, node = item.rpartition("=")
    if not equals:
        name, node = item, ""
    if not name.strip(_BLANKS):
        raise BadInterface(text, "a simulated device without a name: expected sim:stepim or sim:stepim,drive.eds=5")
    if not equals:
        return SimDevice(name)
    if not re.fullmatch(r"[0-9]{1,3}", node.strip(_BLANKS)) or not 1 <= int(node) <= 127:
        raise BadInterface(text, f"{node!r} is no node-ID: expected 1..127, as in {name}=5")
    return SimDevice(name.strip(_BLANKS), int(node))


def _server(text: str, where: str) -> Server:
    address, _, channel = where.partition("/")
    # An IPv6 address comes in brackets, because it has colons itself.
    found = re.fullmatch(r"(\[[^\]/]+\]|[^:/\s]+)(?::([0-9]{1,6}))?", address)
    if not found or not channel or re.search(r"[\s<>]", channel):
        raise BadInterface(
            text, f"{where!r} names no server: expected HOST:PORT/CHANNEL, as in {_example('socketcand')}"
        )
    port = int(found[2]) if found[2] else SIM_PORT
    if not 1 <= port <= 65535:
        raise BadInterface(text, f"{port} is no TCP port: expected 1..65535")
    return Server(found[1], port, channel)


def _not_an_adapter(head: str, name: str, channel: str | None) -> str:
    expected = f"expected ADAPTER:CHANNEL@BITRATE, such as {ADAPTERS['socketcan']} or {ADAPTERS['cantact']}"
    if not name:
        return f"no adapter named; {expected}"
    if channel is None:
        if re.fullmatch(r"v?can\d+|slcan\d+", name):
            return f"which adapter? did you mean socketcan:{head}?"
        if name.startswith(("/dev/", "\\\\.\\")) or re.fullmatch(r"com\d+", name, re.IGNORECASE):
            port, at, rate = head.partition("@")
            named = f"{port}@{rate if at else '500k'}"
            return f"which adapter is at that port? slcan:{named} or usbcan:{named}"
    if name.lower() in _OTHER_NAMES:
        return f"here {name} is called {_OTHER_NAMES[name.lower()]}"
    if re.fullmatch(r"[A-Za-z]", name) or "/" in name:
        return f"that looks like a file; {expected}"
    close = get_close_matches(name.lower(), [*ADAPTERS, *plugins()], n=1, cutoff=0.6)
    if close:
        return f"there is no adapter {name!r}: did you mean {close[0]}?"
    return f"there is no adapter {name!r}; the usual ones are {', '.join(_COMMON)}; {expected}"


def _example(adapter: str) -> str:
    return ADAPTERS.get(adapter, f"{adapter}:CHANNEL@500k")


def _quoted(text: str, special: str) -> str:
    return "".join(f"%{ord(char):02X}" if char in special else char for char in text)
