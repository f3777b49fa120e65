"""NMT and EMCY of a node, awaited: the blocking calls, each on a thread. Cancelling does not end what runs there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from opendiag.master.node_emcy import HistoryEntry, NodeEmcy
from opendiag.master.node_nmt import NetworkNmt, NodeNmt
from opendiag.services.emcy import EmcyReceived
from opendiag.services.heartbeat import NodeLife
from opendiag.wire.nmt import NmtState

if TYPE_CHECKING:
    from opendiag.aio.network import AsyncNetwork

AnyNmt = TypeVar("AnyNmt", bound=NodeNmt | NetworkNmt)


class AsyncNmt(Generic[AnyNmt]):
    """The commands of `NodeNmt`, or of `NetworkNmt` to all nodes."""

    def __init__(self, net: AsyncNetwork, get: Callable[[], AnyNmt]) -> None:
        self.net = net
        self._get = get

    @property
    def nmt(self) -> AnyNmt:
        """The blocking one, for what does not wait: ``supervise``, ``guard``, ``states``."""
        return self._get()

    async def start(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As `NodeNmt.start`."""
        await self.net.call(lambda: self.nmt.start(confirm=confirm, timeout_s=timeout_s))

    async def stop(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As `NodeNmt.stop`."""
        await self.net.call(lambda: self.nmt.stop(confirm=confirm, timeout_s=timeout_s))

    async def pre_operational(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As `NodeNmt.pre_operational`."""
        await self.net.call(lambda: self.nmt.pre_operational(confirm=confirm, timeout_s=timeout_s))

    async def reset(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As `NodeNmt.reset`."""
        await self.net.call(lambda: self.nmt.reset(confirm=confirm, timeout_s=timeout_s))

    async def reset_communication(self, *, confirm: bool = True, timeout_s: float | None = None) -> None:
        """As `NodeNmt.reset_communication`."""
        await self.net.call(lambda: self.nmt.reset_communication(confirm=confirm, timeout_s=timeout_s))


class AsyncNodeNmt(AsyncNmt[NodeNmt]):
    """Made by ``net[101].nmt``."""

    @property
    def state(self) -> NmtState | None:
        """As `NodeNmt.state`."""
        return self.nmt.state

    @property
    def lost(self) -> bool:
        """As `NodeNmt.lost`."""
        return self.nmt.lost

    @property
    def life(self) -> NodeLife | None:
        """As `NodeNmt.life`."""
        return self.nmt.life

    async def wait_for(self, state: NmtState | str, timeout_s: float) -> None:
        """As `NodeNmt.wait_for`."""
        await self.net.call(lambda: self.nmt.wait_for(state, timeout_s))


class AsyncNodeEmcy:
    """Made by ``net[101].emcy``."""

    def __init__(self, net: AsyncNetwork, get: Callable[[], NodeEmcy]) -> None:
        self.net = net
        self._get = get

    @property
    def emcy(self) -> NodeEmcy:
        """The blocking one."""
        return self._get()

    @property
    def received(self) -> list[EmcyReceived]:
        """As `NodeEmcy.received`."""
        return self.emcy.received

    @property
    def active(self) -> list[EmcyReceived]:
        """As `NodeEmcy.active`."""
        return self.emcy.active

    async def history(self) -> list[HistoryEntry]:
        """As `NodeEmcy.history`."""
        return await self.net.call(lambda: self.emcy.history())

    async def clear(self) -> None:
        """As `NodeEmcy.clear`."""
        await self.net.call(lambda: self.emcy.clear())
