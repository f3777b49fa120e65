"""The error history of a device, read and cleared. What it reports by itself: `test_monitor`."""

import pytest

import opendiag
from opendiag.dictionary.library import load
from opendiag.errors import SdoAborted
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode


@pytest.fixture
def device():
    return SimNode(load("stepim"), 9)


@pytest.fixture
def network(device):
    bus = SimBus(None)
    bus.attach(device, "node")
    with opendiag.connect(bus, clock=ManualClock()) as made:
        made.sleep(0.1)
        yield made


def test_the_history_is_read_newest_first_with_texts(network, device):
    assert network[9].emcy.history() == []
    device.emcy(0x8110, 0x11, b"\x34\x12", network.clock.now())
    device.emcy(0x3210, 0x05, b"", network.clock.now())
    newest, oldest = network[9].emcy.history()
    assert (newest.code, newest.information, oldest.code, oldest.information) == (0x3210, 0, 0x8110, 0x1234)
    assert "overrun" in oldest.text and newest.text
    network.sleep(0.1)
    assert [entry.emcy.code for entry in network[9].emcy.received] == [0x8110, 0x3210]
    assert [entry.text for entry in network[9].emcy.received] == [oldest.text, newest.text]


def test_clearing_forgets_the_history_and_not_what_is_active(network, device):
    device.emcy(0x8110, 0x11, b"", network.clock.now())
    network.sleep(0.1)
    network[9].emcy.clear()
    assert network[9].emcy.history() == []
    assert len(network[9].emcy.active) == 1


def test_a_count_that_is_higher_than_what_is_there_ends_the_list(network, device):
    device.emcy(0x8110, 0x11, b"", network.clock.now())
    device.store.values[0x1003, 0] = b"\xfe"
    assert network[9].emcy.history()[0].code == 0x8110


def test_a_device_without_history_says_so(network, device):
    for key in [key for key in device.store.variables if key[0] == 0x1003]:
        del device.store.variables[key]
    with pytest.raises(SdoAborted):
        network[9].emcy.history()


@pytest.mark.parametrize("way", ["connect", "connect, then asked for", "node", "scan"])
def test_the_makers_texts_are_known_whichever_way_the_node_became_known(way):
    bus = SimBus(None)
    device = SimNode(load("stepim"), 101)
    bus.attach(device, "device", on_event=lambda event, now: None)
    given = {101: "stepim"} if way.startswith("connect") else None
    with opendiag.connect(bus, clock=ManualClock(), dictionaries=given) as network:
        network.sleep(0.1)
        if way == "node":
            network.node(101, "stepim")
        elif way == "scan":
            network.scan([101], listen_s=0.0)
        elif "asked" in way:
            network[101]
        device.emcy(0x2214, 2, now=network.clock.now())
        network.sleep(0.1)
        assert network[101].emcy.received[-1].text == "over-current"  # CiA 402: over-current in the sequence
