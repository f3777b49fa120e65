"""The text of an EDS as lines that can be changed one by one, while all others stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opendiag.dictionary.eds_render import SectionId, section_id

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
_ENTRY = re.compile(r"([^=]*=[ \t]*)(.*?)([ \t]*)", re.DOTALL)


def line_end(text: str) -> str:
    """How most lines of a text end; CR LF where none does."""
    crlf = text.count("\r\n")
    ends = {"\r\n": crlf, "\n": text.count("\n") - crlf, "\r": text.count("\r") - crlf}
    most = max(ends, key=lambda end: ends[end])
    return most if ends[most] else "\r\n"


@dataclass(slots=True)
class Place:
    """Where a section stands: ``start`` is the number of its first line, ``end`` that of the last with an entry."""

    key: str
    start: int
    end: int
    entries: list[tuple[str, int]] = field(default_factory=list)


class Lines:
    """Changes are collected and take effect in `text`; line numbers stay those of the original, from 0."""

    def __init__(self, text: str) -> None:
        self._lines: list[str] = _LINE.findall(text)
        self._end = line_end(text)
        self._changed: dict[int, str] = {}
        self._behind: dict[int, list[str]] = {}
        self._places: dict[SectionId, list[Place]] = {}
        self._scan()

    def _scan(self) -> None:
        """As `eds_sections.scan` sees the text."""
        place: Place | None = None
        for number, raw in enumerate(self._lines):
            line = raw.lstrip("\ufeff").strip()
            if not line or line[0] in ";#":
                continue
            if line[0] == "[":
                name = line[1:].partition("]")[0]
                place = Place("".join(name.split()).lower(), number, number)
                self._places.setdefault(section_id(name), []).append(place)
            elif place is not None:
                place.end = number
                key, equals, _ = line.partition("=")
                if equals and key.strip():
                    place.entries.append((key.strip().lower(), number))

    def __contains__(self, section: SectionId) -> bool:
        return section in self._places

    def ids(self) -> list[SectionId]:
        """Every section there is, in order of its first line."""
        return list(self._places)

    def entries(self, section: SectionId) -> dict[str, int]:
        """Key in lower case -> number of the line that counts, of the section that counts."""
        found: dict[str, int] = {}
        first = self._places[section][0].key
        for place in self._places[section]:
            if place.key == first:
                for key, number in place.entries:
                    found.setdefault(key, number)
        return found

    def value(self, number: int) -> str:
        """The value in a line, as it was."""
        return self._lines[number].partition("=")[2].strip()

    def last(self, section: SectionId) -> int:
        """Number of the section's last line."""
        return max(place.end for place in self._places[section])

    def first(self, section: SectionId) -> int:
        """Number of the line with the section's name."""
        return self._places[section][0].start

    def set_value(self, number: int, value: str) -> None:
        body, end = self._split(number)
        match = _ENTRY.fullmatch(body)
        self._changed[number] = (f"{match[1]}{value}{match[3]}" if match else f"{body}={value}") + end

    def remove_key(self, section: SectionId, key: str) -> None:
        """Wherever it stands: of a key that stands twice the second must not come to count."""
        for place in self._places[section]:
            for known, number in place.entries:
                if known == key:
                    self._changed[number] = ""

    def remove(self, section: SectionId) -> None:
        """The section with all its lines and the empty ones behind it."""
        for place in self._places.pop(section):
            stop = place.end + 1
            while stop < len(self._lines) and not self._lines[stop].strip():
                stop += 1
            self._changed.update(dict.fromkeys(range(place.start, stop), ""))

    def insert_entry(self, number: int, key: str, value: str) -> None:
        """Behind this line, and behind what was inserted there before."""
        self._behind.setdefault(number, []).append(f"{key}={value}")

    def insert_section(self, number: int | None, name: str, entries: Mapping[str, str]) -> None:
        """Behind this line, else at the end."""
        if number is None:
            number = len(self._lines) - 1
        told = [f"{key}={value}" for key, value in entries.items()]
        self._behind.setdefault(number, []).extend(["", f"[{name}]", *told])

    def text(self) -> str:
        made: list[str] = []
        for number, raw in enumerate(self._lines):
            line = self._changed.get(number, raw)
            new = self._behind.get(number)
            if new and line and not line.endswith(("\r", "\n")):
                line += self._end
            made.append(line)
            if new:
                made.append(self._end.join([*new, ""]))
        if not self._lines:
            made.append(self._end.join([*self._behind.get(-1, []), ""]))
        return "".join(made)

    def _split(self, number: int) -> tuple[str, str]:
        raw = self._lines[number]
        body = raw.rstrip("\r\n")
        return body, raw[len(body) :]


def numbered(entries: Mapping[str, int]) -> Sequence[tuple[int, int]]:
    """(number, line) of the counted entries of a list, in order of their numbers."""
    return sorted(
        (int(key), line) for key, line in entries.items() if len(key) <= 5 and key.isascii() and key.isdigit()
    )
