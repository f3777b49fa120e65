"""Reading an object: the value in the first answer, or segment by segment (CiA 301)."""

from __future__ import annotations

from typing import cast

from opendiag.errors import WireError
from opendiag.findings import Severity
from opendiag.services.sdo_streams import Sink
from opendiag.services.sdo_transfer import Awaited, Conversation, GiveUp, Line, SdoTransfer
from opendiag.wire.sdo import MAX_EXPEDITED, Segment, SegmentRequest, UploadInitiate, UploadInitiated, decode_response
from opendiag.wire.sdo_abort import SdoAbortCode

_REQUESTS = (SegmentRequest(False).encode(), SegmentRequest(True).encode())


class Upload(Conversation):
    """One attempt at a read."""

    __slots__ = ("_began", "_previous", "_toggle")

    def __init__(self, line: Line, transfer: SdoTransfer) -> None:
        super().__init__(line, transfer)
        self._began = False
        self._toggle = False
        self._previous = b""

    @property
    def awaits(self) -> Awaited:
        if self._began:
            return ("segment", self._toggle)
        return ("upload", self.transfer.index, self.transfer.subindex)

    def begin(self, now: float) -> None:
        self.line.send(UploadInitiate(self.transfer.index, self.transfer.subindex).encode(), now)

    def receive(self, data: bytes, now: float) -> None:
        try:
            message = decode_response(data)
        except WireError as error:
            self.line.malformed(data, error.reason, now)
            return
        if isinstance(message, Segment) and self._began:
            self._segment(message, data, now)
        elif not isinstance(message, UploadInitiated):
            self.line.discard(data, now)
        elif self._began:
            self._initiated_again(message, data, now)
        elif self.names(message.index, message.subindex):
            self._initiated(message, data, now)
        else:
            self.line.discard(data, now)

    def _initiated_again(self, message: UploadInitiated, data: bytes, now: float) -> None:
        """A repeat of the answer, or the server has begun another transfer and will send the segments of that."""
        same = self.names(message.index, message.subindex)
        if message.data is None and not (same and message.size == self.transfer.size and not self._previous):
            reason = "the server began another transfer in the middle of this one"
            raise GiveUp(SdoAbortCode.GENERAL_ERROR, reason, restart=True)
        self.line.discard(data, now)

    def _initiated(self, message: UploadInitiated, data: bytes, now: float) -> None:
        self.line.heard(now)
        if message.data is not None:
            if not message.sized:
                sentence = "An expedited answer does not say how many of its bytes count (command 42h)."
                self.line.odd("SDO-UNSIZED", Severity.INFO, sentence, data, f"all {MAX_EXPEDITED} are taken")
            self.transfer.kind = "expedited"
            self._take(message.data)
            self.line.finish(data, now)
            return
        self._began = True
        self.transfer.kind = "segmented"
        self.transfer.size = message.size
        self.line.send(_REQUESTS[False], now)

    def _segment(self, segment: Segment, data: bytes, now: float) -> None:
        if segment.toggle is not self._toggle:
            self._out_of_step(data, now)
            return
        self.line.heard(now)
        transfer = self.transfer
        if not segment.data:
            self._empty(segment, data)
        self._take(segment.data)
        if transfer.size is not None and transfer.transferred > transfer.size:
            self.check_size(transfer.transferred)
        self._previous = data
        if segment.last:
            self.check_size(transfer.transferred)
            self.line.finish(data, now)
            return
        self._toggle = not self._toggle
        self.line.send(_REQUESTS[self._toggle], now)

    def _out_of_step(self, data: bytes, now: float) -> None:
        """The toggle of the segment before: a repeat of it, or the one before came from elsewhere."""
        if data == self._previous or (not self._previous and self.line.doubtful(now)):
            self.line.discard(data, now)
        elif self._previous:
            reason = "two segments with the same toggle bit and different data"
            raise GiveUp(SdoAbortCode.TOGGLE_NOT_ALTERNATED, reason, restart=True)
        else:
            raise GiveUp(SdoAbortCode.TOGGLE_NOT_ALTERNATED, "the first segment has toggle bit 1", restart=True)

    def _empty(self, segment: Segment, data: bytes) -> None:
        if not segment.last:
            # Without this a server could go on for ever without a byte of data.
            raise GiveUp(SdoAbortCode.GENERAL_ERROR, "a segment without data that is not the last one")
        if self.transfer.transferred:
            sentence = "The last segment carries no data: the one before was the end and did not say so."
            self.line.odd("SDO-EMPTY-LAST-SEGMENT", Severity.INFO, sentence, data, "it only ends the transfer")

    def _take(self, data: bytes) -> None:
        cast(Sink, self.transfer.stream).write(data)
        self.transfer.transferred += len(data)
