"""[DeviceInfo] and [DeviceComissioning] of an EDS or DCF: who the device is and how one of them is set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from opendiag.dictionary.eds_sections import Notes, Section, is_count, scan
from opendiag.dictionary.eds_values import bad_value, read_number
from opendiag.dictionary.model import DeviceInfo
from opendiag.findings import Severity

#: CiA 306 has one m; both are found in the field.
_COMMISSIONING = ("devicecomissioning", "devicecommissioning")


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


def read_device(sections: dict[str, Section], notes: Notes) -> DeviceInfo:
    section = sections.get("deviceinfo")
    if section is None:
        notes.add("eds-no-device-info", None, "no [DeviceInfo]", "", "the device is not known", Severity.INFO)
        return DeviceInfo()
    return DeviceInfo(
        section.text("vendorname"),
        section.text("productname"),
        read_number(section, "vendornumber", notes),
        read_number(section, "productnumber", notes),
        read_number(section, "revisionnumber", notes),
        _bit_rates(section, notes),
    )


def _bit_rates(section: Section, notes: Notes) -> tuple[int, ...]:
    """Bit rates in kbit/s that are marked as supported, in order."""
    rates = []
    for key in section.entries:
        prefix, _, rate = key.partition("_")
        if prefix == "baudrate" and is_count(rate) and read_number(section, key, notes):
            rates.append(int(rate))
    return tuple(sorted(rates))


def read_commissioning(sections: dict[str, Section], notes: Notes) -> tuple[int | None, int | None]:
    """Node-ID and bit rate (kbit/s) of a DCF; None for what is missing or impossible."""
    for name in _COMMISSIONING:
        section = sections.get(name)
        if section is not None:
            node_id = _in_range(section, "nodeid", 1, 127, notes)
            return node_id, _in_range(section, "baudrate", 1, 10_000, notes)
    return None, None


def _in_range(section: Section, key: str, low: int, high: int, notes: Notes) -> int | None:
    number = read_number(section, key, notes)
    if number is None or low <= number <= high:
        return number
    bad_value(section.entries[key], section, f"outside {low}..{high}", notes)
    return None
