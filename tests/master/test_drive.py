"""`Drive` and `Axes` as a script uses them, on a simulated bus and a clock that the test winds."""

from __future__ import annotations

import threading
import time

import pytest
from drive_scene import Scene

import opendiag
from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import trapezoid
from opendiag.cia402.units import Scale, Units
from opendiag.errors import (
    BlockingCall,
    BroughtToRest,
    DriveFault,
    HomingFailed,
    MotionFailed,
    NotEnabled,
    OutsideLimits,
    SdoTimeout,
    UnknownTarget,
)
from opendiag.master.drive_keeper import GuardSettings
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary

NEAR = 0.05


@pytest.fixture
def scene():
    with Scene() as made:
        yield made


def uploads_only(frames):
    return all(frame.data[0] >> 5 in (2, 3) for frame in frames if frame.direction == "tx")


# --- one drive ------------------------------------------------------------------------------------------------------


def test_the_first_motion_of_the_readme(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        axis.home(35)
        assert axis.move_to(2.5, unit="rev", velocity=300, wait=True) == pytest.approx(2.5, abs=NEAR)
        assert axis.position == pytest.approx(2.5, abs=NEAR)
        assert axis.status.state is PdsState.OPERATION_ENABLED
        assert axis.mode == 1
        assert axis.error == 0
    assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED
    assert scene.motor.position == pytest.approx(2.5, abs=NEAR)


def test_making_and_entering_sends_nothing(scene):
    frames = scene.observer.frames()
    scene.observer.sleep(0.01)
    before = [frame for frame in iter(lambda: frames.get(0), None)]  # noqa: C416
    with scene.network.drive(101, limits={"velocity": 10}, units={"position": {"rev": 4096}}, watchdog_s=1):
        pass
    scene.observer.sleep(0.1)
    after = [frame for frame in iter(lambda: frames.get(0), None) if frame.can_id in (0x665, 0)]
    assert [before, after] == [before, []]


def test_motions_in_units(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        assert axis.move_to("180 deg", velocity="2 rev/s") == pytest.approx(0.5, abs=NEAR)
        assert axis.move_by(90, "deg") == pytest.approx(270, abs=360 * NEAR)
        assert axis.move_through([1, 0.5], "rev", velocity=600) == pytest.approx(0.5, abs=NEAR)
        assert axis.run_at(120) == pytest.approx(120, rel=0.1)
        assert axis.velocity == pytest.approx(120, rel=0.1)
        assert axis.read("velocity", "rev/s") == pytest.approx(2, rel=0.1)
        axis.stop()
        assert axis.velocity == pytest.approx(0, abs=2)
        axis.move_to(3, velocity=600, wait=False)
        axis.wait()
        assert axis.position == pytest.approx(3, abs=NEAR)
        assert axis.apply_torque("0.05 A") == pytest.approx(0.05, abs=0.01)
        assert abs(axis.torque) < 0.5


def test_halt_and_going_on(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        axis.move_to(20, velocity=600, wait=False)
        scene.network.sleep(0.5)
        axis.halt()
        scene.network.sleep(1)
        here = axis.position
        assert axis.velocity == pytest.approx(0, abs=2)
        axis.unhalt()
        axis.wait()
        assert here < axis.position == pytest.approx(20, abs=NEAR)


def test_a_drive_of_another_make_is_asked_for_its_units():
    dictionary = servo_dictionary(1, {(0x6091, 1): 5, (0x6092, 1): 360, (0x60A8, 0): 0, (0x6080, 0): 3000})
    with Scene(drives=[SimDrive(dictionary, 9)]) as scene, scene.network.drive(9) as axis:
        assert axis.units.to_device("position", 1, "rev") == 360
        axis.enable()
        axis.move_to(90, "deg", velocity="1 rev/s", acceleration="10 rev/s^2")
        scene.later(0.2)
        assert scene.motor.position == pytest.approx(5 / 4, abs=NEAR)


def test_units_that_are_given_count(scene):
    units = Units(Scale(40960, "mm"), Scale(6000, "mm/s"))
    with scene.network.drive(101, units=units) as axis:
        axis.enable()
        axis.move_to(0.1, velocity=2)
        assert axis.position == pytest.approx(0.1, abs=0.01)
    scene.later(0.2)
    assert scene.motor.position == pytest.approx(1, abs=NEAR)


def test_misspelt_names_send_nothing(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        frames = []
        scene.network.subscribe(frames.append)
        for wrong in (
            lambda: axis.move_to(1, "turns"),
            lambda: axis.move_to("1 turn"),
            lambda: axis.run_at(1, "RPM"),
            lambda: axis.set_mode("ppp"),
            lambda: axis.read("position", "miles"),
        ):
            with pytest.raises(UnknownTarget):
                wrong()
        with pytest.raises(ValueError, match="is no number with a unit"):
            axis.move_to("two turns")
        assert not [frame for frame in frames if frame.direction == "tx" and frame.can_id == 0x665]


def test_a_fault_is_told_reset_and_over(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        scene.drives[0].fault(0x2310, scene.clock.now())
        with pytest.raises(DriveFault, match="2310h") as caught:
            axis.move_to(1)
        assert caught.value.why
        assert axis.status.error == 0x2310
        assert "2310h" in str(axis.status)
        with pytest.raises(DriveFault):
            axis.enable()
        axis.reset()
        assert axis.status.state is PdsState.SWITCH_ON_DISABLED
        axis.enable()
        axis.move_to(0.2)


def test_a_refusal_says_why(scene):
    with scene.network.drive(101) as axis:
        with pytest.raises(NotEnabled, match="not enabled") as caught:
            axis.move_to(1)
        assert caught.value.at_rest is None
        axis.enable()
        with pytest.raises((OutsideLimits, UnknownTarget, HomingFailed)):
            axis.home(99)
        assert axis.status.state is PdsState.OPERATION_ENABLED


def test_quick_stop_and_disable(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        assert axis.quick_stop() in (PdsState.QUICK_STOP_ACTIVE, PdsState.SWITCH_ON_DISABLED)
        with pytest.raises(NotEnabled):
            axis.move_to(1)
        axis.enable()
        axis.disable()
        assert axis.status.state is PdsState.SWITCH_ON_DISABLED


def test_jog_ends_when_nobody_keeps_it_alive(scene):
    looks = iter(range(80))
    with scene.network.drive(101) as axis:
        axis.enable()
        assert axis.jog(60, keep_alive=lambda: next(looks, None) is not None) > 0.05
        assert axis.status.state is PdsState.SWITCH_ON_DISABLED


def test_following_a_trajectory(scene):
    with scene.network.drive(101, limits={"position": (-1, 3)}) as axis:
        axis.enable()
        report = axis.follow(trapezoid(0, 2, 5, 50), "rev", period_s=0.004)
        assert report.finished
        assert axis.position == pytest.approx(2, abs=NEAR)
        with pytest.raises(OutsideLimits, match=r"position 3\.5 rev"):
            axis.follow(trapezoid(0, 3.5, 5, 50), "rev", period_s=0.004)
        with pytest.raises(UnknownTarget):
            axis.follow(trapezoid(0, 1, 5, 50), "um", period_s=0.004)


def test_inputs_outputs_and_why(scene):
    with scene.network.drive(101) as axis:
        assert isinstance(axis.inputs.active, tuple)
        axis.set_outputs({16: True})
        assert axis.why()
        axis.enable()
        assert axis.why() == []


def test_a_silent_drive_is_a_timeout_and_not_energised(scene):
    axis = scene.network.drive(55)
    with pytest.raises(SdoTimeout), axis:
        axis.enable()


def test_plans_of_ones_own_are_guarded_too(scene):
    def plan(link):
        yield from link.status()
        return link.state

    with scene.network.drive(101) as axis:
        assert axis.run(plan(axis.link)) is PdsState.SWITCH_ON_DISABLED


def test_a_call_in_a_callback_is_refused(scene):
    errors = []

    def heard(frame):
        try:
            axis.position  # noqa: B018
        except BlockingCall as error:
            errors.append(error)

    with scene.network.drive(101) as axis:
        axis.position  # noqa: B018
        end = scene.network.subscribe(heard)
        scene.network.sleep(2.5)
        end()
    assert errors


def test_settings_that_guard_nothing_are_refused(scene):
    with pytest.raises(ValueError, match="two periods"):
        GuardSettings(period_s=0.1, allowed_s=0.15)
    with pytest.raises(ValueError, match="outside"):
        GuardSettings(node_id=128)
    with pytest.raises(ValueError, match="is not positive"):
        scene.network.drive(101, watchdog_s=0)
    with pytest.raises(UnknownTarget):
        scene.network.drive(101, axis=8)
    with pytest.raises(ValueError, match="no limit speed"):
        scene.network.drive(101, limits={"speed": 1})


def test_limits_with_a_unit_that_the_drive_lacks_keep_it_from_being_enabled(scene):
    with scene.network.drive(101, limits={"position": ("0 mm", "3 mm")}) as axis:
        with pytest.raises(UnknownTarget):
            axis.enable()
        assert axis.status.state is PdsState.SWITCH_ON_DISABLED


def test_a_drive_without_heartbeat_consumer_is_told_and_works(caplog):
    dictionary = servo_dictionary()
    objects = {index: each for index, each in dictionary.objects.items() if index not in (0x1016, 0x6007)}
    with Scene(drives=[SimDrive(type(dictionary)("bare", objects, dictionary.device), 9)]) as scene:
        with scene.network.drive(9) as axis:
            axis.enable()
            assert axis.own_guard is None
            assert axis.guard.own.missing == ["no 1016h"]
        assert "no guard of its own against a dead computer: no 1016h" in caplog.text


# --- several drives -------------------------------------------------------------------------------------------------


def test_two_axes_together():
    with Scene(2) as scene, scene.network.drives(101, 102) as (x, y):
        axes = opendiag.Axes(x, y)
        axes.enable()
        assert axes.move_to([1, -2], "rev", velocity=300) == [pytest.approx(1, abs=NEAR), pytest.approx(-2, abs=NEAR)]
        assert axes.positions == [pytest.approx(1, abs=NEAR), pytest.approx(-2, abs=NEAR)]
        assert axes.move_by(["90 deg", "-90 deg"], "deg")[0] == pytest.approx(450, abs=20)
        began = scene.clock.now()
        axes.move_to([10, -10], "rev", velocity=600, wait=False)
        scene.network.sleep(0.5)
        starts = [
            next(s.at for s in recorder.samples if s.at > began and abs(s.velocity) > 0.5)
            for recorder in scene.recorders
        ]
        assert abs(starts[0] - starts[1]) < 0.01
        axes.wait()
        assert [status.state for status in axes.status] == 2 * [PdsState.OPERATION_ENABLED]
        axes.stop()
        axes.disable()
    assert not any(drive.energised for drive in scene.drives)


def test_one_that_fails_stops_all():
    with Scene(2) as scene, scene.network.drives(101, 102) as (x, y):
        axes = opendiag.Axes(x, y)
        axes.enable()
        scene.drives[0].hold_shaft()
        began = scene.clock.now()
        with pytest.raises((DriveFault, MotionFailed)) as caught:
            axes.move_to([5, 500], "rev", velocity=600)
        assert caught.value.node_id == 101
        assert caught.value.at_rest
        assert scene.rest_after(began, 1) < 3
        with pytest.raises((NotEnabled, BroughtToRest)):
            y.move_to(0)


def test_one_that_cannot_be_enabled_leaves_none_enabled():
    with Scene(2) as scene, scene.network.drives(101, 102) as (x, y):
        scene.drives[1].fault(0x2310, scene.clock.now())
        with pytest.raises(DriveFault):
            opendiag.Axes(x, y).enable()
        assert not any(drive.energised for drive in scene.drives)


def test_axes_that_make_no_sense_are_refused():
    with Scene(2) as scene:
        with pytest.raises(ValueError, match="each once, and at least one"):
            scene.network.drives(101, 101)
        with pytest.raises(ValueError, match="each once, and at least one"):
            scene.network.drives()
        x, y = scene.network.drive(101), scene.observer.drive(102)
        with pytest.raises(ValueError, match="on one network"):
            opendiag.Axes(x, y)
        with scene.network.drives(101, 102) as axes:
            assert len(axes) == 2
            assert axes[1].node_id == 102
            with pytest.raises(ValueError, match="expected one for each of 2 drives"):
                axes.move_to([1], "rev")


# --- real time ------------------------------------------------------------------------------------------------------


def test_threads_may_look_while_another_one_moves():
    # without a guard: it would act when this machine is too busy to send our heartbeat in time
    with opendiag.connect("sim:stepim", timeout_s=5) as network, network.drive(101, guard=False) as axis:
        axis.enable()
        seen, errors = [], []
        ended = threading.Event()

        def look():
            try:
                while not ended.is_set():
                    seen.append(axis.position)
                    assert axis.status.state is PdsState.OPERATION_ENABLED
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            while time.monotonic() - began < 1:
                axis.move_to(1, velocity=600)
                axis.move_to(0, velocity=600)
        finally:
            ended.set()
            for thread in threads:
                thread.join(10)
        assert errors == []
        assert max(seen) > 0.5


# --- the rehearsal --------------------------------------------------------------------------------------------------


def rehearse(scene, script, **options):
    """The lines that it prints; on the real bus nothing is written."""
    lines, frames = [], []
    end = scene.network.subscribe(frames.append)
    with scene.network.drive(101, dry_run=lines.append, **options) as axis:
        script(axis)
    end()
    assert uploads_only(frames)
    assert {frame.can_id for frame in frames if frame.direction == "tx"} <= {0x665}
    return lines


def test_a_dry_run_tells_every_frame_and_sends_none(scene, capsys):
    scene.network.write(101, 0x6081, 12_345)

    def script(axis):
        axis.enable()
        assert axis.move_to(2.5, "rev") == pytest.approx(2.5, abs=NEAR)

    lines = rehearse(scene, script)
    text = "\n".join(lines)
    assert lines[0].startswith("dry run of drive 101: it is in SWITCH ON DISABLED, and ")
    for part in (
        "665#2B40600006000000  The client writes Controlword (6040:00) of node 101: 0x0006: shutdown.",
        "665#237A600000280000  The client writes Target Position (607A:00) of node 101: 10240 counts = 2.5 rev",
        "0x000F: enable operation; new set-point"[:24],
        "77F#05",
        "SDO reads)",
        "quick stop",
    ):
        assert part in text
    assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED
    assert scene.motor.position == 0
    assert capsys.readouterr().out == ""
    with scene.network.drive(101, dry_run=True) as axis:
        axis.disable()
    assert "dry run of drive 101" in capsys.readouterr().out


def test_a_dry_run_begins_where_the_drive_is(scene):
    with scene.network.drive(101) as axis:
        axis.enable()
        axis.move_to(3, velocity=600)

    def script(axis):
        assert axis.position == pytest.approx(3, abs=NEAR)
        axis.enable()
        axis.move_by(1, velocity=600)
        assert axis.position == pytest.approx(4, abs=NEAR)

    rehearse(scene, script)
    assert scene.motor.position == pytest.approx(3, abs=NEAR)


def test_a_dry_run_has_the_fault_of_the_drive(scene):
    scene.drives[0].fault(0x2310, scene.clock.now())

    def script(axis):
        with pytest.raises(DriveFault, match="2310h"):
            axis.enable()

    rehearse(scene, script)


def test_a_dry_run_of_a_drive_that_is_not_there(scene):
    lines = []
    with scene.network.drive(77, dry_run=lines.append) as axis:
        axis.enable()
    assert "it does not answer" in lines[0]


def test_a_dry_run_of_several(scene):
    lines = []
    with scene.network.drives(101, 77, dry_run=lines.append) as axes:
        axes.enable()
        axes.move_to([1, 1], "rev")
    assert any("665#" in line for line in lines)
    assert any("64D#" in line for line in lines)
