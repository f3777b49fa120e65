"""A servo drive of nobody's make: the dictionary of a drive with everything that the simulation knows of CiA 402.

Positions count 4096 per turn of the motor, velocities and accelerations go with them (per second, per second squared),
currents and torques are thousandths of the rated ones. Gear, feed, units and polarity can be written. All PDOs are
there with the profile's default mapping, event-driven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from opendiag.cia402.objects import AXIS_STEP
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import DeviceInfo, NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable

NAME = "servo"
_TURN = 4096
Defaults = Mapping[tuple[int, int], Value | NodeIdPlus]

#: (index, highest subindex); -1 for a single value.
_COMMUNICATION: tuple[tuple[int, int], ...] = (
    (0x1000, -1),
    (0x1001, -1),
    (0x1003, 8),
    (0x1005, -1),
    (0x1006, -1),
    (0x1008, -1),
    (0x100C, -1),
    (0x100D, -1),
    (0x1010, 1),
    (0x1011, 1),
    (0x1014, -1),
    (0x1015, -1),
    (0x1016, 4),
    (0x1017, -1),
    (0x1018, 4),
    (0x1019, -1),
    (0x1029, 1),
    (0x1200, 2),
    *((base + k, highest) for k in range(4) for base, highest in ((0x1400, 5), (0x1600, 8), (0x1800, 6), (0x1A00, 8))),
)
_SINGLE = (
    *(0x6007, 0x603F, 0x6040, 0x6041, 0x6042, 0x6043, 0x6044, 0x605A, 0x605B, 0x605C, 0x605D, 0x605E, 0x6060, 0x6061),
    *(0x6062, 0x6063, 0x6064, 0x6065, 0x6066, 0x6067, 0x6068, 0x606B, 0x606C, 0x606D, 0x606E, 0x606F, 0x6070, 0x6071),
    *(0x6072, 0x6073, 0x6074, 0x6075, 0x6076, 0x6077, 0x6078, 0x6079, 0x607A, 0x607C, 0x607E, 0x607F, 0x6080, 0x6081),
    *(0x6083, 0x6084, 0x6085, 0x6086, 0x6087, 0x6098, 0x609A, 0x60A8, 0x60A9, 0x60AA, 0x60B0, 0x60B1, 0x60B2, 0x60B8),
    *(0x60B9, 0x60BA, 0x60BB, 0x60BC, 0x60BD, 0x60C0, 0x60C5, 0x60C6, 0x60F2, 0x60F4, 0x60FC, 0x60FD, 0x60FF, 0x6502),
)
_STRUCTURED = {
    **{0x6046: 2, 0x6048: 2, 0x6049: 2, 0x604A: 2, 0x604C: 2, 0x607B: 2, 0x607D: 2, 0x608F: 2, 0x6091: 2, 0x6092: 2},
    **{0x6099: 2, 0x60C1: 1, 0x60C2: 2, 0x60D0: 2, 0x60FE: 2},
}
_MAPPED = ((0x6040,), (0x6040, 0x6060), (0x6040, 0x607A), (0x6040, 0x60FF))
_SHOWN = ((0x6041,), (0x6041, 0x6061), (0x6041, 0x6064), (0x6041, 0x606C))

_DEFAULTS: Defaults = {
    (0x1000, 0): 0x0002_0192,
    (0x1005, 0): 0x80,
    (0x1008, 0): "simulated servo",
    (0x1014, 0): NodeIdPlus(0x80),
    (0x1200, 1): NodeIdPlus(0x600),
    (0x1200, 2): NodeIdPlus(0x580),
}
_AXIS_DEFAULTS: Mapping[tuple[int, int], int] = {
    **{(0x6007, 0): 1, (0x605A, 0): 2, (0x605C, 0): 1, (0x605D, 0): 1, (0x605E, 0): 2},
    **{(0x6046, 2): 6000, (0x6048, 1): 1000, (0x6048, 2): 1, (0x6049, 1): 1000, (0x6049, 2): 1},
    **{(0x604A, 1): 6000, (0x604A, 2): 1, (0x604C, 1): 1, (0x604C, 2): 1},
    **{(0x6065, 0): 2 * _TURN, (0x6066, 0): 10, (0x6067, 0): 20, (0x6068, 0): 5},
    **{(0x606D, 0): 100, (0x606E, 0): 5, (0x606F, 0): 100, (0x6070, 0): 5},
    **{(0x6072, 0): 1500, (0x6073, 0): 1500, (0x6075, 0): 3000, (0x6076, 0): 450},
    **{(0x607D, 1): -(2**31), (0x607D, 2): 2**31 - 1, (0x6080, 0): 6000, (0x6081, 0): 5 * _TURN},
    **{(0x6083, 0): 40 * _TURN, (0x6084, 0): 40 * _TURN, (0x6085, 0): 200 * _TURN},
    **{(0x608F, 1): _TURN, (0x608F, 2): 1, (0x6091, 1): 1, (0x6091, 2): 1, (0x6092, 1): _TURN, (0x6092, 2): 1},
    **{(0x6098, 0): 37, (0x6099, 1): 2 * _TURN, (0x6099, 2): _TURN // 4, (0x609A, 0): 40 * _TURN},
    **{(0x60C2, 1): 1, (0x60C2, 2): -3, (0x6502, 0): 0x3EF},
}


def servo_dictionary(axes: int = 1, defaults: Defaults | None = None) -> ObjectDictionary:
    """With as many ``axes`` (1..8) as wanted; ``defaults`` change or add single values by (index, subindex).

    Raise ValueError for another number of axes, and LookupError for a value that the standards do not have.
    """
    if not 1 <= axes <= 8:
        raise ValueError(f"{axes} axes; a device has 1..8")
    wanted: dict[tuple[int, int], Value | NodeIdPlus] = {**_DEFAULTS, **_pdos()}
    made: dict[int, Object] = {}
    for index, highest in _COMMUNICATION:
        _add(made, index, highest)
    for shift in range(0, axes * AXIS_STEP, AXIS_STEP):
        for index in _SINGLE:
            _add(made, index + shift, -1)
        for index, highest in _STRUCTURED.items():
            _add(made, index + shift, highest)
        wanted.update({(index + shift, sub): value for (index, sub), value in _AXIS_DEFAULTS.items()})
    wanted.update(defaults or {})
    for (index, subindex), value in wanted.items():
        found = made.setdefault(index, _object(index, -1 if not subindex else 0))
        known = found.members.get(subindex) or _variable(index, subindex)
        found.members[subindex] = replace(known, default=value)
    device = DeviceInfo("opendiag", "simulated servo", granularity=8, rpdo_count=4, tpdo_count=4)
    return ObjectDictionary(NAME, dict(sorted(made.items())), device)


def _add(made: dict[int, Object], index: int, highest: int) -> None:
    made[index] = _object(index, highest)


def _object(index: int, highest: int) -> Object:
    kind = builtin.object_type(index) or ObjectType.VAR
    return Object(
        index, builtin.object_name(index) or "", kind, {s: _variable(index, s) for s in range(max(highest, 0) + 1)}
    )


def _variable(index: int, subindex: int) -> Variable:
    found = builtin.get(index, subindex)
    if found is None:
        raise LookupError(f"CiA 301 and CiA 402 have no {index:04X}h:{subindex:02X}")
    return found


def _pdos() -> Defaults:
    """The profile's default mapping, PDO by PDO."""
    values: dict[tuple[int, int], Value | NodeIdPlus] = {}
    for first, base, mapped in ((0x1400, 0x200, _MAPPED), (0x1800, 0x180, _SHOWN)):
        for number, indices in enumerate(mapped):
            values[first + number, 1] = NodeIdPlus(base + 0x100 * number)
            values[first + number, 2] = 255
            values[first + 0x200 + number, 0] = len(indices)
            for slot, index in enumerate(indices, 1):
                bits = {0x6060: 8, 0x6061: 8, 0x6040: 16, 0x6041: 16}.get(index, 32)
                values[first + 0x200 + number, slot] = index << 16 | bits
    return values
