"""`opendiag record`: files of every format, triggers, and what happens when it ends early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import can
import pytest

from opendiag.errors import AdapterClosed
from opendiag.frame import Frame
from opendiag.master.streams import FrameStream

BUS = ("-i", "virtual:record")


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.fixture
def traffic():
    """A heartbeat of node 5 every few milliseconds, and an EMCY after every tenth."""
    with can.Bus("record", interface="virtual") as bus:
        ended = threading.Event()

        def send() -> None:
            count = 0
            while not ended.wait(0.003):
                bus.send(can.Message(arbitration_id=0x705, data=b"\x05", is_extended_id=False))
                count += 1
                if count % 10 == 0:
                    data = bytes.fromhex("1043810000000000")
                    bus.send(can.Message(arbitration_id=0x85, data=data, is_extended_id=False))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield
        ended.set()
        thread.join(5)


def frames(file: Path) -> list[str]:
    return file.read_text().splitlines()


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("suffix", [".log", ".log.gz"])
def test_a_recording_is_read_by_decode(run, tmp_path: Path, suffix):
    file = tmp_path / f"a{suffix}"
    outcome = run("record", str(file), *BUS, "--count", "7")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith(f"{file}: candump log") and outcome.err.strip().endswith(", 7 frames.")
    decoded = run("decode", str(file))
    assert decoded.code == 0
    assert len(decoded.out.splitlines()) == 8
    assert ", 7 frames, " in decoded.err


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("suffix", [".asc", ".blf", ".csv", ".trc"])
def test_formats_of_python_can(run, tmp_path: Path, suffix):
    file = tmp_path / f"a{suffix}"
    outcome = run("record", str(file), *BUS, "--count", "7")
    assert (outcome.code, outcome.out) == (0, "")
    assert "7 frames." in outcome.err
    with can.LogReader(str(file)) as reader:
        assert next(iter(reader)).arbitration_id in (0x705, 0x85)


@pytest.mark.usefixtures("traffic")
def test_a_file_is_overwritten_only_when_told(run, tmp_path: Path):
    file = tmp_path / "a.log"
    file.write_text("precious")
    outcome = run("record", str(file), *BUS, "--count", "1")
    assert outcome.code == 2
    assert "is there already and was left as it is" in outcome.err
    assert file.read_text() == "precious"
    assert run("record", str(file), *BUS, "--count", "1", "--force", "-q").err == ""
    assert "705#05" in file.read_text() or "085#" in file.read_text()


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("no/a.log", (), ("cannot write", "no such file or directory")),
        ("a.xyz", (), ("'.xyz'", ".log, .log.gz")),
        ("a.log", ("--trigger", "state=FAULT"), ("write == to compare", "^ here")),
        ("a.log", ("--trigger", "nonsense==1"), ("'nonsense' is unknown",)),
        ("a.log", ("--trigger", ""), ("trigger",)),
        ("a.log", ("--trigger", "state==FAULTT"), ("trigger",)),
        ("a.log", ("--pre", "5"), ("belong to --trigger",)),
        ("a.log", ("--once",), ("belong to --trigger",)),
        ("a.log", ("--trigger", "emcy", "--pre", "x"), ("'x' is no time",)),
        ("a.log", ("--for", "10 parsecs"), ("'10 parsecs' is no time",)),
        ("a.log", ("--for", "-1s"), ("'-1s' is no time",)),
        ("a.log", ("--count", "0"), ("--count",)),
    ],
)
def test_a_wrong_call_writes_no_file(run, tmp_path: Path, name, arguments, words):
    outcome = run("record", str(tmp_path / name), *BUS, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    for word in words:
        assert word in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traffic")
def test_only_the_frames_around_the_trigger(run, tmp_path: Path):
    file = tmp_path / "emcy.log"
    outcome = run("record", str(file), *BUS, "--trigger", "emcy", "--pre", "10ms", "--post", "0", "--count", "60")
    assert outcome.code == 0
    lines = frames(file)
    assert 0 < len(lines) < 60
    assert f"{len(lines)} frames of 60 on the bus; the trigger fired" in outcome.err
    assert "085#" in lines[-1], "nothing after the last one"
    assert any("705#" in line for line in lines), "and something before it"


@pytest.mark.usefixtures("traffic")
def test_once_ends_after_the_first_trigger(run, tmp_path: Path):
    file = tmp_path / "once.log"
    began = time.monotonic()
    outcome = run("record", str(file), *BUS, "--trigger", "emcy", "--post", "20ms", "--once")
    assert outcome.code == 0
    assert time.monotonic() - began < 5
    assert "the trigger fired 1 time." in outcome.err
    assert sum("085#" in line for line in frames(file)) == 1


@pytest.mark.usefixtures("traffic")
def test_frames_before_the_trigger_stay_when_the_clock_was_set(run, tmp_path: Path, monkeypatch):
    """The kernel's times follow the clock of the computer; a silent bus must not make them an hour old."""
    hour_ns = 3_600_000_000_000
    made = [Frame(0x705, b"\x05", time_ns=time.time_ns() + hour_ns + place * 10**8) for place in range(5)]
    made.append(Frame(0x85, bytes.fromhex("1043810000000000"), time_ns=made[-1].time_ns + 10**8))
    stream = iter([item for frame in made for item in (frame, None)])
    monkeypatch.setattr(FrameStream, "get", lambda self, timeout_s=None: next(stream))
    file = tmp_path / "hour.log"
    outcome = run("record", str(file), *BUS, "--trigger", "emcy", "--pre", "10s", "--post", "0", "--count", "6")
    assert (outcome.code, len(frames(file))) == (0, 6)


