"""Homing: what the methods of 6098h do, and how the statusword shows the result (mode 6 only)."""

from __future__ import annotations

from enum import Enum

from opendiag.dictionary.tables.cia402 import HOMING_METHODS

_TARGET_REACHED, _ATTAINED, _ERROR = 1 << 10, 1 << 12, 1 << 13


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
