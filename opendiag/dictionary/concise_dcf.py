"""Concise DCF: what a CANopen manager keeps at 1F22h to configure a device at boot-up (CiA 302).

A count as UNSIGNED32, then for each write the index (16 bits), the subindex (8 bits), the number of bytes (32 bits)
and the bytes, low byte first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

from opendiag.dictionary.datatypes import DataType, encode_value
from opendiag.dictionary.model import Object, ObjectDictionary, Variable, check_node_id, object_text
from opendiag.errors import DictionaryFileError, WireError

#: One write: index, subindex, bytes.
Entry = tuple[int, int, bytes]

_NAME = "concise DCF"
_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<HBI")
_READ_ONLY = ("ro", "const")
_REFUSE_WRITE = 1
#: Store and restore: these are commands, not a configuration.
_COMMANDS = (0x1010, 0x1011)
#: First and last communication parameter, and how far away the mapping parameter is.
_PDOS = ((0x1400, 0x15FF, 0x200), (0x1800, 0x19FF, 0x200))
_INVALID = 0x8000_0000
_EMCY = (0x1014, 0)
#: SDO parameters that can be configured; 1200h is fixed.
_SDO = range(0x1201, 0x1300)


def read(data: bytes) -> list[Entry]:
    """(index, subindex, bytes) of each entry, in order. No bytes at all are no entries.

    Raises DictionaryFileError when there are fewer or more bytes than the data say.
    """
    if not data:
        return []
    if len(data) < _COUNT.size:
        raise _bad(f"{len(data)} bytes hold no 32-bit count of entries")
    (count,) = _COUNT.unpack_from(data)
    position = _COUNT.size
    entries: list[Entry] = []
    while len(entries) < count:
        if len(data) - position < _HEAD.size:
            raise _bad(f"ends within entry {len(entries) + 1} of {count}")
        index, subindex, size = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        if len(data) - position < size:
            what = f"entry {len(entries) + 1} of {count} ({object_text(index, subindex)})"
            raise _bad(f"{what} says {size} bytes, {len(data) - position} are left")
        entries.append((index, subindex, bytes(data[position : position + size])))
        position += size
    if position < len(data):
        raise _bad(f"{len(data) - position} bytes behind the last of {count} entries")
    return entries


def write(entries: Iterable[Entry]) -> bytes:
    """Raises DictionaryFileError for an index or subindex that does not fit its 16 and 8 bits."""
    parts: list[bytes] = []
    for index, subindex, data in entries:
        if not 0 <= index <= 0xFFFF or not 0 <= subindex <= 0xFF:
            raise _bad(f"no object {index:X}:{subindex:X}")
        parts.append(_HEAD.pack(index, subindex, len(data)) + data)
    return _COUNT.pack(len(parts)) + b"".join(parts)


def _bad(reason: str) -> DictionaryFileError:
    return DictionaryFileError(_NAME, None, reason)


def entries_of(dictionary: ObjectDictionary, node_id: int) -> list[Entry]:
    """What configures this device: the values a DCF gives (``ParameterValue``), as bytes, in an order devices accept.

    By index, save that a PDO is switched off (bit 31 of its COB-ID) before anything of it is written and gets its
    COB-ID last, and that its mapping is emptied before it is filled and counted. The COB-IDs of EMCY and of SDO
    channels are switched off, too, before they get another CAN-ID. Left out are objects that cannot be written, that
    say so themselves (ObjFlags bit 0), and store and restore (1010h, 1011h).

    Raises DictionaryFileError for a value that does not fit its data type, ValueError for a node-ID outside 1..127.
    """
    check_node_id(node_id)
    entries: list[Entry] = []
    mappings = {index + step: index for first, last, step in _PDOS for index in range(first, last + 1)}
    for index in sorted(dictionary.objects):
        if index in _COMMANDS or (index in mappings and mappings[index] in dictionary.objects):
            continue
        found = dictionary.objects[index]
        step = next((step for first, last, step in _PDOS if first <= index <= last), None)
        if step is not None:
            entries.extend(_pdo(found, dictionary.objects.get(index + step), node_id, dictionary.name))
        elif index in mappings:
            entries.extend(_mapping(found, node_id, dictionary.name))
        else:
            entries.extend(_plain(found, node_id, dictionary.name))
    return entries


def _set(found: Object) -> Iterator[Variable]:
    """The members that are to be written, by subindex."""
    for _, member in sorted(found.members.items()):
        if member.value is not None and _can_be_written(member):
            yield member


def _can_be_written(member: Variable) -> bool:
    return member.access not in _READ_ONLY and not member.flags & _REFUSE_WRITE


def _plain(found: Object, node_id: int, name: str) -> Iterator[Entry]:
    for member in _set(found):
        entry = _entry(member, node_id, name)
        if _must_be_off(member) and len(entry[2]) == 4:
            word = int.from_bytes(entry[2], "little")
            default = replace(member, value=None).configured(node_id)
            if not word & _INVALID and word != default:
                yield entry[0], entry[1], (word | _INVALID).to_bytes(4, "little")
        yield entry


def _must_be_off(member: Variable) -> bool:
    """A CAN-ID that CiA 301 allows to change only while it is not valid: EMCY, further SDO servers, SDO clients."""
    return (member.index, member.subindex) == _EMCY or (member.index in _SDO and member.subindex in (1, 2))


def _entry(member: Variable, node_id: int, name: str) -> Entry:
    value = member.configured(node_id)
    try:
        # An object of the device's own type has bytes already.
        data = value if isinstance(value, bytes) else encode_value(member.data_type, "" if value is None else value)
    except WireError as error:
        raise DictionaryFileError(name, member.line, f"ParameterValue of {member.text}: {error.reason}") from error
    return member.index, member.subindex, data


def _pdo(communication: Object, mapping: Object | None, node_id: int, name: str) -> Iterator[Entry]:
    settings = list(_plain(communication, node_id, name))
    mapped = [] if mapping is None else list(_mapping(mapping, node_id, name))
    cob_id = communication.members.get(1)
    if not settings and not mapped:
        return
    last = next((entry for entry in settings if entry[1] == 1), None)
    if last is None and cob_id is not None and cob_id.default is not None and _can_be_written(cob_id):
        last = _entry(cob_id, node_id, name)
    if last is None or len(last[2]) != 4:
        yield from settings
        yield from mapped
        return
    off = int.from_bytes(last[2], "little") | _INVALID
    yield last[0], 1, off.to_bytes(4, "little")
    yield from (entry for entry in settings if entry[1] != 1)
    yield from mapped
    if off.to_bytes(4, "little") != last[2]:
        yield last


def _mapping(found: Object, node_id: int, name: str) -> Iterator[Entry]:
    """Number of entries 0, the entries, their number."""
    entries = list(_plain(found, node_id, name))
    count = found.members.get(0)
    filled = [entry for entry in entries if entry[1] != 0]
    if not filled or count is None or count.data_type != DataType.UNSIGNED8 or not _can_be_written(count):
        yield from filled
        yield from (entry for entry in entries if entry[1] == 0)
        return
    yield found.index, 0, b"\0"
    yield from filled
    if count.configured(node_id) is not None:
        yield _entry(count, node_id, name)
    else:
        yield found.index, 0, bytes([max(entry[1] for entry in filled)])
