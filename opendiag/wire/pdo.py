"""PDO mapping entries, and bits in and out of a PDO.

A PDO is one little-endian integer of up to 512 bits: entry after entry, lowest bit first, any width, any offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opendiag.errors import WireError

MAX_BITS = 512
#: Sub-index 0 of a mapping parameter: values that turn the PDO into a multiplexed one (CiA 301).
SAM_MPDO = 0xFE
DAM_MPDO = 0xFF


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
