"""Plans on a live network: every kind of request, errors thrown into the plan, and how a plan is broken off."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opendiag
from opendiag.errors import (
    AdapterClosed,
    BlockingCall,
    NotDone,
    OpenDiagError,
    PlanCancelled,
    SdoAborted,
    SdoCancelled,
    SdoTimeout,
    SendFailed,
    WireError,
)
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.plan_runner import RunningPlan
from opendiag.services.plans import Gather, Now, SdoRead, SdoWrite, Send, Sleep, Together, WaitFor
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


# --- side by side: Gather ---


def asleep(seconds, value=None, error=None, log=None):
    """Sleeps, then returns or raises; what is thrown into it meanwhile goes to the log."""
    try:
        yield Sleep(seconds)
    except BaseException as thrown:
        if log is not None:
            log.append(thrown)
        raise
    if error is not None:
        raise error
    return value


def read(index, node_id=NODE, subindex=0):
    return (yield SdoRead(node_id, index, subindex))


def at_once(value=None, error=None):
    if error is not None:
        raise error
    return value
    yield


def gather(*plans, window=None):
    return (yield Gather(plans, window))


def together(*plans):
    return (yield Together(plans))


def timed(plan):
    before = yield Now()
    result = yield from plan
    return result, (yield Now()) - before


def failure(number=0):
    return WireError(f"failure {number}")


def is_clean(network):
    """Nothing of a plan is left behind."""
    assert not network._plans
    assert not len(network.endings)
    assert not [machine for machine in network.pump._busy.values() if isinstance(machine, RunningPlan)]
    assert not [listener for listener in network.pump._listeners if isinstance(listener, RunningPlan)]
    assert all(node.client.pending == 0 for node in network._nodes.values())
    return True


def test_results_stand_in_the_order_of_the_plans_and_the_longest_decides_the_time(network):
    results, seconds = network.run(timed(gather(asleep(3, "a"), asleep(1, "b"), asleep(2, "c"))))
    assert results == ["a", "b", "c"]
    assert seconds == pytest.approx(3)
    assert is_clean(network)


def test_an_error_stands_in_its_place_and_disturbs_nobody(network):
    wrong = failure()
    results = network.run(gather(asleep(1, error=wrong), read(0x5FFF), read(0x1000, 5), read(0x1000), asleep(9, "end")))
    assert results[0] is wrong
    assert isinstance(results[1], SdoAborted)
    assert isinstance(results[2], SdoTimeout)
    assert results[3:] == [bytes.fromhex("92010200"), "end"]
    assert is_clean(network)


@pytest.mark.parametrize(("window", "seconds"), [(1, 6), (2, 4), (3, 3), (4, 3), (None, 3), (0, 6), (-1, 6)])
def test_no_more_than_the_window_run_at_a_time(network, window, seconds):
    running, most = [], []

    def child(length):
        running.append(length)
        most.append(len(running))
        yield Sleep(length)
        running.remove(length)
        return length

    results, took = network.run(timed(gather(child(1), child(2), child(3), window=window)))
    assert results == [1, 2, 3]
    assert max(most) == (3 if window is None else min(max(window, 1), 3))
    assert took == pytest.approx(seconds)


def test_plans_that_need_no_time(network):
    wrong = failure()
    assert network.run(timed(gather())) == ([], 0)
    assert network.run(timed(gather(at_once(1), at_once(error=wrong), at_once(3)))) == ([1, wrong, 3], 0)
    many = gather(*(at_once(number) for number in range(5000)), window=2)
    assert network.run(timed(many)) == (list(range(5000)), 0), "and none of them inside the one before"


def test_gathers_nest(network):
    inner = gather(asleep(1, "b"), gather(asleep(2, "c")), window=1)
    assert network.run(timed(gather(asleep(1, "a"), inner))) == (["a", ["b", ["c"]]], pytest.approx(3))


def test_each_hears_its_own_frames(network, bus):
    """A neighbour's question does not make another one forget what came."""

    def listener(can_id, seconds):
        yield Send(Frame(0x100))
        yield Sleep(seconds)
        frame = yield WaitFor(is_id(can_id), 1.0)
        return frame.data

    def talker():
        yield Sleep(0.1)
        bus.other.send(Frame(0x201, b"\x01"))
        bus.other.send(Frame(0x202, b"\x02"))
        yield Sleep(0.1)
        yield Send(Frame(0x123))

    assert network.run(gather(listener(0x201, 0.5), listener(0x202, 0.3), talker())) == [b"\x01", b"\x02", None]


