"""A whole CANopen device in memory, made from any EDS: boot-up, NMT, SDO servers, PDOs, heartbeat, EMCY, parameters.

It is a machine like any other: it reads no clock, and what it sends depends on the frames and times it was given.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from opendiag.dictionary.library import load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.guarding import MasterLost
from opendiag.services.heartbeat import NodeLost
from opendiag.services.nmt import NmtSlave
from opendiag.services.object_store import DictionaryStore
from opendiag.services.pdo_consumer import PdoTrouble
from opendiag.services.pdo_set import PdoSet
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import ObjectWritten, SdoServer
from opendiag.services.sync import SyncLengthWrong
from opendiag.simulate.node_errors import ErrorObjects
from opendiag.simulate.node_parameters import ParameterService
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.node_supervision import Supervision
from opendiag.simulate.node_sync import SyncObjects, TimeObjects
from opendiag.wire.cob_id import CobId, Service, is_restricted
from opendiag.wire.nmt import NmtCommand, NmtState
from opendiag.wire.sdo_abort import SdoAbortCode

_SERVERS = range(0x1200, 0x1280)
_COMMUNICATION_ERROR = 0x11
_LIFE_GUARD, _SYNC_LENGTH = 0x8130, 0x8240
_WELL_BEHAVED = NodeQuirks()
#: A node that nobody asks what happened must not fill the memory.
_EVENTS_KEPT = 10_000


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
        self.nmt = NmtSlave(node_id, quirks.boot_s, boot_up=_boot_up(node_id, quirks))
        self.powered = True
        self.store = DictionaryStore(self.dictionary, node_id)
        self._frames: list[Frame] = []
        self._events: deque[Any] = deque(maxlen=_EVENTS_KEPT)
        self._started = False
        self._clock = 0.0
        self._entered = NmtState.INITIALISING
        self.error_objects = ErrorObjects(self.store)
        self.supervision = Supervision(self.store, node_id, quirks.guarding_only)
        self.sync = SyncObjects(self.store)
        self.time = TimeObjects(self.store)
        self.pdos = PdoSet(self.store, self._pdo_trouble)
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
            self.time.power_on(now)
            self.nmt.boot(now)
        self._boot(now)

    def power_off(self) -> None:
        """Fall silent at once. What was not saved is forgotten."""
        self.nmt.enter(NmtState.INITIALISING, self._clock)
        self._follow(self._clock)
        self.powered = False
        self._frames.clear()

    def power_on(self, now: float) -> None:
        """Boot with the saved parameters. Does nothing while there is power."""
        if self.powered:
            return
        self.powered = True
        self._started = True
        self.time.power_on(now)
        self.reset(now)

    def reset(self, now: float) -> None:
        """What the NMT command reset node does; ends with a boot-up message."""
        self.nmt.obey(NmtCommand.RESET_NODE, now)
        self._reset(now)

    def _reset(self, now: float, communication: bool = False) -> None:
        self._follow(now)
        self.store.reset(communication)
        if not communication:
            self.reset_application(now)
        self.pdos.reload()
        self.error_objects.reload()
        self.nmt.boot(now)
        self._boot(now)

    def _boot(self, now: float) -> None:
        self._clock = max(self._clock, now)
        if self.nmt.state is not NmtState.INITIALISING:
            return
        self.nmt.tick(now)
        if self.nmt.state is NmtState.INITIALISING:
            return
        self._frames += self.nmt.frames_to_send()
        self.supervision.start(now)
        self.sync.start(now)
        self.time.start(now)
        self._follow(now)
        if self.quirks.operational_by_itself:
            self.nmt.enter(NmtState.OPERATIONAL, now)
            self._follow(now)

    def _follow(self, now: float) -> None:
        """Do what belongs to the NMT state, where it has changed."""
        before, state = self._entered, self.nmt.state
        if state is before:
            return
        self._entered = state
        self._events += self.nmt.events()
        self.supervision.enter(state)
        if state is NmtState.OPERATIONAL:
            self.pdos.start()
        else:
            self.pdos.stop()
        if state is NmtState.INITIALISING:
            self.supervision.stop()
            self.sync.stop()
            self.time.stop()
        elif before is NmtState.STOPPED:
            self.sync.start(now)
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
        self.error_objects.report(code, register, data, now)
        self._send_emergencies(now)

    @property
    def nmt_state(self) -> NmtState:
        """As NMT commands, resets and errors have left it."""
        return self.nmt.state

    def _send_emergencies(self, now: float) -> None:
        self._frames += self.error_objects.frames(now, self.nmt.may(Service.EMCY))

    @property
    def _register(self) -> int:
        return self.error_objects.register

    def fail(self, key: object, code: int, data: bytes, now: float) -> None:
        """A communication error begins: EMCY, and what 1029h asks for. Once until `recover` with the same key."""
        if not self.error_objects.fail(key, code, data, now):
            return
        self._send_emergencies(now)
        self.nmt.react(self.error_objects.behaviour, now)
        self._follow(now)

    def recover(self, key: object, now: float) -> None:
        """A communication error is over. Does nothing if it was not there."""
        self.error_objects.recover(key, now)
        self._send_emergencies(now)

    def _supervise(self, now: float) -> None:
        """Tell who was lost and who is back. 8130h: heartbeat and life guarding have one code."""
        events = self.supervision.events()
        self._events += events
        for event in events:
            if isinstance(event, NodeLost | MasterLost):
                lost = event.node_id if isinstance(event, NodeLost) else 0
                self.fail(("lost", lost), _LIFE_GUARD, bytes([lost]), now)
        if self.error_objects.failing:  # the object that asks for the supervision may have been written, too
            lost_now = {("lost", node_id) for node_id in self.supervision.failures()}
            for key in self.error_objects.failing - lost_now:
                if isinstance(key, tuple) and key[0] == "lost":
                    self.recover(key, now)

    def _pdo_trouble(self, trouble: PdoTrouble) -> None:
        """8210h, 8220h, 8230h or 8250h. The NMT state stays as it is."""
        key = ("RPDO", trouble.number, trouble.error)
        if trouble.over:
            self.recover(key, trouble.at)
        elif self.error_objects.fail(key, trouble.error, trouble.number.to_bytes(2, "little"), trouble.at):
            self._send_emergencies(trouble.at)

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
        self.supervision.receive(frame, now)
        self._finish(now, changed)

    def _serve(self, frame: Frame, now: float) -> bool:
        for server in self.servers:
            server.receive(frame, now)
        if self.sync.is_sync(frame):
            self._check_sync(frame, now)
            self._frames += self.pdos.sync(now, self._counter(frame))
            return True
        self.time.receive(frame, now)
        return self.pdos.receive(frame, now)

    def _counter(self, sync: Frame) -> int | None:
        """None where the device knows of no counter (1019h), whatever a SYNC carries."""
        return sync.data[0] if self.sync.consumer.overflow and len(sync.data) == 1 else None

    def _check_sync(self, frame: Frame, now: float) -> None:
        """One of the wrong length is told once, and acts like any other."""
        self.sync.consumer.receive(frame, now)
        events = self.sync.consumer.events()
        self._events += events
        if any(isinstance(event, SyncLengthWrong) for event in events):
            if self.error_objects.fail("SYNC length", _SYNC_LENGTH, b"", now):
                self._send_emergencies(now)
        else:
            self.recover("SYNC length", now)

    def _command(self, frame: Frame, now: float) -> None:
        command = self.nmt.command(frame)
        if command is None or (command is NmtCommand.START and self.quirks.refuses_start_on_error and self._register):
            return
        self.nmt.obey(command, now)
        if self.nmt.state is NmtState.INITIALISING:
            self._reset(now, communication=command is NmtCommand.RESET_COMMUNICATION)
        self._follow(now)
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
        self.supervision.tick(now)
        if self.nmt_state is not NmtState.STOPPED:
            self._frames += self.time.frames(now)
            if produced := self.sync.frames(now):
                self._frames += [*produced, *self.pdos.sync(now, self._counter(produced[-1]))]
        self._finish(now, changed=False)

    def _finish(self, now: float, changed: bool) -> None:
        """Gather what the parts have to send and to tell."""
        for server in self.servers:
            self._frames += server.frames_to_send()
            events = server.events()
            changed = changed or any(type(event) is ObjectWritten for event in events)
            self._events += events
        self._frames += self.supervision.frames_to_send()
        self._supervise(now)
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
            return self.nmt.deadline()
        times = [self.supervision.deadline(), self.error_objects.deadline()]
        times += [self.pdos.deadline(), self.device_deadline(), *(server.deadline() for server in self.servers)]
        if self.nmt_state is not NmtState.STOPPED:
            times += [self.sync.deadline(), self.time.deadline()]
        return min((time for time in times if time is not None), default=None)

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[Any]:
        """The latest ones, if nobody has fetched them for long."""
        events = list(self._events)
        self._events.clear()
        return events


def _boot_up(node_id: int, quirks: NodeQuirks) -> list[Frame] | None:
    """The frames to say boot-up with; None: as CiA 301 has it."""
    if quirks.legacy_boot_up:
        return [Frame(0x80 + node_id)]
    return [] if quirks.no_boot_up else None
