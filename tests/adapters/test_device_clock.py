import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.device_clock import DeviceClock, HostClock

EPOCH = 1_700_000_000_000_000_000
US, MS, S = 1_000, 1_000_000, 1_000_000_000
#: gs_usb counts microseconds in 32 bits, SLCAN milliseconds up to a minute.
KINDS = {"gs_usb": (US, 2**32), "slcan": (MS, 60_000)}
kinds = pytest.mark.parametrize("kind", KINDS)


class Adapter:
    """An adapter whose counter stood at ``start`` when the host's clock was at EPOCH, and runs ``ppm`` too fast."""

    def __init__(self, kind, start=0, ppm=0):
        self.tick_ns, self.period = KINDS[kind]
        self.start, self.ppm = start, ppm
        self.clock = DeviceClock(self.tick_ns, self.period)

    def ticks(self, at_ns):
        return (self.start + (at_ns + at_ns * self.ppm // 1_000_000) // self.tick_ns) % self.period

    def event(self, at_ns, delay_ns=0):
        """What the clock makes of an event; nanoseconds since EPOCH."""
        return self.clock.time_ns(self.ticks(at_ns), EPOCH + at_ns + delay_ns) - EPOCH


@kinds
def test_the_first_event_is_when_the_host_learnt_of_it(kind):
    assert Adapter(kind, start=12345).event(0) == 0


@kinds
def test_the_delay_on_the_way_does_not_count(kind):
    adapter = Adapter(kind)
    adapter.event(0)
    for at, delay in ((10 * MS, 3 * MS), (20 * MS, 40 * MS), (30 * MS, 1 * MS)):
        assert adapter.event(at, delay) == pytest.approx(at, abs=20 * US)


@kinds
def test_a_first_event_that_was_late_is_found_out(kind):
    adapter = Adapter(kind)
    adapter.event(0, 100 * MS)
    assert adapter.event(200 * MS) == 200 * MS
    assert adapter.event(300 * MS, 50 * MS) == pytest.approx(300 * MS, abs=50 * US)


@kinds
def test_the_counter_begins_again(kind):
    tick_ns, period = KINDS[kind]
    adapter = Adapter(kind, start=period - 3)
    assert [adapter.event(n * tick_ns) for n in range(8)] == [n * tick_ns for n in range(8)]


@kinds
@pytest.mark.parametrize("periods", [1, 2, 3, 100])
@pytest.mark.parametrize("rest", [0, 1, 0.25, -0.25])
def test_silence_of_several_periods(kind, periods, rest):
    tick_ns, period = KINDS[kind]
    at = int((periods + (rest if abs(rest) < 1 else rest / period)) * period) * tick_ns
    adapter = Adapter(kind, start=777)
    adapter.event(0)
    assert adapter.event(at, 2 * MS) == pytest.approx(at, abs=2 * MS)


@kinds
def test_small_steps_back_do_not_look_like_a_period(kind):
    """An error frame or an echo may carry an older time than the frame before it."""
    tick_ns, _ = KINDS[kind]
    adapter = Adapter(kind, start=1)
    adapter.event(0)
    late = adapter.event(100 * tick_ns, MS)
    assert adapter.event(60 * tick_ns, 41 * tick_ns + MS) == late
    assert adapter.event(130 * tick_ns, MS) == pytest.approx(130 * tick_ns, abs=MS)


@kinds
@pytest.mark.parametrize("ppm", [100, -100])
def test_crystals_drift_for_hours(kind, ppm):
    """The host's clock is the one that counts: 100 ppm are 0.36 s in an hour."""
    adapter = Adapter(kind, ppm=ppm)
    tick_ns = adapter.tick_ns
    for minute in range(6 * 60):
        at = minute * 60 * S
        assert adapter.event(at) == pytest.approx(at, abs=tick_ns + 15 * MS), minute


@kinds
def test_a_counter_that_was_set_back_is_followed(kind):
    """As after a replug: it begins at 0 while the host's clock went on."""
    tick_ns, period = KINDS[kind]
    adapter = Adapter(kind, start=period // 3)
    adapter.event(0)
    adapter.event(10 * S)
    adapter.start = -(10 * S + 500 * MS) // tick_ns
    assert adapter.event(11 * S) == pytest.approx(11 * S, abs=MS)
    assert adapter.event(12 * S) == pytest.approx(12 * S, abs=MS)


def test_an_anchor_tells_the_periods_without_any_frame():
    adapter = Adapter("gs_usb", start=99)
    adapter.clock.anchor(adapter.ticks(0), EPOCH)
    for minutes in range(30, 300, 30):
        adapter.clock.anchor(adapter.ticks(minutes * 60 * S), EPOCH + minutes * 60 * S)
    assert adapter.event(300 * 60 * S, 5 * MS) == pytest.approx(300 * 60 * S, abs=5 * MS)


def test_an_anchor_does_not_move_frames_that_were_on_their_way():
    adapter = Adapter("gs_usb")
    adapter.event(0)
    adapter.clock.anchor(adapter.ticks(10 * MS), EPOCH + 10 * MS)
    assert adapter.event(4 * MS, 7 * MS) == pytest.approx(4 * MS, abs=10 * US)


@kinds
@given(data=st.data())
def test_results_never_go_back_and_are_never_later_than_the_host(kind, data):
    tick_ns, period = KINDS[kind]
    clock = DeviceClock(tick_ns, period)
    host, last = EPOCH, 0
    for ticks, step in data.draw(st.lists(st.tuples(st.integers(0, period - 1), st.integers(0, 100 * S)))):
        host += step
        now = clock.time_ns(ticks, host)
        assert last <= now <= host
        last = now


@kinds
@given(
    start=st.integers(0, 2**32),
    events=st.lists(st.tuples(st.integers(0, 400 * S), st.integers(0, 300 * MS)), min_size=1),
)
def test_events_are_known_within_the_delays_seen(kind, start, events):
    """However long the silences: an event is at most as wrong as the worst delay, and what drift may hide."""
    tick_ns, period = KINDS[kind]
    adapter = Adapter(kind, start=start % period)
    at = arrived = 0
    for silence, delay in events:
        at += silence
        arrived = max(arrived, at + delay)
        seen = adapter.event(at, arrived - at)
        assert abs(seen - at) <= 300 * MS + tick_ns


def test_the_host_clock_is_the_epoch_and_never_goes_back():
    clock = HostClock()
    times = [clock.now_ns() for _ in range(1000)]
    assert times == sorted(times)
    assert abs(times[-1] - time.time_ns()) < S
