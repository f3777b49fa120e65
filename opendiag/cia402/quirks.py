"""What drives do that CiA 402 does not have, by name. A quirk is coped with only where it is switched on."""

from __future__ import annotations

from dataclasses import dataclass

SERVOTRONIX, STEPIM = 0x2E1, 0xA5A5


@dataclass(frozen=True, slots=True)
class DriveQuirks:
    """Each field copes with what some drives do. Without arguments: a drive that does none of it.

    ``settle_s``                 the drive jumps when it is enabled within this many seconds of its boot-up.
    ``no_voltage_bit``           bit 4 of the statusword (voltage enabled) stays 0: no reason to look for a missing
                                 supply.
    ``mode_s``                   seconds until 6061h shows a new mode; a foreign value meanwhile is no refusal.
    ``halt_blocks_modes``        6060h is refused while halt is set: the bit is cleared for the change.
    ``homing_without_reached``   homing ends with bit 12 alone; bit 10 (target reached) stays 0.
    ``torque_in_ma``             6071h..6078h count mA, not thousandths of the rated current.
    """

    settle_s: float = 0.0
    no_voltage_bit: bool = False
    mode_s: float = 7.0
    halt_blocks_modes: bool = False
    homing_without_reached: bool = False
    torque_in_ma: bool = False


WELL_BEHAVED = DriveQuirks()
#: (vendor-ID, product code) -> what that drive does.
KNOWN: dict[tuple[int, int], DriveQuirks] = {
    (SERVOTRONIX, STEPIM): DriveQuirks(settle_s=1.0, no_voltage_bit=True, torque_in_ma=True),
}


def quirks_of(vendor_id: int | None, product_code: int | None) -> DriveQuirks:
    """Those of a drive that is known, else none."""
    return KNOWN.get((vendor_id or 0, product_code or 0), WELL_BEHAVED)
