"""A simulated StepIM with a master, both on one bus and a manual clock, and somebody who watches both.

`World` puts the drive into any state, as another master would have left it; then calls are made through faults of the
bus and refusals of the drive, and `World.check` says what was not safe. `CALLS` are the calls of the base; other tests
give their own to `play`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import opendiag
from opendiag.cia402 import (
    homing_plans,
    io_plans,
    jog,
    mode_change,
    motion,
    position_plans,
    power,
    torque_plans,
    touch_probe,
    velocity_plans,
)
from opendiag.cia402.link import HALT, DriveLink, Timing
from opendiag.cia402.objects import CONTROLWORD, MODE, QUICK_STOP_OPTION, TARGET_VELOCITY
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import KNOWN, SERVOTRONIX, STEPIM
from opendiag.cia402.states import PdsState
from opendiag.diagnose.drive_why import why_not
from opendiag.errors import DriveError, NotAtRest, SdoRefusal
from opendiag.frame import Frame
from opendiag.master.clock import Clock, ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault
from opendiag.simulate.stepim import StepIM
from opendiag.wire.nmt import NmtCommand, NmtMessage
from opendiag.wire.sdo_abort import SdoAbortCode

S = PdsState
NODE = 101
#: Seconds on the bus's clock: faults begin then, whatever came before has got through.
BEGIN_S = 1.0
ENERGISING = {4, 16}
_REQUEST = 0x600 + NODE


@dataclass(frozen=True)
class Call:
    """``run`` gets the world. ``enables``: this is an enabling call. ``stops``: after it, the drive is not enabled,
    or the caller is told. ``keeps``: words that keep an enabled drive so are part of it. ``moves``: it is a motion: one
    that fails after a word was sent leaves the drive disabled, or tells that it may not be."""

    name: str
    run: Callable[["World"], object]
    enables: bool = False
    stops: bool = False
    keeps: bool = False
    moves: bool = False


@dataclass(frozen=True)
class Refusal:
    """The drive's SDO server refuses the ``nth`` (from 1) to ``last`` access of this kind to this object."""

    index: int
    write: bool = True
    nth: int = 1
    last: int = 1
    code: int = SdoAbortCode.DEVICE_STATE


@dataclass
class Seen:
    """A change of the drive's state, with the number of the transition that led there."""

    at: float
    number: int
    state: PdsState


