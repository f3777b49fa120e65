"""What an axis says and is told by PDO while it follows set-points: buffers to send from, and what came last.

The set-point's RPDO carries no controlword where that can be arranged. One that repeats "enable operation" with every
SYNC switches a drive on again that somebody else has switched off a moment ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from opendiag.cia402.link import HALT, KEPT, STOPS, DriveLink, SdoWords
from opendiag.cia402.path import COMMAND_WORDS, energises
from opendiag.cia402.states import Command, PdsState, controlword_command, pds_state
from opendiag.frame import Frame
from opendiag.services.plans import Now, Plan

_STATE_BITS, _OPERATION_ENABLED = 0x6F, 0x27


@dataclass(frozen=True, slots=True)
class Place:
    """Whole bytes in a PDO."""

    offset: int
    size: int
    signed: bool = True

    def read(self, data: bytes) -> int:
        return int.from_bytes(data[self.offset : self.offset + self.size], "little", signed=self.signed)

    def write(self, data: bytearray, value: int) -> None:
        """Raise OverflowError for a value that does not fit."""
        data[self.offset : self.offset + self.size] = value.to_bytes(self.size, "little", signed=self.signed)

    @property
    def range(self) -> tuple[int, int]:
        bits = 8 * self.size
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)


@dataclass(slots=True)
class RpdoBuffer:
    """What is sent: ``data`` holds the other mapped objects as the device had them."""

    can_id: int
    extended: bool
    data: bytearray
    set_point: Place | None = None
    word: Place | None = None

    def frame(self) -> Frame:
        return Frame(self.can_id, bytes(self.data), extended=self.extended)


@dataclass(frozen=True, slots=True)
class TpdoView:
    """Where a TPDO has what the master looks at."""

    can_id: int
    extended: bool
    length: int
    status: Place | None = None
    actual: Place | None = None


@dataclass(slots=True)
class AxisPdos:
    """``set_point`` None: it goes by SDO. ``word`` None: the controlword goes by SDO. No ``views``: so does the rest.

    ``range``: what the object of the set-point can hold.
    """

    set_point: RpdoBuffer | None = None
    word: RpdoBuffer | None = None
    views: tuple[TpdoView, ...] = ()
    range: tuple[int, int] = (-(1 << 31), (1 << 31) - 1)

    @property
    def word_rides_along(self) -> bool:
        """Does every set-point carry a controlword?"""
        return self.set_point is not None and self.set_point.word is not None


@dataclass(slots=True)
class CyclicAxis:
    """One axis on its way. ``fresh``: everything of the last SYNC has come; what is older is never believed.

    ``held``: the set-point to stay at, once the axis is seen enabled. ``dropped``: it left OPERATION ENABLED, or is to
    leave it: no word that energises is sent any more.
    """

    link: DriveLink
    pdos: AxisPdos
    number: int
    status: int | None = None
    status_at: float = float("-inf")
    actual: int | None = None
    fresh: bool = False
    ever: bool = False
    dropped: bool = False
    held: int | None = None
    silent: int = 0
    set_points_sent: int = 0
    set_points_missed: int = 0
    tpdos_missed: int = 0
    limited: int = 0
    ignored: int = 0
    following_error: int = 0
    _have: set[int] = field(default_factory=set)

    @property
    def enabled(self) -> bool:
        """By the last statusword that came."""
        return self.status is not None and self.status & _STATE_BITS == _OPERATION_ENABLED

    @property
    def state(self) -> PdsState | None:
        return None if self.status is None else pds_state(self.status)

    # --- what the drive says ---

    def receive(self, frame: Frame, now: float) -> None:
        """One of its TPDOs."""
        for number, view in enumerate(self.pdos.views):
            same = view.can_id == frame.can_id and view.extended == frame.extended
            if not same or frame.remote or frame.error or len(frame.data) < view.length:
                continue
            if view.actual is not None:
                self.actual = view.actual.read(frame.data)
            if view.status is not None:
                self.told(view.status.read(frame.data), now)
            self._have.add(number)
            if len(self._have) == len(self.pdos.views):
                self.fresh = self.ever = True

    def told(self, word: int, now: float) -> None:
        """A statusword, however it came."""
        self.status = self.link.statusword = word
        self.status_at = self.link.status_at = now

    def told_by_sdo(self, word: int, actual: int | None, now: float) -> None:
        self.told(word, now)
        self.actual = actual
        self.fresh = self.ever = True

    def next_cycle(self) -> None:
        """What came belongs to the SYNC before."""
        self._have.clear()
        self.fresh = False

    # --- what the drive is told ---

    def drop(self) -> None:
        """No more leave to energise: every word from now on is a quick stop."""
        self.dropped = True
        self.link.permitted = False

    @property
    def word(self) -> int:
        """For a PDO: "enable operation" only while somebody wants the drive enabled, and it was not seen to fall."""
        word = self.link.controlword
        if self.link.permitted and self.enabled:
            word = word & 0xFF70 | COMMAND_WORDS[Command.ENABLE_OPERATION]
        if self.dropped or (energises(word) and not self.link.permitted):
            # It stops an enabled drive, switches off one that stands by, and energises none.
            word = word & KEPT & ~HALT | COMMAND_WORDS[Command.QUICK_STOP]
        return word

    def word_frame(self) -> Frame | None:
        """The controlword alone, where it has a PDO."""
        buffer = self.pdos.word
        if buffer is None or buffer.word is None:
            return None
        buffer.word.write(buffer.data, self.word)
        return buffer.frame()

    def set_point_frame(self, value: int) -> Frame | None:
        """None where set-points go by SDO."""
        buffer = self.pdos.set_point
        if buffer is None or buffer.set_point is None:
            return None
        if buffer.word is not None:
            buffer.word.write(buffer.data, self.word)
        buffer.set_point.write(buffer.data, value)
        return buffer.frame()


class PdoWords:
    """For a `DriveLink` while its axis goes cyclically: the statusword of the last SYNC, if it is not too old.

    One older than ``max_age_s`` is never believed: the drive is asked by SDO then. The controlword goes by SDO, which
    confirms it, unless every set-point carries one; one that stops goes by SDO in any case, as SYNC may have ended.
    """

    def __init__(self, axis: CyclicAxis, max_age_s: float) -> None:
        self.running = True
        self.before = axis.link.words
        self._axis = axis
        self._max_age_s = max_age_s
        self._sdo = SdoWords()

    def read_status(self, link: DriveLink, timeout_s: float | None) -> Plan[int]:
        now = yield Now()
        word = self._axis.status
        if (
            self.running
            and word is not None
            and self._axis.pdos.views
            and now - self._axis.status_at <= self._max_age_s
        ):
            return word
        return (yield from self._sdo.read_status(link, timeout_s))

    def write_control(self, link: DriveLink, word: int, timeout_s: float | None) -> Plan[None]:
        rides = self.running and self._axis.pdos.word_rides_along
        if not rides or controlword_command(word) in STOPS:
            yield from self._sdo.write_control(link, word, timeout_s)
