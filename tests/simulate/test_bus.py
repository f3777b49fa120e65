"""The simulated bus when nothing goes wrong: times, arbitration, order, machines, load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import AdapterClosed, SendFailed
from opendiag.frame import Frame
from opendiag.simulate.bits import INTERMISSION_BITS, frame_bits
from opendiag.simulate.bus import SimBus

RATE = 500_000


class Scripted:
    """Sends frames at given times, answers given identifiers, and notes what it got."""

    def __init__(self, at=(), answers=None):
        self.at = sorted(at, key=lambda entry: entry[0])
        self.answers = answers or {}
        self.log = []
        self.out = []
        self.told = []

    def receive(self, frame, now):
        self.log.append((now, frame))
        answer = self.answers.get(frame.can_id)
        if answer is not None:
            self.out.append(answer)
            self.told.append(f"answered {frame.id_text}")

    def tick(self, now):
        while self.at and self.at[0][0] <= now:
            self.out.append(self.at.pop(0)[1])

    def deadline(self):
        return self.at[0][0] if self.at else None

    def frames_to_send(self):
        out, self.out = self.out, []
        return out

    def events(self):
        told, self.told = self.told, []
        return told


def pair(bit_rate=RATE, **options):
    bus = SimBus(bit_rate, **options)
    return bus, bus.attach(name="a"), bus.attach(name="b")


def ids(frames):
    return [frame.can_id for frame in frames]


def length_s(*frames):
    """Of frames one right after the other, without the intermission of the last."""
    bits = sum(frame_bits(frame) + INTERMISSION_BITS for frame in frames)
    return (bits - INTERMISSION_BITS) / RATE


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_frame_arrives_at_its_last_bit():
    bus, a, b = pair(start=100.0)
    frame = Frame(0x181, b"\1\2\3")
    a.send(frame)
    arrival = 100.0 + frame_bits(frame) / RATE
    assert bus.next_event() == 100.0
    bus.run_until(100.0)
    assert bus.next_event() == arrival
    bus.run_until(arrival - 1e-9)
    assert b.receive() == []
    bus.run_until(arrival)
    assert b.receive() == [Frame(0x181, b"\1\2\3", direction="rx", time_ns=round(arrival * 1e9))]
    assert b.receive() == [] and a.receive() == []
    assert bus.next_event() is None


def test_all_kinds_of_frames_keep_what_they_are():
    bus, a, b = pair()
    frames = [
        Frame(1, remote=True, dlc=5),
        Frame(0x1234567, b"\1", extended=True),
        Frame(2, bytes(8), dlc=12),
        Frame(3, extended=True, remote=True),
    ]
    for frame in frames:
        a.send(frame)
    bus.run_until(1.0)
    kept = [Frame(f.can_id, f.data, extended=f.extended, remote=f.remote, dlc=f.dlc) for f in b.receive()]
    assert kept == frames


def test_three_bits_between_frames():
    bus, a, b = pair()
    frames = [Frame(0x100 + n, bytes(n)) for n in range(5)]
    for frame in frames:
        a.send(frame)
    bus.run_until(1.0)
    ends = [frame.time_ns for frame in b.receive()]
    assert ends == [pytest.approx(length_s(*frames[: n + 1]) * 1e9, abs=1) for n in range(5)]


def test_time_goes_forward_only():
    bus, _, _ = pair(start=5.0)
    for time in (4.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"expected a time from 5\.0 on"):
            bus.run_until(time)
    bus.run_until(5.0)


@pytest.mark.parametrize("bit_rate", [0, -5, 2.5, True])
def test_a_bit_rate_is_a_positive_number(bit_rate):
    with pytest.raises(ValueError, match="expected bit/s"):
        SimBus(bit_rate)
    with pytest.raises(ValueError, match="expected bit/s"):
        SimBus().attach(bit_rate=bit_rate)


# --- arbitration and order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit_rate", [RATE, None])
def test_the_lowest_identifier_goes_first(bit_rate):
    bus = SimBus(bit_rate)
    listener = bus.attach()
    frames = [
        Frame(0x124),
        Frame(0x123 << 18, extended=True, remote=True),
        Frame(0x123 << 18, extended=True),
        Frame(0x123, remote=True),
        Frame(0x123),
    ]
    stations = [bus.attach(name=str(n)) for n in range(len(frames))]
    for station, frame in zip(stations, frames, strict=True):
        station.send(frame)
    bus.run_until(1.0)
    got = [(f.can_id, f.extended, f.remote) for f in listener.receive()]
    assert got == [(f.can_id, f.extended, f.remote) for f in reversed(frames)]
    assert [station.arbitration_lost for station in stations] == [4, 3, 2, 1, 0]


def test_a_station_sends_first_in_first_out():
    bus, a, b = pair()
    c = bus.attach()
    for can_id in (0x300, 0x100):
        a.send(Frame(can_id))
    b.send(Frame(0x200))
    bus.run_until(1.0)
    # 0x100 waits behind 0x300 of its own station, and so b goes first.
    assert ids(c.receive()) == [0x200, 0x300, 0x100]


def test_a_frame_on_the_bus_is_not_interrupted():
    bus, a, b = pair()
    c = bus.attach()
    a.send(Frame(0x700))
    a.send(Frame(0x701))
    bus.run_until(20 / RATE)
    b.send(Frame(0x001))
    bus.run_until(1.0)
    assert ids(c.receive()) == [0x700, 0x001, 0x701]


def test_a_frame_queued_in_the_intermission_takes_part():
    bus, a, b = pair()
    c = bus.attach()
    a.send(Frame(0x700))
    a.send(Frame(0x701))
    bus.run_until(length_s(Frame(0x700)) + 1 / RATE)
    b.send(Frame(0x001))
    bus.run_until(1.0)
    assert ids(c.receive()) == [0x700, 0x001, 0x701]


# --- stations -------------------------------------------------------------------------------------------------------


def test_listen_only_hears_and_does_not_send():
    bus, a, _ = pair()
    ear = bus.attach(name="ear", listen_only=True)
    with pytest.raises(SendFailed, match="ear cannot send: it is listen-only"):
        ear.send(Frame(1))
    a.send(Frame(2))
    bus.run_until(1.0)
    assert ids(ear.receive()) == [2] and ear.pending == ear.queued == 0


def test_a_listen_only_machine_that_sends_is_counted():
    bus, _, b = pair()
    ear = bus.attach(Scripted(at=[(0.5, Frame(1))]), listen_only=True)
    bus.run_until(1.0)
    assert b.receive() == [] and (ear.queued, ear.dropped) == (1, 1)


@pytest.mark.parametrize(
    ("frame", "reason"), [(Frame(1, fd=True), "no CAN FD"), (Frame(1, bytes(8), error=True), "controller's own")]
)
def test_frames_that_this_bus_does_not_have(frame, reason):
    _, a, _ = pair()
    with pytest.raises(SendFailed, match=reason):
        a.send(frame)
    assert a.queued == 0


def test_echo_is_marked():
    bus, _, b = pair()
    own = bus.attach(echo=True)
    own.send(Frame(7, b"x"))
    bus.run_until(1.0)
    (echo,), (got,) = own.receive(), b.receive()
    assert (echo.direction, got.direction) == ("tx", "rx") and echo.time_ns == got.time_ns


def test_names():
    bus = SimBus()
    assert bus.attach().name == "station 1" and bus.attach(name="x").name == "x"
    for taken in ("x", "intruder"):
        with pytest.raises(ValueError, match="already"):
            bus.attach(name=taken)
    assert [station.name for station in bus.stations] == ["station 1", "x"]


def test_detach_drops_what_waits_and_destroys_what_is_on_the_bus():
    bus, a, b = pair()
    bus.attach()
    for _ in range(3):
        a.send(Frame(1, bytes(8)))
    bus.run_until(50 / RATE)
    bus.detach(a)
    bus.detach(a)
    with pytest.raises(AdapterClosed, match="detached"):
        a.send(Frame(1))
    bus.run_until(1.0)
    assert [frame.error for frame in b.receive()] == [True]
    counted = bus.statistics()
    assert (a.pending, a.dropped, counted.queued, counted.dropped, counted.frames) == (0, 3, 3, 3, 0)
    # The bus goes on.
    bus.attach(name="a").send(Frame(9))
    bus.run_until(2.0)
    assert ids(b.receive()) == [9] and bus.statistics().queued == 4


# --- machines -------------------------------------------------------------------------------------------------------


def test_machines_answer_at_the_end_of_the_frame():
    question, answer = Frame(0x605, bytes(8)), Frame(0x585, b"\x43" * 8)
    client, server = Scripted(at=[(0.25, question)]), Scripted(answers={0x605: answer})
    bus = SimBus(RATE)
    bus.attach(client)
    bus.attach(server)
    assert bus.next_event() == 0.25
    bus.run_until(1.0)
    assert [(now, frame.can_id) for now, frame in server.log] == [(pytest.approx(0.25 + length_s(question)), 0x605)]
    assert [(now, frame.can_id) for now, frame in client.log] == [
        (pytest.approx(0.25 + length_s(question, answer)), 0x585)
    ]


def test_a_machine_asked_from_outside_sends_at_once():
    bus = SimBus(RATE)
    machine = Scripted()
    bus.attach(machine)
    b = bus.attach()
    bus.run_until(1.0)
    machine.out.append(Frame(5))
    assert bus.next_event() == 1.0
    bus.run_until(1.1)
    assert ids(b.receive()) == [5]


def test_events_go_to_who_wants_them_and_stay_otherwise():
    heard = []
    bus, a, _ = pair()
    told = Scripted(answers={1: Frame(2)})
    kept = Scripted(answers={1: Frame(3)})
    bus.attach(told, on_event=lambda event, now: heard.append((event, now)))
    bus.attach(kept)
    a.send(Frame(1))
    bus.run_until(1.0)
    assert heard == [("answered 001", pytest.approx(length_s(Frame(1))))]
    assert kept.events() == ["answered 001"]


def test_what_an_event_leads_to_is_sent():
    bus, a, b = pair()
    machine = Scripted(answers={1: Frame(2)})
    bus.attach(machine, on_event=lambda event, now: machine.out.append(Frame(3)))
    a.send(Frame(1))
    bus.run_until(1.0)
    assert ids(b.receive()) == [1, 2, 3]


def test_a_station_can_be_detached_while_a_frame_is_delivered():
    bus, a, _ = pair()
    bus.attach(Scripted(answers={1: Frame(2)}), on_event=lambda event, now: bus.detach(victim))
    victim = bus.attach()
    a.send(Frame(1))
    bus.run_until(1.0)
    assert victim.receive() == [] and ids(a.receive()) == [2]


def test_ticks_at_one_time_come_in_the_order_of_attaching():
    order = []

    class Clock(Scripted):
        def tick(self, now):
            order.append((now, self.name))
            super().tick(now)

    bus = SimBus(RATE)
    for name in "xyz":
        machine = Clock(at=[(0.1, Frame(ord(name))), (0.2, Frame(ord(name)))])
        machine.name = name
        bus.attach(machine)
    bus.run_until(1.0)
    assert order == [(0.1, "x"), (0.1, "y"), (0.1, "z"), (0.2, "x"), (0.2, "y"), (0.2, "z")]


def test_without_bit_rate_nothing_takes_time():
    bus = SimBus(None)
    client = Scripted(at=[(3.0, Frame(0x605))])
    bus.attach(client)
    bus.attach(Scripted(answers={0x605: Frame(0x585)}))
    bus.run_until(10.0)
    assert [(now, frame.can_id) for now, frame in client.log] == [(3.0, 0x585)]
    assert bus.load == 0.0


def test_two_that_answer_each_other_for_ever_are_stopped():
    bus = SimBus(None)
    bus.steps_at_one_instant = 1000
    bus.attach(Scripted(at=[(1.0, Frame(1))], answers={2: Frame(1)}), name="ping")
    bus.attach(Scripted(answers={1: Frame(2)}), name="pong")
    with pytest.raises(RuntimeError, match=r"does not get beyond 1\.0 s: '(ping|pong)' send"):
        bus.run_until(2.0)


def test_a_machine_whose_deadline_does_not_move_is_named():
    class Stuck(Scripted):
        def deadline(self):
            return 1.0

    bus = SimBus(RATE)
    bus.steps_at_one_instant = 1000
    bus.attach(Stuck(), name="clock")
    with pytest.raises(RuntimeError, match="machine of 'clock' wants its tick again and again"):
        bus.run_until(2.0)


# --- counters -------------------------------------------------------------------------------------------------------


def test_load_is_exact():
    bus, a, _ = pair()
    frames = [Frame(0x100 + n, bytes([n]) * (n % 9)) for n in range(40)]
    for frame in frames:
        a.send(frame)
    bus.run_until(2.0)
    bits = sum(frame_bits(frame) + INTERMISSION_BITS for frame in frames)
    counted = bus.statistics()
    assert counted.frame_bits == bits
    assert counted.data_bits == sum(8 * len(frame.data) for frame in frames)
    assert counted.load == pytest.approx(bits / RATE / 2.0, rel=1e-12)
    assert counted.load_last_second == bus.load == 0.0
    a.send(frames[8])
    bus.run_until(2.5)
    assert bus.load == pytest.approx((frame_bits(frames[8]) + INTERMISSION_BITS) / RATE, rel=1e-9)


def test_load_in_the_middle_of_a_frame_and_of_the_intermission():
    bus, a, _ = pair()
    frame = Frame(0x100, bytes(8))
    a.send(frame)
    for bits in (10, frame_bits(frame), frame_bits(frame) + 1, frame_bits(frame) + INTERMISSION_BITS):
        bus.run_until(bits / RATE)
        assert bus.statistics().load == pytest.approx(1.0) and bus.load == pytest.approx(1.0)
    bus.run_until(2 * bits / RATE)
    assert bus.statistics().load == pytest.approx(0.5) and bus.load == pytest.approx(0.5)
    a.send(frame)
    busy = bits
    for more in (10, frame_bits(frame), frame_bits(frame) + 1):
        bus.run_until((2 * bits + more) / RATE)
        expected = (busy + more) / (2 * bits + more)
        assert bus.statistics().load == pytest.approx(expected) and bus.load == pytest.approx(expected)


def test_a_full_bus_is_full():
    bus = SimBus(RATE)
    bus.attach(Scripted(at=[(0.0, Frame(1))], answers={2: Frame(1, bytes(8))}))
    bus.attach(Scripted(answers={1: Frame(2, bytes(8))}))
    bus.run_until(3.0)
    assert 0.999999 < bus.load <= 1.0 and 0.999999 < bus.statistics().load <= 1.0


# --- what always holds ----------------------------------------------------------------------------------------------

SENDINGS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 3000).map(lambda ticks: ticks * 1e-6),
        st.builds(Frame, st.integers(0, 0x7FF), st.binary(max_size=8)),
    ),
    max_size=25,
)


def simulate(sendings, bit_rate, stops=()):
    bus = SimBus(bit_rate)
    machines = [Scripted(at=[(t, f) for who, t, f in sendings if who == n], answers={5: Frame(6)}) for n in range(3)]
    for machine in machines:
        bus.attach(machine)
    for stop in stops:
        bus.run_until(stop)
    bus.run_until(0.1)
    return bus, [machine.log for machine in machines]


@given(SENDINGS, st.sampled_from([None, 20_000, RATE]), st.lists(st.floats(0, 0.1), max_size=10))
def test_stopping_in_between_changes_nothing(sendings, bit_rate, stops):
    bus, log = simulate(sendings, bit_rate)
    other, again = simulate(sendings, bit_rate, sorted(stops))
    assert log == again and bus.statistics() == other.statistics()


@given(SENDINGS, st.sampled_from([None, 20_000, RATE]))
def test_going_from_event_to_event_is_the_same(sendings, bit_rate):
    bus = SimBus(bit_rate)
    machines = [Scripted(at=[(t, f) for who, t, f in sendings if who == n], answers={5: Frame(6)}) for n in range(3)]
    for machine in machines:
        bus.attach(machine)
    while (at := bus.next_event()) is not None and at <= 0.1:
        assert at >= bus.now
        bus.run_until(at)
    bus.run_until(0.1)
    assert [machine.log for machine in machines] == simulate(sendings, bit_rate)[1]


@given(SENDINGS, st.sampled_from([None, 20_000, RATE]))
def test_counters_add_up_and_nothing_happens_before_next_event(sendings, bit_rate):
    bus, log = simulate(sendings, bit_rate)
    counted = bus.statistics()
    assert counted.queued == counted.sent + counted.pending + counted.dropped
    assert 0.0 <= counted.load <= 1.0
    for entries in log:
        assert [now for now, _ in entries] == sorted(now for now, _ in entries)
    at = bus.next_event()
    if at is not None and at > bus.now:
        bus.run_until((at + bus.now) / 2)
        assert bus.statistics().frames == counted.frames
