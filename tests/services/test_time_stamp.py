"""TIME, both ends on one wire: the time of day that is told goes on at the other end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_bench import Wire, frame

from opendiag.frame import Frame
from opendiag.services.time_stamp import TimeConsumer, TimeMalformed, TimeProducer, TimeReceived
from opendiag.wire.time_stamp import MS_PER_DAY, TimeOfDay

START = TimeOfDay(43_200_000, 15_000)


def pair(period_s=1.0):
    producer = TimeProducer(0x100, period_s, time_of_day=START.later)
    consumer = TimeConsumer()
    return Wire(producer, consumer), producer, consumer


def test_golden_bytes_both_ways():
    wire, producer, consumer = pair()
    producer.start(0.0)
    wire.run(1.5)
    assert wire.lines() == [(0.0, "100#002E9302983A"), (1.0, "100#E8319302983A")]
    assert wire.told(consumer) == [TimeReceived(0.0, START), TimeReceived(1.0, START.later(1.0))]
    assert consumer.count == 2


def test_the_time_goes_on_between_two_messages():
    wire, producer, consumer = pair(60.0)
    assert consumer.time_of_day(0.0) is None
    producer.start(0.0)
    wire.run(30.25)
    assert consumer.time_of_day(wire.now) == START.later(30.25)


def test_after_a_period_and_at_once_and_never():
    wire, producer, _ = pair(10.0)
    producer.start(0.0, at_once=False)
    wire.run(15.0)
    producer.stop()
    wire.run(100.0)
    producer.period_s = 0.0
    producer.start(wire.now)
    wire.run(100.0)
    assert [at for at, _ in wire.lines()] == [10.0]
    producer.period_s = 1.0
    producer.start(wire.now)
    producer.tick(wire.now + 5.5)
    assert (len(producer.frames_to_send()), producer.deadline()) == (1, wire.now + 6.5)


def test_another_cob_id():
    producer = TimeProducer(0x2001_2345, time_of_day=START.later)
    sent = producer.frame(0.0)
    assert (sent.can_id, sent.extended) == (0x12345, True)
    consumer = TimeConsumer(0x2001_2345)
    consumer.receive(sent, 1.0)
    consumer.receive(frame("100#002E9302983A"), 2.0)
    assert consumer.events() == [TimeReceived(1.0, START)]


@pytest.mark.parametrize("data", ["", "002E930298", "002E9302983A00"])
def test_what_is_no_time_is_told_and_changes_nothing(data):
    consumer = TimeConsumer()
    consumer.receive(frame("100#002E9302983A"), 0.0)
    consumer.events()
    consumer.receive(frame(f"100#{data}"), 1.0)
    (event,) = consumer.events()
    assert isinstance(event, TimeMalformed) and "TIME has 6 bytes" in event.reason
    assert (consumer.malformed, consumer.time_of_day(0.0)) == (1, START)


@pytest.mark.parametrize(
    "other",
    [
        Frame(0x101, bytes(6)),
        Frame(0x100, bytes(6), extended=True),
        Frame(0x100, bytes(6), fd=True),
        Frame(0x100, bytes(6), error=True),
        Frame(0x100, remote=True, dlc=6),
    ],
    ids=repr,
)
def test_other_frames_are_no_time(other):
    consumer = TimeConsumer()
    consumer.receive(other, 0.0)
    assert (consumer.events(), consumer.count) == ([], 0)


@given(st.integers(0, MS_PER_DAY - 1), st.integers(0, 0xFFFF), st.integers(0, 100_000))
def test_both_ends_show_the_same_time(ms, days, later_ms):
    time = TimeOfDay(ms, days)
    producer, consumer = TimeProducer(time_of_day=time.later), TimeConsumer()
    consumer.receive(producer.frame(0.0), 0.0)
    assert consumer.time_of_day(later_ms / 1000) == time.later(later_ms / 1000)
