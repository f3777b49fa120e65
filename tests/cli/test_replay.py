"""`opendiag replay`: which frames of a capture go out, when, and what is said about the rest."""

from __future__ import annotations

import io
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cli.replay import Choice, NoTimes, Pass
from opendiag.errors import AdapterClosed, SendFailed
from opendiag.frame import Frame
from opendiag.logs import format_log_line
from opendiag.master.network import Network

SIM = ("-i", "sim:stepim")
LOG = """\
(1000.000000) can0 123#01
(1000.020000) can1 080#
(1000.030000) can0 20000004#0000000000000000
(1000.050000) can0 123#02
"""


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.fixture
def log(tmp_path: Path) -> str:
    file = tmp_path / "field.log"
    file.write_text(LOG)
    return str(file)


def sent(outcome):
    """ "123#01" of each raw line."""
    return [re.sub(r"\s+", " ", line.strip()).split(" ", 1)[1] for line in outcome.out.splitlines()]


# --- what and when


def frame(ms, can_id=0x123, **more):
    return Frame(can_id, b"", time_ns=None if ms is None else ms * 10**6, **more)


def moments(choice, frames):
    return [round(at * 1000, 6) for at, _ in Pass(choice).timed(frames)]


def test_the_times_are_those_of_the_capture():
    frames = [frame(1000), frame(1020), frame(1050)]
    assert moments(Choice(), frames) == [0, 20, 50]
    assert moments(Choice(speed=2), frames) == [0, 10, 25]
    assert moments(Choice(gap_s=0.005), frames) == [0, 5, 10]
    assert moments(Choice(max_gap_s=0.02), frames) == [0, 20, 40]


def test_a_clock_that_was_set_back_costs_no_time_and_no_frame():
    assert moments(Choice(), [frame(1000), frame(1020), frame(0), frame(10)]) == [0, 20, 20, 30]


def test_a_capture_without_times_is_refused_unless_a_gap_is_given():
    with pytest.raises(NoTimes):
        list(Pass(Choice()).timed([frame(None)]))
    assert moments(Choice(gap_s=0.01), [frame(None), frame(None)]) == [0, 10]


def test_error_frames_are_counted_and_left_out():
    seen = Pass(Choice())
    frames = [frame(0, channel="can0", direction="rx"), frame(1, error=True), frame(2, channel="can1")]
    made = [made for _, made in seen.timed(frames)]
    assert made == [Frame(0x123), Frame(0x123)], "without time, channel and direction"
    assert (seen.frames, seen.errors, seen.channels) == (2, 1, ["can0", "can1"])


def test_identifiers_are_mapped_with_their_kind():
    ids = {(False, 0x123): (True, 0x12345678)}
    seen = Pass(Choice(ids=ids))
    made = [made for _, made in seen.timed([frame(0), frame(1, extended=True)])]
    assert [(made.can_id, made.extended) for made in made] == [(0x12345678, True), (0x123, True)]


@given(st.lists(st.integers(-(10**12), 10**12)), st.floats(0.01, 100), st.one_of(st.none(), st.floats(0, 5)))
def test_times_never_go_back(times, speed, max_gap_s):
    choice = Choice(speed=speed, max_gap_s=max_gap_s)
    made = [at for at, _ in Pass(choice).timed([Frame(1, time_ns=ns) for ns in times])]
    assert made == sorted(made)
    assert len(made) == len(times)


# --- the command


def test_it_says_what_it_will_send_and_sends_it(run, log):
    began = time.monotonic()
    outcome = run("replay", log, "-v", *SIM)
    assert (outcome.code, sent(outcome)) == (0, ["123 [1] 01", "080 [0]", "123 [1] 02"])
    assert time.monotonic() - began >= 0.05
    first, last = outcome.err.splitlines()
    assert first == (
        f"{log}: 3 frames of 2 identifiers in 0.050 s of the channels can0, can1, all to one bus "
        "(--only-channel takes one); 1 error frame left out."
    )
    assert re.fullmatch(r"sim:stepim: 3 of 3 sent in 0\.0\d\d s; 1 error frame left out\.", last)


