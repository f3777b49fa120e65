"""The text of a DBC file: messages, signals, comments and names of values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from opendiag.wire.cob_id import CobId

_NOBODY = "Vector__XXX"
_EXTENDED = 1 << 31
#: More is refused by tools that keep to the first specification.
_MAX_NAME = 32
_ILLEGAL = re.compile(r"[^A-Za-z0-9_]+")
#: Words of the format itself, which some readers take for the begin of a new entry.
_RESERVED = frozenset(("BO_", "BU_", "SG_", "EV_", "CM_", "BA_", "VAL_", "NS_", "BS_", "VERSION", "SG_MUL_VAL_"))
_ENCODING = "cp1252"
_HEAD = 'VERSION ""\n\nNS_ :\n\nBS_:\n'
_NONE: Mapping[int, str] = {}


class Names:
    """Names that a DBC can hold, and none of them twice."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def legal(self, name: str) -> str:
        """Letters, digits and underscores, not more than 32, the first no digit."""
        text = _ILLEGAL.sub("_", _plain(name)).strip("_") or "unnamed"
        if text[0].isdigit() or text in _RESERVED:
            text = f"_{text}"
        return text[:_MAX_NAME].rstrip("_") or "unnamed"

    def unique(self, name: str) -> str:
        """The same with a number behind it where it was given before."""
        legal = text = self.legal(name)
        number = 1
        while text.lower() in self._known:
            number += 1
            text = f"{legal[: _MAX_NAME - len(str(number)) - 1]}_{number}"
        self._known.add(text.lower())
        return text


def _plain(name: str) -> str:
    """Degree and micro are words in a name; letters with accents lose them."""
    import unicodedata

    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


@dataclass(frozen=True, slots=True)
class Signal:
    """``bit`` is where it begins, ``low`` and ``high`` are scaled; None: all that ``bits`` can hold.

    ``multiplexer`` is the name of the signal that says whether this one is in the frame, and ``present`` the ranges
    of its value for which it is. ``selects``: other signals depend on this one.
    """

    name: str
    bit: int
    bits: int
    signed: bool = False
    float_: bool = False
    factor: float = 1.0
    unit: str = ""
    low: float | None = None
    high: float | None = None
    values: Mapping[int, str] = field(default_factory=lambda: _NONE)
    comment: str = ""
    selects: bool = False
    multiplexer: str = ""
    present: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """``length`` in bytes. ``sender`` is "" for what the device receives or anybody sends."""

    cob_id: CobId
    name: str
    length: int
    signals: Sequence[Signal]
    sender: str = ""
    comment: str = ""

    @property
    def number(self) -> int:
        """The CAN-ID as a DBC writes it."""
        return self.cob_id.can_id | (_EXTENDED if self.cob_id.extended else 0)


def render(messages: Sequence[Message], node: str, comment: str) -> str:
    """The file. Of two messages with one CAN-ID only the first can be in it; a comment says so."""
    kept: dict[int, Message] = {}
    for message in messages:
        known = kept.setdefault(message.number, message)
        if known is not message:
            comment += f" {message.name} has the CAN-ID of {known.name} and is not here."
    lines = [_HEAD, f"BU_: {node}", ""]
    for message in kept.values():
        lines += [*_message(message, node), ""]
    lines.append(f"CM_ {_quoted(comment)};")
    lines += [line for message in kept.values() for line in _comments(message)]
    lines += [line for message in kept.values() for line in _values(message)]
    lines += [line for message in kept.values() for line in _floats(message)]
    lines += [line for message in kept.values() for line in _multiplexed(message)]
    return "\n".join(lines) + "\n"


def _message(message: Message, node: str) -> Iterator[str]:
    yield f"BO_ {message.number} {message.name}: {message.length} {message.sender or _NOBODY}"
    receiver = _NOBODY if message.sender else node
    for signal in message.signals:
        span = f"[{_number(signal.low or 0)}|{_number(signal.high or 0)}]"
        if signal.low is None or signal.high is None:
            span = "[0|0]"
        place = f"{signal.bit}|{signal.bits}@1{'-' if signal.signed or signal.float_ else '+'}"
        scale = f"({_number(signal.factor)},0)"
        yield f" SG_ {signal.name}{_role(signal)} : {place} {scale} {span} {_quoted(signal.unit)} {receiver}"


def _role(signal: Signal) -> str:
    depends = f" m{signal.present[0][0]}" if signal.multiplexer else ""
    if signal.selects:
        return f"{depends}M" if depends else " M"
    return depends


def _comments(message: Message) -> Iterator[str]:
    if message.comment:
        yield f"CM_ BO_ {message.number} {_quoted(message.comment)};"
    for signal in message.signals:
        if signal.comment:
            yield f"CM_ SG_ {message.number} {signal.name} {_quoted(signal.comment)};"


def _values(message: Message) -> Iterator[str]:
    for signal in message.signals:
        texts = [f"{value} {_quoted(text)}" for value, text in sorted(signal.values.items())]
        if texts:
            yield f"VAL_ {message.number} {signal.name} {' '.join(texts)} ;"


def _floats(message: Message) -> Iterator[str]:
    for signal in message.signals:
        if signal.float_:
            yield f"SIG_VALTYPE_ {message.number} {signal.name} : {1 if signal.bits == 32 else 2};"


def _multiplexed(message: Message) -> Iterator[str]:
    for signal in message.signals:
        if signal.multiplexer:
            ranges = ", ".join(f"{first}-{last}" for first, last in signal.present)
            yield f"SG_MUL_VAL_ {message.number} {signal.name} {signal.multiplexer} {ranges};"


def _quoted(text: str) -> str:
    """A DBC has no way to write a quotation mark, and old readers none to read a line break."""
    plain = " ".join(text.replace('"', "'").replace("\\", "/").split())
    return f'"{plain.encode(_ENCODING, "replace").decode(_ENCODING)}"'


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
