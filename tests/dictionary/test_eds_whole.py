"""Everything of CiA 306 beside the objects themselves: file, device, commissioning, modules, compact forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import parse
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, ObjectType
from opendiag.errors import DictionaryFileError

OBJECT = "[2000]\nParameterName=Speed\nObjectType=7\nDataType=4\nAccessType=rw\n"
LISTS = "[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"


def read(text, lists=LISTS):
    return parse(text + lists + OBJECT, "test.eds")


def codes(dictionary):
    return [finding.code for finding in dictionary.findings]


def test_file_info():
    info = read(
        "[FileInfo]\nFileName=a.eds\nFileVersion=1\nFileRevision=2\nEDSVersion=4.0\nDescription=d\nCreationTime=09:00AM\n"
        "CreationDate=01-02-2020\nCreatedBy=c\nModificationTime=10:00AM\nModificationDate=03-04-2021\nModifiedBy=m\n"
        "LastEDS=b.eds\nToolVersion=7\n[DeviceInfo]\n"
    ).file
    assert (info.file_name, info.file_version, info.file_revision, info.eds_version) == ("a.eds", "1", "2", "4.0")
    assert (info.description, info.created_by, info.modified_by, info.last_eds) == ("d", "c", "m", "b.eds")
    assert (info.creation_time, info.creation_date) == ("09:00AM", "01-02-2020")
    assert (info.modification_time, info.modification_date) == ("10:00AM", "03-04-2021")
    assert info.extra == {"ToolVersion": "7"}


def test_device_info():
    device = read(
        "[DeviceInfo]\nVendorName=V\nVendorNumber=0x2E1\nProductName=P\nProductNumber=5\nRevisionNumber=6\nOrderCode=O-1\n"
        "BaudRate_10=0\nBaudRate_125=1\nBaudRate_1000=1\nSimpleBootUpMaster=0\nSimpleBootUpSlave=1\nGranularity=8\n"
        "DynamicChannelsSupported=2\nGroupMessaging=0\nNrOfRXPDO=4\nNrOfTXPDO=3\nLSS_Supported=1\nNG_Slave=1\n"
    ).device
    assert (device.vendor_name, device.vendor_id, device.product_name, device.product_code) == ("V", 0x2E1, "P", 5)
    assert (device.revision, device.order_code, device.bit_rates) == (6, "O-1", (125, 1000))
    assert (device.boot_up_master, device.boot_up_slave, device.group_messaging) == (False, True, False)
    assert (device.granularity, device.dynamic_channels, device.lss_supported) == (8, 2, True)
    assert (device.rpdo_count, device.tpdo_count, device.compact_pdo) == (4, 3, 0)
    assert device.extra == {"NG_Slave": "1"}


def test_what_device_info_does_not_say_is_none():
    device = read("[DeviceInfo]\nVendorNumber=\nGranularity=\n").device
    assert device.vendor_id is device.granularity is device.lss_supported is device.rpdo_count is None


def test_commissioning():
    place = read(
        "[DeviceInfo]\n[DeviceComissioning]\nNodeID=0x0B\nNodeName=Axis 3\nBaudrate=500\nNetNumber=2\n"
        "NetworkName=Cell\nCANopenManager=0\nLSS_SerialNumber=0x1234\nNodeRefd=X\n"
    ).commissioning
    assert (place.node_id, place.bit_rate, place.node_name) == (11, 500, "Axis 3")
    assert (place.net_number, place.network_name) == (2, "Cell")
    assert (place.canopen_manager, place.lss_serial_number, place.extra) == (False, 0x1234, {"NodeRefd": "X"})


def test_comments_in_the_order_of_their_numbers():
    dictionary = read("[DeviceInfo]\n[Comments]\nLines=3\nLine10=last\nLine1=first\nLine2=\n")
    assert dictionary.comments == ("first", "", "last")
    assert not codes(dictionary)


def test_comments_without_lines_are_read_all_the_same():
    dictionary = read("[DeviceInfo]\n[Comments]\nLine1=only\n")
    assert dictionary.comments == ("only",)
    assert codes(dictionary) == ["eds-list-count"]


def test_dummy_usage_with_keys_missing():
    dictionary = read("[DeviceInfo]\n[DummyUsage]\nDummy0001=0\nDummy0005=1\nDummy001B=1\n")
    assert dictionary.dummies == {DataType.UNSIGNED8, DataType.UNSIGNED64}
    assert not codes(dictionary)
    assert read("[DeviceInfo]\n").dummies is None


def test_a_dummy_that_is_none_is_a_finding():
    assert codes(read("[DeviceInfo]\n[DummyUsage]\nFoo=1\nDummyXYZ=1\n")) == ["eds-bad-value", "eds-bad-value"]


def test_flags_denotation_unknown_keys_and_lines_of_objects_and_members():
    dictionary = parse(
        "[DeviceInfo]\n[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"
        "[2000]\nParameterName=R\nObjectType=9\nSubNumber=1\nObjFlags=3\nDenotation=whole\nColour=red\n"
        "[2000sub1]\nParameterName=M\nDataType=5\nAccessType=rw\nObjFlags=1\nDenotation=part\nVisibility=2\n",
        "test.dcf",
    )
    found = dictionary.objects[0x2000]
    assert (found.flags, found.denotation, found.extra, found.line) == (3, "whole", {"Colour": "red"}, 5)
    member = found.members[1]
    assert (member.flags, member.denotation, member.extra, member.line) == (1, "part", {"Visibility": "2"}, 12)


def test_object_links():
    dictionary = read("[DeviceInfo]\n[2000ObjectLinks]\nObjectLinks=2\n1=0x6040\n2=0x6041\n")
    assert dictionary.objects[0x2000].links == (0x6040, 0x6041)


def test_sections_nobody_knows_are_kept_as_written():
    text = "[DeviceInfo]\n[DynamicChannels]\nNrOfSeg=1\nType1=0x0007\n[Tools]\nItems=1\n"
    assert read(text).sections == {"DynamicChannels": {"NrOfSeg": "1", "Type1": "0x0007"}, "Tools": {"Items": "1"}}


COMPACT = (
    "[2001]\nParameterName=List\nObjectType=8\nDataType=6\nAccessType=rw\nDefaultValue=7\nCompactSubObj=3\n"
    "[2001Name]\nNrOfEntries=2\n1=First\n3=Third\n[2001Value]\nNrOfEntries=1\n2=99\n[2001Denotation]\nNrOfEntries=1\n3=D\n"
)


def test_a_compact_array_with_sparse_names_values_and_denotations():
    members = read("[DeviceInfo]\n" + COMPACT).objects[0x2001].members
    assert [members[n].name for n in (1, 2, 3)] == ["First", "List2", "Third"]
    assert [members[n].default for n in range(4)] == [3, 7, 99, 7]
    assert [members[n].denotation for n in (1, 2, 3)] == ["", "", "D"]


def test_compact_pdos_have_the_defaults_of_the_predefined_connection_set():
    mask = 0b10111  # COB-ID, transmission type, inhibit time, event timer
    dictionary = read(f"[DeviceInfo]\nCompactPDO={mask}\nNrOfRXPDO=1\nNrOfTXPDO=5\n")
    assert sorted(dictionary.objects) == [0x1400, 0x1600, *range(0x1800, 0x1805), *range(0x1A00, 0x1A05), 0x2000]
    first = dictionary.objects[0x1800]
    assert first.object_type is ObjectType.RECORD and sorted(first.members) == [0, 1, 2, 3, 5]
    assert first.members[0].default == 5
    assert dictionary[0x1800, 1].default == NodeIdPlus(0x180)
    assert dictionary[0x1803, 1].default == NodeIdPlus(0x480)
    assert dictionary[0x1804, 1].default == 0x8000_0000
    assert dictionary[0x1400, 1].default == NodeIdPlus(0x200)
    assert dictionary[0x1800, 2].default == 255


def test_a_described_pdo_is_not_replaced_by_the_compact_one():
    dictionary = parse(
        "[DeviceInfo]\nCompactPDO=3\nNrOfRXPDO=0\nNrOfTXPDO=1\n[OptionalObjects]\nSupportedObjects=1\n1=0x1800\n"
        "[1800]\nParameterName=Mine\nObjectType=9\nSubNumber=1\n"
        "[1800sub1]\nParameterName=COB\nDataType=7\nAccessType=rw\nDefaultValue=0x333\n",
        "test.eds",
    )
    assert dictionary.objects[0x1800].name == "Mine" and dictionary[0x1800, 1].default == 0x333
    assert 0x1A00 in dictionary.objects


MODULES = (
    "[SupportedModules]\nNrOfEntries=2\n"
    "[M1ModuleInfo]\nProductName=8 inputs\nProductVersion=1\nProductRevision=2\nOrderCode=DI8\nColour=blue\n"
    "[M1Comments]\nLines=1\nLine1=a module\n"
    "[M1FixedObjects]\nNrOfEntries=1\n1=0x3000\n"
    "[M1Fixed3000]\nParameterName=Filter\nObjectType=9\nSubNumber=1\n"
    "[M1Fixed3000sub1]\nParameterName=Time\nDataType=6\nAccessType=rw\nDefaultValue=4\n"
    "[M1SubExtends]\nNrOfEntries=1\n1=0x6000\n"
    "[M1SubExt6000]\nParameterName=Inputs\nObjectType=7\nDataType=5\nAccessType=ro\nCount=1\n"
    "[M2ModuleInfo]\nProductName=8 outputs\n[ConnectedModules]\nNrOfEntries=3\n1=1\n2=2\n3=1\n"
)


def test_modules():
    dictionary = read("[DeviceInfo]\n" + MODULES)
    first, second = dictionary.modules[1], dictionary.modules[2]
    assert (first.product_name, first.version, first.revision, first.order_code) == ("8 inputs", 1, 2, "DI8")
    assert (first.comments, first.extra) == (("a module",), {"Colour": "blue"})
    assert first.fixed[0x3000].members[1].default == 4
    assert first.extends[0x6000].members[0].name == "Inputs"
    assert first.extends[0x6000].members[0].extra == {"Count": "1"}
    assert second.product_name == "8 outputs" and not second.fixed
    assert dictionary.connected == (1, 2, 1)
    assert not codes(dictionary)
    assert sorted(dictionary.objects) == [0x2000]


def test_a_wrong_number_of_modules_is_a_finding():
    assert codes(read("[DeviceInfo]\n" + MODULES.replace("NrOfEntries=2", "NrOfEntries=9", 1))) == ["eds-list-count"]


def test_the_document_is_kept():
    dictionary = read("[DeviceInfo]\n[DeviceComissioning]\nNodeID=1\n")
    assert dictionary.document.kind == "dcf" and dictionary.document.text.startswith("[DeviceInfo]")


PIECES = st.sampled_from(
    [*(MODULES + COMPACT).splitlines(keepends=True), "[M1Fixed3000sub0]\n", "CompactSubObj=999\n", "=\n", "[\n", "1=\n"]
)


@given(st.lists(PIECES, max_size=40))
def test_no_order_of_lines_raises(lines):
    try:
        parse("".join(lines), "test.eds")
    except DictionaryFileError:
        pytest.fail("objects were there") if any(line.startswith("[2001]") for line in lines) else None
