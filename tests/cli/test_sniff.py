"""`opendiag sniff`: which bytes changed, in rows and on the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import can
import pytest
from rich.console import Console

from opendiag.cli.sniff_command import _Screen, drawn
from opendiag.cli.sniff_table import SniffTable
from opendiag.frame import Frame

BUS = ("-i", "virtual:sniff")
MS = 1_000_000


def feed(table, *pairs):
    """(milliseconds, data in hex) of 123."""
    return [table.feed(Frame(0x123, bytes.fromhex(data), time_ns=ms * MS)) for ms, data in pairs][-1]


# --- rows


def test_bits_that_changed():
    table = SniffTable()
    row = feed(table, (0, "1100"))
    assert row.new and row.has_changed
    row = feed(table, (10, "1100"))
    assert not row.has_changed
    row = feed(table, (20, "1108"))
    assert (row.has_changed, row.changed, row.before.hex(), row.count) == (True, b"\0\x08", "1100", 3)
    assert row.period_ms == 10.0


@pytest.mark.parametrize(("before", "after", "changed"), [("11", "1122", "00ff"), ("1122", "11", "00"), ("", "", "")])
def test_another_length_is_a_change(before, after, changed):
    row = feed(SniffTable(), (0, before), (1, after))
    assert row.changed.hex() == changed
    assert row.has_changed is (before != after)


def test_kinds_of_frames_have_rows_of_their_own():
    table = SniffTable()
    frames = [
        Frame(0x123, b"", remote=True),
        Frame(0x123, b"", extended=True),
        Frame(0x123),
        Frame(0x12),
        Frame(0x4, bytes(8), error=True),
    ]
    for frame in frames:
        table.feed(frame)
    assert [row.frame for row in table.sorted()] == [frames[3], frames[2], frames[1], frames[0], frames[4]]


def test_what_changes_while_learning_is_noise():
    table = SniffTable(learning=True)
    feed(table, (0, "0100"), (1, "0200"), (2, "0300"))
    table.learning = False
    assert not feed(table, (3, "0100")).has_changed
    assert feed(table, (4, "0101")).changed == b"\0\1"
    assert feed(table, (5, "8101")).changed == b"\x80\0", "a bit that never changed while learning"


# --- the screen


def screen(table, now_ms, room=20, **console):
    shown = Console(width=100, force_terminal=True, **console)
    with shown.capture() as captured:
        shown.print(drawn(table, now_ms * MS, room))
    return captured.get()


def test_changed_bytes_are_marked_for_a_second():
    table = SniffTable()
    feed(table, (0, "1100"), (10, "1108"))
    assert "\x1b[1;31m08" in screen(table, 500, color_system="standard")
    assert "\x1b[1;31m" not in screen(table, 1500, color_system="standard")
    assert "10.0" in screen(table, 500)


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_the_frames_counts(monkeypatch, hours):
    """That of the computer may have been set since the bus was opened."""
    drawn_at = []
    monkeypatch.setattr("opendiag.cli.sniff_command.drawn", lambda table, now_ns, room: drawn_at.append(now_ns) or "")
    table, screen_ = SniffTable(), _Screen()
    at_ns = time.time_ns() + hours * 3_600_000 * MS
    with screen_:
        screen_.changed(table, table.feed(Frame(0x123, time_ns=at_ns)))
    assert drawn_at and all(0 <= now_ns - at_ns < 1000 * MS for now_ns in drawn_at)


def test_without_colour_they_are_bold(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    table = SniffTable()
    feed(table, (0, "1100"), (10, "1108"))
    text = screen(table, 500, color_system="standard")
    assert "\x1b[1m08" in text
    assert "31m" not in text


def test_more_rows_than_the_screen_has():
    table = SniffTable()
    for can_id in range(30):
        table.feed(Frame(can_id))
    text = screen(table, 0, room=5)
    assert "25 more identifiers" in text
    assert "01D" not in text


# --- the command


@pytest.fixture
def traffic(monkeypatch):
    """123 counts, 700 stays as it is."""
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    with can.Bus("sniff", interface="virtual") as bus:
        ended = threading.Event()

        def send() -> None:
            number = 0
            while not ended.wait(0.002):
                number = (number + 1) % 256
                for can_id, data in ((0x123, bytes([0x11, number])), (0x700, b"\x05")):
                    bus.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield
        ended.set()
        thread.join(5)


@pytest.mark.usefixtures("traffic")
def test_a_line_for_each_change_in_a_pipe(run):
    outcome = run("sniff", *BUS, "--count", "12")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    news = [line for line in lines if line.endswith("new")]
    assert [line.split()[1] for line in news] in (["123", "700"], ["700", "123"])
    changes = [line for line in lines if line not in news]
    assert len(changes) == 5
    assert all("123   [2]  11" in line and "byte 1: " in line for line in changes)
    assert outcome.err == "virtual:sniff: 12 frames, 2 identifiers.\n"


@pytest.mark.usefixtures("traffic")
def test_json(run):
    lines = [json.loads(line) for line in run("sniff", *BUS, "--count", "12", "--json").out.splitlines()]
    changed = [line for line in lines if line["before"] is not None]
    assert {line["id"] for line in changed} == {"123"}
    assert all(line["changed"].startswith("00") and line["data"] != line["before"] for line in changed)


@pytest.mark.usefixtures("traffic")
def test_learning(run):
    outcome = run("sniff", *BUS, "--learn", "5s", "--count", "40")
    assert (outcome.code, outcome.out) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_a_table_on_a_terminal():
    import pty

    leader, follower = pty.openpty()
    arguments = ["sniff", "-i", "sim:stepim", "--count", "1", "--for", "8s"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(
        [sys.executable, "-m", "opendiag", *arguments], stdout=follower, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
    os.close(leader)
    assert process.returncode == 0
    assert b"765" in text and b"7F" in text
    assert b"1 frame, 1 identifier." in text
    assert text.count(b"\x1b[?25l") == text.count(b"\x1b[?25h"), "the cursor is back"


def test_a_filter_that_lets_nothing_pass_is_named(run):
    """In the words of `watch`."""
    for command in ("sniff", "watch"):
        outcome = run(command, "-i", "sim:stepim", "--filter", "7AA:7FF", "--for", "100ms")
        assert "Nothing passes the filter." in outcome.err
    assert "Nothing passes" not in run("sniff", "-i", "sim:stepim", "--for", "100ms").err
