"""The emulated gs_usb adapters themselves: what the real ones do, and each switch."""

import struct
import threading
import time

import pytest
from emulators.bus_model import BusModel
from emulators.gs_usb_device import Gone, GsUsbDevice, Overflow, Stall
from emulators.gs_usb_load import FullLoad

from opendiag.frame import Frame

LISTEN_ONLY, LOOP_BACK, ONE_SHOT, STAMP, PAD, FD, BERR = 1, 2, 8, 16, 128, 256, 4096
# prop, phase 1, phase 2, sjw, brp: 500 kbit/s with the clock of each
TIMING = {
    24_000_000: (6, 7, 2, 1, 3),
    48_000_000: (6, 7, 2, 1, 6),
    40_000_000: (34, 35, 10, 5, 1),
    80_000_000: (69, 70, 20, 10, 1),
}
OUT, IN = 0x41, 0xC1


def start(device, channel=0, flags=0, timing=None):
    timing = timing or TIMING[device.kind.clock]
    device.control(OUT, 1, channel, 0, struct.pack("<5I", *timing))
    if flags & FD:
        data = struct.pack("<5I", *((4, 4, 3, 1, 1) if device.kind.clock == 24_000_000 else (7, 7, 5, 2, 1)))
        device.control(OUT, device.kind.data_timing_request, channel, 0, data)
    device.control(OUT, 2, channel, 0, struct.pack("<II", 1, flags))


def stop(device, channel=0):
    device.control(OUT, 2, channel, 0, bytes(8))


def out(can_id=0x123, data=b"\x11\x22", echo_id=0, channel=0, flags=0, size=None):
    body = data.ljust(64 if flags & 2 else 8, b"\0")
    dlc = len(data) if len(data) <= 8 else {12: 9, 16: 10, 20: 11, 24: 12, 32: 13, 48: 14, 64: 15}[len(data)]
    frame = struct.pack("<IIBBBB", echo_id, can_id, dlc, channel, flags, 0) + body
    return frame.ljust(size or len(frame), b"\0")


def frames(device):
    found = []
    while (data := device.pop_in(512)) is not None:
        found.append(data)
    return found


def echo_ids(device):
    return [struct.unpack_from("<I", data)[0] for data in frames(device)]


@pytest.fixture
def model():
    return BusModel()


def made(model, kind="candlelight", flags=0, **switches):
    device = GsUsbDevice(model, kind, **switches)
    start(device, 0, flags)
    return device


# --- control requests


def test_a_cantact_pro_says_what_a_real_one_says(model):
    device = GsUsbDevice(model, "pro")
    assert device.control(IN, 5, 1, 0, 12).hex() == "000000010200000001000000"
    constants = struct.unpack("<10I", device.control(IN, 4, 1, 0, 40))
    assert constants == (0x123, 24_000_000, 1, 16, 1, 8, 4, 1, 1024, 1)
    assert device.kind.configuration_descriptor().hex(" ") == (
        "09 02 20 00 01 01 00 80 32 09 04 00 00 02 ff ff ff 00 07 05 81 02 00 02 00 07 05 02 02 00 02 00"
    )
    assert device.kind.device_descriptor()[16] == 0  # no serial number
    assert device.kind.string_descriptor(3) is None


def test_a_candlelight_has_a_second_interface_for_its_boot_loader(model):
    raw = GsUsbDevice(model).kind.configuration_descriptor()
    assert len(raw) == struct.unpack_from("<H", raw, 2)[0] == 50
    assert raw[4] == 2


def test_a_candlelight_refuses_what_it_does_not_know(model):
    device = GsUsbDevice(model)
    for request in (
        (IN, 4, 1, 0, 40),
        (IN, 11, 0, 0, 72),
        (IN, 99, 0, 0, 4),
        (OUT, 1, 0, 0, bytes(19)),
        (OUT, 13, 0, 0, b""),
    ):
        with pytest.raises(Stall):
            device.control(*request)
    assert len(device.complaints) == 5


@pytest.mark.parametrize(
    "timing", [(6, 11, 2, 1, 6), (6, 7, 9, 1, 6), (6, 7, 2, 5, 6), (6, 7, 2, 1, 1025), (0, 0, 2, 1, 6)]
)
def test_timing_outside_the_limits_is_refused(model, timing):
    with pytest.raises(Stall):
        start(GsUsbDevice(model), timing=timing)


def test_a_cantact_pro_answers_junk_where_others_refuse(model):
    device = GsUsbDevice(model, "pro")
    junk = device.control(IN, 13, 0, 0, 4)
    assert len(junk) == 4
    assert junk != bytes(4)
    device.control(OUT, 10, 0, 0, bytes(20))
    assert not device.damaged
    device.control(IN, 8, 0, 0, 4)
    assert device.damaged
    assert len(device.complaints) == 3


