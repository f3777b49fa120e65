"""The emulated Analyzer, seen by somebody else's driver, and its switches that no other test needs."""

import time

import can
import pytest
from emulators.bus_model import BusModel
from emulators.pty_port import PtyPort
from emulators.usbcan_device import Stored, UsbCanDevice

from opendiag.frame import Frame


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def device(model):
    return UsbCanDevice(model, awake=True)


@pytest.fixture
def seeed(device):
    """python-can's driver for it."""
    port = PtyPort(device)
    bus = can.Bus(interface="seeedstudio", channel=port.path, bitrate=500_000)
    until(lambda: device.configured)
    yield bus
    bus.shutdown()
    port.close()


def until(condition, wait_s=2.0):
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def said(device):
    """What it says to the host from now on."""
    sent = bytearray()
    device.transmit = sent.extend
    return sent


def test_another_driver_talks_to_it(model, device, seeed):
    peer, heard = model.listener()
    peer.send(Frame(0x123, b"\x55\xaa"))
    peer.send(Frame(0x1FAA55AA, b"\xaa", extended=True))
    first, second = seeed.recv(1), seeed.recv(1)
    assert (first.arbitration_id, bytes(first.data), first.is_extended_id) == (0x123, b"\x55\xaa", False)
    assert (second.arbitration_id, bytes(second.data), second.is_extended_id) == (0x1FAA55AA, b"\xaa", True)
    seeed.send(can.Message(arbitration_id=0x1FAA55AA, data=b"\x01"))
    until(lambda: heard)
    assert (heard[0].can_id, heard[0].data, heard[0].extended) == (0x1FAA55AA, b"\x01", True)
    assert device.tap.one_shot, "as that driver asks for"


def test_a_remote_frame_without_its_bytes_swallows_the_next(model, device, seeed):
    _, heard = model.listener()
    seeed.send(can.Message(arbitration_id=0x7FF, is_remote_frame=True, dlc=8, is_extended_id=False))
    seeed.send(can.Message(arbitration_id=0x123, data=bytes(8), is_extended_id=False))
    seeed.send(can.Message(arbitration_id=0x124, data=b"", is_extended_id=False))
    until(lambda: heard)
    assert 0x123 not in {frame.can_id for frame in heard}
    assert device.rejected == 1


def test_a_wrong_checksum_configures_nothing(device):
    good = bytes.fromhex("AA 55 12 03 01 00 00 00 00 00 00 00 00 00 01 00 00 00 00 17")
    device.receive(good[:-1] + b"\x18")
    assert (device.configured, device.rejected, device.tap.bit_rate) == ([], 1, 250_000)
    device.receive(good)
    assert (device.configured, device.tap.bit_rate, device.tap.one_shot) == ([good], 500_000, True)


def test_stored_filters(model, device):
    peer, _ = model.listener(bit_rate=250_000)
    sent = said(device)
    device.receive(bytes.fromhex("AA 55 10 01 81 01 00 00 93"))
    for can_id in (0x180, 0x181):
        peer.send(Frame(can_id))
    assert bytes(sent) == bytes.fromhex("AA C0 81 01 55")
    device.receive(bytes.fromhex("AA 55 11 01 81 01 00 00 94"))
    for can_id in (0x180, 0x181):
        peer.send(Frame(can_id))
    assert bytes(sent[5:]) == bytes.fromhex("AA C0 80 01 55")
    device.receive(bytes.fromhex("AA 55 11 00 11"))
    peer.send(Frame(0x181))
    assert bytes(sent[10:]) == bytes.fromhex("AA C0 81 01 55")


def test_it_is_deaf_while_it_blinks(model):
    device = UsbCanDevice(model, blink_s=0.1, blinking=True, stored=Stored(baud=1_228_800))
    sent = said(device)
    request = bytes.fromhex("AA 55 04") + bytes(16) + b"\x04"
    device.receive(request)
    assert (device.requests, device.deaf) == (0, True)
    time.sleep(0.21)  # two blinks
    device.receive(request)
    assert bytes(sent[:3]) == b"\xaa\x55\x04"


def test_another_baud_rate_is_garbage(model):
    rate = [115_200]
    device = UsbCanDevice(model, host_baud=lambda: rate[0])
    sent = said(device)
    request = bytes.fromhex("AA 55 04") + bytes(16) + b"\x04"
    device.receive(request)
    assert device.requests == 0
    device.send_status()
    assert b"\xaa\x55" not in sent
    rate[0] = 2_000_000
    device.receive(request)
    assert device.requests == 1


def test_frame_type_one_may_mean_standard_frames_only(model):
    device = UsbCanDevice(model, awake=True, types_strict=True)
    peer, _ = model.listener(bit_rate=250_000)
    sent = said(device)
    peer.send(Frame(0x181, extended=True))
    peer.send(Frame(0x181))
    assert bytes(sent) == bytes.fromhex("AA C0 81 01 55")


def test_a_switch_that_does_not_exist(model):
    with pytest.raises(TypeError, match="no switch colour"):
        UsbCanDevice(model, colour="blue")
