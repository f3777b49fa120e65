"""`opendiag scope` and `master.scope` on a simulated bus: where samples come from, triggers, files, and that a device
is left as it was.
"""

import csv
import json

import pytest
from scripted_bus import Script

import opendiag
from opendiag.cli.trigger import TriggerError, compile_signal_trigger, compile_trigger
from opendiag.decode.records import Record
from opendiag.errors import SdoRefusal, ValueRefused
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.scope import Scope
from opendiag.master.scope_recording import Recording, Signal
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM
from opendiag.wire.sdo_abort import SdoAbortCode

FAR = 40_000


class Bench:
    """A drive, enabled in profile position by hand, with a master on a clock of the test."""

    def __init__(self, kind="stepim", *, start=True, sync_s=None, bit_rate=1_000_000):
        self.node = 101 if kind == "stepim" else 5
        self.drive = StepIM() if kind == "stepim" else SimDrive(servo_dictionary(), 5)
        self.bus = SimBus(bit_rate)
        self.bus.attach(self.drive, "drive", on_event=lambda event, now: None)
        self.network = opendiag.connect(self.bus, clock=ManualClock(), dictionaries={self.node: self.drive.dictionary})
        self.network.bit_rate = bit_rate
        self.drive.switches.negative, self.drive.switches.positive = -1000.0, 1000.0
        self.network.sleep(0.1)
        if start:
            self.network.send(Frame(0, bytes([1, self.node])))
        self.write(0x6060, 1)
        for word in (6, 7, 15):
            self.write(0x6040, word)
            self.network.sleep(0.02)
        if sync_s:
            self.network.sync(sync_s)
        self.network.sleep(0.1)
        self.before = self.pdos()

    def write(self, index, value, sub=0):
        width = self.drive.store.width(index, sub) or 4
        self.network.node(self.node).download(index, sub, (value & (1 << 8 * width) - 1).to_bytes(width, "little"))

    def move(self, target=FAR):
        self.write(0x607A, target)
        self.write(0x6040, 0x1F)

    def pdos(self):
        return {key: value for key, value in self.drive.store.values.items() if 0x1400 <= key[0] < 0x1C00}

    def scope(self, *objects, **more):
        return Scope(self.network, self.node, objects, **more)


def by_object(recording):
    return {f"{signal.index:04X}": signal for signal in recording.signals}


# --- where the samples come from ------------------------------------------------------------------------------------


def test_a_free_tpdo_is_mapped_and_put_back():
    bench = Bench()
    with bench.scope("6064", "606C", period_s=0.002) as scope:
        assert [source.text for source in scope.sources] == ["TPDO5 mapped for this, every 2 ms"]
        assert bench.pdos() != bench.before
        recording = scope.record(0.5)
    assert bench.pdos() == bench.before
    for signal in recording.signals:
        assert len(signal.times_s) == pytest.approx(250, abs=3)
        assert signal.statistics().rate_hz == pytest.approx(500, rel=0.01)
        assert signal.statistics().gaps == 0


def test_with_sync_it_is_sent_by_sync():
    bench = Bench(sync_s=0.002)
    with bench.scope("6064", period_s=0.004) as scope:
        assert [source.text for source in scope.sources] == ["TPDO5 mapped for this, with SYNC, every 4 ms"]
        recording = scope.record(0.4)
    assert bench.pdos() == bench.before
    assert len(recording.signals[0].times_s) == pytest.approx(100, abs=2)


def test_a_tpdo_that_comes_often_enough_is_taken_as_it_is():
    bench = Bench("servo")
    bench.write(0x1802, 0x80000385, 1)
    bench.write(0x1802, 5, 5)
    bench.write(0x1802, 0x385, 1)
    before = bench.pdos()
    with bench.scope("6064", period_s=0.005) as scope:
        assert [source.text for source in scope.sources] == ["TPDO3 as it is, every 5 ms"]
        assert bench.pdos() == before
        recording = scope.record(0.5)
    assert len(recording.signals[0].times_s) == pytest.approx(100, abs=3)


def test_what_no_pdo_carries_is_polled():
    bench = Bench("servo")  # all its TPDOs are in use
    with bench.scope("6077", period_s=0.01) as scope:
        assert [source.text for source in scope.sources] == ["SDO polling"]
        recording = scope.record(0.5)
    assert len(recording.signals[0].times_s) == pytest.approx(50, abs=2)
    assert recording.signals[0].source == "SDO polling"


def test_a_node_that_is_not_operational_is_polled_and_not_started():
    bench = Bench(start=False)
    with bench.scope("6064") as scope:
        assert [source.text for source in scope.sources] == ["SDO polling"]
        assert "is PRE-OPERATIONAL, and PDOs come in OPERATIONAL only" in scope.notes[0]
        scope.record(0.1)
    assert bench.drive.nmt_state.name == "PRE_OPERATIONAL"


