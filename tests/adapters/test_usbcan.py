"""The USB-CAN Analyzer's driver against an emulated one on a pseudo terminal."""

import errno
import gc
import threading
import time
from pathlib import Path

import can
import pytest
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel
from emulators.usbcan_device import Stored

from opendiag.adapters import serial_ports
from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.usbcan import UsbCanBus
from opendiag.adapters.usbcan_codec import BIT_RATES
from opendiag.frame import Frame

EIGHT = bytes.fromhex("AA 55 C8 55 AA 55 00 55")


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def make(model, tmp_path):
    """make(**switches) gives a bench; everything is closed at the end."""
    benches = []

    def bench(**switches):
        place = tmp_path / str(len(benches))
        place.mkdir()
        benches.append(UsbCanBench(model, place, **switches))
        return benches[-1]

    yield bench
    for one in benches:
        one.close()


def until(condition, wait_s=3.0):
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def message(can_id, data=b"", extended=False, **more):
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=extended, **more)


def key(frame):
    return (frame.can_id, frame.data, frame.extended, frame.remote, frame.dlc)


def codes(bus):
    return [finding.code for finding in bus.findings()]


KINDS = [
    Frame(0x123, EIGHT),
    Frame(0x080),
    Frame(0x1FAA55AA, EIGHT, extended=True),
    Frame(0x7FF, remote=True, dlc=8),
    Frame(0x55AA, b"", True, True, dlc=3),
]


@pytest.mark.parametrize("protocol", ["variable", "fixed"])
@pytest.mark.parametrize("chunk", [0, 1])
def test_all_kinds_of_frames_come_and_go(make, model, protocol, chunk):
    bench = make(chunk=chunk)
    bus = bench.open(protocol=protocol)
    peer, heard = model.listener()
    for frame in KINDS:
        peer.send(frame)
        (got,) = bus.take(2)
        assert key(got) == key(frame)
        bus.send_frame(frame)
    until(lambda: len(heard) == len(KINDS))
    assert [key(frame) for frame in heard] == [key(frame) for frame in KINDS]
    assert (bus.counters["resyncs"], bus.counters["received"], bus.counters["written"]) == (0, 5, 5)
    assert bench.device.rejected == 0


@pytest.mark.parametrize("rate", BIT_RATES)
def test_every_bit_rate_opens(make, model, rate):
    bus = make().open(bitrate=rate, status_interval_s=0)
    peer, heard = model.listener(bit_rate=rate)
    peer.send(Frame(0x81))
    assert bus.recv(2).arbitration_id == 0x81
    bus.send(message(0x82))
    until(lambda: heard)


def test_manual_timing_reaches_the_adapter(make):
    bench = make()
    bench.open(timing="13,4,24")
    assert bench.device.tap.bit_rate == 83_333


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bitrate": 83_333}, r"no bit rate of 83333 bit/s; it has 5000, .*1000000"),
        ({"protocol": "can"}, "neither variable nor fixed"),
        ({"frame_type": "both"}, "neither standard nor extended"),
        ({"timing": "1"}, "is not bs1,bs2,prescaler"),
        ({"timing": "13,4,24", "listen_only": True}, "either a manual timing"),
        ({"filter_id": 1 << 30}, "outside"),
        ({"filter_id": "181h"}, "filter_id is '181h': expected a whole number"),
        ({"bitrate": None}, "bitrate is None: expected a whole number"),
        ({"reconnect_s": "long"}, "reconnect_s is 'long': expected seconds, 0 or more"),
        ({"reconnect_s": float("nan")}, "reconnect_s is nan"),
        ({"status_interval_s": -1}, "status_interval_s is -1"),
        ({"speed": 3}, "usbcan has no option speed; it takes bitrate"),
        ({"baud": -1}, "baud is -1: expected a whole number, 0 to 12000000"),
        ({"baud": 12_000_001}, "baud is 12000001"),
        ({"reconnect_s": -1}, "reconnect_s is -1"),
        ({"timing": "17,4,24"}, r"bs1 17 is outside 1..16"),
        ({"timing": 500}, "is not bs1,bs2,prescaler"),
        ({"listen_only": "maybe"}, "listen_only is 'maybe': expected yes or no"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_sent(make, options, reason):
    bench = make()
    with pytest.raises(can.CanInitializationError, match=reason) as caught:
        bench.open(**options)
    assert (caught.value.error_code, "Error Code" in str(caught.value)) == (errno.EINVAL, False)
    assert caught.value.__cause__ is None
    assert (bench.device.requests, bench.device.configured) == (0, [])


@pytest.mark.parametrize(("text", "silent"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False)])
def test_texts_of_configuration_files_say_yes_and_no(make, text, silent):
    bench = make()
    with can.Bus(interface="opendiag_usbcan", channel=bench.channel, bitrate=500_000, listen_only=text) as bus:
        assert (bus.listen_only, bench.device.tap.listen_only) == (silent, silent)


