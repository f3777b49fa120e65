"""What an XML file is written in."""

import pytest

from opendiag.dictionary.xml_encoding import decode_xml
from opendiag.errors import DictionaryFileError

TEXT = '<?xml version="1.0" encoding="{}"?>\n<a>Öl °C</a>'


@pytest.mark.parametrize("told", ["utf-8", "UTF-8", "iso-8859-1", "windows-1252", "Latin1", "cp850"])
def test_the_declared_encoding(told):
    text = TEXT.format(told)
    assert decode_xml(text.encode(told), "f")[::2] == (text, [])


def test_utf_8_without_a_declaration():
    assert decode_xml("<a>Öl</a>".encode(), "f") == ("<a>Öl</a>", "utf-8", [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_first_bytes_come_before_the_declaration(encoding):
    text = TEXT.format("iso-8859-1") + "<b>plain English text, as there is in every file</b>" * 3
    assert decode_xml(text.encode(encoding), "f")[::2] == (text, [])


def test_not_the_utf_8_it_says():
    text, encoding, findings = decode_xml(TEXT.format("utf-8").encode("cp1252"), "f")
    assert (text, encoding) == (TEXT.format("utf-8"), "cp1252")
    assert [(finding.code, finding.line) for finding in findings] == [("xdd-encoding", 2)]


def test_not_the_ascii_it_says():
    text, _, findings = decode_xml(TEXT.format("us-ascii").encode("latin-1"), "f")
    assert text.endswith("\ufffdl \ufffdC</a>")
    assert [(finding.code, finding.line) for finding in findings] == [("xdd-encoding", 2)]


@pytest.mark.parametrize("told", ["utf-16", "UTF-16LE", "utf16"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_not_the_utf_16_it_says(told, encoding):
    text, used, findings = decode_xml(TEXT.format(told).encode(encoding), "f")
    assert (text, used) == (TEXT.format(told), encoding)
    assert [finding.code for finding in findings] == ["xdd-encoding"] * (1 + (encoding != "utf-8"))
    assert findings[0].line == 1 and "UTF-16" in findings[0].sentence


def test_zero_bytes_behind_the_text():
    text = TEXT.format("iso-8859-1")
    found, _, findings = decode_xml(text.encode("iso-8859-1") + b"\0\0", "f")
    assert found == text
    assert [finding.code for finding in findings] == ["xdd-encoding"]


@pytest.mark.parametrize("told", ["klingon", "rot13", "punycode", "unicode_escape", "cp99999", "zlib"])
def test_an_encoding_that_is_no_alphabet(told):
    with pytest.raises(DictionaryFileError, match=told) as caught:
        decode_xml(TEXT.format(told).encode(), "f")
    assert caught.value.line == 1
