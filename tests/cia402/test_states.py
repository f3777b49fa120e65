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

S, C = PdsState, Command


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
        (0x1270, PdsState.SWITCH_ON_DISABLED),
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


#: Bits 7, 3, 2, 1, 0 as the profile writes them; x is either.
PROFILE = {
    Command.SHUTDOWN: "0x110",
    Command.SWITCH_ON: "00111",
    Command.ENABLE_OPERATION: "01111",
    Command.DISABLE_VOLTAGE: "0xx0x",
    Command.QUICK_STOP: "0x01x",
    Command.FAULT_RESET: "1xxxx",
}


def commands_of_the_profile(controlword):
    text = "".join(str(controlword >> bit & 1) for bit in (7, 3, 2, 1, 0))
    return [
        command
        for command, pattern in PROFILE.items()
        if all(p in ("x", t) for p, t in zip(pattern, text, strict=True))
    ]


def test_every_controlword_is_one_command_of_the_profile():
    assert [w for w in range(0x10000) if commands_of_the_profile(w) != [controlword_command(w)]] == []


@pytest.mark.parametrize(
    ("word", "command"),
    [
        (0x0000, Command.DISABLE_VOLTAGE),
        (0x0001, Command.DISABLE_VOLTAGE),
        (0x000D, Command.DISABLE_VOLTAGE),
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


#: What each command does in each state it does something in: number of the transition and where it ends.
EFFECTS = {
    (S.SWITCH_ON_DISABLED, C.SHUTDOWN): (2, S.READY_TO_SWITCH_ON),
    (S.READY_TO_SWITCH_ON, C.SWITCH_ON): (3, S.SWITCHED_ON),
    (S.READY_TO_SWITCH_ON, C.ENABLE_OPERATION): (3, S.SWITCHED_ON),
    (S.READY_TO_SWITCH_ON, C.DISABLE_VOLTAGE): (7, S.SWITCH_ON_DISABLED),
    (S.READY_TO_SWITCH_ON, C.QUICK_STOP): (7, S.SWITCH_ON_DISABLED),
    (S.SWITCHED_ON, C.ENABLE_OPERATION): (4, S.OPERATION_ENABLED),
    (S.SWITCHED_ON, C.SHUTDOWN): (6, S.READY_TO_SWITCH_ON),
    (S.SWITCHED_ON, C.DISABLE_VOLTAGE): (10, S.SWITCH_ON_DISABLED),
    (S.SWITCHED_ON, C.QUICK_STOP): (10, S.SWITCH_ON_DISABLED),
    (S.OPERATION_ENABLED, C.SWITCH_ON): (5, S.SWITCHED_ON),
    (S.OPERATION_ENABLED, C.SHUTDOWN): (8, S.READY_TO_SWITCH_ON),
    (S.OPERATION_ENABLED, C.DISABLE_VOLTAGE): (9, S.SWITCH_ON_DISABLED),
    (S.OPERATION_ENABLED, C.QUICK_STOP): (11, S.QUICK_STOP_ACTIVE),
    (S.QUICK_STOP_ACTIVE, C.DISABLE_VOLTAGE): (12, S.SWITCH_ON_DISABLED),
    (S.QUICK_STOP_ACTIVE, C.ENABLE_OPERATION): (16, S.OPERATION_ENABLED),
    (S.FAULT, C.FAULT_RESET): (15, S.SWITCH_ON_DISABLED),
}


@pytest.mark.parametrize("state", PdsState)
@pytest.mark.parametrize("command", Command)
def test_what_a_command_does_in_a_state(state, command):
    found = transition(state, command)
    assert (found and (found.number, found.target)) == EFFECTS.get((state, command))
    assert found is None or (found.source is state and command in found.commands)


def test_one_command_has_one_effect_in_a_state():
    pairs = [(t.source, command) for t in TRANSITIONS for command in t.commands]
    assert len(set(pairs)) == len(pairs)


def test_no_two_transitions_join_the_same_states():
    pairs = [(t.source, t.target) for t in TRANSITIONS]
    assert len(set(pairs)) == len(pairs)
    assert all(t.source is not t.target for t in TRANSITIONS)


def test_what_the_drive_does_by_itself():
    assert [t.number for t in TRANSITIONS if t.automatic] == [0, 1, 12, 13, 14]
    assert [t.number for t in TRANSITIONS if not t.commands] == [0, 1, 13, 14]
    assert [t.number for t in TRANSITIONS if t.source is None] == [0, 13]


def reachable(start):
    """States that commands and the drive's own steps lead to; a fault can happen in any of them."""
    known, new = set(), {start}
    while new:
        known |= new
        new = {t.target for t in TRANSITIONS if t.source in known or (t.source is None and t.number == 13)} - known
    return known


@pytest.mark.parametrize("state", PdsState)
def test_from_every_state_a_drive_can_come_to_operation_enabled(state):
    assert S.OPERATION_ENABLED in reachable(state)


def test_from_power_on_every_state_can_be_reached():
    assert reachable(S.NOT_READY_TO_SWITCH_ON) == set(PdsState)


def test_nothing_returns_to_not_ready_to_switch_on():
    assert reachable(S.SWITCH_ON_DISABLED) == set(PdsState) - {S.NOT_READY_TO_SWITCH_ON}


def walk(state, *controlwords):
    """State after each controlword; a drive that a word says nothing to stays."""
    path = []
    for word in controlwords:
        found = transition(state, controlword_command(word))
        state = found.target if found else state
        path.append(state)
    return path


def test_the_usual_way_up_and_down():
    assert walk(S.SWITCH_ON_DISABLED, 0x06, 0x07, 0x0F) == [S.READY_TO_SWITCH_ON, S.SWITCHED_ON, S.OPERATION_ENABLED]
    assert walk(S.OPERATION_ENABLED, 0x07, 0x06, 0x00) == [S.SWITCHED_ON, S.READY_TO_SWITCH_ON, S.SWITCH_ON_DISABLED]


def test_ways_that_masters_get_wrong():
    assert walk(S.SWITCH_ON_DISABLED, 0x0F, 0x07) == [S.SWITCH_ON_DISABLED] * 2
    assert walk(S.READY_TO_SWITCH_ON, 0x0F, 0x0F) == [S.SWITCHED_ON, S.OPERATION_ENABLED]
    assert walk(S.FAULT, 0x06, 0x0F, 0x00, 0x80) == [S.FAULT] * 3 + [S.SWITCH_ON_DISABLED]
    assert walk(S.FAULT_REACTION_ACTIVE, 0x80, 0x06) == [S.FAULT_REACTION_ACTIVE] * 2
    assert walk(S.OPERATION_ENABLED, 0x02, 0x06, 0x07, 0x0F) == [S.QUICK_STOP_ACTIVE] * 3 + [S.OPERATION_ENABLED]
