"""What an XDD or XDC says about itself, its device and its place in a network: everything but the objects."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opendiag.dictionary.eds_sections import Notes
from opendiag.dictionary.model import Commissioning, DeviceInfo, FileInfo, Object, ObjectDictionary
from opendiag.dictionary.xdd_elements import (
    attributes_beside,
    label_of,
    number_of,
    read_hex,
    read_number,
    read_switch,
    refuse,
)
from opendiag.dictionary.xml_tree import Element
from opendiag.findings import Severity

#: Field of the model -> attribute of <ProfileBody>.
_FILE_KEYS = {
    "file_name": "fileName",
    "file_version": "fileVersion",
    "creation_date": "fileCreationDate",
    "creation_time": "fileCreationTime",
    "created_by": "fileCreator",
    "modification_date": "fileModificationDate",
    "modification_time": "fileModificationTime",
    "modified_by": "fileModifiedBy",
}
_HEADER = ("ProfileIdentification", "ProfileRevision", "ProfileName", "ProfileSource", "ProfileDate")
_IDENTITY = ("vendorName", "vendorID", "productName", "productID", "revisionNumber")
_GENERAL = (
    *("granularity", "nrOfRxPDO", "nrOfTxPDO", "dynamicChannels", "groupMessaging"),
    *("bootUpSlave", "layerSettingServiceSlave"),
)
_PLACE = {
    key.lower(): key
    for key in ("nodeID", "nodeName", "actualBaudRate", "networkNumber", "networkName", "CANopenManager")
}
_BIT_RATE = re.compile(r"(\d{1,6})\s*(k|m)?(bps|bit/s|bits/s|baud)?", re.IGNORECASE)
_DUMMY = re.compile(r"Dummy([0-9a-f]{4})\s*=\s*([01])", re.IGNORECASE)
_DIRECTIONS = {"readonly": "ro", "writeonly": "wo", "readwriteoutput": "rww"}


class Profiles:
    """The two profiles of a device description, and whatever stands in both of them."""

    def __init__(self, container: Element) -> None:
        self._profiles = container.all("ISO15745Profile")
        self._bodies = [body for profile in self._profiles for body in profile.all("ProfileBody")]

    def part(self, *path: str) -> Element | None:
        """The first such element below a <ProfileBody>; files differ in which profile has what."""
        for body in self._bodies:
            found: Element | None = body
            for name in path:
                found = None if found is None else found.first(name)
            if found is not None:
                return found
        return None

    def device_body(self) -> Element | None:
        """The <ProfileBody> of the device profile, else the first one."""
        own = [body for body in self._bodies if body.first("DeviceIdentity") is not None]
        return next(iter(own + self._bodies), None)

    def header(self) -> Element | None:
        return next((found for profile in self._profiles if (found := profile.first("ProfileHeader"))), None)


def read_file_info(profiles: Profiles) -> FileInfo:
    body = profiles.device_body()
    if body is None:
        return FileInfo()
    texts = {name: body.get(key) for name, key in _FILE_KEYS.items()}
    extra = dict(attributes_beside(body, (*_FILE_KEYS.values(), "type")))
    header = profiles.header()
    for child in header.children if header is not None else ():
        if child.name in _HEADER and child.text:
            extra[child.name] = child.text
    return FileInfo(**texts, description=_product_text(profiles), extra=extra)


def _product_text(profiles: Profiles) -> str:
    element = profiles.part("DeviceIdentity", "productText")
    return label_of(element, "description") or label_of(element)


def read_device(profiles: Profiles, notes: Notes) -> DeviceInfo:
    """Who it is, what it can do. What <DeviceIdentity> leaves out, <identity> of the other profile may say."""
    identity = profiles.part("DeviceIdentity")
    second = profiles.part("ApplicationLayers", "identity")
    if identity is None and second is None:
        notes.add("xdd-no-device", None, "no <DeviceIdentity>", "", "the device is not known", Severity.INFO)
    bit_rates, extra = _bit_rates(profiles, notes)
    device = DeviceInfo(
        vendor_name=_text(identity, "vendorName"),
        product_name=_text(identity, "productName"),
        vendor_id=_identity_number(identity, second, "vendorID", notes),
        product_code=_identity_number(identity, second, "productID", notes),
        revision=_identity_number(identity, second, "revisionNumber", notes),
        order_code=_text(identity, "orderNumber"),
        bit_rates=bit_rates,
        extra={**_identity_extra(identity), **extra},
    )
    _read_features(device, profiles, notes)
    return device


def _text(element: Element | None, name: str) -> str:
    found = element.first(name) if element is not None else None
    return found.text if found is not None else ""


def _identity_number(first: Element | None, second: Element | None, name: str, notes: Notes) -> int | None:
    for element in (first, second):
        if element is not None and (found := element.first(name)) is not None and found.text:
            return number_of(name, found.text, found, notes)
    return None


def _identity_extra(identity: Element | None) -> dict[str, str]:
    extra: dict[str, str] = {}
    for child in identity.children if identity is not None else ():
        if child.name in _IDENTITY or child.name == "productText":
            continue
        key = child.name + child.get("versionType")
        text = child.text or label_of(child) or label_of(child, "description")
        if text and not (child.name == "orderNumber" and "orderNumber" not in extra and text == _text(identity, key)):
            extra[key] = f"{extra[key]}, {text}" if key in extra else text
    return extra


def _bit_rates(profiles: Profiles, notes: Notes) -> tuple[tuple[int, ...], dict[str, str]]:
    """Those in kbit/s, in order; and what else is said about them."""
    element = profiles.part("TransportLayers", "PhysicalLayer", "baudRate")
    found, extra = set(), {}
    for each in element.all("supportedBaudRate") if element is not None else ():
        if "auto" in each.get("value").lower():
            extra["BaudRate_auto"] = "1"
        elif rate := _bit_rate(each, "value", notes):
            found.add(rate)
    if element is not None and (default := element.get("defaultValue")):
        extra["defaultBaudRate"] = default
    return tuple(sorted(found)), extra


def _bit_rate(element: Element, key: str, notes: Notes) -> int | None:
    """In kbit/s, which it also is without a unit."""
    text = element.get(key)
    found = _BIT_RATE.fullmatch(text)
    rate = None
    if found is not None:
        rate = int(found[1]) * (1000 if (found[2] or "").lower() == "m" else 1)
        if found[3] and not found[2]:
            rate //= 1000
    if text and not (rate and rate <= 10_000):
        refuse(element, key, "no bit rate", notes)
        return None
    return rate


def _read_features(device: DeviceInfo, profiles: Profiles, notes: Notes) -> None:
    """Counts that are left out are 0, and switches false: so says the schema of CiA 311."""
    general = profiles.part("NetworkManagement", "CANopenGeneralFeatures")
    if general is not None:
        device.granularity = read_number(general, "granularity", notes)
        device.rpdo_count = read_number(general, "nrOfRxPDO", notes) or 0
        device.tpdo_count = read_number(general, "nrOfTxPDO", notes) or 0
        device.dynamic_channels = read_number(general, "dynamicChannels", notes) or 0
        device.group_messaging = read_switch(general, "groupMessaging", notes)
        device.boot_up_slave = read_switch(general, "bootUpSlave", notes)
        device.lss_supported = read_switch(general, "layerSettingServiceSlave", notes)
        device.extra = {**device.extra, **attributes_beside(general, _GENERAL)}
    master = profiles.part("NetworkManagement", "CANopenMasterFeatures")
    if master is not None:
        device.boot_up_master = read_switch(master, "bootUpMaster", notes)
        device.extra = {**device.extra, **attributes_beside(master, ("bootUpMaster",))}


def complete_identity(device: DeviceInfo, identity: Object | None) -> None:
    """Take from the defaults of object 1018h what the file says nowhere else: CiA 311 has no place for a revision."""
    members = identity.members if identity is not None else {}

    def default(subindex: int) -> int | None:
        value = members[subindex].default if subindex in members else None
        return value if isinstance(value, int) and value else None

    if device.vendor_id is None:
        device.vendor_id = default(1)
    if device.product_code is None:
        device.product_code = default(2)
    if device.revision is None:
        device.revision = default(3)


def read_commissioning(profiles: Profiles, notes: Notes) -> Commissioning:
    """None for what is missing or impossible. Tools do not agree on the capitals of the attributes."""
    written = profiles.part("NetworkManagement", "deviceCommissioning")
    if written is None:
        return Commissioning()
    usual = {_PLACE.get(key.lower(), key): value for key, value in written.attributes.items()}
    element = Element(written.name, written.line, usual)
    node_id = read_number(element, "nodeID", notes)
    if node_id is not None and not 1 <= node_id <= 127:
        refuse(element, "nodeID", "outside 1..127", notes)
        node_id = None
    return Commissioning(
        node_id=node_id,
        bit_rate=_bit_rate(element, "actualBaudRate", notes),
        node_name=element.get("nodeName"),
        net_number=read_number(element, "networkNumber", notes),
        network_name=element.get("networkName"),
        canopen_manager=read_switch(element, "CANopenManager", notes),
        extra=attributes_beside(element, _PLACE.values()),
    )


def read_dummies(profiles: Profiles, notes: Notes) -> frozenset[int] | None:
    """Data types that may fill a gap in a PDO mapping; None when the file does not say."""
    element = profiles.part("ApplicationLayers", "dummyUsage")
    if element is None:
        return None
    dummies = set()
    for each in element.all("dummy"):
        found = _DUMMY.fullmatch(each.get("entry"))
        if found is None:
            refuse(each, "entry", "no DummyNNNN=0 or 1", notes)
        elif found[2] == "1":
            dummies.add(int(found[1], 16))
    return frozenset(dummies)


def read_channels(dictionary: ObjectDictionary, profiles: Profiles, notes: Notes) -> None:
    """Dynamic channels, kept as the section [DynamicChannels] that CiA 306 has for them."""
    element = profiles.part("ApplicationLayers", "dynamicChannels")
    channels = element.all("dynamicChannel") if element is not None else []
    if not channels:
        return
    section: dict[str, str] = {"NrOfSeg": str(len(channels))}
    for number, each in enumerate(channels, 1):
        section |= _channel(number, each, notes)
    dictionary.sections = {**dictionary.sections, "DynamicChannels": section}


def _channel(number: int, element: Element, notes: Notes) -> Mapping[str, str]:
    direction = element.get("accessType")
    first, last = read_hex(element, "startIndex", notes) or 0, read_hex(element, "endIndex", notes) or 0
    return {
        f"Type{number}": f"0x{read_hex(element, 'dataType', notes) or 0:04X}",
        f"Dir{number}": _DIRECTIONS.get(direction.lower(), direction),
        f"Range{number}": f"0x{first:04X}-0x{last:04X}",
        f"PPOffset{number}": f"0x{read_hex(element, 'addressOffset', notes) or 0:X}",
        **{
            f"{key}{number}": value
            for key, value in attributes_beside(
                element, ("dataType", "accessType", "startIndex", "endIndex", "addressOffset")
            ).items()
        },
    }
