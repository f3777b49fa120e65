"""The kernel's own slcan driver with our emulator, and with our driver on the other side of the bus."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab


def test_the_kernel_and_our_driver_talk_through_two_emulated_adapters(lab):
    done = lab(sys.executable, str(Path(__file__).with_name("slcan_kernel_scene.py")), timeout_s=120)
    printed = done.stdout
    assert done.returncode == 0, printed + done.stderr
    frames = "123#112233 1F334455#0000000000000000 77F#R"
    assert "kernel's adapter at 500000" in printed
    assert "ours is weact and SlcanBus" in printed
    assert f"kernel to ours {frames}" in printed
    assert f"ours to kernel {frames}" in printed
    assert "in order 300 of 300 True" in printed
    assert "malformed 0 stray 0" in printed
    assert "closed" in printed
