"""What other drive classes get wrong, one named test for each, on a simulated StepIM and a clock wound by hand."""

import pytest
from plan_bench import NODE as BENCH_NODE
from plan_bench import Bench
from safety_world import CALLS as BASE_CALLS
from safety_world import NODE, World, play

from opendiag.cia402 import power
from opendiag.cia402.homing import HomingResult, homing_result
from opendiag.cia402.link import DriveLink
from opendiag.cia402.mode_change import set_mode
from opendiag.cia402.modes import mode_label
from opendiag.cia402.path import Target
from opendiag.cia402.states import PdsState
from opendiag.errors import DriveError, DriveFault, ModeRefused, UnknownTarget
from opendiag.services.plans import SdoRead
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.stepim import StepIM

S = PdsState


@pytest.fixture
def world():
    with World() as made:
        yield made


# --- an unknown target goes towards OPERATION ENABLED ---


@pytest.mark.parametrize("target", ["OPERATION ENABLE", "SWITCHED_OFF", "", "QUICK STOP ACTIVE", "FAULT"])
@pytest.mark.parametrize("state", [S.SWITCH_ON_DISABLED, S.READY_TO_SWITCH_ON, S.SWITCHED_ON])
def test_an_unknown_target_sends_nothing_and_goes_nowhere(world, state, target):
    world.put(state)
    with pytest.raises(UnknownTarget, match="nothing was sent"):
        world.run(power.reach(world.link, target))
    assert world.drain() == []
    assert world.state is state


@pytest.mark.parametrize("target", [target for target in Target if target is not Target.OPERATION_ENABLED])
@pytest.mark.parametrize("state", list(S))
def test_the_way_to_a_target_looks_at_the_target(world, state, target):
    world.put(state)
    try:
        world.run(power.reach(world.link, target))
    except DriveFault:
        assert world.state is S.FAULT
    else:
        assert world.state is target.value
    assert all(word & 0x0F != 0x0F for word in world.controlwords())


# --- reset_from_fault() ends by enabling, burns a time-out, and does not look ---


def test_a_fault_reset_ends_in_switch_on_disabled_and_enables_nothing(world):
    world.put(S.FAULT)
    world.run(power.reset_fault(world.link))
    assert world.controlwords() == [0x00, 0x80, 0x00]
    world.network.sleep(1.0)
    assert world.state is S.SWITCH_ON_DISABLED
    assert not world.link.permitted


def test_a_fault_reset_takes_no_time_out(world):
    world.put(S.FAULT)
    began = world.network.clock.now()
    world.run(power.reset_fault(world.link))
    assert world.network.clock.now() - began < 0.05


def test_a_fault_that_was_not_cleared_is_an_error_with_its_code(world):
    world.put(S.SWITCH_ON_DISABLED)
    world.drive.bus_voltage(9_000)
    world.network.sleep(0.1)
    assert world.state is S.FAULT
    with pytest.raises(DriveFault, match="the cause is still there") as caught:
        world.run(power.reset_fault(world.link))
    assert caught.value.code == 0x3120
    assert world.drive.pds.controlword & 0x80 == 0


# --- a refused mode is no error ---


def test_a_mode_that_the_drive_does_not_have_is_an_error(world):
    world.put(S.SWITCHED_ON)
    with pytest.raises(ModeRefused, match="the drive has pp, pv, tq, hm, ip, csp"):
        world.run(set_mode(world.link, "csv"))
    assert world.network.read(NODE, 0x6061) == 3


def test_a_refused_write_of_the_mode_is_an_error():
    from safety_world import Refusal

    with World(refusals=(Refusal(0x6060),)) as world:
        world.put(S.SWITCHED_ON)
        with pytest.raises(ModeRefused, match="6060:00 cannot be written"):
            world.run(set_mode(world.link, "pp"))


def test_a_mode_that_is_not_taken_in_time_is_an_error_even_where_the_write_was_confirmed():
    bench, link = Bench("SO", x6061=1, x6060=1), DriveLink(BENCH_NODE)
    bench.after = lambda bench, request: bench.objects.__setitem__((0x6061, 0), 1)
    with pytest.raises(ModeRefused):
        bench.run(set_mode(link, "pv"))


def test_a_lost_answer_of_a_mode_change_is_an_error():
    from opendiag.simulate.faults import Fault

    with World((Fault("drop", service="sdo response", until_s=5.0),)) as world:
        world.put(S.SWITCHED_ON)
        with pytest.raises(TimeoutError):
            world.run(set_mode(world.link, "pp"))


# --- a manufacturer's mode is a KeyError ---


@pytest.mark.parametrize("mode", [-1, -3, -128, 5, 77, 127])
def test_a_mode_that_nobody_knows_has_a_text_and_is_no_hindrance(mode):
    assert mode_label(mode).startswith(str(mode))
    bench, link = Bench("SOD", x6061=mode, x6060=mode), DriveLink(BENCH_NODE)
    bench.run(power.enable(link))
    bench.run(set_mode(link, "pp"))
    bench.run(set_mode(link, mode))
    assert bench.objects[0x6060, 0] == mode


def test_a_drive_that_shows_minus_one_while_it_changes_its_mode():
    with World() as world:
        world.bus.detach(next(station for station in world.bus._stations if station.name == "drive"))
        world.drive = StepIM(NODE, quirks=NodeQuirks(mode_unknown_s=3.0))
        world.bus.attach(world.drive, "slow drive", on_event=lambda event, now: None)
        world.network.sleep(0.1)
        began = world.network.clock.now()
        assert world.run(set_mode(world.link, "pv")) == 3
        assert 3.0 <= world.network.clock.now() - began < 3.2


