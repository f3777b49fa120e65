"""Segmented transfers as an SDO server runs them."""

from __future__ import annotations

from opendiag.errors import SdoRefusal
from opendiag.services.sdo_serving import Serving, Sink, Source, read_request, unexpected
from opendiag.wire import sdo
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_frame import SEGMENT_BYTES


class SegmentedUpload(Serving):
    """The client reads. ``empty_last``: an empty segment follows the last byte."""

    __slots__ = ("_empty_last", "_source", "_toggle")

    def __init__(self, index: int, subindex: int, source: Source, empty_last: bool) -> None:
        super().__init__(index, subindex)
        self._source = source
        self._empty_last = empty_last
        self._toggle = False

    def begin(self) -> list[bytes]:
        return [sdo.UploadInitiated(self.index, self.subindex, size=self._source.size).encode()]

    def step(self, data: bytes, now: float) -> list[bytes]:
        request = read_request(data)
        if not isinstance(request, sdo.SegmentRequest):
            raise unexpected()
        if request.toggle != self._toggle:
            raise SdoRefusal(SdoAbortCode.TOGGLE_NOT_ALTERNATED)
        part, last = self._source.take(SEGMENT_BYTES)
        self.done = last and not (self._empty_last and part)
        self._toggle = not self._toggle
        return [sdo.Segment(request.toggle, part, self.done).encode()]

    def close(self) -> None:
        self._source.close()


class SegmentedDownload(Serving):
    """The client writes."""

    __slots__ = ("_sink", "_toggle")

    def __init__(self, index: int, subindex: int, sink: Sink) -> None:
        super().__init__(index, subindex)
        self._sink = sink
        self._toggle = False

    def begin(self) -> list[bytes]:
        return [sdo.DownloadInitiated(self.index, self.subindex).encode()]

    def step(self, data: bytes, now: float) -> list[bytes]:
        segment = read_request(data)
        if not isinstance(segment, sdo.Segment):
            raise unexpected()
        if segment.toggle != self._toggle:
            raise SdoRefusal(SdoAbortCode.TOGGLE_NOT_ALTERNATED)
        self._sink.feed(segment.data)
        if segment.last:
            self.hold_s = self._sink.finish(now)
            self.done = True
        self._toggle = not self._toggle
        return [sdo.SegmentAck(segment.toggle).encode()]

    @property
    def written(self) -> bytes | None:
        return self._sink.data

    @property
    def writes(self) -> bool:
        return True
