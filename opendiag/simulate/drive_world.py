"""What is around the motor of a simulated drive: switches, index pulse, inputs, outputs and touch probes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opendiag.simulate.drive_axis import Axis

_PROBE_FUNCTION, _PROBE_STATUS, _PROBE_SOURCE = 0x60B8, 0x60B9, 0x60D0
_ON, _CONTINUOUS, _BY_INDEX, _BY_SOURCE, _POSITIVE, _NEGATIVE = 1, 2, 4, 8, 16, 32
_MASK = 0xFF
#: 60D0h: what triggers a probe; 1..4 are inputs of the device, taken for the home switch.
_SOURCE_INDEX = (5, 6)


@dataclass(slots=True)
class Switches:
    """Where the axis has its switches, in turns of the motor, in the motor's own direction.

    ``negative`` and ``positive``: the limit switches are active from there on outwards. ``home``: middle of the home
    switch, which is ``home_width`` wide; ``home_range`` instead names both its ends, one of them infinite for a switch
    that is active all the way. ``index``: where in a turn the encoder has its index pulse. ``stop_motion``: the drive
    stops at its limit switches. ``torque_off``: safe torque off (STO) is asked for. ``inputs``: general purpose inputs,
    bit 0 is bit 16 of 60FDh.
    """

    negative: float = -5.0
    positive: float = 5.0
    home: float = 0.0
    home_width: float = 0.1
    home_range: tuple[float, float] | None = None
    index: float = 0.0
    stop_motion: bool = False
    torque_off: bool = False
    inputs: int = 0

    @property
    def home_edges(self) -> tuple[float, float]:
        """Lower and upper end of the home switch."""
        return self.home_range or (self.home - self.home_width / 2, self.home + self.home_width / 2)

    def at_home(self, position: float) -> bool:
        low, high = self.home_edges
        return low <= position < high

    def at_limit(self, position: float) -> int:
        """-1 and 1: on that limit switch; 0: on none."""
        if position <= self.negative:
            return -1
        return 1 if position >= self.positive else 0

    def next_index(self, position: float, direction: int) -> float:
        """The nearest index pulse beyond ``position`` in this direction."""
        turn = position - self.index
        return self.index + (math.floor(turn) + 1.0 if direction > 0 else math.ceil(turn) - 1.0)

    def digital_inputs(self, position: float) -> int:
        """60FDh: limit switches, home switch, interlock (safe torque off) and the general purpose inputs."""
        bits = (position <= self.negative) | (position >= self.positive) << 1 | self.at_home(position) << 2
        return bits | self.torque_off << 3 | (self.inputs & 0xFFFF) << 16


class TouchProbes:
    """60B8h..60BDh: two probes, triggered by the home switch or by the index pulse of the encoder.

    A latched position is that of the edge itself. The index pulse has a positive edge only.
    """

    def __init__(self, axis: Axis, switches: Switches) -> None:
        self._axis = axis
        self._switches = switches
        self._function = 0
        self.status = 0
        self.latched = dict.fromkeys((0xBA, 0xBB, 0xBC, 0xBD), 0)

    def configure(self) -> None:
        """60B8h was written. A probe, or an edge, that is switched on begins anew."""
        new = self._axis.value(_PROBE_FUNCTION)
        for probe in (0, 1):
            before, now = self._function >> 8 * probe & _MASK, new >> 8 * probe & _MASK
            bits = self.status >> 8 * probe & _MASK
            if not now & _ON:
                bits = 0
            elif not before & _ON:
                bits = 1
            else:
                bits &= ~(2 if now & ~before & _POSITIVE else 0) & ~(4 if now & ~before & _NEGATIVE else 0)
            self.status = self.status & ~(_MASK << 8 * probe) | bits << 8 * probe
        self._function = new
        self._axis.motor.watch = self.moved if new & (_ON | _ON << 8) else None

    def moved(self, before: float, after: float) -> None:
        """The shaft has turned."""
        for probe in (0, 1):
            function = self._function >> 8 * probe & _MASK
            if function & _ON:
                edges = self._index(before, after) if self._by_index(function, probe) else self._home(before, after)
                for positive, where in edges:
                    self._latch(probe, function, positive, where)

    def _by_index(self, function: int, probe: int) -> bool:
        source = self._axis.value(_PROBE_SOURCE, probe + 1)
        return bool(function & _BY_INDEX) or bool(function & _BY_SOURCE and source in _SOURCE_INDEX)

    def _index(self, before: float, after: float) -> list[tuple[bool, float]]:
        direction = 1 if after > before else -1
        pulse = self._switches.next_index(before, direction)
        return [(True, pulse)] if (after - pulse) * direction >= 0 else []

    def _home(self, before: float, after: float) -> list[tuple[bool, float]]:
        direction = 1 if after > before else -1
        low, high = self._switches.home_edges
        ends = ((low, direction > 0), (high, direction < 0))
        crossed = [(active, end) for end, active in ends if min(before, after) < end <= max(before, after)]
        return crossed if direction > 0 else crossed[::-1]

    def _latch(self, probe: int, function: int, positive: bool, where: float) -> None:
        wanted, stored, number = (_POSITIVE, 2, 0xBA) if positive else (_NEGATIVE, 4, 0xBB)
        stored <<= 8 * probe
        if not function & wanted or (self.status & stored and not function & _CONTINUOUS):
            return
        self.status |= stored
        self.latched[number + 2 * probe] = self._axis.counts(where)
