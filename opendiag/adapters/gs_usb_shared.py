"""The gs_usb adapters that this process has open, each for as long as one of its channels is."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import can

from opendiag.adapters.gs_usb_channel import Channel
from opendiag.adapters.gs_usb_device import GsUsbDevice
from opendiag.adapters.gs_usb_find import GsUsbInfo
from opendiag.adapters.usb_stream import cannot_open

_opening = threading.Lock()
_devices: dict[tuple[int, str], GsUsbDevice] = {}


@contextlib.contextmanager
def shared_device(info: GsUsbInfo, backend: Any, detach: bool) -> Iterator[GsUsbDevice]:
    """The adapter, opened if it is not yet. Whoever starts no channel in this context gives it back with it.

    Raise can.CanInitializationError.
    """
    key = (id(backend), info.path)
    with _opening:
        device = _devices.get(key)
        if device is None or device.failure is not None:
            device = GsUsbDevice(info, backend, detach)
            _devices[key] = device
            # pyusb ends libusb at the exit of the program, and libusb aborts it if a thread is still in there. What
            # was registered last comes first, and pyusb has registered by now.
            atexit.unregister(_close_all)
            atexit.register(_close_all)
        try:
            yield device
        except (can.CanOperationError, ValueError) as error:
            number = getattr(error, "error_code", None)
            raise cannot_open(str(error), number) from error
        finally:
            if not device.in_use:
                _close(device)


def give_back(device: GsUsbDevice, channel: Channel) -> None:
    """Stop this channel; the adapter is closed with its last one."""
    with _opening:
        device.stop(channel)
        if not device.in_use:
            _close(device)


def _close(device: GsUsbDevice) -> None:
    for key in [key for key, other in _devices.items() if other is device]:
        del _devices[key]
    device.close()


def _close_all() -> None:
    """At the exit of a program that has not closed its buses."""
    for device in list(_devices.values()):
        _close(device)
