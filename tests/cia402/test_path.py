"""opendiag.cia402.path: which command leads on from where, for all states and targets."""

import pytest

from opendiag.cia402.path import COMMAND_WORDS, ENERGISED, PASSING, WAYS, Target, energises, next_command
from opendiag.cia402.states import Command, PdsState, controlword_command, transition
from opendiag.errors import UnknownTarget

S, C, T = PdsState, Command, Target
SHUTDOWN, SWITCH_ON, ENABLE, OFF = C.SHUTDOWN, C.SWITCH_ON, C.ENABLE_OPERATION, C.DISABLE_VOLTAGE

#: Written down from the standard's diagram, state by state; None: nothing helps, or nothing is to be done.
EXPECTED = {
    S.NOT_READY_TO_SWITCH_ON: (None, None, None, None),
    S.SWITCH_ON_DISABLED: (None, SHUTDOWN, SHUTDOWN, SHUTDOWN),
    S.READY_TO_SWITCH_ON: (OFF, None, SWITCH_ON, SWITCH_ON),
    S.SWITCHED_ON: (OFF, SHUTDOWN, None, ENABLE),
    S.OPERATION_ENABLED: (SWITCH_ON, SWITCH_ON, SWITCH_ON, None),
    S.QUICK_STOP_ACTIVE: (OFF, OFF, OFF, OFF),
    S.FAULT_REACTION_ACTIVE: (None, None, None, None),
    S.FAULT: (None, None, None, None),
}
TARGETS = (T.SWITCH_ON_DISABLED, T.READY_TO_SWITCH_ON, T.SWITCHED_ON, T.OPERATION_ENABLED)


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("number", range(4), ids=lambda n: TARGETS[n].name)
def test_every_state_and_every_target(state, number):
    assert next_command(state, TARGETS[number]) is EXPECTED[state][number]


def test_the_table_above_is_complete():
    assert set(EXPECTED) == set(S)
    assert set(TARGETS) == set(Target) == set(WAYS)


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("state", [state for state in S if state not in PASSING and state is not S.FAULT])
def test_following_the_commands_leads_there_and_never_through_a_state_that_energises(state, target):
    passed, now = [], state
    while now is not target.value:
        command = next_command(now, target)
        now = transition(now, command).target
        passed.append(now)
        assert len(passed) <= 4
    assert not ENERGISED.intersection(passed[:-1])


@pytest.mark.parametrize("target", [target for target in Target if target is not T.OPERATION_ENABLED])
def test_no_way_to_another_state_asks_for_enable_operation(target):
    assert ENABLE not in WAYS[target].values()


def test_no_way_leads_out_of_a_fault_or_back_into_what_was_stopped():
    for way in WAYS.values():
        assert S.FAULT not in way
        assert way.get(S.QUICK_STOP_ACTIVE) in (None, OFF)
        assert not {C.FAULT_RESET, C.QUICK_STOP} & set(way.values())


@pytest.mark.parametrize("command", list(Command))
def test_the_word_of_each_command_is_that_command(command):
    word = COMMAND_WORDS[command]
    assert controlword_command(word) is command
    assert energises(word) is (command is ENABLE)


def test_every_word_that_a_drive_may_take_for_enable_operation_energises():
    for word in range(0x10000):
        # with bit 7 low it is the command; with bit 7 high it is for drives that do not look at the edge
        assert energises(word) is (controlword_command(word & ~0x80) is ENABLE)


@pytest.mark.parametrize("text", ["operation enabled", "OPERATION_ENABLED", " Operation-Enabled ", T.OPERATION_ENABLED])
def test_a_target_as_people_write_it(text):
    assert Target.parse(5, text) is T.OPERATION_ENABLED


@pytest.mark.parametrize(
    "text", ["", "operation enable", "enabled", "FAULT", "quick stop active", "NOT READY", "x" * 99]
)
def test_a_misspelt_target_is_an_error_and_no_other_target(text):
    with pytest.raises(UnknownTarget, match="nothing was sent") as caught:
        Target.parse(5, text)
    assert caught.value.known == tuple(target.value.value for target in Target)
