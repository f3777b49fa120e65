"""What an adapter found odd is said at the end of every live command."""

from __future__ import annotations

import pytest
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel

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
