"""Carries a sequence out: one plan, that leaves every drive at rest whatever happens in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opendiag.cia402.objects import CURRENT, POSITION, TORQUE, VELOCITY
from opendiag.cia402.rest import make_safe
from opendiag.cia402.sequence import Amount, Expected, Sequence, Step
from opendiag.cia402.sequence_timeline import FAILED, OK, STOPPED, AxisPlans, StepRecord, Timeline
from opendiag.errors import (
    AdapterError,
    BroughtToRest,
    LimitReached,
    MotionFailed,
    NotAtRest,
    OpenDiagError,
    PlanCancelled,
)
from opendiag.services.plans import Gather, Now, Plan, Sleep, Together

#: Between two looks at enabled drives, while nothing else looks at them.
_LOOK_S = 0.01
#: A drive that did not confirm its rest when a step failed is tried again for so long at the end.
_ONCE_MORE_S = 1.0
#: Failures after which nothing goes on, whatever the sequence says: a limit, or the safety of a drive, is behind them.
#: A waiting step ends by itself this long after its drive was brought to rest, should nothing else have ended it.
_TOLD_S = 2.0
_ALWAYS_ENDS = (NotAtRest, BroughtToRest, LimitReached, AdapterError, PlanCancelled)
_OBJECTS = {"position": POSITION, "velocity": VELOCITY, "current": CURRENT, "torque": TORQUE}


class _End(Exception):
    """The sequence ends with the step that failed."""


class _Progress:
    """How many of some plans are not over yet."""

    def __init__(self, left: int) -> None:
        self.left = left

    def counted(self, plan: Plan[Any]) -> Plan[None]:
        yield from plan
        self.left -= 1


class SequenceRun:
    """``axes`` are the drives by the names of the sequence, checked against it: see `sequence_check`.

    ``on_step`` is called with each step's record when it begins and when it is over.
    """

    def __init__(
        self,
        sequence: Sequence,
        axes: Mapping[str, AxisPlans],
        timeline: Timeline,
        on_step: Callable[[StepRecord], None] = lambda record: None,
    ) -> None:
        self._sequence = sequence
        self._axes = axes
        self._timeline = timeline
        self._on_step = on_step
        self._several = len(sequence.axes) > 1
        self._mode = "disable"

    def run(self) -> Plan[Timeline]:
        """Raise only what was thrown in from outside (Ctrl-C, a cancelled plan); what failed is in the timeline."""
        timeline = self._timeline
        timeline.began = yield Now()
        timeline.at_rest = dict.fromkeys(self._axes)
        try:
            yield from self._steps(self._sequence.steps, "")
        except _End:
            pass
        except GeneratorExit:
            for axis in self._axes.values():
                axis.link.permitted = False
            timeline.outcome = STOPPED
            raise
        except BaseException as error:
            self._mode = "stop"
            timeline.reason = timeline.reason or _reason(error)
            yield from self._finish(STOPPED)
            raise
        yield from self._finish(FAILED if timeline.failures else OK)
        return timeline

    def _finish(self, outcome: str) -> Plan[None]:
        """Every drive to rest: by its ramp where all went well or the sequence says so, else by a quick stop."""
        plans = tuple(self._rest(axis) for axis in self._axes.values())
        found = yield Gather(plans)
        for name, at_rest in zip(self._axes, found, strict=True):
            self._timeline.at_rest[name] = at_rest if isinstance(at_rest, bool) else False
        self._timeline.ended = yield from self._now()
        self._timeline.outcome = outcome

    def _rest(self, axis: AxisPlans) -> Plan[bool]:
        link = axis.link
        if not link.permitted and link.at_rest:
            return True
        if not link.permitted and link.at_rest is False:  # all of it was tried a moment ago
            usual, link.timing = link.timing, replace(link.timing, rest_s=_ONCE_MORE_S)
            try:
                return (yield from make_safe(link))
            finally:
                link.timing = usual
        if self._mode == "disable":
            try:
                yield from axis.disable()
            except OpenDiagError:
                return (yield from make_safe(link))
            return True
        return (yield from make_safe(link))

    def _now(self) -> Plan[float]:
        now: float = yield Now()
        return round(now - self._timeline.began, 6)

    # --- steps ---

    def _steps(self, steps: tuple[Step, ...], turn: str) -> Plan[None]:
        for step in steps:
            if step.action == "repeat":
                for count in range(1, step.count + 1):
                    yield from self._steps(step.steps, f"{turn}.{count}" if turn else str(count))
            else:
                yield from self._step(step, turn)

    def _step(self, step: Step, turn: str) -> Plan[None]:
        began = yield from self._now()
        record = StepRecord(step.number, step.line, step.text(self._several), step.axes, began, turn)
        self._timeline.steps.append(record)
        self._on_step(record)
        failure: OpenDiagError | None = None
        try:
            yield from self._do(step)
            record.outcome = OK
        except GeneratorExit:
            record.outcome = STOPPED
            raise
        except PlanCancelled as error:
            yield from self._broken_off(record, error)
            raise
        except OpenDiagError as error:
            record.outcome, record.error, failure = FAILED, str(error), error
        except BaseException as error:
            yield from self._broken_off(record, error)
            raise
        record.ended = yield from self._now()
        self._on_step(record)
        if failure is not None:
            self._failed(step, record, failure)

    def _broken_off(self, record: StepRecord, error: BaseException) -> Plan[None]:
        record.outcome, record.error = STOPPED, _reason(error)
        record.ended = yield from self._now()
        self._on_step(record)

    def _failed(self, step: Step, record: StepRecord, error: OpenDiagError) -> None:
        """Raise _End, unless the sequence is to go on."""
        if step.on_failure == "continue" and not isinstance(error, _ALWAYS_ENDS):
            return
        self._mode = "disable" if step.on_failure == "disable" and not isinstance(error, _ALWAYS_ENDS) else "stop"
        where = f"{self._sequence.file}:{step.line}: step {record.place} ({record.text}): " if step.line else ""
        self._timeline.reason, self._timeline.error = f"{where}{error}", error
        raise _End

    def _do(self, step: Step) -> Plan[None]:
        if step.action == "wait":
            yield from self._hold(step.seconds["wait"])
        elif step.action == "set":
            for write in step.writes:
                yield from self._axes[step.axes[0]].link.write(write.index, write.value, write.subindex)
        elif step.action == "expect" and step.expected is not None:
            yield from self._expect(self._axes[step.axes[0]], step.expected, step.seconds.get("within", 0.0))
        else:
            yield from self._together(step, self._plan)
            if "for" in step.seconds:
                yield from self._hold(step.seconds["for"])
                yield from self._together(step, self._back)

    def _together(self, step: Step, plan: Callable[[Step, str], Plan[Any]]) -> Plan[None]:
        """Each axis of the step, side by side; an enabled drive beside them that drops out ends the step, too."""
        if len(step.axes) == len(self._axes):
            yield Together(tuple(plan(step, name) for name in step.axes))
            return
        progress = _Progress(len(step.axes))
        plans = [progress.counted(plan(step, name)) for name in step.axes]
        others = [axis for name, axis in self._axes.items() if name not in step.axes]
        yield Together((*plans, self._beside(others, progress)))

    def _beside(self, others: list[AxisPlans], progress: _Progress) -> Plan[None]:
        while progress.left:
            for axis in others:
                if axis.link.permitted:
                    yield from axis.link.check_enabled("another axis was moving")
            yield Sleep(_LOOK_S)

    # --- motions ---

    def _plan(self, step: Step, name: str) -> Plan[Any]:
        """What one axis does in this step."""
        axis, value = self._axes[name], step.values.get(name)
        timeout_s = step.seconds.get("timeout")
        options = {
            key: given(amount)
            for key in ("velocity", "acceleration", "deceleration", "slope", "offset")
            if (amount := step.option(key, name)) is not None
        }
        if step.action == "home":
            return _home(axis, step, name, options)
        target = 0.0 if value is None else given(value)
        moves: Mapping[str, Callable[[], Plan[Any]]] = {
            "enable": lambda: axis.enable(),
            "disable": lambda: axis.disable(),
            "stop": lambda: axis.stop(),
            "move": lambda: axis.move_to(target, timeout_s=timeout_s, **options),
            "move_by": lambda: axis.move_by(target, timeout_s=timeout_s, **options),
            "velocity": lambda: axis.run_at(target, timeout_s=timeout_s, **options),
            "torque": lambda: axis.torque(target, timeout_s=timeout_s, **options),
        }
        return moves[step.action]()

    def _back(self, step: Step, name: str) -> Plan[Any]:
        """The end of a velocity or a torque that was for some time only."""
        return self._axes[name].stop() if step.action == "velocity" else self._axes[name].torque(0.0)

    # --- waiting and looking ---

    def _hold(self, seconds: float) -> Plan[None]:
        """Time passes; what is enabled has to stay so. Raise DriveFault, NotEnabled."""
        until = (yield Now()) + seconds
        held = [axis for axis in self._axes.values() if axis.link.permitted]
        patience: float | None = None
        while True:
            for axis in held:
                now = yield Now()
                if not axis.link.permitted and patience is None:  # who brought it to rest is about to say so here
                    patience = now + _TOLD_S
                if axis.link.permitted or (patience is not None and now >= patience):
                    yield from axis.link.check_enabled("the sequence was waiting")
            left = until - (yield Now())
            if left <= 0:
                return
            yield Sleep(min(left, _LOOK_S))

    def _expect(self, axis: AxisPlans, expected: Expected, within_s: float) -> Plan[None]:
        """Raise MotionFailed when it is not so, in time."""
        until = (yield Now()) + within_s
        while True:
            shown = yield from _found(axis, expected)
            if shown is None:
                return
            if (yield Now()) >= until:
                waited = f" within {within_s:g} s" if within_s else ""
                raise MotionFailed(axis.link.node_id, f"expecting {expected}{waited}", f"it is {shown}")
            yield Sleep(_LOOK_S)


def given(amount: Amount) -> float | str:
    """As the plans take it: a number in the default unit, or text with its own."""
    return str(amount) if amount.unit else amount.value


def _home(axis: AxisPlans, step: Step, name: str, options: dict[str, Any]) -> Plan[Any]:
    method = step.values.get(name)
    speed, zero = step.option("speed", name), step.option("zero_speed", name)
    if speed is not None:
        options["speeds"] = given(speed), given(zero or speed)
    if "timeout" in step.seconds:
        options["timeout_s"] = step.seconds["timeout"]
    return axis.home(None if method is None else int(method.value), **options)


def _found(axis: AxisPlans, expected: Expected) -> Plan[str | None]:
    """None when it is as it should be, else what it is."""
    link = axis.link
    if expected.what == "state":
        yield from link.status()
        shown = "no state of CiA 402" if link.state is None else link.state.value
        return None if shown == expected.state else shown
    assert expected.amount is not None
    if expected.what in _OBJECTS:
        units = yield from axis.units()
        unit = expected.amount.unit or units.default(expected.what)
        value = yield from axis.read(expected.what, unit)
        off = expected.tolerance
        allowed = (
            0.0 if off is None else abs(units.counts(expected.what, given(off)) / units.counts_per(expected.what, unit))
        )
        return None if abs(value - expected.amount.value) <= allowed else f"{value:.6g} {unit}"
    index, subindex = (int(part, 16) for part in expected.what.split(":"))
    shown_value = yield from link.read(index, subindex)
    margin = 0.0 if expected.tolerance is None else expected.tolerance.value
    return None if abs(shown_value - expected.amount.value) <= margin else str(shown_value)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped by hand"
    return str(error) or type(error).__name__
