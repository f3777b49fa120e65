"""`opendiag sim`: devices for other programs over TCP, and devices on a bus that is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import can
import pytest

import opendiag
from opendiag.cli import live
from opendiag.errors import SdoTimeout
from opendiag.frame import Frame

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "OPENDIAG_INTERFACE"}
SERVE = ("--serve", "127.0.0.1:0")


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "opendiag", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@pytest.fixture
def simulator():
    """A simulator in a process of its own; gives the process and what -i takes."""
    processes = []

    def simulator_(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = start("sim", *arguments, *SERVE, "--for", "20s")
        processes.append(process)
        assert " on a simulated bus of 1 Mbit/s." in process.stderr.readline()
        use = process.stderr.readline()
        found = re.search(r"-i (socketcand:127\.0\.0\.1:\d+/sim), in any number of programs", use)
        assert found, use
        return process, found[1]

    yield simulator_
    for process in processes:
        process.kill()
        process.communicate()


# --- for other programs ---


@posix
def test_several_programs_share_one_bus(simulator):
    process, interface = simulator("stepim=101", "stepim=102")
    watching = start("watch", "-i", interface, "--json")
    try:
        # The heartbeat of 2 s is the first that it sees; from then on it sees everything.
        first = watching.stdout.readline()
        with ThreadPoolExecutor(3) as pool:
            wrote = pool.submit(_ended, "write", "102", "6081", "70 rpm", "--verify", "-i", interface)
            read = pool.submit(_ended, "read", "101", "6041", "-i", interface)
            other = pool.submit(_with_python_can, interface)
            assert wrote.result() == (0, "= 70 rpm")
            assert read.result() == (0, "SWITCH ON DISABLED; switch on disabled, remote")
            assert other.result() == bytes.fromhex("4B41600040020000")
        watching.send_signal(signal.SIGINT)
        seen, notes = watching.communicate(timeout=8)
    finally:
        watching.kill()
    assert watching.returncode == 0
    assert notes.startswith(f"{interface}: live")
    lines = [json.loads(line) for line in (first + seen).splitlines()]
    assert {(line["svc"], line["node"]) for line in lines} >= {
        ("heartbeat", 101),
        ("sdo.read", 101),
        ("sdo.write", 102),
    }
    process.send_signal(signal.SIGINT)
    _, notes = process.communicate(timeout=8)
    assert process.returncode == 0
    assert re.fullmatch(r"\d+ frames, 0 error frames on the bus\.\n", notes)


def _ended(*arguments: str) -> tuple[int, str]:
    """Exit code and the words of the only row."""
    done = subprocess.run(
        [sys.executable, "-m", "opendiag", *arguments], capture_output=True, text=True, timeout=9, env=ENVIRONMENT
    )
    return done.returncode, (done.stdout.strip() or done.stderr).split("  ")[-1].strip()


def _with_python_can(interface: str) -> bytes:
    port = int(interface.split(":")[2].split("/")[0])
    with can.Bus(interface="socketcand", host="127.0.0.1", port=port, channel="sim") as bus:
        request = bytes.fromhex("4041600000000000")
        bus.send(can.Message(arbitration_id=0x665, data=request, is_extended_id=False))
        until = time.monotonic() + 3
        while time.monotonic() < until:
            message = bus.recv(0.3)
            if message is not None and message.arbitration_id == 0x5E5:
                return bytes(message.data)
    return b""


def test_faults_are_those_of_the_file(simulator, run, tmp_path: Path):
    file = tmp_path / "faults.json"
    file.write_text('[{"action": "drop", "node": 101, "service": "sdo response"}]')
    _, interface = simulator("stepim=101", "stepim=102", "--faults", str(file))
    lost = run("read", "101", "6041", "-i", interface, "--timeout", "100ms")
    assert lost.code == 4
    assert "no answer within 0.1 s" in lost.err
    assert run("read", "102", "6041", "-i", interface).code == 0


@posix
def test_a_simulator_that_ends_is_exit_code_3_for_those_who_watch(simulator):
    process, interface = simulator()
    watching = start("watch", "-i", interface, "--json")
    try:
        assert watching.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, notes = watching.communicate(timeout=8)
    finally:
        watching.kill()
    assert watching.returncode == 3
    assert notes.startswith(f"{interface}: live"), "what was seen until then"
    assert f"opendiag: {interface}: " in notes


def test_without_an_interface_the_running_simulator_is_named(run, simulator, monkeypatch):
    from opendiag.adapters.uri import parse_interface

    _, interface = simulator("stepim=5")
    monkeypatch.setattr("opendiag.adapters.ports.running_simulator", lambda: parse_interface(interface))
    outcome = run("read", "5", "1008")
    assert (outcome.code, outcome.err.strip()) == (0, live.SERVED)


def test_a_lonely_device_is_acknowledged(run):
    outcome = run("sim", *SERVE, "--for", "100ms")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines()[-1] == "1 frame, 0 error frames on the bus."
    assert run("sim", *SERVE, "--for", "100ms", "--bit-rate", "250k").err.startswith("stepim as node 101 on a")


# --- on a bus that is there ---


def test_devices_on_a_bus_answer_those_who_are_on_it(run):
    answers = []

    def ask() -> None:
        with opendiag.connect("virtual:simulated", timeout_s=0.3) as network:
            for _ in range(10):  # until it is there
                try:
                    word, name = network.read(5, 0x6041), network.read(6, 0x1008)
                except SdoTimeout:
                    continue
                if word & 0x4F:  # its self-test is over
                    answers.append((word, name))
                    network.send(Frame(0x000, b"\x81\x05"))
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    outcome = run("sim", "stepim=5", "stepim=6", "-i", "virtual:simulated", "--for", "1s")
    thread.join(9)
    assert answers == [(0x240, "stepIM")]
    assert (outcome.code, outcome.out) == (0, "")
    first, last = outcome.err.splitlines()
    assert first == "stepim as node 5, stepim as node 6 on virtual:simulated. Ctrl-C ends it."
    assert re.fullmatch(r"\d+ frames received, \d+ sent\.", last)


def test_the_interface_may_come_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("OPENDIAG_INTERFACE", "virtual:environment")
    assert "on virtual:environment" in run("sim", "--for", "50ms").err
    assert "on a simulated bus" in run("sim", *SERVE, "--for", "50ms").err


@posix
def test_ctrl_c_ends_it_with_its_summary():
    with start("sim", "-i", "virtual:alone") as process:
        try:
            assert "Ctrl-C ends it." in process.stderr.readline()
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            _, notes = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == 0
    assert notes == "0 frames received, 1 sent.\n"


# --- wrong calls ---


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("foo", "--for", "1s"), 2, "no EDS named 'foo'"),
        (("-i", "virtual:x", *SERVE), 2, "take one"),
        (("foo", *SERVE), 2, "no EDS named 'foo'"),
        (("stepim=1", "stepim=1", *SERVE), 2, "two devices with node-ID 1"),
        (("stepim", "stepim", "-i", "virtual:x"), 2, "two devices with node-ID 101"),
        (("stepim=200", *SERVE), 2, "'200' is no node-ID"),
        (("stepim=200", "-i", "virtual:x"), 2, "200 is outside 1..127"),
        (("stepim=5", "--node", "7", *SERVE), 2, "--node is for a single device"),
        (("--serve", "127.0.0.1:99999"), 2, "99999 is no TCP port"),
        (("--bit-rate", "5x", *SERVE), 2, "'5x' is no bit rate"),
        (("--for", "soon", *SERVE), 2, "'soon' is no time"),
        (("-i", "sim"), 2, "use --serve"),
        (("-i", "foo:bar"), 2, "there is no adapter 'foo'"),
        (("-i", "socketcand:127.0.0.1:1/sim"), 3, "is the server running"),
        (("-i", "virtual:x", "--faults", "x.json"), 2, "use it with --serve"),
        (("--faults", "missing.json", *SERVE), 2, "missing.json: no such file"),
    ],
)
def test_a_wrong_call(run, arguments, code, word):
    outcome = run("sim", *arguments)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert word in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "is no JSON"),
        ("\xff\xfe", "is no JSON"),
        ("5", "expected a list of faults"),
        ('{"action": "drop"}', "expected a list of faults"),
        ("[5]", "a fault is an object"),
        ('[{"action": "drip"}]', "action is 'drip'"),
        ('[{"action": "drop", "node": "x"}]', "node is 'x'"),
        ('[{"action": "drop", "colour": 1}]', "no field 'colour'"),
    ],
)
def test_a_wrong_file_of_faults(run, tmp_path: Path, text, word):
    file = tmp_path / "faults.json"
    file.write_text(text, "latin-1")
    outcome = run("sim", *SERVE, "--faults", str(file))
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err and str(file) in outcome.err


def test_a_port_that_is_taken(run, simulator):
    _, interface = simulator()
    address = interface.removeprefix("socketcand:").removesuffix("/sim")
    outcome = run("sim", "--serve", address, "--for", "50ms")
    assert outcome.code == 3
    assert "another server may run already" in outcome.err
