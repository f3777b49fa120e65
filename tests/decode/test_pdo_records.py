"""Process data: every bit in its place, whatever the mapping, and never a value that was not in the frame."""

import pytest
from devices import dictionary, mapping_word, read, u32, written
from hypothesis import example, given
from hypothesis import strategies as st
from sdo_talk import frames

from opendiag.decode.decoder import Decoder
from opendiag.dictionary.datatypes import SIGNED_BITS, DataType
from opendiag.frame import FD_LENGTHS, Frame
from opendiag.wire.pdo import Mpdo

NODE = 5
COB_ID = 0x2AA
UNKNOWN_OBJECT = 0x2F00


def decoder(entries, slots=(), dictionaries=None):
    """TPDO1 of node 5 is on 2AAh and mapped by SDO to (index, subindex, bits) entries; ``slots`` are left over."""
    made = Decoder(dictionaries)
    words = [mapping_word(*entry) for entry in entries]
    talk = written(
        (0x1800, 1, u32(COB_ID)),
        *((0x1A00, n, u32(word)) for n, word in enumerate([*words, *slots], 1)),
        (0x1A00, 0, bytes([len(words)])),
    )
    for frame in frames(talk, NODE):
        made.feed(frame)
    return made


def pdo(data, **options):
    """The shortest frame that holds these bytes: CAN FD above eight."""
    if len(data) <= 8:
        return Frame(COB_ID, data, **options)
    length = next(length for length in FD_LENGTHS if length >= len(data))
    return Frame(COB_ID, data.ljust(length, b"\0"), fd=True, **options)


