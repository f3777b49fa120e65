"""The error register; codes and messages are among the golden vectors."""

import pytest

from opendiag.errors import WireError
from opendiag.wire.emcy import ERROR_REGISTER_BITS, Emcy, error_register_names


@pytest.mark.parametrize(
    ("register", "names"),
    [
        (0x00, []),
        (0x01, ["generic"]),
        (0x03, ["generic", "current"]),
        (0x14, ["voltage", "communication"]),
        (0x28, ["temperature", "device profile"]),
        (0x81, ["generic", "manufacturer"]),
        (0x40, ["reserved bit 6"]),
    ],
)
def test_error_register_names(register, names):
    assert error_register_names(register) == names


def test_every_bit_has_a_name_of_its_own():
    assert sorted(ERROR_REGISTER_BITS) == list(range(8))
    assert error_register_names(0xFF) == list(ERROR_REGISTER_BITS.values())
    assert len(set(ERROR_REGISTER_BITS.values())) == 8


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Emcy(0x1000, 1, b"1234"), "5 manufacturer bytes, not 4"),
        (Emcy(0x1000, 1, b"123456"), "5 manufacturer bytes, not 6"),
        (Emcy(0x10000, 1), "error code 65536 does not fit 16 bits"),
        (Emcy(0x1000, 256), "error register 256 does not fit 8 bits"),
        (Emcy(-1, 0), "error code -1"),
    ],
)
def test_what_does_not_fit_is_refused(message, reason):
    with pytest.raises(WireError, match=reason):
        message.encode()


def test_the_manufacturer_bytes_default_to_zeros():
    assert Emcy(0x8130, 0x11).encode() == bytes.fromhex("30 81 11 00 00 00 00 00")
