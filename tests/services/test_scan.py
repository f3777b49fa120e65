"""The scan on simulated buses, with nodes that are slow, late, odd, double or not there, and how long it takes."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import opendiag
from opendiag.errors import AdapterClosed, SendFailed
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.scan import NetworkScan
from opendiag.services import scan_result
from opendiag.services.scan import Scan, scan_plan
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness
from opendiag.simulate.node import SimNode
from opendiag.simulate.stepim import StepIM
from opendiag.wire.nmt import NmtState
from opendiag.wire.sdo import Abort, Segment, UploadInitiate, UploadInitiated, decode_request
from opendiag.wire.sdo_abort import SdoAbortCode

DRIVE, VENDOR, PRODUCT, REVISION = 0x0002_0192, 0x26A, 0x17, 0x10002
DEVICE_TYPE = (0x1000, 0)


def objects(serial, device_type=DRIVE):
    numbers = {DEVICE_TYPE: device_type, (0x1018, 1): VENDOR, (0x1018, 2): PRODUCT}
    return numbers | {(0x1018, 3): REVISION, (0x1018, 4): serial}


class Device:
    """Answers reads of ``values``, each after ``latency_s`` (seconds, or a function). It boots at ``boot_at``."""

    def __init__(self, node_id, values=None, latency_s=0.0, boot_at=None, beat_s=None, segmented=False):
        self.node_id = node_id
        self.values = objects(node_id) if values is None else values
        self.latency_s = latency_s if callable(latency_s) else lambda: latency_s
        self.boot_at = boot_at
        self.beat_s = beat_s
        self.beat_at = beat_s
        self.segmented = segmented
        self.later = []
        self.ready = []
        self.asked = []

    def receive(self, frame, now):
        self.tick(now)
        if frame.can_id != 0x600 + self.node_id or (self.boot_at is not None and now < self.boot_at):
            return
        request = decode_request(frame.data)
        self.asked.append(request)
        answer = self.answer(request)
        if answer is not None:
            self.later.append((now + self.latency_s(), Frame(0x580 + self.node_id, answer)))

    def answer(self, request):
        if isinstance(request, Abort):
            return None
        if not isinstance(request, UploadInitiate):
            return Segment(False, self.raw, True).encode()
        key = request.index, request.subindex
        value = self.values.get(key)
        if value is None:
            return Abort(*key, SdoAbortCode.NO_SUCH_OBJECT).encode()
        self.raw = value.to_bytes(4, "little")
        return UploadInitiated(*key, size=4).encode() if self.segmented else UploadInitiated(*key, self.raw).encode()

    def tick(self, now):
        if self.boot_at is not None and now >= self.boot_at:
            self.boot_at = None
            self.ready.append(Frame(0x700 + self.node_id, b"\0"))
        if self.beat_at is not None and now >= self.beat_at:
            self.beat_at += self.beat_s
            self.ready.append(Frame(0x700 + self.node_id, b"\x05"))
        self.ready += [frame for at, frame in self.later if at <= now]
        self.later = [(at, frame) for at, frame in self.later if at > now]

    def deadline(self):
        moments = [at for at, _ in self.later] + [at for at in (self.boot_at, self.beat_at) if at is not None]
        return min(moments, default=None)

    def frames_to_send(self):
        frames, self.ready = self.ready, []
        return frames

    def events(self):
        return []


def bus_of(*devices, bit_rate=125_000, **options):
    bus = SimBus(bit_rate, **options)
    for place, device in enumerate(devices):
        bus.attach(device, f"device {place}", on_event=lambda event, now: None)
    bus.attach(Witness(), "witness")
    return bus


def connected(bus, **options):
    return opendiag.connect(bus, clock=ManualClock(), **options)


def scan(*devices, **options):
    with connected(bus_of(*devices)) as network:
        return network.scan(**{"listen_s": 0.0, **options})


def ids(found):
    return [node.node_id for node in found]


def codes(found):
    return [finding.code for finding in found.findings]


# --- how long it takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency_s", [0.0, 0.002, 0.02])
def test_127_addresses_with_20_nodes_take_little_more_than_the_wire_does(latency_s, capsys):
    present = random.Random(1).sample(range(1, 128), 20)
    bus = bus_of(*(StepIM(node_id, sdo_latency_s=latency_s) for node_id in present))
    with connected(bus) as network:
        network.sleep(0.5)  # the boot-ups
        before, began = bus.statistics(), bus.now
        found = network.scan(listen_s=0.0)
        after = bus.statistics()
    took_s = found.took_s
    wire_s = (after.frame_bits - before.frame_bits) / 125_000
    with capsys.disabled():
        frames = after.frames - before.frames
        text = f"wire {wire_s * 1000:.1f} ms, scan {took_s * 1000:.1f} ms, ratio {took_s / wire_s:.2f}"
        print(f"\n127 addresses, 20 nodes, answers after {latency_s * 1000:g} ms, {frames} frames: {text}")  # noqa: T201
    assert ids(found) == sorted(present)
    assert after.frames - before.frames == 127 + 4 * 20 + 5 * 20
    assert took_s <= 1.5 * wire_s
    assert bus.now - began >= took_s > 0.9 * wire_s


@pytest.mark.parametrize("bit_rate", [10_000, 50_000, 125_000, 1_000_000])
def test_prior_art_a_scan_never_fills_the_queue_of_the_adapter(bit_rate):
    """canopen's scanner hands over 127 requests at once: ENOBUFS on SocketCAN."""
    devices = [Device(node_id) for node_id in range(1, 128, 6)]
    with connected(bus_of(*devices, bit_rate=bit_rate)) as network:
        waiting = []
        send = network.port.send

        def watched(frame):
            send(frame)
            waiting.append(network.port.pending)

        network.port.send = watched
        found = network.scan(listen_s=0.0)
    assert ids(found) == list(range(1, 128, 6))
    assert len(waiting) == 127 + 4 * 22
    assert max(waiting) <= 5


