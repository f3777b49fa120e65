"""PDO mapping entries, bits in and out of a PDO, and multiplexed PDOs.

A PDO is one little-endian integer of up to 512 bits: entry after entry, lowest bit first, any width, any offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opendiag.errors import WireError

MAX_BITS = 512
#: Of a mapping (CiA 301): whatever subindex 0 says, there are no more.
MAX_ENTRIES = 64
#: PDOs of one direction that a device can have.
MAX_PDOS = 512
#: (first communication parameter, first mapping parameter), CiA 301.
RPDO_OBJECTS = (0x1400, 0x1600)
TPDO_OBJECTS = (0x1800, 0x1A00)
#: Sub-index 0 of a mapping parameter: values that turn the PDO into a multiplexed one (CiA 301).
SAM_MPDO = 0xFE
DAM_MPDO = 0xFF


def communication_index(transmit: bool, number: int) -> int:
    """Of TPDO or RPDO ``number`` (1..512)."""
    return (TPDO_OBJECTS if transmit else RPDO_OBJECTS)[0] + number - 1


def mapping_index(transmit: bool, number: int) -> int:
    """Of TPDO or RPDO ``number`` (1..512)."""
    return (TPDO_OBJECTS if transmit else RPDO_OBJECTS)[1] + number - 1


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """``bits`` 1..255. Index 0001h..0007h with any width is a dummy: bits that nobody reads."""

    index: int
    subindex: int
    bits: int

    def encode(self) -> int:
        if not (0 <= self.index <= 0xFFFF and 0 <= self.subindex <= 0xFF and 0 <= self.bits <= 0xFF):
            raise WireError(f"{self} does not fit a mapping entry (16, 8 and 8 bits)")
        return self.index << 16 | self.subindex << 8 | self.bits

    @classmethod
    def decode(cls, value: int) -> MappingEntry:
        """Any 32-bit number is an entry; a width of 0 maps nothing."""
        return cls(value >> 16 & 0xFFFF, value >> 8 & 0xFF, value & 0xFF)

    @property
    def is_dummy(self) -> bool:
        return 1 <= self.index <= 7


def unpack(data: bytes, widths: Sequence[int]) -> list[int]:
    """One unsigned number per width (in bits), as far as the data reach: a field they cut short is left out."""
    whole = int.from_bytes(data, "little")
    available = 8 * len(data)
    offset = 0
    fields = []
    for width in widths:
        if offset + width > available:
            break
        fields.append(whole >> offset & (1 << width) - 1)
        offset += width
    return fields


def pack(values: Sequence[int], widths: Sequence[int]) -> bytes:
    """The opposite of `unpack`. Negative numbers are taken in two's complement of their width.

    Raise WireError when a value needs more bits than its width, or all together more than 512.
    """
    if len(values) != len(widths):
        raise WireError(f"{len(values)} values for {len(widths)} mapped fields")
    whole = offset = 0
    for value, width in zip(values, widths, strict=True):
        if not -(1 << width >> 1) <= value < 1 << width:
            raise WireError(f"{value} does not fit {width} bits")
        whole |= (value & (1 << width) - 1) << offset
        offset += width
    if offset > MAX_BITS:
        raise WireError(f"{offset} mapped bits; a PDO has at most {MAX_BITS}")
    return whole.to_bytes((offset + 7) // 8, "little")


def sign_extend(value: int, bits: int) -> int:
    """Read an unsigned field as two's complement of its width."""
    return value - (1 << bits) if bits and value >> bits - 1 & 1 else value


@dataclass(frozen=True, slots=True)
class Mpdo:
    """Multiplexed PDO: eight bytes that name the object they carry (CiA 301).

    ``destination``: the address is the receiver's node-ID (0: all), otherwise the sender's.
    """

    node_id: int
    destination: bool
    index: int
    subindex: int
    data: bytes

    def encode(self) -> bytes:
        """Raise WireError for a number that has no room, and for more than 4 bytes of data."""
        if not (0 <= self.node_id <= 127 and 0 <= self.index <= 0xFFFF and 0 <= self.subindex <= 0xFF):
            raise WireError(f"node-ID {self.node_id}, {self.index:X}h:{self.subindex:X}h do not fit a multiplexed PDO")
        if len(self.data) > 4:
            raise WireError(f"a multiplexed PDO carries 4 bytes, not {len(self.data)}", self.data)
        head = bytes([self.node_id | self.destination << 7, self.index & 0xFF, self.index >> 8, self.subindex])
        return head + self.data.ljust(4, b"\0")

    @classmethod
    def decode(cls, data: bytes) -> Mpdo:
        """Raise WireError unless it is eight bytes."""
        if len(data) != 8:
            raise WireError(f"a multiplexed PDO has 8 bytes, not {len(data)}", data)
        return cls(data[0] & 0x7F, bool(data[0] & 0x80), data[1] | data[2] << 8, data[3], bytes(data[4:]))


@dataclass(frozen=True, slots=True)
class ScannerEntry:
    """Of an object scanner list (1FA0h..1FCFh): ``count`` objects in a row of subindices go out by SAM-MPDO."""

    index: int
    subindex: int
    count: int

    def encode(self) -> int:
        """Raise WireError for a number that has no room."""
        if not (0 <= self.index <= 0xFFFF and 0 <= self.subindex <= 0xFF and 0 <= self.count <= 0xFF):
            raise WireError(f"{self} does not fit an entry of a scanner list (16, 8 and 8 bits)")
        return self.count << 24 | self.index << 8 | self.subindex

    @classmethod
    def decode(cls, value: int) -> ScannerEntry:
        """Of any 32-bit number; a count of 0 names nothing."""
        return cls(value >> 8 & 0xFFFF, value & 0xFF, value >> 24 & 0xFF)


@dataclass(frozen=True, slots=True)
class DispatchEntry:
    """Of an object dispatching list (1FD0h..1FFFh): what node ``node_id`` sends by SAM-MPDO from ``sent_index`` on,
    ``count`` subindices in a row, is written to ``index`` and ``subindex`` and those behind it.
    """

    node_id: int
    sent_index: int
    sent_subindex: int
    index: int
    subindex: int
    count: int

    def encode(self) -> int:
        """Raise WireError for a number that has no room."""
        small = (self.node_id, self.sent_subindex, self.subindex, self.count)
        if not (all(0 <= n <= 0xFF for n in small) and all(0 <= n <= 0xFFFF for n in (self.sent_index, self.index))):
            raise WireError(f"{self} does not fit an entry of a dispatching list (16 bits an index, 8 the others)")
        sent = self.sent_index << 16 | self.sent_subindex << 8 | self.node_id
        return self.count << 56 | self.index << 40 | self.subindex << 32 | sent

    @classmethod
    def decode(cls, value: int) -> DispatchEntry:
        """Of any 64-bit number; a count of 0 names nothing."""
        sent, local = value & 0xFFFF_FFFF, value >> 32
        return cls(sent & 0xFF, sent >> 16, sent >> 8 & 0xFF, local >> 8 & 0xFFFF, local & 0xFF, local >> 24 & 0xFF)

    def target(self, mpdo: Mpdo) -> tuple[int, int] | None:
        """Where this node's object goes to, as (index, subindex); None when the entry does not mean it."""
        behind = mpdo.subindex - self.sent_subindex
        same = (mpdo.node_id, mpdo.index) == (self.node_id, self.sent_index) and not mpdo.destination
        return (self.index, self.subindex + behind) if same and 0 <= behind < self.count else None
