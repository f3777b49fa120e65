"""From frames to records: the example capture, whole conversations, and every service, well formed or not."""

import json
from dataclasses import replace

import pytest
from devices import dictionary, mapping_word, read, stepim_frames, u32, written
from hypothesis import given
from hypothesis import strategies as st
from sdo_talk import CLIENT, INDEX, SERVER, SMALL, aborted, block, expedited, frames, label, payload, segmented, talks

from opendiag.decode.decoder import Decoder
from opendiag.decode.explain import Explainer
from opendiag.decode.render import row
from opendiag.decode.summary import Summary
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.library import Library, load
from opendiag.frame import FD_LENGTHS, Frame
from opendiag.wire import emcy, heartbeat, lss, nmt, sdo, time_stamp
from opendiag.wire.nmt import NmtCommand, NmtState

NODE = 5


def decode(some_frames, *dictionaries, **options):
    """All records, those of the end included."""
    decoder = Decoder(*dictionaries, **options)
    return [record for frame in some_frames for record in decoder.feed(frame)] + decoder.finish()


def decode_talk(messages, node_id=NODE, *dictionaries, **options):
    return decode(frames(messages, node_id), *dictionaries, **options)


def only(some_frames, *dictionaries):
    (record,) = decode(some_frames, *dictionaries)
    return record


# --- the example capture -------------------------------------------------------------------------------------------


def facts(record, *names):
    return tuple(getattr(record, name) for name in names)


OPERATION_ENABLED = ("ready to switch on", "switched on", "operation enabled", "quick stop inactive (bit 5)", "remote")


def test_the_example_capture_with_its_dictionary():
    tpdo, current, position, status, again, velocity = records = decode(stepim_frames(), {101: load("stepim")})
    assert all((r.node, r.channel, r.time_ns) == (101, "can0", None) for r in records)
    assert all(r.names_from == "eds:stepim" for r in records)
    shape = ("frames", "service", "status", "number", "object_text")
    assert facts(tpdo, *shape) == ((1,), "tpdo", "ok", 4, "60FA:00")
    assert facts(current, *shape) == ((2, 3), "sdo.read", "ok", 1, "6078:00")
    assert facts(position, *shape) == ((4, 5), "sdo.read", "ok", 1, "6064:00")
    assert facts(status, *shape) == ((6, 7), "sdo.read", "ok", 1, "6041:00")
    assert facts(again, *shape) == ((8, 9), "sdo.read", "ok", 1, "6041:00")
    assert facts(velocity, *shape) == ((10,), "sdo.read", "unanswered", 1, "606C:00")

    assert facts(tpdo, "name", "value", "raw") == ("Control Effort", 5872, bytes.fromhex("f0160000"))
    assert facts(tpdo, "mapping_from", "bit_offset", "bit_width") == ("eds:stepim", 0, 32)
    assert facts(current, "name", "value", "scaled", "unit") == ("Current Actual Value", 219, None, "mA")
    assert facts(current, "raw", "size", "transfer", "type") == (b"\xdb\0", 2, "expedited", "INTEGER16")
    assert facts(position, "value", "scaled", "unit") == (6192612, None, "counts")
    assert position.text == "= 1511.868164 rev (4096 counts per rev)"
    for record in (status, again):
        assert facts(record, "value", "raw", "state") == (0x0227, b"\x27\2", "OPERATION_ENABLED")
        assert record.bits[:5] == OPERATION_ENABLED
        assert record.text.startswith("OPERATION ENABLED; ready to switch on, switched on, operation enabled")
    assert (status.flags, again.flags) == ((), ("unchanged",))
    assert facts(velocity, "value", "raw", "scaled", "size", "can_id") == (None,) * 5
    assert facts(velocity, "text", "flags") == ("no answer before the capture ends", ())


def test_the_example_capture_without_a_dictionary():
    tpdo, current, position, status, again, velocity = decode(stepim_frames())
    assert facts(tpdo, "object_text", "value", "name", "mapping_from") == (None,) * 4
    assert facts(tpdo, "raw", "flags") == (bytes.fromhex("f0160000"), ("mapping-unknown",))
    assert tpdo.text == "as i32: 5872"
    for record, name in ((current, "Current actual value"), (position, "Position actual value")):
        assert facts(record, "name", "names_from") == (name, "cia402")
    assert (current.value, position.value) == (219, 6192612)
    assert status.state == again.state == "OPERATION_ENABLED" and status.bits[:5] == OPERATION_ENABLED
    assert not again.changed
    assert facts(velocity, "name", "status", "value") == ("Velocity actual value", "unanswered", None)


def test_the_same_capture_of_a_device_that_is_no_drive():
    """Device type 401 (I/O module): what lies at 6000h means something else there."""
    device_type = frames(read((0x1000, 0, u32(0x0003_0191))), 101)
    records = decode([*device_type, *(replace(f, channel=None) for f in stepim_frames())])
    assert records[0].text == "device profile 401"
    for record in records[2:]:
        assert facts(record, "name", "names_from", "state", "bits", "value") == (None, None, None, (), None)
    assert all("not-in-dictionary" in record.flags for record in records[2:-1])
    assert records[2].raw == b"\xdb\0"


