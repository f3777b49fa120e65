"""Eight nodes, a full bus and broken frames for a long time: does every figure add up, and does the memory stay flat?

    python benchmarks/soak.py [--minutes 10] [--seed 1]     simulated time, as fast as the computer; one thread
    python benchmarks/soak.py --real-time [--minutes 1]     one thread per node, on the computer's clock
    python benchmarks/soak.py --threads [--reads 10000]     eight threads on eight nodes, then on one: nothing breaks

Transfers of all kinds run with eight simulated nodes beside PDO-like frames and a filler that takes the rest of the
bus, so that it is always busy. One frame in a hundred is destroyed, lost, doubled, delayed or swapped with another.
What is checked is in `Soak.verdict`. The exit code is 1 when something does not add up.
"""

import argparse
import io
import random
import sys
import threading
import time
from collections import Counter
from itertools import groupby
from pathlib import Path

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import SdoAborted, SdoCancelled, SdoError, SdoProtocolError, SdoTimeout
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock, RealClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.services.sdo_server import ObjectWritten
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode

NODES = range(1, 9)
U32, DOMAIN, READ_ONLY, MISSING = 0x2000, 0x2001, 0x2002, 0x5FFF
TIMEOUT_S = 0.5
#: Longer than the time-out: an answer that comes when nobody waits for it any more.
LATE_S = 0.6
#: So long after a request was doubled its second answer may still come.
DOUBLED_S = 0.05
#: Memory may grow by that much after the first fifth of the run.
GROWTH_BYTES = 4_000_000
PAGE = 4096
#: What a refused transfer must say.
REFUSALS = {"missing": 0x0602_0000, "read-only": 0x0601_0002}
KINDS = {
    "read": 30,
    "write": 30,
    "segmented read": 10,
    "segmented write": 10,
    "block read": 6,
    "block write": 6,
    "stream read": 3,
    "stream write": 3,
    "missing": 2,
    "read-only": 2,
    "cancelled": 2,
}


def dictionary() -> ObjectDictionary:
    made = ObjectDictionary("soak")
    for index, data_type, access in (
        (0x1000, DataType.UNSIGNED32, "ro"),
        (U32, DataType.UNSIGNED32, "rw"),
        (DOMAIN, DataType.DOMAIN, "rw"),
        (READ_ONLY, DataType.UNSIGNED32, "ro"),
    ):
        variable = Variable(index, 0, f"object {index:04X}", data_type, access)
        made.objects[index] = Object(index, variable.name, ObjectType.VAR, {0: variable})
    return made


def faults(rate: float) -> list[Fault]:
    """Together they hit about ``rate`` of all frames.

    None holds a frame back for longer than a client leaves the line in peace after a time-out: on a real bus, the
    frames of one node do not overtake each other. Late answers come from `Device`.
    """
    every = rate / 5
    swaps = [Fault("reorder", sender=f"node {node}", probability=every, delay_s=0.003) for node in NODES]
    return [
        Fault("error", probability=every),
        Fault("drop", probability=every),
        Fault("duplicate", probability=every, delay_s=0.0),
        Fault("delay", probability=every, delay_s=0.002),
        Fault("reorder", probability=every, delay_s=0.003),
        *swaps,
    ]


