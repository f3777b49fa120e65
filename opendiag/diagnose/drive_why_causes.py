"""What keeps a drive from a state. Each function gives its finding, or None; `drive_why` has their order."""

from __future__ import annotations

from collections.abc import Iterator

from opendiag.cia402 import objects as o
from opendiag.cia402.path import COMMAND_WORDS, Target, energises, next_command
from opendiag.cia402.states import Command, PdsState, controlword_command
from opendiag.diagnose import drive_why_codes as codes
from opendiag.diagnose.drive_why_facts import CYCLIC_MODES, HEARTBEAT_LOST, DriveFacts, finding
from opendiag.diagnose.situation import seconds
from opendiag.findings import Finding, Severity
from opendiag.services.emcy import emcy_text
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.nmt import NmtState

S, C = PdsState, Command
_INTERLOCK, _VOLTAGE, _REMOTE = 1 << 3, 1 << 4, 1 << 9
_RESET_BIT, _HALT = 0x80, 0x100
_COMMUNICATION_ERROR = 1 << 4
#: Below this a DC link is empty, whatever drive it is (mV).
_EMPTY_MV = 5000
_SAFE_TORQUE_OFF = "safe torque off"
#: (first, last error code) -> what helps against its cause.
_HELP: tuple[tuple[int, int, str], ...] = (
    (0x2310, 0x2311, "The load was too high for too long (I2t): wait until it has cooled down, and lower the load"),
    (0x2000, 0x2FFF, "Look for a short circuit of motor or cable, a blocked shaft, and too hard gains or ramps"),
    (
        0x3110,
        0x3110,
        "The supply is too high, or braking feeds back too much: slow down the ramps, fit a brake resistor",
    ),
    (
        0x3210,
        0x3210,
        "The supply is too high, or braking feeds back too much: slow down the ramps, fit a brake resistor",
    ),
    (0x3120, 0x3120, "Bring the supply back"),
    (0x3181, 0x3181, "Close the STO contacts"),
    (0x3220, 0x3220, "Bring the supply back"),
    (0x4000, 0x4FFF, "Let it cool down, and look at load and ventilation"),
    (0x5000, 0x5FFF, "Switch its power off and on; when it comes back, the hardware is at fault"),
    (0x6000, 0x6FFF, "Look at its parameters, and switch its power off and on"),
    (0x7310, 0x7310, "Something drives the motor, or its control swings: look at load, gains and ramps"),
    (0x7300, 0x73FF, "Look at the plug and the cable of the encoder"),
    (0x8100, 0x81FF, "Bring the communication back: heartbeat, node guarding, the bus itself"),
    (0x8600, 0x8611, "Is the shaft free? Slower ramps, or a wider window (6065h), let it follow"),
    (0x8700, 0x8700, "Bring SYNC back, with the period that the drive expects"),
)
_Found = Finding | None


# --- what it says of itself ---


def statusword(f: DriveFacts) -> _Found:
    """A pattern that is no state."""
    if f.state is not None:
        return None
    return finding(
        f,
        codes.STATUSWORD,
        f"the statusword of {f.who} is {f.word:04X}h, which is no state of CiA 402.",
        f"Is it a drive at all ({f.cli('read', '1000')} ends in 0192h), and is {f.object(o.STATUSWORD)} its statusword?"
        "",
    )


def not_ready(f: DriveFacts) -> _Found:
    """Its self-test is not over."""
    if f.state is not S.NOT_READY_TO_SWITCH_ON:
        return None
    return finding(
        f,
        codes.NOT_READY,
        f"{f.who} is NOT READY TO SWITCH ON: it tests itself, and takes no command meanwhile.",
        "Wait. If it stays so, its control supply may be missing, or it has not been configured: see its manual.",
    )


