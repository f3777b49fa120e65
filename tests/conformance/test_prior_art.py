"""What a CANopen master and a simulated node must get right, one named test for each claim.

The list is the purpose of this file: most of it is tested in depth elsewhere (tests/services, tests/simulate), here
each claim is shown once, where it can be through `opendiag.connect` on a simulated bus with a clock wound by hand.
"""

from __future__ import annotations

import binascii
import io
import itertools
import threading

import pytest

import opendiag
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import BlockingCall, SdoAborted, SdoCancelled, SdoProtocolError, SdoTimeout
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient
from opendiag.services.sdo_quirks import SdoQuirks
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtState

NODE = 5
REQUEST, ANSWER = 0x600 + NODE, 0x580 + NODE
TIMEOUT_S = 0.5
NAME = b"Spindle drive"
FILE, WORD, LIMITED, POSITION, SPEED, FIXED = 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005
OFF = 1 << 31


# --- a node with every object that is asked about, and our network on the same bus --------------------------------


def data_of(size):
    """Bytes that differ from segment to segment and from sub-block to sub-block."""
    return bytes((number * 7 + number // 251) % 256 for number in range(size))


def dictionary():
    made = ObjectDictionary("spindle")
    u8, u16, u32 = DataType.UNSIGNED8, DataType.UNSIGNED16, DataType.UNSIGNED32

    def single(index, kind, access="rw", default=0, **more):
        made.objects[index] = Object(
            index, f"o{index:04X}", ObjectType.VAR, {0: Variable(index, 0, "x", kind, access, default, **more)}
        )

    def record(index, members, count=None, count_access="ro"):
        count = max(number for number, *_ in members) if count is None else count
        first = {0: Variable(index, 0, "Number of entries", u8, count_access, count)}
        rest = {number: Variable(index, number, f"x{number}", *of) for number, *of in members}
        made.objects[index] = Object(index, f"o{index:04X}", ObjectType.RECORD, {**first, **rest})

    single(0x1000, u32, "ro", 0x20192)
    single(0x1001, u8, "ro")
    record(0x1003, [(n, u32, "ro", 0) for n in (1, 2, 3)], 0, "rw")
    single(0x1005, u32, default=0x80)
    single(0x1006, u32)
    single(0x1008, DataType.VISIBLE_STRING, "const", NAME.decode())
    record(0x1010, [(1, u32, "rw", 1)])
    record(0x1011, [(1, u32, "rw", 1)])
    single(0x1014, u32, default=0x80 + NODE)
    record(0x1016, [(1, u32, "rw", 0)])
    single(0x1017, u16)
    record(0x1018, [(n, u32, "ro", n) for n in (1, 2, 3, 4)])
    record(0x1200, [(1, u32, "ro", REQUEST), (2, u32, "ro", ANSWER)])
    record(0x1201, [(1, u32, "rw", 0x640), (2, u32, "rw", 0x5C0), (3, u8, "rw", NODE)])
    record(0x1400, [(1, u32, "rw", 0x200 + NODE), (2, u8, "rw", 255)])
    record(0x1600, [(1, u32, "rw", SPEED << 16 | 0x20)], 1, "rw")
    record(0x1800, [(1, u32, "rw", 0x180 + NODE), (2, u8, "rw", 255), (3, u16, "rw", 0), (5, u16, "rw", 0)])
    record(0x1A00, [(1, u32, "rw", POSITION << 16 | 0x20), (2, u32, "rw", 0)], 1, "rw")
    single(FILE, DataType.DOMAIN)
    single(WORD, u16, default=7)
    single(LIMITED, DataType.INTEGER16, default=0, low=-10, high=10)
    single(POSITION, DataType.INTEGER32, pdo_mappable=True)
    single(SPEED, DataType.INTEGER32, pdo_mappable=True)
    single(FIXED, DataType.DOMAIN, "ro")
    return made


class World:
    """``timeout_s`` is the network's; ``faults`` concern frames in both directions."""

    def __init__(self, *faults, quirks=None, latency_s=0.0, timeout_s=TIMEOUT_S):
        self.bus = SimBus(faults=faults)
        self.device = SimNode(dictionary(), NODE, quirks=quirks or NodeQuirks(), sdo_latency_s=latency_s)
        self.bus.attach(self.device, "node")
        self.network = opendiag.connect(
            self.bus, dictionaries={NODE: dictionary()}, clock=ManualClock(), timeout_s=timeout_s
        )
        self.frames = self.network.frames()
        self.node = self.network[NODE]
        self.run(0.01)  # the boot-up is over

    def run(self, seconds):
        """Frames that came meanwhile, received and sent, or were waiting to be looked at."""
        self.network.sleep(seconds)
        return list(iter(lambda: self.frames.get(0), None))

    def heard(self, seconds, can_id):
        """(milliseconds, data) of the frames with this CAN-ID."""
        return [(round(f.time_ns / 1e6), f.data.hex()) for f in self.run(seconds) if f.can_id == can_id]

    def requests(self):
        return [f.data.hex(" ").upper() for f in self.run(0) if f.can_id == REQUEST]

    def send(self, can_id, data=b"", **more):
        self.network.send(Frame(can_id, bytes.fromhex(data) if isinstance(data, str) else data, **more))
        self.network.sleep(0.001)

    def command(self, command):
        self.send(0, bytes([command, NODE]))

    def ask(self, text):
        """The node's answers to one raw SDO request."""
        self.run(0)
        self.send(REQUEST, text)
        return [f.data.hex(" ").upper() for f in self.run(0.001) if f.can_id == ANSWER]

    def write(self, index, subindex, value, width):
        self.node.download(index, subindex, value.to_bytes(width, "little"))

    def number(self, index, subindex=0):
        return int.from_bytes(self.node.upload(index, subindex), "little")

    def code(self, call, *arguments):
        """The abort code that the node gives."""
        with pytest.raises(SdoAborted) as caught:
            call(*arguments)
        assert not caught.value.by_client
        return caught.value.code

    def codes(self):
        return [oddity.finding.code for oddity in self.network.oddities]


@pytest.fixture
def build():
    """Makes worlds and closes their networks."""
    worlds = []

    def make(*faults, **options):
        worlds.append(World(*faults, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.network.close()


@pytest.fixture
def world(build):
    return build()


class Talk:
    """A client on its own, with the server's part spoken by the test: for what no server of ours would say."""

    def __init__(self, **options):
        self.client, self.now = SdoClient(SdoChannel.default(NODE), timeout_s=TIMEOUT_S, **options), 0.0

    def read(self, index=FILE, **options):
        return self.client.upload(index, 0, self.now, **options)

    def write(self, data, index=FILE, **options):
        return self.client.download(index, 0, data, self.now, **options)

    def hears(self, *texts):
        for text in texts:
            self.now += 0.001
            self.client.receive(Frame(ANSWER, bytes.fromhex(text)), self.now)

    def sent(self):
        return [frame.data.hex(" ").upper() for frame in self.client.frames_to_send()]

    def passes(self, seconds):
        end = self.now + seconds
        while (due := self.client.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.client.tick(self.now)
        self.now = end


# --- the SDO client: what it can do --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "block", "kind"),
    [
        (4, False, "expedited"),
        (5, False, "segmented"),
        (1000, False, "segmented"),
        (4, True, "block"),
        (1000, True, "block"),
    ],
)
def test_expedited_segmented_and_block_transfers_in_both_directions(world, size, block, kind):
    data = data_of(size)
    sent = world.node.begin_download(FILE, 0, data, block=block)
    sent.result()
    read = world.node.begin_upload(FILE, block=block)
    assert read.result() == data == world.device.store.values[FILE, 0]
    assert (sent.transfer.kind, read.transfer.kind) == (kind, kind)
    assert world.codes() == []


@pytest.mark.parametrize(("answer", "crc"), [("C6 00 20 00 07 00 00 00", True), ("C2 00 20 00 07 00 00 00", False)])
def test_a_crc_is_used_when_both_sides_offer_it(answer, crc):
    """We offer it in the request; where the server does not, the field of its end message is not looked at."""
    talk, data = Talk(), data_of(7)
    read = talk.read(block=True)
    assert talk.sent()[0].startswith("A4")
    talk.hears(answer, f"81 {data.hex(' ')}", "C1 34 12 00 00 00 00 00")
    assert read.done is not crc, "with a CRC that is wrong the read begins again"
    talk = Talk()
    read = talk.read(block=True)
    right = binascii.crc_hqx(data, 0).to_bytes(2, "little").hex(" ")
    talk.hears(answer, f"81 {data.hex(' ')}", f"C1 {right} 00 00 00 00 00")
    assert read.result() == data


def test_data_come_from_streams_and_go_into_streams(world):
    data, target = data_of(5000), io.BytesIO()
    world.node.download(FILE, 0, io.BytesIO(data), size=5000, block=True)
    assert world.node.upload(FILE, into=target) == b""
    assert target.getvalue() == data


def test_a_node_may_have_more_than_one_sdo_channel(world):
    second = SdoChannel(NODE, 0x640, 0x5C0, number=2)
    assert world.network.node(NODE, channel=second).upload(0x1008) == NAME
    assert {frame.can_id for frame in world.run(0)} >= {0x640, 0x5C0}


def test_an_abort_says_its_reason_and_the_object_in_words(world):
    with pytest.raises(SdoAborted) as caught:
        world.node.upload(0x5FFF)
    assert caught.value.code == 0x06020000
    for part in ("5FFF:00", "node 5", "0602 0000", "does not exist"):
        assert part in str(caught.value)


def test_the_time_out_is_the_networks_or_that_of_one_transfer(build):
    world = build(latency_s=1.0, timeout_s=0.2)
    with pytest.raises(SdoTimeout) as caught:
        world.node.upload(WORD)
    assert caught.value.waited_s == 0.2
    assert world.node.upload(0x1000, timeout_s=1.5) == bytes.fromhex("92010200")


def test_a_time_out_is_told_to_the_device(build):
    world = build(Fault("drop", can_id=ANSWER, nth=1))
    assert world.node.upload(0x1008) == NAME
    assert world.requests()[1] == "80 08 10 00 00 00 04 05"


# --- the SDO client: what must not happen ----------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_a_number_of_restarts_is_that_many_more_attempts(restarts):
    talk = Talk()
    read = talk.read(restarts=restarts)
    talk.passes(10.0)
    assert [text[:2] for text in talk.sent()] == ["40", "80"] * (restarts + 1)
    assert isinstance(read.error, SdoTimeout) and read.error.attempts == restarts + 1


def test_a_node_that_answers_the_second_time_is_read(build):
    world = build(Fault("drop", can_id=ANSWER, nth=1))
    pending = world.node.begin_upload(WORD)
    assert pending.result() == b"\x07\x00" and pending.transfer.attempts == 2


def test_a_lost_segment_begins_the_transfer_again_and_is_not_asked_for_twice(build):
    """A segment asked for once more with the same toggle bit ends the transfer in any server."""
    world = build(Fault("drop", can_id=ANSWER, nth=2))
    pending = world.node.begin_upload(0x1008)
    assert pending.result() == NAME and pending.transfer.attempts == 2
    assert [text[:2] for text in world.requests()] == ["40", "60", "80", "40", "60", "70"]
    assert world.bus.fired


def test_a_late_answer_to_a_timed_out_write_is_never_taken_for_the_next_one(build):
    """The first write is answered after its time-out, while the second is under way and will be refused."""
    world = build(Fault("delay", can_id=ANSWER, nth=1, delay_s=0.61), Fault("delay", can_id=ANSWER, nth=2, delay_s=0.2))
    with pytest.raises(SdoTimeout) as caught:
        world.node.download(WORD, 0, b"\x01\x00")
    assert caught.value.may_be_done
    assert world.code(world.node.download, 0x1000, 0, bytes(4)) == 0x06010002
    assert world.codes() == ["SDO-LATE-ANSWER"] and world.node.client.late_answers == 1


def test_a_late_answer_to_a_timed_out_write_of_the_same_object_is_never_taken_for_the_next_one(build):
    world = build(Fault("delay", can_id=ANSWER, nth=1, delay_s=0.61), Fault("delay", can_id=ANSWER, nth=2, delay_s=0.2))
    with pytest.raises(SdoTimeout):
        world.node.download(LIMITED, 0, b"\x01\x00")
    assert world.code(world.node.download, LIMITED, 0, b"\x7f\x00") == 0x06090031


def test_the_abort_of_the_client_names_the_object(build):
    world = build(Fault("drop", can_id=ANSWER, every=1))
    with pytest.raises(SdoTimeout):
        world.node.upload(0x1018, 4)
    assert set(world.requests()) == {"40 18 10 04 00 00 00 00", "80 18 10 04 00 00 04 05"}


@pytest.mark.parametrize("announced", [100, 8, 6, 0])
def test_another_number_of_bytes_than_announced_is_an_error_and_no_data(announced):
    talk = Talk()
    read = talk.read()
    talk.hears(f"41 00 20 00 {announced:02X} 00 00 00", "01 01 02 03 04 05 06 07")
    assert isinstance(read.error, SdoProtocolError) and read.data == b""
    assert f"announced {announced} bytes and sent 7" in str(read.error)
    assert talk.sent()[-1] == "80 00 20 00 10 00 07 06"


def test_two_threads_on_one_node_get_all_their_answers():
    with opendiag.connect("sim:stepim", clock=ManualClock(), timeout_s=5) as network:
        wanted = {1: bytes.fromhex("e1020000"), 2: bytes.fromhex("a5a50000")}
        wrong, errors, done = [], [], []

        def work(subindex):
            try:
                for _ in range(300):
                    if network[101].upload(0x1018, subindex) != wanted[subindex]:
                        wrong.append(subindex)
                done.append(subindex)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(subindex,)) for subindex in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (wrong, errors, sorted(done)) == ([], [], [1, 2])


def test_sdo_from_a_callback_is_refused_at_once_and_says_why():
    """It does not wait for an answer that the waiting thread itself would have to bring."""
    errors, called = [], threading.Event()
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:

        def callback(frame):
            try:
                network[101].upload(0x1000)
            except BlockingCall as error:
                errors.append(str(error))
            called.set()

        network.subscribe(callback)
        network[101].upload(0x1001)
        assert called.wait(10)
        before = network.clock.now()
        assert "callback" in errors[0]
        assert network.clock.now() == before


@pytest.mark.parametrize("size", [512, 5000])
@pytest.mark.parametrize("from_the_end", [1, 2, 5, 60])
def test_a_lost_frame_in_the_last_sub_block_of_a_block_write_is_sent_again(build, size, from_the_end):
    """The 60th from the end is one in the middle; the last message of the transfer itself is its end, not a segment."""
    segments = -(-size // 7)
    initiates = 1
    world = build(Fault("drop", can_id=REQUEST, nth=initiates + segments - from_the_end + 1))
    pending = world.node.begin_download(FILE, 0, data_of(size), block=True)
    pending.result()
    assert world.device.store.values[FILE, 0] == data_of(size)
    assert (pending.transfer.kind, pending.transfer.attempts, len(world.bus.fired)) == ("block", 1, 1)


class Pieces(io.RawIOBase):
    """Gives a read at most ``most`` bytes, whatever it asks for."""

    def __init__(self, data, most):
        self._stream, self._most = io.BytesIO(data), most

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._stream.readinto(memoryview(buffer)[: self._most])


@pytest.mark.parametrize("piece", [1, 6, 7, 8, 1000, 1024, 4096])
@pytest.mark.parametrize("block", [True, False])
def test_a_write_in_pieces_of_any_size(world, piece, block):
    data = data_of(2500)
    world.node.download(FILE, 0, Pieces(data, piece), size=len(data), block=block)
    assert world.device.store.values[FILE, 0] == data


@pytest.mark.parametrize(("losses", "attempts"), [(1, 2), (2, None)])
def test_a_block_read_without_its_end_message_begins_again_or_is_a_typed_error(build, losses, attempts):
    """The end is the fourth answer to a read of one sub-block: the initiate, 2 segments, the end."""
    world = build(*(Fault("drop", can_id=ANSWER, nth=4 * number) for number in range(1, losses + 1)))
    pending = world.node.begin_upload(0x1008, block=True)
    if attempts is None:
        with pytest.raises(SdoTimeout, match="1008:00"):
            pending.result()
    else:
        assert pending.result() == NAME and pending.transfer.attempts == attempts
    assert len(world.bus.fired) == losses
    assert world.node.upload(0x1008, block=True) == NAME


@pytest.mark.parametrize("index", [0x1008, 0x1000])
def test_a_block_read_that_is_answered_with_a_normal_upload_goes_on_as_one(build, index):
    world = build(quirks=NodeQuirks(sdo=SdoQuirks(block_upload="switch")))
    assert world.node.upload(index, block=True) == world.device.store.values[index, 0]
    assert world.codes() == ["SDO-PROTOCOL-SWITCH"]


@pytest.mark.parametrize("lost", [1, 3, 10, 127])
def test_a_lost_segment_of_a_block_read_is_asked_for_at_the_end_of_its_sub_block(build, lost):
    data = data_of(127 * 7 + 20)
    world = build(Fault("drop", can_id=ANSWER, nth=1 + lost))
    world.device.store.values[FILE, 0] = data
    pending = world.node.begin_upload(FILE, block=True)
    assert pending.result() == data and pending.transfer.attempts == 1
    frames = [frame for frame in world.run(0) if frame.can_id in (REQUEST, ANSWER)]
    acknowledge = next(place for place, frame in enumerate(frames) if frame.data[0] == 0xA2)
    assert frames[acknowledge].data[1] == lost - 1
    begin = next(place for place, frame in enumerate(frames) if frame.data[0] == 0xA3)
    between = frames[begin + 1 : acknowledge]
    assert len(between) == 126 and {frame.can_id for frame in between} == {ANSWER}


def test_progress_is_told(world):
    told = []
    world.node.download(FILE, 0, data_of(2000), block=True, progress=lambda *what: told.append(what))
    assert told[-1] == (2000, 2000) and len(told) > 2 and told == sorted(told)
    told.clear()
    world.node.upload(0x1008, progress=lambda *what: told.append(what))
    assert told == [(7, 13), (13, 13)]


def test_a_transfer_can_be_cancelled_and_the_next_one_works(build):
    world = build(latency_s=0.001)
    pending = world.node.begin_upload(0x1008)
    world.run(0.003)
    pending.cancel()
    with pytest.raises(SdoCancelled):
        pending.result()
    assert world.node.upload(0x1008) == NAME


def test_each_transfer_may_have_its_own_time_out(build):
    """The device takes half a second for one object only."""
    world = build(timeout_s=0.1)
    world.device.store.on_write(WORD, 0, lambda data, now: 0.5)
    world.node.download(WORD, 0, b"\x01\x00", timeout_s=1.0)
    with pytest.raises(SdoTimeout) as caught:
        world.node.download(WORD, 0, b"\x01\x00")
    assert caught.value.waited_s == 0.1


def test_a_transfer_and_its_client_know_their_times_and_counts(build):
    world = build(latency_s=0.005)
    pending = world.node.begin_upload(0x1008)
    pending.result()
    transfer, latency = pending.transfer, world.node.client.latency
    assert 0.005 <= transfer.answered_after_s < 0.006
    assert transfer.done_at - transfer.begun_at > 0.015, "three answers"
    assert (transfer.transferred, transfer.size, transfer.attempts) == (13, 13, 1)
    assert latency.count == 3 and 0.005 <= latency.last_s <= latency.max_s < 0.006


def test_upload_and_download_use_blocks_when_asked(world):
    world.node.download(FILE, 0, data_of(100), block=True)
    assert world.node.upload(FILE, 0, block=True) == data_of(100)
    first = [text[:2] for text in world.requests()]
    assert (first[0], first.count("A4"), first.count("40")) == ("C6", 1, 0)


# --- the SDO server of a simulated node ------------------------------------------------------------------------------


def test_the_server_takes_block_downloads(world):
    assert world.ask("C6 00 20 00 03 00 00 00") == ["A4 00 20 00 7F 00 00 00"]
    assert world.ask("81 01 02 03 00 00 00 00") == ["A2 01 7F 00 00 00 00 00"]
    crc = binascii.crc_hqx(b"\x01\x02\x03", 0).to_bytes(2, "little").hex(" ")
    assert world.ask(f"D1 {crc} 00 00 00 00 00") == ["A1 00 00 00 00 00 00 00"]
    assert world.device.store.values[FILE, 0] == b"\x01\x02\x03"


def test_the_server_gives_block_uploads(world):
    assert world.ask("A4 08 10 00 7F 00 00 00") == ["C6 08 10 00 0D 00 00 00"]
    segments = world.ask("A3 00 00 00 00 00 00 00")
    assert segments == ["01 53 70 69 6E 64 6C 65", "82 20 64 72 69 76 65 00"]


@pytest.mark.parametrize(("announced", "data"), [(5, data_of(3)), (5, data_of(7)), (9, data_of(7))])
def test_the_server_checks_the_size_of_a_segmented_download(world, announced, data):
    """More than announced, or less: nothing is written."""
    world.device.store.values[FILE, 0] = b"before"
    assert world.ask(f"21 00 20 00 {announced:02X} 00 00 00") == ["60 00 20 00 00 00 00 00"]
    command = 1 | (7 - len(data)) << 1
    answer = world.ask((bytes([command]) + data.ljust(7, b"\0")).hex(" "))
    assert answer == ["80 00 20 00 10 00 07 06"]
    assert world.device.store.values[FILE, 0] == b"before"


@pytest.mark.parametrize("request_", ["21 05 20 00 14 00 00 00", "20 05 20 00 00 00 00 00", "C6 05 20 00 14 00 00 00"])
def test_the_server_refuses_a_write_without_permission_before_the_data_come(world, request_):
    assert world.ask(request_) == ["80 05 20 00 02 00 01 06"]


@pytest.mark.parametrize(
    ("value", "code"), [(10, None), (11, 0x06090031), (0x7FFF, 0x06090031), (-10, None), (-11, 0x06090032)]
)
def test_the_server_checks_the_limits(world, value, code):
    data = value.to_bytes(2, "little", signed=True)
    if code is None:
        world.node.download(LIMITED, 0, data)
        assert world.node.upload(LIMITED) == data
    else:
        assert world.code(world.node.download, LIMITED, 0, data) == code
        assert world.number(LIMITED) == 0


@pytest.mark.parametrize(
    ("request_", "key"),
    [("40 08 10 00", "08 10"), ("21 00 20 00 14", "00 20"), ("C6 00 20 00 14", "00 20"), ("A4 08 10 00 7F", "08 10")],
)
def test_the_server_ends_a_half_done_transfer_after_its_time_out(world, request_, key):
    assert len(world.ask(bytes.fromhex(request_).ljust(8, b"\0").hex())) == 1
    began = world.network.clock.now()
    ends = [f for f in world.run(3.0) if f.can_id == ANSWER]
    assert [f.data.hex(" ").upper() for f in ends] == [f"80 {key} 00 00 00 04 05"]
    assert ends[0].time_ns / 1e9 - began == pytest.approx(1.0, abs=0.01)
    assert world.node.upload(WORD) == b"\x07\x00"


def test_an_abort_before_any_request_is_harmless(world):
    assert world.ask("80 00 00 00 00 00 00 00") == []
    assert world.ask("80") == []
    assert world.ask("60 00 00 00 00 00 00 00") == ["80 00 00 00 01 00 04 05"], "an abort that the server itself sends"
    assert world.node.upload(WORD) == b"\x07\x00"


# --- the rest of a simulated node ------------------------------------------------------------------------------------


def tpdo(world, seconds=0.0):
    return [data for _, data in world.heard(seconds, 0x180 + NODE)]


def test_the_event_timer_sends_a_tpdo_without_a_change(world):
    world.write(0x1800, 5, 100, 2)
    world.command(1)
    times = [time for time, _ in world.heard(0.36, 0x180 + NODE)]
    assert [later - time for time, later in itertools.pairwise(times)] == [100, 100, 100]


@pytest.mark.parametrize(("kind", "syncs"), [(1, [1, 2, 3, 4, 5, 6]), (3, [3, 6])])
def test_a_synchronous_tpdo_answers_the_sync(world, kind, syncs):
    world.write(0x1800, 2, kind, 1)
    world.command(1)
    world.run(0.1)
    answered = []
    for number in range(1, 7):
        world.send(0x80)
        answered += [number] * len(tpdo(world))
    assert answered == syncs


def test_a_tpdo_carries_what_the_dictionary_holds(world):
    """The link from object to PDO: a value that changes is sent by itself, and only then."""
    world.command(1)
    assert tpdo(world, 0.1) == ["00000000"]
    world.device.store.set(POSITION, 0, -2)
    assert tpdo(world, 0.5) == ["feffffff"]
    world.node.download(POSITION, 0, b"\x05\x00\x00\x00")
    assert tpdo(world, 0.5) == ["05000000"]


def test_an_rpdo_writes_into_the_dictionary(world):
    world.send(0x200 + NODE, "01 02 03 04")
    assert world.number(SPEED) == 0, "not before the node is started"
    world.command(1)
    world.send(0x200 + NODE, "01 02 03 04")
    assert world.number(SPEED) == 0x04030201


def test_a_synchronous_rpdo_acts_at_the_sync(world):
    world.write(0x1400, 2, 1, 1)
    world.command(1)
    world.send(0x200 + NODE, "01 02 03 04")
    assert world.number(SPEED) == 0
    world.send(0x80)
    assert world.number(SPEED) == 0x04030201


def test_the_inhibit_time_keeps_tpdos_apart(world):
    assert world.code(world.write, 0x1800, 3, 500, 2) == 0x06090030, "not while the PDO is on"
    world.write(0x1800, 1, OFF | 0x180 + NODE, 4)
    world.write(0x1800, 3, 500, 2)  # 50 ms
    world.write(0x1800, 1, 0x180 + NODE, 4)
    world.command(1)
    world.run(0.2)
    times = []
    for value in range(1, 30):
        world.device.store.set(POSITION, 0, value)
        times += [time for time, _ in world.heard(0.01, 0x180 + NODE)]
    gaps = [later - time for time, later in itertools.pairwise(times)]
    assert len(times) >= 5 and min(gaps) >= 50


def test_a_pdo_is_mapped_anew_by_sdo(world):
    """Off, count 0, entries, count, on; and not in any other order."""
    assert world.code(world.write, 0x1A00, 1, WORD << 16 | 0x10, 4) == 0x06010000
    world.write(0x1800, 1, OFF | 0x180 + NODE, 4)
    world.write(0x1A00, 0, 0, 1)
    assert world.code(world.write, 0x1A00, 1, WORD << 16 | 0x10, 4) == 0x06040041, "not mappable"
    world.write(0x1A00, 1, SPEED << 16 | 0x20, 4)
    world.write(0x1A00, 2, POSITION << 16 | 0x20, 4)
    world.write(0x1A00, 0, 2, 1)
    world.write(0x1800, 1, 0x1C0, 4)
    world.device.store.set(SPEED, 0, 1)
    world.device.store.set(POSITION, 0, 2)
    world.command(1)
    assert [data for _, data in world.heard(0.1, 0x1C0)] == ["0100000002000000"]


def test_errors_enter_the_history_newest_first_and_writing_0_clears_it(world):
    for number in (1, 2, 3, 4):
        world.device.emcy(0x1000 + number, 1, b"", world.network.clock.now())
    world.run(0.1)
    assert world.number(0x1003, 0) == 3
    assert [world.number(0x1003, sub) for sub in (1, 2, 3)] == [0x1004, 0x1003, 0x1002]
    assert world.code(world.write, 0x1003, 0, 1, 1) == 0x06090030
    world.write(0x1003, 0, 0, 1)
    assert [world.number(0x1003, sub) for sub in range(4)] == [0, 0, 0, 0]


def test_a_node_misses_the_heartbeat_of_another_one(world):
    world.write(0x1016, 1, 9 << 16 | 200, 4)
    world.command(1)
    for _ in range(5):
        world.send(0x709, "05")
        assert world.heard(0.15, 0x80 + NODE) == []
    emcy = world.heard(0.5, 0x80 + NODE)
    assert [data[:6] for _, data in emcy] == ["308111"], "8130h, communication error in the register"
    assert world.device.nmt_state is NmtState.PRE_OPERATIONAL
    world.send(0x709, "05")
    assert [data[:4] for _, data in world.heard(0.1, 0x80 + NODE)] == ["0000"], "and is told of its return"


def test_the_node_produces_sync_as_1005h_and_1006h_say(world):
    world.write(0x1006, 0, 20_000, 4)
    assert world.heard(0.1, 0x80) == []
    world.write(0x1005, 0, 0x4000_0080, 4)
    times = [time for time, _ in world.heard(0.1, 0x80)]
    assert [later - time for time, later in itertools.pairwise(times)] == [20] * 4


def test_1005h_says_which_frame_is_the_sync(world):
    world.write(0x1005, 0, 0x90, 4)
    world.write(0x1800, 2, 1, 1)
    world.command(1)
    world.run(0.1)
    world.send(0x80)
    assert tpdo(world) == []
    world.send(0x90)
    assert tpdo(world) == ["00000000"]


def test_a_node_that_starts_says_so():
    bus = SimBus()
    bus.attach(SimNode(dictionary(), NODE), "node")
    with opendiag.connect(bus, clock=ManualClock()) as network, network.frames() as frames:
        network.sleep(0.01)
        assert [(frame.can_id, frame.data) for frame in (frames.get(0),)] == [(0x700 + NODE, b"\0")]
        assert frames.get(0) is None
        network.send(Frame(0, bytes([0x81, NODE])))
        network.sleep(0.01)
        assert [frames.get(0).can_id, frames.get(0).can_id] == [0, 0x700 + NODE]


def test_save_keeps_values_over_a_reset_and_load_gives_the_defaults_back(world):
    world.write(WORD, 0, 100, 2)
    world.command(0x81)
    assert world.number(WORD) == 7, "not saved"
    world.write(WORD, 0, 100, 2)
    assert world.code(world.node.download, 0x1010, 1, b"SAVE") & 0xFFFF0000 == 0x08000000
    world.node.download(0x1010, 1, b"save")
    world.write(WORD, 0, 200, 2)
    world.command(0x81)
    assert world.number(WORD) == 100
    world.node.download(0x1011, 1, b"load")
    assert world.number(WORD) == 100, "until the reset"
    world.command(0x81)
    assert world.number(WORD) == 7