@dataclass
class World:
    """``faults`` are those of the bus, their times counted from the beginning of the calls."""

    faults: tuple[Fault, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    option: int = 2
    timing: Timing = field(default_factory=Timing)
    seed: int = 0
    clock: Clock = field(default_factory=ManualClock)
    begin_s: float = BEGIN_S

    def __post_init__(self) -> None:
        shifted = [
            replace(
                fault,
                from_s=self.begin_s + (fault.from_s or 0.0),
                until_s=None if fault.until_s is None else self.begin_s + fault.until_s,
            )
            for fault in self.faults
        ]
        self.bus = SimBus(faults=shifted, seed=self.seed)
        self.drive = StepIM(NODE, seed=self.seed)
        self.bus.attach(self.drive, "drive", on_event=lambda event, now: None)
        self.network = opendiag.connect(self.bus, clock=self.clock)
        self.link = DriveLink(NODE, quirks=KNOWN[SERVOTRONIX, STEPIM], timing=self.timing)
        self.seen: list[Seen] = []
        self.calling = False
        self._count: dict[tuple[int, bool], int] = {}
        self._armed = False
        self._watch_states()
        self._refuse()
        self.frames = self.network.frames()
        self.network.sleep(0.05)

    def _watch_states(self) -> None:
        pds, told = self.drive.pds, self.drive.pds._changed

        def changed(state, now):
            self.seen.append(Seen(now, pds.made[-1], state))
            told(state, now)

        pds._changed = changed

    def _refuse(self) -> None:
        store = self.drive.store
        read, write = store.read, store.write

        def reading(index, subindex, now):
            self._check_refusal(index, False)
            return read(index, subindex, now)

        def writing(index, subindex, data, now):
            self._check_refusal(index, True)
            return write(index, subindex, data, now)

        store.read, store.write = reading, writing

    def _check_refusal(self, index: int, write: bool) -> None:
        if not self._armed:
            return
        count = self._count[index, write] = self._count.get((index, write), 0) + 1
        for each in self.refusals:
            if (each.index, each.write) == (index, write) and each.nth <= count <= each.last:
                raise SdoRefusal(each.code)

    def close(self) -> None:
        self.network.close()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- another master ---

    @property
    def state(self) -> PdsState:
        with self.network.pump.lock:
            self.drive.advance(self.network.clock.now())
            return self.drive.pds.state

    def word(self, word: int, wait_s: float = 0.02) -> None:
        """Write a controlword as somebody else would."""
        self.network.write(NODE, CONTROLWORD, word)
        self.network.sleep(wait_s)

    def put(self, state: PdsState, moving: bool = False) -> None:
        """Have the drive in this state when the calls begin."""
        network = self.network
        network.write(NODE, QUICK_STOP_OPTION, 6 if state is S.QUICK_STOP_ACTIVE else self.option)
        network.write(NODE, MODE, 3)
        network.write(NODE, TARGET_VELOCITY, 3000 if moving else 0)
        words = {
            S.READY_TO_SWITCH_ON: (0x06,),
            S.SWITCHED_ON: (0x06, 0x07),
            S.OPERATION_ENABLED: (0x06, 0x07, 0x0F),
            S.QUICK_STOP_ACTIVE: (0x06, 0x07, 0x0F),
            S.FAULT_REACTION_ACTIVE: (0x06, 0x07, 0x0F),
            S.FAULT: (0x06, 0x07, 0x0F),
        }
        for word in words.get(state, ()):
            self.word(word)
        if state is S.FAULT:
            self.drive.fault(0x8611, network.clock.now())
        network.sleep(self.begin_s - 0.001 - network.clock.now())
        if state is S.QUICK_STOP_ACTIVE:
            self.word(0x02, 0.0)
        elif state is S.FAULT_REACTION_ACTIVE:
            self.drive.fault(0x8611, network.clock.now())
        elif state is S.NOT_READY_TO_SWITCH_ON:
            network.send(Frame(0, NmtMessage(NmtCommand.RESET_NODE, NODE).encode()))
        network.sleep(max(self.begin_s - network.clock.now(), 0.0))
        self.seen.clear()
        self.drain()
        self._armed = True

    # --- what is seen ---

    def drain(self) -> list[Frame]:
        found = []
        while (frame := self.frames.get(0)) is not None:
            found.append(frame)
        return found

    def run(self, plan):
        return self.network.run(plan)

    def controlwords(self) -> list[int]:
        """Those that this side has sent since the last call, as they were on the wire."""
        head = bytes((0x2B, CONTROLWORD & 0xFF, CONTROLWORD >> 8, 0))
        return [
            int.from_bytes(frame.data[4:6], "little")
            for frame in self.drain()
            if frame.direction == "tx" and frame.can_id == _REQUEST and frame.data[:4] == head
        ]


@dataclass
class Outcome:
    """What a call did. ``words`` are the controlwords of the call, ``after`` those that came when it was over."""

    call: Call
    before: PdsState
    error: BaseException | None
    began: float
    ended: float
    words: list[int]
    after: list[int]
    entered: list[Seen]
    state: PdsState
    result: object = None

    @property
    def told_unsafe(self) -> bool:
        """Does the caller know that the drive may not be at rest?"""
        error = self.error
        if self.result is False:  # of `make_safe`
            return True
        return isinstance(error, NotAtRest) or (isinstance(error, DriveError) and error.at_rest is False)


def play(
    world: World, call: Call, settle_s: float = 1.0, errors: type[Exception] = opendiag.errors.OpenDiagError
) -> Outcome:
    """Make a call, and let the bus run on after it. ``errors`` are those that a call may raise."""
    before = world.state
    world.drain()
    world.seen.clear()
    began = world.network.clock.now()
    error: BaseException | None = None
    result: object = None
    try:
        result = call.run(world)
    except errors as problem:
        error = problem
    ended = world.network.clock.now()
    words = world.controlwords()
    world.network.sleep(settle_s)
    return Outcome(
        call, before, error, began, ended, words, world.controlwords(), list(world.seen), world.state, result
    )


def energising(words: list[int]) -> list[int]:
    """Those that lead to transition 3 + 4, 4 or 16 in some state."""
    return [word for word in words if word & 0x0F == 0x0F]


def unsafe(outcome: Outcome, permitted_before: bool = False) -> list[str]:
    """What the safety property forbids, in sentences; nothing if all is well.

    ``permitted_before``: an enabling call had succeeded before this one.
    """
    call, found = outcome.call, []
    if energising(outcome.after):
        found.append(f"{outcome.after} were sent when {call.name} was over")
    if energising(outcome.words) and not call.enables and not (call.keeps and permitted_before):
        found.append(f"{call.name} sent {[hex(word) for word in outcome.words]}")
    on = [seen for seen in outcome.entered if seen.number in ENERGISING]
    if not call.enables and on:
        found.append(f"{call.name} led to {on}")
    if any(seen.at > outcome.ended for seen in on):
        found.append(f"after {call.name} came {on}")
    enabled = outcome.state is S.OPERATION_ENABLED
    if enabled and call.enables and outcome.error is not None and not outcome.told_unsafe:
        touched = bool(outcome.words) or outcome.before is not S.OPERATION_ENABLED
        if touched:
            found.append(f"{call.name} failed with {outcome.error!r}, and the drive is enabled")
    if enabled and call.stops and not outcome.told_unsafe and (outcome.error is None or outcome.words):
        found.append(f"the drive is still enabled after {call.name} ({outcome.error!r})")
    if enabled and call.moves and outcome.error is not None and outcome.words and not outcome.told_unsafe:
        found.append(f"{call.name} failed with {outcome.error!r}, and the drive is enabled")
    at_rest = getattr(outcome.error, "at_rest", None)
    if at_rest and outcome.state in (S.OPERATION_ENABLED, S.QUICK_STOP_ACTIVE, S.FAULT_REACTION_ACTIVE):
        found.append(f"{call.name} says that it is at rest, and it is in {outcome.state.value}")
    return found


def looks(count):
    """A key that is held for so many looks at it."""
    left = [count]

    def held():
        left[0] -= 1
        return left[0] >= 0

    return held


def _plan(name, plan, **what):
    return Call(name, lambda world: world.run(plan(world.link)), **what)


CALLS = [
    _plan("enable", power.enable, enables=True),
    _plan("disable", power.disable, stops=True),
    _plan("quick_stop", power.quick_stop, stops=True),
    _plan("make_safe", power.make_safe, stops=True),
    _plan("halt", power.halt, keeps=True),
    _plan("unhalt", lambda link: power.halt(link, on=False), keeps=True),
    _plan("reset_fault", power.reset_fault),
    _plan("status", lambda link: link.status()),
    *(
        _plan(f"reach {target}", lambda link, target=target: power.reach(link, target), stops=True)
        for target in (
            *(target for target in Target if target is not Target.OPERATION_ENABLED),
            "switched on",
        )
    ),
    *(
        _plan(f"reach {target}", lambda link, target=target: power.reach(link, target))
        for target in (Target.OPERATION_ENABLED, "operation enable", "OPERATION", "", "fault", "x")
    ),
    *(
        _plan(f"set_mode {mode}", lambda link, mode=mode: mode_change.set_mode(link, mode))
        for mode in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 127, -1, -128, "pp", "csp", "ppp", 4711, "")
    ),
    *(
        Call(
            f"why not {wanted}",
            lambda world, wanted=wanted: world.run(why_not(world.link, wanted, world.network.watch)),
        )
        for wanted in ("operation enabled", "motion")
    ),
    _plan("brake on", lambda link: io_plans.set_brake(link, True)),
    _plan("brake off", lambda link: io_plans.set_brake(link, False)),
    _plan("touch probe", lambda link: touch_probe.capture(link, timeout_s=0.05)),
]


