"""opendiag.cia402.motion: whatever goes wrong in whatever motion, the right error comes and the drive is at rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_world import KINDS, Bench, S

from opendiag.cia402 import homing_plans, jog, motion, position_plans, power, torque_plans, velocity_plans
from opendiag.cia402.quirks import DriveQuirks
from opendiag.errors import (
    AdapterError,
    DriveError,
    DriveFault,
    FollowingErrorTooLarge,
    HomingFailed,
    ModeRefused,
    MotionFailed,
    MotionTimeout,
    NotAtRest,
    NotEnabled,
    PlanCancelled,
    SdoRefusal,
    SdoTimeout,
)
from opendiag.frame import Frame
from opendiag.simulate.faults import Fault
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtCommand, NmtMessage
from opendiag.wire.sdo_abort import SdoAbortCode

TURN = 4096


def speed(bench, turns_s):
    return round(turns_s * (6000 if bench.stepim else TURN))


#: Motions that are still under way after a second, on any of the simulated drives.
MOTIONS = {
    "move": lambda b: position_plans.move(b.link, 200 * TURN, velocity=speed(b, 3)),
    "chain": lambda b: position_plans.move_through(
        b.link, [100 * TURN, position_plans.SetPoint(200 * TURN)], velocity=speed(b, 3)
    ),
    "velocity": lambda b: velocity_plans.run_for(b.link, speed(b, 3), 20.0),
    "torque": lambda b: torque_plans.apply(b.link, 300 if b.stepim else 100, slope=10),
    "homing": lambda b: homing_plans.home(b.link, 18, speeds=(speed(b, 3), speed(b, 0.5))),
    "jog": lambda b: jog.jog(b.link, speed(b, 3), lambda: True),
    "jog by steps": lambda b: jog.jog(b.link, speed(b, 3), lambda: True, step=TURN),
}


def moving(name, kind="stepim", **more):
    bench = Bench(kind, **more)
    running = bench.begin(MOTIONS[name](bench), 1.0)
    assert not running.done and bench.state is S.OPERATION_ENABLED
    if name != "torque":
        assert abs(bench.speed) > 1.0
    bench.drain()
    return bench, running


def failing(bench, running, kind, match=None):
    with pytest.raises(kind, match=match) as caught:
        bench.end(running)
    return caught.value


every_motion = pytest.mark.parametrize("name", MOTIONS)


@every_motion
@pytest.mark.parametrize("kind", KINDS)
def test_fault_in_mid_motion(name, kind):
    bench, running = moving(name, kind)
    with bench:
        bench.drive.fault(0x2310, bench.now)
        error = failing(bench, running, DriveFault, "2310h")
        assert error.code == 0x2310 and error.at_rest and bench.at_rest
        bench.network.sleep(1.0)
        assert bench.state is S.FAULT and not bench.link.permitted


@every_motion
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", [0x00, 0x02, 0x06, 0x07])
def test_another_master_disables(name, kind, word):
    bench, running = moving(name, kind)
    with bench:
        bench.write(0x6040, word)
        if (name, word) == ("homing", 0x07):  # the ramp comes first, and the homing ends with its bit 4
            kinds, text = (NotEnabled, HomingFailed), "left OPERATION ENABLED while|interrupted"
        else:
            kinds, text = NotEnabled, "left OPERATION ENABLED while"
        error = failing(bench, running, kinds, text)
        assert error.at_rest and bench.at_rest
        assert not [each for each in bench.controlwords() if each != word and each & 0xF == 0xF]


@every_motion
def test_node_reset(name):
    bench, running = moving(name)
    with bench:
        bench.network.send(Frame(0, NmtMessage(NmtCommand.RESET_NODE, bench.node).encode()))
        error = failing(bench, running, (NotEnabled, SdoTimeout))
        assert getattr(error, "at_rest", True)
        bench.network.sleep(1.0)
        assert bench.at_rest and not [word for word in bench.controlwords() if word & 0xF == 0xF]


@every_motion
def test_power_off(name):
    bench, running = moving(name)
    with bench:
        bench.drive.power_off()
        error = failing(bench, running, NotAtRest, "use the emergency stop")
        assert isinstance(error.__cause__, SdoTimeout) and not bench.drive.energised


@every_motion
def test_sdo_lost_for_a_while(name):
    faults = [Fault("drop", service="sdo response", node=101, from_s=2.0, until_s=3.0)]
    bench = Bench(faults=faults)
    with bench:
        bench.network.sleep(1.0 - bench.now)
        running = bench.begin(MOTIONS[name](bench), 0.9)
        assert not running.done
        failing(bench, running, SdoTimeout)
        assert bench.at_rest and bench.now < 5.0


@every_motion
def test_a_cancelled_plan(name):
    bench, running = moving(name)
    with bench:
        running.cancel("the user has had enough")
        failing(bench, running, PlanCancelled)
        assert bench.at_rest


@every_motion
def test_the_adapter_is_gone(name):
    bench, running = moving(name)
    with bench:
        running.throw(AdapterError("the cable was pulled"))
        error = failing(bench, running, (AdapterError, NotAtRest))
        assert bench.at_rest or isinstance(error, NotAtRest)


@every_motion
def test_a_plan_that_is_thrown_away_leaves_no_leave_to_energise(name):
    bench, running = moving(name)
    with bench:
        running.abandon()
        assert not bench.link.permitted


@pytest.mark.parametrize("name", ["move", "chain", "velocity", "homing", "jog by steps"])
def test_halt_by_another_master(name):
    bench, running = moving(name)
    with bench:
        if name == "velocity":  # it stays at its velocity: what is watched is the word
            bench.write(0x6040, 0x10F)
            bench.network.sleep(0.2)
            running.cancel("enough")
            failing(bench, running, PlanCancelled)
            assert bench.at_rest
            return
        word = bench.link.controlword
        bench.write(0x6040, word | 0x100)
        error = failing(bench, running, MotionFailed, "halt|did not end")
        assert error.at_rest and bench.at_rest


@pytest.mark.parametrize("name", ["move", "chain"])
def test_following_error_with_the_shaft_held(name):
    bench, running = moving(name)
    with bench:
        bench.drive.motor.held = True
        error = failing(bench, running, FollowingErrorTooLarge)
        assert error.at_rest and bench.at_rest


@pytest.mark.parametrize("name", ["move", "velocity", "torque", "homing", "jog", "jog by steps"])
def test_a_refused_mode(name):
    with Bench(node_quirks=NodeQuirks(no_supported_modes=True)) as bench:
        mode = {"velocity": 3, "torque": 4, "homing": 6, "jog": 3}.get(name, 1)
        if bench.drive.mode_display == mode:
            bench.write(0x6060, 8)
        bench.drive.axis.store.on_write(0x6060, 0, _refuse)
        with pytest.raises(ModeRefused) as caught:
            bench.run(MOTIONS[name](bench))
        assert caught.value.at_rest and bench.at_rest


def _refuse(data, now):
    raise SdoRefusal(SdoAbortCode.INVALID_VALUE)


@pytest.mark.parametrize("name", ["velocity", "torque", "jog"])
def test_a_mode_that_is_not_listed(name):
    with Bench() as bench:
        bench.write(0x6060, 1)
        bench.drive.store.on_read(0x6502, 0, lambda now: (0x21).to_bytes(4, "little"))
        with pytest.raises(ModeRefused, match="the drive has pp, hm") as caught:
            bench.run(MOTIONS[name](bench))
        assert caught.value.at_rest and bench.at_rest


# --- stop, and changing the mode while moving -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["move", "velocity", "torque", "homing"])
def test_stop_forgets_what_was_under_way_and_stays_enabled(name, kind):
    with Bench(kind) as bench:
        plan = {
            "move": lambda: position_plans.move(bench.link, 200 * TURN, velocity=speed(bench, 3), wait=False),
            "velocity": lambda: velocity_plans.run(bench.link, speed(bench, 3)),
            "torque": lambda: torque_plans.apply(bench.link, 150 if bench.stepim else 50),
            "homing": lambda: motion.enter_mode(bench.link, 6),
        }[name]
        bench.run(plan())
        bench.network.sleep(0.5)
        here = bench.run(motion.stop(bench.link))
        assert bench.state is S.OPERATION_ENABLED and bench.link.controlword == 0x0F
        bench.network.sleep(2.0)
        assert abs(bench.speed) < 0.02 and abs(bench.position - here) < 30
        bench.run(position_plans.move(bench.link, 0, velocity=speed(bench, 5)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quirks", [NodeQuirks(), NodeQuirks(halt_blocks_modes=True), NodeQuirks(mode_unknown_s=0.8)])
def test_a_mode_change_while_moving_stops_first(kind, quirks):
    known = DriveQuirks(halt_blocks_modes=quirks.halt_blocks_modes, torque_in_ma=kind == "stepim")
    with Bench(kind, node_quirks=quirks, quirks=known) as bench:
        modes = []
        write = bench.drive.store.write

        def watching(index, subindex, data, now):
            if index == 0x6060:
                modes.append((data[0], bench.speed))
            return write(index, subindex, data, now)

        bench.drive.store.write = watching
        bench.run(position_plans.move(bench.link, 200 * TURN, velocity=speed(bench, 3), wait=False))
        bench.network.sleep(0.5)
        bench.run(velocity_plans.run(bench.link, -speed(bench, 2)))
        assert bench.speed == pytest.approx(-2, rel=0.1)
        bench.run(position_plans.move(bench.link, 0, velocity=speed(bench, 5)))
        assert bench.position == pytest.approx(0, abs=100)
        assert bench.link.controlword == 0x0F
        assert [mode for mode, _ in modes] == [1, 3, 1]
        assert all(abs(turns_s) < 0.05 for _, turns_s in modes)


def test_a_stop_of_a_drive_that_is_not_enabled():
    with Bench(enabled=False) as bench:
        with pytest.raises(NotEnabled):
            bench.run(motion.stop(bench.link))
        assert bench.controlwords() == []


def test_a_shaft_that_does_not_come_to_rest():
    with Bench() as bench:
        bench.run(velocity_plans.run(bench.link, speed(bench, 3)))
        bench.drive.store.on_read(0x606C, 0, lambda now: (20_000).to_bytes(4, "little"))
        with pytest.raises(MotionTimeout, match="it still moved 5 s after halt was set") as caught:
            bench.run(motion.stop(bench.link))
        assert caught.value.at_rest is not None and not bench.drive.energised


# --- sequences --------------------------------------------------------------------------------------------------------

STEPS = {
    "to": lambda b, n: position_plans.move(b.link, n * TURN // 4, velocity=speed(b, 4)),
    "by": lambda b, n: position_plans.move(b.link, n * TURN // 4, relative=True, velocity=speed(b, 4)),
    "start": lambda b, n: position_plans.move(b.link, n * TURN, velocity=speed(b, 2), wait=False, immediate=True),
    "run": lambda b, n: velocity_plans.run(b.link, speed(b, n / 2)),
    "torque": lambda b, n: torque_plans.apply(b.link, 20 * n),
    "here": lambda b, n: homing_plans.home(b.link, 35 if b.stepim else 37, offset=n),
    "stop": lambda b, n: motion.stop(b.link),
    "jog": lambda b, n: jog.jog(b.link, speed(b, n / 2), _pressed_for(3 + abs(n)), step=TURN // 2 if n & 1 else None),
}


def _pressed_for(times):
    left = iter(range(times))
    return lambda: next(left, None) is not None


@settings(max_examples=12)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(-6, 6)), max_size=6))
def test_any_sequence_of_motions(kind, steps):
    """Each step works, whatever came before; a jog ends disabled, and the next step says so without touching it."""
    with Bench(kind) as bench:
        for name, number in steps:
            enabled = bench.state is S.OPERATION_ENABLED
            bench.drain()
            try:
                bench.run(STEPS[name](bench, number))
            except NotEnabled:
                assert not enabled and bench.controlwords() == []
                bench.run(power.enable(bench.link))
                continue
            except DriveError as error:
                assert error.at_rest and bench.at_rest, error
                raise
            assert enabled
            assert not bench.link.controlword & 0x110, "neither bit 4 nor halt stays"
            assert bench.state is (S.SWITCH_ON_DISABLED if name == "jog" else S.OPERATION_ENABLED)
        bench.run(power.disable(bench.link))
        assert bench.at_rest
