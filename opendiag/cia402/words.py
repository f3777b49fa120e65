"""Statusword 6041h and controlword 6040h, bit by bit; some bits depend on the mode of operation."""

from __future__ import annotations

from opendiag.cia402.homing import homing_result
from opendiag.cia402.modes import Mode
from opendiag.cia402.states import PdsState, pds_state
from opendiag.dictionary.tables.cia402 import CONTROLWORD_BITS, STATUSWORD_BITS

#: mode of operation -> bit -> name; bits that are not here have no meaning in that mode, or one of the device's own.
STATUSWORD_MODE_BITS: dict[int, dict[int, str]] = {
    1: {12: "set-point acknowledge", 13: "following error"},
    3: {12: "speed is 0", 13: "maximum slippage reached"},
    6: {12: "homing attained", 13: "homing error"},
    7: {12: "interpolated position mode active"},
    8: {12: "drive follows the command value", 13: "following error"},
    9: {12: "drive follows the command value"},
    10: {12: "drive follows the command value"},
    11: {12: "drive follows the command value"},
}
CONTROLWORD_MODE_BITS: dict[int, dict[int, str]] = {
    1: {4: "new set-point", 5: "change set immediately", 6: "relative", 9: "change on set-point"},
    2: {4: "enable ramp", 5: "unlock ramp", 6: "reference ramp"},
    6: {4: "homing operation start"},
    7: {4: "enable interpolation"},
}
_COMMAND_BITS = (0, 1, 2, 3, 7)
_QUICK_STOP_BIT = 5
_VOLTAGE_BIT = 4
_POWERED = (
    PdsState.READY_TO_SWITCH_ON,
    PdsState.SWITCHED_ON,
    PdsState.OPERATION_ENABLED,
    PdsState.QUICK_STOP_ACTIVE,
)


def statusword_bits(statusword: int, mode: int | None) -> list[str]:
    """Names of the bits that are set. Bit 5 is inverted: set, no quick stop is under way."""
    special = STATUSWORD_MODE_BITS.get(mode or 0, {})
    return [
        "quick stop inactive (bit 5)" if bit == _QUICK_STOP_BIT else special.get(bit, name)
        for bit, name in STATUSWORD_BITS.items()
        if statusword >> bit & 1
    ]


def statusword_text(statusword: int, mode: int | None) -> list[str]:
    """The set bits, and what an absent one says."""
    named = statusword_bits(statusword, mode)
    if mode == Mode.HM and pds_state(statusword) is PdsState.OPERATION_ENABLED:
        result = homing_result(statusword)
        named += [] if result is None else [f"so: {result.value}"]
    if pds_state(statusword) in _POWERED and not statusword >> _VOLTAGE_BIT & 1:
        named.append("but the voltage enabled bit is 0")
    return named


def controlword_text(controlword: int, mode: int | None) -> list[str]:
    """The set bits beyond the state command (0..3 and 7): mode specific ones, halt, manufacturer's."""
    special = CONTROLWORD_MODE_BITS.get(mode or 0, {})
    names = [(bit, special.get(bit, name)) for bit, name in CONTROLWORD_BITS.items() if bit not in _COMMAND_BITS]
    return [name for bit, name in names if controlword >> bit & 1]
