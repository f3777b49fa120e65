"""The SDO client frame by frame: each kind of transfer, and each rule about answers, time and aborts."""

import binascii
import io

import pytest

from opendiag.errors import SdoAborted, SdoCancelled, SdoProtocolError, SdoTimeout
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.services.base import Oddity
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import LateAnswer, SdoClient, TransferDone

CHANNEL = SdoChannel.default(0x65)
TIMEOUT_S = 0.5
ABORT_TIMED_OUT = "00 00 04 05"


class Talk:
    """A client, its clock, and the server's part spoken by the test. Frames are hexadecimal text."""

    def __init__(self, **options):
        self.client = SdoClient(CHANNEL, timeout_s=TIMEOUT_S, **options)
        self.now = 10.0
        self.seen = []

    def read(self, index=0x2000, subindex=1, **options):
        return self.client.upload(index, subindex, self.now, **options)

    def write(self, data, index=0x2000, subindex=1, **options):
        return self.client.download(index, subindex, data, self.now, **options)

    def sends(self, *expected):
        frames = self.client.frames_to_send()
        assert all((frame.can_id, frame.extended) == (0x665, False) for frame in frames)
        assert [frame.data.hex(" ").upper() for frame in frames] == [text.upper() for text in expected]

    def sent(self):
        return [frame.data for frame in self.client.frames_to_send()]

    def hears(self, *texts, after=0.001):
        for text in texts:
            self.now += after
            self.client.receive(CHANNEL.response(bytes.fromhex(text)), self.now)

    def passes(self, seconds):
        """Time passes; the machine is called when it asks for it."""
        end = self.now + seconds
        while (ends := self.client.deadline()) is not None and ends <= end:
            self.now = max(self.now, ends)
            self.client.tick(self.now)
        self.now = end

    def expires(self):
        """Just until the client wants to be called."""
        self.now = self.client.deadline()
        self.client.tick(self.now)

    def events(self, kind):
        self.seen += self.client.events()
        return [event for event in self.seen if isinstance(event, kind)]

    def codes(self):
        return [event.finding.code for event in self.events(Oddity)]


@pytest.fixture
def talk():
    return Talk()


def data_of(size):
    return bytes(1 + i * 7 % 251 for i in range(size))


def segment_text(command, data):
    return (bytes([command]) + data.ljust(7, b"\0")).hex(" ")


# --- golden: every kind of transfer in both directions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "size"), [("4F", 1), ("4B", 2), ("47", 3), ("43", 4)], ids=lambda value: f"{value}"
)
def test_expedited_upload(talk, command, size):
    transfer = talk.read(0x6041, 0)
    talk.sends("40 41 60 00 00 00 00 00")
    talk.hears(f"{command} 41 60 00 37 12 56 78", after=0.002)
    talk.sends()
    assert (transfer.done, transfer.error, transfer.kind) == (True, None, "expedited")
    assert transfer.data == bytes.fromhex("37125678")[:size]
    assert transfer.result() == transfer.data
    assert (transfer.node_id, transfer.index, transfer.subindex, transfer.action) == (0x65, 0x6041, 0, "read")
    assert transfer.transferred == size
    assert transfer.attempts == 1
    assert transfer.answered_after_s == pytest.approx(0.002)
    assert transfer.done_at - transfer.begun_at == pytest.approx(0.002)
    assert talk.client.events() == [TransferDone(transfer)]
    assert talk.client.deadline() is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0F", "2F 00 20 01 0F 00 00 00"),
        ("0F 01", "2B 00 20 01 0F 01 00 00"),
        ("0F 01 02", "27 00 20 01 0F 01 02 00"),
        ("0F 01 02 03", "23 00 20 01 0F 01 02 03"),
    ],
)
def test_expedited_download(talk, data, expected):
    transfer = talk.write(bytes.fromhex(data))
    talk.sends(expected)
    assert not transfer.done
    talk.hears("60 00 20 01 00 00 00 00")
    talk.sends()
    assert (transfer.done, transfer.error, transfer.kind, transfer.data) == (True, None, "expedited", b"")
    assert transfer.transferred == transfer.size == len(bytes.fromhex(data))


@pytest.mark.parametrize(("initiate", "size"), [("41 00 20 01 0A 00 00 00", 10), ("40 00 20 01 00 00 00 00", None)])
def test_segmented_upload(talk, initiate, size):
    transfer = talk.read()
    talk.sends("40 00 20 01 00 00 00 00")
    talk.hears(initiate)
    assert transfer.size == size
    talk.sends("60 00 00 00 00 00 00 00")
    talk.hears("00 01 02 03 04 05 06 07")
    assert transfer.transferred == 7
    talk.sends("70 00 00 00 00 00 00 00")
    talk.hears("19 08 09 0A 00 00 00 00")
    talk.sends()
    assert (transfer.error, transfer.kind, transfer.data) == (None, "segmented", bytes(range(1, 11)))


