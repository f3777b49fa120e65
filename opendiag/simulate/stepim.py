"""The Servotronix StepIM, an integrated stepper servo drive: node 101, its objects, its units and its habits.

Objects, defaults and limits come from ``eds/stepim.eds``. Positions count 4096 per turn, velocities 0.01 rpm and
currents mA. What the real drive does beyond that is known in part only; assumed are rpm per second for the
accelerations 6083h..6085h and 609Ah, and mA for the torques 6071h and 6074h; that 262Bh counts missing SYNCs in a row;
that 2F22h (mA) and 2F23h (ms) are the current and the time of homing on a hard stop, and 2FF1h the times of the holding
brake (ms); bits 0 (I2t) and 1 (temperature) of the warnings 2011h, and per cent for 2033h; the error codes FF03h when
SYNC is lost and 711Eh when the node leaves OPERATIONAL while it drives the motor.
"""

from __future__ import annotations

import random
from dataclasses import replace

from opendiag.cia402.modes import Mode
from opendiag.dictionary.model import ObjectDictionary
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_monitor import DriveCodes
from opendiag.simulate.drive_units import DriveObjects, DriveUnits
from opendiag.simulate.node_quirks import NodeQuirks

NODE_ID = 101
_SAVING_S = (3.0, 3.5)
_TEXTS = {
    0x1008: "stepIM",
    0x1009: "stepIM simulated",
    0x100A: "0.0.2.85",
    0x20CC: "0:00:00",
    0x2F05: "0:00:00",
    0x2F0C: "",
    0x2F0D: "",
    0x2F7B: "0.0.1.0",
}
_PRODUCTION_INFO = range(0x2FD0, 0x2FE5)
_SAVE_ACTIVE, _TEMPERATURE, _SERIAL_TEXT, _RUN_TIME = 0x2F21, 0x2044, 0x2F7A, 0x20CC
_HOT_C = 95.0


class StepIM(SimDrive):
    """``seed`` also gives the serial number. ``dictionary``: another one than the bundled "stepim"."""

    units = DriveUnits(4096, velocity_per_turn_s=6000.0, acceleration_per_turn_s2=60.0, per_mille=False, derived=False)
    objects = DriveObjects(0x20EE, 0x20CF, 0x20A1, 0x2F22, 0x2F23, 0x2FF1, 0x262B)
    codes = DriveCodes(i2t=0x2310, torque_off=0x3181, sync_lost=0xFF03, not_operational=0x711E)

    def __init__(
        self,
        node_id: int = NODE_ID,
        *,
        dictionary: ObjectDictionary | str = "stepim",
        quirks: NodeQuirks | None = None,
        sdo_latency_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._random = random.Random(seed)
        self._saving_until = float("-inf")
        self._on_since = 0.0
        self.serial = 0x1000_0000 | self._random.randrange(1 << 24)
        # The one capture of a real StepIM shows 6041h = 0227h: enabled, with the voltage bit 0.
        own = replace(quirks or NodeQuirks(), no_voltage_bit=True)
        super().__init__(dictionary, node_id, quirks=own, sdo_latency_s=sdo_latency_s, seed=seed)
        self._fill()

    def modes_of(self, axis: Axis) -> tuple[int, ...]:
        return (Mode.PP, Mode.PV, Mode.TQ, Mode.HM, Mode.IP, Mode.CSP)

    def _fill(self) -> None:
        """What the EDS leaves open, or says in a way that no drive would."""
        self.live(_SAVE_ACTIVE, lambda: self._clock < self._saving_until)
        self.live(_TEMPERATURE, lambda: self.motor.temperature)
        self.live(0x2067, lambda: self.current() * 1000)
        self.live(0x2F1B, lambda: self.node_id)
        self.live(0x2011, lambda: self.monitor.loaded | self.monitor.warm << 1)
        self.live(0x2033, lambda: self.monitor.load * 100)
        self.live(0x20BA, lambda: not self.switches.torque_off)
        self.live(0x20B5, lambda: bool(self.statusword >> 10 & 1))
        self.live(0x2028, lambda: (self.motor.position % 1.0) * self.units.counts_per_turn)
        if (_RUN_TIME, 0) in self.store.variables:
            self.store.on_read(_RUN_TIME, 0, self._run_time)
        self._fill_values()

    def _fill_values(self) -> None:
        variables, values = self.store.variables, self.store.values
        for index, text in _TEXTS.items():
            if (index, 0) in variables:
                values[index, 0] = text.encode("latin-1")
        if (_SERIAL_TEXT, 0) in variables:
            values[_SERIAL_TEXT, 0] = f"SN:{self.serial >> 16:04X}-{self.serial & 0xFFFF:04X}".encode()
        for index in _PRODUCTION_INFO:
            if values.get((index, 0)) == b"0x00":
                values[index, 0] = b""
        for key, number in (((0x1018, 4), self.serial), ((0x20A1, 0), 56_000), ((0x204D, 0), 1)):
            if key in variables and not any(values[key]):
                self.store.set(*key, number)
        if (0x60C2, 1) in variables and not any(values[0x60C2, 1]):
            self.store.set(0x60C2, 1, 4)
            self.store.set(0x60C2, 2, -3)

    def _run_time(self, now: float) -> bytes:
        minutes, seconds = divmod(int(now - self._on_since), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}".encode()

    def saving_takes(self, now: float) -> float:
        """Between 3.0 and 3.5 s, drawn anew each time."""
        takes = self._random.uniform(*_SAVING_S)
        self._saving_until = now + takes
        return takes

    def reset_application(self, now: float) -> None:
        self._saving_until = float("-inf")
        self._on_since = now
        self._fill_values()
        super().reset_application(now)

    # --- the world around it ----------------------------------------------------------------------------------------

    def hold_shaft(self, held: bool = True) -> None:
        """Somebody keeps the shaft from turning, or lets go of it."""
        self.motor.held = held

    def bus_voltage(self, millivolts: int) -> None:
        """Set the supply to this. Below 20CFh the drive reports error 3120h, above 20A1h 3110h."""
        self.motor.supply = max(millivolts, 0) / 1000
        self.motor.bus = self.motor.supply
        self.world_changed()

    def overheat(self, celsius: float = _HOT_C) -> None:
        """Make the drive this hot. Above 85 degC it reports error 4310h; it cools down by itself."""
        self.motor.temperature = celsius
        self.world_changed()
