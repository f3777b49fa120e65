"""The gs_usb driver while frames go: echoes and slots, timestamps, errors, old frames."""

import struct
import threading
import time

import can
import pytest
import usb.core
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import echo_slots, gs_usb_device
from opendiag.adapters.bus import QueueFull
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.frame import Frame

FROM_BUS = 0xFFFFFFFF
OVERFLOW = 1


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

    def transfer(self, can_id=0x123, data=b"", stamp=None, echo_id=FROM_BUS, flags=0, channel=0):
        frame = struct.pack("<IIBBBB", echo_id, can_id, len(data), channel, flags, 0) + data.ljust(8, b"\0")
        return frame if stamp is None else frame + struct.pack("<I", stamp & 0xFFFFFFFF)

    def inject(self, *transfers):
        self.device.pipe.inject(*transfers)

    def error(self, can_id, d1=0, d2=0, tx=0, rx=0):
        self.device.channels[0].error_frame(can_id, d1, d2, tx, rx)

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


def message(number=0, can_id=0x123):
    return can.Message(arbitration_id=can_id, data=number.to_bytes(8, "big"), is_extended_id=False)


def echo_ids(desk):
    return [struct.unpack_from("<I", out)[0] for out in desk.device.outs]


# --- echoes


def test_echo_ids_go_from_0_to_9_and_are_used_in_turn(desk):
    """The gs_usb package sends 0 every time, and so cannot tell its frames apart."""
    bus = desk.open()
    for number in range(25):
        bus.send(message(number))
    assert all(0 <= echo_id <= 9 for echo_id in echo_ids(desk))
    assert len(set(echo_ids(desk)[:10])) == 10


def test_each_channel_has_its_own_slots(desk):
    desk.open("budgetcan", "0/0", echo="missing")
    other = desk.again("0/1")
    for bus in desk.buses:
        for number in range(10):
            bus.send(message(number))
    assert sorted(echo_ids(desk)) == sorted([*range(10)] * 2)
    assert other.counters["echo_timeouts"] == 0


@pytest.mark.parametrize("kind", ["candlelight", "cannectivity", "pro"])
def test_own_frames_are_ours_as_we_sent_them(desk, kind):
    """CANnectivity's echo has neither identifier nor data: what we sent is what is received."""
    bus = desk.open(kind, options={"receive_own_messages": True}, lifo=False)
    sent = [
        can.Message(arbitration_id=0x1ABCDEF, data=b"12345"),
        can.Message(arbitration_id=0x7FF, is_extended_id=False, is_remote_frame=True, dlc=4),
        can.Message(arbitration_id=1, is_extended_id=False, data=b"87654321"),
    ]
    before = time.time()
    for one in sent:
        bus.send(one)
    for one in sent:
        got = bus.recv(1)
        assert got.equals(one, timestamp_delta=None, check_direction=False, check_channel=False)
        assert not got.is_rx
        assert before - 0.1 <= got.timestamp <= time.time()


def test_own_frames_are_not_received_unless_asked_for(desk):
    """python-can's driver always delivers them: two buses bridged with it send one frame for ever."""
    bus = desk.open()
    bus.send(message())
    wait_for(lambda: desk.heard)
    assert bus.recv(0.05) is None


def test_a_program_that_only_sends_never_stalls(desk):
    """Echoes are taken by the reader's thread, so nobody has to receive."""
    bus = desk.open()
    for number in range(200):
        bus.send(message(number), timeout=0.2)
    wait_for(lambda: len(desk.heard) == 200)


def test_without_a_free_slot_send_waits_and_then_says_that_nobody_acknowledges(desk):
    bus = desk.open("candlelight", mailboxes=3)
    desk.model.detach(desk.peer)
    for _ in range(10 + 2):  # three are in mailboxes, which is when this firmware echoes
        bus.send(message(), timeout=0.1)
    with pytest.raises(QueueFull, match="nobody acknowledges them") as caught:
        for number in range(5):
            began = time.monotonic()
            bus.send(message(number), timeout=0.2)
    assert 0.15 < time.monotonic() - began < 1.0
    assert caught.value.error_code == 105
    wait_for(lambda: [f.code for f in bus.findings() if f.code == "adapter-no-acknowledge"])


