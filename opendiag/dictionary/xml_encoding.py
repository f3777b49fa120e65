"""The text of an XML file: what its first bytes or its declaration say it is written in."""

from __future__ import annotations

import codecs
import re

from opendiag.dictionary import encodings
from opendiag.errors import DictionaryFileError
from opendiag.findings import Finding, Severity

_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
#: Python knows more, and some of them are no alphabets at all.
_ACCEPTED = re.compile(
    r"utf_?8|utf_?16(_?[lb]e)?|(us_)?ascii|iso_?8859_\d+|latin_?1|windows_\d+|cp\d+|koi8_[ru]|gb\w+|big5|\w*_jis|euc_\w+"
)
#: Tools that make their XML in memory leave this there, whatever they then write.
_WIDE = "utf-16"


def decode_xml(raw: bytes, name: str) -> tuple[str, str, list[Finding]]:
    """Text, Python's name of the encoding, and what gave reason to note. Raises DictionaryFileError for no text."""
    body = encodings.without_padding(raw)
    if body is not raw:
        text, encoding, findings = decode_xml(body, name)
        return text, encoding, [*findings, encodings.padding("xdd-encoding", raw, body, name)]
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)) or b"\0" in raw[:4]:
        return _renamed(*encodings.decode(raw, name))
    encoding = _declared(raw, name)
    if encoding.startswith(_WIDE):  # then the declaration itself could not have been read byte by byte
        text, encoding, findings = _renamed(*encodings.decode(raw, name))
        assumed = "read as it is" if findings else "read as UTF-8"
        wrong = Finding("xdd-encoding", Severity.INFO, "not UTF-16, though it says so", name, 1, "", assumed)
        return text, encoding, [wrong, *findings]
    try:
        return raw.decode(encoding), encoding, []
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return _renamed(*encodings.decode(raw, name))
        line = raw.count(b"\n", 0, error.start) + 1
        text = raw.decode(encoding, "replace")
        finding = _finding(name, line, f"not {encoding}, though it says so", f"byte {raw[error.start]:02X}h")
        return text, encoding, [finding]


def _declared(raw: bytes, name: str) -> str:
    found = _DECLARED.match(raw)
    if found is None:
        return "utf-8"
    told = found[1].decode("ascii")
    try:
        if _ACCEPTED.fullmatch(told.lower().replace("-", "_")):
            return codecs.lookup(told).name
    except LookupError:
        pass
    raise DictionaryFileError(name, 1, f"no XML that can be read: its encoding is called {told!r}")


def _finding(name: str, line: int, sentence: str, evidence: str) -> Finding:
    return Finding("xdd-encoding", Severity.INFO, sentence, name, line, evidence, "replaced by a question mark")


def _renamed(text: str, encoding: str, findings: list[Finding]) -> tuple[str, str, list[Finding]]:
    own = [
        Finding("xdd-encoding", found.severity, found.sentence, found.file, found.line, found.evidence, found.assumed)
        for found in findings
    ]
    return text, encoding, own
