"""What each node did, in numbers."""

from dataclasses import replace

import pytest
from devices import read, stepim_frames, u32, written
from sdo_talk import CLIENT, SERVER, aborted, expedited, frames, segmented

from opendiag.decode.decoder import Decoder
from opendiag.decode.summary import Summary
from opendiag.dictionary.library import load
from opendiag.frame import Frame

MS = 1_000_000


def summary(some_frames, *args):
    made = Summary(Decoder(*args))
    for frame in some_frames:
        made.feed(frame)
    made.finish()
    return made.nodes()


def only(some_frames, *args):
    (node,) = summary(some_frames, *args)
    return node


def beat(ms, state=5, node_id=5):
    return Frame(0x700 + node_id, bytes([state]), time_ns=None if ms is None else ms * MS)


def test_the_example_capture():
    node = only(stepim_frames(), {101: load("stepim")})
    assert (node.node_id, node.channel, node.pds_state, node.nmt_state) == (101, "can0", "OPERATION ENABLED", None)
    assert (node.reads, node.writes, node.aborts, node.open, node.emcy) == (4, 0, 0, 1, 0)
    assert node.cob_ids() == ["4E5 TPDO4", "665/5E5 SDO"]
    assert node.heartbeat_text() == "none seen"


def test_transfers():
    ask, answer = expedited("read", b"\1").messages
    damaged = segmented("read", b"12345678901234567").messages
    messages = [
        *read((0x1001, 0, b"\0")),
        *written((0x1017, 0, b"\1\0")),
        *aborted(expedited("write", b"\1"), 1, SERVER),
        *aborted(expedited("read", b"\1"), 1, CLIENT),
        *damaged[:3],
        *damaged[4:],
        ask,
        ask,
        answer,
        ask,
    ]
    node = only(frames(messages, 5))
    assert (node.reads, node.writes, node.aborts, node.open) == (3, 1, 2, 2)


def test_strays_are_not_counted_as_transfers():
    node = only(frames(read((0x1001, 0, b"\0"))[1:], 5))
    assert (node.reads, node.writes, node.aborts, node.open) == (0, 0, 0, 0)


def test_heartbeat_periods():
    node = only([beat(0), beat(99), beat(202), beat(302)])
    assert (node.heartbeats, node.heartbeat_min_ns, node.heartbeat_max_ns) == (4, 99 * MS, 103 * MS)
    assert node.heartbeat_text() == "99/103 ms (min/max)" and node.nmt_state == "OPERATIONAL"
    assert node.cob_ids() == ["705 heartbeat"]


@pytest.mark.parametrize("some", [[beat(0)], [beat(None), beat(None)]])
def test_heartbeats_without_a_period(some):
    assert only(some).heartbeat_text() == f"{len(some)} seen"


def test_a_restart_is_not_a_late_heartbeat():
    node = only([beat(0), beat(100), beat(5000, state=0), beat(5010), beat(5110)])
    assert (node.boot_ups, node.heartbeats) == (1, 4)
    assert (node.heartbeat_min_ns, node.heartbeat_max_ns) == (100 * MS, 100 * MS)


def test_the_last_state_counts():
    assert only([beat(0), beat(1, state=0x7F)]).nmt_state == "PRE-OPERATIONAL"
    assert only([beat(0), beat(1, state=0)]).nmt_state == "BOOT-UP"
    assert only(frames(read((0x6041, 0, b"\x27\2"), (0x6041, 0, b"\x40\2")), 5)).pds_state == "SWITCH ON DISABLED"


def test_guarding_shows_the_state_and_is_no_heartbeat():
    node = only([Frame(0x705, remote=True), Frame(0x705, b"\x85")])
    assert (node.nmt_state, node.heartbeats) == ("OPERATIONAL", 0)


def test_emcy_and_pdos():
    node = only(
        [Frame(0x085, b"\x20\x31" + bytes(6)), Frame(0x085, bytes(8)), Frame(0x085), Frame(0x185), Frame(0x205)]
    )
    assert node.emcy == 1 and node.cob_ids() == ["085 EMCY", "185 TPDO1", "205 RPDO1"]


def test_a_moved_pdo_keeps_its_label():
    node = only([Frame(0x185), *frames(written((0x1800, 1, u32(0x6E1))), 5), Frame(0x6E1)])
    assert "185/6E1 TPDO1" in node.cob_ids()


def test_nodes_in_order_of_channel_and_number():
    several = [replace(beat(0, node_id=n), channel=channel) for channel, n in (("can1", 3), ("can0", 7), ("can0", 2))]
    assert [(n.channel, n.node_id) for n in summary(several)] == [("can0", 2), ("can0", 7), ("can1", 3)]


def test_what_belongs_to_no_node_makes_none():
    nobody = [Frame(0x000, b"\1\5"), Frame(0x080), Frame(0x100, bytes(6)), Frame(0x7E5, bytes(8)), Frame(0x6E0)]
    assert summary([*nobody, Frame(0x185, extended=True), Frame(0x004, bytes(8), error=True)]) == []


def test_json_form():
    form = only(stepim_frames(), {101: load("stepim")}).to_dict()
    assert form["cob_ids"] == ["4E5 TPDO4", "665/5E5 SDO"] and "labels" not in form
    assert (form["node_id"], form["reads"], form["pds_state"]) == (101, 4, "OPERATION ENABLED")


@pytest.mark.parametrize("reset", [Frame(0x705, b"\0"), Frame(0, b"\x81\5"), Frame(0, b"\x82\0")])
def test_a_drive_state_does_not_outlive_a_reset(reset):
    fault = frames(read((0x6041, 0, b"\x08\2")), 5)
    assert only(fault).pds_state == "FAULT"
    assert only([*fault, reset]).pds_state is None
    assert only([*fault, Frame(0, b"\x81\6")]).pds_state == "FAULT"


def test_the_axes_of_a_drive_are_told_apart():
    both = frames(read((0x6041, 0, b"\x08\2"), (0x6841, 0, b"\x40\2")), 5)
    assert only(both).pds_state == "1: FAULT, 2: SWITCH ON DISABLED"
