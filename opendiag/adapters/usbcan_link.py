"""The serial port of a USB-CAN Analyzer while a bus is open: frames in and out, and the status asked for."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import can

from opendiag.adapters.bus import QueueFull, Unplugged, describe
from opendiag.adapters.device_clock import HostClock
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.serial_line import READ_S, SerialLine
from opendiag.adapters.usbcan_codec import STATUS_REQUEST, Settings, Status, frame_bits, pack_frame
from opendiag.adapters.usbcan_parser_codec import SILENCE_NS, Parser
from opendiag.adapters.usbcan_setup import initialization_error, never, set_up
from opendiag.frame import Frame

#: Clocks of both ends differ, and the adapter has other things to do.
_PACE = 1.05
#: So many status requests in a row without an answer: the error counters are not known any more.
_MISSED = 3
_SEND_S = 1.0
#: A looped-back frame that has not come back by then is lost.
_LOOP_S = 1.0
_LOOPED = 1024

Key = tuple[int, bytes, bool, bool, int]


class UsbCanLink:
    """``tell`` gets each status, or None when it is not known any more, from the reader's thread.

    ``looked_for``: after unplugging it is looked for. ``give_up`` says that nobody waits for `reopen` any more.
    ``answers``: it answered a status request when it was opened.

    The constructor raises can.CanInitializationError.
    """

    def __init__(
        self, port: str, bauds: Sequence[int], settings: Settings, inbox: Inbox, tell: Callable[[Status | None], None]
    ) -> None:
        self.status_interval_s = 0.5
        self.receive_own = self.looked_for = False
        self.give_up: Callable[[], bool] = never
        self.received = self.written = 0
        self.answered = self.missed = 0
        self.status: Status | None = None
        self.jammed = 0
        self.parser = Parser(fixed=settings.fixed)
        self._settings = settings
        self._inbox = inbox
        self._tell = tell
        self._clock = HostClock()
        self._in_order = threading.Lock()  # times in the inbox never go back
        self._turn = threading.Lock()
        self._free_at = 0.0
        self._next_status = time.monotonic()
        self._missed_in_a_row = 0
        self._status_due = self._asked = self._busy = False
        self._looped: deque[tuple[float, Key]] = deque(maxlen=_LOOPED)
        self._failure: can.CanError | None = None
        self._away = ""
        self.line = SerialLine(port, bauds[0])
        try:
            self.answers = set_up(self.line, bauds, settings)
        except (Unplugged, QueueFull) as error:
            self.line.close()
            raise initialization_error(error) from None
        except BaseException:
            self.line.close()
            raise

    @property
    def baud(self) -> int:
        return self.line.baud

    @property
    def fell_silent(self) -> bool:
        """It answered once, and does not any more."""
        return self._missed_in_a_row >= _MISSED

    def close(self) -> None:
        self.line.close()

    # --- what the reader calls

    def read(self) -> None:
        data = self.line.read(SILENCE_NS / 1e9 if self._busy else READ_S)
        self._busy = bool(data)
        parser = self.parser
        with self._in_order:
            now = self._clock.now_ns()
            frames = parser.feed(data, now) if data else parser.silence(now)
            self.received += len(frames)
            self._inbox.put(self._without_own(frames) if self._looped else frames)
        if parser.statuses:
            self._heard()
        if self.status_interval_s and time.monotonic() >= self._next_status:
            self._ask()

    def reopen(self) -> None:
        """As `Link` has it. Raise can.CanError."""
        self.line.open()
        try:
            if not set_up(self.line, (self.line.baud,), self._settings, self.give_up) and self.answers:
                raise can.CanInitializationError(f"{self.line.port}: the adapter is back, and does not answer yet")
        except BaseException:
            self.line.close()
            raise
        self.parser.reset()
        self._asked = False
        self._next_status = time.monotonic()
        self._away = ""

    def gone(self, reason: str) -> None:
        self._away = reason
        self._know(None)
        self.line.close()  # Linux gives a port that somebody still has open another name when it comes back

    def lost(self, failure: Exception) -> None:
        self._failure = failure if isinstance(failure, can.CanError) else can.CanOperationError(describe(failure))
        self._inbox.fail(self._failure)
        self._know(None)
        self.line.close()

    def _without_own(self, frames: list[Frame]) -> list[Frame]:
        """With the lock held: what was looped back is left out, or said to be our own."""
        now = time.monotonic()
        while self._looped and self._looped[0][0] < now - _LOOP_S:
            self._looped.popleft()
        kept = []
        for frame in frames:
            own = next((sent for sent in self._looped if sent[1] == _key(frame)), None)
            if own is None:
                kept.append(frame)
                continue
            self._looped.remove(own)
            self.received -= 1
            if self.receive_own:
                kept.append(replace(frame, direction="tx"))
        return kept

    def _heard(self) -> None:
        statuses = self.parser.statuses
        self.answered += len(statuses)
        self._missed_in_a_row = 0
        self._asked = False
        self._know(statuses[-1])
        statuses.clear()

    def _know(self, status: Status | None) -> None:
        self.status = status
        self._tell(status)

    def _ask(self) -> None:
        if self._asked:
            self._asked = False
            self.missed += 1
            self._missed_in_a_row += 1
            if self._missed_in_a_row == _MISSED:
                self._know(None)
        self._next_status = time.monotonic() + self.status_interval_s
        self._status_due = True
        if self._turn.acquire(blocking=False):  # else whoever is sending asks before the next frame
            try:
                self._wait(self._free_at)
                self._write_status()
            except QueueFull:
                self.jammed += 1
            finally:
                self._turn.release()

    def _write_status(self) -> None:
        if self._status_due:
            self._write(STATUS_REQUEST, 0.0)
            self._status_due = False
            self._asked = True

    # --- sending, from any thread

    def send(self, frame: Frame, timeout_s: float | None) -> None:
        """Raise ValueError, QueueFull, Unplugged, can.CanOperationError."""
        data = pack_frame(frame, fixed=self._settings.fixed)
        gap_s = frame_bits(frame) / self._settings.actual_bit_rate * _PACE
        wait_s = _SEND_S if timeout_s is None else max(timeout_s, 0.0)
        until = time.monotonic() + wait_s
        self._ensure_there()
        if not self._turn.acquire(timeout=wait_s):
            raise self._full("others were sending all the time")
        try:
            self._take_turn(frame, data, gap_s, until)
        finally:
            self._turn.release()
        if self.receive_own and not self._settings.loopback:
            with self._in_order:
                self._inbox.put([replace(frame, direction="tx", time_ns=self._clock.now_ns())])

    def _expect_back(self, frame: Frame) -> None:
        if self._settings.loopback:
            with self._in_order:
                self._looped.append((time.monotonic(), _key(frame)))

    def _take_turn(self, frame: Frame, data: bytes, gap_s: float, until: float) -> None:
        """Wait until the adapter is through with what was written before, then write."""
        if self._free_at > max(until, time.monotonic()):
            raise self._full(f"its turn was {(self._free_at - time.monotonic()) * 1e3:.1f} ms away")
        self._wait(self._free_at)
        try:
            self._write_status()
            self._wait(self._free_at)
            self._expect_back(frame)
            self._write(data, gap_s)
        except Unplugged as error:
            if self.looked_for and self._failure is None:
                raise self._looked_for(str(error)) from error
            raise
        except QueueFull:
            self.jammed += 1
            raise
        self.written += 1

    def _write(self, data: bytes, gap_s: float) -> None:
        self.line.write(data)
        self._free_at = time.monotonic() + max(gap_s, 10 * len(data) / self.line.baud)

    @staticmethod
    def _wait(until: float) -> None:
        rest = until - time.monotonic()
        if rest > 0:
            time.sleep(rest)

    def _full(self, why: str) -> QueueFull:
        return QueueFull(f"{self.line.port}: not sent within the time given: {why}")

    def _ensure_there(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._away:
            raise self._looked_for(self._away)

    def _looked_for(self, reason: str) -> can.CanOperationError:
        failure = can.CanOperationError(f"{reason}; it is looked for")
        failure.error_code = errno.ENETDOWN
        return failure


def _key(frame: Frame) -> Key:
    """What an adapter gives back of a frame."""
    return frame.can_id, frame.data, frame.extended, frame.remote, frame.dlc
