"""What every machine of this package looks like, on the master's side and on the device's.

A machine has no thread, no clock and no bus. Whoever runs it hands in every frame of the bus and the time, asks when
it wants to be called next, and fetches what it wants to send and to tell. After each `receive` and `tick`, fetch the
frames and then the events: a time-out, too, sends something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from opendiag.findings import Finding
from opendiag.frame import Frame


class Machine(Protocol):
    """``now`` is monotonic seconds, never smaller than the time before."""

    def receive(self, frame: Frame, now: float) -> None:
        """A frame from the bus. One that is none of this machine's business changes nothing. Never raises."""

    def tick(self, now: float) -> None:
        """Let time pass. Too early or twice does no harm."""

    def deadline(self) -> float | None:
        """When `tick` is wanted, computed from the state as it is now; None while nothing is waited for."""

    def frames_to_send(self) -> list[Frame]:
        """In the order to send them. Each is given once."""

    def events(self) -> list[Any]:
        """Frozen dataclasses that say what happened, oldest first. Each is given once."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """A peer does something that the standard does not have, and it was coped with."""

    finding: Finding
