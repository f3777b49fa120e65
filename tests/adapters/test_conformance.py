"""One suite for every bus: what a program may rely on, whichever adapter it has.

A bench (tests/emulators/bench_*.py) puts an emulated adapter on a `BusModel` and opens our driver for it. Its flags
say what the adapter can do; what it cannot is skipped with the reason, or must be refused.
"""

import copy
import importlib
import itertools
import random
import threading
import time
from pathlib import Path

import can
import pytest
from emulators.bus_model import BusModel

from opendiag.adapters.bus import AdapterBus, Unplugged
from opendiag.frame import FD_LENGTHS, Frame

EMULATORS = Path(__file__).parents[1] / "emulators"
#: What a driver may take to tell that the plug was pulled.
UNPLUG_S = 1.0
FD = {"fd": True, "data_bitrate": 2_000_000}
#: No adapter has room for fewer frames.
ROOM = 50
#: Of one processor, while nothing happens; a busy loop takes all of it.
IDLE_LOAD = 0.2


def bench_classes():
    for path in sorted(EMULATORS.glob("bench_*.py")):
        module = importlib.import_module(f"emulators.{path.stem}")
        # A module with several says which; one with a single bench need not.
        yield from getattr(module, "BENCHES", None) or [
            found for name, found in vars(module).items() if name.endswith("Bench") and hasattr(found, "interface")
        ]


BENCHES = list(bench_classes())
each_bench = pytest.mark.parametrize("bench_class", BENCHES, ids=lambda bench_class: bench_class.name)


# --- what the tests share --------------------------------------------------------------------------------------------


def our_threads():
    """Those of drivers; the emulators' own end with their bench."""
    return {thread for thread in threading.enumerate() if thread is not threading.main_thread()}


def open_files():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def wait_for(condition, timeout_s=5.0, why="it did not happen"):
    until = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{why} within {timeout_s} s")
        time.sleep(0.002)
    return result


class Desk:
    """Benches, models and buses of one test; everything is closed at its end, and nothing may be left over."""

    def __init__(self, path):
        self.path, self.buses, self.benches = path, [], []
        self.model = BusModel()
        self.peer, self.heard = None, []

    def put(self, bench_class, model=None):
        path = self.path / str(len(self.benches))
        path.mkdir()
        self.benches.append(bench_class(model or self.model, path))
        return self.benches[-1]

    def add_peer(self, bit_rate=500_000):
        """A controller that acknowledges and keeps what it hears; with FD where the frames have it."""
        self.peer, self.heard = self.model.listener(bit_rate=bit_rate)
        return self.peer

    def open(self, bench, **options):
        self.buses.append(bench.open(**options))
        return self.buses[-1]

    def close(self):
        for bus in self.buses:
            bus.shutdown()
        for bench in self.benches:
            bench.close()


@pytest.fixture
def desk(tmp_path):
    threads, files = our_threads(), open_files()
    desk = Desk(tmp_path)
    yield desk
    desk.close()
    wait_for(lambda: our_threads() <= threads, 2, f"threads are left: {our_threads() - threads}; it ended not")
    wait_for(lambda: open_files() <= files, 2, f"files are left open: {open_files() - files}; it ended not")


@pytest.fixture
def bench(desk, bench_class):
    return desk.put(bench_class)


@pytest.fixture
def bus(desk, bench):
    """Open at 500 kbit/s, with a peer."""
    desk.add_peer()
    return desk.open(bench)


def needs(bench, flag, reason):
    if not getattr(bench, flag, True):
        pytest.skip(f"{bench.name} {reason}")


def needs_plug(bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} is no adapter that can be unplugged")


def fields(thing):
    """What a CAN frame is, of a Message or a Frame."""
    if isinstance(thing, Frame):
        return (
            thing.can_id,
            thing.extended,
            thing.remote,
            thing.fd,
            thing.brs,
            thing.dlc if thing.remote else None,
            thing.data,
        )
    return (
        thing.arbitration_id,
        thing.is_extended_id,
        thing.is_remote_frame,
        thing.is_fd,
        thing.bitrate_switch,
        thing.dlc if thing.is_remote_frame else None,
        bytes(thing.data),
    )


def all_fields(message):
    """Everything a Message carries."""
    return {name: copy.copy(getattr(message, name)) for name in can.Message.__slots__ if name != "__weakref__"}


