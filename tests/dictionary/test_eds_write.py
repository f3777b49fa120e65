"""opendiag.dictionary.eds_write: a dictionary as a text of one form, and everything of it back."""

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import load, parse
from opendiag.dictionary.datatypes import SIGNED_BITS, UNSIGNED_BITS, DataType, decode_value, integer_range
from opendiag.dictionary.document import Document
from opendiag.dictionary.eds_write import dcf_text, eds_text, write
from opendiag.dictionary.model import (
    Commissioning,
    DeviceInfo,
    FileInfo,
    Module,
    NodeIdPlus,
    Object,
    ObjectDictionary,
    ObjectType,
    Variable,
)
from opendiag.errors import DictionaryFileError

T = DataType


def bare(dictionary):
    """Without what cannot be the same: lines, findings, the text."""

    def of(objects):
        return {index: plain(found) for index, found in objects.items()}

    def plain(found):
        members = {sub: replace(member, line=None) for sub, member in found.members.items()}
        return replace(found, line=None, members=members)

    modules = {n: replace(m, fixed=of(m.fixed), extends=of(m.extends)) for n, m in dictionary.modules.items()}
    return replace(dictionary, name="", findings=[], objects=of(dictionary.objects), modules=modules, document=None)


def var(index=0x2000, data_type=T.UNSIGNED16, **more):
    member = Variable(index, 0, "Speed", data_type, "rw", **more)
    return Object(index, "Speed", ObjectType.VAR, {0: member})


def of(*objects, **more):
    return ObjectDictionary("made", {found.index: found for found in objects}, **more)


def section(text, name):
    """The lines of one section of a text with CR LF."""
    _, found, rest = text.partition(f"[{name}]\r\n")
    assert found, f"no [{name}] in {text}"
    return rest.partition("\r\n\r\n")[0].strip("\r\n").split("\r\n")


def again(dictionary, write_text=eds_text):
    return bare(parse(write_text(dictionary), "again"))


# --- the form ---------------------------------------------------------------------------------------------------


def test_the_sections_stand_in_the_order_of_cia_306():
    dictionary = of(
        var(0x2000),
        var(0x1000),
        var(0x6000),
        var(0x1008),
        Object(0x40, "Own", ObjectType.DEFTYPE),
        device=DeviceInfo(vendor_id=1),
        commissioning=Commissioning(node_id=5),
        file=FileInfo(file_name="a"),
        comments=("one",),
        dummies=frozenset({5}),
        modules={1: Module(1)},
        connected=(1,),
        sections={"Tools": {"Items": "0"}},
    )
    names = [line for line in dcf_text(dictionary).split("\r\n") if line.startswith("[")]
    assert names == [
        *("[FileInfo]", "[DeviceInfo]", "[DeviceComissioning]", "[DummyUsage]", "[Comments]", "[0040]"),
        *("[MandatoryObjects]", "[1000]", "[OptionalObjects]", "[1008]", "[6000]", "[ManufacturerObjects]", "[2000]"),
        *("[SupportedModules]", "[M1ModuleInfo]", "[ConnectedModules]", "[Tools]"),
    ]


def test_a_variable_with_everything():
    member = Variable(
        *(0x2000, 0, "Speed", T.INTEGER16, "rww", -7, -10, 300, True, 4),
        unit="rpm",
        factor=0.25,
        alt_unit="1/s",
        alt_factor=2.0,
        denotation="left",
        flags=3,
        extra={"Colour": "red"},
    )
    found = Object(0x2000, "Speed", ObjectType.VAR, {0: member}, flags=3, denotation="left")
    assert section(eds_text(of(found)), "2000") == [
        *("ParameterName=Speed", "ObjectType=0x7", "DataType=0x0003", "LowLimit=-10", "HighLimit=300"),
        *("AccessType=rww", "DefaultValue=-7", "ParameterValue=4", "PDOMapping=1", "ObjFlags=3", "Denotation=left"),
        *("Unit=rpm", "Factor=0.25", "AltUnit=1/s", "AltFactor=2", "Colour=red"),
    ]


