"""A pyusb backend without USB: its devices are emulators. `usb.core.find(backend=FakeBackend([device]))` finds them."""

from __future__ import annotations

import errno
import struct
import time
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import usb.backend
import usb.core
from emulators import gs_usb_wire as wire
from emulators.gs_usb_device import Gone, GsUsbDevice, Overflow, Stall

_TIMEOUT_ERRNO = {"linux": 110, "macos": 60, "windows": 10060}


def _error(text: str, backend: int, number: int) -> usb.core.USBError:
    return usb.core.USBError(text, backend, number)


def _gone() -> usb.core.USBError:
    return _error("No such device (it may have been disconnected)", -4, errno.ENODEV)


def _busy() -> usb.core.USBError:
    return _error("Resource busy", -6, errno.EBUSY)


class Plug:
    """A device in a port. What a host found before it was pulled never comes back: `FakeBackend.replug` makes another.

    ``kernel_bound``: the kernel's driver has it. ``busy``: another program has it. ``denied``: no permission to open.
    ``vanishes``: it is pulled the moment somebody opens it. ``resets`` counts resets by the host.
    """

    def __init__(self, device: GsUsbDevice, bus: int, address: int, port_numbers: tuple[int, ...]) -> None:
        self.device = device
        self.pipe = device.pipe
        self.bus = bus
        self.address = address
        self.port_numbers = port_numbers
        self.kernel_bound = False
        self.busy = False
        self.denied = False
        self.vanishes = False
        self.attached = True
        self.resets = 0
        self.claimed: dict[int, Handle] = {}

    def check(self) -> None:
        if not self.attached:
            raise _gone()


class Handle:
    def __init__(self, plug: Plug) -> None:
        self.plug = plug
        self.closed = False