def receive(bus, count, timeout_s=5.0):
    """So many messages; error frames are left out."""
    messages, until = [], time.monotonic() + timeout_s
    while len(messages) < count and time.monotonic() < until:
        message = bus.recv(max(until - time.monotonic(), 0))
        if message is not None and not message.is_error_frame:
            messages.append(message)
    return messages


def received_ids(bus, count):
    return [message.arbitration_id for message in receive(bus, count)]


def received_until_unplugged(bus, within_s=4.0):
    """The CAN-IDs that came before `Unplugged` was raised."""
    ids, until = [], time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            message = bus.recv(0.1)
        except Unplugged:
            return ids
        ids += [message.arbitration_id] if message is not None else []
    raise AssertionError(f"nothing tells that it was unplugged, within {within_s} s")


def assert_silent(bus, for_s=0.1):
    assert receive(bus, 1, for_s) == []


def in_thread(work):
    """Runs it; ``join()`` gives what it returned or raised, and when."""

    class Running(threading.Thread):
        result, at = None, None
        daemon = True  # a driver that does not pass must not keep the tests from ending

        def run(self):
            try:
                self.result = work()
            except Exception as error:
                self.result = error
            self.at = time.monotonic()

        def outcome(self, timeout_s=5):
            self.join(timeout_s)
            assert not self.is_alive(), f"it still waits after {timeout_s} s"
            return self.result

    thread = Running()
    thread.start()
    return thread


def processor_time(for_s):
    """Of the whole process, while this thread sleeps."""
    began = time.process_time()
    time.sleep(for_s)
    return time.process_time() - began


def typical_frames(remote=True):
    """Every length, both kinds of identifier, and data full of what other protocols use as marks."""
    data = bytes.fromhex("55AA0D07 AA5555AA")
    for length in range(9):
        yield Frame(0x100 + length, data[:length])
        yield Frame(0x1234500 + length, data[:length], extended=True)
        if remote:
            yield Frame(0x200 + length, remote=True, dlc=length)
            yield Frame(0x1234600 + length, remote=True, extended=True, dlc=length)
    for can_id in (0, 1, 0x55, 0xAA, 0x2AA, 0x555, 0x7FF):
        yield Frame(can_id, b"\x55" * 8)
        yield Frame(can_id, b"\xaa" * 8)
        yield Frame(can_id, b"\xaa\x55" * 4, extended=True)
    for can_id in (0x1FFF_FFFF, 0x0AAA_5555, 0x800):
        yield Frame(can_id, bytes(range(8)), extended=True)
    yield Frame(0x7FF, b"\x0d\x0a\x07\x00tT\xff\xfe")


