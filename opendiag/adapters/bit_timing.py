"""Segments of a CAN bit for a clock and a bit rate, chosen the way Linux chooses them.

A bit is one quantum of synchronisation, then prop_seg and phase_seg1 up to the sample point, then phase_seg2.
A quantum is ``brp`` periods of the controller's clock. Two nodes that choose alike sample at the same point, so the
algorithm is that of Linux (drivers/net/can/dev/calc_bittiming.c), with its arithmetic in whole numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Linux takes 5 %. The CAN oscillator tolerance leaves less than that for both nodes together.
MAX_ERROR = 0.005

#: No controller has longer segments, and no clock of one is faster: beyond it, a device answered with junk.
_LONGEST_SEGMENT = 4096
_FASTEST_CLOCK_HZ = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a controller can do: its clock in Hz, segments in quanta, and the divider of the clock.

    ``tseg1`` is prop_seg and phase_seg1 together, ``tseg2`` is phase_seg2. Raise ValueError for limits that no
    controller has.
    """

    clock_hz: int
    tseg1_min: int
    tseg1_max: int
    tseg2_min: int
    tseg2_max: int
    sjw_max: int
    brp_min: int
    brp_max: int
    brp_inc: int

    def __post_init__(self) -> None:
        possible = (
            0 < self.clock_hz <= _FASTEST_CLOCK_HZ
            and 0 <= self.tseg1_min <= self.tseg1_max <= _LONGEST_SEGMENT
            and 0 <= self.tseg2_min <= self.tseg2_max <= _LONGEST_SEGMENT
            and self.tseg1_max > 0 < self.tseg2_max
            and self.sjw_max > 0
            and 0 < self.brp_min <= self.brp_max
            and self.brp_inc > 0
        )
        if not possible:
            raise ValueError(f"no CAN controller has such a bit timing: {self}")

    def __str__(self) -> str:
        return (
            f"a clock of {_clock(self.clock_hz)}, tseg1 {self.tseg1_min}..{self.tseg1_max}, "
            f"tseg2 {self.tseg2_min}..{self.tseg2_max}, sjw 1..{self.sjw_max}, "
            f"brp {self.brp_min}..{self.brp_max} in steps of {self.brp_inc}"
        )


@dataclass(frozen=True, slots=True)
class BitTiming:
    """Segments and sjw in quanta, ``brp`` in periods of the clock."""

    brp: int
    prop_seg: int
    phase_seg1: int
    phase_seg2: int
    sjw: int
    clock_hz: int

    @property
    def tseg1(self) -> int:
        """Quanta between the synchronisation and the sample point."""
        return self.prop_seg + self.phase_seg1

    @property
    def quanta(self) -> int:
        """Length of a bit."""
        return 1 + self.tseg1 + self.phase_seg2

    @property
    def bit_rate(self) -> float:
        """Bits per second."""
        return self.clock_hz / (self.brp * self.quanta)

    @property
    def sample_point(self) -> float:
        """Part of the bit before it is sampled, 0..1."""
        return (1 + self.tseg1) / self.quanta

    def __str__(self) -> str:
        return (
            f"{_rate(self.bit_rate)}, sample point {_percent(self.sample_point)} (brp {self.brp}, "
            f"prop {self.prop_seg}, ph1 {self.phase_seg1}, ph2 {self.phase_seg2}, sjw {self.sjw}, "
            f"{_clock(self.clock_hz)})"
        )


def default_sample_point(bit_rate: float) -> float:
    """The one of CiA 301, 0..1."""
    if bit_rate > 800_000:
        return 0.75
    return 0.8 if bit_rate > 500_000 else 0.875


def bit_timing(
    limits: Limits, bit_rate: float, sample_point: float | None = None, *, max_error: float = MAX_ERROR
) -> BitTiming:
    """The timing that Linux would take, for bits per second and a sample point of 0..1; None is `default_sample_point`.

    The rate comes first, then the sample point, which is at the wanted one or before it; among equals the one with the
    most quanta. Raise ValueError if the rate is missed by more than ``max_error`` (a part of it, not percent).
    """
    if not 0 < bit_rate < math.inf:
        raise ValueError(f"a bit rate of {bit_rate} bit/s does not exist")
    wanted_point = default_sample_point(bit_rate) if sample_point is None else sample_point
    if not 0 < wanted_point < 1:
        raise ValueError(f"a sample point of {wanted_point} does not exist: it is a part of the bit, such as 0.875")
    permille = round(wanted_point * 1000)
    best = _best(limits, max(1, round(bit_rate)), permille)
    if best is None or abs(best.bit_rate - bit_rate) > max_error * bit_rate:
        raise ValueError(_why_not(limits, bit_rate, wanted_point, max_error))
    return best


