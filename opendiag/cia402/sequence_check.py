"""Compares a sequence with the drives that are to carry it out. Only reads: what does not fit is told with its line."""

from __future__ import annotations

from collections.abc import Mapping

from opendiag.cia402.device_limits import check, check_position, check_profile, device_limits, fits
from opendiag.cia402.homing import is_known
from opendiag.cia402.homing_plans import supported_methods
from opendiag.cia402.limits import ScriptLimits
from opendiag.cia402.modes import Mode, mode_label
from opendiag.cia402.objects import (
    ACCELERATION,
    DECELERATION,
    HOMING_SPEEDS,
    POSITION,
    PROFILE_VELOCITY,
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
from opendiag.errors import DriveError, OpenDiagError, SdoTimeout, WireError
from opendiag.services.plans import Plan

_MODES = {"home": Mode.HM, "move": Mode.PP, "move_by": Mode.PP, "velocity": Mode.PV, "torque": Mode.TQ}
#: Turns of a repeat in which positions are followed; what comes later is checked when it is there.
_TURNS = 1000


def check_sequence(sequence: Sequence, axes: Mapping[str, AxisPlans]) -> Plan[None]:
    """Units, limits of the script and of the drive, modes and homing methods. Raise SequenceError, SdoTimeout."""
    problems = Problems(sequence.file)
    for name, plans in axes.items():
        try:
            yield from plans.script_limits()
        except (ValueError, DriveError) as error:
            problems.add(sequence.axes[name].line, f"limits of {name}: {_text(error)}")
    problems.refuse()
    for name, plans in axes.items():
        yield from _Course(sequence, name, plans, problems).follow()
    problems.refuse()


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

    def follow(self) -> Plan[None]:
        link = self._plans.link
        self._units: Units = yield from self._plans.units()
        self._limits: ScriptLimits = yield from self._plans.script_limits()
        self._modes = yield from link.read_if_there(SUPPORTED_MODES)
        self._at = yield from link.read_if_there(POSITION)
        yield from self._steps(self._sequence.steps, 0)

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
                except (OpenDiagError, ValueError) as error:
                    self._problems.add(step.line, f"{step.action}: {_text(error)}")

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
        yield from check_profile(link, velocity, *ramps, (PROFILE_VELOCITY, ACCELERATION, DECELERATION))

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
        if method is not None:
            if self._methods is None:
                self._methods = yield from supported_methods(link)
            number = int(method.value)
            if not is_known(number) or (self._methods and number not in self._methods):
                has = f": it has {', '.join(map(str, self._methods))}" if self._methods else ""
                self._problems.add(step.line, f"home: drive {link.node_id} has no homing method {number}{has}")
        self._counts("position", step.option("offset", self._name))
        for subindex, key in enumerate(("speed", "zero_speed"), start=1):
            speed = self._counts("velocity", step.option(key, self._name))
            if speed is not None:
                self._limits.check(link.node_id, "velocity", speed)
                fits(link, key, speed, HOMING_SPEEDS, subindex)
        acceleration = self._counts("acceleration", step.option("acceleration", self._name))
        if acceleration is not None:
            self._limits.check(link.node_id, "acceleration", acceleration)

    def _writes(self, step: Step) -> None:
        link = self._plans.link
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
