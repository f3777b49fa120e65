"""Bit timing against a table of what Linux chooses, and against properties that hold for every clock."""

from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from opendiag.adapters.bit_timing import (
    MAX_ERROR,
    BitTiming,
    Limits,
    bit_timing,
    default_sample_point,
    parse_timing,
    tdc_offset,
)

MHZ = 1_000_000
#: CiA 301 and what is in the field besides.
RATES = (1_000_000, 800_000, 500_000, 250_000, 125_000, 100_000, 83_333, 50_000, 33_333, 20_000, 10_000)


def bx(clock_hz):
    """bxCAN of STM32, and what most gs_usb devices say."""
    return Limits(clock_hz, 1, 16, 1, 8, 4, 1, 1024, 1)


def mcan(clock_hz):
    return Limits(clock_hz, 1, 256, 1, 128, 128, 1, 512, 1)


def mcan_data(clock_hz):
    return Limits(clock_hz, 1, 32, 1, 16, 16, 1, 32, 1)


# --- the table: bit rate, then for each clock "brp,prop_seg,phase_seg1,phase_seg2"; only brp means 6,7,2 -------------

BX_CLOCKS = (16, 24, 48, 40, 80, 100)
BX = """
1000000  1,5,6,4  2,4,4,3  3,5,6,4  2,7,7,5  4,7,7,5  5,7,7,5
800000   1,7,8,4  2,5,6,3  3,7,8,4  5,3,4,2  5,7,8,4  25,1,2,1
500000   2        3        6        5        10       25,3,3,1
250000   4        6        12       10       20       25
125000   8        12       24       20       40       50
100000   10       15       30       25       50       125,3,3,1
83333    12       18       36       30       60       75
50000    20       30       60       50       100      125
33333    30       45       90       75       150      375,3,3,1
20000    50       75       150      125      250      625,3,3,1
10000    100      150      300      250      500      625
"""
MCAN_CLOCKS = (40, 64, 80, 100)
MCAN = """
1000000  1,14,15,10  1,23,24,16    1,29,30,20  1,37,37,25
800000   1,19,20,10  1,31,32,16    1,39,40,20  1,49,50,25
500000   1,34,35,10  1,55,56,16    1,69,70,20  1,87,87,25
250000   1,69,70,20  1,111,112,32  2,69,70,20  2,87,87,25
125000   2,69,70,20  2,111,112,32  4,69,70,20  4,87,87,25
100000   2,87,87,25  4,69,70,20    4,87,87,25  5,87,87,25
50000    4,87,87,25  5,111,112,32  8,87,87,25  10,87,87,25
20000    10,87,87,25 16,87,87,25   20,87,87,25 25,87,87,25
10000    20,87,87,25 25,111,112,32 40,87,87,25 50,87,87,25
"""
#: limits, clock in MHz, bit rate, sample point asked for in percent, segments, sample point got in percent, quanta.
OTHERS = [
    # 87.5 % asked for where CiA 301 has less
    (bx, 48, 1_000_000, 87.5, "3,6,7,2", 87.5, 16),
    (bx, 24, 1_000_000, 87.5, "3,3,3,1", 87.5, 8),
    (bx, 16, 1_000_000, 87.5, "1,6,7,2", 87.5, 16),
    (bx, 40, 1_000_000, 87.5, "5,3,3,1", 87.5, 8),
    (bx, 80, 1_000_000, 87.5, "5,6,7,2", 87.5, 16),
    (bx, 48, 800_000, 87.5, "4,6,6,2", 86.6, 15),
    (bx, 24, 800_000, 87.5, "2,6,6,2", 86.6, 15),
    # STM32F4: 42 MHz
    (bx, 42, 1_000_000, None, "2,7,7,6", 71.4, 21),
    (bx, 42, 500_000, None, "6,5,6,2", 85.7, 14),
    (bx, 42, 250_000, None, "21,3,3,1", 87.5, 8),
    (bx, 42, 125_000, None, "21,6,7,2", 87.5, 16),
    (bx, 42, 100_000, None, "28,6,6,2", 86.6, 15),
    # data phase of a CANtact Pro, which has the same limits in both
    (bx, 24, 2_000_000, None, "1,4,4,3", 75, 12),
    (bx, 24, 3_000_000, None, "1,2,3,2", 75, 8),
    (bx, 24, 4_000_000, None, "1,1,2,2", 66.6, 6),
    (bx, 24, 8_000_000, None, "1,0,1,1", 66.6, 3),
    # data phase of M_CAN
    (mcan_data, 40, 1_000_000, None, "1,14,15,10", 75, 40),
    (mcan_data, 40, 2_000_000, None, "1,7,7,5", 75, 20),
    (mcan_data, 40, 4_000_000, None, "1,3,3,3", 70, 10),
    (mcan_data, 40, 5_000_000, None, "1,2,3,2", 75, 8),
    (mcan_data, 40, 8_000_000, None, "1,1,1,2", 60, 5),
    (mcan_data, 80, 1_000_000, None, "2,14,15,10", 75, 40),
    (mcan_data, 80, 2_000_000, None, "1,14,15,10", 75, 40),
    (mcan_data, 80, 4_000_000, None, "1,7,7,5", 75, 20),
    (mcan_data, 80, 5_000_000, None, "1,5,6,4", 75, 16),
    (mcan_data, 80, 8_000_000, None, "1,3,3,3", 70, 10),
    (mcan_data, 64, 2_000_000, None, "1,11,12,8", 75, 32),
    # sample points and lengths of the first table
    (bx, 16, 1_000_000, None, "1,5,6,4", 75, 16),
    (bx, 24, 1_000_000, None, "2,4,4,3", 75, 12),
    (bx, 48, 1_000_000, None, "3,5,6,4", 75, 16),
    (bx, 40, 1_000_000, None, "2,7,7,5", 75, 20),
    (bx, 16, 800_000, None, "1,7,8,4", 80, 20),
    (bx, 24, 800_000, None, "2,5,6,3", 80, 15),
    (bx, 48, 800_000, None, "3,7,8,4", 80, 20),
    (bx, 40, 800_000, None, "5,3,4,2", 80, 10),
    (bx, 100, 800_000, None, "25,1,2,1", 80, 5),
    (bx, 100, 500_000, None, "25,3,3,1", 87.5, 8),
    (bx, 24, 500_000, None, "3,6,7,2", 87.5, 16),
]


