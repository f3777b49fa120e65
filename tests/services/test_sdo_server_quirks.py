"""Each way in which a simulated SDO server can deviate, as it is seen on the wire."""

import dataclasses

import pytest

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_quirks import WELL_BEHAVED, SdoQuirks
from opendiag.services.sdo_server import ObjectRead, SdoServer, TransferAborted


class Talk:
    def __init__(self, **quirks):
        dictionary = ObjectDictionary("test")
        for index, data_type, access, default in (
            (0x1000, DataType.UNSIGNED32, "ro", 0x20192),
            (0x1008, DataType.VISIBLE_STRING, "const", "StepIM drive"),
            (0x1017, DataType.UNSIGNED16, "rw", 1000),
            (0x1018, DataType.UNSIGNED32, "ro", 1),
        ):
            member = Variable(index, 0, "x", data_type, access, default)
            dictionary.objects[index] = Object(index, "x", ObjectType.VAR, {0: member})
        self.store = DictionaryStore(dictionary, 5)
        self.server = SdoServer(SdoChannel.default(5), self.store, quirks=SdoQuirks(**quirks))

    def ask(self, *requests):
        for request in requests:
            self.server.receive(Frame(0x605, bytes.fromhex(request)), 0.0)
        return [frame.data.hex(" ") for frame in self.server.frames_to_send()]


def test_without_arguments_there_are_none():
    assert SdoQuirks() == WELL_BEHAVED
    for field in dataclasses.fields(SdoQuirks):
        assert f"``{field.name}``" in SdoQuirks.__doc__
        assert field.default in (False, "last", "block")


def test_restarts_on_initiate():
    talk = Talk(restarts_on_initiate=True)
    assert talk.ask("40 08 10 00", "60") == ["41 08 10 00 0c 00 00 00", "00 53 74 65 70 49 4d 20"]
    assert talk.ask("40 08 10 00", "60") == ["41 08 10 00 0c 00 00 00", "00 53 74 65 70 49 4d 20"]
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 e8 03 00 00"]
    assert talk.ask("70") == ["80 17 10 00 01 00 04 05"]


def test_a_segment_of_a_block_download_is_no_initiate():
    talk = Talk(restarts_on_initiate=True)
    talk.ask("c6 17 10 00 02 00 00 00")
    assert talk.ask("40 17 10 00 00 00 00 00") == [], "segment 64, before which 63 were lost"


def test_ignores_short_requests():
    talk = Talk(ignores_short_requests=True)
    assert talk.ask("40 17 10 00", "40", "e0", "2b 17 10 00 01 00") == []
    assert talk.ask("40 17 10 00 00 00 00 00") == ["4b 17 10 00 e8 03 00 00"]


@pytest.mark.parametrize(
    ("mux", "answer"),
    [("last", "80 17 10 00 01 00 04 05"), ("zero", "80 00 00 00 01 00 04 05"), ("1000", "80 00 10 00 01 00 04 05")],
)
def test_unknown_command_mux(mux, answer):
    talk = Talk(unknown_command_mux=mux)
    talk.ask("40 17 10 00")
    assert talk.ask("e0 08 10 00") == [answer]
    assert talk.ask("60") == [answer]
    assert talk.ask("40 99 99 00") == ["80 99 99 00 00 00 02 06"], "other aborts name their object"
    assert talk.ask("40 08 10 00", "e0")[1:] == ["80 08 10 00 01 00 04 05"], "and so do those of a running transfer"


def test_unsized_expedited():
    talk = Talk(unsized_expedited=True)
    assert talk.ask("40 17 10 00", "40 00 10 00") == ["42 17 10 00 e8 03 00 00", "42 00 10 00 92 01 02 00"]


def test_empty_last_segment():
    talk = Talk(empty_last_segment=True)
    assert talk.ask("40 08 10 00", "60", "70", "60")[1:] == [
        "00 53 74 65 70 49 4d 20",
        "14 64 72 69 76 65 00 00",
        "0f 00 00 00 00 00 00 00",
    ]
    assert talk.server.deadline() is None


