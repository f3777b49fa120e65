"""Runs the machines of one bus: frames in, frames out, deadlines kept.

Whoever waits for an answer reads the bus meanwhile, so that a lone caller never waits for another thread to be
scheduled. The others who wait at that time are woken when theirs has come, and one of them goes on reading when the
reader is served. A thread of the pump's own reads while nobody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from opendiag.errors import AdapterClosed, AdapterError, BlockingCall, SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import Clock
from opendiag.master.port import SLICE_S, Port
from opendiag.services.base import Machine

#: After somebody has waited, the pump's own thread leaves the bus alone for this long: more is likely to be asked.
_COURTESY_S = 0.004
#: A thread that waits for another one's reading looks itself after that, should the other have died.
_PATIENCE_S = 0.1
#: What was read this recently need not be caught up with.
_FRESH_S = 0.0002
#: Frames caught up with at a time; a faster bus than we are must not keep a caller for ever.
_CATCH_UP_MOST = 1000
#: While more than that waits each time, no deadline is called missed: the answer may be among the rest. But not longer.
_BEHIND_S = 2.0
#: This late, the whole program has been standing still: the adapter's own thread gets so long to hand over what it has.
_STALLED_S, _RESUME_S = 0.05, 0.02
#: Threads end within this, unless the driver does not return.
_JOIN_S = 1.0


class Listener(Protocol):
    """Hears every frame, received or sent, and what became of sending. Called with the pump's lock held: be quick."""

    def received(self, frame: Frame, now: float) -> None: ...

    def sent(self, frame: Frame, now: float) -> None: ...

    def send_failed(self, frame: Frame, reason: str, now: float) -> None: ...


class Awaited(Protocol):
    """What somebody waits for."""

    @property
    def done(self) -> bool: ...


def _nothing() -> None:
    """A port that cannot be interrupted reads to the end of its slice."""


class _Waiter:
    """``event`` exists once the thread has found that another one reads."""

    __slots__ = ("awaited", "event")

    def __init__(self, awaited: Awaited) -> None:
        self.awaited = awaited
        self.event: threading.Event | None = None

    def wake(self) -> None:
        if self.event is not None:
            self.event.set()


