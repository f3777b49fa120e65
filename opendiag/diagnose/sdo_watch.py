"""What was asked and answered on each SDO channel of one bus, by us and by others.

Not a decoder: it remembers requests that are still open, who answers them and where, and what is said about the
channels themselves (1200h..127Fh). Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from opendiag.diagnose.heard import Latency
from opendiag.frame import Frame

ABORT = 0x80
_BLOCK_ENDED = 0xA1
_TIMED_OUT = b"\0\0\x04\x05"
#: Requests older than this are no longer waited for, wherever an answer may turn up.
FORGET_S = 10.0
#: An answer counts as somebody else's when a request on its own channel came this short a time before.
_BELONGS_S = 5.0
_MOST_OPEN = 256
#: High byte of 1200h..127Fh.
_SERVER_AREA = 0x12
_KEPT = 16

Key = int


def key_of(can_id: int, extended: bool) -> Key:
    """One number for a CAN-ID of 11 or 29 bits."""
    return can_id | 0x2000_0000 if extended else can_id


def begins_transfer(command: int) -> bool:
    """A client's command byte that names an object: write, read, block read, block write."""
    return command & 0xE0 == 0x20 or command == 0x40 or command & 0xFB == 0xA0 or command & 0xF9 == 0xC0


def may_answer(request: int, answer: int) -> bool:
    """May a server's command byte ``answer`` follow the client's ``request``?"""
    if answer == ABORT:
        return True
    if request & 0xE0 == 0x20:
        return answer == 0x60
    if request == 0x40:
        return answer & 0xF0 == 0x40
    if request & 0xFB == 0xA0:  # the server may answer a block read as an ordinary one
        return answer & 0xF9 == 0xC0 or answer & 0xF0 == 0x40
    return answer & 0xFB == 0xA0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An answer to a request of ours on a CAN-ID that is not the channel's."""

    at: float
    can_id_text: str
    index: int
    subindex: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that broke the protocol, in the words of whoever noticed."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class ServerParameter:
    """COB-IDs of 1200h..127Fh with their flag bits, None: not known. ``source`` is "traffic" or "file"."""

    request_cob_id: int | None
    response_cob_id: int | None
    source: str


@dataclass(slots=True, eq=False)
class Asked:
    """A request of ours that names an object and has no answer yet. ``at`` is the last time it was sent."""

    channel: ChannelFacts
    data: bytes
    at: float
    first_at: float
    given_up: bool = False
    #: When the same request was sent before and given up: the answer may be to that one.
    earlier: float | None = None
    #: The same request was seen on another channel: an answer elsewhere may be to that one.
    shadowed: bool = False


@dataclass(slots=True)
class Late:
    """Answers after the time-out. ``slowest_s`` counts from the request, None where the time-out is not known."""

    count: int = 0
    last_at: float | None = None
    max_by_s: float = 0.0
    slowest_s: float | None = None


