"""The gs_usb driver where threads meet, requests fail once, and programs are left in the middle of something."""

import gc
import struct
import threading
import time

import can
import pytest
import usb.core
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import gs_usb_device, gs_usb_shared, usb_stream
from opendiag.adapters.bus import QueueFull
from opendiag.adapters.device_clock import DeviceClock
from opendiag.adapters.echo_slots import SLOTS, EchoSlots
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.adapters.gs_usb_codec import Layout, Request
from opendiag.adapters.gs_usb_find import find_devices
from opendiag.adapters.gs_usb_plain_codec import PlainFrames
from opendiag.frame import Frame


class Desk:
    def __init__(self):
        self.model = BusModel()
        self.peer, self.heard = self.model.listener()
        self.buses = []

    def put(self, kind="candlelight", **switches):
        self.device = GsUsbDevice(self.model, kind, **switches)
        self.backend = FakeBackend([self.device])
        self.plug = self.backend.plugs[0]
        return self

    def open(self, channel=0, **options):
        self.buses.append(GsUsbBus(channel, usb_backend=self.backend, **options))
        return self.buses[-1]

    def fail(self, request, error, after=0):
        """The request fails once, after so many that do not."""
        original, left = self.backend.ctrl_transfer, [after]

        def ctrl_transfer(handle, kind, number, *rest):
            if kind in (0x41, 0xC1) and number == request:
                left[0] -= 1
                if left[0] == -1:
                    raise error
            return original(handle, kind, number, *rest)

        self.backend.ctrl_transfer = ctrl_transfer
        return lambda: left[0] < 0

    def asked(self, request):
        return sum(entry[1] == request for entry in self.device.log)

    def close(self):
        for bus in self.buses:
            bus.shutdown()
        assert self.backend.open_handles == self.backend.claims == 0
        assert not self.device.complaints


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


def message(can_id=0x123):
    return can.Message(arbitration_id=can_id, is_extended_id=False)


def timed_out():
    return usb.core.USBTimeoutError("Operation timed out", -7, 110)


def failure_of(action):
    """Starts it in a thread: what it raised, once it has ended."""
    found = []

    def run():
        try:
            action()
            found.append(None)
        except can.CanError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def ended(timeout_s):
        thread.join(timeout_s)
        return found[0] if found else "it still waits"

    return ended


# --- requests that fail once


def test_a_question_for_the_clock_that_fails_once_does_not_end_the_adapter(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.02)
    monkeypatch.setattr(gs_usb_device, "_ANCHOR_S", 0.02)
    bus = desk.put().open()
    wait_for(desk.fail(Request.TIMESTAMP, timed_out()))
    asked = desk.asked(Request.TIMESTAMP)
    wait_for(lambda: desk.asked(Request.TIMESTAMP) > asked)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_a_question_for_the_state_that_fails_once_is_not_the_last(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.02)
    desk.put("cannectivity").open()
    wait_for(desk.fail(Request.GET_STATE, timed_out()))
    asked = desk.asked(Request.GET_STATE)
    wait_for(lambda: desk.asked(Request.GET_STATE) > asked)


@pytest.mark.parametrize("request_", [Request.DEVICE_CONFIG, Request.BT_CONST, Request.BITTIMING, Request.MODE])
def test_coming_back_may_take_two_tries(desk, request_):
    """Its own question fails, not that of looking whether it is there."""
    bus = desk.put().open(reconnect_s=10)
    desk.backend.unplug(desk.device)
    wait_for(lambda: bus.bus_state is None)
    failed = desk.fail(request_, timed_out(), after=request_ in (Request.DEVICE_CONFIG, Request.BT_CONST))
    desk.backend.replug(desk.device)
    wait_for(lambda: bus.counters["reconnects"])
    assert failed()
    time.sleep(0.1)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_a_short_answer_is_a_can_error(desk, monkeypatch):
    bus = desk.put("budgetcan").open()
    monkeypatch.setattr(usb_stream, "ask", lambda *_: (_ for _ in ()).throw(ValueError("it answered 1 bytes")))
    with pytest.raises(can.CanOperationError, match="it answered 1 bytes"):
        bus.termination()


