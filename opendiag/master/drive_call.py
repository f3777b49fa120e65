"""A plan that the script waits for, and the drives that it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opendiag.errors import DriveError, NotAtRest
from opendiag.master.plan_runner import RunningPlan

if TYPE_CHECKING:
    from opendiag.master.drive_guard import DriveGuard


class DriveCall:
    """A plan that the script waits for. An error is thrown into it once: it needs its time to clean up.

    ``cause`` is the error of the first of its drives that failed: what befalls the others follows from that.
    """

    def __init__(self, running: RunningPlan[Any]) -> None:
        self._running = running
        self._thrown = False
        self.cause: BaseException | None = None
        self.culprit: DriveGuard | None = None

    def failed(self, culprit: DriveGuard, cause: BaseException) -> None:
        """The first one counts."""
        if self.cause is None:
            self.cause, self.culprit = cause, culprit

    def told(self, error: BaseException) -> BaseException:
        """What to raise for an error that the call has ended with."""
        if self.cause is None or self.culprit is None or not isinstance(error, Exception):
            return error
        if isinstance(self.cause, DriveError) or self.culprit.link.at_rest is not False:
            return self.cause
        made = NotAtRest(self.culprit.link.node_id, "quick stop and disable voltage")
        made.__cause__ = self.cause
        return made

    def begin(self, guards: tuple[DriveGuard, ...]) -> Callable[[], None]:
        """It is a call of these. Gives what ends that."""
        with self._running.network.pump.lock:
            for guard in guards:
                guard.calls.append(self)

        def end() -> None:
            with self._running.network.pump.lock:
                for guard in guards:
                    guard.calls.remove(self)

        return end

    def throw(self, error: BaseException) -> None:
        if not self._thrown:
            self._thrown = True
            self._running.throw(error)
