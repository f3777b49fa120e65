"""`opendiag drive`: what each verb says and does on simulated drives, asks before it moves, and how it exits."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opendiag.cia402.sequence import parse_sequence
from opendiag.cia402.states import PdsState
from opendiag.cli.drive_console import DeadMan
from opendiag.frame import Frame
from opendiag.simulate.stepim import StepIM

ENABLED = PdsState.OPERATION_ENABLED
ROOT = Path(__file__).resolve().parents[2]


class At:
    """A station that does something at a time of the bus."""

    def __init__(self, at, action):
        self.at, self.action = at, action

    def receive(self, frame, now): ...

    def tick(self, now):
        if self.at is not None and now >= self.at:
            self.at = None
            self.action(now)

    def deadline(self):
        return self.at

    def frames_to_send(self):
        return []

    def events(self):
        return []


class Writes:
    """Keeps the SDO downloads to a node, and when they came."""

    def __init__(self, node_id):
        self.can_id, self.frames = 0x600 + node_id, []

    def receive(self, frame: Frame, now):
        if frame.can_id == self.can_id and frame.data and frame.data[0] >> 5 == 1:
            self.frames.append((now, frame.data))

    def tick(self, now): ...

    def deadline(self):
        return None

    def frames_to_send(self):
        return []

    def events(self):
        return []


@pytest.fixture
def node(bus, run) -> StepIM:
    """A StepIM alone on the bus of the test, that has been up for some time."""
    made = StepIM()
    bus.attach(made, "node 101")
    pass_time(run, "2s")
    return made


def pass_time(run, time):
    run("drive", "status", "101", "-q", "--watch", "--every", time, "--count", "2")


@pytest.fixture
def written(bus, node):
    made = Writes(101)
    bus.attach(made, "listener")
    return made.frames


# --- status and why: nothing is written ------------------------------------------------------------------------------


def test_status(run, node, written):
    outcome = run("drive", "status", "101", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    lines = {line.split()[0]: line.split(None, 1)[-1] for line in outcome.out.splitlines()}
    assert lines["node"] == "101 (stepim)"
    assert lines["state"] == "SWITCH ON DISABLED (statusword 0240h)"
    assert lines["position"].endswith(" rev") and lines["velocity"].endswith(" rpm") and lines["current"].endswith(" A")
    assert (lines["error"], lines["warning"]) == ("none", "none")
    assert written == []


def test_status_of_a_drive_in_a_fault(run, node, bus):
    bus.attach(At(bus.now + 0.05, lambda now: node.fault(0x2310, now)), "world")
    outcome = run("drive", "status", "101", "-q", "--watch", "--every", "200ms", "--count", "2")
    assert outcome.code == 1
    assert "FAULT (" in outcome.out.splitlines()[1] and "error 2310h" in outcome.out.splitlines()[1]


def test_status_as_json(run, node):
    shown = json.loads(run("drive", "status", "101", "--json", "-q").out)
    assert (shown["node"], shown["state"], shown["error"], shown["warning"]) == (101, "SWITCH_ON_DISABLED", 0, False)
    assert (shown["position"], shown["position_unit"], shown["velocity_unit"]) == (0.0, "rev", "rpm")


def test_status_of_a_node_that_is_not_there(run, node):
    assert run("drive", "status", "5", "-q").code == 4


def test_status_takes_units_from_a_file(run, node, tmp_path):
    file = tmp_path / "units.yaml"
    file.write_text("position: {mm: 1000}\n")
    assert json.loads(run("drive", "status", "101", "--json", "-q", "--units", str(file)).out)["position_unit"] == "mm"


def test_why_says_what_is_missing(run, node, written):
    outcome = run("drive", "why", "101", "-q")
    assert outcome.code == 1 and "DRV-CONTROLWORD" in outcome.out
    found = json.loads(run("drive", "why", "101", "motion", "--json", "-q").out)
    assert found["wanted"] == "motion" and found["findings"][0]["code"].startswith("DRV-")
    assert written == []
    assert run("drive", "why", "101", "moving", "-q").code == 2


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("enable", "101"), ("home", "101"), ("move", "101", "1rev"), ("jog", "101", "--velocity", "60rpm", "--for", "1s")],
)
def test_without_a_terminal_what_energises_needs_yes(run, node, written, words):
    outcome = run("drive", *words, "-q")
    assert outcome.code == 2 and "--yes" in outcome.err
    assert written == []


def test_jog_by_hand_needs_a_terminal_even_with_yes(run, node, written):
    assert run("drive", "jog", "101", "--velocity", "60rpm", "-y", "-q").code == 2
    assert written == []


@pytest.mark.parametrize("words", [("status", "101"), ("disable", "101"), ("reset", "101"), ("stop", "101")])
def test_nothing_else_is_asked_about(run, node, words):
    assert run("drive", *words, "-q").code == 0
    assert node.pds.state is not ENABLED


REFUSED = [
    (("move", "101", "1rev", "--limit-velocity", "1rpm"), "6081h.*--limit-velocity 1 rpm"),
    (("home", "101", "--method", "37"), "homing method 37"),
    (("move", "101", "1rev", "--limit-position", "5rev..9rev"), "--limit-position: it is at 0 rev now"),
    (("move", "101", "1rev", "--limit-position", "5rev..-9rev"), "5rev is not below -9rev"),
    (("move", "101", "1rev", "--axis", "1"), "no axis '?1'?"),
    (("move", "101", "7rev", "--limit-position", "-1rev..5rev"), "by --limit-position"),
    (("move", "101", "1e12rev"), r"1e\+12 rev is outside .* rev,"),
]


@pytest.mark.parametrize(("words", "told"), REFUSED)
def test_what_cannot_be_is_refused_before_the_drive_is_enabled(run, node, written, words, told):
    outcome = run("drive", *words, "-y", "-q")
    assert outcome.code == 2 and re.search(told, outcome.err), outcome.err
    assert written == []


def test_stop_of_an_axis_that_is_not_there_sends_nothing(run, node, written):
    outcome = run("drive", "stop", "101", "--axis", "1", "-q")
    assert outcome.code == 4 and written == []


def test_yes_shows_what_is_to_come_and_the_unit_that_was_assumed(run, node):
    outcome = run("drive", "move", "101", "0.5", "-y")
    assert re.search(r"energised and moved from 0 rev to 0.5 rev \(\+0.5 rev\) at \d+ rpm \(its 6081h\)", outcome.err)
    assert "position 0.5 has no unit: it is taken as 0.5 rev" in outcome.err


def test_the_homing_method_of_the_drive_is_named(run, node):
    outcome = run("drive", "home", "101", "-y")
    assert re.search(r"its home by method -?\d+ \(.*, its 6098h\)", outcome.err)


def test_a_drive_that_does_not_answer_is_told_while_it_is_stopped(run, node):
    outcome = run("drive", "stop", "6", "-q")
    assert outcome.code == 1 and "drive 6 does not answer, still trying: use the emergency stop" in outcome.err


def test_stop_all_tells_of_drives_only(run, node):
    assert "begun again" not in run("drive", "stop", "all").err


# --- moving -----------------------------------------------------------------------------------------------------------


def test_move_goes_there_and_leaves_the_drive_disabled(run, node):
    outcome = run("drive", "move", "101", "-1.5rev", "--velocity", "300rpm", "--acceleration", "20rev/s^2", "-y", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(
        r"node 101: at -1\.5\d* rev, SWITCH ON DISABLED, at rest \([\d.]+ s in all\)\n|.*-1\.49.*\n", outcome.out
    )
    assert node.motor.position == pytest.approx(-1.5, abs=0.01)
    assert node.pds.state is not ENABLED


def test_move_relative(run, node):
    assert run("drive", "move", "101", "0.5rev", "--relative", "-y", "-q").code == 0
    assert run("drive", "move", "101", "180deg", "--relative", "-y", "-q").code == 0
    assert node.motor.position == pytest.approx(1.0, abs=0.01)


def test_move_as_json(run, node):
    shown = json.loads(run("drive", "move", "101", "1rev", "-y", "-q", "--json").out)
    assert (shown["outcome"], shown["dry_run"], [step["text"] for step in shown["steps"]]) == (
        "ok",
        False,
        ["enable", "move to 1 rev", "disable"],
    )
    end = shown["axes"]["node 101"]
    assert (end["at_rest"], end["state"], end["unit"]) == (True, "SWITCH_ON_DISABLED", "rev")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("1revs",), "no unit 'revs' of position: did you mean rev?"),
        (("far",), "'far' is no number with a unit"),
        (("0.1rev", "--velocity", "60"), None),
        (("1rev", "--velocity", "0rpm"), "must be above 0"),
        (("9rev", "--limit-position", "-1rev..5rev"), "drive 101: position 9 rev is outside -1 rev to 5 rev"),
        (("9rev", "--limit-position", "5"), "'5' is no window: expected one such as -1rev..5rev"),
        (
            ("1rev", "--velocity", "300rpm", "--limit-velocity", "60rpm"),
            "velocity 300 rpm is outside 60 rpm either way",
        ),
        (("1mm",), "no unit of position for this drive 'mm'"),
        (("1rev", "--report", "out.txt"), "the name must end with .html or .json"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_anything_is_written(run, node, written, words, told):
    outcome = run("drive", "move", "101", *words, "-y", "-q")
    if told is None:
        assert outcome.code == 0
        return
    assert outcome.code == 2 and told in outcome.err
    assert written == []


def test_a_fault_in_the_move_is_told_with_where_the_drive_is(run, node, bus):
    bus.attach(At(bus.now + 1.5, lambda now: node.inject(0x2310)), "world")
    outcome = run("drive", "move", "101", "50rev", "--velocity", "60rpm", "-y", "-q")
    assert outcome.code == 1
    assert "FAULT, at rest" in outcome.out
    assert "drive 101: fault" in outcome.err and "2310h" in outcome.err and "at rest" in outcome.err
    assert node.pds.state is PdsState.FAULT


def test_a_limit_of_the_script_stops_it_under_way(run, node):
    outcome = run(
        *("drive", "jog", "101", "--velocity", "300rpm", "--for", "5s", "--limit-position", "-1rev..1rev", "-y", "-q")
    )
    assert outcome.code == 1 and "beyond" in outcome.err
    assert node.motor.position < 2 and node.pds.state is not ENABLED


def test_home(run, node):
    outcome = run("drive", "home", "101", "--method", "35", "-y", "-q")
    assert outcome.code == 0 and "at 0 rev" in outcome.out
    refused = run("drive", "home", "101", "--method", "36", "-y", "-q")
    assert refused.code == 2 and "no homing method 36" in refused.err


def test_jog_for_some_time(run, node):
    assert run("drive", "jog", "101", "--velocity", "-60rpm", "--for", "1s", "-y", "-q").code == 0
    assert node.motor.position == pytest.approx(-1.05, abs=0.15)


def test_enable_holds_it_for_some_time(run, node, bus):
    states = []
    bus.attach(At(bus.now + 2.5, lambda now: states.append(node.pds.state)), "world")
    assert run("drive", "enable", "101", "--for", "3s", "-y", "-q").code == 0
    assert states == [ENABLED]
    assert node.pds.state is not ENABLED and abs(node.motor.position) < 0.001


def test_enable_leaves_a_drive_in_a_fault(run, node, bus):
    bus.attach(At(bus.now + 0.05, lambda now: node.fault(0x2310, now)), "world")
    pass_time(run, "200ms")
    outcome = run("drive", "enable", "101", "--for", "1s", "-y", "-q")
    assert outcome.code == 1 and node.pds.state is PdsState.FAULT
    reset = run("drive", "reset", "101", "-q")
    assert reset.code == 0 and "was FAULT" in reset.out and "is SWITCH ON DISABLED" in reset.out


def test_reset_of_a_fault_that_stays(run, node, bus):
    bus.attach(At(bus.now + 0.05, lambda now: node.inject(0x2310, lasting=True)), "world")
    pass_time(run, "200ms")
    outcome = run("drive", "reset", "101", "-q")
    assert outcome.code == 1 and "2310h" in outcome.err
    assert node.pds.state is PdsState.FAULT


def test_dry_run_shows_the_frames_and_writes_nothing(run, node, written):
    outcome = run("drive", "move", "101", "1rev", "--dry-run", "-q")
    assert outcome.code == 0
    assert "enable operation; new set-point" in outcome.out and "4096 counts" in outcome.out
    assert "none of these frames was sent" in outcome.err
    assert written == []
    alone = run("drive", "enable", "101", "--dry-run", "--json", "-q")
    assert json.loads(alone.out)["dry_run"] is True
    assert written == []


def test_a_report_is_written(run, node, tmp_path):
    page, data = tmp_path / "move.html", tmp_path / "move.json"
    outcome = run("drive", "move", "101", "1rev", "-y", "-q", "--report", str(page), "--report", str(data))
    assert outcome.code == 0, outcome.err
    text = page.read_text()
    assert "<svg" in text and "move to 1 rev" in text and "position [rev]" in text
    assert not re.search(r"(?:src|href)=|https?://(?!www\.w3\.org)", text), "it loads nothing"
    assert json.loads(data.read_text())["axes"]["node 101"]["position"][-1] == pytest.approx(1.0, abs=0.01)


# --- stopping ---------------------------------------------------------------------------------------------------------


def _energise(node, now):
    """Somebody else has enabled it, and lets it turn."""
    node.store.values[0x6060, 0] = b"\x03"
    for word in (6, 7, 15):
        node.receive(Frame(0x665, bytes([0x2B, 0x40, 0x60, 0, word, 0, 0, 0])), now)


def test_stop_begins_with_the_quick_stop(run, node, bus, written):
    bus.attach(At(bus.now + 0.05, lambda now: _energise(node, now)), "world")
    pass_time(run, "200ms")
    assert node.pds.state is ENABLED
    written.clear()
    outcome = run("drive", "stop", "101", "-q")
    assert outcome.code == 0 and "at rest, confirmed after" in outcome.out
    assert written[0][1] == bytes([0x2B, 0x40, 0x60, 0, 2, 0, 0, 0]), "the first that is written is the quick stop"
    assert node.pds.state is not ENABLED


def test_stop_all_finds_the_drives(run, bus):
    nodes = [StepIM(5), StepIM(101)]
    for each in nodes:
        bus.attach(each, f"node {each.node_id}")
    found = [json.loads(line) for line in run("drive", "stop", "all", "--json", "-q").out.splitlines()]
    assert [(each["node"], each["at_rest"]) for each in found] == [(5, True), (101, True)]


def test_stop_of_what_does_not_answer_is_no_success(run, node):
    outcome = run("drive", "stop", "5", "101", "-q")
    assert outcome.code == 1
    assert "node 5: no answer, NOT CONFIRMED TO BE AT REST" in outcome.out
    assert "node 101: SWITCH ON DISABLED, at rest" in outcome.out


def test_stop_all_where_there_is_none(run, bus):
    assert run("drive", "stop", "all").code == 1


def test_no_controlword_of_the_calls_that_do_not_energise_could_enable(run, node, written):
    for words in (("status", "101"), ("why", "101"), ("disable", "101"), ("reset", "101"), ("stop", "101")):
        run("drive", *words, "-q")
    words = [int.from_bytes(data[4:6], "little") for _, data in written if data[1:3] == b"\x40\x60"]
    assert all(word & 0x0F != 0x0F for word in words)


# --- run --------------------------------------------------------------------------------------------------------------

TURN = """\
node: 101
limits: {position: -1 rev .. 5 rev}
steps:
  - enable
  - home: 35
  - move: 2 rev
    velocity: 300 rpm
  - expect: {position: 2 rev, tolerance: 0.01 rev}
  - disable
