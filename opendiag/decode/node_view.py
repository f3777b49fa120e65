"""What is known of one node: its dictionary, and every object value the traffic itself has shown.

A value that was read or written in the capture comes before what a file says. A reset puts the communication
objects back to what the device has stored, so values that were only written are forgotten then, unless a "save"
(1010h) was seen in between.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from opendiag.dictionary import builtin
from opendiag.dictionary.model import ObjectDictionary, Variable

_SAVE = b"save"
_LOAD = b"load"
_COMMUNICATION = range(0x1000, 0x2000)
_APPLICATION = range(0x6000, 0xA000)
_PROFILE_402 = 402
#: Widest value worth remembering: anything longer is a string or a domain, which configures nothing.
_REMEMBER = 8
_REMEMBERED_MEANINGS = 10_000
DEVICE_TYPE, IDENTITY = 0x1000, 0x1018
#: They decide whose words an object is described in.
_WHO = (DEVICE_TYPE, IDENTITY)


def configures(index: int) -> bool:
    """True for objects that decide which CAN-ID means what, or how a PDO is read."""
    return index in (0x1005, 0x1012, 0x1014) or 0x1200 <= index <= 0x12FF or 0x1400 <= index <= 0x1BFF


@dataclass(frozen=True, slots=True)
class Described:
    """An object as the best source describes it. ``variable`` is None when nobody knows it."""

    variable: Variable | None
    name: str | None
    names_from: str | None


class Memory(dict[Hashable, Any]):
    """What was worked out before, up to a bound: a long capture of changing values must not fill the memory."""

    def __setitem__(self, key: Hashable, value: Any) -> None:
        if len(self) >= _REMEMBERED_MEANINGS:
            self.clear()
        super().__setitem__(key, value)


class NodeView:
    """One node on one bus. ``profile`` (402, 401, ...) is known once 1000h is: from the traffic or the dictionary."""

    def __init__(self, node_id: int, dictionary: ObjectDictionary | None = None) -> None:
        self.node_id = node_id
        self.dictionary = dictionary
        self.guard_asked = False
        self.guard_toggle: bool | None = None
        self._live: dict[tuple[int, int], bytes] = {}
        self._stored: dict[tuple[int, int], bytes] = {}
        self._written: set[tuple[int, int]] = set()
        self._said: dict[Hashable, bytes] = {}
        self._described: dict[tuple[int, int], Described] = {}
        self.meanings = Memory()
        self._in_file = _configuring(dictionary)

    # -- values ---------------------------------------------------------------------------------------------------

    def learn(self, index: int, subindex: int, raw: bytes, written: bool) -> bool:
        """A confirmed SDO transfer moved ``raw``. True when that changes what is known of the object."""
        key = index, subindex
        before = self._live.get(key)
        if written and index == 0x1010 and raw == _SAVE:
            saved = _parameters(subindex)
            self._stored.update({k: value for k, value in self._live.items() if k[0] in saved})
            self._written = {k for k in self._written if k[0] not in saved}
        elif written and index == 0x1011 and raw == _LOAD:
            restored = _parameters(subindex)
            kept = (k for k in self._stored if k[0] not in restored or k[0] in _WHO)
            self._stored = {k: self._stored[k] for k in kept}
        elif len(raw) <= _REMEMBER:
            self._live[key] = raw
            if written and _is_mode(index):
                self._live.pop((index + 1, subindex), None)  # the display follows, if the drive agrees
            if written:
                self._written.add(key)
            elif key not in self._written:
                self._stored[key] = raw
        changed = before != self._live.get(key)
        if changed and index in _WHO:
            self._forget_words()
        return changed

    def copy(self) -> NodeView:
        """Another view that knows the same of the node, and learns on its own."""
        made = NodeView(self.node_id, self.dictionary)
        made.adopt(self)
        return made

    def adopt(self, other: NodeView) -> None:
        """Know the values, too, that the other view has seen of this node."""
        self._live.update(other._live)
        self._stored.update(other._stored)
        self._written |= other._written
        self._forget_words()

    def observe(self, index: int, subindex: int, raw: bytes) -> None:
        """A PDO carried this value: true for now, nothing the device stores."""
        self._live[index, subindex] = raw

    def reset(self) -> None:
        """The node starts again, with what it has stored."""
        self._live = dict(self._stored)
        self._written.clear()
        self._said.clear()
        self.guard_toggle = None

    def repeats(self, what: Hashable, raw: bytes) -> bool:
        """True when the same object, or the same PDO without a mapping, said the same the last time."""
        before = self._said.get(what)
        self._said[what] = raw
        return before == raw

    def seen(self, index: int, subindex: int) -> int | None:
        """The value that the traffic showed, unsigned."""
        raw = self._live.get((index, subindex))
        return None if raw is None else int.from_bytes(raw, "little")

    def number(self, index: int, subindex: int) -> int | None:
        """The value that the traffic showed, else what the dictionary says, unsigned."""
        raw = self._live.get((index, subindex))
        return int.from_bytes(raw, "little") if raw is not None else self.configured(index, subindex)

    def configured(self, index: int, subindex: int) -> int | None:
        """What the dictionary says this node holds, if it is a number."""
        variable = self.dictionary.get(index, subindex) if self.dictionary is not None else None
        value = variable.configured(self.node_id) if variable is not None else None
        return value if isinstance(value, int) else None

    def configuring_indices(self) -> list[int]:
        """Those indices that the traffic or the dictionary mentions of which `configures` is true, in order."""
        return sorted(self._in_file.union(index for index, _ in self._live if configures(index)))

    @property
    def origin(self) -> str | None:
        """As in "eds:stepim", None without a dictionary."""
        return None if self.dictionary is None else f"eds:{self.dictionary.name}"

    @property
    def vendor_id(self) -> int | None:
        if (vendor := self.number(0x1018, 1)) is not None:
            return vendor
        return self.dictionary.device.vendor_id if self.dictionary is not None else None

    @property
    def profile(self) -> int | None:
        """Device profile number, the low word of 1000h; None while nobody has said it."""
        device_type = self.number(0x1000, 0)
        return None if device_type is None else device_type & 0xFFFF

    @property
    def may_be_drive(self) -> bool:
        """False only when the device is known to follow another profile than CiA 402."""
        return self.profile in (None, _PROFILE_402, 0xFFFF)

    def mode(self, axis: int = 0) -> int | None:
        """Mode of operation in force (6061h), else the one asked for (6060h), signed; None when unknown."""
        offset = axis * 0x800
        mode = self.seen(0x6061 + offset, 0)
        if mode is None:
            mode = self.seen(0x6060 + offset, 0)
        return None if mode is None else mode - 256 if mode > 127 else mode

    # -- names ----------------------------------------------------------------------------------------------------

    def use(self, dictionary: ObjectDictionary) -> None:
        """Take names, types and defaults from this dictionary from now on."""
        self.dictionary = dictionary
        self._in_file = _configuring(dictionary)
        self._forget_words()

    def _forget_words(self) -> None:
        self._described.clear()
        self.meanings.clear()

    def describe(self, index: int, subindex: int) -> Described:
        """The dictionary's word first; bit names, value names and units that it lacks come from the CiA tables."""
        key = index, subindex
        described = self._described.get(key)
        if described is None:
            described = self._described[key] = self._describe(index, subindex)
        return described

    def _describe(self, index: int, subindex: int) -> Described:
        standard = builtin.get(index, subindex)
        if index >= 0x6000 and not self.may_be_drive:
            standard = None
        own = self.dictionary.get(index, subindex) if self.dictionary is not None else None
        if own is None or self.dictionary is None:
            if standard is None:
                return Described(None, None, None)
            return Described(standard, builtin.name_of(standard), standard.source)
        name = self.dictionary.name_of(own)
        if standard is not None and standard.data_type == own.data_type:
            own = _complete(own, standard)
        return Described(own, name, self.origin)


def _is_mode(index: int) -> bool:
    """True for modes of operation (6060h) of any axis."""
    return 0x6000 <= index < 0xA000 and index & 0x7FF == 0x060


def _parameters(subindex: int) -> range:
    """Indices that a member of 1010h saves and the same one of 1011h puts back; further ones are the maker's."""
    return {1: range(0x10000), 2: _COMMUNICATION, 3: _APPLICATION}.get(subindex, range(0))


def _configuring(dictionary: ObjectDictionary | None) -> frozenset[int]:
    return frozenset() if dictionary is None else frozenset(filter(configures, dictionary.objects))


def _complete(own: Variable, standard: Variable) -> Variable:
    bits = own.bits or standard.bits
    values = own.values or standard.values
    if own.unit:
        return replace(own, bits=bits, values=values)
    return replace(own, bits=bits, values=values, unit=standard.unit, factor=standard.factor)
