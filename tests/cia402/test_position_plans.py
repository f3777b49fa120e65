"""opendiag.cia402.position_plans: the handshake on the wire, where moves end and when, and what ends them early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_world import KINDS, Bench, S, trapezoid_s

from opendiag.cia402 import position_plans, power
from opendiag.cia402.link import HALT
from opendiag.cia402.position_plans import Goal, SetPoint, move, move_through
from opendiag.errors import (
    FollowingErrorTooLarge,
    LimitReached,
    MotionFailed,
    MotionTimeout,
    NotEnabled,
    OutsideLimits,
)

TURN = 4096
BIT_12 = 1 << 12
#: What comes on top of the trapezoid: reading the limits, changing the mode, the window, and the servo's own lag.
EXTRA_S = 0.25


def profile(bench, turns_s=3.0, turns_s2=40.0):
    """Velocity and acceleration in the drive's units."""
    if bench.stepim:
        return round(turns_s * 6000), round(turns_s2 * 60)
    return round(turns_s * TURN), round(turns_s2 * TURN)


def to(bench, target, **more):
    velocity, acceleration = profile(bench)
    more = {"velocity": velocity, "acceleration": acceleration, "deceleration": acceleration, **more}
    return move(bench.link, target, **more)


# --- the handshake ----------------------------------------------------------------------------------------------------


def test_the_handshake_as_golden_words():
    with Bench() as bench:
        bench.run(to(bench, TURN))
        assert bench.controlwords() == [0x1F, 0x0F]
        bench.run(to(bench, 2 * TURN, immediate=True))
        assert bench.controlwords() == [0x3F, 0x2F]
        bench.run(to(bench, TURN, relative=True))
        assert bench.controlwords() == [0x5F, 0x4F]
        bench.run(to(bench, TURN, relative=True, immediate=True))
        assert bench.controlwords() == [0x7F, 0x6F]
        bench.run(move_through(bench.link, [0, TURN], without_stop=True))
        assert bench.controlwords() == [0x21F, 0x20F, 0x21F, 0x20F]
        bench.run(to(bench, 0))
        assert bench.controlwords() == [0x1F, 0x0F], "bit 9 does not stay"


@pytest.mark.parametrize("kind", KINDS)
def test_bit_4_rises_only_while_bit_12_is_0_and_falls_only_when_it_is_1(kind):
    with Bench(kind) as bench:
        bench.run(move_through(bench.link, [TURN, 0, 2 * TURN, TURN]))
        shown, before, rises = 0, 0x0F, 0
        for index, value in bench.wire():
            if index == 0x6041:
                shown = value
            elif index == 0x6040:
                rising, falling = value & ~before & 0x10, before & ~value & 0x10
                assert not rising or not shown & BIT_12
                assert not falling or shown & BIT_12
                rises += bool(rising)
                before = value
            elif index == 0x607A:
                assert not shown & BIT_12, "a target is written only when the one before was taken"
        assert rises == 4 and not shown & BIT_12


def test_a_bit_4_left_set_is_cleared_first():
    with Bench() as bench:
        bench.run(to(bench, 0))
        bench.drain()
        bench.run(bench.link.change(set_bits=0x10))
        bench.network.sleep(0.01)
        bench.run(to(bench, TURN))
        assert bench.controlwords() == [0x1F, 0x0F, 0x1F, 0x0F]
        assert abs(bench.position - TURN) <= 100


def test_halt_and_the_manufacturers_bits_stay():
    with Bench() as bench:
        bench.link.controlword |= 0x1800
        bench.run(to(bench, TURN))
        assert bench.controlwords() == [0x181F, 0x180F]


# --- where it ends, and when ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turns", [0.05, 0.5, -1, 3, 10])
def test_a_move_ends_at_its_target_in_the_time_of_its_trapezoid(kind, turns):
    with Bench(kind) as bench:
        target = round(turns * TURN)
        began = bench.now
        shown = bench.run(to(bench, target))
        took = bench.now - began
        ideal = trapezoid_s(turns, 3.0, 40.0)
        assert abs(shown - target) <= (100 if bench.stepim else 20)
        assert 0.95 * ideal <= took <= 1.1 * ideal + EXTRA_S
        bench.network.sleep(0.3)
        assert abs(bench.position - target) <= 3
        assert bench.state is S.OPERATION_ENABLED


