"""The safety property (tests/cia402/safety_world.py) for the calls of a script: `Drive` enables nothing that nobody
asked for, and leaves nothing enabled that failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "cia402"))

from safety_world import NODE, Call, Refusal, World, play, unsafe

from opendiag.cia402.states import PdsState
from opendiag.errors import OpenDiagError
from opendiag.simulate.faults import Fault

LAST_FAULT_S = 3.0
lost = st.builds(
    Fault,
    st.just("drop"),
    service=st.sampled_from(("sdo request", "sdo response")),
    until_s=st.floats(0.2, LAST_FAULT_S),
    nth=st.none() | st.integers(1, 30),
    probability=st.sampled_from([None, 0.1, 0.5]),
)
late = st.builds(
    Fault,
    st.just("delay"),
    service=st.sampled_from(("sdo request", "sdo response")),
    until_s=st.just(LAST_FAULT_S),
    nth=st.integers(1, 30),
    delay_s=st.sampled_from([0.0005, 0.05, 0.3, 0.7]),
)
refusals = st.builds(
    lambda index, write, nth, more: Refusal(index, write, nth, nth + more),
    st.sampled_from((0x6040, 0x6041, 0x6060, 0x6061, 0x6064, 0x607A, 0x1016, 0x1017, 0x6007)),
    st.booleans(),
    st.integers(1, 6),
    st.sampled_from([0, 5, 1000]),
)


def call(name, run, **what):
    return Call(f"axis.{name}", lambda world: run(world.axis), **what)


CALLS = [
    call("enable", lambda axis: axis.enable(), enables=True),
    call("disable", lambda axis: axis.disable(), stops=True),
    call("quick_stop", lambda axis: axis.quick_stop(), stops=True),
    call("reset", lambda axis: axis.reset()),
    call("halt", lambda axis: axis.halt(), keeps=True),
    call("unhalt", lambda axis: axis.unhalt(), keeps=True),
    call("status", lambda axis: axis.status),
    call("position", lambda axis: axis.position),
    call("units", lambda axis: axis.units),
    call("why", lambda axis: axis.why()),
    call("why motion", lambda axis: axis.why("motion")),
    call("alive", lambda axis: axis.alive()),
    call("set_mode", lambda axis: axis.set_mode("pp"), keeps=True),
    call("set_mode misspelt", lambda axis: axis.set_mode("ppp")),
    call("move_to", lambda axis: axis.move_to(0.5, "rev", velocity=300, timeout_s=3.0), keeps=True, moves=True),
    call("move_to misspelt", lambda axis: axis.move_to(0.5, "turns")),
    call("move_by", lambda axis: axis.move_by("90 deg", wait=False), keeps=True, moves=True),
    call("run_at", lambda axis: axis.run_at(60, timeout_s=2.0), keeps=True, moves=True),
    call("torque", lambda axis: axis.apply_torque("0.1 A", timeout_s=1.0), keeps=True, moves=True),
    call("home", lambda axis: axis.home(35, timeout_s=3.0), keeps=True, moves=True),
    call("stop", lambda axis: axis.stop(), keeps=True),
    call("wait", lambda axis: axis.wait(timeout_s=0.5), keeps=True),
]
CLOSE = call("close", lambda axis: axis.close(), stops=True)


def with_axis(world, **options):
    world.axis = world.network.drive(NODE, timing=world.timing, **options)
    return world


@settings(max_examples=60, deadline=None)
@given(
    state=st.sampled_from(PdsState),
    first=st.sampled_from(CALLS),
    second=st.sampled_from(CALLS),
    trouble=st.tuples(st.lists(lost | late, max_size=2), st.lists(refusals, max_size=2)),
    guard=st.booleans(),
    seed=st.integers(0, 3),
)
def test_whatever_a_script_calls_in_whatever_state(state, first, second, trouble, guard, seed):
    with World(faults=tuple(trouble[0]), refusals=tuple(trouble[1]), seed=seed) as world:
        world.put(state)
        with_axis(world, guard=guard)
        for each in (first, second):
            permitted = world.axis.link.permitted
            outcome = play(world, each, errors=(OpenDiagError, ValueError))
            assert unsafe(outcome, permitted) == [], outcome
        energised = world.axis.guard.armed
        outcome = play(world, CLOSE)
        assert unsafe(outcome) == [] if energised else True, outcome


@settings(max_examples=60, deadline=None)
@given(
    second=st.sampled_from(CALLS),
    trouble=st.tuples(st.lists(lost | late, max_size=2), st.lists(refusals, max_size=2)),
    seed=st.integers(0, 3),
)
def test_whatever_a_script_calls_on_a_drive_that_it_has_enabled(second, trouble, seed):
    faults = tuple(trouble[0])
    with World(faults=faults, refusals=tuple(trouble[1]), seed=seed, begin_s=2.0) as world:
        with_axis(world)
        world.axis.enable()
        world.network.sleep(max(2.0 - world.network.clock.now(), 0.0))
        world._armed = True
        outcome = play(world, second, errors=(OpenDiagError, ValueError))
        assert unsafe(outcome, True) == [], outcome
        outcome = play(world, CLOSE)
        assert unsafe(outcome) == [], outcome
        assert world.state not in (PdsState.OPERATION_ENABLED, PdsState.QUICK_STOP_ACTIVE) or outcome.told_unsafe


@pytest.mark.parametrize("each", CALLS, ids=lambda each: each.name)
@pytest.mark.parametrize("state", PdsState, ids=lambda state: state.name)
def test_each_call_in_each_state(state, each):
    with World() as world:
        world.put(state)
        with_axis(world)
        outcome = play(world, each, errors=(OpenDiagError, ValueError))
        assert unsafe(outcome) == []
