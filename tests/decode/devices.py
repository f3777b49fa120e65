"""Small dictionaries, the SDO conversations that configure a device, and the example capture."""

from pathlib import Path

from sdo_talk import expedited

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame

STEPIM_LOG = Path(__file__).parents[2] / "examples" / "stepim.log"


def stepim_frames():
    """The ten frames of the example: of the StepIM drive, node 101."""
    lines = [line.split() for line in STEPIM_LOG.read_text("ascii").splitlines()]
    return [Frame(int(can_id, 16), bytes.fromhex("".join(data)), channel=ch) for ch, can_id, _, *data in lines]


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