def test_a_slot_becomes_free_while_send_waits(desk):
    bus = desk.open("cannectivity")
    desk.model.detach(desk.peer)
    for _ in range(10):
        bus.send(message())
    timer = threading.Timer(0.1, desk.model.start, [desk.peer])
    desk.model.taps.append(desk.peer)
    timer.start()
    bus.send(message(11), timeout=2)
    wait_for(lambda: len(desk.heard) == 11)
    timer.join()
    assert bus.counters["echo_timeouts"] == 0


def test_an_echo_that_one_frame_never_gets_is_given_up_and_counted(desk, monkeypatch):
    """On CANnectivity a frame that could not be sent has no echo: its slot is free after others got theirs."""
    monkeypatch.setattr(echo_slots, "LOST_S", 0.05)
    bus = desk.open()
    desk.device.behaviour.echo = "missing"
    for number in range(3):
        bus.send(message(number))
    desk.device.behaviour.echo = "queued"
    for number in range(40):
        bus.send(message(number))
        time.sleep(0.003)
    desk.device.behaviour.echo = "missing"
    for number in range(7):
        bus.send(message(number))
    for number in range(3):
        bus.send(message(number), timeout=0.5)
    assert bus.counters["echo_timeouts"] == 3
    (finding,) = [f for f in bus.findings() if f.code == "adapter-echo-timeout"]
    assert "did not confirm 3 frames" in finding.sentence


def test_an_adapter_that_is_stuck_gets_no_flood_of_frames(desk, monkeypatch):
    """Old candleLight firmware hangs for good after very many frames that nobody acknowledged."""
    monkeypatch.setattr(echo_slots, "STUCK_S", 0.1)
    bus = desk.open(echo="missing")
    for number in range(10):
        bus.send(message(number))
    began, sent = time.monotonic(), 0
    while time.monotonic() < began + 0.55:
        try:
            bus.send(message(), timeout=0.01)
            sent += 1
        except QueueFull:
            pass
    assert 3 <= sent <= 6
    assert bus.counters["echo_timeouts"] == sent


@pytest.mark.parametrize("fault", ["twice", "out of range"])
def test_echoes_that_nobody_waits_for_are_counted(desk, fault):
    bus = desk.open(options={"receive_own_messages": True}, echo=fault)
    bus.send(message(5))
    wait_for(lambda: bus.counters["unexpected_echoes"] == 1)
    got = [bus.recv(0.1), bus.recv(0.05)]
    assert [one is not None for one in got] == [fault == "twice", False]
    assert "adapter-malformed" in [finding.code for finding in bus.findings()]
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_a_channel_that_does_not_exist_is_counted_and_survived(desk):
    """Linux's driver detaches the device for it."""
    bus = desk.open(echo="wrong channel")
    bus.send(message())
    wait_for(lambda: bus.counters["unknown_channel"] == 1)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_an_out_endpoint_that_takes_nothing_is_queue_full_and_the_slot_is_free_again(desk):
    bus = desk.open(stuck_after=1, pool=1, mailboxes=1)
    desk.device.channels[0].unacknowledged = 1
    for _ in range(20):
        with pytest.raises(QueueFull, match="its memory is full"):
            bus.send(message(), timeout=0.01)
    desk.device.behaviour.stuck_after = 0
    bus.send(message())
    wait_for(lambda: desk.heard)


def test_a_timeout_of_zero_is_not_for_ever(desk):
    """libusb waits for ever when it is told to wait 0 ms."""
    bus = desk.open(stuck_after=1)
    desk.device.channels[0].unacknowledged = 1
    began = time.monotonic()
    with pytest.raises(QueueFull):
        bus.send(message(), timeout=0)
    assert time.monotonic() - began < 0.5


def test_receiving_for_less_than_a_millisecond_is_not_for_ever(desk):
    """python-can's driver rounds to 0 ms, which libusb takes for no limit."""
    bus = desk.open()
    began = time.monotonic()
    assert bus.recv(0.0004) is None
    assert time.monotonic() - began < 0.2


@pytest.mark.parametrize(
    "wrong",
    [
        can.Message(arbitration_id=1, is_extended_id=False, is_fd=True, data=bytes(12)),
        can.Message(arbitration_id=1, is_error_frame=True),
        can.Message(arbitration_id=0x800, is_extended_id=False),
    ],
)
def test_what_cannot_be_sent_is_refused_and_takes_no_slot(desk, wrong):
    bus = desk.open(echo="missing")
    for _ in range(12):
        with pytest.raises(can.CanOperationError):
            bus.send(wrong)
    assert not desk.device.outs
    for number in range(10):
        bus.send(message(number), timeout=0.1)


