"""Heartbeat, both ends on one wire: who is alive, in which state, how regular, and who has fallen silent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from machine_bench import Wire, frame

from opendiag.frame import Frame
from opendiag.services.heartbeat import (
    BootedUp,
    ErrorControlMalformed,
    HeartbeatConsumer,
    HeartbeatProducer,
    NodeFound,
    NodeLost,
    StateChanged,
)
from opendiag.services.nmt import boot_up_frame
from opendiag.wire.nmt import NmtState

NODE = 5
PRE_OP, OP, STOPPED = NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL, NmtState.STOPPED


def pair(period_s=0.1, **more):
    producer, consumer = HeartbeatProducer(0x700 + NODE, period_s), HeartbeatConsumer()
    wire = Wire(producer, consumer, **more)
    producer.start(wire.now)
    return wire, producer, consumer


# --- the producer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "golden"), [(PRE_OP, "705#7F"), (OP, "705#05"), (STOPPED, "705#04")])
def test_golden_bytes_both_ways(state, golden):
    wire, producer, consumer = pair(1.0)
    producer.state = state
    wire.run(1.0)
    assert wire.lines() == [(1.0, golden)]
    assert consumer.nodes[NODE].state is state


def test_the_producer_keeps_its_grid():
    wire, producer, _ = pair(0.1)
    wire.run(0.35)
    assert [at for at, _ in wire.lines()] == [0.1, 0.2, 0.3]
    producer.tick(0.72)
    assert len(producer.frames_to_send()) == 1, "what is long overdue is sent once"
    assert producer.deadline() == pytest.approx(0.82)


def test_a_producer_without_a_period_is_silent():
    wire, producer, _ = pair(0.0)
    producer.start(0.0, at_once=True)
    wire.run(10.0)
    assert (wire.sent, producer.deadline()) == ([], None)


def test_a_new_period_counts_from_now_on():
    wire, producer, _ = pair(1.0)
    wire.run(0.9)
    producer.configure(0.2, wire.now)
    wire.run(0.5)
    producer.stop()
    wire.run(5.0)
    producer.start(wire.now, at_once=True)
    wire.run(0.1)
    assert [at for at, _ in wire.lines()] == [1.1, 1.3, 6.4]


# --- the consumer ---------------------------------------------------------------------------------------------------


def test_node_loss_is_detected_within_the_consumer_time():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE, 0.25)
    wire.run(1.0)
    assert wire.told(consumer) == [StateChanged(NODE, 0.1, PRE_OP, None)]
    wire.mute.add(id(producer))
    heard = wire.sent[-1][0]
    wire.run(1.0)
    (lost,) = wire.told(consumer)
    assert lost == NodeLost(NODE, pytest.approx(heard + 0.25), heard, 0.25, "heartbeat")
    life = consumer.nodes[NODE]
    assert (life.lost, life.losses, life.lost_at, life.state) == (True, 1, lost.at, PRE_OP)
    assert consumer.deadline() is None, "once is enough"


def test_a_node_that_comes_back_is_reported_with_the_gap():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE, 0.25)
    wire.run(0.55)
    wire.mute.add(id(producer))
    wire.run(10.0)
    wire.told(consumer)
    wire.mute.clear()
    wire.run(0.1)
    (found,) = wire.told(consumer)
    assert found == NodeFound(NODE, pytest.approx(10.6), pytest.approx(10.1), 1, "heartbeat")
    assert not consumer.nodes[NODE].lost


def test_flapping_is_counted():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE, 0.25)
    wire.run(1.0)
    for _ in range(5):
        wire.mute.add(id(producer))
        wire.run(1.0)
        wire.mute.clear()
        wire.run(1.0)
    losses = [event.losses for event in wire.told(consumer) if isinstance(event, NodeFound)]
    assert losses == [1, 2, 3, 4, 5]
    assert consumer.nodes[NODE].losses == 5


def test_supervision_begins_with_the_first_heartbeat_or_boot_up():
    for first in ("705#05", "705#00"):
        consumer = HeartbeatConsumer()
        consumer.supervise(NODE, 1.0)
        wire = Wire(consumer)
        wire.run(100.0)
        assert wire.told(consumer) == []
        wire.send(frame(first))
        wire.run(1.0)
        assert [type(event) for event in wire.told(consumer)][-1] is NodeLost


def test_a_node_that_is_heard_already_is_due_from_its_last_heartbeat():
    wire, producer, consumer = pair(0.1)
    wire.run(0.5)
    producer.stop()
    wire.run(0.1)
    consumer.supervise(NODE, 0.2)
    assert consumer.deadline() == pytest.approx(0.7)


def test_without_supervision_nobody_is_lost():
    wire, producer, consumer = pair(0.1)
    wire.run(1.0)
    producer.stop()
    wire.run(100.0)
    assert not consumer.nodes[NODE].lost


def test_forgotten_is_forgotten():
    wire, _, consumer = pair(0.1)
    consumer.supervise(NODE, 0.2)
    wire.run(0.5)
    consumer.forget(NODE)
    consumer.forget(99)
    assert (consumer.nodes, consumer.deadline()) == ({}, None)


@pytest.mark.parametrize(("period_s", "allowed_s"), [(0.02, 0.12), (0.1, 0.2), (1.0, 2.0)])
def test_the_consumer_time_is_learned_from_three_heartbeats(period_s, allowed_s):
    wire, producer, consumer = pair(period_s)
    life = consumer.supervise(NODE)
    wire.run(2 * period_s)
    assert (life.consumer_time_s, consumer.deadline()) == (None, None)
    wire.run(period_s)
    assert life.consumer_time_s == pytest.approx(allowed_s)
    last = wire.sent[-1][0]
    producer.stop()
    wire.run(10.0)
    assert wire.told(consumer)[-1] == NodeLost(
        NODE, pytest.approx(last + allowed_s), last, pytest.approx(allowed_s), "heartbeat"
    )


def test_what_was_heard_before_is_learned_from_too():
    wire, _, consumer = pair(0.1)
    wire.run(1.0)
    assert consumer.supervise(NODE).consumer_time_s == pytest.approx(0.2)


def test_a_node_that_now_sends_more_slowly_is_learned_anew():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE)
    wire.run(1.0)
    producer.configure(1.0, wire.now)
    wire.run(20.0)
    kinds = [type(event) for event in wire.told(consumer)]
    assert kinds == [StateChanged, NodeLost, NodeFound]
    assert consumer.nodes[NODE].consumer_time_s == pytest.approx(2.0)


def test_a_node_that_falls_silent_again_at_once_is_lost_again():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE)
    wire.run(1.0)
    producer.stop()
    wire.run(2.0)
    wire.send(frame("705#7F"))
    wire.run(100.0)
    assert [type(event) for event in wire.told(consumer)] == [StateChanged, NodeLost, NodeFound, NodeLost]


def test_boot_ups_states_and_their_order():
    wire, producer, consumer = pair(1.0)
    wire.send(boot_up_frame(NODE))
    producer.state = OP
    wire.run(1.0)
    wire.send(boot_up_frame(NODE))
    assert wire.told(consumer) + consumer.events() == [
        BootedUp(NODE, 0.0),
        StateChanged(NODE, 0.0, PRE_OP, None),
        StateChanged(NODE, 1.0, OP, PRE_OP),
        BootedUp(NODE, 1.0),
        StateChanged(NODE, 1.0, PRE_OP, OP),
    ]
    life = consumer.nodes[NODE]
    assert (life.boot_ups, life.count, life.state) == (2, 1, PRE_OP)


def test_a_lost_node_that_boots_is_found_first():
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE, 1.0)
    consumer.receive(frame("705#05"), 0.0)
    consumer.tick(1.0)
    consumer.events()
    consumer.receive(frame("705#00"), 5.0)
    assert [type(event) for event in consumer.events()] == [NodeFound, BootedUp, StateChanged]


def test_boot_up_as_it_was_before_there_was_a_message_for_it():
    consumer = HeartbeatConsumer()
    consumer.receive(Frame(0x80 + NODE), 1.0)
    assert consumer.events() == [BootedUp(NODE, 1.0), StateChanged(NODE, 1.0, PRE_OP, None)]
    consumer.receive(frame("085#2031010000000000"), 2.0)
    assert consumer.events() == []


def test_period_and_jitter():
    consumer = HeartbeatConsumer()
    for at in (0.0, 1.0, 1.9, 3.0):
        consumer.receive(frame("705#05"), at)
    life = consumer.nodes[NODE]
    assert life.period_s == pytest.approx(1.0)
    assert (life.period_min_s, life.period_max_s) == (pytest.approx(0.9), pytest.approx(1.1))
    assert life.jitter_s == pytest.approx((0.02 / 3) ** 0.5)
    consumer.receive(frame("705#00"), 4.0)
    assert (life.period_s, life.period_min_s, life.period_max_s, life.jitter_s) == (None, None, None, None)
    consumer.receive(frame("705#05"), 4.3)
    assert life.period_s is None, "from boot-up to the first heartbeat is no period"


def beat(at, time_s):
    return Frame(0x705, b"\5", time_ns=None if time_s is None else round(time_s * 1e9)), at


def test_heartbeats_that_were_read_all_at_once_have_the_period_they_were_sent_with():
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE)
    for heartbeat, now in (beat(100.0, 50.0), beat(100.35, 50.1), beat(100.35, 50.2), beat(100.35, 50.3)):
        consumer.receive(heartbeat, now)
    life = consumer.nodes[NODE]
    assert (life.period_min_s, life.period_max_s) == (pytest.approx(0.1), pytest.approx(0.1))
    assert life.consumer_time_s == pytest.approx(0.2)
    assert consumer.deadline() == pytest.approx(100.55), "supervision counts from reading"


@pytest.mark.parametrize("times", [(50.0, None), (None, 50.0), (50.0, 49.0), (50.0, 5000.0)])
def test_times_that_are_missing_or_were_set_do_not_count(times):
    consumer = HeartbeatConsumer()
    for now, time_s in zip((100.0, 100.5), times, strict=True):
        consumer.receive(*beat(now, time_s))
    assert consumer.nodes[NODE].period_s == pytest.approx(0.5)


@pytest.mark.parametrize("sent_once", ["705#7F", "705#00"])
def test_a_node_that_was_away_for_an_hour_is_not_left_alone_for_two(sent_once):
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE)
    wire.run(1.0)
    producer.stop()
    wire.run(3600.0)
    wire.send(frame(sent_once))
    wire.run(140.0)
    assert [type(event) for event in wire.told(consumer)].count(NodeLost) == 2


def test_a_gap_is_no_period():
    wire, producer, consumer = pair(0.1)
    consumer.supervise(NODE, 0.25)
    wire.run(1.0)
    wire.mute.add(id(producer))
    wire.run(5.0)
    wire.mute.clear()
    wire.run(1.0)
    assert consumer.nodes[NODE].period_max_s == pytest.approx(0.1)


@pytest.mark.parametrize("answers", [["7F", "FF", "7F"], ["FF", "7F", "FF"]])
def test_guarding_answers_are_no_heartbeats_but_tell_the_state(answers):
    consumer = HeartbeatConsumer()
    for number, data in enumerate(answers):
        consumer.receive(frame("705#R1"), float(number))
        consumer.receive(frame(f"705#{data}"), number + 0.1)
    life = consumer.nodes[NODE]
    assert (life.count, life.last_heard, life.state) == (0, None, PRE_OP)
    consumer.receive(frame("705#05"), 9.0)
    assert life.count == 1


@pytest.mark.parametrize(
    ("data", "reason"), [("", "1 byte, not 0"), ("0500", "1 byte, not 2"), ("06", "06h"), ("80", "80h")]
)
def test_what_is_no_error_control_is_told_and_is_no_sign_of_life(data, reason):
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE, 1.0)
    consumer.receive(frame("705#05"), 0.0)
    consumer.events()
    consumer.receive(frame(f"705#{data}"), 0.9)
    (event,) = consumer.events()
    assert isinstance(event, ErrorControlMalformed) and reason in event.reason
    assert (consumer.nodes[NODE].malformed, consumer.deadline()) == (1, 1.0)


@pytest.mark.parametrize(
    "other",
    [
        Frame(0x705, b"\5", extended=True),
        Frame(0x705, b"\5", fd=True),
        Frame(0x705, b"\5", error=True),
        Frame(0x700, b"\5"),
        Frame(0x785, b"\5"),
        Frame(0x605, b"\5"),
        Frame(0x80),
        Frame(0x85, remote=True, dlc=0),
    ],
    ids=repr,
)
def test_other_frames_are_nobodys_heartbeat(other):
    consumer = HeartbeatConsumer()
    consumer.receive(other, 0.0)
    assert (consumer.nodes, consumer.events()) == ({}, [])


@pytest.mark.parametrize(("node_id", "time_s"), [(0, 1.0), (128, 1.0), (5, 0.0), (5, -1.0), (5, float("nan"))])
def test_what_cannot_be_supervised_is_refused(node_id, time_s):
    with pytest.raises(ValueError, match=r"node"):
        HeartbeatConsumer().supervise(node_id, time_s)


def test_many_nodes_each_with_its_own_time():
    consumer = HeartbeatConsumer()
    wire = Wire(consumer)
    for node_id in range(1, 128):
        consumer.supervise(node_id, node_id / 10)
        wire.send(Frame(0x700 + node_id, b"\5"))
    wire.run(20.0)
    lost = [event for event in wire.told(consumer) if isinstance(event, NodeLost)]
    assert [(event.node_id, round(event.at, 6)) for event in lost] == [(node, node / 10) for node in range(1, 128)]


def test_events_that_nobody_fetches_do_not_fill_the_memory():
    consumer = HeartbeatConsumer()
    for number in range(11_000):
        consumer.receive(Frame(0x705, bytes([5 if number % 2 else 4])), float(number))
    assert len(consumer.events()) == 10_000


# --- every state and every input ------------------------------------------------------------------------------------


class AnyTraffic(RuleBasedStateMachine):
    """Whatever comes and whenever: a node is lost exactly when it was silent for its consumer time."""

    @initialize(time_s=st.sampled_from([0.1, 0.5]))
    def begin(self, time_s):
        self.now, self.time_s = 0.0, time_s
        self.consumer = HeartbeatConsumer()
        self.consumer.supervise(NODE, time_s)
        self.heard = self.state = self.toggled = None
        self.lost, self.losses = False, 0

    def hear(self, state):
        expected = []
        if self.lost:
            expected.append(NodeFound(NODE, self.now, self.now - self.heard, self.losses, "heartbeat"))
        self.lost, self.heard = False, self.now
        if state is None:
            expected.append(BootedUp(NODE, self.now))
            state, self.toggled = PRE_OP, None
        if state is not self.state:
            expected.append(StateChanged(NODE, self.now, state, self.state))
        self.state = state
        assert self.consumer.events() == expected

    @rule(state=st.sampled_from([None, PRE_OP, OP, STOPPED]))
    def heartbeat(self, state):
        self.consumer.receive(Frame(0x705, bytes([state or 0])), self.now)
        self.hear(state)

    @rule(state=st.sampled_from([PRE_OP, OP, STOPPED]), toggle=st.booleans())
    def guarding(self, state, toggle):
        self.consumer.receive(Frame(0x705, remote=True, dlc=1), self.now)
        self.consumer.receive(Frame(0x705, bytes([state | toggle << 7])), self.now)
        again, self.toggled = not toggle and self.toggled is False, toggle
        if again:  # who never toggles does not answer
            self.hear(state)
            return
        changed = [StateChanged(NODE, self.now, state, self.state)] if state is not self.state else []
        assert self.consumer.events() == changed
        self.state = state

    @rule(can_id=st.sampled_from([0x704, 0x706, 0x85, 0x185, 0]), data=st.binary(min_size=1, max_size=8))
    def others(self, can_id, data):
        self.consumer.receive(Frame(can_id, data), self.now)
        assert not [event for event in self.consumer.events() if event.node_id == NODE]

    @rule(data=st.binary(min_size=2, max_size=8))
    def garbage(self, data):
        self.consumer.receive(Frame(0x705, data), self.now)
        assert [type(event) for event in self.consumer.events()] == [ErrorControlMalformed]

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 0.099, 0.1, 0.3, 0.5, 2.0]))
    def wait(self, seconds):
        self.now += seconds
        self.consumer.tick(self.now)
        if self.heard is not None and not self.lost and self.now >= self.heard + self.time_s:
            self.lost, self.losses = True, self.losses + 1
            assert self.consumer.events() == [NodeLost(NODE, self.now, self.heard, self.time_s, "heartbeat")]
        assert self.consumer.events() == []

    @invariant()
    def agrees(self):
        life = self.consumer.nodes[NODE]
        assert (life.lost, life.losses, life.state) == (self.lost, self.losses, self.state)
        watched = self.heard is not None and not self.lost
        assert self.consumer.deadline() == (self.heard + self.time_s if watched else None)
        assert self.consumer.frames_to_send() == []


AnyTraffic.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyTraffic = AnyTraffic.TestCase


@given(st.lists(st.floats(0.001, 0.2), min_size=4, max_size=30))
def test_a_node_that_stays_within_its_time_is_never_lost(gaps):
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE, 0.201)
    now = 0.0
    for gap in gaps:
        now += gap
        consumer.tick(now)
        consumer.receive(Frame(0x705, b"\5"), now)
    assert consumer.nodes[NODE].losses == 0
