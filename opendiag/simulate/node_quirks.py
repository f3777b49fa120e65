"""How a simulated node may deviate from the standard, so that it can be as difficult as a real one."""

from __future__ import annotations

from dataclasses import dataclass, field

from opendiag.services.sdo_quirks import SdoQuirks


@dataclass(frozen=True, slots=True)
class NodeQuirks:
    """Each field imitates what some stacks or drives do. Without arguments: a node that does none of it.

    ``boot_s``                   seconds from power-on or reset to the boot-up message.
    ``no_boot_up``               the boot-up message is left out.
    ``legacy_boot_up``           boot-up is an empty frame on 080h + node-ID, as before CiA 301 version 4.
    ``operational_by_itself``    the node goes OPERATIONAL after boot-up without being told.
    ``guarding_only``            no heartbeat, whatever 1017h says; remote frames of node guarding are answered.
    ``refuses_start_on_error``   the NMT command start is ignored while the error register 1001h is set.
    ``sdo``                      deviations of the SDO servers.

    The others are about drives:

    ``no_supported_modes``       6502h does not exist.
    ``mode_unknown_s``           seconds for which 6061h shows -1 after a change of 6060h.
    ``no_voltage_bit``           bit 4 of the statusword (voltage enabled) is never set.
    ``homing_without_reached``   homing ends with bit 12 alone, bit 10 (target reached) stays 0.
    ``halt_blocks_modes``        6060h cannot be written while halt (controlword bit 8) is set.
    """

    boot_s: float = 0.0
    no_boot_up: bool = False
    legacy_boot_up: bool = False
    operational_by_itself: bool = False
    guarding_only: bool = False
    refuses_start_on_error: bool = False
    sdo: SdoQuirks = field(default_factory=SdoQuirks)
    no_supported_modes: bool = False
    mode_unknown_s: float = 0.0
    no_voltage_bit: bool = False
    homing_without_reached: bool = False
    halt_blocks_modes: bool = False
