"""The state machine of a drive from the drive's own side: what controlwords, faults and standstill make of it.

It only follows `opendiag.cia402.states.TRANSITIONS`; every state the drive enters is an entry of that table.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from opendiag.cia402.states import STATUSWORD_PATTERNS, TRANSITIONS, Command, PdsState, controlword_command, transition

S = PdsState
_BY_NUMBER = {t.number: t for t in TRANSITIONS}
_PATTERNS = {state: value for _, value, state in STATUSWORD_PATTERNS}
_FAULT_RESET = 1 << 7
#: Seconds: self-test after power-on; from "enable operation" to a motor under control; between looks at the shaft.
SELF_TEST_S, ENABLE_S, LOOK_S = 0.005, 0.004, 0.002
_QUICK_STOP, _SHUTDOWN, _DISABLE, _FAULT_REACTION = 0x605A, 0x605B, 0x605C, 0x605E
_STAYS = (5, 6, 7, 8)


class Stop(Enum):
    """How the motor is being brought to rest."""

    SLOW = "slow-down ramp"
    QUICK = "quick stop ramp"
    LIMIT = "current limit"
    VOLTAGE = "voltage limit"


#: What the numbers 1..4 of 605Ah, 605Dh and 605Eh stand for; 605Ah has 5..8 for the same ramps.
RAMPS = {1: Stop.SLOW, 2: Stop.QUICK, 3: Stop.LIMIT, 4: Stop.VOLTAGE}


class Pds:
    """``option(index)`` gives the value of an option code 605Ah..605Eh. ``changed(state, now)`` hears every new state.

    ``stop`` is the ramp under way, None while there is none. ``cleared()`` says whether the cause of a fault is gone:
    until then fault reset does nothing. ``ready()``: the power stage may be switched on (no safe torque off).
    ``brake_s``: after a ramp the motor is held for so long, until the holding brake has closed.
    """

    def __init__(
        self,
        option: Callable[[int], int],
        changed: Callable[[PdsState, float], None],
        cleared: Callable[[], bool] = lambda: True,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._option = option
        self._changed = changed
        self._cleared = cleared
        self._ready = ready
        self.brake_s = 0.0
        self.closing = False
        self.state = S.NOT_READY_TO_SWITCH_ON
        self.controlword = 0
        self.stop: Stop | None = None
        self.made: list[int] = []
        self._due: float | None = None
        self._after: int | None = None

    def power_on(self, now: float) -> None:
        """Transition 0; 1 follows after the self-test."""
        self.controlword = 0
        self.stop, self._after, self.closing = None, None, False
        self._make(0, now)
        self._due = now + SELF_TEST_S

    @property
    def energised(self) -> bool:
        """Whether the power stage drives the motor: in OPERATION ENABLED, and to brake it."""
        return self.state in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE) or self.stop is not None

    @property
    def status(self) -> int:
        """The bits of the statusword that show the state."""
        return _PATTERNS[self.state]

    def _make(self, number: int, now: float) -> None:
        made = _BY_NUMBER[number]
        if made.source is not None and made.source is not self.state:
            return
        self.made = [*self.made[-31:], number]
        self.state = made.target
        self._changed(self.state, now)

    # --- controlword ------------------------------------------------------------------------------------------------

    def write(self, controlword: int, now: float) -> None:
        """Take a controlword."""
        rising = controlword & ~self.controlword & _FAULT_RESET
        self.controlword = controlword
        command = controlword_command(controlword)
        if self.state is S.SWITCHED_ON and command is not Command.ENABLE_OPERATION:
            self._due = None  # it was about to be enabled, and nobody asks for that any more
        if command is None or (command is Command.FAULT_RESET and not rising):
            return
        found = transition(self.state, command)
        if found is None:
            if self.state is S.OPERATION_ENABLED and command is Command.ENABLE_OPERATION:
                self._keep_on()
            return
        self._take(found.number, command, now)

    def _keep_on(self) -> None:
        """Enabled again while a ramp to disable or to shut down was under way."""
        self.stop, self._after, self._due, self.closing = None, None, None, False

    def _take(self, number: int, command: Command, now: float) -> None:
        if number == 15 and not self._cleared():
            return
        if number in (3, 4) and not self._ready():
            return
        if number == 16 and self._option(_QUICK_STOP) not in _STAYS:
            return
        if number == 3:
            self._make(3, now)
            self._due = now + ENABLE_S if command is Command.ENABLE_OPERATION else None
        elif number == 4:
            self._due = now + ENABLE_S if self._due is None else self._due
        elif number == 5:
            self._ramp_then(5, self._option(_DISABLE) == 1, now)
        elif number == 8:
            self._ramp_then(8, self._option(_SHUTDOWN) == 1, now)
        elif number == 11:
            self._quick_stop(now)
        else:
            self._go(number, now)

    def _go(self, number: int, now: float) -> None:
        """Leave at once; whatever was under way ends."""
        self.stop, self._after, self._due, self.closing = None, None, None, False
        self._make(number, now)

    def _ramp_then(self, number: int, ramp: bool, now: float) -> None:
        if not ramp:
            self._go(number, now)
            return
        self.stop, self._after = Stop.SLOW, number
        self._due = now + LOOK_S

    def _quick_stop(self, now: float) -> None:
        option = self._option(_QUICK_STOP)
        self._go(11, now)
        if option == 0:
            self._make(12, now)
            return
        stays = option in _STAYS
        self.stop = RAMPS.get(option - 4 if stays else option, Stop.QUICK)
        self._after = None if stays else 12
        self._due = None if stays else now + LOOK_S

    # --- faults and time --------------------------------------------------------------------------------------------

    def fault(self, now: float, *, coast: bool = False) -> None:
        """Something is wrong. ``coast``: the power stage cannot brake. Nothing happens in a fault."""
        if self.state in (S.FAULT, S.FAULT_REACTION_ACTIVE):
            return
        moving = self.energised
        option = self._option(_FAULT_REACTION)
        self._go(13, now)
        if moving and not coast and option in RAMPS:
            self.stop, self._after, self._due = RAMPS[option], 14, now + LOOK_S
        else:
            self._make(14, now)

    def tick(self, now: float, standing: bool) -> None:
        """``standing``: the shaft is at rest."""
        if self._due is None or now < self._due:
            return
        self._due = None
        if self.state is S.NOT_READY_TO_SWITCH_ON:
            self._make(1, now)
        elif self.state is S.SWITCHED_ON:
            if self._ready():
                self._make(4, now)
        elif self._after is not None:
            self._stopping(now, standing)

    def _stopping(self, now: float, standing: bool) -> None:
        """A ramp is under way: go on when the shaft stands, and the brake has had its time."""
        if self.closing or (standing and not self.brake_s):
            self._go(self._after or 0, now)
        elif standing:
            self.closing = True
            self._due = now + self.brake_s
        else:
            self._due = now + LOOK_S

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._due