def fd_frames():
    for length in FD_LENGTHS:
        yield Frame(0x100 + length, bytes(random.Random(length).randbytes(length)), fd=True)
        yield Frame(0x1000 + length, b"\xaa\x55" * (length // 2) + b"\x0d" * (length % 2), extended=True, fd=True)
        yield Frame(0x300 + length, b"\x55" * length, fd=True, brs=True)
    yield Frame(0x123, b"classic")


def message_of(frame):
    return can.Message(
        arbitration_id=frame.can_id,
        data=None if frame.remote else bytearray(frame.data),
        dlc=frame.dlc if frame.remote else None,
        is_extended_id=frame.extended,
        is_remote_frame=frame.remote,
        is_fd=frame.fd,
        bitrate_switch=frame.brs,
        check=True,
    )


def both_kinds(bench):
    return typical_frames(remote=getattr(bench, "remote", True))


# --- frames ----------------------------------------------------------------------------------------------------------


@each_bench
def test_frames_come_as_they_were_sent_and_in_their_order(desk, bench, bus):
    sent = list(both_kinds(bench))
    before = time.time()
    for frame in sent:
        desk.peer.send(frame)
    messages = receive(bus, len(sent))
    assert [fields(message) for message in messages] == [fields(frame) for frame in sent]
    assert all(message.is_rx for message in messages)
    assert not any(message.is_error_frame for message in messages)
    assert {message.channel for message in messages} == {messages[0].channel}
    assert_silent(bus)
    times = [message.timestamp for message in messages]
    assert times == sorted(times), "times go back"
    assert before - 1 < times[0] <= times[-1] < time.time() + 1, "times are not those of the epoch"


@each_bench
def test_frames_go_out_as_they_were_given_and_in_their_order(desk, bench, bus):
    sent = list(typical_frames())
    for frame in sent:
        bus.send(message_of(frame))
    wait_for(lambda: len(desk.heard) == len(sent), why=f"{len(desk.heard)} of {len(sent)} frames were heard")
    assert [fields(frame) for frame in desk.heard] == [fields(frame) for frame in sent]


@each_bench
def test_fd_frames_go_both_ways(desk, bench):
    needs(bench, "fd", "has no CAN FD")
    desk.add_peer()
    bus = desk.open(bench, **FD)
    sent = list(fd_frames())
    for frame in sent:
        desk.peer.send(frame)
    assert [fields(message) for message in receive(bus, len(sent))] == [fields(frame) for frame in sent]
    for frame in sent:
        bus.send(message_of(frame))
    wait_for(lambda: len(desk.heard) == len(sent))
    assert [fields(frame) for frame in desk.heard] == [fields(frame) for frame in sent]


@each_bench
def test_an_fd_frame_is_refused_where_the_bus_is_a_classic_one(desk, bench, bus):
    message = can.Message(arbitration_id=1, is_extended_id=False, is_fd=True, data=bytes(12))
    before = all_fields(message)
    if not isinstance(bus, AdapterBus):
        pytest.skip(f"{bench.name} carries whatever it is given")
    with pytest.raises(can.CanOperationError, match="FD"):
        bus.send(message)
    assert all_fields(message) == before
    bus.send(can.Message(arbitration_id=2, is_extended_id=False))
    wait_for(lambda: [frame.can_id for frame in desk.heard] == [2])


@each_bench
@pytest.mark.parametrize(
    "message",
    [
        can.Message(arbitration_id=0x800, is_extended_id=False),
        can.Message(arbitration_id=0x2000_0000),
        can.Message(arbitration_id=1, data=bytes(9), is_extended_id=False),
    ],
    ids=["12 bits", "30 bits", "9 bytes"],
)
def test_what_no_bus_can_carry_is_refused(desk, bench, bus, message):
    if not isinstance(bus, AdapterBus):
        pytest.skip(f"{bench.name} carries whatever it is given")
    with pytest.raises(can.CanOperationError):
        bus.send(message)
    assert desk.heard == []


@each_bench
def test_the_callers_message_is_never_changed(desk, bench, bus):
    messages = [message_of(frame) for frame in typical_frames()]
    for message in messages:
        message.timestamp, message.channel = 12.5, "mine"
    before = [all_fields(message) for message in messages]
    data = [message.data for message in messages]
    for message in messages:
        bus.send(message, timeout=1)
    wait_for(lambda: len(desk.heard) == len(messages))
    assert [all_fields(message) for message in messages] == before
    assert all(message.data is kept for message, kept in zip(messages, data, strict=True))
    assert {type(message.data) for message in messages} == {bytearray}


@each_bench
def test_a_burst_keeps_its_order(desk, bench, bus):
    draw = random.Random(5)
    times = []
    for _ in range(6):
        for number in range(ROOM):
            desk.peer.send(Frame(draw.randrange(0x800), number.to_bytes(8, "big")))
        messages = receive(bus, ROOM)
        assert [int.from_bytes(message.data, "big") for message in messages] == list(range(ROOM))
        times += [message.timestamp for message in messages]
    assert times == sorted(times)


@each_bench
def test_both_directions_at_once_lose_nothing(desk, bench, bus):
    def send():
        for number in range(200):
            bus.send(can.Message(arbitration_id=0x100, data=number.to_bytes(8, "big"), is_extended_id=False))

    def answer():
        for number in range(200):
            desk.peer.send(Frame(0x200, number.to_bytes(8, "big")))
            time.sleep(0.0005)  # about as fast as a bus is: adapters have room for some 64 frames

    running = [in_thread(send), in_thread(answer)]
    got = receive(bus, 200)
    for thread in running:
        assert thread.outcome(20) is None
    wait_for(lambda: len(desk.heard) == 200)
    assert [int.from_bytes(message.data, "big") for message in got] == list(range(200))
    assert [int.from_bytes(frame.data, "big") for frame in desk.heard] == list(range(200))


# --- waiting ---------------------------------------------------------------------------------------------------------


@each_bench
def test_recv_without_a_time_waits_for_a_frame(desk, bench, bus):
    waiting = in_thread(lambda: bus.recv(None))
    waiting.join(0.2)
    assert waiting.is_alive(), f"recv(None) gave {waiting.result}"
    desk.peer.send(Frame(0x123))
    assert waiting.outcome().arbitration_id == 0x123


@each_bench
@pytest.mark.parametrize("timeout_s", [0, 0.0004, 0.001, 0.2])
def test_recv_takes_as_long_as_it_may(bench, bus, timeout_s):
    """0.0004 s are 0 ms when rounded: which libusb takes for 'for ever'."""
    bus.recv(0)
    began = time.monotonic()
    waiting = in_thread(lambda: bus.recv(timeout_s))
    assert waiting.outcome() is None
    assert timeout_s <= waiting.at - began < timeout_s + 0.2


@each_bench
def test_recv_takes_as_long_as_it_may_among_frames_that_are_filtered_out(desk, bench):
    desk.add_peer()
    bus = desk.open(bench, can_filters=[{"can_id": 0x7FF, "can_mask": 0x7FF, "extended": False}])
    stop = threading.Event()

    def chatter():
        while not stop.wait(0.002):
            desk.peer.send(Frame(0x100))

    sending = in_thread(chatter)
    try:
        began = time.monotonic()
        waiting = in_thread(lambda: bus.recv(0.15))
        assert waiting.outcome() is None
        assert 0.15 <= waiting.at - began < 0.5
    finally:
        stop.set()
        sending.outcome()


@each_bench
def test_waiting_and_idling_cost_no_computing_time(bench, bus):
    waiting = in_thread(lambda: bus.recv(0.5))
    used = processor_time(0.45)
    assert waiting.outcome() is None
    assert used < 0.45 * IDLE_LOAD, "waiting is a busy loop"
    assert processor_time(0.3) < 0.3 * IDLE_LOAD, "a thread of the driver is a busy loop"


# --- own frames ------------------------------------------------------------------------------------------------------


@each_bench
def test_own_frames_do_not_come_back(desk, bench, bus):
    for can_id in (1, 2, 3):
        bus.send(can.Message(arbitration_id=can_id, data=b"own", is_extended_id=False))
    wait_for(lambda: len(desk.heard) == 3)
    desk.peer.send(Frame(0x10))
    assert received_ids(bus, 1) == [0x10]
    assert_silent(bus)


@each_bench
def test_own_frames_that_are_asked_for_come_once_and_marked(desk, bench):
    needs(bench, "own_frames", "never shows own frames")
    desk.add_peer()
    bus = desk.open(bench, receive_own_messages=True)
    sent = list(typical_frames())
    for frame in sent:
        bus.send(message_of(frame))
    own = receive(bus, len(sent))
    assert [fields(message) for message in own] == [fields(frame) for frame in sent]
    assert not any(message.is_rx for message in own)
    assert all(abs(message.timestamp - time.time()) < 10 for message in own)
    desk.peer.send(Frame(0x10))
    (other,) = receive(bus, 1)
    assert (other.arbitration_id, other.is_rx) == (0x10, True)
    assert_silent(bus)


@each_bench
def test_two_buses_that_are_bridged_do_not_bounce_frames(desk, bench_class):
    """python-can's gs_usb delivers its own echoes, and a bridge sends them back for ever."""
    other_model = BusModel()
    one, two = desk.open(desk.put(bench_class)), desk.open(desk.put(bench_class, other_model))
    desk.add_peer()
    far, far_heard = other_model.listener("far")
    bridge = [can.Notifier(one, [two.send], timeout=0.05), can.Notifier(two, [one.send], timeout=0.05)]
    try:
        desk.peer.send(Frame(0x111, b"there"))
        far.send(Frame(0x222, b"back"))
        wait_for(lambda: far_heard and desk.heard)
        time.sleep(0.2)
    finally:
        for notifier in bridge:
            notifier.stop()
    assert [frame.can_id for frame in far_heard] == [0x111]
    assert [frame.can_id for frame in desk.heard] == [0x222]


# --- options ---------------------------------------------------------------------------------------------------------


@each_bench
def test_unknown_options_are_refused(desk, bench):
    if not getattr(bench, "refuses_unknown", hasattr(bench, "unplug")):
        pytest.skip(f"{bench.name} is not our driver")
    with pytest.raises(can.CanInitializationError, match="bitrat"):
        desk.open(bench, bitrat=500_000)
    with pytest.raises(can.CanInitializationError, match="nonsense"):
        desk.open(bench, nonsense=True)
    desk.open(bench)


@each_bench
def test_a_bit_rate_that_cannot_be_is_refused(desk, bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} has no bit rate")
    for bit_rate in (0, -1, 7, 123_456_789):
        with pytest.raises(can.CanInitializationError):
            desk.open(bench, bitrate=bit_rate)
    desk.open(bench)


@each_bench
def test_listen_only_is_honoured_or_refused(desk, bench):
    if bench.listen_only is None:
        pytest.skip(f"{bench.name} has no acknowledge")
    if not bench.listen_only:
        with pytest.raises(can.CanInitializationError):
            desk.open(bench, listen_only=True)
        return
    bus = desk.open(bench, listen_only=True)
    desk.add_peer()
    acknowledged = []
    desk.peer.send(Frame(0x123), acknowledged.append)
    assert receive(bus, 1, 0.3) == []
    assert acknowledged == [], "the adapter acknowledged although it only listens"
    desk.model.listener("third")
    assert received_ids(bus, 1) == [0x123]
    assert acknowledged == [True]
    with pytest.raises(can.CanOperationError, match="listen"):
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))
    assert_silent(bus)
    assert desk.heard == []
    assert {name for name, _ in desk.model.sent} == {"peer"}


