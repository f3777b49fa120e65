"""Runs plans on a network: they go on as frames come, transfers end and time passes, and nobody has to wait for that.

Whoever reads the bus at that moment takes the plan a step further, with the pump's lock held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opendiag.errors import AdapterError, NotDone, PlanCancelled
from opendiag.frame import Frame
from opendiag.master.plan_branch import Branch
from opendiag.services.plans import Plan

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")
_LOG = logging.getLogger("opendiag")


def run_plan(network: Network, plan: Plan[T]) -> T:
    """The plan's result. An error that the plan does not catch is raised here.

    Ctrl-C is thrown into the plan, and what the plan does about it is done before it is raised; a second one ends that.
    """
    network.pump.check_may_wait("running a plan")
    return finish(network.begin(plan))


def finish(running: RunningPlan[T]) -> T:
    """Wait for a plan that was begun, and give its result. Raise as `run_plan`."""
    try:
        running.wait()
    except BaseException as interruption:  # Ctrl-C: the plan may have to bring something to rest first
        running.throw(interruption)
        try:
            running.wait()
        except BaseException:
            running.abandon()
            raise
        raise
    return running.result()


class RunningPlan(Generic[T]):
    """Made by `Network.begin`. ``done`` once there is a result, or the error that the plan ended with.

    ``lost`` counts frames that the plan did not fetch while ``BACKLOG`` of them were waiting.
    """

    def __init__(self, network: Network, plan: Plan[T]) -> None:
        if not isinstance(plan, Generator):
            raise TypeError(f"a plan is expected, what a function with yield gives when it is called, not {plan!r}")
        self._network = network
        self._branches: dict[Branch, None] = {}  # in the order of their beginning, so that each run is the same
        self._listening = False
        self._when_done: list[Callable[[], object]] = []
        self.lost = 0
        with network.pump.lock:
            network.plan_begun(self)
            self._root = Branch(self, plan, None)
            self._root.step()
            self.settle()

    @property
    def done(self) -> bool:
        return self._root.done

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the end, and give what the plan returned, or raise its error.

        Raises BlockingCall, and NotDone when ``timeout_s`` is over before: the plan goes on then.
        """
        if not self.done:
            pump = self._network.pump
            pump.check_may_wait("waiting for a plan")
            self.wait(None if timeout_s is None else pump.clock.now() + timeout_s)
            if not self.done:
                raise NotDone(timeout_s or 0.0)
        if self._root.error is not None:
            raise self._root.error
        result: T = self._root.result
        return result

    def wait(self, until: float | None = None) -> None:
        """Until it is `done`, or that moment."""
        try:
            self._network.pump.wait(self, until)
        except AdapterError as error:  # the bus is gone: nothing else will take the plan further
            self.throw(error)
            if not self.done:
                raise

    def throw(self, error: BaseException) -> None:
        """Break off whatever the plan waits for and throw this into it. It may go on for a while after that."""
        with self._network.pump.lock:
            if not self.done:
                self._root.throw(error)
                self.settle()

    def cancel(self, reason: str = "the caller gave up") -> None:
        """Throw PlanCancelled into the plan."""
        self.throw(PlanCancelled(reason))

    def abandon(self) -> None:
        """End it without letting it finish anything."""
        with self._network.pump.lock:
            for branch in list(self._branches):
                branch.abandon()
            self.settle()

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call this once, when the plan is done: at once if it is, else on whatever thread reads the bus then."""
        with self._network.pump.lock:
            if not self.done:
                self._when_done.append(callback)
                return
        callback()

    # --- what the network tells, with the pump's lock held ---

    def bus_failed(self, error: AdapterError) -> None:
        """Whatever is waited for will not come."""
        if not self.done:
            self._root.throw(error)
            self.settle()

    # --- as a listener of the pump ---

    def received(self, frame: Frame, now: float) -> None:
        if frame.direction == "tx":
            return
        for branch in tuple(self._branches):
            branch.received(frame)
        self.settle()

    def sent(self, frame: Frame, now: float) -> None: ...

    def send_failed(self, frame: Frame, reason: str, now: float) -> None: ...

    # --- as a machine of the pump ---

    def receive(self, frame: Frame, now: float) -> None: ...

    def tick(self, now: float) -> None:
        for branch in tuple(self._branches):
            branch.tick(now)

    def deadline(self) -> float | None:
        return min((branch.deadline for branch in self._branches if branch.deadline is not None), default=None)

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[Any]:
        self.settle()
        return []

    # --- for the branches ---

    @property
    def network(self) -> Network:
        return self._network

    def begins(self, branch: Branch) -> None:
        self._branches[branch] = None

    def ended(self, branch: Branch) -> None:
        self._branches.pop(branch, None)

    def listen(self) -> None:
        """Frames are wanted from now on."""
        if not self._listening:
            self._listening = True
            self._network.pump.listen(self)

    def settle(self) -> None:
        """After anything happened: tell the pump when to call, and whoever waits that it is over."""
        pump = self._network.pump
        if not self.done:
            pump.keep(self)
            return
        if self._listening:
            self._listening = False
            pump.unlisten(self)
        pump.remove(self)
        self._network.plan_ended(self)
        pump.wake_all()
        callbacks, self._when_done = self._when_done, []
        for callback in callbacks:
            try:
                callback()
            except Exception:  # the caller's: it must not end the reading of the bus
                _LOG.exception("callback %r failed at the end of a plan", callback)
