"""opendiag.cia402.touch_probe: positions at the edge of a signal, beside a motion."""

import pytest
from motion_world import Bench, S

from opendiag.cia402.position_plans import move
from opendiag.cia402.touch_probe import ProbeSource, arm, capture, captured, disarm
from opendiag.errors import MotionFailed, MotionTimeout, PlanCancelled, UnknownTarget
from opendiag.services.plans import Together

TURN = 4096


def both(*plans):
    return (yield Together(plans))


@pytest.mark.parametrize("probe", [1, 2])
@pytest.mark.parametrize(("edge", "turns"), [("positive", 1.5), ("negative", 1.6)])
def test_the_position_is_that_of_the_edge(probe, edge, turns):
    with Bench() as bench:
        bench.drive.switches.home_range = (1.5, 1.6)
        found, end = bench.run(both(capture(bench.link, probe, edge), move(bench.link, 3 * TURN, velocity=18_000)))
        assert found == pytest.approx(turns * TURN, abs=20) and end == pytest.approx(3 * TURN, abs=100)
        assert bench.read(0x60B8) == 0 and bench.state is S.OPERATION_ENABLED


def test_the_index_pulse():
    with Bench() as bench:
        bench.drive.switches.index = 0.25
        plan = capture(bench.link, source=ProbeSource.INDEX_PULSE)
        found, _ = bench.run(both(plan, move(bench.link, 3 * TURN, velocity=18_000)))
        assert found == pytest.approx(0.25 * TURN, abs=5)


def test_an_old_result_is_not_believed():
    with Bench() as bench:
        bench.drive.switches.home_range = (1.5, 1.6)
        bench.run(both(capture(bench.link), move(bench.link, 3 * TURN, velocity=18_000)))
        bench.run(arm(bench.link))
        assert bench.run(captured(bench.link)) is None
        with pytest.raises(MotionTimeout, match=r"no positive edge within 0\.2 s"):
            bench.run(capture(bench.link, timeout_s=0.2))
        assert bench.read(0x60B8) == 0 and bench.state is S.OPERATION_ENABLED


def test_the_other_probe_stays_as_it_is():
    with Bench() as bench:
        bench.run(arm(bench.link, 2, "negative", continuous=True))
        bench.run(arm(bench.link, 1))
        assert bench.read(0x60B8) == 0x2311
        bench.run(disarm(bench.link, 1))
        assert bench.read(0x60B8) == 0x2300


def test_a_drive_that_does_not_do_it():
    with Bench() as bench:
        bench.drive.store.on_read(0x60B9, 0, lambda now: bytes(2))
        with pytest.raises(MotionFailed, match="does not show it as switched on"):
            bench.run(arm(bench.link))
        bench.drive.store.on_read(0x60B9, 0, lambda now: b"\x03\x00")
        with pytest.raises(MotionFailed, match="still shows what it has stored"):
            bench.run(arm(bench.link))


@pytest.mark.parametrize(("probe", "edge"), [(0, "positive"), (3, "positive"), (1, "rising"), (1, "")])
def test_what_there_is_not(probe, edge):
    with Bench() as bench:
        with pytest.raises(UnknownTarget):
            bench.run(capture(bench.link, probe, edge))
        assert bench.wire() == []


@pytest.mark.parametrize("thrown", [PlanCancelled("enough"), KeyboardInterrupt()])
def test_one_that_is_broken_off_is_switched_off(thrown):
    with Bench() as bench:
        running = bench.begin(capture(bench.link, timeout_s=10.0), 0.1)
        assert bench.read(0x60B8) == 0x11
        running.throw(thrown)
        with pytest.raises(type(thrown)):
            bench.end(running)
        assert bench.read(0x60B8) == 0 and bench.state is S.OPERATION_ENABLED
