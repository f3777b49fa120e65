"""The same requests, as different CANopen stacks answer them: what the simulated node shows and our client makes of it.

Each case is a situation and one way to behave in it. The frames are asserted on the simulated bus; then the live
network meets the same behaviour, gets the right data or the right typed error, and says what was odd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

import opendiag
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import SdoAborted, SdoCancelled, ValueRefused
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.sdo_quirks import SdoQuirks
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtState

NODE = 5
DEVICE_TYPE = 0x20192
NAME = b"Spindle drive"
BEAT_S = 2.0

# --- every situation, and every way to behave in it --------------------------------------------------------------

SITUATIONS = {
    "a new initiate in a segmented upload": ("abort", "restart"),
    "an initiate of four bytes": ("answer", "silence"),
    "command E0h": ("abort of the last object", "abort of 0000:00", "abort of 1000:00"),
    "the size of an expedited answer": ("said", "not said"),
    "the last segment": ("with data", "one more without data", "shorter than 8 bytes"),
    "block upload of a small object": (
        "in a block",
        "expedited below the threshold",
        "always a normal upload",
        "abort",
    ),
    "a write to 1000h": ("abort read-only", "abort write-only"),
    "four bytes to the U16 1017h": ("abort too long", "accepted", "abort no such object"),
    "a missing subindex of 1018h": ("abort no such subindex", "abort no such object"),
    "boot-up, then state": (
        "boot-up, pre-operational",
        "boot-up, pre-operational, no start while the error register is set",
        "boot-up, operational by itself",
        "no boot-up, pre-operational",
        "legacy boot-up, guarding only",
    ),
    "a segment request after the client's abort": ("abort", "served", "abort 0800 0000"),
    "LSS fastscan to a node with a node-ID": ("silence", "answer"),
    "1008h is not there": ("abort no such object", "it is there"),
}
#: What cannot be shown yet, and why.
NOT_YET = {
    (
        "LSS fastscan to a node with a node-ID",
        "answer",
    ): "the simulated node has no LSS service, and so no switch for it",
}


@dataclass
class World:
    """A node with some behaviour on a bus, and our network on the same bus."""

    bus: SimBus
    device: SimNode
    network: opendiag.Network
    frames: object
    seen: list[Frame] = field(default_factory=list)

    @property
    def node(self):
        return self.network[NODE]

    def run(self, seconds: float) -> None:
        self.network.sleep(seconds)
        while (frame := self.frames.get(0)) is not None:
            self.seen.append(frame)

    def say(self, can_id: int, data: bytes, **more: object) -> None:
        self.network.send(Frame(can_id, data, **more))
        self.run(0.01)

    def codes(self) -> list[str]:
        return [oddity.finding.code for oddity in self.network.oddities]

    def told(self) -> list[tuple[str, str]]:
        """Frames so far, as (CAN-ID, data); heartbeats are left out, the boot-up is not."""
        return [(f.id_text, f.data.hex(" ").upper()) for f in self.seen if f.data not in (b"\x05", b"\x7f")]


Check = Callable[[World], None]


@dataclass(frozen=True)
class Case:
    """``talk`` is said on the node's SDO channel, ">" to it and "<" from it; ``wire`` is any other look at frames."""

    situation: str
    variant: str
    copes: Check
    talk: Sequence[str] = ()
    wire: Check | None = None
    quirks: NodeQuirks = field(default_factory=NodeQuirks)
    latency_s: float = 0.0
    faults: Sequence[Fault] = ()
    without: Sequence[int] = ()


def var(index: int, subindex: int, kind: DataType, access: str, default: object) -> Variable:
    return Variable(index, subindex, f"o{index:04X}.{subindex}", kind, access, default)


def dictionary(without: Sequence[int] = ()) -> ObjectDictionary:
    made = ObjectDictionary("spindle")
    members = [
        var(0x1000, 0, DataType.UNSIGNED32, "ro", DEVICE_TYPE),
        var(0x1001, 0, DataType.UNSIGNED8, "ro", 0),
        var(0x1008, 0, DataType.VISIBLE_STRING, "const", NAME.decode()),
        var(0x1017, 0, DataType.UNSIGNED16, "rw", int(BEAT_S * 1000)),
    ]
    for member in members:
        if member.index not in without:
            made.objects[member.index] = Object(member.index, member.name, ObjectType.VAR, {0: member})
    identity = [var(0x1018, 0, DataType.UNSIGNED8, "ro", 4)]
    identity += [var(0x1018, sub, DataType.UNSIGNED32, "ro", sub) for sub in (1, 2, 3, 4)]
    made.objects[0x1018] = Object(0x1018, "identity", ObjectType.RECORD, {one.subindex: one for one in identity})
    return made