"""


def test_run_tells_each_step(run, node, tmp_path):
    file = tmp_path / "turn.yaml"
    file.write_text(TURN)
    outcome = run("drive", "run", str(file), "-y", "-q")
    assert outcome.code == 0
    assert [line.split()[4] for line in outcome.out.splitlines()[:-1]] == ["ok"] * 5
    assert "move to 2 rev" in outcome.out and "at 2 rev" in outcome.out.splitlines()[-1]


@pytest.mark.parametrize("page", ["first-motion-with-a-stepim", "two-axes"])
def test_the_sequences_of_the_how_to_pages_run(run, bus, node, tmp_path, page):
    """As they stand there; what follows about a misspelt unit is true as well."""
    for node_id in (5, 6):
        bus.attach(StepIM(node_id), f"node {node_id}")
    pass_time(run, "2s")
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    (sequence,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "turn.yaml"
    file.write_text(sequence, encoding="utf-8")
    outcome = run("drive", "run", str(file), "-y", "-q", "--report", str(tmp_path / "turn.html"))
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "turn.html").read_text(encoding="utf-8").count("<polyline") >= 3
    if "rpn" in text:
        line = re.search(r"turn\.yaml:(\d+: .*)", text)[1]
        file.write_text(sequence.replace("300 rpm", "300 rpn", 1), encoding="utf-8")
        assert line in run("drive", "run", str(file), "-y", "-q").err


def test_the_sequence_of_the_example_fits_its_program():
    text = (ROOT / "examples" / "11_sequence.yaml").read_text(encoding="utf-8")
    assert next(step.action for step in parse_sequence(text).steps) == "enable"


def test_run_with_a_failure(run, node, tmp_path):
    file = tmp_path / "turn.yaml"
    file.write_text(TURN.replace("2 rev, tolerance", "3 rev, tolerance"))
    outcome = run("drive", "run", str(file), "-y", "-q", "--report", str(tmp_path / "turn.html"))
    assert outcome.code == 1
    assert f"{file}:8: step 4 (expect position 3 rev +/- 0.01 rev): drive 101: " in outcome.err
    assert "failed" in (tmp_path / "turn.html").read_text()
    assert node.pds.state is not ENABLED


def test_run_tells_all_that_is_wrong_and_sends_nothing(run, node, written, tmp_path):
    file = tmp_path / "turn.yaml"
    file.write_text(TURN.replace("300 rpm", "300 rpn").replace("enable\n", "enabel\n", 1))
    outcome = run("drive", "run", str(file), "-y", "-q")
    assert outcome.code == 2
    assert f"{file}:4: no step 'enabel': did you mean enable?" in outcome.err
    assert f"{file}:7: no unit 'rpn' of velocity: did you mean rpm?" in outcome.err
    file.write_text(TURN.replace("move: 2 rev", "move: 7 rev"))
    outside = run("drive", "run", str(file), "-y", "-q")
    assert outside.code == 2 and f"{file}:6: move: drive 101: position 7 rev is outside" in outside.err
    assert written == []


def test_run_takes_axes_and_limits_from_the_file_only(run, node, tmp_path):
    file = tmp_path / "turn.yaml"
    file.write_text(TURN)
    assert run("drive", "run", str(file), "-y", "--axis", "1").code == 2
    assert run("drive", "run", str(file), "-y", "--limit-velocity", "1rpm").code == 2
    assert run("drive", "run", str(tmp_path / "none.yaml"), "-y").code == 2


# --- the dead man's switch -----------------------------------------------------------------------------------------


def test_a_key_counts_for_its_time_and_the_other_way_stops_first():
    now = 0.0
    switch = DeadMan(0.3, lambda: now)
    assert switch.direction == 0
    switch.press("right")
    assert switch.direction == 1
    now = 0.29
    switch.press("up")
    now = 0.58
    assert switch.direction == 1
    switch.press("left")
    assert switch.direction == 0
    switch.press("left")
    assert switch.direction == -1
    now = 1.0
    assert switch.direction == 0


# --- on a terminal -------------------------------------------------------------------------------------------------

on_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are a thing of POSIX")


@pytest.fixture
def terminal():
    from terminal import Terminal

    return Terminal


@on_terminal
def test_it_asks_and_no_is_no(terminal):
    with terminal("drive", "move", "101", "2rev", "-i", "sim:stepim") as program:
        program.wait_for(
            r"node 101 \(stepim\) on sim:stepim will be energised and moved from 0 rev to 2 rev \(\+2 rev\) "
            r"at [\d.]+ rpm \(its 6081h\).*\[y/N\]"
        )
        program.type("\r")
        assert program.end() == 130
        assert "OPERATION ENABLED" not in program.text and "Nothing was sent" in program.text


@on_terminal
@pytest.mark.parametrize("key", [" ", "\x03", "x", "\x1a"], ids=["space", "ctrl-c", "any", "ctrl-z"])
def test_a_key_stops_a_move(terminal, key):
    with terminal("drive", "move", "101", "50rev", "--velocity", "60rpm", "-y", "-q") as program:
        program.wait_for(r"OPERATION ENABLED  0\.[1-9].*Space or Ctrl-C stops")
        program.type(key)
        assert program.end() == 130
    assert re.search(r"at 0\.\d+ rev, SWITCH ON DISABLED, at rest", program.text)


@on_terminal
def test_enable_shows_the_state_and_ends_well(terminal):
    with terminal("drive", "enable", "101", "-q") as program:
        program.wait_for(r"\[y/N\]")
        program.type("y\r")
        program.wait_for("OPERATION ENABLED .*Space or Ctrl-C stops.*OPERATION ENABLED .*stops")
        program.type(" ")
        assert program.end() == 0
    assert "SWITCH ON DISABLED, at rest" in program.text


@on_terminal
def test_jog_turns_while_a_key_is_held(terminal):
    with terminal("drive", "jog", "101", "--velocity", "120rpm", "-y", "-q") as program:
        program.wait_for("hold")
        program.hold("\x1b[C", 2.5)
        program.wait_for("OPERATION ENABLED")
        program.wait_for(r"SWITCH ON DISABLED  [1-9].*hold")
        program.type("q")
        assert program.end() == 0
    position = float(re.findall(r"node 101: at ([-\d.]+) rev", program.text)[-1])
    assert 0.5 < position < 6


@pytest.fixture
def served():
    """A simulator that goes on while programs come and go; what -i takes."""
    words = [sys.executable, "-m", "opendiag", "sim", "--serve", "127.0.0.1:0", "--for", "60s"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.stderr.readline()
    found = re.search(r"-i (socketcand:127\.0\.0\.1:\d+/sim)", process.stderr.readline())
    yield found[1]
    process.kill()
    process.communicate()


def shown(interface):
    words = [sys.executable, "-m", "opendiag", "drive", "status", "101", "--json", "-q", "-i", interface]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout)


@on_terminal
@pytest.mark.parametrize("how", ["terminal closed", "SIGTERM", "SIGQUIT", "killed"])
def test_the_motor_stands_still_when_the_program_is_gone(terminal, served, how):
    """Another program looks at the drive afterwards. Of kill -9 the drive itself takes notice, by its heartbeat."""
    with terminal("drive", "jog", "101", "--velocity", "60rpm", "--for", "60s", "-y", "-q", "-i", served) as program:
        program.wait_for(r"OPERATION ENABLED  0\.[1-9]")
        if how == "terminal closed":
            program.hang_up()
        else:
            program.signal({"SIGTERM": signal.SIGTERM, "SIGQUIT": signal.SIGQUIT, "killed": signal.SIGKILL}[how])
        program.process.wait(10)
    if how == "killed":
        time.sleep(1.0)
    first, second = shown(served), shown(served)
    assert first["state"] != "OPERATION_ENABLED"
    assert first["position"] == pytest.approx(second["position"], abs=0.002)
