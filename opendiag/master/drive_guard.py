"""A drive that was enabled is brought to rest, whatever becomes of the script, of the bus or of the drive."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from opendiag.cia402.guard_plans import OwnGuard, put_back, set_up_guard
from opendiag.cia402.link import DriveLink
from opendiag.cia402.path import energises
from opendiag.cia402.power import make_safe
from opendiag.errors import AdapterError, BroughtToRest, DriveError, NotAtRest, OpenDiagError
from opendiag.frame import Frame
from opendiag.master.cyclic import Cycle, CycleStopped
from opendiag.master.drive_signals import SIGNALS, uninterrupted
from opendiag.master.events import AdapterLost, EventHub, EventStream
from opendiag.master.plan_runner import RunningPlan, finish
from opendiag.services.heartbeat import BootedUp, NodeLost
from opendiag.services.plans import Plan

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")
_LOG = logging.getLogger("opendiag")


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


class _Heard(EventStream):
    """Events handled as they happen, with the pump's lock held."""

    def __init__(self, hub: EventHub, kinds: tuple[type, ...], then: Callable[[Any], None]) -> None:
        self._then = then
        super().__init__(hub, kinds)

    def _take(self, event: object) -> None:
        self._then(event)


class _Call:
    """A plan that the script waits for. An error is thrown into it once: it needs its time to clean up."""

    def __init__(self, running: RunningPlan[Any]) -> None:
        self._running = running
        self._thrown = False

    def throw(self, error: BaseException) -> None:
        if not self._thrown:
            self._thrown = True
            self._running.throw(error)


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

    def begin_rest(self, cause: str) -> None:
        for guard in self.guards:
            guard.begin_rest()

    def rest_now(self) -> None:
        """The network is closed, or the script ends: all at once, and their settings back."""
        self.begin_rest("")
        for guard in self.guards:
            guard.release()

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


