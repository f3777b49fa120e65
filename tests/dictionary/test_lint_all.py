"""opendiag.dictionary.lint_all: what does not make sense in a file, where it stands, and nothing about a good file."""

import re
from dataclasses import replace
from pathlib import Path

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

import opendiag.dictionary
from opendiag.dictionary import bundled_names, load, parse
from opendiag.dictionary.dbc import dbc_text
from opendiag.dictionary.differences import compare
from opendiag.dictionary.lint_all import lint
from opendiag.findings import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def member(name, keys):
    return f"[{name}]\n" + "\n".join(keys.split()).replace("_", " ") + "\n"


def var(index, name, data_type, access, more=""):
    return member(f"{index:04X}", f"ParameterName={name} ObjectType=7 DataType={data_type} AccessType={access} {more}")


def record(index, name, members, kind=9):
    """``members``: sub-index -> (name, data type, access, more keys)."""
    text = member(f"{index:04X}", f"ParameterName={name} ObjectType={kind} SubNumber={len(members)}")
    for subindex, (each, data_type, access, more) in members.items():
        keys = f"ParameterName={each} ObjectType=7 DataType={data_type} AccessType={access} {more}"
        text += member(f"{index:04X}sub{subindex:X}", keys)
    return text


def communication(index, cob_id, kind=255):
    return record(
        index,
        f"PDO{index:04X}",
        {
            0: ("Highest", 5, "const", "DefaultValue=2"),
            1: ("COB-ID", 7, "rw", f"DefaultValue={cob_id}"),
            2: ("Type", 5, "rw", f"DefaultValue={kind}"),
        },
    )


def mapping(index, *words):
    members = {0: ("Count", 5, "rw", f"DefaultValue={len(words)}")}
    members |= {sub: (f"Entry{sub}", 7, "rw", f"DefaultValue=0x{word:08X}") for sub, word in enumerate(words, 1)}
    return record(index, f"Map{index:04X}", members)


HEAD = """[DeviceInfo]
VendorNumber=0x2E1
ProductNumber=0x10
RevisionNumber=1
BaudRate_125=1
Granularity=8
NrOfRXPDO=1
NrOfTXPDO=1
[DummyUsage]
Dummy0005=1
Dummy0006=0
"""
COMMISSIONING = "[DeviceComissioning]\nNodeID=5\nBaudrate=125\n"
GOOD = (
    HEAD
    + var(0x1000, "Device", 7, "ro", "DefaultValue=0x20192")
    + var(0x1001, "Errors", 5, "ro", "PDOMapping=1")
    + var(0x1005, "SYNC", 7, "rw", "DefaultValue=0x80")
    + var(0x100C, "Guard", 6, "rw", "DefaultValue=0")
    + var(0x100D, "Factor", 5, "rw", "DefaultValue=0")
    + var(0x1014, "EMCY", 7, "rw", "DefaultValue=$NODEID+0x80")
    + record(
        0x1016,
        "Consumers",
        {
            0: ("Highest", 5, "const", "DefaultValue=2"),
            1: ("Consumer", 7, "rw", "DefaultValue=0x10064"),
            2: ("Consumer", 7, "rw", "DefaultValue=0x20064"),
        },
        kind=8,
    )
    + var(0x1017, "Heartbeat", 6, "rw", "DefaultValue=100")
    + record(
        0x1018,
        "Identity",
        {
            0: ("Highest", 5, "const", "DefaultValue=3"),
            1: ("Vendor", 7, "ro", "DefaultValue=0x2E1"),
            2: ("Product", 7, "ro", "DefaultValue=0x10"),
            3: ("Revision", 7, "ro", "DefaultValue=1"),
        },
    )
    + communication(0x1400, "$NODEID+0x200")
    + mapping(0x1600, 0x60400010, 0x20000020, 0x00050008)
    + communication(0x1800, "$NODEID+0x180", 1)
    + mapping(0x1A00, 0x60410010, 0x20010108)
    + var(0x2000, "Speed", 4, "rww", "PDOMapping=1 LowLimit=-100 HighLimit=100 DefaultValue=7")
    + record(
        0x2001,
        "Inputs",
        {
            0: ("Highest", 5, "ro", "DefaultValue=2"),
            1: ("First", 5, "rwr", "PDOMapping=1"),
            2: ("Second", 1, "ro", "PDOMapping=1"),
        },
    )
    + var(0x2002, "Name", 9, "const", "DefaultValue=axis")
    + var(0x6040, "Controlword", 6, "rww", "PDOMapping=1")
    + var(0x6041, "Statusword", 6, "ro", "PDOMapping=1")
)
DCF = GOOD + COMMISSIONING


