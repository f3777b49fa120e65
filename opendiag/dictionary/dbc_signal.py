"""A variable of a dictionary as a signal of a DBC."""

from __future__ import annotations

import math
from dataclasses import replace

from opendiag.dictionary import builtin, datatypes
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.dbc_render import Names, Signal
from opendiag.dictionary.model import ObjectDictionary, Variable
from opendiag.dictionary.pdos import number_of

_PROFILE_402 = 402
_UNKNOWN_PROFILE = (None, 0xFFFF)
_FLOATS: dict[int, int] = {DataType.REAL32: 32, DataType.REAL64: 64}


def described(dictionary: ObjectDictionary, node_id: int, index: int, subindex: int) -> tuple[Variable, str] | None:
    """The variable and its full name; what the file lacks (names of values, a unit, all of it) from the CiA tables."""
    own, standard = dictionary.get(index, subindex), builtin.get(index, subindex)
    device_type = number_of(dictionary.get(0x1000, 0), node_id)
    profile = None if device_type is None else device_type & 0xFFFF
    if index >= 0x6000 and profile not in (_PROFILE_402, *_UNKNOWN_PROFILE):
        standard = None
    if own is None:
        return None if standard is None else (standard, builtin.name_of(standard))
    name = dictionary.name_of(own)
    if standard is None or standard.data_type != own.data_type:
        return own, name
    unit, factor = (own.unit, own.factor) if own.unit else (standard.unit, standard.factor)
    return replace(own, values=own.values or standard.values, unit=unit, factor=factor), name


def signal_of(variable: Variable, full_name: str, bit: int, bits: int, names: Names) -> Signal:
    """``bits`` of a PDO or an SDO frame that hold the variable."""
    factor = 1.0 if variable.data_type == DataType.BOOLEAN else variable.factor
    low, high = (_scaled(limit, factor) for limit in (variable.low, variable.high))
    if factor < 0:  # the largest raw number is the smallest value
        low, high = high, low
    return Signal(
        names.unique(full_name),
        bit,
        bits,
        signed=datatypes.is_signed(variable.data_type),
        float_=_FLOATS.get(variable.data_type) == bits,
        factor=factor,
        unit=variable.unit,
        low=low,
        high=high,
        values=variable.values,
        comment=f"{variable.text} {full_name}",
    )


def _scaled(limit: object, factor: float) -> float | None:
    scaled = limit * factor if isinstance(limit, int | float) else math.nan
    return scaled if math.isfinite(scaled) else None
