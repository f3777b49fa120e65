"""gs_usb on the wire: golden bytes in both directions, and what a device may send that is not in order."""

import struct

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from opendiag.adapters.bit_timing import Limits, bit_timing
from opendiag.adapters.gs_usb_codec import (
    FROM_BUS,
    HOST_FORMAT,
    MODE_FLAGS,
    BtConst,
    ChannelState,
    DeviceConfig,
    Feature,
    FrameSplitter,
    HostFrame,
    Layout,
    Request,
    pack_bit_timing,
    pack_frame,
    pack_mode,
    unpack_bt_const,
    unpack_state,
)
from opendiag.frame import FD_LENGTHS, Frame

CLASSIC, FD, TIMED = Layout(), Layout(fd=True), Layout(timestamps=True)
PRO = Layout(fd=True, pad_lpc=True)
PRO_LIMITS = Limits(24_000_000, 1, 16, 1, 8, 4, 1, 1024, 1)
NOW = 1_700_000_000_000_000_000


def raw(echo_id, can_id, dlc, data, channel=0, flags=0, timestamp=None, *, room=None):
    """What a device sends, written down once more."""
    room = room if room is not None else 64 if flags & 2 else 8
    head = struct.pack("<IIBBBB", echo_id, can_id, dlc, channel, flags, 0)
    tail = b"" if timestamp is None else struct.pack("<I", timestamp)
    return head + data.ljust(room, b"\0") + tail


def split_one(data, layouts=(CLASSIC,), max_packet=64, **kwargs):
    splitter = FrameSplitter(list(layouts), max_packet, **kwargs)
    (found,) = splitter.split(data, NOW)
    assert counters(splitter) == (0, 0, 0, 0)
    return found


def counters(splitter):
    return splitter.short, splitter.malformed, splitter.unknown_channel, splitter.repaired_echo_ids


# --- requests and structures ----------------------------------------------------------------------------------------


def test_numbers_of_requests():
    assert Request(1).name == "BITTIMING"
    assert (Request.BT_CONST, Request.DEVICE_CONFIG, Request.TIMESTAMP, Request.IDENTIFY) == (4, 5, 6, 7)
    assert (Request.DATA_BITTIMING, Request.BT_CONST_EXT, Request.GET_STATE) == (10, 11, 14)
    assert (Request.SET_TERMINATION, Request.GET_TERMINATION, Request.BUS_OFF_RECOVERY) == (12, 13, 32)
    assert bytes.fromhex("EFBE0000") == HOST_FORMAT


def test_timing_of_500_kbit():
    expected = bytes.fromhex("06000000 07000000 02000000 01000000 03000000")
    assert pack_bit_timing(bit_timing(PRO_LIMITS, 500_000)) == expected


def test_data_timing_of_2_mbit():
    assert pack_bit_timing(bit_timing(PRO_LIMITS, 2_000_000))[:12] == bytes.fromhex("04000000 04000000 03000000")
    assert pack_bit_timing(bit_timing(PRO_LIMITS, 2_000_000))[16:] == bytes.fromhex("01000000")


@pytest.mark.parametrize(
    ("start", "flags", "expected"),
    [
        (True, Feature.FD, "01000000 00010000"),
        (True, Feature.FD | Feature.HW_TIMESTAMP, "01000000 10010000"),
        (True, Feature(0), "01000000 00000000"),
        (False, Feature(0), "00000000 00000000"),
        (False, Feature.FD, "00000000 00000000"),
        (True, Feature.LISTEN_ONLY | Feature.IDENTIFY | Feature.GET_STATE, "01000000 01000000"),
        (True, ~Feature(0), "01000000 9F110600"),
    ],
)
def test_mode(start, flags, expected):
    assert pack_mode(start, flags) == bytes.fromhex(expected)


def test_mode_flags():
    assert {bit for bit in range(32) if MODE_FLAGS & 1 << bit} == {0, 1, 2, 3, 4, 7, 8, 12, 17, 18}


def test_configuration_of_a_cantact_pro():
    assert DeviceConfig.unpack(bytes.fromhex("00000001 02000000 01000000")) == DeviceConfig(2, 2, 1)
    with pytest.raises(ValueError, match="a device configuration of 11 bytes, expected 12"):
        DeviceConfig.unpack(bytes(11))