# --- left in the middle


@pytest.mark.parametrize("request_", [Request.HOST_FORMAT, Request.DEVICE_CONFIG, Request.BITTIMING, Request.MODE])
def test_interrupted_while_opening_nothing_is_left_claimed_and_linux_has_it_again(desk, request_):
    desk.put().plug.kernel_bound = True
    desk.fail(request_, KeyboardInterrupt(), after=request_ == Request.DEVICE_CONFIG)
    with pytest.raises(KeyboardInterrupt):
        desk.open(detach_kernel_driver=True)
    assert desk.backend.open_handles == desk.backend.claims == 0
    assert desk.plug.kernel_bound


def test_transfers_on_their_way_are_taken_back_when_opening_fails(desk, monkeypatch):
    """The system writes to their memory, which nobody holds any more then."""
    done = []

    class Transfers:
        read = staticmethod(lambda timeout_ms: b"")

        def close(self):
            done.append("taken back")

    desk.put()
    monkeypatch.setattr(usb_stream, "start_transfers", lambda *_: Transfers())
    original = desk.backend.release_interface
    monkeypatch.setattr(desk.backend, "release_interface", lambda *a: (done.append("released"), original(*a)))
    desk.fail(Request.HOST_FORMAT, timed_out())
    with pytest.raises(can.CanInitializationError):
        desk.open()
    assert done[:2] == ["taken back", "released"]


def test_a_bus_that_nobody_has_any_more_is_closed(desk):
    GsUsbBus(0, usb_backend=desk.put().backend)
    gc.collect()
    wait_for(lambda: not desk.backend.open_handles)
    assert not desk.device.channels[0].started


def test_at_the_exit_of_the_program_everything_is_given_back(desk):
    """test_gs_usb_lab.py has the exit itself."""
    desk.put("budgetcan").plug.kernel_bound = True
    desk.open("0/0", detach_kernel_driver=True)
    desk.open("0/1")
    gs_usb_shared._close_all()
    assert desk.backend.open_handles == desk.backend.claims == 0
    assert desk.plug.kernel_bound
    assert not any(channel.started for channel in desk.device.channels)
    gs_usb_shared._close_all()


# --- several threads, several channels


def test_a_send_that_waits_ends_when_its_channel_is_closed_and_the_other_goes_on(desk):
    """It sent to the channel that was stopped, as soon as it had a slot."""
    desk.put("budgetcan", echo="missing")
    first, second = desk.open("0/0"), desk.open("0/1")
    ended = failure_of(lambda: [first.send(message(), timeout=5) for _ in range(SLOTS + 1)])
    wait_for(lambda: len(desk.heard) == SLOTS)
    first.shutdown()
    assert "is closed" in str(ended(0.5))
    second.send(message())


def test_a_send_does_not_wait_for_that_of_the_other_channel(desk):
    desk.put("budgetcan")
    first, second = desk.open("0/0"), desk.open("0/1")
    desk.device.bulk_out = lambda data: False
    ended = failure_of(lambda: first.send(message(), timeout=1.5))
    time.sleep(0.1)
    began = time.monotonic()
    with pytest.raises(QueueFull):
        second.send(message(), timeout=0.1)
    assert time.monotonic() - began < 0.5
    assert isinstance(ended(3), QueueFull)


def test_closing_does_not_wait_for_a_send_that_waits(desk):
    bus = desk.put().open()
    desk.device.bulk_out = lambda data: False
    ended = failure_of(lambda: bus.send(message(), timeout=4))
    time.sleep(0.1)
    began = time.monotonic()
    bus.shutdown()
    assert time.monotonic() - began < 1.0
    assert isinstance(ended(0.5), can.CanOperationError)


def test_a_frame_of_which_only_a_part_was_taken_is_an_error(desk):
    bus = desk.put("candlelight_fd").open(data_bitrate=2_000_000)
    original, desk.backend.bulk_write = desk.backend.bulk_write, lambda *_: 64
    with pytest.raises(can.CanOperationError, match="took 64 of the 76 bytes"):
        bus.send(message())
    desk.backend.bulk_write = original
    for _ in range(2 * SLOTS):
        bus.send(message())


