"""The gs_usb driver when the plug is pulled: while reading, writing and asking, and when it comes back."""

import threading
import time

import can
import pytest
import usb.core
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import gs_usb_device
from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.frame import Frame

LIMIT_S = 1.0


class Desk:
    def __init__(self):
        self.model = BusModel()
        self.peer, self.heard = self.model.listener()
        self.buses = []

    def open(self, kind="candlelight", channel=0, options=None, **switches):
        self.device = GsUsbDevice(self.model, kind, **switches)
        self.backend = FakeBackend([self.device])
        return self.again(channel, **(options or {}))

    def again(self, channel=0, **options):
        self.buses.append(GsUsbBus(channel, usb_backend=self.backend, **options))
        return self.buses[-1]

    def pull(self):
        self.backend.unplug(self.device)

    def close(self):
        for bus in self.buses:
            bus.shutdown()
        assert self.backend.open_handles == self.backend.claims == 0
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("opendiag")]


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


def wait_for(condition, timeout_s=3.0):
    until = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)
    return result


def message(number=0):
    return can.Message(arbitration_id=0x123, data=number.to_bytes(8, "big"), is_extended_id=False)


def later(action, after_s=0.05):
    timer = threading.Timer(after_s, action)
    timer.start()
    return timer


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_pulled_while_reading_raises_within_a_second(desk, timeout):
    """The gs_usb package takes every USB error for silence: recv gives None for ever."""
    bus = desk.open()
    timer = later(desk.pull)
    began = time.monotonic()
    with pytest.raises(Unplugged, match=r"candleLight at USB 1-1\.1 is gone: unplugged") as caught:
        bus.recv(timeout)
    assert time.monotonic() - began < LIMIT_S
    assert caught.value.error_code == 19
    timer.join()


def test_frames_from_before_are_received_first_and_then_it_raises_for_ever(desk):
    bus = desk.open()
    for number in range(5):
        desk.peer.send(Frame(number))
    wait_for(lambda: not len(desk.device.pipe))
    desk.pull()
    assert [bus.recv(1).arbitration_id for _ in range(5)] == list(range(5))
    for timeout in (1, 0, 0):
        with pytest.raises(Unplugged):
            bus.recv(timeout)
    with pytest.raises(Unplugged):
        bus.send(message())


def test_a_pulled_adapter_costs_no_processor_time(desk):
    """python-can's driver makes some 200 000 failing USB calls a second."""
    bus = desk.open()
    desk.pull()
    with pytest.raises(Unplugged):
        bus.recv(1)
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.1


def test_pulled_while_writing_raises_within_a_second(desk):
    bus = desk.open(stuck_after=1)
    desk.device.channels[0].unacknowledged = 1
    timer = later(desk.pull)
    began = time.monotonic()
    with pytest.raises(Unplugged):
        bus.send(message(), timeout=5)
    assert time.monotonic() - began < LIMIT_S
    timer.join()


def test_pulled_while_waiting_for_a_slot_raises_within_a_second(desk):
    bus = desk.open(echo="missing")
    for number in range(10):
        bus.send(message(number))
    timer = later(desk.pull)
    began = time.monotonic()
    with pytest.raises(Unplugged):
        bus.send(message(), timeout=1.9)
    assert time.monotonic() - began < LIMIT_S
    timer.join()


def test_pulled_before_a_request_raises_at_once(desk):
    bus = desk.open("cannectivity")
    desk.pull()
    for request in (lambda: bus.identify(True), bus.termination):
        with pytest.raises(can.CanOperationError, match=r"gone|closed"):
            request()


def test_pulled_while_the_state_is_asked_for(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.0)
    bus = desk.open("cannectivity")
    time.sleep(0.15)
    desk.pull()
    with pytest.raises(Unplugged):
        bus.recv(1)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
def test_pulled_at_any_request_of_opening_is_an_initialization_error(desk, monkeypatch, at):
    desk.device = GsUsbDevice(desk.model, "cannectivity")
    desk.backend = FakeBackend([desk.device])
    original, count = desk.device.control, []

    def control(*arguments):
        if arguments[0] & 0x60 == 0x40:
            count.append(arguments)
            if len(count) == at:
                desk.pull()
        return original(*arguments)

    monkeypatch.setattr(desk.device, "control", control)
    with pytest.raises(can.CanError) as caught:
        desk.again(data_bitrate=2_000_000).recv(1)
    assert isinstance(caught.value, (can.CanInitializationError, Unplugged))
    assert len(count) == at or at > 11


def test_both_channels_learn_of_it(desk):
    first, second = desk.open("pro", "0/0"), desk.again("0/1")
    desk.pull()
    for bus in (first, second):
        with pytest.raises(Unplugged):
            bus.recv(1)
    first.shutdown()
    with pytest.raises(Unplugged):
        second.recv(0)


def test_after_a_pull_it_can_be_opened_anew_while_the_old_bus_is_still_there(desk):
    old = desk.open()
    desk.pull()
    with pytest.raises(Unplugged):
        old.recv(1)
    desk.backend.replug(desk.device)
    new = desk.again()
    old.shutdown()
    desk.peer.send(Frame(0x77))
    assert new.recv(1).arbitration_id == 0x77


def test_errors_that_do_not_end_are_taken_for_unplugged(desk, monkeypatch):
    """Windows has other errors than "no device" for a device that was pulled."""
    bus = desk.open()

    def pop(*arguments):
        raise usb.core.USBError("Input/Output Error", -1, 5)

    began = time.process_time()
    monkeypatch.setattr(desk.device.pipe, "pop", pop)
    with pytest.raises(Unplugged, match="cannot be read any more"):
        bus.recv(2)
    assert time.process_time() - began < 0.3