def test_constants_of_a_cantact_pro():
    """CAN FD without the long answer: the same limits in both phases."""
    data = struct.pack("<10I", 0x123, 24_000_000, 1, 16, 1, 8, 4, 1, 1024, 1)
    feature = Feature.LISTEN_ONLY | Feature.LOOP_BACK | Feature.IDENTIFY | Feature.FD
    assert unpack_bt_const(data) == BtConst(feature, PRO_LIMITS, PRO_LIMITS)


def test_constants_without_can_fd():
    data = struct.pack("<10I", 0x8000_00BB, 48_000_000, 1, 16, 1, 8, 4, 1, 1024, 1)
    found = unpack_bt_const(data)
    assert found.feature == Feature(0xBB), "bits that nobody knows are left out"
    assert found.limits.clock_hz == 48_000_000
    assert found.data_limits is None
    ignored = unpack_bt_const(data + bytes(32))
    assert ignored.data_limits is None, "without CAN FD nobody needs them to make sense"


def test_long_constants():
    nominal, phase = (1, 256, 2, 128, 127, 1, 512, 1), (3, 32, 4, 16, 15, 5, 30, 6)
    found = unpack_bt_const(struct.pack("<18I", 0x57F, 40_000_000, *nominal, *phase))
    assert Feature.BT_CONST_EXT in found.feature
    assert found.limits == Limits(40_000_000, *nominal)
    assert found.data_limits == Limits(40_000_000, *phase)


@pytest.mark.parametrize("length", [0, 39, 41, 71, 73])
def test_constants_of_a_wrong_length(length):
    with pytest.raises(ValueError, match=f"bit timing constants of {length} bytes, expected 40"):
        unpack_bt_const(bytes(length))


@given(st.binary(min_size=40, max_size=40) | st.binary(min_size=72, max_size=72))
def test_any_constants_are_limits_of_a_controller_or_refused(data):
    """A CANtact Pro answers unknown requests with junk."""
    try:
        limits = unpack_bt_const(data).limits
    except ValueError as error:
        assert "no CAN controller has such a bit timing" in str(error)
    else:
        assert limits.brp_inc > 0


def test_state():
    assert unpack_state(struct.pack("<III", 2, 130, 7)) == ChannelState("error-passive", 130, 7)
    words = [unpack_state(struct.pack("<III", number, 0, 0)).state for number in range(6)]
    assert words == ["error-active", "error-warning", "error-passive", "bus-off", "stopped", "sleeping"]
    with pytest.raises(ValueError, match=r"state is 0\.\.5, the adapter says 6"):
        unpack_state(struct.pack("<III", 6, 0, 0))
    with pytest.raises(ValueError, match="a channel's state of 8 bytes, expected 12"):
        unpack_state(bytes(8))


# --- golden frames, as Linux sends them to a CANtact Pro with CAN FD, and back --------------------------------------

GOLDEN = [
    (Frame(0x123, bytes.fromhex("1122334455667788")), "00000000 23010000 08 00 00 00 1122334455667788"),
    (Frame(0x1F334455, b"\x01", extended=True), "00000000 5544339F 01 00 00 00 01"),
    (Frame(0x77F, remote=True, dlc=3), "00000000 7F070040 03 00 00 00"),
    (
        Frame(0x321, bytes(range(16)), fd=True, brs=True),
        "00000000 21030000 0A 00 06 00 000102030405060708090A0B0C0D0E0F",
    ),
    (Frame(0x321, b"", fd=True, esi=True), "00000000 21030000 00 00 0A 00"),
    (Frame(0x7FF, bytes(8), dlc=12), "00000000 FF070000 0C 00 00 00"),
    (Frame(0x1FFFFFFF, extended=True, remote=True, dlc=8), "00000000 FFFFFFDF 08 00 00 00"),
]


@pytest.mark.parametrize(("frame", "text"), GOLDEN)
def test_golden_frames_to_a_cantact_pro(frame, text):
    """77 bytes for every frame: never 20 or 76, which damage what it sends next."""
    assert pack_frame(frame, 0, 0, PRO) == bytes.fromhex(text).ljust(77, b"\0")


@pytest.mark.parametrize(("frame", "text"), GOLDEN)
def test_golden_frames_from_a_device(frame, text):
    data = bytes.fromhex(text).ljust(76 if frame.fd else 20, b"\0")
    echo = split_one(data)
    assert (echo.channel, echo.echo_id, echo.timestamp_us, echo.overflow) == (0, 0, None, False)
    assert same(echo.frame, frame)
    assert echo.frame.direction == "tx"
    received = split_one(b"\xff\xff\xff\xff" + data[4:])
    assert received.echo_id is None
    assert same(received.frame, frame)
    assert received.frame.direction == "rx"


