"""A CiA 402 drive in memory: a `SimNode` with one or more axes, each a state machine with modes and a motor.

What happens to a moving axis when the connection is lost is object 6007h: heartbeat or life guarding lost, the node no
longer OPERATIONAL, bus-off. In the modes that take a set-point with each SYNC, a missing SYNC is an error of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from opendiag.cia402.modes import Mode
from opendiag.cia402.objects import AXIS_STEP, MOST_AXES
from opendiag.cia402.states import PdsState
from opendiag.dictionary.library import load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.frame import Frame
from opendiag.simulate.drive_axis import Axis
from opendiag.simulate.drive_monitor import DriveCodes, Monitor
from opendiag.simulate.drive_objects import live
from opendiag.simulate.drive_servo import Servo
from opendiag.simulate.drive_units import DriveObjects, DriveUnits
from opendiag.simulate.drive_world import Switches
from opendiag.simulate.motor import Motor
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.pds import Pds
from opendiag.wire.nmt import NmtState

_ABORT_CONNECTION = 0x6007
_NOTHING, _FAULT, _DISABLE_VOLTAGE, _QUICK_STOP = 0, 1, 2, 3
_WORDS = {_DISABLE_VOLTAGE: 0x00, _QUICK_STOP: 0x02}
_BUS_OFF = 0x8140
_LAST_SYNCHRONOUS = 240
#: A drive without an object for it: how many interpolation times without a SYNC, and at least how long.
_LOST_SYNCS, _SYNC_S = 10, 0.02
#: The object that a mode cannot do without, for drives whose 6502h says nothing.
_NEEDS = {
    Mode.PP: 0x607A,
    Mode.VL: 0x6042,
    Mode.PV: 0x60FF,
    Mode.TQ: 0x6071,
    Mode.HM: 0x6098,
    Mode.IP: 0x60C1,
    Mode.CSP: 0x607A,
    Mode.CSV: 0x60FF,
    Mode.CST: 0x6071,
}
_DRIVING = (PdsState.SWITCHED_ON, PdsState.OPERATION_ENABLED, PdsState.QUICK_STOP_ACTIVE)


class SimDrive(SimNode):
    """``motor`` may be given to share or to prepare it; ``units`` say what the objects count.

    ``axes`` are as many as the dictionary has controlwords (6040h + k * 800h), each with its own motor; what the drive
    itself shows (``motor``, ``switches``, ``pds``, ...) is the first one's. ``switches`` and ``motor`` (``held``,
    ``stops``, ``load_torque``, ``brake_torque``) are the world around it: change them at any time.
    """

    units = DriveUnits()
    objects = DriveObjects()
    codes = DriveCodes()

    def __init__(
        self,
        dictionary: ObjectDictionary | str,
        node_id: int,
        *,
        quirks: NodeQuirks | None = None,
        sdo_latency_s: float = 0.0,
        seed: int = 0,
        motor: Motor | None = None,
    ) -> None:
        quirks = quirks or NodeQuirks()
        found = load(dictionary) if isinstance(dictionary, str) else dictionary
        if quirks.no_supported_modes:
            found = replace(found, objects={i: o for i, o in found.objects.items() if i != 0x6502})
        super().__init__(found, node_id, quirks=quirks, sdo_latency_s=sdo_latency_s, seed=seed)
        numbers = [k for k in range(MOST_AXES) if (0x6040 + k * AXIS_STEP, 0) in self.store.variables]
        motors = {k: Motor(seed=seed + k) for k in numbers or [0]}
        if motor is not None:
            motors[min(motors)] = motor
        self.axes = [self._servo(k, made) for k, made in motors.items()]
        self._first = self.axes[0]
        self._sync_at: float | None = None
        self._sync_allowed_s = 0.0

    def _servo(self, number: int, motor: Motor) -> Servo:
        axis = Axis(self.store, motor, self.units, self.objects, number)
        switches = Switches()
        monitor = Monitor(axis, switches, self.codes)
        return Servo(axis, switches, monitor, self.modes_of(axis), self.quirks, self._tell)

    def modes_of(self, axis: Axis) -> tuple[int, ...]:
        """What 6502h says, else the modes whose objects are there; within the limits of 6060h."""
        supported = axis.value(0x6502) & 0xFFFF
        found = [mode for mode in _NEEDS if supported >> mode - 1 & 1]
        found = found or [mode for mode, index in _NEEDS.items() if axis.has(index, 1 if index == 0x60C1 else 0)]
        variable = self.store.variables.get((axis.index(0x6060), 0))
        low, high = (None, None) if variable is None else (variable.low, variable.high)
        found = [mode for mode in found if not isinstance(high, int) or mode <= high]
        return tuple(mode for mode in found if not isinstance(low, int) or mode >= low)

    def _tell(self, code: int, register: int, now: float) -> None:
        self.emcy(code, register, b"", now)

    # --- the first axis ---------------------------------------------------------------------------------------------

    @property
    def motor(self) -> Motor:
        return self._first.motor

    @property
    def switches(self) -> Switches:
        return self._first.switches

    @property
    def axis(self) -> Axis:
        return self._first.axis

    @property
    def pds(self) -> Pds:
        return self._first.pds

    @property
    def modes(self) -> tuple[int, ...]:
        """What 6060h takes, beside 0 and the manufacturer's."""
        return self._first.modes

    @property
    def mode_display(self) -> int:
        """6061h."""
        return self._first.mode_display

    @property
    def statusword(self) -> int:
        """6041h."""
        return self._first.statusword

    @property
    def energised(self) -> bool:
        """Whether current is driven through a motor."""
        return any(servo.energised for servo in self.axes)

    @property
    def following_error(self) -> int:
        """60F4h."""
        return self._first.following_error

    @property
    def monitor(self) -> Monitor:
        """I2t, warnings and causes of faults."""
        return self._first.monitor

    @property
    def brake_closed(self) -> bool:
        """The holding brake, where the motor has one."""
        return self.motor.braked

    @property
    def outputs(self) -> int:
        """What the digital outputs 60FEh are: those of the master that its mask lets through, and the brake."""
        mask = self.axis.value(0x60FE, 2) if self.axis.has(0x60FE, 2) else 0xFFFF_FFFF
        return self._first.brake.shown(self.axis.value(0x60FE, 1) & mask)

    def position(self) -> int:
        """As 6064h shows it."""
        return self._first.position()

    def velocity(self) -> float:
        """As 606Ch shows it, with the noise of a measurement."""
        return self._first.velocity()

    def current(self) -> float:
        """Measured current in A."""
        return self._first.current()

    def live(self, index: int, read: Callable[[], float], subindex: int = 0, *, wrap: bool = False) -> None:
        """Let an object show ``read()`` as it is at that moment; see `drive_objects.live`."""
        live(self._first, index, read, subindex, wrap=wrap)

    # --- faults and what else a test may do to it -------------------------------------------------------------------

    def cause(self) -> int | None:
        """The error that the measurements ask for now."""
        return self._first.monitor.cause()

    def fault(self, code: int, now: float, register: int | None = None) -> None:
        """Put the first axis into FAULT with this error code; see `Servo.fault`."""
        self._first.fault(code, now, register)

    def inject(self, code: int, *, lasting: bool = False, axis: int = 0) -> None:
        """A fault with this code as soon as time goes on. ``lasting``: no reset helps until `clear`."""
        servo = self.axes[axis]
        if lasting:
            servo.monitor.lasting.add(code)
        servo.inject(code)

    def clear(self, code: int | None = None, *, axis: int = 0) -> None:
        """The cause of a lasting fault is gone; without a code, of all."""
        lasting = self.axes[axis].monitor.lasting
        lasting.intersection_update(() if code is None else lasting - {code})

    def warn(self, code: int, on: bool = True, *, axis: int = 0) -> None:
        """A warning begins, or is over: bit 7 of the statusword shows that there is one."""
        warnings = self.axes[axis].monitor.warnings
        if on:
            warnings.add(code)
        else:
            warnings.discard(code)

    def torque_off(self, on: bool = True, *, axis: int = 0) -> None:
        """Safe torque off is asked for (its contact is open), or no more."""
        self.axes[axis].switches.torque_off = on
        self.axes[axis].world_changed()

    def world_changed(self) -> None:
        """Something outside of the drive is different: have it looked at as soon as time goes on."""
        for servo in self.axes:
            servo.world_changed()

    # --- the connection ---------------------------------------------------------------------------------------------

    def connection_lost(self, code: int, now: float, *, tell: bool = True) -> None:
        """Do what 6007h says on each axis that is switched on: nothing, fault, disable voltage or quick stop."""
        option = self.axis.value(_ABORT_CONNECTION)
        for servo in self.axes:
            if option == _NOTHING or servo.pds.state not in _DRIVING:
                continue
            if option in _WORDS:
                servo.advance(now)
                servo.command(_WORDS[option], now)
            elif option == _FAULT:
                servo.fault(code, now, tell=tell)

    def bus_off(self, now: float) -> None:
        """The CAN controller has gone bus-off."""
        self.connection_lost(_BUS_OFF, now)

    def fail(self, key: Hashable, code: int, data: bytes, now: float) -> None:
        if isinstance(key, tuple) and key[0] == "lost" and key not in self.error_objects.failing:
            self.connection_lost(code, now, tell=False)  # the EMCY that follows has the same code
        super().fail(key, code, data, now)

    def _follow(self, now: float) -> None:
        before = self._entered
        super()._follow(now)
        if before is NmtState.OPERATIONAL and self.nmt_state is not before:
            self._sync_at = None
            self.connection_lost(self.codes.not_operational, now)

    # --- SYNC -------------------------------------------------------------------------------------------------------

    def _check_sync(self, frame: Frame, now: float) -> None:
        super()._check_sync(frame, now)
        if self._sync_at is None and not self._fed_by_sync():
            return
        cyclic = [servo for servo in self.axes if servo.energised and servo.mode.cyclic]
        self._sync_at = now if cyclic else None
        if cyclic:
            self._sync_allowed_s = self._allowed_s(max(servo.axis.interpolation_s for servo in cyclic))

    def _fed_by_sync(self) -> bool:
        if self.nmt_state is not NmtState.OPERATIONAL:
            return False
        return any(
            p.active and p.transmission_type <= _LAST_SYNCHRONOUS for p in (r.parameters for r in self.pdos.rpdos)
        )

    def _allowed_s(self, period_s: float) -> float:
        if self.objects.lost_syncs:
            return (self.axis.value(self.objects.lost_syncs) + 1.5) * period_s
        return max(_LOST_SYNCS * period_s, _SYNC_S)

    def _watch_sync(self, now: float) -> None:
        """No SYNC for too long: an error of the axes that depend on it."""
        if self._sync_at is None or now < self._sync_at + self._sync_allowed_s:
            return
        self._sync_at = None
        for servo in self.axes:
            if servo.mode.cyclic and servo.pds.state is PdsState.OPERATION_ENABLED:
                servo.fault(self.codes.sync_lost, now)

    # --- the device's part of the node ------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        if not self._started and self.powered:
            for servo in self.axes:
                servo.motor.start(now)
            self.reset_application(now)
        super().start(now)

    def power_off(self) -> None:
        super().power_off()
        for servo in self.axes:
            servo.sleep()

    def power_on(self, now: float) -> None:
        """Boot. The encoder knows where in a turn the shaft is, and no longer in which one."""
        if not self.powered:
            for servo in self.axes:
                servo.motor.start(now)
                servo.axis.forget(everything=True)
                servo.axis.offset = -round(servo.motor.position // 1 * servo.axis.scale.position)
        super().power_on(now)

    def reset_application(self, now: float) -> None:
        self._clock = now
        self._sync_at = None
        for servo in self.axes:
            servo.start(now)

    def advance(self, now: float) -> None:
        """Go on step by step to every moment at which something is due, and then to ``now``."""
        for servo in self.axes:
            servo.advance(now)
        if self._sync_at is not None:
            self._watch_sync(now)
        self._clock = max(self._clock, now)

    def device_deadline(self) -> float | None:
        due = None if self._sync_at is None else self._sync_at + self._sync_allowed_s
        for servo in self.axes:
            other = servo.deadline() if servo.awake else None
            if other is not None and (due is None or other < due):
                due = other
        return due
