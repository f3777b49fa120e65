"""A frame byte by byte: every byte has its line, and each SDO message, CANopen service and kind of frame its words."""

import pytest
from devices import dictionary, mapping_word, stepim_frames, u32, written
from hypothesis import given
from hypothesis import strategies as st
from sdo_talk import SMALL, block, frames, label, payload, segmented

from opendiag.decode.decoder import Decoder
from opendiag.decode.explain import Explainer
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.wire import sdo, sdo_block
from opendiag.wire.sdo_abort import SdoAbortCode

NODE = 5


def explainer(*args):
    return Explainer(Decoder(*args))


def explain(frame, *args):
    return explainer(*args).explain(frame)


def sdo_frame(message, from_client, node_id=NODE):
    return Frame((0x600 if from_client else 0x580) + node_id, message.encode())


def covered(explanation, head=1):
    """The bytes of all lines behind the identifier, joined."""
    return bytes.fromhex("".join(line.part for line in explanation.lines[head:]))


def meanings(explanation):
    return [(line.part, line.meaning) for line in explanation.lines]


# --- the example capture -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_dictionary", [True, False], ids=["stepim", "none"])
def test_every_byte_of_the_example_capture_has_its_line(given_dictionary):
    made = explainer({101: load("stepim")} if given_dictionary else None)
    for frame in stepim_frames():
        explanation = made.explain(frame)
        assert explanation.lines[0].part == frame.id_text
        assert covered(explanation) == frame.data


def test_the_example_capture_in_words():
    made = explainer({101: load("stepim")})
    tpdo, ask, answer, _, position, _, status, *_, velocity = map(made.explain, stepim_frames())
    assert meanings(tpdo) == [
        ("4E5", "1001 1100101b: function code 9 (TPDO4), node-ID 101 (65h)"),
        ("F0 16 00 00", "60FA:00 Control Effort = 5872"),
    ]
    assert tpdo.sentence == "Node 101 sends TPDO4, which carries Control Effort (mapping from the dictionary)."
    assert meanings(ask) == [
        ("665", "1100 1100101b: function code 12 (SDO request), node-ID 101 (65h)"),
        ("40", "initiate upload: read an object"),
        ("78 60", "index 6078h (low byte first): Current Actual Value, INTEGER16, read only (stepim EDS)"),
        ("00", "subindex 0"),
        ("00 00 00 00", "unused in a read request; not a value"),
    ]
    assert ask.sentence == (
        "The client asks node 101 for its Current Actual Value (6078:00). "
        "Expected answer: 5E5 [8] 4B 78 60 00 <2 bytes>."
    )
    assert [line.part for line in answer.lines] == ["5E5", "4B", "78 60", "00", "DB 00", "00 00"]
    assert "219 mA" in answer.lines[4].meaning and answer.lines[5].meaning == "unused"
    assert answer.sentence == "Node 101 answers: Current Actual Value (6078:00) is 219 mA."
    assert "6192612 counts = 1511.868164 rev" in position.sentence
    assert "0x0227" in status.sentence and "OPERATION ENABLED" in status.sentence
    assert "is" not in velocity.sentence.split() and velocity.sentence.startswith("The client asks node 101")


def test_without_a_dictionary_the_tpdo_stays_bytes():
    explanation = explain(stepim_frames()[0])
    assert meanings(explanation)[1] == ("F0 16 00 00", "process data; as i32: 5872")
    assert explanation.sentence == ("Node 101 sends TPDO4; 1A03h tells which objects these are: give --eds 101=FILE.")


# --- identifiers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("can_id", "text"),
    [
        (0x000, "0000 0000000b: NMT"),
        (0x080, "0001 0000000b: SYNC"),
        (0x085, "0001 0000101b: function code 1 (EMCY), node-ID 5 (05h)"),
        (0x100, "0010 0000000b: TIME"),
        (0x1FF, "0011 1111111b: function code 3 (TPDO1), node-ID 127 (7Fh)"),
        (0x705, "1110 0000101b: function code 14 (NMT error control), node-ID 5 (05h)"),
        (0x7E5, "1111 1100101b: LSS request"),
        (0x6E5, "1101 1100101b: function code 13, node-ID 101: not part of the predefined connection set"),
        (0x180, "0011 0000000b: function code 3, node-ID 0: not part of the predefined connection set"),
    ],
)
def test_eleven_bits(can_id, text):
    first, *_ = explain(Frame(can_id, bytes(8))).lines
    assert (first.part, first.meaning) == (f"{can_id:03X}", text)


def test_29_bits():
    first, *rest = explain(Frame(0x1ABCDEF, b"\1\2", extended=True)).lines
    assert first.part == "01ABCDEF" and first.meaning.startswith("29-bit identifier")
    assert [line.part for line in rest] == ["01 02"]


