"""One channel of a gs_usb adapter: what it was started with, what it reports, and whose its frames are."""

from __future__ import annotations

import errno
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

from opendiag.adapters.bit_timing import BitTiming
from opendiag.adapters.bus import AdapterBus
from opendiag.adapters.echo_slots import EchoSlots
from opendiag.adapters.gs_usb_codec import ChannelState, Feature, HostFrame, Layout, describe_error
from opendiag.adapters.inbox import Inbox
from opendiag.adapters.usb_stream import failed
from opendiag.frame import Frame

#: What the adapter had in store when it was started is older than that; then its counter may have been set back.
_STALE_S = 1.0
#: Half of what its counter of microseconds counts: what seems further ahead lies behind.
_HALF = 1 << 31
_MICROSECONDS = (1 << 32) - 1
#: Firmware with one of these says when its state changes, so that silence means that it did not.
_TELLS_STATE = Feature.HW_TIMESTAMP | Feature.GET_STATE | Feature.BERR_REPORTING


@dataclass(frozen=True)
class Settings:
    """``flags`` are those of the start request; ``data_timing`` and ``termination`` None leave them as they are."""

    timing: BitTiming
    flags: Feature
    layout: Layout
    data_timing: BitTiming | None = None
    termination: bool | None = None


class Channel:
    """The reader thread calls `accept` and `accept_plain`; ``own``: own frames are received too.

    ``settled``: no old frame can come any more. ``tells_state``: the adapter's firmware says when the state of the
    controller changes. ``paced``: its echo does not mean that the frame has left.
    """

    def __init__(
        self, name: str, number: int, settings: Settings, features: Feature, inbox: Inbox, paced: bool
    ) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.own = False
        self.error_frames = True
        self.reconnect_s = 0.0
        self.failure: Exception | None = None
        self.overflows = self.stale = self.bus_offs = 0
        self.tells_state = bool(features & _TELLS_STATE)
        self.slots = EchoSlots(name, round(settings.timing.bit_rate) if paced else None)
        self._inbox = inbox
        self._bus: Callable[[], AdapterBus | None] = lambda: None
        self._state: str | None = None
        self._errors: tuple[int | None, int | None] = (None, None)
        self._stale_before: int | None = None
        self._stale_until = 0.0
        self.settled = False
        self._last_ns = 0
        self._put = inbox.put

    # --- starting and stopping

    def starts(self, counter_us: int | None) -> None:
        """``counter_us`` is where the adapter's clock stands, None if it has none: older frames are not ours."""
        self._stale_before = counter_us
        self.settled = counter_us is None
        self._stale_until = time.monotonic() + _STALE_S
        self.slots.reset()
        if self.tells_state:  # ISO 11898-1: a controller starts error-active with counters of zero
            self._report("error-active", 0, 0)

    def gone(self, reason: str) -> None:
        """Looked for: sending fails until it is back."""
        self.slots.fail(failed(f"{reason}; it is looked for", errno.ENETDOWN))
        self._report(None, None, None)

    def fail(self, failure: Exception) -> None:
        """Nothing comes any more. The first failure stays."""
        if self.failure is None:
            self.failure = failure
            self.slots.fail(failure)
            self._inbox.fail(failure)
            self._report(None, None, None)

    def report_to(self, bus: AdapterBus) -> None:
        """The bus shows the state from now on; a bus that nobody has any more may go."""
        self._bus = weakref.ref(bus)
        self._report(self._state, *self._errors)

    # --- in the reader thread

    def accept_plain(self, frame: Frame) -> None:
        """A frame from the bus without anything to be said about it, when this is ``settled``."""
        if frame.time_ns < self._last_ns:  # type: ignore[operator]
            object.__setattr__(frame, "time_ns", self._last_ns)
        else:
            self._last_ns = frame.time_ns  # type: ignore[assignment]
        self._put([frame])

    def accept(self, host: HostFrame) -> None:
        """Any frame of this channel."""
        if self._stale_before is not None and self._is_stale(host):
            self.stale += 1
            return
        frame = host.frame
        time_ns = frame.time_ns or 0
        if time_ns < self._last_ns:  # the clock was begun anew; nobody else has the frame yet
            time_ns = self._last_ns
            object.__setattr__(frame, "time_ns", time_ns)
        self._last_ns = time_ns
        if host.overflow:
            self.overflows += 1
        if host.echo_id is not None:
            sent = self.slots.confirm(host.echo_id)
            if sent is None or not self.own:
                return
            frame = replace(sent, direction="tx", channel=None, time_ns=time_ns)
        elif frame.error:
            self._error(frame)
            if not self.error_frames:
                return
        self._put([frame])

    def report(self, state: ChannelState) -> None:
        """What the adapter answered when it was asked."""
        if state.state.startswith(("error", "bus")):
            self._report(state.state, state.tx_errors, state.rx_errors)

    def _is_stale(self, host: HostFrame) -> bool:
        stamp, start = host.timestamp_us, self._stale_before
        if stamp is None or start is None or host.echo_id is not None:
            return False
        if (stamp - start) & _MICROSECONDS >= _HALF and time.monotonic() < self._stale_until:
            return True
        self._stale_before = None  # the first fresh one: no stale one comes after it
        self.settled = True
        return False

    def _error(self, frame: Frame) -> None:
        news = describe_error(frame)
        if news.bus_off:
            self.bus_offs += 1
        tx, rx = self._errors
        tx = news.tx_errors if news.tx_errors is not None else tx
        rx = news.rx_errors if news.rx_errors is not None else rx
        self._report(news.state or self._state, tx, rx)

    def _report(self, state: str | None, tx_errors: int | None, rx_errors: int | None) -> None:
        self._state = state
        self._errors = (tx_errors, rx_errors)
        bus = self._bus()
        if bus is not None:
            bus.bus_state = state
            bus.tx_errors = tx_errors
            bus.rx_errors = rx_errors
