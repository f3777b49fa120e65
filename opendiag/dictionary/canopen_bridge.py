"""Object dictionaries of the Python package `canopen`, made from ours and turned into ours.

What that package's own EDS reader gets wrong is right here: defaults of signed types written in hexadecimal, sparse
names and own values of compact arrays, members without a parent, and files it refuses as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from opendiag.dictionary.datatypes import DataType, Value, decode_value, encode_value
from opendiag.dictionary.eds_spelling import value_text
from opendiag.dictionary.model import (
    Commissioning,
    DeviceInfo,
    NodeIdPlus,
    Object,
    ObjectDictionary,
    ObjectType,
    Variable,
    check_node_id,
)
from opendiag.errors import MissingDependency, WireError

if TYPE_CHECKING:
    import canopen

#: Field of ours -> attribute of `canopen`'s device_information.
_DEVICE = {
    "vendor_name": "vendor_name",
    "vendor_id": "vendor_number",
    "product_name": "product_name",
    "product_code": "product_number",
    "revision": "revision_number",
    "order_code": "order_code",
    "boot_up_master": "simple_boot_up_master",
    "boot_up_slave": "simple_boot_up_slave",
    "granularity": "granularity",
    "dynamic_channels": "dynamic_channels_supported",
    "group_messaging": "group_messaging",
    "rpdo_count": "nr_of_RXPDO",
    "tpdo_count": "nr_of_TXPDO",
    "lss_supported": "LSS_supported",
}
_TEXTS = ("vendor_name", "product_name", "order_code")
_SWITCHES = ("boot_up_master", "boot_up_slave", "group_messaging", "lss_supported")
_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN, ObjectType.DEFTYPE)
_TIMES = (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)
_FORMULA = re.compile(r"\$NODEID([+-]\w+)?|(\w+)\+\$NODEID")
_DESCRIPTION = "Description"
_STORAGE = "StorageLocation"


def to_canopen(dictionary: ObjectDictionary, node_id: int | None = None) -> canopen.ObjectDictionary:
    """The dictionary for `canopen.RemoteNode`, `LocalNode` and the rest of that package.

    ``node_id`` is that of a DCF when not given. With one a default such as ``$NODEID+180h`` is a number there, without
    one there is only its text (``default_raw``); ``relative`` says which defaults these are. Limits there are numbers
    only. Of two objects with one name the last is found by the name, all by their index.

    Raises ValueError for a node-ID outside 1..127, MissingDependency when the package is not installed.
    """
    check_node_id(node_id)
    library = _library()
    made = library.ObjectDictionary()
    made.node_id = node_id = dictionary.node_id if node_id is None else node_id
    made.bitrate = None if dictionary.bit_rate is None else dictionary.bit_rate * 1000
    made.comments = "\n".join(dictionary.comments)
    _fill_device(made.device_information, dictionary.device)
    for data_type in sorted(dictionary.dummies or ()):
        made.add_object(_dummy(library, data_type))
    for found in dictionary:
        if (new := _new_object(library, found, node_id)) is not None:
            made.add_object(new)
    return made  # type: ignore[no-any-return]


def _library() -> Any:
    try:
        from canopen import objectdictionary
    except ImportError as error:
        raise MissingDependency("ObjectDictionary.to_canopen()", "canopen") from error
    return objectdictionary


def _fill_device(theirs: Any, device: DeviceInfo) -> None:
    for name, attribute in _DEVICE.items():
        value = getattr(device, name)
        if value not in (None, ""):
            setattr(theirs, attribute, value)
    theirs.allowed_baudrates = {rate * 1000 for rate in device.bit_rates}


def _dummy(library: Any, data_type: int) -> Any:
    made = library.ODVariable(f"Dummy{data_type:04X}", data_type, 0)
    made.data_type = data_type
    made.access_type = "const"
    return made


def _new_object(library: Any, found: Object, node_id: int | None) -> Any:
    """None for what has no value, such as a data type."""
    if found.object_type in _SINGLE:
        member = found.members.get(0)
        return None if member is None else _new_variable(library, member, found.name, node_id)
    if not found.members and found.object_type not in (ObjectType.ARRAY, ObjectType.RECORD):
        return None
    made = (library.ODArray if found.object_type == ObjectType.ARRAY else library.ODRecord)(found.name, found.index)
    made.storage_location = found.extra.get(_STORAGE)
    if text := found.extra.get(_DESCRIPTION):
        made.description = text
    for _, member in sorted(found.members.items()):
        made.add_member(_new_variable(library, member, member.name, node_id))
    return made


def _new_variable(library: Any, variable: Variable, name: str, node_id: int | None) -> Any:
    made = library.ODVariable(name, variable.index, variable.subindex)
    made.data_type = _their_type(variable.data_type)
    made.access_type = variable.access or "rw"
    made.default = _their_value(variable.default, variable.data_type, node_id)
    made.value = _their_value(variable.value, variable.data_type, node_id)
    made.relative = isinstance(variable.default, NodeIdPlus)
    if isinstance(variable.default, NodeIdPlus):
        made.default_raw = value_text(variable.default, variable)
    made.min = _number(variable.low, node_id)
    made.max = _number(variable.high, node_id)
    made.pdo_mappable = variable.pdo_mappable
    made.unit = variable.unit
    made.factor = variable.factor
    made.description = variable.extra.get(_DESCRIPTION, "")
    made.storage_location = variable.extra.get(_STORAGE)
    for number, text in variable.values.items():
        made.add_value_description(number, text)
    for bit, text in variable.bits.items():
        made.add_bit_definition(text, [bit])
    return made


def _their_type(data_type: int) -> int:
    """A type of the device's own is bytes to them, as it is to us."""
    return int(data_type) if 0 < data_type <= DataType.UNSIGNED64 else int(DataType.DOMAIN)


