"""opendiag.cia402.jog: the shaft moves while the key is pressed, and no longer."""

import pytest
from motion_world import KINDS, Bench, S

from opendiag.cia402.jog import can_jog_by_velocity, jog
from opendiag.errors import LimitReached, MotionFailed, MotionTimeout, OutsideLimits
from opendiag.services.plans import Sleep

TURN = 4096
STEPS = pytest.mark.parametrize("step", [None, TURN // 2])


def speed(bench, turns_s=2.0):
    return round(turns_s * (6000 if bench.stepim else TURN))


def pressed(bench, seconds):
    end = bench.now + seconds
    return lambda: bench.now < end


@STEPS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turns_s", [2, -2])
def test_it_moves_while_the_key_is_pressed_then_stops_and_disables(kind, step, turns_s):
    with Bench(kind) as bench:
        running = bench.begin(jog(bench.link, speed(bench, turns_s), pressed(bench, 1.0), step=step), 0.6)
        assert bench.speed == pytest.approx(turns_s, rel=0.25) and bench.state is S.OPERATION_ENABLED
        shown = bench.end(running)
        assert bench.state is S.SWITCH_ON_DISABLED and abs(bench.speed) < 0.02
        assert shown == pytest.approx(turns_s * TURN, rel=0.3)
        assert not bench.link.permitted and not bench.link.controlword & 0x110
        here = bench.position
        bench.network.sleep(1.0)
        assert abs(bench.position - here) < 5


@STEPS
def test_a_key_that_is_not_pressed_moves_nothing(step):
    with Bench() as bench:
        bench.run(jog(bench.link, speed(bench), lambda: False, step=step))
        assert abs(bench.position) < 5 and bench.state is S.SWITCH_ON_DISABLED


@STEPS
def test_a_key_whose_question_fails(step):
    with Bench() as bench:
        looks = iter(range(50))
        with pytest.raises(ZeroDivisionError):
            bench.run(jog(bench.link, speed(bench), lambda: bool(1 / (49 - next(looks))), step=step))
        assert bench.at_rest


@STEPS
def test_a_question_that_comes_late_counts_as_no(step):
    """The bus was blocked for a while: nobody could have let the key go."""
    with Bench() as bench:
        asked = []

        def watch(link):
            if len(asked) == 50:
                yield Sleep(0.3)

        def key():
            asked.append(bench.now)
            return True

        bench.run(jog(bench.link, speed(bench), key, step=step, watch=watch))
        assert len(asked) == 50 and bench.state is S.SWITCH_ON_DISABLED and bench.at_rest


def test_by_steps_a_dead_master_leaves_one_step_to_go():
    with Bench() as bench:
        running = bench.begin(jog(bench.link, speed(bench), lambda: True, step=TURN), 1.0)
        running.abandon()
        here = bench.position
        bench.network.sleep(3.0)
        assert abs(bench.speed) < 0.02 and here < bench.position <= here + TURN + 50


def test_outside_limits():
    with Bench() as bench:
        bench.drive.store.set(0x607D, 2, TURN)
        with pytest.raises(OutsideLimits) as caught:
            bench.run(jog(bench.link, speed(bench), lambda: True, step=2 * TURN))
        assert caught.value.at_rest is None and bench.state is S.OPERATION_ENABLED
        with pytest.raises(MotionFailed, match="leads nowhere"):
            bench.run(jog(bench.link, speed(bench), lambda: True, step=0))
        with pytest.raises(OutsideLimits) as caught:
            bench.run(jog(bench.link, speed(bench), lambda: True, step=TURN // 4))
        assert caught.value.at_rest and bench.at_rest and bench.position <= TURN + 50


@STEPS
def test_a_limit_switch(step):
    with Bench() as bench:
        bench.drive.switches.positive, bench.drive.switches.stop_motion = 1.0, True
        with pytest.raises(LimitReached) as caught:
            bench.run(jog(bench.link, speed(bench), lambda: True, step=step))
        assert caught.value.at_rest and bench.at_rest


@STEPS
def test_a_shaft_that_is_held(step):
    with Bench() as bench:
        bench.drive.motor.held = True
        with pytest.raises(MotionTimeout, match="nothing has moved for 2 s") as caught:
            bench.run(jog(bench.link, speed(bench), lambda: True, step=step))
        assert caught.value.at_rest and bench.at_rest


def test_can_jog_by_velocity():
    with Bench() as bench:
        assert bench.run(can_jog_by_velocity(bench.link))
        bench.drive.store.on_read(0x6502, 0, lambda now: (0x21).to_bytes(4, "little"))
        assert not bench.run(can_jog_by_velocity(bench.link))
        bench.drive.store.on_read(0x6502, 0, lambda now: bytes(4))
        assert bench.run(can_jog_by_velocity(bench.link)), "it does not say"


def test_a_velocity_of_0_has_no_direction():
    with Bench() as bench:
        bench.drain()
        with pytest.raises(MotionFailed, match="a velocity of 0 leads nowhere"):
            bench.run(jog(bench.link, 0, lambda: True, step=100))
        assert bench.wire()[-1][0] == 0x6041 and bench.state is S.OPERATION_ENABLED
