"""Axes that follow trajectories in step with SYNC: csp, csv, cst and ip.

What happens in each cycle is done by a machine (`CyclicMotion`) on the thread of the network's cycles, right after the
SYNC: a plan that is stepped a thousand times a second would wait for the pump, and for whoever else runs, each time.
The plan here is what happens around it: setting up, beginning, watching, bringing to rest, putting back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opendiag.cia402 import power
from opendiag.cia402.cyclic_checks import WHAT, check_axes, check_trajectory, look_at, placed
from opendiag.cia402.cyclic_feed import error_of, feed
from opendiag.cia402.cyclic_motion import POSITION_MODES, CyclicMotion, Phase, Rules
from opendiag.cia402.cyclic_pdos import (
    CYCLIC_MODES,
    Setup,
    cyclic_mode,
    period_digits,
    put_all_back,
    set_period,
    set_up_pdos,
)
from opendiag.cia402.cyclic_report import CyclicReport, make_report
from opendiag.cia402.link import DriveLink
from opendiag.cia402.mode_change import parse_mode, set_mode
from opendiag.cia402.modes import Mode
from opendiag.cia402.pdo_words import CyclicAxis, PdoWords
from opendiag.cia402.rest import bring_to_rest, is_still
from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import Trajectory
from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.errors import (
    DriveError,
    ModeRefused,
    MotionFailed,
    MotionTimeout,
    NotAtRest,
    SdoAborted,
    SendFailed,
)
from opendiag.frame import Frame
from opendiag.master.drive_sync import SyncSource
from opendiag.services.plans import Gather, Now, Plan, Sleep, Together
from opendiag.wire.nmt import NmtCommand, NmtMessage, NmtState

if TYPE_CHECKING:
    from opendiag.master.network import Network
    from opendiag.master.plan_runner import RunningPlan

_POLL_S = 0.005
#: A TPDO of each axis has to come within this after the first SYNC.
_FIRST_S = 0.5
#: SYNC counts as lost after so many periods without one, and not sooner than that.
_LOST_PERIODS, _LOST_S = 10, 0.1
#: Status words may be so many periods old, and never older than so many seconds.
_AGE_PERIODS, _AGE_MOST_S = 2.0, 0.02
_ENABLE_INTERPOLATION = 0x10
_SLACK = 2
#: Modes in which a drive without a command stays where it is, and without SYNC.
_HOLDING = (Mode.PP, Mode.PV, Mode.HM)


class CyclicFollower:
    """One motion of several axes: run `plan` once. ``trajectories`` in device units, one for each link.

    ``mode`` "csp" and "ip" take the positions of a trajectory, "csv" its velocities, "cst" its positions as torques.
    ``relative``: positions count from where the axis stands. ``enable``: drives that are not enabled are, once
    everything is set up; else they have to be. ``window``: how near to the end each axis has to come within
    ``settle_s``, None: the report tells. SYNC is sent by this network unless somebody does already: with another period
    that is refused.
    """

    def __init__(
        self,
        network: Network,
        links: Sequence[DriveLink],
        trajectories: Sequence[Trajectory],
        period_s: float = 0.001,
        mode: int | str = "csp",
        *,
        relative: bool = False,
        enable: bool = False,
        window: int | None = None,
        settle_s: float = 0.5,
        rules: Rules | None = None,
    ) -> None:
        self.network = network
        self.links = tuple(links)
        self.trajectories = tuple(trajectories)
        self.period_s = period_s
        self.rules = rules or Rules()
        self.motion: CyclicMotion | None = None
        self._mode_asked = mode
        self._relative = relative
        self._enable = enable
        self._window = window
        self._settle_s = settle_s
        self.mode = 0
        self._setups: list[Setup] = []
        self._axes: list[CyclicAxis] = []
        self._before: dict[DriveLink, int | None] = {}
        self._held: dict[DriveLink, int] = {}
        self._feeds: list[RunningPlan[None]] = []
        self._sync = SyncSource(network, period_s)
        self._unsubscribe: Callable[[], None] | None = None
        self._notes: list[str] = []
        self._finished = False

    # --- for who looks on ---

    def stop(self) -> None:
        """Ramp down along the trajectories, from any thread; the plan then ends as after a motion."""
        with self.network.pump.lock:
            if self.motion is not None:
                self.motion.stop()

    @property
    def report(self) -> CyclicReport:
        """So far, or of the end."""
        with self.network.pump.lock:
            statistics = self._sync.statistics
            lateness = (statistics.p50_s, statistics.p99_s, statistics.max_s) if statistics is not None else (0, 0, 0)
            notes = [f"drive {setup.link.node_id}: {note}" for setup in self._setups for note in setup.notes]
            return make_report(
                self.mode,
                self.period_s,
                self.motion,
                self._axes,
                self._sync.left_out,
                lateness,
                self._finished,
                [*notes, *self._notes],
            )

    # --- the plan ---

    def plan(self) -> Plan[CyclicReport]:
        """The whole motion; gives the report. What it refuses is refused before anything moves.

        When something goes wrong on the way, the axes that can are ramped down, then all are brought to rest; the
        error's ``at_rest`` says how that went. Raise UnknownTarget, OutsideLimits, ModeRefused, NotEnabled,
        DriveFault, MotionFailed and its kinds, SdoError, AdapterError; ValueError for a period or numbers of links.
        """
        self._check()
        yield from self._look()
        try:
            yield from self._set_up()
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._clean_up()
            raise
        try:
            yield from self._begin()
            yield from self._go()
            yield from self._end()
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException as error:
            yield from self._bring_to_rest(error)
            raise
        yield from self._clean_up()
        return self.report

    def _check(self) -> None:
        """Nothing is sent for this."""
        check_axes(self.links, self.trajectories)
        period_digits(self.period_s)
        self._sync.check()
        node_id = self.links[0].node_id
        self.mode = parse_mode(node_id, self._mode_asked)
        cyclic_mode(node_id, self.mode)

    def _look(self) -> Plan[None]:
        """Only reads."""
        ways = []
        for link, trajectory in zip(self.links, self.trajectories, strict=True):
            found = check_trajectory(link, trajectory, self.mode, self.period_s)
            self._before[link], stands = yield from look_at(link, self.mode, self._enable)
            if self.mode in POSITION_MODES:
                trajectory = yield from placed(link, trajectory, found, stands, self._relative, self.period_s)
            self._held[link] = stands
            ways.append(trajectory)
        self.trajectories = tuple(ways)
        yield from self._sync.look(self.links[0].node_id)

    # --- setting up ---

    def _set_up(self) -> Plan[None]:
        network = self.network
        now = yield Now()
        for link in self.links:
            state = told_state(network.watch, link.node_id, now).state
            self._setups.append(Setup(link, self.mode, self.period_s, state))
        yield Together(tuple(self._set_up_one(setup) for setup in self._setups))
        for node_id in dict.fromkeys(link.node_id for link in self.links):
            state = told_state(network.watch, node_id, now).state
            if state is not NmtState.OPERATIONAL:
                network.send(Frame(0, NmtMessage(NmtCommand.START, node_id).encode()))
        for number, setup in enumerate(self._setups):
            axis = CyclicAxis(setup.link, setup.pdos, number)
            if setup.link.state is PdsState.OPERATION_ENABLED:
                axis.held = self._held.get(setup.link, 0)
            self._axes.append(axis)

    def _set_up_one(self, setup: Setup) -> Plan[None]:
        yield from set_period(setup)
        yield from set_up_pdos(setup)

    def _attach(self, now: float) -> None:
        """From now on SYNC is what happens. Set-points leave once it is known where their axes stand."""
        network, pump = self.network, self.network.pump
        self.motion = motion = CyclicMotion(self._axes, self.trajectories, self.period_s, self.mode, self.rules)
        for axis in self._axes:
            for view in axis.pdos.views:
                pump.add(motion, view.can_id, view.extended)
            axis.link.words = PdoWords(axis, min(_AGE_PERIODS * self.period_s, _AGE_MOST_S))
            if axis.pdos.set_point is None or not axis.pdos.views:
                self._feeds.append(network.begin(feed(motion, axis, CYCLIC_MODES[self.mode], self._drain)))
        motion.last_at = now
        self._unsubscribe = network.on_sync(self._synced)
        self._sync.begin()

    def _drain(self, now: float) -> None:
        if self.motion is not None:
            self.network.pump.drain(self.motion, now)

    def _synced(self, now: float) -> None:
        """Right after a SYNC, with the pump's lock held: the set-points of all axes in one go."""
        motion, send = self.motion, self.network.pump.send
        if motion is None:
            return
        failed = []
        for axis, frame in motion.cycle(now):
            try:
                send(frame, now)
            except SendFailed:
                failed.append(axis)
        motion.were_sent(failed, now)

    # --- the motion ---

    def _begin(self) -> Plan[None]:
        """To the moment before the first step: every axis enabled in the mode, and holding."""
        self._attach((yield Now()))
        motion = self.motion
        assert motion is not None
        yield from self._until(lambda: all(axis.ever for axis in self._axes), _FIRST_S, "it sends no TPDO after SYNC")
        for link in self.links:
            yield from set_mode(link, self.mode)
            if self._enable:
                yield from power.enable(link)
        yield from self._until(
            lambda: all(axis.enabled and axis.held is not None for axis in self._axes), _FIRST_S, "it is not enabled"
        )
        for link in self.links:
            yield from link.check_enabled("it was to follow a trajectory")
        motion.watch()
        if self.mode == Mode.IP:
            for link in self.links:
                yield from link.change(set_bits=_ENABLE_INTERPOLATION, during="interpolation was to begin")
        if self.motion is not None and motion.phase is Phase.HOLDING:
            motion.follow((yield Now()))

    def _until(self, done: Callable[[], bool], patience_s: float, reason: str) -> Plan[None]:
        began = yield Now()
        while not done():
            yield from self._check_alive()
            if (yield Now()) - began >= patience_s:
                behind = next((axis for axis in self._axes if not (axis.ever and axis.enabled)), self._axes[0])
                raise MotionFailed(behind.link.node_id, WHAT, reason)
            yield Sleep(min(self.period_s, _POLL_S))

    def _go(self) -> Plan[None]:
        motion = self.motion
        assert motion is not None
        while motion.moving:
            yield Sleep(_POLL_S)
            yield from self._check_alive()
            if motion.failure is not None:
                break
        if motion.failure is not None:
            raise (yield from error_of(motion.failure, self.rules))

    def _check_alive(self) -> Plan[None]:
        """Raise MotionFailed when SYNC has stopped, and what a plan by SDO has ended with."""
        motion = self.motion
        assert motion is not None
        now = yield Now()
        silence = now - (motion.last_at or now)
        if silence > max(_LOST_PERIODS * self.period_s, _LOST_S):
            raise MotionFailed(self.links[0].node_id, WHAT, f"SYNC has stopped {silence * 1000:.0f} ms ago")
        if self._sync.crowded:
            raise MotionFailed(self.links[0].node_id, WHAT, "another node has begun to send SYNC, too")
        for running in self._feeds:
            if running.done:
                running.result()

    def _end(self) -> Plan[None]:
        """Let the axes arrive, then leave the mode while SYNC still runs: without it, a drive may report an error."""
        motion = self.motion
        assert motion is not None
        began = yield Now()
        while not (yield from self._arrived()):
            if (yield Now()) - began >= self._settle_s:
                if self._window is not None:
                    off = [motion.end_error(axis) for axis in self._axes]
                    raise MotionTimeout(self.links[0].node_id, WHAT, f"the axes are {off} off their ends")
                break
            yield Sleep(_POLL_S)
            yield from self._check_alive()
            if motion.failure is not None:
                raise (yield from error_of(motion.failure, self.rules))
        self._finished = motion.path_s >= motion.duration_s and motion.failure is None
        for link in self.links:
            if self.mode not in POSITION_MODES and (yield from is_still(link)) is False:
                self._notes.append(f"drive {link.node_id}: the shaft still turned when mode {self.mode} was left")
            if self.mode == Mode.IP:
                yield from link.change(clear_bits=_ENABLE_INTERPOLATION, during="interpolation was to end")
            yield from self._leave_mode(link)

    def _arrived(self) -> Plan[bool]:
        motion = self.motion
        assert motion is not None
        if self.mode not in POSITION_MODES:
            for link in self.links:
                if (yield from is_still(link)) is False:
                    return False
            return True
        window = _SLACK if self._window is None else self._window
        errors = [motion.end_error(axis) for axis in self._axes]
        return all(error is not None and abs(error) <= window for error in errors)

    def _leave_mode(self, link: DriveLink) -> Plan[None]:
        """Back to the mode from before; to profile position where that one needs SYNC, or lets go of the shaft."""
        before = self._before.get(link)
        back = before if before in _HOLDING else Mode.PP
        try:
            yield from set_mode(link, int(back or Mode.PP))
        except (ModeRefused, SdoAborted) as error:
            self._notes.append(f"drive {link.node_id} stays in mode {self.mode}: {error}")

    # --- the end ---

    def _bring_to_rest(self, error: BaseException) -> Plan[None]:
        """Ramp down on the way, while there is a SYNC; then quick stop and disable all of them."""
        interruption: BaseException | None = None
        try:
            yield from self._ramp_down()
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException as thrown:
            interruption = thrown
        self._drop()
        for link in self.links:
            link.at_rest = None
        try:
            yield Gather(tuple(bring_to_rest(link) for link in self.links))
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException as thrown:  # each drive was brought to rest all the same
            interruption = interruption or thrown
        at_rest = all(link.at_rest for link in self.links)
        try:
            yield from self._clean_up()
        except GeneratorExit:
            raise
        except BaseException as thrown:
            interruption = interruption or thrown
        if isinstance(error, DriveError):
            error.at_rest = at_rest
        elif not at_rest and isinstance(error, Exception):
            raise NotAtRest(self.links[0].node_id, "ramp, quick stop and disable voltage") from error
        if interruption is not None and not isinstance(interruption, Exception):
            raise interruption from error

    def _ramp_down(self) -> Plan[None]:
        motion = self.motion
        if motion is None:
            return
        motion.stop()
        while motion.moving:
            with contextlib.suppress(MotionFailed):
                yield from self._check_alive()
                yield Sleep(_POLL_S)
                continue
            return  # without SYNC nothing is ramped

    def _drop(self) -> None:
        """A quick stop to everybody, in one go where there are PDOs, and no set-points any more."""
        motion = self.motion
        if motion is None:
            for link in self.links:
                link.revoke()
            return
        with self.network.pump.lock:
            frames = motion.drop_all()
            self._detach()
            now = self.network.clock.now()
            for frame in frames:
                with contextlib.suppress(Exception):  # by SDO it is tried again
                    self.network.pump.send(frame, now)

    def _detach(self) -> None:
        """No more set-points; words go by SDO."""
        for axis in self._axes:
            if isinstance(axis.link.words, PdoWords):
                axis.link.words.running = False
        end, self._unsubscribe = self._unsubscribe, None
        if end is not None:
            end()
        feeds, self._feeds = self._feeds, []
        for running in feeds:
            running.cancel("the motion is over")
        if self.motion is not None:
            self.network.pump.remove(self.motion)

    def _abandon(self) -> None:
        """Nobody runs the plan any more: what can be done at once."""
        self._drop()
        self._sync.end()

    def _clean_up(self) -> Plan[None]:
        """Stop SYNC where it is ours, and put back what was changed in the drives."""
        self._detach()
        self._sync.end()
        for axis in self._axes:
            if isinstance(axis.link.words, PdoWords):
                axis.link.words = axis.link.words.before
        yield from put_all_back(self._setups)


def follow(
    network: Network,
    links: Sequence[DriveLink],
    trajectories: Sequence[Trajectory],
    period_s: float = 0.001,
    mode: int | str = "csp",
    **settings: Any,
) -> Plan[CyclicReport]:
    """The plan of a `CyclicFollower` with these ``settings``."""
    return CyclicFollower(network, links, trajectories, period_s, mode, **settings).plan()