# --- a boot-up conversation that changes what frames mean ----------------------------------------------------------

#: What the master writes to TPDO4 of node 101: off, remapped, moved to 2AAh, on.
REMAP = [
    (0x1803, 1, u32(0x8000_04E5)),
    (0x1A03, 0, b"\0"),
    (0x1A03, 1, u32(mapping_word(0x6064, 0, 32))),
    (0x1A03, 2, u32(mapping_word(0x6041, 0, 16))),
    (0x1A03, 0, b"\2"),
    (0x1803, 1, u32(0x0000_02AA)),
]
OLD_DATA = bytes.fromhex("f0160000")
NEW_DATA = bytes.fromhex("e47d5e002702")


def remapping(messages):
    """Boot-up, TPDO4 as ever, the conversation, start, TPDO4 on its new identifier, and a frame on the old one."""
    return [
        Frame(0x765, b"\0"),
        Frame(0x4E5, OLD_DATA),
        *frames(messages, 101),
        Frame(0x000, b"\1\x65"),
        Frame(0x2AA, NEW_DATA),
        Frame(0x4E5, OLD_DATA),
    ]


@pytest.mark.parametrize("talk", [written, read], ids=["written", "read"])
def test_a_remapped_and_moved_tpdo_with_a_dictionary_that_says_otherwise(talk):
    boot_up, before, *configured, start, position, status, old = decode(remapping(talk(*REMAP)), {101: load("stepim")})
    assert (boot_up.service, start.service) == ("boot-up", "nmt")
    assert facts(before, "object_text", "value", "mapping_from") == ("60FA:00", 5872, "eds:stepim")
    assert [(r.object_text, r.status, r.raw) for r in configured] == [
        (f"{index:04X}:{subindex:02X}", "ok", raw) for index, subindex, raw in REMAP
    ]
    shape = ("service", "node", "number", "object_text", "value", "mapping_from", "bit_offset")
    assert facts(position, *shape) == ("tpdo", 101, 4, "6064:00", 6192612, "traffic", 0)
    assert facts(status, *shape) == ("tpdo", 101, 4, "6041:00", 0x0227, "traffic", 32)
    assert status.state == "OPERATION_ENABLED"
    assert facts(old, "service", "value", "node") == ("unknown", None, None)
    assert "TPDO4 of node 101 by default, but that was moved to 2AA" in old.text


@pytest.mark.parametrize("talk", [written, read], ids=["written", "read"])
def test_a_remapped_and_moved_tpdo_without_a_dictionary(talk):
    _, before, *_, position, status, old = decode(remapping(talk(*REMAP)))
    assert facts(before, "object_text", "value", "flags") == (None, None, ("mapping-unknown",))
    shape = ("service", "node", "number", "object_text", "value", "mapping_from", "names_from")
    assert facts(position, *shape) == ("tpdo", 101, 4, "6064:00", 6192612, "traffic", "cia402")
    assert facts(status, *shape) == ("tpdo", 101, 4, "6041:00", 0x0227, "traffic", "cia402")
    assert old.service == "unknown"


def test_a_configuration_that_was_refused_changes_nothing():
    """Each write is aborted by the server: what the dictionary says stays in force."""
    refused = [m for i, s, raw in REMAP for m in aborted(expedited("write", raw, True, i, s), 1, SERVER, 0x0601_0002)]
    records = decode(remapping(refused), {101: load("stepim")})
    before, (moved, old) = records[1], records[-2:]
    assert all(r.status == "aborted" and r.abort_code == 0x0601_0002 for r in records[2:8])
    assert facts(old, "object_text", "value", "mapping_from") == ("60FA:00", 5872, "eds:stepim")
    assert (before.changed, old.changed) == (True, False)
    assert (moved.node, moved.number) == (0x2A, 2), "2AAh is TPDO2 of node 42 by default"


def test_requests_alone_change_nothing():
    asked = [m for m in written(*REMAP) if m[0] is CLIENT]
    old = decode([*frames(asked, 101), Frame(0x4E5, OLD_DATA)], {101: load("stepim")})[-2]
    assert facts(old, "object_text", "value", "mapping_from") == ("60FA:00", 5872, "eds:stepim")


def test_half_way_through_the_configuration_the_pdo_is_not_valid():
    made = Decoder({101: load("stepim")})
    for frame in frames(written(*REMAP[:3]), 101):
        made.feed(frame)
    (record,) = made.feed(Frame(0x4E5, OLD_DATA))
    assert "pdo-not-valid" in record.flags and record.value is None


