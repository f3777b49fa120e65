"""What runs an SDO client's transfers, one after the other: time, aborts, restarts, doubtful answers."""

from __future__ import annotations

from collections import deque

from opendiag.errors import OpenDiagError, SdoAborted, SdoProtocolError, SdoTimeout, WireError
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.services.sdo_block_download import BlockDownload
from opendiag.services.sdo_block_upload import BlockUpload
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_download import Download
from opendiag.services.sdo_late import GivenUp
from opendiag.services.sdo_line import QUIET_S, SdoLine
from opendiag.services.sdo_streams import Sink, StreamFailed
from opendiag.services.sdo_transfer import Conversation, GiveUp, SdoTransfer, TransferDone
from opendiag.services.sdo_upload import Upload
from opendiag.wire.sdo import Abort, UploadInitiated, decode_response
from opendiag.wire.sdo_abort import SdoAbortCode, abort_text
from opendiag.wire.sdo_frame import LENGTH, multiplexor, u32

#: Aborts that speak of lost or repeated messages, not of the object.
LINE_TROUBLE = frozenset(
    [
        SdoAbortCode.TOGGLE_NOT_ALTERNATED,
        SdoAbortCode.TIMED_OUT,
        SdoAbortCode.UNKNOWN_COMMAND,
        SdoAbortCode.INVALID_SEQUENCE_NUMBER,
        SdoAbortCode.CRC_ERROR,
    ]
)
#: Aborts that do not fit as the answer to the end of a write.
_NO_ANSWERS = LINE_TROUBLE - {SdoAbortCode.CRC_ERROR}
#: Access aborts that speak of the other direction.
_MIXED_UP = {"read": SdoAbortCode.READ_ONLY, "write": SdoAbortCode.WRITE_ONLY}
_ABORT = 0x80
#: Widest value that is a number.
SMALL = 8


