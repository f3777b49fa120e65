"""The SDO server with block transfers: golden frames, lost frames, and whatever a client may get wrong."""

import binascii
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import ObjectRead, ObjectWritten, SdoServer, TransferAborted

DOMAIN, WORD = 0x2004, 0x1017


class Talk:
    """Requests as hexadecimal, answers as hexadecimal, and a clock set by hand."""

    def __init__(self, data=b"", **options):
        self.dictionary = ObjectDictionary("test")
        for index, data_type in ((DOMAIN, DataType.DOMAIN), (WORD, DataType.UNSIGNED16)):
            member = Variable(index, 0, "x", data_type, "rw")
            self.dictionary.objects[index] = Object(index, "x", ObjectType.VAR, {0: member})
        self.store = DictionaryStore(self.dictionary, 5)
        self.store.values[DOMAIN, 0] = data
        self.server = SdoServer(SdoChannel.default(5), self.store, **options)
        self.now = 0.0
        self.events = []

    def ask(self, *requests):
        for request in requests:
            self.server.receive(Frame(0x605, bytes.fromhex(request)), self.now)
        self.events += self.server.events()
        return [frame.data.hex(" ") for frame in self.server.frames_to_send()]

    def wait(self, seconds):
        until = self.now + seconds
        while (due := self.server.deadline()) is not None and due <= until:
            self.now = due
            self.server.tick(due)
        self.now = until
        return self.ask()

    @property
    def value(self):
        return self.store.values[DOMAIN, 0]


def segments(data, first=1, last=True):
    """Frames of a sub-block, as hexadecimal."""
    parts = [data[at : at + 7] for at in range(0, len(data), 7)] or [b""]
    return [
        (bytes([number | (0x80 if last and part is parts[-1] else 0)]) + part.ljust(7, b"\0")).hex(" ")
        for number, part in enumerate(parts, first)
    ]


def end(data, crc=None):
    crc = binascii.crc_hqx(data, 0) if crc is None else crc
    unused = -len(data) % 7 if data else 7
    return (bytes([0xC1 | unused << 2]) + crc.to_bytes(2, "little") + bytes(5)).hex(" ")


def c6(size, command=0xC6):
    return f"{command:02x} 04 20 00 " + size.to_bytes(4, "little").hex(" ")


def aborted(code, index=DOMAIN):
    return [(b"\x80" + index.to_bytes(2, "little") + b"\0" + code.to_bytes(4, "little")).hex(" ")]


def ack(sequence, block_size=127):
    return f"a2 {sequence:02x} {block_size:02x} 00 00 00 00 00"


ENDED = "a1 00 00 00 00 00 00 00"
DATA = bytes(range(1, 21))

# --- golden frames --------------------------------------------------------------------------------------------------


def test_a_block_upload():
    talk = Talk(b"123456789")
    assert talk.ask("a4 04 20 00 7f 00 00 00") == ["c6 04 20 00 09 00 00 00"]
    assert talk.ask("a3") == ["01 31 32 33 34 35 36 37", "82 38 39 00 00 00 00 00"]
    assert talk.ask("a2 02 7f") == ["d5 c3 31 00 00 00 00 00"], "31C3h is the check value of this CRC"
    assert talk.events == []
    assert talk.ask("a1") == []
    assert talk.events == [ObjectRead(DOMAIN, 0)]
    assert talk.server.deadline() is None


def test_a_block_download():
    talk = Talk()
    assert talk.ask("c6 04 20 00 09 00 00 00") == ["a4 04 20 00 7f 00 00 00"]
    assert talk.ask("01 31 32 33 34 35 36 37") == []
    assert talk.ask("82 38 39 00 00 00 00 00") == ["a2 02 7f 00 00 00 00 00"]
    assert talk.value == b""
    assert talk.ask("d5 c3 31 00 00 00 00 00") == [ENDED]
    assert talk.value == b"123456789"
    assert talk.events == [ObjectWritten(DOMAIN, 0, b"123456789")]
    assert talk.server.deadline() is None


def test_without_crc_on_the_clients_side_none_is_sent():
    talk = Talk(b"123456789")
    assert talk.ask("a0 04 20 00 7f 00 00 00", "a3", "a2 02 7f")[3:] == ["d5 00 00 00 00 00 00 00"]