@pytest.mark.parametrize(
    ("reset", "kept"),
    [
        (Frame(0x765, b"\0"), False),
        (Frame(0x000, b"\x81\x65"), False),
        (Frame(0x000, b"\x82\x65"), False),
        (Frame(0x000, b"\x81\0"), False),
        (Frame(0x000, b"\x81\x64"), True),
        (Frame(0x000, b"\x80\x65"), True),
        (Frame(0x765, b"\x7f"), True),
    ],
    ids=["boot-up", "reset node", "reset communication", "reset all", "reset another", "pre-operational", "heartbeat"],
)
def test_a_reset_puts_the_mapping_back(reset, kept):
    made = Decoder({101: load("stepim")})
    for frame in [*frames(written(*REMAP), 101), reset]:
        made.feed(frame)
    assert made.feed(Frame(0x2AA, NEW_DATA))[0].object_text == ("6064:00" if kept else None)
    assert made.feed(Frame(0x4E5, OLD_DATA))[0].object_text == (None if kept else "60FA:00")


def test_a_saved_mapping_survives_the_reset():
    made = Decoder({101: load("stepim")})
    for frame in [*frames(written(*REMAP, (0x1010, 1, b"save")), 101), Frame(0x765, b"\0")]:
        made.feed(frame)
    assert made.feed(Frame(0x2AA, NEW_DATA))[0].object_text == "6064:00"
    for frame in [*frames(written((0x1011, 1, b"load")), 101), Frame(0x765, b"\0")]:
        made.feed(frame)
    assert made.feed(Frame(0x4E5, OLD_DATA))[0].object_text == "60FA:00"


def test_two_channels_are_two_buses():
    remap = [replace(frame, channel="can0") for frame in frames(written(*REMAP), 101)]
    made = Decoder({101: load("stepim")})
    for frame in remap:
        made.feed(frame)
    assert made.feed(Frame(0x2AA, NEW_DATA, channel="can0"))[0].object_text == "6064:00"
    assert made.feed(Frame(0x4E5, OLD_DATA, channel="can1"))[0].object_text == "60FA:00"
    assert made.feed(Frame(0x2AA, NEW_DATA, channel="can1"))[0].object_text is None


def test_what_a_file_moves_is_found_from_the_first_frame_on():
    made = {NODE: dictionary({(0x1800, 1): 0x6E1, (0x1A00, 0): 1, (0x1A00, 1): 0x1001_0008})}
    record = only([Frame(0x6E1, b"\x81")], made)
    assert facts(record, "service", "node", "number", "value") == ("tpdo", NODE, 1, 0x81)


def test_the_same_transfer_on_two_channels_does_not_mix():
    talk = segmented("read", payload(20))
    one, two = (frames(talk.messages, NODE, channel) for channel in ("can0", "can1"))
    records = decode([frame for pair in zip(one, two, strict=True) for frame in pair])
    assert [(r.channel, r.status, r.raw) for r in records] == [("can0", "ok", talk.data), ("can1", "ok", talk.data)]


def test_a_second_sdo_channel():
    made = Decoder()
    for frame in frames(written((0x1201, 1, u32(0x6E1)), (0x1201, 2, u32(0x6E2))), NODE):
        made.feed(frame)
    default, second = segmented("read", payload(20)), segmented("read", payload(30), index=0x3000)
    one = frames(default.messages, NODE)
    two = frames(second.messages, 0, request_id=0x6E1, response_id=0x6E2)
    mixed = [frame for pair in zip(one, two, strict=False) for frame in pair] + two[len(one) :]
    records = [record for frame in mixed for record in made.feed(frame)]
    assert [(r.number, r.index, r.raw) for r in records] == [(1, INDEX, default.data), (2, 0x3000, second.data)]
    assert all(r.node == NODE for r in records)


def test_a_moved_emcy_and_sync():
    made = Decoder()
    for frame in frames(written((0x1014, 0, u32(0x6E1)), (0x1005, 0, u32(0x4000_06E2))), NODE):
        made.feed(frame)
    assert facts(made.feed(Frame(0x6E1, bytes(8)))[0], "service", "node") == ("emcy", NODE)
    assert facts(made.feed(Frame(0x6E2))[0], "service", "node") == ("sync", None)
    assert made.feed(Frame(0x085, bytes(8)))[0].service == "unknown"


def test_the_identity_in_the_traffic_finds_the_dictionary():
    identity = read((0x1018, 1, u32(737)), (0x1018, 2, u32(42405)))
    *_, tpdo = decode([*frames(identity, 101), Frame(0x4E5, OLD_DATA)], library=Library())
    assert facts(tpdo, "object_text", "names_from") == ("60FA:00", "eds:stepim")
    mine = dictionary({(0x1A03, 0): 1, (0x1A03, 1): 0x6041_0010}, "mine")
    *_, tpdo, _ = decode([*frames(identity, 101), Frame(0x4E5, OLD_DATA)], {101: mine}, library=Library())
    assert tpdo.mapping_from == "eds:mine", "what the user gave comes first"


