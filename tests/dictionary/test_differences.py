"""opendiag.dictionary.differences: everything that makes one file say something else than another, and nothing else."""

import copy
from dataclasses import fields, replace

import pytest

from opendiag.dictionary import Object, ObjectType, Variable, load, parse
from opendiag.dictionary.differences import Difference, compare
from opendiag.dictionary.model import Commissioning, DeviceInfo, FileInfo, Module, NodeIdPlus

TEXT = """[FileInfo]
Description=first
[DeviceInfo]
VendorNumber=1
Special=yes
[Comments]
Lines=1
Line1=hello
[DummyUsage]
Dummy0005=1
[Tool]
Key=1
[2000]
ParameterName=Speed
DataType=4
AccessType=rw
DefaultValue=10
[2001]
ParameterName=Gains
ObjectType=9
SubNumber=2
[2001sub0]
ParameterName=Highest
DataType=5
AccessType=ro
DefaultValue=1
[2001sub1]
ParameterName=P
DataType=8
AccessType=rw
DefaultValue=0.5
Mine=7
"""


def differences(text, old=TEXT):
    return [str(each) for each in compare(parse(old, "a"), parse(text, "b"))]


def test_a_file_and_itself():
    assert compare(load("stepim"), load("stepim")) == []


def test_order_lines_comments_and_spelling_do_not_count():
    text = "; a remark\n\n" + TEXT.replace("\n", "\r\n").replace("DefaultValue=10", "defaultvalue = 0xA")
    head, objects = text.split("[2000]")
    first, second = objects.split("[2001]", 1)
    assert differences(head + "[2001]" + second + "[2000]" + first) == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("DefaultValue=10", "DefaultValue=11", "2000:00 Speed: default 10 (0xA) -> 11 (0xB)"),
        ("DefaultValue=10", "", "2000:00 Speed: default 10 (0xA) -> nothing"),
        ("DefaultValue=10", "DefaultValue=$NODEID+2", "2000:00 Speed: default 10 (0xA) -> $NODEID+0x2"),
        ("DataType=4", "DataType=7", "2000:00 Speed: data_type INTEGER32 -> UNSIGNED32"),
        ("DataType=4\nAccessType=rw", "DataType=4\nAccessType=ro", "2000:00 Speed: access 'rw' -> 'ro'"),
        ("DataType=4", "DataType=4\nPDOMapping=1", "2000:00 Speed: pdo_mappable 0 -> 1"),
        ("DataType=4", "DataType=4\nHighLimit=20", "2000:00 Speed: high nothing -> 20 (0x14)"),
        ("DataType=4", "DataType=4\nParameterValue=3", "2000:00 Speed: value nothing -> 3"),
        ("DataType=4", "DataType=4\nUnit=rpm", "2000:00 Speed: unit nothing -> 'rpm'"),
        ("Name=Speed", "Name=Velocity", "2000:00 Velocity: name 'Speed' -> 'Velocity'"),
        ("Name=Gains", "Name=Gain", "2001h Gain: name 'Gains' -> 'Gain'"),
        ("ObjectType=9", "ObjectType=8", "2001h Gains: object_type RECORD -> ARRAY"),
        ("Mine=7", "MINE=8", "2001:01 P: MINE '7' -> '8'"),
        ("Description=first", "Description=other", "[FileInfo]: description 'first' -> 'other'"),
        ("VendorNumber=1", "VendorNumber=2", "[DeviceInfo]: vendor_id 1 -> 2"),
        ("Special=yes", "Special=no", "[DeviceInfo]: Special 'yes' -> 'no'"),
        ("Line1=hello", "Line1=bye", "[Comments]: Line1 'hello' -> 'bye'"),
        ("Dummy0005=1", "Dummy0005=0", "[DummyUsage]: dummies 5 -> nothing"),
        ("Key=1", "Key=2", "[Tool]: Key '1' -> '2'"),
        ("[Tool]\nKey=1\n", "", "[Tool]: removed"),
        ("[2000]", "[DeviceComissioning]\nNodeID=5\n[2000]", "[DeviceComissioning]: node_id nothing -> 5"),
    ],
)
def test_one_change_is_one_difference(old, new, sentence):
    assert old in TEXT
    assert differences(TEXT.replace(old, new, 1)) == [sentence]


