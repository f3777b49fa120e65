"""What all motions have in common: checks before, looks meanwhile, and a drive at rest when something goes wrong.

A motion is a plan in two parts. The first only reads and compares: what it refuses leaves the drive as it is. The
second moves: whatever goes wrong there, an error, a cancelled plan, Ctrl-C, brings the drive to rest before it is
raised, and the error's ``at_rest`` says how that went.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.mode_change import set_mode
from opendiag.cia402.modes import Mode
from opendiag.cia402.objects import (
    CONTROLWORD,
    DIGITAL_INPUTS,
    MODE_DISPLAY,
    POSITION,
    POSITION_DEMAND,
    TARGET_POSITION,
)
from opendiag.cia402.power import is_still, neutralise, rest_after
from opendiag.errors import (
    DriveFault,
    FollowingErrorTooLarge,
    LimitReached,
    MotionFailed,
    MotionTimeout,
    NotEnabled,
    OutsideLimits,
    UnknownTarget,
)
from opendiag.services.plans import Now, Plan, Sleep

T = TypeVar("T")
#: Called with the link at every look at the statusword. What it raises ends the motion like any other failure.
Watch = Callable[[DriveLink], Plan[object]]

NEW_SET_POINT, IMMEDIATELY, RELATIVE, ON_SET_POINT = 0x10, 0x20, 0x40, 0x200
#: Bits of the controlword whose meaning depends on the mode.
MODE_BITS = NEW_SET_POINT | IMMEDIATELY | RELATIVE | ON_SET_POINT
REACHED, LIMIT, BIT_12, BIT_13 = 1 << 10, 1 << 11, 1 << 12, 1 << 13
_FOLLOWING_ERROR = 0x8611
_NEGATIVE_LIMIT, _POSITIVE_LIMIT = 1, 2
#: Counts by which a position may flicker, and a drive that stands still may seem to move.
FLICKER = 2
#: Seconds without progress after which its reason is looked for.
_DOUBT_S = 0.1
_HALTED = "halt is set (controlword bit 8): clear it, and what it holds goes on, or disable the drive; nothing was sent"
#: What the checks of a motion raise; nothing has been sent by then.
REFUSED = (OutsideLimits, UnknownTarget, NotEnabled, DriveFault, MotionFailed)


def safely(link: DriveLink, plan: Plan[T], leave: tuple[type[BaseException], ...] = ()) -> Plan[T]:
    """Run a plan; when it does not come to its end, bring the drive to rest, but for the errors to ``leave``.

    Raise what the plan raises; NotAtRest in place of an error that cannot say that the drive is not at rest.
    """
    try:
        return (yield from plan)
    except GeneratorExit:
        link.revoke()
        raise
    except leave:
        raise
    except BaseException as error:
        yield from rest_after(link, error)
        raise


def ready(link: DriveLink, what: str) -> Plan[None]:
    """Only an enabled drive without halt can move. Raise NotEnabled, DriveFault, MotionFailed."""
    yield from link.check_enabled()
    if link.controlword & HALT:
        raise MotionFailed(link.node_id, what, _HALTED)


def look(link: DriveLink, during: str, watch: Watch | None = None) -> Plan[int]:
    """The statusword of a drive that is still enabled.

    Raise NotEnabled, DriveFault, FollowingErrorTooLarge where that is what the fault is about, SdoError.
    """
    try:
        word = yield from link.check_enabled(during)
    except DriveFault as fault:
        if fault.code == _FOLLOWING_ERROR:
            raise FollowingErrorTooLarge(link.node_id, during, fault.summary) from fault
        raise
    if watch is not None:
        yield from watch(link)
    return word


def limit_switch(link: DriveLink, direction: int) -> Plan[str | None]:
    """The limit switch that stands in this direction's way, by 60FDh; None for none, and for a drive without it."""
    inputs = (yield from link.read_if_there(DIGITAL_INPUTS)) or 0
    if inputs & _POSITIVE_LIMIT and direction > 0:
        return "the positive limit switch is active (60FDh bit 1)"
    if inputs & _NEGATIVE_LIMIT and direction < 0:
        return "the negative limit switch is active (60FDh bit 0)"
    return None


def check_limits(link: DriveLink, what: str, word: int, direction: int) -> Plan[None]:
    """Bit 11 may also mean a current limit, which is nothing unusual: a switch in the way is. Raise LimitReached."""
    if word & LIMIT and (switch := (yield from limit_switch(link, direction))) is not None:
        raise LimitReached(link.node_id, what, switch)


def foreign_halt(link: DriveLink, what: str) -> Plan[None]:
    """Raise MotionFailed when halt is set in the drive's controlword and not in ours."""
    word = yield from link.read_if_there(CONTROLWORD)
    if word is not None and word & HALT and not link.controlword & HALT:
        raise MotionFailed(link.node_id, what, f"somebody else has set halt: 6040:00 is {word:04X}h")


