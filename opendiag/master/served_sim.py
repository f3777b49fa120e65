"""One endpoint of a simulated bus for a program that talks to it through a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable

from opendiag.errors import AdapterError
from opendiag.frame import Frame
from opendiag.master.port import SLICE_S
from opendiag.master.sim_port import SimPort, SimWorld


class ServedSim:
    """What `opendiag.master.serve.BusServer` wants of a bus. Each client has one, as it would have an adapter."""

    def __init__(self, world: SimWorld, name: str) -> None:
        self._port = SimPort(world, name)
        self._clock = world.clock
        self._callback: Callable[[Frame], None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"opendiag {name}", daemon=True)

    def send(self, frame: Frame) -> None:
        """Raise SendFailed, AdapterClosed."""
        self._port.send(frame)

    def subscribe(self, callback: Callable[[Frame], None]) -> Callable[[], None]:
        """Frames of the others go there from now on, until the result is called."""
        self._callback = callback
        self._thread.start()
        return self.close

    def close(self) -> None:
        self._callback = None
        self._port.close()

    def _run(self) -> None:
        try:
            while (callback := self._callback) is not None:
                for frame in self._port.receive(self._clock.now() + SLICE_S):
                    callback(frame)
        except AdapterError:
            return
