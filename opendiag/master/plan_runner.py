"""Runs plans on a network: they go on as frames come, transfers end and time passes, and nobody has to wait for that.

Whoever reads the bus at that moment takes the plan a step further, with the pump's lock held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opendiag.errors import AdapterError, OpenDiagError, PlanCancelled
from opendiag.frame import Frame
from opendiag.master.streams import BACKLOG
from opendiag.master.transfers import PendingTransfer
from opendiag.services.plans import Gather, Now, Plan, Request, SdoRead, SdoWrite, Send, Sleep, Together, WaitFor
from opendiag.services.sdo_transfer import SdoTransfer

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")


def run_plan(network: Network, plan: Plan[T]) -> T:
    """The plan's result. An error that the plan does not catch is raised here.

    Ctrl-C is thrown into the plan, and what the plan does about it is done before it is raised; a second one ends that.
    """
    network.pump.check_may_wait("running a plan")
    running = network.begin(plan)
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
        self._network = network
        self._transfers: dict[int, _Branch] = {}
        self._branches: set[_Branch] = set()
        self._listening = False
        self._when_done: list[Callable[[], object]] = []
        self.lost = 0
        with network.pump.lock:
            network.plan_begun(self)
            self._root = _Branch(self, plan, None)
            self._root.step()
            self._settle()

    @property
    def done(self) -> bool:
        return self._root.done

    def result(self) -> T:
        """What the plan returned, or its error raised. Call it when it is `done`."""
        if self._root.error is not None:
            raise self._root.error
        result: T = self._root.result
        return result

    def wait(self) -> None:
        """Until it is `done`. Raise BlockingCall."""
        try:
            self._network.pump.wait(self)
        except AdapterError as error:  # the bus is gone: nothing else will take the plan further
            self.throw(error)
            if not self.done:
                raise

    def throw(self, error: BaseException) -> None:
        """Break off whatever the plan waits for and throw this into it. It may go on for a while after that."""
        with self._network.pump.lock:
            if not self.done:
                self._root.throw(error)
                self._settle()

    def cancel(self, reason: str = "the caller gave up") -> None:
        """Throw PlanCancelled into the plan."""
        self.throw(PlanCancelled(reason))

    def abandon(self) -> None:
        """End it without letting it finish anything."""
        with self._network.pump.lock:
            for branch in list(self._branches):
                branch.abandon()
            self._settle()

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call this once, when the plan is done: at once if it is, else on whatever thread reads the bus then."""
        with self._network.pump.lock:
            if not self.done:
                self._when_done.append(callback)
                return
        callback()

    # --- what the network tells, with the pump's lock held ---

    def transfer_ended(self, transfer: SdoTransfer) -> None:
        branch = self._transfers.pop(id(transfer), None)
        if branch is not None:
            branch.transfer_ended()
            self._settle()

    def bus_failed(self, error: AdapterError) -> None:
        """Whatever is waited for will not come."""
        if not self.done:
            self._root.throw(error)
            self._settle()

    # --- as a listener of the pump ---

    def received(self, frame: Frame, now: float) -> None:
        if frame.direction == "tx":
            return
        for branch in tuple(self._branches):
            branch.received(frame)
        self._settle()

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
        self._settle()
        return []

    # --- for the branches ---

    @property
    def network(self) -> Network:
        return self._network

    def begins(self, branch: _Branch) -> None:
        self._branches.add(branch)

    def ended(self, branch: _Branch) -> None:
        self._branches.discard(branch)

    def awaits(self, transfer: SdoTransfer, branch: _Branch) -> None:
        self._transfers[id(transfer)] = branch

    def forget(self, transfer: SdoTransfer) -> None:
        self._transfers.pop(id(transfer), None)

    def listen(self) -> None:
        """Frames are wanted from now on."""
        if not self._listening:
            self._listening = True
            self._network.pump.listen(self)

    def _settle(self) -> None:
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
            callback()


