"""Writing an object in blocks (CiA 301)."""

from __future__ import annotations

import binascii
from enum import Enum, auto
from typing import cast

from opendiag.errors import WireError
from opendiag.services.sdo_download import Download
from opendiag.services.sdo_streams import Source
from opendiag.services.sdo_transfer import Awaited, Conversation, GiveUp, Line, SdoTransfer
from opendiag.wire.sdo import decode_response
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockDownloadInitiate,
    BlockDownloadInitiated,
    BlockEnd,
    BlockEnded,
    BlockSegment,
)
from opendiag.wire.sdo_frame import SEGMENT_BYTES

#: So many acknowledges in a row may accept nothing.
MAX_IDLE_ACKS = 5


class _Phase(Enum):
    ASKED = auto()
    DATA = auto()
    END = auto()


class BlockDownload(Conversation):
    """One attempt at a write in blocks. Every segment is kept until it is acknowledged, the last one too."""

    __slots__ = (
        "_ack",
        "_crc",
        "_crc_used",
        "_idle_acks",
        "_last",
        "_pending",
        "_phase",
        "_sent",
        "_source",
        "restartable",
    )

    def __init__(self, line: Line, transfer: SdoTransfer) -> None:
        super().__init__(line, transfer)
        self.restartable = True
        self._source = cast(Source, transfer.stream)
        self._phase = _Phase.ASKED
        self._pending: list[bytes] = []
        self._last = False  # the source has no more than what is pending
        self._sent = 0  # segments in the present sub-block
        self._ack = b""  # the acknowledge before, to know a repeat of it
        self._crc = 0
        self._crc_used = False
        self._idle_acks = 0

    @property
    def awaits(self) -> Awaited:
        if self._phase is _Phase.ASKED:
            return ("block download", self.transfer.index, self.transfer.subindex)
        return ("block ack",) if self._phase is _Phase.DATA else ("block ended",)

    def begin(self, now: float) -> None:
        transfer = self.transfer
        transfer.size = self._source.size
        self.line.send(BlockDownloadInitiate(transfer.index, transfer.subindex, transfer.size).encode(), now)

    def fallback(self, code: int) -> Conversation | None:
        if self._phase is _Phase.ASKED and code == SdoAbortCode.UNKNOWN_COMMAND:
            return Download(self.line, self.transfer)
        return None

    def receive(self, data: bytes, now: float) -> None:
        try:
            message = decode_response(data)
        except WireError as error:
            if self._phase is not _Phase.END and data[0] in (0xA0, 0xA2, 0xA4) and len(data) >= 5:
                # Only a size or number out of range is left that the decoder may object to.
                raise GiveUp(SdoAbortCode.INVALID_BLOCK_SIZE, error.reason) from error
            self.line.malformed(data, error.reason, now)
            return
        if self._phase is _Phase.DATA and isinstance(message, BlockAck):
            self._acknowledged(message, data, now)
        elif self._phase is _Phase.END and isinstance(message, BlockEnded):
            self.line.heard(now)
            self.line.finish(data, now)
        elif (
            self._phase is _Phase.ASKED
            and isinstance(message, BlockDownloadInitiated)
            and self.names(message.index, message.subindex)
        ):
            self.line.heard(now)
            self.transfer.kind = "block"
            self._crc_used = message.crc
            self._phase = _Phase.DATA
            self._send_block(message.block_size, now)
        else:
            self.line.discard(data, now)

    def _send_block(self, block_size: int, now: float) -> None:
        while len(self._pending) < block_size and not self._last:
            piece, self._last = self._source.take(SEGMENT_BYTES)
            if self._crc_used:
                self._crc = binascii.crc_hqx(piece, self._crc)
            self._pending.append(piece)
        pieces = self._pending[:block_size]
        self._sent = len(pieces)
        end = len(self._pending) if self._last else 0
        messages = [BlockSegment(number, piece, number == end).encode() for number, piece in enumerate(pieces, 1)]
        self.line.send_block(messages, now)

    def _acknowledged(self, message: BlockAck, data: bytes, now: float) -> None:
        count = message.sequence
        if count > self._sent:
            if data == self._ack:
                self.line.discard(data, now)
                return
            reason = f"the server acknowledged segment {count} of {self._sent}"
            raise GiveUp(SdoAbortCode.INVALID_SEQUENCE_NUMBER, reason, restart=True)
        self.line.heard(now)
        self._ack = data
        self._idle_acks = 0 if count else self._idle_acks + 1
        if self._idle_acks > MAX_IDLE_ACKS:
            reason = f"the server accepted nothing of {MAX_IDLE_ACKS} sub-blocks in a row"
            raise GiveUp(SdoAbortCode.INVALID_SEQUENCE_NUMBER, reason, restart=True)
        accepted, self._pending = self._pending[:count], self._pending[count:]
        self.transfer.transferred += sum(map(len, accepted))
        if not self._pending and self._last:
            self._phase = _Phase.END
            self.restartable = False
            unused = SEGMENT_BYTES - len(accepted[-1])
            self.line.send(BlockEnd(unused, self._crc).encode(), now)
        elif not message.block_size:
            raise GiveUp(SdoAbortCode.INVALID_BLOCK_SIZE, "the server asks for sub-blocks of no segments")
        else:
            self._send_block(message.block_size, now)
