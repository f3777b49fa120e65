"""EDS and DCF files (CiA 306) to an `ObjectDictionary`.

`eds_sections` cuts the text, `eds_values` reads values, `eds_objects` and `eds_device` put together what they
say, and here is the whole: which section is what, and whether the lists agree with it.
Whatever is odd becomes a finding of the dictionary with its line and what was assumed; docs/reference/eds.md
lists them. Only a text without any object at all is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from opendiag.dictionary.document import Document
from opendiag.dictionary.eds_compact_pdo import add_compact_pdos
from opendiag.dictionary.eds_device import (
    read_comments,
    read_commissioning,
    read_device,
    read_dummies,
    read_file_info,
)
from opendiag.dictionary.eds_modules import is_module_section, read_connected, read_modules
from opendiag.dictionary.eds_objects import FIRST_OBJECT, Builder, Layout
from opendiag.dictionary.eds_sections import Entry, Notes, Section, is_count, scan
from opendiag.dictionary.eds_values import entry_number, read_number
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import DictionaryFileError
from opendiag.findings import Severity

_OBJECT_SECTION = re.compile(r"([0-9a-f]{1,4})(?:sub([0-9a-f]{1,2})|(name|value|denotation|objectlinks))?")
_ALMOST_OBJECT = re.compile(r"(?=.*\d)[0-9a-f]{4}.*|0x[0-9a-f]+.*")
_LISTS = ("mandatoryobjects", "optionalobjects", "manufacturerobjects")
_KNOWN = frozenset(
    {"fileinfo", "deviceinfo", "comments", "dummyusage", "devicecomissioning", "devicecommissioning", *_LISTS}
)


def parse(text: str, name: str, *, encoding: str = "utf-8") -> ObjectDictionary:
    """Read an EDS or DCF. ``name`` is what the dictionary and its findings call the file.

    ``encoding`` is what the bytes of the file were read as, for whoever writes it again.

    Raises DictionaryFileError when there is no object in the text; nothing else.
    """
    notes = Notes(name)
    sections = scan(text, notes)
    layout = _lay_out(sections, notes)
    if not layout.objects and not layout.subs:
        raise DictionaryFileError(name, None, _why_no_eds(text))
    builder = Builder(layout, notes)
    dictionary = ObjectDictionary(name, device=read_device(sections, notes), file=read_file_info(sections))
    dictionary.commissioning = read_commissioning(sections, notes)
    dictionary.comments = read_comments(sections.get("comments"), notes)
    dictionary.dummies = read_dummies(sections, notes)
    dictionary.objects = {index: builder.build(index) for index in layout.indices()}
    dictionary.modules = read_modules(sections, notes, layout.is_dcf)
    dictionary.connected = read_connected(sections, notes)
    dictionary.sections = _others(sections)
    dictionary.document = Document(text, "dcf" if layout.is_dcf else "eds", encoding)
    add_compact_pdos(dictionary)
    _check_lists(sections, layout, notes)
    dictionary.findings = notes.in_order()
    return dictionary


def _others(sections: dict[str, Section]) -> dict[str, dict[str, str]]:
    """The sections that say nothing we know, as written."""
    return {
        section.name: {entry.key: entry.value for entry in section.entries.values()}
        for name, section in sections.items()
        if name not in _KNOWN and not _OBJECT_SECTION.fullmatch(name) and not is_module_section(name)
    }


def _why_no_eds(text: str) -> str:
    if not text.strip():
        return "the file is empty"
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return "this is XML, not an EDS (no object section such as [1000])"
    return "not an EDS: no object section such as [1000]"


def _lay_out(sections: dict[str, Section], notes: Notes) -> Layout:
    layout = Layout(is_dcf=not {"devicecomissioning", "devicecommissioning"}.isdisjoint(sections))
    for name, section in sections.items():
        match = _OBJECT_SECTION.fullmatch(name)
        if match is None:
            if _ALMOST_OBJECT.fullmatch(name):
                sentence = f"[{section.name}] looks like an object but is none"
                notes.add("eds-section-name", section.line, sentence, f"[{section.name}]", "ignored")
            continue
        layout.put(int(match[1], 16), match[2], match[3], section, notes)
    return layout


def _check_lists(sections: dict[str, Section], layout: Layout, notes: Notes) -> None:
    """Compare the three object lists with the sections that are there."""
    lists = [sections[name] for name in _LISTS if name in sections]
    if not lists:
        notes.add("eds-no-lists", None, "no list of objects", "", "every object section was read", Severity.INFO)
        return
    listed: set[int] = set()
    for section in lists:
        entries = [entry for key, entry in section.entries.items() if is_count(key)]
        said = read_number(section, "supportedobjects", notes)
        if said != len(entries):
            sentence = f"[{section.name}] lists {len(entries)} objects, SupportedObjects says {said}"
            line = section.line_of("supportedobjects")
            notes.add("eds-list-count", line, sentence, "", "all that are listed count", Severity.INFO)
        listed |= set(_listed(section, entries, layout, notes))
    for index in layout.indices():
        if index >= FIRST_OBJECT and index not in listed and index in layout.objects:
            section = layout.objects[index]
            sentence = f"[{section.name}] is in no list of objects"
            notes.add("eds-not-listed", section.line, sentence, "", "read all the same", Severity.INFO)


def _listed(section: Section, entries: Iterable[Entry], layout: Layout, notes: Notes) -> Iterator[int]:
    for entry in entries:
        index = entry_number(entry, section, notes) if entry.value else None
        if index is None:
            continue
        yield index
        if index not in layout.objects and index not in layout.subs:
            sentence = f"[{section.name}] lists {index:04X}h, which has no section"
            notes.add("eds-listed-only", entry.line, sentence, f"{entry.key}={entry.value}", "not in the dictionary")
