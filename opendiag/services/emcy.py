"""EMCY, both ends: reporting errors (1001h, 1003h, 1014h, 1015h), and collecting what other nodes report."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from opendiag.dictionary.tables.error_codes import CIA402_CODES, VENDOR_CODES
from opendiag.frame import Frame
from opendiag.services.sync import as_cob_id
from opendiag.wire.cob_id import CobId
from opendiag.wire.emcy import LENGTH, Emcy, ErrorEntry, code_text

_BASE, _BOOT_UP = 0x80, 0x700
_EVENTS_KEPT = 10_000
_WAITING_KEPT = 256
#: Profile numbers of a drive, and of a device of several profiles.
_DRIVES = (402, 0xFFFF)
#: High byte of an error code, or its high digit, -> the bit of 1001h that stands for that class (CiA 301).
_REGISTER_BIT = {0x1: 0, 0x2: 1, 0x3: 2, 0x4: 3, 0x81: 4, 0x82: 4, 0xFF: 7}


def emcy_text(code: int, profile: int | None = None, vendor_id: int | None = None) -> str:
    """The most specific text known: the vendor's, CiA 402's, that of the code's group, CiA 301's.

    ``profile`` is the low word of 1000h. None or FFFFh (several): it may be a drive; another one than 402 has no text
    of CiA 402.
    """
    text = VENDOR_CODES.get(vendor_id or 0, {}).get(code)
    if text is None and (profile is None or profile in _DRIVES):
        text = CIA402_CODES.get(code) or CIA402_CODES.get(code & 0xFFF0) or CIA402_CODES.get(code & 0xFF00)
    return text or code_text(code)


class EmcyProducer:
    """Sends what is reported, as fast as the inhibit time lets it, and keeps register and history.

    A machine. ``register`` is 1001h; ``history`` the entries of 1003h, newest first, as many as ``slots``.
    ``inhibit_s`` is 1015h in seconds. While not ``allowed`` (node stopped) or with bit 31 of the COB-ID nothing is
    sent; such messages, and those beyond 256 waiting ones, are counted in ``dropped``.
    """

    def __init__(self, cob_id: CobId | int, inhibit_s: float = 0.0, *, slots: int = 8) -> None:
        self.cob = as_cob_id(cob_id)
        self.inhibit_s = inhibit_s
        self.allowed = True
        self.register = 0
        self.history: deque[ErrorEntry] = deque(maxlen=slots)
        self.dropped = 0
        self._waiting: deque[Emcy] = deque()
        self._free_at = float("-inf")
        self._frames: list[Frame] = []

    def report(self, code: int, register: int, data: bytes, now: float) -> None:
        """Take an error into register and history, and send it. ``data``: up to 5 bytes, more are cut off.

        Code 0000h says that an error is gone, and is no entry of the history.
        """
        emcy = Emcy(code, register, data.ljust(5, b"\0")[:5])
        self.register = register
        if code:
            self.history.appendleft(ErrorEntry(code, int.from_bytes(emcy.manufacturer[:2], "little")))
        self._waiting.append(emcy)
        if len(self._waiting) > _WAITING_KEPT:
            self._waiting.popleft()
            self.dropped += 1
        self.tick(now)

    def reset(self) -> None:
        """Forget what was still to be sent; register and history stay."""
        self._waiting.clear()
        self._free_at = float("-inf")

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing on the bus concerns a producer."""

    def tick(self, now: float) -> None:
        if not self.allowed or self.cob.bit_31:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        while self._waiting and now >= self._free_at:
            frame = Frame(self.cob.can_id, self._waiting.popleft().encode(), extended=self.cob.extended)
            self._frames.append(frame)
            self._free_at = now + self.inhibit_s if self.inhibit_s else self._free_at

    def deadline(self) -> float | None:
        return self._free_at if self._waiting else None

    def frames_to_send(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[EmcyReceived]:
        return []


@dataclass(frozen=True, slots=True)
class EmcyReceived:
    """A node has reported an error, or with code 0000h that one is gone.

    Not ``complete``: ``data`` is not of 8 bytes; what is missing counts as 0 in ``emcy``, which is None below the two
    bytes of an error code.
    """

    node_id: int
    at: float
    emcy: Emcy | None
    text: str
    complete: bool = True
    data: bytes = b""

    @property
    def is_reset(self) -> bool:
        """An error is gone."""
        return self.emcy is not None and not self.emcy.code & 0xFF00


class EmcyConsumer:
    """Collects what nodes report: the last ``keep`` of each in ``received``, and what is still wrong in `active`.

    A machine. Node n reports on 080h + n until `move` says otherwise. ``counts`` has all per node, ``overwritten``
    those that ``received`` no longer holds.
    """

    def __init__(self, keep: int = 256) -> None:
        self.received: dict[int, deque[EmcyReceived]] = {}
        self.counts: Counter[int] = Counter()
        self._keep = keep
        self._node_of: dict[tuple[int, bool], int] = {(_BASE + node_id, False): node_id for node_id in range(1, 128)}
        self._moved: set[int] = set()
        self._facts: dict[int, tuple[int | None, int | None]] = {}
        self._active: dict[int, dict[int, EmcyReceived]] = {}
        self._events: deque[EmcyReceived] = deque(maxlen=_EVENTS_KEPT)

    @property
    def overwritten(self) -> int:
        """Messages that were received and are kept no more."""
        return self.counts.total() - sum(len(kept) for kept in self.received.values())

    def move(self, node_id: int, cob_id: CobId | int) -> None:
        """The node's 1014h holds this: it reports there and nowhere else; with bit 31 it does not report at all.

        A CAN-ID that another node has by default, and leaves again, is that one's once more.
        """
        cob = as_cob_id(cob_id)
        for key in [key for key, node in self._node_of.items() if node == node_id]:
            del self._node_of[key]
            other = key[0] - _BASE
            if not key[1] and 1 <= other <= 127 and other != node_id and other not in self._moved:
                self._node_of[key] = other
        self._moved.add(node_id)
        if not cob.bit_31:
            self._node_of[cob.can_id, cob.extended] = node_id

    def restarted(self, node_id: int) -> None:
        """The node has booted. Where its 1014h was only written, it reports where it does by default again."""
        self._node_of.setdefault((_BASE + node_id, False), node_id)

    def identify(self, node_id: int, profile: int | None = None, vendor_id: int | None = None) -> None:
        """What is known of the node, for the texts: low word of 1000h, and 1018h:01."""
        self._facts[node_id] = profile, vendor_id

    def active(self, node_id: int) -> list[EmcyReceived]:
        """Errors that were reported and not taken back, the latest of each code, oldest first.

        A reset (0000h) takes back all when its register is 0, else those whose class has its bit clear in it; a
        boot-up takes back all.
        """
        return list(self._active.get(node_id, {}).values())

    def clear(self, node_id: int) -> None:
        """Forget what the node has reported."""
        self.counts.pop(node_id, None)
        self.received.pop(node_id, None)
        self._active.pop(node_id, None)

    def receive(self, frame: Frame, now: float) -> None:
        if frame.remote or frame.error or frame.fd:
            return
        node_id = self._node_of.get((frame.can_id, frame.extended))
        if node_id is not None:
            if frame.data or (frame.can_id, frame.extended) != (_BASE + node_id, False):
                self._emcy(node_id, frame.data, now)
            else:  # how boot-up was said before CiA 301 had a message for it
                self._active.pop(node_id, None)
        elif frame.can_id > _BOOT_UP and not frame.extended and frame.data == b"\0":
            self._active.pop(frame.can_id - _BOOT_UP, None)

    def _emcy(self, node_id: int, data: bytes, now: float) -> None:
        emcy = None
        if len(data) >= 2:
            emcy = Emcy.decode(data.ljust(LENGTH, b"\0")[:LENGTH])
        complete = len(data) == LENGTH
        text = "no error code" if emcy is None else emcy_text(emcy.code, *self._facts.get(node_id, (None, None)))
        if not complete:
            text += f" ({len(data)} of {LENGTH} bytes)"
        event = EmcyReceived(node_id, now, emcy, text, complete, data)
        self.counts[node_id] += 1
        self.received.setdefault(node_id, deque(maxlen=self._keep)).append(event)
        self._events.append(event)
        self._update(event)

    def _update(self, event: EmcyReceived) -> None:
        if event.emcy is None:
            return
        active = self._active.setdefault(event.node_id, {})
        if event.is_reset:
            register = event.emcy.register
            self._active[event.node_id] = {code: old for code, old in active.items() if _still(code, register)}
        else:
            active.pop(event.emcy.code, None)
            active[event.emcy.code] = event

    def tick(self, now: float) -> None:
        """Nothing here depends on time."""

    def deadline(self) -> float | None:
        return None

    def frames_to_send(self) -> list[Frame]:
        return []

    def events(self) -> list[EmcyReceived]:
        events = list(self._events)
        self._events.clear()
        return events


def _still(code: int, register: int) -> bool:
    """May an error of this code be there while 1001h holds this?"""
    if not register:
        return False
    bit = _REGISTER_BIT.get(code >> 8, _REGISTER_BIT.get(code >> 12))
    return bit is None or bool(register >> bit & 1)
