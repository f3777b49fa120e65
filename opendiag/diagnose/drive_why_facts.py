"""What is known of a drive when somebody asks why it is not enabled, or why it does not move.

Objects go by their numbers of the first axis, whichever axis it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from opendiag.cia402 import objects as o
from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import SERVOTRONIX
from opendiag.cia402.states import PdsState, pds_state
from opendiag.diagnose.pdo_why_facts import SYNC_DEFAULT, Arrivals, Listener, Told
from opendiag.diagnose.sdo_watch import key_of
from opendiag.diagnose.watch import BusWatch
from opendiag.findings import Finding, Severity
from opendiag.services.emcy import emcy_text
from opendiag.services.pdo_parameters import AT_SYNC, PdoParameters
from opendiag.wire.cob_id import CobId
from opendiag.wire.emcy import Emcy
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import unpack

#: Modes that follow a set-point all the time, from SYNC to SYNC.
CYCLIC_MODES: tuple[int, ...] = (Mode.IP, Mode.CSP, Mode.CSV, Mode.CST, Mode.CSTCA)
#: Modes with a position as their target.
POSITION_MODES: tuple[int, ...] = (Mode.PP, Mode.IP, Mode.CSP)
#: What 603Fh, or the last EMCY, says of an operating state that the text of the code does not.
HEARTBEAT_LOST = 0x8130
UNDER_VOLTAGE_OBJECT, OVER_VOLTAGE_OBJECT = 0x20CF, 0x20A1
_HEARTBEAT = 0x700
#: A position that changes by no more than this while it is looked at stands still.
_STRAY = 8
_TARGETS: dict[int, tuple[int, int]] = {
    Mode.PP: (o.TARGET_POSITION, 0),
    Mode.CSP: (o.TARGET_POSITION, 0),
    Mode.IP: (o.INTERPOLATION_DATA, 1),
    Mode.PV: (o.TARGET_VELOCITY, 0),
    Mode.CSV: (o.TARGET_VELOCITY, 0),
    Mode.VL: (o.VL_TARGET_VELOCITY, 0),
    Mode.TQ: (o.TARGET_TORQUE, 0),
    Mode.CST: (o.TARGET_TORQUE, 0),
    Mode.CSTCA: (o.TARGET_TORQUE, 0),
}


@dataclass(slots=True)
class DriveFacts:
    """``wanted`` None: motion. ``mode``: the one that is wanted, None: the one that 6060h asks for.

    ``numbers`` holds what was read. ``rpdos`` are those that are switched on. ``own`` counts the frames that we sent
    while it was listened, by CAN-ID. ``first`` and ``last`` are the positions (6064h) at both ends of the listening.
    ``rested``: the drive was brought to rest since, so that its state is no news; ``word`` is the statusword before.
    """

    link: DriveLink
    watch: BusWatch
    wanted: Target | None
    mode_wanted: int | None = None
    rested: bool = False
    word: int = 0
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    rpdos: list[PdoParameters] = field(default_factory=list)
    listener: Listener = field(default_factory=Listener)
    own: dict[int, int] = field(default_factory=dict)
    told: Told = field(default_factory=lambda: Told(None))
    first: int | None = None
    last: int | None = None
    started: float = 0.0
    now: float = 0.0

    def get(self, index: int, subindex: int = 0) -> int | None:
        """None for what the drive does not have, or does not let anybody read."""
        return self.numbers.get((index, subindex))

    def bits(self, index: int, subindex: int = 0) -> int:
        """The same as an unsigned number; 0 for None."""
        return self.numbers.get((index, subindex), 0) & 0xFFFF_FFFF

    # --- names ---

    @property
    def node_id(self) -> int:
        return self.link.node_id

    @property
    def who(self) -> str:
        """As in "drive 5", or "axis 1 of drive 5" for any but the first."""
        return f"drive {self.node_id}" if not self.link.axis else f"axis {self.link.axis} of drive {self.node_id}"

    def object(self, index: int, subindex: int = 0) -> str:
        """Its number on this axis, as in "6860:00"."""
        return f"{self.link.index(index):04X}:{subindex:02X}"

    def cli(self, verb: str, rest: str = "") -> str:
        """A command of the shell in backticks."""
        return f"`opendiag {verb} {self.node_id}{' ' * bool(rest)}{rest}`"

    # --- state ---

    @property
    def state(self) -> PdsState | None:
        return pds_state(self.word)

    @property
    def in_fault(self) -> bool:
        return self.state in (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE)

    @property
    def enabled(self) -> bool:
        return self.state is PdsState.OPERATION_ENABLED

    @property
    def needs_power(self) -> bool:
        """Is it to go where the power stage is on?"""
        return self.wanted not in (Target.SWITCH_ON_DISABLED, Target.READY_TO_SWITCH_ON)

    @property
    def control(self) -> int:
        """The controlword that the drive has; the last one we wrote where it cannot be read."""
        word = self.get(o.CONTROLWORD)
        return self.link.controlword if word is None else word & 0xFFFF

    @property
    def halted(self) -> bool:
        return bool(self.control & HALT)

    @property
    def no_voltage_bit(self) -> bool:
        """Bit 4 of the statusword says nothing."""
        return self.link.quirks.no_voltage_bit

    @property
    def vendor_id(self) -> int | None:
        read = self.get(0x1018, 1)
        return self.link.vendor_id if read is None else read & 0xFFFF_FFFF

    @property
    def voltage_limits(self) -> tuple[int | None, int | None]:
        """Under- and over-voltage thresholds in mV, where the drive's make is known to have them."""
        if self.vendor_id != SERVOTRONIX:
            return None, None
        return self.get(UNDER_VOLTAGE_OBJECT), self.get(OVER_VOLTAGE_OBJECT)

    # --- errors ---

    @property
    def emcy(self) -> Emcy | None:
        """The last one heard, None once the drive has said that its errors are gone."""
        last = self.watch.node(self.node_id).emcy
        return last if last is not None and last.code else None

    @property
    def error_code(self) -> int:
        """603Fh, else the code of the last EMCY; 0 for none."""
        code = self.bits(o.ERROR_CODE) & 0xFFFF
        if code or (self.get(o.ERROR_CODE) is not None and not self.in_fault):
            return code
        return self.emcy.code if self.emcy is not None else 0

    @property
    def error_text(self) -> str:
        """As in "3181h (STO is not connected)"."""
        text = emcy_text(self.error_code, 402, self.vendor_id)
        return f"{self.error_code:04X}h ({text})" if text else f"{self.error_code:04X}h"

    # --- mode and target ---

    @property
    def mode(self) -> int | None:
        """The one at work: 6061h, else 6060h."""
        shown = self.get(o.MODE_DISPLAY)
        return self.get(o.MODE) if shown is None else shown

    @property
    def target(self) -> tuple[int, int] | None:
        """The object with the target of this mode."""
        return None if self.mode is None else _TARGETS.get(self.mode)

    @property
    def direction(self) -> int:
        """-1 or 1: where the target lies, by its object; 0: nowhere, or not known."""
        if self.target is None or self.get(*self.target) is None or self.bits(o.POLARITY) & 0xC0:
            return 0
        wanted = self.get(*self.target) or 0
        if self.mode in POSITION_MODES:
            wanted -= self.position or 0
        return (wanted > 0) - (wanted < 0)

    @property
    def position(self) -> int | None:
        return self.last if self.last is not None else self.get(o.POSITION)

    @property
    def moves(self) -> bool:
        """The position changed while we looked."""
        if self.first is None or self.last is None:
            return abs(self.get(o.VELOCITY) or 0) > self.link.still_speed
        return abs(self.last - self.first) > max(_STRAY, self.link.still_window or 0)

    @property
    def is_there(self) -> bool:
        """The position is that of the target, but for its window."""
        target = None if self.target is None else self.get(*self.target)
        if target is None or self.position is None:
            return False
        return abs(target - self.position) <= self.window

    @property
    def window(self) -> int:
        """How far from the target it still is at it: 6067h."""
        window = self.bits(o.POSITION_WINDOW)
        return max(_STRAY, 0 if window > 0x7FFF_FFFF else window)

    # --- the bus ---

    @property
    def listened_s(self) -> float:
        return self.now - self.started

    def frames(self, cob: CobId) -> Arrivals:
        """Of others, while it was listened."""
        return self.listener.on(cob)

    def sent(self, cob: CobId) -> int:
        """How many we sent while it was listened."""
        return self.own.get(key_of(cob.can_id, cob.extended), 0)

    def comes(self, pdo: PdoParameters) -> bool:
        """Somebody sends this RPDO."""
        return bool(self.frames(pdo.cob).count or self.sent(pdo.cob))

    def carries(self, pdo: PdoParameters, *indices: int) -> bool:
        """Does it map one of these objects of this axis?"""
        wanted = {self.link.index(index) for index in indices}
        return any(entry.index in wanted for entry in pdo.entries)

    def word_in(self, pdo: PdoParameters) -> int | None:
        """The controlword that came, or was sent, with this RPDO last."""
        frames = self.frames(pdo.cob)
        own = self.watch.own.get(key_of(pdo.cob.can_id, pdo.cob.extended))
        data = frames.data[-1] if frames.count else own.data if own is not None else b""
        for entry, value in zip(pdo.entries, unpack(data, [entry.bits for entry in pdo.entries]), strict=False):
            if entry.index == self.link.index(o.CONTROLWORD):
                return value
        return None

    def acts(self, pdo: PdoParameters) -> bool:
        """Does the drive take what comes with it? PDOs need OPERATIONAL, and some of them SYNC."""
        if self.told.state not in (None, NmtState.OPERATIONAL):
            return False
        return pdo.transmission_type not in AT_SYNC or self.sync_count > 0

    @property
    def sync_cob(self) -> CobId:
        """Where the drive expects SYNC: 1005h."""
        word = self.bits(0x1005)
        return CobId.decode(word) if word & 0x1FFF_FFFF else SYNC_DEFAULT

    @property
    def sync_count(self) -> int:
        """Of others and of ours, or of the drive itself."""
        own = int(bool(self.bits(0x1005) >> 30 & 1))
        return self.frames(self.sync_cob).count + self.sent(self.sync_cob) + own

    def heard_at(self, node_id: int) -> float | None:
        """When the last heartbeat of this node, or ours under this number, was on the bus."""
        life = self.watch.heartbeats.nodes.get(node_id)
        own = self.watch.own.get(_HEARTBEAT + node_id)
        heard = [None if life is None else life.last_heard, None if own is None else own.handed_at]
        return max((at for at in heard if at is not None), default=None)

    @property
    def heartbeats_wanted(self) -> list[tuple[int, float]]:
        """1016h as (node-ID, seconds)."""
        entries = (self.bits(0x1016, sub) for sub in range(1, self.bits(0x1016) + 1))
        split = [(word >> 16 & 0x7F, (word & 0xFFFF) / 1000) for word in entries]
        return [(node_id, seconds) for node_id, seconds in split if node_id and seconds]


def finding(
    f: DriveFacts, code: str, sentence: str, advice: str, evidence: str = "", severity: Severity = Severity.ERROR
) -> Finding:
    """About this drive; ``sentence`` begins with a small letter where it begins with the drive."""
    return Finding(code, severity, sentence[0].upper() + sentence[1:], evidence=evidence, node=f.node_id, advice=advice)
