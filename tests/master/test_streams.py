"""Listening to a live bus: frame streams, what happens to a slow listener, and callbacks."""

import logging
import threading
import time

import pytest

import opendiag
from opendiag.errors import AdapterClosed, BlockingCall
from opendiag.frame import Frame
from opendiag.master import dispatcher as dispatching
from opendiag.master import streams
from opendiag.master.clock import ManualClock
from opendiag.master.dispatcher import Dispatcher
from opendiag.master.streams import Callbacks, FrameStream
from opendiag.simulate.bus import SimBus

SOON_S = 2.0


@pytest.fixture
def bus():
    """With somebody on it who can send to us."""
    made = SimBus()
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


class Recorder:
    """In place of a pump: keeps who listens."""

    def __init__(self):
        self.lock = threading.RLock()
        self.listeners = []
        self.forbidden = []

    def check_open(self):
        pass

    def listen(self, listener):
        self.listeners.append(listener)

    def unlisten(self, listener):
        self.listeners = [other for other in self.listeners if other is not listener]

    owned = False

    def forbid_waiting(self, forbidden=True):
        self.forbidden.append(threading.get_ident())


# --- streams ---


def test_frames_come_in_order_and_get_ends_when_none_comes(network, bus):
    with network.frames() as frames:
        for number in range(5):
            bus.other.send(Frame(0x100 + number, bytes([number])))
        seen = [frames.get(0.1) for _ in range(6)]
    assert [frame.can_id for frame in seen[:5]] == [0x100, 0x101, 0x102, 0x103, 0x104]
    assert [frame.time_ns for frame in seen[:5]] == sorted(frame.time_ns for frame in seen[:5])
    assert seen[5] is None
    assert network.clock.now() == pytest.approx(0.1, abs=0.01)


def test_own_frames_are_there_with_time_and_direction_and_receive_leaves_them_out(network, bus):
    network.sleep(0.5)
    with network.frames() as frames:
        network.send(Frame(0x10))
        bus.other.send(Frame(0x20))
        own = frames.get(0)
        assert (own.can_id, own.direction, own.time_ns) == (0x10, "tx", 500_000_000)
        network.send(Frame(0x11))
        assert frames.receive(0.1).can_id == 0x20
        assert frames.receive(0.1) is None


def test_a_stream_hears_nothing_before_it_is_opened_nor_after_it_is_closed(network, bus):
    network.send(Frame(0x10))
    frames = network.frames()
    network.send(Frame(0x11))
    frames.close()
    network.send(Frame(0x12))
    assert [frames.get(0).can_id, frames.get(0)] == [0x11, None]


def test_clear_forgets_what_has_come(network):
    with network.frames() as frames:
        network.send(Frame(0x10))
        frames.clear()
        network.send(Frame(0x11))
        assert frames.get(0).can_id == 0x11


def test_two_streams_hear_the_same(network, bus):
    with network.frames() as one, network.frames() as other:
        bus.other.send(Frame(0x42, b"x"))
        network.sleep(0.01)
        assert one.get(0) == other.get(0)


def test_the_iterator_ends_with_the_network(network, bus):
    frames = network.frames()
    bus.other.send(Frame(0x42))
    iterator = iter(frames)
    assert next(iterator).can_id == 0x42
    network.close()
    assert list(iterator) == []


def test_the_iterator_raises_when_the_adapter_goes(network, bus, monkeypatch):
    def gone(until):
        raise AdapterClosed("sim", "unplugged")

    frames = network.frames()
    bus.other.send(Frame(0x42))
    iterator = iter(frames)
    assert next(iterator).can_id == 0x42
    monkeypatch.setattr(network.port, "receive", gone)
    with pytest.raises(AdapterClosed, match="unplugged"):
        next(iterator)


def test_closing_a_stream_gives_out_what_has_come_and_ends_the_iterator(network):
    frames = network.frames()
    network.send(Frame(0x42))
    frames.close()
    assert [frame.can_id for frame in frames] == [0x42]
    assert frames.get() is None


def test_what_a_slow_listener_misses_is_counted_and_the_oldest_are_kept(monkeypatch):
    monkeypatch.setattr(streams, "BACKLOG", 3)
    stream = FrameStream(Recorder())
    for number in range(5):
        stream.received(Frame(number), 0.0)
    stream.sent(Frame(9), 0.0)
    assert stream.lost == 3
    assert [stream.get().can_id for _ in range(3)] == [0, 1, 2]
    stream.received(Frame(7), 0.0)
    assert stream.get().can_id == 7
    assert stream.lost == 3


# --- callbacks ---