class Patience:
    """How long something may take. Time in which our own halt is set does not count.

    ``timeout_s`` None: as long as `progress` is told at least every ``stall_s``. ``spent`` and ``idle_s`` are the
    seconds since the first `tick`, and since the last progress.
    """

    def __init__(self, link: DriveLink, what: str, timeout_s: float | None, stall_s: float = 2.0) -> None:
        self._link = link
        self._what = what
        self._timeout_s = timeout_s
        self.stall_s = stall_s
        self.spent = 0.0
        self._last: float | None = None
        self._doubt_at = _DOUBT_S
        self.idle_s = 0.0

    @property
    def halted(self) -> bool:
        return bool(self._link.controlword & HALT)

    def tick(self) -> Plan[None]:
        """Count the time since the last call."""
        now = yield Now()
        if self._last is not None and not self.halted:
            self.spent += now - self._last
            self.idle_s += now - self._last
        self._last = now

    def progress(self) -> None:
        """Something moves."""
        self.idle_s = 0.0
        self._doubt_at = _DOUBT_S

    def doubtful(self) -> bool:
        """Nothing has moved for a while: is that somebody's doing? Seldom True, as finding that out takes time."""
        if self.halted or self.idle_s < self._doubt_at:
            return False
        self._doubt_at = 2 * self.idle_s + _DOUBT_S
        return True

    def exhausted(self) -> MotionTimeout | None:
        """The error to raise, once it is over."""
        if self._timeout_s is not None and self.spent >= self._timeout_s:
            return MotionTimeout(self._link.node_id, self._what, f"it did not end within {self._timeout_s:g} s")
        if self._timeout_s is None and self.idle_s >= self.stall_s:
            return MotionTimeout(self._link.node_id, self._what, f"nothing has moved for {self.stall_s:g} s")
        return None

    def check(self) -> Plan[None]:
        """`tick`, and raise MotionTimeout."""
        yield from self.tick()
        if (error := self.exhausted()) is not None:
            raise error


# --- modes and stopping ----------------------------------------------------------------------------------------------


def enter_mode(link: DriveLink, mode: int) -> Plan[bool]:
    """Change the mode of an enabled drive; one that moves is stopped first. False: it was in it already.

    Raise ModeRefused, MotionTimeout, SdoError.
    """
    shown = yield from link.read_if_there(MODE_DISPLAY)
    if shown == mode:
        return False
    if (yield from is_still(link)) is False:
        yield from come_to_rest(link, shown)
    yield from set_mode(link, mode)
    leftover = link.controlword & (HALT | MODE_BITS)
    if leftover:
        yield from link.change(clear_bits=leftover, during="its mode was changed")
    return True


def stop(link: DriveLink, timeout_s: float | None = None, watch: Watch | None = None) -> Plan[int]:
    """Come to a standstill as 605Dh says and stay there, enabled; gives the position. What was under way is forgotten.

    Raise NotEnabled, DriveFault, MotionTimeout, SdoError; the drive is at rest then.
    """
    with link.in_a_hurry():
        yield from safely(link, link.check_enabled(), leave=REFUSED)
        return (yield from safely(link, _stop(link, timeout_s, watch)))


def _stop(link: DriveLink, timeout_s: float | None, watch: Watch | None) -> Plan[int]:
    mode = yield from link.read_if_there(MODE_DISPLAY)
    yield from come_to_rest(link, mode, timeout_s, watch)
    return (yield from link.read(POSITION))


def come_to_rest(
    link: DriveLink, mode: int | None, timeout_s: float | None = None, watch: Watch | None = None
) -> Plan[None]:
    """Halt, standstill, forget the set-point, and clear halt where that moves nothing."""
    what = "a stop"
    yield from link.change(set_bits=HALT, during="it was to stop")
    began = yield Now()
    limit = link.timing.stop_s if timeout_s is None else timeout_s
    while (yield from is_still(link)) is False:
        yield from look(link, what, watch)
        if (yield Now()) - began >= limit:
            raise MotionTimeout(link.node_id, what, f"it still moved {limit:g} s after halt was set")
        yield Sleep(link.timing.poll_s)
    yield from neutralise(link, mode or 0)
    if mode == Mode.PP and not (yield from _forget_set_point(link)):
        return  # without halt it would go on to its old target
    yield from link.change(clear_bits=HALT | MODE_BITS, during=what)


def _forget_set_point(link: DriveLink) -> Plan[bool]:
    """Replace the target of a halted drive by where it stands. False when it does not take it."""
    here = yield from link.read_if_there(POSITION_DEMAND)
    if here is None:
        here = yield from link.read(POSITION)
    yield from link.change(clear_bits=MODE_BITS, during="a stop")
    if not (yield from bit_12(link, False, "a stop")):
        return False
    yield from link.write(TARGET_POSITION, here)
    yield from link.change(set_bits=NEW_SET_POINT | IMMEDIATELY, during="a stop")
    taken = yield from bit_12(link, True, "a stop")
    yield from link.change(clear_bits=MODE_BITS, during="a stop")
    return taken


def bit_12(link: DriveLink, wanted: bool, during: str, watch: Watch | None = None) -> Plan[bool]:
    """Poll until bit 12 of the statusword is set or clear; False when ``timing.state_s`` have passed first."""
    began = yield Now()
    while bool((yield from look(link, during, watch)) & BIT_12) is not wanted:
        if (yield Now()) - began >= link.timing.state_s:
            return False
        yield Sleep(link.timing.poll_s)
    return True
