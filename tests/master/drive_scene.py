"""Simulated drives on a bus that is true to the bit, a network on a clock that the test winds, and what each motor does
every half millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import opendiag
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.faults import Fault
from opendiag.simulate.stepim import StepIM

#: Turns per second under which a shaft stands; rpm per second that stop it from 600 rpm in 20 ms.
STANDING, QUICK = 0.02, 30_000
EVERY_S = 0.0005


@dataclass(frozen=True)
class Sample:
    at: float
    velocity: float
    energised: bool


class Recorder:
    """A machine of the bus that sends nothing and looks at a motor."""

    def __init__(self, drive: SimDrive) -> None:
        self.drive = drive
        self.samples: list[Sample] = []
        self._next = 0.0

    def receive(self, frame: Frame, now: float) -> None: ...

    def tick(self, now: float) -> None:
        if now >= self._next:
            self._next = now + EVERY_S
            motor = self.drive.motor
            self.samples.append(Sample(now, motor.velocity, motor.energised))

    def deadline(self) -> float:
        return self._next

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[object]:
        return []

    def stands_since(self) -> float:
        """When it came to rest for good."""
        moving = [sample.at for sample in self.samples if abs(sample.velocity) >= STANDING]
        return moving[-1] if moving else 0.0

    @property
    def fastest(self) -> float:
        return max((abs(sample.velocity) for sample in self.samples), default=0.0)


class Scene:
    """Nodes 101, 102, ... with a quick stop that is quick. ``network`` is the script's."""

    def __init__(self, count: int = 1, drives: list[SimDrive] | None = None, faults: tuple[Fault, ...] = ()) -> None:
        self.clock = ManualClock()
        self.bus = SimBus(faults=faults)
        self.drives = drives or [StepIM(101 + place) for place in range(count)]
        for drive in self.drives:
            self.bus.attach(drive, f"node {drive.node_id}")
        self.recorders = [Recorder(drive) for drive in self.drives]
        for place, recorder in enumerate(self.recorders):
            self.bus.attach(recorder, f"eyes {place}", listen_only=True)
        self.network = opendiag.connect(self.bus, clock=self.clock)
        #: Another one on the same bus: it outlives the script's.
        self.observer = opendiag.connect(self.bus, clock=self.clock)
        self.observer.sleep(1.5)
        for drive in self.drives:
            if (0x6085, 0) in drive.store.variables:
                drive.store.set(0x6085, 0, QUICK)

    @property
    def motor(self):
        return self.drives[0].motor

    def later(self, seconds: float = 1.0) -> None:
        """Let the bus go on without the script."""
        self.observer.sleep(seconds)

    def rest_after(self, began: float, place: int = 0) -> float:
        """Seconds from then until the motor stood for good, which it does now."""
        self.later()
        drive, recorder = self.drives[place], self.recorders[place]
        assert recorder.fastest > 1, "it never moved"
        assert abs(drive.motor.velocity) < STANDING, "it still moves"
        assert not drive.energised, "it is still energised"
        return max(recorder.stands_since() - began, 0.0)

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *exception: object) -> None:
        self.network.close()
        self.observer.close()
