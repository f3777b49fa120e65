"""PDO parameters that an EDS leaves out because they are the usual ones (CompactPDO, CiA 306)."""

from __future__ import annotations

from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable

#: First communication parameter, first mapping parameter, COB-ID of the first PDO without the node-ID.
_RPDO = (0x1400, 0x1600, 0x200)
_TPDO = (0x1800, 0x1A00, 0x180)
_MAX_PDOS = 512
_MAX_ENTRIES = 64
_PREDEFINED = 4
_INVALID = 0x8000_0000
_COMPACT = {"CompactPDO": "1"}


def add_compact_pdos(dictionary: ObjectDictionary) -> None:
    """Add what the mask in [DeviceInfo] says exists and no section describes.

    Bit n-1 of the mask is subindex n of the communication parameters. Their defaults are those of CiA 301: the first
    four PDOs have the predefined COB-IDs, the others are not valid, all are event-driven. Such a device has objects to
    map that only it knows: the mapping is rw and without defaults.
    """
    device = dictionary.device
    if not device.compact_pdo:
        return
    for (communication, mapping, cob_id), count in ((_RPDO, device.rpdo_count), (_TPDO, device.tpdo_count)):
        for number in range(min(count or 0, _MAX_PDOS)):
            if communication + number not in dictionary.objects:
                made = _communication(communication + number, device.compact_pdo, number, cob_id)
                dictionary.objects[communication + number] = made
            if mapping + number not in dictionary.objects:
                dictionary.objects[mapping + number] = _mapping(mapping + number)


def is_compact_pdo(found: Object) -> bool:
    """Was it added here? Then no section is written for it."""
    return found.extra is _COMPACT


def _communication(index: int, mask: int, number: int, cob_id: int) -> Object:
    members = {}
    present = [subindex for subindex in range(1, 7) if mask >> subindex - 1 & 1]
    usual: dict[int, int | NodeIdPlus] = {
        1: NodeIdPlus(cob_id + 0x100 * number) if number < _PREDEFINED else _INVALID,
        2: 255,
        3: 0,
        5: 0,
        6: 0,
    }
    members[0] = Variable(
        index, 0, "Highest sub-index supported", DataType.UNSIGNED8, "ro", default=max(present, default=0)
    )
    for subindex in present:
        standard = builtin.get(index, subindex)
        name = standard.name if standard else f"Subindex {subindex:02X}h"
        data_type = standard.data_type if standard else DataType.UNSIGNED8
        members[subindex] = Variable(index, subindex, name, data_type, "rw", default=usual.get(subindex))
    return Object(index, _name(index), ObjectType.RECORD, members, DataType.PDO_COMMUNICATION, extra=_COMPACT)


def _mapping(index: int) -> Object:
    members = {0: Variable(index, 0, "Number of mapped objects", DataType.UNSIGNED8, "rw")}
    for subindex in range(1, _MAX_ENTRIES + 1):
        members[subindex] = Variable(index, subindex, f"Mapped object {subindex}", DataType.UNSIGNED32, "rw")
    return Object(index, _name(index), ObjectType.RECORD, members, DataType.PDO_MAPPING, extra=_COMPACT)


def _name(index: int) -> str:
    return builtin.object_name(index) or f"Object {index:04X}h"
