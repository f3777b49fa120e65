"""The socketcand protocol, seen from the server: bytes of a client to requests, frames to bytes.

    < open can0 >   < rawmode >   < send 601 8 40 41 60 0 0 0 0 0 >   < echo >          from the client
    < hi >   < ok >   < frame 581 1436509052.249713 4B41600027020000 >   < echo >       from the server
    < error 004 1436509052.249713 >   an error frame       < error cannot open ... >    anything that went wrong

Identifiers have 3 hexadecimal digits for 11 bits and 8 for 29. The protocol carries classic frames only, and no remote
frames towards the client. Towards the server a ``send`` with a length and no data is one, as python-can writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from opendiag.frame import Frame

GREETING = b"< hi >"
OK = b"< ok >"
ECHO = b"< echo >"
#: No request is longer than this many bytes.
MAX_REQUEST = 256
#: Clients throw away what is longer than 200 bytes.
_MAX_ERROR = 160
_BLANK = b" \t\r\n\x00"

_WHOLE = re.compile(rb"[ \t\r\n\0]*<([^<>]{0,%d})>" % MAX_REQUEST)
_HEX = re.compile(r"[0-9A-Fa-f]+")
_BYTE = re.compile(r"[0-9A-Fa-f]{1,2}")


@dataclass(frozen=True, slots=True)
class Open:
    """The client names the bus it wants."""

    channel: str


@dataclass(frozen=True, slots=True)
class Mode:
    """Another kind of connection: "raw", "bcm", "isotp" or "control"."""

    name: str


@dataclass(frozen=True, slots=True)
class Send:
    """A frame for the bus."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Echo:
    """The client wants to know whether the server is there."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing of the protocol, or nothing a bus can carry; ``seen`` is what was received, ``reason`` a sentence."""

    seen: str
    reason: str


Request = Open | Mode | Send | Echo | Rejected


class RequestParser:
    """Bytes in any pieces; the same bytes give the same requests however they are cut.

    ``rejected`` counts the `Rejected` given out.
    """

    def __init__(self) -> None:
        self.rejected = 0
        self._inside = False
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete now."""
        found: list[Request] = []
        at = 0
        while at < len(data):
            # Nearly always a request comes in one piece.
            whole = None if self._inside or self._pending else _WHOLE.match(data, at)
            if whole:
                request: Request | None = parse_request(whole[1])
                at = whole.end()
            else:
                request = self._within(data[at]) if self._inside else self._outside(data[at])
                at += 1
            if request is not None:
                self.rejected += isinstance(request, Rejected)
                found.append(request)
        return found

    @property
    def waiting(self) -> int:
        """How many bytes of something incomplete are kept."""
        return len(self._pending)

    def _within(self, byte: int) -> Request | None:
        if byte == ord(">"):
            self._inside = False
            return parse_request(self._taken())
        if byte == ord("<"):
            return Rejected(_shown(self._taken()), "a request without its end")
        self._pending.append(byte)
        if len(self._pending) > MAX_REQUEST:
            self._inside = False
            return Rejected(_shown(self._taken()), f"a request longer than {MAX_REQUEST} bytes")
        return None

    def _outside(self, byte: int) -> Request | None:
        """What is between requests is nobody's; a line of it, or as much as fits, is rejected as one."""
        self._inside = byte == ord("<")
        if not self._inside and byte != ord("\n") and len(self._pending) < MAX_REQUEST:
            # A blank begins nothing: between requests it is how people write.
            if self._pending or byte not in _BLANK:
                self._pending.append(byte)
            return None
        seen = self._taken()
        if not self._inside and byte not in _BLANK:
            self._pending.append(byte)
        return Rejected(_shown(seen), "not a request: expected one such as < open can0 >") if seen else None

    def _taken(self) -> bytes:
        taken = bytes(self._pending)
        self._pending.clear()
        return taken


def parse_request(body: bytes) -> Request:
    """What is between ``<`` and ``>``."""
    words = body.decode("ascii", "replace").split()
    match words:
        case ["open", channel]:
            return Open(channel)
        case ["rawmode" | "bcmmode" | "isotpmode" | "controlmode" as mode]:
            return Mode(mode.removesuffix("mode"))
        case ["echo"]:
            return Echo()
        case ["send", can_id, length, *data]:
            try:
                return Send(_frame(can_id, length, data))
            except ValueError as error:
                return Rejected(_shown(body), str(error))
    return Rejected(_shown(body), "unknown request: expected open, rawmode, send or echo")


def frame_message(frame: Frame, time_s: float) -> bytes:
    """The frame as a client reads it, at ``time_s`` unless it has a time itself; b"" for what cannot be said.

    That is a remote frame or one of CAN FD.
    """
    seconds, rest = divmod(round(time_s * 1e9) if frame.time_ns is None else frame.time_ns, 1_000_000_000)
    moment = f"{seconds}.{rest // 1000:06d}"
    if frame.error:
        return f"< error {frame.can_id:03X} {moment} >".encode()
    if frame.remote or frame.fd:
        return b""
    return f"< frame {frame.id_text} {moment} {frame.data.hex().upper()} >".encode()


def error_message(sentence: str) -> bytes:
    """A sentence for the client, cut to what it takes."""
    text = sentence.encode("ascii", "replace").translate(_ONE_LINE)[:_MAX_ERROR].strip()
    return b"< error " + text + b" >"


_ONE_LINE = bytes(code if 0x20 <= code < 0x7F and chr(code) not in "<>" else ord(".") for code in range(256))


def _frame(can_id: str, length: str, data: list[str]) -> Frame:
    if not _HEX.fullmatch(can_id) or len(can_id) not in (1, 2, 3, 8):
        raise ValueError(f"{can_id} is no identifier: expected 3 hexadecimal digits, or 8 for a 29-bit one")
    if not re.fullmatch("[0-8]", length):
        raise ValueError(f"length {length}: expected 0 to 8 data bytes")
    if data and len(data) != int(length):
        raise ValueError(f"length {length}, but {len(data)} data byte{'s' if len(data) != 1 else ''}")
    wrong = [byte for byte in data if not _BYTE.fullmatch(byte)]
    if wrong:
        raise ValueError(f"{wrong[0]} is no data byte")
    extended = len(can_id) == 8
    if not data and length != "0":
        return Frame(int(can_id, 16), extended=extended, remote=True, dlc=int(length))
    return Frame(int(can_id, 16), bytes(int(byte, 16) for byte in data), extended=extended)


def _shown(seen: bytes) -> str:
    return seen.strip(_BLANK).translate(_ONE_LINE)[:60].decode()
