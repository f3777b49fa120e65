"""Which answers of given-up requests may still come, so that they are known when they do.

A server that was too slow answers all the same, in order: what it says to the old request comes before what it says
to the new one. Messages that name an object are told apart by it. Segments, acknowledges and a repeated write of the
same object are not; the client then waits a little before it believes the last answer of a transfer.
"""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.services.sdo_transfer import Awaited, SdoTransfer

#: Command bytes of a server's messages that name an object: 40h..4Fh, 60h, 80h, A0h, A4h and C0h..C6h.
_NAMING = frozenset([*range(0x40, 0x50), 0x60, 0x80, 0xA0, 0xA4, 0xC0, 0xC2, 0xC4, 0xC6])
#: Requests remembered; a dead node must not fill the memory.
_MOST = 16
#: An answer that comes later than so many time-outs is still reported, but no longer waited for.
_FRESH_TIMEOUTS = 4


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A request without an answer. Times in seconds."""

    transfer: SdoTransfer
    awaits: Awaited
    asked_at: float
    at: float

    def names_object(self) -> bool:
        """Is the answer one that names its object?"""
        return len(self.awaits) == 3

    def fresh(self, now: float) -> bool:
        """May its answer still come?"""
        return now - self.at <= _FRESH_TIMEOUTS * self.transfer.timeout_s


class LateAnswers:
    """The requests given up, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[GivenUp] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def expect(self, transfer: SdoTransfer, awaits: Awaited, asked_at: float, now: float) -> None:
        """A request was given up."""
        self._waiting.append(GivenUp(transfer, awaits, asked_at, now))
        del self._waiting[:-_MOST]

    def claim(self, data: bytes, now: float) -> GivenUp | None:
        """The request that this message answers late, which is then settled; None when there is none."""
        for request in self._waiting:
            if self._answers(request, data, now):
                # A sub-block is many frames: they all belong to the one request.
                if request.awaits[0] != "block data":
                    self._waiting.remove(request)
                return request
        return None

    def expects(self, data: bytes, now: float) -> bool:
        """Would `claim` find one?"""
        return any(self._answers(request, data, now) for request in self._waiting)

    def forget(self, awaits: Awaited) -> None:
        """The server answered a later request of this kind: it will not answer an earlier one any more."""
        self._waiting = [request for request in self._waiting if request.awaits != awaits]

    def any_fresh(self, now: float) -> bool:
        """May anything still come?"""
        return any(request.fresh(now) for request in self._waiting)

    def like(self, awaits: Awaited, now: float) -> GivenUp | None:
        """A request whose answer may still come and would look like that to the present one."""
        for request in reversed(self._waiting):
            if request.awaits == awaits and request.fresh(now):
                return request
        return None

    @staticmethod
    def _answers(request: GivenUp, data: bytes, now: float) -> bool:
        if request.awaits[0] == "block data" and data[0] != 0x80:
            return len(data) == 8 and request.fresh(now)
        if data[0] in _NAMING:
            if len(data) < 4 or not (request.names_object() or data[0] == 0x80):
                return False
            transfer = request.transfer
            return (data[1] | data[2] << 8, data[3]) == (transfer.index, transfer.subindex)
        return not request.names_object()