def sdo(**quirks: object) -> NodeQuirks:
    return NodeQuirks(sdo=SdoQuirks(**quirks))


# --- what our side makes of it -----------------------------------------------------------------------------------


def reads_all(*codes: str, attempts: int = 1, kind: str = "segmented", block: bool = False) -> Check:
    """The name comes whole, and ``codes`` tell what was odd on the way."""

    def check(world: World) -> None:
        pending = world.node.begin_upload(0x1008, block=block)
        assert pending.result() == NAME
        assert (pending.transfer.kind, pending.transfer.attempts) == (kind, attempts)
        assert world.codes() == [finding.code for finding in pending.transfer.oddities] == list(codes)

    return check


def reads_small(*codes: str, kind: str, block: bool = False) -> Check:
    def check(world: World) -> None:
        pending = world.node.begin_upload(0x1000, block=block)
        assert pending.result() == DEVICE_TYPE.to_bytes(4, "little")
        assert (pending.transfer.kind, pending.transfer.attempts) == (kind, 1)
        assert world.codes() == list(codes)

    return check


def sends_whole_requests(world: World) -> None:
    """Whether short requests are answered does not matter to who sends none."""
    assert world.node.upload(0x1008) == NAME
    assert world.node.upload(0x1008, block=True) == NAME
    world.node.download(0x1017, 0, b"\x00\x00")
    world.run(0.1)
    requests = [frame for frame in world.seen if frame.can_id == 0x600 + NODE]
    assert len(requests) > 6 and {len(frame.data) for frame in requests} == {8}
    assert world.codes() == []


def meets_the_abort(*codes: str) -> Check:
    """The abort of somebody's E0h arrives while we wait for an answer; the value comes all the same."""

    def check(world: World) -> None:
        assert world.node.upload(0x1017) == b"\xd0\x07"
        world.network.send(Frame(0x600 + NODE, bytes.fromhex("E0 00 00 00 00 00 00 00")))
        assert world.node.upload(0x1017) == b"\xd0\x07"
        assert world.codes() == list(codes)

    return check


def refuses_the_write(code: int, *codes: str) -> Check:
    """What is read-only is not sent at all; sent on purpose, it comes back as a refusal with the device's code."""

    def check(world: World) -> None:
        world.run(0.01)
        world.seen.clear()
        with pytest.raises(ValueRefused, match="read-only"):
            world.node[0x1000].write(1)
        world.run(0.01)
        assert world.seen == []
        with pytest.raises(SdoAborted) as caught:
            world.node[0x1000].write(1, force=True)
        assert caught.value.code == code and "1000:00" in str(caught.value)
        assert world.codes() == list(codes)

    return check


def four_bytes(code: int | None) -> Check:
    def check(world: World) -> None:
        if code is None:
            world.node.download(0x1017, 0, b"\xe8\x03\xff\xff")
            assert world.node.upload(0x1017) == b"\xe8\x03", "what the device has made of it"
        else:
            with pytest.raises(SdoAborted) as caught:
                world.node.download(0x1017, 0, b"\xe8\x03\xff\xff")
            assert caught.value.code == code
        assert world.codes() == []

    return check


def typed_write_has_the_right_length(check_raw: Check) -> Check:
    """By its type, 1017h is written with two bytes: the question does not come up."""

    def check(world: World) -> None:
        check_raw(world)
        world.node[0x1017].write(3000)
        world.run(0.01)
        assert world.seen[-2].data.hex(" ") == "2b 17 10 00 b8 0b 00 00"
        assert world.node[0x1017].read() == 3000

    return check


def refuses_the_read(index: int, subindex: int, code: int) -> Check:
    def check(world: World) -> None:
        with pytest.raises(SdoAborted) as caught:
            world.network.read(NODE, index, subindex)
        assert (caught.value.code, caught.value.by_client) == (code, False)
        world.network.read(NODE, 0x1018, 4)
        assert world.codes() == []

    return check


def cancelled_read_then_another(world: World) -> None:
    pending = world.node.begin_upload(0x1008)
    world.run(0.003)
    assert pending.transfer.transferred == 7 and not pending.done
    pending.cancel()
    with pytest.raises(SdoCancelled):
        pending.result()
    assert world.node.upload(0x1008) == NAME
    assert world.node.upload(0x1017) == b"\xd0\x07"


# --- boot-up -----------------------------------------------------------------------------------------------------

