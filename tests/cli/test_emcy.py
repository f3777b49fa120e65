"""`opendiag emcy`: messages as they come, whose texts they have, and the history of a node."""

from __future__ import annotations

import json

import pytest
from scripted_bus import Script

from opendiag.frame import Frame
from opendiag.simulate.stepim import StepIM
from opendiag.wire.emcy import Emcy

GENERIC = Emcy(0x1000, 0x01, bytes.fromhex("0102030405")).encode()
UNDER_VOLTAGE = Emcy(0x3220, 0x05).encode()
#: Only the maker of the StepIM has it.
VENDOR_CODE, VENDOR_TEXT = 0x2381, "motor phase disconnected"
RESET = Emcy(0, 0).encode()


def reports(bus, *timed, node_id=5):
    frames = ((at, Frame(0x80 + node_id, data)) for at, data in timed)
    bus.attach(Script(*frames), f"reports {node_id} from {timed[0][0]}")


def test_messages_with_their_texts(run, bus):
    reports(bus, (1, UNDER_VOLTAGE), (2, GENERIC), (3, RESET))
    outcome = run("emcy", "--for", "4s")
    assert outcome.code == 0
    assert [line.split(maxsplit=2)[1:] for line in outcome.out.splitlines()] == [
        ["5", "3220h  DC link under-voltage; error register: generic, voltage"],
        ["5", "1000h  generic error; error register: generic; manufacturer 01 02 03 04 05"],
        ["5", "0000h  error reset or no error"],
    ]
    assert "sim: 3 emergency messages.\n" in outcome.err


def test_one_message_as_json(run, bus):
    reports(bus, (1, GENERIC), (2, GENERIC))
    outcome = run("emcy", "--count", "1", "--json", "-q", "--no-ask")
    (line,) = outcome.out.splitlines()
    made = json.loads(line)
    assert made.pop("t") == pytest.approx(1, abs=0.01)
    assert made == {
        "node": 5,
        "code": 0x1000,
        "register": 1,
        "bits": ["generic"],
        "manufacturer": "0102030405",
        "text": "generic error",
        "reset": False,
        "complete": True,
        "raw": "0010010102030405",
    }


def test_a_short_message_is_told(run, bus):
    reports(bus, (1, b"\x10\x81\x10"))
    outcome = run("emcy", "--count", "1", "--json", "-q", "--no-ask")
    made = json.loads(outcome.out)
    assert (made["code"], made["complete"], made["raw"]) == (0x8110, False, "108110")
    assert "3 of 8 bytes" in made["text"]


def test_only_the_nodes_that_were_asked_for(run, bus):
    reports(bus, (1, GENERIC), (2, GENERIC))
    reports(bus, (1.5, UNDER_VOLTAGE), node_id=6)
    outcome = run("emcy", "--node", "6", "--for", "3s", "--no-ask", "-q")
    assert len(outcome.out.splitlines()) == 1
    assert "3220h" in outcome.out


def test_the_node_is_asked_whose_texts_are_its_own(run, bus):
    drive = StepIM(101)
    bus.attach(drive, "node 101")
    reports(bus, (1, Emcy(VENDOR_CODE, 0x21).encode()), node_id=101)
    asked = run("emcy", "--count", "1", "-q")
    assert VENDOR_TEXT in asked.out


def test_nothing_is_sent_when_that_was_asked_for(run, bus):
    bus.attach(StepIM(101), "node 101")
    reports(bus, (1, Emcy(VENDOR_CODE, 0x21).encode()), node_id=101)
    frames = bus.statistics().frames
    outcome = run("emcy", "--count", "1", "-q", "--no-ask")
    assert bus.statistics().frames - frames == 2, "its boot-up and its EMCY"
    assert VENDOR_TEXT not in outcome.out
    reports(bus, (bus.now + 1, Emcy(VENDOR_CODE, 0x21).encode()), node_id=101)
    with_file = run("emcy", "--count", "1", "-q", "--no-ask", "--eds", "101=stepim")
    assert VENDOR_TEXT in with_file.out


# --- the history


@pytest.fixture
def drive(bus):
    """Node 101, which remembers two errors."""
    made = StepIM(101)
    bus.attach(made, "node 101")
    bus.run_until(0.01)
    for code in (0x3220, VENDOR_CODE):
        made.emcy(code, 0x01, b"\x34\x12", bus.now)
    return made


@pytest.mark.usefixtures("drive")
def test_history_newest_first_then_clear(run):
    outcome = run("emcy", "history", "101", "-q")
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert first == f"  1  {VENDOR_CODE:04X}h  {VENDOR_TEXT}  (additional information 1234h)"
    assert second.startswith("  2  3220h  ")
    assert run("emcy", "clear", "101", "-q").out == "node 101: 2 errors forgotten, 0 left (1003h)\n"
    assert run("emcy", "history", "101", "-q").out == "node 101 remembers no error (1003h)\n"
    assert run("emcy", "clear", "101", "-q").out == "node 101 remembered no error (1003h)\n"


@pytest.mark.usefixtures("drive")
def test_history_as_json(run):
    lines = [json.loads(line) for line in run("emcy", "history", "101", "--json", "-q").out.splitlines()]
    assert lines[0] == {"node": 101, "entry": 1, "code": VENDOR_CODE, "info": 0x1234, "text": VENDOR_TEXT}
    assert json.loads(run("emcy", "clear", "101", "--json", "-q").out) == {"node": 101, "before": 2, "after": 0}


@pytest.mark.usefixtures("bus")
def test_a_node_that_is_not_there(run):
    outcome = run("emcy", "history", "5", "-q")
    assert (outcome.code, outcome.out) == (4, "")
    assert "1003:00" in outcome.err
    assert run("emcy", "clear", "5", "-q").code == 4


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clear",), "clear: which node? Give its node-ID"),
        (("forget", "5"), "'forget' is no verb: expected history or clear"),
        (("history", "0"), "node-ID 0 is outside 1..127"),
        (("history", "5", "--count", "1"), "are for messages as they come, not for history"),
        (("--node", "x"), "'x' is no node-ID"),
    ],
)
def test_wrong_calls(run, arguments, said):
    outcome = run("emcy", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