def test_an_error_frame():
    explanation = explain(Frame(0x020, bytes(8), error=True))
    assert explanation.lines[0].part == "20000020" and explanation.lines[0].meaning.startswith("error frame")
    assert covered(explanation) == bytes(8)
    assert explanation.sentence.startswith("The adapter saw: no acknowledge")


@pytest.mark.parametrize(
    ("can_id", "sentence"),
    [
        (0x705, "Node guarding: the master asks node 5 for its state."),
        (0x185, "Somebody asks node 5 to send its TPDO1."),
        (0x605, "CANopen uses no remote frame here."),
    ],
)
def test_remote_frames(can_id, sentence):
    explanation = explain(Frame(can_id, remote=True, dlc=3))
    assert [line.part for line in explanation.lines] == [f"{can_id:03X}", "RTR"]
    assert explanation.lines[1].meaning == "remote frame: carries no data and asks for 3 bytes"
    assert explanation.sentence == sentence


@pytest.mark.parametrize("length", [0, 8, 12, 64])
def test_can_fd(length):
    explanation = explain(Frame(0x185, bytes(range(length)), fd=True, brs=True, esi=True))
    assert explanation.lines[1].part == "FD"
    assert explanation.lines[1].meaning == "CAN FD frame, sent at the higher bit rate (BRS), sender error passive"
    if length:
        assert covered(explanation, head=2) == bytes(range(length))


def test_a_moved_identifier_says_where_it_comes_from():
    made = explainer()
    for frame in frames(written((0x1800, 1, u32(0x2AA))), NODE):
        made.explain(frame)
    assert made.explain(Frame(0x2AA, b"\1")).lines[1].meaning == "configured by the traffic: TPDO1 of node 5"
    assert "TPDO1 of node 5 by default, but that was moved to 2AA" in made.explain(Frame(0x185)).lines[1].meaning


# --- SDO -----------------------------------------------------------------------------------------------------------

MESSAGES = [
    (True, sdo.UploadInitiate(0x1018, 1), "initiate upload", "The client asks node 5"),
    (True, sdo.DownloadInitiate(0x1017, 0, b"\xe8\3"), "initiate download, expedited", "The client writes"),
    (True, sdo.DownloadInitiate(0x1017, 0, b"\1\2\3\4", sized=False), "not indicated", "The client writes"),
    (True, sdo.DownloadInitiate(0x1F50, 1, size=1000), "initiate download, segmented", "The client will write"),
    (True, sdo.DownloadInitiate(0x1F50, 1), "initiate download, segmented", "in segments."),
    (True, sdo.Segment(True, b"abc", True), "segment, toggle 1, 3 bytes of data, the last one", "the last one"),
    (True, sdo.SegmentRequest(True), "upload segment request, toggle 1", "asks node 5 for the next segment"),
    (True, sdo.Abort(0x1018, 1, SdoAbortCode.TIMED_OUT), "abort", "The client aborts"),
    (True, sdo_block.BlockDownloadInitiate(0x1F50, 1, 1000), "initiate block download", "in blocks, 1000 bytes."),
    (True, sdo_block.BlockDownloadInitiate(0x1F50, 1, None, False), "no CRC", "in blocks."),
    (True, sdo_block.BlockEnd(3, 0x1234), "end of the block transfer; 3 bytes", "that was all"),
    (True, sdo_block.BlockUploadInitiate(0x1021, 0, 127, 4), "initiate block upload", "in blocks."),
    (True, sdo_block.BlockUploadStart(), "start of the block upload", "start sending"),
    (True, sdo_block.BlockAck(7, 127), "acknowledge of a sub-block", "up to 7"),
    (True, sdo_block.BlockEnded(), "confirmed", "has it all"),
    (False, sdo.DownloadInitiated(0x1017, 0), "download response: accepted", "Node 5 accepts the write"),
    (False, sdo.SegmentAck(True), "download segment response, toggle 1", "Node 5 has the segment."),
    (False, sdo.UploadInitiated(0x1018, 1, u32(737)), "upload response, expedited: 4 bytes", "Node 5 answers"),
    (False, sdo.UploadInitiated(0x1008, 0, size=12), "upload response, segmented", "in segments, 12 bytes."),
    (False, sdo.UploadInitiated(0x1008, 0), "upload response, segmented", "in segments."),
    (False, sdo.Segment(False, b"StepIM ", False), "segment, toggle 0, 7 bytes of data, more follow", "more follow"),
    (False, sdo.Abort(0x1018, 9, SdoAbortCode.NO_SUCH_SUBINDEX), "abort", "Node 5 aborts"),
    (False, sdo_block.BlockDownloadInitiated(0x1F50, 1, 64), "block download response", "Node 5 is ready"),
    (False, sdo_block.BlockUploadInitiated(0x1021, 0, 100), "block upload response", "Node 5 will send"),
    (False, sdo_block.BlockAck(7, 127), "acknowledge of a sub-block", "up to 7"),
    (False, sdo_block.BlockEnd(3, 0x1234), "end of the block transfer; 3 bytes", "that was all"),
    (False, sdo_block.BlockEnded(), "confirmed", "has it all"),
]


