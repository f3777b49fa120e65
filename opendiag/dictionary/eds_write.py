"""An `ObjectDictionary` as an EDS or DCF (CiA 306), in two ways.

A dictionary that was read from such a file is written as that text with only what was changed in it (`eds_patch`):
unknown keys, comments, order and line ends stay. Any other, and with ``canonical``, is written afresh: all sections
in the order of CiA 306, one spelling for everything. Lines end as in the text it was read from, else with CR LF: these
are the files of Windows tools.

An EDS has no place for names of bits and of values, for a text that breaks a line or begins or ends with a space, and
for empty text or bytes as a value; such a text loses its breaks and outer spaces, the rest is left out.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath

from opendiag.dictionary.document import Document
from opendiag.dictionary.eds import parse
from opendiag.dictionary.eds_lines import line_end
from opendiag.dictionary.eds_patch import patched
from opendiag.dictionary.eds_render import Block, render
from opendiag.dictionary.encodings import encode
from opendiag.dictionary.model import Commissioning, Object, ObjectDictionary, check_node_id
from opendiag.errors import DictionaryFileError

_MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
#: Suffixes of files that describe one configured device.
_OF_A_DEVICE = (".dcf", ".xdc")


def eds_text(dictionary: ObjectDictionary, *, canonical: bool = False) -> str:
    """The EDS. Of a DCF it is that of the type: without commissioning, configured values, denotations and modules."""
    return _text(_type_of(dictionary) if _is_dcf(dictionary) else dictionary, False, canonical)


def dcf_text(
    dictionary: ObjectDictionary,
    *,
    node_id: int | None = None,
    bit_rate: int | None = None,
    node_name: str = "",
    canonical: bool = False,
) -> str:
    """The DCF of one device. What is given goes to its commissioning; ``bit_rate`` in kbit/s.

    Defaults stay formulas of the node-ID, configured values are those of the dictionary. A dictionary of which nothing
    says where its device is gets no [DeviceComissioning].

    Raises ValueError for a node-ID outside 1..127.
    """
    check_node_id(node_id)
    place = dictionary.commissioning
    place = replace(
        place,
        node_id=place.node_id if node_id is None else node_id,
        bit_rate=place.bit_rate if bit_rate is None else bit_rate,
        node_name=node_name or place.node_name,
    )
    configured = replace(dictionary, commissioning=place)
    if _is_dcf(configured) and not _is_dcf(dictionary) and not dictionary.file.last_eds:
        origin = dictionary.file.file_name or PurePath(dictionary.name).name
        configured.file = replace(dictionary.file, last_eds=origin)
    return _text(configured, _is_dcf(configured), canonical)


def write(dictionary: ObjectDictionary, path: str | Path, *, canonical: bool = False) -> None:
    """Write an EDS or a DCF, by the suffix of ``path``; a file that is there is replaced.

    What was read from a file with this suffix stays what it is: there are DCFs named .eds.

    The bytes are of the encoding the dictionary was read from, and of UTF-8 where there is none or it lacks a letter.

    Raises DictionaryFileError for another suffix, and when the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".eds", ".dcf"):
        raise DictionaryFileError(str(path), None, f"written are .eds and .dcf, not {path.suffix or 'no suffix'}")
    document = _document(dictionary)
    stays = document is not None and suffix == PurePath(dictionary.name).suffix.lower()
    is_eds = suffix == ".eds" and not (stays and _is_dcf(dictionary))
    if is_eds and PurePath(dictionary.name).suffix.lower() in _OF_A_DEVICE:  # also one that does not say where it is
        dictionary = _type_of(dictionary)
    text = (eds_text if is_eds else dcf_text)(dictionary, canonical=canonical)
    try:
        path.write_bytes(_encoded(text, document.encoding if document else "utf-8"))
    except OSError as error:
        raise DictionaryFileError(str(path), None, f"cannot be written: {error.strerror or error}") from error


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return _MARKS.get(encoding, b"") + encode(text, encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _document(dictionary: ObjectDictionary) -> Document | None:
    """The text of an EDS or DCF that it was read from."""
    document = dictionary.document
    return document if document is not None and document.kind in ("eds", "dcf") else None


def _is_dcf(dictionary: ObjectDictionary) -> bool:
    document = dictionary.document
    return dictionary.commissioning != Commissioning() or (document is not None and document.kind == "dcf")


def _text(dictionary: ObjectDictionary, dcf: bool, canonical: bool) -> str:
    document = _document(dictionary)
    if document is not None and not canonical:
        return patched(dictionary, document, dcf=dcf)
    if document is None:
        return canonical_text(render(dictionary, dcf=dcf), "\r\n")
    was = parse(document.text, dictionary.name).objects
    return canonical_text(render(dictionary, dcf=dcf, was=was), line_end(document.text))


def canonical_text(blocks: Iterable[Block], end: str) -> str:
    """Sections with an empty line between them; ``end`` is that of a line."""
    sections = [
        [f"[{block.name}]", *(f"{key}={value}" for key, value in block.entries.items()), ""] for block in blocks
    ]
    return end.join(line for section in sections for line in section)


def _type_of(dictionary: ObjectDictionary) -> ObjectDictionary:
    """The device type that a DCF is of."""
    objects = {index: _unconfigured(found) for index, found in dictionary.objects.items()}
    file = replace(dictionary.file, last_eds="")
    return replace(dictionary, objects=objects, file=file, commissioning=Commissioning(), connected=())


def _unconfigured(found: Object) -> Object:
    members = {sub: replace(member, value=None, denotation="") for sub, member in found.members.items()}
    return replace(found, members=members, denotation="")
