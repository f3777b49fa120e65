"""Trajectories of a script, in its units, for drives that follow them cyclically: converted, and checked against the
script's limits before anything is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opendiag.cia402.cyclic_report import CyclicReport
from opendiag.cia402.mode_change import parse_mode
from opendiag.cia402.modes import Mode
from opendiag.cia402.trajectory import Point, Trajectory, extent
from opendiag.cia402.units import Units
from opendiag.errors import UnknownTarget
from opendiag.master.drive_cyclic import CyclicFollower
from opendiag.services.plans import Plan

if TYPE_CHECKING:
    from opendiag.master.drive import Drive

_RATES = {"rev": "rev/s", "deg": "deg/s", "rad": "rad/s", "mm": "mm/s", "m": "m/s", "counts": "counts/s"}


@dataclass(frozen=True, slots=True)
class Counted:
    """A trajectory with its positions times ``position`` and its velocities times ``rate``."""

    trajectory: Trajectory
    position: float
    rate: float

    @property
    def duration_s(self) -> float:
        return self.trajectory.duration_s

    def at(self, time_s: float) -> Point:
        position, velocity, acceleration = self.trajectory.at(time_s)
        return Point(position * self.position, velocity * self.rate, acceleration * self.rate)


def follow(
    drives: Sequence[Drive],
    trajectories: Sequence[Trajectory],
    unit: str | None,
    period_s: float,
    mode: int | str,
    **options: Any,
) -> Plan[CyclicReport]:
    """The plan for drives of one network, one trajectory for each. Raise ValueError for another number of them."""
    if len(trajectories) != len(drives):
        raise ValueError(f"{len(trajectories)} trajectories for {len(drives)} drives; nothing was sent")
    counted: list[Trajectory] = []
    for drive, trajectory in zip(drives, trajectories, strict=True):
        counted.append((yield from _counted(drive, trajectory, unit, mode, bool(options.get("relative")))))
    links = [drive.link for drive in drives]
    return (yield from CyclicFollower(drives[0].network, links, counted, period_s, mode, **options).plan())


def _counted(drive: Drive, trajectory: Trajectory, unit: str | None, mode: int | str, relative: bool) -> Plan[Counted]:
    number = parse_mode(drive.node_id, mode)
    units = yield from drive.plans.units()
    limits = yield from drive.plans.script_limits()
    limits.check_time(drive.node_id, trajectory.duration_s)
    if number in (Mode.CST, Mode.CSTCA):
        per = units.counts_per("torque", unit)
        seen = extent(trajectory)
        limits.check(drive.node_id, "current", round(max(abs(seen.lowest), abs(seen.highest)) * per))
        return Counted(trajectory, per, per)
    own = unit or units.default("position")
    Units.check_unit(drive.node_id, "position", own)
    rate_unit = _RATES.get(own)
    if rate_unit is None:
        raise UnknownTarget(drive.node_id, "unit of a trajectory", own, tuple(_RATES))
    per, rate = units.counts_per("position", own), units.counts_per("velocity", rate_unit)
    seen = extent(trajectory)
    limits.check(drive.node_id, "velocity", round(seen.velocity * rate))
    limits.check(
        drive.node_id, "acceleration", round(seen.acceleration * units.counts_per("acceleration", f"{own}/s^2"))
    )
    if number in (Mode.CSP, Mode.IP):
        base = 0.0
        if relative and limits.position is not None:
            base = yield from drive.plans.counts("position")
        for end in (seen.lowest, seen.highest):
            limits.check_position(drive.node_id, round(base + end * per))
        return Counted(trajectory, per, per)
    return Counted(trajectory, per, rate)
