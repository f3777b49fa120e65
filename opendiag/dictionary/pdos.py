"""The PDOs of a device as its dictionary configures them: COB-ID, transmission type and mapping in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import NodeIdPlus, ObjectDictionary, Variable
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import (
    DAM_MPDO,
    MAX_ENTRIES,
    MAX_PDOS,
    RPDO_OBJECTS,
    SAM_MPDO,
    TPDO_OBJECTS,
    MappingEntry,
    communication_index,
    mapping_index,
)


@dataclass(frozen=True, slots=True)
class Mapped:
    """An entry of a mapping. ``variable`` is where the entry stands, ``bit`` where its bits begin in the PDO."""

    variable: Variable
    entry: MappingEntry
    bit: int


@dataclass(frozen=True, slots=True)
class Pdo:
    """``number`` counts from 1. ``count`` is sub-index 0 of the mapping; None when the file does not say.

    ``mapped`` are the entries in use, as far as the file says what they are; ``missing`` the sub-indices it does not.
    ``cob_id`` is None when the file does not say, or only as a formula and there is no node-ID; ``valid`` is what
    its bit 31 says in any case.
    """

    transmit: bool
    number: int
    cob_id: CobId | None
    valid: bool
    transmission_type: int | None
    count: int | None
    mapped: tuple[Mapped, ...] = ()
    missing: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As in "TPDO4"."""
        return f"{'TPDO' if self.transmit else 'RPDO'}{self.number}"

    @property
    def communication(self) -> int:
        """Index of its communication parameter."""
        return communication_index(self.transmit, self.number)

    @property
    def mapping(self) -> int:
        """Index of its mapping parameter."""
        return mapping_index(self.transmit, self.number)

    @property
    def multiplexed(self) -> bool:
        return self.count in (SAM_MPDO, DAM_MPDO)

    @property
    def bits(self) -> int:
        """Length of what is mapped."""
        return sum(each.entry.bits for each in self.mapped)


def said(variable: Variable | None) -> Value | NodeIdPlus | None:
    """What the file says a variable holds: the DCF's value, else the default."""
    return None if variable is None else variable.default if variable.value is None else variable.value


def number_of(variable: Variable | None, node_id: int | None) -> int | None:
    """The same as an integer; None for a formula without a node-ID and for what is no integer."""
    value = said(variable)
    if isinstance(value, NodeIdPlus):
        return None if node_id is None else value.resolve(node_id)
    return value if isinstance(value, int) else None


def pdos_of(dictionary: ObjectDictionary, node_id: int | None) -> Iterator[Pdo]:
    """Every PDO that has a communication or a mapping parameter, RPDOs first."""
    for transmit, (communication, mapping) in ((False, RPDO_OBJECTS), (True, TPDO_OBJECTS)):
        numbers = {index - communication for index in dictionary.objects if 0 <= index - communication < MAX_PDOS}
        numbers |= {index - mapping for index in dictionary.objects if 0 <= index - mapping < MAX_PDOS}
        for number in sorted(numbers):
            yield _pdo(dictionary, node_id, transmit, number, communication + number, mapping + number)


def _pdo(
    dictionary: ObjectDictionary, node_id: int | None, transmit: bool, number: int, communication: int, mapping: int
) -> Pdo:
    cob_id = number_of(dictionary.get(communication, 1), node_id)
    word = number_of(dictionary.get(communication, 1), node_id or 0)
    count = number_of(dictionary.get(mapping, 0), node_id)
    mapped, missing = _mapped(dictionary, node_id, mapping, count or 0)
    return Pdo(
        transmit,
        number + 1,
        None if cob_id is None else CobId.decode(cob_id),
        word is not None and not CobId.decode(word).bit_31,
        number_of(dictionary.get(communication, 2), node_id),
        count,
        mapped,
        missing,
    )


def _mapped(
    dictionary: ObjectDictionary, node_id: int | None, index: int, count: int
) -> tuple[tuple[Mapped, ...], tuple[int, ...]]:
    """The first ``count`` entries; none of a multiplexed PDO."""
    if count in (SAM_MPDO, DAM_MPDO):
        return (), ()
    mapped, missing, bit = [], [], 0
    for subindex in range(1, min(count, MAX_ENTRIES) + 1):
        variable = dictionary.get(index, subindex)
        word = number_of(variable, node_id)
        if variable is None or not word:
            missing.append(subindex)
            continue
        entry = MappingEntry.decode(word)
        mapped.append(Mapped(variable, entry, bit))
        bit += entry.bits
    return tuple(mapped), tuple(missing)
