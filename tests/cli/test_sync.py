"""`opendiag sync`: what is sent, when it ends, and what is said about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from opendiag.errors import AdapterClosed
from opendiag.master.sim_port import SimPort


@pytest.fixture
def heard(bus):
    """What another station on the bus receives."""
    station = bus.attach(name="listener")
    return lambda: station.receive()


def test_so_many_syncs(run, heard):
    outcome = run("sync", "--count", "5", "--period", "10ms", "-q")
    assert outcome.code == 0
    frames = heard()
    assert [(frame.can_id, frame.data) for frame in frames] == [(0x80, b"")] * 5
    assert frames[-1].time_ns - frames[0].time_ns == pytest.approx(40e6, rel=0.01)
    first, period, lateness = outcome.out.splitlines()
    assert first == "5 SYNCs sent on 080h in 0.040 s"
    assert period.split()[:3] == ["period", "wanted", "10.000"]
    assert lateness.startswith("lateness  p50 0.000   p99 0.000")


def test_with_a_counter_on_another_identifier(run, heard):
    run("sync", "--count", "7", "--counter", "3", "--cob-id", "0x90", "-q")
    assert [(frame.can_id, frame.data[0]) for frame in heard()] == [(0x90, n) for n in (1, 2, 3, 1, 2, 3, 1)]


def test_above_7ff_an_identifier_has_29_bits(run, heard):
    outcome = run("sync", "--count", "1", "--cob-id", "12345", "-q")
    assert [(frame.can_id, frame.extended) for frame in heard()] == [(0x12345, True)]
    assert outcome.out.startswith("1 SYNC sent on 00012345h in")


def test_json(run, bus):
    made = json.loads(run("sync", "--for", "1s", "--period", "100ms", "--json", "-q").out)
    assert made.pop("sent") in (10, 11)
    assert made.pop("took_s") == pytest.approx(1, abs=0.11)
    assert made == {
        "cob_id": 0x80,
        "missed": 0,
        "failed": 0,
        "period_ms": {"wanted": 100, "mean": 100, "min": 100, "p50": 100, "p99": 100, "max": 100},
        "late_ms": {"p50": 0, "p99": 0, "max": 0},
    }


def test_a_single_one_has_no_period(run, heard):
    outcome = run("sync", "--count", "1", "-q")
    assert len(heard()) == 1
    assert outcome.out.splitlines()[0] == "1 SYNC sent on 080h in 0.000 s"
    assert "period" not in outcome.out
    assert json.loads(run("sync", "--count", "1", "-q", "--json").out)["period_ms"]["p99"] is None


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--period", "0"), "--period 0 is none"),
        (("--counter", "1"), "counter overflow 1 is neither 0 (no counter) nor 2..240"),
        (("--cob-id", "xyz"), "'xyz' is no CAN-ID"),
        (("--cob-id", "0"), "'0' is no CAN-ID"),
        (("--cob-id", "40000080"), "'40000080' is no CAN-ID"),
        (("--cob-id", "601"), "CAN-ID 601h: it belongs to SDO request, and SYNC may not have it"),
        (("--cob-id", "7f"), "CAN-ID 07Fh: CiA 301 keeps it for itself"),
        (("--count", "0"), "0 is not in the range"),
    ],
)
def test_wrong_calls(run, arguments, said):
    outcome = run("sync", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


def test_a_bus_that_goes_ends_it_with_what_there_was(run, bus, monkeypatch):
    real = SimPort.send
    left = iter(range(3))

    def send(port, frame):
        if next(left, None) is None:
            raise AdapterClosed(port.name, "unplugged")
        real(port, frame)

    monkeypatch.setattr(SimPort, "send", send)
    outcome = run("sync", "--count", "10", "-q")
    assert outcome.code == 3
    assert outcome.out.startswith("3 SYNCs sent")
    assert "unplugged" in outcome.err


def test_ctrl_c_ends_it_and_the_statistics_come():
    environment = {name: value for name, value in os.environ.items() if name != "OPENDIAG_INTERFACE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "opendiag", "sync", "-i", "sim:stepim", "--period", "5ms"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "SYNCs sent on 080h" in out
