"""opendiag.dictionary.eds_values: the spellings of numbers, formulas, text, bytes and factors."""

import pytest

from opendiag.dictionary import parse
from opendiag.dictionary.model import NodeIdPlus
from opendiag.findings import Severity

FRAME = "[DeviceInfo]\n[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"


def one(lines, data_type="0x0004", whole=False):
    """The variable of a file with one object, and the codes of the findings; or the whole dictionary."""
    head = f"[2000]\nParameterName=Speed\nObjectType=0x7\nDataType={data_type}\nAccessType=rw\n"
    dictionary = parse(FRAME + head + lines, "test.eds")
    return dictionary if whole else (dictionary[0x2000, 0], [finding.code for finding in dictionary.findings])


def test_units_and_factors():
    variable, found = one("Unit=rpm\nFactor=0.01\nAltUnit=rev\nAltFactor=1/4096\n")
    assert (variable.unit, variable.factor, variable.alt_unit, variable.alt_factor) == ("rpm", 0.01, "rev", 1 / 4096)
    assert not found


@pytest.mark.parametrize("factor", ["ERROR", "1/0", "0", "nan", "inf", "1/2/3", "1e999"])
def test_a_factor_that_is_none(factor):
    variable, found = one(f"Factor={factor}\n")
    assert variable.factor == 1.0
    assert found == ["eds-bad-value"]


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [
        (4, "0xFFFFFFFF", -1),
        (4, "0x80000000", -(2**31)),
        (4, "0x7FFFFFFF", 2**31 - 1),
        (3, "0x8AD0", -30000),
        (2, "0xFA", -6),
        (2, "-6", -6),
        (4, "-0x10", -16),
        (0x10, "0xFFFFFF", -1),
        (0x15, "0xFFFFFFFFFFFFFFFE", -2),
        (7, "0xFFFFFFFF", 0xFFFFFFFF),
        (7, "00", 0),
        (5, "007", 7),
        (1, "1", True),
        (1, "0x0", False),
        (8, "1.5", 1.5),
        (8, "-2", -2.0),
        (8, "1e3", 1000.0),
        (8, "0x3FC00000", 1.5),
        (0x11, "0x3FF8000000000000", 1.5),
        (9, "SN:0000-0000; x = y", "SN:0000-0000; x = y"),
        (9, "0x00", "0x00"),
        (0xA, "01 02 ff", b"\x01\x02\xff"),
        (0xF, "0x0102", b"\x01\x02"),
        (0xC, "0x0001000005DC", "1984-01-02T00:00:01.500"),
        (7, "$NODEID+0x180", NodeIdPlus(0x180)),
        (7, "0x180+$NODEID", NodeIdPlus(0x180)),
        (7, "$NODEID", NodeIdPlus(0)),
        (7, "$NodeID + 384", NodeIdPlus(384)),
        (7, "$NODEID+0x40000000+0x180", NodeIdPlus(0x40000180)),
        (5, "$NODEID-1", NodeIdPlus(-1)),
        (5, "", None),
    ],
)
def test_values_that_are_as_they_should_be(data_type, text, value):
    variable, found = one(f"DefaultValue={text}\n", data_type)
    assert variable.default == value and type(variable.default) is type(value)
    assert not found


