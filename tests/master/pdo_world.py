"""A device with an object of every type that a PDO can carry, alone on a simulated bus with a network of ours."""

import math

import opendiag
from opendiag.decode.decoder import Decoder
from opendiag.dictionary.datatypes import DataType, bit_width
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode

T = DataType
NODE = 5
SLOTS = 16
#: Subindices of the communication parameter and their types.
PARAMETER = [
    (0, T.UNSIGNED8, 6),
    (1, T.UNSIGNED32, None),
    (2, T.UNSIGNED8, 255),
    (3, T.UNSIGNED16, 0),
    (5, T.UNSIGNED16, 0),
    (6, T.UNSIGNED8, 0),
]
TYPES = [
    *(T.BOOLEAN, T.BOOLEAN, T.BOOLEAN),
    *(T.INTEGER8, T.INTEGER16, T.INTEGER24, T.INTEGER32, T.INTEGER40, T.INTEGER48, T.INTEGER56, T.INTEGER64),
    *(T.UNSIGNED8, T.UNSIGNED16, T.UNSIGNED24, T.UNSIGNED32, T.UNSIGNED40, T.UNSIGNED48, T.UNSIGNED56, T.UNSIGNED64),
    *(T.REAL32, T.REAL64, T.TIME_OF_DAY, T.VISIBLE_STRING, T.OCTET_STRING),
]
#: (index, type) of everything that can be mapped.
OBJECTS = [(0x2001 + number, kind) for number, kind in enumerate(TYPES)]
#: Of the strings, whose types have no width of their own.
STRING_BITS = 32


def bits_of(kind):
    return bit_width(kind) or STRING_BITS


def dictionary():
    made = ObjectDictionary("everything")
    made.objects[0x1000] = _single(0x1000, "Device type", T.UNSIGNED32, "ro", 0)
    made.objects[0x1005] = _single(0x1005, "COB-ID SYNC", T.UNSIGNED32, "rw", 0x80)
    for transmit, first, base in ((False, 0x1400, 0x200), (True, 0x1800, 0x180)):
        for number in range(2):
            cob_id = NodeIdPlus(base + number * 0x100)
            made.objects[first + number] = _parameter(first + number, transmit, cob_id)
            made.objects[first + number + 0x200] = _mapping(first + number + 0x200)
    for index, kind in OBJECTS:
        default = {T.VISIBLE_STRING: "abcd", T.OCTET_STRING: b"abcd"}.get(kind)
        made.objects[index] = _single(index, f"{kind.name} {index:04X}", kind, "rw", default, mappable=True)
    return made


def _single(index, name, kind, access, default, mappable=False):
    variable = Variable(index, 0, name, kind, access, default, pdo_mappable=mappable)
    return Object(index, name, ObjectType.VAR, {0: variable})


def _parameter(index, transmit, cob_id):
    name = f"{'T' if transmit else 'R'}PDO {index & 0xFF}"
    members = {
        subindex: Variable(index, subindex, f"{name} {subindex}", kind, "rw", cob_id if default is None else default)
        for subindex, kind, default in PARAMETER
    }
    return Object(index, name, ObjectType.RECORD, members)


def _mapping(index):
    members = {0: Variable(index, 0, "Number of entries", T.UNSIGNED8, "rw", 0)}
    for slot in range(1, SLOTS + 1):
        members[slot] = Variable(index, slot, f"Entry {slot}", T.UNSIGNED32, "rw", 0)
    return Object(index, f"Mapping {index:04X}", ObjectType.RECORD, members)


class World:
    """``device`` on ``bus``, ``network`` on it, and ``other``: another controller, say of another master."""

    def __init__(self, given=True):
        self.dictionary = dictionary()
        self.bus = SimBus()
        self.device = SimNode(self.dictionary, NODE)
        self.bus.attach(self.device, "device", on_event=lambda event, now: None)
        self.other = self.bus.attach(name="other")
        dictionaries = {NODE: self.dictionary} if given else None
        self.network = opendiag.connect(self.bus, clock=ManualClock(), dictionaries=dictionaries)
        self.node = self.network[NODE]

    def start(self):
        self.network.send(Frame(0, bytes([1, NODE])))
        self.network.sleep(0.01)

    def sync(self):
        self.network.send(Frame(0x80))
        self.network.sleep(0.01)

    def put(self, index, raw):
        """Give one of the device's objects this value."""
        self.device.store.values[index, 0] = raw

    def close(self):
        self.network.close()


def decoded(frames, can_id, decoder=None):
    """Records of the last frame with this CAN-ID, by the bit where they begin."""
    decoder = decoder or Decoder({NODE: dictionary()})
    records = []
    for frame in frames:
        found = decoder.feed(frame)
        if frame.can_id == can_id:
            records = found
    return {record.bit_offset: record for record in records if record.bit_offset is not None and record.name != "dummy"}


def same_values(sample, layout, records):
    """A sample says what the records say: names, and values as far as a record has one."""
    by_name = {field.name: field for field in layout.fields}
    assert set(sample.values) == set(by_name)
    assert {field.offset for field in layout.fields} == set(records)
    for name, value in sample.values.items():
        field = by_name[name]
        record = records[field.offset]
        assert (record.index, record.subindex, record.bit_width) == (field.index, field.subindex, field.bits)
        if record.name is not None:
            assert name == record.name or name.startswith(f"{record.name} (")
        if record.value is None:
            assert value == record.raw
        elif isinstance(value, float) and math.isnan(value):
            assert math.isnan(record.value)
        else:
            assert (type(value), value) == (type(record.value), record.value)
