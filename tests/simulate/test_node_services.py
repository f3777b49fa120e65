"""A simulated node's part in NMT, heartbeat, node guarding, EMCY, SYNC and TIME, object by object."""

import pytest
from node_bench import NODE, Bench, dictionary

from opendiag.frame import Frame
from opendiag.services.emcy import EmcyConsumer
from opendiag.services.guarding import GuardingMaster, MasterFound, MasterLost
from opendiag.services.heartbeat import BootedUp, HeartbeatConsumer, NodeFound, NodeLost
from opendiag.services.nmt import MAY, TRANSITIONS, command_frame
from opendiag.services.sync import SyncLengthWrong
from opendiag.simulate.node import SimNode
from opendiag.wire.cob_id import Service
from opendiag.wire.nmt import NmtCommand, NmtState
from opendiag.wire.time_stamp import TimeOfDay

OTHER = 9
LOST = "3081110900000000"


@pytest.fixture
def bench():
    return Bench(SimNode(dictionary(), NODE))


def emcys(bench):
    return [(time, data) for time, can_id, data in bench.ids() if can_id == 0x80 + NODE]


def watch(bench, time_ms=100):
    assert bench.write(0x1016, 1, OTHER << 16 | time_ms, 4) == "ok"


def wait(bench, seconds):
    """Let time pass while the other node stays alive."""
    for _ in range(round(seconds / 0.05)):
        bench.send(0x700 + OTHER, "05")
        bench.run(0.05)


# --- NMT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL, NmtState.STOPPED])
@pytest.mark.parametrize("command", NmtCommand)
def test_the_node_goes_where_the_table_says(bench, before, command):
    to = {after: way for (state, way), after in TRANSITIONS.items() if state is NmtState.PRE_OPERATIONAL}
    bench.nmt(to[before])
    assert bench.node.nmt_state is before
    bench.node.receive(command_frame(command, NODE), bench.now)
    after = TRANSITIONS[before, command]
    assert bench.node.nmt_state is (NmtState.PRE_OPERATIONAL if after is NmtState.INITIALISING else after)


@pytest.mark.parametrize("command", [1, 2, 0x80])
def test_services_work_where_the_table_lets_them(bench, command):
    bench.write(0x1017, 0, 0, 2)
    bench.write(0x1012, 0, 0x8000_0100, 4)
    bench.nmt(command)
    may = MAY[bench.node.nmt_state]
    assert bool(bench.send(0x600 + NODE, "4000100000000000")) == (Service.SDO_REQUEST in may)
    assert bool(bench.send(0x700 + NODE, remote=True, dlc=1)) == (Service.ERROR_CONTROL in may)
    before = len(bench.sent)
    bench.node.emcy(0x1000, 1, b"", bench.now)
    bench.run(0.0)
    assert (len(bench.sent) > before) == (Service.EMCY in may)
    bench.send(0x100, TimeOfDay(7, 8).encode())
    assert (bench.node.time.consumer.count == 1) == (Service.TIME in may)
    bench.send(0x80)
    assert (bench.node.sync.consumer.count == 1) == (Service.SYNC in may)


# --- heartbeat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "before", "after"),
    [
        (0, 1, NmtState.PRE_OPERATIONAL),
        (0, 0x80, NmtState.PRE_OPERATIONAL),
        (1, 1, NmtState.OPERATIONAL),
        (2, 1, NmtState.STOPPED),
        (2, 0x80, NmtState.STOPPED),
    ],
)
def test_the_error_behaviour_of_1029h_after_a_lost_heartbeat(bench, behaviour, before, after):
    assert bench.write(0x1029, 1, behaviour, 1) == "ok"
    watch(bench)
    bench.nmt(before)
    wait(bench, 0.5)
    assert emcys(bench) == []
    bench.run(0.2)
    assert emcys(bench) == [(0.55, LOST)]
    assert bench.node.nmt_state is after
    lost = [event for event in bench.node.events() if isinstance(event, NodeLost)]
    assert [(event.node_id, event.by) for event in lost] == [(OTHER, "heartbeat")]


def test_a_heartbeat_that_comes_back_ends_the_error(bench):
    watch(bench)
    wait(bench, 0.1)
    bench.run(1.0)
    assert bench.read(0x1001) == 0x11
    bench.send(0x700 + OTHER, "05")
    assert emcys(bench)[1:] == [(bench.now, "0000000000000000")]
    assert bench.read(0x1001) == 0
    assert [type(event) for event in bench.node.events() if isinstance(event, NodeLost | NodeFound)] == [
        NodeLost,
        NodeFound,
    ]


