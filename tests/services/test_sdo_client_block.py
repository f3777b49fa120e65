"""The SDO client's block transfers when frames are lost, repeated or out of order, and its streams."""

import binascii
import io

import pytest

from opendiag.errors import SdoAborted, SdoProtocolError, SdoTimeout
from opendiag.services.base import Oddity
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient

CHANNEL = SdoChannel.default(0x65)
TIMEOUT_S = 0.5


class Talk:
    """A client, its clock, and the server's part spoken by the test."""

    def __init__(self, block_size=4):
        self.client = SdoClient(CHANNEL, timeout_s=TIMEOUT_S, block_size=block_size)
        self.now = 10.0

    def read(self, **options):
        return self.client.upload(0x2000, 1, self.now, **{"block": True, **options})

    def write(self, data, **options):
        return self.client.download(0x2000, 1, data, self.now, **{"block": True, **options})

    def sent(self):
        return [frame.data for frame in self.client.frames_to_send()]

    def commands(self):
        return [data[0] for data in self.sent()]

    def hears(self, *messages):
        for message in messages:
            self.now += 0.001
            data = bytes.fromhex(message) if isinstance(message, str) else message
            self.client.receive(CHANNEL.response(data), self.now)

    def passes(self, seconds):
        end = self.now + seconds
        while (ends := self.client.deadline()) is not None and ends <= end:
            self.now = max(self.now, ends)
            self.client.tick(self.now)
        self.now = end

    def codes(self):
        return [event.finding.code for event in self.client.events() if isinstance(event, Oddity)]


@pytest.fixture
def talk():
    return Talk()


def data_of(size):
    return bytes(1 + i * 7 % 251 for i in range(size))


def piece(data, number, sequence, last=False):
    """Segment ``number`` (from 0) of the data as number ``sequence`` of its sub-block."""
    return bytes([last << 7 | sequence]) + data[7 * number : 7 * number + 7].ljust(7, b"\0")


def end_of(data, crc=None):
    crc = binascii.crc_hqx(data, 0) if crc is None else crc
    unused = -len(data) % 7 if data else 7
    return bytes([0xC1 | unused << 2, crc & 0xFF, crc >> 8, 0, 0, 0, 0, 0])


def ack(sequence, block_size=4):
    return bytes([0xA2, sequence, block_size, 0, 0, 0, 0, 0])


def begun(talk, size=None, crc=True, **options):
    """A block upload whose sub-blocks may come."""
    transfer = talk.read(**options)
    announced = (size or 0).to_bytes(4, "little").hex()
    talk.hears(f"{0xC0 | crc << 2 | (size is not None) << 1:02X} 00 20 01 {announced}")
    talk.sent()
    return transfer


def begun_write(talk, data, block_size=4, **options):
    transfer = talk.write(data, **options)
    talk.hears(f"A4 00 20 01 {block_size:02X} 00 00 00")
    return transfer


# --- block upload -----------------------------------------------------------------------------------------------------


def test_a_lost_segment_is_asked_for_at_the_end_of_the_sub_block(talk):
    """Others ask for it in mid sub-block."""
    data = data_of(28)
    transfer = begun(talk, 28)
    talk.hears(piece(data, 0, 1), piece(data, 2, 3))
    assert talk.sent() == []
    talk.hears(piece(data, 3, 4, True))
    talk.passes(0.02)
    assert talk.sent() == [ack(1)]
    talk.hears(piece(data, 1, 1), piece(data, 2, 2), piece(data, 3, 3, True))
    assert talk.sent() == [ack(3)]
    talk.hears(end_of(data))
    assert transfer.data == data
    assert transfer.attempts == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_lost_end_of_a_sub_block_is_asked_for_after_half_the_timeout(talk, count):
    data = data_of(28)
    transfer = begun(talk, 28)
    talk.hears(*(piece(data, i, i + 1) for i in range(count)))
    talk.passes(TIMEOUT_S / 2)
    assert talk.sent() == [ack(count)]
    talk.hears(*(piece(data, i, i + 1 - count, i == 3) for i in range(count, 4)))
    talk.hears(end_of(data))
    assert transfer.data == data
    assert transfer.attempts == 1


