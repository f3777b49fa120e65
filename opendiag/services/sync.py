"""SYNC, both ends: sending it (1005h, 1006h, 1019h), and watching what another node sends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.periods import Periods, elapsed_s
from opendiag.wire.cob_id import CobId
from opendiag.wire.sync import MAX_COUNTER, Sync

_EVENTS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class SyncMissed:
    """The counter jumped: a SYNC was lost, sent twice, or the producer began anew."""

    at: float
    expected: int
    got: int


@dataclass(frozen=True, slots=True)
class SyncLengthWrong:
    """A SYNC of ``length`` bytes where 1019h asks for ``expected`` (0 or 1), or a counter that cannot be."""

    at: float
    length: int
    expected: int


SyncEvent = SyncMissed | SyncLengthWrong


def as_cob_id(value: CobId | int) -> CobId:
    """A COB-ID as it is configured, decoded or not."""
    return CobId.decode(value) if isinstance(value, int) else value


def check_overflow(overflow: int) -> int:
    """Raise ValueError for a counter overflow that is neither 0 (no counter) nor 2..240."""
    if overflow != 0 and not 2 <= overflow <= MAX_COUNTER:
        raise ValueError(f"SYNC counter overflow {overflow} is neither 0 (no counter) nor 2..{MAX_COUNTER}")
    return overflow


class SyncProducer:
    """Sends a SYNC every ``period_s`` seconds (0: never by itself) from `start` on.

    A machine. ``overflow`` 0: without a counter; 2..240: with one that runs from 1 to it. Who keeps the time himself
    sends what `next_frame` gives. Raise ValueError for another overflow.
    """

    def __init__(self, cob_id: CobId | int = 0x80, period_s: float = 0.0, overflow: int = 0) -> None:
        self.cob = as_cob_id(cob_id)
        self.period_s = period_s
        self.sent = 0
        self._overflow = check_overflow(overflow)
        self._count = 1
        self._next: float | None = None
        self._frames: list[Frame] = []

    @property
    def overflow(self) -> int:
        return self._overflow

    @overflow.setter
    def overflow(self, overflow: int) -> None:
        self._overflow, self._count = check_overflow(overflow), 1

    @property
    def next_counter(self) -> int | None:
        """The counter of the next SYNC; None without one."""
        return self._count if self._overflow else None

    @property
    def running(self) -> bool:
        return self._next is not None

    def start(self, now: float, *, at_once: bool = False) -> None:
        """The first SYNC comes after a period, or ``at_once``; its counter is 1."""
        self._count = 1
        self._next = (now if at_once else now + self.period_s) if self.period_s > 0 else None

    def stop(self) -> None:
        self._next = None

    def next_frame(self) -> Frame:
        """The next SYNC; the counter goes on."""
        data = Sync(self.next_counter).encode()
        self._count = self._count % self._overflow + 1 if self._overflow else 1
        self.sent += 1
        return Frame(self.cob.can_id, data, extended=self.cob.extended)

    def take_back(self) -> None:
        """The last one did not leave: the next has its counter."""
        self.sent -= 1
        if self._overflow:
            self._count = (self._count - 2) % self._overflow + 1

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing on the bus concerns a producer."""

    def tick(self, now: float) -> None:
        """One that is long overdue is sent once."""
        if self._next is None or now < self._next:
            return
        self._next += self.period_s
        if self._next <= now:
            self._next = now + self.period_s
        self._frames.append(self.next_frame())

    def deadline(self) -> float | None:
        return self._next

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[SyncEvent]:
        return []


class SyncConsumer:
    """Counts SYNCs, their periods, and the jumps of their counter.

    A machine. ``overflow`` as in 1019h: 0 no counter, 2..240 the counter's last value; None: not known, a counter may
    begin anew at 1 where it did before, and any length is right. ``missed`` and ``malformed`` count; ``counter``
    is the one that came last. Raise ValueError for another overflow.
    """

    def __init__(self, cob_id: CobId | int = 0x80, overflow: int | None = None) -> None:
        self.cob = as_cob_id(cob_id)
        self.overflow = None if overflow is None else check_overflow(overflow)
        self.count = self.missed = self.malformed = 0
        self.counter: int | None = None
        self.last_at: float | None = None
        self.periods = Periods()
        self._last_ns: int | None = None
        self._highest = 0
        self._events: deque[SyncEvent] = deque(maxlen=_EVENTS_KEPT)

    def reset(self) -> None:
        """Forget the counter: the producer was stopped or configured anew."""
        self.counter = None
        self._highest = 0

    def is_sync(self, frame: Frame) -> bool:
        """By its CAN-ID, whatever its length."""
        same = frame.can_id == self.cob.can_id and frame.extended == self.cob.extended
        return same and not (frame.remote or frame.error or frame.fd)

    def receive(self, frame: Frame, now: float) -> None:
        if not self.is_sync(frame):
            return
        self._time(frame, now)
        wanted = None if self.overflow is None else int(self.overflow > 0)
        try:
            counter = Sync.decode(frame.data).counter
        except WireError:
            self._malformed(frame, wanted, now)
            return
        if wanted is not None and len(frame.data) != wanted:
            self._malformed(frame, wanted, now)
        elif counter is not None:
            self._counted(counter, now)

    def _time(self, frame: Frame, now: float) -> None:
        self.count += 1
        if self.last_at is not None:
            self.periods.add(elapsed_s(self._last_ns, frame.time_ns, now - self.last_at))
        self.last_at, self._last_ns = now, frame.time_ns

    def _malformed(self, frame: Frame, wanted: int | None, now: float) -> None:
        self.malformed += 1
        self.counter = None
        expected = wanted if wanted is not None else min(len(frame.data), 1)
        self._events.append(SyncLengthWrong(now, len(frame.data), expected))

    def _counted(self, counter: int, now: float) -> None:
        before, self.counter = self.counter, counter
        if before is None:
            self._highest = max(self._highest, counter)
            return
        expected = self._after(before)
        began_anew = self.overflow is None and counter == 1 and before >= self._highest
        self._highest = max(self._highest, counter)
        if counter != expected and not began_anew:
            self.missed += 1
            self._events.append(SyncMissed(now, expected, counter))

    def _after(self, counter: int) -> int:
        last = self.overflow or MAX_COUNTER
        return counter + 1 if counter < last else 1

    def tick(self, now: float) -> None:
        """Nothing here depends on time."""

    def deadline(self) -> float | None:
        return None

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[SyncEvent]:
        events = list(self._events)
        self._events.clear()
        return events
