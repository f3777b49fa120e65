"""SDO requests and answers as multiplexed messages of a DBC: which object, and its value where the frame has one.

A read request carries no value and an abort a code, so the first byte decides what is in the frame at all; the object
decides the rest. Only values of one to four bytes travel in a single frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opendiag.dictionary import datatypes
from opendiag.dictionary.dbc_render import Message, Names, Signal
from opendiag.dictionary.dbc_signal import described, signal_of
from opendiag.dictionary.model import ObjectDictionary, Variable
from opendiag.wire.cob_id import CobId

_MAX_BITS = 32
#: Ranges of the first byte: a write with its value, a read answer with its value.
_WRITES = ((0x22, 0x23), (0x27, 0x27), (0x2B, 0x2B), (0x2F, 0x2F))
_ANSWERS = ((0x42, 0x43), (0x47, 0x47), (0x4B, 0x4B), (0x4F, 0x4F))
_REQUEST_WORDS = {
    0x22: "write",
    0x23: "write 4 bytes",
    0x27: "write 3 bytes",
    0x2B: "write 2 bytes",
    0x2F: "write 1 byte",
    0x20: "begin a long write",
    0x21: "begin a long write",
    0x40: "read",
    0x80: "abort",
}
_ANSWER_WORDS = {
    0x40: "begin a long answer",
    0x41: "begin a long answer",
    0x42: "value",
    0x43: "value of 4 bytes",
    0x47: "value of 3 bytes",
    0x4B: "value of 2 bytes",
    0x4F: "value of 1 byte",
    0x60: "written",
    0x80: "abort",
}


def sdo_messages(dictionary: ObjectDictionary, node_id: int, device: str) -> list[Message]:
    """The request and the answer of the first SDO server."""
    known = (described(dictionary, node_id, each.index, each.subindex) for each in dictionary.variables())
    short = [each for each in known if each is not None and _is_short(each[0])]
    request = _signals([each for each in short if each[0].access not in ("ro", "const")], _WRITES, _REQUEST_WORDS)
    answer = _signals([each for each in short if each[0].access != "wo"], _ANSWERS, _ANSWER_WORDS)
    return [
        Message(CobId(0x600 + node_id), f"SDO_request_{node_id}", 8, request, "", f"To node {node_id}."),
        Message(CobId(0x580 + node_id), f"SDO_answer_{node_id}", 8, answer, device, f"Of node {node_id}."),
    ]


def _is_short(variable: Variable) -> bool:
    return variable.index >= 0x1000 and 0 < (datatypes.bit_width(variable.data_type) or 0) <= _MAX_BITS


def _signals(
    variables: Sequence[tuple[Variable, str]], with_value: tuple[tuple[int, int], ...], words: dict[int, str]
) -> list[Signal]:
    """``with_value`` are the first bytes of frames that carry the value of one of ``variables`` (with their names)."""
    names = Names()
    command, chosen, index, subindex, code, data = (
        names.unique(name) for name in ("Command", "Object", "Index", "Subindex", "Abort_code", "Data")
    )
    valued = {byte for first, last in with_value for byte in range(first, last + 1)}
    named = sorted(words.keys() - valued)
    segments = _ranges([byte for byte in range(0x100) if byte not in words])
    of_named = tuple((byte, byte) for byte in named)
    signals = [
        Signal(command, 0, 8, values=words, selects=True),
        Signal(index, 8, 16, multiplexer=command, present=of_named),
        Signal(subindex, 24, 8, multiplexer=command, present=of_named),
        Signal(code, 32, 32, multiplexer=command, present=((0x80, 0x80),)),
        Signal(data, 8, 56, comment="A segment or a part of a block.", multiplexer=command, present=segments),
    ]
    if not variables:
        return signals
    comment = "Index in the lower 16 bits, subindex in the upper 8."
    objects = {v.index | v.subindex << 16: f"{v.text} {name}" for v, name in variables}
    chooser = Signal(chosen, 8, 24, values=objects, comment=comment, selects=True)
    signals.append(_under(chooser, command, with_value))
    for variable, name in variables:
        key = variable.index | variable.subindex << 16
        bits = 8 * (datatypes.byte_width(variable.data_type) or 1)
        made = signal_of(variable, name, 32, bits, names)
        signals.append(_under(made, chosen, ((key, key),)))
    return signals


def _under(signal: Signal, multiplexer: str, present: tuple[tuple[int, int], ...]) -> Signal:
    return replace(signal, multiplexer=multiplexer, present=present)


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Consecutive numbers as (first, last)."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return tuple(found)
