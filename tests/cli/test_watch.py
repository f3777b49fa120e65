"""`opendiag watch` on a python-can bus of this process, where somebody sends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import can
import pytest

from opendiag.errors import AdapterClosed
from opendiag.master.streams import FrameStream

ROOT = Path(__file__).resolve().parents[2]
BUS = ("-i", "virtual:watch")
#: An answered read of a statusword, then a heartbeat, over and over.
TRAFFIC = [(0x605, "4041600000000000"), (0x585, "4B41600027020000"), (0x705, "05")]


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.fixture
def traffic():
    """Node 5 is read every few milliseconds."""
    with can.Bus("watch", interface="virtual") as bus:
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(0.003):
                for can_id, data in TRAFFIC:
                    bus.send(can.Message(arbitration_id=can_id, data=bytes.fromhex(data), is_extended_id=False))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield
        ended.set()
        thread.join(5)


@pytest.mark.usefixtures("traffic")
def test_rows_until_enough_frames_came(run):
    outcome = run("watch", *BUS, "--count", "9")
    assert outcome.code == 0
    heading, *rows = outcome.out.splitlines()
    assert heading.split() == ["frames", "time", "node", "service", "object", "value"]
    assert len(rows) >= 5
    assert any("heartbeat   OPERATIONAL" in row for row in rows)
    assert any("6041:00 Statusword" in row and "OPERATION ENABLED" in row for row in rows)
    assert "virtual:watch: live" in outcome.err
    assert "9 frames" in outcome.err
    assert run("watch", *BUS, "--count", "3", "-q").err == ""


@pytest.mark.usefixtures("traffic")
def test_json_and_csv_are_read_back(run):
    lines = [json.loads(line) for line in run("watch", *BUS, "--count", "12", "--json").out.splitlines()]
    assert {"heartbeat", "sdo.read"} <= {line["svc"] for line in lines}
    assert all(line["t_ns"] > 1_500_000_000 * 10**9 for line in lines), "seconds since 1970"
    rows = list(csv.DictReader(io.StringIO(run("watch", *BUS, "--count", "12", "--csv").out)))
    assert {"heartbeat", "sdo.read"} <= {row["svc"] for row in rows}


@pytest.mark.usefixtures("traffic")
def test_single_frames(run):
    lines = run("watch", *BUS, "--count", "6", "--frames").out.splitlines()
    assert len(lines) == 6
    assert [line.split()[0] for line in lines] == list("123456")
    assert any(line.endswith("Node 5 is OPERATIONAL.") for line in lines)


@pytest.mark.usefixtures("traffic")
def test_filters(run):
    rows = run("watch", *BUS, "--count", "12", "--only", "hb").out.splitlines()[1:]
    assert rows
    assert all("heartbeat" in row for row in rows)
    changes = run("watch", *BUS, "--count", "30", "--only", "sdo", "--changes").out.splitlines()[1:]
    assert len([row for row in changes if "6041:00" in row]) == 1
    outcome = run("watch", *BUS, "--count", "6", "--node", "6")
    assert (outcome.code, outcome.out) == (0, "")
    assert "passes the filter" in outcome.err


@pytest.mark.parametrize("text", ["0", "50ms", "0.05", "0.05s"])
def test_a_silent_bus_ends_in_time(run, text):
    began = time.monotonic()
    outcome = run("watch", "-i", "virtual:nobody", "--for", text)
    assert (outcome.code, outcome.out) == (0, "")
    assert "0 frames" in outcome.err
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("traffic")
def test_a_busy_bus_ends_in_time(run):
    began = time.monotonic()
    assert run("watch", *BUS, "--for", "100ms").code == 0
    assert 0.1 <= time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--for", "-1"), "'-1' is no time"),
        (("--for", "soon"), "expected one such as 10, 10s"),
        (("--for", "inf"), "'inf' is no time"),
        (("--count", "0"), "--count"),
        (("--json", "--csv"), "choose one of"),
        (("--frames", "--json"), "choose one of"),
        (("--frames", "--changes"), "--frames shows frames"),
        (("--only", "foo"), "does not know 'foo'"),
        (("--node", "500"), "outside 1..127"),
        (("--object", "zz"), "'zz' is no object"),
        (("extra",), "extra"),
    ],
)
def test_a_wrong_call(run, arguments, word):
    outcome = run("watch", *BUS, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err


@pytest.mark.usefixtures("traffic")
def test_an_adapter_that_goes_away_is_an_error_after_what_was_seen(run, monkeypatch):
    left = iter(range(6))
    get = FrameStream.get

    def until_unplugged(self, timeout_s=None):
        if next(left, None) is None:
            raise AdapterClosed("virtual:watch", "unplugged")
        return get(self, timeout_s)

    monkeypatch.setattr(FrameStream, "get", until_unplugged)
    outcome = run("watch", *BUS)
    assert outcome.code == 3
    assert len(outcome.out.splitlines()) > 3
    assert "6 frames" in outcome.err.splitlines()[0]
    assert outcome.err.splitlines()[-1] == "opendiag: virtual:watch: unplugged"


@pytest.mark.usefixtures("traffic")
def test_lost_frames_are_said_and_are_exit_code_1(run, monkeypatch):
    monkeypatch.setattr("opendiag.master.streams.BACKLOG", 0)
    outcome = run("watch", *BUS, "--for", "100ms", "-q")
    assert outcome.code == 1
    assert "frames came faster than they could be taken" in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_it_with_its_summary(tmp_path: Path):
    text = (ROOT / "eds" / "stepim.eds").read_text("latin-1")
    at = text.index("DefaultValue=", text.index("[1017]"))
    quick = tmp_path / "quick.eds"  # its heartbeat comes every 50 ms
    quick.write_text(text[:at] + "DefaultValue=50" + text[text.index("\n", at) :], "latin-1")
    environment = {key: value for key, value in os.environ.items() if key != "OPENDIAG_INTERFACE"}
    with subprocess.Popen(
        [sys.executable, "-m", "opendiag", "watch", "-i", f"sim:{quick}=9", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert '"heartbeat"' in process.stdout.readline()  # shown while it watches
            process.send_signal(signal.SIGINT)
            _, notes = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == 0
    assert notes.startswith(f"sim:{quick}=9: live")
    assert "Traceback" not in notes
