"""Profile position: set-points by handshake, one or a chain of them, until the drive stands where it should.

The handshake: bit 4 of the controlword rises only while bit 12 of the statusword is 0; the drive sets bit 12 when it
has the set-point; bit 4 is cleared; bit 12 falls when the drive can take the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opendiag.cia402.device_limits import check_position, check_profile, device_limits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.motion import (
    BIT_12,
    BIT_13,
    FLICKER,
    IMMEDIATELY,
    LIMIT,
    MODE_BITS,
    NEW_SET_POINT,
    ON_SET_POINT,
    REACHED,
    REFUSED,
    RELATIVE,
    Patience,
    Watch,
    bit_12,
    check_limits,
    enter_mode,
    foreign_halt,
    limit_switch,
    look,
    ready,
    safely,
)
from opendiag.cia402.objects import (
    ACCELERATION,
    DECELERATION,
    MODE_DISPLAY,
    POSITION,
    POSITION_DEMAND,
    POSITIONING_OPTION,
    PROFILE_VELOCITY,
    TARGET_POSITION,
)
from opendiag.cia402.power import is_still
from opendiag.errors import FollowingErrorTooLarge, LimitReached, MotionFailed, MotionTimeout
from opendiag.services.plans import Now, Plan, Sleep

#: Seconds between two looks at the position of a motion under way, and from when on it counts as standing.
_POSITION_S, _STANDING_S = 0.02, 0.1
_PROFILE = (PROFILE_VELOCITY, ACCELERATION, DECELERATION)
_LAST_TARGET, _ACTUAL = 0, 2


@dataclass(frozen=True, slots=True)
class SetPoint:
    """One target with its profile, in the device's units. None: what the device has."""

    target: int
    relative: bool = False
    velocity: int | None = None
    acceleration: int | None = None
    deceleration: int | None = None

    def __str__(self) -> str:
        return f"{self.target:+d} from there" if self.relative else str(self.target)


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a motion ends, give or take ``tolerance``."""

    target: int
    tolerance: int

    def has(self, position: int) -> bool:
        return abs(position - self.target) <= self.tolerance

    def direction(self, position: int) -> int:
        """Which way it is from here: 1, -1, or 0 when it is reached."""
        return 0 if self.has(position) else 1 if position < self.target else -1


def move(
    link: DriveLink,
    target: int,
    *,
    relative: bool = False,
    velocity: int | None = None,
    acceleration: int | None = None,
    deceleration: int | None = None,
    immediate: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
    tolerance: int | None = None,
    watch: Watch | None = None,
) -> Plan[int]:
    """Go to a position, or by a distance (``relative``, as 60F2h says from where). Gives the position at the end.

    ``immediate``: instead of what is under way, not after it. ``wait`` False: done when the drive has taken the
    set-point. ``timeout_s`` None: as long as the shaft moves. ``tolerance`` None: the position window 6067h.
    Raise OutsideLimits, NotEnabled, DriveFault, ModeRefused, FollowingErrorTooLarge, LimitReached, MotionFailed,
    MotionTimeout, SdoError.
    """
    point = SetPoint(target, relative, velocity, acceleration, deceleration)
    chain = (point,)
    goal = yield from safely(link, _check(link, chain, tolerance), leave=REFUSED)
    bits = IMMEDIATELY if immediate else 0
    return (yield from safely(link, _go(link, chain, goal, bits, wait, timeout_s, watch)))


def move_through(
    link: DriveLink,
    targets: Sequence[int | SetPoint],
    *,
    velocity: int | None = None,
    acceleration: int | None = None,
    deceleration: int | None = None,
    without_stop: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
    tolerance: int | None = None,
    watch: Watch | None = None,
) -> Plan[int]:
    """Go to one position after the other. Gives the last. Each set-point is handed over as soon as the drive takes it.

    ``without_stop``: through the targets on the way instead of resting there (bit 9, change on set-point). ``wait``
    False: done when the drive has taken the last one. All targets are checked first. Raise as `move`.
    """
    chain = tuple(
        target if isinstance(target, SetPoint) else SetPoint(target, False, velocity, acceleration, deceleration)
        for target in targets
    )
    if not chain:
        return (yield from safely(link, link.read(POSITION), leave=REFUSED))
    goal = yield from safely(link, _check(link, chain, tolerance), leave=REFUSED)
    bits = ON_SET_POINT if without_stop else 0
    return (yield from safely(link, _go(link, chain, goal, bits, wait, timeout_s, watch)))


# --- before ----------------------------------------------------------------------------------------------------------


def _check(link: DriveLink, chain: tuple[SetPoint, ...], tolerance: int | None) -> Plan[Goal]:
    """Nothing of the chain may lead out of the limits. Gives where it ends."""
    yield from ready(link, _name(chain))
    for point in chain:
        yield from check_profile(link, point.velocity, point.acceleration, point.deceleration, _PROFILE)
    under_way = yield from _under_way(link)
    return (yield from _goal(link, chain, tolerance, under_way))


def _goal(link: DriveLink, chain: tuple[SetPoint, ...], tolerance: int | None, under_way: bool) -> Plan[Goal]:
    """Where it ends. Raise OutsideLimits for any target of the chain."""
    here = there = 0
    if any(point.relative for point in chain):
        here = there = yield from _base(link, under_way)
    travel = 0
    for point in chain:
        here, there = there, there + point.target if point.relative else point.target
        yield from check_position(link, there)
        travel = abs(there - here)
    window = (yield from device_limits(link)).position_window
    if tolerance is None:
        tolerance = travel // 100 if window is None else window
    return Goal(there, max(tolerance, FLICKER))


def _under_way(link: DriveLink) -> Plan[bool]:
    """Is a set-point being carried out?"""
    if (yield from link.read_if_there(MODE_DISPLAY)) != Mode.PP or (yield from link.status()) & REACHED:
        return False
    return (yield from is_still(link)) is False


def _base(link: DriveLink, under_way: bool) -> Plan[int]:
    """What a relative target counts from (60F2h bits 0 and 1)."""
    option = ((yield from link.read_if_there(POSITIONING_OPTION)) or 0) & 3
    if option == _LAST_TARGET and under_way:  # the target that it goes to is what counts
        return (yield from link.read(TARGET_POSITION))
    demand = None if option == _ACTUAL else (yield from link.read_if_there(POSITION_DEMAND))
    return demand if demand is not None else (yield from link.read(POSITION))


def _name(chain: tuple[SetPoint, ...]) -> str:
    if len(chain) > 1:
        return f"a move through {len(chain)} positions to {chain[-1]}"
    return f"a move {'by' if chain[0].relative else 'to'} {chain[0].target}"


# --- under way -------------------------------------------------------------------------------------------------------


def _go(
    link: DriveLink,
    chain: tuple[SetPoint, ...],
    goal: Goal,
    bits: int,
    wait: bool,
    timeout_s: float | None,
    watch: Watch | None,
) -> Plan[int]:
    if (yield from enter_mode(link, Mode.PP)) and any(point.relative for point in chain):
        goal = yield from _goal(link, chain, goal.tolerance, False)  # it came to rest somewhere else
    course = Course(link, _name(chain), goal, timeout_s, watch)
    for point in chain:
        yield from _hand_over(link, course, point, bits | (RELATIVE if point.relative else 0))
    if wait:
        yield from course.until_free()
        return (yield from course.arrive(chain[-1]))
    return (yield from link.read(POSITION))


def _hand_over(link: DriveLink, course: Course, point: SetPoint, bits: int) -> Plan[None]:
    """The handshake. The target is written only when the drive has taken the one before."""
    if link.controlword & NEW_SET_POINT:
        yield from link.change(clear_bits=NEW_SET_POINT, during=course.what)
    yield from course.until_free()
    for index, value in zip(_PROFILE, (point.velocity, point.acceleration, point.deceleration), strict=True):
        if value is not None:
            yield from link.write(index, value)
    yield from link.write(TARGET_POSITION, point.target)
    yield from link.change(set_bits=NEW_SET_POINT | bits, clear_bits=MODE_BITS, during=course.what)
    if not (yield from bit_12(link, True, course.what, course.watch)):
        reason = f"the drive did not acknowledge the set-point {point} (bit 12) within {link.timing.state_s:g} s"
        raise MotionFailed(link.node_id, course.what, reason)
    yield from link.change(clear_bits=NEW_SET_POINT, during=course.what)


class Course:
    """A motion under way, and what may become of it."""

    def __init__(self, link: DriveLink, what: str, goal: Goal, timeout_s: float | None, watch: Watch | None) -> None:
        self.what = what
        self.watch = watch
        self._link = link
        self._goal = goal
        self._patience = Patience(link, what, timeout_s)
        self._position: int | None = None
        self._anchor = 0
        self._seen_at = float("-inf")

    def look(self) -> Plan[int]:
        """One look. Raise what the drive, the time or the way says against the motion."""
        link = self._link
        word = yield from look(link, self.what, self.watch)
        if word & BIT_13:
            raise FollowingErrorTooLarge(link.node_id, self.what, "the drive reports a following error (bit 13)")
        yield from self._patience.tick()
        now = yield Now()
        if self._position is None or word & REACHED or now - self._seen_at >= _POSITION_S:
            yield from self._see(word, now)
        if self._patience.doubtful():
            yield from self._doubt()
        if (error := self._patience.exhausted()) is not None:
            raise self._better(error, word)
        return word

    def _see(self, word: int, now: float) -> Plan[None]:
        """Where is it, and does it move?"""
        position = yield from self._link.read(POSITION)
        if self._position is None:
            self._anchor = position
        elif abs(position - self._anchor) > FLICKER:
            self._anchor = position
            self._patience.progress()
        self._position = position
        self._seen_at = now
        yield from check_limits(self._link, self.what, word, self._goal.direction(position))

    def _doubt(self) -> Plan[None]:
        """It stands still, and not where it should: is that somebody's doing?"""
        link, position = self._link, self._position
        if position is None or self._goal.has(position):
            return
        yield from foreign_halt(link, self.what)
        if (switch := (yield from limit_switch(link, self._goal.direction(position)))) is not None:
            raise LimitReached(link.node_id, self.what, switch)

    def _better(self, error: MotionTimeout, word: int) -> MotionFailed:
        """What is known of the reason why the time is over."""
        position, goal = self._position, self._goal
        where = f"; it is at {position}, and should be at {goal.target}"
        if position is None or goal.has(position):
            where = ""
        if word & BIT_12:
            where += "; the drive keeps bit 12 set, so it takes no new set-point"
        node_id = self._link.node_id
        if not where or word & BIT_12 or self._patience.idle_s < _STANDING_S:
            return MotionTimeout(node_id, self.what, error.reason + where)
        if word & LIMIT:
            return LimitReached(node_id, self.what, f"it stands still at an internal limit (bit 11){where}")
        if word & REACHED:
            return MotionFailed(node_id, self.what, f"the drive says target reached (bit 10) elsewhere{where}")
        return MotionTimeout(node_id, self.what, error.reason + where)

    def until_free(self) -> Plan[None]:
        """Until the drive can take a set-point: with one waiting already, that is when the motion before it ends."""
        while (yield from self.look()) & BIT_12:
            yield Sleep(self._link.timing.poll_s)

    def arrive(self, last: SetPoint) -> Plan[int]:
        """Until the drive says target reached and is there: bit 10 alone may be left over, or mean a halt."""
        while True:
            word = yield from self.look()
            if word & REACHED and not self._patience.halted:
                position = yield from self._link.read(POSITION)
                if self._goal.has(position):
                    return position
            yield Sleep(self._link.timing.poll_s)
