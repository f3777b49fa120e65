"""How frames go to an SLCAN adapter: each one confirmed and sent again when it was refused, or paced where the adapter
answers nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opendiag.adapters.bus import QueueFull
from opendiag.adapters.slcan_codec import Kind, encode
from opendiag.frame import Frame

#: How long `send` waits when the caller does not say, and how long a refused frame is tried again then.
SLOT_S = 1.0
TRY_S = 2.0
#: An adapter answers at once; a line of UART speed takes some milliseconds.
ANSWER_S = 1.0
_FIRST_ANSWER_S = 0.3
#: A refusal that comes so soon after a frame was given up without an answer may be meant for that one.
_OWED_S = 5.0
#: So many frames without an answer, and none with one, and it is taken for mute.
_SILENT = 2
_RETRY_S = 0.002
_RETRY_MAX_S = 0.05
_POLLS_REFUSED = 3

Write = Callable[[bytes], None]
Sent = Callable[[Frame], None]


@dataclass(eq=False)
class _Written:
    """A line that waits for its answer; ``frame`` None: a question. ``done`` None: not known yet."""

    line: bytes
    frame: Frame | None
    at: float
    until: float
    again: float = 0.0
    pause: float = _RETRY_S
    done: bool | None = None


class ConfirmedSender:
    """For adapters that answer every frame: z, Z or CR when they took it, BEL when they did not.

    ``window`` frames at most are on the way without an answer. Frames keep their order: one that was refused is sent
    again only if none was written after it, which is always so with a window of 1.

    ``refused`` counts frames that were given up, ``retried`` those that were sent again, ``unanswered`` frames without
    an answer, ``stray`` answers that belong to nothing. ``silent``: frames are never answered here.
    """

    def __init__(self, name: str, write: Write, sent: Sent, window: int = 1) -> None:
        self.refused = self.retried = self.unanswered = self.stray = self.confirmed = 0
        self.silent = False
        self.questions_refused = 0
        self._frames_unanswered = 0
        self._owed, self._owed_until = 0, 0.0
        self._name = name
        self._write = write
        self._sent = sent
        self._window = window
        self._waiting: deque[_Written] = deque()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._failure: Exception | None = None

    def send(self, frame: Frame, timeout_s: float | None) -> None:
        """With a timeout above 0 it returns when the adapter confirmed. Raise QueueFull, or what ``write`` raises."""
        now = time.monotonic()
        entry = _Written(encode(frame), frame, now, now + (timeout_s or TRY_S))
        room_until = now + (SLOT_S if timeout_s is None else timeout_s)
        while not self._write_if_room(entry):
            with self._changed:
                if not self._changed.wait_for(self._has_room, max(room_until - time.monotonic(), 0)):
                    raise self._full("still refuses the frame before this one")
        if timeout_s:
            self._confirmation(entry)

    def _write_if_room(self, entry: _Written) -> bool:
        with self._writing:
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                if not self._has_room():
                    return False
                entry.at = time.monotonic()
                self._waiting.append(entry)
            try:
                self._write(entry.line)
            except BaseException:
                with self._changed:
                    self._remove(entry)
                    self._changed.notify_all()
                raise
        return True

    def ask(self, question: bytes) -> None:
        """Send a question whose answer is `Kind.STATUS`; not now if the line is in use. From the reader's thread."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            with self._changed:
                if any(entry.frame is None for entry in self._waiting):
                    return
                now = time.monotonic()
                self._waiting.append(_Written(question, None, now, now))
            self._write(question)
        finally:
            self._writing.release()

    def answered(self, kind: Kind) -> None:
        """An answer came. From the reader's thread."""
        with self._changed:
            entry = None if kind is Kind.REFUSED and self._is_owed() else self._entry_of(kind)
            if entry is None:
                self.stray += 1
                return
            if kind is not Kind.REFUSED:
                self._remove(entry)
                entry.done = True
                self.confirmed += entry.frame is not None
            elif entry.frame is None:
                self.questions_refused += 1
                self._remove(entry)
            else:
                self._refuse(entry)
            self._changed.notify_all()
        if entry.done and entry.frame is not None:
            self._sent(entry.frame)

    def tick(self, now: float, heard_until: float) -> float:
        """Send again what is due, give up what was not answered; seconds until it has something to do at the latest.

        What came until ``heard_until`` was handed to `answered`: an answer that waits to be read is none that is late.
        """
        due = None
        with self._changed:
            answers = self.confirmed or self.refused or self.retried
            limit = ANSWER_S if answers else _FIRST_ANSWER_S
            for entry in list(self._waiting):
                if entry.again:
                    due = entry
                elif heard_until - entry.at > limit:
                    self._remove(entry)
                    self.unanswered += 1
                    if entry.frame is not None:
                        self._frames_unanswered += 1
                        self._owed, self._owed_until = self._owed + 1, heard_until + _OWED_S
                    self.silent = not answers and self._frames_unanswered >= _SILENT
                    self._changed.notify_all()
        if due is None:
            return 1.0
        if now >= due.again:
            self._again(due, now)
        return max(due.again - now, 0.001)

    def fail(self, failure: Exception | None) -> None:
        """Whoever waits, and every later `send`, gets it; None: it works again, and nothing waits any more."""
        with self._changed:
            self._failure = failure
            for entry in self._waiting:
                if entry.frame is not None:
                    self.refused += entry.again > 0
                    self.unanswered += not entry.again
            self._waiting.clear()
            self._owed = 0
            self._changed.notify_all()

    @property
    def through(self) -> bool:
        """No frame waits for an answer, or to be sent again."""
        with self._changed:
            return all(entry.frame is None for entry in self._waiting)

    # --- with the lock held

    def _has_room(self) -> bool:
        frames = sum(entry.frame is not None for entry in self._waiting)
        return self._failure is not None or frames < self._window

    def _is_owed(self) -> bool:
        """A late answer to a frame that was given up. Taken for the next frame's, that one would be sent twice."""
        if time.monotonic() > self._owed_until:
            self._owed = 0
        owed = self._owed > 0
        self._owed -= owed
        return owed

    def _entry_of(self, kind: Kind) -> _Written | None:
        """The oldest line that this can be the answer to; the answers of those before it got lost."""
        waiting = [entry for entry in self._waiting if not entry.again]
        for position, entry in enumerate(waiting):
            if kind is Kind.REFUSED or (kind is Kind.STATUS) == (entry.frame is None):
                for lost in waiting[:position]:
                    self._remove(lost)
                    self.unanswered += 1
                return entry
        return None

    def _refuse(self, entry: _Written) -> None:
        now = time.monotonic()
        behind = [other for other in self._waiting if other.frame is not None]
        if behind[-1] is entry and now < entry.until:
            entry.again = now + entry.pause
            entry.pause = min(entry.pause * 2, _RETRY_MAX_S)
            return
        self._remove(entry)
        entry.done = False
        self.refused += 1

    def _remove(self, entry: _Written) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)

    # --- without it

    def _again(self, entry: _Written, now: float) -> None:
        if not self._writing.acquire(blocking=False):
            return  # another frame is written this moment
        try:
            with self._changed:
                if entry not in self._waiting:
                    return
                self._waiting.remove(entry)  # its answer comes after those of all that were written meanwhile
                self._waiting.append(entry)
                entry.again = 0.0
                entry.at = now
                self.retried += 1
            self._write(entry.line)
        finally:
            self._writing.release()

    def _confirmation(self, entry: _Written) -> None:
        with self._changed:
            rest = max(entry.until - time.monotonic(), 0)
            self._changed.wait_for(lambda: entry.done is not None or entry not in self._waiting, rest)
            if entry.done:
                return
            if self._failure is not None:
                raise self._failure
            if entry.again:  # nobody knows of it but us
                self._remove(entry)
                self.refused += 1
                self._changed.notify_all()
        raise self._full("did not confirm the frame in time")

    def _full(self, what: str) -> QueueFull:
        return QueueFull(f"{self._name} {what}: as a rule nobody on the bus acknowledges, or the bit rate is wrong")