@pytest.mark.parametrize(
    ("index", "data_type", "value", "text"),
    [
        (0x2000, T.UNSIGNED32, 384, "384"),
        (0x1800, T.UNSIGNED32, 0x40000180, "0x40000180"),
        (0x1800, T.UNSIGNED32, NodeIdPlus(0x180), "$NODEID+0x180"),
        (0x1800, T.UNSIGNED32, NodeIdPlus(0), "$NODEID"),
        (0x1800, T.UNSIGNED32, NodeIdPlus(-16), "$NODEID-0x10"),
        (0x2000, T.INTEGER8, -128, "-128"),
        (0x2000, T.BOOLEAN, True, "1"),
        (0x2000, T.REAL32, 0.1, "0.1"),
        (0x2000, T.REAL64, 1e300, "1e+300"),
        (0x2000, T.VISIBLE_STRING, "a ; b = c", "a ; b = c"),
        (0x2000, T.OCTET_STRING, b"\x00\xab", "00AB"),
        (0x2000, T.DOMAIN, b"\x01", "01"),
        (0x2000, T.TIME_DIFFERENCE, "P1DT1.5S", "0x0001000005DC"),
        (0x2000, T.TIME_OF_DAY, "no time", "no time"),
    ],
)
def test_how_a_value_is_spelt(index, data_type, value, text):
    assert f"DefaultValue={text}" in eds_text(of(var(index, data_type, default=value))).split("\r\n")


def test_device_and_commissioning():
    device = DeviceInfo(
        *("V", "P", 0x2E1, 5, 6, (33, 125)),
        *("O-1", False, True, 8, 0, None, 4, 3, 7, True),
        extra={"NG_Slave": "1"},
    )
    place = Commissioning(5, 500, "axis", 2, "cell", True, 0x1234, {"NodeRefd": "x"})
    text = dcf_text(of(var(), device=device, commissioning=place))
    assert section(text, "DeviceInfo") == [
        *("VendorName=V", "VendorNumber=0x000002E1", "ProductName=P", "ProductNumber=0x00000005"),
        *("RevisionNumber=0x00000006", "OrderCode=O-1", "BaudRate_10=0", "BaudRate_20=0", "BaudRate_33=1"),
        *("BaudRate_50=0", "BaudRate_125=1", "BaudRate_250=0", "BaudRate_500=0", "BaudRate_800=0", "BaudRate_1000=0"),
        *("SimpleBootUpMaster=0", "SimpleBootUpSlave=1", "Granularity=8", "DynamicChannelsSupported=0"),
        *("NrOfRXPDO=4", "NrOfTXPDO=3", "LSS_Supported=1", "CompactPDO=7", "NG_Slave=1"),
    ]
    assert section(text, "DeviceComissioning") == [
        *("NodeID=5", "Baudrate=500", "NodeName=axis", "NetNumber=2", "NetworkName=cell", "CANopenManager=1"),
        *("LSS_SerialNumber=0x00001234", "NodeRefd=x"),
    ]


def compact_array(count=4, **changes):
    array = Object(0x2000, "List", ObjectType.ARRAY, data_type=T.UNSIGNED8, compact=count)
    array.members[0] = Variable(0x2000, 0, "NrOfObjects", T.UNSIGNED8, "ro", default=count)
    for sub in range(1, count + 1):
        array.members[sub] = Variable(0x2000, sub, f"List{sub}", T.UNSIGNED8, "rw", default=7)
    for sub, change in changes.items():
        array.members[int(sub[1:])] = replace(array.members[int(sub[1:])], **change)
    return array


def test_a_compact_array_lists_only_what_differs():
    array = compact_array(_2={"default": 9}, _3={"name": "Third", "denotation": "here"})
    text = eds_text(of(array))
    assert section(text, "2000")[-3:] == ["DefaultValue=7", "PDOMapping=0", "CompactSubObj=4"]
    assert section(text, "2000Value") == ["NrOfEntries=1", "2=9"]
    assert section(text, "2000Name") == ["NrOfEntries=1", "3=Third"]
    assert section(text, "2000Denotation") == ["NrOfEntries=1", "3=here"]
    assert "sub" not in text and again(of(array)) == bare(replace(of(array), name=""))


def test_in_a_dcf_the_values_of_a_compact_array_are_the_configured_ones():
    place = Commissioning(node_id=1)
    dictionary = of(compact_array(_2={"value": 9}), commissioning=place)
    assert section(dcf_text(dictionary), "2000Value") == ["NrOfEntries=1", "2=9"]
    assert again(dictionary, dcf_text) == bare(dictionary)
    differing = of(compact_array(_2={"default": 9}), commissioning=place)
    assert "CompactSubObj" not in dcf_text(differing)
    assert again(differing, dcf_text)[0x2000, 2].default == 9


