"""Buses that need no adapter, as the conformance suite wants them: python-can's virtual bus and our simulated one.

Each is tied to the bus model by a gateway: what one side carries, the other hears.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import can
from emulators.bus_model import BusModel

from opendiag.adapters.message import from_message, to_message
from opendiag.adapters.shared_bus import SharedBus
from opendiag.errors import AdapterClosed
from opendiag.frame import Frame
from opendiag.master.clock import RealClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness

_number = itertools.count()
_SLICE_S = 0.05


class Gateway:
    """Hands frames on in a thread of its own until `close`; ``receive`` waits for some, 0.05 s at most."""

    def __init__(
        self, model: BusModel, name: str, send: Callable[[Frame], object], receive: Callable[[], list[Frame]]
    ) -> None:
        self._model = model
        self._receive = receive
        self._ended = threading.Event()
        self.tap = model.attach(f"gateway of {name}", send)
        model.start(self.tap)
        self._thread = threading.Thread(target=self._run, name=f"gateway of {name}", daemon=True)
        self._thread.start()

    def listen_only(self, on: bool) -> None:
        """Is there nobody behind it who acknowledges?"""
        with self._model.lock:
            self.tap.listen_only = on

    def close(self) -> None:
        self._ended.set()
        self._thread.join(2)
        self._model.detach(self.tap)

    def _run(self) -> None:
        while not self._ended.is_set():
            for frame in self._receive():
                if not frame.error:
                    self.tap.send(frame)


class VirtualBench:
    """python-can's: a queue for each bus, without bit rate, acknowledge or refusals."""

    name = "virtual"
    fd = True
    listen_only = None
    state = False
    confirms = False
    hardware_time = False
    interface = "virtual"

    def __init__(self, model: BusModel, tmp_path: Path) -> None:
        self.channel = f"bench {next(_number)}"
        self.extra: dict[str, Any] = {}
        self._far = self.open(fd=True)
        self._gateway = Gateway(model, self.channel, lambda frame: self._far.send(to_message(frame)), self._receive)

    def open(self, *, fd: bool = False, data_bitrate: int = 0, **options: Any) -> can.BusABC:
        protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        return can.Bus(self.channel, "virtual", protocol=protocol, **options)

    def _receive(self) -> list[Frame]:
        message = self._far.recv(_SLICE_S)
        if message is None:
            return []
        message.channel = None
        return [from_message(message)]

    def close(self) -> None:
        self._gateway.close()
        self._far.shutdown()


class SimulatedBench:
    """A network on a simulated bus, lent to python-can: with bit times, arbitration and acknowledge."""

    name = "simulated"
    fd = False
    listen_only = True
    state = True
    confirms = False
    hardware_time = True
    own_frames = False
    interface = None

    def __init__(self, model: BusModel, tmp_path: Path) -> None:
        self.channel = "sim"
        self.extra: dict[str, Any] = {}
        self._clock = RealClock()
        bus = SimBus(500_000, start=self._clock.now())
        bus.attach(Witness(), "witness")  # acknowledges to the gateway while the network only listens
        self._world = SimWorld(bus, self._clock)
        self._port = SimPort(self._world, "gateway")
        self._gateway = Gateway(model, self.name, self._port.send, self._receive)

    def open(self, *, listen_only: bool = False, can_filters: Any = None) -> can.BusABC:
        self._gateway.listen_only(listen_only)
        network = Network(SimPort(self._world, self.name, listen_only), self._clock)
        frames = network.frames()

        def close() -> None:
            frames.close()
            network.close()

        bus = SharedBus(self.name, network.send, frames.receive, close)
        bus.set_filters(can_filters)
        return bus

    def _receive(self) -> list[Frame]:
        try:
            return self._port.receive(self._clock.now() + _SLICE_S)
        except AdapterClosed:
            return []

    def close(self) -> None:
        self._gateway.close()
        self._port.close()


BENCHES = (VirtualBench, SimulatedBench)