def test_short_frames():
    talk = Talk(short_frames=True)
    assert talk.ask("40 17 10 00", "2b 17 10 00 01 00") == ["4b 17 10 00 e8 03", "60 17 10 00"]
    assert talk.ask("40 08 10 00", "60", "70") == [
        "41 08 10 00 0c 00 00 00",
        "00 53 74 65 70 49 4d 20",
        "15 64 72 69 76 65",
    ]
    assert talk.ask("21 17 10 00 02 00 00 00", "0b 01 00") == ["60 17 10 00", "20"]
    assert talk.ask("40 99 99 00") == ["80 99 99 00 00 00 02 06"]


def test_short_frames_in_blocks():
    """Segments of a block transfer stay whole: only the end says how much of the last one counts."""
    talk = Talk(short_frames=True)
    assert talk.ask("a4 08 10 00 7f", "a3") == [
        "c6 08 10 00 0c 00 00 00",
        "01 53 74 65 70 49 4d 20",
        "82 64 72 69 76 65 00 00",
    ]
    assert [len(bytes.fromhex(answer)) for answer in talk.ask("a2 02 7f", "a1")] == [3]
    assert talk.ask("c2 17 10 00 02 00 00 00", "81 01 00", "d5 00 00") == ["a4 17 10 00 7f", "a2 01 7f", "a1"]


def test_block_upload_switch():
    talk = Talk(block_upload="switch")
    assert talk.ask("a4 17 10 00 7f") == ["4b 17 10 00 e8 03 00 00"]
    assert talk.ask("a4 08 10 00 7f", "60") == ["41 08 10 00 0c 00 00 00", "00 53 74 65 70 49 4d 20"]


def test_block_upload_refuse():
    talk = Talk(block_upload="refuse")
    assert talk.ask("a4 08 10 00 7f") == ["80 08 10 00 01 00 04 05"]


def test_read_only_as_write_only():
    talk = Talk(read_only_as_write_only=True)
    assert talk.ask("23 00 10 00 00 00 00 00", "21 08 10 00 09 00 00 00") == [
        "80 00 10 00 01 00 01 06",
        "80 08 10 00 01 00 01 06",
    ]


@pytest.mark.parametrize(
    "requests",
    [
        ("23 17 10 00 d0 07 55 55",),
        ("20 17 10 00", "00 d0 07 03 04 05 06 07", "1b 01 02"),
        ("21 17 10 00 04 00 00 00", "07 d0 07 03 04"),
        ("c2 17 10 00 09 00 00 00", "01 d0 07 03 04 05 06 07", "82 01 02 00 00 00 00 00", "d5 00 00"),
    ],
)
def test_accepts_any_length(requests):
    talk = Talk(accepts_any_length=True)
    assert not any(answer.startswith("80") for answer in talk.ask(*requests))
    assert talk.ask("40 17 10 00") == ["4b 17 10 00 d0 07 00 00"]
    assert talk.ask("2f 17 10 00 05", "40 17 10 00") == ["60 17 10 00 00 00 00 00", "4b 17 10 00 05 00 00 00"]


def test_missing_sub_as_missing_object():
    talk = Talk(missing_sub_as_missing_object=True)
    assert talk.ask("40 18 10 05", "2f 17 10 01 00") == ["80 18 10 05 00 00 02 06", "80 17 10 01 00 00 02 06"]


def test_serves_after_abort():
    talk = Talk(serves_after_abort=True)
    assert talk.ask("40 08 10 00", "60", "80 08 10 00 00 00 04 05", "70")[2:] == ["15 64 72 69 76 65 00 00"]
    assert talk.server.events() == [TransferAborted(0x1008, 0, 0x05040000, True), ObjectRead(0x1008, 0)]


def test_serves_after_abort_until_something_new_begins():
    talk = Talk(serves_after_abort=True)
    talk.ask("40 08 10 00", "60", "80 08 10 00 00 00 04 05", "80 08 10 00 00 00 04 05")
    assert talk.server.events() == [TransferAborted(0x1008, 0, 0x05040000, True)]
    assert talk.ask("40 17 10 00", "70") == ["4b 17 10 00 e8 03 00 00", "80 17 10 00 01 00 04 05"]
    assert talk.ask("40 08 10 00", "80", "40 08 10 00", "40 08 10 00")[2:] == ["80 08 10 00 01 00 04 05"]
    talk.ask("40 08 10 00", "80 08 10 00 00 00 04 05")
    talk.server.tick(5.0)
    assert talk.ask() == [], "an abort of its own would not be expected"
    assert talk.server.deadline() is None
