"""One object of a live node: read it, write it, by its type and its limits.

`NodeVariable.read` and `write` are the whole of it. ``raw``, ``phys``, ``desc`` and ``bits`` are the same in the
words that users of the `canopen` package know; each access to them is a transfer on the bus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opendiag.decode.records import Record
from opendiag.decode.values import Meaning, interpret
from opendiag.dictionary import datatypes, names
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.limits import check_access, check_limits
from opendiag.dictionary.model import Variable, object_text
from opendiag.errors import ObjectNotFound, ValueRefused, WireError

if TYPE_CHECKING:
    from opendiag.master.node import Node


class NodeVariable:
    """A value in a node. What is known of it comes from the node's dictionary, else from the CiA tables.

    A node that was given no dictionary is asked who it is (1018h) when its words are first needed.
    """

    def __init__(self, node: Node, index: int, subindex: int) -> None:
        self.node = node
        self.index = index
        self.subindex = subindex

    @property
    def description(self) -> Variable | None:
        """None for an object that neither the dictionary nor a CiA table knows: its value is bytes."""
        return self.node.describe(self.index, self.subindex).variable

    @property
    def name(self) -> str:
        """As in "Statusword" and "Identity Object.Vendor ID"; empty when nobody knows it."""
        return self.node.describe(self.index, self.subindex).name or ""

    @property
    def text(self) -> str:
        """As in "6041:00 Statusword"."""
        return f"{object_text(self.index, self.subindex)} {self.name}".rstrip()

    def __repr__(self) -> str:
        return f"<{object_text(self.index, self.subindex)} of node {self.node.node_id}>"

    def read(self, timeout_s: float | None = None) -> Value:
        """The value by its type; the bytes where no type is known.

        Raises SdoError, AdapterError, BlockingCall, and WireError when the device sends another number of bytes
        than the type has.
        """
        return self.decode(self.node.upload(self.index, self.subindex, timeout_s=timeout_s))

    def write(self, value: Value, force: bool = False, timeout_s: float | None = None) -> None:
        """Write a value of the object's type, or its bytes.

        Raises ValueRefused before anything is sent when the object is read-only, the value is not of its type or
        outside its limits (``force`` asks for the type only); then as `read`.
        """
        self.node.download(self.index, self.subindex, self.encode(value, force), timeout_s=timeout_s)

    def meaning(self, raw: bytes) -> Meaning:
        """The value with its unit and words, as in a decoded capture."""
        self.node.describe(self.index, self.subindex)
        return interpret(self.node.view, self.index, self.subindex, raw)

    def record(self, raw: bytes, service: str = "sdo.read") -> Record:
        """The same as a record: what `decode` would say of this transfer."""
        node = self.node.node_id
        fields = self.meaning(raw).fields
        return Record(service, (), node=node, index=self.index, subindex=self.subindex, raw=raw, **fields)

    def decode(self, raw: bytes) -> Value:
        """Raise WireError when the number of bytes is not the type's."""
        variable = self.description
        return raw if variable is None else datatypes.decode_value(variable.data_type, raw)

    def encode(self, value: Value, force: bool = False) -> bytes:
        """Raise ValueRefused, as `write` does."""
        variable = self.description
        if variable is None:
            if isinstance(value, bytes):
                return value
            raise ValueRefused(self.text, f"its type is not known, so {value!r} has no size: give bytes, or an EDS")
        if not force:
            check_access(variable, self.text)
        if isinstance(value, bytes) and datatypes.byte_width(variable.data_type) in (len(value), None):
            raw = value
        else:
            try:
                raw = datatypes.encode_value(variable.data_type, value)
            except WireError as error:
                raise ValueRefused(self.text, error.reason) from error
        if not force:
            check_limits(variable, raw, self.node.node_id, self.text)
        return raw

    # --- as users of the canopen package know it ---

    @property
    def raw(self) -> Value:
        """The value by its type, without factor and unit."""
        return self.read()

    @raw.setter
    def raw(self, value: Value) -> None:
        self.write(value)

    @property
    def phys(self) -> float:
        """The number times the object's factor, in `unit`. Raise ValueRefused for what is no number."""
        value = self.read()
        if isinstance(value, str | bytes):
            raise ValueRefused(self.text, f"it is no number but {value!r}")
        return value * self._factor

    @phys.setter
    def phys(self, value: float) -> None:
        variable = self.description
        whole = variable is not None and datatypes.is_integer(variable.data_type)
        if isinstance(value, str | bytes) or not math.isfinite(value):
            raise ValueRefused(self.text, f"{value!r} is no finite number")
        self.write(round(value / self._factor) if whole else value / self._factor)

    @property
    def unit(self) -> str:
        """Of `phys`; empty where none is known."""
        return "" if self.description is None else self.description.unit

    @property
    def _factor(self) -> float:
        return 1 if self.description is None else self.description.factor

    @property
    def desc(self) -> str:
        """The name of the value. Raise LookupError for a value without one."""
        value, known = self.read(), {} if self.description is None else self.description.values
        if not isinstance(value, int) or value not in known:
            raise LookupError(f"{self.text} has no name for {value!r}")
        return known[value]

    @desc.setter
    def desc(self, name: str) -> None:
        known = {} if self.description is None else self.description.values
        for value, text in known.items():
            if text.casefold() == name.casefold():
                self.write(value)
                return
        raise ValueRefused(self.text, f"no value is called {name!r} (known: {', '.join(known.values()) or 'none'})")

    @property
    def bits(self) -> Bits:
        return Bits(self)


