"""opendiag.cia402.states: statusword and controlword patterns, transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.states import (
    CONTROLWORD_PATTERNS,
    STATUSWORD_PATTERNS,
    TRANSITIONS,
    Command,
    PdsState,
    controlword_command,
    pds_state,
    transition,
)


def state_by_questions(word):
    """The state diagram read bit by bit, instead of by masks and values."""
    ready, on, enabled, fault = (bool(word & 1 << bit) for bit in (0, 1, 2, 3))
    no_quick_stop, disabled = bool(word & 1 << 5), bool(word & 1 << 6)
    three = (ready, on, enabled)
    if disabled:
        return PdsState.SWITCH_ON_DISABLED if not fault and not any(three) else None
    if fault:
        return {
            (True, True, True): PdsState.FAULT_REACTION_ACTIVE,
            (False, False, False): PdsState.FAULT,
        }.get(three)
    if not any(three):
        return PdsState.NOT_READY_TO_SWITCH_ON
    if no_quick_stop:
        return {
            (True, False, False): PdsState.READY_TO_SWITCH_ON,
            (True, True, False): PdsState.SWITCHED_ON,
            (True, True, True): PdsState.OPERATION_ENABLED,
        }.get(three)
    return PdsState.QUICK_STOP_ACTIVE if all(three) else None


def test_all_65536_statuswords():
    assert [word for word in range(0x10000) if pds_state(word) != state_by_questions(word)] == []


def test_no_statusword_fits_two_patterns():
    for word in range(0x10000):
        assert sum(word & mask == value for mask, value, _ in STATUSWORD_PATTERNS) <= 1


def test_every_state_has_a_pattern():
    assert {state for _, _, state in STATUSWORD_PATTERNS} == set(PdsState)
    assert {pds_state(word) for word in range(0x80)} == {*PdsState, None}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (0x0000, PdsState.NOT_READY_TO_SWITCH_ON),
        (0x0250, PdsState.SWITCH_ON_DISABLED),
        (0x0231, PdsState.READY_TO_SWITCH_ON),
        (0x0233, PdsState.SWITCHED_ON),
        (0x0237, PdsState.OPERATION_ENABLED),
        (0x0227, PdsState.OPERATION_ENABLED),  # voltage enabled is 0: no part of the state
        (0x1637, PdsState.OPERATION_ENABLED),
        (0x0217, PdsState.QUICK_STOP_ACTIVE),
        (0x021F, PdsState.FAULT_REACTION_ACTIVE),
        (0x0218, PdsState.FAULT),
        (0x0238, PdsState.FAULT),
        (0x0001, None),
        (0x0025, None),
        (0x004F, None),
        (0xFFFF, None),
    ],
)
def test_statuswords_seen_in_the_field(word, state):
    assert pds_state(word) is state


@given(st.integers(0, 0xFFFF), st.sampled_from([4, 7, 8, 9, 10, 11, 12, 13, 14, 15]))
def test_other_bits_do_not_matter(word, bit):
    assert pds_state(word) is pds_state(word ^ 1 << bit)


def test_text_and_json_name():
    assert PdsState.OPERATION_ENABLED.value == "OPERATION ENABLED"
    assert all(state.value.replace(" ", "_") == state.name for state in PdsState)


# -- controlword ---------------------------------------------------------------------------------------------------


def command_by_questions(word):
    switch_on, voltage, no_quick_stop, enable, reset = (bool(word & 1 << bit) for bit in (0, 1, 2, 3, 7))
    if reset:
        return Command.FAULT_RESET
    if not voltage:
        return Command.DISABLE_VOLTAGE
    if not no_quick_stop:
        return Command.QUICK_STOP
    if not switch_on:
        return Command.SHUTDOWN
    return Command.ENABLE_OPERATION if enable else Command.SWITCH_ON


def test_all_65536_controlwords_are_one_command_each():
    assert [word for word in range(0x10000) if controlword_command(word) is not command_by_questions(word)] == []
    for word in range(0x100):
        fitting = [command for mask, value, command in CONTROLWORD_PATTERNS if word & mask == value]
        assert len(fitting) == 1


@pytest.mark.parametrize(
    ("word", "command"),
    [
        (0x0000, Command.DISABLE_VOLTAGE),
        (0x0002, Command.QUICK_STOP),
        (0x000B, Command.QUICK_STOP),
        (0x0006, Command.SHUTDOWN),
        (0x000E, Command.SHUTDOWN),
        (0x0007, Command.SWITCH_ON),
        (0x000F, Command.ENABLE_OPERATION),
        (0x001F, Command.ENABLE_OPERATION),
        (0x010F, Command.ENABLE_OPERATION),
        (0x0080, Command.FAULT_RESET),
        (0x008F, Command.FAULT_RESET),
    ],
)
def test_typical_controlwords(word, command):
    assert controlword_command(word) is command


# -- transitions ---------------------------------------------------------------------------------------------------


def test_transitions_are_numbered_like_the_standard():
    assert [t.number for t in TRANSITIONS] == list(range(17))
    assert all(t.commands or t.automatic for t in TRANSITIONS)


def test_only_enable_operation_leads_to_operation_enabled():
    leading = [t for t in TRANSITIONS if t.target is PdsState.OPERATION_ENABLED]
    assert [t.number for t in leading] == [4, 16]
    assert all(t.commands == (Command.ENABLE_OPERATION,) and not t.automatic for t in leading)


def test_a_fault_reset_ends_in_switch_on_disabled():
    assert transition(PdsState.FAULT, Command.FAULT_RESET).target is PdsState.SWITCH_ON_DISABLED
    assert [t.number for t in TRANSITIONS if Command.FAULT_RESET in t.commands] == [15]
    assert all(transition(PdsState.FAULT, c) is None for c in Command if c is not Command.FAULT_RESET)


def test_from_switch_on_disabled_to_operation_enabled_and_back():
    state, numbers = PdsState.SWITCH_ON_DISABLED, []
    for word in (0x06, 0x07, 0x0F, 0x07, 0x06, 0x00):
        step = transition(state, controlword_command(word))
        state = step.target
        numbers.append(step.number)
    assert numbers == [2, 3, 4, 5, 6, 7]
    assert state is PdsState.SWITCH_ON_DISABLED


@pytest.mark.parametrize(
    ("state", "command", "number"),
    [
        (PdsState.READY_TO_SWITCH_ON, Command.ENABLE_OPERATION, 3),
        (PdsState.READY_TO_SWITCH_ON, Command.QUICK_STOP, 7),
        (PdsState.OPERATION_ENABLED, Command.SHUTDOWN, 8),
        (PdsState.OPERATION_ENABLED, Command.DISABLE_VOLTAGE, 9),
        (PdsState.SWITCHED_ON, Command.DISABLE_VOLTAGE, 10),
        (PdsState.OPERATION_ENABLED, Command.QUICK_STOP, 11),
        (PdsState.QUICK_STOP_ACTIVE, Command.DISABLE_VOLTAGE, 12),
        (PdsState.QUICK_STOP_ACTIVE, Command.ENABLE_OPERATION, 16),
        (PdsState.SWITCH_ON_DISABLED, Command.ENABLE_OPERATION, None),
        (PdsState.OPERATION_ENABLED, Command.ENABLE_OPERATION, None),
        (PdsState.FAULT_REACTION_ACTIVE, Command.FAULT_RESET, None),
        (PdsState.NOT_READY_TO_SWITCH_ON, Command.SHUTDOWN, None),
    ],
)
def test_transitions_by_command(state, command, number):
    step = transition(state, command)
    assert (None if step is None else step.number) == number


def test_one_command_has_one_effect_in_a_state():
    pairs = [(t.source, command) for t in TRANSITIONS for command in t.commands]
    assert len(set(pairs)) == len(pairs)