def test_without_crc_on_the_clients_side_none_is_checked():
    talk = Talk()
    assert talk.ask(c6(20, 0xC2), *segments(DATA), end(DATA, 0xDEAD))[2:] == [ENDED]
    assert talk.value == DATA


def test_a_download_without_a_size():
    talk = Talk()
    assert talk.ask(c6(0, 0xC4), *segments(DATA), end(DATA))[2:] == [ENDED]
    assert talk.value == DATA


def test_an_upload_of_a_stream_without_a_size():
    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

    talk = Talk()
    talk.store.on_read(DOMAIN, 0, lambda now: Unseekable(DATA))
    assert talk.ask("a4 04 20 00 7f", "a3", "a2 03 7f", "a1") == [c6(0, 0xC4), *segments(DATA), end(DATA)]


def test_an_empty_object_is_one_segment_without_data():
    talk = Talk()
    assert talk.ask("a4 04 20 00 7f", "a3", "a2 01 7f", "a1") == [c6(0), *segments(b""), "dd 00 00 00 00 00 00 00"]
    assert talk.ask(c6(0), *segments(b""), end(b""))[2:] == [ENDED]


def test_a_short_object_in_blocks():
    talk = Talk()
    assert talk.ask("c6 17 10 00 02 00 00 00", *segments(b"\xd0\x07"), end(b"\xd0\x07"))[2:] == [ENDED]
    assert talk.store.get(WORD, 0) == 2000


# --- the protocol switch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "threshold", "answer"),
    [
        (b"ab", 2, "4b 04 20 00 61 62 00 00"),
        (b"ab", 1, "c6 04 20 00 02 00 00 00"),
        (DATA, 20, "41 04 20 00 14 00 00 00"),
        (DATA, 19, "c6 04 20 00 14 00 00 00"),
        (b"", 0, "c6 04 20 00 00 00 00 00"),
        (b"", 1, "41 04 20 00 00 00 00 00"),
    ],
)
def test_an_object_up_to_the_threshold_comes_without_blocks(data, threshold, answer):
    talk = Talk(data)
    assert talk.ask(f"a4 04 20 00 7f {threshold:02x}") == [answer]
    if answer.startswith("41") and data:
        assert talk.ask("60") == ["00 01 02 03 04 05 06 07"]


# --- block sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [0, 128, 255])
def test_a_block_size_is_checked(block_size):
    talk = Talk(DATA)
    assert talk.ask(f"a4 04 20 00 {block_size:02x}") == aborted(0x05040002)
    assert talk.ask("a4 04 20 00 01", "a3", f"a2 01 {block_size:02x}")[2:] == aborted(0x05040002)
    with pytest.raises(ValueError, match="outside 1"):
        Talk(block_size=block_size)


def test_the_block_size_of_the_last_acknowledge_means_nothing():
    talk = Talk(DATA)
    assert talk.ask("a4 04 20 00 7f", "a3", "a2 03 00")[4:] == [end(DATA)]


def test_the_client_changes_the_block_size():
    talk = Talk(DATA)
    assert talk.ask("a4 04 20 00 01", "a3")[1:] == segments(DATA[:7], last=False)
    assert talk.ask("a2 01 02") == segments(DATA[7:])
    assert talk.ask("a2 00 01") == segments(DATA[7:14], last=False), "nothing arrived, and it wants one at a time"
    assert talk.ask("a2 01 7f") == segments(DATA[14:])
    assert talk.ask("a2 01 7f", "a1") == [end(DATA)]


@given(data=st.binary(max_size=200), sizes=st.lists(st.integers(1, 127), min_size=1, max_size=8))
def test_any_object_is_read_in_any_blocks(data, sizes):
    talk = Talk(data)
    sizes = iter(sizes * 200)
    talk.ask(f"a4 04 20 00 {next(sizes):02x}")
    got, last, answers = b"", False, talk.ask("a3")
    while not last:
        frames = [bytes.fromhex(answer) for answer in answers]
        assert [frame[0] & 0x7F for frame in frames] == list(range(1, len(frames) + 1))
        got += b"".join(frame[1:] for frame in frames)
        last = frames[-1][0] >= 0x80
        answers = talk.ask(ack(len(frames), next(sizes)))
    closing = bytes.fromhex(answers[0])
    got = got[: len(got) - (closing[0] >> 2 & 7)]
    assert got == data
    assert closing[1] | closing[2] << 8 == binascii.crc_hqx(data, 0)


