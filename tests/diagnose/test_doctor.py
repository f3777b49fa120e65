"""The doctor on made-up buses, with a runner that plays them on a clock of its own."""

import json

import pytest

from opendiag.diagnose import codes
from opendiag.diagnose.ladder import doctor
from opendiag.diagnose.situation import AdapterFacts
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import AdapterClosed, SdoAborted, SdoProtocolError, SdoTimeout, SendFailed
from opendiag.frame import Frame
from opendiag.services.plans import Now, SdoRead, Send, Sleep, WaitFor
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.sdo import UploadInitiated

RUNGS = ["adapter", "bus", "bit rate", "nodes", "node", "SDO", "health"]
OBJECTS = {
    (0x1000, 0): bytes.fromhex("92010200"),
    (0x1018, 1): bytes.fromhex("6A020000"),
    (0x1018, 2): bytes.fromhex("01000000"),
    (0x1001, 0): b"\0",
    (0x1008, 0): b"StepIM\0",
}
NO_ACK = Frame(0x020, bytes(8), error=True)
STUFF = Frame(0x088, bytes([0, 0, 0x04, 0, 0, 0, 0, 0]), error=True)


class World:
    """``periodic`` frames come each 100 ms, ``nodes`` answer SDO; ``reads`` and ``sent`` note what was asked."""

    def __init__(self, periodic=(), nodes=None, adapter=None, send=None, acknowledged=True):
        self.watch = BusWatch(started_at=0.0)
        self.now = 0.0
        self.periodic = list(periodic)
        self.nodes = dict(nodes or {})
        self.adapter = adapter or AdapterFacts(name="can0", bit_rate=500_000, bus_state="error-active")
        self.send = send
        self.acknowledged = acknowledged
        self.reads = []
        self.sent = []

    def run(self, node_id, **options):
        plan = doctor(node_id, self.watch, lambda: self.adapter, **options)
        answer, error = None, None
        try:
            while True:
                request = plan.throw(error) if error is not None else plan.send(answer)
                answer, error = None, None
                try:
                    answer = self.perform(request)
                except Exception as problem:
                    error = problem
        except StopIteration as end:
            return end.value

    def perform(self, request):
        if isinstance(request, Now):
            return self.now
        if isinstance(request, Sleep):
            return self.sleep(request.seconds)
        if isinstance(request, WaitFor):
            return None
        if isinstance(request, Send) and request.frame.data[1:4] == bytes.fromhex("181004"):
            return None  # whether two answer: nobody does here
        if isinstance(request, Send):
            return self.transmit(request.frame)
        assert isinstance(request, SdoRead)
        self.reads.append((request.node_id, request.index, request.subindex))
        objects = self.nodes.get(request.node_id)
        channel = SdoChannel.default(request.node_id)
        if objects is None or (request.index, request.subindex) not in objects:
            if objects is not None:
                raise SdoAborted(
                    request.node_id, request.index, request.subindex, "read", 0x0602_0000, "no such object"
                )
            self.sleep(request.timeout_s)
            raise SdoTimeout(request.node_id, request.index, request.subindex, "read", request.timeout_s)
        self.watch.sent(
            channel.request(bytes([0x40, request.index & 255, request.index >> 8, request.subindex])), self.now
        )
        self.now += 0.002
        answer = objects[request.index, request.subindex]
        if isinstance(answer, Exception):
            raise answer
        self.hear(channel.response(UploadInitiated(request.index, request.subindex, answer[:4]).encode()))
        return answer

    def hear(self, frame):
        self.watch.received(frame, self.now)

    def sleep(self, seconds):
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += min(0.1, until - self.now)
            for frame in self.periodic:
                self.hear(frame)

    def transmit(self, frame):
        self.sent.append(frame)
        if self.send is not None:
            raise self.send
        self.watch.sent(frame, self.now)
        if not self.acknowledged:
            return self.hear(NO_ACK)
        node_id = frame.can_id - 0x600
        if node_id in self.nodes:
            raw = self.nodes[node_id][0x1000, 0]
            self.hear(SdoChannel.default(node_id).response(UploadInitiated(0x1000, 0, raw).encode()))
        return None


def beat(node_id, state=5):
    return Frame(0x700 + node_id, bytes([state]))