def test_the_callers_message_is_not_padded(desk):
    bus = desk.open()
    short = can.Message(arbitration_id=1, data=b"ab", is_extended_id=False)
    bus.send(short)
    assert (bytes(short.data), short.dlc) == (b"ab", 2)


# --- what comes in


def test_padded_and_joined_frames_in_one_transfer_are_all_received(desk):
    """The gs_usb package unpacks exactly 20 or 24 bytes, and ends in struct.error."""
    bus = desk.open(timestamp_start=0, feature=0x3)
    desk.inject(b"".join(desk.transfer(0x100 + n, b"abc").ljust(32, b"\0") for n in range(5)) + desk.transfer(0x105))
    assert [bus.recv(1).arbitration_id for _ in range(6)] == [0x100 + n for n in range(6)]


def test_short_transfers_are_counted_and_what_follows_is_received(desk):
    bus = desk.open(feature=0x3)
    desk.inject(b"\xff\xff\xff\xff\x01", desk.transfer(0x10, b"12345678")[:19], desk.transfer(0x11))
    assert bus.recv(1).arbitration_id == 0x11
    assert bus.counters["short"] == 2


def test_a_read_that_fails_once_is_not_the_end(desk, monkeypatch):
    bus = desk.open()
    original, failing = desk.device.pipe.pop, [(-8, 75), (-9, 32), (-1, 5)]

    def pop(*arguments):
        if failing:
            raise usb.core.USBError("failed", *failing.pop())
        return original(*arguments)

    monkeypatch.setattr(desk.device.pipe, "pop", pop)
    wait_for(lambda: not failing)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77
    assert bus.counters["read_errors"] == 3


def test_the_overflow_flag_is_counted_and_reported(desk):
    bus = desk.open(feature=0x3)
    desk.inject(desk.transfer(0x10, flags=OVERFLOW))
    assert bus.recv(1).arbitration_id == 0x10
    assert bus.counters["overflows"] == 1
    assert "adapter-overflow" in [finding.code for finding in bus.findings()]


# --- time


def test_timestamps_of_the_device_are_host_time_and_keep_its_distances(desk):
    """python-can's driver gives out the device's own seconds, which begin again after 71.6 minutes."""
    bus = desk.open()
    now = desk.device.now_us() + 1000
    time.sleep(0.03)
    desk.inject(desk.transfer(1, stamp=now), desk.transfer(2, stamp=now + 5000), desk.transfer(3, stamp=now + 5250))
    stamps = [bus.recv(1).timestamp for _ in range(3)]
    assert abs(stamps[0] - time.time()) < 0.5
    assert stamps[1] - stamps[0] == pytest.approx(0.005, abs=5e-5)
    assert stamps[2] - stamps[1] == pytest.approx(0.00025, abs=5e-5)


def test_the_devices_counter_wraps_and_time_goes_on(desk):
    bus = desk.open(timestamp_start=(1 << 32) - 20_000)
    got = []
    for number in range(8):
        desk.peer.send(Frame(number))
        got.append(bus.recv(1).timestamp)
        time.sleep(0.006)
    assert desk.device.now_us() < 1_000_000
    assert got == sorted(got)
    assert 0.04 < got[-1] - got[0] < 1.0
    assert bus.counters["stale"] == 0


def test_the_clock_is_anchored_again_now_and_then(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_ANCHOR_S", 0.02)
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.01)
    desk.open()
    wait_for(lambda: sum(request == 6 for _, request, *_ in desk.device.log) > 3)


def test_without_timestamps_the_time_is_the_hosts_and_the_counter_is_not_asked_for(desk):
    bus = desk.open("pro")
    before = time.time()
    desk.peer.send(Frame(1))
    assert before - 0.01 <= bus.recv(1).timestamp <= time.time() + 0.01
    assert not [entry for entry in desk.device.log if entry[1] == 6]


def test_both_channels_have_one_clock(desk):
    first = desk.open("budgetcan", "0/0")
    second = desk.again("0/1")
    stamp = desk.device.now_us()
    time.sleep(0.005)
    desk.inject(desk.transfer(1, stamp=stamp, channel=0), desk.transfer(2, stamp=stamp + 700, channel=1))
    assert second.recv(1).timestamp - first.recv(1).timestamp == pytest.approx(0.0007, abs=5e-5)


# --- old frames