def test_a_dry_run_sends_nothing(run, log, monkeypatch):
    monkeypatch.setattr(Network, "send", None)
    outcome = run("replay", log, "--dry-run")
    assert (outcome.code, outcome.out) == (0, "")
    assert "3 frames of 2 identifiers" in outcome.err


def test_what_was_recorded_comes_out_again_with_its_timing(run, log):
    """Through python-can's virtual bus, where somebody else listens."""
    heard: list[tuple[float, int]] = []
    with can.Bus("replay", interface="virtual") as bus:
        ready = threading.Event()

        def listen() -> None:
            ready.set()
            while (message := bus.recv(2)) is not None and len(heard) < 3:
                heard.append((time.monotonic(), message.arbitration_id))
                if len(heard) == 3:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        ready.wait(5)
        assert run("replay", log, "-i", "virtual:replay", "-q").code == 0
        thread.join(5)
    assert [can_id for _, can_id in heard] == [0x123, 0x080, 0x123]
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(heard)]
    assert gaps == pytest.approx([0.02, 0.03], abs=0.015)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--only-channel", "can0"), ["123 [1] 01", "123 [1] 02"]),
        (("--filter", "080:7FF"), ["080 [0]"]),
        (("--map", "123=124"), ["124 [1] 01", "080 [0]", "124 [1] 02"]),
        (("--map", "123=00000124", "--filter", "123:7FF"), ["00000124 [1] 01", "00000124 [1] 02"]),
        (("--loop", "2", "--only-channel", "can1"), ["080 [0]", "080 [0]"]),
    ],
)
def test_what_is_chosen(run, log, options, expected):
    outcome = run("replay", log, "-v", "-q", *options, *SIM)
    assert (outcome.code, sent(outcome)) == (0, expected)


def test_a_capture_without_times(run, capture):
    outcome = run("replay", capture, *SIM)
    assert (outcome.code, outcome.out) == (2, "")
    assert "does not say when its frames came: --gap 10ms" in outcome.err
    outcome = run("replay", capture, "--gap", "1ms", "-v", "-q", *SIM)
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 10)


def test_a_dry_run_tells_of_standard_input_too(run):
    outcome = run("replay", "-", "--dry-run", stdin=LOG)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("standard input: 3 frames of 2 identifiers in 0.050 s")


def test_without_end_and_without_time_is_refused(run, tmp_path):
    """It would fill the bus with one frame."""
    file = tmp_path / "one.log"
    file.write_text("(1.000000) can0 123#01\n")
    outcome = run("replay", str(file), "--loop", "0", *SIM)
    assert outcome.code == 2
    assert "--gap 10ms says how fast --loop 0 goes" in outcome.err


def test_without_a_gap_nothing_is_late(run, log, monkeypatch):
    send = Network.send

    def slow(self, frame):
        time.sleep(0.15)
        send(self, frame)

    monkeypatch.setattr(Network, "send", slow)
    assert " late" not in run("replay", log, "--gap", "0", *SIM).err


def test_standard_input(run):
    outcome = run("replay", "-", "-v", *SIM, stdin=LOG)
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 3)
    assert run("replay", "-", "--loop", "2", *SIM, stdin=LOG).code == 2


def test_lines_that_are_no_frames_are_left_out_and_said(run, tmp_path):
    file = tmp_path / "x.log"
    file.write_text(LOG + "3  101  SDO read  6041:00 Statusword\n")
    outcome = run("replay", str(file), "-q", *SIM)
    assert outcome.code == 0
    assert "log-unreadable-line" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("nothing.log",), 2, "cannot read nothing.log"),
        (("LOG", "--filter", "7AA:7FF"), 2, "there is nothing to send"),
        (("LOG", "--speed", "0"), 2, "--speed"),
        (("LOG", "--map", "123"), 2, "expected OLD=NEW"),
        (("LOG", "--map", "123=900"), 2, "up to 7FF"),
        (("LOG", "--gap", "x"), 2, "'x' is no time"),
    ],
)
def test_wrong_calls(run, log, arguments, code, word):
    outcome = run("replay", *(log if part == "LOG" else part for part in arguments), *SIM)
    assert (outcome.code, outcome.out) == (code, "")
    assert word in outcome.err


