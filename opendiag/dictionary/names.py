"""From the name of an object to its index, in a device's dictionary or in the CiA tables.

Capitals, blanks, hyphens and underscores make no difference: "Modes of Operation" is "modes-of-operation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache

from opendiag.dictionary import builtin
from opendiag.dictionary.model import ObjectDictionary, ObjectType
from opendiag.errors import ObjectNotFound

_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN)
_IGNORED = re.compile(r"[\s_\-]+")
_NUMBER = re.compile(r"(?:0x)?([0-9a-f]{4})h?(?:[:.](?:0x)?([0-9a-f]{1,2})h?)?", re.IGNORECASE)
#: Subindex None: the object as a whole, an array or a record.
Key = tuple[int, int | None]


def find(name: str, dictionary: ObjectDictionary | None) -> Key:
    """Index and subindex of "Statusword", "Identity Object", "Identity Object.Vendor ID" or "6041:00".

    An index that is written out need not be in the dictionary. Raises ObjectNotFound, which says what comes close.
    """
    number = number_of(name)
    if number is not None:
        return number
    keys = _builtin_keys() if dictionary is None else _keys(dictionary)
    found = keys.get(plain(name))
    if found is not None:
        return found[1]
    objects = {whole: key[0] for whole, (_, key) in keys.items() if key[1] is None}
    indices = [(objects[whole], part) for whole, part in _splits(name) if whole in objects]
    for index, part in indices:
        if (subindex := _subindex(part, index, dictionary)) is not None:
            return index, subindex
    if indices:
        index, part = indices[0]
        return index, member(part, index, dictionary)
    close = get_close_matches(plain(name), list(keys), n=3, cutoff=0.6)
    source = "the table of CiA 301, 302 and 402" if dictionary is None else dictionary.name
    hint = f" (close: {', '.join(repr(keys[key][0]) for key in close)})" if close else ""
    raise ObjectNotFound(f"named {name!r}{hint}", source)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Plain name of an object and name of a member, for each point that may stand between them."""
    for place in range(len(name) - 1, -1, -1):
        if name[place] == ".":
            yield plain(name[:place]), name[place + 1 :]


def number_of(text: str) -> Key | None:
    """Index and subindex of "6041", "0x6041", "6041h" or "6041:00"; None for what is not written as a number."""
    number = _NUMBER.fullmatch(text.strip())
    return None if number is None else (int(number[1], 16), int(number[2], 16) if number[2] else None)


def member(name: str, index: int, dictionary: ObjectDictionary | None) -> int:
    """The subindex of a member of an array or record by its name alone. Raises ObjectNotFound."""
    subindex = _subindex(name, index, dictionary)
    if subindex is None:
        source = "the CiA tables" if dictionary is None else dictionary.name
        names = ", ".join(repr(text) for _, text in _members(index, dictionary))
        raise ObjectNotFound(f"{index:04X} member {name!r} (its members: {names or 'none known'})", source)
    return subindex


def _subindex(name: str, index: int, dictionary: ObjectDictionary | None) -> int | None:
    wanted = plain(name)
    return next((subindex for subindex, text in _members(index, dictionary) if plain(text) == wanted), None)


def _members(index: int, dictionary: ObjectDictionary | None) -> Iterator[tuple[int, str]]:
    if dictionary is not None:
        found = dictionary.objects.get(index)
        for subindex, variable in sorted(found.members.items()) if found is not None else ():
            yield subindex, variable.name
        return
    for subindex in range(0xFF):
        standard = builtin.get(index, subindex)
        if standard is not None:
            yield subindex, standard.name


def plain(name: str) -> str:
    """The part of a name that makes a difference."""
    return _IGNORED.sub("", name).casefold()


def _keys(dictionary: ObjectDictionary) -> dict[str, tuple[str, Key]]:
    """Plain name -> (name, key) of every index; of two objects with one name the one with the lower index."""
    keys: dict[str, tuple[str, Key]] = {}
    for index in sorted(dictionary.objects):
        found = dictionary.objects[index]
        keys.setdefault(plain(found.name), (found.name, (index, _whole(found.object_type))))
    return keys


@cache
def _builtin_keys() -> dict[str, tuple[str, Key]]:
    keys: dict[str, tuple[str, Key]] = {}
    for index in builtin.indices():
        name = builtin.object_name(index) or ""
        keys.setdefault(plain(name), (name, (index, _whole(builtin.object_type(index)))))
    return keys


def _whole(object_type: ObjectType | None) -> int | None:
    """The subindex that stands for the object itself."""
    return 0 if object_type in _SINGLE else None
