"""What keeps an enabled drive from moving. Each function gives its finding, or None; `drive_why` has their order."""

from __future__ import annotations

from opendiag.cia402 import objects as o
from opendiag.cia402.modes import Mode, mode_label, supported_modes
from opendiag.diagnose import drive_why_codes as codes
from opendiag.diagnose.drive_why_facts import CYCLIC_MODES, POSITION_MODES, DriveFacts, finding
from opendiag.diagnose.situation import seconds
from opendiag.findings import Finding, Severity
from opendiag.services.pdo_parameters import AT_SYNC

_Found = Finding | None
_REACHED, _LIMIT, _BIT_12, _BIT_13 = 1 << 10, 1 << 11, 1 << 12, 1 << 13
_START = 1 << 4
_RAMP_BITS = 0x70
_NEGATIVE, _POSITIVE = 1, 2
_BRAKE = 1
_WHOLE = (1 << 31) - 2
_WARNING = Severity.WARNING

#: What a mode cannot move with at 0: (object, subindex, what it is).
_MUST = {
    Mode.PP: ((o.PROFILE_VELOCITY, 0, "profile velocity"), (o.ACCELERATION, 0, "profile acceleration")),
    Mode.PV: ((o.ACCELERATION, 0, "profile acceleration"),),
    Mode.HM: (
        (o.HOMING_SPEEDS, 1, "homing speed to the switch"),
        (o.HOMING_SPEEDS, 2, "homing speed to zero"),
        (o.HOMING_ACCELERATION, 0, "homing acceleration"),
    ),
}
#: What no mode moves with at 0, but for drives that take 0 for "no limit".
_MAY = (
    (o.MAX_TORQUE, 0, "maximal torque"),
    (o.MAX_CURRENT, 0, "maximal current"),
    (o.MAX_MOTOR_SPEED, 0, "maximal motor speed"),
)


def halt(f: DriveFacts) -> _Found:
    """Bit 8 of the controlword."""
    if f.rested or not f.halted:
        return None
    return finding(
        f,
        codes.HALT,
        f"halt is set: bit 8 of the controlword of {f.who} ({f.control:04X}h); it holds the motor.",
        "Clear it: in Python `unhalt()`. Some drives change the mode of operation only without halt.",
    )


def mode(f: DriveFacts) -> _Found:
    """6061h is another than 6060h, or than the wanted one."""
    asked, shown = f.get(o.MODE), f.get(o.MODE_DISPLAY)
    wanted = f.mode_wanted if f.mode_wanted is not None else asked
    supported = f.bits(o.SUPPORTED_MODES)
    if wanted is not None and wanted > 0 and supported and not supported >> (wanted - 1) & 1:
        has = ", ".join(each.name.lower() for each in supported_modes(supported)) or "none of the standard's"
        return finding(
            f,
            codes.MODE_UNSUPPORTED,
            f"{f.who} does not have mode {mode_label(wanted)}: {f.object(o.SUPPORTED_MODES)} lists {has}.",
            "Use one of these.",
            f"{f.object(o.SUPPORTED_MODES)} is {supported:08X}h",
        )
    if wanted is None or shown is None or (shown == wanted and wanted):
        return None
    if not shown and not wanted:
        sentence = f"{f.who} has no mode of operation: {f.object(o.MODE)} and {f.object(o.MODE_DISPLAY)} are 0."
    elif asked == wanted:
        sentence = (
            f"{f.who} works in mode {mode_label(shown)} ({f.object(o.MODE_DISPLAY)}), and mode {mode_label(wanted)} "
            f"was asked for ({f.object(o.MODE)})."
        )
    else:
        sentence = f"{f.who} works in mode {mode_label(shown)}, and mode {mode_label(wanted)} is wanted."
    clear = " Clear halt first: some drives refuse a change while it is set." if f.halted and not f.rested else ""
    return finding(
        f,
        codes.MODE,
        sentence,
        f"In Python `set_mode(...)`, which waits until the drive shows it. Some drives change it only at standstill or "
        f"while they are disabled.{clear}",
    )