def test_the_queue_stays_short_beside_the_traffic_of_others():
    """Half of the bus is somebody else's, with a higher priority than SDO has."""

    class Talker(Witness):
        at = 0.0

        def tick(self, now):
            self.at = now + 0.002

        def deadline(self):
            return self.at

        def frames_to_send(self):
            if self.at == getattr(self, "sent", None):
                return []
            self.sent = self.at
            return [Frame(0x181, bytes(8))]

    bus = bus_of(Device(5), Device(99), Talker())
    with connected(bus) as network:
        waiting = []
        send = network.port.send
        network.port.send = lambda frame: (send(frame), waiting.append(network.port.pending))
        found = network.scan(listen_s=0.0)
    assert ids(found) == [1, 5, 99]  # 181h is the TPDO1 of node 1
    assert found[0].how == "heard"
    assert max(waiting) <= 6


class Refusing:
    """A port that takes ``room`` frames, then refuses: ``refuse`` in all, after each three it takes ``again``."""

    def __init__(self, network, refuse, room=3, again=1):
        self.again = again
        self.send, self.refuse, self.room = network.port.send, refuse, room
        self.taken, self.refused = [], 0
        self.left = room
        network.port.send = self

    def __call__(self, frame):
        if self.left <= 0 and self.refused < self.refuse:
            self.refused += 1
            self.left += self.again * (self.refused % 3 == 0)
            raise SendFailed("sim", "its queue is full")
        self.left -= 1
        self.taken.append(frame)
        self.send(frame)


def test_prior_art_a_frame_that_a_full_adapter_refuses_is_sent_later_and_never_lost():
    with connected(bus_of(*(Device(node_id) for node_id in (1, 60, 127)))) as network:
        port = Refusing(network, refuse=100)
        found = network.scan(listen_s=0.0)
    assert port.refused == 100
    assert ids(found) == [1, 60, 127]
    assert sorted({frame.can_id for frame in port.taken}) == list(range(0x601, 0x680))
    assert len(port.taken) == 127 + 3 * 4
    assert found.stopped == ""


