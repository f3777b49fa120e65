"""Changing the mode of operation: ask 6502h, write 6060h, wait for 6061h. A mode that does not come is an error."""

from __future__ import annotations

import contextlib

from opendiag.cia402.link import HALT, KEPT, DriveLink
from opendiag.cia402.modes import Mode, mode_label, supported_modes
from opendiag.cia402.objects import MODE, MODE_DISPLAY, SUPPORTED_MODES
from opendiag.cia402.path import COMMAND_WORDS, ENERGISED
from opendiag.cia402.power import learn_controlword, neutralise
from opendiag.cia402.rest import rest_after
from opendiag.cia402.states import Command, PdsState
from opendiag.errors import ModeRefused, SdoAborted, SdoError, UnknownTarget
from opendiag.services.plans import Now, Plan, Sleep

S, C = PdsState, Command
#: Seconds between two looks at 6061h: a change may take long, and the bus has other things to do.
_FIRST_LOOK_S, _LAST_LOOK_S = 0.004, 0.05
#: What keeps a drive that is not energised where it is.
_STAY = {S.READY_TO_SWITCH_ON: C.SHUTDOWN, S.SWITCHED_ON: C.SWITCH_ON}


def parse_mode(node_id: int, mode: int | str) -> int:
    """A number, also as text, or a short name as in "pp" or "csp". Raise UnknownTarget, before anything is sent."""
    number = Mode.__members__.get(mode.strip().upper()) if isinstance(mode, str) else mode
    if number is None:
        with contextlib.suppress(ValueError):
            number = int(str(mode))
    if isinstance(number, int) and not isinstance(number, bool) and -128 <= number <= 127:
        return int(number)
    known = tuple(name.lower() for name in Mode.__members__ if name != "NONE")
    raise UnknownTarget(node_id, "mode of operation", str(mode), (*known, "-128..127"))


def set_mode(link: DriveLink, mode: int | str, timeout_s: float | None = None) -> Plan[int]:
    """Let the drive work in this mode, without moving: what the mode follows is set to "stay" first. Gives the mode.

    6502h counts only where it lists a mode at all: drives that answer 0, or lack it, may still have modes. Any value
    may show in 6061h while the drive changes. One that does not take the mode is asked for the old one again, and
    brought to rest if it is enabled: it may change later. Raise UnknownTarget, ModeRefused, SdoError, NotAtRest.
    """
    wanted = parse_mode(link.node_id, mode)
    shown = yield from link.read_if_there(MODE_DISPLAY)
    asked = yield from link.read_if_there(MODE)
    if shown == wanted and asked in (wanted, None):
        return wanted
    supported = yield from link.read_if_there(SUPPORTED_MODES)
    if supported and wanted > 0 and not supported >> (wanted - 1) & 1:
        has = ", ".join(each.name.lower() for each in supported_modes(supported)) or "none of the standard's"
        raise ModeRefused(link.node_id, mode_label(wanted), None, f"the drive has {has} (6502:00 is {supported:08X}h)")
    if link.quirks.halt_blocks_modes:
        yield from _clear_halt(link, wanted)
    yield from neutralise(link, wanted)
    try:
        yield from link.write(MODE, wanted)
    except SdoAborted as error:
        reason = f"6060:00 cannot be written: {error.text}"
        if link.controlword & HALT:
            reason += "; halt is set, which some drives do not allow here"
        raise ModeRefused(link.node_id, mode_label(wanted), None, reason) from error
    try:
        return (yield from _await_mode(link, wanted, link.quirks.mode_s if timeout_s is None else timeout_s))
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from _after_refusal(link, error, asked if asked is not None else shown)
        raise


def _clear_halt(link: DriveLink, wanted: int) -> Plan[None]:
    """For a drive that is not energised. In one that is, what was halted would go on."""
    yield from learn_controlword(link)
    if not link.controlword & HALT:
        return
    yield from link.status()
    if link.state is None or link.state in ENERGISED:
        reason = "halt is set, and this drive does not change its mode then; clear halt, or disable it first"
        raise ModeRefused(link.node_id, mode_label(wanted), None, reason)
    yield from link.control(link.controlword & KEPT & ~HALT | COMMAND_WORDS[_STAY.get(link.state, C.DISABLE_VOLTAGE)])


def _await_mode(link: DriveLink, wanted: int, timeout_s: float) -> Plan[int]:
    began = yield Now()
    look_s = _FIRST_LOOK_S
    while True:
        shown = yield from link.read_if_there(MODE_DISPLAY)
        if shown is None:  # nothing says which mode is at work: what was written has to do
            shown = yield from link.read(MODE)
        if shown == wanted:
            return wanted
        if (yield Now()) - began >= timeout_s:
            reason = f"it was written to 6060:00, and not taken within {timeout_s:g} s"
            raise ModeRefused(link.node_id, mode_label(wanted), mode_label(shown), reason)
        yield Sleep(look_s)
        look_s = min(look_s * 1.2, _LAST_LOOK_S)


def _after_refusal(link: DriveLink, error: BaseException, before: int | None) -> Plan[None]:
    """Rest comes first; then the mode that is asked for is the old one again, if the drive can be talked to."""
    state: PdsState | None = None
    with contextlib.suppress(SdoError):
        yield from link.status()
        state = link.state
    if state is None or state in ENERGISED:
        yield from rest_after(link, error)
    if before is not None and isinstance(error, ModeRefused):
        with contextlib.suppress(SdoError):
            yield from link.write(MODE, before)
