"""TIME_OF_DAY as a moment: seconds since 1970, and what comes later."""

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import WireError
from opendiag.wire.time_stamp import MS_PER_DAY, TimeOfDay

LAST_DAY = 5113 + 0xFFFF


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1984-01-01T00:00:00+00:00", TimeOfDay(0, 0)),
        ("1984-01-02T00:00:01.500+00:00", TimeOfDay(1500, 1)),
        ("2024-02-29T23:59:59.999+00:00", TimeOfDay(MS_PER_DAY - 1, 14669)),
    ],
)
def test_moments(text, time):
    seconds = datetime.fromisoformat(text).timestamp()
    assert TimeOfDay.from_epoch(seconds) == time
    assert time.epoch_s == pytest.approx(seconds, abs=1e-4)
    assert datetime.fromtimestamp(time.epoch_s, timezone.utc).isoformat()[:19] == time.isoformat()[:19]


@pytest.mark.parametrize("seconds", [0.0, 5113 * 86_400 - 1, (LAST_DAY + 1) * 86_400.0])
def test_what_16_bits_of_days_cannot_hold_is_refused(seconds):
    with pytest.raises(WireError, match="16 bits of days"):
        TimeOfDay.from_epoch(seconds)


@given(st.integers(0, MS_PER_DAY - 1), st.integers(0, 0xFFFF))
def test_round_trip_through_seconds(ms, days):
    time = TimeOfDay(ms, days)
    assert TimeOfDay.from_epoch(time.epoch_s) == time


@given(st.integers(0, MS_PER_DAY - 1), st.integers(0, 0xFFFF), st.integers(0, 10**9))
def test_later_is_a_time_of_day(ms, days, add_ms):
    later = TimeOfDay(ms, days).later(add_ms / 1000)
    assert 0 <= later.ms < MS_PER_DAY
    assert (later.days * MS_PER_DAY + later.ms - days * MS_PER_DAY - ms - add_ms) % (0x10000 * MS_PER_DAY) == 0


def test_rounding_may_begin_a_day():
    assert TimeOfDay(MS_PER_DAY - 1, 7).later(0.0009) == TimeOfDay(0, 8)