@pytest.mark.parametrize(
    "change",
    [
        {"_2": {"low": 1}},
        {"_2": {"access": "ro"}},
        {"_2": {"default": None}, "_3": {"default": 8}, "_0": {"default": 3}},
        {"_0": {"name": "Entries"}},
        {"_1": {"extra": {"Colour": "red"}}},
        {"_4": {"flags": 1}},
    ],
)
def test_members_that_differ_in_more_get_sections_of_their_own(change):
    dictionary = of(compact_array(**change))
    text = eds_text(dictionary)
    assert "CompactSubObj" not in text and section(text, "2000")[-2:] == ["SubNumber=5", "DataType=0x0005"]
    assert again(dictionary).objects[0x2000].members == bare(dictionary).objects[0x2000].members


def test_compact_pdos_have_no_sections_unless_they_were_changed():
    dictionary = parse(
        "[DeviceInfo]\nCompactPDO=3\nNrOfTXPDO=2\n[2000]\nParameterName=S\nDataType=5\nAccessType=ro\n", "x"
    )
    assert "1800" not in eds_text(dictionary, canonical=True)
    found = dictionary.objects[0x1801]
    found.members[2] = replace(found.members[2], default=1)
    for canonical in (True, False):
        text = eds_text(dictionary, canonical=canonical)
        assert "[1801sub2]" in text and "[1800]" not in text and "[1A01]" not in text
        assert parse(text, "x")[0x1801, 2].default == 1


@pytest.mark.parametrize("canonical", [True, False])
def test_a_compact_pdo_can_be_taken_out(canonical):
    dictionary = parse(
        "[DeviceInfo]\nCompactPDO=3\nNrOfTXPDO=2\n[2000]\nParameterName=S\nDataType=5\nAccessType=ro\n", "x"
    )
    del dictionary.objects[0x1801]
    found = parse(eds_text(dictionary, canonical=canonical), "x")
    assert found.objects.keys() == dictionary.objects.keys()
    assert found[0x1800, 1].default == dictionary[0x1800, 1].default


def test_a_text_that_breaks_a_line_is_written_as_one():
    found = var(data_type=T.VISIBLE_STRING, default=" two\r\nlines ", unit="a\nb")
    found.name = "Speed\nof it"
    told = section(eds_text(of(found, comments=("x\ny",))), "2000")
    assert "ParameterName=Speed of it" in told and "DefaultValue=two lines" in told and "Unit=a b" in told


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_what_is_no_factor_is_left_out(factor):
    found = var()
    found.members[0] = replace(found.members[0], factor=factor)
    assert "Factor" not in eds_text(of(found))


def test_a_dictionary_from_elsewhere_is_written_in_the_canonical_form():
    dictionary = of(var(), document=Document("<xml/>", "xdd"))
    assert eds_text(dictionary) == eds_text(of(var()))


# --- EDS and DCF ------------------------------------------------------------------------------------------------

EDS = (
    "[FileInfo]\nFileName=a.eds\n[DeviceInfo]\n[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"
    "[2000]\nParameterName=S\nObjectType=7\nDataType=7\nAccessType=rw\nDefaultValue=$NODEID+0x10\n"
)


def test_a_dcf_from_an_eds():
    dictionary = parse(EDS, "a.eds")
    found = dictionary.objects[0x2000]
    found.members[0] = replace(found.members[0], value=3, denotation="here")
    made = parse(dcf_text(dictionary, node_id=5, bit_rate=250, node_name="axis"), "a.dcf")
    assert made.commissioning == Commissioning(5, 250, "axis") and made.document.kind == "dcf"
    assert made.file.last_eds == "a.eds"
    variable = made[0x2000, 0]
    assert (variable.default, variable.value, variable.denotation) == (NodeIdPlus(0x10), 3, "here")
    assert dictionary.node_id is None, "what was given stays as it is"


def test_an_eds_from_a_dcf_is_that_of_the_type():
    text = (
        EDS + "ParameterValue=3\nDenotation=here\n[DeviceComissioning]\nNodeID=5\n[ConnectedModules]\nNrOfEntries=0\n"
    )
    dictionary = parse(text, "a.dcf")
    made = eds_text(dictionary)
    for gone in ("DeviceComissioning", "ParameterValue", "Denotation"):
        assert gone not in made
    assert parse(made, "a.eds")[0x2000, 0].default == NodeIdPlus(0x10)
    assert dictionary[0x2000, 0].value == 3


