"""An urgent transfer goes before the others: a quick stop must not wait behind somebody's upload."""

import pytest

import opendiag
from opendiag.errors import SdoCancelled, SdoTimeout
from opendiag.master.clock import ManualClock
from opendiag.services.plans import SdoWrite
from opendiag.services.sdo_client import URGENT_DATA_S, URGENT_S
from opendiag.simulate.bus import SimBus
from opendiag.simulate.stepim import StepIM

NODE = 101


@pytest.fixture
def drive():
    return StepIM(NODE, sdo_latency_s=0.002)


@pytest.fixture
def network(drive):
    bus = SimBus(125_000)
    bus.attach(drive, "drive")
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


def stop():
    yield SdoWrite(NODE, 0x6040, 0, b"\2\0", 0.1, urgent=True)


def test_a_long_transfer_gives_way_and_the_urgent_one_is_done_soon(network):
    # 2 kB in segments, at 2 ms for each answer and 125 kbit/s: more than a second.
    long = network[NODE].begin_download(0x1F50, 1, bytes(2000))
    waiting = network[NODE].begin_upload(0x1000)
    network.sleep(0.005)
    began = network.clock.now()
    network.run(stop())
    assert network.clock.now() - began < URGENT_S + 0.06
    assert waiting.result() == b"\x92\x01\2\0", "those behind it are not harmed"
    if long.transfer.error is not None:
        assert not isinstance(long.transfer.error, SdoCancelled) or long.done


def test_a_silent_node_s_time_out_is_not_waited_for(network, drive):
    """The transfer before it would wait for half a second."""
    held = network[9].begin_upload(0x1000)
    dead = network[9].begin_download(0x6040, 0, b"\2\0", timeout_s=0.05, urgent=True)
    began = network.clock.now()
    with pytest.raises(SdoTimeout):
        dead.result()
    assert network.clock.now() - began < 0.2
    with pytest.raises(SdoCancelled):
        held.result()


def test_urgent_ones_keep_their_order_and_a_quick_one_under_way_is_not_cancelled(network):
    node = network[NODE]
    short = node.begin_upload(0x1000)
    order = [node.begin_upload(0x1018, 1), node.begin_upload(0x1018, 2)]
    urgent = [node.begin_upload(0x1018, sub, urgent=True) for sub in (3, 4)]
    network.sleep(0.5)
    assert short.result() == b"\x92\x01\2\0"
    times = {name: pending.transfer.done_at for name, pending in zip("abcde", [short, *order, *urgent], strict=True)}
    assert sorted(times, key=times.get) == ["a", "d", "e", "b", "c"]


@pytest.mark.parametrize("block", [True, False])
def test_a_quick_stop_is_on_the_wire_within_milliseconds_whatever_is_being_read(network, drive, block):
    """No wait for the end of the data, and none for the line to become quiet after the abort."""
    read = drive.store.read
    drive.store.read = lambda index, sub, now: bytes(100_000) if index == 0x1008 else read(index, sub, now)
    long = network[NODE].begin_upload(0x1008, block=block)
    network.sleep(0.1)
    assert not long.done
    frames = network.frames()
    began = network.clock.now()
    running = network.begin(stop())
    while not any(frame.data[:5] == b"\x2b\x40\x60\x00\x02" for frame in iter(lambda: frames.get(0), None)):
        network.sleep(0.0005)
        assert network.clock.now() - began < URGENT_DATA_S + 0.003
    running.wait()
    running.result()
    assert network.clock.now() - began < 0.2, "a sub-block that is in the drive already comes first"
    with pytest.raises(SdoCancelled):
        long.result()
    assert network[NODE].upload(0x1000) == b"\x92\x01\2\0"
