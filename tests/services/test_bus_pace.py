"""The account of the bus's time: how much may be handed over, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.frame import Frame
from opendiag.services.bus_pace import BusPace, most_bits
from opendiag.simulate.bits import INTERMISSION_BITS, frame_bits

FRAME = Frame(0x601, bytes(8))
BIT_RATE = 100_000
FRAME_S = most_bits(FRAME) / BIT_RATE


@given(
    st.integers(0, 0x7FF),
    st.binary(max_size=8),
    st.booleans(),
    st.booleans().map(lambda remote: remote and 0x1234_5678),
)
def test_no_frame_has_more_bits_than_the_bound(can_id, data, remote, extended_id):
    frame = Frame(extended_id or can_id, b"" if remote else data, extended=bool(extended_id), remote=remote)
    assert frame_bits(frame) + INTERMISSION_BITS <= most_bits(frame) <= frame_bits(frame) + INTERMISSION_BITS + 30


def test_the_bound_of_a_full_frame():
    assert most_bits(Frame(0x601, bytes(8))) == 135
    assert most_bits(Frame(0x601, bytes(8), extended=True)) == 160


def test_as_many_as_the_depth_at_once_and_then_as_many_as_the_bus_carries():
    pace = BusPace(BIT_RATE, depth=4)
    for _ in range(4):
        assert pace.wait_s(FRAME, 10.0) == 0.0
        pace.sent(FRAME, 10.0)
    assert pace.backlog_s(10.0) == pytest.approx(4 * FRAME_S)
    wait_s = pace.wait_s(FRAME, 10.0)
    assert wait_s == pytest.approx(2 * FRAME_S)
    assert pace.wait_s(FRAME, 10.0 + wait_s) == 0.0


def test_what_others_send_takes_its_time_from_us():
    pace = BusPace(BIT_RATE, depth=4)
    for _ in range(4):
        pace.sent(FRAME, 10.0)
    for _ in range(3):
        pace.heard(FRAME)
    assert pace.backlog_s(10.0 + 3 * FRAME_S) == pytest.approx(4 * FRAME_S)


def test_what_was_heard_while_nothing_waited_costs_nothing():
    pace = BusPace(BIT_RATE)
    for _ in range(10):
        pace.heard(FRAME)
    assert pace.backlog_s(5.0) == 0.0


def test_however_busy_the_bus_is_one_is_tried_now_and_then():
    pace = BusPace(BIT_RATE)
    pace.sent(FRAME, 0.0)
    for _ in range(1000):
        pace.heard(FRAME)
    assert 0 < pace.wait_s(FRAME, 0.0) <= 0.1


def test_a_refusal_is_waited_out():
    pace = BusPace(1_000_000)
    pace.refused(1.0)
    assert 0.001 < pace.wait_s(FRAME, 1.0) < 0.01


def test_without_a_bit_rate_it_is_careful():
    pace = BusPace(None)
    pace.sent(FRAME, 0.0)
    assert pace.backlog_s(0.0) == pytest.approx(135 / 125_000)


@given(st.lists(st.tuples(st.sampled_from("hw"), st.floats(0.0, 0.01)), max_size=60))
def test_the_backlog_never_exceeds_the_depth_by_more_than_what_others_sent_since(steps):
    pace, now, heard_s = BusPace(BIT_RATE, depth=4), 0.0, 0.0
    for kind, seconds in steps:
        now += seconds
        if kind == "h":
            pace.heard(FRAME)
            heard_s = FRAME_S
        else:
            heard_s = 0.0
        if pace.wait_s(FRAME, now) == 0.0:
            pace.sent(FRAME, now)
            assert pace.backlog_s(now) <= 4 * FRAME_S + 1e-9
        assert pace.backlog_s(now) <= 4 * FRAME_S + heard_s + 0.1
