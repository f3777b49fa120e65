"""States of the power drive system (PDS), how the statusword shows them, and what leads from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class PdsState(Enum):
    """The value is the text for people, the name is the one in JSON."""

    NOT_READY_TO_SWITCH_ON = "NOT READY TO SWITCH ON"
    SWITCH_ON_DISABLED = "SWITCH ON DISABLED"
    READY_TO_SWITCH_ON = "READY TO SWITCH ON"
    SWITCHED_ON = "SWITCHED ON"
    OPERATION_ENABLED = "OPERATION ENABLED"
    QUICK_STOP_ACTIVE = "QUICK STOP ACTIVE"
    FAULT_REACTION_ACTIVE = "FAULT REACTION ACTIVE"
    FAULT = "FAULT"


S = PdsState

#: (mask, value, state). Bit 4, voltage enabled, is no part of any state.
STATUSWORD_PATTERNS = (
    (0x4F, 0x00, S.NOT_READY_TO_SWITCH_ON),
    (0x4F, 0x40, S.SWITCH_ON_DISABLED),
    (0x6F, 0x21, S.READY_TO_SWITCH_ON),
    (0x6F, 0x23, S.SWITCHED_ON),
    (0x6F, 0x27, S.OPERATION_ENABLED),
    (0x6F, 0x07, S.QUICK_STOP_ACTIVE),
    (0x4F, 0x0F, S.FAULT_REACTION_ACTIVE),
    (0x4F, 0x08, S.FAULT),
)
_BY_LOW_BITS = {
    word: state for word in range(0x80) for mask, value, state in STATUSWORD_PATTERNS if word & mask == value
}


def pds_state(statusword: int) -> PdsState | None:
    """None for a pattern that is no state."""
    return _BY_LOW_BITS.get(statusword & 0x7F)


class Command(Enum):
    """What a controlword asks of the state machine. The value is the text for people."""

    SHUTDOWN = "shutdown"
    SWITCH_ON = "switch on"
    ENABLE_OPERATION = "enable operation"
    DISABLE_VOLTAGE = "disable voltage"
    QUICK_STOP = "quick stop"
    FAULT_RESET = "fault reset"


C = Command

#: (mask, value, command), the first that fits. "Switch on" sent in OPERATION ENABLED is "disable operation".
CONTROLWORD_PATTERNS = (
    (0x80, 0x80, C.FAULT_RESET),
    (0x87, 0x06, C.SHUTDOWN),
    (0x8F, 0x07, C.SWITCH_ON),
    (0x8F, 0x0F, C.ENABLE_OPERATION),
    (0x82, 0x00, C.DISABLE_VOLTAGE),
    (0x86, 0x02, C.QUICK_STOP),
)


def controlword_command(controlword: int) -> Command | None:
    """The state command in a controlword. Fault reset acts on the rising edge of bit 7 only."""
    return next((c for mask, value, c in CONTROLWORD_PATTERNS if controlword & mask == value), None)


@dataclass(frozen=True, slots=True)
class Transition:
    """Numbers as in CiA 402. ``commands`` each lead to it; ``automatic``: the drive may also go by itself."""

    number: int
    source: PdsState | None
    target: PdsState
    commands: tuple[Command, ...] = ()
    automatic: bool = False


#: Transition 0 is power-on and starts outside of all states; 13 starts in any state: for both the source is None.
#: "Enable operation" in READY TO SWITCH ON makes 3 and then 4. 12 comes by itself when 605Ah is 1..4, and 16 exists
#: only when it is 5..8.
TRANSITIONS = (
    Transition(0, None, S.NOT_READY_TO_SWITCH_ON, automatic=True),
    Transition(1, S.NOT_READY_TO_SWITCH_ON, S.SWITCH_ON_DISABLED, automatic=True),
    Transition(2, S.SWITCH_ON_DISABLED, S.READY_TO_SWITCH_ON, (C.SHUTDOWN,)),
    Transition(3, S.READY_TO_SWITCH_ON, S.SWITCHED_ON, (C.SWITCH_ON, C.ENABLE_OPERATION)),
    Transition(4, S.SWITCHED_ON, S.OPERATION_ENABLED, (C.ENABLE_OPERATION,)),
    Transition(5, S.OPERATION_ENABLED, S.SWITCHED_ON, (C.SWITCH_ON,)),
    Transition(6, S.SWITCHED_ON, S.READY_TO_SWITCH_ON, (C.SHUTDOWN,)),
    Transition(7, S.READY_TO_SWITCH_ON, S.SWITCH_ON_DISABLED, (C.DISABLE_VOLTAGE, C.QUICK_STOP)),
    Transition(8, S.OPERATION_ENABLED, S.READY_TO_SWITCH_ON, (C.SHUTDOWN,)),
    Transition(9, S.OPERATION_ENABLED, S.SWITCH_ON_DISABLED, (C.DISABLE_VOLTAGE,)),
    Transition(10, S.SWITCHED_ON, S.SWITCH_ON_DISABLED, (C.DISABLE_VOLTAGE, C.QUICK_STOP)),
    Transition(11, S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, (C.QUICK_STOP,)),
    Transition(12, S.QUICK_STOP_ACTIVE, S.SWITCH_ON_DISABLED, (C.DISABLE_VOLTAGE,), automatic=True),
    Transition(13, None, S.FAULT_REACTION_ACTIVE, automatic=True),
    Transition(14, S.FAULT_REACTION_ACTIVE, S.FAULT, automatic=True),
    Transition(15, S.FAULT, S.SWITCH_ON_DISABLED, (C.FAULT_RESET,)),
    Transition(16, S.QUICK_STOP_ACTIVE, S.OPERATION_ENABLED, (C.ENABLE_OPERATION,)),
)
_BY_COMMAND = {(t.source, command): t for t in TRANSITIONS if t.source is not None for command in t.commands}


def transition(state: PdsState, command: Command) -> Transition | None:
    """Where a command leads from a state; None where it changes nothing."""
    return _BY_COMMAND.get((state, command))
