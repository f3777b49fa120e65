"""The object sections of an EDS put together: heads, members, compact arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from opendiag.dictionary.datatypes import DataType, type_name
from opendiag.dictionary.eds_sections import Entry, Notes, Section, is_count, short
from opendiag.dictionary.eds_values import bad_value, entry_number, entry_value, read_factor, read_number, read_value
from opendiag.dictionary.model import Object, ObjectType, Variable
from opendiag.findings import Severity

#: CiA 301: indices below are data types, not values of the device.
FIRST_OBJECT = 0x1000
_ACCESS = ("ro", "wo", "rw", "rwr", "rww", "const")
_LAST_STANDARD_TYPE = int(max(DataType))
_STANDARD_TYPES = frozenset(int(data_type) for data_type in DataType)
#: The usual ways to write 7, and to write nothing.
_VAR_TEXTS = ("0x7", "7", "0x07", "0x0007", "")
_TEXTS = {"unit": "unit", "altunit": "alt_unit", "denotation": "denotation"}
_FACTORS = {"factor": "factor", "altfactor": "alt_factor"}
_OBJECT_TYPES = frozenset(int(object_type) for object_type in ObjectType)
#: Of all compact arrays of a file together; a few bytes of text can stand for a lot.
_MAX_COMPACT = 0x10000
_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.DEFTYPE)
#: Keys of an object or member that have a meaning here; the others are kept as they are.
VARIABLE_KEYS = frozenset(
    (
        *("parametername", "objecttype", "subnumber", "datatype", "accesstype", "defaultvalue", "parametervalue"),
        *("lowlimit", "highlimit", "pdomapping", "compactsubobj", "objflags", "denotation"),
        *("unit", "factor", "altunit", "altfactor"),
    )
)


#: Those of an object that say nothing of its members.
_HEAD_KEYS = frozenset(
    ("parametername", "objecttype", "subnumber", "datatype", "compactsubobj", "objflags", "denotation")
)
#: A data type has no value, so what is said of one is only kept.
_TYPE_KEYS = _HEAD_KEYS - {"subnumber", "datatype"}
_NONE: Mapping[str, str] = {}


@dataclass(slots=True)
class Layout:
    """Which section describes which object; ``compact`` by (index, "name", "value", "denotation" or "objectlinks")."""

    objects: dict[int, Section] = field(default_factory=dict)
    subs: dict[int, dict[int, Section]] = field(default_factory=dict)
    compact: dict[tuple[int, str], Section] = field(default_factory=dict)
    is_dcf: bool = False

    def indices(self) -> list[int]:
        return sorted(self.objects.keys() | self.subs.keys())

    def put(self, index: int, sub: str | None, kind: str | None, section: Section, notes: Notes) -> None:
        """``sub`` is the subindex as written, ``kind`` what else of the object it describes. The first one counts."""
        if sub is not None:
            known = self.subs.setdefault(index, {}).setdefault(int(sub, 16), section)
        elif kind is not None:
            known = self.compact.setdefault((index, kind), section)
        else:
            known = self.objects.setdefault(index, section)
        if known is not section:
            sentence = f"[{section.name}] describes the same as [{known.name}]"
            notes.add("eds-duplicate-section", section.line, sentence, "", f"line {known.line} counts")


def _type_aliases(layout: Layout) -> dict[int, int]:
    """Map own data types below 1000h that only dress up a standard one (CANfestival) to that one.

    Such a DEFSTRUCT holds the standard type's number as default of its subindex 1.
    """
    aliases = {}
    for index, members in layout.subs.items():
        if _LAST_STANDARD_TYPE < index < FIRST_OBJECT and (base := members.get(1)) is not None:
            number = read_number(base, "defaultvalue", Notes(""))
            if number is not None and number in _STANDARD_TYPES:
                aliases[index] = number
    return aliases


class _Lists(NamedTuple):
    """What [xxxxName], [xxxxValue] and [xxxxDenotation] of a compact array say, by subindex."""

    names: Mapping[int, Entry] = {}
    values: Mapping[int, Entry] = {}
    denotations: Mapping[int, Entry] = {}


_NO_LISTS = _Lists()
_LIST_KINDS = ("name", "value", "denotation")


class Builder:
    """Makes the objects of one file."""

    def __init__(self, layout: Layout, notes: Notes) -> None:
        self._layout = layout
        self._notes = notes
        self._aliases = _type_aliases(layout)

    def build(self, index: int) -> Object:
        subs = self._layout.subs.get(index, {})
        section = self._layout.objects.get(index)
        if section is None:
            return self._orphans(index, subs)
        compact = self._compact_count(section)
        object_type = self._object_type(section, bool(subs), bool(compact))
        found = self._head(index, section, object_type, compact)
        if index < FIRST_OBJECT and object_type in _SINGLE:
            return found
        lists = self._lists(index, compact)
        if compact:
            found.members = dict(self._compact(section, found, compact, lists))
            found.extra = section.others(VARIABLE_KEYS)
        if subs or compact:
            own = self._members(index, subs, section)
            found.members.update(own if lists is _NO_LISTS else self._listed_too(own, lists))
            self._check_sub_number(section, len(subs), compact)
        elif object_type in _SINGLE:
            found.members[0] = self._variable(section, index, 0, found.name)
            found.flags = found.members[0].flags
        elif object_type != ObjectType.NULL:
            sentence = f"[{section.name}] is {object_type.name} but has no members"
            self._notes.add("eds-no-members", section.line, sentence, "", "kept without values")
        return found

    def _head(self, index: int, section: Section, object_type: ObjectType, compact: int) -> Object:
        """The object without its members."""
        single = object_type in _SINGLE
        is_value = single and index >= FIRST_OBJECT
        return Object(
            index,
            self._name(section, f"Object {index:04X}h"),
            object_type,
            data_type=0 if single else read_number(section, "datatype", self._notes) or 0,
            compact=compact,
            flags=0 if is_value else read_number(section, "objflags", self._notes) or 0,
            denotation=section.text("denotation"),
            links=self._links(index),
            extra=_NONE if is_value else section.others(_TYPE_KEYS if single else _HEAD_KEYS),
            line=section.line,
        )

    def _links(self, index: int) -> tuple[int, ...]:
        section = self._layout.compact.get((index, "objectlinks"))
        if section is None:
            return ()
        entries = [entry for key, entry in section.entries.items() if is_count(key) and entry.value]
        numbers = [entry_number(entry, section, self._notes) for entry in entries]
        return tuple(number for number in numbers if number is not None)

    def _compact_count(self, section: Section) -> int:
        count = read_number(section, "compactsubobj", self._notes) or 0
        if count > 254:
            bad_value(section.entries["compactsubobj"], section, "more than 254", self._notes, "read as 254")
        count = min(count, 254)
        self._notes.members += count
        if self._notes.members > _MAX_COMPACT:
            what = f"too much: more than {_MAX_COMPACT} members in compact arrays"
            bad_value(section.entries["compactsubobj"], section, what, self._notes, "read as 0")
            return 0
        return count

    def _orphans(self, index: int, subs: dict[int, Section]) -> Object:
        first = min(subs.values(), key=lambda sub: sub.line)
        sentence = f"[{first.name}] belongs to [{index:04X}], which is missing"
        self._notes.add("eds-orphan-member", first.line, sentence, "", "read as members of a RECORD")
        members = dict(self._members(index, subs, None))
        return Object(index, f"Object {index:04X}h", ObjectType.RECORD, members)

    def _members(self, index: int, subs: dict[int, Section], parent: Section | None) -> Iterator[tuple[int, Variable]]:
        for subindex in sorted(subs):
            section = subs[subindex]
            name = self._name(section, f"Subindex {subindex:02X}h")
            if section.text("objecttype") not in _VAR_TEXTS:
                self._check_member_type(section)
            yield subindex, self._variable(section, index, subindex, name, parent)

    def _check_member_type(self, section: Section) -> None:
        """The model has no place for it; a writer needs it all the same."""
        number = read_number(section, "objecttype", self._notes)
        if number is None or number == ObjectType.VAR:
            return
        section.refuse("objecttype")
        if number != ObjectType.DOMAIN:
            line, evidence = section.line_of("objecttype"), section.text("objecttype")
            sentence = f"[{section.name}] is a member but no VAR"
            self._notes.add("eds-object-type", line, sentence, evidence, "read as VAR", Severity.INFO)

    def _listed_too(self, members: Iterable[tuple[int, Variable]], lists: _Lists) -> Iterator[tuple[int, Variable]]:
        """What the section of a member leaves open, the lists of a compact array may say."""
        key = "value" if self._layout.is_dcf else "default"
        for subindex, member in members:
            valued, denoted = lists.values.get(subindex), lists.denotations.get(subindex)
            if valued is not None and getattr(member, key) is None:
                section = self._layout.compact[member.index, "value"]
                said = entry_value(valued, section, member.data_type, self._notes)
                member = replace(member, value=said) if key == "value" else replace(member, default=said)
            if denoted is not None and not member.denotation:
                member = replace(member, denotation=denoted.value)
            yield subindex, member

    def _object_type(self, section: Section, has_subs: bool, is_compact: bool) -> ObjectType:
        """CiA 306: without ObjectType it is a VAR. What has members is none, whatever the file says."""
        number = read_number(section, "objecttype", self._notes)
        with_members = has_subs or is_compact
        guess = ObjectType.ARRAY if is_compact else ObjectType.RECORD if has_subs else ObjectType.VAR
        if number is not None and number in _OBJECT_TYPES:
            object_type = ObjectType(number)
            if not with_members or object_type not in (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.NULL):
                return object_type
            what = f"[{section.name}] is {object_type.name} but has members"
        elif number is None and not with_members:
            return guess
        else:
            what = f"[{section.name}] has no usable ObjectType"
        line, evidence = section.line_of("objecttype"), section.text("objecttype")
        self._notes.add("eds-object-type", line, what, evidence, f"read as {guess.name}")
        return guess

    def _name(self, section: Section, instead: str) -> str:
        if name := section.text("parametername"):
            return name
        sentence = f"[{section.name}] has no ParameterName"
        self._notes.add("eds-no-name", section.line, sentence, "", f"called {instead!r}")
        return instead

    def _variable(
        self, section: Section, index: int, subindex: int, name: str, parent: Section | None = None
    ) -> Variable:
        notes, entries = self._notes, section.entries
        data_type = self._data_type(section, subindex, parent)
        low = read_value(section, "lowlimit", data_type, notes) if "lowlimit" in entries else None
        high = read_value(section, "highlimit", data_type, notes) if "highlimit" in entries else None
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            evidence = f"LowLimit={section.text('lowlimit')} HighLimit={section.text('highlimit')}"
            sentence = f"LowLimit of [{section.name}] is above HighLimit"
            notes.add("eds-limits-crossed", section.line_of("lowlimit"), sentence, evidence, "both left out")
            low = high = None
            section.refuse("lowlimit")
            section.refuse("highlimit")
        told: dict[str, Any] = {}
        if "parametervalue" in entries:
            told["value"] = read_value(section, "parametervalue", data_type, notes)
        for key, attribute in _FACTORS.items():
            if key in entries:
                told[attribute] = read_factor(section, key, notes)
        for key, attribute in _TEXTS.items():
            if key in entries:
                told[attribute] = entries[key].value
        if "objflags" in entries:
            told["flags"] = read_number(section, "objflags", notes) or 0
        return Variable(
            index,
            subindex,
            name,
            data_type,
            self._access(section),
            default=read_value(section, "defaultvalue", data_type, notes),
            low=low,
            high=high,
            pdo_mappable=bool(read_number(section, "pdomapping", notes)),
            **told,
            extra=section.others(VARIABLE_KEYS),
            line=section.line,
        )

    def _data_type(self, section: Section, subindex: int, parent: Section | None) -> int:
        number = read_number(section, "datatype", self._notes)
        if number is None:
            return self._missing_data_type(section, subindex, parent)
        if number in self._aliases:
            evidence, assumed = f"DataType={section.text('datatype')}", f"read as {type_name(self._aliases[number])}"
            line, sentence = section.line_of("datatype"), f"[{section.name}] has a data type of the file's own"
            self._notes.add("eds-own-type", line, sentence, evidence, assumed, Severity.INFO)
            return self._aliases[number]
        if number not in _STANDARD_TYPES:
            self._note_own_type(number, section)
        return number

    def _note_own_type(self, number: int, section: Section) -> None:
        described = number in self._layout.objects
        self._notes.add(
            "eds-own-type",
            section.line_of("datatype"),
            f"[{section.name}] has {'a data type of the file' if described else 'an unknown data type'}",
            f"DataType={section.text('datatype')}",
            "its values stay bytes",
            Severity.INFO if described else Severity.WARNING,
        )

    def _missing_data_type(self, section: Section, subindex: int, parent: Section | None) -> int:
        silent = Notes("")  # what is odd about these keys has been noted where they belong
        if read_number(section, "objecttype", silent) == ObjectType.DOMAIN:
            return DataType.DOMAIN
        assumed = 0
        if parent is not None:
            assumed = read_number(parent, "datatype", silent) or 0
            if subindex == 0:
                assumed = DataType.UNSIGNED8
        as_what = f"read as {type_name(assumed)}" if assumed else "its values stay bytes"
        self._notes.add("eds-no-data-type", section.line, f"[{section.name}] has no DataType", "", as_what)
        return assumed

    def _access(self, section: Section) -> str:
        text = section.text("accesstype")
        access = text.partition(";")[0].strip().lower().replace("/", "")
        if access in _ACCESS:
            return access
        line = section.line_of("accesstype")
        if not text:
            self._notes.add("eds-no-access", line, f"[{section.name}] has no AccessType", "", "access is not known")
        else:
            sentence = f"[{section.name}] has an unknown AccessType"
            self._notes.add("eds-bad-access", line, sentence, f"AccessType={text}", "access is not known")
            section.refuse("accesstype")
        return ""

    def _check_sub_number(self, section: Section, found: int, compact: int) -> None:
        """SubNumber counts the sections that follow, subindex 0 among them."""
        if compact:
            return
        said = read_number(section, "subnumber", self._notes)
        if said != found:
            sentence = f"[{section.name}] has {found} members, SubNumber says {'nothing' if said is None else said}"
            line = section.line_of("subnumber")
            self._notes.add("eds-sub-number", line, sentence, "", "those that are there were read", Severity.INFO)

    def _compact(self, section: Section, parent: Object, count: int, lists: _Lists) -> Iterator[tuple[int, Variable]]:
        """Members 0..count of an array written as one section (CompactSubObj)."""
        index = parent.index
        yield 0, Variable(index, 0, "NrOfObjects", DataType.UNSIGNED8, "ro", default=count, line=section.line)
        pattern = self._variable(section, index, 1, parent.name)
        usual = {each.name: getattr(pattern, each.name) for each in fields(Variable)}  # replace() is slow
        for subindex in range(1, count + 1):
            named, valued = lists.names.get(subindex), lists.values.get(subindex)
            default, value = pattern.default, pattern.value
            if valued is not None:
                special = entry_value(valued, self._layout.compact[index, "value"], pattern.data_type, self._notes)
                default, value = (default, special) if self._layout.is_dcf else (special, value)
            denoted = lists.denotations.get(subindex)
            usual |= {
                "subindex": subindex,
                "name": named.value if named else f"{short(parent.name)}{subindex}",
                "default": default,
                "value": value,
                "denotation": denoted.value if denoted else pattern.denotation,
            }
            yield subindex, Variable(**usual)

    def _lists(self, index: int, count: int) -> _Lists:
        compact = self._layout.compact
        if not compact or not any((index, kind) in compact for kind in _LIST_KINDS):
            return _NO_LISTS
        return _Lists(*(self._compact_entries(index, kind, count or 254) for kind in _LIST_KINDS))

    def _compact_entries(self, index: int, kind: str, count: int) -> dict[int, Entry]:
        """Read what [xxxxName] or [xxxxValue] says, by subindex."""
        section = self._layout.compact.get((index, kind))
        if section is None:
            return {}
        found = {}
        for entry in section.entries.values():
            if is_count(entry.key) and 0 < int(entry.key) <= count:
                if entry.value:
                    found[int(entry.key)] = entry
            elif entry.key.lower() != "nrofentries":
                bad_value(entry, section, f"for no subindex of 1..{count}", self._notes)
        return found
