"""The SLCAN driver on emulated adapters of every dialect."""

import contextlib
import errno
import gc
import itertools
import subprocess
import sys
import termios
import threading
import time
from types import SimpleNamespace

import can
import pytest
from emulators.bench_slcan import SlcanBench
from emulators.bus_model import BusModel
from emulators.machine_tap import MachineTap
from emulators.slcan_device import HABITS

from opendiag.adapters import slcan, slcan_link
from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.slcan import SlcanBus, adapter_info
from opendiag.adapters.slcan_codec import Kind
from opendiag.adapters.slcan_dialect import DIALECTS, Settings, recognise, steps
from opendiag.adapters.slcan_tx import ConfirmedSender, frame_seconds
from opendiag.frame import Frame

MUTE = ["canable", "canable2", "cantact"]
REPLYING = ["lawicel", "usbtin", "weact", "weact-stock", "elmue"]
#: Habit -> the dialect that it is taken for.
TAKEN_FOR = {name: {"usbtin": "lawicel"}.get(name, name) for name in HABITS}


def wait_for(condition, timeout_s=3.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.002)


def message(can_id=0x123, data=b"", **fields):
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=can_id > 0x7FF, **fields)


def frames(bus, count, timeout_s=3.0):
    seen, until = [], time.monotonic() + timeout_s
    while len(seen) < count and time.monotonic() < until:
        seen += bus.take(max(until - time.monotonic(), 0))
    return seen


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def adapter(model, tmp_path):
    """adapter(dialect, **habits) -> a bench with an emulated adapter."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def plug(dialect="lawicel", **habits):
            path = tmp_path / str(next(numbers))
            path.mkdir()
            kind = type("Bench", (SlcanBench,), {"dialect": dialect})
            bench = kind(model, path, **habits)
            stack.callback(bench.close)
            return bench

        yield plug


@pytest.fixture
def opened(adapter):
    """opened(kind, habits, **options) -> bus, device."""
    with contextlib.ExitStack() as stack:

        def open_it(kind="lawicel", habits=None, bench=None, **options):
            bench = bench or adapter(kind, **(habits or {}))
            bus = bench.open(**options)
            stack.callback(bus.shutdown)
            return bus, bench.device

        yield open_it


# --- which adapter it is


@pytest.mark.parametrize("dialect", HABITS)
def test_the_dialect_is_recognised_and_frames_go_both_ways(model, opened, dialect):
    peer, heard = model.listener()
    bus, _ = opened(dialect)
    assert bus.identity.dialect.name == TAKEN_FOR[dialect]
    assert bus.identity.replies == (dialect in REPLYING)
    bus.send(message(0x123, b"\x11\x22"), timeout=1)
    bus.send(message(0x12345678, b"\x33"), timeout=1)
    wait_for(lambda: len(heard) == 2)
    assert [(frame.can_id, frame.data) for frame in heard] == [(0x123, b"\x11\x22"), (0x12345678, b"\x33")]
    peer.send(Frame(0x701, b"\x05"))
    assert [frame.can_id for frame in frames(bus, 1)] == [0x701]


@pytest.mark.parametrize("dialect", HABITS)
def test_the_channel_is_opened_once_and_without_a_sleep(opened, dialect):
    """python-can's slcan sends O twice and sleeps for 2 s."""
    start = time.monotonic()
    _, device = opened(dialect)
    assert time.monotonic() - start < 1.5
    assert device.lines.count(b"O") == 1
    assert device.tap.up and device.tap.bit_rate == 500_000


@pytest.mark.parametrize("dialect", HABITS)
def test_opening_sends_no_frame_from_half_a_line_or_the_last_one(model, adapter, dialect):
    """CANable's firmware repeats its last frame at an empty line, and any has what a killed program left."""
    model.listener()
    bench = adapter(dialect)
    device = bench.device
    device.receive(b"S6\rO\rt1232AABB\r")
    wait_for(lambda: len(model.sent) == 1)
    device.receive(b"t123811")
    bus = bench.open()
    bus.shutdown()
    assert len(model.sent) == 1


@pytest.mark.parametrize("dialect", HABITS)
def test_x_is_never_sent_to_firmware_that_enters_its_boot_loader_then(opened, dialect):
    _, device = opened(dialect)
    assert b"X" not in device.lines
    assert (b"X1" in device.lines) == (TAKEN_FOR[dialect] == "lawicel")


def test_what_was_on_the_way_before_opening_is_not_taken_for_an_answer(model, adapter):
    bench = adapter("lawicel")
    bench.device.receive(b"S6\rX1\rO\r")
    peer, _ = model.listener()
    stop = threading.Event()

    def traffic():
        while not stop.wait(0.001):
            peer.send(Frame(0x100, bytes(8)))

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        bus = bench.open()
        assert bus.identity.version == "V1013"
        bus.shutdown()
    finally:
        stop.set()
        thread.join()


def test_garbage_from_the_adapter_before_it_answers(adapter, opened):
    bench = adapter("lawicel")
    bench.device.raw(b"\xff\x00t12\r\r\r\ahello")
    bus, _ = opened(bench=bench)
    assert bus.identity.dialect.name == "lawicel"
    assert bus.counters["malformed"] == 0


