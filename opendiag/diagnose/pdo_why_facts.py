"""What is known of one PDO when somebody asks why it does not come: its parameters, the bus, the state of its node.

Times are seconds: those of ``watch`` and ``now`` monotonic, those of frames by their own stamps, so only their
differences count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from opendiag.diagnose.sdo_watch import key_of
from opendiag.diagnose.situation import seconds
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import SdoAborted
from opendiag.frame import Frame
from opendiag.services.pdo_parameters import AT_SYNC, EVENT_DRIVEN, ON_CHANGE_AT_SYNC, PdoParameters
from opendiag.wire.cob_id import CobId, Service, classify
from opendiag.wire.nmt import NmtCommand, NmtState

SYNC_DEFAULT = CobId(0x080)
#: The first CAN-IDs of PDO 1..4 in the predefined connection set.
_DEFAULT_BASE = {True: (0x180, 0x280, 0x380, 0x480), False: (0x200, 0x300, 0x400, 0x500)}
_AFTER_COMMAND = {
    NmtCommand.START: NmtState.OPERATIONAL,
    NmtCommand.STOP: NmtState.STOPPED,
    NmtCommand.ENTER_PRE_OPERATIONAL: NmtState.PRE_OPERATIONAL,
    NmtCommand.RESET_NODE: NmtState.PRE_OPERATIONAL,
    NmtCommand.RESET_COMMUNICATION: NmtState.PRE_OPERATIONAL,
}


def default_cob(node_id: int, transmit: bool, number: int) -> CobId | None:
    """Of the predefined connection set, which has four PDOs in each direction; None for the others."""
    base = _DEFAULT_BASE[transmit]
    return CobId(base[number - 1] + node_id) if 1 <= number <= len(base) else None


@dataclass(slots=True)
class Arrivals:
    """Frames that came on one CAN-ID while it was listened to."""

    times: list[float] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """One more."""
        self.data.append(frame.data)
        if frame.time_ns is not None:
            self.times.append(frame.time_ns / 1e9)

    @property
    def count(self) -> int:
        return len(self.data)

    @property
    def period_s(self) -> float | None:
        """The mean; None of fewer than two."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) if len(self.times) > 1 else None

    @property
    def least_gap_s(self) -> float | None:
        """The shortest time between two of them."""
        return min((b - a for a, b in pairwise(self.times)), default=None)


class Listener:
    """Sorts the frames of others by CAN-ID. ``suits`` is for `WaitFor`: it takes each frame and wants none of them."""

    def __init__(self) -> None:
        self.by_key: dict[int, Arrivals] = {}
        self.remotes: dict[int, int] = {}
        self.services: dict[int, Service] = {}

    def suits(self, frame: Frame) -> bool:
        """Note a frame."""
        if frame.error:
            return False
        key = key_of(frame.can_id, frame.extended)
        if frame.remote:
            self.remotes[key] = self.remotes.get(key, 0) + 1
            return False
        if key not in self.by_key:
            self.by_key[key] = Arrivals()
            self.services[key] = classify(frame).service
        self.by_key[key].add(frame)
        return False

    def on(self, cob: CobId) -> Arrivals:
        """What came on the CAN-ID of this entry."""
        return self.by_key.get(key_of(cob.can_id, cob.extended)) or Arrivals()

    def sync_like(self, besides: CobId) -> list[tuple[int, Arrivals]]:
        """CAN-IDs other than this one whose frames look like SYNC: again and again, without data or with a counter."""
        own = key_of(besides.can_id, besides.extended)
        return [
            (key, seen)
            for key, seen in self.by_key.items()
            if key != own
            and seen.count > (2 if self.services[key] is Service.EMCY else 1)  # as old devices say boot-up
            and self.services[key] not in (Service.ERROR_CONTROL, Service.NMT)
            and (not any(seen.data) or (self.services[key] is Service.SYNC or _counts(seen.data)))
        ]


def _counts(data: list[bytes]) -> bool:
    """Is each of them one byte, one more than the one before, but for the wrap?"""
    if len(data) < 3 or any(len(each) != 1 for each in data):
        return False
    steps = [b[0] - a[0] for a, b in pairwise(data)]
    return sum(step == 1 for step in steps) >= len(steps) * 2 // 3 and all(step == 1 or step < 0 for step in steps)


@dataclass(frozen=True, slots=True)
class Told:
    """The NMT state of a node and how it is known. ``sure``: by its own word."""

    state: NmtState | None
    how: str = ""
    sure: bool = False


def told_state(watch: BusWatch, node_id: int, now: float) -> Told:
    """What the node said last, or what it was told after that."""
    node, command = watch.node(node_id), watch.last_command(node_id)
    if command is not None and (node.state is None or command[1] > node.state_at):
        what = command[0].text.partition(" (")[0]
        return Told(_AFTER_COMMAND[command[0]], f"told to {what} {seconds(now - command[1])} ago")
    if node.state is None:
        return Told(None)
    ago = f"{seconds(now - node.state_at)} ago"
    if node.state is NmtState.INITIALISING:
        return Told(NmtState.PRE_OPERATIONAL, f"booted {ago} and was not started since")
    return Told(node.state, f"told {ago}", True)


