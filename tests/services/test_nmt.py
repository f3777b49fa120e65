"""NMT from its tables: every state, every command, and a slave that never leaves them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from machine_bench import frame, line

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.nmt import (
    ERROR_BEHAVIOUR,
    MAY,
    TOLD_AFTER,
    TRANSITIONS,
    NmtChanged,
    NmtSlave,
    boot_up_frame,
    command_frame,
)
from opendiag.wire.cob_id import Service
from opendiag.wire.nmt import NmtCommand, NmtState

NODE = 5
INIT, PRE_OP, OP, STOPPED = (
    NmtState.INITIALISING,
    NmtState.PRE_OPERATIONAL,
    NmtState.OPERATIONAL,
    NmtState.STOPPED,
)


def slave(state=PRE_OP, **more):
    made = NmtSlave(NODE, **more)
    made.boot(0.0)
    made.tick(0.0)
    made.enter(state, 0.0)
    made.frames_to_send()
    made.events()
    return made


# --- the tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "after", "told"),
    [
        (NmtCommand.START, OP, OP),
        (NmtCommand.STOP, STOPPED, STOPPED),
        (NmtCommand.ENTER_PRE_OPERATIONAL, PRE_OP, PRE_OP),
        (NmtCommand.RESET_NODE, INIT, PRE_OP),
        (NmtCommand.RESET_COMMUNICATION, INIT, PRE_OP),
    ],
)
def test_a_command_leads_to_the_same_state_from_everywhere(command, after, told):
    assert [TRANSITIONS[state, command] for state in (PRE_OP, OP, STOPPED)] == [after] * 3
    assert (INIT, command) not in TRANSITIONS
    assert TOLD_AFTER[command] is told


def test_the_tables_are_whole_and_closed():
    assert set(TRANSITIONS) == set(itertools.product((PRE_OP, OP, STOPPED), NmtCommand))
    assert set(MAY) == set(NmtState) >= set(TRANSITIONS.values())
    assert set(TOLD_AFTER) == set(NmtCommand)
    with pytest.raises(TypeError):
        TRANSITIONS[INIT, NmtCommand.START] = OP


@pytest.mark.parametrize(
    ("service", "states"),
    [
        (Service.SDO_REQUEST, {PRE_OP, OP}),
        (Service.SDO_RESPONSE, {PRE_OP, OP}),
        (Service.TPDO, {OP}),
        (Service.RPDO, {OP}),
        (Service.SYNC, {PRE_OP, OP}),
        (Service.TIME, {PRE_OP, OP}),
        (Service.EMCY, {PRE_OP, OP}),
        (Service.NMT, {PRE_OP, OP, STOPPED}),
        (Service.ERROR_CONTROL, {PRE_OP, OP, STOPPED}),
        (Service.UNKNOWN, set()),
    ],
)
def test_what_may_be_said_in_which_state(service, states):
    assert {state for state in NmtState if service in MAY[state]} == states
    for state in (PRE_OP, OP, STOPPED):
        assert slave(state).may(service) is (state in states)
    assert not NmtSlave(NODE).may(service)


@pytest.mark.parametrize(
    ("behaviour", "before", "after"),
    [
        (0, OP, PRE_OP),
        (0, PRE_OP, PRE_OP),
        (0, STOPPED, STOPPED),
        (1, OP, OP),
        (1, STOPPED, STOPPED),
        (2, OP, STOPPED),
        (2, PRE_OP, STOPPED),
        (2, STOPPED, STOPPED),
        (77, OP, OP),
    ],
)
def test_error_behaviour(behaviour, before, after):
    node = slave(before)
    node.react(behaviour, 3.0)
    assert node.state is after
    assert node.events() == ([] if after is before else [NmtChanged(NODE, 3.0, after)])
    assert behaviour == 77 or behaviour in ERROR_BEHAVIOUR


# --- both ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "node_id", "golden"),
    [
        (NmtCommand.START, NODE, "000#0105"),
        (NmtCommand.STOP, 0, "000#0200"),
        (NmtCommand.ENTER_PRE_OPERATIONAL, 127, "000#807F"),
        (NmtCommand.RESET_NODE, 1, "000#8101"),
        (NmtCommand.RESET_COMMUNICATION, NODE, "000#8205"),
    ],
)
def test_golden_bytes_both_ways(command, node_id, golden):
    sent = command_frame(command, node_id)
    assert line(sent) == golden
    assert NmtSlave(node_id or NODE).command(frame(golden)) is command
    assert line(boot_up_frame(NODE)) == "705#00"


@pytest.mark.parametrize("node_id", [-1, 128])
def test_a_command_for_no_node_is_not_sent(node_id):
    with pytest.raises(WireError, match="outside 0"):
        command_frame(NmtCommand.START, node_id)


@pytest.mark.parametrize("node_id", [0, 128])
def test_a_slave_has_a_node_id(node_id):
    with pytest.raises(ValueError, match="outside 1"):
        NmtSlave(node_id)


@pytest.mark.parametrize("command", [NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION])
def test_a_reset_ends_in_boot_up_and_pre_operational(command):
    node = slave(OP, boot_s=0.25)
    node.receive(command_frame(command), 10.0)
    assert (node.state, node.deadline()) == (INIT, 10.25)
    node.receive(command_frame(NmtCommand.START), 10.1)
    node.tick(10.2)
    assert node.state is INIT and node.frames_to_send() == [], "who initialises hears nothing"
    node.tick(10.25)
    assert [line(sent) for sent in node.frames_to_send()] == ["705#00"]
    assert node.deadline() is None
    assert node.events() == [NmtChanged(NODE, 10.0, INIT), NmtChanged(NODE, 10.25, PRE_OP)]


@pytest.mark.parametrize(
    "other",
    [
        frame("000#0106"),
        frame("000#01"),
        frame("000#010500"),
        frame("000#0505"),
        frame("000#0185"),
        frame("001#0105"),
        Frame(0, b"\1\5", extended=True),
        Frame(0, b"\1\5", fd=True),
        Frame(0, b"\1\5", error=True),
        Frame(0, remote=True, dlc=2),
    ],
    ids=repr,
)
def test_what_is_no_command_for_this_node_changes_nothing(other):
    node = slave()
    node.receive(other, 1.0)
    assert (node.state, node.frames_to_send(), node.events()) == (PRE_OP, [], [])


def test_a_command_that_cannot_be_read_is_counted():
    node = slave()
    for text in ("000#01", "000#0505", "000#0185", "000#0106"):
        node.receive(frame(text), 1.0)
    assert node.malformed == 3


def test_boot_up_may_be_said_in_another_way_or_not_at_all():
    for frames in ([], [Frame(0x85)]):
        node = NmtSlave(NODE, boot_up=frames)
        node.boot(0.0)
        node.tick(0.0)
        assert (node.frames_to_send(), node.state) == (frames, PRE_OP)


class AnyInput(RuleBasedStateMachine):
    """Whatever comes: the slave is where the table says, and boots when it said it would."""

    @initialize(boot_s=st.sampled_from([0.0, 0.5]))
    def begin(self, boot_s):
        self.now = 0.0
        self.node = NmtSlave(NODE, boot_s)
        self.state, self.boots_at = INIT, boot_s
        self.node.boot(0.0)
        self.boot_ups = 0
        self.tick()

    def tick(self):
        self.node.tick(self.now)
        sent = self.node.frames_to_send()
        if self.boots_at is not None and self.now >= self.boots_at:
            self.state, self.boots_at = PRE_OP, None
            assert [line(one) for one in sent] == ["705#00"]
        else:
            assert sent == []

    @rule(command=st.sampled_from(NmtCommand), node_id=st.sampled_from([0, NODE, 6]))
    def command(self, command, node_id):
        self.node.receive(command_frame(command, node_id), self.now)
        if node_id != 6:
            after = TRANSITIONS.get((self.state, command))
            self.state = self.state if after is None else after
            if after is INIT:
                self.boots_at = self.now + self.node.boot_s
        self.tick_after_receive()

    def tick_after_receive(self):
        sent = self.node.frames_to_send()
        if self.boots_at is not None and self.now >= self.boots_at:
            self.state, self.boots_at = PRE_OP, None
            assert [line(one) for one in sent] == ["705#00"]
        else:
            assert sent == []

    @rule(data=st.binary(max_size=8), can_id=st.sampled_from([0, 1, 0x705]), extended=st.booleans())
    def anything(self, data, can_id, extended):
        if len(data) == 2 and data[0] in set(NmtCommand) and not can_id and not extended:
            return
        self.node.receive(Frame(can_id, data, extended=extended), self.now)
        self.tick_after_receive()

    @rule(behaviour=st.integers(0, 255))
    def react(self, behaviour):
        after = ERROR_BEHAVIOUR.get(behaviour, {}).get(self.state)
        if self.state is INIT:
            return
        self.node.react(behaviour, self.now)
        self.state = self.state if after is None else after

    @rule(seconds=st.floats(0.0, 1.0))
    def wait(self, seconds):
        self.now += seconds
        self.tick()

    @invariant()
    def is_in_the_table(self):
        assert self.node.state is self.state
        assert self.node.deadline() == self.boots_at
        changes = [event.state for event in self.node.events()]
        assert all(a is not b for a, b in itertools.pairwise(changes))


AnyInput.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyInput = AnyInput.TestCase


@given(st.lists(st.sampled_from(NmtCommand)))
def test_the_last_command_alone_decides(commands):
    node = slave()
    for number, command in enumerate(commands):
        node.receive(command_frame(command, NODE), float(number))
    assert node.state is (TOLD_AFTER[commands[-1]] if commands else PRE_OP)