def outcome(report):
    return [step.ok for step in report.steps]


def got(report):
    return [finding.code for finding in report.findings]


def broken(report):
    """The broken step; everything above it was not checked."""
    place = outcome(report).index(False)
    assert [step.sentence for step in report.steps[place + 1 :]] == [
        f"not checked: the {report.steps[place].name} step failed"
    ] * (len(RUNGS) - place - 1)
    return report.steps[place]


def test_a_healthy_node():
    world = World([beat(5)], {5: OBJECTS})
    report = world.run(5)
    assert [step.name for step in report.steps] == RUNGS
    assert outcome(report) == [True] * 7 and report.ok and got(report) == []
    sentences = [step.sentence for step in report.steps]
    assert sentences[0] == "can0 is open at 500 kbit/s, error-active."
    assert sentences[1] == "10 frames in 1.0 s."
    assert sentences[4] == "Node 5: OPERATIONAL (told 0 ms ago), heartbeat every 0.1 s."
    assert "device type 00020192h, vendor 0000026Ah" in sentences[5] and "'StepIM'" in sentences[5]
    assert sentences[6] == "no error frames; 5 answers after 2 ms on average, 2 ms at most."
    assert world.reads == [(5, index, sub) for index, sub in (*OBJECTS, (0x1017, 0))] and world.sent == []
    assert report.nodes == (5,)


def test_the_report_as_json():
    report = json.loads(json.dumps(World([beat(5, 4)], {}).run(5).to_dict()))
    assert (report["node"], report["nodes"], report["ok"]) == (5, [5], False)
    assert report["steps"][4]["ok"] is False and report["steps"][5]["ok"] is None
    finding = report["findings"][0]
    assert finding == report["steps"][4]["findings"][0]
    assert (finding["code"], finding["severity"], finding["node"]) == ("SDO-NODE-STOPPED", "error", 5)
    assert set(finding) == {"code", "severity", "sentence", "advice", "node"}


@pytest.mark.parametrize(
    ("world", "rung", "code"),
    [
        (World([beat(5)], adapter=AdapterFacts(listen_only=True)), "adapter", codes.LISTEN_ONLY),
        (World([beat(5)], adapter=AdapterFacts(bus_state="bus-off")), "adapter", codes.BUS_OFF),
        (World([NO_ACK]), "bus", codes.BUS_EMPTY),
        (World([STUFF]), "bit rate", codes.BIT_RATE),
        (World([], acknowledged=False), "nodes", codes.BUS_EMPTY),
        (World([beat(7)]), "nodes", codes.WRONG_NODE_ID),
        (World([], {7: OBJECTS}), "nodes", codes.WRONG_NODE_ID),
        (World([beat(5, 4)], {}), "node", codes.NODE_STOPPED),
        (World([beat(5)], {}), "SDO", codes.SILENT),
    ],
)
def test_the_first_broken_rung_ends_the_climb(world, rung, code):
    report = world.run(5)
    step = broken(report)
    assert (step.name, step.findings[0].code) == (rung, code)
    assert not report.ok


def test_a_silent_bus_is_asked_node_by_node():
    world = World([], {5: OBJECTS, 9: OBJECTS})
    report = world.run(5)
    assert outcome(report) == [True, None, None, True, None, True, True]
    assert len(world.sent) == 127 and world.sent[0].can_id == 0x605
    assert {frame.data for frame in world.sent} == {bytes.fromhex("4000100000000000")}
    assert report.nodes == (5, 9)
    assert "no heartbeat" in report.steps[4].sentence


def test_the_probe_is_paced_and_ends_when_nobody_acknowledges():
    world = World([], acknowledged=False)
    world.run(5)
    assert len(world.sent) == 16
    paced = World([], {5: OBJECTS})
    paced.run(5, probe_wait_s=0.1, listen_s=0.0)
    assert paced.now == pytest.approx(8 * 0.1, abs=0.05)


def test_the_probe_can_be_asked_for_and_forbidden():
    asked = World([beat(5)], {5: OBJECTS, 9: OBJECTS})
    assert asked.run(5, probe=True).nodes == (5, 9) and len(asked.sent) == 126
    forbidden = World([], {5: OBJECTS})
    report = forbidden.run(5, probe=False)
    assert forbidden.sent == [] and outcome(report)[3] is None and outcome(report)[5] is True


