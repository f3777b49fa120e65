"""A received PDO as its receivers get it, and those who wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from opendiag.decode.node_view import NodeView
from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.model import Variable, object_text
from opendiag.errors import AdapterClosed, WireError
from opendiag.frame import Frame
from opendiag.services.pdo_layout import Field, PdoLayout
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.pdo import MAX_BITS, Mpdo

if TYPE_CHECKING:
    from opendiag.master.pump import Pump

#: Samples that may wait for whoever reads a stream: some 10 s of a full bus at 1 Mbit/s.
BACKLOG = 100_000
_UNKNOWN = ("mapping-unknown",)


class PdoSample(NamedTuple):
    """One PDO from the bus.

    ``values`` by the name of the object, as in a decoded capture; an object that nobody knows is "2F00:00" and bytes.
    ``at`` is seconds on the network's clock, ``time_ns`` the adapter's time where it tells one, ``raw`` the data bytes.
    ``flags``: pdo-too-short (the values are those of the objects that are whole), pdo-too-long, mapping-unknown (there
    are no values), pdo-not-valid (it is switched off, as far as is known), multiplexed.
    """

    node_id: int
    number: int
    at: float
    time_ns: int | None
    values: Mapping[str, Value]
    raw: bytes
    flags: tuple[str, ...] = ()
    transmit: bool = True

    @property
    def name(self) -> str:
        """As in "TPDO4"."""
        return f"{'TPDO' if self.transmit else 'RPDO'}{self.number}"


_new = tuple.__new__
_Sampler = Callable[[Frame, float], PdoSample]
_Naming = Callable[[tuple[Value, ...]], dict[str, Value]]


def _naming(names: tuple[str, ...]) -> _Naming:
    """Puts the names to the values. Written out for the usual numbers of them, which takes a third of the time."""
    if len(names) == 1:
        (a,) = names
        return lambda values: {a: values[0]}
    if len(names) == 2:
        a, b = names
        return lambda values: {a: values[0], b: values[1]}
    if len(names) == 3:
        a, b, c = names
        return lambda values: {a: values[0], b: values[1], c: values[2]}
    if len(names) == 4:
        a, b, c, d = names
        return lambda values: {a: values[0], b: values[1], c: values[2], d: values[3]}
    return lambda values: dict(zip(names, values))  # noqa: B905 - as many as there are names; the check costs time


class Reading:
    """How the frames of one PDO are read, worked out once for each mapping. Nothing in it changes.

    ``layout`` is None while the mapping is not known. ``sample(frame, now)`` never raises.
    """

    __slots__ = ("_flags", "extended", "layout", "parameters", "sample", "view")

    def __init__(self, view: NodeView, parameters: PdoParameters, known: bool) -> None:
        self.view = view
        self.parameters = parameters
        self.layout: PdoLayout | None = None
        self._flags: tuple[str, ...] = () if parameters.valid else ("pdo-not-valid",)
        self.extended = parameters.cob.extended
        self.sample: _Sampler = self._sample
        if parameters.multiplexed:
            self._flags = (*self._flags, "multiplexed")
        elif known and parameters.bits <= MAX_BITS:  # a mapping that is written entry by entry may be anything
            self.layout = layout = PdoLayout(parameters.entries, _variables(view, parameters))
            self.sample = self._sampler(layout)
        else:
            self._flags = (*self._flags, *_UNKNOWN)

    def _sampler(self, layout: PdoLayout) -> _Sampler:
        """For frames of the right length: everything that is looked up is looked up here."""
        view, parameters = self.view, self.parameters
        node_id, number, transmit = view.node_id, parameters.number, parameters.transmit
        length, named, decode = layout.length, _naming(layout.names), layout.decode_exact
        flags, otherwise = self._flags, self._sample

        def sample(frame: Frame, now: float) -> PdoSample:
            data = frame.data
            if len(data) != length:
                return otherwise(frame, now)
            # What `PdoSample(...)` does, in half the time.
            return _new(PdoSample, (node_id, number, now, frame.time_ns, named(decode(data)), data, flags, transmit))

        return sample

    def _sample(self, frame: Frame, now: float) -> PdoSample:
        parameters = self.parameters
        values, flags = self._otherwise(frame.data)
        return PdoSample(
            self.view.node_id, parameters.number, now, frame.time_ns, values, frame.data, flags, parameters.transmit
        )

    def _otherwise(self, data: bytes) -> tuple[dict[str, Value], tuple[str, ...]]:
        """A wrong length, a multiplexed PDO or an unknown mapping."""
        layout = self.layout
        if layout is not None:
            values = dict(zip(layout.names, layout.decode_available(data), strict=False))
            return values, (*self._flags, "pdo-too-short" if len(data) < layout.length else "pdo-too-long")
        if not self.parameters.multiplexed:
            return {}, self._flags
        try:
            mpdo = Mpdo.decode(data)
        except WireError:
            return {}, (*self._flags, "pdo-too-short" if len(data) < 8 else "pdo-too-long")
        described = self.view.describe(mpdo.index, mpdo.subindex)
        name = described.name or object_text(mpdo.index, mpdo.subindex)
        return {name: _of_mpdo(described.variable, mpdo.data)}, self._flags


def _of_mpdo(variable: Variable | None, data: bytes) -> Value:
    width = None if variable is None else datatypes.byte_width(variable.data_type)
    if variable is None or width is None or width > len(data):
        return data
    return datatypes.decode_value(variable.data_type, data[:width])


def _variables(view: NodeView, parameters: PdoParameters) -> dict[tuple[int, int], Variable]:
    """The mapped objects under the names that records have."""
    found = {}
    for entry in parameters.entries:
        described = view.describe(entry.index, entry.subindex)
        variable = described.variable
        if variable is not None:
            name = described.name or variable.name
            found[entry.index, entry.subindex] = variable if name == variable.name else _renamed(variable, name)
    return found


def _renamed(variable: Variable, name: str) -> Variable:
    fields = {key: getattr(variable, key) for key in variable.__dataclass_fields__}
    return Variable(**{**fields, "name": name})


@dataclass(frozen=True, slots=True)
class PdoRow:
    """One mapped object: its first bit and its width, and what the dictionary says of it. A dummy has type ""."""

    bit: int
    bits: int
    index: int
    subindex: int
    name: str
    type: str = ""
    unit: str = ""

    @property
    def text(self) -> str:
        """As in "6041:00"."""
        return object_text(self.index, self.subindex)


def rows_of(reading: Reading) -> list[PdoRow]:
    """All entries in wire order, dummies too."""
    fields: dict[int, Field] = {}
    if reading.layout is not None:
        fields = {field.offset: field for field in reading.layout.fields}
    rows, bit = [], 0
    for entry in reading.parameters.entries:
        field = fields.get(bit)
        if field is None:
            name = "dummy" if entry.is_dummy else object_text(entry.index, entry.subindex)
            row = PdoRow(bit, entry.bits, entry.index, entry.subindex, name)
        else:
            kind = "" if field.data_type is None else datatypes.type_name(field.data_type)
            unit = "" if field.variable is None else field.variable.unit
            row = PdoRow(bit, entry.bits, entry.index, entry.subindex, field.name, kind, unit)
        rows.append(row)
        bit += entry.bits
    return rows


def dummy_bits(index: int) -> int | None:
    """Width of the dummy at 0001h..0007h."""
    return datatypes.bit_width(DataType(index)) if 1 <= index <= 7 else None


class PdoStream:
    """Samples from the moment it is opened. Close it, or use ``with``.

    ``lost`` counts samples that came while ``BACKLOG`` were waiting to be read: the oldest are kept.
    """

    def __init__(self, pump: Pump, close: Callable[[PdoStream], None]) -> None:
        self._pump = pump
        self._close = close
        self._waiting: deque[tuple[Reading, Frame, float]] = deque()
        self._closed = False
        self.lost = 0

    def put(self, reading: Reading, frame: Frame, now: float) -> None:
        """Called by who receives, with the pump's lock held."""
        if len(self._waiting) < BACKLOG:
            self._waiting.append((reading, frame, now))
        else:
            self.lost += 1

    def get(self, timeout_s: float | None = None) -> PdoSample | None:
        """The next one; None when none came in time, or the stream is closed. Raise AdapterError, BlockingCall."""
        if not self.done:
            self._pump.check_may_wait("waiting for a PDO")
            until = None if timeout_s is None else self._pump.clock.now() + timeout_s
            self._pump.wait(self, until)
        if not self._waiting:
            return None
        reading, frame, now = self._waiting.popleft()
        return reading.sample(frame, now)

    def __iter__(self) -> Iterator[PdoSample]:
        """Until the stream or the network is closed. Raise AdapterError when the bus goes."""
        while True:
            try:
                sample = self.get()
            except AdapterClosed:
                if self._pump.failure is not None:
                    raise
                return
            if sample is None:
                return
            yield sample

    @property
    def done(self) -> bool:
        """A sample is waiting, or none will come."""
        return bool(self._waiting) or self._closed

    def close(self) -> None:
        """What has come can still be taken."""
        self._closed = True
        self._close(self)

    def __enter__(self) -> PdoStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