def test_values_of_a_compact_array_keep_their_meaning_from_eds_to_dcf():
    text = "[DeviceInfo]\n[2000]\nParameterName=L\nObjectType=8\nDataType=5\nAccessType=rw\nCompactSubObj=2\n"
    dictionary = parse(text + "[2000Value]\nNrOfEntries=1\n2=9\n", "a.eds")
    made = parse(dcf_text(dictionary, node_id=5), "a.dcf")
    assert [(v.default, v.value) for v in made.variables()] == [(2, None), (None, None), (9, None)]


def test_without_any_commissioning_nothing_is_invented():
    assert dcf_text(parse(EDS, "a.eds")) == EDS


@pytest.mark.parametrize("node_id", [0, 128, -1])
def test_a_node_id_that_is_none_is_refused(node_id):
    with pytest.raises(ValueError, match=f"node-ID {node_id} is outside 1..127"):
        dcf_text(of(var()), node_id=node_id)


@pytest.mark.parametrize("canonical", [False, True])
def test_a_name_can_be_changed_in_the_object_and_in_its_only_member(canonical):
    for change_member in (False, True):
        dictionary = parse(EDS, "a.eds")
        found = dictionary.objects[0x2000]
        if change_member:
            found.members[0] = replace(found.members[0], name="New", flags=1, denotation="d")
        else:
            found.name, found.flags, found.denotation = "New", 1, "d"
        told = parse(eds_text(dictionary, canonical=canonical), "x")[0x2000, 0]
        assert (told.name, told.flags, told.denotation) == ("New", 1, "d")


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8-sig", b""),
        ("cp1252", b""),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
    ],
)
def test_a_file_keeps_its_encoding(tmp_path, encoding, mark):
    raw = mark + EDS.replace("=S", "=Drücke °C").encode(encoding)
    path = tmp_path / "a.eds"
    path.write_bytes(raw)
    dictionary = load(path)
    write(dictionary, path)
    assert path.read_bytes() == raw
    assert load(path)[0x2000, 0].name == "Drücke °C"


def test_a_letter_that_the_encoding_lacks_makes_it_utf_8(tmp_path):
    path = tmp_path / "a.eds"
    path.write_bytes(EDS.replace("=S", "=°").encode("cp1252"))
    dictionary = load(path)
    dictionary.objects[0x2000].name = "速度"
    write(dictionary, path)
    assert load(path)[0x2000, 0].name == "速度" and load(path).document.encoding == "utf-8"


def test_the_suffix_decides(tmp_path):
    dictionary = of(var(), commissioning=Commissioning(node_id=5))
    for name in ("a.EDS", "a.dcf"):
        write(dictionary, tmp_path / name)
    assert load(tmp_path / "a.EDS").node_id is None and load(tmp_path / "a.dcf").node_id == 5
    with pytest.raises(DictionaryFileError, match=r"written are \.eds and \.dcf, not \.xdd"):
        write(dictionary, tmp_path / "a.xdd")


def test_a_dcf_without_commissioning_becomes_the_eds_of_its_type(tmp_path):
    path = tmp_path / "a.dcf"
    path.write_text("[2000]\nParameterName=S\nDataType=5\nAccessType=rw\nDefaultValue=1\nParameterValue=7\n")
    write(load(path), tmp_path / "b.eds")
    write(load(path), tmp_path / "c.dcf")
    assert (tmp_path / "b.eds").read_text() == path.read_text().replace("ParameterValue=7\n", "")
    assert (tmp_path / "c.dcf").read_text() == path.read_text()


def test_a_dcf_that_is_named_eds_stays_one(tmp_path):
    path = tmp_path / "a.eds"
    path.write_text(EDS + "[DeviceComissioning]\nNodeID=5\n")
    write(load(path), path)
    assert load(path).node_id == 5


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(DictionaryFileError, match="cannot be written"):
        write(of(var()), tmp_path / "none" / "a.eds")


# --- all that can be said ---------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)
MAYBE_TEXT = st.one_of(st.just(""), TEXTS)
EXTRA = st.dictionaries(st.sampled_from(["Colour", "StorageLocation", "Uplink"]), MAYBE_TEXT, max_size=2)
NUMBERS = st.one_of(st.none(), st.integers(0, 2**32 - 1))
SWITCHES = st.sampled_from([None, False, True])
FACTORS = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
INTEGERS = sorted({*SIGNED_BITS, *UNSIGNED_BITS} - {T.BOOLEAN})
TYPES = [*INTEGERS, T.BOOLEAN, T.REAL32, T.REAL64, T.VISIBLE_STRING, T.UNICODE_STRING, T.OCTET_STRING, T.DOMAIN]
TYPES += [T.TIME_OF_DAY, T.TIME_DIFFERENCE]


