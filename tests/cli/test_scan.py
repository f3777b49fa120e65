"""`opendiag scan` on simulated buses: the table, JSON, node lists, and how it exits."""

from __future__ import annotations

import json

import pytest

from opendiag.master.connect import connect
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness, make_device

SIM = ("-i", "sim:stepim")
QUICK = ("--for", "50ms")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No interface from outside, and no simulator that happens to run on this computer."""
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    monkeypatch.setattr("opendiag.adapters.ports.running_simulator", lambda: None)


@pytest.fixture
def on_bus(monkeypatch):
    """Make -i mean this bus."""

    def on_bus_(bus):
        def connect_(interface, **options):
            return connect(bus, **options)

        monkeypatch.setattr("opendiag.cli.live.connect", connect_)

    return on_bus_


def rows(outcome):
    return [line.split() for line in outcome.out.splitlines()]


def test_the_default_finds_the_simulated_drive(run):
    outcome = run("scan", *QUICK)
    assert outcome.code == 0
    assert outcome.err.startswith("No interface given: a simulated StepIM (node 101) answers")
    heading, row = outcome.out.splitlines()
    assert heading.split() == ["node", "name", "or", "identity", "device", "type", "NMT", "response", "ms", "how"]
    assert row.split()[:5] == ["101", "stepim", "402", "servo", "drive"]
    assert row.endswith("answered")


def test_quiet_and_piped_there_is_nothing_but_the_table(run):
    outcome = run("scan", "-q", *SIM, *QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    assert len(rows(outcome)) == 2


def test_json(run):
    outcome = run("scan", "--json", "-q", *SIM, *QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert list(found) == ["nodes", "findings", "addresses", "asked", "took_s", "stopped"]
    assert (found["addresses"], found["asked"], found["findings"], found["stopped"]) == (127, 127, [], "")
    (node,) = found["nodes"]
    assert (node["node"], node["how"], node["name"], node["device"]) == (101, "answered", "stepim", "402 servo drive")
    assert (node["device_type"], node["vendor_id"], node["product_code"]) == (0x20192, 0x2E1, 0xA5A5)
    assert 0 < node["response_ms"] < 100
    assert node["error"] == ""
    assert node["state"] in ("INITIALISING", "PRE_OPERATIONAL"), "as in the JSON of `nmt` and `top`"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("101",), 1),
        (("0x65",), 1),
        (("5", "100-110"), 12),
        (("100-110", "105-0x70"), 13),
        (("--from", "100"), 28),
        (("--to", "101"), 101),
        (("--from", "100", "--to", "101"), 2),
    ],
)
def test_which_nodes(run, arguments, count):
    outcome = run("scan", "--json", "-q", *arguments, *SIM, *QUICK)
    found = json.loads(outcome.out)
    assert (found["addresses"], found["asked"]) == (count, count)
    assert [node["node"] for node in found["nodes"]] == [101]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("128",), "node-ID 128 is outside 1..127"),
        (("0",), "node-ID 0 is outside 1..127"),
        (("x-y",), "'x' is no node-ID"),
        (("9-5",), "from node-ID 9 to 5 there is none"),
        (("--from", "9", "--to", "5"), "from node-ID 9 to 5 there is none"),
        (("5", "--to", "9"), "not both"),
        (("--listen-only",), "it goes with --passive"),
        (("--timeout", "0"), "no time for an answer"),
        (("--for", "soon"), "'soon' is no time"),
    ],
)
def test_what_makes_no_sense_is_refused(run, arguments, said):
    outcome = run("scan", *SIM, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_no_node_is_exit_code_1_with_the_reason(run):
    outcome = run("scan", "5", *SIM, "--for", "0")
    assert (outcome.code, outcome.out) == (1, "")
    assert "SDO-WRONG-NODE-ID: The node-ID did not answer, but node 101 (boot-up) is on the bus." in outcome.err
    outcome = run("scan", "5-6", *SIM, "--for", "0", "--json", "-q")
    (finding,) = json.loads(outcome.out)["findings"]
    assert finding["sentence"] == "None of 2 node-IDs answered, but node 101 (boot-up) is on the bus."


def test_a_dead_bus_is_named(run, on_bus):
    bus = SimBus(125_000)
    on_bus(bus)
    outcome = run("scan", *SIM, *QUICK)
    assert (outcome.code, outcome.out) == (1, "")
    assert "SDO-BUS-EMPTY: Nothing was heard on" in outcome.err
    assert "nobody acknowledges what we send" in outcome.err
    assert "Stopped after 4 of 127 node-IDs" in outcome.err


def test_two_devices_with_one_node_id_are_named(run, on_bus):
    bus = SimBus(1_000_000)
    for seed, latency_s in ((1, 0.001), (2, 0.004)):
        device = make_device("stepim", 5, seed)
        for server in device.servers:
            server.latency_s = latency_s
        device.store.values[0x1018, 4] = seed.to_bytes(4, "little")
        bus.attach(device, f"device {seed}", on_event=lambda event, now: None)
    on_bus(bus)
    outcome = run("scan", *SIM, *QUICK, "--timeout", "20ms")
    assert outcome.code == 1
    assert rows(outcome)[1][0] == "5"
    assert "SCAN-TWO-NODES" in outcome.err


@pytest.mark.parametrize("more", [(), ("--listen-only",)])
def test_passive_transmits_nothing(run, on_bus, more):
    bus = SimBus(125_000)
    bus.attach(make_device("stepim", 5), "device", on_event=lambda event, now: None)
    bus.attach(Witness(), "witness")
    heard = bus.attach(name="listener", listen_only=True)
    on_bus(bus)
    outcome = run("scan", *SIM, "--passive", "--for", "100ms", *more)
    assert outcome.code == 0
    assert {frame.can_id for frame in heard.receive()} == {0x705}
    assert bus.statistics().queued == 1  # the boot-up
    assert rows(outcome)[1][:4] == ["5", "-", "-", "booted"]
    assert outcome.out.endswith("heard (boot-up)\n")


def test_passive_on_a_silent_bus(run, on_bus):
    bus = SimBus(125_000)
    bus.attach(Witness(), "witness")
    on_bus(bus)
    outcome = run("scan", *SIM, "--passive", "--for", "50ms")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "No node was heard in 50 ms. Nodes without a heartbeat say nothing by themselves.\n"


def test_ctrl_c_prints_what_was_found_so_far(run, on_bus, monkeypatch):
    bus = SimBus(1_000_000)
    bus.attach(make_device("stepim", 1), "device", on_event=lambda event, now: None)
    on_bus(bus)
    from opendiag.master.sim_port import SimPort

    sending, sent = SimPort.send, []

    def interrupted(port, frame):
        sent.append(frame)
        if len(sent) == 60:
            raise KeyboardInterrupt
        sending(port, frame)

    monkeypatch.setattr(SimPort, "send", interrupted)
    outcome = run("scan", *SIM, *QUICK)
    assert outcome.code == 130
    assert rows(outcome)[1][0] == "1"
    assert "Broken off: " in outcome.err
    assert "of 127 node-IDs were asked." in outcome.err


def test_the_help_says_what_is_transmitted(run):
    outcome = run("scan", "--help")
    assert outcome.code == 0
    assert "Transmits SDO read requests" in outcome.out
