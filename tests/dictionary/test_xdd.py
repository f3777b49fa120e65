"""XDD, XDC and XPD files (CiA 311): their objects, and what is refused."""

from xml.sax.saxutils import quoteattr

import pytest
from dictionary.xdd_text import HEAD, PARAMETER, STRUCTURED, WORD, codes, one, read, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.dictionary import load
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, ObjectType
from opendiag.dictionary.xdd import parse_xml
from opendiag.errors import DictionaryFileError
from opendiag.findings import Severity

# Everything in the object list itself


def test_an_object_with_all_its_attributes():
    dictionary = read(
        '<CANopenObject index="6040" name="Controlword" objectType="7" dataType="0006" accessType="rww" lowLimit="0"'
        ' highLimit="0x1F" defaultValue="6" actualValue="15" denotation="Axis 3" PDOmapping="RPDO" objFlags="0003"/>'
    )
    assert not dictionary.findings
    found = dictionary.objects[0x6040]
    assert (found.name, found.object_type, found.line) == ("Controlword", ObjectType.VAR, 7)
    variable = dictionary[0x6040, 0]
    assert (variable.name, variable.data_type, variable.access) == ("Controlword", DataType.UNSIGNED16, "rww")
    assert (variable.low, variable.high, variable.default, variable.value) == (0, 31, 6, 15)
    assert (variable.denotation, variable.flags, variable.pdo_mappable) == ("Axis 3", 3, True)
    assert (variable.source, variable.line, variable.extra) == ("xdd", 7, {})


def test_members_and_the_order_of_indices():
    dictionary = read(
        '<CANopenObject index="2001" name="B" objectType="7" dataType="0005" accessType="ro"/>\n'
        '<CANopenObject index="1018" name="Identity" objectType="9" dataType="0023" subNumber="2" objFlags="1"'
        ' denotation="whose">\n'
        '<CANopenSubObject subIndex="0A" name="Ten" objectType="7" dataType="0007" accessType="ro"/>\n'
        '<CANopenSubObject subIndex="00" name="Highest" objectType="7" dataType="0005" accessType="const"'
        ' defaultValue="10"/></CANopenObject>'
    )
    assert not dictionary.findings
    assert list(dictionary.objects) == [0x1018, 0x2001]
    found = dictionary.objects[0x1018]
    assert (found.object_type, found.data_type, found.flags, found.denotation) == (9, 0x23, 1, "whose")
    assert [(sub, v.name, v.access, v.line) for sub, v in found.members.items()] == [
        (0, "Highest", "const", 10),
        (10, "Ten", "ro", 9),
    ]
    assert dictionary.name_of(dictionary[0x1018, 10]) == "Identity.Ten"


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [
        ("0001", "true", True),
        ("0001", "0", False),
        ("0003", "-5", -5),
        ("0003", "0xFFFB", -5),
        ("0007", "0x92020100", 0x92020100),
        ("0007", " 17 ", 17),
        ("0007", "$NODEID+0x180", NodeIdPlus(0x180)),
        ("0008", "1.5", 1.5),
        ("0009", " two words ", " two words "),
        ("000A", "C8 3D bb", b"\xc8\x3d\xbb"),
        ("001B", "0xFFFFFFFFFFFFFFFF", 2**64 - 1),
    ],
)
def test_values_are_read_as_in_an_eds(data_type, text, value):
    dictionary, variable = one(f'dataType="{data_type}" accessType="rw" defaultValue="{text}"')
    assert not dictionary.findings
    assert variable.default == value
    assert type(variable.default) is type(value)


@pytest.mark.parametrize(
    ("said", "access"),
    [
        *((word, word) for word in ("ro", "wo", "rw", "rwr", "rww", "const")),
        ("readWriteInput", "rwr"),
        ("readWriteOutput", "rww"),
        ("READ", "ro"),
    ],
)
def test_access(said, access):
    dictionary, variable = one(f'dataType="0006" accessType="{said}"')
    assert (variable.access, codes(dictionary)) == (access, [])


@pytest.mark.parametrize(
    ("said", "mappable", "access"),
    [
        ("no", False, "rw"),
        ("default", True, "rw"),
        ("optional", True, "rw"),
        ("RPDO", True, "rww"),
        ("TPDO", True, "rwr"),
    ],
)
def test_pdo_mapping_and_its_direction(said, mappable, access):
    dictionary, variable = one(f'{WORD} PDOmapping="{said}"')
    assert (variable.pdo_mappable, variable.access, codes(dictionary)) == (mappable, access, [])


def test_a_direction_does_not_make_a_value_writable():
    assert one('dataType="0006" accessType="ro" PDOmapping="RPDO"')[1].access == "ro"


def test_attributes_without_a_meaning_are_kept():
    assert one(f'{WORD} edsNumber="4" Unit="no unit"')[1].extra == {"edsNumber": "4", "XDD_Unit": "no unit"}