@dataclass(slots=True)
class PdoFacts:
    """``numbers`` holds what was read, by (index, subindex); what the device refused is in ``refused``.

    ``expected`` is where whoever asks looks for the PDO. ``own`` counts the frames that we sent on its CAN-ID,
    ``syncs_sent`` the SYNCs. ``before`` and ``after`` are the mapped objects read at both ends of the listening.
    ``same_id`` are other PDOs on this CAN-ID, as (node-ID, name). ``no_answer`` is set when the node did not answer.
    """

    node_id: int
    watch: BusWatch
    parameters: PdoParameters
    expected: CobId | None = None
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    refused: dict[tuple[int, int], SdoAborted] = field(default_factory=dict)
    listener: Listener = field(default_factory=Listener)
    started: float = 0.0
    now: float = 0.0
    own: int = 0
    syncs_sent: int = 0
    before: dict[tuple[int, int], bytes] = field(default_factory=dict)
    after: dict[tuple[int, int], bytes] = field(default_factory=dict)
    told_before: Told = field(default_factory=lambda: Told(None))
    told: Told = field(default_factory=lambda: Told(None))
    same_id: list[tuple[int, str]] = field(default_factory=list)

    # --- the PDO ---

    @property
    def name(self) -> str:
        return self.parameters.name

    @property
    def who(self) -> str:
        """As in "TPDO1 of node 101"."""
        return f"{self.name} of node {self.node_id}"

    @property
    def command(self) -> str:
        """Node and PDO as arguments of `opendiag pdo`: "101 tpdo 1"."""
        return f"{self.node_id} {'tpdo' if self.parameters.transmit else 'rpdo'} {self.parameters.number}"

    @property
    def cob(self) -> CobId:
        return self.parameters.cob

    @property
    def kind(self) -> int:
        return self.parameters.transmission_type

    @property
    def by_sync(self) -> bool:
        """It does nothing without SYNC."""
        return self.kind in AT_SYNC

    @property
    def by_event(self) -> bool:
        """A change, or what the device takes for an event, makes the node send it."""
        return self.kind in EVENT_DRIVEN or self.kind == ON_CHANGE_AT_SYNC

    def sub(self, subindex: int) -> str:
        """An entry of its communication parameter, as in "1800:05"."""
        return f"{self.parameters.communication:04X}:{subindex:02X}"

    def has(self, index: int, subindex: int) -> bool:
        """The device has this object, and it could be read."""
        return (index, subindex) in self.numbers

    # --- what came ---

    @property
    def frames(self) -> Arrivals:
        """Of others, on the CAN-ID of the PDO."""
        return self.listener.on(self.cob)

    @property
    def remotes_heard(self) -> int:
        """Remote frames of others on its CAN-ID."""
        return self.listener.remotes.get(key_of(self.cob.can_id, self.cob.extended), 0)

    @property
    def listened_s(self) -> float:
        return self.now - self.started

    @property
    def came(self) -> bool:
        """A frame came on its CAN-ID while it was listened to."""
        return self.frames.count > 0

    @property
    def last_before(self) -> float | None:
        """When the last frame came on its CAN-ID, also before it was listened to."""
        seen = self.watch.can_ids.get(key_of(self.cob.can_id, self.cob.extended))
        return None if seen is None or not seen.count else seen.last_at

    def heard_besides(self, node_id: int) -> bool:
        """Was this node heard on another CAN-ID than that of the PDO?"""
        own = key_of(self.cob.can_id, self.cob.extended)
        heard = self.watch.nodes.get(node_id)
        return heard is not None and any(
            seen.count and key_of(seen.can_id, seen.extended) != own for seen in heard.can_ids
        )

    # --- SYNC ---

    @property
    def sync_cob(self) -> CobId:
        """Where the node expects SYNC: 1005h."""
        word = self.numbers.get((0x1005, 0))
        return CobId.decode(word) if word else SYNC_DEFAULT

    @property
    def produces_sync(self) -> bool:
        return bool(self.numbers.get((0x1005, 0), 0) >> 30 & 1)

    @property
    def syncs(self) -> Arrivals:
        """Of others, where the node expects them."""
        return self.listener.on(self.sync_cob)

    @property
    def sync_count(self) -> int:
        """Of others and of ours."""
        return self.syncs.count + self.syncs_sent

    @property
    def sync_period_s(self) -> float | None:
        """As heard; None where fewer than two came."""
        if self.syncs.period_s is not None:
            return self.syncs.period_s
        return self.listened_s / self.syncs_sent if self.syncs_sent > 1 else None

    # --- values ---

    @property
    def unchanged(self) -> bool | None:
        """Did every mapped object read the same at both ends? None where that could not be read."""
        wanted = {(entry.index, entry.subindex) for entry in self.parameters.entries if not entry.is_dummy}
        if not wanted or not (wanted <= self.before.keys() and wanted <= self.after.keys()):
            return None
        return all(self.before[key] == self.after[key] for key in wanted)


def own_frames(watch: BusWatch, cob: CobId) -> int:
    """How many frames we handed to the adapter on this CAN-ID, ever."""
    own = watch.own.get(key_of(cob.can_id, cob.extended))
    return own.handed if own is not None else 0


def objects_text(keys: Iterable[tuple[int, int]]) -> str:
    """As in "6041:00 and 6061:00"; of many only the first few."""
    texts = [f"{index:04X}:{subindex:02X}" for index, subindex in keys]
    if len(texts) > 4:
        texts = [*texts[:3], f"{len(texts) - 3} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
