"""What goes to a USB-CAN Analyzer: bytes that other programs and manuals show, and what it cannot do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.usbcan_codec import (
    BAUD_RATES,
    BIT_RATES,
    CLEAR_FILTER,
    STATUS_REQUEST,
    ManualTiming,
    Settings,
    Status,
    blink_s,
    checksum,
    frame_bits,
    pack_baud,
    pack_frame,
    pack_settings,
    pack_stored_filter,
    parse_timing,
)
from opendiag.frame import Frame

EIGHT = bytes.fromhex("1122334455667788")


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (Frame(0x123, EIGHT), "AA C8 23 01 11 22 33 44 55 66 77 88 55"),
        (Frame(0x103, b"\x11\x22"), "AA C2 03 01 11 22 55"),
        (Frame(0x01234567, EIGHT, extended=True), "AA E8 67 45 23 01 11 22 33 44 55 66 77 88 55"),
        (Frame(0x01033021, b"\x11\x22", extended=True), "AA E2 21 30 03 01 11 22 55"),
        (Frame(0x080), "AA C0 80 00 55"),
        (Frame(0x705, b"\x7f"), "AA C1 05 07 7F 55"),
        (Frame(0x1FFFFFFF, extended=True), "AA E0 FF FF FF 1F 55"),
    ],
)
def test_variable_frames(frame, wire):
    assert pack_frame(frame) == bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (Frame(0x123, EIGHT), "AA 55 01 01 01 23 01 00 00 08 11 22 33 44 55 66 77 88 00 93"),
        (
            Frame(0x12345678, bytes(range(1, 9)), extended=True),
            "AA 55 01 02 01 78 56 34 12 08 01 02 03 04 05 06 07 08 00 44",
        ),
        (Frame(0x7FF, remote=True, dlc=8), "AA 55 01 01 02 FF 07 00 00 08 00 00 00 00 00 00 00 00 00 12"),
    ],
)
def test_fixed_frames(frame, wire):
    assert pack_frame(frame, fixed=True) == bytes.fromhex(wire)


def test_a_remote_frame_carries_the_bytes_it_asks_for():
    """Without them the adapter takes the start of the next frame for them, as with python-can's seeedstudio."""
    assert pack_frame(Frame(0x7FF, remote=True, dlc=8)) == bytes.fromhex("AA D8 FF 07 00 00 00 00 00 00 00 00 55")
    assert pack_frame(Frame(0x5, remote=True, extended=True, dlc=2)) == bytes.fromhex("AA F2 05 00 00 00 00 00 55")
    assert pack_frame(Frame(0x5, remote=True, dlc=0)) == bytes.fromhex("AA D0 05 00 55")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(0x1, bytes(12), fd=True), "no CAN FD frame"),
        (Frame(0x1, bytes(8), error=True), "no error frame"),
        (Frame(0x1, bytes(8), dlc=12), "no frame with a DLC of 12"),
        (Frame(0x1, remote=True, dlc=9), "no frame with a DLC of 9"),
    ],
)
def test_what_it_cannot_carry_is_refused(frame, reason):
    with pytest.raises(ValueError, match=reason):
        pack_frame(frame)


@pytest.mark.parametrize(
    ("settings", "wire"),
    [
        (Settings(500_000, one_shot=True), "AA 55 12 03 01 00 00 00 00 00 00 00 00 00 01 00 00 00 00 17"),
        (Settings(500_000), "AA 55 12 03 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 16"),
        (Settings(250_000), "AA 55 12 05 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 18"),
        (Settings(fixed=True), "AA 55 02 03 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 06"),
        (Settings(extended_only=True), "AA 55 12 03 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 17"),
        (Settings(loopback=True), "AA 55 12 03 01 00 00 00 00 00 00 00 00 01 00 00 00 00 00 17"),
        (Settings(silent=True), "AA 55 12 03 01 00 00 00 00 00 00 00 00 02 00 00 00 00 00 18"),
        (Settings(loopback=True, silent=True), "AA 55 12 03 01 00 00 00 00 00 00 00 00 03 00 00 00 00 00 19"),
        (
            Settings(filter_id=0x12345678, filter_mask=0x1FFFFFFF),
            "AA 55 12 03 01 78 56 34 12 FF FF FF 1F 00 00 00 00 00 00 46",
        ),
        (
            Settings(timing=ManualTiming(13, 4, 24, 2)),
            "AA 55 13 00 01 00 00 00 00 00 00 00 00 01 0C 03 18 00 00 3C",
        ),
    ],
)
def test_configurations(settings, wire):
    assert pack_settings(settings) == bytes.fromhex(wire)
    assert checksum(pack_settings(settings)) == pack_settings(settings)[-1]


def test_frames_are_sent_again_unless_asked_otherwise():
    """python-can's seeedstudio sends once: a frame that loses the arbitration is gone, and nobody is told."""
    assert pack_settings(Settings())[14] == 0
    assert pack_settings(Settings(one_shot=True))[14] == 1


def test_both_kinds_of_frames_are_received_unless_asked_otherwise():
    assert pack_settings(Settings())[4] == 1


@pytest.mark.parametrize(("rate", "code"), BIT_RATES.items())
def test_every_bit_rate(rate, code):
    assert pack_settings(Settings(rate))[3] == code


