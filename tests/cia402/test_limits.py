"""Limits that a script sets for its motions: before, and while the motor moves."""

from __future__ import annotations

import pytest

from opendiag.cia402.limits import Limits
from opendiag.cia402.link import DriveLink
from opendiag.cia402.units import STEPIM_UNITS
from opendiag.errors import LimitReached, OutsideLimits, UnknownTarget
from opendiag.services.plans import Now, SdoRead

LINK = DriveLink(101)


def look(limits, values, now=0.0, began=None):
    """One look at a drive with these values."""
    plan = limits.watch(LINK, "the motion", began)
    answer = None
    try:
        while True:
            request = plan.send(answer)
            if isinstance(request, Now):
                answer = now
            else:
                assert isinstance(request, SdoRead)
                width = 2 if request.index == 0x6078 else 4
                answer = values[request.index].to_bytes(width, "little", signed=True)
    except StopIteration:
        return


def test_before():
    limits = Limits(("10 rev", "-90 deg"), "300 rpm", 50, "2 A").in_device_units(STEPIM_UNITS)
    assert limits.position == (-1024, 40960)
    assert limits.velocity == 30_000
    assert limits.current == 2000
    for counts in (-1024, 0, 40960):
        limits.check_position(101, counts)
    for counts in (-1025, 40961):
        with pytest.raises(OutsideLimits, match=r"position .* is outside -0\.25 rev to 10 rev, which this script"):
            limits.check_position(101, counts)
    limits.check(101, "velocity", -30_000)
    with pytest.raises(OutsideLimits, match=r"velocity -300\.01 rpm is outside 300 rpm either way"):
        limits.check(101, "velocity", -30_001)
    with pytest.raises(OutsideLimits, match=r"current 2\.001 A"):
        limits.check(101, "current", 2001)
    with pytest.raises(OutsideLimits, match="acceleration"):
        limits.check(101, "acceleration", 3001)


def test_while_it_moves():
    limits = Limits(position=(-1, 1), velocity=100, current=2).in_device_units(STEPIM_UNITS)
    fine = {0x6064: 4096 + 81, 0x606C: -10_900, 0x6078: 2199}  # 1 % of the window, 10 % of the others
    look(limits, fine)
    for change, text in (
        ({0x6064: 4096 + 83}, "position .* is beyond 1 rev"),
        ({0x6064: -4096 - 83}, "position .* is beyond -1 rev"),
        ({0x606C: -11_100}, "velocity -111 rpm is beyond 100 rpm"),
        ({0x6078: 2201}, "current 2.201 A is beyond 2 A"),
    ):
        with pytest.raises(LimitReached, match=text):
            look(limits, {**fine, **change})


def test_time():
    limits = Limits(time_s=2).in_device_units(STEPIM_UNITS)
    assert limits.watched
    look(limits, {}, now=5.0, began=3.0)
    look(limits, {}, now=50.0, began=None)
    with pytest.raises(LimitReached, match="longer than 2 s"):
        look(limits, {}, now=5.1, began=3.0)


def test_no_limits_are_none():
    limits = Limits().in_device_units(STEPIM_UNITS)
    assert not Limits()
    assert not limits.watched
    limits.check_position(101, 2**31)
    look(limits, {}, began=0.0, now=1e9)


def test_what_is_no_limit_is_refused():
    with pytest.raises(ValueError, match="no limit speed: expected position, velocity"):
        Limits.of({"speed": 3})
    with pytest.raises(UnknownTarget):
        Limits(velocity="3 furlongs").in_device_units(STEPIM_UNITS)
    with pytest.raises(ValueError, match="is not positive"):
        Limits(time_s=0).in_device_units(STEPIM_UNITS)
    with pytest.raises(ValueError, match="no finite number"):
        Limits(velocity=float("nan")).in_device_units(STEPIM_UNITS)
