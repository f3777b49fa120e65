"""Modes, units, rotary axes, touch probes and several axes of a simulated drive."""

import itertools
import math

import pytest
from drive_bench import BIT_12, BIT_13, LIMIT, NODE, REACHED, TURN, DriveBench, servo
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.cia402.states import PdsState
from opendiag.dictionary.library import load
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.stepim import StepIM

S = PdsState
DEGREE, REVOLUTION, METRE, PER_MINUTE = 0x41 << 16, 0xB4 << 16, 0x01 << 16, 0x47 << 8


# --- which modes ------------------------------------------------------------------------------------------------------


def test_modes_of_a_servo_and_of_a_stepim():
    bench = DriveBench()
    assert [mode for mode in range(-3, 12) if bench.write(0x6060, mode) == "ok"] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    bench = DriveBench(StepIM(NODE))
    assert [mode for mode in range(-8, 12) if bench.write(0x6060, mode) == "ok"] == [*range(-6, 2), 3, 4, 6, 7, 8]
    assert bench.write(0x6060, -7) == "06090032" and bench.write(0x6060, 9) == "06090031"


@pytest.mark.parametrize(
    ("name", "modes", "negative"),
    [
        ("e35__canopen-python_canopen.eds", (1, 2, 3, 4, 6, 7, 8, 9, 10), (-2, -1)),
        ("example__KITmedical_kacanopen_old.eds", (1, 3, 6), (-9, -1)),
        ("TMCM-1270__hellantos_trinamic_pd42_can_2.eds", (1, 3, 6, 8), ()),
    ],
)
def test_modes_of_real_dictionaries(corpus, name, modes, negative):
    drive = SimDrive(load(corpus / "dictionaries" / name), NODE)
    assert tuple(drive.modes) == modes
    bench = DriveBench(drive)
    for mode in negative:
        assert bench.write(0x6060, mode) == "ok" and bench.read(0x6061) == mode
    refused = min(negative, default=0) - 1
    assert bench.write(0x6060, refused) != "ok" and bench.write(0x6060, 5) != "ok"


def test_every_drive_of_the_corpus_boots_enables_and_stops(corpus):
    """Whatever a vendor's file has or lacks: nothing breaks, and the state machine works."""
    seen = 0
    for path in sorted((corpus / "dictionaries").glob("*.eds")):
        found = load(path)
        if not {0x6040, 0x6041, 0x6060} <= set(found.objects):
            continue
        seen += 1
        bench = DriveBench(SimDrive(found, NODE))
        assert bench.state is S.SWITCH_ON_DISABLED, path.name
        bench.write(0x6060, bench.node.modes[0]) if bench.node.modes else None
        assert bench.control(0x06, 0x07, 0x0F) is S.OPERATION_ENABLED, path.name
        bench.run(0.2)
        assert bench.control(0x00) is S.SWITCH_ON_DISABLED, path.name
    assert seen > 30


def test_a_manufacturer_mode_holds_the_shaft():
    bench = DriveBench(StepIM(NODE)).enable(-3)
    bench.node.motor.load_torque = 0.05
    bench.run(1.0)
    assert abs(bench.node.motor.position) < 0.05 and bench.read(0x6061) == -3


# --- the modes themselves ---------------------------------------------------------------------------------------------


def test_velocity_mode_of_converters():
    bench = DriveBench().enable(2)
    bench.set(_6042=300)
    bench.run(0.2)
    assert bench.read(0x6044) == 0, "the ramp is neither enabled nor unlocked, and its input is 0"
    bench.control(0x7F)
    bench.run(0.15)
    assert 100 < bench.read(0x6043) < 200, "1000 rpm in a second"
    bench.control(0x5F)
    held = bench.read(0x6043)
    bench.run(0.3)
    assert bench.read(0x6043) == held, "bit 5: locked"
    bench.control(0x7F)
    bench.run(0.5)
    assert bench.read(0x6044) == pytest.approx(300, abs=3)
    bench.control(0x3F)
    bench.run(0.5)
    assert abs(bench.read(0x6044)) <= 3, "bit 6: the input is 0"
    bench.set(_6046_1=60, _6046_2=120, _6042=-1000)
    bench.control(0x7F)
    bench.run(0.5)
    assert bench.read(0x6044) == pytest.approx(-120, abs=3)
    bench.set(_6042=-10)
    bench.run(0.5)
    assert bench.read(0x6044) == pytest.approx(-60, abs=3)
    bench.control(0x6F)
    bench.run(0.5)
    assert abs(bench.read(0x6044)) <= 3, "bit 4: stop"


