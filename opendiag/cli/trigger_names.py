"""What the expressions of --trigger can name: fields of a record, services, objects and their bits.

`docs/how-to/record-a-fault.md` lists the names for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from opendiag.cia402.states import PdsState
from opendiag.cia402.words import STATUSWORD_MODE_BITS
from opendiag.decode.records import Record
from opendiag.dictionary import builtin
from opendiag.wire.nmt import NmtCommand, NmtState

Test = Callable[[Record], bool]
#: None where the record lacks it. A tuple is compared with each of its members.
Get = Callable[[Record], Any]

_BIT = re.compile(r"bit_?([0-9]{1,2})")
_DRIVES, _AXIS_STEP, _STATUSWORD = range(0x6000, 0xA000), 0x800, 0x41


def key(text: str) -> str:
    """Equal for all ways to write a name: "pre-operational", "PRE_OPERATIONAL"."""
    return text.casefold().replace("_", " ").replace("-", " ")


@dataclass(frozen=True)
class Operand:
    """``test`` is what the bare name means, ``get`` what a comparison looks at; None: it cannot be compared.

    ``kind`` is number, text, or any, which is either. ``words`` are the only texts it ever has, where that is
    known. ``object`` is index and subindex of the object whose value it is.
    """

    test: Test
    get: Get | None = None
    kind: str = "number"
    words: tuple[str, ...] = ()
    object: tuple[int, int] | None = None


def _there(get: Get) -> Test:
    return lambda record: get(record) not in (None, (), "", 0)


def _field(name: str, kind: str = "number", words: tuple[str, ...] = ()) -> Operand:
    get = attrgetter(name)
    return Operand(_there(get), get, kind, words)


def _milliseconds(name: str) -> Operand:
    def get(record: Record) -> float | None:
        ns: int | None = getattr(record, name)
        return None if ns is None else ns / 1e6

    return Operand(lambda record: get(record) is not None, get)


def _service(*services: str, get: Get | None = None, words: tuple[str, ...] = ()) -> Operand:
    return Operand(lambda record: record.service in services, get, "text" if words else "number", words)


def _status(status: str, get: Get | None = None) -> Operand:
    return Operand(lambda record: record.status == status, get)


def _pdo(*services: str) -> Operand:
    return _service(*services, get=lambda record: record.number if record.service in services else None)


def _detail(service: str, name: str) -> Get:
    return lambda record: record.details.get(name) if record.service == service else None


def _nmt(record: Record) -> Any:
    """The command of an NMT command, the state in heartbeat, guarding and boot-up."""
    if record.service == "nmt":
        return record.details.get("command")
    return record.state if record.service in ("heartbeat", "guarding", "boot-up") else None


_STATUSES = ("ok", "aborted", "unanswered", "incomplete", "damaged", "stray", "malformed")
_SERVICES = (
    *("sdo", "sdo.read", "sdo.write", "tpdo", "rpdo", "nmt", "boot-up", "heartbeat", "guarding"),
    *("sync", "time", "emcy", "lss", "error-frame", "unknown"),
)
_NMT_STATES = tuple(state.name for state in NmtState)
_NMT_COMMANDS = tuple(command.name for command in NmtCommand)
_STATES = (*(state.name for state in PdsState), *_NMT_STATES)
_EMCY_CODE = _detail("emcy", "code")

NAMES: dict[str, Operand] = {
    "state": _field("state", "text", _STATES),
    "nmt": _service("nmt", get=_nmt, words=(*_NMT_STATES, *_NMT_COMMANDS)),
    "nmt.target": Operand(_there(_detail("nmt", "target")), _detail("nmt", "target")),
    "emcy": _service("emcy", get=_EMCY_CODE),
    "emcy.code": Operand(_there(_EMCY_CODE), _EMCY_CODE),
    "emcy.register": Operand(_there(_detail("emcy", "register")), _detail("emcy", "register")),
    "heartbeat": _service("heartbeat"),
    "boot-up": _service("boot-up"),
    "guarding": _service("guarding"),
    "sync": _service("sync"),
    "time": _service("time"),
    "lss": _service("lss"),
    "sdo": _service("sdo", "sdo.read", "sdo.write"),
    "sdo.read": _service("sdo.read"),
    "sdo.write": _service("sdo.write"),
    "pdo": _pdo("tpdo", "rpdo"),
    "tpdo": _pdo("tpdo"),
    "rpdo": _pdo("rpdo"),
    "error": _service("error-frame"),
    "unknown": _service("unknown"),
    "abort": _status("aborted", attrgetter("abort_code")),
    "malformed": _status("malformed"),
    "changed": Operand(attrgetter("changed")),
    "node": _field("node"),
    "id": _field("can_id"),
    "channel": _field("channel", "text"),
    "service": _field("service", "text", _SERVICES),
    "status": _field("status", "text", _STATUSES),
    "flag": _field("flags", "text"),
    "index": _field("index"),
    "sub": _field("subindex"),
    "name": _field("name", "text"),
    "value": _field("value", "any"),
    "scaled": _field("scaled"),
    "size": _field("size"),
    "response_ms": _milliseconds("response_ns"),
    "took_ms": _milliseconds("took_ns"),
}
_PARTS = ("value", "scaled", "state")


# -- objects --------------------------------------------------------------------------------------------------------


def object_operand(index: int, subindex: int | None, part: str | None) -> Operand | None:
    """An object, or with ``part`` one of its bits, its state or its scaled value. None: it has no such bit.

    Without a subindex every member is meant. A value counts when it was transferred: not of a write that the device
    refused.
    """

    def about(record: Record) -> bool:
        return record.index == index and subindex in (None, record.subindex)

    def of(get: Get) -> Get:
        return lambda record: get(record) if record.status == "ok" and about(record) else None

    if part is None:
        return Operand(about, of(attrgetter("value")), "any", object=(index, subindex or 0))
    if part in _PARTS:
        get = of(attrgetter(part))
        return Operand(_there(get), get, NAMES[part].kind, NAMES[part].words, (index, subindex or 0))
    bit = _bit(index, subindex or 0, part)
    if bit is None:
        return None
    get = of(bit)
    return Operand(_there(get), get)


def bit_names(index: int, subindex: int) -> tuple[str, ...]:
    """Of the bits that CiA gives a name, as an expression takes them."""
    variable = builtin.get(index, subindex)
    return () if variable is None else tuple(name.replace(" ", "_") for name in variable.bits.values())


def _bit(index: int, subindex: int, name: str) -> Get | None:
    """By number, by CiA's name, else by the words of the device's dictionary, which nobody knows before."""
    numbered = _BIT.fullmatch(name.casefold())
    variable = builtin.get(index, subindex)
    bits = {} if variable is None else variable.bits
    number = int(numbered[1]) if numbered else next((bit for bit, n in bits.items() if key(n) == key(name)), None)
    if number is not None:
        place = number
        return lambda record: record.value >> place & 1 if isinstance(record.value, int) else None
    wanted = key(name)
    if _is_statusword(index) and wanted not in _MODE_BITS:
        return None
    return lambda record: int(any(wanted == key(bit) for bit in record.bits))


_MODE_BITS = frozenset(key(name) for names in STATUSWORD_MODE_BITS.values() for name in names.values())


def _is_statusword(index: int) -> bool:
    """Of any axis of a drive. Its bits are called the same whatever the device's dictionary says."""
    return index in _DRIVES and (index - _DRIVES.start) % _AXIS_STEP == _STATUSWORD
