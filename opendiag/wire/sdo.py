"""SDO messages in both directions: initiate, segment, block and abort (CiA 301).

Every message is eight bytes: a command byte, then either a multiplexor (index low byte first, subindex) and four
bytes of data, or seven bytes of data. `decode_request` reads what a client sends, `decode_response` what a server
sends. The data frames of a block transfer have no command byte of their own and look like anything else: only who
follows the transfer can tell, and then uses `BlockSegment.decode`.

Decoding accepts frames shorter than eight bytes as long as nothing that carries meaning is missing (some devices
send them); `encode` always gives eight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from opendiag.errors import WireError
from opendiag.wire.limits import little_endian
from opendiag.wire.sdo_abort import abort_text
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockDownloadInitiate,
    BlockDownloadInitiated,
    BlockEnd,
    BlockEnded,
    BlockUploadInitiate,
    BlockUploadInitiated,
    BlockUploadStart,
)
from opendiag.wire.sdo_frame import LENGTH, SEGMENT_BYTES, multiplexed, multiplexor, require, u32

MAX_EXPEDITED = 4


@dataclass(frozen=True, slots=True)
class Initiate:
    """What an initiate download request and an initiate upload response share: how the data come.

    Expedited: ``data`` holds 1..4 bytes; ``sized`` tells whether their number was said or is taken as all four.
    Segmented: ``data`` is None and ``size`` is the announced number of bytes, or None when it was not said; ``sized``
    means nothing.
    """

    index: int
    subindex: int
    data: bytes | None = None
    size: int | None = None
    sized: bool = True

    def _encode(self, specifier: int) -> bytes:
        command = specifier << 5
        if self.data is None:
            if self.size is None:
                return multiplexed(command, self.index, self.subindex)
            return multiplexed(command | 1, self.index, self.subindex, little_endian("size", self.size, 4))
        if self.size is not None:
            raise WireError("an expedited transfer has data and no size: that belongs to a segmented one", self.data)
        if not 1 <= len(self.data) <= MAX_EXPEDITED or not (self.sized or len(self.data) == MAX_EXPEDITED):
            raise WireError(f"{len(self.data)} bytes in an expedited transfer (1..4; 4 without a size)", self.data)
        command |= 2 | (1 | (MAX_EXPEDITED - len(self.data)) << 2 if self.sized else 0)
        return multiplexed(command, self.index, self.subindex, self.data)

    @staticmethod
    def _parse(data: bytes) -> tuple[int, int, bytes | None, int | None, bool]:
        require(data, 4, "an SDO initiate message")
        command = data[0]
        if command & 0x10:
            raise WireError(f"reserved bit 4 is set in command {command:02X}h", data)
        index, subindex = multiplexor(data)
        if not command & 2:
            if not command & 1:
                return index, subindex, None, None, True
            require(data, LENGTH, "an SDO initiate message with a size")
            return index, subindex, None, u32(data), True
        length = MAX_EXPEDITED - (command >> 2 & 3) if command & 1 else MAX_EXPEDITED
        require(data, 4 + length, f"an expedited message of {length} bytes")
        return index, subindex, bytes(data[4 : 4 + length]), None, bool(command & 1)


@dataclass(frozen=True, slots=True)
class DownloadInitiate(Initiate):
    """Client: write an object (20h..2Fh)."""

    def encode(self) -> bytes:
        return self._encode(1)

    @classmethod
    def decode(cls, data: bytes) -> DownloadInitiate:
        return cls(*cls._parse(data))


@dataclass(frozen=True, slots=True)
class UploadInitiated(Initiate):
    """Server: here is the object, or its size (40h..4Fh)."""

    def encode(self) -> bytes:
        return self._encode(2)

    @classmethod
    def decode(cls, data: bytes) -> UploadInitiated:
        return cls(*cls._parse(data))


@dataclass(frozen=True, slots=True)
class Multiplexed:
    """An object and nothing else."""

    index: int
    subindex: int


@dataclass(frozen=True, slots=True)
class DownloadInitiated(Multiplexed):
    """Server: an expedited write is done, or the segments may come (60h)."""

    def encode(self) -> bytes:
        return multiplexed(0x60, self.index, self.subindex)

    @classmethod
    def decode(cls, data: bytes) -> DownloadInitiated:
        require(data, 4, "a download response")
        return cls(*multiplexor(data))


@dataclass(frozen=True, slots=True)
class UploadInitiate(Multiplexed):
    """Client: read an object (40h)."""

    def encode(self) -> bytes:
        return multiplexed(0x40, self.index, self.subindex)

    @classmethod
    def decode(cls, data: bytes) -> UploadInitiate:
        require(data, 4, "an upload request")
        return cls(*multiplexor(data))


@dataclass(frozen=True, slots=True)
class Segment:
    """Data of a segmented transfer, 0..7 bytes, from whoever sends the data (00h..1Fh).

    The same bytes are a download segment from a client and an upload segment from a server.
    """

    toggle: bool
    data: bytes
    last: bool

    def encode(self) -> bytes:
        if len(self.data) > SEGMENT_BYTES:
            raise WireError(f"{len(self.data)} bytes in a segment (at most {SEGMENT_BYTES})", self.data)
        command = self.toggle << 4 | (SEGMENT_BYTES - len(self.data)) << 1 | self.last
        return bytes([command]) + self.data.ljust(SEGMENT_BYTES, b"\0")

    @classmethod
    def decode(cls, data: bytes) -> Segment:
        require(data, 1, "a segment")
        length = SEGMENT_BYTES - (data[0] >> 1 & 7)
        require(data, 1 + length, f"a segment of {length} bytes")
        return cls(bool(data[0] & 0x10), bytes(data[1 : 1 + length]), bool(data[0] & 1))


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """Client: send the next upload segment (60h, 70h)."""

    toggle: bool

    def encode(self) -> bytes:
        return bytes([0x60 | self.toggle << 4]) + bytes(7)

    @classmethod
    def decode(cls, data: bytes) -> SegmentRequest:
        require(data, 1, "a segment request")
        return cls(bool(data[0] & 0x10))


@dataclass(frozen=True, slots=True)
class SegmentAck:
    """Server: download segment received (20h, 30h)."""

    toggle: bool

    def encode(self) -> bytes:
        return bytes([0x20 | self.toggle << 4]) + bytes(7)

    @classmethod
    def decode(cls, data: bytes) -> SegmentAck:
        require(data, 1, "a segment response")
        return cls(bool(data[0] & 0x10))


@dataclass(frozen=True, slots=True)
class Abort:
    """Either side: the transfer is over (80h). ``code`` may be one that CiA 301 does not list."""

    index: int
    subindex: int
    code: int

    def encode(self) -> bytes:
        return multiplexed(0x80, self.index, self.subindex, little_endian("abort code", self.code, 4))

    @classmethod
    def decode(cls, data: bytes) -> Abort:
        require(data, LENGTH, "an abort")
        return cls(*multiplexor(data), u32(data))

    @property
    def text(self) -> str:
        return abort_text(self.code)


Request = (
    DownloadInitiate
    | Segment
    | UploadInitiate
    | SegmentRequest
    | BlockDownloadInitiate
    | BlockEnd
    | BlockUploadInitiate
    | BlockUploadStart
    | BlockAck
    | BlockEnded
    | Abort
)
Response = (
    DownloadInitiated
    | SegmentAck
    | UploadInitiated
    | Segment
    | BlockDownloadInitiated
    | BlockAck
    | BlockEnded
    | BlockUploadInitiated
    | BlockEnd
    | Abort
)


_M = TypeVar("_M", Request, Response)
_Decoder = Callable[[bytes], _M]


def _table(*rows: tuple[int, int, _Decoder[_M]]) -> tuple[_Decoder[_M] | None, ...]:
    """One decoder per command byte, from (mask, value, decoder) rows; the first row that fits wins."""
    return tuple(next((d for mask, value, d in rows if byte & mask == value), None) for byte in range(256))


_REQUESTS: tuple[_Decoder[Request] | None, ...] = _table(
    (0xE0, 0x00, Segment.decode),
    (0xE0, 0x20, DownloadInitiate.decode),
    (0xFF, 0x40, UploadInitiate.decode),
    (0xEF, 0x60, SegmentRequest.decode),
    (0xFF, 0x80, Abort.decode),
    (0xFB, 0xA0, BlockUploadInitiate.decode),
    (0xFF, 0xA1, BlockEnded.decode),
    (0xFF, 0xA2, BlockAck.decode),
    (0xFF, 0xA3, BlockUploadStart.decode),
    (0xF9, 0xC0, BlockDownloadInitiate.decode),
    (0xE3, 0xC1, BlockEnd.decode),
)
_RESPONSES: tuple[_Decoder[Response] | None, ...] = _table(
    (0xE0, 0x00, Segment.decode),
    (0xEF, 0x20, SegmentAck.decode),
    (0xE0, 0x40, UploadInitiated.decode),
    (0xFF, 0x60, DownloadInitiated.decode),
    (0xFF, 0x80, Abort.decode),
    (0xFB, 0xA0, BlockDownloadInitiated.decode),
    (0xFF, 0xA1, BlockEnded.decode),
    (0xFF, 0xA2, BlockAck.decode),
    (0xF9, 0xC0, BlockUploadInitiated.decode),
    (0xE3, 0xC1, BlockEnd.decode),
)


@lru_cache(maxsize=1024)  # buses repeat themselves
def decode_request(data: bytes) -> Request:
    """What a client sent, outside the data phase of a block download. Raise WireError."""
    return _decode(_REQUESTS, data, "client")


@lru_cache(maxsize=1024)
def decode_response(data: bytes) -> Response:
    """What a server sent, outside the data phase of a block upload. Raise WireError."""
    return _decode(_RESPONSES, data, "server")


def _decode(table: tuple[_Decoder[_M] | None, ...], data: bytes, who: str) -> _M:
    if not data:
        raise WireError("an SDO message without data", data)
    decoder = table[data[0]]
    if decoder is None:
        raise WireError(f"unknown command {data[0]:02X}h from an SDO {who}", data)
    return decoder(data)
