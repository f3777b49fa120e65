"""XDD, XDC and XPD files (CiA 311) to an `ObjectDictionary`."""

from __future__ import annotations

from opendiag.dictionary.eds_device import Identity
from opendiag.dictionary.model import ObjectDictionary
from opendiag.dictionary.xml_tree import parse_tree
from opendiag.errors import DictionaryFileError


def parse_xml(data: str | bytes, name: str) -> ObjectDictionary:
    """Raises DictionaryFileError."""
    root = parse_tree(data, name)
    raise DictionaryFileError(name, root.line, "this is XML, not an EDS (no object section such as [1000])")


def read_identity(data: bytes, name: str) -> Identity:
    """Raises DictionaryFileError."""
    parse_tree(data, name)
    return Identity(None, None, None)
