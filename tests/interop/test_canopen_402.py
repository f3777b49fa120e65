"""`canopen`'s drive class as the client of our simulated drives: enable, homing, profile position, fault reset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import canopen
import pytest
from canopen.profiles.p402 import BaseNode402

from opendiag.master.device_runner import DeviceRunner
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

pytestmark = pytest.mark.interop

NODE = 5
WAIT_S = 6.0
TURN = 4096


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for it, or fail."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what}"
        time.sleep(0.005)


@pytest.fixture
def client(channel: str) -> Iterator[canopen.Network]:
    """A network of `canopen` on the same bus."""
    made = canopen.Network()
    made.connect(interface="virtual", channel=channel)
    yield made
    made.disconnect()


@pytest.fixture(params=["servo", "stepim"])
def drive(request: pytest.FixtureRequest, run_devices: Callable[..., DeviceRunner]) -> SimDrive:
    """Ours, in a thread. `canopen` takes a TPDO for periodic once it has come twice: so it has an event timer."""
    made = SimDrive(servo_dictionary(), NODE) if request.param == "servo" else StepIM(NODE)
    for number in range(4):
        made.store.set(0x1400 + number, 2, 255)
        made.store.set(0x1800 + number, 3, 0)
        made.store.set(0x1800 + number, 5, 20)
    made.pdos.reload()
    run_devices(made)
    return made


@pytest.fixture
def node(client: canopen.Network, drive: SimDrive) -> BaseNode402:
    """`canopen`'s view of it, with the dictionary that ours hands over."""
    made = BaseNode402(NODE, drive.dictionary.to_canopen(NODE))
    client.add_node(made)
    until(lambda: drive.pds.made[-1:] == [1], "boot")
    made.nmt.state = "OPERATIONAL"
    made.setup_402_state_machine()
    until(lambda: made.state == "SWITCH ON DISABLED", "the first statusword")
    return made


def enable(node: BaseNode402, mode: str) -> None:
    node.op_mode = mode
    assert node.op_mode == mode
    node.state = "OPERATION ENABLED"
    assert node.state == "OPERATION ENABLED"


def test_it_enables_and_disables_our_drive(node: BaseNode402, drive: SimDrive) -> None:
    enable(node, "PROFILED POSITION")
    until(lambda: drive.energised, "the motor is under control")
    node.state = "SWITCH ON DISABLED"
    until(lambda: not drive.energised, "the motor is let go")


def test_it_homes_our_drive(node: BaseNode402, drive: SimDrive) -> None:
    drive.switches.negative = -1.0
    enable(node, "HOMING")
    node.sdo[0x6098].raw = 17
    node.sdo[0x6099][1].raw, node.sdo[0x6099][2].raw = (4 * TURN, TURN) if type(drive) is SimDrive else (24_000, 6_000)
    assert node.homing(timeout=WAIT_S)
    assert node.is_homed()
    assert abs(node.sdo[0x6064].raw) < 30
    assert drive.motor.position == pytest.approx(-1.0, abs=0.02)


def test_it_moves_our_drive_to_a_position(node: BaseNode402, drive: SimDrive) -> None:
    enable(node, "PROFILED POSITION")
    if isinstance(drive, StepIM):
        node.sdo[0x6081].raw, node.sdo[0x6083].raw = 30_000, 3_000
    node.sdo[0x607A].raw = 2 * TURN
    node.controlword = 0x1F
    until(lambda: node.sdo[0x6041].raw & 0x1000, "the set-point is acknowledged")
    node.controlword = 0x0F
    until(lambda: not node.sdo[0x6041].raw & 0x1000, "the next set-point may come")
    until(lambda: node.sdo[0x6041].raw & 0x400, "the target is reached")
    assert node.sdo[0x6064].raw == pytest.approx(2 * TURN, abs=100)


def test_it_resets_a_fault_of_our_drive(node: BaseNode402, drive: SimDrive) -> None:
    enable(node, "PROFILED VELOCITY")
    drive.inject(0x7305)
    until(lambda: node.state == "FAULT", "it hears of the fault")
    assert node.sdo[0x603F].raw == 0x7305
    until(lambda: node.emcy.active or node.emcy.log, "the EMCY")
    assert node.emcy.log[-1].code == 0x7305
    node.reset_from_fault()
    until(lambda: drive.energised, "it resets a fault by enabling the drive, as it does")
