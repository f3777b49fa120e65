"""COB-IDs: the predefined connection set, and the flag bits around a configured identifier (1005h, 1014h, 18xxh..).

A COB-ID (32 bits, with flags) is what is configured; a CAN-ID (11 or 29 bits) is what is on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from opendiag.errors import WireError
from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame

_INVALID = 1 << 31
_BIT_30 = 1 << 30
_EXTENDED = 1 << 29


class Service(Enum):
    """What a CAN-ID is used for. TPDO and RPDO as the device sees them: it transmits a TPDO."""

    NMT = "NMT"
    SYNC = "SYNC"
    TIME = "TIME"
    EMCY = "EMCY"
    TPDO = "TPDO"
    RPDO = "RPDO"
    SDO_RESPONSE = "SDO response"
    SDO_REQUEST = "SDO request"
    ERROR_CONTROL = "NMT error control"
    LSS_RESPONSE = "LSS response"
    LSS_REQUEST = "LSS request"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Connection:
    """``node_id`` is 0 where the service belongs to no node. ``number`` counts PDOs and SDO channels from 1."""

    service: Service
    node_id: int = 0
    number: int = 0

    @property
    def label(self) -> str:
        """As in "TPDO4", "SDO response", "EMCY"; further SDO channels carry their number."""
        numbered = self.service in (Service.TPDO, Service.RPDO) or self.number > 1
        return f"{self.service.value}{self.number}" if numbered else self.service.value


UNKNOWN = Connection(Service.UNKNOWN)

#: Function code (bits 10..7) -> service and number, for node-IDs 1..127.
PREDEFINED_PEER = {
    0x1: (Service.EMCY, 0),
    0x3: (Service.TPDO, 1),
    0x4: (Service.RPDO, 1),
    0x5: (Service.TPDO, 2),
    0x6: (Service.RPDO, 2),
    0x7: (Service.TPDO, 3),
    0x8: (Service.RPDO, 3),
    0x9: (Service.TPDO, 4),
    0xA: (Service.RPDO, 4),
    0xB: (Service.SDO_RESPONSE, 1),
    0xC: (Service.SDO_REQUEST, 1),
    0xE: (Service.ERROR_CONTROL, 0),
}
#: CAN-ID -> service, for the identifiers that belong to no node.
PREDEFINED_BROADCAST = {
    0x000: Service.NMT,
    0x080: Service.SYNC,
    0x100: Service.TIME,
    0x7E4: Service.LSS_RESPONSE,
    0x7E5: Service.LSS_REQUEST,
}


def function_code(can_id: int) -> int:
    """Bits 10..7 of an 11-bit CAN-ID."""
    return can_id >> 7


@cache
def predefined(can_id: int) -> Connection:
    """What an 11-bit CAN-ID means on a bus where nothing was configured otherwise."""
    service = PREDEFINED_BROADCAST.get(can_id)
    if service is not None:
        return Connection(service)
    peer = PREDEFINED_PEER.get(can_id >> 7)
    node_id = can_id & 0x7F
    return UNKNOWN if peer is None or not node_id else Connection(peer[0], node_id, peer[1])


def classify(frame: Frame) -> Connection:
    """What the predefined connection set makes of a frame. Never raises.

    A 29-bit frame, an error frame and a CAN FD frame are no CiA 301 service by their number alone. A remote frame
    is one only where CiA 301 uses remote frames: to ask for a PDO, or in node guarding.
    """
    if frame.extended or frame.error or frame.fd:
        return UNKNOWN
    connection = predefined(frame.can_id)
    if frame.remote and connection.service not in REMOTE_SERVICES:
        return UNKNOWN
    return connection


#: Services that may be asked for with a remote frame.
REMOTE_SERVICES = (Service.TPDO, Service.ERROR_CONTROL)


def is_restricted(can_id: int) -> bool:
    """True for the 11-bit CAN-IDs that no object may be configured to use (CiA 301)."""
    return any(low <= can_id <= high for low, high in _RESTRICTED)


_RESTRICTED = (
    (0x000, 0x07F),
    (0x101, 0x180),
    (0x581, 0x5FF),
    (0x601, 0x67F),
    (0x6E0, 0x6FF),
    (0x701, 0x77F),
    (0x780, 0x7FF),
)


@dataclass(frozen=True, slots=True)
class CobId:
    """A COB-ID entry. ``bit_31`` and ``bit_30`` mean different things in different objects:

    PDO: 31 not valid, 30 no remote frame allowed. SDO: 31 not valid, 30 assigned dynamically. EMCY: 31 not valid.
    SYNC: 30 this device produces. TIME: 31 consumes, 30 produces.
    """

    can_id: int
    extended: bool = False
    bit_31: bool = False
    bit_30: bool = False

    def encode(self) -> int:
        """Raise WireError unless the identifier fits the 11 or 29 bits it says it has."""
        if not 0 <= self.can_id <= (MAX_EXTENDED_ID if self.extended else MAX_STANDARD_ID):
            raise WireError(f"CAN-ID {self.can_id:#x} does not fit {29 if self.extended else 11} bits")
        flags = (_INVALID if self.bit_31 else 0) | (_BIT_30 if self.bit_30 else 0)
        return self.can_id | flags | (_EXTENDED if self.extended else 0)

    @classmethod
    def decode(cls, value: int) -> CobId:
        """An 11-bit entry keeps its low 11 bits: what lies above them means nothing (CiA 301)."""
        extended = bool(value & _EXTENDED)
        can_id = value & (MAX_EXTENDED_ID if extended else MAX_STANDARD_ID)
        return cls(can_id, extended, bool(value & _INVALID), bool(value & _BIT_30))

    @property
    def text(self) -> str:
        return f"{self.can_id:08X}" if self.extended else f"{self.can_id:03X}"
