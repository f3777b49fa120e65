"""Enable a drive, home it, move it, and disable it: here a simulated StepIM, with another name in `connect` a real one.

Run it from anywhere: python examples/09_first_motion.py [ADAPTER:CHANNEL@BITRATE]

On a real bus this moves the motor by two and a half turns: see that nobody is in its way.
"""

import sys

import opendiag
from opendiag.errors import DriveError

interface = sys.argv[1] if len(sys.argv) > 1 else "sim:stepim"

with opendiag.connect(interface) as net:
    # Limits are for this script: what is outside of them is refused before anything is sent, and stopped under way.
    with net.drive(101, limits={"position": ("-1 rev", "5 rev"), "velocity": "600 rpm"}) as axis:
        print("before:      ", axis.status)
        axis.enable()  # stands still, and holds; from a torque mode, or none, it goes to profile position first
        axis.home(method=35)  # here is zero
        print("at home:     ", axis.position, "rev")
        axis.move_to(2.5, "rev", velocity="300 rpm")
        print("moved to:    ", round(axis.position, 3), "rev")
        axis.move_by("-90 deg")
        print("and back to: ", round(axis.position, 3), "rev")
        try:
            axis.move_to(50, "rev")
        except DriveError as refused:
            print("refused:     ", refused)
    # The end of the block, an exception, Ctrl-C: the drive is stopped and disabled.
    print("after:       ", axis.status)