def same(one, other):
    names = ("can_id", "data", "extended", "remote", "error", "fd", "brs", "esi", "dlc")
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize(
    ("layout", "size"), [(CLASSIC, 20), (TIMED, 20), (Layout(pad_lpc=True), 21), (FD, 76), (PRO, 77)]
)
def test_sizes_towards_the_device(layout, size):
    """No time is ever sent, and with CAN FD classic frames are long, too."""
    data = pack_frame(Frame(0x123, b"\x01\x02"), 9, 1, layout)
    assert len(data) == size
    assert data[:14] == bytes.fromhex("09000000 23010000 02 01 00 00 0102")
    assert not any(data[14:])


@pytest.mark.parametrize(
    ("frame", "echo_id", "sentence"),
    [
        (Frame(0x123, b"", fd=True), 0, "needs a channel that was opened with fd"),
        (Frame(0x40, bytes(8), error=True), 0, "error frames cannot be sent"),
        (Frame(0x123), 0xFFFF_FF00, "echo id 0xffffff00 is outside"),
        (Frame(0x123), -1, "echo id -0x1 is outside"),
    ],
)
def test_what_cannot_be_sent(frame, echo_id, sentence):
    with pytest.raises(ValueError, match=sentence):
        pack_frame(frame, echo_id, 0, CLASSIC)


# --- from the device ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_a_transfer_may_be_any_buffer(buffer):
    usual = raw(FROM_BUS, 0x181, 8, b"12345678")
    assert split_one(buffer(usual)) == HostFrame(
        0, None, Frame(0x181, b"12345678", direction="rx", time_ns=NOW), None, False
    )
    long = raw(FROM_BUS, 0x181, 9, b"123456789012", flags=2)
    data = split_one(buffer(long)).frame.data
    assert data == b"123456789012"
    assert type(data) is bytes


@pytest.mark.parametrize(("flags", "size"), [(0, 24), (2, 80)])
def test_the_clock_of_the_device(flags, size):
    data = raw(FROM_BUS, 0x181, 3, b"abc", flags=flags, timestamp=0xFFFF_FFFE)
    assert len(data) == size
    found = split_one(data, [TIMED], stamp=lambda us, now_ns: us * 1000 + now_ns)
    assert found.timestamp_us == 0xFFFF_FFFE
    assert found.frame.time_ns == 0xFFFF_FFFE * 1000 + NOW
    assert split_one(data, [TIMED]).frame.time_ns == NOW, "nobody makes a time of it"


def test_each_channel_has_its_own_layout():
    layouts = [TIMED, CLASSIC, TIMED]
    for channel, timestamp in ((0, 77), (1, None), (2, 78)):
        found = split_one(raw(FROM_BUS, 0x181, 2, b"ab", channel, timestamp=timestamp), layouts)
        assert (found.channel, found.timestamp_us, found.frame.data) == (channel, timestamp, b"ab")


