"""Runs plans of the drive profile against a drive of a few lines, without a bus: golden words, and errors anywhere.

The drive follows a table of its own, written down from the standard's diagram, not the package's.
"""

from collections.abc import Callable

from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import encode_value, is_signed
from opendiag.errors import SdoAborted, SdoTimeout
from opendiag.frame import Frame
from opendiag.services.plans import Now, SdoRead, SdoWrite, Send, Sleep

NODE = 5
NO_OBJECT, READ_ONLY, DEVICE_STATE = 0x0602_0000, 0x0601_0002, 0x0800_0022
#: state -> statusword
WORDS = {
    "NRSO": 0x0000,
    "SOD": 0x0040,
    "RTSO": 0x0021,
    "SO": 0x0023,
    "OE": 0x0027,
    "QSA": 0x0007,
    "FRA": 0x000F,
    "F": 0x0008,
}
_ON = {"SOD": "SOD", "RTSO": "RTSO", "SO": "SO", "OE": "OE", "QSA": "QSA"}
#: (command by bits, state) -> state
_TABLE = {
    ("shutdown", "SOD"): "RTSO",
    ("shutdown", "SO"): "RTSO",
    ("shutdown", "OE"): "RTSO",
    ("switch on", "RTSO"): "SO",
    ("switch on", "OE"): "SO",
    ("enable", "RTSO"): "OE",
    ("enable", "SO"): "OE",
    ("voltage off", "RTSO"): "SOD",
    ("voltage off", "SO"): "SOD",
    ("voltage off", "OE"): "SOD",
    ("voltage off", "QSA"): "SOD",
    ("quick stop", "RTSO"): "SOD",
    ("quick stop", "SO"): "SOD",
    ("quick stop", "OE"): "QSA",
}


def command_of(word: int) -> str:
    if not word & 2:
        return "voltage off"
    if not word & 4:
        return "quick stop"
    if not word & 1:
        return "shutdown"
    return "enable" if word & 8 else "switch on"


class Bench:
    """``state`` is the drive's. ``objects`` (index, subindex) -> number; what is not in it does not exist.

    ``words`` are the controlwords that reached it, ``writes`` all other writes, ``frames`` what was sent besides.
    ``before(bench, request)`` may change anything, or raise, before a request is served; ``after`` raises when the
    request has been served: its answer is lost. ``stays``: 605Ah is 5..8. ``cause``: a fault cannot be reset.
    """

    def __init__(self, state: str = "SOD", **objects: int) -> None:
        self.state = state
        self.objects = {(0x6061, 0): 0, (0x6060, 0): 0, (0x6064, 0): 1000, (0x606C, 0): 0, (0x603F, 0): 0}
        self.objects |= {(int(name[1:], 16), 0): value for name, value in objects.items()}
        self.words: list[int] = []
        self.writes: list[tuple[int, int, int]] = []
        self.frames: list[Frame] = []
        self.requests: list[object] = []
        self.before: Callable[[Bench, object], None] = lambda bench, request: None
        self.after: Callable[[Bench, object], None] = lambda bench, request: None
        self.stays = False
        self.cause = False
        self.word = 0
        self.now = 100.0
        self.status_bits = 0
        self.pending: dict[int, tuple[object, BaseException | None]] = {}

    # --- the drive ---

    def take(self, word: int) -> None:
        self.words.append(word)
        rising = word & 0x80 and not self.word & 0x80
        self.word = word
        if self.state == "F":
            if rising and not self.cause:
                self.state = "SOD"
            return
        self.state = _TABLE.get((command_of(word), self.state), self.state)
        if command_of(word) == "enable" and self.state == "QSA" and self.stays:
            self.state = "OE"
        if self.state == "QSA" and not self.stays:
            self.state = "SOD"

    def read(self, index: int, subindex: int) -> bytes:
        if index == 0x6041:
            return (WORDS[self.state] | self.status_bits).to_bytes(2, "little")
        if (index, subindex) not in self.objects:
            raise SdoAborted(NODE, index, subindex, "read", NO_OBJECT, "no such object")
        return encode_value(builtin.get(index, subindex).data_type, self.objects[index, subindex])

    def write(self, index: int, subindex: int, data: bytes) -> None:
        variable = builtin.get(index, subindex)
        value = int.from_bytes(data, "little", signed=is_signed(variable.data_type))
        if index == 0x6040:
            self.take(value)
            if (0x6040, 0) in self.objects:
                self.objects[0x6040, 0] = value
            return
        if (index, subindex) not in self.objects:
            raise SdoAborted(NODE, index, subindex, "write", NO_OBJECT, "no such object")
        self.writes.append((index, subindex, value))
        self.objects[index, subindex] = value
        if index == 0x6060:
            self.objects[0x6061, 0] = value

    # --- the runner ---

    def serve(self, request: object) -> object:
        self.requests.append(request)
        self.before(self, request)
        answer: object = None
        if isinstance(request, SdoRead):
            answer = self.read(request.index, request.subindex)
        elif isinstance(request, SdoWrite):
            self.write(request.index, request.subindex, request.data)
        elif isinstance(request, Sleep):
            self.now += request.seconds
        elif isinstance(request, Now):
            answer = self.now
        elif isinstance(request, Send):
            self.frames.append(request.frame)
        if isinstance(request, SdoRead | SdoWrite):
            self.now += 0.0005
        self.after(self, request)
        return answer

    def run(self, plan, most: int = 200_000):
        """The plan's result; what it raises is raised."""
        for _ in range(most):
            if (end := self.step(plan)) is not None:
                return end.value
        raise AssertionError("the plan does not end")

    def step(self, plan) -> StopIteration | None:
        """Serve one request of a plan; what it came to when that was its end."""
        answer, error = self.pending.pop(id(plan), (None, None))
        try:
            request = plan.send(answer) if error is None else plan.throw(error)
        except StopIteration as end:
            return end
        answer, error = None, None
        try:
            answer = self.serve(request)
        except BaseException as problem:
            error = problem
        self.pending[id(plan)] = answer, error
        return None

    @property
    def nmt(self) -> list[int]:
        """The NMT commands that were sent."""
        return [frame.data[0] for frame in self.frames if frame.can_id == 0]


def lost(request: SdoRead | SdoWrite) -> SdoTimeout:
    action = "read" if isinstance(request, SdoRead) else "write"
    return SdoTimeout(NODE, request.index, request.subindex, action, 0.5, 1, action == "write")


def refused(request: SdoRead | SdoWrite, code: int = DEVICE_STATE) -> SdoAborted:
    action = "read" if isinstance(request, SdoRead) else "write"
    return SdoAborted(NODE, request.index, request.subindex, action, code, "not in this state")


def is_word(request: object, word: int | None = None) -> bool:
    """Is this the writing of a (or this) controlword?"""
    if not (isinstance(request, SdoWrite) and request.index == 0x6040):
        return False
    return word is None or int.from_bytes(request.data, "little") == word
