"""What a network does beside transfers: events, NMT, SYNC, TIME, a heartbeat of its own, cycles."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from opendiag.errors import SendFailed, ValueRefused
from opendiag.frame import Frame
from opendiag.master.arguments import checked_node_id
from opendiag.master.cyclic import Cycle, Cyclic, check_period
from opendiag.master.dispatcher import Dispatcher
from opendiag.master.events import EventHub, EventStream, Kind
from opendiag.master.monitor import Monitor
from opendiag.master.node_nmt import NetworkNmt
from opendiag.services.sync import SyncConsumer, SyncProducer
from opendiag.services.time_stamp import TimeProducer
from opendiag.wire.cob_id import CobId
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import NmtState
from opendiag.wire.time_stamp import TimeOfDay

if TYPE_CHECKING:
    from opendiag.master.clock import Clock
    from opendiag.master.drive import Drive
    from opendiag.master.drive_keeper import DriveKeeper
    from opendiag.master.drives import Axes
    from opendiag.master.network import Network
    from opendiag.master.pump import Pump

#: TIME counts from 1984 on.
_EPOCH_S = datetime(1984, 1, 1, tzinfo=timezone.utc).timestamp()


class BusServices:
    """The part of `Network` that this file describes. ``cyclic`` and ``dispatcher`` may be used directly, too."""

    pump: Pump
    clock: Clock
    dispatcher: Dispatcher
    hub: EventHub
    cyclic: Cyclic
    monitor: Monitor
    nmt: NetworkNmt
    _sync_cycle: Cycle | None = None
    #: What brings the drives that are enabled through this network to rest; None while there are none.
    keeper: DriveKeeper | None = None

    # --- drives ---

    def drive(self, node_id: int, **options: Any) -> Drive:
        """A CiA 402 drive, to be used with ``with``; nothing is sent. See `opendiag.master.drive.Drive` for options."""
        from opendiag.master.drive import make_drive

        return make_drive(cast("Network", self), node_id, **options)

    def drives(self, *node_ids: int, **options: Any) -> Axes:
        """Several drives that start together and stop together, as in ``with net.drives(101, 102) as (x, y)``."""
        from opendiag.master.drives import make_axes

        return make_axes(cast("Network", self), node_ids, **options)

    def check_may_end_drives(self) -> None:
        """Raise BlockingCall where nothing may wait for the rest of those that are enabled: it begins all the same."""
        if self.keeper is not None:
            self.keeper.check_may_rest()

    def end_drives(self) -> None:
        """Bring to rest what was enabled through this network, and let it go."""
        if self.keeper is not None:
            self.keeper.rest_now()

    # --- events ---

    def on(self, kind: Kind, callback: Callable[[Any], object], node_id: int | None = None) -> Callable[[], None]:
        """Call a function with every event of this class, or of these; call the result to end that.

        It runs on the thread of the callbacks, where what waits for the bus raises BlockingCall. One that raises is
        logged, and called again: in full the first time, then every 10 s how often. Raise TypeError, ValueError.
        """
        return self.hub.on(kind, callback, node_id)

    def events(self, *kinds: type, node_id: int | None = None) -> EventStream:
        """Events of these classes (none given: all) from now on. Close it when done."""
        return EventStream(self.hub, kinds, node_id)

    def wait_for(
        self, wanted: Kind | Callable[[Any], object], timeout_s: float | None, node_id: int | None = None
    ) -> Any:
        """The next event of this class, or that the function agrees to; what happened before does not count.

        To do something and then wait for what follows from it, open `events` before. Raise NotDone, AdapterError,
        BlockingCall.
        """
        return self.hub.wait_for(wanted, timeout_s, node_id)

    def publish(self, event: object) -> None:
        """Tell everybody who waits for events of this class."""
        self.hub.publish(event)
        self.dispatcher.run_posted()

    # --- SYNC, TIME, heartbeat ---

    def sync(self, period_s: float, *, counter_overflow: int = 0, cob_id: int | None = None) -> Cycle:
        """Send SYNC at once and then every ``period_s``.

        ``counter_overflow`` 2..240: with a counter from 1 to it, which the nodes' 1019h must hold, too; 0: without.
        Raise ValueError, AdapterError; ValueRefused while SYNC is sent from here already: stop that `Cycle` first.
        """
        producer = SyncProducer(CobId.decode(0x80 if cob_id is None else cob_id), period_s, counter_overflow)
        check_period(period_s)
        pump = self.pump

        def send(now: float) -> None:
            try:
                pump.send(producer.next_frame(), now)
            except SendFailed:
                producer.take_back()
                raise

        with pump.lock:
            pump.check_open()
            if (first := self.sync_cycle) is not None:
                period_ms = first.period_s * 1000
                reason = f"it is sent from here already, every {period_ms:g} ms: end that first (sync_cycle.stop())"
                raise ValueRefused("SYNC", reason)
            self.monitor.use_sync(producer.cob, counter_overflow)
            self._sync_cycle = self.cyclic.every(period_s, send, "SYNC")
            return self._sync_cycle

    @property
    def sync_cycle(self) -> Cycle | None:
        """What sends SYNC from here, while it does."""
        cycle = self._sync_cycle
        return cycle if cycle is not None and cycle.running else None

    def on_sync(self, function: Callable[[float], object]) -> Callable[[], None]:
        """Call ``function(now)`` right after each SYNC that was sent or received; call the result to end that.

        It is called under the pump's lock, before anything else is done: it may send, not wait.
        """
        return self.monitor.on_sync(function)

    @property
    def syncs(self) -> SyncConsumer:
        """The SYNCs of others: how many, their period, missed and wrong ones; `SyncMissed`, `SyncLengthWrong`.

        Whether they must have a counter is known from `sync`, or from a node's 1019h that was read or written here.
        """
        return self.monitor.syncs

    def time(self, at: datetime | None = None, *, cob_id: int = 0x100) -> TimeOfDay:
        """Send TIME, once. None: the computer's (UTC), or that of a clock that only waiting moves.

        A datetime without a zone is sent as it is.

        Raise WireError before 1984 and after 2163, SendFailed, AdapterError; ValueRefused without ``at`` where the
        network's clock is no time of day, as a `ManualClock` that counts from 0.
        """
        self.pump.check_open()
        # The network's own clock does not follow when the computer's is set.
        present = time.time() if self.clock.runs else self.clock.now()
        if at is None and present < _EPOCH_S:
            reason = f"the clock of this network is no time of day (it says {present:g} s): say which time, with at="
            raise ValueRefused("TIME", reason)
        seconds = present if at is None else _epoch_s(at)
        told = TimeOfDay.from_epoch(seconds)
        producer = TimeProducer(cob_id, time_of_day=lambda now: told)
        with self.pump.lock:
            self.pump.check_open()
            self.pump.send(producer.frame(seconds), self.clock.now())
        self.dispatcher.run_posted()
        return told

    def heartbeat(self, node_id: int, period_s: float, state: NmtState = NmtState.OPERATIONAL) -> Cycle:
        """Send a heartbeat of our own under this node-ID, at once and then every ``period_s``.

        Raise ValueError outside 1..127 and for a period that is not positive, AdapterError; ValueRefused for the
        node-ID of a node that was heard here: two with one node-ID cannot be told apart.
        """
        checked_node_id(node_id)
        with self.pump.lock:
            heard = node_id in self.monitor.heard
        if heard:
            raise ValueRefused(
                f"a heartbeat of our own as node {node_id}", "a node with this node-ID was heard: choose another"
            )
        frame = Frame(0x700 + node_id, ErrorControl(state).encode())
        return self.cyclic.send_every(period_s, frame, f"heartbeat of node {node_id}")


def _epoch_s(at: datetime) -> float:
    return (at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)).timestamp()
