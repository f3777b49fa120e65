"""What a network notices by itself: nodes lost and found, boot-ups, EMCY, SYNC; and what it is not to be fooled by."""

import threading
import time
from copy import deepcopy
from dataclasses import replace

import can
import pytest

import opendiag
from opendiag.dictionary.library import load
from opendiag.errors import ValueRefused
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.emcy import EmcyReceived
from opendiag.services.guarding import ToggleError
from opendiag.services.heartbeat import BootedUp, NodeFound, NodeLost, StateChanged
from opendiag.services.sync import SyncMissed
from opendiag.services.time_stamp import TimeReceived
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtCommand, NmtState

SOON_S = 5.0
BEAT = {state: Frame(0x705, bytes([state])) for state in NmtState}
OPERATIONAL, PRE_OPERATIONAL = BEAT[NmtState.OPERATIONAL], BEAT[NmtState.PRE_OPERATIONAL]


@pytest.fixture
def bus():
    """With somebody on it who sends what a test wants."""
    made = SimBus(None)
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


def beats(network, bus, count, period_s=0.1, frame=OPERATIONAL):
    for _ in range(count):
        bus.other.send(frame)
        network.sleep(period_s)


def changed(**fields):
    """The StepIM's dictionary with another 1014h."""
    dictionary = deepcopy(load("stepim"))
    members = dictionary.objects[0x1014].members
    members[0] = replace(members[0], **fields)
    return dictionary


def heard(network, *kinds):
    seen = []
    network.on(kinds, seen.append)
    return seen


# --- lost and found ---


def test_a_silent_node_is_reported_within_its_learned_consumer_time_and_found_with_the_gap(network, bus):
    seen = heard(network, NodeLost, NodeFound)
    beats(network, bus, 5)
    last = network[5].nmt.life.last_heard
    network.sleep(1.9)
    bus.other.send(OPERATIONAL)
    network.sleep(0.01)
    lost, found = seen
    assert lost == NodeLost(5, lost.at, last, pytest.approx(0.2), "heartbeat")
    assert lost.at == pytest.approx(last + 0.2, abs=0.001)  # twice the period
    assert (found.gap_s, found.losses) == (pytest.approx(2.0, abs=0.001), 1)
    assert not network[5].nmt.lost


def test_flapping_is_counted(network, bus):
    seen = heard(network, NodeLost)
    network[5].nmt.supervise(0.15)
    for _ in range(4):
        beats(network, bus, 3)
        network.sleep(1)
    assert len(seen) == 4 and network[5].nmt.life.losses == 4
    assert network[5].nmt.lost


@pytest.mark.parametrize("consumer_time_s", [0.15, 0.7])
def test_a_given_consumer_time_is_kept_exactly(network, bus, consumer_time_s):
    network[5].nmt.supervise(consumer_time_s)
    seen = heard(network, NodeLost)
    beats(network, bus, 2)
    network.sleep(2)
    (lost,) = seen
    assert lost.at - lost.last_heard == pytest.approx(consumer_time_s, abs=0.001)
    assert lost.allowed_s == consumer_time_s


def test_supervision_begins_with_the_first_heartbeat(network, bus):
    network[5].nmt.supervise(0.2)
    seen = heard(network, NodeLost)
    network.sleep(5)
    assert seen == []
    bus.other.send(BEAT[NmtState.INITIALISING])  # a boot-up counts as one
    network.sleep(5)
    assert [event.node_id for event in seen] == [5]


def test_unsupervised_nodes_are_not_reported(network, bus):
    seen = heard(network, NodeLost)
    network[5].nmt.unsupervise()
    beats(network, bus, 5)
    network.sleep(5)
    assert seen == []
    beats(network, bus, 5)
    network[5].nmt.supervise()
    network.sleep(5)
    assert len(seen) == 1


@pytest.mark.parametrize("consumer_time_s", [0, -1.0])
def test_a_consumer_time_that_is_none_is_refused(network, consumer_time_s):
    with pytest.raises(ValueError, match="not positive"):
        network[5].nmt.supervise(consumer_time_s)


def test_one_of_many_nodes_is_lost_and_no_other(network, bus):
    seen = heard(network, NodeLost)
    for number in range(30):
        for node_id in range(1, 21):
            if node_id != 7 or number < 10:
                bus.other.send(Frame(0x700 + node_id, b"\5"))
        network.sleep(0.1)
    assert [event.node_id for event in seen] == [7]


