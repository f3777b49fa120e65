"""opendiag.dictionary.model: looking things up."""

import pytest

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable, object_text
from opendiag.errors import DictionaryError, ObjectNotFound


def variable(index=0x6041, subindex=0, name="Statusword", **more):
    return Variable(index, subindex, name, DataType.UNSIGNED16, **more)


@pytest.fixture
def dictionary():
    return ObjectDictionary(
        "mine",
        {
            0x6041: Object(0x6041, "Statusword", ObjectType.VAR, {0: variable()}),
            0x1018: Object(
                0x1018,
                "Identity Object",
                ObjectType.RECORD,
                {2: variable(0x1018, 2, "Product Code"), 1: variable(0x1018, 1, "Vendor ID")},
            ),
        },
    )


def test_get_is_none_for_what_is_missing(dictionary):
    assert dictionary.get(0x6041, 0).name == "Statusword"
    assert dictionary.get(0x6041, 1) is None
    assert dictionary.get(0x6040, 0) is None


def test_indexing_says_what_is_missing_and_where(dictionary):
    assert dictionary[0x1018, 1].name == "Vendor ID"
    with pytest.raises(ObjectNotFound) as caught:
        dictionary[0x1A03, 2]
    assert str(caught.value) == "mine has no object 1A03:02"
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, DictionaryError)


def test_variables_come_in_order(dictionary):
    assert [v.text for v in dictionary.variables()] == ["1018:01", "1018:02", "6041:00"]
    assert len(dictionary) == 2


def test_a_member_is_named_after_its_object(dictionary):
    assert dictionary.name_of(dictionary[0x1018, 1]) == "Identity Object.Vendor ID"
    assert dictionary.name_of(dictionary[0x6041, 0]) == "Statusword"
    assert dictionary.name_of(variable(0x7000, 1, "Stray")) == "Stray"


def test_configured_prefers_the_dcf_and_knows_the_node_id():
    assert variable(default=NodeIdPlus(0x180)).configured(101) == 0x1E5
    assert variable(default=NodeIdPlus(0x180), value=0x333).configured(101) == 0x333
    assert variable(default=5, value=NodeIdPlus(0x200)).configured(1) == 0x201
    assert variable(default=5, value=0).configured(1) == 0
    assert variable().configured(1) is None


def test_texts():
    assert object_text(0x1A, 0xF) == "001A:0F"
    assert variable(0x1A03, 2).text == "1A03:02"
    assert variable().type_name == "UNSIGNED16"