def test_a_sub_block_of_which_nothing_came_is_not_acknowledged(talk):
    """Its acknowledge might be taken for that of the sub-block before: the transfer restarts."""
    data = data_of(56)
    transfer = begun(talk, 56)
    talk.hears(*(piece(data, i, i + 1) for i in range(4)))
    assert talk.sent() == [ack(4)]
    talk.passes(TIMEOUT_S)
    assert talk.commands() == [0x80]
    talk.passes(0.1)
    assert talk.commands() == [0xA4]
    assert transfer.attempts == 2


def test_the_first_segment_of_a_sub_block_lost(talk):
    data = data_of(14)
    transfer = begun(talk, 14)
    talk.hears(piece(data, 1, 2, True))
    talk.passes(TIMEOUT_S / 2)
    assert talk.sent() == [ack(0)]
    talk.hears(piece(data, 0, 1), piece(data, 1, 2, True), end_of(data))
    assert transfer.data == data


def test_a_server_that_never_sends_the_first_segment_is_given_up(talk):
    data = data_of(14)
    transfer = begun(talk, 14, restarts=0)
    for _ in range(10):
        talk.hears(piece(data, 1, 2, True))
        talk.passes(TIMEOUT_S / 2)
    assert isinstance(transfer.error, SdoProtocolError)


def test_neighbours_swapped_at_the_end_of_a_sub_block(talk):
    data = data_of(28)
    transfer = begun(talk, 28)
    talk.hears(piece(data, 0, 1), piece(data, 1, 2), piece(data, 3, 4, True), piece(data, 2, 3))
    talk.passes(TIMEOUT_S / 2)
    assert talk.sent() == [ack(3)]
    talk.hears(piece(data, 3, 1, True), end_of(data))
    assert transfer.data == data


def test_every_frame_of_a_block_upload_repeated(talk):
    data = data_of(70)
    transfer = talk.read()
    talk.hears(*["C6 00 20 01 46 00 00 00"] * 2)
    for number in range(10):
        talk.hears(*[piece(data, number, number % 4 + 1, number == 9)] * 2)
    talk.hears(*[end_of(data)] * 2)
    assert transfer.data == data
    assert talk.commands() == [0xA4, 0xA3, 0xA2, 0xA2, 0xA2, 0xA1]
    assert transfer.attempts == 1


def test_a_repeated_end_of_a_sub_block_is_not_the_end_of_the_next_one(talk):
    data = data_of(56)
    transfer = begun(talk, 56)
    talk.hears(*(piece(data, i, i + 1) for i in range(4)), piece(data, 3, 4))
    talk.passes(TIMEOUT_S)
    assert talk.commands() == [0xA2, 0x80], "an acknowledge of nothing would bring the sub-block a second time"
    assert not transfer.done


def test_more_than_announced_ends_a_block_upload_at_once(talk):
    transfer = begun(talk, 7)
    talk.hears(piece(data_of(28), 0, 1), piece(data_of(28), 1, 2))
    assert isinstance(transfer.error, SdoProtocolError)


def test_late_segments_of_a_block_upload_all_belong_to_it(talk):
    begun(talk, 28, restarts=0)
    talk.passes(TIMEOUT_S + 0.1)
    talk.hears(*(piece(data_of(28), i, i + 1) for i in range(4)))
    assert (talk.client.late_answers, talk.client.strays) == (4, 0)


def test_a_repeated_acknowledge_before_a_shorter_sub_block_is_discarded(talk):
    data = data_of(35)
    transfer = begun_write(talk, data)
    talk.hears(ack(4), ack(4), ack(1), "A1 00 00 00 00 00 00 00")
    assert (transfer.done, transfer.error, transfer.attempts) == (True, None, 1)
    assert talk.client.strays == 1


def test_a_repeated_last_segment_is_not_taken_for_the_end_message():
    """Segment 65, the last one, begins with C1h like the end message."""
    talk = Talk(block_size=127)
    data = data_of(65 * 7)
    transfer = begun(talk, crc=False)
    talk.hears(*(piece(data, i, i + 1, i == 64) for i in range(65)))
    talk.hears(piece(data, 64, 65, True))
    assert not transfer.done
    talk.hears(end_of(data, 0))
    assert transfer.data == data