def test_torque_slope():
    bench = DriveBench().enable(4)
    bench.node.motor.held = True
    bench.set(_6087=1000, _6071=500)
    bench.run(0.25)
    assert bench.read(0x6077) == pytest.approx(250, abs=20) and not bench.word & REACHED
    bench.run(0.5)
    assert bench.read(0x6077) == pytest.approx(500, abs=5) and bench.word & REACHED
    bench.set(_6071=3000)
    bench.run(1.5)
    assert bench.read(0x6077) == pytest.approx(1500, abs=20) and bench.word & LIMIT, "6072h"


@pytest.mark.parametrize(("mode", "index"), [(9, "_60FF"), (10, "_6071")])
def test_cyclic_velocity_and_torque(mode, index):
    bench = DriveBench().enable(mode)
    bench.node.motor.held = mode == 10
    for step in range(100):
        bench.set(**{index: 4 * step if mode == 10 else 80 * step})
        bench.run(0.002)
    assert bench.word & BIT_12
    measured = bench.read(0x6077 if mode == 10 else 0x606C)
    assert measured == pytest.approx(396 if mode == 10 else 7920, rel=0.03)
    bench.set(**{"_60B2" if mode == 10 else "_60B1": 100 if mode == 10 else 4096})
    bench.run(0.2)
    assert bench.read(0x6077 if mode == 10 else 0x606C) == pytest.approx(496 if mode == 10 else 7920 + 4096, rel=0.03)


def test_interpolated_position_waits_for_bit_4():
    bench = DriveBench().enable(7)
    bench.set(_60C1_1=1000)
    bench.run(0.1)
    assert not bench.word & BIT_12 and abs(bench.read(0x6064)) < 5
    bench.control(0x1F)
    bench.run(0.2)
    assert bench.word & BIT_12 and bench.read(0x6064) == pytest.approx(1000, abs=10)


def cyclic_by_pdo(bench, seconds, position_at, jitter=lambda k: 0.0):
    """Set-points by RPDO3 and a SYNC each millisecond; gives the velocity demanded in each."""
    bench.set(_1402_2=1, _6040=0x0F)
    bench.nmt(1)
    begin, velocities = bench.now, []
    for k in range(int(seconds * 1000)):
        target = position_at(k / 1000)
        bench.send(0x400 + NODE, (0x0F).to_bytes(2, "little") + target.to_bytes(4, "little", signed=True))
        bench.run(begin + (k + 1) / 1000 + jitter(k) - bench.now)
        bench.send(0x80)
        velocities.append(bench.node.axis.demand.velocity)
    return velocities


@pytest.mark.parametrize("late_s", [0.0, 0.0003])
def test_a_set_point_each_millisecond_moves_smoothly(late_s):
    bench = DriveBench().enable(8)
    speed = 5 * TURN
    track = lambda t: round(speed * (t - math.sin(2 * math.pi * t) / (2 * math.pi)))  # noqa: E731
    velocities = cyclic_by_pdo(bench, 1.0, track, lambda k: late_s * (k * 7 % 3) / 2)
    changes = [abs(b - a) for a, b in itertools.pairwise(velocities)]
    steepest = 5 * 2 * math.pi / 1000
    one_count = 1 / TURN / 0.001
    assert max(changes) < (2 if not late_s else 12) * steepest + 1.25 * one_count
    bench.run(0.01)
    assert abs(bench.read(0x6064) - speed) < 40 and bench.state is S.OPERATION_ENABLED


# --- profile position -------------------------------------------------------------------------------------------------