@given(data=st.binary(max_size=200), block_size=st.integers(1, 127), sized=st.booleans())
def test_any_object_is_written_in_any_blocks(data, block_size, sized):
    talk = Talk(block_size=block_size)
    assert talk.ask(c6(len(data) if sized else 0, 0xC6 if sized else 0xC4)) == [
        f"a4 04 20 00 {block_size:02x} 00 00 00"
    ]
    parts = [data[at : at + 7 * block_size] for at in range(0, len(data), 7 * block_size)] or [b""]
    for part in parts:
        sub_block = segments(part, last=part is parts[-1])
        assert talk.ask(*sub_block) == [ack(len(sub_block), block_size)]
    assert talk.ask(end(data)) == [ENDED]
    assert talk.value == data


# --- lost frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_an_upload_resumes_behind_what_arrived(arrived):
    """Also in the last sub-block, when the source has no more data to give."""
    talk = Talk(DATA)
    talk.ask("a4 04 20 00 7f", "a3")
    assert talk.ask(ack(arrived)) == segments(DATA[7 * arrived :])
    assert talk.ask(ack(3 - arrived)) == [end(DATA)]


def test_the_end_of_an_upload_is_sent_again():
    talk = Talk(DATA)
    assert talk.ask("a4 04 20 00 7f", "a3", ack(3), ack(3))[4:] == [end(DATA), end(DATA)]
    assert talk.ask(ack(2)) == aborted(0x05040001)


def test_a_download_acknowledges_up_to_the_gap():
    talk = Talk()
    one, _, three = segments(DATA)
    assert talk.ask(c6(20), one, three)[1:] == [ack(1)]
    assert talk.ask(*segments(DATA[7:])) == [ack(2)]
    assert talk.ask(end(DATA)) == [ENDED]
    assert talk.value == DATA


def test_a_lost_last_segment_is_asked_for_after_half_the_time_out():
    talk = Talk(timeout_s=1.0)
    one, two, _ = segments(DATA)
    talk.ask(c6(20))
    assert talk.server.deadline() == 1.0
    talk.ask(one, two)
    assert talk.server.deadline() == 0.5
    assert talk.wait(0.49) == []
    assert talk.wait(0.01) == [ack(2)]
    assert talk.ask(*segments(DATA[14:]), end(DATA)) == [ack(1), ENDED]
    assert talk.value == DATA


def test_a_sub_block_of_which_only_the_middle_arrived():
    talk = Talk()
    talk.ask(c6(20), segments(DATA)[1])
    assert talk.wait(0.5) == [ack(0)]
    assert talk.ask(*segments(DATA), end(DATA)) == [ack(3), ENDED]


def test_nothing_is_acknowledged_twice():
    """A client would take the second one for an answer to its next sub-block."""
    talk = Talk(block_size=2)
    assert talk.ask(c6(20), *segments(DATA[:14], last=False))[1:] == [ack(2, 2)]
    assert talk.wait(0.99) == []
    assert talk.wait(0.01) == aborted(0x05040000)


def test_a_client_that_goes_on_after_a_pause_has_its_answer_already():
    """It reads the answer when it is through with its sub-block, and begins anew behind what arrived."""
    talk = Talk(block_size=5)
    data = bytes(range(1, 36))
    sub_block = segments(data)
    talk.ask(c6(35), *sub_block[:2])
    assert talk.wait(0.5) == [ack(2, 5)]
    assert talk.ask(*sub_block[2:]) == []
    assert talk.ask(*segments(data[14:]), end(data)) == [ack(3, 5), ENDED]
    assert talk.value == data


def test_frames_that_the_bus_delivers_twice_change_nothing():
    talk = Talk(block_size=2)
    one, two = segments(DATA[:14], last=False)
    three = segments(DATA[14:])[0]
    assert talk.ask(c6(20), one, one, two, two)[1:] == [ack(2, 2)]
    assert talk.ask(three, three, end(DATA)) == [ack(1, 2), ENDED]
    assert talk.value == DATA