class FakeBackend(usb.backend.IBackend):
    """``system`` is "linux", "windows" (knows nothing of kernel drivers) or "macos" (may not detach any).

    ``readdress_on_attach``: giving a device back to the kernel makes it enumerate again.
    """

    def __init__(
        self,
        devices: list[GsUsbDevice] | tuple[GsUsbDevice, ...] = (),
        *,
        kernel_bound: bool = False,
        system: str = "linux",
        readdress_on_attach: bool = False,
    ) -> None:
        self.system = system
        self.readdress_on_attach = readdress_on_attach
        self.plugs: list[Plug] = []
        self.handles: list[Handle] = []
        self._address = 4
        for number, device in enumerate(devices):
            self.plug(device, (1, number + 1)).kernel_bound = kernel_bound

    # --- hands on the plugs

    def plug(self, device: GsUsbDevice, port_numbers: tuple[int, ...] = (1,), bus: int = 1) -> Plug:
        self._address += 1
        device.plug()
        plug = Plug(device, bus, self._address, port_numbers)
        self.plugs.append(plug)
        return plug

    def plug_of(self, device: GsUsbDevice) -> Plug:
        """The present one, or the last."""
        return [plug for plug in self.plugs if plug.device is device][-1]

    def unplug(self, device: GsUsbDevice) -> None:
        self.plug_of(device).attached = False
        device.unplug()

    def replug(self, device: GsUsbDevice, port_numbers: tuple[int, ...] | None = None) -> Plug:
        """Into the same port, or another; the address is a new one."""
        old = self.plug_of(device)
        old.attached = False
        new = self.plug(device, port_numbers or old.port_numbers, old.bus)
        new.kernel_bound = old.kernel_bound
        return new

    @property
    def open_handles(self) -> int:
        return sum(not handle.closed for handle in self.handles)

    @property
    def claims(self) -> int:
        return sum(len(plug.claimed) for plug in self.plugs)

    # --- descriptors

    def enumerate_devices(self) -> Iterator[Plug]:
        return iter([plug for plug in self.plugs if plug.attached])

    def get_parent(self, dev: Plug) -> None:
        return None

    def get_device_descriptor(self, dev: Plug) -> SimpleNamespace:
        names = "bLength bDescriptorType bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 "
        names += "idVendor idProduct bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations"
        values = struct.unpack("<BBHBBBBHHHBBBB", dev.device.kind.device_descriptor())
        found = SimpleNamespace(**dict(zip(names.split(), values, strict=True)))
        found.address, found.bus, found.speed = dev.address, dev.bus, dev.device.kind.speed
        found.port_number, found.port_numbers = dev.port_numbers[-1], dev.port_numbers
        return found

    def get_configuration_descriptor(self, dev: Plug, config: int) -> SimpleNamespace:
        if config:
            raise IndexError(config)
        return _pieces(dev.device)[0]

    def get_interface_descriptor(self, dev: Plug, intf: int, alt: int, config: int) -> SimpleNamespace:
        return [piece for piece in _pieces(dev.device) if piece.bDescriptorType == 4 and not alt and not config][intf]

    def get_endpoint_descriptor(self, dev: Plug, ep: int, intf: int, alt: int, config: int) -> SimpleNamespace:
        pieces = [piece for piece in _pieces(dev.device) if piece.bDescriptorType == 5]
        if intf:
            raise IndexError(ep)
        return pieces[ep]

    # --- opening and claiming

    def open_device(self, dev: Plug) -> Handle:
        if dev.vanishes and dev.attached:
            self.unplug(dev.device)
        dev.check()
        if dev.denied:
            raise _error("Access denied (insufficient permissions)", -3, errno.EACCES)
        self.handles.append(Handle(dev))
        return self.handles[-1]

    def close_device(self, dev_handle: Handle) -> None:
        dev_handle.closed = True
        for interface, holder in list(dev_handle.plug.claimed.items()):
            if holder is dev_handle:
                del dev_handle.plug.claimed[interface]

    def set_configuration(self, dev_handle: Handle, config_value: int) -> None:
        dev_handle.plug.check()
        if dev_handle.plug.kernel_bound or dev_handle.plug.busy:
            raise _busy()

    def get_configuration(self, dev_handle: Handle) -> int:
        dev_handle.plug.check()
        return 1

    def set_interface_altsetting(self, dev_handle: Handle, intf: int, altsetting: int) -> None:
        dev_handle.plug.check()

    def claim_interface(self, dev_handle: Handle, intf: int) -> None:
        plug = dev_handle.plug
        plug.check()
        if plug.kernel_bound or plug.busy or plug.claimed.get(intf, dev_handle) is not dev_handle:
            raise _busy()
        plug.claimed[intf] = dev_handle

    def release_interface(self, dev_handle: Handle, intf: int) -> None:
        if dev_handle.plug.claimed.get(intf) is dev_handle:
            del dev_handle.plug.claimed[intf]
        dev_handle.plug.check()

    def is_kernel_driver_active(self, dev_handle: Handle, intf: int) -> bool:
        if self.system == "windows":
            raise NotImplementedError("is_kernel_driver_active")
        dev_handle.plug.check()
        return dev_handle.plug.kernel_bound and intf == 0

    def detach_kernel_driver(self, dev_handle: Handle, intf: int) -> None:
        plug = self._kernel_driver(dev_handle)
        if not plug.kernel_bound:
            raise _error("Entity not found", -5, errno.ENOENT)
        for channel in plug.device.channels:
            if channel.started:
                plug.device.control(0x41, wire.MODE, channel.number, 0, bytes(8))
        plug.kernel_bound = False

    def attach_kernel_driver(self, dev_handle: Handle, intf: int) -> None:
        plug = self._kernel_driver(dev_handle)
        if plug.kernel_bound or plug.claimed.get(intf):
            raise _busy()
        plug.kernel_bound = True
        if self.readdress_on_attach:
            self.replug(plug.device)

    def _kernel_driver(self, dev_handle: Handle) -> Plug:
        if self.system == "windows":
            raise NotImplementedError("kernel drivers")
        dev_handle.plug.check()
        if self.system == "macos":
            raise _error("Access denied (insufficient permissions)", -3, errno.EACCES)
        return dev_handle.plug

    def clear_halt(self, dev_handle: Handle, ep: int) -> None:
        dev_handle.plug.check()

    def reset_device(self, dev_handle: Handle) -> None:
        dev_handle.plug.check()
        dev_handle.plug.resets += 1
        dev_handle.plug.device.usb_reset()

    # --- transfers

    def ctrl_transfer(
        self, dev_handle: Handle, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data: Any, timeout: int
    ) -> int:
        dev_handle.plug.check()
        incoming = bool(bmRequestType & 0x80)
        try:
            answer = dev_handle.plug.device.control(
                bmRequestType, bRequest, wValue, wIndex, len(data) if incoming else bytes(data)
            )
        except Stall as error:
            raise _error("Pipe error", -9, errno.EPIPE) from error
        except Gone as error:
            raise _gone() from error
        if not incoming:
            return len(data)
        data[: len(answer)] = array("B", answer)
        return len(answer)

    def bulk_read(self, dev_handle: Handle, ep: int, intf: int, buff: Any, timeout: int) -> int:
        plug = dev_handle.plug
        if not plug.attached or plug.kernel_bound or plug.busy or ep != 0x81:
            self._refuse_transfer(plug)
        try:
            data = plug.pipe.pop(len(buff), timeout / 1000 if timeout else 1e6)
        except Gone as error:
            raise _gone() from error
        except Overflow as error:
            raise _error("Overflow", -8, errno.EOVERFLOW) from error
        if data is None:
            raise self._timeout()
        length = len(data)
        memoryview(buff)[:length] = data
        return length

    def bulk_write(self, dev_handle: Handle, ep: int, intf: int, data: Any, timeout: int) -> int:
        plug = dev_handle.plug
        if not plug.attached or plug.kernel_bound or plug.busy:
            self._refuse_transfer(plug)
        deadline = None
        try:
            kind = plug.device.kind
            if ep not in kind.out_endpoints:
                raise _error("Entity not found", -5, errno.ENOENT)
            while ep in kind.idle_endpoints or not plug.device.bulk_out(bytes(data)):
                now = time.monotonic()
                deadline = deadline or now + (timeout / 1000 if timeout else 1e6)
                if now >= deadline:
                    raise self._timeout()
                plug.device.takes_out()
                time.sleep(0.001)
        except Gone as error:
            raise _gone() from error
        return len(data)

    def _refuse_transfer(self, plug: Plug) -> None:
        plug.check()
        if plug.kernel_bound or plug.busy:
            raise _busy()
        raise _error("Entity not found", -5, errno.ENOENT)

    def _timeout(self) -> usb.core.USBTimeoutError:
        return usb.core.USBTimeoutError("Operation timed out", -7, _TIMEOUT_ERRNO[self.system])


_FORMATS = {
    2: (
        "<BBHBBBBB",
        "bLength bDescriptorType wTotalLength bNumInterfaces bConfigurationValue iConfiguration bmAttributes bMaxPower",
    ),
    4: (
        "<9B",
        "bLength bDescriptorType bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass bInterfaceSubClass "
        "bInterfaceProtocol iInterface",
    ),
    5: ("<BBBBHB", "bLength bDescriptorType bEndpointAddress bmAttributes wMaxPacketSize bInterval"),
}


def _pieces(device: GsUsbDevice) -> list[SimpleNamespace]:
    """The configuration descriptor, and the descriptors of interfaces and endpoints in it."""
    raw = device.kind.configuration_descriptor()
    found = []
    while raw:
        layout = _FORMATS.get(raw[1])
        if layout:
            values = struct.unpack_from(layout[0], raw)
            piece = SimpleNamespace(**dict(zip(layout[1].split(), values, strict=True)))
            piece.extra_descriptors = []
            piece.bRefresh = piece.bSynchAddress = 0
            found.append(piece)
        raw = raw[raw[0] :]
    return found
