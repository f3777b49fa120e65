"""Read and write objects of a drive: here a simulated StepIM, with another name in `connect` a real one.

Run it from anywhere: python examples/02_read_write.py [ADAPTER:CHANNEL@BITRATE]
"""

import sys

import opendiag

interface = sys.argv[1] if len(sys.argv) > 1 else "sim:stepim"

with opendiag.connect(interface) as network:
    motor = network[101]  # nothing is sent yet
    print(f"node 101 is described by {motor.dictionary.name if motor.dictionary else 'the CiA tables'}")

    # By name or by number; values have the object's type.
    print("device name     ", motor[0x1008].read())
    print("vendor          ", hex(motor["Identity Object"]["Vendor ID"].read()))
    print("statusword      ", hex(motor["Statusword"].read()))
    print("temperature     ", motor[0x2044].read(), motor[0x2044].unit)

    # Written values are checked against the dictionary before anything is sent.
    speed = motor[0x6081]  # profile velocity
    before = speed.read()
    speed.write(5000)
    print(f"{speed.name}: {before} -> {speed.read()} ({speed.phys:g} {speed.unit})")
    try:
        motor[0x6060].write(9)
    except opendiag.OpenDiagError as refused:
        print("refused:", refused)

    speed.write(before)
