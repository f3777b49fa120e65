"""Lets simulated devices live on a real bus: each hears what comes from outside and what the others send."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opendiag.errors import AdapterError, SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import Clock
from opendiag.master.port import SLICE_S, Port
from opendiag.services.base import Machine


class DeviceRunner:
    """``sent``, ``received`` and ``not_sent`` count frames."""

    def __init__(self, port: Port, clock: Clock, devices: Sequence[Machine]) -> None:
        self.port = port
        self.clock = clock
        self.devices = devices
        self.sent = self.received = self.not_sent = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: AdapterError | None = None

    def run(self, until: float | None = None) -> None:
        """Until that moment, or until `stop`. Raises AdapterClosed when the bus is gone."""
        for device in self.devices:
            device.tick(self.clock.now())
            self._drain(device)
        while not self._stop.is_set() and (until is None or self.clock.now() < until):
            deadlines = [moment for device in self.devices if (moment := device.deadline()) is not None]
            frames = self.port.receive(min([*deadlines, self.clock.now() + SLICE_S]))
            self.received += len(frames)
            for frame in frames:
                self._hand_out(frame, None)
            now = self.clock.now()
            for device in self.devices:
                if (moment := device.deadline()) is not None and moment <= now:
                    device.tick(now)
                    self._drain(device)

    def start(self) -> None:
        """`run` in a thread of its own; ``failure`` says why it ended, if it did by itself."""
        self._thread = threading.Thread(target=self._run_in_thread, name="opendiag devices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run_in_thread(self) -> None:
        try:
            self.run()
        except AdapterError as error:
            self.failure = error

    def _hand_out(self, frame: Frame, source: Machine | None) -> None:
        now = self.clock.now()
        for device in self.devices:
            if device is not source:
                device.receive(frame, now)
                self._drain(device)

    def _drain(self, device: Machine) -> None:
        device.events()
        for frame in device.frames_to_send():
            try:
                self.port.send(frame)
            except SendFailed:
                self.not_sent += 1
                continue
            self.sent += 1
            if len(self.devices) > 1:
                self._hand_out(frame, device)