@each_bench
def test_without_listen_only_it_acknowledges(desk, bench, bus):
    acknowledged = []
    desk.peer.send(Frame(0x123), acknowledged.append)
    wait_for(lambda: acknowledged == [True])


@each_bench
def test_filters_choose_what_comes(desk, bench):
    desk.add_peer()
    only_123 = [{"can_id": 0x123, "can_mask": 0x7FF, "extended": False}]
    bus = desk.open(bench, can_filters=only_123)
    frames = [Frame(0x122), Frame(0x123), Frame(0x123, extended=True), Frame(0x124)]
    for frame in frames:
        desk.peer.send(frame)
    assert [fields(message) for message in receive(bus, 1)] == [fields(frames[1])]
    assert_silent(bus)
    bus.set_filters([{"can_id": 0x120, "can_mask": 0x7F0}])
    for frame in frames:
        desk.peer.send(frame)
    assert [fields(message) for message in receive(bus, 4)] == [fields(frame) for frame in frames]
    bus.set_filters(None)
    desk.peer.send(Frame(0x7FF))
    assert received_ids(bus, 1) == [0x7FF]


@each_bench
def test_python_can_opens_it_by_name(desk, bench):
    needs(bench, "interface", "has no name in python-can")
    desk.add_peer()
    with can.Bus(interface=bench.interface, channel=bench.channel, **bench.extra) as bus:
        bus.send(can.Message(arbitration_id=0x31, is_extended_id=False))
        wait_for(lambda: [frame.can_id for frame in desk.heard] == [0x31])
        desk.peer.send(Frame(0x32))
        assert received_ids(bus, 1) == [0x32]
        if isinstance(bus, AdapterBus):
            with pytest.raises(can.CanInitializationError, match="nonsense"):
                can.Bus(interface=bench.interface, channel=bench.channel, nonsense=1, **bench.extra)


