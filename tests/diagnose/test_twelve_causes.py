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
from opendiag.dictionary import eds
from opendiag.errors import SdoError
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient, TransferDone
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


def with_1200h(sub: int, line: str):
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

    def other(self, machine: Any = None, on_event: Any = None):
        """A second master."""
        return self.bus.attach(machine, "the other master", on_event=on_event)

    def nmt(self, command: int) -> None:
        other = self.other()
        other.send(Frame(0, bytes([command, NODE])))
        self.let(0.1)

    def let(self, seconds: float) -> None:
        """Let time pass."""
        if self.network is None:
            self.bus.run_until(self.bus.now + seconds)
        else:
            self.network.sleep(seconds)

    def listen(self, seconds: float = 0.0, bit_rate: int | None = None, **options: Any) -> "Scene":
        clock = ManualClock(self.bus.now)
        if bit_rate is None:
            self.network = opendiag.connect(self.bus, clock=clock, timeout_s=TIMEOUT_S, **options)
        else:
            port = PortAtRate(self.bus, clock, bit_rate)
            self.network = Network(port, clock, timeout_s=TIMEOUT_S, bit_rate=bit_rate)
        self.network.sleep(seconds)
        return self


# --- the twelve, each with its cause and without -------------------------------------------------------------------


def wrong_node_id(cause: bool) -> Scene:
    return Scene(StepIM(5 if cause else NODE)).listen(3)


def stopped(cause: bool) -> Scene:
    scene = Scene(StepIM())
    scene.nmt(2 if cause else 1)
    return scene.listen(3)


def absent(cause: bool) -> Scene:
    scene = Scene(StepIM(7), StepIM()).listen(10)
    scene.network[7].upload(DEVICE_TYPE)
    if cause:
        scene.nodes[1].power_off()
    scene.let(10)
    return scene


def empty(cause: bool) -> Scene:
    return Scene(*([] if cause else [StepIM()])).listen()


def wrong_bit_rate(cause: bool) -> Scene:
    return Scene(StepIM(), StepIM(7)).listen(3, bit_rate=500_000 if cause else 1_000_000)


def other_cob_id(cause: bool) -> Scene:
    scene = Scene(StepIM(dictionary=with_1200h(2, "")))
    write_1200h(scene, 2, 0x6A5 if cause else 0x5E5)
    return scene.listen(3)


def late(cause: bool) -> Scene:
    return Scene(StepIM(sdo_latency_s=2 * TIMEOUT_S if cause else TIMEOUT_S / 2)).listen(3)


def listen_only(cause: bool) -> Scene:
    return Scene(StepIM(), StepIM(7)).listen(3, listen_only=cause)


def write_1200h(scene: Scene, sub: int, value: int) -> None:
    """By the other master, over the bus."""
    client = SdoClient(CHANNEL)
    station = scene.other(client)
    transfer = client.download(0x1200, sub, value.to_bytes(4, "little"), scene.bus.now)
    scene.let(0.1)
    assert transfer.done and transfer.error is None
    scene.bus.detach(station)


def disabled(cause: bool) -> Scene:
    scene = Scene(StepIM(dictionary=with_1200h(1, ""))).listen(3)
    write_1200h(scene, 1, 0x8000_0665 if cause else 0x665)
    scene.let(30)
    return scene


def other_master(cause: bool) -> Scene:
    scene = Scene(StepIM(sdo_latency_s=0.02))
    client = SdoClient(CHANNEL, timeout_s=0.04)

    def again(event: Any, now: float) -> None:
        if isinstance(event, TransferDone) and cause:
            client.upload(HARDWARE, 0, now)

    scene.other(client, again)
    client.upload(HARDWARE, 0, scene.bus.now)
    scene.listen(3)
    return scene


def toggle(cause: bool) -> Scene:
    node = (StuckToggle if cause else StepIM)()
    node.store.values[DEVICE_NAME, 0] = b"a name of three segments"
    return Scene(node).listen(3)


def reset(cause: bool) -> Scene:
    scene = Scene(StepIM(quirks=NodeQuirks(boot_s=0.05)))

    def answer(frame: Frame) -> Frame | None:
        return Frame(0, bytes([0x81, NODE])) if CHANNEL.is_request(frame) and frame.data[0] & 0xEF == 0x60 else None

    scene.other(Reflex(answer) if cause else None)
    return scene.listen(3)


@dataclass(frozen=True)
class Row:
    play: Callable[[bool], Scene]
    code: str
    says: str
    reads: int = DEVICE_TYPE


TWELVE = [
    Row(wrong_node_id, codes.WRONG_NODE_ID, "node 5 (heartbeat, PRE-OPERATIONAL) is on the bus"),
    Row(stopped, codes.NODE_STOPPED, "a stopped node does not answer SDO"),
    Row(absent, codes.NODE_ABSENT, "is silent since"),
    Row(empty, codes.BUS_EMPTY, "no other device is on the bus"),
    Row(wrong_bit_rate, codes.BIT_RATE, "the bit rate is likely not that of the bus"),
    Row(other_cob_id, codes.OTHER_COB_ID, "came on CAN-ID 6A5h"),
    Row(late, codes.LATE, "answers late", DEVICE_NAME),
    Row(listen_only, codes.LISTEN_ONLY, "is in listen-only mode"),
    Row(disabled, codes.CHANNEL_DISABLED, "bit 31 is set in 1200:01 (seen in the traffic)"),
    Row(other_master, codes.OTHER_MASTER, "Another master uses the SDO channel of node 101"),
    Row(toggle, codes.TOGGLE, "toggle", HARDWARE),
    Row(reset, codes.NODE_RESET, "restarted", HARDWARE),
]


def ids(rows: list[Row]) -> list[str]:
    return [row.play.__name__ for row in rows]


def examine(scene: Scene):
    network = scene.network
    channel = network[NODE].client.channel
    return network.run(doctor(NODE, network.watch, network.facts, channel=channel, timeout_s=TIMEOUT_S))


@pytest.mark.parametrize("row", TWELVE, ids=ids(TWELVE))
def test_the_exception_names_the_cause(row):
    scene = row.play(True)
    with pytest.raises(SdoError) as caught:
        print(scene.network[NODE].upload(row.reads))
    print("ERR", caught.value, [f.code for f in caught.value.why], caught.value.why and caught.value.why[0].advice)
    assert caught.value.why[0].code == row.code
    assert row.says in str(caught.value)


@pytest.mark.parametrize("row", TWELVE, ids=ids(TWELVE))
def test_doctor_names_the_cause(row):
    report = examine(row.play(True))
    for step in report.steps:
        print("DOC", step.name, step.ok, step.sentence, [f.code for f in step.findings])
    assert not report.ok
    assert report.findings[0].code == row.code
    assert row.says in report.findings[0].sentence


@pytest.mark.parametrize("row", TWELVE, ids=ids(TWELVE))
def test_doctor_names_the_cause_after_the_read_failed(row):
    scene = row.play(True)
    with pytest.raises(SdoError):
        scene.network[NODE].upload(row.reads)
    report = examine(scene)
    for step in report.steps:
        print("DOC", step.name, step.ok, step.sentence, [f.code for f in step.findings])
    assert report.findings[0].code == row.code


@pytest.mark.parametrize("row", TWELVE, ids=ids(TWELVE))
def test_without_the_cause_all_is_well(row):
    scene = row.play(False)
    assert scene.network[NODE].upload(row.reads)
    report = examine(row.play(False))
    print(report)
    assert report.ok
