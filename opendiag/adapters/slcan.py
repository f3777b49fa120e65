"""SLCAN adapters on a serial port: Lawicel, USBtin, CANable, CANable 2, CANtact, WeAct and their relatives."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Any

import can
from can.typechecking import AutoDetectedConfig, CanFilters

from opendiag.adapters.bus import (
    AdapterBus,
    named_port,
    refuse_unknown,
    seconds,
    weakly,
    whole_number,
    wrong_option,
    yes_or_no,
)
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.reader import Reader
from opendiag.adapters.serial_line import MAX_BAUD
from opendiag.adapters.serial_ports import found_ports
from opendiag.adapters.slcan_dialect import ALIASES, DIALECTS, Dialect, Settings, steps
from opendiag.adapters.slcan_link import OTHER_KIND, Health, Options, SlcanLink, identify
from opendiag.adapters.slcan_talk import Identity
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame

_OPTIONS = (
    "bitrate, data_bitrate, fd, baud, dialect, btr, listen_only, timestamps, acceptance_code, acceptance_mask, "
    "auto_retransmit, receive_own_messages, can_filters, reconnect_s, status_interval_s and tx_window"
)
_REGISTER_BITS = (
    "a peripheral did not start",
    "the USB line was busy",
    "a transmission failed",
    "received frames were lost",
    "frames to send were lost",
    "bytes from the host were lost",
    "bytes to the host were lost",
)
_NOBODY = "As a rule nobody on the bus acknowledges: look at bit rate, wiring, termination and power of the others."
_OTHER_RATE = "Nothing was sent, so as a rule the bus runs at another bit rate, or its wiring or termination is wrong."


class SlcanBus(AdapterBus):
    """``channel`` is a serial port. ``dialect`` "auto" asks the adapter, which takes up to 0.7 s where it is mute.

    ``bitrate`` is what the dialect has; ``btr``, the digits of an "s" command, takes its place. ``data_bitrate`` or
    ``fd`` opens it for CAN FD. ``baud`` 0 finds the speed of a serial
    chip; USB adapters have none. ``timestamps`` are the adapter's where it has them (a Lawicel adapter keeps that
    setting). ``acceptance_code`` and ``acceptance_mask`` are those of an SJA1000 (mask: 1 does not matter).
    ``status_interval_s`` is how often flags are asked for, 0 never: the state of the bus comes from them, with an error
    frame when it changes.

    An own frame (``receive_own_messages``) is delivered when the adapter said that it took it: nothing says that it
    was sent, let alone acknowledged. A mute adapter says nothing at all: then it is delivered when it was written.

    ``tx_window`` is how many frames may be on the way to the adapter without an answer. With more than 1 a frame that
    is refused while others follow is lost, and counted.

    Raise can.CanInitializationError.
    """

    def __init__(
        self,
        channel: str | int | None = None,
        *,
        bitrate: int = 500_000,
        data_bitrate: int | None = None,
        fd: bool = False,
        baud: int = 0,
        dialect: str = "auto",
        btr: str = "",
        listen_only: bool = False,
        timestamps: bool = True,
        acceptance_code: int | None = None,
        acceptance_mask: int | None = None,
        auto_retransmit: bool = True,
        receive_own_messages: bool = False,
        can_filters: CanFilters | None = None,
        reconnect_s: float = 0.0,
        status_interval_s: float = 0.5,
        tx_window: int = 1,
        **other: Any,
    ) -> None:
        refuse_unknown("slcan", other, _OPTIONS)
        port = str(named_port("slcan", channel))
        name = f"slcan {port}"
        wanted = _dialect(port, dialect)
        fd = yes_or_no(name, "fd", fd) or data_bitrate is not None
        settings = Settings(
            whole_number(name, "bitrate", bitrate, 1),
            whole_number(name, "data_bitrate", 2_000_000 if data_bitrate is None else data_bitrate, 1) if fd else None,
            str(btr),
            yes_or_no(name, "listen_only", listen_only),
            yes_or_no(name, "timestamps", timestamps),
            None if acceptance_code is None else whole_number(name, "acceptance_code", acceptance_code),
            None if acceptance_mask is None else whole_number(name, "acceptance_mask", acceptance_mask),
            yes_or_no(name, "auto_retransmit", auto_retransmit),
        )
        reconnect_s = seconds(name, "reconnect_s", reconnect_s)
        options = Options(
            whole_number(name, "baud", baud, 0, MAX_BAUD),
            wanted,
            settings,
            yes_or_no(name, "receive_own_messages", receive_own_messages),
            seconds(name, "status_interval_s", status_interval_s),
            whole_number(name, "tx_window", tx_window, 1),
            reconnects=reconnect_s > 0,
        )
        inbox = Inbox()
        self.listen_only = settings.listen_only
        self._fd = fd
        self._link = SlcanLink(name, port, options, inbox, weakly(self._tell))
        self._reader = Reader(self._link, name, reconnect_s)
        super().__init__(name, port, inbox, can_filters, fd=fd)
        self._reader.start()

    @property
    def identity(self) -> Identity:
        """What the adapter said it is."""
        return self._link.identity

    def send_frame(self, frame: Frame, timeout_s: float | None = None) -> None:
        """Returns when the frame was written, with a timeout above 0 when the adapter confirmed it.

        Raise QueueFull, Unplugged, can.CanOperationError.
        """
        self._ensure_open()
        if self.listen_only:
            raise can.CanOperationError(f"{self.name} was opened listen-only: it sends nothing", errno.EPERM)
        dialect = self._link.identity.dialect
        if frame.fd and not self._fd:
            why = "was not opened for CAN FD: open it with data_bitrate"
            if not dialect.data_rates:
                why = f"({dialect.what}) has no CAN FD"
            raise can.CanOperationError(f"{self.name} {why}")
        if frame.error:
            raise can.CanOperationError(f"{self.name}: SLCAN cannot send an error frame")
        if frame.dlc > 8 and not frame.fd and not (frame.remote and dialect.long_remote):
            raise can.CanOperationError(f"{self.name}: {dialect.what} takes no DLC of {frame.dlc} in a classic frame")
        self._link.send(frame, timeout_s)

    def _tell(self, health: Health) -> None:
        self.bus_state, self.tx_errors, self.rx_errors = health.state, health.tx_errors, health.rx_errors

    @property
    def counters(self) -> Mapping[str, int]:
        """``malformed`` lines are none of SLCAN, with ``skipped_bytes``; ``wrong_stamps`` are impossible ones.

        Of frames to send: ``confirmed`` by the adapter, ``refused`` and given up, ``retried``, ``unanswered``; only
        ``written`` where nothing is confirmed. ``stray_answers`` belong to nothing. The rest are ``reconnects``, and
        how often F had a flag.
        """
        link, sender = self._link, self._link.confirmed
        return {
            **super().counters,
            "malformed": link.splitter.malformed,
            "skipped_bytes": link.splitter.skipped,
            "wrong_stamps": link.stamps.wrong,
            "confirmed": sender.confirmed,
            "refused": sender.refused,
            "retried": sender.retried,
            "unanswered": sender.unanswered,
            "stray_answers": sender.stray,
            "written": link.paced.written,
            **link.health.flags,
            "reconnects": self._reader.reconnects,
        }

    def findings(self) -> list[Finding]:
        return [*super().findings(), *self._of_the_line(), *self._of_the_bus()]

    def _of_the_line(self) -> Iterator[Finding]:
        link, counters, name = self._link, self.counters, self.name
        if not link.confirms:
            yield Finding("adapter-mute", Severity.INFO, self._mute(link.identity))
        if counters["malformed"]:
            sentence = (
                f"{name}: {_times(counters['malformed'], 'line')} of {counters['skipped_bytes']} bytes were no SLCAN"
            )
            advice = "Bytes were lost or added on the way, or another program reads the same port."
            yield Finding("adapter-malformed", Severity.WARNING, sentence, advice=advice)
        if counters["refused"]:
            sentence = (
                f"{name}: {_times(counters['refused'], 'frame')} given up, which the adapter refused again and again"
            )
            yield Finding("adapter-refused", Severity.ERROR, sentence, advice=_NOBODY)
        if counters["unanswered"]:
            sentence = f"{name}: {_times(counters['unanswered'], 'frame or question')} got no answer from the adapter"
            yield Finding("adapter-unanswered", Severity.WARNING, sentence)
        if counters["reconnects"]:
            sentence = (
                f"{name} was unplugged and came back {_times(counters['reconnects'], 'time')}: frames are missing"
            )
            yield Finding("adapter-reconnected", Severity.WARNING, sentence)

    def _of_the_bus(self) -> Iterator[Finding]:
        name, flags, state = self.name, self._link.health.flags, self.bus_state
        advice = _NOBODY if self._has_sent else _OTHER_RATE
        lost = flags["rx_fifo_full"] + flags["overruns"]
        if lost:
            sentence = f"{name} said {_times(lost, 'time')} that it lost received frames"
            faster = "The bus is faster than the adapter or its port: filter in the adapter, or take another one."
            yield Finding("adapter-overflow", Severity.ERROR, sentence, advice=faster)
        if flags["tx_fifo_full"]:
            sentence = f"{name} said {_times(flags['tx_fifo_full'], 'time')} that it could not take a frame to send"
            yield Finding("adapter-full", Severity.WARNING, sentence, advice=_NOBODY)
        if flags["bus_errors"]:
            sentence = f"{name} saw errors on the bus ({_times(flags['bus_errors'], 'time')} asked)"
            yield Finding("adapter-bus-errors", Severity.WARNING, sentence, advice=advice)
        if state in ("error-passive", "bus-off"):
            yield Finding("adapter-bus-state", Severity.ERROR, f"{name} is {state}", advice=advice)
        register = self._link.health.register
        if register:
            said = [text for bit, text in enumerate(_REGISTER_BITS) if register >> bit & 1]
            sentence = f"{name} reports since it was plugged in: {', '.join(said) or 'something unknown'}"
            yield Finding("adapter-error-register", Severity.WARNING, sentence, evidence=f"{register:X}")

    @property
    def _has_sent(self) -> bool:
        """Has anything been handed to the adapter to send?"""
        sender = self._link.confirmed
        return any((sender.confirmed, sender.refused, sender.retried, sender.unanswered, self._link.paced.written))

    def _mute(self, identity: Identity) -> str:
        if not identity.replies and not identity.version:
            who = f"{self.name}: {_nobody(identity)}"
        else:
            who = f"{self.name} ({identity.dialect.what}) answers no frames"
        silent = ", not even that it only listens" if self.listen_only else ""
        return f"{who}; nothing confirms that a frame was sent{silent}, and the state of the bus is unknown"

    def _close(self) -> None:
        self._link.finish()
        self._reader.stop()
        self._link.close()

    @staticmethod
    def _detect_available_configs() -> list[AutoDetectedConfig]:
        found = [port.device for port in found_ports() if port.adapter == "slcan" and port.device]
        return [{"interface": "opendiag_slcan", "channel": device} for device in found]


def adapter_info(channel: str, baud: int = 0, dialect: str = "auto", bitrate: int | None = None) -> dict[str, str]:
    """What the adapter at this port says it is. Its channel is closed then, also if another program had opened it.

    With a ``dialect`` it is taken for that one. Raise can.CanInitializationError, also for a ``bitrate`` it has not.
    """
    name = f"slcan {channel}"
    baud = whole_number(name, "baud", baud, 0, MAX_BAUD)
    identity = identify(str(named_port("slcan", channel)), baud, _dialect(channel, dialect))
    if bitrate is not None:
        check_bit_rate(name, identity.dialect, bitrate)
    return _info(identity, asked=dialect.lower() == "auto")


def check_bit_rate(name: str, dialect: Dialect, bitrate: int) -> None:
    """Raise can.CanInitializationError for a rate that an adapter of this kind does not have."""
    try:
        next(steps(dialect, Settings(bitrate)))
    except ValueError as error:
        raise wrong_option(f"{name}: {error}") from None


def _info(identity: Identity, asked: bool) -> dict[str, str]:
    dialect = identity.dialect
    mute = not identity.replies and not identity.version
    info = {"dialect": dialect.name, "adapter": _nobody(identity) if mute and asked else dialect.what}
    found = re.fullmatch(r"V([0-9A-Za-z])([0-9A-Za-z])([0-9A-Za-z])([0-9A-Za-z])", identity.version)
    if found:
        info["hardware"], info["software"] = f"{found[1]}.{found[2]}", f"{found[3]}.{found[4]}"
    if identity.version:
        info["version"] = identity.version
    if identity.detail:
        info["firmware"] = identity.detail.removeprefix("v")
    if identity.serial_number:
        info["serial number"] = identity.serial_number.removeprefix("N")
    info["answers"] = "CR and BEL" if identity.replies else "questions only" if identity.version else "nothing"
    info["bit rates"] = ", ".join(f"{rate / 1000:g}k" for rate in sorted(set(dialect.rates) - {83_300}))
    if dialect.data_rates:
        info["CAN FD data rates"] = ", ".join(f"{rate / 1e6:g}M" for rate in sorted(dialect.data_rates))
    return info


def _nobody(identity: Identity) -> str:
    """Of an adapter that answered no question."""
    if identity.dialect.name == "cantact":
        return f"nothing answers: a CANtact with SLCAN firmware, or no SLCAN adapter ({OTHER_KIND})"
    return f"nothing answers: {identity.dialect.what}, or no SLCAN adapter ({OTHER_KIND})"


def _dialect(port: str, name: str) -> Dialect | None:
    name = str(name).lower()
    name = ALIASES.get(name, name)
    if name == "auto":
        return None
    if name not in DIALECTS:
        known = ", ".join((*DIALECTS, *ALIASES))
        raise wrong_option(f"slcan {port}: no dialect {name!r}: expected auto, {known}")
    return DIALECTS[name]


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