def test_segmented_download(talk):
    transfer = talk.write(bytes(range(1, 17)))
    talk.sends("21 00 20 01 10 00 00 00")
    talk.hears("60 00 20 01 00 00 00 00")
    talk.sends("00 01 02 03 04 05 06 07")
    talk.hears("20 00 00 00 00 00 00 00")
    talk.sends("10 08 09 0A 0B 0C 0D 0E")
    talk.hears("30 00 00 00 00 00 00 00")
    talk.sends("0B 0F 10 00 00 00 00 00")
    assert not transfer.done
    talk.hears("20 00 00 00 00 00 00 00")
    assert (transfer.done, transfer.error, transfer.kind, transfer.transferred) == (True, None, "segmented", 16)


def test_download_of_exactly_seven_bytes_is_one_segment(talk):
    transfer = talk.write(data_of(7))
    talk.sent()
    talk.hears("60 00 20 01 00 00 00 00")
    talk.sends(segment_text(0x01, data_of(7)))
    talk.hears("20 00 00 00 00 00 00 00")
    assert transfer.result() == b""


def test_download_of_nothing_is_size_0_and_one_empty_segment(talk):
    transfer = talk.write(b"")
    talk.sends("21 00 20 01 00 00 00 00")
    talk.hears("60 00 20 01 00 00 00 00")
    talk.sends("0F 00 00 00 00 00 00 00")
    talk.hears("20 00 00 00 00 00 00 00")
    assert (transfer.error, transfer.transferred, transfer.size) == (None, 0, 0)


def test_upload_of_nothing(talk):
    transfer = talk.read()
    talk.sent()
    talk.hears("41 00 20 01 00 00 00 00", "0F 00 00 00 00 00 00 00")
    assert (transfer.error, transfer.data, transfer.oddities) == (None, b"", [])


def test_block_upload():
    talk = Talk(block_size=2)
    data = data_of(17)
    crc = binascii.crc_hqx(data, 0)
    transfer = talk.read(block=True)
    talk.sends("A4 00 20 01 02 00 00 00")
    talk.hears("C6 00 20 01 11 00 00 00")
    talk.sends("A3 00 00 00 00 00 00 00")
    talk.hears(segment_text(0x01, data[:7]))
    talk.sends()
    talk.hears(segment_text(0x02, data[7:14]))
    talk.sends("A2 02 02 00 00 00 00 00")
    assert transfer.transferred == 14
    talk.hears(segment_text(0x81, data[14:]))
    talk.sends("A2 01 02 00 00 00 00 00")
    assert not transfer.done
    talk.hears(f"D1 {crc & 0xFF:02X} {crc >> 8:02X} 00 00 00 00 00")
    talk.sends("A1 00 00 00 00 00 00 00")
    assert (transfer.error, transfer.kind, transfer.data, transfer.size) == (None, "block", data, 17)


def test_block_download():
    talk = Talk()
    data = data_of(17)
    crc = binascii.crc_hqx(data, 0)
    transfer = talk.write(data, block=True)
    talk.sends("C6 00 20 01 11 00 00 00")
    talk.hears("A4 00 20 01 02 00 00 00")
    talk.sends(segment_text(0x01, data[:7]), segment_text(0x02, data[7:14]))
    talk.hears("A2 02 03 00 00 00 00 00")
    assert transfer.transferred == 14
    talk.sends(segment_text(0x81, data[14:]))
    talk.hears("A2 01 03 00 00 00 00 00")
    talk.sends(f"D1 {crc & 0xFF:02X} {crc >> 8:02X} 00 00 00 00 00")
    talk.hears("A1 00 00 00 00 00 00 00")
    talk.sends()
    assert (transfer.error, transfer.kind, transfer.transferred) == (None, "block", 17)


def test_block_download_without_crc_where_the_server_cannot(talk):
    transfer = talk.write(data_of(7), block=True)
    talk.sent()
    talk.hears("A0 00 20 01 7F 00 00 00")
    talk.sends(segment_text(0x81, data_of(7)))
    talk.hears("A2 01 7F 00 00 00 00 00")
    talk.sends("C1 00 00 00 00 00 00 00")
    talk.hears("A1 00 00 00 00 00 00 00")
    assert transfer.result() == b""


def test_block_download_of_nothing(talk):
    transfer = talk.write(b"", block=True)
    talk.sends("C6 00 20 01 00 00 00 00")
    talk.hears("A4 00 20 01 7F 00 00 00")
    talk.sends("81 00 00 00 00 00 00 00")
    talk.hears("A2 01 00 00 00 00 00 00")
    talk.sends("DD 00 00 00 00 00 00 00")
    talk.hears("A1 00 00 00 00 00 00 00")
    assert transfer.result() == b""


def test_an_extended_channel_uses_its_own_identifiers():
    channel = SdoChannel(5, 0x1ABCDE, 0x1ABCDF, True, True, 2)
    client = SdoClient(channel)
    transfer = client.upload(0x1000, 0, 0.0)
    [frame] = client.frames_to_send()
    assert (frame.can_id, frame.extended) == (0x1ABCDE, True)
    client.receive(Frame(0x1ABCDF, bytes.fromhex("4F00100001000000"), extended=True), 0.1)
    assert transfer.data == b"\x01"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0x5E6, bytes.fromhex("4F00200101000000")),
        Frame(0x5E5, bytes.fromhex("4F00200101000000"), extended=True),
        Frame(0x5E5, remote=True, dlc=8),
        Frame(0x5E5, bytes.fromhex("4F00200101000000"), error=True),
        Frame(0x5E5, bytes.fromhex("4F00200101000000"), fd=True),
    ],
)
def test_other_frames_are_none_of_its_business(talk, frame):
    transfer = talk.read()
    talk.client.receive(frame, talk.now)
    assert not transfer.done
    assert talk.client.strays == 0