def test_a_segment_that_differs_from_the_one_with_its_number_costs_the_attempt(talk):
    data = data_of(28)
    transfer = begun(talk, crc=False, restarts=0)
    talk.hears(piece(data, 0, 1), piece(data, 3, 1))
    assert isinstance(transfer.error, SdoProtocolError)
    assert talk.commands() == [0x80]


def test_a_wrong_crc_restarts_and_then_is_an_error(talk):
    data = data_of(7)
    transfer = begun(talk, 7)
    talk.hears(piece(data, 0, 1, True), end_of(data, 0x1234))
    assert talk.sent()[-1].hex() == "8000200104000405"
    talk.passes(0.1)
    assert talk.commands() == [0xA4]
    talk.hears("C6 00 20 01 07 00 00 00", piece(data, 0, 1, True), end_of(data, 0x1234))
    assert isinstance(transfer.error, SdoProtocolError)
    assert "1234h" in str(transfer.error)
    assert transfer.data == b""


def test_the_crc_field_of_a_server_without_crc_is_not_looked_at(talk):
    transfer = begun(talk, 7, crc=False)
    talk.hears(piece(data_of(7), 0, 1, True), end_of(data_of(7), 0x1234))
    assert transfer.data == data_of(7)


@pytest.mark.parametrize(("announced", "sent"), [(7, 8), (8, 7), (7, 21), (0, 8), (100, 7)])
def test_the_announced_size_of_a_block_upload_is_checked(talk, announced, sent):
    data = data_of(sent)
    transfer = begun(talk, announced)
    count = -(-sent // 7)
    talk.hears(*(piece(data, i, i + 1, i == count - 1) for i in range(count)), end_of(data))
    assert isinstance(transfer.error, SdoProtocolError)
    assert f"announced {announced} bytes" in str(transfer.error)
    assert talk.commands()[-1] == 0x80
    assert transfer.data == b""


def test_a_short_last_segment_of_a_block(talk):
    data = data_of(9)
    transfer = begun(talk, 9)
    talk.hears(piece(data, 0, 1), piece(data, 1, 2, True)[:3], end_of(data))
    assert transfer.data == data
    assert talk.codes() == ["SDO-SHORT-FRAME"]


def test_a_block_upload_without_its_end_message_is_a_timeout_or_restarts(talk):
    """Others fail with an AttributeError."""
    transfer = begun(talk, 7, restarts=0)
    talk.hears(piece(data_of(7), 0, 1, True))
    talk.passes(1.0)
    assert isinstance(transfer.error, SdoTimeout)
    assert talk.commands() == [0xA2, 0x80]


@pytest.mark.parametrize("answer", ["4B 00 20 01 37 12 00 00", "41 00 20 01 02 00 00 00"])
def test_a_plain_answer_to_a_block_upload_goes_on_as_a_normal_upload(talk, answer):
    """Others raise "Unexpected response 0x41"."""
    transfer = talk.read()
    talk.hears(answer)
    if answer.startswith("41"):
        assert talk.commands() == [0xA4, 0x60]
        talk.hears("0B 37 12 00 00 00 00 00")
    assert (transfer.data, transfer.error) == (b"\x37\x12", None)
    assert transfer.kind == ("segmented" if answer.startswith("41") else "expedited")
    assert [finding.code for finding in transfer.oddities] == ["SDO-PROTOCOL-SWITCH"]


@pytest.mark.parametrize("mux", ["00 20 01", "00 00 00", "00 10 00"])
def test_a_server_that_refuses_block_upload_is_read_normally(talk, mux):
    transfer = talk.read()
    talk.hears(f"80 {mux} 01 00 04 05")
    assert talk.commands() == [0xA4, 0x40]
    talk.hears("4B 00 20 01 37 12 00 00")
    assert (transfer.data, transfer.attempts) == (b"\x37\x12", 1)
    assert [finding.code for finding in transfer.oddities] == ["SDO-BLOCK-REFUSED"]


def test_a_server_that_refuses_block_download_is_written_normally(talk):
    transfer = talk.write(io.BytesIO(data_of(10)))
    talk.hears("80 00 20 01 01 00 04 05")
    assert talk.commands() == [0xC4, 0x20]
    talk.hears("60 00 20 01 00 00 00 00", "20 00 00 00 00 00 00 00", "30 00 00 00 00 00 00 00")
    assert transfer.result() == b""
    assert talk.codes() == ["SDO-BLOCK-REFUSED"]


def test_a_repeated_refusal_does_not_end_the_normal_transfer(talk):
    transfer = talk.read()
    talk.hears("80 00 20 01 01 00 04 05", "80 00 20 01 01 00 04 05", "41 00 20 01 02 00 00 00")
    talk.hears("0B 37 12 00 00 00 00 00")
    assert (transfer.data, transfer.attempts) == (b"\x37\x12", 1)


def test_another_refusal_of_a_block_upload_is_final(talk):
    transfer = talk.read()
    talk.hears("80 00 20 01 00 00 02 06")
    assert transfer.error.code == 0x0602_0000


# --- block download ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 6, 7, 8, 27, 28, 29, 56, 57])
@pytest.mark.parametrize("lost", range(1, 5))
def test_a_lost_segment_of_any_sub_block_is_sent_again_the_last_one_too(size, lost):
    """Others close their stream before the last acknowledge, and fail."""
    talk = Talk()
    data = data_of(size)
    transfer = begun_write(talk, data)
    received = b""
    messages = talk.sent()[1:]
    dropped = False
    for _ in range(40):
        good = 0
        for message in messages:
            if not dropped and message[0] & 0x7F == min(lost, len(messages)):
                dropped = True
                break
            good += 1
            received += message[1:]
        talk.hears(ack(good))
        messages = talk.sent()
        if messages[0][0] & 0xE3 == 0xC1 and len(messages) == 1 and len(received) >= size:
            break
    assert dropped
    assert received[:size] == data
    assert messages == [end_of(data)]
    talk.hears("A1 00 00 00 00 00 00 00")
    assert transfer.result() == b""
    assert transfer.attempts == 1


def test_a_smaller_next_sub_block_with_segments_still_pending(talk):
    data = data_of(28)
    begun_write(talk, data)
    talk.sent()
    talk.hears(ack(1, 2))
    assert talk.sent() == [piece(data, 1, 1), piece(data, 2, 2)]
    talk.hears(ack(2, 127))
    assert talk.sent() == [piece(data, 3, 1, True)]


def test_an_acknowledge_of_nothing_sends_the_sub_block_again(talk):
    data = data_of(14)
    begun_write(talk, data)
    first = talk.sent()[1:]
    talk.hears(ack(0))
    assert talk.sent() == first


def test_acknowledging_nothing_for_ever_is_given_up(talk):
    transfer = begun_write(talk, data_of(14), restarts=0)
    talk.hears(*[ack(0)] * 6)
    assert isinstance(transfer.error, SdoProtocolError)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(ack(3), 0x0504_0003), (ack(1, 0), 0x0504_0002), (ack(1, 128), 0x0504_0002), (ack(128), 0x0504_0002)],
)
def test_an_impossible_acknowledge(talk, answer, code):
    transfer = begun_write(talk, data_of(14), restarts=0)
    talk.sent()
    talk.hears(answer)
    assert isinstance(transfer.error, SdoProtocolError)
    assert talk.sent() == [bytes.fromhex("80002001") + code.to_bytes(4, "little")]


