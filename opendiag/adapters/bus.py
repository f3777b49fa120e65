"""What the adapters that opendiag drives itself have in common, as python-can's interface and a little more.

A driver has a codec (bytes and frames, no I/O) and a link (the port or the USB device, read by a `Reader`).
"""

from __future__ import annotations

import contextlib
import errno
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar

import can
from can.typechecking import CanFilters

from opendiag.adapters.drivers import YES_OR_NO
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.message import from_message, received_message
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame

T = TypeVar("T")
#: python-can's own tools hand these to every interface.
_NOT_OURS = frozenset({"single_handle", "interface", "ignore_config"})


class Unplugged(can.CanOperationError):
    """The adapter is not there any more. ``error_code`` is ENODEV."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)  # which would add the number to the sentence
        self.error_code = errno.ENODEV


class QueueFull(can.CanOperationError):
    """The adapter takes no frame now, as a rule because nobody acknowledges the ones it has. ENOBUFS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.error_code = errno.ENOBUFS


def wrong_option(sentence: str) -> can.CanInitializationError:
    """What was asked for makes no sense, whatever adapter is there. ``error_code`` is EINVAL."""
    failure = can.CanInitializationError(sentence)  # which would add the number to the sentence
    failure.error_code = errno.EINVAL
    return failure


def refuse_unknown(interface: str, options: Mapping[str, object], known: str) -> None:
    """Raise can.CanInitializationError for options that nobody reads."""
    unknown = sorted(set(options) - _NOT_OURS)
    if unknown:
        raise wrong_option(f"{interface} has no option {', '.join(unknown)}; it takes {known}")


def named_port(interface: str, channel: int | str | None) -> int | str:
    """Raise can.CanInitializationError where no channel was given."""
    if channel is None or channel == "":
        raise wrong_option(f"{interface}: which port? give channel=..., as in channel='/dev/ttyACM0' or channel='COM5'")
    return channel


def whole_number(name: str, option: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """Also of a text, as in 0x181. Raise can.CanInitializationError."""
    number = _whole(value)
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        limits = "" if least is None else f", {least} or more" if most is None else f", {least} to {most}"
        raise wrong_option(f"{name}: {option} is {value!r}: expected a whole number{limits}")
    return number


def _whole(value: object) -> int | None:
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return int(value, 0)
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    return None


def seconds(name: str, option: str, value: object) -> float:
    """0 or more, also of a text. Raise can.CanInitializationError."""
    with contextlib.suppress(ValueError):
        if isinstance(value, (str, int, float)) and (number := float(value)) >= 0:
            return number
    raise wrong_option(f"{name}: {option} is {value!r}: expected seconds, 0 or more")


def yes_or_no(name: str, option: str, value: object) -> bool:
    """Also of a text or a number: python-can hands on what its configuration files say.

    Raise can.CanInitializationError.
    """
    known = YES_OR_NO.get(str(value).strip().lower())
    if known is None:
        raise wrong_option(f"{name}: {option} is {value!r}: expected yes or no")
    return known


def switches(name: str, **options: object) -> tuple[bool, ...]:
    """`yes_or_no` of each, in this order. Raise can.CanInitializationError."""
    return tuple(yes_or_no(name, option, value) for option, value in options.items())


def weakly(call: Callable[[T], None]) -> Callable[[T], None]:
    """A method of a bus for the thread that reads its adapter: a bus that nobody has any more is closed by that."""
    method = weakref.WeakMethod(call)

    def called(told: T) -> None:
        if (bound := method()) is not None:
            bound(told)

    return called


class AdapterBus(can.BusABC):
    """``name`` is what sentences call it. Times of frames are nanoseconds since the epoch and never go back.

    ``bus_state`` is "error-active", "error-warning", "error-passive" or "bus-off", and ``tx_errors`` and ``rx_errors``
    are the controller's counters; each None where the adapter does not tell. ``counters`` counts by name what is of
    interest when frames seem to be missing.

    A driver calls this constructor last, puts frames that came into ``_inbox`` and defines `send_frame` and `_close`.
    Own frames reach the inbox only if ``receive_own_messages`` was asked for, with the direction "tx".
    """

    def __init__(self, name: str, channel: str, inbox: Inbox, can_filters: CanFilters | None, *, fd: bool) -> None:
        self.name = name
        self.channel = channel
        self.channel_info = name
        self.bus_state: str | None = None
        self.tx_errors: int | None = None
        self.rx_errors: int | None = None
        self._inbox = inbox
        self._ready: deque[Frame] = deque()
        self._can_protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        super().__init__(channel=channel, can_filters=can_filters)

    # --- for a driver to define

    def send_frame(self, frame: Frame, timeout_s: float | None = None) -> None:
        """From any thread. None: as long as the driver finds sensible.

        Raise QueueFull, Unplugged, or can.CanOperationError for what this adapter cannot send.
        """
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    @property
    def counters(self) -> Mapping[str, int]:
        """By name; ``lost`` are frames that nobody took in time."""
        return {"lost": self._inbox.lost}

    def findings(self) -> list[Finding]:
        """What was odd so far, and above all what is missing."""
        lost = self._inbox.lost
        if not lost:
            return []
        sentence = f"{lost} frame{'s' * (lost != 1)} came faster than they were taken, and are lost"
        return [Finding("adapter-lost", Severity.ERROR, sentence)]

    # --- as python-can has it

    def take(self, timeout_s: float | None) -> list[Frame]:
        """All frames that are there, the oldest first; waits for one. An empty list when none came in time.

        Filters are not applied. Raise Unplugged.
        """
        if self._ready:
            frames = []
            with contextlib.suppress(IndexError):  # another thread may take as well
                while True:
                    frames.append(self._ready.popleft())
            return frames
        return self._inbox.take(timeout_s)

    def interrupt(self) -> None:
        """A `take` that waits ends early."""
        self._inbox.interrupt()

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """As python-can has it. Raise Unplugged."""
        if self._filters is not None:
            return super().recv(timeout)
        try:
            frame = self._ready.popleft()
        except IndexError:
            return self._recv_internal(timeout)[0]
        return received_message(frame, self.channel)

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        ready = self._ready
        try:
            frame = ready.popleft()
        except IndexError:
            frames = self._inbox.take(timeout)
            if not frames:
                return None, False
            frame = frames[0]
            ready.extend(frames[1:])
        return received_message(frame, self.channel), False

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """The caller's message stays as it is."""
        try:
            frame = from_message(msg)
        except ValueError as error:
            raise can.CanOperationError(f"{self.name}: no CAN bus carries this: {error}") from error
        self.send_frame(frame, timeout)

    @property
    def state(self) -> can.BusState:
        """python-can knows three states; `bus_state` says more."""
        wrong = self.bus_state in ("error-passive", "bus-off")
        return can.BusState.ERROR if wrong else can.BusState.ACTIVE

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        raise NotImplementedError(f"{self.name}: open it again with listen_only instead of setting a state")

    def shutdown(self) -> None:
        """Again does nothing. A `recv` that waits in another thread ends with can.CanOperationError."""
        if self._is_shutdown:
            return
        super().shutdown()
        self._inbox.fail(can.CanOperationError(f"{self.name} is closed", errno.EBADF))
        self._close()

    def _ensure_open(self) -> None:
        if self._is_shutdown:
            raise can.CanOperationError(f"{self.name} is closed", errno.EBADF)


def describe(error: BaseException) -> str:
    """The first line of what a library says, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