class Pump:
    """``lock`` guards the machines and the listeners.

    ``handle_event`` gets what machines tell, with the lock held; ``on_failure`` the error that ends the bus.
    ``after_step`` is called without the lock by whoever waits for the bus, after each look at it; ``after_sent`` with
    the lock for each frame that was sent with this CAN-ID (and 29 bits), after the listeners.
    """

    def __init__(
        self,
        port: Port,
        clock: Clock,
        handle_event: Callable[[Machine, object, float], None],
        on_failure: Callable[[AdapterError], None],
    ) -> None:
        self.after_step: Callable[[], None] | None = None
        self.after_sent: dict[tuple[int, bool], Callable[[Frame, float], None]] = {}
        self.port = port
        self.clock = clock
        self.lock = threading.RLock()
        self.failure: AdapterError | None = None
        self._handle_event = handle_event
        self._on_failure = on_failure
        self._machines: dict[tuple[int, bool], list[Machine]] = {}
        self._busy: dict[int, Machine] = {}
        self._listeners: list[Listener] = []
        self._reading = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._served_at = -1.0
        self._closing = threading.Event()
        self._over = False  # closed or failed
        self._read_at = float("-inf")
        self._reads_until = float("-inf")  # -inf while nobody waits in the port
        self._behind_since: float | None = None
        self._interrupt: Callable[[], None] = getattr(port, "interrupt", _nothing)
        self._forbidden: set[int] = set()
        self._thread: threading.Thread | None = None

    # --- what runs on it ---

    def start(self) -> None:
        """From now on frames are read even when nobody waits, where the port can be waited for in a thread."""
        if self.port.runs_in_thread:
            self._thread = threading.Thread(target=self._serve, name=f"opendiag {self.port.name}", daemon=True)
            self._thread.start()

    def add(self, machine: Machine, can_id: int, extended: bool = False) -> None:
        """Frames with this CAN-ID go to the machine."""
        with self.lock:
            others = self._machines.get((can_id, extended), [])
            if all(other is not machine for other in others):
                self._machines[can_id, extended] = [*others, machine]

    def listen(self, listener: Listener) -> None:
        with self.lock:
            self._listeners = [*self._listeners, listener]

    def wake_done(self) -> None:
        """Something happened outside the pump: those whose wait is over by that go on. Call it with the lock held."""
        for waiter in self._waiters:
            if waiter.event is not None and waiter.awaited.done:
                waiter.event.set()

    def remove(self, machine: Machine) -> None:
        """It gets no more frames and no more time."""
        with self.lock:
            self._busy.pop(id(machine), None)
            for key, machines in self._machines.items():
                if any(other is machine for other in machines):
                    self._machines[key] = [other for other in machines if other is not machine]

    def unlisten(self, listener: Listener) -> None:
        with self.lock:
            self._listeners = [other for other in self._listeners if other is not listener]

    def forbid_waiting(self, forbidden: bool = True) -> None:
        """The calling thread serves others: what waits for the bus must not be called on it, until it is allowed."""
        if forbidden:
            self._forbidden.add(threading.get_ident())
        else:
            self._forbidden.discard(threading.get_ident())

    @property
    def owned(self) -> bool:
        """Does the calling thread hold ``lock``?"""
        owned: bool = self.lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to ask
        return owned

    def check_may_wait(self, call: str) -> None:
        """Raise BlockingCall on a thread that serves others, AdapterError when the bus is gone.

        Who holds the lock serves others too: a function that a machine calls, for progress or for data.
        """
        if self._forbidden and threading.get_ident() in self._forbidden:
            raise BlockingCall(call)
        if self.owned:
            raise BlockingCall(call)
        if self._over:
            self.check_open()

    def check_open(self) -> None:
        """Raise why the bus is gone, if it is."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # raised as often as somebody asks
        if self._over:
            raise AdapterClosed(self.port.name, "closed")

    # --- doing ---

    def keep(self, machine: Machine) -> None:
        """Call its `tick` when its deadline comes. Call this with the lock held, whenever the deadline has changed."""
        deadline = machine.deadline()
        if deadline is None:
            self._busy.pop(id(machine), None)
            return
        self._busy[id(machine)] = machine
        if deadline < self._reads_until:
            self._reads_until = deadline
            self._interrupt()

    def drain(self, machine: Machine, now: float) -> None:
        """Send what the machine wants to send and tell what it tells. Call it with the lock held.

        When one frame does not leave, those behind it are not tried: they would only keep everybody waiting.
        """
        self.keep(machine)
        frames = machine.frames_to_send()
        try:
            for frame in frames:
                self.send(frame, now)
        except AdapterError:
            pass  # told to the listeners, or to everybody who waits
        for event in machine.events():
            self._handle_event(machine, event, now)

    def send(self, frame: Frame, now: float) -> None:
        """Listeners learn of it either way. Raise SendFailed, AdapterError. Call it with the lock held."""
        try:
            self.port.send(frame)
        except SendFailed as error:
            for listener in self._listeners:
                listener.send_failed(frame, error.reason, now)
            raise
        except AdapterError as error:
            self._fail(error)
            raise
        for listener in self._listeners:
            listener.sent(frame, now)
        after = self.after_sent.get((frame.can_id, frame.extended))
        if after is not None:
            after(frame, now)

    def catch_up(self) -> float:
        """Take what came before now, so that no later question finds its answer in it. Call it with the lock held.

        Returns the time.
        """
        now = self.clock.now()
        if now - self._read_at > _FRESH_S and not self._over and self._reading.acquire(blocking=False):
            try:
                for frame in self._waiting(now):
                    self._receive(frame, now)
            except AdapterError as error:
                self._fail(error)
                self.check_open()
            finally:
                self._reading.release()
                self.wake_all()  # a reader may have left in between: what came is theirs, or they have to read
        return now

    def wait(self, awaited: Awaited, until: float | None = None) -> bool:
        """Read the bus, or let another thread read it, until ``awaited.done`` or that moment. Returns ``done``.

        Raises the AdapterError that ended the bus meanwhile.
        """
        if awaited.done:
            return True
        waiter = _Waiter(awaited)
        with self.lock:
            self._waiters.append(waiter)
        try:
            while not awaited.done:
                if self._over:
                    self.check_open()
                if self._reading.acquire(blocking=False):
                    try:
                        self._read_until(awaited, until)
                    finally:
                        self._reading.release()
                    if until is not None and self.clock.now() >= until:
                        return awaited.done
                elif until is not None and self.clock.now() >= until:
                    return awaited.done
                elif waiter.event is None:
                    waiter.event = threading.Event()  # and look once more: the reader may have left in between
                else:
                    rest = _PATIENCE_S if until is None else min(_PATIENCE_S, max(until - self.clock.now(), 0.0))
                    waiter.event.wait(rest)
                    waiter.event.clear()
            return True
        finally:
            with self.lock:
                self._waiters.remove(waiter)
                self._served_at = self._read_at
                self._hand_over()

    def close(self) -> None:
        """End the threads and close the port. Whoever waits gets AdapterClosed."""
        self._over = True
        self._closing.set()
        self.wake_all()
        self.port.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    # --- reading ---

    def _read_until(self, awaited: Awaited, until: float | None) -> None:
        """One look at least: what is there already counts even when the time is over."""
        while not awaited.done and not self._over:
            self._step(self.clock.now(), until)
            if self.after_step is not None:
                self.after_step()
            if until is not None and self.clock.now() >= until:
                return

    def _waiting(self, now: float) -> list[Frame]:
        """What the port has without waiting for it."""
        found: list[Frame] = []
        while len(found) < _CATCH_UP_MOST and (frames := self.port.receive(now)):
            found += frames
        return found

    def _step(self, now: float, until: float | None) -> None:
        """One look at the bus, and what follows from it."""
        with self.lock:
            self._reads_until = self._soonest(now + SLICE_S if until is None else min(until, now + SLICE_S))
        try:
            frames = self.port.receive(self._reads_until)
            now, moment = self.clock.now(), self._reads_until
            if now >= moment and self._busy:  # an answer that lies there is not late
                if now - moment > _STALLED_S:
                    frames += self.port.receive(now + _RESUME_S)
                frames += self._waiting(now)
        except AdapterError as error:
            self._fail(error)
            return
        self._read_at = now
        with self.lock:
            self._reads_until = float("-inf")
            for frame in frames:
                self._receive(frame, now)
            if now >= moment and self._caught_up(len(frames), now):
                self._tick(now)
            self.wake_done()

    def _soonest(self, moment: float) -> float:
        """That moment, or the first deadline before it. Call it with the lock held."""
        for machine in self._busy.values():
            deadline = machine.deadline()
            if deadline is not None and deadline < moment:
                moment = deadline
        return moment

    def _caught_up(self, taken: int, now: float) -> bool:
        """Was that all, or is it time to go on without the rest?"""
        if taken < _CATCH_UP_MOST:
            self._behind_since = None
            return True
        if self._behind_since is None:
            self._behind_since = now
        return now - self._behind_since > _BEHIND_S

    def _tick(self, now: float) -> None:
        for machine in tuple(self._busy.values()):
            deadline = machine.deadline()
            if deadline is not None and deadline <= now:
                machine.tick(now)
                self.drain(machine, now)

    def _receive(self, frame: Frame, now: float) -> None:
        for listener in self._listeners:
            listener.received(frame, now)
        for machine in self._machines.get((frame.can_id, frame.extended), ()):
            if frame.error or frame.direction == "tx":  # no message of another station, whatever its number says
                return
            machine.receive(frame, now)
            self.drain(machine, now)

    def _serve(self) -> None:
        self.forbid_waiting()
        try:
            self._read_while_idle()
        except Exception as error:  # it must not end unheard
            self._fail(AdapterClosed(self.port.name, f"reading failed: {error!r}"))
            raise

    def _read_while_idle(self) -> None:
        while not self._over:
            if self._waiters or self.clock.now() - self._served_at < _COURTESY_S:
                self._closing.wait(_COURTESY_S)
            elif self._reading.acquire(timeout=_COURTESY_S):
                try:
                    while not self._waiters and not self._over:
                        self._step(self.clock.now(), None)
                finally:
                    self._reading.release()
                with self.lock:
                    self._hand_over()

    def _hand_over(self) -> None:
        """Nobody reads now: one of those who wait has to. Call it with the lock held."""
        for waiter in self._waiters:
            if not waiter.awaited.done:
                waiter.wake()
                return

    def wake_all(self) -> None:
        """Something is done without a frame having come: whoever waits looks again."""
        for waiter in list(self._waiters):
            waiter.wake()

    def _fail(self, error: AdapterError) -> None:
        """The bus is gone; everybody who waits is told."""
        if self._closing.is_set():
            return
        with self.lock:
            if self.failure is not None:  # who sends and who reads may both have noticed
                return
            self.failure = error
            self._over = True
            self._on_failure(error)
        self.wake_all()