def test_an_impossible_block_size_at_the_start(talk):
    transfer = talk.write(data_of(14))
    talk.sent()
    talk.hears("A4 00 20 01 00 00 00 00")
    assert isinstance(transfer.error, SdoProtocolError)
    assert talk.sent()[0].hex() == "8000200102000405"


def test_a_refusal_at_the_end_of_a_block_download_is_final(talk):
    transfer = begun_write(talk, data_of(7), restarts=5)
    talk.hears(ack(1), "80 00 20 01 04 00 04 05")
    assert isinstance(transfer.error, SdoAborted)
    assert talk.commands() == [0xC6, 0x81, 0xC5 - 4]


def test_the_time_to_send_a_sub_block_is_not_held_against_the_server():
    talk = Talk()
    talk.client.frame_time_s = 0.02
    begun_write(talk, data_of(700), block_size=100)
    assert talk.client.deadline() == pytest.approx(talk.now + 2.0 + TIMEOUT_S)


# --- streams ----------------------------------------------------------------------------------------------------------


class Pieces(io.RawIOBase):
    """A stream that gives and takes pieces of its own sizes, and cannot go back."""

    def __init__(self, data=b"", size=3):
        self.data = bytearray(data)
        self.size = size
        self.calls = 0

    def readable(self):
        return True

    def writable(self):
        return True

    def read(self, count=-1):
        self.calls += 1
        taken = bytes(self.data[: min(self.size, count)])
        del self.data[: len(taken)]
        return taken

    def write(self, data):
        self.calls += 1
        self.data += bytes(data[: self.size])
        return min(self.size, len(data))


