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