class PacedSender:
    """For adapters that answer nothing: what comes faster than the bus carries it, they throw away.

    So each frame gets the time that it takes on the bus at worst, and a little more. ``written`` counts them: nothing
    confirms that they were sent.
    """

    def __init__(self, name: str, write: Write, sent: Sent, bit_rate: int, data_rate: int | None) -> None:
        self.written = 0
        self._name = name
        self._write = write
        self._sent = sent
        self._rates = bit_rate, data_rate
        self._free_at = 0.0
        self._turn = threading.Lock()

    def send(self, frame: Frame, timeout_s: float | None) -> None:
        """Raise QueueFull, or what ``write`` raises."""
        line = encode(frame)
        wait_s = SLOT_S if timeout_s is None else max(timeout_s, 0.01)
        if not self._turn.acquire(timeout=wait_s):
            raise QueueFull(f"{self._name}: other frames are still on their way; it is sent no faster than the bus")
        try:
            pause = self._free_at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self._write(line)
            self._free_at = time.monotonic() + frame_seconds(frame, *self._rates) * _PACE
            self.written += 1
            self._sent(frame)
        finally:
            self._turn.release()


_PACE = 1.05


def frame_seconds(frame: Frame, bit_rate: int, data_rate: int | None = None) -> float:
    """At worst, with all stuff bits and the pause after it (ISO 11898-1)."""
    data_bits = 0 if frame.remote else 8 * len(frame.data)
    if not frame.fd:
        head, stuffed = (64, 54) if frame.extended else (44, 34)
        return (head + data_bits + (stuffed + data_bits - 1) // 4 + 3) / bit_rate
    # Arbitration, end and pause at the one rate; DLC, data, stuff count and CRC at the other.
    slow = (38 if frame.extended else 18) * 5 / 4 + 15
    fast = (9 + data_bits) * 5 / 4 + (28 if len(frame.data) > 16 else 23) + 6
    return slow / bit_rate + fast / (data_rate if data_rate and frame.brs else bit_rate)
