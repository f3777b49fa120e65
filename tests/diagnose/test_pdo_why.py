"""Ten causes of a PDO that does not come, on a simulated bus: the plan names the one that is there, and no other.

Nothing is told to the diagnosis by hand: it reads the node and hears the bus. Each scene is also played without its
cause; then the TPDO appears, and nothing is accused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import opendiag
from opendiag.diagnose import pdo_why_codes as codes
from opendiag.diagnose.pdo_why import PdoReport, examine_pdo, why_no_rpdo, why_no_tpdo
from opendiag.dictionary import eds
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.stepim import StepIM
from opendiag.wire.cob_id import CobId

ROOT = Path(__file__).resolve().parents[2]
STEPIM = (ROOT / "eds" / "stepim.eds").read_text(encoding="latin-1")
PAGE = ROOT / "docs" / "reference" / "why-no-pdo.md"
NODE, OTHER = 101, 102
START, STOP, PRE_OPERATIONAL = 1, 2, 0x80
TPDO1, TPDO2 = 0x1800, 0x1801
COB_ID, TYPE, INHIBIT, TIMER, SYNC_START = 1, 2, 3, 5, 6
WIDTHS = {COB_ID: 4, TYPE: 1, INHIBIT: 2, TIMER: 2, SYNC_START: 1}
OFF = 1 << 31


class Every:
    """A station that sends what a function gives, again and again."""

    def __init__(self, period_s: float, make: Callable[[int], Frame], first_s: float = 0.0) -> None:
        self.period_s = period_s
        self.make = make
        self.count = 0
        self.first_s = first_s
        self.out: list[Frame] = []

    def receive(self, frame: Frame, now: float) -> None:
        pass

    def tick(self, now: float) -> None:
        while now >= self.deadline() - 1e-9:
            self.out.append(self.make(self.count))
            self.count += 1

    def deadline(self) -> float:
        return self.first_s + self.period_s * (self.count + 1)

    def frames_to_send(self) -> list[Frame]:
        out, self.out = self.out, []
        return out

    def events(self) -> list[Any]:
        return []


class Turning(StepIM):
    """Somebody turns its shaft, so that 6064h changes all the time."""

    def advance(self, now: float) -> None:
        self.motor.position = now
        super().advance(now)


def with_sync_start():
    """The dictionary of a StepIM whose TPDO1 has a SYNC start value."""
    entry = "\n[1800sub6]\nParameterName=SYNC start value\nObjectType=0x7\nDataType=0x0005\nAccessType=rw\n"
    text = STEPIM.replace("[1A00]", f"{entry}DefaultValue=0\nPDOMapping=0\n\n[1A00]", 1)
    text = re.sub(r"(\[1800sub0\][^\[]*?DefaultValue=)5", r"\g<1>6", text)
    return eds.parse(text, "stepim")


class Scene:
    """Devices on a simulated bus, and we, who start the first of them unless told otherwise."""

    def __init__(self, *nodes: StepIM, start: bool = True, listen: float = 0.3) -> None:
        self.bus = SimBus()
        self.nodes = nodes or (StepIM(),)
        for node in self.nodes:
            self.bus.attach(node)
        self.network = opendiag.connect(self.bus, clock=ManualClock(self.bus.now))
        self.let(listen)
        if start:
            self.nmt(START)

    def let(self, seconds: float) -> "Scene":
        self.network.sleep(seconds)
        return self

    def nmt(self, command: int, node_id: int = NODE) -> "Scene":
        self.network.send(Frame(0, bytes([command, node_id])))
        return self.let(0.05)

    def write(self, subindex: int, value: int, index: int = TPDO1, node_id: int = NODE) -> "Scene":
        self.network[node_id].download(index, subindex, value.to_bytes(WIDTHS[subindex], "little"))
        return self

    def sync(self, period_s: float = 0.05, overflow: int = 0, can_id: int = 0x80) -> "Scene":
        """Another station sends SYNC."""

        def make(count: int) -> Frame:
            return Frame(can_id, bytes([count % overflow + 1]) if overflow else b"")

        self.bus.attach(Every(period_s, make, self.bus.now), "SYNC producer")
        return self

    def counts(self, overflow: int) -> "Scene":
        """The device knows of the counter in SYNC."""
        self.network[NODE].download(0x1006, 0, bytes(4))
        self.network[NODE].download(0x1019, 0, bytes([overflow]))
        return self

    def examine(self, number: int = 1, transmit: bool = True, **options: Any) -> PdoReport:
        return self.network.run(examine_pdo(NODE, transmit, number, self.network.watch, **options))


# --- the ten, each with its cause and without ------------------------------------------------------------------------


def nmt_state(cause: bool) -> Scene:
    return Scene(start=not cause).write(TIMER, 100)


def bit_31(cause: bool) -> Scene:
    return Scene().write(COB_ID, OFF | 0x1E5).write(TIMER, 100).write(COB_ID, OFF | 0x1E5 if cause else 0x1E5)


def no_sync(cause: bool) -> Scene:
    scene = Scene().write(TYPE, 1)
    return scene if cause else scene.sync()


def inhibit_time(cause: bool) -> Scene:
    scene = Scene(Turning(), start=False)
    scene.write(COB_ID, OFF | 0x2E5, TPDO2).write(INHIBIT, 60_000 if cause else 100, TPDO2)
    return scene.write(COB_ID, 0x2E5, TPDO2).nmt(START).let(1.0)


def event_only(cause: bool) -> Scene:
    return Scene().write(TYPE, 255 if cause else 1).sync().let(0.5)


def wrong_cob_id(cause: bool) -> Scene:
    scene = Scene().write(COB_ID, OFF | 0x1E5).write(TIMER, 100)
    return scene.write(COB_ID, 0x1D5 if cause else 0x1E5)


def mapping_empty(cause: bool) -> Scene:
    scene = Scene().write(COB_ID, OFF | 0x1E5).write(TIMER, 100)
    if cause:
        scene.network[NODE].download(0x1A00, 0, b"\0")
    return scene.write(COB_ID, 0x1E5)


def remote_only(cause: bool) -> Scene:
    return Scene().write(TIMER, 100).write(TYPE, 253 if cause else 255)


def no_change(cause: bool) -> Scene:
    scene = Scene(StepIM() if cause else Turning(), start=False)
    return scene.write(TYPE, 254, TPDO2).nmt(START).let(2.0)


def identifier_clash(cause: bool) -> Scene:
    """Both send on the same SYNC, and what they send is not the same: their frames destroy each other."""
    scene = Scene(StepIM(), StepIM(OTHER, seed=1))
    scene.write(TYPE, 1).write(COB_ID, OFF | 0x1E6, node_id=OTHER).write(TYPE, 1, node_id=OTHER)
    scene.write(COB_ID, 0x1E5 if cause else 0x1E6, node_id=OTHER)
    scene.network[OTHER].download(0x6060, 0, b"\x03")
    return scene.nmt(START, OTHER).sync()


@dataclass(frozen=True)
class Row:
    play: Callable[[bool], Scene]
    code: str
    says: str
    next: str
    number: int = 1


TEN = [
    Row(nmt_state, codes.NMT, "Node 101 is PRE-OPERATIONAL (told", "`opendiag nmt start 101`"),
    Row(bit_31, codes.OFF, "is switched off: bit 31 is set in 1800:01", "`opendiag write 101 1800:01 0x1e5`"),
    Row(no_sync, codes.NO_SYNC, "with SYNC (type 1), and no SYNC came on 080h in", "`opendiag sync --period 100ms`"),
    Row(
        inhibit_time,
        codes.INHIBIT,
        "comes no more often than every 6 s, its inhibit time",
        "pdo map 101 tpdo 2 --inhibit 10ms`",
        2,
    ),
    Row(event_only, codes.EVENT, "not with SYNC, though 30 SYNC came in 1.5 s", "`opendiag write 101 1800:02 1`"),
    Row(wrong_cob_id, codes.COB_ID, "comes on CAN-ID 1D5h (", "101 tpdo 1 --cob-id 1E5`"),
    Row(mapping_empty, codes.EMPTY, "is empty (1A00:00 is 0)", "`opendiag pdo map 101 tpdo 1 6041 6064`"),
    Row(remote_only, codes.RTR, "asked for by a remote frame, and none came in ", "`opendiag write 101 1800:02 255`"),
    Row(no_change, codes.UNCHANGED, "606C:00 read the same before and after", "`opendiag write 101 1801:05 100`", 2),
    Row(identifier_clash, codes.CLASH, "TPDO1 of node 102 has CAN-ID 1E5h as well as", "map 102 tpdo 1 --cob-id"),
]


def each(rows: list[Any]):
    return pytest.mark.parametrize("row", rows, ids=[row.play.__name__ for row in rows])


def test_they_are_ten():
    assert len({row.code for row in TEN}) == len(TEN) == 10


@each(TEN)
def test_the_cause_is_named_and_no_other(row):
    made = row.play(True).examine(row.number)
    assert [finding.code for finding in made.findings] == [row.code], made
    (finding,) = made.findings
    assert row.says in finding.sentence
    assert row.next in finding.advice
    assert finding.node == NODE
    assert not made.ok


@each(TEN)
def test_without_the_cause_it_appears_and_nothing_is_accused(row):
    made = row.play(False).examine(row.number)
    assert made.findings == ()
    assert made.ok
    assert made.count > 1
    assert [step.name for step in made.steps if step.ok is not True] == []


@each(TEN)
def test_each_cause_by_the_node_and_by_the_plan(row):
    scene = row.play(True)
    assert scene.network[NODE].pdo.tpdo(row.number).why()[0].code == row.code
    scene = row.play(True)
    assert scene.network.run(why_no_tpdo(NODE, row.number, scene.network.watch))[0].code == row.code


# --- the same causes in another shape, and others --------------------------------------------------------------------


def codes_of(made: PdoReport) -> list[str]:
    return [finding.code for finding in made.findings]


def one(made: PdoReport, code: str) -> Any:
    """The only finding."""
    assert codes_of(made) == [code], made
    return made.findings[0]


def mute(node: StepIM) -> StepIM:
    node.store.set(0x1017, 0, 0)
    return node


def test_a_stopped_node_is_known_without_asking_it():
    scene = Scene().nmt(STOP)
    before = scene.network.clock.now()
    found = one(scene.examine(), codes.NMT)
    assert found.sentence == ("Node 101 is STOPPED (told to stop 50 ms ago): PDOs are sent in OPERATIONAL only.")
    assert scene.network.clock.now() == before


def test_a_stopped_node_that_nobody_has_heard_yet_is_waited_for():
    scene = Scene()
    scene.nodes[0].store.set(0x1017, 0, 2000)
    clock = scene.nmt(STOP).network.clock
    scene.network.close()
    scene.network = opendiag.connect(scene.bus, clock=clock)
    assert "is STOPPED (told" in one(scene.examine(), codes.NMT).sentence


def test_a_node_that_was_started_and_did_not():
    node = StepIM(quirks=NodeQuirks(refuses_start_on_error=True))
    scene = Scene(node).let(0.3)
    node.emcy(0x3210, 1, now=scene.bus.now)
    scene.nmt(PRE_OPERATIONAL).nmt(START).let(2.0)
    found = one(scene.examine(), codes.NMT)
    assert " ago, and is PRE-OPERATIONAL still (told " in found.sentence
    assert "`opendiag read 101 1001 1003`" in found.advice


def test_a_node_that_never_tells_its_state_is_asked_by_guarding():
    node = mute(StepIM(quirks=NodeQuirks(guarding_only=True, no_boot_up=True)))
    scene = Scene(node, start=False)
    found = one(scene.examine(), codes.NMT)
    assert found.severity is Severity.ERROR
    assert "is PRE-OPERATIONAL (told" in found.sentence


def test_guarding_is_not_used_where_it_has_consequences():
    node = mute(StepIM(quirks=NodeQuirks(guarding_only=True, no_boot_up=True)))
    node.store.set(0x100C, 0, 100)
    node.store.set(0x100D, 0, 3)
    scene = Scene(node, start=False)
    with scene.network.frames() as frames:
        made = scene.examine()
        sent = []
        while (frame := frames.get(0.0)) is not None:
            sent.append(frame)
    assert not any(frame.remote for frame in sent)
    assert codes_of(made) == [codes.NMT, codes.UNCHANGED]
    assert {each.severity for each in made.findings} == {Severity.WARNING}
    found = made.findings[0]
    assert found.sentence.startswith(
        "The NMT state of node 101 is not known: no heartbeat, no PDO and no start command"
    )
    assert "`opendiag write 101 1017 1000`" in found.advice


def test_a_pdo_of_its_own_tells_that_a_node_runs():
    node = mute(Turning(quirks=NodeQuirks(operational_by_itself=True, no_boot_up=True)))
    node.store.set(0x100C, 0, 100)
    node.store.set(0x100D, 0, 3)
    made = Scene(node, start=False).examine()
    assert codes_of(made) == [codes.UNCHANGED]
    assert made.steps[0].sentence.startswith("OPERATIONAL (it sends TPDO")


def test_a_pdo_that_the_device_does_not_have():
    found = one(Scene().examine(9), codes.NONE)
    assert found.sentence == "Node 101 has no TPDO9: it refuses 1808:01."
    assert found.advice == "See which PDOs it has: `opendiag pdo show 101`."


def test_a_node_that_does_not_answer_has_the_findings_of_the_read():
    scene = Scene(StepIM(5), start=False).let(2.0)
    made = scene.examine()
    assert codes_of(made) == ["SDO-WRONG-NODE-ID"]
    assert [step.name for step in made.steps] == ["SDO"]


def test_switched_off_without_a_can_id():
    scene = Scene().write(COB_ID, OFF)
    assert "`opendiag write 101 1800:01 0x1e5`" in one(scene.examine(), codes.OFF).advice


def test_an_impossible_can_id():
    scene = Scene()
    scene.nodes[0].store.set(TPDO1, COB_ID, 0x601)
    scene.nodes[0].pdos.reload()
    found = one(scene.examine(), codes.COB_ID)
    assert found.sentence == "TPDO1 of node 101 has CAN-ID 601h, which belongs to SDO request: no PDO may use it."
    assert "--cob-id 1E5`" in found.advice


def test_a_can_id_of_29_bits_is_another_one():
    scene = Scene().write(COB_ID, OFF | 0x1E5).write(TIMER, 100).write(COB_ID, 1 << 29 | 0x1E5)
    assert "comes on CAN-ID 000001E5h (" in one(scene.examine(), codes.COB_ID).sentence


def test_a_moved_pdo_is_no_finding_where_it_is_expected():
    scene = wrong_cob_id(True)
    assert scene.examine(expected=CobId(0x1D5)).findings == ()
    assert codes_of(wrong_cob_id(False).examine(expected=CobId(0x1D5))) == [codes.COB_ID]


def test_a_reserved_type():
    scene = Scene()
    scene.nodes[0].store.set(TPDO1, TYPE, 245)
    scene.nodes[0].pdos.reload()
    assert "has transmission type 245, which is reserved" in one(scene.examine(), codes.TYPE).sentence


def test_remote_frames_that_the_cob_id_forbids():
    scene = Scene().write(COB_ID, OFF | 0x1E5).write(TYPE, 253).write(COB_ID, 1 << 30 | 0x1E5)
    assert "and bit 30 of 1800:01 forbids that" in one(scene.examine(), codes.RTR).sentence


def test_a_pdo_that_is_asked_for_comes():
    scene = Scene().write(TYPE, 253)
    scene.bus.attach(Every(0.1, lambda count: Frame(0x1E5, remote=True, dlc=3), scene.bus.now), "who asks")
    assert scene.examine().findings == ()


def test_sync_on_another_can_id():
    scene = Scene().write(TYPE, 1).sync(can_id=0x90)
    found = one(scene.examine(), codes.SYNC_COB_ID)
    assert "waits for SYNC on 080h (1005h of node 101), where none comes; what looks like SYNC comes on 090h (" in (
        found.sentence
    )
    assert "every 50 ms" in found.sentence
    assert "`opendiag write 101 1005 0x80000090`" in found.advice


def test_sync_with_a_counter_on_another_can_id():
    scene = Scene().write(TYPE, 1).sync(can_id=0x90, overflow=10)
    assert codes_of(scene.examine()) == [codes.SYNC_COB_ID]


def test_a_node_that_listens_elsewhere():
    scene = Scene().write(TYPE, 1)
    scene.network[NODE].download(0x1005, 0, (0x90).to_bytes(4, "little"))
    found = one(scene.sync().examine(), codes.SYNC_COB_ID)
    assert "on 090h (1005h of node 101), where none comes; what looks like SYNC comes on 080h" in found.sentence


def test_a_sync_producer_without_a_period():
    scene = Scene().write(TYPE, 1)
    scene.network[NODE].download(0x1006, 0, bytes(4))
    scene.network[NODE].download(0x1005, 0, (1 << 30 | 0x80).to_bytes(4, "little"))
    found = one(scene.examine(), codes.NO_SYNC)
    assert "to produce it itself (bit 30 of 1005h), and its period 1006h is 0" in found.sentence
    assert "`opendiag write 101 1006 100000`" in found.advice


def test_sync_that_has_ended():
    scene = Scene().write(TYPE, 1).sync()
    scene.let(1.0)
    scene.bus.detach(scene.bus.stations[-1])
    assert "The last one came" in one(scene.let(3.0).examine(), codes.NO_SYNC).sentence


def test_sync_that_we_send_ourselves_counts():
    scene = Scene().write(TYPE, 1)
    cycle = scene.network.sync(0.05)
    made = scene.examine()
    cycle.stop()
    assert made.findings == ()
    assert made.steps[4].sentence.startswith("30 on 080h in 1.5 s, every 50 ms")


class Waiting(StepIM):
    """It also waits for its start value where SYNC has no counter."""

    def frames_to_send(self) -> list[Frame]:
        return [frame for frame in super().frames_to_send() if frame.can_id != 0x1E5]


@pytest.mark.parametrize(
    ("device", "overflow", "says"),
    [
        (Waiting, 0, "and SYNC comes without a counter"),
        (StepIM, 4, "and the counter only runs from 1 to 4"),
    ],
)
def test_a_sync_counter_that_never_comes(device, overflow, says):
    scene = Scene(device(dictionary=with_sync_start()), start=False)
    scene.write(COB_ID, OFF | 0x1E5).write(TYPE, 1).write(SYNC_START, 5).write(COB_ID, 0x1E5)
    found = one(scene.counts(overflow).sync(overflow=overflow).nmt(START).examine(), codes.SYNC_COUNTER)
    assert f"begins with the SYNC whose counter is 5, {says}" in found.sentence
    assert "`opendiag write 101 1800:06 0`" in found.advice


def test_a_sync_counter_that_comes():
    scene = Scene(StepIM(dictionary=with_sync_start()), start=False)
    scene.write(COB_ID, OFF | 0x1E5).write(TYPE, 1).write(SYNC_START, 5).write(COB_ID, 0x1E5)
    assert scene.counts(10).sync(overflow=10).nmt(START).examine().findings == ()


def test_every_nth_sync():
    scene = Scene().write(TYPE, 240).sync(0.1)
    found = one(scene.examine(), codes.RARE)
    assert "is sent with every 240th SYNC, that is every 24.0 s, and only" in found.sentence
    assert found.severity is Severity.WARNING


def test_every_nth_sync_is_waited_for_where_that_is_not_long():
    scene = Scene().write(TYPE, 40).sync(0.1)
    made = scene.examine()
    assert made.findings == ()
    assert 4.0 < made.listened_s < 6.0


def test_a_long_event_timer():
    scene = Scene(start=False).write(TIMER, 60_000).nmt(START).let(1.0)
    assert "comes every 60 s when nothing happens (event timer)" in one(scene.examine(), codes.RARE).sentence


def test_an_event_timer_is_waited_for_where_that_is_not_long():
    scene = Scene(start=False).write(TIMER, 4000).nmt(START).let(1.0)
    assert scene.examine().findings == ()


def test_an_event_timer_of_0():
    found = one(Scene().let(1.0).examine(), codes.UNCHANGED)
    assert "Its event timer (1800:05) is 0." in found.sentence
    assert "Let it come every 100 ms: `opendiag write 101 1800:05 100`" in found.advice


def test_an_event_at_sync_that_does_not_happen():
    scene = Scene().write(TYPE, 0).sync().let(1.0)
    found = one(scene.examine(), codes.UNCHANGED)
    assert "is sent with the next SYNC after something changed (type 0)" in found.sentence


def test_an_inhibit_time_above_the_event_timer():
    scene = Scene(start=False).write(COB_ID, OFF | 0x1E5).write(INHIBIT, 20_000).write(TIMER, 100)
    found = one(scene.write(COB_ID, 0x1E5).nmt(START).let(1.0).examine(), codes.INHIBIT)
    assert "comes no more often than every 2 s, its inhibit time (event timer 0.1 s)" in found.sentence


def test_an_inhibit_time_that_is_not_over_yet():
    scene = inhibit_time(True)
    found = one(scene.examine(2, most_s=1.0), codes.INHIBIT)
    assert "ago and may not be sent again before its inhibit time of 6 s is over" in found.sentence
    assert found.severity is Severity.ERROR


def test_frames_of_somebody_else_while_the_node_can_send_none():
    scene = Scene(start=False).let(2.0)
    scene.bus.attach(Every(0.1, lambda count: Frame(0x1E5, bytes(3)), scene.bus.now), "somebody")
    made = scene.examine(listen_s=2.5)
    assert codes_of(made) == [codes.NMT, codes.CLASH]
    assert "and the node can send none" in made.findings[1].sentence


def test_frames_of_another_length():
    scene = Scene().write(TYPE, 1).sync()
    scene.bus.attach(Every(0.1, lambda count: Frame(0x1E5, bytes(8)), scene.bus.now + 0.01), "somebody")
    made = scene.examine()
    assert codes_of(made) == [codes.CLASH]
    assert "frames of 8 bytes came, and TPDO1 has 3" in made.findings[0].sentence


def test_two_senders_that_take_turns():
    """Another node with the same CAN-ID, between the SYNCs: every frame is good, and there are too many."""
    scene = Scene(StepIM(), StepIM(OTHER, seed=1)).write(TYPE, 1)
    scene.write(COB_ID, OFF | 0x1E6, node_id=OTHER).write(TIMER, 10, node_id=OTHER).write(INHIBIT, 0, node_id=OTHER)
    scene.write(COB_ID, 0x1E5, node_id=OTHER).nmt(START, OTHER).sync(0.1035)
    found = one(scene.examine(), codes.CLASH)
    assert found.sentence.startswith("TPDO1 of node 102 has CAN-ID 1E5h as well as TPDO1 of node 101: ")


def test_two_pdos_of_the_same_node():
    scene = Scene().write(COB_ID, OFF | 0x1E5)
    scene.write(COB_ID, OFF | 0x2E5, TPDO2).write(COB_ID, 0x1E5, TPDO2).write(COB_ID, 0x1E5)
    made = scene.let(1.0).examine()
    assert made.findings[0].code == codes.CLASH
    assert "TPDO2 of node 101 has CAN-ID 1E5h as well as TPDO1" in made.findings[0].sentence


def test_a_moved_pdo_makes_no_other_node():
    """1D5h would be that of node 85, which is not there: it is not asked."""
    scene = wrong_cob_id(True).let(1.0)
    scene.examine()
    assert 0x655 not in scene.network.watch.own


def test_bad_arguments():
    watch = Scene().network.watch
    for node_id, number in ((0, 1), (128, 1), (1, 0), (1, 513)):
        with pytest.raises(ValueError, match=r"1\.\.127"):
            examine_pdo(node_id, True, number, watch)


# --- RPDOs ----------------------------------------------------------------------------------------------------------


def received(*cause: str) -> Scene:
    """RPDO1 is sent with every second SYNC, as it should be, but for the causes."""
    scene = Scene(start="nmt" not in cause)
    data = bytes([6, 0, 1])[: 2 if "short" in cause else 3]
    if "unsent" not in cause:
        scene.bus.attach(Every(0.1, lambda count: Frame(0x265, data), scene.bus.now + 0.01), "the other master")
    return scene if "no sync" in cause else scene.sync()


@pytest.mark.parametrize(
    ("cause", "code", "says"),
    [
        ("nmt", codes.NMT, "PDOs are taken in OPERATIONAL only"),
        ("unsent", codes.NOT_SENT, "Nobody sends RPDO1 of node 101: no frame came on CAN-ID 265h in"),
        ("no sync", codes.NO_SYNC, "acts with SYNC (type 1), and no SYNC came on 080h"),
        ("short", codes.LENGTH, "comes with 2 bytes, and its mapping has 3: the node does not take it"),
    ],
)
def test_why_an_rpdo_has_no_effect(cause, code, says):
    scene = received(cause).let(2.2)
    found = scene.network.run(why_no_rpdo(NODE, 1, scene.network.watch))
    assert [each.code for each in found] == [code]
    assert says in found[0].sentence


def test_an_rpdo_that_acts():
    scene = received().let(1.0)
    made = scene.examine(transmit=False)
    assert made.findings == ()
    assert scene.nodes[0].store.values[0x6040, 0] == b"\x06\0"


def test_values_that_the_device_does_not_keep():
    scene = Scene().sync()
    scene.bus.attach(Every(0.1, lambda count: Frame(0x265, bytes([6, 0, 77])), scene.bus.now + 0.01), "other master")
    found = one(scene.let(1.0).examine(transmit=False), codes.NO_EFFECT)
    assert "6060:00 was sent as 77 and reads" in found.sentence


# --- as it is shown, and the reference -------------------------------------------------------------------------------


def test_the_report_as_json():
    made = no_sync(True).examine().to_dict()
    assert list(made) == ["node", "pdo", "ok", "frames", "listened_s", "steps", "findings"]
    assert (made["node"], made["pdo"], made["ok"], made["frames"]) == (NODE, "TPDO1", False, 0)
    assert [step["name"] for step in made["steps"]] == ["state", "COB-ID", "mapping", "type", "SYNC", "frames"]
    assert [step["ok"] for step in made["steps"]] == [True, True, True, True, False, None]


def test_nothing_is_written_and_nothing_started():
    scene = no_change(True)
    with scene.network.frames() as frames:
        scene.examine(2)
        sent = []
        while (frame := frames.get(0.0)) is not None:
            sent += [frame] if frame.direction == "tx" else []
    assert sent
    assert {frame.can_id for frame in sent} == {0x665}
    assert {frame.data[0] >> 5 for frame in sent} <= {2, 3}  # reads, and their segments


def test_the_page_lists_each_code():
    listed = re.findall(r"^\| `(PDO-[A-Z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    declared = [value for name, value in vars(codes).items() if name.isupper()]
    assert sorted(listed) == sorted(declared)
    assert len(set(declared)) == len(declared)


def test_every_finding_says_what_to_do_next():
    for row in TEN:
        (finding,) = row.play(True).examine(row.number).findings
        assert re.search(r"`opendiag (nmt|write|pdo map|sync) [^`]+`", finding.advice), finding


def test_nothing_that_can_be_read_says_why():
    found = one(Scene(Waiting()).write(TYPE, 1).sync().examine(), codes.SILENT)
    assert found.severity is Severity.WARNING
    assert "should come on CAN-ID 1E5h and did not in" in found.sentence


def test_a_counter_where_none_is_expected():
    found = one(Scene(Waiting()).write(TYPE, 1).sync(overflow=10).examine(), codes.SYNC_COUNTER)
    assert "expects SYNC without a counter (1019h = 0), and it comes with one" in found.sentence
    assert found.severity is Severity.WARNING
