"""A simulated drive by its objects: enabling, positions, velocities, torques, homing, and what goes wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.cia402.states import Command, PdsState, controlword_command, pds_state
from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.stepim import StepIM

DICTIONARY = load("stepim")
NODE = 101
S = PdsState
REACHED, BIT_12, BIT_13 = 1 << 10, 1 << 12, 1 << 13
WIDTHS = {key: len(value) for key, value in StepIM(dictionary=DICTIONARY).store.values.items()}


class Bench:
    def __init__(self, **more):
        self.node, self.now = StepIM(dictionary=DICTIONARY, **more), 0.0
        self.sent = []
        self.run(0.05)

    def run(self, seconds):
        end = self.now + seconds
        while (due := self.node.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.node.tick(self.now)
            self.sent += self.node.frames_to_send()
        self.now = end
        self.node.tick(end)
        self.sent += self.node.frames_to_send()

    def ask(self, request):
        self.node.receive(Frame(0x600 + NODE, request), self.now)
        frames = self.node.frames_to_send()
        self.sent += frames
        return next(frame.data for frame in frames if frame.can_id == 0x580 + NODE)

    def read(self, index, sub=0, signed=True):
        data = self.ask(bytes([0x40, index & 0xFF, index >> 8, sub, 0, 0, 0, 0]))
        assert data[0] != 0x80, data.hex()
        return int.from_bytes(data[4 : 8 - (data[0] >> 2 & 3)], "little", signed=signed)

    def write(self, index, value, sub=0):
        width = WIDTHS[index, sub]
        raw = (value & (1 << 8 * width) - 1).to_bytes(4, "little")
        data = self.ask(bytes([0x23 | (4 - width) << 2, index & 0xFF, index >> 8, sub]) + raw)
        return f"{int.from_bytes(data[4:], 'little'):08X}" if data[0] == 0x80 else "ok"

    @property
    def word(self):
        return self.read(0x6041, signed=False)

    @property
    def state(self):
        return pds_state(self.word)

    def control(self, *words):
        for word in words:
            assert self.write(0x6040, word) == "ok"
            self.run(0.01)
        return self.state

    def enable(self, mode):
        assert self.write(0x6060, mode) == "ok"
        assert self.control(0x06, 0x07, 0x0F) is S.OPERATION_ENABLED
        return self

    def until(self, done, seconds):
        begun = self.now
        while not done():
            assert self.now < begun + seconds, "it never comes"
            self.run(0.02)
        return self.now - begun


# --- enabling -------------------------------------------------------------------------------------------------------


def test_walk_to_operation_enabled():
    bench = Bench()
    assert bench.state is S.SWITCH_ON_DISABLED and not bench.node.energised
    assert bench.control(0x06) is S.READY_TO_SWITCH_ON
    assert bench.control(0x07) is S.SWITCHED_ON
    assert not bench.node.energised
    bench.write(0x6040, 0x0F)
    assert bench.state is S.SWITCHED_ON, "enabling takes a moment"
    bench.run(0.01)
    assert bench.state is S.OPERATION_ENABLED and bench.node.energised
    assert bench.control(0x00) is S.SWITCH_ON_DISABLED and not bench.node.energised


def test_enabling_by_pdo():
    bench = Bench()
    bench.node.receive(Frame(0, b"\x01\x00"), bench.now)
    for word in (0x06, 0x0F):
        bench.node.receive(Frame(0x200 + NODE, bytes([word, 0, 1])), bench.now)
        bench.node.receive(Frame(0x80), bench.now)
        bench.run(0.01)
    assert bench.state is S.OPERATION_ENABLED and bench.read(0x6061) == 1
    bench.run(0.3)
    pdos = [frame.data for frame in bench.sent if frame.can_id == 0x180 + NODE]
    assert pds_state(int.from_bytes(pdos[-1][:2], "little")) is S.OPERATION_ENABLED


def test_reset_node_lets_go_of_the_motor():
    bench = Bench().enable(1)
    bench.node.receive(Frame(0, bytes([0x81, NODE])), bench.now)
    bench.run(0.05)
    assert bench.state is S.SWITCH_ON_DISABLED and not bench.node.energised and bench.read(0x6061) == 4


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(WORDS := [0, 2, 6, 7, 0xF, 0x1F, 0x80, 0x8F]) | st.integers(0, 0xFFFF),
            st.sampled_from([0.0, 0.001, 0.02]),
        ),
        max_size=12,
    )
)
def test_random_controlwords_enable_only_when_asked(plan):
    bench = Bench()
    for word, pause in plan:
        was = bench.state
        bench.write(0x6040, word)
        bench.run(pause)
        if bench.state is S.OPERATION_ENABLED and was is not S.OPERATION_ENABLED:
            assert controlword_command(word) is Command.ENABLE_OPERATION
        assert bench.node.energised == (bench.state in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE))


# --- profile position -----------------------------------------------------------------------------------------------


def test_a_move_arrives_in_plausible_time():
    bench = Bench().enable(1)
    bench.write(0x607A, 40_960)
    bench.control(0x1F)
    assert bench.word & BIT_12 and not bench.word & REACHED
    bench.control(0x0F)
    assert not bench.word & BIT_12
    taken = bench.until(lambda: bench.word & REACHED, 10)
    assert 5.9 < taken < 6.5, "ten turns at 100 rpm"
    assert abs(bench.read(0x6064) - 40_960) <= 100 and abs(bench.read(0x6062) - 40_960) <= 1


def test_bit_4_has_to_rise_and_a_second_set_point_waits():
    bench = Bench().enable(1)
    bench.write(0x6081, 60_000)
    bench.write(0x607A, 4096)
    bench.control(0x1F)
    bench.write(0x607A, 8192)
    bench.control(0x1F, 0x0F, 0x1F)
    assert bench.word & BIT_12, "in reserve"
    bench.control(0x0F)
    assert bench.word & BIT_12, "the reserve is still full"
    bench.until(lambda: bench.word & REACHED, 10)
    assert abs(bench.read(0x6064) - 8192) < 50 and not bench.word & BIT_12


def test_immediately_and_relative():
    bench = Bench().enable(1)
    bench.write(0x607A, 400_000)
    bench.control(0x1F, 0x0F)
    bench.run(0.5)
    bench.write(0x607A, -4096)
    bench.control(0x3F, 0x0F)
    bench.until(lambda: bench.word & REACHED, 10)
    assert abs(bench.read(0x6064) + 4096) < 50
    bench.control(0x5F, 0x0F)
    bench.until(lambda: bench.word & REACHED, 10)
    assert abs(bench.read(0x6064) + 8192) < 50


def test_halt_stops_and_going_on_arrives():
    bench = Bench().enable(1)
    bench.write(0x607A, 20_480)
    bench.control(0x1F, 0x0F)
    bench.run(0.5)
    bench.control(0x10F)
    bench.run(0.5)
    there = bench.read(0x6064)
    assert 0 < there < 20_000 and bench.word & REACHED and bench.state is S.OPERATION_ENABLED
    bench.run(0.5)
    assert abs(bench.read(0x6064) - there) <= 2
    bench.control(0x0F)
    bench.until(lambda: bench.word & REACHED, 10)
    assert abs(bench.read(0x6064) - 20_480) < 50


def test_software_limits_bound_a_target():
    bench = Bench().enable(1)
    bench.write(0x607D, -1000, 1)
    bench.write(0x607D, 1000, 2)
    bench.write(0x607A, 40_000)
    bench.control(0x1F, 0x0F)
    bench.run(3.0)
    assert abs(bench.read(0x6064) - 1000) < 20


# --- the other modes ------------------------------------------------------------------------------------------------


def test_profile_velocity():
    bench = Bench().enable(3)
    bench.run(0.1)
    assert bench.word & BIT_12
    bench.write(0x60FF, -60_000)
    bench.run(0.1)
    assert not bench.word & REACHED
    bench.run(1.5)
    assert bench.word & REACHED and not bench.word & BIT_12
    assert bench.read(0x606C) == pytest.approx(-60_000, abs=200)
    before = bench.read(0x6064)
    bench.run(1.0)
    assert bench.read(0x6064) - before == pytest.approx(-600 / 60 * 4096, rel=0.01)


def test_profile_torque():
    bench = Bench().enable(4)
    bench.node.hold_shaft()
    bench.write(0x6071, 1500)
    bench.run(0.1)
    assert bench.read(0x6078) == pytest.approx(1500, abs=50) and bench.read(0x6074) == 1500
    bench.write(0x6071, 9000)
    bench.run(0.1)
    assert bench.read(0x6078) == pytest.approx(4500, abs=60), "6073h bounds it"


def test_cyclic_position_follows():
    bench = Bench().enable(8)
    for step in range(200):
        bench.write(0x607A, 20 * step)
        bench.run(0.004)
    assert bench.word & BIT_12
    assert bench.read(0x606C) == pytest.approx(20 / 4096 / 0.004 * 6000, rel=0.1)
    bench.run(0.2)
    assert abs(bench.read(0x6064) - 3980) < 5


def test_a_mode_that_is_not_there_is_refused():
    bench = Bench()
    assert bench.write(0x6060, 2) == "06090030"
    assert bench.write(0x6060, 9) == "06090031"
    assert bench.read(0x6061) == 4 and bench.read(0x6060) == 4


# --- homing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [35, 17, 18, 1, 2, 19, 33, 34])
def test_homing_attains(method):
    bench = Bench().enable(6)
    bench.write(0x6098, method)
    bench.write(0x6099, 20_000, 1)
    bench.write(0x607C, 500)
    assert bench.word & (REACHED | BIT_12 | BIT_13) == REACHED, "not started"
    bench.write(0x6040, 0x1F)
    taken = bench.until(lambda: bench.word & BIT_12, 30)
    assert bench.word & (REACHED | BIT_13) == REACHED
    assert abs(bench.read(0x6064) - 500) < 20
    if method in (17, 18, 1, 2):
        assert taken > 1.0
        assert abs(bench.node.motor.position) == pytest.approx(5.0, abs=1.05)


@pytest.mark.parametrize("method", [-1, -2, -3, -4])
def test_homing_on_a_hard_stop(method):
    bench = Bench().enable(6)
    bench.node.motor.stops = (-1.25, 1.25)
    bench.write(0x6098, method)
    bench.write(0x6099, 10_000, 1)
    bench.write(0x6040, 0x1F)
    assert bench.until(lambda: bench.word & BIT_12, 20) > 2.0, "the current has to stay for 2F23h"
    side = -1 if method in (-1, -3) else 1
    expected = side * (1.0 if method < -2 else 1.25)
    assert bench.node.motor.position == pytest.approx(expected, abs=0.02)
    assert abs(bench.read(0x6064)) < 20 and bench.state is S.OPERATION_ENABLED


def test_a_homing_method_that_is_not_there_is_an_error():
    bench = Bench().enable(6)
    bench.write(0x6098, 31)
    bench.control(0x1F)
    bench.run(0.1)
    assert bench.word & BIT_13 and not bench.word & BIT_12


# --- quick stop and faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "end"), [(2, S.SWITCH_ON_DISABLED), (6, S.QUICK_STOP_ACTIVE)])
def test_quick_stop_brakes_on_its_ramp(option, end):
    bench = Bench().enable(3)
    bench.write(0x605A, option)
    bench.write(0x60FF, 60_000)
    bench.run(1.5)
    bench.write(0x6040, 0x02)
    assert bench.state is S.QUICK_STOP_ACTIVE and bench.node.energised
    bench.run(0.02)
    assert bench.node.motor.velocity > 2
    bench.run(0.3)
    assert bench.state is end and abs(bench.node.motor.velocity) < 0.05
    if end is S.QUICK_STOP_ACTIVE:
        assert bench.word & REACHED
        assert bench.control(0x0F) is S.OPERATION_ENABLED


def test_under_voltage_and_its_reset():
    bench = Bench().enable(1)
    bench.sent.clear()
    bench.node.bus_voltage(11_000)
    bench.run(0.02)
    assert bench.state is S.FAULT and not bench.node.energised
    assert bench.read(0x603F, signed=False) == 0x3120 and bench.read(0x1001) == 0x05
    assert bench.read(0x1003, 1) == 0x3120
    assert [f.data.hex() for f in bench.sent if f.can_id == 0x80 + NODE] == ["2031050000000000"]
    assert bench.control(0x00, 0x80) is S.FAULT, "the cause is still there"
    bench.node.bus_voltage(48_000)
    assert bench.control(0x00, 0x80) is S.SWITCH_ON_DISABLED
    assert bench.read(0x603F) == 0 and bench.read(0x1001) == 0
    assert bench.sent[-1].can_id != 0x80 + NODE or bench.sent[-1].data == bytes(8)
    assert bytes(8) in [f.data for f in bench.sent if f.can_id == 0x80 + NODE]


def test_overheat_and_over_voltage():
    for act, code in ((lambda n: n.overheat(), 0x4310), (lambda n: n.bus_voltage(58_000), 0x3110)):
        bench = Bench().enable(1)
        act(bench.node)
        bench.run(0.5)
        assert bench.state is S.FAULT and bench.read(0x603F, signed=False) == code
    bench = Bench()
    bench.node.overheat(78.0)
    assert bench.word & 0x80, "warning"


def test_a_held_shaft_is_a_following_error():
    bench = Bench().enable(1)
    bench.node.hold_shaft()
    bench.write(0x607A, 400_000)
    bench.control(0x1F, 0x0F)
    bench.run(1.0)
    assert bench.read(0x60F4) > 4000 and bench.word & 1 << 11
    bench.until(lambda: bench.state is S.FAULT, 3)
    assert bench.read(0x603F, signed=False) == 0x8611 and bench.read(0x1001) == 0x21


# --- quirks and chance ----------------------------------------------------------------------------------------------


def test_drive_quirks():
    bench = Bench(quirks=NodeQuirks(no_supported_modes=True, mode_unknown_s=3.0, halt_blocks_modes=True))
    assert bench.ask(bytes.fromhex("4002650000000000")).hex() == "8002650000000206"
    bench.write(0x6060, 1)
    assert bench.read(0x6061) == -1
    bench.run(2.0)
    bench.write(0x6060, 1)
    bench.run(0.9)
    assert bench.read(0x6061) == -1
    bench.run(0.2)
    assert bench.read(0x6061) == 1
    bench.control(0x0100)
    assert bench.write(0x6060, 3) == "08000022"


def test_homing_without_target_reached():
    bench = Bench(quirks=NodeQuirks(homing_without_reached=True)).enable(6)
    bench.write(0x6098, 35)
    bench.control(0x1F)
    assert bench.word & (BIT_12 | REACHED) == BIT_12


def test_the_same_seed_gives_the_same_frames():
    def story(seed):
        bench = Bench(seed=seed)
        bench.node.receive(Frame(0, b"\x01\x00"), bench.now)
        bench.enable(3)
        bench.write(0x60FF, 10_000)
        bench.run(1.0)
        return [(frame.can_id, frame.data) for frame in bench.sent]

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_nothing_runs_away_in_a_rough_hour():
    bench = Bench().enable(3)
    for target in (600_000, -600_000, 2_000_000, 0):
        bench.write(0x60FF, target)
        bench.run(1.0)
        assert abs(bench.read(0x6078)) <= 4600 and 0 < bench.read(0x6079) < 60_100 and bench.read(0x2044) < 100
    bench.control(0x00)
    bench.run(3600.0)
    assert bench.node.motor.velocity == 0.0 and 25 <= bench.read(0x2044) <= 40
