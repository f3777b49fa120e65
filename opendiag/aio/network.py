"""A network, awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from opendiag.aio.bridge import Awaited, Bridge, only_sleep
from opendiag.aio.node import AsyncNode
from opendiag.aio.node_services import AsyncNmt
from opendiag.aio.streams import Stream
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.library import Library
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import AdapterClosed, NotDone, OpenDiagError, SdoError, SdoProtocolError, WireError
from opendiag.frame import Frame
from opendiag.master.arguments import kind_text
from opendiag.master.clock import Clock
from opendiag.master.connect import connect as connect_blocking
from opendiag.master.events import sorted_out
from opendiag.master.network import Dictionaries, Item, Network
from opendiag.master.node_nmt import NetworkNmt
from opendiag.master.scan import NetworkScan
from opendiag.master.variable import NodeVariable
from opendiag.services.plans import Gather, Plan, SdoRead, Together
from opendiag.services.scan_result import ScanResult
from opendiag.services.sdo_channel import SdoChannel
from opendiag.simulate.bus import SimBus

if TYPE_CHECKING:
    import can

T = TypeVar("T")
P = ParamSpec("P")


def connect(
    interface: str | can.BusABC | SimBus = "sim",
    *,
    dictionaries: Dictionaries | None = None,
    eds_dir: str | Path | None = None,
    library: Library | None = None,
    timeout_s: float = 0.5,
    listen_only: bool = False,
    clock: Clock | None = None,
) -> Connecting:
    """As `opendiag.connect`: use it with ``async with``, or await it."""
    return Connecting(
        partial(
            connect_blocking,
            interface,
            dictionaries=dictionaries,
            eds_dir=eds_dir,
            library=library,
            timeout_s=timeout_s,
            listen_only=listen_only,
            clock=clock,
        )
    )


class Connecting:
    """A network that is about to be opened, once."""

    def __init__(self, open_network: Callable[[], Network]) -> None:
        self._open = open_network
        self._lock = threading.Lock()  # never held while anything is waited for
        self._opened: Network | None = None
        self._given_up = False
        self._net: AsyncNetwork | None = None

    def __await__(self) -> Generator[Any, None, AsyncNetwork]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncNetwork:
        self._net = await self._connect()
        return self._net

    async def __aexit__(self, *exception: object) -> None:
        if self._net is not None:
            await self._net.close()

    async def _connect(self) -> AsyncNetwork:
        """Who is cancelled meanwhile leaves no open adapter behind."""
        loop = asyncio.get_running_loop()
        try:
            return AsyncNetwork(await loop.run_in_executor(None, self._open_unless_given_up))
        except asyncio.CancelledError:
            with self._lock:
                self._given_up = True
            if self._opened is not None:
                loop.run_in_executor(None, self._opened.close)
            raise

    def _open_unless_given_up(self) -> Network:
        network = self._open()
        with self._lock:
            if not self._given_up:
                self._opened = network
                return network
        network.close()
        raise AdapterClosed(network.name, "closed")


class AsyncNetwork:
    """Made by `connect`. ``network`` is the blocking one. Close it, or use ``async with``."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.bridge = Bridge(network)
        self._nodes: dict[int, AsyncNode] = {}

    def __repr__(self) -> str:
        return f"<asyncio {self.network!r}>"

    async def __aenter__(self) -> AsyncNetwork:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Network.close`. Whoever still awaits something gets PlanCancelled, SdoCancelled or AdapterClosed."""
        await self.bridge.close()

    # --- nodes and objects ---

    def __getitem__(self, node_id: int) -> AsyncNode:
        """The node, present or not: nothing is sent. Raise ValueError outside 1..127."""
        node = self._nodes.get(node_id)
        if node is None:
            node = self._nodes[node_id] = AsyncNode(self, node_id)
        return node

    async def node(
        self,
        node_id: int,
        dictionary: str | Path | ObjectDictionary | None = None,
        channel: SdoChannel | None = None,
    ) -> AsyncNode:
        """As `Network.node`: with this EDS or DCF and this SDO channel from now on."""
        await asyncio.to_thread(self.network.node, node_id, dictionary, channel)
        return self[node_id]

    async def read(self, node_id: int, key: int | str, subindex: int | None = None) -> Value:
        """As ``await net[node_id][key].read()``."""
        variable = self[node_id][key]
        return await (variable if subindex is None else variable[subindex]).read()

    async def write(self, node_id: int, key: int | str, value: Value, subindex: int | None = None) -> None:
        """As ``await net[node_id][key].write(value)``."""
        variable = self[node_id][key]
        await (variable if subindex is None else variable[subindex]).write(value)

    @overload
    async def read_many(self, items: Iterable[Item], errors: Literal["raise"] = "raise") -> list[Value]: ...

    @overload
    async def read_many(self, items: Iterable[Item], errors: Literal["return"]) -> list[Value | SdoError]: ...

    async def read_many(
        self, items: Iterable[Item], errors: Literal["raise", "return"] = "raise"
    ) -> list[Value] | list[Value | SdoError]:
        """As `Network.read_many`: nodes work side by side, values in order."""
        variables = [await self._found(*item) for item in items]
        reads = tuple(_read(variable) for variable in variables)
        raws = await self.run(_answer_of(Together(reads) if errors == "raise" else Gather(reads)))
        results: list[Value | SdoError] = []
        for variable, raw in zip(variables, raws, strict=True):
            try:
                results.append(await self._value(variable, raw))
            except SdoError as error:
                if errors == "raise":
                    raise
                results.append(error)
        return results

    async def _found(self, node_id: int, key: int | str, subindex: int | None = None) -> NodeVariable:
        variable = self[node_id][key]
        return await (variable if subindex is None else variable[subindex]).find()

    async def _value(self, variable: NodeVariable, raw: bytes | OpenDiagError) -> Value:
        if isinstance(raw, OpenDiagError):
            raise raw
        await self[variable.node.node_id].identify()
        try:
            return variable.decode(raw)
        except WireError as error:
            where = variable.node.node_id, variable.index, variable.subindex
            raise SdoProtocolError(*where, "read", error.reason) from error

    @property
    def nmt(self) -> AsyncNmt[NetworkNmt]:
        """Commands to all nodes."""
        return AsyncNmt(self, lambda: self.network.nmt)

    # --- plans and time ---

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end and give its result.

        Cancelling throws PlanCancelled into the plan and waits for what the plan does about it; cancelling once more
        abandons the plan.
        """
        return await Awaited(self.bridge, lambda: self.network.begin(plan)).finish("abandon")

    async def sleep(self, seconds: float) -> None:
        """Let the bus run that long, on its own clock."""
        await self.run(only_sleep(seconds))

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what blocks on a thread. Cancelling does not end it: it goes on there."""
        return await asyncio.to_thread(function, *args, **kwargs)

    # --- frames and events ---

    async def send(self, frame: Frame) -> None:
        """Send any frame. Raise SendFailed, AdapterError."""
        await self.bridge.do(lambda: self.network.send(frame))

    def frames(self) -> Stream[Frame]:
        """Every frame from now on, received and sent."""
        return Stream(self.bridge, self.network.subscribe)

    def events(self, *kinds: type, node_id: int | None = None) -> Stream[Any]:
        """Events of these classes, or all, from now on."""
        return Stream(self.bridge, lambda put: self.network.on(kinds or object, put, node_id))

    async def wait_for(
        self,
        wanted: type | tuple[type, ...] | Callable[[Any], object],
        timeout_s: float | None,
        node_id: int | None = None,
    ) -> Any:
        """The next event of this class, or that this function agrees to. Raise NotDone, AdapterError."""
        kinds, suits = sorted_out(wanted)
        clock = self.network.clock
        until = None if timeout_s is None else clock.now() + timeout_s
        async with self.events(*kinds, node_id=node_id) as events:
            while (event := await events.get(None if until is None else until - clock.now())) is not None:
                if suits(event):
                    return event
        raise NotDone(timeout_s or 0.0, kind_text(wanted, node_id))

    async def scan(self, addresses: Iterable[int] = range(1, 128), **options: Any) -> ScanResult:
        """As `Network.scan`."""
        scan = NetworkScan(self.network, addresses, **options)
        await Awaited(self.bridge, scan.begin).finish("abandon")
        return await asyncio.to_thread(scan.finished)


def _read(variable: NodeVariable) -> Plan[bytes]:
    raw: bytes = yield SdoRead(variable.node.node_id, variable.index, variable.subindex)
    return raw


def _answer_of(request: Gather | Together) -> Plan[list[Any]]:
    answers: list[Any] = yield request
    return answers
