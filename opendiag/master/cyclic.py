"""Sending on time, again and again: one thread for all cycles of a network, which keeps to absolute deadlines.

The thread sleeps until shortly before a deadline and spins for the rest; how long before is learned from how late
sleeping ends on this computer. On a clock that only waiting moves there is no thread: the pump calls when it is time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opendiag.errors import AdapterError, OpenDiagError, SendFailed
from opendiag.frame import Frame
from opendiag.master.pump import Pump
from opendiag.master.punctual import least_timer_slack, real_time_priority

_LOG = logging.getLogger("opendiag")
#: The statistics are about so many cycles, the latest ones.
KEPT = 10_000
#: Bounds of what is spun instead of slept. Sleeping ends late by some 10 to 50 µs; who spins longer than that gets the
#: processor later when others want it, too.
_SPIN_LEAST_S, _SPIN_MOST_S = 0.00002, 0.00008
#: How fast the learned lateness of sleeping, its median, follows.
_FOLLOW_S = 0.000001
#: A longer rest is waited for so that a new cycle that is due earlier ends it; the last part is slept.
_LONGEST_SLEEP_S = 0.003
_JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class CycleStopped:
    """A cycle ended by itself: the adapter is gone, or the function raised something that is no failure to send."""

    name: str
    at: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class SendingFailed:
    """The adapter does not take the frames of a cycle, which goes on trying; told once until it works again."""

    name: str
    at: float
    error: SendFailed


@dataclass(frozen=True, slots=True)
class CycleStatistics:
    """Lateness in seconds: when the function was called against when it was due, of the latest 10 000 cycles.

    ``max_s`` is of all of them. ``missed`` cycles were overdue by a whole period: they are left out, not made up for.
    ``failed`` were called, and the adapter did not take the frame.
    """

    count: int
    missed: int
    failed: int
    p50_s: float
    p99_s: float
    max_s: float


class Cycle:
    """Made by `Cyclic.every`. ``error`` is why it ended, if it did so by itself."""

    def __init__(self, cyclic: Cyclic, name: str, period_s: float, send: Callable[[float], object]) -> None:
        self.name = name
        self.period_s = period_s
        self.error: BaseException | None = None
        self._cyclic = cyclic
        self._send = send
        self._first = self.due = 0.0
        self._passed = 0
        self._from_call = False
        self._count = self._missed = self._failed = 0
        self._failing = False
        self._max_s = 0.0
        self._late: deque[float] = deque(maxlen=KEPT)

    @property
    def running(self) -> bool:
        return self in self._cyclic.cycles

    def stop(self) -> None:
        """When this returns, nothing is sent any more. Stopping again does nothing."""
        self._cyclic.remove(self)

    @property
    def statistics(self) -> CycleStatistics:
        """So far; all zero before the first cycle."""
        late = sorted(self._late) or [0.0]
        p50, p99 = (late[min(int(len(late) * part), len(late) - 1)] for part in (0.5, 0.99))
        return CycleStatistics(self._count, self._missed, self._failed, p50, p99, self._max_s)

    def __repr__(self) -> str:
        return f"<{self.name} every {self.period_s * 1000:g} ms, {'running' if self.running else 'stopped'}>"

    def begin(self, now: float, from_call: bool = False) -> None:
        """The first one is due now. ``from_call``: the others are counted from when that is called."""
        self._first = self.due = now
        self._from_call = from_call

    def run(self, now: float) -> object | None:
        """Call the function, which was due, and find the next moment. Returns an event, if there is one to tell."""
        if self._from_call:
            self.begin(now)
        late = now - self.due
        self._count += 1
        self._late.append(late)
        self._max_s = max(self._max_s, late)
        event = self._call(now)
        self._passed += 1
        behind = int((now - self._first) / self.period_s + 1e-9) + 1 - self._passed
        if behind > 0:  # a whole period late, or more
            self._passed += behind
            self._missed += behind
        self.due = self._first + self._passed * self.period_s  # no sum of rounded periods: it would drift
        return event

    def _call(self, now: float) -> object | None:
        try:
            self._send(now)
        except SendFailed as error:
            self._failed += 1
            told, self._failing = self._failing, True
            return None if told else SendingFailed(self.name, now, error)
        except Exception as error:
            self.error = error
            if not isinstance(error, OpenDiagError):
                _LOG.exception("%s stopped: its function failed", self.name)
            return CycleStopped(self.name, now, error)
        self._failing = False
        return None


def check_period(period_s: float) -> None:
    """Raise ValueError for one that is not positive."""
    if not period_s > 0:
        raise ValueError(f"a period of {period_s} s is not positive")


class Cyclic:
    """All cycles of one network. ``publish`` gets their events, with the pump's lock held.

    Their thread asks for real-time priority; ``real_time`` says whether it was given. Set ``want_real_time`` to False
    before the first cycle to do without.
    """

    def __init__(self, pump: Pump, publish: Callable[[object], None]) -> None:
        self.cycles: list[Cycle] = []
        self.want_real_time = True
        self.real_time = False
        self._pump = pump
        self._publish = publish
        self._clock = pump.clock
        self._threaded = pump.clock.runs
        self._changed = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._overshoot_s = 0.00003

    def every(self, period_s: float, send: Callable[[float], object], name: str = "cycle") -> Cycle:
        """Call ``send(now)`` at once and then every ``period_s``, under the pump's lock: it may send, not wait.

        A frame that the adapter does not take is counted, and the cycle goes on; it ends when the adapter is gone, or
        when ``send`` raises anything else. Raise ValueError for a period that is not positive, AdapterError.
        """
        check_period(period_s)
        cycle = Cycle(self, name, period_s, send)
        with self._pump.lock:
            self._pump.check_open()
            cycle.begin(self._clock.now(), from_call=self._threaded)  # its thread may have to begin first
            self.cycles = [*self.cycles, cycle]
            if not self._threaded:
                self._pump.drain(self, cycle.due)
            elif self._thread is None:
                self._thread = threading.Thread(target=self._run, name="opendiag cycles", daemon=True)
                self._thread.start()
        self._changed.set()
        return cycle

    def send_every(self, period_s: float, frame: Frame, name: str = "") -> Cycle:
        """Send the same frame every ``period_s``. Raise as `every`."""
        return self.every(period_s, lambda now: self._pump.send(frame, now), name or frame.id_text)

    def remove(self, cycle: Cycle) -> None:
        with self._pump.lock:
            self.cycles = [other for other in self.cycles if other is not cycle]

    def close(self) -> None:
        """Stop all of them, and end the thread."""
        with self._pump.lock:
            self.cycles = []
            self._closed = True
        self._changed.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and not self._pump.owned:
            thread.join(_JOIN_S)

    def fail(self, error: AdapterError) -> None:
        """The bus is gone. Call it with the lock held."""
        now = self._clock.now()
        cycles, self.cycles = self.cycles, []
        for cycle in cycles:
            cycle.error = error
            self._publish(CycleStopped(cycle.name, now, error))

    def _due(self) -> float | None:
        return min((cycle.due for cycle in self.cycles), default=None)

    def _call_due(self, now: float) -> None:
        """With the lock held."""
        for cycle in self.cycles:
            if cycle.due <= now and cycle in self.cycles:  # one before may have stopped it
                event = cycle.run(now)
                if event is not None:
                    if isinstance(event, CycleStopped):
                        self.remove(cycle)
                    self._publish(event)
                now = self._clock.now()

    # --- in real time ---

    def _run(self) -> None:
        self._pump.forbid_waiting()
        least_timer_slack()
        self.real_time = self.want_real_time and real_time_priority()
        while not self._closed:
            due = self._due()
            if due is None:
                self._changed.wait()
                self._changed.clear()
            elif self._sleep_until(due):
                with self._pump.lock:
                    if not self._closed:
                        self._call_due(self._clock.now())

    def _sleep_until(self, due: float) -> bool:
        """False when it had to look whether something has changed meanwhile."""
        clock = self._clock
        rest = due - clock.now()
        if rest > _LONGEST_SLEEP_S:
            self._changed.wait(rest - _LONGEST_SLEEP_S / 2)
            self._changed.clear()
            return False
        spin = min(max(1.5 * self._overshoot_s, _SPIN_LEAST_S), _SPIN_MOST_S)
        if rest > spin:
            began = time.perf_counter()
            time.sleep(rest - spin)
            over = time.perf_counter() - began - (rest - spin)
            self._overshoot_s += _FOLLOW_S if over > self._overshoot_s else -_FOLLOW_S
        while clock.now() < due:
            pass
        return True

    # --- as a machine, where the pump keeps the time ---

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing on the bus concerns a cycle."""

    def tick(self, now: float) -> None:
        """Those that are due."""
        self._call_due(now)

    def deadline(self) -> float | None:
        return self._due()

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[object]:
        return []
