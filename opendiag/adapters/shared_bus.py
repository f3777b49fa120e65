"""A bus that somebody else has open, as python-can's interface."""

from __future__ import annotations

from collections.abc import Callable

import can

from opendiag.adapters.message import from_message, received_message
from opendiag.errors import AdapterError
from opendiag.frame import Frame


class SharedBus(can.BusABC):
    """``send`` and ``receive`` are the owner's; ``receive(timeout_s)`` gives None when nothing came in time.

    Shutting it down calls ``close`` and leaves the owner's bus open. Their AdapterError becomes can.CanOperationError.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Frame], None],
        receive: Callable[[float | None], Frame | None],
        close: Callable[[], None],
    ) -> None:
        self.channel_info = f"shared {name}"
        self._name = name
        self._send_frame = send
        self._receive_frame = receive
        self._close = close
        super().__init__(channel=name)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """As python-can has it."""
        try:
            self._send_frame(from_message(msg))
        except AdapterError as error:
            raise can.CanOperationError(str(error)) from error

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        try:
            frame = self._receive_frame(timeout)
        except AdapterError as error:
            raise can.CanOperationError(str(error)) from error
        if frame is None:
            return None, False
        return received_message(frame, self._name), False

    def shutdown(self) -> None:
        """Leaves the owner's bus open."""
        if not self._is_shutdown:
            self._close()
        super().shutdown()