def test_the_period_that_was_written_decides_at_once(network, bus):
    """1017h of a simulated node, written through the network: no need to learn it from three heartbeats."""
    node = SimNode(load("stepim"), 9)
    station = bus.attach(node, "node")
    seen = heard(network, NodeLost)
    network[9][0x1017].write(500)
    network.sleep(0.6)
    assert network[9].nmt.life.count == 1
    assert network[9].nmt.life.consumer_time_s == 1.0
    bus.detach(station)
    network.sleep(2)
    (lost,) = seen
    assert (lost.node_id, lost.allowed_s) == (9, 1.0)


def test_writing_the_period_long_after_the_boot_up_reports_nobody(network, bus):
    bus.attach(SimNode(load("stepim"), 9), "node")
    seen = heard(network, NodeLost)
    network.sleep(60)
    network[9][0x1017].write(100)
    network.sleep(5)
    assert seen == [] and network[9].nmt.life.supervised


def test_switching_the_heartbeat_off_is_no_loss(network, bus):
    bus.attach(SimNode(load("stepim"), 9), "node")
    seen = heard(network, NodeLost)
    network[9][0x1017].write(100)
    network.sleep(1)
    network[9][0x1017].write(0)
    network.sleep(10)
    assert seen == []


def test_the_consumer_time_that_another_node_has_counts(network, bus):
    bus.attach(SimNode(load("stepim"), 9), "node")
    beats(network, bus, 5)
    network[9].download(0x1016, 1, (5 << 16 | 700).to_bytes(4, "little"))
    assert network[5].nmt.life.consumer_time_s == 0.7
    network[9].download(0x1016, 1, bytes(4))
    beats(network, bus, 3)
    assert network[5].nmt.life.consumer_time_s == pytest.approx(0.2)


def test_a_reset_on_purpose_is_no_loss_but_staying_away_is(network, bus):
    seen = heard(network, NodeLost, BootedUp)
    beats(network, bus, 5)
    network[5].nmt.reset(confirm=False)
    network.sleep(3)
    assert seen == []
    bus.other.send(BEAT[NmtState.INITIALISING])
    beats(network, bus, 5)
    network[5].nmt.reset(confirm=False)
    network.sleep(10)
    assert [type(event) for event in seen] == [BootedUp, NodeLost]
    assert seen[1].allowed_s == 5.0


def test_a_reset_by_another_master_is_on_purpose_too(network, bus):
    seen = heard(network, NodeLost)
    beats(network, bus, 5)
    bus.other.send(Frame(0x000, bytes([NmtCommand.RESET_NODE, 0])))
    network.sleep(3)
    assert seen == []


def test_after_a_reset_without_boot_up_the_consumer_time_counts_again(network, bus):
    seen = heard(network, NodeLost)
    network[5].nmt.supervise(0.2)
    beats(network, bus, 5)
    network[5].nmt.reset(confirm=False)
    network.sleep(1)
    beats(network, bus, 3)
    network.sleep(1)
    assert [event.allowed_s for event in seen] == [0.2]


def test_a_node_that_booted_by_itself_and_sends_no_heartbeat_any_more_is_lost(network, bus):
    seen = heard(network, NodeLost, BootedUp)
    beats(network, bus, 5)
    bus.other.send(BEAT[NmtState.INITIALISING])
    network.sleep(4.9)
    assert [type(event) for event in seen] == [BootedUp], "its period may be another one now"
    network.sleep(0.2)
    assert [type(event) for event in seen] == [BootedUp, NodeLost]
    assert seen[1].allowed_s == pytest.approx(5)


def test_a_node_that_booted_by_itself_may_have_a_longer_period(network, bus):
    """1017h was written and not stored: after a loss of power the node has its own period again."""
    node = SimNode(load("stepim"), 9)
    bus.attach(node, "node")
    network[9][0x1017].write(100)
    network.sleep(1)
    node.power_off()
    assert network.wait_for(NodeLost, 1.0).node_id == 9
    seen = heard(network, NodeLost, NodeFound)
    node.power_on(network.clock.now())  # every 2 s from now on
    network.sleep(15)
    assert [type(event) for event in seen] == [NodeFound]
    assert network[9].nmt.life.consumer_time_s > 2


def test_an_emcy_after_a_reset_is_no_heartbeat(network, bus):
    seen = heard(network, NodeLost)
    network[5].nmt.supervise(0.2)
    beats(network, bus, 5)
    network[5].nmt.reset(confirm=False)
    for _ in range(3):
        bus.other.send(Frame(0x085, bytes(8)))
        network.sleep(0.5)
    assert seen == []


# --- states and nodes ---


