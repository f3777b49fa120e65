"""A small tree of an XML text with the line of each element; document types and entities are refused.

Elements are named without their name space: the device files of CiA 311 use several, and some use the wrong one.
Nothing is ever fetched, and a text that would take much memory is refused before it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.parsers import expat

from opendiag.errors import DictionaryFileError

#: Deeper than any device file, and far from where a recursion ends.
_MAX_DEPTH = 100
#: Many times what the largest device files have; takes 0.1 GB of memory.
_MAX_ELEMENTS = 200_000
#: Many times the largest device files; a text of attributes only takes 20 times its length.
_MAX_LENGTH = 20_000_000
_NO_ATTRIBUTES: Mapping[str, str] = {}
_BLANKS = " \t\r\n"


class Element:
    """``attributes`` by name without name space; ``text`` without the blanks around it."""

    __slots__ = ("attributes", "children", "line", "name", "text")

    def __init__(self, name: str, line: int, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.line = line
        self.attributes = attributes
        self.children: list[Element] | tuple[()] = ()
        self.text = ""

    def __repr__(self) -> str:
        return f"<{self.name} of line {self.line}>"

    def get(self, name: str) -> str:
        """The attribute without the blanks around it, "" when it is missing."""
        return self.attributes.get(name, "").strip()

    def first(self, name: str) -> Element | None:
        """The first child of that name."""
        for child in self.children:
            if child.name == name:
                return child
        return None

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def walk(self) -> Iterator[Element]:
        """The element itself and everything in it, in the order of the text."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))


def is_xml(raw: bytes) -> bool:
    """By the first sign that is no blank."""
    head = raw[:512].removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    return head.startswith(b"<")


def parse_tree(text: str, name: str) -> Element:
    """The root element. Raises DictionaryFileError with the line for what is no XML, and for a document type."""
    if len(text) > _MAX_LENGTH:
        raise DictionaryFileError(name, None, f"{len(text)} letters: too large for a device file")
    body = text.lstrip(_BLANKS)  # before the declaration XML allows no blanks, and editors leave some
    skipped = text[: len(text) - len(body)]
    return _Reader(name, skipped.count("\n")).read(body)


class _Reader:
    def __init__(self, name: str, skipped_lines: int) -> None:
        self._name = name
        self._skipped = skipped_lines
        self._document = Element("", 0, _NO_ATTRIBUTES)  # around the root
        self._open = [self._document]
        self._count = 0
        self._parts: list[list[str] | None] = [None]
        self._local: dict[str, str] = {}
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> Element:
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            reason = f"no XML that can be read: {expat.errors.messages[error.code]}"
            raise DictionaryFileError(self._name, error.lineno + self._skipped, reason) from error
        except UnicodeEncodeError as error:  # a lone surrogate, which is no character
            raise DictionaryFileError(self._name, 1, "no XML that can be read: it is no text") from error
        return next(iter(self._document.children))

    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._skipped

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(self._plain(name), self._line(), self._without_spaces(attributes))
        parent = self._open[-1]
        if parent.children:
            parent.children.append(element)
        else:
            parent.children = [element]
        self._count += 1
        if len(self._open) > _MAX_DEPTH:
            raise DictionaryFileError(self._name, element.line, f"more than {_MAX_DEPTH} elements inside each other")
        if self._count > _MAX_ELEMENTS:
            raise DictionaryFileError(self._name, element.line, f"more than {_MAX_ELEMENTS} elements")
        self._open.append(element)
        self._parts.append(None)

    def _plain(self, name: str) -> str:
        plain = self._local.get(name)
        if plain is None:
            plain = self._local[name] = name.rpartition(":")[2]
        return plain

    def _without_spaces(self, attributes: dict[str, str]) -> Mapping[str, str]:
        """Of ``x`` and ``a:x`` the plain one counts; declarations of name spaces are left out."""
        if not attributes:
            return _NO_ATTRIBUTES
        if not any(":" in key or key == "xmlns" for key in attributes):
            return attributes
        plain = {key: value for key, value in attributes.items() if ":" not in key and key != "xmlns"}
        for key, value in attributes.items():
            if ":" in key and not key.startswith("xmlns:"):
                plain.setdefault(self._plain(key), value)
        return plain

    def _end(self, name: str) -> None:
        parts = self._parts.pop()
        element = self._open.pop()
        if parts:
            element.text = "".join(parts).strip()

    def _text(self, text: str) -> None:
        parts = self._parts[-1]
        if parts is None:
            if not text.isspace():
                self._parts[-1] = [text]
        else:
            parts.append(text)

    def _doctype(self, name: str, system: str | None, public: str | None, has_subset: bool) -> None:
        raise DictionaryFileError(self._name, self._line(), "a document type (<!DOCTYPE) has no place in a device file")
