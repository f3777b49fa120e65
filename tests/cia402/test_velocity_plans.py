"""opendiag.cia402.velocity_plans and torque_plans: reached, when, and what keeps them from it."""

import pytest
from motion_world import KINDS, Bench, S

from opendiag.cia402 import power, torque_plans, velocity_plans
from opendiag.errors import LimitReached, MotionFailed, MotionTimeout, OutsideLimits

TURN = 4096


def units(bench, turns_s=3.0, turns_s2=20.0):
    return (
        (round(turns_s * 6000), round(turns_s2 * 60))
        if bench.stepim
        else (round(turns_s * TURN), round(turns_s2 * TURN))
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turns_s", [0.5, -3, 8])
def test_a_velocity_is_reached_in_the_time_of_its_ramp(kind, turns_s):
    with Bench(kind) as bench:
        velocity, acceleration = units(bench, turns_s)
        began = bench.now
        bench.run(velocity_plans.run(bench.link, velocity, acceleration=acceleration, deceleration=acceleration))
        took = bench.now - began
        assert 0.8 * abs(turns_s) / 20 <= took <= abs(turns_s) / 20 + 0.2
        assert bench.speed == pytest.approx(turns_s, rel=0.1)
        assert bench.run(velocity_plans.run(bench.link, velocity)) == pytest.approx(velocity, rel=0.2)
        assert abs(bench.run(velocity_plans.stop(bench.link))) < abs(velocity) / 2
        bench.network.sleep(0.1)
        assert abs(bench.speed) < 0.02 and bench.state is S.OPERATION_ENABLED
        assert bench.controlwords() == []


def test_a_stale_target_reached_is_not_believed():
    with Bench() as bench:
        bench.run(velocity_plans.stop(bench.link))
        bench.shows(lambda word: word | 0x400)
        velocity, acceleration = units(bench, 5, 10)
        bench.run(velocity_plans.run(bench.link, velocity, acceleration=acceleration))
        assert bench.speed == pytest.approx(5, rel=0.1)


def test_for_a_time():
    with Bench() as bench:
        velocity, _ = units(bench)
        began = bench.now
        bench.run(velocity_plans.run_for(bench.link, velocity, 1.0))
        assert bench.position == pytest.approx(3 * TURN, rel=0.2) and 1.0 <= bench.now - began < 1.6
        assert abs(bench.speed) < 0.1


def test_what_is_outside_of_the_limits():
    with Bench("servo") as bench:
        assert bench.read(0x6080) == 6000
        bench.drain()
        with pytest.raises(OutsideLimits, match=r"6080h \(6000 rpm\)"):
            bench.run(velocity_plans.run(bench.link, 101 * TURN))
        bench.run(velocity_plans.run(bench.link, 5 * TURN))
        with pytest.raises(OutsideLimits):
            bench.run(velocity_plans.run(bench.link, 0, acceleration=1 << 32))
        bench.network.sleep(0.2)
        assert bench.speed == pytest.approx(5, rel=0.05), "what was refused changed nothing"


def test_a_shaft_that_is_held():
    with Bench() as bench:
        bench.drive.motor.held = True
        with pytest.raises(MotionTimeout, match="nothing has moved for 2 s") as caught:
            bench.run(velocity_plans.run(bench.link, 6000))
        assert caught.value.at_rest and bench.at_rest


def test_slippage_and_time_out():
    with Bench() as bench:
        bench.shows(lambda word: word | 0x2000)
        with pytest.raises(MotionFailed, match="maximum slippage") as caught:
            bench.run(velocity_plans.run(bench.link, 6000))
        assert caught.value.at_rest
    with Bench() as bench:
        with pytest.raises(MotionTimeout, match=r"within 0\.2 s") as caught:
            bench.run(velocity_plans.run(bench.link, 20_000, acceleration=60, timeout_s=0.2))
        assert caught.value.at_rest and bench.at_rest


def test_a_limit_switch():
    with Bench() as bench:
        bench.drive.switches.positive, bench.drive.switches.stop_motion = 1.0, True
        with pytest.raises(LimitReached, match="positive limit switch") as caught:
            bench.run(velocity_plans.run_for(bench.link, 6000, 10.0))
        assert caught.value.at_rest and bench.at_rest


def test_halt_by_another_master():
    with Bench() as bench:
        running = bench.begin(velocity_plans.run(bench.link, 30_000, acceleration=200), 0.2)
        bench.write(0x6040, 0x10F)
        with pytest.raises(MotionFailed, match="somebody else has set halt") as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest


# --- torque -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_torque_over_a_slope(kind):
    """A StepIM has no 6087h: there the ramp is made in steps."""
    with Bench(kind) as bench:
        torque = 300 if bench.stepim else 100
        bench.drive.motor.held = True
        began = bench.now
        shown = bench.run(torque_plans.apply(bench.link, torque, slope=torque * 2))
        assert shown == pytest.approx(torque, rel=0.03) and 0.4 <= bench.now - began <= 0.7
        bench.network.sleep(0.02)
        assert bench.drive.motor.current == pytest.approx(0.3, rel=0.05)
        steps = [value for index, value in bench.wire() if index == 0x6071]
        assert steps == sorted(steps) and (len(steps) > 50) is bench.stepim and steps[-1] == torque
        bench.run(torque_plans.apply(bench.link, 0, slope=torque * 4))
        bench.network.sleep(0.02)
        assert abs(bench.drive.motor.current) < 0.02


def test_a_torque_without_slope_is_there_at_once():
    with Bench() as bench:
        bench.drive.motor.held = True
        began = bench.now
        bench.run(torque_plans.apply(bench.link, -400))
        assert bench.now - began < 0.2 and bench.drive.motor.current == pytest.approx(-0.4, rel=0.1)
        assert bench.run(torque_plans.apply(bench.link, 100, wait=False)) == 100


@pytest.mark.parametrize(("kind", "torque", "whose"), [("stepim", 4501, "6073h"), ("servo", -1501, "6072h")])
def test_torque_outside_of_the_limits(kind, torque, whose):
    with Bench(kind) as bench:
        with pytest.raises(OutsideLimits, match=whose):
            bench.run(torque_plans.apply(bench.link, torque))
        with pytest.raises(OutsideLimits, match="slope"):
            bench.run(torque_plans.apply(bench.link, 1, slope=0))
        assert bench.controlwords() == [] and bench.state is S.OPERATION_ENABLED


def test_a_torque_that_does_not_come():
    with Bench() as bench:
        bench.drive.store.on_read(0x6074, 0, lambda now: bytes(2))
        with pytest.raises(MotionTimeout, match=r"torque demand \(6074h\) is 0") as caught:
            bench.run(torque_plans.apply(bench.link, 300))
        assert caught.value.at_rest and bench.at_rest


def test_halt_during_torque():
    with Bench() as bench:
        bench.drive.motor.held = True
        bench.run(torque_plans.apply(bench.link, 200))
        bench.run(power.halt(bench.link))
        with pytest.raises(MotionFailed, match="halt is set"):
            bench.run(torque_plans.apply(bench.link, 300))


def test_a_halt_in_the_middle_does_not_leave_a_velocity_behind():
    """Who clears it later would let the shaft turn on."""
    with Bench() as bench:
        velocity, _ = units(bench)
        running = bench.begin(velocity_plans.run_for(bench.link, velocity, 1.0), 0.6)
        assert bench.speed > 1
        bench.run(power.halt(bench.link))
        with pytest.raises(MotionFailed, match="halt is set") as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest
