"""A whole CANopen device in memory, made from any EDS: boot-up, NMT, SDO servers, PDOs, heartbeat, EMCY, parameters.

It is a machine like any other: it reads no clock, and what it sends depends on the frames and times it was given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from opendiag.dictionary.library import load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import SdoRefusal, WireError
from opendiag.frame import Frame
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import ObjectWritten, SdoServer
from opendiag.simulate.node_errors import EmcyProducer
from opendiag.simulate.node_parameters import ParameterService
from opendiag.simulate.node_pdo import Pdo, PdoSet
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.node_supervision import HeartbeatConsumer, HeartbeatProducer
from opendiag.simulate.node_sync import SyncService
from opendiag.wire.cob_id import CobId, is_restricted
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtMessage, NmtState
from opendiag.wire.sdo_abort import SdoAbortCode

_SERVERS = range(0x1200, 0x1280)
_COMMUNICATION_ERROR = 0x11
_HEARTBEAT_LOST, _PDO_LENGTH = 0x8130, 0x8210
_WELL_BEHAVED = NodeQuirks()
#: A node that nobody asks what happened must not fill the memory.
_EVENTS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class NmtChanged:
    """The node has entered this NMT state. INITIALISING: it was reset or switched off."""

    node_id: int
    state: NmtState


class SimNode:
    """``dictionary`` is one, or a name or path for `load`. Raises ValueError for a node-ID outside 1..127.

    The node has power from the beginning and boots at its first `tick` or `receive`. ``sdo_latency_s``: how long it
    takes for each SDO answer. ``name`` is the dictionary's. ``seed``: for whatever the device does by chance.
    """

    def __init__(
        self,
        dictionary: ObjectDictionary | str,
        node_id: int,
        *,
        quirks: NodeQuirks = _WELL_BEHAVED,
        sdo_latency_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 1 <= node_id <= 127:
            raise ValueError(f"node-ID {node_id} is outside 1..127")
        self.dictionary = load(dictionary) if isinstance(dictionary, str) else dictionary
        self.name = self.dictionary.name
        self.node_id = node_id
        self.quirks = quirks
        self.seed = seed
        self.nmt_state = NmtState.INITIALISING
        self.powered = True
        self.store = DictionaryStore(self.dictionary, node_id)
        self._frames: list[Frame] = []
        self._events: deque[Any] = deque(maxlen=_EVENTS_KEPT)
        self._started = False
        self._clock = 0.0
        self._boot_at: float | None = None
        self.emergencies = EmcyProducer(self.store)
        self.heartbeat = HeartbeatProducer(self.store, node_id, quirks.guarding_only)
        self.consumer = HeartbeatConsumer(self.store, self._heartbeat_lost, self._heartbeat_found)
        self.sync = SyncService(self.store)
        self.pdos = PdoSet(self.store, self._pdo_too_short)
        self.parameters = ParameterService(self.store, self.saving_takes)
        self.servers = self._make_servers(sdo_latency_s)

    # --- SDO servers ------------------------------------------------------------------------------------------------

    def _make_servers(self, latency_s: float) -> list[SdoServer]:
        indices = [index for index in _SERVERS if index in self.dictionary.objects] or [_SERVERS[0]]
        servers = []
        for index in indices:
            for subindex in (1, 2):
                if (index, subindex) in self.store.variables:
                    self.store.on_write(index, subindex, self._channel_hook(index, subindex))
            channel, _ = self._channel(index)
            servers.append(SdoServer(channel, self.store, latency_s=latency_s, quirks=self.quirks.sdo))
        return servers

    def _channel(self, index: int) -> tuple[SdoChannel, bool]:
        """The channel an object 1200h.. describes, and whether it is in use."""
        number = index - _SERVERS[0] + 1
        default = SdoChannel.default(self.node_id)
        request, response = (self.store.values.get((index, sub)) for sub in (1, 2))
        if request is None or response is None:
            return default, number == 1
        there, back = (CobId.decode(int.from_bytes(raw, "little")) for raw in (request, response))
        channel = SdoChannel(self.node_id, there.can_id, back.can_id, there.extended, back.extended, number)
        return channel, not (there.bit_31 or back.bit_31)

    def _channel_hook(self, index: int, subindex: int) -> Any:
        def written(data: bytes, now: float) -> float:
            new = CobId.decode(int.from_bytes(data, "little"))
            own = new.can_id == (0x600 if subindex == 1 else 0x580) + self.node_id
            if not (new.bit_31 or new.extended or own) and is_restricted(new.can_id):
                raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
            return 0.0

        return written

    def _switch_servers(self) -> None:
        """What was written to 1200h.. takes effect when the answer to that write is out."""
        stopped = self.nmt_state in (NmtState.INITIALISING, NmtState.STOPPED)
        for server in self.servers:
            channel, in_use = self._channel(_SERVERS[0] + server.channel.number - 1)
            if server.channel != channel and server.deadline() is None:
                server.channel = channel
            wanted = in_use and not stopped
            if server.enabled != wanted and (stopped or server.deadline() is None):
                server.enabled = wanted

    # --- power and reset --------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Boot, unless that has happened. The first `tick` or `receive` does it too."""
        if not self._started and self.powered:
            self._started = True
            self._boot_at = now + self.quirks.boot_s
        self._boot(now)

    def power_off(self) -> None:
        """Fall silent at once. What was not saved is forgotten."""
        self._leave()
        self.powered = False
        self._boot_at = None
        self._frames.clear()

    def power_on(self, now: float) -> None:
        """Boot with the saved parameters. Does nothing while there is power."""
        if self.powered:
            return
        self.powered = True
        self._started = True
        self.reset(now)

    def reset(self, now: float) -> None:
        """What the NMT command reset node does; ends with a boot-up message."""
        self._leave()
        self.store.reset()
        self.reset_application(now)
        self._begin(now)

    def _reset_communication(self, now: float) -> None:
        self._leave()
        self.store.reset(communication=True)
        self._begin(now)

    def _leave(self) -> None:
        self._enter(NmtState.INITIALISING)
        self.heartbeat.stop()
        self.sync.stop()
        self.emergencies.reset()
        self.consumer.reset()

    def _begin(self, now: float) -> None:
        self.pdos.reload()
        self.emergencies.reset()
        self._boot_at = now + self.quirks.boot_s
        self._boot(now)

    def _boot(self, now: float) -> None:
        self._clock = max(self._clock, now)
        if self._boot_at is None or now < self._boot_at:
            return
        self._boot_at = None
        if self.quirks.legacy_boot_up:
            self._frames.append(Frame(0x80 + self.node_id))
        elif not self.quirks.no_boot_up:
            self._frames.append(Frame(0x700 + self.node_id, ErrorControl(NmtState.INITIALISING).encode()))
        self.heartbeat.start(now)
        self.sync.start(now)
        self._enter(NmtState.PRE_OPERATIONAL)
        if self.quirks.operational_by_itself:
            self._enter(NmtState.OPERATIONAL)

    def _enter(self, state: NmtState) -> None:
        if state is self.nmt_state:
            return
        self.nmt_state = state
        self._events.append(NmtChanged(self.node_id, state))
        if state is NmtState.OPERATIONAL:
            self.pdos.start()
        else:
            self.pdos.stop()
        self._switch_servers()

    # --- what a device adds -----------------------------------------------------------------------------------------

    def reset_application(self, now: float) -> None:
        """The node was reset: the store holds its power-on values already."""

    def advance(self, now: float) -> None:
        """Let the device itself go on, before frames are handled and values read."""

    def device_deadline(self) -> float | None:
        """When `advance` is wanted."""
        return None

    def saving_takes(self, now: float) -> float:
        """Seconds until parameters are stored."""
        return 0.0

    # --- errors -----------------------------------------------------------------------------------------------------

    def emcy(self, code: int, register: int, data: bytes = b"", now: float = 0.0) -> None:
        """Report an error: 1001h becomes ``register``, 1003h and the bus get ``code`` and up to 5 bytes."""
        self._clock = max(self._clock, now)
        self.emergencies.report(code, register, data, now)
        self._send_emergencies(now)

    def _send_emergencies(self, now: float) -> None:
        allowed = self.nmt_state in (NmtState.PRE_OPERATIONAL, NmtState.OPERATIONAL)
        self._frames += self.emergencies.frames(now, allowed)

    @property
    def _register(self) -> int:
        return int.from_bytes(self.store.values.get((0x1001, 0), b""), "little")

    def _heartbeat_lost(self, node_id: int, now: float) -> None:
        self.emcy(_HEARTBEAT_LOST, self._register | _COMMUNICATION_ERROR, bytes([node_id]), now)
        behaviour = int.from_bytes(self.store.values.get((0x1029, 1), b""), "little")
        if behaviour == 0 and self.nmt_state is NmtState.OPERATIONAL:
            self._enter(NmtState.PRE_OPERATIONAL)
        elif behaviour == 2:
            self._enter(NmtState.STOPPED)

    def _heartbeat_found(self, node_id: int, now: float) -> None:
        self.emcy(0, self._register & ~_COMMUNICATION_ERROR, b"", now)

    def _pdo_too_short(self, pdo: Pdo, now: float) -> None:
        number = pdo.index & 0x1FF
        self.emcy(_PDO_LENGTH, self._register | _COMMUNICATION_ERROR, number.to_bytes(2, "little"), now)

    # --- the machine ------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame, now: float) -> None:
        if not self.powered:
            return
        self.start(now)
        self.advance(now)
        if self.nmt_state is NmtState.INITIALISING or frame.error:
            return
        if frame.can_id == 0 and not (frame.extended or frame.remote or frame.fd):
            self._command(frame, now)
            return
        changed = False
        if self.nmt_state is not NmtState.STOPPED:
            changed = self._serve(frame, now)
        self._frames += self.heartbeat.answer(frame, self.nmt_state)
        self.consumer.receive(frame, now)
        self._finish(now, changed)

    def _serve(self, frame: Frame, now: float) -> bool:
        for server in self.servers:
            server.receive(frame, now)
        if self.sync.is_sync(frame):
            self._frames += self.pdos.sync(now)
            return True
        return self.pdos.receive(frame, now)

    def _command(self, frame: Frame, now: float) -> None:
        try:
            message = NmtMessage.decode(frame.data)
        except WireError:
            return
        if message.node_id not in (ALL_NODES, self.node_id):
            return
        if message.command is NmtCommand.RESET_NODE:
            self.reset(now)
        elif message.command is NmtCommand.RESET_COMMUNICATION:
            self._reset_communication(now)
        elif message.command is NmtCommand.ENTER_PRE_OPERATIONAL:
            self._enter(NmtState.PRE_OPERATIONAL)
        elif message.command is NmtCommand.STOP:
            self._enter(NmtState.STOPPED)
        elif not (self.quirks.refuses_start_on_error and self._register):
            self._enter(NmtState.OPERATIONAL)
        self._finish(now, changed=True)

    def tick(self, now: float) -> None:
        if not self.powered:
            return
        self.start(now)
        self.advance(now)
        if self.nmt_state is NmtState.INITIALISING:
            return
        for server in self.servers:
            server.tick(now)
        self.consumer.tick(now)
        self._frames += self.heartbeat.frames(now, self.nmt_state)
        if self.nmt_state is not NmtState.STOPPED and (produced := self.sync.frames(now)):
            self._frames += [*produced, *self.pdos.sync(now)]
        self._finish(now, changed=False)

    def _finish(self, now: float, changed: bool) -> None:
        """Gather what the parts have to send and to tell."""
        for server in self.servers:
            self._frames += server.frames_to_send()
            events = server.events()
            changed = changed or any(type(event) is ObjectWritten for event in events)
            self._events += events
        self._switch_servers()
        self._send_emergencies(now)
        self._frames += self.pdos.poll(now, at_once=changed)

    def deadline(self) -> float | None:
        if not self.powered:
            return None
        if not self._started:
            return 0.0
        if self._frames:  # told from outside, by `emcy` or `power_on`
            return self._clock
        if self.nmt_state is NmtState.INITIALISING:
            return self._boot_at
        times = [self.heartbeat.deadline(), self.consumer.deadline(), self.emergencies.deadline()]
        times += [self.pdos.deadline(), self.device_deadline(), *(server.deadline() for server in self.servers)]
        if self.nmt_state is not NmtState.STOPPED:
            times.append(self.sync.deadline())
        return min((time for time in times if time is not None), default=None)

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[Any]:
        """The latest ones, if nobody has fetched them for long."""
        events = list(self._events)
        self._events.clear()
        return events
