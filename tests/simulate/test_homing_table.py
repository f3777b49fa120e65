"""Each homing method of CiA 402 against simulated switches: from wherever the axis starts, it ends where it should.

The limit switches are at -5 and 5 turns, the index pulse a quarter turn after each whole one. The home switch is active
from 1.3 to 3.6; for methods 3, 4, 19 and 20 from 1.3 on, for 5, 6, 21 and 22 up to 1.3. The table says by hand where
each method ends, as the figures of the standard have it, and where it turns first.
"""

import math

import pytest
from drive_bench import BIT_12, BIT_13, REACHED, TURN, DriveBench, servo

LEFT, ON, RIGHT = -3.0, 2.0, 4.6
AT_NEGATIVE, AT_POSITIVE = -5.3, 5.3
MIDDLE, UP, DOWN = (1.3, 3.6), (1.3, math.inf), (-math.inf, 1.3)
OFFSET = 700

#: method: (home switch, where it ends, first direction when the home switch is inactive, and when it is active)
BY_HOME_SWITCH = {
    3: (UP, 1.25, 1, -1),
    4: (UP, 2.25, 1, -1),
    5: (DOWN, 2.25, -1, 1),
    6: (DOWN, 1.25, -1, 1),
    7: (MIDDLE, 1.25, 1, -1),
    8: (MIDDLE, 2.25, 1, -1),
    9: (MIDDLE, 3.25, 1, 1),
    10: (MIDDLE, 4.25, 1, 1),
    11: (MIDDLE, 4.25, -1, 1),
    12: (MIDDLE, 3.25, -1, 1),
    13: (MIDDLE, 2.25, -1, -1),
    14: (MIDDLE, 1.25, -1, -1),
    19: (UP, 1.3, 1, -1),
    20: (UP, 1.3, 1, -1),
    21: (DOWN, 1.3, -1, 1),
    22: (DOWN, 1.3, -1, 1),
    23: (MIDDLE, 1.3, 1, -1),
    24: (MIDDLE, 1.3, 1, -1),
    25: (MIDDLE, 3.6, 1, 1),
    26: (MIDDLE, 3.6, 1, 1),
    27: (MIDDLE, 3.6, -1, 1),
    28: (MIDDLE, 3.6, -1, 1),
    29: (MIDDLE, 1.3, -1, -1),
    30: (MIDDLE, 1.3, -1, -1),
}
#: method: (where it ends, first direction off the switch, and on it)
BY_LIMIT_SWITCH = {1: (-4.75, -1, 1), 2: (4.25, 1, -1), 17: (-5.0, -1, 1), 18: (5.0, 1, -1)}
STARTS = [LEFT, ON, RIGHT, AT_NEGATIVE, AT_POSITIVE]


def bench_at(start, method, home_range=MIDDLE, **more):
    def before(node):
        node.motor.position = start
        node.switches.home_range, node.switches.index = home_range, 0.25
        node.switches.stop_motion = True

    bench = DriveBench(servo(**more), before).enable(6)
    bench.set(_6098=method, _607C=OFFSET, _6099_1=8 * TURN, _6099_2=TURN, _609A=100 * TURN, _6065=0)
    return bench


def first_direction(bench):
    """Begin, and see which way the shaft goes."""
    start = bench.node.motor.position
    bench.write(0x6040, 0x1F)
    bench.until(lambda: abs(bench.node.motor.position - start) > 0.01, 2.0, 0.001)
    return 1 if bench.node.motor.position > start else -1


def check_end(bench, expected):
    bench.until(lambda: bench.word & (BIT_12 | BIT_13), 30)
    assert bench.word & (REACHED | BIT_12 | BIT_13) == REACHED | BIT_12
    bench.run(0.2)
    assert bench.node.motor.position == pytest.approx(expected, abs=0.003)
    assert abs(bench.read(0x6064) - OFFSET) <= 8 and abs(bench.read(0x6062) - OFFSET) <= 1
    assert bench.node.motor.velocity == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("method", BY_HOME_SWITCH)
def test_by_home_switch(method, start):
    switch, end, inactive, active = BY_HOME_SWITCH[method]
    on_switch = switch[0] <= start < switch[1]
    bench = bench_at(start, method, switch)
    assert first_direction(bench) == expected_first(method, start, active if on_switch else inactive, on_switch)
    check_end(bench, end)


