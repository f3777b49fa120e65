"""The modules of a modular device in an EDS or DCF (CiA 306): what each brings along, and which are connected."""

from __future__ import annotations

import re

from opendiag.dictionary.eds_device import read_comments
from opendiag.dictionary.eds_objects import Builder, Layout
from opendiag.dictionary.eds_sections import Notes, Section, is_count
from opendiag.dictionary.eds_values import entry_number, read_number
from opendiag.dictionary.model import Module

_SECTION = re.compile(
    r"m(\d{1,3})(?:(moduleinfo|comments|fixedobjects|subextends)"
    r"|(fixed|subext)([0-9a-f]{1,4})(?:sub([0-9a-f]{1,2})|(name|value|denotation|objectlinks))?)"
)
_INFO_KEYS = frozenset({"productname", "productversion", "productrevision", "ordercode"})


def is_module_section(name: str) -> bool:
    """By the section's name in lower case."""
    return _SECTION.fullmatch(name) is not None or name in ("supportedmodules", "connectedmodules")


def read_modules(sections: dict[str, Section], notes: Notes, is_dcf: bool) -> dict[int, Module]:
    """Modules by number."""
    heads: dict[int, dict[str, Section]] = {}
    layouts: dict[tuple[int, str], Layout] = {}
    for name, section in sections.items():
        match = _SECTION.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        head = heads.setdefault(number, {})
        if match[2]:
            head.setdefault(match[2], section)
        else:
            layout = layouts.setdefault((number, match[3]), Layout(is_dcf=is_dcf))
            layout.put(int(match[4], 16), match[5], match[6], section, notes)
    modules = {number: _module(number, head, notes) for number, head in sorted(heads.items())}
    for (number, kind), layout in layouts.items():
        builder = Builder(layout, notes)
        built = {index: builder.build(index) for index in layout.indices()}
        if kind == "fixed":
            modules[number].fixed = built
        else:
            modules[number].extends = built
    _check_count(sections.get("supportedmodules"), len(modules), notes)
    return modules


def read_connected(sections: dict[str, Section], notes: Notes) -> tuple[int, ...]:
    """Numbers of the modules that a DCF says are connected, in their order."""
    section = sections.get("connectedmodules")
    if section is None:
        return ()
    entries = [(int(key), entry) for key, entry in section.entries.items() if is_count(key)]
    numbers = [entry_number(entry, section, notes) for _, entry in sorted(entries) if entry.value]
    return tuple(number for number in numbers if number is not None)


def _module(number: int, head: dict[str, Section], notes: Notes) -> Module:
    comments = read_comments(head.get("comments"), notes)
    info = head.get("moduleinfo")
    if info is None:
        return Module(number, comments=comments)
    return Module(
        number,
        info.text("productname"),
        read_number(info, "productversion", notes),
        read_number(info, "productrevision", notes),
        info.text("ordercode"),
        comments,
        extra=info.others(_INFO_KEYS),
    )


def _check_count(section: Section | None, found: int, notes: Notes) -> None:
    if section is None:
        return
    said = read_number(section, "nrofentries", notes)
    if said != found:
        sentence = f"[{section.name}] says {'nothing' if said is None else said}, and {found} modules are described"
        notes.add("eds-list-count", section.line_of("nrofentries"), sentence, "", "all that are described count")