def found(text, node_id=None):
    return lint(parse(text, "x.eds"), node_id)


def changed(section, old, new, text=GOOD):
    """The text with one key of a section changed, and the line of that key."""
    head, begin, rest = text.partition(f"[{section}]\n")
    body, bracket, tail = rest.partition("[")
    assert begin and old in body, f"{old} is not in [{section}]"
    line = (head + begin + body.partition(old)[0]).count("\n") + 1
    return head + begin + body.replace(old, new, 1) + bracket + tail, line


def without(index, text=GOOD):
    """The text without an object."""
    return re.sub(rf"^\[{index:04X}(?:sub.+)?\]\n(?:[^\[].*\n)*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [GOOD, DCF], ids=["eds", "dcf"])
@pytest.mark.parametrize("node_id", [None, 5])
def test_nothing_about_a_good_file(text, node_id):
    assert [str(finding) for finding in parse(text, "x.eds").findings if finding.severity > INFO] == []
    assert [str(finding) for finding in found(text, node_id)] == []


#: code, severity, section, what stands there, what instead, a part of the sentence.
MISTAKES = [
    ("lint-granularity", WARNING, "DeviceInfo", "Granularity=8", "Granularity=65", "65 bits"),
    ("lint-mapping-granularity", WARNING, "DeviceInfo", "Granularity=8", "Granularity=16", "RPDO1 maps 0005:00"),
    ("lint-identity", WARNING, "DeviceInfo", "0x2E1", "0x2E2", "VendorNumber is 0x2E2 and 1018:01 is 0x2E1"),
    ("lint-identity", INFO, "DeviceInfo", "RevisionNumber=1", "RevisionNumber=2", "RevisionNumber"),
    ("lint-pdo-count", WARNING, "DeviceInfo", "NrOfRXPDO=1", "NrOfRXPDO=0", "has communication parameters of 1"),
    ("lint-pdo-count", INFO, "DeviceInfo", "NrOfTXPDO=1", "NrOfTXPDO=4", "NrOfTXPDO says 4"),
    ("lint-two-error-controls", WARNING, "1017", "", "", "both switched on"),
    ("lint-heartbeat-consumer", ERROR, "1016sub2", "0x20064", "0x10032", "1016:02 watches node 1"),
    ("lint-highest-subindex", WARNING, "2001sub0", "DefaultValue=2", "DefaultValue=1", "2001:00 says that 1"),
    ("lint-highest-subindex", INFO, "2001sub0", "DefaultValue=2", "DefaultValue=3", "the file has 2"),
    ("lint-same-name", INFO, "2001sub2", "ParameterName=Second", "ParameterName=first", "called 'First': 01, 02"),
    ("lint-access", INFO, "2002", "DefaultValue=axis", "PDOMapping=1", "2002:00 is a constant that can be mapped"),
    ("lint-access", INFO, "2002", "AccessType=const", "AccessType=rwr", "2002:00 is rwr"),
    ("lint-mappable-type", INFO, "2002", "DefaultValue=axis", "PDOMapping=1", "VISIBLE_STRING has no fixed length"),
    ("lint-default-limits", WARNING, "2000", "DefaultValue=7", "DefaultValue=101", "101, above its HighLimit 100"),
    ("lint-default-limits", WARNING, "2000", "DefaultValue=7", "DefaultValue=-101", "below its LowLimit -100"),
    ("lint-value-limits", ERROR, "2000", "DefaultValue=7", "ParameterValue=500", "500, above its HighLimit 100"),
    ("lint-default-type", ERROR, "2001sub0", "DefaultValue=2", "DefaultValue=$NODEID+0xFF", "outside 0..255"),
    ("lint-value-type", ERROR, "2001sub0", "DefaultValue=2", "ParameterValue=$NODEID+0xFF", "outside 0..255"),
    ("lint-pdo-too-long", ERROR, "1600sub3", "0x00050008", "0x20000020", "RPDO1 maps 80 bits"),
    ("lint-mapping-count", ERROR, "1600sub0", "DefaultValue=3", "DefaultValue=65", "1600:00 maps 65 objects"),
    ("lint-mapping-gap", WARNING, "1600sub0", "DefaultValue=3", "DefaultValue=4", "no value for 1600:04"),
    ("lint-mapping-gap", WARNING, "1A00sub1", "0x60410010", "0", "there is 0 (nothing) in 1A00:01"),
    ("lint-mapping-nowhere", ERROR, "1A00sub1", "0x60410010", "0x60420010", "TPDO1 maps 6042:00, which does not"),
    ("lint-mapping-not-mappable", WARNING, "1A00sub1", "0x60410010", "0x10140020", "1014:00 (EMCY)"),
    ("lint-mapping-direction", ERROR, "1A00sub1", "0x60410010", "0x20030010", "wo: a TPDO reads it"),
    ("lint-mapping-direction", ERROR, "1600sub1", "0x60400010", "0x60410010", "ro: an RPDO writes it"),
    ("lint-mapping-direction", WARNING, "1A00sub1", "0x60410010", "0x60400010", "meant for an RPDO"),
    ("lint-mapping-direction", WARNING, "1600sub3", "0x00050008", "0x20010108", "meant for a TPDO"),
    ("lint-mapping-length", ERROR, "1A00sub1", "0x60410010", "0x60410020", "with 32 bits, and UNSIGNED16 has 16"),
    ("lint-mapping-length", WARNING, "1A00sub2", "0x20010108", "0x20010208", "with 8 bits, and BOOLEAN has 1"),
    ("lint-dummy", WARNING, "1600sub3", "0x00050008", "0x00060010", "[DummyUsage] does not allow"),
    ("lint-dummy", WARNING, "1A00sub2", "0x20010108", "0x00050008", "only an RPDO can have"),
    ("lint-dummy", INFO, "1600sub3", "0x00050008", "0x00050010", "gap of 16 bits as UNSIGNED8, which has 8"),
    ("lint-transmission-type", ERROR, "1800sub2", "DefaultValue=1", "DefaultValue=241", "241, which is reserved"),
    ("lint-transmission-type", WARNING, "1400sub2", "DefaultValue=255", "DefaultValue=253", "only a TPDO can have"),
    ("lint-cob-id-range", ERROR, "1800sub1", "$NODEID+0x180", "0x1185", "does not fit 11 bits"),
    ("lint-cob-id-restricted", ERROR, "1800sub1", "$NODEID+0x180", "0x601", "CAN-ID 601h"),
    ("lint-cob-id-restricted", WARNING, "1800sub1", "$NODEID+0x180", "0x180", "CAN-ID 180h"),
    ("lint-cob-id-clash", ERROR, "1800sub1", "$NODEID+0x180", "$NODEID+0x200", "(1400:01) both use"),
    ("lint-cob-id-clash", ERROR, "1014", "$NODEID+0x80", "0x80", "EMCY (1014:00) and SYNC (1005:00) both use"),
    ("lint-standard-object", INFO, "1001", "ObjectType=7", "ObjectType=8", "1001h is ARRAY"),
    ("lint-standard-type", INFO, "6041", "DataType=6", "DataType=7", "6041:00 is UNSIGNED32, in CiA 402 UNSIGNED16"),
    ("lint-standard-access", INFO, "6040", "AccessType=rww", "AccessType=ro", "cannot be written, in CiA 402"),
    ("lint-standard-access", INFO, "1001", "AccessType=ro", "AccessType=wo", "cannot be read, in CiA 301"),
]


@pytest.mark.parametrize(("code", "severity", "section", "old", "new", "words"), MISTAKES)
def test_each_mistake_is_found_where_it_stands(code, severity, section, old, new, words):
    text = GOOD + var(0x2003, "Command", 6, "wo", "PDOMapping=1")
    if code == "lint-two-error-controls":
        old, new = "DefaultValue=100", "DefaultValue=100"
        text, _ = changed("100C", "DefaultValue=0", "DefaultValue=100", text)
        text, _ = changed("100D", "DefaultValue=0", "DefaultValue=3", text)
    if code == "lint-standard-object":
        text = text.replace("[1005]", "[1001sub1]\nParameterName=One\nDataType=5\nAccessType=ro\n[1005]")
    text, line = changed(section, old, new, text)
    matching = [each for each in found(text) if each.code == code and words in each.sentence]
    assert [(each.severity, each.line) for each in matching] == [(severity, line)]
    assert matching[0].file == "x.eds"
    assert new.split("=")[-1] in matching[0].evidence


@pytest.mark.parametrize(
    ("code", "section", "old", "new"),
    [
        ("lint-no-node-id", "DeviceComissioning", "NodeID=5\n", ""),
        ("lint-no-bit-rate", "DeviceComissioning", "Baudrate=125\n", ""),
        ("lint-bit-rate", "DeviceComissioning", "Baudrate=125", "Baudrate=250"),
        ("lint-value-read-only", "6041", "PDOMapping=1", "DefaultValue=0\nParameterValue=2"),
    ],
)
def test_mistakes_of_a_dcf(code, section, old, new):
    text, _ = changed(section, old, new, DCF)
    assert code in [each.code for each in found(text)]


@pytest.mark.parametrize(
    ("gone", "code"),
    [
        ([0x1000], "lint-mandatory-missing"),
        ([0x1001], "lint-mandatory-missing"),
        ([0x1018], "lint-mandatory-missing"),
        ([0x1017, 0x100C], "lint-no-error-control"),
        ([0x1400], "lint-pdo-no-communication"),
        ([0x1A00], "lint-pdo-no-mapping"),
        ([0x1005], "lint-transmission-type"),
    ],
)
def test_what_is_missing(gone, code):
    text = GOOD
    for index in gone:
        text = without(index, text)
    assert code in [each.code for each in found(text) if each.severity is WARNING]


def test_members_that_are_missing():
    text = GOOD.replace("[2001sub0]", "[Elsewhere]").replace("[1800sub2]", "[Elsewhere2]")
    text = text.replace("[1018sub1]", "[Elsewhere3]")
    found_ = {each.code: each for each in found(text)}
    assert "2001h has members and no sub-index 0" in found_["lint-no-subindex-0"].sentence
    assert "TPDO1 has no transmission type (1800:02)" in found_["lint-pdo-member-missing"].sentence
    assert "no 1018:01 (vendor-ID)" in found_["lint-mandatory-missing"].sentence


def test_a_file_without_identity_and_bit_rate():
    text = GOOD.replace("VendorNumber=0x2E1\n", "").replace("BaudRate_125=1\n", "")
    assert {each.code for each in found(text)} == {"lint-no-identity", "lint-no-bit-rate"}


def test_every_code_has_a_test():
    package = Path(opendiag.dictionary.__file__).parent
    codes = {code for file in package.glob("lint*.py") for code in re.findall(r'"(lint-[a-z0-9-]+)"', file.read_text())}
    assert len(codes) > 30
    tested = set(re.findall(r'"(lint-[a-z0-9-]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert codes - tested == set()


# --- node-IDs ------------------------------------------------------------------------------------------------------


def test_a_number_and_a_formula_meet_at_one_node_id_only():
    text, line = changed("1800sub1", "$NODEID+0x180", "0x205")
    assert found(text) == found(text, 6) == []
    clashes = [each for each in found(text, 5) if each.code == "lint-cob-id-clash"]
    assert [(each.line, each.node) for each in clashes] == [(line, 5)]
    assert "TPDO1 (1800:01) and RPDO1 (1400:01) both use the CAN-ID 205h" in clashes[0].sentence


def test_the_node_id_of_a_dcf_counts_unless_another_is_given():
    text, _ = changed("1800sub1", "$NODEID+0x180", "0x205", DCF)
    assert [each.code for each in found(text)] == ["lint-cob-id-clash"]
    assert [each.code for each in found(text, 7)] == ["lint-other-node-id"]


def test_a_pdo_on_the_sdo_channel_of_its_own_node():
    text, _ = changed("1400sub1", "$NODEID+0x200", "$NODEID+0x600")
    assert [each.code for each in found(text)] == ["lint-cob-id-restricted"]


@pytest.mark.parametrize(
    ("cob_id", "severity"), [("$NODEID+0x200", WARNING), ("$NODEID+0x80000200", None), ("0x20000205", None)]
)
def test_two_rpdos_on_one_identifier(cob_id, severity):
    """They may listen to the same frame; one that is not valid, or of 29 bits, is no clash."""
    text = GOOD + communication(0x1401, cob_id) + mapping(0x1601, 0x60400010)
    text = text.replace("NrOfRXPDO=1", "NrOfRXPDO=2")
    assert [each.severity for each in found(text, 5)] == ([severity] if severity else [])


def test_a_pdo_that_maps_nothing_is_no_reason_to_worry():
    text = GOOD + communication(0x1801, "$NODEID+0x180") + mapping(0x1A01)
    assert [each.severity for each in found(text.replace("NrOfTXPDO=1", "NrOfTXPDO=2"))] == [INFO]


@pytest.mark.parametrize(
    ("word", "codes"), [("0x205", []), ("0x80000205", ["lint-cob-id-clash"]), ("0x40000205", ["lint-cob-id-clash"])]
)
def test_a_time_that_is_neither_sent_nor_received_is_in_nobodys_way(word, codes):
    text = GOOD + var(0x1012, "COB-ID TIME", 7, "rw", f"DefaultValue={word}")
    assert [each.code for each in found(text, 5) if each.code == "lint-cob-id-clash"] == codes


@pytest.mark.parametrize("node_id", [0, 128, -1])
def test_a_node_id_that_is_none_is_refused(node_id):
    with pytest.raises(ValueError, match=f"node-ID {node_id} is outside 1..127"):
        found(GOOD, node_id)


# --- where it stands -----------------------------------------------------------------------------------------------


def test_values_of_a_compact_array_have_the_line_of_their_own_entry():
    text = GOOD + "[2004]\nParameterName=List\nObjectType=8\nDataType=5\nAccessType=rw\nHighLimit=10\nCompactSubObj=3\n"
    text += "[2004Value]\nNrOfEntries=1\n2=11\n"
    finding = next(each for each in found(text) if each.code == "lint-default-limits")
    assert (finding.line, finding.evidence) == (text[: text.index("2=11")].count("\n") + 1, "2=11")
    assert "2004:02" in finding.sentence


def test_a_dictionary_that_was_made_and_not_read():
    dictionary = parse(GOOD, "x.eds")
    dictionary.document = None
    speed = dictionary[0x2000, 0]
    dictionary.objects[0x2000].members[0] = replace(speed, low=1, high=-1, default="fast", line=None)
    assert {(each.code, each.line) for each in lint(dictionary)} == {
        ("lint-limits-crossed", None),
        ("lint-default-type", None),
    }


def test_a_limit_that_the_reader_complained_about_is_said_once():
    text, _ = changed("2001sub1", "PDOMapping=1", "PDOMapping=1\nHighLimit=300")
    dictionary = parse(text, "x.eds")
    assert "eds-out-of-range" in [each.code for each in dictionary.findings]
    assert lint(dictionary) == []
    dictionary.findings.clear()
    assert [each.code for each in lint(dictionary)] == ["lint-limit-type"]


def test_objects_that_a_module_brings_exist():
    text, _ = changed("1A00sub1", "0x60410010", "0x30000110")
    assert "lint-mapping-nowhere" in [each.code for each in found(text)]
    text += "[SupportedModules]\nNrOfEntries=1\n[M1ModuleInfo]\nProductName=Input\n[M1SubExtends]\nNrOfEntries=1\n"
    text += (
        "1=0x3000\n[M1SubExt3000]\nParameterName=In\nObjectType=7\nDataType=6\nAccessType=ro\nPDOMapping=1\nCount=1\n"
    )
    assert "lint-mapping-nowhere" not in [each.code for each in found(text)]


# --- whatever a file says ------------------------------------------------------------------------------------------

ODD = ["", "-1", "0xFFFFFFFF", "$NODEID-0x500", "$NODEID", "18446744073709551615", "nan", "inf", "x", "8", "0x1F", "ro"]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(ODD)), max_size=12), st.sampled_from([None, 1, 127]))
def test_whatever_a_file_says_it_is_checked_compared_and_written(changes, node_id):
    lines = DCF.splitlines()
    keys = [number for number, line in enumerate(lines) if "=" in line]
    for place, value in changes:
        number = keys[place % len(keys)]
        lines[number] = lines[number].partition("=")[0] + "=" + value
    dictionary = parse("\n".join(lines), "x.dcf")
    for finding in lint(dictionary, node_id):
        assert finding.line is None or 1 <= finding.line <= len(lines)
        assert finding.sentence and finding.code.startswith("lint-")
    assert compare(dictionary, dictionary) == []
    for difference in compare(parse(DCF, "x"), dictionary):
        assert str(difference)
    cantools.database.load_string(dbc_text(dictionary, node_id or 5, sdo=True), "dbc")


# --- real files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_files_have_nothing_worse_than_remarks(name):
    assert [str(each) for each in lint(load(name)) if each.severity > INFO] == []


@pytest.mark.corpus
def test_real_files_are_checked_and_most_have_no_error(corpus):
    files = sorted(path for path in (corpus / "dictionaries").iterdir() if path.is_file())
    bad = 0
    for path in files:
        dictionary = load(path)
        findings = lint(dictionary)
        assert findings == lint(dictionary)
        lines = dictionary.document.text.count("\n") + 1
        assert all(each.line is None or 1 <= each.line <= lines for each in findings)
        bad += any(each.severity is ERROR for each in findings)
    assert len(files) > 200
    assert 0 < bad < len(files) / 8