def test_a_mistake_in_one_of_them_ends_them_all(network):
    """Only errors of the package are answers."""
    log = []
    with pytest.raises(ZeroDivisionError):
        network.run(gather(asleep(1, error=ZeroDivisionError()), asleep(9, log=log), asleep(9), window=2))
    assert [type(error) for error in log] == [PlanCancelled]
    assert is_clean(network)


# --- side by side: Together ---


def test_all_results_or_the_first_failure(network):
    assert network.run(timed(together(asleep(2, "a"), asleep(1, "b")))) == (["a", "b"], pytest.approx(2))
    assert network.run(together()) == []
    first, second = failure(1), failure(2)
    log = []
    plans = asleep(9, log=log), asleep(2, error=second), asleep(1, error=first), gather(asleep(9, log=log))
    with pytest.raises(WireError) as caught:
        network.run(timed(together(*plans)))
    assert caught.value is first
    assert [str(error) for error in log] == ["cancelled: another part of it failed: failure 1"] * 2
    assert network.clock.now() == pytest.approx(3)
    assert is_clean(network)


def test_the_others_may_still_do_something_about_it(network):
    """The failure is told when all are at rest."""

    def moving():
        try:
            yield Sleep(9)
        finally:
            yield SdoWrite(NODE, 0x6081, 0, b"\x01\0\0\0")
            yield Sleep(2)
            yield SdoWrite(NODE, 0x6081, 0, b"\x02\0\0\0")

    wrong = failure()
    with pytest.raises(WireError) as caught:
        network.run(together(moving(), asleep(1, error=wrong)))
    assert caught.value is wrong
    assert 3 <= network.clock.now() < 3.1
    assert network[NODE].upload(0x6081) == b"\x02\0\0\0"


def test_what_goes_wrong_while_they_are_stopped_does_not_hide_the_first_failure(network):
    def moving():
        try:
            yield Sleep(9)
        finally:
            yield SdoWrite(NODE, 0x5FFF, 0, b"\x01\0\0\0")

    with pytest.raises(WireError, match="failure 1"):
        network.run(together(moving(), asleep(1, error=failure(1)), moving()))
    assert is_clean(network)


def test_those_behind_one_that_fails_at_once_are_not_begun(network):
    begun = []

    def child():
        begun.append(True)
        yield Sleep(1)

    with pytest.raises(WireError):
        network.run(together(child(), at_once(error=failure()), child()))
    assert begun == [True]
    assert is_clean(network)


