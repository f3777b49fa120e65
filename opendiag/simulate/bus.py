"""A classic CAN bus in memory: bit times, arbitration, acknowledge, error frames, bus-off, and faults on purpose.

Everything happens in `SimBus.run_until`, in an order that depends on nothing but what was attached and sent. At one
instant: the frame on the bus ends and is delivered in the order of attaching, then what was delayed to this time,
then the machines whose deadline has come (in the order of attaching), then the next frame begins.

Simplified: coming back from bus-off takes 1408 bit times, however busy the bus is. `opendiag.simulate.transmission`
says how long a broken frame is.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from functools import partial

from opendiag.frame import Frame
from opendiag.services.base import Machine
from opendiag.simulate.bits import INTERMISSION_BITS
from opendiag.simulate.bus_statistics import BusStatistics, Traffic
from opendiag.simulate.faults import Delivery, Fault, FaultScript, FiredFault
from opendiag.simulate.station import EventHandler, Station
from opendiag.simulate.transmission import (
    COLLISION,
    NOISE,
    NOT_ACKNOWLEDGED,
    SENDER_GONE,
    WRONG_RATE,
    Failure,
    Transmission,
    judge,
)

#: What an error-passive station waits after its own frame, beyond the intermission.
_SUSPEND_BITS = 8
_RECOVERY_BITS = 128 * 11
#: About a million frames at one instant.
_STEPS_AT_ONE_INSTANT = 2_000_000


class SimBus:
    """``bit_rate`` in bit/s; None: frames take no time, and their order is that of arbitration all the same.

    ``start`` is the bus's time in seconds before anything happened. ``fired`` lists every fault that took a frame.
    Not for more than one thread at a time. Raises ValueError for a bit rate that is none, and for a bad fault.
    """

    def __init__(
        self, bit_rate: int | None = 1_000_000, *, faults: Sequence[Fault] = (), seed: int = 0, start: float = 0.0
    ) -> None:
        _check_bit_rate(bit_rate)
        self.bit_rate = bit_rate
        self.now = start
        self.start = start
        self.steps_at_one_instant = _STEPS_AT_ONE_INSTANT
        self._bit_s = 1.0 / bit_rate if bit_rate else 0.0
        self._script = FaultScript(faults, seed)
        self._stations: tuple[Station, ...] = ()
        self._machines: tuple[Station, ...] = ()
        self._attached = 0
        self._waiting: dict[Station, None] = {}
        self._transmission: Transmission | None = None
        self._idle_at = start
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        # Sends what "inject" faults want. It hears nothing, and comes back from bus-off at once.
        self._intruder = Station(self, None, "intruder", bit_rate=bit_rate, restart_s=0.0)
        self._recovering: set[Station] = set()
        self._traffic = Traffic(self._bit_s, start)
        self._lost = self._late = 0
        self._overdue_at: float | None = None
        self._gone = [0, 0, 0]

    # --- stations

    def attach(
        self,
        machine: Machine | None = None,
        name: str = "",
        *,
        listen_only: bool = False,
        bit_rate: int | None = None,
        echo: bool = False,
        report_errors: bool | None = None,
        one_shot: bool = False,
        restart_s: float | None = None,
        on_event: EventHandler | None = None,
    ) -> Station:
        """Put a controller on the bus, with the machine that uses it or for `Station.send` and `Station.receive`.

        ``bit_rate`` is the station's own, the bus's if None. ``echo``: it gets its own frames, too, direction "tx".
        ``report_errors``: it gets error frames (if None: without a machine). ``one_shot``: a frame that fails is not
        tried again. ``restart_s``: how long after bus-off it comes back by itself; None: never. ``on_event`` gets each
        event of the machine and the time; without it they stay in the machine for its owner to fetch.

        Raise ValueError for a name that is taken, and for a bit rate on a bus that has none.
        """
        _check_bit_rate(bit_rate)
        if bit_rate is not None and self.bit_rate is None:
            raise ValueError(f"bit_rate is {bit_rate}, and this bus has none: its frames take no time")
        if restart_s is not None and not restart_s >= 0:
            raise ValueError(f"restart_s is {restart_s}; expected seconds, 0 or more, or None")
        self._attached += 1
        name = name or f"station {self._attached}"
        if name == self._intruder.name or any(station.name == name for station in self._stations):
            raise ValueError(f"there is a station {name!r} on this bus already")
        station = Station(
            self,
            machine,
            name,
            bit_rate=bit_rate or self.bit_rate,
            listen_only=listen_only,
            echo=echo,
            report_errors=machine is None if report_errors is None else report_errors,
            one_shot=one_shot,
            restart_s=restart_s,
            on_event=on_event,
        )
        self._set_stations((*self._stations, station))
        station.attend(self.now)
        return station

    def detach(self, station: Station) -> None:
        """Take it off the bus; what waits in it is dropped, a frame in the middle of the bus is destroyed."""
        if not station.attached or station not in self._stations:
            return
        station.attached = False
        station.drop_queue()
        self._waiting.pop(station, None)
        self._set_stations(tuple(other for other in self._stations if other is not station))
        self._gone = [sum(pair) for pair in zip(self._gone, _counters(station), strict=True)]

    @property
    def stations(self) -> tuple[Station, ...]:
        """In the order of attaching."""
        return self._stations

    def has_frames(self, station: Station) -> None:
        """For stations: its queue is no longer empty."""
        self._waiting[station] = None

    def begin_recovery(self, station: Station) -> None:
        """For stations: `Station.recover`."""
        if station not in self._recovering:
            self._recovering.add(station)
            self._at(self.now + _RECOVERY_BITS * self._bit_s, partial(self._recovered, station))

    def _set_stations(self, stations: tuple[Station, ...]) -> None:
        self._stations = stations
        self._machines = tuple(station for station in stations if station.machine is not None)
        self._wake()

    def _wake(self) -> None:
        """Someone new may acknowledge: frames that were given up for that reason (without a bit rate) are due again."""
        for station in self._waiting:
            if station.suspended_until == math.inf:
                station.suspended_until = self.now

    def _recovered(self, station: Station) -> None:
        self._recovering.discard(station)
        if station.attached and station.bus_off:
            station.restarted(self.now)
            self._wake()

    # --- time

    def run_until(self, time: float) -> None:
        """Do everything that happens up to and including ``time``; `now` is ``time`` afterwards.

        Raise ValueError for a time before `now`, and RuntimeError when things go on for ever at one instant, as two
        machines that answer each other on a bus without a bit rate do.
        """
        if not self.now <= time < math.inf:
            raise ValueError(f"cannot run until {time}: expected a time from {self.now} on")
        self._poll()
        steps = 0
        while (at := self._next_time()) <= time:
            if at > self.now:
                self.now = at
                steps = 0
            steps += 1
            if steps > self.steps_at_one_instant:
                raise RuntimeError(f"the simulated bus does not get beyond {self.now} s: {self._culprit()}")
            self._step()
        self.now = time

    def next_event(self) -> float | None:
        """When something will happen next: a frame begins or ends, a machine wants its tick. None: nothing pending."""
        self._poll()
        at = self._next_time()
        return None if at == math.inf else at

    def _poll(self) -> None:
        """Machines may have been asked for something since the last run."""
        for station in self._machines:
            station.attend(self.now)

    def _next_time(self) -> float:
        at = math.inf
        if self._transmission is not None:
            at = self._transmission.end
        elif self._waiting:
            at = max(self._idle_at, min([station.suspended_until for station in self._waiting]))
        if self._later and self._later[0][0] < at:
            at = self._later[0][0]
        for station in self._machines:
            deadline = station.deadline
            if deadline is not None and deadline < at:
                at = deadline
        return at if at > self.now else self.now

    def _step(self) -> None:
        """What happens at `now`, each kind of thing once."""
        now = self.now
        if self._transmission is not None and self._transmission.end <= now:
            self._finish(self._transmission)
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()
        for station in self._machines:
            if station.deadline is not None and station.deadline <= now and station.attached:
                station.tick(now)
        if self._waiting and self._transmission is None and self._idle_at <= now:
            self._begin()

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._later, (time, self._order, action))

    def _culprit(self) -> str:
        late = [s.name for s in self._machines if s.deadline is not None and s.deadline <= self.now]
        if late:
            return f"the machine of {late[0]!r} wants its tick again and again"
        names = ", ".join(repr(station.name) for station in self._waiting) or "stations"
        return f"{names} send without end, and frames take no time"

    # --- a frame begins

    def _begin(self) -> None:
        """Arbitration among all who have a frame now, and what will become of the winner's."""
        now = self.now
        contenders = [station for station in self._waiting if station.suspended_until <= now]
        if len(contenders) > 1:
            best = min([station.queue[0][0] for station in contenders])
            senders = [station for station in contenders if station.queue[0][0] == best]
            for station in contenders:
                station.arbitration_lost += station.queue[0][0] != best
        elif contenders:
            senders = contenders
        else:
            return
        self._transmission = tx = Transmission(senders, now, senders[0].queue[0][1])
        judge(tx, self._stations, self.bit_rate, self._is_destroyed)
        tx.end = now + tx.bits * self._bit_s
        self._traffic.begin(now, tx.end)

    def _is_destroyed(self, tx: Transmission) -> bool:
        if not self._script.faults or tx.senders[0] is self._intruder:
            return False
        return self._script.destroys(tx.frame, tuple(tx.senders), tx.begun - self.start, self.now)

    # --- a frame ends

    def _finish(self, tx: Transmission) -> None:
        self._transmission = None
        self._idle_at = tx.end + INTERMISSION_BITS * self._bit_s
        if tx.failure is None and not any(station.attached for station in tx.senders):
            tx.failure = SENDER_GONE
        if tx.failure is None:
            self._traffic.good(tx.bits, 8 * len(tx.frame.data))
            self._succeed(tx)
        else:
            self._traffic.bad(tx.bits)
            self._fail(tx, tx.failure)

    def _succeed(self, tx: Transmission) -> None:
        now = self.now
        for station in tx.senders:
            if station.attached:
                station.sent_well(now)
                self._rest(station)
                if station.echo:
                    station.deliver(_stamped(tx.frame, now, "tx"), now)
        for station in tx.given_up:
            self._punish(station, COLLISION)
        for station in self._stations:
            if station in tx.senders or station in tx.given_up or station.bus_off:
                continue
            if station.bit_rate == tx.senders[0].bit_rate:
                station.received_well(now)
            else:
                self._hear_noise(station, 1)
        if self._script.faults and tx.senders[0] is not self._intruder:
            self._deliver_with_faults(tx)
        else:
            self._deliver(tx.frame, tx.senders)

    def _fail(self, tx: Transmission, failure: Failure) -> None:
        senders = [*tx.senders, *tx.given_up]
        rate = tx.senders[0].bit_rate
        for station in tx.senders:
            self._punish(station, failure)
        for station in tx.given_up:
            self._punish(station, COLLISION)
        for station in self._stations:
            if station in senders or station.bus_off:
                continue
            # Who breaks a good frame because of its own bit rate is the first to see an error, and sees the flags of
            # the others behind its own: 8 more, so that it becomes error-passive before the sender goes bus-off.
            first = failure is WRONG_RATE and station.bit_rate != rate and rate == self.bit_rate
            self._hear_noise(station, 9 if first else 1)

    def _punish(self, station: Station, failure: Failure) -> None:
        """What a failed attempt costs its sender."""
        if not station.attached:
            return
        now = self.now
        station.failed_to_send(acknowledge=failure is NOT_ACKNOWLEDGED)
        if station.bus_off:
            station.drop_queue()
            if station.restart_s is not None:
                self._at(now + station.restart_s, station.recover)
        elif station.one_shot:
            station.drop_first()
        self._rest(station)
        if failure is NOT_ACKNOWLEDGED and station.passive and self.bit_rate is None:
            # Without bit times the attempts would go on for ever now: wait until someone is there.
            station.suspended_until = math.inf
        station.report(failure.classes, now, failure.protocol, failure.location)

    def _rest(self, station: Station) -> None:
        """After an attempt: an error-passive station lets others go first."""
        if not station.queue:
            self._waiting.pop(station, None)
        if station.passive:
            station.suspended_until = self._idle_at + _SUSPEND_BITS * self._bit_s

    def _hear_noise(self, station: Station, by: int) -> None:
        station.failed_to_receive(by)
        station.report(NOISE[0], self.now, NOISE[1])

    # --- delivery

    def _deliver(self, frame: Frame, senders: Sequence[Station]) -> None:
        """To all others that understand it."""
        now = self.now
        rate = senders[0].bit_rate
        stamped = _stamped(frame, now, "rx")
        for station in self._stations:
            if station not in senders and not station.bus_off and station.bit_rate == rate and station.attached:
                station.deliver(stamped, now)

    def _deliver_with_faults(self, tx: Transmission) -> None:
        now = self.now
        outcome = self._script.arrive(tx.frame, tuple(tx.senders), tx.begun - self.start, now)
        self._lost += outcome.lost
        for delay, frame in outcome.injections:
            self._at(now + delay, partial(self._intruder.enqueue, frame))
        overdue = self._script.next_overdue()
        if overdue is not None and overdue != self._overdue_at:
            self._overdue_at = overdue
            self._at(overdue, self._deliver_overdue)
        for delivery in outcome.deliveries:
            if delivery.after_s:
                self._late += 1
                self._at(now + delivery.after_s, partial(self._deliver_late, delivery))
            else:
                self._deliver(delivery.frame, delivery.senders)

    def _deliver_late(self, delivery: Delivery) -> None:
        self._late -= 1
        self._deliver(delivery.frame, delivery.senders)

    def _deliver_overdue(self) -> None:
        self._overdue_at = None
        for delivery in self._script.overdue(self.now):
            self._deliver(delivery.frame, delivery.senders)
        overdue = self._script.next_overdue()
        if overdue is not None:
            self._overdue_at = overdue
            self._at(overdue, self._deliver_overdue)

    # --- what it did

    @property
    def fired(self) -> list[FiredFault]:
        """Every fault that took a frame, oldest first."""
        return self._script.fired

    @property
    def load(self) -> float:
        """Busy part of the last second, or of the time since the start if that is less; 0..1."""
        return self._traffic.load_last_second(self.now)

    def statistics(self) -> BusStatistics:
        """As of `now`."""
        traffic = self._traffic
        everyone = (*self._stations, self._intruder)
        queued, sent, dropped = map(sum, zip(self._gone, *map(_counters, everyone), strict=True))
        return BusStatistics(
            queued=queued,
            sent=sent,
            pending=sum(station.pending for station in everyone),
            dropped=dropped,
            frames=traffic.frames,
            frame_bits=traffic.frame_bits,
            data_bits=traffic.data_bits,
            error_frames=traffic.error_frames,
            error_bits=traffic.error_bits,
            load=traffic.load(self.now),
            load_last_second=self.load,
            faults_fired=len(self.fired),
            lost_by_faults=self._lost,
            held_by_faults=self._script.held,
            late=self._late,
            injected=self._intruder.queued,
        )


def _counters(station: Station) -> list[int]:
    return [station.queued, station.sent, station.dropped]


def _stamped(frame: Frame, now: float, direction: str) -> Frame:
    return Frame(
        frame.can_id,
        frame.data,
        extended=frame.extended,
        remote=frame.remote,
        dlc=frame.dlc,
        direction=direction,
        time_ns=round(now * 1e9),
    )


def _check_bit_rate(bit_rate: int | None) -> None:
    if bit_rate is not None and (isinstance(bit_rate, bool) or not isinstance(bit_rate, int) or bit_rate <= 0):
        raise ValueError(f"bit_rate is {bit_rate!r}; expected bit/s, more than 0, or None")
