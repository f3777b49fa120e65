"""The text of an EDS or DCF with only that changed in which a dictionary differs from what the text says.

Both are rendered (`eds_render`) and compared key by key; the differences are made in the lines of the text, which is
then read again. Where a part of it still does not say what it should (sections that stand twice, members that a
compact array describes, too) that object is written afresh.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from opendiag.dictionary.document import Document
from opendiag.dictionary.eds import parse
from opendiag.dictionary.eds_lines import Lines, line_end, numbered
from opendiag.dictionary.eds_objects import FIRST_OBJECT
from opendiag.dictionary.eds_render import LISTS, Block, SectionId, list_of, render, section_id
from opendiag.dictionary.eds_spelling import decimal, hexadecimal, in_style_of
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import DictionaryFileError

Blocks = dict[SectionId, Block]

_LISTS = {name: section_id(name) for name in LISTS}
_SPARSE = ("name", "value", "denotation")


def patched(dictionary: ObjectDictionary, document: Document, *, dcf: bool) -> str:
    """The document's text, changed as the dictionary was. ``dcf``: it becomes a DCF."""
    base = parse(document.text, dictionary.name)
    have = _table(render(base, dcf=document.kind == "dcf"))
    want = _table(render(dictionary, dcf=dcf, was=base.objects))
    if _same(have, want):
        return document.text
    text = _changed(document.text, have, want)
    wrong = _units_that_differ(text, want, dcf)
    return _afresh(text, want, wrong) if wrong else text


def _table(blocks: Iterable[Block]) -> Blocks:
    """By identity, the lists of objects left out: what they say follows from the sections."""
    return {block.id: block for block in blocks if block.id not in _LISTS.values()}


def _same(have: Blocks, want: Blocks) -> bool:
    return have.keys() == want.keys() and all(have[section].entries == want[section].entries for section in want)


def _changed(text: str, have: Blocks, want: Blocks) -> str:
    lines = Lines(text)
    for section in have:
        if section not in want and section in lines:
            lines.remove(section)
    behind: int | None = None
    for section, block in want.items():
        before = have.get(section)
        if section in lines:
            _change_section(lines, section, before.entries if before else {}, block.entries)
            behind = lines.last(section)
        elif before is None or before.entries != block.entries:
            lines.insert_section(behind, block.name, block.entries)
    _update_lists(lines, _objects(have), _objects(want))
    return lines.text()


def _change_section(lines: Lines, section: SectionId, before: dict[str, str], now: dict[str, str]) -> None:
    there = lines.entries(section)
    old = {key.lower(): value for key, value in before.items()}
    new = {key.lower(): value for key, value in now.items()}
    for key in old.keys() - new.keys():
        lines.remove_key(section, key)
    if section[-1] in _SPARSE and old != new:
        kept = {str(number) for number, _ in numbered(there)} - (old.keys() - new.keys())
        new["nrofentries"] = decimal(len(kept | {key for key in new if key.isdigit()}))
        old.pop("nrofentries", None)
    behind = lines.first(section)
    for name in now:
        key = name.lower()
        line = there.get(key)
        if line is not None:
            behind = line
        if old.get(key) == new[key]:
            continue
        if line is None:
            lines.insert_entry(behind, name, new[key])
        else:
            _change_value(lines, line, old.get(key, ""), new[key])


def _change_value(lines: Lines, line: int, before: str, now: str) -> None:
    """In the old number's style; what stands behind a semicolon that is no part of the value stays."""
    value = lines.value(line)
    body, semicolon, comment = value.partition(";")
    if semicolon and body.strip() and ";" not in before:
        gap = body[len(body.rstrip()) :]
        lines.set_value(line, in_style_of(body.strip(), now) + gap + semicolon + comment)
    elif value != now:
        lines.set_value(line, in_style_of(value, now))


# --- the lists of objects ---


def _objects(blocks: Blocks) -> set[int]:
    found = {section[1] for section in blocks if section[0] == "object"}
    return {index for index in found if isinstance(index, int) and index >= FIRST_OBJECT}


def _update_lists(lines: Lines, had: set[int], has: set[int]) -> None:
    """Take out what is gone, put in what is new where it belongs by number. A file without lists gets none."""
    if had == has or not any(section in lines for section in _LISTS.values()):
        return
    behind: int | None = None
    for name, section in _LISTS.items():
        new = sorted(index for index in has - had if list_of(index) == name)
        if section in lines:
            _update_list(lines, section, had - has, new)
            behind = lines.last(section)
        elif new:
            entries = {str(number): hexadecimal(index) for number, index in enumerate(new, 1)}
            lines.insert_section(behind, name, {"SupportedObjects": decimal(len(new)), **entries})


def _update_list(lines: Lines, section: SectionId, gone: set[int], new: list[int]) -> None:
    there = lines.entries(section)
    listed = numbered(there)
    before = [_index(lines.value(line)) for _, line in listed]
    after = [index for index in before if index not in gone]
    in_order = after == sorted(after)
    for index in new:
        if index in after:
            continue
        if in_order:
            insort(after, index)
        else:
            after.append(index)
    if after == before:
        return
    for place, (number, line) in enumerate(listed):
        if place >= len(after):
            lines.remove_key(section, str(number))
        elif after[place] != before[place]:
            lines.set_value(line, in_style_of(lines.value(line), hexadecimal(after[place])))
    last_number, last_line = listed[-1] if listed else (0, lines.last(section))
    for number, index in enumerate(after[len(listed) :], last_number + 1):
        lines.insert_entry(last_line, str(number), hexadecimal(index))
    count = there.get("supportedobjects")
    if count is None:
        lines.insert_entry(lines.first(section), "SupportedObjects", decimal(len(after)))
    else:
        lines.set_value(count, in_style_of(lines.value(count), decimal(len(after))))


def _index(text: str) -> int:
    """-1 for what is no number."""
    try:
        return int(text, 0)
    except ValueError:
        return -1


# --- what could not be changed line by line ---


def _units_that_differ(text: str, want: Blocks, dcf: bool) -> set[SectionId]:
    """The objects, modules and other sections that a reader of this text does not find as they should be."""
    try:
        again = parse(text, "")
    except DictionaryFileError:
        return {section[:2] for section in want}
    told = _table(render(again, dcf=dcf))
    return {
        section[:2]
        for section in told.keys() | want.keys()
        if section not in told or section not in want or told[section].entries != want[section].entries
    }


def _afresh(text: str, want: Blocks, units: set[SectionId]) -> str:
    lines = Lines(text)
    for section in lines.ids():
        if section[:2] in units and section not in _LISTS.values():
            lines.remove(section)
    behind: int | None = None
    for section, block in want.items():
        if section in lines:
            behind = lines.last(section)
        elif section[:2] in units:
            lines.insert_section(behind, block.name, block.entries)
    made = lines.text()
    return made if made.endswith(line_end(text)) else made + line_end(text)