def test_the_node_never_leaves_operational_and_the_drive_stays_enabled():
    bench = Bench()
    states = []
    store, write = bench.drive.store, bench.drive.store.write

    def refusing(index, subindex, data, now):
        states.append(bench.drive.nmt_state.name)
        if 0x1A00 <= index < 0x1C00:
            raise SdoRefusal(SdoAbortCode.DEVICE_STATE)
        return write(index, subindex, data, now)

    store.write = refusing
    with bench.scope("6064") as scope:
        assert [source.text for source in scope.sources][-1] == "TPDO2 as it is, when something changes"
        assert any("could not be mapped" in note for note in scope.notes)
        scope.record(0.1)
    assert set(states) == {"OPERATIONAL"}
    assert bench.drive.pds.state.value == "OPERATION ENABLED"
    assert bench.pdos() == bench.before


def test_only_pdo_where_there_is_none():
    bench = Bench("servo")
    with pytest.raises(ValueRefused, match="no TPDO carries 6077:00, and none is free"), bench.scope("6077", by="pdo"):
        pass
    assert bench.pdos() == bench.before


def test_no_tpdo_is_changed_where_that_is_not_wanted():
    bench = Bench()
    with bench.scope("6077" if bench.node == 5 else "6078", "2044", may_map=False) as scope:
        assert [source.text for source in scope.sources] == [
            "TPDO3 as it is, when something changes",
            "SDO polling",
        ]
        assert bench.pdos() == bench.before


def test_a_slow_bus_is_not_flooded():
    bench = Bench(bit_rate=50_000)
    with bench.scope("6064", period_s=0.001) as scope:
        assert "would take more than 40% of a bus with 50 kbit/s" in scope.notes[0]
        assert (scope.sources[0].period_s or 0) >= 0.006


def test_what_is_put_back_is_told_where_it_cannot_be():
    bench = Bench()
    with bench.scope("6064") as scope:
        bench.drive.power_off()
    assert "could not be put back as it was" in scope.notes[-1]


def test_it_is_put_back_after_an_error():
    bench = Bench()
    with pytest.raises(RuntimeError, match="of somebody else"), bench.scope("6064"):
        raise RuntimeError("of somebody else")
    assert bench.pdos() == bench.before


def test_wrong_calls():
    bench = Bench()
    with pytest.raises(ValueError, match="0 objects: expected 1 to 8"):
        bench.scope()
    with pytest.raises(ValueError, match="9 objects"):
        bench.scope(*["6064"] * 9)
    with pytest.raises(ValueError, match="expected auto, pdo or sdo"):
        bench.scope("6064", by="radio")
    with pytest.raises(ValueRefused, match="it is no number"), bench.scope("1008"):
        pass


# --- trigger --------------------------------------------------------------------------------------------------------


def recorded(expression, then, *objects, pre_s=0.05, for_s=0.3, wait_s=2.0, kind="stepim", **more):
    bench = Bench(kind)
    trigger = compile_signal_trigger(expression)
    with bench.scope(*(objects or ("6064", "606C")), period_s=0.002, also=trigger.objects, **more) as scope:
        begin = bench.network.clock.now() + 0.3
        bench.bus.attach(Later(begin, lambda now: then(bench, now)), "what happens")
        recording = scope.record(for_s, fires=trigger.test, what=expression, pre_s=pre_s, wait_s=wait_s)
    assert bench.pdos() == bench.before
    return recording


class Later:
    """Calls a function at a time, and sends what it gives."""

    def __init__(self, at, function):
        self.at, self.function, self.out = at, function, []

    def receive(self, frame, now):
        pass

    def tick(self, now):
        if self.at is not None and now >= self.at:
            self.at = None
            self.out += self.function(now) or []

    def deadline(self):
        return self.at

    def frames_to_send(self):
        out, self.out = self.out, []
        return out

    def events(self):
        return []


def start_motion(bench, now):
    """By SDO of another master on the same channel: the drive answers, nobody minds."""
    target = FAR.to_bytes(4, "little")
    node = 0x600 + bench.node
    return [
        Frame(node, bytes([0x23, 0x7A, 0x60, 0]) + target),
        Frame(node, bytes([0x2B, 0x40, 0x60, 0, 0x1F, 0, 0, 0])),
    ]


def fail(bench, now):
    bench.drive.fault(0x7310, now)


def test_a_rising_edge_with_what_came_before():
    recording = recorded("6064 rising 500", start_motion)
    assert recording.triggered
    signal = by_object(recording)["6064"]
    before = [value for time_s, value in zip(signal.times_s, signal.values, strict=True) if time_s < 0]
    after = [value for time_s, value in zip(signal.times_s, signal.values, strict=True) if time_s >= 0]
    assert all(value < 500 for value in before)
    assert after[0] >= 500
    assert signal.times_s[0] == pytest.approx(-0.05, abs=0.003)
    assert signal.times_s[-1] == pytest.approx(0.3, abs=0.003)
    assert recording.happenings[0].time_s == 0.0
    assert recording.happenings[0].text == "trigger 6064 rising 500"


