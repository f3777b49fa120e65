"""`opendiag eds`: show, lint, diff, convert, to-dbc."""

import json
from pathlib import Path

import cantools
import pytest

from opendiag.dictionary import load

ROOT = Path(__file__).resolve().parents[2]

#: A device file in which five lines are wrong, each marked with what is to be found there.
FIVE_MISTAKES = """[DeviceInfo]
VendorName=Example
VendorNumber=1
ProductNumber=2
BaudRate_125=1
NrOfRXPDO=1
NrOfTXPDO=1
[MandatoryObjects]
SupportedObjects=3
1=0x1000
2=0x1001
3=0x1018
[OptionalObjects]
SupportedObjects=5
1=0x1017
2=0x1400
3=0x1600
4=0x1800
5=0x1A00
[ManufacturerObjects]
SupportedObjects=2
1=0x2000
2=0x2001
[1000]
ParameterName=Device type
ObjectType=7
DataType=7
AccessType=ro
DefaultValue=0
[1001]
ParameterName=Error register
ObjectType=7
DataType=5
AccessType=ro
[1017]
ParameterName=Heartbeat
ObjectType=7
DataType=6
AccessType=rw
DefaultValue=half a second  ;<- eds-bad-value
[1018]
ParameterName=Identity
ObjectType=9
SubNumber=3
[1018sub0]
ParameterName=Highest
ObjectType=7
DataType=5
AccessType=ro
DefaultValue=2
[1018sub1]
ParameterName=Vendor
ObjectType=7
DataType=7
AccessType=ro
DefaultValue=1
[1018sub2]
ParameterName=Product
ObjectType=7
DataType=7
AccessType=ro
DefaultValue=2
[1400]
ParameterName=RPDO1
ObjectType=9
SubNumber=3
[1400sub0]
ParameterName=Highest
ObjectType=7
DataType=5
AccessType=const
DefaultValue=2
[1400sub1]
ParameterName=COB-ID
ObjectType=7
DataType=7
AccessType=rw
DefaultValue=$NODEID+0x200
[1400sub2]
ParameterName=Type
ObjectType=7
DataType=5
AccessType=rw
DefaultValue=255
[1600]
ParameterName=RPDO1 mapping
ObjectType=9
SubNumber=2
[1600sub0]
ParameterName=Count
ObjectType=7
DataType=5
AccessType=rw
DefaultValue=1
[1600sub1]
ParameterName=Entry
ObjectType=7
DataType=7
AccessType=rw
DefaultValue=0x20000020
;^- lint-mapping-length
[1800]
ParameterName=TPDO1
ObjectType=9
SubNumber=3
[1800sub0]
ParameterName=Highest
ObjectType=7
DataType=5
AccessType=const
DefaultValue=2
[1800sub1]
ParameterName=COB-ID
ObjectType=7
DataType=7
AccessType=rw
DefaultValue=$NODEID+0x200
;^- lint-cob-id-clash
[1800sub2]
ParameterName=Type
ObjectType=7
DataType=5
AccessType=rw
DefaultValue=255
[1A00]
ParameterName=TPDO1 mapping
ObjectType=9
SubNumber=2
[1A00sub0]
ParameterName=Count
ObjectType=7
DataType=5
AccessType=rw
DefaultValue=1
[1A00sub1]
ParameterName=Entry
ObjectType=7
DataType=7
AccessType=rw
DefaultValue=0x20020010
;^- lint-mapping-nowhere
[2000]
ParameterName=Speed
ObjectType=7
DataType=3
AccessType=rww
PDOMapping=1
LowLimit=-100
HighLimit=100
DefaultValue=500
;^- lint-default-limits
[2001]
ParameterName=Actual speed
ObjectType=7
DataType=3
AccessType=ro
PDOMapping=1
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.eds"
    path.write_text(FIVE_MISTAKES.replace("  ;<- eds-bad-value", ""))
    return str(path)


def planted():
    lines = FIVE_MISTAKES.splitlines()
    for number, line in enumerate(lines, 1):
        if "<-" in line:
            yield number, line.split("<- ")[1]
        elif line.startswith(";^-"):
            yield number - 1, line.split("^- ")[1]


# --- lint ----------------------------------------------------------------------------------------------------------


def test_five_mistakes_are_five_findings_with_the_right_lines(run, bad):
    outcome = run("eds", "lint", bad, "--json", "--severity", "info")
    said = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(each["line"], each["code"]) for each in said] == list(planted())
    assert len(said) == 5
    assert outcome.code == 1
    assert {each["file"] for each in said} == {bad}
    assert said[4]["sentence"] == "DefaultValue of 2000:00 is 500, above its HighLimit 100"
    assert said[4]["evidence"] == "DefaultValue=500"


def test_lint_as_text(run, bad):
    outcome = run("eds", "lint", bad)
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{bad}:{number}" for number, _ in planted()]
    assert "error lint-mapping-nowhere: TPDO1 maps 2002:00, which does not exist [DefaultValue=0x20020010]" in lines[3]
    assert outcome.err == "1 file: 3 errors, 2 warnings.\n"


def test_the_severity_decides_what_is_said_and_the_exit_code(run, bad):
    errors = run("eds", "lint", bad, "--severity", "error")
    assert (errors.code, len(errors.out.splitlines())) == (1, 3)
    assert "2 of less weight are not shown (--severity info)" in errors.err
    assert run("eds", "lint", "stepim").code == 0
    assert run("eds", "lint", "stepim", "--severity", "info").code == 1


def test_lint_for_a_node_id(run, tmp_path):
    path = tmp_path / "x.eds"
    text = FIVE_MISTAKES.replace("[1800sub1]\nParameterName=COB-ID", "[1800sub1]\nParameterName=COB")
    head, tail = text.split("ParameterName=COB\n")
    path.write_text(head + "ParameterName=COB\n" + tail.replace("$NODEID+0x200", "0x205", 1))
    assert "lint-cob-id-clash" not in run("eds", "lint", str(path)).out
    assert "both use the CAN-ID 205h" in run("eds", "lint", str(path), "--node", "5").out


def test_lint_of_several_files_and_of_standard_input(run, bad):
    outcome = run("eds", "lint", "stepim", "-", bad, "-q", stdin=FIVE_MISTAKES)
    assert outcome.code == 1
    files = [line.split(":")[0] for line in outcome.out.splitlines()]
    assert files == ["standard input"] * 5 + [bad.split(":")[0]] * 5
    assert outcome.err == ""


def test_a_file_that_cannot_be_read_does_not_hide_the_others(run, bad, tmp_path):
    outcome = run("eds", "lint", "no-such", str(tmp_path), bad)
    assert outcome.code == 2
    assert len(outcome.out.splitlines()) == 5
    assert "no EDS named 'no-such'" in outcome.err
    assert "this is a directory" in outcome.err


def test_of_no_file_at_all_nothing_is_said_to_be_right(run):
    outcome = run("eds", "lint", "no-such")
    assert outcome.code == 2 and "nothing wrong" not in outcome.err


def test_lint_of_xml(run, tmp_path):
    outcome = run("eds", "lint", "-", stdin="<a/>")
    assert outcome.code == 2
    assert "no CANopen device description" in outcome.err


# --- show ----------------------------------------------------------------------------------------------------------


def test_show_one_object_with_everything_that_is_said(run, tmp_path):
    path = tmp_path / "x.dcf"
    path.write_text(
        "[2000]\nParameterName=Speed\nDataType=3\nAccessType=rw\nLowLimit=-5\nHighLimit=5\nObjFlags=0x3\n"
        "Denotation=Left wheel\nParameterValue=4\nColour=red\n[DeviceComissioning]\nNodeID=3\n"
    )
    out = run("eds", "show", str(path), "2000").out
    for line in (
        "limits     -5 .. 5",
        "set to     4",
        "called     Left wheel",
        "flags      0x3 (not to be written with a configuration, not to be read when the device is scanned)",
        "Colour     red",
        "line       1",
    ):
        assert line in out.splitlines()
    said = json.loads(run("eds", "show", str(path), "2000", "--json").out)
    assert (said["denotation"], said["flags"], said["extra"], said["line"]) == ("Left wheel", 3, {"Colour": "red"}, 1)


def test_show_of_a_whole_record(run):
    lines = run("eds", "show", "stepim", "1018").out.splitlines()
    assert lines[:2] == ["object     1018     Identity Object", "kind       RECORD, 5 members"]
    assert "object     1018:04  Identity Object.Serial Number" in lines


def test_show_of_objects_without_values(run, tmp_path):
    path = tmp_path / "x.eds"
    path.write_text("[2000]\nParameterName=A list\nObjectType=8\n[2001]\nParameterName=S\nDataType=5\nAccessType=ro\n")
    assert (
        run("eds", "show", str(path), "2000").out
        == "object     2000     A list\nkind       ARRAY, no members\nline       1\n"
    )
    assert "2000     A list  ARRAY\n2001:00  S" in run("eds", "show", str(path)).out
    assert "2000    A list  ARRAY" in run("eds", "show", str(path), "a list").out
    assert run("eds", "show", str(path), "2000:00").code == 2
    assert run("eds", "show", str(path), "2000", "--json").out == ""


def test_a_name_is_found_as_people_write_it(run):
    for name in ("Vendor-ID", "vendorid", "identity object.vendor id"):
        assert "  :01   Vendor ID" in run("eds", "show", "stepim", name).out
    assert run("eds", "show", "stepim", "-").code == 2


ODD_VALUES = """[2000]
ParameterName=COB
DataType=7
AccessType=rw
DefaultValue=$NODEID-5
[2001]
ParameterName=Real
DataType=8
AccessType=rw
DefaultValue=0x7FC00000
HighLimit=0x7F800000
"""


def strict_json(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_formulas_and_infinite_numbers(run, tmp_path):
    path = tmp_path / "x.eds"
    path.write_text(ODD_VALUES)
    out = run("eds", "show", str(path)).out
    assert "$NODEID-0x5" in out and "bit rates     -\n" in out
    values = strict_json(run("eds", "show", str(path), "--json").out)
    assert [each["default"] for each in values] == ["$NODEID-0x5", "nan"]
    assert values[1]["high"] == "inf"
    other = tmp_path / "y.eds"
    other.write_text(ODD_VALUES.replace("0x7F800000", "0xFF800000").replace("$NODEID-5", "7"))
    changes = strict_json(run("eds", "diff", str(path), str(other), "--json").out)
    assert [(each["old"], each["new"]) for each in changes if each["field"] in ("default", "high")] == [
        ("$NODEID-0x5", 7),
        ("inf", "-inf"),
    ]


def test_a_file_cannot_give_orders_to_the_terminal(run, tmp_path):
    path = tmp_path / "x.eds"
    order = "\x1b]0;title\x07\x9b2J"
    head = f"[DeviceInfo]\nVendorName={order}\n[2000]\nDataType=7\nAccessType=rw\nNote={order}\nDefaultValue={order}\n"
    path.write_text(head + f"ParameterName=S{order}\n", "utf-8")
    for arguments in (
        ["show", "F"],
        ["show", "F", "2000"],
        ["lint", "F"],
        ["diff", "F", "stepim"],
        ["show", "F", order],
    ):
        outcome = run("eds", *[str(path) if each == "F" else each for each in arguments])
        assert not set("\x1b\x07\x9b") & set(outcome.out + outcome.err), arguments
        assert outcome.out
    assert order in json.loads(run("eds", "show", str(path), "--json").out)["name"]


def test_show_of_standard_input(run):
    assert "2001:00  Actual speed" in run("eds", "show", "-", "actual", stdin=FIVE_MISTAKES).out


def test_strict_lists_every_finding_and_shows_nothing(run, bad):
    outcome = run("eds", "show", bad, "--strict")
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    line, code = next(planted())
    assert lines[0].startswith(f"{bad}:{line}: warning {code}: ")
    assert lines[-1] == f"opendiag: {bad}: 1 finding where none is accepted"
    assert run("eds", "show", "stepim", "--strict").code == 0


# --- diff ----------------------------------------------------------------------------------------------------------


def test_diff(run, bad, tmp_path):
    other = tmp_path / "other.eds"
    text = Path(bad).read_text().replace("ProductNumber=2", "ProductNumber=3").replace("HighLimit=100", "HighLimit=600")
    other.write_text(text.replace("[2001]", "[2003]"))
    outcome = run("eds", "diff", bad, str(other))
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "~ [DeviceInfo]  product_code: 2 -> 3",
        "~ 2000:00  Speed  high: 100 (0x64) -> 600 (0x258)",
        "- 2001h  Actual speed",
        "+ 2003h  Actual speed",
    ]
    said = [json.loads(line) for line in run("eds", "diff", bad, str(other), "--json", "--objects").out.splitlines()]
    assert said == [
        {
            "kind": "changed",
            "where": "2000:00",
            "name": "Speed",
            "index": 0x2000,
            "sub": 0,
            "field": "high",
            "old": 100,
            "new": 600,
        },
        {"kind": "removed", "where": "2001h", "name": "Actual speed", "index": 0x2001},
        {"kind": "added", "where": "2003h", "name": "Actual speed", "index": 0x2003},
    ]


def test_bit_rates_are_told_in_their_order(run, tmp_path):
    for name, rates in (("a.eds", (10, 125, 1000)), ("b.eds", (50,))):
        lines = "".join(f"BaudRate_{rate}=1\n" for rate in rates)
        (tmp_path / name).write_text(f"[DeviceInfo]\n{lines}[1000]\nParameterName=T\nDataType=7\nAccessType=ro\n")
    out = run("eds", "diff", str(tmp_path / "a.eds"), str(tmp_path / "b.eds")).out
    assert out == "~ [DeviceInfo]  bit_rates: 10, 125, 1000 -> 50\n"


def test_diff_of_the_same(run, bad):
    outcome = run("eds", "diff", bad, "-", stdin=Path(bad).read_bytes())
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


# --- convert -------------------------------------------------------------------------------------------------------


def test_convert_keeps_what_it_need_not_change(run, tmp_path):
    copy = tmp_path / "copy.eds"
    outcome = run("eds", "convert", "stepim", str(copy))
    assert outcome.code == 0
    assert outcome.err == f"{copy}: 328 objects.\n"
    assert copy.read_text().split() == (ROOT / "eds" / "stepim.eds").read_text().split()
    assert run("eds", "diff", "stepim", str(copy)).out == ""


def test_convert_afresh(run, tmp_path):
    copy = tmp_path / "copy.eds"
    assert run("eds", "convert", "stepim", str(copy), "--canonical").code == 0
    assert not copy.read_text().startswith(";")
    assert run("eds", "diff", "stepim", str(copy)).out == ""


def test_convert_to_a_dcf_of_a_node(run, tmp_path):
    made = tmp_path / "node5.dcf"
    outcome = run("eds", "convert", "stepim", str(made), "--node", "5")
    assert outcome.err == f"{made}: 328 objects for node 5.\n"
    assert load(made).node_id == 5
    anonymous = run("eds", "convert", "stepim", str(tmp_path / "any.dcf"))
    assert "--node says which" in anonymous.err


@pytest.mark.corpus
@pytest.mark.parametrize("suffix", [".xdd", ".xdc", ".xpd"])
def test_convert_from_xml(run, tmp_path, corpus, suffix):
    for source in sorted((corpus / "dictionaries").glob(f"*{suffix}")):
        made = tmp_path / f"{source.name}.eds"
        assert run("eds", "convert", str(source), str(made)).code == 0
        before, after = load(source), load(made)
        assert [(v.index, v.subindex, v.data_type, v.access) for v in before.variables()] == [
            (v.index, v.subindex, v.data_type, v.access) for v in after.variables()
        ]


def test_nothing_is_overwritten_by_accident(run, bad, tmp_path):
    before = Path(bad).read_text()
    for arguments in (["convert", "stepim", bad], ["to-dbc", "stepim", "--node", "5", "-o", bad]):
        outcome = run("eds", *arguments)
        assert outcome.code == 2
        assert "is there already and was left as it is; --force overwrites it" in outcome.err
        assert Path(bad).read_text() == before
    assert run("eds", "convert", "stepim", bad, "--force").code == 0
    assert len(load(bad)) == 328


# --- to-dbc --------------------------------------------------------------------------------------------------------


def test_to_dbc(run, tmp_path):
    made = tmp_path / "stepim.dbc"
    outcome = run("eds", "to-dbc", "stepim", "--node", "101", "-o", str(made))
    assert (outcome.code, outcome.out) == (0, "")
    database = cantools.database.load_file(made)
    assert outcome.err == f"{made}: {len(database.messages)} messages of node 101.\n"
    assert database.decode_message(0x1E5, bytes.fromhex("370806"), decode_choices=False)["Statusword"] == 0x0837
    printed = run("eds", "to-dbc", "stepim", "--node", "101")
    assert printed.out == made.read_text("cp1252")
    assert "SDO_answer_101" in run("eds", "to-dbc", "stepim", "--node", "0x65", "--sdo").out


def test_to_dbc_of_a_dcf_knows_its_node(run, tmp_path):
    dcf = tmp_path / "x.dcf"
    assert run("eds", "convert", "stepim", str(dcf), "--node", "7").code == 0
    assert "Heartbeat_7" in run("eds", "to-dbc", str(dcf)).out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_to_dbc_names_the_file_that_cannot_be_written(run):
    outcome = run("eds", "to-dbc", "stepim", "--node", "5", "-o", "/dev/full", "--force")
    assert outcome.code == 2 and outcome.err.startswith("opendiag: /dev/full: cannot be written: ")


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "no-such"], "no EDS named 'no-such'"),
        (["show", ""], "the file name is empty"),
        (["show", "DIR"], "this is a directory"),
        (["lint"], "Missing argument"),
        (["lint", "stepim", "--severity", "worst"], "'worst' is not one of"),
        (["lint", "stepim", "--node", "200"], "node-ID 200 is outside 1..127"),
        (["diff", "stepim", "no-such"], "no EDS named 'no-such'"),
        (["diff", "-", "-"], "only one of both can be standard input"),
        (["convert", "stepim", "x.xdd"], ".eds and .dcf can be written"),
        (["convert", "stepim", "x"], ".eds and .dcf can be written"),
        (["convert", "stepim", "x.eds", "--node", "5"], "--node is for a DCF"),
        (["convert", "stepim", "no-such-dir/x.eds"], "there is no directory no-such-dir"),
        (["convert", "no-such", "x.eds"], "no EDS named 'no-such'"),
        (["to-dbc", "stepim"], "say which with --node N"),
        (["to-dbc", "stepim", "--node", "5", "-o", "DIR"], "is a directory"),
        (["to-dbc", "stepim", "--node", "x"], "'x' is no node-ID"),
    ],
)
def test_every_mistake_gives_one_sentence_and_exit_code_2(run, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    outcome = run("eds", *["dir" if argument == "DIR" else argument for argument in arguments])
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["dir"]


# --- the library of --eds-dir --------------------------------------------------------------------------------------

IDENTITY = (
    "(1700000000.000000) can0 605#4018100100000000\n(1700000000.001000) can0 585#4318100101000000\n"
    "(1700000000.002000) can0 605#4018100200000000\n(1700000000.003000) can0 585#4318100202000000\n"
    "(1700000000.004000) can0 605#4018100300000000\n(1700000000.005000) can0 585#43181003{revision:02X}000000\n"
    "(1700000000.006000) can0 605#4000200000000000\n(1700000000.007000) can0 585#4B00200007000000\n"
)


@pytest.mark.parametrize(
    ("revision", "name"), [(1, "Speed of 1"), (2, "Speed of 2"), (9, "Speed of 2")], ids=["first", "second", "other"]
)
def test_the_directory_is_searched_by_vendor_product_and_revision(run, tmp_path, revision, name):
    for number in (1, 2):
        text = FIVE_MISTAKES.replace("=Speed", f"=Speed of {number}")
        text = text.replace("ProductNumber=2", f"ProductNumber=2\nRevisionNumber={number}")
        (tmp_path / f"{number}.eds").write_text(text)
    (tmp_path / "other.eds").write_text(FIVE_MISTAKES.replace("VendorNumber=1", "VendorNumber=3"))
    log = tmp_path / "x.log"
    log.write_text(IDENTITY.format(revision=revision))
    out = run("decode", str(log), "--eds-dir", str(tmp_path)).out
    assert f"2000:00 {name} " in out