@pytest.mark.parametrize("size", [1, 2, 6, 7, 8, 1000])
def test_a_short_read_of_a_source_is_not_its_end(talk, size):
    """Others need chunks that are multiples of 7."""
    data = data_of(25)
    transfer = begun_write(talk, Pieces(data, size))
    assert talk.sent()[1:] == [piece(data, i, i + 1, i == 3) for i in range(4)]
    talk.hears(ack(4))
    assert talk.sent() == [end_of(data)]
    assert transfer.transferred == 25


@pytest.mark.parametrize(
    ("data", "size", "first"),
    [
        (b"\x01\x02", None, "2b00200101020000"),
        (b"\x01\x02", 2, "2b00200101020000"),
        (bytes(5), None, "2000200100000000"),
        (bytes(5), 5, "2100200105000000"),
        (b"", None, "2000200100000000"),
        (b"", 0, "2100200100000000"),
    ],
)
def test_a_source_s_size_is_announced_when_it_is_given(talk, data, size, first):
    talk.write(Pieces(data), size=size, block=False)
    assert talk.sent()[0].hex() == first


@pytest.mark.parametrize(("size", "given"), [(10, 9), (10, 11), (7, 8), (3, 4), (4, 3), (0, 1), (1, 0)])
@pytest.mark.parametrize("block", [False, True])
def test_a_source_of_another_size_than_announced_is_never_written_to_its_end(talk, size, given, block):
    transfer = talk.write(Pieces(data_of(given)), size=size, block=block)
    talk.hears("A4 00 20 01 7F 00 00 00" if block else "60 00 20 01 00 00 00 00")
    talk.hears("20 00 00 00 00 00 00 00")
    assert isinstance(transfer.error, SdoAborted)
    assert transfer.error.by_client
    assert f"{size} bytes were announced" in str(transfer.error)


def test_a_source_that_cannot_go_back_is_not_restarted(talk):
    transfer = begun_write(talk, Pieces(data_of(50)), restarts=5)
    talk.passes(2.0)
    assert isinstance(transfer.error, SdoTimeout)
    assert (transfer.error.may_be_done, transfer.attempts) == (False, 1)


def test_a_source_that_cannot_go_back_is_restarted_while_nothing_was_taken(talk):
    transfer = talk.write(Pieces(data_of(9)), block=False)
    talk.passes(TIMEOUT_S + 0.1)
    assert transfer.attempts == 2
    talk.hears("60 00 20 01 00 00 00 00", "20 00 00 00 00 00 00 00", "30 00 00 00 00 00 00 00")
    assert talk.sent()[-1] == b"\x1b" + data_of(9)[7:] + bytes(5)


def test_a_source_that_can_is_set_back_to_where_it_stood(talk):
    source = io.BytesIO(b"header" + data_of(14))
    source.seek(6)
    begun_write(talk, source, size=14)
    talk.passes(TIMEOUT_S + 0.1)
    talk.sent()
    talk.hears("A4 00 20 01 04 00 00 00")
    assert talk.sent() == [piece(data_of(14), 0, 1), piece(data_of(14), 1, 2, True)]


