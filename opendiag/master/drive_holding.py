"""A drive that is about to be enabled is to stand still and hold, whatever mode it was left in."""

from __future__ import annotations

import logging

from opendiag.cia402 import power
from opendiag.cia402.link import STOPPED, DriveLink
from opendiag.cia402.mode_change import set_mode
from opendiag.cia402.modes import Mode, mode_label
from opendiag.cia402.objects import MODE, MODE_DISPLAY
from opendiag.cia402.path import COMMAND_WORDS, ENERGISED
from opendiag.cia402.states import Command, PdsState
from opendiag.errors import ModeRefused, NotPermitted
from opendiag.services.plans import Plan

_LOG = logging.getLogger("opendiag")
_FAULTS = (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE)
#: Modes in which a drive that was just enabled stands, and holds against a load.
_HOLDING = (Mode.PP, Mode.VL, Mode.PV, Mode.HM, Mode.IP, Mode.CSP, Mode.CSV)


def hold(link: DriveLink, asked_mode: int | None) -> Plan[None]:
    """A drive without a mode, or in one of torque, holds nothing: a load would run away with it.

    Unless the script has asked for that mode (``asked_mode``), it is put in profile position.
    Raise NotPermitted when a stop comes.
    """
    yield from link.status()
    if link.state in _FAULTS or (link.state is PdsState.OPERATION_ENABLED and link.permitted):
        return
    shown = yield from link.read_if_there(MODE_DISPLAY)
    if shown is None:
        shown = yield from link.read_if_there(MODE)
    if shown in _HOLDING or (shown is not None and shown == asked_mode):
        return
    if link.state is None or link.state in ENERGISED:  # somebody else's: nobody knows what it would do
        yield from power.disable(link)
    stops = link.stops
    try:
        yield from set_mode(link, Mode.PP)
    except ModeRefused as error:
        text = "unknown" if shown is None else mode_label(shown)
        _LOG.warning("drive %d may not hold its position: its mode is %s, and %s", link.node_id, text, error)
        return
    if link.stops != stops:
        raise NotPermitted(link.node_id, COMMAND_WORDS[Command.ENABLE_OPERATION], STOPPED)
