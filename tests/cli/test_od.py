"""`opendiag od dump`: every object of one node and of several, also when one of them falls silent."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.connect import connect
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device
from opendiag.simulate.faults import Fault

ROOT = Path(__file__).resolve().parents[2]
SIM = ("-i", "sim:stepim")
READABLE = [
    (variable.index, variable.subindex)
    for variable in load("stepim").variables()
    if variable.access != "wo" and variable.data_type != DataType.DOMAIN
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.fixture
def on_bus(monkeypatch):
    """The next command finds these devices, on a bus with these faults, as fast as the computer."""

    def on_bus_(*devices, faults=()):
        clock = ManualClock()
        bus = SimBus(faults=faults, start=clock.now())
        for device in devices:
            bus.attach(device, f"node {device.node_id}")
        monkeypatch.setattr("opendiag.cli.live.connect", lambda interface, **more: connect(bus, clock=clock, **more))

    return on_bus_


def silent_from(answer: int, node: int) -> Fault:
    return Fault("drop", node=node, service="sdo response", nth=answer, every=1)


def test_a_dump_has_every_readable_object_in_order(run):
    outcome = run("od", "dump", "101", *SIM)
    assert outcome.code == 0
    assert outcome.err.strip() == f"node 101: {len(READABLE)} objects read (its EDS)"
    places = [row.split()[1] for row in outcome.out.splitlines()]
    assert places == [f"{index:04X}:{subindex:02X}" for index, subindex in READABLE]


def test_the_three_forms_say_the_same(run, on_bus):
    lines, rows = [], []
    for form in ("--json", "--csv"):
        on_bus(make_device("stepim"))
        outcome = run("od", "dump", "101", "-q", form)
        assert (outcome.code, outcome.err) == (0, "")
        if form == "--json":
            lines = [json.loads(line) for line in outcome.out.splitlines()]
        else:
            rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [(line["index"], line["sub"]) for line in lines] == READABLE
    assert [(int(row["index"]), int(row["sub"])) for row in rows] == READABLE
    assert [line["raw"] for line in lines] == [row["raw"] for row in rows]
    assert {line["node"] for line in lines} == {101}


def test_three_nodes_come_one_after_the_other(run, on_bus):
    on_bus(*(make_device("stepim", node) for node in (1, 2, 3)))
    outcome = run("od", "dump", "3", "1", "2", "1")
    nodes = [row.split()[0] for row in outcome.out.splitlines()]
    assert nodes == [node for node in "312" for _ in READABLE]
    assert [line.split(":")[0] for line in outcome.err.splitlines()[-3:]] == ["node 3", "node 1", "node 2"]


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_node_that_falls_silent_does_not_cost_the_others(run, on_bus, quiet):
    on_bus(*(make_device("stepim", node) for node in (1, 2, 3)), faults=[silent_from(50, node=2)])
    outcome = run("od", "dump", "1", "2", "3", "--json", *quiet)
    assert outcome.code == 4
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    counted = Counter(line["node"] for line in lines)
    assert (counted[1], counted[3]) == (len(READABLE), len(READABLE))
    of_2 = [line for line in lines if line["node"] == 2]
    assert 1 < len(of_2) < 60
    assert [line["status"] for line in of_2] == ["ok"] * (len(of_2) - 1) + ["unanswered"]
    assert of_2[-1]["text"] == "no answer within 0.5 s"
    assert "given up: cannot read" in outcome.err, "said with -q, too: the dump is not whole"
    assert ("node 1: " in outcome.err) is not bool(quiet)


def test_a_node_that_is_not_there_does_not_cost_the_others(run, on_bus):
    on_bus(make_device("stepim", 1))
    outcome = run("od", "dump", "5", "1")
    assert outcome.code == 4
    assert len(outcome.out.splitlines()) == len(READABLE)
    assert "node 5: nothing read: cannot read 1018:01" in outcome.err


def test_nobody_there_is_one_error_with_its_cause(run):
    outcome = run("od", "dump", "5", "--timeout", "50ms", *SIM)
    assert (outcome.code, outcome.out) == (4, "")
    assert "no answer within 0.05 s" in outcome.err
    assert "Node 5 was never heard" in outcome.err


def test_refused_objects_are_rows_of_their_own(run, on_bus):
    abort = Frame(0x5E5, bytes([0x80, 0x00, 0x10, 0x00, 0x22, 0x00, 0x00, 0x08]))
    on_bus(make_device("stepim"), faults=[Fault("replace", service="sdo response", nth=40, limit=1, frame=abort)])
    outcome = run("od", "dump", "101", "--json")
    assert outcome.code == 0
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(line["index"], line["sub"]) for line in lines] == READABLE
    assert [line["abort_code"] for line in lines if line["status"] == "aborted"] == [0x08000022]
    assert f"{len(READABLE) - 1} objects read (its EDS), 1 refused" in outcome.err


def test_without_an_eds_the_tables_of_cia_are_asked_for(run, on_bus, tmp_path: Path):
    stranger = tmp_path / "stranger.eds"
    stranger.write_text((ROOT / "eds" / "stepim.eds").read_text("latin-1").replace("=0x2E1", "=0x3FFFFF"), "latin-1")
    on_bus(make_device(str(stranger), 9))
    outcome = run("od", "dump", "9", "--json")
    assert outcome.code == 0
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert "CiA 301 and CiA 402: no EDS fits this node" in outcome.err
    found = {(line["index"], line["sub"]) for line in lines}
    assert {(0x1000, 0), (0x1018, 1), (0x6041, 0)} <= found <= set(READABLE)
    assert {line["status"] for line in lines} == {"ok"}, "what a device does not have is no row"
    assert [(line["index"], line["sub"]) for line in lines] == sorted(found)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [((), "NODE"), (("200",), "outside 1..127"), (("101", "--json", "--csv"), "choose one of --json and --csv")],
)
def test_a_wrong_call(run, arguments, word):
    outcome = run("od", "dump", *arguments, *SIM)
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err


@pytest.mark.parametrize("arguments", [["od", "dump", "101", "-i", "sim:stepim"], ["decode", "LOG"]])
def test_a_progress_bar_never_swallows_what_goes_into_a_file(arguments, tmp_path: Path):
    """A terminal shows stderr, and stdout is redirected: the bar goes there, and all rows into the file."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    log = tmp_path / "big.log"
    if arguments[-1] == "LOG":
        log.write_text("".join(f"({1700000000 + i / 100:.6f}) can0 705#05{' ' * 2000}\n" for i in range(2000)))
        assert log.stat().st_size > 4_000_000
    leader, follower = pty.openpty()
    rows = tmp_path / "rows.txt"
    command = [str(log) if argument == "LOG" else argument for argument in arguments]
    with (
        rows.open("w") as target,
        subprocess.Popen(
            [sys.executable, "-m", "opendiag", *command], stdout=target, stderr=follower, cwd=tmp_path
        ) as process,
    ):
        os.close(follower)
        shown = _all_of(leader)
        assert process.wait(10) == 0
    assert "━".encode() in shown, "there is a bar"
    assert b"6041:00" not in shown and b"heartbeat" not in shown
    assert len(rows.read_text().splitlines()) == (2001 if arguments[0] == "decode" else len(READABLE))


def _all_of(leader: int) -> bytes:
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
    return text
