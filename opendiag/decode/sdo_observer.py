"""Follows the SDO transfers of one channel (one client, one server) by listening.

It answers nothing and waits for nothing: the end of the capture is not a timeout, and a request alone never has a
value. Time is only carried along. Block data frames are recognised by the state of the transfer they belong to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from opendiag.decode.sdo_transfer import Block, Outcome, Phase, Transfer
from opendiag.dictionary.model import object_text
from opendiag.errors import WireError
from opendiag.wire import sdo, sdo_block
from opendiag.wire.sdo_frame import LENGTH

#: A record of stray frames has at most so many: a long capture without an initiate message must not fill the memory.
_STRAY_FRAMES = 1000


class SdoObserver:
    """Feed it every frame of one SDO channel, in order; it returns what each frame completes."""

    def __init__(self) -> None:
        self._current: Transfer | None = None
        self._given_up: deque[Transfer] = deque(maxlen=8)
        self._stray: Transfer | None = None
        self._finished: list[Transfer] = []
        self._number = 0
        self._time: int | None = None
        self._client = False
        self._length = LENGTH
        self._last_request: tuple[bytes, int, int | None] = (b"", 0, None)
        self._end_before_ns: int | None = None

    def feed(self, from_client: bool, data: bytes, number: int, time_ns: int | None) -> list[Transfer]:
        """Transfers that end with frame ``number``, most often none or one."""
        self._finished = []
        end_ns = self._current.end_ns if self._current is not None else None
        self._take(from_client, data, number, time_ns)
        if from_client:
            self._last_request, self._end_before_ns = (data, number, time_ns), end_ns
        return self._finished

    def _take(self, from_client: bool, data: bytes, number: int, time_ns: int | None) -> None:
        self._number, self._time, self._client = number, time_ns, from_client
        self._length = len(data)
        try:
            message = self._parse(data)
        except WireError as error:
            self._alone(Outcome.MALFORMED, "malformed", error.reason)
            return
        handler = (self._CLIENT if from_client else self._SERVER)[type(message)]
        handler(self, message)

    def finish(self) -> list[Transfer]:
        """What the end of the capture cuts off."""
        self._finished = []
        self._flush_stray()
        self._leave("capture-end")
        return self._finished

    def expects_data(self, from_client: bool, data: bytes) -> bool:
        """True when such a frame is data of the block transfer under way: anything but an abort is."""
        phase = self._current.phase if self._current is not None else None
        sender = Phase.BLOCK_DOWNLOAD_DATA if from_client else Phase.BLOCK_UPLOAD_DATA
        return phase is sender and bool(data) and data[0] != 0x80

    def _parse(self, data: bytes) -> Any:
        if self.expects_data(self._client, data):
            return sdo_block.BlockSegment.decode(data)
        return sdo.decode_request(data) if self._client else sdo.decode_response(data)

    def _touch(self, transfer: Transfer) -> None:
        transfer.touch(self._number, self._time, self._client)
        if self._length < LENGTH:
            transfer.problems.setdefault("short-frame", f"a frame of {self._length} bytes; SDO messages have 8")

    # -- the start and the end of a transfer ------------------------------------------------------------------

    def _start(self, kind: str, message: Any, phase: Phase, protocol: str | None) -> Transfer:
        self._flush_stray()
        self._leave("next-request")
        transfer = Transfer(kind, message.index, message.subindex, protocol, phase)
        self._touch(transfer)
        self._current = transfer
        return transfer

    def _leave(self, cut_by: str) -> None:
        """The current transfer gets no further frame."""
        transfer = self._current
        if transfer is None:
            return
        self._current = None
        transfer.cut_by = cut_by
        transfer.outcome = Outcome.UNANSWERED if len(transfer.frames) == 1 else Outcome.INCOMPLETE
        if transfer.outcome is Outcome.UNANSWERED:
            self._given_up.append(transfer)
        self._finished.append(transfer)

    def _done(self) -> None:
        transfer = self._current
        assert transfer is not None
        self._current = None
        transfer.outcome = Outcome.DONE
        if transfer.announced is not None and transfer.announced != len(transfer.data):
            transfer.doubt("size-mismatch", f"{transfer.announced} bytes announced, {len(transfer.data)} transferred")
        if transfer.kind == "write":
            self._forget_writes(transfer)
        self._finished.append(transfer)

    def _forget_writes(self, done: Transfer) -> None:
        """An earlier write of the same object must not come back, as if it were newer, with a late answer."""
        kept = [t for t in self._given_up if t.kind != "write" or not t.names(done)]
        self._given_up = deque(kept, self._given_up.maxlen)

    def _expect(self, *phases: Phase) -> Transfer | None:
        """The current transfer if it waits for this kind of message, with the frame added to it."""
        transfer = self._current
        if transfer is None or transfer.phase not in phases:
            return None
        self._touch(transfer)
        return transfer

    def _alone(self, outcome: Outcome, code: str, sentence: str, kind: str = "", message: Any = None) -> None:
        """Report a frame that belongs to no transfer we know."""
        transfer = Transfer(kind, getattr(message, "index", None), getattr(message, "subindex", None))
        self._touch(transfer)
        transfer.outcome = outcome
        transfer.problems[code] = sentence
        self._finished.append(transfer)

    def _unexpected(self, kind: str, what: str) -> None:
        """A segment or acknowledge out of place: collected, as a capture that starts in mid-transfer has many."""
        if self._current is not None:
            self._alone(Outcome.STRAY, "unexpected", f"{what} that does not fit the transfer under way", kind)
            return
        if self._stray is None:
            self._stray = Transfer(kind, outcome=Outcome.STRAY)
            self._stray.problems["start-missing"] = f"{what}, of a transfer whose start was not captured"
        self._touch(self._stray)
        if len(self._stray.frames) >= _STRAY_FRAMES:
            self._flush_stray()

    def _flush_stray(self) -> None:
        if self._stray is not None:
            self._finished.append(self._stray)
            self._stray = None

    # -- client ---------------------------------------------------------------------------------------------------

    def _upload_initiate(self, message: sdo.UploadInitiate) -> None:
        self._start("read", message, Phase.UPLOAD_ASKED, None)

    def _download_initiate(self, message: sdo.DownloadInitiate) -> None:
        transfer = self._start(
            "write", message, Phase.DOWNLOAD_ASKED, "segmented" if message.data is None else "expedited"
        )
        transfer.announced = message.size
        transfer.data += message.data or b""
        if message.data is not None and not message.sized:
            transfer.problems["size-not-indicated"] = "the number of bytes was not indicated"

    def _block_upload_initiate(self, message: sdo_block.BlockUploadInitiate) -> None:
        transfer = self._start("read", message, Phase.BLOCK_UPLOAD_ASKED, "block")
        transfer.block = Block(message.block_size, message.crc)

    def _block_download_initiate(self, message: sdo_block.BlockDownloadInitiate) -> None:
        transfer = self._start("write", message, Phase.BLOCK_DOWNLOAD_ASKED, "block")
        transfer.block = Block(crc=message.crc)
        transfer.announced = message.size

    def _segment_request(self, message: sdo.SegmentRequest) -> None:
        transfer = self._expect(Phase.UPLOAD_SEGMENTS)
        if transfer is None:
            return self._unexpected("read", "a request for a segment")
        if message.toggle != transfer.toggle:
            self._wrong_toggle(transfer)
            transfer.toggle = message.toggle

    def _download_segment(self, message: sdo.Segment) -> None:
        transfer = self._expect(Phase.DOWNLOAD_SEGMENTS)
        if transfer is None:
            return self._unexpected("write", "a segment")
        if transfer.pending is not None:
            transfer.doubt("segment-ack-missing", "a segment follows before the one before it was acknowledged")
        if message.toggle != transfer.toggle:
            self._wrong_toggle(transfer)
            transfer.toggle = message.toggle
        transfer.pending = message

    def _block_start(self, message: sdo_block.BlockUploadStart) -> None:
        transfer = self._expect(Phase.BLOCK_UPLOAD_READY)
        if transfer is None:
            return self._unexpected("read", "the start of a block upload")
        transfer.phase = Phase.BLOCK_UPLOAD_DATA

    # -- server ---------------------------------------------------------------------------------------------------

    def _answered(self, message: Any, *phases: Phase) -> Transfer | None:
        """The transfer an initiate response belongs to; otherwise report it as late or as nobody's."""
        self._leave_block_download(message)
        transfer = self._current
        if transfer is not None and transfer.phase in phases and transfer.names(message):
            self._touch(transfer)
            return transfer
        earlier = next((t for t in reversed(self._given_up) if t.phase in phases and t.names(message)), None)
        if earlier is None:
            asked = f"; {object_text(transfer.index or 0, transfer.subindex or 0)} was asked" if transfer else ""
            sentence = f"an answer that nobody in this capture asked for{asked}"
            data = getattr(message, "data", None)
            self._flush_stray()
            self._alone(Outcome.STRAY, "not-asked", sentence, "read" if data is not None else "", message)
            return None
        self._given_up.remove(earlier)
        return self._late(earlier)

    def _leave_block_download(self, answer: Any) -> None:
        """In a block download every client frame looks like data, so a client that gave up without an abort and
        began anew is noticed only when its new request is answered or aborted.
        """
        data, number, _ = self._last_request
        transfer = self._current
        if transfer is None or transfer.phase is not Phase.BLOCK_DOWNLOAD_DATA or number == transfer.frames[0]:
            return
        if data[1:4] != answer.encode()[1:4]:
            return
        if number in transfer.frames:
            transfer.frames.remove(number)
            transfer.end_ns = self._end_before_ns
        self._leave("next-request")
        now = self._number, self._time, self._client, self._length
        self._take(True, *self._last_request)
        self._number, self._time, self._client, self._length = now

    def _late(self, earlier: Transfer) -> Transfer:
        """A second report of a request that was given up: now there is an answer."""
        late = Transfer(earlier.kind, earlier.index, earlier.subindex, earlier.protocol, earlier.phase)
        late.frames, late.start_ns = earlier.frames[:1], earlier.start_ns
        late.data, late.announced = bytearray(earlier.data), earlier.announced
        self._touch(late)
        late.problems["late"] = "answered after the client had gone on to its next request"
        return late

    def _upload_initiated(self, message: sdo.UploadInitiated) -> None:
        transfer = self._answered(message, Phase.UPLOAD_ASKED, Phase.BLOCK_UPLOAD_ASKED)
        if transfer is None:
            return
        if transfer.phase is Phase.BLOCK_UPLOAD_ASKED:
            transfer.problems["protocol-switch"] = "a block upload was asked; the server answers without blocks"
        transfer.phase = Phase.UPLOAD_SEGMENTS
        transfer.announced = message.size
        transfer.protocol = "segmented" if message.data is None else "expedited"
        if message.data is None:
            return self._late_segments(transfer)
        transfer.data += message.data
        if not message.sized:
            transfer.problems["size-not-indicated"] = "the number of bytes was not indicated"
        self._complete(transfer)

    def _download_initiated(self, message: sdo.DownloadInitiated) -> None:
        transfer = self._answered(message, Phase.DOWNLOAD_ASKED)
        if transfer is None:
            return
        if transfer.protocol == "expedited":
            return self._complete(transfer)
        transfer.phase = Phase.DOWNLOAD_SEGMENTS
        self._late_segments(transfer)

    def _complete(self, transfer: Transfer) -> None:
        if transfer is self._current:
            return self._done()
        transfer.outcome = Outcome.DONE
        self._finished.append(transfer)

    def _late_segments(self, transfer: Transfer) -> None:
        """A late answer that opens a segmented transfer: nobody will go on with it."""
        if transfer is not self._current:
            transfer.outcome = Outcome.INCOMPLETE
            transfer.cut_by = "next-request"
            self._finished.append(transfer)

    def _upload_segment(self, message: sdo.Segment) -> None:
        transfer = self._expect(Phase.UPLOAD_SEGMENTS)
        if transfer is None:
            return self._unexpected("read", "a segment")
        if message.toggle != transfer.toggle:
            self._wrong_toggle(transfer)
        transfer.toggle = not message.toggle
        transfer.data += message.data
        if message.last:
            if not message.data and len(transfer.frames) > 4:
                transfer.problems["empty-last-segment"] = "the last segment carries no data"
            self._done()

    def _segment_ack(self, message: sdo.SegmentAck) -> None:
        transfer = self._expect(Phase.DOWNLOAD_SEGMENTS)
        if transfer is None:
            return self._unexpected("write", "an acknowledge of a segment")
        segment, transfer.pending = transfer.pending, None
        if segment is None:
            return transfer.doubt("segment-missing", "a segment was acknowledged that was not captured")
        if message.toggle != segment.toggle:
            self._wrong_toggle(transfer)
        transfer.toggle = not segment.toggle
        transfer.data += segment.data
        if segment.last:
            self._done()

    def _wrong_toggle(self, transfer: Transfer) -> None:
        transfer.doubt("toggle-error", "the toggle bit did not alternate: a segment is missing or repeated")

    # -- block data, in both directions ----------------------------------------------------------------------------

    def _block_download_initiated(self, message: sdo_block.BlockDownloadInitiated) -> None:
        transfer = self._answered(message, Phase.BLOCK_DOWNLOAD_ASKED)
        if transfer is None or transfer is not self._current or transfer.block is None:
            return self._late_segments(transfer) if transfer is not None else None
        transfer.phase = Phase.BLOCK_DOWNLOAD_DATA
        transfer.block.block_size = message.block_size
        transfer.block.crc &= message.crc

    def _block_upload_initiated(self, message: sdo_block.BlockUploadInitiated) -> None:
        transfer = self._answered(message, Phase.BLOCK_UPLOAD_ASKED)
        if transfer is None or transfer is not self._current or transfer.block is None:
            return self._late_segments(transfer) if transfer is not None else None
        transfer.phase = Phase.BLOCK_UPLOAD_READY
        transfer.announced = message.size
        transfer.block.crc &= message.crc

    def _block_segment(self, message: sdo_block.BlockSegment) -> None:
        transfer = self._expect(Phase.BLOCK_DOWNLOAD_DATA, Phase.BLOCK_UPLOAD_DATA)
        assert transfer is not None and transfer.block is not None
        transfer.block.segment(transfer, message)

    def _block_ack(self, message: sdo_block.BlockAck) -> None:
        phase = Phase.BLOCK_UPLOAD_DATA if self._client else Phase.BLOCK_DOWNLOAD_DATA
        transfer = self._expect(phase)
        if transfer is None or transfer.block is None:
            return self._unexpected("read" if self._client else "write", "an acknowledge of a sub-block")
        sent = max(transfer.block.waiting, default=0)
        if message.sequence < sent:
            text = f"segments were repeated: {message.sequence} of {sent} had arrived"
            transfer.problems.setdefault("block-repeated", text)
        if transfer.block.ack(transfer, message.sequence):
            transfer.phase = Phase.BLOCK_UPLOAD_END if self._client else Phase.BLOCK_DOWNLOAD_END
        transfer.block.block_size = message.block_size or transfer.block.block_size

    def _block_end(self, message: sdo_block.BlockEnd) -> None:
        transfer = self._expect(Phase.BLOCK_DOWNLOAD_END if self._client else Phase.BLOCK_UPLOAD_END)
        if transfer is None or transfer.block is None:
            return self._unexpected("write" if self._client else "read", "the end of a block transfer")
        transfer.block.end = message
        transfer.phase = Phase.BLOCK_DOWNLOAD_ENDED if self._client else Phase.BLOCK_UPLOAD_ENDED

    def _block_ended(self, message: sdo_block.BlockEnded) -> None:
        data, ended = (
            (Phase.BLOCK_UPLOAD_DATA, Phase.BLOCK_UPLOAD_ENDED)
            if self._client
            else (Phase.BLOCK_DOWNLOAD_DATA, Phase.BLOCK_DOWNLOAD_ENDED)
        )
        transfer = self._expect(data, ended)
        if transfer is None or transfer.block is None:
            return self._unexpected("read" if self._client else "write", "the end of a block transfer")
        if transfer.phase is data:
            transfer.doubt("block-ack-missing", "the acknowledge of the last sub-block was not captured")
        transfer.block.finish(transfer)
        self._done()

    def _abort(self, message: sdo.Abort) -> None:
        """By COB-ID alone: the object that real servers name in an abort is often the wrong one."""
        self._flush_stray()
        if self._current is not None and not self._current.names(message):
            self._leave_block_download(message)
        transfer = self._current
        if transfer is None:
            self._alone(Outcome.STRAY, "nothing-to-abort", "an abort while no transfer is under way", "", message)
            self._finished[-1].abort, self._finished[-1].abort_by = message, self._who()
            return
        self._touch(transfer)
        self._current = None
        transfer.outcome, transfer.abort, transfer.abort_by = Outcome.ABORTED, message, self._who()
        if not transfer.names(message):
            named = object_text(message.index, message.subindex)
            transfer.problems["abort-names-other-object"] = f"the abort names {named}"
        if self._client and len(transfer.frames) == 2:
            self._given_up.append(transfer)  # the answer may come yet
        self._finished.append(transfer)

    def _who(self) -> str:
        return "client" if self._client else "server"

    _SHARED: ClassVar[Mapping[type, Callable[[SdoObserver, Any], None]]] = {
        sdo.Abort: _abort,
        sdo_block.BlockSegment: _block_segment,
        sdo_block.BlockAck: _block_ack,
        sdo_block.BlockEnd: _block_end,
        sdo_block.BlockEnded: _block_ended,
    }
    _CLIENT: ClassVar[Mapping[type, Callable[[SdoObserver, Any], None]]] = {
        **_SHARED,
        sdo.UploadInitiate: _upload_initiate,
        sdo.DownloadInitiate: _download_initiate,
        sdo.SegmentRequest: _segment_request,
        sdo.Segment: _download_segment,
        sdo_block.BlockUploadInitiate: _block_upload_initiate,
        sdo_block.BlockDownloadInitiate: _block_download_initiate,
        sdo_block.BlockUploadStart: _block_start,
    }
    _SERVER: ClassVar[Mapping[type, Callable[[SdoObserver, Any], None]]] = {
        **_SHARED,
        sdo.UploadInitiated: _upload_initiated,
        sdo.DownloadInitiated: _download_initiated,
        sdo.Segment: _upload_segment,
        sdo.SegmentAck: _segment_ack,
        sdo_block.BlockDownloadInitiated: _block_download_initiated,
        sdo_block.BlockUploadInitiated: _block_upload_initiated,
    }
