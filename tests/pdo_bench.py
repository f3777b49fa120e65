"""A device's PDOs on a plain dictionary and a clock of the test's own; another one may be at the other end."""

from __future__ import annotations

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.pdo_set import PdoSet

T = DataType
OFF = 1 << 31
NO_RTR = 1 << 30
NODE = 5
TPDO, RPDO = 0x185, 0x205
#: What can be mapped: (index, type, access).
PROCESS = [
    (0x2001, T.BOOLEAN, "rw"),
    (0x2002, T.INTEGER8, "rw"),
    (0x2003, T.INTEGER16, "rw"),
    (0x2004, T.INTEGER32, "rw"),
    (0x2005, T.UNSIGNED8, "rw"),
    (0x2006, T.UNSIGNED16, "rw"),
    (0x2007, T.UNSIGNED32, "rw"),
    (0x2008, T.REAL32, "rw"),
    (0x2009, T.VISIBLE_STRING, "rw"),
    (0x200C, T.TIME_OF_DAY, "rw"),
    (0x2011, T.REAL64, "rw"),
    (0x201B, T.UNSIGNED64, "rw"),
    (0x2101, T.UNSIGNED8, "ro"),
    (0x2102, T.UNSIGNED8, "wo"),
]


def _record(index, members, object_type=ObjectType.RECORD):
    return Object(
        index, f"{index:04X}", object_type, {sub: Variable(index, sub, *rest) for sub, rest in members.items()}
    )


def dictionary(pdos=4, lists=True):
    """A device with four PDOs of each direction, all off, and every object that a PDO needs."""
    objects = {}
    for index, kind, access in PROCESS:
        variable = Variable(index, 0, f"object {index:04X}", kind, access, pdo_mappable=True)
        objects[index] = Object(index, variable.name, ObjectType.VAR, {0: variable})
    for index, kind in ((0x1000, T.UNSIGNED32), (0x1001, T.UNSIGNED8), (0x1005, T.UNSIGNED32), (0x1019, T.UNSIGNED8)):
        variable = Variable(index, 0, f"object {index:04X}", kind, "rw", 0x80 if index == 0x1005 else 0)
        objects[index] = Object(index, variable.name, ObjectType.VAR, {0: variable})
    objects[0x2200] = Object(0x2200, "fixed", ObjectType.VAR, {0: Variable(0x2200, 0, "fixed", T.UNSIGNED8, "rw")})
    for first in (0x1400, 0x1800):
        for index in range(first, first + pdos):
            objects[index] = _record(
                index,
                {
                    1: ("COB-ID", T.UNSIGNED32, "rw", OFF),
                    2: ("type", T.UNSIGNED8, "rw", 255),
                    3: ("inhibit", T.UNSIGNED16, "rw", 0),
                    5: ("event", T.UNSIGNED16, "rw", 0),
                    6: ("start", T.UNSIGNED8, "rw", 0),
                },
            )
            slots = dict.fromkeys(range(1, 65), ("entry", T.UNSIGNED32, "rw", 0))
            objects[index + 0x200] = _record(index + 0x200, {0: ("count", T.UNSIGNED8, "rw", 0), **slots})
    for index, kind in ((0x1FA0, T.UNSIGNED32), (0x1FD0, T.UNSIGNED64)) if lists else ():
        slots = dict.fromkeys(range(1, 5), ("entry", kind, "rw", 0))
        objects[index] = _record(index, {0: ("count", T.UNSIGNED8, "rw", 0), **slots}, ObjectType.ARRAY)
    return ObjectDictionary("bench", objects)


DICTIONARY = dictionary()


class Device:
    """``sent`` is (time, CAN-ID, data in hexadecimal); ``trouble`` what the PDOs had to tell."""

    def __init__(self, node_id=NODE, look_s=0.01, described=DICTIONARY):
        self.store = DictionaryStore(described, node_id)
        self.trouble, self.sent, self.now = [], [], 0.0
        self.pdos = PdoSet(self.store, self.trouble.append, look_s=look_s)

    def set(self, *objects):
        for index, subindex, value in objects:
            self.store.set(index, subindex, value)
        self.pdos.reload()

    def map(self, transmit, number, can_id, kind, entries, count=None, inhibit=0, event=0, start=0):
        """Set all parameters as from memory. ``inhibit`` in 100 us, ``event`` in ms, entries as index and bits."""
        at = (0x1800 if transmit else 0x1400) + number - 1
        self.set(
            (at, 1, can_id),
            (at, 2, kind),
            (at, 3, inhibit),
            (at, 5, event),
            (at, 6, start),
            (at + 0x200, 0, len(entries) if count is None else count),
            *((at + 0x200, slot, index << 16 | bits) for slot, (index, bits) in enumerate(entries, 1)),
        )

    def write(self, index, subindex, value):
        """As by SDO: raises SdoRefusal, whose code is the abort."""
        size = self.store.width(index, subindex)
        self.store.check_write(index, subindex, size, self.now)
        self.store.write(index, subindex, value.to_bytes(size, "little"), self.now)

    def change(self, index, value):
        """The application: nobody is told."""
        self.store.set(index, 0, value)

    def start(self):
        self.pdos.start()
        return self.collect(self.pdos.poll(self.now))

    def collect(self, frames):
        self.sent += [(round(self.now, 6), frame.can_id, frame.data.hex()) for frame in frames]
        return [frame.data.hex() for frame in frames]

    def run(self, seconds):
        """Let time pass; gives the data of what was sent."""
        before, end = len(self.sent), self.now + seconds
        while (due := self.pdos.deadline()) is not None and due <= end + 1e-9:
            self.now = max(self.now, due)
            self.collect(self.pdos.poll(self.now))
        self.now = end
        self.collect(self.pdos.poll(end))
        return [data for _, _, data in self.sent[before:]]

    def sync(self, counter=None):
        return self.collect(self.pdos.sync(self.now, counter))

    def ask(self, can_id=TPDO, **more):
        """A remote frame."""
        self.pdos.receive(Frame(can_id, remote=True, **more), self.now)
        return self.collect(self.pdos.poll(self.now))

    def hear(self, data, can_id=RPDO, **more):
        self.pdos.receive(Frame(can_id, bytes.fromhex(data), **more), self.now)
        return self.collect(self.pdos.poll(self.now))