def sync(f: DriveFacts) -> _Found:
    """Set-points that act with SYNC, and no SYNC."""
    if f.sync_count or f.mode is None:
        return None
    waiting = [
        pdo.name
        for pdo in f.rpdos
        if pdo.transmission_type in AT_SYNC
        and (f.comes(pdo) or (f.mode in CYCLIC_MODES and f.target is not None and f.carries(pdo, f.target[0])))
        and f.carries(pdo, o.CONTROLWORD, *(() if f.target is None else (f.target[0],)))
    ]
    if not waiting:
        return None
    period = f.bits(0x1006) / 1e6
    every = f" with the period that it expects, {seconds(period)} (1006h)" if period else ""
    return finding(
        f,
        codes.SYNC,
        f"{' and '.join(waiting)} of {f.who} act{'s' * (len(waiting) == 1)} with SYNC, and no SYNC came on "
        f"{f.sync_cob.text}h in {seconds(f.listened_s)}.",
        f"Start the SYNC producer{every}: `opendiag sync`, in Python `network.sync(period_s)`.",
    )


def limit_switch(f: DriveFacts) -> _Found:
    """60FDh: on a limit switch, and the target lies beyond."""
    active = f.bits(o.DIGITAL_INPUTS) & (_NEGATIVE | _POSITIVE)
    if not active:
        return None
    where = f"bits 0 and 1 of {f.object(o.DIGITAL_INPUTS)}"
    if active == _NEGATIVE | _POSITIVE:
        return finding(
            f,
            codes.LIMIT_SWITCH,
            f"both limit switches of {f.who} are active ({where}): that is a broken cable or a wrong polarity of the "
            "inputs rather than the axis.",
            "Check the supply of the switches, their cable, and whether the inputs are set to normally closed.",
        )
    side = 1 if active == _POSITIVE else -1
    if f.direction == -side:
        return None
    name = "positive" if side > 0 else "negative"
    beyond = ", and its target lies beyond" if f.direction == side else ""
    return finding(
        f,
        codes.LIMIT_SWITCH,
        f"{f.who} is on its {name} limit switch ({where}){beyond}.",
        f"Move it the other way, or home it (method {18 if side > 0 else 17} begins with this switch). If it is not "
        "there, check the switch, its cable and its polarity.",
        severity=Severity.ERROR if f.direction == side else _WARNING,
    )


def software_limit(f: DriveFacts) -> _Found:
    """607Dh: the position, or the target, is outside."""
    low, high = f.get(o.SOFTWARE_LIMITS, 1), f.get(o.SOFTWARE_LIMITS, 2)
    if low is None or high is None or low >= high or high - low >= 2 * _WHOLE or f.mode not in POSITION_MODES:
        return None
    window = f"{low} to {high} ({f.object(o.SOFTWARE_LIMITS, 1)} and :02)"
    target = None if f.target is None else f.get(*f.target)
    here = f.position
    if here is not None and not low - f.window <= here <= high + f.window:
        return finding(
            f,
            codes.NOT_HOMED,
            f"the position of {f.who}, {here}, is outside of its software limits, {window}: it was likely not homed "
            "since its power came.",
            f"{f.cli('drive home')}, or set the limits anew.",
            severity=Severity.ERROR if target is None or not low <= target <= high else _WARNING,
        )
    if target is None or low <= target <= high:
        return None
    return finding(
        f,
        codes.SOFTWARE_LIMIT,
        f"the target of {f.who}, {target}, is outside of its software limits, {window}.",
        "Choose another target, home the axis if its zero is wrong, or widen the limits.",
        "bit 11 (internal limit active) is 1" if f.word & _LIMIT else "",
    )


