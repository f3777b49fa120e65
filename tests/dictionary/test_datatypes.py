"""opendiag.dictionary.datatypes: values to bytes and back."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary.datatypes import (
    SIGNED_BITS,
    UNSIGNED_BITS,
    DataType,
    bit_width,
    byte_width,
    decode_value,
    encode_value,
    integer_range,
    is_integer,
    is_signed,
    type_name,
)
from opendiag.errors import WireError

SIGNED = {
    DataType.INTEGER8: 1,
    DataType.INTEGER16: 2,
    DataType.INTEGER24: 3,
    DataType.INTEGER32: 4,
    DataType.INTEGER40: 5,
    DataType.INTEGER48: 6,
    DataType.INTEGER56: 7,
    DataType.INTEGER64: 8,
}
UNSIGNED = {
    DataType.UNSIGNED8: 1,
    DataType.UNSIGNED16: 2,
    DataType.UNSIGNED24: 3,
    DataType.UNSIGNED32: 4,
    DataType.UNSIGNED40: 5,
    DataType.UNSIGNED48: 6,
    DataType.UNSIGNED56: 7,
    DataType.UNSIGNED64: 8,
}
INTEGERS = {**SIGNED, **UNSIGNED}
VARIABLE = (DataType.OCTET_STRING, DataType.DOMAIN, 0x40, DataType.PDO_MAPPING)


def test_the_list_of_integer_types_here_is_the_whole_one():
    assert set(SIGNED) == set(SIGNED_BITS)
    assert {*UNSIGNED, DataType.BOOLEAN} == set(UNSIGNED_BITS)


@pytest.mark.parametrize("data_type", INTEGERS)
@given(data=st.data())
def test_integers_decode_as_int_from_bytes_does_and_encode_back(data_type, data):
    width, signed = INTEGERS[data_type], data_type in SIGNED
    raw = data.draw(st.binary(min_size=width, max_size=width))
    value = decode_value(data_type, raw)
    assert value == int.from_bytes(raw, "little", signed=signed)
    assert encode_value(data_type, value) == raw


@pytest.mark.parametrize("data_type", INTEGERS)
def test_integers_reach_exactly_the_ends_of_their_range(data_type):
    low, high = integer_range(data_type)
    bits = 8 * INTEGERS[data_type]
    assert (low, high) == ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if data_type in SIGNED else (0, 2**bits - 1))
    for value in (low, high):
        assert decode_value(data_type, encode_value(data_type, value)) == value
    for value in (low - 1, high + 1):
        with pytest.raises(WireError, match=f"{value} is outside {low}..{high} of {data_type.name}"):
            encode_value(data_type, value)


@pytest.mark.parametrize("data_type", INTEGERS)
def test_a_wrong_number_of_bytes_is_no_value(data_type):
    width = INTEGERS[data_type]
    assert byte_width(data_type) == width and bit_width(data_type) == 8 * width
    for wrong in (b"", bytes(width - 1), bytes(width + 1)):
        with pytest.raises(WireError, match=f"{len(wrong)} bytes where {data_type.name} has {width}"):
            decode_value(data_type, wrong)


def test_boolean():
    assert decode_value(DataType.BOOLEAN, b"\x01") is True
    assert decode_value(DataType.BOOLEAN, b"\x00") is False
    assert decode_value(DataType.BOOLEAN, b"\x05") == 5  # not ours to call it True
    assert encode_value(DataType.BOOLEAN, True) == b"\x01"
    assert encode_value(DataType.BOOLEAN, 0) == b"\x00"
    with pytest.raises(WireError):
        encode_value(DataType.BOOLEAN, 2)


@given(st.floats(width=32, allow_nan=False))
def test_real32_round_trip(value):
    assert encode_value(DataType.REAL32, value) == struct.pack("<f", value)
    assert decode_value(DataType.REAL32, encode_value(DataType.REAL32, value)) == value


@given(st.floats(allow_nan=False))
def test_real64_round_trip(value):
    assert encode_value(DataType.REAL64, value) == struct.pack("<d", value)
    assert decode_value(DataType.REAL64, encode_value(DataType.REAL64, value)) == value


def test_real_takes_whole_numbers_and_refuses_what_does_not_fit():
    assert decode_value(DataType.REAL32, encode_value(DataType.REAL32, 3)) == 3.0
    assert math.isnan(decode_value(DataType.REAL32, encode_value(DataType.REAL32, math.nan)))
    with pytest.raises(WireError, match="too large for REAL32"):
        encode_value(DataType.REAL32, 1e39)
    with pytest.raises(WireError, match="too large for REAL64"):
        encode_value(DataType.REAL64, 10**400)


@given(st.text(st.characters(max_codepoint=0xFF)).filter(lambda text: not text.endswith("\0")))
def test_visible_string_round_trip(text):
    assert encode_value(DataType.VISIBLE_STRING, text) == text.encode("latin-1")
    assert decode_value(DataType.VISIBLE_STRING, encode_value(DataType.VISIBLE_STRING, text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not text.endswith("\0")))
def test_unicode_string_round_trip(text):
    assert decode_value(DataType.UNICODE_STRING, encode_value(DataType.UNICODE_STRING, text)) == text


def test_strings_lose_their_padding_and_refuse_foreign_letters():
    assert decode_value(DataType.VISIBLE_STRING, b"SN:01\0\0\0") == "SN:01"
    assert decode_value(DataType.UNICODE_STRING, b"A\0\0\0") == "A"
    with pytest.raises(WireError, match="VISIBLE_STRING cannot hold '€'"):
        encode_value(DataType.VISIBLE_STRING, "5 €")


TIMES = st.tuples(st.integers(0, (1 << 28) - 1), st.integers(0, 0xFFFF))


@pytest.mark.parametrize("data_type", [DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE])
@given(time=TIMES)
def test_time_round_trip(data_type, time):
    ms, days = time
    raw = ms.to_bytes(4, "little") + days.to_bytes(2, "little")
    assert encode_value(data_type, decode_value(data_type, raw)) == raw


def test_time_reads_like_time():
    raw = (1500).to_bytes(4, "little") + b"\x01\x00"
    assert decode_value(DataType.TIME_OF_DAY, raw) == "1984-01-02T00:00:01.500"
    assert decode_value(DataType.TIME_DIFFERENCE, raw) == "P1DT1.5S"
    assert decode_value(DataType.TIME_DIFFERENCE, (86_399_999).to_bytes(6, "little")) == "P0DT86399.999S"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1983-12-31", "1984-01-01T00:00:00.0005", "2200-01-01", 5, b"\0" * 6]
)
def test_no_time_of_day(text):
    with pytest.raises(WireError):
        encode_value(DataType.TIME_OF_DAY, text)


@pytest.mark.parametrize("text", ["", "P1D", "P-1DT1S", "PT1S", "P1DT1.0005S", "P1DT999999S", "P65536DT0S", 5])
def test_no_time_difference(text):
    with pytest.raises(WireError):
        encode_value(DataType.TIME_DIFFERENCE, text)


@pytest.mark.parametrize("data_type", VARIABLE)
def test_types_without_width_are_bytes_both_ways(data_type):
    assert byte_width(data_type) is None and integer_range(data_type) is None
    assert decode_value(data_type, b"\x01\x02\x03") == b"\x01\x02\x03"
    assert encode_value(data_type, b"\x01\x02\x03") == b"\x01\x02\x03"
    for wrong in (1, "text", 1.5, True):
        with pytest.raises(WireError, match="takes bytes"):
            encode_value(data_type, wrong)


@pytest.mark.parametrize(
    ("data_type", "wrong"),
    [
        (DataType.UNSIGNED8, 1.0),
        (DataType.INTEGER32, "1"),
        (DataType.UNSIGNED16, b"\x01\x00"),
        (DataType.REAL32, "1.5"),
        (DataType.VISIBLE_STRING, b"abc"),
        (DataType.VISIBLE_STRING, 7),
    ],
)
def test_a_value_of_another_kind_is_refused(data_type, wrong):
    with pytest.raises(WireError, match=f"{data_type.name} takes"):
        encode_value(data_type, wrong)


def test_names_and_kinds():
    assert type_name(0x06) == "UNSIGNED16"
    assert type_name(0x40) == "type 0040h"
    assert is_signed(DataType.INTEGER24) and not is_signed(DataType.UNSIGNED24)
    assert is_integer(DataType.BOOLEAN) and not is_integer(DataType.REAL32)


#: Worked out by hand, low byte first.
GOLDEN = [
    (DataType.BOOLEAN, True, "01"),
    (DataType.INTEGER8, -2, "fe"),
    (DataType.INTEGER16, -300, "d4fe"),
    (DataType.INTEGER24, -0x123456, "aacbed"),
    (DataType.INTEGER32, -2, "feffffff"),
    (DataType.INTEGER40, 0x7F_0000_0001, "010000007f"),
    (DataType.INTEGER48, -1, "ffffffffffff"),
    (DataType.INTEGER56, -0x80_0000_0000_0000, "00000000000080"),
    (DataType.INTEGER64, 0x0102_0304_0506_0708, "0807060504030201"),
    (DataType.UNSIGNED8, 0xFE, "fe"),
    (DataType.UNSIGNED16, 0x1234, "3412"),
    (DataType.UNSIGNED24, 0x123456, "563412"),
    (DataType.UNSIGNED32, 0x80000181, "81010080"),
    (DataType.UNSIGNED40, 0xFF_0000_0001, "01000000ff"),
    (DataType.UNSIGNED48, 0x1234_5678_9ABC, "bc9a78563412"),
    (DataType.UNSIGNED56, 0x80_0000_0000_0000, "00000000000080"),
    (DataType.UNSIGNED64, 0xFFFF_FFFF_FFFF_FFFE, "feffffffffffffff"),
    (DataType.REAL32, -1.5, "0000c0bf"),
    (DataType.REAL64, 0.1, "9a9999999999b93f"),
    (DataType.VISIBLE_STRING, "save", "73617665"),
    (DataType.UNICODE_STRING, "Ω", "a903"),
    (DataType.OCTET_STRING, b"\x00\x01", "0001"),
    (DataType.DOMAIN, b"", ""),
    (DataType.TIME_OF_DAY, "1984-01-02T12:00:00.250", "fa2e93020100"),
    (DataType.TIME_DIFFERENCE, "P2DT0.001S", "010000000200"),
]


@pytest.mark.parametrize(("data_type", "value", "raw"), GOLDEN)
def test_golden_bytes_both_ways(data_type, value, raw):
    assert encode_value(data_type, value).hex() == raw
    assert decode_value(data_type, bytes.fromhex(raw)) == value


def test_there_are_golden_bytes_for_every_type_of_cia_301_but_the_records():
    records = {DataType.PDO_COMMUNICATION, DataType.PDO_MAPPING, DataType.SDO_PARAMETER, DataType.IDENTITY}
    assert {data_type for data_type, _, _ in GOLDEN} == set(DataType) - records


@pytest.mark.parametrize(
    ("data_type", "value", "reason"),
    [
        (DataType.INTEGER24, 0x800000, "8388608 is outside -8388608..8388607 of INTEGER24"),
        (DataType.UNSIGNED40, -1, "-1 is outside 0..1099511627775 of UNSIGNED40"),
        (DataType.BOOLEAN, 2, "2 is outside 0..1 of BOOLEAN"),
        (DataType.REAL32, 1e39, "a number too large for REAL32"),
        (DataType.VISIBLE_STRING, "5 €", "VISIBLE_STRING cannot hold '€'"),
        (DataType.DOMAIN, "text", "DOMAIN takes bytes, not 'text'"),
        (DataType.TIME_OF_DAY, "noon", "TIME_OF_DAY takes text such as 1984-01-02T00:00:01.500, not 'noon'"),
        (DataType.TIME_DIFFERENCE, "P65536DT0S", "16 bits of days"),
        (DataType.UNSIGNED8, None, "UNSIGNED8 takes an integer, not None"),
    ],
)
def test_a_refusal_says_what_would_fit(data_type, value, reason):
    with pytest.raises(WireError) as caught:
        encode_value(data_type, value)
    assert reason in str(caught.value)