# --- a noisy line ----------------------------------------------------------------------------------------------------


@each_bench
def test_garbage_never_ends_the_stream(desk, bench, bus):
    if not hasattr(bench, "garbage"):
        pytest.skip(f"{bench.name} has no stream of bytes")
    draw = random.Random(11)
    counted = sum(bus.counters.values())
    pieces = [b"\xaa", b"\xaa\x55", b"\xaa\xc8\x01", b"t12", b"\x00", b"\xff" * 100, b"T123456788", "é".encode() * 3]
    pieces += [draw.randbytes(draw.randrange(1, 60)) for _ in range(60)]
    place = itertools.count(1)
    for piece in pieces:
        ids = list(itertools.islice(place, 4))
        desk.peer.send(Frame(ids[0], b"before"))
        bench.garbage(piece)
        for can_id in ids[1:]:
            desk.peer.send(Frame(can_id, b"after"))
        # The frame that the garbage runs into may be lost, and one more that it seems to have eaten.
        wanted = {ids[0], ids[3]}
        seen, until = set(), time.monotonic() + 2
        while not wanted <= seen and time.monotonic() < until:
            message = bus.recv(0.5)
            seen |= {message.arbitration_id} if message is not None else set()
        assert wanted <= seen, f"{piece.hex()} cost more than two frames: of {ids} came {sorted(seen)}"
    assert sum(bus.counters.values()) > counted, "garbage was not counted"
    bus.send(can.Message(arbitration_id=0x7F, is_extended_id=False))
    wait_for(lambda: desk.heard and desk.heard[-1].can_id == 0x7F)


