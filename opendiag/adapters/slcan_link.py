"""The port of an SLCAN adapter whose channel is open: what is read, what is written, and what the adapter tells."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import can

from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.device_clock import HostClock
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.serial_line import READ_S, SerialLine
from opendiag.adapters.slcan_clock import StampClock
from opendiag.adapters.slcan_codec import Answer, Kind, Splitter, state_frame
from opendiag.adapters.slcan_dialect import Dialect, Settings
from opendiag.adapters.slcan_talk import Identity, Talk
from opendiag.adapters.slcan_tx import ConfirmedSender, PacedSender, frame_seconds
from opendiag.frame import Frame

#: Serial chips behind which the speed of the port matters, and the speeds that Lawicel adapters can be set to.
_UART_CHIPS = {0x0403, 0x067B, 0x10C4, 0x1A86}
_BAUD = 115200
_BAUDS = (_BAUD, 230400, 57600, 38400, 19200, 9600, 2400)
#: Where no SLCAN adapter answers.
OTHER_KIND = "an Analyzer? then usbcan:"
_WARNING, _PASSIVE = 0x04, 0x20
_FINISH_S = 0.5
#: After so many refusals the adapter is not asked for its flags any more.
_REFUSALS = 3

#: Bit of F -> the counter of how often it was seen.
STATUS_FLAGS = {
    0x01: "rx_fifo_full",
    0x02: "tx_fifo_full",
    0x08: "overruns",
    0x40: "arbitration_lost",
    0x80: "bus_errors",
}


@dataclass
class Health:
    """What the adapter told of itself. ``flags``: how often each was seen; ``register``: every bit that was set."""

    state: str | None = None
    tx_errors: int | None = None
    rx_errors: int | None = None
    register: int = 0
    flags: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS_FLAGS.values(), 0))

    def forget_state(self) -> None:
        self.state = self.tx_errors = self.rx_errors = None


@dataclass(frozen=True)
class Options:
    """``wanted`` None: the adapter is asked. ``own``: frames that were sent are received too."""

    baud: int
    wanted: Dialect | None
    settings: Settings
    own: bool
    status_interval_s: float
    window: int
    reconnects: bool


class SlcanLink:
    """Opened when it is made. ``tell`` learns of every change of the health, in the reader's thread.

    Raise can.CanInitializationError; nothing is left open then.
    """

    def __init__(self, name: str, port: str, options: Options, inbox: Inbox, tell: Callable[[Health], None]) -> None:
        self.health = Health()
        self.stamps = StampClock()
        self.splitter = Splitter(self.stamps.time_ns)
        self._name = name
        self._options = options
        self._inbox = inbox
        self._tell = tell
        self._clock = HostClock()
        self._putting = threading.Lock()
        self._next_status = self._heard_until = self._busy_until = 0.0
        self._failure: Exception | None = None
        self._line = SerialLine(port, options.baud or _BAUD)
        settings = options.settings
        self.confirmed = ConfirmedSender(name, self._line.write, self._was_sent, options.window)
        self.paced = PacedSender(name, self._line.write, self._was_sent, settings.bit_rate, settings.data_rate)
        try:
            self.identity = _identify(self._line, options.baud, options.wanted)
            self._open()
        except can.CanOperationError as error:
            self._line.close()
            raise can.CanInitializationError(str(error), error.error_code) from None
        except BaseException:
            self._line.close()
            raise

    def _open(self) -> None:
        talk = Talk(self._line)
        talk.open_channel(self.identity.dialect, self._options.settings)
        self.splitter.reset()
        self.stamps.reset()
        self._take(talk.rest)

    # --- as `Reader` wants it

    def read(self) -> None:
        wait_s = min(self._do_what_is_due(time.monotonic()), READ_S)
        began = time.monotonic()
        data = self._line.read(wait_s)
        if data:
            self._take(data)
        elif wait_s == READ_S:
            self._deliver([], self.splitter.idle())
        self._heard_until = began

    def reopen(self) -> None:
        self._line.open()
        try:
            Talk(self._line).close_channel()
            self._open()
        except BaseException:
            self._line.close()
            raise
        self.confirmed.fail(None)
        self._failure = None

    def gone(self, reason: str) -> None:
        self._fail(self._looked_for(reason))
        self._line.close()

    def lost(self, failure: Exception) -> None:
        self._fail(failure)
        self._inbox.fail(failure)
        self._line.close()

    def finish(self) -> None:
        """Wait until what was sent has left, 0.5 s at most: with its channel closed an adapter forgets it."""
        until = time.monotonic() + _FINISH_S
        while self._failure is None and not self.confirmed.through and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(max(min(self._busy_until, until) - time.monotonic(), 0.0))

    def close(self) -> None:
        """Once nothing reads any more."""
        if self._failure is None:
            with contextlib.suppress(can.CanError):
                self._line.write(b"C\r")
        self._fail(can.CanOperationError(f"{self._name} is closed", errno.EBADF))
        self._line.close()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self.confirmed.fail(failure)
        self.health.forget_state()
        self._tell(self.health)

    def _looked_for(self, reason: str) -> can.CanOperationError:
        return can.CanOperationError(f"{reason}; it is looked for", errno.ENETDOWN)

    # --- out

    @property
    def confirms(self) -> bool:
        """Whether frames are answered."""
        return self.identity.dialect.replies and not self.confirmed.silent

    def send(self, frame: Frame, timeout_s: float | None) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            (self.confirmed if self.confirms else self.paced).send(frame, timeout_s)
        except Unplugged as error:
            if self._options.reconnects:
                raise self._looked_for(str(error)) from error
            raise
        settings = self._options.settings
        bus_s = frame_seconds(frame, settings.bit_rate, settings.data_rate)
        self._busy_until = max(self._busy_until, time.monotonic()) + bus_s

    def _was_sent(self, frame: Frame) -> None:
        if self._options.own:
            with self._putting:
                self._inbox.put([replace(frame, direction="tx", channel=None, time_ns=self._now_ns())])

    def _do_what_is_due(self, now: float) -> float:
        """Seconds until there is something to do again, at the latest."""
        question, interval_s = self.identity.dialect.status, self._options.status_interval_s
        with contextlib.suppress(QueueFull):  # the next time will do
            if question and interval_s > 0 and now >= self._next_status:
                self._next_status = now + interval_s
                if question == "E":
                    self._line.write(b"E\r")
                elif self.confirmed.questions_refused < _REFUSALS:
                    self.confirmed.ask(b"F\r")
            return self.confirmed.tick(now, self._heard_until)
        return READ_S

    # --- in

    def _take(self, data: bytes) -> None:
        with self._putting:
            frames, answers = self.splitter.feed(data, self._clock.now_ns())
            if not answers:
                self._inbox.put(frames)
        if answers:
            self._deliver(frames, answers)

    def _deliver(self, frames: list[Frame], answers: list[Answer]) -> None:
        """In the adapter's order: own frames come where it confirmed them."""
        done = 0
        for answer in answers:
            if answer.at > done:
                with self._putting:
                    self._inbox.put(frames[done : answer.at])
                done = answer.at
            self._answered(answer)
        with self._putting:
            self._inbox.put(frames[done:])

    def _answered(self, answer: Answer) -> None:
        health = self.health
        if answer.kind is Kind.STATE:
            health.state, health.tx_errors, health.rx_errors = answer.state, answer.tx_errors, answer.rx_errors
            self._tell(health)
        elif answer.kind is Kind.REGISTER:
            health.register |= answer.value
        elif answer.kind is Kind.TEXT:
            self.confirmed.stray += 1  # nothing asks for texts here
        else:
            if answer.kind is Kind.STATUS:
                self._flags(answer.value)
            self.confirmed.answered(answer.kind)

    def _flags(self, flags: int) -> None:
        health = self.health
        for bit, name in STATUS_FLAGS.items():
            health.flags[name] += bool(flags & bit)
        if health.rx_errors is not None:  # ``s`` lines say more
            return
        before = health.state
        if flags & self.identity.dialect.bus_off_flag:
            health.state = "bus-off"
        elif flags & _PASSIVE:
            health.state = "error-passive"
        else:
            health.state = "error-warning" if flags & _WARNING else "error-active"
        if health.state != (before or "error-active"):
            with self._putting:
                self._inbox.put([state_frame(health.state, self._now_ns())])
        self._tell(health)

    def _now_ns(self) -> int:
        """With the lock held: no later frame is older than this."""
        self.splitter.last_ns = max(self.splitter.last_ns, self._clock.now_ns())
        return self.splitter.last_ns


