"""A simulated drive that loses its master: heartbeat, life guarding, NMT, reset, bus-off and SYNC."""

import pytest
from drive_bench import NODE, TURN, DriveBench, servo

from opendiag.cia402.states import PdsState
from opendiag.frame import Frame
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.stepim import StepIM
from opendiag.wire.nmt import NmtState

S = PdsState
MASTER = 1
ENDS = {0: S.OPERATION_ENABLED, 1: S.FAULT, 2: S.SWITCH_ON_DISABLED, 3: S.SWITCH_ON_DISABLED}


def moving(option, node=None, mode=3):
    bench = DriveBench(node).enable(mode)
    bench.set(_6007=option, _60FF=4 * TURN if node is None else 20_000)
    bench.nmt(1)
    return bench.run(0.3)


def by_heartbeat(bench):
    bench.set(_1016_1=MASTER << 16 | 200, _1029_1=1)
    for _ in range(3):
        bench.send(0x700 + MASTER, b"\x05").run(0.1)
    assert bench.state is S.OPERATION_ENABLED
    bench.run(0.3)
    return 0x8130


def by_life_guarding(bench):
    bench.set(_1017=0, _100C=100, _100D=2, _1029_1=1)
    for _ in range(3):
        bench.node.receive(Frame(0x700 + NODE, remote=True, dlc=1), bench.now)
        bench.run(0.1)
    assert bench.state is S.OPERATION_ENABLED
    bench.run(0.3)
    return 0x8130


def by_pre_operational(bench):
    bench.nmt(0x80).run(0.1)
    return 0x8100


def by_stop(bench):
    bench.nmt(0x02).run(0.1)
    bench.nmt(0x01)
    return 0x8100


def by_reset_communication(bench):
    bench.nmt(0x82).run(0.1)
    return 0x8100


def by_bus_off(bench):
    bench.node.bus_off(bench.now)
    bench.run(0.1)
    return 0x8140


LOSSES = [by_heartbeat, by_life_guarding, by_pre_operational, by_stop, by_reset_communication, by_bus_off]


@pytest.mark.parametrize("option", ENDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_abort_connection_6007(loss, option):
    bench = moving(option)
    code = loss(bench)
    bench.run(0.2)
    assert bench.state is ENDS[option]
    assert bench.error == (code if option == 1 else 0)
    if option:
        bench.until(lambda: bench.node.motor.velocity == pytest.approx(0, abs=0.02), 10)
        assert not bench.node.energised
    else:
        assert bench.node.motor.velocity == pytest.approx(4.0, abs=0.1)
    if code == 0x8130:
        assert bench.emergencies.count(0x8130) == 1, "one EMCY for one loss"


@pytest.mark.parametrize("option", ENDS)
def test_reset_node_lets_go_whatever_6007_says(option):
    bench = moving(option)
    bench.nmt(0x81).run(0.1)
    assert bench.state is S.SWITCH_ON_DISABLED and not bench.node.energised


@pytest.mark.parametrize("loss", [by_heartbeat, by_pre_operational])
def test_a_drive_at_rest_has_nothing_to_abort(loss):
    bench = DriveBench().set(_6007=1)
    bench.nmt(1)
    if loss is by_pre_operational:
        loss(bench)
    else:
        bench.set(_1016_1=MASTER << 16 | 100)
        bench.send(0x700 + MASTER, b"\x05").run(0.3)
    assert bench.state is S.SWITCH_ON_DISABLED and bench.error == 0


def test_a_stepim_after_a_lost_heartbeat():
    """6007h is 1 from the factory: fault 8130h, the node goes back to PRE-OPERATIONAL (1029h), and a reset helps."""
    bench = DriveBench(StepIM(NODE)).enable(3)
    assert bench.read(0x6007) == 1
    bench.set(_60FF=20_000, _1016_1=MASTER << 16 | 200)
    bench.nmt(1)
    for _ in range(3):
        bench.send(0x700 + MASTER, b"\x05").run(0.1)
    bench.run(0.2)
    assert bench.state is S.FAULT or bench.state is S.FAULT_REACTION_ACTIVE
    assert bench.error == 0x8130 and bench.emergencies == [0x8130]
    assert bench.node.nmt_state is NmtState.PRE_OPERATIONAL
    bench.run(3.0)
    assert bench.node.motor.velocity == 0.0 and not bench.node.energised
    assert bench.control(0x00, 0x80) is S.SWITCH_ON_DISABLED


def test_a_drive_that_nobody_acknowledges_and_that_is_shouted_down_goes_bus_off():
    bus = SimBus(1_000_000, faults=[Fault("error", can_id=0x180 + NODE)])
    drive = servo()
    station = bus.attach(drive, "drive")
    bus.attach(None, "witness")
    master = bus.attach(None, "master")
    for data in ("2f60600003", "2f0760", "2b40600006", "2b40600007", "2b4060000f"):
        master.send(Frame(0x600 + NODE, bytes.fromhex(data).ljust(8, b"\0")))
        bus.run_until(bus.now + 0.02)
    assert drive.pds.state is S.OPERATION_ENABLED
    master.send(Frame(0, bytes([1, NODE])))
    bus.run_until(bus.now + 0.2)
    assert station.bus_off and drive.pds.state is S.FAULT and not drive.energised
    assert drive.store.get(0x603F, 0) == 0x8140


# --- SYNC -------------------------------------------------------------------------------------------------------------


def synced(node=None, mode=8, period_s=0.001):
    bench = DriveBench(node).enable(mode)
    bench.set(_1402_2=1, _60C2_1=1, _60C2_2=-3)
    if node is not None:
        bench.set(_262B=5, _1400_1=0x8000_0265, _1401_1=0x8000_0365, _1402_1=0x8000_0465)
        bench.set(_1400_1=0x200 + NODE)
    bench.nmt(1)
    for _ in range(50):
        bench.run(period_s).send(0x80)
    assert bench.state is S.OPERATION_ENABLED
    return bench


def lost_after(bench):
    return bench.until(lambda: bench.node.pds.state is not S.OPERATION_ENABLED, 1.0, 0.0005)


def test_a_cyclic_mode_without_sync_is_an_error():
    bench = synced()
    assert 0.018 < lost_after(bench) < 0.023
    bench.run(0.1)
    assert bench.state is S.FAULT and bench.error == 0x8700


def test_a_stepim_counts_lost_syncs():
    bench = synced(StepIM(NODE))
    assert 0.0055 < lost_after(bench) < 0.008, "262Bh allows 5"
    bench.run(0.1)
    assert bench.state is S.FAULT and bench.error == 0xFF03


def test_a_sync_that_comes_late_is_none_that_is_missing():
    bench = synced()
    for _ in range(20):
        bench.run(0.015).send(0x80)
    assert bench.state is S.OPERATION_ENABLED


@pytest.mark.parametrize("mode", [1, 3, 4, 6])
def test_other_modes_need_no_sync(mode):
    bench = synced(mode=mode)
    bench.run(1.0)
    assert bench.state is S.OPERATION_ENABLED


def test_without_synchronous_pdos_a_sync_is_for_others():
    bench = DriveBench().enable(8)
    bench.nmt(1)
    bench.run(0.01).send(0x80).run(1.0)
    assert bench.state is S.OPERATION_ENABLED
