"""opendiag.dictionary.eds_patch: what was not changed stays, to the letter."""

from dataclasses import replace
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import parse
from opendiag.dictionary.eds_write import dcf_text, eds_text
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectType, Variable

FILE = """\
; made by hand
[ fileinfo ]
FILENAME = a.eds
ToolVersion=9

[DeviceInfo]
ProductName=Old   \t
BaudRate_125=1

[ManufacturerObjects]
SupportedObjects=0x2
1=0x2000
2=0x2002

# a remark
[2000]
PARAMETERNAME=Speed
objecttype=0x07
DataType = 0x0006
AccessType=rw
DefaultValue=0x0A ; ten
Colour=red
LowLimit=

; the list
[2002]
ParameterName=List
ObjectType=9
SubNumber=2

[2002SUB0]
ParameterName=N
DataType=5
AccessType=ro
DefaultValue=1

[2002sub01]
ParameterName=First
DataType=7
AccessType=rw
DefaultValue=0x0180+$NODEID
; the end
[Other]
Key=Value"""


def changed(change, text=FILE, write=eds_text):
    """Lines that are gone and lines that are new after a change to the dictionary."""
    dictionary = parse(text, "test.eds")
    change(dictionary)
    before, after = text.split("\n"), write(dictionary).split("\n")
    gone, made = [], []
    for _, start, stop, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if before[start:stop] != after[begin:end]:
            gone += [line for line in before[start:stop] if line]
            made += [line for line in after[begin:end] if line]
    return gone, made


def setting(index, subindex, **changes):
    def change(dictionary):
        members = dictionary.objects[index].members
        members[subindex] = replace(members[subindex], **changes)

    return change


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n  "])
def test_an_unchanged_dictionary_is_the_text_it_was_read_from(end, last):
    text = (FILE + last).replace("\n", end)
    assert eds_text(parse(text, "x")) == text


@pytest.mark.parametrize(
    ("change", "gone", "made"),
    [
        (setting(0x2000, 0, default=11), ["DefaultValue=0x0A ; ten"], ["DefaultValue=0x0B ; ten"]),
        (setting(0x2000, 0, default=None), ["DefaultValue=0x0A ; ten"], []),
        (setting(0x2000, 0, low=1), ["LowLimit="], ["LowLimit=1"]),
        (setting(0x2000, 0, high=0xFF), [], ["HighLimit=255"]),
        (setting(0x2000, 0, access="ro"), ["AccessType=rw"], ["AccessType=ro"]),
        (setting(0x2000, 0, data_type=7), ["DataType = 0x0006"], ["DataType = 0x0007"]),
        (setting(0x2000, 0, pdo_mappable=True), [], ["PDOMapping=1"]),
        (setting(0x2000, 0, name="Rate"), ["PARAMETERNAME=Speed"], ["PARAMETERNAME=Rate"]),
        (setting(0x2000, 0, unit="rpm", factor=0.5), [], ["Unit=rpm", "Factor=0.5"]),
        (setting(0x2000, 0, extra={"Colour": "blue"}), ["Colour=red"], ["Colour=blue"]),
        (setting(0x2000, 0, extra={}), ["Colour=red"], []),
        (setting(0x2002, 1, default=0x181), ["DefaultValue=0x0180+$NODEID"], ["DefaultValue=385"]),
        (setting(0x2002, 1, default=NodeIdPlus(5)), ["DefaultValue=0x0180+$NODEID"], ["DefaultValue=$NODEID+0x5"]),
        (lambda d: setattr(d.objects[0x2000], "name", "Rate"), ["PARAMETERNAME=Speed"], ["PARAMETERNAME=Rate"]),
        (lambda d: setattr(d.objects[0x2000], "flags", 1), [], ["ObjFlags=1"]),
        (lambda d: setattr(d.objects[0x2002], "name", "Table"), ["ParameterName=List"], ["ParameterName=Table"]),
        (lambda d: setattr(d.device, "product_name", "New"), ["ProductName=Old   \t"], ["ProductName=New   \t"]),
        (lambda d: setattr(d.file, "file_name", "b.eds"), ["FILENAME = a.eds"], ["FILENAME = b.eds"]),
        (lambda d: setattr(d, "sections", {"Other": {"Key": "New"}}), ["Key=Value"], ["Key=New"]),
    ],
)
def test_only_the_line_of_what_was_changed_changes(change, gone, made):
    assert changed(change) == (gone, made)