def test_an_adapter_that_takes_nothing_any_more_ends_the_scan_with_what_was_found():
    with connected(bus_of(Device(1), Device(60))) as network:
        Refusing(network, refuse=10**9, room=20, again=0)
        found = network.scan(listen_s=0.0)
    assert ids(found) == [1]
    assert "its queue is full" in found.stopped
    assert found.asked < 127
    assert 1.0 <= found.took_s < 2.5


def test_the_end_of_the_bus_ends_the_scan_and_what_was_found_is_known():
    with connected(bus_of(Device(1), Device(60))) as network:
        sending, sent = network.port.send, []

        def gone(frame):
            sent.append(frame)
            if len(sent) > 50:
                raise AdapterClosed("sim", "unplugged")
            sending(frame)

        network.port.send = gone
        running = NetworkScan(network, listen_s=0.0)
        with pytest.raises(AdapterClosed):
            running.run()
        assert ids(running.result()) == [1]


# --- who is there ----------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_node():
    (node,) = scan(Device(7, latency_s=0.005, beat_s=0.1), listen_s=0.25)
    assert (node.node_id, node.how, node.state) == (7, "answered", NmtState.OPERATIONAL)
    assert (node.device_type, node.device) == (DRIVE, "402 servo drive")
    assert (node.vendor_id, node.product_code, node.revision, node.serial) == (VENDOR, PRODUCT, REVISION, 7)
    assert node.response_s == pytest.approx(0.005 + 120 / 125_000, abs=0.0001)  # with its own time on the wire
    assert (node.error, node.name) == ("", "")


def test_a_node_of_the_library_has_a_name():
    (node,) = scan(StepIM(101))
    assert (node.name, node.vendor_id, node.product_code) == ("stepim", 0x2E1, 0xA5A5)


def test_a_node_with_a_dictionary_has_its_name():
    with connected(bus_of(Device(7)), dictionaries={7: "stepim"}) as network:
        (node,) = network.scan(listen_s=0.0)
        assert (node.name, node.vendor_id) == ("stepim", VENDOR)


def test_a_node_that_aborts_is_there_too():
    (node,) = scan(Device(9, values={}))
    assert (node.how, node.device_type, node.vendor_id) == ("answered", None, None)
    assert node.error == "1000:00 aborted: the object does not exist (0602 0000)"


def test_a_node_without_identity_is_not_asked_for_each_part_of_it():
    device = Device(9, values={DEVICE_TYPE: 401})
    (node,) = scan(device)
    assert (node.device_type, node.device, node.vendor_id, node.error) == (401, "401 I/O device", None, "")
    assert len(device.asked) == 2


def test_an_abort_with_another_object_in_it_belongs_to_the_question():
    class Sloppy(Device):
        def answer(self, request):
            key = request.index, request.subindex
            if key == (0x1018, 3):
                return Abort(0x2000, 7, SdoAbortCode.NO_SUCH_SUBINDEX).encode()
            return super().answer(request)

    found = scan(Sloppy(9))
    assert (found[0].product_code, found[0].revision, found[0].serial) == (PRODUCT, None, 9)
    assert (found[0].error, found.findings) == ("", ())


def test_a_node_that_answers_in_segments_is_read_through_a_client():
    device = Device(9, segmented=True)
    found = scan(device)
    assert (found[0].device_type, found[0].vendor_id, found[0].serial) == (DRIVE, VENDOR, 9)
    assert any(isinstance(request, Abort) for request in device.asked)


def test_a_late_answer_counts_while_the_scan_runs():
    slow, late = Device(5, latency_s=0.15), Device(6, latency_s=0.3)
    found = scan(slow, late)
    assert [node.serial for node in found] == [5, 6]
    assert found[0].response_s >= 0.15
    assert found[1].response_s >= 0.3
    assert ids(scan(late)) == []  # nothing else kept it going
    assert ids(scan(Device(6, latency_s=0.3), timeout_s=0.5)) == [6]


