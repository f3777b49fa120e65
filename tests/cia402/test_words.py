"""opendiag.cia402.words: the bits of statusword and controlword in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.modes import Mode
from opendiag.cia402.states import Command, controlword_command, pds_state
from opendiag.cia402.words import (
    CONTROLWORD_MODE_BITS,
    STATUSWORD_MODE_BITS,
    controlword_text,
    statusword_bits,
    statusword_text,
)
from opendiag.dictionary import builtin

WORDS = st.integers(0, 0xFFFF)
MODES = st.none() | st.integers(-128, 127)
NO_VOLTAGE = "but the voltage enabled bit is 0"


def test_an_enabled_drive_without_the_voltage_bit():
    assert statusword_text(0x0227, None) == [
        "ready to switch on",
        "switched on",
        "operation enabled",
        "quick stop inactive (bit 5)",
        "remote",
        NO_VOLTAGE,
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (0x0237, False),
        (0x0221, True),
        (0x0231, False),
        (0x0223, True),
        (0x0207, True),
        (0x0217, False),
        (0x0240, False),  # no voltage is expected there
        (0x0208, False),
        (0x000F, False),
        (0x0000, False),
    ],
)
def test_a_missing_voltage_is_said_from_ready_to_switch_on_up(word, said):
    assert (NO_VOLTAGE in statusword_text(word, None)) is said


def test_quick_stop_is_inverted():
    assert "quick stop inactive (bit 5)" in statusword_text(0x0237, None)
    assert not [text for text in statusword_text(0x0217, None) if "quick stop" in text]


@given(WORDS, MODES)
def test_every_bit_that_is_set_is_named_once(word, mode):
    named = statusword_bits(word, mode)
    assert len(named) == bin(word).count("1")
    assert len(set(named)) == len(named)
    assert all(named)


@given(WORDS, MODES)
def test_no_voltage_is_said_only_if_the_bit_is_0(word, mode):
    if NO_VOLTAGE in statusword_text(word, mode):
        assert not word & 0x10 and pds_state(word) is not None


@pytest.mark.parametrize(
    ("mode", "bit", "text"),
    [
        (1, 10, "target reached"),
        (1, 12, "set-point acknowledge"),
        (1, 13, "following error"),
        (2, 12, "operation mode specific bit 12"),
        (3, 12, "speed is 0"),
        (3, 13, "maximum slippage reached"),
        (4, 13, "operation mode specific bit 13"),
        (6, 12, "homing attained"),
        (6, 13, "homing error"),
        (7, 12, "interpolated position mode active"),
        (8, 12, "drive follows the command value"),
        (8, 13, "following error"),
        (9, 12, "drive follows the command value"),
        (10, 12, "drive follows the command value"),
        (11, 12, "drive follows the command value"),
        (10, 13, "operation mode specific bit 13"),
        (None, 12, "operation mode specific bit 12"),
        (None, 13, "operation mode specific bit 13"),
        (0, 12, "operation mode specific bit 12"),
        (-3, 12, "operation mode specific bit 12"),
        (100, 13, "operation mode specific bit 13"),
    ],
)
def test_statusword_bits_by_mode(mode, bit, text):
    assert statusword_text(1 << bit, mode) == [text]


@pytest.mark.parametrize(
    ("word", "mode", "texts"),
    [
        (0x000F, None, []),
        (0x010F, None, ["halt"]),
        (0x0080, None, []),  # said by the command
        (0x001F, 1, ["new set-point"]),
        (0x007F, 1, ["new set-point", "change set immediately", "relative"]),
        (0x020F, 1, ["change on set-point"]),
        (0x007F, 2, ["enable ramp", "unlock ramp", "reference ramp"]),
        (0x001F, 6, ["homing operation start"]),
        (0x001F, 7, ["enable interpolation"]),
        (0x001F, 8, ["operation mode specific bit 4"]),
        (0x001F, None, ["operation mode specific bit 4"]),
        (0x080F, None, ["manufacturer specific bit 11"]),
    ],
)
def test_controlword_bits_by_mode(word, mode, texts):
    assert controlword_text(word, mode) == texts


@given(WORDS, MODES)
def test_command_and_text_say_all_of_a_controlword(word, mode):
    beyond_the_command = bin(word & 0xFF70).count("1")
    assert len(controlword_text(word, mode)) == beyond_the_command
    assert isinstance(controlword_command(word), Command)


def test_the_dictionary_has_the_same_words():
    status, control = builtin.get(0x6041, 0), builtin.get(0x6040, 0)
    assert sorted(status.bits) == sorted(control.bits) == list(range(16))
    assert statusword_text(0x0400, None) == [status.bits[10]]
    assert controlword_text(0x0100, None) == [control.bits[8]]


def test_modes_only_name_bits_that_the_standard_leaves_to_them():
    assert set(STATUSWORD_MODE_BITS) | set(CONTROLWORD_MODE_BITS) <= set(Mode)
    assert {bit for bits in STATUSWORD_MODE_BITS.values() for bit in bits} == {12, 13}
    assert {bit for bits in CONTROLWORD_MODE_BITS.values() for bit in bits} == {4, 5, 6, 9}


# -- every word ----------------------------------------------------------------------------------------------------


def names_of_single_bits(mode):
    """No single bit but the first is a state that needs voltage, and that one gets a note."""
    texts = [statusword_text(1 << bit, mode) for bit in range(16)]
    assert all(len(text) == 1 for text in texts)
    return [text[0] for text in texts]


def needs_voltage(statusword):
    low = statusword & 0x6F
    return low in (0x21, 0x23, 0x27, 0x07)


@pytest.mark.parametrize("mode", [None, -1, *range(12)])
def test_every_set_bit_is_named_once_lowest_first(mode):
    names = names_of_single_bits(mode)
    assert len(set(names)) == 16
    assert all(names)
    for word in range(0x10000) if mode == 1 else range(0, 0x10000, 7):
        expected = [name for bit, name in enumerate(names) if word >> bit & 1]
        assert statusword_bits(word, mode) == expected
        remarks = statusword_text(word, mode)[len(expected) :]
        assert (NO_VOLTAGE in remarks) is bool(needs_voltage(word) and not word & 0x10)
        assert remarks == [] or remarks[-1] == NO_VOLTAGE or mode == 6


@pytest.mark.parametrize(
    ("word", "mode", "said"),
    [
        (0x1637, 6, "so: homing done"),
        (0x0637, 6, "so: homing interrupted or not started"),
        (0x2237, 6, "so: homing error, still moving"),
        (0x1637, 8, None),
        (0x1631, 6, None),
    ],
)
def test_what_the_bits_say_about_homing_together(word, mode, said):
    """In mode 6 and OPERATION ENABLED only: nothing homes otherwise."""
    assert [text for text in statusword_text(word, mode) if text.startswith("so:")] == ([said] if said else [])


@pytest.mark.parametrize("mode", [None, -1, *range(12)])
def test_every_controlword_bit_beyond_the_command_is_named_once(mode):
    names = {bit: text for bit in range(16) for text in controlword_text(1 << bit, mode)}
    assert list(names) == [4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    assert len(set(names.values())) == 11
    for word in range(0, 0x10000, 7):
        assert controlword_text(word, mode) == [name for bit, name in names.items() if word >> bit & 1]
