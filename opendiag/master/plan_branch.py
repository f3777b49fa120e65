"""The inside of a running plan: what it waits for at the moment, and the plans that it runs side by side.

Everything here is called with the pump's lock held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from opendiag.errors import OpenDiagError, PlanCancelled
from opendiag.frame import Frame
from opendiag.master.transfers import PendingTransfer
from opendiag.services.plans import Gather, Now, Plan, Request, SdoRead, SdoWrite, Send, Sleep, Together, WaitFor

if TYPE_CHECKING:
    from opendiag.master.network import Network

#: Frames that a plan may leave unfetched: some 10 s of a full bus at 1 Mbit/s.
BACKLOG = 100_000
#: So many requests of a clean-up that does not want to end are refused before it is left alone.
_CLOSE_MOST = 100


class Running(Protocol):
    """The whole that a branch is part of."""

    lost: int

    @property
    def network(self) -> Network: ...

    def begins(self, branch: Branch) -> None:
        """It is to be told of frames and of time."""

    def ended(self, branch: Branch) -> None: ...

    def listen(self) -> None:
        """Frames are wanted from now on."""

    def settle(self) -> None:
        """Something went on without the pump having called."""


class Branch:
    """A plan, or one of those that it runs side by side, and what it waits for."""

    def __init__(self, running: Running, plan: Plan[Any], parent: Siblings | None) -> None:
        self._running = running
        self._plan = plan
        self._parent = parent
        self._frames: deque[Frame] | None = None
        self._suits: Callable[[Frame], bool] | None = None
        self._transfer: PendingTransfer | None = None
        self._forget: Callable[[], None] | None = None
        self._children: Siblings | None = None
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
                    if waits:
                        self._heed()
                        return
                except BaseException as problem:  # the plan's to deal with, be it that its request is none
                    error = problem
                    if self._thrown is problem:  # the end of the bus, told in both ways
                        self._thrown = None
        finally:
            self._stepping = False

    def _heed(self) -> None:
        """Raise what was thrown while the request was begun, once nothing runs side by side any more."""
        while self._thrown is not None:
            error, self._thrown = self._thrown, None
            if self._children is None:
                self._leave()
                raise error
            self._children.throw(error)
            if self._children.done:
                children, self._children = self._children, None
                children.answer()

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
            return self._await(
                node.begin_upload(request.index, request.subindex, timeout_s=request.timeout_s, urgent=request.urgent)
            )
        if isinstance(request, SdoWrite):
            node = network[request.node_id]
            return self._await(
                node.begin_download(
                    request.index,
                    request.subindex,
                    request.data,
                    timeout_s=request.timeout_s,
                    urgent=request.urgent,
                )
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
            return self._run_children(Siblings(self._running, self, request))
        raise TypeError(f"a plan yielded {request!r}, which is no request")

    def _run_children(self, children: Siblings) -> tuple[bool, Any]:
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
        self._forget = transfer.when_done(self._transfer_ended)
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

    def _transfer_ended(self) -> None:
        transfer, self._transfer, self._forget = self._transfer, None, None
        if transfer is None:
            return
        try:
            answer = _answer(transfer)
        except OpenDiagError as error:
            self._go_on(error=error)
        else:
            self._go_on(answer)
        self._running.settle()

    def children_ended(self, children: Siblings) -> None:
        """All of those that ran side by side are over."""
        if self._stepping or self._children is not children:  # seen elsewhere, or long ago
            return
        self._children = None
        try:
            answer = children.answer()
        except BaseException as error:
            self._go_on(error=error)
        else:
            self._go_on(answer)

    def _go_on(self, answer: Any = None, error: BaseException | None = None) -> None:
        if not self.done:
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
        """It ends here and now. What it still wants to do is refused."""
        ended = PlanCancelled("the caller did not wait for its end")
        if self._stepping:
            self._thrown = ended
        elif not self.done:
            self._leave()
            self._children = self._parent = None
            ended.__cause__ = self._close()
            self._end(None, ended)

    def _close(self) -> Exception | None:
        """A generator that yields once more in its clean-up is closed again. Returns what came out of it."""
        problem: Exception | None = None
        for _ in range(_CLOSE_MOST):
            try:
                self._plan.close()
            except Exception as error:
                problem = error
            else:
                break
        return problem

    def _leave(self) -> None:
        """Nothing is waited for any more."""
        self._suits, self.deadline = None, None
        transfer, self._transfer = self._transfer, None
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        if transfer is not None:
            transfer.cancel()


def _answer(transfer: PendingTransfer) -> bytes | None:
    """What a plan gets of it. Raise what it ended with."""
    raw = transfer.result()
    return raw if transfer.transfer.action == "read" else None


class Siblings:
    """Plans that run side by side for one request of another."""

    def __init__(self, running: Running, parent: Branch, request: Gather | Together) -> None:
        self._running = running
        self._parent = parent
        self._as_one = isinstance(request, Together)
        self._window = request.window if isinstance(request, Gather) else None
        self._waiting = deque(enumerate(request.plans))
        self._branches: list[Branch | None] = [None] * len(request.plans)
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
            branch = self._branches[place] = Branch(self._running, plan, self)
            branch.step()
        self._beginning = False

    def ended(self, branch: Branch) -> None:
        """One is over."""
        self._open -= 1
        error = branch.error
        matters = error is not None and (self._as_one or not isinstance(error, OpenDiagError))
        if matters and self._failure is None and self._interruption is None:
            self._failure = error
            self._stop(PlanCancelled(f"another part of it failed: {error}"), but=branch)
        self.begin()
        if self.done and not self._beginning:
            self._parent.children_ended(self)

    def throw(self, error: BaseException) -> None:
        """The whole is broken off."""
        self._interruption = error
        self._stop(error)
        if self.done:
            self._parent.children_ended(self)

    def _stop(self, error: BaseException, but: Branch | None = None) -> None:
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
