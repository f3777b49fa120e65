"""What an EDS or DCF says about itself, its device and its place in a network: everything but the objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opendiag.dictionary.eds_sections import Notes, Section, is_count, scan
from opendiag.dictionary.eds_values import bad_value, read_number
from opendiag.dictionary.model import Commissioning, DeviceInfo, FileInfo
from opendiag.findings import Severity

#: CiA 306 has one m; both are found in the field.
_COMMISSIONING = ("devicecomissioning", "devicecommissioning")

#: Field of the model -> key of the file, in the order in which CiA 306 lists them. Writers use them, too.
FILE_KEYS = {
    "file_name": "FileName",
    "file_version": "FileVersion",
    "file_revision": "FileRevision",
    "last_eds": "LastEDS",
    "eds_version": "EDSVersion",
    "description": "Description",
    "creation_time": "CreationTime",
    "creation_date": "CreationDate",
    "created_by": "CreatedBy",
    "modification_time": "ModificationTime",
    "modification_date": "ModificationDate",
    "modified_by": "ModifiedBy",
}
DEVICE_TEXTS = {"vendor_name": "VendorName", "product_name": "ProductName", "order_code": "OrderCode"}
DEVICE_NUMBERS = {
    "vendor_id": "VendorNumber",
    "product_code": "ProductNumber",
    "revision": "RevisionNumber",
    "granularity": "Granularity",
    "dynamic_channels": "DynamicChannelsSupported",
    "rpdo_count": "NrOfRXPDO",
    "tpdo_count": "NrOfTXPDO",
}
DEVICE_SWITCHES = {
    "boot_up_master": "SimpleBootUpMaster",
    "boot_up_slave": "SimpleBootUpSlave",
    "group_messaging": "GroupMessaging",
    "lss_supported": "LSS_Supported",
}
COMMISSIONING_KEYS = {
    "node_id": "NodeID",
    "bit_rate": "Baudrate",
    "node_name": "NodeName",
    "net_number": "NetNumber",
    "network_name": "NetworkName",
    "canopen_manager": "CANopenManager",
    "lss_serial_number": "LSS_SerialNumber",
}
_BIT_RATE = "baudrate_"


class Identity(NamedTuple):
    """What tells device types apart. None: the file does not say."""

    vendor_id: int | None
    product_code: int | None
    revision: int | None


def read_identity(text: str) -> Identity:
    """Read the identity in [DeviceInfo] and nothing else of the file. Never raises."""
    notes = Notes("")
    sections = scan("\n".join(_device_info_lines(text)), notes)
    device = read_device(sections, notes)
    return Identity(device.vendor_id, device.product_code, device.revision)


def _device_info_lines(text: str) -> Iterator[str]:
    inside = False
    for line in text.split("\n"):
        if line.lstrip().startswith("["):
            if inside:
                return
            inside = "".join(line.split()).lower().startswith("[deviceinfo")
        if inside:
            yield line


def read_file_info(sections: dict[str, Section]) -> FileInfo:
    section = sections.get("fileinfo")
    if section is None:
        return FileInfo()
    texts = {name: section.text(key.lower()) for name, key in FILE_KEYS.items()}
    return FileInfo(**texts, extra=section.others({key.lower() for key in FILE_KEYS.values()}))


def read_device(sections: dict[str, Section], notes: Notes) -> DeviceInfo:
    section = sections.get("deviceinfo")
    if section is None:
        notes.add("eds-no-device-info", None, "no [DeviceInfo]", "", "the device is not known", Severity.INFO)
        return DeviceInfo()
    told: dict[str, Any] = {name: section.text(key.lower()) for name, key in DEVICE_TEXTS.items()}
    told |= {name: read_number(section, key.lower(), notes) for name, key in DEVICE_NUMBERS.items()}
    told |= {name: _switch(section, key.lower(), notes) for name, key in DEVICE_SWITCHES.items()}
    known = {key.lower() for keys in (DEVICE_TEXTS, DEVICE_NUMBERS, DEVICE_SWITCHES) for key in keys.values()}
    known |= {key for key in section.entries if _is_bit_rate(key)} | {"compactpdo"}
    return DeviceInfo(
        **told,
        bit_rates=_bit_rates(section, notes),
        compact_pdo=read_number(section, "compactpdo", notes) or 0,
        extra=section.others(known),
    )


def _is_bit_rate(key: str) -> bool:
    return key.startswith(_BIT_RATE) and is_count(key.removeprefix(_BIT_RATE))


def _bit_rates(section: Section, notes: Notes) -> tuple[int, ...]:
    """Bit rates in kbit/s that are marked as supported, in order."""
    told = [key for key in section.entries if _is_bit_rate(key) and read_number(section, key, notes)]
    return tuple(sorted(int(key.removeprefix(_BIT_RATE)) for key in told))


def _switch(section: Section, key: str, notes: Notes) -> bool | None:
    number = read_number(section, key, notes)
    return None if number is None else bool(number)


def read_commissioning(sections: dict[str, Section], notes: Notes) -> Commissioning:
    """None for what is missing or impossible."""
    section = next((sections[name] for name in _COMMISSIONING if name in sections), None)
    if section is None:
        return Commissioning()
    return Commissioning(
        node_id=_in_range(section, "nodeid", 1, 127, notes),
        bit_rate=_in_range(section, "baudrate", 1, 10_000, notes),
        node_name=section.text("nodename"),
        net_number=read_number(section, "netnumber", notes),
        network_name=section.text("networkname"),
        canopen_manager=_switch(section, "canopenmanager", notes),
        lss_serial_number=read_number(section, "lss_serialnumber", notes),
        extra=section.others({key.lower() for key in COMMISSIONING_KEYS.values()}),
    )


def _in_range(section: Section, key: str, low: int, high: int, notes: Notes) -> int | None:
    number = read_number(section, key, notes)
    if number is None or low <= number <= high:
        return number
    bad_value(section.entries[key], section, f"outside {low}..{high}", notes)
    return None


def read_comments(section: Section | None, notes: Notes) -> tuple[str, ...]:
    """Line1, Line2, ... of [Comments], in their order; what `Lines` says does not matter."""
    if section is None:
        return ()
    lines = {
        int(key.removeprefix("line")): entry.value
        for key, entry in section.entries.items()
        if key.startswith("line") and is_count(key.removeprefix("line"))
    }
    said = read_number(section, "lines", notes)
    if said != len(lines):
        sentence = f"[{section.name}] has {len(lines)} lines, Lines says {'nothing' if said is None else said}"
        line = section.line_of("lines")
        notes.add("eds-list-count", line, sentence, "", "all that are there count", Severity.INFO)
    return tuple(lines[number] for number in sorted(lines))


def read_dummies(sections: dict[str, Section], notes: Notes) -> frozenset[int] | None:
    """Data types that may fill a gap in a PDO mapping; None when the file does not say."""
    section = sections.get("dummyusage")
    if section is None:
        return None
    dummies = set()
    for key, entry in section.entries.items():
        number = key.removeprefix("dummy")
        if number == key or not number.isascii() or not number.isalnum():
            bad_value(entry, section, "no DummyNNNN", notes)
        elif read_number(section, key, notes):
            try:
                dummies.add(int(number, 16))
            except ValueError:
                bad_value(entry, section, "no DummyNNNN", notes)
    return frozenset(dummies)