def _identify(line: SerialLine, baud: int, wanted: Dialect | None) -> Identity:
    """At ``baud``, or at every speed behind a serial chip. Raise can.CanInitializationError."""
    bauds = (baud,) if baud else _BAUDS if _is_uart(line.port) else (_BAUD,)
    for speed in bauds:
        if speed != line.baud:
            line.set_baud(speed)
        identity = Talk(line).identify(wanted)
        if identity.replies or identity.version:
            break
    else:
        tried = ", ".join(map(str, bauds))
        if len(bauds) > 1:
            raise can.CanInitializationError(f"{line.port}: no SLCAN adapter answers, at {tried} baud ({OTHER_KIND})")
        if wanted is not None and wanted.replies:
            raise can.CanInitializationError(
                f"{line.port}: no answer at {tried} baud, and {wanted.what} would give one: is it another adapter? "
                f"({OTHER_KIND})"
            )
    return identity


def identify(port: str, baud: int = 0, wanted: Dialect | None = None) -> Identity:
    """Who is there; its channel is closed then. With ``wanted`` it is taken for that one.

    Raise can.CanInitializationError.
    """
    line = SerialLine(port, baud or _BAUD)
    try:
        return _identify(line, baud, wanted)
    except can.CanOperationError as error:
        raise can.CanInitializationError(str(error), error.error_code) from None
    finally:
        line.close()


def _is_uart(port: str) -> bool:
    from serial.tools.list_ports import comports  # type: ignore[import-untyped, unused-ignore]

    return any(found.vid in _UART_CHIPS for found in comports() if found.device == port)
