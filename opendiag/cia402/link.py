"""The one way from plans to a drive: its objects by number, its words, and the lock on what energises it.

Every controlword of every plan goes through `DriveLink.control`. One that a drive could take for "enable operation"
passes only while ``permitted`` is True. The enabling call alone brings that about, and every stop ends it: one that
comes while the drive is being enabled wins, whichever thread it comes from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from opendiag.cia402.objects import AXIS_STEP, CONTROLWORD, ERROR_CODE, MOST_AXES, STATUSWORD
from opendiag.cia402.path import COMMAND_WORDS, energises
from opendiag.cia402.quirks import WELL_BEHAVED, DriveQuirks
from opendiag.cia402.states import Command, PdsState, controlword_command, pds_state
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import Value, decode_value, encode_value, is_signed
from opendiag.dictionary.model import Variable
from opendiag.errors import DriveFault, NotEnabled, NotPermitted, SdoAborted, SdoError, UnknownTarget, WireError
from opendiag.services.emcy import emcy_text
from opendiag.services.plans import Now, Plan, SdoRead, SdoWrite
from opendiag.wire.sdo_abort import SdoAbortCode

#: Bits of the controlword that a state command leaves as they are: halt, the reserved one, and the manufacturer's. The
#: mode's own bits (4, 5, 6 and 9) are cleared: in some modes bit 4 begins a motion.
KEPT = 0xFD00
HALT = 0x0100
#: Velocities up to this are the flicker of an encoder at standstill, where nothing better is known.
STILL_SPEED = 64
#: Why an enabling call went no further.
STOPPED = "another call has stopped the drive meanwhile"
_PROFILE = range(0x6000, 0x6800)
_CONTROLWORDS = frozenset(CONTROLWORD + axis * AXIS_STEP for axis in range(MOST_AXES))
_MISSING = (SdoAbortCode.NO_SUCH_OBJECT, SdoAbortCode.NO_SUCH_SUBINDEX)

Describe = Callable[[int, int], "Variable | None"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds.

    ``state_s``: a change of state. ``enable_s``: from "enable operation" to OPERATION ENABLED, brake and commutation
    included. ``stop_s``: a ramp to standstill. ``rest_s``: all that `make_safe` tries. ``silence_s``: without an answer
    for so long, it asks by NMT. ``poll_s``: between two looks at the statusword. ``answer_s``: one SDO answer while a
    drive is brought to rest. ``edge_s``: how long the fault reset bit is 0 before it rises. ``look_s``: between two
    looks at the position, to see whether it stands still.
    """

    state_s: float = 1.0
    enable_s: float = 3.0
    stop_s: float = 5.0
    rest_s: float = 8.0
    silence_s: float = 0.5
    poll_s: float = 0.004
    answer_s: float = 0.1
    edge_s: float = 0.01
    look_s: float = 0.008


#: Commands that nothing else may keep waiting.
STOPS = (Command.QUICK_STOP, Command.DISABLE_VOLTAGE)


class Words(Protocol):
    """How the two words travel."""

    def read_status(self, link: DriveLink, timeout_s: float | None) -> Plan[int]:
        """The statusword as it is now, not as it was some time ago."""

    def write_control(self, link: DriveLink, word: int, timeout_s: float | None) -> Plan[None]:
        """Done when the drive has the word, or will have it with the next SYNC."""


class SdoWords:
    """By SDO: each word is confirmed by the drive.

    A word that stops goes before all other transfers with the node; ``urgent``: the others, and looks, do so as well.
    """

    def __init__(self, urgent: bool = False) -> None:
        self._urgent = urgent

    def read_status(self, link: DriveLink, timeout_s: float | None) -> Plan[int]:
        urgent = self._urgent or link.hurry
        raw = yield SdoRead(link.node_id, link.index(STATUSWORD), 0, timeout_s, urgent)
        if len(raw) < 2:
            raise WireError("a statusword has 2 bytes", raw)
        return int.from_bytes(raw[:2], "little")

    def write_control(self, link: DriveLink, word: int, timeout_s: float | None) -> Plan[None]:
        urgent = self._urgent or link.hurry or controlword_command(word) in STOPS
        yield SdoWrite(link.node_id, link.index(CONTROLWORD), 0, word.to_bytes(2, "little"), timeout_s, urgent)