def test_a_fallback_is_for_nodes_without_a_dictionary_of_their_own():
    some = [Frame(0x4E5, OLD_DATA), Frame(0x4E6, OLD_DATA)]
    other, fallback = decode(some, {101: dictionary({}, "other")}, load("stepim"))
    assert (other.mapping_from, fallback.mapping_from) == (None, "eds:stepim")


# --- SDO: what becomes of transfers --------------------------------------------------------------------------------


def test_a_finished_transfer():
    (record,) = decode_talk(segmented("read", b"StepIM drive", index=0x1008, subindex=0).messages)
    assert facts(record, "service", "status", "object_text", "value") == ("sdo.read", "ok", "1008:00", "StepIM drive")
    assert facts(record, "raw", "size", "transfer", "flags") == (b"StepIM drive", 12, "segmented", ())
    assert facts(record, "response_ns", "took_ns", "time_ns") == (1_000_000, 5_000_000, 1_000_000)
    assert facts(record, "can_id", "number", "frames") == (0x585, 1, (1, 2, 3, 4, 5, 6))


def test_times_of_the_shortest_transfer():
    (record,) = decode_talk(expedited("read", b"\1").messages)
    assert facts(record, "response_ns", "took_ns") == (1_000_000, 1_000_000)
    (alone,) = decode_talk(expedited("read", b"\1").messages[:1])
    assert facts(alone, "response_ns", "took_ns", "time_ns") == (None, None, 1_000_000)


def test_a_damaged_transfer_has_bytes_and_no_value():
    talk = segmented("read", b"StepIM drive", index=0x1008, subindex=0)
    (record,) = decode_talk([*talk.messages[:3], *talk.messages[4:]])
    assert facts(record, "service", "status", "value", "scaled") == ("sdo.read", "damaged", None, None)
    assert record.raw == b"drive" and record.name == "Manufacturer device name"
    assert set(record.flags) == {"toggle-error", "size-mismatch"}
    assert "the toggle bit did not alternate" in record.text


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_an_aborted_transfer(kind, by_client):
    (record,) = decode_talk(aborted(expedited(kind, b"\1", index=0x6041, subindex=0), 1, by_client, 0x0609_0011))
    assert facts(record, "service", "status", "abort_code") == (f"sdo.{kind}", "aborted", 0x0609_0011)
    who = "client" if by_client else "server"
    text = f"aborted by the {who}: 06090011h the subindex does not exist"
    if kind == "read":
        assert facts(record, "raw", "value", "size") == (None, None, None)
        assert record.text == text
    else:  # what the client tried to write was on the wire; one byte is no statusword
        assert facts(record, "raw", "value", "size") == (b"\1", None, 1)
        assert record.text == f"{text}; tried: 1 byte where UNSIGNED16 has 2"


def test_the_value_of_a_refused_write_is_what_was_tried():
    (record,) = decode_talk(
        aborted(expedited("write", b"\x0f\0", index=0x6040, subindex=0), 1, not CLIENT, 0x0800_0022)
    )
    assert facts(record, "status", "value", "raw") == ("aborted", 0x000F, b"\x0f\0")
    assert "present device state; tried: enable operation" in record.text
    assert "unchanged" not in record.flags


def test_a_size_that_is_not_indicated_is_that_of_the_type():
    for index, raw, value in ((0x6041, b"\x27\2\0\0", 0x0227), (0x6061, b"\xfe\1\2\3", -2), (0x6064, u32(7), 7)):
        request = sdo.UploadInitiate(index, 0).encode()
        answer = sdo.UploadInitiated(index, 0, raw, sized=False).encode()
        (record,) = decode_talk([(CLIENT, request), (not CLIENT, answer)])
        assert facts(record, "status", "value") == ("ok", value)
        assert "size-not-indicated" in record.flags


def test_a_client_that_waited_in_vain():
    (record,) = decode_talk(aborted(expedited("read", b"\1"), 1, CLIENT, 0x0504_0000))
    assert record.text == "aborted by the client: 05040000h SDO protocol timed out (no answer was captured)"


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_what_the_end_of_the_capture_cuts_off_has_no_value(talk):
    for count in range(1, len(talk.messages)):
        (record,) = decode_talk(talk.messages[:count])
        assert record.status == ("unanswered" if count == 1 else "incomplete")
        assert facts(record, "can_id", "abort_code") == (None,) * 2
        if talk.kind == "read" or talk.protocol != "expedited":  # a write that says everything at once has its value
            assert facts(record, "value", "raw", "scaled", "size") == (None,) * 4
        assert "before the capture ends" in record.text and "time" not in record.text.replace("times", "")


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_what_the_start_of_the_capture_cuts_off_has_no_value(talk):
    for count in range(1, len(talk.messages)):
        for record in decode_talk(talk.messages[count:]):
            assert record.status != "ok"
            assert facts(record, "value", "scaled") == (None, None)


