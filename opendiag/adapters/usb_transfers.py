"""Several USB bulk IN transfers at once, through the libusb that pyusb has loaded.

pyusb itself knows one transfer at a time, and a short packet ends a transfer: each frame of a CAN adapter is one. While
nobody asks, the adapter has to keep what comes, and small ones keep little. With several transfers waiting in the
system, what comes is taken at once.
"""

from __future__ import annotations

import ctypes
import errno
import sys
import time
from collections import deque
from typing import Any

import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]

#: Linux's gs_usb has 30. While a request is answered none is started again.
IN_FLIGHT = 32
#: A multiple of every packet size.
_SIZE = 512
_REAP_S = 1.0
_BULK = 2
_COMPLETED, _CANCELLED, _STALL, _NO_DEVICE, _OVERFLOW = 0, 3, 4, 5, 6
_ERROR_NO_DEVICE, _ERROR_INTERRUPTED = -4, -10
#: Status of a transfer -> libusb's error and errno for the same.
_ERRORS = {_STALL: (-9, errno.EPIPE), _NO_DEVICE: (_ERROR_NO_DEVICE, errno.ENODEV), _OVERFLOW: (-8, errno.EOVERFLOW)}

if sys.platform == "win32":
    _FUNCTION = ctypes.WINFUNCTYPE
else:
    _FUNCTION = ctypes.CFUNCTYPE
_CALLBACK = _FUNCTION(None, ctypes.c_void_p)


class _Transfer(ctypes.Structure):
    """struct libusb_transfer, the same in every libusb 1.0."""

    _fields_ = (
        ("dev_handle", ctypes.c_void_p),
        ("flags", ctypes.c_uint8),
        ("endpoint", ctypes.c_ubyte),
        ("type", ctypes.c_ubyte),
        ("timeout", ctypes.c_uint),
        ("status", ctypes.c_int),
        ("length", ctypes.c_int),
        ("actual_length", ctypes.c_int),
        ("callback", _CALLBACK),
        ("user_data", ctypes.c_void_p),
        ("buffer", ctypes.c_void_p),
        ("num_iso_packets", ctypes.c_int),
    )


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _LibUsb:
    """The functions that are needed, with prototypes of our own: pyusb's library object stays as it is."""

    def __init__(self, library: Any) -> None:
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.allocate = self._get(library, "libusb_alloc_transfer", pointer, number)
        self.free = self._get(library, "libusb_free_transfer", None, pointer)
        self.submit = self._get(library, "libusb_submit_transfer", number, pointer)
        self.cancel = self._get(library, "libusb_cancel_transfer", number, pointer)
        self.handle_events = self._get(
            library, "libusb_handle_events_timeout_completed", number, pointer, ctypes.POINTER(_Timeval), pointer
        )

    @staticmethod
    def _get(library: Any, name: str, result: Any, *arguments: Any) -> Any:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        return _FUNCTION(result, *arguments)(address)  # type: ignore[arg-type]


#: Transfers that could not be taken back: what the system may still write to must not be freed.
_abandoned: list[Any] = []


