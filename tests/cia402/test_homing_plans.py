"""opendiag.cia402.homing_plans: each result of bits 13, 12 and 10, and what an earlier homing leaves behind."""

import pytest
from motion_world import KINDS, Bench, S

from opendiag.cia402 import power
from opendiag.cia402.homing import METHODS
from opendiag.cia402.homing_plans import home, supported_methods
from opendiag.cia402.quirks import DriveQuirks
from opendiag.errors import HomingFailed, MotionFailed, MotionTimeout, NotEnabled, OutsideLimits, UnknownTarget
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.drive_units import DriveUnits
from opendiag.simulate.node_quirks import NodeQuirks

TURN = 4096
DONE, ATTAINED, IDLE, RUNNING, ERROR, ERROR_MOVING = 0x1400, 0x1000, 0x0400, 0x0000, 0x2400, 0x2000
RESULT = 0x3400


def near(bench):
    bench.drive.switches.negative, bench.drive.switches.positive = -1.3, 1.7
    bench.drive.switches.home = 0.6
    return bench


def speeds(bench):
    return (12_000, 1500) if bench.stepim else (2 * TURN, TURN // 4)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_ends_and_the_position_is_that_of_its_offset(method):
    with near(Bench("servo")) as bench:
        if method in (3, 4, 19, 20):
            bench.drive.switches.home_range = (0.6, float("inf"))
        elif method in (5, 6, 21, 22):
            bench.drive.switches.home_range = (float("-inf"), -0.6)
        shown = bench.run(home(bench.link, method, 1000, speeds(bench)))
        assert shown == pytest.approx(1000, abs=30) and bench.state is S.OPERATION_ENABLED
        assert bench.link.controlword == 0x0F, "bit 4 is cleared afterwards"
        assert bench.drive.mode_display == 6


@pytest.mark.parametrize("method", [-1, -2, -3, -4, 1, 17, 18, 33, 35])
def test_methods_of_a_stepim(method):
    with near(Bench()) as bench:
        bench.drive.motor.stops = (-2.0, 2.0)
        assert bench.run(home(bench.link, method, -7, speeds(bench))) == pytest.approx(-7, abs=30)


def test_the_words_on_the_wire():
    with Bench() as bench:
        bench.run(home(bench.link, 35))
        assert bench.controlwords() == [0x1F, 0x0F]


def test_what_is_not_given_stays_as_the_device_has_it():
    with near(Bench("servo")) as bench:
        bench.write(0x607C, 77)
        bench.drain()
        assert bench.run(home(bench.link)) == pytest.approx(77, abs=3)
        assert {index for index, _ in bench.wire()} <= {0x6040, 0x6041, 0x6060, 0x6098}


@pytest.mark.parametrize("method", [0, 15, 16, 31, 32, 36, 38, 127])
def test_methods_that_there_are_not(method):
    with Bench("servo") as bench:
        with pytest.raises((UnknownTarget, OutsideLimits)):
            bench.run(home(bench.link, method))
        assert bench.controlwords() == [] and bench.state is S.OPERATION_ENABLED


def test_a_method_outside_the_limits_of_the_dictionary():
    with Bench() as bench, pytest.raises(OutsideLimits, match=r"37 is outside -4 .. 35"):
        bench.run(home(bench.link, 37))


def test_a_method_that_the_drive_does_not_list():
    with Bench("servo") as bench:
        listed = bench.run(supported_methods(bench.link))
        if listed is None:
            pytest.skip("the simulated servo lists none")
        wanted = next(method for method in METHODS if method not in listed) if set(METHODS) - set(listed) else -100
        with pytest.raises(UnknownTarget, match="homing method"):
            bench.run(home(bench.link, wanted))


def test_a_drive_that_is_not_enabled():
    with Bench(enabled=False) as bench, pytest.raises(NotEnabled):
        bench.run(home(bench.link, 35))


# --- the combinations of the bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "error", "text"),
    [
        ([IDLE, RUNNING, DONE], None, ""),
        ([IDLE, IDLE, RUNNING, ATTAINED, ATTAINED, DONE], None, ""),
        ([DONE, RUNNING, DONE], None, "stale, then new"),
        ([DONE, IDLE, RUNNING, DONE], None, "some drives clear it first"),
        ([ERROR, RUNNING, DONE], None, "a stale error"),
        ([IDLE, RUNNING, ERROR_MOVING], HomingFailed, "homing error, still moving"),
        ([IDLE, RUNNING, ERROR], HomingFailed, "homing error, standing still"),
        ([IDLE, RUNNING, 0x3000], HomingFailed, "homing error and homing attained at once"),
        ([IDLE, RUNNING, 0x3400], HomingFailed, "homing error and homing attained at once"),
        ([IDLE, RUNNING, RUNNING, IDLE], HomingFailed, "interrupted"),
        ([IDLE], HomingFailed, "did not begin within 1 s of bit 4; the drive shows: homing interrupted or not started"),
        ([DONE], HomingFailed, "did not begin within 1 s of bit 4; the drive shows: homing done, left behind"),
        ([ERROR], HomingFailed, "the drive shows: homing error, standing still, left behind"),
        ([IDLE, RUNNING], MotionTimeout, "did not end within 3 s"),
        ([IDLE, RUNNING, ATTAINED], MotionTimeout, "the quirk homing_without_reached is for that"),
    ],
)
def test_results(results, error, text):
    with Bench() as bench:
        left, before = list(results), results[0]

        def change(word):
            value = before
            if bench.drive.axis.controlword & 0x10:
                value = left.pop(0) if len(left) > 1 else left[0]
            return word & ~RESULT | value

        bench.shows(change)
        plan = home(bench.link, 33, timeout_s=3.0)
        if error is None:
            bench.run(plan)
            assert bench.link.controlword == 0x0F
        else:
            with pytest.raises(error, match=text) as caught:
                bench.run(plan)
            assert caught.value.at_rest and bench.at_rest and not bench.link.controlword & 0x10


