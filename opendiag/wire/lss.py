"""Layer setting services (CiA 305): node-ID and bit rate of a device, found by its LSS address.

The master sends on 7E5h, slaves answer on 7E4h, eight bytes each: a command specifier and seven bytes of data.
The LSS address is vendor-ID, product code, revision number and serial number.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import IntEnum

from opendiag.errors import WireError
from opendiag.wire.limits import little_endian

REQUEST_ID = 0x7E5
RESPONSE_ID = 0x7E4
LENGTH = 8
#: A node-ID of FFh: not configured yet.
UNCONFIGURED = 0xFF
#: Fastscan: "is any unconfigured slave there?"
FASTSCAN_CONFIRM = 0x80
ADDRESS_PARTS = ("vendor-ID", "product code", "revision number", "serial number")
#: Standard bit timing table 0: index -> kbit/s. 9 selects automatic detection, 5 is reserved (once 100).
BIT_RATES_KBIT = {0: 1000, 1: 800, 2: 500, 3: 250, 4: 125, 6: 50, 7: 20, 8: 10}


class LssCommand(IntEnum):
    """Command specifier. Where master and slave use the same one, the identifier tells who speaks."""

    SWITCH_GLOBAL = 0x04
    CONFIGURE_NODE_ID = 0x11
    CONFIGURE_BIT_TIMING = 0x13
    ACTIVATE_BIT_TIMING = 0x15
    STORE = 0x17
    SELECT_VENDOR = 0x40
    SELECT_PRODUCT = 0x41
    SELECT_REVISION = 0x42
    SELECT_SERIAL = 0x43
    SELECTED = 0x44
    IDENTIFY_VENDOR = 0x46
    IDENTIFY_PRODUCT = 0x47
    IDENTIFY_REVISION_LOW = 0x48
    IDENTIFY_REVISION_HIGH = 0x49
    IDENTIFY_SERIAL_LOW = 0x4A
    IDENTIFY_SERIAL_HIGH = 0x4B
    IDENTIFY_NON_CONFIGURED = 0x4C
    IDENTIFIED = 0x4F
    IDENTIFIED_NON_CONFIGURED = 0x50
    FASTSCAN = 0x51
    INQUIRE_VENDOR = 0x5A
    INQUIRE_PRODUCT = 0x5B
    INQUIRE_REVISION = 0x5C
    INQUIRE_SERIAL = 0x5D
    INQUIRE_NODE_ID = 0x5E


C = LssCommand

_SELECT = {C.SELECT_VENDOR: 0, C.SELECT_PRODUCT: 1, C.SELECT_REVISION: 2, C.SELECT_SERIAL: 3}
_IDENTIFY = {
    C.IDENTIFY_VENDOR: "vendor-ID",
    C.IDENTIFY_PRODUCT: "product code",
    C.IDENTIFY_REVISION_LOW: "lowest revision number",
    C.IDENTIFY_REVISION_HIGH: "highest revision number",
    C.IDENTIFY_SERIAL_LOW: "lowest serial number",
    C.IDENTIFY_SERIAL_HIGH: "highest serial number",
}
_INQUIRE = {C.INQUIRE_VENDOR: 0, C.INQUIRE_PRODUCT: 1, C.INQUIRE_REVISION: 2, C.INQUIRE_SERIAL: 3}
_NUMBERED = {*_SELECT, *_IDENTIFY, *_INQUIRE}
_CONFIRMED = {
    C.CONFIGURE_NODE_ID: "configure node-ID",
    C.CONFIGURE_BIT_TIMING: "configure bit timing",
    C.STORE: "store configuration",
}
_BARE = {
    C.SELECTED: "this slave is selected and in configuration state",
    C.IDENTIFIED: "a slave answers: identified",
    C.IDENTIFIED_NON_CONFIGURED: "a slave without a node-ID is there",
    C.IDENTIFY_NON_CONFIGURED: "is a slave without a node-ID there?",
    C.STORE: "store node-ID and bit rate",
}

#: (command, error code) -> text; FFh refers to the specific error code that follows.
ERROR_TEXTS = {
    (C.CONFIGURE_NODE_ID, 1): "node-ID out of range",
    (C.CONFIGURE_BIT_TIMING, 1): "bit rate not supported",
    (C.STORE, 1): "storing is not supported",
    (C.STORE, 2): "storage medium failed",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """Switch state global: all slaves to waiting (False) or configuration (True). Not answered."""

    configuration: bool

    def encode(self) -> bytes:
        return _message(C.SWITCH_GLOBAL, bytes([self.configuration]))

    @property
    def text(self) -> str:
        return f"all slaves: enter LSS {'configuration' if self.configuration else 'waiting'} state"


@dataclass(frozen=True, slots=True)
class AddressPart:
    """A 32-bit number with a command: select (40h..43h), identify (46h..4Bh), or an inquiry's answer (5Ah..5Dh)."""

    command: LssCommand
    number: int

    def encode(self) -> bytes:
        _require(self.command, _NUMBERED, "a command with a number")
        return _message(self.command, little_endian("number", self.number, 4))

    @property
    def text(self) -> str:
        if self.command in _SELECT:
            return f"select the slave with {ADDRESS_PARTS[_SELECT[self.command]]} {self.number:08X}h"
        if self.command in _IDENTIFY:
            return f"identify slaves: {_IDENTIFY[self.command]} {self.number:08X}h"
        return f"{ADDRESS_PARTS[_INQUIRE[self.command]]} is {self.number:08X}h"


