"""Error frames of adapters, bit by bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.error_frame_codec import describe_error
from opendiag.frame import Frame


def news(bits, data="0000000000000000"):
    return describe_error(Frame(bits, bytes.fromhex(data), error=True))


@pytest.mark.parametrize(
    ("bits", "data", "state"),
    [
        (0x204, "0008000000006000", "error-warning"),
        (0x204, "0004000000000060", "error-warning"),
        (0x204, "0020000000008000", "error-passive"),
        (0x204, "0010000000000080", "error-passive"),
        (0x204, "0028000000008060", "error-passive"),
        (0x204, "0040000000000000", "error-active"),
        (0x004, "0000000000000000", "error-active"),
        (0x204, "0000000000005F5F", "error-active"),
        (0x204, "0000000000006000", "error-warning"),
        (0x204, "0000000000000080", "error-passive"),
        (0x004, "0001000000000000", None),
        (0x004, "0002000000000000", None),
        (0x040, "0000000000000000", "bus-off"),
        (0x100, "0000000000000000", "error-active"),
        (0x140, "0000000000000000", "error-active"),
        (0x0A8, "0000000000000000", None),
        (0x200, "000000000000FFFF", None),
        (0x088, "0030000000000000", None),
    ],
)
def test_states(bits, data, state):
    assert news(bits, data).state == state


@pytest.mark.parametrize("controller", ["0C", "30"])
def test_old_candlelight_mixes(controller):
    """Bus-off, a protocol error and the controller's state at once."""
    found = news(0x4C, f"00{controller}080000007F80")
    assert found.state == "bus-off"
    assert found.bus_off
    assert found.classes == ("controller", "protocol", "bus-off")
    assert (found.tx_errors, found.rx_errors) == (0x7F, 0x80)


@pytest.mark.parametrize(
    ("bits", "data", "counters"),
    [
        (0x204, "000000000000607F", (0x60, 0x7F)),
        (0x200, "0000000000000000", (0, 0)),
        (0x004, "0000000000000000", (None, None)),
        (0x088, "0000000000000800", (8, 0)),
        (0x040, "", (None, None)),
    ],
)
def test_error_counters(bits, data, counters):
    found = news(bits, data)
    assert (found.tx_errors, found.rx_errors) == counters


def test_classes():
    assert news(0x3FF).classes == (
        *("tx-timeout", "arbitration-lost", "controller", "protocol", "transceiver"),
        *("no-ack", "bus-off", "bus-error", "restarted", "counters"),
    )
    assert news(0x0A8).classes == ("protocol", "no-ack", "bus-error")


def test_overflows():
    assert (news(4, "0001000000000000").rx_overflow, news(4, "0001000000000000").tx_overflow) == (True, False)
    assert (news(4, "0002000000000000").rx_overflow, news(4, "0002000000000000").tx_overflow) == (False, True)
    assert not news(8, "0003000000000000").rx_overflow, "without the class the byte says nothing"


def test_restarts():
    assert news(0x100).restarted
    assert not news(0x100).bus_off
    assert not news(0x040).restarted


@given(st.integers(0, 0x1FFF_FFFF), st.binary(max_size=8))
def test_any_error_frame_is_read(bits, data):
    found = describe_error(Frame(bits, data, error=True))
    assert found.bus_off == ("bus-off" in found.classes)
    assert found.state in (None, "error-active", "error-warning", "error-passive", "bus-off")
    assert (found.tx_errors is None) == (found.rx_errors is None)