def cells(table, limits, clocks):
    for line in table.split("\n")[1:-1]:
        rate, *segments = line.split()
        assert len(segments) == len(clocks)
        for clock, text in zip(clocks, segments, strict=True):
            yield limits, clock, int(rate), None, text if "," in text else f"{text},6,7,2", None, None


TABLE = [*cells(BX, bx, BX_CLOCKS), *cells(MCAN, mcan, MCAN_CLOCKS), *OTHERS]


def name_of(row):
    return f"{row[0].__name__}-{row[1]}MHz-{row[2]}" + (f"-{row[3]}" if row[3] else "")


@pytest.mark.parametrize(
    ("limits", "clock", "rate", "wanted", "segments", "point", "quanta"), TABLE, ids=[name_of(row) for row in TABLE]
)
def test_the_table(limits, clock, rate, wanted, segments, point, quanta):
    timing = bit_timing(limits(clock * MHZ), rate, wanted and wanted / 100)
    assert f"{timing.brp},{timing.prop_seg},{timing.phase_seg1},{timing.phase_seg2}" == segments
    assert timing.bit_rate == pytest.approx(rate, abs=0.5)
    if point is not None:
        assert int(timing.sample_point * 1000 + 1e-6) == round(point * 10)
        assert timing.quanta == quanta


def test_the_table_is_all_there():
    assert len(TABLE) == 11 * 6 + 9 * 4 + len(OTHERS)
    assert {row[2] for row in TABLE if row[0] is bx} >= set(RATES)


# --- what is refused ------------------------------------------------------------------------------------------------

REFUSED = [
    (bx, 42, 800_000, "807.692 kbit/s, 0.96 % off"),
    (bx, 24, 5_000_000, "4.8 Mbit/s, 4 % off"),
    (mcan_data, 64, 5_000_000, "4.92308 Mbit/s, 1.5 % off"),
]


@pytest.mark.parametrize(("limits", "clock", "rate", "nearest"), REFUSED)
def test_a_rate_that_is_missed_by_more_than_half_a_percent_is_refused(limits, clock, rate, nearest):
    with pytest.raises(ValueError, match=f"from a clock of {clock} MHz: the nearest rate is {nearest}"):
        bit_timing(limits(clock * MHZ), rate)


