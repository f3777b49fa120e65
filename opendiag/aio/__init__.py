"""The live side for asyncio: the same networks, nodes and plans, awaited instead of waited for.

::

    async with opendiag.aio.connect("sim:stepim") as net:
        motor = net[101]
        print(await motor["Statusword"].read())
        await motor["Profile Velocity"].write(5000)

How it works. One helper thread for each network begins transfers and plans and breaks them off, because beginning one
may have to wait for an adapter; the thread that reads the bus tells the event loop when they end. So the loop is never
held up, and a task that is cancelled takes its transfer or its plan with it.

On a `ManualClock` nobody reads the bus: there the helper thread lets time pass while some task awaits the network, and
stops whenever something happens, until the tasks that were woken by it have asked for what they want next. Simulated
time stands still while nobody awaits the network.

Everything belongs to the event loop in which the network was connected. What has no ``await`` of its own here is done
by the blocking network, on a thread: ``await net.call(net.network[101].pdo.tpdo(1).refresh)``.
"""

from __future__ import annotations

from opendiag.aio.network import AsyncNetwork, connect
from opendiag.aio.node import AsyncNode, AsyncVariable
from opendiag.aio.streams import Stream

__all__ = ["AsyncNetwork", "AsyncNode", "AsyncVariable", "Stream", "connect"]