def test_states_and_boot_ups_are_told(network, bus):
    seen = heard(network, BootedUp, StateChanged)
    for state in (NmtState.INITIALISING, NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL, NmtState.STOPPED):
        beats(network, bus, 2 if state else 1, frame=BEAT[state])
    assert [type(event) for event in seen] == [BootedUp, StateChanged, StateChanged, StateChanged]
    assert [event.state for event in seen[1:]] == [NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL, NmtState.STOPPED]


def test_nodes_are_those_asked_for_and_those_heard(network, bus):
    network[3]
    beats(network, bus, 3, frame=Frame(0x709, b"\5"))
    bus.other.send(Frame(0x181, bytes(8)))
    network.sleep(0.01)
    assert list(network.nodes) == [1, 3, 9]
    assert network.watch.expected_nodes == {3}
    assert network.nodes[9].nmt.state is NmtState.OPERATIONAL
    assert network.nodes[9].nmt.life.period_s == pytest.approx(0.1)
    assert network.nodes[9].nmt.life.jitter_s == pytest.approx(0, abs=1e-6)
    assert network[9] is network.nodes[9]
    assert network.watch.expected_nodes == {3, 9}


def test_identity_is_what_is_known_so_far(bus):
    bus.attach(SimNode(load("stepim"), 9), "node")
    with opendiag.connect(bus, clock=ManualClock(), dictionaries={9: "stepim"}) as network:
        identity = network[9].identity
        assert (identity.vendor_id, identity.serial) == (load("stepim").device.vendor_id, None)
        serial = network[9][0x1018, 4].read()
        assert network[9].identity.serial == serial


# --- what must not be believed ---


def test_remote_error_29_bit_and_own_frames_are_no_heartbeat(network, bus):
    """Numbers alone prove nothing: none of these is a sign of life of node 5."""
    for frame in (
        Frame(0x705, remote=True),
        Frame(0x705, b"\5", extended=True),
    ):
        bus.other.send(frame)
    network.sleep(0.1)
    with network.pump.lock:
        for frame in (
            Frame(0x705, bytes(8), error=True),
            Frame(0x705, b"\5", fd=True),
            Frame(0x705, b"\5", direction="tx"),
        ):
            network.pump._receive(frame, network.clock.now())
    network.heartbeat(5, 0.1)
    network.sleep(1)
    assert network[5].nmt.life is None and list(network.nodes) == [5]


def test_own_frames_do_not_come_back_as_received_ones():
    """An adapter that echoes what it sends: listeners are told which those are, machines never see them."""

    class Echoing(can.BusABC):
        def __init__(self):
            super().__init__("echo")
            self.waiting, self.ready = [], threading.Event()

        def send(self, message, timeout=None):
            copy = can.Message(arbitration_id=message.arbitration_id, data=message.data, is_extended_id=False)
            copy.is_rx = False
            self.waiting.append(copy)
            self.ready.set()

        def _recv_internal(self, timeout):
            self.ready.wait(timeout)
            if not self.waiting:
                self.ready.clear()
                return None, False
            return self.waiting.pop(0), False

    with opendiag.connect(Echoing()) as network:
        seen = heard(network, BootedUp, StateChanged, EmcyReceived)
        with network.frames() as frames:
            for frame in (Frame(0x705, b"\0"), Frame(0x085, bytes(8)), Frame(0x123)):
                network.send(frame)
            got = [frames.get(SOON_S) for _ in range(6)]
        assert {frame.direction for frame in got} == {"tx"}
        time.sleep(0.05)
        assert seen == [] and network.watch.frames == 0


def test_error_and_remote_frames_are_seen_by_whoever_listens(network, bus):
    with network.frames() as frames:
        bus.other.send(Frame(0x185, remote=True))
        network.sleep(0.01)
        assert frames.get(0).remote
        with network.pump.lock:
            network.pump._receive(Frame(0x20, bytes(8), error=True), 0.0)
        assert frames.get(0).error


def test_a_failing_subscriber_hides_no_frame_and_no_event_from_the_others(network, bus, caplog):
    frames, events = [], []
    network.subscribe(lambda frame: 1 / 0)
    network.subscribe(frames.append)
    network.on(StateChanged, lambda event: 1 / 0)
    network.on(StateChanged, events.append)
    beats(network, bus, 3)
    assert (len(frames), len(events)) == (3, 1)
    assert caplog.text.count("ZeroDivisionError: ") == 2  # of each function the first in full


# --- guarding ---


