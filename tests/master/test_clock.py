"""Clocks: one that runs, and one that is moved by waiting."""

import time

import pytest

from opendiag.master.clock import ManualClock, RealClock


def test_the_real_clock_is_that_of_the_computer_at_first():
    clock = RealClock()
    assert clock.runs
    assert clock.now() == pytest.approx(time.time(), abs=1.0)


def test_the_real_clock_never_goes_back_when_the_computer_s_is_set(monkeypatch):
    clock = RealClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= clock.now() < before + 10


@pytest.mark.parametrize("seconds", [0.0, 0.0002, 0.003])
def test_a_real_wait_is_never_too_short(seconds):
    clock = RealClock()
    late = []
    for _ in range(20):
        moment = clock.now() + seconds
        clock.sleep_until(moment)
        late.append(clock.now() - moment)
    assert min(late) >= 0
    assert sorted(late)[2] < 0.002


def test_a_moment_that_is_over_is_not_waited_for():
    clock = RealClock()
    began = time.perf_counter()
    clock.sleep_until(clock.now() - 100)
    assert time.perf_counter() - began < 1


def test_the_manual_clock_moves_to_the_end_of_the_wait_at_once():
    clock = ManualClock(5.0)
    assert not clock.runs
    assert clock.now() == 5.0
    began = time.perf_counter()
    clock.sleep_until(3600.0)
    assert clock.now() == 3600.0
    assert time.perf_counter() - began < 1


def test_the_manual_clock_never_goes_back():
    clock = ManualClock(5.0)
    clock.sleep_until(4.0)
    assert clock.now() == 5.0