def test_a_new_key_stands_behind_its_neighbour_and_a_number_is_spelt_as_the_old_one():
    dictionary = parse(FILE, "x")
    setting(0x2000, 0, high=9)(dictionary)
    lines = eds_text(dictionary).split("\n")
    assert lines[lines.index("HighLimit=9") - 1] == "DataType = 0x0006"
    for old, new in (("0x000a", "0x000b"), ("10", "11"), ("0XA", "0XB")):
        dictionary = parse(FILE.replace("0x0A ; ten", old), "x")
        setting(0x2000, 0, default=11)(dictionary)
        assert f"DefaultValue={new}\n" in eds_text(dictionary)


def test_a_text_is_not_taken_for_a_number():
    text = FILE.replace("DataType = 0x0006", "DataType=9").replace("0x0A ; ten", "0x0A")
    dictionary = parse(text, "x")
    setting(0x2000, 0, default="12")(dictionary)
    assert "DefaultValue=12\n" in eds_text(dictionary)


def add(dictionary, index=0x2001):
    found = Object(index, "New", ObjectType.VAR, {0: Variable(index, 0, "New", 5, "rw")})
    dictionary.objects[index] = found


def test_a_new_object_has_its_place_in_the_list_and_among_the_sections():
    dictionary = parse(FILE, "x")
    add(dictionary)
    text = eds_text(dictionary)
    assert "SupportedObjects=0x3\n1=0x2000\n2=0x2001\n3=0x2002\n" in text
    new = "[2001]\nParameterName=New\nObjectType=0x7\nDataType=0x0005\nAccessType=rw\nPDOMapping=0\n"
    assert f"LowLimit=\n\n{new}\n; the list\n[2002]" in text
    assert [finding.code for finding in parse(text, "x").findings] == [f.code for f in dictionary.findings]


def test_a_new_object_of_another_list_gets_that_list():
    dictionary = parse(FILE, "x")
    add(dictionary, 0x1008)
    text = eds_text(dictionary)
    assert "[OptionalObjects]\nSupportedObjects=1\n1=0x1008\n" in text
    assert "eds-not-listed" not in {finding.code for finding in parse(text, "x").findings}


def test_a_new_object_is_appended_to_a_list_in_no_order():
    dictionary = parse(FILE.replace("1=0x2000\n2=0x2002", "1=0x2002\n2=0x2000"), "x")
    add(dictionary)
    assert "1=0x2002\n2=0x2000\n3=0x2001\n" in eds_text(dictionary)


def test_a_removed_object_leaves_nothing_behind():
    dictionary = parse(FILE, "x")
    del dictionary.objects[0x2002]
    text = eds_text(dictionary)
    assert "2002" not in text and "SupportedObjects=0x1\n1=0x2000\n\n# a remark" in text
    assert text.endswith("LowLimit=\n\n; the list\n; the end\n[Other]\nKey=Value")
    assert not any(finding.code == "eds-listed-only" for finding in parse(text, "x").findings)


def test_a_member_comes_and_goes():
    dictionary = parse(FILE, "x")
    members = dictionary.objects[0x2002].members
    members[2] = replace(members[1], subindex=2, name="Second")
    text = eds_text(dictionary)
    assert "SubNumber=3\n" in text and "$NODEID\n\n[2002sub2]\nParameterName=Second\n" in text
    del members[1], members[2]
    text = eds_text(dictionary)
    assert "SubNumber=1\n" in text and "sub" not in text


def test_a_section_comes_and_goes():
    dictionary = parse(FILE, "x")
    dictionary.comments, dictionary.dummies = ("one",), frozenset({7})
    text = eds_text(dictionary)
    assert text.index("[DeviceInfo]") < text.index("[DummyUsage]") < text.index("[Comments]") < text.index("[Manuf")
    dictionary.sections = {}
    assert "[Other]" not in eds_text(dictionary)


def test_a_dcf_keeps_the_text_of_its_eds():
    gone, made = changed(lambda d: None, write=lambda d: dcf_text(d, node_id=5))
    assert gone == [] and made == ["LastEDS=a.eds", "[DeviceComissioning]", "NodeID=5"]
    again, empty = changed(
        lambda d: setattr(d.commissioning, "node_id", 6), FILE + "\n[DEVICECOMMISSIONING]\nnodeid=5\n", dcf_text
    )
    assert (again, empty) == (["nodeid=5"], ["nodeid=6"])


COMPACT = (
    "[DeviceInfo]\n[2000]\nParameterName=L\nObjectType=8\nDataType=5\nAccessType=rw\nDefaultValue=0x07\n"
    "CompactSubObj=3\n[2000Value]\nNrOfEntries=1\n2=0x9\n"
)