# --- the plug --------------------------------------------------------------------------------------------------------


@each_bench
def test_unplugged_while_somebody_waits(desk, bench, bus):
    needs_plug(bench)
    waiting = in_thread(lambda: bus.recv(None))
    waiting.join(0.1)
    began = time.monotonic()
    bench.unplug()
    assert isinstance(waiting.outcome(), Unplugged), waiting.result
    assert waiting.at - began < UNPLUG_S


@each_bench
def test_unplugged_while_nobody_waits_is_told_for_ever(desk, bench, bus):
    needs_plug(bench)
    began = time.monotonic()
    bench.unplug()
    assert received_until_unplugged(bus) == []
    assert time.monotonic() - began < UNPLUG_S
    for _ in range(3):
        began = time.monotonic()
        for timeout_s in (0, 0.1, None):
            with pytest.raises(Unplugged) as raised:
                bus.recv(timeout_s)
        with pytest.raises(Unplugged):
            bus.send(can.Message(arbitration_id=1, is_extended_id=False))
        assert time.monotonic() - began < 0.3
    assert len(str(raised.value)) > 10
    bus.shutdown()


@each_bench
def test_unplugged_is_told_to_whoever_sends(desk, bench, bus):
    needs_plug(bench)
    bench.unplug()
    began = time.monotonic()
    with pytest.raises(Unplugged):
        while time.monotonic() - began < 5:
            bus.send(can.Message(arbitration_id=1, data=bytes(8), is_extended_id=False))
            time.sleep(0.01)
    assert time.monotonic() - began < UNPLUG_S
    bus.shutdown()


@each_bench
def test_what_came_before_the_unplug_is_received(desk, bench, bus):
    needs_plug(bench)
    for can_id in range(20):
        desk.peer.send(Frame(can_id))
    first = received_ids(bus, 1)
    time.sleep(0.2)
    bench.unplug()
    rest = received_until_unplugged(bus)
    assert first + rest == list(range(20))


@each_bench
def test_after_the_unplug_nothing_loops(desk, bench, bus):
    needs_plug(bench)
    bench.unplug()
    wait_for(lambda: isinstance(in_thread(lambda: bus.recv(0.1)).outcome(), Unplugged))
    assert processor_time(0.4) < 0.4 * IDLE_LOAD


@each_bench
def test_a_notifier_tells_that_it_was_unplugged(desk, bench, bus):
    needs_plug(bench)
    errors = []

    class Ear(can.Listener):
        def on_message_received(self, msg):
            pass

        def on_error(self, exc):
            errors.append(exc)

    notifier = can.Notifier(bus, [Ear()], timeout=0.1)
    bench.unplug()
    wait_for(lambda: errors, UNPLUG_S + 0.5)
    notifier.stop()
    assert isinstance(errors[0], Unplugged)


@each_bench
def test_an_adapter_that_is_not_there_cannot_be_opened(desk, bench):
    needs_plug(bench)
    bench.unplug()
    threads, files = our_threads(), open_files()
    with pytest.raises(can.CanInitializationError) as raised:
        desk.open(bench)
    assert len(str(raised.value)) > 10
    assert our_threads() <= threads
    assert open_files() <= files


@each_bench
def test_an_adapter_that_comes_back_goes_on(desk, bench):
    needs_plug(bench)
    desk.add_peer()
    bus = desk.open(bench, reconnect_s=20.0)
    desk.peer.send(Frame(1))
    assert received_ids(bus, 1) == [1]
    for time_around in (1, 2):
        bench.unplug()
        wait_for(lambda: _send_fails(bus), UNPLUG_S)
        assert bus.recv(0.1) is None, "it is looked for: that is silence"
        assert processor_time(0.3) < 0.3 * IDLE_LOAD, "looking for it is a busy loop"
        bench.replug()
        wait_for(lambda count=time_around: bus.counters["reconnects"] == count, 10)
        desk.peer.send(Frame(2))
        assert received_ids(bus, 1) == [2]
        desk.heard.clear()
        bus.send(can.Message(arbitration_id=3, is_extended_id=False))
        wait_for(lambda: [frame.can_id for frame in desk.heard] == [3])
    assert any(finding.code.startswith("adapter-") for finding in bus.findings())
    bus.shutdown()


