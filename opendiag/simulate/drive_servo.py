"""One axis of a simulated drive: its state machine, modes of operation, motor, and the objects that show them."""

from __future__ import annotations

import math
from collections.abc import Callable

from opendiag.cia402.modes import Mode
from opendiag.cia402.states import PdsState
from opendiag.errors import SdoRefusal
from opendiag.simulate.drive_axis import SCALE_OBJECTS, Axis
from opendiag.simulate.drive_brake import HoldingBrake
from opendiag.simulate.drive_cyclic import CyclicPosition, CyclicTorque, CyclicVelocity, InterpolatedPosition
from opendiag.simulate.drive_homing import Homing
from opendiag.simulate.drive_mode import HALT, REACHED, STANDING, ModeOfOperation
from opendiag.simulate.drive_monitor import OVER_VOLTAGE, UNDER_VOLTAGE, Monitor, register_of
from opendiag.simulate.drive_objects import show_motion, show_state, show_world
from opendiag.simulate.drive_position import ProfilePosition
from opendiag.simulate.drive_velocity import ProfileTorque, ProfileVelocity, VelocityMode
from opendiag.simulate.drive_world import Switches, TouchProbes
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.pds import RAMPS, Pds, Stop
from opendiag.wire.sdo_abort import SdoAbortCode

#: Seconds between two looks at a motor that is under control.
LOOK_S = 0.005
MODE_UNKNOWN = -1
_VOLTAGE, _WARNING, _REMOTE, _LIMIT = 1 << 4, 1 << 7, 1 << 9, 1 << 11
_OPTION_DEFAULTS = {0x605A: 2, 0x605B: 0, 0x605C: 1, 0x605D: 1, 0x605E: 2}
_HALT_OPTION, _FREE, _SUPPORTED_MODES, _SUPPORTED_HOMING = 0x605D, 0, 0x6502, 0x60E3
#: Under the over-voltage limit (V): braking on the voltage limit takes the current away over this span.
_VOLTAGE_SPAN_V = 4.0
#: How much of the highest current a ramp at the current limit takes: the loop needs the rest.
_STEEPEST = 0.9
_CURRENT, _SPEED = 1, 3
_MODES: dict[int, type[ModeOfOperation]] = {
    Mode.PP: ProfilePosition,
    Mode.VL: VelocityMode,
    Mode.PV: ProfileVelocity,
    Mode.TQ: ProfileTorque,
    Mode.IP: InterpolatedPosition,
    Mode.CSP: CyclicPosition,
    Mode.CSV: CyclicVelocity,
    Mode.CST: CyclicTorque,
}