class SdoRunner(SdoLine):
    """The machine below `opendiag.services.sdo_client.SdoClient`, which has the calls to fill the queue."""

    def __init__(self, channel: SdoChannel, timeout_s: float, block_size: int) -> None:
        super().__init__(channel, timeout_s, block_size)
        self._response_id = channel.response_id
        self._queue: deque[SdoTransfer] = deque()
        self._total_ends: float | None = None
        self._quiet_ends: float | None = None  # the line is left in peace until then
        self._quiet_limit = 0.0
        self._woken = False  # the server said something meanwhile
        self._settling = b""  # the last answer of a transfer, while it may be that of another
        self._alien_before: float | None = None  # when the answer is due, while `_alien` is looked at
        self._alien_ends = 0.0
        self._refusal = b""  # the abort that refused blocks
        self._ended: tuple[int, int] | None = None  # the object of the transfer before

    # --- the machine -----------------------------------------------------------------------------------------------

    def receive(self, frame: Frame, now: float) -> None:
        """A frame from the bus. Never raises."""
        if frame.can_id != self._response_id or not self.channel.is_response(frame):
            return
        self._frame = frame
        data = frame.data
        transfer, talk = self._transfer, self._talk
        if not data:
            self.strays += 1
            return
        if talk is None or transfer is None:
            self._at_rest(data, now)
        else:
            if len(data) < LENGTH:
                self.odd("SDO-SHORT-FRAME", Severity.INFO, "A message of the server has fewer than 8 bytes.", data)
            before = transfer.transferred
            try:
                if self._settling:
                    self._settle(data, talk, transfer, now)
                elif data[0] == _ABORT:
                    self._aborted(data, talk, transfer, now)
                elif self._alien:
                    self._step_ends = self._alien_before
                    talk.receive(data, now)
                    if self._alien:  # that was no answer
                        self._step_ends = self._alien_ends
                else:
                    talk.receive(data, now)
            except (GiveUp, StreamFailed) as failure:
                self._broken(failure, now)
            if transfer.progress is not None and transfer.transferred != before:
                self._tell_progress(transfer)
        if self._queue and self._transfer is None:
            self._next(now)

    def tick(self, now: float) -> None:
        """Let time pass."""
        ends = self.deadline()
        if ends is None or now < ends:
            return
        try:
            if self._settling:
                self._settled(now)
            elif self._total_ends is not None and now >= self._total_ends:
                self._timed_out(now, final=True)
            elif self._alien and self._transfer is not None:
                alien = self._alien
                self.heard(now)
                self._refused(alien, self._transfer, now)
            elif self._talk is not None and not self._talk.expired(now):
                self._timed_out(now)
        except (GiveUp, StreamFailed) as failure:
            self._broken(failure, now)
        if self._talk is None:
            self._next(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        if self._transfer is None:
            return self._quiet_ends if self._queue else None
        ends = self._quiet_ends if self._talk is None else self._step_ends
        if self._total_ends is not None and (ends is None or self._total_ends < ends):
            return self._total_ends
        return ends

    # --- begin and end ---------------------------------------------------------------------------------------------

    def _next(self, now: float) -> None:
        """Begin what is due: the attempt after a silence, or the next in the queue."""
        if self._quiet_ends is not None:
            hurry = self._transfer is None and bool(self._queue) and self._queue[0].urgent
            if now < self._quiet_ends and not hurry:
                return
            self._quiet_ends = None
        while self._talk is None:
            if self._transfer is None:
                if not self._queue:
                    return
                self._take(self._queue.popleft(), now)
            self._attempt(now)

    def _take(self, transfer: SdoTransfer, now: float) -> None:
        self._transfer = transfer
        transfer.begun_at = now
        self.timeout_s = transfer.timeout_s
        self.quiet_s = min(QUIET_S, transfer.timeout_s / 4)
        self._total_ends = None if transfer.total_timeout_s is None else now + transfer.total_timeout_s

    def _attempt(self, now: float) -> None:
        transfer = self._transfer
        assert transfer is not None
        if self._woken and transfer.attempts:
            # A request may have reached the server after the abort: then it is in the middle of a transfer.
            self.tell(Abort(transfer.index, transfer.subindex, SdoAbortCode.TIMED_OUT).encode())
        self._woken = False
        self._refusal = b""
        transfer.attempts += 1
        transfer.transferred = 0
        transfer.size = None
        self._open = False
        self._asked_at = None
        self._odd_before = self.strays + self.late_answers
        if transfer.action == "read":
            talk: Conversation = BlockUpload(self, transfer) if transfer.block else Upload(self, transfer)
        else:
            talk = BlockDownload(self, transfer) if transfer.block else Download(self, transfer)
        self._talk = talk
        try:
            talk.begin(now)
        except (GiveUp, StreamFailed) as failure:
            self._broken(failure, now)

    def finish(self, answer: bytes, now: float) -> None:
        """The last answer is there; believe it unless one that looks the same may still be under way."""
        talk, transfer = self._talk, self._transfer
        if self._late and talk is not None and transfer is not None and talk.awaits[0] != "upload":
            rival = self._late.like(talk.awaits, now)
            # The last segment of an earlier attempt at the same read is the same one if the size is right.
            same = rival is not None and rival.transfer is transfer and isinstance(transfer.stream, Sink)
            if rival is not None and not (same and transfer.size is not None):
                self._doubt(answer, rival, now)
                return
        self._complete(now)

    def _complete(self, now: float) -> None:
        transfer = self._transfer
        assert transfer is not None
        if isinstance(transfer.stream, Sink):
            transfer.data = transfer.stream.close()
            if transfer.stream.kept and len(transfer.data) <= SMALL:
                transfer.small_data = transfer.data
        self._end(transfer)
        self._close(transfer, None, now)

    def _fail(self, error: OpenDiagError, now: float | None) -> None:
        transfer = self._transfer
        assert transfer is not None
        if isinstance(transfer.stream, Sink):
            transfer.stream.rewind()  # no data without an end
        self._end(transfer)
        self._close(transfer, error, now)

    def _end(self, transfer: SdoTransfer) -> None:
        self._transfer = self._talk = None
        self._settling = self._alien = b""
        self._total_ends = None
        self._ended = transfer.index, transfer.subindex

    def _close(self, transfer: SdoTransfer, error: OpenDiagError | None, now: float | None) -> None:
        transfer.error = error
        transfer.done_at = now
        transfer.done = True
        self._events.append(TransferDone(transfer))

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def _leave(self, code: int, now: float) -> None:
        """Give up the present attempt: tell the server, and leave the line in peace for a while."""
        talk, transfer = self._talk, self._transfer
        self._talk = None
        self._alien = b""
        if talk is None or transfer is None or not self._open:
            return
        self.tell(Abort(transfer.index, transfer.subindex, code).encode())
        self._settling = b""
        if self._asked_at is not None or talk.awaits[0] == "block data":
            self._late.expect(transfer, talk.awaits, self._asked_at or now, now)
        self._rest(max(now, self._asked_at or now))

    def _rest(self, now: float) -> None:
        self._quiet_ends = now + self.quiet_s
        self._quiet_limit = now + self.timeout_s
        self._woken = False

    def _restarts(self, talk: Conversation | None, transfer: SdoTransfer, why: str) -> bool:
        """May the transfer begin again? Then that is reported."""
        restartable = talk is None or talk.restartable
        if not (restartable and transfer.attempts <= transfer.restarts and transfer.stream.rewind()):
            return False
        what = f"{transfer.action} of {transfer.index:04X}:{transfer.subindex:02X} of node {transfer.node_id}"
        self.odd("SDO-RESTARTED", Severity.INFO, f"A {what} was begun again: {why}.", b"")
        return True

    def _timed_out(self, now: float, final: bool = False) -> None:
        transfer, talk = self._transfer, self._talk
        assert transfer is not None
        self._leave(SdoAbortCode.TIMED_OUT, now)
        if not final and self._restarts(talk, transfer, f"no answer within {transfer.timeout_s:g} s"):
            return
        waited = transfer.total_timeout_s if final else transfer.timeout_s
        may_be_done = talk is not None and not talk.restartable
        self._fail(SdoTimeout(*_what(transfer), waited or 0.0, transfer.attempts, may_be_done), now)

    def _broken(self, failure: GiveUp | StreamFailed, now: float) -> None:
        """The protocol was broken, or a stream of the caller's failed."""
        transfer, talk = self._transfer, self._talk
        assert transfer is not None
        error: OpenDiagError
        if isinstance(failure, StreamFailed):
            code, restart = int(SdoAbortCode.GENERAL_ERROR), False
            error = SdoAborted(*_what(transfer), code, failure.reason, by_client=True)
            error.__cause__ = failure.cause
        else:
            code = failure.code
            restart = self.doubtful(now) if failure.restart is None else failure.restart
            error = SdoProtocolError(*_what(transfer), failure.reason)
        self._leave(code, now)
        if not (restart and self._restarts(talk, transfer, str(failure))):
            self._fail(error, now)

    def _aborted(self, data: bytes, talk: Conversation, transfer: SdoTransfer, now: float) -> None:
        named, code, _ = _read_abort(data)
        ours = named is None or named == (transfer.index, transfer.subindex)
        if data == self._refusal or (not ours and self._leftover(data, named, code, now)):
            self._refusal = b""
            self.discard(data, now)
            return
        other = talk.fallback(code)
        if other is not None:
            self._without_blocks(other, data, now)
            return
        if not ours:
            sentence = "An abort names another object than the transfer's."
            self.odd("SDO-ABORT-OTHER-OBJECT", Severity.INFO, sentence, data, "it ends the transfer all the same")
            if code not in LINE_TROUBLE and len(talk.awaits) == 3:
                self._await_own(data, now)
                return
        rival = self._late.like(talk.awaits, now) if self._late and transfer.action == "write" else None
        if rival is not None:
            self._doubt(data, rival, now)
            return
        if code in _NO_ANSWERS and not talk.restartable:
            # It may be about a message before, repeated on its way; then the answer is still to come.
            self._settling = data
            self.wait(now, self.quiet_s)
            return
        leaving = max(now, self._asked_at or now)  # until then, segments of a sub-block are still going out
        self.heard(now)
        if code in LINE_TROUBLE and self._restarts(talk, transfer, f"the server broke off ({abort_text(code)})"):
            self._talk = None
            self._rest(leaving)
            return
        self._refused(data, transfer, now)
        if leaving > now:
            self._rest(leaving)  # the server takes each for a request: its answers are not for the next

    def _await_own(self, data: bytes, now: float) -> None:
        """The abort may be about a message of somebody else, or of long ago: then an answer of our own follows.

        Real servers put wrong objects in their aborts, so without one it counts.
        """
        if not self._alien:
            self._alien_before = self._step_ends
        self._alien, self._alien_ends = data, now + self.quiet_s
        self._step_ends = self._alien_ends

    def _refused(self, data: bytes, transfer: SdoTransfer, now: float) -> None:
        _, code, text = _read_abort(data)
        if code == _MIXED_UP[transfer.action]:
            sentence = f"A {transfer.action} was refused with the abort code of the other direction ({code:08X}h)."
            self.odd("SDO-ABORT-CODE", Severity.INFO, sentence, data, "it is a refusal all the same")
        self._fail(SdoAborted(*_what(transfer), code, text), now)

    def _leftover(self, data: bytes, named: tuple[int, int] | None, code: int, now: float) -> bool:
        """Is the abort about another transfer? One that was given up, or a repeated message of the one before."""
        if code in LINE_TROUBLE and named == self._ended:
            return True
        return code != SdoAbortCode.UNKNOWN_COMMAND and self._late.expects(data, now)

    def _without_blocks(self, other: Conversation, data: bytes, now: float) -> None:
        assert self._transfer is not None
        self.heard(now)
        self._refusal = data
        self._transfer.block = False
        sentence = "The server does not know block transfers (abort 0504 0001)."
        self.odd("SDO-BLOCK-REFUSED", Severity.INFO, sentence, data, "it goes on as a normal transfer")
        self.follow(other)
        other.begin(now)

    def _doubt(self, answer: bytes, rival: GivenUp, now: float) -> None:
        """The answer may be the late one to the rival. A server answers in order: wait for a second one.

        Where the present transfer saw other answers before, the rival's should have come before them.
        """
        alone = len(rival.awaits) == 3
        seconds = max(now - rival.asked_at, self.quiet_s) if alone else self.quiet_s
        self._settling = answer
        self.wait(now, min(seconds, self.timeout_s))

    def _settle(self, data: bytes, talk: Conversation, transfer: SdoTransfer, now: float) -> None:
        """A message after the doubtful one."""
        command, awaits = data[0], talk.awaits
        if data == self._settling:
            self.discard(data, now)
            self._settled(now)
        elif awaits[0] == "segment":
            if command < 0x20 and bool(command & 0x10) is awaits[1]:
                reason = "two last segments with different data"
                raise GiveUp(SdoAbortCode.TOGGLE_NOT_ALTERNATED, reason, restart=True)
            self.discard(data, now)
        elif transfer.action == "write" and (command == _ABORT or _confirms(awaits, data)):
            refused = self._settling[0] == _ABORT
            self.discard(self._settling, now)
            self._settling = data
            if refused and command != _ABORT:  # the abort was the rival's; this need not be the last answer
                self._settling = b""
                self._late.forget(awaits)
                talk.receive(data, now)
            else:
                self._settled(now)
        else:
            self.discard(data, now)

    def _settled(self, now: float) -> None:
        """No rival came, or both are there."""
        transfer, talk, answer = self._transfer, self._talk, self._settling
        assert transfer is not None and talk is not None
        self._late.forget(talk.awaits)
        self.heard(now)
        if answer[0] == _ABORT:
            self._refused(answer, transfer, now)
        else:
            self._complete(now)

    def _at_rest(self, data: bytes, now: float) -> None:
        """Nothing is asked: the message is late, or a stray. It makes a silence longer.

        The value itself, to a read that is about to be repeated, is taken.
        """
        transfer = self._transfer
        if self._quiet_ends is not None:
            self._quiet_ends = max(self._quiet_ends, min(now + self.quiet_s, self._quiet_limit))
            self._woken = True
        self.discard(data, now)
        if transfer is not None and transfer.action == "read" and _has_value(data, transfer):
            self._talk = Upload(self, transfer)
            try:
                self._talk.receive(data, now)
            except (GiveUp, StreamFailed) as failure:
                self._broken(failure, now)

    def _tell_progress(self, transfer: SdoTransfer) -> None:
        assert transfer.progress is not None
        try:
            transfer.progress(transfer.transferred, transfer.size)
        except Exception as error:  # it is the caller's and must not end the transfer
            transfer.progress = None
            sentence = f"The progress callback failed: {error!r}."
            finding = Finding("SDO-PROGRESS-FAILED", Severity.WARNING, sentence, assumed="it is not called any more")
            self._note(transfer, finding)


def _what(transfer: SdoTransfer) -> tuple[int, int, int, str]:
    return transfer.node_id, transfer.index, transfer.subindex, transfer.action


def _read_abort(data: bytes) -> tuple[tuple[int, int] | None, int, str]:
    """Object, code and sentence of an abort, however short it is."""
    named = multiplexor(data) if len(data) >= 4 else None
    if len(data) < LENGTH:
        return named, 0, f"no abort code: the message has only {len(data)} bytes"
    code = u32(data)
    return named, code, abort_text(code)


def _confirms(awaits: tuple[str | int, ...], data: bytes) -> bool:
    """Is this the answer that a write waits for?"""
    if awaits[0] == "download":
        return data[0] == 0x60 and len(data) >= 4 and multiplexor(data) == awaits[1:]
    return data[0] == (0xA1 if awaits[0] == "block ended" else 0x20 | int(awaits[1]) << 4)


def _has_value(data: bytes, transfer: SdoTransfer) -> bool:
    """Is this the expedited answer to the transfer?"""
    try:
        message = decode_response(data)
    except WireError:
        return False
    return (
        isinstance(message, UploadInitiated)
        and message.data is not None
        and (message.index, message.subindex) == (transfer.index, transfer.subindex)
    )