def _send_fails(bus):
    try:
        bus.send(can.Message(arbitration_id=0x7E0, is_extended_id=False), timeout=0.1)
    except can.CanOperationError as error:
        assert not isinstance(error, Unplugged), "it is looked for and may come back"
        return "unplugged" in str(error).lower() or "gone" in str(error).lower()
    time.sleep(0.01)
    return False


@each_bench
def test_listen_only_stays_listen_only_after_a_replug(desk, bench):
    needs_plug(bench)
    needs(bench, "listen_only", "cannot only listen")
    bus = desk.open(bench, listen_only=True, reconnect_s=20.0)
    bench.unplug()
    time.sleep(0.1)
    bench.replug()
    wait_for(lambda: bus.counters["reconnects"] == 1, 10)
    desk.add_peer()
    acknowledged = []
    desk.peer.send(Frame(0x123), acknowledged.append)
    assert receive(bus, 1, 0.2) == []
    assert acknowledged == []


@each_bench
def test_an_adapter_that_does_not_come_back_is_given_up(desk, bench):
    needs_plug(bench)
    bus = desk.open(bench, reconnect_s=0.6)
    bench.unplug()
    began = time.monotonic()
    assert received_until_unplugged(bus) == []
    assert 0.3 < time.monotonic() - began < 0.6 + UNPLUG_S
    with pytest.raises(Unplugged):
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))


@each_bench
def test_closing_while_it_is_looked_for(desk, bench):
    needs_plug(bench)
    bus = desk.open(bench, reconnect_s=600.0)
    bench.unplug()
    time.sleep(0.3)
    began = time.monotonic()
    bus.shutdown()
    assert time.monotonic() - began < 1


# --- what the bus is like --------------------------------------------------------------------------------------------


@each_bench
def test_nobody_acknowledges_and_the_adapter_says_so(desk, bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} needs no acknowledge")
    bus = desk.open(bench)
    if not bench.state:
        assert (bus.bus_state, bus.tx_errors, bus.rx_errors) == (None, None, None), "it cannot know"
        pytest.skip(f"{bench.name} does not tell the state of the bus")
    wait_for(lambda: bus.bus_state == "error-active", 3)
    bus.send(can.Message(arbitration_id=1, is_extended_id=False), timeout=0.5)
    wait_for(lambda: bus.bus_state == "error-passive", 3)
    assert bus.state is can.BusState.ERROR
    if bus.tx_errors is not None:  # some tell the state only
        wait_for(lambda: bus.tx_errors >= 96, 3)
    _, heard = desk.model.listener()
    wait_for(lambda: [frame.can_id for frame in heard] == [1])


@each_bench
def test_sending_while_nobody_acknowledges_never_hangs(desk, bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} needs no acknowledge")
    bus = desk.open(bench)
    began = time.monotonic()
    refused = accepted = 0
    for number in range(40):
        try:
            bus.send(can.Message(arbitration_id=number, is_extended_id=False), timeout=0.05)
            accepted += 1
        except can.CanOperationError as error:
            assert not isinstance(error, Unplugged)
            refused += 1
        if refused == 3:
            break
    assert time.monotonic() - began < 5
    desk.add_peer()
    wait_for(lambda: desk.heard)
    wait_for(lambda: _sent_in_time(bus, 0x700), 3)
    wait_for(lambda: desk.heard[-1].can_id == 0x700)
    desk.peer.send(Frame(0x701))
    assert 0x701 in [message.arbitration_id for message in receive(bus, 1)]


def _sent_in_time(bus, can_id):
    try:
        bus.send(can.Message(arbitration_id=can_id, is_extended_id=False), timeout=0.1)
    except can.CanOperationError:
        return False
    return True


@each_bench
def test_another_bit_rate_on_the_bus_is_not_silently_fine(desk, bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} has no bit rate")
    bus = desk.open(bench, bitrate=500_000)
    desk.add_peer(bit_rate=250_000)
    desk.peer.send(Frame(0x123))
    if not bench.state:
        assert_silent(bus, 0.2)
        pytest.skip(f"{bench.name} cannot tell another bit rate from silence")
    errors = []

    def told():
        message = bus.recv(0.05)
        errors.extend([message] if message is not None and message.is_error_frame else [])
        return errors or bus.rx_errors or bus.bus_state not in ("error-active", None) or bus.findings()

    wait_for(told, 3, "nothing tells that another bit rate is on the bus")


