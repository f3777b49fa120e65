"""YAML as mappings, lists and texts that know their line, and a collection of all that is wrong with a file.

Values stay the text that somebody wrote: 6041:00 is an object here, not a number of base 60.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from opendiag.errors import SequenceError

#: Of what was meant by a misspelt word.
_LIKENESS = 0.6
#: A file that makes more of itself than this (by its anchors) is no sequence.
_MOST_NODES = 20_000
_DEEPEST = 20
WHOLE = "a sequence"
#: Keys that stand in a step, and in nothing above it.
BELONGS_TO_STEPS = frozenset(
    (
        "velocity",
        "acceleration",
        "deceleration",
        "timeout",
        "tolerance",
        "within",
        "for",
        "speed",
        "zero_speed",
        "offset",
    )
)


@dataclass(frozen=True, slots=True)
class Text:
    """A number, a word, or nothing: then it is ""."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    line: int
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """``pairs`` keeps the order; a key that came twice is a problem that has been told."""

    line: int
    pairs: dict[str, Any]
    key_lines: dict[str, int]

    def line_of(self, key: str) -> int:
        return self.key_lines.get(key, self.line)


Node = Text | Items | Mapping


class Problems:
    """All that is wrong with a file, with lines. ``refuse`` raises it, if there is anything."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[tuple[int | None, str]] = []

    def add(self, line: int | None, text: str) -> None:
        if (line, text) not in self.found:
            self.found.append((line, text))

    def refuse(self) -> None:
        """Raise SequenceError."""
        if self.found:
            raise SequenceError(self.file, tuple(sorted(self.found, key=lambda each: each[0] or 0)))


def meant(word: str, known: Iterable[str]) -> str:
    """As in "; did you mean velocity?", or the words that there are."""
    known = list(known)
    like = difflib.get_close_matches(word.lower(), known, 1, _LIKENESS)
    return f": did you mean {like[0]}?" if like else f": expected {_either(known)}"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def read(text: str, problems: Problems) -> Node:
    """The file's content. Raise SequenceError for what is no YAML."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            problems.add(1, "there is nothing in it")
            problems.refuse()
        return _Reader(problems).node(root, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; a step with further keys has a colon, as in '- enable:'" if "mapping values" in str(error) else ""
        text = f"this is no YAML: {error.problem or error.context}{hint}"
        problems.add(None if mark is None else mark.line + 1, text)
    except yaml.YAMLError as error:
        problems.add(None, f"this is no YAML: {' '.join(str(error).split())}")
    problems.refuse()
    raise AssertionError("unreachable")


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._count = 0

    def node(self, made: Any, depth: int) -> Node:
        """From PyYAML's. Raise SequenceError for one that is too large or holds itself."""
        line = made.start_mark.line + 1
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST_NODES:
            self._problems.add(line, "too much is nested in itself here, or repeated by anchors")
            self._problems.refuse()
        if made.id == "scalar":
            return Text(line, "" if made.tag.endswith(":null") else str(made.value).strip())
        if made.id == "sequence":
            return Items(line, tuple(self.node(each, depth + 1) for each in made.value))
        return self._mapping(made, line, depth)

    def _mapping(self, made: Any, line: int, depth: int) -> Mapping:
        pairs: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, value in made.value:
            at = key.start_mark.line + 1
            if key.id != "scalar":
                self._problems.add(at, "a key must be a word")
                continue
            name = str(key.value).strip()
            if name in pairs:
                self._problems.add(at, f"{name!r} is here twice, the first time in line {lines[name]}")
                continue
            pairs[name], lines[name] = self.node(value, depth + 1), at
        return Mapping(line, pairs, lines)


def plain(node: Node) -> Any:
    """As `yaml.safe_load` would give it, for parts of a file that others read."""
    import yaml

    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.pairs.items()}
    if isinstance(node, Items):
        return [plain(each) for each in node.items]
    return yaml.safe_load(node.text)


def only(node: Mapping, known: Iterable[str], problems: Problems, where: str) -> None:
    """Tell the keys that mean nothing here."""
    known = list(known)
    for key in node.pairs:
        if key not in known:
            hint = (
                f": indent {key!r} to make it part of the step above"
                if where == WHOLE and key in BELONGS_TO_STEPS
                else meant(key, known)
            )
            problems.add(node.line_of(key), f"{where} has no {key!r}{hint}")


def texts(node: Node) -> Iterator[Text]:
    """The texts of a list, or the one text."""
    if isinstance(node, Text):
        yield node
    elif isinstance(node, Items):
        yield from (each for each in node.items if isinstance(each, Text))
