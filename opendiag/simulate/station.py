"""A CAN controller on the simulated bus: its queues, its error counters and whoever uses it.

Not here: when a frame is sent and who gets it. That is the bus (`opendiag.simulate.bus`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from opendiag.errors import AdapterClosed, SendFailed
from opendiag.frame import Frame
from opendiag.services.base import Machine
from opendiag.simulate.bits import arbitration_key

#: Called with each event of a machine and the bus's time.
EventHandler = Callable[[Any, float], None]

_PASSIVE = 128
_BUS_OFF = 256
_WARNING = 96
#: Where an error-passive receiver comes back to after a good frame (ISO 11898-1: 119..127).
_BACK_FROM_PASSIVE = 127

# Linux error classes (can/error.h), the part that this bus can tell.
_CLASS_CONTROLLER, _CLASS_BUS_OFF, _CLASS_RESTARTED, _CLASS_COUNTERS = 0x004, 0x040, 0x100, 0x200
_RX_WARNING, _TX_WARNING, _RX_PASSIVE, _TX_PASSIVE, _ACTIVE_AGAIN = 0x04, 0x08, 0x10, 0x20, 0x40


class StationHost(Protocol):
    """What a station needs of its bus."""

    @property
    def now(self) -> float:
        """Seconds."""

    def has_frames(self, station: Station) -> None:
        """The station's queue is no longer empty."""

    def begin_recovery(self, station: Station) -> None:
        """Bring the station back from bus-off after 128 times 11 recessive bits."""