class Filler:
    """Always has a frame to send, of the lowest priority there is. Its station echoes."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.stock = [Frame(0x1F00_0000 + n, chance.randbytes(8), extended=True) for n in range(64)]
        self.out = [self.stock[0]]
        self.count = 1
        self.running = True

    def receive(self, frame: Frame, now: float) -> None:
        if frame.direction == "tx" and self.running:
            self.out.append(self.stock[self.count % 64])
            self.count += 1

    def tick(self, now: float) -> None:
        pass

    def deadline(self) -> float | None:
        return None

    def frames_to_send(self) -> list[Frame]:
        out, self.out = self.out, []
        return out

    def events(self) -> list[object]:
        return []


class Pdos(Filler):
    """Two frames of high priority again and again, for a quarter of the bus."""

    def __init__(self, seed: int, bit_rate: int) -> None:
        super().__init__(seed)
        self.stock = [Frame(0x181 + n % 8, frame.data) for n, frame in enumerate(self.stock)]
        self.due, self.every_s = 0.0, 2000 / bit_rate
        self.out = []

    def receive(self, frame: Frame, now: float) -> None:
        pass

    def tick(self, now: float) -> None:
        if now >= self.due and self.running:
            self.due = now + self.every_s
            self.out += [self.stock[self.count % 64], self.stock[(self.count + 1) % 64]]
            self.count += 2

    def deadline(self) -> float | None:
        return self.due if self.running else None


class Device(SimNode):
    """A node with an acceptance filter that is busy with something else now and then, and answers late, in order.

    Nobody touches it but the bus: what it wants changes with a frame or a tick only. The bus asks for that several
    times a frame, which is half of its work with eight nodes.
    """

    def __init__(self, node_id: int, busy: float = 0.0) -> None:
        self.asked = False
        self.at = None
        super().__init__(dictionary(), node_id)
        self.accepted = (0x000, 0x080, 0x600 + node_id)
        self.chance, self.busy = random.Random(node_id), busy
        self.waiting: list[Frame] = []
        self.busy_until, self.naps = 0.0, 0

    def receive(self, frame: Frame, now: float) -> None:
        if frame.can_id not in self.accepted:
            return
        self.asked = False
        if now >= self.busy_until and not self.waiting and self.chance.random() < self.busy:
            self.busy_until = now + LATE_S
            self.naps += 1
        if now < self.busy_until or self.waiting:
            self.waiting.append(frame)
        else:
            super().receive(frame, now)

    def tick(self, now: float) -> None:
        self.asked = False
        if now >= self.busy_until:
            waiting, self.waiting = self.waiting, []
            for frame in waiting:
                super().receive(frame, now)
            super().tick(now)

    def deadline(self) -> float | None:
        if not self.asked:
            self.asked = True
            self.at = self.busy_until if self.waiting else super().deadline()
        return self.at


class CountingPort(SimPort):
    """Counts at the lowest place of the live side."""

    def __init__(self, world: SimWorld) -> None:
        super().__init__(world, "soak")
        self.sent = self.received = self.error_frames = 0

    def send(self, frame: Frame) -> None:
        super().send(frame)
        self.sent += 1

    def receive(self, until: float) -> list[Frame]:
        frames = super().receive(until)
        self.received += len(frames)
        self.error_frames += sum(frame.error for frame in frames)
        return frames


class Client:
    """Uses one node, one transfer after the other, and knows what the node's objects may hold."""

    def __init__(self, soak: "Soak", node_id: int) -> None:
        self.soak = soak
        self.device = soak.devices[node_id]
        self.node = soak.network[node_id]
        self.chance = random.Random(f"{soak.seed} {node_id}")
        self.possible = {U32: {bytes(4)}, DOMAIN: {b"begin"}}
        self.device.store.values[DOMAIN, 0] = b"begin"
        self.pending = None
        self.kind = ""
        self.index = 0
        self.data = b""
        self.stream = None
        self.cancel_at = None
        self.began_at = 0.0
        self.begun = self.good = self.failed = 0

    def begin(self) -> None:
        chance, node = self.chance, self.node
        self.kind = kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        self.data, self.stream, self.cancel_at = b"", None, None
        block = kind.startswith("block")
        self.index = {"read": U32, "write": U32, "missing": MISSING, "read-only": READ_ONLY}.get(kind, DOMAIN)
        if kind == "cancelled":
            self.cancel_at = self.soak.clock.now() + chance.random() * 0.01
            block = chance.random() < 0.5
        if kind.endswith("read") or kind == "missing":
            self.stream = io.BytesIO() if kind == "stream read" else None
            self.pending = node.begin_upload(self.index, 0, block=block, into=self.stream)
        else:
            size = 4 if self.index != DOMAIN else chance.randrange(5, 3000 if block else 300)
            self.data = chance.randbytes(size)
            given = io.BytesIO(self.data) if kind == "stream write" else self.data
            announced = size if kind == "stream write" else None
            self.pending = node.begin_download(self.index, 0, given, size=announced, block=block)
        self.began_at = self.soak.clock.now()
        self.begun += 1

    def settle(self) -> None:
        """The transfer is over: is what it says true?"""
        soak, kind = self.soak, self.kind
        with soak.world.lock:
            stored = self.device.store.values.get((self.index, 0), b"")
        possible = self.possible.get(self.index, {stored})
        try:
            answer = self.pending.result(0)
        except SdoError as error:
            self.failed += 1
            soak.errors[type(error).__name__] += 1
            self._failed(error, stored, possible)
        else:
            self.good += 1
            soak.kinds[kind, self.pending.transfer.kind] += 1
            if kind in REFUSALS:
                soak.wrong(f"{kind}: done")
            elif self.data and stored != self.data and soak.doubled(self.node.node_id):
                soak.ambiguous += 1
                possible.add(self.data)
            elif self.data:
                soak.expect(stored == self.data, f"{kind} of node {self.node.node_id} is done and not in the node")
                possible = {self.data}
            else:
                read = answer if self.stream is None else self.stream.getvalue()
                right = read == stored and read in possible
                soak.expect(right, f"{kind} of node {self.node.node_id} gave {read[:8].hex()}, not {stored[:8].hex()}")
        soak.expect(stored in possible, f"{kind}: node {self.node.node_id} holds what nobody wrote")
        if self.index in self.possible:
            self.possible[self.index] = possible if self._is_open(stored) else {stored}
        soak.longest_s = max(soak.longest_s, soak.clock.now() - self.began_at)
        self.pending = None

    def _is_open(self, stored: bytes) -> bool:
        """May an earlier write still be on its way? What is done and right settles it: a node answers in order."""
        return self.pending.transfer.error is not None or (bool(self.data) and stored != self.data)

    def _failed(self, error: SdoError, stored: bytes, possible: set[bytes]) -> None:
        """Only errors that a broken line explains, and a write that cannot be done has changed nothing."""
        soak, kind = self.soak, self.kind
        if isinstance(error, SdoAborted) and kind in REFUSALS:
            soak.refused += error.code == REFUSALS[kind]
        elif isinstance(error, SdoAborted):
            soak.expect(error.code not in REFUSALS.values(), f"{kind} of node {self.node.node_id}: {error}")
        if isinstance(error, SdoCancelled):
            soak.expect(self.cancel_at is not None, f"{kind}: cancelled by nobody")
        known = isinstance(error, SdoAborted | SdoTimeout | SdoProtocolError | SdoCancelled)
        soak.expect(known and bool(str(error)), f"{kind}: {error!r}")
        if not self.data:
            return
        if isinstance(error, SdoTimeout) and not error.may_be_done:
            soak.expect(stored != self.data, f"{kind}: timed out as if not done, and it is in the node")
        if kind not in REFUSALS:
            possible.add(self.data)

    def step(self) -> None:
        """Whatever is to be done at this moment."""
        if self.pending is not None and self.cancel_at is not None and self.soak.clock.now() >= self.cancel_at:
            self.pending.cancel()
            self.cancel_at = -1.0
        if self.pending is not None and self.pending.done:
            self.settle()
        if self.pending is None and self.soak.running:
            self.begin()

    @property
    def done(self) -> bool:
        """Is there something to do?"""
        return self.pending is None or self.pending.done

    def wait(self) -> None:
        """For threads: until there is something to do."""
        at = self.cancel_at if self.cancel_at is not None and self.cancel_at > 0 else None
        self.soak.network.pump.wait(self, at)


