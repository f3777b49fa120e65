"""The safety property of the base: whatever state the drive is in, whatever is called, whatever gets lost, late or
refused: the drive is enabled only by a call that enables it, and stays so only if that call succeeded or said that it
is not sure. `safety_world` has the drive, the master and the rules.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_world import CALLS, MOTIONS, Refusal, World, play, unsafe

from opendiag.cia402.path import Target
from opendiag.cia402.states import PdsState
from opendiag.errors import UnknownTarget
from opendiag.simulate.faults import Fault

S = PdsState
#: Faults end within this: less than what `make_safe` goes on trying.
LAST_FAULT_S = 3.0
SERVICES = ("sdo request", "sdo response")
OBJECTS = (0x6040, 0x6041, 0x6060, 0x6061, 0x6502, 0x603F, 0x606C, 0x6064, 0x60FF, 0x607A)
ABORTS = (0x0800_0022, 0x0800_0020, 0x0601_0000, 0x0602_0000, 0x0609_0030, 0x0504_0000)

lost = st.builds(
    Fault,
    st.just("drop"),
    service=st.sampled_from(SERVICES),
    from_s=st.sampled_from([0.0, 0.001, 0.003, 0.005, 0.01, 0.1]),
    until_s=st.floats(0.2, LAST_FAULT_S),
    nth=st.none() | st.integers(1, 12),
    probability=st.sampled_from([None, 0.1, 0.5]),
)
late = st.builds(
    Fault,
    st.just("delay"),
    service=st.sampled_from(SERVICES),
    until_s=st.just(LAST_FAULT_S),
    nth=st.none() | st.integers(1, 12),
    probability=st.sampled_from([None, 0.3]),
    delay_s=st.sampled_from([0.0005, 0.004, 0.05, 0.11, 0.3, 0.7]),
)
twice = st.builds(
    Fault,
    st.just("duplicate"),
    service=st.sampled_from(SERVICES),
    until_s=st.just(LAST_FAULT_S),
    nth=st.integers(1, 12),
    delay_s=st.sampled_from([0.0, 0.0005, 0.004, 0.05, 0.3]),
)
refusals = st.builds(
    lambda index, write, nth, more, code: Refusal(index, write, nth, nth + more, code),
    st.sampled_from(OBJECTS),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([0, 1, 5, 1000]),
    st.sampled_from(ABORTS),
)
trouble = st.tuples(st.lists(lost | late | twice, max_size=2), st.lists(refusals, max_size=2))


@settings(max_examples=120, deadline=None)
@given(
    state=st.sampled_from(list(S)),
    calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=2),
    trouble=trouble,
    option=st.sampled_from([0, 1, 2, 6]),
    moving=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_is_called_in_whatever_state_the_drive_is_enabled_only_where_that_was_asked(
    state, calls, trouble, option, moving, seed
):
    faults, refused = trouble
    with World(tuple(faults), tuple(refused), option=option, seed=seed) as world:
        world.put(state, moving=moving)
        permitted = False
        for call in calls:
            outcome = play(world, call)
            assert unsafe(outcome, permitted) == []
            permitted = world.link.permitted


@settings(max_examples=80, deadline=None)
@given(
    first=st.sampled_from(CALLS),
    second=st.sampled_from(CALLS),
    trouble=trouble,
    seed=st.integers(0, 99),
)
def test_calls_on_a_drive_that_this_side_has_enabled(first, second, trouble, seed):
    faults, refused = trouble
    with World(tuple(faults), tuple(refused), seed=seed) as world:
        world.put(S.SWITCH_ON_DISABLED)
        for call in (CALLS[0], first, second):
            permitted = world.link.permitted
            outcome = play(world, call)
            assert unsafe(outcome, permitted) == []


@settings(max_examples=60, deadline=None)
@given(
    motion=st.sampled_from(MOTIONS),
    second=st.sampled_from([*CALLS, *MOTIONS]),
    enabled=st.booleans(),
    state=st.sampled_from(list(S)),
    trouble=trouble,
    seed=st.integers(0, 99),
)
def test_motions_do_not_enable_and_one_that_fails_ends_at_rest(motion, second, enabled, state, trouble, seed):
    faults, refused = trouble
    with World(tuple(faults), tuple(refused), seed=seed) as world:
        world.put(S.SWITCH_ON_DISABLED if enabled else state)
        for call in (*CALLS[: int(enabled)], motion, second):
            permitted = world.link.permitted
            outcome = play(world, call)
            assert unsafe(outcome, permitted) == []


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("call", [call for call in CALLS if not call.name.startswith("set_mode")], ids=lambda c: c.name)
def test_each_call_in_each_state_without_any_fault(state, call):
    with World() as world:
        world.put(state)
        outcome = play(world, call)
        assert unsafe(outcome) == []
        if call.stops:
            assert outcome.state is not S.OPERATION_ENABLED


@pytest.mark.parametrize("state", [S.SWITCHED_ON, S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE])
@pytest.mark.parametrize("target", ["operation enable", "", "SWITCHED", "fault", Target.OPERATION_ENABLED])
def test_a_target_that_is_none_sends_nothing(state, target):
    from opendiag.cia402.power import reach

    with World() as world:
        world.put(state)
        with pytest.raises(UnknownTarget, match="nothing was sent"):
            world.run(reach(world.link, target))
        assert world.drain() == []
        assert world.state is state


# --- the rules themselves: each is shown something that breaks it ---


def test_the_rules_see_a_disable_that_enables():
    def wrong(world):
        world.network.write(101, 0x6040, 0x0F)

    from safety_world import Call

    with World() as world:
        world.put(S.SWITCHED_ON)
        outcome = play(world, Call("disable", wrong, stops=True))
    found = " ".join(unsafe(outcome))
    assert "sent ['0xf']" in found
    assert "led to" in found
    assert "still enabled" in found


def test_the_rules_see_an_enable_that_fails_and_leaves_the_drive_enabled():
    from safety_world import Call

    from opendiag.errors import DriveFault

    def wrong(world):
        world.network.write(101, 0x6040, 0x0F)
        world.network.sleep(0.05)
        raise DriveFault(101, None, "")

    with World() as world:
        world.put(S.SWITCHED_ON)
        outcome = play(world, Call("enable", wrong, enables=True))
    assert "and the drive is enabled" in " ".join(unsafe(outcome))


def test_the_rules_see_words_that_come_when_the_call_is_over():
    from safety_world import Call

    with World() as world:
        world.put(S.SWITCHED_ON)
        later = world.network.cyclic.every(0.1, lambda now: world.network[101].begin_download(0x6040, 0, b"\x0f\0"))
        outcome = play(world, Call("status", lambda world: None))
        later.stop()
    found = " ".join(unsafe(outcome))
    assert "when status was over" in found
    assert "after status came" in found
