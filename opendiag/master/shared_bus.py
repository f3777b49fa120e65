"""A network's bus for other libraries: python-can's interface, and the `canopen` package on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import can

from opendiag.adapters.message import from_message, to_message
from opendiag.errors import AdapterError, MissingDependency, SendFailed
from opendiag.master.streams import FrameStream

if TYPE_CHECKING:
    import canopen

    from opendiag.master.network import Network


class SharedBus(can.BusABC):
    """Sends through the network and receives what it receives. Shutting it down leaves the network open."""

    def __init__(self, network: Network) -> None:
        self.channel_info = f"shared {network.name}"
        self._network = network
        self._frames: FrameStream = network.frames()
        super().__init__(channel=network.name)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """As python-can has it; raises can.CanOperationError."""
        try:
            self._network.send(from_message(msg))
        except (SendFailed, AdapterError) as error:
            raise can.CanOperationError(str(error)) from error

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        try:
            while (frame := self._frames.get(timeout)) is not None and frame.direction == "tx":
                pass  # our own
        except AdapterError as error:
            raise can.CanOperationError(str(error)) from error
        if frame is None:
            return None, False
        message = to_message(frame)
        message.timestamp = (frame.time_ns or 0) / 1e9
        return message, False

    def shutdown(self) -> None:
        self._frames.close()
        super().shutdown()


def canopen_network(network: Network) -> tuple[canopen.Network, SharedBus]:
    """Connected: its own thread listens, and its nodes work. Raises MissingDependency."""
    try:
        import canopen as library
    except ImportError as error:
        raise MissingDependency("Network.canopen()", "canopen") from error
    bus = SharedBus(network)
    made: Any = library.Network(bus)
    made.NOTIFIER_CYCLE = 0.1  # so long closing may take
    made.connect()
    return made, bus
