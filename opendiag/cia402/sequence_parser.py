"""Reads a sequence from its file: words, numbers, units and what goes with what."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from opendiag.cia402.limits import Limits
from opendiag.cia402.objects import (
    AXIS_STEP,
    CONTROLWORD,
    INTERPOLATION_DATA,
    MODE,
    MOST_AXES,
    TARGET_POSITION,
    TARGET_TORQUE,
    TARGET_VELOCITY,
    VL_TARGET_VELOCITY,
)
from opendiag.cia402.sequence import (
    ACTIONS,
    MEASURED,
    ON_FAILURE,
    Action,
    Amount,
    Assignment,
    AxisSpec,
    Expected,
    Sequence,
    Step,
)
from opendiag.cia402.sequence_values import Values
from opendiag.cia402.sequence_yaml import Items, Mapping, Node, Problems, Text, meant, only, plain, read
from opendiag.cia402.states import PdsState
from opendiag.cia402.units import Units

_OBJECT = re.compile(r"(?:0x)?([0-9a-f]{4})h?(?:[:.](?:0x)?([0-9a-f]{1,2})h?)?", re.IGNORECASE)
_WINDOW = re.compile(r"\s*(\S.*?)\s*\.\.\s*(\S.*?)\s*")
_TOP = ("name", "node", "axis", "axes", "units", "limits", "on_failure", "steps")
_AXIS = ("node", "axis", "units", "limits")
_LIMITS = ("position", "velocity", "acceleration", "current", "time")
_ANYWHERE = ("axis", "on_failure")
#: What a step may not write, and what to do instead.
_NOT_SET = {
    CONTROLWORD: "the controlword: enable, disable and stop write it",
    MODE: "the mode of operation: move, velocity, torque and home choose it",
    TARGET_POSITION: "a target: move and move_by write it, within the limits",
    TARGET_VELOCITY: "a target: velocity writes it, within the limits",
    VL_TARGET_VELOCITY: "a target: velocity writes it, within the limits",
    TARGET_TORQUE: "a target: torque writes it",
    INTERPOLATION_DATA: "a target: move writes one, within the limits",
}
_MOST_REPEATS, _DEEPEST = 100_000, 8


class Parser(Values):
    """Tells all problems, and reads on as well as it can."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(problems)
        self._axes: dict[str, AxisSpec] = {}
        self._on_failure = ON_FAILURE[0]

    def sequence(self, text: str) -> Sequence:
        """Raise SequenceError only for what is no YAML: what else is wrong is among the problems."""
        root = read(text, self.problems)
        if not isinstance(root, Mapping):
            self.problems.add(root.line, "a sequence is a mapping with node (or axes) and steps")
            return Sequence("", self.problems.file, {}, ())
        only(root, _TOP, self.problems, "a sequence")
        self._axes = {spec.name: spec for spec in self._read_axes(root)}
        self._on_failure = self._failure(root)
        name = root.pairs.get("name")
        title = name.text if isinstance(name, Text) else Path(self.problems.file).stem
        steps = self._steps(root.pairs.get("steps"), root.line, "", 0)
        if self._axes:
            _Order(self.problems, tuple(self._axes)).check(steps)
        return Sequence(title, self.problems.file, self._axes, steps, self._on_failure)

    # --- axes ---

    def _read_axes(self, root: Mapping) -> Iterable[AxisSpec]:
        axes = root.pairs.get("axes")
        if axes is None:
            if "node" not in root.pairs:
                self.error(root.line, "no drive is named: give node: 101, or axes: {x: 101, y: 102}")
            else:
                yield self._axis("node " + self.word(root.pairs["node"], "a node-ID"), root, Limits())
            return
        for key in ("node", "axis", "units"):
            if key in root.pairs:
                self.error(root.line_of(key), f"{key} belongs to the axes, where there are axes")
        common = self._limits(root.pairs["limits"]) if "limits" in root.pairs else Limits()
        if not isinstance(axes, Mapping) or not axes.pairs:
            self.error(axes.line, "axes is a mapping of names, as in {x: 101, y: 102}")
            return
        places: dict[tuple[int, int], str] = {}
        for name, given in axes.pairs.items():
            line = axes.line_of(name)
            if isinstance(given, Text):
                given = Mapping(line, {"node": given}, {"node": line})
            elif not isinstance(given, Mapping):
                self.error(line, f"axis {name}: expected a node-ID, or node, axis, units and limits")
                continue
            only(given, _AXIS, self.problems, f"axis {name}")
            spec = replace(self._axis(name, given, common), line=line)
            other = places.setdefault((spec.node_id, spec.axis), name)
            if other != name:
                self.error(line, f"axis {name} is the same drive as axis {other}")
            yield spec

    def _axis(self, name: str, given: Mapping, limits: Limits) -> AxisSpec:
        node_id = self.whole(given.pairs.get("node"), given.line, "a node-ID", 1, 127)
        axis = self.whole(given.pairs["axis"], given.line, "an axis", 0, MOST_AXES - 1) if "axis" in given.pairs else 0
        if "limits" in given.pairs:
            limits = self._limits(given.pairs["limits"])
        return AxisSpec(name, given.line, node_id, axis, self._units(given.pairs.get("units")), limits)

    def _units(self, node: Node | None) -> dict[str, Any] | Path | None:
        if node is None:
            return None
        if isinstance(node, Text):
            path = Path(self.problems.file).parent / node.text
            try:
                Units.load(path)
            except ValueError as error:
                self.error(node.line, str(error))
            return path
        content = plain(node)
        try:
            Units.of(content)
        except (ValueError, TypeError) as error:
            self.error(node.line, f"units: {error}")
            return None
        return dict(content)

    def _limits(self, node: Node) -> Limits:
        if not isinstance(node, Mapping):
            self.error(node.line, "limits are a mapping, as in {position: -1 rev .. 5 rev, velocity: 300 rpm}")
            return Limits()
        only(node, _LIMITS, self.problems, "limits")
        made: dict[str, Any] = {}
        for key, value in node.pairs.items():
            if key == "time":
                made["time_s"] = self.seconds(value)
            elif key == "position":
                made["position"] = self._window(value)
            elif key in _LIMITS and (amount := self.amount(value, key)) is not None:
                made[key] = str(amount) if amount.unit else amount.value
        return Limits(**made)

    def _window(self, node: Node) -> tuple[float | str, float | str] | None:
        ends: list[Node] = []
        if isinstance(node, Items):
            ends = list(node.items)
        elif isinstance(node, Text) and (found := _WINDOW.fullmatch(node.text)):
            ends = [Text(node.line, found[1]), Text(node.line, found[2])]
        if len(ends) != 2:
            self.error(node.line, "position limits are two ends, as in -1 rev .. 5 rev")
            return None
        low, high = (self.amount(end, "position") for end in ends)
        if low is None or high is None:
            return None
        if low.unit == high.unit and low.value >= high.value:
            self.error(node.line, f"position limits {low} .. {high}: the first must be below the second")
        return (str(low) if low.unit else low.value), (str(high) if high.unit else high.value)

    # --- steps ---

    def _steps(self, node: Node | None, line: int, inside: str, depth: int) -> tuple[Step, ...]:
        if not isinstance(node, Items) or not node.items:
            self.error(line if node is None else node.line, "steps is a list with at least one step, as in '- enable'")
            return ()
        if depth > _DEEPEST:
            self.error(node.line, f"repeat stands inside of repeat more than {_DEEPEST} times")
            return ()
        found = (self._step(each, f"{inside}{place}", depth) for place, each in enumerate(node.items, start=1))
        return tuple(step for step in found if step is not None)

    def _step(self, node: Node, number: str, depth: int) -> Step | None:
        if isinstance(node, Text):
            node = Mapping(node.line, {node.text: Text(node.line, "")}, {node.text: node.line})
        if not isinstance(node, Mapping):
            self.error(node.line, "a step is a word as in '- enable', or a mapping as in '- move: 2.5 rev'")
            return None
        name = self._action(node)
        if name is None:
            return None
        action = ACTIONS[name]
        value, node = self._unfolded(name, node)
        only(node, (name, *action.options, *_ANYWHERE), self.problems, f"{name}")
        made = Step(number, node.line, name, on_failure=self._failure(node))
        axes = self._step_axes(node, value if action.value == "axes" else None, action, name)
        options = {key: node.pairs[key] for key in action.options if key in node.pairs}
        if name == "repeat":
            return self._repeat(made, value, options, depth)
        if action.value in ("objects", "expected"):
            made = replace(made, axes=axes, **self._told(name, value, options))
        elif name == "wait":
            made = replace(made, seconds={"wait": self.seconds(value)})
        elif action.value != "axes":
            values = self._values(name, action, value, axes)
            axes = tuple(values) or axes
            made = replace(made, axes=axes, values=values)
        else:
            made = replace(made, axes=axes)
        return self._with_options(made, action, options)

    def _action(self, node: Mapping) -> str | None:
        """Which of the keys is what is to be done; "velocity" may also be said of a move."""
        words = [key for key in node.pairs if key in ACTIONS]
        words = [key for key in words if not any(key in ACTIONS[other].options for other in words if other != key)]
        if len(words) == 1:
            return words[0]
        if words:
            self.error(node.line, f"one step does one thing, not {' and '.join(words)}")
            return None
        first = next(iter(node.pairs), "")
        self.error(node.line, f"no step {first!r}{meant(first, ACTIONS)}")
        return None

    def _unfolded(self, name: str, node: Mapping) -> tuple[Node, Mapping]:
        """`expect: {position: 1 rev, tolerance: 0.1 rev}` is `expect: {position: 1 rev}` with a tolerance beside it."""
        value = node.pairs[name]
        if name != "expect" or not isinstance(value, Mapping):
            return value, node
        beside = (*ACTIONS[name].options, *_ANYWHERE)
        moved = {key: each for key, each in value.pairs.items() if key in beside and key not in node.pairs}
        rest = {key: each for key, each in value.pairs.items() if key not in moved}
        lines = {**node.key_lines, **{key: value.line_of(key) for key in moved}}
        return replace(value, pairs=rest), Mapping(node.line, {**node.pairs, **moved}, lines)

    def _step_axes(self, node: Mapping, value: Node | None, action: Action, name: str) -> tuple[str, ...]:
        """Which are meant: those that are named, else all; () where they come from the values."""
        named = node.pairs.get("axis")
        line = node.line
        if value is not None and not (isinstance(value, Text) and not value.text):
            named, line = value, value.line
        if named is None:
            if action.single and len(self._axes) > 1:
                self.error(line, f"{name}: which axis? Give axis: {' or '.join(self._axes)}")
            return tuple(self._axes)
        words = named.items if isinstance(named, Items) else (named,)
        found = []
        for word in words:
            text = word.text if isinstance(word, Text) else ""
            if text in self._axes:
                found.append(text)
            elif self._axes:
                self.error(word.line, f"no axis {text!r}{meant(text, self._axes)}")
        if action.single and len(found) > 1:
            self.error(line, f"{name} is about one axis")
        return tuple(dict.fromkeys(found))

    def _values(self, name: str, action: Action, value: Node, axes: tuple[str, ...]) -> dict[str, Amount | None]:
        """By axis; a mapping has one for each, a single value is for the only axis, or for the one that is named."""
        quantity = action.value
        if isinstance(value, Mapping):
            return {axis: self._value(each, quantity) for axis, each in self._by_axis(value).items()}
        if len(axes) > 1 and not (name == "home" and isinstance(value, Text) and not value.text):
            self.error(value.line, f"{name}: which axis? Give {name}: {{{axes[0]}: ..}}, or axis: {axes[0]}")
        return dict.fromkeys(axes, self._value(value, quantity))

    def _value(self, node: Node, quantity: str) -> Amount | None:
        if quantity != "method":
            return self.amount(node, quantity)
        if isinstance(node, Text) and not node.text:
            return None
        return Amount(self.whole(node, node.line, "a homing method", -128, 127), None, node.line)

    def _by_axis(self, node: Mapping) -> dict[str, Node]:
        found = {}
        for axis, value in node.pairs.items():
            if axis in self._axes:
                found[axis] = value
            elif self._axes:
                self.error(node.line_of(axis), f"no axis {axis!r}{meant(axis, self._axes)}")
        return found

    def _with_options(self, made: Step, action: Action, given: dict[str, Node]) -> Step:
        options: dict[str, dict[str, Amount]] = {}
        seconds = dict(made.seconds)
        for key, node in given.items():
            quantity = action.options[key]
            if quantity == "time":
                seconds[key] = self.seconds(node)
            elif not quantity:
                continue
            elif isinstance(node, Mapping):
                each = {axis: self.amount(value, quantity) for axis, value in self._by_axis(node).items()}
                options[key] = {axis: amount for axis, amount in each.items() if amount is not None}
            elif (amount := self.amount(node, quantity)) is not None:
                options[key] = dict.fromkeys(made.axes, amount)
        for key in ("velocity", "acceleration", "deceleration", "speed", "zero_speed", "slope"):
            for amount in options.get(key, {}).values():
                if amount.value <= 0:
                    self.error(amount.line, f"{key} {amount} must be above 0")
        return replace(made, options=options, seconds=seconds)

    def _repeat(self, made: Step, value: Node, options: dict[str, Node], depth: int) -> Step:
        count = self.whole(value, made.line, "a number of times", 1, _MOST_REPEATS)
        outside, self._on_failure = self._on_failure, made.on_failure
        steps = self._steps(options.get("steps"), made.line, f"{made.number}.", depth + 1)
        self._on_failure = outside
        axes = dict.fromkeys(axis for step in steps for axis in step.axes)
        return replace(made, count=count, steps=steps, axes=tuple(axes))

    # --- set and expect ---

    def _told(self, name: str, value: Node, options: dict[str, Node]) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value.pairs:
            example = "{6081: 5000}" if name == "set" else "{position: 2.5 rev}"
            self.error(value.line, f"{name} needs a mapping, as in {name}: {example}")
            return {}
        if name == "set":
            made = (self._assignment(key, each, value.line_of(key)) for key, each in value.pairs.items())
            return {"writes": tuple(each for each in made if each is not None)}
        if len(value.pairs) > 1:
            self.error(value.line, f"expect is about one thing at a time, not {' and '.join(value.pairs)}")
        key, each = next(iter(value.pairs.items()))
        return {"expected": self._expected(key, each, value.line_of(key), options.get("tolerance"))}

    def _assignment(self, key: str, node: Node, line: int) -> Assignment | None:
        place = self._object(key, line, ())
        number = self.number(node)
        if place is None or number is None:
            return None
        index, subindex = place
        for axis in range(MOST_AXES):
            why = _NOT_SET.get(index - axis * AXIS_STEP)
            if why is not None:
                self.error(line, f"{index:04X}h cannot be set: it is {why}")
                return None
        return Assignment(index, subindex, number, line)

    def _object(self, key: str, line: int, words: Iterable[str]) -> tuple[int, int] | None:
        found = _OBJECT.fullmatch(key)
        if found is None:
            like = difflib.get_close_matches(key, list(words), 1)
            rest = f"; did you mean {like[0]}?" if like else ""
            also = f"{', '.join(words)} or " if words else ""
            self.error(line, f"no {key!r} here: expected {also}an object in hexadecimal, as in 6081 or 1018:01{rest}")
            return None
        return int(found[1], 16), int(found[2] or "0", 16)

    def _expected(self, key: str, node: Node, line: int, tolerance: Node | None) -> Expected | None:
        if key == "state":
            word = self.word(node, "a state").upper().replace("_", " ").replace("-", " ")
            names = [state.value for state in PdsState]
            if word not in names:
                like = difflib.get_close_matches(word, names, 1)
                hint = f"did you mean {like[0]}?" if like else f"expected {', '.join(names)}"
                self.error(node.line, f"no state {word!r}: {hint}")
            if tolerance is not None:
                self.error(tolerance.line, "a state has no tolerance")
            return Expected("state", line, state=word)
        if key in MEASURED:
            amount = self.amount(node, key)
            if tolerance is None:
                self.error(line, f"expect {key}: give a tolerance, as nothing that is measured is exact")
            off = None if tolerance is None else self.amount(tolerance, key)
            return None if amount is None else Expected(key, line, amount=amount, tolerance=off)
        place = self._object(key, line, ("state", *MEASURED))
        number = self.number(node)
        off_by = None if tolerance is None else self.number(tolerance)
        if place is None or number is None:
            return None
        within = None if off_by is None else Amount(off_by, None, line)
        return Expected(f"{place[0]:04X}:{place[1]:02X}", line, amount=Amount(number, None, line), tolerance=within)

    def _failure(self, node: Mapping) -> str:
        given = node.pairs.get("on_failure")
        if given is None:
            return self._on_failure
        word = given.text if isinstance(given, Text) else ""
        if word not in ON_FAILURE:
            self.error(given.line, f"no on_failure {word!r}{meant(word, ON_FAILURE)}")
            return self._on_failure
        return word


class _Order:
    """Is everything that is to move enabled by then? A step inside of repeat may come after those behind it."""

    def __init__(self, problems: Problems, axes: tuple[str, ...]) -> None:
        self._problems = problems
        self._enabled: set[str] = set()

    def check(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if step.action == "repeat":
                for _ in range(min(step.count, 2)):
                    self.check(step.steps)
            elif step.action == "enable":
                self._enabled.update(step.axes)
            elif step.action == "disable":
                self._enabled.difference_update(step.axes)
            elif ACTIONS[step.action].moves:
                for axis in step.axes:
                    if axis not in self._enabled:
                        text = f"{step.action}: {axis} is not enabled here: '- enable' comes before"
                        self._problems.add(step.line, text)
