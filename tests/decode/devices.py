"""Small dictionaries, and the SDO conversations that configure a device."""

from sdo_talk import expedited

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable


def dictionary(entries, name="made", **device):
    """``entries``: (index, subindex) -> default, or -> Variable options as a dict. UNSIGNED32 unless said."""
    made = ObjectDictionary(name)
    for (index, subindex), entry in entries.items():
        options = entry if isinstance(entry, dict) else {"default": entry}
        options = {"name": f"object {index:04X}:{subindex:02X}", "data_type": DataType.UNSIGNED32, **options}
        found = made.objects.setdefault(index, Object(index, f"object {index:04X}", ObjectType.VAR))
        found.members[subindex] = Variable(index, subindex, **options)
    for field, content in device.items():
        setattr(made.device, field, content)
    return made


def u32(value):
    return value.to_bytes(4, "little")


def mapping_word(index, subindex, bits):
    return index << 16 | subindex << 8 | bits


def written(*objects):
    """Messages of a client that writes (index, subindex, bytes) one after the other, all acknowledged."""
    return [m for index, subindex, raw in objects for m in expedited("write", raw, True, index, subindex).messages]


def read(*objects):
    """Messages of a client that reads these (index, subindex, bytes)."""
    return [m for index, subindex, raw in objects for m in expedited("read", raw, True, index, subindex).messages]
