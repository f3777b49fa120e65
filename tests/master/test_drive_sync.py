"""Cyclic motions: SYNC that somebody else sends, what is broken off while it ends, and words that stop."""

import pytest
from cyclic_world import Axes, S
from test_drive_cyclic import NEAR, TURN, ends, moving, refuse_mapping, there

from opendiag.cia402.power import quick_stop
from opendiag.errors import MotionFailed, NotEnabled, PlanCancelled
from opendiag.frame import Frame


def foreign_sync(axes, period_s):
    return axes.network.cyclic.every(period_s, lambda now: axes.other.send(Frame(0x80)))


def test_the_sync_of_another_node_is_ridden_on():
    with Axes() as axes:
        other = foreign_sync(axes, 0.002)
        axes.sleep(0.1)
        frames = axes.network.frames()
        report = axes.follow(there(1), there(1))
        heard = [frame for frame in iter(lambda: frames.get(0), None) if frame.can_id == 0x80]
        assert [frame for frame in heard if frame.direction == "tx"] == []
        assert len(heard) > 100
        assert report.finished
        assert report.duration_s == pytest.approx(there(1).duration_s, abs=0.01)
        assert axes.positions == [pytest.approx(TURN, abs=NEAR)] * 2
        assert other.running


@pytest.mark.parametrize("period_s", [0.001, 0.004, 0.2])
def test_one_with_another_period_is_refused_before_anything_is_sent(period_s):
    with Axes() as axes:
        foreign_sync(axes, period_s)
        axes.sleep(0.5)
        before = axes.pdo_settings()
        with pytest.raises(MotionFailed, match="another node sends SYNC"):
            axes.follow(there(1), there(1))
        assert axes.pdo_settings() == before
        assert axes.network.sync_cycle is None


def test_one_that_begins_in_the_middle_stops_all():
    with Axes() as axes:
        _, running = moving(axes)
        foreign_sync(axes, 0.002)
        ends(axes, running, MotionFailed)


def test_one_beside_ours_is_refused():
    with Axes() as axes:
        axes.network.sync(0.002)
        foreign_sync(axes, 0.003)  # two equal frames at the same time would be one
        axes.sleep(0.1)
        with pytest.raises(MotionFailed, match="beside this network"):
            axes.follow(there(1), there(1))


@pytest.mark.parametrize("later_s", [0.0, 0.1, 0.25, 0.27, 0.29, 0.31, 0.33, 0.35, 0.37])
def test_broken_off_a_second_time_it_is_put_back_all_the_same(later_s):
    """In the ramp, in the quick stop, and while the PDOs are put back."""
    with Axes() as axes:
        before = axes.pdo_settings()
        _, running = moving(axes)
        running.throw(PlanCancelled("enough"))
        axes.sleep(later_s)
        running.throw(PlanCancelled("at once"))
        with pytest.raises(PlanCancelled):
            running.wait()
            running.result()
        axes.sleep(0.1)
        assert axes.at_rest
        assert axes.network.sync_cycle is None
        assert axes.pdo_settings() == before


def test_a_stop_does_not_wait_for_a_sync_where_the_word_rides_along():
    with Axes(nodes=(5,)) as axes:
        refuse_mapping(axes.drives[0])
        running = axes.begin(axes.follower(there(40)), 0.3)
        began = axes.now
        axes.network.sync_cycle.stop()
        stopping = axes.network.begin(quick_stop(axes.links[0]))
        while axes.states[0] is S.OPERATION_ENABLED:
            axes.sleep(0.001)
            assert axes.now - began < 0.02
        ends(axes, running, (MotionFailed, NotEnabled))
        assert stopping.done


def test_what_lies_in_the_drive_for_the_next_sync_does_not_enable_it_again():
    with Axes(nodes=(5,)) as axes:
        refuse_mapping(axes.drives[0])
        axes.network.write(5, 0x605A, 6)  # it stays in QUICK STOP ACTIVE, from where there is a way back
        running = axes.begin(axes.follower(there(40)), 0.3)
        axes.entered.clear()
        running.cancel("enough")
        ends(axes, running, PlanCancelled)
        assert [made for _, _, made, _ in axes.entered if made in (4, 16)] == []
