"""Broken device files: whatever the bytes are, they are read or refused, soon and without much memory.

OPENDIAG_FUZZ_CASES is the number of cases, 2000 if it is not set; OPENDIAG_FUZZ_SEED draws others.
"""

import os
import random
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.dictionary import load
from opendiag.dictionary.eds import parse
from opendiag.dictionary.encodings import decode
from opendiag.dictionary.xdd import parse_xml
from opendiag.dictionary.xml_tree import is_xml
from opendiag.errors import DictionaryFileError

CASES = int(os.environ.get("OPENDIAG_FUZZ_CASES", "2000"))
SEED = int(os.environ.get("OPENDIAG_FUZZ_SEED", "1"))
MAX_SECONDS = 2.0
#: Bytes of memory for each byte of the file, for each member that a compact form stands for, and whatever the file is.
PER_BYTE, PER_MEMBER, BASE = 20, 500, 512 * 1024
#: Larger files are cut somewhere: what a mutation does to one place does not depend on the rest.
MAX_SIZE = 12_000
NUMBERS = (
    *(
        b"0",
        b"-1",
        b"255",
        b"256",
        b"999999",
        b"65535",
        b"08",
        b"0x",
        b"0xFFFFFFFFFFFFFFFFFF",
        b"1e999",
        b"nan",
        b"NULL",
    ),
    *(
        b"$NODEID",
        b"$NODEID+$NODEID",
        b"-$NODEID",
        b"9" * 5000,
        b"0x" + b"F" * 5000,
        b"0" * 5000,
        b"1/0",
        b"\xb2",
        b"1_0",
    ),
)
WORDS = (
    *(b"[", b"]", b"=", b";", b"\n", b"\r", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"<", b"&", b'"', b" " * 500, b"sub"),
    *(b"[1000]\n", b"[2000sub1]\n", b"[2000Value]\n", b"[M1ModuleInfo]\n", b"[M1Fixed3000]\n", b"CompactSubObj=254\n"),
    *(b"CompactPDO=63\n", b"NrOfTXPDO=512\n", b"<!DOCTYPE a>", b"\xc3", b"\x84", "²".encode()),
)


def read(raw):
    """What the library does with the bytes of a file: a dictionary, or None if it is refused."""
    try:
        if is_xml(raw):
            return parse_xml(raw, "fuzz")
        text, encoding, _ = decode(raw, "fuzz")
        return parse(text, "fuzz", encoding=encoding)
    except DictionaryFileError as error:
        assert str(error)
        return None


def attempt(raw):
    """The same; what is slow is a failure."""
    began = time.process_time()
    dictionary = read(raw)
    took = time.process_time() - began
    assert took < MAX_SECONDS, f"{took:.1f} s for {len(raw)} bytes"
    return dictionary


def traced(raw):
    """The dictionary or None, and the bytes of memory at the peak."""
    tracemalloc.start()
    try:
        dictionary = read(raw)
        return dictionary, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory(raw):
    """(bytes at the peak, bytes allowed)."""
    dictionary, peak = traced(raw)
    compact = 0
    if dictionary is not None:
        texts = len(re.findall(r"sub", dictionary.document.text, re.IGNORECASE))
        compact = max(sum(len(each.members) for each in dictionary.objects.values()) - texts, 0)
    return peak, BASE + PER_BYTE * len(raw) + PER_MEMBER * compact


def mutated(draw, raw):
    """A piece of the file with a few things done to it."""
    if len(raw) > MAX_SIZE:
        start = draw.choice((0, draw.randrange(len(raw) - MAX_SIZE)))
        raw = raw[start : start + MAX_SIZE]
    data = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        place = draw.randrange(len(data) + 1)
        what = draw.randrange(8)
        if what == 0 and place < len(data):
            data[place] = draw.randrange(256)
        elif what == 1:
            del data[place : place + draw.choice((1, 2, 30, 1000))]
        elif what == 2:
            data[place:place] = draw.choice(WORDS)
        elif what == 3:
            data[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(9)))
        elif what == 4:
            end = place + draw.choice((5, 60, 500))
            data[place:place] = data[place:end] * draw.choice((1, 1, 3))
        elif what == 5 and (equals := data.find(b"=", place)) >= 0:
            end = min(each for each in (data.find(b"\n", equals), data.find(b" ", equals), len(data)) if each >= 0)
            data[equals + 1 : end] = draw.choice(NUMBERS)
        elif what == 6:
            lines = data.split(b"\n")
            draw.shuffle(lines)
            data = bytearray(b"\n".join(lines[: draw.choice((20, len(lines)))]))
        elif what == 7 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
    return bytes(data)


@pytest.mark.corpus
def test_real_files_with_errors_in_them(corpus):
    """Of every twentieth case the memory, too: counting it takes long."""
    originals = [path.read_bytes() for path in sorted((corpus / "dictionaries").iterdir())]
    draw = random.Random(SEED)
    for case in range(CASES):
        raw = mutated(draw, draw.choice(originals))
        try:
            attempt(raw)
            if case % 20 == 0:
                peak, allowed = memory(raw)
                assert peak <= allowed, f"{peak} bytes for a file of {len(raw)}, {allowed} are allowed"
        except Exception as error:
            raise AssertionError(f"case {case} of seed {SEED}: {raw!r:.2000}") from error