class _Branch:
    """A plan, or one of those that it runs side by side, and what it waits for."""

    def __init__(self, running: RunningPlan[Any], plan: Plan[Any], parent: _Siblings | None) -> None:
        self._running = running
        self._plan = plan
        self._parent = parent
        self._frames: deque[Frame] | None = None
        self._suits: Callable[[Frame], bool] | None = None
        self._transfer: PendingTransfer | None = None
        self._children: _Siblings | None = None
        self._stepping = False
        self._thrown: BaseException | None = None
        self.deadline: float | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        running.begins(self)

    # --- going on ---

    def step(self, answer: Any = None, error: BaseException | None = None) -> None:
        """Take the plan on until it has to wait."""
        self._stepping = True
        try:
            while True:
                if error is None and self._thrown is not None:
                    error, self._thrown = self._thrown, None
                try:
                    request = self._plan.send(answer) if error is None else self._plan.throw(error)
                except StopIteration as end:
                    self._end(end.value, None)
                    return
                except BaseException as problem:  # told to whoever waits for the plan
                    self._end(None, problem)
                    return
                answer, error = None, None
                try:
                    waits, answer = self._begin(request)
                except BaseException as problem:  # the plan's to deal with, be it that its request is none
                    error = problem
                    if self._thrown is problem:  # the end of the bus, told in both ways
                        self._thrown = None
                    continue
                if waits and self._thrown is None:
                    return
                if waits:
                    self._leave()
        finally:
            self._stepping = False

    def _end(self, result: Any, error: BaseException | None) -> None:
        self._leave()
        self.done = True
        self.result, self.error = result, error
        self._running.ended(self)
        if self._parent is not None:
            self._parent.ended(self)

    def _begin(self, request: Request) -> tuple[bool, Any]:
        """(is it to be waited for, the answer if not)."""
        network = self._running.network
        if isinstance(request, SdoRead):
            node = network[request.node_id]
            return self._await(node.begin_upload(request.index, request.subindex, timeout_s=request.timeout_s))
        if isinstance(request, SdoWrite):
            node = network[request.node_id]
            return self._await(
                node.begin_download(request.index, request.subindex, request.data, timeout_s=request.timeout_s)
            )
        if isinstance(request, Send):
            self._listen().clear()
            network.send(request.frame)
            return False, None
        if isinstance(request, Sleep):
            network.pump.check_open()
            self.deadline = network.clock.now() + request.seconds
            return True, None
        if isinstance(request, WaitFor):
            return self._wait_for(request)
        if isinstance(request, Now):
            return False, network.clock.now()
        if isinstance(request, Gather | Together):
            network.pump.check_open()
            return self._run_children(_Siblings(self._running, self, request))
        raise TypeError(f"a plan yielded {request!r}, which is no request")

    def _run_children(self, children: _Siblings) -> tuple[bool, Any]:
        self._children = children
        children.begin()
        if not children.done:
            return True, None
        self._children = None
        return False, children.answer()

    def _await(self, transfer: PendingTransfer) -> tuple[bool, Any]:
        if transfer.done:
            return False, _answer(transfer)
        self._transfer = transfer
        self._running.awaits(transfer.transfer, self)
        return True, None

    def _wait_for(self, request: WaitFor) -> tuple[bool, Any]:
        network = self._running.network
        frames = self._listen()
        while frames:
            frame = frames.popleft()
            if request.suits(frame):
                return False, frame
        network.pump.check_open()
        self._suits = request.suits
        self.deadline = network.clock.now() + max(request.timeout_s, 0.0)
        return True, None

    def _listen(self) -> deque[Frame]:
        if self._frames is None:
            self._frames = deque()
            self._running.listen()
        return self._frames

    # --- what is waited for ---

    def received(self, frame: Frame) -> None:
        if self._suits is not None:
            try:
                suits = self._suits(frame)
            except Exception as error:  # the plan's own function
                self._go_on(error=error)
                return
            if suits:
                self._go_on(frame)
        elif self._frames is not None:
            if len(self._frames) < BACKLOG:
                self._frames.append(frame)
            else:
                self._running.lost += 1

    def tick(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self._go_on()

    def transfer_ended(self) -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is None:
            return
        try:
            answer = _answer(transfer)
        except OpenDiagError as error:
            self._go_on(error=error)
        else:
            self._go_on(answer)

    def children_ended(self) -> None:
        """All that ran side by side are over."""
        if self._stepping or self._children is None:  # `_run_children` sees it
            return
        children, self._children = self._children, None
        try:
            answer = children.answer()
        except BaseException as error:
            self._go_on(error=error)
        else:
            self._go_on(answer)

    def _go_on(self, answer: Any = None, error: BaseException | None = None) -> None:
        self._suits, self.deadline = None, None
        self.step(answer, error)

    # --- breaking off ---

    def throw(self, error: BaseException) -> None:
        """Those that run side by side get it first; the plan when they are over."""
        if self.done:
            return
        if self._stepping:
            self._thrown = error
        elif self._children is not None:
            self._children.throw(error)
        else:
            self._leave()
            self.step(error=error)

    def abandon(self) -> None:
        if not self.done and not self._stepping:
            self._leave()
            self._children = self._parent = None
            self._plan.close()
            self._end(None, PlanCancelled("the caller did not wait for its end"))

    def _leave(self) -> None:
        """Nothing is waited for any more."""
        self._suits, self.deadline = None, None
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            self._running.forget(transfer.transfer)
            transfer.cancel()


def _answer(transfer: PendingTransfer) -> bytes | None:
    """What a plan gets of it. Raise what it ended with."""
    raw = transfer.result()
    return raw if transfer.transfer.action == "read" else None


class _Siblings:
    """Plans that run side by side for one request of another."""

    def __init__(self, running: RunningPlan[Any], parent: _Branch, request: Gather | Together) -> None:
        self._running = running
        self._parent = parent
        self._as_one = isinstance(request, Together)
        self._window = request.window if isinstance(request, Gather) else None
        self._waiting = deque(enumerate(request.plans))
        self._branches: list[_Branch | None] = [None] * len(request.plans)
        self._open = 0
        self._failure: BaseException | None = None
        self._interruption: BaseException | None = None
        self._beginning = False

    @property
    def done(self) -> bool:
        return not (self._waiting or self._open)

    def begin(self) -> None:
        """Start as many as may run now."""
        if self._beginning:
            return
        self._beginning = True
        while self._waiting and (self._window is None or self._open < max(self._window, 1)):
            place, plan = self._waiting.popleft()
            self._open += 1
            branch = self._branches[place] = _Branch(self._running, plan, self)
            branch.step()
        self._beginning = False

    def ended(self, branch: _Branch) -> None:
        """One is over."""
        self._open -= 1
        error = branch.error
        if error is not None and (self._as_one or not isinstance(error, OpenDiagError)) and self._failure is None:
            self._failure = error
            self._stop(PlanCancelled(f"another part of it failed: {error}"), but=branch)
        self.begin()
        if self.done and not self._beginning:
            self._parent.children_ended()

    def throw(self, error: BaseException) -> None:
        """The whole is broken off."""
        self._interruption = error
        self._stop(error)
        if self.done:
            self._parent.children_ended()

    def _stop(self, error: BaseException, but: _Branch | None = None) -> None:
        for _, plan in self._waiting:
            plan.close()
        self._waiting.clear()
        for branch in self._branches:
            if branch is not None and branch is not but:
                branch.throw(error)

    def answer(self) -> list[Any]:
        """What the parent gets. Raise what it was broken off with, or the failure that counts."""
        error = self._interruption or self._failure
        if error is not None:
            raise error
        return [None if b is None else b.error if b.error is not None else b.result for b in self._branches]
