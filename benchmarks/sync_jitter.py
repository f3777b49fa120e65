"""How evenly a 1 kHz SYNC and the four RPDOs that go with it leave, beside the `canopen` package in the same run.

Both send to a python-can virtual bus in this process, and what counts is when the bus' own `send` is called: the period
from one frame to the next of the same identifier, against 1 ms. Rounds alternate, so that what else the computer does
hits both; what a bare loop of sleeps makes of the same period is printed beside them. canopen sends by
`network.sync.start` and `pdo.start`, opendiag by `network.sync` and four RPDOs on `network.on_sync`.

opendiag asks for real-time priority, where the system allows it (root, CAP_SYS_NICE or an rtprio limit); with --plain
it does not. Without it the tail of all three is how long other programs keep the processors: compare only what ran
side by side, and mind that canopen makes up for cycles it was late for (each counts here with less than a period)
while opendiag leaves them out.

    python benchmarks/sync_jitter.py [--seconds 60] [--plain]
"""

import sys
import time
import uuid

import can
import canopen
from can.interfaces.virtual import VirtualBus

from opendiag import connect
from opendiag.frame import Frame

SECONDS = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 60.0
PERIOD_S = 0.001
ROUND_S = 2.0
NODES = (1, 2, 3, 4)
#: Starting threads is no part of it.
WARM_S = 0.2
#: Did the system give opendiag's thread real-time priority?
PRIORITY = {}


class TimedBus(VirtualBus):
    """Notes when `send` was called with which identifier."""

    def __init__(self):
        super().__init__(channel=f"jitter {uuid.uuid4()}")
        self.calls = []

    def send(self, message, timeout=None):
        self.calls.append((message.arbitration_id, time.perf_counter()))
        super().send(message, timeout)


def ours(seconds):
    bus = TimedBus()
    with connect(bus) as network:
        network.cyclic.want_real_time = "--plain" not in sys.argv
        for node_id in NODES:
            frame = Frame(0x200 + node_id, bytes(8))
            network.on_sync(lambda now, frame=frame: network.send(frame))
        cycle = network.sync(PERIOD_S)
        time.sleep(WARM_S + seconds)
        cycle.stop()
        statistics = cycle.statistics
        PRIORITY["given"] = network.cyclic.real_time
    bus.shutdown()
    return bus.calls, statistics.missed


def theirs(seconds):
    bus = TimedBus()
    network = canopen.Network(bus)
    network.connect()
    pdos = []
    for node_id in NODES:
        node = canopen.RemoteNode(node_id, canopen.ObjectDictionary())
        network.add_node(node)
        pdo = canopen.pdo.base.PdoMap(node.rpdo, None, None)
        pdo.cob_id, pdo.data = 0x200 + node_id, bytearray(8)
        pdos.append(pdo)
    network.sync.start(PERIOD_S)
    for pdo in pdos:
        pdo.start(PERIOD_S)
    time.sleep(WARM_S + seconds)
    network.sync.stop()
    for pdo in pdos:
        pdo.stop()
    network.disconnect()
    bus.shutdown()
    return bus.calls, 0


def sleeping(seconds):
    """What a bare loop of sleeps to absolute deadlines gets: the noise of the computer."""
    calls, due = [], time.perf_counter()
    end = due + WARM_S + seconds
    while due < end:
        due += PERIOD_S
        time.sleep(max(due - time.perf_counter(), 0))
        calls.append((0x80, time.perf_counter()))
    return calls, 0


def errors_us(calls):
    """Of each frame the distance of its period from 1 ms, in microseconds."""
    last, found, begin = {}, {}, calls[0][1] + WARM_S
    for can_id, at in calls:
        if can_id in last and at >= begin:
            found.setdefault(can_id, []).append(abs(at - last[can_id] - PERIOD_S) * 1e6)
        last[can_id] = at
    return found


def percentiles(values):
    ordered = sorted(values)
    return [ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.99, 1.0)]


def main():
    who = {"bare sleep": sleeping, "canopen": theirs, "opendiag": ours}
    syncs, rpdos, missed = ({name: [] for name in who} for _ in range(3))
    rounds = max(1, round(SECONDS / ROUND_S))
    length = SECONDS / rounds
    for _ in range(rounds):
        for name, run in who.items():
            calls, left_out = run(length)
            found = errors_us(calls)
            syncs[name] += found.pop(0x80)
            rpdos[name] += [error for errors in found.values() for error in errors]
            missed[name].append(left_out)
    print(f"Python {sys.version.split()[0]}, python-can {can.__version__}, canopen {canopen.__version__}")
    print(f"{rounds} rounds of {length:g} s each; error of the period of {PERIOD_S * 1000:g} ms, in µs")
    print(f"{'':12}{'frames':>10}{'p50':>10}{'p99':>10}{'max':>10}")
    tails = {}
    for name in who:
        for what, values in (("SYNC", syncs[name]), ("RPDOs", rpdos[name])):
            if values:
                p50, p99, most = percentiles(values)
                tails[name, what] = p99
                print(f"{name} {what}".ljust(20) + f"{len(values):>8}{p50:>10.1f}{p99:>10.1f}{most:>10.1f}")
    print(f"opendiag's thread had {'real-time' if PRIORITY['given'] else 'ordinary'} priority")
    print(f"opendiag left out {sum(missed['opendiag'])} cycles")
    for what in ("SYNC", "RPDOs"):
        ratio = tails["opendiag", what] / tails["canopen", what]
        print(f"p99 of {what}: {ratio:.2f} of canopen's (target 0.50 at most): {'met' if ratio <= 0.5 else 'MISSED'}")


if __name__ == "__main__":
    main()
