"""Plans on a live network: every kind of request, errors thrown into the plan, and how a plan is broken off."""

import threading
import time

import pytest

import opendiag
from opendiag.errors import BlockingCall, SdoAborted, SdoCancelled, SdoTimeout, SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.plans import Now, SdoRead, SdoWrite, Send, Sleep, WaitFor
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device

SOON_S = 2.0
NODE = 101


@pytest.fixture
def bus():
    made = SimBus()
    made.attach(make_device("stepim", NODE), "node", on_event=lambda event, now: None)
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


def is_id(can_id):
    return lambda frame: frame.can_id == can_id


# --- requests ---


def test_reading_and_writing(network):
    def plan():
        before = yield SdoRead(NODE, 0x6081)
        answer = yield SdoWrite(NODE, 0x6081, 0, b"\x39\x30\0\0")
        after = yield SdoRead(NODE, 0x6081)
        return before, answer, after

    before, answer, after = network.run(plan())
    assert before != after
    assert answer is None
    assert after == b"\x39\x30\0\0"


def test_a_plan_that_asks_for_nothing_gives_its_result(network):
    def plan():
        return 7
        yield

    assert network.run(plan()) == 7


def test_now_and_sleep_go_by_the_network_s_clock_and_take_no_time_on_a_manual_one(network):
    def plan():
        before = yield Now()
        slept = yield Sleep(60)
        after = yield Now()
        return before, slept, after

    network.clock.sleep_until(50.0)
    began = time.perf_counter()
    assert network.run(plan()) == (50.0, None, pytest.approx(110.0))
    assert time.perf_counter() - began < 20


def test_a_frame_is_sent(network, bus):
    def plan():
        return (yield Send(Frame(0x123, b"\x05")))

    assert network.run(plan()) is None
    network.sleep(0.001)
    assert [frame.data for frame in bus.other.receive() if frame.can_id == 0x123] == [b"\x05"]


def test_the_node_s_own_time_out_or_the_request_s(network):
    def plan(timeout_s):
        began = yield Now()
        try:
            yield SdoRead(5, 0x1000, 0, timeout_s)
        except SdoTimeout as error:
            return error.attempts, (yield Now()) - began
        return None

    attempts, seconds = network.run(plan(0.05))
    assert attempts == 2
    assert 0.1 <= seconds < 0.2
    assert 1.0 <= network.run(plan(None))[1] < 1.2
    with pytest.raises(ValueError, match="not positive"):
        network.run(plan(-1))


# --- errors ---


def test_errors_are_thrown_into_the_plan_which_goes_on(network):
    def plan():
        caught = []
        for request in (SdoRead(NODE, 0x5FFF), SdoWrite(NODE, 0x1000, 0, b"abcd"), Send(Frame(1, fd=True))):
            try:
                yield request
            except (SdoAborted, SendFailed) as error:
                caught.append(error)
        return caught, (yield SdoRead(NODE, 0x1000))

    caught, value = network.run(plan())
    assert [type(error) for error in caught] == [SdoAborted, SdoAborted, SendFailed]
    assert caught[0].code == 0x06020000
    assert value == bytes.fromhex("92010200")


def test_what_the_plan_does_not_catch_comes_out(network):
    cleaned = []

    def plan():
        try:
            yield SdoRead(NODE, 0x5FFF)
        finally:
            cleaned.append(True)

    with pytest.raises(SdoAborted):
        network.run(plan())
    assert cleaned


def test_what_a_plan_raises_comes_out(network):
    def plan():
        yield Sleep(0.1)
        raise SdoCancelled(5, 0x1000, 0, "read")

    with pytest.raises(SdoCancelled):
        network.run(plan())


def test_something_that_is_no_request_closes_the_plan(network):
    cleaned = []

    def plan():
        try:
            yield "a wish"
        finally:
            cleaned.append(True)

    with pytest.raises(TypeError, match="'a wish'"):
        network.run(plan())
    assert cleaned