@pytest.mark.parametrize(
    ("from_client", "message", "first", "sentence"),
    MESSAGES,
    ids=lambda v: type(v).__name__ if hasattr(v, "encode") and not isinstance(v, str) else "",
)
def test_each_sdo_message(from_client, message, first, sentence):
    frame = sdo_frame(message, from_client)
    explanation = explain(frame)
    assert covered(explanation) == frame.data
    assert first in explanation.lines[1].meaning
    assert sentence in explanation.sentence


def test_no_sdo_message_is_forgotten():
    """Every class that the wire codecs know, in each direction in which it is sent."""
    tested = {(from_client, type(message)) for from_client, message, _, _ in MESSAGES}
    assert tested == {(True, cls) for cls in sdo.Request.__args__} | {(False, cls) for cls in sdo.Response.__args__}


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_every_byte_of_a_conversation_has_its_line(talk):
    """Block data included: which only the transfer so far tells apart from other messages."""
    made = explainer()
    for position, frame in enumerate(frames(talk.messages, NODE)):
        explanation = made.explain(frame)
        assert covered(explanation) == frame.data
        if talk.protocol == "block" and talk.is_data(position):
            assert explanation.lines[1].meaning.startswith("block segment ")


def test_data_that_are_text():
    talk = segmented("read", b"StepIM drive", index=0x1008, subindex=0)
    made = explainer()
    lines = [made.explain(frame).lines for frame in frames(talk.messages, NODE)]
    assert lines[3][2].meaning == "data: 'StepIM '" and lines[5][2].meaning == "data: 'drive'"
    talk = block("write", payload(14))
    assert made.explain(frames(talk.messages, NODE)[0]).lines[-1].meaning == "size: 14 bytes (low byte first)"


def test_an_abort_says_why():
    explanation = explain(sdo_frame(sdo.Abort(0x6041, 0, 0x0609_0011), False))
    assert meanings(explanation)[-1] == (
        "11 00 09 06",
        "abort code 06090011h (low byte first): the subindex does not exist",
    )
    assert explanation.sentence == "Node 5 aborts the transfer of Statusword (6041:00): the subindex does not exist."


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0x6041, "4B 41 60 00 <2 bytes>"),
        (0x1001, "4F 01 10 00 <1 byte>"),
        (0x1008, "41 .. with the size"),
        (0x2000, "4x .."),
    ],
)
def test_a_read_request_says_which_answer_to_expect(index, expected):
    assert f"Expected answer: 585 [8] {expected}" in explain(sdo_frame(sdo.UploadInitiate(index, 0), True)).sentence


def test_a_read_request_has_no_value():
    """Whatever stands in its unused bytes."""
    explanation = explain(Frame(0x605, bytes.fromhex("4041600027020000")))
    assert meanings(explanation)[-1] == ("27 02 00 00", "unused in a read request; not a value")
    assert "0227" not in explanation.sentence and "OPERATION" not in explanation.sentence


@pytest.mark.parametrize("data", [b"{x}\0", b"{}{}", b"%s%d", b"{No{"], ids=bytes.decode)
def test_braces_in_a_value_or_a_name_are_only_braces(data):
    given_dictionary = dictionary({(0x2000, 0): {"data_type": DataType.VISIBLE_STRING, "name": "{0} {name}"}})
    explanation = explain(sdo_frame(sdo.UploadInitiated(0x2000, 0, data), False), {NODE: given_dictionary})
    assert explanation.sentence.startswith("Node 5 answers: {0} {name} (2000:00) is ")
    assert data.rstrip(b"\0").decode() in explanation.sentence


@pytest.mark.parametrize("data", [b"", b"\xff" + bytes(7), b"\x40\x41", b"\xa0\0\x20\0\0\0\0\0"], ids=bytes.hex)
def test_what_is_no_sdo_message(data):
    explanation = explain(Frame(0x605, data))
    assert explanation.lines[1].meaning.startswith("not what it should be: ")
    assert explanation.sentence == "This is not a correct SDO request message."


# --- process data --------------------------------------------------------------------------------------------------


def mapped(*entries):
    words = [mapping_word(*entry) for entry in entries]
    made = explainer()
    talk = written(*((0x1A00, n, u32(word)) for n, word in enumerate(words, 1)), (0x1A00, 0, bytes([len(words)])))
    for frame in frames(talk, NODE):
        made.explain(frame)
    return made