class DriveLink:
    """``axis`` counts from 0. ``describe`` gives the type of an object; without it, CiA 402's tables do.

    ``controlword`` is the last one that was written, ``statusword`` the last one read (None: none yet) and ``state``
    what it means; it was asked for at ``status_at``. ``booted_at`` tells when the drive booted, None where nobody heard
    it. ``stops`` counts what ended the leave to energise, ``writes`` the controlwords. ``at_rest`` is what the last
    `make_safe` came to; None while it runs, and before. ``still_window`` is how far the position may stray at
    standstill, in its own counts, None where that is not known; ``still_speed`` what the velocity may show then.
    ``on_rest`` is called when bringing it to rest begins, with the error that it is for, if there is one.
    ``hurry``: the drive is being stopped, so that whatever is asked goes before other transfers with the node.
    """

    def __init__(
        self,
        node_id: int,
        *,
        axis: int = 0,
        describe: Describe | None = None,
        quirks: DriveQuirks = WELL_BEHAVED,
        timing: Timing | None = None,
        words: Words | None = None,
        vendor_id: int | None = None,
        booted_at: Callable[[], float | None] = lambda: None,
    ) -> None:
        if not 0 <= axis < MOST_AXES:
            raise UnknownTarget(node_id, "axis", str(axis), tuple(map(str, range(MOST_AXES))))
        self.node_id = node_id
        self.axis = axis
        self.quirks = quirks
        self.timing = timing or Timing()
        self.words: Words = words or SdoWords()
        self.vendor_id = vendor_id
        self.booted_at = booted_at
        self.controlword = 0
        self.learned = False
        self.stops = 0
        self.writes = 0
        self.at_rest: bool | None = None
        self.on_rest: Callable[[BaseException | None], None] = lambda error: None
        self.still_window: int | None = None
        self.still_speed = STILL_SPEED
        self._hurries = 0
        self._leave = False
        self._leave_since: float | None = None
        self.statusword: int | None = None
        self.status_at = float("-inf")
        self._describe = describe or builtin.get

    def index(self, index: int) -> int:
        """The object's number on this axis."""
        return index + self.axis * AXIS_STEP if index in _PROFILE else index

    @property
    def state(self) -> PdsState | None:
        """By the last statusword; None for none, or for a pattern that is no state."""
        return None if self.statusword is None else pds_state(self.statusword)

    # --- the leave to energise ---

    @property
    def permitted(self) -> bool:
        """May words be sent that energise? Not any more after a stop, nor after the drive has booted."""
        return self._leave and self.booted_at() == self._leave_since

    @permitted.setter
    def permitted(self, leave: bool) -> None:
        if leave:
            self.permit(self.stops)
        else:
            self.revoke()

    def permit(self, stops: int) -> None:
        """For the enabling call alone. ``stops`` is what `stops` was when it began. Raise NotPermitted if it rose."""
        if self.stops != stops:
            raise NotPermitted(self.node_id, COMMAND_WORDS[Command.ENABLE_OPERATION], STOPPED)
        self._leave, self._leave_since = True, self.booted_at()

    def revoke(self) -> None:
        """Nothing that energises is sent from now on, not even by an enabling call that has begun."""
        self.stops += 1
        self._leave = False

    @contextlib.contextmanager
    def in_a_hurry(self) -> Iterator[None]:
        """While the drive is being stopped; several plans may do that at once."""
        self._hurries += 1
        try:
            yield
        finally:
            self._hurries -= 1

    @property
    def hurry(self) -> bool:
        return self._hurries > 0

    # --- objects ---

    def read(self, index: int, subindex: int = 0, timeout_s: float | None = None) -> Plan[int]:
        """An object as an integer, signed as its type is. Raise SdoError, WireError."""
        raw = yield SdoRead(self.node_id, self.index(index), subindex, timeout_s, self.hurry)
        variable = self._variable(index, subindex)
        if variable is not None:
            value = decode_value(variable.data_type, raw)
            if isinstance(value, int):
                return int(value)
        return int.from_bytes(raw, "little", signed=variable is not None and is_signed(variable.data_type))

    def read_if_there(self, index: int, subindex: int = 0) -> Plan[int | None]:
        """None where the drive has no such object, or does not let it be read."""
        try:
            return (yield from self.read(index, subindex))
        except SdoAborted:
            return None

    def write(self, index: int, value: Value, subindex: int = 0, timeout_s: float | None = None) -> Plan[None]:
        """Raise SdoError; WireError for a value that its type cannot hold, before anything is sent."""
        if self.index(index) in _CONTROLWORDS:
            raise WireError("the controlword goes through `control`")
        variable = self._variable(index, subindex)
        if variable is None:
            raise WireError(f"the type of {index:04X}:{subindex:02X} is not known")
        raw = encode_value(variable.data_type, value)
        yield SdoWrite(self.node_id, self.index(index), subindex, raw, timeout_s, self.hurry)

    def write_if_there(self, index: int, value: Value, subindex: int = 0) -> Plan[bool]:
        """False where the drive has no such object."""
        try:
            yield from self.write(index, value, subindex)
        except SdoAborted as error:
            if error.code not in _MISSING:
                raise
            return False
        return True

    def variable(self, index: int, subindex: int = 0) -> Variable | None:
        """What is known of an object without asking: its type, and the limits that its dictionary gives."""
        return self._variable(index, subindex)

    def _variable(self, index: int, subindex: int) -> Variable | None:
        return self._describe(self.index(index), subindex) or builtin.get(self.index(index), subindex)

    # --- the two words ---

    def status(self, timeout_s: float | None = None, words: Words | None = None) -> Plan[int]:
        """Read the statusword, by the link's way or by another. Raise SdoError."""
        asked_at = yield Now()
        word = yield from (words or self.words).read_status(self, timeout_s)
        self.statusword, self.status_at = word, asked_at
        return word

    def control(self, word: int, timeout_s: float | None = None, words: Words | None = None) -> Plan[None]:
        """Write the controlword, by the link's way or by another.

        Raise NotPermitted for one that energises where nobody asked for that; SdoError.
        """
        if energises(word) and not self.permitted:
            raise NotPermitted(self.node_id, word)
        self.controlword = word
        self.writes += 1
        yield from (words or self.words).write_control(self, word, timeout_s)

    def command(self, command: Command, timeout_s: float | None = None) -> Plan[None]:
        """Write a state command; halt and the manufacturer's bits stay as they are. Raise as `control`."""
        yield from self.control(self.controlword & KEPT | COMMAND_WORDS[command], timeout_s)

    def change(self, *, set_bits: int = 0, clear_bits: int = 0, during: str = "") -> Plan[None]:
        """Change bits of the controlword of an enabled drive.

        The statusword is read first: the same word that goes on moving an enabled drive would energise one that
        somebody, or a fault, has switched off meanwhile. Raise NotEnabled, DriveFault, SdoError.
        """
        yield from self.check_enabled(during)
        word = (self.controlword & ~clear_bits & 0xFFF0 | set_bits) & ~0x80 | COMMAND_WORDS[Command.ENABLE_OPERATION]
        yield from self.control(word)

    def check_enabled(self, during: str = "") -> Plan[int]:
        """Read the statusword. Not enabled: the leave to energise ends. Raise NotEnabled, DriveFault, SdoError."""
        word = yield from self.status()
        state = self.state
        if state is PdsState.OPERATION_ENABLED and self.permitted:
            return word
        had_leave = self.permitted
        if had_leave:
            self.revoke()
        if state in (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE):
            raise (yield from self.fault(during))
        shown = state.value if state is not None else f"no state ({word:04X}h)"
        if state is PdsState.OPERATION_ENABLED:
            shown += ", which this script did not ask for, or not any more"
        raise NotEnabled(self.node_id, shown, during if had_leave else "")

    def fault(self, during: str = "") -> Plan[DriveFault]:
        """The error to raise for a drive in a fault, with what 603Fh says."""
        code: int | None = None
        with contextlib.suppress(SdoError, WireError):
            code = yield from self.read(ERROR_CODE)
        text = "" if code is None else emcy_text(code, 402, self.vendor_id)
        return DriveFault(self.node_id, code, text, during)