def test_a_late_answer_has_a_value_and_says_so():
    first, second = read((0x6041, 0, b"\x27\2")), read((0x6064, 0, u32(9)))
    unanswered, late, done = decode_talk([first[0], second[0], first[1], second[1]])
    assert facts(unanswered, "status", "value") == ("unanswered", None)
    assert unanswered.text == "no answer before the client's next request"
    assert facts(late, "status", "value", "flags") == ("ok", 0x227, ("late",))
    assert facts(done, "status", "value", "object_text") == ("ok", 9, "6064:00")


def test_strays_have_no_value():
    (record,) = decode_talk(read((0x6041, 0, b"\x27\2"))[1:])
    assert facts(record, "service", "status", "value", "raw") == ("sdo.read", "stray", None, None)
    assert facts(record, "flags", "object_text") == (("not-asked",), "6041:00")


def test_what_is_no_sdo_message():
    record = only([Frame(0x605, b"\xff" + bytes(7))])
    assert facts(record, "service", "status", "node") == ("sdo", "malformed", NODE)
    assert record.text == "unknown command FFh from an SDO client"


# --- SDO: any conversations, interleaved in any way ----------------------------------------------------------------


def without_frames(records):
    return [{**r.to_dict(), "frames": len(r.frames)} for r in records]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 127), st.sampled_from(["can0", "can1", None]), st.lists(talks(), min_size=1, max_size=3)
        ),
        min_size=2,
        max_size=5,
        unique_by=lambda lane: lane[:2],
    ),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_interleaving_changes_nothing(lanes, random, cut):
    """Conversations of different nodes and channels: the records of each are those it gives alone."""
    queues = {}
    for node_id, channel, several in lanes:
        messages = [message for talk in several for message in talk.messages]
        queues[node_id, channel] = frames(messages[: -1 if cut else None], node_id, channel)
    mixed = []
    waiting = {key: list(queue) for key, queue in queues.items()}
    while any(waiting.values()):
        mixed.append(waiting[random.choice([key for key, queue in waiting.items() if queue])].pop(0))
    together = decode(mixed)
    for (node_id, channel), queue in queues.items():
        alone = decode(queue)
        mine = [r for r in together if (r.node, r.channel) == (node_id, channel)]
        assert without_frames(mine) == without_frames(alone)
        assert [[mixed[n - 1] for n in r.frames] for r in mine] == [[queue[n - 1] for n in r.frames] for r in alone]
    assert {(r.node, r.channel) for r in together} <= queues.keys()


# --- NMT and error control -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", NmtCommand)
@pytest.mark.parametrize("target", [0, 5, 127])
def test_nmt_command(command, target):
    record = only([Frame(0x000, nmt.NmtMessage(command, target).encode())])
    assert facts(record, "service", "status", "node") == ("nmt", "ok", target or None)
    assert record.details == {"command": command.name, "target": target}
    assert record.text == f"{command.text}: {f'node {target}' if target else 'all nodes'}"


@pytest.mark.parametrize("state", [NmtState.STOPPED, NmtState.OPERATIONAL, NmtState.PRE_OPERATIONAL])
def test_heartbeat(state):
    beat = Frame(0x705, heartbeat.ErrorControl(state).encode())
    first, second = decode([beat, beat])
    assert facts(first, "service", "node", "state", "text") == ("heartbeat", 5, state.name, state.text)
    assert (first.flags, second.flags) == ((), ("unchanged",))
    assert first.value is None


def test_boot_up_is_no_heartbeat():
    record = only([Frame(0x705, b"\0")])
    assert facts(record, "service", "node", "state") == ("boot-up", 5, "INITIALISING")


def test_the_first_heartbeat_after_a_boot_up_is_news():
    beat = Frame(0x705, b"\x05")
    assert [r.flags for r in decode([beat, Frame(0x705, b"\0"), beat])] == [(), (), ()]


def guarded(*states):
    """Each state byte is asked for with a remote frame."""
    question = Frame(0x705, remote=True, dlc=1)
    return [frame for state in states for frame in (question, Frame(0x705, bytes([state])))]


def test_node_guarding():
    asked, answer, *rest = decode(guarded(0x05, 0x85, 0x05))
    assert facts(asked, "service", "node", "flags") == ("guarding", 5, ("remote-frame",))
    assert facts(asked, "state", "raw") == (None, None)
    assert facts(answer, "service", "state", "flags") == ("guarding", "OPERATIONAL", ())
    assert answer.text == "OPERATIONAL, toggle 0"
    assert [r.details["toggle"] for r in (answer, *rest[1::2])] == [False, True, False]
    assert all(r.flags == ("unchanged",) for r in rest[1::2])


@pytest.mark.parametrize("states", [(0x05, 0x05), (0x85, 0x85), (0x05, 0x85, 0x85)])
def test_a_guarding_answer_that_is_missing_or_repeated(states):
    *_, last = decode(guarded(*states))
    assert "toggle-error" in last.flags and "did not alternate" in last.text


def test_guarding_begins_anew_after_a_boot_up():
    *_, last = decode([*guarded(0x05), Frame(0x705, b"\0"), *guarded(0x05)])
    assert last.service == "guarding" and "toggle-error" not in last.flags


