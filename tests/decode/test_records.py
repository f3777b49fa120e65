"""The JSON form, and that `docs/reference/records.md` says all of it and nothing else."""

import ast
import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from devices import read, stepim_frames, u32, written
from sdo_talk import CLIENT, SMALL, aborted, block, expedited, frames, payload, segmented

from opendiag.decode.decoder import Decoder
from opendiag.decode.records import SCHEMA_VERSION, Record
from opendiag.decode.render import service_text
from opendiag.decode.sdo_transfer import Outcome
from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.wire import emcy, lss

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "records.md").read_text("utf-8")
MODULES = sorted((ROOT / "opendiag" / "decode").glob("*.py"))
ALWAYS = ["v", "frames", "t", "t_ns", "ch", "svc", "status"]


# --- the page ------------------------------------------------------------------------------------------------------


def table(heading):
    """Rows of the table under a heading, as lists of cells."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def codes(cell):
    return re.findall(r"`([^`]+)`", cell)


def documented(heading):
    return [code for row in table(heading) for code in codes(row[0])]


DETAILS = {service: codes(row[2]) for row in table("Services") for service in codes(row[0])}
TYPES = {field: row[1] for row in table("Fields") for field in codes(row[0])}


def test_the_page_names_nothing_twice():
    for heading in ("Fields", "Services", "Status", "Flags"):
        named = documented(heading)
        assert named and len(named) == len(set(named))


# --- what the code can say -----------------------------------------------------------------------------------------


def constants(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def name_of(node):
    """Last name of a call, an attribute or a variable."""
    return getattr(node, "attr", None) or getattr(node, "id", None)


def flags_in(tree):
    """String constants in the places where flags are made."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, first = name_of(node.func), node.args[:1]
            if called in ("doubt", "append") or (called == "setdefault" and name_of(node.func.value) == "problems"):
                found |= {c.value for c in first if isinstance(c, ast.Constant) and isinstance(c.value, str)}
            if called == "_alone":
                found |= constants(node.args[1])
        if isinstance(node, ast.keyword) and node.arg == "flags":
            found |= constants(node.value) - {"flags"}
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and name_of(target.value) == "problems":
                    found |= constants(target.slice)
                if name_of(target) == "flags" or (
                    isinstance(target, ast.Subscript) and constants(target.slice) == {"flags"}
                ):
                    found |= constants(node.value) - {"flags"}
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found |= set().union(*(constants(part) for part in node.value.elts if isinstance(part, ast.Tuple)))
        if isinstance(node, ast.FunctionDef) and node.name == "_frame_flags":
            found |= set().union(*map(constants, node.body[1:]))
    return found


