"""Runs a plan on a network, blocking until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from opendiag.errors import OpenDiagError
from opendiag.frame import Frame
from opendiag.master.streams import FrameStream
from opendiag.services.plans import Now, Plan, Request, SdoRead, SdoWrite, Send, Sleep, WaitFor

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")


def run_plan(network: Network, plan: Plan[T]) -> T:
    """The plan's result. An error that the plan does not catch is raised here.

    Ctrl-C is thrown into the plan, and what the plan does about it is done before it is raised; a second one ends that.
    """
    network.pump.check_may_wait("running a plan")
    with _Runner(network) as runner:
        return runner.run(plan)


class _Runner:
    """``_frames`` is open from the first `Send` or `WaitFor` on."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._frames: FrameStream | None = None

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._frames is not None:
            self._frames.close()

    def run(self, plan: Plan[T]) -> T:
        answer: Any = None
        error: BaseException | None = None
        interruption: BaseException | None = None
        while True:
            try:
                request = plan.send(answer) if error is None else plan.throw(error)
            except StopIteration as end:
                if interruption is not None:
                    raise interruption from None
                result: T = end.value
                return result
            answer, error = None, None
            try:
                answer = self._perform(request)
            except OpenDiagError as problem:
                error = problem
            except BaseException as problem:  # Ctrl-C: the plan may have to bring something to rest first
                if interruption is not None:
                    raise
                error = interruption = problem

    def _perform(self, request: Request) -> Any:
        network = self._network
        if isinstance(request, SdoRead):
            return network[request.node_id].upload(request.index, request.subindex, timeout_s=request.timeout_s)
        if isinstance(request, SdoWrite):
            node = network[request.node_id]
            return node.download(request.index, request.subindex, request.data, timeout_s=request.timeout_s)
        if isinstance(request, Send):
            self._listen().clear()
            return network.send(request.frame)
        if isinstance(request, Sleep):
            return network.sleep(request.seconds)
        if isinstance(request, WaitFor):
            return self._wait_for(request)
        if isinstance(request, Now):
            return network.clock.now()
        raise TypeError(f"a plan yielded {request!r}, which is no request")

    def _wait_for(self, request: WaitFor) -> Frame | None:
        frames, clock = self._listen(), self._network.clock
        until = clock.now() + request.timeout_s
        while True:
            frame = frames.get(max(until - clock.now(), 0.0))
            if frame is None:
                return None
            if frame.direction != "tx" and request.suits(frame):
                return frame

    def _listen(self) -> FrameStream:
        if self._frames is None:
            self._frames = FrameStream(self._network.pump)
        return self._frames
