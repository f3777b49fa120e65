"""Causes that keep a simulated drive from being enabled, or from moving: the plan names the one that is there, first.

Nothing is told to the diagnosis by hand: it reads the drive and hears the bus. Each scene is also played without its
cause; then the drive is enabled, or moves, and nothing is accused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_world import Call, World, play, unsafe
from test_safety import trouble

import opendiag
from opendiag.cia402 import power
from opendiag.cia402.link import DriveLink, Timing
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import KNOWN, SERVOTRONIX, STEPIM
from opendiag.cia402.states import PdsState
from opendiag.diagnose import drive_why_codes as codes
from opendiag.diagnose.drive_why import explain, why_not
from opendiag.errors import MotionFailed, NotEnabled, StateNotReached, UnknownTarget
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "why-not-enabled.md"
S = PdsState
ENABLED, MOTION = Target.OPERATION_ENABLED, "motion"
OTHER = 9
PP, PV, TQ, HM, IP, CSP = 1, 3, 4, 6, 7, 8
FAR = 400_000
WIDTHS = {0x1016: 4, 0x1400: 4, 0x607A: 4, 0x6081: 4, 0x6083: 4, 0x60FF: 4, 0x607D: 4, 0x60FE: 4, 0x6065: 4, 0x6060: 1}


class Every:
    """A station that sends ``make(n)``, or a frame, again and again, ``count`` times where that is given."""

    def __init__(self, period_s, make, first_s=0.0, count=None):
        self.period_s, self.make, self.next, self.left = period_s, make, first_s + period_s, count
        self.out, self.sent = [], 0

    def receive(self, frame, now):
        pass

    def tick(self, now):
        while self.left != 0 and now >= self.next - 1e-9:
            self.out.append(self.make if isinstance(self.make, Frame) else self.make(self.sent))
            self.sent += 1
            self.next += self.period_s
            self.left = None if self.left is None else self.left - 1

    def deadline(self):
        return None if self.left == 0 else self.next

    def frames_to_send(self):
        out, self.out = self.out, []
        return out

    def events(self):
        return []


class Scene:
    """A drive on a simulated bus, and a master that writes its objects by hand."""

    def __init__(self, kind="servo", *, quirks=None, start=True, mode=PP):
        self.node = 101 if kind == "stepim" else 5
        if kind == "stepim":
            self.drive = StepIM(self.node, quirks=quirks)
        else:
            self.drive = SimDrive(servo_dictionary(), self.node, quirks=quirks)
        self.bus = SimBus()
        self.bus.attach(self.drive, "drive", on_event=lambda event, now: None)
        self.network = opendiag.connect(self.bus, clock=ManualClock(), dictionaries={self.node: self.drive.dictionary})
        self.link = DriveLink(
            self.node,
            quirks=KNOWN[SERVOTRONIX, STEPIM] if kind == "stepim" else KNOWN.get((0, 0)) or DriveLink(1).quirks,
            timing=Timing(),
            describe=lambda index, subindex: self.drive.store.variables.get((index, subindex)),
        )
        self.drive.switches.negative, self.drive.switches.positive = -1000.0, 1000.0
        self.let(0.1)
        if start:
            self.nmt(1)
        self.write(0x6060, mode)

    def let(self, seconds):
        self.network.sleep(seconds)
        return self

    def nmt(self, command):
        self.network.send(Frame(0, bytes([command, self.node])))
        return self.let(0.05)

    def write(self, index, value, sub=0):
        width = self.drive.store.width(index, sub) or 4
        self.network.node(self.node).download(index, sub, (value & (1 << 8 * width) - 1).to_bytes(width, "little"))
        return self

    def control(self, *words):
        for word in words:
            self.write(0x6040, word).let(0.02)
        return self

    def enable(self):
        return self.control(0x06, 0x07, 0x0F).let(0.05)

    def move(self, target=FAR):
        """A set-point by the handshake, and away."""
        return self.write(0x607A, target).control(0x1F, 0x0F).let(0.2)

    def every(self, period_s, make, count=None):
        self.bus.attach(Every(period_s, make, self.bus.now, count))
        return self

    @property
    def state(self):
        self.drive.advance(self.network.clock.now())
        return self.drive.pds.state

    def why(self, wanted=ENABLED, **more):
        return self.network.run(why_not(self.link, wanted, self.network.watch, **more))


# --- the scenes: each with its cause, and without -------------------------------------------------------------------


def sto_servo(cause):
    scene = Scene()
    scene.drive.torque_off(cause)
    return scene.enable()


def sto_stepim(cause):
    scene = Scene("stepim").enable()
    scene.drive.torque_off(cause)
    return scene.let(0.1)


def no_supply(cause):
    scene = Scene()
    if cause:
        scene.drive.motor.supply = scene.drive.motor.bus = 0.0
        scene.drive.world_changed()
    return scene.let(0.05).enable()


def low_supply_of_a_stepim(cause):
    scene = Scene("stepim")
    if cause:
        scene.drive.bus_voltage(10_000)
    return scene.let(0.05).enable()


def fault(cause):
    scene = Scene("stepim").enable()
    if cause:
        scene.drive.inject(0x7310)
    return scene.let(0.05)


def reset_bit(cause):
    scene = Scene().enable()
    scene.drive.inject(0x7310, lasting=True)
    scene.let(0.05).control(0, 0x80)
    if not cause:
        scene.drive.clear()
        scene.control(0, 0x80, 0).enable()
    return scene


def heartbeat(cause):
    scene = Scene()
    scene.write(0x1016, OTHER << 16 | 200, 1)
    scene.every(0.1, Frame(0x700 + OTHER, b"\x05"), count=3 if cause else None)
    return scene.let(0.25).enable().let(0.6)


def quick_stop_that_stays(cause):
    return Scene().write(0x605A, 6).enable().control(*[0x02] * cause)


def quick_stop_that_ended(cause):
    return Scene().enable().control(*[0x02] * cause).let(0.2)


def pdo_overwrites(cause):
    scene = Scene()
    scene.every(0.01, Frame(0x205, bytes([0x06 if cause else 0x0F, 0]))).let(0.05)
    return scene.enable()


def own_pdo_overwrites(cause):
    scene = Scene()
    pdo = scene.network.node(scene.node).pdo.rpdo(1)
    pdo["Controlword"] = 0x06 if cause else 0x0F
    pdo.every(0.01)
    return scene.enable().let(0.1)


def not_operational(cause):
    scene = Scene(start=not cause)
    scene.every(0.01, Frame(0x205, bytes([0x06, 0])), count=3).let(0.1)
    scene.every(0.01, Frame(0x205, bytes([0x07, 0])), count=3).let(0.1)
    return scene.every(0.01, Frame(0x205, bytes([0x0F, 0]))).let(0.1)


def remote(cause):
    scene = Scene()
    if cause:
        word = scene.drive._first

        class Local(type(word)):
            statusword = property(lambda servo: super().statusword & ~0x200)

            def command(self, word, now):
                pass

        word.__class__ = Local
    return scene.enable()


def nobody_asks(cause):
    return Scene() if cause else Scene().enable()


def refused(cause):
    scene = Scene()
    if cause:
        scene.drive.pds._ready = lambda: False
    return scene.enable()


STATE = [
    ("safe torque off", codes.STO, sto_servo),
    ("safe torque off of a StepIM", codes.STO, sto_stepim),
    ("no supply", codes.VOLTAGE, no_supply),
    ("low supply of a StepIM", codes.VOLTAGE, low_supply_of_a_stepim),
    ("fault", codes.FAULT, fault),
    ("heartbeat", codes.HEARTBEAT, heartbeat),
    ("quick stop that stays", codes.QUICK_STOP, quick_stop_that_stays),
    ("quick stop that ended", codes.QUICK_STOP, quick_stop_that_ended),
    ("PDO of another master", codes.PDO_CONTROL, pdo_overwrites),
    ("PDO of our own", codes.PDO_CONTROL, own_pdo_overwrites),
    ("NMT state", codes.NMT, not_operational),
    ("remote bit", codes.REMOTE, remote),
    ("nobody asks", codes.CONTROLWORD, nobody_asks),
    ("no reason to be read", codes.REFUSES, refused),
]


def halt(cause):
    return Scene().enable().control(*[0x10F] * cause).write(0x607A, FAR).control(0x11F if cause else 0x1F).let(0.2)


def mode_not_taken(cause):
    scene = Scene(quirks=NodeQuirks(mode_unknown_s=100.0 if cause else 0.0))
    return scene.enable().move()


def no_mode(cause):
    return Scene(mode=0 if cause else PP).enable().move()


def limit_switch(cause):
    scene = Scene()
    scene.drive.switches.stop_motion = True
    scene.drive.switches.positive = 0.5 if cause else 1000.0
    return scene.enable().move().let(1.0)


def both_limit_switches(cause):
    scene = Scene()
    scene.drive.switches.stop_motion = True
    if cause:
        scene.drive.switches.positive, scene.drive.switches.negative = -1.0, 1.0
    return scene.enable().move(-FAR)


def software_limit(cause):
    """The drive goes as far as it may, and is there."""
    scene = Scene().write(0x607D, -4096, 1).write(0x607D, 4096 if cause else FAR, 2).enable()
    return scene.move(FAR - 1).let(1.0)


def not_homed(cause):
    scene = Scene().enable().move(20_000).let(2.0)
    if cause:
        scene.write(0x607D, -4096, 1).write(0x607D, 4096, 2)
    return scene.write(0x607A, 4000).control(*[0x1F] * (not cause)).let(0.05)


def sync_missing(cause):
    scene = Scene(mode=CSP)
    scene.write(0x1402, 0x80000405, 1).write(0x1402, 1, 2).write(0x1402, 0x405, 1)
    scene.enable()
    scene.every(0.01, set_points(0x405))
    if not cause:
        scene.network.sync(0.01)
    return scene.let(0.03)


def set_points(can_id):
    """Controlword 000Fh, and a target that goes on by half a turn in a second."""
    return lambda count: Frame(can_id, bytes([0x0F, 0]) + (20 * count).to_bytes(4, "little"))


def no_set_points(cause):
    scene = Scene(mode=CSP).enable()
    scene.every(0.01, set_points(0x406 if cause else 0x405))
    return scene.let(0.05)


def brake(cause):
    scene = Scene()
    scene.drive.motor.brake_torque = 5.0
    scene.write(0x60FE, 1, 2).write(0x60FE, int(cause), 1)
    return scene.enable().let(0.2).move(4096).let(0.5) if cause else scene.enable().let(0.2).move()


def profile_velocity_0(cause):
    return Scene().write(0x6081, 0 if cause else 4096).enable().move()


def torque_limit_0(cause):
    return (
        Scene().write(0x6072, 0 if cause else 1500).enable().write(0x607A, FAR).control(*[0x1F] * (not cause)).let(0.2)
    )


def set_point_without_an_edge(cause):
    scene = Scene().enable().write(0x607A, 2000).control(0x1F).let(2.0).write(0x607A, FAR)
    return scene if cause else scene.control(0x0F, 0x1F).let(0.2)


def set_point_buffer_full(cause):
    """One under way, which is held, and one in reserve."""
    scene = Scene().enable()
    scene.drive.motor.held = cause
    scene.write(0x6065, 0xFFFF_FFFF)
    scene.write(0x607A, FAR).control(0x1F, 0x0F).write(0x607A, FAR + 9).control(0x1F, 0x0F)
    return scene.let(0.2)


def nobody_starts(cause):
    return Scene().enable().write(0x607A, FAR).control(*[0x1F] * (not cause)).let(0.2)


def homing_not_started(cause):
    scene = Scene(mode=HM).write(0x6098, 18).enable()
    return scene.control(*[0x1F] * (not cause)).let(0.3)


def no_velocity(cause):
    return Scene(mode=PV).write(0x60FF, 0 if cause else 4096).enable().let(0.3)


def where_it_stands(cause):
    return Scene().enable().move(5 if cause else FAR)


def shaft_held(cause):
    scene = Scene().write(0x6065, 100).write(0x6066, 65535)
    scene.drive.motor.held = cause
    return scene.enable().move().let(0.2)


def homing_error(cause):
    """The home switch is behind the limit switch."""
    scene = Scene(mode=HM).write(0x6098, 20).enable()
    if cause:
        scene.drive.switches.home, scene.drive.switches.positive = 100.0, 0.3
    return scene.control(0x1F).let(3.0 if cause else 0.05)


MOVING = [
    ("halt", codes.HALT, halt),
    ("mode not taken", codes.MODE, mode_not_taken),
    ("no mode", codes.MODE, no_mode),
    ("limit switch", codes.LIMIT_SWITCH, limit_switch),
    ("both limit switches", codes.LIMIT_SWITCH, both_limit_switches),
    ("software limit", codes.SOFTWARE_LIMIT, software_limit),
    ("not homed", codes.NOT_HOMED, not_homed),
    ("SYNC", codes.SYNC, sync_missing),
    ("set-points by PDO", codes.NO_TARGET, no_set_points),
    ("brake", codes.BRAKE, brake),
    ("profile velocity 0", codes.ZERO, profile_velocity_0),
    ("torque limit 0", codes.ZERO, torque_limit_0),
    ("no rising edge", codes.SET_POINT, set_point_without_an_edge),
    ("set-points waiting", codes.SET_POINT, set_point_buffer_full),
    ("bit 4 of profile position", codes.START_BIT, nobody_starts),
    ("bit 4 of homing", codes.START_BIT, homing_not_started),
    ("velocity 0", codes.NO_TARGET, no_velocity),
    ("there already", codes.NO_TARGET, where_it_stands),
    ("following error", codes.FOLLOWING_ERROR, shaft_held),
    ("homing error", codes.HOMING, homing_error),
]


@dataclass(frozen=True)
class Row:
    name: str
    code: str
    play: Callable[[bool], Scene]
    wanted: object


ROWS = [Row(*each, ENABLED) for each in STATE] + [Row(*each, MOTION) for each in MOVING]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_names_the_cause_that_is_there(row):
    found = row.play(True).why(row.wanted)
    assert found, "nothing was found"
    assert found[0].code == row.code, found
    assert found[0].severity >= Severity.WARNING
    assert found[0].advice
    if found[0].severity is Severity.ERROR:  # what is certain is alone, but for the fault that it leads to
        assert [each.code for each in found[1:] if each.severity is Severity.ERROR] in ([], [codes.FAULT])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_without_the_cause_nothing_is_accused(row):
    scene = row.play(False)
    assert scene.state is S.OPERATION_ENABLED
    assert scene.why(row.wanted) == []


# --- what the sentences say --------------------------------------------------------------------------------------


def codes_of(found):
    return [each.code for each in found]


def test_a_fault_says_what_it_is_and_how_it_is_reset():
    (found,) = fault(True).why()
    assert found.sentence.startswith("Drive 101 is in FAULT, error 7310h (")
    assert "over-speed" in found.sentence.lower()
    assert "`opendiag drive reset 101`" in found.advice
    assert "rising edge of bit 7" in found.advice


def test_a_fault_whose_cause_is_still_there_says_so():
    found = low_supply_of_a_stepim(True).why()
    assert codes_of(found) == [codes.VOLTAGE, codes.FAULT]
    assert " V, below its threshold of 12.6 V (20CFh)" in found[0].sentence
    assert "3120h" in found[1].sentence
    assert "Its cause is still there" in found[1].sentence


def test_a_fault_whose_cause_is_gone_does_not():
    scene = low_supply_of_a_stepim(True)
    scene.drive.bus_voltage(24_000)
    found = scene.let(0.1).why()
    assert codes_of(found) == [codes.FAULT]
    assert "still there" not in found[0].sentence


def test_bit_4_of_a_stepim_accuses_nobody():
    """It is 0 in every state, also while the drive is enabled."""
    scene = Scene("stepim")
    assert not scene.network.read(101, 0x6041) & 0x10
    assert codes_of(scene.why()) == [codes.CONTROLWORD]


def test_bit_4_of_another_drive_does():
    scene = Scene(quirks=NodeQuirks(no_voltage_bit=True)).control(0x06)
    found = scene.why()
    assert codes_of(found) == [codes.VOLTAGE]
    assert "bit 4 (voltage enabled) of its statusword is 0" in found[0].sentence


def test_sto_of_a_stepim_is_told_by_its_error():
    found = sto_stepim(True).why()
    assert codes_of(found) == [codes.STO, codes.FAULT]
    assert "error 3181h (STO" in found[0].sentence


def test_a_reset_bit_that_stays_1():
    found = reset_bit(True).why()
    assert codes_of(found) == [codes.FAULT, codes.RESET_BIT]
    assert "0080h" in found[1].sentence


def test_without_that_the_drive_is_reset():
    assert reset_bit(False).why() == []


def test_the_heartbeat_names_the_node_and_when_it_was_heard():
    found = heartbeat(True).why()
    assert codes_of(found) == [codes.HEARTBEAT, codes.FAULT]
    assert "expects a heartbeat of node 9 every 0.2 s (1016h); it was last heard" in found[0].sentence


def test_the_pdo_that_overwrites_the_controlword():
    (found,) = pdo_overwrites(True).why()
    assert "RPDO1 of drive 5 (CAN-ID 205h) comes every 10 ms from another sender with controlword 0006h (shutdown)" in (
        found.sentence
    )
    (own,) = own_pdo_overwrites(True).why()
    assert "comes from here with controlword 0006h" in own.sentence


def test_a_pdo_that_cannot_act_overwrites_nothing():
    scene = Scene(start=False).every(0.01, Frame(0x205, bytes([0x06, 0]))).enable()
    assert scene.state is S.OPERATION_ENABLED
    assert scene.why() == []


def test_a_halt_that_comes_by_pdo():
    scene = Scene().enable().every(0.01, Frame(0x205, bytes([0x0F, 1]))).let(0.1)
    assert codes_of(scene.why(MOTION))[0] == codes.PDO_CONTROL


def test_a_mode_that_the_drive_does_not_have():
    scene = Scene("stepim").enable()
    found = scene.why(MOTION, mode=9)
    assert found[0].code == codes.MODE_UNSUPPORTED
    assert "does not have mode 9 cyclic synchronous velocity (csv): 6502:00 lists pp, pv, tq, hm, ip, csp" in (
        found[0].sentence
    )


def test_a_mode_that_nobody_has_asked_for_yet():
    found = Scene().enable().move().why(MOTION, mode=CSP)
    assert found == []  # it moves
    found = Scene().enable().why(MOTION, mode=CSP)
    assert found[0].code == codes.MODE
    assert "works in mode 1 profile position (pp), and mode 8" in found[0].sentence


def test_interpolation_that_is_not_enabled():
    assert codes_of(Scene(mode=IP).enable().why(MOTION))[0] == codes.START_BIT


def test_motion_of_a_drive_that_is_not_enabled():
    assert codes_of(Scene().why(MOTION))[0] == codes.CONTROLWORD
    assert codes_of(fault(True).why(MOTION)) == [codes.FAULT]


def test_a_drive_that_tests_itself():
    scene = Scene()
    scene.network.send(Frame(0, bytes([0x81, 5])))
    assert codes_of(scene.why())[0] in (codes.NOT_READY, codes.CONTROLWORD)


def test_a_drive_that_does_not_answer():
    scene = Scene().enable()
    scene.drive.power_off()
    found = scene.why()
    assert found
    assert found[0].code.startswith("SDO-") or found[0].code == codes.SILENT


def test_a_node_that_was_stopped_does_not_answer():
    (found,) = Scene().nmt(2).why()
    assert found.code == codes.NMT
    assert "its node is STOPPED (told to stop" in found.sentence


def test_the_second_axis_by_its_own_objects():
    drive = SimDrive(servo_dictionary(2), 5)
    bus = SimBus()
    bus.attach(drive, "drive", on_event=lambda event, now: None)
    network = opendiag.connect(bus, clock=ManualClock())
    network.sleep(0.1)
    link = DriveLink(5, axis=1)
    drive.inject(0x7310, axis=1)
    network.sleep(0.1)
    (found,) = network.run(why_not(link, ENABLED, network.watch))
    assert found.sentence.startswith("Axis 1 of drive 5 is in FAULT, error 7310h")
    assert codes_of(network.run(why_not(DriveLink(5), ENABLED, network.watch))) == [codes.CONTROLWORD]


@pytest.mark.parametrize("target", list(Target))
def test_a_state_that_is_reached_has_nothing_in_its_way(target):
    words = {Target.READY_TO_SWITCH_ON: [6], Target.SWITCHED_ON: [6, 7], Target.OPERATION_ENABLED: [6, 7, 15]}
    assert Scene().control(*words.get(target, [])).let(0.05).why(target) == []


def test_a_state_that_is_none_sends_nothing():
    scene = Scene()
    with scene.network.frames() as frames, pytest.raises(UnknownTarget):
        scene.why("operation enable")
    assert frames.get(0.0) is None


# --- errors of a drive get their reason ----------------------------------------------------------------------------


def test_an_enable_that_fails_gets_its_reason():
    scene = Scene()
    scene.drive.torque_off()
    with pytest.raises(StateNotReached) as caught:
        scene.network.run(power.enable(scene.link))
    scene.network.run(explain(scene.link, caught.value, scene.network.watch))
    assert caught.value.why[0].code == codes.STO
    assert "Safe torque off (STO) keeps drive 5 without power" in str(caught.value)


def test_a_motion_that_failed_gets_its_reason_though_the_drive_is_at_rest():
    scene = Scene().write(0x607D, -4096, 1).write(0x607D, 4096, 2).enable().move().let(0.5).control(0)
    error = MotionFailed(5, "a move", "it did not arrive")
    error.at_rest = True
    scene.network.run(explain(scene.link, error, scene.network.watch))
    assert [each.code for each in error.why] == [codes.SOFTWARE_LIMIT]


def test_an_error_of_a_drive_that_is_silent_stays_as_it_is():
    scene = Scene()
    scene.drive.power_off()
    error = NotEnabled(5, "SWITCH ON DISABLED")
    scene.network.run(explain(scene.link, error, scene.network.watch))
    assert "it is not enabled but in SWITCH ON DISABLED" in str(error)


# --- it never energises -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(PdsState))
@pytest.mark.parametrize("wanted", [*Target, MOTION], ids=str)
def test_it_reads_only_whatever_the_state_of_the_drive(state, wanted):
    call = Call("why", lambda world: world.run(why_not(world.link, wanted, world.network.watch)))
    with World() as world:
        world.put(state)
        with world.network.frames() as frames:
            outcome = play(world, call)
            sent = []
            while (frame := frames.get(0.0)) is not None:
                sent += [frame] if frame.direction == "tx" else []
        assert unsafe(outcome) == []
        assert outcome.words == []
        assert sent
        assert {frame.can_id for frame in sent} == {0x665}
        assert {frame.data[0] >> 5 for frame in sent} <= {2, 3}  # reads, and their segments
        assert not world.link.permitted


@settings(max_examples=25, deadline=None)
@given(
    state=st.sampled_from(list(PdsState)),
    wanted=st.sampled_from([*Target, MOTION]),
    trouble=trouble,
    moving=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_reads_only_and_says_something_whatever_gets_lost(state, wanted, trouble, moving, seed):
    """Frames lost, late or twice, and reads that are refused: there are findings, or none, and no error."""
    faults, refused = trouble
    found = []
    call = Call("why", lambda world: found.extend(world.run(why_not(world.link, wanted, world.network.watch))))
    with World(tuple(faults), tuple(refused), seed=seed) as world:
        world.put(state, moving=moving)
        outcome = play(world, call)
        assert outcome.error is None
        assert unsafe(outcome) == []
        assert outcome.words == []
    assert all(each.sentence and each.advice for each in found)


# --- the reference -------------------------------------------------------------------------------------------------


def test_the_page_lists_each_code():
    listed = re.findall(r"^\| `(DRV-[A-Z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    declared = [value for name, value in vars(codes).items() if name.isupper()]
    assert sorted(listed) == sorted(declared)
    assert len(set(declared)) == len(declared)
