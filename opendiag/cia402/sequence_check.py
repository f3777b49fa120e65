"""Compares a sequence with the drives that are to carry it out. Only reads: what does not fit is told with its line."""

from __future__ import annotations

from collections.abc import Mapping

from opendiag.cia402.device_limits import check, check_position, check_profile, device_limits, fits
from opendiag.cia402.homing import is_known
from opendiag.cia402.homing_plans import supported_methods
from opendiag.cia402.limits import ScriptLimits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode, mode_label
from opendiag.cia402.objects import (
    ACCELERATION,
    DECELERATION,
    HOMING_METHOD,
    HOMING_SPEEDS,
    POSITION,
    PROFILE_VELOCITY,
    STATUSWORD,
    SUPPORTED_MODES,
    TARGET_TORQUE,
    TARGET_VELOCITY,
)
from opendiag.cia402.sequence import Amount, Sequence, Step
from opendiag.cia402.sequence_run import given
from opendiag.cia402.sequence_timeline import AxisPlans
from opendiag.cia402.sequence_yaml import Problems
from opendiag.cia402.units import Units
from opendiag.dictionary.datatypes import encode_value
from opendiag.errors import DriveError, OpenDiagError, OutsideLimits, SdoAborted, SdoTimeout, WireError
from opendiag.services.plans import Plan

_MODES = {"home": Mode.HM, "move": Mode.PP, "move_by": Mode.PP, "velocity": Mode.PV, "torque": Mode.TQ}
#: Turns of a repeat in which positions are followed; what comes later is checked when it is there.
_TURNS = 1000
#: The window of the position may be left by this part of its width before a drive is stopped, see `limits`.
_STRAY = 0.01
#: What an error of `device_limits` is about, and the key of a step that it is given with ("" for its value).
_GIVEN_AS = {
    "target position": ("position", ""),
    "velocity": ("velocity", "velocity"),
    "acceleration": ("acceleration", "acceleration"),
    "deceleration": ("acceleration", "deceleration"),
    "torque": ("torque", ""),
    "home offset": ("position", "offset"),
    "speed": ("velocity", "speed"),
    "zero_speed": ("velocity", "zero_speed"),
}


def check_sequence(sequence: Sequence, axes: Mapping[str, AxisPlans]) -> Plan[None]:
    """Units, limits of the script and of the drive, modes and homing methods. Raise SequenceError, SdoTimeout."""
    problems = Problems(sequence.file)
    for name, plans in axes.items():
        spec = sequence.axes[name]
        try:
            yield from _axis_exists(plans.link)
        except SdoAborted as error:
            problems.add(spec.line, f"drive {spec.node_id} has no axis {spec.axis}: {error.summary}")
            continue
        try:
            units = yield from plans.units()
            yield from plans.script_limits()
            if spec.limits.position is not None:
                low, high = (
                    units.from_device("position", units.counts("position", end)) for end in spec.limits.position
                )
                if low > high:
                    low_text, high_text = spec.limits.position
                    problems.add(spec.line, f"limits of {name}: position: {low_text} is above {high_text}")
        except (ValueError, DriveError) as error:
            problems.add(spec.line, f"limits of {name}: {_text(error)}")
    problems.refuse()
    for name, plans in axes.items():
        yield from _Course(sequence, name, plans, problems).follow()
    problems.refuse()


def _axis_exists(link: DriveLink) -> Plan[None]:
    """Every drive has its first one. Raise SdoAborted, SdoTimeout."""
    if link.axis:
        yield from link.read(STATUSWORD)