START = bytes([1, NODE])


def boots(*expected: tuple[str, str], state: NmtState) -> Check:
    def check(world: World) -> None:
        world.run(0.1)
        assert world.told() == list(expected)
        assert world.device.nmt_state is state

    return check


def beats(world: World) -> list[str]:
    return [frame.data.hex() for frame in world.seen if frame.can_id == 0x700 + NODE and frame.data != b"\0"]


def knows(state: NmtState, boot_ups: int) -> Check:
    """The watch says the state from the heartbeat, however the node has come there, and SDO works."""

    def check(world: World) -> None:
        world.run(BEAT_S + 0.1)
        heard = world.network.watch.nodes[NODE]
        assert (heard.state, heard.boot_up_count) == (state, boot_ups)
        assert world.node.upload(0x1017) == b"\xd0\x07"

    return check


def knows_that_it_does_not_start(world: World) -> None:
    world.device.emcy(0x1000, 1, b"", world.network.clock.now())
    world.say(0, START)
    world.run(BEAT_S)
    heard = world.network.watch.nodes[NODE]
    assert heard.emcy.code == 0x1000 and heard.state is NmtState.PRE_OPERATIONAL
    assert beats(world) == ["7f"]
    world.device.emcy(0, 0, b"", world.network.clock.now())
    world.say(0, START)
    world.run(BEAT_S)
    assert heard.state is NmtState.OPERATIONAL


def knows_a_guarded_node(world: World) -> None:
    world.run(BEAT_S + 0.1)
    assert beats(world) == [], "no heartbeat, whatever 1017h says"
    heard = world.network.watch.nodes[NODE]
    assert heard.last_at is not None and heard.emcy is None, "the empty frame is no error message"
    world.say(0x700 + NODE, b"", remote=True, dlc=1)
    assert heard.state is NmtState.PRE_OPERATIONAL
    assert world.node.upload(0x1017) == b"\xd0\x07"


# --- LSS ---------------------------------------------------------------------------------------------------------


def fastscan(world: World) -> None:
    """Byte 5 is the bit to check, 80h: who is not configured?"""
    world.run(0.1)
    world.say(0x7E5, bytes.fromhex("51 00 00 00 00 80 00 00"))
    assert not [frame for frame in world.seen if frame.can_id == 0x7E4]


def still_there(world: World) -> None:
    fastscan(world)
    assert world.node.upload(0x1017) == b"\xd0\x07"


# --- the table ---------------------------------------------------------------------------------------------------

INITIATE = ("> 40 08 10 00 00 00 00 00", "< 41 08 10 00 0D 00 00 00")
SEGMENT = ("> 60 00 00 00 00 00 00 00", "< 00 53 70 69 6E 64 6C 65")
NEXT = "> 70 00 00 00 00 00 00 00"
BLOCK = "> A4 18 10 02 7F 00 00 00"
CLIENT_ABORT = "> 80 08 10 00 00 00 04 05"
READ_1017 = ("> 40 17 10 00 00 00 00 00", "< 4B 17 10 00 D0 07 00 00")
WRITE_1017 = "> 23 17 10 00 E8 03 FF FF"
#: Another master asks for an object between two of our segments.
INTRUDER = [
    Fault("inject", can_id=0x605, nth=2, delay_s=0.001, frame=Frame(0x605, bytes.fromhex("40 17 10 00 00 00 00 00")))
]
SIT = list(SITUATIONS)

