"""What an XDD, XDC or XPD says, read a second time: with the XML reader of Python, and with no code of ours."""

import re
from typing import NamedTuple
from xml.etree import ElementTree

_IEC = {
    **{"BOOL": 0x01, "SINT": 0x02, "CHAR": 0x02, "INT": 0x03, "DINT": 0x04, "LINT": 0x15},
    **{"USINT": 0x05, "BYTE": 0x05, "UINT": 0x06, "WORD": 0x06, "UDINT": 0x07, "DWORD": 0x07},
    **{"ULINT": 0x1B, "LWORD": 0x1B, "REAL": 0x08, "LREAL": 0x11, "STRING": 0x09, "WSTRING": 0x0B},
}
_ACCESS = {
    **{"const": "const", "read": "ro", "write": "wo", "readWrite": "rw", "noAccess": ""},
    **{"readWriteInput": "rwr", "readWriteOutput": "rww", "ro": "ro", "wo": "wo", "rw": "rw"},
}


class Said(NamedTuple):
    """ "" or None: not said. ``data_type`` "BITSTRING" is no type of CANopen."""

    name: str
    object_type: int | None
    data_type: int | str | None
    access: str
    default: str
    value: str
    low: str
    high: str
    mappable: bool
    members: tuple[int, ...]


def _plain(element):
    return element.tag.rpartition("}")[2]


def _child(element, name):
    return next((child for child in element if _plain(child) == name), None) if element is not None else None


def _text(element):
    """The label of a parameter."""
    found = _child(element, "label")
    return " ".join((found.text or "").split()) if found is not None else ""


def objects(path):
    """{(index, None): Said, (index, subindex): Said, ...}"""
    root = ElementTree.fromstring(path.read_bytes().strip())
    by_id = {element.get("uniqueID"): element for element in root.iter() if element.get("uniqueID")}
    found = {}
    for element in root.iter():
        if _plain(element) == "CANopenObject":
            index = int(element.get("index"), 16)
            subs = [child for child in element if _plain(child) == "CANopenSubObject"]
            members = tuple(int(sub.get("subIndex"), 16) for sub in subs)
            found[index, None] = _said(element, by_id, members)
            for sub, subindex in zip(subs, members, strict=True):
                found[index, subindex] = _said(sub, by_id, ())
    return found


def _said(element, by_id, members):
    parameter = by_id.get(element.get("uniqueIDRef"))
    mapping = element.get("PDOmapping", "no")
    access = element.get("accessType")
    if not access and parameter is not None:
        access = parameter.get("access", "read")
    access = _ACCESS[access] if access else ""
    if access == "rw":
        access = {"TPDO": "rwr", "RPDO": "rww"}.get(mapping, access)
    return Said(
        " ".join(element.get("name", "").split()) or _text(parameter),
        int(element.get("objectType")) if element.get("objectType") else None,
        _type(element, parameter),
        access,
        element.get("defaultValue") or _value(parameter, "defaultValue"),
        element.get("actualValue") or _value(parameter, "actualValue"),
        element.get("lowLimit") or "",
        element.get("highLimit") or "",
        mapping != "no",
        members,
    )


def _value(parameter, name):
    found = _child(parameter, name)
    return found.get("value", "") if found is not None else ""


def _type(element, parameter):
    if element.get("dataType"):
        return int(re.sub("^0x", "", element.get("dataType"), flags=re.IGNORECASE), 16)
    for child in parameter if parameter is not None else ():
        if _plain(child) in _IEC:
            return _IEC[_plain(child)]
        if _plain(child) == "BITSTRING":
            return "BITSTRING"
    return None
