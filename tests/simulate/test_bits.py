"""The length of a CAN frame on the wire, against a count that goes bit by bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.frame import Frame
from opendiag.simulate.bits import (
    INTERMISSION_BITS,
    arbitration_bits,
    arbitration_key,
    frame_bits,
    frame_crc,
    wire_bits,
)


@st.composite
def frames(draw):
    extended = draw(st.booleans())
    can_id = draw(st.integers(0, 0x1FFF_FFFF if extended else 0x7FF))
    if draw(st.booleans()):
        return Frame(can_id, extended=extended, remote=True, dlc=draw(st.integers(0, 15)))
    # Bytes with long runs, so that stuff bits are common.
    byte = st.sampled_from([0, 0xFF, 0x0F, 0xF0, 0x1F, 0x83, 0x7C, 0xE0]) | st.integers(0, 255)
    data = bytes(draw(st.lists(byte, max_size=8)))
    return Frame(can_id, data, extended=extended, dlc=draw(st.integers(8, 15)) if len(data) == 8 else -1)


# --- the reference: the bits of ISO 11898-1 one after the other -----------------------------------------------------


def number(value, length):
    return [value >> place & 1 for place in reversed(range(length))]


def plain_bits(frame):
    bits = [0]
    if frame.extended:
        bits += [*number(frame.can_id >> 18, 11), 1, 1]
        bits += [*number(frame.can_id & 0x3FFFF, 18), int(frame.remote), 0, 0]
    else:
        bits += [*number(frame.can_id, 11), int(frame.remote), 0, 0]
    bits += number(frame.dlc, 4)
    for byte in frame.data:
        bits += number(byte, 8)
    return bits


def crc_of(bits):
    """As the Bosch CAN specification 2.0 writes it down."""
    register = 0
    for bit in bits:
        next_bit = bit ^ (register >> 14 & 1)
        register = register << 1 & 0x7FFF
        if next_bit:
            register ^= 0x4599
    return register


def stuffed(bits):
    result = []
    for bit in bits:
        result.append(bit)
        if len(result) >= 5 and len(set(result[-5:])) == 1:
            result.append(1 - bit)
    return result


def reference(frame):
    bits = plain_bits(frame)
    return stuffed(bits + number(crc_of(bits), 15)) + [1, 0, 1] + [1] * 7


@given(frames())
def test_counts_as_the_reference_does(frame):
    expected = reference(frame)
    assert frame_bits(frame) == len(expected)
    assert wire_bits(frame) == "".join(map(str, expected))


@given(frames())
def test_crc_as_the_reference_has_it(frame):
    assert frame_crc(frame) == crc_of(plain_bits(frame))


@given(frames())
def test_within_the_limits_of_the_standard(frame):
    plain = len(plain_bits(frame)) + 15
    assert 0 <= frame_bits(frame) - plain - 10 <= (plain - 1) // 4


@given(frames())
def test_no_six_equal_bits_before_the_delimiter(frame):
    body = wire_bits(frame)[:-10]
    assert "000000" not in body and "111111" not in body


# --- golden cases ---------------------------------------------------------------------------------------------------


def test_check_value_of_crc_15():
    # The catalogue's check value of CRC-15/CAN: the bytes "123456789".
    assert crc_of([bit for byte in b"123456789" for bit in number(byte, 8)]) == 0x059E


def test_all_zero():
    # SOF to CRC is 34 zeros: 34 + 6 stuff bits (after 5, then a 1 and five 0 each time), and 10 bits of tail.
    frame = Frame(0)
    assert frame_crc(frame) == 0
    assert wire_bits(frame) == "000001" * 6 + "0000" + "101" + "1111111"
    assert frame_bits(frame) == 50


@pytest.mark.parametrize(
    ("frame", "bits"),
    [
        (Frame(0x7FF), 47),
        (Frame(0x014, b"\x01"), 55),
        (Frame(0x665, bytes.fromhex("4078600000000000")), 118),
        (Frame(0x1FFFFFFF, b"\xff" * 8, extended=True), 146),
        # The longest that a search finds; 132 and 157 are the limits (135 and 160 with the intermission).
        (Frame(0x7FE, bytes.fromhex("fb8010f879f0f0ff")), 125),
        (Frame(0x107F0F7C, bytes.fromhex("7df83c3c2fa0fc00"), extended=True), 150),
    ],
)
def test_pinned_lengths(frame, bits):
    assert frame_bits(frame) == bits == len(reference(frame))


def test_the_limit_of_the_books():
    # 8 bytes, 11 bits: 34 + 64 stuffed bits, a stuff bit after five and then after every four: 24; 10 bits of tail.
    assert len(stuffed([0] * 5 + [1, 1, 1, 1, 0, 0, 0, 0] * 11 + [1] * 5)) + 10 + INTERMISSION_BITS == 135


@pytest.mark.parametrize(
    ("frame", "plain"),
    [
        (Frame(0x555, b"\x55" * 8), 108),
        (Frame(0x555), 44),
        (Frame(0x555, remote=True, dlc=5), 44),
        (Frame(0x15555555, b"\x55" * 8, extended=True), 128),
        (Frame(0x15555555, extended=True), 64),
    ],
)
def test_alternating_bits_are_stuffed_in_dlc_and_crc_only(frame, plain):
    assert plain <= frame_bits(frame) <= plain + 4


def test_dlc_above_eight_carries_eight_bytes():
    assert abs(frame_bits(Frame(0x123, b"\x55" * 8, dlc=15)) - frame_bits(Frame(0x123, b"\x55" * 8))) <= 5


@pytest.mark.parametrize("frame", [Frame(1, fd=True), Frame(0x20, bytes(8), error=True)])
@pytest.mark.parametrize("function", [frame_bits, frame_crc, wire_bits])
def test_only_classic_frames(frame, function):
    with pytest.raises(ValueError, match="only classic data and remote frames"):
        function(frame)


# --- arbitration ----------------------------------------------------------------------------------------------------


@given(frames(), frames())
def test_the_dominant_bit_wins(one, other):
    """The key orders frames as the bits of their arbitration fields do, dominant (0) first."""
    fields = [plain_bits(frame)[: arbitration_bits(frame) + (not frame.extended)] for frame in (one, other)]
    if fields[0] != fields[1]:
        assert (arbitration_key(one) < arbitration_key(other)) == (fields[0] < fields[1])
    else:
        assert arbitration_key(one) == arbitration_key(other)


def test_order_of_kinds():
    base = 0x123
    data, remote = Frame(base), Frame(base, remote=True)
    long_data = Frame(base << 18, extended=True)
    long_remote = Frame(base << 18, extended=True, remote=True)
    higher = Frame(base + 1)
    keys = [arbitration_key(frame) for frame in (data, remote, long_data, long_remote, higher)]
    assert keys == sorted(set(keys))
