"""What a single motion is about to do, from where the drive is now: for the question before it. Only reads."""

from __future__ import annotations

from typing import Protocol

from opendiag.cia402.homing import method_text
from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import HOMING_METHOD, POSITION, PROFILE_VELOCITY
from opendiag.cia402.path import ENERGISED
from opendiag.cia402.sequence import Sequence, Step
from opendiag.cia402.sequence_run import given
from opendiag.cia402.units import Units
from opendiag.services.plans import Plan


class HasDrive(Protocol):
    """Plans of a drive."""

    link: DriveLink

    def units(self) -> Plan[Units]: ...


def outlook(sequence: Sequence, name: str, plans: HasDrive) -> Plan[str]:
    """As in " and moved from 0 rev to 2.5 rev (+2.5 rev) at 600 rpm (its 6081h)"; "" where the first motion is none.

    For an axis of a sequence that was checked against it. Raise SdoTimeout.
    """
    step = next((each for each in sequence.all_steps() if each.action in _TOLD and name in each.axes), None)
    if step is None:
        return ""
    units = yield from plans.units()
    at = yield from plans.link.read_if_there(POSITION)
    if step.action == "home":
        return (yield from _home(step, name, plans)) + _from(at, units, None, ", from ")
    if step.action == "velocity":
        length = f" for {step.seconds['for']:g} s" if "for" in step.seconds else ""
        return f" and turned at {step.values[name]}{length}" + _from(at, units, None, ", from ")
    return (yield from _move(step, name, plans, units, at))


def already_enabled(plans: HasDrive) -> Plan[str]:
    """Its state where somebody else has enabled it; "" where nobody has. Raise SdoTimeout."""
    link = plans.link
    yield from link.status()
    return link.state.value if link.state is not None and link.state in ENERGISED and not link.permitted else ""


_TOLD = ("move", "move_by", "home", "velocity")


def _number(amount: object) -> str:
    return str(amount)


def _from(at: int | None, units: Units, unit: str | None, before: str) -> str:
    return "" if at is None else f"{before}{_shown(units, 'position', at, unit)}"


def _shown(units: Units, quantity: str, counts: float, unit: str | None, sign: str = "") -> str:
    unit = unit or units.default(quantity)
    return f"{units.from_device(quantity, counts, unit):{sign}.6g} {unit}"


def _home(step: Step, name: str, plans: HasDrive) -> Plan[str]:
    amount = step.values.get(name)
    method = (yield from plans.link.read_if_there(HOMING_METHOD)) if amount is None else int(amount.value)
    if method is None:
        return " and search its home by a method that it does not tell"
    whose = "" if amount is not None else f", its {plans.link.index(HOMING_METHOD):04X}h"
    return f" and search its home by method {method} ({method_text(method)}{whose})"


def _move(step: Step, name: str, plans: HasDrive, units: Units, at: int | None) -> Plan[str]:
    target = step.values[name]
    assert target is not None
    counts = units.counts("position", given(target))
    distance: int | None = counts
    if step.action == "move":
        distance = None if at is None else counts - at
        counts_to: int | None = counts
    else:
        counts_to = None if at is None else at + counts
    parts = " and moved" + _from(at, units, target.unit, " from ")
    if counts_to is not None:
        parts += f" to {_shown(units, 'position', counts_to, target.unit)}"
    if distance is not None:
        parts += f" ({_shown(units, 'position', distance, target.unit, '+')})"
    velocity = step.option("velocity", name)
    if velocity is not None:
        unit = velocity.unit or units.default("velocity")
        return f"{parts} at {velocity.value:g} {unit}"
    kept = yield from plans.link.read_if_there(PROFILE_VELOCITY)
    if kept is None:
        return f"{parts} at a velocity that it does not tell"
    return f"{parts} at {_shown(units, 'velocity', kept, None)} (its {plans.link.index(PROFILE_VELOCITY):04X}h)"
