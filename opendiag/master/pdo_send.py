"""The PDOs that a node receives, as buffers to send from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from opendiag.dictionary import datatypes, names
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import object_text
from opendiag.errors import AdapterError, NoValueYet, ObjectNotFound, OpenDiagError, SendFailed, ValueRefused, WireError
from opendiag.frame import Frame
from opendiag.master.pdo_base import Pdo
from opendiag.master.pdo_traffic import PdoChannel
from opendiag.services.pdo_layout import Field, PdoLayout
from opendiag.wire.pdo import DAM_MPDO, Mpdo

if TYPE_CHECKING:
    from opendiag.master.cyclic import Cycle

Key = str | int | tuple[int, int]


class Rpdo(Pdo):
    """``rpdo["Target position"] = 5``, then `send` it, have it sent `every` so many seconds or with each SYNC.

    Nothing is sent before every mapped object has a value: `load` takes those that the device holds.
    """

    def __init__(self, channel: PdoChannel) -> None:
        super().__init__(channel)
        self._values: dict[int, Value] = {}  # by the bit where the object begins
        self._layout: PdoLayout | None = None
        self._ready: Frame | None = None
        self._cycle: Cycle | None = None
        self._end_sync: Callable[[], None] | None = None
        self.failure: OpenDiagError | None = None
        channel.on_change = self._remapped

    # --- the buffer ---

    def __getitem__(self, key: Key) -> Value:
        """The value that will be sent. Raise NoValueYet while there is none, ObjectNotFound for what is not mapped."""
        field = self._field(key)
        with self.node.network.pump.lock:
            if field.offset not in self._values:
                raise NoValueYet(f"{object_text(field.index, field.subindex)} {field.name}", self.text)
            return self._values[field.offset]

    def __setitem__(self, key: Key, value: Value) -> None:
        """Raise ObjectNotFound for what is not mapped, ValueRefused for what the object does not take."""
        self.set({key: value})

    def __iter__(self) -> Iterator[str]:
        """The names of the mapped objects."""
        return iter(self._ask_layout().names)

    def set(self, values: Mapping[Key, Value]) -> None:
        """Several at once: they leave in the same frame. Raises as `rpdo[...] = ...` does, and sets none then."""
        checked = [(field, self._checked(field, value)) for field, value in self._fields(values)]
        with self.node.network.pump.lock:
            for field, value in checked:
                self._values[field.offset] = value
            self._ready = None

    def _fields(self, values: Mapping[Key, Value]) -> list[tuple[Field, Value]]:
        return [(self._field(key), value) for key, value in values.items()]

    def _checked(self, field: Field, value: Value) -> Value:
        """By the object's type and limits, and by its width here."""
        variable = field.variable
        try:
            raw = field.encode(value).to_bytes(field.size, "little")
        except WireError as error:
            raise ValueRefused(f"{object_text(field.index, field.subindex)} in {self.text}", error.reason) from error
        if variable is not None and field.bits == datatypes.bit_width(variable.data_type):
            self.node.variable((field.index, field.subindex)).encode(raw)
        return field.decode(int.from_bytes(raw, "little"))

    def _field(self, key: Key) -> Field:
        layout = self._ask_layout()
        for field in layout.fields:
            if key == field.name or key == (field.index, field.subindex):
                return field
        if isinstance(key, str):
            wanted = names.number_of(key)
            for field in layout.fields:
                if names.plain(key) == names.plain(field.name) or wanted == (field.index, field.subindex):
                    return field
            index = -1 if wanted is None or wanted[1] is not None else wanted[0]
        else:
            index = key if isinstance(key, int) else -1
        found = [field for field in layout.fields if field.index == index]
        if len(found) == 1:
            return found[0]
        mapped = ", ".join(repr(name) for name in layout.names) or "nothing"
        raise ObjectNotFound(f"{_key_text(key)} (mapped: {mapped})", self.text)

    def _ask_layout(self) -> PdoLayout:
        self._ask_once()
        layout = self._channel.reading.layout
        if layout is None:
            raise ValueRefused(self.text, "its mapping is not known: map it, or give the node an EDS")
        self._layout = layout
        return layout

    def load(self) -> None:
        """Take the values that the device holds, read by SDO. Raise SdoError, AdapterError, BlockingCall."""
        for field in self._ask_layout().fields:
            raw = self.node.upload(field.index, field.subindex)
            bits = int.from_bytes(raw, "little") & (1 << field.bits) - 1
            with self.node.network.pump.lock:
                self._values[field.offset] = field.decode(bits)
                self._ready = None

    def _remapped(self) -> None:
        """The same objects keep their values; runs under the pump's lock."""
        before, layout = self._layout, self._channel.reading.layout
        if before is None or layout is before:
            self._ready = None
            return
        held = {
            (f.index, f.subindex, f.bits): self._values[f.offset] for f in before.fields if f.offset in self._values
        }
        if layout is not None and layout.fields:
            places = {(f.index, f.subindex, f.bits): f.offset for f in layout.fields}
            self._values = {place: held[key] for key, place in places.items() if key in held}
            self._layout = layout
        self._ready = None

    # --- sending ---

    def send(self, values: Mapping[Key, Value] | None = None) -> None:
        """Send it once, with these values from now on.

        Raises ValueRefused while an object has no value or the PDO is switched off; AdapterError.
        """
        if values:
            self.set(values)
        self._ask_layout()
        with self.node.network.pump.lock:
            frame = self._filled()
        self.node.network.send(frame)

    def _filled(self) -> Frame:
        """The frame to send. Call it with the pump's lock held."""
        if self._ready is None:
            layout = self._channel.reading.layout
            if layout is None or not layout.fields:
                raise ValueRefused(self.text, "nothing is mapped in it")
            missing = [field.name for field in layout.fields if field.offset not in self._values]
            if missing:
                raise ValueRefused(self.text, f"no value for {', '.join(missing)}: set it, or load() the device's")
            try:
                data = layout.encode([self._values[field.offset] for field in layout.fields])
            except WireError as error:  # the dictionary is another one since they were set
                raise ValueRefused(self.text, error.reason) from error
            self._ready = self._frame(data)
        return self._ready

    def every(self, period_s: float) -> Cycle:
        """Send it so often, with the values as they are then, until `stop`. Raises as `send`, and ValueError."""
        self._ask_layout()
        self.stop()
        network = self.node.network
        with network.pump.lock:
            self._filled()
            self._cycle = network.cyclic.every(period_s, self._send_in_cycle, name=self.text)
        return self._cycle

    def on_sync(self) -> None:
        """Send it right after each SYNC, with the values as they are then, until `stop`. Raises as `send`."""
        self._ask_layout()
        self.stop()
        network = self.node.network
        with network.pump.lock:
            self._filled()
        self._end_sync = network.on_sync(self._send_at_sync)

    def _send_in_cycle(self, now: float) -> None:
        self.node.network.pump.send(self._filled(), now)

    def _send_at_sync(self, *_: object) -> None:
        """A PDO that can no longer be sent is no longer sent; ``failure`` says why."""
        pump = self.node.network.pump
        with pump.lock:
            try:
                pump.send(self._filled(), pump.clock.now())
            except (ValueRefused, AdapterError) as error:
                self.failure = error
                if not isinstance(error, SendFailed):
                    self.stop()

    def stop(self) -> None:
        """No longer send it by itself. Does nothing where it is not."""
        cycle, self._cycle = self._cycle, None
        if cycle is not None:
            cycle.stop()
        end, self._end_sync = self._end_sync, None
        if end is not None:
            end()

    def send_mpdo(self, key: Key, value: Value, *, to_all: bool = False) -> None:
        """Write one object of the node, or of all that listen, by a destination address MPDO (CiA 301).

        Raises ValueRefused unless it is mapped as such, or the value does not suit the object; ObjectNotFound.
        """
        parameters = self.parameters
        if parameters.multiplexed != DAM_MPDO:
            raise ValueRefused(self.text, f"{parameters.mapping:04X}:00 is not FFh: map(None, multiplexed=DAM_MPDO)")
        variable = self.node.variable(key)
        data = variable.encode(value)
        if len(data) > 4:
            raise ValueRefused(variable.text, f"a multiplexed PDO carries 4 bytes, not {len(data)}")
        mpdo = Mpdo(0 if to_all else self.node.node_id, True, variable.index, variable.subindex, data)
        self.node.network.send(self._frame(mpdo.encode()))


def _key_text(key: Key) -> str:
    """As it was asked for; numbers as CANopen writes them."""
    if isinstance(key, int):
        return f"{key:04X}h"
    return object_text(*key) if isinstance(key, tuple) and len(key) == 2 else repr(key)
