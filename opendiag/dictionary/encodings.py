"""The text of a device file, whatever its bytes were written as."""

from __future__ import annotations

import codecs

from opendiag.errors import DictionaryFileError
from opendiag.findings import Finding, Severity

_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF8: "utf-8-sig"}
_NAMES = {"cp1252": "Windows-1252", "cp850": "the DOS code page 850"}
#: What names and units of a Western European file are made of, in either code page.
_USED = "äöüÄÖÜßéèêëàâáçñíîïóôúùûåÅæÆøØ°µ²³½±§®©Ω"
_CP1252 = frozenset(_USED.encode("cp1252", "ignore"))
_CP850 = frozenset(_USED.encode("cp850", "ignore"))


def decode(raw: bytes, name: str) -> tuple[str, str, list[Finding]]:
    """Text, Python's name of the encoding, and what gave reason to note. Raises DictionaryFileError for no text."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            return _strict(raw, encoding, len(mark) if encoding != "utf-8-sig" else 0, name)
    if b"\0" in raw:
        return _strict(raw, _utf_16_without_mark(raw, name), 0, name)
    try:
        return raw.decode("utf-8"), "utf-8", []
    except UnicodeDecodeError as error:
        encoding = _code_page(raw)
        text = raw.decode(encoding, "replace")
        return text, encoding, [_finding(raw, error.start, name, f"read as {_NAMES[encoding]}")]


def _strict(raw: bytes, encoding: str, skip: int, name: str) -> tuple[str, str, list[Finding]]:
    try:
        return raw[skip:].decode(encoding), encoding, []
    except UnicodeDecodeError as error:
        if encoding == "utf-8-sig":
            text = raw.decode(encoding, "replace")
            return text, encoding, [_finding(raw, error.start, name, "replaced by a question mark")]
        kind = encoding.upper()
        raise DictionaryFileError(name, None, f"not {kind}, though it begins like it: {error.reason}") from error


def _utf_16_without_mark(raw: bytes, name: str) -> str:
    """Every other byte of an English text in UTF-16 is zero."""
    head = raw[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if not even and odd > 0.8 * half:
        return "utf-16-le"
    if not odd and even > 0.8 * half:
        return "utf-16-be"
    raise DictionaryFileError(name, None, "not a text file (it contains zero bytes)")


def _code_page(raw: bytes) -> str:
    """Windows-1252, or the DOS page where that gives letters and the other gives signs that nobody writes."""
    high = [byte for byte in raw if byte >= 0x80]
    windows = sum(byte in _CP1252 for byte in high)
    dos = sum(byte in _CP850 for byte in high)
    return "cp850" if dos > windows else "cp1252"


def _finding(raw: bytes, start: int, name: str, assumed: str) -> Finding:
    line = raw.count(b"\n", 0, start) + 1
    return Finding("eds-encoding", Severity.INFO, "not UTF-8", name, line, f"byte {raw[start]:02X}h", assumed)