@dataclass(frozen=True, slots=True)
class Inquire:
    """Ask the selected slave for a part of its LSS address or its node-ID."""

    command: LssCommand

    def encode(self) -> bytes:
        _require(self.command, {*_INQUIRE, C.INQUIRE_NODE_ID}, "an inquiry")
        return _message(self.command)

    @property
    def text(self) -> str:
        part = "node-ID" if self.command is C.INQUIRE_NODE_ID else ADDRESS_PARTS[_INQUIRE[self.command]]
        return f"what is your {part}?"


@dataclass(frozen=True, slots=True)
class NodeIdAnswer:
    """``node_id`` 1..127, or FFh: none yet."""

    node_id: int

    def encode(self) -> bytes:
        return _message(C.INQUIRE_NODE_ID, little_endian("node-ID", self.node_id, 1))

    @property
    def text(self) -> str:
        return "node-ID is not configured" if self.node_id == UNCONFIGURED else f"node-ID is {self.node_id}"


@dataclass(frozen=True, slots=True)
class ConfigureNodeId:
    """``node_id`` 1..127, or FFh to take it away. In force at the next reset communication."""

    node_id: int

    def encode(self) -> bytes:
        return _message(C.CONFIGURE_NODE_ID, little_endian("node-ID", self.node_id, 1))

    @property
    def text(self) -> str:
        return "take the node-ID away" if self.node_id == UNCONFIGURED else f"set node-ID {self.node_id}"


@dataclass(frozen=True, slots=True)
class ConfigureBitTiming:
    """``table`` 0 is the standard one, 128..255 are the manufacturer's."""

    table: int
    index: int

    def encode(self) -> bytes:
        table, index = little_endian("table", self.table, 1), little_endian("index", self.index, 1)
        return _message(C.CONFIGURE_BIT_TIMING, table + index)

    @property
    def text(self) -> str:
        if self.table == 0 and self.index == 9:
            return "set automatic bit rate detection"
        rate = BIT_RATES_KBIT.get(self.index) if self.table == 0 else None
        return f"set bit timing table {self.table} index {self.index}" + (f" ({rate} kbit/s)" if rate else "")


@dataclass(frozen=True, slots=True)
class ActivateBitTiming:
    """Wait ``delay_ms``, switch, and wait as long again before sending."""

    delay_ms: int

    def encode(self) -> bytes:
        return _message(C.ACTIVATE_BIT_TIMING, little_endian("delay in ms", self.delay_ms, 2))

    @property
    def text(self) -> str:
        return f"switch to the new bit rate, with {self.delay_ms} ms of silence before and after"


@dataclass(frozen=True, slots=True)
class Bare:
    """A command without data: `_BARE` lists them."""

    command: LssCommand

    def encode(self) -> bytes:
        _require(self.command, _BARE, "a command without data")
        return _message(self.command)

    @property
    def text(self) -> str:
        return _BARE[self.command]


@dataclass(frozen=True, slots=True)
class Result:
    """A slave's answer to configure node-ID, configure bit timing or store. ``error`` 0 is success."""

    command: LssCommand
    error: int
    specific: int = 0

    def encode(self) -> bytes:
        _require(self.command, _CONFIRMED, "a command that is confirmed with an error code")
        error, specific = little_endian("error", self.error, 1), little_endian("specific error", self.specific, 1)
        return _message(self.command, error + specific)

    @property
    def text(self) -> str:
        what = _CONFIRMED[self.command]
        if self.error == 0:
            return f"{what}: done"
        if self.error == 0xFF:
            return f"{what}: failed, manufacturer's error {self.specific}"
        return f"{what}: {ERROR_TEXTS.get((self.command, self.error), f'error {self.error}')}"


