"""The SDO server with expedited and segmented transfers: golden frames, refusals, and what a client may get wrong."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import ObjectRead, ObjectWritten, SdoServer, StoreFailed, TransferAborted

NODE = 5
VARIABLES = [
    (0x1000, DataType.UNSIGNED32, "ro", 0x00020192, None, None),
    (0x1001, DataType.UNSIGNED8, "ro", 0x81, None, None),
    (0x1008, DataType.VISIBLE_STRING, "const", "StepIM drive", None, None),
    (0x1017, DataType.UNSIGNED16, "rw", 1000, None, None),
    (0x2000, DataType.UNSIGNED24, "rw", 0x030201, None, None),
    (0x2001, DataType.VISIBLE_STRING, "rw", "", None, None),
    (0x2002, DataType.UNSIGNED64, "rw", 0x0807060504030201, None, None),
    (0x2003, DataType.INTEGER16, "rw", 0, -10, 10),
    (0x2004, DataType.DOMAIN, "rw", None, None, None),
    (0x2005, DataType.UNSIGNED32, "wo", None, None, None),
]


def make_store():
    dictionary = ObjectDictionary("test")
    for index, data_type, access, default, low, high in VARIABLES:
        member = Variable(index, 0, "x", data_type, access, default, low, high)
        dictionary.objects[index] = Object(index, "x", ObjectType.VAR, {0: member})
    vendor = Variable(0x1018, 1, "Vendor ID", DataType.UNSIGNED32, "ro", 0x2E1)
    dictionary.objects[0x1018] = Object(0x1018, "Identity", ObjectType.RECORD, {1: vendor})
    return DictionaryStore(dictionary, NODE)


class Talk:
    """Sends hexadecimal requests at a time of its own and gives the answers back as hexadecimal."""

    def __init__(self, store=None, **options):
        self.store = store or make_store()
        self.server = SdoServer(SdoChannel.default(NODE), self.store, **options)
        self.now = 0.0
        self.events = []

    def ask(self, *requests):
        for request in requests:
            self.server.receive(Frame(0x600 + NODE, bytes.fromhex(request)), self.now)
        return self.heard()

    def heard(self):
        frames = self.server.frames_to_send()
        assert all(frame.can_id == 0x580 + NODE for frame in frames)
        self.events += self.server.events()
        return [frame.data.hex(" ") for frame in frames]

    def wait(self, seconds):
        """Let the machine have every tick it asks for."""
        until = self.now + seconds
        while (due := self.server.deadline()) is not None and due <= until:
            self.now = max(due, self.now)
            self.server.tick(self.now)
        self.now = until
        self.server.tick(until)
        return self.heard()


def abort(code, index, subindex=0):
    return [(b"\x80" + index.to_bytes(2, "little") + bytes([subindex]) + code.to_bytes(4, "little")).hex(" ")]


# --- expedited ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("40 00 10 00 00 00 00 00", "43 00 10 00 92 01 02 00"),
        ("40 01 10 00 00 00 00 00", "4f 01 10 00 81 00 00 00"),
        ("40 17 10 00 00 00 00 00", "4b 17 10 00 e8 03 00 00"),
        ("40 00 20 00 00 00 00 00", "47 00 20 00 01 02 03 00"),
        ("40 18 10 00 00 00 00 00", "4f 18 10 00 01 00 00 00"),
        ("40 18 10 01 00 00 00 00", "43 18 10 01 e1 02 00 00"),
        ("40 17 10 00", "4b 17 10 00 e8 03 00 00"),
    ],
)
def test_an_object_of_up_to_four_bytes_is_read_at_once(request_, answer):
    talk = Talk()
    assert talk.ask(request_) == [answer]
    data = bytes.fromhex(request_)
    assert talk.events == [ObjectRead(data[1] | data[2] << 8, data[3])]
    assert talk.server.deadline() is None


@pytest.mark.parametrize(
    ("request_", "index", "value"),
    [
        ("2b 17 10 00 d0 07 00 00", 0x1017, 2000),
        ("2b 17 10 00 d0 07", 0x1017, 2000),
        ("22 17 10 00 d0 07 55 55", 0x1017, 2000),
        ("27 00 20 00 0a 0b 0c ff", 0x2000, 0x0C0B0A),
        ("23 01 20 00 41 42 43 44", 0x2001, "ABCD"),
        ("2f 01 20 00 41 42 43 44", 0x2001, "A"),
        ("22 01 20 00 41 42 43 44", 0x2001, "ABCD"),
    ],
)
def test_an_object_of_up_to_four_bytes_is_written_at_once(request_, index, value):
    talk = Talk()
    assert talk.ask(request_) == [f"60 {request_[3:11]} 00 00 00 00"]
    assert talk.store.get(index, 0) == value
    assert talk.events == [ObjectWritten(index, 0, talk.store.values[index, 0])]


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("40 05 20 00 00 00 00 00", 0x06010001),
        ("2b 00 10 00 00 00 00 00", 0x06010002),
        ("2f 08 10 00 00 00 00 00", 0x06010002),
        ("40 99 99 00 00 00 00 00", 0x06020000),
        ("2f 99 99 00 00 00 00 00", 0x06020000),
        ("40 18 10 05 00 00 00 00", 0x06090011),
        ("2f 17 10 01 00 00 00 00", 0x06090011),
        ("23 17 10 00 00 00 00 00", 0x06070012),
        ("2f 17 10 00 00 00 00 00", 0x06070013),
        ("22 02 20 00 00 00 00 00", 0x06070013),
        ("2b 03 20 00 0b 00 00 00", 0x06090031),
        ("2b 03 20 00 f5 ff 00 00", 0x06090032),
        ("a4 00 10 00 00 00 00 00", 0x05040002),
        ("a4 00 10 00 80 00 00 00", 0x05040002),
        ("33 17 10 00 d0 07 00 00", 0x05040001),
        # segmented and block downloads are checked before any data
        ("21 17 10 00 03 00 00 00", 0x06070012),
        ("21 17 10 00 01 00 00 00", 0x06070013),
        ("21 08 10 00 20 00 00 00", 0x06010002),
        ("20 08 10 00 00 00 00 00", 0x06010002),
        ("c6 08 10 00 20 00 00 00", 0x06010002),
        ("c6 17 10 00 20 00 00 00", 0x06070012),
        ("c4 99 99 00 00 00 00 00", 0x06020000),
        ("a4 05 20 00 7f 00 00 00", 0x06010001),
        ("a4 99 99 00 7f 00 00 00", 0x06020000),
    ],
)
def test_a_refusal_names_the_object_and_the_reason(request_, code):
    talk = Talk()
    before = dict(talk.store.values)
    data = bytes.fromhex(request_)
    index, subindex = data[1] | data[2] << 8, data[3]
    if data[0] == 0x33:  # no command of CANopen, so it names no object either
        index = 0
    assert talk.ask(request_) == abort(code, index, subindex)
    assert talk.events == [TransferAborted(index, subindex, code, False)]
    assert talk.store.values == before
    assert talk.server.deadline() is None


def test_the_abort_of_an_unknown_command_names_the_last_object():
    talk = Talk()
    assert talk.ask("e0 17 10 00 00 00 00 00") == abort(0x05040001, 0)
    talk.ask("40 18 10 01 00 00 00 00")
    assert talk.ask("e0 17 10 00 00 00 00 00") == abort(0x05040001, 0x1018, 1)


@pytest.mark.parametrize("command", ["00", "0d", "1d", "60", "70", "a1", "a2 01 7f", "a3", "c1", "dd", "e0", "ff"])
def test_what_belongs_to_no_transfer_is_refused(command):
    talk = Talk()
    assert talk.ask((command + " 00" * 8)[:23]) == abort(0x05040001, 0)


def test_an_abort_is_never_answered():
    """Even one before any other request, which some servers cannot digest."""
    talk = Talk()
    assert talk.ask("80 00 00 00 00 00 04 05", "80", "80 17 10 00") == []
    assert talk.events == []


@pytest.mark.parametrize(
    "request_", ["40", "40 17 10", "2b 17 10 00 01", "21 01 20 00 08", "a4 17 10 00", "c6 17 10 00"]
)
def test_a_request_that_lacks_what_is_needed_is_refused(request_):
    assert Talk().ask(request_)[0].endswith("01 00 04 05")


def test_a_frame_without_data_and_other_traffic_is_nothing():
    talk = Talk()
    request = bytes.fromhex("4000100000000000")
    for frame in (
        Frame(0x605, b""),
        Frame(0x606, request),
        Frame(0x605, request, extended=True),
        Frame(0x605, remote=True, dlc=8),
        Frame(0x605, request, error=True),
        Frame(0x605, request, fd=True),
    ):
        talk.server.receive(frame, 0.0)
    assert talk.heard() == []
    assert talk.events == []


class Refusing:
    """A store whose objects all raise what they are told to."""

    def __init__(self, error):
        self.error = error

    def read(self, index, subindex, now):
        raise self.error

    def width(self, index, subindex):
        return None

    def check_write(self, index, subindex, size, now):
        return None

    def write(self, index, subindex, data, now):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SdoRefusal(0x08000022), 0x08000022),
        (SdoRefusal(0x08000020), 0x08000020),
        (SdoRefusal(0x12345678), 0x12345678),
        (SdoRefusal(-1), 0xFFFFFFFF),
        (OSError("no such disk"), 0x06060000),
    ],
)
def test_the_store_says_why_it_refuses(error, code):
    talk = Talk(Refusing(error))
    assert talk.ask("40 18 10 01") == abort(code, 0x1018, 1)
    assert talk.ask("2f 18 10 01 01") == abort(code, 0x1018, 1)
    assert talk.ask("21 18 10 01 01 00 00 00") == ["60 18 10 01 00 00 00 00"]
    assert talk.ask("0d 01") == abort(code, 0x1018, 1)


def test_a_mistake_in_a_hook_becomes_an_abort_and_an_event():
    error = KeyError("position")
    talk = Talk(Refusing(error))
    assert talk.ask("40 18 10 01") == abort(0x08000000, 0x1018, 1)
    assert talk.events == [StoreFailed(0x1018, 1, error), TransferAborted(0x1018, 1, 0x08000000, False)]


# --- segmented ------------------------------------------------------------------------------------------------------


def test_a_long_object_is_read_in_segments_and_its_size_is_announced():
    talk = Talk()
    assert talk.ask("40 08 10 00") == ["41 08 10 00 0c 00 00 00"]
    assert talk.ask("60 00 00 00 00 00 00 00") == ["00 53 74 65 70 49 4d 20"]
    assert talk.events == []
    assert talk.ask("70") == ["15 64 72 69 76 65 00 00"]
    assert talk.events == [ObjectRead(0x1008, 0)]
    assert talk.server.deadline() is None
    assert talk.ask("60") == abort(0x05040001, 0x1008), "there is nothing left"


def test_the_last_of_full_segments_is_marked():
    talk = Talk()
    talk.store.set(0x2001, 0, "fourteen bytes")
    assert talk.ask("40 01 20 00") == ["41 01 20 00 0e 00 00 00"]
    assert talk.ask("60", "70") == ["00 66 6f 75 72 74 65 65", "11 6e 20 62 79 74 65 73"]


def test_an_empty_object_is_one_empty_segment():
    talk = Talk()
    assert talk.ask("40 01 20 00") == ["41 01 20 00 00 00 00 00"]
    assert talk.ask("60") == ["0f 00 00 00 00 00 00 00"]
    assert talk.events == [ObjectRead(0x2001, 0)]


def test_a_long_object_is_written_in_segments():
    talk = Talk()
    assert talk.ask("21 01 20 00 09 00 00 00") == ["60 01 20 00 00 00 00 00"]
    assert talk.ask("00 31 32 33 34 35 36 37") == ["20 00 00 00 00 00 00 00"]
    assert talk.store.get(0x2001, 0) == ""
    assert talk.ask("1b 38 39 00 00 00 00 00") == ["30 00 00 00 00 00 00 00"]
    assert talk.store.get(0x2001, 0) == "123456789"
    assert talk.events == [ObjectWritten(0x2001, 0, b"123456789")]
    assert talk.server.deadline() is None


@pytest.mark.parametrize("start", ["20 17 10 00", "21 17 10 00 02 00 00 00"])
def test_a_short_object_may_be_written_in_segments(start):
    talk = Talk()
    assert talk.ask(start) == ["60 17 10 00 00 00 00 00"]
    assert talk.ask("0b d0 07") == ["20 00 00 00 00 00 00 00"]
    assert talk.store.get(0x1017, 0) == 2000


def test_an_empty_last_segment_is_taken():
    talk = Talk()
    assert talk.ask("20 01 20 00", "00 31 32 33 34 35 36 37", "1f")[2] == "30 00 00 00 00 00 00 00"
    assert talk.store.get(0x2001, 0) == "1234567"


def test_the_size_of_an_unannounced_download_is_checked_at_its_end():
    talk = Talk()
    assert talk.ask("20 02 20 00", "03 01 02 03 04 05 06 07")[1:] == abort(0x06070013, 0x2002)


def test_an_unannounced_download_is_refused_as_soon_as_it_is_too_long():
    talk = Talk()
    assert talk.ask("20 17 10 00", "00 01 02 03 04 05 06 07")[1:] == abort(0x06070012, 0x1017)
    assert talk.store.get(0x1017, 0) == 1000


def test_limits_bind_a_segmented_download_too():
    talk = Talk()
    assert talk.ask("21 03 20 00 02 00 00 00", "0b 0b 00")[1:] == abort(0x06090031, 0x2003)
    assert talk.store.get(0x2003, 0) == 0


@pytest.mark.parametrize("last", ["1d 38", "17 38 39 3a 3b 3c 3d", "00 31"])
def test_bytes_that_are_not_as_many_as_announced_are_never_written(last):
    """Nine were announced."""
    talk = Talk()
    wrong = ["01 31 32 33 34 35 36 37"] if last == "00 31" else ["00 31 32 33 34 35 36 37", last]
    assert talk.ask("21 01 20 00 09 00 00 00", *wrong)[-1:] == abort(0x06070010, 0x2001)
    assert talk.store.get(0x2001, 0) == ""
    assert talk.events == [TransferAborted(0x2001, 0, 0x06070010, False)]


def test_a_segment_that_is_shorter_than_it_says_is_refused():
    talk = Talk()
    assert talk.ask("21 01 20 00 09 00 00 00", "00 31 32 33")[1:] == abort(0x05040001, 0x2001)


def test_a_segment_that_comes_twice_ends_the_download():
    talk = Talk()
    segment = "00 31 32 33 34 35 36 37"
    assert talk.ask("21 01 20 00 09 00 00 00", segment, segment)[2:] == abort(0x05030000, 0x2001)
    assert talk.store.get(0x2001, 0) == ""


def test_a_segment_request_that_comes_twice_ends_the_upload():
    talk = Talk()
    assert talk.ask("40 08 10 00", "60", "60")[2:] == abort(0x05030000, 0x1008)
    assert talk.events == [TransferAborted(0x1008, 0, 0x05030000, False)]


@pytest.mark.parametrize("start", ["40 08 10 00", "21 01 20 00 09 00 00 00"])
def test_the_first_toggle_is_zero(start):
    wrong = "70" if start.startswith("40") else "10 31 32 33 34 35 36 37"
    assert Talk().ask(start, wrong)[1].endswith("00 00 03 05")


# --- what ends a transfer -------------------------------------------------------------------------------------------

STARTS = {
    "upload": ("40 08 10 00 00 00 00 00", 0x1008),
    "download": ("21 01 20 00 09 00 00 00", 0x2001),
    "block upload": ("a4 08 10 00 7f 00 00 00", 0x1008),
}
INITIATES = ["40 17 10 00", "2b 17 10 00 d0 07", "21 01 20 00 09 00 00 00", "a4 08 10 00 7f", "c4 01 20 00"]


@pytest.mark.parametrize("running", STARTS)
@pytest.mark.parametrize("other", [*INITIATES, "e0", "ff 00", "b0"])
def test_what_does_not_belong_to_the_running_transfer_ends_it(running, other):
    talk = Talk()
    start, index = STARTS[running]
    assert talk.ask(start, other)[1:] == abort(0x05040001, index)
    assert talk.server.deadline() is None
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 e8 03 00 00"], "and the next request is served"


@pytest.mark.parametrize("running", STARTS)
@pytest.mark.parametrize("mux", ["08 10 00", "00 00 00"])
def test_a_client_that_aborts_first_can_begin_again(running, mux):
    """Whatever object it names: some name none."""
    talk = Talk()
    start, index = STARTS[running]
    talk.ask(start)
    assert talk.ask(f"80 {mux} 00 00 04 05") == []
    assert talk.events[-1] == TransferAborted(index, 0, 0x05040000, True)
    assert talk.ask(start)[0][:2] in ("41", "60", "c6")


def test_a_segment_request_after_the_clients_abort_is_refused():
    talk = Talk()
    assert talk.ask("40 08 10 00", "60", "80 08 10 00 00 00 04 05", "70")[2:] == abort(0x05040001, 0x1008)


# --- streams --------------------------------------------------------------------------------------------------------


class Unseekable(io.RawIOBase):
    """Gives its data in pieces of three, and cannot say how many there are."""

    def __init__(self, data):
        self.rest = data

    def readable(self):
        return True

    def read(self, size=-1):
        piece, self.rest = self.rest[: min(3, size)], self.rest[min(3, size) :]
        return piece


@given(data=st.binary(max_size=40))
def test_a_stream_without_a_size_is_read_in_segments(data):
    talk = Talk()
    stream = Unseekable(data)
    talk.store.on_read(0x2004, 0, lambda now: stream)
    assert talk.ask("40 04 20 00") == ["40 04 20 00 00 00 00 00"]
    got, toggle = b"", False
    while talk.server.deadline() is not None:
        answer = bytes.fromhex(talk.ask("70" if toggle else "60")[0])
        got += answer[1 : 8 - (answer[0] >> 1 & 7)]
        toggle = not toggle
    assert got == data
    assert answer[0] & 1
    assert stream.closed


def test_the_last_segment_of_a_stream_without_a_size_is_not_empty():
    talk = Talk()
    stream = Unseekable(b"seven..")
    stream.read = io.BytesIO(stream.rest).read
    talk.store.on_read(0x2004, 0, lambda now: stream)
    assert talk.ask("40 04 20 00", "60")[1:] == ["01 73 65 76 65 6e 2e 2e"]


def test_a_seekable_stream_gets_its_size_announced_from_where_it_stands():
    talk = Talk()
    stream = io.BytesIO(b"header" + b"payload!")
    stream.seek(6)
    talk.store.on_read(0x2004, 0, lambda now: stream)
    assert talk.ask("40 04 20 00", "60") == ["41 04 20 00 08 00 00 00", "00 70 61 79 6c 6f 61 64"]
    assert not stream.closed
    assert talk.ask("70") == ["1d 21 00 00 00 00 00 00"]
    assert stream.closed


def test_a_small_stream_is_answered_at_once():
    talk = Talk()
    talk.store.on_read(0x2004, 0, lambda now: io.BytesIO(b"abc"))
    assert talk.ask("40 04 20 00") == ["47 04 20 00 61 62 63 00"]


def test_a_stream_is_closed_when_the_transfer_fails():
    talk = Talk()
    stream = io.BytesIO(bytes(100))
    talk.store.on_read(0x2004, 0, lambda now: stream)
    talk.ask("40 04 20 00", "80 04 20 00 00 00 04 05")
    assert stream.closed


def test_a_stream_that_ends_before_its_size_is_a_hardware_error():
    class Shrinking(io.BytesIO):
        def read(self, size=-1):
            return b""

    talk = Talk()
    talk.store.on_read(0x2004, 0, lambda now: Shrinking(bytes(100)))
    assert talk.ask("40 04 20 00", "60")[1:] == abort(0x06060000, 0x2004)


def test_a_download_goes_into_the_stream_of_the_store():
    talk = Talk()
    stream, calls = io.BytesIO(), []
    talk.store.on_stream(0x2004, 0, lambda size, now: calls.append(size) or stream)
    talk.store.on_write(0x2004, 0, lambda data, now: calls.append((data, stream.getvalue())))
    talk.ask("21 04 20 00 09 00 00 00", "00 31 32 33 34 35 36 37")
    assert stream.getvalue() == b"1234567"
    talk.ask("1b 38 39")
    assert calls == [9, (b"", b"123456789")]
    assert talk.events == [ObjectWritten(0x2004, 0, None)]
    assert not stream.closed


def test_a_stream_may_take_its_data_in_pieces():
    class Small(io.BytesIO):
        def write(self, data):
            return super().write(data[:3])

    talk = Talk()
    stream = Small()
    talk.store.on_stream(0x2004, 0, lambda size, now: stream)
    talk.ask("21 04 20 00 07 00 00 00", "01 31 32 33 34 35 36 37")
    assert stream.getvalue() == b"1234567"


def test_a_stream_that_is_full_refuses():
    class Full(io.RawIOBase):
        def write(self, data):
            return 0

    talk = Talk()
    talk.store.on_stream(0x2004, 0, lambda size, now: Full())
    assert talk.ask("2f 04 20 00 01") == abort(0x08000020, 0x2004)


# --- whatever a client sends ----------------------------------------------------------------------------------------


@given(data=st.binary(max_size=60), announced=st.booleans())
def test_what_was_written_in_segments_is_read_back(data, announced):
    talk = Talk()
    start = b"\x21\x04\x20\x00" + len(data).to_bytes(4, "little") if announced else b"\x20\x04\x20\x00"
    parts = [data[at : at + 7] for at in range(0, len(data), 7)] or [b""]
    segments = [
        bytes([number % 2 << 4 | 7 - len(part) << 1 | (number == len(parts) - 1)]) + part
        for number, part in enumerate(parts)
    ]
    answers = talk.ask(start.hex(), *(segment.hex() for segment in segments))
    assert not any(answer.startswith("80") for answer in answers)
    assert talk.store.values[0x2004, 0] == data


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([bytes.fromhex(x) for x in INITIATES]))))
def test_no_request_breaks_the_server(requests):
    """Nothing raises, every half-done transfer times out, and the server is at hand again."""
    talk = Talk()
    for request in requests:
        talk.ask(request.hex())
    talk.wait(10.0)
    assert talk.server.deadline() is None
    assert not any(isinstance(event, StoreFailed) for event in talk.events)
    talk.ask("80 00 00 00 00 00 00 00")
    assert talk.ask("40 00 10 00") == ["43 00 10 00 92 01 02 00"]
