"""Listens to everything on one bus and keeps what a diagnosis needs: who was heard, when, and what went wrong.

It runs for every frame of a live bus, so a data frame costs a look-up and a few sums; everything else is worked out
when somebody asks. Times are monotonic seconds, never smaller than the one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from opendiag.diagnose.error_tally import ErrorTally
from opendiag.diagnose.heard import FROM_NODE, Action, CanIdSeen, Latency, NodeHeard
from opendiag.diagnose.sdo_watch import ChannelFacts, Fault, SdoWatch, ServerParameter, key_of
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.emcy import EmcyConsumer
from opendiag.services.heartbeat import HeartbeatConsumer
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.cob_id import UNKNOWN, CobId, Connection, Service, predefined
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtMessage

_MOST_CAN_IDS = 4096
_ECHO_S = 1.0
_KEPT_OWN = 128


@dataclass(slots=True, eq=False)
class OwnFrames:
    """What we sent on one CAN-ID; ``data`` the last. ``confirmed``: it was on the bus and somebody acknowledged it."""

    handed: int = 0
    confirmed: int = 0
    failed: int = 0
    data: bytes = b""
    handed_at: float | None = None
    confirmed_at: float | None = None
    failed_at: float | None = None
    open: deque[tuple[float, bytes]] = field(default_factory=lambda: deque(maxlen=_KEPT_OWN))

    def take(self, data: bytes, now: float) -> bool:
        """Is that a frame of ours that has not been seen on the bus yet?"""
        while self.open and now - self.open[0][0] > _ECHO_S:
            self.open.popleft()
        for place, (_, sent) in enumerate(self.open):
            if sent == data:
                del self.open[place]
                return True
        return False


class BusWatch:
    """Everything heard on one bus.

    ``frames`` counts valid frames of others; ``first_at`` and ``last_at`` are when the first and the last came, None
    while there was none. ``expected_nodes`` are those the user works with. ``send_failures`` holds (time, reason).
    ``heartbeats`` and ``emergencies`` are fed here; whoever wants their events and deadlines runs them.
    """

    def __init__(self, started_at: float | None = None) -> None:
        self.started_at = started_at
        self.frames = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.errors = ErrorTally()
        self.nodes: dict[int, NodeHeard] = {}
        self.heartbeats = HeartbeatConsumer()
        self.emergencies = EmcyConsumer()
        self.can_ids: dict[int, CanIdSeen] = {}
        self.own: dict[int, OwnFrames] = {}
        self.sdo = SdoWatch()
        self.expected_nodes: set[int] = set()
        self.send_failures: deque[tuple[float, str]] = deque(maxlen=16)
        self.send_failure_count = 0
        self.command_to_all: tuple[NmtCommand, float] | None = None
        self._waiting = self.sdo.waiting
        self._channel_of: dict[int, tuple[ChannelFacts, bool]] = {}
        self._emcy_of: dict[int, int] = {}

    # --- what the user tells ---

    def expect(self, node_id: int) -> None:
        """The user works with this node."""
        self.expected_nodes.add(node_id)

    def uses(self, channel: SdoChannel) -> ChannelFacts:
        """Listen to this channel, too; the first one of each node is known without that."""
        request = key_of(channel.request_id, channel.request_extended)
        response = key_of(channel.response_id, channel.response_extended)
        facts = self.sdo.channel(channel.node_id, channel.number, request, response)
        known = self._channel_of.get(request)
        if known is None or known[0] is not facts:
            self._channel_of[request], self._channel_of[response] = (facts, True), (facts, False)
            self.can_ids.pop(request, None)
            self.can_ids.pop(response, None)
        return facts

    def emcy_configured(self, node_id: int, cob: CobId) -> None:
        """1014h of the node holds this."""
        self.emergencies.move(node_id, cob)
        keys = [key for key, node in self._emcy_of.items() if node == node_id]
        for key in keys:
            del self._emcy_of[key]
        if not cob.bit_31:
            keys.append(key_of(cob.can_id, cob.extended))
            self._emcy_of[keys[-1]] = node_id
        for key in keys:
            self.can_ids.pop(key, None)  # it means something else from now on

    def sdo_server_configured(
        self, node_id: int, request_cob_id: int | None, response_cob_id: int | None, number: int = 1
    ) -> None:
        """A dictionary or a DCF gives these COB-IDs, with their flag bits, in 1200h + ``number`` - 1."""
        self.sdo.configured(node_id, number, ServerParameter(request_cob_id, response_cob_id, "file"))

    # --- what happens ---

    def received(self, frame: Frame, now: float) -> None:
        """Any frame that came in: data, error frame, or the echo of an own one (direction "tx")."""
        if frame.error or frame.remote or frame.fd or frame.direction == "tx":
            self._special(frame, now)
            return
        key = frame.can_id | 0x2000_0000 if frame.extended else frame.can_id
        seen = self.can_ids.get(key)
        if seen is None:
            seen = self._first(frame, key, now)
        if seen.action is not None:
            seen.action(seen, frame, now)
        elif self._waiting and frame.data[1:4] in self._waiting:
            self.sdo.elsewhere(frame, seen.text, now)
        seen.count += 1
        seen.last_at = now
        self.frames += 1
        self.last_at = now

    def sent(self, frame: Frame, now: float, confirmed: bool | None = None) -> None:
        """We sent a frame.

        ``confirmed`` None: handed to the adapter, which says no more yet. True: it is on the bus and was
        acknowledged; call that alone, or after None when the echo comes. False: the adapter could not send it.
        """
        self._start(now)
        key = key_of(frame.can_id, frame.extended)
        own = self.own.get(key)
        if own is None:
            own = self.own[key] = OwnFrames()
        if confirmed is False:
            own.failed += 1
            own.failed_at = now
            return
        if confirmed:
            own.confirmed += 1
            own.confirmed_at = now
            if own.take(frame.data, now):
                return
        else:
            own.open.append((now, frame.data))
        if frame.remote:
            self.heartbeats.receive(frame, now)
        own.handed += 1
        own.data = frame.data
        own.handed_at = now
        channel = self._channel(frame, key)
        if channel is not None and channel[1]:
            self.sdo.asked(channel[0], frame.data, now)
        elif key == 0:
            self._command(frame.data, now)

    def send_failed(self, reason: str, now: float) -> None:
        """The adapter did not take a frame."""
        self._start(now)
        self.send_failures.append((now, reason))
        self.send_failure_count += 1

    def late_answer(self, channel: SdoChannel, late_by_s: float, now: float) -> None:
        """An answer came so long after its request was given up."""
        facts = self.uses(channel)
        late = facts.late
        late.count += 1
        if late.last_at == now and late.slowest_s is not None and facts.timeout_s is not None:
            late_by_s = min(late_by_s, late.slowest_s - facts.timeout_s)  # counted from the right request
        late.last_at = now
        late.max_by_s = max(late.max_by_s, late_by_s)
        if facts.timeout_s is not None:
            late.slowest_s = max(late.slowest_s or 0.0, facts.timeout_s + late_by_s)

    def protocol_fault(self, channel: SdoChannel, what: str, now: float) -> None:
        """An answer broke the protocol; ``what`` says how, and has the word toggle in it when it is that."""
        self.uses(channel).faults.append(Fault(now, what))

    # --- what is known ---

    def node(self, node_id: int) -> NodeHeard:
        """What was heard of the node, if anything."""
        node = self.nodes.get(node_id)
        if node is None:
            node = self.nodes[node_id] = NodeHeard(node_id, self.heartbeats, self.emergencies)
        return node

    def heard_nodes(self, since: float | None = None) -> list[NodeHeard]:
        """Nodes heard at all, or at ``since`` or later, by node-ID."""
        heard = (node for node in self.nodes.values() if node.last_at is not None)
        limit = float("-inf") if since is None else since
        return sorted((n for n in heard if (n.last_at or 0.0) >= limit), key=lambda node: node.node_id)

    def confirmed_since(self, channel: SdoChannel, since: float) -> bool:
        """A request on this channel was acknowledged on the bus at ``since`` or later."""
        own = self.own.get(key_of(channel.request_id, channel.request_extended))
        return own is not None and own.confirmed_at is not None and own.confirmed_at >= since

    def latency(self, node_id: int) -> Latency | None:
        """Of the node's channel with the most answers to us; None: it never answered."""
        of_node = (facts.latency for facts in self.sdo.channels.values() if facts.node_id == node_id)
        return max((one for one in of_node if one.count), key=lambda one: one.count, default=None)

    def last_command(self, node_id: int) -> tuple[NmtCommand, float] | None:
        """The last NMT command that concerned the node, and when."""
        commands: Iterable[tuple[NmtCommand, float] | None] = (self.node(node_id).command, self.command_to_all)
        return max((c for c in commands if c is not None), key=lambda command: command[1], default=None)

    # --- frames that mean something ---

    def _start(self, now: float) -> None:
        if self.started_at is None:
            self.started_at = now

    def _special(self, frame: Frame, now: float) -> None:
        self._start(now)
        if frame.error:
            self.errors.add(frame, now)
        elif frame.direction == "tx":
            self.sent(frame, now, True)
        else:  # CAN FD is no CiA 301 service; a remote frame tells nothing of the node that it asks
            self.heartbeats.receive(frame, now)
            self.frames += 1
            self.first_at = now if self.first_at is None else self.first_at
            self.last_at = now

    def _first(self, frame: Frame, key: int, now: float) -> CanIdSeen:
        """The record of a CAN-ID that was not heard before."""
        self._start(now)
        if self.first_at is None:
            self.first_at = now
        if len(self.can_ids) >= _MOST_CAN_IDS:
            return CanIdSeen(frame.can_id, frame.extended, UNKNOWN, None, 0, now, now)
        channel = self._channel(frame, key)
        connection = UNKNOWN if frame.extended else predefined(frame.can_id)
        if channel is not None:
            service = Service.SDO_REQUEST if channel[1] else Service.SDO_RESPONSE
            connection = Connection(service, channel[0].node_id, channel[0].number)
        elif key in self._emcy_of:
            connection = Connection(Service.EMCY, self._emcy_of[key])
        seen = CanIdSeen(frame.can_id, frame.extended, connection, self._action(connection), 0, now, now)
        self.can_ids[key] = seen
        if connection.node_id and connection.service in FROM_NODE:
            self.node(connection.node_id).can_ids.append(seen)
        return seen

    def _action(self, connection: Connection) -> Action | None:
        return {
            Service.NMT: self._nmt,
            Service.ERROR_CONTROL: self._error_control,
            Service.EMCY: self._emcy,
            Service.SDO_REQUEST: self._sdo_request,
            Service.SDO_RESPONSE: self._sdo_response,
        }.get(connection.service)

    def _channel(self, frame: Frame, key: int) -> tuple[ChannelFacts, bool] | None:
        """The SDO channel of this CAN-ID, and whether it is the request's."""
        found = self._channel_of.get(key)
        if found is None and not frame.extended:
            connection = predefined(frame.can_id)
            if connection.service in (Service.SDO_REQUEST, Service.SDO_RESPONSE):
                self.uses(SdoChannel.default(connection.node_id))
                found = self._channel_of.get(key)
        return found

    def _nmt(self, seen: CanIdSeen, frame: Frame, now: float) -> None:
        self._command(frame.data, now)

    def _command(self, data: bytes, now: float) -> None:
        try:
            message = NmtMessage.decode(data)
        except WireError:
            return
        if message.node_id == ALL_NODES:
            self.command_to_all = message.command, now
        else:
            self.node(message.node_id).command = message.command, now

    def _error_control(self, seen: CanIdSeen, frame: Frame, now: float) -> None:
        node_id = seen.connection.node_id
        self.heartbeats.receive(frame, now)
        self.emergencies.receive(frame, now)
        self.nodes[node_id].told(frame.data, now)
        if frame.data == b"\0":
            self.sdo.restarted(node_id)

    def _emcy(self, seen: CanIdSeen, frame: Frame, now: float) -> None:
        self.emergencies.receive(frame, now)
        if not frame.data and predefined(frame.can_id) == seen.connection:  # boot-up, before it had its own message
            self.heartbeats.receive(frame, now)
            self.nodes[seen.connection.node_id].told(b"\0", now)
            self.sdo.restarted(seen.connection.node_id)

    def _sdo_request(self, seen: CanIdSeen, frame: Frame, now: float) -> None:
        self.sdo.foreign(self._channel_of[key_of(frame.can_id, frame.extended)][0], frame.data, now)

    def _sdo_response(self, seen: CanIdSeen, frame: Frame, now: float) -> None:
        self.sdo.answer(self._channel_of[key_of(frame.can_id, frame.extended)][0], frame, seen.text, now)