CASES = [
    Case(
        SIT[0],
        "abort",
        reads_all("SDO-RESTARTED", attempts=2),
        (*INITIATE, *SEGMENT, READ_1017[0], "< 80 08 10 00 01 00 04 05"),
        latency_s=0.002,
        faults=INTRUDER,
    ),
    Case(
        SIT[0],
        "restart",
        reads_all("SDO-ABORT-OTHER-OBJECT", "SDO-RESTARTED", attempts=2),
        (*INITIATE, *SEGMENT, *READ_1017),
        quirks=sdo(restarts_on_initiate=True),
        latency_s=0.002,
        faults=INTRUDER,
    ),
    Case(SIT[1], "answer", sends_whole_requests, ("> 40 17 10 00", READ_1017[1])),
    Case(SIT[1], "silence", sends_whole_requests, ("> 40 17 10 00",), quirks=sdo(ignores_short_requests=True)),
    *(
        Case(
            SIT[2],
            variant,
            meets_the_abort(*codes),
            (*READ_1017, "> E0 00 00 00 00 00 00 00", f"< 80 {mux} 01 00 04 05"),
            quirks=sdo(unknown_command_mux=name),
            latency_s=0.002,
        )
        for variant, name, mux, codes in (
            ("abort of the last object", "last", "17 10 00", ("SDO-RESTARTED",)),
            ("abort of 0000:00", "zero", "00 00 00", ("SDO-ABORT-OTHER-OBJECT", "SDO-RESTARTED")),
            ("abort of 1000:00", "1000", "00 10 00", ("SDO-ABORT-OTHER-OBJECT", "SDO-RESTARTED")),
        )
    ),
    Case(
        SIT[3],
        "said",
        reads_small(kind="expedited"),
        (
            *("> 40 01 10 00 00 00 00 00", "< 4F 01 10 00 00 00 00 00"),
            *READ_1017,
            *("> 40 00 10 00 00 00 00 00", "< 43 00 10 00 92 01 02 00"),
        ),
    ),
    Case(
        SIT[3],
        "not said",
        reads_small("SDO-UNSIZED", kind="expedited"),
        ("> 40 00 10 00 00 00 00 00", "< 42 00 10 00 92 01 02 00"),
        quirks=sdo(unsized_expedited=True),
    ),
    Case(SIT[4], "with data", reads_all(), (*INITIATE, *SEGMENT, NEXT, "< 13 20 64 72 69 76 65 00")),
    Case(
        SIT[4],
        "one more without data",
        reads_all("SDO-EMPTY-LAST-SEGMENT"),
        (*INITIATE, *SEGMENT, NEXT, "< 12 20 64 72 69 76 65 00", SEGMENT[0], "< 0F 00 00 00 00 00 00 00"),
        quirks=sdo(empty_last_segment=True),
    ),
    Case(
        SIT[4],
        "shorter than 8 bytes",
        reads_all("SDO-SHORT-FRAME"),
        (*INITIATE, *SEGMENT, NEXT, "< 13 20 64 72 69 76 65"),
        quirks=sdo(short_frames=True),
    ),
    Case(SIT[5], "in a block", reads_small(kind="block", block=True), (BLOCK, "< C6 18 10 02 04 00 00 00")),
    Case(
        SIT[5],
        "expedited below the threshold",
        reads_small(kind="block", block=True),  # our client asks for a block and gives no threshold
        ("> A4 18 10 02 7F 04 00 00", "< 43 18 10 02 02 00 00 00"),
    ),
    Case(
        SIT[5],
        "always a normal upload",
        reads_small("SDO-PROTOCOL-SWITCH", kind="expedited", block=True),
        (BLOCK, "< 43 18 10 02 02 00 00 00"),
        quirks=sdo(block_upload="switch"),
    ),
    Case(
        SIT[5],
        "abort",
        reads_small("SDO-BLOCK-REFUSED", kind="expedited", block=True),
        (BLOCK, "< 80 18 10 02 01 00 04 05"),
        quirks=sdo(block_upload="refuse"),
    ),
    Case(
        SIT[6],
        "abort read-only",
        refuses_the_write(0x06010002),
        ("> 23 00 10 00 01 00 00 00", "< 80 00 10 00 02 00 01 06"),
    ),
    Case(
        SIT[6],
        "abort write-only",
        refuses_the_write(0x06010001, "SDO-ABORT-CODE"),
        ("> 23 00 10 00 01 00 00 00", "< 80 00 10 00 01 00 01 06"),
        quirks=sdo(read_only_as_write_only=True),
    ),
    Case(
        SIT[7],
        "abort too long",
        typed_write_has_the_right_length(four_bytes(0x06070012)),
        (WRITE_1017, "< 80 17 10 00 12 00 07 06"),
    ),
    Case(
        SIT[7],
        "accepted",
        typed_write_has_the_right_length(four_bytes(None)),
        (WRITE_1017, "< 60 17 10 00 00 00 00 00"),
        quirks=sdo(accepts_any_length=True),
    ),
    Case(
        SIT[7],
        "abort no such object",
        four_bytes(0x06020000),
        (WRITE_1017, "< 80 17 10 00 00 00 02 06"),
        without=[0x1017],
    ),
    Case(
        SIT[8],
        "abort no such subindex",
        refuses_the_read(0x1018, 5, 0x06090011),
        ("> 40 18 10 05 00 00 00 00", "< 80 18 10 05 11 00 09 06"),
    ),
    Case(
        SIT[8],
        "abort no such object",
        refuses_the_read(0x1018, 5, 0x06020000),
        ("> 40 18 10 05 00 00 00 00", "< 80 18 10 05 00 00 02 06"),
        quirks=sdo(missing_sub_as_missing_object=True),
    ),
    Case(
        SIT[9],
        "boot-up, pre-operational",
        knows(NmtState.PRE_OPERATIONAL, 1),
        wire=boots(("705", "00"), state=NmtState.PRE_OPERATIONAL),
    ),
    Case(
        SIT[9],
        "boot-up, pre-operational, no start while the error register is set",
        knows_that_it_does_not_start,
        wire=boots(("705", "00"), state=NmtState.PRE_OPERATIONAL),
        quirks=NodeQuirks(refuses_start_on_error=True),
    ),
    Case(
        SIT[9],
        "boot-up, operational by itself",
        knows(NmtState.OPERATIONAL, 1),
        wire=boots(("705", "00"), state=NmtState.OPERATIONAL),
        quirks=NodeQuirks(operational_by_itself=True),
    ),
    Case(
        SIT[9],
        "no boot-up, pre-operational",
        knows(NmtState.PRE_OPERATIONAL, 0),
        wire=boots(state=NmtState.PRE_OPERATIONAL),
        quirks=NodeQuirks(no_boot_up=True),
    ),
    Case(
        SIT[9],
        "legacy boot-up, guarding only",
        knows_a_guarded_node,
        wire=boots(("085", ""), state=NmtState.PRE_OPERATIONAL),
        quirks=NodeQuirks(legacy_boot_up=True, guarding_only=True),
    ),
    *(
        Case(
            SIT[10],
            variant,
            cancelled_read_then_another,
            (*INITIATE, *SEGMENT, CLIENT_ABORT, NEXT, answer),
            quirks=sdo(**quirks),
            latency_s=0.001,
        )
        for variant, quirks, answer in (
            ("abort", {}, "< 80 08 10 00 01 00 04 05"),
            ("served", {"serves_after_abort": True}, "< 13 20 64 72 69 76 65 00"),
            ("abort 0800 0000", {"stray_segment_general_error": True}, "< 80 08 10 00 00 00 00 08"),
        )
    ),
    Case(SIT[11], "silence", still_there, wire=fastscan),
    Case(
        SIT[12],
        "abort no such object",
        refuses_the_read(0x1008, 0, 0x06020000),
        (INITIATE[0], "< 80 08 10 00 00 00 02 06"),
        without=[0x1008],
    ),
    Case(SIT[12], "it is there", reads_all(), INITIATE),
]
IDS = [f"{case.situation}: {case.variant}" for case in CASES]