def sto(f: DriveFacts) -> _Found:
    """Safe torque off is asked for: by its error, by the interlock input, or by bit 4 while the voltage is there."""
    if not f.needs_power:
        return None
    by_error = f.in_fault and ("STO" in f.error_text or _SAFE_TORQUE_OFF in f.error_text.lower())
    interlock = bool(f.bits(o.DIGITAL_INPUTS) & _INTERLOCK)
    if not by_error and not (interlock and (f.no_voltage_bit or not f.word & _VOLTAGE)):
        return None
    told = [f"error {f.error_text}"] if by_error else []
    told += [f"interlock, bit 3 of {f.object(o.DIGITAL_INPUTS)}, is 1"] if interlock else []
    told += [] if f.no_voltage_bit or f.word & _VOLTAGE else ["voltage enabled, bit 4 of the statusword, is 0"]
    reset = f" Then reset the fault: {f.cli('drive reset')}." if f.in_fault else ""
    return finding(
        f,
        codes.STO,
        f"safe torque off (STO) keeps {f.who} without power: {'; '.join(told)}.",
        f"Close the STO contacts: emergency stop, guard doors, the plug of the STO input.{reset}",
        severity=Severity.ERROR if by_error or not f.no_voltage_bit else Severity.WARNING,
    )


def voltage(f: DriveFacts) -> _Found:
    """The power stage has no supply."""
    link, (under, over) = f.get(o.DC_LINK), f.voltage_limits
    link = None if link is None else link & 0xFFFF_FFFF
    reads = "" if link is None else f"{f.object(o.DC_LINK)} reads {link / 1000:.1f} V"
    reset = f" Then reset the fault: {f.cli('drive reset')}." if f.in_fault else ""
    if link is not None and over and link > over:
        return finding(
            f,
            codes.VOLTAGE,
            f"the DC link of {f.who} has {link / 1000:.1f} V, above its limit of {over / 1000:.1f} V (20A1h).",
            f"Check the supply; braking feeds back into it: slower ramps, or a brake resistor.{reset}",
        )
    if not f.needs_power:
        return None
    if link is not None and under and link < under:
        return finding(
            f,
            codes.VOLTAGE,
            f"the DC link of {f.who} has {link / 1000:.1f} V, below its threshold of {under / 1000:.1f} V (20CFh).",
            f"Switch the motor supply on, and check its fuse and plug.{reset}",
        )
    if f.no_voltage_bit or f.word & _VOLTAGE or f.state is S.FAULT_REACTION_ACTIVE or sto(f) is not None:
        return None
    empty = link is not None and link < _EMPTY_MV
    sure = empty or f.state in (S.READY_TO_SWITCH_ON, S.SWITCHED_ON, S.OPERATION_ENABLED)
    return finding(
        f,
        codes.VOLTAGE,
        f"{f.who} has no voltage to drive the motor with: bit 4 (voltage enabled) of its statusword is 0.",
        f"Switch the motor supply on: main contactor, fuse, plug, STO contacts.{reset}",
        reads,
        Severity.ERROR if sure else Severity.WARNING,
    )


def fault(f: DriveFacts) -> _Found:
    """It is in FAULT: what, and how it is reset."""
    if not f.in_fault:
        return None
    code = f.error_code
    if f.state is S.FAULT_REACTION_ACTIVE:
        return finding(
            f,
            codes.FAULT,
            f"{f.who} reacts to a fault, error {f.error_text}: it brakes, and goes to FAULT then.",
            "Wait until it stands.",
        )
    what = f"error {f.error_text}" if code else "and names no error (603Fh is 0)"
    help_ = next((text for first, last, text in _HELP if first <= code <= last), "Look it up in the drive's manual")
    present = _still_there(f)
    stays = f" Its cause is still there: {present}." if present else ""
    reset = f"{f.cli('drive reset')}, in Python `reset()`: a rising edge of bit 7 of the controlword"
    then = (
        f"A reset does nothing until then; then {reset}."
        if present
        else f"Then {reset}. If it stays, so does its cause."
    )
    emcy = f.emcy
    differs = emcy is not None and emcy.code != code
    return finding(
        f,
        codes.FAULT,
        f"{f.who} is in FAULT, {what}.{stays}",
        f"{help_}. {then}",
        f"the last EMCY was {emcy.code:04X}h ({emcy_text(emcy.code, 402, f.vendor_id)})" if differs and emcy else "",
    )


def _still_there(f: DriveFacts) -> str:
    """What can be read of the cause of a fault, while it lasts."""
    for made in (sto(f), voltage(f)):
        if made is not None and made.severity is Severity.ERROR:
            return "see above"
    silent = _silent_producers(f)
    if f.error_code == HEARTBEAT_LOST and silent:
        return f"no heartbeat of node {silent[0][0]}"
    return ""


