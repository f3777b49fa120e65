"""Changing the mode of operation: ask 6502h, write 6060h, wait for 6061h. A mode that does not come is an error."""

from __future__ import annotations

from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.modes import Mode, mode_label, supported_modes
from opendiag.cia402.objects import MODE, MODE_DISPLAY, SUPPORTED_MODES
from opendiag.cia402.power import neutralise
from opendiag.cia402.states import PdsState
from opendiag.errors import ModeRefused, SdoAborted, UnknownTarget
from opendiag.services.plans import Now, Plan, Sleep


def parse_mode(node_id: int, mode: int | str) -> int:
    """A number, or a short name as in "pp" or "csp". Raise UnknownTarget, before anything is sent."""
    if isinstance(mode, int):
        if -128 <= mode <= 127:
            return int(mode)
    elif mode.strip().upper() in Mode.__members__:
        return Mode[mode.strip().upper()]
    known = tuple(name.lower() for name in Mode.__members__ if name != "NONE")
    raise UnknownTarget(node_id, "mode of operation", str(mode), (*known, "-128..127"))


def set_mode(link: DriveLink, mode: int | str, timeout_s: float | None = None) -> Plan[int]:
    """Let the drive work in this mode, without moving: what the mode follows is set to "stay" first. Gives the mode.

    6502h counts only where it lists a mode at all: drives that answer 0, or lack it, may still have modes. Any value
    may show in 6061h while the drive changes. Raise UnknownTarget, ModeRefused, SdoError.
    """
    wanted = parse_mode(link.node_id, mode)
    shown = yield from link.read_if_there(MODE_DISPLAY)
    if shown == wanted:
        return wanted
    supported = yield from link.read_if_there(SUPPORTED_MODES)
    if supported and wanted > 0 and not supported >> (wanted - 1) & 1:
        has = ", ".join(each.name.lower() for each in supported_modes(supported)) or "none of the standard's"
        raise ModeRefused(link.node_id, mode_label(wanted), None, f"the drive has {has} (6502:00 is {supported:08X}h)")
    yield from neutralise(link, wanted)
    if link.quirks.halt_blocks_modes and link.controlword & HALT and link.permitted:
        yield from link.status()
        if link.state is PdsState.OPERATION_ENABLED:
            yield from link.change(clear_bits=HALT, during="halt was to be cleared for a change of mode")
    try:
        yield from link.write(MODE, wanted)
    except SdoAborted as error:
        reason = f"6060:00 cannot be written: {error.text}"
        if link.controlword & HALT:
            reason += "; halt is set, which some drives do not allow here"
        raise ModeRefused(link.node_id, mode_label(wanted), None, reason) from error
    return (yield from _await_mode(link, wanted, timeout_s or link.quirks.mode_s))


def _await_mode(link: DriveLink, wanted: int, timeout_s: float) -> Plan[int]:
    began = yield Now()
    while True:
        shown = yield from link.read_if_there(MODE_DISPLAY)
        if shown is None:  # nothing says which mode is at work: what was written has to do
            shown = yield from link.read(MODE)
        if shown == wanted:
            return wanted
        if (yield Now()) - began >= timeout_s:
            reason = f"it was written to 6060:00, and not taken within {timeout_s:g} s"
            raise ModeRefused(link.node_id, mode_label(wanted), mode_label(shown), reason)
        yield Sleep(link.timing.poll_s)
