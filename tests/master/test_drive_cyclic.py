"""Axes that follow trajectories in step with SYNC: every mode reaches its target, and whatever goes wrong on the way
stops all of them.
"""

import os
from dataclasses import replace

import pytest
from cyclic_world import ENERGISED, Axes, S

from opendiag.cia402.cyclic_motion import Rules
from opendiag.cia402.modes import Mode
from opendiag.cia402.trajectory import Chain, hold, move, ramp, s_curve, slope, synchronised, trapezoid
from opendiag.errors import (
    DriveFault,
    FollowingErrorTooLarge,
    ModeRefused,
    MotionFailed,
    MotionTimeout,
    NotAtRest,
    NotEnabled,
    OutsideLimits,
    PlanCancelled,
    SendFailed,
    UnknownTarget,
)
from opendiag.frame import Frame
from opendiag.simulate.faults import Fault

TURN = 4096
SPEED, PULL = 10 * TURN, 50 * TURN
#: Counts: the encoder flickers, and a set-point is rounded.
NEAR = 4
#: A minute of two axes takes some minutes of a processor; by default a part of it.
LONG_S = float(os.environ.get("OPENDIAG_CYCLIC_S", "1"))


def there(turns=4, jerk=None):
    return move(0, turns * TURN, velocity=SPEED, acceleration=PULL, jerk=jerk)


# --- the modes ---


@pytest.mark.parametrize("kind", ["servo", "stepim"])
@pytest.mark.parametrize("mode", ["csp", "ip"])
def test_positions_are_reached_in_time_and_the_way_is_followed(kind, mode):
    way = there(jerk=1000 * TURN)
    with Axes(kind) as axes:
        before = axes.positions
        report = axes.follow(way, there(-2, jerk=1000 * TURN), mode=mode)
        assert report.finished
        assert report.missed == 0
        assert report.left_out == 0
        assert [axis.tpdos_missed for axis in report.axes] == [0, 0]
        assert report.duration_s == pytest.approx(way.duration_s, abs=0.0041)
        for position, start, turns, axis in zip(axes.positions, before, (4, -2), report.axes, strict=True):
            assert position == pytest.approx(start + turns * TURN, abs=NEAR)
            assert axis.following_error < 60
            assert abs(axis.end_error) <= NEAR
        assert axes.states == [S.OPERATION_ENABLED] * 2
        assert [drive.mode_display for drive in axes.drives] == [Mode.PP] * 2


@pytest.mark.parametrize("period_s", [0.001, 0.004, 0.01])
def test_every_period_gives_the_same_motion(period_s):
    with Axes(nodes=(5,)) as axes:
        report = axes.follow(there(), period_s=period_s)
        assert report.missed == 0
        assert report.duration_s == pytest.approx(there().duration_s, abs=2 * period_s)
        assert axes.positions == [pytest.approx(4 * TURN, abs=NEAR)]


def test_velocities_are_reached_and_ramped_down_in_the_end():
    way = ramp(0, 5 * TURN, acceleration=20 * TURN, hold_s=0.5)
    with Axes() as axes:
        follower = axes.follower(way, ramp(0, -TURN, acceleration=20 * TURN, hold_s=0.5), mode="csv")
        running = axes.begin(follower, 0.6)
        assert axes.speeds == [pytest.approx(5.0, abs=0.1), pytest.approx(-1.0, abs=0.1)]
        running.wait()
        report = running.result()
        assert report.finished
        assert report.missed == 0
        # 0.25 s up, 0.5 s, 0.25 s down
        assert report.duration_s == pytest.approx(1.0, abs=0.01)
        assert [abs(speed) < 0.05 for speed in axes.speeds] == [True, True]
        assert axes.positions[0] == pytest.approx(5 * TURN * 0.75, abs=0.05 * TURN)


