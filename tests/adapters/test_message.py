"""Frames to python-can's messages and back."""

from __future__ import annotations

from dataclasses import replace

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.message import constructed, from_message, received_message, to_message
from opendiag.frame import FD_LENGTHS, Frame

CLASSIC = st.builds(
    Frame, can_id=st.integers(0, 0x7FF), data=st.binary(max_size=8), channel=st.sampled_from([None, "can0"])
)
EXTENDED = st.builds(Frame, can_id=st.integers(0, 0x1FFF_FFFF), data=st.binary(max_size=8), extended=st.just(True))
REMOTE = st.builds(Frame, can_id=st.integers(0, 0x7FF), remote=st.just(True), dlc=st.integers(0, 8))
FD = st.builds(
    Frame,
    can_id=st.integers(0, 0x7FF),
    data=st.sampled_from(FD_LENGTHS).map(bytes),
    fd=st.just(True),
    brs=st.booleans(),
    esi=st.booleans(),
)


@given(CLASSIC | EXTENDED | REMOTE | FD)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    back = from_message(to_message(frame))
    for field in ("can_id", "data", "extended", "remote", "fd", "brs", "esi", "dlc", "channel"):
        assert getattr(back, field) == getattr(frame, field), field


@pytest.mark.parametrize("frame", [Frame(0x123, bytes(8), dlc=11), Frame(0x123, remote=True, dlc=9)])
def test_a_length_code_above_8_is_not_changed_in_silence(frame: Frame) -> None:
    with pytest.raises(ValueError, match=f"no classic frame with the length code {frame.dlc}"):
        to_message(frame)


def test_time_and_direction_are_kept() -> None:
    message = can.Message(timestamp=12.5, arbitration_id=5, is_extended_id=False, is_rx=False)
    frame = from_message(message)
    assert (frame.time_ns, frame.direction) == (12_500_000_000, "tx")


def test_an_error_message_is_an_error_frame() -> None:
    message = can.Message(arbitration_id=0x20000004, is_error_frame=True, data=bytes(8), is_extended_id=True)
    frame = from_message(message)
    assert (frame.error, frame.extended, frame.can_id) == (True, False, 0x4)


def test_a_message_no_bus_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        from_message(can.Message(arbitration_id=0x900, is_extended_id=False))


@given(CLASSIC | EXTENDED | REMOTE | FD)
def test_a_received_message_is_what_its_constructor_would_make(frame: Frame) -> None:
    frame = replace(frame, time_ns=12_500_000_000, direction="rx")
    fast, slow = received_message(frame, "can0"), constructed(frame, "can0")
    for name in set(can.Message.__slots__) - {"__weakref__"}:
        assert getattr(fast, name) == getattr(slow, name), name
        assert type(getattr(fast, name)) is type(getattr(slow, name)), name
