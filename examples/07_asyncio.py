"""The same with asyncio: tasks side by side, and a transfer that is given up properly.

Run it from anywhere: python examples/07_asyncio.py
"""

import asyncio

import opendiag.aio
from opendiag.services.plans import Plan, SdoRead, Sleep


def hottest(nodes: list[int]) -> Plan[int]:
    """A plan knows neither threads nor event loops: Network.run runs it as well."""
    temperatures = {}
    for node_id in nodes:
        temperatures[node_id] = int.from_bytes((yield SdoRead(node_id, 0x2044)), "little")
        yield Sleep(0.001)
    return max(temperatures, key=lambda node_id: temperatures[node_id])


async def main() -> None:
    async with opendiag.aio.connect("sim:stepim=5,stepim=6") as network:
        words = await asyncio.gather(*(network[node_id]["Statusword"].read() for node_id in (5, 6)))
        print("statuswords:", *(f"{word:04X}" for word in words))
        print("hottest: node", await network.run(hottest([5, 6])))

        try:  # node 9 is not there: the wait for it ends when we want
            await asyncio.wait_for(network[9][0x1000].read(), 0.2)
        except asyncio.TimeoutError:
            print("node 9 was given up; the others go on:", await network[5]["Statusword"].read())


asyncio.run(main())
