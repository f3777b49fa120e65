"""The one record schema: what decode, and everything built on it, says happened on the bus.

A record is one service event about at most one object: an SDO transfer, one mapped object of a PDO (records of the
same PDO share ``frames``), a heartbeat, an EMCY. `docs/reference/records.md` documents the JSON form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import object_text

#: Version of the JSON form. Fields may be added under the same number; a changed meaning raises it.
SCHEMA_VERSION = 1

_EMPTY: Mapping[str, Any] = {}


@dataclass(slots=True)
class Record:
    """Nobody changes a record once it is made; it is not frozen because making a frozen one takes three times as long.

    ``service``  sdo.read, sdo.write, sdo, tpdo, rpdo, nmt, boot-up, heartbeat, guarding, sync, time, emcy, lss,
                    error-frame, unknown.
    ``status``      ok; for SDO also aborted, unanswered, incomplete, damaged, stray; malformed for any service.
    ``frames``      numbers of the frames it came from, counted from 1 in the capture.
    ``time_ns``     of the first of these frames, as the capture has it.
    ``number``      which PDO, or which SDO channel.
    ``raw``         the object's bytes, low byte first as on the wire; of a PDO field its bits, padded with zeros.
    ``value``       None whenever no value was on the wire: a read request never has one.
    ``unit``        of ``scaled`` where there is one, else of ``value`` itself.
    ``state``       PDS state (CiA 402) or NMT state by name.
    ``names_from``  eds:<name>, cia301, cia302, cia402, or None where nobody names the object.
    ``mapping_from`` PDO only: traffic, eds:<name>, or None for an unknown mapping.
    ``response_ns`` SDO only: from the request to the server's first answer; ``took_ns`` to the last frame.
    ``flags``       stable codes of what is odd or worth knowing (documented with the schema).
    ``text``        the same in words.
    """

    service: str
    frames: tuple[int, ...]
    status: str = "ok"
    time_ns: int | None = None
    channel: str | None = None
    can_id: int | None = None
    node: int | None = None
    number: int | None = None
    index: int | None = None
    subindex: int | None = None
    name: str | None = None
    type: str | None = None
    raw: bytes | None = None
    value: Value | None = None
    scaled: float | None = None
    unit: str | None = None
    state: str | None = None
    bits: tuple[str, ...] = ()
    text: str = ""
    names_from: str | None = None
    mapping_from: str | None = None
    bit_offset: int | None = None
    bit_width: int | None = None
    transfer: str | None = None
    size: int | None = None
    abort_code: int | None = None
    response_ns: int | None = None
    took_ns: int | None = None
    flags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def object_text(self) -> str | None:
        """As in "6041:00", None for a record without an object."""
        return None if self.index is None else object_text(self.index, self.subindex or 0)

    @property
    def changed(self) -> bool:
        """False when the same object of the same node said the same before."""
        return "unchanged" not in self.flags

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: every field that has something to say, times also in seconds and milliseconds."""
        out: dict[str, Any] = {"v": SCHEMA_VERSION, "frames": list(self.frames)}
        out["t"] = None if self.time_ns is None else self.time_ns / 1e9
        out["t_ns"] = self.time_ns
        out["ch"] = self.channel
        out["svc"] = self.service
        out["status"] = self.status
        for key, attribute in _JSON_KEYS:
            content = getattr(self, attribute)
            if content is None or content == () or (content == "" and key != "value"):  # an empty string is a value
                continue
            out[key] = _json_value(content)
        for key, ns in (("response_ms", self.response_ns), ("took_ms", self.took_ns)):
            if ns is not None:
                out[key] = ns / 1e6
        if self.details:
            out["details"] = {key: _json_value(content) for key, content in self.details.items()}
        return out


_JSON_KEYS = (
    ("can_id", "can_id"),
    ("node", "node"),
    ("number", "number"),
    ("index", "index"),
    ("sub", "subindex"),
    ("name", "name"),
    ("type", "type"),
    ("raw", "raw"),
    ("value", "value"),
    ("scaled", "scaled"),
    ("unit", "unit"),
    ("state", "state"),
    ("bits", "bits"),
    ("text", "text"),
    ("names_from", "names_from"),
    ("mapping_from", "mapping_from"),
    ("bit_offset", "bit_offset"),
    ("bit_width", "bit_width"),
    ("transfer", "transfer"),
    ("size", "size"),
    ("abort_code", "abort_code"),
    ("flags", "flags"),
)


def _json_value(content: object) -> object:
    """Bytes as hexadecimal text; NaN and infinities, which JSON lacks, as text."""
    if isinstance(content, bytes):
        return content.hex()
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    return list(content) if isinstance(content, tuple) else content
