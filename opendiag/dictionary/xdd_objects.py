"""The object list of an XDD put together with the parameters behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import DataType, Value, type_name
from opendiag.dictionary.eds_objects import FIRST_OBJECT
from opendiag.dictionary.eds_sections import Notes
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectType, Variable, object_text
from opendiag.dictionary.xdd_elements import label_of, read_hex, read_number, read_value, refuse
from opendiag.dictionary.xdd_parameters import Chain, Parameters
from opendiag.dictionary.xdd_values import (
    Limits,
    extra_of,
    outer_limit,
    read_names,
    read_scale,
    spelt_value,
    unnamed_values,
)
from opendiag.dictionary.xml_tree import Element
from opendiag.findings import Severity

T = TypeVar("T")

_ACCESS = {
    **{word: word for word in ("ro", "wo", "rw", "rwr", "rww", "const")},
    "read": "ro",
    "readonly": "ro",
    "write": "wo",
    "writeonly": "wo",
    "readwrite": "rw",
    "readwriteinput": "rwr",
    "readwriteoutput": "rww",
    "noaccess": "",
}
_MAPPABLE = {"no": False, "default": True, "optional": True, "tpdo": True, "rpdo": True}
_STANDARD_TYPES = frozenset(int(data_type) for data_type in DataType)
_OBJECT_TYPES = frozenset(int(object_type) for object_type in ObjectType)
_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.DEFTYPE)
_NO_NAMES: Mapping[int, str] = {}
_BYTES = (DataType.OCTET_STRING, DataType.DOMAIN)


@dataclass(frozen=True, slots=True)
class _Place:
    """One value and all that describes it. ``inherited`` is the type that an array says its members have, else 0."""

    index: int
    subindex: int
    element: Element
    chain: Chain
    object_type: int
    inherited: int = 0

    @property
    def text(self) -> str:
        return object_text(self.index, self.subindex)


def access_of(text: str) -> str | None:
    """The access of a word of CiA 306 or CiA 311, None for an unknown word."""
    return _ACCESS.get(text.lower())


class Builder:
    """Makes the objects of one file."""

    def __init__(self, parameters: Parameters, notes: Notes) -> None:
        self._parameters = parameters
        self._notes = notes
        self._shared: dict[tuple[object, ...], Any] = {}

    def _once(self, key: str, shared: tuple[object, ...], make: Callable[[], T]) -> T:
        """What is the same for all objects that refer to the same elements, worked out for the first of them."""
        place = (key, *map(id, shared))
        if place not in self._shared:
            self._shared[place] = make(), shared  # kept alive, so that no other element gets its id
        made: T = self._shared[place][0]
        return made

    def build_all(self, lists: list[Element]) -> dict[int, Object]:
        """The objects in order of their index; of an index that stands twice the first one counts."""
        found: dict[int, Object] = {}
        for element in (each for one in lists for each in one.all("CANopenObject")):
            index = self._place(element, "index", 0xFFFF)
            if index is None:
                continue
            if index in found:
                self._twice(element, f"{index:04X}h", found[index].line)
            else:
                found[index] = self.build(index, element)
        return dict(sorted(found.items()))

    def build(self, index: int, element: Element) -> Object:
        subs = self._subs(index, element)
        chain = self._parameters.chain(element)
        object_type = self._object_type(index, element, bool(subs))
        found = self._head(index, element, object_type, chain)
        if index < FIRST_OBJECT and object_type in _SINGLE:
            return found
        if subs:
            found.members = dict(self._members(found, subs, chain))
        elif object_type in _SINGLE:
            found.members[0] = self._variable(_Place(index, 0, element, chain, object_type), found.name)
        elif object_type != ObjectType.NULL:
            sentence = f"{index:04X}h is {object_type.name} but has no members"
            self._notes.add("xdd-no-members", element.line, sentence, "", "kept without values")
        return found

    def _subs(self, index: int, element: Element) -> dict[int, Element]:
        found: dict[int, Element] = {}
        children = element.all("CANopenSubObject")
        for child in children:
            subindex = self._place(child, "subIndex", 0xFF)
            if subindex is None:
                continue
            known = found.setdefault(subindex, child)
            if known is not child:
                self._twice(child, object_text(index, subindex), known.line)
        said = read_number(element, "subNumber", self._notes)
        if said is not None and said != len(children):
            sentence = f"{index:04X}h has {len(children)} members, subNumber says {said}"
            self._notes.add("xdd-sub-number", element.line, sentence, "", "those that are there count", Severity.INFO)
        return dict(sorted(found.items()))

    def _place(self, element: Element, key: str, highest: int) -> int | None:
        """The index or subindex; an element without one cannot be used."""
        if not element.get(key):
            sentence = f"<{element.name}> has no {key}"
            self._notes.add("xdd-index", element.line, sentence, element.get("name"), "left out")
            return None
        place = read_hex(element, key, self._notes)
        if place is not None and place > highest:
            refuse(element, key, f"above {highest:X}h", self._notes, "left out")
            return None
        return place

    def _twice(self, element: Element, what: str, line: int | None) -> None:
        sentence = f"{what} stands twice"
        self._notes.add("xdd-duplicate", element.line, sentence, element.get("name"), f"line {line} counts")

    def _object_type(self, index: int, element: Element, has_subs: bool) -> ObjectType:
        """What has members is no VAR, whatever the file says."""
        number = read_number(element, "objectType", self._notes)
        guess = ObjectType.RECORD if has_subs else ObjectType.VAR
        if number is not None and number in _OBJECT_TYPES:
            object_type = ObjectType(number)
            if not has_subs or object_type not in (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.NULL):
                return object_type
            what = f"{index:04X}h is {object_type.name} but has members"
        else:
            what = f"{index:04X}h has no usable objectType"
        evidence = f'objectType="{element.get("objectType")}"'
        self._notes.add("xdd-object-type", element.line, what, evidence, f"read as {guess.name}")
        return guess

    def _head(self, index: int, element: Element, object_type: ObjectType, chain: Chain) -> Object:
        """The object without its members."""
        single = object_type in _SINGLE
        name = self._name(element, chain, f"{index:04X}h", builtin.object_name(index) or f"Object {index:04X}h")
        found = Object(index, name, object_type, line=element.line)
        if not single:
            found.data_type = read_hex(element, "dataType", self._notes) or 0
            found.flags = read_hex(element, "objFlags", self._notes) or 0
            found.denotation = _denotation(element, chain)
            self._check_no_value(index, element, chain)
        if not single or index < FIRST_OBJECT:
            found.extra = extra_of(element, chain, self._unnamed(self._parameters.allowed(chain)))
        return found

    def _check_no_value(self, index: int, element: Element, chain: Chain) -> None:
        for key in ("defaultValue", "actualValue"):
            behind = chain.child(key)
            text = element.get(key) or (behind.get("value") if behind is not None else "")
            if text:
                sentence = f"{index:04X}h has a {key}, but only its members have values"
                self._notes.add("xdd-misplaced-value", element.line, sentence, f'{key}="{text}"', "not read")

    def _members(self, parent: Object, subs: Mapping[int, Element], above: Chain) -> Iterator[tuple[int, Variable]]:
        each_type = parent.data_type or above.type.data_type if parent.object_type == ObjectType.ARRAY else 0
        for subindex, element in subs.items():
            inherited = each_type if subindex else int(DataType.UNSIGNED8)
            chain = self._parameters.chain(element, above.type.members.get(element.get("name")))
            object_type = read_number(element, "objectType", self._notes) or ObjectType.VAR
            place = _Place(parent.index, subindex, element, chain, object_type, inherited)
            name = self._name(element, chain, place.text, f"Subindex {subindex:02X}h")
            yield subindex, self._variable(place, name)

    def _name(self, element: Element, chain: Chain, where: str, instead: str) -> str:
        name = " ".join(element.get("name").split()) or chain.label() or chain.get("name")
        if name:
            return name
        self._notes.add("xdd-no-name", element.line, f"{where} has no name", "", f"called {instead!r}")
        return instead

    def _variable(self, place: _Place, name: str) -> Variable:
        element, chain, where, notes = place.element, place.chain, place.text, self._notes
        data_type = self._data_type(place)
        allowed = self._parameters.allowed(chain)
        limits = self._limits(place, data_type, allowed)
        unit, factor = read_scale(where, chain, notes)
        return Variable(
            place.index,
            place.subindex,
            name,
            data_type,
            self._access(place),
            default=spelt_value("defaultValue", element, chain, where, data_type, notes),
            low=limits.low,
            high=limits.high,
            pdo_mappable=self._mappable(element),
            value=spelt_value("actualValue", element, chain, where, data_type, notes),
            unit=unit,
            factor=factor,
            values=self._names(chain, allowed, where, data_type),
            source="xdd",
            denotation=_denotation(element, chain),
            flags=read_hex(element, "objFlags", notes) or 0,
            extra=extra_of(element, chain, self._unnamed(allowed)),
            line=element.line,
        )

    def _limits(self, place: _Place, data_type: int, allowed: tuple[Element, ...]) -> Limits:
        low, high = (
            read_value(key, place.element.get(key), place.element.line, place.text, data_type, self._notes)
            for key in ("lowLimit", "highLimit")
        )
        if low is None:
            low = self._outer("lowLimit", allowed, place.text, data_type)
        if high is None:
            high = self._outer("highLimit", allowed, place.text, data_type)
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            sentence = f"the lower limit of {place.text} is above the upper one"
            self._notes.add("xdd-limits-crossed", place.element.line, sentence, f"{low} > {high}", "both left out")
            return Limits()
        return Limits(low, high)

    def _outer(self, key: str, allowed: tuple[Element, ...], where: str, data_type: int) -> Value | NodeIdPlus | None:
        return self._once(
            f"{key} {data_type}", allowed, lambda: outer_limit(key, allowed, where, data_type, self._notes)
        )

    def _names(self, chain: Chain, allowed: tuple[Element, ...], where: str, data_type: int) -> Mapping[int, str]:
        if not chain:
            return _NO_NAMES
        return self._once(
            f"names {data_type}", (*allowed, chain), lambda: read_names(allowed, chain, where, data_type, self._notes)
        )

    def _unnamed(self, allowed: tuple[Element, ...]) -> str:
        return self._once("unnamed", allowed, lambda: unnamed_values(allowed))

    def _mappable(self, element: Element) -> bool:
        text = element.get("PDOmapping").lower()
        if text and text not in _MAPPABLE:
            refuse(element, "PDOmapping", "unknown", self._notes, "read as no")
        return _MAPPABLE.get(text, False)

    def _access(self, place: _Place) -> str:
        """What accessType says, else the parameter. RPDO and TPDO of PDOmapping are rww and rwr in CiA 306."""
        element, chain, where = place.element, place.chain, place.text
        said, behind = element.get("accessType"), chain.get("access")
        if not behind and not said and chain and chain.elements[0].name == "parameter":
            behind = "read"  # the schema of CiA 311: so it is if the parameter says nothing
        if said and behind and access_of(said) != access_of(behind):
            self._disagree("accessType", place, said, behind)
        text = said or behind
        access = access_of(text)
        if not text:
            self._notes.add("xdd-no-access", element.line, f"{where} has no access", "", "access is not known")
        elif access is None:
            sentence = f"{where} has an unknown access"
            self._notes.add("xdd-bad-access", element.line, sentence, text, "access is not known")
        elif not access:
            sentence, assumed = f"{where} cannot be accessed at all", "access is not known"
            self._notes.add("xdd-inaccessible", element.line, sentence, text, assumed, Severity.INFO)
        if access == "rw":
            return {"rpdo": "rww", "tpdo": "rwr"}.get(element.get("PDOmapping").lower(), access)
        return access or ""

    def _disagree(self, key: str, place: _Place, said: str, behind: str) -> None:
        sentence = f"{key} of {place.text} is {said!r}, its parameter says {behind!r}"
        self._notes.add("xdd-contradiction", place.element.line, sentence, "", f"{said!r} counts")

    def _data_type(self, place: _Place) -> int:
        element, behind, notes = place.element, place.chain.type, self._notes
        number = read_hex(element, "dataType", notes)
        if number is not None:
            if behind.kind == "simple" and behind.word != "BITSTRING" and behind.data_type != number:
                self._disagree("dataType", place, type_name(number), behind.word)
            if number not in _STANDARD_TYPES:
                sentence = f"{place.text} has an unknown data type"
                notes.add("xdd-own-type", element.line, sentence, f"{number:04X}h", "its values stay bytes")
            return number
        if behind.kind == "simple":
            return self._bit_string(place) if behind.word == "BITSTRING" else behind.data_type
        if behind.kind:
            sentence = f"{place.text} is a single value but its type {behind.word!r} is not"
            notes.add("xdd-bad-type", element.line, sentence, behind.kind, "read as if left out")
        if place.object_type == ObjectType.DOMAIN:
            return DataType.DOMAIN
        as_what = f"read as {type_name(place.inherited)}" if place.inherited else "its values stay bytes"
        notes.add("xdd-no-data-type", element.line, f"{place.text} has no data type", "", as_what)
        return place.inherited

    def _bit_string(self, place: _Place) -> int:
        """BITSTRING stands for all that IEC 61131-3 has no type for.

        DOMAIN or OCTET_STRING: what the standard says of this object, else DOMAIN if it has no default.
        """
        standard = builtin.get(place.index, place.subindex)
        behind = place.chain.child("defaultValue")
        has_default = place.element.get("defaultValue") or (behind is not None and behind.get("value"))
        if place.object_type == ObjectType.DOMAIN:
            data_type = DataType.DOMAIN
        elif standard is not None and standard.data_type in _BYTES:
            data_type = DataType(standard.data_type)
        else:
            data_type = DataType.OCTET_STRING if has_default else DataType.DOMAIN
        sentence, assumed = f"{place.text} is a BITSTRING, which CANopen does not have", f"read as {data_type.name}"
        self._notes.add("xdd-bit-string", place.element.line, sentence, "BITSTRING", assumed, Severity.INFO)
        return data_type


def _denotation(element: Element, chain: Chain) -> str:
    return element.get("denotation") or label_of(chain.child("denotation"))
