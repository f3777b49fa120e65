"""The sending end of a PDO, all transmission types (CiA 301): a TPDO of a device.

| type     | sent                                                                                                |
|----------|-----------------------------------------------------------------------------------------------------|
| 0        | with the next SYNC after an event: a change of its data, or `TPdo.trigger`                          |
| 1..240   | with every n-th SYNC; counted from the SYNC start value on where SYNC has a counter                 |
| 252      | sampled at each SYNC, sent when a remote frame asks for it                                          |
| 253      | sampled and sent when a remote frame asks for it                                                    |
| 254, 255 | at once when OPERATIONAL begins, after an event, when the event timer has run out, when asked for   |
| 241..251 | never: reserved                                                                                     |

The inhibit time is kept by 254 and 255, whatever the reason to send. A remote frame is answered unless bit 30 of the
COB-ID forbids it, but never by a type that SYNC alone sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from opendiag.frame import Frame
from opendiag.services.pdo_parameters import (
    AT_SYNC,
    CYCLIC,
    EVENT_DRIVEN,
    ON_REQUEST,
    ON_REQUEST_AT_SYNC,
    PdoParameters,
)

_NEVER = float("-inf")

Sample = Callable[[float], bytes]


class TPdo:
    """One that is not multiplexed: `MpdoProducer` sends those. ``sample(now)`` gives the data as they are now.

    ``look_s`` is how often an event-driven PDO is compared with what was sent last; None: only at `look`.
    ``requests_refused`` counts remote frames that were not answered.
    """

    def __init__(self, parameters: PdoParameters, sample: Sample, look_s: float | None = None) -> None:
        self.parameters = parameters
        self.running = False
        self.requests_refused = 0
        self._sample = sample
        self._look_s = look_s
        self._out: list[Frame] = []
        self._sent_at = _NEVER
        self._forget()

    def _forget(self) -> None:
        """As after start: nothing has been sent yet."""
        self._out.clear()
        self._sent: bytes | None = None
        self._latched: bytes | None = None
        self._looked_at = _NEVER
        self._wanted = False
        self._count: int | None = None

    @property
    def latched(self) -> bytes | None:
        """What the last SYNC has sampled for a remote frame (type 252)."""
        return self._latched

    def configure(self, parameters: PdoParameters, now: float) -> None:
        """Take other parameters. What is sent next does not come sooner than the inhibit time after the last."""
        before, self.parameters = self.parameters, parameters
        if replace(before, inhibit_s=parameters.inhibit_s, event_s=parameters.event_s) != parameters:
            self._forget()

    def start(self) -> None:
        """The node is OPERATIONAL."""
        self.running = True
        self._forget()

    def stop(self) -> None:
        """The node has left OPERATIONAL. What was about to be sent is not."""
        self.running = False
        self._forget()

    @property
    def _live(self) -> bool:
        parameters = self.parameters
        return self.running and parameters.valid and bool(parameters.entries)

    def trigger(self, now: float) -> None:
        """An event: send it, though nothing may have changed, as soon as its type and inhibit time allow."""
        if self._live:
            self._wanted = True
            self.tick(now)

    def look(self, now: float) -> None:
        """Something may have changed: compare now, not at the next time to look."""
        self._looked_at = _NEVER
        self.tick(now)

    def sync(self, now: float, counter: int | None = None) -> None:
        """A SYNC has come; ``counter`` is None where it has none."""
        kind = self.parameters.transmission_type
        if not self._live:
            return
        if kind == ON_REQUEST_AT_SYNC:
            self._latched = self._sample(now)
        elif kind in AT_SYNC and self._counts(counter):
            self._at_sync(kind, now)

    def _counts(self, counter: int | None) -> bool:
        """Has counting begun? It begins with the SYNC start value, which is the first to be counted."""
        if self._count is None:
            start = self.parameters.sync_start
            if start and counter is not None and counter != start:
                return False
            self._count = 0
        return True

    def _at_sync(self, kind: int, now: float) -> None:
        self._count = (self._count or 0) + 1
        if kind in CYCLIC and self._count < kind:
            return
        self._count = 0
        data = self._sample(now)
        if kind in CYCLIC or self._wanted or data != self._sent:
            self._send(data, now)

    def receive(self, frame: Frame, now: float) -> None:
        """A remote frame may ask for this PDO."""
        cob = self.parameters.cob
        if not frame.remote or frame.can_id != cob.can_id or frame.extended != cob.extended or frame.error:
            return
        kind = self.parameters.transmission_type
        if not self._live or cob.bit_30 or kind in AT_SYNC:
            self.requests_refused += 1
        elif kind in EVENT_DRIVEN:
            self.trigger(now)
        elif kind == ON_REQUEST:
            self._send(self._sample(now), now)
        elif kind == ON_REQUEST_AT_SYNC and self._latched is not None:
            self._send(self._latched, now)
        else:
            self.requests_refused += 1

    def tick(self, now: float) -> None:
        due = self._due()
        if due is None or now < due:
            return
        self._looked_at = now
        data = self._sample(now)
        if self._wanted or data != self._sent or now >= self._timer():
            self._send(data, now)

    def _timer(self) -> float:
        event_s = self.parameters.event_s
        return self._sent_at + event_s if event_s else float("inf")

    def deadline(self) -> float | None:
        """When an event-driven PDO is to be looked at, or sent, again; 0 while frames wait to be fetched."""
        return 0.0 if self._out else self._due()

    def _due(self) -> float | None:
        parameters = self.parameters
        if not self._live or parameters.transmission_type not in EVENT_DRIVEN:
            return None
        look = self._timer()
        if self._wanted or self._looked_at == _NEVER:
            look = _NEVER
        elif self._look_s is not None:
            look = min(look, self._looked_at + self._look_s)
        due = max(look, self._sent_at + parameters.inhibit_s)
        return None if due == float("inf") else max(due, 0.0)

    def _send(self, data: bytes, now: float) -> None:
        self._wanted = False
        self._sent, self._sent_at = data, now
        cob = self.parameters.cob
        self._out.append(Frame(cob.can_id, data, extended=cob.extended))

    def frames_to_send(self) -> list[Frame]:
        frames, self._out = self._out, []
        return frames

    def events(self) -> list[Any]:
        """A producer has nothing to tell but its frames."""
        return []