# --- matching: only the answer to the question ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "4B 01 20 01 37 12 00 00",
        "4B 00 20 02 37 12 00 00",
        "60 00 20 01 00 00 00 00",
        "00 00 20 01 37 12 00 00",
        "20 00 00 00 00 00 00 00",
        "A4 00 20 01 7F 00 00 00",
        "C6 00 20 01 11 00 00 00",
        "E0 00 20 01 00 00 00 00",
        "53 00 20 01 00 00 00 00",
    ],
)
def test_an_answer_of_another_object_or_command_is_discarded_and_counted(talk, answer):
    transfer = talk.read()
    talk.hears(answer)
    assert not transfer.done
    assert talk.client.strays == 1
    talk.hears("4B 00 20 01 99 88 00 00")
    assert transfer.data == b"\x99\x88"


@pytest.mark.parametrize("answer", ["60 01 20 01 00 00 00 00", "60 00 20 02 00 00 00 00", "4F 00 20 01 00 00 00 00"])
def test_a_write_answer_is_matched_to_index_and_subindex(talk, answer):
    """Others check the command byte only and report success for a refused write."""
    transfer = talk.write(b"\x01")
    talk.hears(answer)
    assert not transfer.done
    talk.hears("80 00 20 01 02 00 01 06")
    assert isinstance(transfer.error, SdoAborted)
    assert transfer.error.code == 0x0601_0002


def test_a_late_answer_to_a_write_is_not_taken_for_the_next_one(talk):
    first = talk.write(b"\x01", 0x2001)
    talk.passes(TIMEOUT_S)
    assert isinstance(first.error, SdoTimeout)
    talk.passes(0.1)
    second = talk.write(b"\x02", 0x2002)
    talk.hears("60 01 20 01 00 00 00 00")
    assert not second.done
    talk.hears("80 02 20 01 02 00 01 06")
    assert second.error.code == 0x0601_0002
    [late] = talk.events(LateAnswer)
    assert late.channel is CHANNEL
    assert late.frame.data.hex() == "6001200100000000"
    assert late.late_by_s == pytest.approx(0.101)
    assert talk.client.late_answers == 1
    assert [finding.code for finding in first.oddities] == ["SDO-LATE-ANSWER"]


def test_a_late_answer_to_a_write_of_the_same_object_is_not_taken_for_the_next_one(talk):
    """Nothing tells the two apart but their order: the last one answers the last question."""
    talk.write(b"\x01")
    talk.passes(TIMEOUT_S + 0.1)
    second = talk.write(b"\x02")
    talk.hears("60 00 20 01 00 00 00 00")
    assert not second.done, "it may be the answer to the first"
    talk.hears("80 00 20 01 30 00 09 06")
    assert second.error.code == 0x0609_0030


def test_a_late_refusal_of_a_write_is_not_taken_for_the_next_one(talk):
    talk.write(b"\x01")
    talk.passes(TIMEOUT_S + 0.1)
    second = talk.write(b"\x02")
    talk.hears("80 00 20 01 30 00 09 06")
    assert not second.done
    talk.hears("60 00 20 01 00 00 00 00")
    assert (second.done, second.error) == (True, None)
    assert talk.client.late_answers == 1


