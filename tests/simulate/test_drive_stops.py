"""How a simulated drive stops: option codes with their ramps, limit switches, brake, faults, warnings, I2t."""

import pytest
from drive_bench import BIT_12, BIT_13, LIMIT, NODE, REACHED, TURN, WARNING, DriveBench, servo

from opendiag.cia402.states import PdsState
from opendiag.simulate.stepim import StepIM

S = PdsState
#: The slow ramp takes 1 s from 20 turns/s, the quick one 0.2 s, the limits much less.
RAMPS = {"_6083": 400 * TURN, "_6084": 20 * TURN, "_6085": 100 * TURN, "_6065": 0}
SPEED = 20 * TURN


def turning(**more):
    bench = DriveBench().enable(3)
    bench.set(**RAMPS, **more, _60FF=SPEED)
    return bench.run(0.4)


def seconds_to_rest(bench):
    return bench.until(lambda: abs(bench.node.motor.velocity) < 0.05, 30.0, 0.001)


def check_ramp(bench, ramp):
    taken = seconds_to_rest(bench)
    expected = {"slow": (0.95, 1.05), "quick": (0.19, 0.23), "limit": (0.008, 0.08), "coast": (0.3, 30.0)}[ramp]
    assert expected[0] <= taken <= expected[1], taken


@pytest.mark.parametrize(
    ("option", "ramp", "end"),
    [
        (0, "coast", S.SWITCH_ON_DISABLED),
        (1, "slow", S.SWITCH_ON_DISABLED),
        (2, "quick", S.SWITCH_ON_DISABLED),
        (3, "limit", S.SWITCH_ON_DISABLED),
        (4, "limit", S.SWITCH_ON_DISABLED),
        (5, "slow", S.QUICK_STOP_ACTIVE),
        (6, "quick", S.QUICK_STOP_ACTIVE),
        (7, "limit", S.QUICK_STOP_ACTIVE),
        (8, "limit", S.QUICK_STOP_ACTIVE),
    ],
)
def test_quick_stop_605a(option, ramp, end):
    bench = turning(_605A=option)
    bench.write(0x6040, 0x02)
    assert bench.node.energised == (option != 0)
    check_ramp(bench, ramp)
    bench.run(0.1)
    assert bench.state is end and bench.node.energised == (end is S.QUICK_STOP_ACTIVE)


@pytest.mark.parametrize(("option", "ramp"), [(0, "coast"), (1, "slow")])
@pytest.mark.parametrize(
    ("index", "word", "end"), [("_605B", 0x06, S.READY_TO_SWITCH_ON), ("_605C", 0x07, S.SWITCHED_ON)]
)
def test_shutdown_605b_and_disable_605c(index, word, end, option, ramp):
    bench = turning(**{index: option})
    bench.write(0x6040, word)
    check_ramp(bench, ramp)
    bench.run(0.1)
    assert bench.state is end and not bench.node.energised


@pytest.mark.parametrize(("option", "ramp"), [(1, "slow"), (2, "quick"), (3, "limit"), (4, "limit")])
def test_halt_605d(option, ramp):
    bench = turning(_605D=option)
    bench.write(0x6040, 0x10F)
    check_ramp(bench, ramp)
    assert bench.state is S.OPERATION_ENABLED and bench.run(0.05).word & REACHED
    there = bench.read(0x6064)
    assert abs(bench.run(1.0).read(0x6064) - there) < 40, "it holds"
    bench.control(0x0F)
    bench.run(0.4)
    assert bench.read(0x606C) == pytest.approx(SPEED, rel=0.02)


@pytest.mark.parametrize(("option", "ramp"), [(0, "coast"), (1, "slow"), (2, "quick"), (3, "limit"), (4, "limit")])
def test_fault_reaction_605e(option, ramp):
    bench = turning(_605E=option)
    bench.node.inject(0x7121)
    bench.run(0.006)
    assert bench.state is (S.FAULT_REACTION_ACTIVE if option else S.FAULT)
    check_ramp(bench, ramp)
    bench.run(0.1)
    assert bench.state is S.FAULT and not bench.node.energised


