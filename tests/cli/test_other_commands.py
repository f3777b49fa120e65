"""`opendiag explain`, `nodes`, `eds show`, `demo`, and what is true of all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CAPTURE = (Path(__file__).resolve().parents[2] / "examples" / "stepim.log").read_text().splitlines()


@pytest.mark.parametrize(
    "notation",
    [
        "665#406C600000000000",
        "665 [8] 40 6C 60 00 00 00 00 00",
        "can0  665   [8]  40 6C 60 00 00 00 00 00",
        "(1436509052.249713) can0 665#406C600000000000",
        "0x665 40 6C 60 00 00 00 00 00",
    ],
)
def test_explain_takes_every_notation(run, notation):
    outcome = run("explain", notation)
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "665          1100 1100101b: function code 12 (SDO request), node-ID 101 (65h)",
        "40           initiate upload: read an object",
        "6C 60        index 606Ch (low byte first): Velocity actual value, INTEGER32, read only (CiA 402)",
        "00           subindex 0",
        "00 00 00 00  unused in a read request; not a value",
        "The client asks node 101 for its Velocity actual value (606C:00). "
        "Expected answer: 5E5 [8] 43 6C 60 00 <4 bytes>.",
    ]


def test_explain_every_line_of_the_capture(run):
    for line in CAPTURE:
        text = run("explain", line, "--eds", "101=stepim").out
        data = line.split("]  ")[1]
        parts = [row[:11].split("  ")[0].strip() for row in text.splitlines()[1:-1]]
        assert " ".join(parts) == data, "the parts together are the data"
        code = "1001 1100101b: function code 9 (TPDO4)" if "4E5" in line else "node-ID 101 (65h)"
        assert code in text


def test_explain_several_frames_with_context(run):
    frames = ["605#2F001A0000000000", "585#60001A0000000000", "605#23001A0110004160", "585#60001A0100000000"]
    frames += ["605#2F001A0001000000", "585#60001A0000000000", "185#2702"]
    outcome = run("explain", *frames)
    assert "0x0227: OPERATION ENABLED" in outcome.out
    assert "(mapping from the traffic)" in outcome.out


def test_explain_json(run):
    line = json.loads(run("explain", "705#05", "--json").out)
    assert line["sentence"] == "Node 5 is OPERATIONAL."
    assert line["lines"][1] == {"bytes": "05", "meaning": "NMT state OPERATIONAL"}


@pytest.mark.parametrize("frame", ["hello", "665#40416", "900#00", "665 [8] 40 41", "12345#00"])
def test_explain_says_what_is_wrong_with_a_frame(run, frame):
    outcome = run("explain", frame)
    assert (outcome.code, outcome.out) == (2, "")
    assert frame in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_nodes(run, capture):
    lines = run("nodes", capture).out.splitlines()
    assert lines[0].split("  ")[0] == "node"
    assert lines[1].split("  ")[0].strip() == "101"
    assert "665/5E5 SDO" in lines[1]
    assert "4E5 TPDO4" in lines[1]
    assert "OPERATION ENABLED" in lines[1]
    assert lines[1].split()[-7:] == ["4", "0", "0", "1", "0", "none", "seen"]


def test_nodes_json_and_heartbeat_periods(run, tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_text("".join(f"({1700000000 + i * 0.1 + (i == 3) * 0.02:.6f}) can0 705#05\n" for i in range(6)))
    node = json.loads(run("nodes", str(log), "--json").out)
    assert (node["node_id"], node["nmt_state"], node["heartbeats"]) == (5, "OPERATIONAL", 6)
    assert node["heartbeat_min_ns"] == pytest.approx(80e6, abs=2e3)
    assert node["heartbeat_max_ns"] == pytest.approx(120e6, abs=2e3)


def test_eds_show(run):
    whole = run("eds", "show", "stepim")
    assert whole.code == 0
    assert "vendor-ID     0x2E1 (737)" in whole.out
    assert any(line.startswith("6064:00  Position Actual Internal Value") for line in whole.out.splitlines())
    one = run("eds", "show", "stepim", "6064").out
    assert "unit       counts (also rev)" in one
    found = run("eds", "show", "stepim", "homing").out
    assert "6098:00  Homing Method" in found
    assert "Statusword" not in found


def test_eds_show_json(run):
    lines = [json.loads(line) for line in run("eds", "show", "stepim", "6075", "--json").out.splitlines()]
    assert lines[0]["name"] == "Motor Rated Current"
    assert lines[0]["unit"] == "mA"


@pytest.mark.parametrize("what", ["5FFF", "1018:09", "no such name"])
def test_eds_show_of_what_is_not_there(run, what):
    outcome = run("eds", "show", "stepim", what)
    assert (outcome.code, outcome.out) == (2, "")
    assert "stepim has no object" in outcome.err


def test_demo_explains_every_frame_and_then_the_whole(run, tmp_path):
    plot = tmp_path / "demo.html"
    outcome = run("demo", "--plot", str(plot))
    assert outcome.code == 0
    assert [line.split()[-1] for line in outcome.out.splitlines() if " s  " in line][-5:] == ["ok"] * 5
    assert f"over time: {plot}" in outcome.out and "<svg" in plot.read_text()
    for line in CAPTURE:
        assert line in outcome.out
    assert "Current Actual Value (6078:00) is 219 mA" in outcome.out
    assert "no answer before the capture ends" in outcome.out


def test_nothing_but_help_without_a_command(run):
    outcome = run()
    assert outcome.code == 2
    assert "decode" in outcome.err


def test_explain_starts_without_numpy_and_python_can():
    code = (
        "import sys; from opendiag.cli import main; main(['explain', '665#4041600000000000']); "
        "sys.exit([m for m in ('numpy', 'can', 'rich', 'pyarrow', 'canopen') if m in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Statusword" in done.stdout


def test_no_colour_in_a_pipe(run, capture):
    assert "\x1b" not in run("decode", capture).out


def test_colour_on_a_terminal_unless_no_color(capture, monkeypatch):
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        assert (b"\x1b[" in _on_terminal(pty, ["decode", capture])) is coloured


def _on_terminal(pty, arguments) -> bytes:
    import os

    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "opendiag", *arguments], stdout=follower, stderr=follower) as process:
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # Linux: the last writer has gone
                break
            if not part:
                break
            text += part
    os.close(leader)
    assert process.returncode == 0
    return text
