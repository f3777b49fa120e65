"""Plans that change the state of a drive: enable, disable, quick stop, halt, fault reset, and bringing it to rest.

Each works from what the drive says its state is, again after every step, so that transitions the drive makes by itself
do no harm.
"""

from __future__ import annotations

from collections.abc import Collection

from opendiag.cia402.link import HALT, KEPT, DriveLink
from opendiag.cia402.objects import CONTROLWORD, MODE, MODE_DISPLAY, SET_POINTS, VELOCITY
from opendiag.cia402.path import COMMAND_WORDS, ENERGISED, PASSING, Target, next_command
from opendiag.cia402.states import Command, PdsState
from opendiag.errors import (
    AdapterError,
    DriveError,
    NotAtRest,
    OpenDiagError,
    SdoAborted,
    SdoError,
    StateNotReached,
    WireError,
)
from opendiag.frame import Frame
from opendiag.services.plans import Now, Plan, Send, Sleep
from opendiag.wire.nmt import NmtCommand, NmtMessage

S, C = PdsState, Command
_FAULT_RESET = 0x80
#: Looks at the velocity that must show standstill, one after the other.
_STILL = 2
#: What a velocity may show at standstill, in its own counts: encoders flicker. Widened by what is seen at rest.
_FLICKER = 64


def state_text(link: DriveLink) -> str:
    """For a sentence: what the drive was seen in last."""
    if link.statusword is None:
        return "an unknown state: it did not say"
    return link.state.value if link.state is not None else "no state of CiA 402"


def await_state(link: DriveLink, wanted: Collection[PdsState], wanted_text: str, timeout_s: float) -> Plan[PdsState]:
    """Poll until the drive is in one of these states. Raise StateNotReached, DriveFault, SdoError."""
    began = yield Now()
    while True:
        yield from link.status()
        state = link.state
        if state is not None and state in wanted:
            return state
        if state is S.FAULT:
            raise (yield from link.fault(f"it was to go to {wanted_text}"))
        if (yield Now()) - began >= timeout_s:
            raise StateNotReached(link.node_id, wanted_text, state_text(link), link.statusword, timeout_s)
        yield Sleep(link.timing.poll_s)


def reach(link: DriveLink, target: Target) -> Plan[None]:
    """Step by step to a state that is not energised. Raise StateNotReached, DriveFault, SdoError.

    ``target`` OPERATION ENABLED is `enable`'s business.
    """
    if target is Target.OPERATION_ENABLED:
        raise ValueError("OPERATION ENABLED is reached by `enable` only")
    yield from link.status()
    for _ in range(4 * len(PdsState)):  # a drive that goes in circles must not keep us for ever
        state = link.state
        if state is target.value:
            return
        if state is S.FAULT:
            raise (yield from link.fault(f"it was to go to {target.value.value}"))
        if state is S.QUICK_STOP_ACTIVE:  # disable voltage in the middle of it would let the motor run out
            yield from _end_of_quick_stop(link)
            state = link.state
        command = None if state is None else next_command(state, target)
        if command is not None:
            yield from link.command(command)
        patience = link.timing.stop_s if state in ENERGISED or state in PASSING else link.timing.state_s
        others = [other for other in PdsState if other is not state and other is not S.FAULT]
        yield from await_state(link, others, target.value.value, patience)
    raise StateNotReached(link.node_id, target.value.value, state_text(link), link.statusword, link.timing.state_s)


def _end_of_quick_stop(link: DriveLink) -> Plan[None]:
    """Until the drive has left QUICK STOP ACTIVE by itself, or stands still in it."""
    began = yield Now()
    while link.state is S.QUICK_STOP_ACTIVE and not (yield from is_still(link)):
        if (yield Now()) - began >= link.timing.stop_s:
            raise StateNotReached(link.node_id, "standstill", state_text(link), link.statusword, link.timing.stop_s)
        yield from link.status()


