"""The parameters, templates and types of the device profile behind the objects of an XDD."""

import pytest
from dictionary.xdd_text import PARAMETER, STRUCTURED, WORD, codes, one, read

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import ObjectType


def test_a_parameter_says_everything():
    dictionary, variable = one(
        'PDOmapping="optional"',
        PARAMETER.format(
            ' multiplier="0.1"',
            '<label lang="de">Drehzahl</label><label lang="en-us">Speed</label>'
            '<description lang="en">of the motor,\n after the gear</description><INT/>'
            '<q:denotation><label lang="en">Axis 3</label></q:denotation>'
            '<q:actualValue value="-7"/><q:defaultValue value="0x10"/><q:substituteValue value="3"/>'
            '<q:allowedValues><q:value value="0"><label lang="en">stop</label></q:value><q:value value="99"/>'
            '<q:range><q:minValue value="-100"/><q:maxValue value="0x64"/></q:range></q:allowedValues>'
            '<q:unit multiplier="10"><label lang="en">rpm</label></q:unit>'
            '<q:property name="CO_storageGroup" value="RAM"/><q:property name="DataType" value="odd"/>',
        ),
    )
    assert not dictionary.findings
    assert (variable.name, variable.data_type, variable.access) == ("N", DataType.INTEGER16, "rw")
    assert (variable.default, variable.value, variable.low, variable.high) == (16, -7, -100, 100)
    assert (variable.unit, variable.factor, variable.denotation) == ("rpm", 1.0, "Axis 3")
    assert variable.values == {0: "stop"}
    assert variable.extra == {
        "Description": "of the motor,\n after the gear",
        "Label": "Speed",
        "CO_storageGroup": "RAM",
        "XDD_DataType": "odd",
        "substituteValue": "3",
        "allowedValues": "99",
    }


@pytest.mark.parametrize(
    ("element", "data_type"),
    [
        ("BOOL", DataType.BOOLEAN),
        ("SINT", DataType.INTEGER8),
        ("INT", DataType.INTEGER16),
        ("DINT", DataType.INTEGER32),
        ("LINT", DataType.INTEGER64),
        ("USINT", DataType.UNSIGNED8),
        ("UINT", DataType.UNSIGNED16),
        ("UDINT", DataType.UNSIGNED32),
        ("ULINT", DataType.UNSIGNED64),
        ("BYTE", DataType.UNSIGNED8),
        ("WORD", DataType.UNSIGNED16),
        ("DWORD", DataType.UNSIGNED32),
        ("LWORD", DataType.UNSIGNED64),
        ("REAL", DataType.REAL32),
        ("LREAL", DataType.REAL64),
        ("STRING", DataType.VISIBLE_STRING),
        ("WSTRING", DataType.UNICODE_STRING),
        ("q:UINT", DataType.UNSIGNED16),
    ],
)
def test_types_of_parameters(element, data_type):
    dictionary, variable = one("", PARAMETER.format("", f"<{element}/>"))
    assert (variable.data_type, codes(dictionary)) == (data_type, [])


@pytest.mark.parametrize(
    ("said", "access", "found"),
    [
        ("const", "const", []),
        ("read", "ro", []),
        ("write", "wo", []),
        ("readWrite", "rw", []),
        ("readWriteInput", "rwr", []),
        ("readWriteOutput", "rww", []),
        ("noAccess", "", ["xdd-inaccessible"]),
        ("sometimes", "", ["xdd-bad-access"]),
    ],
)
def test_access_of_parameters(said, access, found):
    dictionary, variable = one("", f'<q:parameter uniqueID="p" access="{said}"><UINT/></q:parameter>')
    assert (variable.access, codes(dictionary)) == (access, found)


def test_a_parameter_that_says_nothing_is_read_only():
    dictionary, variable = one("", '<q:parameter uniqueID="p"><UINT/></q:parameter>')
    assert (variable.access, codes(dictionary)) == ("ro", [])


def test_a_template_says_what_the_parameter_leaves_out():
    dictionary, variable = one(
        "",
        '<q:parameter uniqueID="p" templateIDRef="t"><q:defaultValue value="2"/>'
        '<q:allowedValues templateIDRef="a"/></q:parameter>',
        templates='<q:parameterTemplate uniqueID="t" access="readWrite"><USINT/><q:defaultValue value="1"/>'
        '<q:unit multiplier="1"><label lang="en">s</label></q:unit></q:parameterTemplate>'
        '<q:allowedValuesTemplate uniqueID="a"><q:range><q:minValue value="1"/><q:maxValue value="9"/></q:range>'
        "</q:allowedValuesTemplate>",
    )
    assert not dictionary.findings
    assert (variable.data_type, variable.access, variable.default) == (DataType.UNSIGNED8, "rw", 2)
    assert (variable.unit, variable.low, variable.high) == ("s", 1, 9)