def test_a_boot_up_after_a_question_that_nobody_answered():
    """The master guards a node that is off; then the node starts. Its first byte is no answer."""
    made = Decoder({101: load("stepim")})
    for frame in frames(written(*REMAP), 101):
        made.feed(frame)
    made.feed(Frame(0x765, remote=True, dlc=1))
    (record,) = made.feed(Frame(0x765, b"\0"))
    assert record.service == "boot-up"
    assert made.feed(Frame(0x4E5, OLD_DATA))[0].object_text == "60FA:00", "the node has forgotten its configuration"


def test_guarding_answers_in_a_capture_that_has_no_remote_frames():
    """Some adapters do not report what they send. A toggle bit that is set gives guarding away."""
    first, *rest = decode([Frame(0x705, bytes([state])) for state in (0x85, 0x05, 0x85, 0x05)])
    assert [r.service for r in (first, *rest)] == ["guarding"] * 4
    assert not any("toggle-error" in r.flags for r in rest)


def test_a_question_that_nobody_answers_does_not_make_a_guarding_answer_of_a_later_heartbeat_of_another_node():
    *_, beat = decode([Frame(0x705, remote=True, dlc=1), Frame(0x706, b"\x05")])
    assert facts(beat, "service", "node") == ("heartbeat", 6)


# --- SYNC, TIME, EMCY, LSS -----------------------------------------------------------------------------------------


def test_sync_without_and_with_a_counter():
    first, second, counted = decode([Frame(0x080), Frame(0x080), Frame(0x080, b"\7")])
    assert facts(first, "service", "status", "node", "value", "flags") == ("sync", "ok", None, None, ())
    assert second.flags == ("unchanged",)
    assert facts(counted, "value", "details") == (7, {"counter": 7})


def test_time():
    record = only([Frame(0x100, time_stamp.TimeOfDay(1500, 1).encode())])
    assert facts(record, "service", "status", "node") == ("time", "ok", None)
    assert record.value == record.text == "1984-01-02T00:00:01.500"
    assert record.details == {"days_since_1984": 1, "ms_of_day": 1500}


def test_emcy():
    record = only([Frame(0x085, emcy.Emcy(0x8130, 0x11, b"\1\2\3\4\5").encode())])
    assert facts(record, "service", "status", "node", "value") == ("emcy", "ok", 5, 0x8130)
    assert record.details == {"code": 0x8130, "register": 0x11, "manufacturer": b"\1\2\3\4\5"}
    assert record.bits == ("generic", "communication")
    assert record.text == (
        "8130h life guard error or heartbeat error; error register: generic, communication; manufacturer 01 02 03 04 05"
    )


def test_emcy_that_is_over():
    record = only([Frame(0x085, bytes(8))])
    assert facts(record, "value", "bits", "text") == (0, (), "0000h error reset or no error")


def test_an_emcy_in_the_words_of_its_vendor():
    frame = Frame(0x0E5, emcy.Emcy(0x3120, 4).encode())
    assert only([frame]).text == "3120h mains under-voltage; error register: voltage"
    ours = "3120h under-voltage; error register: voltage"
    assert only([frame], {101: load("stepim")}).text == ours
    assert decode([*frames(read((0x1018, 1, u32(0x2E1))), 101), frame])[-1].text == ours


def test_an_emcy_of_a_device_that_is_no_drive():
    *_, record = decode([*frames(read((0x1000, 0, u32(0x191))), 5), Frame(0x085, emcy.Emcy(0x3120, 4).encode())])
    assert record.text == "3120h mains voltage; error register: voltage"


def test_lss():
    request, response = decode(
        [
            Frame(0x7E5, lss.ConfigureNodeId(5).encode()),
            Frame(0x7E4, lss.Result(lss.LssCommand.CONFIGURE_NODE_ID, 0).encode()),
        ]
    )
    assert facts(request, "service", "status", "node", "text") == ("lss", "ok", None, "master: set node-ID 5")
    assert request.details == {"from": "master", "command": "CONFIGURE_NODE_ID"}
    assert facts(response, "text") == ("slave: configure node-ID: done",)
    assert response.details == {"from": "slave", "command": "CONFIGURE_NODE_ID"}


