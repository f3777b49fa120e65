"""PDO samples per second to a subscriber that reads every value, beside `canopen`'s callback that does the same.

Both use the same EDS (StepIM, TPDO1..3: 7 values of 3, 8 and 8 bytes) and get the same frames. First injected where
frames enter the package (`Network.notify` of canopen, the port of an opendiag network), then on python-can's virtual
bus from end to end, where both pay for python-can's messages. Wall time until the last callback has returned; rounds
alternate.

    python benchmarks/pdo.py [--quick]
"""

import statistics
import sys
import threading
import time

import can
import canopen
from can.interfaces.virtual import VirtualBus

import opendiag
from opendiag import Frame, load
from opendiag.errors import SendFailed
from opendiag.master.clock import RealClock
from opendiag.master.network import Network
from opendiag.resources import bundled_path

QUICK = "--quick" in sys.argv
NODE = 101
COUNT = 3_000 if QUICK else 60_000
ROUNDS = 2 if QUICK else 7
#: Frames that an adapter under load hands over at a time.
CHUNK = 8
NUMBERS = (1, 2, 3)
VALUES_OF_THREE = 7


def payloads():
    """(CAN-ID, data), in turn TPDO1, TPDO2 and TPDO3, each with other values than before."""
    made = []
    for i in range(COUNT // 3):
        made.append((0x180 + NODE, (0x0227 + i % 7).to_bytes(2, "little") + b"\x08"))
        made.append((0x280 + NODE, (i * 37).to_bytes(4, "little") + (i % 1000).to_bytes(4, "little")))
        made.append((0x380 + NODE, (i % 300).to_bytes(2, "little") + b"\x05\x00" + i.to_bytes(4, "little")))
    return made


class Counter:
    """What both subscribers do: take every value."""

    def __init__(self):
        self.values = []
        self.frames = 0
        self.done = threading.Event()

    def add(self, values):
        self.values.extend(values)
        self.frames += 1
        if self.frames == COUNT:
            self.done.set()

    def wait(self):
        assert self.done.wait(120), f"{self.frames} of {COUNT} came"
        return self.values


class FramePort:
    """A port that has its frames already, and lets go of them when told."""

    name, listen_only, runs_in_thread = "frames", True, True

    def __init__(self, frames):
        self.chunks = [frames[at : at + CHUNK] for at in range(0, len(frames), CHUNK)][::-1]
        self.go = threading.Event()

    def send(self, frame):
        raise SendFailed(self.name, "it only receives")

    def receive(self, until):
        if not self.go.is_set() or not self.chunks:
            time.sleep(0.001)
            return []
        return self.chunks.pop()

    def close(self):
        pass


class GatedBus(VirtualBus):
    """Frames wait on it until the gate opens."""

    def __init__(self, channel):
        self.gate = threading.Event()
        super().__init__(channel)

    def _recv_internal(self, timeout):
        if not self.gate.is_set():
            self.gate.wait(timeout)
            return None, False
        return super()._recv_internal(timeout)


def canopen_node(network, counter):
    node = network.add_node(NODE, str(bundled_path("eds") / "stepim.eds"))
    node.tpdo.read(from_od=True)
    for number in NUMBERS:
        node.tpdo[number].add_callback(lambda pdo: counter.add([variable.raw for variable in pdo]))


def subscribe(network, counter):
    for number in NUMBERS:
        network[NODE].pdo.tpdo(number).subscribe(lambda sample: counter.add(sample.values.values()))


def dispatch_canopen(given):
    network, counter = canopen.Network(), Counter()
    canopen_node(network, counter)
    messages = [(can_id, bytearray(data)) for can_id, data in given]
    began = time.perf_counter()
    for can_id, data in messages:
        network.notify(can_id, data, 0.0)
    values = counter.wait()
    return time.perf_counter() - began, values


def dispatch_opendiag(given):
    port, counter = FramePort([Frame(can_id, data, time_ns=0) for can_id, data in given]), Counter()
    with Network(port, RealClock(), {NODE: load("stepim")}) as network:
        subscribe(network, counter)
        began = time.perf_counter()
        port.go.set()
        values = counter.wait()
        return time.perf_counter() - began, values


def filled_bus(given, channel):
    """A bus on which all the frames wait."""
    bus = GatedBus(channel)
    with VirtualBus(channel) as sender:
        for can_id, data in given:
            sender.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False))
    return bus


def virtual_canopen(given):
    network, counter = canopen.Network(), Counter()
    canopen_node(network, counter)
    network.bus = bus = filled_bus(given, "canopen")
    network.notifier = can.Notifier(bus, network.listeners, 1)
    began = time.perf_counter()
    bus.gate.set()
    values = counter.wait()
    took = time.perf_counter() - began
    network.disconnect()
    return took, values


def virtual_opendiag(given):
    counter = Counter()
    with (
        filled_bus(given, "opendiag") as bus,
        opendiag.connect(bus, dictionaries={NODE: "stepim"}, listen_only=True) as network,
    ):
        subscribe(network, counter)
        began = time.perf_counter()
        bus.gate.set()
        values = counter.wait()
        return time.perf_counter() - began, values


def compare(title, ours, peer):
    given = payloads()
    rates = {ours: [], peer: []}
    results = {}
    for _ in range(ROUNDS):
        for work in (ours, peer):
            took, values = work(given)
            rates[work].append(COUNT / took)
            results[work] = values
    assert results[ours] == results[peer], "both must deliver the same values"
    assert len(results[ours]) == COUNT // 3 * VALUES_OF_THREE
    ratios = [a / b for a, b in zip(rates[ours], rates[peer], strict=True)]
    print(title)
    for name, work in (("opendiag", ours), ("canopen", peer)):
        print(f"  {name:9} {max(rates[work]):9,.0f} samples/s (worst round {min(rates[work]):,.0f})")
    print(f"  ratio     {statistics.median(ratios):9.2f} (median of rounds; {min(ratios):.2f} to {max(ratios):.2f})")


compare("dispatch: from where frames enter the package to the callback", dispatch_opendiag, dispatch_canopen)
compare("end to end on python-can's virtual bus", virtual_opendiag, virtual_canopen)
