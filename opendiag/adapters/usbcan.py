"""The USB-CAN Analyzer: Seeed 114991193, Waveshare USB-CAN-A and their like, on a serial port.

What it cannot tell: whether a frame was sent or acknowledged, bus-off, error frames, and the time of anything. What it
can do by itself is in `UsbCanBus.notes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import can
from can.typechecking import AutoDetectedConfig, CanFilters

from opendiag.adapters.bus import (
    AdapterBus,
    named_port,
    refuse_unknown,
    seconds,
    switches,
    weakly,
    whole_number,
    wrong_option,
)
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.reader import Reader
from opendiag.adapters.serial_line import MAX_BAUD
from opendiag.adapters.serial_ports import found_ports
from opendiag.adapters.usbcan_codec import BAUD_RATES, ManualTiming, Settings, Status, parse_timing
from opendiag.adapters.usbcan_link import UsbCanLink
from opendiag.adapters.usbcan_setup import ADVICE, clear_stored_filter, set_baud_rate
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame

__all__ = ["UsbCanBus", "clear_stored_filter", "set_baud_rate"]

_OPTIONS = (
    "bitrate, listen_only, receive_own_messages, can_filters, reconnect_s, baud, protocol, frame_type, filter_id, "
    "filter_mask, loopback, one_shot, status_interval_s, timing"
)
_PROTOCOLS = ("variable", "fixed")
_FRAME_TYPES = ("standard", "extended")
_ALONE = (
    "A USB-CAN Analyzer may hold frames that it sends by itself whenever it has power: its Windows program can store "
    "them in it, and nothing tells whether it did. Before you send, watch the bus with another adapter, or clear it: "
    "short its DEFAULT jumper while you plug it in."
)
#: So many answered status requests without any frame are odd.
_QUIET_STATUSES = 6
#: The 8-bit counter of a controller that is bus-off, or about to be.
_NEAR_BUS_OFF = 248


class UsbCanBus(AdapterBus):
    """``channel`` is the serial port, or counts the Analyzers that are plugged in, from 0.

    ``baud``        of the serial line; 0: found out, which asks at each rate the adapter has.
    ``protocol``    "variable", or "fixed": 20 bytes for each frame, with a checksum.
    ``frame_type``  "standard" receives both kinds of frames, "extended" only those. Manuals call 1 and 2 the type of
                    frames; this is what was seen on hardware.
    ``filter_id``, ``filter_mask``  bits that are 1 in the mask must be in an identifier as in ``filter_id``.
    ``loopback``    own frames come back, and still drive the bus unless ``listen_only`` is set too.
    ``one_shot``    a frame that lost the arbitration or was not acknowledged is not sent again.
    ``timing``      "bs1,bs2,prescaler" or "bs1,bs2,prescaler,sjw" in place of ``bitrate``, from 36 MHz; nobody is known
                    to have tried this on hardware.
    ``status_interval_s``  how often the error counters are asked for, at most each 0.1 s; 0: never.

    Own frames, with ``receive_own_messages``, are reported when they were written to the port: the adapter never says
    whether they reached the bus. With ``loopback`` they are reported when they come back. ``bus_state`` follows the
    error counters, and so never says "bus-off".
    """

    def __init__(
        self,
        channel: str | int | None = None,
        *,
        bitrate: int = 500_000,
        listen_only: bool = False,
        receive_own_messages: bool = False,
        can_filters: CanFilters | None = None,
        reconnect_s: float = 0.0,
        baud: int = 0,
        protocol: str = "variable",
        frame_type: str = "standard",
        filter_id: int = 0,
        filter_mask: int = 0,
        loopback: bool = False,
        one_shot: bool = False,
        status_interval_s: float = 0.5,
        timing: str | None = None,
        **other: Any,
    ) -> None:
        refuse_unknown("usbcan", other, _OPTIONS)
        port = port_of(named_port("usbcan", channel))
        _choice(port, "protocol", protocol, _PROTOCOLS)
        _choice(port, "frame_type", frame_type, _FRAME_TYPES)
        status_interval_s = seconds(port, "status_interval_s", status_interval_s)
        reconnect_s = seconds(port, "reconnect_s", reconnect_s)
        baud = whole_number(port, "baud", baud, 0, MAX_BAUD)
        listen_only, receive_own_messages, loopback, one_shot = switches(
            port,
            listen_only=listen_only,
            receive_own_messages=receive_own_messages,
            loopback=loopback,
            one_shot=one_shot,
        )
        bitrate, filter_id, filter_mask = (
            whole_number(port, option, value)
            for option, value in (("bitrate", bitrate), ("filter_id", filter_id), ("filter_mask", filter_mask))
        )
        try:
            manual: ManualTiming | None = parse_timing(str(timing)) if timing else None
            settings = Settings(
                bitrate, protocol == "fixed", frame_type == "extended", filter_id, filter_mask,
                loopback, listen_only, one_shot, manual,
            )  # fmt: skip
        except ValueError as error:
            raise wrong_option(f"{port}: {error}") from None
        inbox = Inbox()
        self._settings = settings
        self.listen_only = listen_only and not loopback
        self._link = UsbCanLink(port, (baud,) if baud else BAUD_RATES, settings, inbox, weakly(self._tell))
        self._link.status_interval_s = status_interval_s
        self._link.receive_own = receive_own_messages
        self._link.looked_for = reconnect_s > 0
        reader = self._reader = Reader(self._link, f"usbcan {port}", reconnect_s)
        self._link.give_up = lambda: reader.stopping
        super().__init__(f"usbcan {port}", port, inbox, can_filters, fd=False)
        self._reader.start()

    @property
    def notes(self) -> list[str]:
        """What whoever sends should know first."""
        notes = [] if self._settings.silent else [_ALONE]
        if slow := _too_slow(self._settings, self._link.baud):
            notes.append(slow)
        return notes

    @property
    def last_status(self) -> Status | None:
        """As the adapter sent it, with the bytes that nobody can read; None when it does not answer."""
        return self._link.status

    def send_frame(self, frame: Frame, timeout_s: float | None = None) -> None:
        """None: 1 s. Returns when the frame was written to the port, which is all that can be known.

        Raise QueueFull, Unplugged, can.CanOperationError.
        """
        self._ensure_open()
        if self.listen_only:
            raise can.CanOperationError(f"{self.name} is open for listening only; open it without listen_only to send")
        try:
            self._link.send(frame, timeout_s)
        except ValueError as error:
            raise can.CanOperationError(f"{self.name}: {error}") from None

    @property
    def counters(self) -> Mapping[str, int]:
        """``jammed``: writes that the port did not take in time. The others as `Parser` and `Reader` have them."""
        link, parser = self._link, self._link.parser
        return {
            **super().counters,
            "received": link.received,
            "written": link.written,
            "resyncs": parser.resyncs,
            "skipped": parser.skipped,
            "unended": parser.unended,
            "unknown": parser.unknown,
            "statuses": link.answered,
            "statuses_missed": link.missed,
            "jammed": link.jammed,
            "reconnects": self._reader.reconnects,
        }

    def findings(self) -> list[Finding]:
        return [*super().findings(), *_stream(self._link), *_health(self._link), *_returns(self._reader.reconnects)]

    def _tell(self, status: Status | None) -> None:
        self.bus_state = status.bus_state if status else None
        self.rx_errors = status.rx_errors if status else None
        self.tx_errors = status.tx_errors if status else None

    def _close(self) -> None:
        self._reader.stop()
        self._link.close()

    @staticmethod
    def _detect_available_configs() -> list[AutoDetectedConfig]:
        """Ports with a chip that Analyzers have; other things have it too."""
        return [AutoDetectedConfig(interface="opendiag_usbcan", channel=port) for port in _ports()]


def _ports() -> list[str]:
    return [port.device for port in found_ports() if port.adapter == "usbcan" and port.device]


def port_of(channel: str | int) -> str:
    """The serial port that a channel names. Raise can.CanInitializationError."""
    if not re.fullmatch("[0-9]{1,5}", str(channel)):
        return str(channel)
    ports = _ports()
    if int(channel) >= len(ports):
        there = ", ".join(ports) if ports else "none"
        raise can.CanInitializationError(
            f"there is no USB-CAN Analyzer number {channel}; ports with a chip that Analyzers have: {there}. "
            "Name the port itself, as in usbcan:/dev/ttyUSB0"
        )
    return ports[int(channel)]


def _choice(port: str, option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise wrong_option(f"{port}: {option} {value!r} is neither {' nor '.join(choices)}")


def _too_slow(settings: Settings, baud: int) -> str:
    """Can the bus bring more than the serial line carries? "" if not."""
    line = max((20 if settings.fixed else 5 + n) * 10 / (47 + 8 * n) for n in range(9))  # bits for each bit of the bus
    possible = baud / line
    if settings.actual_bit_rate <= possible:
        return ""
    return (
        f"At {baud} baud the serial line carries a full bus of up to {int(possible / 1000)} kbit/s with the "
        f"{'fixed' if settings.fixed else 'variable'} protocol: frames may get lost when the bus is busier."
    )


def _stream(link: UsbCanLink) -> list[Finding]:
    parser = link.parser
    found = []
    if parser.resyncs:
        sentence = f"{parser.resyncs} time{'s' * (parser.resyncs != 1)} bytes of the adapter were missing or damaged"
        sentence += f"; {parser.skipped} bytes were skipped, and the frames in them are lost"
        advice = "Try a lower baud rate, a shorter cable or another USB port; protocol=fixed has a checksum."
        found.append(Finding("adapter-malformed", Severity.WARNING, sentence, advice=advice))
    if link.jammed:
        sentence = f"{link.jammed} time{'s' * (link.jammed != 1)} the serial port took no bytes in time"
        found.append(Finding("adapter-jammed", Severity.WARNING, sentence, advice="Plug the adapter in again."))
    return found


def _health(link: UsbCanLink) -> list[Finding]:
    status = link.status
    if not link.answers or link.fell_silent:
        sentence = "the adapter does not answer when asked for its status: whether it works is not known"
        return [Finding("adapter-silent", Severity.WARNING, sentence, advice=f"{ADVICE}.")]
    if status is None:
        return []
    evidence = f"{status.rx_errors} receive errors, {status.tx_errors} transmit errors, flags {status.flags.hex(' ')}"
    if status.bus_state != "error-active":
        sentence = f"the adapter's CAN controller is {status.bus_state}"
        if status.tx_errors >= _NEAR_BUS_OFF:
            sentence += ", perhaps bus-off, which it does not tell"
        advice = "Check the bit rate, the wiring, the termination, and that another device is switched on."
        return [Finding("adapter-bus-state", Severity.WARNING, sentence, evidence=evidence, advice=advice)]
    if not link.received and link.answered >= _QUIET_STATUSES:
        sentence = "the adapter answers, and has received no frame so far"
        advice = (
            "If its light RX blinks, somebody stored a filter in it: opendiag adapter clear-filter. "
            "Else the bus is silent, or has another bit rate."
        )
        return [Finding("adapter-nothing-received", Severity.INFO, sentence, evidence=evidence, advice=advice)]
    return []


def _returns(times: int) -> list[Finding]:
    if not times:
        return []
    sentence = (
        f"the adapter was unplugged and came back {times} time{'s' * (times != 1)}; frames of meanwhile are missing"
    )
    return [Finding("adapter-reconnected", Severity.WARNING, sentence)]
