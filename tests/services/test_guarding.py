"""Node guarding, both ends on one wire: the toggle bit, the life time of the node and that of the master."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from machine_bench import Wire, frame, line

from opendiag.frame import Frame
from opendiag.services.guarding import GuardingMaster, GuardingSlave, MasterFound, MasterLost, ToggleError
from opendiag.services.heartbeat import ErrorControlMalformed, NodeFound, NodeLost, StateChanged
from opendiag.wire.nmt import NmtState

NODE = 5
PRE_OP, OP = NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL


def pair(guard_time_s=0.1, factor=3):
    master, slave = GuardingMaster(), GuardingSlave(NODE, guard_time_s, factor)
    wire = Wire(master, slave, now=1.0)
    master.guard(NODE, guard_time_s, factor)
    return wire, master, slave


def test_golden_bytes_both_ways():
    wire, master, slave = pair(0.1)
    wire.run(0.1)
    slave.state = OP
    wire.run(0.1)
    assert [text for _, text in wire.lines()] == ["705#R1", "705#7F", "705#R1", "705#FF", "705#R1", "705#05"]
    assert wire.told(master) == [
        StateChanged(NODE, 1.0, PRE_OP, None),
        StateChanged(NODE, pytest.approx(1.2), OP, PRE_OP),
    ]
    assert (master.nodes[NODE].asked, master.nodes[NODE].answered) == (3, 3)


def test_the_master_keeps_its_grid():
    wire, *_ = pair(0.1)
    wire.run(0.35)
    assert [at for at, text in wire.lines() if "R" in text] == [1.0, 1.1, 1.2, 1.3]


def test_guarding_notices_that_a_node_is_absent():
    wire, master, slave = pair(0.125, 3)
    wire.run(0.5)
    wire.told(master)
    wire.mute.add(id(slave))
    wire.run(1.0)
    (lost,) = wire.told(master)
    assert lost == NodeLost(NODE, 1.875, 1.5, 0.375, "guarding")
    assert (master.nodes[NODE].lost, master.nodes[NODE].losses) == (True, 1)
    wire.mute.clear()
    wire.run(0.125)
    assert wire.told(master) == [NodeFound(NODE, 2.625, 1.125, 1, "guarding")]


def test_a_node_that_never_answers_is_lost_after_its_life_time():
    master = GuardingMaster()
    master.guard(NODE, 0.1, 3)
    wire = Wire(master, now=5.0)
    wire.run(1.0)
    assert wire.told(master) == [NodeLost(NODE, pytest.approx(5.3), None, pytest.approx(0.3), "guarding")]
    wire.send(frame("705#05"))
    assert master.events() == [
        NodeFound(NODE, 6.0, pytest.approx(1.0), 1, "guarding"),
        StateChanged(NODE, 6.0, OP, None),
    ]


def test_the_toggle_bit_is_checked_and_a_repeated_one_is_no_answer():
    master = GuardingMaster()
    master.guard(NODE, 0.1, 2)
    wire = Wire(master, now=1.0)
    wire.run(0.0)
    wire.send(frame("705#FF"))
    assert wire.told(master) == [] and master.events() == [StateChanged(NODE, 1.0, PRE_OP, None)]
    wire.run(0.15)
    wire.send(frame("705#85"))
    assert master.events() == [ToggleError(NODE, 1.15, False)]
    node = master.nodes[NODE]
    assert (node.state, node.toggle_errors, node.answered) == (PRE_OP, 1, 1)
    wire.run(0.05)
    assert [type(event) for event in wire.told(master)] == [NodeLost]


def test_after_a_boot_up_the_first_toggle_bit_is_0():
    master = GuardingMaster()
    master.guard(NODE, 0.1, 3)
    master.tick(0.0)
    for data in ("7F", "00", "FF", "7F"):
        master.receive(frame(f"705#{data}"), 0.05)
    assert [type(event) for event in master.events()] == [StateChanged, ToggleError]
    assert master.nodes[NODE].answered == 2


def test_guarding_ends_when_it_is_told_so():
    wire, master, _ = pair()
    wire.run(0.1)
    master.stop(NODE)
    master.stop(99)
    before = len(wire.sent)
    wire.run(10.0)
    assert (len(wire.sent), master.deadline()) == (before, None)


@pytest.mark.parametrize(
    ("node", "time_s", "factor"), [(0, 1, 1), (128, 1, 1), (5, 0, 1), (5, -1, 1), (5, 1, 0), (5, 1, 256)]
)
def test_what_cannot_be_guarded_is_refused(node, time_s, factor):
    with pytest.raises(ValueError, match="node"):
        GuardingMaster().guard(node, time_s, factor)


@pytest.mark.parametrize(
    "other",
    [
        frame("706#05"),
        frame("705#R1"),
        Frame(0x705, b"\5", extended=True),
        Frame(0x705, b"\5", fd=True),
        Frame(0x705, b"\5", error=True),
    ],
    ids=repr,
)
def test_other_frames_are_no_answers(other):
    master = GuardingMaster()
    master.guard(NODE, 0.1, 3)
    master.receive(other, 0.0)
    assert (master.events(), master.nodes[NODE].answered) == ([], 0)


@pytest.mark.parametrize("data", ["", "0505", "06", "80"])
def test_a_malformed_answer_is_told(data):
    master = GuardingMaster()
    master.guard(NODE, 0.1, 3)
    master.receive(frame(f"705#{data}"), 0.0)
    assert [type(event) for event in master.events()] == [ErrorControlMalformed]


def test_with_a_factor_of_1_an_answer_has_a_guard_time_however_late_the_one_before_was():
    master = GuardingMaster()
    master.guard(NODE, 0.1, 1)
    toggle, seen = False, []
    for number in range(20):
        asked = master.deadline() if number else 0.0
        master.tick(asked)
        assert len(master.frames_to_send()) == 1
        toggle = not toggle
        answer_at = asked + (0.001, 0.03)[number % 2]
        assert master.deadline() > answer_at
        master.receive(frame("705#7F" if toggle else "705#FF"), answer_at)
        seen += master.events()
    assert [type(event) for event in seen] == [StateChanged]
    master.tick(master.deadline())
    master.tick(master.deadline())
    assert [type(event) for event in master.events()] == [NodeLost]


# --- the slave ------------------------------------------------------------------------------------------------------


def test_life_guarding_begins_with_the_first_question():
    slave = GuardingSlave(NODE, 0.1, 3)
    wire = Wire(slave)
    wire.run(100.0)
    assert wire.told(slave) == []
    wire.send(frame("705#R1"))
    wire.run(5.0)
    assert wire.told(slave) == [MasterLost(NODE, pytest.approx(100.3), 100.0, pytest.approx(0.3))]
    wire.send(frame("705#R1"))
    wire.run(0.0)
    assert wire.told(slave) == [MasterFound(NODE, 105.0, 5.0)]


def test_a_master_in_time_is_never_lost():
    wire, _, slave = pair(0.1, 2)
    wire.run(20.0)
    assert wire.told(slave) == []


@pytest.mark.parametrize(("time_s", "factor"), [(0.0, 3), (0.1, 0)])
def test_without_a_life_time_there_is_no_life_guarding_but_an_answer(time_s, factor):
    slave = GuardingSlave(NODE, time_s, factor)
    slave.receive(frame("705#R1"), 0.0)
    assert [line(one) for one in slave.frames_to_send()] == ["705#7F"]
    assert slave.deadline() is None


def test_with_a_heartbeat_remote_frames_are_not_answered():
    slave = GuardingSlave(NODE, 0.1, 3)
    slave.enabled = False
    slave.receive(frame("705#R1"), 0.0)
    assert (slave.frames_to_send(), slave.deadline()) == ([], None)


def test_reset_begins_anew():
    slave = GuardingSlave(NODE, 0.1, 3)
    slave.receive(frame("705#R1"), 0.0)
    slave.tick(1.0)
    slave.reset()
    assert (slave.lost, slave.deadline()) == (False, None)
    slave.frames_to_send()
    slave.receive(frame("705#R1"), 2.0)
    assert [line(one) for one in slave.frames_to_send()] == ["705#7F"]


@pytest.mark.parametrize(
    "other", [frame("706#R1"), frame("705#05"), Frame(0x705, extended=True, remote=True)], ids=repr
)
def test_only_the_own_remote_frame_is_answered(other):
    slave = GuardingSlave(NODE)
    slave.receive(other, 0.0)
    assert slave.frames_to_send() == []


# --- every state and every input ------------------------------------------------------------------------------------


class TwoEnds(RuleBasedStateMachine):
    """A wire that loses frames as it likes: both ends report silence when its time is over, and only then."""

    @initialize(factor=st.integers(1, 4))
    def begin(self, factor):
        self.master, self.slave = GuardingMaster(), GuardingSlave(NODE, 0.125, factor)
        self.master.guard(NODE, 0.125, factor)
        self.wire = Wire(self.master, self.slave, now=1.0)
        self.life_s = 0.125 * factor
        self.master_events, self.slave_events = [], []

    @rule(who=st.sampled_from(["master", "slave"]))
    def cut(self, who):
        self.wire.mute ^= {id(getattr(self, who))}

    @rule(state=st.sampled_from([PRE_OP, OP, NmtState.STOPPED]))
    def change(self, state):
        self.slave.state = state

    @rule()
    def reboot(self):
        self.slave.reset()
        if id(self.slave) not in self.wire.mute:
            self.wire.send(frame("705#00"), self.slave)

    @rule(data=st.binary(max_size=8), extended=st.booleans(), can_id=st.sampled_from([0x705, 0x706, 0x85]))
    def garbage(self, data, extended, can_id):
        if can_id == 0x705 and len(data) == 1 and data[0] & 0x7F in (0, 4, 5, 0x7F) and not extended:
            return  # that would be a sign of life
        before = vars(self.slave).copy(), self.master.nodes[NODE].answered
        self.wire.send(Frame(can_id, data, extended=extended))
        assert (vars(self.slave), self.master.nodes[NODE].answered) == before

    @rule(seconds=st.sampled_from([1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]))
    def wait(self, seconds):
        self.wire.run(seconds)

    @invariant()
    def lost_exactly_when_silent(self):
        self.master_events += self.wire.told(self.master)
        self.slave_events += self.wire.told(self.slave)
        node = self.master.nodes[NODE]
        if node.since is not None:
            assert node.lost == (self.wire.now >= node.since + self.life_s)
        for events, lost, found in (
            (self.master_events, NodeLost, NodeFound),
            (self.slave_events, MasterLost, MasterFound),
        ):
            kinds = [type(event) for event in events if isinstance(event, (lost, found))]
            assert all(a is not b for a, b in itertools.pairwise(kinds)), "lost and found take turns"
            assert kinds[:1] in ([], [lost]) or events is self.slave_events

    @invariant()
    def deadlines_lie_ahead(self):
        for machine in (self.master, self.slave):
            due = machine.deadline()
            assert due is None or due == 0.0 or due > self.wire.now


TwoEnds.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestTwoEnds = TwoEnds.TestCase
