"""opendiag.dictionary.eds: what is read, and what is said about files that are not quite right."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import load, parse
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import ObjectType
from opendiag.errors import DictionaryFileError
from opendiag.findings import Severity

LISTS = "[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"
FRAME = "[DeviceInfo]\nVendorNumber=1\n" + LISTS
GOOD = "ParameterName=Speed\nObjectType=0x7\nDataType=0x0004\nAccessType=rw\n"
ARRAY = "[2000]\nParameterName=List\nObjectType=8\nSubNumber=2\n"


def member(sub, more=""):
    return f"[2000sub{sub}]\nParameterName=M{sub}\nDataType=5\nAccessType=ro\n{more}"


def read(objects, frame=FRAME):
    return parse(frame + objects, "test.eds")


def one(lines="", data_type="0x0004", name="Speed"):
    """The variable of a file with one object, and the codes of the findings."""
    head = f"[2000]\nParameterName={name}\nObjectType=0x7\nDataType={data_type}\nAccessType=rw\n"
    dictionary = read(head + lines)
    return dictionary[0x2000, 0], codes(dictionary)


def codes(dictionary):
    return [finding.code for finding in dictionary.findings]


def only(dictionary):
    """The one finding there is."""
    assert len(dictionary.findings) == 1, [str(finding) for finding in dictionary.findings]
    return dictionary.findings[0]


# --- well-formed ---------------------------------------------------------------------------------------------


def test_a_plain_variable():
    text = "LowLimit=-5\nHighLimit=0x10\nDefaultValue=3\nPDOMapping=1\n"
    variable, found = one(text)
    assert not found
    assert (variable.index, variable.subindex, variable.name) == (0x2000, 0, "Speed")
    assert (variable.data_type, variable.access, variable.pdo_mappable) == (DataType.INTEGER32, "rw", True)
    assert (variable.default, variable.low, variable.high, variable.value) == (3, -5, 16, None)
    assert (variable.unit, variable.factor, variable.alt_unit, variable.alt_factor) == ("", 1.0, "", 1.0)
    assert variable.source == "eds"


def test_an_array_and_its_members():
    dictionary = read(ARRAY + member(0, "DefaultValue=1\n") + member("0A", "DefaultValue=0x7\n"))
    assert not dictionary.findings
    array = dictionary.objects[0x2000]
    assert (array.name, array.object_type, sorted(array.members)) == ("List", ObjectType.ARRAY, [0, 10])
    assert dictionary.name_of(dictionary[0x2000, 10]) == "List.M0A"


def test_device_info():
    text = (
        "[DeviceInfo]\nVendorName=Acme\nVendorNumber=0x2E1\nProductName=Thing\nProductNumber=42405\n"
        "RevisionNumber=0x00010002\nBaudRate_1000=1\nBaudRate_125=0x1\nBaudRate_10=0\n"
    )
    device = parse(text + LISTS + "[2000]\n" + GOOD, "x").device
    assert (device.vendor_name, device.product_name) == ("Acme", "Thing")
    assert (device.vendor_id, device.product_code, device.revision) == (0x2E1, 42405, 0x10002)
    assert device.bit_rates == (125, 1000)


@pytest.mark.parametrize("section", ["DeviceComissioning", "DeviceCommissioning", "DEVICECOMISSIONING"])
def test_a_dcf_has_a_node_id_a_bit_rate_and_values(section):
    dictionary = read(f"[2000]\n{GOOD}DefaultValue=1\nParameterValue=0x2\n[{section}]\nNodeID=0x65\nBaudrate=500\n")
    assert (dictionary.node_id, dictionary.bit_rate) == (101, 500)
    variable = dictionary[0x2000, 0]
    assert (variable.default, variable.value, variable.configured(101)) == (1, 2, 2)
    assert not dictionary.findings


def test_impossible_commissioning_is_not_taken():
    dictionary = read(f"[2000]\n{GOOD}[DeviceComissioning]\nNodeID=128\nBaudrate=0\n")
    assert (dictionary.node_id, dictionary.bit_rate) == (None, None)
    assert codes(dictionary) == ["eds-bad-value"] * 2


def test_compact_array_with_names():
    dictionary = read(
        "[2000]\nParameterName=Input\nObjectType=8\nDataType=6\nAccessType=ro\nDefaultValue=7\nCompactSubObj=3\n"
        "Unit=mV\n[2000Name]\nNrOfEntries=2\n1=First\n3=Third\n[2000Value]\nNrOfEntries=1\n2=0x10\n"
    )
    assert not dictionary.findings
    assert [v.name for v in dictionary.variables()] == ["NrOfObjects", "First", "Input2", "Third"]
    assert [v.default for v in dictionary.variables()] == [3, 7, 16, 7]
    assert dictionary[0x2000, 0].data_type == DataType.UNSIGNED8
    assert dictionary[0x2000, 2].unit == "mV" and dictionary[0x2000, 2].data_type == DataType.UNSIGNED16
    assert dictionary.objects[0x2000].object_type == ObjectType.ARRAY


def test_compact_values_of_a_dcf_are_values_and_not_defaults():
    dictionary = read(
        "[2000]\nParameterName=I\nObjectType=8\nDataType=6\nAccessType=ro\nDefaultValue=7\nCompactSubObj=2\n"
        "[2000Value]\nNrOfEntries=1\n2=0x10\n9=1\n[DeviceComissioning]\nNodeID=1\n"
    )
    assert [(v.default, v.value) for v in dictionary.variables()] == [(2, None), (7, None), (7, 16)]
    assert only(dictionary).sentence == "9 of [2000Value] is for no subindex of 1..2"


def test_too_many_compact_members():
    dictionary = read("[2000]\nParameterName=I\nObjectType=8\nDataType=6\nAccessType=ro\nCompactSubObj=999\n")
    assert len(dictionary.objects[0x2000].members) == 255
    assert codes(dictionary) == ["eds-bad-value"]


def test_compact_arrays_of_a_file_stand_for_so_many_members_and_no_more():
    array = "ParameterName=I\nObjectType=8\nDataType=6\nAccessType=ro\nCompactSubObj=254\n"
    dictionary = parse("".join(f"[{index:04X}]\n{array}" for index in range(0x2000, 0x2000 + 300)), "x")
    assert len(dictionary) == 300
    made = sum(1 for _ in dictionary.variables())
    assert made == 65536 // 254 * 255
    refused = [f for f in dictionary.findings if f.code == "eds-bad-value"]
    assert len(refused) == 300 - 65536 // 254
    assert refused[0].sentence.endswith("is too much: more than 65536 members in compact arrays")
    assert dictionary.objects[0x2000 + 299].extra["CompactSubObj"] == "254"


def test_a_domain_needs_no_data_type_and_types_are_no_values():
    dictionary = read(
        "[2000]\nParameterName=Program\nObjectType=2\nAccessType=rw\nDefaultValue=NULL\n"
        "[0005]\nParameterName=UNSIGNED8\nObjectType=5\nDataType=5\n"
    )
    assert dictionary[0x2000, 0].data_type == DataType.DOMAIN
    assert dictionary[0x2000, 0].default is None
    assert dictionary.objects[5].object_type == ObjectType.DEFTYPE and dictionary.get(5, 0) is None
    assert not dictionary.findings


def test_a_type_of_the_files_own_that_stands_for_a_standard_one():
    own = (
        "[A0]\nParameterName=Valueranges\nObjectType=6\nSubNumber=2\n"
        "[A0sub0]\nParameterName=N\nDataType=5\nAccessType=ro\nDefaultValue=1\n"
        "[A0sub1]\nParameterName=T\nDataType=5\nAccessType=ro\nDefaultValue=0x06\n"
    )
    dictionary = read(f"[2000]\nParameterName=S\nDataType=0x00A0\nAccessType=rw\nDefaultValue=9\n{own}")
    assert dictionary[0x2000, 0].data_type == DataType.UNSIGNED16
    assert dictionary[0x2000, 0].default == 9
    assert only(dictionary).code == "eds-own-type" and only(dictionary).severity == Severity.INFO


def test_an_unknown_type_keeps_its_number():
    variable, found = one("DefaultValue=5\n", "0x40")
    assert (variable.data_type, variable.default, variable.type_name) == (0x40, 5, "type 0040h")
    assert found == ["eds-own-type"]


def test_what_an_array_says_beside_its_members_is_kept():
    head = ARRAY.replace("SubNumber", "DataType=5\nAccessType=ro\nDefaultValue=4\nPDOMapping=1\nSubNumber")
    found = read(head + member(0) + member(1)).objects[0x2000]
    assert found.extra == {"AccessType": "ro", "DefaultValue": "4", "PDOMapping": "1"}
    assert found.data_type == DataType.UNSIGNED8 and found.members[1].default is None


def test_what_a_data_type_says_is_kept():
    dictionary = read(f"[2000]\n{GOOD}[0005]\nParameterName=U8\nObjectType=5\nDataType=0x0005\nAccessType=ro\n")
    assert dictionary.objects[5].extra == {"DataType": "0x0005", "AccessType": "ro"}


@pytest.mark.parametrize(
    ("object_type", "found"), [("0x8", ["eds-object-type"]), ("2", []), ("what", ["eds-bad-value"])]
)
def test_a_member_that_calls_itself_no_variable(object_type, found):
    dictionary = read(ARRAY + member(0) + member(1, f"ObjectType={object_type}\n"))
    assert dictionary[0x2000, 1].extra == {"ObjectType": object_type}
    assert codes(dictionary) == found


def test_flags_that_are_no_number_are_one_finding():
    dictionary = read(f"[2000]\n{GOOD}ObjFlags=all\n")
    assert codes(dictionary) == ["eds-bad-value"]
    assert read(f"[2000]\n{GOOD}ObjFlags=3\n").objects[0x2000].flags == 3


COMPACT_TOO = (
    "[2000]\nParameterName=List\nObjectType=8\nDataType=5\nAccessType=rw\nDefaultValue=9\n{}SubNumber=2\n"
    + member(0)
    + member(1)
    + member(2, "DefaultValue=7\nDenotation=own\n")
    + "[2000Value]\nNrOfEntries=2\n1=0x10\n2=0x20\n[2000Denotation]\nNrOfEntries=2\n1=first\n2=second\n"
)


@pytest.mark.parametrize("compact", ["CompactSubObj=2\n", ""])
def test_lists_of_a_compact_array_say_what_sections_of_its_members_leave_open(compact):
    found = read(COMPACT_TOO.format(compact))
    assert [v.name for v in found.variables()] == ["M0", "M1", "M2"]
    assert [v.default for v in found.variables()] == [None, 16, 7]
    assert [v.denotation for v in found.variables()] == ["", "first", "own"]
    configured = read(COMPACT_TOO.format(compact) + "[DeviceComissioning]\nNodeID=1\n")
    assert [(v.default, v.value) for v in configured.variables()] == [(None, None), (None, 16), (7, 32)]


# --- text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("=", "  =\t "),
        lambda text: text.replace("\n", "\n "),
        lambda text: text.replace("\n", "\n\n; a comment = [1]\n"),
        lambda text: text.replace("sub", " SUB "),
    ],
    ids=["upper", "lower", "crlf", "bom", "cr", "blanks", "indented", "comments", "blank in section"],
)
def test_case_line_ends_blanks_and_comments_do_not_matter(change):
    text = FRAME + ARRAY + member(0) + member(1, "DefaultValue=0x1F\n")
    dictionary = parse(change(text), "x")
    assert not dictionary.findings
    assert dictionary[0x2000, 1].default == 0x1F
    assert dictionary[0x2000, 1].access == "ro"


@pytest.mark.parametrize("section", ["2000SUB1", "2000sub01", "2000Sub1", "2000 sub 1"])
def test_members_however_their_section_is_written(section):
    dictionary = read(ARRAY + member(0) + member(1).replace("[2000sub1]", f"[{section}]"))
    assert dictionary[0x2000, 1].name == "M1"
    assert not dictionary.findings


def test_a_name_keeps_its_semicolon():
    assert one(name="speed ;rpm")[0].name == "speed ;rpm"


@pytest.mark.parametrize(
    ("line", "code", "severity"),
    [
        ("nonsense", "eds-no-equals", Severity.WARNING),
        ("=5", "eds-no-key", Severity.WARNING),
        ("# old=1", "eds-hash-comment", Severity.INFO),
        ("AccessType=ro", "eds-duplicate-key", Severity.WARNING),
        ("accesstype=rw", "eds-duplicate-key", Severity.INFO),
    ],
)
def test_odd_lines_are_named_with_their_number(line, code, severity):
    finding = only(read(f"[2000]\n{GOOD}{line}\nDefaultValue=5\n"))
    assert (finding.code, finding.severity, finding.file) == (code, severity, "test.eds")
    assert finding.line == FRAME.count("\n") + 6
    assert finding.evidence == line


def test_of_two_keys_the_first_counts_and_the_finding_says_so():
    dictionary = read(f"[2000]\n{GOOD}DefaultValue=5\nDefaultValue=6\n")
    assert dictionary[0x2000, 0].default == 5
    assert only(dictionary).assumed == f"line {FRAME.count(chr(10)) + 6} counts: 5"


def test_of_two_sections_both_are_read_and_the_first_key_counts():
    dictionary = read(f"[2000]\n{GOOD}[2000]\nParameterName=Other\nDefaultValue=6\n")
    assert (dictionary[0x2000, 0].name, dictionary[0x2000, 0].default) == ("Speed", 6)
    assert codes(dictionary) == ["eds-duplicate-section", "eds-duplicate-key"]


def test_two_spellings_of_one_member():
    dictionary = read(ARRAY + member(0) + member(1) + member("01", "DefaultValue=1\n"))
    assert dictionary[0x2000, 1].default is None
    assert codes(dictionary) == ["eds-duplicate-section"]


def test_text_before_the_first_section():
    dictionary = parse("Hello\n" + FRAME + "[2000]\n" + GOOD, "x")
    assert (only(dictionary).code, only(dictionary).line) == ("eds-text-before-section", 1)


@pytest.mark.parametrize("header", ["[2000", "[2000] text"])
def test_a_damaged_section_header(header):
    dictionary = read(f"{header}\n{GOOD}")
    assert dictionary[0x2000, 0].name == "Speed"
    assert only(dictionary).code == "eds-section-header"


def test_a_comment_behind_a_section_header_is_fine():
    assert not read(f"[2000] ; speed\n{GOOD}").findings


def test_a_section_that_almost_is_an_object():
    dictionary = read(f"[2000]\n{GOOD}[2000subXY]\nParameterName=?\n")
    assert only(dictionary).code == "eds-section-name"


def test_sections_of_the_vendor_are_left_alone():
    assert not read(f"[2000]\n{GOOD}[Tools]\nItems=0\n[M1FixedObjects]\nNrOfEntries=0\n").findings


# --- objects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "code", "attribute", "value"),
    [
        ("ParameterName", "eds-no-name", "name", "Object 2000h"),
        ("DataType", "eds-no-data-type", "data_type", 0),
        ("AccessType", "eds-no-access", "access", ""),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_or_empty_key_costs_only_itself(missing, code, attribute, value, empty):
    lines = [line for line in GOOD.splitlines() if not line.startswith(missing)] + [f"{missing}="] * empty
    dictionary = read("[2000]\n" + "\n".join(lines))
    assert getattr(dictionary[0x2000, 0], attribute) == value
    assert only(dictionary).code == code


def test_without_object_type_it_is_a_variable():
    dictionary = read("[2000]\nParameterName=S\nDataType=5\nAccessType=ro\n")
    assert dictionary.objects[0x2000].object_type == ObjectType.VAR
    assert not dictionary.findings


@pytest.mark.parametrize("object_type", ["", "7", "0x63", "junk"])
def test_what_has_members_is_a_record_whatever_the_file_says(object_type):
    dictionary = read(f"[2000]\nParameterName=L\nObjectType={object_type}\nSubNumber=2\n{member(0)}{member(1)}")
    assert dictionary.objects[0x2000].object_type == ObjectType.RECORD
    assert dictionary.name_of(dictionary[0x2000, 1]) == "L.M1"
    assert "eds-object-type" in codes(dictionary)


def test_a_data_type_is_looked_for_in_the_array():
    head = ARRAY + "DataType=0x0006\n"
    dictionary = read(head + "[2000sub0]\nParameterName=N\nAccessType=ro\n[2000sub1]\nParameterName=A\nAccessType=ro\n")
    assert [v.data_type for v in dictionary.variables()] == [DataType.UNSIGNED8, DataType.UNSIGNED16]
    assert [finding.assumed for finding in dictionary.findings] == ["read as UNSIGNED8", "read as UNSIGNED16"]


def test_members_may_come_before_their_object():
    dictionary = read(member(1) + member(0) + ARRAY)
    assert [v.name for v in dictionary.variables()] == ["M0", "M1"]
    assert not dictionary.findings


def test_members_without_their_object():
    dictionary = read(member(0) + member(1))
    assert dictionary.objects[0x2000].object_type == ObjectType.RECORD
    assert dictionary.name_of(dictionary[0x2000, 1]) == "Object 2000h.M1"
    assert codes(dictionary) == ["eds-orphan-member"]


def test_an_array_without_members():
    dictionary = read(ARRAY)
    assert not dictionary.objects[0x2000].members
    assert codes(dictionary) == ["eds-no-members"]


@pytest.mark.parametrize("said", ["SubNumber=5\n", ""])
def test_sub_number_is_checked(said):
    dictionary = read(ARRAY.replace("SubNumber=2\n", said) + member(0) + member(1))
    assert only(dictionary).code == "eds-sub-number"
    assert only(dictionary).sentence.startswith("[2000] has 2 members")


@pytest.mark.parametrize("object_type", [6, 9])
def test_a_structure_has_members(object_type):
    dictionary = read(ARRAY.replace("ObjectType=8", f"ObjectType={object_type}") + member(0) + member(1))
    assert dictionary.name_of(dictionary[0x2000, 1]) == "List.M1"
    assert not dictionary.findings


@pytest.mark.parametrize(("text", "access"), [("RW", "rw"), ("Const", "const"), ("r/w", "rw"), ("rwr", "rwr")])
def test_access_in_other_spellings(text, access):
    dictionary = read("[2000]\n" + GOOD.replace("rw", text))
    assert dictionary[0x2000, 0].access == access
    assert not dictionary.findings


def test_an_unknown_access():
    dictionary = read("[2000]\n" + GOOD.replace("rw", "UNKNOWN"))
    assert dictionary[0x2000, 0].access == ""
    assert dictionary[0x2000, 0].extra == {"AccessType": "UNKNOWN"}
    assert only(dictionary).code == "eds-bad-access"


# --- lists ---------------------------------------------------------------------------------------------------


def test_listed_but_absent_and_present_but_unlisted():
    lists = "[DeviceInfo]\n[ManufacturerObjects]\nSupportedObjects=2\n1=0x2001\n2=0x2000\n"
    dictionary = parse(f"{lists}[2000]\n{GOOD}[2002]\n{GOOD}", "x")
    assert sorted(dictionary.objects) == [0x2000, 0x2002]
    assert [(f.code, f.line) for f in dictionary.findings] == [("eds-listed-only", 4), ("eds-not-listed", 11)]


def test_a_count_that_does_not_fit_the_list():
    text = FRAME.replace("SupportedObjects=1", "SupportedObjects=7")
    assert only(read(f"[2000]\n{GOOD}", text)).code == "eds-list-count"


def test_files_without_lists_or_device_are_said_once():
    dictionary = parse(f"[2000]\n{GOOD}[2001]\n{GOOD}", "x")
    assert sorted(codes(dictionary)) == ["eds-no-device-info", "eds-no-lists"]
    assert len(dictionary) == 2


def test_of_findings_alike_only_so_many_are_kept():
    dictionary = read(f"[2000]\n{GOOD}" + "nonsense\n" * 3000 + "=1\n")
    found = [f for f in dictionary.findings if f.code == "eds-no-equals"]
    assert len(found) == 1001
    assert found[0].line is None and found[0].sentence == "more than 1000 findings of this code"
    assert [f.line for f in found[1:]] == list(range(found[1].line, found[1].line + 1000))
    assert codes(dictionary).count("eds-no-key") == 1


def test_a_finding_is_for_reading():
    finding = only(read(f"[2000]\n{GOOD}" + "x" * 5000 + "\n"))
    assert finding.evidence == "x" * 300 + "..."


# --- refused, and never more than that -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("<?xml version='1.0'?><a/>", "XML"),
        ("can0 665 [8] 40 78 60 00", "no object section"),
        ("[DeviceInfo]\nVendorNumber=1\n", "no object section"),
    ],
)
def test_what_has_no_object_is_no_eds(text, reason):
    with pytest.raises(DictionaryFileError, match=reason) as caught:
        parse(text, "some.eds")
    assert caught.value.file == "some.eds"
    assert isinstance(caught.value, ValueError)


PIECES = (
    *("[2000]", "[2000sub1]", "[2000Name]", "[2000Value]", "[A0sub1]", "[DeviceInfo]", "[DeviceComissioning]"),
    *("[OptionalObjects]", "[", "]", "=", "ParameterName=x", "ObjectType=", "DataType=", "AccessType="),
    *("DefaultValue=", "LowLimit=", "HighLimit=", "Factor=", "CompactSubObj=", "SubNumber=", "NodeID=", "Baudrate="),
    *("BaudRate_", "NrOfEntries=", "SupportedObjects=", "PDOMapping=", "ParameterValue=", "VendorNumber="),
    *("$NODEID", "+", "-", "0x", "0x8", "0xFFFFFFFF", "08", "9", "1", "2", "255", "1/", ";", "#", "true", "NULL"),
    *("h", "²", "é", ".", ",", *["\n"] * 20),
)


@given(st.lists(st.sampled_from(PIECES), max_size=120).map("".join))
def test_nothing_but_a_refusal_is_ever_raised(text):
    try:
        dictionary = parse(text, "fuzz")
    except DictionaryFileError:
        return
    lines = text.count("\n") + 1
    assert all(finding.line is None or 1 <= finding.line <= lines for finding in dictionary.findings)


@given(st.sampled_from(["DefaultValue", "DataType", "CompactSubObj", "LowLimit", "Factor"]), st.text(max_size=30))
def test_no_value_breaks_the_reader(key, value):
    dictionary = read(f"[2000]\n{GOOD}{key}={value}\n".replace("DataType=0x0004\n", "", key == "DataType"))
    assert 0x2000 in dictionary.objects


@pytest.mark.parametrize("key", ["1" * 5000, "BaudRate_" + "1" * 5000])
def test_absurd_numbers(key):
    read(f"[2000]\n{GOOD}DefaultValue={'9' * 5000}\n[OptionalObjects]\n{key}={'1' * 5000}\n")


# --- real files ----------------------------------------------------------------------------------------------

CORPUS = os.environ.get("OPENDIAG_CORPUS", "")


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="OPENDIAG_CORPUS does not name a directory of real device files")
def test_every_real_file_is_read_or_refused_with_a_reason():
    directory = Path(CORPUS, "dictionaries")
    files = sorted([*directory.glob("*.eds"), *directory.glob("*.dcf")])
    assert files, f"no EDS and no DCF in {directory}"
    refused = []
    for path in files:
        try:
            dictionary = load(path)
        except DictionaryFileError as error:
            refused.append(str(error))
            continue
        assert any(dictionary.variables()), path.name
    assert not refused
