"""opendiag.dictionary.canopen_bridge, and what the package canopen itself makes of the same files."""

import logging
import sys
from collections import Counter

import pytest

from opendiag.dictionary import load, parse
from opendiag.dictionary.canopen_bridge import from_canopen, to_canopen
from opendiag.dictionary.datatypes import SIGNED_BITS, DataType, integer_range
from opendiag.dictionary.model import NodeIdPlus, ObjectType
from opendiag.errors import MissingDependency

canopen = pytest.importorskip("canopen")

TEXT = """\
[DeviceInfo]
VendorName=V
VendorNumber=0x2E1
ProductNumber=5
BaudRate_125=1
BaudRate_1000=1
Granularity=8
NrOfTXPDO=4
LSS_Supported=1
[Comments]
Lines=2
Line1=one
Line2=two
[DummyUsage]
Dummy0005=1
[2000]
ParameterName=Speed
ObjectType=7
DataType=3
AccessType=rw
LowLimit=-5
HighLimit=0x7000
DefaultValue=0xFF9C
ParameterValue=7
PDOMapping=1
Unit=rpm
Factor=0.25
Description=of the shaft
StorageLocation=RAM
[2001]
ParameterName=List
ObjectType=8
DataType=2
AccessType=rw
DefaultValue=0xFF
CompactSubObj=4
[2001Name]
NrOfEntries=2
1=First
3=Third
[2001Value]
NrOfEntries=1
2=9
[1800]
ParameterName=TPDO
ObjectType=9
SubNumber=1
[1800sub1]
ParameterName=COB-ID
DataType=7
AccessType=rw
DefaultValue=$NODEID+0x180
[2003]
ParameterName=Text
DataType=9
AccessType=const
DefaultValue=hello
[2004]
ParameterName=Own
DataType=0x40
AccessType=ro
[2005]
ParameterName=Program
ObjectType=2
DataType=15
AccessType=wo
[2006]
ParameterName=Since
DataType=12
AccessType=rw
DefaultValue=0x0001000005DC
"""


def test_everything_there_is_a_place_for():
    od = parse(TEXT, "x").to_canopen()
    assert (od.node_id, od.bitrate, od.comments) == (None, None, "one\ntwo")
    info = od.device_information
    assert (info.vendor_name, info.vendor_number, info.product_number, info.nr_of_TXPDO) == ("V", 0x2E1, 5, 4)
    assert (info.granularity, info.LSS_supported, info.allowed_baudrates) == (8, True, {125000, 1000000})
    assert od["Dummy0005"].access_type == "const"
    speed = od["Speed"]
    assert (speed.index, speed.data_type, speed.access_type, speed.pdo_mappable) == (0x2000, 3, "rw", True)
    assert (speed.default, speed.value, speed.min, speed.max) == (-100, 7, -5, 0x7000)
    assert (speed.unit, speed.factor, speed.description, speed.storage_location) == ("rpm", 0.25, "of the shaft", "RAM")
    assert od[0x2003].default == "hello" and od[0x2004].data_type == DataType.DOMAIN
    assert od[0x2006].encode_raw(od[0x2006].default) == bytes.fromhex("dc0500000100")
    assert speed.encode_raw(speed.default) == b"\x9c\xff"


def test_all_members_of_a_compact_array_are_there():
    array = parse(TEXT, "x").to_canopen()["List"]
    assert isinstance(array, canopen.objectdictionary.ODArray) and list(array) == [0, 1, 2, 3, 4]
    assert [array[n].name for n in (1, 2, 3, 4)] == ["First", "List2", "Third", "List4"]
    assert [array[n].default for n in range(5)] == [4, -1, 9, -1, -1]


@pytest.mark.parametrize(("node_id", "default"), [(None, None), (5, 0x185)])
def test_a_default_that_depends_on_the_node_id(node_id, default):
    cob_id = parse(TEXT, "x").to_canopen(node_id)[0x1800][1]
    assert (cob_id.relative, cob_id.default, cob_id.default_raw) == (True, default, "$NODEID+0x180")


@pytest.mark.parametrize("node_id", [0, 128])
def test_a_node_id_that_is_none_is_refused(node_id):
    with pytest.raises(ValueError, match=f"node-ID {node_id} is outside 1..127"):
        parse(TEXT, "x").to_canopen(node_id)


def test_a_dcf_brings_its_node_id():
    od = to_canopen(parse(TEXT + "[DeviceComissioning]\nNodeID=9\nBaudrate=500\n", "x"))
    assert (od.node_id, od.bitrate, od[0x1800][1].default) == (9, 500_000, 0x189)


def test_bits_and_values_of_a_drive(tmp_path):
    dictionary = load("stepim")
    named = next(variable for variable in dictionary.variables() if variable.values or variable.bits or variable.unit)
    od = dictionary.to_canopen(101)
    assert od.get_variable(named.index, named.subindex).unit == named.unit
    network = canopen.Network()
    node = network.add_node(101, od)
    assert node.object_dictionary[0x6041].data_type == DataType.UNSIGNED16


