"""A whole simulated node, frame by frame on a clock that the test winds: NMT, heartbeat, SDO, EMCY, parameters."""

import pytest
from node_bench import EDS, NODE, Bench, array, dictionary

from opendiag.dictionary import eds
from opendiag.frame import Frame
from opendiag.services.nmt import NmtChanged
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtState


@pytest.fixture
def bench():
    return Bench(SimNode(dictionary(), NODE))


# --- boot-up and NMT ------------------------------------------------------------------------------------------------


def test_boot_up_comes_first_and_once(bench):
    assert bench.ids() == [(0.0, 0x705, "00")]
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    bench.node.tick(0.0)
    assert bench.node.frames_to_send() == []


def test_a_frame_starts_the_node_too():
    node = SimNode(dictionary(), NODE)
    assert node.deadline() == 0.0
    node.receive(Frame(0x123), 4.0)
    assert [frame.can_id for frame in node.frames_to_send()] == [0x705]


def test_booting_takes_its_time():
    bench = Bench(SimNode(dictionary(), NODE, quirks=NodeQuirks(boot_s=0.25)))
    assert bench.sent == [] and bench.send(0x605, "4000100000000000") == []
    bench.run(0.3)
    assert bench.ids() == [(0.25, 0x705, "00")]


@pytest.mark.parametrize(
    ("command", "state"),
    [(1, NmtState.OPERATIONAL), (2, NmtState.STOPPED), (0x80, NmtState.PRE_OPERATIONAL)],
)
@pytest.mark.parametrize("address", [0, NODE])
def test_nmt_commands(bench, command, state, address):
    bench.nmt(1 if command == 0x80 else command)
    bench.nmt(command, address)
    assert bench.node.nmt_state is state


def test_commands_to_others_and_broken_ones_change_nothing(bench):
    bench.nmt(1, NODE + 1)
    bench.send(0, "01")
    bench.send(0, "0500")
    bench.send(0, "0100", extended=True)
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL


def test_stopped_there_is_no_sdo(bench):
    bench.nmt(2)
    assert bench.send(0x605, "4000100000000000") == []
    bench.nmt(0x80)
    assert bench.read(0x1000) == 0


@pytest.mark.parametrize("command", [0x81, 0x82])
@pytest.mark.parametrize("address", [0, NODE])
def test_reset_boots_again(bench, command, address):
    bench.nmt(1)
    bench.node.events()
    assert [frame.data for frame in bench.nmt(command, address)] == [b"\0"]
    states = [event.state for event in bench.node.events() if isinstance(event, NmtChanged)]
    assert states == [NmtState.INITIALISING, NmtState.PRE_OPERATIONAL]


def test_reset_communication_leaves_the_application_alone(bench):
    for command, kept in ((0x82, 99), (0x81, 7)):
        bench.write(0x2000, 0, 99, 2)
        bench.write(0x1017, 0, 50, 2)
        bench.nmt(command)
        assert bench.read(0x2000) == kept
        assert bench.read(0x1017) == 1000


def test_power(bench):
    bench.node.power_off()
    assert bench.node.deadline() is None
    assert bench.send(0x605, "4000100000000000") == []
    bench.run(5.0)
    bench.node.power_on(bench.now)
    bench.run(0.0)
    assert bench.ids(1.0) == [(5.0, 0x705, "00")]


# --- heartbeat and node guarding ------------------------------------------------------------------------------------


def test_heartbeat_timing_and_state(bench):
    bench.run(2.5)
    bench.nmt(1)
    bench.run(1.0)
    assert bench.ids(0.1) == [(1.0, 0x705, "7f"), (2.0, 0x705, "7f"), (3.0, 0x705, "05")]


def test_a_new_heartbeat_time_takes_effect_at_once(bench):
    bench.run(0.9)
    assert bench.write(0x1017, 0, 200, 2) == "ok"
    bench.run(0.45)
    assert [time for time, can_id, _ in bench.ids(0.91) if can_id == 0x705] == [1.1, 1.3]
    bench.write(0x1017, 0, 0, 2)
    bench.run(10.0)
    assert [time for time, can_id, _ in bench.ids(1.36) if can_id == 0x705] == []


def test_node_guarding_toggles_and_begins_anew_after_a_reset(bench):
    assert bench.send(0x705, remote=True, dlc=1) == [], "the heartbeat has priority"
    bench.write(0x1017, 0, 0, 2)
    answers = [bench.send(0x705, remote=True, dlc=1)[0].data.hex() for _ in range(3)]
    assert answers == ["7f", "ff", "7f"]
    bench.nmt(0x82)
    bench.write(0x1017, 0, 0, 2)
    assert bench.send(0x705, remote=True, dlc=1)[0].data.hex() == "7f"