def test_into_a_stream(talk):
    into = io.BytesIO()
    data = data_of(25)
    transfer = begun(talk, 25, into=into)
    talk.hears(*(piece(data, i, i + 1, i == 3) for i in range(4)), end_of(data))
    assert (transfer.result(), into.getvalue(), transfer.transferred) == (b"", data, 25)


def test_into_a_stream_that_takes_pieces(talk):
    into = Pieces()
    data = data_of(25)
    begun(talk, 25, into=into)
    talk.hears(*(piece(data, i, i + 1, i == 3) for i in range(4)), end_of(data))
    assert into.data == data


def upload_until(talk, size, into, restarts=1):
    """A segmented upload of which ``size`` bytes came, and then nothing more."""
    transfer = talk.read(block=False, into=into, restarts=restarts)
    talk.hears("40 00 20 01 00 00 00 00")
    for number in range(size // 7):
        talk.hears(bytes([0x10 * (number % 2)]) + bytes(7))
    talk.passes(TIMEOUT_S + 0.1)
    return transfer


def test_a_stream_is_set_back_and_cut_on_restart(talk):
    into = io.BytesIO(b"header")
    into.seek(6)
    transfer = upload_until(talk, 14000, into)
    assert into.getvalue() == b"header"
    talk.hears("40 00 20 01 00 00 00 00", "01 01 02 03 04 05 06 07")
    talk.passes(1.0)
    assert into.getvalue() == b"header\x01\x02\x03\x04\x05\x06\x07"
    assert transfer.attempts == 2


def test_a_stream_that_cannot_go_back_is_not_restarted_once_written_to(talk):
    into = Pieces(size=10000)
    transfer = upload_until(talk, 14000, into)
    assert isinstance(transfer.error, SdoTimeout)
    assert transfer.attempts == 1


def test_a_stream_that_cannot_go_back_is_restarted_while_nothing_was_written(talk):
    into = Pieces()
    transfer = upload_until(talk, 14, into)
    talk.hears("40 00 20 01 00 00 00 00", "01 01 02 03 04 05 06 07")
    talk.passes(1.0)
    assert into.data == bytes(range(1, 8))
    assert transfer.attempts == 2


def test_a_failed_read_leaves_nothing_in_the_stream(talk):
    into = io.BytesIO()
    transfer = upload_until(talk, 14000, into, restarts=0)
    assert isinstance(transfer.error, SdoTimeout)
    assert into.getvalue() == b""


class Full(io.BytesIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


def test_a_stream_that_cannot_be_written_ends_the_transfer_with_an_abort(talk):
    transfer = upload_until(talk, 7000, Full())
    assert isinstance(transfer.error, SdoAborted)
    assert transfer.error.by_client
    assert isinstance(transfer.error.__cause__, OSError)
    assert "No space left" in str(transfer.error)
    assert talk.sent()[-1].hex() == "8000200100000008"


def test_a_stream_that_cannot_be_written_at_the_very_end(talk):
    transfer = talk.read(block=False, into=Full())
    talk.hears("4F 00 20 01 05 00 00 00")
    assert isinstance(transfer.error, SdoAborted)


@pytest.mark.parametrize("given", [None, "text"])
def test_a_source_that_gives_no_bytes(talk, given):
    class Odd(io.BytesIO):
        def read(self, *_):
            return given

    transfer = talk.write(Odd())
    talk.hears("A4 00 20 01 7F 00 00 00")
    assert isinstance(transfer.error, SdoAborted)
    assert transfer.error.by_client


def test_a_long_read_into_a_stream_stays_out_of_memory():
    talk = Talk(block_size=127)

    class Counted(io.RawIOBase):
        most = total = 0

        def write(self, data):
            self.most = max(self.most, len(data))
            self.total += len(data)
            return len(data)

    into = Counted()
    transfer = begun(talk, crc=False, into=into)
    blank = bytes(7)
    for _ in range(200):
        for sequence in range(1, 128):
            talk.hears(bytes([sequence]) + blank)
        talk.sent()
        assert len(transfer.stream.data) < 8192
    talk.hears(b"\x81" + blank, "C1 00 00 00 00 00 00 00")
    assert transfer.result() == b""
    assert into.total == 200 * 889 + 7
    assert into.most < 8192
