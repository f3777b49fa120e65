"""A simulated drive by its objects, on a clock that the test winds; every frame it sends is kept with its time."""

from opendiag.cia402.states import PdsState, pds_state
from opendiag.frame import Frame
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary

NODE = 5
TURN = 4096
REACHED, BIT_12, BIT_13, LIMIT, WARNING = 1 << 10, 1 << 12, 1 << 13, 1 << 11, 1 << 7


def servo(defaults=None, *, axes=1, **more):
    """A drive of no make; ``defaults`` of its objects by (index, subindex)."""
    return SimDrive(servo_dictionary(axes, defaults), NODE, **more)


class DriveBench:
    """``node`` has power from the beginning; ``before`` may prepare it."""

    def __init__(self, node=None, before=lambda node: None, axis=0):
        self.node, self.now, self.sent = node or servo(), 0.0, []
        self.shift = axis * 0x800
        before(self.node)
        self.run(0.05)

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while (due := self.node.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.node.tick(self.now)
            self._keep()
        self.now = end
        self.node.tick(end)
        self._keep()
        return self

    def _keep(self):
        self.sent += [(self.now, frame) for frame in self.node.frames_to_send()]

    def send(self, can_id, data=b""):
        """A frame arrives."""
        self.node.receive(Frame(can_id, bytes(data)), self.now)
        self._keep()
        return self

    def nmt(self, command):
        return self.send(0, [command, self.node.node_id])

    def ask(self, request):
        before, channel = len(self.sent), self.node.servers[0].channel  # files may have identifiers of their own
        self.send(channel.request_id, request)
        return next(frame.data for _, frame in self.sent[before:] if frame.can_id == channel.response_id)

    def _index(self, index):
        return index + self.shift if 0x6000 <= index < 0x6800 else index

    def read(self, index, sub=0, signed=True):
        """By SDO, of this axis."""
        index = self._index(index)
        data = self.ask(bytes([0x40, index & 0xFF, index >> 8, sub, 0, 0, 0, 0]))
        assert data[0] != 0x80, data.hex()
        return int.from_bytes(data[4 : 8 - (data[0] >> 2 & 3)], "little", signed=signed)

    def write(self, index, value, sub=0):
        """By SDO; gives "ok" or the abort code."""
        index = self._index(index)
        width = self.node.store.width(index, sub) or 4
        raw = (value & (1 << 8 * width) - 1).to_bytes(4, "little")
        data = self.ask(bytes([0x23 | (4 - width) << 2, index & 0xFF, index >> 8, sub]) + raw)
        return f"{int.from_bytes(data[4:], 'little'):08X}" if data[0] == 0x80 else "ok"

    def set(self, **objects):
        """As in ``set(_6081=100, _6099_1=5)``."""
        for name, value in objects.items():
            index, _, sub = name.lstrip("_").partition("_")
            assert self.write(int(index, 16), value, int(sub or 0)) == "ok", name
        return self

    @property
    def word(self):
        return self.read(0x6041, signed=False)

    @property
    def state(self):
        return pds_state(self.word)

    @property
    def error(self):
        return self.read(0x603F, signed=False)

    @property
    def emergencies(self):
        """Error codes of the EMCYs that it has sent."""
        return [int.from_bytes(f.data[:2], "little") for _, f in self.sent if f.can_id == 0x80 + self.node.node_id]

    def control(self, *words):
        for word in words:
            assert self.write(0x6040, word) == "ok"
            self.run(0.01)
        return self.state

    def enable(self, mode):
        assert self.write(0x6060, mode) == "ok"
        assert self.control(0x06, 0x07, 0x0F) is PdsState.OPERATION_ENABLED
        return self

    def move(self, target, *bits):
        """A set-point with bit 4 and these bits."""
        self.write(0x607A, target)
        self.control(0x1F | sum(1 << bit for bit in bits))
        self.control(0x0F)
        return self

    def until(self, done, seconds, step=0.02):
        """How long it takes."""
        begun = self.now
        while not done():
            assert self.now < begun + seconds, f"it never comes; statusword {self.word:04X}h, error {self.error:04X}h"
            self.run(step)
        return self.now - begun

    def until_bits(self, bits, seconds=10.0, step=0.02):
        return self.until(lambda: self.word & bits == bits, seconds, step)
