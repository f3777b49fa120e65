"""A gs_usb adapter that this process has open: one claim and one reader thread for all its channels."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
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
    GsUsbInfo,
    errno_of,
    has_kernel_driver,
    hold,
    path_of,
    read_info,
    sentence,
    usb_devices,
)
from opendiag.adapters.gs_usb_plain_codec import PlainFrames
from opendiag.adapters.reader import Reader
from opendiag.adapters.udev import GS_USB
from opendiag.adapters.usb_stream import UsbStream, cannot_open, failed, find_endpoints, is_busy

#: Its counter of microseconds wraps after 71.6 minutes; asking now and then keeps it in step with a silent bus.
_ANCHOR_S = 600.0
_STATE_S = 1.0
#: Frames of an earlier session are thrown away until it is silent for 10 ms; for so long at most.
_DRAIN_S, _SILENT_MS = 0.5, 10
_ROUNDS = 64
#: A device that fails to tell its state so often in a row says that it can, and cannot. One that refuses it does so.
_REFUSALS = 3


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
        self._refusals = 0
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
        except BaseException:
            self._shut()
            raise
        self._due_ns = self._anchor_due_ns = 0
        self._reader = Reader(self, self.name)
        self._reading = False

    # --- opening and closing

    def _open(self, info: GsUsbInfo) -> UsbStream:
        device = info.device
        stream: UsbStream | None = None
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
            self._undo(device, stream)
            text = f"{self.name} is in use: another program has it open" if is_busy(error) else sentence(error)
            raise cannot_open(f"{self.name}: {text}", errno_of(error)) from error
        except can.CanError as error:
            self._undo(device, stream)
            raise cannot_open(str(error), error.error_code) from error
        except BaseException:  # Ctrl-C: Linux's driver gets it back all the same
            self._undo(device, stream)
            raise
        hold(info, True)
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

    def _undo(self, device: Any, stream: UsbStream | None) -> None:
        if stream is not None:  # transfers are on their way into its memory
            stream.close()
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
        """Stops what is not stopped yet."""
        for channel in self._channels.values():
            self.stop(channel)
        self._reader.stop()
        self._shut()

    def _shut(self) -> None:
        hold(self.info, False)
        self._stream.close()
        self._read_errors += self._stream.read_errors
        self._stream.read_errors = 0
        self._attach_again(self.info.device)

    # --- channels

    def constants(self, number: int) -> BtConst:
        """What this channel can do. Raise can.CanOperationError, ValueError."""
        if number not in self._constants:
            self._constants[number] = self._ask_constants(number)
        return self._constants[number]

    def _ask_constants(self, number: int) -> BtConst:
        ask = self._stream.ask
        constants = unpack_bt_const(ask(Request.BT_CONST, number, 40))
        if constants.feature & Feature.FD and constants.feature & Feature.BT_CONST_EXT:
            constants = unpack_bt_const(ask(Request.BT_CONST_EXT, number, 72))
        return constants

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
                self._start(channel, anchor=not self._reading)
                if not self._reading:
                    self._reading = True
                    self._reader.start()
                if self.failure is not None:  # in the meantime
                    raise Unplugged(str(self.failure))
            except BaseException:
                self._forget(channel)
                raise
            self._reader.reconnect_s = max(other.reconnect_s for other in self._channels.values())

    def _start(self, channel: Channel, anchor: bool) -> None:
        """``anchor``: nobody else uses the clock now."""
        number, settings, tell = channel.number, channel.settings, self._stream.tell
        tell(Request.MODE, number, pack_mode(False))  # an earlier program may have been killed
        if not self._channels and not self._reading:
            self._drain()
        if settings.termination is not None:
            tell(Request.SET_TERMINATION, number, int(settings.termination).to_bytes(4, "little"))
        timestamps = bool(settings.flags & Feature.HW_TIMESTAMP)
        counter_us = self._counter_us(number, anchor) if timestamps else None
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
        channel.slots.fail(_closed(channel))  # whoever waits for one must not send to a channel that is stopped

    def _forget(self, channel: Channel) -> None:
        self._channels = {number: other for number, other in self._channels.items() if other is not channel}

    def send(self, channel: Channel, data: bytes, timeout_s: float) -> None:
        """Raise QueueFull, Unplugged, can.CanOperationError."""
        if self._channels.get(channel.number) is not channel:
            raise _closed(channel)
        self._stream.write(data, timeout_s)

    def tell(self, request: Request, value: int, data: bytes) -> None:
        """Raise Unplugged, can.CanOperationError."""
        self._stream.tell(request, value, data)

    def ask(self, request: Request, value: int, length: int) -> bytes:
        """Raise Unplugged, can.CanOperationError."""
        try:
            return self._stream.ask(request, value, length)
        except ValueError as error:
            raise failed(f"{self.name}: {error}") from error

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

    def _counter_us(self, number: int, anchor: bool) -> int:
        counter_us = int.from_bytes(self._stream.ask(Request.TIMESTAMP, number, 4), "little")
        if anchor:
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
                self._anchor_again(number)
                anchor = False
            if self._refusals < _REFUSALS and features & Feature.GET_STATE:
                self._ask_state(number, channel)

    def _anchor_again(self, number: int) -> None:
        try:
            self._counter_us(number, True)
        except Unplugged:
            raise
        except (can.CanOperationError, ValueError):  # there is time for many more
            self._anchor_due_ns = 0

    def _ask_state(self, number: int, channel: Channel) -> None:
        try:
            channel.report(unpack_state(self._stream.ask(Request.GET_STATE, number, 12)))
            self._refusals = 0
        except Unplugged:
            raise
        except (can.CanOperationError, ValueError) as error:
            self._refusals += _REFUSALS if getattr(error, "error_code", None) in (errno.EPIPE, None) else 1

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
            if all(channel.failure for channel in self._channels.values()):
                raise cannot_open(f"nobody waits for {self.name} any more")
            info = self._again()
            self._stream = self._open(info)
            self.info = info
            try:
                self._restart()
            except (can.CanError, ValueError) as error:
                self._shut()
                raise cannot_open(str(error)) from error

    def _again(self) -> GsUsbInfo:
        here = usb_devices(self._backend, GS_USB)
        at_place = [device for device in here if path_of(device) == self.info.path]
        for device in at_place or (here if self.info.serial else []):
            info = read_info(device)
            same = (info.vid, info.pid, info.serial) == (self.info.vid, self.info.pid, self.info.serial)
            if same and not info.problem:
                return info
        raise cannot_open(f"{self.name} is not there", errno.ENODEV)

    def _restart(self) -> None:
        config = DeviceConfig.unpack(self._stream.ask(Request.DEVICE_CONFIG, 1, 12))
        same = all(self._ask_constants(number) == known for number, known in self._constants.items())
        if config.channels != self.config.channels or not same:
            raise cannot_open(f"{self.name}: another adapter is plugged in there now")
        self._clock = DeviceClock(1000, 1 << 32)
        self._layouts = []
        channels = [channel for channel in self._channels.values() if channel.failure is None]
        self._drain()
        for channel in channels:
            self._start(channel, anchor=True)


def _closed(channel: Channel) -> can.CanOperationError:
    return failed(f"{channel.name} is closed", errno.EBADF)
