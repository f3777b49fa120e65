"""The SYNC of a cyclic motion: one that this network sends already, that of another node, or one begun for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opendiag.cia402.cyclic_checks import WHAT
from opendiag.errors import MotionFailed
from opendiag.services.plans import Now, Plan, Sleep

if TYPE_CHECKING:
    from opendiag.master.cyclic import Cycle, CycleStatistics
    from opendiag.master.network import Network

#: Another node is listened to for so many periods, and at least so long, in seconds, where it was heard lately.
_LISTEN_PERIODS, _LISTEN_S, _LATELY_S = 12, 0.1, 1.0
#: What its period may be off: adapters hand over frames in batches.
_TOLERANCE = 0.25
#: So many SYNCs of another node beside ours are no accident.
_CROWD = 2


class SyncSource:
    """``foreign``: another node sends it. Two that send SYNC would let every axis run at twice its speed."""

    def __init__(self, network: Network, period_s: float) -> None:
        self.foreign = False
        self._network = network
        self._period_s = period_s
        self._cycle: Cycle | None = None
        self._own = False
        self._left_out_before = 0
        self._heard_before = 0

    def check(self) -> None:
        """Nothing is sent for this. Raise ValueError for another period than that of the SYNC that runs."""
        running = self._network.sync_cycle
        if running is not None and abs(running.period_s - self._period_s) > 1e-9:
            raise ValueError(f"SYNC runs with {running.period_s:g} s: stop it, or take that period")

    def look(self, node_id: int) -> Plan[None]:
        """Listen for another node's SYNC. Raise MotionFailed for one that does not fit, before anything is sent."""
        network, period_s = self._network, self._period_s
        last = network.syncs.last_at
        if last is None or (yield Now()) - last > _LATELY_S:
            return
        before = network.syncs.count
        heard: list[float] = []
        end = network.on_sync(heard.append)
        try:
            yield Sleep(max(_LISTEN_PERIODS * period_s, _LISTEN_S))
        finally:
            end()
        if network.syncs.count == before:
            return
        if network.sync_cycle is not None:
            reason = "another node sends SYNC beside this network: let only one of them do that; nothing was sent"
            raise MotionFailed(node_id, WHAT, reason)
        every_s = (heard[-1] - heard[0]) / (len(heard) - 1) if len(heard) > 1 else None
        if every_s is None or abs(every_s / period_s - 1) > _TOLERANCE:
            shown = "seldom" if every_s is None else f"every {every_s * 1000:.3g} ms"
            reason = (
                f"another node sends SYNC {shown}, and {period_s * 1000:g} ms are wanted: stop that one, or take its"
            )
            raise MotionFailed(node_id, WHAT, f"{reason} period; nothing was sent")
        self.foreign = True

    def begin(self) -> None:
        """From now on it is there. Raise AdapterError."""
        self._heard_before = self._network.syncs.count
        if self.foreign:
            return
        running = self._network.sync_cycle
        self._own = running is None
        self._cycle = running or self._network.sync(self._period_s)
        self._left_out_before = self._cycle.statistics.missed if running is not None else 0

    def end(self) -> None:
        """Stop it, if it was begun for this."""
        if self._cycle is not None and self._own:
            self._cycle.stop()

    @property
    def crowded(self) -> bool:
        """Another node has begun to send SYNC beside ours."""
        began = self._cycle is not None and not self.foreign
        return began and self._network.syncs.count - self._heard_before >= _CROWD

    @property
    def statistics(self) -> CycleStatistics | None:
        """None where another node keeps the time."""
        return self._cycle.statistics if self._cycle is not None else None

    @property
    def left_out(self) -> int:
        """Cycles that were a whole period late, since it began."""
        return 0 if self._cycle is None else self._cycle.statistics.missed - self._left_out_before
