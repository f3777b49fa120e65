"""Process data: put objects into a PDO, have SYNC make it come, and send set-points.

Run it from anywhere: python examples/06_process_data.py
"""

import opendiag

with opendiag.connect("sim:stepim", clock=opendiag.ManualClock()) as network:
    motor = network[101]
    fast = motor.pdo.tpdo(1)
    fast.map(["Statusword", "Position Actual Internal Value"], transmission_type=1)  # with each SYNC
    for row in fast.show():
        print(f"bit {row.bit:2}, {row.bits} bits: {row.name}")

    with fast.samples() as samples:
        motor.nmt.start(confirm=False)
        cycle = network.sync(0.001)
        network.sleep(0.1)
        cycle.stop()
    received = list(samples)
    print(f"{len(received)} samples in 0.1 s, the last one {dict(received[-1].values)}")

    # Nothing is sent before every object of an RPDO has a value: load() takes those that the device holds.
    profile = motor.pdo.rpdo(2)
    profile.load()
    profile["Profile Velocity"] = 3000
    profile.send()
    network.sync(0.001)  # RPDO2 acts with the next SYNC
    network.sleep(0.01)
    print("profile velocity:", motor["Profile Velocity"].read())
