"""TIME, both ends (1012h): telling the time of day, and keeping the one that was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.sync import as_cob_id
from opendiag.wire.cob_id import CobId
from opendiag.wire.time_stamp import TimeOfDay

_EVENTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class TimeReceived:
    """Somebody has told the time of day."""

    at: float
    time: TimeOfDay


@dataclass(frozen=True, slots=True)
class TimeMalformed:
    """A frame on the CAN-ID of TIME that is none."""

    at: float
    data: bytes
    reason: str


TimeEvent = TimeReceived | TimeMalformed


class TimeProducer:
    """Sends what ``time_of_day(now)`` gives every ``period_s`` seconds (0: never by itself) from `start` on.

    A machine. CiA 301 has no object for the period: an application decides when. `frame` makes one at any time.
    """

    def __init__(
        self, cob_id: CobId | int = 0x100, period_s: float = 0.0, *, time_of_day: Callable[[float], TimeOfDay]
    ) -> None:
        self.cob = as_cob_id(cob_id)
        self.period_s = period_s
        self._time_of_day = time_of_day
        self._next: float | None = None
        self._frames: list[Frame] = []

    def start(self, now: float, *, at_once: bool = True) -> None:
        """The first TIME comes ``at_once``, or after a period."""
        self._next = (now if at_once else now + self.period_s) if self.period_s > 0 else None

    def stop(self) -> None:
        self._next = None

    def frame(self, now: float) -> Frame:
        """The TIME of now. Raise WireError for a time that TIME_OF_DAY cannot hold."""
        return Frame(self.cob.can_id, self._time_of_day(now).encode(), extended=self.cob.extended)

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing on the bus concerns a producer."""

    def tick(self, now: float) -> None:
        """One that is long overdue is sent once."""
        if self._next is None or now < self._next:
            return
        self._next += self.period_s
        if self._next <= now:
            self._next = now + self.period_s
        self._frames.append(self.frame(now))

    def deadline(self) -> float | None:
        return self._next

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[TimeEvent]:
        return []


class TimeConsumer:
    """Keeps the time of day that was told last, and lets it go on. A machine; ``malformed`` counts."""

    def __init__(self, cob_id: CobId | int = 0x100) -> None:
        self.cob = as_cob_id(cob_id)
        self.count = self.malformed = 0
        self.latest: TimeReceived | None = None
        self._events: deque[TimeEvent] = deque(maxlen=_EVENTS_KEPT)

    def time_of_day(self, now: float) -> TimeOfDay | None:
        """What was told last, and the seconds since then; None: nobody has told."""
        return None if self.latest is None else self.latest.time.later(now - self.latest.at)

    def receive(self, frame: Frame, now: float) -> None:
        same = frame.can_id == self.cob.can_id and frame.extended == self.cob.extended
        if not same or frame.remote or frame.error or frame.fd:
            return
        try:
            told = TimeOfDay.decode(frame.data)
        except WireError as error:
            self.malformed += 1
            self._events.append(TimeMalformed(now, frame.data, error.reason))
            return
        self.count += 1
        self.latest = TimeReceived(now, told)
        self._events.append(self.latest)

    def tick(self, now: float) -> None:
        """Nothing here depends on time."""

    def deadline(self) -> float | None:
        return None

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[TimeEvent]:
        events = list(self._events)
        self._events.clear()
        return events
