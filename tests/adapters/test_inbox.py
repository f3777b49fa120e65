import threading
import time

import pytest

from opendiag.adapters.inbox import Inbox
from opendiag.frame import Frame


def frames(*can_ids):
    return [Frame(can_id) for can_id in can_ids]


def in_thread(work):
    """Runs it; the result is a list that is filled by the time `join` returns."""
    result = []

    def run():
        try:
            result.append(work())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


def test_everything_that_is_there_comes_at_once_and_in_order():
    inbox = Inbox()
    inbox.put(frames(1, 2))
    inbox.put([])
    inbox.put(frames(3))
    assert inbox.take(None) == frames(1, 2, 3)
    assert inbox.take(0) == []


def test_what_was_put_is_not_changed_by_what_comes_later():
    inbox = Inbox()
    inbox.put(frames(1))
    first = inbox.take(0)
    inbox.put(frames(2))
    assert (first, inbox.take(0)) == (frames(1), frames(2))


@pytest.mark.parametrize("timeout_s", [0, -1, 0.02])
def test_an_empty_inbox_gives_nothing_in_time(timeout_s):
    began = time.monotonic()
    assert Inbox().take(timeout_s) == []
    assert max(timeout_s, 0) <= time.monotonic() - began < max(timeout_s, 0) + 1


def test_take_waits_for_the_first_frame():
    inbox = Inbox()
    thread, taken = in_thread(lambda: inbox.take(None))
    thread.join(0.02)
    assert thread.is_alive()
    inbox.put(frames(5))
    thread.join(5)
    assert taken == [frames(5)]


def test_waiting_costs_no_computing_time():
    began = time.thread_time()
    Inbox().take(0.3)
    assert time.thread_time() - began < 0.05


def test_frames_that_nobody_takes_are_counted_as_lost():
    inbox = Inbox(limit=3)
    inbox.put(frames(1, 2))
    inbox.put(frames(3, 4))  # one list more than fits is better than half a list
    inbox.put(frames(5, 6))
    assert inbox.take(0) == frames(1, 2, 3, 4)
    assert inbox.lost == 2
    inbox.put(frames(7))
    assert (inbox.take(0), inbox.lost) == (frames(7), 2)


def test_a_failure_comes_after_the_frames_and_then_for_ever():
    inbox = Inbox()
    inbox.put(frames(1))
    inbox.fail(OSError("gone"))
    assert inbox.take(None) == frames(1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            inbox.take(None)


def test_a_failure_that_is_raised_again_and_again_does_not_grow():
    inbox = Inbox()
    inbox.fail(OSError("gone"))
    depths = []
    for _ in range(5):
        with pytest.raises(OSError) as raised:
            inbox.take(0)
        depths.append(len(raised.traceback))
    assert max(depths) <= 3


def test_the_first_failure_stays():
    inbox = Inbox()
    inbox.fail(OSError("gone"))
    inbox.fail(ValueError("closed"))
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            inbox.take(0)


def test_nothing_comes_after_a_failure():
    inbox = Inbox()
    inbox.fail(OSError("gone"))
    inbox.put(frames(1))
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            inbox.take(0)


def test_a_frame_that_slipped_in_behind_a_failure_does_not_come():
    inbox = Inbox()
    inbox.fail(OSError("gone"))
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            inbox.take(0)
        inbox._frames.extend(frames(1))  # put() looked for a failure just before there was one


def test_a_failure_ends_everybody_who_waits():
    inbox = Inbox()
    waiting = [in_thread(lambda: inbox.take(None)) for _ in range(3)]
    inbox.fail(OSError("gone"))
    for thread, result in waiting:
        thread.join(5)
        assert [str(error) for error in result] == ["gone"]


def test_two_who_take_get_every_frame_once():
    inbox, total = Inbox(), 4000

    def take_all():
        taken = []
        try:
            while True:
                taken += inbox.take(5)
        except OSError:
            return taken

    takers = [in_thread(take_all) for _ in range(2)]
    for can_id in range(0, total, 2):
        inbox.put([Frame(can_id % 2048, time_ns=can_id), Frame(can_id % 2048, time_ns=can_id + 1)])
    inbox.fail(OSError("end"))
    for thread, _ in takers:
        thread.join(10)
    parts = [[frame.time_ns for frame in result[0]] for _, result in takers]
    assert sorted(parts[0] + parts[1]) == list(range(total))
    assert all(part == sorted(part) for part in parts)
