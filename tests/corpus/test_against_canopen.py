"""The same real files read by the `canopen` package, where it reads them completely: what differs, and why.

Whether it reads a file completely is counted from the text (`plain_eds`): every object and member, every default and
configured value. On the others there is nothing to compare.
"""

import logging
from collections import Counter
from typing import NamedTuple

import canopen
import pytest
from corpus import plain_eds

from opendiag.dictionary import load
from opendiag.dictionary.datatypes import SIGNED_BITS, DataType, encode_value
from opendiag.dictionary.model import NodeIdPlus, Variable

pytestmark = pytest.mark.corpus

NODE_ID = 5
FIRST_OBJECT = 0x1000
NO_BYTES = ("NULL", "0")
AT_LEAST = 125


class Difference(NamedTuple):
    """What both say of one value of a file; ``text`` is what stands there."""

    file: str
    what: str
    ours: object
    theirs: object
    text: str
    variable: Variable


def is_two_s_complement(it):
    bits = SIGNED_BITS.get(it.variable.data_type)
    return (
        bits is not None
        and isinstance(it.ours, int)
        and it.text[:2].lower() == "0x"
        and 0 <= it.theirs - it.ours == 1 << bits
    )


#: (reason, test of the difference): each of them is right as opendiag reads it.
REASONS = {
    "a negative number in hexadecimal: canopen does not look at the sign": is_two_s_complement,
    "a number that the type cannot hold: opendiag keeps it as written": lambda it: (
        it.what in ("default", "value") and it.ours is None and it.text in it.variable.extra.values()
    ),
    "an access that CiA 306 does not have: canopen keeps any word": lambda it: (
        it.what == "access" and it.ours == "" and it.variable.extra["AccessType"].lower() == it.theirs
    ),
    "nothing behind the =: canopen reads a text or bytes without length": lambda it: (
        it.what in ("default", "value") and it.text == "" and it.ours is None and it.theirs in ("", b"")
    ),
}
NEEDED = {
    "nothing behind the =: canopen reads a text or bytes without length": 335,
    "an access that CiA 306 does not have: canopen keeps any word": 51,
    "a negative number in hexadecimal: canopen does not look at the sign": 27,
    "a number that the type cannot hold: opendiag keeps it as written": 27,
}


def told(path):
    """{(index, subindex): {key: text}} of the objects and members, those of compact arrays among them."""
    found, heads = {}, {}
    for name, pairs in plain_eds.sections(plain_eds.plain_text(path)):
        where = plain_eds.place(name)
        if where is None or where[0] < FIRST_OBJECT or where[2]:
            continue
        entries = {}
        for key, text in pairs:
            entries.setdefault(key.lower(), text)
        if where[1] is None:
            heads[where[0]] = entries
        else:
            found[where[:2]] = entries
    with_members = {index for index, _ in found}
    for index, entries in heads.items():
        compact = plain_eds.number(entries.get("compactsubobj", "0"))
        if compact:
            found.update({(index, sub): entries if sub else {} for sub in range(compact + 1)})
        elif index not in with_members:
            found[index, 0] = entries
    return found


def theirs(path):
    """What `canopen` makes of the file, None when it raises."""
    try:
        read = canopen.import_od(str(path), NODE_ID)
    except Exception:
        return None
    found = {}
    for index, entry in read.indices.items():
        if index >= FIRST_OBJECT:
            single = isinstance(entry, canopen.objectdictionary.ODVariable)
            members = {0: entry} if single else entry.subindices
            found.update({(index, sub): variable for sub, variable in members.items()})
    return found


def is_complete(said, found):
    if found is None or set(found) != set(said):
        return False
    for where, entries in said.items():
        variable = found[where]
        for key, got in (("defaultvalue", variable.default), ("parametervalue", variable.value)):
            text = entries.get(key)
            if text and got is None and not (variable.data_type in (0x0A, 0x0F) and text in NO_BYTES):
                return False
    return True


def differences(path, said, found):
    dictionary = load(path)
    ours = {(each.index, each.subindex): each for each in dictionary.variables() if each.index >= FIRST_OBJECT}
    assert set(ours) == set(found), path.name
    for where, variable in ours.items():
        other, entries = found[where], said[where]
        alike = {
            "name": (variable.name, other.name, "parametername"),
            "type": (variable.data_type, other.data_type, "datatype"),
            "access": (variable.access, other.access_type, "accesstype"),
            "mappable": (variable.pdo_mappable, other.pdo_mappable, "pdomapping"),
            "unit": (variable.unit, other.unit, "unit"),
            "default": (resolved(variable.default, variable), other.default, "defaultvalue"),
            "value": (resolved(variable.value, variable), other.value, "parametervalue"),
        }
        for what, (mine, their, key) in alike.items():
            if mine != their and not (what == "name" and not entries.get(key)):
                yield Difference(path.name, what, mine, their, entries.get(key, ""), variable)


def resolved(value, variable):
    if isinstance(value, NodeIdPlus):
        return value.resolve(NODE_ID)
    if value is not None and variable.data_type in (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE):
        return int.from_bytes(encode_value(variable.data_type, value), "little")
    return value


def test_what_canopen_reads_completely_is_read_alike(corpus):
    logging.getLogger("canopen").setLevel(logging.CRITICAL)
    files = sorted(path for path in (corpus / "dictionaries").iterdir() if path.suffix.lower() in (".eds", ".dcf"))
    complete, values, explained, unexplained = 0, 0, Counter(), []
    for path in files:
        said, found = told(path), theirs(path)
        if not is_complete(said, found):
            continue
        complete += 1
        values += len(found)
        for difference in differences(path, said, found):
            reasons = [reason for reason, test in REASONS.items() if test(difference)]
            explained.update(reasons)
            if len(reasons) != 1:
                unexplained.append((difference, reasons))
    assert not unexplained, f"{len(unexplained)} of {values} in {complete} files: {unexplained[:6]}"
    assert dict(explained) == NEEDED
    assert complete >= AT_LEAST and values > 25_000
