"""SYNC, TIME and a heartbeat of our own, on a simulated bus."""

from datetime import datetime, timedelta, timezone

import pytest

import opendiag
from opendiag.errors import AdapterClosed, SendFailed, ValueRefused, WireError
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.sync import SyncLengthWrong
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device
from opendiag.wire.nmt import NmtState


@pytest.fixture
def bus():
    made = SimBus(None)
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


def sent(bus):
    return [(frame.can_id, frame.data) for frame in bus.other.receive()]


# --- SYNC ---


def test_sync_has_no_data_and_its_period(network, bus):
    network.sync(0.01)
    network.sleep(0.0501)
    frames = bus.other.receive()
    assert [(frame.can_id, frame.data) for frame in frames] == [(0x80, b"")] * 6
    assert [frame.time_ns for frame in frames] == [n * 10_000_000 for n in range(6)]


def test_the_sync_counter_runs_in_periodic_mode(network, bus):
    network.sync(0.01, counter_overflow=3)
    network.sleep(0.0601)
    assert [data[0] for _, data in sent(bus)] == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize("overflow", [1, 241, -1])
def test_a_counter_overflow_that_no_node_takes_is_refused(network, overflow):
    with pytest.raises(ValueError, match=r"2\.\.240"):
        network.sync(0.01, counter_overflow=overflow)


def test_a_second_sync_is_refused_while_the_first_is_sent(network, bus):
    first = network.sync(0.01)
    with pytest.raises(ValueRefused, match=r"SYNC: it is sent from here already, every 10 ms"):
        network.sync(0.02, cob_id=0x333)
    assert first.running
    first.stop()
    network.sync(0.02, cob_id=0x333)
    network.sleep(0.0501)
    assert sent(bus) == [(0x333, b"")] * 3


def test_a_sync_of_the_wrong_length_is_told_once_it_is_known_what_is_right(network, bus):
    bus.attach(make_device("stepim", 101), "node")
    network.sleep(0.1)
    seen = []
    network.on(SyncLengthWrong, seen.append)
    bus.other.send(Frame(0x080, b"\1"))
    network.sleep(0.01)
    assert seen == []  # nobody has said whether there is a counter
    bus.other.send(Frame(0x080, b"\1\2"))
    network.sleep(0.01)
    assert [(event.length, event.expected) for event in seen] == [(2, 1)]
    assert network[101][0x1019].read() == 0
    bus.other.send(Frame(0x080, b"\1"))
    network.sleep(0.01)
    assert [(event.length, event.expected) for event in seen] == [(2, 1), (1, 0)]
    network.sync(3600, counter_overflow=10)
    bus.other.send(Frame(0x080))
    network.sleep(0.01)
    assert (seen[-1].length, seen[-1].expected, network.syncs.malformed) == (0, 1, 3)


def test_closing_the_network_stops_sync(bus):
    with opendiag.connect(bus, clock=ManualClock()) as network:
        cycle = network.sync(0.01)
        network.sleep(0.02)
    assert not cycle.running
    with pytest.raises(AdapterClosed):
        network.sync(0.01)


def test_what_goes_with_sync_follows_each_one_sent_or_received(network, bus):
    network.on_sync(lambda now: network.send(Frame(0x201)))
    end = network.on_sync(lambda now: network.send(Frame(0x202)))
    with network.frames() as frames:
        network.send(Frame(0x080))
        network.sleep(0.01)
        bus.other.send(Frame(0x080))
        network.sleep(0.01)
        end()
        network.sync(3600)
        network.sleep(0.01)
        seen = [frames.get(0).can_id for _ in range(8)]
    assert seen == [0x80, 0x201, 0x202, 0x80, 0x201, 0x202, 0x80, 0x201]


def test_a_remote_frame_on_the_can_id_of_sync_is_none(network, bus):
    calls = []
    network.on_sync(calls.append)
    bus.other.send(Frame(0x080, remote=True))
    bus.other.send(Frame(0x080, extended=True))
    network.sleep(0.01)
    assert calls == []


def test_one_that_fails_after_sync_hides_it_from_nobody(network, bus, caplog, monkeypatch):
    calls = []
    network.on_sync(lambda now: 1 / 0)
    network.on_sync(calls.append)
    cycle = network.sync(0.01)
    network.sleep(0.0101)
    assert len(calls) == 2 and cycle.running and caplog.text.count("ZeroDivisionError: ") == 1
    send = network.port.send

    def only_sync(frame):
        if frame.can_id != 0x80:
            raise SendFailed("sim", "queue full")
        send(frame)

    monkeypatch.setattr(network.port, "send", only_sync)
    network.on_sync(lambda now: network.send(Frame(0x201)))
    network.sleep(0.01)
    assert (cycle.running, cycle.statistics.failed) == (True, 0)


