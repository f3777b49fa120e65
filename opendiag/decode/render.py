"""A record as one line for people: plain strings, without colour and without knowing a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.decode.records import Record
from opendiag.decode.values import hex_text, is_hex, value_text
from opendiag.frame import Frame

_SERVICES = {
    "sdo.read": "SDO read",
    "sdo.write": "SDO write",
    "sdo": "SDO",
    "nmt": "NMT",
    "boot-up": "boot-up",
    "heartbeat": "heartbeat",
    "guarding": "guarding",
    "sync": "SYNC",
    "time": "TIME",
    "emcy": "EMCY",
    "lss": "LSS",
    "error-frame": "ERROR",
    "unknown": "?",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Columns of one line. ``level`` is "", "quiet", "warning" or "error", for whoever has colours."""

    frames: str
    time: str
    node: str
    service: str
    object: str
    value: str
    text: str
    level: str


def row(record: Record, start_ns: int | None = None, home_channel: str | None = None) -> Row:
    """``start_ns`` is time zero of the time column; ``home_channel`` is the channel that needs no mention."""
    node = "" if record.node is None else str(record.node)
    if record.channel is not None and record.channel != home_channel:
        node = f"{record.channel}/{node}" if node else record.channel
    return Row(
        frames=frames_text(record.frames),
        time=_time(record.time_ns, start_ns),
        node=node or "-",
        service=service_text(record),
        object=_object(record),
        value=_value(record),
        text=_text(record),
        level=_level(record),
    )


def frames_text(frames: tuple[int, ...]) -> str:
    """As in "7", "2-3", "2..9 (6)"; the last is six frames with others between them."""
    if len(frames) < 2:
        return "".join(map(str, frames))
    first, last = frames[0], frames[-1]
    if last - first == len(frames) - 1:
        return f"{first}-{last}"
    return f"{first}..{last} ({len(frames)})" if len(frames) > 2 else f"{first},{last}"


def service_text(record: Record) -> str:
    """As in "SDO read", "TPDO4"; an SDO channel other than the default one carries its number."""
    if record.service in ("tpdo", "rpdo"):
        return f"{record.service.upper()}{record.number}"
    name = _SERVICES.get(record.service, record.service)
    return f"{name} #{record.number}" if record.service.startswith("sdo") and (record.number or 1) > 1 else name


def _time(time_ns: int | None, start_ns: int | None) -> str:
    if time_ns is None:
        return ""
    return f"{(time_ns - (start_ns or 0)) / 1e9:.6f}"


def _object(record: Record) -> str:
    if record.index is not None:
        return f"{record.object_text} {record.name or 'not in the dictionary'}"
    if record.name is not None:
        return record.name
    if "mapping-unknown" in record.flags:
        return "mapping unknown"
    if record.service == "unknown" and record.can_id is not None:
        return f"{record.can_id:08X}" if "29-bit" in record.flags else f"{record.can_id:03X}"
    return "object unknown" if record.service.startswith("sdo") else ""


def _value(record: Record) -> str:
    if record.service in ("emcy", "time", "sync", "nmt", "lss", "error-frame", "boot-up", "heartbeat", "guarding"):
        return ""
    if record.value is not None and record.raw is not None:
        unit = record.unit if record.scaled is None else None
        hexadecimal = bool(record.bits) or (record.index is not None and is_hex(record.index, record.subindex or 0))
        return value_text(record.value, record.raw, hexadecimal, unit)
    return hex_text(record.raw) if record.raw is not None else "-"


def _text(record: Record) -> str:
    text = record.text
    if record.value is None and text and record.raw and record.status == "ok" and text.startswith("as "):
        text = f"({text})"
    if record.status == "damaged":
        text = f"not to be trusted: {text}"
    if "unchanged" in record.flags and record.index is not None:
        text = f"unchanged; {text}" if text else "unchanged"
    return text


def _level(record: Record) -> str:
    if record.status in ("aborted", "damaged", "malformed") or record.service in ("emcy", "error-frame"):
        return "error"
    if record.status != "ok" or record.state == "FAULT":
        return "warning"
    return "quiet" if "unchanged" in record.flags else ""


def frame_text(frame: Frame) -> str:
    """As candump prints it, without channel and time: "665   [8]  40 78 60 00 00 00 00 00".

    A length code above 8 of a classic frame stands in braces, as `candump -8` has it: "665   {B}  40 ...".
    """
    length = f"[{len(frame.data):02d}]" if frame.fd else f"[{frame.dlc}]" if frame.dlc <= 8 else f"{{{frame.dlc:X}}}"
    if frame.remote:
        return f"{frame.id_text}   {length}  remote request"
    return f"{frame.id_text}   {length}  {frame.data.hex(' ').upper()}".rstrip()