def test_torques_are_reached_and_taken_back_in_the_end():
    with Axes(nodes=(5,)) as axes:
        axes.drives[0].motor.held = True  # somebody keeps the shaft
        running = axes.begin(axes.follower(slope(0, 200, rate=1000, hold_s=0.2), mode="cst"), 0.3)
        axes.advance()
        motor = axes.drives[0].motor
        assert motor.current == pytest.approx(0.6, abs=0.02)  # 200 thousandths of 3 A
        running.wait()
        assert running.result().finished
        assert running.result().notes == ()
        axes.sleep(0.01)
        axes.advance()
        assert abs(motor.current) < 0.1


def test_axes_in_step_arrive_together():
    ways = synchronised([there(8), there(1)])
    with Axes() as axes:
        running = axes.begin(axes.follower(*ways), ways[0].duration_s / 2)
        first, second = axes.positions
        assert first / second == pytest.approx(8, rel=0.02)
        running.wait()
        assert axes.positions == [pytest.approx(8 * TURN, abs=NEAR), pytest.approx(TURN, abs=NEAR)]


def test_two_axes_follow_for_long_without_a_missed_set_point():
    """A minute with OPENDIAG_CYCLIC_S=60."""
    one = [s_curve(0, 3 * TURN, SPEED, PULL, 20 * PULL), s_curve(3 * TURN, 0, SPEED, PULL, 20 * PULL)]
    rounds = max(1, round(LONG_S / (2 * one[0].duration_s)))
    other = [s_curve(0, -TURN, SPEED, PULL, 20 * PULL), s_curve(-TURN, 0, SPEED, PULL, 20 * PULL)]
    ways = [Chain(one * rounds), Chain([part for pair in (other * rounds,) for part in synchronised_to(pair, one)])]
    with Axes() as axes:
        report = axes.follow(*ways, period_s=0.001)
        assert report.cycles >= 1000 * ways[0].duration_s
        assert report.missed == 0
        assert [(axis.missed, axis.tpdos_missed) for axis in report.axes] == [(0, 0), (0, 0)]
        assert report.duration_s == pytest.approx(ways[0].duration_s, abs=0.003)
        assert axes.positions == [pytest.approx(0, abs=NEAR)] * 2


