"""Simulated CANopen devices on the bus model, so that adapters have somebody to talk to."""

from __future__ import annotations

import queue
import threading
import time

from emulators.bus_model import BusModel

from opendiag.frame import Frame
from opendiag.services.base import Machine


class MachineTap:
    """Runs the machine in a thread of its own until `close`."""

    def __init__(self, bus: BusModel, machine: Machine, bit_rate: int = 500_000) -> None:
        self._machine = machine
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._bus = bus
        self.tap = bus.attach("device", self._frames.put, bit_rate=bit_rate)
        bus.start(self.tap)
        self._thread = threading.Thread(target=self._run, name="device on the bus model", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._frames.put(None)
        self._thread.join(2)
        self._bus.detach(self.tap)

    def _run(self) -> None:
        machine = self._machine
        while True:
            machine.tick(time.monotonic())
            machine.events()
            for frame in machine.frames_to_send():
                self.tap.send(frame)
            deadline = machine.deadline()
            wait = 1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
            try:
                frame = self._frames.get(timeout=wait)
            except queue.Empty:
                continue
            if frame is None:
                return
            machine.receive(frame, time.monotonic())
