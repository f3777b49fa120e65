"""candleLight, CANable, CANtact, CANtact Pro, CANnectivity and their relatives over USB, without a kernel driver."""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
from collections.abc import Mapping
from typing import Any

import can
from can.typechecking import CanFilters

from opendiag.adapters.bit_timing import MAX_ERROR, BitTiming, Limits, bit_timing, parse_timing
from opendiag.adapters.bus import AdapterBus, Unplugged, refuse_unknown, seconds, whole_number
from opendiag.adapters.gs_usb_channel import Channel, Settings
from opendiag.adapters.gs_usb_codec import BtConst, Feature, Layout, Request, pack_frame
from opendiag.adapters.gs_usb_device import GsUsbDevice
from opendiag.adapters.gs_usb_find import FAMILIES, GsUsbInfo, choose, find_devices
from opendiag.adapters.gs_usb_shared import give_back, shared_device
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.usb_stream import cannot_open, failed
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame

#: How long `send` waits for the adapter to take a frame, unless it is told.
SEND_S = 0.5
#: What Linux's drivers bear.
_FORCED_ERROR = 0.05
_KNOWN = (
    "bitrate, data_bitrate, sample_point, data_sample_point, timing, data_timing, fd, listen_only, loopback, one_shot, "
    "triple_sampling, error_frames, termination, detach_kernel_driver, force_bitrate, receive_own_messages, "
    "can_filters, reconnect_s, device, usb_backend"
)
#: (option, what the adapter must have, what it does)
_MODES = (
    ("listen_only", Feature.LISTEN_ONLY, "listen without acknowledging"),
    ("loopback", Feature.LOOP_BACK, "loop its own frames back"),
    ("one_shot", Feature.ONE_SHOT, "send a frame only once (one_shot)"),
    ("triple_sampling", Feature.TRIPLE_SAMPLE, "sample each bit three times"),
    ("fd", Feature.FD, "do CAN FD"),
)
Timing = str | can.BitTiming | can.BitTimingFd


