"""Which two CAN-IDs an SDO client and an SDO server talk on."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.frame import Frame


@dataclass(frozen=True, slots=True)
class SdoChannel:
    """``node_id`` is the server's. ``number`` counts the server's channels (1200h..) from 1.

    ``request_id`` and ``response_id`` are CAN-IDs: client to server, and server to client.
    """

    node_id: int
    request_id: int
    response_id: int
    request_extended: bool = False
    response_extended: bool = False
    number: int = 1

    @classmethod
    def default(cls, node_id: int) -> SdoChannel:
        """The first channel as the predefined connection set has it. Raise ValueError outside 1..127."""
        if not 1 <= node_id <= 127:
            raise ValueError(f"node-ID {node_id} is outside 1..127")
        return cls(node_id, 0x600 + node_id, 0x580 + node_id)

    def is_request(self, frame: Frame) -> bool:
        """A data frame on the way to the server."""
        return (
            frame.can_id == self.request_id
            and frame.extended == self.request_extended
            and not (frame.remote or frame.error or frame.fd)
        )

    def is_response(self, frame: Frame) -> bool:
        """A data frame on the way to the client."""
        return (
            frame.can_id == self.response_id
            and frame.extended == self.response_extended
            and not (frame.remote or frame.error or frame.fd)
        )

    def request(self, data: bytes) -> Frame:
        """The client's frame."""
        return Frame(self.request_id, data, extended=self.request_extended)

    def response(self, data: bytes) -> Frame:
        """The server's frame."""
        return Frame(self.response_id, data, extended=self.response_extended)
