"""What other readers of EDS files stop at, or take for something else: each alone, in a file that is good beside that.

Of each it is said which findings it gives (none where it is well-formed) and what is read.
"""

import pytest

from opendiag.dictionary import load, parse
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, ObjectType

FRAME = (
    "[FileInfo]\nFileName=device.eds\n"
    "[DeviceInfo]\nVendorName=Acme\nVendorNumber=0x2E1\nGranularity=8\n"
    "[Comments]\nLines=1\nLine1=hello\n"
    "[DummyUsage]\nDummy0001=0\nDummy0002=1\nDummy0003=1\nDummy0004=1\nDummy0005=1\nDummy0006=1\nDummy0007=1\n"
    "[ManufacturerObjects]\nSupportedObjects=2\n1=0x2000\n2=0x2001\n"
)
SPEED = "[2000]\nParameterName=Speed\nObjectType=0x7\nDataType=0x0004\nAccessType=rw\nDefaultValue=5\n"
LIST = "[2001]\nParameterName=List\nObjectType=0x9\nSubNumber=2\n"
MEMBER_0 = "[2001sub0]\nParameterName=Count\nObjectType=0x7\nDataType=0x0005\nAccessType=ro\nDefaultValue=1\n"
MEMBER_1 = "[2001sub1]\nParameterName=First\nObjectType=0x7\nDataType=0x0006\nAccessType=rw\nDefaultValue=0x10\n"
MEMBERS = MEMBER_0 + MEMBER_1
FILE = FRAME + SPEED + LIST + MEMBERS


def speed(line="", data_type="0x0004"):
    """The file with another default, or other lines, in its first object."""
    return FILE.replace("DataType=0x0004", f"DataType={data_type}").replace("DefaultValue=5\n", line)


def compact(count, lists):
    array = "[2001]\nParameterName=List\nObjectType=0x8\nDataType=0x0006\nAccessType=rw\nDefaultValue=7\n"
    return f"{FRAME}{SPEED}{array}CompactSubObj={count}\n{lists}"


def default(dictionary):
    return dictionary[0x2000, 0].default


def members(dictionary):
    return [(m.subindex, m.name, m.default) for m in dictionary.objects[0x2001].members.values()]


WHOLE = [(0, "Count", 1), (1, "First", 16)]

