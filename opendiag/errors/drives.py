"""Errors of drives: what a drive did not do, and what was done about it."""

from __future__ import annotations

from opendiag.errors.base import OpenDiagError
from opendiag.findings import Finding


class DriveError(OpenDiagError):
    """Something about a drive. ``why`` is what the drive itself tells of the reason, the likeliest cause first.

    ``at_rest`` says what became of the drive after the failure: True: it is disabled, and has said so; False: it could
    not be made sure; None: nothing was done, as it was not energised by this call.
    """

    def __init__(self, node_id: int, *details: object) -> None:
        super().__init__(node_id, *details)
        self.node_id = node_id
        self.why: tuple[Finding, ...] = ()
        self.at_rest: bool | None = None

    @property
    def summary(self) -> str:
        """What happened, without why."""
        return "failed"

    def __str__(self) -> str:
        parts = [f"drive {self.node_id}: {self.summary}", *(finding.sentence.rstrip(".") for finding in self.why[:1])]
        if self.at_rest is False:
            parts.append("IT COULD NOT BE MADE SURE THAT THE DRIVE IS AT REST: use the emergency stop")
        elif self.at_rest:
            parts.append("the drive is at rest and disabled")
        return ". ".join(parts)


class UnknownTarget(DriveError, ValueError):
    """``asked`` is none of ``known``. Nothing was sent."""

    def __init__(self, node_id: int, what: str, asked: str, known: tuple[str, ...]) -> None:
        super().__init__(node_id, what, asked, known)
        self.what = what
        self.asked = asked
        self.known = known

    @property
    def summary(self) -> str:
        return f"no {self.what} {self.asked!r}: expected one of {', '.join(self.known)}; nothing was sent"


class StateNotReached(DriveError, TimeoutError):
    """``wanted`` and ``state`` are names of PDS states; ``statusword`` is the last one that was read, None for none."""

    def __init__(self, node_id: int, wanted: str, state: str, statusword: int | None, waited_s: float) -> None:
        super().__init__(node_id, wanted, state, statusword, waited_s)
        self.wanted = wanted
        self.state = state
        self.statusword = statusword
        self.waited_s = waited_s

    @property
    def summary(self) -> str:
        word = "" if self.statusword is None else f" (statusword {self.statusword:04X}h)"
        return f"{self.wanted} was not reached within {self.waited_s:g} s: it is in {self.state}{word}"


class DriveFault(DriveError):
    """The drive is in a fault. ``code`` is that of 603Fh, None where it could not be read; ``text`` what it means."""

    def __init__(self, node_id: int, code: int | None, text: str, during: str = "") -> None:
        super().__init__(node_id, code, text, during)
        self.code = code
        self.text = text
        self.during = during

    @property
    def summary(self) -> str:
        code = "unknown error" if self.code is None else f"error {self.code:04X}h"
        during = f" while {self.during}" if self.during else ""
        return f"fault{during}: {code}{': ' if self.text else ''}{self.text}"


class NotEnabled(DriveError, RuntimeError):
    """A motion needs OPERATION ENABLED, and the drive is in ``state``. Nothing moves."""

    def __init__(self, node_id: int, state: str, during: str = "") -> None:
        super().__init__(node_id, state, during)
        self.state = state
        self.during = during

    @property
    def summary(self) -> str:
        if self.during:
            return f"it left OPERATION ENABLED while {self.during}: it is in {self.state}"
        return f"it is not enabled but in {self.state}: enable() comes first"


class DriveClosed(DriveError, RuntimeError):
    """The block of the drive was left, or it was closed: nobody would bring it to rest any more. Nothing was sent."""

    @property
    def summary(self) -> str:
        return "it was closed, so that nothing would bring it to rest: make another one; nothing was sent"


class NotPermitted(DriveError, RuntimeError):
    """A controlword that would energise the drive, where nobody asked for that, or a stop came. It was not sent."""

    def __init__(
        self, node_id: int, controlword: int, reason: str = "it would energise the drive, and nobody asked for that"
    ) -> None:
        super().__init__(node_id, controlword, reason)
        self.controlword = controlword
        self.reason = reason

    @property
    def summary(self) -> str:
        return f"controlword {self.controlword:04X}h was not sent: {self.reason}"


class ModeRefused(DriveError):
    """``mode`` is the one asked for, ``shown`` what 6061h shows, None where the drive refused the write itself."""

    def __init__(self, node_id: int, mode: str, shown: str | None, reason: str) -> None:
        super().__init__(node_id, mode, shown, reason)
        self.mode = mode
        self.shown = shown
        self.reason = reason

    @property
    def summary(self) -> str:
        shown = "" if self.shown is None else f"; 6061:00 shows {self.shown}"
        return f"mode {self.mode} is refused: {self.reason}{shown}"


class OutsideLimits(DriveError, ValueError):
    """A value outside of what the script, the drive's objects or its dictionary allow. Nothing was sent."""

    def __init__(self, node_id: int, what: str, value: str, allowed: str, whose: str) -> None:
        super().__init__(node_id, what, value, allowed, whose)
        self.what = what
        self.value = value
        self.allowed = allowed
        self.whose = whose

    @property
    def summary(self) -> str:
        return f"{self.what} {self.value} is outside {self.allowed}, {self.whose}; nothing was sent"


class MotionFailed(DriveError):
    """``what`` was under way; ``reason`` says how it ended."""

    def __init__(self, node_id: int, what: str, reason: str) -> None:
        super().__init__(node_id, what, reason)
        self.what = what
        self.reason = reason

    @property
    def summary(self) -> str:
        return f"{self.what} failed: {self.reason}"


class FollowingErrorTooLarge(MotionFailed):
    """The position does not follow its demand."""


class HomingFailed(MotionFailed):
    """The drive reports a homing error, or interrupted the homing."""


class LimitReached(MotionFailed):
    """A limit switch, or an internal limit of the drive, stopped the motion; or a limit that the script set."""


class MotionTimeout(MotionFailed, TimeoutError):
    """The motion did not come to its end in time."""


class NotAtRest(DriveError):
    """The drive did not confirm that it is at rest and disabled; ``tried`` is what was done about it."""

    def __init__(self, node_id: int, tried: str) -> None:
        super().__init__(node_id, tried)
        self.tried = tried
        self.at_rest = False

    @property
    def summary(self) -> str:
        return f"it did not confirm that it is at rest: {self.tried}"


class BroughtToRest(DriveError):
    """The drive was stopped and disabled while the script did something else; told at its next call.

    ``cause`` says why: the script did not call in time, the drive fell silent or restarted, another drive that belongs
    to it failed, the adapter is gone.
    """

    def __init__(self, node_id: int, cause: str) -> None:
        super().__init__(node_id, cause)
        self.cause = cause

    @property
    def summary(self) -> str:
        return f"it was to be brought to rest: {self.cause}"