def test_another_error_keeps_its_bits_and_the_lost_heartbeat_keeps_its_own(bench):
    bench.node.emcy(0x3120, 0x05, b"", bench.now)
    watch(bench)
    bench.send(0x700 + OTHER, "05")
    bench.run(0.2)
    assert bench.read(0x1001) == 0x15
    bench.node.emcy(0, 0, b"", bench.now)
    bench.run(0.0)
    assert bench.read(0x1001) == 0x11, "the heartbeat is still lost"
    bench.send(0x700 + OTHER, "05")
    assert bench.read(0x1001) == 0


def test_who_is_no_longer_watched_is_no_longer_missed(bench):
    watch(bench)
    bench.send(0x700 + OTHER, "05")
    bench.run(0.2)
    assert bench.read(0x1001) == 0x11
    bench.write(0x1016, 1, 0, 4)
    assert bench.read(0x1001) == 0
    bench.run(10.0)
    assert len(emcys(bench)) == 2


def test_supervision_begins_anew_after_a_reset_and_a_new_time(bench):
    watch(bench)
    bench.send(0x700 + OTHER, "05")
    watch(bench, 200)
    bench.run(1.0)
    bench.send(0x700 + OTHER, "05")
    bench.nmt(0x82)
    bench.run(1.0)
    assert emcys(bench) == [], "the node waits for a first heartbeat each time"


def test_a_master_sees_the_node_boot_beat_and_fall_silent(bench):
    master = HeartbeatConsumer()
    master.supervise(NODE, 1.5)
    bench.run(3.0)
    bench.node.power_off()
    for at, frame in bench.sent:
        master.receive(frame, at)
    life = master.nodes[NODE]
    assert (life.boot_ups, life.count, life.period_s) == (1, 3, pytest.approx(1.0))
    master.tick(4.5)
    events = master.events()
    assert isinstance(events[0], BootedUp) and isinstance(events[-1], NodeLost)


# --- node guarding --------------------------------------------------------------------------------------------------


def guarded(bench):
    for index, value, width in ((0x1017, 0, 2), (0x100C, 100, 2), (0x100D, 3, 1)):
        assert bench.write(index, 0, value, width) == "ok"


def test_life_guarding_is_an_error_until_the_master_asks_again(bench):
    guarded(bench)
    bench.nmt(1)
    bench.run(10.0)
    assert emcys(bench) == [], "life guarding waits for the first question"
    bench.send(0x700 + NODE, remote=True, dlc=1)
    bench.run(1.0)
    assert emcys(bench) == [(10.3, "3081110000000000")]
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    assert [frame.data.hex() for frame in bench.send(0x700 + NODE, remote=True, dlc=1)] == ["ff", "0000000000000000"]
    kinds = [type(event) for event in bench.node.events()]
    assert [kind for kind in kinds if kind in (MasterLost, MasterFound)] == [MasterLost, MasterFound]


def test_a_guarding_master_and_the_node_agree(bench):
    guarded(bench)
    master = GuardingMaster()
    master.guard(NODE, 0.1, 3)
    bench.nmt(1)
    for _ in range(20):
        master.tick(bench.now)
        for question in master.frames_to_send():
            for answer in bench.send(question.can_id, remote=True, dlc=question.dlc):
                master.receive(answer, bench.now)
        bench.run(0.1)
    node = master.nodes[NODE]
    assert (node.answered, node.toggle_errors, node.lost, node.state) == (20, 0, False, NmtState.OPERATIONAL)
    assert emcys(bench) == []


def test_a_heartbeat_ends_life_guarding_and_its_error(bench):
    guarded(bench)
    bench.send(0x700 + NODE, remote=True, dlc=1)
    bench.run(1.0)
    assert bench.read(0x1001) == 0x11
    bench.write(0x1017, 0, 1000, 2)
    assert bench.read(0x1001) == 0
    assert bench.send(0x700 + NODE, remote=True, dlc=1) == []


# --- EMCY -----------------------------------------------------------------------------------------------------------


