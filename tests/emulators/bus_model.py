"""One CAN bus that all emulated adapters share: it says who hears what, and who gets no acknowledge.

A frame takes no time unless ``latency_s`` says so. Thread-safe: taps are called from the thread of whoever sent, or
from the bus's own when there is a latency.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opendiag.frame import Frame

WARNING, PASSIVE, BUS_OFF = 96, 128, 256


@dataclass
class Sending:
    """``done`` is called with True when the frame was acknowledged, with False when it was given up."""

    frame: Frame
    done: Callable[[bool], None] | None
    order: int

    @property
    def key(self) -> tuple[int, int]:
        """Arbitration: the 11 leading bits, then standard before extended, data before remote."""
        frame = self.frame
        base = frame.can_id >> 18 if frame.extended else frame.can_id
        rest = frame.can_id & 0x3FFFF if frame.extended else 0
        return (((base << 1 | frame.extended) << 18 | rest) << 1 | frame.remote, self.order)


@dataclass
class Tap:
    """A controller on the bus. Set ``up`` with `BusModel.start` and `BusModel.stop`.

    ``on_frame(frame)`` gets what comes, own frames never but with ``loopback``. ``on_error(kind)`` gets "ack",
    "mismatch" (another bit rate is on the bus), "warning", "passive", "bus-off", "active".
    """

    bus: BusModel
    name: str
    on_frame: Callable[[Frame], None]
    on_error: Callable[[str], None]
    bit_rate: int = 500_000
    data_bit_rate: int | None = None
    up: bool = False
    listen_only: bool = False
    loopback: bool = False
    one_shot: bool = False
    tx_errors: int = 0
    rx_errors: int = 0
    bus_off: bool = False
    waiting: list[Sending] = field(default_factory=list)
    #: With jitter: when the latest frame on its way arrives. Frames do not overtake each other.
    arrives: float = 0.0

    def send(self, frame: Frame, done: Callable[[bool], None] | None = None) -> None:
        self.bus.send(self, frame, done)

    def acknowledges(self) -> bool:
        return self.up and not self.listen_only and not self.bus_off

    @property
    def state(self) -> str:
        if self.bus_off:
            return "bus-off"
        worst = max(self.tx_errors, self.rx_errors)
        return "passive" if worst >= PASSIVE else "warning" if worst >= WARNING else "active"


def _same_rate(tap: Tap, other: Tap, frame: Frame) -> bool:
    """The data bit rate counts in frames that switch to it, and where both say theirs."""
    if tap.bit_rate != other.bit_rate:
        return False
    return not (frame.brs and tap.data_bit_rate and other.data_bit_rate) or tap.data_bit_rate == other.data_bit_rate


class BusModel:
    """``loss`` is the part of frames that vanish on the way to each receiver; ``jitter_s`` comes on top of the latency.

    ``sent`` lists every frame that was acknowledged, in the order of the bus, as (tap name, frame).
    """

    def __init__(self, latency_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.latency_s = latency_s
        self.jitter_s = jitter_s
        self.loss = loss
        self.sent: list[tuple[str, Frame]] = []
        self.lock = threading.RLock()
        self.taps: list[Tap] = []
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._held = False
        self._running = False
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._wake = threading.Condition(self.lock)
        self._thread: threading.Thread | None = None

    # --- taps

    def attach(
        self,
        name: str,
        on_frame: Callable[[Frame], None] = lambda frame: None,
        on_error: Callable[[str], None] = lambda kind: None,
        **settings: object,
    ) -> Tap:
        """A tap that is not up yet; ``settings`` are its fields."""
        tap = Tap(self, name, on_frame, on_error, **settings)
        with self.lock:
            self.taps.append(tap)
        return tap

    def listener(self, name: str = "peer", bit_rate: int = 500_000) -> tuple[Tap, list[Frame]]:
        """A tap that is up and keeps what it hears: the usual peer of a test."""
        heard: list[Frame] = []
        tap = self.attach(name, heard.append, bit_rate=bit_rate)
        self.start(tap)
        return tap, heard

    def detach(self, tap: Tap) -> None:
        with self.lock:
            self.stop(tap)
            if tap in self.taps:
                self.taps.remove(tap)

    def start(self, tap: Tap) -> None:
        """It joins the bus with clean counters; frames that nobody acknowledged so far go out."""
        with self.lock:
            tap.tx_errors = tap.rx_errors = 0
            tap.bus_off = False
            tap.up = True
            self._run()

    def stop(self, tap: Tap) -> None:
        """What waits in it is given up."""
        with self.lock:
            tap.up = False
            for sending in tap.waiting:
                self._done(sending, False)
            tap.waiting.clear()

    def recover(self, tap: Tap) -> None:
        """Back from bus-off."""
        with self.lock:
            tap.bus_off = False
            tap.tx_errors = tap.rx_errors = 0
            tap.on_error("active")
            self._run()

    # --- frames

    def send(self, tap: Tap, frame: Frame, done: Callable[[bool], None] | None = None) -> None:
        """Queue a frame; it leaves when it wins the arbitration and somebody acknowledges it."""
        with self.lock:
            sending = Sending(frame, done, next(self._order))
            if not tap.up or tap.bus_off:
                self._done(sending, False)
                return
            tap.waiting.append(sending)
            self._run()

    def hold(self) -> None:
        """Nothing leaves until `release`: what waits by then competes by its identifier."""
        self._held = True

    def release(self) -> None:
        with self.lock:
            self._held = False
            self._run()

    def _run(self) -> None:
        if self._held or self._running:
            return
        self._running = True
        try:
            stuck: set[int] = set()
            while True:
                # As in most controllers, the oldest frame of each tap competes.
                first = [(tap.waiting[0], tap) for tap in self.taps if tap.waiting and id(tap.waiting[0]) not in stuck]
                if not first:
                    return
                sending, tap = min(first, key=lambda pair: pair[0].key)
                if not self._attempt(tap, sending):
                    stuck.add(id(sending))
        finally:
            self._running = False

    def _attempt(self, tap: Tap, sending: Sending) -> bool:
        """False when the frame stays where it is."""
        others = [other for other in self.taps if other is not tap and other.up and not other.bus_off]
        wrong = [other for other in others if not _same_rate(tap, other, sending.frame)]
        right = [other for other in others if _same_rate(tap, other, sending.frame)]
        if tap.listen_only and not tap.loopback:
            tap.waiting.remove(sending)
            self._done(sending, False)
            return True
        if tap.listen_only or (tap.loopback and not any(other.acknowledges() for other in right)):
            others = wrong = right = []  # it hears itself
        for other in wrong:
            self._error(other, "mismatch", rx=8)
        destroyed = any(other.acknowledges() for other in wrong)
        if not destroyed and (tap.loopback or any(other.acknowledges() for other in right)):
            tap.waiting.remove(sending)
            tap.tx_errors = max(tap.tx_errors - 1, 0)
            self.sent.append((tap.name, sending.frame))
            for other in right:
                self._deliver(other, sending.frame)
            if tap.loopback:
                self._deliver(tap, sending.frame)
            self._done(sending, True)
            return True
        return self._failed(tap, sending, destroyed)

    def _failed(self, tap: Tap, sending: Sending, destroyed: bool) -> bool:
        if tap.one_shot:
            tap.waiting.remove(sending)  # first: bus-off gives up whatever still waits
            self._error(tap, "mismatch" if destroyed else "ack", tx=8)
            self._done(sending, False)
            return True
        # It tries again and again: without an acknowledge up to error-passive, when destroyed up to bus-off.
        self._error(tap, "mismatch" if destroyed else "ack", tx=BUS_OFF if destroyed else PASSIVE - tap.tx_errors)
        return False

    def _error(self, tap: Tap, kind: str, tx: int = 0, rx: int = 0) -> None:
        before = tap.state
        tap.tx_errors = min(tap.tx_errors + tx, BUS_OFF)
        if not tap.listen_only:
            tap.rx_errors = min(tap.rx_errors + rx, PASSIVE)
        tap.on_error(kind)
        if tap.tx_errors >= BUS_OFF:
            tap.bus_off = True
            for sending in tap.waiting:
                self._done(sending, False)
            tap.waiting.clear()
        if tap.state != before:
            tap.on_error(tap.state)

    def _deliver(self, tap: Tap, frame: Frame) -> None:
        if self.loss and self._random.random() < self.loss:
            return
        delay = self.latency_s + self._random.random() * self.jitter_s
        if delay:
            tap.arrives = max(tap.arrives, time.monotonic() + delay)
            self._after(tap.arrives, lambda: tap.up and tap.on_frame(frame))
        elif tap.up:
            tap.on_frame(frame)

    def _done(self, sending: Sending, acknowledged: bool) -> None:
        if sending.done is not None:
            sending.done(acknowledged)

    # --- time

    def _after(self, due: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._later, (due, next(self._order), action))
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver_late, name="bus model", daemon=True)
            self._thread.start()
        self._wake.notify()

    def _deliver_late(self) -> None:
        with self.lock:
            while True:
                if not self._later:
                    self._wake.wait()
                    continue
                rest = self._later[0][0] - time.monotonic()
                if rest > 0:
                    self._wake.wait(rest)
                    continue
                heapq.heappop(self._later)[2]()