def homing(f: DriveFacts) -> _Found:
    """A homing ended with an error."""
    if f.mode != Mode.HM or f.rested or not f.word & _BIT_13:
        return None
    method = f.get(o.HOMING_METHOD)
    return finding(
        f,
        codes.HOMING,
        f"the homing of {f.who} ended with an error (bit 13 of its statusword); the method is {method}.",
        f"Is there the switch that this method looks for ({f.object(o.DIGITAL_INPUTS)}), and does the axis reach it? A "
        "new attempt begins with a rising edge of bit 4.",
        f"statusword {f.word:04X}h",
    )


def following_error(f: DriveFacts) -> _Found:
    """It does not follow."""
    if f.mode not in (Mode.PP, Mode.CSP) or not f.word & _BIT_13:
        return None
    off, window = f.get(o.FOLLOWING_ERROR), f.get(o.FOLLOWING_WINDOW)
    shown = "" if off is None else f" of {off}"
    allowed = "" if window is None else f", more than the {window & 0xFFFF_FFFF} of its window (6065h)"
    return finding(
        f,
        codes.FOLLOWING_ERROR,
        f"{f.who} has a following error{shown}{allowed}: the motor does not get where it should be.",
        "Is the shaft free, the brake open, the current limit high enough (6072h, 6073h)? Is the motor on?",
    )


def brake(f: DriveFacts) -> _Found:
    """60FEh asks for the brake."""
    if f.get(o.DIGITAL_OUTPUTS, 1) is None:
        return None
    asked = f.bits(o.DIGITAL_OUTPUTS, 1) & _BRAKE
    masked = f.get(o.DIGITAL_OUTPUTS, 2)
    if not asked or (masked is not None and not masked & _BRAKE) or f.rested:
        return None
    return finding(
        f,
        codes.BRAKE,
        f"the brake of {f.who} is closed by command: bit 0 of {f.object(o.DIGITAL_OUTPUTS, 1)} is 1 while it is "
        "enabled.",
        f"Open it: {f.cli('write', f'{f.object(o.DIGITAL_OUTPUTS, 1)} 0')}. Mind a load that hangs.",
    )


def zero(f: DriveFacts) -> _Found:
    """A velocity, acceleration, torque or current of 0."""
    must = _MUST.get(Mode(f.mode), ()) if f.mode in _MUST else ()
    for needed, objects in ((True, must), (False, _MAY)):
        for index, subindex, name in objects:
            if f.get(index, subindex) != 0:
                continue
            doubt = "" if needed else "; some drives take 0 for no limit, others for none at all"
            return finding(
                f,
                codes.ZERO,
                f"the {name} of {f.who} ({f.object(index, subindex)}) is 0: nothing moves with that{doubt}.",
                f"Set it: {f.cli('write', f'{f.object(index, subindex)} VALUE')}.",
                severity=Severity.ERROR if needed else _WARNING,
            )
    return None


def set_point(f: DriveFacts) -> _Found:
    """The handshake of profile position: bit 4 of the controlword and bit 12 of the statusword."""
    if f.mode != Mode.PP or f.rested or not f.enabled:
        return None
    offered, taken = bool(f.control & _START), bool(f.word & _BIT_12)
    bits = f"controlword {f.control:04X}h, statusword {f.word:04X}h"
    if offered and taken and not f.is_there:
        return finding(
            f,
            codes.SET_POINT,
            f"bit 4 of the controlword of {f.who} stays 1: a set-point is taken with its rising edge only, and that in "
            f"{f.object(o.TARGET_POSITION)} ({f.get(o.TARGET_POSITION)}) came later.",
            "Clear bit 4, wait until bit 12 of the statusword is 0, write the target, set bit 4. In Python `move_to` "
            "does all of it.",
            bits,
        )
    if taken and not offered:
        return finding(
            f,
            codes.SET_POINT,
            f"{f.who} takes no new set-point: bit 12 (set-point acknowledge) of its statusword stays 1 although bit 4 "
            "is 0; its buffer is full.",
            "Wait until the motion under way is over, or let the next set-point replace it (bit 5, change "
            "immediately). If nothing moves, look for what holds the motion.",
            bits,
        )
    if offered and not taken:
        return finding(
            f,
            codes.SET_POINT,
            f"{f.who} did not acknowledge the set-point {f.get(o.TARGET_POSITION)}: bit 4 is 1, and bit 12 of its "
            "statusword stays 0.",
            "It does not want it: outside of its limits (607Dh, 607Fh), a profile velocity of 0, halt, or not homed.",
            bits,
        )
    return None