class GsUsbBus(AdapterBus):
    """``channel`` is DEVICE or DEVICE/N. DEVICE: a number as `opendiag ports` shows it, a serial number, or the place
    on the bus, as in "/1-2.3" (two CANtact Pros differ in nothing else). ``device`` limits the choice: "cantact",
    "candlelight" (all others) or "gs_usb" (all).

    Both channels of an adapter can be open at once in one program; a second program cannot have the other.

    ``sample_point`` is a part of the bit, 0..1; ``timing`` is "brp,prop_seg,phase_seg1,phase_seg2[,sjw]", and takes
    the place of the bit rate. ``data_bitrate`` or ``data_timing`` make it CAN FD. ``force_bitrate`` bears 5 % error in
    place of 0.5 %. ``error_frames``: the bus's errors come as error frames, where the adapter reports them.
    ``termination`` None leaves it as it is. ``detach_kernel_driver`` takes the adapter from Linux's own driver for as
    long as the bus is open.

    An own frame is received when the adapter has put it into its controller: a candleLight does not say whether
    somebody acknowledged it (CANnectivity does), a CANtact Pro does not even say that it left.

    Raises can.CanInitializationError, whose sentence says what to do.
    """

    def __init__(
        self,
        channel: int | str = 0,
        *,
        bitrate: int = 500_000,
        data_bitrate: int | None = None,
        sample_point: float | None = None,
        data_sample_point: float | None = None,
        timing: Timing | None = None,
        data_timing: str | None = None,
        fd: bool = False,
        listen_only: bool = False,
        loopback: bool = False,
        one_shot: bool = False,
        triple_sampling: bool = False,
        error_frames: bool = True,
        termination: bool | None = None,
        detach_kernel_driver: bool = False,
        force_bitrate: bool = False,
        receive_own_messages: bool = False,
        can_filters: CanFilters | None = None,
        reconnect_s: float = 0.0,
        device: str = "gs_usb",
        usb_backend: Any = None,
        **other: object,
    ) -> None:
        refuse_unknown("gs_usb", other, _KNOWN)
        fd = fd or data_bitrate is not None or data_timing is not None or isinstance(timing, can.BitTimingFd)
        reconnect_s = seconds("gs_usb", "reconnect_s", reconnect_s)
        rates = _Rates(bitrate, data_bitrate, sample_point, data_sample_point, timing, data_timing, force_bitrate)
        modes = (listen_only, loopback, one_shot, triple_sampling, fd)
        if device not in FAMILIES:
            raise cannot_open(f"there is no kind of adapter {device!r}; it is one of {', '.join(FAMILIES)}")
        info, number = choose(channel, device, usb_backend)
        name = f"{info.name} channel {number}" if (info.channels or 1) > 1 else info.name
        inbox = Inbox()
        self._link: Channel
        with shared_device(info, usb_backend, detach_kernel_driver) as shared:
            shared.check_free(number)
            constants = shared.constants(number)
            flags = _flags(name, modes, constants, error_frames, termination)
            timings = rates.timings(name, constants, fd)
            layout = _layout(info, flags)
            settings = Settings(timings[0], flags, layout, timings[1], termination)
            self._link = Channel(name, number, settings, constants.feature, inbox, info.is_cantact_pro_2)
            self._link.own = receive_own_messages
            self._link.error_frames = error_frames
            self._link.reconnect_s = reconnect_s
            shared.start(self._link)
        self._device: GsUsbDevice = shared
        self.listen_only = listen_only
        self._rate_errors = rates.errors(timings)
        try:
            super().__init__(name, info.channel_name(number), inbox, can_filters, fd=fd)
        except BaseException:
            give_back(shared, self._link)
            raise
        self._link.report_to(self)

    def send_frame(self, frame: Frame, timeout_s: float | None = None) -> None:
        """Waits 0.5 s for the adapter to take it, unless told otherwise.

        Raise QueueFull, Unplugged, or can.CanOperationError for what this adapter cannot send.
        """
        self._ensure_open()
        link = self._link
        if self.listen_only:
            raise failed(f"{self.name} was opened to listen only: nothing is sent")
        if frame.error:
            raise failed(f"{self.name}: error frames cannot be sent")
        if frame.fd and not link.settings.layout.fd:
            raise failed(f"{self.name} was not opened for CAN FD: open it with data_bitrate")
        timeout_s = SEND_S if timeout_s is None else timeout_s
        slot = link.slots.take(frame, timeout_s)
        try:
            self._device.send(link, pack_frame(frame, slot, link.number, link.settings.layout), timeout_s or 0.01)
        except Unplugged as failure:
            link.slots.give_back(slot)
            if link.reconnect_s and link.failure is None:
                raise failed(f"{failure}; it is looked for", errno.ENETDOWN) from failure
            raise
        except BaseException:
            link.slots.give_back(slot)
            raise

    @property
    def info(self) -> GsUsbInfo:
        """The adapter that it is; after plugging it in again, where it is now."""
        return self._device.info

    @property
    def timing(self) -> BitTiming:
        """Nominal, as the adapter was told."""
        return self._link.settings.timing

    @property
    def data_timing(self) -> BitTiming | None:
        """Of the data phase of CAN FD."""
        return self._link.settings.data_timing

    def identify(self, on: bool) -> None:
        """Let its lights blink. Raise can.CanOperationError if it cannot."""
        self._ensure_open()
        features = self._device.constants(self._link.number).feature
        if not features & Feature.IDENTIFY or self._device.config.sw_version <= 1:
            raise failed(f"{self.name} cannot blink")
        self._device.tell(Request.IDENTIFY, self._link.number, int(on).to_bytes(4, "little"))

    def termination(self, on: bool | None = None) -> bool:
        """Switch the 120 ohm resistor if asked to, and say whether it is on.

        Raise can.CanOperationError if it has none that can be switched.
        """
        self._ensure_open()
        number = self._link.number
        if not self._device.constants(number).feature & Feature.TERMINATION:
            raise failed(f"{self.name} has no termination that can be switched")
        if on is not None:
            self._device.tell(Request.SET_TERMINATION, number, int(on).to_bytes(4, "little"))
        return bool(int.from_bytes(self._device.ask(Request.GET_TERMINATION, number, 4), "little"))

    @property
    def counters(self) -> Mapping[str, int]:
        """``unexpected_echoes`` have a number that is not in use. From ``short`` on: of the whole adapter."""
        link, device = self._link, self._device
        return {
            **super().counters,
            "overflows": link.overflows,
            "stale": link.stale,
            "echo_timeouts": link.slots.timeouts,
            "unexpected_echoes": link.slots.unexpected,
            "bus_offs": link.bus_offs,
            **device.counters,
        }

    def findings(self) -> list[Finding]:
        """What was odd so far, and what this adapter cannot tell."""
        found = super().findings()
        found += self._found_while_sending()
        counters = self.counters
        if counters["overflows"]:
            sentence = f"{self.name} had no room for received frames, {counters['overflows']} times: some are lost"
            found.append(Finding("adapter-overflow", Severity.ERROR, sentence))
        damaged = sum(counters[name] for name in ("short", "malformed", "unknown_channel", "unexpected_echoes"))
        if damaged:
            sentence = f"{self.name} sent {damaged} blocks that are no frames, or echoes of frames that nobody sent"
            found.append(Finding("adapter-malformed", Severity.WARNING, sentence))
        if counters["reconnects"]:
            sentence = f"{self.name} was unplugged and came back, {counters['reconnects']} times"
            found.append(Finding("adapter-reconnected", Severity.WARNING, sentence))
        if counters["bus_offs"]:
            advice = "Look at the bit rate, the wiring and the termination."
            sentence = f"{self.name} went bus-off, {counters['bus_offs']} times"
            found.append(Finding("adapter-bus-off", Severity.ERROR, sentence, advice=advice))
        found += [Finding("adapter-bit-rate", Severity.WARNING, f"{self.name}: {text}") for text in self._rate_errors]
        if not self._link.tells_state:
            found.append(Finding("adapter-mute", Severity.INFO, f"{self.name} {_MUTE}"))
        return found

    def _found_while_sending(self) -> list[Finding]:
        slots = self._link.slots
        number, age_s = slots.waiting()
        advice = "Is another device on the bus, at this bit rate, and is the bus terminated?"
        if number and age_s > 1.0:
            sentence = f"{self.name}: {number} frames wait to be sent, for {age_s:.0f} s: nobody acknowledges them"
            return [Finding("adapter-no-acknowledge", Severity.ERROR, sentence, advice=advice)]
        if slots.timeouts:
            sentence = f"{self.name} did not confirm {slots.timeouts} frames: they may not have been sent"
            return [Finding("adapter-echo-timeout", Severity.WARNING, sentence, advice=advice)]
        return []

    def _close(self) -> None:
        give_back(self._device, self._link)

    def __del__(self) -> None:
        """In a thread of its own: garbage is collected anywhere, also in the reader's thread and under its locks."""
        device = self.__dict__.get("_device")
        if device is None or self._is_shutdown or sys.is_finalizing():
            return
        self._is_shutdown = True
        with contextlib.suppress(RuntimeError):  # the interpreter ends
            threading.Thread(target=give_back, args=(device, self._link), name=f"closes {self.name}").start()

    @staticmethod
    def _detect_available_configs() -> list[can.typechecking.AutoDetectedConfig]:
        try:
            found = find_devices()
        except can.CanInitializationError:  # no libusb: nothing is here
            return []
        return [
            {"interface": "opendiag_gs_usb", "channel": info.channel_name(number)}
            for info in found
            if not info.kernel_interfaces  # Linux has it: SocketCAN lists it
            for number in range(info.channels or 1)
        ]


