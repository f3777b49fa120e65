"""opendiag.dictionary.concise_dcf: what a manager writes into a device at boot-up."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import load
from opendiag.dictionary.concise_dcf import entries_of, read, write
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import DictionaryFileError

T = DataType
#: 1017:00 = 1000 and 6060:00 = -1, worked out by hand.
GOLDEN = bytes.fromhex("02000000 1710 00 02000000 e803 6060 00 01000000 ff")
ENTRIES = st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.binary(max_size=20)), max_size=6)


def test_golden_bytes_both_ways():
    entries = [(0x1017, 0, b"\xe8\x03"), (0x6060, 0, b"\xff")]
    assert read(GOLDEN) == entries and write(entries) == GOLDEN


@given(ENTRIES)
def test_what_is_written_is_read(entries):
    assert read(write(entries)) == entries


def test_none_at_all():
    assert read(b"") == read(bytes(4)) == [] and write([]) == bytes(4)


@pytest.mark.parametrize("length", range(1, len(GOLDEN)))
def test_a_part_of_it_is_refused(length):
    with pytest.raises(DictionaryFileError, match=r"no 32-bit count|ends within entry|says . bytes"):
        read(GOLDEN[:length])


def test_the_refusal_says_what_is_wrong():
    with pytest.raises(DictionaryFileError, match=r"entry 2 of 2 \(6060:00\) says 1 bytes, 0 are left"):
        read(GOLDEN[:-1])
    with pytest.raises(DictionaryFileError, match="1 bytes behind the last of 2 entries"):
        read(GOLDEN + b"\0")
    for index, subindex in ((0x10000, 0), (0x1000, 256), (-1, 0)):
        with pytest.raises(DictionaryFileError, match="no object"):
            write([(index, subindex, b"")])


@given(st.binary(max_size=60))
def test_any_bytes_are_entries_or_refused(data):
    with suppress(DictionaryFileError):
        assert not data or write(read(data)) == data


def var(index, subindex=0, data_type=T.UNSIGNED8, value=None, access="rw", **more):
    return Variable(index, subindex, "x", data_type, access, value=value, **more)


def of(*variables):
    made = ObjectDictionary("test.dcf")
    for variable in variables:
        found = made.objects.setdefault(variable.index, Object(variable.index, "x", ObjectType.RECORD))
        found.members[variable.subindex] = variable
    return made


def told(dictionary, node_id=5):
    return [f"{index:04X}:{sub:02X} {data.hex()}" for index, sub, data in entries_of(dictionary, node_id)]


def test_what_is_configured_and_can_be_written_in_order_of_index():
    dictionary = of(
        var(0x6060, value=-1, data_type=T.INTEGER8),
        var(0x2000, 2, value="ab", data_type=T.VISIBLE_STRING),
        var(0x2000, 1, value=NodeIdPlus(0x100), data_type=T.UNSIGNED32),
        var(0x2001, value=b"\x01\x02", data_type=0x40),
        var(0x1017, data_type=T.UNSIGNED16, default=7),
        var(0x2002, value=1, access="ro"),
        var(0x2003, value=1, access="const"),
        var(0x2004, value=1, flags=1),
        var(0x2005, value=1, flags=2),
        var(0x1010, 1, value=1),
        var(0x1011, 1, value=1),
    )
    assert told(dictionary) == ["2000:01 05010000", "2000:02 6162", "2001:00 0102", "2005:00 01", "6060:00 ff"]


def pdo(values, mapping=(), count=None, **cob_id):
    told_id = {"default": NodeIdPlus(0x180), **cob_id}
    members = [var(0x1800, 1, T.UNSIGNED32, **told_id)]
    members += [var(0x1800, sub, value=value) for sub, value in values.items()]
    members += [var(0x1A00, sub, T.UNSIGNED32, value=value) for sub, value in enumerate(mapping, 1)]
    return of(*members, var(0x1A00, 0, value=count))


def test_a_pdo_is_off_while_it_is_changed():
    dictionary = pdo({2: 255}, [0x60410010, 0x60640020], 2)
    assert told(dictionary) == [
        *("1800:01 85010080", "1800:02 ff", "1A00:00 00", "1A00:01 10004160", "1A00:02 20006460", "1A00:00 02"),
        "1800:01 85010000",
    ]


def test_a_pdo_that_is_to_be_off_stays_off():
    assert told(pdo({2: 1}, value=0x80000185)) == ["1800:01 85010080", "1800:02 01"]


@pytest.mark.parametrize(
    ("index", "sub", "value", "expected"),
    [
        (0x1014, 0, 0x285, ["1014:00 85020080", "1014:00 85020000"]),
        (0x1014, 0, 0x85, ["1014:00 85000000"]),  # its default: nothing changes
        (0x1014, 0, 0x80000285, ["1014:00 85020080"]),
        (0x1280, 1, 0x605, ["1280:01 05060080", "1280:01 05060000"]),
        (0x1201, 2, 0x5A5, ["1201:02 a5050080", "1201:02 a5050000"]),
        (0x1280, 3, 5, ["1280:03 05000000"]),
    ],
)
def test_a_channel_is_off_before_it_gets_another_can_id(index, sub, value, expected):
    default = NodeIdPlus(0x80) if index == 0x1014 else 0x80000000
    assert told(of(var(index, sub, T.UNSIGNED32, value=value, default=default))) == expected


def test_a_mapping_without_its_number_is_counted():
    assert told(pdo({}, [1, 2, 3]))[1] == "1A00:00 00" and told(pdo({}, [1, 2, 3]))[-2] == "1A00:00 03"


def test_a_pdo_whose_cob_id_cannot_be_written_is_written_as_it_stands():
    assert told(pdo({2: 1}, [7], 1, access="ro")) == ["1800:02 01", "1A00:00 00", "1A00:01 07000000", "1A00:00 01"]
    assert told(pdo({2: 1}, default=None)) == ["1800:02 01"]


def test_a_fixed_mapping_is_not_written():
    dictionary = pdo({}, [7], 1)
    members = dictionary.objects[0x1A00].members
    members[0] = replace(members[0], access="ro")
    members[1] = replace(members[1], access="ro")
    assert told(dictionary) == []


def test_a_value_that_does_not_fit_says_where():
    dictionary = of(var(0x2000, 3, value=300, line=17))
    with pytest.raises(DictionaryFileError, match=r"test.dcf:17: ParameterValue of 2000:03: 300 is outside 0..255"):
        entries_of(dictionary, 5)


@pytest.mark.parametrize("node_id", [0, 128])
def test_a_node_id_that_is_none_is_refused(node_id):
    with pytest.raises(ValueError, match=f"node-ID {node_id} is outside 1..127"):
        entries_of(of(var(0x2000, value=1)), node_id)


@pytest.mark.corpus
def test_every_real_dcf_becomes_a_concise_one(corpus):
    total = 0
    for path in sorted((corpus / "dictionaries").glob("*.dcf")):
        dictionary = load(path)
        entries = entries_of(dictionary, dictionary.node_id or 1)
        assert read(write(entries)) == entries
        written = {(index, sub) for index, sub, _ in entries}
        for variable in dictionary.variables():
            if variable.value is not None and variable.access == "rw" and variable.index not in (0x1010, 0x1011):
                assert ((variable.index, variable.subindex) in written) == (not variable.flags & 1), path.name
        total += len(entries)
    assert total > 3000
