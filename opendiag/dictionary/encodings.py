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
#: Name of the error handler below.
_AS_CONTROL = "opendiag.as_control"


def _as_control(error: UnicodeError) -> tuple[str | bytes, int]:
    """Windows-1252 has no sign for five bytes; as control characters they come back as the bytes they were."""
    if isinstance(error, UnicodeDecodeError):
        return error.object[error.start : error.end].decode("latin-1"), error.end
    if isinstance(error, UnicodeEncodeError) and all(
        0x80 <= ord(c) < 0xA0 for c in error.object[error.start : error.end]
    ):
        return error.object[error.start : error.end].encode("latin-1"), error.end
    raise error


codecs.register_error(_AS_CONTROL, _as_control)


def encode(text: str, encoding: str) -> bytes:
    """The bytes that `decode` made this text of, without a byte order mark. Raises UnicodeEncodeError."""
    return text.encode(encoding, _AS_CONTROL if encoding == "cp1252" else "strict")


def decode(raw: bytes, name: str) -> tuple[str, str, list[Finding]]:
    """Text, Python's name of the encoding, and what gave reason to note. Raises DictionaryFileError for no text."""
    text = without_padding(raw)
    if text is not raw:
        found, encoding, findings = _decoded(text, name)
        return found, encoding, [*findings, padding("eds-encoding", raw, text, name)]
    return _decoded(raw, name)


def padding(code: str, raw: bytes, text: bytes, name: str) -> Finding:
    """What to say of the bytes of a file that are no part of its text."""
    sentence = f"{len(raw) - len(text)} zero bytes behind the text"
    return Finding(code, Severity.WARNING, sentence, name, text.count(b"\n") + 1, "", "ignored")


def without_padding(raw: bytes) -> bytes:
    """The file without the zero bytes that a crash or a memory of fixed size left behind its text; itself if none."""
    if not raw.endswith(b"\0"):
        return raw
    text = raw.rstrip(b"\0")
    return raw if b"\0" in text or not text else text  # UTF-16 has zero bytes everywhere


def _decoded(raw: bytes, name: str) -> tuple[str, str, list[Finding]]:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            return _strict(raw, encoding, len(mark) if encoding != "utf-8-sig" else 0, name)
    if b"\0" in raw:
        return _strict(raw, _utf_16_without_mark(raw, name), 0, name)
    try:
        return raw.decode("utf-8"), "utf-8", []
    except UnicodeDecodeError as error:
        encoding = _code_page(raw)
        text = raw.decode(encoding, _AS_CONTROL)
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
