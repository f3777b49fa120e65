"""`opendiag read` and `opendiag write` on a simulated motor: what is printed, what is refused, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opendiag.cli import live
from opendiag.master.node import Node

SIM = ("-i", "sim:stepim")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No interface from outside, and no simulator that happens to run on this computer."""
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    monkeypatch.setattr("opendiag.adapters.ports.running_simulator", lambda: None)


def refused(outcome, code: int, *words: str) -> None:
    """One sentence on stderr, nothing on stdout."""
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


# --- read ---


def test_read_says_value_unit_and_words(run):
    outcome = run("read", "101", "6041", "Modes of Operation", "6064", *SIM)
    assert (outcome.code, outcome.err) == (0, "")
    rows = outcome.out.splitlines()
    assert rows[0].split(None, 3)[:3] == ["101", "6041:00", "Statusword"]
    assert rows[0].endswith("0x0240          SWITCH ON DISABLED; switch on disabled, remote")
    assert rows[1].split()[-3:] == ["profile", "torque", "(tq)"]
    assert "counts" in rows[2] and "= 0 rev (4096 counts per rev)" in rows[2]


def test_read_a_record_whole_and_by_member(run):
    rows = run("read", "101", "Identity Object", *SIM).out.splitlines()
    assert [row.split()[1] for row in rows] == ["1018:00", "1018:01", "1018:02", "1018:03", "1018:04"]
    assert run("read", "0x65", "1018:02", *SIM).out.splitlines() == [rows[2]]
    assert run("read", "101", "Identity Object.Vendor ID", *SIM).out.splitlines() == [rows[1]]


def test_read_json(run):
    lines = [json.loads(line) for line in run("read", "101", "6041", "1018", "--json", *SIM).out.splitlines()]
    assert [(line["index"], line["sub"]) for line in lines] == [(0x6041, 0), *((0x1018, sub) for sub in range(5))]
    assert (lines[0]["raw"], lines[0]["value"], lines[0]["state"]) == ("4002", 0x240, "SWITCH_ON_DISABLED")
    assert {line["svc"] for line in lines} == {"sdo.read"}


def test_without_an_interface_stderr_says_who_answers(run, monkeypatch):
    outcome = run("read", "101", "1008")
    assert (outcome.code, outcome.err.strip()) == (0, live.SIMULATED)
    assert "'stepIM'" in outcome.out
    assert run("read", "101", "1008", "-q").err == ""


def test_the_interface_comes_from_the_environment_unless_given(run, monkeypatch):
    monkeypatch.setenv("OPENDIAG_INTERFACE", "sim:stepim=7")
    outcome = run("read", "7", "1008")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("7 ")
    assert run("read", "101", "1008", *SIM).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("200", "6041"), ("node-ID 200 is outside 1..127",)),
        (("0", "6041"), ("node-ID 0 is outside",)),
        (("x", "6041"), ("'x' is no node-ID",)),
        (("101", "Statuswrod"), ("'Statuswrod'", "close: 'Statusword'")),
        (("101", "604"), ("'604'", "expected an object such as 6041")),
        (("101", "6041:999"), ("'6041:999'",)),
        (("101",), ("OBJECT",)),
        ((), ("NODE",)),
        (("101", "6041", "--timeout", "0"), ("expected 1ms to 1h",)),
        (("101", "6041", "--timeout", "soon"), ("'soon' is no time",)),
        (("101", "6041", "--eds", "101=nofile.eds"), ("nofile.eds",)),
        (("101", "6041", "--json", "-o", "x"), ("choose one of --output and --json",)),
        (("101", "1018", "-o", "x"), ("--output takes one object",)),
        (("101", "1008", "1009", "-o", "x"), ("--output takes one object",)),
    ],
)
def test_a_wrong_call_of_read(run, arguments, words):
    refused(run("read", *arguments, *SIM), 2, *words)


@pytest.mark.parametrize(
    ("interface", "code", "words"),
    [
        ("", 2, ("no adapter named",)),  # an empty variable of a script must not end at the simulated motor
        ("foo:bar", 2, ("there is no adapter 'foo'", "such as socketcan:can0")),
        ("sim:stepim,stepim", 2, ("two devices with node-ID 101",)),
        ("sim:stepim=5,stepim=5", 2, ("two devices with node-ID 5",)),
        ("sim:stepim=500", 2, ("'500' is no node-ID",)),
        ("sim:nonsense", 2, ("no EDS named 'nonsense'",)),
        ("socketcand:127.0.0.1:1/sim", 3, ("is the server running",)),
        ("socketcan:nosuch0", 3, ("nosuch0",)),
    ],
)
def test_an_interface_that_cannot_be_used(run, interface, code, words):
    refused(run("read", "101", "6041", "-i", interface), code, *words)


def test_what_the_device_refuses_is_exit_code_4(run):
    refused(run("read", "101", "9999", *SIM), 4, "9999:00", "the object does not exist (abort 0602 0000)")
    refused(run("read", "101", "1018:09", *SIM), 4, "the subindex does not exist (abort 0609 0011)")


def test_silence_is_exit_code_4_with_a_cause(run):
    outcome = run("read", "5", "1000", "--timeout", "50ms", *SIM)
    refused(outcome, 4, "no answer within 0.05 s (2 attempts)", "Node 5 was never heard")
    assert len(outcome.err.splitlines()) == 3, "what happened, why, what to do"


def test_what_came_before_a_failure_is_shown(run):
    outcome = run("read", "101", "6041", "9999", *SIM)
    assert outcome.code == 4
    assert len(outcome.out.splitlines()) == 1


