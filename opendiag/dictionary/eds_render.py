"""An `ObjectDictionary` as the sections of an EDS or DCF (CiA 306): their names, their order, their keys and values.

`eds_write` makes a text of them; `eds_patch` compares those of two dictionaries to find what was changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opendiag.dictionary.datatypes import DataType, Value
from opendiag.dictionary.eds_compact_pdo import add_compact_pdos
from opendiag.dictionary.eds_device import (
    COMMISSIONING_KEYS,
    DEVICE_NUMBERS,
    DEVICE_SWITCHES,
    DEVICE_TEXTS,
    FILE_KEYS,
)
from opendiag.dictionary.eds_objects import FIRST_OBJECT
from opendiag.dictionary.eds_spelling import decimal, factor_text, hexadecimal, one_line, value_text
from opendiag.dictionary.model import (
    Commissioning,
    DeviceInfo,
    Module,
    NodeIdPlus,
    Object,
    ObjectDictionary,
    ObjectType,
    Variable,
)

SectionId = tuple[str | int | None, ...]

_OBJECT = re.compile(
    r"(?:m(\d{1,3})(fixed|subext))?([0-9a-f]{1,4})(?:sub([0-9a-f]{1,2})|(name|value|denotation|objectlinks))?"
)
_MODULE = re.compile(r"m(\d{1,3})(moduleinfo|comments|fixedobjects|subextends)")
_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.DEFTYPE)
_MANDATORY = (0x1000, 0x1001, 0x1018)
_MANUFACTURER = range(0x2000, 0x6000)
#: In the order of CiA 306.
LISTS = ("MandatoryObjects", "OptionalObjects", "ManufacturerObjects")
_BIT_RATES = (10, 20, 50, 125, 250, 500, 800, 1000)
_DEVICE_ORDER = (
    *("vendor_name", "vendor_id", "product_name", "product_code", "revision", "order_code", "bit_rates"),
    *("boot_up_master", "boot_up_slave", "granularity", "dynamic_channels", "group_messaging", "rpdo_count"),
    *("tpdo_count", "lss_supported", "compact_pdo"),
)
_IDENTITY = ("vendor_id", "product_code", "revision")
_USUAL_DUMMIES = range(1, 8)


@dataclass(frozen=True, slots=True)
class Block:
    """One section: its name and its keys with their values, in order."""

    name: str
    entries: dict[str, str]

    @property
    def id(self) -> SectionId:
        return section_id(self.name)


def section_id(name: str) -> SectionId:
    """Two names with the same result mean the same section, however they are written.

    The first two parts tell to which object, module or other section of the file it belongs.
    """
    key = "".join(name.split()).lower()
    if match := _OBJECT.fullmatch(key):
        module, kind, index, sub, more = match.groups()
        detail = (int(index, 16), None if sub is None else int(sub, 16), more)
        return ("object", *detail) if module is None else ("module", int(module), kind, *detail)
    if match := _MODULE.fullmatch(key):
        return "module", int(match[1]), match[2]
    return "section", "devicecomissioning" if key == "devicecommissioning" else key


def render(dictionary: ObjectDictionary, *, dcf: bool, was: Mapping[int, Object] | None = None) -> Iterator[Block]:
    """All sections in the order of CiA 306. ``dcf``: values of compact arrays are configured values, not defaults.

    A VAR keeps its name twice, in the object and in its member. ``was`` are the objects as they were read: what
    differs from them counts.
    """
    was = was or {}
    usual = _compact_pdos(dictionary.device)
    if (usual.keys() & was.keys()) - dictionary.objects.keys():  # some were taken out: then the others have to be said
        usual = {}
        dictionary = replace(dictionary, device=replace(dictionary.device, compact_pdo=0))
    yield from _about(dictionary, dcf)
    objects = {i: o for i, o in sorted(dictionary.objects.items()) if i not in usual or usual[i] != o}
    for index, found in objects.items():
        if index < FIRST_OBJECT:
            yield from _object(found, f"{index:04X}", dcf, was.get(index))
    for name in LISTS:
        chosen = [index for index in objects if index >= FIRST_OBJECT and list_of(index) == name]
        yield Block(name, _numbered("SupportedObjects", map(hexadecimal, chosen)))
        for index in chosen:
            yield from _object(objects[index], f"{index:04X}", dcf, was.get(index))
    yield from _modules(dictionary, dcf)
    for name, entries in dictionary.sections.items():
        yield Block(one_line(name), _texts(entries))


def list_of(index: int) -> str:
    """The list in which CiA 306 wants an object."""
    if index in _MANDATORY:
        return LISTS[0]
    return LISTS[2] if index in _MANUFACTURER else LISTS[1]


def _compact_pdos(device: DeviceInfo) -> dict[int, Object]:
    """What `CompactPDO` says exists without sections."""
    if not device.compact_pdo:
        return {}
    made = ObjectDictionary("", device=device)
    add_compact_pdos(made)
    return made.objects


# --- all but the objects ---


def _texts(extra: Mapping[str, str]) -> dict[str, str]:
    return {key: one_line(text) for key, text in extra.items()}


def _and_extra(entries: dict[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """A value that could not be used is among ``extra`` until another one takes its place."""
    if not extra:
        return entries
    known = {key.lower() for key in entries}
    return entries | {key: text for key, text in _texts(extra).items() if key.lower() not in known}


def _numbered(count_key: str, values: Iterable[str]) -> dict[str, str]:
    """A counted list: 1=, 2=, ..."""
    entries = {str(number): value for number, value in enumerate(values, 1)}
    return {count_key: decimal(len(entries)), **entries}


def _about(dictionary: ObjectDictionary, dcf: bool) -> Iterator[Block]:
    file = {key: one_line(getattr(dictionary.file, name)) for name, key in FILE_KEYS.items()}
    file = {key: text for key, text in file.items() if text} | _texts(dictionary.file.extra)
    if file:
        yield Block("FileInfo", file)
    yield Block("DeviceInfo", _device(dictionary.device))
    if dcf:
        yield Block("DeviceComissioning", _commissioning(dictionary.commissioning))
    if dictionary.dummies is not None:
        types = sorted({*_USUAL_DUMMIES, *dictionary.dummies})
        yield Block("DummyUsage", {f"Dummy{t:04X}": decimal(t in dictionary.dummies) for t in types})
    if dictionary.comments:
        yield Block("Comments", _comments(dictionary.comments))


def _comments(comments: Sequence[str]) -> dict[str, str]:
    lines = {f"Line{number}": one_line(text) for number, text in enumerate(comments, 1)}
    return {"Lines": decimal(len(lines)), **lines}


def _device(device: DeviceInfo) -> dict[str, str]:
    entries: dict[str, str] = {}
    keys = {**DEVICE_TEXTS, **DEVICE_NUMBERS, **DEVICE_SWITCHES, "compact_pdo": "CompactPDO"}
    for name in _DEVICE_ORDER:
        value = getattr(device, name)
        if name == "bit_rates":
            rates = sorted({*_BIT_RATES, *device.bit_rates}) if device.bit_rates else []
            entries |= {f"BaudRate_{rate}": decimal(rate in device.bit_rates) for rate in rates}
        elif name in _IDENTITY and value is not None:
            entries[keys[name]] = hexadecimal(value, 8)
        elif isinstance(value, str) and value:
            entries[keys[name]] = one_line(value)
        elif isinstance(value, int) and (value or name != "compact_pdo"):
            entries[keys[name]] = decimal(value)
    return _and_extra(entries, device.extra)


def _commissioning(place: Commissioning) -> dict[str, str]:
    entries: dict[str, str] = {}
    for name, key in COMMISSIONING_KEYS.items():
        value = getattr(place, name)
        if isinstance(value, str):
            if value:
                entries[key] = one_line(value)
        elif value is not None:
            entries[key] = hexadecimal(value, 8) if name == "lss_serial_number" else decimal(value)
    return _and_extra(entries, place.extra)


def _modules(dictionary: ObjectDictionary, dcf: bool) -> Iterator[Block]:
    if dictionary.modules:
        yield Block("SupportedModules", {"NrOfEntries": decimal(len(dictionary.modules))})
    for number, module in sorted(dictionary.modules.items()):
        yield from _module(module, f"M{number}", dcf)
    if dictionary.connected:
        yield Block("ConnectedModules", _numbered("NrOfEntries", map(decimal, dictionary.connected)))


def _module(module: Module, prefix: str, dcf: bool) -> Iterator[Block]:
    told = {
        "ProductName": one_line(module.product_name),
        "ProductVersion": "" if module.version is None else decimal(module.version),
        "ProductRevision": "" if module.revision is None else decimal(module.revision),
        "OrderCode": one_line(module.order_code),
    }
    yield Block(f"{prefix}ModuleInfo", {key: text for key, text in told.items() if text} | _texts(module.extra))
    if module.comments:
        yield Block(f"{prefix}Comments", _comments(module.comments))
    for kind, list_name, objects in (("Fixed", "FixedObjects", module.fixed), ("SubExt", "SubExtends", module.extends)):
        if objects:
            indices = sorted(objects)
            yield Block(prefix + list_name, _numbered("NrOfEntries", map(hexadecimal, indices)))
            for index in indices:
                yield from _object(objects[index], f"{prefix}{kind}{index:04X}", dcf)


# --- objects ---


def _object(found: Object, name: str, dcf: bool, was: Object | None = None) -> Iterator[Block]:
    """The sections of one object; ``name`` is that of the first."""
    if _is_single(found):
        yield Block(name, _single(found, was))
    elif (compact := _compact(found, name, dcf)) is not None:
        yield from compact
    else:
        yield Block(name, _head(found))
        for subindex, member in sorted(found.members.items()):
            assumed = found.data_type if subindex else DataType.UNSIGNED8
            entries = _variable(member, member.name, ObjectType.VAR, _type_text(member.data_type, assumed))
            yield Block(f"{name}sub{subindex:X}", entries)
    if found.links:
        yield Block(f"{name}ObjectLinks", _numbered("ObjectLinks", map(hexadecimal, found.links)))


def _is_single(found: Object) -> bool:
    if found.object_type not in _SINGLE or set(found.members) != {0}:
        return False
    return found.object_type != ObjectType.DEFTYPE or found.members[0].name == found.name


def _head(found: Object) -> dict[str, str]:
    entries: dict[str, str] = {
        "ParameterName": one_line(found.name),
        "ObjectType": hexadecimal(found.object_type, 1),
    }
    if found.object_type not in (*_SINGLE, ObjectType.NULL) or found.members:
        entries["SubNumber"] = decimal(len(found.members))
    if found.data_type:
        entries["DataType"] = hexadecimal(found.data_type)
    if found.flags:
        entries["ObjFlags"] = decimal(found.flags)
    if found.denotation:
        entries["Denotation"] = one_line(found.denotation)
    return _and_extra(entries, found.extra)


def _single(found: Object, was: Object | None) -> dict[str, str]:
    """An object that is its only member. Of what both say of it the one that was changed counts."""
    member = found.members[0]
    if was is None:
        name, flags, denotation = found.name, found.flags or member.flags, found.denotation or member.denotation
    else:
        name = member.name if was.name == found.name else found.name
        flags = member.flags if was.flags == found.flags else found.flags
        denotation = member.denotation if was.denotation == found.denotation else found.denotation
    member = replace(member, flags=flags, denotation=denotation)
    assumed = DataType.DOMAIN if found.object_type == ObjectType.DOMAIN else 0
    return _variable(member, name, found.object_type, _type_text(member.data_type, assumed))


def _variable(variable: Variable, name: str, object_type: ObjectType, data_type: str) -> dict[str, str]:
    optional = {
        "DataType": data_type,
        "LowLimit": value_text(variable.low, variable),
        "HighLimit": value_text(variable.high, variable),
        "AccessType": variable.access,
        "DefaultValue": value_text(variable.default, variable),
        "ParameterValue": value_text(variable.value, variable),
        "PDOMapping": decimal(variable.pdo_mappable),
        "ObjFlags": decimal(variable.flags) if variable.flags else "",
        "Denotation": one_line(variable.denotation),
        "Unit": one_line(variable.unit),
        "Factor": "" if variable.factor == 1.0 else factor_text(variable.factor),
        "AltUnit": one_line(variable.alt_unit),
        "AltFactor": "" if variable.alt_factor == 1.0 else factor_text(variable.alt_factor),
    }
    entries: dict[str, str] = {"ParameterName": one_line(name)}
    if "objecttype" not in map(str.lower, variable.extra):  # of a member that calls itself something else
        entries["ObjectType"] = hexadecimal(object_type, 1)
    return _and_extra(entries | {key: text for key, text in optional.items() if text}, variable.extra)


def _type_text(data_type: int, assumed: int) -> str:
    """Left out where the file said none, unless a reader then assumes another."""
    return hexadecimal(data_type) if data_type or assumed else ""


# --- compact arrays ---


def _compact(found: Object, name: str, dcf: bool) -> list[Block] | None:
    """An array as one section and lists of what differs; None when its members have too little in common."""
    count = len(found.members) - 1
    if not found.compact or not 1 <= count <= 254 or set(found.members) != set(range(count + 1)):
        return None
    if _bare(found.members[0]) != Variable(found.index, 0, "NrOfObjects", DataType.UNSIGNED8, "ro", default=count):
        return None
    members = [found.members[subindex] for subindex in range(1, count + 1)]
    special = "value" if dcf else "default"
    pattern = _pattern(found, members, special)
    if pattern is None:
        return None
    usual = getattr(pattern, special)
    lists: dict[str, dict[int, str]] = {"Name": {}, "Value": {}, "Denotation": {}}
    for subindex, member in enumerate(members, 1):
        if member.name != f"{found.name}{subindex}":
            lists["Name"][subindex] = one_line(member.name)
        if getattr(member, special) != usual:
            lists["Value"][subindex] = value_text(getattr(member, special), member)
        if member.denotation != pattern.denotation:
            lists["Denotation"][subindex] = one_line(member.denotation)
    if not all(text for told in lists.values() for text in told.values()):
        return None
    head = _variable(pattern, found.name, found.object_type, _type_text(found.data_type, 0))
    if "compactsubobj" not in map(str.lower, pattern.extra):  # of a file that says more than there can be
        head["CompactSubObj"] = decimal(count)
    blocks = [Block(name, head)]
    for kind, told in lists.items():
        if told:
            numbered = {str(subindex): text for subindex, text in told.items()}
            blocks.append(Block(name + kind, {"NrOfEntries": decimal(len(told)), **numbered}))
    return blocks


def _pattern(found: Object, members: Sequence[Variable], special: str) -> Variable | None:
    """What the array's own section says of all members, with the most frequent of the values that may differ."""
    values = [getattr(member, special) for member in members]
    usual = None if None in values else _most_frequent(values)
    blank: dict[str, Any] = {"subindex": 1, "name": "", special: usual, "denotation": found.denotation}
    pattern = replace(_bare(members[0]), **blank)
    if (pattern.data_type, pattern.flags, pattern.extra) != (found.data_type, found.flags, found.extra):
        return None
    if any(replace(_bare(member), **blank) != pattern for member in members):
        return None
    return pattern


def _most_frequent(values: Sequence[Value | NodeIdPlus]) -> Value | NodeIdPlus:
    return Counter(values).most_common(1)[0][0]


def _bare(variable: Variable) -> Variable:
    return replace(variable, line=None, source="eds")