def reference(data, offset, width, signed):
    """Bit by bit: bit n of a PDO is bit n % 8 of byte n // 8."""
    bits = [data[n // 8] >> n % 8 & 1 for n in range(offset, offset + width)]
    number = sum(bit << n for n, bit in enumerate(bits))
    return number - (bits[-1] << width) if signed else number


# --- bits ----------------------------------------------------------------------------------------------------------

TYPED = dictionary(
    {
        (0x2000, 0): {"data_type": DataType.INTEGER64},
        (0x2001, 0): {"data_type": DataType.UNSIGNED64},
        (0x2002, 0): {"data_type": DataType.INTEGER8},
        (0x2003, 0): {"data_type": DataType.UNSIGNED8},
        (0x2004, 0): {"data_type": DataType.INTEGER32},
        (0x2005, 0): {"data_type": DataType.BOOLEAN},
    }
)
SIGNED = {0x2000: True, 0x2001: False, 0x2002: True, 0x2003: False, 0x2004: True, 0x2005: False}


@st.composite
def layouts(draw):
    """(entries, data): up to 64 entries of any width that fill at most 512 bits, and a frame that holds them."""
    entries, used = [], 0
    while len(entries) < 64:
        width = draw(st.integers(1, min(64, 512 - used)) | st.integers(1, min(255, 512 - used)))
        index = draw(st.sampled_from([*SIGNED, UNKNOWN_OBJECT, 5]))
        entries.append((index, 0, width))
        used += width
        if used >= 512 or not draw(st.booleans()):
            break
    need = (used + 7) // 8
    length = draw(st.sampled_from([length for length in FD_LENGTHS if length >= need]))
    return entries, draw(st.binary(min_size=length, max_size=length))


@given(layouts())
def test_every_field_is_where_the_mapping_says(layout):
    entries, data = layout
    records = decoder(entries, dictionaries={NODE: TYPED}).feed(pdo(data))
    offset = 0
    for record, (index, _, width) in zip(records, entries, strict=False):
        assert (record.index, record.bit_offset, record.bit_width) == (index, offset, width)
        assert record.raw == reference(data, offset, width, False).to_bytes((width + 7) // 8, "little")
        if index in SIGNED:
            assert record.value == reference(data, offset, width, SIGNED[index])
        else:
            assert record.value is None
            assert ("dummy" if index == 5 else "not-in-dictionary") in record.flags
        offset += width
    assert len(records) >= len(entries), "every object has a record"
    assert all("pdo-too-long" in record.flags for record in records[len(entries) :])


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("width", range(1, 65))
def test_every_width_at_every_offset(width, signed):
    """The bits before and behind are the opposite of the sign bit, so that one bit more or less would show."""
    index = 0x2000 if signed else 0x2001
    for offset in range(65):
        entries = [(UNKNOWN_OBJECT, 0, offset)] if offset else []
        made = decoder([*entries, (index, 0, width)], dictionaries={NODE: TYPED})
        for pattern in (1 << width - 1, (1 << width - 1) - 1):
            around = 0 if pattern >> width - 1 else (1 << 128) - 1
            hole = ((1 << width) - 1) << offset
            data = (around & ~hole | pattern << offset).to_bytes(16, "little")
            record = made.feed(pdo(data))[len(entries)]
            assert record.value == reference(data, offset, width, signed)
            assert ("mapped-width" in record.flags) == (width != 64)


def test_the_last_bit_of_64_bytes():
    entries = [(UNKNOWN_OBJECT, 0, 255), (UNKNOWN_OBJECT, 1, 255), (0x2005, 0, 1), (0x2005, 0, 1)]
    made = decoder(entries, dictionaries={NODE: TYPED})
    assert [r.value for r in made.feed(pdo(bytes(63) + b"\x80"))] == [None, None, False, True]
    assert [r.value for r in made.feed(pdo(bytes(63) + b"\x40"))] == [None, None, True, False]


@pytest.mark.parametrize(("data_type", "bits"), [(t, b) for t, b in SIGNED_BITS.items()])
def test_integers_of_their_own_width_need_no_remark(data_type, bits):
    given = dictionary({(0x2000, 0): {"data_type": data_type}})
    made = decoder([(UNKNOWN_OBJECT, 0, 3), (0x2000, 0, bits)], dictionaries={NODE: given})
    record = made.feed(pdo((-2 << 3 & (1 << 72) - 1).to_bytes(9, "little")))[1]
    assert record.value == -2 and "mapped-width" not in record.flags


@pytest.mark.parametrize(
    ("data_type", "bits", "raw", "value"),
    [
        (DataType.REAL32, 32, bytes.fromhex("0000c03f"), 1.5),
        (DataType.REAL64, 64, bytes.fromhex("000000000000f83f"), 1.5),
        (DataType.VISIBLE_STRING, 32, b"ABC\0", "ABC"),
        (DataType.OCTET_STRING, 24, b"\1\2\3", b"\1\2\3"),
        (DataType.TIME_OF_DAY, 48, bytes.fromhex("e80300000100"), "1984-01-02T00:00:01.000"),
    ],
)
def test_other_types(data_type, bits, raw, value):
    given = dictionary({(0x2000, 0): {"data_type": data_type}})
    (record,) = decoder([(0x2000, 0, bits)], dictionaries={NODE: given}).feed(pdo(raw))
    assert (record.value, record.flags) == (value, ())


@pytest.mark.parametrize(
    ("data_type", "bits"),
    [(DataType.REAL32, 30), (DataType.REAL32, 16), (DataType.REAL64, 60), (DataType.TIME_OF_DAY, 44)],
)
def test_part_of_a_real_or_of_a_time_is_no_value(data_type, bits):
    given = dictionary({(0x2000, 0): {"data_type": data_type}})
    record = decoder([(0x2000, 0, bits)], dictionaries={NODE: given}).feed(pdo(b"\x12\x34\x56\x38\0\0\1\0"))[0]
    assert record.value is None and "length-mismatch" in record.flags


# --- what a mapping may hold besides -------------------------------------------------------------------------------


def test_an_object_that_nobody_knows_keeps_its_bits():
    made = decoder([(0x2003, 0, 8), (UNKNOWN_OBJECT, 7, 12), (0x2003, 0, 8)], dictionaries={NODE: TYPED})
    before, missing, after = made.feed(pdo(bytes.fromhex("11bcda0e")))
    assert (before.value, after.value) == (0x11, 0xED)
    assert (missing.object_text, missing.raw, missing.value) == ("2F00:07", b"\xbc\x0a", None)
    assert missing.flags == ("not-in-dictionary",)
    assert missing.text == "as u12: 2748, as i12: -1348"


def test_a_dummy_keeps_its_bits_and_has_no_value():
    made = decoder([(0x0005, 0, 8), (0x0002, 0, 4), (0x2003, 0, 8)], dictionaries={NODE: TYPED})
    first, second, after = made.feed(pdo(bytes.fromhex("ff2f0a")))
    assert after.value == 0xA2
    for dummy in (first, second):
        assert (dummy.name, dummy.value, dummy.flags) == ("dummy", None, ("dummy",))


def test_an_entry_of_no_bits_maps_nothing():
    made = decoder([(0x2003, 0, 8), (0x2003, 0, 0), (0, 0, 0), (0x2003, 0, 8)], dictionaries={NODE: TYPED})
    assert [record.value for record in made.feed(pdo(b"\1\2"))] == [1, 2]


def test_subindex_0_counts_and_left_over_slots_do_not():
    made = decoder([(0x2003, 0, 8)], slots=[mapping_word(0x2000, 0, 64)], dictionaries={NODE: TYPED})
    (record,) = made.feed(pdo(b"\1"))
    assert (record.value, record.mapping_from) == (1, "traffic")


def test_subindex_0_may_grow_into_left_over_slots():
    made = decoder([(0x2003, 0, 8)], slots=[mapping_word(0x2002, 0, 8)], dictionaries={NODE: TYPED})
    for frame in frames(written((0x1A00, 0, b"\2")), NODE):
        made.feed(frame)
    assert [record.value for record in made.feed(pdo(b"\1\xff"))] == [1, -1]


@pytest.mark.parametrize("length", range(4))
def test_too_short(length):
    made = decoder([(0x2003, 0, 8), (0x2003, 0, 24)], dictionaries={NODE: TYPED})
    *whole, cut = made.feed(pdo(b"\1\2\3"[:length]))
    assert [record.value for record in whole] == [1][:length]
    assert (cut.status, cut.value, cut.index) == ("malformed", None, None)
    assert cut.flags == ("pdo-too-short",) and cut.raw == b"\2\3"[: max(length - 1, 0)]
    size = "1 byte" if length == 1 else f"{length} bytes"
    assert cut.text == f"too short: the mapping has 4 bytes, the frame {size}"


def test_too_short_within_a_byte():
    made = decoder([(0x2003, 0, 4), (0x2003, 0, 8)], dictionaries={NODE: TYPED})
    whole, cut = made.feed(pdo(b"\xa5"))
    assert (whole.value, cut.raw, cut.text) == (5, b"\x0a", "too short: the mapping has 12 bits, the frame 1 byte")


def test_too_long():
    made = decoder([(0x2003, 0, 8)], dictionaries={NODE: TYPED})
    whole, rest = made.feed(pdo(b"\1\2\3"))
    assert whole.value == 1
    assert (rest.status, rest.raw, rest.value, rest.flags) == ("ok", b"\2\3", None, ("pdo-too-long",))
    assert rest.text == "too long: the mapping has 1 byte, the frame 3 bytes"


def test_too_long_by_the_steps_of_can_fd():
    made = decoder([(0x2001, 0, 64)], dictionaries={NODE: TYPED})
    _, rest = made.feed(pdo(bytes(9)))
    assert rest.text == "too long: the mapping has 8 bytes, the frame 12 bytes"


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_padding_to_the_next_byte_is_no_remark(bits):
    made = decoder([(0x2003, 0, bits)], dictionaries={NODE: TYPED})
    (record,) = made.feed(pdo(b"\xf1"))
    assert (record.value, record.flags) == (0xF1 & (1 << bits) - 1, ("mapped-width",))


def test_no_frame_vanishes():
    """A PDO that maps nothing, in a frame without data, is still a frame that was there."""
    (record,) = decoder([]).feed(pdo(b""))
    assert (record.service, record.value, record.text) == ("tpdo", None, "no object is mapped")


@pytest.mark.parametrize("first", [0x6061, 0x6060])
def test_a_mode_of_operation_in_a_pdo_gives_the_statusword_its_meaning(first):
    made = decoder([(first, 0, 8), (0x6041, 0, 16)])
    assert "homing attained" in made.feed(pdo(b"\x06\x37\x12"))[1].bits
    assert "homing attained" not in made.feed(pdo(b"\x03\x37\x12"))[1].bits


# --- where the mapping comes from ----------------------------------------------------------------------------------


def test_an_unknown_mapping_shows_raw_bytes_and_says_so():
    (record,) = Decoder().feed(Frame(0x185, b"\xf0\x16\0\0"))
    assert (record.service, record.node, record.number) == ("tpdo", 5, 1)
    assert (record.raw, record.value, record.index) == (b"\xf0\x16\0\0", None, None)
    assert record.flags == ("mapping-unknown",) and record.mapping_from is None
    assert record.text == "as i32: 5872"


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_mapping_of_which_a_part_is_not_known_is_unknown(missing):
    objects = [(0x1A00, 0, b"\2"), (0x1A00, 1, u32(0x2003_0008)), (0x1A00, 2, u32(0x2003_0008))]
    made = Decoder()
    for frame in frames(read(*(o for o in objects if o[1] != missing)), NODE):
        made.feed(frame)
    (record,) = made.feed(Frame(0x185, b"\1\2"))
    assert (record.value, record.flags) == (None, ("mapping-unknown",))


def test_the_mapping_of_a_file():
    given = dictionary({(0x1A00, 0): 1, (0x1A00, 1): 0x2003_0008, (0x2003, 0): {"data_type": DataType.UNSIGNED8}})
    (record,) = Decoder({NODE: given}).feed(Frame(0x185, b"\7"))
    assert (record.value, record.mapping_from) == (7, "eds:made")


def test_a_mapping_that_the_traffic_tells_in_part_is_the_files():
    given = dictionary({(0x1A00, 0): 2, (0x1A00, 1): 0x2003_0008, (0x1A00, 2): 0x2003_0008})
    made = Decoder({NODE: given})
    for frame in frames(read((0x1A00, 1, u32(0x2003_0010))), NODE):
        made.feed(frame)
    first, second = made.feed(Frame(0x185, b"\1\2\3"))
    assert (first.bit_width, second.bit_width) == (16, 8)
    assert first.mapping_from == second.mapping_from == "eds:made"


@pytest.mark.parametrize(
    ("can_id", "index"), [(0x205, 0x1600), (0x305, 0x1601), (0x405, 0x1602), (0x505, 0x1603), (0x485, 0x1A03)]
)
def test_each_pdo_has_its_own_mapping(can_id, index):
    made = Decoder()
    for frame in frames(written((index, 1, u32(0x1001_0008)), (index, 0, b"\1")), NODE):
        made.feed(frame)
    (record,) = made.feed(Frame(can_id, b"\x81"))
    assert (record.index, record.value) == (0x1001, 0x81)
    (other,) = made.feed(Frame(0x185, b"\x81"))
    assert other.flags == ("mapping-unknown",)


def test_a_pdo_that_is_switched_off_says_so():
    made = Decoder()
    for frame in frames(written((0x1800, 1, u32(0x8000_0185))), NODE):
        made.feed(frame)
    (record,) = made.feed(Frame(0x185, b"\1"))
    assert record.flags == ("pdo-not-valid", "mapping-unknown")


# --- other kinds of frames -----------------------------------------------------------------------------------------


def test_can_fd_on_a_configured_identifier():
    made = decoder([(0x2001, 0, 64)] * 8, dictionaries={NODE: TYPED})
    data = bytes(range(64))
    records = made.feed(Frame(COB_ID, data, fd=True, brs=True))
    assert [r.value for r in records] == [int.from_bytes(data[i : i + 8], "little") for i in range(0, 64, 8)]
    assert all(r.flags == ("can-fd",) for r in records)


def test_29_bits_on_a_configured_identifier():
    made = Decoder()
    talk = written((0x1800, 1, u32(0x2000_0000 | 0x1ABCDE)), (0x1A00, 1, u32(0x1001_0008)), (0x1A00, 0, b"\1"))
    for frame in frames(talk, NODE):
        made.feed(frame)
    (record,) = made.feed(Frame(0x1ABCDE, b"\x81", extended=True))
    assert (record.service, record.node, record.value, record.flags) == ("tpdo", 5, 0x81, ("29-bit",))


def test_a_remote_frame_asks_and_carries_nothing():
    made = decoder([(0x2003, 0, 8)], dictionaries={NODE: TYPED})
    (record,) = made.feed(Frame(COB_ID, remote=True, dlc=1))
    assert (record.service, record.number, record.status) == ("tpdo", 1, "ok")
    assert (record.raw, record.value, record.index, record.flags) == (None, None, None, ("remote-frame",))
    assert record.text == "remote frame: asks node 5 to send TPDO1"


def test_unchanged_by_object_and_not_by_frame():
    made = decoder([(0x2003, 0, 8), (0x2002, 0, 8)], dictionaries={NODE: TYPED})
    assert [r.changed for r in made.feed(pdo(b"\1\2"))] == [True, True]
    assert [r.changed for r in made.feed(pdo(b"\1\3"))] == [False, True]


def test_records_of_one_frame_share_it():
    made = decoder([(0x2003, 0, 8), (0x2002, 0, 8)], dictionaries={NODE: TYPED})
    number = made.frames + 1
    for record in made.feed(pdo(b"\1\2", channel=None, time_ns=7)):
        assert (record.frames, record.time_ns, record.can_id, record.node) == ((number,), 7, COB_ID, NODE)


# --- multiplexed PDOs ----------------------------------------------------------------------------------------------


def multiplexed(count):
    made = Decoder({NODE: TYPED})
    for frame in frames(written((0x1A00, 0, bytes([count])), (0x1600, 0, bytes([count]))), NODE):
        made.feed(frame)
    return made


@pytest.mark.parametrize(
    ("can_id", "count", "address", "text"),
    [(0x185, 0xFE, 5, "multiplexed, from node 5"), (0x205, 0xFF, 0x85, "multiplexed, to node 5")],
)
def test_a_multiplexed_pdo_names_its_object(can_id, count, address, text):
    (record,) = multiplexed(count).feed(Frame(can_id, bytes([address, 0x02, 0x20, 0, 0xFF, 9, 9, 9])))
    assert (record.object_text, record.value, record.raw) == ("2002:00", -1, b"\xff")
    assert record.flags[-1] == "multiplexed" and record.text.startswith(text)


def test_a_multiplexed_pdo_of_an_object_that_nobody_knows():
    (record,) = multiplexed(0xFE).feed(Frame(0x185, bytes([5, 0x00, 0x2F, 7, 1, 2, 3, 4])))
    assert (record.object_text, record.value, record.raw) == ("2F00:07", None, b"\1\2\3\4")


@pytest.mark.parametrize("destination", [True, False])
def test_a_multiplexed_pdo_there_and_back(destination):
    mpdo = Mpdo(5, destination, 0x6041, 1, b"\1\2\0\0")
    assert mpdo.encode() == bytes([0x85 if destination else 5, 0x41, 0x60, 1, 1, 2, 0, 0])
    assert Mpdo.decode(mpdo.encode()) == mpdo == Mpdo.decode(Mpdo(5, destination, 0x6041, 1, b"\1\2").encode())


@pytest.mark.parametrize("length", [0, 4, 7])
def test_a_multiplexed_pdo_has_eight_bytes(length):
    (record,) = multiplexed(0xFE).feed(Frame(0x185, bytes(length)))
    assert (record.status, record.value) == ("malformed", None)
    assert record.text == f"a multiplexed PDO has 8 bytes, not {length}"


@given(st.integers(0, 255), st.lists(st.integers(0, (1 << 32) - 1), max_size=5), st.binary(max_size=8))
@example(200, [], bytes(8))
def test_no_mapping_raises(count, words, data):
    made = Decoder()
    talk = written(*((0x1A00, n, u32(word)) for n, word in enumerate(words, 1)), (0x1A00, 0, bytes([count])))
    for frame in frames(talk, NODE):
        made.feed(frame)
    assert made.feed(Frame(0x185, data))
