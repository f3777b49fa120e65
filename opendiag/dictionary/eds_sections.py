"""The text of an EDS or DCF cut into sections and keys, each with its line. Knows nothing of CANopen.

Not `configparser`: that one gives up on the first oddity, forgets line numbers, and cuts names at a semicolon.
Here every line is either understood or becomes a finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from opendiag.findings import Finding, Severity


class Entry(NamedTuple):
    """``key=value`` as written, without the spaces around both."""

    key: str
    value: str
    line: int


@dataclass(slots=True)
class Section:
    """``name`` as written; ``entries`` by lower-case key, because CiA 306 files differ in case."""

    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

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


@dataclass(slots=True)
class Notes:
    """Collects the findings of one file."""

    file: str
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        code: str,
        line: int | None,
        sentence: str,
        evidence: str = "",
        assumed: str = "",
        severity: Severity = Severity.WARNING,
    ) -> None:
        self.findings.append(Finding(code, severity, sentence, self.file, line, evidence, assumed))


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
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line[0] == ";":
            continue
        if line[0] == "[":
            current = _open_section(line, number, sections, notes)
        elif line[0] == "#":
            notes.add("eds-hash-comment", number, "comments begin with ;", line, "read as a comment", Severity.INFO)
        elif current is None:
            notes.add("eds-text-before-section", number, "text before the first section", line, "ignored")
        else:
            _add_entry(current, line, number, notes)
    return sections


def _open_section(line: str, number: int, sections: dict[str, Section], notes: Notes) -> Section:
    name, bracket, rest = line[1:].partition("]")
    rest = rest.strip()
    if not bracket:
        notes.add("eds-section-header", number, "section without closing bracket", line, f"read as [{name.strip()}]")
    elif rest and rest[0] not in ";#":
        notes.add("eds-section-header", number, "text behind a section name", line, "the text is ignored")
    key = "".join(name.split()).lower()
    known = sections.get(key)
    if known is not None:
        assumed = f"read together with line {known.line}; of keys that differ the first one counts"
        notes.add("eds-duplicate-section", number, "section stands twice", f"[{name.strip()}]", assumed)
        return known
    section = sections[key] = Section(name.strip(), number)
    return section


def _add_entry(section: Section, line: str, number: int, notes: Notes) -> None:
    key, equals, value = line.partition("=")
    key, value = key.rstrip(), value.lstrip()
    if not equals:
        notes.add("eds-no-equals", number, f"line without = in [{section.name}]", line, "ignored")
        return
    if not key:
        notes.add("eds-no-key", number, f"value without a key in [{section.name}]", line, "ignored")
        return
    first = section.entries.setdefault(key.lower(), Entry(key, value, number))
    if first.line == number:
        return
    same = first.value == value
    notes.add(
        "eds-duplicate-key",
        number,
        f"{key} stands twice in [{section.name}]",
        line,
        "both say the same" if same else f"line {first.line} counts: {first.value}",
        Severity.INFO if same else Severity.WARNING,
    )