def test_an_interrupt_reaches_all_of_them_and_then_the_plan(network, monkeypatch):
    log = []

    def plan():
        try:
            yield Together((asleep(9, log=log), gather(asleep(9, log=log), asleep(9, log=log), window=1)))
        finally:
            log.append((yield Now()))

    def interrupt(until):
        monkeypatch.setattr(network.port, "receive", receive)
        raise KeyboardInterrupt

    receive = network.port.receive
    monkeypatch.setattr(network.port, "receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        network.run(plan())
    assert [type(entry) for entry in log] == [KeyboardInterrupt, KeyboardInterrupt, float]
    assert is_clean(network)


def test_a_second_interrupt_ends_the_cleaning_up(network, monkeypatch):
    def plan():
        try:
            yield Gather((asleep(9), asleep(9)))
        finally:
            yield Sleep(1000)

    def interrupt(until):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(network.port, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            network.run(plan())
    assert network.clock.now() < 1
    assert is_clean(network)


def test_new_ones_in_the_cleaning_up_are_waited_for(network):
    """The plan is broken off while several run side by side, and begins several others then."""

    def plan():
        try:
            yield Together((asleep(9), asleep(9)))
        except PlanCancelled:
            return (yield from timed(gather(asleep(2, "a"), asleep(3, "b"))))

    running = network.begin(plan())
    running.cancel()
    assert not running.done
    network.sleep(5)
    assert running.result() == (["a", "b"], pytest.approx(3))
    assert is_clean(network)


# --- plans that nobody waits for ---


def test_a_plan_goes_on_while_others_wait_for_the_bus(network):
    running = network.begin(gather(asleep(1, "a"), read(0x1000)))
    assert not running.done
    network.sleep(0.5)
    assert not running.done
    assert network[NODE].upload(0x1018, 1)
    network.sleep(0.6)
    assert running.result() == ["a", bytes.fromhex("92010200")]
    assert is_clean(network)


def test_a_plan_that_needs_no_time_is_done_when_it_is_begun(network):
    running = network.begin(at_once(7))
    assert running.done
    assert running.result() == 7
    assert is_clean(network)


def test_cancelling_throws_into_the_plan_which_may_take_its_time(network):
    log = []

    def plan():
        try:
            yield SdoRead(5, 0x1000)
        finally:
            yield Sleep(1)
            log.append((yield Now()))

    running = network.begin(plan())
    running.cancel("enough")
    assert not running.done
    assert network[5].client.pending == 0, "the transfer is broken off at once"
    network.sleep(2)
    assert log == [pytest.approx(1)]
    with pytest.raises(PlanCancelled, match="cancelled: enough"):
        running.result()
    running.cancel()  # nothing any more
    running.abandon()
    assert is_clean(network)


def test_a_plan_may_give_a_result_all_the_same(network):
    def plan():
        try:
            yield Sleep(9)
        except PlanCancelled:
            return "stopped"

    running = network.begin(plan())
    running.cancel()
    assert running.result() == "stopped"


def test_abandoning_ends_everything_at_once_whatever_it_still_wants(network):
    """A generator that yields while it is closed would otherwise stay, half dead."""
    refused = []

    def stubborn():
        try:
            yield Sleep(9)
        finally:
            try:
                yield SdoWrite(NODE, 0x6081, 0, b"\x01\0\0\0")
            finally:
                refused.append(True)
                yield Sleep(9)

    running = network.begin(gather(stubborn(), together(stubborn(), asleep(9))))
    running.abandon()
    assert running.done
    assert refused == [True, True]
    with pytest.raises(PlanCancelled, match="did not wait"):
        running.result()
    assert network.clock.now() == 0
    assert is_clean(network)


def test_an_error_while_a_plan_is_abandoned_is_told(network):
    def plan():
        try:
            yield Sleep(9)
        finally:
            raise ZeroDivisionError

    running = network.begin(plan())
    running.abandon()
    with pytest.raises(PlanCancelled) as caught:
        running.result()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_end_is_told_once_to_each_who_asked(network, caplog):
    told = []

    def wrong():
        raise ZeroDivisionError

    running = network.begin(asleep(1, "a"))
    running.when_done(lambda: told.append(running.result()))
    running.when_done(wrong)
    running.when_done(lambda: told.append(running.done))
    assert not told
    network.sleep(2)
    assert told == ["a", True]
    assert "ZeroDivisionError" in caplog.text
    running.when_done(lambda: told.append("late"))
    assert told == ["a", True, "late"]


def test_two_plans_wait_for_each_other(network):
    first = network.begin(asleep(1, "a"))
    begun = []
    first.when_done(lambda: begun.append(network.begin(asleep(1, "b"))))
    network.sleep(1.5)
    assert begun and not begun[0].done
    network.sleep(1)
    assert begun[0].result() == "b"
    assert is_clean(network)


# --- the end of the network, and of the bus ---


def test_closing_lets_plans_come_to_rest_for_a_second(bus):
    log = []

    def plan(seconds):
        try:
            yield Sleep(99)
        except PlanCancelled as error:
            log.append(str(error))
            yield Sleep(seconds)
            log.append(seconds)

    network = opendiag.connect(bus, clock=ManualClock())
    quick, slow, waiting = network.begin(plan(0.5)), network.begin(plan(5)), network.begin(read(0x1000, 5))
    network.close()
    assert log == ["cancelled: the network is closed"] * 2 + [0.5]
    assert quick.done and slow.done and waiting.done
    quick.result()
    for running in (slow, waiting):
        with pytest.raises(PlanCancelled):
            running.result()
    assert network.clock.now() == pytest.approx(1.0, abs=0.05)
    assert is_clean(network)
    with pytest.raises(AdapterClosed):
        network.begin(asleep(1))


def test_a_plan_ends_when_the_network_is_closed_while_a_thread_waits_for_it(bus):
    network = opendiag.connect(bus)  # in real time
    caught = []

    def run():
        try:
            network.run(asleep(60))
        except PlanCancelled as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + SOON_S
    while not network._plans and time.monotonic() < until:
        time.sleep(0.001)
    network.close()
    thread.join(SOON_S)
    assert len(caught) == 1


REQUESTS = {
    "read": lambda: SdoRead(5, 0x1000),
    "write": lambda: SdoWrite(5, 0x1000, 0, b"\0"),
    "sleep": lambda: Sleep(9),
    "wait": lambda: WaitFor(is_id(0x202), 9),
    "gather": lambda: Gather((asleep(9), read(0x1000, 5), gather(asleep(9))), 2),
    "together": lambda: Together((asleep(9), read(0x1000, 5), together(asleep(9)))),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("alone", [True, False])
def test_the_end_of_the_bus_is_thrown_into_the_plan(network, monkeypatch, request_, alone):
    """Once; and what it asks for then is refused at once."""
    seen = []

    def plan():
        try:
            yield request_()
        except AdapterClosed as error:
            seen.append(error)
        for after in (Sleep(1), SdoRead(NODE, 0x1000), WaitFor(is_id(1), 1), Send(Frame(1)), Gather((asleep(1),))):
            try:
                yield after
            except AdapterClosed:
                seen.append(after)
        return "end"

    def unplugged(until):
        raise AdapterClosed("sim", "unplugged")

    running = network.begin(plan()) if alone else None
    monkeypatch.setattr(network.port, "receive", unplugged)
    if running is None:
        assert network.run(plan()) == "end"
    else:
        with pytest.raises(AdapterClosed):
            network.sleep(1)
        assert running.result() == "end"
    assert len(seen) == 6
    assert is_clean(network)


def test_the_bus_ends_while_one_of_several_sends(network, monkeypatch):
    """The first waits already, the third has not begun."""
    log = []

    def sender():
        yield Send(Frame(0x123))

    def broken(frame):
        raise AdapterClosed("sim", "unplugged")

    monkeypatch.setattr(network.port, "send", broken)
    with pytest.raises(AdapterClosed):
        network.run(together(asleep(9, log=log), sender(), asleep(9, log=log)))
    assert [str(error) for error in log] == ["cancelled: another part of it failed: sim: unplugged"]
    assert is_clean(network)


def test_a_frame_that_does_not_leave_is_an_error_of_that_plan_alone(network, monkeypatch):
    def full(frame):
        raise SendFailed("sim", "full")

    def sender():
        yield Send(Frame(0x123))

    monkeypatch.setattr(network.port, "send", full)
    results = network.run(gather(sender(), asleep(1, "a")))
    assert isinstance(results[0], SendFailed)
    assert results[1] == "a"


# --- any tree of plans ---

FAILED = object()
leaves = st.one_of(
    st.tuples(st.just("sleep"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("fail"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("read"), st.sampled_from([NODE, 5]), st.booleans()),
    st.tuples(st.just("wait"), st.booleans(), st.booleans()),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("gather"), st.lists(inner, max_size=4), st.none() | st.integers(1, 3)),
        st.tuples(st.just("together"), st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)


def leaf(kind, what, tidy):
    """``tidy``: it has something to bring to rest whatever happens."""
    try:
        if kind == "read":
            return (yield SdoRead(what, 0x1000, 0, 0.2))
        if kind == "wait":
            yield Send(Frame(0x123 if what else 0x124))
            frame = yield WaitFor(is_id(0x202), 1.0)
            return None if frame is None else frame.data
        yield Sleep(what)
        if kind == "fail":
            raise failure(what)
        return what
    finally:
        if tidy:
            yield SdoWrite(NODE, 0x6081, 0, b"\x01\0\0\0")
            yield Sleep(0.3)


def grown(tree, firsts):
    """The plan of a tree. ``firsts`` collects (the first failure inside a Together, what came out of it)."""
    kind, what, *rest = tree
    if kind == "gather":
        return (yield Gather(tuple(grown(child, firsts) for child in what), rest[0]))
    if kind != "together":
        return (yield from leaf(kind, what, *rest))
    failed = []

    def noted(child):
        try:
            return (yield from grown(child, firsts))
        except OpenDiagError as error:
            failed.append(error)
            raise

    try:
        return (yield Together(tuple(noted(child) for child in what)))
    except OpenDiagError as error:
        firsts.append((failed[0] if failed else error, error))
        raise


def expected(tree):
    kind, what, *_ = tree
    if kind == "gather":
        return [expected(child) for child in what]
    if kind == "together":
        results = [expected(child) for child in what]
        return FAILED if any(result is FAILED for result in results) else results
    if kind == "read":
        return bytes.fromhex("92010200") if what == NODE else FAILED
    if kind == "wait":
        return b"\x07" if what else None
    return what if kind == "sleep" else FAILED


def outcome(result):
    if isinstance(result, OpenDiagError):
        return FAILED
    return [outcome(entry) for entry in result] if isinstance(result, list) else result


class Echo:
    """Answers 123h with 202h."""

    def __init__(self):
        self.answers = []

    def receive(self, frame, now):
        if frame.can_id == 0x123:
            self.answers.append(Frame(0x202, b"\x07"))

    def tick(self, now): ...

    def deadline(self):
        return None

    def frames_to_send(self):
        answers, self.answers = self.answers, []
        return answers

    def events(self):
        return []


def echoing():
    bus = SimBus()
    bus.attach(make_device("stepim", NODE), "node", on_event=lambda event, now: None)
    bus.attach(Echo(), "echo")
    return opendiag.connect(bus, clock=ManualClock())


def without_waits(tree):
    """Who waits may hear what a neighbour asked for: then the result is not known beforehand."""
    kind, what, *rest = tree
    if kind in ("gather", "together"):
        return kind, [without_waits(child) for child in what], *rest
    return ("sleep", 1, rest[0]) if kind == "wait" else tree


@settings(max_examples=60)
@given(trees)
def test_any_tree_gives_what_its_parts_give(tree):
    """And of several failures the first one that happened comes out, unless an outer one came before."""
    tree = without_waits(tree)
    firsts = []
    with echoing() as network:
        [result] = network.run(gather(grown(tree, firsts)))
        assert outcome(result) == expected(tree)
        assert all(first is told or isinstance(told, PlanCancelled) for first, told in firsts)
        assert is_clean(network)
        assert network[NODE].upload(0x1000) == bytes.fromhex("92010200")


@settings(max_examples=60)
@given(trees, st.floats(0, 6), st.sampled_from(["cancel", "abandon", "close", "unplug", "twice"]))
def test_any_tree_can_be_broken_off_at_any_time_and_leaves_nothing(tree, moment, how):
    with echoing() as network:
        running = network.begin(gather(grown(tree, [])))
        network.sleep(moment)
        if how == "close":
            network.close()
        elif how == "unplug":
            network.pump._fail(AdapterClosed("sim", "unplugged"))
        elif how == "abandon":
            running.abandon()
        else:
            running.cancel()
            if how == "twice":
                network.sleep(0.1)
                running.cancel()
            network.pump.wait(running, network.clock.now() + 60)
        assert running.done
        assert is_clean(network)
        if how not in ("close", "unplug"):
            assert network[NODE].upload(0x1000) == bytes.fromhex("92010200")


def test_a_plan_that_nobody_waits_for_keeps_its_deadlines_in_real_time(monkeypatch):
    from opendiag.master import pump as pump_module

    monkeypatch.setattr(pump_module, "SLICE_S", 5.0)

    def plan():
        yield Sleep(0.01)

    with opendiag.connect(SimBus(None)) as network:
        time.sleep(0.05)  # the pump's own thread reads by now
        done = threading.Event()
        began = time.perf_counter()
        network.begin(plan()).when_done(done.set)
        assert done.wait(4.0)
        assert time.perf_counter() - began < 2.0


# --- waiting for the result of one that was begun ---


def sleeps(seconds):
    yield Sleep(seconds)
    return "slept"


def test_the_result_of_a_plan_that_was_begun_is_waited_for(network):
    running = network.begin(sleeps(1.5))
    with pytest.raises(NotDone, match=r"not done after 1 s; it goes on"):
        running.result(timeout_s=1)
    assert not running.done
    assert running.result() == running.result(timeout_s=0) == "slept"
    assert network.clock.now() == pytest.approx(1.5)


def test_a_result_is_not_waited_for_where_waiting_would_never_end(network):
    running, problems = network.begin(sleeps(1)), []

    def ask(event):
        with pytest.raises(BlockingCall, match="waiting for a plan"):
            running.result()
        problems.append(event)

    network.on(object, ask)
    network.publish("now")
    assert problems == ["now"] and running.result() == "slept"


@pytest.mark.parametrize("kind", [Gather, Together])
@pytest.mark.parametrize(
    ("plans", "text"),
    [
        ((SdoRead(NODE, 0x1000),), "takes plans, not SdoRead.*a function that yields this request makes one"),
        ((sleeps,), "takes plans, not <function sleeps.*call its function"),
        (sleeps(1), "takes a tuple of plans"),
    ],
)
def test_side_by_side_run_plans_and_no_requests(kind, plans, text):
    with pytest.raises(TypeError, match=f"{kind.__name__} {text}"):
        kind(plans)