def test_timing_is_refused_while_the_channel_runs(model):
    device = made(model)
    with pytest.raises(Stall):
        start(device)
    stop(device)
    start(device)


def test_start_with_a_flag_that_it_does_not_have_is_refused(model):
    device = GsUsbDevice(model)
    with pytest.raises(Stall):
        start(device, flags=FD)
    assert not device.channels[0].started


@pytest.mark.parametrize(
    ("clock", "timing", "rate"),
    [
        (24_000_000, (6, 7, 2, 1, 18), 83_333),
        (48_000_000, (7, 8, 4, 1, 3), 800_000),
        (42_000_000, (5, 5, 2, 1, 4), 807_692),
    ],
)
def test_bit_rates_follow_from_the_timing(model, clock, timing, rate):
    assert GsUsbDevice(model, clock=clock).bit_rate(timing) == rate


def test_other_bit_rates_hear_nothing(model):
    device = made(model, "candlelight_fd", BERR)
    peer, heard = model.listener(bit_rate=250_000)
    device.bulk_out(out())
    assert heard == []
    assert [data[4:8].hex() for data in frames(device)][1] == "88000020"
    assert peer.rx_errors


# --- frames


@pytest.mark.parametrize(
    "kind", ["candlelight", "cantact", "canable", "candlelight_fd", "budgetcan", "ces", "abe", "xylanta"]
)
def test_frames_go_both_ways_and_the_echo_comes_first(model, kind):
    peer, heard = model.listener()
    device = made(model, kind)
    device.bulk_out(out(echo_id=7))
    assert heard == [Frame(0x123, b"\x11\x22")]
    peer.send(Frame(0x1F334455, b"\x01", extended=True))
    peer.send(Frame(0x7F, remote=True, dlc=3))
    got = [data.hex() for data in frames(device)]
    assert got == [
        "07000000230100000200000011220000" + "00" * 4,
        "ffffffff5544339f0100000001000000" + "00" * 4,
        "ffffffff7f0000400300000000000000" + "00" * 4,
    ]
    assert device.complaints == []


def test_fd_frames_have_64_bytes_and_classic_ones_8_in_the_same_channel(model):
    peer, heard = model.listener()
    device = made(model, "candlelight_fd", FD)
    device.bulk_out(out(data=bytes(range(16)), flags=6))
    device.bulk_out(out(size=76))
    peer.send(Frame(0x10, bytes(64), fd=True))
    assert heard == [Frame(0x123, bytes(range(16)), fd=True, brs=True), Frame(0x123, b"\x11\x22")]
    assert [len(data) for data in frames(device)] == [76, 20, 76]


def test_a_classic_controller_takes_fd_for_an_error(model):
    peer, _ = model.listener()
    device = made(model)
    peer.send(Frame(0x10, bytes(12), fd=True))
    assert [data[4:8].hex() for data in frames(device)] == ["88000020"]


def test_timestamps_follow_every_frame_and_wrap(model):
    peer, _ = model.listener()
    device = made(model, "candlelight_fd", STAMP | FD, timestamp_start=0xFFFFFFFF - 20_000)
    device.bulk_out(out())
    peer.send(Frame(0x10, bytes(12), fd=True))
    time.sleep(0.03)
    peer.send(Frame(0x11, b""))
    got = frames(device)
    assert [len(data) for data in got] == [24, 80, 24]
    before, _, after = (struct.unpack_from("<I", data, len(data) - 4)[0] for data in got)
    assert before > 0xFFFF0000
    assert after < 0x00FF0000
    assert struct.unpack("<I", device.control(IN, 6, 0, 0, 4))[0] < 0x00FF0000


def test_padded_frames_join_until_the_buffer_is_full(model):
    peer, _ = model.listener()
    device = made(model, "candlelight", PAD | STAMP)
    for number in range(5):
        peer.send(Frame(number, b""))
    assert device.pop_in(128, partial=False)[32:36] == b"\xff\xff\xff\xff"
    assert device.pop_in(128, partial=False) is None, "without a short packet the transfer does not end"
    assert len(device.pop_in(128)) == 32


def test_a_frame_that_is_longer_than_a_packet_is_cut_by_a_short_buffer(model):
    device = GsUsbDevice(model, "candlelight_fd")
    device.inject(bytes(range(76)))
    assert device.pop_in(64) == bytes(range(64))
    assert device.pop_in(64) == bytes(range(64, 76))


def test_a_packet_that_does_not_fit_overflows(model):
    device = GsUsbDevice(model, "candlelight_fd")
    device.inject(bytes(80))
    with pytest.raises(Overflow):
        device.pop_in(76)


def test_listen_only_neither_sends_nor_acknowledges(model):
    device = made(model, flags=LISTEN_ONLY)
    tap = model.attach("alone", bit_rate=500_000)
    model.start(tap)
    tap.send(Frame(1, b""))
    device.bulk_out(out())
    assert model.sent == []


