"""What the modes of operation of a simulated drive share: each makes a demand, step by step, and shows its bits."""

from __future__ import annotations

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.motor import STEP_S

NEW_SET_POINT, IMMEDIATELY, RELATIVE, HALT, ON_SET_POINT = 1 << 4, 1 << 5, 1 << 6, 1 << 8, 1 << 9
REACHED, BIT_12, BIT_13 = 1 << 10, 1 << 12, 1 << 13
#: Turns per second under which the shaft counts as standing.
STANDING = 0.02


class ModeOfOperation:
    """By itself it holds the shaft: mode 0, and modes of the manufacturer, which nothing is known of."""

    #: Whether the position has to follow its demand, so that there can be a following error.
    follows = False
    #: Whether the position loop is closed.
    holds = True
    #: The SYNC gives the set-points their time: without it the drive is without a command.
    cyclic = False
    #: What it makes is a current, whatever speed comes of it.
    by_torque = False
    #: It looks for a switch or a stop: what would be an error elsewhere is what it waits for.
    seeks = False

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    def enter(self) -> None:
        """The mode begins, or the motor has just come under control."""

    def command(self, before: int, now: int) -> None:
        """A controlword was written."""

    def plan(self) -> None:
        """One step of `STEP_S` for the demand."""
        self.axis.brake(self.axis.deceleration)

    def wish(self) -> float:
        """Where it wants to go after `plan`: below 0, above 0, or nowhere."""
        return self.axis.demand.velocity

    def regulate(self) -> float:
        """The current in A that follows the demand."""
        if not self.holds:  # a ramp to rest, or another mode, then begins where the shaft is
            self.axis.demand.position = self.axis.motor.position
        return self.axis.regulate(hold_position=self.holds)

    def status(self) -> int:
        """Bits 10, 12 and 13 of the statusword."""
        return 0

    @property
    def standing(self) -> bool:
        return abs(self.axis.motor.velocity) < STANDING

    @property
    def halted(self) -> bool:
        return bool(self.axis.controlword & HALT)

    def following_error(self) -> int:
        """Bit 13 where the window 6065h is left."""
        return BIT_13 if self.axis.outside_window else 0


class Window:
    """How long something has been so, counted in steps: the windows with a time of the drive profile."""

    def __init__(self) -> None:
        self._steps = 0

    def step(self, inside: bool) -> None:
        self._steps = self._steps + 1 if inside else 0

    def lasts(self, time_ms: int) -> bool:
        """At least one step, and at least this time."""
        return self._steps > 0 and self._steps * STEP_S * 1000 >= time_ms