# --- read into a file ---


@pytest.mark.parametrize("block", [(), ("--block",)])
def test_read_into_a_file(run, tmp_path: Path, block):
    file = tmp_path / "name.bin"
    outcome = run("read", "101", "1008", "-o", str(file), *SIM, *block)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.strip() == f"{file}: 6 bytes of 1008:00 Manufacturer Device Name"
    assert file.read_bytes() == b"stepIM"
    assert run("read", "101", "1008", "-q", "-o", str(file), *SIM).err == ""


def test_a_failed_read_leaves_the_file_alone(run, tmp_path: Path):
    file = tmp_path / "keep.bin"
    file.write_bytes(b"precious")
    assert run("read", "101", "9999", "-o", str(file), *SIM).code == 4
    assert file.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["keep.bin"]


def test_a_file_that_cannot_be_written(run, tmp_path: Path):
    refused(run("read", "101", "1008", "-o", str(tmp_path / "no" / "x"), *SIM), 2, "no such file or directory")
    refused(run("read", "101", "1008", "-o", str(tmp_path), *SIM), 2, "is a directory")


# --- write ---


@pytest.mark.parametrize(
    ("wanted", "value", "raw", "said"),
    [
        ("6081", "5000", "88130000", "= 50 rpm"),
        ("6081", "50 rpm", "88130000", "= 50 rpm"),
        ("607A", "-5", "fbffffff", "-5 counts"),
        ("607A", "1.5 rev", "00180000", "= 1.5 rev"),
        ("6060", "profile position", "01", "profile position (pp)"),
        ("6060", "hm", "06", "homing (hm)"),
        ("Controlword", "0x6", "0600", "shutdown"),
        ("6040", "switch on+enable voltage", "0300", "0x0003"),
    ],
)
def test_write_takes_values_by_type(run, wanted, value, raw, said):
    rows = run("write", "101", wanted, value, *SIM)
    assert (rows.code, rows.err) == (0, "")
    assert said in rows.out
    line = json.loads(run("write", "101", wanted, value, "--json", "--verify", "-q", *SIM).out)
    assert (line["svc"], line["raw"]) == ("sdo.write", raw)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("6060", "9"), ("6060:00 Modes of Operation", "9 is above", "nothing was sent")),
        (("6041", "0"), ("read-only", "nothing was sent")),
        (("6081", "--", "-5"), ("-5 is outside 0..4294967295", "nothing was sent")),
        (("607A", "99999999999"), ("outside -2147483648..2147483647",)),
        (("607A", "abc"), ("'abc' is no INTEGER32", "counts or rev")),
        (("607A", "1.5 furlong"), ("'1.5 furlong'", "counts or rev")),
        (("607A", ""), ("'' is no INTEGER32",)),
        (("6060", "profile velocty"), ("'profile velocty'", "'profile velocity (pv)'")),
        (("6040", "switch on+nonsense"), ("'switch on'",)),
        (("9999", "5"), ("no dictionary tells the type", "u16:551")),
        (("9999", "u16:99999"), ("outside 0..65535",)),
        (("9999", "@missing.bin"), ("cannot read missing.bin",)),
        (("1018", "5"), ("1018 has members", "1018:01")),
        (("Controlwrd", "6"), ("close: 'Controlword'",)),
        (("6060", "3", "--frce"), ("--frce",)),
        (("6060", "--frce"), ("--frce",)),
        (("6060", "3", "4"), ("extra argument",)),
        (("6060",), ("VALUE",)),
    ],
)
def test_what_is_not_sent(run, arguments, words):
    refused(run("write", "101", *SIM, *arguments), 2, *words)


def test_force_leaves_it_to_the_device(run):
    refused(run("write", "101", "6060", "9", "--force", *SIM), 4, "value too high (abort 0609 0031)")
    refused(run("write", "101", "9999", "u16:5", *SIM), 4, "the object does not exist")


def test_verify_compares(run, monkeypatch):
    assert run("write", "101", "6081", "5000", "--verify", *SIM).err.strip() == "read back: the same"
    upload = Node.upload
    wrong = {0x6081: b"\x01\0\0\0"}
    monkeypatch.setattr(
        Node, "upload", lambda self, index, *rest, **more: wrong.get(index) or upload(self, index, *rest, **more)
    )
    outcome = run("write", "101", "6081", "5000", "--verify", "-q", *SIM)
    assert outcome.code == 1
    assert "was written as 88 13 00 00 and reads 01 00 00 00" in outcome.err


def test_write_a_file(run, tmp_path: Path):
    file = tmp_path / "two.bin"
    file.write_bytes(b"\x01\x02")
    refused(run("write", "101", "9999", f"@{file}", *SIM), 4, "the object does not exist")


def test_what_the_device_refuses_is_said_and_the_rest_is_read(run):
    outcome = run("read", "101", "7000", "1000", *SIM)
    assert outcome.code == 4
    assert "1000:00 Device Type" in outcome.out
    assert "cannot read 7000:00 of node 101: refused by the device" in outcome.err


def test_a_write_to_a_silent_node_says_that_nothing_was_written(run):
    outcome = run("write", "7", "6040", "6", *SIM)
    assert (outcome.code, outcome.out) == (4, "")
    assert "Nothing was written" in outcome.err
    assert "cannot write 6040:00 of node 7: no answer" in outcome.err


def test_saving_parameters_may_take_its_time(run):
    outcome = run("write", "101", "1010:1", "save", *SIM)
    assert outcome.code == 0
    assert 'signature "save"' in outcome.out
