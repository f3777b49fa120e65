"""Twelve causes of silence on a simulated bus: the exception and `doctor` name the one that is there, and no other.

Nothing is told to the diagnosis by hand: it hears what is on the bus and what its adapter says. Each scene is also
played without its cause, and then everything is in order.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import opendiag
from opendiag.diagnose import codes
from opendiag.diagnose.ladder import doctor
from opendiag.diagnose.report import Report
from opendiag.dictionary import eds
from opendiag.errors import SdoError
from opendiag.findings import Finding
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient, TransferDone
from opendiag.services.sdo_quirks import SdoQuirks
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.stepim import StepIM

NODE = 101
TIMEOUT_S = 0.5
STEPIM = (Path(__file__).resolve().parents[2] / "eds" / "stepim.eds").read_text(encoding="latin-1")
CHANNEL = SdoChannel.default(NODE)
#: Expedited, one segment, three segments.
DEVICE_TYPE, DEVICE_NAME, HARDWARE = 0x1000, 0x1008, 0x1009
SERIAL = 0x2F7A
START, STOP, RESET_NODE = 1, 2, 0x81


def with_1200h(sub: int = 1, line: str = ""):
    """The dictionary of a StepIM whose 1200h can be written, with one more line for one of its COB-IDs."""
    text = re.sub(r"(?is)(\[1200sub[12]\].*?AccessType=)\w+", r"\1rw", STEPIM)
    return eds.parse(text.replace(f"[1200sub{sub}]", f"[1200sub{sub}]\n{line}"), "stepim")


class Reflex:
    """A device that sends what a function makes of each frame it hears."""

    def __init__(self, answer: Callable[[Frame], Frame | None]) -> None:
        self.answer = answer
        self.out: list[Frame] = []

    def receive(self, frame: Frame, now: float) -> None:
        sent = self.answer(frame)
        if sent is not None:
            self.out.append(sent)

    def tick(self, now: float) -> None:
        pass

    def deadline(self) -> None:
        return None

    def frames_to_send(self) -> list[Frame]:
        out, self.out = self.out, []
        return out

    def events(self) -> list[Any]:
        return []


class StuckToggle(StepIM):
    """Its SDO server does not alternate the toggle bit of the segments it sends."""

    def frames_to_send(self) -> list[Frame]:
        return [
            Frame(frame.can_id, bytes([frame.data[0] & 0xEF]) + frame.data[1:])
            if frame.can_id == CHANNEL.response_id and frame.data[0] < 0x20
            else frame
            for frame in super().frames_to_send()
        ]


class PortAtRate(SimPort):
    """An adapter with a bit rate of its own."""

    def __init__(self, bus: SimBus, clock: ManualClock, bit_rate: int) -> None:
        super().__init__(SimWorld(bus, clock), "sim")
        bus.detach(self.station)
        self.station = bus.attach(name="sim at its own rate", bit_rate=bit_rate)


class Scene:
    """A bus that has been running for 5 s, and our network on it from `listen` on."""

    def __init__(self, *nodes: StepIM, faults: tuple[Fault, ...] = ()) -> None:
        self.bus = SimBus(faults=faults)
        self.nodes = nodes
        for node in nodes:
            self.bus.attach(node, f"node {node.node_id}")
        if nodes:
            self.bus.attach(name="somebody who only acknowledges")
        self.bus.run_until(5.0)
        self.network: Network | None = None

    def listen(self, seconds: float = 0.0, bit_rate: int | None = None, **options: Any) -> "Scene":
        clock = ManualClock(self.bus.now)
        if bit_rate is None:
            self.network = opendiag.connect(self.bus, clock=clock, timeout_s=TIMEOUT_S, **options)
        else:
            port = PortAtRate(self.bus, clock, bit_rate)
            self.network = Network(port, clock, timeout_s=TIMEOUT_S, bit_rate=bit_rate)
        return self.let(seconds)

    def let(self, seconds: float) -> "Scene":
        """Let time pass."""
        if self.network is None:
            self.bus.run_until(self.bus.now + seconds)
        else:
            self.network.sleep(seconds)
        return self

    def other(self, machine: Any = None, on_event: Any = None):
        """A second master."""
        return self.bus.attach(machine, "the other master", on_event=on_event)

    def nmt(self, command: int) -> "Scene":
        other = self.other()
        other.send(Frame(0, bytes([command, NODE])))
        self.let(0.1)
        self.bus.detach(other)
        return self

    def write_1200h(self, sub: int, value: int) -> None:
        """By the other master, over the bus."""
        client = SdoClient(CHANNEL)
        station = self.other(client)
        transfer = client.download(0x1200, sub, value.to_bytes(4, "little"), self.bus.now)
        self.let(0.1)
        assert transfer.done and transfer.error is None
        self.bus.detach(station)


# --- the twelve, each with its cause and without -------------------------------------------------------------------


def wrong_node_id(cause: bool) -> Scene:
    return Scene(StepIM(5 if cause else NODE)).listen(3)


def stopped(cause: bool) -> Scene:
    scene = Scene(StepIM())
    scene.nmt(STOP if cause else START)
    return scene.listen(3)


def absent(cause: bool) -> Scene:
    scene = Scene(StepIM(7), StepIM()).listen(10)
    scene.network[7].upload(DEVICE_TYPE)
    if cause:
        scene.nodes[1].power_off()
    return scene.let(10)


def empty(cause: bool) -> Scene:
    return Scene(*([] if cause else [StepIM()])).listen()


def wrong_bit_rate(cause: bool) -> Scene:
    return Scene(StepIM(), StepIM(7)).listen(3, bit_rate=500_000 if cause else 1_000_000)


def other_cob_id(cause: bool) -> Scene:
    scene = Scene(StepIM(dictionary=with_1200h()))
    scene.write_1200h(2, 0x6A5 if cause else 0x5E5)
    return scene.listen(3)


def late(cause: bool) -> Scene:
    return Scene(StepIM(sdo_latency_s=2 * TIMEOUT_S if cause else TIMEOUT_S / 2)).listen(3)


def listen_only(cause: bool) -> Scene:
    return Scene(StepIM(), StepIM(7)).listen(3, listen_only=cause)


def disabled(cause: bool) -> Scene:
    scene = Scene(StepIM(dictionary=with_1200h())).listen(3)
    scene.write_1200h(1, 0x8000_0665 if cause else 0x665)
    return scene.let(30)


def other_master(cause: bool) -> Scene:
    """It reads three segments again and again, and is quicker to begin again than we are."""
    scene = Scene(StepIM(sdo_latency_s=0.02))
    client = SdoClient(CHANNEL, timeout_s=0.04)

    def again(event: Any, now: float) -> None:
        if cause and isinstance(event, TransferDone):
            client.upload(HARDWARE, 0, now)

    scene.other(client, again)
    client.upload(HARDWARE, 0, scene.bus.now)
    return scene.listen(3)


def toggle(cause: bool) -> Scene:
    scene = Scene(StuckToggle() if cause else StepIM())
    scene.nodes[0].store.values[DEVICE_NAME, 0] = b"a name of four segments"
    return scene.listen(3)


def reset(cause: bool, boot_s: float = 0.05) -> Scene:
    """The other master resets the node when it hears our request for a segment."""
    scene = Scene(StepIM(quirks=NodeQuirks(boot_s=boot_s), sdo_latency_s=0.01))

    def answer(frame: Frame) -> Frame | None:
        in_transfer = CHANNEL.is_request(frame) and frame.data[0] & 0xEF == 0x60
        return Frame(0, bytes([RESET_NODE, NODE])) if in_transfer else None

    scene.other(Reflex(answer) if cause else None)
    return scene.listen(3)


@dataclass(frozen=True)
class Row:
    play: Callable[[bool], Scene]
    code: str
    says: str
    reads: int = DEVICE_TYPE


TWELVE = [
    Row(wrong_node_id, codes.WRONG_NODE_ID, "node 5 (heartbeat, PRE-OPERATIONAL) is on the bus: the node-ID is likely"),
    Row(stopped, codes.NODE_STOPPED, "(heartbeat, STOPPED): a stopped node does not answer SDO"),
    Row(absent, codes.NODE_ABSENT, "heartbeat every 2.0 s until then) and is silent since. The bus is alive: node 7"),
    Row(empty, codes.BUS_EMPTY, "nobody acknowledges what we send: no other device is on the bus, or it has no power"),
    Row(wrong_bit_rate, codes.BIT_RATE, "No valid frame was read on sim at 500 kbit/s in"),
    Row(other_cob_id, codes.OTHER_COB_ID, "came on CAN-ID 6A5h, 0.24 ms after the request; it was expected on 5E5h"),
    Row(late, codes.LATE, "after the time-out of 0.5 s, up to 0.5 s after it", DEVICE_NAME),
    Row(listen_only, codes.LISTEN_ONLY, "sim is in listen-only mode: no request left it"),
    Row(disabled, codes.CHANNEL_DISABLED, "is switched off: bit 31 is set in 1200:01 (seen in the traffic)"),
    Row(other_master, codes.OTHER_MASTER, "Another master uses the SDO channel of node 101"),
    Row(toggle, codes.TOGGLE, "The toggle bit did not alternate", HARDWARE),
    Row(reset, codes.NODE_RESET, "Node 101 restarted (boot-up", HARDWARE),
]


def examine(scene: Scene):
    network = scene.network
    channel = network[NODE].client.channel
    return network.run(doctor(NODE, network.watch, network.facts, channel=channel, timeout_s=TIMEOUT_S))


def first_finding(report: Report) -> Finding:
    """That of the broken step, else the first one."""
    broken = [finding for step in report.steps if step.ok is False for finding in step.findings]
    return (broken or report.findings)[0]


def each(rows: list[Row]):
    return pytest.mark.parametrize("row", rows, ids=[row.play.__name__ for row in rows])


def test_they_are_twelve():
    assert len({row.code for row in TWELVE}) == len(TWELVE) == 12


@each(TWELVE)
def test_the_exception_names_the_cause(row):
    scene = row.play(True)
    with pytest.raises(SdoError) as caught:
        scene.network[NODE].upload(row.reads)
    assert caught.value.why[0].code == row.code
    assert row.says in str(caught.value)
    assert caught.value.why[0].advice


@each(TWELVE)
def test_doctor_names_the_cause(row):
    report = examine(row.play(True))
    assert not report.ok
    assert first_finding(report).code == row.code
    assert row.says in first_finding(report).sentence


@each(TWELVE)
def test_doctor_on_the_network_where_the_read_failed(row):
    scene = row.play(True)
    with pytest.raises(SdoError):
        scene.network[NODE].upload(row.reads)
    report = examine(scene)
    assert not report.ok
    assert first_finding(report).code == row.code


@each(TWELVE)
def test_without_the_cause_all_is_well(row):
    scene = row.play(False)
    assert scene.network[NODE].upload(row.reads)
    report = examine(row.play(False))
    assert report.ok, report
    assert report.findings == ()


# --- the same causes in another shape ------------------------------------------------------------------------------


def wrong_node_id_without_heartbeat() -> Scene:
    return Scene(mute(StepIM(5))).listen(3)


def stopped_without_heartbeat() -> Scene:
    return Scene(mute(StepIM())).listen(3).nmt(STOP).let(20)


def everybody_gone() -> Scene:
    scene = Scene(StepIM(), StepIM(7)).listen(10)
    for station in scene.bus.stations[:-1]:
        scene.bus.detach(station)
    return scene.let(10)


def disabled_as_the_dictionary_says() -> Scene:
    dcf = with_1200h(1, "ParameterValue=0x80000665")
    return Scene(StepIM(dictionary=dcf)).listen(3, dictionaries={NODE: dcf})


def other_can_ids_as_the_dictionary_says() -> Scene:
    dcf = with_1200h(1, "ParameterValue=0x6A5")
    return Scene(StepIM(dictionary=dcf)).listen(3, dictionaries={NODE: dcf})


def other_master_writes_blocks() -> Scene:
    """The server takes our request for one of the segments that it is waiting for, and does not answer it."""
    scene = Scene(StepIM())
    client = SdoClient(CHANNEL)

    def again(event: Any, now: float) -> None:
        if isinstance(event, TransferDone):
            client.download(SERIAL, 0, bytes(7 * 127 * 8), now, block=True)

    scene.other(client, again)
    client.download(SERIAL, 0, bytes(1), scene.bus.now)
    return scene.listen(0.5)


def reset_and_slow_to_boot() -> Scene:
    return reset(True, boot_s=3.0)


def repeated_requests() -> Scene:
    """Something on the way, a bridge perhaps, passes our requests on twice."""
    node = StepIM(quirks=NodeQuirks(sdo=SdoQuirks(restarts_on_initiate=True)))
    scene = Scene(node, faults=(Fault("duplicate", can_id=0x665),))
    node.store.values[DEVICE_NAME, 0] = b"a name of four segments"
    return scene.listen(3)


def mute(node: StepIM) -> StepIM:
    node.store.set(0x1017, 0, 0)
    return node


@dataclass(frozen=True)
class Variant(Row):
    play: Callable[[], Scene]
    doctor: str = ""


VARIANTS = [
    Variant(
        wrong_node_id_without_heartbeat,
        codes.NODE_ABSENT,
        "never heard in 4.0 s. The request was acknowledged, so another device is on the bus",
        doctor=codes.WRONG_NODE_ID,
    ),
    Variant(stopped_without_heartbeat, codes.NODE_STOPPED, "was told to stop"),
    Variant(everybody_gone, codes.BUS_EMPTY, "and all of it has fallen silent, and nobody acknowledges what we send"),
    Variant(disabled_as_the_dictionary_says, codes.CHANNEL_DISABLED, "1200:01 (from its dictionary)"),
    Variant(other_can_ids_as_the_dictionary_says, codes.OTHER_COB_ID, "names the CAN-IDs 6A5h / 5E5h"),
    Variant(other_master_writes_blocks, codes.OTHER_MASTER, "Another master uses the SDO channel"),
    Variant(reset_and_slow_to_boot, codes.NODE_RESET, "was told to reset", HARDWARE),
    Variant(repeated_requests, codes.TOGGLE, "toggle", HARDWARE),
]


@each(VARIANTS)
def test_variants(row):
    scene = row.play()
    with pytest.raises(SdoError) as caught:
        scene.network[NODE].upload(row.reads)
    assert caught.value.why[0].code == row.code
    assert row.says in str(caught.value)


@each(VARIANTS)
def test_doctor_variants(row):
    report = examine(row.play())
    assert first_finding(report).code == (row.doctor or row.code)


def test_a_node_that_answers_counts_more_than_its_file():
    dcf = with_1200h(1, "ParameterValue=0x80000665")
    scene = Scene(StepIM()).listen(3, dictionaries={NODE: dcf})
    assert examine(scene).ok
    scene.nodes[0].power_off()
    with pytest.raises(SdoError) as caught:
        scene.let(10).network[NODE].upload(DEVICE_TYPE)
    assert caught.value.why[0].code == codes.NODE_ABSENT


def test_an_answer_that_comes_while_we_ask_again_is_taken():
    """Late by one time-out: the second request is still waited for when the first one's answer comes."""
    network = late(True).network
    assert network[NODE].upload(DEVICE_TYPE) == bytes.fromhex("92010200")
    network.sleep(1.0)
    assert network.watch.latency(NODE).max_s == pytest.approx(1.0, abs=0.01)


