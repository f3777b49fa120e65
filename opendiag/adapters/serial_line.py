"""A serial port that tells silence from an adapter that was unplugged."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from typing import Any

import can

from opendiag.adapters.bus import QueueFull, Unplugged, describe, wrong_option

try:
    import serial  # type: ignore[import-untyped, unused-ignore]
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"serial adapters need pyserial, which cannot be imported ({error}): pip install pyserial", name=error.name
    ) from None

try:
    from termios import error as _TerminalError
except ImportError:  # Windows

    class _TerminalError(Exception):  # type: ignore[no-redef]
        pass


#: How long a read waits: `close` and whatever is done regularly waits for it at most.
READ_S = 0.1
_WRITE_S = 1.0
#: In baud: no serial chip is faster.
MAX_BAUD = 12_000_000
#: More than any buffer of an operating system holds.
_CHUNK = 65536
#: What drivers and pyserial raise when the device is not there any more, or never was.
_GONE = (OSError, TypeError, AttributeError, ValueError, _TerminalError)  # closed ports fail in odd ways


class SerialLine:
    """One thread reads, any may write. ``port`` is a device or an URL of pyserial, as in socket://host:port.

    Raises can.CanInitializationError, whose cause is pyserial's error.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.port = port
        self.baud = baud
        self._writing = threading.Lock()
        self._serial: Any = None
        self._fd: int | None = None
        self._begun = b""
        self.open()

    def open(self) -> None:
        """Again, after it went away. Raise can.CanInitializationError; EBUSY when another program has it."""
        self._shut()
        try:
            self._serial = serial.serial_for_url(
                self.port, baudrate=self.baud, timeout=READ_S, write_timeout=_WRITE_S, exclusive=_exclusive(self.port)
            )
        except (OSError, ValueError, _TerminalError) as error:
            raise _failure(self.port, error) from error
        self._begun = b""
        # Where the port is a file of the system, reading and writing it directly costs a third of pyserial's way.
        self._fd = self._serial.fd if os.name == "posix" and isinstance(self._serial, serial.Serial) else None

    def set_baud(self, baud: int) -> None:
        """Raise Unplugged, or can.CanInitializationError for a rate that the port cannot do."""
        try:
            self._serial.baudrate = baud
        except ValueError as error:
            raise wrong_option(f"{self.port}: {describe(error)}") from None
        except _GONE as error:
            raise self._unplugged(error) from error
        self.baud = baud

    def read(self, wait_s: float | None = None) -> bytes:
        """What is there, or what comes first within 0.1 s (or ``wait_s``); nothing when it is silent.

        Raise Unplugged.
        """
        wait_s = READ_S if wait_s is None else wait_s
        try:
            if self._fd is None:
                return self._read_any(wait_s)
            if self._begun:
                self._go_on()
            if not select.select([self._fd], [], [], wait_s)[0]:
                return b""
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return b""
        except _GONE as error:
            raise self._unplugged(error) from error
        if not data:
            raise Unplugged(f"{self.port} is gone: unplugged")
        return data

    def _read_any(self, wait_s: float) -> bytes:
        port = self._serial
        if port.timeout != wait_s:
            port.timeout = wait_s
        data: bytes = port.read(1)
        more = port.in_waiting if data else 0
        return data + port.read(more) if more else data

    def write(self, data: bytes) -> None:
        """Raise Unplugged; QueueFull when the adapter took nothing of it within 1 s.

        What it took a part of counts as written: the rest goes before anything else, as soon as there is room. Else
        the adapter would take the beginning of the next message for the end of this one.
        """
        try:
            with self._writing:
                if self._fd is None:
                    self._serial.write(data)
                else:
                    self._write_all(self._fd, data)
        except serial.SerialTimeoutException as error:
            raise QueueFull(f"{self.port}: the adapter takes no bytes") from error
        except _GONE as error:
            raise self._unplugged(error) from error

    def _write_all(self, fd: int, data: bytes) -> None:
        """Not as pyserial does: it spins while a port takes nothing, and fails when the port is full afterwards."""
        until = time.monotonic() + _WRITE_S
        left = self._begun + data
        while True:
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(fd, left) :]
            rest = until - time.monotonic()
            if not left or rest <= 0 or not select.select([], [fd], [], rest)[1]:
                break
        untouched = len(left) >= len(data) > 0
        self._begun = left[: len(left) - len(data)] if untouched else left
        if untouched:
            raise QueueFull(f"{self.port}: the adapter takes no bytes")

    def _go_on(self) -> None:
        """Write more of what a writer had to leave; not now if another one writes."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            if self._fd is not None:
                with contextlib.suppress(BlockingIOError):
                    self._begun = self._begun[os.write(self._fd, self._begun) :]
        finally:
            self._writing.release()

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
        with self._writing:  # nobody writes to a number that may be another file by then
            self._fd = None
            if self._serial is not None:
                with contextlib.suppress(Exception):  # what is gone cannot be closed well
                    self._serial.close()

    def _unplugged(self, error: BaseException) -> Unplugged:
        return Unplugged(f"{self.port} is gone: {_reason(error)}")


def _exclusive(port: str) -> bool | None:
    """Two programs on one port take each other's bytes; not every system and no URL can keep them apart."""
    return True if port.startswith("/dev/") else None


def _failure(port: str, error: Exception) -> can.CanInitializationError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EAGAIN, errno.EBUSY):
        number, reason = errno.EBUSY, "in use by another program"
    elif number is None and _origin_number(error) == errno.ENOTTY:
        number, reason = errno.ENOTTY, "it is no serial port"
    else:
        reason = os.strerror(number) if number else describe(error)
    failure = can.CanInitializationError(f"{port}: {reason}")
    failure.error_code = errno.EINVAL if isinstance(error, ValueError) and number is None else number
    return failure


def _origin_number(error: BaseException) -> int | None:
    """The errno of a terminal's error, of which pyserial keeps the text only."""
    origin = error.__context__ if isinstance(error.__context__, _TerminalError) else error
    return origin.args[0] if isinstance(origin, _TerminalError) and origin.args else getattr(error, "errno", None)


def _reason(error: BaseException) -> str:
    number = _origin_number(error)
    if number in (errno.EIO, errno.ENODEV, errno.ENXIO):
        return "unplugged"
    if isinstance(error, (TypeError, AttributeError, ValueError, serial.PortNotOpenError)):
        return "closed"
    return "unplugged" if "returned no data" in str(error) else describe(error)
