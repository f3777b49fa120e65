"""What a device says it has: object dictionaries from EDS and DCF files.

    from opendiag import dictionary

    stepim = dictionary.load("stepim")
    stepim[0x6064, 0].unit          # "counts"

Names are imported when first used: a decoder without an EDS pays for none of this.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opendiag.dictionary.datatypes import DataType, Value, decode_value, encode_value
    from opendiag.dictionary.eds import parse
    from opendiag.dictionary.library import Library, bundled_names, load
    from opendiag.dictionary.model import DeviceInfo, NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable

__all__ = [
    "DataType",
    "DeviceInfo",
    "Library",
    "NodeIdPlus",
    "Object",
    "ObjectDictionary",
    "ObjectType",
    "Value",
    "Variable",
    "bundled_names",
    "decode_value",
    "encode_value",
    "load",
    "parse",
]

_HOME = {
    **dict.fromkeys(("DataType", "Value", "decode_value", "encode_value"), "datatypes"),
    **dict.fromkeys(("DeviceInfo", "NodeIdPlus", "Object", "ObjectDictionary", "ObjectType", "Variable"), "model"),
    **dict.fromkeys(("Library", "bundled_names", "load"), "library"),
    "parse": "eds",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
