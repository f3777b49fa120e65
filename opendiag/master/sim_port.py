"""A simulated bus and its clock, moved on by whoever waits for a frame of it."""

from __future__ import annotations

import threading
from itertools import chain, count

from opendiag.errors import AdapterClosed
from opendiag.frame import Frame
from opendiag.master.clock import Clock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode

#: Longer waits can be ended by a frame that another thread sends.
_LONG_S = 0.002
#: What has not left after that has nobody to acknowledge it.
_FLUSH_S = 0.02


class SimWorld:
    """One bus for any number of ports and threads. ``lock`` guards the bus and everything attached to it.

    ``devices`` are the simulated ones, by node-ID.
    """

    def __init__(self, bus: SimBus, clock: Clock) -> None:
        self.bus = bus
        self.clock = clock
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.devices: dict[int, SimNode] = {}

    def advance(self) -> None:
        """Let everything happen that should have happened by now. Call it with the lock held."""
        self.bus.run_until(max(self.clock.now(), self.bus.now))


class SimPort:
    """A controller on a simulated bus."""

    def __init__(self, world: SimWorld, name: str = "sim", listen_only: bool = False) -> None:
        self.name = name
        self.listen_only = listen_only
        self.runs_in_thread = world.clock.runs
        self.world = world
        with world.lock:
            taken = {station.name for station in world.bus.stations}
            free = next(text for text in chain([name], (f"{name} {n}" for n in count(2))) if text not in taken)
            self.station = world.bus.attach(name=free, listen_only=listen_only)
        self._closed = self._interrupted = False

    @property
    def bus_state(self) -> str:
        """error-active, error-passive or bus-off."""
        return self.station.state

    @property
    def tx_errors(self) -> int:
        """The transmit error counter."""
        return self.station.tec

    @property
    def rx_errors(self) -> int:
        """The receive error counter."""
        return self.station.rec

    @property
    def pending(self) -> int:
        """Frames that wait to be sent."""
        return self.station.pending

    def send(self, frame: Frame) -> None:
        world = self.world
        with world.lock:
            self._check()
            world.advance()
            self.station.send(frame)
            world.changed.notify_all()

    def receive(self, until: float) -> list[Frame]:
        world = self.world
        clock = world.clock
        while True:
            with world.lock:
                self._check()
                world.advance()
                frames = self.station.receive()
                now = clock.now()
                if frames or now >= until or self._interrupted:
                    self._interrupted = False
                    return frames
                event = world.bus.next_event()
                moment = until if event is None or event > until else event
                if clock.runs and moment - now > _LONG_S:
                    world.changed.wait(moment - now - _LONG_S / 2)
                    continue
            clock.sleep_until(moment)

    def interrupt(self) -> None:
        with self.world.lock:
            self._interrupted = True
            self.world.changed.notify_all()

    def close(self) -> None:
        self._flush()
        with self.world.lock:
            if not self._closed:
                self._closed = True
                self.world.bus.detach(self.station)
                self.world.changed.notify_all()

    def _flush(self) -> None:
        """What was sent leaves before the controller does: the abort of a transfer, say."""
        clock, world = self.world.clock, self.world
        end = clock.now() + _FLUSH_S
        while not self._closed and clock.now() < end:
            with world.lock:
                world.advance()
                event = world.bus.next_event()
                if not self.station.pending or event is None:
                    return
            clock.sleep_until(min(max(event, clock.now()), end))

    def _check(self) -> None:
        if self._closed:
            raise AdapterClosed(self.name, "closed")