def neutralise(link: DriveLink, mode: int) -> Plan[None]:
    """Let what the mode follows say "stay", so that enabling, or changing to it, does not move anything."""
    for index, subindex, stay in SET_POINTS.get(mode, ()):
        value = 0 if stay is None else (yield from link.read(stay))
        yield from link.write_if_there(index, value, subindex)


def learn_controlword(link: DriveLink) -> Plan[None]:
    """Take over halt and the manufacturer's bits from the word that the drive has; it may be write-only."""
    word = yield from link.read_if_there(CONTROLWORD)
    if word is not None:
        link.controlword = word & KEPT


def settle(link: DriveLink) -> Plan[None]:
    """Wait until the drive has been up long enough, where its kind jumps otherwise."""
    booted = link.booted_at()
    if booted is not None and link.quirks.settle_s:
        rest = booted + link.quirks.settle_s - (yield Now())
        if rest > 0:
            yield Sleep(rest)


def enable(link: DriveLink) -> Plan[None]:
    """To OPERATION ENABLED, without moving. A drive in a fault stays there: `reset_fault` comes first.

    When it fails, the drive is brought to rest again, and the error's ``at_rest`` says how that went.
    Raise StateNotReached, DriveFault, SdoError, AdapterError.
    """
    try:
        yield from link.status()
        if link.state is S.OPERATION_ENABLED:
            link.permitted = True
            return
        yield from settle(link)
        yield from reach(link, Target.SWITCHED_ON)
        mode = yield from link.read_if_there(MODE_DISPLAY)
        asked = yield from link.read_if_there(MODE)
        for each in {mode, asked} - {None}:
            yield from neutralise(link, each or 0)
        link.permitted = True
        yield from link.command(C.ENABLE_OPERATION)
        yield from await_state(link, (S.OPERATION_ENABLED,), S.OPERATION_ENABLED.value, link.timing.state_s)
    except GeneratorExit:
        link.permitted = False
        raise
    except BaseException as error:
        yield from rest_after(link, error)
        raise


def rest_after(link: DriveLink, error: BaseException) -> Plan[None]:
    """Bring the drive to rest because of an error, and note in it how that went."""
    link.permitted = False
    at_rest = yield from make_safe(link)
    if isinstance(error, DriveError):
        error.at_rest = at_rest
    elif not at_rest:
        unsafe = NotAtRest(link.node_id, "quick stop and disable voltage")
        raise unsafe from error


def disable(link: DriveLink) -> Plan[None]:
    """To SWITCH ON DISABLED with the ramp that 605Ch asks for; one in a fault stays there. Never energises.

    Raise NotAtRest when the drive does not confirm it; AdapterError.
    """
    link.permitted = False
    try:
        yield from link.status()
        if link.state in (S.FAULT, S.SWITCH_ON_DISABLED, S.NOT_READY_TO_SWITCH_ON):
            return
        yield from reach(link, Target.SWITCH_ON_DISABLED)
    except GeneratorExit:
        raise
    except BaseException as error:
        at_rest = yield from make_safe(link)
        if not at_rest:
            raise NotAtRest(link.node_id, "disable, then quick stop and disable voltage") from error
        if not isinstance(error, OpenDiagError) or isinstance(error, AdapterError):
            raise


def quick_stop(link: DriveLink) -> Plan[PdsState]:
    """Stop as 605Ah says. Gives QUICK STOP ACTIVE, or where the drive went from there; one in a fault stays there.

    The state in between may last less than a millisecond, so both are waited for. Raise StateNotReached, SdoError.
    """
    link.permitted = False
    yield from link.command(C.QUICK_STOP)
    calm = [state for state in PdsState if state is not S.OPERATION_ENABLED]
    return (yield from await_any(link, calm, "QUICK STOP ACTIVE or SWITCH ON DISABLED", link.timing.state_s))


def await_any(link: DriveLink, wanted: Collection[PdsState], text: str, timeout_s: float) -> Plan[PdsState]:
    """As `await_state`, but a fault is a state like the others."""
    began = yield Now()
    while True:
        yield from link.status()
        if link.state is not None and link.state in wanted:
            return link.state
        if (yield Now()) - began >= timeout_s:
            raise StateNotReached(link.node_id, text, state_text(link), link.statusword, timeout_s)
        yield Sleep(link.timing.poll_s)


