"""The expressions of --trigger: a condition on decoded records, written as people say it.

    state==FAULT        node==5 and emcy        606C > 100        6041.fault        not (sync or heartbeat)
    606C rising 500     6064 falling 0          6077 crossing 100

Nothing is evaluated by Python itself. `opendiag.cli.trigger_names` has the names.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from opendiag.cli.trigger_names import NAMES, Operand, Test, bit_names, key, object_operand
from opendiag.decode.records import Record
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import decode_value
from opendiag.dictionary.value_text import parse_value
from opendiag.errors import ValueRefused

_TOKEN = re.compile(
    r"\s*(?:(?P<sign>==|!=|<=|>=|<|>|=|&&|\|\||!|\(|\))"
    r"|(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?P<word>[-+]?[0-9A-Za-z_.][0-9A-Za-z_.:-]*))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MEANS = {"&&": "and", "||": "or", "!": "not"}
_OBJECT = re.compile(r"(?:0x)?([0-9A-Fa-f]{4})(?::([0-9A-Fa-f]{1,2}))?(?:\.(.+))?")
_HEX = re.compile(r"([0-9][0-9A-Fa-f]*)[hH]")
_NUMBER = re.compile(r"[-+]?(?:[0-9]|\.[0-9])")
_DEEPEST = 50
_EDGES = {"rising": (1,), "falling": (-1,), "crossing": (1, -1)}
#: What shows the state of a drive.
_STATEWORD = (0x6041, 0)
_EXAMPLE = "state==FAULT or node==5 and emcy"


class TriggerError(click.BadParameter):
    """``position`` counts from 0; the message shows the place."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        super().__init__(f"trigger: {reason}\n    {text}\n    {' ' * position}^ here")
        self.position = position
        self.reason = reason


def compile_trigger(text: str) -> Test:
    """True for the records that the expression is about. Raises TriggerError."""
    return _Parser(re.sub(r"\s", " ", text).rstrip()).parse()


@dataclass(frozen=True)
class Trigger:
    """``objects`` are those whose values ``test`` looks at: (index, subindex)."""

    test: Test
    objects: tuple[tuple[int, int], ...]


def compile_signal_trigger(text: str) -> Trigger:
    """As `compile_trigger`, but an object keeps its value until the next record of it: 6064>1000 and 606C<5 is true
    when both are so at the same time, though no record has both. Raises TriggerError.
    """
    parser = _Parser(re.sub(r"\s", " ", text).rstrip(), keeps=True)
    test = parser.parse()
    return Trigger(test, tuple(dict.fromkeys(parser.objects)))


@dataclass(frozen=True)
class _Token:
    """``kind`` is sign, quoted, word or end."""

    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return self.text if self.kind in ("end", "quoted") else repr(self.text)