def test_a_lost_heartbeat_is_an_emergency_and_ends_operation(bench):
    bench.write(0x1016, 1, 0x0009_0064, 4)
    bench.nmt(1)
    bench.run(1.0)
    assert bench.node.nmt_state is NmtState.OPERATIONAL, "it is watched from its first heartbeat on"
    bench.send(0x709, "05")
    bench.run(0.15)
    assert (1.1, 0x085, "3081110900000000") in bench.ids()
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    assert bench.write(0x1016, 2, 0x0009_0064, 4) == "06040043"


# --- SDO ------------------------------------------------------------------------------------------------------------


def test_sdo_read_write_and_refusals(bench):
    assert bench.read(0x1018, 2) == 2
    assert bench.write(0x2000, 0, 0x1234, 2) == "ok"
    assert bench.read(0x2000) == 0x1234
    assert bench.read(0x2001) == "06020000"
    assert bench.read(0x1018, 9) == "06090011"
    assert bench.write(0x1000, 0, 1, 4) == "06010002"


def test_sdo_latency():
    bench = Bench(SimNode(dictionary(), NODE, sdo_latency_s=0.02))
    bench.send(0x605, "4000100000000000")
    bench.run(0.1)
    assert (0.02, 0x585, "4300100000000000") in bench.ids()


def test_a_second_channel_is_switched_on_and_off_by_writing_it(bench):
    request = "4000100000000000"
    assert bench.send(0x625, request) == []
    bench.write(0x1201, 1, 0x6E0 - 0x20, 4)
    bench.write(0x1201, 2, 0x5E0 - 0x60, 4)
    assert bench.write(0x1201, 1, 0x601, 4) == "06090030", "a restricted identifier"
    bench.write(0x1201, 1, 0x6C0, 4)
    assert [frame.can_id for frame in bench.send(0x6C0, request)] == [0x580]
    bench.write(0x1201, 1, 0x8000_06C0, 4)
    assert bench.send(0x6C0, request) == []


def test_the_answer_to_a_moved_channel_still_goes_the_old_way(bench):
    assert bench.write(0x1200, 2, 0x6C1, 4) == "ok"
    assert bench.send(0x605, "4000100000000000")[0].can_id == 0x6C1


# --- EMCY -----------------------------------------------------------------------------------------------------------


def test_emergency_register_and_history(bench):
    for number in range(1, 6):
        bench.node.emcy(0x1000 + number, 1, bytes([number]), bench.now)
    bench.run(0.0)
    assert bench.ids()[1] == (0.0, 0x085, "0110010100000000")
    assert bench.read(0x1001) == 1
    assert [bench.read(0x1003, sub) for sub in range(4)] == [3, 0x51005, 0x41004, 0x31003]
    assert bench.write(0x1003, 0, 1, 1) == "06090030"
    assert bench.read(0x1003, 0) == 3
    assert bench.write(0x1003, 0, 0, 1) == "ok"
    assert [bench.read(0x1003, sub) for sub in range(4)] == [0, 0, 0, 0]


def test_error_reset_is_sent_and_no_entry(bench):
    bench.node.emcy(0, 0, b"", bench.now)
    bench.run(0.0)
    assert bench.ids()[-1][1:] == (0x085, "0000000000000000")
    assert bench.read(0x1003, 0) == 0


def test_a_history_with_gaps_keeps_what_it_can():
    text = EDS + array(0x1003, ["0", "0", "0"], access="ro").replace("sub3", "sub9")
    bench = Bench(SimNode(eds.parse(text, "test"), NODE))
    for number in range(4):
        bench.node.emcy(0x1001 + number, 1, b"", bench.now)
    bench.run(0.0)
    assert [bench.read(0x1003, sub) for sub in (0, 1, 2, 9)] == [2, 0x1004, 0x1003, 0]


def test_what_is_told_from_outside_is_sent_at_once(bench):
    bench.run(0.3)
    bench.node.emcy(0x1001, 1, b"", bench.now)
    assert bench.node.deadline() == pytest.approx(0.3)