def start_bit(f: DriveFacts) -> _Found:
    """The mode waits for a bit of the controlword."""
    if f.rested or not f.enabled:
        return None
    asked = f.control & _START
    done = f.word & _REACHED
    advice, what = "", ""
    if f.mode == Mode.PP and not asked and not f.is_there and not f.word & _BIT_12 and done:
        what = f"a target is in {f.object(o.TARGET_POSITION)} ({f.get(o.TARGET_POSITION)}), and bit 4 (new set-point)"
        advice = "In Python `move_to`: it writes the target and sets bit 4."
    elif f.mode == Mode.HM and not asked and not f.word & _BIT_12:
        what, advice = "bit 4 (homing operation start)", f"{f.cli('drive home')}."
    elif f.mode == Mode.IP and not asked:
        what, advice = "bit 4 (enable interpolation)", "In Python `follow(...)` sets it."
    elif f.mode == Mode.VL and f.control & _RAMP_BITS != _RAMP_BITS:
        what, advice = (
            "one of the bits 4 to 6 (enable, unlock and reference ramp)",
            "In Python `run_at(...)` sets them.",
        )
    if not what:
        return None
    return finding(
        f,
        codes.START_BIT,
        f"{f.who} waits to be told: {what} of its controlword ({f.control:04X}h) is 0.",
        advice,
        severity=_WARNING,
    )


def no_target(f: DriveFacts) -> _Found:
    """Nothing asks for motion."""
    if f.target is None or f.get(*f.target) is None:
        return None
    name, value = f.object(*f.target), f.get(*f.target)
    if f.mode in CYCLIC_MODES:
        carriers = [pdo for pdo in f.rpdos if f.carries(pdo, f.target[0])]
        if carriers and not any(f.comes(pdo) for pdo in carriers):
            ids = " and ".join(f"{pdo.name} ({pdo.cob.text}h)" for pdo in carriers)
            return finding(
                f,
                codes.NO_TARGET,
                f"{f.who} is to follow set-points, and none came in {seconds(f.listened_s)}: nobody sends {ids}.",
                "Start the motion controller; in Python `follow(trajectory)`.",
            )
    here = f.mode in POSITION_MODES
    if not (f.is_there if here else value == 0):
        return None
    which = "where it stands" if here else "which is no motion"
    return finding(
        f,
        codes.NO_TARGET,
        f"{f.who} has nothing to do: its target ({name}) is {value}, {which}.",
        "Give it another target.",
        severity=_WARNING,
    )


def limit_active(f: DriveFacts) -> _Found:
    """Bit 11, and nothing above says which limit."""
    if not f.word & _LIMIT:
        return None
    return finding(
        f,
        codes.LIMIT_ACTIVE,
        f"a limit inside of {f.who} is active (bit 11 of its statusword).",
        "Velocity (607Fh, 6080h), current or torque (6072h, 6073h), position (607Dh) or a switch (60FDh): which of "
        "them, its manual or its warnings tell. A shaft that is blocked does that, too.",
        severity=_WARNING,
    )


def stands(f: DriveFacts) -> Finding:
    """Nothing of all that."""
    mode_shown = "an unknown mode" if f.mode is None else f"mode {mode_label(f.mode)}"
    return finding(
        f,
        codes.STANDS,
        f"{f.who} is enabled, in {mode_shown}, and stands still; nothing that can be read says why.",
        "Is the shaft blocked? Look at current and following error while it should move: "
        f"`opendiag scope 6064,6062,6077 --node {f.node_id}`.",
        f"statusword {f.word:04X}h, controlword {f.control:04X}h",
        _WARNING,
    )
