"""What a thread asks the system for: it is for that thread alone, and a refusal is no error."""

import os
import sys
import threading

import pytest

from opendiag.master import punctual

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has it")


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@linux
def test_the_slack_is_that_of_the_thread():
    assert in_thread(punctual.least_timer_slack)


@linux
def test_real_time_priority_is_that_of_the_thread_or_refused():
    def ask():
        return punctual.real_time_priority(), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

    given, policy = in_thread(ask)
    assert policy == (os.SCHED_FIFO if given else os.SCHED_OTHER)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@linux
def test_a_refusal_is_told_and_no_error(monkeypatch):
    def refuse(*arguments):
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert in_thread(punctual.real_time_priority) is False


def test_where_it_does_not_exist_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert (punctual.least_timer_slack(), punctual.real_time_priority()) == (False, False)