def test_mapped_objects_byte_by_byte():
    explanation = mapped((0x6041, 0, 16), (0x6061, 0, 8)).explain(Frame(0x185, bytes.fromhex("27020812")))
    assert [line.part for line in explanation.lines] == ["185", "27 02", "08", "12"]
    assert "6041:00 Statusword = 0x0227" in explanation.lines[1].meaning
    assert explanation.lines[3].meaning == "beyond the mapping"
    carried = "Statusword, Modes of operation display"
    assert explanation.sentence == f"Node 5 sends TPDO1, which carries {carried} (mapping from the traffic)."


def test_mapped_objects_within_bytes():
    explanation = mapped((0x2000, 0, 4), (0x2001, 0, 12)).explain(Frame(0x185, b"\x12\x34"))
    assert [line.part for line in explanation.lines] == ["185", "bits 0..3", "bits 4..15"]
    assert explanation.sentence == "Node 5 sends TPDO1, which carries 2000:00, 2001:00 (mapping from the traffic)."


def test_a_frame_too_short_for_its_mapping():
    explanation = mapped((0x6041, 0, 16), (0x6064, 0, 32)).explain(Frame(0x185, b"\x27\2"))
    assert meanings(explanation)[2] == ("-", "too short: 6064:00, which comes next, has 32 bits")


def test_a_multiplexed_pdo():
    made = explainer()
    for frame in frames(written((0x1A00, 0, b"\xfe")), NODE):
        made.explain(frame)
    explanation = made.explain(Frame(0x185, bytes(8)))
    assert "multiplexed" in explanation.sentence and covered(explanation) == bytes(8)


def test_rpdo():
    assert explain(Frame(0x205, b"\1")).sentence.startswith("Node 5 receives RPDO1; 1600h tells")


# --- the other services --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("can_id", "data", "sentence"),
    [
        (0x000, "0105", "The NMT master tells node 5: start (enter operational)."),
        (0x000, "8100", "The NMT master tells all nodes: reset node."),
        (0x080, "", "SYNC: synchronous PDOs are sampled and take effect now."),
        (0x080, "07", "SYNC: synchronous PDOs are sampled and take effect now."),
        (0x100, "dc0500000100", "The time is 1984-01-02T00:00:01.500."),
        (0x085, "3081110102030405", "Node 5 reports an emergency: life guard error or heartbeat error."),
        (0x085, "0000000000000000", "Node 5 reports that its error is gone."),
        (0x705, "00", "Node 5 has just started."),
        (0x705, "05", "Node 5 is OPERATIONAL."),
        (0x705, "85", "Node 5 is OPERATIONAL."),
        (0x7E5, "1105000000000000", "The LSS master: set node-ID 5."),
        (0x7E4, "1100000000000000", "An LSS slave: configure node-ID: done."),
        (0x6E0, "0102", "No CANopen service that is known here."),
    ],
)
def test_services(can_id, data, sentence):
    explanation = explain(Frame(can_id, bytes.fromhex(data)))
    assert explanation.sentence == sentence
    assert covered(explanation) == bytes.fromhex(data)


@pytest.mark.parametrize("can_id", [0x000, 0x085, 0x100, 0x705, 0x7E5, 0x7E4])
def test_a_malformed_service(can_id):
    explanation = explain(Frame(can_id, b"\xee\xee\xee"))
    assert explanation.lines[1].meaning.startswith("not what it should be: ")
    assert "is not a correct" in explanation.sentence
    assert covered(explanation) == b"\xee\xee\xee"


def test_explaining_a_frame_without_a_node_makes_no_node():
    """NMT, SYNC and the like belong to no node, and a dictionary for all nodes does not describe node 0."""
    made = explainer(None, load("stepim"))
    for frame in (Frame(0x000, b"\1\0"), Frame(0x080), Frame(0x6E0)):
        made.explain(frame)
    assert made.explain(Frame(0x080)).sentence.startswith("SYNC")
    assert made.explain(Frame(0x180, b"\1")).sentence == "No CANopen service that is known here."
    assert made.explain(Frame(0x4E5, bytes(4))).sentence.startswith(
        "Node 101 sends TPDO4, which carries Control Effort"
    )


@given(st.lists(st.tuples(st.sampled_from([0x585, 0x605]), st.binary(max_size=8)), max_size=20))
def test_every_byte_of_any_sdo_frame_has_its_line(messages):
    made = explainer()
    for can_id, data in messages:
        explanation = made.explain(Frame(can_id, data))
        parts = "".join(line.part for line in explanation.lines[1:])
        assert bytes.fromhex(parts.replace("-", "")) == data


def test_a_mode_in_the_same_pdo_tells_how_to_read_its_statusword():
    given = [Frame(0x185, b"\x37\x16\6")]
    explainer = mapped((0x6041, 0, 16), (0x6061, 0, 8))
    assert "homing attained" in meanings(explainer.explain(given[0]))[1][1]
