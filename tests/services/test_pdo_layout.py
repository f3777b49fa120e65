"""Values in and out of a PDO: against a reference that cuts bit by bit, and against bytes written by hand."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary.datatypes import BIT_WIDTHS, SIGNED_BITS, UNSIGNED_BITS, DataType
from opendiag.dictionary.library import load
from opendiag.dictionary.model import Variable
from opendiag.errors import WireError
from opendiag.services.pdo_layout import PdoLayout
from opendiag.wire.pdo import MAX_BITS, MappingEntry

T = DataType
UNKNOWN = 0x2F00
OWN_TYPE = 0x40
#: One object of every type, at 2000h + its type.
VARIABLES = {
    (0x2000 + kind, 0): Variable(0x2000 + kind, 0, f"a {kind:02X}", kind)
    for kind in (*DataType, OWN_TYPE)
    if kind < T.PDO_COMMUNICATION or kind == OWN_TYPE
}
TIMES = (T.TIME_OF_DAY, T.TIME_DIFFERENCE)
REALS = (T.REAL32, T.REAL64)


def entry(kind, bits, subindex=0):
    return MappingEntry(0x2000 + kind, subindex, bits)


def layout(*fields):
    return PdoLayout([entry(kind, bits) for kind, bits in fields], VARIABLES)


@st.composite
def mappings(draw, whole_bytes=False):
    """Objects of any type, unknown ones and dummies, of any width: 512 bits together at most."""
    indices = [index for index, _ in VARIABLES] + [UNKNOWN, 1, 5, 7]
    entries, room = [], MAX_BITS
    for _ in range(draw(st.integers(0, 12))):
        index = draw(st.sampled_from(indices))
        own = BIT_WIDTHS.get(index - 0x2000, 8)
        width = draw(st.sampled_from([own, own, 8, 16, 24, 64]) | st.integers(0, 255))
        width = width // 8 * 8 if whole_bytes else width
        if width <= room:
            entries.append(MappingEntry(index, 0, width))
            room -= width
    return entries


def bits_kept(entries, data):
    """The data with everything cleared that has no value: dummies, padding, and what is reserved in a time.

    A REAL that is not a number has many forms; those are made 0.
    """
    whole, offset, kept = int.from_bytes(data, "little"), 0, 0
    for each in entries:
        field = whole >> offset & (1 << each.bits) - 1
        kind = each.index - 0x2000
        if each.is_dummy:
            field = 0
        elif kind in TIMES and each.bits == 48:
            field &= ~(0xF << 28)
        elif kind in REALS and each.bits == BIT_WIDTHS[kind]:
            number = struct.unpack("<f" if kind == T.REAL32 else "<d", field.to_bytes(each.bits // 8, "little"))[0]
            field = 0 if math.isnan(number) else field
        kept |= field << offset
        offset += each.bits
    return kept.to_bytes((offset + 7) // 8, "little")


@given(entries=mappings() | mappings(whole_bytes=True), data=st.binary(min_size=64, max_size=64))
def test_what_is_decoded_is_encoded_to_the_same_bits(entries, data):
    made = PdoLayout(entries, VARIABLES)
    kept = bits_kept(entries, data)
    values = made.decode(kept)
    assert len(values) == len(made.fields) == len(made.names) == len(set(made.names))
    assert made.encode(values) == kept
    assert made.decode(kept + b"\xa5\x5a") == values, "bytes behind the mapping change nothing"


@given(entries=mappings(), data=st.binary(min_size=64, max_size=64))
def test_a_field_never_takes_a_bit_of_its_neighbours(entries, data):
    """Each field alone, behind a gap of as many bits, says what it says in its place."""
    made = PdoLayout(entries, VARIABLES)
    kept = bits_kept(entries, data)
    whole = int.from_bytes(kept, "little")
    for field, value in zip(made.fields, made.decode(kept), strict=True):
        alone = PdoLayout([MappingEntry(field.index, 0, field.bits)], VARIABLES)
        assert alone.decode((whole >> field.offset & (1 << field.bits) - 1).to_bytes(32, "little")) == (value,)


@given(entries=mappings(), data=st.binary(max_size=64))
def test_short_data_are_refused_and_can_be_read_as_far_as_they_reach(entries, data):
    made = PdoLayout(entries, VARIABLES)
    reached = made.decode_available(data)
    if len(data) >= made.length:
        assert _same(reached, made.decode(data))
        return
    with pytest.raises(WireError, match=f"{len(data)} data bytes where the mapping has {made.length}"):
        made.decode(data)
    assert _same(reached, made.decode(data.ljust(64, b"\0"))[: len(reached)])
    unreached = made.fields[len(reached) :]
    assert all(field.offset + field.bits > 8 * len(data) for field in unreached)


def _same(left, right):
    """Equal, and a NaN is one here and there."""
    return len(left) == len(right) and all(a == b or (a != a and b != b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("kind", [*SIGNED_BITS, *UNSIGNED_BITS])
def test_every_integer_at_every_width_and_offset(kind):
    """The bits around are the opposite of the sign bit: one bit more or less would show."""
    signed = kind in SIGNED_BITS
    for width in range(1, 65):
        for offset in (0, 1, 4, 7, 8, 13, 32):
            made = PdoLayout([MappingEntry(UNKNOWN, 0, offset), entry(kind, width)], VARIABLES)
            for pattern in (1 << width - 1, (1 << width - 1) - 1, 0, (1 << width) - 1):
                around = 0 if pattern >> width - 1 else (1 << 128) - 1
                hole = ((1 << width) - 1) << offset
                data = (around & ~hole | pattern << offset).to_bytes(16, "little")
                want = pattern - (1 << width) if signed and pattern >> width - 1 else pattern
                assert made.decode(data)[-1] == want


@pytest.mark.parametrize(
    ("fields", "data", "values"),
    [
        ([(T.UNSIGNED16, 16), (T.INTEGER8, 8)], "2702fe", (0x0227, -2)),
        ([(T.INTEGER8, 4), (T.INTEGER8, 4)], "78", (-8, 7)),
        ([(T.UNSIGNED8, 4), (T.UNSIGNED8, 8), (T.UNSIGNED8, 4)], "bacd", (0xA, 0xDB, 0xC)),
        ([(T.BOOLEAN, 1)] * 3, "05", (True, False, True)),
        ([(T.BOOLEAN, 8), (T.BOOLEAN, 8)], "0102", (True, 2)),
        ([(T.UNSIGNED32, 16), (T.UNSIGNED16, 16)], "11112222", (0x1111, 0x2222)),
        ([(T.UNSIGNED8, 16), (T.INTEGER8, 16)], "2c01feff", (300, -2)),
        ([(T.INTEGER24, 24), (T.UNSIGNED40, 40)], "ffffff0100000080", (-1, 0x8000000001)),
        ([(T.REAL32, 32), (T.INTEGER32, 32)], "0000c03fffffffff", (1.5, -1)),
        ([(T.REAL64, 64)], "000000000000f83f", (1.5,)),
        ([(T.UNSIGNED64, 64)], "feffffffffffffff", ((1 << 64) - 2,)),
        ([(T.INTEGER64, 64)], "0000000000000080", (-(1 << 63),)),
        ([(T.VISIBLE_STRING, 64)], "48616c6c6f000000", ("Hallo",)),
        ([(T.VISIBLE_STRING, 24), (T.UNSIGNED8, 8)], "616263ff", ("abc", 255)),
        ([(T.UNICODE_STRING, 32)], "e4002126", ("ä☡",)),
        ([(T.UNICODE_STRING, 16)], "00d8", (b"\x00\xd8",)),
        ([(T.OCTET_STRING, 24), (OWN_TYPE, 8)], "01020003", (b"\x01\x02\0", b"\x03")),
        ([(T.TIME_OF_DAY, 48)], "dc0500000100", ("1984-01-02T00:00:01.500",)),
        ([(T.TIME_DIFFERENCE, 48)], "dc0500000100", ("P1DT1.5S",)),
        ([(T.REAL32, 16), (T.TIME_OF_DAY, 8)], "01020a", (b"\x01\x02", b"\x0a")),
    ],
)
def test_golden_bytes(fields, data, values):
    made, raw = layout(*fields), bytes.fromhex(data)
    assert made.decode(raw) == values
    assert [type(value) for value in made.decode(raw)] == [type(value) for value in values]
    assert made.encode(values) == raw


def test_an_unknown_object_keeps_its_bits_and_its_place():
    made = PdoLayout([MappingEntry(UNKNOWN, 2, 12), entry(T.UNSIGNED8, 8), MappingEntry(UNKNOWN, 2, 4)], VARIABLES)
    assert made.names == ("2F00:02", "a 05", "2F00:02, bit 20")
    assert made.decode(b"\x34\xa2\xfb") == (b"\x34\x02", 0xBA, b"\x0f")
    assert made.encode([b"\x34\x02", 0xBA, b"\x0f"]) == b"\x34\xa2\xfb"
    assert made.encode([0x234, 0xBA, 0xF]) == b"\x34\xa2\xfb", "a number does as well"


def test_dummies_take_room_and_have_no_value():
    made = PdoLayout(
        [MappingEntry(5, 0, 8), entry(T.INTEGER16, 16), MappingEntry(1, 0, 3), entry(T.BOOLEAN, 1)], VARIABLES
    )
    assert made.decode(b"\xff\xfe\xff\x0f") == (-2, True)
    assert made.encode([-2, True]) == b"\x00\xfe\xff\x08"
    assert (made.bits, made.length) == (28, 4)
    bytewise = PdoLayout([MappingEntry(5, 0, 8), entry(T.INTEGER16, 16), MappingEntry(7, 0, 32)], VARIABLES)
    assert bytewise.encode(bytewise.decode(b"\xff\xfe\xff\x0f\0\0\0")) == b"\x00\xfe\xff\0\0\0\0"
    with pytest.raises(WireError, match="3 data bytes where the mapping has 7"):
        bytewise.decode(b"\xff\xfe\xff")


def test_names_are_those_of_the_dictionary_and_unique():
    entries = [MappingEntry(0x6041, 0, 16), MappingEntry(0x1018, 1, 32), MappingEntry(0x6041, 0, 16)]
    names = PdoLayout(entries, load("stepim")).names
    assert names == ("Statusword", "Identity Object.Vendor ID", "Statusword (6041:00, bit 48)")


def test_without_a_dictionary_all_is_bytes():
    assert PdoLayout([MappingEntry(0x6041, 0, 16), MappingEntry(0x6061, 0, 8)]).decode(b"\x27\x02\x08") == (
        b"\x27\x02",
        b"\x08",
    )


def test_a_whole_can_fd_frame():
    made = PdoLayout([entry(T.UNSIGNED64, 64)] * 8, VARIABLES)
    assert made.encode(range(8)) == b"".join(number.to_bytes(8, "little") for number in range(8))
    with pytest.raises(WireError, match="520 mapped bits; a PDO has at most 512"):
        PdoLayout([entry(T.UNSIGNED64, 64)] * 8 + [entry(T.UNSIGNED8, 8)])


def test_nothing_is_mapped():
    made = PdoLayout([MappingEntry(0x2005, 0, 0)], VARIABLES)
    assert (made.decode(b"\x01"), made.encode([]), made.fields, made.length) == ((), b"", (), 0)


@pytest.mark.parametrize(
    ("fields", "values", "reason"),
    [
        ([(T.UNSIGNED16, 16)], [65536], "a 06: 65536 is outside 0..65535 of 16 bits"),
        ([(T.UNSIGNED16, 16)], [-1], "a 06: -1 is outside 0..65535 of 16 bits"),
        ([(T.INTEGER8, 4)], [8], "a 02: 8 is outside -8..7 of 4 bits"),
        ([(T.BOOLEAN, 1)], [2], "a 01: 2 is outside 0..1 of 1 bits"),
        ([(T.UNSIGNED8, 8)], [1.0], "a 05: an integer is wanted, not 1.0"),
        ([(T.UNSIGNED8, 8)], ["1"], "a 05: an integer is wanted, not '1'"),
        ([(T.UNSIGNED8, 8)], [b"1"], "a 05: UNSIGNED8 takes no bytes: b'1'"),
        ([(T.REAL32, 32)], [1e39], "a 08: a number too large for REAL32"),
        ([(T.REAL32, 32)], [b"abcd"], "a 08: REAL32 takes no bytes: b'abcd'"),
        ([(T.REAL32, 16)], [1.5], "a 08: 2 bytes are wanted, not 1.5"),
        ([(T.VISIBLE_STRING, 16)], ["abc"], "a 09: 'abc' does not fit 2 bytes"),
        ([(T.OCTET_STRING, 16)], [b"a"], "a 0A: b'a' is not 16 bits in 2 bytes"),
        ([(OWN_TYPE, 12)], [b"\xff\xff"], r"a 40: b'\\xff\\xff' is not 12 bits in 2 bytes"),
        ([(T.DOMAIN, 16)], [7], "a 0F: 2 bytes are wanted, not 7"),
        ([(T.TIME_OF_DAY, 48)], [7], "a 0C: TIME_OF_DAY takes text such as"),
        ([(T.UNSIGNED8, 8)], [], "0 values for 1 mapped objects"),
        ([(T.UNSIGNED8, 8)], [1, 2], "2 values for 1 mapped objects"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(fields, values, reason):
    with pytest.raises(WireError, match=reason):
        layout(*fields).encode(values)
