"""Multiplexed PDOs of a device (CiA 301): each frame names the object whose value it carries.

Source address mode (SAM): the producer sends its own objects as its object scanner list (1FA0h..1FCFh) says, each once
when OPERATIONAL begins and then whenever it changes; consumers look in their object dispatching list (1FD0h..1FFFh).
Destination address mode (DAM): the frame names node and object it is for; node-ID 0 is all nodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opendiag.frame import Frame
from opendiag.services.pdo_parameters import EVENT_DRIVEN, PdoParameters
from opendiag.wire.pdo import SAM_MPDO, DispatchEntry, Mpdo, ScannerEntry

SCANNER_LISTS, DISPATCHING_LISTS = range(0x1FA0, 0x1FD0), range(0x1FD0, 0x2000)
_LARGEST = 0xFE

Scan = Callable[[float], Iterable[tuple[int, int, bytes]]]


class MpdoProducer:
    """``scan(now)`` gives (index, subindex, up to 4 bytes) of what the scanner list names.

    Frames are as far apart as the inhibit time says; when an object changes again before its turn, the later value is
    sent. ``look_s`` is how often the objects are looked at.
    """

    def __init__(self, parameters: PdoParameters, node_id: int, scan: Scan, look_s: float | None = None) -> None:
        self.parameters = parameters
        self.node_id = node_id
        self.running = False
        self._scan = scan
        self._look_s = look_s
        self._out: list[Frame] = []
        self._sent_at = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self._out.clear()
        self._known: dict[tuple[int, int], bytes] = {}
        self._changed: dict[tuple[int, int], bytes] = {}
        self._queue: deque[Mpdo] = deque()
        self._looked_at: float | None = None

    def configure(self, parameters: PdoParameters, now: float) -> None:
        """Take other parameters, and begin anew."""
        self.parameters = parameters
        self._forget()

    def start(self) -> None:
        """The node is OPERATIONAL."""
        self.running = True
        self._forget()

    def stop(self) -> None:
        """The node has left OPERATIONAL."""
        self.running = False
        self._forget()

    @property
    def _live(self) -> bool:
        parameters = self.parameters
        return (
            self.running
            and parameters.valid
            and bool(parameters.multiplexed)
            and parameters.transmission_type in EVENT_DRIVEN
        )

    def send(self, mpdo: Mpdo, now: float) -> bool:
        """Send this one, as soon as the inhibit time allows. False when the PDO is not on."""
        if not self._live:
            return False
        self._queue.append(mpdo)
        self._go(now)
        return True

    def look(self, now: float) -> None:
        """Something may have changed."""
        self._looked_at = None
        self.tick(now)

    def receive(self, frame: Frame, now: float) -> None:
        """It cannot be asked for: a remote frame does not say which object."""

    def tick(self, now: float) -> None:
        if not self._live:
            return
        due = self._look_due()
        if due is not None and now >= due:
            self._looked_at = now
            for index, subindex, data in self._scan(now):
                if self._known.get((index, subindex)) != data:
                    self._known[index, subindex] = self._changed[index, subindex] = data
        self._go(now)

    def _go(self, now: float) -> None:
        parameters = self.parameters
        while (self._queue or self._changed) and now >= self._sent_at + parameters.inhibit_s:
            if self._queue:
                mpdo = self._queue.popleft()
            else:
                (index, subindex), data = next(iter(self._changed.items()))
                del self._changed[index, subindex]
                mpdo = Mpdo(self.node_id, False, index, subindex, data)
            self._sent_at = now
            cob = parameters.cob
            self._out.append(Frame(cob.can_id, mpdo.encode(), extended=cob.extended))

    def _look_due(self) -> float | None:
        if self.parameters.multiplexed != SAM_MPDO:
            return None
        if self._looked_at is None:
            return 0.0
        return None if self._look_s is None else self._looked_at + self._look_s

    def deadline(self) -> float | None:
        """When to look, or send, again; 0 while frames wait to be fetched."""
        if self._out or not self._live:
            return 0.0 if self._out else None
        due = self._look_due()
        if self._queue or self._changed:
            free = max(self._sent_at + self.parameters.inhibit_s, 0.0)
            due = free if due is None else min(free, due)
        return due

    def frames_to_send(self) -> list[Frame]:
        frames, self._out = self._out, []
        return frames

    def events(self) -> list[Any]:
        """A producer has nothing to tell but its frames."""
        return []


def scanned(number_at: Callable[[int, int], int | None]) -> Iterator[tuple[int, int]]:
    """(index, subindex) of all that the object scanner lists name; ``number_at`` as in `PdoParameters.from_objects`."""
    for word in _words(number_at, SCANNER_LISTS):
        entry = ScannerEntry.decode(word)
        for subindex in range(entry.subindex, min(entry.subindex + entry.count, 0x100)):
            yield entry.index, subindex


def dispatched(number_at: Callable[[int, int], int | None], mpdo: Mpdo) -> Iterator[tuple[int, int]]:
    """Where the object dispatching lists send this object of another node, as (index, subindex)."""
    for word in _words(number_at, DISPATCHING_LISTS):
        target = DispatchEntry.decode(word).target(mpdo)
        if target is not None:
            yield target


def _words(number_at: Callable[[int, int], int | None], indices: range) -> Iterator[int]:
    for index in indices:
        for subindex in range(1, min(number_at(index, 0) or 0, _LARGEST) + 1):
            yield number_at(index, subindex) or 0
