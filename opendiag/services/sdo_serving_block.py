"""Block transfers as an SDO server runs them."""

from __future__ import annotations

import binascii
from enum import Enum, auto
from typing import Any

from opendiag.errors import SdoRefusal
from opendiag.services.sdo_serving import Serving, Sink, Source, read_request, unexpected
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockDownloadInitiated,
    BlockEnd,
    BlockEnded,
    BlockSegment,
    BlockUploadInitiated,
    BlockUploadStart,
)
from opendiag.wire.sdo_frame import LENGTH, SEGMENT_BYTES

#: So many segments of a burst may be lost in a row, and the next one is still known to belong to it.
_LOST = 4


class _Phase(Enum):
    READY = auto()
    DATA = auto()
    END = auto()


class BlockUpload(Serving):
    """The client reads in sub-blocks of ``block_size`` segments. ``crc``: it can compute one, as the server can."""

    __slots__ = ("_block_size", "_crc", "_ended", "_pending", "_phase", "_sent", "_source", "_unused", "_with_crc")

    def __init__(self, index: int, subindex: int, source: Source, block_size: int, crc: bool) -> None:
        super().__init__(index, subindex)
        self._source = source
        self._block_size = block_size
        self._with_crc = crc
        self._crc = 0
        self._phase = _Phase.READY
        self._pending: list[bytes] = []  # taken from the source, not acknowledged yet
        self._ended = False
        self._unused = 0
        self._sent = 0

    def begin(self) -> list[bytes]:
        answer: Any = BlockUploadInitiated(self.index, self.subindex, self._source.size)  # it borrows its encode
        return [answer.encode()]

    def step(self, data: bytes, now: float) -> list[bytes]:
        request = read_request(data)
        if self._phase is _Phase.READY and isinstance(request, BlockUploadStart):
            self._phase = _Phase.DATA
            self.raw_answers = True
            return self._sub_block()
        if self._phase is _Phase.DATA and isinstance(request, BlockAck):
            return self._acknowledged(request)
        if self._phase is _Phase.END and isinstance(request, BlockEnded):
            self.done = True
            return []
        if self._phase is _Phase.END and isinstance(request, BlockAck) and request.sequence == self._sent:
            return [self._end()]  # the client missed it, and says once more what it has
        raise unexpected()

    def _acknowledged(self, ack: BlockAck) -> list[bytes]:
        if ack.sequence > self._sent:
            raise SdoRefusal(SdoAbortCode.INVALID_SEQUENCE_NUMBER)
        del self._pending[: ack.sequence]
        if self._ended and not self._pending:
            self._phase = _Phase.END
            self.raw_answers = False
            return [self._end()]
        if not ack.block_size:
            raise SdoRefusal(SdoAbortCode.INVALID_BLOCK_SIZE)
        self._block_size = ack.block_size
        return self._sub_block()

    def _sub_block(self) -> list[bytes]:
        """Begin with what was not acknowledged."""
        while len(self._pending) < self._block_size and not self._ended:
            part, self._ended = self._source.take(SEGMENT_BYTES)
            self._pending.append(part)
            self._crc = binascii.crc_hqx(part, self._crc)
            self._unused = SEGMENT_BYTES - len(part)
        parts = self._pending[: self._block_size]
        self._sent = len(parts)
        last = self._sent if self._ended and self._sent == len(self._pending) else 0
        return [BlockSegment(number, part, number == last).encode() for number, part in enumerate(parts, 1)]

    def _end(self) -> bytes:
        return BlockEnd(self._unused, self._crc if self._with_crc else 0).encode()

    def close(self) -> None:
        self._source.close()


def follows(sequence: int, latest: int) -> bool:
    """Is it the next segment of a burst whose latest one this was, or the latest repeated, or one after a few lost?

    A new sub-block begins with 1, so that is never one of the old one.
    """
    return latest <= sequence <= latest + _LOST and sequence > (latest != 0)