def test_objects_and_members_that_only_one_file_has():
    more = TEXT + "[2001sub2]\nParameterName=I\nDataType=8\nAccessType=rw\n[3000]\nParameterName=New\nDataType=5\n"
    more = more.replace("SubNumber=2", "SubNumber=3")
    assert differences(more) == ["2001:02 I: added", "3000h New: added"]
    assert differences(TEXT, more) == ["2001:02 I: removed", "3000h New: removed"]


def test_a_difference_says_where_and_what():
    changed = compare(parse(TEXT, "a"), parse(TEXT.replace("=0.5", "=0.25"), "b"))
    assert changed == [Difference("changed", "2001:01", "P", 0x2001, 1, "default", 0.5, 0.25)]
    added = compare(parse(TEXT, "a"), parse(TEXT + "[3000]\nParameterName=New\nDataType=5\n", "b"))
    assert added == [Difference("added", "3000h", "New", 0x3000)]


def test_modules():
    a, b = parse(TEXT, "a"), parse(TEXT, "b")
    of_module = Object(0x3000, "In", ObjectType.VAR, {0: Variable(0x3000, 0, "In", 5, "ro")})
    a.modules = {1: Module(1, "One", fixed={0x3000: of_module}), 2: Module(2, "Two")}
    b.modules = copy.deepcopy(a.modules)
    assert compare(a, b) == []
    b.modules[1].order_code = "x"
    b.modules[1].fixed[0x3000].members[0] = replace(of_module.members[0], access="rw")
    del b.modules[2]
    assert [str(each) for each in compare(a, b)] == [
        "module 1 One: order_code nothing -> 'x'",
        "module 1 3000:00 In: access 'ro' -> 'rw'",
        "module 2 Two: removed",
    ]


OTHER = {str: "other", int: 77, bool: True, float: 0.125, tuple: (1, 2), dict: {1: "other"}}


@pytest.mark.parametrize("field", [f.name for f in fields(Variable) if f.name not in ("index", "subindex")])
def test_every_field_of_a_variable_counts_but_where_it_stands(field):
    variable = Variable(0x2000, 0, "A", 5, "rw", default=1, low=0, high=9, value=2, line=1)
    now = getattr(variable, field)
    other = (
        NodeIdPlus(5)
        if field in ("default", "low", "high", "value")
        else OTHER[dict if field in ("bits", "values", "extra") else type(now)]
    )
    if field == "extra":
        other = {"Key": "other"}
    a, b = parse(TEXT, "a"), parse(TEXT, "b")
    a.objects[0x2000].members[0] = variable
    b.objects[0x2000].members[0] = replace(variable, **{field: other})
    assert len(compare(a, b)) == (0 if field in ("line", "source") else 1)


@pytest.mark.parametrize(
    ("part", "kind"), [("device", DeviceInfo), ("file", FileInfo), ("commissioning", Commissioning)]
)
def test_every_field_about_the_device_counts(part, kind):
    for field in fields(kind):
        a, b = parse(TEXT, "a"), parse(TEXT, "b")
        setattr(getattr(b, part), field.name, {"x": "y"} if field.name == "extra" else "something else")
        assert compare(a, b), field.name


def test_capitals_in_names_of_sections_and_keys_are_no_difference():
    a = parse(TEXT + "[Vendor Part]\nAxis=X\nOld=1\n", "a")
    b = parse(TEXT + "[VENDOR PART]\naxis=X\nNew=2\n", "b")
    assert [(each.where, each.field, each.old, each.new) for each in compare(a, b)] == [
        ("[Vendor Part]", "New", None, "2"),
        ("[Vendor Part]", "Old", "1", None),
    ]