def services_in(tree):
    """String constants in the places where a record gets its service."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in ("_record", "_malformed", "_lss"):
            found |= {a.value for a in node.args[1:2] if isinstance(a, ast.Constant)}
    return found


def statuses_in(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "status":
            found |= constants(node.value)
        if isinstance(node, ast.Assign) and any(name_of(target) == "status" for target in node.targets):
            found |= constants(node.value)
    return found


def of_all_modules(collect):
    return set().union(*(collect(ast.parse(path.read_text("utf-8"))) for path in MODULES))


def test_every_flag_is_documented_and_every_documented_flag_exists():
    assert of_all_modules(flags_in) == set(documented("Flags"))


def test_every_status_is_documented_and_every_documented_status_exists():
    emitted = of_all_modules(statuses_in) | {outcome.value for outcome in Outcome} | {Record("x", ()).status}
    assert emitted == set(documented("Status"))


def test_every_service_is_documented_and_every_documented_service_exists():
    sdo_and_pdo = {"sdo.read", "sdo.write", "sdo", "tpdo", "rpdo"}
    assert of_all_modules(services_in) | sdo_and_pdo == set(documented("Services"))


def test_every_service_has_a_name_for_people():
    for service in documented("Services"):
        assert service_text(Record(service, (1,), number=1)) != service or service in (
            "boot-up",
            "heartbeat",
            "guarding",
        )


# --- fields --------------------------------------------------------------------------------------------------------

FULL = Record(
    service="sdo.read",
    frames=(3, 4),
    status="ok",
    time_ns=1_500_000_000,
    channel="can0",
    can_id=0x5E5,
    node=101,
    number=1,
    index=0x6041,
    subindex=0,
    name="Statusword",
    type="UNSIGNED16",
    raw=b"\x27\2",
    value=0x227,
    scaled=551.0,
    unit="x",
    state="OPERATION_ENABLED",
    bits=("remote",),
    text="words",
    names_from="cia402",
    mapping_from="traffic",
    bit_offset=0,
    bit_width=16,
    transfer="expedited",
    size=2,
    abort_code=0x0504_0000,
    response_ns=1_250_000,
    took_ns=2_000_000,
    flags=("late",),
    details={"raw": b"\1"},
)


def test_every_field_is_documented_and_every_documented_field_exists():
    assert set(FULL.to_dict()) == set(documented("Fields"))
    assert documented("Fields")[:7] == ALWAYS


def test_the_sample_fills_every_field_of_a_record():
    empty = Record("", ())
    for field in dataclasses.fields(Record):
        assert field.name == "status" or getattr(FULL, field.name) != getattr(empty, field.name), field.name


def test_json_form():
    form = FULL.to_dict()
    assert list(form)[:7] == ALWAYS
    assert (form["v"], form["frames"], form["t"], form["t_ns"]) == (SCHEMA_VERSION, [3, 4], 1.5, 1_500_000_000)
    assert (form["sub"], form["raw"], form["response_ms"], form["took_ms"]) == (0, "2702", 1.25, 2.0)
    assert (form["bits"], form["flags"], form["details"]) == (["remote"], ["late"], {"raw": "01"})


def test_the_version_is_the_documented_one():
    assert f"**Version {SCHEMA_VERSION}.**" in PAGE


def test_a_record_that_says_little_has_few_fields():
    assert list(Record("sync", (1,)).to_dict()) == ALWAYS
    assert Record("sync", (1,)).to_dict()["t"] is None


@pytest.mark.parametrize("value", [0, False, 0.0, "", b""])
def test_a_value_of_nothing_is_a_value(value):
    form = Record("sdo.read", (1, 2), value=value, raw=b"", subindex=0, bit_offset=0).to_dict()
    assert "value" in form and form["raw"] == "" and form["sub"] == form["bit_offset"] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks(value):
    form = Record("sdo.read", (1, 2), value=value, scaled=value).to_dict()
    assert form["value"] == form["scaled"] == str(value)
    json.dumps(form, allow_nan=False)


def test_properties():
    assert FULL.object_text == "6041:00" and Record("nmt", (1,)).object_text is None
    assert FULL.changed and not dataclasses.replace(FULL, flags=("unchanged",)).changed


# --- records of every service --------------------------------------------------------------------------------------


def conversation(*messages):
    return frames(messages, 101)


def sample_records():
    """Records of every service and status, with most flags."""
    ask, answer = expedited("read", b"\1\2", index=0x6041).messages
    damaged = segmented("read", payload(20)).messages
    captures = [
        stepim_frames(),
        *(frames(talk.messages, 101) for talk in SMALL),
        *(frames(talk.messages[: len(talk.messages) // 2], 101) for talk in SMALL),
        *(frames(talk.messages[1:], 101) for talk in SMALL),
        conversation(*aborted(block("write", payload(20)), 3, CLIENT)),
        conversation(ask, ask, answer, answer, (True, b"\xff")),
        conversation(*damaged[:3], *damaged[4:]),
        [
            *conversation(*written((0x1800, 1, u32(0x1E5)), (0x1A00, 1, u32(0x6041_0010)), (0x1A00, 0, b"\1"))),
            *(Frame(0x1E5, data, time_ns=1) for data in (b"\x27\2", b"\x27", b"\x27\2\3", bytes(8))),
            Frame(0x1E5, remote=True),
            Frame(0x1E5, bytes(12), fd=True),
        ],
        conversation(*read((0x1008, 0, b"abcd"), (0x6064, 0, b"\1\2"))),
        [
            Frame(0x000, b"\1\5"),
            Frame(0x705, b"\0"),
            Frame(0x705, b"\5"),
            Frame(0x705, remote=True),
            Frame(0x705, b"\5"),
        ],
        [Frame(0x080), Frame(0x080, b"\1"), Frame(0x100, bytes(6)), Frame(0x085, emcy.Emcy(0x8130, 1).encode())],
        [Frame(0x7E5, lss.Switch(True).encode()), Frame(0x7E4, lss.NodeIdAnswer(5).encode())],
        [Frame(0x004, bytes(8), error=True), Frame(0x6E0, b"\1"), Frame(1, extended=True), Frame(0x205, b"\1")],
        [Frame(0x185, b"\1")],
        [Frame(0x000), Frame(0x080, b"\0"), Frame(0x100), Frame(0x085), Frame(0x705), Frame(0x7E5), Frame(0x7E4)],
    ]
    for capture in captures:
        decoder = Decoder({101: load("stepim")})
        for frame in capture:
            yield from decoder.feed(frame)
        yield from decoder.finish()


RECORDS = list(sample_records())
OF_TYPE = {
    "number": (int, float),
    "text": (str,),
    "list of numbers": (list,),
    "list of text": (list,),
    "number or null": (int, float, type(None)),
    "text or null": (str, type(None)),
    "number, text": (int, float, str),
    "number, text, true/false": (int, float, str, bool),
    "object": (dict,),
}


def test_the_samples_are_of_every_service_and_status():
    assert {r.service for r in RECORDS} == set(documented("Services"))
    assert {r.status for r in RECORDS} == set(documented("Status"))


def test_what_is_emitted_is_what_is_documented():
    for record in RECORDS:
        form = json.loads(json.dumps(record.to_dict(), allow_nan=False))
        assert list(form)[:7] == ALWAYS
        assert form["svc"] in DETAILS and form["status"] in documented("Status")
        assert set(form.get("flags", ())) <= set(documented("Flags"))
        for field, content in form.items():
            assert isinstance(content, OF_TYPE[TYPES[field]]), (field, content)


def test_details_are_those_of_the_service():
    seen = {service: set() for service in DETAILS}
    for record in RECORDS:
        assert set(record.details) <= set(DETAILS[record.service]), record.service
        seen[record.service].update(record.details)
    assert {service: sorted(keys) for service, keys in seen.items()} == {s: sorted(d) for s, d in DETAILS.items()}


def test_who_names_and_who_maps():
    assert {r.names_from for r in RECORDS} <= {None, "eds:stepim", "cia301", "cia302", "cia402"}
    assert {r.mapping_from for r in RECORDS} == {None, "eds:stepim", "traffic"}
