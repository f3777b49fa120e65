"""Events as callbacks, as iterators and waited for."""

import logging
import threading
from dataclasses import dataclass

import pytest

import opendiag
from opendiag.errors import AdapterClosed, BlockingCall, NotDone
from opendiag.frame import Frame
from opendiag.master import events as module
from opendiag.master.clock import ManualClock
from opendiag.master.events import AdapterLost
from opendiag.simulate.bus import SimBus

SOON_S = 5.0


@dataclass(frozen=True)
class Happened:
    node_id: int
    what: str = ""


@dataclass(frozen=True)
class Other:
    at: float = 0.0


@pytest.fixture
def network():
    with opendiag.connect(SimBus(), clock=ManualClock()) as made:
        yield made


@pytest.fixture
def live():
    with opendiag.connect(SimBus()) as made:
        yield made


# --- callbacks ---


def test_a_callback_gets_the_events_of_its_kind_and_node(network):
    seen, both, of_five = [], [], []
    network.on(Happened, seen.append)
    network.on((Happened, Other), both.append)
    network.on(Happened, of_five.append, node_id=5)
    for event in (Happened(5), Other(), Happened(6)):
        network.publish(event)
    assert seen == [Happened(5), Happened(6)]
    assert both == [Happened(5), Other(), Happened(6)]
    assert of_five == [Happened(5)]


def test_a_kind_that_is_no_class_is_refused(network):
    with pytest.raises(TypeError, match="no class"):
        network.on("Happened", print)


def test_one_failing_callback_hides_nothing_from_the_others(network, caplog):
    seen = []
    network.on(Happened, lambda event: 1 / 0)
    network.on(Happened, seen.append)
    with caplog.at_level(logging.ERROR, "opendiag"):
        network.publish(Happened(5))
        network.publish(Happened(6))
    assert seen == [Happened(5), Happened(6)]
    assert caplog.text.count("ZeroDivisionError: ") == 1  # the first in full; the other is counted


def test_a_callback_that_was_taken_away_is_not_called_with_what_still_waits(network):
    seen = []
    end = network.on(Happened, seen.append)
    with network.pump.lock:
        network.publish(Happened(1))  # waits: nothing is called under the lock
        end()
    network.sleep(0.1)
    end()
    assert seen == []


def test_a_callback_may_send_and_publish_but_not_wait(network):
    seen, problems = [], []

    def answer(event):
        network.send(Frame(0x123))
        network.publish(Other())
        for call in (lambda: network.sleep(1), lambda: network.wait_for(Other, 1), lambda: network.read(5, 0x1000)):
            with pytest.raises(BlockingCall) as caught:
                call()
            problems.append(caught.value)

    network.on(Happened, answer)
    network.on(Other, seen.append)
    with network.frames() as frames:
        network.publish(Happened(5))
        assert frames.get(0).can_id == 0x123
    assert len(problems) == 3 and seen == [Other()]
    network.sleep(0.1)  # and here it may be waited again


def test_in_real_time_callbacks_run_on_a_thread_of_their_own(live):
    threads, done = set(), threading.Event()
    live.on(Happened, lambda event: (threads.add(threading.current_thread().name), done.set()))
    live.publish(Happened(5))
    assert done.wait(SOON_S)
    assert threads == {"opendiag callbacks"}


def test_a_slow_callback_does_not_stop_the_bus(live):
    go_on, began = threading.Event(), threading.Event()
    live.on(Happened, lambda event: (began.set(), go_on.wait(SOON_S)))
    live.publish(Happened(5))
    assert began.wait(SOON_S)
    with live.frames() as frames:
        live.send(Frame(0x123))
        assert frames.get(SOON_S).can_id == 0x123
    go_on.set()


# --- streams ---


def test_a_stream_iterates_over_its_kinds_from_when_it_was_opened(network):
    network.publish(Happened(1))
    with network.events(Happened, Other, node_id=None) as stream:
        for event in (Happened(2), Other(), "something else"):
            network.publish(event)
        assert [stream.get(0), stream.get(0), stream.get(0.1)] == [Happened(2), Other(), None]
    assert network.clock.now() == pytest.approx(0.1)


def test_a_stream_without_kinds_gets_all(network):
    with network.events() as stream:
        network.publish("anything")
        assert stream.get(0) == "anything"


def test_closing_a_stream_ends_the_iteration_after_what_has_come(network):
    stream = network.events(Happened)
    network.publish(Happened(1))
    stream.close()
    network.publish(Happened(2))
    assert list(stream) == [Happened(1)]


def test_the_iteration_ends_with_the_network_and_raises_when_the_adapter_goes(network, monkeypatch):
    stream = network.events(Happened)
    network.close()
    assert list(stream) == []
    with opendiag.connect(SimBus(), clock=ManualClock()) as other:
        stream = other.events(Happened)

        def gone(until):
            raise AdapterClosed("sim", "unplugged")

        monkeypatch.setattr(other.port, "receive", gone)
        with pytest.raises(AdapterClosed, match="unplugged"):
            next(iter(stream))


def test_a_slow_reader_loses_the_newest_and_they_are_counted(network, monkeypatch):
    monkeypatch.setattr(module, "BACKLOG", 2)
    with network.events(Happened) as stream:
        for number in range(5):
            network.publish(Happened(number))
        assert [stream.get(0), stream.get(0), stream.get(0), stream.lost] == [Happened(0), Happened(1), None, 3]


# --- waiting ---


def test_waiting_for_an_event_of_a_class_or_one_that_a_function_agrees_to(live):
    def publish():
        for event in (Other(), Happened(4), Happened(5, "late")):
            live.publish(event)

    for wanted, node_id, expected in (
        (Happened, None, Happened(4)),
        ((Happened, Other), None, Other()),
        (Happened, 5, Happened(5, "late")),
        (lambda event: getattr(event, "what", "") == "late", None, Happened(5, "late")),
    ):
        threading.Timer(0.05, publish).start()
        assert live.wait_for(wanted, SOON_S, node_id=node_id) == expected
        with pytest.raises(NotDone):
            live.wait_for("this never comes".__eq__, 0.1)


def test_waiting_in_vain_takes_the_time_out_of_the_bus(network):
    with pytest.raises(NotDone, match=r"0\.5 s"):
        network.wait_for(Happened, 0.5)
    assert network.clock.now() == pytest.approx(0.5)


def test_a_function_that_fails_raises_where_it_was_given(live):
    threading.Timer(0.05, live.publish, (Happened(1),)).start()
    with pytest.raises(ZeroDivisionError):
        live.wait_for(lambda event: 1 / 0, SOON_S)


# --- the bus is gone ---


def test_a_dead_adapter_is_told_at_once_and_not_at_the_next_send(monkeypatch):
    told = threading.Event()
    with opendiag.connect(SimBus()) as network:
        network.on(AdapterLost, lambda event: told.set())

        def gone(until):
            raise AdapterClosed("sim", "unplugged")

        monkeypatch.setattr(network.port, "receive", gone)
        assert told.wait(SOON_S)
        with pytest.raises(AdapterClosed, match="unplugged"):
            network.on(Happened, print)