def reset_bit(f: DriveFacts) -> _Found:
    """Bit 7 is 1 already: a fault is reset by its rising edge."""
    if f.state is not S.FAULT or f.rested or not f.control & _RESET_BIT:
        return None
    return finding(
        f,
        codes.RESET_BIT,
        f"the controlword of {f.who} is {f.control:04X}h, its bit 7 (fault reset) is 1 already: only a change from 0 "
        "to 1 resets a fault.",
        f"Write it as 0 first, or {f.cli('drive reset')}, which does both. If it was reset so, the cause is still "
        "there.",
        severity=Severity.WARNING,
    )


# --- the bus ---


def heartbeat(f: DriveFacts) -> _Found:
    """A node it supervises is silent: what 6007h says happens then, and some drives cannot be enabled."""
    silent = _silent_producers(f)
    emcy = f.watch.node(f.node_id).emcy
    code = f.error_code or (0 if emcy is None or f.rested else emcy.code)
    told = code == HEARTBEAT_LOST and (f.in_fault or bool(silent))
    if not told and not (silent and f.bits(0x1001) & _COMMUNICATION_ERROR):
        return None
    if silent:
        node_id, wanted_s, heard_at = silent[0]
        last = "never heard" if heard_at is None else f"last heard {seconds(f.now - heard_at)} ago"
        what = f"expects a heartbeat of node {node_id} every {seconds(wanted_s)} (1016h); it was {last}"
        evidence = f"error {code:04X}h" if told else f"1001h is {f.bits(0x1001):02X}h: communication error"
    else:
        what, evidence = "missed a heartbeat that it waits for; the heartbeats of 1016h come now", f"error {code:04X}h"
    return finding(
        f,
        codes.HEARTBEAT,
        f"{f.who} {what}.",
        "Let that node send its heartbeat (1017h; ours: `network.heartbeat(node_id, period_s)`), or clear the entry in "
        f"1016h. Then reset the fault: {f.cli('drive reset')}.",
        evidence,
    )


def _silent_producers(f: DriveFacts) -> list[tuple[int, float, float | None]]:
    heard = [(node_id, wanted_s, f.heard_at(node_id)) for node_id, wanted_s in f.heartbeats_wanted]
    return [(n, wanted_s, at) for n, wanted_s, at in heard if at is None or f.now - at > wanted_s]


def nmt(f: DriveFacts) -> _Found:
    """PDOs are taken in OPERATIONAL only."""
    if f.told.state in (None, NmtState.OPERATIONAL):
        return None
    own = [pdo for pdo in f.rpdos if f.carries(pdo, *_COMMANDING)]
    used = [pdo.name for pdo in own if f.comes(pdo)]
    cyclic = f.wanted is None and f.mode in CYCLIC_MODES and any(f.carries(pdo, *_SET_POINTS) for pdo in own)
    if not used and not cyclic:
        return None
    what = f"{' and '.join(used)} come{'s' * (len(used) == 1)} and" if used else "its set-points by PDO"
    return finding(
        f,
        codes.NMT,
        f"{f.who} is in NMT state {f.told.state.text} ({f.told.how}): {what} do{'es' * (len(used) == 1)} nothing "
        "outside of OPERATIONAL.",
        f"{f.cli('nmt start')}.",
        severity=Severity.ERROR if used else Severity.WARNING,
    )


_SET_POINTS = (o.TARGET_POSITION, o.TARGET_VELOCITY, o.TARGET_TORQUE, o.VL_TARGET_VELOCITY, o.INTERPOLATION_DATA)
_COMMANDING = (o.CONTROLWORD, o.MODE, *_SET_POINTS)


def pdo_control(f: DriveFacts) -> _Found:
    """An RPDO that comes again and again has another controlword: what is written by SDO lasts for one period."""
    for pdo, word in _words(f):
        if not f.acts(pdo) or _leads_there(f, word):
            continue
        frames, own = f.frames(pdo.cob), f.sent(pdo.cob)
        period = f" every {seconds(frames.period_s)}" if frames.period_s else ""
        sender = "another sender" if frames.count else "here"
        command = controlword_command(word)
        return finding(
            f,
            codes.PDO_CONTROL,
            f"{pdo.name} of {f.who} (CAN-ID {pdo.cob.text}h) comes{period} from {sender} with "
            f"controlword {word:04X}h ({_meaning(command, word)}): it overwrites every other one.",
            f"Stop who sends it, or switch {pdo.name} off (bit 31 of {pdo.communication:04X}:01); `opendiag watch` "
            f"shows it. {f.cli('drive enable')} by SDO alone does not help.",
            f"{frames.count or own} in {seconds(f.listened_s)}",
        )
    return None


