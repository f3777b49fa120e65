"""Who is on the bus: a plan that listens, then asks every address for its device type and identity.

It asks many addresses at a time and never more than fits the bus (`opendiag.services.bus_pace`). All addresses are
asked for 1000:00 first, so that the absent ones time out while the present ones are asked for the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opendiag.errors import OpenDiagError, SdoError, SendFailed
from opendiag.findings import Finding
from opendiag.frame import Frame
from opendiag.services.bus_pace import BusPace, most_bits
from opendiag.services.plans import Gather, Now, Plan, SdoRead, Send, Sleep, WaitFor
from opendiag.services.scan_result import FoundNode, Heard, ScanResult, found_node, no_answer, other_master, two_nodes
from opendiag.services.scan_talk import DEVICE_TYPE, OBJECTS, Talk
from opendiag.wire.cob_id import Service, predefined
from opendiag.wire.sdo import Abort
from opendiag.wire.sdo_abort import SdoAbortCode

#: As long as nothing at all gets through, no more than this is asked.
_FIRST = 4
_HELD_S = 0.005
_FULL = Frame(0, bytes(8))
#: How long an adapter may refuse frames without taking one.
_REFUSES_S = 1.0
_FROM_NODE = (Service.ERROR_CONTROL, Service.EMCY, Service.TPDO)


#: Nodes that were heard so far, by node-ID.
Known = Callable[[], Mapping[int, Heard]]
#: Why nothing gets through, when that is sure; asked with the time of the first request.
Hindered = Callable[[float], Sequence[Finding]]


def scan_plan(
    addresses: Iterable[int] = range(1, 128),
    *,
    listen_s: float = 1.0,
    timeout_s: float = 0.1,
    bit_rate: int | None = None,
    known: Known = dict,
    passive: bool = False,
    clients: Collection[int] = (),
) -> Plan[ScanResult]:
    """As `Scan` does it. Raise ValueError for an address outside 1..127."""
    scan = Scan(addresses, listen_s=listen_s, timeout_s=timeout_s, bit_rate=bit_rate, known=known, passive=passive)
    scan.clients = clients
    return scan.plan()


@dataclass(eq=False)
class Scan:
    """One scan; `result` gives what was found so far at any time, also when the plan was broken off.

    ``known`` is asked when the listening ends, and for the result. ``clients`` are addresses that a client of ours
    talks to already: they are read through that, not beside it. ``hindered`` may say early why nothing gets through.
    ``bits_of`` gives the bit times of a frame; ``progress`` is called with the addresses that are dealt with.

    Raise ValueError for an address outside 1..127.
    """

    addresses: Iterable[int] = range(1, 128)
    listen_s: float = 1.0
    timeout_s: float = 0.1
    bit_rate: int | None = None
    known: Known = dict
    passive: bool = False
    clients: Collection[int] = ()
    hindered: Hindered = lambda since: ()
    bits_of: Callable[[Frame], int] = most_bits
    progress: Callable[[int], None] = lambda done: None

    def __post_init__(self) -> None:
        wanted = dict.fromkeys(self.addresses)
        wrong = next((address for address in wanted if not 1 <= address <= 127), None)
        if wrong is not None:
            raise ValueError(f"node-ID {wrong} is outside 1..127")
        self._wanted = tuple(wanted)
        self._talks = {node_id: Talk(node_id) for node_id in range(1, 128)}
        self._pace = BusPace(self.bit_rate, self.bits_of)
        self._first: deque[Talk] = deque()
        self._next: deque[Talk] = deque()
        self._answered: list[Talk] = []
        self._alive = False
        self._began: float | None = None
        self._asked_at: float | None = None
        self._refused_since: float | None = None
        self._hindrances: tuple[Finding, ...] = ()
        self._stopped = ""

    # --- the plan ---

    def plan(self) -> Plan[ScanResult]:
        """Run it once."""
        self._began = yield Now()
        yield WaitFor(self._overhear, self.listen_s)
        if not self.passive:
            yield from self._ask_all()
        return self.result((yield Now()))

    def _ask_all(self) -> Plan[None]:
        heard = self.known()
        for node_id in sorted(self._wanted, key=lambda node_id: node_id not in heard):
            talk = self._talks[node_id]
            talk.heard = node_id in heard
            talk.client = node_id in self.clients
            if talk.client:
                talk.place = len(OBJECTS)
            else:
                self._queue(talk)
        read = [self._read(talk) for talk in self._talks.values() if talk.client]
        if read:
            for failure in (yield Gather((self._talk(), *read))):
                if isinstance(failure, OpenDiagError):
                    raise failure
        else:
            yield from self._talk()
        yield from self._read_segmented()

    def _talk(self) -> Plan[None]:
        """Ask and hear until nothing is open. It never sleeps otherwise than in WaitFor: no answer is missed."""
        while not self._stopped:
            now = yield Now()
            self._take_times(now)
            self._overdue(now)
            self.progress(self._done())
            queue = self._first or self._next
            wait_s = self._pace.wait_s(queue[0].request(), now) if queue else None
            if wait_s is not None and self._held(now):
                wait_s = max(wait_s, _HELD_S)
            if wait_s == 0.0:
                yield from self._send(queue, now)
                continue
            dues = [talk.due - now for talk in self._talks.values() if talk.due is not None]
            if wait_s is None and not dues:
                return
            yield WaitFor(self._hear, max(min(dues if wait_s is None else [wait_s, *dues]), 0.0))

    def _send(self, queue: deque[Talk], now: float) -> Plan[None]:
        """A frame that the adapter refuses stays the next one to be sent."""
        talk, frame = queue[0], queue[0].request()
        if self._asked_at is None:
            self._asked_at = now
        try:
            yield Send(frame)
        except SendFailed as error:
            self._refused(error, now)
            return
        queue.popleft()
        self._refused_since = None
        self._pace.sent(frame, now)
        left_at = now + self._pace.backlog_s(now)
        patience_s = self.timeout_s + 2 * (talk.response_s or 0.0)
        talk.sent(left_at if self._pace.known else now, left_at + patience_s)

    def _refused(self, error: SendFailed, now: float) -> None:
        if self._refused_since is None:
            self._refused_since = now
        self._pace.refused(now)
        if now - self._refused_since >= _REFUSES_S:
            self._stop(str(error).rstrip("."))

    def _held(self, now: float) -> bool:
        """Nothing has come yet, and the bus says why: what is sent only waits in the adapter."""
        asked = sum(1 for talk in self._talks.values() if talk.asked)
        if self._alive or self._asked_at is None or asked < min(_FIRST, len(self._wanted)):
            return False
        hindrances = self.hindered(self._asked_at)
        if not hindrances:
            return False
        for talk in self._talks.values():
            if talk.due is not None:
                talk.due = now + self.timeout_s
        if now - self._asked_at > max(_REFUSES_S, self.timeout_s):
            self._stop(hindrances[0].sentence)
        return True

    def _stop(self, why: str) -> None:
        self._stopped = why
        self._hindrances = tuple(self.hindered(self._asked_at or 0.0))

    def _overdue(self, now: float) -> None:
        for talk in self._talks.values():
            if talk.due is not None and now >= talk.due and talk.gave_up():
                self._queue(talk)

    def _take_times(self, now: float) -> None:
        for talk in self._answered:
            took = max(now - talk.sent_at, self._pace.frame_s(_FULL))
            talk.response_s = took if talk.response_s is None else min(talk.response_s, took)
        self._answered.clear()

    def _queue(self, talk: Talk) -> None:
        talk.queued = True
        (self._next if talk.place else self._first).append(talk)

    def _done(self) -> int:
        return sum(1 for node_id in self._wanted if self._talks[node_id].over)

    # --- through a client, for nodes that have one, and for answers in segments ---

    def _read(self, talk: Talk) -> Plan[None]:
        for key in OBJECTS:
            while wait_s := self._pace.wait_s(talk.channel.request(bytes(8)), (yield Now())):
                yield Sleep(wait_s)
            began = yield Now()
            self._pace.sent(talk.channel.request(bytes(8)), began)
            try:
                raw = yield SdoRead(talk.node_id, *key, timeout_s=self.timeout_s)
            except SdoError as error:
                if key == DEVICE_TYPE:
                    talk.error = error.summary
                    return
            else:
                talk.values[key] = int.from_bytes(raw[:4], "little")
                took = (yield Now()) - began
                talk.response_s = took if talk.response_s is None else min(talk.response_s, took)

    def _read_segmented(self) -> Plan[None]:
        talks = [talk for talk in self._talks.values() if talk.segmented]
        for talk in talks:
            yield Send(talk.channel.request(Abort(*DEVICE_TYPE, SdoAbortCode.GENERAL_ERROR).encode()))
        if talks:
            yield Gather(tuple(self._read(talk) for talk in talks))

    # --- what is heard ---

    def _overhear(self, frame: Frame) -> bool:
        self._pace.heard(frame)
        if not frame.error:
            self._alive = True
            if 0x600 < frame.can_id <= 0x67F and not (frame.extended or frame.remote or frame.fd):
                self._talks[frame.can_id - 0x600].foreign += 1
        return False

    def _hear(self, frame: Frame) -> bool:
        """Returns whether there is something new to do."""
        self._overhear(frame)
        if frame.extended or frame.remote or frame.error or frame.fd:
            return False
        connection = predefined(frame.can_id)
        talk = self._talks.get(connection.node_id)
        if talk is None or not (talk.asked or talk.client):
            return False
        if connection.service is Service.SDO_RESPONSE:
            return self._answer(talk, frame)
        if connection.service not in _FROM_NODE:
            return False
        is_error_control = connection.service is Service.ERROR_CONTROL
        booted = frame.data == b"\0" if is_error_control else connection.service is Service.EMCY and not frame.data
        if talk.alive(booted):
            self._queue(talk)
            return True
        return False

    def _answer(self, talk: Talk, frame: Frame) -> bool:
        if not talk.received(frame.data):
            return False
        self._answered.append(talk)
        if not (talk.over or talk.queued):
            self._queue(talk)
        return True

    # --- what came out ---

    def result(self, now: float) -> ScanResult:
        """What is known by now."""
        heard = self.known()
        nodes = []
        for node_id in sorted(self._wanted):
            talk = self._talks[node_id]
            if talk.answered or node_id in heard:
                nodes.append(found_node(talk, heard.get(node_id, Heard()), now))
        asked = sum(1 for node_id in self._wanted if self._talks[node_id].asked or self._talks[node_id].values)
        took = now - (now if self._began is None else self._began)
        findings = (*self._hindrances, *self._findings(nodes))
        return ScanResult(tuple(nodes), findings, asked, len(self._wanted), took, self._stopped)

    def _findings(self, nodes: Iterable[FoundNode]) -> Iterator[Finding]:
        foreign = [talk for talk in self._talks.values() if talk.foreign]
        if foreign:
            yield other_master(foreign)
        for node_id in self._wanted:
            talk = self._talks[node_id]
            if not talk.foreign and (finding := two_nodes(talk)) is not None:
                yield finding
        for node in nodes:
            if node.how == "heard" and node.error:
                yield no_answer(node)


__all__ = ["FoundNode", "Heard", "Scan", "ScanResult", "scan_plan"]
