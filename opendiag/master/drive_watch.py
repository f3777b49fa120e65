"""Looks at an enabled drive beside its motions, and when nobody waits for one: is it still enabled, and is it within
the limits of the script?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opendiag.cia402.link import SdoWords
from opendiag.cia402.motion import REACHED
from opendiag.cia402.states import PdsState, pds_state
from opendiag.errors import BroughtToRest, DriveError, LimitReached, SdoError, WireError
from opendiag.services.plans import Now, Plan, Sleep

if TYPE_CHECKING:
    from opendiag.master.drive_guard import DriveGuard
    from opendiag.master.drive_plans import DrivePlans

#: A drive that cannot be looked at for so long, in seconds, is brought to rest.
_BLIND_S = 0.5
#: One with mates that answers no SDO for so long, whoever asked: they are not to wait for time-outs of calls.
_SILENT_S = 0.35
_FAULTS = (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE)


class DriveWatch:
    """Begins when the drive is enabled, and ends with that.

    The state is looked at every ``every_s`` where other drives stop with this one; a motion that looks at it anyway
    counts. The limits are, where there are any.
    """

    def __init__(self, guard: DriveGuard, plans: DrivePlans) -> None:
        self.every_s = 0.01
        self._guard = guard
        self._link = guard.link
        self._plans = plans
        self._watching: int | None = None
        self._seen_at = 0.0

    def begin(self) -> None:
        """Beginning again, while it is still enabled, does nothing."""
        stops = self._link.stops
        if self._watching != stops and (self._plans.limits or self._guard.mates):
            self._watching = stops
            self._guard.network.begin(self._watch(stops))
            if self._guard.mates:
                self._guard.network.begin(self._listen(stops))

    def look_now(self) -> None:
        """Something happened. Call it with the pump's lock held."""
        if self._watching == self._link.stops and self._guard.mates:
            self._guard.network.begin(self._look(self._link.stops, fresh=True))

    def _enabled(self, stops: int) -> bool:
        """Still, and by the same call?"""
        return self._link.permitted and self._link.stops == stops

    def _watch(self, stops: int) -> Plan[None]:
        self._seen_at = yield Now()
        while self._enabled(stops):
            yield from self._look(stops)
            yield Sleep(self.every_s)

    def _listen(self, stops: int) -> Plan[None]:
        """Looks wait behind transfers of the script, which are tried for longer than the mates may go on."""
        began = yield Now()
        while self._enabled(stops):
            yield Sleep(max(_SILENT_S / 8, self.every_s))
            heard = max(began, self._guard.answered_at, self._link.status_at, self._seen_at)
            if (yield Now()) - heard >= _SILENT_S and self._enabled(stops):
                cause = f"it could not be looked at for {_SILENT_S:g} s: it answers no SDO"
                self._guard.trip(BroughtToRest(self._link.node_id, cause))

    def _look(self, stops: int, fresh: bool = False) -> Plan[None]:
        try:
            if self._guard.mates and (fresh or (yield Now()) - self._link.status_at >= self.every_s):
                yield from self._check_state(stops)
            if self._plans.limits and self._enabled(stops):
                yield from self._check_limits()
            self._seen_at = yield Now()
        except LimitReached as error:
            if self._enabled(stops):
                self._guard.trip(error)
        except (SdoError, WireError) as error:
            if (yield Now()) - self._seen_at >= _BLIND_S and self._enabled(stops):
                cause = f"it could not be looked at for {_BLIND_S:g} s: {error}"
                self._guard.trip(BroughtToRest(self._link.node_id, cause))

    def _check_state(self, stops: int) -> Plan[None]:
        """By SDO, whatever way the words take: what a cyclic motion has seen is left alone."""
        link = self._link
        state = pds_state((yield from SdoWords().read_status(link, link.timing.answer_s)))
        if state is PdsState.OPERATION_ENABLED or not self._enabled(stops):
            return
        error: DriveError
        if state in _FAULTS:
            error = yield from link.fault("nobody was waiting for it")
        else:
            shown = "no state of CiA 402" if state is None else state.value
            error = BroughtToRest(link.node_id, f"it has left OPERATION ENABLED without being asked: {shown}")
        if self._enabled(stops):
            self._guard.trip(error)

    def _check_limits(self) -> Plan[None]:
        limits = yield from self._plans.script_limits()
        link, plans = self._link, self._plans
        since = plans.moving_since
        if (
            limits.time_s is not None
            and since is not None
            and not plans.waited
            and (yield Now()) - since > limits.time_s
        ):
            word = yield from SdoWords().read_status(link, link.timing.answer_s)
            if word & REACHED and plans.moving_since == since:
                plans.moving_since = None  # it was over in time, or nothing says that it was not
        yield from limits.watch(link, "the motion", plans.moving_since)
