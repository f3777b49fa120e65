"""Errors about how something was called or waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opendiag.errors.base import OpenDiagError


class NotDone(OpenDiagError, TimeoutError):
    """What was waited for ``waited_s`` goes on, and may be waited for again.

    ``event`` is what did not come, and whose, as in "BootedUp of node 5"; "" where something is not done yet.
    """

    def __init__(self, waited_s: float, event: str = "") -> None:
        OpenDiagError.__init__(self, waited_s, event)
        self.waited_s = waited_s
        self.event = event

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.waited_s, self.event)

    def __str__(self) -> str:
        if self.event:
            return f"{self.event} did not come within {self.waited_s:g} s"
        return f"not done after {self.waited_s:g} s; it goes on"


class NmtStateNotReached(NotDone):
    """``told`` is what each node told last that did not tell ``expected``; None: nothing. ``command`` may be ""."""

    def __init__(self, command: str, expected: str, told: Mapping[int, str | None], waited_s: float) -> None:
        OpenDiagError.__init__(self, command, expected, dict(told), waited_s)
        self.command = command
        self.expected = expected
        self.told = dict(told)
        self.waited_s = waited_s
        self.event = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.command, self.expected, self.told, self.waited_s)

    def __str__(self) -> str:
        nodes = ", ".join(f"node {node} told {state or 'nothing'}" for node, state in sorted(self.told.items()))
        after = f" after the NMT command {self.command}" if self.command else ""
        return (
            f"{self.expected} was not told within {self.waited_s:g} s{after}: {nodes}. Is the node there, and what do "
            f"its EMCY messages and its error register (1001h) say?"
        )


class PlanCancelled(OpenDiagError):
    """Thrown into a plan that is to end early, so that it can bring to rest what it moves. ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cancelled: {self.reason}"


class ValueRefused(OpenDiagError, ValueError):
    """``what`` is the object, ``reason`` says what it takes instead."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}; nothing was sent"


class NoValueYet(OpenDiagError, KeyError):
    """``what`` is the object of an RPDO that was asked for before it had a value, ``pdo`` the PDO."""

    def __init__(self, what: str, pdo: str) -> None:
        super().__init__(what, pdo)
        self.what = what
        self.pdo = pdo

    def __str__(self) -> str:
        return f"{self.what} in {self.pdo} has no value yet: set it, or load() what the device holds"


class BlockingCall(OpenDiagError, RuntimeError):
    """``call`` waits for the bus, and was made on the thread that must run for the wait to end."""

    def __init__(self, call: str) -> None:
        super().__init__(call)
        self.call = call

    def __str__(self) -> str:
        return f"{self.call} waits for the bus and cannot be called from a callback: hand the work to another thread"


class MissingDependency(OpenDiagError, ImportError):
    """``what`` needs the optional ``library``; ``extra`` is the part of opendiag that brings all it needs, or ""."""

    def __init__(self, what: str, library: str, extra: str = "") -> None:
        super().__init__(what, library, extra)
        self.what = what
        self.library = library
        self.extra = extra

    def __str__(self) -> str:
        install = f"'opendiag[{self.extra}]'" if self.extra else self.library
        return f"{self.what} needs {self.library}: pip install {install}"