def test_a_variable_behind_the_parameter():
    dictionary, variable = one(
        "",
        '<q:parameter uniqueID="p" access="readWrite"><q:variableRef><q:instanceIDRef uniqueIDRef="i"/>'
        '<q:variableIDRef uniqueIDRef="v"/></q:variableRef></q:parameter>',
        types='<q:struct name="S" uniqueID="s"><q:varDeclaration name="V" uniqueID="v"><LREAL/>'
        '<q:defaultValue value="2.5"/></q:varDeclaration></q:struct><q:functionInstance uniqueID="i"/>',
    )
    assert not dictionary.findings
    assert (variable.data_type, variable.default) == (DataType.REAL64, 2.5)


def test_derived_types_and_enumerations():
    types = (
        '<q:derived name="D" uniqueID="d"><q:dataTypeIDRef uniqueIDRef="e"/></q:derived>'
        '<q:enum name="Mode" uniqueID="e"><q:enumValue value="1"><label lang="en">by position</label></q:enumValue>'
        '<q:enumValue value="-2" name="own"/><SINT/></q:enum>'
    )
    dictionary, variable = one("", PARAMETER.format("", '<q:dataTypeIDRef uniqueIDRef="d"/>'), types)
    assert not dictionary.findings
    assert (variable.data_type, variable.values) == (DataType.INTEGER8, {1: "by position", -2: "own"})


def test_a_variable_with_a_member():
    dictionary, variable = one(
        "",
        '<q:parameter uniqueID="p" access="readWrite"><q:variableRef><q:variableIDRef uniqueIDRef="v"/>'
        '<q:memberRef uniqueIDRef="m"/></q:variableRef></q:parameter>',
        types='<q:struct uniqueID="s"><q:varDeclaration name="M" uniqueID="m"><SINT/></q:varDeclaration></q:struct>'
        '<q:varDeclaration uniqueID="v"><q:dataTypeIDRef uniqueIDRef="s"/></q:varDeclaration>',
    )
    assert (variable.data_type, codes(dictionary)) == (DataType.INTEGER8, [])


def test_a_derived_type_with_a_count_is_an_array():
    types = '<q:derived name="D" uniqueID="d"><q:count uniqueID="c"/><INT/></q:derived>'
    dictionary, variable = one("", PARAMETER.format("", '<q:dataTypeIDRef uniqueIDRef="d"/>'), types)
    assert (variable.data_type, codes(dictionary)) == (0, ["xdd-bad-type", "xdd-no-data-type"])


def test_members_of_an_array_have_its_type():
    dictionary = read(
        '<CANopenObject index="2000" objectType="8" uniqueIDRef="pa">'
        '<CANopenSubObject subIndex="00" name="Highest" objectType="7" accessType="ro"/>'
        '<CANopenSubObject subIndex="01" name="First" objectType="7" accessType="rw"/></CANopenObject>',
        STRUCTURED,
    )
    found = dictionary.objects[0x2000]
    assert (found.name, found.object_type, found.extra) == ("An array", ObjectType.ARRAY, {"Description": "of two"})
    assert [v.data_type for v in found.members.values()] == [DataType.UNSIGNED8, DataType.INTEGER16]
    assert codes(dictionary) == ["xdd-no-data-type"] * 2


def test_members_of_a_record_have_the_types_of_its_structure():
    dictionary = read(
        '<CANopenObject index="2000" name="R" objectType="9" uniqueIDRef="ps">'
        '<CANopenSubObject subIndex="01" name="Part" objectType="7" accessType="rw"/></CANopenObject>',
        STRUCTURED,
    )
    assert dictionary[0x2000, 1].data_type == DataType.UNSIGNED32
    assert not dictionary.findings