def test_a_data_type_of_the_device_has_no_value():
    dictionary = read('<CANopenObject index="0040" name="Own" objectType="5" dataType="0007" own="x"/>')
    found = dictionary.objects[0x40]
    assert (found.object_type, found.members, found.extra) == (ObjectType.DEFTYPE, {}, {"own": "x"})


def test_a_domain_needs_no_data_type():
    dictionary = read(
        '<CANopenObject index="2000" name="D" objectType="2" accessType="wo"/>'
        '<CANopenObject index="2001" name="R" objectType="9">'
        '<CANopenSubObject subIndex="01" name="M" objectType="2" accessType="rw"/></CANopenObject>'
    )
    assert [variable.data_type for variable in dictionary.variables()] == [DataType.DOMAIN] * 2
    assert not dictionary.findings


# What is odd


@pytest.mark.parametrize(
    ("attributes", "code", "what"),
    [
        (f'{WORD} defaultValue="seven"', "xdd-bad-value", {"default": None}),
        (f'{WORD} defaultValue="65536"', "xdd-out-of-range", {"default": None}),
        (f'{WORD} defaultValue="010"', "xdd-octal-number", {"default": 8}),
        (f'{WORD} defaultValue="1Fh"', "xdd-number-form", {"default": 31}),
        (f'{WORD} lowLimit="9" highLimit="1"', "xdd-limits-crossed", {"low": None, "high": None}),
        (f'{WORD} PDOmapping="maybe"', "xdd-bad-value", {"pdo_mappable": False}),
        (f'{WORD} objFlags="none"', "xdd-bad-value", {"flags": 0}),
        (f'{WORD} uniqueIDRef="lost"', "xdd-unknown-ref", {"data_type": DataType.UNSIGNED16}),
        ('dataType="0x0006" accessType="rw"', "xdd-number-form", {"data_type": DataType.UNSIGNED16}),
        ('dataType="0040" accessType="rw"', "xdd-own-type", {"data_type": 0x40}),
        ('dataType="UINT" accessType="rw"', "xdd-bad-value", {"data_type": 0}),
        ('accessType="rw"', "xdd-no-data-type", {"data_type": 0}),
        ('dataType="0006"', "xdd-no-access", {"access": ""}),
        ('dataType="0006" accessType="r/w"', "xdd-bad-access", {"access": ""}),
        (f'{WORD} defaultValue="$NODEID{"+1" * 1000}"', "xdd-bad-value", {"default": None}),
    ],
)
def test_an_odd_attribute(attributes, code, what):
    dictionary, variable = one(attributes)
    assert {name: getattr(variable, name) for name in what} == what
    assert code in codes(dictionary)
    assert {finding.line for finding in dictionary.findings} == {7}
    assert all(len(str(finding)) < 600 for finding in dictionary.findings)


@pytest.mark.parametrize(
    ("objects", "code", "indices"),
    [
        (f'<CANopenObject name="A" {WORD}/>', "xdd-index", [0x3000]),
        (f'<CANopenObject index="12345" {WORD}/>', "xdd-bad-value", [0x3000]),
        (f'<CANopenObject index="20 0" {WORD}/>', "xdd-bad-value", [0x3000]),
        (f'<CANopenObject index="3000" name="B" {WORD} objectType="7"/>', "xdd-duplicate", [0x3000]),
        (f'<CANopenObject index="2000" name="A" {WORD} objectType="3"/>', "xdd-object-type", [0x2000, 0x3000]),
        (f'<CANopenObject index="2000" {WORD} objectType="7"/>', "xdd-no-name", [0x2000, 0x3000]),
        ('<CANopenObject index="2000" name="A" objectType="9"/>', "xdd-no-members", [0x2000, 0x3000]),
    ],
)
def test_an_odd_object(objects, code, indices):
    dictionary = read(f'<CANopenObject index="3000" name="N" objectType="7" {WORD}/>{objects}')
    assert list(dictionary.objects) == indices
    assert dictionary.objects[0x3000].name == "N"
    assert codes(dictionary) == [code]


OBJECT = f'<CANopenObject index="2000" name="N" objectType="7" {WORD}/>'
MEMBER = '<CANopenSubObject subIndex="01" name="M" objectType="7" dataType="0006" accessType="rw"/>'


@pytest.mark.parametrize(
    ("attributes", "members", "code", "subindices"),
    [
        ('objectType="7"', MEMBER, "xdd-object-type", [1]),
        ('objectType="9" subNumber="3"', MEMBER, "xdd-sub-number", [1]),
        ('objectType="9"', MEMBER + MEMBER, "xdd-duplicate", [1]),
        ('objectType="9"', MEMBER + MEMBER.replace("01", "100"), "xdd-bad-value", [1]),
        ('objectType="9"', MEMBER + MEMBER.replace(' subIndex="01"', ""), "xdd-index", [1]),
        ('objectType="9"', MEMBER.replace('name="M" ', ""), "xdd-no-name", [1]),
        ('objectType="8" defaultValue="0"', MEMBER, "xdd-misplaced-value", [1]),
    ],
)
def test_odd_members(attributes, members, code, subindices):
    dictionary = read(f'<CANopenObject index="2000" name="N" {attributes}>{members}</CANopenObject>')
    assert list(dictionary.objects[0x2000].members) == subindices
    assert codes(dictionary) == [code]