class BlockDownload(Serving):
    """The client writes in sub-blocks of ``block_size`` segments. ``crc``: it computes one.

    Data that are too many are refused at the end of a sub-block only: a client may send all of it before it
    looks at an answer, and what is left of it would be taken for commands. ``_stale`` is the latest segment of a
    sub-block that was acknowledged before its end, because the client had paused; None: there is none.
    """

    __slots__ = (
        "_block",
        "_block_size",
        "_crc",
        "_expected",
        "_final",
        "_heard",
        "_last",
        "_sink",
        "_stale",
        "_tail",
        "_with_crc",
    )

    def __init__(self, index: int, subindex: int, sink: Sink, block_size: int, crc: bool) -> None:
        super().__init__(index, subindex)
        self.raw = True
        self._sink = sink
        self._block_size = block_size
        self._with_crc = crc
        self._crc = 0
        self._block: list[bytes] = []
        self._expected = 1
        self._heard = 0  # the number of the latest segment of this sub-block, also of one that was not expected
        self._last = False
        self._stale: int | None = None
        self._final = b""  # the frame that ended the sub-block before
        self._tail = b""  # the latest seven bytes: how many of them count is said at the very end

    def begin(self) -> list[bytes]:
        return [BlockDownloadInitiated(self.index, self.subindex, self._block_size).encode()]

    def step(self, data: bytes, now: float) -> list[bytes]:
        return self._segment(data) if self.raw else self._end(data, now)

    def _segment(self, data: bytes) -> list[bytes]:
        if not data or (data == self._final and not self._heard and data[0] & 0x7F != self._expected):
            return []  # a frame that the bus delivered twice
        sequence, last = data[0] & 0x7F, bool(data[0] & 0x80)
        ends = last or sequence == self._block_size
        if self._stale is not None and follows(sequence, self._stale):
            self._stale = sequence
            return []
        self._stale = None
        if not 1 <= sequence <= self._block_size or (len(data) < LENGTH and not last):
            self._heard = sequence
            raise SdoRefusal(
                SdoAbortCode.INVALID_SEQUENCE_NUMBER if len(data) == LENGTH else SdoAbortCode.UNKNOWN_COMMAND
            )
        self._heard = sequence
        self.patience = 0.5
        if sequence == self._expected:
            self._expected += 1
            self._last = last
            self._block.append(data[1:].ljust(SEGMENT_BYTES, b"\0"))
        if not ends:
            return []
        self._final = data
        return self._acknowledge()

    def quiet(self) -> list[bytes]:
        if not self._heard:
            return super().quiet()
        self._stale = self._heard
        return self._acknowledge()

    @property
    def leftover(self) -> int | None:
        if not self.raw or self._heard == self._block_size:
            return None
        return self._heard or self._stale or 0

    def _acknowledge(self) -> list[bytes]:
        answer = BlockAck(self._expected - 1, self._block_size).encode()
        data = self._tail + b"".join(self._block)
        self._tail = data[-SEGMENT_BYTES:]
        self._take(data[:-SEGMENT_BYTES])
        self._block.clear()
        self._expected, self._heard, self.patience = 1, 0, 1.0
        self.raw = not self._last
        return [answer]

    def _take(self, data: bytes) -> None:
        self._crc = binascii.crc_hqx(data, self._crc)
        self._sink.feed(data)

    def _end(self, data: bytes, now: float) -> list[bytes]:
        if data == self._final:
            return []
        end = read_request(data)
        if not isinstance(end, BlockEnd):
            raise unexpected()
        rest = self._tail[: SEGMENT_BYTES - end.unused]
        if self._with_crc and binascii.crc_hqx(rest, self._crc) != end.crc:
            raise SdoRefusal(SdoAbortCode.CRC_ERROR)
        self._sink.feed(rest)
        self.hold_s = self._sink.finish(now)
        self.done = True
        return [BlockEnded().encode()]

    @property
    def written(self) -> bytes | None:
        return self._sink.data

    @property
    def writes(self) -> bool:
        return True
