"""The objects that each mode of operation needs, and those that a drive lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opendiag.cia402 import objects as o
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.dictionary import builtin
from opendiag.errors import SdoAborted
from opendiag.services.plans import Plan
from opendiag.wire.sdo_abort import SdoAbortCode

Key = tuple[int, int]
_COMMUTATION_ANGLE = 0x60EA
_MISSING = (SdoAbortCode.NO_SUCH_OBJECT, SdoAbortCode.NO_SUCH_SUBINDEX)
_EVERY: tuple[Key, ...] = ((o.CONTROLWORD, 0), (o.STATUSWORD, 0), (o.MODE, 0))
#: Good to have in every mode: without them something is not seen, or not checked.
_EVERY_USEFUL: tuple[Key, ...] = ((o.MODE_DISPLAY, 0), (o.SUPPORTED_MODES, 0), (o.ERROR_CODE, 0), (o.VELOCITY, 0))
_RAMPS: tuple[Key, ...] = ((o.ACCELERATION, 0), (o.DECELERATION, 0))
_CYCLE: tuple[Key, ...] = ((o.INTERPOLATION_PERIOD, 1), (o.INTERPOLATION_PERIOD, 2))


@dataclass(frozen=True, slots=True)
class ModeObjects:
    """(index, subindex) of the first axis. Without the ``needed`` ones the mode does not work from here."""

    needed: tuple[Key, ...]
    useful: tuple[Key, ...] = ()


MODE_OBJECTS: Mapping[int, ModeObjects] = {
    mode: ModeObjects((*_EVERY, *needed), (*useful, *(key for key in _EVERY_USEFUL if key not in needed)))
    for mode, needed, useful in (
        (
            Mode.PP,
            ((o.TARGET_POSITION, 0), (o.POSITION, 0)),
            (
                *((o.PROFILE_VELOCITY, 0), *_RAMPS, (o.POSITION_WINDOW, 0), (o.POSITION_DEMAND, 0)),
                *((o.FOLLOWING_WINDOW, 0), (o.SOFTWARE_LIMITS, 1), (o.SOFTWARE_LIMITS, 2), (o.POSITIONING_OPTION, 0)),
            ),
        ),
        (Mode.VL, ((o.VL_TARGET_VELOCITY, 0),), ()),
        (Mode.PV, ((o.TARGET_VELOCITY, 0), (o.VELOCITY, 0)), (*_RAMPS, (o.VELOCITY_WINDOW, 0), (o.VELOCITY_DEMAND, 0))),
        (
            Mode.TQ,
            ((o.TARGET_TORQUE, 0),),
            ((o.TORQUE_SLOPE, 0), (o.MAX_TORQUE, 0), (o.TORQUE_DEMAND, 0), (o.TORQUE, 0)),
        ),
        (
            Mode.HM,
            ((o.HOMING_METHOD, 0), (o.POSITION, 0)),
            (
                *((o.HOME_OFFSET, 0), (o.HOMING_SPEEDS, 1), (o.HOMING_SPEEDS, 2), (o.HOMING_ACCELERATION, 0)),
                *((o.SUPPORTED_HOMING, 1), (o.DIGITAL_INPUTS, 0)),
            ),
        ),
        (Mode.IP, ((o.INTERPOLATION_DATA, 1), (o.POSITION, 0)), ((o.INTERPOLATION_MODE, 0), *_CYCLE)),
        (Mode.CSP, ((o.TARGET_POSITION, 0), (o.POSITION, 0)), (*_CYCLE, (o.FOLLOWING_ERROR, 0))),
        (Mode.CSV, ((o.TARGET_VELOCITY, 0), (o.VELOCITY, 0)), _CYCLE),
        (Mode.CST, ((o.TARGET_TORQUE, 0),), (*_CYCLE, (o.TORQUE, 0))),
        (Mode.CSTCA, ((o.TARGET_TORQUE, 0), (_COMMUTATION_ANGLE, 0)), (*_CYCLE, (o.TORQUE, 0))),
    )
}


def lacking(mode: int, has: Callable[[int, int], bool], *, useful: bool = False) -> tuple[Key, ...]:
    """Objects of a mode that the drive does not have: the needed ones, or the ``useful`` ones.

    ``has(index, subindex)`` is asked for each, say of a dictionary. A mode that is the maker's needs nothing known.
    """
    wanted = MODE_OBJECTS.get(mode, ModeObjects(()))
    return tuple(key for key in (wanted.useful if useful else wanted.needed) if not has(*key))


def ask_lacking(link: DriveLink, mode: int, *, useful: bool = False) -> Plan[tuple[Key, ...]]:
    """As `lacking`, but asks the drive itself, by reading. Write-only objects count as there. Raise SdoTimeout."""
    wanted = MODE_OBJECTS.get(mode, ModeObjects(()))
    missing = []
    for index, subindex in wanted.useful if useful else wanted.needed:
        try:
            yield from link.read(index, subindex)
        except SdoAborted as error:
            if error.code in _MISSING:
                missing.append((index, subindex))
    return tuple(missing)


def object_text(key: Key) -> str:
    """As in "607A:00 Target position"."""
    variable = builtin.get(*key)
    return f"{key[0]:04X}:{key[1]:02X}{f' {variable.name}' if variable is not None else ''}"
