"""What became of a cyclic motion: how many set-points left, which were missed, and how well the axes followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opendiag.cia402.cyclic_motion import CyclicMotion
from opendiag.cia402.pdo_words import CyclicAxis


@dataclass(frozen=True, slots=True)
class AxisReport:
    """``sent`` set-points left, ``missed`` did not; ``tpdos_missed``: SYNCs that this axis did not answer in time.

    ``following_error`` is the greatest one, ``end_error`` how far from its last set-point the axis came to rest, in
    device units, None where no position is commanded. ``limited`` counts cycles in which the drive reported an internal
    limit, ``ignored`` those in which it said that it does not follow its set-points.
    """

    node_id: int
    axis: int
    sent: int
    missed: int
    tpdos_missed: int
    limited: int
    ignored: int
    following_error: int | None
    end_error: int | None


@dataclass(frozen=True, slots=True)
class CyclicReport:
    """``cycles`` SYNCs; ``left_out`` were a whole period late, and are no part of them. Lateness in seconds.

    ``duration_s`` is how long the motion took, ``path_s`` how far on its trajectory it came: less than
    ``trajectory_s`` when it was stopped. ``notes`` say what is not as it should be.
    """

    mode: int
    period_s: float
    cycles: int
    left_out: int
    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    duration_s: float
    path_s: float
    trajectory_s: float
    finished: bool
    axes: tuple[AxisReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> int:
        """Set-points that did not leave when they should have, of all axes."""
        return self.left_out * len(self.axes) + sum(axis.missed for axis in self.axes)

    @property
    def text(self) -> str:
        """In lines, for people."""
        how = "finished" if self.finished else f"ended after {self.path_s:.3f} s of {self.trajectory_s:.3f} s"
        lines = [
            f"{self.cycles} cycles of {self.period_s * 1000:g} ms in {self.duration_s:.3f} s, {how}",
            f"missed set-points: {self.missed}, of which {self.left_out} cycles were left out",
            f"lateness: p50 {self.late_p50_s * 1e6:.0f} µs, p99 {self.late_p99_s * 1e6:.0f} µs, "
            f"max {self.late_max_s * 1e6:.0f} µs",
        ]
        for axis in self.axes:
            place = f"node {axis.node_id}" + (f" axis {axis.axis}" if axis.axis else "")
            line = f"{place}: {axis.sent} sent, {axis.missed} missed, {axis.tpdos_missed} answers missed"
            if axis.following_error is not None:
                line += f", following error {axis.following_error} at most, {axis.end_error} in the end"
            lines.append(line)
        return "\n".join([*lines, *self.notes])


def make_report(
    mode: int,
    period_s: float,
    motion: CyclicMotion | None,
    axes: Sequence[CyclicAxis],
    left_out: int,
    lateness: tuple[float, float, float],
    finished: bool,
    notes: Sequence[str],
) -> CyclicReport:
    """``lateness`` p50, p99 and greatest, in seconds. ``motion`` None: it has not begun."""
    began = None if motion is None else motion.began_at
    ended = None if motion is None else motion.ended_at or motion.last_at
    return CyclicReport(
        mode,
        period_s,
        motion.cycles if motion else 0,
        left_out,
        *lateness,
        0.0 if began is None or ended is None else max(ended - began, 0.0),
        motion.path_s if motion else 0.0,
        motion.duration_s if motion else 0.0,
        finished,
        tuple(_axis_report(motion, axis) for axis in axes),
        tuple(notes),
    )


def _axis_report(motion: CyclicMotion | None, axis: CyclicAxis) -> AxisReport:
    positions = motion is not None and motion.positions
    return AxisReport(
        axis.link.node_id,
        axis.link.axis,
        axis.set_points_sent,
        axis.set_points_missed,
        axis.tpdos_missed,
        axis.limited,
        axis.ignored,
        axis.following_error if positions else None,
        motion.end_error(axis) if motion is not None else None,
    )