def halt(link: DriveLink, on: bool = True) -> Plan[None]:
    """Set or clear halt (bit 8) of an enabled drive: it stops as 605Dh says and stays enabled. Raise NotEnabled."""
    if on:
        yield from link.change(set_bits=HALT, during="it was to halt")
    else:
        yield from link.change(clear_bits=HALT, during="halt was to be cleared")


def reset_fault(link: DriveLink) -> Plan[None]:
    """Acknowledge a fault: a rising edge of bit 7, and a cleared bit afterwards. Ends in SWITCH ON DISABLED.

    A drive without a fault is left as it is. Never energises. Raise DriveFault when the fault stays: its cause is still
    there; StateNotReached, SdoError.
    """
    yield from link.status()
    if link.state is S.FAULT_REACTION_ACTIVE:
        yield from await_any(link, (S.FAULT, S.SWITCH_ON_DISABLED), S.FAULT.value, link.timing.stop_s)
    if link.state is not S.FAULT:
        return
    link.permitted = False
    yield from link.control(link.controlword & KEPT & ~HALT)  # an edge needs a 0 before it
    try:
        yield from link.control(_FAULT_RESET)
        left = [state for state in PdsState if state not in (S.FAULT, S.NOT_READY_TO_SWITCH_ON)]
        yield from await_any(link, left, S.SWITCH_ON_DISABLED.value, link.timing.state_s)
    except StateNotReached:
        raise (yield from link.fault("it was to be reset; the cause is still there")) from None
    finally:
        link.controlword = 0
    yield from link.control(0)
    yield from reach(link, Target.SWITCH_ON_DISABLED)


def make_safe(link: DriveLink) -> Plan[bool]:
    """Quick stop, standstill, disable voltage: again and again until the drive says that it is disabled.

    Needs no knowledge of the state: a quick stop energises no drive. True when the drive said so itself, False when it
    did not within ``timing.rest_s``: it then also got the NMT command stop. Never raises for what the drive does not
    do; AdapterError ends it with False, as nothing can be sent.
    """
    link.permitted = False
    began = yield Now()
    patience = link.timing.answer_s
    try:
        while (yield Now()) - began < link.timing.rest_s:
            try:
                if (yield from _bring_to_rest(link, began, patience)):
                    return True
            except (SdoError, WireError, DriveError):
                yield Sleep(link.timing.poll_s)
                patience = min(2 * patience, 1.0)
        yield Send(Frame(0, NmtMessage(NmtCommand.STOP, link.node_id).encode()))
    except AdapterError:
        pass
    return False


def _bring_to_rest(link: DriveLink, began: float, patience: float) -> Plan[bool]:
    """One attempt."""
    yield from link.control(link.controlword & KEPT & ~HALT | COMMAND_WORDS[C.QUICK_STOP], patience)
    yield from link.status(patience)
    while link.state in ENERGISED and (yield Now()) - began < link.timing.rest_s:
        if link.state is S.OPERATION_ENABLED:
            return False  # the quick stop did not arrive, or somebody else enables it
        if link.state is S.QUICK_STOP_ACTIVE and (yield from is_still(link, patience)):
            break
        yield Sleep(link.timing.poll_s)
        yield from link.status(patience)
    yield from link.control(link.controlword & KEPT, patience)
    yield from link.status(patience)
    return link.state not in ENERGISED and link.state is not None


def is_still(link: DriveLink, patience: float | None = None) -> Plan[bool]:
    """Does 606Ch show standstill, give or take the flicker of an encoder? Yes for a drive without it."""
    for _ in range(_STILL):
        try:
            speed = yield from link.read(VELOCITY, 0, patience)
        except SdoAborted:
            return True
        if abs(speed) > _FLICKER:
            return False
        yield Sleep(link.timing.poll_s)
    return True