def test_set_points_are_passed_without_stopping_with_bit_9():
    lowest = {}
    for bits in ((), (9,)):
        bench = DriveBench().enable(1)
        bench.move(2 * TURN)
        bench.move(4 * TURN, *bits)
        speeds = []
        while bench.node.motor.position < 3.5:
            bench.run(0.005)
            if bench.node.motor.position > 1.0:
                speeds.append(bench.node.motor.velocity)
        lowest[bits] = min(speeds)
        bench.until_bits(REACHED)
        assert bench.read(0x6064) == pytest.approx(4 * TURN, abs=20)
    assert lowest[()] < 0.5 and lowest[9,] > 4.5


@pytest.mark.parametrize(("option", "end"), [(0, 6.0), (1, None), (2, None)])
def test_relative_to_the_last_target_the_demand_or_the_shaft(option, end):
    bench = DriveBench().enable(1)
    bench.set(_60F2=option)
    bench.move(4 * TURN)
    bench.run(0.3)
    there = bench.node.axis.demand.position
    bench.move(2 * TURN, 5, 6)
    bench.until_bits(REACHED)
    assert bench.node.motor.position == pytest.approx(end or there + 2, abs=0.15)


@pytest.mark.parametrize(("way", "end"), [(0, 0.9), (1, -0.1), (2, 0.9), (3, -0.1)])
def test_a_rotary_axis_goes_the_way_that_60f2_says(way, end):
    bench = DriveBench(servo({(0x607B, 2): TURN - 1})).enable(1)
    bench.set(_60F2=way << 6)
    bench.move(round(0.9 * TURN))
    bench.until_bits(REACHED)
    assert bench.node.motor.position == pytest.approx(end, abs=0.01)
    assert bench.read(0x6064) == pytest.approx(0.9 * TURN, abs=10)


def test_a_change_of_mode_in_motion_does_not_jump():
    bench = DriveBench().enable(3)
    bench.set(_60FF=5 * TURN)
    bench.run(0.5)
    bench.set(_6060=1)
    fastest = 0.0
    for _ in range(400):
        bench.run(0.001)
        fastest = max(fastest, abs(bench.node.motor.velocity))
    assert fastest < 5.3 and abs(bench.node.motor.velocity) < 0.1


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "position", "velocity"),
    [
        ({}, TURN, TURN),
        ({(0x6091, 1): 10, (0x6092, 1): 360_000}, 36_000, 36_000),
        ({(0x6091, 1): 10, (0x6092, 1): 360_000, (0x60A9, 0): REVOLUTION | PER_MINUTE}, 36_000, 6),
        ({(0x6092, 1): 0, (0x60A8, 0): 0xFD << 24 | DEGREE}, 360_000, 360_000),
        ({(0x60A8, 0): 0xFD << 24 | DEGREE, (0x6091, 1): 4}, 90_000, 90_000),
        ({(0x60A8, 0): METRE | 0xFA << 24, (0x6092, 1): 5000, (0x60A9, 0): METRE | 0xFD << 24}, 5000, 5),
        ({(0x608F, 1): 10_000, (0x6092, 1): 0}, 10_000, 10_000),
        ({(0x607E, 0): 0xC0}, -TURN, -TURN),
        ({(0x607E, 0): 0x80}, -TURN, TURN),
    ],
)
def test_units_of_gear_feed_si_and_polarity(objects, position, velocity):
    """Of one turn, and one turn per second, of the motor."""
    bench = DriveBench(servo(objects)).enable(3)
    bench.set(_60FF=2 * velocity, _6083=abs(velocity) * 40, _6084=abs(velocity) * 40)
    bench.run(0.5)
    assert bench.node.motor.velocity == pytest.approx(2.0, rel=0.03)
    assert bench.read(0x606C) == pytest.approx(2 * velocity, rel=0.15)
    bench.set(_6060=1, _6081=abs(velocity) * 5)
    bench.move(3 * position)
    bench.until_bits(REACHED, 60)
    assert bench.node.motor.position == pytest.approx(3.0, abs=0.02)
    assert bench.read(0x6064) == pytest.approx(3 * position, abs=abs(position) * 0.02)
    assert bench.read(0x6063) == pytest.approx(3 * bench.node.axis.scale.increments, rel=0.01)


# --- touch probes -----------------------------------------------------------------------------------------------------


