"""The short cut reads what the long way reads, and nothing else."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters import gs_usb_plain_codec
from opendiag.adapters.gs_usb_codec import FrameSplitter, Layout
from opendiag.adapters.gs_usb_plain_codec import PlainFrames
from opendiag.frame import Frame

FROM_BUS = 0xFFFFFFFF
NOW = 1_700_000_000_000_000_000


def stamp(us, now_ns):
    return now_ns - 1_000_000_000 + us * 1000


def short_cut_and_long_way(data, timed, channels=2):
    layouts = [Layout(timestamps=timed)] * channels
    plain = PlainFrames(layouts, stamp)
    assert plain.size == (24 if timed else 20)
    long = FrameSplitter(layouts, 64, stamp).split(data, NOW)
    return plain.read(data, NOW), long


@given(
    echo_id=st.sampled_from([FROM_BUS, FROM_BUS, FROM_BUS, 0xFFFFFF00, 0, 9]),
    can_id=st.one_of(st.integers(0, 0x7FF), st.integers(1 << 31, (1 << 31) + 0x1FFFFFFF), st.integers(0, 0xFFFFFFFF)),
    dlc=st.integers(0, 16),
    channel=st.integers(0, 3),
    flags=st.sampled_from([0, 0, 0, 1, 2, 6]),
    payload=st.binary(min_size=8, max_size=8),
    us=st.integers(0, 900_000),
    timed=st.booleans(),
)
def test_what_it_reads_is_what_the_long_way_reads(echo_id, can_id, dlc, channel, flags, payload, us, timed):
    data = struct.pack("<IIBBBB8s", echo_id, can_id, dlc, channel, flags, 0, payload)
    data += struct.pack("<I", us) if timed else b""
    found, long = short_cut_and_long_way(data, timed)
    if found is None:
        plain_id = can_id <= 0x7FF or 1 << 31 <= can_id < 0xA0000000
        assert echo_id != FROM_BUS or flags or dlc > 8 or channel > 1 or not plain_id
    else:
        assert len(long) == 1 and long[0].echo_id is None
        assert found == (long[0].channel, long[0].frame)


@given(st.binary(min_size=24, max_size=24), st.booleans())
def test_any_bytes_will_do(data, timed):
    data = data if timed else data[:20]
    found, long = short_cut_and_long_way(data, timed)
    assert found is None or found == (long[0].channel, long[0].frame)


def test_frames_are_whole_frames():
    for make in (gs_usb_plain_codec._made, gs_usb_plain_codec._constructed):
        frame = make(0x1ABCDEF, b"abc", True, 3, 5)
        assert frame == Frame(0x1ABCDEF, b"abc", extended=True, direction="rx", time_ns=5)
        assert type(frame) is Frame
        assert hash(frame) == hash(Frame(0x1ABCDEF, b"abc", extended=True, direction="rx", time_ns=5))
        with pytest.raises(AttributeError):
            frame.can_id = 1


def test_where_objects_cannot_change_their_class_frames_are_constructed(monkeypatch):
    def refuse(*arguments):
        raise TypeError("__class__ assignment: object layout differs")

    monkeypatch.setattr(gs_usb_plain_codec, "_made", refuse)
    assert gs_usb_plain_codec._fastest() is gs_usb_plain_codec._constructed


def test_channels_that_differ_have_no_short_cut():
    assert PlainFrames([Layout(timestamps=True), Layout()], stamp).size == 0


def test_the_clock_is_asked_now_and_then_and_when_time_would_lie_ahead_or_far_back():
    asked = []

    def clock(us, now_ns):
        asked.append(us)
        return min(NOW - 2_000_000 + us * 1000, now_ns)

    plain = PlainFrames([Layout(timestamps=True)], clock)

    def time_at(us, now_ns):
        data = struct.pack("<IIBBBB8sI", FROM_BUS, 1, 8, 0, 0, 0, bytes(8), us)
        return plain.read(data, now_ns)[1].time_ns

    first = time_at(1000, NOW)
    assert time_at(1500, NOW + 600_000) == first + 500_000
    assert asked == [1000]
    time_at(3_000_000, NOW + 700_000)  # ahead of the host
    time_at(2000, NOW + 800_000)  # the counter went back
    time_at(2100, NOW + 500_000_000)  # a long time later
    assert asked == [1000, 3_000_000, 2000, 2100]
