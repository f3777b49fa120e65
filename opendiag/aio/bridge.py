"""What stands between an event loop and a network: who begins, who waits, and who lets simulated time pass."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from opendiag.errors import AdapterError, NotDone, PlanCancelled, SdoCancelled
from opendiag.master.network import Network
from opendiag.services.plans import Plan, Sleep

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
#: Turns of the event loop in which tasks that something woke may ask for more before simulated time goes on.
_TURNS = 10
_LOG = logging.getLogger("opendiag")


class Begun(Protocol[T_co]):
    """A plan or a transfer that runs."""

    def when_done(self, callback: Callable[[], object]) -> object: ...

    def result(self) -> T_co: ...


class Bridge:
    """One event loop and one network. `over` is done when the bus is.

    One helper thread calls whatever may have to wait for the adapter or for a lock. Its other work is to let time pass
    on a clock that only waiting moves.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self.loop.create_future()
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="opendiag asyncio")
        self._closed = False
        self._waits = 0
        self._driving: asyncio.Task[None] | None = None
        self._stirred = False
        self.submit(self._notice_the_end)

    def post(self, function: Callable[..., object], *arguments: object) -> None:
        """Have it called in the event loop. From any thread."""
        self.stir()
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody is there to be told
            if not self.loop.is_closed():
                raise

    def submit(self, function: Callable[[], object]) -> None:
        """Have it called on the helper thread, after what was submitted before. It must not raise."""
        if self._closed:
            function()  # nothing waits for anything any more
        else:
            self.stir()
            self._helper.submit(function)

    async def do(self, function: Callable[[], T]) -> T:
        """The result of something short that may have to wait for the adapter. It is not broken off."""
        results: list[T] = []
        errors: list[BaseException] = []
        done: asyncio.Future[None] = self.loop.create_future()

        def call() -> None:
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)
            self.post(_settle, done)

        self.submit(call)
        await self.until(done)
        if errors:
            raise errors[0]
        return results[0]

    async def until(self, *futures: asyncio.Future[Any]) -> None:
        """Wait for the first of them; cancelling that leaves them as they are."""
        self._waits += 1
        try:
            if not self.network.clock.runs and self._driving is None:
                self._begin_to_drive()
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waits -= 1
            if not self._waits:
                self.stir()

    # --- a clock that only waiting moves ---

    def _begin_to_drive(self) -> None:
        self._driving = self.loop.create_task(self._drive())
        self._driving.add_done_callback(self._drove)

    async def _drive(self) -> None:
        try:
            while self._waits and not self._is_over:
                await self.loop.run_in_executor(self._helper, self._let_time_pass)
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        finally:
            self.stir()

    def _drove(self, task: asyncio.Task[None]) -> None:
        """It may have been cancelled with all the other tasks: some of those still wait for their end."""
        self._driving = None
        if self._waits and not self._is_over:
            self._begin_to_drive()

    @property
    def _is_over(self) -> bool:
        return self._closed or self.over.done()

    def _let_time_pass(self) -> None:
        try:
            self.network.pump.wait(self)
        except AdapterError:
            pass  # `over` tells
        except Exception:  # a mistake of ours, or a port's: nobody waits here who could be told
            _LOG.exception("reading %s failed", self.network.name)
            self.network.close()
        finally:
            self._stirred = False

    @property
    def done(self) -> bool:
        """What the pump looks at: is there something to do other than to let time pass?"""
        return self._stirred

    def stir(self) -> None:
        if not self._stirred:
            self._stirred = True
            self.network.pump.wake_all()

    # --- the end ---

    def _notice_the_end(self) -> None:
        """A plan that only ends with the bus, or when the network is closed."""
        try:
            self.network.begin(_for_ever()).when_done(lambda: self.post(self._bus_is_over))
        except AdapterError:
            self.post(self._bus_is_over)

    def _bus_is_over(self) -> None:
        _settle(self.over)

    async def close(self) -> None:
        """A task that is cancelled meanwhile still closes it first."""
        if self._closed:
            return
        self.stir()
        closing = self.loop.run_in_executor(self._helper, self.network.close)
        self._closed = True
        cancelled: asyncio.CancelledError | None = None
        while pending := [task for task in (closing, self._driving) if task is not None and not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                cancelled = error
        self._helper.shutdown(wait=False)
        self._bus_is_over()
        closing.result()
        if cancelled is not None:
            raise cancelled


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _for_ever() -> Plan[None]:
    yield Sleep(math.inf)


def only_sleep(seconds: float) -> Plan[None]:
    yield Sleep(seconds)


class Awaited(Generic[T]):
    """Something that is begun on the bus for a task. ``ended`` is done when it is over, whatever came of it."""

    def __init__(self, bridge: Bridge, begin: Callable[[], Begun[T]]) -> None:
        self._bridge = bridge
        self._begun: Begun[T] | None = None
        self._refused: BaseException | None = None
        self._function = begin
        self.ended: asyncio.Future[None] = bridge.loop.create_future()
        bridge.submit(self._begin)

    def _begin(self) -> None:
        try:
            self._begun = self._function()
            self._begun.when_done(self._told)
        except BaseException as error:
            self._refused = error
            self._told()

    def _told(self) -> None:
        self._bridge.post(_settle, self.ended)

    def call(self, method: str) -> None:
        """Have it break off, if it was begun."""

        def function() -> None:
            if self._begun is not None:
                getattr(self._begun, method)()

        self._bridge.submit(function)

    def result(self) -> T:
        if self._begun is None or self._refused is not None:
            raise self._refused or NotDone(0.0)
        return self._begun.result()

    async def finish(self, second: str = "cancel") -> T:
        """The result. Cancelling cancels it and waits for its end; cancelling again calls the ``second`` method."""
        try:
            await self._bridge.until(self.ended)
            return self.result()
        except asyncio.CancelledError as error:
            cancelled = error
        self.call("cancel")
        try:
            await self._bridge.until(self.ended)
        except asyncio.CancelledError:
            self.call(second)
            raise
        raise cancelled from self._problem()

    def _problem(self) -> BaseException | None:
        """What went wrong while it was cancelled."""
        try:
            self.result()
        except (PlanCancelled, SdoCancelled):
            return None
        except BaseException as error:
            return error
        return None
