"""Homing: what the methods of 6098h do, and how the statusword shows the result (mode 6 only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from opendiag.dictionary.tables.cia402 import HOMING_METHODS

_TARGET_REACHED, _ATTAINED, _ERROR = 1 << 10, 1 << 12, 1 << 13


#: They take the position as it is, without moving; 35 is the old number of 37.
HERE = (35, 37)


@dataclass(frozen=True, slots=True)
class HomingMethod:
    """``sentence`` says what the axis does; the others what has to be there for it."""

    number: int
    sentence: str
    negative_limit: bool = False
    positive_limit: bool = False
    home_switch: bool = False
    index_pulse: bool = False

    @property
    def moves(self) -> bool:
        return self.number not in HERE


#: Methods 17..30 without their last step; 16 less is the same, and on to an index pulse.
_SEARCHES = {
    17: "goes in negative direction to the negative limit switch and back until the switch lets go",
    18: "goes in positive direction to the positive limit switch and back until the switch lets go",
    19: "passes the edge of the positive home switch in negative direction, coming from inside the switch",
    20: "passes the edge of the positive home switch in positive direction, coming from outside the switch",
    21: "passes the edge of the negative home switch in positive direction, coming from inside the switch",
    22: "passes the edge of the negative home switch in negative direction, coming from outside the switch",
    23: "starts in positive direction and leaves the home switch over its lower edge, in negative direction",
    24: "starts in positive direction and enters the home switch over its lower edge, in positive direction",
    25: "starts in positive direction and enters the home switch over its upper edge, in negative direction",
    26: "starts in positive direction and leaves the home switch over its upper edge, in positive direction",
    27: "starts in negative direction and leaves the home switch over its upper edge, in positive direction",
    28: "starts in negative direction and enters the home switch over its upper edge, in negative direction",
    29: "starts in negative direction and enters the home switch over its lower edge, in positive direction",
    30: "starts in negative direction and leaves the home switch over its lower edge, in negative direction",
}
_TURNS_POSITIVE, _TURNS_NEGATIVE = (17, *range(27, 31)), (18, *range(23, 27))
_WITH_INDEX = 16


def _at_switch(number: int) -> HomingMethod:
    with_index = number <= _WITH_INDEX
    plain = number + _WITH_INDEX if with_index else number
    end = ", and takes the next index pulse as home" if with_index else "; home is there"
    return HomingMethod(
        number,
        f"It {_SEARCHES[plain]}{end}.",
        negative_limit=plain in _TURNS_POSITIVE,
        positive_limit=plain in _TURNS_NEGATIVE,
        home_switch=plain not in (17, 18),
        index_pulse=with_index,
    )


#: The methods that CiA 402 describes. 15, 16, 31, 32 and 36 are reserved, 0 is none, and negative ones are the maker's.
METHODS: Mapping[int, HomingMethod] = {
    **{number: _at_switch(number) for number in (*range(1, 15), *range(17, 31))},
    33: HomingMethod(33, "It goes in negative direction to the next index pulse; home is there.", index_pulse=True),
    34: HomingMethod(34, "It goes in positive direction to the next index pulse; home is there.", index_pulse=True),
    35: HomingMethod(35, "It does not move: home is where it stands (obsolete, now 37)."),
    37: HomingMethod(37, "It does not move: home is where it stands."),
}
#: Those of makers, by vendor-ID. What a StepIM does for -1..-4 is assumed from the names of its objects.
MAKERS_METHODS: Mapping[int, Mapping[int, HomingMethod]] = {
    0x2E1: {
        -1: HomingMethod(-1, "It pushes in negative direction against the hard stop; home is there."),
        -2: HomingMethod(-2, "It pushes in positive direction against the hard stop; home is there."),
        -3: HomingMethod(
            -3, "It pushes in negative direction against the hard stop and takes the next index pulse as home."
        ),
        -4: HomingMethod(
            -4, "It pushes in positive direction against the hard stop and takes the next index pulse as home."
        ),
    },
}


def is_known(method: int) -> bool:
    """One of the standard's, or one of the manufacturer's; 0 is no homing."""
    return method in METHODS or -128 <= method < 0


def homing_method(method: int, vendor_id: int | None = None) -> HomingMethod:
    """What is known of a method, be it the maker's. One that is reserved has a sentence that says so."""
    found = METHODS.get(method) or MAKERS_METHODS.get(vendor_id or 0, {}).get(method)
    text = method_text(method)
    return found or HomingMethod(method, f"{text[0].upper()}{text[1:]}: what it does is for the drive's manual to say.")


def method_text(method: int) -> str:
    """What a homing method looks for; negative ones are the manufacturer's (often a hard stop)."""
    if method < 0:
        return "manufacturer specific homing method"
    return HOMING_METHODS.get(method, "reserved homing method")


class HomingResult(Enum):
    """Bits 13, 12 and 10 of the statusword while 6061h is 6. The value is the text for people."""

    RUNNING = "homing in progress"
    NOT_STARTED = "homing interrupted or not started"
    ATTAINED_MOVING = "homing attained, target not reached yet"
    DONE = "homing done"
    ERROR_MOVING = "homing error, still moving"
    ERROR_STOPPED = "homing error, standing still"

    @property
    def failed(self) -> bool:
        return self in (HomingResult.ERROR_MOVING, HomingResult.ERROR_STOPPED)


_RESULTS = {
    0: HomingResult.RUNNING,
    _TARGET_REACHED: HomingResult.NOT_STARTED,
    _ATTAINED: HomingResult.ATTAINED_MOVING,
    _ATTAINED | _TARGET_REACHED: HomingResult.DONE,
    _ERROR: HomingResult.ERROR_MOVING,
    _ERROR | _TARGET_REACHED: HomingResult.ERROR_STOPPED,
}


def homing_result(statusword: int) -> HomingResult | None:
    """None where error and attained are both set, which means nothing."""
    return _RESULTS.get(statusword & (_ERROR | _ATTAINED | _TARGET_REACHED))