def test_a_trigger_that_never_fires_leaves_an_older_file_as_it_was(run, tmp_path: Path):
    file = tmp_path / "n.log"
    for force in ((), ("--force",)):
        outcome = run("record", str(file), *BUS, "--trigger", "node==9", "--for", "50ms", *force)
        assert outcome.code == 0
        assert "n.log was not written: the trigger never fired (" in outcome.err
        assert file.exists() is bool(force)
        file.write_text("(1.0) can0 123#01\n")
    assert file.read_text() == "(1.0) can0 123#01\n"


def test_a_silent_bus_ends_in_time(run, tmp_path: Path):
    outcome = run("record", str(tmp_path / "s.log"), "-i", "virtual:nobody", "--for", "50ms")
    assert outcome.code == 0
    assert outcome.err.strip().endswith("candump log, 0 frames.")


@pytest.mark.usefixtures("traffic")
def test_an_adapter_that_goes_away_leaves_what_was_recorded(run, tmp_path: Path, monkeypatch):
    left = iter(range(6))
    get = FrameStream.get

    def until_unplugged(self, timeout_s=None):
        if next(left, None) is None:
            raise AdapterClosed("virtual:record", "unplugged")
        return get(self, timeout_s)

    monkeypatch.setattr(FrameStream, "get", until_unplugged)
    file = tmp_path / "gone.log"
    outcome = run("record", str(file), *BUS)
    assert outcome.code == 3
    assert outcome.err.splitlines() == [f"{file}: candump log, 6 frames.", "opendiag: virtual:record: unplugged"]
    assert len(frames(file)) == 6


@pytest.mark.usefixtures("traffic")
def test_lost_frames_are_said_and_are_exit_code_1(run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("opendiag.master.streams.BACKLOG", 0)
    outcome = run("record", str(tmp_path / "l.log"), *BUS, "--for", "100ms", "-q")
    assert outcome.code == 1
    assert "frames came faster than they could be taken" in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_it_with_its_summary(tmp_path: Path):
    file = tmp_path / "c.log"
    with subprocess.Popen(
        [sys.executable, "-m", "opendiag", "record", str(file), "-i", "sim:stepim"],
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "OPENDIAG_INTERFACE"},
    ) as process:
        try:
            until = time.monotonic() + 8
            # A heartbeat comes after 2 s, and is flushed within another one.
            while not (file.exists() and file.stat().st_size) and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, notes = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == 0
    assert notes.startswith(f"{file}: candump log, ")
    assert "765#7F" in file.read_text()
