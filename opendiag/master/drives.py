"""Several drives that belong together: they start together, and when one fails, all are brought to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from opendiag.cia402.cyclic_report import CyclicReport
from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import Trajectory
from opendiag.errors import BlockingCall
from opendiag.master.drive import Closable, Drive
from opendiag.master.drive_follow import follow
from opendiag.master.drive_guard import release
from opendiag.master.drive_plans import Amount, DriveStatus
from opendiag.services.plans import Plan, Together

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")


class Axes:
    """Made by `Network.drives`, or of drives of one network: ``Axes(x, y)``. Use it with ``with``.

    Plans run side by side. The first failure stops the others, and all are brought to rest. A motion of one alone, as
    in ``x.move_to(1)``, that fails does the same, and so does a fault, a loss or a foreign stop of one outside any
    call: the state of each is looked at every 10 ms and at each of its EMCYs, and its heartbeat is awaited. The others
    do not wait for that one's rest; their next call raises BroughtToRest.
    """

    def __init__(self, *drives: Drive, also_close: Closable | None = None) -> None:
        if not drives or any(drive.network is not drives[0].network for drive in drives):
            raise ValueError("drives that belong together are on one network, and at least one is there")
        self._drives = drives
        self._also_close = also_close
        for drive in drives:
            drive.guard.mates = [other.guard for other in drives if other is not drive]

    def __iter__(self) -> Iterator[Drive]:
        return iter(self._drives)

    def __len__(self) -> int:
        return len(self._drives)

    def __getitem__(self, place: int) -> Drive:
        return self._drives[place]

    def __enter__(self) -> Axes:
        for drive in self._drives:
            drive.closed = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """As `Drive.close`, for all of them at once."""
        try:
            release(tuple(drive.guard for drive in self._drives), error)
        finally:
            for drive in self._drives:
                drive.closed = True
            if self._also_close is not None:
                self._also_close.close()

    def alive(self) -> None:
        """As `Drive.alive`, for all of them."""
        for drive in self._drives:
            drive.alive()

    def run(self, plan: Callable[[Drive], Plan[Any]]) -> list[Any]:
        """Run a plan of each, side by side, as one. Raise what the first that fails raises, and BlockingCall."""
        return self._as_one(_together([plan(drive) for drive in self._drives]))

    def _as_one(self, plan: Plan[T]) -> T:
        first, *others = self._drives
        for drive in self._drives:
            drive.know()
        try:
            return first.guard.run(plan, tuple(drive.guard for drive in others))
        except BlockingCall:
            raise
        except BaseException:
            for drive in self._drives:
                drive.guard.begin_rest()
            for drive in self._drives:
                drive.guard.bring_to_rest()
            raise

    def enable(self) -> None:
        """All, or none stays enabled."""
        for drive in self._drives:
            drive.guard.check()
            drive.prepare()
        self.run(lambda drive: drive.plans.enable())
        for drive in self._drives:
            drive.enabled()

    def disable(self) -> None:
        self.run(lambda drive: drive.plans.disable())

    def quick_stop(self) -> list[PdsState]:
        return self.run(lambda drive: drive.plans.quick_stop())

    def reset(self) -> None:
        self.run(lambda drive: drive.plans.reset())

    def home(self, method: int | None = None, **options: Any) -> list[float]:
        """All at once, as `Drive.home`."""
        return self.run(lambda drive: drive.plans.home(method, **options))

    def move_to(self, targets: Sequence[Amount], unit: str | None = None, **options: Any) -> list[float]:
        """One target for each, as `Drive.move_to`.

        The drives set off within some SDO transfers of each other: 10 ms on a bus at 1 Mbit/s with little else on it,
        more on a slow or busy one. With `follow` they set off with the same SYNC.
        """
        return self._each(targets, lambda drive, target: drive.plans.move_to(target, unit, **options))

    def move_by(self, distances: Sequence[Amount], unit: str | None = None, **options: Any) -> list[float]:
        """As `move_to`, by distances."""
        return self._each(distances, lambda drive, distance: drive.plans.move_by(distance, unit, **options))

    def run_at(self, velocities: Sequence[Amount], unit: str | None = None, **options: Any) -> list[float]:
        """One velocity for each, as `Drive.run_at`."""
        return self._each(velocities, lambda drive, velocity: drive.plans.run_at(velocity, unit, **options))

    def follow(
        self,
        trajectories: Sequence[Trajectory],
        unit: str | None = None,
        *,
        period_s: float = 0.001,
        mode: int | str = "csp",
        **options: Any,
    ) -> CyclicReport:
        """One trajectory for each, in step with the same SYNC, as `Drive.follow`."""
        return self._as_one(follow(self._drives, trajectories, unit, period_s, mode, **options))

    def stop(self, timeout_s: float | None = None) -> list[float]:
        return self.run(lambda drive: drive.plans.stop(timeout_s))

    def wait(self, timeout_s: float | None = None) -> None:
        self.run(lambda drive: drive.plans.wait(timeout_s))

    def _each(self, amounts: Sequence[Amount], plan: Callable[[Drive, Amount], Plan[Any]]) -> list[Any]:
        """Raise ValueError for another number of them than of drives; nothing was sent."""
        if isinstance(amounts, str) or len(amounts) != len(self._drives):
            raise ValueError(f"{amounts!r}: expected one for each of {len(self._drives)} drives; nothing was sent")
        by_drive = dict(zip(self._drives, amounts, strict=True))
        return self.run(lambda drive: plan(drive, by_drive[drive]))

    @property
    def positions(self) -> list[float]:
        """In each drive's default unit, read side by side."""
        return self.run(lambda drive: drive.plans.read("position"))

    @property
    def status(self) -> list[DriveStatus]:
        """Never raises what stopped the drives."""
        return [drive.status for drive in self._drives]


def _together(plans: list[Plan[Any]]) -> Plan[list[Any]]:
    results: list[Any] = yield Together(tuple(plans))
    return results


def make_axes(
    network: Network, node_ids: Sequence[int], *, dry_run: bool | Callable[[str], object] = False, **options: Any
) -> Axes:
    """For `Network.drives`. Raise ValueError for none, and for one twice."""
    if len(set(node_ids)) != len(node_ids) or not node_ids:
        raise ValueError(f"drives {', '.join(map(str, node_ids)) or '(none)'}: each once, and at least one")
    if dry_run:
        from opendiag.master.dry_run import DryRun

        rehearsal = DryRun(network, node_ids, dry_run if callable(dry_run) else print)
        return Axes(*(Drive(rehearsal.network, each, **options) for each in node_ids), also_close=rehearsal)
    return Axes(*(Drive(network, node_id, **options) for node_id in node_ids))