def test_20_nodes_with_latencies_by_chance_are_all_found_each_with_its_own_numbers():
    chance = random.Random(7)
    present = sorted(chance.sample(range(1, 128), 20))
    devices = [Device(node_id, latency_s=lambda: chance.uniform(0.0, 0.095)) for node_id in present]
    found = scan(*devices)
    assert ids(found) == present
    assert [node.serial for node in found] == present
    assert all(node.error == "" and 0.0008 < node.response_s < 0.1 for node in found)
    assert found.findings == ()


@pytest.mark.parametrize("boot_at", [0.001, 0.05, 0.12, 0.2])
def test_a_node_that_boots_meanwhile_is_asked_then(boot_at):
    (node,) = scan(Device(3, boot_at=boot_at), timeout_s=0.2)
    assert (node.node_id, node.serial, node.how) == (3, 3, "answered")


def test_a_node_that_boots_for_ever_does_not_keep_the_scan():
    class Rebooting(Device):
        def receive(self, frame, now):
            self.tick(now)
            if frame.can_id == 0x600 + self.node_id:
                self.asked.append(frame)
                self.boot_at = now + 0.01

    device = Rebooting(3)
    found = scan(device)
    assert (found[0].how, found[0].heard) == ("heard", "boot-up")
    assert len(device.asked) <= 5
    assert codes(found) == [scan_result.NO_ANSWER]
    assert found.took_s < 1.0


def test_a_node_that_is_heard_and_does_not_answer_is_a_finding():
    class Mute(Device):
        def answer(self, request):
            return None

    device = Mute(3, beat_s=0.1)
    found = scan(device, listen_s=0.25)
    assert (found[0].how, found[0].state) == ("heard", NmtState.OPERATIONAL)
    assert found[0].error == "no answer to 1000:00, asked 2 times"
    assert codes(found) == [scan_result.NO_ANSWER]
    assert len(device.asked) == 2


def test_a_stopped_node_is_told_as_such():
    node = SimNode("stepim", 9)
    bus = bus_of(node)
    with connected(bus) as network:
        network.write(9, 0x1017, 100)
        network.send(Frame(0, b"\x02\x09"))
        network.sleep(0.5)
        network._nodes.clear()
        found = network.scan(listen_s=0.3)
    assert found[0].state is NmtState.STOPPED
    assert "STOPPED does not answer SDO" in found.findings[0].advice


@given(present=st.sets(st.integers(1, 127), max_size=127), wanted=st.sets(st.integers(1, 127), min_size=1))
def test_exactly_the_nodes_that_are_there_are_found(present, wanted):
    bus = bus_of(*(Device(node_id) for node_id in sorted(present)))
    with connected(bus) as network:
        found = network.scan(sorted(wanted), listen_s=0.0)
        assert set(network.nodes) == present & wanted
        assert network.watch.expected_nodes == set()
    assert ids(found) == sorted(present & wanted)
    assert [node.serial for node in found] == ids(found)
    assert {finding.severity for finding in found.findings} <= {Severity.ERROR}  # an empty result says why
    assert bool(found.findings) <= (not found.nodes)
    assert found.asked == len(wanted)


@given(st.data())
def test_with_any_latencies_and_losses_no_node_is_mixed_up_with_another(data):
    present = data.draw(st.sets(st.integers(1, 30), max_size=8))
    latencies = st.floats(0.0, 0.3)
    devices = [Device(node_id, latency_s=lambda: data.draw(latencies)) for node_id in sorted(present)]
    found = scan(*devices, addresses=range(1, 31))
    assert set(ids(found)) <= present
    for node in found:
        assert node.serial in (None, node.node_id)
        assert node.device_type == DRIVE
        assert (node.serial is not None) or node.error
    assert all(finding.code != scan_result.TWO_NODES for finding in found.findings)


def test_an_address_that_is_none_is_refused_before_anything_is_sent():
    with connected(bus_of(Device(1))) as network, pytest.raises(ValueError, match="node-ID 128 is outside"):
        network.scan([1, 128])


def test_the_result_is_a_sequence_of_nodes():
    found = scan(Device(3), Device(4))
    assert len(found) == 2
    assert found[1].node_id == 4
    assert ids(found[:1]) == [3]
    assert found[0] in found


