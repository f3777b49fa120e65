"""Modes of operation: 6060h asks for one, 6061h shows the one at work, 6502h lists those a drive has."""

from __future__ import annotations

from enum import IntEnum

from opendiag.dictionary.tables.cia402 import MODES


class Mode(IntEnum):
    """The standard's modes by their CiA short names; ``mode.label`` is the text for people."""

    NONE = 0
    PP = 1
    VL = 2
    PV = 3
    TQ = 4
    HM = 6
    IP = 7
    CSP = 8
    CSV = 9
    CST = 10
    CSTCA = 11

    @property
    def label(self) -> str:
        return mode_label(self)


def mode_text(mode: int) -> str:
    """As in "homing (hm)"; negative modes are the manufacturer's, the others up to 127 reserved."""
    if mode < 0:
        return "manufacturer specific mode"
    return MODES.get(mode, "reserved mode")


def mode_label(mode: int) -> str:
    """As in "6 homing (hm)": number and name."""
    return f"{int(mode)} {mode_text(mode)}"


def supported_modes(supported: int) -> tuple[Mode, ...]:
    """Modes in the value of 6502h. Bit n stands for mode n + 1; bits 16..31 are the manufacturer's.

    A drive that answers 0 or lacks 6502h may still have modes: nobody should refuse one for that alone.
    """
    return tuple(mode for mode in Mode if mode and supported >> (mode - 1) & 1)
