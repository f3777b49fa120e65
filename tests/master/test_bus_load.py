"""How busy a bus is: against the simulated bus, which knows it to the bit, and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.frame import Frame
from opendiag.master.bus_load import BusLoad, bits_on_bus
from opendiag.simulate.bits import wire_bits
from opendiag.simulate.bus import SimBus

FRAME = Frame(0x185, bytes(range(8)))
BITS = len(wire_bits(FRAME)) + 3


def fed(*times: float, bit_rate: int | None = 125_000, start: float = 0.0) -> BusLoad:
    load = BusLoad(bit_rate, start)
    for at in times:
        load.received(FRAME, at)
    return load


@given(st.integers(0, 0x7FF), st.binary(max_size=8))
def test_a_classic_frame_has_the_bits_of_the_wire(can_id, data):
    frame = Frame(can_id, data)
    assert bits_on_bus(frame) == len(wire_bits(frame)) + 3


@pytest.mark.parametrize(
    ("frame", "least", "most"),
    [
        (Frame(0x123, bytes(64), fd=True), 64 * 8 + 30, 64 * 8 * 1.25 + 90),
        (Frame(0x123, fd=True), 45, 80),
        (Frame(0x123, extended=True, fd=True), 60, 100),
    ],
)
def test_a_can_fd_frame_is_estimated(frame, least, most):
    assert least <= bits_on_bus(frame) <= most


def test_load_of_a_steady_bus():
    load = fed(*(n * 0.002 for n in range(2000)))
    expected = 500 * BITS / 125_000
    assert load.load(4.0) == pytest.approx(expected, rel=0.01)
    assert load.peak(4.0) == pytest.approx(expected, rel=0.01)
    assert load.frames_per_s(4.0) == pytest.approx(500, rel=0.01)
    assert load.frames == 2000


def test_a_burst_slides_out_and_stays_the_peak():
    load = fed(*(2 + n / 1000 for n in range(500)))
    half = 500 * BITS / 125_000
    assert load.load(2.6) == pytest.approx(half, rel=0.02)
    assert load.load(3.8) == 0.0
    assert load.load(9.0) == 0.0
    assert load.peak(9.0) == pytest.approx(half)
    assert load.frames_per_s(9.0) == 0.0


def test_a_burst_in_the_first_second_counts_as_one_second():
    """What was on the bus in 100 ms is no second at ten times the load."""
    load = fed(*(n / 1000 for n in range(100)))
    assert load.peak(5.0) == pytest.approx(100 * BITS / 125_000)


def test_before_the_first_second_is_over_the_time_so_far_counts():
    load = fed(*(10 + n / 1000 for n in range(200)), start=10.0)
    assert load.load(10.2) == pytest.approx(1000 * BITS / 125_000, rel=0.02)
    assert load.load(10.01) is None
    assert fed(start=10.0).load(10.0) is None


def test_load_is_never_more_than_all():
    load = fed(*(n / 1000 for n in range(3000)), bit_rate=10_000)
    assert load.load(3.0) == 1.0
    assert load.peak(3.0) == 1.0


def test_without_a_bit_rate_there_are_frames_only():
    load = fed(*(n / 100 for n in range(300)), bit_rate=None)
    assert load.load(3.0) is None
    assert load.peak(3.0) is None
    assert load.frames_per_s(3.0) == pytest.approx(100, rel=0.02)


def test_error_frames_are_counted_apart():
    load = BusLoad(500_000, 0.0)
    for n in range(30):
        load.received(Frame(0x8, bytes(8), error=True), 2 + n / 100)
    assert load.errors == 30
    assert load.errors_per_s(2.5) == pytest.approx(30, rel=0.02)
    assert load.errors_per_s(4.0) == 0.0
    assert (load.frames, load.load(2.5)) == (0, 0.0)


def test_own_frames_count_once():
    load = BusLoad(500_000, 0.0)
    load.sent(FRAME, 0.5)
    load.received(Frame(FRAME.can_id, FRAME.data, direction="tx"), 0.5)
    load.send_failed(FRAME, "queue full", 0.5)
    assert load.frames == 1


def test_the_simulated_bus_agrees():
    bus = SimBus(125_000)
    sender, listener = bus.attach(name="sender"), bus.attach(name="listener")
    load = BusLoad(125_000, 0.0)
    now = 0.0
    for n in range(400):
        sender.send(Frame(0x181 + n % 8, n.to_bytes(8, "little")))
        now += 0.005
        bus.run_until(now)
        for frame in listener.receive():
            load.received(frame, now)
    statistics = bus.statistics()
    assert load.frames == statistics.frames == 400
    assert load.load(now) == pytest.approx(statistics.load_last_second, rel=0.02)
