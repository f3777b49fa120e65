"""A node and its objects, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

from opendiag.aio.bridge import Awaited
from opendiag.aio.node_services import AsyncNodeEmcy, AsyncNodeNmt
from opendiag.aio.streams import Stream
from opendiag.dictionary import names
from opendiag.dictionary.datatypes import Value
from opendiag.errors import ObjectNotFound, PdoTimeout, SdoTimeout
from opendiag.findings import Finding
from opendiag.master.arguments import checked_key, checked_node_id
from opendiag.master.node import Node, Progress, ask_identity
from opendiag.master.node_pdo import Mappable, Pdo, PdoParameters, PdoSample, Rpdo, Tpdo
from opendiag.master.transfers import PendingTransfer
from opendiag.master.variable import NodeVariable
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import MAX_PDOS

if TYPE_CHECKING:
    from opendiag.aio.network import AsyncNetwork

Key = int | str | tuple[int, int]
AnyPdo = TypeVar("AnyPdo", bound=Pdo)


class AsyncNode:
    """Made by ``net[101]``. ``node`` is the blocking one: what it knows of the device is known here too."""

    def __init__(self, net: AsyncNetwork, node_id: int) -> None:
        checked_node_id(node_id)
        self.net = net
        self.node_id = node_id

    def __repr__(self) -> str:
        return f"<node {self.node_id} on {self.net.network.name}>"

    @property
    def node(self) -> Node:
        return self.net.network[self.node_id]

    async def known(self) -> Node:
        """As `node`, without waiting for a lock the first time."""
        known = self.net.network.known_node(self.node_id)
        return await self.net.bridge.do(lambda: self.node) if known is None else known

    def __getitem__(self, key: Key) -> AsyncVariable:
        """``node[0x6041]``, ``node["Statusword"]``, ``node[0x1018, 1]``, ``node["Identity Object"]["Vendor ID"]``.

        Nothing is looked up yet: a name that nobody knows raises ObjectNotFound when the object is used.
        """
        checked_key(key)
        return AsyncVariable(self, key)

    async def upload(
        self,
        index: int,
        subindex: int = 0,
        *,
        block: bool = False,
        timeout_s: float | None = None,
        into: BinaryIO | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """As `Node.upload`. ``progress`` is called in the event loop, ``into`` is written by another thread.

        Cancelling ends the transfer: the device gets an abort.
        """

        def begin() -> PendingTransfer:
            return self.node.begin_upload(
                index, subindex, block=block, timeout_s=timeout_s, into=into, progress=self._told(progress)
            )

        return await Awaited(self.net.bridge, begin).finish()

    async def download(
        self,
        index: int,
        subindex: int,
        data: bytes | BinaryIO,
        *,
        size: int | None = None,
        block: bool = False,
        timeout_s: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        """As `Node.download`. ``progress`` is called in the event loop, a stream is read by another thread.

        Cancelling ends the transfer: the device gets an abort. What it has executed by then stays done.
        """

        def begin() -> PendingTransfer:
            told = self._told(progress)
            return self.node.begin_download(
                index, subindex, data, size=size, block=block, timeout_s=timeout_s, progress=told
            )

        await Awaited(self.net.bridge, begin).finish()

    def _told(self, progress: Progress | None) -> Progress | None:
        return None if progress is None else partial(self.net.bridge.post, progress)

    @property
    def pdo(self) -> AsyncNodePdo:
        """Its PDOs."""
        return AsyncNodePdo(self)

    @property
    def nmt(self) -> AsyncNodeNmt:
        """Commands to it, its NMT state, its heartbeat."""
        return AsyncNodeNmt(self.net, lambda: self.node.nmt)

    @property
    def emcy(self) -> AsyncNodeEmcy:
        """The errors that it reports."""
        return AsyncNodeEmcy(self.net, lambda: self.node.emcy)

    async def identify(self) -> None:
        """Choose the dictionary by what the node says of itself, if it has none yet. Raise SdoTimeout, AdapterError."""
        node = await self.known()
        if node.needs_identity:
            identity = await self.net.run(ask_identity(self.node_id))
            await asyncio.to_thread(node.identified, identity)  # it may have to read a file


class AsyncVariable:
    """One object of a node. ``keys`` is what it was asked for by, the object and then perhaps its member."""

    def __init__(self, node: AsyncNode, *keys: Key) -> None:
        self.node = node
        self.keys = keys

    def __repr__(self) -> str:
        return f"<{''.join(f'[{key!r}]' for key in self.keys)} of node {self.node.node_id}>"

    def __getitem__(self, member: int | str) -> AsyncVariable:
        """A member of an array or a record."""
        return AsyncVariable(self.node, *self.keys, member)

    async def variable(self) -> NodeVariable:
        """The blocking one, once the node has a dictionary: ``name``, ``unit``, ``description`` and ``meaning`` of it.

        Raises ObjectNotFound, SdoError, AdapterError.
        """
        found = await self.find()
        await self.node.identify()
        return found

    async def read(self, timeout_s: float | None = None) -> Value:
        """As `NodeVariable.read`."""
        found = await self.find()
        raw = await self.node.upload(found.index, found.subindex, timeout_s=timeout_s)
        await self.node.identify()
        return found.decode(raw)

    async def write(self, value: Value, force: bool = False, timeout_s: float | None = None) -> None:
        """As `NodeVariable.write`."""
        found = await self.variable()
        raw = found.encode(value, force)
        await self.node.download(found.index, found.subindex, raw, timeout_s=timeout_s)

    async def find(self) -> NodeVariable:
        """The blocking one. Only what is not said in numbers needs the node's dictionary.

        Raises ObjectNotFound, SdoTimeout, AdapterError.
        """
        node = await self.node.known()
        key, *members = self.keys
        if isinstance(key, tuple):
            index, subindex = key
        else:
            number = names.number_of(key) if isinstance(key, str) else (key, None)
            index, whole = number or await self._named(str(key))
            subindex = whole or 0
        for member in members:
            if isinstance(member, str):
                await self.node.identify()
                subindex = names.member(member, index, node.view.dictionary)
            elif isinstance(member, int):
                subindex = member
        found = node[index, subindex]
        assert isinstance(found, NodeVariable)
        return found

    async def _named(self, name: str) -> names.Key:
        """A silent node is no reason not to know a CiA name."""
        try:
            await self.node.identify()
        except SdoTimeout as silent:
            try:
                return names.find(name, None)
            except ObjectNotFound:
                raise silent from None
        return names.find(name, (await self.node.known()).view.dictionary)


class AsyncNodePdo:
    """The PDOs of a node, as `NodePdo`."""

    def __init__(self, node: AsyncNode) -> None:
        self.node = node

    def tpdo(self, number: int) -> AsyncPdo[Tpdo]:
        """What the node sends. Raise ValueError outside 1..512."""
        return AsyncPdo(self.node, number, lambda: self.node.node.pdo.tpdo(number))

    def rpdo(self, number: int) -> AsyncPdo[Rpdo]:
        """What the node receives. Raise ValueError outside 1..512."""
        return AsyncPdo(self.node, number, lambda: self.node.node.pdo.rpdo(number))


class AsyncPdo(Generic[AnyPdo]):
    """Made by ``node.pdo.tpdo(1)``."""

    def __init__(self, node: AsyncNode, number: int, get: Callable[[], AnyPdo]) -> None:
        if not 1 <= number <= MAX_PDOS:
            raise ValueError(f"PDO number {number} is outside 1..{MAX_PDOS}")
        self.node = node
        self._get = get

    @property
    def pdo(self) -> AnyPdo:
        """The blocking one."""
        return self._get()

    def samples(self) -> Stream[PdoSample]:
        """Every sample from now on; the device is asked for the mapping first, where that is possible.

        With ``async with`` the block begins when that is done.
        """
        return Stream(self.node.net.bridge, lambda put: self.pdo.subscribe(put), slow=True)

    async def wait(self: AsyncPdo[Tpdo], timeout_s: float) -> PdoSample:
        """As `Tpdo.wait`. Raise PdoTimeout, AdapterError."""
        async with self.samples() as samples:
            sample = await samples.get(timeout_s)
        if sample is None:
            pdo = self.pdo
            raise PdoTimeout(self.node.node_id, pdo.name, pdo.known.cob.text, timeout_s)
        return sample

    async def request(self: AsyncPdo[Tpdo], timeout_s: float = 0.5) -> PdoSample:
        """As `Tpdo.request`."""
        return await self.node.net.call(lambda: self.pdo.request(timeout_s))

    async def why(self, listen_s: float = 1.5, expected: CobId | None = None) -> list[Finding]:
        """As `Pdo.why`. Cancelling does not end it: it goes on on a thread."""
        return await self.node.net.call(lambda: self.pdo.why(listen_s, expected))

    async def map(self, objects: Iterable[Mappable] | None, **settings: Any) -> PdoParameters:
        """As `Pdo.map`. Cancelling does not break it off: it is finished, or put back, on a thread."""
        return await self.node.net.call(lambda: self.pdo.map(objects, **settings))
