"""The SDO server of a device: answers the requests of one channel from an object store.

A transfer that needs more than one request is a `Serving`; what is here begins it, watches its time, lets the answers
out when they are due, and turns every refusal into an abort.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import ObjectStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_quirks import WELL_BEHAVED, SdoQuirks
from opendiag.services.sdo_serving import Serving, Sink, Source, read_request, unexpected
from opendiag.services.sdo_serving_block import BlockDownload, BlockUpload, follows
from opendiag.services.sdo_serving_segmented import SegmentedDownload, SegmentedUpload
from opendiag.wire import sdo
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import MAX_BLOCK_SIZE, BlockDownloadInitiate, BlockUploadInitiate
from opendiag.wire.sdo_frame import LENGTH, multiplexor, u32

#: Frame times within which a burst goes on.
_AT_ONCE = 5
_ABORT = 0x80
#: Command bytes that begin a transfer.
_INITIATES = frozenset((0x40, 0xA0, 0xA4, 0xC0, 0xC2, 0xC4, 0xC6, *range(0x20, 0x30)))
#: How many bytes of an answer mean something, by command byte; those that are not listed, all eight.
_ANSWER_LENGTHS = {
    **{toggle | unused << 1 | last: 8 - unused for toggle in (0, 0x10) for unused in range(8) for last in (0, 1)},
    **{0x43 | unused << 2: 8 - unused for unused in range(4)},
    **{0xC1 | unused << 2: 3 for unused in range(8)},
    **{0x60: 4, 0x20: 1, 0x30: 1, 0x40: 4, 0xA0: 5, 0xA4: 5, 0xA1: 1, 0xA2: 3, 0xC0: 4, 0xC4: 4},
}


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """A client has read this object to its end."""

    index: int
    subindex: int


@dataclass(frozen=True, slots=True)
class ObjectWritten:
    """A client has written this object. ``data`` is None when they went into a stream of the store's."""

    index: int
    subindex: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class TransferAborted:
    """An abort was sent, or came from the client while a transfer ran (``by_client``).

    The object is the running transfer's, else the one that the abort names.
    """

    index: int
    subindex: int
    code: int
    by_client: bool


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The object store raised what is no refusal: a mistake in a hook. The client got abort 0800 0000."""

    index: int
    subindex: int
    error: Exception


class SdoServer:
    """One channel of a device.

    ``timeout_s``   silence after which a half-done transfer is aborted, counted from the answer being handed out.
    ``block_size``  segments in a sub-block that the client may send, 1..127.
    ``latency_s``   how much later each answer leaves.

    ``frame_time_s`` is what each further frame of a sub-block may take on the bus: raise it where the bus is slower
    than 125 kbit/s, so that the time to send them is not taken for silence.
    A device that is busy with a write (`ObjectStore.write` gave more than 0 seconds) neither reads nor answers
    anything until then. Raises ValueError for a block size outside 1..127.
    """

    frame_time_s = 0.001

    def __init__(
        self,
        channel: SdoChannel,
        store: ObjectStore,
        *,
        timeout_s: float = 1.0,
        block_size: int = MAX_BLOCK_SIZE,
        latency_s: float = 0.0,
        quirks: SdoQuirks = WELL_BEHAVED,
    ) -> None:
        if not 1 <= block_size <= MAX_BLOCK_SIZE:
            raise ValueError(f"block size {block_size} is outside 1..{MAX_BLOCK_SIZE}")
        self.channel = channel
        self.store = store
        self.timeout_s = timeout_s
        self.block_size = block_size
        self.latency_s = latency_s
        self.quirks = quirks
        self._enabled = True
        self._frames: list[Frame] = []
        self._events: list[Any] = []
        self._last_key = (0, 0)
        self._starts: dict[type, Callable[[Any, float], list[bytes]]] = {
            sdo.UploadInitiate: self._upload,
            sdo.DownloadInitiate: self._download,
            BlockUploadInitiate: self._block_upload,
            BlockDownloadInitiate: self._block_download,
        }
        self._forget()

    def _forget(self) -> None:
        self._serving: Serving | None = None
        self._given_up = False  # the client has aborted it, and it is served all the same
        self._active_at = 0.0  # when the latest answer of the transfer left
        self._busy_until = float("-inf")
        self._held: deque[tuple[float, Frame]] = deque()
        self._stale: int | None = None
        self._stale_until = 0.0
        self._stale_for = 0.0

    @property
    def enabled(self) -> bool:
        """False: nothing is read and nothing answered. Switching it off ends what runs, without an abort."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        if not enabled:
            self.reset()

    def reset(self) -> None:
        """Forget the running transfer and all that was still to be sent, as a device does that starts anew."""
        if self._serving is not None:
            self._serving.close()
        self._frames.clear()
        self._forget()

    # --- the machine ------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame, now: float) -> None:
        if not self._enabled or not self.channel.is_request(frame):
            return
        if self._held or self._serving is not None:
            self._let_time_pass(now, on_the_dot=False)
        if now < self._busy_until:
            return
        data = frame.data
        if len(data) < LENGTH and (not data or self.quirks.ignores_short_requests):
            return
        if self._stale is not None and self._is_stale(data[0], now):
            return
        if data[0] == _ABORT:
            self._aborted(data, now)
            return
        serving = self._serving
        if serving is not None and self._makes_way(serving, data[0]):
            self._end()
            serving = None
        try:
            answers = self._start(data, now) if serving is None else self._step(serving, data, now)
        except Exception as error:
            self._refuse(error, now)
            return
        self._answer(answers, now)

    def tick(self, now: float) -> None:
        self._let_time_pass(now, on_the_dot=True)

    def deadline(self) -> float | None:
        due = self._held[0][0] if self._held else None
        if self._serving is None:
            return due
        patience = self._patience(self._serving)
        return patience if due is None else min(due, patience)

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[Any]:
        events, self._events = self._events, []
        return events

    # --- time -------------------------------------------------------------------------------------------------------

    def _patience(self, serving: Serving) -> float:
        return self._active_at + serving.patience * self.timeout_s

    def _let_time_pass(self, now: float, on_the_dot: bool) -> None:
        """A request that arrives ``on_the_dot`` of the deadline is still in time."""
        while self._held and self._held[0][0] <= now:
            self._frames.append(self._held.popleft()[1])
        serving = self._serving
        if serving is None:
            return
        until = self._patience(serving)
        if now < until or (now == until and not on_the_dot):
            return
        if self._given_up:
            self._end()
            return
        try:
            answers = serving.quiet()
        except Exception as error:
            self._refuse(error, now)
            return
        self._answer(answers, now)

    def _answer(self, answers: Sequence[bytes], now: float) -> None:
        """Hand out, now or when they are due."""
        due = max(now, self._busy_until) + self.latency_s
        short = self.quirks.short_frames and not (self._serving and self._serving.raw_answers)
        for data in answers:
            frame = self.channel.response(data[: _ANSWER_LENGTHS.get(data[0])] if short else data)
            if due <= now and not self._held:
                self._frames.append(frame)
            else:
                self._held.append((due, frame))
        self._active_at = due + self.frame_time_s * (len(answers) - 1) if len(answers) > 1 else due

    # --- transfers --------------------------------------------------------------------------------------------------

    def _start(self, data: bytes, now: float) -> list[bytes]:
        if len(data) < 4:
            raise unexpected()
        if data[0] in _INITIATES:
            self._last_key = multiplexor(data)
        request = read_request(data)
        start = self._starts.get(type(request))
        if start is None:
            if self.quirks.stray_segment_general_error and isinstance(request, sdo.Segment | sdo.SegmentRequest):
                raise SdoRefusal(SdoAbortCode.GENERAL_ERROR)
            raise unexpected()
        return start(request, now)

    def _step(self, serving: Serving, data: bytes, now: float) -> list[bytes]:
        answers = serving.step(data, now)
        if serving.done:
            key = serving.index, serving.subindex
            self._hold(serving.hold_s, now)
            self._events.append(ObjectWritten(*key, serving.written) if serving.writes else ObjectRead(*key))
            self._end()
        return answers

    def _upload(self, request: sdo.UploadInitiate | BlockUploadInitiate, now: float) -> list[bytes]:
        content = self.store.read(request.index, request.subindex, now)
        if type(content) is not bytes or not 1 <= len(content) <= sdo.MAX_EXPEDITED:
            return self._long_upload(request, Source(content))
        return self._short_upload(request, content)

    def _short_upload(self, request: sdo.UploadInitiate | BlockUploadInitiate, content: bytes) -> list[bytes]:
        sized = not self.quirks.unsized_expedited
        if not sized:
            content = content.ljust(sdo.MAX_EXPEDITED, b"\0")
        self._events.append(ObjectRead(request.index, request.subindex))
        return [sdo.UploadInitiated(request.index, request.subindex, content, sized=sized).encode()]

    def _long_upload(self, request: sdo.UploadInitiate | BlockUploadInitiate, source: Source) -> list[bytes]:
        if source.size is not None and 1 <= source.size <= sdo.MAX_EXPEDITED:
            content, _ = source.take(source.size)
            source.close()
            return self._short_upload(request, content)
        return self._begin(
            SegmentedUpload(request.index, request.subindex, source, self.quirks.empty_last_segment),
        )

    def _block_upload(self, request: BlockUploadInitiate, now: float) -> list[bytes]:
        if self.quirks.block_upload == "refuse":
            raise unexpected()
        if self.quirks.block_upload == "switch":
            return self._upload(request, now)
        source = Source(self.store.read(request.index, request.subindex, now))
        if source.size is not None and source.size <= request.switch_below > 0:
            return self._long_upload(request, source)
        return self._begin(
            BlockUpload(request.index, request.subindex, source, request.block_size, request.crc),
        )

    def _download(self, request: sdo.DownloadInitiate, now: float) -> list[bytes]:
        key = request.index, request.subindex
        if request.data is None:
            return self._begin(SegmentedDownload(*key, self._sink(key, request.size, now)))
        content = request.data
        if not request.sized:  # how many of the four bytes count is for the object to say
            content = content[: self.store.width(*key)]
        sink = self._sink(key, len(content), now)
        sink.feed(content)
        self._hold(sink.finish(now), now)
        self._events.append(ObjectWritten(*key, sink.data))
        return [sdo.DownloadInitiated(*key).encode()]

    def _block_download(self, request: BlockDownloadInitiate, now: float) -> list[bytes]:
        key = request.index, request.subindex
        sink = self._sink(key, request.size, now)
        return self._begin(BlockDownload(*key, sink, self.block_size, request.crc))

    def _sink(self, key: tuple[int, int], size: int | None, now: float) -> Sink:
        return Sink(self.store, key, size, now, self.quirks.accepts_any_length)

    def _begin(self, serving: Serving) -> list[bytes]:
        self._serving = serving
        return serving.begin()

    def _hold(self, seconds: float, now: float) -> None:
        """Stay deaf and mute, as a device that stores its parameters."""
        if seconds > 0:
            self._busy_until = now + seconds

    def _end(self) -> None:
        if self._serving is not None:
            self._serving.close()
        self._serving = None
        self._given_up = False

    # --- aborts -----------------------------------------------------------------------------------------------------

    def _makes_way(self, serving: Serving, command: int) -> bool:
        """Whether this request begins a transfer in the place of the running one."""
        restarts = self.quirks.restarts_on_initiate or self._given_up
        return restarts and not serving.raw and command in _INITIATES

    def _aborted(self, data: bytes, now: float) -> None:
        """The client gives up. It is never answered."""
        serving = self._serving
        if serving is None or self._given_up:
            return
        code = u32(data) if len(data) == LENGTH else 0
        # Its own segments came before its abort. If it was somebody else's, the next one follows at once.
        self._expect_leftover(serving, now, _AT_ONCE * self.frame_time_s)
        self._events.append(TransferAborted(serving.index, serving.subindex, code, True))
        if self.quirks.serves_after_abort:
            self._given_up = True
        else:
            self._end()

    def _refuse(self, error: Exception, now: float) -> None:
        """End what runs with an abort."""
        serving = self._serving
        if serving is not None:
            key = serving.index, serving.subindex
            self._expect_leftover(serving, now, self.timeout_s)
        else:
            key = self._last_key
        code = self._code(error)
        if code is None:
            self._events.append(StoreFailed(*key, error))
            code = SdoAbortCode.GENERAL_ERROR
        elif serving is None and code == SdoAbortCode.UNKNOWN_COMMAND:
            key = {"last": key, "zero": (0, 0), "1000": (0x1000, 0)}[self.quirks.unknown_command_mux]
        self._end()
        self._events.append(TransferAborted(*key, code, False))
        self._answer([sdo.Abort(*key, code).encode()], now)

    def _code(self, error: Exception) -> int | None:
        if isinstance(error, OSError):
            return SdoAbortCode.HARDWARE_ERROR
        if not isinstance(error, SdoRefusal):
            return None
        code = error.code & 0xFFFF_FFFF
        if self.quirks.read_only_as_write_only and code == SdoAbortCode.READ_ONLY:
            return SdoAbortCode.WRITE_ONLY
        if self.quirks.missing_sub_as_missing_object and code == SdoAbortCode.NO_SUCH_SUBINDEX:
            return SdoAbortCode.NO_SUCH_OBJECT
        return code

    def _is_stale(self, command: int, now: float) -> bool:
        """What is left of a sub-block whose transfer was aborted; taken for a command it could write an object."""
        sequence = command & 0x7F
        if self._stale is not None and now <= self._stale_until and follows(sequence, self._stale):
            self._stale = None if command & 0x80 else sequence
            self._stale_until = now + self._stale_for
            return True
        self._stale = None
        return False

    def _expect_leftover(self, serving: Serving, now: float, seconds: float) -> None:
        self._stale = serving.leftover
        self._stale_for = seconds
        self._stale_until = now + seconds
