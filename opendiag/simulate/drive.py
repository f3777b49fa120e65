"""A CiA 402 drive in memory: a `SimNode` with a state machine, modes of operation, a motor and its measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from opendiag.cia402.modes import Mode
from opendiag.cia402.states import PdsState
from opendiag.dictionary.datatypes import byte_width, integer_range
from opendiag.dictionary.library import load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import SdoRefusal
from opendiag.simulate.drive_axis import Axis, DriveUnits
from opendiag.simulate.drive_homing import Homing, Switches
from opendiag.simulate.drive_modes import HALT, MODES, STANDING, ModeOfOperation
from opendiag.simulate.motor import Motor
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.pds import Pds, Stop
from opendiag.wire.sdo_abort import SdoAbortCode

#: Seconds between two looks at a motor that is under control.
LOOK_S = 0.005
MODE_UNKNOWN = -1
_SUPPORTED_MODES = 0x6502
_VOLTAGE, _WARNING, _REMOTE, _LIMIT = 1 << 4, 1 << 7, 1 << 9, 1 << 11
UNDER_VOLTAGE, OVER_VOLTAGE, TOO_HOT, FOLLOWING_ERROR = 0x3120, 0x3110, 0x4310, 0x8611
#: Bits of the error register 1001h that belong to these errors, the generic one included.
_REGISTER = {UNDER_VOLTAGE: 0x05, OVER_VOLTAGE: 0x05, TOO_HOT: 0x09, FOLLOWING_ERROR: 0x21}
_UNDER_VOLTAGE_LIMIT, _OVER_VOLTAGE_LIMIT = 0x20CF, 0x20A1
_DEFAULT_LIMITS_MV = {_UNDER_VOLTAGE_LIMIT: 12_600, _OVER_VOLTAGE_LIMIT: 56_000}
_WARM_C, _HOT_C = 75.0, 85.0
_OPTION_DEFAULTS = {0x605A: 2, 0x605B: 0, 0x605C: 1, 0x605E: 2}
_CURRENT, _BUS, _SPEED = 1, 2, 3


def supported_drive_modes(modes: tuple[int, ...]) -> int:
    """The value of 6502h."""
    return sum(1 << mode - 1 for mode in modes if mode > 0)


class SimDrive(SimNode):
    """``motor`` may be given to share or to prepare it; ``units`` say what the objects count.

    ``switches`` (limit and home switch) and ``motor`` (``held``, ``stops``, ``load_torque``) are the world around it:
    change them at any time.
    """

    modes: tuple[int, ...] = (Mode.PP, Mode.PV, Mode.TQ, Mode.HM, Mode.IP, Mode.CSP)
    units = DriveUnits()

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
            found = replace(found, objects={i: o for i, o in found.objects.items() if i != _SUPPORTED_MODES})
        super().__init__(found, node_id, quirks=quirks, sdo_latency_s=sdo_latency_s, seed=seed)
        self.motor = Motor(seed=seed) if motor is None else motor
        self.switches = Switches()
        self.axis = Axis(self.store, self.motor, self.units)
        self.pds = Pds(self._option, self._state_changed, lambda: self.cause() is None)
        self._mode: ModeOfOperation = ModeOfOperation(self.axis)
        self.mode_display = 0
        self._mode_wanted = 0
        self._mode_at: float | None = None
        self._look_at: float | None = None
        self._error_since: float | None = None
        self._awake = False
        self._commanded = 0.0
        self._connect()

    # --- objects ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Tie the objects to the machine behind them."""
        if not self.axis.value(_SUPPORTED_MODES):
            self.live(_SUPPORTED_MODES, lambda: supported_drive_modes(self.modes))
        for index, hook in ((0x6040, self._controlword), (0x6060, self._mode_asked)):
            if (index, 0) in self.store.variables:
                self.store.on_write(index, 0, hook)
        motor, axis, units = self.motor, self.axis, self.units
        self.live(0x6041, lambda: self.statusword)
        self.live(0x6061, lambda: self.mode_display)
        self.live(0x6062, lambda: axis.counts(axis.demand.position), wrap=True)
        self.live(0x6063, self.position, wrap=True)
        self.live(0x6064, self.position, wrap=True)
        self.live(0x606B, lambda: axis.demand.velocity * units.velocity_per_turn_s if self.energised else 0)
        self.live(0x606C, self.velocity)
        self.live(0x6074, lambda: axis.a_to_torque(self._commanded) if self.energised else 0)
        self.live(0x6077, lambda: axis.a_to_torque(motor.current))
        self.live(0x6078, lambda: axis.a_to_torque(self.current()))
        self.live(0x6079, lambda: (motor.bus + motor.noise(_BUS, 0.02)) * 1000)
        self.live(0x60F4, lambda: self.following_error)
        self.live(0x60FA, lambda: axis.demand.velocity * units.velocity_per_turn_s if self.energised else 0)
        self.live(0x60FC, lambda: axis.counts(axis.demand.position), wrap=True)
        self.live(0x60FD, self._inputs)

    def live(self, index: int, read: Callable[[], float], subindex: int = 0, *, wrap: bool = False) -> None:
        """Let an object show ``read()`` as it is at that moment, where the dictionary has the object.

        A number that does not fit is bounded, or counts on from the other end (``wrap``).
        """
        variable = self.store.variables.get((index, subindex))
        span = None if variable is None else integer_range(variable.data_type)
        if variable is None or span is None:
            return
        low, high = span
        width = byte_width(variable.data_type) or 1

        def hook(now: float) -> bytes:
            self.advance(now)
            number = round(read())
            number = (number - low) % (high - low + 1) + low if wrap else min(max(number, low), high)
            return number.to_bytes(width, "little", signed=low < 0)

        self.store.on_read(index, subindex, hook)

    def position(self) -> int:
        """Counts, as 6064h shows them."""
        return self.axis.counts(self.motor.position)

    def velocity(self) -> float:
        """In the units of 606Ch, with the noise of a real measurement while the motor is under control."""
        noise = self.motor.noise(_SPEED, 0.004) if self.energised else 0.0
        return (self.motor.velocity + noise) * self.units.velocity_per_turn_s

    def current(self) -> float:
        """Measured current in A."""
        return self.motor.current + self.motor.noise(_CURRENT, 0.012 if self.energised else 0.003)

    @property
    def energised(self) -> bool:
        """Whether current is driven through the motor."""
        return self.motor.energised

    @property
    def following_error(self) -> int:
        """Counts between demand and position; 0 in modes without a position demand."""
        if not self.energised or not self._mode.follows:
            return 0
        return round((self.axis.demand.position - self.motor.position) * self.units.counts_per_turn)

    def _inputs(self) -> int:
        position, switches = self.motor.position, self.switches
        home = abs(position - switches.home) < 0.05
        return (position <= switches.negative) | (position >= switches.positive) << 1 | home << 2

    # --- controlword, statusword, mode ------------------------------------------------------------------------------

    def _option(self, index: int) -> int:
        return self.axis.value(index, 0, _OPTION_DEFAULTS.get(index, 0))

    def _controlword(self, data: bytes, now: float) -> float:
        self.advance(now)
        before, word = self.axis.controlword, int.from_bytes(data, "little")
        self.axis.controlword = word
        enabled = self.pds.state is PdsState.OPERATION_ENABLED
        self.pds.write(word, now)
        self._energise(now)
        if enabled and self.pds.state is PdsState.OPERATION_ENABLED:
            self._mode.command(before, word)
        return 0.0

    def _mode_asked(self, data: bytes, now: float) -> float:
        self.advance(now)
        mode = self.axis.value(0x6060)
        if mode > 0 and mode not in self.modes:
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

    def _set_mode(self, mode: int) -> None:
        self._mode_at = None
        self._mode_wanted = mode
        if mode == self.mode_display:
            return
        self.mode_display = mode
        if mode == Mode.HM:
            self._mode = Homing(self.axis, self.switches, self.quirks.homing_without_reached)
        else:
            self._mode = MODES.get(mode, ModeOfOperation)(self.axis)
        self._mode.enter()

    @property
    def statusword(self) -> int:
        word = self.pds.status | _REMOTE
        if self._supplied and not self.quirks.no_voltage_bit:
            word |= _VOLTAGE
        if self.motor.temperature > _WARM_C:
            word |= _WARNING
        if self.pds.state is PdsState.OPERATION_ENABLED:
            word |= self._mode.status()
            word |= _LIMIT if self.axis.cascade.limited else 0
        elif self.pds.state is PdsState.QUICK_STOP_ACTIVE and self._standing:
            word |= 1 << 10
        return word

    @property
    def _standing(self) -> bool:
        return abs(self.motor.velocity) < STANDING

    @property
    def _supplied(self) -> bool:
        return self.motor.bus * 1000 >= self._limit_mv(_UNDER_VOLTAGE_LIMIT)

    def _limit_mv(self, index: int) -> int:
        return self.axis.value(index) or _DEFAULT_LIMITS_MV[index]

    # --- power stage ------------------------------------------------------------------------------------------------

    def _state_changed(self, state: PdsState, now: float) -> None:
        if state is PdsState.OPERATION_ENABLED:
            if self.motor.control is None:
                self._take_hold()
            self._mode.enter()
        elif state is PdsState.SWITCH_ON_DISABLED and self.pds.made[-1:] == [15]:
            self._set("603F", 0)
            self.emcy(0, 0, b"", now)

    def _set(self, index: str, value: int) -> None:
        key = int(index, 16), 0
        if key in self.store.variables:
            self.store.set(*key, value)

    def _take_hold(self) -> None:
        self.axis.demand.take(self.motor)
        self.axis.cascade.reset()
        self.axis.cascade.limited = False

    def _energise(self, now: float) -> None:
        """Let the power stage do what the state asks for."""
        if not self.pds.energised:
            self.motor.control = None
            self._look_at = None
            self._error_since = None
        elif self.motor.control is None:
            self.motor.control = self._command_current
            self._look_at = now + LOOK_S

    def _command_current(self) -> float:
        self._commanded = self._regulate()
        return self._commanded

    def _regulate(self) -> float:
        """One step of control: what the state machine wants comes before the mode."""
        axis, stop = self.axis, self.pds.stop
        if stop is not None:
            axis.brake(axis.deceleration if stop is Stop.SLOW else axis.quick_deceleration)
            return axis.regulate()
        if self._mode.halted:
            axis.brake(axis.deceleration)
            return axis.regulate()
        return self._mode.step()

    # --- faults -----------------------------------------------------------------------------------------------------

    def cause(self) -> int | None:
        """The error that the measurements ask for now."""
        bus = self.motor.bus * 1000
        if bus < self._limit_mv(_UNDER_VOLTAGE_LIMIT):
            return UNDER_VOLTAGE
        if bus > self._limit_mv(_OVER_VOLTAGE_LIMIT):
            return OVER_VOLTAGE
        return TOO_HOT if self.motor.temperature > _HOT_C else None

    def fault(self, code: int, now: float, register: int | None = None) -> None:
        """Go into FAULT with this error code: 603Fh, 1001h, 1003h and EMCY tell it. Ignored in a fault."""
        if self.pds.state in (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE):
            return
        self.advance(now)
        self._set("603F", code)
        self.pds.fault(now, coast=code in (UNDER_VOLTAGE, OVER_VOLTAGE))
        self._energise(now)
        self.emcy(code, _REGISTER.get(code, 0x01) if register is None else register, b"", now)

    def _look(self, now: float) -> None:
        code = self.cause()
        if code is None and self._lags(now):
            code = FOLLOWING_ERROR
        if code is not None and self.pds.state is not PdsState.NOT_READY_TO_SWITCH_ON:
            self.fault(code, now)

    def _lags(self, now: float) -> bool:
        """Whether the following error has been outside of its window for longer than 6066h allows."""
        mode = self._mode
        searching = isinstance(mode, Homing) and mode.searching
        enabled = self.pds.state is PdsState.OPERATION_ENABLED
        self.axis.look(self.energised and enabled and mode.follows and not searching)
        if not self.axis.outside_window:
            self._error_since = None
            return False
        self._error_since = now if self._error_since is None else self._error_since
        return now - self._error_since >= self.axis.value(0x6066) / 1000

    def world_changed(self) -> None:
        """Something outside of the drive is different: have it looked at as soon as time goes on."""
        self._look_at = self._clock

    # --- the device's part of the node ------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        if not self._started and self.powered:
            self.motor.start(now)
            self.reset_application(now)
        super().start(now)

    def power_off(self) -> None:
        super().power_off()
        self.motor.control = None
        self._awake = False

    def power_on(self, now: float) -> None:
        """Boot. The encoder knows where in a turn the shaft is, and no longer in which one."""
        if not self.powered:
            self.motor.start(now)
            self.axis.offset = -int(self.motor.position // 1) * self.units.counts_per_turn
        super().power_on(now)

    def reset_application(self, now: float) -> None:
        self._awake = True
        self._clock = now
        self.motor.advance(now)
        self.motor.control = None
        self.axis.controlword = 0
        self._look_at = None
        self._error_since = None
        self._set_mode(self.axis.value(0x6060))
        self.pds.power_on(now)
        self.world_changed()

    def advance(self, now: float) -> None:
        """Go on step by step to every moment at which something is due, and then to ``now``."""
        if not self._awake:
            return
        while (due := self.device_deadline()) is not None and due <= now:
            self._advance_to(due)
        self.motor.advance(now)
        self._clock = max(self._clock, now)

    def _advance_to(self, now: float) -> None:
        self.motor.advance(now)
        self.pds.tick(now, self._standing)
        if self._mode_at is not None and now >= self._mode_at:
            self._set_mode(self.axis.value(0x6060))
        self._energise(now)
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + LOOK_S if self.energised else None
            self._look(now)

    def device_deadline(self) -> float | None:
        times = [time for time in (self.pds.deadline(), self._mode_at, self._look_at) if time is not None]
        return min(times) if self._awake and times else None