@pytest.mark.parametrize(
    ("index", "attributes", "default", "data_type"),
    [
        ("2000", "", "", DataType.DOMAIN),
        ("2000", "", "01 02", DataType.OCTET_STRING),
        ("1021", "", "01", DataType.DOMAIN),
        ("1023", "", "", DataType.DOMAIN),
    ],
)
def test_a_bit_string_is_bytes(index, attributes, default, data_type):
    parameter = PARAMETER.format("", f'<BITSTRING/><q:defaultValue value="{default}"/>')
    dictionary = read(f'<CANopenObject index="{index}" name="N" objectType="7" uniqueIDRef="p"/>', parameter)
    assert dictionary.objects[int(index, 16)].members[0].data_type == data_type
    assert codes(dictionary) == ["xdd-bit-string"]


def test_a_bit_string_that_is_a_domain():
    parameter = PARAMETER.format("", '<BITSTRING/><q:defaultValue value="01"/>')
    dictionary = read('<CANopenObject index="2000" name="N" objectType="2" uniqueIDRef="p"/>', parameter)
    assert dictionary[0x2000, 0].data_type == DataType.DOMAIN


def test_a_bit_string_that_the_standard_knows():
    parameter = PARAMETER.format("", "<BITSTRING/>")
    dictionary = read(
        '<CANopenObject index="1023" name="OS command" objectType="9">'
        '<CANopenSubObject subIndex="01" name="Command" objectType="7" uniqueIDRef="p"/></CANopenObject>',
        parameter,
    )
    assert dictionary[0x1023, 1].data_type == DataType.OCTET_STRING


def test_limits_are_the_outer_ends_of_all_ranges():
    ranges = "".join(
        f'<q:range><q:minValue value="{low}"/>{high}</q:range>'
        for low, high in ((5, '<q:maxValue value="9"/>'), (-3, '<q:maxValue value="0"/>'))
    )
    _, variable = one("", PARAMETER.format("", f"<INT/><q:allowedValues>{ranges}</q:allowedValues>"))
    assert (variable.low, variable.high) == (-3, 9)
    ranges += '<q:range><q:minValue value="20"/></q:range>'
    _, variable = one("", PARAMETER.format("", f"<INT/><q:allowedValues>{ranges}</q:allowedValues>"))
    assert (variable.low, variable.high) == (-3, None)


@pytest.mark.parametrize(("parameter", "unit"), [("0.1", "10"), ("", "1"), ("1", ""), ("1/4", "4"), ("none", "1")])
def test_the_multipliers_of_parameter_and_unit_both_count(parameter, unit):
    unit = f'<UINT/><q:unit multiplier="{unit}"><label lang="en">V</label></q:unit>'
    dictionary, variable = one("", PARAMETER.format(f' multiplier="{parameter}"', unit))
    assert (variable.unit, variable.factor) == ("V", 1.0)
    assert codes(dictionary) == (["xdd-bad-value"] if parameter == "none" else [])


def test_an_offset_that_is_no_number():
    dictionary, variable = one("", PARAMETER.format(' offset="much"', "<UINT/>"))
    assert (variable.extra["offset"], codes(dictionary)) == ("much", ["xdd-offset"])


def test_a_value_with_an_offset_has_no_unit():
    unit = '<UINT/><q:unit multiplier="1"><label lang="en">degC</label></q:unit>'
    dictionary, variable = one("", PARAMETER.format(' offset="-273.15" multiplier="0.1"', unit))
    assert (variable.unit, variable.factor) == ("", 1.0)
    assert variable.extra == {"offset": "-273.15", "multiplier": "0.1", "unitText": "degC"}
    assert codes(dictionary) == ["xdd-offset"]
    _, variable = one("", PARAMETER.format(' offset="0" multiplier="0.1"', unit))
    assert (variable.unit, variable.factor, variable.extra) == ("degC", 0.1, {})


# What is odd


@pytest.mark.parametrize(
    ("parameter", "types", "code"),
    [
        ("<TIME/>", "", "xdd-bad-type"),
        ('<q:dataTypeIDRef uniqueIDRef="lost"/>', "", "xdd-unknown-ref"),
        ('<q:dataTypeIDRef uniqueIDRef="s"/>', '<q:struct name="S" uniqueID="s"/>', "xdd-bad-type"),
        (
            '<q:dataTypeIDRef uniqueIDRef="d"/>',
            '<q:derived uniqueID="d"><q:dataTypeIDRef uniqueIDRef="d"/></q:derived>',
            "xdd-bad-type",
        ),
        ('<q:dataTypeIDRef uniqueIDRef="e"/>', '<q:enum uniqueID="e"><q:enumValue/><INT/></q:enum>', "xdd-bad-value"),
    ],
)
def test_an_odd_type(parameter, types, code):
    dictionary, variable = one("", PARAMETER.format("", parameter), types)
    assert variable.data_type == (DataType.INTEGER16 if code == "xdd-bad-value" else 0)
    assert code in codes(dictionary)


