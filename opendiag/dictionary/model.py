"""What a device says it has: objects, their members, and where that knowledge came from.

A VAR is an object with the single member 0, so every value of a dictionary is found the same way:
``dictionary.get(0x6041, 0)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from opendiag.dictionary.datatypes import Value, type_name
from opendiag.dictionary.document import Document
from opendiag.errors import ObjectNotFound
from opendiag.findings import Finding

if TYPE_CHECKING:
    import canopen

_NOTHING: Mapping[int, str] = {}
_NO_KEYS: Mapping[str, str] = {}


class ObjectType(IntEnum):
    """Object code, CiA 301."""

    NULL = 0
    DOMAIN = 2
    DEFTYPE = 5
    DEFSTRUCT = 6
    VAR = 7
    ARRAY = 8
    RECORD = 9


@dataclass(frozen=True, slots=True)
class NodeIdPlus:
    """A default such as ``$NODEID+0x180``: known once the node-ID is."""

    offset: int

    def resolve(self, node_id: int) -> int:
        return node_id + self.offset


def check_node_id(node_id: int | None) -> None:
    """Raise ValueError outside 1..127; None is no node-ID and passes."""
    if node_id is not None and not 1 <= node_id <= 127:
        raise ValueError(f"node-ID {node_id} is outside 1..127")


def object_text(index: int, subindex: int) -> str:
    """As in "6041:00", the way opendiag prints an object everywhere."""
    return f"{index:04X}:{subindex:02X}"


@dataclass(frozen=True, slots=True, init=False)
class Variable:
    """One value of a dictionary.

    ``name``      of the member alone; `ObjectDictionary.name_of` puts the object's name before it.
    ``data_type`` a `DataType` number, or a type of the device's own.
    ``access``    ro, wo, rw, rwr (readable by PDO), rww (writable by PDO), const, or "" when not said.
    ``value``     what a DCF says this one device is set to (``ParameterValue``).
    ``unit``      of ``raw * factor``; ``alt_unit`` and ``alt_factor`` give a second view of the same raw number.
    ``bits``      names of single bits, ``values`` names of whole values.
    ``source``    "eds", "xdd", "cia301", "cia302" or "cia402": who says all this.
    ``denotation`` is what a DCF calls this one device's value, ``flags`` is ObjFlags (bit 0: not to be written when a
    configuration is downloaded, bit 1: not to be read when it is scanned). ``extra`` has the keys of the file that
    opendiag gives no meaning to, as written; ``line`` is where the variable begins in the file.
    """

    index: int
    subindex: int
    name: str
    data_type: int
    access: str = ""
    default: Value | NodeIdPlus | None = None
    low: Value | NodeIdPlus | None = None
    high: Value | NodeIdPlus | None = None
    pdo_mappable: bool = False
    value: Value | NodeIdPlus | None = None
    unit: str = ""
    factor: float = 1.0
    alt_unit: str = ""
    alt_factor: float = 1.0
    bits: Mapping[int, str] = field(default_factory=lambda: _NOTHING)
    values: Mapping[int, str] = field(default_factory=lambda: _NOTHING)
    source: str = "eds"
    denotation: str = ""
    flags: int = 0
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)
    line: int | None = None

    # Made by the thousand: the one that dataclass writes for a frozen class takes twice as long.
    def __init__(
        self,
        index: int,
        subindex: int,
        name: str,
        data_type: int,
        access: str = "",
        default: Value | NodeIdPlus | None = None,
        low: Value | NodeIdPlus | None = None,
        high: Value | NodeIdPlus | None = None,
        pdo_mappable: bool = False,
        value: Value | NodeIdPlus | None = None,
        unit: str = "",
        factor: float = 1.0,
        alt_unit: str = "",
        alt_factor: float = 1.0,
        bits: Mapping[int, str] = _NOTHING,
        values: Mapping[int, str] = _NOTHING,
        source: str = "eds",
        denotation: str = "",
        flags: int = 0,
        extra: Mapping[str, str] = _NO_KEYS,
        line: int | None = None,
    ) -> None:
        _set_index(self, index)
        _set_subindex(self, subindex)
        _set_name(self, name)
        _set_data_type(self, data_type)
        _set_access(self, access)
        _set_default(self, default)
        _set_low(self, low)
        _set_high(self, high)
        _set_pdo_mappable(self, pdo_mappable)
        _set_value(self, value)
        _set_unit(self, unit)
        _set_factor(self, factor)
        _set_alt_unit(self, alt_unit)
        _set_alt_factor(self, alt_factor)
        _set_bits(self, bits)
        _set_values(self, values)
        _set_source(self, source)
        _set_denotation(self, denotation)
        _set_flags(self, flags)
        _set_extra(self, extra)
        _set_line(self, line)

    @property
    def text(self) -> str:
        """Index and subindex, "6041:00"."""
        return object_text(self.index, self.subindex)

    @property
    def type_name(self) -> str:
        return type_name(self.data_type)

    def configured(self, node_id: int) -> Value | None:
        """What a device with this node-ID holds as far as the file says: the DCF's value, else the default."""
        value = self.default if self.value is None else self.value
        return value.resolve(node_id) if isinstance(value, NodeIdPlus) else value