def test_guarding_tells_the_state_and_the_loss_of_a_node_without_heartbeat(network, bus):
    node = SimNode(load("stepim"), 9, quirks=NodeQuirks(guarding_only=True))
    bus.attach(node, "node")
    network.sleep(0.1)
    seen = heard(network, NodeLost, NodeFound, StateChanged, ToggleError)
    guarded = network[9].nmt.guard(0.1, 3)
    network.sleep(1.05)
    assert (guarded.answered, guarded.toggle_errors, seen) == (11, 0, [])
    assert network[9].nmt.life.count == 0  # no heartbeat
    network[9].nmt.start()
    assert network[9].nmt.state is NmtState.OPERATIONAL
    node.power_off()
    network.sleep(2)
    assert network[9].nmt.lost
    node.power_on(network.clock.now())
    network.sleep(1)
    assert [type(event) for event in seen] == [StateChanged, NodeLost, StateChanged, NodeFound]
    assert {event.by for event in seen if isinstance(event, (NodeLost, NodeFound))} == {"guarding"}
    network[9].nmt.unguard()
    answered = guarded.answered
    network.sleep(1)
    assert (guarded.answered, network[9].nmt.guarded) == (answered, None)


def test_a_node_whose_heartbeat_is_heard_or_known_is_not_guarded(network, bus):
    node = SimNode(load("stepim"), 9)
    bus.attach(node, "node")
    network.sleep(0.1)
    network[9][0x1017].write(100)
    with pytest.raises(ValueRefused, match=r"it has a heartbeat, every 100 ms \(1017h\)"):
        network[9].nmt.guard(0.1, 3)
    network[9][0x1017].write(0)
    assert network[9].nmt.guard(0.1, 3).node_id == 9
    beats(network, bus, 3)
    with pytest.raises(ValueRefused, match="it has a heartbeat, which was heard"):
        network[5].nmt.guard(0.1, 3)
    assert 5 not in network.monitor.guarding.nodes


# --- EMCY ---


def test_emcy_is_kept_told_and_has_a_text(network, bus):
    seen = heard(network, EmcyReceived)
    bus.other.send(Frame(0x085, bytes.fromhex("1081110000000000")))
    network.sleep(0.01)
    assert network[5].emcy.received == seen and network[5].emcy.active == seen
    assert (seen[0].emcy.code, seen[0].complete) == (0x8110, True)
    assert "overrun" in seen[0].text
    bus.other.send(Frame(0x085, bytes(8)))
    network.sleep(0.01)
    assert network[5].emcy.active == [] and network[5].emcy.count == 2


def test_an_emcy_of_another_length_is_told_and_not_dropped(network, bus):
    seen = heard(network, EmcyReceived)
    bus.other.send(Frame(0x085, bytes.fromhex("108111")))
    network.sleep(0.01)
    assert (seen[0].complete, seen[0].emcy.code) == (False, 0x8110)


def test_the_list_of_emcys_does_not_grow_without_bound(network, bus):
    for _ in range(1000):
        bus.other.send(Frame(0x085, bytes.fromhex("1081110000000000")))
    network.sleep(0.01)
    assert (len(network[5].emcy.received), network[5].emcy.count) == (256, 1000)


@pytest.mark.parametrize("cob_id", [0x0A5, 0x2001_2345])
def test_emcy_is_heard_where_1014h_was_written_to(network, bus, cob_id):
    device = SimNode(changed(access="rw"), 9)
    bus.attach(device, "node")
    network.sleep(0.01)
    network[9].download(0x1014, 0, (cob_id | 1 << 31).to_bytes(4, "little"))
    network[9].download(0x1014, 0, cob_id.to_bytes(4, "little"))
    seen = heard(network, EmcyReceived)
    network.sleep(0.1)
    device.emcy(0x8110, 0x11, b"", network.clock.now())
    network.sleep(0.01)
    assert [(event.node_id, event.emcy.code) for event in seen] == [(9, 0x8110)]
    assert network.watch.node(9).service == "EMCY"
    bus.other.send(Frame(0x089, bytes.fromhex("1081110000000000")))  # whoever that is: node 9 it is not
    network.sleep(0.01)
    assert len(seen) == 1


def test_emcy_is_heard_where_the_dictionary_says_from_the_start(bus):
    dictionary = changed(default=0x333)
    with opendiag.connect(bus, clock=ManualClock(), dictionaries={9: dictionary}) as network:
        seen = heard(network, EmcyReceived)
        bus.other.send(Frame(0x333, bytes.fromhex("1081110000000000")))
        network.sleep(0.01)
        assert [event.node_id for event in seen] == [9]


# --- SYNC ---


def test_a_missed_sync_of_another_producer_is_told(network, bus):
    seen = heard(network, SyncMissed)
    for counter in (1, 2, 4, 5):
        bus.other.send(Frame(0x080, bytes([counter])))
        network.sleep(0.01)
    assert [(event.expected, event.got) for event in seen] == [(3, 4)]
    assert (network.syncs.count, network.syncs.missed) == (4, 1)