def parse_timing(text: str, limits: Limits) -> BitTiming:
    """A timing from "brp,prop_seg,phase_seg1,phase_seg2" or the same with ",sjw".

    Raise ValueError for text that is none, and for what ``limits`` do not allow.
    """
    if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*){3,4}", text, re.ASCII):
        raise ValueError(f"bit timing {text!r} is not of the form brp,prop_seg,phase_seg1,phase_seg2[,sjw]")
    brp, prop, phase1, phase2, *rest = (int(number) for number in text.split(","))
    sjw = rest[0] if rest else _sjw(limits, phase1, phase2)
    timing = BitTiming(brp, prop, phase1, phase2, sjw, limits.clock_hz)
    for name, value, low, high in (
        ("brp", brp, limits.brp_min, limits.brp_max),
        ("phase_seg1", phase1, 1, limits.tseg1_max),
        ("prop_seg + phase_seg1", timing.tseg1, limits.tseg1_min, limits.tseg1_max),
        ("phase_seg2", phase2, max(1, limits.tseg2_min), limits.tseg2_max),
        ("sjw", sjw, 1, min(limits.sjw_max, phase1, phase2)),
    ):
        if not low <= value <= high:
            raise ValueError(f"bit timing {text!r}: {name} is {value}, this adapter takes {low}..{high}")
    if brp % limits.brp_inc:
        raise ValueError(f"bit timing {text!r}: brp is {brp}, this adapter takes multiples of {limits.brp_inc}")
    return timing


def tdc_offset(timing: BitTiming) -> int | None:
    """Where to put the second sample point of CAN FD's data phase, in periods of the clock after the delay.

    None where the compensation of the transmitter's delay does not work: ISO 11898-1 has it for brp 1 and 2 only.
    """
    return timing.brp * (1 + timing.tseg1) if timing.brp <= 2 else None


# --- the search -----------------------------------------------------------------------------------------------------


def _best(limits: Limits, bit_rate: int, permille: int) -> BitTiming | None:
    best: BitTiming | None = None
    best_errors = (0, 0)
    for rate_error, brp, tseg in _candidates(limits, bit_rate):
        if best is not None and rate_error > best_errors[0]:
            continue
        found = _segments(limits, tseg, permille)
        if found is None:
            continue
        point_error, tseg1, tseg2 = found
        if best is None or (rate_error, point_error) < best_errors:
            best_errors = rate_error, point_error
            prop = tseg1 // 2
            phase1 = tseg1 - prop
            best = BitTiming(brp, prop, phase1, tseg2, _sjw(limits, phase1, tseg2), limits.clock_hz)
            if best_errors == (0, 0):
                break
    return best


def _candidates(limits: Limits, bit_rate: int) -> Iterator[tuple[int, int, int]]:
    """(error of the rate in bit/s, brp, tseg1 + tseg2), the longest first."""
    shortest = max(1, limits.tseg1_min) + max(1, limits.tseg2_min)
    for half in range((limits.tseg1_max + limits.tseg2_max) * 2 + 1, shortest * 2 - 1, -1):
        tseg, round_up = divmod(half, 2)
        brp = limits.clock_hz // ((1 + tseg) * bit_rate) + round_up
        brp -= brp % limits.brp_inc
        if limits.brp_min <= brp <= limits.brp_max:
            yield abs(bit_rate - limits.clock_hz // (brp * (1 + tseg))), brp, tseg


def _segments(limits: Limits, tseg: int, permille: int) -> tuple[int, int, int] | None:
    """(error of the sample point in 1/1000, tseg1, tseg2); None if it cannot be at the wanted point or before it."""
    best: tuple[int, int, int] | None = None
    tseg2_min, tseg1_min = max(1, limits.tseg2_min), max(1, limits.tseg1_min)
    exact = tseg + 1 - permille * (tseg + 1) // 1000
    for wanted in (exact, exact - 1):
        tseg2 = min(max(wanted, tseg2_min), limits.tseg2_max)
        tseg1 = tseg - tseg2
        if tseg1 > limits.tseg1_max:
            tseg1 = limits.tseg1_max
            tseg2 = tseg - tseg1
        if tseg1 < tseg1_min:
            # Linux does not look, and hands out a segment that is too short.
            continue
        point = 1000 * (tseg + 1 - tseg2) // (tseg + 1)
        if point <= permille and (best is None or permille - point < best[0]):
            best = permille - point, tseg1, tseg2
    return best


def _sjw(limits: Limits, phase1: int, phase2: int) -> int:
    """As Linux has it since 6.3; before that it was 1."""
    return min(max(1, min(phase1, phase2 // 2)), limits.sjw_max)


def _why_not(limits: Limits, bit_rate: float, sample_point: float, max_error: float) -> str:
    rates = [limits.clock_hz / (brp * (1 + tseg)) for _, brp, tseg in _candidates(limits, max(1, round(bit_rate)))]
    if not rates:
        shortest = 1 + max(1, limits.tseg1_min) + max(1, limits.tseg2_min)
        rates = [
            limits.clock_hz / (limits.brp_min * shortest),
            limits.clock_hz / (limits.brp_max * (1 + limits.tseg1_max + limits.tseg2_max)),
        ]
    nearest = min(rates, key=lambda rate: abs(rate - bit_rate))
    error = abs(nearest - bit_rate) / bit_rate
    if error > max_error:
        return (
            f"{_rate(bit_rate)} cannot be made from a clock of {_clock(limits.clock_hz)}: the nearest rate is "
            f"{_rate(nearest)}, {error * 100:.2g} % off (at most {max_error * 100:g} % is accepted)"
        )
    return (
        f"{_rate(bit_rate)} with a sample point at or before {_percent(sample_point)} cannot be made from "
        f"{limits}; a later sample point may do"
    )


def _rate(bit_rate: float) -> str:
    return f"{bit_rate / 1e6:.6g} Mbit/s" if bit_rate >= 1e6 else f"{bit_rate / 1000:.6g} kbit/s"


def _percent(sample_point: float) -> str:
    return f"{sample_point * 100:.3g} %"


def _clock(clock_hz: int) -> str:
    return f"{clock_hz / 1e6:.6g} MHz"