def synchronised_to(parts, leaders):
    leaders = leaders * (len(parts) // len(leaders))
    return [synchronised(pair)[0] for pair in zip(parts, leaders, strict=True)]


# --- beginning ---


def test_absolute_positions_begin_where_the_axis_stands():
    with Axes(nodes=(5,)) as axes:
        axes.follow(there(1))
        report = axes.follow(trapezoid(TURN, 0, SPEED, PULL), relative=False)
        assert report.finished
        assert axes.positions == [pytest.approx(0, abs=NEAR)]


def test_starting_is_bumpless_though_the_trajectory_begins_some_counts_off():
    with Axes(nodes=(5,)) as axes:
        highest = []
        axes.drives[0].motor.watch = lambda before, after: highest.append(abs(after - before))
        report = axes.follow(Chain([hold(30, 0.2), trapezoid(30, 30 + TURN, SPEED, PULL)]), relative=False)
        assert report.finished
        # In the first 0.1 s it goes 30 counts without any hurry: a jump would take one period of 2 ms.
        assert max(highest[:200]) * TURN / 0.0005 < 1500
        assert axes.positions == [pytest.approx(30 + TURN, abs=NEAR)]


def test_a_loaded_axis_does_not_sag_when_the_motion_begins():
    with Axes(nodes=(5,)) as axes:
        axes.drives[0].motor.load_torque = 0.15
        axes.sleep(0.3)
        before = axes.positions[0]
        lowest = []
        axes.drives[0].motor.watch = lambda old, new: lowest.append(new)
        axes.follow(hold(0, 0.3))
        assert min(lowest, default=before / TURN) * TURN > before - 10
        assert axes.positions[0] == pytest.approx(before, abs=10)


def test_drives_that_are_not_enabled_are_refused_before_anything_is_sent():
    with Axes(enabled=False) as axes:
        settings = axes.pdo_settings()
        with pytest.raises(NotEnabled, match="enable"):
            axes.follow(there(), there())
        assert axes.pdo_settings() == settings
        assert axes.entered == []


def test_they_are_enabled_where_that_is_asked_for():
    with Axes("stepim", enabled=False) as axes:
        report = axes.follow(there(), there(), enable=True)
        assert report.finished
        assert axes.states == [S.OPERATION_ENABLED] * 2
        assert axes.positions == [pytest.approx(4 * TURN, abs=5 * NEAR)] * 2  # enabling settles by some counts
        assert [axis.following_error < 60 for axis in report.axes] == [True, True]


def test_everything_is_put_back_afterwards():
    with Axes("stepim") as axes:
        before = axes.pdo_settings()
        axes.follow(there(1), there(1))
        assert axes.pdo_settings() == before
        assert [type(link.words).__name__ for link in axes.links] == ["SdoWords"] * 2
        assert axes.network.sync_cycle is None


def test_a_sync_that_runs_already_is_used_and_goes_on():
    with Axes() as axes:
        cycle = axes.network.sync(0.002)
        assert axes.follow(there(1)).finished
        assert axes.network.sync_cycle is cycle
        with pytest.raises(ValueError, match="SYNC runs with"):
            axes.follow(there(1), period_s=0.001)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: (trapezoid(5000, 9000, SPEED, PULL), {"relative": False}), OutsideLimits),
        (lambda: (move(0, 9000, velocity=SPEED, acceleration=PULL, end_velocity=SPEED), {}), OutsideLimits),
        (lambda: (trapezoid(0, 2**31, 1e9, 1e9), {}), OutsideLimits),
        (lambda: (there(), {"mode": "pp"}), UnknownTarget),
        (lambda: (there(), {"mode": "cps"}), UnknownTarget),
        (lambda: (there(), {"period_s": 0.0003333}), ValueError),
        (lambda: (slope(0, 40_000, rate=1000), {"mode": "cst"}), OutsideLimits),
    ],
    ids=["starts elsewhere", "ends moving", "beyond the object", "pp", "misspelt", "period", "torque"],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(make, error):
    way, settings = make()
    with Axes(nodes=(5,)) as axes:
        before = axes.pdo_settings()
        with pytest.raises(error):
            axes.follow(way, **settings)
        assert axes.pdo_settings() == before
        assert axes.entered == []


def test_software_limits_of_the_drive_are_kept():
    with Axes(nodes=(5,)) as axes:
        axes.network.write(5, 0x607D, TURN, 2)
        with pytest.raises(OutsideLimits, match="607Dh"):
            axes.follow(there(2))
        assert axes.follow(there(1)).finished


def test_a_mode_that_the_drive_does_not_have_is_refused_before_anything_is_changed():
    with Axes("stepim", nodes=(5,)) as axes:
        before = axes.pdo_settings()
        with pytest.raises(ModeRefused, match="nothing was sent"):
            axes.follow(ramp(0, 100, acceleration=100), mode="csv")
        assert axes.pdo_settings() == before


def test_the_same_axis_twice_is_refused():
    with Axes() as axes:
        axes.links[1] = axes.links[0]
        with pytest.raises(ValueError, match="twice"):
            axes.follow(there(), there())


# --- what goes wrong on the way ---


def moving(axes, **settings):
    """Two axes in the middle of their way."""
    follower = axes.follower(there(20), there(20), **settings)
    return follower, axes.begin(follower, 0.5)


def speed_after(axes, seconds):
    axes.sleep(seconds)
    return axes.speeds


