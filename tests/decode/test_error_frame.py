"""Error frames in words: each class and each detail bit of Linux's `can/error.h`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.decode.error_frame import explain
from opendiag.frame import Frame


def text(error_class, **details):
    """``byte_2=0x04`` and so on are the detail bytes."""
    data = bytearray(8)
    for name, value in details.items():
        data[int(name.removeprefix("byte_"))] = value
    return explain(Frame(error_class, bytes(data), error=True))


@pytest.mark.parametrize(
    ("error_class", "details", "expected"),
    [
        (0x001, {}, "transmit timeout"),
        (0x002, {}, "lost arbitration"),
        (0x002, {"byte_0": 5}, "lost arbitration in bit 5"),
        (0x004, {}, "controller problem"),
        (0x004, {"byte_1": 0x01}, "receive buffer overflow, frames lost"),
        (0x004, {"byte_1": 0x02}, "transmit buffer overflow"),
        (0x004, {"byte_1": 0x04}, "receive error warning"),
        (0x004, {"byte_1": 0x08}, "transmit error warning"),
        (0x004, {"byte_1": 0x10}, "receive error passive"),
        (0x004, {"byte_1": 0x20}, "transmit error passive"),
        (0x004, {"byte_1": 0x40}, "back to error active"),
        (0x004, {"byte_1": 0x30}, "receive error passive, transmit error passive"),
        (0x008, {}, "protocol violation"),
        (0x008, {"byte_2": 0x01}, "single bit error"),
        (0x008, {"byte_2": 0x02}, "frame format error"),
        (0x008, {"byte_2": 0x04}, "bit stuffing error"),
        (0x008, {"byte_2": 0x08}, "could not send a dominant bit"),
        (0x008, {"byte_2": 0x10}, "could not send a recessive bit"),
        (0x008, {"byte_2": 0x20}, "bus overload"),
        (0x008, {"byte_2": 0x40}, "active error announcement"),
        (0x008, {"byte_2": 0x84, "byte_3": 0x0A}, "bit stuffing error, while sending at data field"),
        (0x008, {"byte_3": 0x19}, "protocol violation at acknowledge slot"),
        (0x010, {"byte_4": 0x04}, "transceiver status 04h"),
        (0x020, {}, "no acknowledge: no other node on the bus, wrong bit rate, or a broken line"),
        (0x040, {}, "bus-off: the controller has left the bus"),
        (0x080, {}, "bus error"),
        (0x100, {}, "controller restarted"),
        (0x200, {"byte_6": 128, "byte_7": 3}, "error counters: transmit 128, receive 3"),
        (0x000, {}, "error of unknown class"),
        (0x088, {"byte_2": 0x04, "byte_7": 9}, "bit stuffing error; bus error; error counters: transmit 0, receive 9"),
    ],
)
def test_what_the_controller_saw(error_class, details, expected):
    assert text(error_class, **details) == expected


@pytest.mark.parametrize("length", range(8))
def test_missing_detail_bytes_are_no_detail(length):
    assert explain(Frame(0x004, bytes(length), error=True)) == "controller problem"


@given(st.integers(0, 0x1FFF_FFFF), st.binary(max_size=8))
def test_every_error_frame_has_words(can_id, data):
    assert explain(Frame(can_id, data, error=True))