@pytest.mark.parametrize(
    ("replies", "version", "detail", "name"),
    [
        (True, "V1013", "", "lawicel"),
        (True, "", "", "lawicel"),
        (True, "V1014", "vurl=github.com/Nakakiyo092/usb2canfdv1", "weact"),
        (True, "VL2K0 b158aa4 github.com/Nakakiyo092/canable2-fw", "", "weact"),
        (True, "WeAct Studio 2024.01.10 V1.0.0.0", "", "weact-stock"),
        (True, "+Board: Multiboard\tMCU: STM32G431\tSlcan: 105", "", "elmue"),
        (True, "V+Board: MultiboardMCU: STM32G431Slcan: 100", "", "elmue"),
        (False, "16e7497-dirty github.com/normaldotcom/canable2.git", "", "canable2"),
        (False, "b158aa4 github.com/normaldotcom/cantact-fw.git", "", "canable"),
        (False, "", "", "cantact"),
    ],
)
def test_versions_that_were_seen(replies, version, detail, name):
    assert recognise(replies, version, detail).name == name


def test_a_dialect_that_is_said_is_not_asked_for(opened):
    bus, device = opened("cantact", dialect="cantact")
    assert b"V" not in device.lines
    assert bus.identity.dialect.name == "cantact"


def test_an_adapter_that_answers_nothing_is_no_lawicel(adapter):
    with pytest.raises(can.CanInitializationError, match="no answer"):
        adapter("cantact").open(dialect="lawicel")


def test_an_unknown_dialect_is_refused(adapter):
    with pytest.raises(
        can.CanInitializationError, match=r"no dialect 'lawicle': expected auto, lawicel.* usbtin"
    ) as raised:
        adapter().open(dialect="lawicle")
    assert raised.value.error_code == errno.EINVAL


@pytest.mark.parametrize(("alias", "name"), [("usbtin", "lawicel"), ("USBtin", "lawicel"), ("nakakiyo", "weact")])
def test_other_names_of_a_dialect(adapter, opened, alias, name):
    bench = adapter(name)
    bus, _ = opened(bench=bench, dialect=alias)
    assert bus.identity.dialect.name == name
    bus.shutdown()
    assert adapter_info(bench.channel, dialect=alias)["dialect"] == name


def test_adapter_info_where_nothing_answers(adapter):
    channel = adapter("cantact").channel
    nobody = "nothing answers: a CANtact with SLCAN firmware, or no SLCAN adapter (an Analyzer? then usbcan:)"
    assert adapter_info(channel)["adapter"] == nobody
    assert adapter_info(channel, dialect="cantact")["adapter"] == DIALECTS["cantact"].what


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dialect": "foo"}, "no dialect 'foo'"),
        ({"bitrate": 501_000}, "has no 501 kbit/s"),
        ({"baud": -1}, "baud is -1"),
    ],
)
def test_adapter_info_refuses_what_opening_refuses(adapter, options, reason):
    with pytest.raises(can.CanInitializationError, match=reason) as raised:
        adapter_info(adapter("lawicel").channel, **options)
    assert raised.value.error_code == errno.EINVAL


@pytest.mark.parametrize(("dialect", "serial"), [("lawicel", "A123"), ("canable2", None), ("cantact", None)])
def test_adapter_info_asks_and_leaves_the_channel_closed(adapter, dialect, serial):
    bench = adapter(dialect)
    info = adapter_info(bench.channel)
    assert info["dialect"] == dialect
    assert info.get("serial number") == serial
    assert ("800k" in info["bit rates"]) == (dialect == "lawicel")
    assert not bench.device.tap.up
    bench.open().shutdown()  # the port is free again


# --- the speed of a serial chip


class Uart:
    """Passes on what came at the right speed, garbage at any other."""

    def __init__(self, bench, speed):
        self.bench, self.speed, self.receive_well = bench, speed, bench.device.receive
        bench.device.receive = self.receive

    def receive(self, data):
        if termios.tcgetattr(self.bench.port._master)[4] == self.speed:
            self.receive_well(data)
        else:
            self.bench.device.raw(b"\x80\xf8" * len(data))


def test_the_speed_behind_a_serial_chip_is_found(adapter, opened, monkeypatch):
    monkeypatch.setattr(slcan_link, "_is_uart", lambda port: True)
    bench = adapter("lawicel")
    Uart(bench, termios.B57600)
    bus, device = opened(bench=bench)
    assert bus.identity.dialect.name == "lawicel"
    assert device.tap.up


def test_the_speed_that_is_said_is_the_only_one_tried(adapter, opened):
    bench = adapter("lawicel")
    Uart(bench, termios.B230400)
    opened(bench=bench, baud=230400)
    with pytest.raises(can.CanInitializationError, match="no answer at 57600 baud"):
        adapter("cantact").open(dialect="lawicel", baud=57600)


def test_behind_a_serial_chip_silence_is_no_mute_adapter(adapter, monkeypatch):
    monkeypatch.setattr(slcan_link, "_is_uart", lambda port: True)
    monkeypatch.setattr(slcan_link, "_BAUDS", (115200, 57600))
    with pytest.raises(can.CanInitializationError, match="no SLCAN adapter answers, at 115200, 57600 baud"):
        adapter("cantact").open()


# --- bit rates

