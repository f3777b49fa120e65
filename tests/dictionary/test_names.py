"""opendiag.dictionary.names and ObjectDictionary.find: from what a person calls an object to the object."""

import pytest

from opendiag.dictionary import names
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import ObjectNotFound


def member(index, subindex, name):
    return Variable(index, subindex, name, DataType.UNSIGNED16, "rw")


@pytest.fixture
def dictionary():
    identity = {2: member(0x1018, 2, "Product Code"), 1: member(0x1018, 1, "Vendor-ID")}
    return ObjectDictionary(
        "mine",
        {
            0x6041: Object(0x6041, "Status_word", ObjectType.VAR, {0: member(0x6041, 0, "Status_word")}),
            0x1018: Object(0x1018, "Identity Object", ObjectType.RECORD, identity),
            0x2000: Object(0x2000, "Status word", ObjectType.VAR, {0: member(0x2000, 0, "Status word")}),
            0x2001: Object(0x2001, "Firmware 1.2", ObjectType.DOMAIN, {0: member(0x2001, 0, "Firmware 1.2")}),
            0x2002: Object(0x2002, "List", ObjectType.ARRAY),
            0x2003: Object(
                0x2003,
                "Limits, max.",
                ObjectType.RECORD,
                {
                    1: member(0x2003, 1, "Max. speed"),
                    2: member(0x2003, 2, "Torque (see 2.1)."),
                    3: member(0x2003, 3, "Max. speed"),
                },
            ),
        },
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Status word", (0x2000, 0)),
        ("IDENTITY-object", (0x1018, None)),
        ("identity object.vendor id", (0x1018, 1)),
        ("Identity Object.product_code", (0x1018, 2)),
        ("firmware 1.2", (0x2001, 0)),
        ("Limits, max..Max. speed", (0x2003, 1)),
        ("limits, max..torque (see 2.1).", (0x2003, 2)),
        ("6041", (0x6041, None)),
        ("0x6041", (0x6041, None)),
        ("6041h", (0x6041, None)),
        ("6041:00", (0x6041, 0)),
        ("1018.2", (0x1018, 2)),
        ("1018:0x1Fh", (0x1018, 0x1F)),
        ("9999", (0x9999, None)),
    ],
)
def test_the_key_of_a_name(dictionary, name, key):
    assert names.find(name, dictionary) == key


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status-word", "2000:00"),
        ("6041", "6041:00"),
        ("1018:01", "1018:01"),
        ("identity object.product code", "1018:02"),
    ],
)
def test_a_value_is_found_as_one(dictionary, name, text):
    found = dictionary.find(name)
    assert isinstance(found, Variable) and found.text == text


@pytest.mark.parametrize(("name", "index"), [("Identity Object", 0x1018), ("1018", 0x1018), ("list", 0x2002)])
def test_an_array_or_record_is_found_as_a_whole(dictionary, name, index):
    assert dictionary.find(name) is dictionary.objects[index]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Identity Objekt", "close: 'Identity Object'"),
        ("Limits, max..Min. speed", "its members: 'Max. speed', 'Torque (see 2.1).'"),
        ("Identity Object.Serial", "its members: 'Vendor-ID', 'Product Code'"),
        ("9999", "mine has no object 9999"),
        ("6041:05", "mine has no object 6041:05"),
        ("", "named ''"),
        ("Status word.bit", "named 'Status word.bit'"),
    ],
)
def test_what_is_not_there_says_what_is(dictionary, name, hint):
    with pytest.raises(ObjectNotFound) as caught:
        dictionary.find(name)
    assert hint in str(caught.value)


def test_without_a_dictionary_the_tables_of_the_standards_are_asked():
    assert names.find("statusword", None) == (0x6041, 0)
    assert names.find("Identity object.Vendor-ID", None) == (0x1018, 1)
    assert names.number_of("Statusword") is None


def test_objects_come_in_order_of_their_index(dictionary):
    assert [found.index for found in dictionary] == [0x1018, 0x2000, 0x2001, 0x2002, 0x2003, 0x6041]
    assert len(dictionary) == 6