# The slots' own setters: what `object.__setattr__` finds again for each of them, each time.
(
    _set_index,
    _set_subindex,
    _set_name,
    _set_data_type,
    _set_access,
    _set_default,
    _set_low,
    _set_high,
    _set_pdo_mappable,
    _set_value,
    _set_unit,
    _set_factor,
    _set_alt_unit,
    _set_alt_factor,
    _set_bits,
    _set_values,
    _set_source,
    _set_denotation,
    _set_flags,
    _set_extra,
    _set_line,
) = (vars(Variable)[name].__set__ for name in Variable.__slots__)


@dataclass(slots=True)
class Object:
    """An index of the dictionary and its members by subindex (a VAR has member 0 only).

    ``flags``, ``denotation``, ``extra`` and ``line`` are as in `Variable`, and those of an array or record itself.
    ``links`` are the indices that [xxxxObjectLinks] names. ``compact`` is the CompactSubObj of the file, 0 if it has
    a section for each member. ``data_type`` is what an array's own section says, 0 if nothing.
    """

    index: int
    name: str
    object_type: ObjectType
    members: dict[int, Variable] = field(default_factory=dict)
    data_type: int = 0
    compact: int = 0
    flags: int = 0
    denotation: str = ""
    links: tuple[int, ...] = ()
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)
    line: int | None = None


@dataclass(slots=True)
class DeviceInfo:
    """Who the file describes. None: the file does not say. ``bit_rates`` in kbit/s.

    ``granularity`` is the smallest number of bits a PDO mapping can move, 0 when it cannot be changed. ``compact_pdo``
    says by bits which communication parameters of the PDOs exist without sections of their own.
    """

    vendor_name: str = ""
    product_name: str = ""
    vendor_id: int | None = None
    product_code: int | None = None
    revision: int | None = None
    bit_rates: tuple[int, ...] = ()
    order_code: str = ""
    boot_up_master: bool | None = None
    boot_up_slave: bool | None = None
    granularity: int | None = None
    dynamic_channels: int | None = None
    group_messaging: bool | None = None
    rpdo_count: int | None = None
    tpdo_count: int | None = None
    compact_pdo: int = 0
    lss_supported: bool | None = None
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)


@dataclass(slots=True)
class FileInfo:
    """What the file says about itself, as written ([FileInfo], or the profile header of an XDD)."""

    file_name: str = ""
    file_version: str = ""
    file_revision: str = ""
    eds_version: str = ""
    description: str = ""
    creation_time: str = ""
    creation_date: str = ""
    created_by: str = ""
    modification_time: str = ""
    modification_date: str = ""
    modified_by: str = ""
    last_eds: str = ""
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)


@dataclass(slots=True)
class Commissioning:
    """Where one configured device sits in its network ([DeviceComissioning] of a DCF). ``bit_rate`` in kbit/s."""

    node_id: int | None = None
    bit_rate: int | None = None
    node_name: str = ""
    net_number: int | None = None
    network_name: str = ""
    canopen_manager: bool | None = None
    lss_serial_number: int | None = None
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)