# --- beside others ---------------------------------------------------------------------------------------------------


def test_a_node_with_a_client_is_read_through_that():
    device = Device(7)
    with connected(bus_of(device, Device(8))) as network:
        assert network.read(7, 0x1018, 4) is not None
        found = network.scan(listen_s=0.0)
        assert ids(found) == [7, 8]
        assert [node.serial for node in found] == [7, 8]
        assert 0 < found[0].response_s < 0.02
        assert list(network.nodes) == [7, 8]
        assert network.watch.expected_nodes == {7}


def test_after_a_scan_the_nodes_know_who_they_are():
    with connected(bus_of(StepIM(7), Device(8, values={DEVICE_TYPE: 401}))) as network:
        network.scan(listen_s=0.0)
        sent = network.port.station.queued
        assert network.nodes[7].identity.product_code == 0xA5A5
        assert network.nodes[7].dictionary.name == "stepim"
        assert network.nodes[8].identity.device_type == 401
        assert network.port.station.queued == sent


def test_a_client_s_node_that_is_gone_is_not_found():
    with connected(bus_of(Device(8))) as network:
        network.node(7)
        found = network.scan(listen_s=0.0)
    assert ids(found) == [8]
    assert found.findings == ()


def test_a_long_transfer_is_not_disturbed_by_a_scan():
    """A second client on the channel would break it off."""
    node = StepIM(7)
    with connected(bus_of(node, bit_rate=None)) as network:
        transfer = network[7].begin_upload(0x1008, 0)
        found = network.scan(listen_s=0.0)
        assert transfer.result()
    assert ids(found) == [7]


def test_requests_of_another_master_are_a_finding():
    bus = bus_of(Device(7), Device(8))
    other = bus.attach(name="other master")
    with connected(bus) as network:
        other.send(Frame(0x608, UploadInitiate(0x1001, 0).encode()))
        found = network.scan(listen_s=0.1)
    assert codes(found) == [scan_result.OTHER_MASTER]
    assert found.findings[0].node == 8
    assert "1 SDO request meanwhile, to node 8." in found.findings[0].sentence
    assert ids(found) == [7, 8]


def test_two_scanners_at_once_find_everybody():
    bus = bus_of(*(Device(node_id, latency_s=0.001) for node_id in (1, 50, 100)))
    other = bus.attach(name="other master")
    with connected(bus) as network:
        for node_id in range(127, 0, -1):
            other.send(Frame(0x600 + node_id, UploadInitiate(*DEVICE_TYPE).encode()))
        found = network.scan(listen_s=0.0)
    assert [node.serial for node in found] == [1, 50, 100]
    assert codes(found) == [scan_result.OTHER_MASTER]
    # What both send at the same moment is one frame on the bus.
    assert re.search(r"12\d SDO requests meanwhile, to nodes 1, 2, 3, 4, 5 and 12\d more", found.findings[0].sentence)


def test_two_nodes_with_different_answers_are_a_finding():
    found = scan(Device(7), Device(7, values=objects(4711), latency_s=0.004))
    assert codes(found)[0] == scan_result.TWO_NODES  # and errors on the bus, when both answer at once
    finding = found.findings[0]
    assert (finding.severity, finding.node) == (Severity.ERROR, 7)
    assert finding.sentence == (
        "1018:04 of node 7 was answered with 00000007h and 00001267h: two devices have this node-ID."
    )


def test_two_nodes_with_the_same_answers_are_one_as_well():
    found = scan(Device(7), Device(7, latency_s=0.004))
    assert codes(found)[0] == scan_result.TWO_NODES
    assert found.findings[0].severity == Severity.WARNING


# --- listening only --------------------------------------------------------------------------------------------------


def test_a_passive_scan_transmits_nothing():
    bus = bus_of(Device(7, beat_s=0.1), Device(8))
    with connected(bus) as network:
        network.port.send = lambda frame: pytest.fail(f"sent {frame}")
        found = network.scan(listen_s=5.0, passive=True)
        assert network.port.station.queued == 0
    assert found.took_s == pytest.approx(5.0)
    assert [(node.node_id, node.how, node.heard) for node in found] == [(7, "heard", "heartbeat, OPERATIONAL")]
    assert (found[0].error, found.findings, found.asked) == ("", (), 0)