@pytest.mark.parametrize(("limits", "clock", "rate", "nearest"), REFUSED)
def test_it_is_taken_if_the_caller_accepts_the_error(limits, clock, rate, nearest):
    timing = bit_timing(limits(clock * MHZ), rate, max_error=0.05)
    assert nearest.startswith(str(timing).split(",")[0])


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (100, "0.1 kbit/s cannot be made from a clock of 24 MHz: the nearest rate is 0.9375 kbit/s"),
        (50_000_000, "50 Mbit/s cannot be made from a clock of 24 MHz: the nearest rate is 8 Mbit/s"),
        (0, "a bit rate of 0 bit/s does not exist"),
        (-5, "a bit rate of -5 bit/s does not exist"),
        (0.2, "0.0002 kbit/s cannot be made from a clock of 24 MHz: the nearest rate is 0.9375 kbit/s"),
        (1e300, "cannot be made"),
        (float("inf"), "a bit rate of inf bit/s does not exist"),
        (float("nan"), "a bit rate of nan bit/s does not exist"),
    ],
)
def test_a_rate_out_of_reach(rate, sentence):
    with pytest.raises(ValueError, match=sentence):
        bit_timing(bx(24 * MHZ), rate)


@pytest.mark.parametrize(("rate", "point"), [(500_000, 0.05), (1_000_000, 0.15)])
def test_a_sample_point_that_is_too_early(rate, point):
    """It is not the bit rate that is wrong, even if another one would have such a sample point."""
    with pytest.raises(ValueError, match=r"bit/s with a sample point at or before \d+ % cannot be made from") as caught:
        bit_timing(Limits(24 * MHZ, 1, 16, 1, 16, 4, 1, 1024, 1), rate, point)
    assert "24 MHz, tseg1 1..16, tseg2 1..16, sjw 1..4, brp 1..1024 in steps of 1" in str(caught.value)


@pytest.mark.parametrize("point", [87.5, 1, 0, -0.5, float("nan")])
def test_a_sample_point_that_is_no_part_of_a_bit(point):
    with pytest.raises(ValueError, match=r"does not exist: it is a part of the bit, such as 0\.875"):
        bit_timing(bx(24 * MHZ), 500_000, point)


@pytest.mark.parametrize(
    "field",
    [
        {"clock_hz": 0},
        {"clock_hz": 0xFFFF_FFFF},
        {"tseg1_max": 0},
        {"tseg2_max": 0},
        {"tseg1_min": 17},
        {"tseg2_max": 0xFFFF_FFFF},
        {"sjw_max": 0},
        {"brp_min": 0},
        {"brp_max": 0},
        {"brp_inc": 0},
    ],
)
def test_limits_of_no_controller(field):
    """A device that answers with junk must not make the search divide by zero or last for ever."""
    good = {name: getattr(bx(24 * MHZ), name) for name in Limits.__slots__}
    assert Limits(**good) == bx(24 * MHZ)
    with pytest.raises(ValueError, match="no CAN controller has such a bit timing"):
        Limits(**{**good, **field})


# --- details --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "point"),
    [(1_000_000, 0.75), (800_001, 0.75), (800_000, 0.8), (500_001, 0.8), (500_000, 0.875), (1, 0.875)],
)
def test_default_sample_points(rate, point):
    assert default_sample_point(rate) == point


@pytest.mark.parametrize(
    ("limits", "clock", "rate", "sjw"),
    [
        (bx, 24, 500_000, 1),  # phase_seg2 2: half of it
        (bx, 24, 8_000_000, 1),  # phase_seg2 1: never 0
        (bx, 42, 1_000_000, 3),
        (mcan, 80, 500_000, 10),
        (mcan, 64, 250_000, 16),
    ],
)
def test_sjw_is_half_of_phase_seg2(limits, clock, rate, sjw):
    assert bit_timing(limits(clock * MHZ), rate).sjw == sjw


def test_sjw_is_capped_by_the_controller():
    limits = Limits(80 * MHZ, 1, 256, 1, 128, 4, 1, 512, 1)
    assert bit_timing(limits, 500_000).sjw == 4


