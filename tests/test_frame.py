"""What a CAN frame may be: every rule of classic CAN and CAN FD, and how an identifier is printed."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.frame import FD_LENGTHS, MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame


def refused(reason, *args, **fields):
    with pytest.raises(ValueError, match=reason):
        Frame(*args, **fields)


# --- identifier


def test_an_11_bit_identifier_ends_at_7ff():
    assert MAX_STANDARD_ID == 0x7FF
    assert Frame(0x7FF).can_id == 0x7FF
    assert Frame(0).can_id == 0
    refused("0x800 is outside 0..0x7ff", 0x800)
    refused("-0x1 is outside", -1)


def test_a_29_bit_identifier_ends_at_1fffffff():
    assert MAX_EXTENDED_ID == 0x1FFFFFFF
    assert Frame(0x1FFF_FFFF, extended=True).can_id == 0x1FFF_FFFF
    assert Frame(0, extended=True).extended
    refused("0x20000000 is outside 0..0x1fffffff", 0x2000_0000, extended=True)
    refused("outside", -1, extended=True)


def test_an_error_frame_has_29_class_bits():
    assert Frame(0x1FFF_FFFF, bytes(8), error=True).error
    refused("outside", 0x2000_0004, error=True)


# --- classic frames


@pytest.mark.parametrize("length", range(9))
def test_a_classic_frame_has_up_to_8_bytes_and_their_dlc(length):
    assert Frame(1, bytes(length)).dlc == length
    assert Frame(1, bytes(length), dlc=length) == Frame(1, bytes(length))


def test_a_classic_frame_has_no_9_bytes():
    refused("9 data bytes in a classic CAN frame", 1, bytes(9))


@pytest.mark.parametrize("dlc", range(9, 16))
def test_a_dlc_of_9_to_15_is_kept_with_8_bytes(dlc):
    assert Frame(1, bytes(8), dlc=dlc).dlc == dlc
    assert Frame(1, bytes(8), dlc=dlc) != Frame(1, bytes(8))
    refused(f"DLC {dlc} does not belong to 7 data bytes", 1, bytes(7), dlc=dlc)


@pytest.mark.parametrize("dlc", [-2, 0, 7, 16])
def test_a_dlc_that_does_not_belong_to_8_bytes(dlc):
    refused(f"DLC {dlc} does not belong to 8 data bytes", 1, bytes(8), dlc=dlc)


def test_a_dlc_without_its_data():
    refused("DLC 8 does not belong to 0 data bytes", 1, dlc=8)


@pytest.mark.parametrize("flag", ["brs", "esi"])
def test_brs_and_esi_belong_to_can_fd(flag):
    refused("BRS and ESI exist in CAN FD frames only", 1, b"", **{flag: True})
    assert getattr(Frame(1, b"", fd=True, **{flag: True}), flag)


# --- remote frames


@pytest.mark.parametrize("dlc", range(16))
def test_a_remote_frame_asks_for_any_dlc(dlc):
    assert Frame(1, remote=True, dlc=dlc).dlc == dlc


def test_a_remote_frame_without_a_dlc_asks_for_nothing():
    assert Frame(1, remote=True).dlc == 0


@pytest.mark.parametrize("dlc", [-2, 16])
def test_a_remote_frame_has_4_bits_of_dlc(dlc):
    refused(f"DLC {dlc} does not belong", 1, remote=True, dlc=dlc)


def test_a_remote_frame_carries_no_data():
    refused("a remote frame carries no data", 1, b"\0", remote=True)


# --- CAN FD


@pytest.mark.parametrize(
    ("length", "dlc"), [(0, 0), (8, 8), (12, 9), (16, 10), (20, 11), (24, 12), (32, 13), (48, 14), (64, 15)]
)
def test_can_fd_lengths_and_their_dlc(length, dlc):
    assert Frame(1, bytes(length), fd=True).dlc == dlc
    assert Frame(1, bytes(length), fd=True, dlc=dlc) == Frame(1, bytes(length), fd=True)


@pytest.mark.parametrize("length", sorted(set(range(70)) - set(FD_LENGTHS)))
def test_lengths_that_do_not_exist_in_can_fd(length):
    refused(f"{length} data bytes do not exist in CAN FD", 1, bytes(length), fd=True)


@pytest.mark.parametrize(("length", "dlc"), [(8, 9), (12, 12), (64, 64), (0, -2), (12, 8)])
def test_a_dlc_that_does_not_belong_in_can_fd(length, dlc):
    refused(f"DLC {dlc} does not belong to {length} bytes of CAN FD data", 1, bytes(length), fd=True, dlc=dlc)


def test_can_fd_has_no_remote_frames():
    refused("CAN FD has no remote frames", 1, fd=True, remote=True)


# --- as a value


def test_frames_with_the_same_fields_are_equal():
    assert Frame(0x665, b"\x40", channel="can0", time_ns=5) == Frame(0x665, b"\x40", channel="can0", time_ns=5)
    assert hash(Frame(0x665, b"\x40")) == hash(Frame(0x665, b"\x40", dlc=1))
    assert len({Frame(0x665, b"\x40"), Frame(0x665, b"\x40", dlc=1)}) == 1


@pytest.mark.parametrize(
    "other",
    [
        Frame(0x666, b"\x40"),
        Frame(0x665, b"\x41"),
        Frame(0x665, b"\x40", extended=True),
        Frame(0x665, b"\x40", error=True),
        Frame(0x665, b"\x40", fd=True),
        Frame(0x665, remote=True, dlc=1),
        Frame(0x665, b"\x40", channel="can0"),
        Frame(0x665, b"\x40", direction="tx"),
        Frame(0x665, b"\x40", time_ns=0),
    ],
    ids=repr,
)
def test_every_field_counts(other):
    assert Frame(0x665, b"\x40") != other


def test_a_frame_cannot_be_changed():
    frame = Frame(0x665, b"\x40")
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.can_id = 1
    assert not hasattr(frame, "__dict__"), "no slots"
    assert dataclasses.replace(frame, time_ns=7).time_ns == 7


@given(length=st.sampled_from(FD_LENGTHS), fd=st.booleans())
def test_a_frame_is_rebuilt_from_its_own_fields(length, fd):
    frame = Frame(1, bytes(length if fd else min(length, 8)), fd=fd)
    assert dataclasses.replace(frame) == frame


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(0x5), "005"),
        (Frame(0x7FF), "7FF"),
        (Frame(0x5, extended=True), "00000005"),
        (Frame(0x1FFF_FFFF, extended=True), "1FFFFFFF"),
        (Frame(0x4, bytes(8), error=True), "20000004"),
    ],
)
def test_identifiers_are_printed_as_candump_does(frame, text):
    assert frame.id_text == text