_MUTE = (
    "tells neither the state of its controller nor errors of the bus: bus-off and a missing acknowledge "
    "cannot be seen. It echoes a frame at once, whether it leaves or not"
)


def _flags(
    name: str, modes: tuple[bool, ...], constants: BtConst, error_frames: bool, termination: bool | None
) -> Feature:
    """Those of the start request: what was asked for, and reports wherever there are any.

    Raise can.CanInitializationError for what the adapter does not have.
    """
    features = constants.feature
    flags = features & Feature.HW_TIMESTAMP
    if error_frames:
        flags |= features & Feature.BERR_REPORTING
    for asked, (option, feature, what) in zip(modes, _MODES, strict=True):
        if asked:
            if not features & feature:
                raise cannot_open(f"{name} cannot {what}: open it without {option}")
            flags |= feature
    if termination is not None and not features & Feature.TERMINATION:
        raise cannot_open(f"{name} has no termination that can be switched: open it without termination")
    return flags


def _layout(info: GsUsbInfo, flags: Feature) -> Layout:
    quirk = info.is_cantact_pro_2 or bool((info.features or Feature(0)) & Feature.REQ_USB_QUIRK_LPC546XX)
    return Layout(bool(flags & Feature.HW_TIMESTAMP), bool(flags & Feature.FD), quirk)


