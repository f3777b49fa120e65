"""A claimed USB device: bulk transfers and control requests. Errors of libusb become ours.

pyusb's own read and write look up the endpoint, check the claim and make a buffer for every transfer. Here this is
done once. Several transfers wait for input where the backend is libusb 1.0 (`usb_transfers`); with another backend it
is one at a time.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from array import array
from dataclasses import dataclass
from typing import Any

import can
import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]
import usb.util  # type: ignore[import-not-found, import-untyped, unused-ignore]

from opendiag.adapters.bus import QueueFull, Unplugged, describe
from opendiag.adapters.usb_transfers import start_transfers

#: How long a read waits for input: a shutdown waits for it at most.
READ_MS = 100
CONTROL_MS = 1000
#: A multiple of every packet size; a frame is at most 80 bytes, but padded ones can arrive end to end.
_BUFFER = 4096
#: Errors that may pass are tolerated for this long; a device that was pulled may give them before it is gone.
_ERRORS_S = 0.5
#: Errors that are further apart have nothing to do with each other.
_SERIES_S = 0.2
_PAUSE_S = 0.02
#: A write looks so often whether it is to end.
_SLICE_S = 0.25
#: Of several OUT endpoints the one that older drivers of Linux's take.
_PREFERRED_OUT = 0x02
# What libusb calls them, where there is no errno (Windows, macOS).
_LIBUSB_NO_DEVICE, _LIBUSB_NOT_FOUND, _LIBUSB_OVERFLOW, _LIBUSB_PIPE = -4, -5, -8, -9
_LIBUSB_ACCESS, _LIBUSB_BUSY = -3, -6

#: bmRequestType of vendor requests to an interface.
_IN, _OUT = 0xC1, 0x41


@dataclass(frozen=True)
class Endpoints:
    """Addresses, and the size of an IN packet in bytes."""

    bulk_in: int
    bulk_out: int
    packet: int


def find_endpoints(device: Any) -> Endpoints:
    """From the descriptors of interface 0: the first IN; of several OUT the one that Linux's driver takes.

    Raise ValueError.
    """
    interface = device.get_active_configuration()[(0, 0)]
    bulk = [endpoint for endpoint in interface if usb.util.endpoint_type(endpoint.bmAttributes) == 2]
    ins = [endpoint for endpoint in bulk if endpoint.bEndpointAddress & 0x80]
    outs = [endpoint.bEndpointAddress for endpoint in bulk if not endpoint.bEndpointAddress & 0x80]
    if not ins or not outs:
        raise ValueError("its interface 0 has no pair of bulk endpoints")
    out = _PREFERRED_OUT if _PREFERRED_OUT in outs else outs[0]
    return Endpoints(ins[0].bEndpointAddress, out, ins[0].wMaxPacketSize & 0x7FF)


def is_gone(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (errno.ENODEV, errno.ESHUTDOWN) or _code(error) == _LIBUSB_NO_DEVICE


def is_busy(error: BaseException) -> bool:
    return getattr(error, "errno", None) == errno.EBUSY or _code(error) == _LIBUSB_BUSY


def is_denied(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (errno.EACCES, errno.EPERM) or _code(error) == _LIBUSB_ACCESS


def is_stall(error: BaseException) -> bool:
    """The device refuses a request."""
    return getattr(error, "errno", None) == errno.EPIPE or _code(error) == _LIBUSB_PIPE


def cannot_open(text: str, number: int | None = None) -> can.CanInitializationError:
    """With ``number`` as its error_code; python-can would write it into the sentence too."""
    failure = can.CanInitializationError(text)
    failure.error_code = number
    return failure


def failed(text: str, number: int | None = None) -> can.CanOperationError:
    """The same of an adapter that is open."""
    failure = can.CanOperationError(text)
    failure.error_code = number
    return failure


def _code(error: BaseException) -> int | None:
    code: int | None = getattr(error, "backend_error_code", None)
    return code


def ask(device: Any, request: int, value: int, length: int) -> bytes:
    """A vendor request that answers ``length`` bytes. Raise USBError; ValueError for a short answer."""
    answer = bytes(device.ctrl_transfer(_IN, request, value, 0, length, CONTROL_MS))
    if len(answer) < length:
        raise ValueError(f"it answered {len(answer)} bytes to request {int(request)}, expected {length}")
    return answer


def tell(device: Any, request: int, value: int, data: bytes) -> None:
    """A vendor request with data. Raise USBError."""
    device.ctrl_transfer(_OUT, request, value, 0, data, CONTROL_MS)


class UsbStream:
    """``device`` is pyusb's, with its interface 0 claimed. One thread reads, any may write and ask.

    ``read`` gives the next transfer, empty when none comes within so many ms; it raises Unplugged. ``read_errors``
    counts transfers that failed and were tried again.
    """

    def __init__(self, device: Any, endpoints: Endpoints, name: str) -> None:
        self.endpoints = endpoints
        self.read_errors = 0
        self._name = name
        self._device = device
        self._backend = device.backend
        self._handle = device._ctx.managed_open()  # noqa: SLF001 - pyusb gives it out nowhere else
        self._bulk_read = device.backend.bulk_read
        self._bulk_in = endpoints.bulk_in
        self._buffer = array("B", bytes(_BUFFER))
        self._view = memoryview(self._buffer)
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._writing = threading.Lock()
        self._asking = threading.Lock()
        self._closing = self._closed = False
        try:
            self._transfers = start_transfers(device.backend, self._handle, endpoints.bulk_in)
        except usb.core.USBError as error:
            raise self.unplugged(error) from error
        self.read = self._read_one if self._transfers is None else self._read_ahead

    def _read_one(self, timeout_ms: int = READ_MS) -> bytes:
        try:
            size = self._bulk_read(self._handle, self._bulk_in, 0, self._buffer, timeout_ms)
        except usb.core.USBTimeoutError:
            self._failing_since = None
            return b""
        except usb.core.USBError as error:
            self.read_failed(error)
            return b""
        if self._failing_since is not None:
            self._failing_since = None
        return self._view[:size].tobytes()

    def _read_ahead(self, timeout_ms: int = READ_MS) -> bytes:
        try:
            data = self._transfers.read(timeout_ms)  # type: ignore[union-attr]
        except usb.core.USBError as error:
            self.read_failed(error)
            return b""
        if data and self._failing_since is not None:
            self._failing_since = None
        return data

    def read_failed(self, error: Exception) -> None:
        """Waits a little if it may pass. Raise Unplugged if it will not."""
        if is_gone(error) or self._closed:
            raise self.unplugged(error) from error
        now = time.monotonic()
        if self._failing_since is None or now - self._failed_at > _SERIES_S:
            self._failing_since = now
        self._failed_at = now
        if now - self._failing_since > _ERRORS_S:
            raise Unplugged(f"{self._name} cannot be read any more: {describe(error)}") from error
        self.read_errors += 1
        if is_stall(error):
            with contextlib.suppress(usb.core.USBError, NotImplementedError):
                self._backend.clear_halt(self._handle, self.endpoints.bulk_in)
        if not (getattr(error, "errno", None) == errno.EOVERFLOW or _code(error) == _LIBUSB_OVERFLOW):
            time.sleep(_PAUSE_S)

    def write(self, data: bytes, timeout_s: float) -> None:
        """One transfer. Raise QueueFull when the adapter does not take it in time, Unplugged, CanOperationError."""
        until = time.monotonic() + timeout_s
        if not self._writing.acquire(timeout=max(timeout_s, 0.0)):  # of another channel, as a rule
            raise self._full(timeout_s)
        try:
            while not self._closing:
                try:
                    # libusb waits for ever when it is told to wait 0 ms.
                    wait_ms = max(1, int(min(until - time.monotonic(), _SLICE_S) * 1000))
                    taken = self._backend.bulk_write(
                        self._handle, self.endpoints.bulk_out, 0, array("B", data), wait_ms
                    )
                except usb.core.USBTimeoutError as error:  # nothing of it was taken
                    if time.monotonic() < until:
                        continue
                    raise self._full(timeout_s) from error
                except usb.core.USBError as error:
                    raise self._write_error(error) from error
                if taken != len(data):
                    raise failed(f"{self._name} took {taken} of the {len(data)} bytes of a frame", errno.EIO)
                return
            raise Unplugged(f"{self._name} is closed")
        finally:
            self._writing.release()

    def _full(self, timeout_s: float) -> QueueFull:
        return QueueFull(f"{self._name} took no frame for {timeout_s:.2g} s: its memory is full")

    def _write_error(self, error: Exception) -> can.CanOperationError:
        if is_gone(error):
            return self.unplugged(error)
        if is_stall(error):
            with contextlib.suppress(usb.core.USBError, NotImplementedError):
                self._backend.clear_halt(self._handle, self.endpoints.bulk_out)
        return failed(f"{self._name}: writing failed: {describe(error)}", getattr(error, "errno", None))

    def ask(self, request: int, value: int, length: int) -> bytes:
        """Raise Unplugged, can.CanOperationError; ValueError for a short answer."""
        with self._asked(request):
            return ask(self._device, request, value, length)

    def tell(self, request: int, value: int, data: bytes) -> None:
        """Raise Unplugged, can.CanOperationError."""
        with self._asked(request):
            tell(self._device, request, value, data)

    @contextlib.contextmanager
    def _asked(self, request: int) -> Any:
        with self._asking:
            if self._closed:  # pyusb would open it again
                raise Unplugged(f"{self._name} is closed")
            try:
                yield
            except usb.core.USBError as error:
                if is_gone(error):
                    raise self.unplugged(error) from error
                refused = "it refuses" if is_stall(error) else describe(error)
                text = f"{self._name}: request {int(request)}: {refused}"
                raise failed(text, getattr(error, "errno", None)) from error

    def unplugged(self, error: BaseException) -> Unplugged:
        return Unplugged(f"{self._name} is gone: {'unplugged' if is_gone(error) else describe(error)}")

    def close(self) -> None:
        """Release the interface and close the device. Again does nothing. Nothing reads any more."""
        self._closing = True
        with self._writing, self._asking:
            if self._closed:
                return
            self._closed = True
            if self._transfers is not None:
                self._transfers.close()
            with contextlib.suppress(usb.core.USBError, NotImplementedError):  # it may be gone
                usb.util.release_interface(self._device, 0)
            with contextlib.suppress(usb.core.USBError, NotImplementedError):
                usb.util.dispose_resources(self._device)