@pytest.mark.parametrize("node_id", [None, 5])
def test_there_and_back(node_id):
    dictionary = parse(TEXT, "x")
    back = from_canopen(to_canopen(dictionary, node_id))
    assert back.node_id == node_id and back.comments == dictionary.comments and back.dummies == dictionary.dummies
    assert back.device == dictionary.device
    assert [found.index for found in back] == [found.index for found in dictionary]
    for ours, again in zip(dictionary.variables(), back.variables(), strict=True):
        for name in ("index", "subindex", "name", "access", "default", "low", "high", "pdo_mappable", "value", "unit"):
            assert getattr(again, name) == getattr(ours, name), (ours.text, name)
        assert again.data_type == (ours.data_type if ours.data_type != 0x40 else DataType.DOMAIN)
    assert back[0x1800, 1].default == NodeIdPlus(0x180)
    assert back[0x2000, 0].extra == {"StorageLocation": "RAM", "Description": "of the shaft"}
    kinds = [back.objects[index].object_type for index in (0x1800, 0x2000, 0x2001, 0x2005)]
    assert kinds == [ObjectType.RECORD, ObjectType.VAR, ObjectType.ARRAY, ObjectType.DOMAIN]


@pytest.mark.parametrize(
    ("text", "offset"), [("$NODEID", 0), ("0x80 + $NodeId", 0x80), ("$NODEID-0x10", -0x10), ("$NODEID+384", 384)]
)
def test_a_formula_that_canopen_read_without_a_node_id(text, offset):
    od = canopen.ObjectDictionary()
    variable = canopen.objectdictionary.ODVariable("COB-ID", 0x1014)
    variable.data_type, variable.relative, variable.default_raw = DataType.UNSIGNED32, True, text
    od.add_object(variable)
    assert from_canopen(od)[0x1014, 0].default == NodeIdPlus(offset)


@pytest.mark.parametrize("text", ["$NODEID+010", "$NODEID+ten", "ten+$NODEID", "$NODEID*2"])
def test_a_formula_that_nobody_can_read_is_no_default(text):
    od = canopen.ObjectDictionary()
    variable = canopen.objectdictionary.ODVariable("COB-ID", 0x1014)
    variable.data_type, variable.relative, variable.default_raw = DataType.UNSIGNED32, True, text
    od.add_object(variable)
    assert from_canopen(od)[0x1014, 0].default is None


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "canopen", None)
    with pytest.raises(MissingDependency, match="pip install canopen"):
        parse(TEXT, "x").to_canopen()


# --- against canopen's own reader -------------------------------------------------------------------------------

ATTRIBUTES = ("name", "data_type", "access_type", "default", "value", "min", "max", "pdo_mappable", "relative")
ATTRIBUTES += ("unit", "factor", "description", "storage_location")


def why(dictionary, attribute, theirs, ours):
    """The reason why canopen's reader has something else, or None."""
    found = dictionary.objects[ours.index]
    span = integer_range(ours.data_type)
    has, have = getattr(theirs, attribute), getattr(ours, attribute)
    if found.compact:
        return "compact arrays: canopen reads no [xxxxValue], and nothing of subindex 0"
    if (
        attribute in ("default", "value")
        and ours.data_type in SIGNED_BITS
        and has == have + (1 << SIGNED_BITS[ours.data_type])
    ):
        return "a negative number in hexadecimal: canopen reads it as a positive one"
    if attribute in ("default", "value") and ours.data_type in (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE):
        return "days and milliseconds: canopen reads them as one number, here they are the bytes"
    if attribute in ("min", "max") and (have is None or not span or not span[0] <= have <= span[1]):
        return "limits that cross, or lie outside the type: canopen takes them, or wraps them"
    if attribute in ("min", "max") and has is None:
        return "limits of REAL: canopen reads integers only"
    if has in (None, b"", ""):
        return "a spelling of which canopen reads nothing: octal, bytes as text, NODEID without the dollar sign"
    if attribute in ("default", "value") and have is None and span and not span[0] <= has <= span[1]:
        return "a number that its type cannot hold"
    if attribute == "access_type" and has not in ("ro", "wo", "rw", "rwr", "rww", "const"):
        return "an access that there is not: canopen takes any word"
    if attribute == "relative" and ours.relative:
        return "NODEID without the dollar sign"
    return None


@pytest.mark.corpus
@pytest.mark.interop
def test_what_canopen_reads_of_real_files_is_what_it_gets_from_us(corpus):
    """Where it reads a file at all, and but for its known faults, each counted."""
    reasons, same, read = Counter(), 0, 0
    logging.disable(logging.CRITICAL)
    try:
        for path in sorted((corpus / "dictionaries").iterdir()):
            if path.suffix.lower() not in (".eds", ".dcf"):
                continue
            dictionary = load(path)
            ours = dictionary.to_canopen(5)
            try:
                theirs = canopen.import_od(str(path), 5)
            except Exception:  # whatever it raises: the whole file is lost
                reasons["refused"] += 1
                continue
            read += 1
            for index in theirs:
                mine, other = ours[index], theirs.indices[index]
                assert type(mine) is type(other) and mine.name == other.name, (path.name, hex(index))
                single = isinstance(other, canopen.objectdictionary.ODVariable)
                for sub, variable in {0: other}.items() if single else other.subindices.items():
                    of_ours = mine if single else mine.subindices[sub]
                    for attribute in ATTRIBUTES:
                        if getattr(variable, attribute) == getattr(of_ours, attribute):
                            same += 1
                            continue
                        reason = why(dictionary, attribute, variable, of_ours)
                        assert reason, (path.name, of_ours, attribute, getattr(variable, attribute))
                        reasons[reason] += 1
    finally:
        logging.disable(logging.NOTSET)
    assert read >= 160 and same > 480_000 and sum(reasons.values()) < 5000, reasons