def test_the_bit_rates_are_the_twelve_it_has():
    assert sorted(BIT_RATES.values()) == list(range(1, 13))
    assert sorted(BIT_RATES, reverse=True) == sorted(BIT_RATES, key=BIT_RATES.__getitem__)


def test_another_bit_rate_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match=r"83333 bit/s; it has 5000, 10000, .*, 1000000"):
        Settings(83_333)


@pytest.mark.parametrize("options", [{"loopback": True}, {"silent": True}, {"one_shot": True}])
def test_manual_timing_leaves_no_room_for_modes(options):
    with pytest.raises(ValueError, match="either a manual timing, or"):
        Settings(timing=ManualTiming(13, 4, 24), **options)


def test_manual_timing():
    assert parse_timing("13,4,24").bit_rate == pytest.approx(83_333.3, abs=0.1)
    assert parse_timing("13, 4, 24, 2") == ManualTiming(13, 4, 24, 2)
    assert Settings(timing=parse_timing("13,4,24")).actual_bit_rate == pytest.approx(83_333.3, abs=0.1)
    for text in ("13,4", "a,b,c", "", "13,4,24,1,1", "-1,4,24"):
        with pytest.raises(ValueError, match="is not bs1,bs2,prescaler"):
            parse_timing(text)
    for text in ("17,4,24", "0,4,24", "13,9,24", "13,4,1025", "13,4,24,5"):
        with pytest.raises(ValueError, match="is outside"):
            parse_timing(text)


@pytest.mark.parametrize("options", [{"filter_id": -1}, {"filter_id": 0x2000_0000}, {"filter_mask": 0x2000_0000}])
def test_a_filter_beyond_29_bits_is_refused(options):
    with pytest.raises(ValueError, match=r"is outside 0\.\.0x1fffffff"):
        Settings(**options)


def test_requests():
    assert bytes.fromhex("AA 55 04") + bytes(16) + b"\x04" == STATUS_REQUEST
    assert bytes.fromhex("AA 55 11 00 11") == CLEAR_FILTER
    assert pack_baud(1_228_800) == bytes.fromhex("AA 55 06 01") + bytes(15) + b"\x07"
    assert pack_stored_filter([0x181, 0x12345678]) == bytes.fromhex("AA 55 10 02 81 01 00 00 78 56 34 12 A8")
    assert pack_stored_filter([0x181], block=True) == bytes.fromhex("AA 55 11 01 81 01 00 00 94")
    with pytest.raises(ValueError, match="no 57600 baud; it has 2000000, "):
        pack_baud(57_600)
    with pytest.raises(ValueError, match="101 identifiers"):
        pack_stored_filter([1] * 101)
    with pytest.raises(ValueError, match="0 identifiers"):
        pack_stored_filter([])


def test_the_light_says_how_long_the_adapter_is_deaf():
    assert [round(blink_s(baud), 1) for baud in BAUD_RATES] == [0.7, 1.4, 2.1, 2.8, 3.5, 4.2]
    assert blink_s(57_600) == blink_s(9_600), "the longest, where nothing is known"


@pytest.mark.parametrize(
    ("counters", "state"),
    [((0, 0), "error-active"), ((95, 95), "error-active"), ((96, 0), "error-warning"), ((0, 127), "error-warning"),
     ((128, 0), "error-passive"), ((0, 255), "error-passive")],
)  # fmt: skip
def test_the_state_follows_the_counters(counters, state):
    assert Status(*counters, b"").bus_state == state


def crc15(bits):
    register = 0
    for bit in bits:
        register = (register << 1 & 0x7FFF) ^ (0x4599 if bit ^ register >> 14 else 0)
    return register


def stuffed(bits):
    """How many bits these are on the bus, with a stuff bit after five equal ones."""
    count, last, run = 0, None, 0
    for bit in bits:
        count += 1
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            count, last, run = count + 1, 1 - bit, 1
    return count


def bits_of(frame):
    """On the bus, with the gap after it, counted bit by bit."""

    def bits(value, width):
        return [value >> place & 1 for place in reversed(range(width))]

    if frame.extended:
        head = [0, *bits(frame.can_id >> 18, 11), 1, 1, *bits(frame.can_id, 18), 0, 0, 0, *bits(frame.dlc, 4)]
    else:
        head = [0, *bits(frame.can_id, 11), 0, 0, 0, *bits(frame.dlc, 4)]
    body = [*head, *(bit for byte in frame.data for bit in bits(byte, 8))]
    return stuffed([*body, *bits(crc15(body), 15)]) + 10 + 3


@given(st.integers(0, 0x1FFFFFFF), st.binary(max_size=8), st.booleans())
def test_no_frame_takes_longer_on_the_bus_than_is_reckoned(number, data, extended):
    frame = Frame(number if extended else number & 0x7FF, data, extended)
    assert bits_of(frame) <= frame_bits(frame)


@pytest.mark.parametrize(("extended", "longest"), [(False, 135), (True, 160)])
def test_the_longest_frames(extended, longest):
    assert frame_bits(Frame(0, bytes(8), extended)) == longest
    assert frame_bits(Frame(0, b"", extended, remote=True, dlc=8)) == frame_bits(Frame(0, b"", extended))
