"""The motor model: plausible physics, the same whoever looks, and nothing that runs away."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.simulate.motor import STEP_S, Motor, MotorData


def run(motor, seconds, control=None):
    motor.control = control
    motor.advance(seconds)
    return motor


def test_current_follows_its_command_in_milliseconds():
    motor = Motor()
    motor.held = True
    run(motor, 0.01, lambda: 2.0)
    assert motor.current == pytest.approx(2.0, rel=0.01)
    assert motor.velocity == 0.0


def test_torque_accelerates_the_inertia():
    data = replace(MotorData(), dry_friction=0.0, viscous_friction=0.0)
    motor = run(Motor(data), 0.05, lambda: 1.0)
    expected = data.torque_per_a * 1.0 / data.inertia / (2 * math.pi) * 0.05
    assert motor.velocity == pytest.approx(expected, rel=0.05)


def test_dry_friction_holds_a_small_torque_and_stops_a_coasting_shaft():
    data = MotorData()
    still = run(Motor(), 1.0, lambda: 0.5 * data.dry_friction / data.torque_per_a)
    assert still.position == 0.0
    motor = run(Motor(), 0.2, lambda: 2.0)
    assert motor.velocity > 5
    motor.control = None
    motor.advance(30.0)
    assert motor.velocity == 0.0


def test_back_emf_limits_the_speed():
    data = MotorData()
    motor = run(Motor(), 5.0, lambda: 12.0)
    assert 0.5 * 48 < motor.velocity * 2 * math.pi * data.torque_per_a < 48


def test_power_makes_the_bus_sag_and_braking_lifts_it():
    motor = run(Motor(), 0.015, lambda: 6.0)
    assert motor.bus < 47.5
    fast = motor.velocity
    motor.control = lambda: -1.0
    motor.advance(0.05)
    assert motor.velocity < fast and motor.bus > 48.0


def test_the_square_of_the_current_warms():
    cold = run(Motor(), 60.0, lambda: 0.0).temperature
    motor = Motor()
    motor.held = True
    warm = run(motor, 60.0, lambda: 3.0).temperature
    motor = Motor()
    motor.held = True
    hot = run(motor, 60.0, lambda: 6.0).temperature
    assert hot - cold == pytest.approx(4 * (warm - cold), rel=0.05)


def test_a_long_rest_costs_nothing_and_cools_down():
    motor = Motor()
    motor.temperature = 80.0
    motor.advance(24 * 3600.0)
    assert motor.temperature == pytest.approx(25 + 3.2 * 3.0, abs=0.1)
    assert motor.steps == round(24 * 3600 / STEP_S)


def test_a_hard_stop_is_one():
    motor = Motor()
    motor.stops = (-0.5, 0.5)
    run(motor, 2.0, lambda: 1.0)
    assert motor.position == 0.5 and motor.velocity == 0.0 and motor.touches_stop


def test_no_bus_no_current():
    motor = Motor()
    motor.supply = motor.bus = 0.0
    run(motor, 0.1, lambda: 5.0)
    assert motor.current == 0.0 and motor.bus == 0.0


@settings(max_examples=25)
@given(st.lists(st.floats(0.0001, 0.05), min_size=1, max_size=30))
def test_how_often_one_looks_changes_nothing(pauses):
    seldom, often = Motor(seed=3), Motor(seed=3)
    seldom.control = often.control = lambda: 1.5
    now = 0.0
    for pause in pauses:
        now += pause
        often.advance(now)
    seldom.advance(now)
    assert (seldom.position, seldom.velocity, seldom.bus) == (often.position, often.velocity, often.bus)
    assert seldom.noise(1, 1.0) == often.noise(1, 1.0)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0.001, 0.1), st.floats(-1e6, 1e6), st.floats(0, 60)), max_size=20), st.booleans())
def test_whatever_is_commanded_stays_finite_and_bounded(plan, held):
    motor = Motor()
    motor.held = held
    now = 0.0
    for pause, amperes, supply in plan:
        motor.control = lambda amperes=amperes: amperes
        motor.supply = supply
        now += pause
        motor.advance(now)
        assert all(math.isfinite(x) for x in (motor.position, motor.velocity, motor.temperature))
        assert abs(motor.current) <= 12.0 and 0.0 <= motor.bus <= 60.0 and abs(motor.velocity) < 120
        assert 20 < motor.temperature < 600


def test_noise_is_seeded_centred_and_bounded():
    first, second, other = Motor(seed=1), Motor(seed=1), Motor(seed=2)
    samples = []
    for step in range(1, 4000):
        for motor in (first, second, other):
            motor.advance(step * STEP_S)
        samples.append(first.noise(0, 1.0))
        assert first.noise(0, 1.0) == second.noise(0, 1.0)
    assert other.noise(0, 1.0) != first.noise(0, 1.0) or other.noise(1, 1.0) != first.noise(1, 1.0)
    mean = sum(samples) / len(samples)
    spread = math.sqrt(sum((x - mean) ** 2 for x in samples) / len(samples))
    assert abs(mean) < 0.1 and spread == pytest.approx(1.0, abs=0.1) and max(map(abs, samples)) < 3.5