@each_bench
def test_the_same_bit_rate_is_needed_and_used(desk, bench):
    if not hasattr(bench, "unplug"):
        pytest.skip(f"{bench.name} has no bit rate")
    desk.add_peer(bit_rate=125_000)
    bus = desk.open(bench, bitrate=125_000)
    desk.peer.send(Frame(0x123))
    assert received_ids(bus, 1) == [0x123]


# --- python-can's own tools ------------------------------------------------------------------------------------------


@each_bench
def test_a_notifier_with_two_listeners(desk, bench, bus):
    one, two = can.BufferedReader(), []
    notifier = can.Notifier(bus, [one, two.append], timeout=0.1)
    for can_id in range(20):
        desk.peer.send(Frame(can_id))
    wait_for(lambda: len(two) == 20)
    assert [message.arbitration_id for message in two] == list(range(20))
    assert [one.get_message(0.1).arbitration_id for _ in range(20)] == list(range(20))
    notifier.stop()


@each_bench
def test_sending_periodically(desk, bench, bus):
    task = bus.send_periodic(can.Message(arbitration_id=0x80, is_extended_id=False), 0.01)
    wait_for(lambda: len(desk.heard) >= 5)
    task.stop()
    assert {frame.can_id for frame in desk.heard} == {0x80}


@each_bench
def test_it_tells_who_it_is(bench, bus):
    assert str(bus), "channel_info is empty"
    if isinstance(bus, AdapterBus):
        assert bus.counters["lost"] == 0
        assert all(isinstance(count, int) and not isinstance(count, bool) for count in bus.counters.values())
        assert bus.protocol is can.CanProtocol.CAN_20


# --- closing ---------------------------------------------------------------------------------------------------------


@each_bench
def test_closing_again_does_nothing(bench, bus):
    began = time.monotonic()
    bus.shutdown()
    bus.shutdown()
    assert time.monotonic() - began < 2


@each_bench
def test_closing_ends_a_recv_that_waits(bench, bus):
    if not isinstance(bus, AdapterBus):
        pytest.skip(f"{bench.name} is not our driver")
    waiting = in_thread(lambda: bus.recv(None))
    waiting.join(0.1)
    bus.shutdown()
    assert isinstance(waiting.outcome(2), can.CanOperationError)


@each_bench
def test_a_closed_bus_says_so(bench, bus):
    if not isinstance(bus, AdapterBus):
        pytest.skip(f"{bench.name} is not our driver")
    bus.shutdown()
    for _ in range(2):
        with pytest.raises(can.CanOperationError, match="closed"):
            bus.recv(1)
        with pytest.raises(can.CanOperationError, match="closed"):
            bus.send(can.Message(arbitration_id=1, is_extended_id=False))


@each_bench
def test_it_opens_again_after_closing_without_old_frames(desk, bench):
    desk.add_peer()
    desk.model.listener("third")  # so that frames go by while the adapter is closed
    threads, files = our_threads(), open_files()
    for number in range(3):
        bus = desk.open(bench)
        desk.peer.send(Frame(number))
        assert received_ids(bus, 1) == [number]
        desk.peer.send(Frame(0x7F0))  # nobody takes it any more
        bus.shutdown()
        desk.peer.send(Frame(0x7F1))
        wait_for(lambda: our_threads() <= threads, 2, "a thread is left; it ended not")
        wait_for(lambda: open_files() <= files, 2, "a file is left open; it ended not")


@each_bench
def test_opening_does_not_write_to_the_bus(desk, bench):
    desk.add_peer()
    bus = desk.open(bench)
    assert_silent(bus)
    bus.shutdown()
    assert desk.heard == []
    assert desk.model.sent == []


# --- different adapters on one bus -----------------------------------------------------------------------------------

PAIRS = list(itertools.combinations(BENCHES, 2))


@pytest.mark.parametrize(("one_class", "two_class"), PAIRS, ids=lambda bench_class: bench_class.name)
def test_two_adapters_talk_to_each_other(desk, one_class, two_class):
    one_bench, two_bench = desk.put(one_class), desk.put(two_class)
    one, two = desk.open(one_bench), desk.open(two_bench)
    for sender, receiver, hears in ((one, two, two_bench), (two, one, one_bench)):
        sent = list(both_kinds(hears))
        for frame in sent:
            sender.send(message_of(frame))
        assert [fields(message) for message in receive(receiver, len(sent))] == [fields(frame) for frame in sent]
    assert_silent(one, 0.02)
    assert_silent(two, 0.02)
