"""Two lost-data cases that only a long run with faults showed."""

from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient


def test_a_doubtful_abort_then_the_answer_to_the_initiate_does_not_end_a_segmented_write():
    channel = SdoChannel.default(2)
    client = SdoClient(channel, timeout_s=0.5)
    lost = client.download(0x2001, 0, bytes(10), 0.0, restarts=0)
    client.frames_to_send()
    client.tick(0.5)  # no answer: given up, its answer may still come
    assert lost.error is not None
    client.frames_to_send()
    client.tick(0.6)
    transfer = client.download(0x2001, 0, bytes(range(10)), 0.6)
    assert [f.data.hex() for f in client.frames_to_send()] == ["210120000a000000"]
    client.receive(channel.response(bytes.fromhex("8001200001000405")), 0.601)
    client.receive(channel.response(bytes.fromhex("6001200000000000")), 0.602)
    assert not transfer.done
    assert [f.data.hex() for f in client.frames_to_send()] == ["0000010203040506"]


def test_after_an_abort_within_a_sub_block_the_line_is_left_in_peace_until_the_segments_are_out():
    channel = SdoChannel.default(2)
    client = SdoClient(channel, timeout_s=0.5)
    broken = client.download(0x2001, 0, bytes(1000), 0.0, block=True)
    client.frames_to_send()
    client.receive(channel.response(bytes.fromhex("a40120007f000000")), 0.001)
    assert len(client.frames_to_send()) == 127
    client.receive(channel.response(bytes.fromhex("8001200010000706")), 0.002)
    assert broken.error is not None
    following = client.upload(0x2000, 0, 0.003)
    assert client.frames_to_send() == []
    client.receive(channel.response(bytes.fromhex("805617ec00000206")), 0.004)  # to a segment that looks like a request
    assert not following.done
    client.tick(client.deadline())
    assert [f.data.hex() for f in client.frames_to_send()] == ["4000200000000000"]


def test_an_abort_that_names_another_object_does_not_hide_the_answer_behind_it():
    channel = SdoChannel.default(2)
    client = SdoClient(channel, timeout_s=0.5)
    transfer = client.upload(0x2000, 0, 0.0)
    client.frames_to_send()
    for number in range(3):
        client.receive(channel.response(bytes.fromhex("805617ec00000206")), 0.001 + number / 1000)
        assert not transfer.done
    client.receive(channel.response(bytes.fromhex("4300200001020304")), 0.005)
    assert transfer.data == bytes.fromhex("01020304")
    assert [oddity.code for oddity in transfer.oddities] == ["SDO-ABORT-OTHER-OBJECT"]


def test_without_an_answer_behind_it_an_abort_that_names_another_object_counts():
    channel = SdoChannel.default(2)
    client = SdoClient(channel, timeout_s=0.5)
    transfer = client.upload(0x2000, 0, 0.0)
    client.frames_to_send()
    client.receive(channel.response(bytes.fromhex("805617ec00000206")), 0.001)
    client.receive(channel.response(bytes.fromhex("4B00300001020000")), 0.002)  # no answer to this either
    client.tick(client.deadline())
    assert transfer.done
    assert transfer.error.code == 0x06020000
    assert client.deadline() is None
