"""What the kernel says about an interface: real answers, whole and damaged."""

from __future__ import annotations

import contextlib
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.rtnetlink_codec import NoAnswer, link_request, read_link

#: Linux 6.12 about a gs_usb adapter at 500 kbit/s, without what has nothing to do with CAN.
GS_USB = bytes.fromhex(
    "e00100001000000007000000310000000000180106000000c1000500000000000900030063616e300000000008000d000a00"
    "000005001000060000000800040010000000cc00170002000000000000000100000000000000040000000000000002000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000bc0012000800010063616e001c000300000000000000000000000000"
    "000000000000000000000000940002002400010020a107006b0300007d000000060000000700000002000000010000000600"
    "00003400020067735f7573620000000000000000000001000000100000000100000008000000040000000100000000040000"
    "0100000008000300006cdc0208000400000000000c0005000000000000000000080006000000000008000f00000000000c00"
    "118008000100000100000c003800322d313a312e30000800390075736200"
)
#: The same kernel about a vcan, and about an interface that does not exist.
VCAN = bytes.fromhex(
    "200100001000000007000000310000000000180102000000c1000100000000000a0003007663616e3000000008000d00e803"
    "000005001000000000000800040048000000cc00170000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000010001200090001007663616e00000000"
)
NO_SUCH = bytes.fromhex(
    "40000000020000000700000031000000edffffff2c00000012000100070000000000000000000000"
    "00000000000000000b0003006e6f737563680000"
)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def answer(*attributes: bytes) -> bytes:
    body = struct.pack("=BxHiII", 0, 280, 6, 0x100C1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 16, 0, 7, 0) + body


def can_link(*attributes: bytes) -> bytes:
    return answer(attribute(18, attribute(1, b"can\0") + attribute(2, b"".join(attributes))))


def test_the_question() -> None:
    asked = link_request("can0", 7)
    assert (
        asked.hex() == "2c00000012000100070000000000000000000000000000000000000000000000" + "0900030063616e3000000000"
    )
    assert len(asked) == struct.unpack_from("=I", asked)[0]


def test_an_adapter() -> None:
    found = read_link(GS_USB)
    assert (found["ifname"], found["ifindex"], found["mtu"], found["txqlen"]) == ("can0", 6, 16, 10)
    assert (found["operstate"], found["parentbus"], found["parentdev"]) == ("UP", "usb", "2-1:1.0")
    info = found["linkinfo"]
    assert info["info_kind"] == "can"
    assert info["info_data"] == {
        "bittiming": {
            "bitrate": 500_000,
            "sample_point": "0.875",
            "tq": 125,
            "prop_seg": 6,
            "phase_seg1": 7,
            "phase_seg2": 2,
            "sjw": 1,
            "brp": 6,
        },
        "bittiming_const": {
            "name": "gs_usb",
            "tseg1": {"min": 1, "max": 16},
            "tseg2": {"min": 1, "max": 8},
            "sjw": {"min": 1, "max": 4},
            "brp": {"min": 1, "max": 1024},
            "brp_inc": 1,
        },
        "clock": 48_000_000,
        "restart_ms": 0,
        "state": "ERROR-ACTIVE",
        "ctrlmode": [],
    }
    assert info["info_xstats"]["bus_off"] == 0
    assert (found["stats64"]["rx"]["packets"], found["stats64"]["tx"]["bytes"]) == (2, 2)


def test_a_virtual_one_has_no_controller() -> None:
    found = read_link(VCAN)
    assert found["linkinfo"] == {"info_kind": "vcan"}
    assert (found["ifname"], found["mtu"], found["operstate"]) == ("vcan0", 72, "UNKNOWN")


def test_what_only_some_controllers_tell() -> None:
    timing = struct.pack("=8I", 2_000_000, 750, 25, 5, 9, 5, 4, 1)
    info = read_link(
        can_link(
            attribute(4, struct.pack("=I", 3)),
            attribute(5, struct.pack("=II", 0x32, 0x32)),
            attribute(8, struct.pack("=HH", 248, 127)),
            attribute(9 | 0x8000, timing),
            attribute(11, struct.pack("=H", 120)),
        )
    )["linkinfo"]["info_data"]
    assert info["state"] == "BUS-OFF"
    assert info["ctrlmode"] == ["LISTEN-ONLY", "BERR-REPORTING", "FD"]
    assert info["berr_counter"] == {"tx": 248, "rx": 127}
    assert (info["data_bittiming"]["bitrate"], info["data_bittiming"]["sample_point"]) == (2_000_000, "0.750")
    assert info["termination"] == 120


def test_the_counters_are_where_the_kernel_has_them() -> None:
    statistics = struct.pack("=24Q", *range(24))
    found = read_link(answer(attribute(23, statistics)))["stats64"]
    assert found["rx"]["dropped"] == 6 and found["tx"]["dropped"] == 7
    assert found["rx"]["over_errors"] == 11 and found["rx"]["packets"] == 0 and found["tx"]["carrier_errors"] == 17
    info = attribute(1, b"can\0") + attribute(3, struct.pack("=6I", *range(1, 7)))
    assert read_link(answer(attribute(18, info)))["linkinfo"]["info_xstats"] == {
        "bus_error": 1,
        "error_warning": 2,
        "error_passive": 3,
        "bus_off": 4,
        "arbitration_lost": 5,
        "restarts": 6,
    }


def test_a_state_that_is_new_to_us_is_shown_as_its_number() -> None:
    assert read_link(can_link(attribute(4, struct.pack("=I", 9))))["linkinfo"]["info_data"]["state"] == "9"


def test_an_error_of_the_kernel() -> None:
    with pytest.raises(NoAnswer, match="No such device") as error:
        read_link(NO_SUCH)
    assert error.value.number == errno.ENODEV


@pytest.mark.parametrize("data", [b"", b"\1", bytes(16), struct.pack("=IHHII", 16, 3, 0, 7, 0), GS_USB[:100]])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(NoAnswer, match="netlink message") as error:
        read_link(data)
    assert error.value.number == 0


@given(st.data())
def test_damaged_answers_give_less_or_nothing(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from([GS_USB, VCAN, NO_SUCH])))
    for _ in range(data.draw(st.integers(0, 8))):
        damaged[data.draw(st.integers(16, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for answered in (bytes(damaged), bytes(damaged[:cut])):
        with contextlib.suppress(NoAnswer):
            assert isinstance(read_link(answered), dict)


@given(st.binary(max_size=200))
def test_any_attributes_are_read_or_left_out(data: bytes) -> None:
    assert read_link(answer(data))["ifindex"] == 6
    assert read_link(can_link(data))["linkinfo"]["info_kind"] == "can"