def test_objects_that_canopen_editor_disabled_are_one_finding():
    parameter = PARAMETER.format("", '<UINT/><q:property name="CO_disabled" value="true"/>')
    dictionary, variable = one("", parameter)
    assert variable.extra == {"CO_disabled": "true"}
    assert [(f.code, f.severity, f.evidence) for f in dictionary.findings] == [
        ("xdd-disabled", Severity.INFO, "CO_disabled: 2000h")
    ]


# Files as a whole


def test_no_object_at_all_is_refused():
    with pytest.raises(DictionaryFileError, match="no object"):
        read("")


def test_a_list_anywhere_is_read():
    text = f"{HEAD}<q:CANopenObjectList>{OBJECT}</q:CANopenObjectList></ISO15745ProfileContainer>"
    dictionary = parse_xml(text, "test.xdd")
    assert (list(dictionary.objects), codes(dictionary)) == ([0x2000], ["xdd-no-device"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html/>", "<html>"),
        (HEAD + "</ISO15745ProfileContainer>", "without <CANopenObjectList>"),
        (text_of("<x/>").replace("CANopenObjectList", "ObjectList"), "without <CANopenObjectList>"),
    ],
)
def test_xml_that_is_no_canopen_device(text, reason):
    with pytest.raises(DictionaryFileError, match=reason):
        parse_xml(text, "test.xdd")


def test_of_several_devices_the_first_is_read():
    text = text_of(f'<CANopenObject index="2000" name="N" objectType="7" {WORD}/>')
    dictionary = parse_xml(f"<CanOpenProject>{text}{text.replace('2000', '2001')}</CanOpenProject>", "test.nxdd")
    assert (list(dictionary.objects), codes(dictionary)) == ([0x2000], ["xdd-several-devices"])


def test_the_text_is_kept():
    text = '<?xml version="1.0" encoding="iso-8859-1"?>' + text_of(
        f'<CANopenObject index="2000" name="Öl" objectType="7" {WORD}/>'
    )
    document = parse_xml(text.encode("latin-1"), "test.xdd").document
    assert (document.text, document.kind, document.encoding) == (text, "xdd", "iso8859-1")


def test_load_reads_it_by_its_content(tmp_path):
    path = tmp_path / "wrong.eds"
    path.write_text(text_of(f'<CANopenObject index="2000" name="N" objectType="7" {WORD}/>'))
    assert load(path)[0x2000, 0].source == "xdd"


WHOLE = text_of(
    '<CANopenObject index="2000" name="N" objectType="8" uniqueIDRef="pa" subNumber="1">' + MEMBER + "</CANopenObject>"
    '<CANopenObject index="2001" name="M" objectType="7" uniqueIDRef="ps" PDOmapping="TPDO"/>',
    STRUCTURED,
).encode()


@settings(max_examples=300)
@given(st.data())
def test_changed_bytes_are_read_or_refused(data):
    raw = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        dictionary = parse_xml(bytes(raw), "test.xdd")
    except DictionaryFileError:
        return
    assert dictionary.objects


_KEYS = ["index", "subIndex", "objectType", "dataType", "accessType", "defaultValue", "lowLimit", "highLimit"]
_KEYS += ["actualValue", "PDOmapping", "objFlags", "subNumber", "uniqueIDRef", "denotation", "name", "own"]
_WORDS = ["2000", "7", "9", "0007", "0001", "0008", "000A", "000C", "rw", "$NODEID+", "-1", "0x", "true", "p", "1e999"]
_VALUES = st.one_of(st.sampled_from(_WORDS), st.text(max_size=8))
_ATTRIBUTES = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=8)


def _spelt(attributes):
    return " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items())


@given(_ATTRIBUTES, st.lists(_ATTRIBUTES, max_size=3), _VALUES, st.sampled_from(["INT", "REAL", "BITSTRING", "STRING"]))
def test_any_attributes_are_read_or_noted(own, members, value, element):
    subs = "".join(f"<CANopenSubObject {_spelt(each)}/>" for each in members)
    parameter = (
        f'<q:parameter uniqueID="p" offset={quoteattr(value)} multiplier={quoteattr(value)}><{element}/>'
        f"<q:defaultValue value={quoteattr(value)}/><q:allowedValues><q:value value={quoteattr(value)}/>"
        f"<q:range><q:minValue value={quoteattr(value)}/></q:range></q:allowedValues></q:parameter>"
    )
    text = text_of(
        f"<CANopenObject {_spelt({'index': '2000'} | own)}>{subs}</CANopenObject>"
        '<CANopenObject index="2001" name="N" objectType="7" uniqueIDRef="p"/>',
        parameter,
    )
    try:
        dictionary = parse_xml(text, "test.xdd")
    except DictionaryFileError as error:
        assert "no XML" in error.reason  # a control character
        return
    assert 0x2001 in dictionary.objects
    for variable in dictionary.variables():
        variable.configured(5)