def test_sjw_is_not_longer_than_phase_seg1():
    timing = bit_timing(Limits(24 * MHZ, 1, 16, 1, 16, 16, 1, 1024, 1), 1_000_000, 0.3)
    assert timing.sjw <= timing.phase_seg1 < timing.phase_seg2 // 2


def test_a_divider_in_steps():
    timing = bit_timing(Limits(24 * MHZ, 1, 16, 1, 8, 4, 2, 128, 2), 500_000)
    assert timing.brp % 2 == 0
    assert timing.bit_rate == 500_000


def test_a_timing_says_what_it_is():
    assert str(bit_timing(bx(24 * MHZ), 500_000)) == (
        "500 kbit/s, sample point 87.5 % (brp 3, prop 6, ph1 7, ph2 2, sjw 1, 24 MHz)"
    )
    assert str(bit_timing(bx(24 * MHZ), 8_000_000)).startswith("8 Mbit/s, sample point 66.7 % (brp 1, prop 0, ph1 1")


def test_offset_of_the_delay_compensation():
    assert tdc_offset(bit_timing(mcan_data(40 * MHZ), 2_000_000)) == 15
    assert tdc_offset(bit_timing(mcan_data(80 * MHZ), 1_000_000)) == 60
    assert tdc_offset(bit_timing(bx(24 * MHZ), 500_000)) is None


@pytest.mark.parametrize(
    ("text", "timing"),
    [
        ("3,6,7,2", BitTiming(3, 6, 7, 2, 1, 24 * MHZ)),
        (" 3, 6 ,7,2 , 2 ", BitTiming(3, 6, 7, 2, 2, 24 * MHZ)),
        ("1,0,1,1", BitTiming(1, 0, 1, 1, 1, 24 * MHZ)),
        ("1024,8,8,8,4", BitTiming(1024, 8, 8, 8, 4, 24 * MHZ)),
    ],
)
def test_explicit_timing(text, timing):
    assert parse_timing(text, bx(24 * MHZ)) == timing


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not of the form brp,prop_seg,phase_seg1,phase_seg2"),
        ("3,6,7", "is not of the form"),
        ("3,6,7,2,1,1", "is not of the form"),
        ("3,6,7,-2", "is not of the form"),
        ("3,6,7,0x2", "is not of the form"),
        ("٣,6,7,2", "is not of the form"),
        ("9999999999,6,7,2", "is not of the form"),
        ("0,6,7,2", r"brp is 0, this adapter takes 1\.\.1024"),
        ("1025,6,7,2", r"brp is 1025, this adapter takes 1\.\.1024"),
        ("3,9,8,2", r"prop_seg \+ phase_seg1 is 17, this adapter takes 1\.\.16"),
        ("3,6,0,2", r"phase_seg1 is 0, this adapter takes 1\.\.16"),
        ("3,6,7,9", r"phase_seg2 is 9, this adapter takes 1\.\.8"),
        ("3,6,7,0", r"phase_seg2 is 0, this adapter takes 1\.\.8"),
        ("3,6,7,8,5", r"sjw is 5, this adapter takes 1\.\.4"),
        ("3,6,7,2,3", r"sjw is 3, this adapter takes 1\.\.2"),
        ("3,6,7,2,0", r"sjw is 0, this adapter takes 1\.\.2"),
    ],
)
def test_explicit_timing_that_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_timing(text, bx(24 * MHZ))


def test_explicit_timing_with_a_divider_in_steps():
    with pytest.raises(ValueError, match="brp is 3, this adapter takes multiples of 2"):
        parse_timing("3,6,7,2", Limits(24 * MHZ, 1, 16, 1, 8, 4, 2, 128, 2))


# --- properties -----------------------------------------------------------------------------------------------------


@st.composite
def any_limits(draw, clock_hz=None):
    if clock_hz is None:
        clock_hz = draw(st.sampled_from([8, 16, 20, 24, 30, 36, 40, 42, 48, 60, 64, 80, 100, 160])) * MHZ
    tseg1 = draw(st.integers(0, 4)), draw(st.integers(4, 64))
    tseg2 = draw(st.integers(0, 2)), draw(st.integers(2, 32))
    brp = draw(st.integers(1, 2)), draw(st.integers(16, 1024))
    return Limits(clock_hz, *tseg1, *tseg2, draw(st.integers(1, 32)), *brp, draw(st.integers(1, 2)))


