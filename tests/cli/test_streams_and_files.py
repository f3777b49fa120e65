"""What happens around the data: live streams, Ctrl-C, full disks, files that must survive, several channels."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BEAT = "(1700000000.000000) can0 705#05\n"
#: Without it the interpreter of a test run may be unbuffered, and nothing here would be shown.
BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "opendiag", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=BUFFERED,
    )


@posix
@pytest.mark.parametrize(
    ("arguments", "lines"),
    [(["decode", "-"], 2), (["decode", "-", "--csv"], 2), (["decode", "-", "--json"], 1), (["explain", "-"], 4)],
)
def test_a_stream_is_shown_while_it_runs_and_ctrl_c_ends_it(arguments, lines):
    with start(*arguments) as process:
        process.stdin.write(BEAT)
        process.stdin.flush()
        shown = [process.stdout.readline() for _ in range(lines)]  # hangs when nothing is shown before the end
        assert "OPERATIONAL" in "".join(shown)
        if arguments[0] == "decode":
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "standard input: candump log, 0.000000 s" in process.stderr.read()
        else:
            process.kill()


@posix
def test_ctrl_c_ends_a_live_list_of_nodes():
    with start("nodes", "-") as process:
        process.stdin.write(BEAT * 10_000)  # more than a pipe holds: once it is written, somebody is reading
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "705 heartbeat" in process.stdout.read()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments",
    [["explain", "705#05"], ["nodes", "CAPTURE"], ["eds", "show", "stepim"], ["decode", "CAPTURE"], ["--help"]],
)
def test_a_full_disk_is_one_sentence(arguments, capture):
    command = [capture if argument == "CAPTURE" else argument for argument in arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opendiag", *command], stdout=full, stderr=subprocess.PIPE, text=True, env=BUFFERED
        )
    assert done.returncode == 2
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr


def test_a_parquet_file_never_takes_the_place_of_its_capture(run, capture, tmp_path: Path):
    log = tmp_path / "field.log"
    shutil.copy(capture, log)
    before = log.read_bytes()
    outcome = run("decode", str(log), "--parquet", str(log))
    assert outcome.code == 2
    assert "would overwrite the capture" in outcome.err
    assert log.read_bytes() == before


def test_a_failed_decode_leaves_an_older_parquet_file_alone(run, tmp_path: Path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[columns]'")
    old, prose = tmp_path / "old.parquet", tmp_path / "prose.txt"
    old.write_bytes(b"precious")
    prose.write_text("no frame here\n")
    assert run("decode", str(prose), "--parquet", str(old)).code == 2
    assert old.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.parquet", "prose.txt"]


@pytest.mark.parametrize("stamp", ["", "(1700000000.000000) "])
def test_channels_are_told_apart_with_and_without_times(run, tmp_path: Path, stamp):
    log = tmp_path / "two.log"
    log.write_text("".join(f"{stamp}{channel} 705#05\n" for channel in ("can0", "can1", "can0")))
    rows = run("decode", str(log)).out.splitlines()[1:]
    assert ["can1/5" in row for row in rows] == [False, True, False]
    lines = run("decode", str(log), "--frames").out.splitlines()
    assert ["can1" in line for line in lines] == [False, True, False]


def test_frames_obeys_the_filters_and_tells_the_truth(run, capture, tmp_path: Path):
    outcome = run("decode", capture, "--frames")
    assert "may not be a CANopen bus" not in outcome.err
    assert "TPDO4 of node 101: 1A03h" in outcome.err
    assert len(run("decode", capture, "--frames", "--only", "pdo").out.splitlines()) == 1
    assert run("decode", capture, "--frames", "--node", "5").out == ""
    refused = run("decode", capture, "--frames", "--object", "6041")
    assert (refused.code, refused.out) == (2, "")
    log = tmp_path / "t.log"
    log.write_text("".join(f"(170000000{i}.000000) can0 705#05\n" for i in range(5)))
    assert len(run("decode", str(log), "--frames", "--from", "0.5", "--to", "2.5").out.splitlines()) == 2


def test_a_filter_that_shows_nothing_says_so(run, capture):
    outcome = run("decode", capture, "--node", "55")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Nothing passes the filter." in outcome.err
    assert "TPDO4" not in outcome.err
    assert "--from and --to changed nothing" in run("decode", capture, "--from", "1").err


def test_a_command_to_all_nodes_belongs_to_each(run, tmp_path: Path):
    log = tmp_path / "reset.log"
    log.write_text("can0 000#8100\ncan0 705#00\ncan0 706#00\n")
    rows = run("decode", str(log), "--node", "5").out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["1", "2"]


def test_an_eds_found_by_identity_is_named(run, tmp_path: Path):
    log = tmp_path / "identity.log"
    log.write_text(
        "can0 605#4018100100000000\ncan0 585#43181001E1020000\ncan0 605#4018100200000000\ncan0 585#43181002A5A50000\n"
    )
    assert "EDS: node 5 stepim (by its identity)." in run("decode", str(log)).err


def test_a_damaged_archive_shows_what_is_there_and_exits_with_1(run, tmp_path: Path):
    whole = gzip.compress("".join(f"(170000{i:04}.000000) can0 705#05\n" for i in range(5000)).encode())
    damaged = tmp_path / "cut.log.gz"
    damaged.write_bytes(whole[: len(whole) // 2])
    outcome = run("decode", str(damaged))
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) > 10
    assert "log-damaged" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "nan"], "is no time"),
        (["--to", "inf"], "is no time"),
        (["--only", ""], "--only names no service"),
        (["--eds", ""], "names no file"),
        (["--eds", "101="], "names no file"),
        (["--eds", "101=stepim", "--eds", "101=stepim"], "are both for node 101"),
    ],
)
def test_more_mistakes(run, capture, arguments, sentence):
    outcome = run("decode", capture, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_an_empty_file_name(run):
    assert "the file name is empty" in run("decode", "").err


def test_numbers_as_people_write_them(run, capture):
    assert len(run("decode", capture, "--node", "0101", "-q").out.splitlines()) == 7
    assert len(run("decode", capture, "--node", "0x65", "-q").out.splitlines()) == 7
    assert len(run("decode", capture, "--object", "6041h", "-q").out.splitlines()) == 3
    assert "Statusword" in run("eds", "show", "stepim", "6041h").out


def test_a_time_stamp_beyond_the_calendar(run, tmp_path: Path):
    log = tmp_path / "far.log"
    log.write_text("(999999999999.500000) can0 705#05\n")
    outcome = run("decode", str(log))
    assert outcome.code == 0
    assert "0.000000 s, 1 frame" in outcome.err


def test_nodes_are_never_cut(run, capture, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("nodes", capture).out.splitlines()
    assert "none seen" in lines[1] and lines[1].split()[0] == "101"


def test_a_file_of_the_users_is_never_used_as_a_temporary_one(run, capture, tmp_path: Path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[columns]'")
    neighbour = tmp_path / "x.part"
    shutil.copy(capture, neighbour)
    link, real = tmp_path / "link", tmp_path / "x"
    link.symlink_to(real)
    assert run("decode", str(neighbour), "--parquet", str(link)).code == 0
    assert neighbour.read_bytes() == Path(capture).read_bytes()
    assert link.is_symlink() and real.read_bytes()[:4] == b"PAR1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "x", "x.part"]


@pytest.mark.parametrize("target", [".", "", "/", "/dev/null"])
def test_a_parquet_target_that_is_no_file(run, capture, target):
    outcome = run("decode", capture, "--parquet", target)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is no file" in outcome.err


@posix
def test_the_capture_on_standard_input_is_not_overwritten_either(capture, tmp_path: Path):
    log = tmp_path / "c.log"
    shutil.copy(capture, log)
    with log.open() as given:
        done = subprocess.run(
            [sys.executable, "-m", "opendiag", "decode", "--parquet", str(log)],
            stdin=given,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert "would overwrite the capture" in done.stderr
    assert log.read_bytes() == Path(capture).read_bytes()


def test_frames_that_are_shown_passed_the_filter(run, capture, tmp_path: Path):
    outcome = run("decode", capture, "--frames", "--only", "sdo")
    assert len(outcome.out.splitlines()) == 9
    assert "Nothing passes" not in outcome.err
    log = tmp_path / "nmt.log"
    log.write_text("can0 000#0106\ncan0 000#0100\ncan0 705#00\n")
    for options in (["--node", "5"], ["--node", "5", "--only", "nmt"]):
        numbers = [row.split()[0] for row in run("decode", str(log), *options).out.splitlines()[1:]]
        assert numbers == [line.split()[0] for line in run("decode", str(log), *options, "--frames").out.splitlines()]
        assert numbers == ["2", "3"]


def test_an_end_alone_is_no_beginning(run, tmp_path: Path):
    log = tmp_path / "back.log"
    log.write_text("".join(f"(17000000{s}.000000) can0 705#0{n}\n" for s, n in ((52, 5), (50, 4), (99, 5))))
    assert len(run("decode", str(log), "--to", "10").out.splitlines()) == 3


def test_an_eds_that_does_not_tell_the_mapping(run, tmp_path: Path):
    eds, log = tmp_path / "odd.eds", tmp_path / "x.log"
    eds.write_text(
        "[DeviceInfo]\n[1000]\nParameterName=Device type\nObjectType=7\nDataType=7\nAccessType=ro\nbad line\n"
    )
    log.write_text("can0 185#01\n")
    err = run("decode", str(log), "--eds", f"5={eds}").err
    assert "and the EDS does not tell it either." in err
    assert "has oddities: opendiag eds show" in err


def test_eds_show_of_words_and_wide_numbers(run, tmp_path: Path):
    eds = tmp_path / "wide.eds"
    body = "[{0:04X}]\nParameterName={1}\nObjectType=7\nDataType={2}\nAccessType=rw\nDefaultValue={3}\n"
    eds.write_text(
        body.format(0x2000, "Feed rate", "0x1B", "0x1234567890ABCDEF") + body.format(0x2001, "Low", "0x10", "-100000")
    )
    assert "2000:00  Feed rate" in run("eds", "show", str(eds), "feed").out
    assert "1311768467294899695 (0x1234567890ABCDEF)" in run("eds", "show", str(eds), "2000").out
    assert "-100000 (0xFE7960)" in run("eds", "show", str(eds), "2001").out


def test_eds_show_tells_what_a_dcf_sets(run, tmp_path: Path):
    dcf = tmp_path / "axis.dcf"
    dcf.write_text(
        "[2000]\nParameterName=Speed\nObjectType=7\nDataType=7\nAccessType=rw\nDefaultValue=1\nParameterValue=77\n"
    )
    lines = run("eds", "show", str(dcf)).out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("object  ", "2000"))] == ["to", "77"]


def test_the_hint_says_what_of_a_mapping_is_missing(run, tmp_path: Path):
    log = tmp_path / "half.log"
    log.write_text("can0 605#40001A0000000000\ncan0 585#4F001A0002000000\ncan0 185#0102\n")
    err = run("decode", str(log)).err
    assert "TPDO1 of node 5: 1A00h, its mapping, has 2 entries, and number 1 is not known; give --eds 5=FILE." in err
    assert "not read or written" not in err
