"""SYNC, both ends on one wire: the grid, the counter, and what is missing of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_bench import Wire, frame, line

from opendiag.frame import Frame
from opendiag.services.periods import Periods
from opendiag.services.sync import SyncConsumer, SyncLengthWrong, SyncMissed, SyncProducer


def pair(overflow=0, **more):
    producer, consumer = SyncProducer(0x80, 0.01, overflow), SyncConsumer(0x80, **more)
    wire = Wire(producer, consumer)
    producer.start(0.0)
    return wire, producer, consumer


def test_golden_bytes_without_a_counter():
    wire, producer, consumer = pair()
    wire.run(0.035)
    assert wire.lines() == [(0.01, "080#"), (0.02, "080#"), (0.03, "080#")]
    assert (consumer.count, consumer.counter, producer.next_counter, producer.sent) == (3, None, None, 3)
    assert consumer.periods.mean_s == pytest.approx(0.01)


def test_the_counter_runs_in_periodic_mode():
    wire, producer, consumer = pair(3)
    wire.run(0.045)
    assert [text for _, text in wire.lines()] == ["080#01", "080#02", "080#03", "080#01"]
    assert (consumer.counter, producer.next_counter, consumer.missed) == (1, 2, 0)
    producer.stop()
    wire.run(1.0)
    producer.start(wire.now, at_once=True)
    wire.run(0.0)
    assert [text for _, text in wire.lines()][4:] == ["080#01"], "it begins anew"


def test_the_longest_counter():
    wire, _, consumer = pair(240)
    wire.run(0.01 * 242)
    assert [text for _, text in wire.lines()][238:242] == ["080#EF", "080#F0", "080#01", "080#02"]
    assert consumer.missed == 0


def test_who_keeps_the_time_himself_takes_frames():
    producer = SyncProducer(0x2000_0080, overflow=2)
    assert [line(producer.next_frame()) for _ in range(3)] == ["080#01", "080#02", "080#01"]
    assert producer.next_frame().extended and producer.deadline() is None
    producer.overflow = 0
    assert line(producer.next_frame()) == "080#"


def test_what_is_long_overdue_is_sent_once():
    producer = SyncProducer(0x80, 0.01)
    producer.start(0.0)
    producer.tick(0.055)
    assert (len(producer.frames_to_send()), producer.deadline()) == (1, pytest.approx(0.065))


@pytest.mark.parametrize("overflow", [-1, 1, 241])
def test_an_overflow_that_cannot_be_is_refused(overflow):
    for make in (lambda: SyncProducer(0x80, 1.0, overflow), lambda: SyncConsumer(0x80, overflow)):
        with pytest.raises(ValueError, match=f"overflow {overflow} is neither"):
            make()


@pytest.mark.parametrize(
    ("overflow", "counters", "missed"),
    [
        (10, [1, 2, 4, 5], [(3, 4)]),
        (10, [9, 10, 1, 2], []),
        (10, [9, 1], [(10, 1)]),
        (10, [3, 3], [(4, 3)]),
        (None, [1, 2, 3, 1, 2, 3, 1], []),
        (None, [1, 2, 3, 1, 2, 1], [(3, 1)]),
        (None, [1, 2, 4], [(3, 4)]),
        (None, [239, 240, 1], []),
    ],
)
def test_missed_syncs_are_told(overflow, counters, missed):
    consumer = SyncConsumer(0x80, overflow)
    for at, counter in enumerate(counters):
        consumer.receive(Frame(0x80, bytes([counter])), float(at))
    assert [(event.expected, event.got) for event in consumer.events() if isinstance(event, SyncMissed)] == missed
    assert consumer.missed == len(missed)


@pytest.mark.parametrize(
    ("overflow", "data", "expected"),
    [(0, "01", 0), (0, "0102", 0), (10, "", 1), (10, "0102", 1), (10, "00", 1), (None, "0102", 1), (None, "00", 1)],
)
def test_a_wrong_length_is_told(overflow, data, expected):
    consumer = SyncConsumer(0x80, overflow)
    consumer.receive(frame(f"080#{data}"), 1.0)
    assert consumer.events() == [SyncLengthWrong(1.0, len(data) // 2, expected)]
    assert (consumer.count, consumer.malformed, consumer.counter) == (1, 1, None)


@pytest.mark.parametrize(("overflow", "data"), [(0, ""), (10, "03"), (None, ""), (None, "03")])
def test_a_right_length_is_not(overflow, data):
    consumer = SyncConsumer(0x80, overflow)
    consumer.receive(frame(f"080#{data}"), 1.0)
    assert (consumer.events(), consumer.malformed) == ([], 0)


def test_reset_forgets_the_counter():
    consumer = SyncConsumer(0x80, 10)
    consumer.receive(frame("080#05"), 0.0)
    consumer.reset()
    consumer.receive(frame("080#01"), 1.0)
    assert consumer.events() == []


@pytest.mark.parametrize(
    "other",
    [
        Frame(0x81),
        Frame(0x80, extended=True),
        Frame(0x80, fd=True),
        Frame(0x80, error=True),
        Frame(0x80, remote=True, dlc=0),
    ],
    ids=repr,
)
def test_other_frames_are_no_sync(other):
    consumer = SyncConsumer()
    consumer.receive(other, 0.0)
    assert consumer.count == 0


@given(st.integers(2, 240), st.lists(st.booleans(), max_size=600))
def test_a_sync_that_gets_lost_is_noticed_with_the_next(overflow, lost):
    producer, consumer = SyncProducer(0x80, overflow=overflow), SyncConsumer(0x80, overflow)
    told = 0
    before, missing = None, 0
    for number, is_lost in enumerate(lost):
        sync = producer.next_frame()
        if is_lost:
            missing += 1
            continue
        consumer.receive(sync, float(number))
        events = consumer.events()
        told += len(events)
        noticed = before is not None and missing % overflow != 0
        assert len(events) == noticed
        before, missing = sync, 0
    assert consumer.missed == told


@given(st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=50))
def test_statistics(seconds):
    periods = Periods()
    assert (periods.mean_s, periods.jitter_s, periods.min_s, periods.max_s) == (None, None, None, None)
    for value in seconds:
        periods.add(value)
    mean = sum(seconds) / len(seconds)
    deviation = (sum((value - mean) ** 2 for value in seconds) / len(seconds)) ** 0.5
    assert (periods.count, periods.min_s, periods.max_s) == (len(seconds), min(seconds), max(seconds))
    assert periods.mean_s == pytest.approx(mean)
    assert periods.jitter_s == pytest.approx(deviation, abs=1e-6)


def test_syncs_that_were_read_all_at_once_have_the_period_they_were_sent_with():
    consumer = SyncConsumer()
    for time_ns in (50_000_000, 60_000_000, 70_000_000):
        consumer.receive(Frame(0x80, time_ns=time_ns), 100.0)
    assert (consumer.periods.min_s, consumer.periods.max_s) == (pytest.approx(0.01), pytest.approx(0.01))
