"""SDO transfers through the blocking API, beside the `canopen` package on the same bus in the same run.

Both clients talk to the same simulated node. First on a bus whose frames take no time, where only the software counts;
then the share of a 1 Mbit/s wire that the transfers reach, on simulated time, with the limit computed from frame bits.

    python benchmarks/sdo.py [--quick]
"""

import sys
import threading
import time

import canopen

import opendiag
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.master.clock import ManualClock
from opendiag.simulate.bits import frame_bits
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode

QUICK = "--quick" in sys.argv
READS = 300 if QUICK else 3000
ROUNDS = 2 if QUICK else 5
MEGABYTE = 50_000 if QUICK else 1_000_000
NODE = 5
INTERMISSION = 3


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
    bus = SimBus(bit_rate, start=clock.now() if clock else time.time())
    node = SimNode(dictionary(), NODE)
    bus.attach(node, "node")
    return bus, node, opendiag.connect(bus, clock=clock, timeout_s=5)


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
    bus, node, network = simulated(None)
    with network:
        ours = network[NODE]
        theirs = network.canopen().add_node(NODE)
        theirs.sdo.RESPONSE_TIMEOUT = 5
        value = bytes.fromhex("01020304")
        line(
            "expedited reads",
            best(*repeat(lambda: ours.upload(0x2000))),
            best(*repeat(lambda: theirs.sdo.upload(0x2000, 0))),
            "/s",
            1,
        )
        line(
            "expedited writes",
            best(*repeat(lambda: ours.download(0x2000, 0, value))),
            best(*repeat(lambda: theirs.sdo.download(0x2000, 0, value))),
            "/s",
            1,
        )
        data = bytes(range(250)) * 40
        ours.download(0x2001, 0, data)
        line(
            "10 kB segmented read",
            best(*repeat(lambda: ours.upload(0x2001), 3)),
            best(*repeat(lambda: theirs.sdo.upload(0x2001, 0), 3)),
            "B/s",
            len(data),
        )
        line(
            "10 kB segmented write",
            best(*repeat(lambda: ours.download(0x2001, 0, data), 3)),
            best(*repeat(lambda: theirs.sdo.download(0x2001, 0, data), 3)),
            "B/s",
            len(data),
        )
        blocks(ours, theirs)


def blocks(ours, theirs):
    data = bytes(range(250)) * (MEGABYTE // 250)
    ours.download(0x2001, 0, data, block=True)

    def read_theirs():
        with theirs.sdo.open(0x2001, 0, "rb", block_transfer=True, buffering=0) as stream:
            total = 0
            while chunk := stream.read(7):
                total += len(chunk)
        assert total == len(data), total

    def write_theirs():
        with theirs.sdo.open(0x2001, 0, "wb", block_transfer=True, size=len(data), buffering=7) as stream:
            for start in range(0, len(data), 7):
                stream.write(data[start : start + 7])

    def read_ours():
        assert ours.upload(0x2001, block=True) == data

    for name, mine, other in (
        ("1 MB block read", read_ours, read_theirs),
        ("1 MB block write", lambda: ours.download(0x2001, 0, data, block=True), write_theirs),
    ):
        began = time.perf_counter()
        mine()
        my_time = time.perf_counter() - began
        began = time.perf_counter()
        other()
        line(name, (my_time, 1.0), (time.perf_counter() - began, 1.0), "B/s", len(data))


def share_of_the_wire():
    """Simulated time against the bits of the frames that were sent, all of them needed by the protocol."""
    data = bytes(range(250)) * (MEGABYTE // 250)
    jobs = (
        ("expedited reads", lambda node: [node.upload(0x2000) for _ in range(READS)]),
        ("expedited writes", lambda node: [node.download(0x2000, 0, b"abcd") for _ in range(READS)]),
        ("1 MB block read", lambda node: node.upload(0x2001, block=True)),
        ("1 MB block write", lambda node: node.download(0x2001, 0, data, block=True)),
    )
    clock = ManualClock()
    bus, _, network = simulated(1_000_000, clock)
    with network:
        node = network[NODE]
        node.download(0x2001, 0, data, block=True)
        for name, job in jobs:
            with network.frames() as frames:
                bits = [0]
                original = frames.received

                def received(frame, now, bits=bits, original=original):
                    bits[0] += frame_bits(frame) + INTERMISSION

                frames.received = received
                network.pump.unlisten(frames)
                network.pump.listen(frames)
                began = clock.now()
                job(node)
                took = clock.now() - began
            limit = bits[0] / 1_000_000
            print(f"{name:26} {took:9.4f} s of bus time; its {bits[0]:,} bits need {limit:9.4f} s: {limit / took:6.1%}")


def in_real_time():
    """The same reads in real time: what the computer makes of a 1 Mbit/s bus."""
    bus, _, network = simulated(1_000_000)
    with network:
        node = network[NODE]
        node.upload(0x2000)
        took, spread = best(*repeat(lambda: node.upload(0x2000)))
        request, answer = opendiag.Frame(0x605, bytes.fromhex("4000200000000000")), opendiag.Frame(0x585, bytes(8))
        limit = (frame_bits(request) + frame_bits(answer) + 2 * INTERMISSION) / 1_000_000
        print(f"expedited reads, real time {1 / took:8,.0f} /s; the wire allows {1 / limit:8,.0f}: {limit / took:6.1%}")


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, {threading.active_count()} thread at start")
    print("\nA bus whose frames take no time:")
    beside_canopen()
    print("\nShare of a 1 Mbit/s wire, simulated time:")
    share_of_the_wire()
    print("\nThe same in real time:")
    in_real_time()