def test_braking_on_the_voltage_limit_stays_below_the_over_voltage():
    highest = {}
    for option in (7, 8):
        bench = turning(_605A=option, _6072=4000, _6073=4000)
        bench.write(0x6040, 0x02)
        buses = []
        bench.until(lambda b=buses, n=bench.node: b.append(n.motor.bus) or abs(n.motor.velocity) < 0.05, 3.0, 0.001)
        highest[option] = max(buses)
    assert highest[8] < 56.0 and highest[8] <= highest[7] + 0.01


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("mode", [1, 3, 4, 8, 9])
def test_a_limit_switch_stops_motion_in_its_direction_only(mode, direction):
    bench = DriveBench(before=lambda node: setattr(node.switches, "stop_motion", True)).enable(mode)
    bench.set(
        _6065=0, _6081=8 * TURN, _60FF=direction * 8 * TURN, _6071=direction * 200, _6085=400 * TURN, _607F=8 * TURN
    )
    if mode == 1:
        bench.move(direction * 100 * TURN)
    for step in range(250):
        bench.write(0x607A, direction * 40 * step * 4) if mode == 8 else None
        bench.run(0.008)
    assert abs(bench.node.motor.position) == pytest.approx(5.1, abs=0.2) and abs(bench.node.motor.velocity) < 0.1
    assert bench.state is S.OPERATION_ENABLED and bench.word & LIMIT
    assert bench.read(0x60FD) & 3 == (2 if direction > 0 else 1)
    bench.set(_60FF=-direction * 8 * TURN, _6071=-direction * 200)
    if mode == 1:
        bench.move(0, 5)
    for step in range(50):
        bench.write(0x607A, direction * (20000 - 40 * step * 4)) if mode == 8 else None
        bench.run(0.008)
    assert (
        abs(bench.node.motor.position) < 5.0 and (mode == 4 or not bench.word & LIMIT) and bench.read(0x60FD) & 3 == 0
    )


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 7, 8, 9])
def test_software_limits_hold_in_every_mode(mode):
    bench = DriveBench()
    bench.set(_607D_1=-2 * TURN, _607D_2=2 * TURN, _6065=0)
    bench.enable(mode)
    bench.set(_60FF=4 * TURN, _6042=240, _6071=150, _6087=0)
    if mode == 1:
        bench.move(9 * TURN)
    if mode in (2, 7):
        bench.control(0x7F if mode == 2 else 0x1F)
    for step in range(300):
        if mode in (7, 8):
            bench.set(**{"_607A" if mode == 8 else "_60C1_1": 50 * step})
        bench.run(0.01)
    assert bench.node.motor.position == pytest.approx(2.0, abs=0.15 if mode == 4 else 0.02)
    assert bench.word & LIMIT and bench.state is S.OPERATION_ENABLED


# --- monitoring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "fault"), [(1000, True), (0xFFFF_FFFF, False)])
def test_following_error_window_and_time(window, fault):
    bench = DriveBench().enable(1)
    bench.node.motor.held = True
    bench.set(_6065=window, _6066=100)
    bench.move(40 * TURN)
    bench.until(lambda: abs(bench.read(0x60F4)) > 1000, 1.0, 0.002)
    bench.run(0.05)
    assert bench.state is S.OPERATION_ENABLED and bool(bench.word & BIT_13) == fault
    bench.run(0.1)
    assert (bench.state is S.FAULT) == fault
    if fault:
        assert bench.error == 0x8611 and bench.emergencies == [0x8611]


def test_position_window_time():
    bench = DriveBench().enable(1)
    bench.set(_6067=50, _6068=200)
    bench.move(2 * TURN)
    bench.until(lambda: abs(bench.read(0x6062) - 2 * TURN) == 0, 5, 0.005)
    bench.run(0.1)
    assert not bench.word & REACHED
    bench.run(0.2)
    assert bench.word & REACHED
    bench.set(_6067=0xFFFF_FFFF, _6068=0)
    bench.node.motor.load_torque = 0.0
    bench.move(0)
    bench.until_bits(REACHED)


def test_velocity_window_and_threshold():
    bench = DriveBench().enable(3)
    bench.set(_606D=200, _606E=100, _606F=2 * TURN, _6070=100, _60FF=4 * TURN)
    bench.until(lambda: abs(bench.node.motor.velocity - 4) < 0.03, 3, 0.002)
    bench.run(0.04)
    assert not bench.word & (REACHED | BIT_12)
    bench.run(0.15)
    assert bench.word & REACHED and not bench.word & BIT_12
    bench.set(_60FF=TURN)
    bench.run(0.4)
    assert bench.word & BIT_12, "slower than the threshold is as good as standing"


@pytest.mark.parametrize(("make", "code"), [(lambda: StepIM(NODE), 0x2310), (servo, 0x2350)])
def test_i2t_warns_and_then_trips_and_needs_time(make, code):
    bench = DriveBench(make()).enable(4)
    bench.node.motor.held = True
    bench.set(_6071=4500 if code == 0x2310 else 1500)
    bench.until(lambda: bench.word & WARNING, 20)
    assert bench.state is S.OPERATION_ENABLED
    bench.until(lambda: bench.state is S.FAULT, 5)
    assert bench.error == code and bench.read(0x1001) == 0x03 and bench.emergencies == [code]
    assert bench.control(0x00, 0x80) is S.FAULT, "still too much"
    bench.run(3.0)
    assert bench.control(0x00, 0x80) is S.SWITCH_ON_DISABLED


