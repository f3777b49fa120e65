"""Sending on time: on a clock that a test winds, and in real time with a thread."""

import threading
import time

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

import opendiag
from opendiag.errors import AdapterClosed, SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.cyclic import CycleStopped, SendingFailed
from opendiag.simulate.bus import SimBus

SOON_S = 5.0
FRAME = Frame(0x123, b"\1")


@pytest.fixture
def bus():
    made = SimBus(None)
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


@pytest.fixture
def live(bus):
    with opendiag.connect(bus) as made:
        yield made


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "opendiag cycles"]


def wait_for(condition):
    ends = time.perf_counter() + SOON_S
    while not condition():
        assert time.perf_counter() < ends, "it does not happen"
        time.sleep(0.001)


# --- the pump keeps the time ---


def test_the_first_comes_at_once_and_the_others_exactly_a_period_apart(network):
    times = []
    network.cyclic.every(0.001, times.append)
    network.sleep(1.0)
    assert len(times) == 1001
    assert times == pytest.approx([number / 1000 for number in range(1001)], abs=1e-9)
    assert threads() == []


def test_no_drift_in_a_hundred_thousand_cycles_of_a_period_that_no_float_holds(network):
    times = []
    network.cyclic.every(0.0003, times.append)
    network.sleep(30.0)
    assert times[-1] == pytest.approx(0.0003 * (len(times) - 1), abs=1e-9)
    assert len(times) in (100_000, 100_001)


def test_several_cycles_keep_their_own_time_and_stop_one_by_one(network, bus):
    fast = network.cyclic.send_every(0.01, FRAME)
    slow = network.cyclic.send_every(0.03, Frame(0x124))
    network.sleep(0.0901)
    assert [frame.can_id for frame in bus.other.receive()].count(0x124) == 4
    fast.stop()
    fast.stop()
    network.sleep(0.06)
    assert {frame.can_id for frame in bus.other.receive()} == {0x124}
    assert (fast.running, slow.running) == (False, True)
    assert (fast.statistics.count, slow.statistics.count) == (10, 6)


def test_a_cycle_may_stop_itself_and_start_another(network):
    calls = []

    def once(now):
        calls.append("once")
        cycle.stop()
        network.cyclic.every(0.1, lambda now: calls.append("other"))

    cycle = network.cyclic.every(0.1, once)
    network.sleep(0.25)
    assert calls == ["once", "other", "other", "other"]


@given(st.lists(st.floats(0.0, 5.0), max_size=30), st.floats(0.001, 1.0))
def test_whole_periods_that_were_slept_through_are_counted_and_not_made_up_for(waits, period_s):
    """Every moment of the grid is either called for or missed, and none twice."""
    from opendiag.master.cyclic import Cycle

    class Nobody:
        cycles = ()

    calls = []
    cycle = Cycle(Nobody(), "test", period_s, calls.append)
    now = 0.0
    cycle.begin(now)
    for wait in waits:
        now += wait
        if now >= cycle.due:
            cycle.run(now)
            assert cycle.due > now - 1e-6
        statistics = cycle.statistics
        assert statistics.count + statistics.missed == pytest.approx(round(cycle.due / period_s))
        assert statistics.count == len(calls)


def test_statistics_are_about_lateness(network):
    cycle = network.cyclic.every(0.1, lambda now: None)
    network.sleep(1.05)
    statistics = cycle.statistics
    assert (statistics.count, statistics.missed, statistics.failed) == (11, 0, 0)
    assert 0 <= statistics.p50_s <= statistics.p99_s <= statistics.max_s < 1e-6


@pytest.mark.parametrize("period_s", [0, -1.0, float("nan")])
def test_a_period_that_is_none_is_refused(network, period_s):
    with pytest.raises(ValueError, match="not positive"):
        network.cyclic.every(period_s, print)


# --- trouble ---


def test_a_frame_that_is_not_taken_is_told_once_and_the_cycle_goes_on(network, monkeypatch):
    told = []
    network.on(SendingFailed, told.append)
    cycle = network.cyclic.send_every(0.1, FRAME, "my frame")
    network.sleep(0.05)
    send = network.port.send

    def full(frame):
        raise SendFailed("sim", "queue full")

    monkeypatch.setattr(network.port, "send", full)
    network.sleep(0.3)
    monkeypatch.setattr(network.port, "send", send)
    network.sleep(0.3)
    assert [(event.name, event.error.reason) for event in told] == [("my frame", "queue full")]
    assert (cycle.running, cycle.statistics.failed, cycle.statistics.count) == (True, 3, 7)
    monkeypatch.setattr(network.port, "send", full)
    network.sleep(0.1)
    assert len(told) == 2


def test_a_function_that_fails_ends_its_cycle_alone(network, caplog):
    told = []
    network.on(CycleStopped, told.append)
    bad = network.cyclic.every(0.1, lambda now: 1 / 0, "bad")
    good = network.cyclic.every(0.1, lambda now: None, "good")
    network.sleep(0.5)
    assert (bad.running, good.running) == (False, True)
    assert isinstance(bad.error, ZeroDivisionError) and told == [CycleStopped("bad", told[0].at, bad.error)]
    assert "ZeroDivisionError" in caplog.text