@pytest.mark.parametrize(
    ("sub", "value", "gone", "made"),
    [
        (2, 10, ["2=0x9"], ["2=0xA"]),
        (3, 10, ["NrOfEntries=1"], ["NrOfEntries=2", "3=10"]),
        (2, 7, ["[2000Value]", "NrOfEntries=1", "2=0x9"], []),
    ],
)
def test_a_compact_array_stays_compact(sub, value, gone, made):
    assert changed(setting(0x2000, sub, default=value), COMPACT) == (gone, made)


def test_a_compact_array_that_cannot_stay_so_is_written_out():
    dictionary = parse(COMPACT, "x")
    setting(0x2000, 2, low=1)(dictionary)
    text = eds_text(dictionary)
    assert "CompactSubObj" not in text and "[2000Value]" not in text
    assert [(v.default, v.low) for v in parse(text, "x").variables()] == [(3, None), (7, None), (9, 1), (7, None)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(FILE + "\n[2000]\nDefaultValue=99\nAccessType=ro\n", id="a section that stands twice"),
        pytest.param(FILE + "\n[2002sub1]\nParameterName=X\nDefaultValue=1\n", id="a member that is described twice"),
        pytest.param(
            FILE.replace("AccessType=rw\nDefaultValue=0x0A", "AccessType=rw\nAccessType=wo\nDefaultValue=0x0A")
        ),
        pytest.param(FILE.replace("[2002]\n", "[Elsewhere]\n"), id="members without a head"),
        pytest.param(FILE.replace("SupportedObjects=0x2", "SupportedObjects=7").replace("1=0x2000\n", "")),
        pytest.param(FILE.replace("[ManufacturerObjects]", "[Objects]"), id="no lists"),
        pytest.param(COMPACT + "[2000sub2]\nParameterName=M\nDataType=5\nAccessType=rw\n[2002sub1]\nDataType=7\n"),
    ],
)
def test_whatever_the_text_looks_like_the_change_is_what_a_reader_finds(text):
    def change(dictionary):
        setting(0x2000, 2 if 2 in dictionary.objects[0x2000].members else 0, access="const", default=33)(dictionary)
        setting(0x2002, 1, access="wo", default=None)(dictionary)
        add(dictionary)

    dictionary = parse(text, "x")
    assert eds_text(dictionary) == text
    change(dictionary)
    read = parse(eds_text(dictionary), "x")
    for variable in dictionary.variables():
        if variable.text not in ("2000:00", "2001:00") or variable.access == "const":
            assert replace(read[variable.index, variable.subindex], line=None) == replace(variable, line=None)
    assert read.objects.keys() == dictionary.objects.keys()
    for index in (0x2000, 0x2002):
        del dictionary.objects[index]
        assert index not in parse(eds_text(dictionary), "x").objects


def test_all_objects_can_go_but_the_text_stays():
    dictionary = parse(FILE, "x")
    dictionary.objects.clear()
    text = eds_text(dictionary)
    assert "[200" not in text and "; made by hand" in text and "SupportedObjects=0x0" in text


PIECES = [line + "\n" for line in (FILE + "\n" + COMPACT).split("\n") if line.strip()]
MORE = [
    "[2000]\n",
    "[2002 Sub 1]\n",
    "[2000sub2]\n",
    "DefaultValue=1\n",
    "=\n",
    "[\n",
    "[2000Name]\n",
    "2=x\n",
    "\n",
    "NodeID=1\n",
]
MORE += [
    "[DeviceComissioning]\n",
    "[DeviceCommissioning]\n",
    "ParameterValue=3\n",
    "[M1Fixed3000]\n",
    "[M1ModuleInfo]\n",
    "[2000]",
]


@given(st.lists(st.sampled_from(PIECES + MORE), max_size=30), st.integers(0, 2**32))
def test_of_lines_in_any_order_only_what_changed_changes(lines, seed):
    text = "".join(["[2002]\nDataType=5\n", *lines])
    dictionary = parse(text, "x")
    write = dcf_text if dictionary.document.kind == "dcf" else eds_text
    assert write(dictionary) == text
    found = sorted(dictionary.objects.items())[seed % len(dictionary.objects)][1]
    for sub, member in found.members.items():
        value = {"value": 7} if write is dcf_text else {"default": 7}
        found.members[sub] = replace(member, data_type=5, access="rw", low=None, high=None, extra={}, **value)
    found.compact = 0
    add(dictionary, 0x3000)
    again = parse(write(dictionary), "x")
    assert again.objects.keys() == dictionary.objects.keys()
    for index, told in again.objects.items():
        for sub, member in told.members.items():
            assert replace(member, line=None) == replace(dictionary.objects[index].members[sub], line=None)
