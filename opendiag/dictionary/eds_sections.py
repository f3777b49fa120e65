"""The text of an EDS or DCF cut into sections and keys, each with its line. Knows nothing of CANopen.

Not `configparser`: that one gives up on the first oddity, forgets line numbers, and cuts names at a semicolon.
Here every line is either understood or becomes a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from opendiag.findings import Finding, Severity

_NOTHING: Mapping[str, str] = {}
_MAX_ALIKE = 1000
_MAX_TEXT = 300
#: Characters.
_PIECE = 1 << 16


class Entry(NamedTuple):
    """``key=value`` as written, without the spaces around both."""

    key: str
    value: str
    line: int


@dataclass(slots=True)
class Section:
    """``name`` as written; ``entries`` by lower-case key, because CiA 306 files differ in case.

    ``refused`` are the keys whose values could not be used: they are kept as written.
    """

    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    def get(self, key: str) -> Entry | None:
        """Find the entry by lower-case key; None when it is missing or has no value."""
        entry = self.entries.get(key)
        return entry if entry is not None and entry.value else None

    def text(self, key: str) -> str:
        """The value as written, "" when missing."""
        entry = self.entries.get(key)
        return "" if entry is None else entry.value

    def line_of(self, key: str) -> int:
        """Where the key stands, or where the section begins."""
        entry = self.entries.get(key)
        return self.line if entry is None else entry.line

    def refuse(self, key: str) -> None:
        """The value of this key, in any case, cannot be used."""
        self.refused |= {key.lower()}

    def others(self, known: Set[str]) -> Mapping[str, str]:
        """As written: the entries that are not known, and those that were refused."""
        if not self.refused and self.entries.keys() <= known:
            return _NOTHING
        return {
            entry.key: entry.value for key, entry in self.entries.items() if key not in known or key in self.refused
        }


@dataclass(slots=True)
class Notes:
    """Collects the findings of one file, of each code the first thousand. ``members`` are those of compact arrays."""

    file: str
    findings: list[Finding] = field(default_factory=list)
    members: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        code: str,
        line: int | None,
        sentence: str,
        evidence: str = "",
        assumed: str = "",
        severity: Severity = Severity.WARNING,
    ) -> None:
        count = self.counts[code] = self.counts.get(code, 0) + 1
        if count <= _MAX_ALIKE:
            texts = short(sentence), short(evidence), short(assumed)
            self.findings.append(Finding(code, severity, texts[0], self.file, line, *texts[1:]))
        elif count == _MAX_ALIKE + 1:
            sentence = f"more than {_MAX_ALIKE} findings of this code"
            self.findings.append(Finding(code, severity, sentence, self.file, None, "", "the others are left out"))

    def in_order(self) -> list[Finding]:
        """By line; what has none comes first."""
        return sorted(self.findings, key=lambda finding: finding.line or 0)


def short(text: str) -> str:
    """For people: what is longer than a few lines is cut."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."


def is_count(key: str) -> bool:
    """Tell the numbered keys of a list ("1=0x1000") from the others. They are decimal."""
    return len(key) <= 5 and key.isascii() and key.isdigit()


def scan(text: str, notes: Notes) -> dict[str, Section]:
    """Sections by name: lower case, no blanks inside. Never raises.

    Of a key that stands twice in a section the first wins, as with the Windows calls these files were made
    for. A section that stands twice is read as one.
    """
    sections: dict[str, Section] = {}
    current: Section | None = None
    entries: dict[str, Entry] = {}
    new = tuple.__new__  # Entry(...) takes twice as long, and this is where the time goes
    met: dict[str, tuple[str, str]] = {}  # there are few keys: each of them and its lower case are kept once
    for number, raw in enumerate(_lines(text.removeprefix("\ufeff")), 1):
        line = raw.strip()
        if not line:
            continue
        first = line[0]
        if first == "[":
            current = _open_section(line, number, sections, notes)
            entries = current.entries
        elif first == ";":
            continue
        elif first == "#":
            notes.add("eds-hash-comment", number, "comments begin with ;", line, "read as a comment", Severity.INFO)
        elif current is None:
            notes.add("eds-text-before-section", number, "text before the first section", line, "ignored")
        else:
            key, equals, value = line.partition("=")
            if (known := met.get(key)) is None:
                plain = key.rstrip()
                known = met[key] = plain, plain.lower()
            key, lower = known
            if lower in entries or not equals or not key:
                _odd_line(current, line, number, notes)
            else:
                entries[lower] = new(Entry, (key, value.lstrip(), number))
    return sections


def _lines(text: str) -> Iterator[str]:
    """Piece by piece: a list of all lines takes several times the memory of the text."""
    start = 0
    while start <= len(text):
        end = text.find("\n", start + _PIECE)
        end = len(text) if end < 0 else end
        yield from text[start:end].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        start = end + 1


def _open_section(line: str, number: int, sections: dict[str, Section], notes: Notes) -> Section:
    name, bracket, rest = line[1:].partition("]")
    if not bracket:
        notes.add("eds-section-header", number, "section without closing bracket", line, f"read as [{name.strip()}]")
    elif rest and rest.lstrip()[0] not in ";#":
        notes.add("eds-section-header", number, "text behind a section name", line, "the text is ignored")
    key = "".join(name.split()).lower()
    known = sections.get(key)
    if known is not None:
        assumed = f"read together with line {known.line}; of keys that differ the first one counts"
        notes.add("eds-duplicate-section", number, "section stands twice", f"[{name.strip()}]", assumed)
        return known
    section = sections[key] = Section(" ".join(name.split()), number)
    return section


def _odd_line(section: Section, line: str, number: int, notes: Notes) -> None:
    """A line of a section that adds no entry to it."""
    key, equals, value = line.partition("=")
    key, value = key.rstrip(), value.lstrip()
    where = short(section.name)
    if not equals:
        notes.add("eds-no-equals", number, f"line without = in [{where}]", line, "ignored")
        return
    if not key:
        notes.add("eds-no-key", number, f"value without a key in [{where}]", line, "ignored")
        return
    first = section.entries[key.lower()]
    same = first.value == value
    notes.add(
        "eds-duplicate-key",
        number,
        f"{key} stands twice in [{where}]",
        line,
        "both say the same" if same else f"line {first.line} counts: {short(first.value)}",
        Severity.INFO if same else Severity.WARNING,
    )
