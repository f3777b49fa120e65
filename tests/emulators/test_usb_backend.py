"""The fake USB: pyusb and other people's gs_usb drivers use it as they use libusb."""

import errno
import threading
import time
from unittest import mock

import can
import pytest
import usb.core
import usb.util
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend
from gs_usb.gs_usb import GsUsb
from gs_usb.gs_usb_frame import GsUsbFrame
from usb.backend import libusb1

from opendiag.frame import Frame


@pytest.fixture
def model():
    return BusModel()


def found(backend):
    return list(usb.core.find(find_all=True, backend=backend))


def test_identity_ports_and_endpoints(model):
    backend = FakeBackend([GsUsbDevice(model, "pro"), GsUsbDevice(model, "pro"), GsUsbDevice(model)])
    devices = found(backend)
    assert [device.port_numbers for device in devices] == [(1, 1), (1, 2), (1, 3)]
    assert len({device.address for device in devices}) == 3
    pro, _, candlelight = devices
    assert (pro.manufacturer, pro.product, pro.serial_number) == ("LinkLayer Labs", "CANtact Pro", None)
    assert len(candlelight.serial_number) == 24
    assert [(end.bEndpointAddress, end.wMaxPacketSize) for end in pro[0][(0, 0)]] == [(0x81, 512), (0x02, 512)]
    assert [interface.bInterfaceClass for interface in candlelight[0]] == [0xFF, 0xFE]
    assert pro.speed == usb.util.SPEED_HIGH


def test_other_peoples_driver_sends_and_receives(model):
    """PyPI's gs_usb: its request sizes, layouts and flags are an opinion that is not ours."""
    peer, heard = model.listener()
    device = GsUsbDevice(model)
    backend = FakeBackend([device])
    with mock.patch.object(libusb1, "get_backend", return_value=backend):
        (theirs,) = GsUsb.scan()
    assert theirs.device_capability.fclk_can == 48_000_000
    assert theirs.device_info.icount == 0
    assert theirs.set_bitrate(500_000)
    theirs.start()
    theirs.send(GsUsbFrame(can_id=0x123, data=b"\x11\x22"))
    assert heard == [Frame(0x123, b"\x11\x22")]
    peer.send(Frame(0x1F334455, b"\x01\x02\x03", extended=True))
    echo, got = GsUsbFrame(), GsUsbFrame()
    assert theirs.read(echo, 100)
    assert theirs.read(got, 100)
    assert (echo.echo_id, got.arbitration_id, got.is_extended_id, got.data[:3]) == (0, 0x1F334455, True, [1, 2, 3])
    assert not theirs.read(got, 1)
    theirs.stop()
    assert not device.channels[0].started
    assert backend.plugs[0].resets == 1


def test_python_cans_own_driver_runs_on_it(model):
    peer, heard = model.listener()
    device = GsUsbDevice(model)
    with mock.patch.object(libusb1, "get_backend", return_value=FakeBackend([device])):
        bus = can.Bus(interface="gs_usb", channel=0, bitrate=500_000)
        try:
            peer.send(Frame(0x55, b"\x01"))
            assert bus.recv(1).arbitration_id == 0x55
            bus.send(can.Message(arbitration_id=0x66, is_extended_id=False))
            assert heard == [Frame(0x66)]
        finally:
            bus.shutdown()


@pytest.mark.parametrize(("system", "number"), [("linux", 110), ("macos", 60), ("windows", 10060)])
def test_silence_is_a_timeout_of_the_system(model, system, number):
    (device,) = found(FakeBackend([GsUsbDevice(model)], system=system))
    start = time.monotonic()
    with pytest.raises(usb.core.USBTimeoutError) as caught:
        device.read(0x81, 512, 50)
    assert caught.value.errno == number
    assert 0.04 < time.monotonic() - start < 1


@pytest.mark.parametrize("where", ["read", "write", "control"])
def test_unplugged_is_no_timeout(model, where):
    emulated = GsUsbDevice(model)
    backend = FakeBackend([emulated])
    (device,) = found(backend)
    usb.util.claim_interface(device, 0)
    failures = []

    def use():
        try:
            if where == "read":
                device.read(0x81, 512, 5000)
            while True:
                _ = device.write(0x02, bytes(20)) if where == "write" else device.ctrl_transfer(0xC1, 5, 1, 0, 12)
        except usb.core.USBError as error:
            failures.append((error.errno, error.backend_error_code, time.monotonic()))

    user = threading.Thread(target=use)
    user.start()
    time.sleep(0.05)
    pulled = time.monotonic()
    backend.unplug(emulated)
    user.join(3)
    assert failures[0][:2] == (errno.ENODEV, -4)
    assert failures[0][2] - pulled < 0.5
    assert found(backend) == []
    usb.util.dispose_resources(device)
    assert (backend.open_handles, backend.claims) == (0, 0)


