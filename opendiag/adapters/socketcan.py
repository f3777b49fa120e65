"""How an open SocketCAN bus fares: what the kernel knows and python-can does not ask for, and its errors in words."""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Any

from opendiag.adapters import linux_can
from opendiag.adapters.linux_can import CanLink, fd_command, restart_command, set_up_command, up_command
from opendiag.findings import Finding, Severity

#: What the kernel said is good for so long.
_FRESH_S = 0.5
#: include/uapi/asm-generic/socket.h: nine numbers, the last of them the frames that nobody took in time.
_SO_MEMINFO = 55
#: linux/can/raw.h
_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES = 101, 5
_MEMINFO = struct.Struct("=9I")

NOBODY_ACKNOWLEDGES = (
    "transmit buffer full: nobody acknowledges (is another node on, does the bit rate fit, is the bus terminated?)"
)

#: The kernel's counter -> what to say about {count} of them on {name}; those that mean lost frames are errors.
_LOSSES = {
    "rx_over_errors": "the adapter of {name} lost frames {count} times: they came faster than it could take them",
    "rx_dropped": "the driver of {name} dropped {count} received frames",
}
_TROUBLE = {
    "bus_off": "{name} went bus-off {count} times",
    "restarts": "the controller of {name} was restarted {count} times",
    "error_passive": "the controller of {name} became error-passive {count} times",
    "bus_error": "{count} bus errors on {name}",
}


def health_of(bus: object) -> SocketCanHealth | None:
    """Of a bus of python-can's socketcan on one interface; None for anything else."""
    if not type(bus).__module__.startswith("can.interfaces.socketcan.") or not hasattr(bus, "socket"):
        return None
    name = str(getattr(bus, "channel", "") or "")
    return SocketCanHealth(name, bus.socket) if name else None


class SocketCanHealth:
    """The controller's state and error counters; what was lost since this was made. ``name`` is the interface.

    The kernel is asked twice a second at most, and it answers within some 100 µs.
    """

    def __init__(self, name: str, its_socket: Any) -> None:
        self.name = name
        self._socket = its_socket
        self._link: CanLink | None = None
        self._asked_at = -_FRESH_S
        link = self._asked()
        self._first = dict(link.counted) if link else {}
        self._final: list[Finding] | None = None

    @property
    def bus_state(self) -> str | None:
        link = self._asked()
        return link.bus_state if link and link.up else None

    @property
    def tx_errors(self) -> int | None:
        link = self._asked()
        return link.tx_errors if link else None

    @property
    def rx_errors(self) -> int | None:
        link = self._asked()
        return link.rx_errors if link else None

    def explain(self, number: int | None) -> str:
        """What the errno of a failed call means and what to type; "" when there is nothing to say about it."""
        if number == errno.ENOBUFS:
            return self._buffer_full()
        if number not in (errno.ENETDOWN, errno.ENODEV, errno.ENXIO):
            return ""
        known, link = self._link, linux_can.can_link(self.name)
        if link is None and known and known.virtual:
            return f"{self.name} was removed"
        if link is None:
            command = set_up_command(self.name, known.bit_rate if known else None)
            return f"{self.name} is gone: plug it in again, then {command}"
        return f"{self.name} is down: {up_command(link)}"

    def explain_fd(self) -> str:
        """Why a CAN FD frame was refused and what to type; "" when that is not because of CAN FD."""
        link = linux_can.can_link(self.name)
        if link is None or link.fd is None or not link.up:
            return ""
        if not link.fd:
            return f"{self.name} has no CAN FD: {fd_command(link)}"
        return "" if self._takes_fd() else f"{self.name} was opened without CAN FD: leave out fd=no"

    def _takes_fd(self) -> bool:
        try:
            return bool(self._socket.getsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES))
        except (AttributeError, OSError):
            return True

    def _buffer_full(self) -> str:
        link = linux_can.can_link(self.name)
        if link is None or not link.virtual:
            state = f"; {self.name} is bus-off: {restart_command(link)}" if link and link.state == "BUS-OFF" else ""
            return NOBODY_ACKNOWLEDGES + state
        return f"transmit buffer full: {self.name} is slower than what is sent"

    def findings(self) -> list[Finding]:
        """About this interface since this was made, whoever caused it."""
        return self._counted() if self._final is None else self._final

    def end(self) -> None:
        """The socket is about to be closed: what is to be asked is asked now."""
        if self._final is None:
            self._final = self._counted()

    def _counted(self) -> list[Finding]:
        found = []
        if lost := self._dropped():
            sentence = f"{lost} frame{'s' * (lost != 1)} came faster than they were taken, and are lost"
            found.append(Finding("adapter-lost", Severity.ERROR, sentence))
        link = linux_can.can_link(self.name)
        counted = link.counted if link else {}
        for what, sentences, severity in (
            ("adapter-lost", _LOSSES, Severity.ERROR),
            ("adapter-trouble", _TROUBLE, Severity.WARNING),
        ):
            for key, sentence in sentences.items():
                count = counted.get(key, 0) - self._first.get(key, 0)
                if count > 0:
                    text = sentence.format(name=self.name, count=count).replace(" 1 times", " once")
                    found.append(Finding(what, severity, text))
        return found

    def _dropped(self) -> int:
        """Frames that this socket had no room for."""
        try:
            numbers = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(numbers)[8])
        except (OSError, struct.error, AttributeError):  # closed, or an old kernel
            return 0

    def _asked(self) -> CanLink | None:
        now = time.monotonic()
        if now - self._asked_at >= _FRESH_S:
            self._link = linux_can.can_link(self.name)
            self._asked_at = now
        return self._link