def test_a_lost_adapter_stops_all_cycles_and_that_is_told(network, monkeypatch):
    told = []
    network.on(CycleStopped, told.append)
    cycles = [network.cyclic.every(0.1, lambda now: None, name) for name in ("one", "other")]

    def gone(until):
        raise AdapterClosed("sim", "unplugged")

    monkeypatch.setattr(network.port, "receive", gone)
    with pytest.raises(AdapterClosed):
        network.sleep(1)
    network.dispatcher.run_posted()
    assert [(event.name, event.error.reason) for event in told] == [("one", "unplugged"), ("other", "unplugged")]
    assert not any(cycle.running for cycle in cycles)
    with pytest.raises(AdapterClosed):
        network.cyclic.every(0.1, print)


def test_an_adapter_that_is_found_gone_while_sending_stops_the_cycles(live, monkeypatch):
    told = threading.Event()
    live.on(CycleStopped, lambda event: told.set())

    def gone(frame):
        raise AdapterClosed("sim", "unplugged")

    cycle = live.cyclic.send_every(0.01, FRAME)
    monkeypatch.setattr(live.port, "send", gone)
    assert told.wait(SOON_S)
    assert not cycle.running and isinstance(cycle.error, AdapterClosed)


# --- in real time ---


def test_in_real_time_a_thread_keeps_the_period_and_ends_with_the_network(bus):
    calls, thread_ids = [], set()
    with opendiag.connect(bus) as network:
        assert threads() == []
        cycle = network.cyclic.every(0.005, lambda now: (calls.append(now), thread_ids.add(threading.get_ident())))
        wait_for(lambda: len(calls) >= 40)
        statistics = cycle.statistics
        assert len(threads()) == len(thread_ids) == 1
    taken = len(calls)
    assert threads() == []
    steps = [round((calls[n] - calls[0]) / 0.005) for n in range(taken)]
    assert steps == sorted(set(steps))  # never twice for the same moment
    assert statistics.count + statistics.missed >= 40 and statistics.p50_s < 0.005
    time.sleep(0.02)
    assert len(calls) == taken


def test_stopping_waits_for_the_call_that_runs_and_then_nothing_is_sent(live):
    began, calls = threading.Event(), []

    def slow(now):
        began.set()
        time.sleep(0.02)
        calls.append(now)

    cycle = live.cyclic.every(0.001, slow)
    assert began.wait(SOON_S)
    cycle.stop()
    taken = len(calls)
    time.sleep(0.05)
    assert len(calls) == taken >= 1


def test_a_cycle_that_is_due_earlier_does_not_wait_for_a_later_one(live):
    early = threading.Event()
    live.cyclic.every(3600.0, lambda now: None)
    wait_for(lambda: len(threads()) == 1)
    time.sleep(0.1)
    live.cyclic.every(0.01, lambda now: early.set())
    assert early.wait(1.0)


def test_a_cycle_may_not_wait_for_the_bus(live):
    problems, done = [], threading.Event()

    def waiting(now):
        try:
            live.sleep(1)
        except opendiag.errors.BlockingCall as error:
            problems.append(error)
        done.set()

    live.cyclic.every(1.0, waiting)
    assert done.wait(SOON_S) and len(problems) == 1


def test_closing_from_inside_a_cycle_does_not_hang():
    with opendiag.connect(SimBus()) as network:
        closed = threading.Event()
        network.cyclic.every(0.01, lambda now: (network.close(), closed.set()))
        assert closed.wait(SOON_S)
    wait_for(lambda: not threads())


def test_on_a_python_can_bus_frames_leave_in_their_order_and_on_time():
    bus = can.Bus(interface="virtual", channel="cyclic")
    peer = can.Bus(interface="virtual", channel="cyclic")
    with opendiag.connect(bus) as network:
        network.on_sync(lambda now: network.send(Frame(0x201, b"\1")))
        network.on_sync(lambda now: network.send(Frame(0x202, b"\2")))
        network.sync(0.002, counter_overflow=10)
        heard = [peer.recv(SOON_S) for _ in range(300)]
    assert [message.arbitration_id for message in heard] == [0x80, 0x201, 0x202] * 100
    assert [message.data[0] for message in heard[::3]] == [number % 10 + 1 for number in range(100)]
    bus.shutdown()
    peer.shutdown()


def test_a_fast_cycle_begins_at_once_beside_a_slow_one(live):
    slow = live.cyclic.every(0.049, lambda now: None)
    wait_for(lambda: slow.statistics.count)
    time.sleep(0.005)  # it sleeps for its next one now
    began, calls = time.perf_counter(), []
    fast = live.cyclic.every(0.002, lambda now: calls.append(time.perf_counter()))
    wait_for(lambda: calls)
    fast.stop()
    assert calls[0] - began < 0.03


def test_the_time_its_thread_takes_to_begin_is_none_of_the_cycles(live, monkeypatch):
    monkeypatch.setattr("opendiag.master.cyclic.least_timer_slack", lambda: time.sleep(0.05))
    called = time.perf_counter()
    cycle = live.sync(0.02)
    wait_for(lambda: cycle.statistics.count)
    cycle.stop()
    assert time.perf_counter() - called > 0.05
    first = cycle.statistics
    assert (first.missed, first.max_s) == (0, 0.0)
    ended = live.sync(0.02)
    ended.stop()
    assert ended.statistics.count <= 1 and ended.statistics.missed == 0
