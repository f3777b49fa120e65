"""An oscilloscope for the objects of a node: samples by PDO or SDO, a trigger, and what came before it.

with Scope(network, 5, ["6064", "606C"], period_s=0.001) as scope:
    recording = scope.record(2.0)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

from opendiag.decode.records import Record
from opendiag.errors import SdoAborted, SdoError, ValueRefused
from opendiag.frame import Frame
from opendiag.master.network import Network
from opendiag.master.scope_recording import Happening, Recording, Signal
from opendiag.master.scope_sources import Finder, Key, Source
from opendiag.master.variable import NodeVariable
from opendiag.services.plans import Now, SdoRead, Sleep

__all__ = ["MOST_SIGNALS", "Recording", "Scope", "Signal"]

MOST_SIGNALS = 8
#: How long a device that does not answer one poll is left alone.
_PAUSE_S = 0.05
_LOOK_S = 0.1
#: Happenings that are kept.
_MOST_MARKS = 200
Fires = Callable[[Record], bool]


class Scope:
    """Use it with ``with``: entering finds where the samples come from, leaving puts back what was changed for it.

    ``objects`` are up to 8, as `Node.variable` takes them; ``also`` are those that only the trigger looks at.
    ``by``: "auto" takes a TPDO that is there and comes often enough, else maps a free one, else polls SDO; "pdo" and
    "sdo" allow only that. ``may_map`` False: no TPDO is changed. Nothing is started or stopped.
    """

    def __init__(
        self,
        network: Network,
        node_id: int,
        objects: Sequence[int | str | tuple[int, int]],
        *,
        period_s: float = 0.005,
        by: str = "auto",
        may_map: bool = True,
        also: Sequence[Key] = (),
    ) -> None:
        """Raise ValueError for no or too many objects, and a period that is none; ObjectNotFound."""
        if not 1 <= len(objects) <= MOST_SIGNALS:
            raise ValueError(f"{len(objects)} objects: expected 1 to {MOST_SIGNALS}")
        if by not in ("auto", "pdo", "sdo"):
            raise ValueError(f"by {by!r}: expected auto, pdo or sdo")
        if not 0 < period_s < 60:
            raise ValueError(f"a period of {period_s} s: expected more than 0 and less than 60")
        self._network = network
        self._node = network.node(node_id)
        self._finder = Finder(self._node, period_s, by, may_map)
        variables = [self._node.variable(each) for each in objects]
        self.signals = [self._signal(variable, shown=True) for variable in variables]
        known = {signal.key for signal in self.signals}
        self.signals += [self._signal(self._node.variable(key), shown=False) for key in also if key not in known]
        self.sources: list[Source] = []

    def _signal(self, variable: NodeVariable, shown: bool) -> Signal:
        described = variable.description
        words = described is not None and bool(described.values or described.bits)
        return Signal(variable.index, variable.subindex, variable.name or variable.text, variable.unit, steps=words,
                      shown=shown)  # fmt: skip

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of where the samples come from."""
        return self._finder.notes

    def __enter__(self) -> Scope:
        """Raise ValueRefused, SdoError, AdapterError."""
        try:
            self._node.identify()
            self.sources = self._finder.find([signal.key for signal in self.signals])
            self._check_polled()
        except BaseException:
            self.close()
            raise
        for source in self.sources:
            for signal in self.signals:
                if signal.key in source.keys:
                    signal.source, signal.period_s = source.text, source.period_s
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Put back what was changed in the device; ``notes`` tell what could not be."""
        for saved in list(self._finder.mapped):
            self._finder.give_back(saved)

    @property
    def _polled(self) -> tuple[Key, ...]:
        return tuple(key for source in self.sources if source.pdo is None for key in source.keys)

    def _check_polled(self) -> None:
        """Each of them is a number that can be read. Raise SdoError, ValueRefused."""
        for key in self._polled:
            variable = self._node.variable(key)
            value = variable.read()
            if not isinstance(value, int | float):
                raise ValueRefused(variable.text, f"it is no number but {value!r}")

    # --- recording ---

    def record(
        self,
        for_s: float,
        *,
        fires: Fires | None = None,
        what: str = "",
        pre_s: float = 0.0,
        wait_s: float | None = None,
    ) -> Recording:
        """Record for so long, from the moment when ``fires`` is true for a record; without it, at once.

        ``pre_s`` of what came before the trigger is kept. ``what`` names the trigger. After ``wait_s`` without one, the
        recording has what came last. KeyboardInterrupt ends it: what came until then is given. Raise AdapterError.
        """
        run = _Run(self._network, self._node.node_id, self.signals, fires, what, pre_s, for_s, wait_s)
        run.only = None if fires is not None else self._can_ids()
        poller = self._network.begin(self._poll()) if self._polled else None
        try:
            with contextlib.suppress(KeyboardInterrupt):
                run.go()
        finally:
            if poller is not None:
                if poller.done:
                    self.notes.append("Polling ended early: the node does not answer.")
                poller.abandon()
        return run.recording(self.notes)

    def _can_ids(self) -> frozenset[int]:
        """Frames on others need not be decoded where there is no trigger."""
        node, channel = self._node.node_id, self._node.client.channel
        pdos = [source.pdo.known.cob.can_id for source in self.sources if source.pdo is not None]
        return frozenset([*pdos, channel.request_id, channel.response_id, 0x80 + node, 0x700 + node])

    def _poll(self) -> Generator[Any, Any, None]:
        """Read one after the other, every period, as long as the plan runs."""
        keys, node_id, period_s = self._polled, self._node.node_id, self._finder.period_s
        due = yield Now()
        while True:
            for index, subindex in keys:
                try:
                    yield SdoRead(node_id, index, subindex)
                except SdoAborted:
                    continue
                except SdoError:
                    yield Sleep(_PAUSE_S)
            now = yield Now()
            due = max(due + period_s, now)
            if due > now:
                yield Sleep(due - now)


class _Run:
    """One recording. Times are those of the frames; ``only`` are the CAN-IDs that matter, None: all."""

    def __init__(
        self,
        network: Network,
        node_id: int,
        signals: Sequence[Signal],
        fires: Fires | None,
        what: str,
        pre_s: float,
        for_s: float,
        wait_s: float | None,
    ) -> None:
        self._network = network
        self._node_id = node_id
        self._signals = {signal.key: signal for signal in signals}
        for signal in signals:
            signal.times_s, signal.values = [], []
        self._fires = fires
        self._what = what
        self._pre_s, self._for_s = pre_s, for_s
        self.only: frozenset[int] | None = None
        self._decoder = network.decoder()
        self._wait_s = wait_s
        self._zero: float | None = None
        self._give_up: float | None = None
        self._now = 0.0
        self._marks: list[Happening] = []
        self._states: dict[str, str] = {}
        self._lost = 0

    @property
    def _end(self) -> float | None:
        return self._give_up if self._zero is None else self._zero + self._for_s

    def go(self) -> None:
        """Until the time is over."""
        clock = self._network.clock
        with self._network.frames() as frames:
            self._now = began = clock.now()
            if self._fires is None:
                self._zero = began
            elif self._wait_s is not None:
                self._give_up = began + self._wait_s
            while (end := self._end) is None or clock.now() < end:
                left = _LOOK_S if end is None else min(end - clock.now(), _LOOK_S)
                frame = frames.get(left)
                while frame is not None:
                    self._take(frame)
                    frame = frames.get(0.0) if frames.done else None
            self._lost = frames.lost

    def _take(self, frame: Frame) -> None:
        if frame.error or (self.only is not None and frame.can_id not in self.only):
            return
        for record in self._decoder.feed(frame):
            if record.node == self._node_id and record.status == "ok":
                self._record(record)

    def _record(self, record: Record) -> None:
        at = self._network.clock.now() if record.time_ns is None else (record.time_ns + (record.took_ns or 0)) / 1e9
        if self._zero is None and self._fires is not None and self._fires(record):
            self._zero = at
        if record.service in ("tpdo", "rpdo", "sdo.read") and record.index is not None:
            self._sample(record, at)
        if record.state is not None or record.service in ("emcy", "boot-up"):
            self._mark(record, at)
        if at > self._now:
            self._now = at
            if self._zero is None:
                self._forget(at - self._pre_s)

    def _sample(self, record: Record, at: float) -> None:
        signal = self._signals.get((record.index or 0, record.subindex or 0))
        value = record.value if record.scaled is None else record.scaled
        if signal is None or not isinstance(value, int | float):
            return
        if not signal.unit and record.unit:
            signal.unit = record.unit
        signal.add(at, value)

    def _forget(self, before: float) -> None:
        for signal in self._signals.values():
            if len(signal.times_s) > 64 and signal.times_s[len(signal.times_s) // 2] < before:
                signal.forget_before(before)
        while self._marks and self._marks[0].time_s < before:
            self._marks.pop(0)

    def _mark(self, record: Record, at: float) -> None:
        """EMCY, boot-up, and every change of a state."""
        if record.service in ("emcy", "boot-up"):
            text = record.text if record.service == "boot-up" else f"EMCY {record.text}"
        else:
            kind = "nmt" if record.index is None else "pds"
            if record.state is None or self._states.get(kind) == record.state:
                return
            first = kind not in self._states
            self._states[kind] = record.state
            if first:
                return
            text = record.state.replace("_", " ")
        if len(self._marks) < _MOST_MARKS:
            self._marks.append(Happening(at, text))

    def recording(self, notes: Sequence[str]) -> Recording:
        """What is kept, with its times counted from the trigger."""
        triggered = None if self._fires is None else self._zero is not None
        zero = self._now if self._zero is None else self._zero
        first = zero - self._pre_s if self._fires is not None else zero
        last = zero + self._for_s
        for signal in self._signals.values():
            signal.cut(first, last, zero)
        marks = [Happening(each.time_s - zero, each.text) for each in self._marks if first <= each.time_s < last]
        if triggered:
            marks.insert(0, Happening(0.0, f"trigger {self._what}".rstrip()))
        happened = sorted(marks, key=lambda each: each.time_s)
        return Recording(
            self._node_id, list(self._signals.values()), zero, triggered, happened, list(notes), self._lost
        )
