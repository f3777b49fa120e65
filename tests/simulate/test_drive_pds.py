"""The drive's side of the state machine: every row of the transition table, and no way round it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.states import TRANSITIONS, Command, PdsState, controlword_command, pds_state, transition
from opendiag.simulate.pds import ENABLE_S, Pds, Stop

S = PdsState
WORDS = {
    Command.SHUTDOWN: 0x06,
    Command.SWITCH_ON: 0x07,
    Command.ENABLE_OPERATION: 0x0F,
    Command.DISABLE_VOLTAGE: 0x00,
    Command.QUICK_STOP: 0x02,
    Command.FAULT_RESET: 0x80,
}
#: Controlwords and waiting times that lead from SWITCH ON DISABLED to each state.
WAYS = {
    S.SWITCH_ON_DISABLED: [],
    S.READY_TO_SWITCH_ON: [0x06],
    S.SWITCHED_ON: [0x06, 0x07],
    S.OPERATION_ENABLED: [0x06, 0x0F],
    S.QUICK_STOP_ACTIVE: [0x06, 0x0F, 0x02],
}


class Bench:
    """A state machine whose shaft stands still, unless a test says otherwise."""

    def __init__(self, **options):
        self.options = {0x605A: 6, 0x605B: 0, 0x605C: 1, 0x605E: 2} | {int(k[1:], 16): v for k, v in options.items()}
        self.now, self.standing, self.clear, self.states = 0.0, True, True, []
        self.pds = Pds(self.options.__getitem__, lambda state, now: self.states.append(state), lambda: self.clear)
        self.pds.power_on(0.0)
        assert self.pds.state is S.NOT_READY_TO_SWITCH_ON
        self.wait()

    def wait(self, seconds=0.1):
        end = self.now + seconds
        while (due := self.pds.deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self.pds.tick(self.now, self.standing)
        self.now = end

    def write(self, *words):
        for word in words:
            self.pds.write(word, self.now)
            self.wait()
        return self.pds.state

    def to(self, state):
        if state in (S.FAULT, S.FAULT_REACTION_ACTIVE):
            self.write(0x06, 0x0F)
            self.standing = False
            self.pds.fault(self.now)
            self.standing = state is S.FAULT
            self.wait()
        else:
            self.write(*WAYS[state])
        assert self.pds.state is state
        return self


@pytest.mark.parametrize("row", [t for t in TRANSITIONS if t.commands], ids=lambda t: str(t.number))
def test_every_commanded_row_of_the_table(row):
    for command in row.commands:
        bench = Bench().to(row.source)
        word = WORDS[command]
        bench.pds.write(word, bench.now)
        bench.wait()
        assert row.number in bench.pds.made[-2:]
        after = S.OPERATION_ENABLED if (row.number, command) == (3, Command.ENABLE_OPERATION) else row.target
        assert bench.pds.state is after


def test_the_rows_that_a_drive_makes_by_itself():
    assert Bench().pds.made == [0, 1]
    bench = Bench(_605A=2).to(S.OPERATION_ENABLED)
    bench.standing = False
    assert bench.write(0x02) is S.QUICK_STOP_ACTIVE and bench.pds.energised
    bench.standing = True
    bench.wait()
    assert bench.pds.made[-2:] == [11, 12] and not bench.pds.energised
    for state in WAYS:
        bench = Bench().to(state)
        bench.pds.fault(bench.now)
        bench.wait()
        assert bench.pds.made[-2:] == [13, 14] and not bench.pds.energised


@pytest.mark.parametrize("state", [*WAYS, S.FAULT, S.FAULT_REACTION_ACTIVE])
@pytest.mark.parametrize("command", Command)
def test_what_is_not_in_the_table_changes_nothing(state, command):
    bench = Bench().to(state)
    if transition(state, command) is None:
        assert bench.write(WORDS[command]) is state


@pytest.mark.parametrize("state", [*WAYS, S.FAULT, S.FAULT_REACTION_ACTIVE])
def test_the_status_shows_the_state(state):
    assert pds_state(Bench().to(state).pds.status) is state


def test_enabling_takes_a_few_milliseconds_and_can_be_taken_back():
    bench = Bench().to(S.SWITCHED_ON)
    bench.pds.write(0x0F, bench.now)
    bench.wait(ENABLE_S / 2)
    assert bench.pds.state is S.SWITCHED_ON and not bench.pds.energised
    assert bench.write(0x07) is S.SWITCHED_ON
    assert bench.write(0x0F) is S.OPERATION_ENABLED


@pytest.mark.parametrize(
    ("option", "end"),
    [
        (0, S.SWITCH_ON_DISABLED),
        (1, S.SWITCH_ON_DISABLED),
        (4, S.SWITCH_ON_DISABLED),
        (5, S.QUICK_STOP_ACTIVE),
        (8, S.QUICK_STOP_ACTIVE),
    ],
)
def test_quick_stop_options(option, end):
    bench = Bench(_605A=option).to(S.OPERATION_ENABLED)
    assert bench.write(0x02) is end
    assert bench.states[-2 if option < 5 else -1] is S.QUICK_STOP_ACTIVE
    back = bench.write(0x0F)
    assert back is (S.OPERATION_ENABLED if option >= 5 else S.SWITCH_ON_DISABLED)


def test_quick_stop_without_a_ramp_is_over_at_once():
    bench = Bench(_605A=0).to(S.OPERATION_ENABLED)
    bench.standing = False
    bench.pds.write(0x02, bench.now)
    assert bench.pds.made[-2:] == [11, 12] and not bench.pds.energised


def test_disable_operation_brakes_first_and_can_be_taken_back():
    bench = Bench().to(S.OPERATION_ENABLED)
    bench.standing = False
    assert bench.write(0x07) is S.OPERATION_ENABLED and bench.pds.stop is Stop.SLOW
    assert bench.write(0x0F) is S.OPERATION_ENABLED and bench.pds.stop is None
    bench.write(0x07)
    bench.standing = True
    bench.wait()
    assert bench.pds.state is S.SWITCHED_ON and not bench.pds.energised
    bench = Bench(_605C=0).to(S.OPERATION_ENABLED)
    bench.standing = False
    assert bench.write(0x07) is S.SWITCHED_ON


def test_fault_reset_needs_a_rising_edge_and_a_cause_that_is_gone():
    bench = Bench().to(S.OPERATION_ENABLED)
    bench.write(0x8F)
    bench.pds.fault(bench.now)
    bench.wait()
    assert bench.write(0x8F, 0x80) is S.FAULT, "bit 7 was set already"
    bench.clear = False
    assert bench.write(0x00, 0x80) is S.FAULT
    bench.clear = True
    assert bench.write(0x80) is S.FAULT
    assert bench.write(0x00, 0x80) is S.SWITCH_ON_DISABLED


def test_a_fault_that_cannot_brake_coasts():
    bench = Bench().to(S.OPERATION_ENABLED)
    bench.standing = False
    bench.pds.fault(bench.now, coast=True)
    assert bench.pds.state is S.FAULT and not bench.pds.energised


words = st.one_of(st.sampled_from([0, 2, 6, 7, 0xF, 0x1F, 0x80, 0x8F, 0x10F]), st.integers(0, 0xFFFF))
steps = st.lists(st.tuples(words, st.floats(0, 0.02), st.booleans(), st.sampled_from([None, None, None, "fault"])))


@given(steps, st.integers(0, 8), st.integers(-1, 1), st.integers(-1, 1))
def test_nothing_but_enable_operation_enables(plan, quick, shutdown, disable):
    bench = Bench(_605A=quick, _605B=shutdown, _605C=disable)
    table = {(t.source, t.target) for t in TRANSITIONS}
    for word, pause, standing, fault in plan:
        before, count = bench.pds.state, len(bench.states)
        bench.standing = standing
        if fault:
            bench.pds.fault(bench.now)
        else:
            bench.pds.write(word, bench.now)
        bench.wait(pause)
        path = [before, *bench.states[count:]]
        for old, new in zip(path, path[1:], strict=False):  # noqa: RUF007
            assert (old, new) in table or (new is S.FAULT_REACTION_ACTIVE and (None, new) in table)
        if S.OPERATION_ENABLED in path[1:]:
            assert controlword_command(bench.pds.controlword) is Command.ENABLE_OPERATION
        if bench.pds.energised:
            assert bench.pds.state in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE)
        assert pds_state(bench.pds.status) is bench.pds.state