def test_loop_back_hears_its_own_frames_without_a_peer(model):
    device = made(model, flags=LOOP_BACK)
    device.bulk_out(out())
    assert sorted(echo_ids(device)) == [0, 0xFFFFFFFF]


def test_one_shot_gives_up_without_an_acknowledge(model):
    device = made(model, flags=ONE_SHOT)
    device.bulk_out(out())
    _, heard = model.listener()
    assert heard == []
    assert not device.channels[0].tap.waiting


def test_channels_are_independent(model):
    device = GsUsbDevice(model, "pro", lifo=False)
    start(device, 0)
    start(device, 1)
    stop(device, 0)
    peer, _ = model.listener()
    peer.send(Frame(1, b""))
    assert [data[9] for data in frames(device)] == [1]


def test_without_an_acknowledge_a_candlelight_echoes_what_is_in_its_mailboxes_and_then_takes_no_more(model):
    device = made(model, errors="none", pool=4)
    taken = [device.bulk_out(out(echo_id=number)) for number in range(8)]
    assert taken == [True] * 7 + [False]
    assert echo_ids(device) == [0, 1, 2]
    _, heard = model.listener()
    assert len(heard) == 7
    assert echo_ids(device) == [3, 4, 5, 6]
    assert device.bulk_out(out())


# --- echoes


@pytest.mark.parametrize(
    ("echo", "expected"), [("missing", []), ("twice", [5, 5]), ("out of range", [0x1234]), ("wrong channel", [5])]
)
def test_echo_switches(model, echo, expected):
    model.listener()
    device = made(model, echo=echo)
    device.bulk_out(out(echo_id=5))
    got = frames(device)
    assert [struct.unpack_from("<I", data)[0] for data in got] == expected
    assert [data[9] for data in got] == [4 if echo == "wrong channel" else 0] * len(got)


def test_cannectivity_echoes_after_the_acknowledge_and_leaves_the_fields_empty(model):
    device = made(model, "cannectivity", errors="none")
    device.bulk_out(out(echo_id=5))
    assert frames(device) == []
    model.listener()
    assert [data.hex() for data in frames(device)] == ["05000000" + "00" * 16]


def test_a_cantact_pro_echoes_at_once_even_when_stopped(model):
    device = GsUsbDevice(model, "pro")
    device.bulk_out(out(echo_id=5, size=21))
    assert echo_ids(device) == [5]
    assert device.complaints == ["OUT frame that does not go: channel 0 is stopped"]


# --- the CANtact Pro's firmware


@pytest.mark.parametrize(("size", "first"), [(20, 0), (21, 0xFF)])
def test_a_transfer_of_20_bytes_spoils_the_next_packets_first_byte(model, size, first):
    peer, _ = model.listener()
    device = made(model, "pro", echo="missing")
    device.bulk_out(out(size=size))
    peer.send(Frame(1, b""))
    peer.send(Frame(2, b""))
    assert [data[0] for data in frames(device)] == [first, 0xFF]


def test_a_burst_leaves_in_reverse(model):
    peer, _ = model.listener()
    device = made(model, "pro")
    for number in range(3):
        peer.send(Frame(number, b""))
    assert [data[4] for data in frames(device)] == [2, 1, 0]


def test_a_busy_buffer_loses_the_frame_and_echoes_it(model):
    device = made(model, "pro")
    for data in (b"\x01", b"\x02"):
        device.bulk_out(out(data=data, echo_id=3, size=21))
    assert echo_ids(device) == [3, 3]
    _, heard = model.listener()
    assert heard == [Frame(0x123, b"\x01")]
    assert "busy" in device.complaints[0]


def test_an_echo_id_above_63_stops_the_firmware(model):
    device = made(model, "pro")
    device.bulk_out(out(echo_id=64, size=21))
    with pytest.raises(Stall):
        device.control(IN, 5, 1, 0, 12)
    assert not device.bulk_out(out(size=21))


def test_remote_frames_come_as_data_frames(model):
    peer, heard = model.listener()
    device = made(model, "pro")
    peer.send(Frame(0x70, remote=True, dlc=4))
    assert frames(device)[0][4:12].hex() == "7000000004000000"
    device.bulk_out(out(can_id=0x40000071, data=b"", size=21))
    assert heard == [Frame(0x71, remote=True)]


def test_a_full_buffer_drops_without_a_word(model):
    peer, _ = model.listener()
    device = made(model, "pro", buffer=5)
    for number in range(12):
        peer.send(Frame(number, b""))
    got = frames(device)
    assert len(got) == 10
    assert device.pipe.dropped == 2
    peer.send(Frame(0, b""))
    assert [data[10] for data in got + frames(device)] == [0] * 11


