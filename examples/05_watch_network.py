"""Who is there, who falls silent, who comes back: scan, heartbeats and events.

Run it from anywhere: python examples/05_watch_network.py
"""

import opendiag
from opendiag.services.emcy import EmcyReceived
from opendiag.services.heartbeat import NodeFound, NodeLost
from opendiag.simulate.bus import SimBus
from opendiag.simulate.stepim import StepIM

bus = SimBus(500_000)
motors = {node_id: StepIM(node_id) for node_id in (5, 6)}
for node_id, motor in motors.items():
    bus.attach(motor, f"motor {node_id}")

# A ManualClock moves when somebody waits: 20 s of bus take a moment. Leave it out on a real bus.
with opendiag.connect(bus, clock=opendiag.ManualClock()) as network:
    for found in network.scan():
        print(f"node {found.node_id}: {found.device}, {found.name}, answers within {found.response_s * 1000:.1f} ms")
        network[found.node_id][0x1017].write(100)  # a heartbeat every 100 ms
    with network.events(NodeLost, NodeFound, EmcyReceived) as events:
        network.sleep(2)
        motors[6].bus_voltage(8_000)  # the supply breaks down ...
        network.sleep(0.05)
        motors[6].power_off()  # ... and takes the drive with it
        network.sleep(3)
        motors[6].bus_voltage(48_000)
        motors[6].power_on(network.clock.now())
        network.sleep(2)
    for event in events:
        if isinstance(event, NodeLost):
            print(f"node {event.node_id} is lost: silent for {event.at - event.last_heard:.2f} s")
        elif isinstance(event, NodeFound):
            print(f"node {event.node_id} is back after {event.gap_s:.2f} s")
        else:
            print(f"node {event.node_id} reports {event.text}")