RATES = [10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 1_000_000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dialect", ["lawicel", "canable"])
def test_every_common_bit_rate(opened, dialect, rate):
    _, device = opened(dialect, dialect=dialect, bitrate=rate)
    assert device.tap.bit_rate == rate


@pytest.mark.parametrize("dialect", HABITS)
def test_s7_is_800k_or_750k_and_the_other_one_is_refused(adapter, opened, dialect):
    """python-can's slcan sends S7 for 750k to every adapter; the kernel's sends it for 800k."""
    right, wrong = (750_000, 800_000) if dialect in MUTE else (800_000, 750_000)
    _, device = opened(dialect, bitrate=right)
    assert device.tap.bit_rate == right
    bench = adapter(dialect)
    with pytest.raises(can.CanInitializationError, match=f"S7 means {right // 1000} kbit/s in this firmware"):
        bench.open(bitrate=wrong)
    assert not bench.device.tap.up


def test_83_3k_is_for_canable_2_only(adapter, opened):
    _, device = opened("canable2", bitrate=83_333)
    assert device.tap.bit_rate == 83_333
    with pytest.raises(can.CanInitializationError, match=r"no 83\.333 kbit/s; it has 10, 20, 50"):
        adapter("canable").open(bitrate=83_333)


def test_a_bit_rate_that_the_adapter_refuses_is_an_error(adapter):
    """python-can's slcan does not wait for the answer."""
    bench = adapter("lawicel", s8_refused=True)
    with pytest.raises(can.CanInitializationError, match=r"1000000 bit/s \(S8\) was refused"):
        bench.open(bitrate=1_000_000)
    bench.open(bitrate=500_000).shutdown()  # everything was released


def test_raw_bit_timing(opened):
    _, device = opened("lawicel", btr="001c")
    assert device.lines.count(b"s001C") == 1
    assert device.tap.bit_rate == 500_000


@pytest.mark.parametrize(("dialect", "btr"), [("lawicel", "12"), ("lawicel", "00GG"), ("canable", "001C")])
def test_raw_bit_timing_that_the_dialect_does_not_take(adapter, dialect, btr):
    with pytest.raises(can.CanInitializationError, match="btr"):
        adapter(dialect).open(btr=btr)


def test_options_that_nobody_reads_are_refused(adapter):
    with pytest.raises(can.CanInitializationError, match="slcan has no option ttybaud; it takes bitrate"):
        adapter().open(ttybaud=115200)


# --- listening only


@pytest.mark.parametrize("dialect", HABITS)
def test_listen_only_is_a_matter_of_dialect(model, opened, dialect):
    """L opens no channel on CANable and reports the bus load on ElmüSoft's."""
    bus, device = opened(dialect, listen_only=True)
    assert device.tap.up and device.tap.listen_only
    peer, _ = model.listener()
    model.listener("other")
    peer.send(Frame(0x123))
    assert len(frames(bus, 1)) == 1
    with pytest.raises(can.CanOperationError, match="listen-only"):
        bus.send(message())


@pytest.mark.parametrize("dialect", HABITS)
def test_after_listening_only_the_next_program_can_send(opened, adapter, dialect):
    bench = adapter(dialect)
    bench.open(listen_only=True).shutdown()
    _, device = opened(bench=bench)
    assert not device.tap.listen_only


def test_an_adapter_that_cannot_listen_only_is_not_opened(adapter):
    bench = adapter("lawicel", listen="none")
    with pytest.raises(can.CanInitializationError, match="does not open its channel listen-only: it refused L"):
        bench.open(listen_only=True)
    assert not bench.device.tap.up


# --- frames


@pytest.mark.parametrize("dialect", ["canable2", "weact", "weact-stock", "elmue"])
def test_can_fd_both_ways(model, opened, dialect):
    peer, heard = model.listener()
    bus, device = opened(dialect, fd=True, data_bitrate=5_000_000)
    assert device.tap.data_bit_rate == 5_000_000
    sent = [
        Frame(0x123, bytes(64), fd=True, brs=True),
        Frame(0x12345678, bytes(12), extended=True, fd=True),
        Frame(0x321, b"classic"),
    ]
    for frame in sent:
        bus.send_frame(frame)
    wait_for(lambda: len(heard) == 3)
    assert heard == sent
    peer.send(Frame(0x124, bytes(range(48)), fd=True, brs=True))
    (seen,) = frames(bus, 1)
    assert (seen.fd, seen.brs, seen.data) == (True, True, bytes(range(48)))


def test_a_data_rate_that_the_dialect_has_not(adapter):
    with pytest.raises(can.CanInitializationError, match="no data bit rate of 8 Mbit/s; it has 2, 5 Mbit/s"):
        adapter("canable2").open(fd=True, data_bitrate=8_000_000)
    with pytest.raises(can.CanInitializationError, match=r"\(lawicel\) has no CAN FD"):
        adapter("lawicel").open(fd=True)
    with pytest.raises(can.CanInitializationError, match="has no CAN FD") as raised:
        adapter("lawicel").open(data_bitrate=2_000_000)
    assert raised.value.error_code == errno.EINVAL


def test_a_data_rate_alone_means_can_fd(model, opened):
    _, heard = model.listener()
    bus, device = opened("canable2", data_bitrate=2_000_000)
    assert b"Y2" in device.lines
    bus.send(message(0x123, bytes(64), is_fd=True, bitrate_switch=True), timeout=1)
    wait_for(lambda: [(len(frame.data), frame.brs) for frame in heard] == [(64, True)])


@pytest.mark.parametrize(("dialect", "why"), [("canable2", "open it with data_bitrate"), ("lawicel", "has no CAN FD")])
def test_why_a_can_fd_frame_is_not_sent(opened, dialect, why):
    bus, _ = opened(dialect)
    with pytest.raises(can.CanOperationError, match=why):
        bus.send(message(is_fd=True))


def test_what_an_adapter_cannot_send_is_refused(opened):
    bus, _ = opened("lawicel")
    with pytest.raises(can.CanOperationError, match="CAN FD"):
        bus.send(message(is_fd=True))
    with pytest.raises(can.CanOperationError, match="no DLC of 12"):
        bus.send_frame(Frame(0x123, bytes(8), dlc=12))
    with pytest.raises(can.CanOperationError, match="error frame"):
        bus.send_frame(Frame(4, bytes(8), error=True))


def test_a_remote_frame_with_a_dlc_above_8_where_the_dialect_takes_it(model, opened):
    _, heard = model.listener()
    frame = Frame(0x123, remote=True, dlc=15)
    opened("weact")[0].send_frame(frame, 1)
    assert heard == [frame]
    with pytest.raises(can.CanOperationError, match="no DLC of 15"):
        opened("lawicel")[0].send_frame(frame)


def test_remote_frames_have_no_data(model, opened):
    _, heard = model.listener()
    bus, device = opened()
    bus.send(can.Message(arbitration_id=0x123, is_extended_id=False, is_remote_frame=True, dlc=8), timeout=1)
    assert heard == [Frame(0x123, remote=True, dlc=8)]
    assert b"r1238" in device.lines


def test_malformed_lines_and_noise_do_not_end_the_stream(opened):
    """python-can's slcan: IndexError for the first, CanOperationError at every later read after the second."""
    bus, device = opened()
    device.raw(b"t12\r\xff\xfe\rt1230\r")
    device.raw(b"t1239" + b"11" * 8 + b"\r")
    seen = frames(bus, 2)
    assert [(frame.can_id, frame.dlc, len(frame.data)) for frame in seen] == [(0x123, 0, 0), (0x123, 9, 8)]
    assert bus.counters["malformed"] == 2
    assert "adapter-malformed" in [finding.code for finding in bus.findings()]


def test_a_classic_dlc_above_8_is_8_bytes_for_python_can(opened):
    """python-can's slcan makes 12 of it."""
    bus, device = opened()
    device.raw(b"t1239" + b"11" * 8 + b"\r")
    got = bus.recv(2)
    assert (got.dlc, len(got.data)) == (8, 8)


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_half_frames_and_single_bytes(model, opened, piece):
    peer, _ = model.listener()
    bus, device = opened()
    device.piece = piece
    for number in range(10):
        peer.send(Frame(0x100 + number, bytes([number] * (number % 9))))
    assert [frame.can_id for frame in frames(bus, 10)] == list(range(0x100, 0x10A))
    assert bus.counters["malformed"] == 0


def test_many_frames_in_one_read(model, opened):
    peer, _ = model.listener()
    bus, device = opened()
    device.hold = True
    for number in range(500):
        peer.send(Frame(number, bytes(8)))
    device.flush()
    assert [frame.can_id for frame in frames(bus, 500)] == list(range(500))


# --- time


@pytest.mark.parametrize(
    ("dialect", "habits", "command"),
    [
        ("lawicel", {}, b"Z1"),
        ("weact", {}, b"Z2"),
        ("weact", {"z2_tick_s": 1e-3, "z2_period": 1 << 32}, b"Z2"),
        ("weact", {"stamps": "Z1"}, b"Z1"),
    ],
)
def test_the_adapters_time_stamps(model, opened, dialect, habits, command):
    """python-can's slcan has the time at which it parsed a line."""
    peer, _ = model.listener()
    bus, device = opened(dialect, habits)
    assert command in device.lines
    now = [59.9]  # the counter begins again on the way
    device.seconds = lambda: now[0]
    seen, sent_at = [], []
    for _ in range(12):
        sent_at.append(time.time())
        peer.send(Frame(0x123))
        seen += frames(bus, 1)
        time.sleep(0.02)
        now[0] += 0.02
    assert abs(seen[-1].time_ns / 1e9 - time.time()) < 1
    steps_ms = [(two.time_ns - one.time_ns) / 1e6 for one, two in itertools.pairwise(seen[6:])]
    assert all(15 < step < 25 for step in steps_ms)


def test_time_stamps_can_be_left_out(model, opened):
    peer, _ = model.listener()
    bus, device = opened(timestamps=False)
    assert b"Z0" in device.lines and b"Z1" not in device.lines
    before = time.time_ns()
    peer.send(Frame(0x123))
    (frame,) = frames(bus, 1)
    assert before - 10**7 < frame.time_ns < time.time_ns() + 10**7


# --- sending: answers


@pytest.mark.parametrize("dialect", REPLYING)
def test_bel_means_full_and_the_frame_is_sent_again_in_order(model, opened, dialect):
    """python-can's slcan loses it without a word."""
    bus, _ = opened(dialect, {"tx_slots": 3})
    sender = threading.Thread(target=lambda: [bus.send(message(number)) for number in range(8)])
    sender.start()
    wait_for(lambda: bus.counters["retried"] >= 2)
    _, heard = model.listener()  # somebody acknowledges at last
    sender.join(3)
    wait_for(lambda: len(heard) == 8)
    assert [frame.can_id for frame in heard] == list(range(8))
    assert bus.counters["refused"] == 0


def test_nobody_acknowledges_and_send_says_so(opened):
    bus, _ = opened("lawicel", {"tx_slots": 2})
    with pytest.raises(QueueFull, match="nobody on the bus acknowledges"):
        for number in range(5):
            bus.send(message(number))


def test_a_timeout_waits_for_the_confirmation(opened):
    bus, device = opened("lawicel", {"tx_slots": 2})
    bus.send(message(1), timeout=1)
    bus.send(message(2), timeout=1)
    assert bus.counters["confirmed"] == 2
    start = time.monotonic()
    with pytest.raises(QueueFull, match="did not confirm"):
        bus.send(message(3), timeout=0.2)
    assert 0.15 < time.monotonic() - start < 1
    assert [finding.code for finding in bus.findings()] == ["adapter-refused"]
    refused = device.lines.count(b"t0030")
    time.sleep(0.15)
    assert device.lines.count(b"t0030") <= refused + 1  # and nobody tries it any more


def test_with_a_window_a_frame_between_others_is_lost_and_counted(model, opened):
    bus, _ = opened("lawicel", {"tx_slots": 2}, tx_window=4)
    for number in range(4):
        bus.send(message(number))
    wait_for(lambda: bus.counters["refused"] == 1)
    _, heard = model.listener()
    wait_for(lambda: len(heard) == 3)
    assert [frame.can_id for frame in heard] == [0, 1, 3]


def test_an_answer_that_got_lost_is_counted(model, opened):
    model.listener()
    bus, device = opened(status_interval_s=0)
    bus.send(message(1), timeout=1)
    device.lose_replies = 1
    bus.send(message(2))
    bus.send(message(3), timeout=3)
    assert (bus.counters["unanswered"], bus.counters["confirmed"]) == (1, 2)
    assert "adapter-unanswered" in [finding.code for finding in bus.findings()]


def test_an_answer_that_waits_to_be_read_is_not_given_up(model, opened, monkeypatch):
    """Else it counts for the next frame, and a refusal of that one would send it once more."""
    _, heard = model.listener()
    bus, _ = opened(status_interval_s=0)
    bus.send(message(1), timeout=1)
    asleep, go_on = threading.Event(), threading.Event()
    due = bus._link._do_what_is_due

    def late(now):
        asleep.set()
        go_on.wait(5)
        return due(time.monotonic())

    monkeypatch.setattr(bus._link, "_do_what_is_due", late)
    assert asleep.wait(5)
    bus.send(message(2))
    wait_for(lambda: len(heard) == 2)
    time.sleep(1.1)  # longer than an answer is waited for
    go_on.set()
    wait_for(lambda: bus.counters["confirmed"] == 2)
    assert (bus.counters["unanswered"], bus.counters["stray_answers"]) == (0, 0)


def test_a_refusal_that_comes_late_does_not_send_the_next_frame_twice():
    lines, now = [], time.monotonic()
    sender = ConfirmedSender("slcan", lines.append, lambda frame: None)
    sender.confirmed = 1
    sender.send(Frame(1), None)
    sender.tick(now + 2, now + 2)
    sender.send(Frame(2), None)
    sender.answered(Kind.REFUSED)  # the first one's
    sender.answered(Kind.SENT)
    sender.tick(now + 3, now + 3)
    assert lines == [b"t0010\r", b"t0020\r"]
    assert (sender.unanswered, sender.confirmed, sender.stray, sender.retried) == (1, 2, 1, 0)


def test_an_answer_nobody_waits_for_is_counted(opened):
    bus, device = opened(status_interval_s=0)
    device.raw(b"\rz\r\aV1013\r")
    wait_for(lambda: bus.counters["stray_answers"] == 4)


def test_firmware_that_answers_commands_but_no_frames_is_paced(model, opened):
    _, heard = model.listener()
    bus, _ = opened("lawicel", {"no_frame_replies": True})
    for number in range(10):
        bus.send(message(number))
    wait_for(lambda: len(heard) == 10)
    assert bus.counters["written"] >= 5
    assert "adapter-mute" in [finding.code for finding in bus.findings()]


@pytest.mark.parametrize("dialect", ["lawicel", "weact-stock"])
def test_own_frames_come_when_they_are_confirmed(model, opened, dialect):
    peer, _ = model.listener()
    bus, _ = opened(dialect, receive_own_messages=True)
    bus.send(message(1), timeout=1)
    peer.send(Frame(2))
    bus.send(message(3), timeout=1)
    seen = frames(bus, 3)
    assert [(frame.can_id, frame.direction) for frame in seen] == [(1, "tx"), (2, "rx"), (3, "tx")]
    assert [frame.time_ns for frame in seen] == sorted(frame.time_ns for frame in seen)


def test_a_refused_frame_is_no_own_frame(opened):
    bus, _ = opened("lawicel", {"tx_slots": 1}, receive_own_messages=True)
    bus.send(message(1), timeout=1)
    with pytest.raises(QueueFull):
        bus.send(message(2), timeout=0.05)
    assert [frame.can_id for frame in frames(bus, 2, 0.2)] == [1]


# --- sending: mute adapters


@pytest.mark.parametrize("dialect", MUTE)
def test_mute_adapters_are_sent_no_more_than_the_bus_carries(model, opened, dialect):
    """They drop what comes faster, and nothing would tell."""
    _, heard = model.listener(bit_rate=20_000)
    bus, _ = opened(dialect, bitrate=20_000, receive_own_messages=True)
    start = time.monotonic()
    for number in range(20):
        bus.send(message(number, bytes(8)))
    took = time.monotonic() - start
    each = (44 + 64 + (34 + 64 - 1) // 4 + 3) / 20_000
    assert 19 * each * 1.05 <= took < 3
    wait_for(lambda: len(heard) == 20)
    assert (bus.counters["written"], bus.counters["confirmed"]) == (20, 0)
    assert [frame.can_id for frame in frames(bus, 20)] == list(range(20))
    (finding,) = [finding for finding in bus.findings() if finding.code == "adapter-mute"]
    assert "nothing confirms" in finding.sentence and "unknown" in finding.sentence


@pytest.mark.parametrize(
    ("frame", "bits"),
    [
        (Frame(0, bytes(8)), 135),
        (Frame(0), 55),
        (Frame(0, bytes(8), extended=True), 160),
        (Frame(0, remote=True, dlc=8), 55),
    ],
)
def test_the_longest_time_of_a_frame(frame, bits):
    """ISO 11898-1 with all stuff bits: 135 and 160 bits are the well-known worst cases, here with 3 bits of pause."""
    assert frame_seconds(frame, 1_000_000) == pytest.approx(bits / 1e6, abs=3e-6)


def test_the_data_rate_makes_a_frame_shorter():
    slow = frame_seconds(Frame(0, bytes(64), fd=True), 500_000, 5_000_000)
    fast = frame_seconds(Frame(0, bytes(64), fd=True, brs=True), 500_000, 5_000_000)
    assert slow > 4 * fast
    assert fast > 564 * 1e-6 / 5


def test_a_port_where_nothing_answers_is_called_that(opened):
    bus, _ = opened("cantact")
    nobody = "nothing answers: a CANtact with SLCAN firmware, or no SLCAN adapter (an Analyzer? then usbcan:)"
    assert nobody in bus.findings()[0].sentence
    bus, _ = opened("cantact", listen_only=True)
    assert "not even that it only listens" in bus.findings()[0].sentence


# --- what the adapter tells


@pytest.mark.parametrize(
    ("flags", "counter", "code"),
    [
        (0x01, "rx_fifo_full", "adapter-overflow"),
        (0x08, "overruns", "adapter-overflow"),
        (0x02, "tx_fifo_full", "adapter-full"),
        (0x80, "bus_errors", "adapter-bus-errors"),
        (0x40, "arbitration_lost", None),
    ],
)
def test_status_flags(opened, flags, counter, code):
    bus, device = opened(status_interval_s=0.02)
    wait_for(lambda: bus.bus_state == "error-active")
    assert bus.findings() == []
    device.set_flags(flags)
    wait_for(lambda: bus.counters[counter] == 1)
    assert [finding.code for finding in bus.findings()] == ([code] if code else [])


def test_the_state_of_the_bus(model, opened):
    bus, device = opened("weact", status_interval_s=0.02)
    wait_for(lambda: bus.bus_state == "error-active")
    device.tap.rx_errors = 96
    wait_for(lambda: bus.bus_state == "error-warning")
    device.tap.rx_errors = 128
    wait_for(lambda: bus.bus_state == "error-passive")
    assert bus.state is can.BusState.ERROR
    device.tap.bus_off = True
    wait_for(lambda: bus.bus_state == "bus-off")
    seen = [(frame.error, frame.can_id, frame.data[1]) for frame in frames(bus, 3)]
    assert seen == [(True, 0x004, 0x0C), (True, 0x004, 0x30), (True, 0x040, 0)]
    assert "adapter-bus-state" in [finding.code for finding in bus.findings()]


def test_firmware_without_status_flags_is_not_asked_for_ever(opened):
    bus, device = opened("lawicel", {"status": ""}, status_interval_s=0.01)
    wait_for(lambda: device.lines.count(b"F") == 3)
    time.sleep(0.1)
    assert device.lines.count(b"F") == 3
    assert bus.bus_state is None


def test_canables_error_register_and_frames_around_it(model, opened):
    peer, _ = model.listener()
    bus, device = opened("canable2", status_interval_s=0.005)
    device.set_register(0x08)
    for number in range(100):
        peer.send(Frame(number))
        time.sleep(0.001)
    assert [frame.can_id for frame in frames(bus, 100)] == list(range(100))
    wait_for(lambda: "adapter-error-register" in [finding.code for finding in bus.findings()])
    assert bus.counters["malformed"] == 0


def test_error_lines_are_error_frames(opened):
    """python-can's slcan has none."""
    bus, device = opened()
    device.raw(b"sw000097\re1a\r")
    one, two = frames(bus, 2)
    assert (one.error, one.can_id, two.error, two.can_id) == (True, 0x204, True, 0xA8)
    assert (bus.bus_state, bus.tx_errors, bus.rx_errors) == ("error-warning", 97, 0)


# --- filters and retransmission


def test_the_acceptance_filter(model, opened):
    peer, _ = model.listener()
    bus, device = opened(acceptance_code=0x123 << 21, acceptance_mask=0x1FFFFF)
    assert b"M24600000" in device.lines and b"m001FFFFF" in device.lines
    peer.send(Frame(0x124))
    peer.send(Frame(0x123))
    assert [frame.can_id for frame in frames(bus, 1)] == [0x123]


@pytest.mark.parametrize("dialect", MUTE)
def test_m_is_no_filter_on_mute_adapters(adapter, dialect):
    bench = adapter(dialect)
    with pytest.raises(can.CanInitializationError, match="no acceptance filter: use can_filters"):
        bench.open(acceptance_code=1)
    assert not bench.device.tap.listen_only


def test_one_shot_where_the_dialect_has_it(adapter, opened):
    _, device = opened("canable", auto_retransmit=False)
    assert device.tap.one_shot
    _, device = opened("canable")
    assert not device.tap.one_shot
    with pytest.raises(can.CanInitializationError, match="always sends again"):
        adapter("lawicel").open(auto_retransmit=False)


# --- plugs


@pytest.mark.parametrize("dialect", ["lawicel", "cantact"])
def test_unplugged_while_it_is_read(model, adapter, opened, dialect):
    peer, _ = model.listener()
    bench = adapter(dialect)
    bus, _ = opened(bench=bench)
    peer.send(Frame(0x123))
    time.sleep(0.05)
    bench.unplug()
    start = time.monotonic()
    assert bus.recv(1).arbitration_id == 0x123  # what came before is not lost
    for _ in range(2):
        with pytest.raises(Unplugged):
            bus.recv(2)
    assert time.monotonic() - start < 1
    with pytest.raises(Unplugged):
        bus.send(message())


def test_unplugged_while_a_frame_waits_for_its_answer(adapter, opened):
    bench = adapter("lawicel", tx_slots=1)
    bus, _ = opened(bench=bench)
    bus.send(message(1), timeout=1)
    raised = []

    def send():
        try:
            bus.send(message(2), timeout=5)
        except can.CanError as error:
            raised.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.1)
    bench.unplug()
    thread.join(1)
    assert [type(error) for error in raised] == [Unplugged]


@pytest.mark.parametrize("dialect", ["lawicel", "canable2", "cantact"])
def test_it_comes_back_with_the_same_settings(model, adapter, opened, dialect):
    bench = adapter(dialect)
    bus, device = opened(bench=bench, reconnect_s=10, bitrate=250_000, listen_only=True)
    bench.unplug()
    time.sleep(0.3)
    assert bus.recv(0) is None and bus.bus_state is None
    bench.replug()
    wait_for(lambda: device.tap.up)
    assert (device.tap.bit_rate, device.tap.listen_only) == (250_000, True)
    peer, _ = model.listener(bit_rate=250_000)
    model.listener("other", bit_rate=250_000)
    wait_for(lambda: bus.counters["reconnects"] == 1)
    peer.send(Frame(0x123))
    assert len(frames(bus, 1)) == 1
    assert "adapter-reconnected" in [finding.code for finding in bus.findings()]


def test_frames_can_be_sent_again_when_it_is_back(model, adapter, opened):
    _, heard = model.listener()
    bench = adapter("lawicel", tx_slots=1)
    bus, device = opened(bench=bench, reconnect_s=10)
    bench.unplug()
    time.sleep(0.2)
    with pytest.raises(can.CanOperationError, match="looked for"):
        bus.send(message(1))
    bench.replug()
    wait_for(lambda: bus.counters["reconnects"] == 1)
    bus.send(message(2), timeout=1)
    assert [frame.can_id for frame in heard] == [2]
    assert device.tap.up


def test_time_stamps_begin_anew_when_it_is_back(model, adapter, opened):
    peer, _ = model.listener()
    bench = adapter("lawicel")
    bus, device = opened(bench=bench, reconnect_s=10)
    began = time.monotonic()
    device.seconds = lambda: time.monotonic() - began + 10
    peer.send(Frame(0x123))
    assert len(frames(bus, 1)) == 1
    bench.unplug()
    bench.replug()
    device.seconds = lambda: time.monotonic() - began + 9.7  # by chance nearly what it would have been
    wait_for(lambda: bus.counters["reconnects"] == 1)
    peer.send(Frame(0x124))
    (frame,) = frames(bus, 1)
    assert abs(frame.time_ns / 1e9 - time.time()) < 0.15


def test_a_bus_that_nobody_has_any_more_is_closed(adapter):
    bus = SlcanBus(adapter("lawicel").channel)
    thread = bus._reader._thread
    del bus
    gc.collect()
    wait_for(lambda: not thread.is_alive())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bitrate": "fast"}, "bitrate is 'fast': expected a whole number"),
        ({"reconnect_s": "long"}, "reconnect_s is 'long': expected seconds, 0 or more"),
        ({"tx_window": 1.5}, "tx_window is 1.5"),
        ({"tx_window": 0}, "tx_window is 0: expected a whole number, 1 or more"),
        ({"acceptance_code": "x"}, "acceptance_code is 'x'"),
        ({"baud": -1}, "baud is -1: expected a whole number, 0 to 12000000"),
        ({"baud": 13_000_000}, "baud is 13000000"),
        ({"status_interval_s": -0.5}, "status_interval_s is -0.5"),
        ({"reconnect_s": -1}, "reconnect_s is -1"),
        ({"reconnect_s": float("nan")}, "reconnect_s is nan"),
        ({"bitrate": -5}, "bitrate is -5"),
        ({"data_bitrate": 0}, "data_bitrate is 0"),
        ({"listen_only": "maybe"}, "listen_only is 'maybe': expected yes or no"),
        ({"nonsense": 1}, "slcan has no option nonsense"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_sent(adapter, options, reason):
    bench = adapter("lawicel")
    with pytest.raises(can.CanInitializationError, match=reason) as raised:
        bench.open(**options)
    assert bench.device.lines == []
    assert (raised.value.error_code, "Error Code" in str(raised.value)) == (errno.EINVAL, False)


def test_texts_of_configuration_files_say_yes_and_no(adapter):
    bench = adapter("lawicel")
    with can.Bus(
        interface="opendiag_slcan", channel=bench.channel, listen_only="no", fd="false", timestamps="0"
    ) as bus:
        assert not bus.listen_only
    assert b"L" not in bench.device.lines and b"Z0" in bench.device.lines


def test_no_channel_is_asked_for():
    with pytest.raises(can.CanInitializationError, match="slcan: which port") as raised:
        can.Bus(interface="opendiag_slcan", bitrate=500_000)
    assert raised.value.error_code == errno.EINVAL


def test_without_pyserial_it_says_what_to_install():
    code = "import sys; sys.modules['serial'] = None; import can; can.Bus(interface='opendiag_slcan', channel='x')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "CanInterfaceNotImplementedError" in run.stderr.splitlines()[-1]
    assert "pip install pyserial" in run.stderr.splitlines()[-1]


def test_no_such_port_is_an_initialization_error(tmp_path):
    with pytest.raises(can.CanInitializationError, match="nothing-here") as raised:
        SlcanBus(str(tmp_path / "nothing-here"))
    assert raised.value.error_code == 2


@pytest.mark.parametrize("dialect", ["lawicel", "canable", "cantact"])
def test_shutdown_waits_until_frames_have_left(model, opened, dialect, monkeypatch):
    """An adapter forgets what it has not sent when its channel is closed."""
    model.listener(bit_rate=10_000)
    bus, device = opened(dialect, bitrate=10_000)
    command, came = device._command, []

    def noted(line):
        came.append((line[:1], time.monotonic()))
        return command(line)

    monkeypatch.setattr(device, "_command", noted)
    for _ in range(4):
        bus.send(message(1, bytes(8)))
    bus.shutdown()
    wait_for(lambda: came and came[-1][0] == "C")
    first = next(at for letter, at in came if letter == "t")
    assert 4 * 0.0135 <= came[-1][1] - first < 0.5


def test_frames_that_wait_when_it_is_closed_are_counted(opened):
    bus, _ = opened("lawicel", {"tx_slots": 1})
    bus.send(message(1))
    bus.send(message(2))
    wait_for(lambda: bus.counters["retried"])
    began = time.monotonic()
    bus.shutdown()
    assert time.monotonic() - began < 1
    assert bus.counters["refused"] + bus.counters["unanswered"] == 1


def test_shutdown_closes_the_channel(opened):
    bus, device = opened("cantact")
    assert device.tap.up
    bus.shutdown()
    bus.shutdown()
    wait_for(lambda: not device.tap.up)
    with pytest.raises(can.CanOperationError, match="closed"):
        bus.send(message())


def test_ports_are_found_by_their_usb_identity(monkeypatch):
    ports = [
        SimpleNamespace(adapter="slcan", device="/dev/ttyACM0"),
        SimpleNamespace(adapter="usbcan", device="/dev/ttyUSB0"),
        SimpleNamespace(adapter="slcan", device=""),
    ]
    monkeypatch.setattr(slcan, "found_ports", lambda: iter(ports))
    assert SlcanBus._detect_available_configs() == [{"interface": "opendiag_slcan", "channel": "/dev/ttyACM0"}]


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_has_a_way_for_its_own_rates(name):
    dialect = DIALECTS[name]
    for rate, command in dialect.rates.items():
        assert next(steps(dialect, Settings(bit_rate=rate))).command == command


# --- other programs


def test_python_cans_logger(model, adapter):
    bench = adapter("lawicel")
    peer, _ = model.listener()
    logger = subprocess.Popen(
        [sys.executable, "-m", "can.logger", "-i", "opendiag_slcan", "-c", bench.channel, "--bitrate", "500000"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONUNBUFFERED": "1"},
    )
    try:
        wait_for(lambda: bench.device.tap.up, 15)
        peer.send(Frame(0x7E5, b"\x01\x02"))
        line = ""
        while "7e5" not in line.lower():
            line = logger.stdout.readline()
            assert line, "it ended"
        assert "01 02" in line
    finally:
        logger.terminate()
        logger.wait(5)
        logger.stdout.close()


@pytest.mark.parametrize("dialect", ["lawicel", "canable2", "cantact"])
def test_a_canopen_sdo_read(model, adapter, dialect):
    canopen = pytest.importorskip("canopen")
    from opendiag.simulate.devices import make_device

    device = MachineTap(model, make_device("stepim"))
    network = canopen.Network()
    try:
        network.connect(interface="opendiag_slcan", channel=adapter(dialect).channel, bitrate=500_000)
        node = network.add_node(101, None)
        assert int.from_bytes(node.sdo.upload(0x1018, 1), "little") == 0x2E1
    finally:
        network.disconnect()
        device.close()


def test_errors_on_the_bus_before_anything_was_sent_mean_another_bit_rate(opened):
    """Nobody can fail to acknowledge what was never sent."""
    bus, device = opened(status_interval_s=0.02)
    wait_for(lambda: bus.bus_state == "error-active")
    device.set_flags(0x80)
    wait_for(lambda: bus.counters["bus_errors"] == 1)
    (finding,) = bus.findings()
    assert finding.sentence.endswith("saw errors on the bus (1 time asked)")
    assert "another bit rate" in finding.advice and "acknowledges" not in finding.advice
    bus.send(can.Message(arbitration_id=5, is_extended_id=False), 1.0)
    (finding,) = bus.findings()
    assert "nobody on the bus acknowledges" in finding.advice