@pytest.mark.parametrize(
    ("frame", "service", "reason"),
    [
        (Frame(0x000, b"\1"), "nmt", "an NMT command has 2 bytes, not 1"),
        (Frame(0x000, b"\1\x80"), "nmt", "node-ID 128 is outside 0..127"),
        (Frame(0x000, b"\7\5"), "nmt", "unknown NMT command 07h"),
        (Frame(0x080, b"\0"), "sync", "SYNC counter 0 is outside 1..240"),
        (Frame(0x080, b"\1\2"), "sync", "SYNC has no byte or 1 byte (the counter), not 2"),
        (Frame(0x100, bytes(5)), "time", "TIME has 6 bytes, not 5"),
        (Frame(0x085, bytes(7)), "emcy", "EMCY has 8 bytes, not 7"),
        (Frame(0x705, b""), "heartbeat", "boot-up, heartbeat and guarding have 1 byte, not 0"),
        (Frame(0x705, b"\5\5"), "heartbeat", "boot-up, heartbeat and guarding have 1 byte, not 2"),
        (Frame(0x705, b"\1"), "heartbeat", "unknown NMT state 01h"),
        (Frame(0x7E5, bytes(8)), "lss", "unknown LSS command 00h"),
        (Frame(0x7E4, b"\4" + bytes(7)), "lss", "04h is a master's command, not a slave's answer"),
        (Frame(0x7E5, b"\4"), "lss", "an LSS message has 8 bytes, not 1"),
        (Frame(0x605, b"\x40\x41"), "sdo", "an upload request needs 4 bytes, not 2"),
    ],
)
def test_malformed(frame, service, reason):
    record = only([frame])
    assert facts(record, "service", "status", "value", "state") == (service, "malformed", None, None)
    assert reason in record.text


def test_a_malformed_reset_resets_nothing():
    made = Decoder({101: load("stepim")})
    for frame in [*frames(written(*REMAP), 101), Frame(0x000, b"\x81\x65\0"), Frame(0x765, b"\0\0")]:
        made.feed(frame)
    assert made.feed(Frame(0x2AA, NEW_DATA))[0].object_text == "6064:00"


# --- frames that are no service ------------------------------------------------------------------------------------


@pytest.mark.parametrize("can_id", [0x000, 0x080, 0x085, 0x100, 0x185, 0x585, 0x605, 0x705, 0x7E4])
@pytest.mark.parametrize(
    ("options", "flag", "text"),
    [
        ({"extended": True, "data": bytes(8)}, "29-bit", "29-bit identifier: no CANopen service is configured here"),
        ({"fd": True, "data": bytes(8)}, "can-fd", "CAN FD frame: no CiA 301 service by its number alone"),
    ],
)
def test_other_kinds_of_frames_are_no_service_by_their_number(can_id, options, flag, text):
    record = only([Frame(can_id, **options)])
    assert facts(record, "service", "node", "value", "flags") == ("unknown", None, None, (flag,))
    assert record.text.startswith(text)


@pytest.mark.parametrize("can_id", [0x000, 0x080, 0x085, 0x100, 0x205, 0x585, 0x605, 0x7E4])
def test_remote_frames_where_nobody_asks_like_this(can_id):
    record = only([Frame(can_id, remote=True, dlc=8)])
    assert facts(record, "service", "node", "flags") == ("unknown", None, ("remote-frame",))


def test_an_error_frame():
    record = only([Frame(0x020, bytes(8), error=True)])
    assert facts(record, "service", "node", "value") == ("error-frame", None, None)
    assert record.text.startswith("no acknowledge")


def test_an_identifier_without_a_service():
    first, second, third = decode([Frame(0x6E0, b"\1"), Frame(0x6E0, b"\1"), Frame(0x6E0, b"\2")])
    assert facts(first, "service", "raw", "value") == ("unknown", b"\1", None)
    assert first.text == "no CANopen service has this identifier here (as i8: 1)"
    assert [r.changed for r in (first, second, third)] == [True, False, True]


# --- anything at all -----------------------------------------------------------------------------------------------

SERVICES = {
    "sdo.read",
    "sdo.write",
    "sdo",
    "tpdo",
    "rpdo",
    "nmt",
    "boot-up",
    "heartbeat",
    "guarding",
    "sync",
    "time",
    "emcy",
    "lss",
    "error-frame",
    "unknown",
}
BUSY_IDS = [0x000, 0x080, 0x085, 0x100, 0x185, 0x205, 0x285, 0x585, 0x605, 0x705, 0x7E4, 0x7E5, 0x2AA]
#: First bytes that begin something: SDO commands, NMT commands, states.
BUSY_BYTES = [
    0x40,
    0x4B,
    0x43,
    0x23,
    0x21,
    0x41,
    0x60,
    0x80,
    0xA0,
    0xA2,
    0xA4,
    0xC0,
    0xC1,
    0xC6,
    0x00,
    0x01,
    0x81,
    0x05,
]
BUSY_OBJECTS = [0x1000, 0x1005, 0x1010, 0x1011, 0x1014, 0x1018, 0x1200, 0x1280, 0x1800, 0x1A00, 0x1003, 0x6041, 0x2000]


