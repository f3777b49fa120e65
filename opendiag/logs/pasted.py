"""Undoes what mail, forums and editors add to a line of a capture."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_INVISIBLE = re.compile("[\ufeff\u200b\u200e\u200f\u2060]")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")
#: In front of a time or of an interface name with its number, never of a bare identifier: that could be anything.
_LINE_NUMBER = re.compile(
    r"^[\s>|]*[0-9]{1,9}(?::|\.|\)|\t| |(?=\())\s*(?=\([-0-9:.T ]+\)|[A-Za-z][A-Za-z_.-]*[0-9]+\s)"
)
_MARKS = ("[", "{", "#")


def plain(line: str) -> str:
    """Without terminal colours (candump -c)."""
    return _COLOUR.sub("", line) if "\x1b" in line else line


def cleaned(line: str) -> str | None:
    """The line as candump wrote it; None when nothing was added, or when it cannot hold a frame."""
    if not any(mark in line for mark in _MARKS):
        return None
    text = _INVISIBLE.sub("", line)
    if "&" in text:
        from html import unescape  # slow to import, seldom needed

        text = unescape(text)
    text = _TAG.sub(" ", text)
    text = _LINE_NUMBER.sub("", text)
    return None if text == line else text
