"""opendiag.cia402.modes: modes of operation and the list of those a drive has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.modes import Mode, mode_label, mode_text, supported_modes
from opendiag.dictionary import builtin


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (0, "no mode"),
        (1, "profile position (pp)"),
        (6, "homing (hm)"),
        (8, "cyclic synchronous position (csp)"),
        (5, "reserved mode"),
        (127, "reserved mode"),
        (-1, "manufacturer specific mode"),
        (-128, "manufacturer specific mode"),
    ],
)
def test_names(mode, text):
    assert mode_text(mode) == text


def test_labels():
    assert mode_label(1) == "1 profile position (pp)"
    assert mode_label(-3) == "-3 manufacturer specific mode"
    assert Mode.CSP.label == "8 cyclic synchronous position (csp)"


def test_each_mode_is_in_the_dictionary_under_its_short_name():
    values = builtin.get(0x6061, 0).values
    assert sorted(values) == sorted(Mode)
    assert all(values[mode].endswith(f"({mode.name.lower()})") for mode in Mode if mode)


@pytest.mark.parametrize(
    ("value", "modes"),
    [
        (0, ()),
        (0x000003EF, (Mode.PP, Mode.VL, Mode.PV, Mode.TQ, Mode.HM, Mode.IP, Mode.CSP, Mode.CSV, Mode.CST)),
        (0x000000ED, (Mode.PP, Mode.PV, Mode.TQ, Mode.HM, Mode.IP, Mode.CSP)),
        (1 << 10, (Mode.CSTCA,)),
        (1 << 4, ()),  # mode 5 is reserved
        (0xFFFF0000, ()),  # the manufacturer's
    ],
)
def test_supported_modes(value, modes):
    assert supported_modes(value) == modes


@given(st.integers(0, 0xFFFFFFFF))
def test_supported_modes_and_the_bits_of_the_dictionary_agree(value):
    bits = builtin.get(0x6502, 0).bits
    assert [mode.name.lower() for mode in supported_modes(value)] == [
        name for bit, name in bits.items() if value >> bit & 1
    ]
