"""The way from one state of a drive to another, worked out from the table of transitions.

A way never leads through a state that energises the motor unless that state is where it ends, and never out of a fault:
that is reset only by who asks for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum

from opendiag.cia402.states import TRANSITIONS, Command, PdsState
from opendiag.errors import UnknownTarget

S, C = PdsState, Command

#: Current may flow through the motor: to move it, to hold it, or to brake it.
ENERGISED = frozenset({S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE})
#: They end by themselves.
PASSING = frozenset({S.NOT_READY_TO_SWITCH_ON, S.FAULT_REACTION_ACTIVE})

#: Transitions that no way uses: 8 and 9 leave an enabled drive without its ramp, 11 is the quick stop, 15 the fault
#: reset, and 16 energises what somebody has stopped in a hurry.
_NOT_ON_THE_WAY = frozenset({8, 9, 11, 15, 16})


class Target(Enum):
    """The states that a master may ask for."""

    SWITCH_ON_DISABLED = S.SWITCH_ON_DISABLED
    READY_TO_SWITCH_ON = S.READY_TO_SWITCH_ON
    SWITCHED_ON = S.SWITCHED_ON
    OPERATION_ENABLED = S.OPERATION_ENABLED

    @classmethod
    def parse(cls, node_id: int, text: str | Target) -> Target:
        """As in "operation enabled" or "OPERATION_ENABLED". Raise UnknownTarget, before anything is sent."""
        if isinstance(text, Target):
            return text
        key = str(text).strip().upper().replace(" ", "_").replace("-", "_")
        if key not in cls.__members__:
            raise UnknownTarget(node_id, "state", str(text), tuple(target.value.value for target in cls))
        return cls[key]


#: The controlword's bits 0..3 and 7 of each command.
COMMAND_WORDS: Mapping[Command, int] = {
    C.SHUTDOWN: 0x06,
    C.SWITCH_ON: 0x07,
    C.ENABLE_OPERATION: 0x0F,
    C.DISABLE_VOLTAGE: 0x00,
    C.QUICK_STOP: 0x02,
    C.FAULT_RESET: 0x80,
}
_ENABLE = 0x0F


def energises(controlword: int) -> bool:
    """Could a drive take this for "enable operation"? Bit 7 does not count: not every drive looks at it."""
    return controlword & _ENABLE == _ENABLE


def _ways(target: PdsState) -> dict[PdsState, Command]:
    """The first command of the shortest way to the target from each state that has one."""
    first: dict[PdsState, Command] = {}
    queue = deque([target])
    while queue:
        reached = queue.popleft()
        for made in TRANSITIONS:
            if made.target is not reached or made.source is None or made.number in _NOT_ON_THE_WAY:
                continue
            if reached is S.OPERATION_ENABLED and reached is not target:
                continue
            if made.commands and made.source is not target and made.source not in first:
                first[made.source] = made.commands[0]
                queue.append(made.source)
    return first


WAYS: Mapping[Target, Mapping[PdsState, Command]] = {target: _ways(target.value) for target in Target}


def next_command(state: PdsState, target: Target) -> Command | None:
    """What to send next; None where nothing helps: it is there, it goes on by itself, or it is in a fault."""
    return WAYS[target].get(state)