def test_the_time_that_another_producer_tells_is_heard(network, bus):
    seen = heard(network, TimeReceived)
    bus.other.send(Frame(0x100, bytes.fromhex("E80300000100")))
    network.sleep(0.01)
    assert [event.time.isoformat() for event in seen] == ["1984-01-02T00:00:01.000"]
    assert network.monitor.times.time_of_day(network.clock.now()).ms == pytest.approx(1010, abs=1)


# --- in real time ---


def test_in_real_time_a_lost_node_is_told_on_the_thread_of_the_callbacks(bus):
    told = threading.Event()
    with opendiag.connect(bus) as network:
        network.on(NodeLost, lambda event: told.set())
        network[5].nmt.supervise(0.05)
        bus.other.send(OPERATIONAL)
        network.send(Frame(0x7E5))  # the simulated bus moves with whoever uses it
        assert told.wait(SOON_S)


# --- what is easily overlooked ---


def test_a_node_whose_period_is_known_and_that_is_heard_only_once_is_lost(network, bus):
    seen = heard(network, NodeLost)
    network[5].view.learn(0x1017, 0, (1000).to_bytes(2, "little"), False)
    bus.other.send(OPERATIONAL)
    network.sleep(10.0)
    assert [(event.node_id, event.allowed_s) for event in seen] == [(5, 2.0)]


def test_a_node_that_falls_silent_just_when_its_period_is_read_is_lost(network, bus):
    seen = heard(network, NodeLost)
    beats(network, bus, 2)
    network[5].view.learn(0x1017, 0, (100).to_bytes(2, "little"), False)
    with network.pump.lock:
        network.monitor.learned(5, 0x1017, 0, (100).to_bytes(2, "little"))
    network.sleep(10.0)
    assert [event.node_id for event in seen] == [5]


def test_the_questions_of_another_master_are_no_sign_of_life_after_a_reset(network, bus):
    network[5].nmt.supervise(0.3)
    seen = heard(network, NodeLost)
    beats(network, bus, 3)
    network[5].nmt.reset(confirm=False)
    for _ in range(10):
        bus.other.send(Frame(0x705, remote=True, dlc=1))
        network.sleep(0.3)
    assert seen == [], "it has 5 s to come back"
    network.sleep(5.0)
    assert [event.node_id for event in seen] == [5]


@pytest.mark.parametrize("index", [0x1000, 0x1014, 0x1016, 0x1017, 0x1018])
@pytest.mark.parametrize("raw", [b"", b"\xff" * 8])
def test_objects_of_a_wrong_size_do_no_harm(network, index, raw):
    network[5].view.learn(index, 0, raw, False)
    with network.pump.lock:
        network.monitor.learned(5, index, 0, raw)
        network.monitor.learned(5, index, 1, raw)
    network.sleep(0.1)


def test_a_node_that_was_reset_may_report_where_it_did_before_its_1014h_was_written(network, bus):
    """What is written and not stored is gone after a reset."""
    with network.pump.lock:
        network.monitor.learned(5, 0x1014, 0, (0x185).to_bytes(4, "little"))
    emcy = bytes.fromhex("3081010000000000")
    bus.other.send(Frame(0x85, emcy))
    network.sleep(0.01)
    assert network[5].emcy.count == 0
    bus.other.send(BEAT[NmtState.INITIALISING])
    bus.other.send(Frame(0x85, emcy))
    bus.other.send(Frame(0x185, emcy))
    network.sleep(0.01)
    assert network[5].emcy.count == 2


def test_a_node_that_is_moved_onto_anothers_can_id_and_away_again_leaves_it_its_own(network, bus):
    with network.pump.lock:
        network.monitor.learned(5, 0x1014, 0, (0x86).to_bytes(4, "little"))
        network.monitor.learned(5, 0x1014, 0, (0x85).to_bytes(4, "little"))
    bus.other.send(Frame(0x86, bytes.fromhex("3081010000000000")))
    network.sleep(0.01)
    assert network[6].emcy.count == 1


def test_a_function_that_fails_at_each_sync_is_logged_when_it_begins_to(network, bus, caplog):
    calls = []

    def now_and_then(now):
        calls.append(now)
        if len(calls) not in (50, 51):
            raise RuntimeError("mine")

    network.on_sync(now_and_then)
    for _ in range(100):
        bus.other.send(Frame(0x80))
    network.sleep(0.1)
    assert len(calls) == 100
    assert len(caplog.records) == 2
