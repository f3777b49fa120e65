"""Why a drive is not in the state that is wanted, or does not move: a plan that reads, listens and says what it found.

It reads the drive's objects by SDO and listens to the bus for a moment. It writes nothing, sends no command and
energises nothing, whatever the drive does.

Findings come in the order of cause and consequence, what is proven (errors) before what is likely (warnings):

 1. it does not answer: why a node gives no answer
 2. safe torque off, supply, heartbeat: what puts it into a fault, or keeps power away
 3. fault, and a fault reset that is no edge
 4. NMT state, a PDO that overwrites the controlword, remote control
 5. quick stop; nobody asks for the state, or it refuses without a reason that can be read
 6. for motion: halt, mode, SYNC, switches and limits, homing, brake, values of 0, handshake, target
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from opendiag.cia402 import objects as o
from opendiag.cia402.link import DriveLink
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import SERVOTRONIX
from opendiag.diagnose import drive_why_causes as causes
from opendiag.diagnose import drive_why_codes as codes
from opendiag.diagnose import drive_why_motion as motion
from opendiag.diagnose.drive_why_facts import (
    CYCLIC_MODES,
    OVER_VOLTAGE_OBJECT,
    UNDER_VOLTAGE_OBJECT,
    DriveFacts,
    finding,
)
from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import DriveError, NotEnabled, OpenDiagError, SdoAborted, SdoError, StateNotReached, WireError
from opendiag.findings import Finding, Severity
from opendiag.services.pdo_parameters import COB_ID, TRANSMISSION_TYPE, PdoParameters
from opendiag.services.plans import Now, Plan, WaitFor
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import MAX_ENTRIES, communication_index, mapping_index

__all__ = ["explain", "why_not"]

#: The value of ``wanted`` that stands for motion.
MOTION = "motion"
#: Longest listening, for a heartbeat or SYNC that comes seldom.
_MOST_S = 2.5
_MARGIN = 1.2
_MOST_RPDOS, _MISSING_RPDOS = 8, 2

_State = Callable[[DriveFacts], Finding | None]
_OF_STATE: tuple[_State, ...] = (
    causes.statusword,
    causes.not_ready,
    causes.sto,
    causes.voltage,
    causes.heartbeat,
    causes.fault,
    causes.reset_bit,
    causes.nmt,
    causes.pdo_control,
    causes.remote,
    causes.quick_stop,
)
_OF_MOTION: tuple[_State, ...] = (
    causes.nmt,
    causes.pdo_control,
    motion.halt,
    motion.mode,
    motion.sync,
    motion.limit_switch,
    motion.software_limit,
    motion.homing,
    motion.following_error,
    motion.brake,
    motion.zero,
)
#: Whether anybody asks for motion matters where nothing is in its way for certain.
_OF_WISHES: tuple[_State, ...] = (motion.set_point, motion.start_bit, motion.no_target)
#: Read for every question, and for motion besides.
_STATE_OBJECTS = (
    *((o.CONTROLWORD, 0), (o.MODE, 0), (o.MODE_DISPLAY, 0), (o.ERROR_CODE, 0), (0x1001, 0), (0x1018, 1)),
    *((o.DC_LINK, 0), (o.DIGITAL_INPUTS, 0), (o.QUICK_STOP_OPTION, 0), (0x1005, 0), (0x1006, 0), (0x1016, 0)),
)
_MOTION_OBJECTS = (
    *((o.SUPPORTED_MODES, 0), (o.TARGET_POSITION, 0), (o.POSITION_WINDOW, 0), (o.SOFTWARE_LIMITS, 1)),
    *((o.SOFTWARE_LIMITS, 2), (o.TARGET_VELOCITY, 0), (o.VL_TARGET_VELOCITY, 0), (o.TARGET_TORQUE, 0)),
    *((o.INTERPOLATION_DATA, 1), (o.PROFILE_VELOCITY, 0), (o.ACCELERATION, 0), (o.HOMING_METHOD, 0)),
    *((o.HOMING_SPEEDS, 1), (o.HOMING_SPEEDS, 2), (o.HOMING_ACCELERATION, 0), (o.MAX_TORQUE, 0), (o.MAX_CURRENT, 0)),
    *((o.MAX_MOTOR_SPEED, 0), (o.POLARITY, 0), (o.DIGITAL_OUTPUTS, 1), (o.DIGITAL_OUTPUTS, 2), (o.VELOCITY, 0)),
    *((o.FOLLOWING_ERROR, 0), (o.FOLLOWING_WINDOW, 0)),
)


def why_not(
    link: DriveLink,
    wanted: Target | str,
    watch: BusWatch,
    *,
    mode: int | None = None,
    listen_s: float = 0.3,
    timeout_s: float | None = None,
    statusword: int | None = None,
    rested: bool = False,
) -> Plan[list[Finding]]:
    """What keeps the drive from a state, or, with ``wanted`` "motion", from moving; empty when nothing does.

    ``watch`` is fed by whoever runs the plan. ``mode`` is the one that is wanted, without it what 6060h asks for.
    ``statusword`` takes the place of the present one, to explain what happened just before; ``rested``: the drive was
    brought to rest since, so that halt, controlword and state tell nothing any more. ``timeout_s`` is for each read.
    It listens for ``listen_s``, and up to 2.5 s where a heartbeat or SYNC takes so long.
    Raise UnknownTarget for a state that is none, before anything is sent; AdapterError.
    """
    target = None if wanted == MOTION else Target.parse(link.node_id, wanted)
    facts = DriveFacts(link, watch, target, mode, rested)
    return _Examination(facts, listen_s, timeout_s, statusword).run()


def explain(link: DriveLink, error: DriveError, watch: BusWatch, *, listen_s: float = 0.1) -> Plan[None]:
    """Give ``error.why`` what keeps the drive from what was asked of it. Call it when the drive is at rest again.

    Takes a moment, and never raises anything of ours: an error without a reason is better than another error.
    """
    wanted: Target | str = MOTION
    if isinstance(error, StateNotReached):
        named = [target for target in Target if target.value.value == error.wanted]
        if not named:
            return
        wanted = named[0]
    elif isinstance(error, NotEnabled):
        wanted = Target.OPERATION_ENABLED
    word = error.statusword if isinstance(error, StateNotReached) else None
    rested = error.at_rest is not None
    with contextlib.suppress(OpenDiagError):
        found = yield from why_not(
            link, wanted, watch, listen_s=listen_s, timeout_s=0.3, statusword=word, rested=rested
        )
        error.why = tuple(each for each in found if each.severity >= Severity.WARNING)


class _Examination:
    def __init__(self, facts: DriveFacts, listen_s: float, timeout_s: float | None, statusword: int | None) -> None:
        self._facts = facts
        self._listen_s = listen_s
        self._timeout_s = timeout_s
        self._statusword = statusword

    def run(self) -> Plan[list[Finding]]:
        f = self._facts
        f.started = f.now = yield Now()
        f.told = told_state(f.watch, f.node_id, f.now)
        try:
            yield from self._read_state()
            if f.wanted is not None and f.state is f.wanted.value and self._statusword is None and not f.rested:
                return []
            yield from self._read_more()
            yield from self._listen()
        except SdoError as error:
            f.now = yield Now()
            f.told = told_state(f.watch, f.node_id, f.now)
            return _silent(f, error)
        f.told = told_state(f.watch, f.node_id, f.now)
        return self._findings()

    # --- reading ---

    def _read(self, index: int, subindex: int = 0) -> Plan[int | None]:
        """Keep it, and give it; None where the drive does not let it be read, or gives something else than a number."""
        f = self._facts
        try:
            value = yield from f.link.read(index, subindex, self._timeout_s)
        except (SdoAborted, WireError):
            return None
        f.numbers[index, subindex] = value
        return value

    def _read_state(self) -> Plan[None]:
        f = self._facts
        word = yield from self._read(o.STATUSWORD)
        f.word = self._statusword if self._statusword is not None else (word or 0) & 0xFFFF

    def _read_more(self) -> Plan[None]:
        f = self._facts
        for index, subindex in (*_STATE_OBJECTS, *(_MOTION_OBJECTS if f.wanted is None else ())):
            yield from self._read(index, subindex)
        for subindex in range(1, min(f.bits(0x1016), 127) + 1):
            yield from self._read(0x1016, subindex)
        if f.vendor_id == SERVOTRONIX:
            yield from self._read(UNDER_VOLTAGE_OBJECT)
            yield from self._read(OVER_VOLTAGE_OBJECT)
        yield from self._read_rpdos()

    def _read_rpdos(self) -> Plan[None]:
        """Those that are switched on."""
        f, missing = self._facts, 0
        for number in range(1, _MOST_RPDOS + 1):
            index, mapping = communication_index(False, number), mapping_index(False, number)
            cob = yield from self._read(index, COB_ID)
            missing += cob is None
            if missing >= _MISSING_RPDOS:
                return
            if cob is None or cob >> 31 & 1:
                continue
            yield from self._read(index, TRANSMISSION_TYPE)
            count = (yield from self._read(mapping)) or 0
            for subindex in range(1, count + 1 if count <= MAX_ENTRIES else 1):
                yield from self._read(mapping, subindex)
            made = PdoParameters.from_objects(self._unsigned, False, number)
            f.rpdos += [made] if made.active else []

    def _unsigned(self, index: int, subindex: int) -> int | None:
        read = self._facts.get(index, subindex)
        return None if read is None else read & 0xFFFF_FFFF

    # --- listening ---

    def _listen(self) -> Plan[None]:
        f = self._facts
        if f.wanted is None:
            f.first = yield from self._read(o.POSITION)
        before = {key: own.handed for key, own in f.watch.own.items()}
        f.started = f.now = yield Now()
        end = f.started + self._wanted_s()
        while f.now < end:
            yield WaitFor(f.listener.suits, end - f.now)
            f.now = yield Now()
        f.own = {key: own.handed - before.get(key, 0) for key, own in f.watch.own.items()}
        if f.wanted is None:
            f.last = yield from self._read(o.POSITION)
            f.now = yield Now()

    def _wanted_s(self) -> float:
        """Longer than one period of what is to be heard."""
        f = self._facts
        periods = [seconds for node_id, seconds in f.heartbeats_wanted if f.heard_at(node_id) is None]
        if f.mode in CYCLIC_MODES:
            periods.append(3 * f.bits(0x1006) / 1e6)
        return max(self._listen_s, min(_MARGIN * max(periods, default=0.0), _MOST_S))

    # --- findings ---

    def _findings(self) -> list[Finding]:
        f = self._facts
        found = [] if f.wanted is None and (f.enabled or (f.rested and not f.in_fault)) else _all(f, _OF_STATE)
        proven = any(each.severity is Severity.ERROR for each in found)
        if not proven and (asked := causes.controlword(f)) is not None and not _has(found, codes.QUICK_STOP):
            found.append(asked)
        if f.wanted is None and not f.in_fault and (f.enabled or f.rested or not proven):
            found += self._of_motion(found)
        return sorted(found, key=lambda each: -each.severity)

    def _of_motion(self, found: Sequence[Finding]) -> list[Finding]:
        f = self._facts
        if f.enabled and f.moves and not f.rested:
            return []
        held = [each for each in _all(f, _OF_MOTION) if each.code not in {one.code for one in found}]
        if not any(each.severity is Severity.ERROR for each in (*found, *held)):
            held += _all(f, _OF_WISHES)
        if not held and not found and (limit := motion.limit_active(f)) is not None:
            held.append(limit)
        return held if held or found or f.rested else [motion.stands(f)]


def _silent(f: DriveFacts, error: SdoError) -> list[Finding]:
    """It does not answer: what the bus tells of the reason."""
    if f.told.state is NmtState.STOPPED:
        what = f"{f.who} does not answer: its node is STOPPED ({f.told.how}), where it has neither SDO nor PDOs."
        return [finding(f, codes.NMT, what, f"{f.cli('nmt start')}.")]
    if error.why:
        return list(error.why)
    advice = f"{f.cli('doctor')} looks for the reason."
    return [finding(f, codes.SILENT, f"{f.who} does not answer: {error.summary}.", advice)]


def _all(f: DriveFacts, wanted: Sequence[_State]) -> list[Finding]:
    return [found for cause in wanted if (found := cause(f)) is not None]


def _has(found: Sequence[Finding], code: str) -> bool:
    return any(each.code == code for each in found)