class Station:
    """Made by `SimBus.attach`. Frames leave in the order they were queued (FIFO), whatever their identifiers.

    Counters, since it was attached: ``queued`` = ``sent`` + ``pending`` + ``dropped``. ``dropped`` counts frames that
    will never be sent: queued when the station went bus-off or was detached, refused by a one-shot station after a
    failed attempt, or sent by the machine of a station that may not send.
    ``tec`` and ``rec`` are the transmit and receive error counters.
    """

    def __init__(
        self,
        host: StationHost,
        machine: Machine | None,
        name: str,
        *,
        bit_rate: int | None,
        listen_only: bool = False,
        echo: bool = False,
        report_errors: bool = False,
        one_shot: bool = False,
        restart_s: float | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        self.host = host
        self.machine = machine
        self.name = name
        self.listen_only = listen_only
        self.bit_rate = bit_rate
        self.echo = echo
        self.report_errors = report_errors
        self.one_shot = one_shot
        self.restart_s = restart_s
        self.on_event = on_event
        self.tec = 0
        self.rec = 0
        self.bus_off = False
        self.attached = True
        self.queued = 0
        self.sent = 0
        self.dropped = 0
        self.received = 0
        self.arbitration_lost = 0
        #: For the bus: frames to send with their arbitration key, when the machine wants its tick, and until when an
        #: error-passive station leaves the bus to others.
        self.queue: deque[tuple[int, Frame]] = deque()
        self.deadline: float | None = None
        self.suspended_until = host.now
        self.acknowledges = not listen_only
        self._inbox: list[Frame] = []
        self._reported = 0

    def __repr__(self) -> str:
        return f"<Station {self.name} {self.state} tec={self.tec} rec={self.rec}>"

    # --- for whoever uses the station

    def send(self, frame: Frame) -> None:
        """Queue a frame; the bus sends it when its time comes.

        Raise AdapterClosed after `SimBus.detach`, and SendFailed where the frame can never leave: listen-only,
        bus-off, an error frame, or CAN FD.
        """
        if not self.attached:
            raise AdapterClosed(self.name, "it is detached from the simulated bus")
        if self.listen_only:
            raise SendFailed(self.name, "it is listen-only")
        if self.bus_off:
            raise SendFailed(self.name, "it is bus-off; recover() brings it back")
        self.enqueue(frame)

    def receive(self) -> list[Frame]:
        """What came since the last call, oldest first. A station with a machine has none: the machine gets them."""
        frames, self._inbox = self._inbox, []
        return frames

    def recover(self) -> None:
        """Come back from bus-off, 1408 bit times from now and with cleared counters. Without effect otherwise."""
        if self.attached and self.bus_off:
            self.host.begin_recovery(self)

    @property
    def state(self) -> str:
        """As ISO 11898-1 calls it: "error-active", "error-passive" or "bus-off"."""
        if self.bus_off:
            return "bus-off"
        return "error-passive" if self.passive else "error-active"

    @property
    def passive(self) -> bool:
        """True for an error-passive station: its error flags are recessive and harm nobody."""
        return self.tec >= _PASSIVE or self.rec >= _PASSIVE

    @property
    def pending(self) -> int:
        """Frames that wait to be sent, the one on the bus included."""
        return len(self.queue)

    # --- for the bus

    def enqueue(self, frame: Frame) -> None:
        """Raise SendFailed for a frame that this kind of bus does not have."""
        if frame.fd or frame.error:
            kind = "an error frame is the controller's own" if frame.error else "the simulated bus has no CAN FD"
            raise SendFailed(self.name, kind)
        self.queued += 1
        if self.listen_only or self.bus_off or not self.attached:
            self.dropped += 1
            return
        if not self.queue:
            self.host.has_frames(self)
        self.queue.append((arbitration_key(frame), frame))

    def deliver(self, frame: Frame, now: float) -> None:
        """A frame arrives."""
        machine = self.machine
        if machine is None:
            self._inbox.append(frame)
            return
        machine.receive(frame, now)
        self.attend(now)

    def tick(self, now: float) -> None:
        """The machine's deadline has come."""
        if self.machine is not None:
            self.machine.tick(now)
            self.attend(now)

    def attend(self, now: float) -> None:
        """Fetch what the machine wants to send and to tell, and when it wants its next tick."""
        machine = self.machine
        if machine is None:
            return
        for frame in machine.frames_to_send():
            self.enqueue(frame)
        if self.on_event is not None:
            for event in machine.events():
                self.on_event(event, now)
            for frame in machine.frames_to_send():
                self.enqueue(frame)
        self.deadline = machine.deadline()

    def drop_queue(self) -> None:
        """Give up everything that waits."""
        self.dropped += len(self.queue)
        self.queue.clear()

    def drop_first(self) -> None:
        """Give up the frame that was tried."""
        self.queue.popleft()
        self.dropped += 1

    # --- fault confinement

    def sent_well(self, now: float) -> None:
        """Count a frame that left, and take it from the queue."""
        self.queue.popleft()
        self.sent += 1
        if self.tec:
            self.tec -= 1
            if self.tec == _PASSIVE - 1:
                self.report(0, now)

    def received_well(self, now: float) -> None:
        """Count a good frame of another station."""
        self.received += 1
        if self.rec >= _PASSIVE:
            self.rec = _BACK_FROM_PASSIVE
            self.report(0, now)
        elif self.rec:
            self.rec -= 1

    def failed_to_send(self, acknowledge: bool = False) -> None:
        """Count an error while sending. An error-passive station does not count a missing ``acknowledge``."""
        if not (acknowledge and self.passive):
            self.tec += 8
        was, self.bus_off = self.bus_off, self.tec >= _BUS_OFF
        if self.bus_off and not was:
            self._tell_bus_off()

    def _tell_bus_off(self) -> None:
        """A device that minds has ``bus_off(now)``."""
        mind = getattr(self.machine, "bus_off", None)
        if mind is not None:
            mind(self.host.now)
            self.deadline = None if self.machine is None else self.machine.deadline()

    def failed_to_receive(self, by: int) -> None:
        """Count an error while receiving. Beyond error-passive the counter stands still; listen-only has none."""
        if not self.listen_only and self.rec < _PASSIVE:
            self.rec += by

    def restarted(self, now: float) -> None:
        """Back from bus-off."""
        self.tec = self.rec = 0
        self.bus_off = False
        self._reported = 0
        self.report(_CLASS_RESTARTED, now)

    def report(self, classes: int, now: float, protocol: int = 0, location: int = 0) -> None:
        """Tell the user of an error, and of what it changed in the controller's state, as Linux tells it."""
        level = self._level()
        change = level & ~self._reported
        if not level & (_RX_PASSIVE | _TX_PASSIVE) and self._reported & (_RX_PASSIVE | _TX_PASSIVE):
            change |= _ACTIVE_AGAIN
        self._reported = level
        if not self.report_errors or not (classes or change):
            return
        classes |= (_CLASS_CONTROLLER if change else 0) | _CLASS_COUNTERS
        if self.bus_off:
            classes |= _CLASS_BUS_OFF
        data = bytes((0, change, protocol, location, 0, 0, min(self.tec, 255), min(self.rec, 255)))
        self.deliver(Frame(classes, data, error=True, direction="rx", time_ns=round(now * 1e9)), now)

    def _level(self) -> int:
        """Warning and passive bits of data byte 1, as the counters are."""
        level = _TX_WARNING if self.tec >= _WARNING else 0
        level |= _RX_WARNING if self.rec >= _WARNING else 0
        level |= _TX_PASSIVE if self.tec >= _PASSIVE else 0
        return level | (_RX_PASSIVE if self.rec >= _PASSIVE else 0)