@pytest.mark.parametrize("refused", [False, True])
def test_a_write_after_a_lost_one_is_answered_all_the_same(talk, refused):
    talk.write(b"\x01")
    talk.passes(TIMEOUT_S + 0.1)
    second = talk.write(b"\x02")
    talk.hears("80 00 20 01 30 00 09 06" if refused else "60 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S)
    assert second.done
    assert (second.error is not None) == refused
    third = talk.write(b"\x03")
    talk.hears("60 00 20 01 00 00 00 00")
    assert third.done, "one doubt is settled only once"


def test_a_late_answer_while_nothing_is_asked(talk):
    talk.read(restarts=0)
    talk.passes(TIMEOUT_S + 0.25)
    talk.hears("4F 00 20 01 05 00 00 00")
    [late] = talk.events(LateAnswer)
    assert late.late_by_s == pytest.approx(0.251)
    assert talk.codes() == ["SDO-LATE-ANSWER"]
    talk.hears("4F 00 20 01 05 00 00 00")
    assert (talk.client.late_answers, talk.client.strays) == (1, 1), "a request has one answer"


def test_a_late_segment_does_not_become_data_of_the_next_transfer(talk):
    first = talk.read(restarts=0)
    talk.hears("40 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S)
    assert isinstance(first.error, SdoTimeout)
    second = talk.read(0x2002)
    talk.sent()
    talk.passes(0.1)
    talk.sends("40 02 20 01 00 00 00 00")
    talk.hears("03 41 41 41 41 41 41 00", "41 02 20 01 02 00 00 00")
    talk.sends("60 00 00 00 00 00 00 00")
    talk.hears("0B 42 42 00 00 00 00 00")
    talk.passes(0.1)
    assert second.data == b"BB"
    assert talk.client.late_answers == 1


def test_latency_counts_the_answers(talk):
    talk.read()
    talk.hears("40 00 20 01 00 00 00 00", after=0.003)
    talk.hears("0F 00 00 00 00 00 00 00", after=0.001)
    latency = talk.client.latency
    assert (latency.count, latency.last_s, latency.max_s) == (2, pytest.approx(0.001), pytest.approx(0.003))


# --- toggle, sizes, segments ------------------------------------------------------------------------------------------


def test_a_repeated_segment_is_discarded_not_taken_twice(talk):
    transfer = talk.read()
    talk.hears("41 00 20 01 09 00 00 00")
    talk.hears("00 01 02 03 04 05 06 07", "00 01 02 03 04 05 06 07", "1B 08 09 00 00 00 00 00")
    assert transfer.data == bytes(range(1, 10))
    assert talk.client.strays == 1
    talk.sends(
        "40 00 20 01 00 00 00 00", "60 00 00 00 00 00 00 00", "70 00 00 00 00 00 00 00"
    )  # nothing is asked twice


def test_two_segments_with_one_toggle_and_different_data_cost_the_attempt(talk):
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00", "00 01 02 03 04 05 06 07")
    talk.sent()
    talk.hears("00 99 02 03 04 05 06 07")
    talk.sends("80 00 20 01 00 00 03 05")
    assert not transfer.done
    talk.passes(0.05)
    talk.sends("40 00 20 01 00 00 00 00")
    talk.hears("40 00 20 01 00 00 00 00", "00 01 02 03 04 05 06 07", "1D 08 00 00 00 00 00 00")
    talk.passes(0.1)
    assert transfer.data == bytes(range(1, 9))
    assert transfer.attempts == 2


def test_a_repeated_initiate_answer_is_discarded(talk):
    transfer = talk.read()
    talk.hears("41 00 20 01 02 00 00 00", "41 00 20 01 02 00 00 00", "0B 01 02 00 00 00 00 00")
    assert transfer.data == b"\x01\x02"
    talk.sends("40 00 20 01 00 00 00 00", "60 00 00 00 00 00 00 00")


def test_an_initiate_answer_in_the_middle_costs_the_attempt(talk):
    """The server has begun again: its next segment is the first one."""
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00", "00 01 02 03 04 05 06 07", "40 00 20 01 00 00 00 00")
    assert [data[0] for data in talk.sent()] == [0x40, 0x60, 0x70, 0x80]
    assert not transfer.done


def test_a_repeated_acknowledge_is_discarded(talk):
    transfer = talk.write(data_of(16))
    ack0, ack1 = "20 00 00 00 00 00 00 00", "30 00 00 00 00 00 00 00"
    talk.hears("60 00 20 01 00 00 00 00", "60 00 20 01 00 00 00 00", ack0, ack0, ack1, ack1)
    assert not transfer.done
    talk.hears(ack0)
    assert (transfer.done, transfer.error) == (True, None)
    assert [data[0] for data in talk.sent()] == [0x21, 0x00, 0x10, 0x0B]


def test_a_wrong_first_toggle_of_a_segment_is_a_protocol_error(talk):
    transfer = talk.read(restarts=0)
    talk.hears("40 00 20 01 00 00 00 00")
    talk.sent()
    talk.hears("10 01 02 03 04 05 06 07")
    assert isinstance(transfer.error, SdoProtocolError)
    talk.sends("80 00 20 01 00 00 03 05")


def test_a_wrong_first_toggle_of_an_acknowledge_is_a_protocol_error(talk):
    transfer = talk.write(data_of(20), restarts=0)
    talk.hears("60 00 20 01 00 00 00 00")
    talk.sent()
    talk.hears("30 00 00 00 00 00 00 00")
    assert isinstance(transfer.error, SdoProtocolError)
    talk.sends("80 00 20 01 00 00 03 05")


def test_a_server_that_begins_another_transfer_in_the_middle_costs_the_attempt(talk):
    """Somebody else uses the channel: the segments to come would be the other object's."""
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00", "00 01 02 03 04 05 06 07", "41 01 20 01 08 00 00 00")
    talk.passes(0.1)
    assert [data[0] for data in talk.sent()] == [0x40, 0x60, 0x70, 0x80, 0x40]
    assert transfer.transferred == 0


@pytest.mark.parametrize(
    ("announced", "segments"),
    [
        (100, ["01 01 02 03 04 05 06 07"]),
        (8, ["01 01 02 03 04 05 06 07"]),
        (6, ["01 01 02 03 04 05 06 07"]),
        (6, ["00 01 02 03 04 05 06 07"]),
        (0, ["00 01 02 03 04 05 06 07"]),
    ],
)
def test_the_announced_size_is_checked(talk, announced, segments):
    into = io.BytesIO()
    transfer = talk.read(into=into)
    talk.hears(f"41 00 20 01 {announced:02X} 00 00 00")
    talk.sent()
    talk.hears(*segments)
    talk.sends("80 00 20 01 10 00 07 06")
    assert isinstance(transfer.error, SdoProtocolError)
    assert f"announced {announced} bytes" in str(transfer.error)
    assert (transfer.data, into.getvalue()) == (b"", b"")
    with pytest.raises(SdoProtocolError):
        transfer.result()


def test_segments_without_data_do_not_go_on_for_ever(talk):
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00", "0E 00 00 00 00 00 00 00")
    assert isinstance(transfer.error, SdoProtocolError)


# --- tolerant in: each deviation has its name -------------------------------------------------------------------------


def test_expedited_without_size_has_four_bytes(talk):
    transfer = talk.read()
    talk.hears("42 00 20 01 01 02 03 04")
    assert transfer.data == b"\x01\x02\x03\x04"
    assert [(f.code, f.severity, f.node) for f in transfer.oddities] == [("SDO-UNSIZED", Severity.INFO, 0x65)]
    assert transfer.oddities[0].evidence == "42 00 20 01 01 02 03 04"


def test_an_oddity_is_reported_once_per_client_and_stored_on_each_transfer(talk):
    transfers = [talk.read(), talk.read()]
    talk.hears("42 00 20 01 01 02 03 04", "42 00 20 01 01 02 03 04")
    assert talk.codes() == ["SDO-UNSIZED"]
    assert [[finding.code for finding in transfer.oddities] for transfer in transfers] == [["SDO-UNSIZED"]] * 2


def test_an_empty_last_segment_ends_the_transfer(talk):
    transfer = talk.read()
    talk.hears("41 00 20 01 07 00 00 00", "00 01 02 03 04 05 06 07", "1F 00 00 00 00 00 00 00")
    assert transfer.data == bytes(range(1, 8))
    assert [finding.code for finding in transfer.oddities] == ["SDO-EMPTY-LAST-SEGMENT"]


def test_short_answers_are_understood(talk):
    transfer = talk.read()
    talk.hears("4F 00 20 01 2A")
    assert transfer.data == b"\x2a"
    segmented = talk.read()
    talk.hears("40 00 20 01", "09 01 02 03")
    assert segmented.data == b"\x01\x02\x03"
    write = talk.write(data_of(7))
    talk.hears("60 00 20 01", "20")
    assert write.result() == b""
    assert talk.codes() == ["SDO-SHORT-FRAME"]
    for each in (transfer, segmented, write):
        assert [finding.code for finding in each.oddities] == ["SDO-SHORT-FRAME"]


def test_an_answer_too_short_for_what_it_claims_is_no_answer(talk):
    transfer = talk.read()
    talk.hears("43 00 20 01 2A")
    assert not transfer.done
    assert "SDO-MALFORMED" in talk.codes()
    talk.hears("")
    assert talk.client.strays == 2


@pytest.mark.parametrize("mux", ["00 00 00", "01 20 01", "00 20 02"])
def test_an_abort_counts_by_its_identifier_alone(talk, mux):
    transfer = talk.read()
    talk.hears(f"80 {mux} 00 00 02 06")
    talk.client.tick(talk.client.deadline())  # an answer of our own does not follow
    assert (transfer.error.code, transfer.error.by_client) == (0x0602_0000, False)
    assert (transfer.error.index, transfer.error.subindex) == (0x2000, 1)
    assert [finding.code for finding in transfer.oddities] == ["SDO-ABORT-OTHER-OBJECT"]


@pytest.mark.parametrize("text", ["80", "80 00 20 01", "80 00 20 01 00 00 02"])
def test_a_short_abort_ends_the_transfer_without_inventing_a_code(talk, text):
    transfer = talk.read()
    talk.hears(text)
    assert isinstance(transfer.error, SdoAborted)
    assert transfer.error.code == 0
    assert "no abort code" in str(transfer.error)
    assert "SDO-SHORT-FRAME" in [finding.code for finding in transfer.oddities]


def test_an_abort_code_nobody_knows_is_kept(talk):
    transfer = talk.read()
    talk.hears("80 00 20 01 78 56 34 12")
    assert transfer.error.code == 0x1234_5678


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_read_without_an_answer_is_begun_again_after_an_abort(talk):
    transfer = talk.read()
    talk.sends("40 00 20 01 00 00 00 00")
    assert talk.client.deadline() == pytest.approx(10 + TIMEOUT_S)
    talk.client.tick(10.4)
    talk.sends()
    talk.expires()
    talk.sends(f"80 00 20 01 {ABORT_TIMED_OUT}")
    assert talk.client.deadline() == pytest.approx(10 + TIMEOUT_S + 0.02)
    talk.expires()
    talk.sends("40 00 20 01 00 00 00 00")
    talk.hears("4F 00 20 01 05 00 00 00")
    assert (transfer.data, transfer.attempts) == (b"\x05", 2)


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_a_timeout_says_how_often_it_was_tried(talk, restarts):
    transfer = talk.read(restarts=restarts, timeout_s=0.1)
    talk.passes(1.0)
    error = transfer.error
    assert isinstance(error, SdoTimeout)
    assert (error.attempts, error.waited_s, error.may_be_done) == (1 + restarts, 0.1, False)
    assert [data[0] for data in talk.sent()] == [0x40, 0x80] * (1 + restarts)
    assert talk.client.deadline() is None


def test_the_client_s_abort_names_the_object(talk):
    """Others send index 0, subindex 0."""
    talk.read(0x1018, 4, restarts=0)
    talk.passes(1.0)
    talk.sends("40 18 10 04 00 00 00 00", f"80 18 10 04 {ABORT_TIMED_OUT}")


def test_a_lost_segment_restarts_the_transfer_and_is_not_asked_for_again(talk):
    """Others send the same toggle again, and the server aborts with 0503 0000."""
    transfer = talk.read()
    talk.hears("41 00 20 01 08 00 00 00", "00 01 02 03 04 05 06 07")
    talk.sent()
    talk.expires()
    talk.sends(f"80 00 20 01 {ABORT_TIMED_OUT}")
    talk.expires()
    talk.sends("40 00 20 01 00 00 00 00")
    talk.hears("41 00 20 01 08 00 00 00", "00 01 02 03 04 05 06 07", "1D 08 00 00 00 00 00 00")
    assert transfer.data == bytes(range(1, 9)), "nothing of the first attempt is left"


def test_the_silence_lasts_while_frames_still_come(talk):
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S)
    talk.sent()
    for _ in range(5):
        talk.passes(0.015)
        talk.hears("00 01 02 03 04 05 06 07", after=0)
    talk.sends()
    talk.passes(0.02)
    talk.sends(f"80 00 20 01 {ABORT_TIMED_OUT}", "40 00 20 01 00 00 00 00")
    assert transfer.transferred == 0


def test_the_silence_has_an_end_even_if_the_server_never_stops(talk):
    talk.read()
    talk.passes(TIMEOUT_S)
    talk.sent()
    for _ in range(60):
        talk.passes(0.01)
        talk.hears("00 01 02 03 04 05 06 07", after=0)
    assert [data[0] for data in talk.sent()] == [0x80, 0x40]


def test_the_late_value_of_a_read_about_to_be_repeated_is_taken(talk):
    transfer = talk.read()
    talk.passes(TIMEOUT_S)
    talk.hears("4F 01 20 01 99 00 00 00")
    assert not transfer.done, "another object's value is not"
    talk.hears("4F 00 20 01 05 00 00 00")
    assert (transfer.data, transfer.attempts) == (b"\x05", 1)
    assert talk.client.late_answers == 1
    talk.passes(1.0)
    assert talk.client.deadline() is None


def test_a_write_that_may_have_been_executed_is_never_repeated(talk):
    transfer = talk.write(b"\x01", restarts=5)
    talk.passes(5.0)
    assert [data[0] for data in talk.sent()] == [0x2F, 0x80]
    assert isinstance(transfer.error, SdoTimeout)
    assert (transfer.error.may_be_done, transfer.error.attempts) == (True, 1)


def test_a_segmented_write_restarts_until_its_last_segment_is_sent(talk):
    transfer = talk.write(data_of(14), restarts=5)
    talk.hears("60 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S + 0.02)
    assert [data[0] for data in talk.sent()] == [0x21, 0x00, 0x80, 0x21]
    talk.hears("60 00 20 01 00 00 00 00", "20 00 00 00 00 00 00 00")
    assert talk.sent() == [b"\x00" + data_of(14)[:7], b"\x11" + data_of(14)[7:]]
    talk.passes(5.0)
    assert (transfer.error.may_be_done, transfer.error.attempts) == (True, 2)
    assert [data[0] for data in talk.sent()] == [0x80]


def test_a_block_write_restarts_until_its_end_is_sent(talk):
    transfer = talk.write(data_of(7), block=True, restarts=5)
    talk.hears("A4 00 20 01 7F 00 00 00")
    talk.passes(TIMEOUT_S + 0.1)
    assert [data[0] for data in talk.sent()] == [0xC6, 0x81, 0x80, 0xC6]
    talk.hears("A4 00 20 01 7F 00 00 00", "A2 01 7F 00 00 00 00 00")
    assert [data[0] for data in talk.sent()] == [0x81, 0xC1]
    talk.passes(5.0)
    assert (transfer.error.may_be_done, transfer.error.attempts) == (True, 2)


def test_a_segmented_write_that_never_got_to_its_last_segment_was_not_executed(talk):
    transfer = talk.write(data_of(14), restarts=0)
    talk.hears("60 00 20 01 00 00 00 00")
    talk.passes(1.0)
    assert not transfer.error.may_be_done


def test_the_total_timeout_ends_a_transfer_that_still_gets_answers(talk):
    transfer = talk.read(total_timeout_s=1.0)
    talk.hears("40 00 20 01 00 00 00 00")
    for step in range(20):
        talk.passes(0.1)
        talk.hears(segment_text(0x10 * (step % 2), data_of(7)), after=0)
    assert isinstance(transfer.error, SdoTimeout)
    assert transfer.done_at - transfer.begun_at == pytest.approx(1.0)
    assert transfer.data == b""


def test_the_total_timeout_allows_no_restart_and_runs_from_the_begin(talk):
    first = talk.read(restarts=0)
    second = talk.read(0x2001, total_timeout_s=0.3, restarts=9)
    talk.passes(2.0)
    assert second.begun_at == pytest.approx(first.done_at + 0.02)
    assert second.done_at - second.begun_at == pytest.approx(0.3)
    assert second.attempts == 1


def test_a_tick_too_early_or_twice_does_no_harm(talk):
    transfer = talk.read()
    talk.client.tick(talk.now)
    talk.client.tick(talk.now)
    assert len(talk.sent()) == 1
    talk.passes(TIMEOUT_S)
    talk.client.tick(talk.now)
    assert [data[0] for data in talk.sent()] == [0x80]
    assert not transfer.done


def test_an_answer_that_was_there_before_the_tick_counts(talk):
    transfer = talk.read()
    talk.hears("4F 00 20 01 05 00 00 00", after=TIMEOUT_S + 0.1)
    assert transfer.data == b"\x05"


def test_a_server_that_lost_track_is_asked_again(talk):
    """An abort about toggles or time-outs speaks of the line, not of the object."""
    transfer = talk.read()
    talk.hears("40 00 20 01 00 00 00 00", "80 00 20 01 00 00 03 05")
    talk.sent()
    talk.passes(0.1)
    talk.sends("40 00 20 01 00 00 00 00")
    talk.hears("80 00 20 01 00 00 03 05")
    assert transfer.error.code == 0x0503_0000


def test_a_leftover_abort_of_the_transfer_before_does_not_end_this_one(talk):
    """A repeated last request makes the server abort what it had already finished."""
    talk.read(0x2005)
    talk.hears("4F 05 20 01 05 00 00 00")
    transfer = talk.write(b"\x01")
    talk.hears("80 05 20 01 01 00 04 05")
    assert not transfer.done
    talk.hears("60 00 20 01 00 00 00 00")
    assert transfer.result() == b""


def test_a_leftover_abort_does_not_cost_a_read_its_attempt(talk):
    talk.read(0x2005)
    talk.hears("4F 05 20 01 05 00 00 00")
    transfer = talk.read()
    talk.hears("80 05 20 01 01 00 04 05", "41 00 20 01 01 00 00 00", "0D 05 00 00 00 00 00 00")
    assert (transfer.data, transfer.attempts) == (b"\x05", 1)


def test_a_late_refusal_of_another_object_does_not_end_this_transfer(talk):
    talk.read(0x2005, restarts=0)
    talk.passes(TIMEOUT_S + 0.1)
    transfer = talk.read()
    talk.hears("80 05 20 01 00 00 02 06")
    assert not transfer.done
    talk.hears("4F 00 20 01 05 00 00 00")
    assert transfer.data == b"\x05"
    assert talk.client.late_answers == 1


def test_an_answer_from_long_ago_is_not_waited_for(talk):
    talk.write(b"\x01")
    talk.passes(60.0)
    second = talk.write(b"\x02")
    talk.hears("60 00 20 01 00 00 00 00")
    assert (second.done, second.error) == (True, None)


def test_what_was_not_asked_for_is_a_stray_not_a_late_answer(talk):
    talk.read(restarts=0)
    talk.hears("40 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S + 0.1)
    talk.hears("4F 00 20 01 05 00 00 00")
    assert (talk.client.late_answers, talk.client.strays) == (0, 1)
    talk.hears("00 01 02 03 04 05 06 07")
    assert (talk.client.late_answers, talk.client.strays) == (1, 1)


@pytest.mark.parametrize("real", ["00 01 02 03 04 05 06 07", "07 03 03 03 03 00 00 00", None])
def test_a_last_segment_that_may_be_that_of_an_earlier_attempt_is_believed_only_after_a_silence(talk, real):
    """No size was announced, and a last segment of the first attempt comes in the second."""
    transfer = talk.read(restarts=2)
    talk.hears("40 00 20 01 00 00 00 00")
    talk.passes(TIMEOUT_S + 0.02)
    talk.sent()
    talk.hears("40 00 20 01 00 00 00 00", "07 03 03 03 03 00 00 00")
    assert not transfer.done
    if real is not None:
        talk.hears(real)
    talk.passes(0.1)
    if real == "00 01 02 03 04 05 06 07":
        assert [data[0] for data in talk.sent()] == [0x60, 0x80, 0x40]
    else:
        assert transfer.data == b"\x03\x03\x03\x03"


# --- queue and cancel -------------------------------------------------------------------------------------------------


def test_transfers_run_one_after_the_other(talk):
    transfers = [talk.read(0x2000 + i) for i in range(3)]
    assert talk.client.pending == 3
    for i in range(3):
        talk.sends(f"40 0{i} 20 01 00 00 00 00")
        talk.hears(f"4F 0{i} 20 01 0{i} 00 00 00")
    assert [transfer.data for transfer in transfers] == [b"\0", b"\1", b"\2"]
    assert [event.transfer for event in talk.events(TransferDone)] == transfers
    assert talk.client.pending == 0


def test_the_queue_survives_a_failing_transfer(talk):
    transfers = [talk.read(0x2000 + i, restarts=0) for i in range(3)]
    talk.hears("80 00 20 01 00 00 02 06")
    talk.passes(TIMEOUT_S + 0.02)
    talk.hears("4F 02 20 01 2A 00 00 00")
    assert isinstance(transfers[0].error, SdoAborted)
    assert isinstance(transfers[1].error, SdoTimeout)
    assert transfers[2].data == b"\x2a"


def test_a_long_queue_of_sources_that_fail_at_once(talk):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError("gone")

    transfers = [talk.write(Broken()) for _ in range(3000)]
    assert all(isinstance(transfer.error, SdoAborted) for transfer in transfers)
    talk.sends()


def test_cancel_sends_an_abort_and_the_next_one_runs(talk):
    first, second = talk.read(), talk.read(0x2001)
    talk.sent()
    talk.client.cancel(first, talk.now)
    assert isinstance(first.error, SdoCancelled)
    talk.sends("80 00 20 01 00 00 00 08")
    talk.passes(0.1)
    talk.sends("40 01 20 01 00 00 00 00")
    talk.hears("4F 01 20 01 05 00 00 00")
    assert second.data == b"\x05"
    assert [event.transfer for event in talk.events(TransferDone)] == [first, second]


def test_cancel_of_one_in_the_queue_sends_nothing(talk):
    first, second = talk.read(), talk.read(0x2001)
    talk.sent()
    talk.client.cancel(second, talk.now)
    talk.sends()
    assert isinstance(second.error, SdoCancelled)
    talk.hears("4F 00 20 01 05 00 00 00")
    talk.client.cancel(first, talk.now)
    assert first.error is None
    talk.sends()


def test_cancel_between_two_attempts(talk):
    transfer = talk.read()
    talk.passes(TIMEOUT_S)
    talk.sent()
    talk.client.cancel(transfer, talk.now)
    talk.passes(2.0)
    talk.sends()
    assert isinstance(transfer.error, SdoCancelled)


def test_cancel_all(talk):
    transfers = [talk.read(0x2000 + i) for i in range(3)]
    talk.client.cancel_all(talk.now)
    assert [type(transfer.error) for transfer in transfers] == [SdoCancelled] * 3
    assert [data[0] for data in talk.sent()] == [0x40, 0x80]
    assert talk.client.deadline() is None


def test_fail_all_sends_nothing_more(talk):
    transfers = [talk.read(0x2000 + i) for i in range(3)]
    talk.client.fail_all(lambda t: SdoTimeout(t.node_id, t.index, t.subindex, t.action, 0.0), talk.now)
    assert [transfer.error.index for transfer in transfers] == [0x2000, 0x2001, 0x2002]
    talk.sends()
    assert talk.client.deadline() is None
    again = talk.read()
    talk.hears("4F 00 20 01 05 00 00 00")
    assert again.data == b"\x05"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.upload(0x1_0000, 0, 0.0),
        lambda c: c.upload(0x1000, 256, 0.0),
        lambda c: c.upload(0x1000, 0, 0.0, timeout_s=0),
        lambda c: c.download(0x1000, 0, b"ab", 0.0, size=3),
        lambda c: c.download(0x1000, 0, io.BytesIO(), 0.0, size=1 << 32),
        lambda _: SdoClient(CHANNEL, timeout_s=0),
        lambda _: SdoClient(CHANNEL, block_size=0),
        lambda _: SdoClient(CHANNEL, block_size=128),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(talk, call):
    with pytest.raises(ValueError):
        call(talk.client)
    talk.sends()


def test_result_before_the_end(talk):
    transfer = talk.read()
    with pytest.raises(ValueError):
        transfer.result()
    assert "2000:01" in repr(transfer)


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_told_with_the_size(talk):
    told = []
    talk.read(progress=lambda *args: told.append(args))
    talk.hears("41 00 20 01 08 00 00 00", "00 01 02 03 04 05 06 07", "1D 08 00 00 00 00 00 00")
    assert told == [(7, 8), (8, 8)]


def test_progress_may_cancel(talk):
    transfer = talk.read(progress=lambda *_: talk.client.cancel(transfer, talk.now))
    talk.hears("41 00 20 01 08 00 00 00", "00 01 02 03 04 05 06 07")
    assert isinstance(transfer.error, SdoCancelled)


def test_a_failing_progress_callback_does_not_end_the_transfer(talk):
    def fail(*_):
        raise RuntimeError("broken bar")

    transfer = talk.read(progress=fail)
    talk.hears("41 00 20 01 08 00 00 00", "00 01 02 03 04 05 06 07", "1D 08 00 00 00 00 00 00")
    assert transfer.data == bytes(range(1, 9))
    assert [finding.code for finding in transfer.oddities] == ["SDO-PROGRESS-FAILED"]