class Bits:
    """Single bits of an integer object, by number, name or slice; each access reads, and setting reads and writes."""

    def __init__(self, variable: NodeVariable) -> None:
        self._variable = variable

    def __repr__(self) -> str:
        return f"<bits of {self._variable!r}>"

    def __getitem__(self, key: int | str | slice) -> int:
        first, width = self._place(key)
        return self._number() >> first & (1 << width) - 1

    def __setitem__(self, key: int | str | slice, value: int) -> None:
        first, width = self._place(key)
        variable = self._variable.description
        size = 8 * (4 if variable is None else datatypes.byte_width(variable.data_type) or 0)
        if first + width > size:
            raise ValueRefused(self._variable.text, f"it has {size} bits, and no bit {first + width - 1}")
        if not 0 <= value < 1 << width:
            raise ValueRefused(self._variable.text, f"{value} does not fit {width} bit{'s' * (width != 1)}")
        mask = (1 << width) - 1 << first
        number = self._number() & ~mask | value << first
        self._variable.write(number.to_bytes(size // 8, "little"))

    def _number(self) -> int:
        """The bits as they are, whatever the sign says."""
        value = self._variable.read()
        variable = self._variable.description
        if variable is None or not isinstance(value, int):
            raise ValueRefused(self._variable.text, f"it has no bits: {value!r}")
        return value & (1 << (datatypes.bit_width(variable.data_type) or 64)) - 1

    def _place(self, key: int | str | slice) -> tuple[int, int]:
        if isinstance(key, slice):
            first, end = key.start or 0, key.stop
            if key.step not in (None, 1) or end is None or not 0 <= first < end:
                raise IndexError("bits are counted from 0 and taken as bits[first:end]")
            return first, end - first
        if isinstance(key, str):
            variable = self._variable.description
            known = {} if variable is None else {name.casefold(): bit for bit, name in variable.bits.items()}
            if key.casefold() not in known:
                raise KeyError(f"{self._variable.text} has no bit {key!r} (known: {', '.join(known) or 'none'})")
            return known[key.casefold()], 1
        if key < 0:
            raise IndexError("bits are counted from 0")
        return key, 1


class NodeRecord:
    """An array or record of a node: its members by subindex or name."""

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index

    def __getitem__(self, key: int | str) -> NodeVariable:
        """Raise ObjectNotFound for a name that the dictionary lacks; a subindex need not be in it."""
        if isinstance(key, int):
            if not 0 <= key <= 0xFF:
                raise ObjectNotFound(object_text(self.index, 0)[:5] + str(key), "no dictionary")
            return NodeVariable(self.node, self.index, key)
        return NodeVariable(self.node, self.index, names.member(key, self.index, self.node.dictionary))

    def __iter__(self) -> Iterator[NodeVariable]:
        """The members that the dictionary has, subindex 0 first. Nothing is read."""
        for subindex in range(0x100):
            if self.node.describe(self.index, subindex).variable is not None:
                yield NodeVariable(self.node, self.index, subindex)

    def __repr__(self) -> str:
        return f"<{self.index:04X} of node {self.node.node_id}>"