class Anyone:
    """Done when one of them is."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients

    @property
    def done(self) -> bool:
        return not self.clients or any(client.done for client in self.clients)


class Soak:
    """Counts of a run, and the sentences of what was wrong."""

    def __init__(self, seed: int, clock, bit_rate: int, rate: float) -> None:
        self.seed, self.clock = seed, clock
        self.heard = Counter()
        self.kinds, self.errors, self.fired = Counter(), Counter(), Counter()
        self.complaints: list[str] = []
        self.complaint_count = self.written = self.refused = self.listed = self.listed_lost = 0
        self.extra = self.ambiguous = 0
        self.doubled_at: dict[int, float] = {}
        self.running = True
        self.longest_s = 0.0
        self.memory: list[tuple[float, int]] = []
        self.bus = SimBus(bit_rate, faults=faults(rate), seed=seed, start=clock.now())
        self.world = SimWorld(self.bus, clock)
        self.port = CountingPort(self.world)
        self.network = Network(self.port, clock, timeout_s=TIMEOUT_S, bit_rate=bit_rate)
        self.frames = self.network.frames()
        self.devices = {node: Device(node, rate / 50) for node in NODES}
        self.background = [Pdos(seed, bit_rate), Filler(seed)]
        with self.world.lock:  # after the listener: nothing has been sent before
            for node, device in self.devices.items():
                self.bus.attach(device, f"node {node}", on_event=self.event)
            self.bus.attach(self.background[0], "pdos")
            self.bus.attach(self.background[1], "filler", echo=True)
        self.network.sleep(0.1)  # they boot
        self.began, self.wall_began = clock.now(), time.perf_counter()
        self.clients = [Client(self, node) for node in NODES]

    def doubled(self, node_id: int) -> bool:
        """Was a request of this node doubled just now?

        The node answers both, and the second answer looks like one to the next write of the same object, which is
        then done a moment before its time. The protocol gives a client no means to know.
        """
        with self.world.lock:
            self.settle_faults()
        return self.clock.now() - self.doubled_at.get(node_id, float("-inf")) < DOUBLED_S

    def event(self, event: object, now: float) -> None:
        self.written += type(event) is ObjectWritten

    def wrong(self, sentence: str) -> None:
        self.complaint_count += 1
        if len(self.complaints) < 20:
            self.complaints.append(f"{self.clock.now() - self.began:.6f} s: {sentence}")

    def expect(self, right: bool, sentence: str) -> None:
        if not right:
            self.wrong(sentence)

    # --- running ---

    def side_by_side(self, seconds: float) -> None:
        """All clients in this thread."""
        clients, clock, pump = self.clients, self.clock, self.network.pump
        ends, anyone = self.began + seconds, Anyone(clients)
        while clock.now() < ends:
            for client in clients:
                client.step()
            cancels = [c.cancel_at for c in clients if c.cancel_at is not None and c.cancel_at > clock.now()]
            pump.wait(anyone, min([ends, *cancels]))
            self.take_stock()
        self.running = False

    def threaded(self, seconds: float) -> None:
        def work(client: Client) -> None:
            try:
                while self.running:
                    client.step()
                    client.wait()
            except BaseException as error:
                self.wrong(f"thread of node {client.node.node_id}: {error!r}")

        threads = [threading.Thread(target=work, args=(client,)) for client in self.clients]
        for thread in threads:
            thread.start()
        while self.clock.now() < self.began + seconds:
            time.sleep(0.05)
            self.take_stock()
        self.running = False
        for thread in threads:
            thread.join(10)
            self.expect(not thread.is_alive(), f"{thread.name} does not end")

    def finish(self) -> None:
        """No new frames and transfers; those that run come to an end, then the bus does."""
        pump, limit = self.network.pump, self.clock.now() + 20
        with self.world.lock:
            self.load = self.bus.statistics().load
            for background in self.background:
                background.running = False
        while any(client.pending for client in self.clients) and self.clock.now() < limit:
            for client in self.clients:
                client.step()
            pump.wait(Anyone([client for client in self.clients if client.pending is not None]), limit)
        self.network.sleep(2 * LATE_S)
        self.take_stock()

    def take_stock(self) -> None:
        """Empty what grows by its nature, and look at the memory once a simulated second."""
        while (frame := self.frames.get(0) if self.frames_waiting() else None) is not None:
            self.heard[frame.direction, frame.error] += 1
        with self.world.lock:
            self.settle_faults()
        elapsed = self.clock.now() - self.began
        if not self.memory or elapsed >= self.memory[-1][0] + 1:
            self.memory.append((elapsed, resident()))
            if int(elapsed) // 60 > int(self.memory[-2][0] if len(self.memory) > 1 else 0) // 60:
                print(self.progress(elapsed), flush=True)

    def frames_waiting(self) -> bool:
        return self.port.received + self.port.sent > sum(self.heard.values())

    def settle_faults(self) -> None:
        """What each fault should have changed for the port, from the list alone."""
        fired = self.bus.fired
        for (_, name), group in groupby(fired, key=lambda one: (one.time, one.senders)):
            copies = 1
            for one in group:
                self.fired[one.fault.action] += 1
                if one.fault.action == "drop":
                    self.listed_lost += copies > 0
                    copies = 0
                elif one.fault.action == "duplicate":
                    copies *= 2
                    self.doubled_at[one.frame.can_id - 0x600] = one.time
            if self.port.name not in name:
                self.extra += copies - 1
        self.listed += len(fired)
        fired.clear()

    def progress(self, elapsed: float) -> str:
        good = sum(client.good for client in self.clients)
        wall = time.perf_counter() - self.wall_began
        return (
            f"{elapsed:6.0f} s simulated, {wall:6.0f} s on the wall: {good:,} transfers, "
            f"{resident() / 1e6:.1f} MB, {self.complaint_count} complaints"
        )

    # --- the end ---

    def verdict(self) -> int:
        """Print everything, and 1 when something is wrong."""
        statistics, port, watch = self.bus.statistics(), self.port, self.network.watch
        begun = sum(client.begun for client in self.clients)
        good = sum(client.good for client in self.clients)
        failed = sum(client.failed for client in self.clients)
        heard = sum(count for (direction, _), count in self.heard.items() if direction == "rx")
        errors = self.heard["rx", True]
        expected = port.station.received + self.extra
        writes = sum(count for (kind, _), count in self.kinds.items() if "write" in kind)
        s = statistics
        sums = [
            ("queued = sent + pending + dropped", s.queued, s.sent + s.pending + s.dropped),
            ("nothing pending, dropped, late or held at the end", 0, s.pending + s.dropped + s.late + s.held_by_faults),
            ("frames received by the port = heard by the listener", port.received, heard),
            ("frames received by the port = known to the watch", port.received - errors, watch.frames),
            ("frames on the bus, with what the faults changed = received", expected, port.received - errors),
            ("error frames on the bus = received", s.error_frames, errors),
            ("frames sent by the port = heard by the listener", port.sent, heard_sent(self.heard)),
            ("frames sent by the port = queued by its station", port.sent, port.station.queued),
            ("transfers begun = done + failed", begun, good + failed),
            ("transfers failed = errors raised", failed, sum(self.errors.values())),
            ("faults of the script that lost a frame = listed", s.lost_by_faults, self.listed_lost),
            ("faults of the script that destroyed one = listed", s.error_frames, self.fired["error"]),
            ("faults fired = listed", self.listed + s.faults_fired, sum(self.fired.values())),
            ("frames lost for the listener", 0, self.frames.lost),
            ("transfers left in the clients", 0, sum(client.node.client.pending for client in self.clients)),
        ]
        print(f"\n{'transfers that were done':44}{good:>12,}")
        for (kind, form), count in sorted(self.kinds.items()):
            print(f"    {kind + ' (' + form + ')':40}{count:>12,}")
        print(f"{'transfers that failed':44}{failed:>12,}   {self.refused:,} of them refused as they should be")
        for name, count in sorted(self.errors.items()):
            print(f"    {name:40}{count:>12,}")
        print(f"{'longest transfer':44}{self.longest_s:>12.3f} s")
        frames = s.frames + s.error_frames
        print(f"{'frames on the bus':44}{frames:>12,}   load {self.load:.2%}")
        print(f"{'frames hit by faults':44}{self.listed:>12,}   {self.listed / max(frames, 1):.2%}: {dict(self.fired)}")
        naps = sum(device.naps for device in self.devices.values())
        print(f"{'times that a node was busy for 0.6 s':44}{naps:>12,}")
        print(f"{'late answers, strays':44}{self.strays():>12}")
        print(f"{'writes done by the answer to a doubled one':44}{self.ambiguous:>12,}")
        print(f"{'oddities kept':44}{len(self.network.oddities):>12,}")
        for name, left, right in sums:
            self.expect(left == right, f"{name}: {left} and {right}")
            print(f"{name:60}{left:>12,} {right:>12,}  {'' if left == right else '<--- WRONG'}")
        self.expect(self.written >= writes, f"{writes} writes done, {self.written} executed by the nodes")
        print(f"{'writes executed by the nodes >= writes done':60}{self.written:>12,} {writes:>12,}")
        self.judge_memory()
        for complaint in self.complaints:
            print("WRONG:", complaint)
        simulated, wall = self.clock.now() - self.began, time.perf_counter() - self.wall_began
        complaints = f"{self.complaint_count} complaints"
        print(f"{simulated:.1f} s of the bus in {wall:.1f} s: {simulated / wall:.2f} times; {complaints}")
        return 1 if self.complaint_count else 0

    def strays(self) -> str:
        clients = [client.node.client for client in self.clients]
        return f"{sum(c.late_answers for c in clients):,}, {sum(c.strays for c in clients):,}"

    def judge_memory(self) -> None:
        """Growth is the highest of the last fifth above the highest of the second fifth."""
        total = self.memory[-1][0]
        early = max((size for at, size in self.memory if total / 5 <= at <= total * 2 / 5), default=self.memory[0][1])
        late = max(size for at, size in self.memory if at >= total * 4 / 5)
        start = self.memory[0][1]
        if total > 30:  # until then, what is kept of the last second is still filling up
            self.expect(late - early <= GROWTH_BYTES, f"memory grows by {late - early:,} bytes")
        print(
            f"memory: {start / 1e6:.1f} MB at the start, at most {early / 1e6:.2f} MB in the second fifth of the run "
            f"and {late / 1e6:.2f} MB in the last (allowed: {GROWTH_BYTES / 1e6:.0f} MB more)"
        )


def heard_sent(heard: Counter) -> int:
    return sum(count for (direction, _), count in heard.items() if direction == "tx")


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def threads(nodes: int, reads: int, clock, bit_rate: int | None) -> int:
    """Eight threads read two objects with known values; returns how much was wrong."""
    bus = SimBus(bit_rate, start=clock.now())
    world = SimWorld(bus, clock)
    for node in range(1, nodes + 1):
        device = Device(node)
        device.store.values[U32, 0], device.store.values[READ_ONLY, 0] = b"\1\2\3\4", b"\5\6\7\x08"
        bus.attach(device, f"node {node}", on_event=lambda event, now: None)
    ended, longest, wrong = {}, {}, []
    with Network(SimPort(world), clock, timeout_s=5) as network:

        def work(place: int) -> None:
            node, slowest = network[place % nodes + 1], 0.0
            try:
                for turn in range(reads):
                    began = time.perf_counter()
                    index, right = (READ_ONLY, b"\5\6\7\x08") if turn % 2 else (U32, b"\1\2\3\4")
                    if node.upload(index) != right:
                        wrong.append(f"thread {place}: wrong value in turn {turn}")
                    slowest = max(slowest, time.perf_counter() - began)
                ended[place], longest[place] = time.perf_counter() - start, slowest
            except BaseException as error:
                wrong.append(f"thread {place}: {error!r}")

        workers = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(8)]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(600)
    if len(ended) < 8:
        wrong.append(f"only {len(ended)} of 8 threads came to their end")
    else:
        kind = "manual clock" if not clock.runs else "real clock"
        print(
            f"8 threads x {nodes} nodes x {reads:,} reads, {kind}: {8 * reads / max(ended.values()):,.0f} reads/s; "
            f"threads ended after {min(ended.values()):.2f}..{max(ended.values()):.2f} s, "
            f"the longest read took {max(longest.values()) * 1e3:.1f} ms"
        )
        if max(ended.values()) > 2 * min(ended.values()):
            wrong.append("the slowest thread took more than twice the time of the fastest")
    for sentence in wrong[:10]:
        print("WRONG:", sentence)
    return len(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description="A long run with faults; exit code 1 when something does not add up.")
    parser.add_argument("--minutes", type=float, default=10.0, help="time on the bus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.01, help="share of frames that a fault hits")
    parser.add_argument("--bit-rate", type=int, default=0, help="1 Mbit/s; in real time 125 kbit/s")
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--reads", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.threads:
        runs = [
            (8, ManualClock(), 1_000_000),
            (1, ManualClock(), 1_000_000),
            (8, RealClock(), None),
            (1, RealClock(), None),
        ]
        return 1 if sum(threads(nodes, arguments.reads, clock, rate) for nodes, clock, rate in runs) else 0
    real = arguments.real_time
    bit_rate = arguments.bit_rate or (125_000 if real else 1_000_000)
    soak = Soak(arguments.seed, RealClock() if real else ManualClock(), bit_rate, arguments.rate)
    kind = "real" if real else "simulated"
    print(f"8 nodes at {bit_rate:,} bit/s, seed {arguments.seed}, {arguments.minutes:g} minutes of {kind} time")
    with soak.network:
        (soak.threaded if real else soak.side_by_side)(60 * arguments.minutes)
        soak.finish()
        return soak.verdict()


if __name__ == "__main__":
    sys.exit(main())