@pytest.mark.parametrize(
    ("data_type", "text", "value", "code"),
    [
        (7, "010", 8, "eds-octal-number"),
        (7, "08", 8, "eds-octal-number"),
        (7, "019", 19, "eds-octal-number"),
        (7, "10h", 16, "eds-number-form"),
        (7, "60FF", 0x60FF, "eds-number-form"),
        (0x1B, "0x1234567890ABCDEFLL", 0x1234567890ABCDEF, "eds-number-form"),
        (1, "true", True, "eds-number-form"),
        (8, "1,5", 1.5, "eds-number-form"),
        (8, "0.5f", 0.5, "eds-number-form"),
        (0xC, "365 43200000", "1984-12-31T12:00:00.000", "eds-number-form"),
        (0xD, "1 1500", "P1DT1.5S", "eds-number-form"),
        (7, "NODEID+0x180", NodeIdPlus(0x180), "eds-number-form"),
        (6, "1000  ; ms", 1000, "eds-comment-in-value"),
        (4, "4294967295", -1, "eds-wrapped-number"),
        (3, "0xFFFFFFFE", -2, "eds-wrapped-number"),
        (5, "-1", 255, "eds-wrapped-number"),
        (5, "256", None, "eds-out-of-range"),
        (3, "0x12345", None, "eds-out-of-range"),
        (1, "2", None, "eds-out-of-range"),
        (7, "abc xyz", None, "eds-bad-value"),
        (7, "-", None, "eds-bad-value"),
        (7, "$NODEID*2", None, "eds-bad-value"),
        (7, "$NODEID+$NODEID", None, "eds-bad-value"),
        (7, "5-$NODEID", None, "eds-bad-value"),
        (7, "$NODEID" + "+0x10" * 100, None, "eds-bad-value"),
        (7, "$NODEID+0xFFFFFFFFFFFFFFFF+1", None, "eds-bad-value"),
        (8, "0x1FFFFFFFFF", None, "eds-bad-value"),
        (8, "fast", None, "eds-bad-value"),
        (8, "f", None, "eds-bad-value"),
        (0xC, "1 99999999999", None, "eds-bad-value"),
        (0xC, "-1", None, "eds-bad-value"),
        (0xF, "@ABC", b"@ABC", "eds-text-bytes"),
    ],
)
def test_values_that_are_odd(data_type, text, value, code):
    variable, found = one(f"DefaultValue={text}\n", data_type)
    assert variable.default == value and type(variable.default) is type(value)
    assert found == [code]


def test_only_a_number_that_may_mean_another_is_a_warning():
    octal, suffix = (one(f"DefaultValue={text}\n", 7, whole=True).findings[0] for text in ("010", "10h"))
    assert (octal.severity, suffix.severity) == (Severity.WARNING, Severity.INFO)
    assert (octal.evidence, octal.assumed) == ("DefaultValue=010", "a leading 0 means octal: read as 8")


def test_a_decimal_limit_beyond_the_type_is_no_negative_number():
    variable, found = one("LowLimit=0\nHighLimit=65535\n", 3)
    assert (variable.low, variable.high) == (0, 65535)
    assert found == ["eds-out-of-range"]


def test_a_limit_that_leaves_nothing_of_the_type_is_no_limit():
    variable, found = one("LowLimit=70000\nHighLimit=-70000\n", 3)
    assert (variable.low, variable.high) == (None, None)
    assert variable.extra == {"LowLimit": "70000", "HighLimit": "-70000"}
    assert found == ["eds-out-of-range"] * 2


@pytest.mark.parametrize(
    ("data_type", "line", "code"),
    [
        (1, "DefaultValue=3", "eds-out-of-range"),
        (5, "ParameterValue=256", "eds-out-of-range"),
        (7, "defaultvalue=fast", "eds-bad-value"),
        (7, "PDOMapping=maybe", "eds-bad-value"),
        (7, "ObjFlags=-1", "eds-bad-value"),
        (7, "Factor=ERROR", "eds-bad-value"),
        (7, "LowLimit=5\nHighLimit=4", "eds-limits-crossed"),
    ],
)
def test_what_cannot_be_used_is_kept_as_written(data_type, line, code):
    variable, found = one(line + "\n", data_type)
    assert variable.extra == dict(part.split("=") for part in line.split("\n"))
    assert (variable.default, variable.value, variable.low, variable.high, variable.factor) == (*[None] * 4, 1.0)
    assert found == [code]


def test_signed_limits_in_hexadecimal():
    variable, found = one("LowLimit=0x80000000\nHighLimit=0x7FFFFFFF\n")
    assert (variable.low, variable.high) == (-(2**31), 2**31 - 1)
    assert not found


def test_limits_that_cross_are_left_out():
    variable, found = one("LowLimit=10\nHighLimit=5\n")
    assert (variable.low, variable.high) == (None, None)
    assert found == ["eds-limits-crossed"]


@pytest.mark.parametrize(("text", "mappable"), [("1", True), ("0x01", True), ("0", False), ("", False)])
def test_pdo_mapping(text, mappable):
    assert one(f"PDOMapping={text}\n")[0].pdo_mappable is mappable
