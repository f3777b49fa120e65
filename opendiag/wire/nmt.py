"""NMT commands, identifier 000h: the master tells one node, or all, which state to enter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from opendiag.errors import WireError

LENGTH = 2
ALL_NODES = 0


class NmtCommand(IntEnum):
    """Command specifier, first byte."""

    START = 0x01
    STOP = 0x02
    ENTER_PRE_OPERATIONAL = 0x80
    RESET_NODE = 0x81
    RESET_COMMUNICATION = 0x82

    @property
    def text(self) -> str:
        return COMMAND_TEXTS[self]


COMMAND_TEXTS = {
    NmtCommand.START: "start (enter operational)",
    NmtCommand.STOP: "stop",
    NmtCommand.ENTER_PRE_OPERATIONAL: "enter pre-operational",
    NmtCommand.RESET_NODE: "reset node",
    NmtCommand.RESET_COMMUNICATION: "reset communication",
}


class NmtState(IntEnum):
    """State byte of boot-up, heartbeat and node guarding. INITIALISING is sent as the boot-up message only."""

    INITIALISING = 0x00
    STOPPED = 0x04
    OPERATIONAL = 0x05
    PRE_OPERATIONAL = 0x7F

    @property
    def text(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class NmtMessage:
    """``node_id`` 0 addresses all nodes."""

    command: NmtCommand
    node_id: int

    def encode(self) -> bytes:
        if not 0 <= self.node_id <= 127:
            raise WireError(f"node-ID {self.node_id} is outside 0..127")
        return bytes([self.command, self.node_id])

    @classmethod
    def decode(cls, data: bytes) -> NmtMessage:
        """Raise WireError unless it is a known command and a node-ID of 0..127."""
        if len(data) != LENGTH:
            raise WireError(f"an NMT command has {LENGTH} bytes, not {len(data)}", data)
        if data[1] > 127:
            raise WireError(f"node-ID {data[1]} is outside 0..127", data)
        try:
            return cls(NmtCommand(data[0]), data[1])
        except ValueError:
            raise WireError(f"unknown NMT command {data[0]:02X}h", data) from None

    @property
    def text(self) -> str:
        who = "all nodes" if self.node_id == ALL_NODES else f"node {self.node_id}"
        return f"{self.command.text}: {who}"