def test_an_adapter_for_which_nobody_waits_any_more_is_not_claimed_again(desk):
    desk.put("budgetcan")
    first, second = desk.open("0/0", reconnect_s=60), desk.open("0/1")
    first.shutdown()
    desk.backend.unplug(desk.device)
    with pytest.raises(can.CanOperationError):
        second.recv(1)
    desk.backend.replug(desk.device)
    time.sleep(0.6)
    assert desk.backend.claims == 0


def test_the_clock_belongs_to_the_reader_once_it_runs(desk, monkeypatch):
    used_by = []
    original = DeviceClock._unwrap

    def spy(clock, *numbers):
        used_by.append(threading.current_thread().name)
        return original(clock, *numbers)

    monkeypatch.setattr(DeviceClock, "_unwrap", spy)
    desk.put("budgetcan").open("0/0")
    assert used_by[0] == "MainThread"
    used_by.clear()
    desk.open("0/1")
    assert "MainThread" not in used_by


def test_a_sender_that_slept_while_the_adapter_came_back_takes_no_slot_of_the_new_session():
    slots = EchoSlots("it", bit_rate=1000)
    for _ in range(SLOTS):
        slots.confirm(slots.take(Frame(1), 1))
    ended = failure_of(lambda: slots.take(Frame(1), 10))
    time.sleep(0.02)
    slots.reset()
    assert isinstance(ended(2), QueueFull)
    slots._ready_at = [0.0] * SLOTS
    assert sorted(slots.take(Frame(1), 0) for _ in range(SLOTS)) == list(range(SLOTS))


# --- times and options


def test_where_the_clock_is_always_zero_the_time_is_the_hosts():
    """Each frame within 0.1 s had the time of the first."""
    clock = DeviceClock(1000, 1 << 32)
    frames = PlainFrames([Layout(True)], lambda us, now_ns: clock.time_ns(us, now_ns) if us else now_ns)
    data = struct.pack("<IIBBBB8sI", 0xFFFFFFFF, 0x77, 0, 0, 0, 0, b"", 0)
    assert [frames.read(data, now_ns)[1].time_ns for now_ns in (10**9, 10**9 + 20, 10**9 + 50)] == [
        10**9,
        10**9 + 20,
        10**9 + 50,
    ]


@pytest.mark.parametrize("option", ["bitrate", "data_bitrate", "sample_point", "data_sample_point", "reconnect_s"])
def test_options_that_are_no_numbers_are_refused(desk, option):
    with pytest.raises(can.CanInitializationError, match=f"{option} is 'fast'"):
        desk.put("candlelight_fd").open(**({"data_bitrate": 2_000_000} | {option: "fast"}))
    assert not desk.asked(Request.MODE)


def test_options_may_be_text_as_in_a_file_of_settings(desk):
    options = {"bitrate": "250000", "sample_point": "0.875", "reconnect_s": "5"}
    assert desk.put().open(**options).timing.bit_rate == 250_000


def test_both_channels_where_a_device_can_be_opened_only_once(desk, monkeypatch):
    """WinUSB refuses a second handle, to the same program too; looking for the adapter takes one."""
    desk.put("budgetcan")
    original = desk.backend.open_device

    def open_device(plug):
        if desk.backend.open_handles:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, None)
        return original(plug)

    monkeypatch.setattr(desk.backend, "open_device", open_device)
    first, second = desk.open("0/0"), desk.open(f"{desk.device.kind.serial}/1")
    assert second.info.path == first.info.path
    (found,) = find_devices(desk.backend)
    assert found.channels == 2 and found.accessible
    desk.peer.send(Frame(0x77))
    assert first.recv(1).arbitration_id == second.recv(1).arbitration_id == 0x77
    first.shutdown()
    second.shutdown()
    desk.plug.denied = True
    assert not find_devices(desk.backend)[0].accessible
