"""Where a device keeps the values of its objects, and what it answers to who wants to read or write them.

`SdoServer` talks to an `ObjectStore`; `DictionaryStore` is the one made from an object dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, Protocol

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable, object_text
from opendiag.errors import ObjectNotFound, SdoRefusal, WireError
from opendiag.wire.sdo_abort import SdoAbortCode

_COMMUNICATION = range(0x1000, 0x2000)
_STRUCTURED = (ObjectType.ARRAY, ObjectType.RECORD, ObjectType.DEFSTRUCT)
_COUNT_BEGINS_AT_0 = (range(0x1003, 0x1004), range(0x1600, 0x1800), range(0x1A00, 0x1C00))

ReadHook = Callable[[float], "bytes | BinaryIO | None"]
WriteHook = Callable[[bytes, float], "float | None"]
StreamHook = Callable[["int | None", float], BinaryIO]


class ObjectStore(Protocol):
    """``now`` is monotonic seconds. Every method may raise SdoRefusal; its code becomes the abort."""

    def read(self, index: int, subindex: int, now: float) -> bytes | BinaryIO:
        """The bytes, or a stream of them, which the server closes. A seekable stream gets its size announced."""

    def width(self, index: int, subindex: int) -> int | None:
        """Bytes of one value; None where every value has a length of its own, or there is no such object."""

    def check_write(self, index: int, subindex: int, size: int | None, now: float) -> BinaryIO | None:
        """Asked before the data come; ``size`` in bytes where the client has said it.

        Gives None, and `write` gets the data; or a stream for the data, and `write` is called with no data when all
        of them are in it and were right. It is not called when the transfer fails. The server closes no such stream.
        """

    def write(self, index: int, subindex: int, data: bytes, now: float) -> float:
        """Take the value; gives the seconds the device needs before it answers."""


class DictionaryStore:
    """The objects of a dictionary with their values as bytes, for a device with this ``node_id``.

    An object begins with what the dictionary says (`Variable.configured`), without that with zeros or as an empty
    string, the number of entries of an array or record with its highest subindex (error history and PDO mappings:
    0). An array or record without subindex 0 gets one. ``values`` holds the bytes by (index, subindex). Access
    rights, lengths and limits bind the other side only: `get`, `set` and ``values`` are the device's own way in.
    """

    def __init__(self, dictionary: ObjectDictionary, node_id: int) -> None:
        self.dictionary = dictionary
        self.node_id = node_id
        self.variables: dict[tuple[int, int], Variable] = {}
        for found in dictionary.objects.values():
            self.variables.update({(found.index, number): member for number, member in found.members.items()})
            if found.object_type in _STRUCTURED and found.members and 0 not in found.members:
                self.variables[found.index, 0] = _count(found)
        self.values: dict[tuple[int, int], bytes] = {}
        self._saved: dict[tuple[int, int], bytes] = {}
        self._readers: dict[tuple[int, int | None], ReadHook] = {}
        self._writers: dict[tuple[int, int | None], WriteHook] = {}
        self._streams: dict[tuple[int, int | None], StreamHook] = {}
        self.reset()

    # --- the device's side ------------------------------------------------------------------------------------------

    def get(self, index: int, subindex: int) -> Value:
        """The value as it is stored; no hook is asked. Raise ObjectNotFound."""
        variable = self._known(index, subindex)
        return datatypes.decode_value(variable.data_type, self.values[index, subindex])

    def set(self, index: int, subindex: int, value: Value) -> None:
        """Store a value, or its bytes where they have the type's width; no hook is called.

        Raises ObjectNotFound, and WireError when the value is not of the object's type.
        """
        variable = self._known(index, subindex)
        if isinstance(value, bytes) and len(value) == (self.width(index, subindex) or len(value)):
            self.values[index, subindex] = value
        else:
            self.values[index, subindex] = datatypes.encode_value(variable.data_type, value)

    def on_read(self, index: int, subindex: int | None, hook: ReadHook) -> None:
        """``hook(now)`` gives the bytes (or a stream of them) for each SDO read; None: those stored.

        Subindex None: every member that has no hook of its own. A later hook takes the place of an earlier one.
        """
        self._readers[index, subindex] = hook

    def on_write(self, index: int, subindex: int | None, hook: WriteHook) -> None:
        """``hook(data, now)`` is called for each SDO write that the dictionary allows.

        The value is stored by then and `set` may replace it; when the hook raises, the value before comes back. It
        gives the seconds until the device answers (None: at once). Subindex None as in `on_read`.
        """
        self._writers[index, subindex] = hook

    def on_stream(self, index: int, subindex: int | None, hook: StreamHook) -> None:
        """``hook(size, now)`` opens the stream that SDO writes go to, instead of being stored.

        The write hook is then called without data, once all of them are in the stream.
        """
        self._streams[index, subindex] = hook

    def reset(self, communication: bool = False) -> None:
        """Set all values to those of power-on, or only 1000h..1FFFh (``communication``)."""
        for key, variable in self.variables.items():
            if not communication or key[0] in _COMMUNICATION:
                self.values[key] = self._saved[key] if key in self._saved else self._default(variable)

    def save(self, indices: Iterable[int]) -> None:
        """Keep what these objects that can be written hold now: `reset` comes back to it."""
        wanted = indices if isinstance(indices, range) else frozenset(indices)
        for key, variable in self.variables.items():
            if key[0] in wanted and variable.access not in ("ro", "const"):
                self._saved[key] = self.values[key]

    def forget(self, indices: Iterable[int]) -> None:
        """Undo `save`: the next `reset` gives these objects what the dictionary says."""
        wanted = indices if isinstance(indices, range) else frozenset(indices)
        self._saved = {key: raw for key, raw in self._saved.items() if key[0] not in wanted}

    # --- the other side ---------------------------------------------------------------------------------------------

    def read(self, index: int, subindex: int, now: float) -> bytes | BinaryIO:
        variable = self.variables.get((index, subindex))
        if variable is None:
            raise self._missing(index)
        if variable.access == "wo":
            raise SdoRefusal(SdoAbortCode.WRITE_ONLY)
        if self._readers:
            hook = self._readers.get((index, subindex)) or self._readers.get((index, None))
            answer = hook(now) if hook else None
            if answer is not None:
                return answer
        return self.values[index, subindex]

    def width(self, index: int, subindex: int) -> int | None:
        variable = self.variables.get((index, subindex))
        return None if variable is None else datatypes.byte_width(variable.data_type)

    def check_write(self, index: int, subindex: int, size: int | None, now: float) -> BinaryIO | None:
        variable = self.variables.get((index, subindex))
        if variable is None:
            raise self._missing(index)
        if variable.access in ("ro", "const"):
            raise SdoRefusal(SdoAbortCode.READ_ONLY)
        hook = self._streams.get((index, subindex)) or self._streams.get((index, None))
        if hook:
            return hook(size, now)
        if size is not None:
            _check_length(variable, size)
        return None

    def write(self, index: int, subindex: int, data: bytes, now: float) -> float:
        key = index, subindex
        streamed = key in self._streams or (index, None) in self._streams
        before = self.values[key]
        if not streamed:
            self._check_value(self.variables[key], data)
            self.values[key] = bytes(data)
        hook = self._writers.get(key) or self._writers.get((index, None))
        if not hook:
            return 0.0
        try:
            return hook(data, now) or 0.0
        except Exception:
            self.values[key] = before
            raise

    # --- both -------------------------------------------------------------------------------------------------------

    def _known(self, index: int, subindex: int) -> Variable:
        variable = self.variables.get((index, subindex))
        if variable is None:
            raise ObjectNotFound(object_text(index, subindex), self.dictionary.name)
        return variable

    def _missing(self, index: int) -> SdoRefusal:
        known = index in self.dictionary.objects
        return SdoRefusal(SdoAbortCode.NO_SUCH_SUBINDEX if known else SdoAbortCode.NO_SUCH_OBJECT)

    def _default(self, variable: Variable) -> bytes:
        value = variable.configured(self.node_id)
        if value is None and variable.subindex == 0:
            value = self._entries(variable)
        try:
            if value is not None:
                return datatypes.encode_value(variable.data_type, value)
        except WireError:  # a default that the type cannot hold: the reader of the file has said so
            pass
        return bytes(datatypes.byte_width(variable.data_type) or 0)

    def _entries(self, variable: Variable) -> int | None:
        """How many entries an array or record has; None for what is neither."""
        parent = self.dictionary.objects[variable.index]
        if parent.object_type not in _STRUCTURED:
            return None
        if any(variable.index in indices for indices in _COUNT_BEGINS_AT_0):
            return 0
        return max((number for number in parent.members if number != 0xFF), default=0)

    def _check_value(self, variable: Variable, data: bytes) -> None:
        _check_length(variable, len(data))
        low, high = self._limit(variable.low), self._limit(variable.high)
        if variable.data_type == DataType.BOOLEAN and high is None:
            high = 1
        if low is None and high is None:
            return
        value = datatypes.decode_value(variable.data_type, data)
        if not isinstance(value, int | float):
            return
        if high is not None and value > high:
            raise SdoRefusal(SdoAbortCode.VALUE_TOO_HIGH)
        if low is not None and value < low:
            raise SdoRefusal(SdoAbortCode.VALUE_TOO_LOW)

    def _limit(self, limit: Value | NodeIdPlus | None) -> int | float | None:
        if isinstance(limit, NodeIdPlus):
            return limit.resolve(self.node_id)
        return limit if isinstance(limit, int | float) else None


def _count(parent: Object) -> Variable:
    return Variable(parent.index, 0, "Number of entries", DataType.UNSIGNED8, "ro")


def _check_length(variable: Variable, size: int) -> None:
    width = datatypes.byte_width(variable.data_type)
    if width is not None and size != width:
        raise SdoRefusal(SdoAbortCode.TOO_LONG if size > width else SdoAbortCode.TOO_SHORT)
