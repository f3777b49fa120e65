"""Trajectories: limits are kept, the end is met exactly, nothing jumps, and axes in step end together."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.trajectory import (
    Chain,
    Shifted,
    extent,
    hold,
    move,
    ramp,
    s_curve,
    slope,
    synchronised,
    trapezoid,
)

positions = st.integers(-(10**9), 10**9).map(lambda count: count / 1000)
limits = st.floats(1.0, 1e6)
jerks = st.none() | st.floats(1.0, 1e7)
parts = st.floats(-1.0, 1.0)
#: Between two looks, relative to the whole.
LOOKS = 400


def looks(trajectory):
    return [trajectory.at(trajectory.duration_s * count / LOOKS) for count in range(LOOKS + 1)]


@given(positions, positions, limits, limits, limits, jerks, parts, parts)
def test_limits_are_never_exceeded_and_the_end_is_exact(start, end, velocity, up, down, jerk, first, last):
    v0, v1 = first * velocity, last * velocity
    made = move(
        start,
        end,
        velocity=velocity,
        acceleration=up,
        deceleration=down,
        jerk=jerk,
        start_velocity=v0,
        end_velocity=v1,
    )
    assert made.at(0.0)[:2] == (start, v0)
    assert made.at(made.duration_s)[:2] == (end, v1)
    assert made.at(made.duration_s + 1)[:2] == (end, v1)
    for point in looks(made):
        assert abs(point.velocity) <= velocity * (1 + 1e-9) + 1e-9
        assert abs(point.acceleration) <= max(up, down) * (1 + 1e-9)


@given(positions, positions, limits, limits, jerks, parts, parts)
def test_nothing_jumps(start, end, velocity, acceleration, jerk, first, last):
    made = move(
        start,
        end,
        velocity=velocity,
        acceleration=acceleration,
        jerk=jerk,
        start_velocity=first * velocity,
        end_velocity=last * velocity,
    )
    step = made.duration_s / LOOKS
    slack = 1e-6 * max(abs(start), abs(end), 1.0)
    points = looks(made)
    for before, after in pairwise(points):
        assert abs(after.position - before.position) <= velocity * step * (1 + 1e-6) + slack
        assert abs(after.velocity - before.velocity) <= acceleration * step * (1 + 1e-6) + 1e-6 * velocity + 1e-9
        if jerk is not None:
            bound = jerk * step * (1 + 1e-6) + 1e-6 * acceleration + 1e-9
            assert abs(after.acceleration - before.acceleration) <= bound


@given(positions, positions, limits, limits, jerks)
def test_from_rest_to_rest_it_never_turns_back(start, end, velocity, acceleration, jerk):
    made = move(start, end, velocity=velocity, acceleration=acceleration, jerk=jerk)
    sign = math.copysign(1.0, end - start)
    slack = 1e-9 * max(abs(start), abs(end), 1.0)
    for point in looks(made):
        assert sign * point.velocity >= -1e-9 * velocity
        assert min(start, end) - slack <= point.position <= max(start, end) + slack


def test_the_durations_are_those_of_the_textbook():
    assert trapezoid(0, 100, 10, 5).duration_s == pytest.approx(100 / 10 + 10 / 5)
    assert trapezoid(0, 5, 10, 5).duration_s == pytest.approx(2.0)  # a triangle
    assert s_curve(0, 100, 10, 5, 10).duration_s == pytest.approx(100 / 10 + 10 / 5 + 5 / 10)
    assert s_curve(0, 2, 1e9, 1e9, 1).duration_s == pytest.approx(4 * 1 ** (1 / 3))  # four parts of one jerk
    assert trapezoid(3, 3, 1, 1).duration_s == pytest.approx(0.0, abs=1e-9)


def test_it_goes_as_fast_as_it_may():
    assert trapezoid(0, 100, 10, 5).at(5.0).velocity == pytest.approx(10)
    assert extent(s_curve(0, 100, 10, 5, 10)).acceleration == pytest.approx(5, rel=1e-3)


def test_braking_comes_first_where_it_begins_in_the_wrong_direction():
    made = move(0, 10, velocity=5, acceleration=2, start_velocity=-4)
    assert extent(made).lowest == pytest.approx(-4, rel=1e-3)
    assert made.at(made.duration_s).position == 10


@pytest.mark.parametrize("wrong", [{"velocity": 0}, {"acceleration": -1}, {"jerk": 0}, {"deceleration": math.inf}])
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="is not positive"):
        move(0, 1, **{"velocity": 1, "acceleration": 1, **wrong})


def test_an_end_beyond_the_limit_is_refused():
    with pytest.raises(ValueError, match="faster"):
        move(0, 1, velocity=1, acceleration=1, end_velocity=2)
    with pytest.raises(ValueError, match="no place"):
        move(0, math.nan, velocity=1, acceleration=1)


@given(positions, positions, limits, jerks)
def test_a_velocity_ramp_keeps_its_limits(before, after, acceleration, jerk):
    made = ramp(before, after, acceleration=acceleration, jerk=jerk, hold_s=0.1)
    assert made.at(0.0).velocity == before
    assert made.at(made.duration_s).velocity == after
    for point in looks(made):
        assert abs(point.acceleration) <= acceleration * (1 + 1e-9)
        assert min(before, after) - 1 <= point.velocity <= max(before, after) + 1


def test_a_slope_of_a_torque():
    made = slope(0, 300, rate=1000, hold_s=0.2)
    assert made.duration_s == pytest.approx(0.5)
    assert made.at(0.15).position == pytest.approx(150)
    assert made.at(0.4) == (300, 0, 0)


def test_a_chain_goes_from_one_to_the_next():
    there = trapezoid(0, 100, 50, 100)
    chain = Chain([there, hold(100, 0.5), trapezoid(100, 0, 50, 100)])
    assert chain.duration_s == pytest.approx(2 * there.duration_s + 0.5)
    assert chain.at(there.duration_s + 0.25).position == 100
    assert chain.at(chain.duration_s).position == 0
    assert chain.at(chain.duration_s + 9).position == 0
    with pytest.raises(ValueError, match="do not meet"):
        Chain([there, trapezoid(0, 100, 50, 100)])


@given(st.lists(st.tuples(positions, positions, limits, limits), min_size=2, max_size=4))
def test_axes_in_step_end_together_and_keep_their_limits(axes):
    single = [trapezoid(start, end, v, a) for start, end, v, a in axes]
    together = synchronised(single)
    assert {each.duration_s for each in together} == {max(each.duration_s for each in single)}
    for (start, end, v, a), each in zip(axes, together, strict=True):
        assert each.at(0.0).position == start
        assert each.at(each.duration_s).position == end
        found = extent(each, LOOKS)
        assert found.velocity <= v * (1 + 1e-9)
        assert found.acceleration <= a * (1 + 1e-9)


def test_only_what_rests_at_both_ends_can_be_stretched():
    with pytest.raises(ValueError, match="rest to rest"):
        synchronised([move(0, 10, velocity=5, acceleration=5, end_velocity=1), trapezoid(0, 100, 1, 1)])


def test_shifted_is_the_same_way_from_elsewhere():
    there = trapezoid(0, 100, 50, 100)
    moved = Shifted(there, 1000)
    assert moved.at(1.0) == (there.at(1.0).position + 1000, *there.at(1.0)[1:])


def test_extent_refuses_what_is_no_number():
    class Broken:
        duration_s = 1.0

        def at(self, time_s):
            return trapezoid(0, 1, 1, 1).at(time_s)._replace(position=math.nan)

    with pytest.raises(ValueError, match="no numbers"):
        extent(Broken())
