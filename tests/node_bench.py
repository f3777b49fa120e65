"""A simulated node of a small dictionary, on a clock that the test winds, and every frame it has sent."""

from opendiag.dictionary import eds
from opendiag.frame import Frame

NODE = 5
EDS = """[DeviceInfo]
VendorNumber=1
[MandatoryObjects]
SupportedObjects=3
1=0x1000
2=0x1001
3=0x1018
"""
VAR = "[{index:X}]\nParameterName={name}\nObjectType=7\nDataType={kind}\nAccessType={access}\nDefaultValue={default}\n"
ARRAY = "[{index:X}]\nParameterName={name}\nObjectType=8\nSubNumber={count}\n"
SUB = (
    "[{index:X}sub{sub:X}]\nParameterName=x\nObjectType=7\n"
    + "DataType={kind}\nAccessType={access}\nDefaultValue={default}\n"
)


def var(index, kind=7, access="rw", default="0"):
    return VAR.format(index=index, name=f"o{index:X}", kind=kind, access=access, default=default)


def array(index, subs, kind=7, access="rw"):
    text = ARRAY.format(index=index, name=f"o{index:X}", count=len(subs) + 1)
    text += SUB.format(
        index=index,
        sub=0,
        kind=5,
        access="rw" if index == 0x1003 else "ro",
        default="0" if index == 0x1003 else len(subs),
    )
    for number, default in enumerate(subs, 1):
        text += SUB.format(index=index, sub=number, kind=kind, access=access, default=default)
    return text


def dictionary():
    text = EDS + var(0x1000, access="ro") + var(0x1001, 5, "ro") + array(0x1018, ["1", "2", "3", "4"], access="ro")
    text += array(0x1003, ["0", "0", "0"], access="ro") + var(0x1005, default="0x80") + var(0x1006)
    text += var(0x100C, 6) + var(0x100D, 5) + var(0x1012, default="0x100")
    text += array(0x1010, ["1", "1"]) + array(0x1011, ["1"]) + var(0x1014, default="$NODEID+0x80") + var(0x1015, 6)
    text += array(0x1016, ["0", "0"]) + var(0x1017, 6, default="1000") + var(0x1019, 5) + array(0x1029, ["0"], 5)
    text += array(0x1200, ["$NODEID+0x600", "$NODEID+0x580"]) + array(0x1201, ["0x80000000", "0x80000000"])
    text += var(0x2000, 6, default="7")
    return eds.parse(text, "test")


class Bench:
    """One node, its clock, and every frame it has sent with its time."""

    def __init__(self, node):
        self.node, self.now, self.sent = node, 0.0, []
        self.run(0.0)

    def run(self, seconds):
        end = self.now + seconds
        for _ in range(100_000):
            due = self.node.deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.node.tick(self.now)
            self._collect()
        else:
            raise AssertionError("the node never comes to rest")
        self.now = end
        self.node.tick(end)
        self._collect()

    def _collect(self):
        self.sent += [(self.now, frame) for frame in self.node.frames_to_send()]

    def send(self, can_id, data="", **more):
        """Frames that come at once."""
        before = len(self.sent)
        self.node.receive(Frame(can_id, bytes.fromhex(data) if isinstance(data, str) else data, **more), self.now)
        self._collect()
        return [frame for _, frame in self.sent[before:]]

    def nmt(self, command, node_id=NODE):
        return self.send(0, bytes([command, node_id]))

    def read(self, index, sub=0):
        frame = self.send(0x600 + NODE, bytes([0x40, index & 0xFF, index >> 8, sub, 0, 0, 0, 0]))[0]
        assert frame.can_id == 0x580 + NODE
        if frame.data[0] == 0x80:
            return f"{int.from_bytes(frame.data[4:], 'little'):08X}"
        return int.from_bytes(frame.data[4 : 8 - (frame.data[0] >> 2 & 3)], "little")

    def write(self, index, sub, value, width):
        request = bytes([0x23 | (4 - width) << 2, index & 0xFF, index >> 8, sub]) + value.to_bytes(4, "little")
        answers = [f for f in self.send(0x600 + NODE, request) if f.can_id == 0x580 + NODE]
        if not answers:
            return None
        data = answers[0].data
        return f"{int.from_bytes(data[4:], 'little'):08X}" if data[0] == 0x80 else "ok"

    def ids(self, since=0.0):
        return [(round(time, 6), frame.can_id, frame.data.hex()) for time, frame in self.sent if time >= since]
