"""`opendiag top`: what it works out, how it looks, and the terminal it is drawn on."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest
from rich.console import Console
from scripted_bus import Script

from opendiag.cia402.states import PdsState
from opendiag.cli.top_keys import keys_in
from opendiag.cli.top_model import NodeFacts, TopModel
from opendiag.cli.top_screen import lines, picture
from opendiag.cli.top_snapshot import BusShown, EmcyShown, NodeShown, Range, SignalShown, Snapshot
from opendiag.decode.decoder import Decoder
from opendiag.dictionary.library import load
from opendiag.errors import AdapterClosed
from opendiag.frame import Frame
from opendiag.simulate.stepim import StepIM
from opendiag.wire.emcy import Emcy
from opendiag.wire.nmt import NmtState

HERE = {5: NodeFacts(frames=1)}


def frame(can_id, data="", at=0.0):
    return Frame(can_id, bytes.fromhex(data), time_ns=round(at * 1e9))


def fed(*frames, signals=None, dictionaries=None):
    """A model that got frames, at the times that they carry."""
    model = TopModel(Decoder(dictionaries or {}), signals)
    for one in frames:
        model.feed(one, (one.time_ns or 0) / 1e9)
    return model


def node(model, now=1.0, facts=None):
    (shown,) = (one for one in model.nodes(now, facts or HERE) if one.node_id == 5)
    return shown


# --- the model


def test_the_state_of_a_drive_by_sdo_and_its_boot_up():
    asked, told = frame(0x605, "4041600000000000"), frame(0x585, "4b41600037020000", 0.002)
    model = fed(asked, told)
    assert node(model).pds == ((0, PdsState.OPERATION_ENABLED),)
    model.feed(frame(0x705, "00"), 1.0)
    assert node(model).pds == (), "what it was before it started again says nothing"


def test_the_state_of_a_second_axis():
    frames = frame(0x605, "4041680000000000"), frame(0x585, "4b41680008000000")
    assert node(fed(*frames)).pds == ((1, PdsState.FAULT),)


def test_a_signal_of_a_pdo_keeps_its_last_value_and_its_age():
    stepim = load("stepim")
    by_sdo = [frame(0x605, "401a1a0000000000"), frame(0x585, "4f1a1a0000000000")]
    model = fed(*by_sdo, signals={5: [(0x6064, 0)]}, dictionaries={5: stepim})
    (unseen,) = node(model).signals
    assert (unseen.record, unseen.name) == (None, "Position Actual Internal Value")
    model.feed(frame(0x605, "4064600000000000", 3.0), 3.0)
    model.feed(frame(0x585, "43646000e8030000", 3.001), 3.0)
    (seen,) = node(model, now=4.5).signals
    assert (seen.record.value, seen.age_s) == (1000, 1.5)
    assert model.last_value_at(5, (0x6064, 0)) == 3.0


def test_a_signal_of_a_mapped_tpdo():
    """The traffic itself shows the mapping: 1A00h is written, then TPDO1 comes."""
    write = [
        ("2f001a0000000000", "60001a0000000000"),
        ("23001a0120006460", "60001a0100000000"),
        ("2f001a0001000000", "60001a0000000000"),
    ]
    frames = [frame(can_id, data) for pair in write for can_id, data in zip((0x605, 0x585), pair, strict=True)]
    model = fed(*frames, frame(0x185, "2a000000", 2.0), signals={5: [(0x6064, 0)]})
    (signal,) = node(model, now=2.0).signals
    assert (signal.record.service, signal.record.value) == ("tpdo", 42)


def test_answering_times_aborts_and_silence():
    pairs = [
        (frame(0x605, "4000100000000000", 0.0), frame(0x585, "4300100000000000", 0.002)),
        (frame(0x605, "4000100000000000", 1.0), frame(0x585, "4300100000000000", 1.009)),
        (frame(0x605, "4000200000000000", 2.0), frame(0x585, "8000200000000206", 2.001)),
    ]
    model = fed(*(one for pair in pairs for one in pair))
    model.feed(frame(0x605, "4001100000000000", 3.0), 3.0)
    model.feed(frame(0x605, "8001100000000405", 3.5), 3.5)
    shown = node(model)
    assert (shown.sdo.min_ms, shown.sdo.max_ms) == (pytest.approx(1), pytest.approx(9))
    assert (shown.aborts, shown.unanswered) == (1, 1)
    assert node(model, facts={5: NodeFacts(sdo=Range(3, 4))}).sdo == Range(3, 4), "our own clock is the better one"


def test_the_last_emergency_and_how_many():
    model = fed(frame(0x85, "1081110000000000", 1.0), frame(0x85, "2032050000000000", 4.0))
    emcy = node(model, now=6.0).emcy
    assert (emcy.code, emcy.age_s, emcy.count) == (0x3220, 2.0, 2)
    assert emcy.text.startswith("3220h DC link under-voltage")


def test_frames_per_second_are_those_of_the_last_second():
    model = fed()
    assert node(model, 2.0, {5: NodeFacts(frames=100)}).frames_per_s == 50
    assert node(model, 2.5, {5: NodeFacts(frames=200)}).frames_per_s == 80
    for quarter in range(3, 20):
        shown = node(model, 2 + quarter / 4, {5: NodeFacts(frames=200)})
    assert shown.frames_per_s == 0


def test_a_problem_is_gone_with_the_next_value():
    model = fed(signals={5: [(0x6041, 0)]})
    model.problem(5, (0x6041, 0), "no answer within 0.5 s")
    assert node(model).signals[0].problem == "no answer within 0.5 s"
    model.feed(frame(0x605, "4041600000000000"), 1.0)
    model.feed(frame(0x585, "4b41600037020000"), 1.0)
    assert node(model).signals[0].problem == ""


# --- the picture


def snapshot(*nodes, **bus):
    made = {"name": "can0", "bit_rate": 500_000, "load": 0.341, "peak": 0.61, "frames_per_s": 4321.2, **bus}
    return Snapshot(1.0, 3723.0, BusShown(**made), nodes)


def text(shown, width):
    return [line.plain for line in lines(shown, width)]


TROUBLED = NodeShown(
    6,
    "axisY",
    nmt=NmtState.PRE_OPERATIONAL,
    pds=((0, PdsState.FAULT),),
    heartbeat=Range(98, 1840),
    losses=2,
    lost_s=3.3,
    boot_ups=2,
    sdo=Range(2.0, 88),
    unanswered=3,
    aborts=1,
    frames_per_s=0.4,
    emcy=EmcyShown(0x3220, "3220h DC link under-voltage; error register: generic, voltage", 12.3, 2),
)
WELL = NodeShown(
    5,
    "axisX",
    nmt=NmtState.OPERATIONAL,
    pds=((0, PdsState.OPERATION_ENABLED),),
    heartbeat=Range(99, 103),
    boot_ups=1,
    sdo=Range(0.41, 6.2),
    frames_per_s=500,
    signals=(SignalShown(0x6064, 0, "Position actual value"),),
)


def test_80_columns():
    shown = snapshot(WELL, TROUBLED, state="error-warning", tx_errors=97, rx_errors=0, errors_per_s=3, error_frames=214)
    assert text(shown, 80) == [
        "can0  500 kbit/s  load 34 % (peak 61 %)  4321 frames/s  error-warning",
        "TEC 97 REC 0  3 errors/s (214 in all)  01:02:03",
        "",
        "node  name   NMT   402 state            HB ms    SDO ms  frames/s",
        "   5  axisX  OPER  Operation enabled   99/103  0.41/6.2       500",
        "      6064:00 Position actual value  not seen yet; --poll reads what no PDO has",
        "   6  axisY  LOST  Fault              98/1840    2.0/88       0.4",
        "      EMCY 3220h DC link under-voltage (12 s ago, 2 in all); error register: ge…",
        "      not heard for 3.3 s, longer than it should be silent, 2 times in all",
        "      started 2 times",
        "      SDO transfers: 3 not answered, 1 refused or broken off",
    ]


def test_132_columns_have_room_for_emergencies():
    table = [line for line in text(snapshot(WELL, TROUBLED), 132) if "axisY" in line or "last EMCY" in line]
    assert table == [
        "node  name   NMT   402 state            HB ms    SDO ms  frames/s  last EMCY",
        "   6  axisY  LOST  Fault              98/1840    2.0/88       0.4  "
        "3220h DC link under-voltage (12 s ago, 2 in all); error register…",
    ]


@pytest.mark.parametrize("width", [1, 20, 40, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, text(snapshot(WELL, TROUBLED), width))) <= width


def test_what_nobody_tells_is_not_shown():
    shown = "\n".join(text(snapshot(bit_rate=None, load=None, peak=None), 120))
    assert "load unknown: no bit rate" in shown
    assert "TEC" not in shown
    assert "No node was heard yet." in shown
    assert "never heard" in "\n".join(text(snapshot(NodeShown(7, heard=False)), 120))


def test_names_cannot_write_on_the_terminal():
    evil = NodeShown(5, "\x1b[2Jname", emcy=EmcyShown(1, "\x1b]0;title\x07", 0, 1))
    assert not any("\x1b" in line for line in text(snapshot(evil), 200))


def drawn(shown, width, height, scrolled=0, **console):
    made = Console(width=width, height=height, force_terminal=True, **console)
    with made.capture() as captured:
        made.print(picture(shown, width, height, scrolled), end="")
    return captured.get()


def test_a_small_screen_scrolls():
    many = snapshot(*(NodeShown(n, f"axis{n}", nmt=NmtState.OPERATIONAL) for n in range(1, 40)))
    first = drawn(many, 80, 12, color_system=None)
    assert len(first.splitlines()) == 12
    assert "axis1 " in first and "axis30" not in first
    assert "q quits; arrows scroll: 31 lines below" in first
    last = drawn(many, 80, 12, scrolled=1000, color_system=None)
    assert "axis39" in last and "axis1 " not in last
    assert "0 lines below, 31 above" in last


def test_colours_say_what_is_wrong():
    shown = drawn(snapshot(WELL, TROUBLED, state="bus-off"), 132, 24, color_system="standard")
    assert "\x1b[1;31mbus-off" in shown
    assert "\x1b[1;31mLOST" in shown
    assert "\x1b[31m3220h DC link under-voltage" in shown
    assert "\x1b[32mOPER" in shown


def test_the_json_form():
    made = snapshot(WELL, TROUBLED).to_dict()
    assert list(made) == ["v", "t", "elapsed_s", "bus", "nodes"]
    assert made["bus"] == {
        "name": "can0",
        "bit_rate": 500_000,
        "load": 0.341,
        "peak": 0.61,
        "frames": 0,
        "frames_per_s": 4321.2,
        "error_frames": 0,
        "errors_per_s": 0.0,
        "state": None,
        "tx_errors": None,
        "rx_errors": None,
    }
    assert made["nodes"][1] == {
        "node": 6,
        "name": "axisY",
        "heard": True,
        "nmt": "PRE_OPERATIONAL",
        "pds": [{"axis": 1, "state": "FAULT"}],
        "heartbeat_ms": [98, 1840],
        "lost": True,
        "lost_s": 3.3,
        "losses": 2,
        "boot_ups": 2,
        "sdo_ms": [2.0, 88],
        "unanswered": 3,
        "aborts": 1,
        "frames_per_s": 0.4,
        "emcy": {"code": 0x3220, "text": TROUBLED.emcy.text, "age_s": 12.3, "count": 2},
        "signals": [],
    }
    assert made["nodes"][0]["signals"] == [
        dict.fromkeys(("value", "scaled", "unit", "text", "raw", "svc", "age_s", "problem"))
        | {"index": 0x6064, "sub": 0, "name": "Position actual value"}
    ]


# --- the command


def test_one_picture_of_a_simulated_drive(run, bus):
    bus.attach(StepIM(101), "node 101")
    outcome = run("top", "--once", "--for", "5s", "-q", "--eds", "101=stepim")
    assert outcome.code == 0
    head, _, headings, line = outcome.out.splitlines()
    assert head.startswith("sim  1000 kbit/s  load 0.0 % (peak 0.0 %)")
    assert headings.startswith("node  name    NMT     402 state")
    assert line.split()[:5] == ["101", "stepim", "PRE-OP", "-", "2000/2000"]


def test_it_sends_nothing(run, bus):
    bus.attach(StepIM(101), "node 101")
    run("top", "--once", "--for", "1s", "-q", "--signal", "101:6064")
    assert bus.statistics().frames == 1, "the boot-up of the drive"


def test_polling_brings_what_no_pdo_has(run, bus):
    bus.attach(StepIM(101), "node 101")
    outcome = run("top", "--count", "2", "--json", "-q", "--signal", "101:6041", "--signal", "101:5FFF", "--poll")
    first, second = (json.loads(line)["nodes"][0] for line in outcome.out.splitlines())
    assert first["name"] == "stepim", "it was asked who it is"
    assert second["signals"][0]["value"] == 0x0240
    assert second["pds"] == [{"axis": 1, "state": "SWITCH_ON_DISABLED"}]
    assert second["signals"][1]["problem"].startswith("refused: ")
    least, most = second["sdo_ms"]
    assert 0 < least <= most < 10


@pytest.mark.parametrize("more", [("--poll",), ("--eds", "101=stepim")])
def test_a_signal_is_named_as_the_node_names_it(run, bus, more):
    """The StepIM has another object of that name than CiA 402."""
    bus.attach(StepIM(101), "node 101")
    outcome = run("top", "--once", "--json", "-q", "--signal", "101:Position Actual Internal Value", *more)
    (shown,) = json.loads(outcome.out)["nodes"][0]["signals"]
    assert (shown["index"], shown["name"]) == (0x6064, "Position Actual Internal Value")


def test_polling_a_silent_node(run, bus):
    bus.attach(StepIM(101), "node 101")
    outcome = run("top", "--once", "-q", "--for", "4s", "--signal", "5:6041", "--poll", "500ms")
    assert outcome.code == 0
    assert "never heard" in outcome.out
    assert "no answer within 0.5 s" in outcome.out


def test_an_emergency_and_a_lost_node(run, bus):
    beats = [(n / 10, Frame(0x705, b"\x05")) for n in range(1, 11)]
    bus.attach(Script(*beats, (1.2, Frame(0x85, Emcy(0x8130, 0x11).encode()))), "node 5")
    (shown,) = json.loads(run("top", "--once", "--json", "-q", "--for", "3s").out)["nodes"]
    assert (shown["node"], shown["nmt"], shown["lost"], shown["losses"]) == (5, "OPERATIONAL", True, 1)
    assert shown["lost_s"] == pytest.approx(2, abs=0.1)
    assert shown["heartbeat_ms"] == [pytest.approx(100), pytest.approx(100)]
    assert shown["emcy"]["code"] == 0x8130
    assert shown["emcy"]["age_s"] == pytest.approx(1.8, abs=0.1)


def test_load_of_a_busy_bus(run, bus):
    bus.attach(Script(*((n / 1000, Frame(0x185, n.to_bytes(8, "little"))) for n in range(3000))), "busy")
    shown = json.loads(run("top", "--once", "--json", "-q", "--for", "2.5s").out)
    assert shown["bus"]["load"] == pytest.approx(0.12, abs=0.02)
    assert shown["bus"]["frames_per_s"] == pytest.approx(1000, rel=0.02)
    assert shown["nodes"][0]["frames_per_s"] == pytest.approx(1000, rel=0.02)


def test_pictures_in_a_pipe(run, bus):
    outcome = run("top", "--for", "3s", "-q")
    assert outcome.out.count("frames/s") == 6, "three pictures, each with the word in two lines"
    outcome = run("top", "--every", "100ms", "--count", "4", "--json", "-q")
    assert [json.loads(line)["elapsed_s"] for line in outcome.out.splitlines()] == [
        pytest.approx(n / 10, abs=0.06) for n in range(1, 5)
    ]
    assert len(run("top", "--for", "300ms", "--json", "-q").out.splitlines()) == 1, "at its end"


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--poll",), "give a --signal"),
        (("--signal", "6064"), "expected a node and an object, as in 101:6064"),
        (("--signal", "200:6064"), "node-ID 200 is outside 1..127"),
        (("--signal", "5:Stausword", "--eds", "5=stepim"), "'Statusword'"),
        (("--signal", "5:Target torque"), "what node 5 calls its objects is not known: give its --eds"),
        (("--signal", "5:6064", "--poll", "--listen-only"), "take one"),
        (("--once", "--count", "3"), "--once is one picture"),
        (("--every", "0"), "a time of 0 is none"),
        (("--count", "0"), "0 is not in the range"),
    ],
)
def test_wrong_calls(run, arguments, said):
    outcome = run("top", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


def test_a_bus_that_goes(run, bus, monkeypatch):
    from opendiag.master.sim_port import SimPort

    real = SimPort.receive

    def receive(port, until):
        if port.world.clock.now() > 1.5:
            raise AdapterClosed(port.name, "unplugged")
        return real(port, until)

    monkeypatch.setattr(SimPort, "receive", receive)
    outcome = run("top", "--json", "-q")
    assert outcome.code == 3
    assert "unplugged" in outcome.err
    assert len(outcome.out.splitlines()) == 1


# --- keys and the terminal


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("q", ["q"]),
        ("Q", ["q"]),
        ("\x1b[A\x1b[Bq", ["up", "down", "q"]),
        ("\x1b[5~\x1b[6~", ["page up", "page down"]),
        ("\x1b[1;5Cq", ["q"]),
        ("\x1b", ["\x1b"]),
        ("\x1b[", []),
        ("\x1bxq", ["q"]),
        ("", []),
    ],
)
def test_keys(typed, keys):
    assert keys_in(typed) == keys


class Terminal:
    """The command on a terminal of 80 columns and 24 lines."""

    def __init__(self, *arguments):
        import fcntl
        import pty
        import struct
        import termios

        self.pid, self.descriptor = pty.fork()
        if not self.pid:
            os.environ.pop("OPENDIAG_INTERFACE", None)
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-m", "opendiag", *arguments])
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = ""

    def wait_for(self, wanted, seconds=30.0):
        """Until this has been shown, or the program has ended."""
        import select

        until = time.monotonic() + seconds
        while wanted not in self.shown and time.monotonic() < until:
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    data = os.read(self.descriptor, 65536)
                except OSError:
                    break
                if not data:
                    break
                self.shown += data.decode()
        return wanted in self.shown

    def press(self, keys):
        os.write(self.descriptor, keys.encode())

    def end(self):
        """The exit code, when it has ended by itself."""
        self.wait_for("\0never")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
@pytest.mark.parametrize("end", ["q", "\x03"])
def test_a_screen_that_is_given_back(end):
    terminal = Terminal("top", "-i", "sim:stepim", "--eds", "101=stepim")
    assert terminal.wait_for("stepim"), terminal.shown
    terminal.press(end)
    assert terminal.end() == 0, terminal.shown
    _, _, screen = terminal.shown.partition("\x1b[?1049h")
    assert screen.rstrip().endswith("\x1b[?1049l"), "the alternate screen is left"
    assert "\x1b[?25h" in screen, "the cursor is back"
    assert "Traceback" not in terminal.shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
def test_once_on_a_terminal_needs_no_screen():
    terminal = Terminal("top", "-i", "sim:stepim", "--once", "--for", "300ms")
    assert terminal.end() == 0
    assert "\x1b[?1049h" not in terminal.shown
    assert "402 state" in terminal.shown
