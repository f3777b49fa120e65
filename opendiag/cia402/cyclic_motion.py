"""Several axes that follow set-points in step with SYNC: what is sent after each SYNC, and when everybody has to stop.

The way is a function of a path time that goes on by one period for each SYNC whose set-points have left. A cycle that
comes too late, or not at all, makes the motion later; it never makes a step larger than planned. A stop slows the path
time down, so that all axes stay on their way together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opendiag.cia402.modes import Mode
from opendiag.cia402.pdo_words import CyclicAxis
from opendiag.cia402.trajectory import Extent, Trajectory, extent
from opendiag.frame import Frame

#: Modes whose set-points are positions.
POSITION_MODES = (Mode.CSP, Mode.IP)
#: A set-point leaves after one SYNC, acts at the next and is to be reached at the one after that.
LAG_CYCLES = 2
_FADE_S = 0.1
_STOP_LEAST_S, _STOP_MOST_S = 0.02, 5.0
_LIMIT, _FOLLOWS, _FOLLOWING_ERROR = 1 << 11, 1 << 12, 1 << 13


class Phase(Enum):
    """``RESTING`` is the end: the last set-points go on being sent."""

    HOLDING = "holding"
    FOLLOWING = "following"
    STOPPING = "stopping"
    RESTING = "resting"


class Trouble(Enum):
    """Why all axes were stopped."""

    LEFT = "left OPERATION ENABLED"
    SILENT = "sends its TPDOs no more"
    FOLLOWING_ERROR = "reports a following error"
    TOO_FAR = "is too far from its set-point"
    UNSENT = "its set-points do not leave"


@dataclass(frozen=True, slots=True)
class Failure:
    """The first trouble; ``value`` is the following error, or the number of cycles."""

    axis: CyclicAxis
    trouble: Trouble
    at: float
    value: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """``silent_cycles`` without TPDOs, or without a set-point that left, in a row end the motion.

    ``following_limit`` in device units: how far an axis may be from where it should be; None: as the drive says.
    ``stop_s``: how long a stop from full speed takes; None: as the greatest acceleration of the trajectories allows.
    """

    silent_cycles: int = 3
    following_limit: int | None = None
    stop_s: float | None = None


class _Way:
    """The set-points of one axis: its trajectory, and how it gets onto it from where it stands."""

    def __init__(self, trajectory: Trajectory, mode: int) -> None:
        self.trajectory = trajectory
        self.extent: Extent = extent(trajectory)
        self.off = 0.0
        self._velocity = mode == Mode.CSV
        self._fade_s = min(_FADE_S, trajectory.duration_s)

    def begin_at(self, held: int) -> None:
        self.off = held - self.trajectory.at(0.0).position

    def value(self, time_s: float, rate: float, scaled: bool) -> int:
        point = self.trajectory.at(time_s)
        if scaled:
            return round(rate * (point.velocity if self._velocity else point.position))
        if self.off and time_s < self._fade_s:
            part = time_s / self._fade_s
            return round(point.position + self.off * (1 - part * part * (3 - 2 * part)))
        return round(point.position)

    def stop_s(self, time_s: float, scaled: bool) -> float:
        """So long takes a stop with the greatest acceleration of the trajectory."""
        highest = self.extent.acceleration if self._velocity or not scaled else self.extent.velocity
        point = self.trajectory.at(time_s)
        speed = point.position if scaled and not self._velocity else point.velocity
        return abs(speed) / highest if highest > 0 else 0.0


class CyclicMotion:
    """A machine: give it the TPDOs, and call `cycle` after each SYNC; it gives the frames to send then.

    ``axes`` and ``trajectories`` belong together, positions from where the axis begins. ``failure`` is the first
    trouble: the axis in question gets no more words that energise it, the others are ramped down on their way.
    """

    def __init__(
        self,
        axes: Sequence[CyclicAxis],
        trajectories: Sequence[Trajectory],
        period_s: float,
        mode: int,
        rules: Rules,
    ) -> None:
        self.axes = tuple(axes)
        self.period_s = period_s
        self.mode = mode
        self.rules = rules
        self.phase = Phase.HOLDING
        self.failure: Failure | None = None
        self.cycles = 0
        self.path_s = 0.0
        self.rate = 1.0
        self.last_at: float | None = None
        self.began_at: float | None = None
        self.ended_at: float | None = None
        self.watching = False
        self.positions = mode in POSITION_MODES
        self._ways = [_Way(trajectory, mode) for trajectory in trajectories]
        self.duration_s = max(way.trajectory.duration_s for way in self._ways)
        self._sent: list[deque[int]] = [deque(maxlen=LAG_CYCLES + 1) for _ in self.axes]
        self._set_points = [0] * len(self.axes)
        self._stop_s = 0.0
        self._unsent = 0
        self._all_sent = True
        self._out: list[Frame] = []

    @property
    def set_points(self) -> tuple[int, ...]:
        """The latest ones, by axis."""
        return tuple(self._set_points)

    @property
    def moving(self) -> bool:
        return self.phase in (Phase.FOLLOWING, Phase.STOPPING)

    def end_error(self, axis: CyclicAxis) -> int | None:
        """How far an axis is from its latest set-point; None where positions are not commanded, or not known."""
        if not self.positions or axis.actual is None:
            return None
        return axis.actual - self._set_points[axis.number]

    # --- what the plan decides ---

    def watch(self) -> None:
        """All axes are enabled: from now on it counts when one is not any more, or says nothing."""
        self.watching = True

    def follow(self, now: float) -> None:
        """Begin with the way: with the next SYNC the first set-points of it leave."""
        for way, axis in zip(self._ways, self.axes, strict=True):
            if self.positions and axis.held is not None:
                way.begin_at(axis.held)
        self.phase = Phase.FOLLOWING
        self.began_at = now

    def stop(self) -> None:
        """Ramp down on the way. What does not move yet stays."""
        if self.phase is Phase.HOLDING:
            self.phase = Phase.RESTING
        elif self.phase is Phase.FOLLOWING:
            self.phase = Phase.STOPPING
            longest = max(way.stop_s(self.path_s, not self.positions) for way in self._ways)
            self._stop_s = self.rules.stop_s or min(max(longest, _STOP_LEAST_S), _STOP_MOST_S)

    def drop_all(self) -> list[Frame]:
        """The last frames: a quick stop for everybody who can be told by PDO."""
        frames = []
        for number, axis in enumerate(self.axes):
            axis.drop()
            frames.append(axis.word_frame())
            if axis.pdos.word_rides_along:  # the one that lies in the drive, for the next SYNC, energises
                frames.append(axis.set_point_frame(self._set_points[number]))
        self.phase = Phase.RESTING
        return [frame for frame in frames if frame is not None]

    def fail(self, axis: CyclicAxis, trouble: Trouble, now: float, value: int = 0) -> None:
        """Stop because of this axis."""
        if self.failure is None:
            self.failure = Failure(axis, trouble, now, value)
        self.stop()

    # --- the cycle ---

    def cycle(self, now: float) -> list[tuple[CyclicAxis, Frame]]:
        """A SYNC was sent or received: judge what came since the last one, and give the next set-points."""
        self.cycles += 1
        if self.last_at is not None:
            for number, axis in enumerate(self.axes):
                self._judge(number, axis, now)
        self.last_at = now
        if self._all_sent or self.phase is Phase.STOPPING:  # a stop must come to its end
            self._go_on(now)
        frames = []
        for number, axis in enumerate(self.axes):
            if axis.ever:  # before that nobody knows where it stands
                self._set_points[number] = value = self._set_point(number, axis)
                self._sent[number].append(value)
                frame = axis.set_point_frame(value)
                if frame is not None:
                    frames.append((axis, frame))
            if axis.dropped and (word := axis.word_frame()) is not None:
                frames.append((axis, word))
            axis.next_cycle()
        return frames

    def were_sent(self, failed: Sequence[CyclicAxis], now: float) -> None:
        """What became of the frames of this cycle. The way waits for those that did not leave."""
        self._all_sent = not failed
        self._unsent = self._unsent + 1 if failed else 0
        for axis in self.axes:
            if axis.pdos.set_point is None or not axis.ever:
                continue
            if any(axis is other for other in failed):
                axis.set_points_missed += 1
            else:
                axis.set_points_sent += 1
        if failed and self._unsent >= self.rules.silent_cycles and self.watching:
            self.fail(failed[0], Trouble.UNSENT, now, self._unsent)

    def _judge(self, number: int, axis: CyclicAxis, now: float) -> None:
        if not axis.fresh:
            if axis.ever and axis.pdos.views:
                axis.tpdos_missed += 1
            axis.silent += 1
            if self.watching and axis.silent >= self.rules.silent_cycles and not axis.dropped and axis.pdos.views:
                axis.drop()
                self.fail(axis, Trouble.SILENT, now, axis.silent)
            return
        axis.silent = 0
        if not self.watching or axis.dropped:
            return
        status = axis.status or 0
        axis.limited += bool(status & _LIMIT)
        axis.ignored += not status & _FOLLOWS
        if self.mode == Mode.CSP and status & _FOLLOWING_ERROR:
            self.fail(axis, Trouble.FOLLOWING_ERROR, now, axis.following_error)
        self._measure(number, axis, now)

    def _measure(self, number: int, axis: CyclicAxis, now: float) -> None:
        """The position of the last SYNC, against the set-point that was to be reached then."""
        sent = self._sent[number]
        if axis.actual is None or not self.positions or len(sent) <= LAG_CYCLES:
            return
        off = abs(axis.actual - sent[0])
        axis.following_error = max(axis.following_error, off)
        if self.rules.following_limit is not None and off > self.rules.following_limit:
            self.fail(axis, Trouble.TOO_FAR, now, off)

    def _go_on(self, now: float) -> None:
        if not self.moving:
            return
        if self.phase is Phase.STOPPING:
            before = self.rate
            self.rate = max(0.0, before - self.period_s / self._stop_s)
            self.path_s += (before + self.rate) / 2 * self.period_s
        else:
            self.path_s += self.period_s
        if self.path_s >= self.duration_s - 1e-12:
            self.path_s = self.duration_s
            if self.phase is Phase.FOLLOWING and not self.positions and any(self._values()):
                self.stop()  # a velocity or torque that is left over: it is ramped down
        at_end = self.path_s >= self.duration_s and (self.positions or self.phase is Phase.FOLLOWING)
        if at_end or self.rate <= 0.0:
            self.phase = Phase.RESTING
            self.ended_at = now

    def _values(self) -> list[int]:
        return [way.value(self.path_s, self.rate, not self.positions) for way in self._ways]

    def _set_point(self, number: int, axis: CyclicAxis) -> int:
        if self.began_at is not None and not axis.dropped:
            return self._ways[number].value(self.path_s, self.rate, not self.positions)
        if not self.positions:
            return 0
        stands = axis.actual or 0
        return stands if axis.held is None or axis.dropped else axis.held

    # --- as a machine: TPDOs in, a word out at once when an axis falls ---

    def receive(self, frame: Frame, now: float) -> None:
        for axis in self.axes:
            axis.receive(frame, now)
            self.look(axis, now)

    def look(self, axis: CyclicAxis, now: float) -> None:
        """After its statusword came: hold where it is enabled, stop everybody when it no longer is."""
        if axis.enabled:
            if axis.held is None and not axis.dropped and not (self.positions and axis.actual is None):
                axis.held = (axis.actual or 0) if self.positions else 0
            return
        if not self.watching:
            axis.held = None
        elif axis.status is not None and not axis.dropped:
            axis.drop()
            self.fail(axis, Trouble.LEFT, now)
            own = [axis.word_frame()]
            if axis.pdos.word_rides_along:  # the one that lies in the drive, for the next SYNC, energises
                own.append(axis.set_point_frame(axis.actual or 0))
            self._out += [frame for frame in own if frame is not None]

    def tick(self, now: float) -> None:
        """SYNC is the clock."""

    def deadline(self) -> float | None:
        """None: SYNC is the clock."""
        return None

    def frames_to_send(self) -> list[Frame]:
        frames, self._out = self._out, []
        return frames

    def events(self) -> list[Any]:
        """None: the plan looks at the state."""
        return []