# --- when it does not go well


def test_frames_that_the_bus_cannot_carry_are_counted_and_the_rest_is_sent(run, tmp_path):
    file = tmp_path / "fd.log"
    file.write_text("(1.0) can0 123##1112233\n(1.001) can0 123#01\n(1.002) can0 123##0\n".replace(".0)", ".000000)"))
    outcome = run("replay", str(file), "--gap", "0", "-v", *SIM)
    assert (outcome.code, sent(outcome)) == (3, ["123 [1] 01"])
    assert "1 of 3 sent" in outcome.err
    assert "2 frames not sent: the simulated bus has no CAN FD" in outcome.err


def refuse(monkeypatch, error, after=1, times=10**9):
    calls = {"sent": 0, "left": times}
    send = Network.send

    def failing(self, frame):
        if calls["sent"] >= after and calls["left"]:
            calls["left"] -= 1
            raise error() from OSError(105, "No buffer space available")
        calls["sent"] += 1
        send(self, frame)

    monkeypatch.setattr(Network, "send", failing)


def test_a_full_queue_is_waited_for_and_shifts_what_follows(run, log, monkeypatch):
    refuse(monkeypatch, lambda: SendFailed("sim", "transmit queue full"), times=30)
    outcome = run("replay", log, "-v", *SIM)
    assert (outcome.code, len(sent(outcome))) == (0, 3)


def test_a_queue_that_stays_full_ends_it(run, log, monkeypatch):
    refuse(monkeypatch, lambda: SendFailed("sim", "transmit queue full"))
    outcome = run("replay", log, "-v", "--wait", "30ms", *SIM)
    assert (outcome.code, len(sent(outcome))) == (3, 1)
    assert "1 of 3 sent" in outcome.err
    assert "stayed full: transmit queue full" in outcome.err


def test_an_adapter_that_is_unplugged_is_an_error_after_what_was_sent(run, log, monkeypatch):
    refuse(monkeypatch, lambda: AdapterClosed("sim", "unplugged"))
    outcome = run("replay", log, "-v", *SIM)
    assert (outcome.code, len(sent(outcome))) == (3, 1)
    assert "1 of 3 sent" in outcome.err
    assert outcome.err.splitlines()[-1] == "opendiag: sim: unplugged"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("loop", "code"), [("1", 130), ("0", 0)])
def test_ctrl_c_ends_it_with_its_summary(tmp_path, loop, code):
    file = tmp_path / "slow.log"
    lines = [format_log_line(Frame(0x123, b"", time_ns=n * 20_000_000)) for n in range(500)]
    file.write_text("".join(f"{line}\n" for line in lines))
    with subprocess.Popen(
        [sys.executable, "-m", "opendiag", "replay", str(file), "-v", "--loop", loop, *SIM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, notes = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == code
    assert re.search(r"sim:stepim: \d+( of 500)? sent in", notes)
    assert "Traceback" not in notes


# --- asking


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_real_bus_is_asked_for(log, monkeypatch):
    from opendiag.cli import transmit

    asked = []
    monkeypatch.setattr(transmit.click, "confirm", lambda text, **options: asked.append(text))
    monkeypatch.setattr(sys, "stdin", Terminal())
    for name, yes in (("socketcan:can0", False), ("socketcan:can0", True), ("sim", False), ("virtual:x", False)):
        transmit.confirm(type("Net", (), {"name": name})(), yes)
    assert asked == ["Send on socketcan:can0?"]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    transmit.confirm(type("Net", (), {"name": "socketcan:can0"})(), False)
    assert len(asked) == 1