def test_frames_from_before_the_start_are_thrown_away(desk):
    """candleLight keeps what it received before it was stopped, and sends it when somebody reads again."""
    bus = desk.open(keeps_old=True)
    bus.shutdown()
    old = desk.device.now_us()
    desk.inject(*[desk.transfer(0x700 + n, stamp=old - 1000 + n) for n in range(64)])
    bus = desk.again()
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_old_frames_that_come_after_the_start_are_known_by_their_time_and_counted(desk):
    bus = desk.open()
    start = desk.device.now_us()
    desk.inject(
        *[desk.transfer(0x700, stamp=start - 5_000_000 + n) for n in range(5)], desk.transfer(0x77, stamp=start)
    )
    assert bus.recv(1).arbitration_id == 0x77
    assert bus.counters["stale"] == 5


def test_the_first_fresh_frame_is_not_lost(desk):
    """Two frames that are already there when `open` returns."""
    device = desk.device = GsUsbDevice(desk.model, "candlelight")
    desk.backend = FakeBackend([device])
    stop = threading.Event()
    sent = []

    def talk():
        while not stop.is_set():
            if device.channels[0].started:
                sent.append(len(sent))
                desk.peer.send(Frame(0x100, sent[-1].to_bytes(4, "big")))
            time.sleep(0.0005)

    thread = threading.Thread(target=talk)
    thread.start()
    bus = desk.again()
    try:
        assert int.from_bytes(bus.recv(1).data, "big") == 0
    finally:
        stop.set()
        thread.join()
    assert bus.counters["stale"] == 0


# --- errors and states


def test_error_frames_are_received_and_change_the_state(desk):
    bus = desk.open()
    assert (bus.bus_state, bus.tx_errors, bus.rx_errors) == ("error-active", 0, 0)
    desk.error(0x204, 0x08, tx=97, rx=3)
    got = bus.recv(1)
    assert got.is_error_frame and got.arbitration_id & 0x1FFFFFFF == 0x204
    assert (bus.bus_state, bus.tx_errors, bus.rx_errors) == ("error-warning", 97, 3)
    desk.error(0x204, 0x20, tx=130)
    bus.recv(1)
    assert bus.bus_state == "error-passive" and bus.state is can.BusState.ERROR
    desk.error(0x40)
    bus.recv(1)
    assert bus.bus_state == "bus-off" and bus.counters["bus_offs"] == 1
    assert "adapter-bus-off" in [finding.code for finding in bus.findings()]
    desk.error(0x100)
    bus.recv(1)
    assert bus.bus_state == "error-active"


@pytest.mark.parametrize(
    ("classes", "d1", "state"),
    [(0x4C, 0x0C, "error-warning"), (0x4C, 0x30, "error-passive"), (0x88, 0, "error-active")],
)
def test_odd_mixes_of_old_firmware_are_read_bit_by_bit(desk, classes, d1, state):
    bus = desk.open()
    desk.error(classes & ~0x40, d1, d2=4)
    bus.recv(1)
    assert bus.bus_state == state


def test_error_frames_are_kept_back_on_demand_and_the_state_is_known_all_the_same(desk):
    bus = desk.open(options={"error_frames": False})
    desk.error(0x204, 0x20, tx=130)
    wait_for(lambda: bus.bus_state == "error-passive")
    assert bus.recv(0.02) is None


def test_a_missing_acknowledge_ends_in_error_passive(desk):
    bus = desk.open("candlelight_fd")
    desk.model.detach(desk.peer)
    for number in range(3):
        bus.send(message(number))
    wait_for(lambda: bus.bus_state == "error-passive")
    assert bus.tx_errors >= 128


def test_the_state_is_asked_for_where_the_device_answers(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.01)
    bus = desk.open("cannectivity")
    desk.device.channels[0].tap.rx_errors = 100
    wait_for(lambda: (bus.bus_state, bus.rx_errors) == ("error-warning", 100))


def test_a_device_that_refuses_to_tell_its_state_is_not_asked_again(desk, monkeypatch):
    monkeypatch.setattr(gs_usb_device, "_STATE_S", 0.01)
    bus = desk.open("cannectivity", feature=0x2533)
    wait_for(lambda: sum(entry[1] == 14 for entry in desk.device.log) > 1)
    desk.device.kind = type(desk.device.kind)(**{**vars(desk.device.kind), "feature": 0x533})
    wait_for(lambda: desk.device.complaints)
    asked = len(desk.device.log)
    time.sleep(0.15)
    assert len(desk.device.log) == asked
    desk.device.complaints.clear()
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77