def _words(f: DriveFacts) -> Iterator[tuple[PdoParameters, int]]:
    for pdo in f.rpdos:
        if f.carries(pdo, o.CONTROLWORD) and f.comes(pdo) and (word := f.word_in(pdo)) is not None:
            yield pdo, word


def _leads_there(f: DriveFacts, word: int) -> bool:
    """Does a drive that gets this word again and again come to what is wanted?"""
    command = controlword_command(word)
    if f.wanted in (None, Target.OPERATION_ENABLED):
        return energises(word) and not word & (_HALT if f.wanted is None else 0) and not word & _RESET_BIT
    return command is not None and f.state is not None and command is next_command(f.state, f.wanted)


def _meaning(command: Command | None, word: int) -> str:
    shown = command.value if command is not None else "no command"
    return f"{shown}, halt" if word & _HALT else shown


# --- who is asked ---


def remote(f: DriveFacts) -> _Found:
    """Bit 9 is 0: it does not listen to the controlword."""
    if f.word & _REMOTE or f.state is None:
        return None
    return finding(
        f,
        codes.REMOTE,
        f"{f.who} is not under remote control (bit 9 of its statusword is 0): the controlword is not looked at.",
        "Somebody else has it: a vendor's tool that is connected, a panel, a switch local/remote, an analogue or pulse "
        "command source. Hand control back there.",
    )


def quick_stop(f: DriveFacts) -> _Found:
    """It was stopped in a hurry, and stays so."""
    asked = controlword_command(f.control) is C.QUICK_STOP
    if f.rested or f.wanted is Target.SWITCH_ON_DISABLED:
        return None
    way = f"Make sure that it may move. Then {f.cli('drive disable')} and {f.cli('drive enable')}."
    if f.state is S.QUICK_STOP_ACTIVE:
        option = f.get(o.QUICK_STOP_OPTION)
        why = (
            "" if option is None else f" and 605Ah is {option}: it {'stays' if option in range(5, 9) else 'ends'} there"
        )
        own = "the controlword still asks for it" if asked else f"the controlword is {f.control:04X}h by now"
        return finding(f, codes.QUICK_STOP, f"{f.who} is in QUICK STOP ACTIVE{why}; {own}.", way)
    if not asked or f.state is not S.SWITCH_ON_DISABLED:
        return None
    return finding(
        f,
        codes.QUICK_STOP,
        f"{f.who} was stopped by a quick stop, and its controlword still is {f.control:04X}h (bit 2 is 0).",
        f"Make sure that it may move. Then {f.cli('drive enable')}.",
        severity=Severity.WARNING,
    )


def controlword(f: DriveFacts) -> _Found:
    """Nobody asks, or it was asked and does not follow."""
    wanted = f.wanted or Target.OPERATION_ENABLED
    if f.rested or f.state is None or f.state is wanted.value or f.in_fault:
        return None
    needed = next_command(f.state, wanted)
    if needed is None:
        return None
    asked = controlword_command(f.control)
    word = COMMAND_WORDS[needed]
    verb = f.cli("drive enable") if wanted is Target.OPERATION_ENABLED else f.cli("drive disable")
    if asked is needed or (asked is C.ENABLE_OPERATION and f.state in (S.READY_TO_SWITCH_ON, S.SWITCHED_ON)):
        return finding(
            f,
            codes.REFUSES,
            f'{f.who} was told "{asked.value}" (controlword {f.control:04X}h) and stays in {f.state.value}; nothing '
            "that "
            "can be read says why.",
            "Try again. Some drives want a wait between two words, a mode of operation (6060h), a homed encoder, or an "
            "enable input first: see its manual.",
            f"statusword {f.word:04X}h",
            Severity.WARNING,
        )
    shown = asked.value if asked is not None else "no command"
    return finding(
        f,
        codes.CONTROLWORD,
        f'{f.who} is in {f.state.value} because nobody asks for more: its controlword is {f.control:04X}h ("{shown}"), '
        f'and on the way to {wanted.value.value} comes {word:04X}h ("{needed.value}").',
        f"{verb}.",
        severity=Severity.WARNING,
    )
