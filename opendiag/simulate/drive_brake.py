"""The holding brake of a simulated drive: closed while nothing drives the motor, and while 60FEh asks for it."""

from __future__ import annotations

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.pds import Pds

_OUTPUTS, _SET_BRAKE = 0x60FE, 1
_DEFAULT_MS = 30


class HoldingBrake:
    """There is one where the motor has a ``brake_torque``. ``output``: the brake is told to close (60FEh:01 bit 0).

    It closes and opens with a delay. After a ramp the drive holds the shaft until it has closed; when power is taken
    away at once, a load falls for so long.
    """

    def __init__(self, axis: Axis, pds: Pds) -> None:
        self._axis = axis
        self._pds = pds
        self.output = True
        self.due: float | None = None

    def _seconds(self, subindex: int) -> float:
        index = self._axis.objects.brake_times
        return (self._axis.value(index, subindex, _DEFAULT_MS) if index else _DEFAULT_MS) / 1000

    def start(self, now: float) -> None:
        """Power is there; the brake has been closed without it."""
        self.output, self.due = True, None
        self._axis.motor.braked = self._axis.motor.brake_torque > 0

    def prepare(self) -> None:
        """The state machine may begin a ramp: it has to know how long the brake takes."""
        self._pds.brake_s = self._seconds(1) if self._axis.motor.brake_torque else 0.0

    def shown(self, outputs: int) -> int:
        """60FEh:01 as it is read."""
        if not self._axis.motor.brake_torque:
            return outputs
        return outputs & ~_SET_BRAKE | self.output

    @property
    def _asked(self) -> bool:
        """Bit 0 of the outputs is set by the master, and its mask lets it."""
        return bool(self._axis.value(_OUTPUTS, 1) & self._axis.value(_OUTPUTS, 2) & _SET_BRAKE)

    def follow(self, now: float) -> None:
        """The state, or what 60FEh asks for, may have changed."""
        wanted = not self._pds.energised or self._pds.closing or self._asked
        if wanted == self.output:
            if self.due is None:  # the brake may have been fitted meanwhile
                self._axis.motor.braked = wanted and self._axis.motor.brake_torque > 0
            return
        self.output = wanted
        if self._axis.motor.brake_torque:
            self.due = now + self._seconds(1 if wanted else 2)

    def tick(self, now: float) -> None:
        if self.due is not None and now >= self.due:
            self.due = None
            self._axis.motor.braked = self.output and self._axis.motor.brake_torque > 0
