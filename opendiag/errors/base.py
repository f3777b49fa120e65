"""The root, and what is wrong with bytes."""

from __future__ import annotations


class OpenDiagError(Exception):
    """The root: `except OpenDiagError` catches everything this package raises on purpose."""


class WireError(OpenDiagError, ValueError):
    """Bytes that do not follow the protocol. ``data`` holds them, ``reason`` says what is wrong."""

    def __init__(self, reason: str, data: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data
