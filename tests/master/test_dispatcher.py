"""Functions of the user, called where nothing else depends on them."""

import threading
import time

import pytest

from opendiag.master import dispatcher as module
from opendiag.master.dispatcher import Dispatcher, Failures

SOON_S = 5.0


class NoPump:
    """In place of a pump: keeps on which threads nothing may wait."""

    def __init__(self):
        self.forbidden = set()
        self.owned = False

    def forbid_waiting(self, forbidden=True):
        (self.forbidden.add if forbidden else self.forbidden.discard)(threading.get_ident())


@pytest.fixture
def pump():
    return NoPump()


@pytest.fixture
def threaded(pump):
    made = Dispatcher(pump)
    yield made
    made.close()


def test_calls_are_made_in_order_on_one_thread_that_may_not_wait(threaded, pump):
    seen, done = [], threading.Event()
    for number in range(1000):
        threaded.post(lambda n: seen.append((n, threading.get_ident())), number)
    threaded.post(lambda _: done.set(), None)
    assert done.wait(SOON_S)
    assert [number for number, _ in seen] == list(range(1000))
    assert {thread for _, thread in seen} == pump.forbidden and threading.get_ident() not in pump.forbidden


def test_calls_of_several_threads_all_come_and_each_in_its_order(threaded):
    seen, done = [], threading.Barrier(5, timeout=SOON_S)

    def poster(name):
        for number in range(2000):
            threaded.post(seen.append, (name, number))
        done.wait()

    for name in range(4):
        threading.Thread(target=poster, args=(name,), daemon=True).start()
    done.wait()
    threaded.close()
    assert len(seen) == 8000
    for name in range(4):
        assert [number for other, number in seen if other == name] == list(range(2000))


def test_one_that_raises_is_logged_and_hides_nothing_from_the_others(threaded, caplog):
    done = threading.Event()
    threaded.post(lambda _: 1 / 0, "an argument")
    threaded.post(lambda _: done.set(), None)
    assert done.wait(SOON_S)
    assert "ZeroDivisionError" in caplog.text and "an argument" in caplog.text


def test_no_thread_before_the_first_call_and_none_after_close(pump):
    made = Dispatcher(pump)
    before = threading.active_count()
    seen = []
    made.post(seen.append, 1)
    assert threading.active_count() == before + 1
    made.close()
    assert (seen, threading.active_count()) == ([1], before)
    made.close()


def test_without_a_thread_who_lets_time_pass_makes_the_calls(pump):
    made, seen, before = Dispatcher(pump, thread=False), [], threading.active_count()
    made.post(lambda n: seen.append((n, threading.get_ident() in pump.forbidden)), 1)
    assert seen == []
    made.run_posted()
    assert (seen, pump.forbidden, threading.active_count()) == ([(1, True)], set(), before)


def test_without_a_thread_nothing_is_called_inside_a_call_or_under_the_lock(pump):
    made, seen = Dispatcher(pump, thread=False), []

    def outer(_):
        made.post(seen.append, "inner")
        made.run_posted()
        seen.append("outer")

    made.post(outer, None)
    pump.owned = True
    made.run_posted()
    assert seen == []
    pump.owned = False
    made.run_posted()
    assert seen == ["outer", "inner"]


def test_what_nobody_could_take_is_counted_and_the_oldest_are_kept(pump, monkeypatch):
    monkeypatch.setattr(module, "BACKLOG", 3)
    made, seen = Dispatcher(pump, thread=False), []
    for number in range(5):
        made.post(seen.append, number)
    made.run_posted()
    assert (seen, made.lost) == ([0, 1, 2], 2)


def test_a_lone_call_is_not_held_back_to_gather_others(threaded):
    """The thread sleeps between looks only while several calls come at a time."""
    threaded.post(lambda _: None, None)
    waits = []
    for _ in range(50):
        time.sleep(0.003)
        called = threading.Event()
        began = time.perf_counter()
        threaded.post(lambda _, called=called: called.set(), None)
        assert called.wait(SOON_S)
        waits.append(time.perf_counter() - began)
    assert sorted(waits)[5] < module._GATHER_S


def test_what_is_refused_is_said_to_whoever_posts(pump, monkeypatch):
    monkeypatch.setattr(module, "BACKLOG", 2)
    dispatcher = Dispatcher(pump, thread=False)
    assert [dispatcher.post(print, None) for _ in range(3)] == [True, True, False]
    assert dispatcher.lost == 1


def test_one_that_goes_on_failing_is_told_in_full_once_and_then_counted(caplog):
    times = iter([0.0, 1.0, 9.9, 10.0, 11.0, 12.0])
    failures = Failures(lambda: next(times))
    for error in [ValueError("first"), *[ValueError("again")] * 3, KeyError("other"), ValueError("late")]:
        failures.tell(print, "argument", error)
    failures.close()
    told = [record.getMessage() for record in caplog.records]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, False]
    assert told == [
        "callback <built-in function print> failed on argument",
        "callback <built-in function print> failed 3 more times, now with ValueError('again')",
        "callback <built-in function print> failed on argument",
        "callback <built-in function print> failed once more, with ValueError",
    ]


def test_what_fails_is_not_kept_in_mind_without_end():
    failures = Failures()
    for number in range(1000):
        failures.tell(lambda number=number: number, number, ValueError())
    assert len(failures._known) <= 256
