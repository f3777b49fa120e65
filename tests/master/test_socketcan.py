"""The live commands on a real SocketCAN interface, under the lab's kernel."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab


def test_simulated_devices_and_commands_meet_on_socketcan(lab):
    done = lab(sys.executable, str(Path(__file__).with_name("socketcan_scene.py")), timeout_s=120)
    printed = done.stdout
    assert done.returncode == 0, printed + done.stderr
    assert "Manufacturer Device Name" in printed or "1008:00" in printed
    assert "0x000002E1" in printed
    assert "read back: the same" in printed
    assert "cannot read 1000:00 Device type of node 7: no answer" in printed
    assert "SDO       ok" in printed
    assert "PRE-OPERATIONAL" in printed
    assert "6081:00 Profile velocity" in printed or "6081:00 Profile Velocity" in printed
