"""Homing: start it with bit 4, and believe only what the statusword says after that."""

from __future__ import annotations

from opendiag.cia402.device_limits import check, device_limits, fits
from opendiag.cia402.homing import HERE, HomingResult, homing_result, is_known, method_text
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.motion import (
    BIT_12,
    BIT_13,
    MODE_BITS,
    NEW_SET_POINT,
    REACHED,
    REFUSED,
    Patience,
    Watch,
    enter_mode,
    foreign_halt,
    look,
    ready,
    safely,
)
from opendiag.cia402.objects import (
    HOME_OFFSET,
    HOMING_ACCELERATION,
    HOMING_METHOD,
    HOMING_SPEEDS,
    POSITION,
    SUPPORTED_HOMING,
)
from opendiag.cia402.power import is_still
from opendiag.errors import HomingFailed, MotionTimeout, UnknownTarget
from opendiag.services.plans import Plan, Sleep

_RESULT = BIT_13 | BIT_12 | REACHED
#: Counts by which the position may miss the offset after a homing on the spot.
_FLICKER = 4
#: So long after 6061h, bits 10, 12 and 13 may still be those of the mode before: a result that comes up late, and is of
#: an earlier homing, must not be taken for that of this one.
_MODE_BITS_S = 0.02


def home(
    link: DriveLink,
    method: int | None = None,
    offset: int | None = None,
    speeds: tuple[int, int] | None = None,
    acceleration: int | None = None,
    timeout_s: float = 60.0,
    *,
    watch: Watch | None = None,
) -> Plan[int]:
    """Find the home position. Gives the position afterwards. What is None stays as the device has it.

    ``offset`` is written to 607Ch: by most drives it is the position that home gets, by others that position is
    ``-offset`` (zero = home + offset, as older editions of CiA 402 draw it); what comes back is what the drive shows.
    ``speeds`` are those to search the switch and the zero (6099h).
    Raise UnknownTarget for a method that the drive does not list, OutsideLimits, NotEnabled, DriveFault, ModeRefused,
    HomingFailed, MotionTimeout, SdoError.
    """
    method = yield from safely(link, _check(link, method, offset, speeds, acceleration), leave=REFUSED)
    return (yield from safely(link, _home(link, method, offset, speeds, acceleration, timeout_s, watch)))


def supported_methods(link: DriveLink) -> Plan[tuple[int, ...] | None]:
    """60E3h; None for a drive that does not say."""
    count = yield from link.read_if_there(SUPPORTED_HOMING)
    if not count:
        return None
    found = []
    for subindex in range(1, count + 1):
        method = yield from link.read_if_there(SUPPORTED_HOMING, subindex)
        found += [] if method is None else [method]
    return tuple(found) or None


def _check(
    link: DriveLink,
    method: int | None,
    offset: int | None,
    speeds: tuple[int, int] | None,
    acceleration: int | None,
) -> Plan[int]:
    yield from ready(link, "homing")
    if method is None:
        method = yield from link.read(HOMING_METHOD)
    fits(link, "homing method", method, HOMING_METHOD)
    listed = yield from supported_methods(link)
    if not is_known(method) or (listed is not None and method not in listed):
        known = (
            tuple(map(str, listed)) if listed else ("1..14", "17..30", "33..35", "37", "the manufacturer's -1..-128")
        )
        raise UnknownTarget(link.node_id, "homing method", str(method), known)
    if offset is not None:
        fits(link, "home offset", offset, HOME_OFFSET)
    limits = yield from device_limits(link)
    for subindex, speed in enumerate(speeds or (), start=1):
        check(link, "homing speed", speed, limits.velocity)
        fits(link, "homing speed", speed, HOMING_SPEEDS, subindex)
    if acceleration is not None:
        fits(link, "homing acceleration", acceleration, HOMING_ACCELERATION)
    return method