def test_a_listen_only_adapter_can_scan_passively():
    with connected(bus_of(Device(7, beat_s=0.1)), listen_only=True) as network:
        assert ids(network.scan(listen_s=1.0, passive=True)) == [7]


def test_what_was_heard_before_the_scan_counts():
    with connected(bus_of(Device(7, boot_at=0.01))) as network:
        network.sleep(3.0)
        (node,) = network.scan(listen_s=0.0, passive=True)
    assert (node.heard, node.state) == ("boot-up", NmtState.INITIALISING)
    assert node.heard_s == pytest.approx(2.99, abs=0.01)


def test_nodes_that_were_heard_are_asked_first():
    device = Device(120, beat_s=0.1)
    with connected(bus_of(device)) as network:
        sent = []
        with network.frames() as frames:
            network.scan(listen_s=0.25)
            while (frame := frames.get(0.0)) is not None:
                if frame.direction == "tx":
                    sent.append(frame.can_id)
    assert sent[0] == 0x600 + 120


# --- when nothing gets through ---------------------------------------------------------------------------------------


def test_nobody_acknowledges_and_the_scan_says_so_after_a_few_frames():
    bus = SimBus(125_000)
    with connected(bus) as network:
        found = network.scan(listen_s=0.1)
        assert network.port.station.queued <= 5
    assert ids(found) == []
    assert codes(found) == ["SDO-BUS-EMPTY"]
    assert "nobody acknowledges" in found.findings[0].sentence
    assert found.took_s < 2.0


def test_a_bus_that_wakes_up_is_scanned_then():
    bus = SimBus(125_000)
    with connected(bus) as network:
        scan_ = NetworkScan(network, listen_s=0.0)
        running = scan_.begin()
        network.sleep(0.3)
        bus.attach(Device(100, boot_at=0.35), "late")
        running.wait()
        found = scan_.finished()
        assert network.nodes[100].identity.serial == 100
    assert ids(found) == [100]
    assert found.asked == 127


def test_a_wrong_bit_rate_is_named():
    bus = bus_of(Device(7, beat_s=0.01))
    bus.attach(Device(8, beat_s=0.01), "loud")
    with connected(bus) as network:
        network.port.station.bit_rate = 250_000
        found = network.scan(listen_s=0.2)
    assert ids(found) == []
    assert codes(found)[0] == "SDO-BIT-RATE"


def test_an_adapter_that_only_listens_says_why_nobody_answers():
    with connected(bus_of(Device(7)), listen_only=True) as network:
        found = network.scan(listen_s=0.1)
    assert ids(found) == []
    assert codes(found) == ["SDO-LISTEN-ONLY"]


# --- without a network -----------------------------------------------------------------------------------------------


def test_the_plan_alone_runs_on_any_network():
    with connected(bus_of(Device(7))) as network:
        found = network.run(scan_plan([6, 7], listen_s=0.0, bit_rate=125_000))
    assert ids(found) == [7]
    assert (found.asked, found.addresses) == (2, 2)


def test_the_result_is_there_before_the_plan_has_begun():
    found = Scan(range(1, 4)).result(10.0)
    assert (ids(found), found.asked, found.addresses, found.took_s) == ([], 0, 3, 0.0)


def test_ctrl_c_leaves_what_was_found_so_far():
    with connected(bus_of(Device(1), Device(127))) as network:
        running = NetworkScan(network, listen_s=0.0)
        sending, sent = network.port.send, []

        def interrupted(frame):
            sent.append(frame)
            if len(sent) == 40:
                raise KeyboardInterrupt
            sending(frame)

        network.port.send = interrupted
        with pytest.raises(KeyboardInterrupt):
            running.run()
        found = running.result()
    assert ids(found) == [1]
    assert 0 < found.asked < 127
