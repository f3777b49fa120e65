"""XDD, XDC and XPD files (CiA 311) to an `ObjectDictionary`.

`xml_tree` reads the XML, `xdd_parameters` the device profile behind the objects, `xdd_objects` and `xdd_values` the
objects, `xdd_device` all the rest. Whatever is odd becomes a finding of the dictionary with its line and what was
assumed. Only a text without any object at all is refused.
"""

from __future__ import annotations

from opendiag.dictionary.document import Document
from opendiag.dictionary.eds_device import Identity
from opendiag.dictionary.eds_sections import Notes
from opendiag.dictionary.model import Object, ObjectDictionary
from opendiag.dictionary.xdd_device import (
    Profiles,
    complete_identity,
    read_channels,
    read_commissioning,
    read_device,
    read_dummies,
    read_file_info,
)
from opendiag.dictionary.xdd_elements import XmlNotes, read_number
from opendiag.dictionary.xdd_objects import Builder
from opendiag.dictionary.xdd_parameters import Parameters
from opendiag.dictionary.xml_encoding import decode_xml
from opendiag.dictionary.xml_tree import Element, parse_tree
from opendiag.errors import DictionaryFileError
from opendiag.findings import Severity

_CONTAINER = "ISO15745ProfileContainer"
_IDENTITY_OBJECT = 0x1018


def parse_xml(data: str | bytes, name: str) -> ObjectDictionary:
    """Read an XDD, XDC or XPD. ``name`` is what the dictionary and its findings call the file.

    Raises DictionaryFileError for what is no XML, for a document type, and when there is no object in the text.
    """
    notes = XmlNotes(name)
    text, encoding = _text_of(data, name, notes)
    container = _container(parse_tree(text, name), name, notes)
    profiles = Profiles(container)
    objects = Builder(Parameters(container, notes), notes).build_all(_object_lists(container, name, notes))
    if not objects:
        raise DictionaryFileError(name, None, "there is no object in its <CANopenObjectList>")
    dictionary = ObjectDictionary(name, objects, read_device(profiles, notes), file=read_file_info(profiles))
    complete_identity(dictionary.device, objects.get(_IDENTITY_OBJECT))
    dictionary.commissioning = read_commissioning(profiles, notes)
    dictionary.dummies = read_dummies(profiles, notes)
    read_channels(dictionary, profiles, notes)
    dictionary.document = Document(text, "xdd", encoding)
    _note_the_rest(dictionary, profiles, notes)
    dictionary.findings = notes.in_order()
    return dictionary


def read_identity(data: str | bytes, name: str) -> Identity:
    """Read what tells device types apart, and nothing else of the file. Raises DictionaryFileError."""
    notes = XmlNotes(name)
    container = _container(parse_tree(_text_of(data, name, notes)[0], name), name, notes)
    device = read_device(Profiles(container), notes)
    if None in (device.vendor_id, device.product_code, device.revision):
        complete_identity(device, _identity_object(container, name, notes))
    return Identity(device.vendor_id, device.product_code, device.revision)


def _identity_object(container: Element, name: str, notes: Notes) -> Object | None:
    for one in _object_lists(container, name, notes):
        for element in one.all("CANopenObject"):
            if element.get("index") == f"{_IDENTITY_OBJECT:04X}":
                return Builder(Parameters(container, notes), notes).build(_IDENTITY_OBJECT, element)
    return None


def _text_of(data: str | bytes, name: str, notes: Notes) -> tuple[str, str]:
    if isinstance(data, str):
        return data.removeprefix("\ufeff"), "utf-8"
    text, encoding, findings = decode_xml(data, name)
    notes.findings += findings
    return text, encoding


def _container(root: Element, name: str, notes: Notes) -> Element:
    """The device description; a project file of several devices holds one for each."""
    found = [element for element in root.walk() if element.name == _CONTAINER]
    if not found:
        raise DictionaryFileError(name, root.line, f"XML, but no CANopen device description: it is a <{root.name}>")
    if len(found) > 1:
        sentence = f"{len(found)} devices in one file"
        notes.add("xdd-several-devices", found[1].line, sentence, "", f"the one of line {found[0].line} was read")
    return found[0]


def _object_lists(container: Element, name: str, notes: Notes) -> list[Element]:
    lists = [element for element in container.walk() if element.name == "CANopenObjectList"]
    if not lists:
        reason = "a device description without <CANopenObjectList>: not of a CANopen device"
        raise DictionaryFileError(name, container.line, reason)
    for element in lists:
        keys = [key for key in ("mandatoryObjects", "optionalObjects", "manufacturerObjects") if element.get(key)]
        said = sum(read_number(element, key, notes) or 0 for key in keys)
        found = len(element.all("CANopenObject"))
        if keys and said != found:
            sentence = f"<CANopenObjectList> has {found} objects, its attributes say {said}"
            notes.add("xdd-list-count", element.line, sentence, "", "those that are there count", Severity.INFO)
    return lists


def _note_the_rest(dictionary: ObjectDictionary, profiles: Profiles, notes: Notes) -> None:
    """What is there and was not read, or means more than it was taken for."""
    modules = profiles.part("ApplicationLayers", "moduleManagement")
    if modules is not None:
        sentence = "the device takes modules"
        notes.add("xdd-modules", modules.line, sentence, "<moduleManagement>", "not read", Severity.INFO)
    disabled = [each for each in dictionary.objects.values() if _is_disabled(each)]
    if disabled:
        one = len(disabled) == 1
        what = "1 object is" if one else f"{len(disabled)} objects are"
        sentence = f"{what} marked as disabled, so the device may not have {'it' if one else 'them'}"
        evidence = "CO_disabled: " + ", ".join(f"{each.index:04X}h" for each in disabled)
        notes.add("xdd-disabled", disabled[0].line, sentence, evidence, "read all the same", Severity.INFO)


def _is_disabled(found: Object) -> bool:
    single = found.members.get(0)
    return "true" in (found.extra.get("CO_disabled"), single.extra.get("CO_disabled") if single else None)