def probing(function, **more):
    bench = DriveBench().enable(1)
    bench.node.switches.home_range, bench.node.switches.index = (1.0, 1.5), 0.25
    bench.set(_60B8=function, **more)
    return bench


def test_a_probe_latches_the_edges_of_the_home_switch():
    bench = probing(0x31)
    assert bench.read(0x60B9) == 1
    bench.move(2 * TURN).until_bits(REACHED)
    assert bench.read(0x60B9) == 7
    assert (bench.read(0x60BA), bench.read(0x60BB)) == (TURN, 1.5 * TURN)
    bench.move(0).until_bits(REACHED)
    assert (bench.read(0x60BA), bench.read(0x60BB)) == (TURN, 1.5 * TURN), "the first event only"
    bench.set(_60B8=0)
    assert bench.read(0x60B9) == 0
    bench.set(_60B8=0x33)
    bench.move(2 * TURN).until_bits(REACHED)
    bench.move(0).until_bits(REACHED)
    assert (bench.read(0x60BA), bench.read(0x60BB)) == (1.5 * TURN, TURN), "continuous: the last ones, coming back"


def test_the_second_probe_and_the_index_pulse():
    bench = probing(0x1500)
    bench.move(TURN).until_bits(REACHED)
    assert bench.read(0x60B9) == 0x300 and bench.read(0x60BC) == TURN // 4
    bench = probing(0x19, _60D0_1=5)
    bench.move(-TURN).until_bits(REACHED)
    assert bench.read(0x60B9) == 3 and bench.read(0x60BA) == -3 * TURN // 4


def test_a_probe_sees_a_shaft_that_is_turned_by_hand():
    bench = DriveBench(before=lambda node: setattr(node.motor, "load_torque", -0.05))
    bench.node.switches.home_range = (bench.node.motor.position + 1, math.inf)
    bench.set(_60B8=0x11)
    bench.run(1.0)
    assert bench.read(0x60B9) & 2


# --- several axes -----------------------------------------------------------------------------------------------------


def test_two_axes_are_two_drives_with_one_sdo_server():
    drive = servo(axes=2)
    first, second = DriveBench(drive), DriveBench(drive, axis=1)
    second.enable(1)
    assert first.state is S.SWITCH_ON_DISABLED and second.state is S.OPERATION_ENABLED
    second.move(TURN).until_bits(REACHED)
    assert second.read(0x6064) == pytest.approx(TURN, abs=20) and first.read(0x6064) == 0
    drive.inject(0x7305, axis=1)
    second.run(0.05)
    assert second.state is S.FAULT and second.error == 0x7305
    first.now = second.now
    assert first.state is S.SWITCH_ON_DISABLED and first.error == 0
    assert not second.word & BIT_13


# --- whatever is written ----------------------------------------------------------------------------------------------

OBJECTS = sorted(key for key, v in servo().store.variables.items() if key[0] >= 0x6000 and v.access.startswith("rw"))
values = st.sampled_from([0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]) | st.integers(0, 2**32 - 1)
steps = st.tuples(st.sampled_from(OBJECTS), values) | st.tuples(
    st.sampled_from([(0x6040, 0), (0x6060, 0), (0x6098, 0)]),
    st.sampled_from([0x06, 0x0F, 0x1F, 0x3F, 0x7F, 0x10F, 0x02, 0x80, *range(1, 11), *range(17, 38)]),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(steps, st.sampled_from([0.0, 0.0007, 0.02])), max_size=40), st.integers(1, 10), st.booleans())
def test_no_value_breaks_it(plan, mode, loaded):
    bench = DriveBench()
    bench.node.motor.load_torque, bench.node.motor.brake_torque = (0.05, 0.5) if loaded else (0.0, 0.0)
    bench.write(0x6060, mode)
    bench.control(0x06, 0x07, 0x0F)
    for ((index, sub), value), pause in plan:
        bench.write(index, value, sub)
        bench.run(pause)
        for shown in (0x6041, 0x6062, 0x6064, 0x606C, 0x60F4, 0x6044):
            bench.read(shown)
        motor = bench.node.motor
        assert math.isfinite(motor.position) and abs(motor.velocity) < 200 and abs(motor.current) <= 12.0
        assert not motor.energised or bench.state in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE)