def test_no_channel_is_asked_for():
    with pytest.raises(can.CanInitializationError, match="usbcan: which port") as caught:
        can.Bus(interface="opendiag_usbcan", bitrate=500_000)
    assert caught.value.error_code == errno.EINVAL


def test_no_port_is_one_sentence(tmp_path):
    """python-can's seeedstudio lets pyserial's own error out."""
    with pytest.raises(can.CanInitializationError) as caught:
        UsbCanBus(str(tmp_path / "ttyUSB9"))
    assert "No such file" in str(caught.value)
    assert caught.value.error_code == errno.ENOENT
    assert isinstance(caught.value.__cause__, OSError)


def test_a_number_counts_the_analyzers_that_are_plugged_in(make, monkeypatch):
    bench = make()
    ports = [serial_ports.SerialPort("", "usbcan", "", ""), serial_ports.SerialPort(bench.channel, "usbcan", "", "")]
    monkeypatch.setattr("opendiag.adapters.usbcan.found_ports", lambda: iter(ports))
    assert UsbCanBus._detect_available_configs() == [{"interface": "opendiag_usbcan", "channel": bench.channel}]
    assert bench.device.requests == 0, "looking for adapters asks none of them"
    bus = UsbCanBus(0)
    try:
        assert bus.channel == bench.channel
    finally:
        bus.shutdown()
    with pytest.raises(can.CanInitializationError, match=f"no USB-CAN Analyzer number 1; .*: {bench.channel}"):
        UsbCanBus(1)


# --- modes


def test_listening_only_is_silent_and_never_sends(make, model):
    bus = make().open(listen_only=True)
    peer, _ = model.listener()
    peer.send(Frame(0x123))
    assert peer.waiting, "a silent adapter acknowledges nothing"
    with pytest.raises(can.CanOperationError, match="listening only"):
        bus.send(message(0x1))
    assert bus.notes == []


def test_loopback_brings_own_frames_back_and_drives_the_bus(make, model):
    bus = make().open(loopback=True, receive_own_messages=True)
    _, heard = model.listener()
    for frame in KINDS:
        bus.send_frame(frame)
        (got,) = bus.take(2)
        assert (key(got), got.direction) == (key(frame), "tx")
    assert len(heard) == len(KINDS)
    assert bus.take(0.1) == [], "each comes once"
    assert bus.counters["received"] == 0


def test_silent_loopback_reaches_nobody_else(make, model):
    bus = make().open(loopback=True, listen_only=True, receive_own_messages=True)
    _, heard = model.listener()
    bus.send(message(0x123, b"\x01"))
    back = bus.recv(2)
    assert (back.arbitration_id, back.is_rx) == (0x123, False)
    assert heard == []


def test_looped_back_frames_are_no_received_ones(make, model):
    """Whoever talks CANopen would take its own request for that of another master."""
    bus = make().open(loopback=True)
    peer, heard = model.listener()
    bus.send(message(0x123, b"\x01"))
    until(lambda: heard)
    peer.send(Frame(0x123, b"\x02"))
    assert bus.recv(2).data == b"\x02"
    peer.send(Frame(0x123, b"\x01"))
    assert bus.recv(2).data == b"\x01", "the same frame from another device is received"
    assert bus.counters["received"] == 2


