"""Reading an object in blocks (CiA 301).

A frame of a sub-block has no command byte: which frames are data is known only from the place in the transfer. So
everything that repeats a message already seen is recognised by its bytes, and what can be neither data nor a repeat
costs the attempt, never the data.
"""

from __future__ import annotations

import binascii
from enum import Enum, auto
from typing import cast

from opendiag.errors import WireError
from opendiag.findings import Severity
from opendiag.services.sdo_streams import Sink
from opendiag.services.sdo_transfer import Awaited, Conversation, GiveUp, Line, SdoTransfer
from opendiag.services.sdo_upload import Upload
from opendiag.wire.sdo import UploadInitiated, decode_response
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockEnd,
    BlockEnded,
    BlockUploadInitiate,
    BlockUploadInitiated,
    BlockUploadStart,
)
from opendiag.wire.sdo_frame import LENGTH, SEGMENT_BYTES

#: So many acknowledges in a row may bring nothing new.
MAX_IDLE_ACKS = 5


class _Phase(Enum):
    ASKED = auto()
    DATA = auto()
    END = auto()


class BlockUpload(Conversation):
    """One attempt at a read in blocks."""

    __slots__ = (
        "_block",
        "_crc",
        "_crc_used",
        "_ended",
        "_held",
        "_idle_acks",
        "_over",
        "_phase",
        "_received",
        "_seen",
    )

    def __init__(self, line: Line, transfer: SdoTransfer) -> None:
        super().__init__(line, transfer)
        self._phase = _Phase.ASKED
        self._block: list[bytes] = []
        self._held = b""  # the newest segment: how much of it counts is known only at the end
        self._crc = 0
        self._crc_used = False
        self._ended = False
        self._over = False  # the end of the sub-block was seen, with something missing before it
        self._received = 0  # bytes acknowledged, padding included
        self._idle_acks = 0
        self._seen = b""  # the last message of the phase before, to know a repeat of it

    @property
    def awaits(self) -> Awaited:
        if self._phase is _Phase.ASKED:
            return ("block upload", self.transfer.index, self.transfer.subindex)
        return ("block data",) if self._phase is _Phase.DATA else ("block end",)

    def begin(self, now: float) -> None:
        transfer = self.transfer
        self.line.send(BlockUploadInitiate(transfer.index, transfer.subindex, self.line.block_size).encode(), now)

    def fallback(self, code: int) -> Conversation | None:
        if self._phase is _Phase.ASKED and code == SdoAbortCode.UNKNOWN_COMMAND:
            return Upload(self.line, self.transfer)
        return None

    def receive(self, data: bytes, now: float) -> None:
        if self._phase is _Phase.DATA:
            self._segment(data, now)
            return
        if data == self._seen:
            self.line.discard(data, now)
            return
        try:
            message = decode_response(data)
        except WireError as error:
            self.line.malformed(data, error.reason, now)
            return
        if self._phase is _Phase.END:
            if isinstance(message, BlockEnd):
                self._end(message, data, now)
            else:
                self.line.discard(data, now)
        elif isinstance(message, (BlockUploadInitiated, UploadInitiated)) and self.names(
            message.index, message.subindex
        ):
            self._initiated(message, data, now)
        else:
            self.line.discard(data, now)

    def expired(self, now: float) -> bool:
        """The line is quiet in a sub-block. What came of it is acknowledged, so that the rest comes again.

        Where nothing at all came, an acknowledge might be taken for that of the sub-block before.
        """
        if self._phase is not _Phase.DATA or not (self._block or self._over):
            return False
        self._acknowledge(b"", now)
        return True

    def _initiated(self, message: BlockUploadInitiated | UploadInitiated, data: bytes, now: float) -> None:
        if isinstance(message, UploadInitiated):
            sentence = "The server answers a block upload with a normal upload, which it was not allowed to."
            self.line.odd("SDO-PROTOCOL-SWITCH", Severity.INFO, sentence, data, "it goes on as a normal upload")
            upload = Upload(self.line, self.transfer)
            self.line.follow(upload)
            upload.receive(data, now)
            return
        self.line.heard(now)
        self.transfer.kind = "block"
        self.transfer.size = message.size
        self._crc_used = message.crc
        self._phase = _Phase.DATA
        self._seen = data
        self.line.send(BlockUploadStart().encode(), now)

    def _segment(self, data: bytes, now: float) -> None:
        sequence, last = data[0] & 0x7F, data[0] >= 0x80
        if len(data) < LENGTH and last:
            data = data.ljust(LENGTH, b"\0")  # the end message says how much of it counts
        expected = len(self._block) + 1
        if len(data) < LENGTH or not sequence or sequence > self.line.block_size:
            self.line.discard(data, now)
        elif sequence == expected:
            self._next(data, last, now)
        elif data == self._seen:
            self.line.discard(data, now)
        elif sequence < expected:
            if data != self._block[sequence - 1]:
                reason = f"two segments {sequence} with different data in one sub-block"
                raise GiveUp(SdoAbortCode.INVALID_SEQUENCE_NUMBER, reason, restart=True)
            self.line.discard(data, now)
        else:
            self._gap(last or sequence == self.line.block_size, now)

    def _next(self, data: bytes, last: bool, now: float) -> None:
        size, before = self.transfer.size, self._received + SEGMENT_BYTES * len(self._block)
        if size is not None and before >= max(size, 1):
            raise GiveUp(SdoAbortCode.LENGTH_MISMATCH, f"the server announced {size} bytes and sends more")
        self._block.append(data)
        self.line.heard(now)
        self._ended = last
        if last or len(self._block) == self.line.block_size:
            self._acknowledge(data, now)
        else:
            self.line.wait(now, self.line.timeout_s / 2)

    def _gap(self, over: bool, now: float) -> None:
        """Something is missing. The acknowledge waits until nothing more comes: in mid sub-block it would confuse.

        A frame that only looks like the end of the sub-block does no harm then.
        """
        self._over = self._over or over
        if over and self._block:
            self.line.wait(now, self.line.quiet_s)
        else:
            self.line.wait(now, self.line.timeout_s / 2 if self._block or self._over else self.line.timeout_s)

    def _acknowledge(self, seen: bytes, now: float) -> None:
        """Keep what came in order and ask for the next sub-block, or for the end. ``seen`` is what ended this one."""
        count = len(self._block)
        self._idle_acks = 0 if count else self._idle_acks + 1
        if self._idle_acks > MAX_IDLE_ACKS:
            reason = f"{MAX_IDLE_ACKS} sub-blocks in a row without their first segment"
            raise GiveUp(SdoAbortCode.INVALID_SEQUENCE_NUMBER, reason, restart=True)
        for segment in self._block:
            self._keep(self._held)
            self._held = segment[1:]
        self._block.clear()
        self._received += SEGMENT_BYTES * count
        self._over = False
        self._seen = seen
        if self._ended:
            self._phase = _Phase.END
        size = self.transfer.size
        self.transfer.transferred = self._received if size is None else min(self._received, size)
        self.line.send(BlockAck(count, self.line.block_size).encode(), now)

    def _end(self, message: BlockEnd, data: bytes, now: float) -> None:
        self.line.heard(now)
        self._keep(self._held[: SEGMENT_BYTES - message.unused])
        received = self._received - message.unused
        self.check_size(received)
        if self._crc_used and message.crc != self._crc:
            reason = f"the CRC is {message.crc:04X}h, the data give {self._crc:04X}h"
            raise GiveUp(SdoAbortCode.CRC_ERROR, reason, restart=True)
        self.transfer.transferred = received
        self.line.tell(BlockEnded().encode())
        self.line.finish(data, now)

    def _keep(self, data: bytes) -> None:
        if self._crc_used:
            self._crc = binascii.crc_hqx(data, self._crc)
        cast(Sink, self.transfer.stream).write(data)
