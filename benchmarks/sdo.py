"""SDO transfers through the blocking API, beside the `canopen` package on the same bus in the same run.

Both clients talk to the same simulated node. First on a bus whose frames take no time, where only the software counts;
then the share of a 1 Mbit/s wire that the transfers reach, on simulated time, with the limit computed from frame bits.

    python benchmarks/sdo.py [--quick]
"""

import sys
import threading
import time
from collections import deque

import canopen

from opendiag.adapters.shared_bus import SharedBus
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.master.clock import ManualClock, RealClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode

QUICK = "--quick" in sys.argv
READS = 300 if QUICK else 3000
ROUNDS = 2 if QUICK else 5
MEGABYTE = 50_000 if QUICK else 1_000_000
NODE = 5
BIT_RATE = 1_000_000


def dictionary() -> ObjectDictionary:
    """A U32 to read and write, and a domain."""
    made = ObjectDictionary("benchmark")
    for index, data_type in ((0x1000, DataType.UNSIGNED32), (0x2000, DataType.UNSIGNED32), (0x2001, DataType.DOMAIN)):
        variable = Variable(index, 0, f"object {index:04X}", data_type, "rw")
        made.objects[index] = Object(index, variable.name, ObjectType.VAR, {0: variable})
    return made


def best(work, count):
    """Seconds of one of ``count`` pieces of work, the best of some rounds; and the spread of the rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) / count)
    return min(times), max(times) / min(times)


def simulated(bit_rate, clock=None):
    """A bus with a node on it."""
    clock = clock or RealClock()
    bus = SimBus(bit_rate, start=clock.now())
    bus.attach(SimNode(dictionary(), NODE), "node")
    return SimWorld(bus, clock)


def our_network(world):
    return Network(SimPort(world), world.clock, timeout_s=5, bit_rate=world.bus.bit_rate)


def their_network(world):
    """`canopen` with a controller of its own on the same kind of bus."""
    port, clock = SimPort(world), world.clock
    waiting = deque()

    def receive(timeout):
        if not waiting:
            waiting.extend(port.receive(clock.now() + (1.0 if timeout is None else timeout)))
        return waiting.popleft() if waiting else None

    network = canopen.Network(SharedBus("benchmark", port.send, receive, port.close))
    network.connect()
    return network


def repeat(call, count=READS):
    def work():
        for _ in range(count):
            call()

    return work, count


def line(name, ours, theirs, unit, scale):
    (mine, my_spread), (other, other_spread) = ours, theirs
    print(
        f"{name:26} opendiag {scale / mine:10,.0f} {unit:8} canopen {scale / other:10,.0f} {unit:8} "
        f"{other / mine:5.1f} times   (spread of rounds {my_spread:.2f}, {other_spread:.2f})"
    )


def beside_canopen():
    """Each client alone with a node of its own: one after the other, in one process."""
    value, data = bytes.fromhex("01020304"), bytes(range(250)) * 40
    large = bytes(range(250)) * (MEGABYTE // 250)
    ours, theirs = {}, {}
    with our_network(simulated(None)) as network:
        node = network[NODE]
        ours["expedited reads"] = best(*repeat(lambda: node.upload(0x2000)))
        ours["expedited writes"] = best(*repeat(lambda: node.download(0x2000, 0, value)))
        ours["10 kB segmented write"] = best(*repeat(lambda: node.download(0x2001, 0, data), 3))
        ours["10 kB segmented read"] = best(*repeat(lambda: node.upload(0x2001), 3))
        ours["1 MB block write"] = once(lambda: node.download(0x2001, 0, large, block=True))
        ours["1 MB block read"] = once(lambda: node.upload(0x2001, block=True))
    network = their_network(simulated(None))
    sdo = network.add_node(NODE).sdo
    sdo.RESPONSE_TIMEOUT = 5
    theirs["expedited reads"] = best(*repeat(lambda: sdo.upload(0x2000, 0)))
    theirs["expedited writes"] = best(*repeat(lambda: sdo.download(0x2000, 0, value)))
    theirs["10 kB segmented write"] = best(*repeat(lambda: sdo.download(0x2001, 0, data), 3))
    theirs["10 kB segmented read"] = best(*repeat(lambda: sdo.upload(0x2001, 0), 3))
    theirs["1 MB block write"] = once(lambda: write_blocks(sdo, large))
    theirs["1 MB block read"] = once(lambda: read_blocks(sdo, large))
    network.disconnect()
    for name, unit, scale in (
        ("expedited reads", "/s", 1),
        ("expedited writes", "/s", 1),
        ("10 kB segmented read", "B/s", len(data)),
        ("10 kB segmented write", "B/s", len(data)),
        ("1 MB block read", "B/s", len(large)),
        ("1 MB block write", "B/s", len(large)),
    ):
        line(name, ours[name], theirs[name], unit, scale)


def once(work):
    """Seconds, and no spread."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began, 1.0


def read_blocks(sdo, data):
    with sdo.open(0x2001, 0, "rb", block_transfer=True, buffering=0) as stream:
        total = 0
        while chunk := stream.read(7):
            total += len(chunk)
    assert total == len(data), total


def write_blocks(sdo, data):
    """In sevens: its own example's chunks of 1024 bytes fail."""
    with sdo.open(0x2001, 0, "wb", block_transfer=True, size=len(data), buffering=7) as stream:
        for start in range(0, len(data), 7):
            stream.write(data[start : start + 7])


def share_of_the_wire():
    """Simulated time against the bits of the frames that were on the bus, all of them needed by the protocol."""
    data = bytes(range(250)) * (MEGABYTE // 250)
    jobs = (
        ("expedited reads", lambda node: [node.upload(0x2000) for _ in range(READS)]),
        ("expedited writes", lambda node: [node.download(0x2000, 0, b"abcd") for _ in range(READS)]),
        ("1 MB block write", lambda node: node.download(0x2001, 0, data, block=True)),
        ("1 MB block read", lambda node: node.upload(0x2001, block=True)),
    )
    world = simulated(BIT_RATE, ManualClock())
    with our_network(world) as network:
        network.sleep(0.1)
        for name, job in jobs:
            began, bits = world.clock.now(), world.bus.statistics().frame_bits
            job(network[NODE])
            took = world.clock.now() - began
            bits = world.bus.statistics().frame_bits - bits
            limit = bits / BIT_RATE
            print(f"{name:26} {took:8.4f} s of bus time; its {bits:,} bits need {limit:8.4f} s: {limit / took:6.1%}")


def in_real_time():
    """The same reads in real time: what the computer makes of a 1 Mbit/s bus."""
    world = simulated(BIT_RATE)
    with our_network(world) as network:
        node = network[NODE]
        node.upload(0x2000)
        bits = world.bus.statistics().frame_bits
        node.upload(0x2000)
        limit = (world.bus.statistics().frame_bits - bits) / BIT_RATE
        took, spread = best(*repeat(lambda: node.upload(0x2000)))
        print(
            f"expedited reads {1 / took:8,.0f} /s; the wire allows {1 / limit:8,.0f}: {limit / took:6.1%} "
            f"(spread of rounds {spread:.2f})"
        )


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, {threading.active_count()} thread at start")
    print("\nA bus whose frames take no time:")
    beside_canopen()
    print("\nShare of a 1 Mbit/s wire, simulated time:")
    share_of_the_wire()
    print("\nThe same in real time:")
    in_real_time()