def test_a_frame_that_lost_the_arbitration_is_sent_again(make, model):
    """python-can's seeedstudio switches that off, and such a frame is gone."""
    bench = make()
    bus = bench.open()
    bus.send(message(0x123))
    until(lambda: bench.device.tap.waiting)
    _, heard = model.listener()
    until(lambda: heard)


def test_one_shot_gives_a_frame_up(make, model):
    bench = make()
    bus = bench.open(one_shot=True)
    bus.send(message(0x123))
    until(lambda: bench.device.sent_at)
    until(lambda: bench.device.tap.tx_errors)
    assert not bench.device.tap.waiting


def test_the_adapters_own_filter(make, model):
    bus = make().open(filter_id=0x180, filter_mask=0x780)
    peer, _ = model.listener()
    for can_id in (0x081, 0x181, 0x201, 0x1FF):
        peer.send(Frame(can_id))
    assert [bus.recv(1).arbitration_id for _ in range(2)] == [0x181, 0x1FF]
    assert bus.recv(0.05) is None


def test_extended_frames_only_when_asked_for(make, model):
    bus = make().open(frame_type="extended")
    peer, _ = model.listener()
    peer.send(Frame(0x81))
    peer.send(Frame(0x82, extended=True))
    assert bus.recv(1).arbitration_id == 0x82


# --- receiving


def test_recv_keeps_to_its_time(make):
    """python-can's seeedstudio waits 0.1 s whatever it is told."""
    bus = make().open()
    for timeout in (0, 0.3):
        begin = time.monotonic()
        assert bus.recv(timeout) is None
        assert timeout <= time.monotonic() - begin < timeout + 0.09


def test_recv_without_a_time_waits(make, model):
    bus = make().open()
    peer, _ = model.listener()
    timer = threading.Timer(0.3, peer.send, [Frame(0x12)])
    timer.start()
    assert bus.recv(None).arbitration_id == 0x12
    timer.join()


def test_a_truncated_message_ends_nothing(make, model):
    """python-can #2024: a gap inside a frame was a TypeError in the thread of the Notifier."""
    bench = make()
    bus = bench.open()
    peer, _ = model.listener()
    bench.garbage(b"\xaa\xc8\x23")
    time.sleep(0.15)
    assert bus.recv(0) is None
    for number in range(3):
        peer.send(Frame(0x100 + number))
    assert [bus.recv(1).arbitration_id for _ in range(3)] == [0x100, 0x101, 0x102]
    assert (bus.counters["resyncs"], bus.counters["skipped"]) == (1, 3)
    assert codes(bus) == ["adapter-malformed"]
    assert "3 bytes were skipped" in bus.findings()[0].sentence


def test_a_frame_without_its_end_is_not_stuck(make, model):
    bus = make(end_byte=False).open(status_interval_s=0)
    peer, _ = model.listener()
    begin = time.monotonic()
    peer.send(Frame(0x123, b"\x01"))
    assert bus.recv(2).arbitration_id == 0x123
    assert time.monotonic() - begin < 0.15
    assert bus.counters["unended"] == 1


def test_lost_bytes_cost_two_frames_each_at_most(make, model):
    bench = make()
    bus = bench.open(status_interval_s=0)
    peer, _ = model.listener()
    counted = [0]

    def lose(data):
        counted[0] += 1
        return data[:7] + data[8:] if counted[0] % 10 == 0 else data

    bench.device.mangle = lose
    for number in range(200):
        peer.send(Frame(number, EIGHT))
    got = []
    while (one := bus.recv(0.2)) is not None:
        got.append(one.arbitration_id)
    assert got == sorted(got)
    assert 160 <= len(got) <= 180
    assert bus.counters["resyncs"] >= 19


