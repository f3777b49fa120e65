"""Modes of operation, 6060h and 6061h."""

from __future__ import annotations

from opendiag.dictionary.tables.cia402 import MODES


def mode_text(mode: int) -> str:
    """As in "homing (hm)"; negative modes are the manufacturer's, the others up to 127 reserved."""
    if mode < 0:
        return "manufacturer specific mode"
    return MODES.get(mode, "reserved mode")