def test_a_known_node_next_to_a_missing_one():
    world = World([beat(7)])
    world.watch.expect(7)
    assert broken(world.run(5)).findings[0].code == codes.NODE_ABSENT


def test_an_answer_on_another_can_id_is_found_by_the_probe():
    class Moved(World):
        def transmit(self, frame):
            super().transmit(frame)
            if frame.can_id == 0x605:
                self.hear(Frame(0x5F5, UploadInitiated(0x1000, 0, bytes(4)).encode()))

    assert broken(Moved([beat(7)]).run(5)).findings[0].code == codes.OTHER_COB_ID


def test_without_a_node_the_only_one_is_taken():
    report = World([beat(5)], {5: OBJECTS}).run(None)
    assert report.node_id == 5 and outcome(report) == [True] * 7


def test_without_a_node_several_are_listed():
    report = World([beat(5), beat(9)], {5: OBJECTS}).run(None)
    assert report.node_id is None and outcome(report) == [True, True, True, True, None, None, True]
    assert "node 5 (heartbeat, OPERATIONAL) and node 9" in report.steps[3].sentence
    assert "no node was chosen" in report.steps[4].sentence


def test_without_a_node_and_without_an_answer():
    step = broken(World([], acknowledged=False).run(None))
    assert (step.name, step.findings[0].code, step.findings[0].node) == ("nodes", codes.BUS_EMPTY, None)


def test_an_adapter_that_does_not_take_the_probe():
    step = broken(World([beat(7)], send=SendFailed("can0", "transmit queue full")).run(5))
    assert step.findings[0].code == codes.NOT_SENT and "transmit queue full" in step.sentence


def test_an_adapter_that_is_gone_ends_the_plan():
    with pytest.raises(AdapterClosed):
        World([], send=AdapterClosed("can0", "unplugged")).run(5)


def test_reboots_errors_and_emcy_are_told():
    world = World([beat(5), STUFF], {5: {**OBJECTS, (0x1001, 0): b"\x11"}})
    for time in (0.0, 0.1, 0.2):
        world.watch.received(beat(5, 0), time)
    world.watch.received(Frame(0x085, bytes.fromhex("2032040102030405")), 0.3)
    world.watch.received(Frame(0x204, bytes([0, 1, 0, 0, 0, 0, 3, 9]), error=True), 0.3)
    world.now = 0.3
    report = world.run(5)
    assert False not in outcome(report) and not report.ok
    assert got(report) == [
        codes.BUS_DISTURBED,
        codes.NODE_REBOOTS,
        codes.NODE_ERROR_REGISTER,
        codes.FRAMES_LOST,
        codes.NODE_EMCY,
    ]
    assert "restarted 3 times" in report.findings[1].sentence
    assert "generic, communication" in report.findings[2].sentence
    assert "EMCY 3220h (voltage inside the device)" in report.findings[4].sentence


def test_objects_that_are_missing_do_not_matter_and_a_broken_answer_does():
    only = {(0x1000, 0): OBJECTS[0x1000, 0]}
    assert World([beat(5)], {5: only}).run(5).ok
    assert "refuses 1000:00" in World([beat(5)], {5: {}}).run(5).steps[5].sentence
    error = SdoProtocolError(5, 0x1018, 1, "read", "the first segment has toggle bit 1")
    step = broken(World([beat(5)], {5: {**only, (0x1018, 1): error}}).run(5))
    assert (
        step.sentence
        == "1000:00 was read, but then: cannot read 1018:01 of node 5: the first segment has toggle bit 1."
    )


def test_a_node_that_fell_silent_is_found_missing_before_it_is_asked():
    world = World([beat(7)], {})
    for time in (0.0, 0.1, 0.2):
        world.watch.received(beat(5), time)
    world.now = 5.0
    report = world.run(5)
    assert broken(report).name == "node" and got(report) == [codes.NODE_ABSENT]
    assert world.reads == []


@pytest.mark.parametrize("node_id", [0, 128, -1])
def test_a_node_id_that_does_not_exist(node_id):
    with pytest.raises(ValueError, match=r"outside 1\.\.127"):
        World().run(node_id)
