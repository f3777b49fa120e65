"""`opendiag pdo` on a simulated bus: what is printed, as text and as JSON, and how it exits."""

from __future__ import annotations

import json
import re

import pytest
from scripted_bus import Script

from opendiag.frame import Frame
from opendiag.simulate.stepim import StepIM

START = "nmt", "start", "101", "-q"
#: The COB-IDs and what is in the first PDOs of a StepIM.
TPDO1 = """\
TPDO1   1E5h, type 255: sent at an event that the device profile defines, inhibit time 200 ms; 2 objects, 24 bits
        bit  0  16 bits  6041:00  Statusword
        bit 16   8 bits  6061:00  Modes of Operation Display
"""
SAVE = 'The node forgets this when it is reset. To keep it: opendiag write 101 1010:01 0x65766173 ("save")\n'


@pytest.fixture
def node(bus) -> StepIM:
    """A StepIM alone on the bus of the test."""
    made = StepIM()
    bus.attach(made, "node 101")
    return made


class Heard:
    """Keeps the data frames of one CAN-ID."""

    def __init__(self, can_id: int) -> None:
        self.can_id = can_id
        self.data: list[bytes] = []

    def receive(self, frame: Frame, now: float) -> None:
        if frame.can_id == self.can_id and not frame.remote:
            self.data.append(frame.data)

    def tick(self, now: float) -> None:
        pass

    def deadline(self) -> None:
        return None

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[object]:
        return []


def sync(bus, count: int = 400, period_s: float = 0.05) -> None:
    """Somebody sends SYNC."""
    bus.attach(Script(*((bus.now + n * period_s, Frame(0x80)) for n in range(1, count + 1))), "SYNC producer")


def number(node: StepIM, index: int, subindex: int = 0) -> int:
    """What the device holds."""
    return int.from_bytes(node.store.values[index, subindex], "little")


# --- show -----------------------------------------------------------------------------------------------------------


