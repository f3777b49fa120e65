"""The values of a device: what they begin with, what may be written, and what the device's own side can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import library
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import ObjectNotFound, SdoRefusal, WireError
from opendiag.services.object_store import DictionaryStore

U8, U16, U32, I16 = DataType.UNSIGNED8, DataType.UNSIGNED16, DataType.UNSIGNED32, DataType.INTEGER16
NOW = 0.0


def store_of(*variables, object_type=ObjectType.VAR, node_id=5):
    dictionary = ObjectDictionary("test")
    for variable in variables:
        found = dictionary.objects.setdefault(variable.index, Object(variable.index, "x", object_type))
        found.members[variable.subindex] = variable
    return DictionaryStore(dictionary, node_id)


def var(data_type=U16, access="rw", default=None, index=0x2000, subindex=0, **more):
    return Variable(index, subindex, "x", data_type, access, default, **more)


def refusal(call, *arguments):
    with pytest.raises(SdoRefusal) as caught:
        call(*arguments)
    return caught.value.code


# --- values at power-on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "raw"),
    [
        (var(U16, default=1000), b"\xe8\x03"),
        (var(U16), b"\0\0"),
        (var(DataType.BOOLEAN), b"\0"),
        (var(DataType.REAL64), bytes(8)),
        (var(DataType.UNSIGNED24), bytes(3)),
        (var(DataType.TIME_OF_DAY), bytes(6)),
        (var(DataType.VISIBLE_STRING), b""),
        (var(DataType.VISIBLE_STRING, default="StepIM"), b"StepIM"),
        (var(DataType.UNICODE_STRING, default="é"), b"\xe9\0"),
        (var(DataType.DOMAIN), b""),
        (var(0x40), b""),
        (var(U32, default=NodeIdPlus(0x180)), b"\x85\x01\0\0"),
        (var(U16, default=1, value=2), b"\2\0"),
        (var(U16, default=1, value=NodeIdPlus(0)), b"\5\0"),
        (var(U8, default=300), b"\0"),
        (var(I16, default="x"), b"\0\0"),
    ],
)
def test_an_object_begins_with_what_the_dictionary_says_or_with_zeros(variable, raw):
    assert store_of(variable).read(0x2000, 0, NOW) == raw


@pytest.mark.parametrize(
    ("index", "subindices", "count"),
    [
        (0x1018, (1, 2, 4), 4),
        (0x1018, (0, 1, 2), 2),
        (0x2000, (0, 1, 0xFF), 1),
        (0x2000, (0,), 0),
        (0x1003, (0, 1, 2), 0),
        (0x1600, (0, 1, 2), 0),
        (0x1A00, (0, 1, 2), 0),
    ],
)
def test_the_number_of_entries(index, subindices, count):
    members = [var(U8, "ro", index=index, subindex=subindex) for subindex in subindices]
    store = store_of(*members, object_type=ObjectType.RECORD)
    assert store.read(index, 0, NOW) == bytes([count])
    assert refusal(store.check_write, index, 0, 1, NOW) == 0x06010002


def test_the_number_of_entries_that_the_dictionary_says():
    store = store_of(var(U8, default=9), var(U8, subindex=1), object_type=ObjectType.ARRAY)
    assert store.get(0x2000, 0) == 9


def test_a_variable_without_a_default_is_no_count():
    assert store_of(var(U8)).get(0x2000, 0) == 0


def test_the_stepim_as_it_comes_from_its_file():
    store = DictionaryStore(library.load("stepim"), 101)
    assert store.get(0x1018, 1) == 0x2E1
    assert store.get(0x1200, 1) == 0x665
    assert store.get(0x1800, 1) & 0x7FF == 0x1E5
    for (index, subindex), variable in store.variables.items():
        assert store.dictionary.get(index, subindex) in (variable, None)
        if variable.access != "wo":
            assert isinstance(store.read(index, subindex, NOW), bytes)


def test_every_default_of_the_stepim_may_be_written_back():
    """Its limits and types belong together."""
    store = DictionaryStore(library.load("stepim"), 101)
    for (index, subindex), variable in store.variables.items():
        if variable.access in ("rw", "rwr", "rww", "wo") and variable.default is not None:
            raw = store.values[index, subindex]
            assert store.check_write(index, subindex, len(raw), NOW) is None
            assert store.write(index, subindex, raw, NOW) == 0.0


# --- access rights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "readable", "writable"),
    [
        ("rw", True, True),
        ("rwr", True, True),
        ("rww", True, True),
        ("wo", False, True),
        ("ro", True, False),
        ("const", True, False),
        ("", True, True),
    ],
)
def test_access_rights(access, readable, writable):
    store = store_of(var(U16, access))
    if readable:
        assert store.read(0x2000, 0, NOW) == b"\0\0"
    else:
        assert refusal(store.read, 0x2000, 0, NOW) == 0x06010001
    if writable:
        assert store.check_write(0x2000, 0, 2, NOW) is None
    else:
        assert refusal(store.check_write, 0x2000, 0, 2, NOW) == 0x06010002
    store.set(0x2000, 0, 7)
    assert store.get(0x2000, 0) == 7, "the device itself is not bound"


def test_what_is_missing():
    store = store_of(var())
    for call in (store.read, lambda index, subindex, now: store.check_write(index, subindex, 2, now)):
        assert refusal(call, 0x2001, 0, NOW) == 0x06020000
        assert refusal(call, 0x2000, 1, NOW) == 0x06090011
    assert store.width(0x2001, 0) is None
    with pytest.raises(ObjectNotFound):
        store.get(0x2001, 0)
    with pytest.raises(ObjectNotFound):
        store.set(0x2000, 1, 5)


# --- lengths and limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "code"), [(0, 0x06070013), (1, 0x06070013), (3, 0x06070012), (99, 0x06070012)])
def test_lengths(size, code):
    store = store_of(var(U16))
    assert refusal(store.check_write, 0x2000, 0, size, NOW) == code
    assert store.check_write(0x2000, 0, None, NOW) is None
    assert refusal(store.write, 0x2000, 0, bytes(size), NOW) == code


@pytest.mark.parametrize("data_type", [DataType.VISIBLE_STRING, DataType.OCTET_STRING, DataType.DOMAIN, 0x40])
def test_a_type_without_a_width_takes_any_length(data_type):
    store = store_of(var(data_type))
    assert store.width(0x2000, 0) is None
    assert store.check_write(0x2000, 0, 1000, NOW) is None
    store.write(0x2000, 0, bytes(1000), NOW)
    assert store.values[0x2000, 0] == bytes(1000)


HIGH, LOW = 0x06090031, 0x06090032


@pytest.mark.parametrize(
    ("variable", "raw", "code"),
    [
        (var(U16, low=10, high=20), b"\x15\0", HIGH),
        (var(U16, low=10, high=20), b"\x09\0", LOW),
        (var(U16, low=10, high=20), b"\x0a\0", None),
        (var(U16, low=10, high=20), b"\x14\0", None),
        (var(U16, low=10), b"\xff\xff", None),
        (var(U16, high=10), b"\0\0", None),
        (var(I16, low=-5, high=5), b"\xfa\xff", LOW),
        (var(I16, low=-5, high=5), b"\xfb\xff", None),
        (var(I16, low=-5, high=5), b"\x06\0", HIGH),
        (var(U32, low=NodeIdPlus(0x600), high=NodeIdPlus(0x600)), b"\x05\x06\0\0", None),
        (var(U32, low=NodeIdPlus(0x600)), b"\x04\x06\0\0", LOW),
        (var(U32, high=NodeIdPlus(0x600)), b"\x06\x06\0\0", HIGH),
        (var(DataType.REAL32, low=0.0, high=1.0), b"\0\0\0\x40", HIGH),
        (var(DataType.REAL32, low=0.0, high=1.0), b"\0\0\0\xbf", LOW),
        (var(DataType.BOOLEAN), b"\1", None),
        (var(DataType.BOOLEAN), b"\2", HIGH),
        (var(DataType.VISIBLE_STRING, low="a", high="b"), b"zz", None),
        (var(DataType.DOMAIN, low=5), b"\1", None),
    ],
)
def test_limits(variable, raw, code):
    store = store_of(variable)
    before = store.values[0x2000, 0]
    if code is None:
        assert store.write(0x2000, 0, raw, NOW) == 0.0
        assert store.values[0x2000, 0] == raw
    else:
        assert refusal(store.write, 0x2000, 0, raw, NOW) == code
        assert store.values[0x2000, 0] == before


@given(low=st.integers(-100, 100), span=st.integers(0, 100), value=st.integers(-300, 300))
def test_a_value_inside_its_limits_is_written_and_no_other(low, span, value):
    store = store_of(var(I16, low=low, high=low + span, default=low))
    raw = value.to_bytes(2, "little", signed=True)
    if low <= value <= low + span:
        store.write(0x2000, 0, raw, NOW)
        assert store.get(0x2000, 0) == value
    else:
        assert refusal(store.write, 0x2000, 0, raw, NOW) == (HIGH if value > low + span else LOW)
        assert store.get(0x2000, 0) == low


# --- the device's own side ------------------------------------------------------------------------------------------


def test_set_takes_a_value_or_its_bytes():
    store = store_of(var(U16), var(DataType.DOMAIN, index=0x2001))
    store.set(0x2000, 0, b"\1\2")
    assert store.get(0x2000, 0) == 0x201
    store.set(0x2001, 0, b"")
    for wrong in (b"\1", b"\1\2\3", 70000, "x"):
        with pytest.raises(WireError):
            store.set(0x2000, 0, wrong)
    assert store.get(0x2000, 0) == 0x201


def test_a_read_hook_is_asked_each_time():
    store = store_of(var(U16, default=3))
    store.on_read(0x2000, 0, lambda now: int(now).to_bytes(2, "little"))
    assert store.read(0x2000, 0, 5.0) == b"\5\0"
    assert store.read(0x2000, 0, 6.0) == b"\6\0"
    assert store.get(0x2000, 0) == 3
    store.on_read(0x2000, 0, lambda now: None)
    assert store.read(0x2000, 0, 7.0) == b"\3\0"


def test_a_hook_for_all_members_gives_way_to_one_for_a_single_member():
    store = store_of(var(U8, subindex=1), var(U8, subindex=2), object_type=ObjectType.ARRAY)
    calls = []
    store.on_write(0x2000, None, lambda data, now: calls.append(("any", data)))
    store.on_write(0x2000, 2, lambda data, now: calls.append(("two", data)))
    store.on_read(0x2000, None, lambda now: b"\x11")
    store.on_read(0x2000, 2, lambda now: b"\x22")
    store.write(0x2000, 1, b"\1", NOW)
    store.write(0x2000, 2, b"\2", NOW)
    assert calls == [("any", b"\1"), ("two", b"\2")]
    assert [store.read(0x2000, number, NOW) for number in (1, 2)] == [b"\x11", b"\x22"]


def test_a_read_hook_does_not_open_what_is_write_only():
    store = store_of(var(U16, "wo"))
    store.on_read(0x2000, 0, lambda now: b"\1\0")
    assert refusal(store.read, 0x2000, 0, NOW) == 0x06010001


def test_a_write_hook_finds_the_value_stored_and_may_replace_it():
    store = store_of(var(U32, default=1))
    seen = []

    def hook(data, now):
        seen.append((data, now, store.values[0x2000, 0]))
        store.set(0x2000, 0, 1)
        return 0.25

    store.on_write(0x2000, 0, hook)
    assert store.write(0x2000, 0, b"save", 7.0) == 0.25
    assert seen == [(b"save", 7.0, b"save")]
    assert store.get(0x2000, 0) == 1


@pytest.mark.parametrize("error", [SdoRefusal(0x08000022), KeyError("x")])
def test_a_write_hook_that_raises_brings_the_value_before_back(error):
    store = store_of(var(U16, default=3))

    def hook(data, now):
        raise error

    store.on_write(0x2000, 0, hook)
    with pytest.raises(type(error)):
        store.write(0x2000, 0, b"\5\0", NOW)
    assert store.get(0x2000, 0) == 3


def test_a_write_hook_is_not_called_for_what_the_dictionary_refuses():
    store = store_of(var(U16, high=5))
    calls = []
    store.on_write(0x2000, 0, lambda data, now: calls.append(data))
    assert refusal(store.write, 0x2000, 0, b"\6\0", NOW) == HIGH
    assert calls == []


def test_a_stream_may_refuse_and_the_rights_come_first():
    store = store_of(var(DataType.DOMAIN, "ro"), var(DataType.DOMAIN, index=0x2001))

    def too_large(size, now):
        raise SdoRefusal(0x05040005)

    for index in (0x2000, 0x2001):
        store.on_stream(index, None, too_large)
    assert refusal(store.check_write, 0x2000, 0, 5, NOW) == 0x06010002
    assert refusal(store.check_write, 0x2001, 0, 5, NOW) == 0x05040005


# --- reset and save -------------------------------------------------------------------------------------------------


def test_reset_of_all_or_of_the_communication_objects():
    store = store_of(var(index=0x0FFF), var(index=0x1000), var(index=0x1FFF), var(index=0x2000))
    for index in (0x0FFF, 0x1000, 0x1FFF, 0x2000):
        store.set(index, 0, 7)
    store.reset(communication=True)
    assert [store.get(index, 0) for index in (0x0FFF, 0x1000, 0x1FFF, 0x2000)] == [7, 0, 0, 7]
    store.reset(communication=False)
    assert store.get(0x2000, 0) == store.get(0x0FFF, 0) == 0


def test_what_was_saved_outlives_a_reset_until_it_is_forgotten():
    store = store_of(var(index=0x1017), var(index=0x2000), var(index=0x2001, access="ro"))
    for index in (0x1017, 0x2000, 0x2001):
        store.set(index, 0, 7)
    store.save(range(0x2000, 0x10000))
    store.set(0x2000, 0, 8)
    store.reset()
    assert [store.get(index, 0) for index in (0x1017, 0x2000, 0x2001)] == [0, 7, 0]
    store.forget([0x1017])
    store.reset()
    assert store.get(0x2000, 0) == 7
    store.forget([0x2000])
    assert store.get(0x2000, 0) == 7
    store.reset()
    assert store.get(0x2000, 0) == 0


def test_a_new_node_id_counts_from_the_next_reset():
    store = store_of(var(U32, default=NodeIdPlus(0x80), high=NodeIdPlus(0x80)))
    store.node_id = 9
    assert store.get(0x2000, 0) == 0x85
    store.reset()
    assert store.get(0x2000, 0) == 0x89
    store.write(0x2000, 0, b"\x89\0\0\0", NOW)