def test_emergency_inhibit_time_cob_id_and_stopped(bench):
    bench.write(0x1015, 0, 1000, 2)
    bench.node.emcy(0x1001, 1, b"", bench.now)
    bench.node.emcy(0x1002, 1, b"", bench.now)
    bench.run(0.5)
    assert [time for time, can_id, _ in bench.ids() if can_id == 0x085] == [0.0, 0.1]
    assert bench.write(0x1014, 0, 0x90, 4) == "06090030", "valid: it has to be switched off first"
    assert bench.write(0x1014, 0, 0x8000_0090, 4) == "ok"
    assert bench.write(0x1014, 0, 0x90, 4) == "ok"
    bench.node.emcy(0x1003, 1, b"", bench.now)
    bench.run(0.0)
    assert bench.ids()[-1][1] == 0x90
    bench.nmt(2)
    before = len(bench.sent)
    bench.node.emcy(0x1003, 1, b"", bench.now)
    bench.run(0.5)
    assert 0x90 not in [frame.can_id for _, frame in bench.sent[before:]]


# --- parameters -----------------------------------------------------------------------------------------------------


def test_save_survives_and_load_comes_with_the_reset(bench):
    bench.write(0x2000, 0, 99, 2)
    assert bench.write(0x1010, 1, 0x64616F6C, 4) == "08000020"
    assert bench.write(0x1010, 1, 0x65766173, 4) == "ok"
    assert bench.read(0x1010, 1) == 1
    bench.write(0x2000, 0, 1, 2)
    bench.nmt(0x81)
    assert bench.read(0x2000) == 99
    bench.node.power_off()
    bench.node.power_on(bench.now)
    bench.run(0.0)
    assert bench.read(0x2000) == 99
    assert bench.write(0x1011, 1, 0x65766173, 4) == "08000020"
    assert bench.write(0x1011, 1, 0x64616F6C, 4) == "ok"
    assert bench.read(0x2000) == 99
    bench.nmt(0x81)
    assert bench.read(0x2000) == 7


def test_communication_parameters_are_an_area_of_their_own(bench):
    bench.write(0x2000, 0, 99, 2)
    bench.write(0x1017, 0, 300, 2)
    assert bench.write(0x1010, 2, 0x65766173, 4) == "ok"
    bench.nmt(0x81)
    assert (bench.read(0x1017), bench.read(0x2000)) == (300, 7)


# --- SYNC -----------------------------------------------------------------------------------------------------------


def test_the_node_can_produce_sync(bench):
    assert bench.write(0x1019, 0, 3, 1) == "ok"
    bench.write(0x1006, 0, 10_000, 4)
    assert bench.write(0x1019, 0, 4, 1) == "08000022"
    bench.write(0x1005, 0, 0x4000_0080, 4)
    assert bench.write(0x1005, 0, 0x4000_0081, 4) == "06090030"
    bench.run(0.045)
    syncs = [(time, data) for time, can_id, data in bench.ids() if can_id == 0x80]
    assert syncs == [(0.01, "01"), (0.02, "02"), (0.03, "03"), (0.04, "01")]


# --- quirks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirks", "frames", "state"),
    [
        (NodeQuirks(no_boot_up=True), [], NmtState.PRE_OPERATIONAL),
        (NodeQuirks(legacy_boot_up=True), [(0.0, 0x85, "")], NmtState.PRE_OPERATIONAL),
        (NodeQuirks(operational_by_itself=True), [(0.0, 0x705, "00")], NmtState.OPERATIONAL),
    ],
)
def test_ways_to_boot(quirks, frames, state):
    bench = Bench(SimNode(dictionary(), NODE, quirks=quirks))
    assert bench.ids() == frames and bench.node.nmt_state is state


def test_guarding_only_and_refusing_to_start():
    bench = Bench(SimNode(dictionary(), NODE, quirks=NodeQuirks(guarding_only=True, refuses_start_on_error=True)))
    bench.run(5.0)
    assert len(bench.sent) == 1
    assert bench.send(0x705, remote=True, dlc=1)[0].data == b"\x7f"
    bench.node.emcy(0x1000, 1, b"", bench.now)
    bench.nmt(1)
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    bench.node.emcy(0, 0, b"", bench.now)
    bench.nmt(1)
    assert bench.node.nmt_state is NmtState.OPERATIONAL


def test_wrong_node_ids_are_refused():
    for node_id in (0, 128):
        with pytest.raises(ValueError, match="outside"):
            SimNode(dictionary(), node_id)


def test_events_that_nobody_fetches_do_not_fill_the_memory():
    node = SimNode("stepim", 5)
    node.start(0.0)
    node.tick(1.0)
    for number in range(11_000):
        node.receive(Frame(0x605, bytes.fromhex("4000100000000000")), 2.0 + number / 1000)
        node.frames_to_send()
    assert len(node.events()) == 10_000
    assert node.events() == []