def test_two_masters_in_one_network_follow_each_others_sync(bus):
    with opendiag.connect(bus, clock=ManualClock()) as one, opendiag.connect(bus) as other:
        calls = []
        other.on_sync(calls.append)
        one.sync(0.1)
        other.sleep(0.5)
        one.sleep(0.5)
        other.sleep(0)
        assert len(calls) >= 5 and other.syncs.count == len(calls)


# --- TIME ---


def test_time_is_sent_once(network, bus):
    """Golden bytes: 1984-01-02 00:00:01 UTC is day 1, 1000 ms."""
    told = network.time(datetime(1984, 1, 2, 0, 0, 1, tzinfo=timezone.utc))
    assert (told.days, told.ms) == (1, 1000)
    network.time(datetime(1984, 1, 2, 0, 0, 1))
    network.time(datetime(1984, 1, 2, 2, 0, 1, tzinfo=timezone(timedelta(hours=2))))
    network.sleep(0.01)
    assert sent(bus) == [(0x100, bytes.fromhex("E80300000100"))] * 3


def test_the_time_of_the_network_counts_without_another(bus):
    start = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    bus = SimBus(None, start=start)
    with opendiag.connect(bus, clock=ManualClock(start)) as network:
        assert network.time().isoformat().startswith("2026-01-01T00:00:00")


def test_a_clock_that_is_no_time_of_day_is_not_sent_as_time(network, bus):
    with pytest.raises(ValueRefused, match=r"clock of this network is no time of day \(it says 0 s\).*at="):
        network.time()
    network.time(datetime(1984, 1, 2, 0, 0, 1))
    network.sleep(0.01)
    assert len(sent(bus)) == 1
    network.close()
    with pytest.raises(AdapterClosed):
        network.time()


def test_a_time_that_the_message_cannot_hold_is_refused(network):
    with pytest.raises(WireError):
        network.time(datetime(1983, 12, 31, tzinfo=timezone.utc))


# --- heartbeat ---


def test_our_own_heartbeat(network, bus):
    cycle = network.heartbeat(127, 0.1)
    network.sleep(0.2001)
    cycle.stop()
    network.heartbeat(1, 1.0, NmtState.STOPPED)
    network.sleep(0.01)
    assert sent(bus) == [(0x77F, b"\5")] * 3 + [(0x701, b"\4")]


@pytest.mark.parametrize("node_id", [0, 128])
def test_a_heartbeat_of_no_node_is_refused(network, node_id):
    with pytest.raises(ValueError, match=r"1\.\.127"):
        network.heartbeat(node_id, 0.1)


def test_a_heartbeat_under_the_node_id_of_a_node_that_was_heard_is_refused(network, bus):
    bus.other.send(Frame(0x705, b"\5"))
    network.sleep(0.01)
    with pytest.raises(ValueRefused, match="as node 5: a node with this node-ID was heard"):
        network.heartbeat(5, 0.1)
    with pytest.raises(TypeError, match="node-ID is a whole number"):
        network.heartbeat("6", 0.1)
    assert not network.cyclic.cycles


def test_a_sync_that_is_refused_leaves_the_one_that_runs(network):
    cycle = network.sync(0.01)
    with pytest.raises(ValueError, match="not positive"):
        network.sync(0.0)
    assert cycle.running


def test_a_sync_that_is_not_taken_uses_up_no_counter(network, bus, monkeypatch):
    send, tries = network.port.send, []

    def sometimes(frame):
        tries.append(frame)
        if len(tries) == 2:
            raise SendFailed("sim", "full")
        send(frame)

    monkeypatch.setattr(network.port, "send", sometimes)
    network.sync(0.01, counter_overflow=240)
    network.sleep(0.0301)
    assert [data[0] for _, data in sent(bus)] == [1, 2, 3]


def test_in_real_time_the_time_told_is_the_computers_also_after_it_was_set(bus, monkeypatch):
    """A computer without a clock battery learns the time some while after it has started."""
    with opendiag.connect(bus) as network:
        monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
        assert network.time().epoch_s == 1_900_000_000.0