def _part(option: str, value: object) -> float | None:
    """Also of a text. Raise can.CanInitializationError."""
    try:
        return None if value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise cannot_open(f"gs_usb: {option} is {value!r}: expected a part of the bit, as in 0.875") from None


class _Rates:
    """What was asked for, until the adapter has said what it can do."""

    def __init__(
        self,
        rate: int,
        data_rate: int | None,
        point: float | None,
        data_point: float | None,
        timing: Timing | None,
        data_timing: str | None,
        forced: bool,
    ) -> None:
        data_rate = None if data_rate is None else whole_number("gs_usb", "data_bitrate", data_rate)
        self._wanted = (whole_number("gs_usb", "bitrate", rate), data_rate)
        self._points = (_part("sample_point", point), _part("data_sample_point", data_point))
        if isinstance(timing, can.BitTimingFd):
            data_timing = _text(timing.data_brp, timing.data_tseg1, timing.data_tseg2, timing.data_sjw)
        self._texts = (_text_of(timing), data_timing)
        self._max_error = _FORCED_ERROR if forced else MAX_ERROR
        self._clock = getattr(timing, "f_clock", None)

    def timings(self, name: str, constants: BtConst, fd: bool) -> tuple[BitTiming, BitTiming | None]:
        """Nominal and of the data phase. Raise can.CanInitializationError."""
        limits = constants.limits
        if self._clock not in (None, limits.clock_hz):
            mega = limits.clock_hz / 1e6
            raise cannot_open(f"{name} has a clock of {mega:g} MHz, and the timing is for {self._clock / 1e6:g} MHz")
        if fd and self._wanted[1] is None and self._texts[1] is None:
            raise cannot_open(f"{name}: CAN FD needs a bit rate of the data phase, as in data_bitrate=2000000")
        try:
            nominal = self._timing(0, limits)
            return nominal, self._timing(1, constants.data_limits or limits) if fd else None
        except ValueError as error:
            raise cannot_open(f"{name}: {error}") from error

    def _timing(self, phase: int, limits: Limits) -> BitTiming:
        text, rate = self._texts[phase], self._wanted[phase]
        if text is not None:
            return parse_timing(text, limits)
        return bit_timing(limits, rate or 0, self._points[phase], max_error=self._max_error)

    def errors(self, timings: tuple[BitTiming, BitTiming | None]) -> list[str]:
        """Sentences about rates that are further off than is sensible, as they were forced."""
        found = []
        for timing, wanted, text in zip(timings, self._wanted, self._texts, strict=True):
            if timing and wanted and text is None and abs(timing.bit_rate - wanted) > MAX_ERROR * wanted:
                found.append(f"the bit rate is {timing.bit_rate:.0f} in place of {wanted} bit/s")
        return found


def _text_of(timing: Timing | None) -> str | None:
    if isinstance(timing, can.BitTimingFd):
        return _text(timing.nom_brp, timing.nom_tseg1, timing.nom_tseg2, timing.nom_sjw)
    if isinstance(timing, can.BitTiming):
        return _text(timing.brp, timing.tseg1, timing.tseg2, timing.sjw)
    return timing


def _text(brp: int, tseg1: int, tseg2: int, sjw: int) -> str:
    """python-can joins the first two segments."""
    return f"{brp},{tseg1 // 2},{tseg1 - tseg1 // 2},{tseg2},{sjw}"
