"""The device profile of an XDD behind its objects: parameters, templates, and the data types they name.

An object of the communication profile refers to a <parameter> by uniqueIDRef, that to a template or a variable, and
each of them says a part. A `Chain` is all of them; what comes first counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.eds_sections import Notes
from opendiag.dictionary.xdd_elements import label_of, read_value
from opendiag.dictionary.xml_tree import Element
from opendiag.findings import Severity

T = DataType

#: Types of IEC 61131-3. BITSTRING is whatever has no type of its own there; `xdd_objects` decides.
SIMPLE_TYPES: Mapping[str, int] = {
    "BOOL": T.BOOLEAN,
    "SINT": T.INTEGER8,
    "CHAR": T.INTEGER8,
    "INT": T.INTEGER16,
    "DINT": T.INTEGER32,
    "LINT": T.INTEGER64,
    "USINT": T.UNSIGNED8,
    "BYTE": T.UNSIGNED8,
    "UINT": T.UNSIGNED16,
    "WORD": T.UNSIGNED16,
    "UDINT": T.UNSIGNED32,
    "DWORD": T.UNSIGNED32,
    "ULINT": T.UNSIGNED64,
    "LWORD": T.UNSIGNED64,
    "REAL": T.REAL32,
    "LREAL": T.REAL64,
    "STRING": T.VISIBLE_STRING,
    "WSTRING": T.UNICODE_STRING,
    "BITSTRING": T.OCTET_STRING,
}
#: Longer than any chain of references that makes sense; also what ends one that runs in a circle.
_MAX_STEPS = 8


class TypeOf(NamedTuple):
    """``data_type`` is 0 where there is none; of an array it is that of its elements.

    ``kind`` is "simple", "array", "struct" or "" (nothing said), ``word`` what the file calls the type.
    """

    kind: str = ""
    data_type: int = 0
    word: str = ""
    names: Mapping[int, str] = {}
    members: Mapping[str, Element] = {}


@dataclass(frozen=True, slots=True)
class Chain:
    """The elements that describe one object, the nearest first."""

    elements: tuple[Element, ...] = ()
    type: TypeOf = field(default_factory=TypeOf)

    def __bool__(self) -> bool:
        return bool(self.elements)

    def child(self, name: str) -> Element | None:
        return next((found for element in self.elements if (found := element.first(name)) is not None), None)

    def get(self, key: str) -> str:
        """An attribute, "" when no element has it."""
        return next((text for element in self.elements if (text := element.get(key))), "")

    def label(self, name: str = "label") -> str:
        return next((text for element in self.elements if (text := label_of(element, name))), "")


class Parameters:
    """Everything with a uniqueID in one device description."""

    def __init__(self, container: Element, notes: Notes) -> None:
        self._notes = notes
        self._by_id: dict[str, Element] = {}
        self._types: dict[int, TypeOf] = {}
        self._chains: dict[int, Chain] = {}
        for element in container.walk():
            if unique_id := element.get("uniqueID"):
                known = self._by_id.setdefault(unique_id, element)
                if known is not element:
                    sentence = f"uniqueID {unique_id!r} stands twice"
                    notes.add("xdd-duplicate-id", element.line, sentence, "", f"line {known.line} counts")

    def chain(self, element: Element, instead: Element | None = None) -> Chain:
        """What ``element`` refers to by uniqueIDRef; if it refers to nothing, the declaration ``instead`` counts."""
        first = self._find(element, "uniqueIDRef") or instead
        if first is None:
            return Chain()
        known = self._chains.get(id(first))
        if known is None:  # worked out once only: hundreds of objects may refer to one parameter
            found = [first]
            for step in found:
                if len(found) < _MAX_STEPS:
                    found += [following for following in self._behind(step) if following not in found]
            del found[_MAX_STEPS:]
            known = self._chains[id(first)] = Chain(tuple(found), self._type(found))
        return known

    def allowed(self, chain: Chain) -> tuple[Element, ...]:
        """The <allowedValues> of a chain, and their template."""
        element = chain.child("allowedValues")
        if element is None:
            return ()
        template = self._find(element, "templateIDRef")
        return (element,) if template is None else (element, template)

    def _find(self, element: Element, key: str) -> Element | None:
        reference = element.get(key)
        found = self._by_id.get(reference)
        if reference and found is None:
            sentence = f"{key} of <{element.name}> names nothing in the file"
            self._notes.add("xdd-unknown-ref", element.line, sentence, f'{key}="{reference}"', "read without it")
        return found

    def _behind(self, element: Element) -> list[Element]:
        """The template and the variable of a parameter."""
        found = [self._find(element, "templateIDRef")]
        for reference in element.all("variableRef"):
            member, variable = reference.first("memberRef"), reference.first("variableIDRef")
            found += [self._find(part, "uniqueIDRef") for part in (member, variable) if part is not None]
        return [each for each in found if each is not None]

    def _type(self, elements: list[Element]) -> TypeOf:
        for element in elements:
            if (found := self._type_in(element, 0)).kind:
                return found
        return TypeOf()

    def _type_in(self, element: Element, steps: int) -> TypeOf:
        """The type that stands in an element; type elements are the only ones in capitals."""
        for child in element.children:
            if child.name == "dataTypeIDRef":
                declared = self._find(child, "uniqueIDRef")
                return TypeOf() if declared is None else self._known(declared, child, steps)
            if child.name.isupper():
                if child.name in SIMPLE_TYPES:
                    return TypeOf("simple", SIMPLE_TYPES[child.name], child.name)
                sentence = f"<{child.name}> is no data type of CANopen"
                self._notes.add("xdd-bad-type", child.line, sentence, child.name, "read as if left out")
        return TypeOf()

    def _known(self, declared: Element, reference: Element, steps: int) -> TypeOf:
        """Worked out once only: hundreds of objects may have the same enumeration of hundreds of values."""
        if steps:  # within another type, and perhaps cut short
            return self._declared(declared, reference, steps)
        found = self._types.get(id(declared))
        if found is None:
            found = self._types[id(declared)] = self._declared(declared, reference, steps)
        return found

    def _declared(self, declared: Element, reference: Element, steps: int) -> TypeOf:
        if steps >= _MAX_STEPS:
            evidence = reference.get("uniqueIDRef")
            sentence = "a data type that is made of itself"
            self._notes.add("xdd-bad-type", reference.line, sentence, evidence, "read as if left out")
            return TypeOf()
        word = declared.get("name")
        if declared.name == "struct":
            members = {part.get("name"): part for part in declared.all("varDeclaration")}
            return TypeOf("struct", 0, word, members=members)
        base = self._type_in(declared, steps + 1)
        if declared.name == "enum":
            return base._replace(names=self._names(declared, base.data_type))
        is_array = declared.name == "array" or declared.first("count") is not None
        return base._replace(kind="array" if is_array else base.kind)

    def _names(self, enum: Element, data_type: int) -> Mapping[int, str]:
        names = {}
        for each in enum.all("enumValue"):
            value = read_value("value", each.get("value"), each.line, enum.get("name"), data_type, self._notes)
            if isinstance(value, int):
                names[int(value)] = label_of(each) or each.get("name")
            else:
                sentence = f"a value without a number in the enumeration {enum.get('name')!r}"
                self._notes.add("xdd-bad-value", each.line, sentence, label_of(each), "left out", Severity.INFO)
        return names