def _resolved(value: Value | NodeIdPlus | None, node_id: int | None) -> Value | None:
    if isinstance(value, NodeIdPlus):
        return None if node_id is None else value.resolve(node_id)
    return value


def _their_value(value: Value | NodeIdPlus | None, data_type: int, node_id: int | None) -> Value | None:
    """Times are bytes to them."""
    resolved = _resolved(value, node_id)
    try:
        return encode_value(data_type, resolved) if data_type in _TIMES and isinstance(resolved, str) else resolved
    except WireError:
        return None


def _number(value: Value | NodeIdPlus | None, node_id: int | None) -> int | float | None:
    resolved = _resolved(value, node_id)
    return None if isinstance(resolved, str | bytes) else resolved


# --- from canopen ---


def from_canopen(theirs: canopen.ObjectDictionary, name: str = "canopen") -> ObjectDictionary:
    """An `ObjectDictionary` of ours from one of that package, however it was made.

    A relative default becomes a formula again when its text or the node-ID is there to tell the number from it.
    """
    given: Any = theirs
    node_id = given.node_id
    made = ObjectDictionary(name, device=_device_of(given.device_information))
    bit_rate = None if given.bitrate is None else given.bitrate // 1000
    made.commissioning = Commissioning(node_id=node_id, bit_rate=bit_rate)
    made.comments = tuple(given.comments.split("\n")) if given.comments else ()
    dummies = {index for index, found in given.indices.items() if found.name == f"Dummy{index:04X}"}
    made.dummies = frozenset(dummies) if dummies else None
    for index in sorted(given.indices.keys() - dummies):
        made.objects[index] = _object_of(given.indices[index], node_id)
    return made


def _device_of(theirs: Any) -> DeviceInfo:
    told: dict[str, Any] = {}
    for name, attribute in _DEVICE.items():
        value = getattr(theirs, attribute)
        if name in _TEXTS:
            told[name] = value or ""
        elif value is not None:
            told[name] = bool(value) if name in _SWITCHES else int(value)
    rates: Iterable[int] = theirs.allowed_baudrates
    return DeviceInfo(**told, bit_rates=tuple(sorted(rate // 1000 for rate in rates)))


def _object_of(theirs: Any, node_id: int | None) -> Object:
    if not hasattr(theirs, "subindices"):
        is_domain = theirs.data_type == DataType.DOMAIN
        object_type = ObjectType.DOMAIN if is_domain else ObjectType.VAR
        return Object(theirs.index, theirs.name, object_type, {0: _variable_of(theirs, 0, node_id)})
    object_type = ObjectType.RECORD if type(theirs).__name__ == "ODRecord" else ObjectType.ARRAY
    made = Object(theirs.index, theirs.name, object_type, extra=_extra_of(theirs))
    for subindex in sorted(theirs.subindices):
        made.members[subindex] = _variable_of(theirs.subindices[subindex], subindex, node_id)
    return made


def _variable_of(theirs: Any, subindex: int, node_id: int | None) -> Variable:
    return Variable(
        theirs.index,
        subindex,
        theirs.name,
        theirs.data_type or 0,
        theirs.access_type.lower(),
        default=_default_of(theirs, node_id),
        low=theirs.min,
        high=theirs.max,
        pdo_mappable=theirs.pdo_mappable,
        value=_our_value(theirs.value, theirs.data_type),
        unit=theirs.unit,
        factor=float(theirs.factor),
        bits={bits[0]: text for text, bits in theirs.bit_definitions.items() if len(bits) == 1},
        values=dict(theirs.value_descriptions),
        extra=_extra_of(theirs),
    )


def _our_value(value: Value | None, data_type: int) -> Value | None:
    """A time is text to us, and bytes or a number to them."""
    if data_type not in _TIMES or value is None or isinstance(value, str):
        return value
    try:
        raw = value if isinstance(value, bytes) else int(value).to_bytes(6, "little")
        return decode_value(data_type, raw)
    except (WireError, OverflowError):
        return None


def _default_of(theirs: Any, node_id: int | None) -> Value | NodeIdPlus | None:
    default = _our_value(theirs.default, theirs.data_type)
    if not theirs.relative:
        return default
    if isinstance(default, int) and node_id is not None:
        return NodeIdPlus(default - node_id)
    match = _FORMULA.fullmatch("".join(str(getattr(theirs, "default_raw", "")).upper().split()))
    try:
        return default if match is None else NodeIdPlus(int(match[1] or match[2] or "0", 0))
    except ValueError:  # a formula that package could not work out either
        return default


def _extra_of(theirs: Any) -> dict[str, str]:
    told = {_STORAGE: theirs.storage_location, _DESCRIPTION: theirs.description}
    return {key: text for key, text in told.items() if text}
