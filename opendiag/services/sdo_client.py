"""An SDO client: reads and writes objects of one server, one after the other.

The rules, each bought dearly by somebody:

* An answer counts only if command, object and toggle are those asked for. Aborts count by CAN-ID alone, because real
  servers put wrong objects in them.
* A lost message costs the whole attempt: abort, a short silence, and the transfer from its start. No message is sent
  twice. A write that the server may have executed is not begun again.
* The size announced is the size received, or there are no data.
* Tolerant in, strict out, and every deviation is reported.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from opendiag.errors import OpenDiagError, SdoCancelled
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_runner import SMALL, SdoRunner
from opendiag.services.sdo_streams import Sink, Source
from opendiag.services.sdo_transfer import LateAnswer, Progress, SdoLatency, SdoTransfer, TransferDone
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import MAX_BLOCK_SIZE

#: What is under way may take this long to end when something urgent comes: one that is answered in a frame, and one in
#: the middle of its data.
URGENT_S, URGENT_DATA_S = 0.02, 0.005

__all__ = ["LateAnswer", "SdoClient", "SdoLatency", "SdoTransfer", "TransferDone"]


class SdoClient(SdoRunner):
    """A machine. ``timeout_s`` is how long each answer may take, ``block_size`` the segments of a sub-block, 1..127.

    A transfer that runs into a time-out does not touch those behind it. ``late_answers`` counts answers to what had
    been given up, ``strays`` other frames that answer nothing; ``latency`` is about the answers that counted.
    ``frame_time_s`` is what a frame of a sub-block may take on the bus: raise it where the bus is slower than
    125 kbit/s, so that the time to send a sub-block is not taken for silence.
    """

    def __init__(self, channel: SdoChannel, *, timeout_s: float = 0.5, block_size: int = MAX_BLOCK_SIZE) -> None:
        if not 1 <= block_size <= MAX_BLOCK_SIZE:
            raise ValueError(f"block size {block_size} is outside 1..{MAX_BLOCK_SIZE}")
        _check_timeout(timeout_s)
        super().__init__(channel, timeout_s, block_size)
        self.default_timeout_s = timeout_s
        self._gives_way_at: float | None = None

    def upload(
        self,
        index: int,
        subindex: int,
        now: float,
        *,
        block: bool = False,
        timeout_s: float | None = None,
        total_timeout_s: float | None = None,
        restarts: int = 1,
        into: BinaryIO | None = None,
        progress: Progress | None = None,
        urgent: bool = False,
    ) -> SdoTransfer:
        """Read an object. The data go ``into`` a stream, or into the transfer.

        ``total_timeout_s`` runs from the transfer's begin, not from its turn in the queue. A transfer that lost a
        message begins again up to ``restarts`` times; ``into`` is then set back and cut, and a stream that cannot be
        set back ends it instead. ``progress`` is called with the bytes transferred and the size or None.
        An ``urgent`` transfer goes before all others; the one under way has ``URGENT_S`` to end and is then
        cancelled; in the middle of its data ``URGENT_DATA_S``.
        """
        sink = Sink(into)
        return self._enqueue(
            "read", index, subindex, sink, now, block, timeout_s, total_timeout_s, restarts, progress, urgent=urgent
        )

    def download(
        self,
        index: int,
        subindex: int,
        data: bytes | BinaryIO,
        now: float,
        *,
        size: int | None = None,
        block: bool = False,
        timeout_s: float | None = None,
        total_timeout_s: float | None = None,
        restarts: int = 1,
        progress: Progress | None = None,
        urgent: bool = False,
    ) -> SdoTransfer:
        """Write an object: up to four bytes expedited, more in segments, or in blocks.

        ``size`` is what a stream has; it is announced and checked. The rest is as in `upload`; a write begins again
        only while the server cannot have executed it.
        """
        source = Source(data, size)
        if size is not None and source.size != size:
            raise ValueError(f"size {size} is not that of the {source.size} bytes given")
        if source.size is not None and not 0 <= source.size <= 0xFFFF_FFFF:
            raise ValueError(f"size {source.size} cannot be announced in 32 bits")
        small = bytes(data) if isinstance(data, bytes) and len(data) <= SMALL else None
        return self._enqueue(
            "write", index, subindex, source, now, block, timeout_s, total_timeout_s, restarts, progress, small, urgent
        )

    def _enqueue(
        self,
        action: str,
        index: int,
        subindex: int,
        stream: Sink | Source,
        now: float,
        block: bool,
        timeout_s: float | None,
        total_timeout_s: float | None,
        restarts: int,
        progress: Progress | None,
        small_data: bytes | None = None,
        urgent: bool = False,
    ) -> SdoTransfer:
        index, subindex = operator.index(index), operator.index(subindex)  # a float would go wrong only later
        if not (0 <= index <= 0xFFFF and 0 <= subindex <= 0xFF):
            raise ValueError(f"no object {index:#x}:{subindex:#x}: an index has 16 bits, a subindex 8")
        if timeout_s is None:
            timeout_s = self.default_timeout_s
        else:
            _check_timeout(timeout_s)
        transfer = SdoTransfer(
            self.channel.node_id,
            index,
            subindex,
            action,
            stream,
            timeout_s,
            total_timeout_s,
            restarts,
            block,
            progress,
        )
        transfer.small_data = small_data
        transfer.urgent = urgent
        if urgent:
            self._put_first(transfer, now)
        else:
            self._queue.append(transfer)
        if self._transfer is None:
            self._next(now)
        return transfer

    def _put_first(self, transfer: SdoTransfer, now: float) -> None:
        self._queue.insert(sum(other.urgent for other in self._queue), transfer)
        if self._transfer is not None and not self._transfer.urgent and self._gives_way_at is None:
            first_step = self._talk is not None and len(self._talk.awaits) == 3
            self._gives_way_at = now + (URGENT_S if first_step else URGENT_DATA_S)

    def tick(self, now: float) -> None:
        if self._gives_way_at is not None and now >= self._gives_way_at:
            self._gives_way_at = None
            running = self._transfer
            if running is not None and not running.urgent and any(other.urgent for other in self._queue):
                self.cancel(running, now)
        super().tick(now)

    def deadline(self) -> float | None:
        ends = super().deadline()
        if self._gives_way_at is None or self._transfer is None:
            return ends
        return self._gives_way_at if ends is None else min(ends, self._gives_way_at)

    def cancel(self, transfer: SdoTransfer, now: float) -> None:
        """End a transfer, wherever it stands; one that is done stays as it is."""
        if transfer is self._transfer:
            self._leave(SdoAbortCode.GENERAL_ERROR, now)
            self._fail(_cancelled(transfer), now)
            self._next(now)
        elif transfer in self._queue:
            self._queue.remove(transfer)
            self._close(transfer, _cancelled(transfer), now)

    def cancel_all(self, now: float) -> None:
        """End every transfer."""
        waiting, self._queue = self._queue, deque()
        if self._transfer is not None:
            self.cancel(self._transfer, now)
        for transfer in waiting:
            self._close(transfer, _cancelled(transfer), now)

    def fail_all(self, error_factory: Callable[[SdoTransfer], OpenDiagError], now: float | None = None) -> None:
        """End every transfer with an error, because the bus is gone: nothing more is sent."""
        waiting, self._queue = self._queue, deque()
        self._out.clear()
        self._quiet_ends = None
        if self._transfer is not None:
            self._fail(error_factory(self._transfer), now)
        for transfer in waiting:
            self._close(transfer, error_factory(transfer), now)

    @property
    def pending(self) -> int:
        """Transfers that are not done."""
        return len(self._queue) + (self._transfer is not None)


def _check_timeout(timeout_s: float) -> None:
    if not timeout_s > 0:
        raise ValueError(f"a time-out of {timeout_s} s is not positive")


def _cancelled(transfer: SdoTransfer) -> SdoCancelled:
    return SdoCancelled(transfer.node_id, transfer.index, transfer.subindex, transfer.action)