@pytest.mark.parametrize("kind", KINDS)
def test_a_move_to_where_it_stands_is_over_at_once(kind):
    with Bench(kind) as bench:
        bench.run(to(bench, TURN))
        began = bench.now
        bench.run(to(bench, TURN))
        assert bench.now - began < 0.1
        assert bench.run(to(bench, 0, relative=True)) == pytest.approx(TURN, abs=100)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", [0, 1, 2])
def test_relative_moves(kind, option):
    with Bench(kind) as bench:
        bench.write(0x60F2, option)
        bench.run(to(bench, TURN))
        bench.run(to(bench, -3 * TURN, relative=True))
        assert bench.position == pytest.approx(-2 * TURN, abs=40)
        bench.run(to(bench, TURN // 2, relative=True, immediate=True))
        assert bench.position == pytest.approx(-1.5 * TURN, abs=60)


def test_immediately_means_instead_and_otherwise_means_after():
    with Bench() as bench:
        bench.run(to(bench, 10 * TURN, wait=False))
        bench.network.sleep(0.3)
        began = bench.now
        bench.run(to(bench, -TURN, immediate=True))
        assert bench.position == pytest.approx(-TURN, abs=100) and bench.now - began < 1.2
        bench.run(to(bench, 5 * TURN, wait=False))
        bench.network.sleep(0.1)
        highest = 0
        running = bench.begin(to(bench, 0))
        while not running.done:
            bench.network.sleep(0.02)
            highest = max(highest, bench.position)
        assert bench.end(running) == pytest.approx(0, abs=100)
        assert highest == pytest.approx(5 * TURN, abs=100), "it went to the first target first"


def test_without_waiting_it_is_over_when_the_set_point_is_taken():
    with Bench() as bench:
        began = bench.now
        bench.run(to(bench, 20 * TURN, wait=False))
        assert bench.now - began < 0.15 and abs(bench.position) < TURN
        assert bench.link.controlword == 0x0F
        bench.network.sleep(7.5)
        assert bench.position == pytest.approx(20 * TURN, abs=100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_goes_through_all_its_targets(kind):
    with Bench(kind) as bench:
        seen = []
        velocity, acceleration = profile(bench)
        chain = [2 * TURN, -TURN, SetPoint(TURN, relative=True), 3 * TURN]
        running = bench.begin(
            move_through(bench.link, chain, velocity=velocity, acceleration=acceleration, deceleration=acceleration)
        )
        while not running.done:
            seen.append(bench.position)
            bench.network.sleep(0.01)
        assert bench.end(running) == pytest.approx(3 * TURN, abs=100)
        assert max(seen[: len(seen) // 2]) == pytest.approx(2 * TURN, abs=100)
        assert min(seen) == pytest.approx(-TURN, abs=100)


def test_a_chain_without_stops_is_faster_and_does_not_rest_on_the_way():
    def ride(without_stop):
        with Bench() as bench:
            velocity, acceleration = profile(bench)
            chain = [SetPoint(n * TURN, False, velocity, acceleration, acceleration) for n in (1, 2, 3, 4)]
            began, slowest = bench.now, []
            running = bench.begin(move_through(bench.link, chain, without_stop=without_stop))
            while not running.done:
                if 0.6 * TURN < bench.position < 3.4 * TURN:
                    slowest.append(bench.speed)
                bench.network.sleep(0.005)
            assert bench.end(running) == pytest.approx(4 * TURN, abs=100)
            return bench.now - began, min(slowest)

    (stopping_s, rests), (through_s, keeps) = ride(False), ride(True)
    assert through_s < stopping_s and abs(rests) < 0.2 and keeps > 1.5


def test_an_empty_chain_does_nothing():
    with Bench() as bench:
        assert bench.run(move_through(bench.link, [])) == bench.position
        assert bench.controlwords() == []


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(-3 * TURN, 3 * TURN), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 6)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(KINDS),
)
def test_any_sequence_of_moves_ends_where_arithmetic_says(moves, kind):
    with Bench(kind) as bench:
        wanted = 0
        for target, relative, immediate, wait, speed in moves:
            velocity, _ = profile(bench, turns_s=speed)
            relative = relative and wait  # what a relative target counts from on the way is the drive's business
            bench.run(to(bench, target, relative=relative, immediate=immediate, wait=True, velocity=velocity))
            wanted = wanted + target if relative else target
            assert abs(bench.position - wanted) <= 100
            assert not bench.link.controlword & 0x10
        assert bench.state is S.OPERATION_ENABLED


# --- refused before anything is sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "target", "more", "what"),
    [
        ({(0x607D, 1): -100, (0x607D, 2): 5000}, 5001, {}, "607Dh"),
        ({(0x607D, 1): -100, (0x607D, 2): 5000}, -101, {}, "607Dh"),
        ({(0x607B, 1): 0, (0x607B, 2): 4095}, 4096, {}, "607Bh"),
        ({(0x607D, 1): -100, (0x607D, 2): 5000}, 5001, {"relative": True}, "607Dh"),
        ({}, 1 << 31, {}, "607Dh"),
        ({}, 0, {"velocity": -1}, "6081:00"),
        ({}, 0, {"acceleration": 130_001}, "6083:00"),
        ({}, 0, {"deceleration": 0}, "6084:00"),
    ],
)
def test_outside_limits(objects, target, more, what):
    with Bench() as bench:
        for (index, subindex), value in objects.items():
            bench.drive.store.set(index, subindex, value)
        bench.drain()
        with pytest.raises(OutsideLimits, match=what) as caught:
            bench.run(move(bench.link, target, **more))
        assert {index for index, _ in bench.wire()} <= {0x6041}
        assert caught.value.at_rest is None and bench.state is S.OPERATION_ENABLED


def test_nothing_is_written_for_a_chain_with_one_bad_target():
    with Bench() as bench:
        bench.drive.store.set(0x607D, 2, 5000)
        with pytest.raises(OutsideLimits):
            bench.run(move_through(bench.link, [100, 200, 5001]))
        assert [index for index, _ in bench.wire() if index != 0x6041] == []


def test_limits_are_read_once():
    with Bench() as bench:
        bench.run(to(bench, 10))
        bench.drain()
        bench.run(to(bench, 20))
        asked = [frame.data[1:3] for frame in bench.drain() if frame.can_id == 0x600 + bench.node]
        assert bytes((0x7D, 0x60)) not in asked


def test_of_a_drive_that_is_not_enabled_nothing_is_asked_but_its_state():
    with Bench(enabled=False) as bench:
        with pytest.raises(NotEnabled, match=r"enable\(\) comes first"):
            bench.run(to(bench, TURN))
        assert bench.controlwords() == []


def test_halted_drives_do_not_move():
    with Bench() as bench:
        bench.run(power.halt(bench.link))
        with pytest.raises(MotionFailed, match="halt is set") as caught:
            bench.run(to(bench, TURN))
        assert caught.value.at_rest is None and bench.state is S.OPERATION_ENABLED
        bench.run(power.halt(bench.link, on=False))
        bench.run(to(bench, TURN))


# --- while it moves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_following_error_with_the_shaft_held(kind):
    with Bench(kind) as bench:
        running = bench.begin(to(bench, 20 * TURN), 0.5)
        bench.drive.motor.held = True
        with pytest.raises(FollowingErrorTooLarge) as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest


def test_a_drive_that_does_not_make_it_a_fault_shows_the_following_error_in_bit_13():
    with Bench() as bench:
        bench.write(0x6066, 5000)
        running = bench.begin(to(bench, 20 * TURN), 0.5)
        bench.drive.motor.held = True
        with pytest.raises(FollowingErrorTooLarge, match="bit 13") as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest and bench.state is not S.FAULT


def test_a_shaft_that_does_not_move_within_the_window_ends_in_a_time_out():
    with Bench() as bench:
        bench.drive.motor.held = True
        with pytest.raises(
            (MotionTimeout, LimitReached), match=r"\(bit 11\); it is at 0, and should be at 2000"
        ) as caught:
            bench.run(to(bench, 2000))
        assert caught.value.at_rest and bench.at_rest


def test_time_out():
    with Bench() as bench:
        began = bench.now
        with pytest.raises(MotionTimeout, match=r"did not end within 0.5 s; it is at \d+, and should be at 81920") as c:
            bench.run(to(bench, 20 * TURN, timeout_s=0.5))
        assert c.value.at_rest and bench.at_rest and bench.now - began < 1.0


def test_a_limit_switch_on_the_way():
    with Bench() as bench:
        bench.drive.switches.positive, bench.drive.switches.stop_motion = 2.0, True
        with pytest.raises(LimitReached, match="positive limit switch is active") as caught:
            bench.run(to(bench, 5 * TURN))
        assert caught.value.at_rest and bench.at_rest
        bench.run(power.enable(bench.link))
        bench.run(to(bench, TURN))
        assert bench.position == pytest.approx(TURN, abs=100), "away from the switch it may go"


def test_a_stale_target_reached_bit_is_not_believed():
    """The drive never clears bit 10: the position decides."""
    with Bench() as bench:
        bench.run(to(bench, 100))
        bench.shows(lambda word: word | 0x400)
        assert bench.run(to(bench, 3 * TURN)) == pytest.approx(3 * TURN, abs=101)


def test_a_drive_that_says_target_reached_elsewhere():
    """Somebody has changed the window 6067h meanwhile, or the drive counts otherwise."""
    with Bench() as bench:
        bench.run(to(bench, 100))
        bench.drive.motor.held = True
        bench.shows(lambda word: word & ~0x800 | 0x400)
        with pytest.raises(MotionFailed, match=r"target reached \(bit 10\) elsewhere; it is at \d+") as caught:
            bench.run(to(bench, 3000))
        assert caught.value.at_rest and bench.at_rest


def test_a_drive_that_does_not_acknowledge():
    with Bench() as bench:
        bench.run(to(bench, 100))
        bench.shows(lambda word: word & ~BIT_12)
        with pytest.raises(MotionFailed, match="did not acknowledge the set-point 200") as caught:
            bench.run(to(bench, 200))
        assert caught.value.at_rest and bench.at_rest


def test_a_drive_that_never_takes_the_next_set_point():
    with Bench() as bench:
        bench.run(to(bench, 100))
        bench.shows(lambda word: word | BIT_12)
        bench.drain()
        with pytest.raises(MotionTimeout, match="keeps bit 12 set") as caught:
            bench.run(to(bench, 200))
        assert caught.value.at_rest and 0x1F not in bench.controlwords()


def test_time_in_our_own_halt_does_not_count():
    with Bench() as bench:
        running = bench.begin(to(bench, 6 * TURN), 0.5)
        bench.run(power.halt(bench.link))
        bench.network.sleep(5.0)
        assert not running.done and abs(bench.speed) < 0.02 and bench.link.controlword & HALT
        bench.run(power.halt(bench.link, on=False))
        assert bench.end(running) == pytest.approx(6 * TURN, abs=100)


def test_halt_by_another_master():
    with Bench() as bench:
        running = bench.begin(to(bench, 6 * TURN), 0.5)
        bench.write(0x6040, 0x10F)
        began = bench.now
        with pytest.raises(MotionFailed, match="somebody else has set halt: 6040:00 is 010Fh") as caught:
            bench.end(running)
        assert caught.value.at_rest and bench.at_rest and bench.now - began < 0.5


def test_watch_is_called_at_every_look_and_ends_the_motion_with_what_it_raises():
    with Bench() as bench:
        looks = []

        def watch(link):
            looks.append((yield from link.read(0x6064)))
            if looks[-1] > TURN:
                raise LimitReached(link.node_id, "a move", "the script's own limit")

        with pytest.raises(LimitReached, match="own limit") as caught:
            bench.run(to(bench, 3 * TURN, watch=watch))
        assert caught.value.at_rest and bench.at_rest and bench.position < 1.5 * TURN
        assert len(looks) > 20 and looks == sorted(looks)


def test_the_bus_is_not_flooded():
    with Bench() as bench:
        bench.run(to(bench, 100))
        bench.drain()
        began = bench.now
        bench.run(to(bench, 10 * TURN))
        asked = [frame for frame in bench.drain() if frame.can_id == 0x600 + bench.node]
        assert len(asked) / (bench.now - began) < 350, "one look each 4 ms, a position each 20 ms"


@given(st.integers(-1000, 1000), st.integers(0, 100), st.integers(-2000, 2000))
def test_goals(target, tolerance, position):
    goal = Goal(target, tolerance)
    inside = target - tolerance <= position <= target + tolerance
    assert goal.has(position) is inside
    assert (goal.direction(position) == 0) is inside
    if not inside:
        assert goal.direction(position) == (1 if position < target else -1)


def test_names():
    assert position_plans._name((SetPoint(5),)) == "a move to 5"
    assert position_plans._name((SetPoint(5, relative=True),)) == "a move by 5"
    assert position_plans._name((SetPoint(1), SetPoint(5, True))) == "a move through 2 positions to +5 from there"
