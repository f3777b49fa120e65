"""`opendiag nmt`: what each verb says of nodes that answer, that stay silent and that do something else."""

from __future__ import annotations

import json

import pytest
from scripted_bus import Script

from opendiag.frame import Frame
from opendiag.simulate.stepim import StepIM


@pytest.mark.parametrize(
    ("verb", "state"), [("start", "OPERATIONAL"), ("stop", "STOPPED"), ("preop", "PRE-OPERATIONAL")]
)
def test_the_next_heartbeat_tells(run, bus, verb, state):
    bus.attach(StepIM(101), "node 101")
    outcome = run("nmt", verb, "101", "-q")
    assert outcome.code == 0
    assert outcome.out.startswith(f"node 101  {state}, told after ")
    assert 0 < float(outcome.out.split()[-2]) <= 2001, "1017h of a StepIM is 2000 ms"


@pytest.mark.parametrize("verb", ["reset", "reset-comm"])
def test_a_reset_ends_with_the_boot_up_message(run, bus, verb):
    bus.attach(StepIM(101), "node 101")
    outcome = run("nmt", verb, "101", "--json", "-q")
    assert outcome.code == 0
    told = json.loads(outcome.out)
    assert (told["node"], told["told"], told["boot_up"], told["ok"]) == (101, "PRE_OPERATIONAL", True, True)
    assert told["command"] == {"reset": "RESET_NODE", "reset-comm": "RESET_COMMUNICATION"}[verb]
    assert told["took_ms"] > 0
    assert bus.statistics().frames == 3, "it booted, was told to reset, and booted again"


def test_json_of_a_start(run, bus):
    bus.attach(StepIM(101), "node 101")
    told = json.loads(run("nmt", "start", "101", "--json", "-q").out)
    assert list(told) == ["node", "command", "told", "boot_up", "took_ms", "ok", "text"]
    assert (told["command"], told["told"], told["boot_up"], told["text"]) == ("START", "OPERATIONAL", False, None)


def test_all_nodes_are_named_as_they_tell(run, bus):
    for node_id in (5, 101):
        bus.attach(StepIM(node_id), f"node {node_id}")
    outcome = run("nmt", "start", "all", "-q")
    assert outcome.code == 0
    assert sorted(line.split()[1] for line in outcome.out.splitlines()) == ["101", "5"]


def test_nobody_is_there(run, bus):
    outcome = run("nmt", "start", "all")
    assert outcome.code == 1
    assert "nobody told its state within 3 s" in outcome.err
    assert "SDO-RESTARTED" not in run("nmt", "start", "5").err
    outcome = run("nmt", "start", "5", "-q")
    assert outcome.code == 1
    assert outcome.out == "node 5    told nothing within 3 s: it has no heartbeat, or is not there\n"
    outcome = run("nmt", "reset", "5", "-q")
    assert outcome.code == 1
    assert "no boot-up message" in outcome.out


def test_a_node_without_heartbeat_is_no_failure(run, bus):
    silent = StepIM(101)
    bus.attach(silent, "node 101")
    assert run("write", "101", "1017:00", "0", "-q").code == 0
    outcome = run("nmt", "start", "101", "-q")
    assert outcome.code == 0
    assert outcome.out == "node 101  sent; the node has no heartbeat (1017h is 0) to tell its state with\n"


def test_a_slow_heartbeat_is_waited_for(run, bus):
    bus.attach(StepIM(101), "node 101")
    assert run("write", "101", "1017:00", "5000", "-q").code == 0
    assert run("nmt", "start", "101", "-q").code == 0
    outcome = run("nmt", "preop", "101", "--wait", "500ms", "-q")
    assert outcome.code == 1, "that long and no longer"
    assert outcome.out.endswith("within 0.5 s: its heartbeat has a period of 5000 ms (1017h), longer than that\n")
    outcome = run("nmt", "start", "101", "--wait", "50ms", "-q")
    assert outcome.out.endswith("within 0.05 s: its heartbeat has a period of 5000 ms (1017h), longer than that\n")


def test_another_state_than_the_one_that_was_asked_for(run, bus):
    told = ((n / 2, Frame(0x705, b"\x7f")) for n in range(1, 20))
    bus.attach(Script(*told), "stubborn")
    outcome = run("nmt", "start", "5", "-q")
    assert outcome.code == 1
    assert outcome.out == "node 5    PRE-OPERATIONAL, OPERATIONAL was expected\n"
    told = json.loads(run("nmt", "start", "all", "-q", "--json").out)
    assert (told["node"], told["told"], told["ok"]) == (5, "PRE_OPERATIONAL", False)


def test_a_heartbeat_is_no_boot_up(run, bus):
    bus.attach(Script(*((n / 2, Frame(0x705, b"\x7f")) for n in range(1, 20))), "no reset")
    outcome = run("nmt", "reset", "5", "-q")
    assert outcome.code == 1
    assert outcome.out == "node 5    PRE-OPERATIONAL, no boot-up message came\n"


def test_not_waiting(run, bus):
    bus.attach(StepIM(101), "node 101")
    outcome = run("nmt", "start", "101", "--wait", "0", "-q")
    assert (outcome.code, outcome.out) == (0, "node 101  sent; not waited for an answer\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("strat", "5"), "'strat' is no verb: expected start, stop, preop, reset, reset-comm or watch"),
        (("start",), "start: which node? Give its node-ID, or all"),
        (("start", "200"), "node-ID 200 is outside 1..127"),
        (("start", "5", "--for", "1s"), "--for and --count end `nmt watch`"),
    ],
)
def test_wrong_calls(run, bus, arguments, said):
    outcome = run("nmt", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


# --- watch


def test_a_node_boots_starts_is_lost_and_comes_back(run, bus):
    beats = [(1 + n / 10, Frame(0x705, b"\x7f")) for n in range(1, 8)]
    beats += [(1.8 + n / 10, Frame(0x705, b"\x05")) for n in range(5)]
    beats += [(4.2 + n / 10, Frame(0x705, b"\x05")) for n in range(5)]
    bus.attach(Script((1, Frame(0x705, b"\0")), *beats, (2, Frame(0x706, b"\x04"))), "others")
    outcome = run("nmt", "watch", "5", "--for", "4.7s", "-q")
    assert outcome.code == 0
    rows = [line.split(maxsplit=3)[1:] for line in outcome.out.splitlines()]
    assert rows == [
        ["5", "boot-up", "started, and is PRE-OPERATIONAL"],
        ["5", "state", "PRE-OPERATIONAL -> OPERATIONAL"],
        ["5", "lost", "no heartbeat for more than 0.2 s"],
        ["5", "found", "back after 2.000 s of silence"],
    ]


def test_watching_as_json_ends_after_so_many(run, bus):
    bus.attach(Script((1, Frame(0x706, b"\x04")), (2, Frame(0x706, b"\x05")), (3, Frame(0x706, b"\x04"))), "others")
    outcome = run("nmt", "watch", "--json", "--count", "2", "-q")
    assert outcome.code == 0
    first, second = map(json.loads, outcome.out.splitlines())
    assert {**first, "t": 0} == {"t": 0, "node": 6, "event": "state", "state": "STOPPED", "before": None}
    assert (second["state"], second["before"]) == ("OPERATIONAL", "STOPPED")


def test_watching_sends_nothing(run, bus):
    run("nmt", "watch", "--for", "1s", "-q")
    assert bus.statistics().frames == 0