class Servo:
    """``tell(code, register, now)`` reports an error to the bus; ``modes`` are those that 6060h takes.

    ``clock`` is how far it has come, in seconds; ``commanded`` the current in A that the loops ask for.
    """

    def __init__(
        self,
        axis: Axis,
        switches: Switches,
        monitor: Monitor,
        modes: tuple[int, ...],
        quirks: NodeQuirks,
        tell: Callable[[int, int, float], None],
    ) -> None:
        self.axis, self.motor, self.switches, self.monitor = axis, axis.motor, switches, monitor
        self.modes, self.quirks, self._tell = modes, quirks, tell
        self.pds = Pds(self._option, self._state_changed, self._cleared, lambda: not switches.torque_off)
        self.brake = HoldingBrake(axis, self.pds)
        self.probes = TouchProbes(axis, switches)
        self.mode: ModeOfOperation = ModeOfOperation(axis)
        self.mode_display = 0
        self.clock = 0.0
        self.awake = False
        self._mode_wanted = 0
        self._mode_at: float | None = None
        self._look_at: float | None = None
        self.commanded = 0.0
        self._pending: list[int] = []
        self._connect()

    # --- objects ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Tie the objects to the machine behind them."""
        hooks: dict[tuple[int, int], Callable[[bytes, float], float]] = {
            (0x6040, 0): self._controlword,
            (0x6060, 0): self._mode_asked,
            (0x6098, 0): self._homing_method,
            (0x60B8, 0): self._probe_function,
            (0x60FE, 1): self._outputs_written,
            (0x60FE, 2): self._outputs_written,
            **{(index, subindex): self._scale_written for index in SCALE_OBJECTS for subindex in range(3)},
        }
        for (index, subindex), hook in hooks.items():
            if self.axis.has(index, subindex):
                self.axis.store.on_write(self.axis.index(index), subindex, hook)
        show_state(self)
        show_motion(self)
        show_world(self)

    def position(self) -> int:
        """In user units, as 6064h shows it."""
        return self.axis.counts(self.motor.position)

    def velocity(self) -> float:
        """In the units of 606Ch, with the noise of a real measurement while the motor is under control."""
        noise = self.motor.noise(_SPEED, 0.004) if self.energised else 0.0
        return (self.motor.velocity + noise) * self.axis.scale.velocity

    def current(self) -> float:
        """Measured current in A."""
        return self.motor.current + self.motor.noise(_CURRENT, 0.012 if self.energised else 0.003)

    @property
    def demand_velocity(self) -> float:
        """Turns per second; 0 while nothing is driven."""
        return self.axis.demand.velocity if self.energised else 0.0

    @property
    def energised(self) -> bool:
        """Whether current is driven through the motor."""
        return self.motor.control is not None

    @property
    def following_error(self) -> int:
        """User units between demand and position; 0 in modes without a position demand."""
        if not self.energised or not self.mode.follows:
            return 0
        return round((self.axis.demand.position - self.motor.position) * self.axis.scale.position)

    # --- controlword, statusword, mode ------------------------------------------------------------------------------

    def _option(self, index: int) -> int:
        return self.axis.value(index, 0, _OPTION_DEFAULTS.get(index, 0))

    def _controlword(self, data: bytes, now: float) -> float:
        self.advance(now)
        before, word = self.axis.controlword, int.from_bytes(data, "little")
        self.axis.controlword = word
        enabled = self.pds.state is PdsState.OPERATION_ENABLED
        if enabled and word == before and self.pds.stop is None:  # by PDO it comes all the time
            return 0.0
        self.command(word, now)
        if enabled and self.pds.state is PdsState.OPERATION_ENABLED:
            self.axis.forget()
            self.mode.command(before, word)
        return 0.0

    def command(self, word: int, now: float) -> None:
        """What the state machine makes of a controlword."""
        self.brake.prepare()
        self.pds.write(word, now)
        self._energise(now)

    def _mode_asked(self, data: bytes, now: float) -> float:
        self.advance(now)
        mode = self.axis.value(0x6060)
        if not self._has_mode(mode):
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        if self.quirks.halt_blocks_modes and self.axis.controlword & HALT:
            raise SdoRefusal(SdoAbortCode.DEVICE_STATE)
        if mode == self._mode_wanted:  # a master that writes it by PDO does so all the time
            return 0.0
        self._mode_wanted = mode
        if self.quirks.mode_unknown_s:
            self.mode_display = MODE_UNKNOWN
            self._mode_at = now + self.quirks.mode_unknown_s
        else:
            self._set_mode(mode)
        return 0.0

    def _has_mode(self, mode: int) -> bool:
        """Manufacturer's modes are there where the limits of 6060h, or 6502h, have a place for them."""
        if mode >= 0:
            return mode == 0 or mode in self.modes
        low = self.axis.store.variables[self.axis.index(0x6060), 0].low
        return (isinstance(low, int) and low <= mode) or bool(self.axis.value(_SUPPORTED_MODES) >> 16)

    def _set_mode(self, mode: int) -> None:
        self._mode_at = None
        self._mode_wanted = mode
        if mode == self.mode_display:
            return
        self.mode_display = mode
        if mode == Mode.HM:
            self.mode = Homing(self.axis, self.switches, self.quirks.homing_without_reached)
        else:
            self.mode = _MODES.get(mode, ModeOfOperation)(self.axis)
        if self.energised and self.axis.controlword & HALT == 0 and not self.mode.holds:
            self.axis.demand.position = self.motor.position
        self.axis.limited = False
        self.mode.enter()

    def _homing_method(self, data: bytes, now: float) -> float:
        """60E3h lists the methods, where a drive has it; what is not in the list is refused."""
        count = self.axis.value(_SUPPORTED_HOMING)
        listed = {self.axis.value(_SUPPORTED_HOMING, sub) for sub in range(1, count + 1)}
        method = self.axis.value(0x6098)
        if any(listed) and method and method not in listed:
            raise SdoRefusal(SdoAbortCode.INVALID_VALUE)
        return 0.0

    def _probe_function(self, data: bytes, now: float) -> float:
        self.advance(now)
        self.probes.configure()
        return 0.0

    def _outputs_written(self, data: bytes, now: float) -> float:
        self.advance(now)
        self.brake.follow(now)
        return 0.0

    def _scale_written(self, data: bytes, now: float) -> float:
        self.axis.forget(everything=True)
        return 0.0

    @property
    def statusword(self) -> int:
        monitor, state = self.monitor, self.pds.state
        word = self.pds.status | _REMOTE
        if not self.quirks.no_voltage_bit and monitor.supplied:
            word |= _VOLTAGE
        if monitor.warns:
            word |= _WARNING
        if state is PdsState.OPERATION_ENABLED:
            word |= self.mode.status()
            word |= _LIMIT if self.axis.cascade.limited or self.axis.limited else 0
        elif state is PdsState.QUICK_STOP_ACTIVE and self._standing:
            word |= REACHED
        return word

    @property
    def _standing(self) -> bool:
        return abs(self.motor.velocity) < STANDING

    # --- power stage ------------------------------------------------------------------------------------------------

    def _state_changed(self, state: PdsState, now: float) -> None:
        if state is PdsState.OPERATION_ENABLED:
            if self.motor.control is None:
                self.axis.forget(everything=True)
                self.axis.take_hold()
                self.axis.cascade.limited = self.axis.limited = False
            self.mode.enter()
        elif state is PdsState.SWITCH_ON_DISABLED and self.pds.made[-1:] == [15]:
            self._show_error(0)
            self._tell(0, 0, now)

    def _show_error(self, code: int) -> None:
        if self.axis.has(0x603F):
            self.axis.store.set(self.axis.index(0x603F), 0, code)

    def _energise(self, now: float) -> None:
        """Let the power stage do what the state asks for."""
        if not self.pds.energised:
            if self.motor.control is not None:
                self.monitor.take_load(now)
            self.motor.control = None
            self._look_at = None
        elif self.motor.control is None:
            self.monitor.take_load(now)
            self.motor.control = self._command_current
            self._look_at = now + LOOK_S
        self.brake.follow(now)

    def _command_current(self) -> float:
        self.commanded = self._regulate()
        return self.commanded

    def _regulate(self) -> float:
        """One step of control: what the state machine wants comes before the mode, and a limit switch before both."""
        axis, mode = self.axis, self.mode
        if self.motor.braked:
            axis.demand.velocity = 0.0
            return axis.regulate()
        if self.pds.stop is not None:
            return self._stop(self.pds.stop)
        if mode.halted:
            option = self._option(_HALT_OPTION)
            if option == _FREE:
                axis.take_hold()
                return 0.0
            return self._stop(RAMPS.get(option, Stop.SLOW))
        axis.limited = False
        if not (self.switches.stop_motion or mode.by_torque):
            mode.plan()
            return mode.regulate()
        return self._regulate_between_ends()

    def _regulate_between_ends(self) -> float:
        """A limit switch, or the end of travel for a mode that knows no positions, takes the motion towards it away."""
        axis, mode, demand = self.axis, self.mode, self.axis.demand
        before = demand.position, demand.velocity
        mode.plan()
        end = self.switches.at_limit(self.motor.position) if self.switches.stop_motion and not mode.seeks else 0
        if not end and mode.by_torque:
            end = axis.end_of_travel()
        if end * mode.wish() > 0:
            demand.position, demand.velocity = before
            axis.brake(axis.quick_deceleration)
            axis.limited = True
            return axis.regulate(hold_position=mode.holds)
        return mode.regulate()

    def _stop(self, stop: Stop) -> float:
        """Ramps as the objects have them; at a limit as steep as current, or the voltage on the bus, allow."""
        axis = self.axis
        if stop is Stop.SLOW:
            axis.brake(axis.deceleration)
        elif stop is Stop.QUICK:
            axis.brake(axis.quick_deceleration)
        else:
            room = self.monitor.over_voltage_mv / 1000 - self.motor.bus if stop is Stop.VOLTAGE else math.inf
            share = min(max((room - 1.0) / _VOLTAGE_SPAN_V, 0.02), _STEEPEST)
            data = self.motor.data
            axis.brake(share * axis.highest_current * data.torque_per_a / (2 * math.pi * data.inertia))
        return axis.regulate()

    # --- faults -----------------------------------------------------------------------------------------------------

    def fault(self, code: int, now: float, register: int | None = None, *, tell: bool = True) -> None:
        """Go into FAULT with this error code: 603Fh, 1001h, 1003h and EMCY tell it. Ignored in a fault."""
        if self.pds.state in (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE):
            return
        self.advance(now)
        self._show_error(code)
        self.brake.prepare()
        self.pds.fault(now, coast=code in (UNDER_VOLTAGE, OVER_VOLTAGE, self.monitor.codes.torque_off))
        self._energise(now)
        if tell:
            self._tell(code, register_of(code) if register is None else register, now)

    def _cleared(self) -> bool:
        """No cause of a fault is left."""
        self.monitor.take_load(self.clock)
        return self.monitor.cause() is None

    def inject(self, code: int) -> None:
        """A fault as soon as time goes on."""
        self._pending.append(code)
        self.world_changed()

    def _look(self, now: float) -> None:
        self.axis.forget(everything=True)
        monitor, energised = self.monitor, self.energised
        if energised:
            monitor.take_load(now)
        if self.pds.state is PdsState.NOT_READY_TO_SWITCH_ON:
            return
        mode = self.mode
        enabled = energised and self.pds.state is PdsState.OPERATION_ENABLED
        pushes = isinstance(mode, Homing) and mode.pushes
        lags = monitor.lags(now, enabled and mode.follows and not pushes)
        code = self._pending.pop(0) if self._pending else monitor.cause()
        if code is None and energised and self.switches.torque_off:
            code = monitor.codes.torque_off
        if code is None and lags:
            code = monitor.codes.following_error
        if code is not None:
            self.fault(code, now)

    def world_changed(self) -> None:
        """Something outside of the drive is different: have it looked at as soon as time goes on."""
        self._look_at = self.clock

    # --- time -------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Power is there, or the device was reset."""
        self.awake = True
        self.clock = now
        self.motor.advance(now)
        self.motor.control = None
        self.axis.controlword = 0
        self.axis.forget(everything=True)
        self._look_at = None
        self._pending.clear()
        self.monitor.reset(now)
        self._set_mode(self.axis.value(0x6060))
        self.pds.power_on(now)
        self.probes.configure()
        self.brake.start(now)
        self.world_changed()

    def sleep(self) -> None:
        """Power is gone."""
        self.motor.control = None
        self.awake = False

    def advance(self, now: float) -> None:
        """Go on step by step to every moment at which something is due, and then to ``now``."""
        if not self.awake:
            return
        while (due := self.deadline()) is not None and due <= now:
            self._advance_to(due)
        if now > self.clock:
            self.axis.forget()
            self.motor.advance(now)
            self.clock = now

    def _advance_to(self, now: float) -> None:
        self.axis.forget()
        self.motor.advance(now)
        self.clock = max(self.clock, now)
        self.brake.tick(now)
        self.pds.tick(now, self._standing)
        if self._mode_at is not None and now >= self._mode_at:
            self._set_mode(self.axis.value(0x6060))
        self._energise(now)
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + LOOK_S if self.energised else None
            self._look(now)

    def deadline(self) -> float | None:
        due = self._look_at
        for other in (self.pds.deadline(), self._mode_at, self.brake.due):
            if other is not None and (due is None or other < due):
                due = other
        return due