def check(timing, limits, rate, point, max_error):
    assert max(1, limits.tseg1_min) <= timing.tseg1 <= limits.tseg1_max
    assert max(1, limits.tseg2_min) <= timing.phase_seg2 <= limits.tseg2_max
    assert limits.brp_min <= timing.brp <= limits.brp_max
    assert timing.brp % limits.brp_inc == 0
    assert timing.prop_seg == timing.tseg1 // 2
    assert 1 <= timing.sjw <= min(limits.sjw_max, timing.phase_seg1)
    assert timing.clock_hz == limits.clock_hz
    assert abs(timing.bit_rate - rate) <= max_error * rate
    # Linux compares whole thousandths, cut off.
    assert int(timing.sample_point * 1000 + 1e-9) <= round(point * 1000)


@given(any_limits(), st.integers(1, 10_000_000), st.floats(0.001, 0.999), st.sampled_from([0, MAX_ERROR, 0.05]))
@example(bx(24 * MHZ), 500_000, 0.999, 0)
def test_a_result_keeps_the_limits_or_is_refused(limits, rate, point, max_error):
    try:
        timing = bit_timing(limits, rate, point, max_error=max_error)
    except ValueError as error:
        assert "cannot be made from a clock of" in str(error)
    else:
        check(timing, limits, rate, point, max_error)


@given(st.data(), st.integers(1000, 2_000_000))
def test_what_can_be_made_exactly_is_made_exactly(data, rate):
    limits = data.draw(any_limits(clock_hz=MHZ))
    tseg1 = data.draw(st.integers(max(1, limits.tseg1_min), limits.tseg1_max))
    tseg2 = data.draw(st.integers(max(1, limits.tseg2_min), limits.tseg2_max))
    brp = limits.brp_inc * data.draw(st.integers(1, 8))
    quanta = 1 + tseg1 + tseg2
    assume(brp >= limits.brp_min and rate * brp * quanta <= 1_000_000_000)
    limits = replace(limits, clock_hz=rate * brp * quanta)
    permille = 1000 * (1 + tseg1) // quanta
    timing = bit_timing(limits, rate, permille / 1000, max_error=0)
    check(timing, limits, rate, permille / 1000, 0)
    assert int(timing.sample_point * 1000 + 1e-9) == permille


@pytest.mark.parametrize("limits", [bx, mcan])
@pytest.mark.parametrize("clock", [16, 24, 40, 48, 64, 80, 100])
@pytest.mark.parametrize("rate", RATES)
def test_every_usual_rate_on_every_usual_clock(limits, clock, rate):
    timing = bit_timing(limits(clock * MHZ), rate)
    check(timing, limits(clock * MHZ), rate, default_sample_point(rate), 1e-4)


@given(st.sampled_from([16, 24, 42]), st.sampled_from(RATES), st.sampled_from([0.5, 0.625, 0.7, 0.75, 0.8, 0.875, 0.9]))
def test_nothing_is_better(clock, rate, point):
    """All timings there are, tried one by one: none has a smaller error, and none as small has more quanta."""
    limits = bx(clock * MHZ)

    def errors(brp, tseg1, tseg2):
        quanta = 1 + tseg1 + tseg2
        early = round(point * 1000) - 1000 * (1 + tseg1) // quanta
        return abs(rate - limits.clock_hz // (brp * quanta)), early, -quanta

    # A divider that is off by more than one gives a rate that is off by more.
    near = {
        (brp, tseg1, tseg2)
        for tseg1 in range(1, 17)
        for tseg2 in range(1, 9)
        for down in [limits.clock_hz // (rate * (1 + tseg1 + tseg2))]
        for brp in (down, down + 1)
        if 1 <= brp <= 1024
    }
    best = min(found for found in (errors(*timing) for timing in near) if found[1] >= 0)
    timing = bit_timing(limits, rate, point, max_error=0.05)
    assert errors(timing.brp, timing.tseg1, timing.phase_seg2) == best


@given(st.text("0123456789,. -x", max_size=20) | st.text(max_size=12))
def test_any_text_is_a_timing_or_a_clear_refusal(text):
    limits = bx(24 * MHZ)
    try:
        timing = parse_timing(text, limits)
    except ValueError as error:
        assert str(error).startswith(f"bit timing {text!r}")
    else:
        assert 1 <= timing.brp <= 1024
        assert timing.tseg1 <= 16