def make(case: Case, faults: Sequence[Fault] = ()) -> World:
    bus = SimBus(faults=faults)
    device = SimNode(dictionary(case.without), NODE, quirks=case.quirks, sdo_latency_s=case.latency_s)
    bus.attach(device, "node")
    network = opendiag.connect(bus, dictionaries={NODE: dictionary()}, clock=ManualClock())
    return World(bus, device, network, network.frames())


def test_every_situation_and_variant_is_shown_or_has_a_reason():
    wanted = [(situation, variant) for situation, variants in SITUATIONS.items() for variant in variants]
    shown = [(case.situation, case.variant) for case in CASES]
    assert sorted([*shown, *NOT_YET]) == sorted(wanted)
    assert all(case.talk or case.wire for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_on_the_wire(case):
    world = make(case)
    with world.network:
        if case.wire is not None:
            case.wire(world)
            return
        world.run(0.1)
        world.seen.clear()
        for line in case.talk:
            if line.startswith(">"):
                world.say(0x600 + NODE, bytes.fromhex(line[1:]))
        names = {"605": ">", "585": "<"}
        assert [f"{names[can_id]} {data}" for can_id, data in world.told()] == list(case.talk)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_our_side_copes_and_says_so(case):
    world = make(case, case.faults)
    with world.network:
        world.run(0.1)
        case.copes(world)
        assert len(world.bus.fired) == len(case.faults)


def test_a_value_shorter_than_an_unsized_answer_is_read_by_its_type():
    """Command 42h does not say how many of the four bytes count; the object's type does."""
    case = next(case for case in CASES if case.variant == "not said")
    with make(case).network as network:
        assert network[NODE].upload(0x1017)[:2] == b"\xd0\x07"
        assert network[NODE][0x1017].read() == 2000


def test_a_legacy_boot_up_is_known_as_one():
    case = next(case for case in CASES if case.variant.startswith("legacy"))
    world = make(case)
    with world.network:
        world.run(0.1)
        assert world.network.watch.nodes[NODE].boot_up_count == 1