def expected_first(method, start, wanted, on_switch):
    """At the limit switch that a method would go to, it turns round at once."""
    if not on_switch and method not in (3, 4, 5, 6, 19, 20, 21, 22):
        if start == AT_POSITIVE and wanted > 0:
            return -1
        if start == AT_NEGATIVE and wanted < 0:
            return 1
    return wanted


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("method", BY_LIMIT_SWITCH)
def test_by_limit_switch(method, start):
    end, off, on = BY_LIMIT_SWITCH[method]
    there = start == (AT_NEGATIVE if off < 0 else AT_POSITIVE)
    bench = bench_at(start, method)
    assert first_direction(bench) == (on if there else off)
    check_end(bench, end)


@pytest.mark.parametrize(
    ("method", "start", "end"), [(33, 0.5, 0.25), (34, 0.5, 1.25), (33, -0.5, -0.75), (34, 2.3, 3.25)]
)
def test_by_index_pulse(method, start, end):
    bench = bench_at(start, method)
    assert first_direction(bench) == (1 if end > start else -1)
    check_end(bench, end)


@pytest.mark.parametrize("method", [35, 37])
def test_where_it_is(method):
    bench = bench_at(-1.7, method)
    bench.write(0x6040, 0x1F)
    check_end(bench, -1.7)


@pytest.mark.parametrize(("method", "end"), [(-1, -2.6), (-2, 2.6), (-3, -1.75), (-4, 2.25)])
@pytest.mark.parametrize("start", [-2.6, 0.4, 2.6])
def test_on_a_hard_stop_by_current(method, end, start):
    bench = bench_at(start, method)
    bench.node.motor.stops = (-2.6, 2.6)
    bench.write(0x6040, 0x1F)
    check_end(bench, end)
    assert bench.read(0x6078) < 1000, "nothing presses any more"


@pytest.mark.parametrize("method", [15, 16, 31, 32, 36, 38, -5])
def test_what_is_no_method_is_a_homing_error(method):
    bench = bench_at(0.0, method)
    bench.control(0x1F)
    bench.run(0.2)
    assert bench.word & (REACHED | BIT_12 | BIT_13) == REACHED | BIT_13
    assert bench.node.motor.position == pytest.approx(0.0, abs=0.001)


def test_a_switch_that_is_not_there_is_a_homing_error():
    bench = bench_at(0.0, 7, (20.0, 21.0))
    bench.write(0x6040, 0x1F)
    bench.until(lambda: bench.word & BIT_13, 10)
    assert not bench.word & BIT_12
    bench = bench_at(0.0, 19, (20.0, 21.0))
    bench.write(0x6040, 0x1F)
    bench.until(lambda: bench.word & BIT_13, 10)
    assert bench.node.motor.position == pytest.approx(5.0, abs=0.5), "methods 3..6 do not turn round"


def test_60e3_lists_the_methods_and_others_are_refused():
    bench = bench_at(0.0, 37, defaults={(0x60E3, 0): 2, (0x60E3, 1): 37, (0x60E3, 2): 17})
    assert bench.write(0x6098, 18) == "06090030" and bench.read(0x6098) == 37
    assert bench.write(0x6098, 17) == "ok" and bench.write(0x6098, 0) == "ok"


def test_a_halt_interrupts_and_clearing_bit_4_ends_the_search():
    bench = bench_at(-3.0, 18)
    bench.write(0x6040, 0x1F)
    bench.run(0.3)
    assert not bench.word & (REACHED | BIT_12)
    bench.control(0x11F)
    bench.run(0.3)
    assert bench.word & (REACHED | BIT_12 | BIT_13) == REACHED and bench.node.motor.velocity == pytest.approx(
        0, abs=0.02
    )
    bench.control(0x1F)
    assert not bench.word & REACHED
    bench.control(0x0F)
    bench.run(0.5)
    assert bench.word & (REACHED | BIT_12 | BIT_13) == REACHED
    assert bench.node.motor.position < 4.9


def test_homing_speed_does_not_decide_where_it_ends():
    ends = []
    for fast, slow in ((2, 0.2), (30, 4)):
        bench = bench_at(-3.0, 26)
        bench.set(_6099_1=int(fast * TURN), _6099_2=int(slow * TURN))
        bench.write(0x6040, 0x1F)
        bench.until_bits(BIT_12, 30)
        bench.run(0.2)
        ends.append(bench.node.motor.position)
    assert ends == pytest.approx([3.6, 3.6], abs=0.003)
