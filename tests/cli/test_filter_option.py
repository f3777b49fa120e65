"""--filter, candump's grammar, wherever frames are shown or kept."""

from __future__ import annotations

import threading

import can
import pytest

from opendiag.adapters.can_filter import parse_filters
from opendiag.cli.filters import PassedFrames
from opendiag.frame import Frame

BUS = ("-i", "virtual:filter")


@pytest.fixture
def traffic(monkeypatch):
    """Three identifiers, over and over."""
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    with can.Bus("filter", interface="virtual") as bus:
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(0.002):
                for can_id in (0x181, 0x281, 0x701):
                    bus.send(can.Message(arbitration_id=can_id, data=b"\x05", is_extended_id=False))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield
        ended.set()
        thread.join(5)


def ids(text):
    return {line.split()[1] for line in text.splitlines()}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("181:7FF", {"181"}), ("701~7FF", {"181", "281"}), ("181:7FF,701:7FF", {"181", "701"}), ("181", {"181"})],
)
@pytest.mark.usefixtures("traffic")
def test_raw_lines(run, text, shown):
    outcome = run("watch", *BUS, "--raw", "--count", "12", "--filter", text)
    assert outcome.code == 0
    assert ids(outcome.out) == shown
    assert "12 frames" in outcome.err


@pytest.mark.usefixtures("traffic")
def test_a_recording(run, tmp_path):
    file = tmp_path / "some.log"
    outcome = run("record", str(file), *BUS, "--count", "12", "--filter", "280:780")
    assert outcome.code == 0
    assert {line.split()[2] for line in file.read_text().splitlines()} == {"281#05"}
    assert "4 frames of 12 on the bus pass the filter" in outcome.err


@pytest.mark.usefixtures("traffic")
def test_sniffing(run):
    assert ids(run("sniff", *BUS, "--count", "12", "--filter", "281:7FF").out) == {"281"}


def test_a_capture_as_rows_and_as_frames(run, capture):
    rows = run("decode", capture, "--filter", "5E5:7FF", "-q").out.splitlines()[1:]
    assert [row.split()[2:4] for row in rows] == [["SDO", "read"]] * 4, "the answer passes, the request is context"
    frames = run("decode", capture, "--filter", "5E5~7FF", "--frames", "-q").out.splitlines()
    assert {line.split()[1] for line in frames} == {"4E5", "665"}


def test_answers_to_a_sent_frame(run):
    outcome = run("send", "665#4041600000000000", "--wait", "50ms", "--filter", "700:780", "-i", "sim:stepim")
    assert [line.split()[:2] for line in outcome.out.splitlines() if "765" not in line] == [["tx", "665"]]


@pytest.mark.parametrize(
    "command",
    [
        ("watch", *BUS), ("record", "x.log", *BUS), ("sniff", *BUS), ("decode", "x"), ("replay", "x"),
        ("send", "080#", *BUS),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused_before_anything_happens(run, command):
    outcome = run(*command, "--filter", "18q:7FF")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--filter: '18q:7FF'" in outcome.err


def test_numbers_of_long_ago_frames_are_forgotten(monkeypatch):
    monkeypatch.setattr("opendiag.cli.filters._WINDOW", 4)
    passed = PassedFrames(parse_filters("001:7FF"))
    for number in range(1, 20):
        passed.add(Frame(number % 2))
    assert passed.any([19])
    assert passed.any([2, 18, 17])
    assert not passed.any([18])
    assert not passed.any([1])
    assert not passed.any([20])
