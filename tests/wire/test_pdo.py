"""PDO bits against a reference that handles them one by one, as characters."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import WireError
from opendiag.wire.pdo import (
    DAM_MPDO,
    MAX_BITS,
    SAM_MPDO,
    MappingEntry,
    Mpdo,
    communication_index,
    mapping_index,
    pack,
    sign_extend,
    unpack,
)


def bits_of(data):
    """Bit 0 of byte 0 first."""
    return "".join(f"{byte:08b}"[::-1] for byte in data)


def number(bits):
    return int(bits[::-1], 2) if bits else 0


def reference_unpack(data, widths):
    bits, fields = bits_of(data), []
    for width in widths:
        if len(bits) < width:
            break
        fields.append(number(bits[:width]))
        bits = bits[width:]
    return fields


def reference_pack(values, widths):
    bits = ""
    for value, width in zip(values, widths, strict=True):
        remaining = value + 2**width if value < 0 else value
        for _ in range(width):
            bits += "01"[remaining % 2]
            remaining //= 2
    while len(bits) % 8:
        bits += "0"
    return bytes(number(bits[at : at + 8]) for at in range(0, len(bits), 8))


@st.composite
def mappings(draw):
    """Widths of 1..64 bits and strings of whole bytes, 512 bits together at most."""
    width = st.integers(1, 64) | st.integers(1, 64).map(lambda size: 8 * size)
    widths, room = [], MAX_BITS
    for candidate in draw(st.lists(width, max_size=64)):
        if candidate <= room:
            widths.append(candidate)
            room -= candidate
    return widths


def test_every_offset_and_width_up_to_64():
    data = random.Random(301).randbytes(64)
    bits = bits_of(data)
    for offset in range(MAX_BITS):
        for width in range(1, min(64, MAX_BITS - offset) + 1):
            assert unpack(data, [offset, width])[1] == number(bits[offset : offset + width]), (offset, width)


@pytest.mark.parametrize("offset", range(64))
def test_every_offset_and_width_in_a_classic_frame_is_packed_between_its_neighbours(offset):
    for width in range(1, 64 - offset + 1):
        rest = 64 - offset - width
        for value in (0, 1, (1 << width) - 1, 1 << width - 1, 0x5A5A_5A5A_5A5A_5A5A >> 64 - width):
            for around in (0, 1):
                widths = [offset, width, rest]
                values = [around * ((1 << offset) - 1), value, around * ((1 << rest) - 1)]
                data = pack(values, widths)
                assert data == reference_pack(values, widths)
                assert unpack(data, widths) == values


@given(mapping=mappings(), data=st.data())
def test_pack_and_unpack_any_mapping(mapping, data):
    values = [data.draw(st.integers(0, (1 << width) - 1)) for width in mapping]
    packed = pack(values, mapping)
    assert packed == reference_pack(values, mapping)
    assert unpack(packed, mapping) == values == reference_unpack(packed, mapping)


@given(mapping=mappings(), data=st.data())
def test_negative_numbers_come_back_by_sign_extension(mapping, data):
    values = [data.draw(st.integers(-(1 << width - 1), (1 << width - 1) - 1)) for width in mapping]
    packed = pack(values, mapping)
    assert packed == reference_pack(values, mapping)
    assert [sign_extend(raw, width) for raw, width in zip(unpack(packed, mapping), mapping, strict=True)] == values


@given(data=st.binary(max_size=64), widths=st.lists(st.integers(0, 80), max_size=20))
def test_unpack_takes_any_data_and_leaves_out_what_they_cut_short(data, widths):
    fields = unpack(data, widths)
    assert fields == reference_unpack(data, widths)
    if len(fields) < len(widths):
        assert sum(widths[: len(fields) + 1]) > 8 * len(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("27 02 08", [0x0227, 0x08]),
        ("27 02 08 FF", [0x0227, 0x08]),
        ("27 02", [0x0227]),
        ("27", []),
        ("", []),
    ],
)
def test_a_statusword_and_a_mode_from_short_and_long_frames(data, expected):
    assert unpack(bytes.fromhex(data), [16, 8]) == expected


def test_a_field_cut_in_the_middle_takes_nothing_from_the_one_behind_it():
    assert unpack(b"\xff\xff", [12, 8, 4]) == [0xFFF]


def test_a_string_of_64_bytes_is_one_field():
    text = bytes(range(64))
    assert unpack(text, [512]) == [int.from_bytes(text, "little")]
    assert pack([int.from_bytes(text, "little")], [512]) == text


def test_the_stepim_capture():
    """TPDO4 of node 101 maps 60FA:00 with 32 bits."""
    assert unpack(bytes.fromhex("F0 16 00 00"), [32]) == [5872]


@pytest.mark.parametrize(
    ("values", "widths", "reason"),
    [
        ([2], [1], "2 does not fit 1 bits"),
        ([-2], [1], "-2 does not fit 1 bits"),
        ([256], [8], "256 does not fit 8 bits"),
        ([-129], [8], "-129 does not fit 8 bits"),
        ([1], [0], "1 does not fit 0 bits"),
        ([1 << 512], [512], "does not fit 512 bits"),
        ([0, 0], [512, 1], "513 mapped bits"),
        ([0], [8, 8], "1 values for 2 mapped fields"),
        ([0, 0], [8], "2 values for 1 mapped fields"),
    ],
)
def test_what_does_not_fit_is_refused(values, widths, reason):
    with pytest.raises(WireError, match=reason):
        pack(values, widths)


@pytest.mark.parametrize("width", range(1, 13))
def test_sign_extend_every_value_of_small_widths(width):
    raw = range(1 << width)
    signed = [*range(1 << width - 1), *range(-(1 << width - 1), 0)]
    assert [sign_extend(value, width) for value in raw] == signed


@given(size=st.integers(1, 64), data=st.data())
def test_sign_extend_whole_bytes(size, data):
    raw = data.draw(st.binary(min_size=size, max_size=size))
    assert sign_extend(int.from_bytes(raw, "little"), 8 * size) == int.from_bytes(raw, "little", signed=True)


def test_no_bits_have_no_sign():
    assert sign_extend(0, 0) == 0
    assert pack([0], [0]) == b""


@pytest.mark.parametrize("index", range(20))
def test_dummies_are_the_first_seven_data_types(index):
    assert MappingEntry(index, 0, 8).is_dummy == (index in {1, 2, 3, 4, 5, 6, 7})


@pytest.mark.parametrize(
    "entry", [MappingEntry(0x10000, 0, 8), MappingEntry(0x6041, 256, 8), MappingEntry(0x6041, 0, 256)]
)
def test_an_entry_that_does_not_fit_32_bits_is_refused(entry):
    with pytest.raises(WireError, match="does not fit a mapping entry"):
        entry.encode()


def test_a_multiplexed_pdo_is_told_by_the_number_of_its_entries():
    assert (SAM_MPDO, DAM_MPDO) == (254, 255)


@pytest.mark.parametrize("length", [0, 7, 9, 64])
def test_a_multiplexed_pdo_has_eight_bytes(length):
    with pytest.raises(WireError, match=f"8 bytes, not {length}"):
        Mpdo.decode(bytes(length))


@pytest.mark.parametrize(
    ("mpdo", "reason"),
    [
        (Mpdo(128, False, 0x2000, 0, b""), "do not fit a multiplexed PDO"),
        (Mpdo(5, False, 0x10000, 0, b""), "do not fit a multiplexed PDO"),
        (Mpdo(5, False, 0x2000, 256, b""), "do not fit a multiplexed PDO"),
        (Mpdo(5, False, 0x2000, 0, bytes(5)), "carries 4 bytes, not 5"),
    ],
)
def test_what_no_multiplexed_pdo_can_say_is_refused(mpdo, reason):
    with pytest.raises(WireError, match=reason):
        mpdo.encode()


@pytest.mark.parametrize(("transmit", "first", "last"), [(True, 0x1800, 0x19FF), (False, 0x1400, 0x15FF)])
def test_where_the_parameters_of_512_pdos_are(transmit, first, last):
    assert [communication_index(transmit, number) for number in (1, 512)] == [first, last]
    assert [mapping_index(transmit, number) for number in (1, 512)] == [first + 0x200, last + 0x200]
