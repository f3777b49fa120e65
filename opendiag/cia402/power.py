"""Plans that change the state of a drive: enable, disable, quick stop, halt, fault reset.

Each works from what the drive says its state is, again after every step, so that transitions the drive makes by itself
do no harm. One that fails with the drive energised brings it to rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from opendiag.cia402.link import HALT, KEPT, STOPPED, DriveLink
from opendiag.cia402.objects import CONTROLWORD, MODE, MODE_DISPLAY, SET_POINTS
from opendiag.cia402.path import COMMAND_WORDS, ENERGISED, PASSING, Target, next_command
from opendiag.cia402.rest import bring_to_rest, is_still, make_safe, rest_after
from opendiag.cia402.states import Command, PdsState
from opendiag.errors import (
    AdapterError,
    DriveFault,
    NotAtRest,
    NotEnabled,
    NotPermitted,
    OpenDiagError,
    PlanCancelled,
    SdoError,
    StateNotReached,
    UnknownTarget,
    WireError,
)
from opendiag.services.plans import Now, Plan, Sleep

__all__ = [
    "await_any",
    "await_state",
    "disable",
    "enable",
    "halt",
    "is_still",
    "learn_controlword",
    "make_safe",
    "neutralise",
    "quick_stop",
    "reach",
    "reset_fault",
    "rest_after",
    "settle",
    "state_text",
]

S, C = PdsState, Command
#: States to wait for when a quick stop was asked: QUICK STOP ACTIVE may last less than a millisecond.
_STOPPED = tuple(state for state in PdsState if state is not S.OPERATION_ENABLED)
#: States that a fault reset does not lead to, or not yet.
_NOT_RESET = (S.FAULT, S.NOT_READY_TO_SWITCH_ON)
#: So often the way to SWITCHED ON is begun while somebody else leads the drive away from there.
_ATTEMPTS = 3


def state_text(link: DriveLink) -> str:
    """For a sentence: what the drive was seen in last."""
    if link.statusword is None:
        return "an unknown state: it did not say"
    return link.state.value if link.state is not None else "no state of CiA 402"


# --- waiting --------------------------------------------------------------------------------------------------------


def await_state(
    link: DriveLink, wanted: Collection[PdsState], wanted_text: str, timeout_s: float, stops: int | None = None
) -> Plan[PdsState]:
    """Poll until the drive is in one of these states. Raise as `await_any`, and DriveFault."""
    found = yield from await_any(link, {*wanted, S.FAULT}, wanted_text, timeout_s, stops)
    if found not in wanted:
        raise (yield from link.fault(f"it was to go to {wanted_text}"))
    return found


def await_any(
    link: DriveLink, wanted: Collection[PdsState], text: str, timeout_s: float, stops: int | None = None
) -> Plan[PdsState]:
    """As `await_state`, but a fault is a state like the others. ``stops``: what the link has counted when it began.

    Raise StateNotReached, SdoError; NotPermitted when a stop came meanwhile.
    """
    began = yield Now()
    while True:
        yield from link.status()
        _check_not_stopped(link, stops)
        if link.state is not None and link.state in wanted:
            return link.state
        if (yield Now()) - began >= timeout_s:
            raise StateNotReached(link.node_id, text, state_text(link), link.statusword, timeout_s)
        yield Sleep(link.timing.poll_s)


def _check_not_stopped(link: DriveLink, stops: int | None) -> None:
    if stops is not None and link.stops != stops:
        raise NotPermitted(link.node_id, COMMAND_WORDS[C.ENABLE_OPERATION], STOPPED)


# --- on the way -----------------------------------------------------------------------------------------------------


def reach(link: DriveLink, target: Target | str) -> Plan[None]:
    """Step by step to a state that is not energised; ends the leave to energise, and lets a drive that moves ramp down.

    When it fails with the drive energised, the drive is brought to rest. OPERATION ENABLED is `enable`'s business.
    Raise UnknownTarget, before anything is sent; StateNotReached, DriveFault, SdoError, NotAtRest.
    """
    wanted = Target.parse(link.node_id, target)
    if wanted is Target.OPERATION_ENABLED:
        known = tuple(each.value.value for each in Target if each is not Target.OPERATION_ENABLED)
        raise UnknownTarget(link.node_id, "state to reach without `enable`", wanted.value.value, known)
    link.revoke()
    writes = link.writes
    try:
        with link.in_a_hurry():
            yield from _walk(link, wanted, link.stops)
    except GeneratorExit:
        raise
    except BaseException as error:
        if link.writes != writes and (link.state is None or link.state in ENERGISED):
            yield from rest_after(link, error)
        raise


def _walk(link: DriveLink, target: Target, stops: int) -> Plan[None]:
    """Raise as `await_state`: once a stop came, what the way leads to is not wanted any more."""
    timing = link.timing
    began = yield Now()
    patience = 2 * timing.stop_s + 4 * timing.state_s  # a drive that goes in circles must not keep us for ever
    yield from link.status()
    while (yield Now()) - began < patience:
        state = link.state
        if state is target.value:
            return
        if state is S.FAULT:
            raise (yield from link.fault(f"it was to go to {target.value.value}"))
        if state is S.QUICK_STOP_ACTIVE:  # disable voltage in the middle of it would let the motor run out
            yield from _end_of_quick_stop(link)
            state = link.state
        _check_not_stopped(link, stops)
        command = None if state is None else next_command(state, target)
        if command is not None:
            yield from link.command(command)
        wait_s = timing.stop_s if state is None or state in ENERGISED or state in PASSING else timing.state_s
        others = [other for other in PdsState if other is not state and other is not S.FAULT]
        yield from await_state(link, others, target.value.value, wait_s, stops)
    raise StateNotReached(link.node_id, target.value.value, state_text(link), link.statusword, patience)


def _end_of_quick_stop(link: DriveLink) -> Plan[None]:
    """Until the drive has left QUICK STOP ACTIVE by itself, or stands in it, or nothing tells that it does not."""
    began = yield Now()
    while link.state is S.QUICK_STOP_ACTIVE and not (yield from is_still(link)):
        if (yield Now()) - began >= link.timing.stop_s:
            return
        yield Sleep(link.timing.poll_s)
        yield from link.status()


def neutralise(link: DriveLink, mode: int) -> Plan[None]:
    """Let what the mode follows say "stay", so that enabling, or changing to it, does not move anything.

    What says so already is not written. Raise SdoError.
    """
    for index, subindex, stay in SET_POINTS.get(mode, ()):
        value = 0 if stay is None else (yield from link.read(stay))
        if (yield from link.read_if_there(index, subindex)) != value:
            yield from link.write_if_there(index, value, subindex)


def learn_controlword(link: DriveLink) -> Plan[None]:
    """Take over halt and the manufacturer's bits from the word that the drive has; it may be write-only.

    Once: after that, what this side writes is what counts.
    """
    if link.learned:
        return
    word = yield from link.read_if_there(CONTROLWORD)
    if word is not None:
        link.controlword = word & KEPT
    link.learned = True


def settle(link: DriveLink) -> Plan[None]:
    """Wait until the drive has been up long enough, where its kind jumps otherwise."""
    booted = link.booted_at()
    if booted is not None and link.quirks.settle_s:
        rest = booted + link.quirks.settle_s - (yield Now())
        if rest > 0:
            yield Sleep(rest)


# --- on and off -----------------------------------------------------------------------------------------------------


def enable(link: DriveLink) -> Plan[None]:
    """To OPERATION ENABLED, without moving. A drive in a fault stays there: `reset_fault` comes first.

    One that somebody else has enabled is disabled first, with its ramp: nobody here knows what it is doing. A stop that
    comes meanwhile, from whatever thread, wins. When it fails after a word was written, the drive is brought to rest,
    and the error's ``at_rest`` says how that went.
    Raise StateNotReached, DriveFault, NotPermitted, SdoError, NotAtRest, AdapterError.
    """
    before = link.stops
    yield from link.status()
    if link.state is S.OPERATION_ENABLED and link.permitted:
        return
    _check_not_stopped(link, before)
    link.revoke()
    writes, stops = link.writes, link.stops
    try:
        yield from settle(link)
        yield from learn_controlword(link)
        yield from _switch_on(link, stops)
        link.permit(stops)
        yield from link.command(C.ENABLE_OPERATION)
        yield from await_state(link, (S.OPERATION_ENABLED,), S.OPERATION_ENABLED.value, link.timing.enable_s, stops)
    except GeneratorExit:
        link.revoke()
        raise
    except BaseException as error:
        if link.writes == writes:  # it is what it was before
            link.revoke()
        else:
            yield from rest_after(link, error)
        raise


def _switch_on(link: DriveLink, stops: int) -> Plan[None]:
    """To SWITCHED ON, seen there at the very end, with nothing to follow."""
    for _ in range(_ATTEMPTS):
        yield from _walk(link, Target.SWITCHED_ON, stops)
        shown = yield from link.read_if_there(MODE_DISPLAY)
        asked = yield from link.read_if_there(MODE)
        for mode in dict.fromkeys((shown, asked)):
            yield from neutralise(link, mode or 0)
        yield from link.status()
        if link.state is S.SWITCHED_ON:
            return
    text = f"{S.SWITCHED_ON.value}, and to stay there,"
    raise StateNotReached(link.node_id, text, state_text(link), link.statusword, _ATTEMPTS * link.timing.state_s)


def disable(link: DriveLink) -> Plan[None]:
    """To SWITCH ON DISABLED with the ramp that 605Ch asks for; one in a fault stays there. Never energises.

    What goes wrong on the way is made up for by `make_safe`. Raise NotAtRest when the drive does not confirm it, and
    what was thrown in from outside; AdapterError.
    """
    link.revoke()
    with link.in_a_hurry():
        try:
            yield from link.status()
            if link.state in (S.FAULT, S.SWITCH_ON_DISABLED, S.NOT_READY_TO_SWITCH_ON):
                yield from link.command(C.DISABLE_VOLTAGE)  # nothing stays asked for
            else:
                yield from _walk(link, Target.SWITCH_ON_DISABLED, link.stops)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from _disabled_after(link, error)


def _disabled_after(link: DriveLink, error: BaseException) -> Plan[None]:
    at_rest, interruption = yield from bring_to_rest(link, error)
    for thrown in (error, interruption):
        if thrown is not None and not isinstance(thrown, Exception):
            raise thrown
    if not at_rest:
        raise NotAtRest(link.node_id, "disable, then quick stop and disable voltage") from error
    if not isinstance(error, OpenDiagError) or isinstance(error, AdapterError | PlanCancelled):
        raise error
    if interruption is not None:
        raise interruption


def quick_stop(link: DriveLink) -> Plan[PdsState]:
    """Stop as 605Ah says. Gives QUICK STOP ACTIVE, or where the drive went from there; one in a fault stays there.

    The state in between may last less than a millisecond, so both are waited for. When it fails, the drive is brought
    to rest in every other way there is. Raise StateNotReached, SdoError, NotAtRest.
    """
    link.revoke()
    with link.in_a_hurry():
        try:
            yield from link.command(C.QUICK_STOP)
            text = f"{S.QUICK_STOP_ACTIVE.value} or {S.SWITCH_ON_DISABLED.value}"
            return (yield from await_any(link, _STOPPED, text, link.timing.state_s))
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from rest_after(link, error)
            raise


def halt(link: DriveLink, on: bool = True) -> Plan[None]:
    """Set or clear halt (bit 8) of an enabled drive: it stops as 605Dh says and stays enabled.

    What was halted may go on when the bit is cleared. A halt that the drive does not confirm becomes a quick stop.
    Raise NotEnabled, DriveFault, SdoError, NotAtRest.
    """
    try:
        if on:
            with link.in_a_hurry():
                yield from link.change(set_bits=HALT, during="it was to halt")
        else:
            yield from link.change(clear_bits=HALT, during="halt was to be cleared")
    except (GeneratorExit, NotEnabled, NotPermitted, DriveFault):
        raise
    except BaseException as error:
        yield from rest_after(link, error)
        raise


# --- faults ---------------------------------------------------------------------------------------------------------


def reset_fault(link: DriveLink) -> Plan[None]:
    """Acknowledge a fault: a rising edge of bit 7, and a cleared bit afterwards. Ends in SWITCH ON DISABLED.

    A drive without a fault is left as it is. Never energises. Raise DriveFault when the fault stays, or comes back at
    once: its cause is still there; StateNotReached, SdoError.
    """
    yield from link.status()
    if link.state is S.FAULT_REACTION_ACTIVE:
        yield from await_any(link, (S.FAULT, S.SWITCH_ON_DISABLED), S.FAULT.value, link.timing.stop_s)
    if link.state is not S.FAULT:
        return
    link.revoke()
    yield from learn_controlword(link)
    low = link.controlword & KEPT & ~HALT
    try:
        yield from _rising_edge(link, low)
    except GeneratorExit:
        raise
    except BaseException as error:
        with contextlib.suppress(SdoError, WireError):
            yield from link.control(low)
        if isinstance(error, StateNotReached) and link.state is S.FAULT:
            raise (yield from link.fault("it was to be reset; the cause is still there")) from None
        raise
    yield from link.control(low)
    try:
        yield from _walk(link, Target.SWITCH_ON_DISABLED, link.stops)
    except DriveFault as error:
        raise DriveFault(link.node_id, error.code, error.text, "it was being reset, and came back at once") from None


def _rising_edge(link: DriveLink, low: int) -> Plan[None]:
    """Bit 7 may be set already: then only a 0 before it makes an edge, and drives look every few milliseconds."""
    yield from link.control(low)
    yield Sleep(link.timing.edge_s)
    yield from link.control(low | COMMAND_WORDS[C.FAULT_RESET])
    left = [state for state in PdsState if state not in _NOT_RESET]
    yield from await_any(link, left, S.SWITCH_ON_DISABLED.value, link.timing.state_s)
