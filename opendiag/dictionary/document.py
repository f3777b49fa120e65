"""The text a dictionary was read from, kept so that a writer can leave alone what was not changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """``kind`` is "eds", "dcf" or "xdd" (all XML forms); ``encoding`` is what the bytes of the file were read as."""

    text: str
    kind: str = "eds"
    encoding: str = "utf-8"
