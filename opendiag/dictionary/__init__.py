"""What a device says it has: object dictionaries from EDS, DCF and XDD files, and back into files.

    from opendiag import dictionary

    stepim = dictionary.load("stepim")
    stepim[0x6064, 0].unit          # "counts"
    dictionary.write(stepim, "mine.eds")

Names are imported when first used: a decoder without an EDS pays for none of this.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opendiag.dictionary.canopen_bridge import from_canopen
    from opendiag.dictionary.datatypes import DataType, Value, decode_value, encode_value
    from opendiag.dictionary.dbc import dbc_text
    from opendiag.dictionary.differences import Difference, compare
    from opendiag.dictionary.eds import parse
    from opendiag.dictionary.eds_write import dcf_text, eds_text, write
    from opendiag.dictionary.library import Library, bundled_names, load
    from opendiag.dictionary.lint_all import lint
    from opendiag.dictionary.model import DeviceInfo, NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable

__all__ = [
    "DataType",
    "DeviceInfo",
    "Difference",
    "Library",
    "NodeIdPlus",
    "Object",
    "ObjectDictionary",
    "ObjectType",
    "Value",
    "Variable",
    "bundled_names",
    "compare",
    "dbc_text",
    "dcf_text",
    "decode_value",
    "eds_text",
    "encode_value",
    "from_canopen",
    "lint",
    "load",
    "parse",
    "write",
]

_HOME = {
    **dict.fromkeys(("DataType", "Value", "decode_value", "encode_value"), "datatypes"),
    **dict.fromkeys(("DeviceInfo", "NodeIdPlus", "Object", "ObjectDictionary", "ObjectType", "Variable"), "model"),
    **dict.fromkeys(("Library", "bundled_names", "load"), "library"),
    **dict.fromkeys(("Difference", "compare"), "differences"),
    **dict.fromkeys(("dcf_text", "eds_text", "write"), "eds_write"),
    "dbc_text": "dbc",
    "from_canopen": "canopen_bridge",
    "lint": "lint_all",
    "parse": "eds",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