# --- coming back


def test_it_comes_back_with_the_same_settings_at_another_address(desk):
    options = {"reconnect_s": 5.0, "bitrate": 250_000, "one_shot": True}
    bus = desk.open(options=options)
    before = [entry for entry in desk.device.log if entry[1] in (1, 2)][-2:]
    desk.pull()
    assert bus.recv(0.1) is None
    with pytest.raises(can.CanOperationError, match="it is looked for") as caught:
        bus.send(message())
    assert caught.value.error_code == 100
    assert not isinstance(caught.value, Unplugged)
    desk.device.log.clear()
    desk.backend.replug(desk.device)
    wait_for(lambda: bus.counters["reconnects"] == 1)
    assert [entry for entry in desk.device.log if entry[1] in (1, 2)][-2:] == before
    other, heard = desk.model.listener("other", bit_rate=250_000)
    desk.model.detach(desk.peer)
    bus.send(message(7))
    wait_for(lambda: heard)
    other.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77
    assert "adapter-reconnected" in [finding.code for finding in bus.findings()]


def test_both_channels_come_back(desk):
    buses = [
        desk.open("pro", "0/0", {"reconnect_s": 5.0, "data_bitrate": 2_000_000}),
        desk.again("0/1", reconnect_s=5.0),
    ]
    desk.pull()
    time.sleep(0.1)
    desk.backend.replug(desk.device)
    for bus in buses:
        wait_for(lambda bus=bus: bus.counters["reconnects"] == 1)
    assert [channel.flags for channel in desk.device.channels] == [0x100, 0]
    desk.peer.send(Frame(0x77))
    assert [bus.recv(1).arbitration_id for bus in buses] == [0x77, 0x77]


def test_a_channel_that_does_not_wait_fails_and_the_other_comes_back(desk):
    patient = desk.open("pro", "0/0", {"reconnect_s": 5.0})
    other = desk.again("0/1")
    desk.pull()
    with pytest.raises(Unplugged):
        other.recv(1)
    assert patient.recv(0) is None
    desk.backend.replug(desk.device)
    wait_for(lambda: patient.counters["reconnects"] == 1)
    assert [channel.started for channel in desk.device.channels] == [True, False]
    desk.peer.send(Frame(0x77))
    assert patient.recv(1).arbitration_id == 0x77


def test_with_a_serial_number_it_may_come_back_at_another_place(desk):
    bus = desk.open(options={"reconnect_s": 5.0})
    desk.pull()
    desk.backend.replug(desk.device, (3, 4))
    wait_for(lambda: bus.counters["reconnects"] == 1)
    assert bus.info.path == "1-3.4"
    bus.send(message())
    wait_for(lambda: desk.heard)


def test_without_a_serial_number_only_the_same_place_will_do(desk):
    bus = desk.open("pro", options={"reconnect_s": 0.8})
    desk.pull()
    desk.backend.replug(desk.device, (3, 4))
    with pytest.raises(Unplugged):
        bus.recv(3)
    assert not any(channel.started for channel in desk.device.channels)


def test_another_adapter_at_the_same_place_is_not_taken(desk):
    bus = desk.open("candlelight", options={"reconnect_s": 0.8})
    desk.pull()
    other = GsUsbDevice(desk.model, "candlelight", serial="ANOTHER")
    desk.backend.plug(other, (1, 1))
    with pytest.raises(Unplugged):
        bus.recv(3)
    assert not other.channels[0].started


def test_it_is_looked_for_no_longer_than_asked(desk):
    bus = desk.open(options={"reconnect_s": 0.4})
    desk.pull()
    began = time.monotonic()
    with pytest.raises(Unplugged):
        bus.recv(None)
    assert 0.2 < time.monotonic() - began < 1.4


def test_looking_for_it_costs_little_processor_time_and_ends_with_shutdown(desk):
    bus = desk.open(options={"reconnect_s": 60.0})
    desk.pull()
    began = time.process_time()
    time.sleep(0.6)
    assert time.process_time() - began < 0.15
    began = time.monotonic()
    bus.shutdown()
    assert time.monotonic() - began < 1.0


def test_slots_are_free_again_after_it_came_back(desk):
    bus = desk.open(options={"reconnect_s": 5.0}, echo="missing")
    for number in range(10):
        bus.send(message(number))
    with pytest.raises(QueueFull):
        bus.send(message(), timeout=0.05)
    desk.pull()
    desk.backend.replug(desk.device)
    wait_for(lambda: bus.counters["reconnects"] == 1)
    for number in range(10):
        bus.send(message(number), timeout=0.1)


def test_it_comes_back_while_linux_takes_it_first(desk):
    """Plugged in again, Linux's driver binds it at once: it is detached again, as it was asked for."""
    desk.device = GsUsbDevice(desk.model, "candlelight")
    desk.backend = FakeBackend([desk.device], kernel_bound=True)
    bus = desk.again(reconnect_s=5.0, detach_kernel_driver=True)
    desk.pull()
    time.sleep(0.1)
    desk.backend.replug(desk.device).kernel_bound = True
    wait_for(lambda: bus.counters["reconnects"] == 1)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77
    bus.shutdown()
    assert desk.backend.plug_of(desk.device).kernel_bound