def test_a_level_of_two_objects_that_no_frame_has_both_of():
    recording = recorded("6064>300 and 6078>0 and 607A==40000", start_motion, "6064", "6078", "606C", "6041", "607A")
    assert recording.triggered


def test_a_state_of_an_object_that_is_not_shown():
    recording = recorded("state==FAULT", fail)
    assert recording.triggered
    assert [signal.object for signal in recording.shown] == ["6064:00", "606C:00"]
    assert "6041" in by_object(recording)
    assert "FAULT" in [each.text for each in recording.happenings]


def test_an_emcy():
    recording = recorded("emcy", fail)
    assert recording.triggered
    assert any(each.text.startswith("EMCY") for each in recording.happenings)


def test_a_trigger_that_never_comes():
    recording = recorded("6064 rising 500", lambda bench, now: None, wait_s=0.5)
    assert recording.triggered is False
    assert not recording.empty


@pytest.mark.parametrize(
    ("expression", "values", "fires_at"),
    [
        ("606C rising 500", [0, 499, 500, 600, 0, 700], [2, 5]),
        ("606C falling 0", [5, 1, 0, -3, 4, -1], [2, 5]),
        ("606C crossing 100", [0, 200, 0, 99, 101], [1, 2, 4]),
        ("606C rising 500", [700, 800], []),  # it has to be seen below before
        ("606C>500", [0, 501, 502, 3], [1, 2]),
        ("not 606C rising 500", [0, 600, 700], [0, 2]),
    ],
)
@pytest.mark.parametrize("compiled", [compile_trigger, lambda text: compile_signal_trigger(text).test])
def test_edges_and_levels(expression, values, fires_at, compiled):
    fires = compiled(expression)
    records = [Record("tpdo", (n,), node=5, index=0x606C, subindex=0, value=value) for n, value in enumerate(values)]
    assert [n for n, record in enumerate(records) if fires(record)] == fires_at


def test_an_edge_is_that_of_one_node():
    fires = compile_trigger("606C rising 500")
    made = [Record("tpdo", (), node=node, index=0x606C, subindex=0, value=value) for node, value in ((5, 0), (6, 900))]
    assert not any(map(fires, made))


def test_an_edge_sees_also_what_another_part_decides():
    fires = compile_trigger("node==5 and 606C rising 500 or node==6")
    made = [Record("tpdo", (), node=node, index=0x606C, subindex=0, value=value) for node, value in ((5, 0), (5, 600))]
    assert [fires(record) for record in made] == [False, True]


def test_the_objects_that_a_trigger_looks_at():
    assert compile_signal_trigger("6064>5 and state==FAULT or 606C rising 3 or 6064<1").objects == (
        (0x6064, 0),
        (0x6041, 0),
        (0x606C, 0),
    )
    assert compile_signal_trigger("emcy").objects == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("606C rising", "expected a number, not the end"),
        ("606C rising fast", "expected a number, not 'fast'"),
        ("state rising 5", "'state' is no number that could be rising"),
        ("rising 5", "'rising' is unknown"),
    ],
)
def test_edges_that_are_none(text, says):
    with pytest.raises(TriggerError, match=says):
        compile_trigger(text)


# --- statistics -----------------------------------------------------------------------------------------------------


def test_gaps_and_rate():
    signal = Signal(0x6064, 0, "x", period_s=0.01, times_s=[0, 0.01, 0.02, 0.06, 0.07], values=[1, 2, 3, 4, 5])
    seen = signal.statistics()
    assert (seen.count, seen.gaps) == (5, 1)
    assert seen.rate_hz == pytest.approx(4 / 0.07)
    assert seen.longest_s == pytest.approx(0.04)
    assert (seen.least, seen.greatest, seen.mean) == (1, 5, 3)


def test_a_signal_without_samples():
    seen = Signal(0x6064, 0, "x").statistics()
    assert (seen.count, seen.rate_hz, seen.mean, seen.gaps) == (0, None, None, None)
    assert Recording(5, [Signal(0x6064, 0, "x")], 0.0).empty


def test_a_sample_that_comes_late_is_put_where_it_belongs():
    signal = Signal(0x6064, 0, "x")
    for time_s, value in ((1.0, 1), (3.0, 3), (2.0, 2)):
        signal.add(time_s, value)
    assert signal.values == [1, 2, 3]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def node(bus):
    made = StepIM()
    bus.attach(made, "node 101")
    return made