def test_the_rated_current_may_flow_for_ever():
    bench = DriveBench().enable(4)
    bench.node.motor.held = True
    bench.set(_6071=1000)
    bench.run(120.0)
    assert bench.state is S.OPERATION_ENABLED and not bench.word & WARNING


# --- faults from outside ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "register"), [(0x7305, 0x01), (0x2214, 0x03), (0x8130, 0x11), (0xFF05, 0x81)])
def test_a_transient_fault_can_be_reset_at_once(code, register):
    bench = DriveBench().enable(3)
    bench.node.inject(code)
    bench.run(0.05)
    assert bench.state is S.FAULT and bench.error == code and bench.read(0x1001, signed=False) == register
    assert bench.emergencies == [code] and bench.read(0x1003, 1) == code
    assert bench.control(0x00, 0x80) is S.SWITCH_ON_DISABLED and bench.error == 0


def test_a_lasting_fault_stays_until_its_cause_is_gone():
    bench = DriveBench().enable(3)
    bench.node.inject(0x7122, lasting=True)
    bench.run(0.05)
    assert bench.control(0x00, 0x80) is S.FAULT and bench.emergencies == [0x7122]
    bench.node.clear(0x7122)
    assert bench.control(0x00, 0x80) is S.SWITCH_ON_DISABLED


def test_a_warning_is_a_bit_and_nothing_else():
    bench = DriveBench().enable(3)
    bench.node.warn(0x4210)
    assert bench.word & WARNING and bench.state is S.OPERATION_ENABLED
    bench.node.warn(0x4210, False)
    assert not bench.word & WARNING and bench.emergencies == []


def test_safe_torque_off():
    bench = DriveBench()
    bench.node.torque_off()
    bench.run(0.02)
    assert not bench.word & 0x10 and bench.read(0x60FD) & 8
    assert bench.control(0x06, 0x07, 0x0F) is S.READY_TO_SWITCH_ON and not bench.node.energised
    bench.node.torque_off(False)
    assert bench.control(0x0F) is S.OPERATION_ENABLED and bench.word & 0x10
    bench.node.torque_off()
    bench.run(0.02)
    assert bench.state is S.FAULT and not bench.node.energised and bench.error == 0x5400


# --- brake and load ---------------------------------------------------------------------------------------------------


def loaded(node):
    node.motor.load_torque, node.motor.brake_torque = 0.1, 1.0


def test_the_brake_holds_a_load_while_nothing_else_does():
    bench = DriveBench(before=loaded)
    bench.run(0.5)
    assert bench.node.brake_closed and bench.node.motor.position == 0.0
    bench.enable(3)
    assert bench.read(0x60FE, 1) & 1 == 0
    bench.run(0.1)
    assert not bench.node.brake_closed and abs(bench.node.motor.position) < 0.05, "the motor holds it"
    bench.write(0x6040, 0x07)
    bench.run(0.02)
    assert bench.read(0x60FE, 1) & 1 and bench.state is S.OPERATION_ENABLED, "held until the brake has closed"
    there = bench.node.motor.position
    bench.run(0.1)
    assert bench.state is S.SWITCHED_ON and bench.node.brake_closed
    assert bench.node.motor.position == pytest.approx(there, abs=0.002)


def test_without_power_a_load_falls_until_the_brake_has_closed():
    bench = DriveBench(before=loaded).enable(3)
    bench.run(0.2)
    there = bench.node.motor.position
    bench.control(0x00)
    bench.run(0.5)
    fallen = there - bench.node.motor.position
    assert 0.01 < fallen < 0.5 and bench.node.brake_closed and bench.node.motor.velocity == 0.0


def test_without_a_brake_a_load_falls():
    bench = DriveBench(before=lambda node: setattr(node.motor, "load_torque", 0.1)).enable(3)
    bench.run(0.2)
    bench.control(0x00)
    bench.run(0.5)
    assert bench.node.motor.velocity < -1.0 and not bench.node.brake_closed


def test_outputs_go_through_their_mask_and_the_brake_can_be_set():
    bench = DriveBench(before=loaded).enable(3)
    bench.run(0.1)
    bench.set(_60FE_1=0x0003_0000, _60FE_2=0x0001_0000)
    assert bench.node.outputs == 0x0001_0000
    bench.set(_60FE_1=0x0001_0001, _60FE_2=0x0001_0001)
    bench.run(0.1)
    assert bench.node.brake_closed and bench.read(0x60FE, 1) & 1
    bench.node.switches.inputs = 5
    assert bench.read(0x60FD) >> 16 == 5