@pytest.mark.parametrize("request_", [Sleep(10), SdoRead(5, 0x1000), WaitFor(lambda frame: False, 10)])
def test_an_interrupt_closes_the_plan_and_leaves_nothing_running(network, monkeypatch, request_):
    """The plan may clean up, and the network can still be used."""
    cleaned = []

    def plan():
        try:
            yield request_
        finally:
            cleaned.append(True)

    def interrupt(until):
        monkeypatch.setattr(network.port, "receive", receive)
        raise KeyboardInterrupt

    listeners = len(network.pump._listeners)
    receive, send = network.port.receive, network.port.send
    monkeypatch.setattr(network.port, "receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        network.run(plan())
    assert cleaned
    assert network.port.send == send
    assert network[5].client.pending == 0
    assert len(network.pump._listeners) == listeners
    assert network[NODE].upload(0x1000) == bytes.fromhex("92010200")


def test_a_plan_is_not_run_on_a_thread_that_serves_others(network):
    caught = []

    def serve():
        network.pump.forbid_waiting()
        try:
            network.run(iter(()))
        except BlockingCall as error:
            caught.append(str(error))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert len(caught) == 1
    assert "plan" in caught[0]


# --- waiting for a frame ---


def test_the_first_frame_that_suits(network, bus):
    def plan():
        return (yield WaitFor(is_id(0x202), 1.0))

    for number in (0x201, 0x202, 0x203, 0x202):
        bus.other.send(Frame(number, bytes([bus.other.queued])))
    frame = network.run(plan())
    assert (frame.can_id, frame.data) == (0x202, b"\x01")


def test_none_when_none_came_in_time(network):
    def plan():
        before = yield Now()
        frame = yield WaitFor(is_id(0x202), 1.5)
        return frame, (yield Now()) - before

    assert network.run(plan()) == (None, pytest.approx(1.5))


def test_an_answer_that_came_before_the_wait_began_counts(network, bus):
    """The answer is there during the sleep between the question and the wait."""

    def plan():
        yield Send(Frame(0x123))
        bus.other.send(Frame(0x202, b"\x07"))
        yield Sleep(1.0)
        yield SdoRead(NODE, 0x1000)
        before = yield Now()
        frame = yield WaitFor(is_id(0x202), 5.0)
        return frame.data, (yield Now()) - before

    assert network.run(plan()) == (b"\x07", 0.0)


def test_what_came_before_the_question_does_not_count(network, bus):
    def plan():
        yield Send(Frame(0x123))
        bus.other.send(Frame(0x202, b"\x07"))
        yield Sleep(0.1)
        yield Send(Frame(0x123))
        return (yield WaitFor(is_id(0x202), 0.1))

    assert network.run(plan()) is None


def test_a_second_wait_gets_the_next_frame(network, bus):
    def plan():
        yield Send(Frame(0x123))
        bus.other.send(Frame(0x202, b"\x01"))
        bus.other.send(Frame(0x202, b"\x02"))
        first = yield WaitFor(is_id(0x202), 1.0)
        yield Sleep(0.5)
        second = yield WaitFor(is_id(0x202), 1.0)
        return first.data, second.data, (yield WaitFor(is_id(0x202), 0.1))

    assert network.run(plan()) == (b"\x01", b"\x02", None)


def test_own_frames_are_no_answers(network):
    def plan():
        yield Send(Frame(0x123))
        yield Send(Frame(0x202))
        return (yield WaitFor(is_id(0x202), 0.1))

    assert network.run(plan()) is None


def test_nothing_listens_any_more_after_the_plan(network, bus):
    listeners = len(network.pump._listeners)

    def plan():
        yield Send(Frame(0x123))
        yield WaitFor(is_id(0x202), 0.1)
        assert len(network.pump._listeners) == listeners + 1

    network.run(plan())
    assert len(network.pump._listeners) == listeners
