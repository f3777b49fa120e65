"""What the checks of a dictionary have in common: where in the file something stands, and the list of findings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from opendiag.dictionary.eds_sections import Entry, Notes, Section, scan
from opendiag.dictionary.model import Object, ObjectDictionary, Variable
from opendiag.findings import Finding, Severity

_OBJECT = re.compile(r"([0-9a-f]{1,4})(?:sub([0-9a-f]{1,2}))?")
_VALUES = re.compile(r"([0-9a-f]{1,4})value")


class Places:
    """Line and words of a single key. Only a text of sections knows more than where a variable begins."""

    def __init__(self, dictionary: ObjectDictionary) -> None:
        self._document = dictionary.document

    @cached_property
    def _sections(self) -> dict[str, Section]:
        if self._document is None or self._document.kind not in ("eds", "dcf"):
            return {}
        return scan(self._document.text, Notes(""))

    @cached_property
    def _objects(self) -> dict[tuple[int, int], Section]:
        """Section by index and subindex; -1 is the object itself, -2 the values of a compact array."""
        found: dict[tuple[int, int], Section] = {}
        for name, section in self._sections.items():
            if match := _OBJECT.fullmatch(name):
                found.setdefault((int(match[1], 16), -1 if match[2] is None else int(match[2], 16)), section)
            elif match := _VALUES.fullmatch(name):
                found.setdefault((int(match[1], 16), -2), section)
        return found

    def of(self, where: Variable | Object, *keys: str) -> tuple[int | None, str]:
        """Line and text of the first of these keys (lower case) that is there, else where ``where`` begins."""
        for section, names in self._candidates(where, keys):
            if (entry := _first(section, names)) is not None:
                return entry.line, f"{entry.key}={entry.value}"
        return where.line, ""

    def _candidates(self, where: Variable | Object, keys: tuple[str, ...]) -> list[tuple[Section | None, list[str]]]:
        names = list(keys)
        own = self._objects.get((where.index, -1))
        if isinstance(where, Object):
            return [(own if own is not None and own.line == where.line else None, names)]
        member = self._objects.get((where.index, where.subindex))
        if member is not None and member.line == where.line:
            return [(member, names)]
        if own is None or own.line != where.line:
            return []
        special = self._objects.get((where.index, -2)) if "defaultvalue" in keys or "parametervalue" in keys else None
        return [(special, [str(where.subindex)]), (own, names)]

    def in_section(self, key: str, *names: str) -> tuple[int | None, str]:
        """Line and text of a key of [DeviceInfo] and its like, else where that section begins."""
        section = next((self._sections[name] for name in names if name in self._sections), None)
        entry = _first(section, [key])
        if entry is None:
            return (None if section is None else section.line), ""
        return entry.line, f"{entry.key}={entry.value}"


def _first(section: Section | None, keys: list[str]) -> Entry | None:
    if section is None:
        return None
    return next((entry for key in keys if (entry := section.get(key)) is not None), None)


#: The keys that say what a variable holds, the DCF's first.
HELD = ("parametervalue", "defaultvalue")


@dataclass(slots=True)
class Report:
    """``node_id`` is the one asked for, else the one the file is for, else None."""

    dictionary: ObjectDictionary
    node_id: int | None
    places: Places
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        code: str,
        severity: Severity,
        sentence: str,
        where: Variable | Object | None = None,
        keys: tuple[str, ...] = (),
        advice: str = "",
    ) -> None:
        """``keys`` are those of the file that say what is wrong, in lower case; the first one there is quoted."""
        line, evidence = (None, "") if where is None else self.places.of(where, *keys)
        self._add(code, severity, sentence, line, evidence, advice)

    def add_device(self, code: str, severity: Severity, sentence: str, key: str = "", advice: str = "") -> None:
        """About [DeviceInfo]."""
        line, evidence = self.places.in_section(key.lower(), "deviceinfo")
        self._add(code, severity, sentence, line, evidence, advice)

    def add_commissioning(self, code: str, severity: Severity, sentence: str, key: str, advice: str = "") -> None:
        """About [DeviceComissioning]."""
        line, evidence = self.places.in_section(key.lower(), "devicecomissioning", "devicecommissioning")
        self._add(code, severity, sentence, line, evidence, advice)

    def _add(self, code: str, severity: Severity, sentence: str, line: int | None, evidence: str, advice: str) -> None:
        file = self.dictionary.name
        self.findings.append(Finding(code, severity, sentence, file, line, evidence, node=self.node_id, advice=advice))