def test_bus_errors_are_not_told(model):
    device = made(model, "pro", echo="missing")
    model.listener(bit_rate=250_000)
    device.bulk_out(out(size=21))
    assert device.channels[0].tap.bus_off
    assert frames(device) == []


# --- candleLight's


def test_the_overflow_flag_is_on_the_frame_after_the_lost_ones(model):
    peer, _ = model.listener()
    device = made(model, buffer=2)
    for number in range(5):
        peer.send(Frame(number, b""))
    assert [data[10] for data in frames(device)] == [0, 0]
    for number in range(2):
        peer.send(Frame(number, b""))
    assert [data[10] for data in frames(device)] == [1, 0]


def test_old_firmware_leaves_stale_frames_over_a_restart_and_new_firmware_does_not(model):
    peer, _ = model.listener()
    for kind, left in (("candlelight", 1), ("candlelight_fd", 0)):
        device = made(model, kind)
        peer.send(Frame(1, b""))
        stop(device)
        start(device)
        assert len(frames(device)) == left
        device.unplug()


def test_errors_without_an_acknowledge(model):
    device = made(model, "candlelight_fd", BERR)
    device.bulk_out(out())
    errors = [(data[4:8].hex(), data[13], data[18]) for data in frames(device)[1:]]
    assert errors == [("a8000020", 0, 0), ("04020020", 0x20, 128)]
    assert struct.unpack("<3I", device.control(IN, 14, 0, 0, 12)) == (2, 0, 128)


def test_bus_errors_only_if_asked_for_by_new_firmware_and_in_odd_mixes_by_old(model):
    for switches, classes in (({}, ["04020020"]), ({"odd_errors": True}, ["4c000020", "04020020"])):
        device = made(model, "candlelight_fd", **switches)
        device.bulk_out(out())
        assert [data[4:8].hex() for data in frames(device)[1:]] == classes
        device.unplug()


@pytest.mark.parametrize(("after", "recovers"), [(0.02, True), (None, False)])
def test_bus_off_and_recovery(model, after, recovers):
    device = made(model, "candlelight_fd", bus_off_after_s=after)
    model.listener(bit_rate=250_000)
    device.bulk_out(out())
    assert [data[4:8].hex() for data in frames(device)[1:]] == ["40000020"]
    restarted = device.pop_in(512, 0.5 if recovers else 0.1)
    assert (restarted[4:8].hex() if restarted else None) == ("00010020" if recovers else None)
    assert device.channels[0].tap.bus_off is not recovers


def test_cannectivitys_error_frames_name_both_directions_and_count(model):
    device = made(model, "cannectivity")
    device.bulk_out(out())
    assert [(data[4:8].hex(), data[13], data[18]) for data in frames(device)] == [("04020020", 0x30, 128)]


def test_after_many_frames_without_an_acknowledge_it_is_stuck(model):
    device = made(model, flags=ONE_SHOT, stuck_after=3, errors="none")
    assert [device.bulk_out(out()) for _ in range(5)] == [True, True, True, False, False]
    stop(device)
    start(device)
    assert not device.bulk_out(out())
    device.unplug()
    device.plug()
    start(device)
    assert device.bulk_out(out())


def test_stale_frames_cut_frames_and_frames_that_vanish(model):
    peer, _ = model.listener()
    device = made(model, stale=2, drop_every=3)
    device.behaviour.cut += [11, 19]
    for number in range(6):
        peer.send(Frame(number, b""))
    assert [(len(data), data[4]) for data in frames(device)] == [(20, 0), (20, 1), (11, 0), (19, 1), (20, 3), (20, 4)]
    assert device.dropped == 2


def test_a_waiting_reader_hears_at_once_that_it_is_gone(model):
    device = made(model)
    found = []

    def wait():
        try:
            device.pop_in(512, 10)
        except Gone:
            found.append(time.monotonic())

    reader = threading.Thread(target=wait)
    reader.start()
    time.sleep(0.05)
    pulled = time.monotonic()
    device.unplug()
    reader.join(5)
    assert found[0] - pulled < 0.5
    with pytest.raises(Gone):
        device.control(IN, 5, 1, 0, 12)
    with pytest.raises(Gone):
        device.bulk_out(out())


# --- load


def test_the_generator_counts_what_the_buffer_had_no_room_for(model):
    device = GsUsbDevice(model, "pro", buffer=100, lifo=False)
    start(device, 0)
    start(device, 1)
    load = FullLoad(device, 0.2)
    load.start()
    load.wait()
    assert load.offered == 2 * 1700
    assert load.dropped == load.offered - 200 == len(load.missing)
    taken = {(data[9], int.from_bytes(data[12:20], "little")) for data in frames(device)}
    assert load.delivered == len(taken) == 200
    assert not taken & load.missing
    assert len(taken | load.missing) == load.offered