class _Course:
    """One axis through the whole sequence. ``at`` is where it stands, in counts; None where nobody can tell."""

    def __init__(self, sequence: Sequence, name: str, plans: AxisPlans, problems: Problems) -> None:
        self._sequence = sequence
        self._name = name
        self._plans = plans
        self._problems = problems
        self._modes: int | None = None
        self._methods: tuple[int, ...] | None = None
        self._at: int | None = None
        self._profile_given = False

    def follow(self) -> Plan[None]:
        link = self._plans.link
        self._units: Units = yield from self._plans.units()
        self._limits: ScriptLimits = yield from self._plans.script_limits()
        self._modes = yield from link.read_if_there(SUPPORTED_MODES)
        self._at = yield from link.read_if_there(POSITION)
        self._inside()
        yield from self._steps(self._sequence.steps, 0)

    def _inside(self) -> None:
        """A drive that is outside of the window would be stopped as soon as it is enabled."""
        window = self._limits.position
        energised = any(each.action == "enable" and self._name in each.axes for each in self._sequence.all_steps())
        if window is None or self._at is None or not energised:
            return
        room = _STRAY * (window[1] - window[0])
        if not window[0] - room <= self._at <= window[1] + room:
            low, high = sorted(self._units.from_device("position", end) for end in window)
            unit = self._units.default("position")
            self._problems.add(
                self._sequence.axes[self._name].line,
                f"limits of {self._name}: position: it is at {self._shown('position', self._at)} now, outside of "
                f"{low:.6g} {unit} to {high:.6g} {unit}",
            )

    def _shown(self, quantity: str, counts: float, unit: str | None = None) -> str:
        unit = unit or self._units.default(quantity)
        return f"{self._units.from_device(quantity, counts, unit):.6g} {unit}"

    def _steps(self, steps: tuple[Step, ...], turn: int) -> Plan[None]:
        for step in steps:
            if step.action == "repeat":
                for count in range(min(step.count, _TURNS)):
                    yield from self._steps(step.steps, max(turn, count))
            elif self._name in step.axes:
                try:
                    yield from self._step(step, turn)
                except SdoTimeout:
                    raise
                except OutsideLimits as error:
                    self._problems.add(step.line, f"{step.action}: {self._in_units(step, error)}")
                except (OpenDiagError, ValueError) as error:
                    self._problems.add(step.line, f"{step.action}: {_text(error)}")

    def _in_units(self, step: Step, error: OutsideLimits) -> str:
        """What was compared in counts is told in the unit that the step gives, or in the usual one."""
        quantity, key = _GIVEN_AS.get(error.what, ("", ""))
        if not quantity:
            return _text(error)
        if error.what == "velocity" and step.action == "velocity":
            key = ""
        amount = step.option(key, self._name) if key else step.values.get(self._name)
        unit = None if amount is None else amount.unit
        try:
            value, low, high = (float(text) for text in (error.value, *error.allowed.split(" .. ")))
            ends = sorted(self._units.from_device(quantity, end, unit) for end in (low, high))
            shown = self._shown(quantity, value, unit)
        except (ValueError, KeyError, OpenDiagError):
            return _text(error)
        named = unit or self._units.default(quantity)
        allowed = f"{ends[0]:.6g} .. {ends[1]:.6g} {named}"
        return f"drive {error.node_id}: {error.what} {shown} is outside {allowed}, {error.whose}"

    def _step(self, step: Step, turn: int) -> Plan[None]:
        """The part of a later turn that may differ from that of the first: where it leads."""
        if step.action in ("move", "move_by"):
            yield from self._move(step)
        elif step.action in ("home", "velocity", "torque"):
            self._at = None
        if turn:
            return
        self._mode(step)
        if step.action == "home":
            yield from self._home(step)
        elif step.action == "velocity":
            yield from self._velocity(step)
        elif step.action == "torque":
            yield from self._torque(step)
        elif step.action == "set":
            self._writes(step)
        elif step.expected is not None and step.expected.what in ("position", "velocity", "current", "torque"):
            self._units.counts_per(step.expected.what, step.expected.amount.unit if step.expected.amount else None)
            if step.expected.tolerance is not None:
                self._units.counts_per(step.expected.what, step.expected.tolerance.unit)

    def _counts(self, quantity: str, amount: Amount | None) -> int | None:
        return None if amount is None else self._units.counts(quantity, given(amount))

    def _mode(self, step: Step) -> None:
        mode = _MODES.get(step.action)
        if mode is not None and self._modes and not self._modes >> (mode - 1) & 1:
            self._problems.add(
                step.line, f"{step.action}: drive {self._plans.link.node_id} has no mode {mode_label(mode)}"
            )

    def _move(self, step: Step) -> Plan[None]:
        counts = self._counts("position", step.values[self._name]) or 0
        relative = step.action == "move_by"
        target = counts if not relative else None if self._at is None else self._at + counts
        self._at = target
        link = self._plans.link
        if target is not None:
            self._limits.check_position(link.node_id, target)
            yield from check_position(link, target)
        ramps = yield from self._ramps(step)
        velocity = self._counts("velocity", step.option("velocity", self._name))
        if velocity is not None:
            self._limits.check(link.node_id, "velocity", velocity)
            self._profile_given = True
        elif not self._profile_given:
            yield from self._kept_speed(step, PROFILE_VELOCITY, 0, "give a velocity")
        yield from check_profile(link, velocity, *ramps, (PROFILE_VELOCITY, ACCELERATION, DECELERATION))

    def _kept_speed(self, step: Step, index: int, subindex: int, advice: str) -> Plan[None]:
        """A speed that is not given is that of the drive's object: it counts for the limit, too."""
        most = self._limits.velocity
        if most is None or (kept := (yield from self._plans.link.read_if_there(index, subindex))) is None:
            return
        if abs(kept) > most:
            name = f"{self._plans.link.index(index):04X}" + (f":{subindex:02X}" if subindex else "h")
            self._problems.add(
                step.line,
                f"{step.action}: the drive's own velocity, {self._shown('velocity', kept)} ({name}), is above "
                f"the limit of {self._shown('velocity', most)}: {advice}",
            )

    def _ramps(self, step: Step) -> Plan[tuple[int | None, int | None]]:
        yield from ()
        up = self._counts("acceleration", step.option("acceleration", self._name))
        down = self._counts("acceleration", step.option("deceleration", self._name))
        for ramp in (up, down):
            if ramp is not None:
                self._limits.check(self._plans.link.node_id, "acceleration", ramp)
        return up, up if down is None else down

    def _velocity(self, step: Step) -> Plan[None]:
        link = self._plans.link
        velocity = self._counts("velocity", step.values[self._name]) or 0
        self._limits.check(link.node_id, "velocity", velocity)
        ramps = yield from self._ramps(step)
        yield from check_profile(link, velocity, *ramps, (TARGET_VELOCITY, ACCELERATION, DECELERATION))

    def _torque(self, step: Step) -> Plan[None]:
        link = self._plans.link
        torque = self._counts("torque", step.values[self._name]) or 0
        self._limits.check(link.node_id, "current", torque)
        check(link, "torque", torque, (yield from device_limits(link)).torque)
        fits(link, "torque", torque, TARGET_TORQUE)
        self._counts("torque", step.option("slope", self._name))

    def _home(self, step: Step) -> Plan[None]:
        link, method = self._plans.link, step.values.get(self._name)
        number = (yield from link.read_if_there(HOMING_METHOD)) if method is None else int(method.value)
        if number is not None:
            if self._methods is None:
                self._methods = yield from supported_methods(link)
            if not is_known(number) or (self._methods and number not in self._methods):
                has = f": it has {', '.join(map(str, self._methods))}" if self._methods else ""
                self._problems.add(step.line, f"home: drive {link.node_id} has no homing method {number}{has}")
            else:
                fits(link, "homing method", number, HOMING_METHOD)
        self._counts("position", step.option("offset", self._name))
        for subindex, key in enumerate(("speed", "zero_speed"), start=1):
            speed = self._counts("velocity", step.option(key, self._name))
            if speed is not None:
                self._limits.check(link.node_id, "velocity", speed)
                fits(link, key, speed, HOMING_SPEEDS, subindex)
            elif step.option("speed", self._name) is None:
                yield from self._kept_speed(step, HOMING_SPEEDS, subindex, "give a speed")
        acceleration = self._counts("acceleration", step.option("acceleration", self._name))
        if acceleration is not None:
            self._limits.check(link.node_id, "acceleration", acceleration)

    def _writes(self, step: Step) -> None:
        link = self._plans.link
        self._profile_given |= any(write.index == link.index(PROFILE_VELOCITY) for write in step.writes)
        for write in step.writes:
            variable = link.variable(write.index, write.subindex)
            if variable is None:
                name = f"{write.index:04X}:{write.subindex:02X}"
                self._problems.add(write.line, f"set: the type of {name} is not known: give the drive's EDS with --eds")
                continue
            try:
                encode_value(variable.data_type, write.value)
                if isinstance(write.value, int):
                    fits(link, f"{write.index:04X}:{write.subindex:02X}", write.value, write.index, write.subindex)
            except (WireError, DriveError) as error:
                self._problems.add(write.line, f"set: {_text(error)}")


def _text(error: BaseException) -> str:
    """Of many problems none says for itself that nothing was sent."""
    return str(error).removesuffix("; nothing was sent")
