"""What a simulated drive keeps an eye on: voltages, temperature, I2t, following error, and faults that a test wants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_world import Switches

_DEFAULT_UNDER_MV, _DEFAULT_OVER_MV = 12_600, 56_000
_WARM_C, _HOT_C = 75.0, 85.0
#: Load by I2t, as a share of what the rated current makes in the long run.
_I2T_WARNING, _I2T_FAULT, _I2T_AGAIN = 1.1, 1.2, 1.0
UNDER_VOLTAGE, OVER_VOLTAGE = 0x3120, 0x3110


@dataclass(frozen=True, slots=True)
class DriveCodes:
    """Error codes of a drive. Those of power and temperature are the same in all simulated ones."""

    i2t: int = 0x2350
    torque_off: int = 0x5400
    sync_lost: int = 0x8700
    not_operational: int = 0x8100
    hot: int = 0x4310
    following_error: int = 0x8611


#: (lowest code, bits of 1001h beside the generic one), the last that fits.
_REGISTER_BITS = (
    (0x0000, 0x00),
    (0x2000, 0x02),
    (0x3000, 0x04),
    (0x4000, 0x08),
    (0x5000, 0x00),
    (0x8100, 0x10),
    (0x8300, 0x20),
    (0x9000, 0x00),
    (0xFF00, 0x80),
)


def register_of(code: int) -> int:
    """The error register 1001h that goes with an error code."""
    return 0x01 | [bits for lowest, bits in _REGISTER_BITS if code >= lowest][-1]


class Monitor:
    """``load`` by I2t: at the rated current it comes to 1, above it grows with the square of the current.

    ``i2t_time_s``: the time constant; with twice the rated current the fault comes after a third of it. ``lasting``:
    causes that a test has put in. ``warnings``: codes of warnings that a test has put in.
    """

    def __init__(self, axis: Axis, switches: Switches, codes: DriveCodes) -> None:
        self._axis = axis
        self._switches = switches
        self.codes = codes
        self.i2t_time_s = 10.0
        self.load = 0.0
        self._load_at = 0.0
        self._overloaded = False
        self.lasting: set[int] = set()
        self.warnings: set[int] = set()
        self._lags_since: float | None = None

    def reset(self, now: float) -> None:
        self._load_at = now
        self._lags_since = None

    # --- power ------------------------------------------------------------------------------------------------------

    @property
    def under_voltage_mv(self) -> int:
        return self._axis.value(self._axis.objects.under_voltage) or _DEFAULT_UNDER_MV

    @property
    def over_voltage_mv(self) -> int:
        return self._axis.value(self._axis.objects.over_voltage) or _DEFAULT_OVER_MV

    @property
    def supplied(self) -> bool:
        """Whether the power stage has a voltage, and nobody keeps it from using it."""
        return self._axis.motor.bus * 1000 >= self.under_voltage_mv and not self._switches.torque_off

    @property
    def warns(self) -> bool:
        """Bit 7 of the statusword."""
        return self.warm or self.loaded or bool(self.warnings)

    @property
    def warm(self) -> bool:
        return self._axis.motor.temperature > _WARM_C

    @property
    def loaded(self) -> bool:
        return self.load > _I2T_WARNING

    def cause(self) -> int | None:
        """The error that the measurements, or a test, ask for now."""
        motor = self._axis.motor
        bus_mv = motor.bus * 1000
        if bus_mv < self.under_voltage_mv:
            return UNDER_VOLTAGE
        if bus_mv > self.over_voltage_mv:
            return OVER_VOLTAGE
        if motor.temperature > _HOT_C:
            return self.codes.hot
        self._overloaded = self.load > (_I2T_AGAIN if self._overloaded else _I2T_FAULT)
        if self._overloaded:
            return self.codes.i2t
        return min(self.lasting, default=None)

    # --- I2t and following error ------------------------------------------------------------------------------------

    def take_load(self, now: float) -> None:
        """Let the load follow the current that has flowed since the last call."""
        motor = self._axis.motor
        wanted = (motor.current / self._axis.rated_current) ** 2
        self.load = wanted + (self.load - wanted) * math.exp((self._load_at - now) / self.i2t_time_s)
        self._load_at = now

    def lags(self, now: float, follows: bool) -> bool:
        """Whether the following error has been outside of its window for longer than 6066h allows."""
        axis = self._axis
        axis.look(follows)
        if not axis.outside_window:
            self._lags_since = None
            return False
        self._lags_since = now if self._lags_since is None else self._lags_since
        return now - self._lags_since >= axis.value(0x6066) / 1000