def test_times_are_of_this_day_and_never_go_back(make, model):
    bus = make().open(receive_own_messages=True)
    peer, _ = model.listener()
    before = time.time_ns()
    stop = threading.Event()

    def chatter():
        while not stop.is_set():
            peer.send(Frame(0x700, b"\x05"))
            stop.wait(0.001)

    thread = threading.Thread(target=chatter)
    thread.start()
    for number in range(100):
        bus.send(message(number))
    stop.set()
    thread.join()
    until(lambda: bus.counters["received"] >= 3)
    times = [frame.time_ns for frame in bus.take(1)]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time_ns() + 1_000_000


# --- sending


def test_own_frames_come_back_only_if_asked_for(make, model):
    bus = make().open()
    _, heard = model.listener()
    bus.send(message(0x123))
    until(lambda: heard)
    assert bus.recv(0.05) is None


def test_own_frames_are_marked_as_such(make, model):
    bus = make().open(receive_own_messages=True)
    model.listener()
    sent = message(0x123, EIGHT)
    kept = (sent.timestamp, sent.is_rx, sent.channel, bytes(sent.data))
    bus.send(sent)
    got = bus.recv(1)
    assert (got.arbitration_id, got.is_rx, bytes(got.data)) == (0x123, False, EIGHT)
    assert kept == (sent.timestamp, sent.is_rx, sent.channel, bytes(sent.data)), "the caller's message stays"


@pytest.mark.parametrize("sent", [message(1, bytes(12), is_fd=True), message(1, is_error_frame=True)])
def test_what_the_adapter_cannot_send_is_refused(make, sent):
    bus = make().open()
    with pytest.raises(can.CanOperationError, match="a USB-CAN Analyzer sends no"):
        bus.send(sent)


@pytest.mark.parametrize(("rate", "baud", "gap_s"), [(20_000, 0, 135 / 20_000), (1_000_000, 9_600, 130 / 9_600)])
def test_frames_are_written_no_faster_than_they_leave(make, model, rate, baud, gap_s):
    bench = make(stored=Stored(baud=baud or 2_000_000))
    bus = bench.open(bitrate=rate, baud=baud, status_interval_s=0)
    model.listener(bit_rate=rate)
    begin = time.monotonic()
    for number in range(10):
        bus.send(message(number, bytes(8)))
    took = time.monotonic() - begin
    assert 9 * gap_s <= took <= 9 * gap_s * 1.05 + 0.05
    assert bench.device.rejected == 0


def test_send_keeps_to_its_time(make, model):
    bus = make().open(bitrate=5_000, status_interval_s=0)
    model.listener(bit_rate=5_000)
    bus.send(message(1, bytes(8)), timeout=0)
    with pytest.raises(QueueFull, match="not sent within the time given: its turn was 2"):
        bus.send(message(2, bytes(8)), timeout=0.005)
    bus.send(message(3, bytes(8)), timeout=0.05)
    assert bus.counters["written"] == 2