def _motion(name, plan, **what):
    return _plan(name, plan, keeps=True, moves=True, **what)


def _stopped_by_the_key(name, plan):
    """A jog ends with the drive disabled; one that is refused has written nothing."""
    return _motion(name, plan, stops=True)


#: Motions of a drive that is enabled; in every other state they must leave it alone.
MOTIONS = [
    _motion("move", lambda link: position_plans.move(link, 2000, timeout_s=3.0)),
    _motion("move relative, do not wait", lambda link: position_plans.move(link, 500, relative=True, wait=False)),
    _motion("move through", lambda link: position_plans.move_through(link, [500, 1000, 0])),
    _motion("run", lambda link: velocity_plans.run(link, 3000, timeout_s=2.0)),
    _motion("torque", lambda link: torque_plans.apply(link, 100, timeout_s=1.0)),
    _motion("home", lambda link: homing_plans.home(link, 35, timeout_s=3.0)),
    _motion("home for ever", lambda link: homing_plans.home(link, 17, timeout_s=1.0)),
    _motion("stop", lambda link: motion.stop(link, timeout_s=1.0)),
    _motion("run for", lambda link: velocity_plans.run_for(link, 3000, 0.1)),
    _stopped_by_the_key("jog", lambda link: jog.jog(link, 3000, looks(20))),
    _stopped_by_the_key("jog by steps", lambda link: jog.jog(link, 3000, looks(20), step=200)),
]

__all__ = ["CALLS", "HALT", "MOTIONS", "NODE", "Call", "Outcome", "Refusal", "World", "energising", "play", "unsafe"]