class DriveGuard:
    """That of one drive: it exists from the first call on that may energise the drive until the drive is let go.

    It is a machine of the pump, for the watchdog: ``watchdog_s`` is how long the script may let the enabled drive
    alone. ``mates`` are stopped when this drive is. ``error`` is what has stopped it, until the script is told;
    ``calls`` are the plans that the script waits for, ``inside`` counts them.
    """

    def __init__(
        self, network: Network, link: DriveLink, settings: GuardSettings | None, watchdog_s: float | None
    ) -> None:
        if watchdog_s is not None and not watchdog_s > 0:
            raise ValueError(f"a watchdog of {watchdog_s} s is not positive")
        self.network = network
        self.link = link
        self.settings = settings
        self.watchdog_s = watchdog_s
        self.mates: list[DriveGuard] = []
        self.own = OwnGuard()
        self.keeper = DriveKeeper.of(network)
        self._armed = False
        self.error: DriveError | None = None
        self.calls: list[_Call] = []
        self.inside = 0
        self._fed_at = network.clock.now()
        self._rest: RunningPlan[bool] | None = None
        self._heard: _Heard | None = None
        self._beat: int | None = None
        self._supervising = False

    # --- calls of the script ---

    @property
    def armed(self) -> bool:
        """May this script have energised the drive?"""
        return self._armed or self.link.permitted or energises(self.link.controlword)

    def run(self, plan: Plan[T], others: tuple[DriveGuard, ...] = ()) -> T:
        """Run a plan of the drive, and of ``others`` beside it; what stops one of them is raised here.

        Raise what the plan raises, and BroughtToRest for what happened before.
        """
        guards = (self, *others)
        self.network.pump.check_may_wait("a call of a drive")
        for guard in guards:
            guard.check()
        enabled = [guard for guard in guards if guard.link.permitted]
        running = self.network.begin(plan)
        call = _Call(running)
        with self.network.pump.lock:
            for guard in guards:
                guard.calls.append(call)
                guard.inside += 1
        try:
            result = finish(running)
        except Exception as error:
            for guard in enabled:
                guard.failed(error)
            for guard in guards:
                if guard.error is error:
                    guard.error = None  # told
            raise
        finally:
            with self.network.pump.lock:
                for guard in guards:
                    guard.calls.remove(call)
                    guard.inside -= 1
                    guard.feed()
        return result

    def check(self) -> None:
        """Raise what has stopped the drive since the last call, once its rest is confirmed or given up."""
        error = self.error
        if error is None:
            return
        if self._rest is not None and not self._rest.done and not self.network.pump.owned:
            with contextlib.suppress(AdapterError):
                self.network.pump.wait(self._rest)
        self.error = None
        raise error

    def feed(self) -> None:
        """The script is alive."""
        with self.network.pump.lock:
            self._fed_at = self.network.clock.now()
            self.network.pump.keep(self)

    # --- from enabling to letting go ---

    def arm(self) -> None:
        """From now on it is brought to rest. Raise AdapterError."""
        if not self._armed:
            self.network.pump.check_open()
            self._armed = True
            self._heard = _Heard(self.network.hub, (NodeLost, BootedUp, AdapterLost, CycleStopped), self._happened)
            self.keeper.add(self)
        self.feed()

    def set_up(self) -> Plan[None]:
        """Have the drive watch us, before it is enabled. Raise SdoTimeout, AdapterError."""
        if self.settings is not None and not self.own.before and self._beat is None:
            self._beat = self.keeper.beat(self.settings)
            self.own.missing.clear()
            yield from set_up_guard(self.link, self.own, self._beat, self.settings.allowed_s, self.settings.beat_s)
            if self.network.monitor.given(self.link.node_id) is None:
                self._supervising = True
                self.network.monitor.supervise(self.link.node_id, self.settings.lost_s)
            for text in self.own.missing:
                _LOG.warning("drive %d has no guard of its own against a dead computer: %s", self.link.node_id, text)

    def begin_rest(self) -> None:
        """Quick stop, then disable, while whoever called goes on."""
        pump = self.network.pump
        with pump.lock:
            if not self.armed or (self._rest is not None and not self._rest.done):
                return
            self.link.revoke()
            self._rest = None
            with contextlib.suppress(AdapterError):
                self._rest = self.network.begin(self._rest_plan(self.error))

    def trip(self, error: DriveError) -> None:
        """Bring it to rest because of this, which the script is told in the call it is in, else in its next one."""
        with self.network.pump.lock:
            if not self.armed or self.error is not None:
                return
            self.error = error
            self.begin_rest()
            for call in tuple(self.calls):
                call.throw(error)
            for mate in self.mates:
                mate.trip(BroughtToRest(mate.link.node_id, f"{error.summary} (drive {error.node_id})"))

    def failed(self, error: Exception) -> None:
        """A call failed. One that cost the drive its leave to move stops those that belong to it."""
        if not self.link.permitted:
            for mate in self.mates:
                cause = error.summary if isinstance(error, DriveError) else str(error)
                mate.trip(BroughtToRest(mate.link.node_id, f"{cause} (drive {self.link.node_id})"))

    def _rest_plan(self, error: DriveError | None) -> Plan[bool]:
        at_rest = yield from make_safe(self.link)
        if error is not None:
            error.at_rest = at_rest
        if not at_rest:
            _LOG.critical("%s", NotAtRest(self.link.node_id, "quick stop and disable voltage"))
            if self._beat is not None and self.settings is not None:  # its own guard is what is left
                self.keeper.end_beat(self._beat, self.settings.period_s, at_once=True)
        return at_rest

    def bring_to_rest(self) -> bool:
        """Quick stop, then disable; Ctrl-C meanwhile waits for that. True when the drive has confirmed it."""
        if not self.armed:
            return True
        self.keeper.resting += 1
        try:
            self.begin_rest()
            rest = self._rest
            if rest is None:
                return False

            def wait() -> None:
                with contextlib.suppress(AdapterError):
                    self.network.pump.wait(rest)

            uninterrupted(wait)
            try:
                return rest.done and rest.result()
            except OpenDiagError:
                return False
        finally:
            self.keeper.resting -= 1

    def release(self) -> bool:
        """Bring it to rest, give it its settings back, and let it go. True when it has confirmed its rest."""
        if not self.armed:
            return True
        self.keeper.resting += 1
        try:
            at_rest = self.bring_to_rest()
            if at_rest:
                uninterrupted(self._put_back)
        finally:
            self._let_go()
            self.keeper.resting -= 1
        return at_rest

    def _put_back(self) -> None:
        if self.own.before:
            with contextlib.suppress(AdapterError):
                for text in finish(self.network.begin(put_back(self.link, self.own))):
                    _LOG.warning("drive %d keeps a setting of its guard: %s", self.link.node_id, text)

    def _let_go(self) -> None:
        self._armed = False
        self.link.revoke()
        self.link.controlword &= ~0x0F
        if self._heard is not None:
            self._heard.close()
            self._heard = None
        self._end_beat()
        if self._supervising:
            self._supervising = False
            self.network.monitor.supervise(self.link.node_id, None)
        self.keeper.remove(self)
        self.network.pump.remove(self)

    def _end_beat(self) -> None:
        beat, self._beat = self._beat, None
        if beat is not None and self.settings is not None:
            self.keeper.end_beat(beat, self.settings.period_s)

    # --- what happens, with the pump's lock held ---

    def _happened(self, event: object) -> None:
        node_id = self.link.node_id
        if isinstance(event, AdapterLost):
            self._bus_lost(event)
        elif isinstance(event, NodeLost) and event.node_id == node_id:
            self.trip(BroughtToRest(node_id, f"its heartbeat stays out for more than {event.allowed_s:.3g} s"))
        elif isinstance(event, BootedUp) and event.node_id == node_id:
            self.own.before.clear()  # what was written is gone with the reset
            self._end_beat()
            self.trip(BroughtToRest(node_id, "it has restarted"))
        elif isinstance(event, CycleStopped):
            self.trip(BroughtToRest(node_id, f"{event.name} is no longer sent: {event.error}"))

    def _bus_lost(self, event: AdapterLost) -> None:
        self.link.revoke()
        own = f"its own guard ({self.own.reaction})" if self.own.reaction else "nothing that is known of"
        cause = f"the adapter is gone ({event.error}), and {own} stops it"
        if self.error is None:
            self.error = BroughtToRest(self.link.node_id, cause)
            self.error.at_rest = False

    # --- as a machine of the pump: the watchdog ---

    def receive(self, frame: Frame, now: float) -> None: ...

    def deadline(self) -> float | None:
        idle = self.watchdog_s is None or self.inside or not self._armed or not self.link.permitted
        return None if idle or self.error is not None else self._fed_at + (self.watchdog_s or 0.0)

    def tick(self, now: float) -> None:
        due = self.deadline()
        if due is not None and now >= due:
            cause = f"the script did not call for {self.watchdog_s:g} s (its watchdog_s)"
            self.trip(BroughtToRest(self.link.node_id, cause))

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[Any]:
        return []


def release(guards: tuple[DriveGuard, ...], error: BaseException | None) -> None:
    """Bring them to rest, all at once, and let them go. ``error`` is what is under way already.

    Raise NotAtRest for one that does not confirm it, unless something else is under way: then that is logged only.
    """
    for guard in guards:
        guard.begin_rest()
    failed = [guard.link.node_id for guard in guards if not guard.release()]
    SIGNALS.deliver()
    if not failed:
        return
    unsafe = NotAtRest(failed[0], f"quick stop and disable voltage of {', '.join(map(str, failed))}")
    if error is None:
        raise unsafe
    if isinstance(error, DriveError):
        error.at_rest = False
