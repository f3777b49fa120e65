"""Reading single attributes and texts of an XDD: numbers, switches, labels, and findings about them.

Values are read as those of an EDS are (`eds_values`): CiA 311 has no spelling of its own for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.eds_sections import Entry, Notes, Section
from opendiag.dictionary.eds_values import bad_value, entry_number, entry_value
from opendiag.dictionary.model import NodeIdPlus
from opendiag.dictionary.xml_tree import Element
from opendiag.findings import Severity

_HEX = re.compile(r"(0x)?([0-9a-f]{1,8})", re.IGNORECASE)
_SWITCHES = {"true": True, "1": True, "false": False, "0": False}
_TEXT_TYPES = (DataType.VISIBLE_STRING, DataType.UNICODE_STRING)
_LONG_TYPES = (*_TEXT_TYPES, DataType.OCTET_STRING, DataType.DOMAIN)
_MAX_EVIDENCE = 200
#: Signs of a number or formula, far above any that means something.
_MAX_NUMBER = 1000


@dataclass(slots=True)
class XmlNotes(Notes):
    """Findings of an XDD: the codes of the value readers are told apart from those of an EDS by their prefix."""

    def add(
        self,
        code: str,
        line: int | None,
        sentence: str,
        evidence: str = "",
        assumed: str = "",
        severity: Severity = Severity.WARNING,
    ) -> None:
        if code.startswith("eds-"):
            code = "xdd-" + code.removeprefix("eds-")
        Notes.add(self, code, line, _shortened(sentence), _shortened(evidence), _shortened(assumed), severity)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_EVIDENCE else text[:_MAX_EVIDENCE] + "..."


def read_value(key: str, text: str, line: int, where: str, data_type: int, notes: Notes) -> Value | NodeIdPlus | None:
    """A value of the device as written; ``where`` names the object in findings. None for no text."""
    if data_type not in _TEXT_TYPES:
        text = text.strip()
    if not text:
        return None
    if data_type == DataType.BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    entry, section = Entry(key, text, line), Section(where, line)
    if len(text) > _MAX_NUMBER and data_type not in _LONG_TYPES:
        bad_value(entry, section, "too long for a number", notes)
        return None
    return entry_value(entry, section, data_type, notes)


def read_number(element: Element, key: str, notes: Notes) -> int | None:
    """An unsigned number of the file itself; a leading zero has no meaning in XML. None for no text."""
    return number_of(key, element.get(key), element, notes)


def number_of(key: str, text: str, element: Element, notes: Notes) -> int | None:
    """Like `read_number`, for a text that is no attribute."""
    if text.isascii() and text.isdigit():
        text = text.lstrip("0") or "0"
    text = text[:_MAX_NUMBER]
    return entry_number(Entry(key, text, element.line), Section(element.name, element.line), notes) if text else None


def read_hex(element: Element, key: str, notes: Notes) -> int | None:
    """Hexadecimal digits without a prefix, as CiA 311 writes indices and types. None for no text, and for others."""
    text = element.get(key)
    if not text:
        return None
    found = _HEX.fullmatch(text)
    if found is None:
        refuse(element, key, "no hexadecimal number", notes)
        return None
    if found[1]:
        sentence = f"{key} of <{element.name}> has a prefix"
        assumed = f"read as {int(found[2], 16):X}h"
        notes.add("xdd-number-form", element.line, sentence, f'{key}="{text}"', assumed, Severity.INFO)
    return int(found[2], 16)


def read_switch(element: Element, key: str, notes: Notes) -> bool:
    """What is missing is false: so says the schema of CiA 311 for every switch it has."""
    text = element.get(key)
    if text.lower() not in _SWITCHES and text:
        refuse(element, key, "neither true nor false", notes)
    return _SWITCHES.get(text.lower(), False)


def refuse(element: Element, key: str, what: str, notes: Notes, assumed: str = "read as if left out") -> None:
    """Note an attribute that cannot be used."""
    bad_value(Entry(key, element.get(key), element.line), Section(element.name, element.line), what, notes, assumed)


def label_of(element: Element | None, name: str = "label") -> str:
    """The English text in an element, else the first one there is, on one line. "" when there is none."""
    return " ".join(lines_of(element, name).split())


def lines_of(element: Element | None, name: str) -> str:
    """Like `label_of`, with the line ends as written."""
    texts = [child for child in element.all(name) if child.text] if element is not None else []
    english = [child for child in texts if child.get("lang").lower().startswith("en")]
    return (english or texts)[0].text if texts else ""


def attributes_beside(element: Element, known: Iterable[str]) -> Mapping[str, str]:
    """The attributes that opendiag gives no meaning to, as written."""
    return {key: value for key, value in element.attributes.items() if key not in known and value}
