"""What an adapter found odd is said at the end of every live command."""

from __future__ import annotations

import threading
import time

import pytest
from emulators.bench_slcan import CantactBench
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel

from opendiag.adapters.reader import NEWS
from opendiag.findings import Finding, Severity
from opendiag.master.sim_port import SimPort

FOUND = [
    Finding("adapter-info", Severity.INFO, "it was opened"),
    Finding("adapter-reconnect", Severity.WARNING, "it was unplugged once"),
    Finding("adapter-lost", Severity.ERROR, "3 frames are lost"),
]


@pytest.mark.parametrize(
    ("options", "codes"), [((), ["adapter-reconnect", "adapter-lost"]), (("-q",), ["adapter-lost"])]
)
def test_warnings_and_above(run, monkeypatch, options, codes):
    monkeypatch.setattr(SimPort, "findings", lambda self: FOUND, raising=False)
    outcome = run("send", "080#", "-i", "sim:stepim", *options)
    assert outcome.code == 0
    assert [line.split()[1].rstrip(":") for line in outcome.err.splitlines()] == codes


def test_an_analyzer_that_may_send_by_itself_is_warned_of_before_anything_is_sent(run, tmp_path):
    bench = UsbCanBench(BusModel(), tmp_path)
    where = ("-i", f"usbcan:{bench.channel}@500k")
    try:
        outcome = run("send", "123#11", *where)
        assert outcome.code == 0
        assert outcome.err.count("frames that it sends by itself") == 1
        assert run("send", "123#11", *where, "-q").err == ""
        assert "by itself" not in run("watch", *where, "--for", "50ms").err
    finally:
        bench.close()


def test_an_adapter_that_received_nothing_says_so(run, tmp_path):
    bench = UsbCanBench(BusModel(), tmp_path)
    watched = ("-i", f"usbcan:{bench.channel}@500k?status_interval_s=0.02", "--for", "300ms")
    try:
        for command in (("watch",), ("watch", "--raw"), ("sniff",), ("record", str(tmp_path / "a.log"))):
            outcome = run(*command, *watched)
            assert outcome.err.count("adapter-nothing-received") == 1, outcome.err
            assert "clear-filter" in outcome.err
        assert "adapter-nothing-received" not in run("watch", *watched, "-q").err
    finally:
        bench.close()


def test_an_adapter_that_confirms_nothing_says_so_once_after_sending(run, tmp_path):
    bench = CantactBench(BusModel(), tmp_path)
    where = ("-i", f"slcan:{bench.channel}@500k?dialect=cantact")
    try:
        for command in (("send", "123#11"), ("gen", "-n", "3", "-g", "1", "-y")):
            assert run(*command, *where).err.count("adapter-mute") == 1
            assert "adapter-mute" not in run(*command, *where, "-q").err
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"advice": "Do b."}, "warning x: a happened. Do b."),
        ({"evidence": "5", "advice": "Do b."}, "warning x: a happened [5]. Do b."),
        ({"assumed": "read as c", "advice": "Do b."}, "warning x: a happened; read as c. Do b."),
        ({"assumed": "is it c?", "advice": "Do b."}, "warning x: a happened; is it c? Do b."),
        ({"assumed": "read as c.", "advice": "Do b."}, "warning x: a happened; read as c. Do b."),
    ],
)
def test_advice_begins_a_new_sentence(parts, text):
    assert str(Finding("x", Severity.WARNING, "a happened", **parts)) == text


def _unplug_when_open(bench):
    until = time.monotonic() + 10.0
    while time.monotonic() < until and not any(line.startswith((b"O", b"L")) for line in bench.device.lines):
        time.sleep(0.005)
    bench.unplug()


@pytest.mark.parametrize("options", [(), ("-q",)])
def test_an_adapter_that_is_gone_and_looked_for_is_said_at_once(run, tmp_path, options):
    """Not only at the end."""
    bench = CantactBench(BusModel(), tmp_path)
    watched = ("watch", "-i", f"slcan:{bench.channel}@500k?dialect=cantact&reconnect_s=30", "--for", "1s")
    unplug = threading.Thread(target=_unplug_when_open, args=(bench,))
    unplug.start()
    try:
        outcome = run(*watched, *options)
        said = outcome.err.find("looking for it for 30 s")
        assert (said >= 0) is not bool(options), outcome.err
        if said >= 0:
            assert said < outcome.err.index("adapter-mute")
        assert NEWS.handlers == []
    finally:
        unplug.join()
        bench.close()


@pytest.mark.parametrize(("given", "options", "said"), [(1, (), True), (0, (), False), (1, ("-q",), False)])
def test_what_confirms_nothing_is_said_on_a_busy_bus_too(run, monkeypatch, given, options, said):
    found = [Finding("adapter-mute", Severity.INFO, "it confirms nothing"), *FOUND[:1]]
    monkeypatch.setattr(SimPort, "findings", lambda self: found, raising=False)
    monkeypatch.setattr(SimPort, "taken", 5, raising=False)
    monkeypatch.setattr(SimPort, "given", given, raising=False)
    outcome = run("send", "080#", "-i", "sim:stepim", *options)
    assert ("adapter-mute" in outcome.err) is said
    assert "adapter-info" not in outcome.err