def test_the_table_and_the_notes(run, node):
    outcome = run("scope", "6064,606C", "--node", "101", "--for", "200ms", "--rate", "100Hz")
    assert outcome.code == 0
    assert "6064:00, 606C:00: SDO polling." in outcome.err
    assert "PDOs come in OPERATIONAL only" in outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split()[:3] == ["signal", "object", "from"]
    assert "Velocity Actual Value [rpm]" in lines[2]


def test_files_of_every_kind(run, node, tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    files = [tmp_path / f"out{suffix}" for suffix in (".csv", ".json", ".html", ".svg", ".parquet")]
    outcome = run(
        *("scope", "6064", "606C", "--node", "101", "--for", "200ms", "-q"),
        *(text for file in files for text in ("-o", str(file))),
    )
    assert (outcome.code, outcome.err) == (0, "")
    rows = list(csv.reader(files[0].read_text(encoding="utf-8").splitlines()))
    assert rows[0] == [
        "time [s]",
        "Position Actual Internal Value 6064:00 [counts]",
        "Velocity Actual Value 606C:00 [rpm]",
    ]
    assert len(rows) > 30
    data = json.loads(files[1].read_text(encoding="utf-8"))
    assert [signal["unit"] for signal in data["signals"]] == ["counts", "rpm"]
    assert data["signals"][0]["statistics"]["count"] == len(data["signals"][0]["values"])
    assert files[2].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert files[3].read_text(encoding="utf-8").startswith("<svg")
    table = pq.read_table(files[4])
    assert table.num_rows == len(rows) - 1
    assert table.schema.field(2).metadata[b"unit"] == b"rpm"
    assert not list(tmp_path.glob("*.part"))


def test_a_png_needs_matplotlib(run, node, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    outcome = run("scope", "6064", "--node", "101", "-o", str(tmp_path / "x.png"))
    assert outcome.code == 2
    assert "a PNG plot needs matplotlib: pip install 'opendiag[plot]'" in outcome.err


def test_a_png(run, node, tmp_path):
    pytest.importorskip("matplotlib")
    outcome = run("scope", "6064", "--node", "101", "--for", "100ms", "-q", "-o", str(tmp_path / "x.png"))
    assert outcome.code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_json_to_stdout(run, node):
    outcome = run("scope", "6064", "--node", "101", "--for", "100ms", "--json", "-q")
    assert outcome.code == 0
    assert json.loads(outcome.out)["signals"][0]["object"] == "6064:00"


def test_a_trigger_that_never_comes_is_a_finding(run, node):
    outcome = run("scope", "6064", "--node", "101", "--trigger", "6064>1000", "--wait", "200ms")
    assert outcome.code == 1
    assert "The trigger 6064>1000 never came" in outcome.err


def test_a_trigger_by_emcy_with_what_came_before(run, node, bus):
    bus.attach(Script((bus.now + 1.0, Frame(0xE5, bytes([0x10, 0x73, 1, 0, 0, 0, 0, 0])))), "an EMCY")
    outcome = run(
        *("scope", "6064", "--node", "101", "--trigger", "emcy", "--pre", "100ms", "--for", "100ms", "--json", "-q")
    )
    data = json.loads(outcome.out)
    assert outcome.code == 0
    assert data["triggered"]
    assert data["signals"][0]["times_s"][0] == pytest.approx(-0.1, abs=0.01)
    assert data["happenings"][0] == {"time_s": 0.0, "text": "trigger emcy"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["6064"], "Missing option '--node'"),
        (["6064,6064,6064,6064,6064,6064,6064,6064,6064", "--node", "101"], "9 objects: expected 1 to 8"),
        (["6064", "--node", "101", "--pre", "1s"], "--pre and --wait belong to --trigger"),
        (["6064", "--node", "101", "--trigger", "606C rising"], "expected a number"),
        (["6064", "--node", "101", "--rate", "0Hz"], "is no rate"),
        (["6064", "--node", "101", "-o", "x.pdf"], "its suffix is none of .csv, .html"),
        (["6064", "--node", "101", "-o", "/nowhere/x.csv"], "there is no directory"),
        (["Nonsense", "--node", "101"], "expected an object such as 6064"),
    ],
)
def test_wrong_command_lines(run, node, arguments, says):
    outcome = run("scope", *arguments)
    assert outcome.code == 2
    assert says in outcome.err


def test_a_file_is_not_overwritten_unasked(run, node, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("mine")
    outcome = run("scope", "6064", "--node", "101", "-o", str(file))
    assert outcome.code == 2
    assert file.read_text() == "mine"
    assert run("scope", "6064", "--node", "101", "--for", "50ms", "-o", str(file), "--force").code == 0
    assert file.read_text().startswith("time [s]")


def test_an_unknown_object_of_the_device(run, node):
    outcome = run("scope", "2FFF", "--node", "101", "--for", "50ms")
    assert outcome.code == 4
