"""The SDO server's time: half-done transfers, answers that take a while, and a server that is switched off."""

import pytest

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import ObjectWritten, SdoServer, TransferAborted

READ = "40 17 10 00 00 00 00 00"
VALUE = "4b 17 10 00 e8 03 00 00"
SAVE = "23 10 10 01 73 61 76 65"
SAVED = "60 10 10 01 00 00 00 00"


class Talk:
    def __init__(self, **options):
        dictionary = ObjectDictionary("test")
        for index, subindex, data_type, default in (
            (0x1008, 0, DataType.VISIBLE_STRING, "a longer name"),
            (0x1010, 1, DataType.UNSIGNED32, 1),
            (0x1017, 0, DataType.UNSIGNED16, 1000),
            (0x2004, 0, DataType.DOMAIN, None),
        ):
            member = Variable(index, subindex, "x", data_type, "rw", default)
            dictionary.objects[index] = Object(index, "x", ObjectType.VAR, {subindex: member})
        self.store = DictionaryStore(dictionary, 5)
        self.server = SdoServer(SdoChannel.default(5), self.store, **options)

    def ask(self, now, *requests):
        for request in requests:
            self.server.receive(Frame(0x605, bytes.fromhex(request)), now)
        return self.heard()

    def tick(self, now):
        self.server.tick(now)
        return self.heard()

    def heard(self):
        return [frame.data.hex(" ") for frame in self.server.frames_to_send()]


def timed_out(index):
    return [(b"\x80" + index.to_bytes(2, "little") + b"\0\0\0\x04\x05").hex(" ")]


# --- time-outs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "step", "index"),
    [
        ("40 08 10 00", "60", 0x1008),
        ("21 04 20 00 0e 00 00 00", "00 01 02 03 04 05 06 07", 0x2004),
    ],
)
def test_a_half_done_transfer_is_given_up_with_its_own_object(start, step, index):
    talk = Talk(timeout_s=1.0)
    talk.ask(10.0, start)
    assert talk.server.deadline() == 11.0
    talk.ask(10.75, step)
    assert talk.server.deadline() == 11.75
    assert talk.tick(11.7) == []
    assert talk.tick(11.75) == timed_out(index)
    assert talk.server.events() == [TransferAborted(index, 0, 0x05040000, False)]
    assert talk.server.deadline() is None
    assert talk.tick(99.0) == []
    assert talk.store.values[0x2004, 0] == b""


def test_a_request_on_the_dot_is_in_time():
    talk = Talk()
    talk.ask(0.0, "40 08 10 00")
    assert talk.ask(1.0, "60") == ["00 61 20 6c 6f 6e 67 65"]


def test_a_request_after_the_time_out_finds_no_transfer_though_nobody_ticked():
    talk = Talk()
    talk.ask(0.0, "40 08 10 00")
    assert talk.ask(1.001, "60") == [*timed_out(0x1008), "80 08 10 00 01 00 04 05"]


def test_nothing_runs_and_nothing_is_waited_for():
    talk = Talk()
    assert talk.server.deadline() is None
    talk.ask(0.0, READ, "2b 17 10 00 00 00", "40 99 99 00")
    assert talk.server.deadline() is None


# --- answers that take a while --------------------------------------------------------------------------------------


def test_each_answer_leaves_later_by_the_latency():
    talk = Talk(latency_s=0.25)
    assert talk.ask(1.0, READ) == []
    assert talk.server.deadline() == 1.25
    assert talk.tick(1.24) == []
    assert talk.ask(1.125, "40 99 99 00") == []
    assert talk.tick(1.25) == [VALUE]
    assert talk.server.deadline() == 1.375
    assert talk.tick(1.375) == ["80 99 99 00 00 00 02 06"]
    assert talk.server.deadline() is None


def test_answers_keep_their_order_when_the_latency_changes():
    talk = Talk(latency_s=0.25)
    talk.ask(0.0, READ)
    talk.server.latency_s = 0.0
    assert talk.ask(0.0, "40 99 99 00") == []
    assert talk.tick(0.25) == [VALUE, "80 99 99 00 00 00 02 06"]


def test_a_frame_that_comes_in_lets_the_answers_out_that_are_due():
    talk = Talk(latency_s=0.25)
    talk.ask(1.0, READ)
    assert talk.ask(1.5, READ) == [VALUE]


def test_the_clients_time_counts_from_the_answer():
    talk = Talk(latency_s=0.25, timeout_s=1.0)
    talk.ask(0.0, "40 08 10 00")
    assert talk.server.deadline() == 0.25
    talk.tick(0.25)
    assert talk.server.deadline() == 1.25


def test_all_segments_of_a_sub_block_leave_together():
    talk = Talk(latency_s=0.25)
    talk.ask(0.0, "a4 08 10 00 7f")
    assert len(talk.tick(0.25)) == 1
    assert talk.ask(1.0, "a3") == []
    assert len(talk.tick(1.25)) == 2


# --- a device that is busy with a write -----------------------------------------------------------------------------


def test_a_device_that_stores_its_parameters_is_silent_until_it_is_done():
    talk = Talk()
    talk.store.on_write(0x1010, 1, lambda data, now: 0.5)
    assert talk.ask(1.0, SAVE) == []
    assert talk.server.events() == [ObjectWritten(0x1010, 1, b"save")]
    assert talk.server.deadline() == 1.5
    assert talk.ask(1.25, READ, SAVE, "80 10 10 01 00 00 04 05") == []
    assert talk.tick(1.5) == [SAVED], "and what was asked meanwhile is forgotten"
    assert talk.server.deadline() is None
    assert talk.server.events() == []
    assert talk.ask(1.5, READ) == [VALUE]


def test_the_last_segment_may_take_a_while():
    talk = Talk(latency_s=0.25)
    talk.store.on_write(0x1010, 1, lambda data, now: 0.5)
    talk.ask(0.0, "21 10 10 01 04 00 00 00")
    assert talk.tick(0.25) == [SAVED]
    assert talk.ask(1.0, "07 73 61 76 65") == []
    assert talk.tick(1.5) == []
    assert talk.tick(1.75) == ["20 00 00 00 00 00 00 00"]


def test_the_end_of_a_block_download_may_take_a_while():
    talk = Talk()
    talk.store.on_write(0x1010, 1, lambda data, now: 0.5)
    assert len(talk.ask(0.0, "c2 10 10 01 04 00 00 00", "81 73 61 76 65 00 00 00", "cd 00 00")) == 2
    assert talk.tick(0.5) == ["a1 00 00 00 00 00 00 00"]


# --- switched off ---------------------------------------------------------------------------------------------------


def test_a_server_that_is_off_is_silent():
    talk = Talk()
    talk.server.enabled = False
    assert talk.ask(0.0, READ, "e0", "40 08 10 00") == []
    assert talk.server.deadline() is None
    talk.server.enabled = True
    assert talk.ask(0.0, READ) == [VALUE]


def test_switching_off_forgets_what_runs():
    talk = Talk(latency_s=0.25)
    talk.ask(0.0, "40 08 10 00")
    talk.server.enabled = False
    talk.server.enabled = True
    assert talk.server.deadline() is None
    assert talk.tick(5.0) == []
    talk.ask(6.0, "60")
    assert talk.tick(6.25) == ["80 08 10 00 01 00 04 05"]


def test_a_reset_ends_the_wait_for_a_write():
    talk = Talk()
    talk.store.on_write(0x1010, 1, lambda data, now: 10.0)
    talk.ask(0.0, SAVE)
    talk.server.reset()
    assert talk.ask(0.5, READ) == [VALUE]
    assert talk.tick(10.0) == []