def values_of(data_type):
    if data_type == T.BOOLEAN:
        return st.booleans()
    if (span := integer_range(data_type)) is not None:
        low, high = span
        formulas = st.builds(NodeIdPlus, st.integers(low, high - 127)) if high > 0xFFFF else st.nothing()
        return st.one_of(st.integers(low, high), formulas)
    if data_type in (T.REAL32, T.REAL64):
        return st.floats(width=32 if data_type == T.REAL32 else 64, allow_nan=False)
    if data_type in (T.VISIBLE_STRING, T.UNICODE_STRING):
        return TEXTS
    if data_type in (T.TIME_OF_DAY, T.TIME_DIFFERENCE):
        return st.binary(min_size=6, max_size=6).map(lambda raw: decode_value(data_type, raw))
    return st.binary(min_size=1, max_size=9)


@st.composite
def variables(draw, index, subindex, name, dcf):
    data_type = int(draw(st.sampled_from(TYPES)))
    value = st.one_of(st.none(), values_of(data_type))
    low = high = None
    if data_type in INTEGERS:
        limits = sorted(draw(st.lists(st.integers(*integer_range(data_type)), max_size=2)))
        low, high = limits if len(limits) == 2 else (None, None)
    return Variable(
        *(index, subindex, name, data_type),
        *(draw(st.sampled_from(["ro", "wo", "rw", "rwr", "rww", "const", ""])), draw(value), low, high),
        *(draw(st.booleans()), draw(value) if dcf else None, draw(MAYBE_TEXT), draw(FACTORS)),
        *(draw(MAYBE_TEXT), draw(FACTORS)),
        denotation=draw(MAYBE_TEXT) if dcf else "",
        flags=draw(st.integers(0, 3)),
        extra=draw(EXTRA),
    )


@st.composite
def objects(draw, index, dcf):
    name = draw(TEXTS)
    kind = draw(st.sampled_from([ObjectType.VAR, ObjectType.DOMAIN, ObjectType.ARRAY, ObjectType.RECORD, "compact"]))
    links = tuple(draw(st.lists(st.integers(0, 0xFFFF), max_size=2)))
    if kind in (ObjectType.VAR, ObjectType.DOMAIN):
        member = draw(variables(index, 0, name, dcf))
        return Object(index, name, kind, {0: member}, 0, 0, member.flags, member.denotation, links)
    if kind == "compact":
        return draw(compact_objects(index, name, dcf))
    subs = draw(st.sets(st.integers(0, 254), min_size=1, max_size=3))
    members = {sub: draw(variables(index, sub, draw(TEXTS), dcf)) for sub in sorted(subs)}
    data_type = draw(st.sampled_from([0, 0x20, 0x40]))
    flags, denotation = draw(st.integers(0, 3)), draw(MAYBE_TEXT)
    return Object(index, name, kind, members, data_type, 0, flags, denotation, links, draw(EXTRA))


@st.composite
def compact_objects(draw, index, name, dcf):
    pattern = draw(variables(index, 1, name, dcf))
    count = draw(st.integers(1, 5))
    members = {0: Variable(index, 0, "NrOfObjects", T.UNSIGNED8, "ro", default=count)}
    special = "value" if dcf else "default"
    usual = getattr(pattern, special)
    for sub in range(1, count + 1):
        value = draw(st.one_of(st.just(usual), values_of(pattern.data_type)))
        text = draw(st.one_of(st.just(f"{name}{sub}"), TEXTS))
        denotation = draw(st.one_of(st.just(pattern.denotation), TEXTS)) if dcf else ""
        members[sub] = replace(pattern, subindex=sub, name=text, denotation=denotation, **{special: value})
    head = (pattern.data_type, count, pattern.flags, pattern.denotation, (), pattern.extra)
    return Object(index, name, ObjectType.ARRAY, members, *head)


@st.composite
def many_objects(draw, dcf, low=0x1000, max_size=4):
    indices = sorted(draw(st.sets(st.integers(low, 0xFFFF), min_size=1, max_size=max_size)))
    return {index: draw(objects(index, dcf)) for index in indices}


@st.composite
def modules(draw, number, dcf):
    few = st.one_of(st.just({}), many_objects(dcf, max_size=1))
    plain = few.map(lambda found: {i: o for i, o in found.items() if not o.compact})
    return Module(
        *(number, draw(MAYBE_TEXT), draw(NUMBERS), draw(NUMBERS), draw(MAYBE_TEXT)),
        *(tuple(draw(st.lists(MAYBE_TEXT, max_size=2))), draw(plain), draw(plain), draw(EXTRA)),
    )


