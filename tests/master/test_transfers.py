"""Being told of the end of a transfer: once, by whoever reads the bus, however it ends."""

import threading

import pytest

import opendiag
from opendiag.errors import AdapterClosed, SdoAborted, SdoCancelled, SdoTimeout
from opendiag.master.clock import ManualClock
from opendiag.services.sdo_channel import SdoChannel

NODE = 101


@pytest.fixture
def network():
    with opendiag.connect("sim:stepim", clock=ManualClock()) as made:
        yield made


def outcome(transfer):
    try:
        return transfer.result()
    except opendiag.OpenDiagError as error:
        return type(error)


def test_each_who_asked_is_told_once_in_their_order(network):
    told = []
    pending = network[NODE].begin_upload(0x1000)
    pending.when_done(lambda: told.append(1))
    pending.when_done(lambda: told.append(pending.result()))
    assert not told
    network.sleep(0.1)
    assert told == [1, bytes.fromhex("92010200")]
    assert not len(network.endings)


def test_one_that_is_done_is_told_at_once(network):
    told = []
    pending = network[NODE].begin_upload(0x1000)
    pending.result()
    pending.when_done(lambda: told.append(True))()
    assert told == [True]
    assert not len(network.endings)


def test_it_can_be_taken_back_and_the_others_are_told(network):
    told = []
    pending = network[NODE].begin_upload(0x1000)
    forget = pending.when_done(lambda: told.append("first"))
    pending.when_done(lambda: told.append("second"))
    forget()
    forget()
    pending.result()
    assert told == ["second"]
    forget()
    assert not len(network.endings)


@pytest.mark.parametrize("way", ["abort", "time-out", "cancel", "close", "unplug", "replaced"])
def test_an_end_without_a_value_is_told_too(network, monkeypatch, way):
    """By then the transfer says how it ended."""
    told = []
    index = 0x5FFF if way == "abort" else 0x1000
    pending = network[NODE if way == "abort" else 7].begin_upload(index, timeout_s=1.0)
    waiting = network[7].begin_upload(0x1001)
    for transfer in (pending, waiting):
        transfer.when_done(lambda transfer=transfer: told.append(outcome(transfer)))

    def unplugged(until):
        raise AdapterClosed("sim", "unplugged")

    if way == "cancel":
        pending.cancel()
        assert told == [SdoCancelled]
        waiting.cancel()
    elif way == "close":
        network.close()
    elif way == "unplug":
        monkeypatch.setattr(network.port, "receive", unplugged)
        with pytest.raises(AdapterClosed):
            network.sleep(1)
    elif way == "replaced":
        channel = SdoChannel(7, 0x617, 0x597)
        network.node(7, channel=channel)
    else:
        network.sleep(10)
    expected = {
        "abort": [SdoAborted, SdoTimeout],
        "time-out": [SdoTimeout, SdoTimeout],
        "unplug": [AdapterClosed, AdapterClosed],
    }
    assert told == expected.get(way, [SdoCancelled, SdoCancelled])
    assert not len(network.endings)


def test_it_is_told_while_nobody_waits_where_the_bus_is_read_by_itself():
    told = threading.Event()
    with opendiag.connect("sim:stepim") as network:
        network[NODE].begin_upload(0x1000).when_done(told.set)
        assert told.wait(10)


def test_another_transfer_may_be_begun_by_who_is_told(network):
    """A chain of them, without a thread and without a plan."""
    values = []

    def next_one():
        if len(values) < 3:
            pending = network[NODE].begin_upload(0x1018, len(values) + 1)
            pending.when_done(lambda: (values.append(pending.result()), next_one()))

    next_one()
    network.sleep(0.1)
    assert values == [b"\xe1\x02\0\0", b"\xa5\xa5\0\0", b"\0\0\0\0"]


def test_a_callback_that_raises_does_not_end_the_reading(network, caplog):
    pending = network[NODE].begin_upload(0x1000)
    pending.when_done(lambda: 1 / 0)
    told = []
    pending.when_done(lambda: told.append(True))
    assert pending.result() == bytes.fromhex("92010200")
    assert told == [True]
    assert "ZeroDivisionError" in caplog.text
