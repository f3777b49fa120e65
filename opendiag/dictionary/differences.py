"""What differs between two device files: objects, members, and every field of them; lines and order do not count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from opendiag.dictionary.datatypes import Value, type_name
from opendiag.dictionary.eds_spelling import formula_text
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, object_text

#: Where a thing stands is not what it is; members and findings are looked at by themselves.
_IGNORED = frozenset({"line", "source", "index", "subindex", "members", "extra"})
_PARTS = (("device", "DeviceInfo"), ("file", "FileInfo"), ("commissioning", "DeviceComissioning"))
_LISTS = (("dummies", "DummyUsage"), ("connected", "ConnectedModules"))


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind`` is "added" (only the second file has it), "removed" (only the first) or "changed".

    ``index`` is None for what is said about the device or the file (``where`` names the section), ``subindex`` None for
    an object as a whole. ``field`` is the field of the model that differs, or the key of the file in ``extra``, "" when
    something was added or removed. ``old`` and ``new`` are its values, None for what is not there.
    """

    kind: str
    where: str
    name: str
    index: int | None = None
    subindex: int | None = None
    field: str = ""
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        named = f"{self.where} {self.name}".rstrip()
        if self.kind != "changed":
            return f"{named}: {self.kind}"
        return f"{named}: {self.field} {text_of(self.field, self.old)} -> {text_of(self.field, self.new)}"


def compare(a: ObjectDictionary, b: ObjectDictionary) -> list[Difference]:
    """Return what makes ``b`` another dictionary than ``a``: of the device, then by index and subindex."""
    return [*_about_the_device(a, b), *_modules(a, b), *_objects(a.objects, b.objects)]


def text_of(field: str, value: Any) -> str:
    """A value of a `Difference` for people."""
    if value is None or value == "":
        return "nothing"
    if field == "data_type" and isinstance(value, int):
        return type_name(value)
    if isinstance(value, ObjectType):
        return value.name
    if isinstance(value, NodeIdPlus):
        return formula_text(value)
    if isinstance(value, bytes):
        return value.hex(" ").upper()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return f"{value} (0x{value:X})" if value > 9 else str(value)
    if isinstance(value, tuple | frozenset):
        return ", ".join(str(each) for each in (sorted(value) if isinstance(value, frozenset) else value)) or "nothing"
    return repr(value) if isinstance(value, str) else str(value)


def _about_the_device(a: ObjectDictionary, b: ObjectDictionary) -> Iterator[Difference]:
    for attribute, section in _PARTS:
        for field, old, new in _changes(getattr(a, attribute), getattr(b, attribute)):
            yield Difference("changed", f"[{section}]", "", None, None, field, old, new)
    for attribute, section in _LISTS:
        old, new = getattr(a, attribute), getattr(b, attribute)
        if old != new:
            yield Difference("changed", f"[{section}]", "", None, None, attribute, old, new)
    lines, other = dict(enumerate(a.comments, 1)), dict(enumerate(b.comments, 1))
    for number, _, was, now in _pairs(lines, other):
        if was != now:
            yield Difference("changed", "[Comments]", "", None, None, f"Line{number}", was, now)
    sections, others = _plain(a.sections), _plain(b.sections)
    for _, kind, old, new in _pairs(sections, others):
        name, _ = old or new
        if old is None or new is None:
            yield Difference(kind, f"[{name}]", "")
        else:
            for key, before, after in _texts(old[1], new[1]):
                yield Difference("changed", f"[{name}]", "", None, None, key, before, after)


def _plain(named: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Small name -> (name as written, what it names): CiA 306 does not tell capitals from small letters."""
    return {name.lower(): (name, what) for name, what in named.items()}


def _texts(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str | None, str | None]]:
    """(key, old, new) of the texts that differ."""
    for _, _, before, after in _pairs(_plain(old), _plain(new)):
        if (before and before[1]) != (after and after[1]):
            yield (after or before)[0], before and before[1], after and after[1]


def _modules(a: ObjectDictionary, b: ObjectDictionary) -> Iterator[Difference]:
    for number, kind, old, new in _pairs(a.modules, b.modules):
        where = f"module {number}"
        if old is None or new is None:
            yield Difference(kind, where, (old or new).product_name if old or new else "")
            continue
        for field, before, after in _changes(old, new):
            if field not in ("fixed", "extends"):
                yield Difference("changed", where, new.product_name, None, None, field, before, after)
        for each in (*_objects(old.fixed, new.fixed), *_objects(old.extends, new.extends)):
            yield _inside(where, each)


def _inside(where: str, each: Difference) -> Difference:
    """The same difference, of an object that a module brings."""
    place = f"{where} {each.where}"
    return Difference(each.kind, place, each.name, each.index, each.subindex, each.field, each.old, each.new)


def _objects(a: Mapping[int, Object], b: Mapping[int, Object]) -> Iterator[Difference]:
    for index, kind, old, new in _pairs(a, b):
        where = f"{index:04X}h"
        if old is None or new is None:
            there = old or new
            yield Difference(kind, where, there.name if there else "", index)
            continue
        single = _is_single(old) and _is_single(new)
        for field, before, after in _changes(old, new):
            # The name of a single value is that of its only member, which is compared next.
            if not single or field not in ("name", "denotation", "flags"):
                yield Difference("changed", where, new.name, index, None, field, before, after)
        yield from _members(old, new)


def _is_single(found: Object) -> bool:
    return found.object_type in (ObjectType.VAR, ObjectType.DOMAIN) and list(found.members) == [0]


def _members(old: Object, new: Object) -> Iterator[Difference]:
    for subindex, kind, before, after in _pairs(old.members, new.members):
        where = object_text(new.index, subindex)
        if before is None or after is None:
            there = before or after
            yield Difference(kind, where, there.name if there else "", new.index, subindex)
            continue
        for field, was, now in _changes(before, after):
            yield Difference("changed", where, after.name, new.index, subindex, field, was, now)


def _changes(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """(field, old, new) of two dataclasses of one kind; the keys of ``extra`` are fields like the others."""
    for each in fields(old):
        if each.name in _IGNORED:
            continue
        before, after = getattr(old, each.name), getattr(new, each.name)
        if not _same(before, after):
            yield each.name, before, after
    yield from _texts(old.extra, new.extra)


def _same(a: Value | None, b: Value | None) -> bool:
    """True is 1 in a file, and not a number is what it is."""
    return a == b or (a != a and b != b)


def _pairs(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Iterator[tuple[Any, str, Any, Any]]:
    """(key, "added", "removed" or "both", of a, of b) in the order of the keys."""
    for key in sorted(a.keys() | b.keys()):
        kind = "added" if key not in a else "removed" if key not in b else "both"
        yield key, kind, a.get(key), b.get(key)
