"""The safety property of the base, of axes that follow trajectories: whatever state the drive is in, whatever is lost,
late or refused, and whatever another master does in the middle of it.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_world import CALLS, NODE, Call, Refusal, World, play, unsafe

from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import s_curve
from opendiag.frame import Frame
from opendiag.master.drive_cyclic import CyclicFollower
from opendiag.simulate.faults import Fault

S = PdsState
LAST_FAULT_S = 3.0


def way():
    return s_curve(0, 8192, 40_960, 400_000, 8_000_000)


def follow(world, **options):
    return world.run(CyclicFollower(world.network, [world.link], [way()], 0.002, relative=True, **options).plan())


FOLLOWS = [
    Call("follow csp", lambda world: follow(world), keeps=True),
    Call("follow ip", lambda world: follow(world, mode="ip"), keeps=True),
    Call("follow and enable", lambda world: follow(world, enable=True), enables=True),
]
lost = st.builds(
    Fault,
    st.just("drop"),
    service=st.sampled_from(["sdo request", "sdo response", "rpdo", "tpdo", "sync"]),
    from_s=st.sampled_from([0.0, 0.05, 0.2, 0.4]),
    until_s=st.floats(0.5, LAST_FAULT_S),
    nth=st.none() | st.integers(1, 40),
    probability=st.sampled_from([None, 0.05, 0.5]),
)
refusals = st.builds(
    lambda index, write, nth, more: Refusal(index, write, nth, nth + more),
    st.sampled_from([0x6040, 0x6041, 0x6060, 0x6061, 0x607A, 0x60C2, 0x1601, 0x1801, 0x1A00, 0x1A01]),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([0, 1, 1000]),
)


@settings(max_examples=12, deadline=None)
@given(
    state=st.sampled_from(list(S)),
    call=st.sampled_from(FOLLOWS),
    faults=st.lists(lost, max_size=2),
    refused=st.lists(refusals, max_size=2),
    enabled_by_us=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_happens_the_drive_is_enabled_only_where_that_was_asked(
    state, call, faults, refused, enabled_by_us, seed
):
    with World(tuple(faults), tuple(refused), seed=seed) as world:
        world.drive.switches.negative, world.drive.switches.positive = -1000.0, 1000.0
        world.put(S.SWITCH_ON_DISABLED if enabled_by_us else state)
        if enabled_by_us:
            assert unsafe(play(world, CALLS[0], settle_s=0.1)) == []
        outcome = play(world, call)
        assert unsafe(outcome, permitted_before=enabled_by_us) == []


@pytest.mark.parametrize("call", FOLLOWS, ids=lambda call: call.name)
@pytest.mark.parametrize("state", list(S))
def test_in_each_state_without_any_fault(call, state):
    with World() as world:
        world.drive.switches.negative, world.drive.switches.positive = -1000.0, 1000.0
        world.put(state)
        assert unsafe(play(world, call)) == []


@settings(max_examples=12, deadline=None)
@given(at=st.floats(0.0, 0.4), word=st.sampled_from([0x00, 0x02, 0x06, 0x07]), mode=st.sampled_from(["csp", "ip"]))
def test_another_master_that_stops_the_drive_is_never_overruled(at, word, mode):
    """At any moment of the motion, to within less than a SYNC period."""
    with World() as world:
        world.drive.switches.negative, world.drive.switches.positive = -1000.0, 1000.0
        world.put(S.SWITCH_ON_DISABLED)
        play(world, CALLS[0], settle_s=0.0)
        world.seen.clear()
        follower = CyclicFollower(world.network, [world.link], [way()], 0.002, mode, relative=True)
        running = world.network.begin(follower.plan())
        while not running.done and (follower.motion is None or not follower.motion.moving):
            world.network.sleep(0.002)
        world.network.sleep(min(at, way().duration_s - 0.01))
        head = bytes((0x2B, 0x40, 0x60, 0))
        world.network.port.world.bus.attach(name="another").send(Frame(0x600 + NODE, head + bytes((word, 0, 0, 0))))
        with pytest.raises(Exception, match=r"left OPERATION ENABLED|fault"):
            running.wait()
            running.result()
        world.network.sleep(0.5)
        assert [seen for seen in world.seen if seen.number in (4, 16)] == []
        assert world.state not in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE)