def ends(axes, running, error, match=None):
    """The plan ends with this error, and all axes at rest."""
    with pytest.raises(error, match=match) as raised:
        running.wait()
        running.result()
    if hasattr(raised.value, "at_rest"):
        assert raised.value.at_rest is True
    assert axes.at_rest
    assert not any(link.permitted for link in axes.links)
    axes.sleep(0.5)
    assert axes.at_rest
    return raised.value


def test_a_fault_of_one_axis_ramps_down_the_other_along_its_way():
    with Axes() as axes:
        before = axes.pdo_settings()
        follower, running = moving(axes)
        axes.drives[0].inject(0x7500)
        # The other one brakes as hard as its trajectory ever does, and no harder.
        assert speed_after(axes, 0.1)[1] == pytest.approx(5.0, abs=1.0)
        error = ends(axes, running, DriveFault)
        assert error.code == 0x7500
        assert "trajectory" in str(error)
        report = follower.report
        assert not report.finished
        assert report.path_s < report.trajectory_s
        assert axes.pdo_settings() == before


def test_an_axis_that_leaves_gets_a_word_without_enable_bits_in_the_same_cycle():
    with Axes() as axes:
        _, running = moving(axes)
        with axes.network.frames() as frames:
            axes.drives[0].inject(0x7500)
            axes.sleep(0.01)
            seen = list(iter(lambda: frames.get(0), None))
        told = next(
            number
            for number, frame in enumerate(seen)
            if frame.direction == "rx" and frame.data[:1] and frame.data[0] & 0x08 and 0x180 < frame.can_id < 0x580
        )
        syncs_before_word = 0
        for frame in seen[told:]:
            if frame.direction == "tx" and frame.can_id == 0x205:
                assert frame.data[0] & 0x0F == 0x02
                break
            syncs_before_word += frame.can_id == 0x80
        else:
            pytest.fail("no controlword by PDO")
        assert syncs_before_word == 0
        ends(axes, running, DriveFault)


def test_another_master_that_disables_one_axis_is_never_overruled():
    with Axes() as axes:
        _, running = moving(axes)
        axes.other.send(Frame(0x605, bytes((0x2B, 0x40, 0x60, 0, 0x07, 0, 0, 0))))
        ends(axes, running, NotEnabled, "left OPERATION ENABLED")
        assert [made for _, node_id, made, _ in axes.entered if node_id == 5 and made in (4, 16)] == []


@pytest.mark.parametrize("word", [0x00, 0x02, 0x06])
def test_another_master_that_stops_one_axis_in_whatever_way_stops_all(word):
    with Axes() as axes:
        _, running = moving(axes)
        axes.other.send(Frame(0x606, bytes((0x2B, 0x40, 0x60, 0, word, 0, 0, 0))))
        ends(axes, running, NotEnabled)
        assert [made for _, _, made, _ in axes.entered if made in (4, 16)] == []


def test_a_node_that_is_reset_stops_all():
    with Axes() as axes:
        _, running = moving(axes)
        axes.other.send(Frame(0, bytes((0x81, 5))))
        ends(axes, running, MotionFailed, "no TPDO|SYNC")
        assert axes.states[0] is S.SWITCH_ON_DISABLED


def test_a_drive_that_loses_its_power_stops_the_other():
    with Axes() as axes:
        _, running = moving(axes)
        axes.drives[0].power_off()
        axes.sleep(0.1)
        assert 0 < axes.speeds[1] < 9
        with pytest.raises(MotionFailed, match="no TPDO came after 3 SYNCs") as raised:
            running.wait()
            running.result()
        assert raised.value.at_rest is False  # nobody can say of the one without power
        assert axes.states[1] is S.SWITCH_ON_DISABLED
        assert abs(axes.speeds[1]) < 0.02


def test_sync_that_stops_brings_all_to_rest():
    with Axes() as axes:
        _, running = moving(axes)
        axes.network.sync_cycle.stop()
        with pytest.raises((MotionFailed, DriveFault), match="SYNC"):
            running.wait()
            running.result()
        assert axes.at_rest


