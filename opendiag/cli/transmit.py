"""Sending many frames, each at its time: what `send`, `gen` and `replay` share."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import click

from opendiag.cli import output
from opendiag.errors import SendFailed
from opendiag.frame import Frame
from opendiag.master.network import Network

#: The last part of a wait is spun, because sleeping on a bus is not exact.
_EXACT_S = 0.002
#: A full queue is tried again after this.
_AGAIN_S = 0.001
#: Frames that may wait in a simulated controller, which would take any number.
_QUEUE = 64
_WORTH_SAYING_S = 0.1
#: What is later than this is not made up for: this computer slept, or the adapter is too slow.
_STOOD_STILL_S = 0.3
#: Nothing moves in such buses.
_HARMLESS = ("sim", "virtual")


class Full(Exception):
    """The transmit queue was full for as long as was allowed."""


class Transmitter:
    """Sends frames at seconds after `start`, and counts what could not be sent.

    ``patience_s``: how long a full transmit queue is waited for, and with ``skip_full`` what does not leave then is
    left out. That time (``held_s``) shifts all that follows, so that nothing is sent faster than it should be.
    ``late_s`` is the worst delay for other reasons; long ones shift what follows too, by ``moved_s`` in all.
    ``refused`` counts frames by why they were not sent.
    """

    def __init__(self, network: Network, patience_s: float = 0.0, skip_full: bool = False) -> None:
        self.network = network
        self.sent = 0
        self.late_s = 0.0
        self.held_s = 0.0
        self.moved_s = 0.0
        self.refused: Counter[str] = Counter()
        self._patience_s = patience_s
        self._skip_full = skip_full
        self._start = network.clock.now()

    @property
    def not_sent(self) -> int:
        return sum(self.refused.values())

    @property
    def elapsed_s(self) -> float:
        """Since `start`."""
        return self.network.clock.now() - self._start + self.held_s + self.moved_s

    def start(self) -> None:
        """Now is 0 s."""
        self._start = self.network.clock.now()

    def paced(self, timed: Iterable[tuple[float, Frame]]) -> Iterator[Frame]:
        """Each frame when its time has come, in seconds after `start`."""
        clock = self.network.clock
        for at_s, frame in timed:
            moment = self._start + at_s
            now = clock.now()
            if now > moment:
                self._late(now - moment)
            else:
                if moment - now > _EXACT_S:
                    self.network.sleep(moment - now - _EXACT_S)
                clock.sleep_until(moment)
            yield frame

    def _late(self, seconds: float) -> None:
        """A burst of all that should have gone out meanwhile is nothing a drive should get."""
        self.late_s = max(self.late_s, seconds)
        if seconds > _STOOD_STILL_S:
            self.moved_s += seconds
            self._start += seconds

    def send(self, frame: Frame) -> bool:
        """False for a frame that could not be sent. Raise Full, AdapterClosed."""
        clock = self.network.clock
        begun = clock.now()
        was_full = False
        while True:
            try:
                self._check_room()
                self.network.send(frame)
            except SendFailed as error:
                full = was_full = is_full(error)
                if full and clock.now() - begun < self._patience_s:
                    self.network.sleep(_AGAIN_S)
                    continue
                self.refused[error.reason] += 1
                if full and not self._skip_full:
                    raise Full(error.reason) from error
                return False
            if was_full:
                waited = clock.now() - begun
                self.held_s += waited
                self._start += waited
            self.sent += 1
            return True

    def finish(self, timeout_s: float = 1.0) -> None:
        """Wait until what was handed over has left; what has not by then is counted as not sent."""
        clock = self.network.clock
        until = clock.now() + timeout_s
        while self._pending() and clock.now() < until:
            self.network.sleep(_AGAIN_S)
        if left := self._pending():
            self.sent -= left
            self.refused["nobody acknowledged it in time"] += left

    def report(self, late: bool = True) -> None:
        """What was not as it should be, on stderr. ``late``: and how late this computer was."""
        if self.held_s >= _WORTH_SAYING_S:
            output.note(f"The transmit queue was full for {self.held_s:.1f} s; what followed was sent so much later.")
        if late and self.late_s >= _WORTH_SAYING_S:
            moved = f"; what followed was moved by {self.moved_s:.1f} s in all" if self.moved_s else ""
            output.note(
                f"Frames were sent up to {self.late_s:.1f} s late: this computer or the adapter is too slow{moved}."
            )
        for reason, count in self.refused.most_common():
            output.note(f"{count} frame{'s' * (count != 1)} not sent: {reason}")

    def _check_room(self) -> None:
        """A simulated controller has no queue that can be full; this one does as others do."""
        if self._pending() >= _QUEUE:
            raise SendFailed(self.network.name, "transmit queue full") from OSError(errno.ENOBUFS, "full")

    def _pending(self) -> int:
        return int(getattr(self.network.port, "pending", 0))


def is_full(error: SendFailed) -> bool:
    """The transmit queue is full: trying again later may help."""
    cause = error.__cause__
    if "Transmit buffer full" in str(cause):  # python-can's socketcan, which has no number for it
        return True
    return errno.ENOBUFS in (getattr(cause, "error_code", None), getattr(cause, "errno", None))


def confirm_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--yes; the command gets it as ``yes``."""

    @click.option("-y", "--yes", is_flag=True, help="Do not ask on a terminal whether to send.")
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    return wrapped


def confirm(network: Network, yes: bool) -> None:
    """On a terminal and a bus that may be real, ask. Raise click.Abort."""
    if not yes and may_move(network) and sys.stdin.isatty():
        click.confirm(f"Send on {network.name}?", abort=True, err=True)


def may_move(network: Network) -> bool:
    """Is there anything on this bus that could be real?"""
    return network.name.partition(":")[0] not in _HARMLESS
