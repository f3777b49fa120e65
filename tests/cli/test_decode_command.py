"""`opendiag decode`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

BOOT = """\
(1700000000.000000) can0 705#00
(1700000000.100000) can0 605#4018100100000000
(1700000000.101000) can0 585#43181001E1020000
(1700000000.200000) can0 605#4018100200000000
(1700000000.201000) can0 585#43181002A5A50000
(1700000001.000000) can0 705#7F
(1700000002.000000) can0 705#7F
(1700000003.000000) can1 085#2031040000000000
"""


def rows(text: str) -> list[list[str]]:
    """Cells of each row, the heading left out."""
    return [line.split() for line in text.splitlines()[1:]]


def test_the_capture_with_the_eds(run, capture):
    outcome = run("decode", capture, "--eds", "101=stepim")
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert lines[1].split() == ["1", "101", "TPDO4", "60FA:00", "Control", "Effort", "5872"]
    assert lines[2].endswith("6078:00 Current Actual Value              219 mA")
    assert "6192612 counts  = 1511.868164 rev (4096 counts per rev)" in lines[3]
    for line in lines[4:6]:
        assert "0x0227" in line
        assert "OPERATION ENABLED; ready to switch on, switched on, operation enabled, quick stop" in line
        assert "remote" in line
    assert lines[6].split()[:4] == ["10", "101", "SDO", "read"]
    assert lines[6].endswith("-               no answer before the capture ends")
    assert len(lines) == 7


def test_the_capture_without_an_eds_says_what_would_tell_more(run, capture):
    outcome = run("decode", capture)
    assert "mapping unknown                           F0 16 00 00     (as i32: 5872)" in outcome.out
    assert "6078:00 Current actual value" in outcome.out
    assert "21.9 % of rated current" in outcome.out
    assert "No EDS: names from built-in CiA 301/402." in outcome.err
    assert "1A03h, its mapping, is not read or written in this capture; give --eds 101=FILE." in outcome.err


def test_quiet_leaves_the_data(run, capture):
    outcome = run("decode", capture, "-q")
    assert outcome.err == ""
    assert len(outcome.out.splitlines()) == 7


def test_json_lines_are_whole_records(run, capture):
    outcome = run("decode", capture, "--eds", "101=stepim", "--json")
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert [record["frames"] for record in records] == [[1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    current = records[1]
    assert (current["index"], current["value"], current["unit"], current["raw"]) == (0x6078, 219, "mA", "db00")
    assert current["names_from"] == "eds:stepim"
    assert "value" not in records[5]
    assert records[5]["status"] == "unanswered"


def test_csv_has_the_same_records(run, capture):
    outcome = run("decode", capture, "--csv")
    table = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [line["svc"] for line in table] == ["tpdo", *["sdo.read"] * 5]
    assert table[1]["value"] == "219"
    assert table[5]["value"] == ""


def test_parquet_has_the_same_records(run, capture, tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install '.[columns]'")
    target = tmp_path / "out.parquet"
    assert run("decode", capture, "--parquet", str(target)).code == 0
    table = parquet.read_table(target).to_pylist()
    assert [line["number_value"] for line in table] == [None, 219.0, 6192612.0, 551.0, 551.0, None]


def test_filters(run, tmp_path: Path, capture):
    log = tmp_path / "boot.log"
    log.write_text(BOOT)
    assert len(rows(run("decode", str(log)).out)) == 6
    assert len(rows(run("decode", str(log), "--only", "sdo").out)) == 2
    assert len(rows(run("decode", str(log), "--only", "hb,emcy").out)) == 4
    assert len(rows(run("decode", str(log), "--node", "5").out)) == 6
    assert rows(run("decode", str(log), "--node", "6").out) == []
    assert len(rows(run("decode", str(log), "--object", "1018:02").out)) == 1
    assert len(rows(run("decode", str(log), "--object", "1018").out)) == 2
    assert len(rows(run("decode", str(log), "--from", "0.15", "--to", "1.5").out)) == 2
    assert len(rows(run("decode", capture, "--object", "6041", "--changes").out)) == 1


def test_time_starts_at_the_first_frame_and_the_summary_has_the_date(run, tmp_path: Path):
    log = tmp_path / "boot.log"
    log.write_text(BOOT)
    outcome = run("decode", str(log))
    assert rows(outcome.out)[-1][:3] == ["8", "3.000000", "can1/5"]
    assert "3.000000 s from 2023-11-14 22:13:20.000+00:00" in outcome.err
    assert "can0, can1" in outcome.err


def test_a_directory_of_eds_files_is_searched_by_identity(run, tmp_path: Path):
    log = tmp_path / "boot.log"
    log.write_text(BOOT + "(1700000004.000000) can0 485#F0160000\n")
    outcome = run("decode", str(log))  # 1018h says that node 5 is a StepIM, and its EDS is bundled
    assert "60FA:00 Control Effort" in outcome.out
    other = tmp_path / "eds"
    other.mkdir()
    text = (Path(__file__).resolve().parents[2] / "eds" / "stepim.eds").read_text(encoding="utf-8")
    (other / "mine.eds").write_text(text.replace("Control Effort", "Effort of mine"), encoding="utf-8")
    assert "60FA:00 Effort of mine" in run("decode", str(log), "--eds-dir", str(other)).out


def test_frames_has_one_line_each(run, capture):
    lines = run("decode", capture, "--frames").out.splitlines()
    assert len(lines) == 10
    assert lines[2].startswith("3       5E5   [8]  4B 78 60 00 DB 00 00 00")
    assert "is 219 = 21.9 % of rated current" in lines[2]


def test_standard_input_with_prose_around(run, capture):
    pasted = "Hello,\n$ candump can0\n" + Path(capture).read_text() + "what does this mean?\n"
    for arguments in (("decode", "-"), ("decode",)):
        outcome = run(*arguments, stdin=pasted)
        assert outcome.code == 0
        assert len(rows(outcome.out)) == 6
        assert "log-unreadable-line: no CAN frame in 3 lines (1, 2, 13)" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-file.log"], "cannot read no-such-file.log: no such file or directory"),
        (["."], "cannot read .: is a directory"),
        (["CAPTURE", "--eds", "200=stepim"], "node-ID 200 is outside 1..127"),
        (["CAPTURE", "--eds", "x=stepim"], "'x' is no node-ID: expected a number from 1 to 127"),
        (["CAPTURE", "--node", "0"], "node-ID 0 is outside 1..127"),
        (["CAPTURE", "--eds", "101=stepin"], "no EDS named 'stepin'"),
        (["CAPTURE", "--eds", "101=CAPTURE"], "not an EDS"),
        (["CAPTURE", "--eds-dir", "no-such-dir"], "no-such-dir"),
        (["CAPTURE", "--only", "sod"], "--only does not know 'sod'"),
        (["CAPTURE", "--object", "xyz"], "'xyz' is no object"),
        (["CAPTURE", "--json", "--csv"], "choose one of"),
        (
            ["CAPTURE", "--parquet", "no-such-dir/x.parquet"],
            "--parquet no-such-dir/x.parquet: there is no directory no-such-dir",
        ),
        (["README"], "no CAN frame in"),
        (["--nonsense"], "No such option"),
    ],
)
def test_every_mistake_gives_one_sentence_and_exit_code_2(run, capture, tmp_path: Path, arguments, sentence):
    readme = tmp_path / "readme.md"
    readme.write_text("# Prose\nand nothing else\n")
    names = {"CAPTURE": capture, "README": str(readme), "101=CAPTURE": f"101={capture}"}
    outcome = run("decode", *[names.get(argument, argument) for argument in arguments])
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert outcome.out == ""


def test_a_file_that_is_not_text(run, tmp_path: Path):
    binary = tmp_path / "x.blf"
    binary.write_bytes(b"LOGG\0\0\1\2" * 100)
    outcome = run("decode", str(binary))
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not text" in outcome.err


def test_two_dictionaries_for_everybody_are_refused(run, capture):
    outcome = run("decode", capture, "--eds", "stepim", "--eds", "stepim")
    assert outcome.code == 2
    assert "both for all nodes" in outcome.err


def test_an_eds_for_everybody(run, capture):
    assert "60FA:00 Control Effort" in run("decode", capture, "--eds", "stepim").out
