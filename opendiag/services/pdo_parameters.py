"""How one PDO is configured (CiA 301: 14xxh and 16xxh, 18xxh and 1Axxh), and what its transmission type means.

The same for a device, for who configures it and for who asks why a PDO does not come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opendiag.dictionary.model import ObjectDictionary
from opendiag.dictionary.pdos import number_of
from opendiag.wire.cob_id import CobId, Service, is_restricted, predefined
from opendiag.wire.pdo import DAM_MPDO, MAX_ENTRIES, SAM_MPDO, MappingEntry, communication_index, mapping_index

#: Sub-indices of a communication parameter.
COB_ID, TRANSMISSION_TYPE, INHIBIT_TIME, EVENT_TIMER, SYNC_START = 1, 2, 3, 5, 6
INHIBIT_UNIT_S, EVENT_UNIT_S = 1e-4, 1e-3

#: Transmission types (CiA 301).
ON_CHANGE_AT_SYNC = 0
CYCLIC = range(1, 241)
#: With SYNC, without being asked for.
AT_SYNC = range(241)
RESERVED = range(241, 252)
ON_REQUEST_AT_SYNC, ON_REQUEST = 252, 253
EVENT_DRIVEN = (254, 255)
_UNUSED = CobId(0, bit_31=True)


def is_allowed(kind: int, transmit: bool) -> bool:
    """May a TPDO, or else an RPDO, have this transmission type? 252 and 253 are for TPDOs only."""
    return kind in AT_SYNC or kind in EVENT_DRIVEN or (transmit and kind in (ON_REQUEST_AT_SYNC, ON_REQUEST))


def needs_sync(kind: int) -> bool:
    """Does a PDO of this type do nothing without SYNC?"""
    return kind in AT_SYNC or kind == ON_REQUEST_AT_SYNC


def describe(kind: int, transmit: bool = True) -> str:
    """A transmission type in words, for a TPDO or an RPDO."""
    if not is_allowed(kind, transmit):
        return "only a TPDO can have it" if is_allowed(kind, True) else "reserved"
    if not transmit:
        return "acts at the next SYNC" if kind in AT_SYNC else "acts at once"
    if kind in CYCLIC:
        return "sent with every SYNC" if kind == 1 else f"sent with every {_ordinal(kind)} SYNC"
    return _KINDS[kind]


_KINDS = {
    ON_CHANGE_AT_SYNC: "sent with the next SYNC after an event",
    ON_REQUEST_AT_SYNC: "sampled at SYNC, sent when asked for by a remote frame",
    ON_REQUEST: "sent when asked for by a remote frame",
    254: "sent at an event that the manufacturer defines",
    255: "sent at an event that the device profile defines",
}


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


@dataclass(frozen=True, slots=True)
class PdoParameters:
    """``number`` counts from 1. An object that a device does not have is as CiA 301 has it by default.

    ``inhibit_s`` is the least time between two of them, ``event_s`` of a TPDO the longest and of an RPDO its deadline,
    0: none.
    ``sync_start`` the SYNC counter that a synchronous TPDO begins to count at, 0: any.
    ``entries`` in wire order, those that map no bit left out; none when ``missing`` names subindices of the mapping
    that are counted and not known, and none of a multiplexed PDO. ``multiplexed`` is SAM_MPDO, DAM_MPDO or 0.
    """

    transmit: bool
    number: int
    cob: CobId = _UNUSED
    transmission_type: int = 255
    inhibit_s: float = 0.0
    event_s: float = 0.0
    sync_start: int = 0
    entries: tuple[MappingEntry, ...] = ()
    multiplexed: int = 0
    missing: tuple[int, ...] = ()

    @classmethod
    def from_objects(cls, number_at: Callable[[int, int], int | None], transmit: bool, number: int) -> PdoParameters:
        """``number_at(index, subindex)`` gives what the device holds there, None for what it has not."""
        index = communication_index(transmit, number)
        cob, kind = number_at(index, COB_ID), number_at(index, TRANSMISSION_TYPE)
        count, entries, missing = _mapping(number_at, mapping_index(transmit, number))
        return cls(
            transmit,
            number,
            _UNUSED if cob is None else CobId.decode(cob),
            255 if kind is None else kind,
            (number_at(index, INHIBIT_TIME) or 0) / 10_000,
            (number_at(index, EVENT_TIMER) or 0) / 1000,
            (number_at(index, SYNC_START) or 0) if transmit else 0,
            entries,
            count if count in (SAM_MPDO, DAM_MPDO) else 0,
            missing,
        )

    @classmethod
    def from_dictionary(
        cls, dictionary: ObjectDictionary, node_id: int | None, transmit: bool, number: int
    ) -> PdoParameters:
        """As the file configures a device with this node-ID."""

        def number_at(index: int, subindex: int) -> int | None:
            return number_of(dictionary.get(index, subindex), node_id)

        return cls.from_objects(number_at, transmit, number)

    @property
    def name(self) -> str:
        """As in "TPDO4"."""
        return f"{'TPDO' if self.transmit else 'RPDO'}{self.number}"

    @property
    def communication(self) -> int:
        """Index of the communication parameter."""
        return communication_index(self.transmit, self.number)

    @property
    def mapping(self) -> int:
        """Index of the mapping parameter."""
        return mapping_index(self.transmit, self.number)

    @property
    def valid(self) -> bool:
        """Is it switched on (bit 31 of its COB-ID is 0)?"""
        return not self.cob.bit_31

    @property
    def active(self) -> bool:
        """Switched on, and there is something in it."""
        return self.valid and bool(self.entries or self.multiplexed)

    @property
    def bits(self) -> int:
        """What is mapped; 64 for a multiplexed PDO."""
        return 64 if self.multiplexed else sum(entry.bits for entry in self.entries)

    @property
    def length(self) -> int:
        """Data bytes of a frame."""
        return (self.bits + 7) // 8

    @property
    def count(self) -> int:
        """What subindex 0 of the mapping says, as far as it is known."""
        return self.multiplexed or len(self.entries) or max(self.missing, default=0)

    @property
    def remote_allowed(self) -> bool:
        """May it be asked for by a remote frame (bit 30 of its COB-ID is 0)?"""
        return not self.cob.bit_30

    @property
    def meaning(self) -> str:
        """Its transmission type in words."""
        return describe(self.transmission_type, self.transmit)


def not_for_a_pdo(cob: CobId) -> str:
    """Why no PDO may have this CAN-ID, as in "it belongs to SYNC"; "" when one may.

    CiA 301 restricts some. Those of SYNC, TIME and EMCY could be given away, but every node listens or talks there.
    """
    if cob.extended:
        return ""
    service = predefined(cob.can_id).service
    if service in (Service.SYNC, Service.TIME, Service.EMCY):
        return f"it belongs to {service.value}"
    if not is_restricted(cob.can_id):
        return ""
    return "CiA 301 keeps it for itself" if service is Service.UNKNOWN else f"it belongs to {service.value}"


def _mapping(
    number_at: Callable[[int, int], int | None], index: int
) -> tuple[int, tuple[MappingEntry, ...], tuple[int, ...]]:
    """(subindex 0, the entries in use, the subindices nobody knows)."""
    count = number_at(index, 0) or 0
    if count in (SAM_MPDO, DAM_MPDO):
        return count, (), ()
    words = {subindex: number_at(index, subindex) for subindex in range(1, min(count, MAX_ENTRIES) + 1)}
    missing = tuple(subindex for subindex, word in words.items() if word is None)
    entries = tuple(MappingEntry.decode(word) for word in words.values() if word is not None and word & 0xFF)
    return count, () if missing else entries, missing