def test_a_segment_that_looks_like_the_end_of_the_sub_block_before():
    """In an object full of zeros they all do."""
    talk = Talk(block_size=3)
    one, two, three = segments(bytes(21), last=False)
    assert talk.ask(c6(42), one, two, three)[1:] == [ack(3, 3)]
    assert talk.ask(one, three) == [ack(1, 3)]


@given(data=st.binary(min_size=1, max_size=150), block_size=st.integers(1, 6), lost=st.sets(st.integers(0, 40)))
def test_whatever_segments_of_a_download_are_lost(data, block_size, lost):
    """A client that resends what is not acknowledged comes to the end, or to an abort; never to other data."""
    talk = Talk(block_size=block_size)
    talk.ask(c6(len(data)))
    rest, sent = data, 0
    while rest:
        part = rest[: 7 * block_size]
        for frame in segments(part, last=len(part) == len(rest)):
            if sent not in lost:
                talk.server.receive(Frame(0x605, bytes.fromhex(frame)), talk.now)
            sent += 1
        answers = talk.ask() or talk.wait(1.0)
        if answers[0].startswith("80"):
            assert talk.value == b""
            return
        assert len(answers) == 1
        rest = rest[7 * bytes.fromhex(answers[0])[1] :]
    assert talk.ask(end(data)) == [ENDED]
    assert talk.value == data


# --- what ends a transfer -------------------------------------------------------------------------------------------


def test_a_crc_that_does_not_fit():
    talk = Talk()
    assert talk.ask(c6(20), *segments(DATA), end(DATA, 0xDEAD))[2:] == aborted(0x05040004)
    assert talk.value == b""
    assert talk.events == [TransferAborted(DOMAIN, 0, 0x05040004, False)]


@pytest.mark.parametrize("announced", [13, 19, 21, 100])
def test_bytes_that_are_not_as_many_as_announced(announced):
    talk = Talk()
    answers = talk.ask(c6(announced), *segments(DATA), end(DATA))
    assert aborted(0x06070010)[0] in answers
    assert talk.value == b""


def test_too_many_bytes_are_refused_at_the_end_of_a_sub_block():
    """The client reads no answer before, and its segments must not be taken for commands."""
    talk = Talk(block_size=5)
    data = bytes(35)
    assert talk.ask(c6(10), *segments(data)[:4])[1:] == []
    assert talk.ask(segments(data)[4]) == aborted(0x06070010)


def test_an_unannounced_download_is_refused_as_soon_as_it_is_too_long():
    talk = Talk(block_size=5)
    data = bytes(350)
    assert talk.ask("c4 17 10 00", *segments(data, last=False)[:5])[1:] == aborted(0x06070012, WORD)


def test_an_unannounced_download_that_is_too_short():
    talk = Talk()
    assert talk.ask("c4 17 10 00", *segments(b"a"), end(b"a"))[2:] == aborted(0x06070013, WORD)


@pytest.mark.parametrize("frame", ["00 01 02 03 04 05 06 07", "03 01 02 03 04 05 06 07"])
def test_a_sequence_number_outside_the_block_size(frame):
    talk = Talk(block_size=2)
    assert talk.ask(c6(50), frame)[1:] == aborted(0x05040003)
    following = f"{int(frame[:2], 16) + 1:02x} 01 02 03 04 05 06 07"
    assert talk.ask(following) == [], "nor is the rest of its sub-block taken for commands"


@pytest.mark.parametrize("sequence", [4, 127, 128, 255])
def test_an_acknowledge_of_what_was_not_sent(sequence):
    talk = Talk(DATA)
    assert talk.ask("a4 04 20 00 7f", "a3", f"a2 {sequence:02x} 7f")[4:] == aborted(0x05040003)


@pytest.mark.parametrize(
    "requests",
    [
        ("a4 04 20 00 7f", "a2 00 7f"),
        ("a4 04 20 00 7f", "a1"),
        ("a4 04 20 00 7f", "60"),
        ("a4 04 20 00 7f", "a3", "a3"),
        ("a4 04 20 00 7f", "a3", "a1"),
        ("a4 04 20 00 7f", "a3", ack(3), "a3"),
        ("a4 04 20 00 7f", "a3", ack(3), "40 17 10 00"),
        (c6(20), *segments(DATA), "40 17 10 00"),
        (c6(20), *segments(DATA), "a1"),
        (c6(20), *segments(DATA), c6(20)),
    ],
)
def test_a_command_out_of_order(requests):
    talk = Talk(DATA)
    assert talk.ask(*requests)[-1:] == aborted(0x05040001)
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 00 00 00 00"]


