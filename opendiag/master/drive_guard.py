"""A drive that was enabled is brought to rest, whatever becomes of the script, of the bus or of the drive."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from opendiag.cia402.guard_plans import OwnGuard, put_back, set_up_guard
from opendiag.cia402.link import DriveLink
from opendiag.cia402.path import energises
from opendiag.cia402.power import make_safe
from opendiag.errors import (
    AdapterError,
    BlockingCall,
    BroughtToRest,
    DriveError,
    NotAtRest,
    OpenDiagError,
    PlanCancelled,
)
from opendiag.frame import Frame
from opendiag.master.cyclic import CycleStopped
from opendiag.master.drive_call import DriveCall
from opendiag.master.drive_keeper import DriveKeeper, GuardSettings
from opendiag.master.drive_signals import SIGNALS, uninterrupted
from opendiag.master.events import AdapterLost, EventHub, EventStream
from opendiag.master.plan_runner import RunningPlan, finish
from opendiag.services.emcy import EmcyReceived
from opendiag.services.heartbeat import BootedUp, NodeLost, StateChanged
from opendiag.services.plans import Now, Plan, Send
from opendiag.wire.nmt import NmtCommand, NmtMessage, NmtState

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")
_LOG = logging.getLogger("opendiag")
_HEARD = (NodeLost, BootedUp, StateChanged, EmcyReceived, AdapterLost, CycleStopped)
_ANSWERS, _CONSUMED = 0x580, 0x1016
#: So long after a rest of ours its heartbeat may tell the state that the rest has put it in.
_ECHO_S = 0.3


class _Heard(EventStream):
    """Events handled as they happen, with the pump's lock held."""

    def __init__(self, hub: EventHub, kinds: tuple[type, ...], then: Callable[[Any], None]) -> None:
        self._then = then
        super().__init__(hub, kinds)

    def _take(self, event: object) -> None:
        self._then(event)


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
        self.look_now: Callable[[], None] = lambda: None
        link.on_rest = self._rest_begins
        self.keeper = DriveKeeper.of(network)
        self._armed = False
        self.error: DriveError | None = None
        self.calls: list[DriveCall] = []
        self.inside = 0
        self._owner: int | None = None
        self._fed_at = network.clock.now()
        self._rest: RunningPlan[bool] | None = None
        self._beginning = False
        self._complete = False
        self._process = os.getpid()
        self._heard: _Heard | None = None
        self._beat: int | None = None
        self._supervising = False
        self._stopped = False
        self._rested_at = float("-inf")
        self.answered_at = float("-inf")

    # --- calls of the script ---

    @property
    def armed(self) -> bool:
        """May this script have energised the drive?"""
        if self._process != os.getpid():
            return False  # a copy of the process that has
        return self._armed or self.link.permitted or energises(self.link.controlword)

    @property
    def resting(self) -> bool:
        """Is it being stopped just now?"""
        return self.link.hurry or (self._rest is not None and not self._rest.done)

    def run(self, plan: Plan[T], others: tuple[DriveGuard, ...] = (), at_once: bool = False) -> T:
        """Run a plan of the drive, and of ``others`` beside it; what stops one of them is raised here.

        Raise what the plan raises, and BroughtToRest for what happened before; ``at_once``: that is left for later.
        """
        guards = (self, *others)
        self.network.pump.check_may_wait("a call of a drive")
        for guard in () if at_once else guards:
            guard.check()
        enabled = [guard for guard in guards if guard.link.permitted]
        with contextlib.ExitStack() as stack:
            for guard in guards:
                stack.enter_context(guard.called())
            running = self.network.begin(plan)
            call = DriveCall(running)
            stack.callback(call.begin(guards))
            try:
                return finish(running)
            except BaseException as error:
                told = call.told(error)
                for guard in enabled:
                    guard.failed(error)
                for guard in guards:
                    if guard.error in (error, told):
                        guard.error = None  # told
                if told is not error:
                    raise told from told.__cause__
                raise
            finally:
                for guard in guards:
                    if guard.link.permitted and not guard._armed:  # noqa: SLF001 - a plan of the script's own enabled it
                        guard.arm()

    @contextlib.contextmanager
    def called(self) -> Iterator[None]:
        """The script is in a call. Another thread than the one that has enabled the drive does not keep it alive."""
        mine = self._owner == threading.get_ident()
        with self.network.pump.lock:
            self.inside += mine
        try:
            yield
        finally:
            with self.network.pump.lock:
                self.inside -= mine
                self.feed()

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
        """The script is alive, if this is the thread that has enabled the drive."""
        with self.network.pump.lock:
            if self._owner == threading.get_ident():
                self._fed_at = self.network.clock.now()
            self.network.pump.keep(self)

    # --- from enabling to letting go ---

    def arm(self) -> None:
        """From now on it is brought to rest; a rest that is under way is waited for. Raise AdapterError.

        Ctrl-C in the middle of it leaves nothing undone: the next call makes up for it.
        """
        self._owner, self._process = threading.get_ident(), os.getpid()
        if not self._armed:
            self.network.pump.check_open()
        self._armed = True
        if self._heard is None:
            self._heard = _Heard(self.network.hub, _HEARD, self._happened)
        self.keeper.add(self)
        if self._rest is not None and not self._rest.done:
            self.network.pump.wait(self._rest)
        self.feed()

    def set_up(self) -> Plan[None]:
        """Have the drive watch us, before it is enabled. Raise SdoTimeout, AdapterError."""
        if self.settings is not None and not self._complete:  # one that failed half-way is done again
            if self._beat is None:
                self._beat = self.keeper.beat(self.settings)
            self.own.missing.clear()
            yield from set_up_guard(self.link, self.own, self._beat, self.settings.allowed_s, self.settings.beat_s)
            if self.network.monitor.given(self.link.node_id) is None:
                self._supervising = True
                self.network.monitor.supervise(self.link.node_id, self.settings.lost_s)
            self._forget_own_entry()
            for text in self.own.missing:
                _LOG.warning("drive %d has no guard of its own against a dead computer: %s", self.link.node_id, text)
            self._complete = True

    def _forget_own_entry(self) -> None:
        """An entry of 1016h that a killed run has left is no setting to put back: it would stop the drive later."""
        left = ((self._beat or 0) << 16) | (round(self.settings.allowed_s * 1000) if self.settings else 0)
        self.own.before[:] = [
            (index, subindex, 0 if index == _CONSUMED and value == left else value)
            for index, subindex, value in self.own.before
        ]

    def begin_rest(self) -> None:
        """Quick stop, then disable, while whoever called goes on."""
        pump = self.network.pump
        with pump.lock:
            if not self.armed or (self._rest is not None and not self._rest.done):
                return
            self.link.revoke()
            self._rest = None
            self._beginning = True
            try:
                with contextlib.suppress(AdapterError):
                    self._rest = self.network.begin(self._rest_plan(self.error))
            finally:
                self._beginning = False

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

    def failed(self, error: BaseException) -> None:
        """A call failed. One that cost the drive its leave to move stops those that belong to it."""
        if not self.link.permitted:
            for mate in self.mates:
                cause = error.summary if isinstance(error, DriveError) else str(error) or type(error).__name__
                mate.trip(BroughtToRest(mate.link.node_id, f"{cause} (drive {self.link.node_id})"))

    def _rest_begins(self, error: BaseException | None) -> None:
        """A call brings the drive to rest: those that belong to it do not wait until that is over."""
        if self._beginning or error is None or isinstance(error, PlanCancelled):
            return
        for mate in self.mates:
            mate.stopped_with(self, error)

    def stopped_with(self, other: DriveGuard, error: BaseException) -> None:
        """``other`` has failed. A call of both goes on until that one is at rest, and ends with its error."""
        with self.network.pump.lock:
            shared = [call for call in self.calls if call in other.calls]
            for call in shared:
                call.failed(other, error)
            if shared:
                self.begin_rest()
            else:
                cause = error.summary if isinstance(error, DriveError) else str(error) or type(error).__name__
                self.trip(BroughtToRest(self.link.node_id, f"{cause} (drive {other.link.node_id})"))

    def _rest_plan(self, error: DriveError | None) -> Plan[bool]:
        if self._stopped:  # it answers no SDO: PRE-OPERATIONAL energises nothing, and hears us
            yield Send(Frame(0, NmtMessage(NmtCommand.ENTER_PRE_OPERATIONAL, self.link.node_id).encode()))
        at_rest = yield from make_safe(self.link)
        self._rested_at = yield Now()
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
        """Bring it to rest, give it its settings back, and let it go. True when it has confirmed its rest.

        Raise BlockingCall where nothing may wait: it is stopped, and still to be let go.
        """
        if not self.armed:
            return True
        if self.network.pump.owned:
            self.begin_rest()
            raise BlockingCall("letting go of a drive")
        self.keeper.resting += 1
        try:
            at_rest = self.bring_to_rest()
            if at_rest:
                uninterrupted(self._put_back)
            elif self._rest is None:
                _LOG.critical("%s", self.unsafe())
        finally:
            self._let_go()
            self.keeper.resting -= 1
        return at_rest

    def unsafe(self) -> NotAtRest:
        """What to tell of a drive that does not confirm its rest."""
        if self._rest is not None:
            return NotAtRest(self.link.node_id, "quick stop and disable voltage")
        own = f"{self.own.reaction} by its own guard" if self.own.reaction else "and it has no guard of its own"
        return NotAtRest(self.link.node_id, f"nothing can be sent any more; {own}")

    def _put_back(self) -> None:
        if self.own.before:
            with contextlib.suppress(AdapterError):
                for text in finish(self.network.begin(put_back(self.link, self.own))):
                    _LOG.warning("drive %d keeps a setting of its guard: %s", self.link.node_id, text)

    def _let_go(self) -> None:
        self._armed = self._complete = False
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
            self.own.reaction, self._complete = None, False
            self._end_beat()
            self.trip(BroughtToRest(node_id, "it has restarted"))
        elif isinstance(event, StateChanged) and event.node_id == node_id:
            self._told_state(event)
        elif isinstance(event, EmcyReceived) and event.node_id == node_id and not event.is_reset:
            self.look_now()
        elif isinstance(event, CycleStopped):
            self.trip(BroughtToRest(node_id, f"{event.name} is no longer sent: {event.error}"))

    def _told_state(self, event: StateChanged) -> None:
        """A drive that is stopped answers no SDO; one that falls back hears no PDO. Our own rest told one of both."""
        self._stopped = event.state is NmtState.STOPPED
        fell_back = event.state is NmtState.PRE_OPERATIONAL and event.before is NmtState.OPERATIONAL
        if self.link.permitted and (self._stopped or fell_back) and event.at >= self._rested_at + _ECHO_S:
            self.trip(BroughtToRest(self.link.node_id, f"it says that it is {event.state.text}"))

    def _bus_lost(self, event: AdapterLost) -> None:
        self.link.revoke()
        own = f"its own guard ({self.own.reaction})" if self.own.reaction else "nothing that is known of"
        cause = f"the adapter is gone ({event.error}), and {own} stops it"
        if self.error is None:
            self.error = BroughtToRest(self.link.node_id, cause)
            self.error.at_rest = False

    # --- as a machine of the pump: the watchdog ---

    def receive(self, frame: Frame, now: float) -> None:
        if frame.can_id == _ANSWERS + self.link.node_id:
            self.answered_at = now

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
    failed = [guard for guard in guards if not guard.release()]
    SIGNALS.deliver()
    if failed and error is None:
        raise failed[0].unsafe()
    if failed and isinstance(error, DriveError):
        error.at_rest = False
