"""Ask a drive why it does not move. Here somebody has pressed the button behind safe torque off, then blocks the shaft.

Run it from anywhere: python examples/12_why_not.py
"""

import opendiag
from opendiag.errors import DriveError
from opendiag.simulate.bus import SimBus
from opendiag.simulate.stepim import StepIM

motor = StepIM(101)
bus = SimBus()
bus.attach(motor, "node 101")


def explain(axis: opendiag.Drive, wanted: str) -> None:
    for finding in axis.why(wanted):
        print(f"  {finding.code}: {finding.sentence}")
        print(f"    {finding.advice}")


with opendiag.connect(bus, clock=opendiag.ManualClock()) as net, net.drive(101) as axis:
    net.sleep(2.0)
    motor.switches.torque_off = True
    try:
        axis.enable()
    except DriveError as error:
        print("enable:", error)
    explain(axis, "operation enabled")

    motor.switches.torque_off = False
    net.sleep(0.1)
    axis.reset()
    axis.enable()
    motor.motor.held = True
    try:
        axis.move_to(5, "rev", velocity="300 rpm")
    except DriveError as error:
        print("move:", error)
    explain(axis, "motion")