def test_a_clock_that_is_left_out():
    found = split_one(raw(FROM_BUS, 0x181, 8, b"12345678"), [TIMED], stamp=lambda us, now_ns: 1 // 0)
    assert (found.timestamp_us, found.frame.time_ns) == (None, NOW)


def test_the_clock_is_not_asked_about_what_is_no_frame():
    """One time that is junk would spoil the clock for the frames after it."""
    splitter = FrameSplitter([TIMED], 64, lambda us, now_ns: 1 // 0)
    assert splitter.split(raw(FROM_BUS, 0xFFFF, 8, bytes(8), timestamp=5), NOW) == []
    assert splitter.split(raw(FROM_BUS, 0x123, 8, bytes(8), 7, timestamp=5), NOW) == []
    assert counters(splitter) == (0, 1, 1, 0)


@pytest.mark.parametrize("dlc", range(16))
def test_dlc_codes_of_can_fd(dlc):
    payload = bytes(range(1, 65))
    frame = split_one(raw(FROM_BUS, 0x181, dlc, payload, flags=2)).frame
    assert (frame.fd, frame.dlc, frame.data) == (True, dlc, payload[: FD_LENGTHS[dlc]])


@pytest.mark.parametrize("dlc", range(9, 16))
def test_a_raw_dlc_of_a_classic_frame(dlc):
    frame = split_one(raw(FROM_BUS, 0x181, dlc, b"12345678")).frame
    assert (frame.fd, frame.dlc, frame.data) == (False, dlc, b"12345678")


def test_flags_of_can_fd_in_a_classic_frame_mean_nothing():
    frame = split_one(raw(FROM_BUS, 0x181, 2, b"ab", flags=4 | 8)).frame
    assert (frame.fd, frame.brs, frame.esi) == (False, False, False)


def test_the_device_says_that_it_lost_frames():
    found = split_one(raw(FROM_BUS, 0x181, 2, b"ab", flags=1))
    assert found.overflow
    assert found.frame.data == b"ab"
    assert not split_one(raw(FROM_BUS, 0x181, 2, b"ab")).overflow


def test_an_error_frame():
    frame = split_one(raw(FROM_BUS, 0x2000_0204, 8, bytes.fromhex("0008000000006000"))).frame
    assert frame.error
    assert frame.can_id == 0x204
    assert frame.data == bytes.fromhex("0008000000006000")
    assert not frame.extended


@pytest.mark.parametrize("bits", [0x8000_0000, 0x4000_0000, 0xC000_0000])
def test_an_error_frame_with_other_bits(bits):
    frame = split_one(raw(FROM_BUS, 0x2000_0088 | bits, 15, bytes(8), flags=2 | 4)).frame
    assert (frame.error, frame.can_id, frame.data, frame.fd) == (True, 0x88, bytes(8), False)


def test_a_cantact_pro_that_zeroed_a_byte():
    """NXP erratum USB.15; Linux drops such a frame as an echo that is out of range."""
    splitter = FrameSplitter([CLASSIC], 512)
    (found,) = splitter.split(b"\0" + raw(FROM_BUS, 0x181, 2, b"ab")[1:])
    assert found.echo_id is None
    assert found.frame.data == b"ab"
    assert counters(splitter) == (0, 0, 0, 1)


def test_an_echo_of_cannectivity_has_nothing_but_its_id():
    found = split_one(raw(7, 0, 0, b""))
    assert (found.echo_id, found.frame.data) == (7, b"")


@pytest.mark.parametrize("data", [raw(7, 0x123, 8, b"", room=0), raw(7, 0x123, 15, bytes(9), flags=2, room=9)])
def test_an_echo_without_its_data_is_an_echo(data):
    assert split_one(data).echo_id == 7


@pytest.mark.parametrize(
    ("can_id", "dlc", "flags"), [(0xFFFF, 8, 0), (0x123, 99, 0), (0x123, 16, 2), (0x4000_0123, 0, 2)]
)
def test_an_echo_that_is_no_frame_still_frees_its_place(can_id, dlc, flags):
    assert split_one(raw(3, can_id, dlc, b"", flags=flags)).echo_id == 3


@pytest.mark.parametrize(
    ("can_id", "dlc", "flags"),
    [
        (0x800, 8, 0),
        (0x1FFF_FFFF, 8, 0),
        (0x4000_0800, 0, 0),
        (0x123, 16, 0),
        (0x123, 16, 2),
        (0x123, 255, 2),
        (0x4000_0123, 0, 2),
        (0xC000_0123, 0, 2),
    ],
)
def test_what_no_bus_can_carry_is_counted(can_id, dlc, flags):
    splitter = FrameSplitter([CLASSIC], 64)
    assert splitter.split(raw(FROM_BUS, can_id, dlc, b"", flags=flags)) == []
    assert counters(splitter) == (0, 1, 0, 0)


@pytest.mark.parametrize("channel", [2, 3, 255])
def test_a_channel_that_the_device_does_not_have(channel):
    """Linux detaches the whole device for it."""
    splitter = FrameSplitter([CLASSIC, CLASSIC], 64)
    assert splitter.split(raw(FROM_BUS, 0x123, 8, bytes(8), channel)) == []
    assert counters(splitter) == (0, 0, 1, 0)
    assert splitter.split(raw(FROM_BUS, 0x123, 0, b"", 1))[0].channel == 1


@pytest.mark.parametrize("channels", [[CLASSIC], [TIMED], [CLASSIC, TIMED], []])
def test_nothing_is_nothing(channels):
    splitter = FrameSplitter(channels, 64)
    assert splitter.split(b"") == []
    assert counters(splitter) == (0, 0, 0, 0)


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_truncated_transfer(cut):
    """What has all of its data is a frame, as it is for Linux."""
    splitter = FrameSplitter([CLASSIC], 64)
    found = splitter.split(raw(FROM_BUS, 0x181, 2, b"ab")[:cut])
    assert [host.frame.data for host in found] == ([b"ab"] if cut >= 14 else [])
    assert counters(splitter) == (int(cut < 14), 0, 0, 0)


def test_a_transfer_of_can_fd_that_was_cut_at_its_first_packet():
    splitter = FrameSplitter([FD], 64)
    assert splitter.split(raw(FROM_BUS, 0x181, 15, bytes(range(64)), flags=2)[:64]) == []
    assert counters(splitter) == (1, 0, 0, 0)


# --- several in one transfer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_packet", [32, 64])
@pytest.mark.parametrize("layout", [CLASSIC, TIMED])
@pytest.mark.parametrize("filler", [b"\0", b"\xa5", b"\xff"])
def test_frames_that_fill_a_packet_come_several_at_a_time(max_packet, layout, filler):
    """What they are filled up with is zero, or what was in the device's memory."""
    timestamp = 5 if layout.timestamps else None
    frames = [raw(FROM_BUS, 0x180 + n, 8, bytes([n] * 8), timestamp=timestamp) for n in range(5)]
    splitter = FrameSplitter([layout], max_packet)
    found = splitter.split(b"".join(frame.ljust(max_packet, filler) for frame in frames))
    assert [host.frame.can_id for host in found] == [0x180, 0x181, 0x182, 0x183, 0x184]
    assert [host.frame.data[0] for host in found] == [0, 1, 2, 3, 4]
    assert counters(splitter) == (0, 0, 0, 0)


def test_a_frame_of_can_fd_after_filled_ones():
    data = raw(FROM_BUS, 0x181, 1, b"a").ljust(64, b"\0") + raw(FROM_BUS, 0x182, 15, bytes(64), flags=2)
    splitter = FrameSplitter([FD], 64)
    assert [host.frame.can_id for host in splitter.split(data)] == [0x181, 0x182]
    assert counters(splitter) == (0, 0, 0, 0)


@pytest.mark.parametrize("max_packet", [32, 64, 512])
def test_frames_one_right_after_the_other(max_packet):
    """No device does so. A hub or a tunnel between may."""
    data = b"".join(raw(FROM_BUS if n % 2 else n, 0x180 + n, 1, b"a") for n in range(1, 9))
    splitter = FrameSplitter([CLASSIC], max_packet)
    assert [host.frame.can_id for host in splitter.split(data)] == list(range(0x181, 0x189))
    assert counters(splitter) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [21, 76, 77])
def test_an_echo_in_the_form_it_was_sent(size):
    """A classic frame in a long transfer, and the odd byte of the CANtact Pro's erratum."""
    found = split_one(raw(4, 0x123, 2, b"ab").ljust(size, b"\0"), [FD], 64)
    assert (found.echo_id, found.frame.data) == (4, b"ab")


def test_an_odd_echo_of_can_fd():
    assert split_one(raw(4, 0x123, 9, bytes(12), flags=2) + b"\0", [FD], 512).frame.data == bytes(12)


def test_what_follows_a_frame_and_is_nothing_is_counted():
    splitter = FrameSplitter([CLASSIC], 64)
    assert len(splitter.split(raw(FROM_BUS, 0x181, 1, b"a") + b"garbage")) == 1
    assert counters(splitter) == (0, 1, 0, 0)


def test_a_filled_transfer_that_was_cut():
    frame = raw(FROM_BUS, 0x181, 1, b"a").ljust(32, b"\0")
    splitter = FrameSplitter([CLASSIC], 32)
    assert len(splitter.split(frame + frame[:7])) == 1
    assert counters(splitter) == (1, 0, 0, 0)


# --- properties -----------------------------------------------------------------------------------------------------


@st.composite
def frames(draw, fd=True):
    kind = draw(st.sampled_from(["data", "remote", "raw dlc", *(["fd"] if fd else [])]))
    extended = draw(st.booleans())
    can_id = draw(st.integers(0, 0x1FFF_FFFF if extended else 0x7FF))
    if kind == "remote":
        return Frame(can_id, extended=extended, remote=True, dlc=draw(st.integers(0, 15)))
    if kind == "raw dlc":
        data = draw(st.binary(min_size=8, max_size=8))
        return Frame(can_id, data, extended, dlc=draw(st.integers(9, 15)))
    if kind == "fd":
        length = draw(st.sampled_from(FD_LENGTHS))
        data = draw(st.binary(min_size=length, max_size=length))
        return Frame(can_id, data, extended, fd=True, brs=draw(st.booleans()), esi=draw(st.booleans()))
    return Frame(can_id, draw(st.binary(max_size=8)), extended)


layouts = st.builds(Layout, st.booleans(), st.booleans(), st.booleans())
max_packets = st.sampled_from([32, 64, 512])
echo_ids = st.integers(0, 9) | st.integers(0, 0xFFFF_FEFF)


def as_device_sends(data, frame, layout, timestamp):
    """What the device makes of what it was sent, when it echoes it."""
    data = data[: 76 if frame.fd else 20]
    return data + struct.pack("<I", timestamp) if layout.timestamps else data


@given(
    frames(), echo_ids, st.integers(0, 2), st.lists(layouts, min_size=3, max_size=3), max_packets, st.integers(0, 99)
)
def test_what_is_packed_is_split_again(frame, echo_id, channel, channels, max_packet, timestamp):
    layout = channels[channel]
    assume(layout.fd or not frame.fd)
    data = pack_frame(frame, echo_id, channel, layout)
    assert len(data) == (76 if layout.fd else 20) + layout.pad_lpc
    found = split_one(as_device_sends(data, frame, layout, timestamp), channels, max_packet)
    assert (found.channel, found.echo_id) == (channel, echo_id)
    assert found.timestamp_us == (timestamp if layout.timestamps else None)
    assert same(found.frame, frame)


@given(st.lists(frames(fd=False), min_size=1, max_size=8), st.sampled_from([32, 64]), st.booleans())
def test_filled_frames_are_all_found(sent, max_packet, timed):
    layout = Layout(timestamps=timed)
    parts = [as_device_sends(pack_frame(f, n + 1, 0, layout), f, layout, 9) for n, f in enumerate(sent)]
    splitter = FrameSplitter([layout], max_packet)
    found = splitter.split(b"".join(part.ljust(max_packet, b"\0") for part in parts))
    assert [host.echo_id for host in found] == list(range(1, len(sent) + 1))
    assert all(same(host.frame, frame) for host, frame in zip(found, sent, strict=True))
    assert counters(splitter) == (0, 0, 0, 0)


@given(frames(), layouts, max_packets, st.data())
def test_a_cut_never_raises_and_never_changes_a_frame(frame, layout, max_packet, data):
    assume(layout.fd or not frame.fd)
    whole = as_device_sends(pack_frame(frame, 5, 0, layout), frame, layout, 9)
    whole = b"\xff\xff\xff\xff" + whole[4:]
    cut = data.draw(st.integers(1, len(whole) - 1))
    splitter = FrameSplitter([layout], max_packet)
    found = splitter.split(whole[:cut])
    assert len(found) + sum(counters(splitter)) == 1
    assert all(same(host.frame, frame) for host in found)


@given(st.binary(max_size=200), st.lists(layouts, max_size=3), max_packets | st.just(0))
@example(bytes(512), [CLASSIC], 512)
@example(b"\xff" * 512, [CLASSIC], 512)
@example(b"\xff" * 512, [], 32)
def test_noise_never_raises(noise, channels, max_packet):
    splitter = FrameSplitter(channels, max_packet)
    found = splitter.split(noise, NOW)
    assert all(host.channel < len(channels) for host in found)
    if noise:
        assert found or sum(counters(splitter)), "nothing is left out in silence"


@st.composite
def damaged(draw):
    """Nearly frames: bits flipped, bytes missing, something in between."""
    data = bytearray()
    for _ in range(draw(st.integers(1, 4))):
        flags = draw(st.sampled_from([0, 0, 1, 2, 6, 15, 255]))
        can_id = draw(st.sampled_from([0x181, 0x8000_0181, 0x4000_0181, 0x2000_0004, 0xFFFF_FFFF, 0x800]))
        echo_id = draw(st.sampled_from([FROM_BUS, 0xFFFF_FF00, 0, 9]))
        dlc = draw(st.integers(0, 17))
        part = raw(echo_id, can_id, dlc, b"data", draw(st.integers(0, 2)), flags, draw(st.sampled_from([None, 5])))
        data += part[: draw(st.integers(0, len(part)))] if draw(st.booleans()) else part
    return bytes(data)


@given(damaged(), st.lists(layouts, min_size=1, max_size=3), max_packets)
def test_damage_never_raises(data, channels, max_packet):
    splitter = FrameSplitter(channels, max_packet)
    found = splitter.split(data, NOW)
    assert not data or found or sum(counters(splitter))