def test_after_replugging_the_old_object_stays_dead_and_the_address_is_new(model):
    emulated = GsUsbDevice(model)
    backend = FakeBackend([emulated])
    (old,) = found(backend)
    backend.unplug(emulated)
    backend.replug(emulated)
    (new,) = found(backend)
    assert new.address != old.address
    assert new.port_numbers == old.port_numbers
    assert len(new.ctrl_transfer(0xC1, 5, 1, 0, 12)) == 12
    with pytest.raises(usb.core.USBError) as caught:
        old.ctrl_transfer(0xC1, 5, 1, 0, 12)
    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize(("switch", "number"), [("denied", errno.EACCES), ("vanishes", errno.ENODEV)])
def test_opening_fails(model, switch, number):
    emulated = GsUsbDevice(model)
    backend = FakeBackend([emulated])
    setattr(backend.plug_of(emulated), switch, True)
    (device,) = found(backend)
    with pytest.raises(usb.core.USBError) as caught:
        device.ctrl_transfer(0xC1, 5, 1, 0, 12)
    assert caught.value.errno == number


def test_a_second_claim_is_refused_until_the_first_is_released(model):
    backend = FakeBackend([GsUsbDevice(model)])
    first, second = found(backend)[0], found(backend)[0]
    usb.util.claim_interface(first, 0)
    with pytest.raises(usb.core.USBError) as caught:
        usb.util.claim_interface(second, 0)
    assert caught.value.errno == errno.EBUSY
    usb.util.dispose_resources(first)
    usb.util.claim_interface(second, 0)


def test_the_kernels_driver_has_it_until_it_is_detached_and_answers_requests_meanwhile(model):
    emulated = GsUsbDevice(model)
    backend = FakeBackend([emulated], kernel_bound=True, readdress_on_attach=True)
    (device,) = found(backend)
    assert device.is_kernel_driver_active(0)
    assert len(device.ctrl_transfer(0xC1, 5, 1, 0, 12)) == 12
    with pytest.raises(usb.core.USBError) as caught:
        usb.util.claim_interface(device, 0)
    assert caught.value.errno == errno.EBUSY
    device.detach_kernel_driver(0)
    usb.util.claim_interface(device, 0)
    usb.util.release_interface(device, 0)
    device.attach_kernel_driver(0)
    assert backend.plug_of(emulated).kernel_bound
    with pytest.raises(usb.core.USBError) as caught:
        device.ctrl_transfer(0xC1, 5, 1, 0, 12)
    assert caught.value.errno == errno.ENODEV


def test_windows_knows_nothing_of_kernel_drivers(model):
    (device,) = found(FakeBackend([GsUsbDevice(model)], system="windows"))
    for ask in (device.is_kernel_driver_active, device.detach_kernel_driver):
        with pytest.raises(NotImplementedError):
            ask(0)


def test_a_stall_is_errno_32(model):
    (device,) = found(FakeBackend([GsUsbDevice(model)]))
    with pytest.raises(usb.core.USBError) as caught:
        device.ctrl_transfer(0xC1, 11, 0, 0, 72)
    assert (caught.value.errno, caught.value.backend_error_code) == (errno.EPIPE, -9)


def test_a_full_device_lets_the_writer_wait_and_time_out(model):
    emulated = GsUsbDevice(model, "cannectivity")
    (device,) = found(FakeBackend([emulated]))
    with pytest.raises(usb.core.USBTimeoutError):
        device.write(0x01, bytes(20), 20)  # the endpoint that older firmware does not serve
    assert emulated.outs == type(emulated.outs)()
    assert device.write(0x02, bytes(20), 20) == 20


def test_too_small_a_buffer_overflows(model):
    emulated = GsUsbDevice(model)
    (device,) = found(FakeBackend([emulated]))
    emulated.inject(bytes(24))
    with pytest.raises(usb.core.USBError) as caught:
        device.read(0x81, 20, 20)
    assert caught.value.errno == errno.EOVERFLOW
