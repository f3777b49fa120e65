"""Writing an object: up to four bytes in the first message, more segment by segment (CiA 301)."""

from __future__ import annotations

from typing import cast

from opendiag.errors import WireError
from opendiag.services.sdo_streams import Source
from opendiag.services.sdo_transfer import Awaited, Conversation, GiveUp, Line, SdoTransfer
from opendiag.wire.sdo import (
    MAX_EXPEDITED,
    DownloadInitiate,
    DownloadInitiated,
    Segment,
    SegmentAck,
    decode_response,
)
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_frame import SEGMENT_BYTES


class Download(Conversation):
    """One attempt at a write."""

    __slots__ = ("_began", "_last", "_length", "_source", "_toggle", "restartable")

    def __init__(self, line: Line, transfer: SdoTransfer) -> None:
        super().__init__(line, transfer)
        self.restartable = True
        self._source = cast(Source, transfer.stream)
        self._began = False
        self._last = False
        self._length = 0
        self._toggle = True

    @property
    def awaits(self) -> Awaited:
        if self._began:
            return ("ack", self._toggle)
        return ("download", self.transfer.index, self.transfer.subindex)

    def begin(self, now: float) -> None:
        transfer, source = self.transfer, self._source
        transfer.size = source.size
        if source.length_up_to(MAX_EXPEDITED):
            data, self._last = source.take(MAX_EXPEDITED)
            self._length = transfer.size = len(data)
            transfer.kind = "expedited"
            self.restartable = False
        else:
            data = None
            transfer.kind = "segmented"
        size = None if data is not None else source.size
        self.line.send(DownloadInitiate(transfer.index, transfer.subindex, data, size).encode(), now)

    def receive(self, data: bytes, now: float) -> None:
        try:
            message = decode_response(data)
        except WireError as error:
            self.line.malformed(data, error.reason, now)
            return
        if isinstance(message, DownloadInitiated) and self.names(message.index, message.subindex) and not self._began:
            self._answered(data, now)
        elif isinstance(message, SegmentAck) and self._began:
            self._acknowledged(message, data, now)
        else:
            self.line.discard(data, now)

    def _acknowledged(self, message: SegmentAck, data: bytes, now: float) -> None:
        if message.toggle is self._toggle:
            self._answered(data, now)
        elif self.transfer.transferred or self.line.doubtful(now):
            self.line.discard(data, now)
        else:
            reason = "the first segment was acknowledged with toggle bit 1"
            raise GiveUp(SdoAbortCode.TOGGLE_NOT_ALTERNATED, reason, restart=True)

    def _answered(self, data: bytes, now: float) -> None:
        self.line.heard(now)
        self.transfer.transferred += self._length
        if self._last:
            self.line.finish(data, now)
            return
        self._began = True
        self._toggle = not self._toggle
        piece, self._last = self._source.take(SEGMENT_BYTES)
        self._length = len(piece)
        if self._last:
            self.restartable = False
        self.line.send(Segment(self._toggle, piece, self._last).encode(), now)
