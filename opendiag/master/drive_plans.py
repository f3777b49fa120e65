"""What a drive is asked to do, in the units of the script: plans of `opendiag.cia402`, converted and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opendiag.cia402 import (
    homing_plans,
    io_plans,
    jog,
    motion,
    position_plans,
    power,
    torque_plans,
    touch_probe,
    velocity_plans,
)
from opendiag.cia402.limits import Limits, ScriptLimits
from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.mode_change import parse_mode, set_mode
from opendiag.cia402.modes import mode_label
from opendiag.cia402.objects import CURRENT, ERROR_CODE, MODE_DISPLAY, POSITION, TORQUE, VELOCITY
from opendiag.cia402.states import PdsState
from opendiag.cia402.units import Units, units_of
from opendiag.cia402.words import statusword_text
from opendiag.errors import ModeRefused, MotionTimeout, OutsideLimits, SdoAborted
from opendiag.master.drive_holding import hold
from opendiag.services.emcy import emcy_text
from opendiag.services.plans import Now, Plan, Sleep

#: A number in the drive's default unit, or text that names its unit, as in "300 rpm".
Amount = float | str
UnitsGiven = Units | Mapping[str, Any] | str | Path


@dataclass(frozen=True, slots=True)
class DriveStatus:
    """``state`` is None for a statusword that is none of CiA 402; ``mode`` and ``error`` where the drive lacks them.

    ``bits`` are the names of the bits that are set in the statusword ``word``.
    """

    word: int
    state: PdsState | None
    mode: int | None
    bits: tuple[str, ...]
    error: int | None
    error_text: str

    def __str__(self) -> str:
        state = self.state.value if self.state is not None else "no state of CiA 402"
        parts = [f"{state} ({self.word:04X}h)"]
        if self.mode is not None:
            parts.append(f"mode {mode_label(self.mode)}")
        if self.error:
            parts.append(f"error {self.error:04X}h {self.error_text}".rstrip())
        return ", ".join(parts)


class DrivePlans:
    """Plans for one drive. They may run side by side with those of other drives: `opendiag.services.plans.Together`.

    ``set_up`` is run before the drive is energised. ``moving_since`` is when the motion under way began, None: none;
    ``waited`` is False for one to a position that nobody waits for: its end shows in the statusword only.
    """

    def __init__(
        self,
        link: DriveLink,
        *,
        units: UnitsGiven | None,
        limits: Limits | Mapping[str, Any] | None,
        set_up: Callable[[], Plan[None]],
        product_code: Callable[[], int | None],
        identified: Callable[[], bool] = lambda: True,
        check_open: Callable[[], None] = lambda: None,
    ) -> None:
        self.link = link
        self.limits = Limits.of(limits)
        self.moving_since: float | None = None
        self.waited = True
        self._asked_mode: int | None = None
        self._units = None if units is None else Units.of(units, link.node_id)
        self._set_up = set_up
        self._product_code = product_code
        self._identified = identified
        self._check_open = check_open
        self._script_limits: ScriptLimits | None = None

    # --- units and limits ---

    def units(self) -> Plan[Units]:
        """Read from the drive once, unless they were given. Raise SdoTimeout, AdapterError."""
        if self._units is not None:
            return self._units
        units = yield from units_of(self.link, self._product_code())
        if self._identified():  # else what numbers mean would stay that of an unknown drive
            self._units = units
        return units

    def script_limits(self) -> Plan[ScriptLimits]:
        """Those of the script in the drive's counts. Raise UnknownTarget, ValueError."""
        if self._script_limits is not None:
            return self._script_limits
        limits = self.limits.in_device_units((yield from self.units()))
        if self._units is not None:
            self._script_limits = limits
        return limits

    def forget(self) -> None:
        """Other units or limits from now on."""
        self._script_limits = None

    def _amount(self, quantity: str, given: Amount | None, unit: str | None = None) -> Plan[int | None]:
        """In counts, and within the limits. A name that no unit has is refused before anything is asked."""
        if given is None:
            return None
        own = Units.parse(given).unit if isinstance(given, str) else ""
        Units.check_unit(self.link.node_id, quantity, own or unit)
        counts = (yield from self.units()).counts(quantity, given, unit)
        limits = yield from self.script_limits()
        if quantity == "position":
            limits.check_position(self.link.node_id, counts)
        else:
            limits.check(self.link.node_id, "current" if quantity == "torque" else quantity, counts)
        return counts

    def _profile(self, velocity: Amount | None, acceleration: Amount | None, deceleration: Amount | None) -> Plan[Any]:
        for what, given in (("velocity", velocity), ("acceleration", acceleration), ("deceleration", deceleration)):
            if given is not None and (Units.parse(given).value if isinstance(given, str) else given) < 0:
                raise OutsideLimits(self.link.node_id, what, str(given), "0 and more", "as it is a magnitude")
        fast = yield from self._amount("velocity", velocity)
        speeding = yield from self._amount("acceleration", acceleration)
        slowing = yield from self._amount("acceleration", deceleration)
        if slowing is None:
            slowing = speeding
        return {
            "velocity": None if fast is None else abs(fast),
            "acceleration": None if speeding is None else abs(speeding),
            "deceleration": None if slowing is None else abs(slowing),
        }

    # --- state ---

    def enable(self) -> Plan[None]:
        self._check_open()
        yield from self.script_limits()  # limits that mean nothing are no limits
        yield from self._set_up()
        yield from hold(self.link, self._asked_mode)
        yield from power.enable(self.link)

    def disable(self) -> Plan[None]:
        yield from power.disable(self.link)
        self.moving_since = None

    def quick_stop(self) -> Plan[PdsState]:
        state = yield from power.quick_stop(self.link)
        self.moving_since = None
        return state

    def halt(self, on: bool = True) -> Plan[None]:
        yield from power.halt(self.link, on)

    def reset(self) -> Plan[None]:
        yield from power.reset_fault(self.link)

    def set_mode(self, mode: int | str) -> Plan[int]:
        """One that the drive refuses leaves it as it is: enabled, in its old mode. Raise UnknownTarget, ModeRefused."""
        wanted = parse_mode(self.link.node_id, mode)
        if self.link.permitted:
            refused = yield from motion.safely(self.link, self._enter(wanted))
            if refused is not None:
                raise refused
        else:
            yield from set_mode(self.link, wanted)
        self._asked_mode = wanted
        return wanted

    def _enter(self, wanted: int) -> Plan[ModeRefused | None]:
        """Gives the refusal of a drive that took nothing."""
        try:
            yield from motion.enter_mode(self.link, wanted)
        except ModeRefused as error:
            if error.shown is not None:
                raise
            return error
        return None

    def status(self) -> Plan[DriveStatus]:
        link = self.link
        word = yield from link.status()
        mode = yield from link.read_if_there(MODE_DISPLAY)
        error = yield from link.read_if_there(ERROR_CODE)
        bits = tuple(statusword_text(word, mode))
        text = emcy_text(error, 402, link.vendor_id) if error else ""
        return DriveStatus(word, link.state, mode, bits, error, text)

    # --- looking ---

    def read(self, quantity: str, unit: str | None = None) -> Plan[float]:
        """Position, velocity, torque or current as it is now. Raise UnknownTarget, SdoError."""
        Units.check_unit(self.link.node_id, quantity, unit)
        units = yield from self.units()
        counts = yield from self.counts(quantity)
        return units.from_device(quantity, counts, unit)

    def counts(self, quantity: str) -> Plan[int]:
        """The same as the drive has it. One that has only torque or current shows that for the other."""
        first, second = _SHOWN[quantity]
        try:
            return (yield from self.link.read(first))
        except SdoAborted:
            if second is None:
                raise
            return (yield from self.link.read(second))

    # --- motions ---

    def _moving(self, plan: Plan[int], ends: bool) -> Plan[int]:
        """``ends``: the motion is over when the plan is."""
        self._check_open()
        self.moving_since, self.waited = (yield Now()), True
        try:
            result = yield from plan
        except BaseException:
            self.moving_since = None
            raise
        if ends:
            self.moving_since = None
        return result

    def home(
        self,
        method: int | None = None,
        offset: Amount | None = None,
        speeds: tuple[Amount, Amount] | None = None,
        acceleration: Amount | None = None,
        timeout_s: float = 60.0,
    ) -> Plan[float]:
        """Gives the position afterwards."""
        found = None
        for fast, slow in () if speeds is None else (speeds,):
            first = yield from self._amount("velocity", fast)
            second = yield from self._amount("velocity", slow)
            found = abs(first or 0), abs(second or 0)
        ramp = yield from self._amount("acceleration", acceleration)
        place = None if offset is None else (yield from self.units()).counts("position", offset)
        plan = homing_plans.home(self.link, method, place, found, None if ramp is None else abs(ramp), timeout_s)
        return (yield from self.units()).from_device("position", (yield from self._moving(plan, True)))

    def move_to(
        self,
        target: Amount,
        unit: str | None = None,
        *,
        velocity: Amount | None = None,
        acceleration: Amount | None = None,
        deceleration: Amount | None = None,
        immediate: bool = False,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Plan[float]:
        """Gives the position, in ``unit``."""
        counts = yield from self._amount("position", target, unit)
        profile = yield from self._profile(velocity, acceleration, deceleration)
        plan = position_plans.move(
            self.link, counts or 0, immediate=immediate, wait=wait, timeout_s=timeout_s, **profile
        )
        return (yield from self._arrived(plan, unit, wait))

    def move_by(
        self,
        distance: Amount,
        unit: str | None = None,
        *,
        velocity: Amount | None = None,
        acceleration: Amount | None = None,
        deceleration: Amount | None = None,
        immediate: bool = False,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Plan[float]:
        """From where the drive stands, or from where it is going to. Gives the position, in ``unit``."""
        own = Units.parse(distance).unit if isinstance(distance, str) else ""
        Units.check_unit(self.link.node_id, "position", own or unit)
        counts = (yield from self.units()).counts("position", distance, unit)
        limits = yield from self.script_limits()
        if limits.position is not None:
            limits.check_position(self.link.node_id, (yield from self.link.read(POSITION)) + counts)
        profile = yield from self._profile(velocity, acceleration, deceleration)
        plan = position_plans.move(
            self.link, counts, relative=True, immediate=immediate, wait=wait, timeout_s=timeout_s, **profile
        )
        return (yield from self._arrived(plan, unit, wait))

    def move_through(
        self,
        targets: Sequence[Amount],
        unit: str | None = None,
        *,
        velocity: Amount | None = None,
        acceleration: Amount | None = None,
        deceleration: Amount | None = None,
        without_stop: bool = False,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Plan[float]:
        """Gives the position at the end, in ``unit``."""
        counts: list[int] = []
        for target in targets:
            counts.append((yield from self._amount("position", target, unit)) or 0)
        profile = yield from self._profile(velocity, acceleration, deceleration)
        plan = position_plans.move_through(
            self.link, counts, without_stop=without_stop, wait=wait, timeout_s=timeout_s, **profile
        )
        return (yield from self._arrived(plan, unit, wait))

    def _arrived(self, plan: Plan[int], unit: str | None, wait: bool) -> Plan[float]:
        counts = yield from self._moving(plan, wait)
        self.waited = wait
        return (yield from self.units()).from_device("position", counts, unit)

    def run_at(
        self,
        velocity: Amount,
        unit: str | None = None,
        *,
        acceleration: Amount | None = None,
        deceleration: Amount | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Plan[float]:
        """Gives the measured velocity, in ``unit``."""
        counts = yield from self._amount("velocity", velocity, unit)
        profile = yield from self._profile(None, acceleration, deceleration)
        ramps = {key: value for key, value in profile.items() if key != "velocity"}
        plan = velocity_plans.run(self.link, counts or 0, wait=wait, timeout_s=timeout_s, **ramps)
        return (yield from self.units()).from_device("velocity", (yield from self._moving(plan, not counts)), unit)

    def torque(
        self,
        torque: Amount,
        unit: str | None = None,
        *,
        slope: Amount | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Plan[float]:
        """``slope`` per second. Gives the torque demand, in ``unit``."""
        counts = yield from self._amount("torque", torque, unit)
        units = yield from self.units()
        ramp = None if slope is None else abs(units.counts("torque", slope, unit))
        plan = torque_plans.apply(self.link, counts or 0, ramp, wait=wait, timeout_s=timeout_s)
        return units.from_device("torque", (yield from self._moving(plan, not counts)), unit)

    def jog(
        self,
        velocity: Amount,
        unit: str | None = None,
        *,
        keep_alive: Callable[[], bool],
        step: Amount | None = None,
        acceleration: Amount | None = None,
        deceleration: Amount | None = None,
    ) -> Plan[float]:
        """As long as ``keep_alive()``, then it is stopped and disabled. Gives the position."""
        counts = yield from self._amount("velocity", velocity, unit)
        profile = yield from self._profile(None, acceleration, deceleration)
        units = yield from self.units()
        plan = jog.jog(
            self.link,
            counts or 0,
            keep_alive,
            step=None if step is None else abs(units.counts("position", step)),
            acceleration=profile["acceleration"],
            deceleration=profile["deceleration"],
        )
        return units.from_device("position", (yield from self._moving(plan, True)))

    def touch_probe(
        self, probe: int = 1, edge: str = "positive", *, index_pulse: bool = False, timeout_s: float = 10.0
    ) -> Plan[float]:
        """Gives the position of the edge."""
        touch_probe.value_of(self.link, probe, edge)
        units = yield from self.units()
        source = touch_probe.ProbeSource.INDEX_PULSE if index_pulse else touch_probe.ProbeSource.INPUT
        counts = yield from touch_probe.capture(self.link, probe, edge, source=source, timeout_s=timeout_s)
        return units.from_device("position", counts)

    def inputs(self, names: Mapping[str, int] | None = None) -> Plan[io_plans.Inputs]:
        return (yield from io_plans.read_inputs(self.link, names))

    def set_outputs(self, values: Mapping[str | int, bool], names: Mapping[str, int] | None = None) -> Plan[int]:
        return (yield from io_plans.write_outputs(self.link, values, names))

    def stop(self, timeout_s: float | None = None) -> Plan[float]:
        """Gives the position."""
        counts = yield from motion.stop(self.link, timeout_s)
        self.moving_since = None
        return (yield from self.units()).from_device("position", counts)

    def wait(self, timeout_s: float | None = None) -> Plan[None]:
        """Until the drive says target reached. Raise MotionTimeout, and what the motion raises."""
        yield from motion.safely(self.link, self._wait(timeout_s))
        self.moving_since = None

    def _wait(self, timeout_s: float | None) -> Plan[None]:
        began = yield Now()
        while True:
            word = yield from motion.look(self.link, "a motion")
            if word & motion.REACHED and not self.link.controlword & HALT:
                return
            if timeout_s is not None and (yield Now()) - began >= timeout_s:
                raise MotionTimeout(self.link.node_id, "a motion", f"it did not end within {timeout_s:g} s")
            yield Sleep(self.link.timing.poll_s)


_SHOWN: Mapping[str, tuple[int, int | None]] = {
    "position": (POSITION, None),
    "velocity": (VELOCITY, None),
    "torque": (TORQUE, CURRENT),
    "current": (CURRENT, TORQUE),
}