def test_a_consumer_collects_what_the_node_tells_even_on_another_cob_id(bench):
    consumer = EmcyConsumer()
    for value in (0x8000_0190, 0x190):
        assert bench.write(0x1014, 0, value, 4) == "ok"
    consumer.move(NODE, 0x190)
    bench.node.emcy(0x2310, 3, b"\1\2", bench.now)
    bench.run(0.0)
    consumer.receive(bench.sent[-1][1], bench.now)
    (event,) = consumer.events()
    assert (event.node_id, event.emcy.code, event.text) == (NODE, 0x2310, "continuous over-current at the output")
    assert bench.read(0x1003, 1) == 0x0201_2310


def test_history_survives_an_emcy_that_is_switched_off(bench):
    bench.write(0x1014, 0, 0x8000_0085, 4)
    bench.node.emcy(0x1000, 1, b"", bench.now)
    bench.run(0.0)
    assert emcys(bench) == []
    assert (bench.read(0x1003, 0), bench.read(0x1001)) == (1, 1)
    assert bench.node.error_objects.producer.dropped == 1


# --- SYNC -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overflow", "right", "wrong"), [(0, "", "01"), (0, "", "0102"), (10, "01", ""), (10, "02", "00")]
)
def test_a_sync_of_the_wrong_length_is_an_emergency_once(bench, overflow, right, wrong):
    assert bench.write(0x1019, 0, overflow, 1) == "ok"
    for data in (right, wrong, wrong, wrong):
        bench.send(0x80, data)
    assert emcys(bench) == [(0.0, "4082110000000000")]
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    assert len([event for event in bench.node.events() if isinstance(event, SyncLengthWrong)]) == 3
    bench.send(0x80, right)
    assert [data for _, data in emcys(bench)] == ["4082110000000000", "0000000000000000"]


def test_the_sync_counter_begins_with_1_when_the_node_is_stopped_no_more(bench):
    bench.write(0x1019, 0, 10, 1)
    bench.write(0x1006, 0, 10_000, 4)
    bench.write(0x1005, 0, 0x4000_0080, 4)
    bench.run(0.035)
    bench.nmt(2)
    bench.run(1.0)
    bench.nmt(1)
    bench.run(0.025)
    syncs = [(time, data) for time, can_id, data in bench.ids() if can_id == 0x80]
    assert syncs == [(0.01, "01"), (0.02, "02"), (0.03, "03"), (1.045, "01"), (1.055, "02")]


# --- TIME -----------------------------------------------------------------------------------------------------------


def test_time_is_kept_only_with_bit_31_of_1012h(bench):
    told = TimeOfDay(1000, 15_000)
    bench.send(0x100, told.encode())
    bench.run(2.0)
    assert bench.node.time.time_of_day(bench.now) == TimeOfDay(2000, 0), "its own clock, since power-on"
    assert bench.write(0x1012, 0, 0x8000_0100, 4) == "ok"
    bench.send(0x100, told.encode())
    bench.run(2.5)
    assert bench.node.time.time_of_day(bench.now) == TimeOfDay(3500, 15_000)
    bench.nmt(0x81)
    assert bench.node.time.time_of_day(bench.now) == TimeOfDay(3500, 15_000), "a reset stops no clock"
    bench.node.power_off()
    bench.node.power_on(bench.now)
    assert bench.node.time.time_of_day(bench.now) == TimeOfDay(0, 0)


def test_the_node_tells_the_time_with_bit_30(bench):
    bench.node.time.produce(1.0, bench.now)
    bench.run(0.5)
    assert 0x100 not in [can_id for _, can_id, _ in bench.ids()]
    bench.write(0x1012, 0, 0x4000_0100, 4)
    bench.run(1.0)
    assert [(time, data) for time, can_id, data in bench.ids() if can_id == 0x100] == [(1.0, "e80300000000")]
    bench.nmt(2)
    bench.run(5.0)
    assert len([can_id for _, can_id, _ in bench.ids() if can_id == 0x100]) == 1


def test_1012h_can_be_moved_only_while_it_is_not_in_use(bench):
    assert bench.write(0x1012, 0, 0x8000_0100, 4) == "ok"
    assert bench.write(0x1012, 0, 0x8000_0200, 4) == "06090030"
    assert bench.write(0x1012, 0, 0x100, 4) == "ok"
    assert bench.write(0x1012, 0, 0x101, 4) == "06090030", "a restricted identifier"
    assert bench.write(0x1012, 0, 0x8000_0200, 4) == "ok"
    bench.node.receive(Frame(0x200, TimeOfDay(1, 2).encode()), bench.now)
    assert bench.node.time.consumer.count == 1