#: What is odd -> (file, codes of the findings, what is asked of the dictionary, the answer).
CASES = {
    "nothing": (FILE, [], lambda d: (default(d), members(d)), (5, WHOLE)),
    # keys that are missing
    "no AccessType": (
        *(FILE.replace("AccessType=rw\nDefaultValue=5", "DefaultValue=5"), ["eds-no-access"]),
        *(lambda d: (d[0x2000, 0].access, default(d)), ("", 5)),
    ),
    "no DataType": (
        *(FILE.replace("DataType=0x0004\n", ""), ["eds-no-data-type"]),
        *(lambda d: (d[0x2000, 0].data_type, default(d)), (0, 5)),
    ),
    "no DataType of a DOMAIN": (
        *(FILE.replace("0x7\nDataType=0x0004\n", "0x2\n", 1).replace("DefaultValue=5\n", ""), []),
        *(lambda d: d[0x2000, 0].data_type, DataType.DOMAIN),
    ),
    "no ParameterName": (
        *(FILE.replace("ParameterName=Speed\n", ""), ["eds-no-name"]),
        *(lambda d: (d[0x2000, 0].name, default(d)), ("Object 2000h", 5)),
    ),
    "no Lines": (FILE.replace("Lines=1\n", ""), ["eds-list-count"], lambda d: d.comments, ("hello",)),
    "no Dummy0004": (
        *(FILE.replace("Dummy0004=1\n", ""), []),
        *(lambda d: d.dummies, {2, 3, 5, 6, 7}),
    ),
    # keys without a value
    "empty DataType": (
        *(FILE.replace("DataType=0x0004", "DataType="), ["eds-no-data-type"]),
        *(lambda d: (d[0x2000, 0].data_type, default(d)), (0, 5)),
    ),
    "empty VendorNumber": (
        *(FILE.replace("VendorNumber=0x2E1", "VendorNumber="), []),
        *(lambda d: (d.device.vendor_id, d.device.vendor_name), (None, "Acme")),
    ),
    # lines in the wrong place
    "a section twice": (
        *(
            FILE + SPEED.replace("DefaultValue=5", "DefaultValue=6"),
            ["eds-duplicate-section", *["eds-duplicate-key"] * 5],
        ),
        *(default, 5),
    ),
    "a key twice": (FILE.replace("=5\n", "=5\nDefaultValue=6\n", 1), ["eds-duplicate-key"], default, 5),
    "a key twice alike": (FILE.replace("=5\n", "=5\nDefaultValue=5\n", 1), ["eds-duplicate-key"], default, 5),
    "a line without =": (FILE.replace("=5\n", "=5\nnonsense\n", 1), ["eds-no-equals"], default, 5),
    "text before the first section": ("made by a tool\n" + FILE, ["eds-text-before-section"], default, 5),
    "a byte order mark": (("\ufeff" + FILE).encode(), [], lambda d: (default(d), d.file.file_name), (5, "device.eds")),
    # sections in another order, of another kind
    "members before their object": (FRAME + SPEED + MEMBERS + LIST, [], members, WHOLE),
    "a DEFSTRUCT with members": (
        *(FILE.replace("ObjectType=0x9", "ObjectType=0x6"), []),
        *(lambda d: (d.objects[0x2001].object_type, members(d)), (ObjectType.DEFSTRUCT, WHOLE)),
    ),
    "SUB in capitals": (FILE.replace("[2001sub", "[2001SUB"), [], members, WHOLE),
    # letters
    "latin-1 signs": (
        *(speed("Unit=°C\n").replace("=Speed", "=Übertemperatur").encode("latin-1"), ["eds-encoding"]),
        *(lambda d: (d[0x2000, 0].name, d[0x2000, 0].unit), ("Übertemperatur", "°C")),
    ),
    "keys in lower case": (FILE.lower(), [], lambda d: (default(d), d[0x2000, 0].access), (5, "rw")),
    "keys in capitals": (FILE.upper(), [], lambda d: (default(d), d[0x2000, 0].access), (5, "rw")),
    "a name with a semicolon": (
        *(FILE.replace("=Speed", "=speed ;rpm"), []),
        *(lambda d: d[0x2000, 0].name, "speed ;rpm"),
    ),
    # values
    "010": (speed("DefaultValue=010\n"), ["eds-octal-number"], default, 8),
    "10h": (speed("DefaultValue=10h\n"), ["eds-number-form"], default, 16),
    "$NODEID alone": (speed("DefaultValue=$NODEID\n", "0x0007"), [], default, NodeIdPlus(0)),
    "$NODEID behind its number": (speed("DefaultValue=0x180+$NODEID\n", "0x0007"), [], default, NodeIdPlus(0x180)),
    "a REAL32 as its bits": (speed("DefaultValue=0x40490FDB\n", "0x0008"), [], default, 3.1415927410125732),
    "a REAL64 as its bits": (speed("DefaultValue=0x3FF8000000000000\n", "0x0011"), [], default, 1.5),
    "text of a DOMAIN": (speed("DefaultValue=@ABC\n", "0x000F"), ["eds-text-bytes"], default, b"@ABC"),
    "bytes of a DOMAIN": (speed("DefaultValue=01 02\n", "0x000F"), [], default, b"\1\2"),
    "a limit that is no number": (
        *(speed("LowLimit=none\nHighLimit=10\nDefaultValue=5\n"), ["eds-bad-value"]),
        *(
            lambda d: (d[0x2000, 0].low, d[0x2000, 0].high, d[0x2000, 0].extra, default(d)),
            (None, 10, {"LowLimit": "none"}, 5),
        ),
    ),
    "limits of an unsigned type in a signed one": (
        *(speed("LowLimit=0\nHighLimit=4294967295\n"), ["eds-out-of-range"]),
        *(lambda d: (d[0x2000, 0].low, d[0x2000, 0].high), (0, 4294967295)),
    ),
    "limits the wrong way round": (
        *(speed("LowLimit=0\nHighLimit=0xFFFFFFFF\n"), ["eds-limits-crossed"]),
        *(lambda d: (d[0x2000, 0].low, d[0x2000, 0].high), (None, None)),
    ),
    "a limit with $NODEID": (speed("HighLimit=$NODEID+1\n"), [], lambda d: d[0x2000, 0].high, NodeIdPlus(1)),
    # compact arrays
    "names of some members": (
        *(compact(3, "[2001Name]\nNrOfEntries=2\n1=One\n3=Three\n"), []),
        *(members, [(0, "NrOfObjects", 3), (1, "One", 7), (2, "List2", 7), (3, "Three", 7)]),
    ),
    "values of some members": (
        *(compact(2, "[2001Value]\nNrOfEntries=1\n2=9\n"), []),
        *(members, [(0, "NrOfObjects", 2), (1, "List1", 7), (2, "List2", 9)]),
    ),
    "a count and no names": (
        *(compact(3, ""), []),
        *(members, [(0, "NrOfObjects", 3), (1, "List1", 7), (2, "List2", 7), (3, "List3", 7)]),
    ),
    # what is not yes or no
    "Granularity": (FILE, [], lambda d: d.device.granularity, 8),
}


@pytest.mark.parametrize("odd", CASES)
def test_a_file_with(odd, tmp_path):
    """As a file, in the encoding of the user's machine or not."""
    content, codes, asked, answer = CASES[odd]
    path = tmp_path / "device.eds"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    dictionary = load(path)
    assert [finding.code for finding in dictionary.findings] == codes
    assert all(finding.line for finding in dictionary.findings)
    assert asked(dictionary) == answer


def test_a_text_that_is_in_no_file():
    dictionary = parse(FILE, "from memory")
    assert (dictionary.name, default(dictionary), dictionary.findings) == ("from memory", 5, [])
