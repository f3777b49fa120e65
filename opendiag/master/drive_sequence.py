"""Runs a sequence on a network: its drives as the script's own, guarded, measured beside it, and at rest in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opendiag.cia402.sequence import Sequence, load_sequence
from opendiag.cia402.sequence_check import check_sequence
from opendiag.cia402.sequence_run import SequenceRun
from opendiag.cia402.sequence_timeline import StepRecord, Timeline
from opendiag.master.drive import Drive
from opendiag.master.drive_guard import release
from opendiag.services.plans import Plan

if TYPE_CHECKING:
    from opendiag.master.network import Network


class _Axis:
    """The plans of a drive; enabling also begins to watch the limits of the sequence."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drive.plans, name)

    def enable(self) -> Plan[None]:
        yield from self.drive.plans.enable()
        self.drive.enabled()


class SequenceRunner:
    """A sequence and its drives. ``timeline`` fills while `run` works, and stays when that is interrupted.

    ``sequence``: one that was parsed, or the path of its file. ``options`` go to every drive, as in `Network.drive`.
    ``on_step`` is called with each step's record when it begins and when it is over, with the pump's lock held.
    ``measure``: position, velocity and current are read beside the steps.
    Raise SequenceError.
    """

    def __init__(
        self,
        network: Network,
        sequence: Sequence | str | Path,
        on_step: Callable[[StepRecord], None] = lambda record: None,
        measure: bool = True,
        **options: Any,
    ) -> None:
        self.network = network
        self.sequence = sequence if isinstance(sequence, Sequence) else load_sequence(sequence)
        self.timeline = Timeline(self.sequence.name, self.sequence.file)
        self._on_step = on_step
        self._measure = measure
        self.drives: Mapping[str, Drive] = {
            name: Drive(network, spec.node_id, axis=spec.axis, units=spec.units, limits=spec.limits, **options)
            for name, spec in self.sequence.axes.items()
        }
        self._axes = {name: _Axis(drive) for name, drive in self.drives.items()}
        guards = [drive.guard for drive in self.drives.values()]
        for guard in guards:
            guard.mates = [other for other in guards if other is not guard]

    def check(self) -> None:
        """Compare it with the drives; only reads. Raise SequenceError, SdoTimeout, AdapterError."""
        for drive in self.drives.values():
            self._know(drive)
        self.network.run(check_sequence(self.sequence, self._axes))

    def _know(self, drive: Drive) -> None:
        """Numbers without a unit depend on who the drive is: one that did not say is asked again. Raise SdoTimeout."""
        drive.know()
        if drive.node.needs_identity:
            self.network.run(drive.link.status())
            drive.know()

    def run(self) -> Timeline:
        """`check`, then all steps. What fails in a step is in the timeline, and every drive is at rest then.

        Raise SequenceError before anything is written, NotAtRest for a drive that does not confirm its rest.
        """
        self.check()
        failure: BaseException | None = None
        try:
            for drive in self.drives.values():
                drive.prepare()
            for name, axis in self._axes.items() if self._measure else ():
                self.network.begin(self.timeline.follow(name, axis))
            first, *others = (drive.guard for drive in self.drives.values())
            plan = SequenceRun(self.sequence, self._axes, self.timeline, self._on_step).run()
            return first.run(plan, tuple(others))
        except BaseException as error:
            failure = error
            raise
        finally:
            if not self.timeline.over:
                self.timeline.outcome = "stopped"
            release(tuple(drive.guard for drive in self.drives.values()), failure)


def run_sequence(network: Network, sequence: Sequence | str | Path, **options: Any) -> Timeline:
    """Run a sequence, or the file of one. See `SequenceRunner`."""
    return SequenceRunner(network, sequence, **options).run()