class _Parser:
    """One method for each rule of the grammar: or, and, not, and the comparisons between them."""

    def __init__(self, text: str, keeps: bool = False) -> None:
        self.objects: list[tuple[int, int]] = []
        self._watching: list[_Watching] = []
        self._keeps = keeps
        self._text = text
        self._tokens = self._cut()
        self._place = 0
        self._depth = 0

    def parse(self) -> Test:
        if self._next.kind == "end":
            self._fail(f"it is empty: expected an expression such as {_EXAMPLE}")
        test = self._or()
        if self._next.kind != "end":
            self._fail(f"{self._next} is too much: expected and, or, a comparison or the end")
        watching = tuple(self._watching)
        if not watching:
            return test

        def look(record: Record) -> bool:
            for each in watching:
                each.look(record)
            return test(record)

        return look

    def _cut(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while position < len(self._text):
            found = _TOKEN.match(self._text, position)
            if found is None or found.lastgroup is None:
                position = len(self._text) - len(self._text[position:].lstrip())
                raise TriggerError(self._text, position, f"{self._text[position]!r} has no meaning")
            text = found[found.lastgroup]
            tokens.append(_Token(found.lastgroup, _MEANS.get(text, text), found.start(found.lastgroup)))
            position = found.end()
        return [*tokens, _Token("end", "the end", len(self._text))]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += token.kind != "end"
        return token

    def _takes(self, text: str) -> bool:
        """Step over this word or sign, if it is the next one."""
        fits = self._next.kind in ("word", "sign") and self._next.text.lower() == text
        self._place += fits
        return fits

    def _fail(self, reason: str, token: _Token | None = None) -> NoReturn:
        raise TriggerError(self._text, (token or self._next).position, reason)

    def _or(self) -> Test:
        test = self._and()
        while self._takes("or"):
            test = _either(test, self._and())
        return test

    def _and(self) -> Test:
        test = self._not()
        while self._takes("and"):
            test = _both(test, self._not())
        return test

    def _not(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail("this is nested too deeply")
        if self._takes("not"):
            test = _neither(self._not())
        elif self._takes("("):
            test = self._or()
            if not self._takes(")"):
                self._fail(f"expected a closing parenthesis, not {self._next}")
        else:
            test = self._comparison()
        self._depth -= 1
        return test

    def _comparison(self) -> Test:
        name = self._take()
        if name.kind != "word" or name.text.lower() in ("and", "or", "not"):
            self._fail(f"expected a name or an object such as 6041, not {name}", name)
        operand = self._operand(name)
        place = operand.object or (_STATEWORD if name.text.lower() == "state" else None)
        self.objects += [] if place is None else [place]
        test = self._test_of(operand, name)
        if not self._keeps or place is None or operand.get is None or isinstance(test, _Edge):
            return test
        return self._watched(_Kept(operand.get, test))

    def _watched(self, watching: _Watching) -> Test:
        """It has to see every record, also where another part of the expression decides."""
        self._watching.append(watching)
        return watching

    def _test_of(self, operand: Operand, name: _Token) -> Test:
        """What follows an operand: a comparison, an edge, or nothing."""
        if self._next.kind == "word" and self._next.text.lower() in _EDGES:
            return self._edge(operand, name)
        sign = self._next
        if sign.kind == "sign" and sign.text == "=":
            self._fail("write == to compare")
        if sign.kind != "sign" or sign.text not in _COMPARE:
            return operand.test
        if operand.get is None:
            self._fail(f"{name.text!r} is true or false and cannot be compared")
        self._take()
        literal = self._take()
        if literal.kind not in ("word", "quoted"):
            self._fail(f"expected a number or a word, not {literal}", literal)
        return self._compared(operand, operand.get, sign, literal)

    def _edge(self, operand: Operand, name: _Token) -> Test:
        """As in "606C rising 500"."""
        direction = self._take().text.lower()
        if operand.get is None or operand.kind == "text":
            self._fail(f"{name.text!r} is no number that could be {direction}", name)
        literal = self._take()
        level = _number(literal.text) if literal.kind == "word" else None
        if level is None:
            self._fail(f"expected a number, not {literal}", literal)
        return self._watched(_Edge(operand.get, _EDGES[direction], level))

    def _operand(self, name: _Token) -> Operand:
        known = NAMES.get(name.text.lower())
        if known is not None:
            return known
        found = _OBJECT.fullmatch(name.text)
        if found is None:
            self._fail(f"{name.text!r} is unknown: expected an object such as 6041, or {_one_of(NAMES)}", name)
        index, subindex = int(found[1], 16), int(found[2], 16) if found[2] else None
        operand = object_operand(index, subindex, found[3])
        if operand is None:
            self._fail(
                f"{found[3]!r} is no bit of {found[1]}: expected {_one_of(bit_names(index, subindex or 0))}", name
            )
        return operand

    def _compared(self, operand: Operand, get: Callable[[Record], Any], sign: _Token, literal: _Token) -> Test:
        wanted = self._literal(operand, literal)
        compare = _COMPARE[sign.text]
        if isinstance(wanted, (int, float)):
            return _number_test(get, compare, wanted)
        if sign.text not in ("==", "!="):
            self._fail(f"{sign.text} compares numbers: use == or != with words", sign)
        return _text_test(get, sign.text == "==", wanted)

    def _literal(self, operand: Operand, literal: _Token) -> int | float | str:
        """A number, or the `key` of a text."""
        text = literal.text[1:-1] if literal.kind == "quoted" else literal.text
        number = _number(text) if literal.kind == "word" else None
        if operand.kind != "text" and number is not None:
            return number
        if operand.kind == "number":
            self._fail(f"expected a number, not {literal}", literal)
        if operand.words and key(text) not in map(key, operand.words):
            self._fail(f"{text!r} is never seen here: expected {_one_of(operand.words)}", literal)
        if operand.kind == "any" and operand.object is not None and literal.kind == "word":
            return self._named_value(operand.object, literal)
        return key(text)

    def _named_value(self, place: tuple[int, int], literal: _Token) -> int | float | str:
        """The number behind a name that CiA gives a value of the object, as in 6060==homing."""
        variable = builtin.get(*place)
        if variable is not None and (variable.values or variable.bits):
            try:
                value = decode_value(variable.data_type, parse_value(literal.text, variable, force=True))
            except ValueRefused as error:
                self._fail(error.reason, literal)
            return value if isinstance(value, (int, float)) else key(str(value))
        self._fail(f"{literal.text!r} is no number: put text into quotation marks", literal)


def _one_of(words: Any) -> str:
    return f"one of {', '.join(words)}"


def _number(text: str) -> int | float | None:
    """Decimal, 0x.., 0b.., ..h as CiA writes it, or with a point; None for what is none."""
    if (hexadecimal := _HEX.fullmatch(text)) is not None:
        return int(hexadecimal[1], 16)
    if not _NUMBER.match(text):
        return None
    for convert in (lambda: int(text, 0), lambda: float(text)):
        try:
            return convert()
        except ValueError:
            continue
    return None


def _number_test(get: Callable[[Record], Any], compare: Callable[[Any, Any], bool], wanted: float) -> Test:
    def test(record: Record) -> bool:
        seen = get(record)
        return isinstance(seen, (int, float)) and compare(seen, wanted)

    return test


def _text_test(get: Callable[[Record], Any], equal: bool, wanted: str) -> Test:
    def test(record: Record) -> bool:
        seen = get(record)
        if isinstance(seen, tuple):
            return any(key(one) == wanted for one in seen) is equal
        return isinstance(seen, str) and (key(seen) == wanted) is equal

    return test


class _Watching:
    """A test with a memory: `look` is called for every record, and calling it gives the result of that."""

    result = False

    def look(self, record: Record) -> None:
        raise NotImplementedError

    def __call__(self, record: Record) -> bool:
        return self.result


class _Edge(_Watching):
    """True for the record with which a value passes the level; of each node by itself."""

    def __init__(self, get: Callable[[Record], Any], directions: tuple[int, ...], level: float) -> None:
        self._get = get
        self._directions = directions
        self._level = level
        self._last: dict[tuple[int | None, int | None, int | None], float] = {}

    def look(self, record: Record) -> None:
        self.result = False
        seen = self._get(record)
        if not isinstance(seen, (int, float)):
            return
        who = record.node, record.index, record.subindex
        before, self._last[who] = self._last.get(who), seen
        if before is None:
            return
        rises, falls = before < self._level <= seen, before > self._level >= seen
        self.result = (rises and 1 in self._directions) or (falls and -1 in self._directions)


class _Kept(_Watching):
    """The result of the last record that had the value."""

    def __init__(self, get: Callable[[Record], Any], test: Test) -> None:
        self._get = get
        self._test = test

    def look(self, record: Record) -> None:
        if self._get(record) is not None:
            self.result = self._test(record)


def _both(left: Test, right: Test) -> Test:
    return lambda record: left(record) and right(record)


def _either(left: Test, right: Test) -> Test:
    return lambda record: left(record) or right(record)


def _neither(inner: Test) -> Test:
    return lambda record: not inner(record)
