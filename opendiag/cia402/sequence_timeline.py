"""What happened while a sequence ran: its steps with their times, and position, velocity and current over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from opendiag.cia402.limits import ScriptLimits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.states import PdsState
from opendiag.cia402.units import Units
from opendiag.errors import OpenDiagError, SdoAborted, SdoError, WireError
from opendiag.services.plans import Now, Plan, Sleep

#: Measured beside the steps, in the drive's default units.
QUANTITIES = ("position", "velocity", "current")
_SAMPLE_S = 0.02
#: From so many samples on, every second one is dropped and half as many are taken.
_MOST_SAMPLES = 60_000
RUNNING, OK, FAILED, STOPPED, SKIPPED = "running", "ok", "failed", "stopped", "skipped"


class Measured(Protocol):
    """A drive that can be asked for "position", "velocity", "current"."""

    def units(self) -> Plan[Units]: ...
    def read(self, quantity: str, unit: str | None = None) -> Plan[float]: ...


class AxisPlans(Measured, Protocol):
    """What a drive of a sequence can do; amounts are numbers in its default units, or texts with theirs."""

    link: DriveLink

    def script_limits(self) -> Plan[ScriptLimits]: ...
    def enable(self) -> Plan[None]: ...
    def disable(self) -> Plan[None]: ...
    def stop(self, timeout_s: float | None = None) -> Plan[float]: ...
    def home(self, method: int | None = None, **options: Any) -> Plan[float]: ...
    def move_to(self, target: float | str, **options: Any) -> Plan[float]: ...
    def move_by(self, distance: float | str, **options: Any) -> Plan[float]: ...
    def run_at(self, velocity: float | str, **options: Any) -> Plan[float]: ...
    def torque(self, torque: float | str, **options: Any) -> Plan[float]: ...


@dataclass(slots=True)
class StepRecord:
    """One step that was carried out; one inside of repeat has ``turn``, as in "2" or "2.1"."""

    number: str
    line: int
    text: str
    axes: tuple[str, ...]
    began: float
    turn: str = ""
    ended: float | None = None
    outcome: str = RUNNING
    error: str = ""

    @property
    def place(self) -> str:
        """As in "4.2 (turn 3)"."""
        return f"{self.number} (turn {self.turn})" if self.turn else self.number


@dataclass(slots=True)
class Samples:
    """``values`` has a list for each quantity, as long as ``times``; None where the drive did not say."""

    units: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    missed: int = 0
    period_s: float = _SAMPLE_S
    state: PdsState | None = None

    def latest(self, quantity: str) -> float | None:
        values = self.values.get(quantity)
        return values[-1] if values else None


@dataclass(slots=True)
class Timeline:
    """``began`` is in the network's seconds; all other times count from it. ``outcome`` as in a step's.

    ``error`` is the failure that ended it, ``reason`` tells it with its step.
    """

    name: str
    file: str
    began: float = 0.0
    ended: float | None = None
    outcome: str = RUNNING
    reason: str = ""
    error: OpenDiagError | None = None
    steps: list[StepRecord] = field(default_factory=list)
    samples: dict[str, Samples] = field(default_factory=dict)
    at_rest: dict[str, bool | None] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.outcome != RUNNING

    @property
    def failures(self) -> list[StepRecord]:
        return [step for step in self.steps if step.outcome == FAILED]

    def follow(self, name: str, plans: Measured) -> Plan[None]:
        """Measure beside the steps until the sequence is over. Ends by itself when nothing can be asked any more."""
        made = self.samples.setdefault(name, Samples())
        units = yield from plans.units()
        made.units = {quantity: units.default(quantity) for quantity in QUANTITIES}
        made.values = {quantity: [] for quantity in QUANTITIES}
        silent: set[str] = set()
        while not self.over:
            at = yield Now()
            row: dict[str, float | None] = {}
            for quantity in QUANTITIES:
                row[quantity] = None if quantity in silent else (yield from _measured(plans, quantity, made, silent))
            made.times.append(round(at - self.began, 6))
            for quantity, value in row.items():
                made.values[quantity].append(value)
            if len(made.times) > _MOST_SAMPLES:
                _thin_out(made)
            yield Sleep(made.period_s)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: times in seconds from the beginning."""
        return {
            "name": self.name,
            "file": self.file,
            "outcome": self.outcome,
            "reason": self.reason,
            "duration_s": self.ended,
            "at_rest": dict(self.at_rest),
            "steps": [_step_dict(step) for step in self.steps],
            "axes": {name: _samples_dict(samples) for name, samples in self.samples.items()},
        }


def _measured(plans: Measured, quantity: str, made: Samples, silent: set[str]) -> Plan[float | None]:
    try:
        return (yield from plans.read(quantity))
    except SdoAborted:
        silent.add(quantity)
    except (SdoError, WireError):
        made.missed += 1
    return None


def _thin_out(made: Samples) -> None:
    del made.times[1::2]
    for values in made.values.values():
        del values[1::2]
    made.period_s *= 2


def _step_dict(step: StepRecord) -> Mapping[str, Any]:
    return {
        "step": step.number,
        "turn": step.turn or None,
        "line": step.line,
        "text": step.text,
        "axes": list(step.axes),
        "began_s": step.began,
        "ended_s": step.ended,
        "outcome": step.outcome,
        "error": step.error or None,
    }


def _samples_dict(samples: Samples) -> Mapping[str, Any]:
    return {
        "units": samples.units,
        "missed": samples.missed,
        "time_s": samples.times,
        **{
            quantity: [None if value is None else float(f"{value:.9g}") for value in values]
            for quantity, values in samples.values.items()
        },
    }
