"""A bus that loses frames, and a node that is not there: what the software says about it.

The faults are plain data with a seed, so the same run happens again. On a manual clock a minute of bus time takes
no time at all. Run it from anywhere: python examples/04_faulty_bus.py
"""

import opendiag
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.stepim import StepIM

faults = [
    Fault("drop", service="sdo response", node=5, nth=3),  # the third SDO answer of node 5 is lost
    Fault("error", probability=0.01),  # and one frame in a hundred is destroyed on the wire
]
bus = SimBus(1_000_000, faults=faults, seed=1)
bus.attach(StepIM(node_id=5), "motor")

with opendiag.connect(bus, clock=opendiag.ManualClock()) as network:
    motor = network.node(5, "stepim")
    values = [motor[0x1018, 1].read() for _ in range(300)]
    print(f"300 reads, all right: {set(values) == {0x2E1}}")
    print(f"faults that happened: {len(bus.fired)}, the first: {bus.fired[0].fault.action}")

    # A read of a node that is not there ends with the reason.
    try:
        network[7].upload(0x1000)
    except opendiag.OpenDiagError as error:
        print("node 7:", error)
        print("what to do:", error.why[0].advice)
