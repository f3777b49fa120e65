"""`opendiag doctor` on simulated buses: what is printed, as text and as JSON, and how it exits."""

from __future__ import annotations

import json

import pytest
from scripted_bus import Script

from opendiag.frame import Frame
from opendiag.simulate.devices import make_device
from opendiag.simulate.stepim import StepIM

STEPS = ["adapter", "bus", "bit rate", "nodes", "node", "SDO", "health"]
SIM = ("-i", "sim:stepim")
QUICK = ("--listen", "0.05")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No interface from outside, and no simulator that happens to run on this computer."""
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    monkeypatch.setattr("opendiag.adapters.ports.running_simulator", lambda: None)


def steps(outcome) -> dict[str, str]:
    """What is said of each step, by its name, with the lines that belong to it."""
    found: dict[str, str] = {}
    name = ""
    for line in outcome.out.splitlines():
        name = line[:9].strip() or name
        found[name] = f"{found.get(name, '')} {line[10:].strip()}".strip()
    return found


def test_the_default_is_a_healthy_simulated_drive(run):
    outcome = run("doctor", *QUICK)
    assert outcome.code == 0
    assert outcome.err.startswith("No interface given: a simulated StepIM (node 101) answers")
    said = steps(outcome)
    assert list(said) == STEPS
    assert said["adapter"] == "ok      sim is open at 1000 kbit/s, error-active."
    assert said["nodes"] == "ok      Heard: node 101 (boot-up)."
    assert "device type 00020192h, vendor 000002E1h, product 0000A5A5h" in said["SDO"]
    assert said["health"].startswith("ok      error counters: transmit 0, receive 0; no error frames; 7 answers")


def test_json(run):
    outcome = run("doctor", "101", "--json", "-q", *SIM, *QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert list(report) == ["node", "nodes", "ok", "steps", "findings"]
    assert (report["node"], report["nodes"], report["ok"], report["findings"]) == (101, [101], True, [])
    assert [step["name"] for step in report["steps"]] == STEPS
    assert False not in [step["ok"] for step in report["steps"]]


def test_a_wrong_node_is_found_by_asking_all(run):
    outcome = run("doctor", "5", *SIM, *QUICK)
    assert (outcome.code, outcome.err) == (1, "")
    said = steps(outcome)
    assert said["nodes"].startswith("BROKEN  Node 5 was never heard in")
    assert "node 101 (boot-up) is on the bus: the node-ID is likely another one." in said["nodes"]
    assert said["nodes"].endswith("Ask node 101, or set the node-ID at the device (switches, LSS) and restart it.")
    assert {said[name] for name in STEPS[4:]} == {"-       not checked: the nodes step failed"}


def test_a_wrong_node_as_json(run):
    outcome = run("doctor", "5", "--json", *SIM, *QUICK)
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert (report["node"], report["nodes"], report["ok"]) == (5, [101], False)
    (finding,) = report["findings"]
    assert (finding["code"], finding["severity"], finding["node"]) == ("SDO-WRONG-NODE-ID", "error", 5)
    assert finding["advice"].startswith("Ask node 101")
    assert [step["ok"] for step in report["steps"]] == [True, None, True, False, None, None, None]


def test_no_probe_asks_nobody_else(run, monkeypatch):
    asked = heard_requests(monkeypatch)
    outcome = run("doctor", "5", "--no-probe", "--timeout", "0.05", *SIM, *QUICK)
    assert outcome.code == 1
    assert set(asked) == {0x605}
    said = steps(outcome)["SDO"]
    assert said.startswith("BROKEN  cannot read 1000:00 Device type of node 5: no answer within 0.05 s (2 attempts).")
    assert said.count("Node 5 was never heard") == 1, "the cause is said once"


def test_probe_asks_all_though_the_node_is_there(run, monkeypatch):
    asked = heard_requests(monkeypatch)
    outcome = run("doctor", "101", "--probe", *SIM, *QUICK)
    assert outcome.code == 0
    assert set(asked) == {0x600 + node_id for node_id in range(1, 128)}


def test_a_node_that_was_heard_is_the_only_one_asked(run, monkeypatch):
    asked = heard_requests(monkeypatch)
    assert run("doctor", "101", *SIM, *QUICK).code == 0
    assert set(asked) == {0x665}


def test_several_nodes_and_none_chosen(run):
    outcome = run("doctor", "-i", "sim:stepim,stepim=7", *QUICK)
    assert outcome.code == 0
    said = steps(outcome)
    assert "node 7 (boot-up) and node 101 (boot-up). Say which of them to look at." in said["nodes"]
    assert said["node"] == said["SDO"] == "-       not checked: no node was chosen"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("128",), "node-ID 128 is outside 1..127"),
        (("stepim",), "'stepim' is no node-ID"),
        (("101", "102"), "102"),
        (("--probe", "--no-probe"), "--probe and --no-probe: take one"),
        (("--listen", "-1"), "--listen"),
        (("--timeout", "0"), "--timeout"),
        (("-i", "nonsense"), "there is no adapter 'nonsense'"),
    ],
)
def test_what_cannot_be_done(run, arguments, words):
    outcome = run("doctor", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def heard_requests(monkeypatch) -> list[int]:
    """The CAN-IDs of the SDO requests that the simulated drive hears."""
    heard: list[int] = []
    receive = StepIM.receive

    def listening(self, frame, now):
        if 0x601 <= frame.can_id <= 0x67F:
            heard.append(frame.can_id)
        receive(self, frame, now)

    monkeypatch.setattr(StepIM, "receive", listening)
    return heard


@pytest.mark.parametrize(("same", "says"), [(False, "differently: two devices have"), (True, "two devices may have")])
def test_two_devices_with_one_node_id(run, bus, same, says):
    for seed, latency_s in ((1, 0.001), (2, 0.004)):
        device = make_device("stepim", 5, seed)
        for server in device.servers:
            server.latency_s = latency_s
        device.store.values[0x1018, 4] = (7 if same else seed).to_bytes(4, "little")
        bus.attach(device, f"device {seed}", on_event=lambda event, now: None)
    outcome = run("doctor", "5", "--json", "-q")
    assert outcome.code == 1
    found = [each for each in json.loads(outcome.out)["findings"] if each["code"] == "NODE-TWO-DEVICES"]
    assert len(found) == 1 and says in found[0]["sentence"], outcome.out


def test_heartbeats_of_two_devices(run, bus):
    """The second one has no SDO server: only its heartbeat tells."""
    device = make_device("stepim", 5)
    device.store.values[0x1017, 0] = (500).to_bytes(2, "little")
    bus.attach(device, "device")
    told = ((0.2 + n / 2, Frame(0x705, b"\x7f")) for n in range(1, 40))
    bus.attach(Script(*told), "second device")
    outcome = run("doctor", "5", "--json", "-q", "--listen", "4s")
    sentences = [each["sentence"] for each in json.loads(outcome.out)["findings"]]
    assert any("on average, and its 1017h says 0.5 s: two devices may" in sentence for sentence in sentences), sentences


def test_one_device_is_not_two(run, bus):
    bus.attach(make_device("stepim", 5), "device")
    outcome = run("doctor", "5", "--json", "-q", "--listen", "10s")
    assert (outcome.code, json.loads(outcome.out)["findings"]) == (0, [])
