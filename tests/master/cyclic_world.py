"""Two simulated drives and a master on one bus with a manual clock, for motions in step with SYNC."""

import opendiag
from opendiag.cia402 import power
from opendiag.cia402.link import DriveLink
from opendiag.cia402.quirks import KNOWN, SERVOTRONIX, STEPIM, WELL_BEHAVED
from opendiag.cia402.states import PdsState
from opendiag.master.clock import ManualClock
from opendiag.master.drive_cyclic import CyclicFollower
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

S = PdsState
NODES = (5, 6)
ENERGISED = (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE)


def make_drive(kind, node_id):
    made = StepIM(node_id) if kind == "stepim" else SimDrive(servo_dictionary(), node_id)
    made.switches.negative, made.switches.positive = -1000.0, 1000.0
    return made


class Axes:
    """``kind`` "servo" or "stepim". Enabled unless told otherwise."""

    def __init__(self, kind="servo", nodes=NODES, *, enabled=True, faults=(), clock=None):
        self.bus = SimBus(faults=list(faults))
        self.drives = [make_drive(kind, node_id) for node_id in nodes]
        for drive in self.drives:
            self.bus.attach(drive, f"drive {drive.node_id}", on_event=lambda event, now: None)
        self.other = self.bus.attach(name="another master")
        dictionaries = {drive.node_id: drive.dictionary for drive in self.drives}
        self.network = opendiag.connect(self.bus, clock=clock or ManualClock(), dictionaries=dictionaries)
        quirks = KNOWN[SERVOTRONIX, STEPIM] if kind == "stepim" else WELL_BEHAVED
        self.links = [DriveLink(drive.node_id, quirks=quirks, describe=self._describe(drive)) for drive in self.drives]
        self.entered = []
        for drive in self.drives:
            self._watch(drive)
        self.network.sleep(0.05)
        if enabled:
            for link in self.links:
                self.network.run(power.enable(link))
        self.entered.clear()

    @staticmethod
    def _describe(drive):
        return lambda index, subindex: drive.store.variables.get((index, subindex))

    def _watch(self, drive):
        pds, told = drive.pds, drive.pds._changed

        def changed(state, now):
            self.entered.append((now, drive.node_id, pds.made[-1], state))
            told(state, now)

        pds._changed = changed

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.network.close()

    @property
    def now(self):
        return self.network.clock.now()

    def follower(self, *trajectories, mode="csp", period_s=0.002, **settings):
        links = self.links[: len(trajectories)]
        settings.setdefault("relative", mode in ("csp", "ip"))
        return CyclicFollower(self.network, links, trajectories, period_s, mode, **settings)

    def follow(self, *trajectories, **settings):
        return self.network.run(self.follower(*trajectories, **settings).plan())

    def begin(self, follower, moving_s):
        """The motion under way for so long."""
        running = self.network.begin(follower.plan())
        while not running.done and (follower.motion is None or follower.motion.began_at is None):
            self.network.sleep(0.005)
        self.network.sleep(moving_s)
        return running

    def sleep(self, seconds):
        self.network.sleep(seconds)

    def advance(self):
        for drive in self.drives:
            drive.advance(self.now)

    @property
    def states(self):
        self.advance()
        return [drive.pds.state for drive in self.drives]

    @property
    def positions(self):
        self.advance()
        return [drive.position() for drive in self.drives]

    @property
    def speeds(self):
        self.advance()
        return [drive.motor.velocity for drive in self.drives]

    @property
    def at_rest(self):
        """Nobody drives a current, and nothing turns."""
        return all(state not in ENERGISED for state in self.states) and all(abs(speed) < 0.02 for speed in self.speeds)

    def pdo_settings(self):
        """All PDO parameters of all drives, and their periods."""
        found = []
        for drive in self.drives:
            values = drive.store.values

            def number_at(index, subindex, values=values):
                raw = values.get((index, subindex))
                return None if raw is None else int.from_bytes(raw, "little")

            found += [
                PdoParameters.from_objects(number_at, transmit, n) for transmit in (True, False) for n in range(1, 5)
            ]
            found += [number_at(*key) for key in ((0x60C2, 1), (0x60C2, 2), (0x1006, 0), (0x60C0, 0))]
        return found
