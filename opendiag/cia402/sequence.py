"""A sequence of motions as a YAML file: what may stand in it, read and checked as far as that needs no drive.

    node: 101
    limits: {position: -1 rev .. 5 rev, velocity: 600 rpm}
    steps:
      - enable
      - home: 35
      - move: 2.5 rev
        velocity: 300 rpm
      - expect: {position: 2.5 rev}
        tolerance: 0.01 rev
      - disable

All that is wrong with a file is told at once, with its lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opendiag.cia402.limits import Limits
from opendiag.cia402.sequence_yaml import Problems

#: What becomes of the sequence when a step fails.
ON_FAILURE = ("stop", "disable", "continue")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit as it was written; None: the drive's default one."""

    value: float
    unit: str | None
    line: int

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}" if self.unit else f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class AxisSpec:
    """One drive of the sequence. ``units``: a mapping, the path of a units file, or None: what the drive tells."""

    name: str
    line: int
    node_id: int
    axis: int = 0
    units: Mapping[str, Any] | Path | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Action:
    """What a step may be. ``value`` is the quantity of its value, "" for one without, or the name of a kind of its own.

    ``options``: other keys and their quantities. ``moves``: its axes must be enabled. ``single``: has one axis.
    """

    value: str
    options: Mapping[str, str] = field(default_factory=dict)
    moves: bool = False
    single: bool = False


_PROFILE = {"velocity": "velocity", "acceleration": "acceleration", "deceleration": "acceleration", "timeout": "time"}
ACTIONS: Mapping[str, Action] = {
    "enable": Action("axes"),
    "disable": Action("axes"),
    "stop": Action("axes", moves=True),
    "home": Action(
        "method",
        {
            "offset": "position",
            "speed": "velocity",
            "zero_speed": "velocity",
            "acceleration": "acceleration",
            "timeout": "time",
        },
        moves=True,
    ),
    "move": Action("position", _PROFILE, moves=True),
    "move_by": Action("position", _PROFILE, moves=True),
    "velocity": Action(
        "velocity",
        {"acceleration": "acceleration", "deceleration": "acceleration", "for": "time", "timeout": "time"},
        moves=True,
    ),
    "torque": Action("torque", {"slope": "torque", "for": "time", "timeout": "time"}, moves=True),
    "wait": Action("time"),
    "set": Action("objects", single=True),
    "expect": Action("expected", {"tolerance": "", "within": "time"}, single=True),
    "repeat": Action("count", {"steps": "steps"}),
}
#: What can be expected that is measured: quantity, and with it the object.
MEASURED = ("position", "velocity", "current", "torque")


@dataclass(frozen=True, slots=True)
class Expected:
    """``what`` is "state", one of `MEASURED`, or an object as in "6041:00"; ``state`` or ``amount`` is wanted of it."""

    what: str
    line: int
    state: str = ""
    amount: Amount | None = None
    tolerance: Amount | None = None

    def __str__(self) -> str:
        if self.what == "state":
            return f"state {self.state}"
        tolerance = f" +/- {self.tolerance}" if self.tolerance else ""
        return f"{self.what} {self.amount}{tolerance}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """An object to be written; ``text`` is what for."""

    index: int
    subindex: int
    value: int | float
    line: int

    def __str__(self) -> str:
        return f"{self.index:04X}:{self.subindex:02X} = {self.value:g}"


@dataclass(frozen=True, slots=True)
class Step:
    """``number`` is its place, as in "4" or "4.2" inside of step 4. ``values`` and ``options`` are by axis.

    ``seconds`` holds its times: "wait", "timeout", "for", "within".
    """

    number: str
    line: int
    action: str
    axes: tuple[str, ...] = ()
    values: Mapping[str, Amount | None] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Amount]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    on_failure: str = "stop"
    writes: tuple[Assignment, ...] = ()
    expected: Expected | None = None
    count: int = 1
    steps: tuple[Step, ...] = ()

    def option(self, name: str, axis: str) -> Amount | None:
        return self.options.get(name, {}).get(axis)

    def text(self, several: bool = False) -> str:
        """As in "move to 2.5 rev"; ``several``: with the names of the axes."""
        return describe(self, several)

    def all(self) -> Iterator[Step]:
        """Itself and all steps inside of it."""
        yield self
        for step in self.steps:
            yield from step.all()


@dataclass(frozen=True, slots=True)
class Sequence:
    """``file`` is the name for messages."""

    name: str
    file: str
    axes: Mapping[str, AxisSpec]
    steps: tuple[Step, ...]
    on_failure: str = "stop"

    def all_steps(self) -> Iterator[Step]:
        for step in self.steps:
            yield from step.all()


def parse_sequence(text: str, file: str = "sequence") -> Sequence:
    """Read a sequence. Units files are looked for beside ``file``. Raise SequenceError with all that is wrong."""
    from opendiag.cia402.sequence_parser import Parser

    problems = Problems(file)
    sequence = Parser(problems).sequence(text)
    problems.refuse()
    return sequence


def load_sequence(path: str | Path) -> Sequence:
    """Raise SequenceError for a file that cannot be read, or used."""
    problems = Problems(str(path))
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        problems.add(None, f"it cannot be read: {(error.strerror or str(error)).lower()}")
    except UnicodeDecodeError:
        problems.add(None, "it is no text in UTF-8")
    problems.refuse()
    return parse_sequence(text, str(path))


_WORDS = {
    "move": "move to {}",
    "move_by": "move by {}",
    "velocity": "turn at {}",
    "torque": "pull with {}",
    "home": "home by method {}",
}


def describe(step: Step, several: bool) -> str:
    """What a step does, in a few words."""
    if step.action == "wait":
        return f"wait {step.seconds['wait']:g} s"
    if step.action == "repeat":
        return f"repeat {step.count} times"
    if step.action == "set":
        words = f"set {', '.join(map(str, step.writes))}"
    elif step.action == "expect":
        words = f"expect {step.expected}"
    elif step.values and all(step.values.values()):
        if several:
            return ", ".join(f"{name}: {_with(step, value)}" for name, value in step.values.items())
        words = _with(step, next(iter(step.values.values())))
    else:
        words = step.action
    words += f" for {step.seconds['for']:g} s" if "for" in step.seconds else ""
    return f"{', '.join(step.axes)}: {words}" if several and step.axes else words


def _with(step: Step, value: Amount | None) -> str:
    return _WORDS[step.action].format(value)