def wait_for(condition):
    ends = time.perf_counter() + SOON_S
    while not condition():
        assert time.perf_counter() < ends, "it does not happen"
        time.sleep(0.0005)


@pytest.fixture
def pump():
    return Recorder()


@pytest.fixture
def dispatcher(pump):
    made = Dispatcher(pump)
    yield made
    made.close()


@pytest.fixture
def callbacks(pump, dispatcher):
    return Callbacks(pump, dispatcher)


def test_every_function_gets_every_frame_in_order_on_another_thread(callbacks, pump):
    calls = []
    callbacks.add(lambda frame: calls.append(("first", frame.can_id, threading.get_ident())))
    callbacks.add(lambda frame: calls.append(("second", frame.can_id, threading.get_ident())))
    for number in range(100):
        callbacks.received(Frame(number), 0.0)
    wait_for(lambda: len(calls) == 200)
    assert [call[:2] for call in calls] == [(name, n) for n in range(100) for name in ("first", "second")]
    (thread,) = {call[2] for call in calls}
    assert thread != threading.get_ident()
    assert pump.forbidden == [thread]
    assert pump.listeners == [callbacks]


def test_nothing_listens_before_the_first_function(callbacks, pump):
    assert pump.listeners == []
    assert not any(thread.name == "opendiag callbacks" for thread in threading.enumerate())


def test_a_function_that_was_taken_away_is_called_no_more(callbacks):
    first, second = [], []
    end = callbacks.add(first.append)
    callbacks.add(second.append)
    callbacks.received(Frame(1), 0.0)
    wait_for(lambda: second)
    end()
    callbacks.received(Frame(2), 0.0)
    wait_for(lambda: len(second) == 2)
    assert first == [Frame(1)]


def test_one_that_fails_is_logged_and_called_again(callbacks, dispatcher, caplog):
    seen = []

    def failing(frame):
        seen.append(frame.can_id)
        raise RuntimeError("broken callback")

    callbacks.add(failing)
    with caplog.at_level(logging.ERROR, "opendiag"):
        callbacks.received(Frame(0x123), 0.0)
        callbacks.received(Frame(0x124), 0.0)
        wait_for(lambda: len(seen) == 2)
        dispatcher.close()
    assert caplog.text.count("broken callback") >= 2
    assert "on 123" in caplog.text


def test_a_slow_function_loses_frames_and_that_is_said_once(callbacks, dispatcher, caplog, monkeypatch):
    monkeypatch.setattr(dispatching, "BACKLOG", 2)
    go_on, began, seen = threading.Event(), threading.Event(), []

    def slow(frame):
        began.set()
        go_on.wait(SOON_S)
        seen.append(frame.can_id)

    callbacks.add(slow)
    with caplog.at_level(logging.WARNING, "opendiag"):
        callbacks.received(Frame(0), 0.0)
        assert began.wait(SOON_S)
        for number in range(1, 6):
            callbacks.received(Frame(number), 0.0)
    go_on.set()
    wait_for(lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    assert dispatcher.lost == 3
    assert caplog.text.count("frames and events are lost") == 1


def test_own_frames_are_called_too():
    seen = []
    with opendiag.connect(SimBus(), clock=ManualClock()) as network:
        network.subscribe(seen.append)
        network.send(Frame(0x10))
        wait_for(lambda: seen)
    assert (seen[0].can_id, seen[0].direction) == (0x10, "tx")


def test_a_callback_may_send_and_end_itself_but_not_wait():
    bus, problems, calls = SimBus(), [], []
    other = bus.attach(name="other")
    with opendiag.connect(bus, clock=ManualClock()) as network:

        def once(frame):
            calls.append(frame.can_id)
            end()
            network.send(Frame(0x77))
            for waiting in (lambda: network.sleep(1), lambda: network.frames().get(1), lambda: network.read(5, 0x1000)):
                try:
                    waiting()
                except BlockingCall as error:
                    problems.append(error)

        end = network.subscribe(once)
        network.send(Frame(0x10))
        wait_for(lambda: len(problems) == 3)
        network.sleep(0.01)
    assert calls == [0x10]
    assert [frame.can_id for frame in other.receive() if not frame.error] == [0x10, 0x77]


def test_a_callback_may_close_the_network():
    with opendiag.connect(SimBus(), clock=ManualClock()) as network:
        closed = threading.Event()
        network.subscribe(lambda frame: (network.close(), closed.set()))
        network.send(Frame(0x10))
        assert closed.wait(SOON_S)
        with pytest.raises(AdapterClosed):
            network.send(Frame(0x11))
    wait_for(lambda: not any(thread.name == "opendiag callbacks" for thread in threading.enumerate()))
