"""Errors about the way to the bus."""

from __future__ import annotations

from opendiag.errors.base import OpenDiagError


class AdapterError(OpenDiagError):
    """Something is wrong with the way to the bus."""


class BadInterface(AdapterError, ValueError):
    """``interface`` as the user wrote it; ``reason`` says what is wrong with it and what is expected."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"interface {self.interface!r}: {self.reason}"


class BadFilter(AdapterError, ValueError):
    """``filter`` as the user wrote it; ``reason`` says which part of it is wrong and what is expected."""

    def __init__(self, filter: str, reason: str) -> None:
        super().__init__(filter, reason)
        self.filter = filter
        self.reason = reason

    def __str__(self) -> str:
        return f"filter {self.filter!r}: {self.reason}"


class AdapterNotFound(AdapterError, LookupError):
    """It is well named, but it is not there or cannot be opened."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot open {self.interface}: {self.reason}"


class AdapterClosed(AdapterError, ConnectionError):
    """No frame will come or go any more."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.interface}: {self.reason}"


class SendFailed(AdapterError, OSError):
    """One frame did not leave; the adapter itself may go on working."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.interface} cannot send: {self.reason}"