# --- homing(): stale bits are success, bit 4 stays set, False instead of an error ---


def test_the_result_of_a_homing_is_more_than_one_bit():
    assert homing_result(0x1437) is HomingResult.DONE
    assert homing_result(0x1037) is HomingResult.ATTAINED_MOVING
    assert homing_result(0x2037).failed
    assert homing_result(0x2437).failed
    assert homing_result(0x0437) is HomingResult.NOT_STARTED


def test_stale_bits_of_an_earlier_homing_are_no_success():
    """The drive shows "attained, reached" from the start, and never moves."""
    from opendiag.cia402.homing_plans import home

    bench, link = Bench("SOD", x6502=0x3F, x6061=6, x6060=6, x6098=35), DriveLink(BENCH_NODE)
    bench.status_bits = 0x1400
    bench.run(power.enable(link))
    with pytest.raises(DriveError):
        bench.run(home(link, timeout_s=2.0))
    assert bench.word & 0x10 == 0


def test_a_homing_clears_its_start_bit(world):
    from opendiag.cia402.homing_plans import home

    world.put(S.SWITCH_ON_DISABLED)
    world.run(power.enable(world.link))
    world.run(home(world.link, 35, timeout_s=5.0))
    assert world.drive.pds.controlword & 0x10 == 0
    assert world.state is S.OPERATION_ENABLED


# --- the other bits of the controlword are overwritten; an old statusword is believed ---


def test_halt_survives_whatever_is_changed_in_the_controlword(world):
    world.put(S.SWITCH_ON_DISABLED)
    world.run(power.enable(world.link))
    world.run(power.halt(world.link))
    world.run(power.enable(world.link))
    world.run(world.link.change(set_bits=0x10))
    assert world.drive.pds.controlword == 0x011F


def test_the_manufacturer_s_bits_survive_every_state_command():
    bench, link = Bench("SOD", x6040=0xA800), DriveLink(BENCH_NODE)
    bench.run(power.enable(link))
    bench.run(power.disable(link))
    assert {word & 0xF800 for word in bench.words} == {0xA800}


def test_no_state_command_carries_a_bit_that_begins_a_motion():
    bench, link = Bench("SOD", x6040=0x0270), DriveLink(BENCH_NODE)
    bench.run(power.enable(link))
    bench.run(link.change(set_bits=0x10))
    bench.run(power.disable(link))
    bench.run(power.enable(link))
    assert all(word & 0x0270 == 0 for word in bench.words if word != 0x1F)


def test_every_decision_is_made_from_a_statusword_that_was_read_after_the_last_word():
    bench, link = Bench("SOD"), DriveLink(BENCH_NODE)
    bench.run(power.enable(link))
    bench.run(power.disable(link))
    fresh = False
    for request in bench.requests:
        if isinstance(request, SdoRead) and request.index == 0x6041:
            fresh = True
        elif getattr(request, "index", 0) == 0x6040 and not isinstance(request, SdoRead):
            assert fresh
            fresh = False


# --- a quick stop that goes on by itself is an "illegal transition" ---


@pytest.mark.parametrize("option", [0, 1, 2, 3, 4, 6])
def test_a_quick_stop_that_goes_on_by_itself_is_a_success(option):
    with World(option=option) as world:
        world.put(S.OPERATION_ENABLED)
        reached = world.run(power.quick_stop(world.link))
        assert reached in (S.QUICK_STOP_ACTIVE, S.SWITCH_ON_DISABLED)


def test_from_a_quick_stop_every_target_is_reached_without_enabling_in_between():
    for target in (Target.SWITCH_ON_DISABLED, Target.READY_TO_SWITCH_ON, Target.SWITCHED_ON):
        with World() as world:
            world.put(S.QUICK_STOP_ACTIVE)
            world.seen.clear()
            world.run(power.reach(world.link, target))
            assert S.OPERATION_ENABLED not in [seen.state for seen in world.seen]


# --- `state in 'PRE-OPERATIONAL', 'OPERATIONAL'`: part of a text is taken for a state ---


@pytest.mark.parametrize("part", ["OPERATION", "ENABLED", "SWITCHED", "SWITCH ON", "ON", "READY", "E", " "])
def test_a_part_of_a_state_s_name_is_no_state(part):
    with pytest.raises(UnknownTarget):
        Target.parse(NODE, part)


# --- what there is besides the state machine ---


def test_there_is_a_call_for_halt_and_its_end(world):
    world.put(S.SWITCH_ON_DISABLED)
    world.run(power.enable(world.link))
    by_name = {call.name: call for call in BASE_CALLS}
    assert play(world, by_name["halt"]).words == [0x010F]
    assert play(world, by_name["unhalt"]).words == [0x000F]


def test_there_are_plans_for_every_kind_of_motion():
    from opendiag.cia402 import homing_plans, jog, position_plans, torque_plans, touch_probe, velocity_plans

    assert all(
        callable(plan)
        for plan in (
            homing_plans.home,
            position_plans.move,
            position_plans.move_through,
            velocity_plans.run,
            torque_plans.apply,
            jog.jog,
            touch_probe.capture,
        )
    )
