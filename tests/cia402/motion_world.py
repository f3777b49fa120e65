"""A simulated drive with a master on one bus and a manual clock, for the tests of motions."""

import math

import opendiag
from opendiag.cia402 import power
from opendiag.cia402.link import DriveLink, Timing
from opendiag.cia402.quirks import KNOWN, SERVOTRONIX, STEPIM, WELL_BEHAVED
from opendiag.cia402.states import PdsState
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

S = PdsState
KINDS = ("stepim", "servo")


class Bench:
    """``kind``: "stepim", or "servo" for one of no make, of the class ``make``. Enabled unless told otherwise."""

    def __init__(
        self,
        kind="stepim",
        *,
        faults=(),
        node_quirks=None,
        quirks=None,
        timing=None,
        enabled=True,
        make=SimDrive,
        **more,
    ):
        self.stepim = kind == "stepim"
        self.node = 101 if self.stepim else 5
        node_quirks = node_quirks or NodeQuirks()
        if self.stepim:
            self.drive = StepIM(self.node, quirks=node_quirks, **more)
        else:
            self.drive = make(servo_dictionary(), self.node, quirks=node_quirks, **more)
        self.bus = SimBus(faults=list(faults))
        self.bus.attach(self.drive, "drive", on_event=lambda event, now: None)
        self.network = opendiag.connect(self.bus, clock=ManualClock(), dictionaries={self.node: self.drive.dictionary})
        known = KNOWN[SERVOTRONIX, STEPIM] if self.stepim else WELL_BEHAVED
        self.link = DriveLink(
            self.node,
            quirks=quirks or known,
            timing=timing or Timing(),
            describe=lambda index, subindex: self.drive.store.variables.get((index, subindex)),
        )
        self.frames = self.network.frames()
        self.network.sleep(0.05)
        self.wide()
        if enabled:
            self.run(power.enable(self.link))
        self.drain()

    def wide(self):
        """Room to move: the limit switches of the simulation are near."""
        self.drive.switches.negative, self.drive.switches.positive = -1000.0, 1000.0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.network.close()

    def run(self, plan):
        return self.network.run(plan)

    def begin(self, plan, seconds=0.0):
        """The plan under way, and the bus having run for so long."""
        running = self.network.begin(plan)
        self.network.sleep(seconds)
        return running

    def end(self, running):
        """Its result, or its error raised."""
        running.wait()
        return running.result()

    @property
    def now(self):
        return self.network.clock.now()

    @property
    def state(self):
        self.drive.advance(self.now)
        return self.drive.pds.state

    @property
    def speed(self):
        """Turns of the motor per second."""
        self.drive.advance(self.now)
        return self.drive.motor.velocity

    @property
    def at_rest(self):
        return self.state not in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE) and (
            abs(self.speed) < 0.02
        )

    @property
    def position(self):
        self.drive.advance(self.now)
        return self.drive.position()

    def shows(self, change):
        """From now on the drive shows ``change(statusword)``."""

        def read(now):
            self.drive.advance(now)
            return (change(self.drive.statusword) & 0xFFFF).to_bytes(2, "little")

        self.drive.store.on_read(0x6041, 0, read)

    def read(self, index, subindex=0):
        return self.network.read(self.node, index, subindex)

    def write(self, index, value, subindex=0):
        self.network.write(self.node, index, value, subindex)

    def drain(self):
        found = []
        while (frame := self.frames.get(0)) is not None:
            found.append(frame)
        return found

    def wire(self):
        """What this side wrote and the statuswords it read since the last call, in their order: (index, value)."""
        asked, found = None, []
        for frame in self.drain():
            data = frame.data
            index = int.from_bytes(data[1:3], "little")
            if frame.can_id == 0x600 + self.node and data[0] >> 5 == 1:
                width = 4 - (data[0] >> 2 & 3)
                found.append((index, int.from_bytes(data[4 : 4 + width], "little")))
            elif frame.can_id == 0x580 + self.node and data[0] >> 5 == 2 and index == 0x6041:
                found.append((index, int.from_bytes(data[4:6], "little")))
            asked = index
        assert asked is not None or not found
        return found

    def controlwords(self):
        return [value for index, value in self.wire() if index == 0x6040]


def trapezoid_s(distance, speed, acceleration):
    """How long a move takes that starts and ends at rest; all in the same units."""
    distance = abs(distance)
    if distance >= speed * speed / acceleration:
        return distance / speed + speed / acceleration
    return 2 * math.sqrt(distance / acceleration)
