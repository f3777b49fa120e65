"""A CiA 402 drive: enable it, move it, look at it; and whatever happens, it is brought to rest in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from opendiag.cia402.cyclic_report import CyclicReport
from opendiag.cia402.io_plans import Inputs
from opendiag.cia402.limits import Limits
from opendiag.cia402.link import DriveLink, Timing
from opendiag.cia402.objects import STATUSWORD
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import WELL_BEHAVED, DriveQuirks, quirks_of
from opendiag.cia402.states import PdsState
from opendiag.cia402.trajectory import Trajectory
from opendiag.cia402.units import Units
from opendiag.diagnose.drive_why import explain, why_not
from opendiag.errors import (
    AdapterError,
    BroughtToRest,
    DriveClosed,
    DriveError,
    LimitReached,
    NotPermitted,
    OutsideLimits,
    SdoAborted,
    SdoTimeout,
    UnknownTarget,
)
from opendiag.findings import Finding
from opendiag.master.drive_follow import follow
from opendiag.master.drive_guard import DriveGuard, release
from opendiag.master.drive_keeper import GuardSettings
from opendiag.master.drive_plans import Amount, DrivePlans, DriveStatus, UnitsGiven
from opendiag.master.drive_watch import DriveWatch
from opendiag.services.plans import Plan
from opendiag.wire.sdo_abort import SdoAbortCode

if TYPE_CHECKING:
    from opendiag.master.network import Network

T = TypeVar("T")
#: The drive has nothing to say about these.
_SELF_EXPLAINING = (BroughtToRest, LimitReached, NotPermitted, OutsideLimits, UnknownTarget)


class Closable(Protocol):
    """What belongs to the drive alone, and ends with it."""

    def close(self) -> None: ...


class Drive:
    """Made by `Network.drive`; use it with ``with``, or call `close`. Making and entering it sends nothing.

    ``axis`` counts from 0. ``units``: what the drive's objects count, as `Units`, a mapping or the path of a units
    file; None: the drive is asked. ``limits``: `Limits`, or a mapping of its fields, for the motions of this script.
    ``watchdog_s``: the thread that has enabled the drive must call it at least that often, or `alive`; None: it need
    not.
    ``guard``: `GuardSettings`, True for the usual ones; False: the drive itself does not watch that we are there.

    From `enable` to the end of the block it is brought to rest (quick stop, then disable) by: the end of the block,
    any exception, ``sys.exit``, Ctrl-C, SIGTERM, the end of the script, the closing of the network, the watchdog, a
    limit of the script, its lost heartbeat or its restart, or a cyclic sending of the network that fails. Ctrl-C and
    SIGTERM do it by themselves only where a drive was enabled in the main thread: elsewhere, a warning is logged.
    What happened while the script did something else is raised by the next call (BroughtToRest, LimitReached);
    `status` and `mode` only look. A computer that dies or a cable that is cut leave it to the drive: ``own_guard``
    says what it does then.

    Calls raise DriveError, SdoError and AdapterError, and BlockingCall in callbacks; see the plans that they run.
    """

    def __init__(
        self,
        network: Network,
        node_id: int,
        *,
        axis: int = 0,
        units: UnitsGiven | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        watchdog_s: float | None = None,
        guard: bool | GuardSettings = True,
        timing: Timing | None = None,
        quirks: DriveQuirks | None = None,
        also_close: Closable | None = None,
    ) -> None:
        self.network = network
        self.node = network[node_id]
        self.closed = False
        self._axis_seen = not axis
        self._quirks = quirks
        self._also_close = also_close
        self.link = DriveLink(
            node_id,
            axis=axis,
            describe=lambda index, subindex: self.node.view.describe(index, subindex).variable,
            quirks=quirks or WELL_BEHAVED,
            timing=timing,
            booted_at=self._booted_at,
        )
        settings = guard if isinstance(guard, GuardSettings) else GuardSettings() if guard else None
        self.guard = DriveGuard(network, self.link, settings, watchdog_s)
        self.plans = DrivePlans(
            self.link,
            units=units,
            limits=limits,
            set_up=self.guard.set_up,
            product_code=lambda: self.node.identity.product_code,
            identified=lambda: not self.node.needs_identity,
            check_open=self.check_open,
        )
        self.watch = DriveWatch(self.guard, self.plans)
        self.guard.look_now = self.watch.look_now

    def __repr__(self) -> str:
        state = self.link.state
        return f"<drive {self.node_id} on {self.network.name}, {'not looked at' if state is None else state.value}>"

    @property
    def node_id(self) -> int:
        return self.link.node_id

    def _booted_at(self) -> float | None:
        life = self.node.nmt.life
        return None if life is None else life.booted_at

    # --- the block ---

    def __enter__(self) -> Drive:
        self.closed = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """Bring it to rest, and give it its settings back. Closing again does nothing.

        Raise NotAtRest when it does not confirm its rest; where ``error`` is under way already, that is logged.
        """
        try:
            release((self.guard,), error)
        finally:
            self.closed = True
            if self._also_close is not None:
                self._also_close.close()

    def check_open(self) -> None:
        """Raise DriveClosed."""
        if self.closed:
            raise DriveClosed(self.node_id)

    def alive(self) -> None:
        """Tell the watchdog that the script is alive. Raise what has stopped the drive meanwhile."""
        self.guard.check()
        self.guard.feed()

    @property
    def own_guard(self) -> str | None:
        """What the drive does when our heartbeat stays out; None: nothing that is known of."""
        return self.guard.own.reaction

    # --- running plans ---

    def run(self, plan: Plan[T]) -> T:
        """Run any plan of this drive, as those of `plans` or of `opendiag.cia402`, guarded like its own calls."""
        try:
            self.know()
        except BaseException:
            plan.close()
            raise
        try:
            return self.guard.run(plan)
        except DriveError as error:
            if not isinstance(error, _SELF_EXPLAINING) and not error.why:
                with contextlib.suppress(AdapterError), self.guard.called():
                    self.network.run(explain(self.link, error, self.network.watch))
            raise

    def know(self) -> None:
        """Who the drive is decides about its objects, its units and its quirks; it is asked once."""
        self.node.identify()
        identity = self.node.identity
        self.link.vendor_id = identity.vendor_id
        if self._quirks is None:
            self.link.quirks = quirks_of(identity.vendor_id, identity.product_code)
        self._check_axis()

    def _check_axis(self) -> None:
        """Nothing is written to an axis that the drive does not have, and its node is not stopped for it."""
        if self._axis_seen:
            return
        try:
            self.node.upload(self.link.index(STATUSWORD))
        except SdoAborted as error:
            if error.code == SdoAbortCode.NO_SUCH_OBJECT:
                raise UnknownTarget(self.node_id, "axis", str(self.link.axis), ("0",)) from error
        except (SdoTimeout, AdapterError):
            return
        self._axis_seen = True

    # --- state ---

    def prepare(self) -> None:
        """What comes before any enabling: who is it, and from now on it is brought to rest. Nothing is energised."""
        self.check_open()
        self.know()
        self.guard.arm()

    def enabled(self) -> None:
        """What comes after it."""
        self.watch.begin()

    def enable(self) -> None:
        """To OPERATION ENABLED, standing still. A drive in a fault needs `reset` first.

        One in a torque mode, or in none, would not hold: unless `set_mode` has asked for it, it is put in profile
        position first; where the drive has no such mode, a warning is logged.
        """
        self.guard.check()
        self.prepare()
        self.run(self.plans.enable())
        self.enabled()

    def disable(self) -> None:
        """To SWITCH ON DISABLED, with the ramp of 605Ch. It is sent whatever is still to be told."""
        self._check_axis()
        self.guard.run(self.plans.disable(), at_once=True)

    def quick_stop(self) -> PdsState:
        """Stop as 605Ah says; the drive is to be enabled anew after that. Gives the state it is in.

        It is sent whatever is still to be told.
        """
        self._check_axis()
        return self.guard.run(self.plans.quick_stop(), at_once=True)

    def halt(self) -> None:
        """Interrupt the motion; `unhalt` goes on with it."""
        self.run(self.plans.halt(True))

    def unhalt(self) -> None:
        self.run(self.plans.halt(False))

    def reset(self) -> None:
        """Acknowledge a fault. Ends in SWITCH ON DISABLED; raise DriveFault when the fault stays."""
        self.run(self.plans.reset())

    def set_mode(self, mode: int | str) -> int:
        """A mode of operation by its number or short name ("pp", "csp"); motions choose theirs themselves."""
        return self.run(self.plans.set_mode(mode))

    @property
    def status(self) -> DriveStatus:
        """State, mode and error. Never raises what stopped the drive: it is for looking at that."""
        self.know()
        with self.guard.called():
            return self.network.run(self.plans.status())

    @property
    def mode(self) -> int | None:
        """6061h."""
        return self.status.mode

    @property
    def error(self) -> int | None:
        """603Fh; 0 for none, None where the drive has no such object."""
        return self.status.error

    # --- measurements, in the drive's default units ---

    @property
    def units(self) -> Units:
        """What its objects count."""
        return self.run(self.plans.units())

    @property
    def position(self) -> float:
        return self.read("position")

    @property
    def velocity(self) -> float:
        return self.read("velocity")

    @property
    def torque(self) -> float:
        return self.read("torque")

    @property
    def current(self) -> float:
        return self.read("current")

    def read(self, quantity: str, unit: str | None = None) -> float:
        """A measurement in this unit: "position", "velocity", "torque" or "current"."""
        return self.run(self.plans.read(quantity, unit))

    # --- motions ---

    def home(
        self,
        method: int | None = None,
        offset: Amount | None = None,
        speeds: tuple[Amount, Amount] | None = None,
        acceleration: Amount | None = None,
        timeout_s: float = 60.0,
    ) -> float:
        """Find the home position. What is None stays as the drive has it. Gives the position.

        ``offset`` is the position that home gets; ``speeds`` are those to search the switch and the zero.
        """
        return self.run(self.plans.home(method, offset, speeds, acceleration, timeout_s))

    def move_to(self, target: Amount, unit: str | None = None, **options: Any) -> float:
        """Go to a position: ``move_to(2.5, "rev")``, ``move_to("-10 mm", velocity="20 mm/s")``. Gives the position.

        Options: ``velocity``, ``acceleration``, ``deceleration``; ``wait=False`` only sets off; ``immediate=True`` goes
        there at once instead of after the motion under way; ``timeout_s``.
        """
        return self.run(self.plans.move_to(target, unit, **options))

    def move_by(self, distance: Amount, unit: str | None = None, **options: Any) -> float:
        """As `move_to`, by a distance."""
        return self.run(self.plans.move_by(distance, unit, **options))

    def move_through(self, targets: Sequence[Amount], unit: str | None = None, **options: Any) -> float:
        """Go to one position after the other; ``without_stop=True`` does not rest on the way. Options as `move_to`."""
        return self.run(self.plans.move_through(targets, unit, **options))

    def run_at(self, velocity: Amount, unit: str | None = None, **options: Any) -> float:
        """Turn at a velocity, until something else is asked. Gives the velocity, once it is reached (``wait``)."""
        return self.run(self.plans.run_at(velocity, unit, **options))

    def apply_torque(self, torque: Amount, unit: str | None = None, **options: Any) -> float:
        """Pull with a torque, until something else is asked; ``slope`` per second. A limit for the velocity is wise."""
        return self.run(self.plans.torque(torque, unit, **options))

    def jog(
        self, velocity: Amount, unit: str | None = None, *, keep_alive: Callable[[], bool], **options: Any
    ) -> float:
        """Turn as long as ``keep_alive()`` says so: it is asked at every look and must not wait for the bus.

        Then the drive is stopped and disabled. ``step``: by short moves of this length. Gives the position.
        """
        return self.run(self.plans.jog(velocity, unit, keep_alive=keep_alive, **options))

    def follow(
        self,
        trajectory: Trajectory,
        unit: str | None = None,
        *,
        period_s: float = 0.001,
        mode: int | str = "csp",
        **options: Any,
    ) -> CyclicReport:
        """Follow a trajectory in step with SYNC; see `opendiag.master.drive_cyclic.CyclicFollower` for options.

        Its numbers are in ``unit``, a unit of the position (for "cst" of the torque), per second. Enable it before.
        """
        return self.run(follow((self,), (trajectory,), unit, period_s, mode, **options))

    def touch_probe(self, probe: int = 1, edge: str = "positive", **options: Any) -> float:
        """Wait for an edge of a touch probe (``index_pulse``, ``timeout_s``). Gives the position that it was at."""
        return self.run(self.plans.touch_probe(probe, edge, **options))

    @property
    def inputs(self) -> Inputs:
        """The digital inputs (60FDh): ``axis.inputs["home"]``, or by bit."""
        return self.run(self.plans.inputs())

    def set_outputs(self, values: Mapping[str | int, bool], names: Mapping[str, int] | None = None) -> int:
        """Switch digital outputs (60FEh) by bit, or by name; the others stay. Gives all of them."""
        return self.run(self.plans.set_outputs(values, names))

    def why(self, wanted: Target | str = "operation enabled") -> list[Finding]:
        """What keeps the drive from this state, or from ``"motion"``, the likeliest first. Writes nothing."""
        self.know()
        with self.guard.called():
            return self.network.run(why_not(self.link, wanted, self.network.watch))

    def stop(self, timeout_s: float | None = None) -> float:
        """Come to a standstill and stay enabled; the motion under way is forgotten. Gives the position."""
        return self.run(self.plans.stop(timeout_s))

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the motion that was set off with ``wait=False`` is over."""
        self.run(self.plans.wait(timeout_s))


def make_drive(
    network: Network, node_id: int, *, dry_run: bool | Callable[[str], object] = False, **options: Any
) -> Drive:
    """For `Network.drive`. ``dry_run``: see `opendiag.master.dry_run`; a function gets the lines, True prints them."""
    if dry_run:
        from opendiag.master.dry_run import DryRun

        rehearsal = DryRun(network, (node_id,), dry_run if callable(dry_run) else print)
        return Drive(rehearsal.network, node_id, also_close=rehearsal, **options)
    return Drive(network, node_id, **options)