@dataclass(slots=True, eq=False)
class ChannelFacts:
    """One SDO channel: the keys of its two CAN-IDs, and what happened on it."""

    node_id: int
    number: int
    request: Key
    response: Key
    #: (time, data) of the last requests that were not ours.
    foreign: deque[tuple[float, bytes]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    foreign_count: int = 0
    answers: int = 0
    answered_at: float = 0.0
    asked_at: float | None = None
    elsewhere: deque[Elsewhere] = field(default_factory=lambda: deque(maxlen=_KEPT))
    faults: deque[Fault] = field(default_factory=lambda: deque(maxlen=_KEPT))
    latency: Latency = field(default_factory=Latency)
    late: Late = field(default_factory=Late)
    #: What our last time-out was, as our own abort shows it.
    timeout_s: float | None = None
    current: Asked | None = None
    in_block: bool = False
    #: The last expedited write to 1200h..127Fh, until the server confirms it.
    writing: bytes = b""

    def belongs_to_somebody(self, now: float) -> bool:
        """Did anybody ask on this channel a short time before?"""
        if self.asked_at is not None and now - self.asked_at <= _BELONGS_S:
            return True
        return bool(self.foreign_since(now - _BELONGS_S))

    def foreign_since(self, since: float) -> list[tuple[float, bytes]]:
        """Of the last ones that are remembered."""
        return [request for request in self.foreign if request[0] >= since]


class SdoWatch:
    """``waiting`` holds our open requests by the three bytes that name the object, then by channel."""

    def __init__(self) -> None:
        self.channels: dict[Key, ChannelFacts] = {}
        self.waiting: dict[bytes, dict[Key, Asked]] = {}
        self.servers: dict[tuple[int, int], ServerParameter] = {}
        self._from_file: dict[tuple[int, int], ServerParameter] = {}

    def channel(self, node_id: int, number: int, request: Key, response: Key) -> ChannelFacts:
        """The facts of this channel, made when it is first heard of."""
        facts = self.channels.get(request)
        if facts is None or (facts.node_id, facts.response) != (node_id, response):
            facts = self.channels[request] = ChannelFacts(node_id, number, request, response)
        return facts

    def configured(self, node_id: int, number: int, parameter: ServerParameter) -> None:
        """What a file says; the traffic's word counts more."""
        self._from_file[node_id, number] = parameter

    def server(self, node_id: int, number: int) -> ServerParameter | None:
        """What is known of the server's channel."""
        return self.servers.get((node_id, number)) or self._from_file.get((node_id, number))

    def restarted(self, node_id: int) -> None:
        """What the traffic said of the node's channels may not have been stored."""
        for key in [key for key in self.servers if key[0] == node_id]:
            del self.servers[key]

    # --- what we send ---

    def asked(self, facts: ChannelFacts, data: bytes, now: float) -> None:
        """We sent this on the channel's request CAN-ID."""
        if not data:
            return
        facts.asked_at = now
        command, object_ = data[0], bytes(data[1:4])
        if command == ABORT:
            facts.in_block = False
            self._gave_up(facts, data, now)
        elif not facts.in_block and len(data) >= 4 and begins_transfer(command):
            facts.in_block = command & 0xF9 == 0xC0
            self._note_write(facts, data)
            if len(self.waiting) >= _MOST_OPEN:
                self.waiting.clear()
            open_ = self.waiting.setdefault(object_, {})
            before = open_.get(facts.request)
            if before is not None and before.data == data:
                before.earlier = before.at if before.given_up else None
                before.at, before.given_up = now, False
            else:
                before = open_[facts.request] = Asked(facts, bytes(data), now, now)
            facts.current = before

    def _gave_up(self, facts: ChannelFacts, data: bytes, now: float) -> None:
        asked = self.waiting.get(bytes(data[1:4]), {}).get(facts.request) or facts.current
        if asked is None:
            return
        asked.given_up = True
        if data[4:8] == _TIMED_OUT and asked is facts.current:
            facts.timeout_s = now - asked.at
        facts.current = None

    # --- what others send ---

    def foreign(self, facts: ChannelFacts, data: bytes, now: float) -> None:
        """Somebody else sent this on the channel's request CAN-ID."""
        facts.foreign.append((now, bytes(data)))
        facts.foreign_count += 1
        self._note_write(facts, data)

    def answer(self, facts: ChannelFacts, frame: Frame, text: str, now: float) -> None:
        """A frame on the channel's response CAN-ID."""
        data = frame.data
        facts.answers += 1
        facts.answered_at = now
        if not data:
            return
        if data[0] in (ABORT, _BLOCK_ENDED):
            facts.in_block = False
        if len(data) >= 4 and data[2] == _SERVER_AREA:
            self._learn(facts, data)
        asked = self._take(facts, data)
        if asked is not None:
            earlier = _answers_earlier(facts, asked, now)
            took = now - (asked.at if earlier is None else earlier)
            facts.latency.add(took)
            if asked.given_up or earlier is not None:
                facts.late.last_at = now
                facts.late.slowest_s = max(facts.late.slowest_s or 0.0, took)
            if earlier is not None:  # and the answer to the present one is still to come, to nobody
                asked.earlier, asked.given_up = None, True
                self.waiting.setdefault(bytes(asked.data[1:4]), {})[facts.request] = asked
        elif self.waiting and not facts.belongs_to_somebody(now):
            self.elsewhere(frame, text, now)

    def _take(self, facts: ChannelFacts, data: bytes) -> Asked | None:
        """The open request that this answers. An abort is told by its CAN-ID alone: devices put any object in it."""
        object_ = bytes(data[1:4])
        open_ = self.waiting.get(object_)
        asked = open_.get(facts.request) if open_ else None
        if asked is None and data[0] == ABORT and facts.current is not None:
            asked = facts.current
            object_ = asked.data[1:4]
            open_ = self.waiting.get(object_)
        if asked is None or not may_answer(asked.data[0], data[0]):
            return None
        if open_ is not None:
            open_.pop(facts.request, None)
            if not open_:
                self.waiting.pop(object_, None)
        if facts.current is asked:
            facts.current = None
        return asked

    def elsewhere(self, frame: Frame, text: str, now: float) -> None:
        """Called for a frame that may be an answer to us on a CAN-ID that is no channel's of ours."""
        data = frame.data
        if len(data) != 8:
            return
        open_ = self.waiting.get(bytes(data[1:4]))
        if not open_:
            return
        for asked in open_.values():
            if data == asked.data:
                asked.shadowed = True
        candidates = [
            asked
            for asked in open_.values()
            if now - asked.at <= FORGET_S and not asked.shadowed and may_answer(asked.data[0], data[0])
        ]
        if candidates:
            asked = max(candidates, key=lambda asked: (not asked.given_up, asked.at))
            index, subindex = data[1] | data[2] << 8, data[3]
            asked.channel.elsewhere.append(Elsewhere(now, text, index, subindex, bytes(data)))

    # --- 1200h..127Fh ---

    def _note_write(self, facts: ChannelFacts, data: bytes) -> None:
        if len(data) == 8 and data[0] & 0xE2 == 0x22 and _is_server_parameter(data):
            facts.writing = bytes(data)

    def _learn(self, facts: ChannelFacts, data: bytes) -> None:
        if not _is_server_parameter(data):
            return
        if data[0] & 0xF2 == 0x42 and len(data) == 8:
            self._set(facts.node_id, data)
        elif data[0] == 0x60 and facts.writing[1:4] == data[1:4]:
            self._set(facts.node_id, facts.writing)
            facts.writing = b""

    def _set(self, node_id: int, data: bytes) -> None:
        number, value = (data[1] & 0x7F) + 1, int.from_bytes(data[4:8], "little")
        before = self.server(node_id, number) or ServerParameter(None, None, "traffic")
        request, response = before.request_cob_id, before.response_cob_id
        if data[3] == 1:
            request = value
        else:
            response = value
        self.servers[node_id, number] = ServerParameter(request, response, "traffic")


def _answers_earlier(facts: ChannelFacts, asked: Asked, now: float) -> float | None:
    """When the request was sent before, if it is that one which is answered: a server keeps to the order.

    After a lost frame the repeated request would be answered as fast as any; what takes long is the first one's.
    """
    waited = facts.timeout_s or 0.0
    if asked.earlier is None or now - asked.at <= waited / 2 or now - asked.earlier > 4 * waited:
        return None
    return asked.earlier


def _is_server_parameter(data: bytes) -> bool:
    return data[2] == _SERVER_AREA and data[1] < 0x80 and data[3] in (1, 2)