def test_what_comes_after_we_have_given_up_is_known_the_next_time():
    """Late by two time-outs: when the first read ends nobody has heard an answer. `doctor` waits for it."""
    scene = Scene(StepIM(sdo_latency_s=3 * TIMEOUT_S)).listen(3)
    node = scene.network[NODE]
    with pytest.raises(SdoError) as caught:
        node.upload(DEVICE_TYPE)
    assert caught.value.why[0].code == codes.SILENT
    assert "longer time-out" in caught.value.why[0].advice
    scene.let(3)
    with pytest.raises(SdoError) as caught:
        node.upload(DEVICE_NAME)
    assert caught.value.why[0].code == codes.LATE
    finding = first_finding(examine(Scene(StepIM(sdo_latency_s=3 * TIMEOUT_S)).listen(3)))
    assert finding.code == codes.LATE
    assert "up to 1.0 s after it" in finding.sentence
    assert finding.advice == "A time-out of 3.1 s would do."


def test_an_error_frame_from_joining_the_bus_is_no_finding():
    bus = SimBus()
    bus.attach(StepIM())
    bus.run_until(5.0)  # alone it tries to send its boot-up without end, and we come in the middle of that
    with opendiag.connect(bus, clock=ManualClock(bus.now)) as network:
        report = network.run(doctor(NODE, network.watch, network.facts))
    assert network.watch.errors.all.count
    assert report.ok, report