def test_threads_take_turns(make, model):
    bus = make().open()
    _, heard = model.listener()
    threads = [threading.Thread(target=lambda n=n: [bus.send(message(n, EIGHT)) for _ in range(50)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(heard) == 200)
    assert {frame.data for frame in heard} == {EIGHT}


def test_who_sends_is_told_that_the_adapter_may_send_by_itself(make):
    bus = make().open()
    assert any("by itself" in note and "DEFAULT jumper" in note for note in bus.notes)


def test_an_adapter_that_sends_by_itself_is_heard_by_others_only(make, model):
    _, heard = model.listener(bit_rate=250_000)
    make(stored=Stored(autonomous=((Frame(0x201, b"\x0f"), 0.01),)))
    until(lambda: len(heard) > 2)
    assert {frame.can_id for frame in heard} == {0x201}


@pytest.mark.parametrize(
    ("options", "slow"),
    [
        ({"bitrate": 1_000_000}, False),
        ({"bitrate": 1_000_000, "protocol": "fixed"}, True),
        ({"bitrate": 250_000, "protocol": "fixed"}, False),
        ({"bitrate": 250_000, "baud": 115_200}, True),
        ({"bitrate": 50_000, "baud": 115_200}, False),
    ],
)
def test_a_serial_line_that_is_too_slow_is_noted(make, options, slow):
    bus = make(stored=Stored(baud=options.get("baud", 2_000_000))).open(**options)
    assert any("the serial line carries" in note for note in bus.notes) == slow


# --- status


def test_the_status_follows_the_controller(make):
    bench = make(counters=(3, 4), status_flags=b"\x01\x02\x03\x04")
    bus = bench.open(status_interval_s=0.1)
    until(lambda: bus.bus_state == "error-active")
    assert (bus.rx_errors, bus.tx_errors, bus.last_status.flags) == (3, 4, b"\x01\x02\x03\x04")
    for counters, state in (((96, 0), "error-warning"), ((0, 128), "error-passive")):
        bench.device.counters = counters
        until(lambda state=state: bus.bus_state == state)
        assert codes(bus) == ["adapter-bus-state"]
    assert bus.state == can.BusState.ERROR
    bench.device.counters = (0, 255)
    until(lambda: bus.tx_errors == 255)
    assert bus.bus_state == "error-passive", "bus-off cannot be told"
    assert "perhaps bus-off" in bus.findings()[0].sentence
    assert "flags 01 02 03 04" in bus.findings()[0].evidence


def test_nobody_acknowledges(make):
    bus = make().open(status_interval_s=0.1)
    bus.send(message(0x1))
    until(lambda: bus.bus_state == "error-passive")
    assert bus.tx_errors == 128


def test_an_adapter_that_falls_silent_is_unknown(make):
    bench = make()
    bus = bench.open(status_interval_s=0.1)
    until(lambda: bus.bus_state)
    bench.device.answers_status = False
    until(lambda: bus.bus_state is None)
    assert (bus.rx_errors, bus.tx_errors, bus.last_status) == (None, None, None)
    assert bus.counters["statuses_missed"] >= 3
    assert codes(bus) == ["adapter-silent"]
    bench.device.answers_status = True
    until(lambda: bus.bus_state == "error-active")
    assert codes(bus) == []


def test_no_status_is_asked_for_unless_wanted(make):
    bench = make()
    bus = bench.open(status_interval_s=0)
    asked = bench.device.requests
    assert bus.recv(0.3) is None
    assert bench.device.requests == asked
    assert bus.bus_state is None


def test_a_stored_filter_is_suspected_where_nothing_comes(make, model):
    """The light RX blinks, and no program sees a frame: Seeed's list of questions has it."""
    bench = make(stored=Stored(allow=frozenset({0x7FF})))
    bus = bench.open(status_interval_s=0.1)
    peer, _ = model.listener()
    peer.send(Frame(0x123))
    until(lambda: codes(bus) == ["adapter-nothing-received"])
    assert "clear-filter" in bus.findings()[0].advice
    peer.send(Frame(0x7FF))
    until(lambda: codes(bus) == [])


# --- unplugged


def test_unplugging_ends_recv_and_send(make, model):
    """python-can's seeedstudio returns None for ever."""
    bench = make()
    bus = bench.open()
    peer, _ = model.listener()
    peer.send(Frame(0x1))
    until(lambda: bus.counters["received"])
    bench.unplug()
    begin = time.monotonic()
    assert bus.recv(1).arbitration_id == 0x1, "what came before is not lost"
    for _ in range(2):
        with pytest.raises(Unplugged, match="is gone: unplugged"):
            bus.recv(5)
        with pytest.raises(Unplugged, match="is gone: unplugged"):
            bus.send(message(1))
    assert time.monotonic() - begin < 1
    spent = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - spent < 0.1, "a busy loop"
    assert bus.bus_state is None


def test_unplugging_while_sending(make):
    bench = make()
    bus = bench.open(status_interval_s=0)
    timer = threading.Timer(0.05, bench.unplug)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(Unplugged):
        while time.monotonic() - begin < 3:
            bus.send(message(1, bytes(8)))
    assert time.monotonic() - begin < 1.1
    timer.join()


def test_it_comes_back_as_it_was(make, model):
    bench = make(blink_s=0.1, blinking=True)
    bus = bench.open(reconnect_s=20, bitrate=125_000, protocol="fixed", status_interval_s=0.1)
    bench.unplug()
    until(lambda: bus._link._away)
    assert bus.recv(0.05) is None
    with pytest.raises(can.CanOperationError, match="is gone: unplugged; it is looked for") as caught:
        bus.send(message(1))
    assert (caught.value.error_code, isinstance(caught.value, Unplugged)) == (errno.ENETDOWN, False)
    assert bus.bus_state is None
    bench.replug()
    until(lambda: bus.counters["reconnects"] == 1)
    peer, heard = model.listener(bit_rate=125_000)
    peer.send(Frame(0x123, EIGHT))
    assert bus.recv(2).arbitration_id == 0x123
    bus.send(message(0x124))
    until(lambda: heard)
    until(lambda: bus.bus_state == "error-active")
    assert codes(bus) == ["adapter-reconnected"]
    assert bench.device.configured[0] == bench.device.configured[1]


@pytest.mark.parametrize("reconnect_s", [0, 10])
def test_an_unplugged_port_is_let_go_at_once(make, reconnect_s):
    """Linux gives an adapter another name while somebody still has the old one open, and nobody looks there."""
    bench = make()
    bus = bench.open(reconnect_s=reconnect_s)
    number = bus._link.line._fd
    bench.unplug()
    until(lambda: bus._link._away or bus._link._failure)
    until(lambda: not Path(f"/proc/self/fd/{number}").is_symlink(), 0.1)


def test_it_is_looked_for_no_longer_than_asked(make):
    bench = make()
    bus = bench.open(reconnect_s=0.4)
    bench.unplug()
    begin = time.monotonic()
    with pytest.raises(Unplugged):
        bus.recv(5)
    assert 0.3 < time.monotonic() - begin < 2


def test_a_bus_that_nobody_has_any_more_is_closed(make):
    """As python-can's are; else its port stays in use until the program ends."""
    bench = make()
    bus = UsbCanBus(bench.channel)
    bus.bus_state = None  # the reader goes on telling it
    thread = bus._reader._thread
    del bus
    gc.collect()
    until(lambda: not thread.is_alive())


def test_shutdown_ends_everything(make):
    bench = make()
    bus = bench.open()
    before = {thread.name for thread in threading.enumerate()}
    assert bus._reader._thread.name in before
    ended = []

    def wait():
        try:
            bus.recv(None)
        except can.CanOperationError as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    bus.shutdown()
    bus.shutdown()
    thread.join(2)
    assert ended
    assert ended[0].startswith(f"usbcan {bench.channel} is closed")
    assert not bus._reader._thread.is_alive()
    with pytest.raises(can.CanOperationError, match="is closed"):
        bus.send(message(1))
    bench.open()  # the port is free again


def test_shutdown_does_not_wait_for_an_adapter_that_blinks(make):
    bench = make(blink_s=3.0)
    bus = bench.open(reconnect_s=60)
    bench.unplug()
    until(lambda: bus._link._away)
    bench.device.blinking = True
    bench.replug()
    time.sleep(0.4)  # it is asked by now
    begin = time.monotonic()
    bus.shutdown()
    assert time.monotonic() - begin < 1
    assert not bus._reader._thread.is_alive()


def test_the_status_is_asked_for_while_frames_are_sent(make, model):
    bench = make()
    bus = bench.open(bitrate=20_000, status_interval_s=0.1)
    model.listener(bit_rate=20_000)
    begin = time.monotonic()
    while time.monotonic() - begin < 0.6:
        bus.send(message(1, bytes(8)))
    assert bus.counters["statuses"] >= 3
    assert bus.counters["statuses_missed"] < bus.counters["statuses"]  # on a busy computer an answer may be late


def test_sending_into_a_port_that_takes_nothing(make, monkeypatch):
    bench = make()
    bus = bench.open(status_interval_s=0)

    def full(data):
        raise QueueFull("the adapter takes no bytes")

    monkeypatch.setattr(bus._link.line, "write", full)
    with pytest.raises(QueueFull):
        bus.send(message(1))
    assert (bus.counters["jammed"], bus.counters["written"], codes(bus)) == (1, 0, ["adapter-jammed"])
