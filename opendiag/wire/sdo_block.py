"""SDO block transfer messages (CiA 301), and the data frames that only a follower of the transfer can recognise."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.wire.limits import little_endian, require_bits
from opendiag.wire.sdo_frame import LENGTH, SEGMENT_BYTES, multiplexed, multiplexor, require, u32

MAX_BLOCK_SIZE = 127


@dataclass(frozen=True, slots=True)
class BlockInitiate:
    """What both ways begin with. ``crc``: who sends the message can compute one."""

    index: int
    subindex: int
    size: int | None = None
    crc: bool = True

    def _encode(self) -> bytes:
        command = 0xC0 | self.crc << 2 | (self.size is not None) << 1
        return multiplexed(command, self.index, self.subindex, little_endian("size", self.size or 0, 4))

    @staticmethod
    def _parse(data: bytes) -> tuple[int, int, int | None, bool]:
        require(data, 4, "the start of a block transfer")
        sized = bool(data[0] & 2)
        if sized:
            require(data, LENGTH, "the start of a block transfer with a size")
        return (*multiplexor(data), u32(data) if sized else None, bool(data[0] & 4))


@dataclass(frozen=True, slots=True)
class BlockDownloadInitiate(BlockInitiate):
    """Client: write an object in blocks (C0h..C6h)."""

    def encode(self) -> bytes:
        return self._encode()

    @classmethod
    def decode(cls, data: bytes) -> BlockDownloadInitiate:
        return cls(*cls._parse(data))


@dataclass(frozen=True, slots=True)
class BlockUploadInitiated(BlockInitiate):
    """Server: the object comes in blocks (C0h..C6h)."""

    def encode(self) -> bytes:
        return self._encode()

    @classmethod
    def decode(cls, data: bytes) -> BlockUploadInitiated:
        return cls(*cls._parse(data))


@dataclass(frozen=True, slots=True)
class BlockDownloadInitiated:
    """Server: send sub-blocks of ``block_size`` segments, 1..127 (A0h, A4h)."""

    index: int
    subindex: int
    block_size: int
    crc: bool = True

    def encode(self) -> bytes:
        _check_block_size(self.block_size)
        return multiplexed(0xA0 | self.crc << 2, self.index, self.subindex, bytes([self.block_size]))

    @classmethod
    def decode(cls, data: bytes) -> BlockDownloadInitiated:
        require(data, 5, "a block download response")
        _check_block_size(data[4], data)
        return cls(*multiplexor(data), data[4], bool(data[0] & 4))


@dataclass(frozen=True, slots=True)
class BlockUploadInitiate:
    """Client: read an object in blocks (A0h, A4h).

    ``switch_below`` is the protocol switch threshold in bytes: an object up to this size may come without blocks.
    """

    index: int
    subindex: int
    block_size: int
    switch_below: int = 0
    crc: bool = True

    def encode(self) -> bytes:
        _check_block_size(self.block_size)
        tail = bytes([self.block_size]) + little_endian("protocol switch threshold", self.switch_below, 1)
        return multiplexed(0xA0 | self.crc << 2, self.index, self.subindex, tail)

    @classmethod
    def decode(cls, data: bytes) -> BlockUploadInitiate:
        require(data, 5, "a block upload request")
        _check_block_size(data[4], data)
        return cls(*multiplexor(data), data[4], data[5] if len(data) > 5 else 0, bool(data[0] & 4))


@dataclass(frozen=True, slots=True)
class BlockUploadStart:
    """Client: start sending (A3h)."""

    def encode(self) -> bytes:
        return b"\xa3" + bytes(7)

    @classmethod
    def decode(cls, data: bytes) -> BlockUploadStart:
        require(data, 1, "a block upload start")
        return cls()


@dataclass(frozen=True, slots=True)
class BlockAck:
    """Receiver of a sub-block: everything up to segment ``sequence`` arrived (A2h). 0: nothing did.

    ``block_size`` is that of the next sub-block. After the last one it means nothing, and may be 0.
    """

    sequence: int
    block_size: int

    def encode(self) -> bytes:
        _check_sequence(self.sequence)
        _check_block_size(self.block_size or 1)
        return bytes([0xA2, self.sequence, self.block_size]) + bytes(5)

    @classmethod
    def decode(cls, data: bytes) -> BlockAck:
        require(data, 3, "a sub-block acknowledge")
        _check_sequence(data[1], data)
        _check_block_size(data[2] or 1, data)
        return cls(data[1], data[2])


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """Sender of the data: that was all (C1h..DDh). ``unused`` bytes of the last segment, 0..7, and the CRC."""

    unused: int
    crc: int

    def encode(self) -> bytes:
        require_bits("number of unused bytes", self.unused, 3)
        return bytes([0xC1 | self.unused << 2]) + little_endian("CRC", self.crc, 2) + bytes(5)

    @classmethod
    def decode(cls, data: bytes) -> BlockEnd:
        require(data, 3, "the end of a block transfer")
        return cls(data[0] >> 2 & 7, data[1] | data[2] << 8)


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """Receiver of the data: end and CRC accepted (A1h)."""

    def encode(self) -> bytes:
        return b"\xa1" + bytes(7)

    @classmethod
    def decode(cls, data: bytes) -> BlockEnded:
        require(data, 1, "the end of a block transfer")
        return cls()


@dataclass(frozen=True, slots=True)
class BlockSegment:
    """Seven bytes of a block transfer. ``sequence`` 1..127 within its sub-block; the last one may be padded."""

    sequence: int
    data: bytes
    last: bool

    def encode(self) -> bytes:
        if not 1 <= self.sequence <= MAX_BLOCK_SIZE:
            raise WireError(f"segment number {self.sequence} is outside 1..{MAX_BLOCK_SIZE}", self.data)
        if len(self.data) > SEGMENT_BYTES or not (self.last or len(self.data) == SEGMENT_BYTES):
            raise WireError(f"{len(self.data)} bytes in a block segment (7; fewer only in the last)", self.data)
        return bytes([self.last << 7 | self.sequence]) + self.data.ljust(SEGMENT_BYTES, b"\0")

    @classmethod
    def decode(cls, data: bytes) -> BlockSegment:
        require(data, LENGTH, "a block segment")
        if not data[0] & 0x7F:
            raise WireError("a block segment with sequence number 0", data)
        return cls(data[0] & 0x7F, bytes(data[1:]), bool(data[0] & 0x80))


def _check_sequence(sequence: int, data: bytes = b"") -> None:
    if not 0 <= sequence <= MAX_BLOCK_SIZE:
        raise WireError(f"sequence number {sequence} is outside 0..{MAX_BLOCK_SIZE}", data)


def _check_block_size(block_size: int, data: bytes = b"") -> None:
    if not 1 <= block_size <= MAX_BLOCK_SIZE:
        raise WireError(f"block size {block_size} is outside 1..{MAX_BLOCK_SIZE}", data)
