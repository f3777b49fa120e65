"""A serial port that tells silence from an adapter that was unplugged."""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import Any

import can
import serial  # type: ignore[import-untyped, unused-ignore]

from opendiag.adapters.bus import QueueFull, Unplugged, describe

#: How long a read waits: `close` and whatever is done regularly waits for it at most.
READ_S = 0.1
_WRITE_S = 1.0
#: What drivers and pyserial raise when the device is not there any more, or never was.
_GONE = (OSError, TypeError, AttributeError)  # SerialException is an OSError; closed ports fail in odd ways


class SerialLine:
    """One thread reads, any may write. ``port`` is a device or an URL of pyserial, as in socket://host:port.

    Raises can.CanInitializationError, whose cause is pyserial's error.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.port = port
        self.baud = baud
        self._writing = threading.Lock()
        self._serial: Any = None
        self.open()

    def open(self) -> None:
        """Again, after it went away. Raise can.CanInitializationError."""
        self._shut()
        try:
            self._serial = serial.serial_for_url(
                self.port, baudrate=self.baud, timeout=READ_S, write_timeout=_WRITE_S, exclusive=_exclusive(self.port)
            )
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            raise can.CanInitializationError(f"{self.port}: {describe(error)}", number) from error

    def set_baud(self, baud: int) -> None:
        """Raise Unplugged."""
        try:
            self._serial.baudrate = baud
        except _GONE as error:
            raise self._unplugged(error) from error
        except ValueError as error:
            raise can.CanInitializationError(f"{self.port}: {describe(error)}") from error
        self.baud = baud

    def read(self, wait_s: float | None = None) -> bytes:
        """What is there, or what comes first within 0.1 s (or ``wait_s``); nothing when it is silent.

        Raise Unplugged.
        """
        port = self._serial
        try:
            if wait_s is not None and port.timeout != wait_s:
                port.timeout = wait_s
            data: bytes = port.read(1)
            if wait_s is not None:
                port.timeout = READ_S
            if data:
                more = port.in_waiting
                if more:
                    data += port.read(more)
        except _GONE as error:
            raise self._unplugged(error) from error
        return data

    def write(self, data: bytes) -> None:
        """Raise Unplugged, QueueFull."""
        try:
            with self._writing:
                self._serial.write(data)
        except serial.SerialTimeoutException as error:
            raise QueueFull(f"{self.port}: the adapter takes no bytes") from error
        except _GONE as error:
            raise self._unplugged(error) from error

    def drop_input(self) -> None:
        """Throw away what came and was not read. Raise Unplugged."""
        try:
            self._serial.reset_input_buffer()
        except _GONE as error:
            raise self._unplugged(error) from error

    def close(self) -> None:
        """Again does nothing."""
        self._shut()

    def _shut(self) -> None:
        if self._serial is not None:
            with contextlib.suppress(Exception):  # what is gone cannot be closed well
                self._serial.close()

    def _unplugged(self, error: BaseException) -> Unplugged:
        return Unplugged(f"{self.port} is gone: {_reason(error)}")


def _exclusive(port: str) -> bool | None:
    """Two programs on one port take each other's bytes; not every system and no URL can keep them apart."""
    return True if port.startswith("/dev/") else None


def _reason(error: BaseException) -> str:
    if getattr(error, "errno", None) in (errno.EIO, errno.ENODEV, errno.ENXIO):
        return "unplugged"
    return "unplugged" if "returned no data" in str(error) else describe(error)
