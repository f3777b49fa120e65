"""What comes from the bus, for ``async for``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from opendiag.aio.bridge import Awaited, Bridge, only_sleep
from opendiag.errors import AdapterClosed

T = TypeVar("T")
#: Items that may wait in a stream: some 10 s of a full bus at 1 Mbit/s.
BACKLOG = 100_000
#: A stream that always has something lets the other tasks in after so many items.
_BUNCH = 100


class Stream(Generic[T]):
    """What comes from the bus from the moment it was opened: ``async for``, or `get`. Close it, or use ``async with``.

    ``lost`` counts what came while ``BACKLOG`` items were waiting to be taken: the oldest are kept.
    """

    def __init__(
        self, bridge: Bridge, subscribe: Callable[[Callable[[T], object]], Callable[[], None]], slow: bool = False
    ) -> None:
        self._bridge = bridge
        self._subscribe = subscribe
        self._unsubscribe: Callable[[], None] | None = None
        self._refused: Exception | None = None
        self._items: deque[T] = deque()
        self._hungry = False
        self._taken = 0
        self._closed = False
        self._opened: asyncio.Future[None] = bridge.loop.create_future()
        self._news: asyncio.Future[None] = bridge.loop.create_future()
        self.lost = 0
        if slow:  # it has to ask the device first
            bridge.loop.run_in_executor(None, self._open)
        else:
            bridge.submit(self._open)

    def _open(self) -> None:
        try:
            self._unsubscribe = self._subscribe(self._put)
        except Exception as error:  # told to whoever reads
            self._refused = error
        self._bridge.post(self._is_open)

    def _is_open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
        if self._closed:
            self._end()
        self._wake()

    def _put(self, item: T) -> None:
        if len(self._items) >= BACKLOG:
            self.lost += 1
            return
        self._items.append(item)
        if self._hungry:
            self._hungry = False
            self._bridge.post(self._wake)

    def _wake(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    async def get(self, timeout_s: float | None = None) -> T | None:
        """The next item; None when none came within ``timeout_s`` of the bus's clock, or the stream is closed.

        Raises AdapterError when the bus is gone.
        """
        if not self._items and not self._closed:
            if timeout_s is None:
                await self._come()
            else:
                asleep = Awaited(self._bridge, lambda: self._bridge.network.begin(only_sleep(timeout_s)))
                try:
                    await self._come(asleep.ended)
                finally:
                    asleep.call("abandon")
        if not self._items:
            return None
        self._taken += 1
        if self._taken % _BUNCH == 0:
            await asyncio.sleep(0)
        return self._items.popleft() if self._items else None

    async def _come(self, *others: asyncio.Future[None]) -> None:
        """Until there is an item, or one of the others is done. Raise AdapterError when none will come."""
        bridge = self._bridge
        while not (self._items or self._closed):
            if self._refused is not None:
                raise self._refused
            if bridge.over.done():
                bridge.network.pump.check_open()
                raise AdapterClosed(bridge.network.name, "closed")
            if any(other.done() for other in others):
                return
            if self._news.done():
                self._news = bridge.loop.create_future()
            self._hungry = True
            if not self._items:  # looked at once more: it may have come before anybody was known to be hungry
                await bridge.until(self._news, bridge.over, *others)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[T]:
        """Until the stream or the network is closed. Raise AdapterError when the bus goes."""
        while True:
            try:
                item = await self.get()
            except AdapterClosed:
                if self._bridge.network.pump.failure is not None:
                    raise
                return
            if item is None:
                return
            yield item

    def close(self) -> None:
        """What has come can still be taken."""
        if not self._closed:
            self._closed = True
            self._wake()
            if self._opened.done():
                self._end()

    def _end(self) -> None:
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            self._bridge.submit(unsubscribe)

    async def __aenter__(self) -> Stream[T]:
        """From here on nothing is missed. Raise what opening it raised."""
        if not self._opened.done():
            await self._bridge.until(self._opened)
        if self._refused is not None:
            raise self._refused
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