@pytest.mark.corpus
def test_memory_for_real_files(corpus):
    too_much = {}
    for path in sorted((corpus / "dictionaries").iterdir())[::4]:
        raw = path.read_bytes()
        peak, allowed = memory(raw)
        if peak > allowed:
            too_much[path.name] = peak, allowed, len(raw)
    assert not too_much


# --- texts of the right shape and the wrong size ---------------------------------------------------------------------

OBJECT = "ParameterName=S\nObjectType=7\nDataType=7\nAccessType=rw\n"
ARRAY = "ParameterName=S\nObjectType=8\nDataType=7\nAccessType=rw\n"
MANY = 5_000
LONG = 200_000
XML = (
    "<ISO15745ProfileContainer><ISO15745Profile><ProfileBody><ApplicationLayers><CANopenObjectList>{}"
    "</CANopenObjectList></ApplicationLayers></ProfileBody></ISO15745Profile></ISO15745ProfileContainer>"
)

#: Name -> text.
TRAPS = {
    "one compact array too large": f"[2000]\n{ARRAY}CompactSubObj=999999\n",
    "compact arrays only": "".join(f"[{index:04X}]\n{ARRAY}CompactSubObj=254\n" for index in range(0x2000, 0x2800)),
    "a compact array with a long name": f"[2000]\n{ARRAY}CompactSubObj=254\n".replace("=S", "=" + "S" * LONG),
    "compact PDOs": f"[DeviceInfo]\nCompactPDO=0xFFFFFFFF\nNrOfRXPDO=65535\nNrOfTXPDO=4294967295\n[2000]\n{OBJECT}",
    "many objects": "".join(f"[{index:04X}]\n{OBJECT}" for index in range(0x2000, 0x2000 + MANY)),
    "many members": "".join(f"[{2000 + n // 255}sub{n % 255:X}]\n{OBJECT}" for n in range(MANY)),
    "many sections alike": f"[2000]\n{OBJECT}" * MANY,
    "many unknown sections": f"[2000]\n{OBJECT}" + "".join(f"[x{n}]\n" for n in range(MANY)),
    "many keys": f"[2000]\n{OBJECT}" + "".join(f"key{n}=1\n" for n in range(MANY)),
    "many modules": "".join(f"[M{n}Fixed2000]\n{ARRAY}CompactSubObj=254\n" for n in range(1000)) + f"[2000]\n{OBJECT}",
    "many keys alike": f"[2000]\n{OBJECT}" + "DefaultValue=1\n" * MANY,
    "many keys like a long one": f"[2000]\n{OBJECT}a={'b' * LONG}\n" + "a=\n" * MANY,
    "many lines without =": f"[2000]\n{OBJECT}" + "x\n" * MANY,
    "many lines in a section with a long name": f"[2000]\n{OBJECT}[{'x' * LONG}]\n" + "x\n" * MANY,
    "many blanks in the name of an object": f"[2{' ' * LONG}000]\n" + "x\n" * MANY,
    "many list entries": f"[2000]\n{OBJECT}[OptionalObjects]\n" + "".join(f"{n}=0x{n:X}\n" for n in range(MANY)),
    "a long line": "x" * LONG + f"\n[2000]\n{OBJECT}" + "y" * LONG,
    "a long section name": f"[2000]\n{OBJECT}[{'a' * LONG}]\n[{'[' * LONG}]\n[{'0x' + 'a' * LONG}]\n",
    "empty lines": "\n" * LONG + f"[2000]\n{OBJECT}",
    "carriage returns": "\r" * LONG + f"[2000]\n{OBJECT}",
    "a decimal number": f"[2000]\n{OBJECT}DefaultValue={'9' * LONG}\n",
    "a decimal number with a suffix": f"[2000]\n{OBJECT}DefaultValue={'9' * LONG}UL\n",
    "a hexadecimal number": f"[2000]\n{OBJECT}DefaultValue=0x{'F' * LONG}\n",
    "a hexadecimal number with a suffix": f"[2000]\n{OBJECT}DefaultValue=0x{'F' * LONG}ULx\n",
    "zeros": f"[2000]\n{OBJECT}DefaultValue={'0' * LONG}\n",
    "a number of underscores": f"[2000]\n{OBJECT}DefaultValue=1{'_1' * LONG}\n",
    "bits of a REAL32": f"[2000]\n{OBJECT.replace('=7', '=8')}DefaultValue=0x{'F' * LONG}\n",
    "a long REAL32": f"[2000]\n{OBJECT.replace('=7', '=8')}DefaultValue={'9' * LONG}.{'9' * LONG}e99999\n",
    "bytes": f"[2000]\n{OBJECT.replace('=7', '=15')}DefaultValue={'FF' * LONG}\n",
    "a formula": f"[2000]\n{OBJECT}DefaultValue=$NODEID{'+1' * (LONG // 2)}\n",
    "a formula of large numbers": f"[2000]\n{OBJECT}DefaultValue=$NODEID{'+0xFFFFFFFFFFFFFFFF' * MANY}\n",
    "a formula of signs": f"[2000]\n{OBJECT}DefaultValue=$NODEID{'+-' * LONG}\n",
    "node-IDs": f"[2000]\n{OBJECT}DefaultValue={'$NODEID' * MANY}\n",
    "blanks before a node-ID": f"[2000]\n{OBJECT}DefaultValue=${' ' * LONG}NODE\n",
    "blanks in a number": f"[2000]\n{OBJECT}DefaultValue=1{' ' * LONG}1\n",
    "semicolons": f"[2000]\n{OBJECT}DefaultValue={';' * LONG}\n",
    "a fraction": f"[2000]\n{OBJECT}Factor={'9' * LONG}/{'9' * LONG}\n",
    "an index": f"[2000]\n{OBJECT}[OptionalObjects]\nSupportedObjects={'9' * LONG}\n1={'9' * LONG}\n",
    "a bit rate": f"[DeviceInfo]\nBaudRate_{'9' * LONG}=1\n[2000]\n{OBJECT}",
    "a comment number": f"[Comments]\nLines=1\nLine{'9' * LONG}=1\n[2000]\n{OBJECT}",
    "a dummy": f"[DummyUsage]\nDummy{'9' * LONG}=1\n[2000]\n{OBJECT}",
    "nested elements": "<a>" * MANY + "</a>" * MANY,
    "many elements": XML.format("<CANopenObject/>" * MANY),
    "objects alike": XML.format('<CANopenObject index="2000" name="S" objectType="7" dataType="0007"/>' * MANY),
    "a long number of an object": XML.format(f'<CANopenObject index="2000" name="S" defaultValue="{"9" * LONG}"/>'),
    "a long index": XML.format(f'<CANopenObject index="{"2" * LONG}"/><CANopenObject index="2000" objectType="7"/>'),
    "parameters that name each other": XML.format('<CANopenObject index="2000" name="S" uniqueIDRef="p0"/>').replace(
        "</ISO15745ProfileContainer>",
        "".join(
            f'<parameter uniqueID="p{n}" templateIDRef="p{n + 1}"><dataTypeIDRef uniqueIDRef="p{n + 1}"/></parameter>'
            for n in range(MANY)
        )
        + "</ISO15745ProfileContainer>",
    ),
    "types that name themselves": "".join(
        f"[{n:04X}]\nParameterName=T\nObjectType=6\n[{n:04X}sub1]\nDataType={n}\nDefaultValue={n}\n"
        for n in range(64, 4096)
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_text_of_the_right_shape_and_the_wrong_size(trap):
    attempt(TRAPS[trap].encode())


@pytest.mark.parametrize("trap", TRAPS)
def test_memory_for_the_wrong_size(trap):
    """A line of a few letters costs more for each letter than those of real files do."""
    raw = TRAPS[trap].encode()
    assert traced(raw)[1] < 32 * 2**20 + PER_BYTE * len(raw)


TEXT = st.text(max_size=40) | st.sampled_from([each.decode("latin-1") for each in (*NUMBERS, *WORDS)])
KEYS = st.sampled_from(
    (
        *(
            "ParameterName",
            "ObjectType",
            "DataType",
            "AccessType",
            "DefaultValue",
            "LowLimit",
            "HighLimit",
            "PDOMapping",
        ),
        *("CompactSubObj", "SubNumber", "ParameterValue", "ObjFlags", "Factor", "1", "2", "NrOfEntries", "NodeID"),
        *("NrOfRXPDO", "CompactPDO", "BaudRate_10", "Lines", "Line1", "Dummy0001", "SupportedObjects"),
    )
)
NAMES = st.sampled_from(
    (
        *("2000", "2000sub0", "2000sub1", "2000Name", "2000Value", "2000Denotation", "2000ObjectLinks", "A0", "A0sub1"),
        *("DeviceInfo", "FileInfo", "Comments", "DummyUsage", "OptionalObjects", "DeviceComissioning"),
        *("SupportedModules", "ConnectedModules", "M1ModuleInfo", "M1Fixed3000", "M1SubExt6000", "M1Comments"),
    )
)
LINE = st.builds("{}={}".format, KEYS, TEXT) | TEXT
SECTION = st.builds(lambda name, lines: "\n".join([f"[{name}]", *lines, ""]), NAMES | TEXT, st.lists(LINE, max_size=8))


@settings(max_examples=max(CASES // 10, 10))
@given(st.lists(SECTION, max_size=12), st.sampled_from(("utf-8", "latin-1", "utf-16", "cp850")))
def test_sections_of_anything(sections, encoding):
    attempt("".join(sections).encode(encoding, "replace"))


@settings(max_examples=max(CASES // 10, 10))
@given(st.binary(max_size=300))
def test_any_bytes(raw):
    attempt(raw)


def test_a_broken_file_is_refused_in_words(tmp_path):
    """The same way from a path."""
    path = tmp_path / "broken.eds"
    path.write_bytes(b"\0\1\2")
    with pytest.raises(DictionaryFileError, match=re.escape(str(path))):
        load(path)