@dataclass(frozen=True, slots=True)
class Fastscan:
    """Binary search for one slave without a node-ID.

    ``bit_check`` 31..0: bits above and including it must match ``number``; 128 asks whether anyone is there.
    ``part`` (0..3) is the address part compared, ``next_part`` the one that a matching slave compares next.
    """

    number: int
    bit_check: int
    part: int
    next_part: int

    def encode(self) -> bytes:
        _check_fastscan(self.bit_check, self.part, self.next_part)
        tail = bytes([self.bit_check, self.part, self.next_part])
        return _message(C.FASTSCAN, little_endian("number", self.number, 4) + tail)

    @property
    def text(self) -> str:
        if self.bit_check == FASTSCAN_CONFIRM:
            return "Fastscan: is any slave without a node-ID there?"
        compared = f"{ADDRESS_PARTS[self.part]} = {self.number:08X}h"
        return f"Fastscan: {compared} in bits 31..{self.bit_check}?"


LssRequest = Switch | AddressPart | Inquire | ConfigureNodeId | ConfigureBitTiming | ActivateBitTiming | Bare | Fastscan
LssResponse = Bare | AddressPart | NodeIdAnswer | Result


def decode_request(data: bytes) -> LssRequest:
    """What the LSS master sent. Raise WireError."""
    command, u32 = _split(data)
    if command is C.SWITCH_GLOBAL:
        if data[1] > 1:
            raise WireError(f"LSS state {data[1]} (0 waiting, 1 configuration)", data)
        return Switch(bool(data[1]))
    if command is C.CONFIGURE_NODE_ID:
        return ConfigureNodeId(data[1])
    if command is C.CONFIGURE_BIT_TIMING:
        return ConfigureBitTiming(data[1], data[2])
    if command is C.ACTIVATE_BIT_TIMING:
        return ActivateBitTiming(u32 & 0xFFFF)
    if command is C.FASTSCAN:
        _check_fastscan(data[5], data[6], data[7], data)
        return Fastscan(u32, data[5], data[6], data[7])
    if command in _SELECT or command in _IDENTIFY:
        return AddressPart(command, u32)
    if command in _INQUIRE or command is C.INQUIRE_NODE_ID:
        return Inquire(command)
    if command in (C.STORE, C.IDENTIFY_NON_CONFIGURED):
        return Bare(command)
    raise WireError(f"{data[0]:02X}h is a slave's answer, not a master's command", data)


def decode_response(data: bytes) -> LssResponse:
    """What an LSS slave answered. Raise WireError."""
    command, u32 = _split(data)
    if command in _CONFIRMED:
        return Result(command, data[1], data[2])
    if command in _INQUIRE:
        return AddressPart(command, u32)
    if command is C.INQUIRE_NODE_ID:
        return NodeIdAnswer(data[1])
    if command in (C.SELECTED, C.IDENTIFIED, C.IDENTIFIED_NON_CONFIGURED):
        return Bare(command)
    raise WireError(f"{data[0]:02X}h is a master's command, not a slave's answer", data)


def _require(command: LssCommand, allowed: Container[LssCommand], what: str) -> None:
    if command not in allowed:
        raise WireError(f"{command.name} ({command:02X}h) is not {what}")


def _check_fastscan(bit_check: int, part: int, next_part: int, data: bytes = b"") -> None:
    bit_known = 0 <= bit_check <= 31 or bit_check == FASTSCAN_CONFIRM
    if not bit_known or not 0 <= part <= 3 or not 0 <= next_part <= 3:
        raise WireError(f"Fastscan with bit {bit_check}, parts {part} and {next_part}", data)


def _message(command: LssCommand, data: bytes = b"") -> bytes:
    return bytes([command]) + data.ljust(7, b"\0")


def _split(data: bytes) -> tuple[LssCommand, int]:
    if len(data) != LENGTH:
        raise WireError(f"an LSS message has {LENGTH} bytes, not {len(data)}", data)
    try:
        return LssCommand(data[0]), int.from_bytes(data[1:5], "little")
    except ValueError:
        raise WireError(f"unknown LSS command {data[0]:02X}h", data) from None