def _home(
    link: DriveLink,
    method: int,
    offset: int | None,
    speeds: tuple[int, int] | None,
    acceleration: int | None,
    timeout_s: float,
    watch: Watch | None,
) -> Plan[int]:
    what = f"homing by method {method} ({method_text(method)})"
    if (yield from enter_mode(link, Mode.HM)):
        yield Sleep(_MODE_BITS_S)
    if link.controlword & MODE_BITS:
        yield from link.change(clear_bits=MODE_BITS, during=what)
    yield from link.write(HOMING_METHOD, method)
    values = ((HOME_OFFSET, 0, offset), (HOMING_ACCELERATION, 0, acceleration))
    for index, subindex, value in (*values, *((HOMING_SPEEDS, n, s) for n, s in enumerate(speeds or (), start=1))):
        if value is not None:
            yield from link.write(index, value, subindex)
    before = (yield from look(link, what, watch)) & _RESULT
    yield from link.change(set_bits=NEW_SET_POINT, during=what)
    patience = Patience(link, what, timeout_s)
    yield from _begin(link, what, method, before, patience, watch)
    yield from _follow(link, what, patience, watch)
    yield from link.change(clear_bits=NEW_SET_POINT, during=what)
    return (yield from link.read(POSITION))


def _begin(link: DriveLink, what: str, method: int, before: int, patience: Patience, watch: Watch | None) -> Plan[None]:
    """Until the result shown is one of this homing: what an earlier one left behind has to go first."""
    began, changed = patience.spent, False
    while True:
        word = yield from look(link, what, watch)
        yield from patience.check()
        result = homing_result(word)
        changed = changed or word & _RESULT != before
        if result is HomingResult.RUNNING or (changed and result is not HomingResult.NOT_STARTED):
            return
        if patience.spent - began >= link.timing.state_s:
            if result is HomingResult.DONE and method in HERE and (yield from _is_home(link)):
                return  # on the spot there may be nothing to be seen between two looks
            yield from foreign_halt(link, what)
            shown = "a result without meaning" if result is None else result.value
            kept = "" if result is HomingResult.NOT_STARTED else ", left behind by an earlier homing"
            reason = f"it did not begin within {link.timing.state_s:g} s of bit 4; the drive shows: {shown}{kept}"
            raise HomingFailed(link.node_id, what, reason)
        yield Sleep(link.timing.poll_s)


def _is_home(link: DriveLink) -> Plan[bool]:
    offset = (yield from link.read_if_there(HOME_OFFSET)) or 0
    position = yield from link.read(POSITION)
    return min(abs(position - offset), abs(position + offset)) <= _FLICKER  # drives differ in its sign


def _follow(link: DriveLink, what: str, patience: Patience, watch: Watch | None) -> Plan[None]:
    """Until it is done. Bits 13, 12 and 10 say how it goes; without bit 10 the shaft may still move."""
    while True:
        word = yield from look(link, what, watch)
        result = homing_result(word)
        if word & BIT_13:
            shown = "homing error and homing attained at once" if result is None else result.value
            raise HomingFailed(link.node_id, what, f"the drive reports: {shown} (bit 13)")
        if result is HomingResult.DONE:
            return
        if (
            result is HomingResult.ATTAINED_MOVING
            and link.quirks.homing_without_reached
            and (yield from is_still(link)) is not False
        ):
            return
        if result is HomingResult.NOT_STARTED and not patience.halted:
            yield from foreign_halt(link, what)
            raise HomingFailed(link.node_id, what, "the drive interrupted it (bit 10 without bit 12)")
        yield from patience.tick()
        if (error := patience.exhausted()) is not None:
            moving = result is HomingResult.ATTAINED_MOVING
            hint = "; bit 12 came, and bit 10 did not: the quirk homing_without_reached is for that" if moving else ""
            raise MotionTimeout(link.node_id, what, error.reason + hint)
        yield Sleep(link.timing.poll_s)
