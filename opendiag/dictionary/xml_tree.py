"""A small tree of an XML text with the line of each element; document types and entities are refused.

Elements are named without their name space: the device files of CiA 311 use several, and some use the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from opendiag.errors import DictionaryFileError

#: Deeper than any device file, and far from where a recursion ends.
_MAX_DEPTH = 200


@dataclass(slots=True)
class Element:
    """``attributes`` by name without name space; ``text`` without the blanks around it."""

    name: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def first(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def walk(self) -> Iterator[Element]:
        """The element itself and everything in it, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.walk()


def is_xml(raw: bytes) -> bool:
    """By the first sign that is no blank."""
    head = raw[:512].removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    return head.startswith(b"<")


def parse_tree(data: str | bytes, name: str) -> Element:
    """The root element. Raises DictionaryFileError with the line for what is no XML, and for a document type."""
    return _Reader(name).read(data)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, data: str | bytes) -> Element:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = f"no XML that can be read: {expat.errors.messages[error.code]}"
            raise DictionaryFileError(self._name, error.lineno, reason) from error
        except (LookupError, ValueError) as error:  # an encoding that does not exist, or is none of bytes
            raise DictionaryFileError(self._name, 1, f"no XML that can be read: {error}") from error
        if self._root is None:
            raise DictionaryFileError(self._name, None, "no XML that can be read: there is no element in it")
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        element = Element(name.rpartition(":")[2], self._parser.CurrentLineNumber, local)
        if self._open:
            self._open[-1].children.append(element)
        elif self._root is None:
            self._root = element
        if len(self._open) >= _MAX_DEPTH:
            raise DictionaryFileError(self._name, element.line, f"more than {_MAX_DEPTH} elements inside each other")
        self._open.append(element)
        self._texts.append([])

    def _end(self, name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _doctype(self, name: str, system: str | None, public: str | None, has_subset: bool) -> None:
        line = self._parser.CurrentLineNumber
        raise DictionaryFileError(self._name, line, "a document type (<!DOCTYPE) has no place in a device file")
