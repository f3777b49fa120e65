"""Digital inputs 60FDh and outputs 60FEh by name, and the brake, which is one of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import DIGITAL_INPUTS, DIGITAL_OUTPUTS
from opendiag.errors import UnknownTarget
from opendiag.services.plans import Plan

#: The standard's bits; 16..31 are the maker's, and may be given names of their own.
INPUT_BITS: Mapping[str, int] = {"negative limit": 0, "positive limit": 1, "home": 2, "interlock": 3}
OUTPUT_BITS: Mapping[str, int] = {"brake": 0}
_MAKERS = range(16, 32)
_WORD = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Inputs:
    """``inputs["home"]``, or ``inputs[16]`` by bit. ``raw`` is the value of 60FDh."""

    raw: int
    names: Mapping[str, int] = field(default_factory=lambda: INPUT_BITS)

    def __getitem__(self, key: str | int) -> bool:
        """Raise KeyError for a name that no bit has."""
        return bool(self.raw >> (self.names[key] if isinstance(key, str) else key) & 1)

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the active inputs, "input 17" for one without a name."""
        known = {bit: name for name, bit in self.names.items()}
        return tuple(known.get(bit, f"input {bit}") for bit in range(32) if self.raw >> bit & 1)


def read_inputs(link: DriveLink, names: Mapping[str, int] | None = None) -> Plan[Inputs]:
    """``names`` are more names for bits, say {"door": 16}. Raise SdoError."""
    raw = yield from link.read(DIGITAL_INPUTS)
    return Inputs(raw & _WORD, {**INPUT_BITS, **(names or {})})


def read_outputs(link: DriveLink) -> Plan[tuple[int, int | None]]:
    """60FE:01, and 60FE:02, which enables them bit by bit; None where the drive has no mask."""
    outputs = yield from link.read(DIGITAL_OUTPUTS, 1)
    return outputs, (yield from link.read_if_there(DIGITAL_OUTPUTS, 2))


def write_outputs(
    link: DriveLink, values: Mapping[str | int, bool], names: Mapping[str, int] | None = None
) -> Plan[int]:
    """Switch outputs by name or bit; the others stay as they are. Gives what 60FE:01 is then.

    Bits that 60FE:02 blocks are unblocked first. The brake is `set_brake`'s business. Raise UnknownTarget, before
    anything is sent; SdoError.
    """
    bits = {_bit(link, key, names or {}): on for key, on in values.items()}
    return (yield from _switch(link, bits))


def _bit(link: DriveLink, key: str | int, names: Mapping[str, int]) -> int:
    bit = names.get(key) if isinstance(key, str) else key
    if bit is None or (bit not in _MAKERS and not isinstance(key, str)) or bit == OUTPUT_BITS["brake"]:
        known = (*names, "16..31")
        raise UnknownTarget(link.node_id, "output", str(key), known)
    return bit


def _switch(link: DriveLink, bits: Mapping[int, bool]) -> Plan[int]:
    outputs, mask = yield from read_outputs(link)
    for bit, on in bits.items():
        outputs = outputs | 1 << bit if on else outputs & ~(1 << bit)
    wanted = sum(1 << bit for bit in bits)
    yield from link.write(
        DIGITAL_OUTPUTS, outputs & _WORD, 1
    )  # first the value, or the old one would show for a moment
    if mask is not None and ~mask & wanted:
        yield from link.write(DIGITAL_OUTPUTS, mask | wanted, 2)
    return outputs & _WORD


# --- the brake -------------------------------------------------------------------------------------------------------


def set_brake(link: DriveLink, engaged: bool) -> Plan[None]:
    """60FEh bit 0. Letting it go needs an enabled drive: a load would fall.

    Most drives move their brake by themselves when they are enabled and disabled, whatever this bit says. Raise
    NotEnabled, DriveFault, SdoError.
    """
    if not engaged:
        yield from link.check_enabled()
    yield from _switch(link, {OUTPUT_BITS["brake"]: engaged})


def brake_hint(link: DriveLink) -> Plan[str | None]:
    """Why a brake may hold an enabled drive; None where 60FEh does not say so, or is not there."""
    outputs = yield from link.read_if_there(DIGITAL_OUTPUTS, 1)
    mask = yield from link.read_if_there(DIGITAL_OUTPUTS, 2)
    if outputs is None or not outputs & 1 or (mask is not None and not mask & 1):
        return None
    return "the brake is set by hand: 60FE:01 bit 0 is 1"
