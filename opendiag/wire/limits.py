"""What every encoder asks of a number before it becomes bytes."""

from __future__ import annotations

from opendiag.errors import WireError


def require_bits(what: str, value: int, bits: int) -> None:
    """Raise WireError unless ``value`` is unsigned and fits ``bits``."""
    if not 0 <= value < 1 << bits:
        raise WireError(f"{what} {value} does not fit {bits} bits")


def little_endian(what: str, value: int, size: int) -> bytes:
    """``value`` as ``size`` bytes, lowest first. Raise WireError when it does not fit."""
    require_bits(what, value, 8 * size)
    return value.to_bytes(size, "little")
