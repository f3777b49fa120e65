"""What may be written to the PDO parameters of a device, when, and which SDO abort code a wrong step gets (CiA 301).

The order that is always right: switch the PDO off (bit 31 of its COB-ID), subindex 0 of the mapping to 0, the entries,
subindex 0 to their number, the other parameters, switch it on.
"""

from __future__ import annotations

from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Variable
from opendiag.errors import SdoRefusal
from opendiag.services.object_store import DictionaryStore
from opendiag.services.pdo_multiplexed import DISPATCHING_LISTS, SCANNER_LISTS
from opendiag.services.pdo_parameters import (
    COB_ID,
    EVENT_DRIVEN,
    INHIBIT_TIME,
    SYNC_START,
    TRANSMISSION_TYPE,
    PdoParameters,
    is_allowed,
)
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.pdo import DAM_MPDO, MAX_ENTRIES, SAM_MPDO, MappingEntry
from opendiag.wire.sdo_abort import SdoAbortCode

_MAX_BITS = 64
_MAX_COUNTER = 240
_READABLE = ("ro", "rw", "rwr", "rww", "const", "")
_WRITABLE = ("wo", "rw", "rww", "rwr", "")
#: A BOOLEAN may be a bit of the PDO or a byte of it.
_BOOLEAN_BITS = (1, 8)


class PdoRules:
    """Every ``check_...`` raises SdoRefusal. ``pdo`` is the PDO as it is before ``value`` is written."""

    def __init__(self, store: DictionaryStore) -> None:
        self._store = store

    def number_at(self, index: int, subindex: int) -> int | None:
        """What the device holds there; None for what it has not."""
        raw = self._store.values.get((index, subindex))
        return None if raw is None else int.from_bytes(raw, "little")

    def check(self, pdo: PdoParameters, index: int, subindex: int, value: int) -> None:
        """A write to any subindex of a communication or mapping parameter."""
        if index == pdo.communication:
            self._check_communication(pdo, subindex, value)
        elif subindex:
            self._check_slot(pdo, value)
        else:
            self._check_count(pdo, value)

    # --- communication parameter ------------------------------------------------------------------------------------

    def _check_communication(self, pdo: PdoParameters, subindex: int, value: int) -> None:
        if subindex == COB_ID:
            self._check_cob(pdo, value)
        wrong = False
        if subindex == TRANSMISSION_TYPE:
            not_for_it = bool(pdo.multiplexed) and value not in EVENT_DRIVEN
            wrong = (pdo.valid and not_for_it) or not is_allowed(value, pdo.transmit)
        elif subindex == INHIBIT_TIME and pdo.transmit:
            wrong = pdo.valid and value != round(pdo.inhibit_s * 10_000)
        elif subindex == SYNC_START and pdo.transmit:
            wrong = value > _MAX_COUNTER or (pdo.valid and value != pdo.sync_start)
        if wrong:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)

    def _check_cob(self, pdo: PdoParameters, value: int) -> None:
        new = CobId.decode(value)
        if new.bit_31:
            return
        moved = (new.can_id, new.extended) != (pdo.cob.can_id, pdo.cob.extended)
        if (moved and pdo.valid) or (not new.extended and is_restricted(new.can_id)):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        if pdo.multiplexed and pdo.transmission_type not in EVENT_DRIVEN:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)

    # --- mapping parameter ------------------------------------------------------------------------------------------

    def _check_slot(self, pdo: PdoParameters, value: int) -> None:
        if pdo.valid or self.number_at(pdo.mapping, 0):
            raise SdoRefusal(SdoAbortCode.UNSUPPORTED_ACCESS)
        if value:
            self._check_entry(pdo, MappingEntry.decode(value))

    def _check_entry(self, pdo: PdoParameters, entry: MappingEntry) -> None:
        if entry.is_dummy and not pdo.transmit:
            if not 1 <= entry.bits <= max(datatypes.bit_width(entry.index) or 0, 8):
                raise SdoRefusal(SdoAbortCode.CANNOT_BE_MAPPED)
            return
        variable = self._store.variables.get((entry.index, entry.subindex))
        if variable is None:
            known = entry.index in self._store.dictionary.objects
            raise SdoRefusal(SdoAbortCode.NO_SUCH_SUBINDEX if known else SdoAbortCode.NO_SUCH_OBJECT)
        right = variable.access in (_READABLE if pdo.transmit else _WRITABLE)
        if not (variable.pdo_mappable and right and _fits(variable, entry.bits)):
            raise SdoRefusal(SdoAbortCode.CANNOT_BE_MAPPED)

    def _check_count(self, pdo: PdoParameters, value: int) -> None:
        if pdo.valid:
            raise SdoRefusal(SdoAbortCode.UNSUPPORTED_ACCESS)
        if value in (SAM_MPDO, DAM_MPDO):
            self._check_multiplexed(pdo, value)
            return
        if value > MAX_ENTRIES:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        words = [self.number_at(pdo.mapping, slot) for slot in range(1, value + 1)]
        entries = [MappingEntry.decode(word) for word in words if word is not None]
        if len(entries) < len(words):
            raise SdoRefusal(SdoAbortCode.PDO_TOO_LONG)
        for entry in entries:
            self._check_entry(pdo, entry)
        if sum(entry.bits for entry in entries) > _MAX_BITS:
            raise SdoRefusal(SdoAbortCode.PDO_TOO_LONG)

    def _check_multiplexed(self, pdo: PdoParameters, value: int) -> None:
        """In source address mode the device needs a list of what to send, or of what to take."""
        lists = SCANNER_LISTS if pdo.transmit else DISPATCHING_LISTS
        if value == SAM_MPDO and not any(index in self._store.dictionary.objects for index in lists):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)


def _fits(variable: Variable, bits: int) -> bool:
    """May an object be mapped with this width? Its own; a string's is as many bytes as one likes."""
    if variable.data_type == DataType.BOOLEAN:
        return bits in _BOOLEAN_BITS
    width = datatypes.bit_width(variable.data_type)
    return bits == width if width is not None else 0 < bits <= _MAX_BITS and bits % 8 == 0