def test_a_lost_tpdo_is_counted_and_the_motion_goes_on():
    faults = [Fault("drop", can_id=0x385, from_s=0.7, nth=nth) for nth in (1, 5)]
    with Axes(faults=faults) as axes:
        report = axes.follow(there(8), there(8))
        assert report.finished
        assert [axis.tpdos_missed for axis in report.axes] == [2, 0]


def test_set_points_that_do_not_leave_are_counted_and_the_way_waits_for_them():
    with Axes() as axes:
        follower, running = moving(axes)
        axes_sent = []
        send = axes.network.pump.send
        broken = {"left": 2}

        def sometimes(frame, now):
            if frame.can_id in follower_ids(follower) and broken["left"]:
                broken["left"] -= 1
                raise SendFailed("sim", "no buffer")
            axes_sent.append(frame)
            send(frame, now)

        axes.network.pump.send = sometimes
        path, at = follower.motion.path_s, axes.now
        axes.sleep(0.02)
        axes.network.pump.send = send
        assert axes.now - at - (follower.motion.path_s - path) == pytest.approx(0.002, abs=1e-6)
        running.wait()
        report = running.result()
        assert report.finished
        assert report.missed == 2


def follower_ids(follower):
    return {axis.pdos.set_point.can_id for axis in follower.motion.axes}


def test_set_points_that_never_leave_stop_all():
    with Axes() as axes:
        follower, running = moving(axes)
        send = axes.network.pump.send

        def never(frame, now):
            if frame.can_id in follower_ids(follower):
                raise SendFailed("sim", "no buffer")
            send(frame, now)

        axes.network.pump.send = never
        error = ends(axes, running, MotionFailed, "did not leave")
        assert error.at_rest


def test_a_following_error_beyond_the_limit_stops_all():
    with Axes() as axes:
        _, running = moving(axes, rules=Rules(following_limit=400))
        axes.drives[0].motor.held = True
        ends(axes, running, FollowingErrorTooLarge, "400 is allowed")


def test_a_following_error_that_the_drive_reports_stops_all():
    with Axes() as axes:
        _, running = moving(axes)
        axes.drives[0].motor.held = True
        ends(axes, running, (FollowingErrorTooLarge, DriveFault))


def test_an_end_that_is_not_reached_is_told():
    with Axes(nodes=(5,)) as axes:
        axes.drives[0].motor.stops = (-10.0, 1 - 40 / TURN)
        with pytest.raises(MotionTimeout, match="off their ends") as raised:
            axes.follow(there(1), window=10, settle_s=0.05)
        assert raised.value.at_rest
        assert axes.at_rest


# --- stopping ---


def test_stop_ramps_down_along_the_way_and_the_axes_stay_enabled():
    with Axes() as axes:
        follower, running = moving(axes)
        follower.stop()
        assert speed_after(axes, 0.1)[0] == pytest.approx(5.0, abs=1.0)
        running.wait()
        report = running.result()
        assert not report.finished
        assert [abs(axis.end_error) <= NEAR for axis in report.axes] == [True, True]
        assert axes.states == [S.OPERATION_ENABLED] * 2
        assert axes.positions[0] == pytest.approx(axes.positions[1], abs=2 * NEAR)


@pytest.mark.parametrize("thrown", [KeyboardInterrupt(), PlanCancelled("enough")])
def test_a_plan_that_is_broken_off_ramps_down_and_disables(thrown):
    with Axes() as axes:
        _, running = moving(axes)
        running.throw(thrown)
        assert speed_after(axes, 0.1)[0] == pytest.approx(5.0, abs=1.0)
        ends(axes, running, type(thrown))


def test_closing_the_network_brings_all_to_rest():
    with Axes() as axes:
        moving(axes)
        axes.network.close()
        axes.bus.run_until(axes.bus.now + 3.0)
        for drive in axes.drives:
            drive.advance(axes.bus.now)
        assert [drive.pds.state in ENERGISED for drive in axes.drives] == [False, False]


