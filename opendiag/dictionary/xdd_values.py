"""What an object of an XDD and the parameter behind it say about one value: default, limits, names, unit, the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.eds_objects import VARIABLE_KEYS
from opendiag.dictionary.eds_sections import Entry, Notes, Section
from opendiag.dictionary.eds_values import read_factor
from opendiag.dictionary.model import NodeIdPlus
from opendiag.dictionary.xdd_elements import attributes_beside, label_of, lines_of, read_value
from opendiag.dictionary.xdd_parameters import Chain
from opendiag.dictionary.xml_tree import Element

_OBJECT_KEYS = frozenset(
    (
        *("index", "subIndex", "name", "objectType", "dataType", "accessType", "defaultValue", "actualValue"),
        *("lowLimit", "highLimit", "PDOmapping", "objFlags", "denotation", "subNumber", "uniqueIDRef"),
    )
)
_PARAMETER_KEYS = frozenset(("uniqueID", "access", "templateIDRef", "name", "multiplier", "offset"))
_NO_NAMES: Mapping[int, str] = {}
_NOTHING: Mapping[str, str] = {}


class Limits(NamedTuple):
    low: Value | NodeIdPlus | None = None
    high: Value | NodeIdPlus | None = None


def spelt_value(
    key: str, element: Element, chain: Chain, where: str, data_type: int, notes: Notes
) -> Value | NodeIdPlus | None:
    """The object's own attribute, else the <defaultValue> or <actualValue> of its parameter."""
    own = read_value(key, element.attributes.get(key, ""), element.line, where, data_type, notes)
    behind = chain.child(key)
    if behind is None:
        return own
    other = read_value(key, behind.attributes.get("value", ""), behind.line, where, data_type, notes)
    if own is None:
        return other
    if other is not None and other != own:
        sentence = f"{key} of {where} is {own!r}, its parameter says {other!r}"
        notes.add("xdd-contradiction", element.line, sentence, "", f"{own!r} counts")
    return own


def outer_limit(
    key: str, allowed: Iterable[Element], where: str, data_type: int, notes: Notes
) -> Value | NodeIdPlus | None:
    """The outer end of the ranges that a parameter allows, of ``key`` "lowLimit" or "highLimit".

    None as soon as one of the ranges has no such end.
    """
    ranges = [each for one in allowed for each in one.all("range")]
    name = "minValue" if key == "lowLimit" else "maxValue"
    ends = []
    for each in ranges:
        end = each.first(name)
        value = None if end is None else read_value(key, end.get("value"), end.line, where, data_type, notes)
        if value is None:
            return None
        ends.append(value)
    numbers = [end for end in ends if isinstance(end, int | float)]
    if len(numbers) == len(ends) > 1:
        return min(numbers) if key == "lowLimit" else max(numbers)
    return ends[0] if ends else None


def read_names(allowed: Iterable[Element], chain: Chain, where: str, data_type: int, notes: Notes) -> Mapping[int, str]:
    """Names of whole values: those of the enumeration that is the data type, and of the values that are allowed."""
    names = dict(chain.type.names)
    for each in _single_values(allowed):
        if label := label_of(each):
            value = read_value("value", each.get("value"), each.line, where, data_type, notes)
            if isinstance(value, int):
                names[int(value)] = label
    return names or _NO_NAMES


def _single_values(allowed: Iterable[Element]) -> Iterator[Element]:
    for one in allowed:
        yield from one.all("value")


def read_scale(where: str, chain: Chain, notes: Notes) -> tuple[str, float]:
    """Unit and factor. The multipliers of parameter and unit both count.

    A parameter with an offset has neither: raw * factor would not be in its unit. `extra_of` keeps what it says.
    """
    if not chain:
        return "", 1.0
    unit = chain.child("unit")
    if _is_number_beside_zero(chain.get("offset")):
        sentence = f"{where} has an offset, which only CiA 311 knows"
        notes.add("xdd-offset", chain.elements[0].line, sentence, chain.get("offset"), "read without unit and factor")
        return "", 1.0
    factor = 1.0
    for element, text in ((chain.elements[0], chain.get("multiplier")), (unit, unit.get("multiplier") if unit else "")):
        if element is not None and text:
            entry = Entry("multiplier", text, element.line)
            factor *= read_factor(Section(where, element.line, {"multiplier": entry}), "multiplier", notes)
    return label_of(unit), factor


def _is_number_beside_zero(text: str) -> bool:
    try:
        return bool(text) and float(text) != 0
    except ValueError:
        return True


def unnamed_values(allowed: Iterable[Element]) -> str:
    """The single values without a name that a parameter allows."""
    return ", ".join(each.get("value") for each in _single_values(allowed) if not label_of(each))


def extra_of(element: Element, chain: Chain, unnamed: str) -> Mapping[str, str]:
    """What is said beside that: Description, a Label that is not the name, properties, unknown attributes.

    Properties are what the tool that wrote the file keeps there.
    Keys that mean something in an EDS get the word XDD before them: there they would mean something else.
    """
    found = dict(attributes_beside(element, _OBJECT_KEYS))
    if description := next((text for each in chain.elements if (text := lines_of(each, "description"))), ""):
        found["Description"] = description
    if (label := chain.label()) and label != " ".join(element.get("name").split() or label.split()):
        found["Label"] = label
    for each in chain.elements:
        for key, value in attributes_beside(each, _PARAMETER_KEYS).items():
            found.setdefault(key, value)
        for part in each.all("property"):
            if part.get("name"):
                found.setdefault(part.get("name"), part.get("value"))
    if (substitute := chain.child("substituteValue")) is not None:
        found["substituteValue"] = substitute.get("value")
    if _is_number_beside_zero(chain.get("offset")):
        unit = chain.child("unit")
        found |= {"offset": chain.get("offset"), "multiplier": chain.get("multiplier"), "unitText": label_of(unit)}
    if unnamed:
        found["allowedValues"] = unnamed
    if not found:
        return _NOTHING
    return {_key(key): value for key, value in found.items()}


def _key(key: str) -> str:
    plain = "_".join(key.replace("=", " ").split())
    return f"XDD_{plain}" if plain.lower() in VARIABLE_KEYS else plain
