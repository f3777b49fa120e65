"""What all SDO messages share: eight bytes, command first, then often an object and four bytes of data."""

from __future__ import annotations

from opendiag.errors import WireError

LENGTH = 8
SEGMENT_BYTES = 7


def multiplexed(command: int, index: int, subindex: int, tail: bytes = b"") -> bytes:
    """A message that names an object; ``tail`` is padded to four bytes."""
    if not 0 <= index <= 0xFFFF or not 0 <= subindex <= 0xFF:
        raise WireError(f"no object {index:#x}:{subindex:#x}: an index has 16 bits, a subindex 8")
    return bytes([command, index & 0xFF, index >> 8, subindex]) + tail.ljust(4, b"\0")


def require(data: bytes, length: int, what: str) -> None:
    """Raise WireError unless at least the bytes that carry meaning are there."""
    if len(data) < length:
        raise WireError(f"{what} needs {length} bytes, not {len(data)}", data)
    if len(data) > LENGTH:
        raise WireError(f"an SDO message has {LENGTH} bytes, not {len(data)}", data)


def multiplexor(data: bytes) -> tuple[int, int]:
    """Index and subindex."""
    return data[1] | data[2] << 8, data[3]


def u32(data: bytes) -> int:
    """Bytes 4..7: a size or an abort code."""
    return int.from_bytes(data[4:8], "little")