def test_parameters_in_a_circle():
    parameters = "".join(
        f'<q:parameter uniqueID="{one_}" templateIDRef="{other}"/>' for one_, other in (("p", "r"), ("r", "p"))
    )
    dictionary, variable = one("", parameters)
    assert (variable.data_type, codes(dictionary)) == (0, ["xdd-no-data-type"])


@pytest.mark.parametrize(
    ("attributes", "parameter", "counts"),
    [
        ('accessType="ro"', PARAMETER.format("", "<UINT/>"), ("access", "ro")),
        ('dataType="0007"', PARAMETER.format("", "<UINT/>"), ("data_type", 7)),
        ('defaultValue="2"', PARAMETER.format("", '<UINT/><q:defaultValue value="1"/>'), ("default", 2)),
        ('actualValue="2"', PARAMETER.format("", '<UINT/><q:actualValue value="1"/>'), ("value", 2)),
    ],
)
def test_what_the_object_says_comes_before_its_parameter(attributes, parameter, counts):
    dictionary, variable = one(attributes, parameter)
    assert getattr(variable, counts[0]) == counts[1]
    assert codes(dictionary) == ["xdd-contradiction"]


def test_saying_the_same_twice_is_no_contradiction():
    parameter = PARAMETER.format("", '<UINT/><q:defaultValue value="0x10"/>')
    assert not codes(one('accessType="rw" dataType="0006" defaultValue="16"', parameter)[0])


def test_a_bit_string_contradicts_no_type():
    assert not codes(one('dataType="0010"', PARAMETER.format("", "<BITSTRING/>"))[0])


def test_an_id_that_stands_twice():
    parameters = "".join(f'<q:parameter uniqueID="p"><{name}/></q:parameter>' for name in ("UINT", "DINT"))
    dictionary, variable = one("", parameters)
    assert (variable.data_type, codes(dictionary)) == (DataType.UNSIGNED16, ["xdd-duplicate-id"])


def test_an_enumeration_is_read_once_however_many_objects_have_it():
    values = "".join(f'<enumValue value="{n}"><label lang="en">v{n}</label></enumValue>' for n in range(200))
    odd = '<enumValue value="x"><label lang="en">odd</label></enumValue>'
    dictionary = read(
        "".join(f'<CANopenObject index="{0x2000 + n:X}" name="o" objectType="7" uniqueIDRef="P"/>' for n in range(300)),
        f'<q:dataTypeList><q:enum uniqueID="E" name="States"><UINT/>{values}{odd}</q:enum></q:dataTypeList>'
        '<q:parameterList><q:parameter uniqueID="P" access="read"><q:dataTypeIDRef uniqueIDRef="E"/></q:parameter>'
        "</q:parameterList>",
    )
    assert all(len(found.members[0].values) == 200 for found in dictionary)
    assert codes(dictionary).count("xdd-bad-value") == 2  # of the number, and of the name that has none


def test_what_a_parameter_allows_is_read_once_however_many_objects_have_it():
    odd = '<q:value value="x"><label lang="en">odd</label></q:value><q:value value="7"/>'
    ends = '<q:range><q:minValue value="y"/><q:maxValue value="9"/></q:range>'
    objects = (
        f'<CANopenObject index="{0x2000 + n:X}" name="o" objectType="7" {WORD} uniqueIDRef="P"/>' for n in range(9)
    )
    dictionary = read(
        "".join(objects),
        '<q:parameterList><q:parameter uniqueID="P" access="readWrite"><UINT/>'
        f"<q:allowedValues>{odd}{ends}</q:allowedValues></q:parameter></q:parameterList>",
    )
    assert codes(dictionary).count("xdd-bad-value") == 2
    members = [found.members[0] for found in dictionary]
    assert {(each.low, each.high, each.extra["allowedValues"]) for each in members} == {(None, 9, "7")}


def test_a_parameter_of_very_many_variables_is_cut_short():
    refs = "".join(f'<q:variableRef><q:variableIDRef uniqueIDRef="v{n}"/></q:variableRef>' for n in range(50))
    variables = "".join(f'<q:varDeclaration uniqueID="v{n}" name="v"><UINT/></q:varDeclaration>' for n in range(50))
    _, variable = one(WORD, PARAMETER.format("", refs), types=variables)
    assert variable.data_type == DataType.UNSIGNED16