def test_show_has_all_pdos_with_their_objects(run, node):
    outcome = run("pdo", "show", "101", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    heads = [line[:5] for line in outcome.out.splitlines() if not line.startswith(" ")]
    assert heads == [f"RPDO{n}" for n in range(1, 9)] + [f"TPDO{n}" for n in range(1, 9)]
    assert TPDO1 in outcome.out
    assert "RPDO1   265h, type 1: acts at the next SYNC; 2 objects, 24 bits\n" in outcome.out
    assert "RPDO4   565h, type 255: acts at once; nothing is mapped\n" in outcome.out
    assert "        bit  0  32 bits  607A:00  Target Position (counts)\n" in outcome.out


@pytest.mark.parametrize("words", [("tpdo", "1"), ("tpdo1",), ("TPDO1",), ("tpdo", "1", "tpdo1")])
def test_show_one(run, node, words):
    assert run("pdo", "show", "101", *words, "-q").out == TPDO1


def test_show_of_one_direction(run, node):
    outcome = run("pdo", "show", "101", "rpdo", "-q")
    assert set(re.findall(r"^[RT]PDO", outcome.out, re.MULTILINE)) == {"RPDO"}


def test_show_as_json(run, node):
    shown = json.loads(run("pdo", "show", "101", "tpdo", "1", "--json", "-q").out)
    objects = shown.pop("objects")
    assert shown == {
        "node": 101,
        "pdo": "TPDO1",
        "can_id": 0x1E5,
        "extended": False,
        "valid": True,
        "remote_allowed": True,
        "transmission_type": 255,
        "meaning": "sent at an event that the device profile defines",
        "inhibit_s": 0.2,
        "event_s": 0.0,
        "sync_start": 0,
        "multiplexed": 0,
        "bits": 24,
    }
    assert objects[1] == {
        "index": 0x6061,
        "subindex": 0,
        "name": "Modes of Operation Display",
        "type": "INTEGER8",
        "unit": "",
        "bit": 16,
        "bits": 8,
    }


def test_show_of_one_that_is_not_there(run, node):
    outcome = run("pdo", "show", "101", "tpdo", "9", "-q")
    assert (outcome.code, outcome.out) == (4, "")
    assert "refused by the device: the object does not exist" in outcome.err


# --- map ------------------------------------------------------------------------------------------------------------


def test_map_says_what_it_did(run, node):
    outcome = run(
        *("pdo", "map", "101", "tpdo", "1", "6041", "6064:00", "--type", "1", "--event-timer", "100ms"),
        *("--inhibit", "10ms", "--cob-id", "1E0"),
    )
    assert outcome.code == 0
    assert outcome.out == (
        "wrote 1800:01 = 800001E5h  switched off\n"
        "wrote 1A00:00 = 0h  mapping cleared\n"
        "wrote 1A00:01 = 60410010h  6041:00 Statusword, 16 bits\n"
        "wrote 1A00:02 = 60640020h  6064:00 Position Actual Internal Value, 32 bits\n"
        "wrote 1A00:00 = 2h  2 objects\n"
        "wrote 1800:02 = 1h  transmission type\n"
        "wrote 1800:03 = 64h  inhibit time, in 100 us\n"
        "wrote 1800:05 = 64h  event timer, in ms\n"
        "wrote 1800:01 = 1E0h  CAN-ID 1E0h, switched on\n"
        "TPDO1   1E0h, type 1: sent with every SYNC, inhibit time 10 ms, event timer 100 ms; 2 objects, 48 bits\n"
        "        bit  0  16 bits  6041:00  Statusword\n"
        "        bit 16  32 bits  6064:00  Position Actual Internal Value (counts)\n"
    )
    assert outcome.err.endswith(SAVE)
    assert (number(node, 0x1800, 1), number(node, 0x1A00), number(node, 0x1A00, 2)) == (0x1E0, 2, 0x60640020)


def test_map_of_settings_alone_keeps_the_objects(run, node):
    outcome = run("pdo", "map", "101", "tpdo", "1", "--type", "1", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split()[1] for line in outcome.out.splitlines() if line.startswith("wrote")] == [
        "1800:01",
        "1800:02",
        "1800:01",
    ]
    assert "6041:00  Statusword" in outcome.out
    assert number(node, 0x1A00) == 2


def test_map_of_a_name_into_an_rpdo_that_stays_off(run, node):
    outcome = run("pdo", "map", "101", "rpdo4", "Target Position", "dummy/8", "--off", "--json", "-q")
    made = json.loads(outcome.out)
    assert (made["pdo"], made["valid"], made["bits"]) == ("RPDO4", False, 40)
    assert [each["name"] for each in made["objects"]] == ["Target Position", "dummy"]
    assert made["written"][0] == {"index": 0x1403, "subindex": 1, "value": 0x80000565}
    assert number(node, 0x1403, 1) >> 31 == 1


def test_map_empty(run, node):
    outcome = run("pdo", "map", "101", "tpdo", "1", "--empty", "-q")
    assert outcome.code == 0
    assert outcome.out.endswith("inhibit time 200 ms; nothing is mapped\n")
    assert number(node, 0x1A00) == 0


def test_off_and_on_as_it_was(run, node):
    run("pdo", "map", "101", "rpdo", "2", "--off", "-q")
    outcome = run("pdo", "send", "101", "rpdo", "2", "607A=1", "-i", "sim:stepim")
    assert outcome.code == 2
    assert "is switched off (bit 31 of 1401:01): `opendiag pdo map 101 rpdo 2 --on -i sim:stepim`" in outcome.err
    assert "switch_on" not in outcome.err
    outcome = run("pdo", "map", "101", "rpdo", "2", "--on", "-q")
    assert outcome.out.startswith("wrote 1401:01 = 365h  CAN-ID 365h, switched on\n")


def test_a_can_id_of_another_node_is_told(run, node):
    outcome = run("pdo", "map", "101", "tpdo", "1", "--cob-id", "185")
    assert outcome.code == 0
    assert "CAN-ID 185h is that of TPDO1 of node 5 by default, if there is one: two senders of one" in outcome.err
    outcome = run("pdo", "map", "101", "rpdo", "1", "--cob-id", "185")
    assert "this node takes what node 5 sends." in outcome.err
    assert "by default" not in run("pdo", "map", "101", "tpdo", "1", "--cob-id", "1E5").err


def test_an_event_timer_that_the_inhibit_time_holds_back_is_told(run, node):
    outcome = run("pdo", "map", "101", "tpdo", "1", "--event-timer", "20ms")
    assert "The event timer of 20 ms is shorter than the inhibit time of 200 ms: TPDO1 comes no sooner" in outcome.err
    assert "inhibit" not in run("pdo", "map", "101", "tpdo", "1", "--event-timer", "20ms", "--inhibit", "0").err


def test_a_refused_step_is_named_and_put_back(run, node):
    outcome = run("pdo", "map", "101", "rpdo", "4", "6041", "-q")
    assert (outcome.code, outcome.out) == (4, "")
    assert "RPDO4 of node 101 is not mapped: step 3 of 5 (write the entries) failed at entry 1, 6041:00" in outcome.err
    assert "it must be writable" in outcome.err
    assert "what was changed is put back" in outcome.err
    assert (number(node, 0x1403, 1), number(node, 0x1603)) == (0x565, 0)


# --- why ------------------------------------------------------------------------------------------------------------


def test_why_of_a_node_that_was_not_started(run, node):
    outcome = run("pdo", "why", "101", "tpdo", "1", "-q")
    assert (outcome.code, outcome.err) == (1, "")
    lines = outcome.out.splitlines()
    assert [line[:18].split() for line in lines[:5]] == [
        ["state", "BROKEN"],
        ["COB-ID", "ok"],
        ["mapping", "ok"],
        ["type", "ok"],
        ["frames", "-"],
    ]
    assert lines[5] == ""
    assert re.match(
        r"PDO-NMT: Node 101 is PRE-OPERATIONAL \(told .* ago\): PDOs are sent in OPERATIONAL only\.", lines[6]
    )
    assert lines[7] == "    Start it: `opendiag nmt start 101`."


def test_the_command_is_for_the_interface_that_was_given(run, node):
    outcome = run("pdo", "why", "101", "tpdo", "1", "-q", "-i", "can0@500k")
    assert "`opendiag nmt start 101 -i can0@500k`" in outcome.out


def test_why_of_one_that_comes(run, bus, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "1", "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "why", "101", "tpdo", "1", "-q")
    assert outcome.code == 0
    assert outcome.out.endswith("TPDO1 of node 101 comes: 30 times in 1.5 s. Nothing is wrong with it.\n")


def test_why_as_json(run, node):
    run(*START)
    outcome = run("pdo", "why", "101", "tpdo", "5", "--json", "-q")
    assert outcome.code == 1
    made = json.loads(outcome.out)
    assert (made["node"], made["pdo"], made["ok"]) == (101, "TPDO5", False)
    (finding,) = made["findings"]
    assert (finding["code"], finding["severity"]) == ("PDO-EMPTY", "error")
    assert finding["advice"] == "Map objects, as in `opendiag pdo map 101 tpdo 5 6041 6064`."


def test_why_as_json_has_commands_for_the_interface(run, node):
    found = json.loads(run("pdo", "why", "101", "tpdo", "1", "--json", "-q", "-i", "sim:stepim").out)
    assert "`opendiag nmt start 101 -i sim:stepim`" in found["findings"][0]["advice"]


def test_why_of_a_node_that_is_not_there_names_the_one_that_is(run, bus, node):
    """It is heard only after the first attempt."""
    assert run("write", "101", "1017:00", "2000", "-q").code == 0
    bus.run_until(bus.now + 0.2)
    outcome = run("pdo", "why", "5", "tpdo", "1", "-q")
    assert "SDO-WRONG-NODE-ID" in outcome.out and "node 101 (heartbeat, PRE-OPERATIONAL)" in outcome.out
    assert "SDO-BUS-EMPTY" not in outcome.out


def test_frames_of_a_clash_are_not_called_its_own(run, bus, node):
    bus.attach(Script(*((bus.now + n / 50, Frame(0x1E5, b"\x40\x02")) for n in range(1, 200))), "somebody")
    outcome = run("pdo", "why", "101", "tpdo", "1", "-q")
    assert "PDO-CLASH" in outcome.out
    assert re.search(r"frames +- +\d+ with CAN-ID 1E5h in 1\.5 s, from all that have it\.", outcome.out)


def test_why_of_an_rpdo(run, node):
    run(*START)
    outcome = run("pdo", "why", "101", "rpdo1", "-q")
    assert outcome.code == 1
    assert "PDO-NOT-SENT: Nobody sends RPDO1 of node 101" in outcome.out


def test_why_looks_where_it_is_told(run, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "1", "--cob-id", "1D5", "--event-timer", "300ms", "-q")
    assert "PDO-COB-ID" in run("pdo", "why", "101", "tpdo", "1", "-q").out
    assert run("pdo", "why", "101", "tpdo", "1", "--cob-id", "1D5h", "-q").code == 0
    assert "PDO-COB-ID" in run("pdo", "why", "101", "tpdo", "1", "--eds", "101=stepim", "-q").out


# --- watch ----------------------------------------------------------------------------------------------------------


def test_watch_shows_values_with_their_units(run, bus, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "2", "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "watch", "101", "tpdo", "2", "--count", "3", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(
            r" +\d+\.\d{3}  TPDO2   Position Actual Internal Value 0 counts \(= 0 rev\)  Velocity Actual Value .*",
            line,
        )


def test_watch_as_json(run, bus, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "1", "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "watch", "101", "tpdo1", "--for", "0.3s", "--json", "-q")
    samples = [json.loads(line) for line in outcome.out.splitlines()]
    assert 5 <= len(samples) <= 6
    assert list(samples[0]) == ["time_s", "node", "pdo", "values", "raw", "flags"]
    assert samples[0]["values"] == {"Statusword": 0x240, "Modes of Operation Display": 4}
    assert (samples[0]["raw"], samples[0]["flags"]) == ("400204", [])


def test_watch_says_at_the_end_how_many_came(run, bus, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "2", "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "watch", "101", "tpdo", "2", "--count", "3")
    assert re.search(r"^3 TPDO2 in 0\.\d s\.$", outcome.err, re.MULTILINE), outcome.err


def test_watch_changes(run, bus, node):
    run(*START)
    run("pdo", "map", "101", "tpdo", "1", "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "watch", "101", "tpdo1", "--for", "0.3s", "--changes", "-q")
    assert len(outcome.out.splitlines()) == 1


def test_watch_without_more_shows_all_that_are_on(run, bus, node):
    run(*START)
    for which in ("1", "2"):
        run("pdo", "map", "101", "tpdo", which, "--type", "1", "-q")
    sync(bus)
    outcome = run("pdo", "watch", "101", "--for", "0.3s", "-q")
    assert {"TPDO1", "TPDO2"} <= {line.split()[1] for line in outcome.out.splitlines()}


def test_watch_starts_nothing_and_says_what_does(run, bus, node):
    commands = Heard(0)
    bus.attach(commands, "listener")
    outcome = run("pdo", "watch", "101", "--for", "3s")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("and sends no PDOs: `opendiag nmt start 101` starts it.") == 1
    assert outcome.err.endswith("None came. `opendiag pdo why 101 tpdo 1` says why.\n")
    assert commands.data == []


def test_watch_of_a_short_pdo_says_so(run, bus, node):
    bus.attach(Script(*((bus.now + n / 10, Frame(0x1E5, b"\x40\x02")) for n in range(1, 50))), "somebody")
    outcome = run("pdo", "watch", "101", "tpdo", "1", "--count", "1", "-q")
    assert outcome.out.endswith("  TPDO1   Statusword 0x0240 (SWITCH ON DISABLED)  (pdo-too-short)\n")


# --- send -----------------------------------------------------------------------------------------------------------


def test_send_once(run, bus, node):
    run(*START)
    heard = Heard(0x265)
    bus.attach(heard, "listener")
    outcome = run("pdo", "send", "101", "rpdo", "1", "Controlword=6")
    assert outcome.code == 0
    assert outcome.out == (
        "RPDO1 sent on 265h: Controlword 0x0006 (shutdown)  Modes of Operation 4 (profile torque (tq))\n"
    )
    assert outcome.err.endswith("RPDO1 of node 101 acts at the next SYNC (type 1).\n")
    run("pdo", "show", "101", "tpdo1", "-q")  # lets the bus run
    assert heard.data == [b"\x06\x00\x04"]


@pytest.mark.parametrize("name", ["Target Position", "target position", "607A", "607A:00", "0x607A"])
def test_send_by_any_spelling(run, node, name):
    outcome = run("pdo", "send", "101", "rpdo2", f"{name}=-5", "--json", "-q")
    assert json.loads(outcome.out)["values"] == {"Target Position": -5, "Profile Velocity": 10000}


def test_send_again_and_again(run, bus, node):
    heard = Heard(0x365)
    bus.attach(heard, "listener")
    outcome = run("pdo", "send", "101", "rpdo", "2", "607A=7", "--every", "10ms", "--for", "1s", "--json", "-q")
    sent = json.loads(outcome.out)["sent"]
    assert 99 <= sent <= 101
    assert len(heard.data) >= sent - 1
    assert set(heard.data) == {(7).to_bytes(4, "little") + (10000).to_bytes(4, "little")}


def test_send_with_sync(run, bus, node):
    run(*START)
    sync(bus)
    outcome = run("pdo", "send", "101", "rpdo", "2", "607A=7", "--sync", "--for", "1s", "-q")
    assert outcome.code == 0
    assert re.match(r"RPDO2 sent on 365h, (19|20|21) times: Target Position 7", outcome.out)
    assert number(node, 0x607A) == 7


def test_send_with_a_sync_that_never_comes(run, node):
    outcome = run("pdo", "send", "101", "rpdo", "2", "607A=7", "--sync", "--for", "1s", "-q")
    assert outcome.code == 1
    assert outcome.out.startswith("RPDO2 not sent: ")
    assert "no SYNC came. `opendiag sync --period 100ms` sends SYNC" in outcome.err


def test_send_says_that_the_node_does_not_take_it(run, node):
    outcome = run("pdo", "send", "101", "rpdo", "1", "Controlword=6")
    assert outcome.code == 0
    assert "and takes no PDOs: `opendiag nmt start 101` starts it." in outcome.err


def test_send_waits_for_the_heartbeat_of_a_node_that_told_nothing_yet(run, bus, node):
    assert run("write", "101", "1017:00", "2000", "-q").code == 0
    bus.run_until(bus.now + 1.0)
    outcome = run("pdo", "send", "101", "rpdo", "1", "Controlword=6")
    assert "and takes no PDOs: `opendiag nmt start 101` starts it." in outcome.err
    bus.run_until(bus.now + 0.5)
    outcome = run("pdo", "send", "101", "rpdo", "1", "Controlword=6", "--every", "100ms", "--for", "4s")
    assert outcome.err.count("takes no PDOs") == 1


def test_what_cannot_be_forced_here_is_not_said_to_be(run, node):
    assert "forced" not in run("pdo", "send", "101", "rpdo", "1", "Controlword=70000").err


# --- wrong calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("show", "Missing argument 'NODE'"),
        ("show 200", "node-ID 200 is outside 1..127"),
        ("show 101 xpdo", "'xpdo' is no PDO: expected one such as tpdo 1 or rpdo 2"),
        ("show 101 tpdo 0", "PDOs have numbers from 1 to 512"),
        ("show 101 tpdo 513", "PDOs have numbers from 1 to 512"),
        ("show 101 1", "'1' is no PDO"),
        ("map 101", "Missing argument"),
        ("map 101 tpdo", "tpdo: say which, as in tpdo 1"),
        ("map 101 tpdo 6041", "tpdo: say which, as in tpdo 1"),
        ("map 101 tpdo 1", "say what to map, or a setting such as --type 1"),
        ("map 101 tpdo 1 nonsense", "has no object named 'nonsense'"),
        ("map 101 tpdo 1 6041 --empty", "--empty maps nothing: leave out the objects"),
        ("map 101 tpdo 1 --type 256", "--type: 256 is not in the range"),
        ("map 101 tpdo 1 --cob-id zz", "'zz' is no CAN-ID: expected hexadecimal digits, as in 1E5"),
        ("map 101 tpdo 1 --cob-id 0", "'0' is no CAN-ID"),
        ("map 101 tpdo 1 --cob-id 20000000", "'20000000' is no CAN-ID"),
        ("map 101 tpdo 1 --cob-id 80", "CAN-ID 080h: it belongs to SYNC, and no PDO may have it; nothing was sent"),
        ("map 101 tpdo 1 --cob-id 601", "CAN-ID 601h: it belongs to SDO request"),
        ("map 101 tpdo 1 --inhibit 7s", "--inhibit is at most 6.5535s"),
        ("map 101 tpdo 1 --event-timer 66s", "--event-timer is at most 65.535s"),
        ("map 101 tpdo 1 --event-timer soon", "'soon' is no time"),
        ("map 101 rpdo 1 --sync-start 5", "--sync-start is for TPDOs"),
        ("map 101 tpdo 1 6041 6064 606C", "the objects have 80 bits, and a PDO has 64; nothing was sent"),
        ("why 101", "Missing argument"),
        ("why 101 tpdo 1 tpdo 2", "tpdo is too much: one PDO at a time"),
        ("watch 101 --count 0", "--count: 0 is not in the range"),
        ("send 101 tpdo 1 a=1", "a TPDO is sent by the node"),
        ("send 101 rpdo 1", "say what to send, as in Controlword=0x0F"),
        ("send 101 rpdo 1 Controlword=6 Controlword=7", "Controlword is given twice"),
        ("send 101 rpdo 1 Controlword=6 6040=7", "Controlword (6040:00) is given twice, the second time as '6040'"),
        ("map 101 tpdo 1 --on --off", "--on and --off: take one"),
        ("send 101 rpdo 1 Controlword", "'Controlword' gives no value: expected NAME=VALUE"),
        ("send 101 rpdo 1 Foo=1", "'Foo' is not in RPDO1 of node 101: mapped there is Controlword (6040:00), Modes of"),
        ("send 101 rpdo 1 Controlword=70000", "70000 is outside 0..65535 of UNSIGNED16; nothing was sent"),
        ("send 101 rpdo 4 a=1", "mapped there is nothing"),
        ("send 101 rpdo 1 Controlword=6 --bogus", "No such option '--bogus'"),
        ("send 101 rpdo 1 Controlword=6 --every 0", "--every 0 is no period"),
        ("send 101 rpdo 1 Controlword=6 --every 1s --sync", "choose one of --every and --sync"),
        ("send 101 rpdo 1 Controlword=6 --for 1s", "--for needs --every or --sync"),
    ],
)
def test_a_wrong_call_is_one_sentence(run, node, arguments, says):
    outcome = run("pdo", *arguments.split(), "-i", "sim:stepim")
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("verb", ["show", "map", "why", "watch", "send"])
def test_each_verb_has_help(run, verb):
    outcome = run("pdo", verb, "--help")
    assert outcome.code == 0
    assert "NODE" in outcome.out
    assert "Transmits" in outcome.out