@pytest.mark.parametrize("so_far", [(), segments(DATA)[:2], segments(DATA)])
def test_the_client_aborts_a_download(so_far):
    talk = Talk()
    talk.ask(c6(20), *so_far)
    assert talk.ask("80 04 20 00 00 00 04 05") == []
    assert talk.events == [TransferAborted(DOMAIN, 0, 0x05040000, True)]
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 00 00 00 00"]


# --- silence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requests",
    [
        ("a4 04 20 00 7f",),
        ("a4 04 20 00 7f", "a3", ack(3)),
        (c6(20),),
        (c6(20), *segments(DATA)),
    ],
)
def test_a_silent_client_is_given_up(requests):
    talk = Talk(DATA, timeout_s=0.75)
    talk.ask(*requests)
    assert talk.wait(0.74) == []
    assert talk.wait(0.01) == aborted(0x05040000)
    assert talk.events == [TransferAborted(DOMAIN, 0, 0x05040000, False)]
    assert talk.server.deadline() is None


def test_a_client_may_be_silent_while_a_sub_block_is_on_the_bus():
    talk = Talk(bytes(700), timeout_s=1.0)
    talk.server.frame_time_s = 0.25
    talk.ask("a4 04 20 00 05", "a3")
    assert talk.wait(1.99) == []
    assert talk.wait(0.01) == aborted(0x05040000)


def test_segments_that_come_after_the_time_out_are_not_taken_for_commands():
    """Segment 35 begins with 23h, as does a write of four bytes."""
    talk = Talk()
    other = "17 10 00 d0 07 00 00"
    run = [f"{number:02x} {other}" for number in range(1, 50)]
    talk.ask(c6(700), *run[:3])
    assert [answer[:2] for answer in talk.wait(1.5)] == ["a2", "80"]
    talk.wait(0.5)
    assert talk.ask(*run[3:]) == []
    assert talk.store.get(WORD, 0) == 0
    assert talk.ask("2b 17 10 00 01 00") == ["60 17 10 00 00 00 00 00"]


def test_a_request_that_looks_like_the_next_segment_is_served_when_enough_time_has_passed():
    talk = Talk()
    talk.ask(c6(700), "3f 01 02 03 04 05 06 07")
    talk.wait(1.5)
    talk.wait(1.1)
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 00 00 00 00"]


def test_nothing_is_left_of_a_sub_block_behind_its_last_segment():
    talk = Talk()
    talk.ask(c6(700), "22 01 02 03 04 05 06 07")
    talk.wait(1.5)
    assert talk.ask("a3 01 02 03 04 05 06 07") == []
    assert talk.ask("a4 04 20 00 7f") == [c6(0)]


# --- large objects --------------------------------------------------------------------------------------------------


def test_a_large_object_streams_through():
    """Never more than a sub-block of it is read ahead."""
    read = []

    class Watched(io.BytesIO):
        def read(self, size=-1):
            read.append(size)
            return super().read(size)

    talk = Talk()
    data = bytes(range(256)) * 40
    talk.store.on_read(DOMAIN, 0, lambda now: Watched(data))
    assert talk.ask("a4 04 20 00 7f") == [c6(len(data))]
    got, answers = b"", talk.ask("a3")
    while answers[0][:2] == "01":
        assert sum(read) <= len(got) + 3 * 889
        got += b"".join(bytes.fromhex(answer)[1:] for answer in answers)
        answers = talk.ask(ack(len(answers)))
    assert got[: len(data)] == data


def test_a_large_download_streams_through():
    talk = Talk()
    stream = io.BytesIO()
    data = bytes(range(256)) * 40
    talk.store.on_stream(DOMAIN, 0, lambda size, now: stream)
    talk.ask(c6(len(data)))
    for at in range(0, len(data), 889):
        part = data[at : at + 889]
        talk.ask(*segments(part, last=at + 889 >= len(data)))
        assert len(stream.getvalue()) >= min(at + 889, len(data)) - 7
    assert talk.ask(end(data)) == [ENDED]
    assert stream.getvalue() == data
    assert talk.events == [ObjectWritten(DOMAIN, 0, None)]
