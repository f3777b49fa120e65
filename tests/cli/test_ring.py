"""Every frame near a trigger comes out, once and in order, and no other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cli.ring import Ring
from opendiag.frame import Frame

NS = 10**9


def at(seconds: float, can_id: int = 0x80) -> Frame:
    return Frame(can_id, time_ns=round(seconds * NS))


def run(ring: Ring, steps: list[tuple[Frame, bool]]) -> list[Frame]:
    out: list[Frame] = []
    for frame, triggered in steps:
        out += ring.add(frame)
        if triggered:
            out += ring.fire()
    return out


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 2 * 10**9),
)
def test_what_comes_out_is_what_lies_near_a_trigger(
    pauses: list[tuple[int, bool]], pre: int, post: int, start: int
) -> None:
    now, steps = start, []
    for number, (pause, triggered) in enumerate(pauses):
        now += pause
        steps.append((at(now, number), triggered))
    ring = Ring(pre, post)
    out = run(ring, steps)
    fired = [(place, frame.time_ns) for place, (frame, triggered) in enumerate(steps) if triggered]
    expected = [
        frame
        for place, (frame, _) in enumerate(steps)
        if any(
            (place <= k and t - pre * NS <= frame.time_ns) or (place > k and frame.time_ns <= t + post * NS)
            for k, t in fired
        )
    ]
    assert out == expected
    assert (ring.seen, ring.written, ring.triggers, ring.cut) == (len(steps), len(out), len(fired), 0)


def test_one_trigger() -> None:
    ring = Ring(2, 3)
    out = run(ring, [(at(t), t == 10) for t in range(20)])
    assert [frame.time_ns // NS for frame in out] == [8, 9, 10, 11, 12, 13]
    assert not ring.recording


def test_a_trigger_within_the_window_extends_it() -> None:
    ring = Ring(2, 3)
    out = run(ring, [(at(t), t in (10, 12)) for t in range(20)])
    assert [frame.time_ns // NS for frame in out] == [8, 9, 10, 11, 12, 13, 14, 15]
    assert (ring.triggers, ring.windows) == (2, 1)


def test_a_trigger_soon_after_the_window_repeats_nothing() -> None:
    ring = Ring(5, 2)
    out = run(ring, [(at(t), t in (5, 9)) for t in range(20)])
    assert [frame.time_ns // NS for frame in out] == list(range(12))
    assert (ring.triggers, ring.windows) == (2, 2)


def test_memory_is_bounded_and_the_loss_is_counted() -> None:
    ring = Ring(1000, 0, max_frames=3)
    out = run(ring, [(at(t), t == 9) for t in range(10)])
    assert [frame.time_ns // NS for frame in out] == [7, 8, 9]
    assert ring.cut == 7


def test_silence_ends_a_window() -> None:
    ring = Ring(1, 5)
    run(ring, [(at(10), True)])
    ring.advance(15 * NS)
    assert ring.recording
    ring.advance(15 * NS + 1)
    assert not ring.recording
    assert ring.add(at(15.1)) == []


def test_frames_without_a_time() -> None:
    ring = Ring(1, 1)
    bare = Frame(0x123)
    out = run(ring, [(bare, False), (at(10), False), (bare, True), (bare, False), (at(11.5), False), (bare, False)])
    assert out == [bare, at(10), bare, bare]
    ring = Ring(0, 0)
    assert run(ring, [(bare, False)] * 3 + [(bare, True)]) == [bare] * 4, "no time at all: nothing is too old"


def test_frames_out_of_order_by_a_little() -> None:
    ring = Ring(1, 1)
    out = run(ring, [(at(10), False), (at(9.5), False), (at(10.2), True), (at(9.9), False), (at(11.2), False)])
    assert len(out) == 5
    for _ in range(1000):  # the ring's own time must not drift
        assert ring.add(at(11.1)) == [at(11.1)]
        assert ring.add(at(11.2)) == [at(11.2)]
    assert ring.recording


def test_a_clock_that_is_set_back() -> None:
    ring = Ring(2, 3)
    steps = [(at(5000), False), (at(5001), False), (at(100), False), (at(101), True), (at(104), False)]
    assert run(ring, steps) == [frame for frame, _ in steps]
    assert ring.add(at(104.1)) == [], "the window ends by the new clock"


@pytest.mark.parametrize("seconds", [(-1, 0), (0, -0.1), (math.nan, 0), (0, math.inf)])
def test_impossible_seconds(seconds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Ring(*seconds)


def test_an_impossible_size() -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        Ring(1, 1, max_frames=0)