def test_on_the_spot_there_may_be_no_edge_and_the_position_tells():
    with Bench("servo") as bench:
        bench.run(home(bench.link, 37, 500))
        bench.shows(lambda word: word & ~RESULT | DONE)
        assert bench.run(home(bench.link, 37, 800)) == pytest.approx(800, abs=3)
        bench.drive.store.on_read(0x6064, 0, lambda now: (4711).to_bytes(4, "little"))
        with pytest.raises(HomingFailed, match="left behind"):
            bench.run(home(bench.link, 37, 900))


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_homing_is_a_homing(kind):
    with near(Bench(kind)) as bench:
        for _ in range(2):
            began = bench.now
            bench.run(home(bench.link, 17, 0, speeds(bench)))
            took = bench.now - began
            assert bench.position == pytest.approx(0, abs=30)
        assert took > 0.02


def test_the_quirk_homing_without_reached():
    node, known = NodeQuirks(homing_without_reached=True), DriveQuirks(homing_without_reached=True, torque_in_ma=True)
    with near(Bench(node_quirks=node, quirks=known)) as bench:
        assert bench.run(home(bench.link, 17, 5, speeds(bench))) == pytest.approx(5, abs=30)
    with near(Bench(node_quirks=node)) as bench, pytest.raises(MotionTimeout, match="quirk homing_without_reached"):
        bench.run(home(bench.link, 17, 5, speeds(bench), timeout_s=5.0))


def test_halted_by_us_it_waits_and_by_another_it_fails():
    with near(Bench()) as bench:
        running = bench.begin(home(bench.link, 17, 0, (3000, 500)), 0.5)
        bench.run(power.halt(bench.link))
        bench.network.sleep(1.0)
        assert not running.done
        running.cancel()
        running.wait()
        assert bench.at_rest
    with near(Bench()) as bench:
        running = bench.begin(home(bench.link, 17, 0, (3000, 500), timeout_s=2.0), 0.5)
        bench.write(0x6040, 0x11F)
        with pytest.raises(MotionFailed) as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest


def test_the_result_of_an_earlier_homing_that_shows_late_is_not_believed():
    """6061h says homing already, and the bits of the statusword follow some milliseconds later."""
    with Bench() as bench:
        drive, since = bench.drive, []

        def change(word):
            if not since:
                return word
            if bench.now - since[0] < 0.015:
                return word & ~RESULT  # nothing yet, which looks like "in progress"
            return word & ~RESULT | DONE  # left behind; the homing itself never begins

        def mode(now):
            drive.advance(now)
            since.extend([now] if drive.mode_display == 6 else [])
            return drive.mode_display.to_bytes(1, "little")

        drive.store.on_read(0x6061, 0, mode)
        bench.shows(change)
        drive.motor.held = True
        with pytest.raises(HomingFailed, match="left behind by an earlier homing"):
            bench.run(home(bench.link, 33, timeout_s=3.0))


def test_on_the_spot_with_either_sign_of_the_offset():
    class Older(SimDrive):
        units = DriveUnits(zero_is_home_plus_offset=True)

    with Bench("servo", make=Older) as bench:
        assert bench.run(home(bench.link, 37, offset=700)) == pytest.approx(-700, abs=4)
        assert bench.run(home(bench.link, 37, offset=700)) == pytest.approx(-700, abs=4)
        assert bench.state is S.OPERATION_ENABLED
