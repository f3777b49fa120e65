"""opendiag.cia402.device_limits: what the drive's own objects allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from motion_world import Bench

from opendiag.cia402.device_limits import Bound, check, check_position, device_limits, fits, forget_limits
from opendiag.cia402.link import DriveLink
from opendiag.errors import OutsideLimits

TURN = 4096


def limits(bench):
    forget_limits(bench.link)
    return bench.run(device_limits(bench.link))


def test_of_a_stepim():
    with Bench(enabled=False) as bench:
        found = limits(bench)
        assert [bound.whose for bound in found.position] == ["607Dh", "607Bh"]
        assert found.velocity == () and found.torque == (Bound(-4500, 4500, "6073h"),)
        assert found.position_window == 100


def test_of_a_servo():
    with Bench("servo", enabled=False) as bench:
        found = limits(bench)
        assert [bound.whose for bound in found.velocity] == ["6080h (6000 rpm)"]
        assert found.velocity[0].high == pytest.approx(100 * TURN)
        assert found.torque == (Bound(-1500, 1500, "6072h"),) and found.position_window == 20


@pytest.mark.parametrize(
    ("unit", "per_rpm"),
    [
        (0x00B44700, 1.0),
        (0xFEB44700, 100.0),
        (0x01B44700, 0.1),
        (0x00B40300, 1 / 60),
        (0x00010300, None),
    ],
)
def test_6080h_counts_rpm_whatever_the_velocities_count(unit, per_rpm):
    with Bench("servo", enabled=False) as bench:
        bench.drive.store.on_read(0x60A9, 0, lambda now: unit.to_bytes(4, "little"))
        found = limits(bench).velocity
        assert [bound.high for bound in found] == ([] if per_rpm is None else [pytest.approx(6000 * per_rpm)])


def test_limits_that_are_not_in_use():
    with Bench("servo", enabled=False) as bench:
        for index, value in ((0x6080, 0), (0x607F, 0xFFFFFFFF), (0x6072, 0)):
            if (index, 0) in bench.drive.store.variables:
                bench.drive.store.set(index, 0, value)
        bench.drive.store.set(0x607D, 1, 5)
        bench.drive.store.set(0x607D, 2, 5)
        found = limits(bench)
        assert found.velocity == () and "607Dh" not in [bound.whose for bound in found.position]
        bench.drive.store.set(0x6067, 0, 0xFFFFFFFF)
        assert limits(bench).position_window is None


def test_they_are_read_once_and_again_after_a_boot():
    with Bench(enabled=False) as bench:
        booted = [1.0]
        bench.link.booted_at = lambda: booted[0]
        bench.run(device_limits(bench.link))
        bench.drain()
        bench.run(device_limits(bench.link))
        assert bench.drain() == []
        booted[0] = 2.0
        bench.run(device_limits(bench.link))
        assert bench.drain() != []


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-2000, 2000))
def test_bounds(low, high, value):
    link = DriveLink(1)
    if low <= value <= high:
        check(link, "x", value, (Bound(low, high, "me"),))
    else:
        with pytest.raises(OutsideLimits, match="me; nothing was sent"):
            check(link, "x", value, (Bound(low, high, "me"),))


@given(st.integers(-(1 << 33), 1 << 33))
def test_the_type_is_a_limit(value):
    link = DriveLink(1)
    for index, (low, high) in {0x607A: (-(1 << 31), (1 << 31) - 1), 0x6081: (0, (1 << 32) - 1)}.items():
        if low <= value <= high:
            fits(link, "x", value, index)
        else:
            with pytest.raises(OutsideLimits, match="the range of"):
                fits(link, "x", value, index)


def test_what_nobody_knows_is_not_checked():
    fits(DriveLink(1), "x", 1 << 40, 0x2000)


def test_a_position_between_two_bounds():
    with Bench(enabled=False) as bench:
        bench.drive.store.set(0x607D, 1, -5)
        bench.drive.store.set(0x607D, 2, 5)
        forget_limits(bench.link)
        bench.run(check_position(bench.link, 5))
        with pytest.raises(OutsideLimits, match=r"6 is outside -5 .. 5, 607Dh"):
            bench.run(check_position(bench.link, 6))
