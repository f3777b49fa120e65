"""The objects by which one axis of a simulated drive shows what it is doing, as it is at the moment they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from opendiag.dictionary.datatypes import byte_width, integer_range
from opendiag.simulate.drive_velocity import VelocityMode

if TYPE_CHECKING:
    from opendiag.simulate.drive_servo import Servo

_SUPPORTED_MODES = 0x6502
_BUS_NOISE = 2


def live(servo: Servo, index: int, read: Callable[[], float], subindex: int = 0, *, wrap: bool = False) -> None:
    """Let an object show ``read()`` as it is at that moment, where the dictionary has the object.

    ``index`` is that of the first axis. A number that does not fit is bounded, or counts on from the other end
    (``wrap``).
    """
    index = servo.axis.index(index)
    variable = servo.axis.store.variables.get((index, subindex))
    span = None if variable is None else integer_range(variable.data_type)
    if variable is None or span is None:
        return
    low, high = span
    width, signed = byte_width(variable.data_type) or 1, low < 0

    def hook(now: float) -> bytes:
        if now > servo.clock:
            servo.advance(now)
        number = round(read())
        if not low <= number <= high:
            number = (number - low) % (high - low + 1) + low if wrap else min(max(number, low), high)
        return number.to_bytes(width, "little", signed=signed)

    servo.axis.store.on_read(index, subindex, hook)


def show_state(servo: Servo) -> None:
    """Words, modes, currents and voltage."""
    axis, motor = servo.axis, servo.motor
    if not axis.value(_SUPPORTED_MODES):
        live(servo, _SUPPORTED_MODES, lambda: sum(1 << mode - 1 for mode in servo.modes if mode > 0))
    live(servo, 0x6041, lambda: servo.statusword)
    live(servo, 0x6061, lambda: servo.mode_display)
    live(servo, 0x6074, lambda: axis.a_to_torque(servo.commanded) if servo.energised else 0)
    live(servo, 0x6077, lambda: axis.a_to_torque(motor.current))
    live(servo, 0x6078, lambda: axis.a_to_torque(servo.current()))
    live(servo, 0x6079, lambda: (motor.bus + motor.noise(_BUS_NOISE, 0.02)) * 1000)


def show_motion(servo: Servo) -> None:
    """Positions and velocities, demanded and actual."""
    axis = servo.axis
    live(servo, 0x6043, lambda: _in_rpm(servo, servo.demand_velocity))
    live(servo, 0x6044, lambda: _in_rpm(servo, servo.motor.velocity))
    live(servo, 0x6062, lambda: axis.counts(axis.demand.position), wrap=True)
    live(servo, 0x6063, lambda: axis.increments(servo.motor.position), wrap=True)
    live(servo, 0x6064, servo.position, wrap=True)
    live(servo, 0x606B, lambda: servo.demand_velocity * axis.scale.velocity)
    live(servo, 0x606C, servo.velocity)
    live(servo, 0x60F4, lambda: servo.following_error)
    live(servo, 0x60FA, lambda: servo.demand_velocity * axis.scale.velocity)
    live(servo, 0x60FC, lambda: axis.increments(axis.demand.position), wrap=True)


def show_world(servo: Servo) -> None:
    """Inputs, outputs and touch probes."""
    live(servo, 0x60FD, lambda: servo.switches.digital_inputs(servo.motor.position))
    live(servo, 0x60FE, lambda: servo.brake.shown(servo.axis.value(0x60FE, 1)), 1)
    live(servo, 0x60B9, lambda: servo.probes.status)
    for number in servo.probes.latched:
        live(servo, 0x6000 + number, partial(servo.probes.latched.__getitem__, number), wrap=True)


def _in_rpm(servo: Servo, turns_s: float) -> float:
    return servo.mode.shown(turns_s) if isinstance(servo.mode, VelocityMode) else turns_s * 60.0
