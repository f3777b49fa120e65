"""A gs_usb adapter that this process has open: one claim and one reader thread for all its channels."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Iterator
from typing import Any

import can
import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]
import usb.util  # type: ignore[import-not-found, import-untyped, unused-ignore]

from opendiag.adapters.bus import Unplugged
from opendiag.adapters.device_clock import DeviceClock, HostClock
from opendiag.adapters.gs_usb_channel import Channel
from opendiag.adapters.gs_usb_codec import (
    HOST_FORMAT,
    BtConst,
    DeviceConfig,
    Feature,
    FrameSplitter,
    Layout,
    Request,
    pack_bit_timing,
    pack_mode,
    unpack_bt_const,
    unpack_state,
)
from opendiag.adapters.gs_usb_find import (
    KNOWN,
    GsUsbInfo,
    errno_of,
    has_kernel_driver,
    path_of,
    read_info,
    sentence,
    usb_devices,
)
from opendiag.adapters.gs_usb_plain_codec import PlainFrames
from opendiag.adapters.reader import Reader
from opendiag.adapters.usb_stream import Endpoints, UsbStream, cannot_open, is_busy

#: Its counter of microseconds wraps after 71.6 minutes; asking now and then keeps it in step with a silent bus.
_ANCHOR_S = 600.0
_STATE_S = 1.0
#: Frames of an earlier session are thrown away until it is silent for 10 ms; for so long at most.
_DRAIN_S, _SILENT_MS = 0.5, 10
_PREFERRED_OUT = 0x02
_ROUNDS = 64

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


class GsUsbDevice:
    """``failure`` is why it will not come back. Frames of all channels are read by one thread.

    Raise can.CanInitializationError.
    """

    def __init__(self, info: GsUsbInfo, backend: Any, detach: bool) -> None:
        self.name = info.name
        self.info = info
        self.failure: Exception | None = None
        self._backend = backend
        self._detach = detach
        self._detached = False
        self._channels: dict[int, Channel] = {}
        self._changing = threading.Lock()
        self._host_clock = HostClock()
        self._clock = DeviceClock(1000, 1 << 32)
        self._asks_state = True
        self._gone_since = 0.0
        self._read_errors = 0
        self._layouts: list[Layout] = []
        self._splitters: list[FrameSplitter] = []
        self._stream: UsbStream = self._open(info)
        try:
            self.config = DeviceConfig.unpack(self._stream.ask(Request.DEVICE_CONFIG, 1, 12))
            self._constants: dict[int, BtConst] = {}
        except (can.CanError, ValueError) as error:
            self._shut()
            raise cannot_open(str(error)) from error
        self._due_ns = self._anchor_due_ns = 0
        self._reader = Reader(self, self.name)
        self._reading = False

    # --- opening and closing

    def _open(self, info: GsUsbInfo) -> UsbStream:
        device = info.device
        try:
            try:
                device.get_active_configuration()
            except usb.core.USBError as error:
                if errno_of(error) is not None:
                    raise
                device.set_configuration()  # nobody has chosen one yet
            self._take_from_kernel(info)
            endpoints = find_endpoints(device)
            usb.util.claim_interface(device, 0)
            stream = UsbStream(device, endpoints, self.name)
            stream.tell(Request.HOST_FORMAT, 1, HOST_FORMAT)
        except (usb.core.USBError, NotImplementedError, ValueError) as error:
            self._undo(device)
            text = f"{self.name} is in use: another program has it open" if is_busy(error) else sentence(error)
            raise cannot_open(f"{self.name}: {text}", errno_of(error)) from error
        except can.CanError as error:
            self._undo(device)
            raise cannot_open(str(error), error.error_code) from error
        return stream

    def _take_from_kernel(self, info: GsUsbInfo) -> None:
        device = info.device
        if not has_kernel_driver(device):
            return
        if not self._detach:
            made = " and ".join(info.kernel_interfaces)
            use = f"-i socketcan:{info.kernel_interfaces[0]}" if made else "that, with -i socketcan:can0 or its like"
            raise cannot_open(
                f"Linux has made {made or 'a CAN interface'} of it: use {use}, or add ?detach_kernel_driver=yes",
                errno.EBUSY,
            )
        device.detach_kernel_driver(0)
        self._detached = True

    def _undo(self, device: Any) -> None:
        with contextlib.suppress(usb.core.USBError, NotImplementedError):
            usb.util.dispose_resources(device)
        self._attach_again(device)

    def _attach_again(self, device: Any) -> None:
        if not self._detached:
            return
        self._detached = False
        with contextlib.suppress(usb.core.USBError, NotImplementedError):
            device.attach_kernel_driver(0)
        with contextlib.suppress(usb.core.USBError, NotImplementedError):
            usb.util.dispose_resources(device)

    @property
    def in_use(self) -> bool:
        return bool(self._channels)

    def close(self) -> None:
        """All channels are stopped."""
        self._reader.stop()
        self._shut()

    def _shut(self) -> None:
        self._stream.close()
        self._read_errors += self._stream.read_errors
        self._stream.read_errors = 0
        self._attach_again(self.info.device)

    # --- channels

    def constants(self, number: int) -> BtConst:
        """What this channel can do. Raise can.CanOperationError, ValueError."""
        if number not in self._constants:
            ask = self._stream.ask
            constants = unpack_bt_const(ask(Request.BT_CONST, number, 40))
            if constants.feature & Feature.FD and constants.feature & Feature.BT_CONST_EXT:
                constants = unpack_bt_const(ask(Request.BT_CONST_EXT, number, 72))
            self._constants[number] = constants
        return self._constants[number]

    def check_free(self, number: int) -> None:
        """Raise can.CanInitializationError if this process uses the channel already."""
        if number in self._channels:
            raise cannot_open(f"channel {number} of {self.name} is open already in this program")

    def start(self, channel: Channel) -> None:
        """Raise can.CanError, and nothing is left behind."""
        self.check_free(channel.number)
        with self._changing:
            if self.failure is not None:
                raise Unplugged(str(self.failure))
            try:
                self._start(channel)
                if not self._reading:
                    self._reading = True
                    self._reader.start()
                if self.failure is not None:  # in the meantime
                    raise Unplugged(str(self.failure))
            except BaseException:
                self._forget(channel)
                raise
            self._reader.reconnect_s = max(other.reconnect_s for other in self._channels.values())

    def _start(self, channel: Channel) -> None:
        number, settings, tell = channel.number, channel.settings, self._stream.tell
        tell(Request.MODE, number, pack_mode(False))  # an earlier program may have been killed
        if not self._channels and not self._reading:
            self._drain()
        if settings.termination is not None:
            tell(Request.SET_TERMINATION, number, int(settings.termination).to_bytes(4, "little"))
        timestamps = bool(settings.flags & Feature.HW_TIMESTAMP)
        counter_us = self._anchor(number) if timestamps else None
        tell(Request.BITTIMING, number, pack_bit_timing(settings.timing))
        if settings.data_timing is not None:
            # On a CANtact Pro the number of GET_USER_ID sets the data timing.
            request = Request.GET_USER_ID if self.info.is_cantact_pro_2 else Request.DATA_BITTIMING
            tell(request, number, pack_bit_timing(settings.data_timing))
        self._split_for(channel)
        channel.starts(counter_us)
        self._channels = {**self._channels, number: channel}
        tell(Request.MODE, number, pack_mode(True, settings.flags))

    def _split_for(self, channel: Channel) -> None:
        """Channels that are not started count as this one: it is faster when all are alike."""
        layout = channel.settings.layout
        started = {number: other.settings.layout for number, other in self._channels.items()}
        started[channel.number] = layout
        layouts = [started.get(number, layout) for number in range(self.config.channels)]
        if layouts != self._layouts:
            self._layouts = layouts
            self._splitters.append(FrameSplitter(layouts, self._stream.endpoints.packet, self._stamp))
            self._plain = PlainFrames(layouts, self._stamp)

    def _stamp(self, counter_us: int, now_ns: int) -> int:
        return self._clock.time_ns(counter_us, now_ns) if counter_us else now_ns  # 0: it has none after all

    def stop(self, channel: Channel) -> None:
        """Again does nothing. Other channels go on."""
        with self._changing:
            if self._channels.get(channel.number) is not channel:
                return
            if self.failure is None:
                with contextlib.suppress(can.CanError):  # it may have been unplugged
                    self._stream.tell(Request.MODE, channel.number, pack_mode(False))
            self._forget(channel)

    def _forget(self, channel: Channel) -> None:
        self._channels = {number: other for number, other in self._channels.items() if other is not channel}

    def send(self, channel: Channel, data: bytes, timeout_s: float) -> None:
        """Raise QueueFull, Unplugged, can.CanOperationError."""
        self._stream.write(data, timeout_s)

    def tell(self, request: Request, value: int, data: bytes) -> None:
        """Raise Unplugged, can.CanOperationError."""
        self._stream.tell(request, value, data)

    def ask(self, request: Request, value: int, length: int) -> bytes:
        """Raise Unplugged, can.CanOperationError."""
        return self._stream.ask(request, value, length)

    @property
    def counters(self) -> dict[str, int]:
        """Of all channels together."""
        names = ("short", "malformed", "unknown_channel", "repaired_echo_ids")
        found = {name: sum(getattr(splitter, name) for splitter in self._splitters) for name in names}
        found["read_errors"] = self._read_errors + self._stream.read_errors
        found["reconnects"] = self._reader.reconnects
        return found

    def _drain(self) -> None:
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until and self._stream.read(_SILENT_MS):
            pass

    def _anchor(self, number: int) -> int:
        counter_us = int.from_bytes(self._stream.ask(Request.TIMESTAMP, number, 4), "little")
        self._clock.anchor(counter_us, self._host_clock.now_ns())
        return counter_us

    # --- the reader thread

    def read(self) -> None:
        """Up to 64 transfers, to be rid of what each call costs; a silent adapter ends it."""
        read, now = self._stream.read, self._host_clock.now_ns
        for _ in range(_ROUNDS):
            data = read()
            now_ns = now()
            if not data or now_ns > self._due_ns:
                break
            plain = self._plain  # `start` and `stop` replace it and the channels, and never change them
            if len(data) == plain.size and (found := plain.read(data, now_ns)):
                channel = self._channels.get(found[0])
                if channel is not None and channel.settled:
                    channel.accept_plain(found[1])
                    continue
            self._read_other(data, now_ns)
        else:
            return
        if data:
            self._read_other(data, now_ns)
        if now_ns > self._due_ns:
            self._regularly(now_ns)

    def _read_other(self, data: bytes, now_ns: int) -> None:
        for host in self._splitters[-1].split(data, now_ns):
            channel = self._channels.get(host.channel)
            if channel is not None:
                channel.accept(host)

    def _regularly(self, now_ns: int) -> None:
        self._due_ns = now_ns + int(_STATE_S * 1e9)
        anchor = now_ns > self._anchor_due_ns
        for number, channel in self._channels.items():
            features = self._constants[number].feature
            if anchor and features & Feature.HW_TIMESTAMP:
                self._anchor_due_ns = now_ns + int(_ANCHOR_S * 1e9)
                self._anchor(number)
                anchor = False
            if self._asks_state and features & Feature.GET_STATE:
                self._ask_state(number, channel)

    def _ask_state(self, number: int, channel: Channel) -> None:
        try:
            channel.report(unpack_state(self._stream.ask(Request.GET_STATE, number, 12)))
        except Unplugged:
            raise
        except (can.CanOperationError, ValueError):
            self._asks_state = False  # it says that it can, and cannot

    def gone(self, reason: str) -> None:
        self._gone_since = time.monotonic()
        for channel in self._channels.values():
            if not channel.reconnect_s:
                channel.fail(Unplugged(reason))
            else:
                channel.gone(reason)
        self._shut()

    def lost(self, failure: Exception) -> None:
        self.failure = failure
        for channel in self._channels.values():
            channel.fail(failure)
        self._shut()

    def reopen(self) -> None:
        """At its place, or with its serial number at another one. Raise can.CanError while it is not there."""
        waited = time.monotonic() - self._gone_since
        with self._changing:
            for channel in self._channels.values():
                if waited > channel.reconnect_s:
                    channel.fail(
                        Unplugged(f"{self.name} is gone: unplugged, and not back after {channel.reconnect_s:g} s")
                    )
            info = self._again()
            self._stream = self._open(info)
            self.info = info
            try:
                self._restart()
            except (can.CanError, ValueError) as error:
                self._shut()
                raise cannot_open(str(error)) from error

    def _again(self) -> GsUsbInfo:
        here = usb_devices(self._backend, KNOWN)
        at_place = [device for device in here if path_of(device) == self.info.path]
        for device in at_place or (here if self.info.serial else []):
            info = read_info(device)
            same = (info.vid, info.pid, info.serial) == (self.info.vid, self.info.pid, self.info.serial)
            if same and not info.problem:
                return info
        raise cannot_open(f"{self.name} is not there", errno.ENODEV)

    def _restart(self) -> None:
        config = DeviceConfig.unpack(self._stream.ask(Request.DEVICE_CONFIG, 1, 12))
        constants, self._constants = self._constants, {}
        if config.channels != self.config.channels or any(self.constants(n) != constants[n] for n in constants):
            self._constants = constants
            raise cannot_open(f"{self.name}: another adapter is plugged in there now")
        self._clock = DeviceClock(1000, 1 << 32)
        self._layouts = []
        channels = [channel for channel in self._channels.values() if channel.failure is None]
        self._drain()
        for channel in channels:
            self._start(channel)


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
