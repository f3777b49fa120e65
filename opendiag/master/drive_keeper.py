"""The drives that a script has enabled through one network, and the heartbeats that their own guards listen to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opendiag.errors import BlockingCall
from opendiag.master.cyclic import Cycle
from opendiag.master.drive_signals import SIGNALS

if TYPE_CHECKING:
    from opendiag.master.drive_guard import DriveGuard
    from opendiag.master.network import Network


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How the drive is made to notice that we are gone, and we that it is.

    Our heartbeat goes out as that of node ``node_id`` (0: the highest one that nobody has) every ``period_s``; the
    drive stops when it stays out for ``allowed_s``. Its own comes every ``beat_s`` at the latest; it counts as lost
    after ``lost_s``.
    """

    node_id: int = 0
    period_s: float = 0.05
    allowed_s: float = 0.3
    beat_s: float = 0.1
    lost_s: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < 2 * self.period_s <= self.allowed_s <= 65.535 and 0 < 2 * self.beat_s <= self.lost_s <= 65.535):
            raise ValueError(f"{self}: a heartbeat must be allowed to stay out for two periods, and 65.535 s at most")
        if not 0 <= self.node_id <= 127:
            raise ValueError(f"node-ID {self.node_id} is outside 1..127")


class DriveKeeper:
    """All drives of one network that were enabled through it, and the heartbeats that guard them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.guards: list[DriveGuard] = []
        self.resting = 0
        self._beats: dict[tuple[int, float], tuple[Cycle, int]] = {}

    @classmethod
    def of(cls, network: Network) -> DriveKeeper:
        with network.pump.lock:
            if network.keeper is None:
                network.keeper = cls(network)
            return network.keeper

    def add(self, guard: DriveGuard) -> None:
        with self.network.pump.lock:
            if all(other is not guard for other in self.guards):
                self.guards = [*self.guards, guard]
        SIGNALS.add(self)

    def remove(self, guard: DriveGuard) -> None:
        with self.network.pump.lock:
            self.guards = [other for other in self.guards if other is not guard]
        if not self.guards:
            SIGNALS.remove(self)

    @property
    def busy(self) -> bool:
        return self.resting > 0 or self.network.pump.owned

    @property
    def stopping(self) -> bool:
        return any(guard.resting for guard in self.guards)

    def begin_rest(self, cause: str) -> None:
        for guard in self.guards:
            guard.begin_rest()

    def check_may_rest(self) -> None:
        """Raise BlockingCall where nothing may wait for the drives' rest, which begins."""
        if self.guards and self.network.pump.owned:
            self.begin_rest("")
            raise BlockingCall("letting go of a drive")

    def rest_now(self) -> None:
        """The network is closed, or the script ends: all at once, and their settings back.

        Raise BlockingCall where nothing may wait: they are stopped, and still to be let go.
        """
        self.begin_rest("")
        for guard in self.guards:
            guard.release()
        SIGNALS.deliver()

    # --- our heartbeat ---

    def beat(self, settings: GuardSettings) -> int:
        """Send one, once for all drives that are content with it. Gives its node-ID."""
        node_id = settings.node_id or self._free_node_id()
        cycle, users = self._beats.get((node_id, settings.period_s), (None, 0))
        if cycle is None or not cycle.running:
            cycle, users = self.network.heartbeat(node_id, settings.period_s), 0
        self._beats[node_id, settings.period_s] = cycle, users + 1
        return node_id

    def end_beat(self, node_id: int, period_s: float, at_once: bool = False) -> None:
        """``at_once``: for all who wanted it. What a drive does then is its own guard."""
        cycle, users = self._beats.get((node_id, period_s), (None, 0))
        if cycle is not None:
            self._beats[node_id, period_s] = cycle, users - 1
            if at_once or users <= 1:
                cycle.stop()

    def _free_node_id(self) -> int:
        used = {node_id for node_id, _ in self._beats}
        if used:
            return max(used)
        taken = {heard.node_id for heard in self.network.watch.heard_nodes()} | set(self.network.nodes_in_use)
        return next(node_id for node_id in range(127, 0, -1) if node_id not in taken)
