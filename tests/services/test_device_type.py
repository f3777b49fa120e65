"""1000h in words."""

import pytest

from opendiag.services.device_type import device_type_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0x0002_0192, "402 servo drive"),
        (0x0001_0192, "402 frequency converter"),
        (0x0004_0192, "402 stepper motor"),
        (0xFF08_0192, "402 drive"),
        (0x0009_0191, "401 I/O device: digital inputs, analog outputs"),
        (0x0000_0191, "401 I/O device"),
        (0x0000_0196, "406 encoder"),
        (0x0000_0000, "no standard profile"),
        (0x1234_0000, "no standard profile"),
        (0x0000_03E7, "999"),
    ],
)
def test_words(value, text):
    assert device_type_text(value) == text