@st.composite
def any_frames(draw):
    """Mostly frames that mean something, and everything else that a bus can carry."""
    kind = draw(st.sampled_from(["busy"] * 6 + ["classic", "extended", "remote", "error", "fd"]))
    channel = draw(st.sampled_from([None, "can0"]))
    can_id = draw(st.sampled_from(BUSY_IDS) | st.integers(0, 0x7FF))
    time_ns = draw(st.none() | st.integers(-(1 << 63), 1 << 63))
    common = {"channel": channel, "time_ns": time_ns}
    if kind == "busy":
        first, index = draw(st.sampled_from(BUSY_BYTES)), draw(st.sampled_from(BUSY_OBJECTS))
        data = bytes([first, index & 0xFF, index >> 8, draw(st.integers(0, 3))]) + draw(
            st.sampled_from([b"save", b"load", u32(0x2AA), u32(0x6041_0010), u32(2)]) | st.binary(max_size=4)
        )
        return Frame(can_id, data[: draw(st.sampled_from([8, 8, 8, 1, 2, 6]))], **common)
    data = draw(st.binary(max_size=8))
    if kind == "classic":
        return Frame(can_id, data, **common)
    if kind == "extended":
        return Frame(draw(st.sampled_from(BUSY_IDS) | st.integers(0, 0x1FFF_FFFF)), data, extended=True, **common)
    if kind == "remote":
        return Frame(can_id, remote=True, dlc=draw(st.integers(0, 15)), extended=draw(st.booleans()), **common)
    if kind == "error":
        return Frame(draw(st.integers(0, 0x1FFF_FFFF)), data, error=True, **common)
    length = draw(st.sampled_from(FD_LENGTHS))
    data = draw(st.binary(min_size=length, max_size=length))
    return Frame(can_id, data, fd=True, brs=draw(st.booleans()), esi=draw(st.booleans()), **common)


ODD = dictionary(
    {
        (0x1010, 1): {"data_type": DataType.INTEGER64},
        (0x1011, 1): {"data_type": DataType.UNSIGNED64},
        (0x1003, 1): {"data_type": DataType.INTEGER32},
        (0x6041, 0): {"data_type": DataType.INTEGER32},
        (0x2000, 0): {"data_type": 0x40, "name": "{braces} %s"},
        (0x1000, 0): {"data_type": DataType.REAL32, "unit": "{", "factor": 1e308},
        (0x1018, 1): {"data_type": DataType.VISIBLE_STRING},
        (0x1A00, 0): 1,
        (0x1A00, 1): 0x1010_0140,
    },
    "odd",
)


@given(st.lists(any_frames(), max_size=40), st.booleans())
def test_no_frame_raises_anywhere(some_frames, is_odd):
    dictionaries, given_dictionary = ({5: ODD}, ODD) if is_odd else (None, None)
    decoder, summary = Decoder(dictionaries, library=Library()), Summary(Decoder(dictionaries))
    explainer = Explainer(Decoder(dictionaries, given_dictionary))
    records = []
    for frame in some_frames:
        records += decoder.feed(frame)
        summary.feed(frame)
        explanation = explainer.explain(frame)
        assert explanation.sentence and explanation.lines
    records += decoder.finish()
    summary.finish()
    json.dumps([node.to_dict() for node in summary.nodes()], allow_nan=False)
    for node in summary.nodes():
        node.cob_ids(), node.heartbeat_text()
    seen = set()
    for record in records:
        assert record.service in SERVICES
        assert json.loads(json.dumps(record.to_dict(), allow_nan=False))["v"] == 1
        assert row(record, 0, "can0").service
        seen.update(record.frames)
    assert seen == set(range(1, len(some_frames) + 1)), "every frame is in a record"


@given(st.lists(any_frames(), max_size=20))
def test_values_come_from_frames_with_data_only(some_frames):
    """No record has a value that only a remote frame, an error frame or a request could have brought."""
    for record in decode(some_frames):
        frames_of = [some_frames[n - 1] for n in record.frames]
        if any(f.error for f in frames_of):
            assert record.service == "error-frame"
        if record.value is not None:
            assert record.status == "ok"
            assert any(f.data for f in frames_of) or record.raw == b""
            if record.service.startswith("sdo"):
                assert len(record.frames) >= 2
        if record.status in ("unanswered", "incomplete", "aborted", "stray", "malformed"):
            assert (record.value, record.scaled, record.size) == (None, None, None)


@given(st.lists(any_frames().filter(lambda f: f.extended or f.error or f.fd or f.remote), max_size=20))
def test_nothing_is_a_service_by_its_number_alone(some_frames):
    """On a bus where nothing was configured. A remote frame may ask for a TPDO or for the state of a node."""
    for frame in some_frames:
        record = only([frame])
        asks = frame.remote and not frame.extended and record.service in ("tpdo", "guarding")
        assert record.service in ("error-frame", "unknown") or asks
        assert (record.value, record.state, record.index) == (None, None, None)


def test_finish_is_in_the_order_of_the_capture():
    talk = block("write", payload(20))
    one, two = frames(talk.messages[:3], 9, "can0"), frames(read((0x6041, 0, b"\0\0"))[:1], 5, "can1")
    records = decode([one[0], two[0], *one[1:]])
    assert [(r.node, r.status, r.frames) for r in records] == [(9, "incomplete", (1, 3, 4)), (5, "unanswered", (2,))]