def test_an_abandoned_plan_sends_a_quick_stop_at_once():
    with Axes() as axes:
        _, running = moving(axes)
        running.abandon()
        axes.sleep(0.5)
        assert axes.at_rest


def test_the_end_of_the_bus_ends_the_plan():
    with Axes() as axes:
        _, running = moving(axes)
        axes.network.port.close()
        with pytest.raises((NotAtRest, MotionFailed)) as raised:
            running.wait()
            running.result()
        assert isinstance(raised.value, NotAtRest) or raised.value.at_rest is False
        axes.bus.run_until(axes.bus.now + 3.0)
        for drive in axes.drives:  # they notice that SYNC is gone
            drive.advance(axes.bus.now)
            assert drive.pds.state not in ENERGISED


# --- devices whose PDOs do not fit ---


def refuse_mapping(drive):
    """A device whose mappings are fixed."""
    for index in [*range(0x1600, 0x1604), *range(0x1A00, 0x1A04)]:
        variables = drive.store.variables
        for key in [key for key in variables if key[0] == index]:
            variables[key] = replace(variables[key], access="ro")


def test_fixed_mappings_are_used_as_they_are_and_a_controlword_rides_along():
    with Axes() as axes:
        for drive in axes.drives:
            refuse_mapping(drive)
        follower = axes.follower(there(), there())
        report = axes.network.run(follower.plan())
        assert report.finished
        assert any("carries the controlword" in note for note in report.notes)
        assert axes.positions == [pytest.approx(4 * TURN, abs=5 * NEAR)] * 2
        assert axes.states == [S.OPERATION_ENABLED] * 2


def test_a_fault_is_met_by_a_controlword_that_rides_along():
    with Axes() as axes:
        for drive in axes.drives:
            refuse_mapping(drive)
        _, running = moving(axes)
        axes.drives[1].inject(0x7500)
        ends(axes, running, DriveFault)
        assert [made for _, _, made, _ in axes.entered if made in (4, 16)] == []


def test_a_device_without_pdos_is_fed_by_sdo():
    with Axes(nodes=(5,)) as axes:
        store = axes.drives[0].store
        for key in [key for key in store.variables if 0x1400 <= key[0] <= 0x1BFF]:
            del store.variables[key]
            store.values.pop(key, None)
        report = axes.follow(there(), period_s=0.01)
        assert report.finished
        assert axes.positions == [pytest.approx(4 * TURN, abs=5 * NEAR)]
        assert any("by SDO" in note for note in report.notes)


def test_a_device_that_sdo_is_too_slow_for_has_its_missed_set_points_counted():
    with Axes(nodes=(5,)) as axes:
        store = axes.drives[0].store
        for key in [key for key in store.variables if 0x1400 <= key[0] <= 0x1BFF]:
            del store.variables[key]
            store.values.pop(key, None)
        report = axes.follow(there(), period_s=0.001)
        assert report.missed > 0
        assert report.axes[0].sent > 0


def test_event_driven_tpdos_are_held_back_for_the_motion_and_put_back():
    with Axes(nodes=(5,)) as axes:
        before = axes.pdo_settings()
        running = axes.begin(axes.follower(there()), 0.1)
        during = {each.number: each for each in axes.pdo_settings()[:4]}
        assert during[3].transmission_type == 1
        assert [during[number].inhibit_s for number in (1, 2, 4)] == [0.02] * 3
        running.wait()
        assert axes.pdo_settings() == before


def test_nodes_that_are_not_operational_are_started():
    with Axes(enabled=False) as axes:
        assert [drive.nmt_state.name for drive in axes.drives] == ["PRE_OPERATIONAL"] * 2
        assert axes.follow(there(), there(), enable=True).finished
        assert [drive.nmt_state.name for drive in axes.drives] == ["OPERATIONAL"] * 2
