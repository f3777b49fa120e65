"""The receiving end of a PDO (CiA 301): an RPDO of a device.

What comes acts at once (types 254 and 255), or at the next SYNC (0..240), and then the latest that came. A frame that
is too short for the mapping does nothing (error 8210h), one that is too long acts by its first bytes (8220h). With an
event timer, an RPDO that has come once must come again in time (8250h).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from opendiag.frame import Frame
from opendiag.services.pdo_parameters import AT_SYNC, EVENT_DRIVEN, PdoParameters


class PdoError(IntEnum):
    """What can be wrong with a received PDO: error codes of an EMCY (CiA 301)."""

    TOO_SHORT = 0x8210
    TOO_LONG = 0x8220
    NO_DESTINATION = 0x8230
    TIMED_OUT = 0x8250


@dataclass(frozen=True, slots=True)
class PdoTrouble:
    """Something is wrong with RPDO ``number``, or right again (``over``).

    It is told when it begins, not for each frame. ``seen`` is what was there instead: bytes, or seconds of silence.
    """

    number: int
    error: PdoError
    at: float
    over: bool = False
    expected: float = 0.0
    seen: float = 0.0


class RPdo:
    """``apply(data, now)`` is called with as many bytes as are mapped, when they are to act.

    ``received`` counts frames of this PDO while it was on, ``ignored`` those of them that were too short, or meant a
    type that no RPDO has.
    """

    def __init__(self, parameters: PdoParameters, apply: Callable[[bytes, float], None]) -> None:
        self.parameters = parameters
        self.running = False
        self.received = self.ignored = 0
        self._apply = apply
        self._events: list[Any] = []
        self._wrong: set[PdoError] = set()
        self._staged: bytes | None = None
        self._last: float | None = None

    @property
    def staged(self) -> bytes | None:
        """What waits for the next SYNC."""
        return self._staged

    def configure(self, parameters: PdoParameters, now: float) -> None:
        """Take other parameters. What waits for a SYNC is dropped, what was wrong is over."""
        self.parameters = parameters
        self._rest()
        self.settle(set(PdoError), now)

    def start(self) -> None:
        """The node is OPERATIONAL."""
        self.running = True
        self._rest()

    def stop(self) -> None:
        """The node has left OPERATIONAL. What waited for a SYNC is gone, and the deadline rests."""
        self.running = False
        self._rest()

    def _rest(self) -> None:
        self._staged = self._last = None

    def carries(self, frame: Frame) -> bool:
        """Is this frame such a PDO, while it is on?"""
        cob = self.parameters.cob
        same = frame.can_id == cob.can_id and frame.extended == cob.extended
        return same and self.running and self.parameters.active and not (frame.remote or frame.error or frame.fd)

    def receive(self, frame: Frame, now: float) -> None:
        if not self.carries(frame):
            return
        self.received += 1
        length, kind = self.parameters.length, self.parameters.transmission_type
        if len(frame.data) < length:
            self.ignored += 1
            self.tell(PdoError.TOO_SHORT, now, length, len(frame.data))
            return
        if kind not in AT_SYNC and kind not in EVENT_DRIVEN:
            self.ignored += 1
            return
        self._last = now
        right = {PdoError.TOO_SHORT, PdoError.TIMED_OUT}
        if len(frame.data) > length:
            self.tell(PdoError.TOO_LONG, now, length, len(frame.data))
        else:
            right.add(PdoError.TOO_LONG)
        self.settle(right, now)
        data = frame.data[:length]
        if kind in AT_SYNC:
            self._staged = data
        else:
            self._apply(data, now)

    def sync(self, now: float) -> bool:
        """A SYNC has come: what waited for it acts. True if something did."""
        if self._staged is None:
            return False
        data, self._staged = self._staged, None
        self._apply(data, now)
        return True

    def tick(self, now: float) -> None:
        due = self.deadline()
        if due is not None and now >= due:
            last = now if self._last is None else self._last
            self.tell(PdoError.TIMED_OUT, now, self.parameters.event_s, now - last)

    def deadline(self) -> float | None:
        """When the next one must have come."""
        parameters = self.parameters
        watched = self.running and parameters.active and parameters.event_s and self._last is not None
        if not watched or self._last is None or PdoError.TIMED_OUT in self._wrong:
            return None
        return self._last + parameters.event_s

    def tell(self, error: PdoError, now: float, expected: float = 0.0, seen: float = 0.0) -> None:
        """Something is wrong; it is an event when it was not so before."""
        if error not in self._wrong:
            self._wrong.add(error)
            self._events.append(PdoTrouble(self.parameters.number, error, now, False, expected, seen))

    def settle(self, right: set[PdoError], now: float) -> None:
        """These are no more; it is an event for each that was."""
        for error in sorted(self._wrong & right):
            self._wrong.discard(error)
            self._events.append(PdoTrouble(self.parameters.number, error, now, True))

    def frames_to_send(self) -> list[Frame]:
        """A consumer sends nothing."""
        return []

    def events(self) -> list[Any]:
        events, self._events = self._events, []
        return events