@dataclass(slots=True)
class Module:
    """A module that a modular device can take: the objects it brings, and the members it adds to existing ones.

    ``extends`` are the sections [MxSubExtyyyy] by index: the pattern of the members that each such module adds,
    ``Count`` and ``ObjExtend`` among its extra keys.
    """

    number: int
    product_name: str = ""
    version: int | None = None
    revision: int | None = None
    order_code: str = ""
    comments: tuple[str, ...] = ()
    fixed: dict[int, Object] = field(default_factory=dict)
    extends: dict[int, Object] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)


@dataclass(slots=True)
class ObjectDictionary:
    """All objects of one device type (EDS) or of one configured device (DCF, XDC: ``commissioning``).

    ``name`` is what the user called it: a path or a bundled name. ``dummies`` are the data types that a PDO mapping
    may use as placeholders (None: not said). ``connected`` are the modules of a DCF by number, in their order.
    ``sections`` are those of an EDS that opendiag gives no meaning to, by name, as written.
    ``document`` is the text it was read from, so that writing it back changes only what was changed.
    """

    name: str
    objects: dict[int, Object] = field(default_factory=dict)
    device: DeviceInfo = field(default_factory=DeviceInfo)
    commissioning: Commissioning = field(default_factory=Commissioning)
    findings: list[Finding] = field(default_factory=list)
    file: FileInfo = field(default_factory=FileInfo)
    comments: tuple[str, ...] = ()
    dummies: frozenset[int] | None = None
    modules: dict[int, Module] = field(default_factory=dict)
    connected: tuple[int, ...] = ()
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    document: Document | None = field(default=None, repr=False, compare=False)

    @property
    def node_id(self) -> int | None:
        """Of a configured device."""
        return self.commissioning.node_id

    @property
    def bit_rate(self) -> int | None:
        """Of a configured device, in kbit/s."""
        return self.commissioning.bit_rate

    def get(self, index: int, subindex: int) -> Variable | None:
        """The variable, or None when the dictionary lacks it."""
        found = self.objects.get(index)
        return None if found is None else found.members.get(subindex)

    def __getitem__(self, key: tuple[int, int]) -> Variable:
        """Raise ObjectNotFound when the dictionary lacks it."""
        variable = self.get(*key)
        if variable is None:
            raise ObjectNotFound(object_text(*key), self.name)
        return variable

    def __len__(self) -> int:
        """Number of indices."""
        return len(self.objects)

    def __iter__(self) -> Iterator[Object]:
        """Every object, in order of index."""
        return iter([self.objects[index] for index in sorted(self.objects)])

    def find(self, name: str) -> Variable | Object:
        """The object or member of this name: "Statusword", "Identity Object.Vendor ID", "6041", "6041:00".

        Capitals, blanks, hyphens and underscores make no difference. An object that is a single value is found as that.

        Raises ObjectNotFound, which says what comes close.
        """
        from opendiag.dictionary import names

        index, subindex = names.find(name, self)
        found = self.objects.get(index)
        if found is None:
            raise ObjectNotFound(f"{index:04X}", self.name)
        if subindex is None and (found.object_type in (ObjectType.ARRAY, ObjectType.RECORD) or 0 not in found.members):
            return found
        return self[index, subindex or 0]

    def to_canopen(self, node_id: int | None = None) -> canopen.ObjectDictionary:
        """The same objects for the package `canopen`, say for its `RemoteNode`.

        ``node_id`` makes numbers of the defaults that depend on it; that of a DCF is known.

        Raises ValueError for a node-ID outside 1..127, MissingDependency when the package is not installed.
        """
        from opendiag.dictionary.canopen_bridge import to_canopen

        return to_canopen(self, node_id)

    def variables(self) -> Iterator[Variable]:
        """Every value, in order of index and subindex."""
        for index in sorted(self.objects):
            members = self.objects[index].members
            for subindex in sorted(members):
                yield members[subindex]

    def name_of(self, variable: Variable) -> str:
        """As in "Statusword", and "Identity Object.Vendor ID" for a member of an array or record."""
        parent = self.objects.get(variable.index)
        if parent is None or parent.object_type not in (
            ObjectType.ARRAY,
            ObjectType.RECORD,
            ObjectType.DEFSTRUCT,
        ):
            return variable.name
        return f"{parent.name}.{variable.name}"