@st.composite
def dictionaries(draw, dcf=False):
    texts = {name: draw(MAYBE_TEXT) for name in ("file_name", "file_version", "eds_version", "description", "last_eds")}
    identity = [draw(NUMBERS) for _ in range(3)]
    rates = tuple(sorted(draw(st.sets(st.integers(1, 1000), max_size=3))))
    device = DeviceInfo(
        *(draw(MAYBE_TEXT), draw(MAYBE_TEXT), *identity, rates, draw(MAYBE_TEXT), draw(SWITCHES), draw(SWITCHES)),
        *(draw(NUMBERS), draw(NUMBERS), draw(SWITCHES), draw(NUMBERS), draw(NUMBERS), 0, draw(SWITCHES), draw(EXTRA)),
    )
    place = Commissioning()
    if dcf:
        place = Commissioning(draw(st.integers(1, 127)), draw(st.one_of(st.none(), st.integers(1, 10_000))))
        place.node_name, place.net_number = draw(MAYBE_TEXT), draw(NUMBERS)
        place.canopen_manager, place.lss_serial_number, place.extra = draw(SWITCHES), draw(NUMBERS), draw(EXTRA)
    numbers = draw(st.sets(st.integers(1, 999), max_size=2))
    return ObjectDictionary(
        "",
        draw(many_objects(dcf)),
        device,
        place,
        file=FileInfo(**texts, extra=draw(EXTRA)),
        comments=tuple(draw(st.lists(MAYBE_TEXT, max_size=3))),
        dummies=draw(st.one_of(st.none(), st.frozensets(st.integers(1, 0x1F)))),
        modules={number: draw(modules(number, dcf)) for number in sorted(numbers)},
        connected=tuple(draw(st.lists(st.integers(1, 999), max_size=3))) if dcf else (),
        sections=draw(st.dictionaries(st.sampled_from(["Tools", "DynamicChannels"]), EXTRA)),
    )


@given(dictionaries())
def test_what_an_eds_can_say_comes_back(dictionary):
    assert again(dictionary) == bare(dictionary)


@given(dictionaries(dcf=True))
def test_what_a_dcf_can_say_comes_back(dictionary):
    assert again(dictionary, dcf_text) == bare(dictionary)


@given(dictionaries())
def test_what_is_written_gives_no_cause_for_findings_of_form(dictionary):
    """Access that is not known, and types that are: nothing else is odd about what was drawn."""
    found = {finding.code for finding in parse(eds_text(dictionary), "x").findings}
    assert found <= {"eds-no-access"}


@given(dictionaries(), dictionaries(), st.booleans())
def test_a_text_changed_into_any_other_says_what_that_says(old, new, canonical):
    read = parse(eds_text(old), "old")
    new.document = read.document
    expected = replace(bare(new))
    assert bare(parse(eds_text(new, canonical=canonical), "new")) == expected


@given(st.text(string.printable, max_size=30))
def test_no_text_breaks_the_file(text):
    found = var(data_type=T.VISIBLE_STRING, default=text, unit=text, extra={"Colour": text})
    found.name = text
    read = parse(eds_text(of(found, comments=(text,), file=FileInfo(description=text))), "x")
    assert sorted(read.objects) == [0x2000] and read[0x2000, 0].extra.keys() == {"Colour"}


REFUSED = (
    "[2000]\nParameterName=S\nObjectType=0x9\nSubNumber=1\n"
    "[2000sub1]\nParameterName=M\nObjectType=0x8\nDataType=0x0005\nAccessType=any\nDefaultValue=256\n"
)


@pytest.mark.parametrize("canonical", [True, False])
def test_a_value_that_cannot_be_used_is_written_until_another_takes_its_place(canonical):
    read = parse(REFUSED, "x")
    lines = eds_text(read, canonical=canonical).splitlines()
    assert {"ObjectType=0x8", "AccessType=any", "DefaultValue=256"} < set(lines)
    members = read.objects[0x2000].members
    members[1] = replace(members[1], default=5, access="ro")
    lines = eds_text(read, canonical=canonical).splitlines()
    assert {"ObjectType=0x8", "AccessType=ro", "DefaultValue=5"} < set(lines)
    assert sum(line.startswith(("DefaultValue=", "AccessType=")) for line in lines) == 2