class Transfers:
    """``handle`` and ``endpoint`` are those of a claimed interface. One thread reads.

    Raise OSError or AttributeError if this is not libusb 1.0, or a transfer cannot be started.
    """

    def __init__(self, backend: Any, handle: Any, endpoint: int) -> None:
        self._lib = _LibUsb(backend.lib)
        self._context = backend.ctx
        self._done: deque[bytes] = deque()
        self._failed: deque[tuple[int, int]] = deque()
        self._closing = False
        self._waiting: set[int] = set()  # addresses of those that the system has
        # Whichever thread handles libusb's events calls it, one at a time: one that reads another adapter, or the main
        # thread while it sends. A function of ours could be hit by Ctrl-C there; both would be lost, without a word.
        self._ended: deque[int] = deque()
        self._callback = _CALLBACK(self._ended.append)
        self._buffers = [ctypes.create_string_buffer(_SIZE) for _ in range(IN_FLIGHT)]
        self._transfers: list[int] = []
        try:
            for buffer in self._buffers:
                self._start(self._new(handle, endpoint, buffer))
        except BaseException:
            self.close()
            raise

    def _new(self, handle: Any, endpoint: int, buffer: Any) -> int:
        address: int | None = self._lib.allocate(0)
        if not address:
            raise OSError(errno.ENOMEM, "libusb has no memory for a transfer")
        self._transfers.append(address)
        transfer = _Transfer.from_address(address)
        transfer.dev_handle = getattr(handle.handle, "value", handle.handle)
        transfer.flags = 0
        transfer.endpoint = endpoint
        transfer.type = _BULK
        transfer.timeout = 0  # until something comes
        transfer.length = _SIZE
        transfer.callback = self._callback
        transfer.buffer = ctypes.addressof(buffer)
        return address

    def _start(self, address: int) -> None:
        self._waiting.add(address)
        code = self._lib.submit(address)
        if code:
            self._waiting.discard(address)
            raise _error(code)

    def _collect(self) -> None:
        """What the transfers that ended brought; they wait for input again."""
        ended = self._ended
        while ended:
            address = ended.popleft()
            transfer = _Transfer.from_address(address)
            status, length = transfer.status, transfer.actual_length
            self._waiting.discard(address)
            if length:
                self._done.append(ctypes.string_at(transfer.buffer, length))
            if self._closing or status == _CANCELLED:
                continue
            if status == _COMPLETED:
                self._waiting.add(address)
                code = self._lib.submit(address)
                if not code:
                    continue
                self._waiting.discard(address)
                status = _NO_DEVICE if code == _ERROR_NO_DEVICE else -1
            self._failed.append((status, address))

    def read(self, timeout_ms: int) -> bytes:
        """The next transfer, empty when none came in time. Raise USBError; reading goes on with the next call."""
        done = self._done
        if self._ended:
            self._collect()
        if done:
            return done.popleft()
        if not self._failed:
            limit = _Timeval(timeout_ms // 1000, timeout_ms % 1000 * 1000)
            code = self._lib.handle_events(self._context, limit, None)
            self._collect()
            if done:
                return done.popleft()
            if code and code != _ERROR_INTERRUPTED:
                raise _error(code)
        if self._failed:
            self._try_again()
        return b""

    def _try_again(self) -> None:
        status, address = self._failed.popleft()
        if status != _NO_DEVICE:
            try:
                self._start(address)
            except usb.core.USBError:
                self._failed.append((_NO_DEVICE, address))
                raise
        else:
            self._failed.append((status, address))
        code, number = _ERRORS.get(status, (-1, errno.EIO))
        raise usb.core.USBError("a transfer failed", code, number)

    def close(self) -> None:
        """Take all transfers back, before the interface is released. Again does nothing."""
        self._closing = True
        self._collect()
        for address in list(self._waiting):
            self._lib.cancel(address)
        until = time.monotonic() + _REAP_S
        limit = _Timeval(0, 50_000)
        while self._waiting and time.monotonic() < until:
            self._lib.handle_events(self._context, limit, None)
            self._collect()
        if self._waiting:
            _abandoned.append((self._transfers, self._buffers, self._callback))
        else:
            for address in self._transfers:
                self._lib.free(address)
        self._transfers = []


def _error(code: int) -> Exception:
    number = errno.ENODEV if code == _ERROR_NO_DEVICE else errno.EIO
    error: Exception = usb.core.USBError(f"libusb error {code}", code, number)
    return error


def start_transfers(backend: Any, handle: Any, endpoint: int) -> Transfers | None:
    """None where pyusb's backend is not libusb 1.0, or has no room for so many.

    Raise USBError if the device is gone.
    """
    if not hasattr(backend, "lib") or not hasattr(backend, "ctx"):
        return None
    try:
        return Transfers(backend, handle, endpoint)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise
        return None
    except (AttributeError, TypeError):
        return None
